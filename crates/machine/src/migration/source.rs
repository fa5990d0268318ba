//! The machine that is left.

use super::stream::{BATCH_PAGES, Channel, Kind, MAGIC, PATIENCE, Uri};
use super::{Migration, MigrationError, Phase, Progress};
use crate::board::Machine;
use crate::handle::Handle;
use crate::saved::SavedError;
use crate::shared::{Shared, lock};
use memory::PAGE_SIZE;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Longest sleep of who sends slower than it could.
const SLEEP: Duration = Duration::from_millis(20);
/// What is said of the state's own errors.
const NAME: &str = "migrate";

impl Handle {
    /// Begins to move the guest to where `uri` says: from here on [`Handle::migration_progress`] tells of this migration.
    ///
    /// # Errors
    /// [`MigrationError`]: there is one, or the guest is not here any more.
    pub fn begin_migration(&self, uri: &Uri) -> Result<Begun, MigrationError> {
        let Some((shared, _)) = self.alone() else { return Err(SavedError::Lockstep.into()) };
        shared.migration.begin()?;
        Ok(Begun {
            handle: self.clone(),
            shared: shared.clone(),
            uri: uri.clone(),
            start: Instant::now(),
            is_over: false,
        })
    }

    fn migrate_to(&self, shared: &Arc<Shared>, uri: &Uri) -> Result<(), MigrationError> {
        // Why it cannot be saved is said before anything is connected.
        let state = self.while_it_stands(|machine| machine.state(None, Path::new(NAME)));
        let state = state.ok_or(SavedError::Ended)??;
        let channel = Channel::connect(uri)?;
        let mut source = Source { shared: shared.clone(), channel, start: Instant::now(), sent: 0 };
        if let Err(error) = source.precopy(&state) {
            source.channel.abandon();
            return Err(error);
        }
        let begin = Instant::now();
        // From here on the machine's own thread does it, and nobody else can let the guest go on.
        let moved = self.while_it_stands(move |machine| source.hand_over(machine, begin));
        moved.unwrap_or(Err(SavedError::Ended.into()))
    }

    /// How the last migration stands.
    pub fn migration_progress(&self) -> Progress {
        self.alone().map(|(shared, _)| lock(&shared.migration.progress).clone()).unwrap_or_default()
    }

    /// The migration that is under way ends, and the guest goes on here. Nothing behind the point where it changes hands.
    pub fn cancel_migration(&self) {
        if let Some((shared, _)) = self.alone() {
            shared.migration.cancelled.store(true, SeqCst);
        }
    }

    /// What migrations may take: bytes a second (0: all there are), and how long the guest may stand still. `None`: as before.
    pub fn limit_migration(&self, bandwidth: Option<u64>, downtime_ms: Option<u64>) {
        if let Some((shared, _)) = self.alone() {
            let Migration { bandwidth: bytes, downtime_ms: ms, .. } = &shared.migration;
            bandwidth.into_iter().for_each(|value| bytes.store(value, SeqCst));
            downtime_ms.into_iter().for_each(|value| ms.store(value, SeqCst));
        }
    }

    /// Bytes a second (0: no limit), and milliseconds.
    pub fn migration_limits(&self) -> (u64, u64) {
        let limits = |(shared, _): (&Arc<Shared>, _)| {
            (shared.migration.bandwidth.load(SeqCst), shared.migration.downtime_ms.load(SeqCst))
        };
        self.alone().map(limits).unwrap_or_default()
    }

    /// Whether the guest is somewhere else for good.
    pub fn is_handed_over(&self) -> bool {
        self.alone().is_some_and(|(shared, _)| shared.migration.handed_over.load(SeqCst))
    }
}

/// A migration that has begun, and is not carried out yet.
#[derive(Debug)]
pub struct Begun {
    handle: Handle,
    shared: Arc<Shared>,
    uri: Uri,
    start: Instant,
    is_over: bool,
}

