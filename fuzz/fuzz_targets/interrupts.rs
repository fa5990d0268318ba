//! Any hypercalls, loads, stores and device interrupts, on either interrupt controller: an answer, and no panic.
#![no_main]

use devices::{Controller, InterruptMode, Interrupts, SourceKind};
use libfuzzer_sys::fuzz_target;
use platform::mock::{MockPartition, MockWorld};
use platform::{InterruptController, Mmio, PaprDevice};
use std::sync::Arc;

/// Takes numbers from the input; zeros behind its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    /// Small numbers, numbers of sources, addresses, and any.
    fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=127 => small.into(),
            kind => {
                let mut bytes = [0; 8];
                bytes.fill_with(|| self.byte());
                let any = u64::from_le_bytes(bytes);
                match kind & 3 {
                    0 => any,
                    1 => 0x1000 + any % 0x200,
                    2 => any % 0x11 << 12,
                    _ => any % 64,
                }
            }
        }
    }

    fn device_address(&mut self) -> u64 {
        let offset = u64::from(u16::from_le_bytes([self.byte(), self.byte()]));
        let page = match self.byte() {
            page @ 0..=3 => 0x0006_0302_0318 + u64::from(page),
            queue @ 4..=99 => 0x0006_0100_4000 + u64::from(queue - 4),
            100 => self.number(),
            source => 0x0006_0100_0000 + u64::from(source & 15) + u64::from(source >> 4 & 1) * 0x2000,
        };
        (page << 16) + offset
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let kind = input.byte();
    let mode = [InterruptMode::Xics, InterruptMode::Xive, InterruptMode::Dual][usize::from(kind % 3)];
    let first = if kind & 0x80 == 0 { Controller::Xive } else { Controller::Xics };
    let world = MockWorld::new(2, 0x1_0000);
    let lines = Arc::new(MockPartition::new(2));
    let Ok(mut interrupts) = Interrupts::new(mode, first, &[0, 1], 3, world.memory.clone(), lines) else { return };
    for (xisr, kind) in [(0x1000, SourceKind::Level), (0x1100, SourceKind::Message)] {
        assert!(interrupts.add_source(xisr, kind).is_ok());
    }
    let opcodes: Vec<u64> = interrupts.hcalls().iter().map(|row| row.opcode).collect();
    while !input.0.is_empty() {
        let vcpu = usize::from(input.byte() & 1);
        match input.byte() {
            call @ 0..=99 => {
                let opcode = opcodes[usize::from(call) % opcodes.len()];
                let args = [(); 9].map(|()| input.number());
                let mut vcpu = world.partition.vcpu(vcpu);
                let status = interrupts.hcall(opcode, &mut world.context(&mut vcpu), &args);
                assert!(status.name().is_some());
            }
            access @ 100..=199 => {
                let size = 1u32 << (access & 3);
                let ra = input.device_address() & !u64::from(size - 1);
                if interrupts.answers(ra, size.into()) {
                    if access & 4 == 0 {
                        let value = interrupts.load(vcpu, ra, size);
                        assert!(size == 8 || value >> (8 * size) == 0);
                    } else {
                        interrupts.store(vcpu, ra, size, input.number());
                    }
                }
            }
            level @ 200..=219 => interrupts.set_level(0x1000, level & 1 != 0),
            220..=250 => interrupts.pulse(0x1100),
            _ => interrupts.reset(),
        }
    }
    let _ = interrupts.describe();
});
