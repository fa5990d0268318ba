//! The vCPU that executes a hypercall, as the handler sees it.

use crate::shared::{Shared, lock};
use cpu::bits::msr;
use memory::HashTable;
use memory::hpt::VirtualPage;
use memory::mail::{Invalidation, Message, pending};
use platform::{CallingVcpu, InvalidateScope, PageSizes, ProcessTable, RunState, TlbInvalidate};
use std::sync::{Arc, MutexGuard, TryLockError};
use vcpu::Vcpu;

/// What the vCPU does once the handler has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Goes on.
    GoOn,
    /// Sleeps, in this state.
    Sleep(RunState),
    /// Stops.
    Stop,
    /// Gives its time away: to this vCPU, or to any.
    Yield(Option<usize>),
}

/// Ranges of at most so many pages are invalidated page by page.
const PAGES_MAX: u64 = 64;

/// The vCPU that calls.
pub(crate) struct Calling<'a> {
    pub vcpu: &'a mut Vcpu,
    pub shared: &'a Shared,
    pub after: After,
}

/// Size of a process table in bytes as the walker wants it: zero for none.
pub(crate) fn walker_table(table: &ProcessTable) -> memory::radix::ProcessTable {
    let registered = table.registered && table.radix;
    let size_bytes = 1u64.checked_shl(u32::from(table.size_shift) + 12).unwrap_or(0);
    memory::radix::ProcessTable { base: table.base_ra, size_bytes: if registered { size_bytes } else { 0 } }
}

/// The invalidations that do at least what `request` asks for.
fn invalidations(request: &TlbInvalidate) -> Vec<Invalidation> {
    if !(request.tlb || request.page_walk_cache || request.process_table) {
        return Vec::new();
    }
    let InvalidateScope::Process { pid } = request.scope else { return vec![Invalidation::All] };
    let PageSizes { size_4k, size_64k, size_2m, size_1g } = request.page_sizes;
    let shift = match (size_4k, size_64k, size_2m, size_1g) {
        (true, false, false, false) => 12,
        (false, true, false, false) => 16,
        (false, false, true, false) => 21,
        (false, false, false, true) => 30,
        _ => return vec![Invalidation::Process { pid }],
    };
    let (first, last) = (request.start_ea >> shift, request.last_ea >> shift);
    // The walk cache and process-table entries go with the process only.
    if request.page_walk_cache || request.process_table || first > last || last - first >= PAGES_MAX {
        return vec![Invalidation::Process { pid }];
    }
    (first..=last).map(|page| Invalidation::Page { pid, ea: page << shift, shift }).collect()
}

impl<'a> Calling<'a> {
    /// Keeps other vCPUs from changing what all have. Whoever holds it waits for everybody's mail to be served, so the
    /// own mail is served while waiting for it.
    fn change_all(&mut self) -> MutexGuard<'a, ()> {
        loop {
            match self.shared.changing_all.try_lock() {
                Ok(guard) => return guard,
                // It guards an order, no data.
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    self.vcpu.serve_mail();
                    std::thread::yield_now();
                }
            }
        }
    }

    /// Tells all other vCPUs, and waits until each has acted on it.
    fn tell_all(&mut self, message: Message) {
        self.shared.memory.hub().broadcast(Some(self.vcpu.index), message);
        self.vcpu.wait_for_all();
    }
}

