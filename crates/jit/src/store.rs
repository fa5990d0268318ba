//! All translations of a machine, shared by its vCPUs: found by real page, offset and mode, linked among each other,
//! dropped with their page, compiled by a thread in the background.

use crate::arena::{Arena, ArenaError};
use crate::blob::{Blob, Key, PAGE};
use crate::compile::{CompileError, Compiler};
use crate::deliver::{Deliver, DeliverError};
use crate::perf::CodeNames;
use crate::region::{Source, add_word};
use memory::Memory;
use memory::mail::Message;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// Regions that wait for the compile thread at most; more are asked for again later.
const MOST_WAITING: usize = 4096;

/// Regions that are remembered as refused at most.
const MOST_REFUSED: usize = 1 << 16;

/// How translations are made and kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of the code arena.
    pub cache_bytes: usize,
    /// Whether a thread in the background compiles; else the vCPU's thread does, at once.
    pub background: bool,
    /// Who is told where code stands.
    pub names: Option<Arc<CodeNames>>,
}

impl Default for Options {
    fn default() -> Self {
        Options { cache_bytes: 64 << 20, background: true, names: None }
    }
}

/// Why there is no translator.
#[derive(Debug, thiserror::Error)]
pub enum TranslatorError {
    /// No code arena.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// No code generator.
    #[error(transparent)]
    Compiler(#[from] CompileError),
    /// No stubs for interrupts.
    #[error(transparent)]
    Deliver(&'static DeliverError),
    /// No thread.
    #[error("the host gives no thread to compile on: {0}; use -accel interp")]
    Thread(std::io::Error),
}

/// Counters, for `--stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TranslatorStats {
    /// Regions compiled.
    pub compiled: u64,
    /// Guest instructions in them.
    pub instructions: u64,
    /// Bytes of their code.
    pub bytes: u64,
    /// Nanoseconds that took.
    pub compile_ns: u64,
    /// Regions that the code generator, or the translator, refused.
    pub refused: u64,
    /// Regions whose page had changed when they were ready.
    pub stale: u64,
    /// Regions taken from the cache on disk.
    pub cached: u64,
    /// Jumps linked.
    pub links: u64,
    /// Times that the oldest code was given up.
    pub evictions: u64,
    /// Regions that can be run now.
    pub live: u64,
}

impl std::fmt::Display for TranslatorStats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "regions compiled: {} ({} instructions, {} bytes)", self.compiled, self.instructions, self.bytes)?;
        writeln!(f, "compile time: {} ms", self.compile_ns / 1_000_000)?;
        writeln!(f, "regions refused: {}", self.refused)?;
        writeln!(f, "regions stale when ready: {}", self.stale)?;
        writeln!(f, "regions from the cache file: {}", self.cached)?;
        writeln!(f, "regions live: {}", self.live)?;
        writeln!(f, "jumps linked: {}", self.links)?;
        write!(f, "evictions: {}", self.evictions)
    }
}

#[derive(Debug, Default)]
struct Counters {
    compiled: AtomicU64,
    instructions: AtomicU64,
    bytes: AtomicU64,
    compile_ns: AtomicU64,
    refused: AtomicU64,
    stale: AtomicU64,
    cached: AtomicU64,
    links: AtomicU64,
    evictions: AtomicU64,
}

/// A region that can be run.
#[derive(Debug)]
struct Live {
    entry: u64,
    base: u64,
    version: u32,
    /// Jumps to other places of the page: address of the distance, and where they go.
    links: Vec<(u64, u16)>,
}

#[derive(Debug)]
struct Job {
    page: u64,
    version: u32,
    source: Source,
}

#[derive(Debug)]
struct Done {
    page: u64,
    version: u32,
    key: Key,
    blob: Option<Blob>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By real page.
    pages: HashMap<u64, HashMap<Key, Live>>,
    /// Asked for, not there yet.
    waiting: HashSet<(u64, Key)>,
    /// Asked for in vain.
    refused: HashSet<(u64, Key)>,
}

/// A region that was installed.
#[derive(Debug, Clone, Copy)]
pub struct Installed {
    /// Real page number.
    pub page: u64,
    /// What it is for.
    pub key: Key,
    /// Where it is entered.
    pub code: u64,
}

/// All translations of a machine.
#[derive(Debug)]
pub struct Translator {
    arena: Arena,
    inner: Mutex<Inner>,
    jobs: Option<Sender<Job>>,
    done: Arc<Mutex<Vec<Done>>>,
    ready: Arc<AtomicBool>,
    full: AtomicBool,
    counters: Arc<Counters>,
    compiler: Mutex<Compiler>,
    deliver: &'static Deliver,
    thread: Option<JoinHandle<()>>,
    names: Option<Arc<CodeNames>>,
}

fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn compile(compiler: &mut Compiler, counters: &Counters, job: Job) -> Done {
    let start = Instant::now();
    let blob = match compiler.compile(&job.source) {
        Ok(blob) => {
            counters.compiled.fetch_add(1, Relaxed);
            counters.instructions.fetch_add(blob.instructions.into(), Relaxed);
            counters.bytes.fetch_add(blob.code.len() as u64, Relaxed);
            Some(blob)
        }
        Err(e) => {
            tracing::debug!("region at {:#x} {:?}: {e}", job.page, job.source.key);
            counters.refused.fetch_add(1, Relaxed);
            None
        }
    };
    counters.compile_ns.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
    Done { page: job.page, version: job.version, key: job.source.key, blob }
}

fn work(
    jobs: &Receiver<Job>,
    mut compiler: Compiler,
    done: &Mutex<Vec<Done>>,
    ready: &AtomicBool,
    counters: &Counters,
) {
    while let Ok(job) = jobs.recv() {
        let result = compile(&mut compiler, counters, job);
        locked(done).push(result);
        ready.store(true, Relaxed);
    }
}

impl Translator {
    /// A translator with an empty store.
    ///
    /// # Errors
    /// What the host does not give.
    pub fn new(options: &Options) -> Result<Translator, TranslatorError> {
        let done: Arc<Mutex<Vec<Done>>> = Arc::default();
        let ready: Arc<AtomicBool> = Arc::default();
        let counters: Arc<Counters> = Arc::default();
        let (mut jobs, mut thread) = (None, None);
        if options.background {
            let (sender, receiver) = channel();
            let compiler = Compiler::new()?;
            let (done, ready, counters) = (done.clone(), ready.clone(), counters.clone());
            thread = Some(
                std::thread::Builder::new()
                    .name("compile".into())
                    .spawn(move || work(&receiver, compiler, &done, &ready, &counters))
                    .map_err(TranslatorError::Thread)?,
            );
            jobs = Some(sender);
        }
        Ok(Translator {
            arena: Arena::new(options.cache_bytes)?,
            inner: Mutex::default(),
            jobs,
            done,
            ready,
            full: AtomicBool::new(false),
            counters,
            compiler: Mutex::new(Compiler::new()?),
            deliver: Deliver::get().map_err(TranslatorError::Deliver)?,
            thread,
            names: options.names.clone(),
        })
    }

