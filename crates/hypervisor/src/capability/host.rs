//! What the host gives a partition, and whether a machine may start on it.
//!
//! A machine's defaults never follow from its host (two machines with the same line can take each other's guests): a host
//! that has less than the machine asks for is a reason not to start, and the error says which line would.

use super::{AilModes, Capabilities, IsaLevel};
use thiserror::Error;

/// Numbers of `KVM_CHECK_EXTENSION` (Linux, `include/uapi/linux/kvm.h`) that concern AIL and translation.
pub mod extension {
    /// The kind of KVM: only the one in problem state (PR) has paravirtual information.
    pub const PPC_GET_PVINFO: u32 = 57;
    /// Guests may translate by radix trees.
    pub const PPC_MMU_RADIX: u32 = 134;
    /// Guests may have hash tables as ISA 3.0 has them.
    pub const PPC_MMU_HASH_V3: u32 = 135;
    /// `H_SET_MODE` may set LPCR\[AIL\] to 3.
    pub const PPC_AIL_MODE_3: u32 = 210;
}

/// Who executes guest code in privileged state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// An emulator.
    Emulator,
    /// KVM in hypervisor state.
    KvmHv,
    /// KVM in problem state.
    KvmPr,
}

/// What a host says of the modes that it honours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AilReport {
    /// All of them: bit `m` for mode `m` (as `KVM_CAP_PPC_AIL_MODES` was proposed).
    Bitmap(AilModes),
    /// Whether 3 is among them (`KVM_CAP_PPC_AIL_MODE_3`, as merged).
    Mode3(bool),
    /// Nothing: it is older than the question.
    Nothing,
}

/// What there is to know of a host. A back-end for KVM would answer by ioctls.
pub trait HostCapabilities {
    /// What to call it in messages.
    fn name(&self) -> String;

    /// Who executes the guest.
    fn kind(&self) -> HostKind;

    /// Level of the host's processor; `None`: that of the guest's.
    fn level(&self) -> Option<IsaLevel>;

    /// What `KVM_CHECK_EXTENSION` gives: 0 for no, and for a number that the host does not know.
    fn check_extension(&self, number: u32) -> u32;

    /// What it says of its modes. A back-end for KVM gives [`AilReport::Nothing`] for kernels before 5.18, where the 0 of
    /// [`check_extension`](HostCapabilities::check_extension) is no answer.
    fn ail_report(&self) -> AilReport {
        AilReport::Mode3(self.check_extension(extension::PPC_AIL_MODE_3) != 0)
    }

    /// The modes that a machine on it may offer: what it reports, else what every host of its kind has.
    fn ail_modes(&self) -> AilModes {
        match self.ail_report() {
            AilReport::Bitmap(modes) => modes,
            AilReport::Mode3(true) => AilModes::WITH_3,
            AilReport::Mode3(false) => AilModes::ONLY_0,
            AilReport::Nothing if self.kind() == HostKind::KvmPr => AilModes::ONLY_0,
            AilReport::Nothing if self.level().is_some_and(|level| level < IsaLevel::V2_07) => AilModes::ONLY_0,
            AilReport::Nothing => AilModes::WITH_3,
        }
    }

    /// How guests may translate.
    fn translation(&self) -> Translation {
        Translation {
            radix: self.check_extension(extension::PPC_MMU_RADIX) != 0,
            hash: self.kind() == HostKind::KvmPr || self.check_extension(extension::PPC_MMU_HASH_V3) != 0,
        }
    }
}

/// Ways of translating that there are, or that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translation {
    /// By radix trees.
    pub radix: bool,
    /// By a hash table.
    pub hash: bool,
}

/// How a profile's host reports its modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reports {
    Bitmap,
    Mode3,
    Nothing,
}

/// A row of the table of profiles.
#[derive(Debug)]
struct ProfileRow {
    name: &'static str,
    kind: HostKind,
    level: Option<IsaLevel>,
    /// Modes honoured with radix translation, and with hash translation; `None`: no such translation.
    radix: Option<AilModes>,
    hash: Option<AilModes>,
    reports: Reports,
    /// It is a guest itself, and can give what it was given.
    nested: bool,
    help: &'static str,
}

/// A host to imitate (`-accel jit,host=..`).
#[derive(Debug, Clone, Copy)]
pub struct HostProfile {
    row: &'static ProfileRow,
    above_ail_3: bool,
}

const ZERO: Option<AilModes> = Some(AilModes::ONLY_0);
const THREE: Option<AilModes> = Some(AilModes::WITH_3);
const EVERY: Option<AilModes> = Some(AilModes::WITH_2_AND_3);
const P7: Option<IsaLevel> = Some(IsaLevel::V2_06);
const P9: Option<IsaLevel> = Some(IsaLevel::V3_0);

