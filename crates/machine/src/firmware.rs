//! Machine checks on their way to the handler that the guest registered.

use crate::outside::Ram;
use crate::shared::Shared;
use cpu::Interrupt;
use hypervisor::{Hypervisor, MachineCheckCause, MachineCheckDelivery};
use memory::mail::pending;
use platform::{Partition as _, Shutdown};
use std::sync::Arc;
use vcpu::interrupts::MachineCheck;

/// Asks the hypervisor.
pub(crate) struct Firmware {
    pub hypervisor: Arc<Hypervisor>,
    pub shared: Arc<Shared>,
    pub ram: Ram,
}

impl vcpu::interrupts::Firmware for Firmware {
    fn machine_check(&self, index: usize, r3: u64, interrupt: &Interrupt) -> MachineCheck {
        let cause =
            interrupt.dar.map_or(MachineCheckCause::Fetch(interrupt.return_address), MachineCheckCause::LoadOrStore);
        match self.hypervisor.fwnmi_machine_check(index, r3, cause, &self.ram) {
            MachineCheckDelivery::Vector => MachineCheck::Vector,
            MachineCheckDelivery::Entry(entry) => MachineCheck::Entry { nia: entry.nia, r3: entry.r3 },
            MachineCheckDelivery::Busy => {
                // Out of the engine: the vCPU that holds the log may need this one's turn.
                self.shared.memory.hub().mailbox(index).raise(pending::STOP);
                MachineCheck::Later
            }
            MachineCheckDelivery::Checkstop => {
                let message =
                    format!("vCPU {index} had a machine check at {:#x} while it handled one", interrupt.return_address);
                self.shared.request_shutdown(Shutdown::GuestPanicked { message });
                MachineCheck::Vector
            }
        }
    }
}
