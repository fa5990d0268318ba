//! Second pass over the options: what is to be done.

use crate::accelerator::{self, AcceleratorOptions};
use crate::log::LogItems;
use crate::machine_option::MachineOption;
use crate::numa::NumaOptions;
use crate::options::{self, Fate, Given, Id};
use crate::smp::{self, Smp};
use crate::tables;
use crate::values::{self, hint, key_values, number, size};
use anyhow::{Context as _, Result, bail, ensure};
use cpu::CpuModel;
use cpu::model::MODELS;
use devices::console::ConsoleSpec;
use machine::migration::Uri;
use machine::{Accelerator, AcceleratorKind};
use std::path::PathBuf;

/// Guest RAM when nothing is said, as in QEMU.
const DEFAULT_RAM_BYTES: u64 = 512 << 20;
/// Ctrl-A.
const DEFAULT_ESCAPE: u8 = 1;

/// What is to be done.
#[derive(Debug)]
pub enum Command {
    /// Show this and end.
    Show(String),
    /// Run a machine.
    Run(Box<Settings>),
}

/// What a panic of the guest comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPanic {
    /// The emulator ends, with status 1.
    ExitFailure,
    /// The emulator ends, with status 0.
    Shutdown,
    /// The guest goes on.
    Nothing,
}

/// A virtual terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial {
    /// What stands behind it.
    pub spec: ConsoleSpec,
    /// The value as given, for messages.
    pub given: String,
    /// `mon:`: the escape character is ours even if standard input is no terminal.
    pub escapes: bool,
}

/// Everything that the command line says.
#[derive(Debug)]
pub struct Settings {
    pub machine: MachineOption,
    pub model: &'static CpuModel,
    pub ram_bytes: u64,
    pub smp: Smp,
    pub numa: NumaOptions,
    pub accelerator: Accelerator,
    pub virtual_clock: bool,
    /// Wall-clock time at the start, seconds since 1970.
    pub start_s: Option<u64>,
    pub seed: Option<u64>,
    pub kernel: Option<PathBuf>,
    pub initrd: Option<PathBuf>,
    pub append: String,
    pub name: Option<String>,
    pub uuid: Option<[u8; 16]>,
    pub nvram: Option<PathBuf>,
    pub serials: Vec<Serial>,
    /// A monitor of its own: standard input and output, or a socket.
    pub monitor: Option<ConsoleSpec>,
    pub escape: u8,
    pub no_reboot: bool,
    pub on_panic: OnPanic,
    pub log: LogItems,
    pub log_file: Option<PathBuf>,
    pub stats: bool,
    pub state_hash: bool,
    /// A saved machine, to go on from.
    pub loadvm: Option<PathBuf>,
    /// Where a guest comes from.
    pub incoming: Option<Uri>,
    /// vCPUs stand still at first.
    pub start_paused: bool,
    /// A saved machine, to be looked at only.
    pub migrate_check: Option<PathBuf>,
    /// What was accepted and comes to nothing.
    pub warnings: Vec<String>,
}

/// Reads a command line, without the program's name.
///
/// # Errors
/// Says which option is wrong, and what it could be.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command> {
    let arguments: Vec<String> = arguments.into_iter().collect();
    if let Some((word, rest)) = arguments.split_first()
        && let Some(command) = tables::command(word)
    {
        return Ok(Command::Show(command(rest).with_context(|| format!("aileron {word}"))?));
    }
    let mut reader = Reader::new();
    for given in options::first_pass(arguments)? {
        if let Some(text) = reader.take(&given).with_context(|| match given.row.value {
            Some(_) => format!("{} {}", given.spelled, given.value),
            None => given.spelled.clone(),
        })? {
            return Ok(Command::Show(text));
        }
    }
    Ok(Command::Run(Box::new(reader.finish()?)))
}

struct Reader {
    settings: Settings,
    nodefaults: bool,
    serial_given: bool,
    accelerator: AcceleratorOptions,
    /// What `-rtc clock=` asks for, where that is the host's time.
    real_clock: Option<String>,
}

