//! XIVE's pages: where they lie, and what loads and stores do there.
//!
//! - Each source has two pages of 64 KiB from [`ESB_BASE`] on, by its number: the first one triggers, the second manages.
//! - Behind those of all sources, each queue has two, by its vCPU's server number and its priority: state bits of
//!   notification and of escalation.
//! - At [`TIMA_OS_PAGE`] every vCPU finds its own ring; below 2 KiB the registers as they are, above operations.
//!
//! What a page does is the same in each 4 KiB of it. The pages of the thread interrupt context that belong to a hypervisor
//! are not there.

use super::esb::Esb;
use super::{PRIORITIES, Source, Xive};
use crate::interrupts::{FIRST_SOURCE, SOURCES};
use crate::lock;
use platform::Mmio;
use std::ops::Range;
use std::sync::Mutex;

/// Where the pages of sources begin.
const ESB_BASE: u64 = 0x0006_0100_0000_0000;
/// Where the thread interrupt context's four pages begin.
const TIMA_BASE: u64 = 0x0006_0302_0318_0000;
/// Size of each of them.
pub const TIMA_PAGE_BYTES: u64 = 1 << PAGE_SHIFT;
/// The operating system's page.
pub const TIMA_OS_PAGE: u64 = TIMA_BASE + 2 * TIMA_PAGE_BYTES;
/// The user's page.
pub const TIMA_USER_PAGE: u64 = TIMA_BASE + 3 * TIMA_PAGE_BYTES;

pub(super) const PAGE_SHIFT: u32 = 16;
/// Two pages.
const PAIR_SHIFT: u32 = PAGE_SHIFT + 1;
const QUEUE_BASE: u64 = ESB_BASE + (((FIRST_SOURCE + SOURCES) as u64) << PAIR_SHIFT);
/// Part of an address that says what is done.
const OFFSET_MASK: u64 = 0xfff;

/// CPPR in the operating system's ring: store of one byte.
const OS_CPPR: u64 = 0x11;
/// The operating system's ring.
const OS_RING: Range<u64> = 0x10..0x18;
/// Registers repeat at this distance.
const REGISTERS_MASK: u64 = 0x3f;
/// From here on there are operations.
const OPERATIONS: u64 = 0x800;
/// Load of two bytes: takes the interrupt.
const ACKNOWLEDGE_OS: u64 = 0x810;
/// Store of one byte: this priority becomes pending.
const SET_OS_PENDING: u64 = 0x812;
/// State bits are loaded and stored as doublewords.
const ESB_ACCESS_BYTES: u32 = 8;
/// What a load gets that means nothing.
const NOTHING: u64 = u64::MAX;

