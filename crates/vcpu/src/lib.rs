//! What an engine's pinned register points to: architected state, TLB, mailbox, budget, in one fixed
//! layout; the slow paths of memory accesses; special purpose registers; the exits of an engine.
//!
//! A [`Vcpu`] belongs to one thread at a time. What other threads tell it comes through its mailbox
//! (see [`memory::mail`]); [`Vcpu::serve_mail`] acts on it.

pub mod access;
pub mod context;
pub mod fetched;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod interrupts;
pub mod observer;
pub mod raised;
pub mod reservation;
mod saved;
pub mod spr;
pub mod threads;
pub mod time;
pub mod translated;

pub use observer::{Observer, Silent};

use cpu::bits::{lpcr, mmcr0, msr};
use cpu::{CpuModel, Interrupt, State};
use memory::mail::{Invalidation, Mailbox, Message, pending};
use memory::radix::ProcessTable;
use memory::tlb::Space;
use memory::{HashTable, Memory, Tlb};
use platform::Mmio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use timing::Clock;

/// A semantics stopped: [`Vcpu::exit`] says why. No register of the instruction was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// What a semantics returns.
pub type R<T = ()> = Result<T, Stop>;

/// Why an engine left the run of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Go on at NIA.
    Next,
    /// Take this interrupt.
    Interrupt(Interrupt),
    /// `sc 1`: NIA is behind it, r3 and up hold the call.
    Hypercall,
    /// The instruction at CIA reaches a device: it is to run as a block of its own. See [`Vcpu::alone_at`].
    Alone,
}

/// What the engine must do about decoded code before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeEvent {
    /// The real page's decoded code is stale.
    DropPage(u64),
    /// All decoded code is stale.
    DropAll,
    /// Look-ups by effective address within this page are stale: context base and page.
    ForgetPage {
        /// First context id of the process.
        base: u64,
        /// Effective address of the page.
        ea: u64,
        /// log2 of the page size in bytes.
        shift: u32,
    },
    /// All look-ups by effective address are stale.
    ForgetAll,
    /// All ways into translated code are stale.
    ForgetTranslations,
}

/// The decoded block that the interpreter runs, for addresses and counts in the middle of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Host address of its first operation.
    pub operations: usize,
    /// Effective address of its first instruction.
    pub ea: u64,
    /// Its length in instructions.
    pub len: i64,
}

/// How a block ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// By an operation that always leads to the same place.
    Operation,
    /// Anywhere, or with another MSR.
    None,
}

/// One vCPU.
#[repr(C)]
pub struct Vcpu {
    /// Architected registers.
    pub state: State,
    /// Instructions that may still be retired before the engine must look up: blocks subtract their
    /// length at their head; below zero the engine leaves.
    pub budget: i64,
    /// Context ids of data accesses, by bit 0 of the effective address.
    pub data_context: [u64; 2],
    /// Host addresses of their TLB entries ([`Tlb::entries_of`]).
    pub data_entries: [u64; 2],
    /// Context ids of instruction fetches, by bit 0 of the effective address.
    pub fetch_context: [u64; 2],
    /// What of MSR, FSCR and the debug registers decoded code depends on: see [`context::mode`].
    pub mode: u32,
    /// Bits of [`pending`] that call the vCPU away as MSR stands.
    pub pending_mask: u32,
    /// The pending word of this vCPU's mailbox: polled at each block head.
    pending: *const AtomicU32,
    /// What generated code alone uses.
    pub translated: translated::Translated,
    /// The interrupt that generated code takes, or that a helper raised last.
    pub raised: raised::Raised,
    /// Handlers of interrupts as LPCR stands, for generated code.
    pub handlers: interrupts::Handlers,
    /// What follows from MSR and its like, computed before.
    pub contexts: context::Contexts,
    /// Data and instruction TLB.
    pub tlb: Tlb,
    /// Pages that instructions may have been fetched from since all look-ups by effective address were forgotten.
    pub fetched: fetched::Fetched,
    /// Address of the current instruction. Settled before any helper that may look at it.
    pub cia: u64,
    /// Instructions already counted in `budget` but not yet retired, the current one included.
    pub ahead: i64,
    /// The block that runs now.
    pub cursor: Cursor,
    /// How the last block ended.
    pub link: Link,
    /// Why the last run ended.
    pub exit: Exit,
    /// Result of a helper that can fail.
    pub result: u64,
    /// The reservation of `larx`.
    pub reservation: reservation::Reservation,
    /// First context id of the current process, and of process 0; with hash translation of the segments of either half.
    pub(crate) bases: [u64; 2],
    /// With hash translation: the spaces that were looked up last, by bit 0 of the effective address.
    pub(crate) spaces: [Option<Space>; 2],
    /// Time base value at which the decrementer goes below zero.
    pub(crate) decrementer_expires: u64,
    /// Virtual clock: ns at the start of the slice, and the budget it started with.
    pub(crate) slice: time::Slice,
    /// The registered process table.
    pub process_table: ProcessTable,
    /// The partition's hash table.
    pub hash_table: Arc<HashTable>,
    /// The core that it is a thread of.
    pub(crate) core: Arc<threads::Core>,
    /// What it has used of the core.
    pub(crate) usage: threads::Usage,
    /// CPU model.
    pub model: &'static CpuModel,
    /// Index of this vCPU, and of its mailbox.
    pub index: usize,
    /// RAM and mailboxes.
    pub memory: Arc<Memory>,
    /// Time.
    pub clock: Arc<Clock>,
    /// Who listens.
    pub observer: Arc<dyn Observer>,
    /// Invalidations posted by this vCPU for which it has not waited yet.
    pub unacknowledged: bool,
    /// What the engine must do about decoded code.
    pub code_events: Vec<CodeEvent>,
    /// Source of `darn`, `H_RANDOM` has its own.
    pub random: u64,
    /// Registers of devices, if there are any.
    pub mmio: Option<Arc<dyn Mmio>>,
    /// Who has a say in machine checks.
    pub firmware: Option<Arc<dyn interrupts::Firmware>>,
    /// Under the virtual clock: address of the instruction that may reach devices because it runs as a block of its own;
    /// [`NOT_ALONE`] if there is none. What it changes is then seen behind it, by whichever engine.
    pub alone_at: u64,
}