impl Reader {
    fn new() -> Reader {
        let settings = Settings {
            machine: MachineOption::default(),
            model: &cpu::model::POWER9,
            ram_bytes: DEFAULT_RAM_BYTES,
            smp: Smp::default(),
            numa: NumaOptions::default(),
            accelerator: Accelerator::default(),
            virtual_clock: false,
            start_s: None,
            seed: None,
            kernel: None,
            initrd: None,
            append: String::new(),
            name: None,
            uuid: None,
            nvram: None,
            serials: Vec::new(),
            monitor: None,
            escape: DEFAULT_ESCAPE,
            no_reboot: false,
            on_panic: OnPanic::ExitFailure,
            log: LogItems::default(),
            log_file: None,
            stats: false,
            state_hash: false,
            loadvm: None,
            migrate_check: None,
            incoming: None,
            start_paused: false,
            warnings: Vec::new(),
        };
        Reader {
            settings,
            nodefaults: false,
            serial_given: false,
            accelerator: AcceleratorOptions::default(),
            real_clock: None,
        }
    }

    /// Takes one option in. `Some`: a text that is to be shown instead of anything else.
    fn take(&mut self, given: &Given) -> Result<Option<String>> {
        let id = match given.row.fate {
            Fate::Honoured(id) => id,
            Fate::Nothing => return Ok(None),
            Fate::Refused(why) => bail!("not supported: {why}"),
            Fate::Ignored(why) => {
                self.warn(given, why);
                return Ok(None);
            }
        };
        let value = given.value.as_str();
        let asks_for_help = value == "help" || value == "?";
        match id {
            Id::Help => return Ok(Some(options::help())),
            Id::Version => return Ok(Some(format!("Aileron {}\n", env!("CARGO_PKG_VERSION")))),
            Id::Machine => {
                if let Some(text) = self.settings.machine.add(value, &mut self.settings.warnings)? {
                    return Ok(Some(text));
                }
            }
            Id::Cpu if asks_for_help => return Ok(Some(processors())),
            Id::Cpu => self.settings.model = processor(value)?,
            Id::Memory => self.memory(given)?,
            Id::Smp => {
                self.settings.smp = smp::parse(value)?;
                if self.settings.smp.max_cpus > self.settings.smp.cpus {
                    self.warn(
                        given,
                        "vCPUs cannot be plugged while the machine runs; the guest is only told of maxcpus",
                    );
                }
            }
            Id::Numa => self.settings.numa.add(value)?,
            Id::Object => {
                for property in self.settings.numa.add_object(value)? {
                    self.warn(given, &format!("{property}: the host chooses memory as it likes"));
                }
            }
            Id::Accel if asks_for_help => return Ok(Some(accelerator::help())),
            Id::Accel | Id::CodeCacheMib | Id::CodeCache | Id::PerfMap | Id::Jitdump | Id::JitThreshold => {
                self.accelerator.take(id, given)?
            }
            Id::Icount => self.icount(given)?,
            Id::Rtc => self.rtc(given)?,
            Id::Seed => self.settings.seed = Some(number(value)?),
            Id::Kernel => self.settings.kernel = Some(value.into()),
            Id::Initrd => self.settings.initrd = Some(value.into()),
            Id::Append => self.settings.append = value.into(),
            Id::Name => self.name(given)?,
            Id::Uuid => self.settings.uuid = Some(values::uuid(value)?),
            Id::Nvram => self.settings.nvram = Some(value.into()),
            // What it asks for is the case: the console is on this terminal, and there are no graphics.
            Id::Nographic => {}
            Id::Nodefaults => self.nodefaults = true,
            Id::Serial if asks_for_help => return Ok(Some(back_ends())),
            Id::Serial => {
                self.serial_given = true;
                let spec = ConsoleSpec::parse(value)?;
                if spec != ConsoleSpec::None {
                    let escapes = value.starts_with("mon:");
                    self.settings.serials.push(Serial { spec, given: value.into(), escapes });
                }
            }
            Id::Escape => {
                let code = number(value)?;
                self.settings.escape =
                    u8::try_from(code).ok().filter(u8::is_ascii).context("expected a code up to 127")?;
            }
            Id::NoReboot => self.settings.no_reboot = true,
            Id::Action => self.action(given)?,
            Id::Display | Id::Vga | Id::Qmp | Id::Network | Id::Parallel => {
                let what = given.row.help.split(':').next().unwrap_or_default();
                if !matches!(value, "none" | "null") {
                    self.warn(given, what);
                }
            }
            Id::Monitor => self.monitor(given)?,
            Id::Log if asks_for_help => return Ok(Some(LogItems::help())),
            Id::Log => {
                for (item, why) in self.settings.log.add(value)? {
                    self.settings.warnings.push(format!("-d {item}: not honoured, {why}"));
                }
            }
            Id::LogFile => self.settings.log_file = Some(value.into()),
            Id::Stats => self.settings.stats = true,
            Id::StateHash => self.settings.state_hash = true,
            Id::Loadvm => self.settings.loadvm = Some(value.into()),
            Id::Incoming => self.settings.incoming = Some(value.parse()?),
            Id::StartPaused => self.settings.start_paused = true,
            Id::MigrateCheck => self.settings.migrate_check = Some(value.into()),
            Id::Msg => {
                for (key, value) in key_values(value) {
                    let on = values::switch(value.as_deref().unwrap_or("on"))?;
                    ensure!(matches!(key.as_str(), "timestamp" | "guest-name"), "unknown key '{key}'");
                    if on {
                        self.warn(given, "messages are as they are");
                    }
                }
            }
        }
        Ok(None)
    }

