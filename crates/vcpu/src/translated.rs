//! What generated code alone uses of a vCPU: see `docs/jit.md` for who reads and writes what.

use crate::{Exit, Vcpu};

/// Entries of the jump cache, a power of two.
pub const JUMPS: usize = 32768;

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
    /// Real page number that it was made from.
    pub page: u64,
}

/// Generated code by where it stands in storage, whoever runs it at whichever address.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Real address; odd (no instruction's) if the entry is empty.
    real: u64,
    /// [`crate::context::mode`].
    mode: u32,
    /// Host address of the code.
    code: u64,
}

const NO_PLACE: Place = Place { real: 1, mode: 0, code: 0 };

/// CFAR stands in the state.
pub const NOT_BRANCHED: i32 = -1;

/// An entry that nothing finds.
pub const NO_JUMP: Jump = Jump { ea: 1, key: 0, code: 0, page: 0 };

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

/// A page that accesses of a loop go to.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Guess {
    /// Its effective address, or [`NO_PAGE`].
    pub page: u64,
    /// Host address minus effective address.
    pub addend: u64,
}

/// No page's effective address, nor one with the low bits that an access that is not aligned leaves.
pub const NO_PAGE: u64 = 0x800;

/// Places for [`Guess`]es.
pub const GUESSES: usize = 16;

/// Floating-point instructions of which FPSCR has not heard yet: those that alone decide what of it is not sticky.
/// Generated code makes only such as raise nothing but XX, while XX is 1 and no exception is enabled.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Deferred {
    /// Operands.
    pub operands: [u64; 3],
    /// What it computed: see `sem::float`. 0: nothing.
    pub what: u32,
    /// FPCC of a comparison behind it. 0: there was none.
    pub fpcc: u32,
    /// FR and FI of a conversion to an integer behind it, which leaves FPRF: 1 plus FI. FR is 0. 0: there was none.
    pub rounded: u32,
}

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
    /// Pages that the accesses of the loop that runs went to the last time around. A loop empties its own where it is
    /// entered.
    pub guesses: [Guess; GUESSES],
    /// Keys of the jump cache as the vCPU stands, by bit 0 of the effective address: fetch context and mode.
    pub jump_key: [u64; 2],
    /// The jump cache: [`JUMPS`] entries.
    pub jumps: Box<[Jump]>,
    /// Where it stands.
    pub jump_table: *const Jump,
    /// Code that was entered, by [`jump_index`] of its real address.
    places: Box<[Place]>,
    /// By [`page_class`]: which runs of 1024 entries of the jump cache may lead into the real page.
    runs: Box<[u32; PAGE_CLASSES]>,
    /// Interrupts taken within generated code.
    pub interrupts: u64,
    /// Times that generated code went on, without the engine, behind an interrupt, a return from one, or something else
    /// that may set NIA or MSR.
    pub stayed: u64,
    /// What FPSCR has not heard of yet. Only between the entry into generated code and the way out.
    pub deferred: Deferred,
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
            places: vec![NO_PLACE; JUMPS].into_boxed_slice(),
            runs: Box::new([0; PAGE_CLASSES]),
            interrupts: 0,
            stayed: 0,
            deferred: Deferred::default(),
            page: 0,
            branched: NOT_BRANCHED,
            stack: 0,
            helpers: 0,
            addend: 0,
            ea: 0,
            access: 0,
            bounce: [0; 2],
            guesses: [Guess { page: NO_PAGE, addend: 0 }; GUESSES],
            jump_key: [0; 2],
            jumps,
            compared: [Compared::default(); 8],
            stubs: [0; 24],
            generated: [0; 8],
        }
    }
}

/// Classes of real pages of which it is known where in the jump cache there may be ways into them.
const PAGE_CLASSES: usize = 4096;

fn page_class(page: u64) -> usize {
    (page ^ page >> 12) as usize & (PAGE_CLASSES - 1)
}

/// Entries that the addresses of one page share.
const RUN: usize = 1024;
const _: () = assert!(JUMPS / RUN <= u32::BITS as usize);

/// Index of an effective address in the jump cache, and of a real one among the places. All addresses of a page share one aligned run of 1024 entries.
#[inline(always)]
pub fn jump_index(ea: u64) -> usize {
    ((ea ^ ea >> 13) >> 2) as usize & (JUMPS - 1)
}

