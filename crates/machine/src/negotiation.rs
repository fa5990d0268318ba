//! `ibm,client-architecture-support` (LoPAPR, "ibm,client-architecture-support"): what a guest can do, what the platform
//! offers, and what both then agree on.
//!
//! The guest passes a list of processors (pairs of mask and PVR, ended by a pair whose PVR has bits outside of its mask),
//! the number of option vectors less one, and the vectors: each its length less one, then its bytes, of which the first is
//! byte 1. Of these, 1 (levels of the architecture) and 5 (PAPR) matter here.

use crate::mmu::Mmu;
use crate::numa::Affinity;
use cpu::CpuModel;
use devices::{Controller, InterruptMode};
use hypervisor::capability::IsaLevel;
use platform::papr::HcallStatus;
use platform::{GuestMemory, MemoryError};
use thiserror::Error;

/// Pairs in a list of processors.
const PROCESSORS_MAX: usize = 512;

/// What platform and guest choose from.
#[derive(Debug, Clone, Copy)]
pub struct Platform {
    /// Processor.
    pub model: &'static CpuModel,
    /// `max-cpu-compat`.
    pub compat: Option<IsaLevel>,
    /// The only translation that there is to be.
    pub mmu_only: Option<Mmu>,
    /// Which interrupt controllers there are.
    pub interrupt_mode: InterruptMode,
    /// FORM2 affinity is offered, beside FORM1.
    pub form2: bool,
}

/// What platform and guest agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// `cpu-version`: the processor that the guest takes this one for.
    pub pvr: u32,
    /// Level of the architecture.
    pub level: IsaLevel,
    /// How the guest translates.
    pub mmu: Mmu,
    /// The interrupt controller in use.
    pub controller: Controller,
    /// The guest knows ISA 3.0: else it is not told of radix trees.
    pub isa_3: bool,
    /// `ibm,architecture-vec-5`.
    pub vector_5: Vec<u8>,
}

/// Why there is no agreement. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Lists or vectors lie outside of RAM.
    #[error("ibm,client-architecture-support: the vectors at {address:#x} reach out of RAM: {source}")]
    Outside {
        /// Where they begin.
        address: u64,
        /// Where they leave it.
        source: MemoryError,
    },
    /// The list of processors has no end.
    #[error(
        "ibm,client-architecture-support: the list of processors at {0:#x} has no end within {PROCESSORS_MAX} pairs"
    )]
    NoEnd(u64),
    /// No processor that both know.
    #[error(
        "ibm,client-architecture-support: the guest knows neither the processor {pvr:#010x} nor a level of the \
         architecture up to {}", .most.number()
    )]
    NoProcessor {
        /// PVR of the processor.
        pvr: u32,
        /// The highest level that is offered.
        most: IsaLevel,
    },
    /// An option vector that has to be there is not.
    #[error("ibm,client-architecture-support: option vector {wanted} is missing, there are {found}")]
    NoVector {
        /// Its number.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// Byte 24 of vector 5.
    #[error(
        "ibm,client-architecture-support: byte 24 of option vector 5 is {byte:#04x}; this partition offers{}{}",
        if *.hash { " hash (0x00)" } else { "" }, if *.radix { " radix (0x40)" } else { "" }
    )]
    NoMmu {
        /// What was asked for.
        byte: u8,
        /// Hash translation is offered.
        hash: bool,
        /// Radix translation is offered.
        radix: bool,
    },
    /// Byte 23 of vector 5.
    #[error(
        "ibm,client-architecture-support: byte 23 of option vector 5 is {byte:#04x}; this partition offers{}{}",
        if *.xics { " XICS (0x00)" } else { "" }, if *.xive { " XIVE (0x40)" } else { "" }
    )]
    NoController {
        /// What was asked for.
        byte: u8,
        /// XICS is offered.
        xics: bool,
        /// XIVE is offered.
        xive: bool,
    },
}

impl Refusal {
    /// The code that the guest gets.
    pub fn status(&self) -> HcallStatus {
        match self {
            Refusal::NoProcessor { .. } => HcallStatus::H_HARDWARE,
            _ => HcallStatus::H_PARAMETER,
        }
    }
}

impl Agreed {
    /// How the guest is told of NUMA nodes. One that has said nothing yet, or knows neither form, gets the older.
    pub fn affinity(&self) -> Affinity {
        let form2 = self.vector_5.get(BYTE_AFFINITY).is_some_and(|byte| byte & FORM2 != 0);
        if form2 { Affinity::Form2 } else { Affinity::Form1 }
    }
}

