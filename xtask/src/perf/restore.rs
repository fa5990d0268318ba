//! From the start of an emulator that goes on from a saved guest to the guest's first instruction: `-loadvm` beside QEMU's
//! `-incoming "exec:cat file"`, the same guest, a loop in a shell.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::emulator::{Boot, Emulator};
use crate::live::Live;
use crate::paths;

/// A restored QEMU says so within this.
const PATIENCE: Duration = Duration::from_secs(120);

/// A guest in a file, for one emulator.
pub struct Saved {
    boot: Boot,
    file: PathBuf,
}

impl Drop for Saved {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = fs::remove_file(&self.file);
    }
}

impl Saved {
    /// Boots the guest to its shell, has it compute, and saves it.
    pub fn make(boot: &Boot) -> Result<Saved> {
        let name = format!("restore-{:?}", boot.emulator).to_lowercase();
        let file = paths::perf().join(format!("{name}.saved"));
        let live = Live::under_load(boot, &name)?;
        let place = file.display();
        // QEMU's stops by itself then; one that was stopped before would be so when it is restored.
        live.monitor(&match boot.emulator {
            Emulator::Aileron => format!("savevm {place}"),
            Emulator::Qemu => format!("migrate \"exec:cat > {place}\""),
        })?;
        live.quit()?;
        let bytes = fs::metadata(&file).with_context(|| format!("nothing was saved to {place}"))?.len();
        if bytes == 0 {
            bail!("{place} is empty");
        }
        Ok(Saved { boot: boot.clone(), file })
    }

    /// Goes on from it: milliseconds until the first instruction.
    pub fn restore(&self) -> Result<f64> {
        let place = self.file.display();
        let mut boot = self.boot.clone();
        let socket = paths::perf().join("restore.qmp");
        boot.options.extend(match boot.emulator {
            Emulator::Aileron => ["-loadvm".to_owned(), place.to_string(), "-stats".to_owned()].to_vec(),
            Emulator::Qemu => {
                let qmp = format!("unix:{},server=on,wait=off", socket.display());
                ["-incoming".to_owned(), format!("exec:cat {place}"), "-qmp".to_owned(), qmp].to_vec()
            }
        });
        let start = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mut live = Live::start(&boot, "restore")?;
        let first = match boot.emulator {
            Emulator::Aileron => {
                live.wait_for_sums(1)?;
                let ended = live.quit()?;
                let text = ended.stderr.lines().find_map(|line| line.split_once("in ns since 1970: ")).map(|row| row.1);
                Duration::from_nanos(text.context("no time of the first instruction in -stats")?.parse()?)
            }
            Emulator::Qemu => {
                let first = resumed(&socket)?;
                live.wait_for_sums(1)?;
                live.quit()?;
                first
            }
        };
        let spent = first.checked_sub(start).context("the first instruction came before the start")?;
        Ok(spent.as_secs_f64() * 1e3)
    }
}

/// When QEMU let its guest go on, by its own event.
fn resumed(socket: &Path) -> Result<Duration> {
    let start = Instant::now();
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) if start.elapsed() > PATIENCE => return Err(error).context("QEMU's QMP"),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"{\"execute\": \"qmp_capabilities\"}\n")?;
    for line in BufReader::new(stream).lines() {
        let line = line.context("QEMU's QMP")?;
        let said: serde_json::Value = serde_json::from_str(&line).with_context(|| format!("QMP said {line:?}"))?;
        if said["event"] == "RESUME" {
            let number = |name: &str| said["timestamp"][name].as_u64().with_context(|| format!("no {name} in {line}"));
            return Ok(Duration::from_secs(number("seconds")?) + Duration::from_micros(number("microseconds")?));
        }
    }
    bail!("QEMU did not say that the guest goes on")
}
