//! The two state bits of an event source, and the operations that their pages offer.

/// P: an event is on its way, or at the guest.
const P: u8 = 2;
/// Q: another one came meanwhile.
const Q: u8 = 1;

/// P and Q.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Esb(u8);

impl Esb {
    /// Ready.
    pub const RESET: Esb = Esb(0);
    /// Off: triggers are dropped.
    pub const OFF: Esb = Esb(Q);

    /// P in bit 1, Q in bit 0.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// A trigger. Says whether the event goes on.
    pub fn trigger(&mut self) -> bool {
        let ready = *self == Esb::RESET;
        if ready {
            self.0 = P;
        } else if self.0 & P != 0 {
            self.0 = P | Q;
        }
        ready
    }

    /// A trigger of a level, which is looked at again after EOI: nothing has to be remembered.
    pub fn trigger_level(&mut self) -> bool {
        *self == Esb::RESET && self.trigger()
    }

    /// End of interrupt. Says whether the event that came meanwhile goes on.
    pub fn eoi(&mut self) -> bool {
        let queued = self.0 == P | Q;
        if queued {
            self.0 = P;
        } else if *self != Esb::OFF {
            *self = Esb::RESET;
        }
        queued
    }

    /// A load from the management page at `offset` (of 4 KiB): what is read, given by `eoi` where the load ends an
    /// interrupt.
    pub fn load(&mut self, offset: u64, eoi: impl FnOnce(&mut Esb) -> bool) -> u64 {
        match offset {
            0..0x800 => eoi(self).into(),
            0x800..0xc00 => self.0.into(),
            _ => self.set(offset),
        }
    }

    /// PQ as the offset (of 0xc00 and up) says. Returns what it was.
    pub fn set(&mut self, offset: u64) -> u64 {
        u64::from(std::mem::replace(&mut self.0, (offset >> 8) as u8 & (P | Q)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_operation() {
        // State, after trigger, whether it goes on, after EOI, whether that goes on.
        for (state, triggered, goes_on, ended, again) in
            [(0, 2, true, 0, false), (1, 1, false, 1, false), (2, 3, false, 0, false), (3, 3, false, 2, true)]
        {
            let mut esb = Esb(state);
            assert_eq!((esb.trigger(), esb.bits()), (goes_on, triggered), "{state}");
            let mut esb = Esb(state);
            assert_eq!((esb.trigger_level(), esb.bits()), (goes_on, if goes_on { 2 } else { state }), "{state}");
            let mut esb = Esb(state);
            assert_eq!((esb.eoi(), esb.bits()), (again, ended), "{state}");
            for new in 0..4 {
                for offset in [0xc00, 0xcf8] {
                    let mut esb = Esb(state);
                    assert_eq!((esb.set(offset | new << 8), esb.bits()), (state.into(), new as u8));
                }
            }
            let mut esb = Esb(state);
            assert_eq!((esb.load(0x800, |_| unreachable!()), esb), (state.into(), Esb(state)));
            assert_eq!(esb.load(0x7f8, Esb::eoi), again.into());
        }
    }
}
