//! The AIL table: every interrupt of every processor in every mode, with the answer, as data.
//!
//! It does not follow from [`crate::interrupt`]: addresses, modes and MSR bits stand here as numbers, and tests hold the
//! pure function, the interpreter and generated code against them. Power ISA 3.1B, Book III, 2.2 (LPCR) and 7.5.

use crate::Vector;
use crate::model::{CpuModel, POWER8, POWER9, POWER10};

/// Where an interrupt saves the address and MSR of what it interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saves {
    /// SRR0 and SRR1; LR, CTR, HSRR0, HSRR1 stay.
    Srr,
    /// LR and CTR; SRR0, SRR1, HSRR0, HSRR1 stay.
    LrCtr,
    /// HSRR0 and HSRR1; SRR0, SRR1, LR, CTR stay.
    Hsrr,
}

/// Whether a partition can come to take the interrupt as a row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It can.
    Partition,
    /// It goes to the hypervisor.
    Hypervisor,
    /// No hypervisor gives a partition this LPCR\[AIL\]: reserved, or gone from this processor.
    NoSuchMode,
    /// What raises it is translation that MSR\[IR\] or MSR\[DR\] has switched off.
    NoTranslation,
}

/// What LPCR\[AIL\] says, what MSR says, and which interrupt comes; and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Processor.
    pub model: &'static CpuModel,
    /// Interrupt.
    pub vector: Vector,
    /// Level, for `scv`.
    pub level: u8,
    /// LPCR\[AIL\].
    pub ail: u8,
    /// LPCR\[ILE\].
    pub ile: bool,
    /// What decides for the hypervisor's interrupts: LPCR\[HR\], since ISA 3.1 LPCR\[HAIL\]. Off for all others.
    pub host: bool,
    /// MSR\[IR\] at the interrupt.
    pub ir: bool,
    /// MSR\[DR\] at the interrupt.
    pub dr: bool,
    /// MSR\[SF\] at the interrupt.
    pub sf: bool,
    /// MSR\[LE\] at the interrupt.
    pub le: bool,
    /// Whether a partition can take it.
    pub reach: Reach,
    /// The mode that applies: 0, 2 or 3.
    pub mode: u8,
    /// Address of the handler.
    pub address: u64,
    /// MSR bits that stay as they were.
    pub kept: u64,
    /// MSR bits that become 1. The others become 0.
    pub set: u64,
    /// Where address and MSR are saved.
    pub saves: Saves,
    /// What else may be written, as the manual names it; empty: nothing.
    pub writes: &'static str,
}

const SF: u64 = 0x8000_0000_0000_0000;
const HV: u64 = 0x1000_0000_0000_0000;
const EE: u64 = 0x8000;
const ME: u64 = 0x1000;
const IR: u64 = 0x20;
const DR: u64 = 0x10;
const RI: u64 = 0x2;
const LE: u64 = 0x1;

/// Addresses with mode 0, 2 and 3; MSR bits that stay; where it saves; what else it writes.
struct Kind {
    vector: Vector,
    level: u8,
    addresses: [u64; 3],
    kept: u64,
    saves: Saves,
    writes: &'static str,
}

const fn srr(vector: Vector, addresses: [u64; 3], kept: u64, writes: &'static str) -> Kind {
    Kind { vector, level: 0, addresses, kept, saves: Saves::Srr, writes }
}

const fn scv(level: u8, addresses: [u64; 3]) -> Kind {
    let vector = Vector::SystemCallVectored;
    Kind { vector, level, addresses, kept: ME | EE | RI, saves: Saves::LrCtr, writes: "" }
}

const fn hsrr(vector: Vector, addresses: [u64; 3], writes: &'static str) -> Kind {
    Kind { vector, level: 0, addresses, kept: ME | RI, saves: Saves::Hsrr, writes }
}

