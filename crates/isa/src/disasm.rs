//! Instructions as text: GNU objdump's syntax with `-M raw`, that is without aliases, driven by the templates of the
//! rows.
//!
//! A template is a mnemonic with optional letters in braces (`{o}` for OE, `{.}` for Rc, ..) and operands, each a field
//! by name. `RA0` is RA where 0 stands for the number 0; `BYTES` is NB where 0 stands for 32; `TARGET_LI` and `TARGET_BD` are the targets of branches.

use crate::{Field, Insn, Kind, Row};
use std::fmt::Write;

/// A letter of the mnemonic that a one-bit field switches on.
pub(crate) const SUFFIXES: [(&str, Field, &str); 8] = [
    ("{o}", Field::OE, "o"),
    ("{.}", Field::Rc, "."),
    ("{.v}", Field::Rcv, "."),
    ("{l}", Field::LK, "l"),
    ("{a}", Field::AA, "a"),
    ("{t}", Field::A6, "t"),
    ("{ro}", Field::RO, "o"),
    ("{x}", Field::EX, "x"),
];

/// An operand of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// A field, as its kind is written.
    Field(Field),
    /// RA, or the number 0.
    Ra0,
    /// NB, where 0 means 32.
    Bytes,
    /// Target of a branch: the displacement of the field, relative unless AA is set.
    Target(Field),
}

impl Operand {
    /// Reads an operand of a template; `None` if the row has no such field.
    fn parse(word: &str, row: &Row) -> Option<Operand> {
        match word {
            "RA0" => Some(Operand::Ra0),
            "BYTES" => Some(Operand::Bytes),
            "TARGET_LI" => Some(Operand::Target(Field::LI)),
            "TARGET_BD" => Some(Operand::Target(Field::BD)),
            _ => row.field(word).map(Operand::Field),
        }
    }

    /// The field whose value the operand gives.
    pub(crate) fn field(self) -> Field {
        match self {
            Operand::Field(f) | Operand::Target(f) => f,
            Operand::Ra0 => Field::RA,
            Operand::Bytes => Field::NB,
        }
    }
}

impl Row {
    /// The mnemonic part of the template and the part with the operands.
    pub(crate) fn template(&self) -> (&'static str, &'static str) {
        self.asm.split_once(' ').unwrap_or((self.asm, ""))
    }

    /// The operands of the template, in order; the names of fields that the row does not have are left out, which the
    /// table test finds.
    pub(crate) fn operands(&self) -> Vec<Operand> {
        words(self.template().1).filter_map(|w| Operand::parse(w, self)).collect()
    }
}

/// The words of a template's operands.
pub(crate) fn words(operands: &str) -> impl Iterator<Item = &str> {
    operands.split([',', '(', ')']).filter(|w| !w.is_empty())
}

/// Name of a condition register bit.
fn cr_bit(bit: i64) -> String {
    let name = ["lt", "gt", "eq", "so"][bit as usize & 3];
    if bit < 4 { name.into() } else { format!("4*cr{}+{name}", bit / 4) }
}

/// Writes the value of a field as its kind is written.
fn write_field(out: &mut String, field: Field, value: i64) {
    let _ = match field.kind() {
        Kind::Gpr | Kind::GprPair => write!(out, "r{value}"),
        Kind::Fpr | Kind::FprPair => write!(out, "f{value}"),
        Kind::Vr => write!(out, "v{value}"),
        Kind::Vsr => write!(out, "vs{value}"),
        Kind::Acc => write!(out, "a{value}"),
        Kind::CrField => write!(out, "cr{value}"),
        Kind::CrBit => write!(out, "{}", cr_bit(value)),
        Kind::Uint | Kind::Sint | Kind::HashOffset | Kind::Flag => write!(out, "{value}"),
    };
}

/// The instruction as text; `address` is its own, from which targets of branches are computed.
pub fn disassemble(insn: Insn, address: u64) -> String {
    let row = insn.op.row();
    let (mnemonic, operands) = row.template();
    let mut out = String::new();
    let mut rest = mnemonic;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let close = rest.find('}').map_or(rest.len(), |c| c + 1);
        let on = SUFFIXES.iter().find(|(mark, ..)| *mark == &rest[open..close]);
        if let Some((_, field, letters)) = on
            && insn.get(*field) != 0
        {
            out.push_str(letters);
        }
        rest = &rest[close..];
    }
    out.push_str(rest);
    if operands.is_empty() {
        return out;
    }
    out.push(' ');
    let mut start = 0;
    for (i, c) in operands.char_indices().chain([(operands.len(), ',')]) {
        if !matches!(c, ',' | '(' | ')') {
            continue;
        }
        if let Some(operand) = Operand::parse(&operands[start..i], row) {
            let value = insn.get(operand.field());
            match operand {
                Operand::Ra0 if value == 0 => out.push('0'),
                Operand::Bytes if value == 0 => out.push_str("32"),
                Operand::Target(_) => {
                    let base = if insn.get(Field::AA) != 0 { 0 } else { address };
                    let _ = write!(out, "0x{:x}", base.wrapping_add(value as u64));
                }
                _ => write_field(&mut out, operand.field(), value),
            }
        }
        if i < operands.len() {
            out.push(c);
        }
        start = i + 1;
    }
    out
}
