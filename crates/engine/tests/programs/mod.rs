//! Small bare-metal programs on the engine: interrupts at every AIL, translation, changing code,
//! watchpoints, tracing, time, and two vCPUs on one word of memory.

mod ail_table;
mod bare_metal;
mod levels;
mod real_mode;
mod stays;

use bare_metal::{Bare, CODE, ON, TABLES, at_once, k};
use cpu::bits::{dawrx, dsisr, fscr, lpcr, msr, srr1};
use cpu::model::{POWER9, POWER10};
use cpu::{CpuModel, Delivery, Interrupt, Vector};
use engine::{Engine, EngineExit};
use jit::store::Translator;
use memory::mail::{Message, pending};
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock};
use timing::Clock;
use vcpu::Observer;

/// Remembers the interrupts that were taken.
#[derive(Default)]
struct Log(Mutex<Vec<(Vector, u64, u64)>>);
impl Observer for Log {
    fn interrupt(&self, _: usize, i: &Interrupt, _: u64, d: &Delivery) {
        self.0.lock().unwrap().push((i.vector, i.return_address, d.nia));
    }
    fn unimplemented_instruction(&self, mnemonic: &str, word: u64, cia: u64) {
        panic!("{mnemonic} ({word:#x}) at {cia:#x} has no semantics");
    }
}

struct Bench {
    bare: Bare,
    log: Arc<Log>,
    translator: OnceLock<Arc<Translator>>,
}

impl Deref for Bench {
    type Target = Bare;
    fn deref(&self) -> &Bare {
        &self.bare
    }
}

impl Bench {
    fn new(model: &'static CpuModel, vcpus: usize) -> Self {
        let bare = Bare::new(model, vcpus, Clock::virtual_time(0));
        Bench { bare, log: Arc::default(), translator: OnceLock::new() }
    }

    fn engine(&self, index: usize) -> Engine {
        self.engine_as(index, super::TRANSLATED, self.log.clone())
    }

    fn engine_as(&self, index: usize, translated: bool, observer: Arc<dyn Observer>) -> Engine {
        let v = self.vcpu(index, observer);
        if translated {
            // At once, and everything.
            let translator = self.translator.get_or_init(|| Arc::new(at_once()));
            return Engine::with_translator(v, translator.clone(), 1);
        }
        Engine::new(v)
    }

    /// Runs until `sc 1`, at most `most` instructions.
    fn run(&self, e: &mut Engine, most: u64) {
        let mailbox = self.memory.hub().mailbox(e.vcpu().index);
        mailbox.set_quiet(false);
        assert_eq!(e.run(most), EngineExit::Hypercall, "log: {:x?}, nia {:#x}", self.taken(), e.vcpu().state.nia);
        mailbox.set_quiet(true);
    }

    fn taken(&self) -> Vec<(Vector, u64, u64)> {
        self.log.0.lock().unwrap().clone()
    }

    fn radix(&self, e: &mut Engine) {
        self.bare.radix(e.vcpu());
    }
}

#[test]
fn system_calls_land_where_ail_says() {
    for (model, ail, sc, scv) in [
        (&POWER9, 0, 0xC00, 0x17000 + 5 * 0x20),
        (&POWER9, 2, 0x1_8C00, 0x17000 + 5 * 0x20),
        (&POWER9, 3, 0xC000_0000_0000_4C00, 0xC000_0000_0000_3000 + 5 * 0x20),
        (&POWER10, 2, 0xC00, 0x17000 + 5 * 0x20),
        (&POWER10, 3, 0xC000_0000_0000_4C00, 0xC000_0000_0000_3000 + 5 * 0x20),
    ] {
        for (text, handler, vector) in [("sc 0", sc, Vector::SystemCall), ("scv 5", scv, Vector::SystemCallVectored)] {
            let b = Bench::new(model, 1);
            let mut e = b.engine(0);
            b.radix(&mut e);
            b.program(CODE, text);
            b.program(handler & 0xF_FFFF, "sc 1");
            let v = e.vcpu();
            v.set_lpcr(v.state.lpcr | ail << lpcr::AIL_SHIFT);
            v.state.spr.fscr = fscr::SCV;
            (v.state.lr, v.state.ctr, v.state.spr.srr0) = (1, 2, 3);
            v.set_msr(ON | msr::IR | msr::DR | msr::PR | msr::EE);
            b.run(&mut e, 100);
            assert_eq!(b.taken(), [(vector, CODE + 4, handler)], "{} AIL={ail} {text}", model.name);
            let v = e.vcpu();
            let on = ail == 3 || (ail == 2 && model.level < isa::IsaLevel::V3_1);
            assert_eq!(v.state.msr & (msr::IR | msr::DR) != 0, on);
            assert_eq!(v.state.msr & msr::PR, 0);
            if text == "scv 5" {
                assert_eq!((v.state.lr, v.state.spr.srr0), (CODE + 4, 3));
                assert_ne!(v.state.msr & msr::EE, 0, "scv keeps EE");
            } else {
                assert_eq!((v.state.lr, v.state.ctr, v.state.spr.srr0), (1, 2, CODE + 4));
                assert_eq!(v.state.msr & msr::EE, 0);
            }
        }
    }
}

