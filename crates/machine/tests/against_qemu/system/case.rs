//! A case: registers, tables and a few instructions, and how they become bytes.

use super::harness::{CODE, LOWER, PID, PROCESSES, SANDBOX, SPRS, TREE, directory, leaf, root};
pub use cpu::bits::msr;
use isa::IsaLevel;
use std::fmt::Write;

/// Effective addresses of process 1: eight pages of 4 KiB, one of 2 MiB, pages of 64 KiB, a bad entry, 1 GiB, another tree's root,
/// another bad entry.
pub mod ea {
    pub const SMALL: u64 = 0x0800_0000;
    pub const LARGE: u64 = 0x0820_0000;
    pub const MIDDLE: u64 = 0x0840_0000;
    pub const BAD: u64 = 0x0860_0000;
    pub const WORSE: u64 = 0x0880_0000;
    pub const HUGE: u64 = 0x4000_0000;
    pub const SECOND: u64 = 1 << 39;
    pub const KERNEL: u64 = 0xC000_0000_0000_0000;
}

/// Registers that hold what `tlbie` takes for all of a process, and where the tables are.
pub const ALL_OF_IT: usize = 11;
pub const TABLES: usize = 12;

/// Process whose entry of the process table a case may change.
pub const OTHER_PID: u64 = 2;

const READ_WRITE: u64 = 0x186;
const SMALL_TABLE: u64 = LOWER + 0x2000;
const MIDDLE_TABLE: u64 = LOWER + 0x3000;

/// Doublewords of page tables and process table that a case sets, and what makes a good tree.
pub const PATCHES: [(u64, u64); 20] = {
    let level3 = LOWER + 0x1000;
    [
        (level3 + 8 * 64, directory(SMALL_TABLE, 9)),
        (SMALL_TABLE, leaf(SANDBOX, READ_WRITE)),
        (SMALL_TABLE + 8, leaf(SANDBOX + 0x1000, READ_WRITE)),
        (SMALL_TABLE + 16, leaf(SANDBOX + 0x2000, READ_WRITE)),
        (SMALL_TABLE + 24, leaf(SANDBOX + 0x3000, READ_WRITE)),
        (SMALL_TABLE + 32, leaf(SANDBOX + 0x4000, READ_WRITE)),
        (SMALL_TABLE + 40, leaf(SANDBOX + 0x5000, READ_WRITE)),
        (SMALL_TABLE + 48, leaf(SANDBOX + 0x6000, READ_WRITE)),
        (SMALL_TABLE + 56, leaf(SANDBOX + 0x7000, READ_WRITE)),
        (level3 + 8 * 65, leaf(SANDBOX + 0x20_0000, READ_WRITE)),
        (level3 + 8 * 66, directory(MIDDLE_TABLE, 5)),
        (MIDDLE_TABLE, leaf(SANDBOX + 0x1_0000, READ_WRITE)),
        (MIDDLE_TABLE + 8, leaf(SANDBOX + 0x1_0000, READ_WRITE)),
        (level3 + 8 * 67, 0),
        (LOWER + 8, leaf(0, READ_WRITE)),
        (TREE + 8, directory(LOWER, 9)),
        (level3 + 8 * (CODE >> 21), leaf(CODE, 0x187)),
        (PROCESSES + 16 * OTHER_PID, root(TREE)),
        // Of process 0.
        (0x52_1000 + 8 * (SANDBOX >> 21), leaf(SANDBOX, 0x18F)),
        (level3 + 8 * 68, 0),
    ]
};

/// Names of [`PATCHES`], for differences.
pub fn patch_name(n: usize) -> String {
    match n {
        0 => "directory of 4 KiB pages".into(),
        1..=8 => format!("4 KiB page {}", n - 1),
        9 => "2 MiB page".into(),
        10 => "directory of 64 KiB pages".into(),
        11 | 12 => format!("64 KiB page {}", n - 11),
        14 => "1 GiB page".into(),
        15 => "entry 1 of the root".into(),
        16 => "page of the code".into(),
        17 => "entry 2 of the process table".into(),
        18 => "page of process 0".into(),
        _ => format!("entry {n}"),
    }
}