    fn warn(&mut self, given: &Given, why: &str) {
        let value = if given.row.value.is_some() { format!(" {}", given.value) } else { String::new() };
        self.settings.warnings.push(format!("{}{value}: not honoured, {why}", given.spelled));
    }

    fn monitor(&mut self, given: &Given) -> Result<()> {
        let value = given.value.as_str();
        self.settings.monitor = match value {
            // The one that shares the console's terminal is always there.
            "none" | "null" | "vc" => None,
            _ if value == "stdio" || value.starts_with("unix:") => Some(ConsoleSpec::parse(value)?),
            _ => {
                self.warn(given, "the monitor can be at stdio, at unix:PATH,server=on[,wait=off], or none");
                None
            }
        };
        Ok(())
    }

    fn memory(&mut self, given: &Given) -> Result<()> {
        for (index, (key, value)) in key_values(&given.value).into_iter().enumerate() {
            match (key.as_str(), value) {
                ("size", Some(value)) => self.settings.ram_bytes = size(&value, 1 << 20)?,
                (text, None) if index == 0 => self.settings.ram_bytes = size(text, 1 << 20)?,
                ("slots" | "maxmem", Some(_)) => self.warn(given, "memory cannot be plugged while the machine runs"),
                (key, _) => bail!("unknown key '{key}'{}; known is size", hint(key, ["size", "slots", "maxmem"])),
            }
        }
        ensure!(self.settings.ram_bytes > 0, "guest RAM of 0 bytes: a machine has some");
        Ok(())
    }

    fn icount(&mut self, given: &Given) -> Result<()> {
        self.settings.virtual_clock = true;
        for (index, (key, value)) in key_values(&given.value).into_iter().enumerate() {
            let (key, value) = match value {
                None if index == 0 => ("shift".to_string(), key),
                None => bail!("'{key}' has no value"),
                Some(value) => (key, value),
            };
            match (key.as_str(), value.as_str()) {
                ("shift", "0") => {}
                ("shift", "auto") => self.warn(given, "an instruction takes 1 ns (shift=0)"),
                ("shift", _) => {
                    ensure!(number(&value)? <= 10, "shift={value}: expected a number from 0 to 10");
                    self.warn(given, "an instruction takes 1 ns (shift=0)");
                }
                ("align" | "sleep", _) => {
                    if values::switch(&value)? {
                        self.warn(given, "virtual time does not wait for the host's");
                    }
                }
                ("rr" | "rrfile" | "rrsnapshot", _) => bail!("{key}: there is no record and replay yet"),
                _ => bail!(
                    "unknown key '{key}'{}; known are shift, align, sleep",
                    hint(&key, ["shift", "align", "sleep"])
                ),
            }
        }
        Ok(())
    }

