//! The one handshake. What one vCPU must tell the others (translations gone, write entries
//! withdrawn, LPCR changed) is a [`Message`] in their mailboxes: posted at the operation, waited for
//! where the architecture lets the poster wait (`ptesync`, `tlbsync`, the end of a hypercall).
//!
//! Whoever waits serves its own mailbox meanwhile, else two vCPUs would wait for each other. A vCPU
//! that is not running guest code (ceded, stopped, blocked in the host) is *quiet*: nobody waits for
//! it, and it serves its mailbox before it runs guest code again. Both sides use sequentially
//! consistent order: a poster that reads `quiet` as set has posted before the vCPU clears it.
//!
//! A vCPU in real mode uses no translations. It says so when it has served its mail there
//! ([`Mailbox::set_in_real_mode`]), and who only wants translations forgotten does not wait for it: before it translates
//! again it takes that back and then looks for mail, in the same order.

use crate::alarm::Alarm;
use crate::hpt::VirtualPage;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst, fence};
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, pause};
use std::time::Duration;

/// Reasons for a vCPU to leave its run of blocks: bits of [`Mailbox::pending`].
pub mod pending {
    /// A message waits in the mailbox.
    pub const MAIL: u32 = 1 << 0;
    /// The interrupt controller asserts the external interrupt (a level).
    pub const EXTERNAL: u32 = 1 << 1;
    /// A directed privileged doorbell is pending.
    pub const DOORBELL: u32 = 1 << 2;
    /// System reset is to be taken.
    pub const SYSTEM_RESET: u32 = 1 << 3;
    /// The machine wants the vCPU's thread (shutdown, pause).
    pub const STOP: u32 = 1 << 4;
    /// The decrementer is negative (a level, kept by the vCPU itself).
    pub const DECREMENTER: u32 = 1 << 5;
    /// `H_PROD`, or RTAS `start-cpu`: the vCPU is to wake.
    pub const PROD: u32 = 1 << 6;
    /// The vCPU is to look at the clock, and for translated code that is ready. It need not be woken for that.
    pub const LOOK: u32 = 1 << 7;
    /// Interrupts that MSR\[EE\] gates.
    pub const MASKED_BY_EE: u32 = EXTERNAL | DOORBELL | DECREMENTER;
}

/// Which cached translations an invalidation removes (Power ISA 3.0B, Book III, 5.10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalidation {
    /// Everything.
    All,
    /// All of one process id.
    Process {
        /// Process id.
        pid: u32,
    },
    /// One page of one process id.
    Page {
        /// Process id.
        pid: u32,
        /// Effective address, any within the page.
        ea: u64,
        /// log2 of the page size in bytes.
        shift: u32,
    },
    /// One virtual page, wherever its segment is (hash translation).
    Virtual(VirtualPage),
}

/// What one vCPU tells another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Forget translations.
    Invalidate(Invalidation),
    /// Forget write access to the real 4K page with this number: it now holds decoded code.
    WithdrawWrites {
        /// Real page number.
        page: u64,
    },
    /// Forget write access to all pages: it is wanted to be known which are written to.
    WithdrawAllWrites,
    /// Forget decoded code of the real 4K page with this number: it was written to.
    DropCode {
        /// Real page number.
        page: u64,
    },
    /// Forget all translations and all decoded code: stands for more messages than a mailbox keeps.
    ForgetEverything,
    /// Forget all ways into translated code: some of it is about to be given up.
    ForgetTranslations,
    /// Change LPCR: `lpcr = lpcr & !mask | value`.
    UpdateLpcr {
        /// Bits to replace.
        mask: u64,
        /// Their new values.
        value: u64,
    },
    /// The process table changed: base real address, size in bytes; radix if not zero.
    ProcessTable {
        /// Real address.
        base: u64,
        /// Size in bytes.
        size_bytes: u64,
    },
    /// The hash table is another one: [`crate::Memory::hash_table`] has it.
    HashTable,
}

/// Messages that wait in a mailbox at most, but for changes of LPCR and tables, which are rare.
const MOST_MESSAGES: usize = 4096;

/// One vCPU's mailbox and the bits that call it away from guest code.
#[derive(Debug, Default)]
pub struct Mailbox {
    pending: AtomicU32,
    posted: AtomicU64,
    served: AtomicU64,
    quiet: AtomicBool,
    in_real_mode: AtomicBool,
    queue: Mutex<Vec<Message>>,
    wake: Condvar,
}

fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    /// The bits of [`pending`] now set. One relaxed load: this is polled at each block head.
    #[inline(always)]
    pub fn pending(&self) -> u32 {
        self.pending.load(crate::sync::atomic::Ordering::Relaxed)
    }

    /// Address of the pending word, for generated code.
    pub fn pending_word(&self) -> &AtomicU32 {
        &self.pending
    }

    /// Sets bits and wakes the vCPU's thread if it sleeps.
    pub fn raise(&self, bits: u32) {
        self.pending.fetch_or(bits, SeqCst);
        // Taking the lock orders this with the sleeper's check of `pending`: no wake-up is lost.
        drop(locked(&self.queue));
        self.wake.notify_all();
    }

    /// Sets bits that a vCPU which sleeps need not be woken for.
    pub fn nudge(&self, bits: u32) {
        self.pending.fetch_or(bits, SeqCst);
    }

    /// Clears bits.
    pub fn lower(&self, bits: u32) {
        self.pending.fetch_and(!bits, SeqCst);
    }

    /// Takes all messages, and clears [`pending::MAIL`]. The caller acts on them and then calls
    /// [`Mailbox::mark_served`] with the returned number.
    pub fn take(&self) -> (Vec<Message>, u64) {
        let mut queue = locked(&self.queue);
        self.pending.fetch_and(!pending::MAIL, SeqCst);
        (std::mem::take(&mut *queue), self.posted.load(SeqCst))
    }

    /// Says that every message up to `number` has taken effect.
    pub fn mark_served(&self, number: u64) {
        self.served.fetch_max(number, SeqCst);
    }

    /// Says whether the vCPU is quiet (runs no guest code). After leaving quiet the vCPU must serve
    /// its mailbox before it runs guest code.
    pub fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, SeqCst);
    }

    /// Says whether the vCPU translates no addresses until it says otherwise. Behind that it must look for mail before it
    /// translates one.
    pub fn set_in_real_mode(&self, real: bool) {
        self.in_real_mode.store(real, SeqCst);
        // What is looked at next is [`Mailbox::pending`], by a load that knows no order.
        fence(SeqCst);
    }

    /// Sleeps until one of `bits` is pending, or `timeout` is over. The caller has set quiet.
    pub fn sleep(&self, bits: u32, timeout: Option<Duration>) {
        let queue = locked(&self.queue);
        let asleep = |_: &mut Vec<Message>| self.pending.load(SeqCst) & bits == 0;
        match timeout {
            Some(t) => drop(self.wake.wait_timeout_while(queue, t, asleep)),
            None => drop(self.wake.wait_while(queue, asleep)),
        }
    }

    fn post(&self, message: Message) -> u64 {
        let mut queue = locked(&self.queue);
        if queue.len() >= MOST_MESSAGES {
            // A vCPU that is stopped for long serves nothing: what it would forget piece by piece, it forgets whole.
            queue.retain(|m| {
                matches!(m, Message::UpdateLpcr { .. } | Message::ProcessTable { .. } | Message::HashTable)
            });
            queue.push(Message::ForgetEverything);
        }
        queue.push(message);
        let number = self.posted.fetch_add(1, SeqCst) + 1;
        self.pending.fetch_or(pending::MAIL, SeqCst);
        number
    }
}

/// All mailboxes of a machine, by vCPU index.
#[derive(Debug)]
pub struct Hub {
    boxes: Box<[Mailbox]>,
    /// There are more vCPUs than the host runs threads at once.
    crowded: bool,
    alarm: Alarm,
}

impl Hub {
    /// Mailboxes for `vcpus` vCPUs, all quiet.
    pub fn new(vcpus: usize) -> Self {
        let boxes: Box<[Mailbox]> = (0..vcpus).map(|_| Mailbox::default()).collect();
        boxes.iter().for_each(|b| b.set_quiet(true));
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Hub { boxes, crowded: vcpus > at_once, alarm: Alarm::new(vcpus) }
    }

    /// Number of vCPUs.
    pub fn len(&self) -> usize {
        self.boxes.len()
    }

    /// Whether there is no vCPU.
    pub fn is_empty(&self) -> bool {
        self.boxes.is_empty()
    }

    /// The mailbox of vCPU `index`.
    ///
    /// # Panics
    /// If there is no such vCPU.
    pub fn mailbox(&self, index: usize) -> &Mailbox {
        &self.boxes[index]
    }

    /// [`Mailbox::nudge`] to every vCPU.
    pub fn nudge_all(&self, bits: u32) {
        self.boxes.iter().for_each(|b| b.nudge(bits));
    }

    /// When vCPUs are to look at the clock.
    pub fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// Lets the alarm ring until [`Alarm::end`], for a thread of its own. `timebase`: now; `wait_for`: how long until then,
    /// on the host.
    pub fn ring(&self, timebase: &dyn Fn() -> u64, wait_for: &dyn Fn(u64) -> Duration) {
        self.alarm.ring(timebase, wait_for, &|index| self.boxes[index].nudge(pending::LOOK));
    }

