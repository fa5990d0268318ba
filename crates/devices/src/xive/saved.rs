//! XIVE in a snapshot.

use super::esb::Esb;
use super::queue::{PRIORITIES, Place, QUEUE_SHIFTS, Queue};
use super::ring::Ring;
use super::{Source, Xive};
use crate::{SourceKind, lock};
use snapshot::{FieldError, Io, Section, SectionId};

impl Section for Xive {
    fn id(&self) -> SectionId {
        SectionId::new("xive")
    }

    fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let Xive { servers, sources, queues, rings, memory, lines } = self;
        // Along the way of an event, as for XICS.
        io.fixed("the number of sources", sources.len() as u64)?;
        for (lisn, source) in sources {
            let mut source = lock(source);
            let Source { kind, esb, asserted, masked, target, priority, eisn } = &mut *source;
            io.fixed("the number of a source", (*lisn).into())?;
            io.fixed("the kind of a source", (*kind == SourceKind::Level).into())?;
            esb.fields(io)?;
            io.bool("the input of a source", asserted)?;
            io.bool("whether a source is masked", masked)?;
            io.index("the vCPU of a source", target, rings.len())?;
            io.u8("the priority of a source", priority)?;
            io.require("the priority of a source", *priority, usize::from(*priority) < PRIORITIES, "0 to 7")?;
            io.u32("EISN", eisn)?;
        }
        io.fixed("the number of queues", queues.len() as u64)?;
        for queue in queues {
            let mut queue = lock(queue);
            let Queue { place, always_notify, index, generation, notification, escalation } = &mut *queue;
            let mut at = place.map(|Place { base_ra, shift }| [base_ra, shift.into()]);
            io.option("a queue", &mut at, |io, at| io.u64s("the place of a queue", at))?;
            io.bool("whether each event is told", always_notify)?;
            io.u32("the next entry of a queue", index)?;
            io.bool("the generation of a queue", generation)?;
            notification.fields(io)?;
            escalation.fields(io)?;
            if let Some([base_ra, shift]) = at {
                let fits = QUEUE_SHIFTS.contains(&shift)
                    && base_ra.checked_add(1 << shift.min(63)).is_some_and(|end| end <= memory.size_bytes())
                    && u64::from(*index) < 1 << (shift.min(63) - 2);
                io.require("a queue", format_args!("2^{shift} bytes at {base_ra:#x}"), fits, "one that lies in RAM")?;
            }
            *place = at.map(|[base_ra, shift]| Place { base_ra, shift: shift as u32 });
        }
        for (index, (server, ring)) in servers.iter().zip(rings).enumerate() {
            let mut ring = lock(ring);
            io.fixed("the number of a server", server.into())?;
            ring.fields(io)?;
            if io.is_load() && ring.presents() {
                lines.set_external_interrupt(index, true);
            }
        }
        Ok(())
    }
}

impl Esb {
    fn fields(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let mut bits = self.bits();
        io.u8("P and Q", &mut bits)?;
        io.require("P and Q", bits, bits < 4, "two bits")?;
        self.set(u64::from(bits) << 8);
        Ok(())
    }
}

impl Ring {
    fn fields(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let (mut cppr, mut ipb) = self.registers();
        io.u8("CPPR", &mut cppr)?;
        io.u8("IPB", &mut ipb)?;
        *self = Ring::with(cppr, ipb);
        Ok(())
    }
}
