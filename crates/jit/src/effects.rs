//! What an instruction reads and writes, found by running its semantics on nothing: [`sem::Sem`] with unit values,
//! which notes every register that is asked for.
//!
//! What stands here is the most that the instruction may do, whichever way conditions go at run time. Loads, stores and
//! helpers are taken to succeed; one that does not leaves the instruction before anything is written.

use crate::dispatch;
use crate::emit::{plain_to_read, plain_to_write};
use cpu::spr;
use isa::{Insn, IsaLevel};
use sem::float::{Arithmetic, Elements};
use sem::mma::OuterProduct;
use sem::system::XER_PARTS;
use sem::{Fallible, Fence, Helper, Reg, Sem, Target, VecOp, Width, XerBit, system_helpers};
use vcpu::context::mode;
use vcpu::{R, Stop};

/// Where a branch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The address of the instruction plus this.
    Relative(i64),
    /// This effective address.
    Absolute(u64),
    /// What a register holds.
    Indirect,
}

/// A branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Where it goes.
    pub to: Destination,
    /// Whether it may fall through.
    pub conditional: bool,
}

/// What an instruction does. Of registers: `read` is what it may read that it has not itself written for certain
/// before, so what it needs of the instructions before it; `written` is what it may write. What it writes only under
/// a condition counts as read too: the old value may stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effects {
    /// General registers, bit n = register n.
    pub gpr_read: u32,
    /// See [`Effects::gpr_read`].
    pub gpr_written: u32,
    /// Vector-scalar registers, bit n = register n; all where a helper may read any.
    pub vsr_read: u64,
    /// See [`Effects::vsr_read`]; a VSR helper writes one.
    pub vsr_written: u64,
    /// Link register.
    pub lr_read: bool,
    /// Link register.
    pub lr_written: bool,
    /// Count register.
    pub ctr_read: bool,
    /// Count register.
    pub ctr_written: bool,
    /// Target address register.
    pub tar_read: bool,
    /// Target address register.
    pub tar_written: bool,
    /// Condition register fields, bit n = field n.
    pub cr_read: u8,
    /// See [`Effects::cr_read`]. A write of one bit of a field counts as a read of it too.
    pub cr_written: u8,
    /// Bits of XER, bit n = the [`XerBit`] of value n. A comparison reads SO.
    pub xer_read: u8,
    /// See [`Effects::xer_read`].
    pub xer_written: u8,
    /// It writes MSR, or a special purpose register that nothing here has a name for, and goes on.
    pub system_written: bool,
    /// It accesses storage, or probes it, other than through a helper.
    pub memory: bool,
    /// Sixteen bytes of it at once: a vector, even if no vector-scalar register takes part.
    pub quadword: bool,
    /// It calls a helper that may look at or change any state. Registers that only the helper touches are not in the
    /// sets above.
    pub calls: bool,
    /// Such a helper, or one of `vector_calls`, may raise an interrupt.
    pub fallible: bool,
    /// It calls a helper that touches VSRs, VSCR and FPSCR alone.
    pub vector_call: bool,
    /// It may change NIA or MSR in a helper.
    pub context: bool,
    /// It may raise a program interrupt itself.
    pub raises: bool,
    /// Where it branches to.
    pub branch: Option<Branch>,
    /// The strongest barrier in it.
    pub fence: Option<Fence>,
}

impl Effects {
    /// Whether it may end in an interrupt.
    pub fn can_stop(&self) -> bool {
        self.memory | self.fallible | self.raises
    }
}

/// The effects of `insn` in code of `mode` ([`vcpu::context::mode`]) at `level`.
pub fn of(insn: Insn, mode: u32, level: IsaLevel) -> Effects {
    let mut r = Recorder { mode, level, conditional: false, found: Effects::default(), certain: Effects::default() };
    // An error is the program interrupt that the instruction always ends in: it is in the effects.
    let _: R = dispatch::run(&mut r, insn);
    r.found
}

struct Recorder {
    mode: u32,
    level: IsaLevel,
    /// Within the body of an `if_`.
    conditional: bool,
    found: Effects,
    /// `*_written` of what is written on every way to here.
    certain: Effects,
}

