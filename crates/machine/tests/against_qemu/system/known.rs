//! What QEMU 7.2 does otherwise than the Power ISA, with the section that decides, and what is not run. Sections are those of the
//! Power ISA 3.1B, Book III, unless told otherwise.

use super::Record;
use super::case::{Case, msr};
use super::harness::{CAUSES, LOGGED, SPRS, at};
use crate::rng::Rng;
use isa::{Op, Privilege};

/// Bits of FSCR that cases set: those of `scv`, TAR and DSCR.
pub const FSCR: u64 = 0x1000 | 0x100 | 0x4;

/// Causes of a Program interrupt in SRR1.
const ILLEGAL: u64 = 0x8_0000;
const PRIVILEGED: u64 = 0x4_0000;

/// The number in the word of an `mtspr` or `mfspr`.
pub fn spr_of(word: u32) -> u32 {
    word >> 16 & 0x1F | word >> 6 & 0x3E0
}

/// Words of a log.
const SRR0: usize = 1;
const SRR1: usize = 2;
const MSR: usize = 3;
const DAR: usize = 4;
const DSISR: usize = 5;

/// Makes equal what may differ interrupt by interrupt, and says why.
pub fn normalise(case: &Case, want: &Record, got: &mut Record) -> Vec<&'static str> {
    let mut why = Vec::new();
    // Values of DAR and DSISR that differ and may: they are seen again.
    let mut seen: Vec<(u64, u64)> = Vec::new();
    for n in 0..(want[at::INTERRUPTS] as usize).min(LOGGED) {
        let first = at::LOG + n * at::LOG_WORDS;
        let w: Vec<u64> = want[first..][..at::LOG_WORDS].to_vec();
        let g = &mut got[first..][..at::LOG_WORDS];
        for word in [DAR, DSISR] {
            if seen.contains(&(w[word], g[word])) {
                g[word] = w[word];
            }
        }
        if g[0] != w[0] || g[SRR0] != w[SRR0] {
            break;
        }
        let insn = case.word_at(w[SRR0] & 0xFF).and_then(|word| isa::decode(u64::from(word), case.level));
        let op = insn.map(|i| i.op);
        for word in [SRR1, MSR] {
            if w[word] ^ g[word] == msr::ME && w[word] & msr::ME == 0 {
                g[word] = w[word];
                why.push("MSR[ME] is the hypervisor's: a partition does not change it (4.3.1, rfid, mtmsrd)");
            }
        }
        match w[0] & 0xFFF {
            0x700 if (w[SRR1] ^ g[SRR1]) == PRIVILEGED | ILLEGAL && g[SRR1] & ILLEGAL != 0 => {
                let spr = matches!(op, Some(Op::mtspr | Op::mfspr))
                    && case.word_at(w[SRR0] & 0xFF).is_some_and(|word| spr_of(word) & 0x10 == 0);
                if spr {
                    g[SRR1] = w[SRR1];
                    why.push(
                        "a register of spr0=0 that is not there, in problem state: an illegal instruction (5.4.4)",
                    );
                } else if op.is_some_and(|op| op.row().privilege == Privilege::Hyper) {
                    g[SRR1] = w[SRR1];
                    why.push("an instruction of the hypervisor in a partition: illegal there (7.5.18; KVM's answer)");
                }
            }
            0xD00 if w[SRR1] != g[SRR1] && (w[SRR1] ^ g[SRR1]) & !CAUSES == 0 => {
                g[SRR1] = w[SRR1];
                why.push("SRR1 bits 33 to 36 and 42 tell what was traced: QEMU leaves them 0 (7.5.15)");
            }
            0x600 if w[DSISR] != g[DSISR] || w[DAR] != g[DAR] => {
                let several = op.is_some_and(|op| {
                    let name = op.row().name;
                    ["lmw", "stmw", "lsw", "stsw"].iter().any(|prefix| name.starts_with(prefix))
                });
                if w[DAR] != g[DAR] && several {
                    seen.push((w[DAR], g[DAR]));
                    g[DAR] = w[DAR];
                    why.push(
                        "DAR is the address after an Alignment interrupt; QEMU leaves it for moves of several (7.5.8)",
                    );
                }
                seen.push((w[DSISR], g[DSISR]));
                g[DSISR] = w[DSISR];
                why.push("DSISR is undefined after an Alignment interrupt (7.5.8)");
            }
            0x300 | 0x380 if (w[DAR] ^ g[DAR]) & !0x7F == 0 && w[DAR] != g[DAR] => {
                let block = matches!(op, Some(Op::icbi | Op::dcbz | Op::dcbst | Op::dcbf | Op::dcbt | Op::dcbtst));
                if block {
                    seen.push((w[DAR], g[DAR]));
                    g[DAR] = w[DAR];
                    why.push("DAR is any byte in the block of a cache instruction (7.5.3)");
                }
            }
            _ => {}
        }
    }
    for (n, (_, name)) in SPRS.iter().enumerate() {
        if matches!(*name, "DAR" | "DSISR") && seen.contains(&(want[at::SPRS + n], got[at::SPRS + n])) {
            got[at::SPRS + n] = want[at::SPRS + n];
        }
    }
    for n in 0..32 {
        if seen.contains(&(want[n], got[n])) {
            got[n] = want[n];
        }
    }
    why
}

