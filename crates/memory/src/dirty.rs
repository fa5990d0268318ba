//! Which pages were written to, for somebody who copies RAM while vCPUs run.
//!
//! Nothing of this is on the way of a store that the TLB answers. Whoever may write to a page without coming here again has a
//! write entry, and while writes are tracked it is given one only with the page's bit set. [`Memory::take_dirty`] takes the
//! bits, and then every write entry, and returns when no vCPU has one: what is written behind it sets bits again. So the
//! pages that it names may be read at once; one that is written meanwhile is named again.

use crate::mail::Message;
use crate::ram::Memory;
use crate::{PAGE_SHIFT, PAGE_SIZE};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// A bit a page.
#[derive(Debug)]
pub(crate) struct Dirty {
    on: AtomicBool,
    bits: Box<[AtomicU64]>,
}

impl Dirty {
    pub fn new(ram_bytes: u64) -> Dirty {
        let words = (ram_bytes >> PAGE_SHIFT).div_ceil(64);
        Dirty { on: AtomicBool::new(false), bits: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Memory {
    /// Whether writes are tracked. Who hands out write access, or writes, looks behind that, and calls
    /// [`Memory::note_dirty`] before the access is used, or after the write.
    #[inline]
    pub fn tracks_writes(&self) -> bool {
        self.dirty.on.load(SeqCst)
    }

    /// The page with this number was, or is about to be, written to.
    #[cold]
    pub fn note_dirty(&self, page: u64) {
        if let Some(word) = self.dirty.bits.get((page / 64) as usize) {
            word.fetch_or(1 << (page % 64), SeqCst);
        }
    }

    /// As [`Memory::note_dirty`], if writes are tracked.
    #[inline]
    pub(crate) fn track(&self, page: u64) {
        if self.tracks_writes() {
            self.note_dirty(page);
        }
    }

    /// As [`Memory::note_dirty`] for all of RAM, if writes are tracked.
    pub(crate) fn track_all(&self) {
        if self.tracks_writes() {
            self.dirty.bits.iter().for_each(|word| word.store(u64::MAX, SeqCst));
        }
    }

    /// From now on writes are tracked. Returns when no vCPU can write unseen. Not on a vCPU's thread.
    pub fn begin_tracking(&self) {
        self.dirty.bits.iter().for_each(|word| word.store(0, SeqCst));
        self.dirty.on.store(true, SeqCst);
        self.withdraw_all_writes();
    }

    /// No longer.
    pub fn end_tracking(&self) {
        self.dirty.on.store(false, SeqCst);
    }

    /// Numbers of the pages that were written to since the last call, or since tracking began, in order. What is written to
    /// them from now on is told by the next call. Not on a vCPU's thread.
    pub fn take_dirty(&self) -> Vec<u64> {
        let pages = self.len() >> PAGE_SHIFT;
        let mut taken = Vec::new();
        for (n, word) in self.dirty.bits.iter().enumerate() {
            let mut bits = word.swap(0, SeqCst);
            while bits != 0 {
                taken.push(n as u64 * 64 + u64::from(bits.trailing_zeros()));
                bits &= bits - 1;
            }
        }
        taken.retain(|page| *page < pages);
        self.withdraw_all_writes();
        taken
    }

    fn withdraw_all_writes(&self) {
        self.hub().broadcast(None, Message::WithdrawAllWrites);
        self.hub().wait_for_all(None, || ());
    }

    /// Numbers of the pages that may not be zero, in order; those that nobody writes to meanwhile.
    pub fn used_page_numbers(&self) -> Vec<u64> {
        self.used_pages().map(|address| address >> PAGE_SHIFT).collect()
    }

    /// Copies a page that vCPUs may write to meanwhile. False: there is none with this number.
    pub fn copy_page_number(&self, page: u64, buf: &mut [u8; PAGE_SIZE as usize]) -> bool {
        page.checked_mul(PAGE_SIZE).is_some_and(|address| self.read(address, buf).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn writes_are_told_once() {
        let m = Memory::new(1 << 20, 1).unwrap();
        m.write(0x3000, &[1]).unwrap();
        m.begin_tracking();
        assert_eq!(m.take_dirty(), []);
        m.write(0x4FFF, &[1, 2]).unwrap();
        assert!(m.compare_exchange_be_u64(0x8_0000, 0, 7));
        assert!(!m.compare_exchange_be_u64(0x9_0000, 1, 7));
        assert_eq!(m.take_dirty(), [4, 5, 0x80]);
        assert_eq!(m.take_dirty(), []);
        m.clear();
        assert_eq!(m.take_dirty().len(), 256);
        m.end_tracking();
        m.write(0x4000, &[1]).unwrap();
        m.begin_tracking();
        assert_eq!(m.take_dirty(), []);
    }

    /// What another thread writes as a vCPU does, with a write entry for as long as it has served no mail, is never lost.
    #[test]
    fn a_copy_ends_up_right() {
        use crate::mail::pending::MAIL;
        use crate::tlb::Tlb;
        let m = Arc::new(Memory::new(1 << 20, 1).unwrap());
        m.hub().mailbox(0).set_quiet(false);
        let writer = std::thread::spawn({
            let m = m.clone();
            move || {
                let mut tlb = Tlb::default();
                for n in 0..200_000u64 {
                    let mailbox = m.hub().mailbox(0);
                    if mailbox.pending() & MAIL != 0 {
                        let (messages, number) = mailbox.take();
                        assert!(messages.iter().all(|message| *message == Message::WithdrawAllWrites));
                        tlb.withdraw_all_writes();
                        mailbox.mark_served(number);
                    }
                    let page = n * 7 % 16;
                    if tlb.entry(page << PAGE_SHIFT, 0).write != page << PAGE_SHIFT {
                        tlb.fill(page << PAGE_SHIFT, 0, true, true, 0, page << PAGE_SHIFT);
                        m.track(page);
                    }
                    let at = m.host((page << PAGE_SHIFT) + n % 512 * 8, 8).unwrap();
                    // SAFETY: the eight bytes are RAM.
                    #[allow(unsafe_code)]
                    unsafe {
                        crate::access::store_u64(at, n);
                    }
                }
                m.hub().mailbox(0).set_quiet(true);
            }
        });
        m.begin_tracking();
        let copy = Memory::new(1 << 20, 1).unwrap();
        let mut buf = [0; PAGE_SIZE as usize];
        let mut carry = |pages: Vec<u64>| {
            for page in pages {
                assert!(m.copy_page_number(page, &mut buf));
                copy.write(page << PAGE_SHIFT, &buf).unwrap();
            }
        };
        carry((0..256).collect());
        while !writer.is_finished() {
            carry(m.take_dirty());
        }
        writer.join().unwrap();
        carry(m.take_dirty());
        assert_eq!(m.first_different_page(&copy), None);
    }
}
