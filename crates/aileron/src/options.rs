//! The options of the command line: ONE table, and the first pass over the arguments.
//!
//! The first pass knows names and whether a value follows; what the values mean is the second pass's (`settings`).

use anyhow::{Context as _, Result, bail};
use hypervisor::nearest;

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does what it says.
    Honoured(Id),
    /// Nothing to do: it asks for what is the case anyhow.
    Nothing,
    /// QEMU's, and refused: why.
    Refused(&'static str),
    /// QEMU's; accepted with a warning, and nothing comes of it: why.
    Ignored(&'static str),
}

/// Options that do something, or whose value has to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    Help,
    Version,
    Machine,
    Cpu,
    Memory,
    Smp,
    Numa,
    Object,
    Accel,
    CodeCacheMib,
    CodeCache,
    PerfMap,
    Jitdump,
    JitThreshold,
    Icount,
    Rtc,
    Seed,
    Kernel,
    Initrd,
    Append,
    Name,
    Uuid,
    Nvram,
    Nographic,
    Nodefaults,
    Serial,
    Escape,
    NoReboot,
    Action,
    Display,
    Vga,
    Monitor,
    Qmp,
    Network,
    Parallel,
    Log,
    LogFile,
    Stats,
    StateHash,
    Loadvm,
    MigrateCheck,
    Incoming,
    StartPaused,
    Msg,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// Names, the usual one first.
    pub names: &'static [&'static str],
    /// What the value is called in help; `None`: there is none.
    pub value: Option<&'static str>,
    /// What becomes of it.
    pub fate: Fate,
    /// For `-help`.
    pub help: &'static str,
}

const fn row(names: &'static [&'static str], value: Option<&'static str>, id: Id, help: &'static str) -> Row {
    Row { names, value, fate: Fate::Honoured(id), help }
}

const fn refused(names: &'static [&'static str], value: Option<&'static str>, why: &'static str) -> Row {
    Row { names, value, fate: Fate::Refused(why), help: "" }
}

const fn ignored(names: &'static [&'static str], value: Option<&'static str>, why: &'static str) -> Row {
    Row { names, value, fate: Fate::Ignored(why), help: "" }
}

const NO_DISKS: &str = "there are no disks yet; put what the guest needs into the initrd";
const NO_DEVICES: &str = "there are no devices beside those of every machine yet";
const NO_NETWORK: &str = "there is no network yet";
const NO_MONITOR: &str = "the monitor has nothing for it yet";
const NO_GDB: &str = "there is no gdb server yet";
const NO_FIRMWARE: &str = "kernels are entered directly, without firmware";
const NO_GRAPHICS: &str = "there are no graphics and no sound";
const NO_KVM: &str = "this emulates; it does not use the host's virtualization";

