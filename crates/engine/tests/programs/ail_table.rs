//! Every row of the AIL table that a program can bring about, brought about by a program; the others by a hook.

use super::Bench;
use super::bare_metal::{CODE, TABLES};
use crate::TRANSLATED;
use cpu::ail_table::{Reach, Row, Saves, rows};
use cpu::bits::{dawrx, fscr, lpcr, msr};
use cpu::slb::{SlbEntry, VALID};
use cpu::{Interrupt, State, Vector};
use engine::Engine;
use memory::hpt::PageSizes;
use memory::mail::pending;
use memory::{HashTable, Memory};
use std::collections::BTreeMap;
use std::sync::Arc;
use vcpu::Silent;

/// Where the programs stand, little-endian; big-endian ones a page behind. Each has 16 bytes.
const PROGRAMS: u64 = 0x3_0000;
/// A branch to each program, in the same place a few pages behind: translated code is entered behind the first block.
const ENTRIES: u64 = 0x4000;
/// A page of data.
const DATA: u64 = 0x2_0000;
/// A page that is mapped to where there is nothing, and the real address there.
const NOTHING_EA: u64 = 0x5_0000;
const NOTHING_RA: u64 = 0x7000_0000;
/// An address without translation, and one without a segment.
const UNMAPPED: u64 = 0x30_0000;

/// How a program brings an interrupt about: its text, r4, further bits of MSR, and what it saves as return address.
struct Way {
    text: &'static str,
    r4: u64,
    msr: u64,
    /// From the program's start, or the address itself.
    saved: Saved,
}

enum Saved {
    Behind(u64),
    R4,
}

/// An instruction that does nothing, and the call that ends a program which was not interrupted.
const NOTHING: &str = "ori r6,r6,0\nsc 1";

fn way(row: &Row) -> Option<Way> {
    let way = |text, r4, msr, behind| Some(Way { text, r4, msr, saved: Saved::Behind(behind) });
    let hash = !row.model.radix;
    // Outside of every segment; with radix trees only an address of 64 bits is.
    let no_segment = if hash { 0x1000_0000 } else { 0x4000_0000_0000_0000 };
    match (row.reach, row.vector) {
        (Reach::Hypervisor | Reach::NoTranslation, _) => None,
        (_, Vector::SystemReset) => way(NOTHING, 0, 0, 0),
        // The program lets it in.
        (_, Vector::External | Vector::Decrementer | Vector::DirectedPrivilegedDoorbell) => {
            way("mtmsrd r4,1\nori r6,r6,0\nsc 1", msr::EE | msr::RI, 0, 4)
        }
        (_, Vector::MachineCheck) => way("ld r5,0(r4)\nsc 1", if row.dr { NOTHING_EA } else { NOTHING_RA }, 0, 0),
        (_, Vector::DataStorage) => way("std r5,0(r4)\nsc 1", DATA, 0, 0),
        (_, Vector::DataSegment) if row.dr && (row.sf || hash) => way("ld r5,0(r4)\nsc 1", no_segment, 0, 0),
        (_, Vector::InstructionStorage) if row.ir => {
            Some(Way { text: "mtctr r4\nbctr\nsc 1", r4: UNMAPPED, msr: 0, saved: Saved::R4 })
        }
        (_, Vector::InstructionSegment) if row.ir && (row.sf || hash) => {
            Some(Way { text: "mtctr r4\nbctr\nsc 1", r4: no_segment, msr: 0, saved: Saved::R4 })
        }
        (_, Vector::Alignment) => way("ldarx r5,0,r4,0\nsc 1", DATA + 1, 0, 0),
        (_, Vector::Program) => way("tw 31,0,0\nsc 1", 0, 0, 0),
        (_, Vector::FpUnavailable) => way("fmr f1,f2\nsc 1", 0, 0, 0),
        (_, Vector::SystemCall) => way("sc 0\nsc 1", 0, 0, 4),
        (_, Vector::Trace) => way(NOTHING, 0, msr::SE, 4),
        (_, Vector::VectorUnavailable) => way("vor v1,v1,v1\nsc 1", 0, 0, 0),
        (_, Vector::VsxUnavailable) => way("xxlor vs1,vs1,vs1\nsc 1", 0, 0, 0),
        // TAR, where there is no scv: for problem state only.
        (_, Vector::FacilityUnavailable) if hash => way("mfspr r5,815\nsc 1", 0, msr::PR, 0),
        (_, Vector::FacilityUnavailable) => way("scv 0\nsc 1", 0, 0, 0),
        (_, Vector::SystemCallVectored) => {
            let text = match row.level {
                0 => "scv 0\nsc 1",
                1 => "scv 1\nsc 1",
                _ => "scv 127\nsc 1",
            };
            way(text, 0, msr::EE, 4)
        }
        // Nothing here counts events.
        _ => None,
    }
}

