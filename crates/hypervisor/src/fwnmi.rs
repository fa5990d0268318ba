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

/// Error log of a machine check: severity "error, synchronous" (3), disposition "not recovered" (2), an extended log
/// follows; initiator CPU (1), target memory (4), no more exact type (PAPR, RTAS error and event return format).
const SUMMARY: [u8; 4] = [6, (3 << 5) | (2 << 3) | (1 << 2), (1 << 4) | 4, 0];
/// Head of the extended log, version 6: valid, unrecoverable, new, big-endian; POWER's format; a platform event log.
const EXTENDED_HEAD: [u8; 16] =
    [0x80 | 0x40 | 0x04 | 0x02, 0, 0x80 | 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'I', b'B', b'M', 0];
/// The machine check section: head and content.
const SECTION_BYTES: usize = 8 + 32;
/// r3, summary with the length of the rest, and the rest.
const LOG_BYTES: usize = 8 + 8 + EXTENDED_HEAD.len() + SECTION_BYTES;
/// The error is an uncorrectable one of memory.
const UNCORRECTABLE: u8 = 0;
/// Of these: a fetch, a load or store; the effective address is given.
const FETCH: u8 = 1;
const LOAD_OR_STORE: u8 = 3;
const EFFECTIVE_ADDRESS_GIVEN: u8 = 0x40;

/// What failed in a machine check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineCheckCause {
    /// The fetch of the instruction at this effective address.
    Fetch(u64),
    /// A load or store at this effective address.
    LoadOrStore(u64),
}

/// What r3 points to: its old value, and the error log.
fn log_of(r3: u64, server: u32, cause: MachineCheckCause) -> [u8; LOG_BYTES] {
    let (kind, ea) = match cause {
        MachineCheckCause::Fetch(ea) => (FETCH, ea),
        MachineCheckCause::LoadOrStore(ea) => (LOAD_OR_STORE, ea),
    };
    let mut log = [0; LOG_BYTES];
    let mut rest = &mut log[..];
    let mut put = |bytes: &[u8]| {
        let (head, tail) = std::mem::take(&mut rest).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        rest = tail;
    };
    put(&r3.to_be_bytes());
    put(&SUMMARY);
    put(&((EXTENDED_HEAD.len() + SECTION_BYTES) as u32).to_be_bytes());
    put(&EXTENDED_HEAD);
    put(b"MC");
    put(&(SECTION_BYTES as u16).to_be_bytes());
    // Version, subtype, component that made it.
    put(&[1, 0, 0, 0]);
    // No field-replaceable unit.
    put(&[0; 4]);
    put(&server.to_be_bytes());
    put(&[UNCORRECTABLE, kind | EFFECTIVE_ADDRESS_GIVEN, 0, 0, 0, 0, 0, 0]);
    put(&ea.to_be_bytes());
    put(&[0; 8]);
    log
}

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
    /// Another vCPU holds the error log: the check is to be told of again later.
    Busy,
    /// The vCPU itself holds the error log from the machine check before: it cannot go on.
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
    pub fn fwnmi_machine_check(
        &self,
        index: usize,
        r3: u64,
        cause: MachineCheckCause,
        memory: &dyn GuestMemory,
    ) -> MachineCheckDelivery {
        let mut fwnmi = lock(&self.fwnmi);
        let Some((_, entry)) = fwnmi.entries else { return MachineCheckDelivery::Vector };
        match fwnmi.interlock {
            Some(holder) if holder == index => return MachineCheckDelivery::Checkstop,
            Some(_) => return MachineCheckDelivery::Busy,
            None => {}
        }
        let log_ra = self.rtas_base_ra() + ERROR_LOG_OFFSET;
        if memory.write(log_ra, &log_of(r3, index as u32, cause)).is_err() {
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

    const CAUSE: MachineCheckCause = MachineCheckCause::LoadOrStore(0xc000_0000_1234_5678);

    /// Read as Linux reads it: by the lengths that the log itself tells.
    #[test]
    fn the_log_is_well_formed() {
        let log = log_of(0xdef, 3, CAUSE);
        assert_eq!((&log[..8], &log[8..12]), (&0xdef_u64.to_be_bytes()[..], &[6, 0x74, 0x14, 0][..]));
        let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap()) as usize;
        let extended = &log[16..][..word(12)];
        assert_eq!(16 + extended.len(), log.len());
        assert_eq!((extended[2] & 0xf, &extended[12..16]), (14, &b"IBM\0"[..]));
        let section = &extended[16..];
        assert_eq!(
            (&section[..2], usize::from(section[2]) << 8 | usize::from(section[3])),
            (&b"MC"[..], section.len())
        );
        assert_eq!((section[15], section[16], section[17]), (3, 0, 0x43));
        assert_eq!(section[24..32], 0xc000_0000_1234_5678_u64.to_be_bytes());
        assert_eq!(log_of(0, 0, MachineCheckCause::Fetch(0))[8 + 8 + 16 + 17], 0x41);
        const { assert!(LOG_BYTES as u64 + ERROR_LOG_OFFSET <= RTAS_ERROR_LOG_MAX_BYTES) };
    }

    #[test]
    fn without_registration_nothing_changes() {
        let rig = Rig::new("power9", &[]);
        assert_eq!(rig.hypervisor.fwnmi_system_reset(0, 1, &rig.world.memory), None);
        assert_eq!(rig.hypervisor.fwnmi_machine_check(0, 1, CAUSE, &rig.world.memory), MachineCheckDelivery::Vector);
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
        let delivery = rig.hypervisor.fwnmi_machine_check(0, 0xdef, CAUSE, memory);
        assert_eq!(delivery, MachineCheckDelivery::Entry(FwnmiEntry { nia: 0x2000, r3: log }));
        assert_eq!((memory.read_be_u64(log).unwrap(), memory.read_u8(log + 8).unwrap()), (0xdef, 6));
        assert_eq!(rig.hypervisor.fwnmi_machine_check(1, 0, CAUSE, memory), MachineCheckDelivery::Busy);
        assert_eq!(rig.hypervisor.fwnmi_machine_check(0, 0, CAUSE, memory), MachineCheckDelivery::Checkstop);
        assert_eq!(rig.rtas(IBM_NMI_INTERLOCK, &[], 1), [0]);
        // Linux gives it back behind system resets too.
        assert_eq!(rig.rtas(IBM_NMI_INTERLOCK, &[], 1), [0]);
        let delivery = rig.hypervisor.fwnmi_machine_check(1, 0, CAUSE, memory);
        assert!(matches!(delivery, MachineCheckDelivery::Entry(_)));
        // Not vCPU 0's, and so nothing happens; a kernel that registers anew holds nothing.
        assert_eq!(rig.rtas(IBM_NMI_INTERLOCK, &[], 1), [0]);
        assert_eq!(rig.hypervisor.fwnmi_machine_check(0, 0, CAUSE, memory), MachineCheckDelivery::Busy);
        assert_eq!(rig.rtas(IBM_NMI_REGISTER, &[0x1000, 0x2000], 1), [0]);
        assert_eq!(rig.hypervisor.fwnmi_machine_check(1, 0, CAUSE, memory), delivery);
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
