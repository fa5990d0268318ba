//! XIVE in exploitation mode, the interrupt controller of POWER9 and POWER10 (LoPAPR, "XIVE Exploitation Mode Hypercalls").
//!
//! A *source* has two state bits, P and Q, on pages of its own (ESB); a trigger that they let through goes by the source's
//! routing (EAS) to the *event queue* (END) of a vCPU and priority: four bytes in guest RAM, then a pending bit in that
//! vCPU's *ring* (its thread interrupt context, TIMA), which raises the external interrupt if it is favoured enough.
//!
//! Locks: one a source, one a queue, one a ring; taken in this order, never two of a kind. The source's is held all the way
//! of its event, so that whoever changed a routing or a queue, or synced a source, knows that nothing is under way to the
//! old place.

mod calls;
mod esb;
mod map;
mod queue;
mod ring;
mod saved;

use crate::interrupts::{InterruptError, Servers, check_source};
use crate::{SourceKind, lock};
use esb::Esb;
use platform::{ExternalInterruptLines, GuestMemory, InterruptController, PaprDevice};
use queue::{PRIORITIES, Queue};
use ring::Ring;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub use map::{TIMA_OS_PAGE, TIMA_PAGE_BYTES, TIMA_USER_PAGE};
pub use queue::{PRIORITY_MAX, QUEUE_SHIFT};

/// A source, and where its events go.
#[derive(Debug, Clone, Copy)]
struct Source {
    kind: SourceKind,
    esb: Esb,
    /// The input of a level source.
    asserted: bool,
    /// Events are dropped.
    masked: bool,
    /// Index of the vCPU.
    target: usize,
    priority: u8,
    /// What the guest finds in the queue: its own number of the source.
    eisn: u32,
}

impl Source {
    /// As after power-on: masked twice, known to the guest by its own number.
    const fn new(lisn: u32, kind: SourceKind) -> Source {
        Source { kind, esb: Esb::OFF, asserted: false, masked: true, target: 0, priority: 0, eisn: lisn }
    }

    /// A trigger. Says whether an event goes on to the queue.
    fn trigger(&mut self) -> bool {
        self.esb.trigger()
    }

    /// The level is looked at, at its rise and after an EOI. Says whether an event goes on to the queue.
    fn trigger_level(&mut self) -> bool {
        self.kind == SourceKind::Level && self.asserted && self.esb.trigger_level()
    }

    /// End of interrupt. Says whether an event goes on to the queue.
    fn eoi(&mut self) -> bool {
        self.esb.eoi() | self.trigger_level()
    }
}

/// The interrupt controller of a partition.
pub struct Xive {
    servers: Servers,
    sources: BTreeMap<u32, Mutex<Source>>,
    /// By index of the vCPU times [`PRIORITIES`], plus priority.
    queues: Vec<Mutex<Queue>>,
    /// By index of the vCPU.
    rings: Vec<Mutex<Ring>>,
    memory: Arc<dyn GuestMemory>,
    lines: Arc<dyn ExternalInterruptLines>,
}

impl Xive {
    /// A controller with a ring and queues for each vCPU (`servers`: their interrupt server numbers), a source for an
    /// inter-processor interrupt for each of `max_servers`, and no other sources yet. Queues lie in `memory`.
    ///
    /// # Errors
    /// When a server number occurs twice.
    pub fn new(
        servers: &[u32],
        max_servers: usize,
        memory: Arc<dyn GuestMemory>,
        lines: Arc<dyn ExternalInterruptLines>,
    ) -> Result<Xive, InterruptError> {
        let ipi = |lisn| (lisn, Mutex::new(Source::new(lisn, SourceKind::Message)));
        Ok(Xive {
            servers: Servers::new(servers)?,
            sources: (0..max_servers as u32).map(ipi).collect(),
            queues: (0..servers.len() * PRIORITIES).map(|_| Mutex::new(Queue::RESET)).collect(),
            rings: servers.iter().map(|_| Mutex::new(Ring::RESET)).collect(),
            memory,
            lines,
        })
    }