fn put(memory: &Memory, at: u64, text: &str, little_endian: bool) {
    for (n, line) in text.lines().enumerate() {
        let at = at + 4 * n as u64;
        let word = isa::assemble_at(line, at).unwrap_or_else(|e| panic!("{line}: {e}")) as u32;
        let bytes = if little_endian { word.to_le_bytes() } else { word.to_be_bytes() };
        memory.write(at, &bytes).unwrap();
    }
}

/// Real addresses below 1 MiB, 4K pages, at 0 and at 0xC000000000000000.
fn hash_table(memory: &Memory, engine: &mut Engine) {
    let table = HashTable::new(18, PageSizes::up_to(16));
    for (n, first) in [(0, 0), (1, 0xC000_0000_0000_0000)] {
        let vsid = 0x100u64 << n;
        engine.vcpu().state.slb[n] = SlbEntry { esid: first | VALID, vsid: vsid << 12 };
        for page in 0..0x60u64 {
            let real = if page << 12 == NOTHING_EA { NOTHING_RA } else { page << 12 };
            let va = vsid << 28 | page << 12;
            let index = ((vsid ^ page) & 0x7FF) * 8;
            assert!(table.try_lock_free(index));
            table.set_second(index, real | 2);
            table.unlock(index, va >> 23 << 7 | 1);
        }
    }
    memory.set_hash_table(Arc::new(table));
    engine.vcpu().take_hash_table();
}

fn prepare(bench: &Bench, engine: &mut Engine, ile: bool) {
    if bench.model.radix {
        bench.radix(engine);
        let entry = TABLES + 0x4_2000 + (NOTHING_EA >> 12) * 8;
        bench.memory.write(entry, &(3 << 62 | NOTHING_RA | 7u64).to_be_bytes()).unwrap();
    } else {
        hash_table(&bench.memory, engine);
    }
    for row in rows().filter(|row| row.saves != Saves::Hsrr) {
        put(&bench.memory, row.address & 0xF_FFFF, "sc 1", ile);
    }
}

/// What the interrupt left: for a program, the state at the handler.
fn check(row: &Row, before: &State, after: &State, return_address: u64) {
    let old = before.msr;
    let what = format!("{row:x?} MSR {old:#x}");
    assert_eq!((after.nia, after.msr), (row.address, row.new_msr(old) & row.model.msr_mask), "{what}");
    let untouched = |s: &State| (s.gpr, s.cr(), s.spr.amr);
    assert_eq!(untouched(after), untouched(before), "{what}");
    let saved = old & !0x783F_0000;
    match row.saves {
        Saves::Srr => {
            assert_eq!((after.spr.srr0, after.spr.srr1 & !0x783F_0000), (return_address, saved), "{what}");
            assert_eq!(after.lr, before.lr, "{what}");
        }
        Saves::LrCtr => {
            assert_eq!((after.lr, after.ctr), (return_address, saved), "{what}");
            assert_eq!((after.spr.srr0, after.spr.srr1), (before.spr.srr0, before.spr.srr1), "{what}");
        }
        Saves::Hsrr => {
            assert_eq!((after.lr, after.ctr), (before.lr, before.ctr), "{what}");
            assert_eq!((after.spr.srr0, after.spr.srr1), (before.spr.srr0, before.spr.srr1), "{what}");
        }
    }
    if !row.writes.contains("DAR") {
        assert_eq!(after.spr.dar, before.spr.dar, "{what}");
    }
    if !row.writes.contains("DSISR") || row.saves == Saves::Hsrr {
        assert_eq!(after.spr.dsisr, before.spr.dsisr, "{what}");
    }
}