/// What a real address belongs to.
enum Place<'a> {
    /// Trigger page of a source.
    Trigger(&'a Mutex<Source>),
    /// Management page of a source.
    Manage(&'a Mutex<Source>),
    /// A queue's state bits: index of its vCPU, priority, whether those of escalation.
    Queue(usize, u8, bool),
    /// The calling vCPU's ring.
    OsRing,
    /// The user's page, where nothing is.
    UserRing,
}

impl Xive {
    /// Real addresses of source `lisn`'s pages: trigger, management.
    pub(super) fn source_pages(lisn: u32) -> [u64; 2] {
        let trigger = ESB_BASE + (u64::from(lisn) << PAIR_SHIFT);
        [trigger, trigger + (1 << PAGE_SHIFT)]
    }

    /// Real address of the notification page of a vCPU's queue.
    pub(super) fn queue_page(&self, index: usize, priority: u8) -> u64 {
        let queue = u64::from(self.servers.number_of(index)) * PRIORITIES as u64 + u64::from(priority);
        QUEUE_BASE + (queue << PAIR_SHIFT)
    }

    fn place(&self, ra: u64) -> Option<Place<'_>> {
        let odd = ra >> PAGE_SHIFT & 1 != 0;
        let pair_of = |base: u64| (ra - base) >> PAIR_SHIFT;
        match ra {
            ESB_BASE..QUEUE_BASE => {
                let source = self.source(pair_of(ESB_BASE))?;
                Some(if odd { Place::Manage(source) } else { Place::Trigger(source) })
            }
            QUEUE_BASE..TIMA_OS_PAGE => {
                let queue = pair_of(QUEUE_BASE);
                let index = self.servers.index_of(queue / PRIORITIES as u64)?;
                Some(Place::Queue(index, (queue % PRIORITIES as u64) as u8, odd))
            }
            TIMA_OS_PAGE..TIMA_USER_PAGE => Some(Place::OsRing),
            _ if ra >= TIMA_USER_PAGE && ra - TIMA_USER_PAGE < TIMA_PAGE_BYTES => Some(Place::UserRing),
            _ => None,
        }
    }

    /// A load from the management page of a source.
    pub(super) fn load_source(&self, source: &Mutex<Source>, offset: u64) -> u64 {
        let mut loaded = NOTHING;
        self.with_source(source, |source| {
            let mut event = false;
            let mut esb = source.esb;
            loaded = esb.load(offset & OFFSET_MASK, |_| {
                event = source.eoi();
                event
            });
            // An end of interrupt has changed the source itself.
            if offset & OFFSET_MASK >= 0x800 {
                source.esb = esb;
            }
            event
        });
        loaded
    }

    /// A store to the management page of a source. (Ends of interrupt are loads: a store of one is not announced.)
    pub(super) fn store_source(&self, source: &Mutex<Source>, offset: u64) {
        self.with_source(source, |source| match offset & OFFSET_MASK {
            0..0x400 => source.trigger(),
            0x400..0xc00 => false,
            offset => {
                source.esb.set(offset);
                false
            }
        });
    }

    /// A load from a page of a queue's state bits.
    fn load_queue(&self, index: usize, priority: u8, escalation: bool, offset: u64) -> u64 {
        let mut queue = lock(self.queue(index, priority));
        if queue.place.is_none() {
            return NOTHING;
        }
        let mut event = false;
        let bits = if escalation { &mut queue.escalation } else { &mut queue.notification };
        let loaded = bits.load(offset & OFFSET_MASK, |bits| {
            event = Esb::eoi(bits);
            event
        });
        if event && !escalation {
            self.with_ring(index, |ring| ring.pend(priority));
        }
        loaded
    }

    fn load_ring(&self, index: usize, offset: u64, size: u32) -> u64 {
        if offset & OFFSET_MASK == ACKNOWLEDGE_OS && size == 2 {
            return self.with_ring(index, |ring| ring.acknowledge()).into();
        }
        let first = offset & REGISTERS_MASK;
        if offset & OFFSET_MASK >= OPERATIONS || size < 4 || !OS_RING.contains(&first) {
            return NOTHING;
        }
        let bytes = u64::from_be_bytes(lock(&self.rings[index]).bytes());
        if size == 8 { bytes } else { bytes >> (8 * (OS_RING.end - first - 4)) }
    }

    fn store_ring(&self, index: usize, offset: u64, size: u32, value: u64) {
        let first = offset & REGISTERS_MASK;
        match (offset & OFFSET_MASK, size) {
            (OS_CPPR, 1) => self.with_ring(index, |ring| ring.set_cppr(value as u8)),
            (SET_OS_PENDING, 1) => self.with_ring(index, |ring| ring.pend(value as u8)),
            // CPPR is the one register of the ring that may be written.
            (0..OPERATIONS, 4 | 8) if first == OS_RING.start => {
                self.with_ring(index, |ring| ring.set_cppr((value >> (8 * (size - 2))) as u8));
            }
            _ => {}
        }
    }
}

impl Mmio for Xive {
    fn answers(&self, ra: u64, size: u64) -> bool {
        let last = ra.saturating_add(size.saturating_sub(1));
        // Regions are whole pages, so that the ends say it all for what is not longer than a page.
        size <= 1 << PAGE_SHIFT && self.place(ra).is_some() && self.place(last).is_some()
    }

    fn load(&self, vcpu: usize, ra: u64, size: u32) -> u64 {
        let value = match self.place(ra) {
            Some(Place::Manage(source)) if size == ESB_ACCESS_BYTES => self.load_source(source, ra),
            Some(Place::Queue(index, priority, escalation)) if size == ESB_ACCESS_BYTES => {
                self.load_queue(index, priority, escalation, ra)
            }
            Some(Place::OsRing) if vcpu < self.rings.len() => self.load_ring(vcpu, ra, size),
            _ => NOTHING,
        };
        value & NOTHING >> (64 - 8 * size)
    }

    fn store(&self, vcpu: usize, ra: u64, size: u32, value: u64) {
        match self.place(ra) {
            Some(Place::Trigger(source)) if size == ESB_ACCESS_BYTES => _ = self.with_source(source, Source::trigger),
            Some(Place::Manage(source)) if size == ESB_ACCESS_BYTES => self.store_source(source, ra),
            Some(Place::OsRing) if vcpu < self.rings.len() => self.store_ring(vcpu, ra, size, value),
            _ => {}
        }
    }
}
