//! Live migration of a guest under load, over TCP on this host: nothing lost, and never two running copies, wherever the
//! connection breaks or the destination dies.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::checks::options;
use crate::ci;
use crate::emulator::{Boot, Emulator};
use crate::guests::{self, Fetched};
use crate::live::{Ended, Live, nothing_lost};
use crate::tally::Tally;

/// How long a migration may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a copy is watched that must not run.
const WATCH: Duration = Duration::from_millis(400);
/// An answer of the destination, in bytes.
const ANSWER_BYTES: u64 = 17;

/// How `cargo xtask migrate` is run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The guest; `guest list` names them.
    #[arg(long, default_value = "debian-6.12")]
    guest: String,
    /// How often the connection is cut or the destination is killed; without, each row is migrated once.
    #[arg(long, default_value_t = 0, value_name = "N")]
    kills: u32,
    /// For the moments of the kills; else another one each time.
    #[arg(long)]
    seed: Option<u64>,
}

/// One way from one machine to another.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    cpus: u32,
    hash: bool,
    controller: &'static str,
    from: &'static str,
    to: &'static str,
    /// Done every day.
    pub daily: bool,
}

/// All ways.
#[rustfmt::skip]
pub const ROWS: [Row; 4] = [
    Row { cpus: 2, hash: false, controller: "xive", from: "jit", to: "jit", daily: true },
    Row { cpus: 1, hash: true, controller: "xics", from: "jit", to: "interp", daily: false },
    Row { cpus: 2, hash: true, controller: "xive", from: "interp", to: "jit", daily: false },
    Row { cpus: 1, hash: false, controller: "xics", from: "interp", to: "jit", daily: false },
];

/// Runs the rows, or the kills.
pub fn run(o: &Options, mirror: Option<&str>) -> Result<()> {
    ci::build_aileron()?;
    let guest = guests::ready(&o.guest, mirror)?;
    let mut tally = Tally::new();
    if o.kills == 0 {
        for row in ROWS {
            tally.check(&row.name(), || row.run(&guest));
        }
    } else {
        let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let seed = o.seed.unwrap_or_else(|| now().as_nanos() as u64);
        tally.check("kills", || kills(&guest, o.kills, seed));
    }
    tally.finish()
}

impl Row {
    /// `migrated-2-radix-xive-jit-jit` and so on.
    pub fn name(&self) -> String {
        let mmu = if self.hash { "hash" } else { "radix" };
        format!("migrated-{}-{mmu}-{}-{}-{}", self.cpus, self.controller, self.from, self.to)
    }

    fn boot(&self, guest: &Fetched, accelerator: &str) -> Boot {
        let mut boot = Boot::of(Emulator::Aileron, guest, "");
        boot.cpus = self.cpus;
        boot.machine = vec![format!("ic-mode={}", self.controller)];
        boot.append = if self.hash { vec!["disable_radix".to_owned()] } else { Vec::new() };
        boot.execution = options(["-accel", accelerator, "-code-cache", "none"]);
        boot
    }

    /// Boots, computes, moves, computes there.
    pub fn run(&self, guest: &Fetched) -> Result<String> {
        let source = Live::under_load(&self.boot(guest, self.from), &format!("{}-source", self.name()))?;
        let (mut there, proxy) = self.destination(guest, When::Never, false)?;
        source.order(&format!("migrate tcp:127.0.0.1:{}", proxy.port))?;
        let told = source.monitor("info migrate")?;
        for line in ["cont", "system_reset"] {
            ensure!(source.monitor(line)?.contains("handed over"), "{line} let the source go on");
        }
        there.wait_for_sums(10 * u64::from(self.cpus))?;
        let consoles = [source.quit()?, there.quit()?].map(|ended| ended.console).concat();
        let count = nothing_lost(&consoles, self.cpus)?;
        let fact = |name: &str| told.lines().find(|line| line.starts_with(name)).unwrap_or("?").to_owned();
        Ok(format!("{count} checksums, none lost; {}, {}", fact("downtime"), fact("transferred")))
    }

