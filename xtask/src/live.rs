//! A guest that runs while somebody talks to it: console, shell and monitor of an Aileron, and a load whose every answer is
//! known, so that it shows whether anything was lost on the way from one emulator to another.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::emulator::{Boot, Emulator};
use crate::{initrd, paths, run};

/// How long anything may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(240);
/// How often is looked.
const GLANCE: Duration = Duration::from_millis(10);
/// What a monitor shows when it waits for a command: `(aileron) `, `(qemu) `.
const PROMPTS: [&str; 2] = ["(aileron) ", "(qemu) "];
/// A worker for each processor, which prints number after number, each with its checksum.
const LOAD: &str = "for w in $(seq $(nproc)); do (i=0; while :; do i=$((i+1)); echo \"SUM $w $i $(echo $w $i | sha256sum | \
                    cut -c1-16)\"; done) & done\n";

type Bytes = Arc<Mutex<Vec<u8>>>;

/// An emulator with its streams.
pub struct Live {
    child: Child,
    stdin: ChildStdin,
    console: Bytes,
    stderr: Bytes,
    readers: Vec<JoinHandle<()>>,
    monitor: PathBuf,
    command: String,
    is_qemu: bool,
}

/// How it ended.
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// All that it showed on its console.
    pub console: String,
    /// All that the emulator said.
    pub stderr: String,
}

fn pump(mut from: impl Read + Send + 'static, to: Bytes) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
        }
    })
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap_or_else(PoisonError::into_inner)).replace('\r', "")
}

impl Live {
    /// Starts it; `name` is that of its monitor's socket below `target/checks`.
    pub fn start(boot: &Boot, name: &str) -> Result<Live> {
        let directory = paths::checks();
        paths::make_directory(&directory)?;
        let monitor = directory.join(format!("{name}.{}.monitor", std::process::id()));
        let is_qemu = boot.emulator == Emulator::Qemu;
        let mut boot = boot.clone();
        boot.options.extend(["-monitor".into(), format!("unix:{},server=on,wait=off", monitor.display())]);
        let mut command = boot.command();
        let spelled = run::spelled(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {spelled}"))?;
        let (console, stderr) = (Bytes::default(), Bytes::default());
        let readers = vec![
            pump(child.stdout.take().expect("piped"), console.clone()),
            pump(child.stderr.take().expect("piped"), stderr.clone()),
        ];
        let stdin = child.stdin.take().expect("piped");
        Ok(Live { child, stdin, console, stderr, readers, monitor, command: spelled, is_qemu })
    }

    /// Boots a guest to its shell, and starts the load.
    pub fn under_load(boot: &Boot, name: &str) -> Result<Live> {
        let mut boot = boot.clone();
        boot.append.retain(|word| !word.starts_with("aileron.test="));
        let mut live = Live::start(&boot, name)?;
        live.wait_for("the shell", |console| console.contains("'reboot' starts it again."))?;
        live.send(LOAD)?;
        live.wait_for_sums(5 * u64::from(boot.cpus))?;
        Ok(live)
    }

    /// Waits until the console is so.
    pub fn wait_for(&mut self, what: &str, is_there: impl Fn(&str) -> bool) -> Result<()> {
        let start = Instant::now();
        loop {
            // Before the look: what it said last is looked at too.
            let ended = self.child.try_wait()?;
            if is_there(&text(&self.console)) {
                return Ok(());
            }
            if ended.is_some() || start.elapsed() > PATIENCE {
                let (console, stderr) = (text(&self.console), text(&self.stderr));
                let tail = &console[console.floor_char_boundary(console.len().saturating_sub(800))..];
                bail!("no sign of {what} ({ended:?}); console:\n{tail}\n{stderr}\ncommand: {}", self.command);
            }
            thread::sleep(GLANCE);
        }
    }

    /// All that it has shown so far.
    pub fn console(&self) -> String {
        text(&self.console)
    }

    /// Waits until the load has printed so many more sums.
    pub fn wait_for_sums(&mut self, more: u64) -> Result<()> {
        let wanted = count_sums(&text(&self.console)) + more;
        self.wait_for("the load", |console| count_sums(console) >= wanted)
    }

    /// Types this on the console.
    pub fn send(&mut self, keys: &str) -> Result<()> {
        self.stdin.write_all(keys.as_bytes()).and_then(|()| self.stdin.flush()).context("the console takes no input")
    }

    /// A command for the monitor: what it said.
    pub fn monitor(&self, line: &str) -> Result<String> {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(&self.monitor) {
                Ok(stream) => break stream,
                Err(error) if start.elapsed() > PATIENCE => {
                    return Err(error).with_context(|| format!("no monitor at {}", self.monitor.display()));
                }
                Err(_) => thread::sleep(GLANCE),
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        read_answer(&mut reader)?;
        stream.write_all(format!("{line}\n").as_bytes())?;
        read_answer(&mut reader)
    }

    /// A command that says nothing when it is done.
    pub fn order(&self, line: &str) -> Result<()> {
        let said = self.monitor(line)?;
        // QEMU's shows what is typed, letter by letter.
        ensure!(self.is_qemu || said.is_empty(), "{line}: {said}");
        Ok(())
    }

    /// Ends it by its monitor.
    pub fn quit(self) -> Result<Ended> {
        self.monitor("quit")?;
        self.ended()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Result<Ended> {
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if start.elapsed() > PATIENCE => bail!("it does not end; command: {}", self.command),
                None => thread::sleep(GLANCE),
            }
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader does not panic");
        }
        Ok(Ended { status, console: text(&self.console), stderr: text(&self.stderr) })
    }

    /// What the emulator has said so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) -> Result<Ended> {
        self.child.kill()?;
        self.ended()
    }