impl Translated {
    /// Forgets all ways into generated code.
    pub fn forget_jumps(&mut self) {
        self.jumps.fill(NO_JUMP);
        self.runs.fill(0);
    }

    /// Forgets all generated code.
    pub fn forget_code(&mut self) {
        self.forget_jumps();
        self.places.fill(NO_PLACE);
    }

    /// Forgets the ways into generated code within an effective page of `1 << shift` bytes.
    pub fn forget_jumps_of(&mut self, ea: u64, shift: u32) {
        if shift > 16 {
            self.forget_jumps();
            return;
        }
        let first = ea >> shift << shift;
        for page in (first >> 12)..(first >> 12) + (1 << (shift.max(12) - 12)) {
            let run = jump_index(page << 12) / RUN * RUN;
            self.jumps[run..run + RUN].iter_mut().filter(|j| j.ea >> 12 == page).for_each(|j| *j = NO_JUMP);
        }
    }

    /// Forgets the code that was made from a real page, and the ways into it.
    pub fn forget_code_of(&mut self, page: u64) {
        let run = jump_index(page << 12) / RUN * RUN;
        self.places[run..run + RUN].iter_mut().filter(|p| p.real >> 12 == page).for_each(|p| *p = NO_PLACE);
        let runs = self.runs[page_class(page)];
        for (n, run) in self.jumps.chunks_exact_mut(RUN).enumerate() {
            if runs & 1 << n != 0 {
                run.iter_mut().filter(|j| j.page == page).for_each(|j| *j = NO_JUMP);
            }
        }
    }

    /// Remembers the way from `ea` to `code`, made from the real page `page`, as the vCPU stands.
    pub fn remember_jump(&mut self, ea: u64, code: u64, page: u64) {
        let index = jump_index(ea);
        self.runs[page_class(page)] |= 1 << (index / RUN);
        let key = self.jump_key[(ea >> 63) as usize];
        self.jumps[index] = Jump { ea, key, code, page };
        let real = page << 12 | ea & 0xFFF;
        self.places[jump_index(real)] = Place { real, mode: key as u32, code };
    }

    /// The code for the instruction at a real address in this mode, if it was entered lately.
    #[inline]
    pub fn code_at(&self, real: u64, mode: u32) -> Option<u64> {
        let place = &self.places[jump_index(real)];
        (place.real == real && place.mode == mode).then_some(place.code)
    }
}

impl Vcpu {
    /// The code for the instruction at `ea`, if the jump cache does not know the way, but the code was entered lately:
    /// elsewhere, or by another process. The way is then known.
    pub fn find_way(&mut self, ea: u64) -> Option<u64> {
        let quadrant = (ea >> 63) as usize;
        let Ok(real) = self.fetch_address(ea) else {
            // The engine comes here again, and takes the interrupt.
            self.exit = Exit::Next;
            return None;
        };
        if !self.code_events.is_empty() {
            return None;
        }
        // The mode is the low half of a key.
        let code = self.translated.code_at(real, self.translated.jump_key[quadrant] as u32)?;
        self.translated.remember_jump(ea, code, real >> memory::PAGE_SHIFT);
        Some(code)
    }

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
            let run = jump_index(page) & !(RUN - 1);
            assert!((page..page + 4096).step_by(4).all(|ea| jump_index(ea) & !(RUN - 1) == run));
        }
        let mut t = Translated::default();
        t.remember_jump(0x5004, 7, 1);
        t.remember_jump(0x9004, 8, 2);
        t.forget_jumps_of(0x5000, 12);
        assert_eq!(t.jumps[jump_index(0x5004)].ea, 1);
        assert_eq!(t.jumps[jump_index(0x9004)].code, 8);
    }

    #[test]
    fn ways_into_a_real_page_are_forgotten_wherever_they_start() {
        let mut t = Translated::default();
        // The same code at three addresses, and other code, of the same class of pages too.
        for (n, ea) in [0x5004, 0x6004, 0xC000_0000_0002_8004].into_iter().enumerate() {
            t.remember_jump(ea, n as u64, 7);
        }
        t.remember_jump(0x5008, 8, 7 + PAGE_CLASSES as u64 - 1);
        t.remember_jump(0x500C, 9, 6);
        t.forget_code_of(7);
        assert!(t.jumps.iter().all(|j| j.page != 7));
        assert_eq!(t.jumps.iter().filter(|j| j.ea != NO_JUMP.ea).count(), 2);
    }
}
