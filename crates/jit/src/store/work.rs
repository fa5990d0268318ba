//! Where regions are made: compiled, or taken from what earlier runs compiled.

use super::{Counters, Disk, locked, page_bytes};
use crate::blob::{Blob, Key};
use crate::cache::{Cache, Identity, Saver, default_file};
use crate::compile::Compiler;
use crate::region::{self, Source, add_word};
use memory::mail::pending;
use memory::{Memory, PAGE_SHIFT};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The cache file has at most so many bytes. A boot of Debian to the login prompt makes about 30 million.
const FILE_BYTES: u64 = 256 << 20;
/// What was compiled is saved so often: little is lost when the program is killed.
const SAVED_EVERY: Duration = Duration::from_secs(60);

/// Of what waits, so many jobs are looked at for one that contains the next.
const RECENT: usize = 64;

/// A region to be made.
#[derive(Debug)]
pub(super) struct Job {
    pub memory: Arc<Memory>,
    pub page: u64,
    pub version: u32,
    pub source: Source,
}

/// Regions that wait for the compile thread. What was asked for last is made first: it runs now, what waits for long may
/// not run any more.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    waiting: Mutex<Vec<Job>>,
    more: Condvar,
}

impl Jobs {
    /// Adds one.
    pub fn push(&self, job: Job) {
        locked(&self.waiting).push(job);
        self.more.notify_one();
    }

    /// If it waits already, it is the next one, made with what is known of it now.
    pub fn hurry(&self, job: Job) {
        let mut waiting = locked(&self.waiting);
        let what = |j: &Job| (j.page, j.version, j.source.key);
        if let Some(n) = waiting.iter().position(|j| what(j) == what(&job)) {
            waiting.remove(n);
            waiting.push(job);
        }
    }

    /// The next one, or `None` if there is none for so long, or `stop` is set.
    fn next(&self, patience: Duration, stop: &AtomicBool) -> Option<Job> {
        let idle = |waiting: &mut Vec<Job>| waiting.is_empty() && !stop.load(Relaxed);
        let waiting = self.more.wait_timeout_while(locked(&self.waiting), patience, idle);
        waiting.unwrap_or_else(PoisonError::into_inner).0.pop()
    }

    /// Of the jobs for the page of the last one, the first whose region has the last one's place in it; else the last one.
    /// Loops and functions get hot from their beginnings on, and their regions are to begin there: in the middle of them it
    /// is chance what else they have.
    fn what_contains(&self, mut last: Job) -> Job {
        let what = |j: &Job| (j.page, j.version, Key { offset: 0, ..j.source.key });
        let alike: Vec<Key> = {
            let waiting = locked(&self.waiting);
            let recent = waiting.iter().skip(waiting.len().saturating_sub(RECENT));
            recent.filter(|j| what(j) == what(&last)).map(|j| j.source.key).collect()
        };
        let place = last.source.key.offset;
        // What ran since the older ones were asked for is known from the last one.
        let mut source = last.source.clone();
        let first = alike.into_iter().find(|key| {
            source.key = *key;
            region::find(&source).is_some_and(|r| r.blocks.values().any(|b| b.places.iter().any(|p| p.offset == place)))
        });
        let Some(first) = first else { return last };
        let mut waiting = locked(&self.waiting);
        let Some(n) = waiting.iter().rposition(|j| what(j) == what(&last) && j.source.key == first) else {
            return last;
        };
        let job = Job { source, ..waiting.remove(n) };
        add_word(&mut last.source.known, first.offset);
        waiting.push(last);
        job
    }

    /// Wakes the thread, which is to see that `stop` is set.
    pub fn wake(&self) {
        drop(locked(&self.waiting));
        self.more.notify_all();
    }
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Done {
    pub page: u64,
    pub version: u32,
    pub key: Key,
    pub made: Made,
}

#[derive(Debug)]
pub(super) enum Made {
    Compiled(Blob),
    /// By an earlier run.
    Kept(Blob),
    /// The interpreter has to run it.
    Refused,
    /// The page changed before it was made.
    Stale,
}

/// What the threads that make regions and those that install them share.
#[derive(Debug)]
pub(super) struct Workshop {
    pub jobs: Jobs,
    pub done: Mutex<Vec<Done>>,
    /// Something is done.
    pub ready: AtomicBool,
    /// The run is over.
    pub stop: AtomicBool,
    pub counters: Counters,
    /// There once the file was read.
    saver: OnceLock<Saver>,
    /// A region's code never has more bytes.
    most_bytes: usize,
}

impl Workshop {
    pub fn new(most_bytes: usize) -> Workshop {
        Workshop {
            jobs: Jobs::default(),
            done: Mutex::default(),
            ready: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            counters: Counters::default(),
            saver: OnceLock::new(),
            most_bytes,
        }
    }