#[allow(clippy::too_many_arguments)] // columns of the table below
const fn row(
    name: &'static str,
    kind: HostKind,
    level: Option<IsaLevel>,
    radix: Option<AilModes>,
    hash: Option<AilModes>,
    reports: Reports,
    help: &'static str,
) -> ProfileRow {
    ProfileRow { name, kind, level, radix, hash, reports, nested: false, help }
}

#[rustfmt::skip]
static PROFILES: [ProfileRow; 9] = [
    row("jit", HostKind::Emulator, None, EVERY, EVERY, Reports::Bitmap, "this emulator (the default)"),
    row("kvm-hv", HostKind::KvmHv, None, THREE, THREE, Reports::Mode3, "KVM HV on the processor of -cpu"),
    row("kvm-hv-power7", HostKind::KvmHv, P7, None, ZERO, Reports::Mode3, "KVM HV on a POWER7, whatever -cpu is"),
    row("kvm-hv-power9-dd2.1", HostKind::KvmHv, P9, ZERO, THREE, Reports::Mode3,
        "KVM HV on a POWER9 whose prefetch leaks in mode 3 with radix translation"),
    ProfileRow { nested: true, ..row("kvm-hv-nested", HostKind::KvmHv, None, THREE, None, Reports::Mode3,
        "KVM HV in a guest; above-ail-3=on|off: what that guest was given, default on") },
    row("kvm-pr", HostKind::KvmPr, None, None, ZERO, Reports::Mode3, "KVM PR"),
    row("kvm-hv-pre-cap", HostKind::KvmHv, None, THREE, THREE, Reports::Nothing, "KVM HV before Linux 5.18"),
    row("kvm-hv-power7-pre-cap", HostKind::KvmHv, P7, None, ZERO, Reports::Nothing, "KVM HV on a POWER7 before Linux 5.18"),
    row("kvm-pr-pre-cap", HostKind::KvmPr, None, None, ZERO, Reports::Nothing, "KVM PR before Linux 5.18"),
];

impl Default for HostProfile {
    fn default() -> HostProfile {
        HostProfile { row: &PROFILES[0], above_ail_3: true }
    }
}

impl PartialEq for HostProfile {
    fn eq(&self, other: &HostProfile) -> bool {
        std::ptr::eq(self.row, other.row) && self.above_ail_3 == other.above_ail_3
    }
}

impl Eq for HostProfile {}

impl HostProfile {
    /// The names, the default first, each with what it is.
    pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        PROFILES.iter().map(|row| (row.name, row.help))
    }

    /// The profile of this name.
    pub fn by_name(name: &str) -> Option<HostProfile> {
        PROFILES.iter().find(|row| row.name == name).map(|row| HostProfile { row, above_ail_3: true })
    }

    /// A nested host: whether the guest that it is was given mode 3. `None`: this host is no guest.
    pub fn with_above_ail_3(self, given: bool) -> Option<HostProfile> {
        self.row.nested.then_some(HostProfile { above_ail_3: given, ..self })
    }

    /// Whether [`with_above_ail_3`](HostProfile::with_above_ail_3) applies.
    pub fn is_nested(&self) -> bool {
        self.row.nested
    }

    /// The modes that `H_SET_MODE` of a guest with this translation is not refused by the host itself.
    pub fn honours(&self, radix: bool) -> AilModes {
        let modes = if radix { self.row.radix } else { self.row.hash };
        match modes {
            Some(modes) if self.above_ail_3 || !self.row.nested => modes,
            _ => AilModes::ONLY_0,
        }
    }
}

impl HostCapabilities for HostProfile {
    fn name(&self) -> String {
        let above = if self.row.nested && !self.above_ail_3 { ",above-ail-3=off" } else { "" };
        format!("{}{above}", self.row.name)
    }

    fn kind(&self) -> HostKind {
        self.row.kind
    }

    fn level(&self) -> Option<IsaLevel> {
        self.row.level
    }

    fn check_extension(&self, number: u32) -> u32 {
        let both_honour_3 = || {
            let ways = [(self.row.radix, true), (self.row.hash, false)];
            ways.into_iter().filter(|(there, _)| there.is_some()).all(|(_, radix)| self.honours(radix).contains(3))
        };
        u32::from(match number {
            extension::PPC_GET_PVINFO => self.row.kind == HostKind::KvmPr,
            extension::PPC_MMU_RADIX => self.row.radix.is_some(),
            extension::PPC_MMU_HASH_V3 => self.row.hash.is_some(),
            extension::PPC_AIL_MODE_3 => self.row.reports == Reports::Mode3 && both_honour_3(),
            _ => false,
        })
    }