impl Begun {
    /// Moves the guest. When this returns well, it runs there, or stands in that file, and this machine stands still for ever.
    ///
    /// # Errors
    /// [`MigrationError`]: this machine goes on, but for [`MigrationError::InDoubt`].
    pub fn run(mut self) -> Result<Progress, MigrationError> {
        let result = self.handle.migrate_to(&self.shared, &self.uri);
        self.shared.memory.end_tracking();
        let (phase, reason) = match &result {
            Ok(()) => (Phase::Completed, String::new()),
            Err(MigrationError::Cancelled) => (Phase::Cancelled, String::new()),
            Err(error @ MigrationError::InDoubt(_)) => (Phase::InDoubt, error.to_string()),
            Err(error) => (Phase::Failed, error.to_string()),
        };
        self.end(phase, reason);
        result.map(|()| self.handle.migration_progress())
    }

    fn end(&mut self, phase: Phase, reason: String) {
        self.is_over = true;
        self.shared.migration.update(|progress| {
            progress.spent = self.start.elapsed();
            (progress.phase, progress.reason) = (phase, reason);
        });
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(Phase::Failed, "nobody carried it out".into());
        }
    }
}

struct Source {
    shared: Arc<Shared>,
    channel: Channel,
    start: Instant,
    sent: u64,
}

impl Source {
    fn migration(&self) -> &Migration {
        &self.shared.migration
    }

    fn is_wanted(&self) -> Result<(), MigrationError> {
        if self.migration().cancelled.load(SeqCst) { Err(MigrationError::Cancelled) } else { Ok(()) }
    }

    /// All of RAM but for what can be sent while the guest stands still.
    fn precopy(&mut self, state: &[u8]) -> Result<(), MigrationError> {
        let hello = [&MAGIC[..], &[u8::from(self.channel.is_two_way())]].concat();
        self.send(Kind::Hello, &hello)?;
        self.send(Kind::Check, state)?;
        self.expect(Kind::Accept)?;
        let memory = self.shared.memory.clone();
        memory.begin_tracking();
        self.start = Instant::now();
        let mut pages = memory.used_page_numbers();
        loop {
            self.send_pages(&pages, true)?;
            self.migration().update(|progress| progress.rounds += 1);
            pages = memory.take_dirty();
            let spent = self.start.elapsed().as_secs_f64().max(1e-3);
            let limit = self.migration().bandwidth.load(SeqCst);
            let speed = if limit == 0 { self.sent as f64 / spent } else { limit as f64 };
            let seconds = (pages.len() as u64 * PAGE_SIZE + state.len() as u64) as f64 / speed.max(1.0);
            if seconds * 1e3 <= self.migration().downtime_ms.load(SeqCst) as f64 {
                // The last of them: told again, with what is written from now on.
                pages.iter().for_each(|page| memory.note_dirty(*page));
                return self.is_wanted();
            }
        }
    }

    /// The rest, and the guest itself. No vCPU runs.
    fn hand_over(mut self, machine: &mut Machine, begin: Instant) -> Result<(), MigrationError> {
        match self.prepare(machine) {
            Ok(()) => {}
            Err(error) => {
                self.channel.abandon();
                return Err(error);
            }
        }
        let was_paused = self.shared.is_paused();
        // Before the frame goes out: nothing that happens from here on may let the guest go on.
        self.shared.migration.handed_over.store(true, SeqCst);
        // Behind the flag, under the lock that whoever lets it go on looks under.
        self.shared.call_rest(true);
        let committed = self.send(Kind::Commit, &[u8::from(was_paused)]).and_then(|()| self.channel.publish());
        if let Err(error) = committed {
            // The destination cannot have the whole frame, or there is no such file.
            self.shared.migration.handed_over.store(false, SeqCst);
            if !was_paused {
                self.shared.resume();
            }
            self.channel.abandon();
            return Err(error);
        }
        let told = self.expect(Kind::Runs);
        self.shared.migration.update(|progress| progress.downtime = Some(begin.elapsed()));
        match told {
            Ok(()) if self.channel.finish() => Ok(()),
            Ok(()) => Err(MigrationError::InDoubt("the program failed".into())),
            Err(error) => Err(MigrationError::InDoubt(error.to_string())),
        }
    }

