//! A vCPU in a snapshot.

use crate::reservation::Reservation;
use crate::{Exit, NOT_ALONE, Vcpu};
use memory::mail::{Invalidation, pending};
use snapshot::{FieldError, Io};

/// Interrupts that are the vCPU's own. External interrupts are the interrupt controller's, the decrementer's follows from
/// its value, and what the machine wants of the vCPU is the machine's.
const OWN: u32 = pending::DOORBELL | pending::SYSTEM_RESET;

impl Vcpu {
    /// Saves or loads a vCPU that executes nothing, and whose mail is served. On loading the machine has given it RAM, hash
    /// table and time, and gives it its process table and the level of its external interrupt afterwards.
    ///
    /// # Errors
    /// What this vCPU cannot hold.
    pub fn snapshot(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        if !io.is_load() {
            self.settle_cr();
        }
        let mut own = self.mailbox().pending() & OWN;
        // Named one by one: what is added to a vCPU has to be thought of here.
        let Vcpu {
            state,
            decrementer_expires,
            random,
            reservation: Reservation { held, real, size, value },
            index,
            model,
            usage,
            // What follows from the others, or from RAM, or is of the engine that happens to run.
            budget: _,
            data_context: _,
            data_entries: _,
            fetch_context: _,
            mode: _,
            pending_mask: _,
            pending: _,
            translated: _,
            raised: _,
            handlers: _,
            contexts: _,
            tlb: _,
            fetched: _,
            cia: _,
            ahead: _,
            cursor: _,
            link: _,
            exit: _,
            result: _,
            bases: _,
            spaces: _,
            slice: _,
            unacknowledged: _,
            code_events: _,
            alone_at: _,
            // The machine's.
            process_table: _,
            hash_table: _,
            memory: _,
            clock: _,
            observer: _,
            mmio: _,
            core: _,
            firmware: _,
        } = self;
        state.snapshot(io)?;
        io.u64("DEC, as a value of TB", decrementer_expires)?;
        io.u64("the state of darn", random)?;
        io.bool("a reservation", held)?;
        io.u64("the address of a reservation", real)?;
        io.u32("the size of a reservation", size)?;
        io.u128("the value of a reservation", value)?;
        usage.fields(io)?;
        io.u32("pending interrupts", &mut own)?;
        io.require("MSR", format_args!("{:#x}", state.msr), state.msr & !model.msr_mask == 0, "bits that the CPU has")?;
        io.require(
            "LPCR",
            format_args!("{:#x}", state.lpcr),
            state.lpcr & !model.lpcr_mask == 0,
            "bits that the CPU has",
        )?;
        io.require("PIR", state.pir, state.pir as usize == *index, *index)?;
        io.require(
            "the size of a reservation",
            *size,
            matches!(size, 0 | 1 | 2 | 4 | 8 | 16),
            "a power of two up to 16",
        )?;
        io.require("pending interrupts", own, own & !OWN == 0, "a doorbell or a system reset")?;
        if io.is_load() {
            self.hash_table = self.memory.hash_table();
            self.exit = Exit::Next;
            self.alone_at = NOT_ALONE;
            self.mailbox().lower(OWN | pending::DECREMENTER | pending::EXTERNAL);
            self.mailbox().raise(own);
            self.invalidate(Invalidation::All);
            self.reload_bases();
            self.refresh_decrementer();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpu::bits::msr;
    use cpu::model::POWER9;
    use memory::Memory;
    use std::sync::Arc;
    use timing::Clock;

    fn vcpu() -> Vcpu {
        let memory = Arc::new(Memory::new(1 << 16, 1).unwrap());
        Vcpu::new(0, &POWER9, memory, Arc::new(Clock::virtual_time(0)), Arc::new(crate::Silent))
    }

    #[test]
    fn a_saved_vcpu_comes_back() {
        let mut first = vcpu();
        first.state.gpr[7] = 0x1234;
        first.state.set_cr(0x1357_9BDF);
        first.set_msr(msr::SF | msr::ME | msr::EE);
        first.set_decrementer(1000);
        first.mailbox().raise(pending::DOORBELL);
        let mut io = Io::save(1);
        first.snapshot(&mut io).unwrap();
        let bytes = io.written();
        let mut second = vcpu();
        let mut io = Io::load(1, &bytes);
        second.snapshot(&mut io).and_then(|()| io.finish()).unwrap();
        assert_eq!(second.state, first.state);
        assert_eq!((second.decrementer(), second.mode), (first.decrementer(), first.mode));
        assert_eq!(second.mailbox().pending() & OWN, pending::DOORBELL);
        assert_eq!(second.pending_mask, first.pending_mask);
        for cut in (0..bytes.len()).step_by(7) {
            assert!(vcpu().snapshot(&mut Io::load(1, &bytes[..cut])).is_err(), "{cut}");
        }
        let mut wrong = bytes.clone();
        // MSR: no CPU has all of these bits.
        wrong[36 * 8..37 * 8].fill(0xFF);
        let error = vcpu().snapshot(&mut Io::load(1, &wrong)).unwrap_err();
        assert!(error.to_string().contains("MSR"), "{error}");
    }
}
