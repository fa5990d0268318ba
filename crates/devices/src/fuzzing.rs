//! Any hypercalls, loads, stores and device interrupts, on either interrupt controller. What the fuzz target `interrupts`
//! runs, and what has to hold behind each step.

mod vty;
pub use vty::vty;

use crate::{Controller, InterruptMode, Interrupts, SourceKind, TIMA_OS_PAGE};
use platform::mock::{Input, MockPartition, MockWorld};
use platform::papr::HcallStatus;
use platform::papr::opcode::*;
use platform::{InterruptController, Mmio, PaprDevice};
use std::sync::Arc;

const VCPUS: usize = 2;
/// Sources of devices.
const LEVEL: u32 = 0x1000;
const MESSAGE: u32 = 0x1100;
/// The operating system's ring in the thread interrupt context.
const OS_RING: u64 = 0x10;
/// H_INT_SET_SOURCE_CONFIG: a new number for the guest; masked.
const SET_EISN: u64 = 2;
const MASK: u64 = 1;
/// The priority that is none.
const NO_PRIORITY: u64 = 0xFF;

struct Rig {
    world: MockWorld,
    lines: Arc<MockPartition>,
    interrupts: Interrupts,
}

/// Small numbers, numbers of sources, addresses, and any.
fn number(input: &mut Input<'_>) -> u64 {
    match input.byte() {
        small @ 0..=127 => small.into(),
        kind => {
            let any = input.doubleword();
            match kind & 3 {
                0 => any,
                1 => 0x1000 + any % 0x200,
                2 => (any % 0x11) << 12,
                _ => any % 64,
            }
        }
    }
}

fn device_address(input: &mut Input<'_>) -> u64 {
    let offset = u64::from(input.half());
    let page = match input.byte() {
        page @ 0..=3 => 0x0006_0302_0318 + u64::from(page),
        queue @ 4..=99 => 0x0006_0100_4000 + u64::from(queue - 4),
        100 => number(input),
        source => 0x0006_0100_0000 + u64::from(source & 15) + u64::from(source >> 4 & 1) * 0x2000,
    };
    (page << 16) + offset
}

impl Rig {
    fn call(&self, vcpu: usize, opcode: u64, args: &[u64; 9]) -> (HcallStatus, [u64; 32]) {
        let mut vcpu = self.world.partition.vcpu(vcpu);
        let status = self.interrupts.hcall(opcode, &mut self.world.context(&mut vcpu), args);
        assert!(status.name().is_some(), "{opcode:#x} of {args:#x?}: {status}");
        (status, vcpu.gpr)
    }

    fn first(&self, opcode: u64, args: [u64; 4]) -> (HcallStatus, [u64; 32]) {
        let mut all = [0; 9];
        all[..4].copy_from_slice(&args);
        self.call(0, opcode, &all)
    }

    /// What was set is what is told.
    fn set_is_told(&self, opcode: u64, args: &[u64; 9]) {
        let &[flags, what, target, priority, eisn, ..] = args;
        match opcode {
            H_INT_SET_SOURCE_CONFIG => {
                let (status, gpr) = self.first(H_INT_GET_SOURCE_CONFIG, [0, what, 0, 0]);
                assert_eq!(status, HcallStatus::H_SUCCESS);
                let masked = flags & MASK != 0 || priority == NO_PRIORITY;
                assert_eq!(gpr[5], if masked { NO_PRIORITY } else { priority }, "priority of source {what:#x}");
                if priority != NO_PRIORITY {
                    assert_eq!(gpr[4], target, "target of source {what:#x}");
                }
                if flags & SET_EISN != 0 && priority != NO_PRIORITY {
                    assert_eq!(gpr[6], eisn & 0x7FFF_FFFF, "number of source {what:#x}");
                }
            }
            H_INT_SET_QUEUE_CONFIG => {
                // Of this call the fields are: flags, server, priority, address, size.
                let (status, gpr) = self.first(H_INT_GET_QUEUE_CONFIG, [0, what, target, 0]);
                assert_eq!(status, HcallStatus::H_SUCCESS);
                let wanted = if eisn == 0 { [0, 0, 0] } else { [flags & 1, priority, eisn] };
                assert_eq!(gpr[4..7], wanted, "queue of server {what:#x}, priority {target}");
            }
            _ => {}
        }
    }