    fn rtc(&mut self, given: &Given) -> Result<()> {
        for (key, value) in key_values(&given.value) {
            let value = value.with_context(|| format!("'{key}' has no value"))?;
            match (key.as_str(), value.as_str()) {
                ("base", "utc") => {}
                ("base", "localtime") => self.warn(given, "the guest's clock has UTC"),
                ("base", _) => self.settings.start_s = Some(values::date(&value)?),
                ("clock", "host" | "rt") => self.real_clock = Some(value),
                ("clock", "vm") => self.real_clock = None,
                ("driftfix", "none") => {}
                ("driftfix", _) => self.warn(given, "no ticks are lost"),
                ("clock", _) => bail!("unknown clock '{value}'"),
                _ => bail!("unknown key '{key}'{}; known is base", hint(&key, ["base", "clock", "driftfix"])),
            }
        }
        Ok(())
    }

    fn name(&mut self, given: &Given) -> Result<()> {
        for (index, (key, value)) in key_values(&given.value).into_iter().enumerate() {
            match (key.as_str(), value) {
                ("guest", Some(name)) => self.settings.name = Some(name),
                (name, None) if index == 0 => self.settings.name = Some(name.into()),
                ("process" | "debug-threads", _) => self.warn(given, "processes and threads have their names"),
                (key, _) => bail!("unknown key '{key}'{}; known is guest", hint(key, ["guest"])),
            }
        }
        Ok(())
    }

    fn action(&mut self, given: &Given) -> Result<()> {
        for (event, action) in key_values(&given.value) {
            let action = action.with_context(|| format!("'{event}': expected event=action"))?;
            match (event.as_str(), action.as_str()) {
                ("reboot", "reset") => self.settings.no_reboot = false,
                ("reboot", "shutdown") => self.settings.no_reboot = true,
                ("shutdown", "poweroff") => {}
                ("panic", "exit-failure") => self.settings.on_panic = OnPanic::ExitFailure,
                ("panic", "shutdown") => self.settings.on_panic = OnPanic::Shutdown,
                ("panic", "none") => self.settings.on_panic = OnPanic::Nothing,
                ("panic" | "shutdown", "pause") => {
                    bail!("{event}=pause: not supported; the emulator ends then, or goes on (none)")
                }
                ("watchdog", _) => self.warn(given, "there is no watchdog"),
                ("reboot" | "shutdown" | "panic", _) => bail!("unknown action '{action}' for {event}"),
                _ => bail!("unknown event '{event}'{}", hint(&event, ["reboot", "shutdown", "panic", "watchdog"])),
            }
        }
        Ok(())
    }

