//! An event queue of a vCPU and priority (END): where in guest RAM events are put, and whether its vCPU is told.

use super::esb::Esb;
use platform::GuestMemory;

/// Priorities, and so queues, of a vCPU.
pub(super) const PRIORITIES: usize = 8;
/// The least favoured priority of a queue.
pub const PRIORITY_MAX: u8 = 7;
/// Base-2 logarithm of the size that guests are told of.
pub const QUEUE_SHIFT: u32 = 16;
/// Base-2 logarithms of the sizes that a queue may have.
pub(super) const QUEUE_SHIFTS: [u64; 4] = [12, 16, 21, 24];
/// The event's number takes the low 31 bits of an entry, the generation the high one.
const EISN_MASK: u32 = 0x7fff_ffff;
const ENTRY_BYTES: u64 = 4;

/// Where a queue lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Real address.
    pub base_ra: u64,
    /// Base-2 logarithm of its size in bytes.
    pub shift: u32,
}

/// An event queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queue {
    /// `None`: events are dropped.
    pub place: Option<Place>,
    /// Every event tells the vCPU; else `notification` decides.
    pub always_notify: bool,
    /// The next entry.
    pub index: u32,
    /// What the next entry has in its highest bit; changes with each round.
    pub generation: bool,
    /// State bits of notification.
    pub notification: Esb,
    /// State bits of escalation, which leads nowhere in a partition.
    pub escalation: Esb,
}

impl Queue {
    pub const RESET: Queue = Queue {
        place: None,
        always_notify: false,
        index: 0,
        generation: false,
        notification: Esb::OFF,
        escalation: Esb::OFF,
    };

    /// An empty queue. Entries of the first round have 1 in their highest bit.
    pub fn at(place: Place, always_notify: bool) -> Queue {
        Queue {
            place: Some(place),
            always_notify,
            generation: true,
            notification: Esb::RESET,
            escalation: Esb::RESET,
            ..Queue::RESET
        }
    }

    /// An event with the guest's number `eisn`. Says whether the vCPU is to be told.
    pub fn event(&mut self, eisn: u32, memory: &dyn GuestMemory) -> bool {
        let Some(Place { base_ra, shift }) = self.place else { return false };
        let entry = u32::from(self.generation) << 31 | eisn & EISN_MASK;
        // The place was looked at when the queue was set up, and RAM does not shrink.
        let _ = memory.write_be_u32(base_ra + ENTRY_BYTES * u64::from(self.index), entry);
        self.index = (self.index + 1) & ((1 << (shift - ENTRY_BYTES.trailing_zeros())) - 1);
        self.generation ^= self.index == 0;
        self.always_notify || self.notification.trigger()
    }

    /// What there is to say of a queue that is set up.
    pub fn describe(self) -> Option<String> {
        let Place { base_ra, shift } = self.place?;
        let Queue { always_notify, index, generation, notification, escalation, .. } = self;
        Some(format!(
            "at {base_ra:#x}, 2^{shift} bytes, always notify {always_notify}, entry {index}, generation {generation}, \
             ESn {:02b}, ESe {:02b}",
            notification.bits(),
            escalation.bits()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::VecMemory;

    #[test]
    fn a_queue_goes_round_and_its_generation_turns() {
        let memory = VecMemory::new(0x3000);
        let mut queue = Queue::at(Place { base_ra: 0x1000, shift: 12 }, true);
        for event in 0..2050u32 {
            assert!(queue.event(event | 1 << 31, &memory));
            let entry = memory.read_be_u32(0x1000 + 4 * u64::from(event % 1024)).unwrap();
            assert_eq!(entry, event | (u32::from(event / 1024 != 1)) << 31);
        }
        assert_eq!((queue.index, queue.generation), (2, true));
        assert_eq!((memory.read_be_u32(0xffc).unwrap(), memory.read_be_u32(0x2000).unwrap()), (0, 0));
    }

    #[test]
    fn told_once_until_the_notification_is_ended() {
        let memory = VecMemory::new(0x2000);
        let mut queue = Queue::at(Place { base_ra: 0, shift: 12 }, false);
        assert_eq!([queue.event(1, &memory), queue.event(2, &memory)], [true, false]);
        assert!(queue.notification.eoi());
        assert!(!queue.notification.eoi());
        assert!(queue.event(3, &memory));
        assert!(!Queue::RESET.clone().event(1, &memory));
    }
}
