//! XICS in a snapshot.

use super::{Icp, Source, XISR_IPI, XISR_NONE, Xics};
use crate::{SourceKind, lock};
use snapshot::{FieldError, Io, Section, SectionId};
use std::sync::atomic::Ordering::SeqCst;

impl Section for Xics {
    fn id(&self) -> SectionId {
        SectionId::new("xics")
    }

    fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let Xics { servers, icps, sources, waiting, lines } = self;
        // Sources before ICPs: what goes from one to the other meanwhile is in neither or in the second, and the device
        // that sent it is not in the snapshot yet.
        io.fixed("the number of sources", sources.len() as u64)?;
        let mut waits = 0;
        for (xisr, source) in sources {
            let mut source = lock(source);
            let Source { kind, server, priority, saved_priority, asserted, sent } = &mut *source;
            io.fixed("the number of a source", (*xisr).into())?;
            io.fixed("the kind of a source", (*kind == SourceKind::Level).into())?;
            io.u32("the server of a source", server)?;
            io.u8("the priority of a source", priority)?;
            io.u8("the saved priority of a source", saved_priority)?;
            io.bool("the input of a source", asserted)?;
            io.bool("whether a source was presented", sent)?;
            waits += usize::from(source.waits());
        }
        if io.is_load() {
            waiting.store(waits, SeqCst);
        }
        io.fixed("the number of servers", icps.len() as u64)?;
        for (index, (server, icp)) in servers.iter().zip(icps).enumerate() {
            let mut icp = lock(icp);
            let Icp { cppr, mfrr, xisr, pending_priority } = &mut *icp;
            io.fixed("the number of a server", server.into())?;
            io.u8("CPPR", cppr)?;
            io.u8("MFRR", mfrr)?;
            io.u32("XISR", xisr)?;
            io.u8("the priority of XISR", pending_priority)?;
            let there = matches!(*xisr, XISR_NONE | XISR_IPI) || sources.contains_key(xisr);
            io.require("XISR", *xisr, there, "a source of this machine")?;
            if io.is_load() && *xisr != XISR_NONE {
                lines.set_external_interrupt(index, true);
            }
        }
        Ok(())
    }
}
