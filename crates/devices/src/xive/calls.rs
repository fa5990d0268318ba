//! The hypercalls of exploitation mode (LoPAPR, "XIVE Exploitation Mode Hypercalls").
//!
//! Numbers of sources, servers, priorities and sizes are compared in all their 64 bits.

use super::queue::{PRIORITY_MAX, Place, QUEUE_SHIFTS, Queue};
use super::{Source, Xive, map};
use crate::{SourceKind, lock};
use platform::papr::{HcallStatus, opcode::*};
use platform::{Access, Hcall, HcallArgs, HcallContext, check_range};
use std::sync::Mutex;

macro_rules! rows {
    ($($opcode:ident)*) => { [$(Hcall { opcode: $opcode, name: stringify!($opcode), hypertas: None }),*] };
}

/// Rows of the hypercall table.
pub(super) const ROWS: [Hcall; 11] = rows! {
    H_INT_GET_SOURCE_INFO H_INT_SET_SOURCE_CONFIG H_INT_GET_SOURCE_CONFIG H_INT_GET_QUEUE_INFO H_INT_SET_QUEUE_CONFIG
    H_INT_GET_QUEUE_CONFIG H_INT_SET_OS_REPORTING_LINE H_INT_GET_OS_REPORTING_LINE H_INT_ESB H_INT_SYNC H_INT_RESET
};

/// H_INT_GET_SOURCE_INFO: state bits are reached by H_INT_ESB only.
const INFO_BY_HCALL: u64 = 1 << 3;
/// H_INT_GET_SOURCE_INFO: a level.
const INFO_LEVEL: u64 = 1 << 2;
/// H_INT_SET_SOURCE_CONFIG: sets the guest's number.
const CONFIG_SET_EISN: u64 = 1 << 1;
/// H_INT_SET_SOURCE_CONFIG: masks the source.
const CONFIG_MASK: u64 = 1 << 0;
/// Priority that masks a source, and forgets where its events went.
const PRIORITY_OFF: u64 = 0xff;
/// Queues: every event tells the vCPU.
const QUEUE_ALWAYS_NOTIFY: u64 = 1 << 0;
/// H_INT_GET_QUEUE_CONFIG: tells position and generation, too.
const QUEUE_DEBUG: u64 = 1 << 0;
/// H_INT_GET_QUEUE_CONFIG: the generation.
const QUEUE_GENERATION: u64 = 1 << 1;
/// H_INT_ESB: a store.
const ESB_STORE: u64 = 1 << 0;
/// Bits of the guest's number of a source that a routing holds.
const EISN_MASK: u64 = 0x7fff_ffff;
/// "None", where a real address is told, and what a store returns.
const NONE: u64 = u64::MAX;

type Answer<T = ()> = Result<T, HcallStatus>;

/// `Err(status)` unless `good`.
fn expect(good: bool, status: HcallStatus) -> Answer {
    if good { Ok(()) } else { Err(status) }
}

/// A priority that is the guest's own: 7 is the hypervisor's (`ibm,plat-res-int-priorities`).
fn priority(value: u64, status: HcallStatus) -> Answer<u8> {
    match u8::try_from(value) {
        Ok(priority) if priority < PRIORITY_MAX => Ok(priority),
        _ => Err(status),
    }
}

impl Xive {
    pub(super) fn call(&self, opcode: u64, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
        let answer = match opcode {
            H_INT_GET_SOURCE_INFO => self.get_source_info(context, args),
            H_INT_SET_SOURCE_CONFIG => self.set_source_config(args),
            H_INT_GET_SOURCE_CONFIG => self.get_source_config(context, args),
            H_INT_GET_QUEUE_INFO => self.get_queue_info(context, args),
            H_INT_SET_QUEUE_CONFIG => self.set_queue_config(args),
            H_INT_GET_QUEUE_CONFIG => self.get_queue_config(context, args),
            // Reporting lines are not offered: an interrupt is taken by a load.
            H_INT_SET_OS_REPORTING_LINE | H_INT_GET_OS_REPORTING_LINE => Err(HcallStatus::H_FUNCTION),
            H_INT_ESB => self.esb(context, args),
            H_INT_SYNC => self.sync(args),
            H_INT_RESET => self.reset_routing(args),
            _ => Err(HcallStatus::H_FUNCTION),
        };
        answer.err().unwrap_or(HcallStatus::H_SUCCESS)
    }

    /// Flags and source.
    fn flags_and_source(&self, args: &HcallArgs, flags: u64) -> Answer<(u32, &Mutex<Source>)> {
        expect(args[0] & !flags == 0, HcallStatus::H_PARAMETER)?;
        let source = self.source(args[1]).ok_or(HcallStatus::H_P2)?;
        Ok((args[1] as u32, source))
    }

    /// Flags, server and priority: index of the vCPU, and the priority.
    fn flags_and_queue(&self, args: &HcallArgs, flags: u64) -> Answer<(usize, u8)> {
        expect(args[0] & !flags == 0, HcallStatus::H_PARAMETER)?;
        let priority = priority(args[2], HcallStatus::H_P3)?;
        let index = self.servers.index_of(args[1]).ok_or(HcallStatus::H_P2)?;
        Ok((index, priority))
    }

