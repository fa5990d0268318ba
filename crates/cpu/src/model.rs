//! CPU models: what `-cpu` names.

use crate::bits::{lpcr, msr, pcr};
use isa::IsaLevel;

/// A CPU model. All differences between processors that a partition can see follow from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuModel {
    /// Canonical name, as `-cpu` spells it.
    pub name: &'static str,
    /// Name of the node below `/cpus`.
    pub device_tree_name: &'static str,
    /// Processor Version Register.
    pub pvr: u32,
    /// Architecture level.
    pub level: IsaLevel,
    /// Bits of LPCR that exist.
    pub lpcr_mask: u64,
    /// LPCR of a vCPU that was just started, before the partition chose anything.
    pub lpcr_reset: u64,
    /// Bits that MSR can hold in a partition.
    pub msr_mask: u64,
    /// Width of the decrementer in bits when LPCR[LD] is set.
    pub decrementer_bits: u32,
    /// Number of watchpoints (DAWR).
    pub watchpoints: u32,
    /// Whether partitions may use radix translation.
    pub radix: bool,
}

const LPCR_P8: u64 = lpcr::ILE
    | lpcr::AIL
    | lpcr::ONL
    | lpcr::PECE
    | lpcr::MER
    | lpcr::LPES0
    | lpcr::HDICE
    | 0xF000_0000_0000_0000
    | 0x0C00_0000;
const LPCR_P9: u64 = lpcr::ILE
    | lpcr::AIL
    | lpcr::UPRT
    | lpcr::EVIRT
    | lpcr::HR
    | lpcr::ONL
    | lpcr::LD
    | lpcr::PECE
    | lpcr::MER
    | lpcr::GTSE
    | lpcr::HEIC
    | lpcr::LPES0
    | lpcr::HVICE
    | lpcr::HDICE;

/// POWER8 (DD2.0). Hash translation only.
pub const POWER8: CpuModel = CpuModel {
    name: "power8_v2.0",
    device_tree_name: "PowerPC,POWER8",
    pvr: 0x004D_0200,
    level: IsaLevel::V2_07,
    lpcr_mask: LPCR_P8,
    lpcr_reset: lpcr::LPES0 | lpcr::PECE,
    msr_mask: msr::PARTITION,
    decrementer_bits: 32,
    watchpoints: 1,
    radix: false,
};

/// POWER9 (DD2.2).
pub const POWER9: CpuModel = CpuModel {
    name: "power9_v2.2",
    device_tree_name: "PowerPC,POWER9",
    pvr: 0x004E_1202,
    level: IsaLevel::V3_0,
    lpcr_mask: LPCR_P9,
    // As a POWER9 vCPU of a partition starts: LD, PECE, LPES0.
    lpcr_reset: lpcr::LD | lpcr::PECE | lpcr::LPES0,
    msr_mask: msr::PARTITION,
    decrementer_bits: 56,
    watchpoints: 1,
    radix: true,
};

/// POWER10 (DD2.0).
pub const POWER10: CpuModel = CpuModel {
    name: "power10_v2.0",
    device_tree_name: "PowerPC,POWER10",
    pvr: 0x0080_1200,
    level: IsaLevel::V3_1,
    lpcr_mask: LPCR_P9 | lpcr::HAIL,
    lpcr_reset: lpcr::LD | lpcr::PECE | lpcr::LPES0,
    msr_mask: msr::PARTITION,
    decrementer_bits: 56,
    watchpoints: 2,
    radix: true,
};

/// Every model, oldest first.
pub const MODELS: [&CpuModel; 3] = [&POWER8, &POWER9, &POWER10];

/// Why a CPU name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No such model.
    #[error("unknown CPU model '{0}': known are power8, power9, power10 (and their versions, see -cpu help)")]
    Unknown(String),
}

impl CpuModel {
    /// PCR with which problem state sees a processor of `level`, as far as this one is newer.
    pub fn pcr(&self, level: IsaLevel) -> u64 {
        let bit = |last: IsaLevel, bit: u64| if level <= last && last < self.level { bit } else { 0 };
        bit(IsaLevel::V2_07, pcr::V2_07) | bit(IsaLevel::V3_0, pcr::V3_00)
    }

    /// Looks a model up by the name that a user types; case does not matter. `power9` and
    /// `power9_v2.2` are the same.
    ///
    /// # Errors
    /// [`ModelError::Unknown`] names what was typed and what is known.
    pub fn by_name(name: &str) -> Result<&'static CpuModel, ModelError> {
        let wanted = name.to_ascii_lowercase();
        MODELS
            .into_iter()
            .find(|m| {
                m.name == wanted
                    || m.name.split_once('_').is_some_and(|(short, _)| short == wanted)
                    || (wanted == "power9_v2.0" && m.level == IsaLevel::V3_0)
            })
            .ok_or_else(|| ModelError::Unknown(name.to_string()))
    }

    /// Whether the model has the *Address Translation Mode on Interrupt* `mode` (0..3) for interrupts
    /// taken by a partition. Mode 1 is reserved, mode 2 went away with ISA 3.1.
    pub fn has_ail(&self, mode: u8) -> bool {
        match mode {
            0 | 3 => true,
            2 => self.level < IsaLevel::V3_1,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_spelling() {
        for (name, pvr) in [("power9", 0x4E1202), ("POWER10", 0x801200), ("power8_v2.0", 0x4D0200)] {
            assert_eq!(CpuModel::by_name(name).unwrap().pvr, pvr);
        }
        assert_eq!(CpuModel::by_name("power11").unwrap_err(), ModelError::Unknown("power11".into()));
    }

    #[test]
    fn ail_two_exists_before_isa_3_1_only() {
        assert!(POWER9.has_ail(2) && POWER8.has_ail(2) && !POWER10.has_ail(2));
        assert!(MODELS.iter().all(|m| m.has_ail(0) && m.has_ail(3) && !m.has_ail(1)));
    }
}
