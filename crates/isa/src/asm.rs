//! The assembler for tests: reads what [`crate::disassemble`] writes, and a little more comfort.

use crate::alias::expand;
use crate::disasm::{Operand, SUFFIXES, words};
use crate::{EncodeError, Field, Kind, Op};
use std::collections::HashMap;
use std::sync::LazyLock;
use thiserror::Error;

/// Why a line could not be assembled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AsmError {
    /// The mnemonic is not in the table.
    #[error("no instruction is called `{0}` with these operands; see isa::coverage() for what there is")]
    UnknownMnemonic(String),
    /// The wrong number of operands.
    #[error("`{line}`: {found} operands found, expected {expected}, as in `{template}`")]
    Operands {
        /// The line.
        line: String,
        /// How many were found.
        found: usize,
        /// How many the template has.
        expected: usize,
        /// The row's template.
        template: &'static str,
    },
    /// An operand could not be read.
    #[error("`{text}` is not {expected}, as field {field} wants")]
    BadOperand {
        /// The operand.
        text: String,
        /// What was expected.
        expected: &'static str,
        /// The field that it is for.
        field: &'static str,
    },
    /// An operand does not fit.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Every mnemonic with the one-bit fields that its letters set.
static MNEMONICS: LazyLock<HashMap<String, (Op, Vec<Field>)>> = LazyLock::new(|| {
    let mut all = HashMap::new();
    for &op in Op::ALL {
        let template = op.row().template().0;
        let marks: Vec<_> = SUFFIXES.iter().filter(|(mark, ..)| template.contains(mark)).collect();
        for choice in 0..1u32 << marks.len() {
            let (mut text, mut set) = (template.to_string(), Vec::new());
            for (i, (mark, field, letters)) in marks.iter().enumerate() {
                let on = choice & (1 << i) != 0;
                text = text.replace(mark, if on { letters } else { "" });
                if on {
                    set.push(*field);
                }
            }
            all.entry(text).or_insert((op, set));
        }
    }
    all
});

/// Assembles an instruction at address 0, so that a branch's target is its displacement. See [`assemble_at`].
pub fn assemble(line: &str) -> Result<u64, AsmError> {
    assemble_at(line, 0)
}

/// Assembles one instruction at `address`. Registers are written `r3`, `f1`, `v2`, `vs3`, `a0`, `cr1` or as plain
/// numbers; numbers are decimal or `0x` hexadecimal. The common extended mnemonics are read too.
/// A target may be relative to the instruction: `b .`, `bdnz .-8`. Of a prefixed instruction the prefix is in the high half.
pub fn assemble_at(line: &str, address: u64) -> Result<u64, AsmError> {
    let line = line.trim();
    let (mnemonic, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let relative = |word: &str| {
        let displacement = word.strip_prefix('.').and_then(|d| if d.is_empty() { Some(0) } else { d.parse().ok() });
        displacement.map(|d: i64| format!("{:#x}", address.wrapping_add_signed(d)))
    };
    let targets: Vec<String> =
        words(rest).map(|w| relative(w.trim()).unwrap_or_else(|| w.trim().to_string())).collect();
    let given: Vec<&str> = targets.iter().map(String::as_str).filter(|w| !w.is_empty()).collect();
    let Some((op, set)) = MNEMONICS.get(mnemonic) else {
        // What an extended mnemonic stands for is never one itself.
        return match expand(mnemonic, &given) {
            Some(plain) => assemble_at(&plain, address),
            None => Err(AsmError::UnknownMnemonic(mnemonic.into())),
        };
    };
    let row = op.row();
    let operands = row.operands();
    if given.len() != operands.len() {
        return Err(AsmError::Operands {
            line: line.into(),
            found: given.len(),
            expected: operands.len(),
            template: row.asm,
        });
    }
    let mut raw = row.pattern.value;
    for &field in set {
        raw = row.set(raw, field, 1)?;
    }
    for (operand, text) in operands.into_iter().zip(given) {
        let mut value = value(operand.field(), text)?;
        if let Operand::Target(_) = operand
            && !set.contains(&Field::AA)
        {
            value = value.wrapping_sub(address as i64);
        }
        if operand == Operand::Bytes && value == 32 {
            value = 0;
        }
        raw = row.set(raw, operand.field(), value)?;
    }
    Ok(raw)
}

/// Reads the value of an operand.
fn value(field: Field, text: &str) -> Result<i64, AsmError> {
    let (prefix, expected) = match field.kind() {
        Kind::Gpr | Kind::GprPair => ("r", "a general register"),
        Kind::Fpr | Kind::FprPair => ("f", "a floating-point register"),
        Kind::Vr => ("v", "a vector register"),
        Kind::Vsr => ("vs", "a vector-scalar register"),
        Kind::Acc => ("a", "an accumulator"),
        Kind::CrField => ("cr", "a condition register field"),
        Kind::CrBit => ("", "a condition register bit"),
        Kind::Uint | Kind::Sint | Kind::HashOffset | Kind::Flag => ("", "a number"),
    };
    let bad = || AsmError::BadOperand { text: text.into(), expected, field: field.name() };
    if field.kind() == Kind::CrBit
        && let Some(bit) = cr_bit(text)
    {
        return Ok(bit);
    }
    number(text.strip_prefix(prefix).unwrap_or(text)).ok_or_else(bad)
}

/// Reads `lt` or `4*cr1+lt`.
fn cr_bit(text: &str) -> Option<i64> {
    let (field, name) = match text.split_once('+') {
        Some((field, name)) => (field.strip_prefix("4*cr")?.parse::<i64>().ok().filter(|f| (0..8).contains(f))?, name),
        None => (0, text),
    };
    let bit = ["lt", "gt", "eq", "so"].iter().position(|n| *n == name)?;
    Some(field * 4 + bit as i64)
}

/// Reads a decimal or hexadecimal number, maybe negative.
fn number(text: &str) -> Option<i64> {
    let (digits, negative) = text.strip_prefix('-').map_or((text, false), |t| (t, true));
    let n = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()? as i64,
        None => digits.parse().ok()?,
    };
    Some(if negative { n.wrapping_neg() } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(assemble("add r3,r4,r5"), Ok(0x7c64_2a14));
        assert_eq!(assemble("addo. 3, 4, 5"), Ok(0x7c64_2e15));
        assert_eq!(assemble("lwz r3,-4(r1)"), Ok(0x8061_fffc));
        assert_eq!(assemble("bc 12,4*cr1+eq,0x10"), Ok(0x4186_0010));
        assert_eq!(assemble_at("b 0x1000", 0x1004), Ok(0x4bff_fffc));
        assert!(matches!(assemble("add r3,r4"), Err(AsmError::Operands { found: 2, expected: 3, .. })));
        assert!(matches!(assemble("addi r3,r4,40000"), Err(AsmError::Encode(EncodeError::OutOfRange { .. }))));
        assert!(matches!(assemble("frob r3"), Err(AsmError::UnknownMnemonic(_))));
        assert!(matches!(assemble("add r3,r4,x"), Err(AsmError::BadOperand { .. })));
    }
}