/// Every option: those of this program first, then those of QEMU that come to nothing.
#[rustfmt::skip]
pub static OPTIONS: &[Row] = &[
    row(&["h", "help"], None, Id::Help, "this text"),
    row(&["version"], None, Id::Version, "version, and nothing more"),
    row(&["machine", "M"], Some("pseries[,property=value..]"), Id::Machine,
        "machine and its properties (-M help, -M pseries,help)"),
    row(&["cpu"], Some("model"), Id::Cpu, "processor (-cpu help); default power9"),
    row(&["m"], Some("[size=]size"), Id::Memory, "guest RAM, in MiB or with a suffix K, M, G, T; default 512M"),
    row(&["smp"], Some("[cpus=]n[,maxcpus=n][,sockets=n][,cores=n][,threads=n]"), Id::Smp,
        "number of vCPUs, and how they are grouped; default 1, and cores of one thread"),
    row(&["numa"], Some("node|dist|cpu,.."), Id::Numa,
        "node[,nodeid=n][,cpus=n[-n]..][,memdev=id]: a NUMA node; dist,src=n,dst=n,val=n: how far one is from another; \
         cpu,node-id=n[,core-id=n]: cores of a node"),
    row(&["object"], Some("memory-backend-ram,.."), Id::Object,
        "memory-backend-ram,id=id,size=size: memory for a NUMA node"),
    row(&["accel"], Some("name"), Id::Accel, "how guest code is executed (-accel help)"),
    row(&["jit-threshold"], Some("n"), Id::JitThreshold, "executions of a block before it is compiled; default 500"),
    row(&["code-cache-mib"], Some("n"), Id::CodeCacheMib, "most host memory for compiled code, 1 to 1024 MiB; default 256"),
    row(&["code-cache"], Some("file|none"), Id::CodeCache,
        "keeps compiled code for the next run; default one for each build and CPU model in the user's cache folder \
         ($XDG_CACHE_HOME/aileron or ~/.cache/aileron)"),
    row(&["perf-map"], None, Id::PerfMap, "lists compiled code in /tmp/perf-PID.map, so that perf names it"),
    row(&["jitdump"], None, Id::Jitdump, "writes compiled code down in perf's jitdump format, for perf inject --jit"),
    row(&["icount"], Some("[shift=]0"), Id::Icount,
        "virtual clock: time advances by 1 ns an instruction, vCPUs take turns on one thread, and the same command gives \
         the same run"),
    row(&["rtc"], Some("base=utc|date"), Id::Rtc,
        "date at the start, such as 2026-01-31T12:00:00 (UTC); default now, or 2026-01-01 under -icount"),
    row(&["seed"], Some("n"), Id::Seed, "random bytes for the guest that are the same for the same number"),
    row(&["kernel"], Some("file"), Id::Kernel, "64-bit PowerPC ELF file to enter, such as Debian's vmlinux"),
    row(&["initrd"], Some("file"), Id::Initrd, "initial RAM disk"),
    row(&["append"], Some("text"), Id::Append, "the kernel's command line"),
    row(&["name"], Some("text"), Id::Name, "name of the partition"),
    row(&["uuid"], Some("uuid"), Id::Uuid, "UUID of the partition"),
    row(&["nvram"], Some("file"), Id::Nvram, "keeps the non-volatile memory in a file"),
    row(&["nographic"], None, Id::Nographic, "the console on this terminal (as without it, there are no graphics)"),
    row(&["nodefaults"], None, Id::Nodefaults, "no console unless -serial names one"),
    row(&["serial"], Some("back-end"), Id::Serial, "a virtual terminal for each (-serial help); default mon:stdio"),
    row(&["echr"], Some("code"), Id::Escape, "code of the escape character in place of Ctrl-A (1)"),
    row(&["no-reboot"], None, Id::NoReboot, "a guest's reboot ends the emulator"),
    row(&["action"], Some("event=action"), Id::Action,
        "reboot=reset|shutdown, panic=exit-failure|shutdown|none, shutdown=poweroff"),
    row(&["d"], Some("item[,item..]"), Id::Log, "log these (-d help)"),
    row(&["D"], Some("file"), Id::LogFile, "the log goes there; default standard error"),
    row(&["stats"], None, Id::Stats, "counters on standard error at the end; instructions are counted for it, which costs some speed"),
    row(&["loadvm"], Some("file"), Id::Loadvm,
        "goes on from where a machine of the same command line was saved; the file must not change meanwhile"),
    row(&["incoming"], Some("uri"), Id::Incoming,
        "waits for a guest that the monitor's migrate sends, at tcp:HOST:PORT, unix:PATH, file:PATH or exec:COMMAND"),
    row(&["S"], None, Id::StartPaused, "vCPUs stand still until the monitor's cont"),
    row(&["migrate-check"], Some("file"), Id::MigrateCheck,
        "says whether the partition saved in file could go on in a machine of this command line, if not, why; runs nothing"),
    row(&["state-hash"], None, Id::StateHash, "hash of registers, RAM and devices on standard error at the end"),
    row(&["display"], Some("none"), Id::Display, "there are no displays: only none"),
    row(&["vga"], Some("none"), Id::Vga, "there are no graphics cards: only none"),
    row(&["monitor"], Some("where"), Id::Monitor,
        "a monitor (type help there): stdio, unix:PATH,server=on[,wait=off], or none beside that of Ctrl-A c"),
    row(&["qmp", "mon"], Some("none"), Id::Qmp, "there is no machine protocol yet: only none"),
    row(&["net", "nic"], Some("none"), Id::Network, "there is no network yet: only none"),
    row(&["parallel"], Some("none"), Id::Parallel, "there are no parallel ports: only none"),
    row(&["msg"], Some("timestamp=off"), Id::Msg, "accepted for QEMU's sake"),

    Row { names: &["no-user-config"], value: None, fate: Fate::Nothing, help: "accepted: there are no configuration files" },
    Row { names: &["no-shutdown"], value: None,
        fate: Fate::Ignored("the emulator ends with the guest"), help: "" },
    ignored(&["boot"], Some("order"), "the kernel of -kernel is entered directly"),
    ignored(&["k"], Some("layout"), NO_GRAPHICS),
    ignored(&["L"], Some("path"), NO_FIRMWARE),
    ignored(&["usb"], None, "there is no USB"),
    ignored(&["audio", "audiodev"], Some("driver"), NO_GRAPHICS),
    ignored(&["full-screen"], None, NO_GRAPHICS),
    ignored(&["overcommit"], Some("what"), "guest RAM is mapped as it is needed"),
    ignored(&["mem-prealloc"], None, "guest RAM is mapped as it is needed"),
    ignored(&["sandbox"], Some("on|off"), "there is no sandbox"),
    ignored(&["compat"], Some("policy"), "there is no machine protocol that it could concern"),

    refused(&["drive", "blockdev"], Some("disk"), NO_DISKS),
    refused(&["hda", "hdb", "hdc", "hdd", "cdrom", "fda", "fdb", "sd", "mtdblock", "pflash"], Some("file"), NO_DISKS),
    refused(&["snapshot"], None, NO_DISKS),
    refused(&["fsdev", "virtfs"], Some("share"), NO_DISKS),
    refused(&["device"], Some("driver"), NO_DEVICES),
    refused(&["usbdevice", "virtioserial", "watchdog", "tpmdev", "global", "set", "readconfig", "fw_cfg",
        "acpitable", "smbios", "iscsi", "add-fd"], Some("what"), NO_DEVICES),
    refused(&["netdev"], Some("what"), NO_NETWORK),
    refused(&["chardev"], Some("what"), "give the back-end to -serial"),
    refused(&["mem-path"], Some("file"), "guest RAM is anonymous memory"),
    refused(&["dtb"], Some("file"), "the device tree is the machine's own (-M pseries,dumpdtb=file writes it)"),
    refused(&["bios"], Some("file"), NO_FIRMWARE),
    refused(&["gdb"], Some("where"), NO_GDB),
    refused(&["s"], None, NO_GDB),
    refused(&["debugcon", "qmp-pretty", "dfilter", "trace", "plugin", "pidfile", "run-with"], Some("what"), NO_MONITOR),
    refused(&["daemonize", "preconfig"], None, NO_MONITOR),
    refused(&["enable-kvm"], None, NO_KVM),
    refused(&["vnc", "spice", "g", "rotate"], Some("what"), NO_GRAPHICS),
    refused(&["singlestep", "one-insn-per-tb"], None, "-d in_asm and a debugger in the guest are what there is"),
];

