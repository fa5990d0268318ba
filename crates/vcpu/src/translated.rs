//! What generated code alone uses of a vCPU: see `docs/jit.md` for who reads and writes what.

use crate::Vcpu;

/// Entries of the jump cache, a power of two.
pub const JUMPS: usize = 8192;

/// One way from an effective address to generated code.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub struct Jump {
    /// Effective address; odd (no instruction's) if the entry is empty.
    pub ea: u64,
    /// [`Translated::jump_key`] that it holds for.
    pub key: u64,
    /// Host address of the code.
    pub code: u64,
}

/// CFAR stands in the state.
pub const NOT_BRANCHED: i32 = -1;

/// An entry that nothing finds.
pub const NO_JUMP: Jump = Jump { ea: 1, key: 0, code: 0 };

/// Operands of a comparison whose condition register field nobody has asked for yet.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Compared {
    /// First operand.
    pub a: u64,
    /// Second operand.
    pub b: u64,
}

/// A condition register field is kept as the operands of its comparison: [`cpu::State::crf`] holds this, and
/// [`COMPARED_UNSIGNED`] if they are unsigned, until [`Vcpu::settle_cr`]. Only between the entry into generated code
/// and the way out of it.
pub const COMPARED: u8 = 0x80;
/// The operands are unsigned.
pub const COMPARED_UNSIGNED: u8 = 0x40;

/// What generated code uses. One fixed layout.
#[derive(Debug)]
#[repr(C)]
pub struct Translated {
    /// Effective address of the page that the running region stands in.
    pub page: u64,
    /// Stack pointer of generated code.
    pub stack: u64,
    /// What addresses of helpers count from.
    pub helpers: u64,
    /// Offset in the page of the branch that was taken last, which CFAR is to name; [`NOT_BRANCHED`] if CFAR is right as
    /// it stands in the state. See [`Vcpu::settle_cfar`].
    pub branched: i32,
    /// Where a slow access leads to: host address minus effective address.
    pub addend: u64,
    /// Effective address of a slow access.
    pub ea: u64,
    /// What a slow access is: see `jit::hooks::access`.
    pub access: u32,
    /// Data of an access that is not one piece of RAM.
    pub bounce: [u64; 2],
    /// Keys of the jump cache as the vCPU stands, by bit 0 of the effective address: fetch context and mode.
    pub jump_key: [u64; 2],
    /// The jump cache: [`JUMPS`] entries.
    pub jumps: Box<[Jump]>,
    /// Where it stands.
    pub jump_table: *const Jump,
    /// Whether the jump cache may hold ways into a page: most pages that translations are withdrawn of hold data.
    held: Box<[bool; HELD]>,
    /// Interrupts taken within generated code.
    pub interrupts: u64,
    /// Times that generated code went on, without the engine, behind an interrupt, a return from one, or something else
    /// that may set NIA or MSR.
    pub stayed: u64,
    /// Operands of comparisons.
    pub compared: [Compared; 8],
    /// Addresses of stubs, by number.
    pub stubs: [usize; 24],
    /// Addresses of the functions that the stubs call for interrupts and returns, by number.
    pub generated: [usize; 8],
}

impl Default for Translated {
    fn default() -> Self {
        let jumps = vec![NO_JUMP; JUMPS].into_boxed_slice();
        Translated {
            jump_table: jumps.as_ptr(),
            held: Box::new([false; HELD]),
            interrupts: 0,
            stayed: 0,
            page: 0,
            branched: NOT_BRANCHED,
            stack: 0,
            helpers: 0,
            addend: 0,
            ea: 0,
            access: 0,
            bounce: [0; 2],
            jump_key: [0; 2],
            jumps,
            compared: [Compared::default(); 8],
            stubs: [0; 24],
            generated: [0; 8],
        }
    }
}

/// Classes of pages of which it is known whether the jump cache may hold ways into them.
const HELD: usize = 4096;

fn held_index(ea: u64) -> usize {
    let page = ea >> 12;
    (page ^ page >> 12) as usize & (HELD - 1)
}

/// Index of an effective address in the jump cache. All addresses of a page share one aligned run of 1024 entries.
#[inline(always)]
pub fn jump_index(ea: u64) -> usize {
    ((ea ^ ea >> 13) >> 2) as usize & (JUMPS - 1)
}

impl Translated {
    /// Forgets all ways into generated code.
    pub fn forget_jumps(&mut self) {
        self.jumps.fill(NO_JUMP);
        self.held.fill(false);
    }

    /// Forgets the ways into generated code within a page of `1 << shift` bytes.
    pub fn forget_jumps_of(&mut self, ea: u64, shift: u32) {
        if shift > 16 {
            self.forget_jumps();
            return;
        }
        let first = ea >> shift << shift;
        for page in (first >> 12)..(first >> 12) + (1 << (shift.max(12) - 12)) {
            if !self.held[held_index(page << 12)] {
                continue;
            }
            let run = jump_index(page << 12) & !1023;
            self.jumps[run..run + 1024].iter_mut().filter(|j| j.ea >> 12 == page).for_each(|j| *j = NO_JUMP);
        }
    }

    /// Remembers the way from `ea` to `code`, as the vCPU stands.
    pub fn remember_jump(&mut self, ea: u64, code: u64) {
        self.held[held_index(ea)] = true;
        self.jumps[jump_index(ea)] = Jump { ea, key: self.jump_key[(ea >> 63) as usize], code };
    }
}

impl Vcpu {
    /// CFAR.
    pub fn cfar(&self) -> u64 {
        match self.translated.branched {
            NOT_BRANCHED => self.state.cfar,
            offset => self.translated.page + offset as u64,
        }
    }

    /// Makes CFAR canonical.
    #[inline]
    pub fn settle_cfar(&mut self) {
        self.state.cfar = self.cfar();
        self.translated.branched = NOT_BRANCHED;
    }

    /// Makes condition register fields that are kept as operands canonical. The summary overflow bit of each is XER's
    /// now: generated code settles before it changes that.
    pub fn settle_cr(&mut self) {
        if u64::from_ne_bytes(self.state.crf) & 0x8080_8080_8080_8080 == 0 {
            return;
        }
        for n in 0..8 {
            let tag = self.state.crf[n];
            if tag & COMPARED != 0 {
                let c = self.translated.compared[n];
                let order = if tag & COMPARED_UNSIGNED != 0 { c.a.cmp(&c.b) } else { (c.a as i64).cmp(&(c.b as i64)) };
                let condition = match order {
                    std::cmp::Ordering::Less => 8,
                    std::cmp::Ordering::Greater => 4,
                    std::cmp::Ordering::Equal => 2,
                };
                self.state.crf[n] = condition | u8::from(self.state.so);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_run_of_the_jump_cache() {
        for page in [0u64, 0x7FFF_1234_5000, 0xC000_0000_0123_4000] {
            let run = jump_index(page) & !1023;
            assert!((page..page + 4096).step_by(4).all(|ea| jump_index(ea) & !1023 == run));
        }
        let mut t = Translated::default();
        t.remember_jump(0x5004, 7);
        t.remember_jump(0x9004, 8);
        t.forget_jumps_of(0x5000, 12);
        assert_eq!(t.jumps[jump_index(0x5004)].ea, 1);
        assert_eq!(t.jumps[jump_index(0x9004)].code, 8);
    }
}