    /// Where the source's pages are: flags, management page, trigger page, base-2 logarithm of their size.
    fn get_source_info(&self, context: &mut HcallContext<'_>, args: &HcallArgs) -> Answer {
        let (lisn, source) = self.flags_and_source(args, 0)?;
        let [trigger, manage] = Xive::source_pages(lisn);
        // A level's state bits would not be looked at again after an end of interrupt that a host makes.
        let (flags, manage, trigger) = match lock(source).kind {
            SourceKind::Message => (0, manage, trigger),
            SourceKind::Level => (INFO_BY_HCALL | INFO_LEVEL, NONE, NONE),
        };
        for (at, value) in [flags, manage, trigger, map::PAGE_SHIFT.into()].into_iter().enumerate() {
            context.vcpu.set_gpr(4 + at, value);
        }
        Ok(())
    }

    /// Source, server, priority, the guest's number.
    fn set_source_config(&self, args: &HcallArgs) -> Answer {
        let (lisn, source) = self.flags_and_source(args, CONFIG_SET_EISN | CONFIG_MASK)?;
        if args[3] == PRIORITY_OFF {
            let mut source = lock(source);
            let Source { masked, target, priority, eisn, .. } = Source::new(lisn, source.kind);
            *source = Source { masked, target, priority, eisn, ..*source };
            return Ok(());
        }
        let priority = priority(args[3], HcallStatus::H_P4)?;
        let target = self.servers.index_of(args[2]).ok_or(HcallStatus::H_P3)?;
        let mut source = lock(source);
        let eisn = if args[0] & CONFIG_SET_EISN != 0 { (args[4] & EISN_MASK) as u32 } else { source.eisn };
        *source = Source { masked: args[0] & CONFIG_MASK != 0, target, priority, eisn, ..*source };
        Ok(())
    }

    /// Server, priority (0xff: masked), the guest's number.
    fn get_source_config(&self, context: &mut HcallContext<'_>, args: &HcallArgs) -> Answer {
        let (_, source) = self.flags_and_source(args, 0)?;
        let Source { masked, target, priority, eisn, .. } = *lock(source);
        context.vcpu.set_gpr(4, self.servers.number_of(target).into());
        context.vcpu.set_gpr(5, if masked { PRIORITY_OFF } else { priority.into() });
        context.vcpu.set_gpr(6, eisn.into());
        Ok(())
    }

    /// Notification page, base-2 logarithm of its size.
    fn get_queue_info(&self, context: &mut HcallContext<'_>, args: &HcallArgs) -> Answer {
        let (index, priority) = self.flags_and_queue(args, 0)?;
        context.vcpu.set_gpr(4, self.queue_page(index, priority));
        context.vcpu.set_gpr(5, map::PAGE_SHIFT.into());
        Ok(())
    }

    /// Server, priority, real address, base-2 logarithm of the size (0: the queue goes away).
    fn set_queue_config(&self, args: &HcallArgs) -> Answer {
        let (index, priority) = self.flags_and_queue(args, QUEUE_ALWAYS_NOTIFY)?;
        let (base_ra, shift) = (args[3], args[4]);
        let queue = if shift == 0 {
            Queue::RESET
        } else {
            expect(QUEUE_SHIFTS.contains(&shift), HcallStatus::H_P5)?;
            let in_ram = check_range(self.memory.size_bytes(), Access::Write, base_ra, 1 << shift).is_ok();
            expect(base_ra.trailing_zeros() >= shift as u32 && in_ram, HcallStatus::H_P4)?;
            Queue::at(Place { base_ra, shift: shift as u32 }, args[0] & QUEUE_ALWAYS_NOTIFY != 0)
        };
        *lock(self.queue(index, priority)) = queue;
        Ok(())
    }

    /// Flags, real address, base-2 logarithm of the size, position.
    fn get_queue_config(&self, context: &mut HcallContext<'_>, args: &HcallArgs) -> Answer {
        let (index, priority) = self.flags_and_queue(args, QUEUE_DEBUG)?;
        let queue = *lock(self.queue(index, priority));
        let debug = args[0] & QUEUE_DEBUG != 0;
        let flags = if queue.always_notify { QUEUE_ALWAYS_NOTIFY } else { 0 }
            | if debug && queue.generation { QUEUE_GENERATION } else { 0 };
        let (base_ra, shift) = queue.place.map_or((0, 0), |place| (place.base_ra, place.shift));
        let position = if debug { queue.index } else { 0 };
        for (at, value) in [flags, base_ra, shift.into(), position.into()].into_iter().enumerate() {
            context.vcpu.set_gpr(4 + at, value);
        }
        Ok(())
    }

    /// Source, offset in its management page, what is stored.
    fn esb(&self, context: &mut HcallContext<'_>, args: &HcallArgs) -> Answer {
        let (_, source) = self.flags_and_source(args, ESB_STORE)?;
        let offset = args[2];
        expect(offset < 1 << map::PAGE_SHIFT && offset.is_multiple_of(8), HcallStatus::H_P3)?;
        let loaded = if args[0] & ESB_STORE == 0 {
            self.load_source(source, offset)
        } else {
            self.store_source(source, offset);
            NONE
        };
        context.vcpu.set_gpr(4, loaded);
        Ok(())
    }

    /// Source. An event is under way only while the source's lock is held.
    fn sync(&self, args: &HcallArgs) -> Answer {
        let (_, source) = self.flags_and_source(args, 0)?;
        drop(lock(source));
        Ok(())
    }

    /// All routings and queues as after power-on. State bits and rings stay.
    fn reset_routing(&self, args: &HcallArgs) -> Answer {
        expect(args[0] == 0, HcallStatus::H_PARAMETER)?;
        for (&lisn, source) in &self.sources {
            let mut source = lock(source);
            let Source { esb, asserted, .. } = *source;
            *source = Source { esb, asserted, ..Source::new(lisn, source.kind) };
        }
        self.queues.iter().for_each(|queue| *lock(queue) = Queue::RESET);
        Ok(())
    }
}