/// An option as it was given.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its row.
    pub row: &'static Row,
    /// As it was spelled, with its dashes.
    pub spelled: String,
    /// The value, empty when there is none.
    pub value: String,
}

impl PartialEq for Given {
    fn eq(&self, other: &Given) -> bool {
        std::ptr::eq(self.row, other.row) && self.spelled == other.spelled && self.value == other.value
    }
}

/// First pass: which options, with which values.
///
/// # Errors
/// For an argument that is no option, one that is not known, and one whose value is missing.
pub fn first_pass(arguments: impl IntoIterator<Item = String>) -> Result<Vec<Given>> {
    let mut given = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let Some(name) = argument.strip_prefix('-').map(|name| name.strip_prefix('-').unwrap_or(name)) else {
            bail!("'{argument}': expected an option; a disk image without an option is not supported: {NO_DISKS}");
        };
        let row = OPTIONS.iter().find(|row| row.names.contains(&name)).with_context(|| unknown(&argument, name))?;
        let value = match row.value {
            Some(what) => {
                arguments.next().with_context(|| format!("{argument}: expected a value after it ({what})"))?
            }
            None => String::new(),
        };
        given.push(Given { row, spelled: argument, value });
    }
    Ok(given)
}

fn unknown(argument: &str, name: &str) -> String {
    // `-kernel=x` is a common slip: the value is an argument of its own.
    if let Some((before, _)) = name.split_once('=')
        && OPTIONS.iter().any(|row| row.value.is_some() && row.names.contains(&before))
    {
        return format!("{argument}: unknown option; give the value as an argument of its own: -{before} value");
    }
    let names = OPTIONS.iter().flat_map(|row| row.names.iter().copied());
    match nearest(name, names) {
        Some(near) => format!("{argument}: unknown option; did you mean -{near}? (-help lists all)"),
        None => format!("{argument}: unknown option (-help lists all)"),
    }
}

