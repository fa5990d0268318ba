//! The operating system's ring of a vCPU's thread interrupt context.
//!
//! NSR and PIPR follow from the two others at any time: an interrupt is presented exactly while the most favoured pending
//! priority is more favoured than CPPR. (Taking an interrupt sets CPPR to its priority, which is what ends that.)

use super::queue::PRIORITY_MAX;

/// The least favoured priority: nothing is pending; as CPPR, everything is let through.
const PRIORITY_NONE: u8 = 0xff;
/// NSR: the ring presents an interrupt to the operating system.
const NSR_EO: u8 = 0x80;

/// The ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ring {
    /// Current processor priority.
    cppr: u8,
    /// Pending priorities, the most favoured in the highest bit.
    ipb: u8,
}

impl Ring {
    pub const RESET: Ring = Ring { cppr: 0, ipb: 0 };

    /// A ring with these registers.
    pub fn with(cppr: u8, ipb: u8) -> Ring {
        let mut ring = Ring { cppr, ipb };
        ring.set_cppr(cppr);
        ring
    }

    /// CPPR and IPB: all others follow from them.
    pub fn registers(self) -> (u8, u8) {
        let Ring { cppr, ipb } = self;
        (cppr, ipb)
    }

    /// Most favoured pending priority.
    fn pipr(self) -> u8 {
        if self.ipb == 0 { PRIORITY_NONE } else { self.ipb.leading_zeros() as u8 }
    }

    /// Whether an interrupt is presented.
    pub fn presents(self) -> bool {
        self.pipr() < self.cppr
    }

    fn nsr(self) -> u8 {
        if self.presents() { NSR_EO } else { 0 }
    }

    /// A priority becomes pending.
    pub fn pend(&mut self, priority: u8) {
        if priority <= PRIORITY_MAX {
            self.ipb |= 0x80 >> priority;
        }
    }

    /// Sets CPPR.
    pub fn set_cppr(&mut self, cppr: u8) {
        self.cppr = if cppr > PRIORITY_MAX { PRIORITY_NONE } else { cppr };
    }

    /// The guest takes the interrupt: NSR as it was, and CPPR as it is now.
    pub fn acknowledge(&mut self) -> u16 {
        let nsr = self.nsr();
        if self.presents() {
            self.cppr = self.pipr();
            self.ipb &= !(0x80 >> self.cppr);
        }
        u16::from_be_bytes([nsr, self.cppr])
    }

    /// The ring's first eight bytes as the operating system may read them: NSR, CPPR, IPB, LSMFB, ACK_CNT, INC, AGE (which
    /// it may not), PIPR. Logical servers, which LSMFB and the others are about, there are none.
    pub fn bytes(self) -> [u8; 8] {
        [self.nsr(), self.cppr, self.ipb, 0xff, 0xff, 0, 0, self.pipr()]
    }

    pub fn describe(self) -> String {
        format!("NSR {:#04x}, CPPR {:#04x}, IPB {:#04x}, PIPR {:#04x}", self.nsr(), self.cppr, self.ipb, self.pipr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_favoured_first_and_nothing_twice() {
        let mut ring = Ring::RESET;
        assert_eq!(ring.bytes(), [0, 0, 0, 0xff, 0xff, 0, 0, 0xff]);
        ring.pend(6);
        ring.pend(4);
        ring.pend(8);
        assert!(!ring.presents(), "CPPR 0 lets nothing through");
        assert_eq!(ring.acknowledge(), 0);
        ring.set_cppr(5);
        assert_eq!(ring.bytes(), [0x80, 5, 0b1010, 0xff, 0xff, 0, 0, 4]);
        assert_eq!(ring.acknowledge(), 0x8004);
        assert!(!ring.presents());
        assert_eq!(ring.acknowledge(), 4);
        ring.set_cppr(9);
        assert_eq!(ring.acknowledge(), 0x8006);
        ring.set_cppr(0xff);
        assert_eq!(ring.acknowledge(), 0xff);
        // A CPPR that precludes what is presented takes it back.
        ring.pend(6);
        assert!(ring.presents());
        ring.set_cppr(6);
        assert!(!ring.presents());
    }
}