    /// Whether vCPUs wait for each other's host time: who has served its mail then gives way, to those who did not.
    pub fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Posts to vCPU `to`.
    ///
    /// # Panics
    /// If there is no such vCPU.
    pub fn post(&self, to: usize, message: Message) {
        self.boxes[to].post(message);
    }

    /// Posts to every vCPU but `from` (to all with `None`).
    pub fn broadcast(&self, from: Option<usize>, message: Message) {
        for (n, mailbox) in self.boxes.iter().enumerate() {
            if Some(n) != from {
                mailbox.post(message);
            }
        }
    }

    /// Waits until every other vCPU has served what was posted before this call, or is quiet.
    /// `serve` is called while waiting: it must serve the caller's own mailbox.
    pub fn wait_for_all(&self, from: Option<usize>, serve: impl FnMut()) {
        self.wait(from, serve, |mailbox| mailbox.quiet.load(SeqCst));
    }

    /// Waits until no other vCPU uses translations that an [`Message::Invalidate`] posted before this call names. `serve` is
    /// as for [`Hub::wait_for_all`].
    pub fn wait_for_translations(&self, from: Option<usize>, serve: impl FnMut()) {
        self.wait(from, serve, |mailbox| mailbox.quiet.load(SeqCst) || mailbox.in_real_mode.load(SeqCst));
    }

    fn wait(&self, from: Option<usize>, mut serve: impl FnMut(), is_spared: impl Fn(&Mailbox) -> bool) {
        for (n, mailbox) in self.boxes.iter().enumerate() {
            if Some(n) == from {
                continue;
            }
            let number = mailbox.posted.load(SeqCst);
            let mut spins = 0u32;
            while mailbox.served.load(SeqCst) < number && !is_spared(mailbox) {
                serve();
                spins += 1;
                pause(spins);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_poster_waits_for_running_vcpus_only() {
        let hub = Arc::new(Hub::new(3));
        hub.mailbox(0).set_quiet(false);
        hub.mailbox(1).set_quiet(false);
        let other = std::thread::spawn({
            let hub = hub.clone();
            move || loop {
                if hub.mailbox(1).pending() & pending::MAIL != 0 {
                    let (messages, number) = hub.mailbox(1).take();
                    hub.mailbox(1).mark_served(number);
                    return messages;
                }
                std::thread::yield_now();
            }
        });
        let message = Message::Invalidate(Invalidation::Process { pid: 7 });
        hub.broadcast(Some(0), message);
        hub.wait_for_all(Some(0), || ());
        assert_eq!(other.join().unwrap(), [message]);
        // vCPU 2 was quiet: nobody waited, the message is still there.
        assert_eq!(hub.mailbox(2).take().0, [message]);
    }

    #[test]
    fn a_mailbox_that_nobody_serves_stays_small() {
        let hub = Hub::new(1);
        let lpcr = Message::UpdateLpcr { mask: 1, value: 1 };
        hub.broadcast(None, lpcr);
        for page in 0..3 * MOST_MESSAGES as u64 {
            hub.broadcast(None, Message::DropCode { page });
        }
        let (messages, _) = hub.mailbox(0).take();
        assert!(messages.len() <= MOST_MESSAGES + 1, "{}", messages.len());
        assert_eq!(messages[..2], [lpcr, Message::ForgetEverything]);
        assert_eq!(messages.last(), Some(&Message::DropCode { page: 3 * MOST_MESSAGES as u64 - 1 }));
    }

    #[test]
    fn two_waiting_for_each_other_both_finish() {
        let hub = Arc::new(Hub::new(2));
        hub.mailbox(0).set_quiet(false);
        hub.mailbox(1).set_quiet(false);
        let run = |me: usize, hub: Arc<Hub>| {
            let serve = || {
                let (_, number) = hub.mailbox(me).take();
                hub.mailbox(me).mark_served(number);
            };
            for _ in 0..1000 {
                hub.broadcast(Some(me), Message::Invalidate(Invalidation::All));
                hub.wait_for_all(Some(me), serve);
            }
            hub.mailbox(me).set_quiet(true);
        };
        let t = std::thread::spawn({
            let hub = hub.clone();
            move || run(1, hub)
        });
        run(0, hub.clone());
        t.join().unwrap();
    }

    #[test]
    fn sleep_ends_at_a_wanted_bit() {
        let hub = Arc::new(Hub::new(1));
        let t = std::thread::spawn({
            let hub = hub.clone();
            move || hub.mailbox(0).sleep(pending::EXTERNAL, None)
        });
        hub.mailbox(0).raise(pending::PROD);
        hub.mailbox(0).raise(pending::EXTERNAL);
        t.join().unwrap();
        hub.mailbox(0).sleep(pending::STOP, Some(Duration::from_millis(1)));
    }
}
