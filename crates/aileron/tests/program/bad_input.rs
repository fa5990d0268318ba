//! Bad input from outside, and guests that do what no guest should: the program itself, its words and its exit status.

use crate::guest::{Elf, GOOD, POWER_OFF_ARGS, directory, elf, file, hypercall, load, power_off, text};
use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aileron"));
    // Nothing is left in the cache folder of whoever runs the tests.
    command.env("XDG_CACHE_HOME", directory().join("cache"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// The outcome, or a failure if the program hangs.
fn finish(mut child: Child, what: &str) -> Output {
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("hangs: {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output { status, stdout, stderr }
}

fn run(arguments: &[&str]) -> Output {
    finish(start(arguments), &arguments.join(" "))
}

/// Ends with status 1 and an error that has all of `words` in it.
fn refused(arguments: &[&str], words: &[&str]) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    let line = arguments.join(" ");
    assert_eq!(output.status.code(), Some(1), "{line}: {said}");
    assert!(!said.contains("panicked at"), "{line}: {said}");
    let error = said.find("aileron: ").unwrap_or_else(|| panic!("{line}: no error among {said:?}"));
    for word in words {
        assert!(said[error..].contains(word), "{line}: expected {word:?} in {said:?}");
    }
}

#[test]
fn kernels_that_are_none() {
    let good = elf(&GOOD, &power_off());
    let cases = [
        ("empty", Vec::new(), "is empty"),
        ("text", b"#!/bin/sh\nexit 0\n".to_vec(), "not an ELF file"),
        ("header", good[..40].to_vec(), "header"),
        ("segment", good[..0x1800].to_vec(), "truncated"),
        ("x86", elf(&Elf { machine: 62, ..GOOD }, &[]), "x86-64"),
        ("ppc32", elf(&Elf { class: 1, machine: 20, ..GOOD }, &[]), "64-bit"),
        ("object", elf(&Elf { kind: 1, ..GOOD }, &[]), "executable"),
        ("huge", elf(&Elf { memory_bytes: 1 << 40, ..GOOD }, &[]), "does not fit"),
        ("endless", elf(&Elf { memory_bytes: u64::MAX, ..GOOD }, &[]), ""),
    ];
    for (name, content, word) in cases {
        let path = file(name, &content);
        let word = if word.is_empty() { "kernel" } else { word };
        // What does not fit is told by its size, everything else by the file's name.
        let place = if word == "does not fit" || name == "endless" { "kernel" } else { path.as_str() };
        refused(&["-kernel", &path, "-nographic"], &[place, word]);
    }
    refused(&["-nographic"], &["no -kernel"]);
    refused(&["-kernel", "/nonexistent/vmlinux"], &["/nonexistent/vmlinux", "No such file"]);
    refused(&["-kernel", &text(&directory())], &[&text(&directory()), "directory"]);
}

#[test]
fn values_that_are_none() {
    let kernel = file("good", &elf(&GOOD, &power_off()));
    let large = directory().join("large");
    fs::File::create(&large).unwrap().set_len(2 << 30).unwrap();
    let large = text(&large);
    let cases: &[(&[&str], &[&str])] = &[
        (&["-initrd", "/nonexistent/initrd"], &["/nonexistent/initrd", "No such file"]),
        (&["-m", "1G", "-initrd", &large], &[&large, "larger"]),
        (&["-m", "0"], &["-m 0"]),
        (&["-m", ""], &["-m", "not a size"]),
        (&["-m", "-5"], &["-m -5", "not a size"]),
        (&["-m", "1023X"], &["-m 1023X", "not a size"]),
        (&["-m", "4"], &["does not fit", "-m"]),
        (&["-m", "9999999T"], &["host", "-m"]),
        (&["-m", "99999999999T"], &["-m 99999999999T", "too large"]),
        (&["-M", "pserie"], &["-M pserie", "did you mean 'pseries'"]),
        (&["-M", "pseries,nothing=1"], &["nothing=1", "unknown property"]),
        (&["-M", "pseries,cap-nothing=on"], &["cap-nothing", "unknown capability"]),
        (&["-M", "pseries,cap-ail-modes"], &["cap-ail-modes", "property=value"]),
        (&["-M", "pseries,cap-ail-modes="], &["cap-ail-modes"]),
        (&["-M", "pseries,cap-ail-modes=1+3"], &["cap-ail-modes", "0+3"]),
        (&["-M", "pseries,cap-ail-modes=3"], &["cap-ail-modes", "0+3"]),
        (&["-M", "pseries,cap-ail-modes=9"], &["cap-ail-modes", "0x9"]),
        (&["-M", "pseries,cap-ail-modes=0x2"], &["cap-ail-modes", "0x9"]),
        (&["-M", "pseries,cap-ail-modes=0x10000000000000009"], &["cap-ail-modes", "0x9"]),
        (&["-M", "pseries,cap-ail-modes=0+3,cap-ail-mode-3=off"], &["cap-ail-modes", "cap-ail-mode-3", "contradict"]),
        (&["-M", "pseries,kernel-addr=here"], &["kernel-addr=here", "not a number"]),
        (&["-M", "pseries,kernel-addr=1"], &["kernel-addr", "multiple"]),
        (&["-M", "pseries,kernel-addr=0x7000000000"], &["0x7000000000", "does not fit"]),
        (&["-M", "pseries,dumpdtb=/nonexistent/tree"], &["/nonexistent/tree", "No such file"]),
        (&["-cpu", "power8", "-M", "mmu=radix"], &["power8", "mmu=hash"]),
        (&["-M", "max-cpu-compat=power8,mmu=radix"], &["max-cpu-compat", "mmu=hash"]),
        (&["-cpu", "power42"], &["-cpu power42", "power9"]),
        (&["-smp", "0"], &["-smp 0"]),
        (&["-smp", "1000"], &["1000", "256"]),
        (&["-smp", "3,threads=2"], &["-smp 3,threads=2", "Invalid CPU topology"]),
        (&["-smp", "6,threads=3"], &["Cannot support 3 threads/core", "power of 2"]),
        (&["-smp", "16,threads=16"], &["16 threads a core", "8"]),
        (&["-smp", "4,threads=4", "-M", "vsmt=2"], &["Cannot support VSMT mode 2", "threads/core (4)"]),
        (&["-smp", "4", "-M", "vsmt=100000"], &["vsmt=100000", "smaller vsmt"]),
        (&["-smp", "4", "-M", "vsmt=x"], &["vsmt", "'x' is not a number"]),
        (&["-smp", "2,maxcpus=6,threads=2,cores=3", "-M", "max-cpu-compat=power7"], &["2 threads a core", "POWER8"]),
        (&["-accel", "kvm"], &["-accel kvm", "emulates"]),
        (&["-accel", "lockstp"], &["-accel lockstp", "did you mean 'lockstep'"]),
        (&["-accel", "lockstep", "-smp", "2"], &["-accel lockstep", "2 vCPUs", "-smp 1"]),
        (&["-accel", "lockstep", "-rtc", "clock=host"], &["-accel lockstep", "virtual clock"]),
        (&["-accel", "tcg,tb-size=5000"], &["tb-size", "1 to 1024"]),
        (&["--code-cache-mib", "0"], &["--code-cache-mib 0", "1 to 1024"]),
        (&["-code-cache-mib", "lots"], &["-code-cache-mib lots", "whole number"]),
        (&["--code-cache", ""], &["--code-cache", "or none"]),
        (&["--jit-threshold", "0"], &["--jit-threshold 0", "from 1"]),
        (&["-serial", "file:/nonexistent/console"], &["file:/nonexistent/console", "No such file"]),
        (&["-serial", "unix:/nonexistent/console"], &["unix:/nonexistent/console", "No such file"]),
        (&["-serial", "nothing"], &["-serial nothing", "stdio"]),
        (&["-serial", "stdio", "-serial", "stdio"], &["-serial stdio"]),
        (&["-d", "int", "-D", "/nonexistent/log"], &["-D /nonexistent/log", "No such file"]),
        (&["-d", "nothing"], &["-d nothing", "unimp"]),
        (&["-nvram", "/nonexistent/nvram"], &["/nonexistent/nvram", "No such file"]),
        (&["-icount", "shift=99"], &["shift=99"]),
        (&["-rtc", "base=never"], &["never", "date"]),
        (&["-kernell", "vmlinux"], &["-kernell", "did you mean -kernel"]),
        (&["-append"], &["-append", "value"]),
        (&["disk.img"], &["disk.img"]),
    ];
    for (options, words) in cases {
        let arguments: Vec<&str> = ["-kernel", &kernel].into_iter().chain(options.iter().copied()).collect();
        refused(&arguments, words);
    }
}

/// A guest that powers off ends well, whatever became of the standard streams.
#[test]
fn closed_streams() {
    let kernel = file("closed", &elf(&GOOD, &power_off()));
    let redirections = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "</dev/null", ">/dev/full", "| true"];
    for redirection in redirections {
        let script = format!("exec \"$0\" -m 64 -nographic -kernel \"$1\" {redirection}");
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &script, env!("CARGO_BIN_EXE_aileron"), &kernel]);
        shell
            .env("XDG_CACHE_HOME", directory().join("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = finish(shell.spawn().unwrap(), &script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("panicked at"), "{redirection}: {}: {said}", output.status);
    }
}

/// Every accelerator runs a guest to its power-off, and two of them at once find no difference.
#[test]
fn accelerators() {
    let kernel = file("accelerators", &elf(&GOOD, &power_off()));
    let stats = |accel| {
        let output = run(&["-m", "64", "-nographic", "-accel", accel, "-icount", "0", "--stats", "-kernel", &kernel]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("panicked at"), "{accel}: {}: {said}", output.status);
        said
    };
    let retired = |said: &str| -> Vec<String> {
        said.lines().filter(|line| line.starts_with("retired")).map(str::to_string).collect()
    };
    let alone = retired(&stats("interp"));
    assert_eq!(alone, retired(&stats("tcg,tb-size=16")));
    assert_eq!(alone, retired(&stats("jit")));
    assert_eq!([alone.clone(), alone].concat(), retired(&stats("lockstep")));
}

/// Wild pointers and numbers: the guest gets PAPR's answer and goes on to power off.
#[test]
fn wild_calls() {
    let wild = [0, 1, 0x7ff_ffff, 0xffff_ffff, 1 << 40, 1 << 63, u64::MAX - 7, u64::MAX];
    // H_RTAS, H_REGISTER_VPA, H_PUT_TERM_CHAR, H_GET_TERM_CHAR, H_LOGICAL_MEMOP, H_SET_MODE, H_REGISTER_PROC_TBL,
    // H_PUT_TCE_INDIRECT, H_PAGE_INIT, and numbers that are none.
    let calls = [0xf000, 0xdc, 0x58, 0x54, 0xf001, 0x31c, 0x37c, 0x13c, 0x2c, 3, u64::MAX];
    for value in wild {
        let mut code = Vec::new();
        for call in calls {
            code.extend(hypercall(&[call, value, value, value, value]));
        }
        code.extend(power_off());
        assert!(code.len() * 4 <= POWER_OFF_ARGS as usize, "the code reaches into the arguments");
        let kernel = file(&format!("wild-{value:x}"), &elf(&GOOD, &code));
        let output = run(&["-m", "64", "-nographic", "-kernel", &kernel]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("panicked at"), "{value:#x}: {}: {said}", output.status);
    }
}

/// A guest in the middle of nowhere runs on, and the emulator still listens.
#[test]
fn lost_guests() {
    let cases: [(&str, Vec<u32>); 3] = [
        ("nothing", vec![0]),
        // mtctr r3; bctr
        ("nowhere", load(3, 0x7fff_ffff_fff0_0000).into_iter().chain([0x7c69_03a6, 0x4e80_0420]).collect()),
        // ld r4,0(r3): a real address without memory is a machine check, and the handler is another.
        ("machine checks", load(3, 0x00ff_ffff_ffff_0000).into_iter().chain([0xe883_0000]).collect()),
    ];
    for (name, code) in cases {
        let kernel = file(name, &elf(&GOOD, &code));
        let child = start(&["-m", "64", "-nographic", "-kernel", &kernel]);
        std::thread::sleep(Duration::from_millis(500));
        let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(kill.success(), "{name}: ended by itself");
        let output = finish(child, name);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(128 + 15), "{name}: {said}");
        assert!(said.contains("signal 15") && !said.contains("panicked at"), "{name}: {said}");
    }
}