#[test]
fn scv_without_the_facility_is_facility_unavailable() {
    let b = Bench::new(&POWER9, 1);
    let mut e = b.engine(0);
    b.program(CODE, "scv 0");
    b.program(0xF60, "sc 1");
    b.run(&mut e, 100);
    assert_eq!(b.taken(), [(Vector::FacilityUnavailable, CODE, 0xF60)]);
    assert_eq!(e.vcpu().state.spr.fscr >> fscr::IC_SHIFT, fscr::ic::SCV);
}

#[test]
fn process_switches_and_amr_toggles_refill_nothing() {
    let b = Bench::new(&POWER9, 1);
    let mut e = b.engine(0);
    b.radix(&mut e);
    // r3 loop count, r4 and r5 PIDs, r6 an AMR that blocks, r7 one that does not, r8 kernel data, r9 user data.
    b.program(
        CODE,
        "mtctr r3
         mtspr 48,r4
         ld r10,0(r8)
         mtspr 29,r7
         isync
         ld r11,0(r9)
         mtspr 29,r6
         isync
         mtspr 48,r5
         ld r10,0(r8)
         mtspr 29,r7
         isync
         ld r11,0(r9)
         mtspr 29,r6
         bdnz .-52
         sc 1",
    );
    let v = e.vcpu();
    v.state.gpr[3..10].copy_from_slice(&[100_000, 1, 2, 3 << 62, 0, k(0x3_0000), 0x4_0000]);
    v.state.nia = k(CODE);
    v.set_msr(ON | msr::IR | msr::DR);
    b.run(&mut e, 2_000_000);
    assert!(e.retired() > 1_300_000);
    assert!(e.stats().tlb_fills < 20, "{} fills", e.stats().tlb_fills);
    assert_eq!(b.taken(), []);
}

#[test]
fn kuap_stops_a_blocked_user_access() {
    let b = Bench::new(&POWER9, 1);
    let mut e = b.engine(0);
    b.radix(&mut e);
    b.program(CODE, "ld r3,0(r9)\nmtspr 29,r6\nisync\nld r3,0(r9)\nsc 1");
    b.program(0x300, "sc 1");
    let v = e.vcpu();
    (v.state.gpr[6], v.state.gpr[9]) = (1 << 62, 0x4_0000);
    v.state.nia = k(CODE);
    v.set_msr(ON | msr::IR | msr::DR);
    b.run(&mut e, 100);
    assert_eq!(b.taken(), [(Vector::DataStorage, k(CODE) + 12, 0x300)]);
    assert_eq!((e.vcpu().state.spr.dsisr, e.vcpu().state.spr.dar), (dsisr::PROTECTION, 0x4_0000));
}