/// No address of an instruction.
pub const NOT_ALONE: u64 = u64::MAX;

// SAFETY: the only raw pointer is `pending`: it leads to an atomic in `memory`, which is Send + Sync and which the vCPU keeps alive.
#[allow(unsafe_code)]
unsafe impl Send for Vcpu {}

impl std::fmt::Debug for Vcpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vcpu").field("index", &self.index).field("nia", &self.state.nia).finish_non_exhaustive()
    }
}

/// Where the address of the pending word stands in [`Vcpu`], for generated code.
pub const PENDING_OFFSET: usize = std::mem::offset_of!(Vcpu, pending);

impl Vcpu {
    /// A vCPU as after partition reset: stopped, big-endian, 32-bit, translation off.
    pub fn new(
        index: usize,
        model: &'static CpuModel,
        memory: Arc<Memory>,
        clock: Arc<Clock>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let mut vcpu = Vcpu {
            state: State::default(),
            budget: 0,
            data_context: [0; 2],
            data_entries: [0; 2],
            fetch_context: [0; 2],
            mode: 0,
            pending_mask: 0,
            pending: memory.hub().mailbox(index).pending_word(),
            translated: translated::Translated::default(),
            raised: raised::Raised::default(),
            handlers: interrupts::Handlers::default(),
            contexts: context::Contexts::default(),
            tlb: Tlb::default(),
            fetched: fetched::Fetched::default(),
            cia: 0,
            ahead: 0,
            cursor: Cursor::default(),
            link: Link::None,
            exit: Exit::Next,
            result: 0,
            reservation: reservation::Reservation::default(),
            bases: [0; 2],
            spaces: [None, None],
            decrementer_expires: 0,
            slice: time::Slice::default(),
            process_table: ProcessTable::default(),
            hash_table: memory.hash_table(),
            core: Arc::new(threads::Core::new(index, 1)),
            usage: threads::Usage::default(),
            model,
            index,
            memory,
            clock,
            observer,
            unacknowledged: false,
            code_events: Vec::new(),
            random: 0x9E37_79B9_7F4A_7C15 ^ index as u64,
            mmio: None,
            firmware: None,
            alone_at: NOT_ALONE,
        };
        vcpu.reset();
        vcpu
    }

    /// Back to the state after partition reset.
    pub fn reset(&mut self) {
        self.state =
            State { msr: msr::ME | msr::FP, lpcr: self.model.lpcr_reset, pir: self.index as u32, ..State::default() };
        self.state.spr.ppr = 0x000C_0000_0000_0000;
        self.state.spr.mmcr[0] = mmcr0::FC;
        self.state.spr.ctrl = 1;
        self.state.spr.uamor = 0;
        self.process_table = ProcessTable::default();
        self.hash_table = self.memory.hash_table();
        self.reservation = reservation::Reservation::default();
        self.decrementer_expires = self.time_base().wrapping_add(u64::from(u32::MAX >> 1));
        self.mailbox().lower(
            pending::DECREMENTER | pending::EXTERNAL | pending::DOORBELL | pending::SYSTEM_RESET | pending::PROD,
        );
        self.invalidate(Invalidation::All);
        self.exit = Exit::Next;
        self.alone_at = NOT_ALONE;
        self.refresh_context();
    }

    /// This vCPU's mailbox.
    #[inline(always)]
    pub fn mailbox(&self) -> &Mailbox {
        self.memory.hub().mailbox(self.index)
    }

