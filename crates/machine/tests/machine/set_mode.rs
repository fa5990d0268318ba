//! What `H_SET_MODE` sets takes effect: watchpoints fire in code that was running before, on every engine, and the byte order of
//! interrupts is there on every vCPU, whatever it does, before the caller goes on.

use crate::guest::{config, image};
use cpu::CpuModel;
use cpu::model::{POWER8, POWER9, POWER10};
use hypervisor::capability::{CapBasis, resolve};
use machine::{Accelerator, AcceleratorKind, Config, End, Machine, Topology};
use std::time::Duration;
use timing::Clock;

/// Where the RTAS block, handlers and data stand in the image.
const BLOCK: u32 = 0x100;
const TRACE: u32 = 0x140;
const STORAGE: u32 = 0x180;
const DATA: u64 = 0x7000;
/// Rounds with the watchpoint.
const ROUNDS: u64 = 0x400;
/// In the loop: the store, and what is behind it.
const STORE: u64 = 0x30;

fn assembled(text: &str) -> Vec<u32> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| isa::assemble(line).unwrap_or_else(|error| panic!("{line}: {error}")) as u32).collect()
}

/// Puts `ba` to offset `to` of the image at `at`.
fn vector(at: u32, to: u32) -> String {
    format!("addis r5,0,0x4840\nori r5,r5,{}\nstw r5,{at}(0)\n", to | 2)
}

const POWER_OFF: &str = "addis r3,0,0\nori r3,r3,0xf000\naddi r4,r30,0x100\nsc 1\nb .\n";

/// The image: code, the RTAS block that switches off, and parts behind it.
fn kernel(code: &str, parts: &[(u32, Vec<u32>)]) -> std::path::PathBuf {
    let mut block = vec![0x2003, 2, 1, 0, 0, 0];
    for (at, words) in parts {
        block.resize((at - BLOCK) as usize / 4, 0);
        block.extend(words);
    }
    let code = assembled(code);
    assert!(code.len() <= 64, "{}", code.len());
    assert!(block.len() <= 64, "{}", block.len());
    image(&code, &block)
}

fn run(config: Config) -> (End, u64) {
    let mut machine = Machine::new(config).unwrap();
    let handle = machine.handle();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(30));
        handle.quit("the guest hangs");
    });
    let end = machine.run().unwrap();
    (end, machine.stats().translated)
}

/// A call of `H_SET_MODE`: resource, values, and whether the interrupt comes then.
#[derive(Debug, Clone, Copy)]
struct Watch {
    resource: u64,
    /// From the beginning of the image.
    value1: u64,
    value2: u64,
    fires: bool,
    /// What DSISR says, in its upper half, and DAR, from the beginning of the image.
    dsisr: u64,
    dar: u64,
}

/// Stores and loads in a loop without the watchpoint, then with it.
fn guest(watch: Watch, first: &str) -> std::path::PathBuf {
    let Watch { resource, value1, value2, fires, dsisr, dar } = watch;
    let times = if fires { ROUNDS } else { 0 };
    let code = format!(
        "or r30,r4,r4
         {}{}addi r31,0,0
         addi r20,0,0
         {first}
         mtspr 9,r21
         addi r8,r8,1
         std r8,{DATA}(r30)
         ld r9,{}(r30)
         bdnz .-12
         cmpdi 0,r20,0
         bne .+48
         addi r20,0,1
         addi r21,0,{ROUNDS}
         addi r3,0,0x31c
         addi r4,0,0
         addi r5,0,{resource}
         addi r6,r30,{value1}
         addi r7,0,{value2}
         sc 1
         cmpdi 0,r3,0
         bne .
         b .-68
         cmpdi 0,r31,{times}
         bne .
         {POWER_OFF}",
        vector(0xd00, TRACE),
        vector(0x300, STORAGE),
        DATA + 8,
    );
    assert_eq!(assembled(&code)[STORE as usize / 4], isa::assemble(&format!("std r8,{DATA}(r30)")).unwrap() as u32);
    let same = |register: &str| format!("{register}\ncmpld 0,r10,r11\nbne .\n");
    let trace = [
        same("mfspr r10,27\nandis. r10,r10,0x4010\naddis r11,0,0x4010"),
        same(&format!("mfspr r10,26\naddi r11,r30,{}", STORE + 4)),
        "addi r31,r31,1\nrfid".to_owned(),
    ];
    let storage = [
        same(&format!("mfspr r10,18\naddis r11,0,{dsisr}")),
        same(&format!("mfspr r10,19\naddi r11,r30,{dar}")),
        "mfspr r10,26\naddi r10,r10,4\nmtspr 26,r10\naddi r31,r31,1\nrfid".to_owned(),
    ];
    kernel(&code, &[(TRACE, assembled(&trace.concat())), (STORAGE, assembled(&storage.concat()))])
}

