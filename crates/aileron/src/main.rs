//! The command line: QEMU's spelling for what exists.

mod accelerator;
#[cfg(test)]
mod fuzzing;
mod log;
mod machine_option;
mod monitor;
mod numa;
mod options;
mod say;
mod settings;
mod smp;
mod tables;
mod terminal;
mod values;

use anyhow::{Context as _, Result, bail};
use devices::Nvram;
use devices::console::{ConsoleSpec, NullConsole, QueuedConsole, open_file, open_pty, open_stdout, open_unix_server};
use hypervisor::capability::{CapBasis, CapOption, resolve};
use log::Log;
use machine::migration::MigrationError;
use machine::{Config, End, Handle, HostEntropy, Machine, Topology};
use monitor::Monitor;
use platform::{Console, Entropy, SeededEntropy};
use settings::{Command, OnPanic, Serial, Settings};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

/// Date at the start under the virtual clock: 2026-01-01, the same for every run.
const VIRTUAL_START_S: u64 = 1_767_225_600;
/// What [`End::Quit`] says when a key did it.
const QUIT_BY_KEY: &str = "ended from the keyboard";

/// The signal that ends the run, 0 for none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// The machine that a signal ends.
static RUNNING: Mutex<Option<Handle>> = Mutex::new(None);

fn main() -> ExitCode {
    terminal::restore_on_panic();
    say::show_messages();
    let code = match start() {
        Ok(code) => code,
        Err(error) => {
            terminal::restore();
            say::error(&whole(&error));
            1
        }
    };
    ExitCode::from(code)
}

/// An error with its causes; one whose words are in what was said already is not said again.
fn whole(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

fn start() -> Result<u8> {
    // An argument that is no text is none of an option; a path that is none is rare enough.
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    match settings::parse(arguments)? {
        Command::Show(text) => {
            say::answer(&text);
            Ok(0)
        }
        Command::Run(settings) => run(*settings),
    }
}

fn run(mut settings: Settings) -> Result<u8> {
    std::mem::take(&mut settings.warnings).iter().for_each(|warning| say::warning(warning));
    watch_signals()?;
    let log = Arc::new(Log::open(settings.log, settings.log_file.as_deref(), settings.model.level)?);
    let dump_tree = settings.machine.dump_tree.take();
    let backs = if dump_tree.is_some() { unconnected(&settings.serials) } else { open(&settings.serials)? };
    if let Some(path) = &settings.migrate_check {
        return migrate_check(&config(&settings, &log, &backs)?, path);
    }
    let mut machine = Machine::new(config(&settings, &log, &backs)?)?;
    if let Some(path) = &settings.loadvm {
        machine.load(path).context("-loadvm")?;
    }
    if let Some(path) = dump_tree {
        std::fs::write(&path, machine.device_tree()).with_context(|| format!("dumpdtb={}", path.display()))?;
        return Ok(0);
    }

    let handle = machine.handle();
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle.clone());
    if SIGNAL.load(SeqCst) != 0 {
        handle.quit("a signal");
    }
    let control = monitor::Running { handle: handle.clone(), name: settings.name.clone() };
    let monitor = Monitor::new(Arc::new(control));
    let guard = terminal_of(&settings, &backs, &handle, &monitor)?;
    start_monitor(settings.monitor.as_ref(), monitor).context("-monitor")?;
    if settings.start_paused {
        handle.start_paused().context("-S")?;
    }
    if let Some(uri) = &settings.incoming {
        match machine.receive(uri) {
            // Somebody here ended it: the run tells of that.
            Err(MigrationError::Stopped) => {}
            received => received.context("-incoming")?,
        }
    }
    let end = machine.run();
    drop(guard);
    log.flush();
    let code = tell(&end?, settings.on_panic);
    if settings.stats {
        say::line(&format!("{}", machine.stats()));
        if let Some(stats) = machine.translator_stats() {
            say::line(&format!("{stats}"));
        }
        if let Some(stats) = machine.follower_stats() {
            say::line(&format!("lockstep, the follower:\n{stats}"));
        }
        say::line(&format!("time of the guest in ns: {}", machine.clock().ns()));
        if let Some(began) = machine.began() {
            let ns = began.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
            say::line(&format!("first instruction, in ns since 1970: {ns}"));
        }
    }
    if settings.state_hash {
        say::line(&format!("state hash: {:016x}", machine.state_hash()));
    }
    machine.leave();
    Ok(code)
}

