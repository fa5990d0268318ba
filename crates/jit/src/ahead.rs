//! Which accesses over one base register follow an access in its block, so that they are looked up together.

use crate::emit::Ahead;
use crate::region::Place;
use isa::{Any, Fields, Op};
use sem::Width;

/// Displacement, width and kind of a load or store of D or DS form.
fn access(place: &Place) -> Option<(i64, Width, bool)> {
    let i = Any(place.insn.raw);
    Some(match place.insn.op {
        Op::lbz | Op::lbzu => (i.d(), Width::Byte, false),
        Op::lhz | Op::lhzu | Op::lha | Op::lhau => (i.d(), Width::Half, false),
        Op::lwz | Op::lwzu => (i.d(), Width::Word, false),
        Op::lwa => (i.ds(), Width::Word, false),
        Op::ld | Op::ldu => (i.ds(), Width::Double, false),
        Op::stb | Op::stbu => (i.d(), Width::Byte, true),
        Op::sth | Op::sthu => (i.d(), Width::Half, true),
        Op::stw | Op::stwu => (i.d(), Width::Word, true),
        Op::std | Op::stdu => (i.ds(), Width::Double, true),
        _ => return None,
    })
}

/// Bytes that accesses over one base may lie apart to be looked up together.
const REACH: i64 = 512;

/// The accesses over the base register of the first instruction that follow it, if there are any.
pub fn accesses_ahead(places: &[Place]) -> Option<Ahead> {
    let first = places.first()?;
    let (d, width, store) = access(first)?;
    let base = Any(first.insn.raw).ra();
    if base == 0 {
        return None;
    }
    let mut found = Ahead { at: d, low: d, high: d + i64::from(width.bytes()), store };
    // What the register holds beyond what it held at first.
    let mut moved = 0;
    let mut more = false;
    for (n, place) in places.iter().enumerate() {
        if place.skips > 0 {
            break;
        }
        if n > 0 {
            let stops = place.effects.context || place.effects.fence.is_some() || place.effects.calls;
            if stops {
                break;
            }
            if let Some((d, width, store)) = access(place).filter(|_| Any(place.insn.raw).ra() == base) {
                let (low, high) = (found.low.min(moved + d), found.high.max(moved + d + i64::from(width.bytes())));
                if high - low <= REACH {
                    (found.low, found.high, more) = (low, high, true);
                    found.store |= store;
                }
            }
        }
        if place.effects.gpr_written >> base & 1 != 0 {
            match place.insn.op {
                Op::stdu | Op::stwu | Op::ldu | Op::lwzu | Op::lbzu | Op::stbu => {
                    moved += access(place).map_or(0, |(d, ..)| d);
                    if access(place).is_none()
                        || Any(place.insn.raw).rt() == base && !matches!(place.insn.op, Op::stdu | Op::stwu | Op::stbu)
                    {
                        break;
                    }
                }
                Op::addi if Any(place.insn.raw).ra() == base => moved += Any(place.insn.raw).si(),
                _ => break,
            }
        }
    }
    more.then_some(found)
}