#[rustfmt::skip]
static KINDS: [Kind; 29] = [
    srr(Vector::SystemReset,                [0x100, 0x100, 0x100], ME, ""),
    srr(Vector::MachineCheck,               [0x200, 0x200, 0x200], ME, "DAR, DSISR"),
    srr(Vector::DataStorage,                [0x300, 0x18300, 0xC000_0000_0000_4300], ME, "DAR, DSISR"),
    srr(Vector::DataSegment,                [0x380, 0x18380, 0xC000_0000_0000_4380], ME, "DAR"),
    srr(Vector::InstructionStorage,         [0x400, 0x18400, 0xC000_0000_0000_4400], ME, ""),
    srr(Vector::InstructionSegment,         [0x480, 0x18480, 0xC000_0000_0000_4480], ME, ""),
    srr(Vector::External,                   [0x500, 0x18500, 0xC000_0000_0000_4500], ME, ""),
    srr(Vector::Alignment,                  [0x600, 0x18600, 0xC000_0000_0000_4600], ME, "DAR, DSISR"),
    srr(Vector::Program,                    [0x700, 0x18700, 0xC000_0000_0000_4700], ME, ""),
    srr(Vector::FpUnavailable,              [0x800, 0x18800, 0xC000_0000_0000_4800], ME, ""),
    srr(Vector::Decrementer,                [0x900, 0x18900, 0xC000_0000_0000_4900], ME, ""),
    srr(Vector::DirectedPrivilegedDoorbell, [0xA00, 0x18A00, 0xC000_0000_0000_4A00], ME, ""),
    srr(Vector::SystemCall,                 [0xC00, 0x18C00, 0xC000_0000_0000_4C00], ME, ""),
    srr(Vector::Trace,                      [0xD00, 0x18D00, 0xC000_0000_0000_4D00], ME, ""),
    srr(Vector::PerformanceMonitor,         [0xF00, 0x18F00, 0xC000_0000_0000_4F00], ME, ""),
    srr(Vector::VectorUnavailable,          [0xF20, 0x18F20, 0xC000_0000_0000_4F20], ME, ""),
    srr(Vector::VsxUnavailable,             [0xF40, 0x18F40, 0xC000_0000_0000_4F40], ME, ""),
    srr(Vector::FacilityUnavailable,        [0xF60, 0x18F60, 0xC000_0000_0000_4F60], ME, "FSCR[IC]"),
    scv(0,   [0x17000, 0x17000, 0xC000_0000_0000_3000]),
    scv(1,   [0x17020, 0x17020, 0xC000_0000_0000_3020]),
    scv(127, [0x17FE0, 0x17FE0, 0xC000_0000_0000_3FE0]),
    hsrr(Vector::HypervisorDecrementer,         [0x980, 0x18980, 0xC000_0000_0000_4980], ""),
    hsrr(Vector::HypervisorDataStorage,         [0xE00, 0x18E00, 0xC000_0000_0000_4E00], "HDAR, HDSISR"),
    hsrr(Vector::HypervisorInstructionStorage,  [0xE20, 0x18E20, 0xC000_0000_0000_4E20], ""),
    hsrr(Vector::HypervisorEmulationAssist,     [0xE40, 0x18E40, 0xC000_0000_0000_4E40], "HEIR"),
    hsrr(Vector::HypervisorMaintenance,         [0xE60, 0xE60, 0xE60], ""),
    hsrr(Vector::DirectedHypervisorDoorbell,    [0xE80, 0x18E80, 0xC000_0000_0000_4E80], ""),
    hsrr(Vector::HypervisorVirtualization,      [0xEA0, 0x18EA0, 0xC000_0000_0000_4EA0], ""),
    hsrr(Vector::HypervisorFacilityUnavailable, [0xF80, 0x18F80, 0xC000_0000_0000_4F80], "HFSCR[IC]"),
];

/// The mode that applies, by LPCR\[AIL\] and then MSR\[IR,DR\] = 00, 01, 10, 11.
type Modes = [[u8; 4]; 4];
const NONE: Modes = [[0; 4]; 4];
const THROUGHOUT_3: Modes = [[3; 4]; 4];
const BEFORE_3_1: Modes = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, 3]];
const SINCE_3_1: Modes = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 3]];

/// A processor: the modes of a partition's interrupts, of the hypervisor's as [`Row::host`] has it, and which kinds came later.
struct Processor {
    model: &'static CpuModel,
    partition: Modes,
    hypervisor: &'static [(bool, Modes)],
    without: &'static [Vector],
}

static PROCESSORS: [Processor; 3] = [
    Processor {
        model: &POWER8,
        partition: BEFORE_3_1,
        hypervisor: &[(false, NONE)],
        without: &[Vector::SystemCallVectored, Vector::HypervisorVirtualization],
    },
    Processor { model: &POWER9, partition: BEFORE_3_1, hypervisor: &[(false, NONE), (true, BEFORE_3_1)], without: &[] },
    Processor {
        model: &POWER10,
        partition: SINCE_3_1,
        hypervisor: &[(false, NONE), (true, THROUGHOUT_3)],
        without: &[],
    },
];

