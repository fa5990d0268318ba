//! From an instruction to its semantics: one match over the rows of the table, for any engine that works
//! instruction by instruction.

use cpu::bits::srr1;
use isa::{Any, Insn, Op};
use sem::Sem;
use vcpu::R;

/// A row in a function of its own: the match stays small, and so does the frame of [`run`].
#[inline(never)]
fn row<S: Sem>(s: &mut S, raw: u64, semantics: impl FnOnce(&mut S, Any) -> R) -> R {
    semantics(s, Any(raw))
}

macro_rules! one_row {
    (done, $s:ident, $insn:ident, $chapter:ident, $name:ident) => {
        row($s, $insn.raw, sem::$chapter::$name::<S, Any>)
    };
    (todo, $s:ident, $insn:ident, $chapter:ident, $name:ident) => {
        $s.program(srr1::PROGRAM_ILLEGAL)
    };
}

macro_rules! table {
    ([] $( $name:ident $chapter:ident $status:ident $pattern:literal $asm:literal $levels:ident $facility:ident
        $privilege:ident $ends:ident; )*) => {
        /// What `insn` does, said to `s`. Privilege, facilities and level are the caller's to look at before. A row
        /// without semantics is an illegal instruction.
        ///
        /// # Errors
        /// [`vcpu::Stop`], as the methods of `s` say.
        pub fn run<S: Sem>(s: &mut S, insn: Insn) -> R {
            match insn.op {
                $( Op::$name => one_row!($status, s, insn, $chapter, $name), )*
            }
        }
    };
}
isa::for_each_row! { table }