/// Logical PVRs: a processor of which nothing is known but its level.
const LOGICAL_PVRS: [(u32, IsaLevel); 6] = [
    (0x0f00_0002, IsaLevel::V2_05),
    (0x0f00_0003, IsaLevel::V2_06),
    (0x0f10_0003, IsaLevel::V2_06Plus),
    (0x0f00_0004, IsaLevel::V2_07),
    (0x0f00_0005, IsaLevel::V3_0),
    (0x0f00_0006, IsaLevel::V3_1),
];

pub(crate) fn logical_pvr(level: IsaLevel) -> u32 {
    LOGICAL_PVRS.iter().find(|row| row.1 == level).map_or(0, |row| row.0)
}

/// Bits of vector 5 that are offered beside affinity, interrupt controllers and translation: byte, bits.
const OFFERED: [(usize, u8); 3] = [
    // Dynamic reconfiguration memory.
    (2, 0x20),
    // Hot plug as interrupt source, and resizing of the hash table.
    (6, 0x05),
    // Memory by ibm,dynamic-memory-v2.
    (22, 0x80),
];
/// How a guest is told of NUMA nodes.
const BYTE_AFFINITY: usize = 5;
const FORM1: u8 = 0x80;
const FORM2: u8 = 0x20;
/// Interrupt controllers: 0x80 is "both", 0x40 XIVE.
const BYTE_INTERRUPTS: usize = 23;
/// Translation: 0xc0 is "both", 0x40 radix.
const BYTE_MMU: usize = 24;
const BYTE_HASH: usize = 25;
const BYTE_RADIX: usize = 26;
const XIVE: u8 = 0x40;
const RADIX: u8 = 0x40;
/// Both, where the platform tells what it can do; nothing that a guest may ask for.
const BOTH: u8 = 0x80;
/// The guest invalidates translations itself.
const GTSE: u8 = 0x40;
/// Byte 3 of vector 1: ISA 3.0.
const ISA_3_0: u8 = 0x80;

impl Platform {
    /// The highest level that a guest can have.
    pub fn most(&self) -> IsaLevel {
        let level = IsaLevel::from(self.model.level);
        self.compat.map_or(level, |compat| compat.min(level))
    }

    fn has_radix(&self, level: IsaLevel) -> bool {
        self.model.radix && level >= IsaLevel::V3_0 && self.mmu_only != Some(Mmu::Hash)
    }

    fn has_hash(&self) -> bool {
        self.mmu_only != Some(Mmu::Radix)
    }

    fn has_xive(&self, level: IsaLevel) -> bool {
        self.interrupt_mode != InterruptMode::Xics && level >= IsaLevel::V3_0
    }

    fn has_xics(&self) -> bool {
        self.interrupt_mode != InterruptMode::Xive
    }

    /// `ibm,arch-vec-5-platform-support`: pairs of a byte of vector 5 and what the platform can do there.
    pub fn support(&self) -> [u8; 8] {
        let level = self.most();
        let interrupts = match (self.has_xive(level), self.has_xics()) {
            (true, true) => BOTH,
            (true, false) => XIVE,
            (false, _) => 0,
        };
        let mmu = match (self.has_radix(level), self.has_hash()) {
            (true, true) => BOTH | RADIX,
            (true, false) => RADIX,
            (false, _) => 0,
        };
        [BYTE_INTERRUPTS as u8, interrupts, BYTE_MMU as u8, mmu, BYTE_HASH as u8, 0, BYTE_RADIX as u8, GTSE]
    }

    /// Before a guest has said anything: the processor itself, unless `max-cpu-compat` forbids it, hash translation, and
    /// XICS where there is one.
    pub fn nothing_yet(&self) -> Agreed {
        let level = self.most();
        Agreed {
            pvr: self.compat.map_or(self.model.pvr, |_| logical_pvr(level)),
            level,
            mmu: Mmu::Hash,
            controller: if self.has_xics() { Controller::Xics } else { Controller::Xive },
            isa_3: true,
            vector_5: vec![0, 0],
        }
    }

    /// What a guest of today that wants `mmu` and `controller` would end with.
    pub fn expected(&self, mmu: Mmu, controller: Controller) -> Agreed {
        self.agree(self.most(), mmu, controller, &[0xff; 32])
    }