    /// Sums that the load has printed so far.
    pub fn sums(&self) -> u64 {
        count_sums(&text(&self.console))
    }

    /// Waits until the load prints something, or the emulator ends: whether it runs.
    pub fn runs_or_ends(&mut self) -> Result<bool> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let ended = self.child.try_wait()?.is_some();
            if self.sums() > 0 || ended {
                return Ok(!ended);
            }
            thread::sleep(GLANCE);
        }
        bail!("it neither runs nor ends; command: {}", self.command);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It has ended already, or nobody needs it.
        let _ = self.child.kill().and_then(|()| self.child.wait());
        let _ = std::fs::remove_file(&self.monitor);
    }
}

fn read_answer(reader: &mut impl std::io::BufRead) -> Result<String> {
    let mut said = Vec::new();
    while !PROMPTS.iter().any(|prompt| said.ends_with(prompt.as_bytes())) {
        let buffer = reader.fill_buf().context("the monitor is silent")?;
        // It has ended, as by quit.
        if buffer.is_empty() {
            break;
        }
        said.extend_from_slice(buffer);
        let count = buffer.len();
        reader.consume(count);
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    let answer = PROMPTS.iter().find_map(|prompt| said.strip_suffix(prompt)).unwrap_or(&said);
    Ok(answer.trim_end().to_owned())
}

/// A line of the load: worker, number, checksum.
fn sum(line: &str) -> Option<(u64, u64, &str)> {
    // A prompt may stand before it.
    let mut words = line[line.rfind("SUM ")?..].split(' ').skip(1);
    let found = (words.next()?.parse().ok()?, words.next()?.parse().ok().filter(|n| *n > 0)?, words.next()?);
    (words.next().is_none() && found.2.len() == 16).then_some(found)
}

fn count_sums(console: &str) -> u64 {
    console.lines().filter(|line| sum(line).is_some()).count() as u64
}

/// The numbers that each worker printed are in order and have their checksums, wherever they begin.
pub fn goes_on(console: &str, workers: u32) -> Result<u64> {
    in_order(console, workers, |_| None)
}

/// All numbers of each worker are there, in order and with their checksums: how many.
pub fn nothing_lost(console: &str, workers: u32) -> Result<u64> {
    in_order(console, workers, |_| Some(0))
}

/// `before`: the number in front of a worker's first one, if it is known.
fn in_order(console: &str, workers: u32, before: impl Fn(u64) -> Option<u64>) -> Result<u64> {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let mut count = 0;
    for (worker, number, found) in console.lines().filter_map(sum) {
        let behind = last.get(&worker).copied().or_else(|| before(worker)).unwrap_or(number - 1);
        ensure!(number == behind + 1, "worker {worker} printed {number} behind {behind}");
        last.insert(worker, number);
        count += 1;
        let right = initrd::host_sum("sha256sum", format!("{worker} {number}\n").as_bytes())?;
        ensure!(right.starts_with(found), "worker {worker}: the checksum of {number} is {found}, expected {right}");
    }
    ensure!(last.len() as u32 == workers, "{} workers printed something, expected {workers}", last.len());
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_noticed() {
        let right = |worker: u64, number: u64| {
            let sum = initrd::host_sum("sha256sum", format!("{worker} {number}\n").as_bytes()).unwrap();
            format!("SUM {worker} {number} {}\n", &sum[..16])
        };
        let good = [right(1, 1), right(2, 1), "# echo \"SUM $w $i\"\n".into(), right(1, 2)].concat();
        assert_eq!(nothing_lost(&good, 2).unwrap(), 3);
        assert_eq!(count_sums(&good), 3);
        assert!(nothing_lost(&good, 3).is_err());
        for bad in [right(1, 4), right(1, 2), right(2, 2).replace(' ', "  "), right(2, 2).replace("SUM 2 2", "SUM 1 3")]
        {
            let all = format!("{good}{bad}");
            assert!(nothing_lost(&all, 2).is_err() || sum(bad.trim_end()).is_none(), "{bad}");
        }
    }
}
