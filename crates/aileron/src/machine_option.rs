//! `-machine`: its properties, ONE table.

use crate::values::{hint, key_values, number, switch};
use anyhow::{Context as _, Result, bail, ensure};
use devices::InterruptMode;
use hypervisor::capability::{CAPABILITIES, IsaLevel, Kind};
use machine::Mmu;
use std::path::PathBuf;

/// What `-machine` said, all occurrences together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineOption {
    /// Capabilities as given, without `cap-`.
    pub capabilities: Vec<(String, String)>,
    /// `max-cpu-compat`.
    pub compat: Option<IsaLevel>,
    /// `mmu`.
    pub mmu: Option<Mmu>,
    /// `resize-hpt=disabled`.
    pub fixed_hash_table: bool,
    /// `ic-mode`.
    pub interrupt_mode: InterruptMode,
    /// `x-vof`.
    pub client_interface: bool,
    /// `kernel-addr`.
    pub kernel_address: Option<u64>,
    /// Before version 6.2: a guest is told of NUMA nodes in FORM1 only.
    pub form1_only: bool,
    /// `memory-backend`.
    pub memory_backend: Option<String>,
    /// `vsmt`.
    pub vsmt: Option<u64>,
    /// `dumpdtb`.
    pub dump_tree: Option<PathBuf>,
    /// `accel`, for the second pass.
    pub accel: Option<String>,
    /// `kernel`.
    pub kernel: Option<PathBuf>,
    /// `initrd`.
    pub initrd: Option<PathBuf>,
    /// `append`.
    pub append: Option<String>,
    /// Strings for the root of the tree.
    pub root_strings: Vec<(&'static str, String)>,
}

