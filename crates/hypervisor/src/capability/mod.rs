//! Capabilities of the machine (`-M pseries,cap-..=..`): ONE table, and what follows from it.
//!
//! A capability is something that a guest can see or rely on and that has to be the same wherever the guest runs.
//! Its value follows from what the user said, else from the machine, the CPU model and `max-cpu-compat`: **never from
//! the host**, so that two machines started with the same line can take each other's guests.

mod ail_modes;
mod host;
mod order;
mod resolve;
mod table;

pub use ail_modes::{AilModes, AilModesError};
pub use host::{AilReport, HostCapabilities, HostKind, HostProfile, HostRefusal, Translation, check_host, extension};
pub use resolve::{CapError, CapOption, CapWarning, Capabilities, resolve};
pub use table::{
    BROKEN, CAP_COUNT, CAPABILITIES, Cap, CapRow, FIXED, FIXED_CCD, FIXED_IBS, Honour, Kind, Order, Setting, WORKAROUND,
};

/// Level of the architecture, as far back as a `pseries` partition can be asked to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IsaLevel {
    /// 2.05: POWER6.
    V2_05,
    /// 2.06: POWER7.
    V2_06,
    /// 2.06+: POWER7+.
    V2_06Plus,
    /// 2.07: POWER8.
    V2_07,
    /// 3.0: POWER9.
    V3_0,
    /// 3.1: POWER10.
    V3_1,
}

impl IsaLevel {
    /// The level of instructions and registers: what is older counts as 2.07, since no row of the table is older.
    pub fn instructions(self) -> isa::IsaLevel {
        match self {
            IsaLevel::V3_1 => isa::IsaLevel::V3_1,
            IsaLevel::V3_0 => isa::IsaLevel::V3_0,
            _ => isa::IsaLevel::V2_07,
        }
    }

    /// Every level with the name that `max-cpu-compat` gives it.
    pub const COMPAT_NAMES: [(&'static str, IsaLevel); 6] = [
        ("power6", IsaLevel::V2_05),
        ("power7", IsaLevel::V2_06),
        ("power7+", IsaLevel::V2_06Plus),
        ("power8", IsaLevel::V2_07),
        ("power9", IsaLevel::V3_0),
        ("power10", IsaLevel::V3_1),
    ];

    /// The level that `max-cpu-compat=name` means.
    pub fn by_compat_name(name: &str) -> Option<IsaLevel> {
        IsaLevel::COMPAT_NAMES.into_iter().find(|row| row.0.eq_ignore_ascii_case(name)).map(|row| row.1)
    }

    /// Its number, as in the titles of the manuals.
    pub fn number(self) -> &'static str {
        match self {
            IsaLevel::V2_05 => "2.05",
            IsaLevel::V2_06 => "2.06",
            IsaLevel::V2_06Plus => "2.06+",
            IsaLevel::V2_07 => "2.07",
            IsaLevel::V3_0 => "3.0",
            IsaLevel::V3_1 => "3.1",
        }
    }
}

impl From<isa::IsaLevel> for IsaLevel {
    fn from(level: isa::IsaLevel) -> IsaLevel {
        match level {
            isa::IsaLevel::V2_07 => IsaLevel::V2_07,
            isa::IsaLevel::V3_0 => IsaLevel::V3_0,
            isa::IsaLevel::V3_1 => IsaLevel::V3_1,
        }
    }
}

/// What defaults depend on. Nothing in here comes from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapBasis {
    /// Level of the CPU model.
    pub cpu: IsaLevel,
    /// Level of `max-cpu-compat`, when given.
    pub compat: Option<IsaLevel>,
}

impl CapBasis {
    /// The level that the guest is to see.
    pub fn effective(self) -> IsaLevel {
        self.compat.map_or(self.cpu, |compat| compat.min(self.cpu))
    }
}
