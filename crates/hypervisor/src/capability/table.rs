//! The table of capabilities: a row each, in the order of QEMU's indices.

use super::{AilModes, CapBasis, IsaLevel};

/// A capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is described by its row")]
pub enum Cap {
    Htm,
    Vsx,
    Dfp,
    Cfpc,
    Sbbc,
    Ibs,
    HptMaxPageSize,
    NestedHv,
    LargeDecr,
    CcfAssist,
    Fwnmi,
    RptInvalidate,
    AilModes,
    NestedPapr,
    Dawr1,
}

/// A value of a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Off or on.
    Switch(bool),
    /// Position in the names of [`Kind::Level`].
    Level(u8),
    /// Base-2 logarithm of a page size in bytes.
    PageShift(u8),
    /// Modes.
    Modes(AilModes),
}

/// Type of a capability's value, and its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `on` or `off`.
    Switch,
    /// One of these names, the worst first.
    Level(&'static [&'static str]),
    /// A power of two with suffix: `64K`, `16M`.
    PageSize,
    /// A list of modes, `0+3`, or a hexadecimal bitmap, `0x9`.
    AilModes,
}

/// Which guests a machine can take over: how the value that the guest was started with compares with the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The machine's value has to be the same or higher.
    HigherIsBetter,
    /// The machine's value has to be the same.
    EqualOnly,
    /// The machine's set has to include the guest's.
    SetInclusion,
}

