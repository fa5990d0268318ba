//! Starts an emulator with a guest, talks to its console, and says how it went. The same boot runs on
//! Aileron and on QEMU, whose spelling of the options Aileron has.

use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::guests::Fetched;
use crate::paths;
use crate::run;

/// Which emulator runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emulator {
    /// This project, the release build.
    Aileron,
    /// `qemu-system-ppc64` as the reference.
    Qemu,
}

impl Emulator {
    /// The program.
    pub fn program(self) -> PathBuf {
        match self {
            Self::Aileron => paths::aileron(),
            Self::Qemu => PathBuf::from("qemu-system-ppc64"),
        }
    }

    /// The machine; QEMU then runs without its slow firmware, as Aileron does.
    fn machine(self) -> &'static str {
        match self {
            Self::Aileron => "pseries",
            Self::Qemu => "pseries,x-vof=on",
        }
    }
}

/// What to do once the console has shown a string.
#[derive(Clone, Debug)]
pub enum Action {
    /// Type this.
    Send(&'static str),
    /// Remember wall and CPU time.
    Mark,
}

/// One start of an emulator.
#[derive(Clone, Debug)]
pub struct Boot {
    /// Which emulator.
    pub emulator: Emulator,
    /// Appended to `-M pseries`, such as `cap-ail-modes=0`.
    pub machine: Vec<String>,
    /// `-cpu`.
    pub cpu: &'static str,
    /// `-serial`.
    pub serial: &'static str,
    /// `-smp`.
    pub cpus: u32,
    /// Threads of a core.
    pub threads: u32,
    /// `-m`.
    pub memory: &'static str,
    /// The guest.
    pub guest: Fetched,
    /// The kernel's command line after `console=hvc0`.
    pub append: Vec<String>,
    /// The guest's reboot ends the emulator, so that a panic does not boot again and again until the timeout.
    pub no_reboot: bool,
    /// How Aileron executes guest code: options that QEMU does not get.
    pub execution: Vec<String>,
    /// Options added at the end.
    pub options: Vec<String>,
    /// Steps taken in this order, each when its string has been seen after those of the steps before.
    pub dialogue: Vec<(&'static str, Action)>,
    /// The guest is ended when it takes longer.
    pub timeout: Duration,
}

impl Boot {
    /// One POWER9 with 1 GiB that boots a guest and runs a test of the initrd.
    pub fn of(emulator: Emulator, guest: &Fetched, test: &str) -> Self {
        Self {
            emulator,
            machine: Vec::new(),
            cpu: "power9",
            serial: "stdio",
            cpus: 1,
            threads: 1,
            memory: "1G",
            guest: guest.clone(),
            append: vec![format!("aileron.test={test}")],
            no_reboot: true,
            execution: Vec::new(),
            options: Vec::new(),
            dialogue: Vec::new(),
            timeout: Duration::from_secs(300),
        }
    }

    /// The command, without what concerns its standard streams.
    pub fn command(&self) -> Command {
        let machine: Vec<&str> =
            std::iter::once(self.emulator.machine()).chain(self.machine.iter().map(String::as_str)).collect();
        // A guest that panics ends at once instead of waiting for the timeout.
        let append: Vec<&str> =
            ["console=hvc0", "panic=-1"].into_iter().chain(self.append.iter().map(String::as_str)).collect();
        let mut command = Command::new(self.emulator.program());
        command.args(["-M", &machine.join(",")]).args(["-cpu", self.cpu]).args(["-m", self.memory]);
        command.args(["-smp", &smp(self.cpus, self.threads)]);
        command.args(["-nodefaults", "-nographic", "-serial", self.serial]);
        command.arg("-kernel").arg(&self.guest.kernel).arg("-initrd").arg(&self.guest.initrd);
        command.args(["-append", &append.join(" ")]).args(self.no_reboot.then_some("-no-reboot"));
        if self.emulator == Emulator::Aileron {
            command.args(&self.execution);
        }
        command.args(&self.options);
        command
    }