/// Says how it ended, where that is not plain, and gives the exit status.
fn tell(end: &End, on_panic: OnPanic) -> u8 {
    match end {
        End::PowerOff | End::Reboot => 0,
        End::GuestPanicked { message } => {
            // Linux 6.x passes address 0 for its message: the console has it.
            let message = if message.is_empty() { "it gave no reason here, see its console" } else { message };
            say::error(&format!("the guest panicked: {message}"));
            u8::from(on_panic != OnPanic::Shutdown)
        }
        End::AllStopped => {
            say::error("every vCPU has stopped itself, and nothing can start one again");
            1
        }
        End::Quit(reason) if reason == QUIT_BY_KEY || reason == monitor::QUIT => {
            // The guest's cursor is in the middle of a line.
            say::line(&format!("\naileron: {reason}"));
            0
        }
        End::Quit(reason) => {
            say::error(reason);
            // As a shell tells of a program that a signal ended.
            match SIGNAL.load(SeqCst) {
                0 => 1,
                signal => 128 + signal as u8,
            }
        }
    }
}

fn config(settings: &Settings, log: &Arc<Log>, backs: &[Back]) -> Result<Config> {
    let basis = CapBasis { cpu: settings.model.level.into(), compat: settings.machine.compat };
    let options: Vec<CapOption<'_>> =
        settings.machine.capabilities.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (capabilities, warnings) = resolve(&options, basis).context("-machine")?;
    warnings.iter().for_each(|warning| say::warning(&warning.to_string()));
    let kernel = match &settings.kernel {
        Some(kernel) => kernel.clone(),
        // Nothing is entered.
        None if settings.migrate_check.is_some() => PathBuf::new(),
        None => bail!("no -kernel: expected the ELF file to enter, such as -kernel vmlinux"),
    };
    let start_ns = settings.start_s.map(|start| start.saturating_mul(1_000_000_000));
    let (clock, entropy): (_, Arc<dyn Entropy>) = if settings.virtual_clock {
        let clock = timing::Clock::virtual_time(start_ns.unwrap_or(VIRTUAL_START_S * 1_000_000_000));
        (clock, Arc::new(SeededEntropy::new(settings.seed.unwrap_or(0))))
    } else {
        let entropy: Arc<dyn Entropy> = match settings.seed {
            Some(seed) => Arc::new(SeededEntropy::new(seed)),
            None => Arc::new(HostEntropy),
        };
        (timing::Clock::real(start_ns), entropy)
    };
    let nvram = match &settings.nvram {
        Some(path) => Nvram::open(path).context("-nvram")?,
        None => Nvram::in_memory(),
    };
    let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let topology = Topology {
        vcpus: count(settings.smp.cpus),
        max_vcpus: count(settings.smp.max_cpus),
        cores: count(settings.smp.cores),
        threads: count(settings.smp.threads),
        // As in QEMU, since version 4.2 of its machine.
        vsmt: settings.machine.vsmt.map_or(count(settings.smp.threads), count),
    };
    topology.check(capabilities.basis().effective()).context("-smp")?;
    let (numa, warnings) = settings.numa.resolve(&topology, settings.ram_bytes)?;
    warnings.iter().for_each(|warning| say::warning(warning));
    Ok(Config {
        model: settings.model,
        ram_bytes: settings.ram_bytes,
        topology,
        numa,
        form2: !settings.machine.form1_only,
        capabilities,
        mmu: settings.machine.mmu,
        fixed_hash_table: settings.machine.fixed_hash_table,
        interrupt_mode: settings.machine.interrupt_mode,
        client_interface: settings.machine.client_interface,
        kernel,
        kernel_address: settings.machine.kernel_address.unwrap_or(machine::loader::DEFAULT_KERNEL_ADDRESS),
        initrd: settings.initrd.clone(),
        append: settings.append.clone(),
        clock,
        entropy,
        consoles: backs.iter().map(Back::console).collect(),
        nvram,
        no_reboot: settings.no_reboot,
        ignore_guest_panic: settings.on_panic == OnPanic::Nothing,
        uuid: settings.uuid,
        name: settings.name.clone(),
        root_strings: settings.machine.root_strings.clone(),
        accelerator: settings.accelerator.clone(),
        vcpu_observer: log.clone(),
        hcall_observer: Some(log.clone()),
    })
}