    /// What takes interrupts, and returns from them, in generated code.
    pub fn deliver(&self) -> &'static Deliver {
        self.deliver
    }

    /// Where a region is entered, if there is one that holds for the page as it is.
    pub fn find(&self, memory: &Memory, page: u64, key: Key) -> Option<u64> {
        let version = memory.code_version(page)?;
        let inner = locked(&self.inner);
        let live = inner.pages.get(&page)?.get(&key)?;
        (live.version == version).then_some(live.entry)
    }

    /// Asks for a region of a page whose bytes were read under `version`. `source.known` is filled in here. Returns what
    /// was made at once, if no thread in the background works.
    pub fn request(&self, memory: &Memory, page: u64, version: u32, mut source: Source) -> Option<Installed> {
        {
            let mut inner = locked(&self.inner);
            let what = (page, source.key);
            let known =
                inner.refused.contains(&what) || inner.pages.get(&page).is_some_and(|p| p.contains_key(&what.1));
            if known || inner.waiting.len() >= MOST_WAITING || !inner.waiting.insert(what) {
                return None;
            }
            if let Some(regions) = inner.pages.get(&page) {
                for key in regions.keys().filter(|k| k.mode == source.key.mode && k.exact == source.key.exact) {
                    add_word(&mut source.known, key.offset);
                }
            }
        }
        let job = Job { page, version, source };
        match &self.jobs {
            Some(jobs) => {
                // The thread lives as long as this does.
                let _ = jobs.send(job);
                None
            }
            None => {
                let done = compile(&mut locked(&self.compiler), &self.counters, job);
                self.install(memory, done)
            }
        }
    }

    /// Whether something is ready to be installed: looked at often.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// Installs what is ready.
    pub fn install_ready(&self, memory: &Memory) -> Vec<Installed> {
        self.ready.store(false, Relaxed);
        let done = std::mem::take(&mut *locked(&self.done));
        done.into_iter().filter_map(|d| self.install(memory, d)).collect()
    }

    fn install(&self, memory: &Memory, done: Done) -> Option<Installed> {
        let Done { page, version, key, blob } = done;
        let mut inner = locked(&self.inner);
        inner.waiting.remove(&(page, key));
        let Some(blob) = blob else {
            if inner.refused.len() >= MOST_REFUSED {
                inner.refused.clear();
            }
            inner.refused.insert((page, key));
            return None;
        };
        if memory.code_version(page) != Some(version) {
            self.counters.stale.fetch_add(1, Relaxed);
            return None;
        }
        let Some(placed) = self.arena.allocate(blob.code.len()) else {
            // The engine makes room when it sees this; the region is asked for again.
            self.full.store(true, Relaxed);
            return None;
        };
        if let Err(e) = self.arena.write(&placed, &blob.code) {
            tracing::warn!("translated code could not be written: {e}");
            return None;
        }
        let base = self.arena.exec_address(&placed);
        let live = Live {
            entry: base + u64::from(blob.entry),
            base,
            version,
            links: blob.links.iter().map(|l| (base + u64::from(l.rel32), l.to)).collect(),
        };
        if let Some(names) = &self.names {
            names.loaded(base, &blob.code, &format!("guest-{page:x}{:03x}-{:x}", key.offset, key.mode));
        }
        let regions = inner.pages.entry(page).or_default();
        // Its jumps to others, those of others to it, and its own to itself.
        let mut links = Vec::new();
        let alike = |other: &Key| other.mode == key.mode && other.exact == key.exact;
        for (at, to) in &live.links {
            let target = Key { offset: *to, ..key };
            let entry = if *to == key.offset { Some(live.entry) } else { regions.get(&target).map(|r| r.entry) };
            links.extend(entry.map(|e| (*at, e)));
        }
        for (_, other) in regions.iter().filter(|(k, _)| alike(k) && **k != key) {
            links.extend(other.links.iter().filter(|(_, to)| *to == key.offset).map(|(at, _)| (*at, live.entry)));
        }
        for (at, entry) in links {
            match self.arena.patch_rel32(at, entry) {
                Ok(()) => self.counters.links.fetch_add(1, Relaxed),
                Err(e) => {
                    tracing::warn!("a jump of translated code could not be linked: {e}");
                    0
                }
            };
        }
        let code = live.entry;
        regions.insert(key, live);
        Some(Installed { page, key, code })
    }

    /// Drops all regions of a page: its bytes changed. Whoever runs one leaves it at its next poll; their memory is used
    /// again only after [`Translator::make_room`].
    pub fn drop_page(&self, page: u64) {
        let mut inner = locked(&self.inner);
        inner.pages.remove(&page);
        inner.waiting.retain(|(p, _)| *p != page);
        inner.refused.retain(|(p, _)| *p != page);
    }

    /// Drops everything, as at a reset. No vCPU runs.
    pub fn clear(&self) {
        let mut inner = locked(&self.inner);
        inner.pages.clear();
        inner.waiting.clear();
        inner.refused.clear();
    }

    /// Whether a region found no room: it is time for [`Translator::make_room`].
    pub fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// Gives up the oldest code. Called by vCPU `from`, which runs none; waits until no other does, and calls `serve` for
    /// its own messages meanwhile.
    pub fn make_room(&self, memory: &Memory, from: usize, serve: impl FnMut()) {
        memory.hub().broadcast(Some(from), Message::ForgetTranslations);
        memory.hub().wait_for_all(Some(from), serve);
        let mut inner = locked(&self.inner);
        if !self.full.swap(false, Relaxed) {
            // Another vCPU was first.
            return;
        }
        let gone = self.arena.evict_oldest();
        self.counters.evictions.fetch_add(1, Relaxed);
        // Links lead within a page only: what is left of a page goes with what is gone.
        inner.pages.retain(|_, regions| !regions.values().any(|r| gone.contains(&r.base)));
    }

    /// Counters.
    pub fn stats(&self) -> TranslatorStats {
        let c = &self.counters;
        TranslatorStats {
            compiled: c.compiled.load(Relaxed),
            instructions: c.instructions.load(Relaxed),
            bytes: c.bytes.load(Relaxed),
            compile_ns: c.compile_ns.load(Relaxed),
            refused: c.refused.load(Relaxed),
            stale: c.stale.load(Relaxed),
            cached: c.cached.load(Relaxed),
            links: c.links.load(Relaxed),
            evictions: c.evictions.load(Relaxed),
            live: locked(&self.inner).pages.values().map(|p| p.len() as u64).sum(),
        }
    }
}

impl Drop for Translator {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It ends with the region that it compiles now; what waits behind it is dropped.
            let _ = thread.join();
        }
    }
}

/// A page's bytes as a region's source.
pub fn page_bytes(memory: &Memory, page: u64) -> Option<Box<[u8; PAGE]>> {
    let mut bytes = Box::new([0; PAGE]);
    memory.read(page << memory::PAGE_SHIFT, &mut bytes[..]).ok()?;
    Some(bytes)
}
