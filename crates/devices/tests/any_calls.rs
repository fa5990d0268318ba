//! Any sequence of hypercalls and RTAS calls, on a hypervisor with every device: answers, and no panic.

use devices::{Controller, InterruptMode, Interrupts, Nvram, Rtc, SourceKind, VTY_REG_BASE, VioBus, Vty};
use hypervisor::capability::{CapBasis, IsaLevel, resolve};
use hypervisor::{Config, Hypervisor};
use platform::mock::{MockConsole, MockPartition, MockWorld};
use platform::papr::{HcallStatus, opcode::H_RTAS};
use platform::{GuestMemory, InterruptController, PaprDevice, RunState};
use proptest::prelude::*;
use std::sync::Arc;

const RAM_BYTES: usize = 1 << 20;

/// Values that mean something somewhere, and any.
fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..8u64,
        (0..4u64).prop_map(|number| u64::from(VTY_REG_BASE) + number),
        (0..4u64).prop_map(|number| 0x1000 + 0x100 * (number & 1) + number),
        device_address(),
        (0..64u32).prop_map(|shift| 1 << shift),
        0..RAM_BYTES as u64,
        (0..3u64).prop_map(|distance| RAM_BYTES as u64 - distance),
        any::<u64>(),
        (0..4u64).prop_map(|distance| u64::MAX - distance),
    ]
}

/// Real addresses at and around the pages of XIVE.
fn device_address() -> impl Strategy<Value = u64> {
    let source = prop_oneof![0..6u64, Just(0x1000), Just(0x1101), 0x1fff..0x2024u64];
    let esb = (source, 0..2u64, 0..0x1_0000u64)
        .prop_map(|(source, page, offset)| 0x0006_0100_0000_0000 + (source << 17) + (page << 16) + offset);
    let tima = prop_oneof![Just(0x11u64), Just(0x810), Just(0x812), Just(0xc10), 0..0x1_0000u64];
    let tima = (0..5u64, tima).prop_map(|(page, offset)| 0x0006_0302_0318_0000 + (page << 16) + offset);
    prop_oneof![esb, tima]
}

type Step = (usize, prop::sample::Index, bool, u8, [u64; 9]);

fn step() -> impl Strategy<Value = Step> {
    let args = prop::array::uniform9(argument());
    (0..4usize, any::<prop::sample::Index>(), any::<bool>(), any::<u8>(), args)
}

proptest! {
    #[test]
    fn every_call_is_answered(
        mode in prop::sample::select(vec![InterruptMode::Xics, InterruptMode::Xive, InterruptMode::Dual]),
        first in prop::sample::select(vec![Controller::Xics, Controller::Xive]),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut world = MockWorld::new(4, RAM_BYTES);
        let lines = Arc::new(MockPartition::new(4));
        let interrupts = Interrupts::new(mode, first, &[0, 1, 2, 3], 5, world.memory.clone(), lines);
        let mut interrupts = interrupts.unwrap();
        interrupts.add_source(0x1000, SourceKind::Level).unwrap();
        interrupts.add_source(0x1101, SourceKind::Message).unwrap();
        let interrupts = Arc::new(interrupts);
        world.mmio = interrupts.clone();
        let console = Arc::new(MockConsole::default());
        let vty = Vty::new(VTY_REG_BASE, 0x1101, console.clone(), interrupts.clone());
        let devices: Vec<Arc<dyn PaprDevice>> = vec![
            interrupts.clone(),
            Arc::new(VioBus::new(vec![vty])),
            Arc::new(Nvram::in_memory()),
            Arc::new(Rtc::new()),
        ];
        let basis = CapBasis { cpu: IsaLevel::V3_1, compat: None };
        let (capabilities, _) = resolve(&[("rpt-invalidate", "on")], basis).unwrap();
        let config = Config { capabilities, max_vcpus: 4, rtas_base_ra: 0xe_0000, uuid: None };
        let hypervisor = Hypervisor::new(config, devices).unwrap();
        let opcodes: Vec<u64> = hypervisor.hcalls().map(|row| row.opcode).collect();
        let functions: Vec<_> = hypervisor.rtas_functions().copied().collect();
        for (index, which, by_rtas, byte, args) in steps {
            let mut vcpu = world.partition.vcpu(index);
            vcpu.gpr[3] = *which.get(&opcodes);
            vcpu.gpr[4..13].copy_from_slice(&args);
            if by_rtas {
                let row = which.get(&functions);
                let block = args[8] % (RAM_BYTES as u64 - 256);
                let head = [row.token, row.nargs_min as u32, row.nret as u32];
                for (at, word) in head.into_iter().chain(args.map(|value| value as u32)).enumerate() {
                    world.memory.write_be_u32(block + 4 * at as u64, word).unwrap();
                }
                vcpu.gpr[3] = H_RTAS;
                vcpu.gpr[4] = block;
            }
            let status = hypervisor.hcall(&mut world.context(&mut vcpu));
            prop_assert!(status.name().is_some());
            prop_assert!(!by_rtas || status == HcallStatus::H_SUCCESS, "RTAS: {}", status);
            match byte {
                0..32 => console.type_in(&[byte]),
                32..64 => interrupts.set_level(0x1000, byte & 1 != 0),
                64..80 => hypervisor.reset(),
                _ => {}
            }
            world.partition.set_run_state(index, RunState::Running);
        }
    }

    #[test]
    fn options_are_read_or_refused(name in "[a-z0-9-]{0,20}", value in ".{0,24}", modes in "[0-9x+a-f]{0,6}") {
        let basis = CapBasis { cpu: IsaLevel::V3_0, compat: None };
        let _ = resolve(&[(&name, &value)], basis).map_err(|error| error.to_string());
        if let Ok((capabilities, _)) = resolve(&[("ail-modes", &modes)], basis) {
            prop_assert!(capabilities.ail_modes().contains(0) && !capabilities.ail_modes().contains(1));
        }
        let _ = devices::console::ConsoleSpec::parse(&value).map_err(|error| error.to_string());
    }
}