#[test]
fn a_fault_across_a_page_writes_nothing() {
    let b = Bench::new(&POWER9, 1);
    let mut e = b.engine(0);
    b.radix(&mut e);
    // The second page of the crossing access is not there.
    b.memory.write(TABLES + 0x4_2000 + 0x41 * 8, &[0; 8]).unwrap();
    b.program(CODE, "stdu r5,-8(r4)\nsc 1");
    b.program(0x300, "sc 1");
    let v = e.vcpu();
    (v.state.gpr[4], v.state.gpr[5]) = (0x4_1004, u64::MAX);
    v.state.nia = k(CODE);
    v.set_msr(ON | msr::IR | msr::DR);
    b.run(&mut e, 100);
    assert_eq!(b.taken(), [(Vector::DataStorage, k(CODE), 0x300)]);
    let v = e.vcpu();
    assert_eq!((v.state.gpr[4], v.state.spr.dar), (0x4_1004, 0x4_1000));
    assert_eq!(v.state.spr.dsisr, dsisr::NO_TRANSLATION | dsisr::STORE);
    assert_eq!(b.memory.read_be_u64(0x4_0FF8), Some(0), "the first page is untouched");
}

#[test]
fn dar_of_a_pair_is_its_lower_address() {
    for order in [0, msr::LE] {
        let b = Bench::new(&POWER9, 1);
        let mut e = b.engine(0);
        b.radix(&mut e);
        b.memory.write(TABLES + 0x4_2000 + 0x41 * 8, &[0; 8]).unwrap();
        let at = if order == 0 { CODE ^ 0x1000 } else { CODE };
        for (n, text) in ["lfdp f2,0(r4)", "sc 1"].into_iter().enumerate() {
            let word = isa::assemble(text).unwrap() as u32;
            let bytes = if order == 0 { word.to_be_bytes() } else { word.to_le_bytes() };
            b.memory.write(at + 4 * n as u64, &bytes).unwrap();
        }
        b.program(0x300, "sc 1");
        let v = e.vcpu();
        v.set_lpcr(v.state.lpcr | lpcr::ILE);
        v.state.gpr[4] = 0x4_1010;
        v.state.nia = k(at);
        v.set_msr(ON & !msr::LE | order | msr::IR | msr::DR | msr::FP);
        b.run(&mut e, 100);
        assert_eq!(b.taken(), [(Vector::DataStorage, k(at), 0x300)]);
        assert_eq!(e.vcpu().state.spr.dar, 0x4_1010, "{order:#x}");
    }
}

#[test]
fn code_that_changes_itself_is_seen() {
    let b = Bench::new(&POWER9, 1);
    let mut e = b.engine(0);
    // Calls an instruction, patches it (in the same page), calls it again.
    b.program(
        CODE,
        "bl .+28
         stw r4,0(r5)
         dcbst 0,r5
         sync 0,0
         icbi 0,r5
         isync
         b .+12
         addi r3,r3,1
         blr
         bl .-8
         sc 1",
    );
    let v = e.vcpu();
    v.state.gpr[4] = isa::assemble("addi r3,r3,100").unwrap();
    v.state.gpr[5] = CODE + 28;
    b.run(&mut e, 100);
    assert_eq!(e.vcpu().state.gpr[3], 101);
}

#[test]
fn writes_from_outside_drop_code() {
    let b = Bench::new(&POWER9, 1);
    let mut e = b.engine(0);
    b.program(CODE, "addi r3,r3,1\nsc 1");
    b.run(&mut e, 10);
    b.program(CODE, "addi r3,r3,10\nsc 1");
    e.vcpu().state.nia = CODE;
    b.run(&mut e, 10);
    assert_eq!(e.vcpu().state.gpr[3], 11);
}

#[test]
fn watchpoints_fire_before_the_access() {
    let b = Bench::new(&POWER9, 1);
    let mut e = b.engine(0);
    b.program(CODE, "ld r3,0(r4)\nstd r5,8(r4)\nld r3,8(r4)\nsc 1");
    b.program(0x300, "sc 1");
    let v = e.vcpu();
    (v.state.gpr[4], v.state.gpr[5]) = (0x2_0000, 7);
    v.set_dawr(0, 0x2_0008, dawrx::DW | dawrx::PRIV_PRIVILEGED | dawrx::WTI);
    b.run(&mut e, 10);
    assert_eq!(b.taken(), [(Vector::DataStorage, CODE + 4, 0x300)]);
    assert_eq!(e.vcpu().state.spr.dsisr, dsisr::WATCHPOINT | dsisr::STORE);
    assert_eq!(b.memory.read_be_u64(0x2_0008), Some(0));
    // Disarmed, the store goes through.
    e.vcpu().set_dawr(0, 0, 0);
    e.vcpu().state.nia = CODE;
    e.vcpu().set_msr(ON);
    b.run(&mut e, 10);
    assert_eq!(e.vcpu().state.gpr[3], 7);
}

