//! The registers and memory of one test, as they lie in the guest's memory before and after it.

/// Byte order of the guest: of its instructions and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Little,
    Big,
}

impl Order {
    /// The bytes of a doubleword.
    pub fn doubleword(self, value: u64) -> [u8; 8] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    /// The bytes of a word.
    pub fn word(self, value: u32) -> [u8; 4] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    /// The bytes of a halfword.
    pub fn halfword(self, value: u16) -> [u8; 2] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    /// The bytes of instructions.
    pub fn words(self, words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| self.word(*word)).collect()
    }

    /// Reads a doubleword.
    fn read(self, bytes: &[u8], at: u64) -> u64 {
        let at = at as usize;
        let bytes = bytes[at..at + 8].try_into().expect("eight bytes");
        match self {
            Order::Little => u64::from_le_bytes(bytes),
            Order::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// Bytes of a record: not a divisor of the page size, so that some sandboxes lie across two pages.
pub const RECORD_BYTES: u64 = 2176;
/// Bytes of the memory that a test may access, inside its record.
pub const SANDBOX_BYTES: usize = 640;

/// Offsets in a record.
pub mod at {
    /// General registers.
    pub const GPR: u64 = 0;
    /// Vector-scalar registers, two doublewords each, doubleword 0 first.
    pub const VSR: u64 = 256;
    /// Condition register.
    pub const CR: u64 = 1280;
    /// Fixed-point exception register.
    pub const XER: u64 = 1288;
    /// Count register.
    pub const CTR: u64 = 1296;
    /// Link register.
    pub const LR: u64 = 1304;
    /// Floating-point status and control register.
    pub const FPSCR: u64 = 1312;
    /// Vector status and control register, as `mfvscr` gives it: the low word of 16 bytes.
    pub const VSCR: u64 = 1328;
    /// In: address of the test's first instruction; 0 behind the last record.
    pub const ENTRY: u64 = 1344;
    /// Out: which landing pad was reached, or [`super::SIGNALLED`].
    pub const PAD: u64 = 1352;
    /// Out: number of the signal.
    pub const SIGNAL: u64 = 1360;
    /// Out: its `si_code`.
    pub const CODE: u64 = 1368;
    /// Out: address of the instruction that caused it.
    pub const NIP: u64 = 1376;
    /// The memory that the test may access. A multiple of 128.
    pub const SANDBOX: u64 = 1408;
}

/// The sandbox in a record.
const SANDBOX: std::ops::Range<usize> = at::SANDBOX as usize..at::SANDBOX as usize + SANDBOX_BYTES;

/// The pad of a test that ended in a signal.
pub const SIGNALLED: u64 = 256;

/// Registers and memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub gpr: [u64; 32],
    pub vsr: [u128; 64],
    pub cr: u64,
    pub xer: u64,
    pub ctr: u64,
    pub lr: u64,
    pub fpscr: u64,
    pub vscr: u64,
    pub sandbox: [u8; SANDBOX_BYTES],
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It went on at a landing pad: 0 is the next instruction.
    Pad(u64),
    /// It went on at an address where no pad is.
    Elsewhere(u64),
    /// It raised a signal, with this code, at this address.
    Signal { number: u64, code: u64, nip: u64 },
}

impl Snapshot {
    /// The record's bytes.
    pub fn to_bytes(&self, entry: u64, order: Order) -> Vec<u8> {
        let mut b = vec![0; RECORD_BYTES as usize];
        let mut write = |at: u64, v: u64| b[at as usize..at as usize + 8].copy_from_slice(&order.doubleword(v));
        for (n, v) in self.gpr.iter().enumerate() {
            write(at::GPR + 8 * n as u64, *v);
        }
        for (n, v) in self.vsr.iter().enumerate() {
            write(at::VSR + 16 * n as u64, (v >> 64) as u64);
            write(at::VSR + 16 * n as u64 + 8, *v as u64);
        }
        for (at, v) in [
            (at::CR, self.cr),
            (at::XER, self.xer),
            (at::CTR, self.ctr),
            (at::LR, self.lr),
            (at::FPSCR, self.fpscr),
            (at::VSCR + 8, self.vscr),
            (at::ENTRY, entry),
        ] {
            write(at, v);
        }
        b[SANDBOX].copy_from_slice(&self.sandbox);
        b
    }

    /// What a record holds.
    pub fn from_bytes(b: &[u8], order: Order) -> (Snapshot, Ending) {
        let word = |at| order.read(b, at);
        let ending = if word(at::PAD) == SIGNALLED {
            Ending::Signal { number: word(at::SIGNAL), code: word(at::CODE), nip: word(at::NIP) }
        } else {
            Ending::Pad(word(at::PAD))
        };
        let snapshot = Snapshot {
            gpr: std::array::from_fn(|n| word(at::GPR + 8 * n as u64)),
            vsr: std::array::from_fn(|n| {
                let at = at::VSR + 16 * n as u64;
                u128::from(word(at)) << 64 | u128::from(word(at + 8))
            }),
            cr: word(at::CR),
            xer: word(at::XER),
            ctr: word(at::CTR),
            lr: word(at::LR),
            fpscr: word(at::FPSCR),
            vscr: word(at::VSCR + 8),
            sandbox: b[SANDBOX].try_into().expect("as long as the sandbox"),
        };
        (snapshot, ending)
    }
}