    /// What depends on several options.
    fn finish(mut self) -> Result<Settings> {
        let settings = &mut self.settings;
        settings.accelerator = self.accelerator.finish(settings.machine.accel.take(), &mut settings.warnings)?;
        settings.accelerator.counts = settings.stats;
        if settings.accelerator.kind == AcceleratorKind::Lockstep {
            if let Some(clock) = self.real_clock {
                bail!("-accel lockstep with -rtc clock={clock}: it needs the virtual clock; leave out clock={clock}");
            }
            if !settings.virtual_clock {
                settings.virtual_clock = true;
                settings.warnings.push("-accel lockstep: time is virtual, as with -icount 0".into());
            }
        }
        if !self.serial_given && !self.nodefaults {
            settings.serials.push(Serial { spec: ConsoleSpec::Stdio, given: "mon:stdio".into(), escapes: true });
        }
        let on_stdio = settings.serials.iter().filter(|serial| serial.spec == ConsoleSpec::Stdio).count();
        ensure!(on_stdio <= 1, "-serial stdio {on_stdio} times: one terminal of the guest can have this one");
        ensure!(
            settings.monitor != Some(ConsoleSpec::Stdio) || on_stdio == 0,
            "-monitor stdio: the guest's console has this terminal (Ctrl-A c leads to the monitor); give -serial another place"
        );
        settings.kernel = settings.kernel.take().or_else(|| settings.machine.kernel.take());
        settings.initrd = settings.initrd.take().or_else(|| settings.machine.initrd.take());
        if let Some(append) = settings.machine.append.take()
            && settings.append.is_empty()
        {
            settings.append = append;
        }
        if let Some(id) = &settings.machine.memory_backend {
            let bytes = settings.numa.backend(id);
            let bytes =
                bytes.with_context(|| format!("-machine memory-backend={id}: there is no -object of that id"))?;
            ensure!(
                bytes == settings.ram_bytes,
                "-machine memory-backend={id}: it has {bytes:#x} bytes, and -m says {:#x}",
                settings.ram_bytes
            );
        }
        if settings.log_file.is_some() && !settings.log.any() {
            settings.warnings.push("-D without -d: nothing is logged".into());
        }
        if settings.serials.is_empty() && settings.machine.dump_tree.is_none() {
            settings.warnings.push("the guest has no console: there is neither a default nor a -serial".into());
        }
        Ok(self.settings)
    }
}

/// The processor that `-cpu` names.
pub fn processor(text: &str) -> Result<&'static CpuModel> {
    let (name, properties) = text.split_once(',').unwrap_or((text, ""));
    ensure!(properties.is_empty(), "properties of a processor are not supported; see max-cpu-compat and cap-* of -M");
    let names = || MODELS.iter().filter_map(|model| model.name.split('_').next());
    CpuModel::by_name(name).map_err(|error| anyhow::anyhow!("{error}{}", hint(name, names())))
}

fn processors() -> String {
    let mut text = String::from("Processors:\n");
    for model in MODELS {
        let short = model.name.split('_').next().unwrap_or(model.name);
        let note = if model.radix { "" } else { "  hash translation only" };
        let default = if std::ptr::eq(model, Reader::new().settings.model) { "  (default)" } else { "" };
        text.push_str(&format!("  {short:<8} {:<14} PVR {:08x}{default}{note}\n", model.name, model.pvr));
    }
    text
}