/// On every engine. Before the watchpoint is set the loop runs for so long that it is translated.
fn watched(model: &'static CpuModel, watch: Watch) {
    let capabilities = resolve(&[], CapBasis { cpu: model.level.into(), compat: None }).unwrap().0;
    let mut in_generated_code = 0;
    for kind in [AcceleratorKind::Interp, AcceleratorKind::Jit, AcceleratorKind::Lockstep] {
        let lockstep = kind == AcceleratorKind::Lockstep;
        let path = guest(watch, if lockstep { "addi r21,0,0x100" } else { "addis r21,0,4" });
        let clocks = [Clock::virtual_time(0), Clock::real(None)];
        for clock in clocks.into_iter().take(if lockstep { 1 } else { 2 }) {
            let (end, translated) = run(Config {
                model,
                capabilities: capabilities.clone(),
                topology: Topology::cores(1),
                numa: machine::numa::Numa::one(&Topology::cores(1), 64 << 20),
                accelerator: Accelerator { kind, threshold: 1, ..Accelerator::default() },
                ..config(path.clone(), clock)
            });
            assert_eq!(end, End::PowerOff, "{} {watch:x?} {kind:?}", model.name);
            in_generated_code += translated;
        }
        std::fs::remove_file(path).unwrap();
    }
    assert!(in_generated_code > 0, "nothing was translated");
}

#[test]
fn watchpoints_that_were_set_fire() {
    const LOAD: u64 = 0x0040;
    const BOTH: u64 = 0x0240;
    let ciabr =
        |private: u64, fires| Watch { resource: 1, value1: STORE + private, value2: 0, fires, dsisr: 0, dar: 0 };
    let dawr = |resource, at, value2, fires, dsisr| {
        let dar = if dsisr == LOAD { DATA + 8 } else { DATA };
        Watch { resource, value1: at, value2, fires, dsisr, dar }
    };
    for model in [&POWER8, &POWER9, &POWER10] {
        // CIABR[PRIV]: privileged state, problem state, never.
        watched(model, ciabr(2, true));
        watched(model, ciabr(1, false));
        watched(model, ciabr(0, false));
        // DAWRX: stores (0x40) or loads (0x20), in privileged (2) or problem state (1), with translation (0x10), or whatever
        // it is (8).
        watched(model, dawr(2, DATA, 0x4a, true, BOTH));
        watched(model, dawr(2, DATA, 0x42, true, BOTH));
        watched(model, dawr(2, DATA, 0x52, false, 0));
        watched(model, dawr(2, DATA, 0x49, false, 0));
        watched(model, dawr(2, DATA, 0x2a, false, 0));
        watched(model, dawr(2, DATA + 8, 0x2a, true, LOAD));
        // Two doublewords: the load is behind the watched store.
        watched(model, dawr(2, DATA - 8, 0x44a, true, BOTH));
    }
    watched(&POWER10, dawr(5, DATA, 0x4a, true, BOTH));
}

/// In the image: the block that starts vCPU 1, where it begins, and handlers in either byte order.
const START: u32 = 0x120;
const SECOND: u32 = 0x140;
const BIG: u32 = 0x1d0;
const LITTLE: u32 = 0x1d8;
/// The words by which both talk, beside [`DATA`].
const GO: u64 = DATA + 8;