impl Recorder {
    fn read_vsr(&mut self, set: u64) {
        self.found.vsr_read |= set & !self.certain.vsr_written;
    }
    fn write_vsr(&mut self, n: usize) {
        let bit = 1 << (n & 63);
        if self.conditional {
            self.read_vsr(bit);
        } else {
            self.certain.vsr_written |= bit;
        }
        self.found.vsr_written |= bit;
    }
    fn read_cr(&mut self, field: usize) {
        self.found.cr_read |= 1 << (field & 7) & !self.certain.cr_written;
    }
    fn write_cr(&mut self, field: usize) {
        if self.conditional {
            self.read_cr(field);
        } else {
            self.certain.cr_written |= 1 << (field & 7);
        }
        self.found.cr_written |= 1 << (field & 7);
    }
    fn compare(&mut self, field: usize) {
        self.xer(XerBit::So);
        self.write_cr(field);
    }
    fn branches(&mut self, target: Target<()>, conditional: bool) {
        let to = match target {
            Target::Relative(d) => Destination::Relative(d),
            Target::Absolute(ea) => Destination::Absolute(ea),
            Target::Indirect(()) => Destination::Indirect,
        };
        self.found.branch = Some(Branch { to, conditional: conditional | self.conditional });
    }
}

/// Arithmetic: nothing to note.
macro_rules! nothing {
    ($($name:ident($($x:ident: $t:ty),*);)*) => { $(
        fn $name(&mut self, $($x: $t),*) {
            let _ = ($($x,)*);
        }
    )* };
}

impl Sem for Recorder {
    type Bool = ();
    type Long = ();
    type Vec = ();

    fn mode_64(&self) -> bool {
        self.mode & mode::SF != 0
    }
    fn problem_state(&self) -> bool {
        self.mode & mode::PR != 0
    }
    fn little_endian(&self) -> bool {
        self.mode & mode::LE != 0
    }
    fn level(&self) -> IsaLevel {
        self.level
    }

    nothing! {
        long(v: u64);
        add(a: (), b: ());
        sub(a: (), b: ());
        mul(a: (), b: ());
        mulhu(a: (), b: ());
        mulhs(a: (), b: ());
        divu(a: (), b: ());
        divs(a: (), b: ());
        remu(a: (), b: ());
        rems(a: (), b: ());
        and(a: (), b: ());
        or(a: (), b: ());
        xor(a: (), b: ());
        not(a: ());
        shl(a: (), n: ());
        shr(a: (), n: ());
        sar(a: (), n: ());
        rotl(a: (), n: ());
        rotl32(a: (), n: ());
        clz(a: ());
        ctz(a: ());
        popcnt(a: ());
        bswap(a: ());
        zext(a: (), bits: u32);
        sext(a: (), bits: u32);
        bool(b: bool);
        eq(a: (), b: ());
        ltu(a: (), b: ());
        lts(a: (), b: ());
        both(a: (), b: ());
        either(a: (), b: ());
        differ(a: (), b: ());
        is_not(a: ());
        select(c: (), a: (), b: ());
        one_if(b: ());
        vec_from_halves(hi: (), lo: ());
        vec_const(v: u128);
        vec_op(op: VecOp, a: (), b: ());
        vec_select(a: (), b: (), c: ());
        cia();
    }

    fn if_(&mut self, _: (), then: impl FnOnce(&mut Self) -> R) -> R {
        let outer = std::mem::replace(&mut self.conditional, true);
        // What ends the instruction in the body need not end it.
        let _: R = then(self);
        self.conditional = outer;
        Ok(())
    }

