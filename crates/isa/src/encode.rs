//! From fields to a word, and words with random fields.

use crate::{Field, Insn, Kind, Op, Row};
use thiserror::Error;

/// Why fields could not be put into a word.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The row has no such field.
    #[error("{op} has no field {field}; it has {has}")]
    NoSuchField {
        /// Name of the row.
        op: &'static str,
        /// Name of the field.
        field: &'static str,
        /// Names of the fields that it has.
        has: String,
    },
    /// The value cannot be expressed.
    #[error("{op}: {value} does not fit in field {field} ({expects})")]
    OutOfRange {
        /// Name of the row.
        op: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The value given.
        value: i64,
        /// What fits.
        expects: String,
    },
}

impl Row {
    /// Names of the fields, for messages.
    fn field_names(&self) -> String {
        let names: Vec<&str> = self.fields().map(Field::name).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// `raw` with a field set to `value`.
    pub fn set(&self, raw: u64, field: Field, value: i64) -> Result<u64, EncodeError> {
        if !self.has(field) {
            return Err(EncodeError::NoSuchField { op: self.name, field: field.name(), has: self.field_names() });
        }
        let bits = if field.kind() == Kind::HashOffset { value.wrapping_add(512) } else { value } as u64;
        let set =
            self.pattern.pieces().iter().filter(|p| p.field == field).fold(raw, |r, p| r & !p.mask() | p.insert(bits));
        if self.get(field, set) == value {
            return Ok(set);
        }
        Err(EncodeError::OutOfRange { op: self.name, field: field.name(), value, expects: self.expects(field) })
    }

    /// The values that fit a field, for messages.
    fn expects(&self, field: Field) -> String {
        let pieces = || self.pattern.pieces().iter().filter(|p| p.field == field);
        let all = pieces().fold(0, |r, p| r | p.mask());
        let (ones, step) = (self.get(field, all), 1u64 << pieces().map(|p| p.place).min().unwrap_or(0));
        let (low, high) = match field.kind() {
            Kind::Sint => {
                let top = 1i64 << (field.value_bits() - 1);
                (-top, top - step as i64)
            }
            Kind::HashOffset => (-512, -8),
            _ => (0, ones),
        };
        if step == 1 { format!("{low}..={high}") } else { format!("{low}..={high}, a multiple of {step}") }
    }
}

/// Puts fields into the word of `op`. Fields not given are 0, ignored bits too. Values are those that the accessors of
/// [`crate::Fields`] return: displacements in bytes, split fields whole.
pub fn encode(op: Op, fields: &[(Field, i64)]) -> Result<u64, EncodeError> {
    let row = op.row();
    fields.iter().try_fold(row.pattern.value, |raw, &(field, value)| row.set(raw, field, value))
}

/// BO fields that are not reserved; of the branches on CTR only those that do not decrement it.
const BO: [u64; 17] = [0, 2, 4, 6, 7, 8, 10, 12, 14, 15, 16, 18, 20, 24, 25, 26, 27];

/// Is this a form that the manual defines? `false` for invalid forms (update with RA = 0, odd register of a pair, ..)
/// and reserved values of fields, of which a processor may do what it likes.
pub fn valid_form(insn: Insn) -> bool {
    let row = insn.op.row();
    let get = |f| insn.get(f);
    let (rt, ra, rb) = (get(Field::RT), get(Field::RA), get(Field::RB));
    let even = row.fields().all(|f| !matches!(f.kind(), Kind::GprPair | Kind::FprPair) || get(f) & 1 == 0);
    // Update forms: the base is a register, and a load does not also write it.
    let update = row.asm.contains("(RA)") && !row.has(Field::HASHD) || is_indexed_update(row);
    if !even || update && (ra == 0 || row.has(Field::RT) && ra == rt) {
        return false;
    }
    match insn.op {
        Op::hashst | Op::hashchk | Op::hashstp | Op::hashchkp => ra != 0,
        Op::lmw => ra < rt,
        Op::lswi => {
            let bytes = if get(Field::NB) == 0 { 32 } else { get(Field::NB) };
            !in_run(rt, (bytes + 3) / 4, ra)
        }
        Op::lswx => rt != ra && rt != rb && ra < rt && rb < rt,
        Op::lq | Op::plq => get(Field::RTp) != ra && valid_pcrel(insn),
        Op::lqarx => get(Field::RTp) != ra && get(Field::RTp) != rb,
        Op::mfocrf | Op::mtocrf => get(Field::FXM).count_ones() == 1,
        Op::bc | Op::bclr | Op::bctar => BO.contains(&(get(Field::BO) as u64)),
        Op::bcctr => BO.contains(&(get(Field::BO) as u64)) && get(Field::BO) & 4 != 0,
        Op::mftb => matches!(get(Field::TBR), 268 | 269),
        Op::addex => get(Field::CY) != 3,
        Op::darn => get(Field::L14) != 3,
        Op::dcbf => matches!(get(Field::L3), 0 | 1 | 3 | 4 | 6),
        Op::sync => match get(Field::L3) {
            0 => get(Field::SC) <= 1,
            1 => matches!(get(Field::SC), 0 | 2 | 3),
            2 | 4 | 5 => get(Field::SC) == 0,
            _ => false,
        },
        Op::wait => get(Field::WC) == 0 && get(Field::PL) == 0 || get(Field::WC) == 2 && get(Field::PL) == 0,
        _ if row.has(Field::AT) => {
            // The source VSRs of an outer product are none of the accumulator's.
            let acc = get(Field::AT);
            [Field::XA, Field::XB].iter().all(|&f| !row.has(f) || get(f) / 4 != acc)
                && (!row.has(Field::XAp) || get(Field::XAp) / 4 != acc && get(Field::XAp) & 1 == 0)
        }
        _ => valid_pcrel(insn),
    }
}

/// Does the row compute its address from two registers and write it back?
fn is_indexed_update(row: &Row) -> bool {
    row.name.ends_with("ux") && row.has(Field::RA) && row.has(Field::RB) && row.pattern.value >> 26 == 31
}

/// Is `reg` one of the `count` registers from `first` on, 0 following 31?
fn in_run(first: i64, count: i64, reg: i64) -> bool {
    (reg - first).rem_euclid(32) < count
}

/// R = 1 (relative to the instruction) goes with RA = 0 only.
fn valid_pcrel(insn: Insn) -> bool {
    insn.get(Field::R) == 0 || insn.get(Field::RA) == 0
}

/// A word of `op` with random fields that make a valid form, ignored bits 0.
pub fn random_word(op: Op, mut rng: impl FnMut() -> u64) -> u64 {
    let row = op.row();
    let fields = row.pattern.pieces().iter().fold(0, |m, p| m | p.mask());
    loop {
        let mut raw = row.pattern.value | rng() & fields;
        let pick = rng();
        for p in row.pattern.pieces() {
            // Where valid values are rare, begin with one.
            let value = match p.field {
                Field::FXM if matches!(op, Op::mfocrf | Op::mtocrf) => 1 << (pick & 7),
                Field::BO => BO[pick as usize % BO.len()],
                Field::TBR => 268 + (pick & 1),
                Field::RA if row.has(Field::R) && raw & (1 << 52) != 0 => 0,
                f if matches!(f.kind(), Kind::GprPair | Kind::FprPair) => p.extract(raw) & !1,
                Field::XAp if p.place == 0 => 0,
                Field::L3 | Field::SC | Field::WC | Field::PL if pick & 1 == 0 => 0,
                _ => continue,
            };
            raw = raw & !p.mask() | p.insert(value);
        }
        if valid_form(Insn { op, raw }) {
            return raw;
        }
    }
}
