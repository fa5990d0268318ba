//! Firmware-assisted non-maskable interrupts: a guest names the entry points for system reset and machine check.

use crate::Hypervisor;
use crate::rtas::RTAS_ERROR_LOG_MAX_BYTES;
use crate::table::lock;
use platform::GuestMemory;

/// Where, in the RTAS area, a machine check puts r3 and the error log.
const ERROR_LOG_OFFSET: u64 = 0x30;
/// A vCPU's place for a system reset: saved r3, and a doubleword of zeros for the case that no error is logged.
const SYSTEM_RESET_SLOT_BYTES: u64 = 16;
/// Entry points have to lie below this (the guest runs there without translation).
pub(crate) const ENTRY_LIMIT: u32 = 32 << 20;

/// Fixed part of an RTAS error log: version 6; severity "error, synchronous" (3), disposition "not recovered" (2);
/// initiator and target CPU (1, 1); type 0; no extended log.
const ERROR_LOG: [u8; 8] = [6, (3 << 5) | (2 << 3), (1 << 4) | 1, 0, 0, 0, 0, 0];

/// What the guest registered.
#[derive(Debug, Default)]
pub(crate) struct Fwnmi {
    /// System reset and machine check entry.
    pub(crate) entries: Option<(u32, u32)>,
    /// The vCPU that handles a machine check and has not released the error log yet.
    pub(crate) interlock: Option<usize>,
}

/// How a vCPU enters the guest's handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FwnmiEntry {
    /// First instruction, in place of the interrupt vector. MSR, SRR0 and SRR1 are as for the interrupt.
    pub nia: u64,
    /// What r3 holds there.
    pub r3: u64,
}

/// What becomes of a machine check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineCheckDelivery {
    /// The interrupt at 0x200, as without firmware assistance.
    Vector,
    /// The handler that the guest registered.
    Entry(FwnmiEntry),
    /// The error log is still held from the machine check before: the guest cannot go on.
    Checkstop,
}

impl Hypervisor {
    /// For the delivery of a system reset to vCPU `index` with `r3`, on its thread: the entry that the guest registered,
    /// with r3 saved for it; `None`: the interrupt at 0x100.
    pub fn fwnmi_system_reset(&self, index: usize, r3: u64, memory: &dyn GuestMemory) -> Option<FwnmiEntry> {
        let (entry, _) = lock(&self.fwnmi).entries?;
        if index >= self.config.max_vcpus {
            return None;
        }
        let slot_ra = self.rtas_base_ra() + RTAS_ERROR_LOG_MAX_BYTES + index as u64 * SYSTEM_RESET_SLOT_BYTES;
        memory.write_be_u64(slot_ra, r3).and_then(|()| memory.write_be_u64(slot_ra + 8, 0)).ok()?;
        Some(FwnmiEntry { nia: entry.into(), r3: slot_ra })
    }

    /// For the delivery of a machine check to vCPU `index` with `r3`, on its thread. Takes the error log, which the guest
    /// gives back by `ibm,nmi-interlock`.
    pub fn fwnmi_machine_check(&self, index: usize, r3: u64, memory: &dyn GuestMemory) -> MachineCheckDelivery {
        let mut fwnmi = lock(&self.fwnmi);
        let Some((_, entry)) = fwnmi.entries else { return MachineCheckDelivery::Vector };
        if fwnmi.interlock.is_some() {
            return MachineCheckDelivery::Checkstop;
        }
        let log_ra = self.rtas_base_ra() + ERROR_LOG_OFFSET;
        if memory.write_be_u64(log_ra, r3).and_then(|()| memory.write(log_ra + 8, &ERROR_LOG)).is_err() {
            return MachineCheckDelivery::Vector;
        }
        fwnmi.interlock = Some(index);
        MachineCheckDelivery::Entry(FwnmiEntry { nia: entry.into(), r3: log_ra })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::{RTAS_BASE, Rig};
    use platform::papr::token::*;

    #[test]
    fn without_registration_nothing_changes() {
        let rig = Rig::new("power9", &[]);
        assert_eq!(rig.hypervisor.fwnmi_system_reset(0, 1, &rig.world.memory), None);
        assert_eq!(rig.hypervisor.fwnmi_machine_check(0, 1, &rig.world.memory), MachineCheckDelivery::Vector);
        assert_eq!(rig.rtas(IBM_NMI_INTERLOCK, &[], 1), [-3]);
    }

    #[test]
    fn registered_entries() {
        let rig = Rig::new("power9", &[]);
        for entries in [[0x0200_0000, 0x1000], [0x1000, u32::MAX], [0x1002, 0x1000], [0x1000, 0x1001]] {
            assert_eq!(rig.rtas(IBM_NMI_REGISTER, &entries, 1), [-3], "{entries:x?}");
        }
        assert_eq!(rig.rtas(IBM_NMI_REGISTER, &[0x1000, 0x2000], 1), [0]);
        let memory = &rig.world.memory;
        let slot = RTAS_BASE + 2048 + 32;
        let entry = rig.hypervisor.fwnmi_system_reset(2, 0xabc, memory).unwrap();
        assert_eq!(entry, FwnmiEntry { nia: 0x1000, r3: slot });
        assert_eq!(memory.read_be_u64(slot).unwrap(), 0xabc);
        assert_eq!(rig.hypervisor.fwnmi_system_reset(1000, 0, memory), None);

        let log = RTAS_BASE + 0x30;
        let delivery = rig.hypervisor.fwnmi_machine_check(0, 0xdef, memory);
        assert_eq!(delivery, MachineCheckDelivery::Entry(FwnmiEntry { nia: 0x2000, r3: log }));
        assert_eq!((memory.read_be_u64(log).unwrap(), memory.read_u8(log + 8).unwrap()), (0xdef, 6));
        assert_eq!(rig.hypervisor.fwnmi_machine_check(1, 0, memory), MachineCheckDelivery::Checkstop);
        assert_eq!(rig.rtas(IBM_NMI_INTERLOCK, &[], 1), [0]);
        assert_eq!(rig.rtas(IBM_NMI_INTERLOCK, &[], 1), [-3]);
        rig.hypervisor.reset();
        assert_eq!(rig.hypervisor.fwnmi_system_reset(0, 1, memory), None);
    }

    #[test]
    fn the_capability_takes_the_calls_away() {
        let rig = Rig::new("power9", &[("fwnmi", "off")]);
        assert!(rig.hypervisor.rtas_functions().all(|row| row.token != IBM_NMI_REGISTER));
        assert_eq!(rig.rtas(IBM_NMI_REGISTER, &[0x1000, 0x2000], 1), [-3]);
    }
}