/// What stands behind a virtual terminal.
enum Back {
    /// This terminal.
    Terminal(Arc<QueuedConsole>),
    /// Something that looks after itself.
    Other(Arc<dyn Console>),
}

impl Back {
    fn console(&self) -> Arc<dyn Console> {
        match self {
            Back::Terminal(console) => console.clone(),
            Back::Other(console) => console.clone(),
        }
    }
}

/// Back-ends for a machine that is built and not run.
fn unconnected(serials: &[Serial]) -> Vec<Back> {
    serials.iter().map(|_| Back::Other(Arc::new(NullConsole))).collect()
}

fn open(serials: &[Serial]) -> Result<Vec<Back>> {
    let open_one = |serial: &Serial| -> Result<Back> {
        Ok(match &serial.spec {
            ConsoleSpec::Stdio => Back::Terminal(open_stdout()?),
            ConsoleSpec::Null | ConsoleSpec::None => Back::Other(Arc::new(NullConsole)),
            ConsoleSpec::File(path) => Back::Other(open_file(path)?),
            ConsoleSpec::Pty => {
                let (console, name) = open_pty()?;
                say::line(&format!("aileron: -serial pty: {name}"));
                Back::Other(console)
            }
            ConsoleSpec::Unix { path, wait } => {
                if *wait {
                    say::line(&format!("aileron: waiting for a client at {}", path.display()));
                }
                Back::Other(open_unix_server(path, *wait)?)
            }
        })
    };
    serials.iter().map(|serial| open_one(serial).with_context(|| format!("-serial {}", serial.given))).collect()
}

/// Gives the terminal to the guest that has it as console.
fn terminal_of(
    settings: &Settings,
    backs: &[Back],
    handle: &Handle,
    monitor: &Monitor,
) -> Result<Option<terminal::Guard>> {
    for (serial, back) in settings.serials.iter().zip(backs) {
        if let Back::Terminal(console) = back {
            let guard = terminal::make_raw();
            let handle = handle.clone();
            let quit = move || handle.quit(QUIT_BY_KEY);
            terminal::start_input(console.clone(), monitor.clone(), serial.escapes, settings.escape, quit)
                .context("no thread for standard input")?;
            return Ok(Some(guard));
        }
    }
    Ok(None)
}

/// Serves the monitor where it was asked for, beside the one that a terminal shares with a console.
fn start_monitor(place: Option<&ConsoleSpec>, monitor: Monitor) -> Result<()> {
    match place {
        Some(ConsoleSpec::Unix { path, wait }) => {
            if *wait {
                say::line(&format!("aileron: waiting for a client at {}", path.display()));
            }
            monitor.serve_socket(path, *wait).with_context(|| path.display().to_string())
        }
        Some(_) => monitor.serve_stdio().context("no thread for standard input"),
        None => Ok(()),
    }
}

/// Says whether a saved partition could go on in this machine: status 0, or 1.
fn migrate_check(config: &Config, path: &Path) -> Result<u8> {
    let refusals = machine::saved::check(config, path).context("-migrate-check")?;
    if refusals.is_empty() {
        say::answer(&format!("{}: can go on here\n", path.display()));
        return Ok(0);
    }
    let lines: String = refusals.iter().map(|refusal| format!("  {refusal}\n")).collect();
    say::answer(&format!("{}: cannot go on here\n{lines}", path.display()));
    Ok(1)
}

/// The signals that end a program end the run; a second one ends the program at once.
fn watch_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT]).context("signals cannot be watched")?;
    let watch = move || {
        for signal in signals.forever() {
            let first = SIGNAL.swap(signal, SeqCst) == 0;
            let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match running {
                Some(handle) if first => handle.quit(format!("ended by signal {signal}")),
                _ => {
                    terminal::restore();
                    std::process::exit(128 + signal);
                }
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch).context("no thread for signals")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let cause = || std::io::Error::other("disk on fire");
        assert_eq!(whole(&anyhow::Error::new(cause()).context("reading x")), "reading x: disk on fire");
        assert_eq!(whole(&anyhow::Error::new(cause()).context("x: disk on fire")), "x: disk on fire");
    }
}
