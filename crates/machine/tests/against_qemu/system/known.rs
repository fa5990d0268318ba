//! What QEMU 7.2 does otherwise than the Power ISA, with the section that decides, and what is not run. Sections are those of the
//! Power ISA 3.1B, Book III, unless told otherwise: numbers, or titles.

use super::Record;
use super::case::{Case, OTHER_PID, msr};
use super::harness::{CAUSES, LOGGED, PID, SPRS, at};
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
const FSCR_KEPT: usize = 10;

/// Makes equal what may differ interrupt by interrupt, and says why.
pub fn normalise(case: &Case, want: &Record, got: &mut Record) -> Vec<&'static str> {
    let mut why = Vec::new();
    // Values of DAR, DSISR and FSCR that differ and may: they are seen again.
    let mut seen: Vec<(u64, u64)> = Vec::new();
    // Of facility unavailable interrupts before.
    let mut causes = 0;
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
        let cause = |fscr: u64| fscr >> 56;
        if w[FSCR_KEPT] != g[FSCR_KEPT]
            && (w[FSCR_KEPT] ^ g[FSCR_KEPT]) << 8 == 0
            && cause(w[FSCR_KEPT]) == causes | cause(g[FSCR_KEPT])
        {
            seen.push((w[FSCR_KEPT], g[FSCR_KEPT]));
            g[FSCR_KEPT] = w[FSCR_KEPT];
            why.push("FSCR[IC] is the cause of the last interrupt; QEMU has the causes of all ORed (Facility Status and Control Register)");
        }
        causes = cause(w[FSCR_KEPT]);
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
            0x700 if (w[SRR1] ^ g[SRR1]) == PRIVILEGED | ILLEGAL && op == Some(Op::slbfee_) => {
                g[SRR1] = w[SRR1];
                why.push("slbfee. in problem state is a privileged instruction; in QEMU an illegal one (7.5.9)");
            }
            0xD00 if w[SRR1] != g[SRR1] && (w[SRR1] ^ g[SRR1]) & !CAUSES == 0 => {
                g[SRR1] = w[SRR1];
                why.push("SRR1 bits 33 to 36 and 42 tell what was traced: QEMU leaves them 0 (7.5.15)");
            }
            0x600 if w[DSISR] != g[DSISR] || w[DAR] != g[DAR] => {
                if w[DAR] != g[DAR] && op.is_some_and(several) {
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
        if matches!(*name, "DAR" | "DSISR" | "FSCR") && seen.contains(&(want[at::SPRS + n], got[at::SPRS + n])) {
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

/// Accesses that QEMU does in parts.
fn in_parts(op: Op) -> bool {
    let name = op.row().name;
    several(op)
        || name.starts_with("lq")
        || name.starts_with("stq")
        || name.starts_with("stfdp")
        || name.starts_with("stxv")
}

/// Loads and stores of several registers.
fn several(op: Op) -> bool {
    ["lmw", "stmw", "lsw", "stsw"].iter().any(|prefix| op.row().name.starts_with(prefix))
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
    let alone = (case.items.len() == 1).then(|| case.word_at(0)).flatten();
    let alone = alone.and_then(|word| isa::decode(u64::from(word), case.level));
    if let Some(insn) = alone {
        if w == g && in_parts(insn.op) {
            return Some(
                "bytes that may be accessed may have been, where an access ends in an interrupt (Partially Executed Instructions)",
            );
        }
        if insn.op.row().name.starts_with("hash") && case.msr & msr::LE != 0 {
            return Some(
                "a hash has the order of bytes of its time; QEMU stores and checks it big-endian (Book I 3.3.18)",
            );
        }
        if w == g && insn.op.row().name.starts_with("slb") {
            return Some(
                "an SLB has no entries to read with radix trees; QEMU has those that were written (Segment Lookaside Buffer)",
            );
        }
        if matches!(insn.op, Op::tlbie | Op::tlbiel) && w != g {
            return Some(
                "QEMU refuses or takes tlbie and tlbiel with reserved or the hypervisor's fields otherwise (TLB Management Instructions)",
            );
        }
    }
    // The first interrupt that one of them has alone.
    let n = (0..w.len()).find(|n| g.get(*n) != w.get(*n)).unwrap_or(w.len());
    let (vector, address) = *w.get(n)?;
    let word = case.word_at(address & 0xFF)?;
    let op = isa::decode(u64::from(word), case.level).map(|i| i.op);
    // Written and read: the write did nothing; read: nothing did.
    let nothing = match op {
        Some(Op::mtspr) => got[4] != case.gpr[3],
        Some(Op::mfspr) => got[4] == case.gpr[4],
        _ => false,
    };
    if vector == 0x700 && nothing && case.items.len() == 1 {
        return Some("a register that is not there or the hypervisor's, in privileged state: nothing happens (5.4.4)");
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

/// Special purpose registers that QEMU has otherwise, and why: in cases of their own any value of them is right, and streams neither
/// read nor write them. Of the numbers that are written here with bits that all have, see [`WRITTEN`].
const REGISTERS: &[(std::ops::RangeInclusive<u32>, &str)] = &[
    (1..=1, "XER: reserved bits (35:43 but for OV32 and CA32, 46:56) read as 0 here; QEMU keeps them (Book I 3.2.2)"),
    (3..=3, "DSCR by number 3 is the register of number 17; QEMU has two (5.4.4)"),
    (13..=13, "AMR by number 13 is the register of number 29; QEMU reads another (5.4.4)"),
    (18..=18, "DSISR has 32 bits; QEMU keeps 64 (Data Storage Interrupt Status Register)"),
    (48..=48, "PIDR has 32 bits; QEMU keeps 64 (Process Identification Register)"),
    (29..=29, "AMR: QEMU goes on with translations that it has (Virtual Page Class Key Protection)"),
    (
        61..=61,
        "IAMR: even bits are reserved and read as 0 here; QEMU keeps them, and translations that it has (Virtual Page Class Key Protection)",
    ),
    (136..=136, "CTRL by number 136 is the register of number 152; QEMU has two (Control Register)"),
    (144..=144, "TIDR has 16 bits; QEMU keeps 64 (3.0B, Thread Identification Register)"),
    (
        153..=153,
        "FSCR: bits that a partition has not read as 0 here; QEMU keeps them (Facility Status and Control Register)",
    ),
    (256..=256, "VRSAVE has 32 bits; QEMU keeps 64 (Book I 3.2.3)"),
    (282..=282, "EAR is gone since 2.06; QEMU has it (5.4.4)"),
    (284..=285, "the time base is the hypervisor's to write, and 284, 285 nobody's to read; QEMU lets read (5.4.4)"),
    (287..=287, "PVR: another version of the same model (Processor Version Register)"),
    (736..=738, "performance monitor of 3.1, which QEMU 7.2 has not (5.4.4)"),
    (752..=754, "performance monitor of 3.1, which QEMU 7.2 has not (5.4.4)"),
    (
        768..=782,
        "performance monitor: PMCs have 32 bits, and a number that problem state has is no second register (Performance Monitor Facility Registers)",
    ),
    (
        784..=798,
        "performance monitor: PMCs have 32 bits, and a number that problem state has is no second register (Performance Monitor Facility Registers)",
    ),
    (
        800..=803,
        "BESCR is one register by four numbers; QEMU has four (Book II, Branch Event Status and Control Register)",
    ),
    (
        806..=806,
        "BESCR is one register by four numbers; QEMU has four (Book II, Branch Event Status and Control Register)",
    ),
    (812..=812, "DEXCR, which QEMU 7.2 has not (Dynamic Execution Control Register)"),
    (
        823..=823,
        "PSSCR: bits of the hypervisor read as 0 here; QEMU keeps all (Processor Stop Status and Control Register)",
    ),
    (828..=828, "DEXCR, which QEMU 7.2 has not (Dynamic Execution Control Register)"),
    (880..=882, "TRIG0 to TRIG2 read as 0 here; QEMU keeps what was written (5.4.4)"),
    (
        896..=898,
        "PPR and PPR32: fields but PRI read as 0 here; QEMU keeps all in two registers, one for privileged state (Book II 3.1)",
    ),
    (31..=31, "a number that is not there, which QEMU has (5.4.4)"),
    (888..=895, "numbers that are not there, which QEMU has (5.4.4)"),
];

/// Why QEMU's value of a register is not the one to have.
pub fn register(spr: u32) -> Option<&'static str> {
    REGISTERS.iter().find(|(numbers, _)| numbers.contains(&spr)).map(|(_, why)| *why)
}

/// Why QEMU's answer to an access to a register, alone, is not the one to have.
pub fn excuse_register(spr: u32, want: &Record, got: &Record) -> Option<&'static str> {
    if matches!(spr, 768 | 770 | 780..=782) && taken(got).first().is_some_and(|(vector, _)| *vector == 0xF60) {
        return Some(
            "SIER, SIAR, SDAR and MMCR1 are not problem state's to read with MMCR0[PMCC]=0b01; QEMU lets read (Monitor Mode Control Register 0)",
        );
    }
    // Only these does it not have, or with another privilege.
    let elsewhere = matches!(spr, 284 | 285 | 736..=738 | 812 | 898);
    register(spr).filter(|_| elsewhere || taken(want) == taken(got))
}

/// Registers that streams write with values whose bits are there in both, with context synchronisation behind it.
pub const WRITTEN: &[(u32, &[u64])] = &[
    (48, &[PID, PID, OTHER_PID, 0, 3]),
    (153, &[0, 4, 0x100, 0x1000, FSCR]),
    (1, &[0, 0x8000_0000, 0x4000_0000, 0x2000_0000, 0x7F, 0xE00C_0011]),
    (18, &[0, 0xFFFF_FFFF, 0x4200_0000]),
    (256, &[0, 0xFFFF_FFFF]),
];

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

/// Why atomic updates are not run: three things that each of them may show.
const AN_UPDATE: &str = "QEMU leaves DAR and DSISR[61] where a function code is invalid, takes an update for a load (DSISR[38]), and has \
                         no alignment interrupt for pairs across 32 bytes (7.5.3, Book II 4.5)";

/// Rows that QEMU has not, or otherwise, and why.
pub const MISSING: &[(Op, &str)] = &[
    (Op::clrbhrb, "QEMU has no branch history (Book II 6.3)"),
    (Op::mfbhrbe, "QEMU has no branch history (Book II 6.3)"),
    (Op::icbt, "QEMU takes icbt for another family's (Book II 4.3.1)"),
    (Op::dcbf, "L=3 to 6: QEMU 7.2 refuses what earlier processors take for L=0 (Book II 4.3.2)"),
    (Op::msgsndp, "QEMU 7.2 ends: \"SDOOR exception not implemented\" (Processor Control Instructions)"),
    (Op::stbcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::sthcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::stwcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::stdcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::stqcx_, "without a reservation it may fault or not (Book II 4.6.2)"),
    (Op::lwat, AN_UPDATE),
    (Op::ldat, AN_UPDATE),
    (Op::stwat, AN_UPDATE),
    (Op::stdat, AN_UPDATE),
];

/// Rows that are not run here.
fn left_out(op: Op) -> bool {
    if MISSING.iter().any(|(missing, _)| *missing == op) {
        return true;
    }
    // Those with which control goes elsewhere have items of their own; a system call with LEV=1 is a hypercall.
    matches!(op, Op::sc | Op::scv | Op::rfid | Op::rfscv | Op::hrfid | Op::rfebb | Op::wait | Op::mftb)
        || matches!(op, Op::mtspr | Op::mfspr)
        || op.row().name.starts_with("copy")
        || op.row().name.starts_with("paste")
}

pub fn fit_storage(op: Op) -> bool {
    !left_out(op) && op.row().privilege == Privilege::User
}

pub fn fit_system(op: Op) -> bool {
    !left_out(op)
}

/// Rows that have cases of their own, but are no part of streams.
pub fn only_alone(op: Op) -> bool {
    matches!(
        op,
        // They have items of their own, with values that cases can go on with.
        Op::mtmsr | Op::mtmsrd | Op::tlbie | Op::tlbiel
    ) || in_parts(op)
        || op.row().name.starts_with("hash")
        || op.row().name.starts_with("slb")
        || op.row().chapter == isa::Chapter::tm
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

/// On these fetches depend: with instruction translation streams leave them alone, since QEMU goes on with what it has translated until
/// context is synchronised, as it may.
pub fn of_fetches(spr: u32) -> bool {
    spr == 48
}

/// Words without an instruction: is it one in no level, so that nobody has it early?
pub fn fit_illegal(word: u32) -> bool {
    // Conditional stores and instructions of transactions without Rc, which QEMU takes for them.
    let extended = word >> 1 & 0x3FF;
    let with_rc =
        matches!(extended, 150 | 182 | 214 | 694 | 726 | 654 | 686 | 782 | 814 | 846 | 878 | 910 | 942 | 1006);
    if word >> 26 == 31 && word & 1 == 0 && with_rc {
        return false;
    }
    // dcbi, and what the 64-bit bridge had for segment registers, which QEMU has from other processors.
    let others = word >> 26 == 31 && matches!(extended, 470 | 210 | 242 | 595 | 659);
    // Elsewhere QEMU ignores bits that are reserved.
    matches!(word >> 26, 0 | 5 | 9 | 22 | 31)
        && !others
        && isa::IsaLevel::ALL.iter().all(|level| isa::decode(u64::from(word), *level).is_none())
}
