//! Saving and loading: the run goes on as it would have; whatever is changed in a file is noticed and named.

use crate::guest::{CALL_RTAS, LOOP, config, image};
use crate::sections;
use machine::{AcceleratorKind, Config, End, Machine, MachineError};
use platform::mock::{Input, some_bytes};
use platform::papr::opcode::H_JOIN;
use platform::papr::token::{START_CPU, STOP_SELF};
use std::path::{Path, PathBuf};

fn kernel() -> PathBuf {
    image(&[&LOOP[..], &CALL_RTAS].concat(), &[0x2004, 0, 1, 0])
}

fn machine(kernel: &Path, kind: AcceleratorKind) -> Config {
    let mut config = config(kernel.to_owned(), timing::Clock::virtual_time(0));
    config.accelerator.kind = kind;
    config
}

/// A file that a machine was saved to in the middle of its loop.
fn saved(kernel: &Path, kind: AcceleratorKind) -> PathBuf {
    let path = kernel.with_extension("snap");
    let mut machine = Machine::new(machine(kernel, kind)).unwrap();
    machine.handle().save_and_quit_at(500_000, &path);
    assert_eq!(machine.run().unwrap(), End::Quit("saved".into()));
    path
}

#[test]
fn a_run_goes_on_as_it_would_have() {
    for kind in [AcceleratorKind::Interp, AcceleratorKind::Jit] {
        let kernel = kernel();
        let mut whole = Machine::new(machine(&kernel, kind)).unwrap();
        assert_eq!(whole.run().unwrap(), End::Reboot);
        let path = saved(&kernel, kind);
        let mut second = Machine::new(machine(&kernel, kind)).unwrap();
        second.load(&path).unwrap();
        assert!((500_000..600_000).contains(&second.clock().ns()));
        assert_eq!(second.run().unwrap(), End::Reboot);
        assert_eq!(second.state_hash(), whole.state_hash(), "{kind:?}");
        assert!(machine::saved::check(&machine(&kernel, kind), &path).unwrap().is_empty());
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(kernel).unwrap();
    }
}

#[test]
fn an_order_for_a_time_comes_where_nothing_else_does() {
    // The first starts the second and both join: one sleeps until somebody prods it, the other stops itself.
    let rtas = |block: u64| format!("addis r3,0,0\nori r3,r3,0xf000\naddi r4,r31,{block}\nsc 1\n");
    let first = format!("mr r31,r4\n{}b .+8\naddis r31,0,0x40\n", rtas(0x100));
    let join = format!("addi r3,0,{H_JOIN}\nsc 1\n{}b .", rtas(0x140));
    let code: Vec<u32> = (first.clone() + &join).lines().map(|line| isa::assemble(line).unwrap() as u32).collect();
    let second = 0x40_0000 + 4 * (first.lines().count() as u32 - 1);
    let mut block = vec![START_CPU, 3, 1, 1, second];
    block.resize(16, 0);
    block.extend([STOP_SELF, 0, 1, 0]);
    let kernel = image(&code, &block);
    let path = kernel.with_extension("snap");
    let mut machine = Machine::new(machine(&kernel, AcceleratorKind::Interp)).unwrap();
    machine.handle().save_and_quit_at(500_000, &path);
    assert_eq!(machine.run().unwrap(), End::Quit("saved".into()));
    assert_eq!(machine.clock().ns(), 500_000);
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(kernel).unwrap();
}

#[test]
fn another_machine_is_refused() {
    let kernel = kernel();
    let path = saved(&kernel, AcceleratorKind::Interp);
    let here = Config { ram_bytes: 128 << 20, ..machine(&kernel, AcceleratorKind::Interp) };
    let words = machine::saved::check(&here, &path).unwrap();
    assert!(words.len() == 1 && words[0].to_string().contains("start this machine with -m 64M"), "{words:?}");
    let mut machine = Machine::new(here).unwrap();
    assert!(machine.load(&path).unwrap_err().to_string().contains("cannot go on here"));
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(kernel).unwrap();
}

/// What loading asks for whatever the file says: a table of jumps for each vCPU is the largest.
const OWN_BYTES: usize = 1 << 20;

/// Loads `count` files that were changed ([`sections::changed`]).
fn mutate(count: u64) {
    let kernel = kernel();
    let path = saved(&kernel, AcceleratorKind::Interp);
    let good = std::fs::read(&path).unwrap();
    let state_bytes = u64::from_le_bytes(good[16..24].try_into().unwrap()) as usize;
    let changed_path = path.with_extension("changed");
    let (mut loaded, mut refused, mut most) = (0, 0, 0);
    for seed in 0..count {
        let choices = some_bytes(seed, 64);
        let mut input = Input::new(&choices);
        let mut bytes = sections::changed(&good[..state_bytes], &mut input);
        if !input.one_in(16) {
            bytes.resize(bytes.len().next_multiple_of(1 << 16), 0);
        }
        std::fs::write(&changed_path, &bytes).unwrap();
        if !input.one_in(16) {
            let file = std::fs::OpenOptions::new().write(true).open(&changed_path).unwrap();
            file.set_len((bytes.len() + (64 << 20)) as u64).unwrap();
        }
        let mut machine = Machine::new(machine(&kernel, AcceleratorKind::Interp)).unwrap();
        let (result, largest) = crate::allocation::largest(|| machine.load(&changed_path));
        // Nothing that the file does not claim and have, but for what a machine has anyway.
        most = most.max(largest);
        let claim = bytes.get(16..24).map_or(0, |claim| u64::from_le_bytes(claim.try_into().unwrap()));
        let there = std::fs::metadata(&changed_path).unwrap().len();
        let bound = 2 * claim.min(there) as usize + OWN_BYTES;
        assert!(largest <= bound, "{largest} bytes at once for a file of {there} that claims {claim} of state");
        match result {
            Ok(()) => loaded += 1,
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    println!(
        "{loaded} loaded, {refused} refused, {most} bytes at once at most, {state_bytes} bytes of state in the file"
    );
    assert!(loaded > 0 && refused > 0, "{loaded} loaded, {refused} refused");
    for path in [path, kernel, changed_path] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn changed_files_are_refused_or_loaded() {
    mutate(1_000);
}

#[test]
#[ignore = "long: a hundred thousand files"]
fn very_many_changed_files() {
    mutate(100_000);
}

#[test]
fn what_is_no_snapshot_is_named() {
    let kernel = kernel();
    let mut machine = Machine::new(machine(&kernel, AcceleratorKind::Interp)).unwrap();
    let error = machine.load(&kernel).unwrap_err();
    assert!(error.to_string().contains("no snapshot"), "{error}");
    let error = MachineError::from(machine.load(Path::new("/nowhere")).unwrap_err());
    assert!(error.to_string().contains("/nowhere"), "{error}");
    std::fs::remove_file(kernel).unwrap();
}