impl CallingVcpu for Calling<'_> {
    fn index(&self) -> usize {
        self.vcpu.index
    }

    fn gpr(&self, number: usize) -> u64 {
        self.vcpu.state.gpr[number]
    }

    fn set_gpr(&mut self, number: usize, value: u64) {
        self.vcpu.state.gpr[number] = value;
    }

    fn problem_state(&self) -> bool {
        self.vcpu.state.msr & msr::PR != 0
    }

    fn external_interrupts_enabled(&self) -> bool {
        self.vcpu.state.msr & msr::EE != 0
    }

    fn set_external_interrupts_enabled(&mut self, enabled: bool) {
        let msr = self.vcpu.state.msr;
        self.vcpu.set_msr(if enabled { msr | msr::EE } else { msr & !msr::EE });
    }

    fn interrupt_pending(&self) -> bool {
        let expired = self.vcpu.decrementer() < 0;
        let level = if expired { pending::DECREMENTER } else { 0 };
        let now = self.vcpu.mailbox().pending() & !pending::DECREMENTER | level;
        now & self.vcpu.pending_mask & !pending::MAIL != 0
    }

    fn take_prod(&mut self) -> bool {
        let mut state = lock(&self.shared.slots[self.vcpu.index].state);
        self.vcpu.mailbox().lower(pending::PROD);
        std::mem::take(&mut state.prodded)
    }

    fn cede(&mut self) {
        self.after = After::Sleep(RunState::Ceded);
    }

    fn join(&mut self) {
        self.after = After::Sleep(RunState::Joined);
        lock(&self.shared.slots[self.vcpu.index].state).run = RunState::Joined;
    }

    fn stop_self(&mut self) {
        self.after = After::Stop;
    }

    fn yield_to(&mut self, target: Option<usize>) {
        if self.after == After::GoOn {
            self.after = After::Yield(target);
        }
    }

    fn update_lpcr_all(&mut self, mask: u64, value: u64) {
        let value = value & mask;
        let _changing = self.change_all();
        self.shared.update_lpcr(mask, value);
        let own = self.vcpu.state.lpcr & !mask | value;
        self.vcpu.set_lpcr(own);
        self.tell_all(Message::UpdateLpcr { mask, value });
    }

    fn set_process_table(&mut self, table: ProcessTable) {
        let _changing = self.change_all();
        self.shared.set_process_table(table);
        self.vcpu.process_table = walker_table(&table);
        self.vcpu.invalidate(Invalidation::All);
        let memory::radix::ProcessTable { base, size_bytes } = self.vcpu.process_table;
        self.tell_all(Message::ProcessTable { base, size_bytes });
    }

    fn invalidate_translations(&mut self, request: &TlbInvalidate) {
        for what in invalidations(request) {
            self.vcpu.invalidate_everywhere(what);
        }
        self.vcpu.wait_for_translations();
    }

    fn hash_table(&self) -> Arc<HashTable> {
        self.vcpu.hash_table.clone()
    }

    fn set_hash_table(&mut self, table: HashTable) {
        let _changing = self.change_all();
        self.shared.memory.set_hash_table(Arc::new(table));
        self.vcpu.take_hash_table();
        self.tell_all(Message::HashTable);
    }

    fn forget_virtual_page(&mut self, users: u32, page: VirtualPage) {
        self.vcpu.invalidate_at(users, Invalidation::Virtual(page));
    }

    fn wait_for_translations(&mut self) {
        if self.vcpu.unacknowledged {
            self.vcpu.wait_for_translations();
        }
    }

    fn relax(&mut self) {
        self.vcpu.serve_mail();
        std::thread::yield_now();
    }

    fn set_ciabr(&mut self, value: u64) {
        self.vcpu.set_ciabr(value);
    }

    fn set_pcr(&mut self, value: u64) {
        self.vcpu.set_pcr(value);
    }

    fn set_dawr(&mut self, number: usize, dawr: u64, dawrx: u64) {
        self.vcpu.set_dawr(number, dawr, dawrx);
    }

    fn set_sprg0(&mut self, value: u64) {
        self.vcpu.state.spr.sprg[0] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(page_sizes: PageSizes, start_ea: u64, last_ea: u64) -> TlbInvalidate {
        TlbInvalidate {
            scope: InvalidateScope::Process { pid: 7 },
            tlb: true,
            page_walk_cache: false,
            process_table: false,
            page_sizes,
            start_ea,
            last_ea,
        }
    }

    #[test]
    fn small_ranges_page_by_page_and_never_less_than_asked() {
        let small = PageSizes { size_64k: true, ..PageSizes::default() };
        assert_eq!(
            invalidations(&request(small, 0x1_0000, 0x2_ffff)),
            [
                Invalidation::Page { pid: 7, ea: 0x1_0000, shift: 16 },
                Invalidation::Page { pid: 7, ea: 0x2_0000, shift: 16 },
            ]
        );
        let process = [Invalidation::Process { pid: 7 }];
        for wide in [request(small, 0, u64::MAX), request(small, 5 << 16, 0), request(PageSizes::ALL, 0, 0xfff)] {
            assert_eq!(invalidations(&wide), process);
        }
        let with_cache = TlbInvalidate { page_walk_cache: true, ..request(small, 0, 0xfff) };
        assert_eq!(invalidations(&with_cache), process);
        assert_eq!(invalidations(&TlbInvalidate { scope: InvalidateScope::All, ..with_cache }), [Invalidation::All]);
        assert_eq!(invalidations(&TlbInvalidate { tlb: false, ..request(small, 0, 0xfff) }), []);
    }

    #[test]
    fn tables_that_are_not_there_have_no_size() {
        let table = ProcessTable { radix: true, base_ra: 0x1000, size_shift: 12, registered: true };
        assert_eq!(walker_table(&table).size_bytes, 1 << 24);
        assert_eq!(walker_table(&ProcessTable { registered: false, ..table }).size_bytes, 0);
        assert_eq!(walker_table(&ProcessTable { radix: false, ..table }).size_bytes, 0);
        assert_eq!(walker_table(&ProcessTable { size_shift: 255, ..table }).size_bytes, 0);
    }
}