    fn prepare(&mut self, machine: &mut Machine) -> Result<(), MigrationError> {
        let memory = self.shared.memory.clone();
        let pages = memory.take_dirty();
        self.send_pages(&pages, false)?;
        let state = machine.state(None, Path::new(NAME))?;
        self.send(Kind::State, &state)?;
        self.expect(Kind::Ready)?;
        if self.shared.is_ending() {
            return Err(SavedError::Ended.into());
        }
        self.is_wanted()
    }

    fn send(&mut self, kind: Kind, content: &[u8]) -> Result<(), MigrationError> {
        let bytes = self.channel.send(kind, content)?;
        self.sent += bytes;
        self.shared.migration.update(|progress| progress.bytes += bytes);
        Ok(())
    }

    fn send_pages(&mut self, pages: &[u64], slowly: bool) -> Result<(), MigrationError> {
        let memory = self.shared.memory.clone();
        let mut page = [0; PAGE_SIZE as usize];
        let mut left = pages.len() as u64;
        for batch in pages.chunks(BATCH_PAGES) {
            let (mut full, mut zeros) = (Vec::new(), Vec::new());
            for number in batch {
                if !memory.copy_page_number(*number, &mut page) {
                    continue;
                }
                let is_zero = page.iter().all(|byte| *byte == 0);
                let to = if is_zero { &mut zeros } else { &mut full };
                to.extend_from_slice(&number.to_le_bytes());
                if !is_zero {
                    to.extend_from_slice(&page);
                }
            }
            if !full.is_empty() {
                self.send(Kind::Pages, &full)?;
            }
            if !zeros.is_empty() {
                self.send(Kind::Zeros, &zeros)?;
            }
            left -= batch.len() as u64;
            self.shared.migration.update(|progress| {
                progress.pages += full.len() as u64 / (PAGE_SIZE + 8);
                progress.zeros += zeros.len() as u64 / 8;
                progress.left = left;
                progress.spent = self.start.elapsed();
            });
            self.is_wanted()?;
            if slowly {
                self.keep_to_bandwidth()?;
            }
        }
        Ok(())
    }

    fn keep_to_bandwidth(&self) -> Result<(), MigrationError> {
        loop {
            let limit = self.migration().bandwidth.load(SeqCst);
            let due = if limit == 0 { 0.0 } else { self.sent as f64 / limit as f64 };
            let early = Duration::from_secs_f64(due.min(1e9)).saturating_sub(self.start.elapsed());
            if early.is_zero() {
                return Ok(());
            }
            self.is_wanted()?;
            std::thread::sleep(early.min(SLEEP));
        }
    }

    /// Waits for this answer, where there are answers.
    fn expect(&mut self, kind: Kind) -> Result<(), MigrationError> {
        if !self.channel.is_two_way() {
            return Ok(());
        }
        let start = Instant::now();
        let migration = &self.shared.migration;
        // Behind the point where it changes hands nothing can be cancelled.
        let is_wanted = || kind == Kind::Runs || !migration.cancelled.load(SeqCst);
        let answer = self.channel.receive(&|| start.elapsed() < PATIENCE && is_wanted());
        match answer {
            Ok((found, _)) if found == kind => Ok(()),
            Ok((Kind::Refuse, why)) => Err(MigrationError::Refused(String::from_utf8_lossy(&why).into_owned())),
            Ok((found, _)) => Err(MigrationError::Unexpected { expected: "an answer", found }),
            Err(MigrationError::Stopped) if is_wanted() => Err(MigrationError::Silent),
            Err(MigrationError::Stopped) => Err(MigrationError::Cancelled),
            Err(error) => Err(error),
        }
    }
}