    /// `asked` is the guest's vector 5, byte n at index n.
    fn agree(&self, level: IsaLevel, mmu: Mmu, controller: Controller, asked: &[u8]) -> Agreed {
        let asked = |byte: usize| asked.get(byte).copied().unwrap_or(0);
        let mut vector = vec![0; BYTE_RADIX + 1];
        for (byte, bits) in OFFERED {
            vector[byte] = bits & asked(byte);
        }
        vector[BYTE_AFFINITY] = (FORM1 | if self.form2 { FORM2 } else { 0 }) & asked(BYTE_AFFINITY);
        if controller == Controller::Xive {
            vector[BYTE_INTERRUPTS] = XIVE;
        }
        if mmu == Mmu::Radix {
            vector[BYTE_MMU] = RADIX;
            vector[BYTE_RADIX] = GTSE & asked(BYTE_RADIX);
        }
        // It ends with the last byte that says anything, and has one at least. The length does not count itself, and is
        // one less.
        let end = vector.iter().rposition(|byte| *byte != 0).unwrap_or(0).max(1);
        vector.truncate(end + 1);
        vector[0] = end as u8 - 1;
        Agreed { pvr: logical_pvr(level), level, mmu, controller, isa_3: true, vector_5: vector }
    }

    /// What comes of the vectors at `address`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn negotiate(&self, memory: &dyn GuestMemory, address: u64) -> Result<Agreed, Refusal> {
        let outside = |source| Refusal::Outside { address, source };
        let mut at = address;
        let (mut itself, mut best) = (false, None);
        let mut pairs = 0;
        loop {
            if pairs == PROCESSORS_MAX {
                return Err(Refusal::NoEnd(address));
            }
            pairs += 1;
            let pair = memory.read_be_u64(at).map_err(outside)?;
            at += 8;
            let (mask, pvr) = ((pair >> 32) as u32, pair as u32);
            if pvr & !mask != 0 {
                break;
            }
            itself |= self.model.pvr & mask == pvr;
            let level = LOGICAL_PVRS.iter().find(|row| row.0 == pvr).map(|row| row.1);
            best = best.max(level.filter(|level| *level <= self.most()));
        }
        let (level, pvr) = match best {
            Some(level) => (level, logical_pvr(level)),
            // Without a level in common it can only be the processor itself, if nothing forbids it.
            None if itself && self.compat.is_none() => (self.most(), self.model.pvr),
            None => return Err(Refusal::NoProcessor { pvr: self.model.pvr, most: self.most() }),
        };

        let mut vectors = Vec::new();
        let found = usize::from(memory.read_u8(at).map_err(outside)?) + 1;
        at += 1;
        for _ in 0..found {
            // In the place of the length: byte n is at index n.
            let mut vector = vec![0; 2 + usize::from(memory.read_u8(at).map_err(outside)?)];
            memory.read(at + 1, &mut vector[1..]).map_err(outside)?;
            at += vector.len() as u64;
            vectors.push(vector);
        }
        let vector = |wanted: usize| vectors.get(wanted - 1).ok_or(Refusal::NoVector { wanted, found });
        let byte = |vector: &[u8], number: usize| vector.get(number).copied().unwrap_or(0);
        let isa_3 = byte(vector(1)?, 3) & ISA_3_0 != 0;
        let asked = vector(5)?;

        let (hash, radix) = (self.has_hash(), self.has_radix(level));
        let mmu = match byte(asked, BYTE_MMU) & (BOTH | RADIX) {
            0 if hash => Mmu::Hash,
            RADIX if radix => Mmu::Radix,
            _ => return Err(Refusal::NoMmu { byte: byte(asked, BYTE_MMU), hash, radix }),
        };
        let (xics, xive) = (self.has_xics(), self.has_xive(level));
        let controller = match byte(asked, BYTE_INTERRUPTS) & (BOTH | XIVE) {
            0 if xics => Controller::Xics,
            XIVE if xive => Controller::Xive,
            _ => return Err(Refusal::NoController { byte: byte(asked, BYTE_INTERRUPTS), xics, xive }),
        };
        Ok(Agreed { pvr, isa_3, ..self.agree(level, mmu, controller, asked) })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use cpu::model::{POWER8, POWER9, POWER10};
    use platform::mock::VecMemory;

    pub const P9: Platform =
        Platform { model: &POWER9, compat: None, mmu_only: None, interrupt_mode: InterruptMode::Dual, form2: true };