#[test]
fn single_step_branch_trace_and_ciabr() {
    let step = |bits: u64, ciabr: u64| {
        let b = Bench::new(&POWER9, 1);
        let mut e = b.engine(0);
        b.program(CODE, "li r3,1\nb .+8\nli r3,9\nli r4,2\nsc 1");
        b.program(0xD00, "sc 1");
        e.vcpu().set_msr(ON | bits);
        e.vcpu().set_ciabr(ciabr);
        b.run(&mut e, 10);
        (b.taken(), e.vcpu().state.spr.srr1)
    };
    let (taken, cause) = step(msr::SE, 0);
    assert_eq!(taken, [(Vector::Trace, CODE + 4, 0xD00)]);
    assert_ne!(cause & srr1::TRACE, 0);
    assert_eq!(step(msr::BE, 0).0, [(Vector::Trace, CODE + 12, 0xD00)]);
    let (taken, cause) = step(0, (CODE + 12) | 2);
    assert_eq!(taken, [(Vector::Trace, CODE + 16, 0xD00)]);
    assert_ne!(cause & srr1::TRACE_CIABR, 0);
    assert_eq!(step(0, (CODE + 12) | 1).0, [], "CIABR for problem state only");
}

#[test]
fn the_decrementer_interrupts_at_an_exact_count() {
    let run = |ticks: u64| {
        let b = Bench::new(&POWER9, 1);
        let mut e = b.engine(0);
        b.program(CODE, "mtspr 22,r4\nli r3,0\naddi r3,r3,1\naddi r3,r3,1\nb .-8");
        b.program(0x900, "sc 1");
        e.vcpu().state.gpr[4] = ticks;
        e.vcpu().set_msr(ON | msr::EE);
        b.run(&mut e, 1_000_000);
        (e.retired(), e.vcpu().state.gpr[3], b.taken()[0].1)
    };
    // One instruction a nanosecond, 512 ticks a microsecond: 64 ticks are 125 instructions.
    let (retired, count, _) = run(6400);
    assert!((12_500..12_510).contains(&retired), "{retired}");
    assert!(count > 8000);
    assert_eq!(run(6400), run(6400));
    assert_ne!(run(6400).2, run(6401).2, "two instructions later, in the middle of the loop");
}

#[test]
fn a_masked_decrementer_waits_as_a_level() {
    let b = Bench::new(&POWER9, 1);
    let mut e = b.engine(0);
    b.program(CODE, "li r4,-1\nmtspr 22,r4\nli r3,1\nmtmsrd r5,1\nli r3,2\nsc 1");
    b.program(0x900, "sc 1");
    e.vcpu().state.gpr[5] = msr::EE | msr::RI;
    b.run(&mut e, 100);
    assert_eq!(b.taken(), [(Vector::Decrementer, CODE + 16, 0x900)]);
    assert_eq!(e.vcpu().state.gpr[3], 1);
    // Positive again: the level is gone.
    e.vcpu().set_decrementer(1 << 40);
    assert_eq!(e.vcpu().mailbox().pending() & pending::DECREMENTER, 0);
}

#[test]
fn a_slice_ends_in_the_middle_of_a_block_and_goes_on() {
    let b = Bench::new(&POWER9, 1);
    let mut e = b.engine(0);
    let text = "addi r3,r3,1\n".repeat(20) + "sc 1";
    b.program(CODE, &text);
    for n in 1..=20 {
        assert_eq!(e.run(1), EngineExit::Budget);
        assert_eq!((e.retired(), e.vcpu().state.gpr[3], e.vcpu().state.nia), (n, n, CODE + 4 * n));
    }
    b.run(&mut e, 5);
    assert_eq!(e.retired(), 21);
}