    fn gpr(&mut self, n: usize) {
        self.found.gpr_read |= 1 << (n & 31) & !self.certain.gpr_written;
    }
    fn set_gpr(&mut self, n: usize, _: ()) {
        if self.conditional {
            self.gpr(n);
        } else {
            self.certain.gpr_written |= 1 << (n & 31);
        }
        self.found.gpr_written |= 1 << (n & 31);
    }
    fn reg(&mut self, r: Reg) {
        let (f, c) = (&mut self.found, &self.certain);
        match r {
            Reg::Lr => f.lr_read |= !c.lr_written,
            Reg::Ctr => f.ctr_read |= !c.ctr_written,
            Reg::Tar => f.tar_read |= !c.tar_written,
        }
    }
    fn set_reg(&mut self, r: Reg, _: ()) {
        if self.conditional {
            self.reg(r);
        }
        let sure = !self.conditional;
        let (f, c) = (&mut self.found, &mut self.certain);
        let (found, certain) = match r {
            Reg::Lr => (&mut f.lr_written, &mut c.lr_written),
            Reg::Ctr => (&mut f.ctr_written, &mut c.ctr_written),
            Reg::Tar => (&mut f.tar_written, &mut c.tar_written),
        };
        *found = true;
        *certain |= sure;
    }
    fn xer(&mut self, b: XerBit) {
        self.found.xer_read |= 1 << b as u8 & !self.certain.xer_written;
    }
    fn set_xer(&mut self, b: XerBit, _: ()) {
        if self.conditional {
            self.xer(b);
        } else {
            self.certain.xer_written |= 1 << b as u8;
        }
        self.found.xer_written |= 1 << b as u8;
    }
    fn cr_bit(&mut self, n: usize) {
        self.read_cr(n >> 2);
    }
    fn set_cr_bit(&mut self, n: usize, _: ()) {
        // The other bits stay.
        self.read_cr(n >> 2);
        self.write_cr(n >> 2);
    }
    fn cr_field(&mut self, n: usize) {
        self.read_cr(n);
    }
    fn set_cr_field(&mut self, n: usize, _: ()) {
        self.write_cr(n);
    }
    fn compare_signed(&mut self, n: usize, _: (), _: ()) {
        self.compare(n);
    }
    fn compare_unsigned(&mut self, n: usize, _: (), _: ()) {
        self.compare(n);
    }
    fn vsr(&mut self, n: usize) {
        self.read_vsr(1 << (n & 63));
    }
    fn set_vsr(&mut self, n: usize, _: ()) {
        self.write_vsr(n);
    }
    fn vsr_hi(&mut self, n: usize) {
        self.vsr(n);
    }
    fn set_vsr_pair(&mut self, n: usize, _: (), _: ()) {
        self.write_vsr(n);
    }
    fn vec_halves(&mut self, _: ()) -> ((), ()) {
        ((), ())
    }
    fn vec_permute(&mut self, t: usize, a: usize, b: usize, c: usize) {
        // In line where the host has byte shuffles, as every host that code is generated for has.
        self.read_vsr([a, b, c].iter().fold(0, |set, n| set | 1 << (n & 63)));
        self.write_vsr(t);
    }

    fn load(&mut self, _: (), _: Width) -> R<()> {
        self.found.memory = true;
        Ok(())
    }
    fn store(&mut self, _: (), _: Width, _: ()) -> R {
        self.found.memory = true;
        Ok(())
    }
    fn load_quad(&mut self, _: ()) -> R<()> {
        self.found.memory = true;
        self.found.quadword = true;
        Ok(())
    }
    fn store_quad(&mut self, _: (), _: ()) -> R {
        self.found.memory = true;
        self.found.quadword = true;
        Ok(())
    }
    fn probe(&mut self, _: (), _: u64, _: bool) -> R {
        self.found.memory = true;
        Ok(())
    }
    fn wait_for_invalidations(&mut self) -> R {
        // Where there is something to wait for, it is left to the interpreter.
        Ok(())
    }
    fn zero_block(&mut self, _: (), _: u64) -> R {
        // A helper where the TLB does not have the page; vectors where it does.
        (self.found.memory, self.found.fallible, self.found.quadword) = (true, true, true);
        Ok(())
    }
    fn fence(&mut self, f: Fence) {
        if self.found.fence != Some(Fence::Full) {
            self.found.fence = Some(f);
        }
    }

    fn branch(&mut self, target: Target<()>) {
        self.branches(target, false);
    }
    fn branch_if(&mut self, _: (), target: Target<()>) {
        self.branches(target, true);
    }
    fn program_if(&mut self, _: (), _: u64) -> R {
        self.found.raises = true;
        Ok(())
    }
    fn program(&mut self, _: u64) -> R {
        self.found.raises = true;
        Err(Stop)
    }