    /// Pairs of Debian's 6.12, and its vectors with bytes 23 and 24 of vector 5 as given.
    pub fn linux(interrupts: u8, mmu: u8) -> Vec<u8> {
        let pairs: [(u32, u32); 16] = [
            (0xfffe_0000, 0x003a_0000),
            (0xffff_0000, 0x003e_0000),
            (0xffff_0000, 0x003f_0000),
            (0xffff_0000, 0x004b_0000),
            (0xffff_0000, 0x004c_0000),
            (0xffff_0000, 0x004d_0000),
            (0xffff_0000, 0x004e_0000),
            (0xffff_0000, 0x0080_0000),
            (0xffff_0000, 0x0082_0000),
            (0xffff_ffff, 0x0f00_0007),
            (0xffff_ffff, 0x0f00_0006),
            (0xffff_ffff, 0x0f00_0005),
            (0xffff_ffff, 0x0f00_0004),
            (0xffff_ffff, 0x0f00_0003),
            (0xffff_ffff, 0x0f00_0002),
            (0xffff_fffe, 0x0f00_0001),
        ];
        let mut bytes: Vec<u8> =
            pairs.iter().flat_map(|(mask, pvr)| [mask.to_be_bytes(), pvr.to_be_bytes()].concat()).collect();
        let mut vector_5 = vec![0, 0xf3, 0, 0, 0xe0, 0x05];
        vector_5.resize(26, 0);
        vector_5[16] = 0xe0;
        vector_5[21] = 0xc0;
        vector_5[22] = interrupts;
        vector_5[23] = mmu;
        vector_5[25] = if mmu == RADIX { GTSE } else { 0 };
        bytes.push(5);
        for vector in [vec![0, 0xff, 0xc0], vec![0; 34], vec![0, 0xe0], vec![0, 1], vector_5, vec![0, 0, 2]] {
            bytes.push(vector.len() as u8 - 1);
            bytes.extend(vector);
        }
        bytes
    }

    pub fn negotiate(platform: &Platform, bytes: &[u8]) -> Result<Agreed, Refusal> {
        let memory = VecMemory::new(bytes.len());
        memory.write(0, bytes).unwrap();
        platform.negotiate(&memory, 0)
    }

    #[test]
    fn linux_gets_what_the_direct_tree_says() {
        for (interrupts, controller) in [(0, Controller::Xics), (0x40, Controller::Xive)] {
            for (byte, mmu) in [(0, Mmu::Hash), (0x40, Mmu::Radix)] {
                for model in [&POWER9, &POWER10] {
                    let platform = Platform { model, ..P9 };
                    let agreed = negotiate(&platform, &linux(interrupts, byte)).unwrap();
                    assert_eq!(agreed, platform.expected(mmu, controller));
                }
            }
        }
        let power8 = Platform { model: &POWER8, ..P9 };
        let agreed = negotiate(&power8, &linux(0, 0)).unwrap();
        assert_eq!((agreed.pvr, agreed.level), (0x0f00_0004, IsaLevel::V2_07));
        assert_eq!(agreed, power8.expected(Mmu::Hash, Controller::Xics));
    }

    #[test]
    fn max_cpu_compat_bounds_the_choice() {
        for (compat, pvr) in [
            (IsaLevel::V2_06, 0x0f00_0003),
            (IsaLevel::V2_07, 0x0f00_0004),
            (IsaLevel::V3_0, 0x0f00_0005),
            (IsaLevel::V3_1, 0x0f00_0006),
        ] {
            let platform = Platform { model: &POWER10, compat: Some(compat), ..P9 };
            assert_eq!(negotiate(&platform, &linux(0, 0)).unwrap().pvr, pvr);
        }
        let old = Platform { compat: Some(IsaLevel::V2_07), ..P9 };
        assert!(matches!(negotiate(&old, &linux(0, 0x40)), Err(Refusal::NoMmu { radix: false, .. })));
        assert!(matches!(negotiate(&old, &linux(0x40, 0)), Err(Refusal::NoController { xive: false, .. })));
        assert_eq!(old.support()[..4], [23, 0, 24, 0]);
    }

