//! All translations of a machine, shared by its vCPUs: found by real page, offset and mode, linked among each other,
//! dropped with their page, compiled by a thread in the background, kept on disk.

mod work;

use crate::arena::{Arena, ArenaError};
use crate::blob::{Key, PAGE};
use crate::compile::{CompileError, Compiler};
use crate::deliver::{Deliver, DeliverError};
use crate::listing::listing;
use crate::perf::{CodeNames, NamesError};
use crate::region::{Source, add_word};
use memory::Memory;
use memory::mail::Message;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use vcpu::context::mode;
use work::{Done, Job, Made, Workshop};

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
    /// Whether jumps from region to region are linked; else each comes back to the engine.
    pub link: bool,
    /// Where code is kept for the next run.
    pub disk: Option<Disk>,
}

impl Default for Options {
    fn default() -> Self {
        Options { cache_bytes: 64 << 20, background: true, names: None, link: true, disk: None }
    }
}

/// Where code is kept for the next run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The file; `None`: the one in the user's cache folder ([`crate::cache::default_file`]).
    pub file: Option<PathBuf>,
    /// Name of the CPU model that code is for.
    pub cpu_model: String,
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
    /// No file for `perf`.
    #[error(transparent)]
    Names(#[from] NamesError),
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
    bytes: usize,
    /// Jumps to other places of the page: address of the distance, and where they go.
    links: Vec<(u64, u16)>,
}

/// What is known of a real page as it was under one version.
#[derive(Debug, Default)]
struct Page {
    /// [`Memory::code_version`].
    version: u32,
    regions: HashMap<Key, Live>,
    /// Asked for, not there yet.
    waiting: HashSet<Key>,
    /// Asked for in vain.
    refused: HashSet<Key>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By real page.
    pages: HashMap<u64, Page>,
    /// Jobs that are under way.
    waiting: usize,
    /// Regions refused since that was last forgotten.
    refused: usize,
}

impl Inner {
    /// The page under this version: what was known of an older one is gone.
    fn page(&mut self, page: u64, version: u32) -> &mut Page {
        let found = self.pages.entry(page).or_default();
        if found.version != version {
            *found = Page { version, ..Page::default() };
        }
        found
    }

    fn refuse(&mut self, page: u64, version: u32, key: Key) {
        if self.refused >= MOST_REFUSED {
            self.refused = 0;
            self.pages.values_mut().for_each(|p| p.refused.clear());
        }
        self.refused += 1;
        self.page(page, version).refused.insert(key);
    }
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

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    /// It is there.
    Now(Installed),
    /// It may be there when it is asked for again.
    Later,
    /// The interpreter has to run it.
    Never,
}

/// The arena is full.
struct NoRoom;

/// All translations of a machine.
#[derive(Debug)]
pub struct Translator {
    arena: Arena,
    inner: Mutex<Inner>,
    workshop: Arc<Workshop>,
    /// A region found no room.
    full: AtomicBool,
    /// Room is being made.
    evicting: AtomicBool,
    /// For what is compiled at once.
    compiler: Option<Mutex<Compiler>>,
    deliver: &'static Deliver,
    thread: Option<JoinHandle<()>>,
    names: Option<Arc<CodeNames>>,
    link: bool,
}

fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Translator {
    /// A translator with an empty store.
    ///
    /// # Errors
    /// What the host does not give.
    pub fn new(options: &Options) -> Result<Translator, TranslatorError> {
        let arena = Arena::new(options.cache_bytes)?;
        let workshop = Arc::new(Workshop::new(arena.segment_bytes()));
        let compiler = Compiler::new()?;
        let mut translator = Translator {
            arena,
            inner: Mutex::default(),
            workshop: workshop.clone(),
            full: AtomicBool::new(false),
            evicting: AtomicBool::new(false),
            compiler: None,
            deliver: Deliver::get().map_err(TranslatorError::Deliver)?,
            thread: None,
            names: options.names.clone().filter(|n| n.wanted()),
            link: options.link,
        };
        let disk = options.disk.clone();
        if options.background {
            let work = move || {
                disk.into_iter().for_each(|disk| workshop.open(&disk));
                workshop.work(compiler);
            };
            let thread = std::thread::Builder::new().name("compile".into()).spawn(work);
            translator.thread = Some(thread.map_err(TranslatorError::Thread)?);
        } else {
            disk.into_iter().for_each(|disk| workshop.open(&disk));
            translator.compiler = Some(Mutex::new(compiler));
        }
        Ok(translator)
    }

    /// What takes interrupts, and returns from them, in generated code.
    pub fn deliver(&self) -> &'static Deliver {
        self.deliver
    }

    /// Where a region is entered, if there is one that holds for the page as it is: made in this run, or in an earlier one.
    pub fn find(&self, memory: &Memory, page: u64, key: Key) -> Option<u64> {
        let version = memory.code_version(page)?;
        if let Some(known) = locked(&self.inner).pages.get(&page)
            && known.version == version
            && let Some(live) = known.regions.get(&key)
        {
            return Some(live.entry);
        }
        let blob = self.workshop.kept(memory, page, key)?;
        // Should there be no room, it is asked for again.
        let done = Done { page, version, key, made: Made::Kept(blob) };
        self.install(memory, &done).unwrap_or(None).map(|new| new.code)
    }

    /// Asks for a region of a page whose bytes were read under `version`. `source.known` is filled in here.
    pub fn request(&self, memory: &Arc<Memory>, page: u64, version: u32, mut source: Source) -> Asked {
        let is_new = {
            let mut inner = locked(&self.inner);
            let waiting = inner.waiting;
            let known = inner.page(page, version);
            if known.refused.contains(&source.key) {
                return Asked::Never;
            }
            let is_new = !known.waiting.contains(&source.key);
            if known.regions.contains_key(&source.key) || is_new && waiting >= MOST_WAITING {
                return Asked::Later;
            }
            for key in known.regions.keys().filter(|k| k.mode == source.key.mode && k.counts == source.key.counts) {
                add_word(&mut source.known, key.offset);
            }
            known.waiting.insert(source.key);
            inner.waiting += usize::from(is_new);
            is_new
        };
        let key = source.key;
        let job = Job { memory: memory.clone(), page, version, source };
        if self.thread.is_some() {
            if is_new {
                self.workshop.jobs.push(job);
            } else {
                self.workshop.jobs.hurry(job);
            }
            return Asked::Later;
        }
        let Some(compiler) = self.compiler.as_ref().filter(|_| is_new) else { return Asked::Never };
        let done = self.workshop.compile(&mut locked(compiler), job);
        let refused = matches!(done.made, Made::Refused);
        locked(&self.inner).waiting -= 1;
        match self.install(memory, &done) {
            Ok(Some(new)) => Asked::Now(new),
            Ok(None) if refused => Asked::Never,
            Ok(None) => Asked::Later,
            Err(NoRoom) => {
                locked(&self.inner).page(page, version).waiting.remove(&key);
                Asked::Later
            }
        }
    }

    /// Whether something is ready to be installed: looked at often.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.workshop.ready.load(Relaxed)
    }

    /// Installs what is ready. What finds no room waits until there is some.
    pub fn install_ready(&self, memory: &Memory) -> Vec<Installed> {
        self.workshop.ready.store(false, Relaxed);
        let done = std::mem::take(&mut *locked(&self.workshop.done));
        let mut new = Vec::new();
        for (n, one) in done.iter().enumerate() {
            match self.install(memory, one) {
                Ok(installed) => new.extend(installed),
                Err(NoRoom) => {
                    locked(&self.inner).waiting -= n;
                    locked(&self.workshop.done).splice(0..0, done.into_iter().skip(n));
                    self.workshop.ready.store(true, Relaxed);
                    return new;
                }
            }
        }
        locked(&self.inner).waiting -= done.len();
        new
    }

    fn install(&self, memory: &Memory, done: &Done) -> Result<Option<Installed>, NoRoom> {
        let &Done { page, version, key, ref made } = done;
        let mut inner = locked(&self.inner);
        if memory.code_version(page) != Some(version) {
            self.workshop.counters.stale.fetch_add(1, Relaxed);
            return Ok(None);
        }
        let blob = match made {
            Made::Compiled(blob) | Made::Kept(blob) if blob.code.len() <= self.arena.segment_bytes() => blob,
            Made::Stale => {
                // The page is again what it was meanwhile.
                inner.page(page, version).waiting.remove(&key);
                return Ok(None);
            }
            _ => {
                inner.page(page, version).waiting.remove(&key);
                inner.refuse(page, version, key);
                return Ok(None);
            }
        };
        if let Some(live) = inner.page(page, version).regions.get(&key) {
            return Ok(Some(Installed { page, key, code: live.entry }));
        }
        let Some(placed) = self.arena.allocate(blob.code.len()) else {
            self.full.store(true, Relaxed);
            return Err(NoRoom);
        };
        inner.page(page, version).waiting.remove(&key);
        if let Err(e) = self.arena.write(&placed, &blob.code) {
            tracing::warn!("translated code could not be written: {e}");
            return Ok(None);
        }
        if let Made::Kept(_) = made {
            self.workshop.counters.cached.fetch_add(1, Relaxed);
        }
        let base = self.arena.exec_address(&placed);
        let live = Live {
            entry: base + u64::from(blob.entry),
            base,
            bytes: blob.code.len(),
            links: blob.links.iter().map(|l| (base + u64::from(l.rel32), l.to)).collect(),
        };
        if let Some(names) = &self.names {
            let state = if key.mode & mode::PR != 0 { 'u' } else { 'k' };
            names.loaded(base, &blob.code, &format!("guest_{state}_{page:x}{:03x}", key.offset));
        }
        let regions = &mut inner.page(page, version).regions;
        if self.link {
            self.link(regions, key, &live);
        }
        let code = live.entry;
        regions.insert(key, live);
        Ok(Some(Installed { page, key, code }))
    }

    /// Links the jumps of a new region to others, those of others to it, and its own to itself.
    fn link(&self, regions: &HashMap<Key, Live>, key: Key, live: &Live) {
        let mut links = Vec::new();
        let alike = |other: &Key| other.mode == key.mode && other.counts == key.counts;
        for (at, to) in &live.links {
            let target = Key { offset: *to, ..key };
            let entry = if *to == key.offset { Some(live.entry) } else { regions.get(&target).map(|r| r.entry) };
            links.extend(entry.map(|e| (*at, e)));
        }
        for (_, other) in regions.iter().filter(|(k, _)| alike(k)) {
            links.extend(other.links.iter().filter(|(_, to)| *to == key.offset).map(|(at, _)| (*at, live.entry)));
        }
        for (at, entry) in links {
            match self.arena.patch_rel32(at, entry) {
                Ok(()) => {
                    self.workshop.counters.links.fetch_add(1, Relaxed);
                }
                Err(e) => tracing::warn!("a jump of translated code could not be linked: {e}"),
            }
        }
    }

    /// Drops the regions of a page that were made from bytes that it no longer has. Whoever runs one leaves it at its next
    /// poll; their memory is used again only after [`Translator::make_room`].
    pub fn drop_page(&self, memory: &Memory, page: u64) {
        let mut inner = locked(&self.inner);
        if let Some(known) = inner.pages.get(&page)
            && memory.code_version(page) != Some(known.version)
        {
            inner.pages.remove(&page);
        }
    }

    /// Drops everything, as at a reset. No vCPU runs. What was compiled is saved.
    pub fn clear(&self) {
        locked(&self.inner).pages.clear();
        self.workshop.save();
    }

    /// Nothing is compiled any more, and what was is saved. False if something is left to be written when this is dropped.
    pub fn finish(&self) -> bool {
        self.workshop.stop.store(true, Relaxed);
        self.workshop.jobs.wake();
        self.workshop.save();
        self.names.is_none()
    }

    /// Whether a region found no room: it is time for [`Translator::make_room`].
    #[inline]
    pub fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    /// Gives up the oldest code. Called by vCPU `from`, which runs none and forgets all ways into it afterwards; waits until
    /// every other has done so, and calls `serve` for its own messages meanwhile. `false`: another vCPU is at it.
    pub fn make_room(&self, memory: &Memory, from: usize, serve: impl FnMut()) -> bool {
        if self.evicting.swap(true, SeqCst) {
            return false;
        }
        if self.is_full() {
            // First nobody finds it any more, then nobody has it any more, then it goes. Links lead within a page only:
            // what is left of a page goes with what is gone.
            let doomed = self.arena.oldest();
            locked(&self.inner).pages.retain(|_, p| !p.regions.values().any(|r| doomed.contains(&r.base)));
            memory.hub().broadcast(Some(from), Message::ForgetTranslations);
            memory.hub().wait_for_all(Some(from), serve);
            self.arena.evict_oldest();
            self.workshop.counters.evictions.fetch_add(1, Relaxed);
            self.full.store(false, Relaxed);
        }
        self.evicting.store(false, SeqCst);
        true
    }

    /// The host code of the region that is entered at `code`, disassembled, a line an instruction.
    pub fn host_code(&self, code: u64) -> Option<String> {
        let (base, bytes) = {
            let inner = locked(&self.inner);
            let live = inner.pages.values().flat_map(|p| p.regions.values()).find(|r| r.entry == code)?;
            (live.base, live.bytes)
        };
        Some(listing(&self.arena.read(base, bytes)?, base))
    }

    /// Counters.
    pub fn stats(&self) -> TranslatorStats {
        let c = &self.workshop.counters;
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
            live: locked(&self.inner).pages.values().map(|p| p.regions.len() as u64).sum(),
        }
    }
}

impl Drop for Translator {
    /// Waits for the region that is being compiled; what waits behind it is dropped.
    fn drop(&mut self) {
        self.workshop.stop.store(true, Relaxed);
        self.workshop.jobs.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.workshop.save();
    }
}

/// A page's bytes as a region's source.
pub fn page_bytes(memory: &Memory, page: u64) -> Option<Box<[u8; PAGE]>> {
    let mut bytes = Box::new([0; PAGE]);
    memory.read(page << memory::PAGE_SHIFT, &mut bytes[..]).ok()?;
    Some(bytes)
}