#[test]
fn nowhere_is_an_interrupt_and_the_engine_goes_on() {
    for nia in [0x7000_0000u64, 0x0FFF_FFFF_FFFF_FFFC, 0x80_0000 - 4] {
        let b = Bench::new(&POWER9, 1);
        let mut e = b.engine(0);
        // No handler either: a loop of machine checks and illegal instructions must come back.
        e.vcpu().state.nia = nia;
        assert_eq!(e.run(10_000), EngineExit::Budget, "{nia:#x}");
    }
}

#[test]
fn two_vcpus_count_together() {
    let b = Bench::new(&POWER9, 2);
    // A counter with larx/stcx., then a plain one under a spin lock.
    b.program(
        CODE,
        "lwarx r6,0,r4,0
         addi r6,r6,1
         stwcx. r6,0,r4
         bne .-12
         lwarx r6,0,r5,0
         cmpwi r6,0
         bne .-8
         stwcx. r7,0,r5
         bne .-16
         isync
         lwz r8,4(r4)
         addi r8,r8,1
         stw r8,4(r4)
         lwsync
         stw r9,0(r5)
         bdnz .-60
         sc 1",
    );
    let threads: Vec<_> = (0..2)
        .map(|n| {
            let mut e = b.engine(n);
            let v = e.vcpu();
            v.state.ctr = 50_000;
            (v.state.gpr[4], v.state.gpr[5], v.state.gpr[7], v.state.gpr[9]) = (0x2_0000, 0x2_0100, 1, 0);
            std::thread::spawn(move || {
                let exit = e.run(u64::MAX);
                e.vcpu().mailbox().set_quiet(true);
                exit
            })
        })
        .collect();
    for t in threads {
        assert_eq!(t.join().unwrap(), EngineExit::Hypercall);
    }
    let mut bytes = [0; 8];
    b.memory.read(0x2_0000, &mut bytes).unwrap();
    assert_eq!(u64::from_le_bytes(bytes), 100_000 << 32 | 100_000);
}