/// Rows that differ in LPCR\[ILE\], MSR\[SF\] and MSR\[LE\] alone.
pub const ROWS_A_CASE: usize = 8;

/// Every row: by processor, interrupt, hypervisor's mode, LPCR\[AIL\], MSR\[IR,DR\], LPCR\[ILE\], MSR\[SF\], MSR\[LE\].
pub fn rows() -> impl Iterator<Item = Row> {
    PROCESSORS.iter().flat_map(|processor| {
        let kinds = KINDS.iter().filter(|kind| !processor.without.contains(&kind.vector));
        kinds.flat_map(move |kind| rows_of(processor, kind))
    })
}

fn rows_of(processor: &'static Processor, kind: &'static Kind) -> impl Iterator<Item = Row> {
    let of_hypervisor = kind.saves == Saves::Hsrr;
    let fixed = kind.addresses[0] == kind.addresses[2];
    let modes: Vec<(bool, Modes)> =
        if of_hypervisor { processor.hypervisor.to_vec() } else { vec![(false, processor.partition)] };
    modes.into_iter().flat_map(move |(host, modes)| {
        // Bits of a case's number: AIL (2), IR, DR, ILE, SF, LE.
        (0..128usize).map(move |case| {
            let bit = |n: u32| case >> n & 1 != 0;
            let (ail, translation) = (case >> 5, case >> 3 & 3);
            let mode = if fixed { 0 } else { modes[ail][translation] };
            let (ir, dr) = (bit(4), bit(3));
            let ile = bit(2);
            let byte_order = if of_hypervisor {
                HV
            } else if ile {
                LE
            } else {
                0
            };
            Row {
                model: processor.model,
                vector: kind.vector,
                level: kind.level,
                ail: ail as u8,
                ile,
                host,
                ir,
                dr,
                sf: bit(1),
                le: bit(0),
                reach: reach(processor, kind, ail, ir, dr),
                mode,
                address: kind.addresses[[0, 0, 1, 2][usize::from(mode)]],
                kept: kind.kept,
                set: SF | byte_order | if mode == 0 { 0 } else { IR | DR },
                saves: kind.saves,
                writes: kind.writes,
            }
        })
    })
}

fn reach(processor: &Processor, kind: &Kind, ail: usize, ir: bool, dr: bool) -> Reach {
    match kind.vector {
        _ if kind.saves == Saves::Hsrr => Reach::Hypervisor,
        // A mode that never applies.
        _ if ail != 0 && processor.partition[ail][3] == 0 => Reach::NoSuchMode,
        Vector::DataSegment if !dr => Reach::NoTranslation,
        Vector::InstructionStorage | Vector::InstructionSegment if !ir => Reach::NoTranslation,
        _ => Reach::Partition,
    }
}