    /// Makes source `lisn` of a device exist, off.
    ///
    /// # Errors
    /// When the number is outside of those of this machine.
    pub fn add_source(&mut self, lisn: u32, kind: SourceKind) -> Result<(), InterruptError> {
        check_source(lisn)?;
        self.sources.insert(lisn, Mutex::new(Source::new(lisn, kind)));
        Ok(())
    }

    fn source(&self, lisn: u64) -> Option<&Mutex<Source>> {
        self.sources.get(&u32::try_from(lisn).ok()?)
    }

    fn queue(&self, index: usize, priority: u8) -> &Mutex<Queue> {
        &self.queues[index * PRIORITIES + usize::from(priority)]
    }

    /// Changes ring `index`, and its vCPU's line with it.
    fn with_ring<R>(&self, index: usize, change: impl FnOnce(&mut Ring) -> R) -> R {
        let mut ring = lock(&self.rings[index]);
        let before = ring.presents();
        let result = change(&mut ring);
        let after = ring.presents();
        if before != after {
            self.lines.set_external_interrupt(index, after);
        }
        result
    }

    /// Changes a source in a way that says whether an event goes on to its queue, and leads it there.
    fn with_source(&self, source: &Mutex<Source>, change: impl FnOnce(&mut Source) -> bool) -> bool {
        let mut source = lock(source);
        let event = change(&mut source);
        if event && !source.masked {
            let mut queue = lock(self.queue(source.target, source.priority));
            if queue.event(source.eisn, &*self.memory) {
                self.with_ring(source.target, |ring| ring.pend(source.priority));
            }
        }
        event
    }

    /// State of all rings and queues, and of the sources that exist, for people.
    pub fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (index, server) in self.servers.iter().enumerate() {
            let _ = writeln!(text, "server {server}: {}", lock(&self.rings[index]).describe());
            for priority in 0..PRIORITIES as u8 {
                if let Some(queue) = lock(self.queue(index, priority)).describe() {
                    let _ = writeln!(text, "server {server} priority {priority}: {queue}");
                }
            }
        }
        for (lisn, source) in &self.sources {
            let Source { kind, esb, asserted, masked, target, priority, eisn } = *lock(source);
            let server = self.servers.number_of(target);
            let _ = writeln!(
                text,
                "source {lisn:#x}: {kind:?}, PQ {:02b}, asserted {asserted}, masked {masked}, server {server}, \
                 priority {priority}, EISN {eisn:#x}",
                esb.bits()
            );
        }
        text
    }
}

impl InterruptController for Xive {
    fn set_level(&self, lisn: u32, asserted: bool) {
        if let Some(source) = self.source(lisn.into()) {
            self.with_source(source, |source| {
                if source.kind == SourceKind::Level {
                    source.asserted = asserted;
                }
                source.trigger_level()
            });
        }
    }

    fn pulse(&self, lisn: u32) {
        if let Some(source) = self.source(lisn.into()) {
            self.with_source(source, |source| source.kind == SourceKind::Message && source.trigger());
        }
    }
}

impl PaprDevice for Xive {
    fn sections(&self) -> Vec<&dyn snapshot::Section> {
        vec![self]
    }

    fn hcalls(&self) -> &[platform::Hcall] {
        &calls::ROWS
    }

    fn hcall(
        &self,
        opcode: u64,
        context: &mut platform::HcallContext<'_>,
        args: &platform::HcallArgs,
    ) -> platform::papr::HcallStatus {
        self.call(opcode, context, args)
    }

    fn reset(&self) {
        for (&lisn, source) in &self.sources {
            let mut source = lock(source);
            // The input of a level source is the device's, not the guest's.
            *source = Source { asserted: source.asserted, ..Source::new(lisn, source.kind) };
        }
        self.queues.iter().for_each(|queue| *lock(queue) = Queue::RESET);
        (0..self.rings.len()).for_each(|index| self.with_ring(index, |ring| *ring = Ring::RESET));
    }
}

#[cfg(test)]
mod tests;