    #[test]
    fn the_processor_itself_without_a_level_in_common() {
        let mut bytes = linux(0, 0);
        bytes.drain(8..6 * 8);
        // POWER5, POWER9, POWER10, POWER11, and levels: only those of 3.1 and later.
        bytes.drain(6 * 8..10 * 8);
        let agreed = negotiate(&P9, &bytes).unwrap();
        assert_eq!((agreed.pvr, agreed.level), (POWER9.pvr, IsaLevel::V3_0));
        let bounded = Platform { compat: Some(IsaLevel::V3_0), ..P9 };
        let refusal = negotiate(&bounded, &bytes).unwrap_err();
        assert_eq!(refusal.status(), HcallStatus::H_HARDWARE);
        assert!(refusal.to_string().contains("0x004e1202"), "{refusal}");
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        let only = |mmu, mode| Platform { mmu_only: mmu, interrupt_mode: mode, ..P9 };
        for (platform, interrupts, mmu) in [
            (P9, 0, 0x80),
            (P9, 0, 0xc0),
            (P9, 0x80, 0x40),
            (only(Some(Mmu::Hash), InterruptMode::Dual), 0, 0x40),
            (only(Some(Mmu::Radix), InterruptMode::Dual), 0, 0),
            (only(None, InterruptMode::Xics), 0x40, 0x40),
            (only(None, InterruptMode::Xive), 0, 0x40),
            (Platform { model: &POWER8, ..P9 }, 0, 0x40),
        ] {
            let refusal = negotiate(&platform, &linux(interrupts, mmu)).unwrap_err();
            assert_eq!(refusal.status(), HcallStatus::H_PARAMETER, "{refusal}");
        }
        assert_eq!(P9.support(), [23, 0x80, 24, 0xc0, 25, 0, 26, 0x40]);
        assert_eq!(only(Some(Mmu::Hash), InterruptMode::Xive).support()[..4], [23, 0x40, 24, 0]);
        assert_eq!(only(Some(Mmu::Radix), InterruptMode::Xics).support()[..4], [23, 0, 24, 0x40]);
    }

    #[test]
    fn affinity_is_the_newest_form_that_both_know() {
        let mut bytes = linux(0x40, 0x40);
        assert_eq!(negotiate(&P9, &bytes).unwrap().affinity(), Affinity::Form2);
        let older = Platform { form2: false, ..P9 };
        assert_eq!(negotiate(&older, &bytes).unwrap().vector_5[BYTE_AFFINITY], FORM1);
        assert_eq!(older.expected(Mmu::Radix, Controller::Xive).affinity(), Affinity::Form1);
        assert_eq!(P9.nothing_yet().affinity(), Affinity::Form1);
        // Byte 5 stands as far from the end as the rest of vector 5 and vector 6 are long.
        let byte = bytes.len() - 4 - 22;
        assert_eq!(bytes[byte], 0xe0);
        for (asked, agreed, affinity) in
            [(0x80, 0x80, Affinity::Form1), (0x20, 0x20, Affinity::Form2), (0x40, 0, Affinity::Form1)]
        {
            bytes[byte] = asked;
            let told = negotiate(&P9, &bytes).unwrap();
            assert_eq!((told.vector_5[BYTE_AFFINITY], told.affinity()), (agreed, affinity));
        }
    }

    #[test]
    fn a_guest_of_yesterday() {
        let mut bytes = linux(0, 0);
        let vectors = 16 * 8;
        // Five vectors, the last of four bytes, and no ISA 3.0.
        bytes[vectors] = 4;
        bytes[vectors + 4] = 0;
        let last = bytes.len() - 4 - 27;
        bytes.truncate(last + 5);
        bytes[last] = 3;
        let agreed = negotiate(&P9, &bytes).unwrap();
        assert_eq!((agreed.mmu, agreed.controller, agreed.isa_3), (Mmu::Hash, Controller::Xics, false));
        assert_eq!(agreed.vector_5, [1, 0, 0x20]);
    }

    #[test]
    fn every_cut_is_refused_and_nothing_is_read_beyond() {
        let bytes = linux(0x40, 0x40);
        for length in 0..bytes.len() {
            assert!(negotiate(&P9, &bytes[..length]).is_err(), "{length}");
        }
        let few = [&bytes[..16 * 8], &[3][..], &bytes[16 * 8 + 1..]].concat();
        assert_eq!(negotiate(&P9, &few), Err(Refusal::NoVector { wanted: 5, found: 4 }));
        assert!(matches!(negotiate(&P9, &vec![0xff; 0x2000]), Err(Refusal::NoEnd(0))));
        assert!(negotiate(&P9, &vec![0; 0x2000]).is_err());
    }
}