/// The text of `-help`.
pub fn help() -> String {
    let mut text =
        String::from("usage: aileron -kernel file [option..]\n\nOptions, with one dash or two, as QEMU spells them:\n");
    for row in OPTIONS.iter().filter(|row| matches!(row.fate, Fate::Honoured(_) | Fate::Nothing)) {
        let names: Vec<String> = row.names.iter().map(|name| format!("-{name}")).collect();
        let head = format!("  {} {}", names.join(", "), row.value.unwrap_or(""));
        text.push_str(head.trim_end());
        text.push('\n');
        wrap(&mut text, row.help);
    }
    text.push_str("\nOptions of QEMU that are accepted with a warning, since nothing comes of them:\n");
    wrap(&mut text, &names_of(|fate| matches!(fate, Fate::Ignored(_))));
    text.push_str("\nOptions of QEMU that are refused:\n");
    wrap(&mut text, &names_of(|fate| matches!(fate, Fate::Refused(_))));
    text.push_str(crate::tables::HELP);
    text.push_str(
        "\nKeys on a console that has this terminal:\n  Ctrl-A x  ends the emulator\n  Ctrl-A c  leads to the monitor and back\n  Ctrl-A h  lists the keys\n\
         \nExit status: 0 after the guest's power-off, or its reboot with -no-reboot, and when Ctrl-A x ends it; 1 after an error or \
         a panic of the guest.\n",
    );
    text
}

fn names_of(wanted: impl Fn(Fate) -> bool) -> String {
    let names = OPTIONS.iter().filter(|row| wanted(row.fate)).flat_map(|row| row.names.iter());
    names.map(|name| format!("-{name}")).collect::<Vec<_>>().join(" ")
}

fn wrap(text: &mut String, words: &str) {
    let mut column = 0;
    for word in words.split_whitespace() {
        if column == 0 || column + 1 + word.len() > 100 {
            text.push_str(if column == 0 { "        " } else { "\n        " });
            column = 8 + word.len();
        } else {
            text.push(' ');
            column += 1 + word.len();
        }
        text.push_str(word);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn pass(arguments: &[&str]) -> Result<Vec<(String, String)>> {
        let given = first_pass(arguments.iter().map(ToString::to_string))?;
        Ok(given.into_iter().map(|given| (given.row.names[0].to_string(), given.value)).collect())
    }

    #[test]
    fn names_and_values() {
        let given = pass(&["-M", "pseries", "--machine", "x=y", "--nographic", "-m", "1G", "-h"]).unwrap();
        let expected = [("machine", "pseries"), ("machine", "x=y"), ("nographic", ""), ("m", "1G"), ("h", "")];
        assert_eq!(given, expected.map(|(name, value)| (name.to_string(), value.to_string())));
        assert_eq!(pass(&[]).unwrap(), []);
        // A value may look like an option.
        assert_eq!(pass(&["-append", "-x"]).unwrap(), [("append".to_string(), "-x".to_string())]);
    }

    #[test]
    fn slips() {
        for (arguments, words) in [
            (&["-kernal", "x"][..], &["-kernal: unknown option", "-kernel"][..]),
            (&["--no-reebot"], &["--no-reebot", "did you mean -no-reboot"]),
            (&["-zzzzzzzzz"], &["-zzzzzzzzz", "-help"]),
            (&["-kernel"], &["-kernel: expected a value"]),
            (&["-m=1G"], &["-m value"]),
            (&["disk.img"], &["disk.img", "no disks"]),
            (&["-"], &["unknown option"]),
            (&["--"], &["unknown option"]),
            (&[""], &["expected an option"]),
        ] {
            let error = format!("{:#}", pass(arguments).unwrap_err());
            assert!(words.iter().all(|word| error.contains(word)), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn help_lists_every_option_once() {
        let text = help();
        let mut seen = BTreeSet::new();
        for name in OPTIONS.iter().flat_map(|row| row.names) {
            assert!(seen.insert(name), "-{name} has two rows");
            assert!(text.split([' ', ',', '\n']).any(|word| word == format!("-{name}")), "-{name} is not in\n{text}");
        }
        assert!(text.lines().all(|line| line.len() <= 160), "{text}");
    }

    #[test]
    fn whatever_is_honoured_is_explained() {
        for row in OPTIONS.iter().filter(|row| matches!(row.fate, Fate::Honoured(_))) {
            assert!(!row.help.is_empty(), "-{}", row.names[0]);
        }
    }
}
