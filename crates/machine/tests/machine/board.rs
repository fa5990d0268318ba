//! Bare-metal guests on a whole machine: how runs end, and that the virtual clock repeats them.

use crate::guest::{CALL_RTAS, config, image};
use cpu::model::POWER8;
use machine::topology::TopologyError;
use machine::{Config, End, Machine, MachineError};

/// Runs a guest that makes one RTAS call, under both clocks; the state hash of two virtual runs has to be the same.
fn end_of(block: &[u32]) -> End {
    let path = image(&CALL_RTAS, block);
    let run = |clock| {
        let mut machine = Machine::new(config(path.clone(), clock)).unwrap();
        let end = machine.run().unwrap();
        (end, machine.state_hash(), machine.stats().retired)
    };
    let (real, ..) = run(timing::Clock::real(None));
    let first = run(timing::Clock::virtual_time(0));
    assert_eq!(first, run(timing::Clock::virtual_time(0)));
    assert_eq!(first.0, real);
    assert!((4..100).contains(&first.2), "{} instructions", first.2);
    std::fs::remove_file(path).unwrap();
    real
}

#[test]
fn ends() {
    assert_eq!(end_of(&[0x2003, 2, 1, 0, 0, 0]), End::PowerOff);
    assert_eq!(end_of(&[0x2004, 0, 1, 0]), End::Reboot);
    assert_eq!(end_of(&[0x2007, 0, 1, 0]), End::AllStopped);
    let text = u32::from_be_bytes(*b"oops");
    let panicked = end_of(&[0x201f, 1, 1, 0x40_0110, text, 0]);
    assert_eq!(panicked, End::GuestPanicked { message: "oops".into() });
}

#[test]
fn a_guest_that_loops_is_ended_from_outside() {
    // Nothing but `b .`, and a jump into nowhere: machine checks for ever.
    for code in [&[0x4800_0000][..], &[0x3c60_7fff, 0x7869_03a6, 0x7c69_03a6, 0x4e80_0420]] {
        for virtual_clock in [false, true] {
            let clock = if virtual_clock { timing::Clock::virtual_time(0) } else { timing::Clock::real(None) };
            let path = image(code, &[]);
            let mut machine = Machine::new(config(path.clone(), clock)).unwrap();
            let handle = machine.handle();
            let quitter = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                handle.quit("enough");
            });
            assert_eq!(machine.run().unwrap(), End::Quit("enough".into()));
            quitter.join().unwrap();
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_reboot_boots_again_from_fresh_memory() {
    // ld r5,0x180(r4): 0 at every boot, then 1 is stored there; a boot that finds 1 loops for ever.
    // addi r6,0,1; ld r5,0x180(r4); std r6,0x180(r4); cmpdi r5,0; bne .; then the call of RTAS.
    let mut code = vec![0x38c0_0001, 0xe8a4_0180, 0xf8c4_0180, 0x2c25_0000, 0x4082_0000];
    code.extend(CALL_RTAS);
    let path = image(&code, &[0x2004, 0, 1, 0]);
    let mut machine =
        Machine::new(Config { no_reboot: false, ..config(path.clone(), timing::Clock::real(None)) }).unwrap();
    let handle = machine.handle();
    let quitter = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        handle.quit("enough");
    });
    assert_eq!(machine.run().unwrap(), End::Quit("enough".into()));
    quitter.join().unwrap();
    // Nine instructions a boot; one boot that loops would have retired millions.
    let stats = machine.stats();
    assert!(stats.hypercalls >= 2 && stats.retired <= 10 * stats.hypercalls + 10, "{stats}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn machines_that_cannot_be_built() {
    let path = image(&CALL_RTAS, &[]);
    let new = |change: &dyn Fn(&mut Config)| {
        let mut config = config(path.clone(), timing::Clock::virtual_time(0));
        change(&mut config);
        Machine::new(config).err().expect("refused")
    };
    let radix = |config: &mut Config| (config.model, config.mmu) = (&POWER8, Some(machine::Mmu::Radix));
    assert!(matches!(new(&radix), MachineError::NoRadix(_)));
    assert!(matches!(new(&|config| config.topology.vcpus = 0), MachineError::Topology(TopologyError::Vcpus { .. })));
    assert!(matches!(
        new(&|config| config.topology.max_vcpus = 100_000),
        MachineError::Topology(TopologyError::Vcpus { .. })
    ));
    assert!(matches!(new(&|config| config.ram_bytes = 1 << 45), MachineError::AbsurdRam { .. }));
    assert!(matches!(new(&|config| config.ram_bytes = 12345), MachineError::Layout(_)));
    assert!(matches!(new(&|config| config.ram_bytes = (64 << 20) + 1), MachineError::Ram(_)));
    assert!(matches!(new(&|config| config.initrd = Some("/dev/zero".into())), MachineError::Load(_)));
    assert!(matches!(new(&|config| config.kernel = "/nowhere".into()), MachineError::Load(_)));
    assert!(matches!(new(&|config| config.kernel_address = 1), MachineError::Layout(_)));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_watchdog_ends_what_loops_and_what_sleeps() {
    // li r3,0x45c; li r4,0x102: start, restart; li r5,1; li r6,20: ms; sc 1.
    let start = [0x3860_045c, 0x3880_0102, 0x38a0_0001, 0x38c0_0014, 0x4400_0022];
    // b .; and li r3,0xe0 (H_CEDE); sc 1; b .-8.
    for rest in [&[0x4800_0000][..], &[0x3860_00e0, 0x4400_0022, 0x4bff_fff8]] {
        let path = image(&[&start[..], rest].concat(), &[]);
        for clock in [timing::Clock::real(None), timing::Clock::virtual_time(0)] {
            let mut machine = Machine::new(config(path.clone(), clock)).unwrap();
            assert_eq!(machine.run().unwrap(), End::Reboot);
            assert!((20_000_000..2_000_000_000).contains(&machine.clock().ns()), "{} ns", machine.clock().ns());
        }
        std::fs::remove_file(path).unwrap();
    }
}