    fn call(&mut self, _: Helper, _: (), _: (), _: ()) {
        self.found.calls = true;
    }
    fn call_vsr(&mut self, _: Helper, tag: u64, _: (), _: ()) {
        self.found.vector_call = true;
        self.read_vsr(u64::MAX);
        self.write_vsr(tag as usize);
    }
    fn try_call(&mut self, _: Fallible, _: (), _: (), _: ()) -> R<()> {
        self.found.calls = true;
        self.found.fallible = true;
        Ok(())
    }
    fn try_call_vsr(&mut self, _: Fallible, tag: u64, _: (), _: ()) -> R<()> {
        self.found.fallible = true;
        self.found.vector_call = true;
        self.read_vsr(u64::MAX);
        self.write_vsr(tag as usize);
        Ok(())
    }
    fn double_from_single(&mut self, _: ()) {}
    fn single_from_double(&mut self, _: ()) {}
    fn arithmetic(&mut self, what: Arithmetic, _: Fallible, _: u64) -> R {
        // An enabled exception may leave the target as it was.
        for n in [what.x, what.y, what.z, what.t] {
            self.vsr(n);
        }
        self.write_vsr(what.t);
        self.found.raises = true;
        Ok(())
    }
    fn vector_arithmetic(&mut self, what: Arithmetic, f: Fallible, tag: u64) -> R {
        self.arithmetic(what, f, tag)
    }
    fn compare_doubles(&mut self, x: usize, y: usize, _: Fallible, _: u64, _: u64) -> R {
        self.vsr(x);
        self.vsr(y);
        self.found.raises = true;
        Ok(())
    }
    fn compare_elements(&mut self, what: Elements, _: Fallible, _: u64) -> R {
        for n in [what.x, what.y, what.t] {
            self.vsr(n);
        }
        self.write_vsr(what.t);
        self.found.raises = true;
        Ok(())
    }
    fn outer_product(&mut self, what: OuterProduct, _: Fallible) -> R {
        for n in (what.a..what.a + what.of_a()).chain([what.b]).chain(what.acc..what.acc + 4) {
            self.vsr(n);
        }
        (what.acc..what.acc + 4).for_each(|n| self.write_vsr(n));
        self.found.raises = true;
        Ok(())
    }
    fn context_call(&mut self, f: Fallible, a: (), b: (), c: ()) -> R {
        self.found.context = true;
        self.try_call(f, a, b, c)
    }