    fn ail_report(&self) -> AilReport {
        match self.row.reports {
            Reports::Bitmap => AilReport::Bitmap(self.honours(true)),
            Reports::Mode3 => AilReport::Mode3(self.check_extension(extension::PPC_AIL_MODE_3) != 0),
            Reports::Nothing => AilReport::Nothing,
        }
    }
}

/// A machine that asks for more than its host has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the host {host} has not what this machine asks for:{}\n{}", lines(.missing), remedy(.remedies))]
pub struct HostRefusal {
    /// The host.
    host: String,
    /// What it has not, a sentence each.
    missing: Vec<String>,
    /// Options each of which makes a line that starts.
    remedies: Vec<String>,
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}

fn remedy(remedies: &[String]) -> String {
    match remedies {
        [] => "no option would help: another -cpu, or another host".into(),
        [one] => format!("it would start with -M pseries,{one}"),
        several => {
            let list: Vec<String> = several.iter().map(|options| format!("  -M pseries,{options}")).collect();
            format!("it would start with one of\n{}", list.join("\n"))
        }
    }
}

/// Tests whether a machine with these capabilities, whose guest may translate as `wanted` says, may start on `host`.
/// `possible` is what the guest's processor can do.
///
/// # Errors
/// [`HostRefusal`], with the options that would start.
pub fn check_host(
    host: &dyn HostCapabilities,
    capabilities: &Capabilities,
    wanted: Translation,
    possible: Translation,
) -> Result<(), HostRefusal> {
    let (modes, has) = (host.ail_modes(), host.translation());
    let mut missing = Vec::new();
    let asked = capabilities.ail_modes();
    if !modes.includes(asked) {
        let by_default = asked == AilModes::default_for(capabilities.basis());
        let why = match host.ail_report() {
            AilReport::Nothing => "as every host of its kind that is too old to say",
            _ => "as it says",
        };
        missing.push(format!(
            "modes of address translation on interrupt: {} wanted{}, the host has {} ({why})",
            asked.words(),
            if by_default { " (the default)" } else { "" },
            modes.words()
        ));
    }
    let too_much = [("radix", wanted.radix, has.radix), ("hash", wanted.hash, has.hash)];
    for (name, ..) in too_much.iter().filter(|(_, wanted, has)| *wanted && !has) {
        missing.push(format!("guests with {name} translation"));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let sets = AilModes::for_cpu(capabilities.basis()).filter(|set| modes.includes(*set));
    let sets: Vec<AilModes> = if modes.includes(asked) { vec![asked] } else { sets.collect() };
    let mmus: &[Option<&str>] = match (wanted.radix && !has.radix, wanted.hash && !has.hash) {
        (false, false) => &[None],
        (true, _) if has.hash && possible.hash => &[Some("mmu=hash")],
        (_, true) if has.radix && possible.radix => &[Some("mmu=radix")],
        _ => &[],
    };
    let remedies = mmus.iter().flat_map(|mmu| {
        sets.iter().map(move |set| {
            let modes = (*set != asked).then(|| format!("cap-ail-modes={set}"));
            modes.into_iter().chain(mmu.map(String::from)).collect::<Vec<_>>().join(",")
        })
    });
    Err(HostRefusal { host: host.name(), missing, remedies: remedies.collect() })
}

#[cfg(test)]
mod tests {
    use super::super::{CapBasis, resolve};
    use super::*;

    const BOTH: Translation = Translation { radix: true, hash: true };
    const RADIX: Translation = Translation { radix: true, hash: false };
    const HASH: Translation = Translation { radix: false, hash: true };

    fn profile(name: &str) -> HostProfile {
        HostProfile::by_name(name).unwrap()
    }

    #[test]
    fn what_each_profile_reports_and_honours() {
        use AilReport::{Bitmap, Mode3, Nothing};
        let (zero, three, every) = (AilModes::ONLY_0, AilModes::WITH_3, AilModes::WITH_2_AND_3);
        for (name, report, offers, radix, hash, translation) in [
            ("jit", Bitmap(every), every, every, every, BOTH),
            ("kvm-hv", Mode3(true), three, three, three, BOTH),
            ("kvm-hv-power7", Mode3(false), zero, zero, zero, HASH),
            ("kvm-hv-power9-dd2.1", Mode3(false), zero, zero, three, BOTH),
            ("kvm-hv-nested", Mode3(true), three, three, zero, RADIX),
            ("kvm-pr", Mode3(false), zero, zero, zero, HASH),
            ("kvm-hv-pre-cap", Nothing, three, three, three, BOTH),
            ("kvm-hv-power7-pre-cap", Nothing, zero, zero, zero, HASH),
            ("kvm-pr-pre-cap", Nothing, zero, zero, zero, HASH),
        ] {
            let host = profile(name);
            assert_eq!((host.ail_report(), host.ail_modes()), (report, offers), "{name}");
            assert_eq!((host.honours(true), host.honours(false)), (radix, hash), "{name}");
            assert_eq!(host.translation(), translation, "{name}");
            let says = host.check_extension(extension::PPC_AIL_MODE_3);
            assert_eq!(says, u32::from(report == Mode3(true)), "{name}");
            assert_eq!(host.check_extension(9999), 0);
        }
        assert_eq!(HostProfile::names().count(), 9);
        let nested = profile("kvm-hv-nested").with_above_ail_3(false).unwrap();
        assert_eq!((nested.ail_report(), nested.ail_modes()), (Mode3(false), zero));
        assert_eq!(nested.name(), "kvm-hv-nested,above-ail-3=off");
        assert!(profile("kvm-hv").with_above_ail_3(false).is_none());
        assert!(HostProfile::by_name("kvm").is_none());
    }

    fn refusal(host: HostProfile, options: &[(&str, &str)], wanted: Translation) -> String {
        let basis = CapBasis { cpu: IsaLevel::V3_0, compat: None };
        let capabilities = resolve(options, basis).unwrap().0;
        check_host(&host, &capabilities, wanted, BOTH).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn who_asks_for_more_than_there_is_does_not_start() {
        let starts = |name: &str, modes: &str, wanted| {
            assert_eq!(refusal(profile(name), &[("ail-modes", modes)], wanted), "", "{name} {modes}");
        };
        for (name, _) in HostProfile::names() {
            let has = profile(name).translation();
            for wanted in [RADIX, HASH].into_iter().filter(|w| (!w.radix || has.radix) && (!w.hash || has.hash)) {
                starts(name, "0", wanted);
            }
        }
        starts("jit", "0+2+3", BOTH);
        starts("kvm-hv", "0+3", HASH);
        starts("kvm-hv-pre-cap", "0+3", RADIX);
        assert_eq!(
            refusal(profile("kvm-hv-power9-dd2.1"), &[], HASH),
            "the host kvm-hv-power9-dd2.1 has not what this machine asks for:\n  modes of address translation on \
             interrupt: 0 and 3 wanted (the default), the host has 0 (as it says)\nit would start with -M \
             pseries,cap-ail-modes=0"
        );
        assert_eq!(
            refusal(profile("kvm-hv"), &[("ail-modes", "0+2")], RADIX),
            "the host kvm-hv has not what this machine asks for:\n  modes of address translation on interrupt: 0 and 2 \
             wanted, the host has 0 and 3 (as it says)\nit would start with one of\n  -M pseries,cap-ail-modes=0\n  -M \
             pseries,cap-ail-modes=0+3"
        );
        let text = refusal(profile("kvm-pr-pre-cap"), &[("ail-mode-3", "on")], RADIX);
        for part in ["too old to say", "radix translation", "-M pseries,cap-ail-modes=0,mmu=hash"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = refusal(profile("kvm-hv-nested"), &[], HASH);
        assert!(text.ends_with("-M pseries,mmu=radix"), "{text}");
        let nested = profile("kvm-hv-nested").with_above_ail_3(false).unwrap();
        assert!(refusal(nested, &[], RADIX).contains("above-ail-3=off"));
    }

    #[test]
    fn the_remedies_start() {
        for (name, _) in HostProfile::names() {
            for (modes, _) in AilModes::ACCEPTABLE {
                for wanted in [RADIX, HASH, BOTH] {
                    let modes = modes.to_string();
                    let text = refusal(profile(name), &[("ail-modes", &modes)], wanted);
                    for line in text.lines().filter_map(|line| line.split_once("-M pseries,")) {
                        let (mut options, mut translation) = (vec![("ail-modes", modes.as_str())], wanted);
                        for (key, value) in line.1.split(',').map(|option| option.split_once('=').unwrap()) {
                            match (key, value) {
                                ("mmu", "hash") => translation = HASH,
                                ("mmu", "radix") => translation = RADIX,
                                _ => options = vec![(key.strip_prefix("cap-").unwrap(), value)],
                            }
                        }
                        assert_eq!(refusal(profile(name), &options, translation), "", "{name}: {line:?}");
                    }
                    assert_eq!(text.is_empty(), !text.contains("would start"), "{text}");
                }
            }
        }
    }
}