    /// A line is up exactly while its ring presents an interrupt, which follows from what is pending and from CPPR.
    fn rings_and_lines_agree(&self) {
        for vcpu in 0..VCPUS {
            let at = TIMA_OS_PAGE + OS_RING;
            if !self.interrupts.answers(at, 8) {
                return;
            }
            let [nsr, cppr, pending, .., most_favoured] = self.interrupts.load(vcpu, at, 8).to_be_bytes();
            let wanted = if pending == 0 { 0xFF } else { pending.leading_zeros() as u8 };
            assert_eq!(most_favoured, wanted, "PIPR of {pending:#04x}");
            assert_eq!(nsr & 0x80 != 0, most_favoured < cppr, "NSR {nsr:#04x}, CPPR {cppr:#04x}, IPB {pending:#04x}");
            assert_eq!(self.lines.external_interrupt(vcpu), nsr & 0x80 != 0, "the line of vCPU {vcpu}");
        }
    }
}

/// Runs the steps that `data` says.
///
/// # Panics
/// If a call gets no code of PAPR's, what was set is not what is told, or a line is not as its ring says.
pub fn interrupts(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = input.byte();
    let mode = [InterruptMode::Xics, InterruptMode::Xive, InterruptMode::Dual][usize::from(kind % 3)];
    let first = if kind & 0x80 == 0 { Controller::Xive } else { Controller::Xics };
    let world = MockWorld::new(VCPUS, 0x1_0000);
    let lines = Arc::new(MockPartition::new(VCPUS));
    let Ok(mut interrupts) = Interrupts::new(mode, first, &[0, 1], 3, world.memory.clone(), lines.clone()) else {
        return;
    };
    for (xisr, kind) in [(LEVEL, SourceKind::Level), (MESSAGE, SourceKind::Message)] {
        assert!(interrupts.add_source(xisr, kind).is_ok());
    }
    let opcodes: Vec<u64> = interrupts.hcalls().iter().map(|row| row.opcode).collect();
    let rig = Rig { world, lines, interrupts };
    while !input.is_empty() {
        let vcpu = usize::from(input.byte() & 1);
        match input.byte() {
            call @ 0..=99 => {
                let opcode = opcodes[usize::from(call) % opcodes.len()];
                let args = [(); 9].map(|()| number(&mut input));
                if rig.call(vcpu, opcode, &args).0 == HcallStatus::H_SUCCESS {
                    rig.set_is_told(opcode, &args);
                }
            }
            access @ 100..=199 => {
                let size = 1u32 << (access & 3);
                let ra = device_address(&mut input) & !u64::from(size - 1);
                if rig.interrupts.answers(ra, size.into()) {
                    if access & 4 == 0 {
                        let value = rig.interrupts.load(vcpu, ra, size);
                        assert!(size == 8 || value >> (8 * size) == 0, "{value:#x} from {size} bytes at {ra:#x}");
                    } else {
                        rig.interrupts.store(vcpu, ra, size, number(&mut input));
                    }
                }
            }
            level @ 200..=219 => rig.interrupts.set_level(LEVEL, level & 1 != 0),
            220..=250 => rig.interrupts.pulse(MESSAGE),
            _ => rig.interrupts.reset(),
        }
        rig.rings_and_lines_agree();
    }
    let _ = rig.interrupts.describe();
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn sequences_of_calls_and_accesses_keep_what_has_to_hold() {
        for seed in 0..300 {
            interrupts(&some_bytes(seed, 3000));
        }
    }
}