/// Puts a branch to a handler at 0xC00, in the byte order that is asked for then.
fn byte_order(little: bool) -> String {
    let word = 0x4840_0002 | if little { LITTLE } else { BIG };
    let word = if little { word.swap_bytes() } else { word };
    format!(
        "addis r5,0,{}\nori r5,r5,{}\nstw r5,0xc00(0)
         addi r3,0,0x31c\naddi r4,0,{}\naddi r5,0,4\naddi r6,0,0\naddi r7,0,0\nsc 1\n",
        (word >> 16) as i16,
        word & 0xffff,
        u8::from(little)
    )
}

fn handlers() -> [(u32, Vec<u32>); 2] {
    let handler = assembled("addi r31,r31,1\nrfid");
    let turned = handler.iter().map(|word| word.swap_bytes()).collect();
    [(BIG, handler), (LITTLE, turned)]
}

/// vCPU 0 changes the byte order of interrupts while vCPU 1 is stopped, asleep, and in a loop; each time vCPU 1 then makes a
/// system call, whose handler is one in the right byte order only.
#[test]
fn byte_order_is_there_on_every_vcpu_before_the_caller_goes_on() {
    let wait = |number: u32| format!("ld r9,{DATA}(r30)\ncmpdi 0,r9,{number}\nbne .-8\n");
    let delay = "addis r5,0,4\nmtspr 9,r5\nbdnz .\n";
    let code = [
        "or r30,r4,r4\n".to_owned(),
        byte_order(true),
        format!("addis r3,0,0\nori r3,r3,0xf000\naddi r4,r30,{START}\nsc 1\n"),
        wait(1),
        delay.to_owned(),
        byte_order(false),
        "addi r3,0,0xe8\naddi r4,0,1\nsc 1\n".to_owned(),
        wait(2),
        delay.to_owned(),
        byte_order(true),
        format!("addi r9,0,3\nstd r9,{GO}(r30)\n"),
        wait(3),
        POWER_OFF.to_owned(),
    ];
    let second = format!(
        "or r30,r3,r3
         addi r31,0,0
         addis r9,0,0x7fff
         mtspr 22,r9
         sc 0
         std r31,{DATA}(r30)
         addi r3,0,0xe0
         sc 1
         sc 0
         std r31,{DATA}(r30)
         ld r9,{GO}(r30)
         cmpdi 0,r9,3
         bne .-8
         sc 0
         std r31,{DATA}(r30)
         b ."
    );
    let start = vec![0x2006, 3, 1, 1, 0x40_0000 + SECOND, 0x40_0000, 0];
    let [big, little] = handlers();
    let path = kernel(&code.concat(), &[(START, start), (SECOND, assembled(&second)), big, little]);
    for kind in [AcceleratorKind::Interp, AcceleratorKind::Jit] {
        for clock in [Clock::virtual_time(0), Clock::real(None)] {
            let accelerator = Accelerator { kind, threshold: 1, ..Accelerator::default() };
            let (end, _) = run(Config { accelerator, ..config(path.clone(), clock) });
            assert_eq!(end, End::PowerOff, "{kind:?}");
        }
    }
    std::fs::remove_file(path).unwrap();
}

/// Each boot finds big-endian interrupts, asks for little-endian ones, and boots again.
#[test]
fn a_reset_takes_the_byte_order_back() {
    let ask = byte_order(true);
    let (_, call) = ask.split_once("stw r5,0xc00(0)").unwrap();
    let code =
        format!("or r30,r4,r4\n{}addi r31,0,0\nsc 0\ncmpdi 0,r31,1\nbne .\n{call}{POWER_OFF}", vector(0xc00, BIG));
    let mut block = vec![0x2004, 0, 1, 0];
    block.resize((BIG - BLOCK) as usize / 4, 0);
    block.extend(handlers().into_iter().flat_map(|(_, words)| words));
    let path = image(&assembled(&code), &block);
    let mut machine = Machine::new(Config { no_reboot: false, ..config(path.clone(), Clock::real(None)) }).unwrap();
    let handle = machine.handle();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        handle.quit("enough");
    });
    assert_eq!(machine.run().unwrap(), End::Quit("enough".into()));
    std::fs::remove_file(path).unwrap();
    // A boot that hangs would retire millions.
    let stats = machine.stats();
    assert!(stats.hypercalls >= 4 && stats.retired <= 20 * stats.hypercalls + 20, "{stats}");
}