    /// A machine that waits for a guest, behind a proxy.
    fn destination(&self, guest: &Fetched, when: When, kill: bool) -> Result<(Live, Proxy)> {
        // Somebody else may take it in between: then the emulator says so.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut boot = self.boot(guest, self.to);
        boot.options = vec!["-incoming".into(), format!("tcp:127.0.0.1:{port}")];
        let live = Live::start(&boot, &format!("{}-destination", self.name()))?;
        let victim = Pid::from_raw(live.pid() as i32).filter(|_| kill);
        let proxy = Proxy::start(port, when, victim)?;
        Ok((live, proxy))
    }
}

/// When the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Never,
    /// Behind so many bytes of the source.
    Bytes(u64),
    /// With this answer of the destination, which does not arrive: 1 that it fits, 2 that all is there, 3 that it runs.
    Answer(u64),
    /// Before the source's next byte behind this answer.
    Behind(u64),
}

/// Stands between source and destination, and can cut their connection anywhere.
struct Proxy {
    port: u16,
    /// Bytes of the source so far.
    sent: Arc<AtomicU64>,
}

/// What the two directions know of each other.
struct Way {
    when: When,
    /// Dies where the connection would be cut.
    victim: Option<Pid>,
    ends: Mutex<Vec<TcpStream>>,
    sent: Arc<AtomicU64>,
    answered: AtomicU64,
}

impl Way {
    fn cut(&self) {
        if let Some(victim) = self.victim {
            // It may have died already.
            let _ = kill_process(victim, Signal::KILL);
        }
        for end in self.ends.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Gone already: as well.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Carries bytes in one direction until it ends.
    fn carry(&self, mut from: TcpStream, mut to: TcpStream, from_source: bool) {
        let mut buffer = [0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..count];
            let done = if from_source { &self.sent } else { &self.answered };
            let before = done.load(SeqCst);
            let keep = match self.when {
                When::Bytes(limit) if from_source => limit.saturating_sub(before).min(count as u64),
                When::Answer(n) if !from_source && before + count as u64 >= n * ANSWER_BYTES => 0,
                When::Behind(n) if from_source && self.answered.load(SeqCst) >= n * ANSWER_BYTES => 0,
                _ => count as u64,
            };
            // Before it is sent: who gets it may answer at once.
            done.store(before + keep, SeqCst);
            let sent = to.write_all(&bytes[..keep as usize]);
            if sent.is_err() || keep < count as u64 {
                break;
            }
        }
        self.cut();
    }
}

impl Proxy {
    /// Listens; the destination is connected when a source comes.
    fn start(destination: u16, when: When, victim: Option<Pid>) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let sent = Arc::new(AtomicU64::new(0));
        let way =
            Arc::new(Way { when, victim, ends: Mutex::default(), sent: sent.clone(), answered: AtomicU64::new(0) });
        thread::spawn(move || -> Result<()> {
            let (source, _) = listener.accept()?;
            let start = Instant::now();
            let there = loop {
                match TcpStream::connect(("127.0.0.1", destination)) {
                    Ok(there) => break there,
                    Err(_) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
                    Err(error) => return Err(error.into()),
                }
            };
            for stream in [&source, &there] {
                stream.set_nodelay(true)?;
            }
            let ends = [source.try_clone()?, there.try_clone()?];
            way.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(ends);
            let (to, from, other) = (there.try_clone()?, source.try_clone()?, way.clone());
            thread::spawn(move || other.carry(from, to, true));
            way.carry(there, source, false);
            Ok(())
        });
        Ok(Proxy { port, sent })
    }
}

/// Numbers that a seed leads to (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

/// How a cut migration came out.
#[derive(Debug, Default)]
struct Outcomes {
    source_went_on: u32,
    destination_runs: u32,
    destination_died: u32,
    nobody_was_told: u32,
}