    /// Starts the emulator and waits for its end; what it printed is kept below `target/checks` as `name`.
    pub fn run(&self, name: &str) -> Result<Outcome> {
        let outcome = watch(self.command(), &self.dialogue, self.timeout)?;
        outcome.keep(name)?;
        Ok(outcome)
    }
}

/// The value of `-smp`.
pub fn smp(cpus: u32, threads: u32) -> String {
    if threads == 1 { cpus.to_string() } else { format!("{cpus},threads={threads}") }
}

/// Wall and CPU time since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Time on the wall.
    pub wall: Duration,
    /// User and system time of all threads; before the end in ticks of 10 ms.
    pub cpu: Duration,
}

/// How a boot went.
#[derive(Debug)]
pub struct Outcome {
    /// The command as a person would type it.
    pub command: String,
    /// How the emulator ended.
    pub status: ExitStatus,
    /// It was ended from here because it took too long.
    pub timed_out: bool,
    /// The console, byte by byte.
    pub console: Vec<u8>,
    /// What the emulator itself said.
    pub stderr: String,
    /// Time from start to end.
    pub spent: Spent,
    /// Peak of the emulator's resident memory, guest RAM that was touched included.
    pub peak_bytes: u64,
    /// Times of the dialogue's marks.
    pub marks: Vec<Spent>,
    /// How many steps of the dialogue were taken.
    pub steps: usize,
}

impl Outcome {
    /// The console as text, without carriage returns.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.console).replace('\r', "")
    }

    /// The value of a line `AILERON-TEST name: value`; the last one where there are several.
    pub fn value(&self, name: &str) -> Result<String> {
        match value_in(&self.text(), name) {
            Some(value) => Ok(value),
            None => bail!("the guest printed no `AILERON-TEST {name}: ...`"),
        }
    }

    /// The value of a line `name: value` of standard error.
    pub fn statistic(&self, name: &str) -> Result<String> {
        let value = self.stderr.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
        match value {
            Some(value) => Ok(value.trim().to_owned()),
            None => bail!("the emulator printed no `{name}: ...` on standard error"),
        }
    }

    /// Keeps the console and what the emulator said below `target/checks`.
    pub fn keep(&self, name: &str) -> Result<()> {
        let directory = paths::checks();
        paths::make_directory(&directory)?;
        let log = format!("$ {}\n{}\n{}", self.command, self.stderr, self.status);
        for (kind, bytes) in [("console", &self.console[..]), ("log", log.as_bytes())] {
            let path = directory.join(format!("{name}.{kind}"));
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

fn value_in(console: &str, name: &str) -> Option<String> {
    let start = format!("AILERON-TEST {name}: ");
    console.lines().rev().find_map(|line| Some(line.split_once(start.as_str())?.1.trim().to_owned()))
}

/// Runs a command with its standard streams captured and follows the dialogue.
pub fn watch(mut command: Command, dialogue: &[(&str, Action)], timeout: Duration) -> Result<Outcome> {
    let spelled = run::spelled(&command);
    let types = dialogue.iter().any(|(_, action)| matches!(action, Action::Send(_)));
    command.stdin(if types { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot run {spelled}"))?;
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take().expect("piped");
    let console_reader = thread::spawn(move || pump(stdout, &sender));
    let mut stderr = child.stderr.take().expect("piped");
    let stderr_reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        let _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });

    let mut session =
        Session { dialogue, stdin: child.stdin.take(), console: Vec::new(), seen: 0, marks: Vec::new(), steps: 0 };
    let pid = Pid::from_child(&child);
    let timed_out = session.follow(pid, start, timeout, &receiver)?;
    if timed_out {
        child.kill().with_context(|| format!("cannot end {spelled}"))?;
    }
    let (status, cpu, peak_bytes) = reap(pid).with_context(|| format!("cannot wait for {spelled}"))?;
    let spent = Spent { wall: start.elapsed(), cpu };
    console_reader.join().expect("the reader of the console does not panic");
    session.console.extend(receiver.try_iter().flatten());
    let stderr = stderr_reader.join().expect("the reader of standard error does not panic");
    Ok(Outcome {
        command: spelled,
        status,
        timed_out,
        console: session.console,
        stderr,
        spent,
        peak_bytes,
        marks: session.marks,
        steps: session.steps,
    })
}

/// Waits for the end of a child that nobody else waits for: its status, user and system time of all its threads,
/// and the peak of its resident memory in bytes.
#[allow(unsafe_code)]
fn reap(pid: Pid) -> Result<(ExitStatus, Duration, u64)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to locals of the types that wait4(2) writes.
        let reaped = unsafe { libc::wait4(pid.as_raw_nonzero().get(), &mut status, 0, usage.as_mut_ptr()) };
        if reaped == pid.as_raw_nonzero().get() {
            break;
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("wait4 failed");
        }
    }
    // SAFETY: zeroes are a valid rusage, and wait4 has written the rest.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    let peak = usage.ru_maxrss.unsigned_abs() * 1024;
    Ok((ExitStatus::from_raw(status), time(usage.ru_utime) + time(usage.ru_stime), peak))
}

fn pump(mut from: impl Read, to: &Sender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}

struct Session<'a> {
    dialogue: &'a [(&'a str, Action)],
    stdin: Option<ChildStdin>,
    console: Vec<u8>,
    /// Where on the console the search for the next step starts.
    seen: usize,
    marks: Vec<Spent>,
    steps: usize,
}

