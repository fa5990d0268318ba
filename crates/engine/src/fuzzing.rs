//! Any instructions through the interpreter and through the translator, which have to agree: registers, memory, interrupts
//! and the count. What the fuzz target `block` runs, on the machines of the tests.

#[allow(missing_docs, unreachable_pub, dead_code)]
#[path = "../tests/streams/mod.rs"]
mod streams;

use crate::EngineExit;
use isa::{Chapter, IsaLevel, Op, Privilege, decode, random_word};
use std::cell::RefCell;
use streams::bench::{Bench, How, differences};
use streams::generate::{Rows, Stream, stream};
use streams::rng::Rng;

/// Instructions of a run at most.
const MOST: u64 = 400;
/// Runs of translated code: of the second on it is.
const THRESHOLD: u32 = 1;
/// Streams that a pair of machines sees.
const TOGETHER: u32 = 200;

thread_local! {
    static ROWS: Rows = Rows::new();
    /// Machines of each level, and how many streams they saw.
    static PAIRS: RefCell<Vec<(IsaLevel, u32, [Bench; 2])>> = const { RefCell::new(Vec::new()) };
}

/// Whether engines promise to do the same: time is not compared, nor what the host draws.
fn can_be_compared(op: Op) -> bool {
    let row = op.row();
    row.implemented
        && row.privilege == Privilege::User
        && row.chapter != Chapter::tm
        && !matches!(op, Op::wait | Op::mftb | Op::sc | Op::scv | Op::darn | Op::rfebb | Op::mfspr | Op::mtspr)
}

/// The stream that `data` says: the first eight bytes give everything, each four bytes after them another word in it.
fn stream_of(data: &[u8]) -> Stream {
    let (seed, rest) = data.split_first_chunk().map_or((0, &[][..]), |(seed, rest)| (u64::from_le_bytes(*seed), rest));
    let mut rng = Rng::of(seed, "fuzzing", 0);
    let level = rng.pick(&[IsaLevel::V3_0, IsaLevel::V3_0, IsaLevel::V3_1, IsaLevel::V2_07]);
    let mut s = ROWS.with(|rows| stream(rows, level, true, &mut rng));
    for change in rest.as_chunks::<4>().0 {
        let place = usize::from(change[0]) % s.words.len();
        let op = usize::from(u16::from_le_bytes([change[1], change[2]]));
        let mut state = u64::from_le_bytes([change[3], change[2], change[1], change[0], 1, 2, 3, 4]);
        let word = match Op::ALL.get(op) {
            Some(op) if op.row().at(level) => random_word(*op, || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.rotate_left(23)
            }),
            _ => u64::from(u32::from_le_bytes(*change)),
        };
        // Halves of prefixed ones would be changed alone.
        if word >> 32 == 0 && decode(word, level).is_some_and(|insn| can_be_compared(insn.op)) {
            s.words[place] = word as u32;
        }
    }
    s
}

/// Runs the stream that `data` says.
///
/// # Panics
/// If interpreter and translator differ.
pub fn block(data: &[u8]) {
    let s = stream_of(data);
    PAIRS.with_borrow_mut(|pairs| {
        let at = pairs.iter().position(|(level, ..)| *level == s.level).unwrap_or_else(|| {
            let model = cpu::model::MODELS.into_iter().find(|m| m.level == s.level).expect("there is a model");
            let pair = [How::Interpreter, How::Translator(THRESHOLD)].map(|how| Bench::new(model, true, false, how));
            pairs.push((s.level, 0, pair));
            pairs.len() - 1
        });
        let (_, seen, pair) = &mut pairs[at];
        pair.iter_mut().for_each(|machine| machine.put(&s));
        for round in 0..THRESHOLD + 2 {
            pair.iter_mut().for_each(|machine| machine.start(&s));
            // In pieces, so that the budget ends anywhere.
            for piece in if round == 0 { [MOST, 0] } else { [1 + u64::from(round) * 7, MOST] } {
                let [want, got] = pair.each_mut().map(|machine| machine.run(piece));
                let text = differences(&want, &got);
                assert!(text.is_empty(), "round {round}:\n{text}{}", s.listing());
                if want.exit != EngineExit::Budget {
                    break;
                }
            }
        }
        *seen += 1;
        if *seen == TOGETHER {
            pairs.swap_remove(at);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_translator_does_as_the_interpreter() {
        for seed in 0..60 {
            let mut rng = Rng::of(seed, "bytes", 0);
            let bytes: Vec<u8> = (0..12).flat_map(|_| rng.next().to_le_bytes()).collect();
            block(&bytes);
        }
    }
}