/// Runs one row on one engine; gives the state behind it, whether a program did it, and whether generated code took the
/// interrupt.
fn take(engine: &mut Engine, bench: &Bench, row: &Row, programs: &[&'static str]) -> (State, bool, bool) {
    let way = way(row);
    let v = engine.vcpu();
    let stays = v.state.lpcr & !(lpcr::AIL | lpcr::ILE | lpcr::HAIL | lpcr::HR);
    let radix = if bench.model.radix { lpcr::HR } else { 0 };
    let hook = way.is_none();
    let wanted = stays | row.lpcr() | if hook && row.saves == Saves::Hsrr { 0 } else { radix };
    if v.state.lpcr != wanted {
        v.set_lpcr(wanted);
    }
    if v.state.spr.dawrx[0] != 0 {
        v.set_dawr(0, 0, 0);
    }
    v.set_decrementer(1 << 30);
    v.mailbox().lower(pending::SYSTEM_RESET | pending::EXTERNAL | pending::DOORBELL);
    let s = &mut v.state;
    (s.lr, s.ctr) = (0x1111, 0x2222);
    (s.spr.srr0, s.spr.srr1, s.spr.dar, s.spr.dsisr) = (0x3333, 0x4444, 0x5555, 0x6666);
    s.spr.fscr = if row.vector == Vector::SystemCallVectored { fscr::SCV } else { 0 };
    s.gpr = std::array::from_fn(|n| n as u64);
    let base = row.old_msr() | msr::ME | msr::RI;
    let Some(way) = way else {
        v.set_msr(base);
        v.state.nia = CODE;
        let before = v.state.clone();
        let level = row.level;
        v.take_interrupt(&Interrupt { level, ..Interrupt::new(row.vector, CODE) });
        let after = v.state.clone();
        check(row, &before, &after, CODE);
        return (after, false, false);
    };
    v.state.gpr[4] = way.r4;
    let number = programs.iter().position(|text| *text == way.text).unwrap() as u64;
    let start = PROGRAMS + 16 * number + if row.le { 0 } else { 0x1000 };
    // What comes of the first instruction, whichever it is, comes of the program's.
    let at_once = matches!(row.vector, Vector::SystemReset | Vector::Trace);
    v.state.nia = if at_once { start } else { start + ENTRIES };
    let mut let_in = 0;
    match row.vector {
        Vector::SystemReset => v.mailbox().raise(pending::SYSTEM_RESET),
        Vector::External => v.mailbox().raise(pending::EXTERNAL),
        Vector::DirectedPrivilegedDoorbell => v.mailbox().raise(pending::DOORBELL),
        Vector::Decrementer => v.set_decrementer(u64::MAX),
        Vector::DataStorage => v.set_dawr(0, DATA, dawrx::DW | dawrx::PRIV_PRIVILEGED | dawrx::WTI),
        _ => {}
    }
    if matches!(row.vector, Vector::External | Vector::DirectedPrivilegedDoorbell | Vector::Decrementer) {
        let_in = msr::EE;
    }
    v.set_msr(base | way.msr);
    let mut before = v.state.clone();
    before.msr |= let_in;
    if matches!(row.vector, Vector::InstructionStorage | Vector::InstructionSegment) {
        before.ctr = way.r4;
    }
    let stayed = v.translated.stayed;
    bench.run(engine, 1000);
    let stayed = engine.vcpu().translated.stayed > stayed;
    let mut after = engine.vcpu().state.clone();
    // Behind the handler's `sc 1`.
    after.nia -= 4;
    let return_address = match way.saved {
        Saved::Behind(bytes) => start + bytes,
        Saved::R4 => way.r4,
    };
    check(row, &before, &after, return_address);
    (after, true, stayed)
}

#[test]
fn every_row_of_the_table_is_taken() {
    let mut programs: Vec<&'static str> = rows().filter_map(|row| way(&row).map(|way| way.text)).collect();
    programs.sort_unstable();
    programs.dedup();
    let (mut by_program, mut by_hook, mut in_generated_code) = (0, 0, 0);
    let mut by_vector = BTreeMap::new();
    for model in cpu::model::MODELS {
        for ile in [false, true] {
            // Where all is translated, the interpreter beside it: both have to end in the same state.
            let bench = Bench::new(model, 1);
            let mut engine = bench.engine_as(0, TRANSLATED, Arc::new(Silent));
            prepare(&bench, &mut engine, ile);
            let mut beside = TRANSLATED.then(|| {
                let bench = Bench::new(model, 1);
                let mut engine = bench.engine_as(0, false, Arc::new(Silent));
                prepare(&bench, &mut engine, ile);
                (bench, engine)
            });
            for bench in beside.iter().map(|(bench, _)| bench).chain([&bench]) {
                for (n, text) in programs.iter().enumerate() {
                    for (page, little_endian) in [(0, true), (0x1000, false)] {
                        let start = PROGRAMS + 16 * n as u64 + page;
                        put(&bench.memory, start, text, little_endian);
                        put(&bench.memory, start + ENTRIES, "b .-16384", little_endian);
                    }
                }
            }
            for row in rows().filter(|row| row.model.pvr == model.pvr && row.ile == ile) {
                // More than once: the first time generated code asks what this LPCR means, or is not there yet.
                let mut taken = take(&mut engine, &bench, &row, &programs);
                let times = if TRANSLATED && taken.1 { 3 } else { 1 };
                for _ in 1..times {
                    let again = take(&mut engine, &bench, &row, &programs);
                    assert_eq!(again.0, taken.0, "{row:x?}");
                    taken.2 |= again.2;
                }
                let (after, program, generated) = taken;
                if let Some((bench, engine)) = &mut beside {
                    assert_eq!(take(engine, bench, &row, &programs).0, after, "{row:x?}");
                }
                *if program { &mut by_program } else { &mut by_hook } += 1;
                in_generated_code += usize::from(generated);
                by_vector.entry(row.vector.name()).or_insert((0, 0)).0 += usize::from(program);
                by_vector.entry(row.vector.name()).or_insert((0, 0)).1 += usize::from(generated);
            }
        }
    }
    println!(
        "{by_program} rows taken by programs, {in_generated_code} of them in generated code; {by_hook} by the hook"
    );
    println!("taken by programs, in generated code: {by_vector:?}");
    assert_eq!((by_program, by_hook), (6592, 6080));
    assert_eq!(in_generated_code > 0, TRANSLATED);
}