    /// Whether the engine must leave its run of blocks now.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub fn called_away(&self) -> bool {
        // SAFETY: the mailboxes are boxed in `memory`, which this vCPU holds.
        unsafe { &*self.pending }.load(Relaxed) & self.pending_mask != 0
    }

    /// Acts on every message in the mailbox.
    pub fn serve_mail(&mut self) {
        let (messages, number) = self.mailbox().take();
        for message in messages {
            match message {
                Message::Invalidate(what) => self.invalidate(what),
                Message::WithdrawWrites { page } => self.tlb.withdraw_writes(page),
                Message::WithdrawAllWrites => self.tlb.withdraw_all_writes(),
                Message::DropCode { page } => self.code_events.push(CodeEvent::DropPage(page)),
                Message::ForgetTranslations => self.code_events.push(CodeEvent::ForgetTranslations),
                Message::ForgetEverything => {
                    self.invalidate(Invalidation::All);
                    self.code_events.push(CodeEvent::DropAll);
                }
                Message::UpdateLpcr { mask, value } => {
                    let new = self.state.lpcr & !mask | value & mask;
                    self.set_lpcr(new);
                }
                Message::ProcessTable { base, size_bytes } => {
                    self.process_table = ProcessTable { base, size_bytes };
                    self.invalidate(Invalidation::All);
                }
                Message::HashTable => self.take_hash_table(),
            }
        }
        self.mailbox().mark_served(number);
        self.note_real_mode();
    }

    /// Waits until every other vCPU has seen what this one posted; serves its own mailbox meanwhile.
    pub fn wait_for_all(&mut self) {
        let memory = self.memory.clone();
        memory.hub().wait_for_all(Some(self.index), || self.serve_new_mail());
        self.unacknowledged = false;
    }

    /// Waits until no other vCPU uses translations that this one let them forget; serves its own mailbox meanwhile.
    pub fn wait_for_translations(&mut self) {
        let memory = self.memory.clone();
        memory.hub().wait_for_translations(Some(self.index), || self.serve_new_mail());
        self.unacknowledged = false;
    }

    fn serve_new_mail(&mut self) {
        if self.mailbox().pending() & pending::MAIL != 0 {
            self.serve_mail();
        }
    }

    /// Sets LPCR, within what the model has.
    pub fn set_lpcr(&mut self, value: u64) {
        let was_hash = self.hashes();
        self.state.lpcr = value & self.model.lpcr_mask;
        self.refresh_decrementer();
        if self.hashes() != was_hash {
            self.invalidate(Invalidation::All);
        }
    }

    /// Whether translation is by hash table, and not radix.
    #[inline(always)]
    pub fn hashes(&self) -> bool {
        self.state.lpcr & lpcr::HR == 0
    }

    /// Goes on with the hash table that the partition has now.
    pub fn take_hash_table(&mut self) {
        self.hash_table = self.memory.hash_table();
        self.invalidate(Invalidation::All);
    }

    /// Forgets translations, here only.
    pub fn invalidate(&mut self, what: Invalidation) {
        let base = match what {
            Invalidation::Page { pid, .. } => self.tlb.base_if_known(pid),
            Invalidation::Virtual(page) => {
                let fetched = self.tlb.places_of(&page).filter(|(_, ea)| self.fetched.has(*ea, page.shift));
                let forget = |(base, ea)| CodeEvent::ForgetPage { base, ea, shift: page.shift };
                self.code_events.extend(fetched.map(forget));
                None
            }
            _ => None,
        };
        let changed = self.tlb.invalidate(what);
        match what {
            Invalidation::Page { ea, shift, .. } => {
                if let Some(base) = base.filter(|_| self.fetched.has(ea, shift)) {
                    self.code_events.push(CodeEvent::ForgetPage { base, ea, shift });
                }
            }
            Invalidation::All => {
                // The TLB is empty, and all look-ups by effective address go.
                self.fetched.clear();
                self.code_events.push(CodeEvent::ForgetAll);
            }
            // Retired ids never match again: nothing to forget.
            Invalidation::Process { .. } | Invalidation::Virtual(_) => {}
        }
        if changed {
            self.reload_bases();
        }
    }

    /// Lets `users` ([`memory::hpt::user`]) forget translations; [`Vcpu::wait_for_translations`] waits for the others among them.
    pub fn invalidate_at(&mut self, users: u32, what: Invalidation) {
        for to in 0..self.memory.hub().len() {
            if users & memory::hpt::user(to) == 0 {
                continue;
            }
            if to == self.index {
                self.invalidate(what);
            } else {
                self.memory.hub().post(to, Message::Invalidate(what));
                self.unacknowledged = true;
            }
        }
    }

    /// Forgets translations here and tells all other vCPUs to; [`Vcpu::wait_for_translations`] waits for them.
    pub fn invalidate_everywhere(&mut self, what: Invalidation) {
        self.invalidate(what);
        if self.memory.hub().len() > 1 {
            self.memory.hub().broadcast(Some(self.index), Message::Invalidate(what));
            self.unacknowledged = true;
        }
    }
}
