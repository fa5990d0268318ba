//! Handlers: one function an instruction (and specialisation), all expanded from the instruction table.

use crate::blocks::{Handler, Operation};
use crate::exec::Exec;
use isa::{Any, Fields, Insn, Op, Spec};
use sem::Sem;
use sem::admit::{Refusal, admit};
use vcpu::{Link, R, Stop, Vcpu};

/// Bytes of the instruction.
#[inline(always)]
fn bytes(raw: u64) -> u64 {
    if raw >> 32 != 0 { 8 } else { 4 }
}

/// Runs a row. `ENDS`: the block ends behind it; where it goes is NIA, preset to the next instruction.
#[inline(always)]
fn run<const ENDS: bool>(v: &mut Vcpu, op: &Operation, row: impl FnOnce(&mut Exec<'_>) -> R) -> bool {
    let mut s = Exec::<false>::new(v, op);
    if ENDS {
        let next = s.cia().wrapping_add(bytes(op.raw()));
        s.v.state.nia = s.v.wrap_ea(next);
        s.v.link = Link::None;
    }
    match row(&mut s) {
        Ok(()) => ENDS,
        Err(Stop) => true,
    }
}

/// A function of its own for a row, named after it, so that profiles say which instruction takes the time.
macro_rules! handler {
    ($name:ident, $ends:literal, |$op:ident, $s:ident| $body:expr) => {{
        fn $name<'a>(v: &'a mut Vcpu, $op: &'a Operation) -> &'a Operation {
            if run::<$ends>(v, $op, |$s| $body) { $op } else { $op.run_next(v) }
        }
        $name as Handler
    }};
}

/// Two functions for a row that goes on behind itself: the leaf for little-endian 64-bit blocks, and the whole.
macro_rules! leaf {
    ($common:ident, $name:ident, |$op:ident, $s:ident| $body:expr) => {{
        #[inline(never)]
        fn whole<'a>(v: &'a mut Vcpu, $op: &'a Operation) -> &'a Operation {
            if run::<false>(v, $op, |$s| $body) { $op } else { $op.run_next(v) }
        }
        fn $name<'a>(v: &'a mut Vcpu, $op: &'a Operation) -> &'a Operation {
            let outcome: R = {
                let $s = &mut Exec::<true>::new(v, $op);
                $body
            };
            // Calls in tail position: the leaf needs no frame for them.
            if outcome.is_ok() { $op.run_next(v) } else { whole(v, $op) }
        }
        if $common { $name as Handler } else { whole }
    }};
}

/// Which specialisations a chapter's rows have.
macro_rules! specialise {
    ($i:ident, $ends:ident, $branch:ident, $common:ident, fixed, $name:ident) => {{
        // Where a row has no Rc or OE field, both look alike and the compiler makes the same code.
        match ($i.rc(), $i.oe(), $i.ra() == 0) {
            (false, false, false) => leaf!($common, $name, |op, s| sem::fixed::$name(s, Spec::<0, 0, 0>(op.raw()))),
            (false, false, true) => leaf!($common, $name, |op, s| sem::fixed::$name(s, Spec::<0, 0, 1>(op.raw()))),
            (true, false, _) => leaf!($common, $name, |op, s| sem::fixed::$name(s, Spec::<1, 0, 2>(op.raw()))),
            _ => handler!($name, false, |op, s| sem::fixed::$name(s, Any(op.raw()))),
        }
    }};
    ($i:ident, $ends:ident, $branch:ident, $common:ident, storage, $name:ident) => {
        match ($ends, $i.ra() == 0) {
            (true, _) => handler!($name, true, |op, s| sem::storage::$name(s, Any(op.raw()))),
            (false, true) => leaf!($common, $name, |op, s| sem::storage::$name(s, Spec::<2, 2, 1>(op.raw()))),
            (false, false) => leaf!($common, $name, |op, s| sem::storage::$name(s, Spec::<2, 2, 0>(op.raw()))),
        }
    };
    ($i:ident, $ends:ident, $branch:ident, $common:ident, branch, $name:ident) => {
        // Branches cannot stop; taken, they end the block. CR logic goes on.
        if $branch {
            fn branch<'a, const LEAF: bool>(v: &'a mut Vcpu, op: &'a Operation) -> &'a Operation {
                let mut s = Exec::<LEAF>::new(v, op);
                // `extra` is the link, not part of the instruction.
                let _ = sem::branch::$name(&mut s, Any(u64::from(op.word)));
                if s.taken { op } else { op.run_next(v) }
            }
            if $common { branch::<true> as Handler } else { branch::<false> }
        } else {
            leaf!($common, $name, |op, s| sem::branch::$name(s, Any(op.raw())))
        }
    };
    ($i:ident, $ends:ident, $branch:ident, $common:ident, $chapter:ident, $name:ident) => {
        if $ends {
            handler!($name, true, |op, s| sem::$chapter::$name(s, Any(op.raw())))
        } else {
            handler!($name, false, |op, s| sem::$chapter::$name(s, Any(op.raw())))
        }
    };
}

macro_rules! one_row {
    (done, $i:ident, $ends:ident, $branch:ident, $common:ident, $chapter:ident, $name:ident) => {
        specialise!($i, $ends, $branch, $common, $chapter, $name)
    };
    (todo, $i:ident, $ends:ident, $branch:ident, $common:ident, $chapter:ident, $name:ident) => {
        refused as Handler
    };
}

macro_rules! table {
    ([] $( $name:ident $chapter:ident $status:ident $pattern:literal $asm:literal $levels:ident $facility:ident
        $privilege:ident $ends:ident; )*) => {
        /// The handler of an instruction, specialised as far as its fields say. `ends`: the block ends
        /// behind it. `common`: the block is little-endian and 64-bit.
        pub fn handler_of(insn: Insn, ends: bool, common: bool) -> Handler {
            let i = Any(insn.raw);
            let branch = insn.op.row().ends == isa::Ends::Branch;
            match insn.op {
                $( Op::$name => one_row!($status, i, ends, branch, common, $chapter, $name), )*
            }
        }
    };
}
isa::for_each_row! { table }

/// Behind the last instruction of a block that does not branch.
pub fn go_on<'a>(v: &'a mut Vcpu, op: &'a Operation) -> &'a Operation {
    v.state.nia = v.wrap_ea(v.cursor.ea.wrapping_add(4 * v.cursor.len as u64));
    v.link = Link::Operation;
    op
}

/// As [`go_on`], where the budget cuts a block off.
pub fn cut<'a>(v: &'a mut Vcpu, op: &'a Operation) -> &'a Operation {
    go_on(v, op);
    v.link = Link::None;
    op
}

/// An instruction that may not run: raises its interrupt. What refuses it is asked again, since the mode is the one that
/// it was decoded for.
pub fn refused<'a>(v: &'a mut Vcpu, op: &'a Operation) -> &'a Operation {
    Exec::<false>::new(v, op).settle();
    let raw = op.raw();
    // A prefix without its suffix stands before a 64-byte boundary.
    let prefixed = raw >> 32 != 0;
    let lone_prefix = !prefixed && isa::is_prefix(raw as u32) && v.level() >= isa::IsaLevel::V3_1;
    let refusal = match admit(raw, prefixed, v.mode, v.model.level) {
        _ if lone_prefix => Refusal::PrefixCrosses,
        Err(refusal) => refusal,
        Ok(_) => Refusal::Illegal,
    };
    let _: R = refusal.raise(v, raw);
    op
}