/// What becomes of a property.
#[derive(Debug, Clone, Copy)]
enum Property {
    KernelAddress,
    Compat,
    Mmu,
    ResizeHpt,
    InterruptMode,
    Vof,
    Vsmt,
    MemoryBackend,
    DumpTree,
    Accel,
    Kernel,
    Initrd,
    Append,
    RootString(&'static str),
    /// Off is what there is; on is accepted with a warning.
    OffOnly(&'static str),
    /// On is what there is; off is accepted with a warning.
    OnOnly(&'static str),
    /// Accepted with a warning.
    Ignored(&'static str),
    Refused(&'static str),
}

struct Row {
    name: &'static str,
    value: &'static str,
    property: Property,
    help: &'static str,
}

const fn row(name: &'static str, value: &'static str, property: Property, help: &'static str) -> Row {
    Row { name, value, property, help }
}

const NO_HOTPLUG: &str = "nothing is plugged while the machine runs";

#[rustfmt::skip]
static PROPERTIES: &[Row] = &[
    row("kernel-addr", "address", Property::KernelAddress, "where the kernel is loaded; default 0x400000"),
    row("max-cpu-compat", "power8|power9|power10", Property::Compat, "the latest processor that the guest is told of"),
    row("mmu", "radix|hash", Property::Mmu, "how the guest translates; default as processor and disable_radix of -append say"),
    row("resize-hpt", "enabled", Property::ResizeHpt, "the guest may resize its hash table"),
    row("ic-mode", "xics|xive|dual", Property::InterruptMode, "interrupt controllers; default dual: XIVE where the guest can"),
    row("x-vof", "on|off", Property::Vof, "the kernel asks Open Firmware and negotiates; default off: it finds the outcome"),
    row("vsmt", "n", Property::Vsmt, "from the server number of a core to the next core's; default the threads of a core"),
    row("memory-backend", "id", Property::MemoryBackend, "the -object that is guest RAM, without -numa; as large as -m"),
    row("dumpdtb", "file", Property::DumpTree, "writes the device tree and ends"),
    row("accel", "name", Property::Accel, "as -accel"),
    row("kernel", "file", Property::Kernel, "as -kernel"),
    row("initrd", "file", Property::Initrd, "as -initrd"),
    row("append", "text", Property::Append, "as -append"),
    row("host-model", "text", Property::RootString("host-model"), "what the guest is told of the host"),
    row("host-serial", "text", Property::RootString("host-serial"), "what the guest is told of the host"),
    row("usb", "off", Property::OffOnly("there is no USB"), ""),
    row("graphics", "off", Property::OffOnly("there are no graphics"), ""),
    row("nvdimm", "off", Property::OffOnly("there is no persistent memory"), ""),
    row("suppress-vmdesc", "on|off", Property::Ignored("a saved partition says itself what it holds"), ""),
    row("dump-guest-core", "on|off", Property::Ignored("a core of the emulator has guest RAM in it"), ""),
    row("mem-merge", "off", Property::OffOnly("guest RAM is not merged"), ""),
    row("modern-hotplug-events", "on", Property::OnOnly(NO_HOTPLUG), ""),
    row("kvm-type", "what", Property::Ignored("the host's virtualization is not used"), ""),
    row("dtb", "file", Property::Refused("the device tree is the machine's own"), ""),
    row("firmware", "file", Property::Refused("kernels are entered directly, without firmware"), ""),
    row("confidential-guest-support", "id", Property::Refused("there are no secure guests"), ""),
];

impl MachineOption {
    /// Takes one `-machine` in. Properties that come to nothing are added to `warnings`. `Some`: help was asked for.
    ///
    /// # Errors
    /// For another machine, an unknown property, and a value that is none.
    pub fn add(&mut self, text: &str, warnings: &mut Vec<String>) -> Result<Option<String>> {
        for (index, (key, value)) in key_values(text).into_iter().enumerate() {
            match value {
                None if key == "help" || key == "?" => {
                    return Ok(Some(if index == 0 { machines() } else { properties() }));
                }
                None if index == 0 => self.set_type(&key)?,
                None => bail!("'{key}': expected property=value{}", hint(&key, names())),
                Some(kind) if key == "type" => self.set_type(&kind)?,
                Some(value) => self.set(&key, value, warnings).with_context(|| key.clone())?,
            }
        }
        Ok(None)
    }

    /// `pseries`, or one of QEMU's versions of it.
    fn set_type(&mut self, name: &str) -> Result<()> {
        let version = |text: &str| {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        };
        match (name, name.strip_prefix("pseries-").and_then(version)) {
            ("pseries", _) => self.form1_only = false,
            (_, Some(version)) => self.form1_only = version < (6, 2),
            _ => bail!("unknown machine '{name}'{}; the machine is pseries (-M help)", hint(name, ["pseries"])),
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: String, warnings: &mut Vec<String>) -> Result<()> {
        if let Some(capability) = name.strip_prefix("cap-") {
            self.capabilities.push((capability.into(), value));
            return Ok(());
        }
        let row = PROPERTIES.iter().find(|row| row.name == name);
        let row = row.with_context(|| format!("unknown property{}; -M pseries,help lists all", hint(name, names())))?;
        let mut warn = |why: &str| warnings.push(format!("-machine {name}={value}: not honoured, {why}"));
        match row.property {
            Property::KernelAddress => self.kernel_address = Some(number(&value)?),
            Property::Compat => {
                let known = IsaLevel::COMPAT_NAMES.map(|row| row.0);
                let level = IsaLevel::by_compat_name(&value).with_context(|| {
                    format!("unknown processor '{value}'{}; known are {}", hint(&value, known), known.join(", "))
                })?;
                self.compat = Some(level);
            }
            Property::Mmu => {
                self.mmu = match value.as_str() {
                    "radix" => Some(Mmu::Radix),
                    "hash" => Some(Mmu::Hash),
                    _ => bail!("unknown translation '{value}'; known are radix, hash"),
                }
            }
            Property::ResizeHpt => match value.as_str() {
                "enabled" | "default" => self.fixed_hash_table = false,
                "disabled" => self.fixed_hash_table = true,
                "required" => bail!(
                    "not supported: the hash table is made for all RAM at the start, and no guest needs to resize it; use \
                     resize-hpt=enabled"
                ),
                _ => bail!("'{value}' is none of enabled, disabled, required, default"),
            },
            Property::InterruptMode => match value.as_str() {
                "xics" => self.interrupt_mode = InterruptMode::Xics,
                "xive" => self.interrupt_mode = InterruptMode::Xive,
                "dual" => self.interrupt_mode = InterruptMode::Dual,
                _ => bail!("unknown interrupt controller '{value}'; known are xics, xive, dual"),
            },
            Property::Vof => self.client_interface = switch(&value)?,
            // 0 is the default, as in QEMU.
            Property::Vsmt => self.vsmt = Some(number(&value)?).filter(|vsmt| *vsmt > 0),
            Property::MemoryBackend => self.memory_backend = Some(value),
            Property::DumpTree => self.dump_tree = Some(path(&value)?),
            Property::Accel => self.accel = Some(value),
            Property::Kernel => self.kernel = Some(path(&value)?),
            Property::Initrd => self.initrd = Some(path(&value)?),
            Property::Append => self.append = Some(value),
            Property::RootString(property) => self.root_strings.push((property, value)),
            Property::OffOnly(why) => {
                if switch(&value)? {
                    warn(why);
                }
            }
            Property::OnOnly(why) => {
                if !switch(&value)? {
                    warn(why);
                }
            }
            Property::Ignored(why) => warn(why),
            Property::Refused(why) => bail!("not supported: {why}"),
        }
        Ok(())
    }
}

fn path(text: &str) -> Result<PathBuf> {
    ensure!(!text.is_empty(), "expected the path of a file");
    Ok(text.into())
}

fn names() -> impl Iterator<Item = &'static str> {
    PROPERTIES.iter().map(|row| row.name)
}

fn machines() -> String {
    "Machines:\n  pseries      PAPR partition, POWER8 to POWER10 (the default)\n  pseries-X.Y  the same: versions of QEMU's \
     machine are understood; before 6.2 guests are told of NUMA nodes in FORM1\n"
        .into()
}

fn properties() -> String {
    let mut text = String::from("Properties of the machine pseries:\n");
    let mut line = |name: &str, value: &str, help: &str| {
        let head = format!("{name}={value}");
        text.push_str(format!("  {head:<44} {help}").trim_end());
        text.push('\n');
    };
    for row in PROPERTIES {
        match row.property {
            Property::Ignored(why) => line(row.name, row.value, &format!("accepted, not honoured: {why}")),
            Property::Refused(why) => line(row.name, row.value, &format!("refused: {why}")),
            Property::OffOnly(why) | Property::OnOnly(why) => line(row.name, row.value, why),
            _ => line(row.name, row.value, row.help),
        }
    }
    for row in &CAPABILITIES {
        let value = match row.kind {
            Kind::Switch => "on|off".to_string(),
            Kind::Level(names) => names.join("|"),
            Kind::PageSize => "size".into(),
            Kind::AilModes => "0|0+3|0+2+3|bitmap".into(),
        };
        line(&format!("cap-{}", row.name), &value, row.help);
    }
    line("cap-ail-mode-3", "on|off", "as in QEMU: cap-ail-modes=0+3 or 0");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(text: &str) -> Result<(MachineOption, Vec<String>)> {
        let (mut option, mut warnings) = (MachineOption::default(), Vec::new());
        assert_eq!(option.add(text, &mut warnings)?, None);
        Ok((option, warnings))
    }

    #[test]
    fn lines_that_start_a_guest_in_qemu() {
        let (option, warnings) = machine(
            "pseries,x-vof=on,ic-mode=xics,cap-cfpc=broken,cap-ail-modes=0+3,kernel-addr=0x800000,max-cpu-compat=power9,usb=off",
        )
        .unwrap();
        assert_eq!(option.capabilities, [("cfpc", "broken"), ("ail-modes", "0+3")].map(|(a, b)| (a.into(), b.into())));
        assert_eq!((option.kernel_address, option.compat), (Some(0x80_0000), Some(IsaLevel::V3_0)));
        assert!(warnings.is_empty() && option.client_interface, "{warnings:?}");
        assert!(!machine("pseries,x-vof=on,x-vof=off").unwrap().0.client_interface);
        for text in ["pseries-10.0", "type=pseries,accel=tcg", "pseries,append=a,,b", "vsmt=1,resize-hpt=disabled"] {
            assert!(machine(text).is_ok(), "{text}");
        }
        let forms = ["pseries", "pseries-6.1", "pseries-6.2", "pseries-10.0", "type=pseries-2.12"];
        let forms = forms.map(|text| machine(text).unwrap().0.form1_only);
        assert_eq!(forms, [false, true, false, false, true]);
        assert_eq!(machine("append=a,,b").unwrap().0.append.unwrap(), "a,b");
        for (text, fixed) in [("resize-hpt=disabled", true), ("resize-hpt=disabled,resize-hpt=enabled", false)] {
            let (option, warnings) = machine(text).unwrap();
            assert_eq!((option.fixed_hash_table, warnings), (fixed, Vec::new()), "{text}");
        }
    }

    #[test]
    fn malformed_properties() {
        for (text, words) in [
            ("powernv", &["unknown machine 'powernv'", "pseries"][..]),
            ("pserie", &["did you mean 'pseries'"]),
            ("pseries-", &["unknown machine"]),
            ("pseries-10", &["unknown machine"]),
            ("", &["unknown machine ''"]),
            ("pseries,", &["expected property=value"]),
            ("pseries,x-vof", &["'x-vof'", "property=value"]),
            ("pseries,x-vof=maybe", &["x-vof", "maybe", "neither"]),
            ("pseries,kernel-adr=1", &["kernel-adr", "did you mean 'kernel-addr'"]),
            ("pseries,kernel-addr=low", &["kernel-addr", "'low' is not a number"]),
            ("pseries,ic-mode=apic", &["apic", "known are xics, xive, dual"]),
            ("pseries,mmu=segments", &["segments", "radix, hash"]),
            ("pseries,resize-hpt=maybe", &["resize-hpt", "maybe"]),
            ("pseries,resize-hpt=required", &["resize-hpt", "not supported", "enabled"]),
            ("pseries,max-cpu-compat=power99", &["power99", "known are"]),
            ("pseries,dumpdtb=", &["dumpdtb", "path"]),
            ("pseries,dtb=x", &["not supported"]),
        ] {
            let error = format!("{:#}", machine(text).unwrap_err());
            assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
        }
    }

    #[test]
    fn help_lists_every_property() {
        let mut option = MachineOption::default();
        let text = option.add("pseries,help", &mut Vec::new()).unwrap().unwrap();
        for name in names().chain(CAPABILITIES.iter().map(|row| row.name)) {
            assert!(text.contains(&format!("{name}=")), "{name} in\n{text}");
        }
        assert!(option.add("help", &mut Vec::new()).unwrap().unwrap().contains("pseries"));
    }
}
