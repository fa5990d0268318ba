//! From the options that the user gave to the capabilities of the machine, and what may migrate where.

use super::order::Fit;
use super::table::Honour;
use super::{AilModes, AilModesError, CAP_COUNT, CAPABILITIES, Cap, CapBasis, CapRow, Kind, Setting};
use crate::nearest;
use thiserror::Error;

/// The name of the switch that means `ail-modes=0+3` or `ail-modes=0`, as in QEMU.
const AIL_MODE_3: &str = "ail-mode-3";

/// One option as the user gave it: name without `cap-`, and value.
pub type CapOption<'a> = (&'a str, &'a str);

/// A set of capabilities: one value each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    basis: CapBasis,
    settings: [Setting; CAP_COUNT],
}

/// Something accepted, but not as the user may think.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CapWarning {
    /// The guest is told so, but nothing more.
    #[error("cap-{name}={value}: {why}")]
    InNameOnly {
        /// Capability.
        name: &'static str,
        /// Value.
        value: String,
        /// Why.
        why: &'static str,
    },
    /// The guest was started with less than the machine offers.
    #[error("cap-{name}: the guest was started with {incoming}, this machine offers {here}; it keeps what it had")]
    MoreThanTheGuestHad {
        /// Capability.
        name: &'static str,
        /// The guest's value.
        incoming: String,
        /// The machine's value.
        here: String,
    },
}

/// Why capabilities were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CapError {
    /// No such capability.
    #[error("unknown capability 'cap-{given}'{}; known are: {}", nearest_hint(given), known_names())]
    Unknown {
        /// Name as given.
        given: String,
    },
    /// Not a value of the capability.
    #[error("cap-{name}={value}: not a value of this capability\n{}", acceptable(name))]
    BadValue {
        /// Capability.
        name: &'static str,
        /// Value as given.
        value: String,
    },
    /// Not a set of modes.
    #[error("cap-ail-modes={value}: {why}\n{supported}")]
    BadModes {
        /// Value as given.
        value: String,
        /// Why.
        why: AilModesError,
        /// What would be accepted.
        supported: String,
    },
    /// `ail-modes` and `ail-mode-3` at once.
    #[error(
        "cap-ail-modes={modes} and cap-ail-mode-3={switch} contradict each other: \
         cap-ail-mode-3={switch} means cap-ail-modes={meant}; give one of them"
    )]
    Contradiction {
        /// The set.
        modes: AilModes,
        /// The switch.
        switch: &'static str,
        /// What the switch means.
        meant: AilModes,
    },
    /// A value that this emulator or this CPU cannot have.
    #[error("cap-{name}={value}: {why}")]
    NotHonoured {
        /// Capability.
        name: &'static str,
        /// Value.
        value: String,
        /// Why.
        why: &'static str,
    },
    /// A guest that cannot be taken over.
    #[error("cap-{name}: {why}; start this machine with cap-{name}={incoming}, or the guest with cap-{name}={here}")]
    CannotTakeOver {
        /// Capability.
        name: &'static str,
        /// The guest's value.
        incoming: String,
        /// The machine's value.
        here: String,
        /// In the words of the capability's order.
        why: String,
    },
}