/// Cuts the connection, or kills the destination, again and again.
fn kills(guest: &Fetched, count: u32, seed: u64) -> Result<String> {
    let row = ROWS[0];
    let mut random = Random(seed | 1);
    let mut outcomes = Outcomes::default();
    let mut source: Option<(Live, String)> = None;
    // How much there is to be sent.
    let mut total = 64 << 20;
    for number in 0..count {
        let when = match random.below(8) {
            0..=3 => When::Bytes(random.below(total)),
            4 => When::Answer(1 + random.below(3)),
            5 => When::Answer(2),
            6 => When::Behind(1 + random.below(2)),
            _ => When::Behind(2),
        };
        let kill = random.below(2) == 0;
        let (live, _) = match source.take() {
            Some(source) => source,
            None => (Live::under_load(&row.boot(guest, row.from), &format!("kill-{number}"))?, String::new()),
        };
        let what =
            format!("kill {number} of {count} (--seed {seed}): {when:?}{}", if kill { ", and a kill" } else { "" });
        let (back, bytes) = one_kill(row, guest, live, when, kill, &mut outcomes).with_context(|| what.clone())?;
        total = total.max(bytes);
        eprintln!("{what}: {outcomes:?}");
        source = back.map(|live| (live, String::new()));
    }
    if let Some((live, _)) = source {
        nothing_lost(&live.quit()?.console, row.cpus)?;
    }
    let Outcomes { source_went_on, destination_runs, destination_died, nobody_was_told } = outcomes;
    Ok(format!(
        "{count} cuts, seed {seed}: {source_went_on} before the commit point, and the source went on; behind it {destination_runs} \
         times the destination ran, {destination_died} times it was killed as it was about to, {nobody_was_told} times the word was lost \
         on the way and nobody ran; never two"
    ))
}

/// One of them; the source, if it is still of use, and how many bytes went through.
fn one_kill(
    row: Row,
    guest: &Fetched,
    mut source: Live,
    when: When,
    kill: bool,
    outcomes: &mut Outcomes,
) -> Result<(Option<Live>, u64)> {
    let (there, proxy) = row.destination(guest, when, kill)?;
    source.order(&format!("migrate -d tcp:127.0.0.1:{}", proxy.port))?;
    let start = Instant::now();
    let mut there = Some(there);
    let mut ended: Option<Ended> = None;
    let status = loop {
        let status = source.monitor("info migrate")?;
        let status = status.lines().next().unwrap_or_default().to_owned();
        if !status.ends_with(": active") && !status.ends_with(": none") {
            break status;
        }
        ensure!(start.elapsed() < PATIENCE, "{status} for too long; {}", source.stderr());
        thread::sleep(Duration::from_millis(2));
    };
    if kill && let Some(live) = there.take() {
        ended = Some(live.kill()?);
    }
    let bytes = proxy.sent.load(SeqCst);
    match status.rsplit(": ").next().unwrap_or_default() {
        "failed" => {
            // Here, and not there.
            source.wait_for_sums(6)?;
            let ended = match (ended, there) {
                (Some(ended), _) => ended,
                (None, Some(there)) => {
                    let ended = there.ended().context("the destination of a migration that failed")?;
                    ensure!(!ended.status.success(), "the destination ended with {}", ended.status);
                    ended
                }
                (None, None) => bail!("no destination"),
            };
            ensure!(!ended.console.contains("SUM "), "two copies: the destination ran\n{}", ended.console);
            ensure!(source.monitor("info status")?.contains("running"), "the source stands still");
            outcomes.source_went_on += 1;
            Ok((Some(source), bytes))
        }
        "in doubt" | "completed" => {
            // There, or nowhere, and not here.
            let before = source.sums();
            thread::sleep(WATCH);
            ensure!(source.sums() == before, "two copies: the source runs behind the commit point");
            ensure!(source.monitor("cont")?.contains("handed over"), "the source can be let go on");
            let first = source.quit()?.console;
            match (ended, there) {
                (Some(ended), _) => {
                    nothing_lost(&format!("{first}{}", ended.console), row.cpus)?;
                    outcomes.destination_died += 1;
                }
                (None, Some(mut there)) => {
                    // It got the word, or it did not; it ends by itself then.
                    if there.runs_or_ends()? {
                        there.wait_for_sums(6)?;
                        nothing_lost(&format!("{first}{}", there.quit()?.console), row.cpus)?;
                        outcomes.destination_runs += 1;
                    } else {
                        let ended = there.ended()?;
                        ensure!(!ended.console.contains("SUM "), "it ran without a word");
                        outcomes.nobody_was_told += 1;
                    }
                }
                (None, None) => bail!("no destination"),
            }
            Ok((None, bytes))
        }
        other => bail!("the migration is {other:?}: {}", source.stderr()),
    }
}