    /// Reads the cache file.
    pub fn open(&self, disk: &Disk) {
        // What the compiler is told follows from the executable and the host's features, which are part of it anyway.
        let identity = match Identity::new(&disk.cpu_model, &[]) {
            Ok(identity) => identity,
            Err(error) => {
                tracing::warn!("{error}; no code cache is used");
                return;
            }
        };
        let Some(file) = disk.file.clone().or_else(|| default_file(&disk.cpu_model, &identity)) else { return };
        let cache = Arc::new(Cache::open(&file, identity));
        let _ = self.saver.set(Saver::new(cache, FILE_BYTES));
    }

    /// The region that an earlier run compiled from the bytes that the page has.
    pub fn kept(&self, memory: &Memory, page: u64, key: Key) -> Option<Blob> {
        let cache = self.saver.get()?.cache();
        let mut word = [0; 4];
        memory.read(page << PAGE_SHIFT | u64::from(key.offset), &mut word).ok()?;
        if !cache.may_hold(key, word) {
            return None;
        }
        cache.find(key, &*page_bytes(memory, page)?)
    }

    /// Makes what is asked for until [`Workshop::stop`].
    pub fn work(&self, mut compiler: Compiler) {
        let mut saved = Instant::now();
        while !self.stop.load(Relaxed) {
            if let Some(job) = self.jobs.next(SAVED_EVERY, &self.stop) {
                let job = self.jobs.what_contains(job);
                let (memory, counts) = (job.memory.clone(), job.source.key.counts);
                let result = self.compile(&mut compiler, job);
                locked(&self.done).push(result);
                self.ready.store(true, Relaxed);
                // What counts comes back by itself, and at the same instruction each time.
                if !counts {
                    memory.hub().nudge_all(pending::LOOK);
                }
            }
            if saved.elapsed() >= SAVED_EVERY {
                self.save();
                saved = Instant::now();
            }
        }
    }

    pub fn compile(&self, compiler: &mut Compiler, job: Job) -> Done {
        let Job { memory, page, version, source } = job;
        let key = source.key;
        if memory.code_version(page) != Some(version) {
            return Done { page, version, key, made: Made::Stale };
        }
        let start = Instant::now();
        let made = match compiler.compile(&source) {
            Ok(blob) if blob.code.len() > self.most_bytes => {
                tracing::debug!("region at {page:#x} {key:?}: {} bytes are too many", blob.code.len());
                Made::Refused
            }
            Ok(blob) => {
                self.counters.compiled.fetch_add(1, Relaxed);
                self.counters.instructions.fetch_add(blob.instructions.into(), Relaxed);
                self.counters.bytes.fetch_add(blob.code.len() as u64, Relaxed);
                if let Some(saver) = self.saver.get()
                    && let Err(error) = saver.add(&blob, blob.guest(&source.bytes))
                {
                    tracing::warn!("region at {page:#x} {key:?} is not kept: {error}");
                }
                Made::Compiled(blob)
            }
            Err(e) => {
                tracing::debug!("region at {page:#x} {key:?}: {e}");
                Made::Refused
            }
        };
        if matches!(made, Made::Refused) {
            self.counters.refused.fetch_add(1, Relaxed);
        }
        self.counters.compile_ns.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
        Done { page, version, key, made }
    }

    /// Writes the cache file, if there is something new.
    pub fn save(&self) {
        if let Some(saver) = self.saver.get() {
            saver.save();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::PAGE;
    use isa::IsaLevel;
    use vcpu::context::mode;

    fn job(memory: &Arc<Memory>, page: u64, offset: u16) -> Job {
        // A function that calls itself and goes on behind it: bc, bl, addi, blr.
        let code = [0x4182_000cu32, 0x4bff_fffd, 0x3884_0001, 0x4e80_0020];
        let mut bytes = Box::new([0; PAGE]);
        for (n, word) in code.iter().enumerate() {
            bytes[4 * n..][..4].copy_from_slice(&word.to_le_bytes());
        }
        let mode = mode::SF | mode::LE | mode::IR | mode::DR;
        let key = Key { offset, mode, counts: false };
        let source = Source { key, processor: IsaLevel::V3_0, bytes, warm: [1 | 2 | 4 | 8; 16], known: [0; 16] };
        Job { memory: memory.clone(), page, version: 0, source }
    }

    #[test]
    fn what_leads_to_the_last_one_is_made_first() {
        let memory = Arc::new(Memory::new(1 << 20, 1).unwrap());
        let jobs = Jobs::default();
        for (page, offset) in [(1, 0), (2, 0), (1, 8)] {
            jobs.push(job(&memory, page, offset));
        }
        let stop = AtomicBool::new(false);
        let next = || jobs.next(Duration::ZERO, &stop).map(|j| jobs.what_contains(j)).map(|j| (j.page, j.source));
        let (page, first) = next().unwrap();
        assert_eq!((page, first.key.offset), (1, 0));
        let (page, last) = next().unwrap();
        assert_eq!((page, last.key.offset), (1, 8));
        assert!(region::has_word(&last.known, 0), "it is linked to the first");
        assert_eq!(next().map(|(page, s)| (page, s.key.offset)), Some((2, 0)));
        assert!(next().is_none());
    }
}
