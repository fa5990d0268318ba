//! Saving and loading: the run goes on as it would have; whatever is changed in a file is noticed and named.

use crate::guest::{CALL_RTAS, config, image};
use machine::{AcceleratorKind, Config, End, Machine, MachineError};
use std::path::{Path, PathBuf};

/// `li r5,0; lis r6,5; mtctr r6; addi r5,r5,1; stw r5,0x180(r4); bdnz .-8`, then a reboot: a million instructions.
const LOOP: [u32; 6] = [0x38a0_0000, 0x3cc0_0005, 0x7cc9_03a6, 0x38a5_0001, 0x90a4_0180, 0x4200_fff8];

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

/// Loads `count` files that were changed: bytes turned, cut off, put twice, with the checksums put right again or not.
fn mutate(count: u64) {
    let kernel = kernel();
    let path = saved(&kernel, AcceleratorKind::Interp);
    let good = std::fs::read(&path).unwrap();
    let state_bytes = u64::from_le_bytes(good[16..24].try_into().unwrap()) as usize;
    let changed_path = path.with_extension("changed");
    let mut seed = 1u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below.max(1) as u64) as usize
    };
    let (mut loaded, mut refused, mut most) = (0, 0, 0);
    for _ in 0..count {
        let mut bytes = good[..state_bytes].to_vec();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            bytes[at] = if random(2) == 0 { bytes[at] ^ 1 << random(8) } else { random(256) as u8 };
        }
        if random(8) == 0 {
            bytes.truncate(random(state_bytes));
        }
        if random(4) != 0 {
            mend(&mut bytes);
        }
        if bytes.len() == state_bytes {
            bytes.resize(state_bytes.next_multiple_of(1 << 16), 0);
        }
        std::fs::write(&changed_path, &bytes).unwrap();
        if bytes.len() > state_bytes && random(16) != 0 {
            let file = std::fs::OpenOptions::new().write(true).open(&changed_path).unwrap();
            file.set_len(good.len() as u64).unwrap();
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

/// Puts checksums right, as far as the frame of sections stands.
fn mend(bytes: &mut [u8]) {
    use xxhash_rust::xxh3::xxh3_64;
    if bytes.len() < 32 {
        return;
    }
    let sum = xxh3_64(&bytes[..24]);
    bytes[24..32].copy_from_slice(&sum.to_le_bytes());
    let mut at = 32;
    while at + 5 < bytes.len() {
        let head = at + 5 + usize::from(bytes[at + 4]) + 8;
        let Some(length) = bytes.get(head..head + 8) else { return };
        let length = u64::from_le_bytes(length.try_into().unwrap());
        let end = usize::try_from(length).ok().and_then(|length| (head + 8).checked_add(length));
        let Some(end) = end.filter(|end| end.checked_add(8).is_some_and(|end| end <= bytes.len())) else { return };
        let sum = xxh3_64(&bytes[at..end]);
        bytes[end..end + 8].copy_from_slice(&sum.to_le_bytes());
        at = end + 8;
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