fn back_ends() -> String {
    "Back-ends of -serial:\n\
     \x20 stdio                     this terminal\n\
     \x20 mon:stdio                 this terminal; Ctrl-A works even if standard input is no terminal\n\
     \x20 null                      output is dropped, there is no input\n\
     \x20 none                      no virtual terminal at all\n\
     \x20 file:PATH                 output goes to a new file\n\
     \x20 pty                       a new pseudo-terminal, whose name is shown\n\
     \x20 unix:PATH,server=on[,wait=off]  a Unix-domain socket that listens\n"
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &[&str]) -> Result<Command> {
        parse(line.iter().map(ToString::to_string))
    }

    fn run(line: &[&str]) -> Settings {
        match command(line).unwrap() {
            Command::Run(settings) => *settings,
            Command::Show(text) => panic!("{line:?} shows {text}"),
        }
    }

    fn error(line: &[&str]) -> String {
        format!("{:#}", command(line).unwrap_err())
    }

    #[test]
    fn a_line_of_qemu() {
        let settings = run(&[
            "-M",
            "pseries,x-vof=on,cap-ail-mode-3=on",
            "-cpu",
            "power10",
            "-m",
            "2G",
            "-smp",
            "4,cores=4",
            "-nodefaults",
            "-nographic",
            "-serial",
            "stdio",
            "-display",
            "none",
            "-monitor",
            "none",
            "-vga",
            "none",
            "-accel",
            "tcg,thread=multi",
            "-kernel",
            "vmlinux",
            "-initrd",
            "initrd.gz",
            "-append",
            "console=hvc0 quiet",
            "-no-reboot",
            "-net",
            "none",
        ]);
        assert_eq!((settings.model.name, settings.ram_bytes, settings.smp.cpus), ("power10_v2.0", 2 << 30, 4));
        assert_eq!((settings.kernel.unwrap(), settings.initrd.unwrap()), ("vmlinux".into(), "initrd.gz".into()));
        assert_eq!((settings.append.as_str(), settings.no_reboot), ("console=hvc0 quiet", true));
        assert_eq!(settings.serials, [Serial { spec: ConsoleSpec::Stdio, given: "stdio".into(), escapes: false }]);
        let warnings = settings.warnings.join("\n");
        assert_eq!(settings.warnings.len(), 1, "{warnings}");
        assert!(settings.machine.client_interface && warnings.contains("thread=multi"));
        assert_eq!(settings.accelerator.kind, AcceleratorKind::Jit);
    }

    #[test]
    fn defaults() {
        let settings = run(&[]);
        assert_eq!((settings.model.name, settings.ram_bytes, settings.smp.cpus), ("power9_v2.2", 512 << 20, 1));
        assert_eq!(settings.serials.len(), 1);
        assert!(settings.serials[0].escapes && !settings.virtual_clock && settings.warnings.is_empty());
        let settings = run(&["-nodefaults"]);
        assert!(settings.serials.is_empty() && settings.warnings[0].contains("no console"));
        assert!(run(&["-serial", "none"]).serials.is_empty());
        assert_eq!(run(&["-serial", "null", "-serial", "pty"]).serials.len(), 2);
    }

    #[test]
    fn the_virtual_clock() {
        let settings =
            run(&["-icount", "shift=0", "--seed", "7", "-rtc", "base=2026-01-31T12:00:00", "--state-hash", "--stats"]);
        assert!(settings.virtual_clock && settings.state_hash && settings.stats && settings.warnings.is_empty());
        assert_eq!((settings.seed, settings.start_s), (Some(7), Some(1_769_860_800)));
        assert!(run(&["-icount", "0,sleep=off"]).warnings.is_empty());
        for line in ["auto", "3", "shift=7,align=on"] {
            assert!(!run(&["-icount", line]).warnings.is_empty(), "{line}");
        }
    }

    #[test]
    fn lockstep_is_virtual() {
        let settings = run(&["-accel", "lockstep"]);
        assert!(settings.virtual_clock && settings.warnings.len() == 1, "{:?}", settings.warnings);
        assert!(settings.warnings[0].contains("lockstep") && settings.warnings[0].contains("virtual"));
        let settings = run(&["-M", "pseries,accel=lockstep", "-icount", "0", "-rtc", "clock=vm"]);
        assert!(settings.virtual_clock && settings.warnings.is_empty(), "{:?}", settings.warnings);
        assert_eq!(settings.accelerator.kind, AcceleratorKind::Lockstep);
    }

    #[test]
    fn help_as_a_value() {
        for (line, word) in [
            (&["-M", "help"][..], "pseries"),
            (&["-machine", "pseries,help"], "cap-ail-modes"),
            (&["-cpu", "help"], "power10"),
            (&["-accel", "help"], "lockstep"),
            (&["-serial", "help"], "mon:stdio"),
            (&["-d", "help"], "in_asm"),
            (&["-help"], "-kernel"),
            (&["--help"], "-kernel"),
            (&["-h"], "-kernel"),
            (&["-version"], "Aileron"),
            (&["ail"], "rows"),
            (&["host"], "kvm-hv-power9-dd2.1"),
        ] {
            match command(line).unwrap() {
                Command::Show(text) => assert!(text.contains(word) && text.ends_with('\n'), "{line:?}: {text}"),
                Command::Run(_) => panic!("{line:?} runs"),
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_option() {
        for (line, words) in [
            (&["-m", "0"][..], &["-m 0", "0 bytes"][..]),
            (&["host", "--profile", "kvm"], &["aileron host", "'kvm'", "known are"]),
            (&["ail", "-modes", "0+1"], &["aileron ail", "reserved", "Supported: 0 (cap-ail-modes=0"]),
            (&["ail", "-mode", "0"], &["'-mode'", "-modes"]),
            (&["-m", "many"], &["-m many", "not a size"]),
            (&["-m", "1G,slot=2"], &["unknown key 'slot'", "slots"]),
            (&["-smp", "0"], &["-smp 0", "greater than zero"]),
            (&["-smp", "3,threads=2"], &["-smp 3,threads=2", "Invalid CPU topology"]),
            (&["-cpu", "power11"], &["unknown CPU model 'power11'", "did you mean"]),
            (&["-cpu", "power9,vsx=off"], &["cap-*"]),
            (&["-M", "pseries,kernel-addr=x"], &["-M pseries,kernel-addr=x", "kernel-addr", "not a number"]),
            (&["-accel", "kvm"], &["-accel kvm", "emulates"]),
            (&["-accel", "lockstep", "-rtc", "clock=host"], &["-accel lockstep", "clock=host", "virtual clock"]),
            (&["-M", "accel=fast"], &["-accel fast", "unknown accelerator"]),
            (&["--jit-threshold", "0"], &["--jit-threshold 0", "from 1"]),
            (&["-accel", "fast"], &["unknown accelerator 'fast'"]),
            (&["-serial", "tcp::1"], &["-serial tcp::1", "file:PATH"]),
            (&["-serial", "stdio", "-serial", "mon:stdio"], &["2 times"]),
            (&["-d", "ints"], &["'ints'", "did you mean 'int'"]),
            (&["-rtc", "base=yesterday"], &["yesterday", "not a date"]),
            (&["-icount", "shift=x"], &["not a number"]),
            (&["-icount", "0,rr=record"], &["record and replay"]),
            (&["-uuid", "1"], &["not a UUID"]),
            (&["-action", "panic=pause"], &["not supported"]),
            (&["-action", "panik=none"], &["did you mean 'panic'"]),
            (&["-drive", "file=x"], &["-drive file=x", "no disks"]),
            (&["-incoming", "rdma:a:1"], &["-incoming", "rdma:a:1", "tcp:HOST:PORT"]),
            (&["-seed", "-1"], &["not a number"]),
            (&["-nographic", "-monitor", "stdio"], &["-monitor stdio", "Ctrl-A c"]),
            (&["-monitor", "unix:x,client=on"], &["client=on"]),
            (&["-echr", "300"], &["127"]),
        ] {
            let error = error(line);
            assert!(words.iter().all(|word| error.contains(word)), "{line:?}: {error}");
        }
    }

    #[test]
    fn accepted_and_not_honoured_warns() {
        for line in [
            &["-boot", "c"][..],
            &["-display", "gtk"],
            &["-monitor", "telnet:localhost:1"],
            &["-qmp", "stdio"],
            &["-net", "user"],
            &["-rtc", "base=localtime"],
            &["-m", "1G,slots=2,maxmem=2G"],
            &["-smp", "1,maxcpus=2"],
            &["-D", "/tmp/x"],
            &["-name", "x,process=y"],
        ] {
            assert!(!run(line).warnings.is_empty(), "{line:?}");
        }
        for line in [
            &["-display", "none", "-vga", "none", "-monitor", "none", "-nic", "none", "-parallel", "none"][..],
            &["-d", "int,in_asm,unimp,hcall", "-D", "x"],
            &["-name", "a", "-uuid", "00112233-4455-6677-8899-aabbccddeeff", "-msg", "timestamp=off"],
            &["-action", "panic=none,reboot=shutdown", "-no-user-config"],
            &["-accel", "interp", "-rtc", "base=utc,clock=vm", "-echr", "20"],
        ] {
            let settings = run(line);
            assert!(settings.warnings.is_empty(), "{line:?}: {:?}", settings.warnings);
        }
        assert_eq!(run(&["-action", "panic=shutdown"]).on_panic, OnPanic::Shutdown);
    }
}