/// Vectors and addresses of the interrupts.
fn taken(record: &Record) -> Vec<(u64, u64)> {
    super::interrupts(record).map(|i| (i[0] & 0xFFF, i[SRR0])).collect()
}

/// Why QEMU's answer is not the one to have.
pub fn excuse(case: &Case, want: &Record, got: &Record) -> Option<&'static str> {
    let (w, g) = (taken(want), taken(got));
    if g.iter().any(|(vector, _)| *vector == 0x200) {
        return Some("a real address without RAM is a machine check; QEMU does not look (7.5.2)");
    }
    // The first interrupt that one of them has alone.
    let n = (0..w.len()).find(|n| g.get(*n) != w.get(*n)).unwrap_or(w.len());
    let (vector, address) = *w.get(n)?;
    let word = case.word_at(address & 0xFF)?;
    let op = isa::decode(u64::from(word), case.level).map(|i| i.op);
    if vector == 0x700 && matches!(op, Some(Op::mtspr | Op::mfspr)) && case.items.len() == 1 {
        return Some("a register that is not there or the hypervisor's, in privileged state: nothing happens (5.4.4)");
    }
    if vector == 0x700 && matches!(op, Some(Op::tlbie | Op::tlbiel)) && case.items.len() == 1 {
        return Some("QEMU refuses tlbie and tlbiel with fields that are reserved, which do nothing (6.9.3.3)");
    }
    None
}

/// Numbers that cases neither read nor write.
fn skipped_spr(spr: u32) -> bool {
    match spr {
        // The program's own.
        272 | 273 => true,
        // Time.
        22 | 268 | 269 | 308 | 309 | 849 => true,
        // Where the last branch came from: the program's.
        28 => true,
        _ => false,
    }
}

/// Numbers that are read, or written, in cases of their own.
pub fn sprs() -> impl Iterator<Item = (u32, bool)> {
    (0..1024).flat_map(|n| [(n, false), (n, true)]).filter(|(n, _)| !skipped_spr(*n))
}

/// Any number that streams may read, or write.
pub fn some_spr(agreed: &[(u32, bool)], r: &mut Rng) -> (u32, bool) {
    loop {
        let (n, write) = r.pick(agreed);
        if cpu::spr::name(n).is_some() || r.one_in(6) {
            return (n, write);
        }
    }
}

/// Rows that QEMU has not, or otherwise, and why.
pub const MISSING: &[(Op, &str)] = &[
    (Op::clrbhrb, "QEMU has no branch history (Book II 6.3)"),
    (Op::mfbhrbe, "QEMU has no branch history (Book II 6.3)"),
    (Op::icbt, "QEMU takes icbt for another family's (Book II 4.3.1)"),
    (Op::dcbf, "L=3 to 6: QEMU 7.2 refuses what earlier processors take for L=0 (Book II 4.3.2)"),
    (Op::stbcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::sthcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::stwcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::stdcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::stqcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::lwat, "which of an atomic update's accesses DSISR tells of"),
    (Op::ldat, "which of an atomic update's accesses DSISR tells of"),
    (Op::stwat, "which of an atomic update's accesses DSISR tells of"),
    (Op::stdat, "which of an atomic update's accesses DSISR tells of"),
];

/// Rows that are not run here.
fn left_out(op: Op) -> bool {
    if MISSING.iter().any(|(missing, _)| *missing == op) {
        return true;
    }
    // Those with which control goes elsewhere have items of their own; a system call with LEV=1 is a hypercall.
    matches!(op, Op::sc | Op::scv | Op::rfid | Op::rfscv | Op::hrfid | Op::rfebb | Op::wait | Op::mftb)
        || matches!(op, Op::mtspr | Op::mfspr)
        || op.row().name.starts_with("hash")
        || op.row().name.starts_with("copy")
        || op.row().name.starts_with("paste")
}

pub fn fit_storage(op: Op) -> bool {
    !left_out(op) && op.row().privilege == Privilege::User
}

pub fn fit_system(op: Op) -> bool {
    !left_out(op)
}

pub fn fit_facility(op: Op) -> bool {
    // No access to storage; arithmetic is compared in user mode.
    matches!(
        op,
        Op::fmr
            | Op::fneg
            | Op::vor
            | Op::vxor
            | Op::vand
            | Op::xxlor
            | Op::xxlxor
            | Op::xxland
            | Op::mtvsrd
            | Op::dadd
    )
}

/// Words without an instruction: is it one in no level, so that nobody has it early?
pub fn fit_illegal(word: u32) -> bool {
    word >> 26 != 1 && isa::IsaLevel::ALL.iter().all(|level| isa::decode(u64::from(word), *level).is_none())
}