/// The capabilities of a machine, with what the user should know of. A function of its arguments alone.
///
/// Of several values for the same option the last counts.
///
/// # Errors
/// The first option that is unknown, malformed, contradictory or cannot be had, see [`CapError`].
pub fn resolve(options: &[CapOption<'_>], basis: CapBasis) -> Result<(Capabilities, Vec<CapWarning>), CapError> {
    let mut capabilities = Capabilities::defaults(basis);
    let mut given = [false; CAP_COUNT];
    let mut modes_given = None;
    let mut switch_given = None;
    for &(name, text) in options {
        if name == AIL_MODE_3 {
            let on = parse_switch(text).ok_or_else(|| CapError::BadValue { name: AIL_MODE_3, value: text.into() })?;
            switch_given = Some(on);
            continue;
        }
        let row = CAPABILITIES.iter().position(|row| row.name == name);
        let index = row.ok_or_else(|| CapError::Unknown { given: name.into() })?;
        let setting = parse(CapRow::of(CAPABILITIES[index].cap), text, basis)?;
        if let Setting::Modes(modes) = setting {
            modes_given = Some(modes);
        }
        capabilities.settings[index] = setting;
        given[index] = true;
    }
    if let Some(on) = switch_given {
        let meant = if on { AilModes::WITH_3 } else { AilModes::ONLY_0 };
        let switch = if on { "on" } else { "off" };
        if let Some(modes) = modes_given
            && modes != meant
        {
            return Err(CapError::Contradiction { modes, switch, meant });
        }
        meant.check(basis).map_err(|why| bad_modes(&meant.to_string(), why, basis))?;
        capabilities.settings[Cap::AilModes as usize] = Setting::Modes(meant);
    }

    let mut warnings = Vec::new();
    for (index, row) in CAPABILITIES.iter().enumerate() {
        let setting = capabilities.settings[index];
        let value = row.spell(setting);
        match (row.honour)(setting, basis) {
            Honour::Yes => {}
            Honour::No(why) => return Err(CapError::NotHonoured { name: row.name, value, why }),
            // Nobody asked for a default: a line on each start would only teach people not to read.
            Honour::InNameOnly(_) if !given[index] => {}
            Honour::InNameOnly(why) => warnings.push(CapWarning::InNameOnly { name: row.name, value, why }),
        }
    }
    Ok((capabilities, warnings))
}

impl Capabilities {
    /// What a machine has when the user says nothing.
    pub fn defaults(basis: CapBasis) -> Capabilities {
        Capabilities { basis, settings: std::array::from_fn(|index| (CAPABILITIES[index].default)(basis)) }
    }

    /// What the defaults depended on.
    pub fn basis(&self) -> CapBasis {
        self.basis
    }

    /// The value of a capability.
    pub fn get(&self, cap: Cap) -> Setting {
        self.settings[cap as usize]
    }

    /// Whether a switch is on; false for a capability that is not a switch.
    pub fn is_on(&self, cap: Cap) -> bool {
        self.get(cap) == Setting::Switch(true)
    }

    /// The level of a mitigation; 0 for a capability that has none.
    pub fn level(&self, cap: Cap) -> u8 {
        match self.get(cap) {
            Setting::Level(level) => level,
            _ => 0,
        }
    }

    /// The modes that `H_SET_MODE` accepts for LPCR[AIL].
    pub fn ail_modes(&self) -> AilModes {
        match self.get(Cap::AilModes) {
            Setting::Modes(modes) => modes,
            _ => AilModes::ONLY_0,
        }
    }

    /// Name and value of each, as the user would write them.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        CAPABILITIES.iter().map(|row| (row.name, row.spell(self.get(row.cap))))
    }

    /// Tests whether this machine can take over a guest that was started with `incoming`.
    ///
    /// # Errors
    /// [`CapError::CannotTakeOver`] names the first capability that the guest may rely on and that is not here.
    pub fn check_incoming(&self, incoming: &Capabilities) -> Result<Vec<CapWarning>, CapError> {
        let (warnings, misfits) = self.compare_incoming(incoming);
        misfits.into_iter().next().map_or(Ok(warnings), Err)
    }

    /// As [`check_incoming`](Capabilities::check_incoming), with every capability that is not here.
    pub fn compare_incoming(&self, incoming: &Capabilities) -> (Vec<CapWarning>, Vec<CapError>) {
        let (mut warnings, mut misfits) = (Vec::new(), Vec::new());
        for row in &CAPABILITIES {
            let (theirs, ours) = (incoming.get(row.cap), self.get(row.cap));
            let (name, incoming, here) = (row.name, row.spell(theirs), row.spell(ours));
            match row.order.fit(row, theirs, ours) {
                Fit::Same => {}
                Fit::Less => warnings.push(CapWarning::MoreThanTheGuestHad { name, incoming, here }),
                Fit::No(why) => misfits.push(CapError::CannotTakeOver { name, incoming, here, why }),
            }
        }
        (warnings, misfits)
    }
}

fn parse(row: &'static CapRow, text: &str, basis: CapBasis) -> Result<Setting, CapError> {
    let bad = || CapError::BadValue { name: row.name, value: text.into() };
    match row.kind {
        Kind::Switch => parse_switch(text).map(Setting::Switch).ok_or_else(bad),
        Kind::Level(names) => {
            names.iter().position(|&name| name == text).map(|level| Setting::Level(level as u8)).ok_or_else(bad)
        }
        Kind::PageSize => parse_page_shift(text).map(Setting::PageShift).ok_or_else(bad),
        Kind::AilModes => AilModes::parse(text)
            .and_then(|modes| modes.check(basis).map(|()| Setting::Modes(modes)))
            .map_err(|why| bad_modes(text, why, basis)),
    }
}

fn bad_modes(value: &str, why: AilModesError, basis: CapBasis) -> CapError {
    CapError::BadModes { value: value.into(), why, supported: AilModes::supported(basis) }
}