impl Row {
    /// MSR at the interrupt, as far as the row says it.
    pub fn old_msr(&self) -> u64 {
        [(self.ir, IR), (self.dr, DR), (self.sf, SF), (self.le, LE)]
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, bit)| bit)
            .sum()
    }

    /// LPCR, as far as the row says it.
    pub fn lpcr(&self) -> u64 {
        let host = if self.model.pvr == POWER10.pvr { 0x0400_0000 } else { 0x0010_0000 };
        u64::from(self.ail) << 23 | if self.ile { 0x0200_0000 } else { 0 } | if self.host { host } else { 0 }
    }

    /// MSR of the handler, for an MSR at the interrupt that has further bits.
    pub fn new_msr(&self, old_msr: u64) -> u64 {
        old_msr & self.kept | self.set
    }

    /// The interrupt's name, with the level of `scv`.
    pub fn interrupt(&self) -> String {
        match self.vector {
            Vector::SystemCallVectored => format!("scv {}", self.level),
            vector => vector.name().into(),
        }
    }

    /// Which bits of the new MSR are 1, and which stay.
    pub fn msr_text(&self) -> String {
        let mut text = String::from("SF");
        if self.set & HV != 0 {
            text.push_str(" HV");
        } else {
            text.push_str(" LE=ILE");
        }
        if self.set & IR != 0 {
            text.push_str(" IR DR");
        }
        for (bit, name) in [(EE, "EE"), (ME, "ME"), (RI, "RI")] {
            if self.kept & bit != 0 {
                text.push_str(&format!(" {name}=as before"));
            }
        }
        text
    }

    /// Registers that it writes beside MSR and NIA.
    pub fn writes_text(&self) -> String {
        let saved = match self.saves {
            Saves::Srr => "SRR0, SRR1",
            Saves::LrCtr => "LR, CTR",
            Saves::Hsrr => "HSRR0, HSRR1",
        };
        if self.writes.is_empty() { saved.into() } else { format!("{saved}, {}", self.writes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::{Save, deliver};
    use crate::model::MODELS;
    use crate::{Interrupt, State};

    /// Registers with something in each, and what an interrupt with all it may write comes to.
    fn interrupt(row: &Row) -> Interrupt {
        let plain = Interrupt { level: row.level, ..Interrupt::new(row.vector, 0x1234_5678_9ABC_DEF0) };
        Interrupt {
            srr1: if row.saves == Saves::LrCtr { 0 } else { 0x0008_0000 },
            dar: row.writes.starts_with("DAR").then_some(0xDDDD),
            dsisr: row.writes.contains(", DSISR").then_some(0x5555),
            fscr_ic: row.writes.starts_with("FSCR").then_some(12),
            ..plain
        }
    }

    #[test]
    fn the_pure_function_gives_every_row() {
        let mut rows_checked = 0;
        // Bits beside those that a row speaks of: none, all that a partition can have, and some.
        let others = [0, 0x0280_E002 | 0x1D00 | 0x4, 0x9000, 0x0200_2002];
        for row in rows() {
            for others in others {
                let old = row.old_msr() | others;
                let given = interrupt(&row);
                let delivery = deliver(row.model, row.lpcr(), old, &given);
                let what = || format!("{row:x?} MSR {old:#x}");
                assert_eq!((delivery.nia, delivery.msr), (row.address, row.new_msr(old)), "{}", what());
                let saved = old & !0x783F_0000;
                let mut before = State { lr: 1, ctr: 2, msr: old, lpcr: row.lpcr(), ..State::default() };
                (before.spr.srr0, before.spr.srr1, before.spr.dar, before.spr.dsisr) = (3, 4, 5, 6);
                before.spr.fscr = 0x0700_0000_0000_1100;
                let mut expected = State { nia: row.address, msr: row.new_msr(old), ..before.clone() };
                match row.saves {
                    Saves::Srr => (expected.spr.srr0, expected.spr.srr1) = (given.return_address, saved | given.srr1),
                    Saves::LrCtr => (expected.lr, expected.ctr) = (given.return_address, saved),
                    Saves::Hsrr => {
                        assert_eq!(delivery.save, Save::Hsrr { hsrr0: given.return_address, hsrr1: saved | given.srr1 })
                    }
                }
                expected.spr.dar = given.dar.unwrap_or(5);
                expected.spr.dsisr = given.dsisr.unwrap_or(6);
                if given.fscr_ic.is_some() {
                    expected.spr.fscr = 0x0C00_0000_0000_1100;
                }
                delivery.apply(&mut before);
                assert_eq!(before, expected, "{}", what());
            }
            rows_checked += 1;
        }
        println!("{rows_checked} rows, each with {} values of the other bits of MSR", others.len());
        assert_eq!(rows_checked, 12_672);
    }

    #[test]
    fn every_kind_of_interrupt_is_there() {
        for vector in Vector::ALL.into_iter().chain(Vector::HYPERVISOR) {
            assert!(KINDS.iter().any(|kind| kind.vector == vector), "{vector:?}");
            let of_hypervisor = Vector::HYPERVISOR.contains(&vector);
            let saves = |kind: &&Kind| kind.vector == vector && (kind.saves == Saves::Hsrr) == of_hypervisor;
            assert!(KINDS.iter().any(|kind| saves(&kind)), "{vector:?}");
        }
        assert!(MODELS.iter().all(|model| PROCESSORS.iter().any(|processor| processor.model == *model)));
        for level in [0, 1, 127] {
            assert!(rows().any(|row| row.vector == Vector::SystemCallVectored && row.level == level));
        }
    }
}