impl Session<'_> {
    /// Reads the console until it closes, or the emulator ends; true when the time is over before that.
    fn follow(&mut self, pid: Pid, start: Instant, timeout: Duration, receiver: &Receiver<Vec<u8>>) -> Result<bool> {
        loop {
            match receiver.recv_timeout(Duration::from_millis(200)) {
                Ok(bytes) => self.console.extend_from_slice(&bytes),
                Err(RecvTimeoutError::Timeout) => {
                    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
                    if rustix::process::waitid(WaitId::Pid(pid), ended)
                        .context("cannot wait for the emulator")?
                        .is_some()
                    {
                        return Ok(false);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    // Console closed, but the emulator may still hang: give its end the time that is left.
                    return self.end_of(pid, start, timeout);
                }
            }
            self.take_steps(pid, start)?;
            if start.elapsed() > timeout {
                return Ok(true);
            }
        }
    }

    fn end_of(&self, pid: Pid, start: Instant, timeout: Duration) -> Result<bool> {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        loop {
            if rustix::process::waitid(WaitId::Pid(pid), ended).context("cannot wait for the emulator")?.is_some() {
                return Ok(false);
            }
            if start.elapsed() > timeout {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn take_steps(&mut self, pid: Pid, start: Instant) -> Result<()> {
        while let Some((wanted, action)) = self.dialogue.get(self.steps) {
            let unread = &self.console[self.seen..];
            let Some(at) = unread.windows(wanted.len()).position(|window| window == wanted.as_bytes()) else { break };
            self.seen += at + wanted.len();
            self.steps += 1;
            match action {
                Action::Mark => self.marks.push(Spent { wall: start.elapsed(), cpu: cpu_time(pid)? }),
                Action::Send(text) => {
                    if let Some(stdin) = &mut self.stdin {
                        // An emulator that has ended already is told by its outcome.
                        let _ = stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush());
                    }
                }
            }
        }
        Ok(())
    }
}

/// User and system time of a process that is not reaped yet and of those that it waited for: fields 14 to 17 of
/// `/proc/PID/stat` (proc(5)).
fn cpu_time(pid: Pid) -> Result<Duration> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = ticks_in(&text).with_context(|| format!("{path} is not what proc(5) says: {text:?}"))?;
    Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

fn ticks_in(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses and can have blanks in it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_dialogue_is_followed() {
        let script = "echo ready; read line; echo got $line; read line; echo AILERON-TEST name: $line; echo 'count: 7' >&2; exit 3";
        let dialogue =
            [("ready", Action::Send("one\n")), ("got one", Action::Mark), ("\n", Action::Send("two words\n"))];
        let outcome = watch(shell(script), &dialogue, Duration::from_secs(60)).unwrap();
        assert_eq!(
            (outcome.status.code(), outcome.steps, outcome.marks.len(), outcome.timed_out),
            (Some(3), 3, 1, false)
        );
        assert_eq!(outcome.value("name").unwrap(), "two words");
        assert_eq!(outcome.statistic("count").unwrap(), "7");
        assert!(outcome.value("other").is_err());
    }

    #[test]
    fn what_takes_too_long_is_ended() {
        let outcome = watch(shell("echo here; exec sleep 100"), &[], Duration::from_millis(300)).unwrap();
        assert!(outcome.timed_out && !outcome.status.success());
        assert_eq!(outcome.text(), "here\n");
        let outcome = watch(shell("exec >&-; exec sleep 100"), &[], Duration::from_millis(300)).unwrap();
        assert!(outcome.timed_out, "closed its console and hung");
    }

    #[test]
    fn cpu_time_is_counted() {
        let outcome =
            watch(shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"), &[], Duration::from_secs(60)).unwrap();
        assert!(
            outcome.spent.cpu > Duration::ZERO
                && outcome.spent.cpu <= outcome.spent.wall * 2 + Duration::from_millis(20)
        );
        assert!((64 << 10..4 << 30).contains(&outcome.peak_bytes), "{} bytes", outcome.peak_bytes);
    }

    #[test]
    fn fields_of_stat() {
        let stat = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 25 3 1 20 0";
        assert_eq!(ticks_in(stat), Some(179));
        assert_eq!(ticks_in("12 (a) S"), None);
    }
}
