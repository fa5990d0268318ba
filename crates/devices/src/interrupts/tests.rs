//! Tests of the choice between the controllers.

use super::*;
use platform::mock::{MockPartition, MockWorld};
use platform::papr::{opcode::*, token::*};

const LEVEL: u32 = 0x1000;
const ESB: u64 = 0x0006_0100_0000_0000;

fn interrupts(mode: InterruptMode, first: Controller) -> (MockWorld, Interrupts) {
    let world = MockWorld::new(2, 0x2_0000);
    let lines = Arc::new(MockPartition::new(2));
    let mut interrupts = Interrupts::new(mode, first, &[0, 1], 2, world.memory.clone(), lines).unwrap();
    interrupts.add_source(LEVEL, SourceKind::Level).unwrap();
    (world, interrupts)
}

fn call(world: &MockWorld, device: &Interrupts, opcode: u64, args: &[u64]) -> (i64, u64) {
    let mut vcpu = world.partition.vcpu(0);
    let mut all = [0; 9];
    all[..args.len()].copy_from_slice(args);
    let status = device.hcall(opcode, &mut world.context(&mut vcpu), &all);
    (status.0, vcpu.gpr[4])
}

fn set_xive(world: &MockWorld, device: &Interrupts) -> i32 {
    let mut vcpu = world.partition.vcpu(0);
    let mut call = RtasCall { args: &[LEVEL, 0, 5], results: &mut [] };
    device.rtas(IBM_SET_XIVE, &mut world.context(&mut vcpu), &mut call).0
}

#[test]
fn one_is_in_use_and_the_other_refuses() {
    for (first, h_cppr, set, sync) in [(Controller::Xics, 0, 0, -2), (Controller::Xive, -1, -1, 0)] {
        let (world, device) = interrupts(InterruptMode::Dual, first);
        assert_eq!((device.hcalls().len(), device.rtas_functions().len()), (17, 4));
        assert_eq!(device.active(), first);
        assert_eq!(call(&world, &device, H_CPPR, &[0]).0, h_cppr);
        assert_eq!(set_xive(&world, &device), set);
        assert_eq!(call(&world, &device, H_INT_SYNC, &[0, LEVEL.into()]).0, sync);
        let xive = first == Controller::Xive;
        assert_eq!(device.answers(ESB, 8), xive);
        device.store(0, ESB, 8, 0);
        assert_eq!(device.load(0, ESB + 0x1_0800, 8), if xive { 1 } else { u64::MAX });
        assert_eq!(device.describe().contains("PQ"), xive);
    }
}

#[test]
fn a_machine_with_one_has_nothing_of_the_other() {
    let (_, device) = interrupts(InterruptMode::Xics, Controller::Xive);
    assert_eq!(device.active(), Controller::Xics);
    assert_eq!((device.hcalls().len(), device.rtas_functions().len()), (6, 4));
    let (_, device) = interrupts(InterruptMode::Xive, Controller::Xics);
    assert_eq!(device.active(), Controller::Xive);
    assert_eq!((device.hcalls().len(), device.rtas_functions().len()), (11, 0));
    assert!(device.answers(ESB, 8));
}

#[test]
fn levels_are_known_to_whoever_is_in_use() {
    let (world, device) = interrupts(InterruptMode::Dual, Controller::Xics);
    device.set_level(LEVEL, true);
    device.pulse(LEVEL);
    device.exploitation.store(true, SeqCst);
    assert_eq!(call(&world, &device, H_INT_ESB, &[0, LEVEL.into(), 0xc00]), (0, 1));
    assert_eq!(call(&world, &device, H_INT_ESB, &[0, LEVEL.into(), 0]), (0, 1), "it is sent by the end");
    device.reset();
    assert_eq!(device.active(), Controller::Xics);
    assert!(device.describe().contains("asserted true"));
}

#[test]
fn numbers() {
    let lines = Arc::new(MockPartition::new(1));
    let memory = MockWorld::new(1, 0x1_0000).memory;
    for mode in [InterruptMode::Xics, InterruptMode::Xive, InterruptMode::Dual] {
        let new = |servers: &[u32]| Interrupts::new(mode, Controller::Xive, servers, 9, memory.clone(), lines.clone());
        assert_eq!(new(&[0, 8, 8]).err(), Some(InterruptError::DoubleServer(8)));
        let mut device = new(&[0, 8]).unwrap();
        for xisr in [0, 0xfff, 0x2000, u32::MAX] {
            assert!(matches!(device.add_source(xisr, SourceKind::Message), Err(InterruptError::NoSuchSource { .. })));
        }
    }
    let servers = Servers::new(&[0, 8]).unwrap();
    assert_eq!([0, 1, 8, 1 << 32].map(|number| servers.index_of(number)), [Some(0), None, Some(1), None]);
    assert_eq!([0, 1, 2].map(|index| servers.number_of(index)), [0, 8, 0]);
}

/// The sections of a device, one behind the other.
fn save(device: &Interrupts) -> Vec<Vec<u8>> {
    let save = |part: &dyn Section| {
        let mut io = Io::save(part.id().version);
        part.fields(&mut io).unwrap();
        io.written()
    };
    device.sections().into_iter().map(save).collect()
}

#[test]
fn a_saved_controller_comes_back() {
    for first in [Controller::Xics, Controller::Xive] {
        let (world, device) = interrupts(InterruptMode::Dual, first);
        match first {
            Controller::Xics => {
                assert_eq!(set_xive(&world, &device), 0);
                assert_eq!(call(&world, &device, H_CPPR, &[0xff]).0, 0);
            }
            Controller::Xive => {
                assert_eq!(call(&world, &device, H_INT_SET_QUEUE_CONFIG, &[0, 1, 6, 0x1_0000, 12]).0, 0);
                assert_eq!(call(&world, &device, H_INT_SET_SOURCE_CONFIG, &[0, LEVEL.into(), 1, 6, 0x77]).0, 0);
                device.load(0, ESB + (u64::from(LEVEL) << 17) + 0x1_0c00, 8);
            }
        }
        device.set_level(LEVEL, true);
        let saved = save(&device);
        let (_, back) = interrupts(InterruptMode::Dual, Controller::Xics);
        for (part, bytes) in back.sections().into_iter().zip(&saved) {
            let mut io = Io::load(part.id().version, bytes);
            part.fields(&mut io).and_then(|()| io.finish()).unwrap();
        }
        assert_eq!((back.active(), back.describe()), (device.active(), device.describe()));
        assert_eq!(save(&back), saved);
        // Whatever is changed in a byte is refused or loaded.
        for (number, bytes) in saved.iter().enumerate() {
            for at in 0..bytes.len() {
                let mut wild = bytes.clone();
                wild[at] ^= 0x55;
                let (_, other) = interrupts(InterruptMode::Dual, first);
                let part = other.sections()[number];
                let _ = part.fields(&mut Io::load(1, &wild));
                assert!(part.fields(&mut Io::load(1, &bytes[..at])).is_err(), "{number} {at}");
            }
        }
    }
}