    fn set_msr(&mut self, v: (), mask: u64) -> R {
        if mask == system_helpers::MTMSR_L1 {
            // In line: neither the mode nor a context changes.
            self.found.system_written = true;
            return Ok(());
        }
        self.context_call(system_helpers::set_msr, v, (), ())
    }
    fn read_spr(&mut self, n: u32, old: ()) -> R<()> {
        if plain_to_read(n).is_some() && !self.problem_state() {
            return Ok(());
        }
        self.try_call(system_helpers::read_spr, (), old, old)
    }
    fn write_spr(&mut self, n: u32, v: ()) -> R {
        if n == spr::XER {
            XER_PARTS.iter().for_each(|(bit, _)| self.set_xer(*bit, ()));
            return Ok(());
        }
        if plain_to_write(n).is_some() && !self.problem_state() {
            self.found.system_written = true;
            return Ok(());
        }
        self.context_call(system_helpers::write_spr, (), v, v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isa::{Op, assemble_at, decode, random_word};

    const USER_64: u32 = mode::LE | mode::SF | mode::PR;
    const SO: u8 = 1 << XerBit::So as u8;
    const OV: u8 = 1 << XerBit::Ov as u8 | 1 << XerBit::Ov32 as u8;
    const CA: u8 = 1 << XerBit::Ca as u8 | 1 << XerBit::Ca32 as u8;

    fn effects(text: &str) -> Effects {
        let raw = assemble_at(text, 0).unwrap_or_else(|e| panic!("{text}: {e}"));
        of(decode(raw, IsaLevel::V3_1).unwrap(), USER_64, IsaLevel::V3_1)
    }

    fn bits<const N: usize>(numbers: [u32; N]) -> u32 {
        numbers.iter().fold(0, |set, n| set | 1 << n)
    }

    /// General registers: read, then written.
    fn gprs<const N: usize, const M: usize>(read: [u32; N], written: [u32; M]) -> Effects {
        Effects { gpr_read: bits(read), gpr_written: bits(written), ..Effects::default() }
    }

    fn branch(to: Destination, conditional: bool) -> Effects {
        Effects { branch: Some(Branch { to, conditional }), ..Effects::default() }
    }

    fn v(n: u32) -> u64 {
        1 << (32 + n)
    }

    #[test]
    fn instructions_have_these_effects() {
        let plain = Effects::default();
        let memory = |e: Effects| Effects { memory: true, ..e };
        let quadword = |e: Effects| Effects { memory: true, quadword: true, ..e };
        let record = |e: Effects| Effects { cr_written: e.cr_written | 1, xer_read: e.xer_read | SO, ..e };
        let table = [
            ("add r3,r4,r5", gprs([4, 5], [3])),
            ("add. r3,r3,r5", record(gprs([3, 5], [3]))),
            ("addo r3,r4,r5", Effects { xer_read: SO, xer_written: OV | SO, ..gprs([4, 5], [3]) }),
            // SO is written before the comparison reads it.
            ("addo. r3,r4,r5", Effects { xer_read: SO, xer_written: OV | SO, cr_written: 1, ..gprs([4, 5], [3]) }),
            ("addi r3,0,17", gprs([], [3])),
            ("addi r3,r1,17", gprs([1], [3])),
            ("addic r3,r0,-1", Effects { xer_written: CA, ..gprs([0], [3]) }),
            ("adde r3,r4,r5", Effects { xer_read: 1 << XerBit::Ca as u8, xer_written: CA, ..gprs([4, 5], [3]) }),
            ("subf r3,r4,r5", gprs([4, 5], [3])),
            ("ori r0,r0,0", gprs([0], [0])),
            ("rlwimi r6,r7,3,4,20", gprs([6, 7], [6])),
            ("mulhdu r31,r30,r29", gprs([30, 29], [31])),
            ("isel r3,0,r5,7", Effects { cr_read: 1 << 1, ..gprs([5], [3]) }),
            ("setb r3,cr2", Effects { cr_read: 1 << 2, ..gprs([], [3]) }),
            ("cmpd cr3,r4,r5", Effects { cr_written: 1 << 3, xer_read: SO, ..gprs([4, 5], []) }),
            ("cmplwi cr7,r4,5", Effects { cr_written: 1 << 7, xer_read: SO, ..gprs([4], []) }),
            ("crand 4,9,14", Effects { cr_read: 1 << 1 | 1 << 2 | 1 << 3, cr_written: 1 << 1, ..plain }),
            ("mcrf cr1,cr6", Effects { cr_read: 1 << 6, cr_written: 1 << 1, ..plain }),
            ("mfcr r9", Effects { cr_read: 0xFF, ..gprs([], [9]) }),
            ("mtocrf 0x20,r9", Effects { cr_written: 1 << 2, ..gprs([9], []) }),
            ("mtcrf 0x81,r9", Effects { cr_written: 1 << 0 | 1 << 7, ..gprs([9], []) }),
            ("mcrxrx cr5", Effects { xer_read: OV | CA, cr_written: 1 << 5, ..plain }),
            ("mflr r0", Effects { lr_read: true, ..gprs([], [0]) }),
            ("mtlr r0", Effects { lr_written: true, ..gprs([0], []) }),
            ("mtctr r12", Effects { ctr_written: true, ..gprs([12], []) }),
            ("tdi 31,r3,5", Effects { raises: true, ..gprs([3], []) }),
            ("ld r3,8(r4)", memory(gprs([4], [3]))),
            ("ldu r3,8(r4)", memory(gprs([4], [3, 4]))),
            ("stdux r3,r4,r5", memory(gprs([3, 4, 5], [4]))),
            ("lwzx r3,0,r5", memory(gprs([5], [3]))),
            ("lq r4,16(r6)", quadword(gprs([6], [4, 5]))),
            ("stq r4,16(r6)", quadword(gprs([4, 5, 6], []))),
            ("pld r3,64(0),1", memory(gprs([], [3]))),
            ("lwarx r3,r4,r5,0", Effects { calls: true, fallible: true, ..gprs([4, 5], [3]) }),
            (
                "stdcx. r3,r4,r5",
                Effects { calls: true, fallible: true, cr_written: 1, xer_read: SO, ..gprs([3, 4, 5], []) },
            ),
            ("hwsync", Effects { fence: Some(Fence::Full), ..plain }),
            ("lwsync", Effects { fence: Some(Fence::Light), ..plain }),
            ("dcbf r3,r4,0", memory(gprs([3, 4], []))),
            ("dcbt r3,r4,0", plain),
            ("b 0x100", branch(Destination::Relative(0x100), false)),
            ("ba 0x100", branch(Destination::Absolute(0x100), false)),
            ("bl -8", Effects { lr_written: true, ..branch(Destination::Relative(-8), false) }),
            ("bc 12,6,0x40", Effects { cr_read: 1 << 1, ..branch(Destination::Relative(0x40), true) }),
            ("bdnz .-16", Effects { ctr_read: true, ctr_written: true, ..branch(Destination::Relative(-16), true) }),
            ("blr", Effects { lr_read: true, ..branch(Destination::Indirect, false) }),
            ("blrl", Effects { lr_read: true, lr_written: true, ..branch(Destination::Indirect, false) }),
            ("bctrl", Effects { ctr_read: true, lr_written: true, ..branch(Destination::Indirect, false) }),
            ("bctar 20,0,0", Effects { tar_read: true, ..branch(Destination::Indirect, false) }),
            ("sc 1", Effects { context: true, calls: true, fallible: true, ..plain }),
            ("mtspr 256,r3", Effects { context: true, calls: true, fallible: true, ..gprs([3], []) }),
            ("mfspr r3,259", Effects { calls: true, fallible: true, ..gprs([3], [3]) }),
            ("vaddubm v1,v2,v3", Effects { vsr_read: v(2) | v(3), vsr_written: v(1), ..plain }),
            ("vcmpequw. v1,v2,v2", Effects { vsr_read: v(2), vsr_written: v(1), cr_written: 1 << 6, ..plain }),
            ("vperm v1,v2,v3,v4", Effects { vsr_read: v(2) | v(3) | v(4), vsr_written: v(1), ..plain }),
            ("vaddubs v1,v2,v3", Effects { vector_call: true, vsr_read: u64::MAX, vsr_written: v(1), ..plain }),
            ("lxv vs5,32(r3)", Effects { vsr_written: 1 << 5, ..quadword(gprs([3], [])) }),
            ("mfvsrd r3,vs9", Effects { vsr_read: 1 << 9, ..gprs([], [3]) }),
        ];
        for (text, expected) in table {
            assert_eq!(effects(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_under_a_condition_is_needed_before() {
        let e =
            of(decode(assemble_at("lswx r30,r4,r5", 0).unwrap(), IsaLevel::V2_07).unwrap(), mode::SF, IsaLevel::V2_07);
        assert_eq!((e.gpr_read, e.gpr_written), (u32::MAX, u32::MAX));
        assert!(e.calls && e.fallible && e.can_stop());
    }

    #[test]
    fn mode_and_level_matter() {
        let add = decode(assemble_at("addc r3,r4,r5", 0).unwrap(), IsaLevel::V2_07).unwrap();
        assert_eq!(of(add, mode::SF, IsaLevel::V2_07).xer_written, 1 << XerBit::Ca as u8);
        let tar = decode(assemble_at("mfspr r3,815", 0).unwrap(), IsaLevel::V2_07).unwrap();
        assert!(of(tar, mode::SF, IsaLevel::V2_07).tar_read);
        assert!(of(tar, mode::SF | mode::PR, IsaLevel::V2_07).calls);
        let far = decode(assemble_at("ba -4", 0).unwrap(), IsaLevel::V2_07).unwrap();
        let to = |m| of(far, m, IsaLevel::V2_07).branch.map(|b| b.to);
        assert_eq!(to(mode::SF), Some(Destination::Absolute(0xFFFF_FFFF_FFFF_FFFC)));
        assert_eq!(to(0), Some(Destination::Absolute(0xFFFF_FFFC)));
    }

    /// Every row, with whatever fields: what the table says of a row fits what its semantics does.
    #[test]
    fn every_row_has_effects() {
        let mut x = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        for &op in Op::ALL {
            let row = op.row();
            for m in [0, mode::SF, USER_64, mode::PR, mode::LE | mode::SF] {
                for level in IsaLevel::ALL.into_iter().filter(|&l| row.at(l)) {
                    let fields = row.pattern.pieces().iter().fold(0, |set, p| set | p.mask());
                    // Valid forms, and any.
                    for raw in [random_word(op, &mut next), row.pattern.value | next() & fields] {
                        let e = of(Insn { op, raw }, m, level);
                        let text = || isa::disassemble(Insn { op, raw }, 0);
                        if !row.implemented {
                            assert_eq!(e, Effects { raises: true, ..Effects::default() }, "{}", text());
                        }
                        assert!(e.branch.is_none() || row.ends == isa::Ends::Branch, "{}", text());
                        assert!(!e.context || row.ends != isa::Ends::No, "{}", text());
                    }
                }
            }
        }
    }
}