#[test]
fn tlbie_is_over_when_tlbsync_is() {
    // vCPU 1 writes through a translation in a loop; vCPU 0 takes the page away.
    let b = Bench::new(&POWER9, 2);
    let mut writer = b.engine(1);
    b.radix(&mut writer);
    b.program(CODE, "std r5,0(r4)\nb .-4");
    b.program(0x300, "sc 1");
    let v = writer.vcpu();
    (v.state.gpr[4], v.state.gpr[5]) = (0x4_0000, 1);
    v.state.nia = k(CODE);
    v.set_msr(ON | msr::IR | msr::DR);
    let mut other = b.engine(0);
    b.radix(&mut other);
    b.program(CODE + 0x1000, "tlbie r4,r5,0,1,1\neieio\ntlbsync\nptesync\nsc 1");
    let v = other.vcpu();
    (v.state.gpr[4], v.state.gpr[5]) = (0x4_0000, 1 << 32);
    v.state.nia = CODE + 0x1000;
    let t = std::thread::spawn(move || {
        let exit = writer.run(u64::MAX);
        writer.vcpu().mailbox().set_quiet(true);
        (exit, writer)
    });
    std::thread::sleep(std::time::Duration::from_millis(20));
    let pte = TABLES + 0x4_2000 + 0x40 * 8;
    b.memory.write(pte, &[0; 8]).unwrap();
    b.run(&mut other, 100);
    // Nobody may write to the old page from here on.
    b.memory.write(0x4_0000, &[0; 8]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(b.memory.read_be_u64(0x4_0000), Some(0));
    let (exit, mut writer) = t.join().unwrap();
    assert_eq!(exit, EngineExit::Hypercall);
    assert_eq!(writer.vcpu().state.spr.dar, 0x4_0000);
}

/// A program that uses its stack, or a kernel its r13, and a system call in between that changes where that page is: by the
/// page table, or by another process.
#[test]
fn a_page_at_hand_is_where_the_tables_say() {
    const LOOPS: u64 = 100;
    // Of process 2, each page but that of the code is the one beside it.
    let beside = |b: &Bench| {
        let entry = |at: u64| b.memory.read_be_u64(at).unwrap();
        let put = |at: u64, v: u64| b.memory.write(at, &v.to_be_bytes()).unwrap();
        let moved = TABLES + 0x5_0000;
        // The levels of process 1's tables, and where the copies stand.
        let levels = [TABLES + 0x2_0000, TABLES + 0x4_0000, TABLES + 0x4_1000, TABLES + 0x4_2000];
        put(TABLES + 2 * 16, entry(TABLES + 2 * 16) ^ levels[0] ^ moved);
        for n in 0..3 {
            let (here, next) = (moved + 0x1000 * n, moved + 0x1000 * (n + 1));
            put(here, entry(levels[n as usize]) ^ levels[n as usize + 1] ^ next);
        }
        for page in 0..512 {
            let of = if page == CODE >> 12 { page } else { page ^ 1 };
            put(moved + 0x3000 + page * 8, entry(levels[3] + of * 8));
        }
    };
    let moves = "ld r7,0(r5)\nxor r7,r7,r6\nstd r7,0(r5)\nptesync\ntlbie r9,r10,0,1,1\neieio\ntlbsync\nptesync\nrfid";
    let switches = "mfspr r7,48\nxori r7,r7,3\nmtspr 48,r7\nisync\nrfid";
    for (handler, problem) in [(moves, true), (switches, true), (moves, false)] {
        let b = Bench::new(&POWER9, 1);
        let mut e = b.engine(0);
        b.radix(&mut e);
        beside(&b);
        let base = if problem { 1 } else { 13 };
        let text = format!(
            "std r3,8(r{base})
             std r3,520(r{base})
             ld r4,8(r{base})
             add r8,r8,r4
             sc 0
             ld r4,8(r{base})
             add r11,r11,r4
             addi r3,r3,-1
             cmpdi r3,0
             bne .-36
             sc 1"
        );
        b.program(CODE, &text);
        b.program(0xC00, handler);
        let v = e.vcpu();
        let on = ON | msr::IR | msr::DR;
        let (msr, nia, ea, leaves) =
            if problem { (on | msr::PR, CODE, 0x4_0000, 0x4_2000) } else { (on, k(CODE), k(0x4_0000), 0x3_2000) };
        v.state.gpr[base] = ea;
        (v.state.gpr[3], v.state.gpr[5]) = (LOOPS, TABLES + leaves + 0x40 * 8);
        // The next page, in a big-endian entry; `tlbie` of a page, of this process.
        (v.state.gpr[6], v.state.gpr[9]) = (0x1000u64.swap_bytes(), ea);
        v.state.gpr[10] = if problem { 1 << 32 } else { 0 };
        v.state.nia = nia;
        v.set_msr(msr);
        b.run(&mut e, 100_000);
        // Behind the call stands what was stored there the last time but one; r3 counts down.
        let (stored, found) = ((1..=LOOPS).sum::<u64>(), (2..=LOOPS).sum::<u64>());
        assert_eq!((e.vcpu().state.gpr[8], e.vcpu().state.gpr[11]), (stored, found), "{handler} {problem}");
    }
}

#[test]
fn lpcr_messages_reach_a_vcpu_in_a_loop() {
    let b = Bench::new(&POWER9, 2);
    let mut looping = b.engine(1);
    b.program(CODE, "b .");
    let mut poster = b.engine(0);
    let t = std::thread::spawn(move || {
        let exit = looping.run(u64::MAX);
        (exit, looping)
    });
    let ail3 = 3 << lpcr::AIL_SHIFT;
    b.memory.hub().broadcast(Some(0), Message::UpdateLpcr { mask: lpcr::AIL, value: ail3 });
    poster.vcpu().wait_for_all();
    poster.vcpu().mailbox().set_quiet(true);
    b.memory.hub().mailbox(1).raise(pending::STOP);
    let (exit, mut looping) = t.join().unwrap();
    assert_eq!(exit, EngineExit::Stopped);
    assert_eq!(looping.vcpu().state.lpcr & lpcr::AIL, ail3);
}