/// Something that is left out as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Instructions.
    Words(Vec<u32>),
    /// A return from interrupt to what is behind it, with this MSR; by `rfscv`, if so.
    Return { msr: u64, vectored: bool },
}

impl Item {
    /// The instructions, the item standing at an address.
    fn words(&self, at: u64) -> Vec<u32> {
        match self {
            Item::Words(words) => words.clone(),
            Item::Return { msr, vectored } => {
                let part = |n: u32| msr >> (48 - 16 * n) & 0xFFFF;
                let (first, second, back) = if *vectored { (9, 8, "rfscv") } else { (27, 26, "rfid") };
                let behind = at + 4 * 10;
                let text = format!(
                    "lis r9,{}\nori r9,r9,{}\nrldicr r9,r9,32,31\noris r9,r9,{}\nori r9,r9,{}\nmtspr {first},r9\n\
                     lis r9,{}\nori r9,r9,{}\nmtspr {second},r9\n{back}",
                    part(0) as u16 as i16,
                    part(1),
                    part(2),
                    part(3),
                    behind >> 16,
                    behind & 0xFFFF,
                );
                text.lines().map(|line| isa::assemble(line).unwrap_or_else(|e| panic!("{line}: {e}")) as u32).collect()
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Item::Words(words) => words.len(),
            Item::Return { .. } => 10,
        }
    }
}

/// Bytes of a case's instructions.
pub struct Code {
    pub start: u64,
    /// Address of the trap behind them.
    pub end: u64,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub level: IsaLevel,
    pub msr: u64,
    /// LPCR[AIL].
    pub mode: u64,
    pub cr: u32,
    pub xer: u64,
    pub lr: u64,
    pub ctr: u64,
    pub sprs: [u64; SPRS.len()],
    pub gpr: [u64; 32],
    pub patches: [u64; PATCHES.len()],
    pub items: Vec<Item>,
}

/// `tw 31,0,0`.
const TRAP: u32 = 0x7FE0_0008;

impl Case {
    /// Registers of no interest, and a good tree.
    pub fn plain(level: IsaLevel) -> Case {
        let mut sprs = [0; SPRS.len()];
        sprs[4] = PID;
        let mut gpr = [0; 32];
        gpr[ALL_OF_IT] = 1 << 10;
        gpr[TABLES] = ea::KERNEL | LOWER;
        Case {
            level,
            msr: msr::SF | msr::ME | msr::RI,
            mode: 0,
            cr: 0,
            xer: 0,
            lr: 0,
            ctr: 0,
            sprs,
            gpr,
            patches: PATCHES.map(|(_, good)| good),
            items: Vec::new(),
        }
    }

    pub fn code(&self, start: u64) -> Code {
        let mut little = self.msr & msr::LE != 0;
        let mut bytes = Vec::new();
        for item in &self.items {
            for word in item.words(start + bytes.len() as u64) {
                bytes.extend(if little { word.to_le_bytes() } else { word.to_be_bytes() });
            }
            if let Item::Return { msr, .. } = item {
                little = msr & msr::LE != 0;
            }
        }
        let end = start + bytes.len() as u64;
        // One of them is it in either byte order, should a return not have been taken.
        for _ in 0..2 {
            bytes.extend(if little { TRAP.to_le_bytes() } else { TRAP.to_be_bytes() });
        }
        Code { start, end, bytes }
    }

    /// Instructions that stand before an offset.
    pub fn items_before(&self, offset: u64) -> impl Iterator<Item = (u64, &Item)> {
        let mut at = 0;
        self.items
            .iter()
            .map(move |item| {
                let here = at;
                at += 4 * item.len() as u64;
                (here, item)
            })
            .take_while(move |(at, _)| *at < offset)
    }

    /// The instruction at an offset.
    pub fn word_at(&self, offset: u64) -> Option<u32> {
        let words = self.items_before(u64::MAX).flat_map(|(at, item)| item.words(CODE + at));
        words.chain([TRAP]).nth(offset as usize / 4)
    }

    pub fn len(&self) -> usize {
        self.items.iter().map(Item::len).sum()
    }

