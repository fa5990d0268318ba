//! The instruction table of the Power ISA (2.07, 3.0B, 3.1), and all that is generated from it: decoder, encoder,
//! assembler, disassembler, coverage list, random words.
//!
//! There is one table, a row an instruction, in `src/rows/`, a file a chapter; [`for_each_row`] tells how a row reads
//! and hands all of them to a macro. Rules of naming: a row is named by the base mnemonic in lower case; the forms that
//! set CR0 (`.`) or overflow (`o`), link (`l`) or are absolute (`a`) are one row with a field; where the dot is always
//! there, the name ends in `_`. Fields have the names that the manual gives them, see [`Fields`].

mod alias;
mod asm;
mod coverage;
mod decode;
mod disasm;
mod encode;
mod fields;
mod row;
mod rows;
mod table;

pub use asm::{AsmError, assemble, assemble_at};
pub use coverage::{Coverage, Group, coverage};
pub use decode::{Insn, decode, is_prefix};
pub use disasm::disassemble;
pub use encode::{EncodeError, encode, random_word, valid_form};
pub use fields::{Any, Field, Fields, Kind, Piece, Prefixed, Spec};
pub use row::{Ends, Facility, IsaLevel, Pattern, Privilege, Row, Visible};
pub use table::{Chapter, Op};