/// What the emulator makes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Honour {
    /// The guest gets it.
    Yes,
    /// Accepted; the guest is told so, but nothing more: why.
    InNameOnly(&'static str),
    /// Refused: why.
    No(&'static str),
}

/// A row of the table.
pub struct CapRow {
    /// Which.
    pub cap: Cap,
    /// Name: `cap-<name>` on the command line, and in snapshots.
    pub name: &'static str,
    /// Type of the value.
    pub kind: Kind,
    /// Rule of migration.
    pub order: Order,
    /// The value when the user says nothing.
    pub default: fn(CapBasis) -> Setting,
    /// What comes of a value.
    pub honour: fn(Setting, CapBasis) -> Honour,
    /// What it is, for `-M help`.
    pub help: &'static str,
}

/// Levels of `cap-cfpc` and `cap-sbbc`.
const MITIGATION: &[&str] = &["broken", "workaround", "fixed"];
/// Levels of `cap-ibs`.
const BRANCH_MITIGATION: &[&str] = &["broken", "workaround", "fixed-ibs", "fixed-ccd", "fixed-na"];

/// Levels common to the mitigations: the guest is to do nothing.
pub const BROKEN: u8 = 0;
/// The guest is to do something.
pub const WORKAROUND: u8 = 1;
/// `cap-cfpc`, `cap-sbbc`: hardware does it.
pub const FIXED: u8 = 2;
/// `cap-ibs`: indirect branches are serialised.
pub const FIXED_IBS: u8 = 2;
/// `cap-ibs`: the count cache is disabled.
pub const FIXED_CCD: u8 = 3;

const ON: Setting = Setting::Switch(true);
const OFF: Setting = Setting::Switch(false);

fn on_since(level: IsaLevel, basis: CapBasis) -> Setting {
    Setting::Switch(basis.effective() >= level)
}

fn level_since(level: IsaLevel, basis: CapBasis) -> Setting {
    Setting::Level(if basis.effective() >= level { WORKAROUND } else { BROKEN })
}

fn needs(level: IsaLevel, basis: CapBasis, why: &'static str) -> Honour {
    if basis.effective() >= level { Honour::Yes } else { Honour::No(why) }
}

const NO_SPECULATION: &str = "an emulator cannot keep this promise for the host's processor; the guest is only told so";

fn mitigation(setting: Setting) -> Honour {
    if setting == Setting::Level(BROKEN) { Honour::Yes } else { Honour::InNameOnly(NO_SPECULATION) }
}

/// How many capabilities there are.
pub const CAP_COUNT: usize = 15;

/// Every capability.
pub static CAPABILITIES: [CapRow; CAP_COUNT] = [
    CapRow {
        cap: Cap::Htm,
        name: "htm",
        kind: Kind::Switch,
        order: Order::HigherIsBetter,
        default: |_| OFF,
        honour: |setting, _| {
            if setting == ON { Honour::No("transactional memory is not emulated") } else { Honour::Yes }
        },
        help: "transactional memory",
    },
    CapRow {
        cap: Cap::Vsx,
        name: "vsx",
        kind: Kind::Switch,
        order: Order::HigherIsBetter,
        default: |basis| on_since(IsaLevel::V2_06, basis),
        honour: |setting, basis| match setting {
            ON => needs(IsaLevel::V2_06, basis, "VSX needs ISA 2.06 or later"),
            _ => Honour::Yes,
        },
        help: "vector-scalar instructions",
    },
    CapRow {
        cap: Cap::Dfp,
        name: "dfp",
        kind: Kind::Switch,
        order: Order::HigherIsBetter,
        default: |basis| on_since(IsaLevel::V2_06, basis),
        honour: |setting, basis| match setting {
            ON => needs(IsaLevel::V2_05, basis, "decimal floating point needs ISA 2.05 or later"),
            _ => Honour::Yes,
        },
        help: "decimal floating point",
    },
    CapRow {
        cap: Cap::Cfpc,
        name: "cfpc",
        kind: Kind::Level(MITIGATION),
        order: Order::HigherIsBetter,
        default: |basis| level_since(IsaLevel::V2_07, basis),
        honour: |setting, _| mitigation(setting),
        help: "cache flush on privilege change",
    },
    CapRow {
        cap: Cap::Sbbc,
        name: "sbbc",
        kind: Kind::Level(MITIGATION),
        order: Order::HigherIsBetter,
        default: |basis| level_since(IsaLevel::V2_06Plus, basis),
        honour: |setting, _| mitigation(setting),
        help: "speculation barrier at bounds checks",
    },
    CapRow {
        cap: Cap::Ibs,
        name: "ibs",
        kind: Kind::Level(BRANCH_MITIGATION),
        order: Order::HigherIsBetter,
        default: |basis| level_since(IsaLevel::V2_06, basis),
        honour: |setting, _| mitigation(setting),
        help: "indirect branch speculation",
    },
    CapRow {
        cap: Cap::HptMaxPageSize,
        name: "hpt-max-page-size",
        kind: Kind::PageSize,
        order: Order::HigherIsBetter,
        default: |_| Setting::PageShift(16),
        honour: |setting, _| match setting {
            Setting::PageShift(0..12) => Honour::No("the smallest page has 4K"),
            Setting::PageShift(12..16) => {
                Honour::InNameOnly("guests with 64K pages will not boot with hash translation")
            }
            _ => Honour::Yes,
        },
        help: "largest page with hash translation",
    },
    CapRow {
        cap: Cap::NestedHv,
        name: "nested-hv",
        kind: Kind::Switch,
        order: Order::HigherIsBetter,
        default: |_| OFF,
        honour: |setting, _| {
            if setting == ON { Honour::No("nested KVM guests are not emulated") } else { Honour::Yes }
        },
        help: "nested guests by KVM's calls",
    },
    CapRow {
        cap: Cap::LargeDecr,
        name: "large-decr",
        kind: Kind::Switch,
        order: Order::EqualOnly,
        default: |basis| on_since(IsaLevel::V3_0, basis),
        honour: |setting, basis| match setting {
            ON => needs(IsaLevel::V3_0, basis, "the large decrementer needs ISA 3.0 or later"),
            _ => Honour::Yes,
        },
        help: "decrementer of more than 32 bits",
    },
    CapRow {
        cap: Cap::CcfAssist,
        name: "ccf-assist",
        kind: Kind::Switch,
        order: Order::HigherIsBetter,
        default: |_| ON,
        honour: |setting, _| if setting == ON { Honour::InNameOnly(NO_SPECULATION) } else { Honour::Yes },
        help: "count cache flush by one instruction",
    },
    CapRow {
        cap: Cap::Fwnmi,
        name: "fwnmi",
        kind: Kind::Switch,
        order: Order::HigherIsBetter,
        default: |_| ON,
        honour: |_, _| Honour::Yes,
        help: "firmware-assisted system reset and machine check",
    },
    CapRow {
        cap: Cap::RptInvalidate,
        name: "rpt-invalidate",
        kind: Kind::Switch,
        order: Order::HigherIsBetter,
        default: |_| OFF,
        honour: |setting, basis| match setting {
            ON => needs(IsaLevel::V3_0, basis, "H_RPT_INVALIDATE needs radix translation, so ISA 3.0 or later"),
            _ => Honour::Yes,
        },
        help: "H_RPT_INVALIDATE",
    },
    CapRow {
        cap: Cap::AilModes,
        name: "ail-modes",
        kind: Kind::AilModes,
        order: Order::SetInclusion,
        default: |basis| Setting::Modes(AilModes::default_for(basis)),
        honour: |_, _| Honour::Yes,
        help: "modes of address translation on interrupt that a guest may choose (cap-ail-mode-3=on|off: 0+3|0)",
    },
    CapRow {
        cap: Cap::NestedPapr,
        name: "nested-papr",
        kind: Kind::Switch,
        order: Order::HigherIsBetter,
        default: |_| OFF,
        honour: |setting, _| {
            if setting == ON { Honour::No("nested PAPR guests are not emulated") } else { Honour::Yes }
        },
        help: "nested guests by PAPR's calls",
    },
    CapRow {
        cap: Cap::Dawr1,
        name: "dawr1",
        kind: Kind::Switch,
        order: Order::HigherIsBetter,
        default: |basis| on_since(IsaLevel::V3_1, basis),
        honour: |setting, basis| match setting {
            ON => needs(IsaLevel::V3_1, basis, "a second watchpoint needs ISA 3.1 or later"),
            _ => Honour::Yes,
        },
        help: "second watchpoint",
    },
];

impl CapRow {
    /// The row of `cap`.
    pub fn of(cap: Cap) -> &'static CapRow {
        &CAPABILITIES[cap as usize]
    }

    /// `setting` as the user would write it.
    pub fn spell(&self, setting: Setting) -> String {
        match (setting, self.kind) {
            (Setting::Switch(on), _) => if on { "on" } else { "off" }.into(),
            (Setting::Level(level), Kind::Level(names)) => {
                names.get(usize::from(level)).map_or_else(|| level.to_string(), ToString::to_string)
            }
            (Setting::Level(level), _) => level.to_string(),
            (Setting::PageShift(shift), _) => match shift {
                10..20 => format!("{}K", 1u64 << (shift - 10)),
                20..30 => format!("{}M", 1u64 << (shift - 20)),
                30..63 => format!("{}G", 1u64 << (shift - 30)),
                _ => format!("2^{shift}"),
            },
            (Setting::Modes(modes), _) => modes.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enumeration() {
        for (index, row) in CAPABILITIES.iter().enumerate() {
            assert_eq!(row.cap as usize, index, "{}", row.name);
        }
    }
}