    /// A case is shorter with less, or plainer: each such case, those first that leave out most.
    pub fn with_less(&self) -> Vec<Case> {
        let mut all = Vec::new();
        let plain = Case::plain(self.level);
        if self.items.len() > 1 {
            for item in &self.items {
                for bare in [true, false] {
                    let mut less = if bare { plain.clone() } else { self.clone() };
                    less.msr = self.msr;
                    less.items = vec![item.clone()];
                    if bare {
                        (less.gpr, less.sprs) = (self.gpr, self.sprs);
                    }
                    all.push(less);
                }
            }
            for n in 1..self.items.len() {
                for part in [&self.items[..n], &self.items[n..]] {
                    all.push(Case { items: part.to_vec(), ..self.clone() });
                }
            }
        }
        for change in 0..4 {
            let mut less = self.clone();
            match change {
                0 => (less.gpr, less.sprs, less.patches) = (plain.gpr, plain.sprs, plain.patches),
                1 => less.gpr = plain.gpr,
                2 => less.sprs = plain.sprs,
                _ => less.patches = plain.patches,
            }
            if !less.same(self) {
                all.push(less);
            }
        }
        for n in 0..self.items.len() {
            let mut less = self.clone();
            less.items.remove(n);
            all.push(less);
            if let Item::Words(words) = &self.items[n]
                && words.len() > 1
            {
                for k in 0..words.len() {
                    let mut less = self.clone();
                    if let Item::Words(words) = &mut less.items[n] {
                        words.remove(k);
                    }
                    all.push(less);
                }
            }
        }
        let mut with = |change: &dyn Fn(&mut Case)| {
            let mut other = self.clone();
            change(&mut other);
            if !other.same(self) {
                all.push(other);
            }
        };
        with(&|c| c.mode = 0);
        for bit in 0..64 {
            with(&|c| c.msr = c.msr & !(1 << bit) | plain.msr & 1 << bit);
        }
        (0..SPRS.len()).for_each(|n| with(&|c| c.sprs[n] = plain.sprs[n]));
        (0..PATCHES.len()).for_each(|n| with(&|c| c.patches[n] = plain.patches[n]));
        (0..32).for_each(|n| with(&|c| c.gpr[n] = plain.gpr[n]));
        with(&|c| (c.cr, c.xer, c.lr, c.ctr) = (0, 0, 0, 0));
        all
    }

    fn same(&self, other: &Case) -> bool {
        self.mode == other.mode
            && self.msr == other.msr
            && self.sprs == other.sprs
            && self.patches == other.patches
            && self.gpr == other.gpr
            && (self.cr, self.xer, self.lr, self.ctr) == (other.cr, other.xer, other.lr, other.ctr)
    }

    /// What it is, an instruction a line, and all that is not plain.
    pub fn text(&self) -> String {
        let plain = Case::plain(self.level);
        let mut text = format!("{:?} MSR={:#x} AIL={}", self.level, self.msr, self.mode);
        let mut value = |name: &str, value: u64, plain: u64| {
            if value != plain {
                let _ = write!(text, " {name}={value:#x}");
            }
        };
        value("CR", self.cr.into(), 0);
        value("XER", self.xer, 0);
        value("LR", self.lr, 0);
        value("CTR", self.ctr, 0);
        SPRS.iter().enumerate().for_each(|(n, (_, name))| value(name, self.sprs[n], plain.sprs[n]));
        (0..32).for_each(|n| value(&format!("r{n}"), self.gpr[n], plain.gpr[n]));
        for (n, patch) in self.patches.iter().enumerate() {
            if *patch != plain.patches[n] {
                let _ = write!(text, " [{}]={patch:#x}", patch_name(n));
            }
        }
        for (at, item) in self.items_before(u64::MAX) {
            for (n, word) in item.words(CODE + at).iter().enumerate() {
                let at = at + 4 * n as u64;
                let shown =
                    isa::decode(u64::from(*word), self.level).map_or("?".into(), |i| isa::disassemble(i, CODE + at));
                let _ = write!(text, "\n      +{at:#04x} {word:08x} {shown}");
            }
        }
        text
    }
}