/// The spellings of a switch that QEMU understands.
fn parse_switch(text: &str) -> Option<bool> {
    match text {
        "on" | "yes" | "true" | "y" => Some(true),
        "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    }
}

/// Base-2 logarithm of a size such as `64K`, `16M` or `65536`; `None` unless it is a power of two.
fn parse_page_shift(text: &str) -> Option<u8> {
    let unit = text.chars().next_back()?.to_ascii_uppercase();
    let unit_shift = match unit {
        'B' | '0'..='9' => 0,
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => return None,
    };
    let digits = if unit.is_ascii_digit() { text } else { &text[..text.len() - 1] };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let size_bytes = digits.parse::<u64>().ok()?.checked_mul(1 << unit_shift)?;
    size_bytes.is_power_of_two().then(|| size_bytes.trailing_zeros() as u8)
}

fn known_names() -> String {
    let mut names: Vec<String> = CAPABILITIES.iter().map(|row| format!("cap-{}", row.name)).collect();
    names.push(format!("cap-{AIL_MODE_3}"));
    names.join(", ")
}

fn nearest_hint(given: &str) -> String {
    let names = CAPABILITIES.iter().map(|row| row.name).chain([AIL_MODE_3]);
    nearest(given, names).map_or_else(String::new, |name| format!(" (did you mean 'cap-{name}'?)"))
}

/// The small table of acceptable values that ends an error message.
fn acceptable(name: &str) -> String {
    let kind = CAPABILITIES.iter().find(|row| row.name == name).map_or(Kind::Switch, |row| row.kind);
    let lines: Vec<String> = match kind {
        Kind::Switch => vec!["on".into(), "off".into()],
        Kind::Level(names) => names.iter().map(ToString::to_string).collect(),
        Kind::PageSize => vec!["4K, 64K, 16M, 16G or another power of two of at least 4K".into()],
        // These have a table of their own, by CPU: AilModes::supported.
        Kind::AilModes => Vec::new(),
    };
    let mut text = format!("acceptable values of cap-{name}:");
    for line in lines {
        text.push_str("\n  ");
        text.push_str(&line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::IsaLevel;
    use super::*;

    const P8: CapBasis = CapBasis { cpu: IsaLevel::V2_07, compat: None };
    const P9: CapBasis = CapBasis { cpu: IsaLevel::V3_0, compat: None };
    const P10: CapBasis = CapBasis { cpu: IsaLevel::V3_1, compat: None };

    fn caps(options: &[CapOption<'_>], basis: CapBasis) -> Capabilities {
        resolve(options, basis).unwrap().0
    }

    fn refusal(options: &[CapOption<'_>], basis: CapBasis) -> String {
        resolve(options, basis).unwrap_err().to_string()
    }

    #[test]
    fn defaults_follow_the_cpu_and_max_cpu_compat() {
        let expect: [(CapBasis, &str); 3] = [
            (
                P8,
                "htm=off vsx=on dfp=on cfpc=workaround sbbc=workaround ibs=workaround hpt-max-page-size=64K nested-hv=off \
                  large-decr=off ccf-assist=on fwnmi=on rpt-invalidate=off ail-modes=0+3 nested-papr=off dawr1=off",
            ),
            (
                P10,
                "htm=off vsx=on dfp=on cfpc=workaround sbbc=workaround ibs=workaround hpt-max-page-size=64K nested-hv=off \
                   large-decr=on ccf-assist=on fwnmi=on rpt-invalidate=off ail-modes=0+3 nested-papr=off dawr1=on",
            ),
            (
                CapBasis { compat: Some(IsaLevel::V2_06), ..P9 },
                "htm=off vsx=on dfp=on cfpc=broken sbbc=broken ibs=workaround hpt-max-page-size=64K nested-hv=off \
              large-decr=off ccf-assist=on fwnmi=on rpt-invalidate=off ail-modes=0 nested-papr=off dawr1=off",
            ),
        ];
        for (basis, text) in expect {
            let (capabilities, warnings) = resolve(&[], basis).unwrap();
            let list: Vec<String> = capabilities.list().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(list.join(" "), text);
            assert!(warnings.is_empty());
        }
        // A compat level above the CPU's changes nothing.
        assert!(!caps(&[], CapBasis { compat: Some(IsaLevel::V3_1), ..P9 }).is_on(Cap::Dawr1));
    }

    #[test]
    fn ail_modes_and_its_alias() {
        assert_eq!(caps(&[("ail-modes", "0")], P9).ail_modes(), AilModes::ONLY_0);
        assert_eq!(caps(&[("ail-modes", "0xd")], P9).ail_modes(), AilModes::WITH_2_AND_3);
        assert_eq!(caps(&[("ail-mode-3", "off")], P9).ail_modes(), AilModes::ONLY_0);
        assert_eq!(caps(&[("ail-mode-3", "on")], P10).ail_modes(), AilModes::WITH_3);
        assert_eq!(caps(&[("ail-mode-3", "on"), ("ail-modes", "3+0")], P10).ail_modes(), AilModes::WITH_3);
        let text = refusal(&[("ail-modes", "0"), ("ail-mode-3", "on")], P9);
        assert!(text.contains("contradict") && text.contains("0+3"), "{text}");
        assert!(refusal(&[("ail-modes", "0+2+3"), ("ail-mode-3", "on")], P9).contains("contradict"));
        assert!(refusal(&[("ail-modes", "0+2")], P10).contains("mode 2 does not exist"));
        assert!(refusal(&[("ail-mode-3", "maybe")], P10).contains("on\n"));
        let old = CapBasis { compat: Some(IsaLevel::V2_06), ..P9 };
        assert!(refusal(&[("ail-mode-3", "on")], old).contains("does not exist"));
        let text = refusal(&[("ail-modes", "9")], P9);
        for part in ["hexadecimal", "0x9", "0+3", "0x1", "0+2+3"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn values_that_are_not_honoured() {
        for (name, value) in [("htm", "on"), ("nested-hv", "on"), ("nested-papr", "on"), ("hpt-max-page-size", "2K")] {
            assert!(refusal(&[(name, value)], P9).contains(name), "{name}");
        }
        assert!(refusal(&[("dawr1", "on")], P9).contains("ISA 3.1"));
        assert!(refusal(&[("large-decr", "on")], P8).contains("ISA 3.0"));
        let (_, warnings) =
            resolve(&[("cfpc", "fixed"), ("ibs", "fixed-na"), ("ccf-assist", "on"), ("sbbc", "broken")], P9).unwrap();
        assert_eq!(warnings.len(), 3);
        let quiet = [("cfpc", "broken"), ("sbbc", "broken"), ("ibs", "broken"), ("ccf-assist", "off"), ("htm", "off")];
        assert!(resolve(&quiet, P9).unwrap().1.is_empty());
        assert!(caps(&[("rpt-invalidate", "on")], P9).is_on(Cap::RptInvalidate));
    }

    #[test]
    fn malformed_options() {
        assert!(refusal(&[("ail-mode", "0")], P9).contains("did you mean 'cap-ail-mode"));
        assert!(refusal(&[("quux-frobnicate-all", "0")], P9).contains("known are"));
        assert!(refusal(&[(&"x".repeat(100_000), "0")], P9).contains("unknown"));
        for (name, value) in [("vsx", ""), ("vsx", "ON"), ("cfpc", "1"), ("ibs", "fixed"), ("hpt-max-page-size", "")] {
            assert!(refusal(&[(name, value)], P9).contains("acceptable values"), "{name}={value}");
        }
        for value in ["0", "3K", "K", "-4K", "64KK", "64é", "99999999999999999999", "99999999T", "+64K"] {
            assert!(resolve(&[("hpt-max-page-size", value)], P9).is_err(), "{value}");
        }
        assert_eq!(caps(&[("hpt-max-page-size", "16m")], P9).get(Cap::HptMaxPageSize), Setting::PageShift(24));
        assert!(!caps(&[("htm", "off"), ("vsx", "on"), ("vsx", "off")], P9).is_on(Cap::Vsx));
    }

    #[test]
    fn what_may_migrate_where() {
        let modes = |text| caps(&[("ail-modes", text)], P9);
        assert_eq!(modes("0+3").check_incoming(&modes("0+3")), Ok(vec![]));
        assert_eq!(modes("0+3").check_incoming(&modes("0")).unwrap().len(), 1);
        assert!(modes("0").check_incoming(&modes("0+3")).is_err());
        // Neither of these sets includes the other, though one number is larger.
        assert!(modes("0+3").check_incoming(&modes("0+2")).is_err());
        assert!(modes("0+2").check_incoming(&modes("0+3")).is_err());
        let decrementer = |value| caps(&[("large-decr", value)], P9);
        assert!(decrementer("on").check_incoming(&decrementer("off")).is_err());
        let cache = |value| caps(&[("cfpc", value)], P9);
        assert!(cache("workaround").check_incoming(&cache("fixed")).is_err());
        assert_eq!(cache("fixed").check_incoming(&cache("broken")).unwrap().len(), 1);
    }
}
