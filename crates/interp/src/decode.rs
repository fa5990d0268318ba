//! From instruction words to a block.

use crate::blocks::{Block, Operation};
use crate::handlers::{self, handler_of};
use crate::pool::{self, Place};
use isa::{Ends, Insn, Op};
use memory::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE};
use sem::admit::admit;
use vcpu::context::mode;
use vcpu::{R, Vcpu};

/// Instructions a block has at most.
const MOST: usize = pool::MOST - 1;

/// Conditional branches that a block has within it at most.
const MOST_CONDITIONALS: usize = 4;

/// Decodes the block at real address `real`, which the vCPU fetched from `ea`: its operations are put into `operations`.
///
/// # Errors
/// None now: the page was translated. (A prefixed instruction never crosses a page: it would cross a
/// 64-byte boundary, which is an alignment interrupt.)
pub fn decode_block(v: &mut Vcpu, ea: u64, real: u64, operations: &mut Vec<Operation>) -> R<Block> {
    let page = real >> PAGE_SHIFT;
    if v.memory.mark_code(page, v.index) {
        v.tlb.withdraw_writes(page);
        v.wait_for_all();
        v.memory.confirm_code(page);
    }
    let mut bytes = [0u8; PAGE_SIZE as usize];
    let start = (real & PAGE_OFFSET) as usize & !3;
    let most = ((PAGE_SIZE as usize - start) / 4).min(MOST);
    // `fetch_address` found the page in RAM; a failed read leaves zeros, which are illegal instructions.
    let _ = v.memory.read(real & !3, &mut bytes[..most * 4]);
    let traced_mode = v.mode & (mode::STEP | mode::BRANCH_TRACE) != 0;
    let word_at = |n: usize| {
        let b: [u8; 4] = std::array::from_fn(|k| bytes[n * 4 + k]);
        if v.mode & mode::LE != 0 { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) }
    };

    operations.clear();
    let mut len = 0i64;
    let mut ended = false;
    let mut stop = false;
    let mut conditionals = 0;
    let mut traced = None;
    let mut words = Vec::new();
    let wants_words = v.observer.wants_blocks();
    let mut n = 0;
    while n < most && !ended && !stop {
        let word = word_at(n);
        let prefixed = isa::is_prefix(word) && v.level() >= isa::IsaLevel::V3_1;
        let mut raw = u64::from(word);
        let operation;
        let mut branch = false;
        if prefixed {
            let at = real + 4 * n as u64;
            ended = true;
            if at & 63 == 60 {
                operation = Operation::new(handlers::refused, raw);
            } else {
                raw = raw << 32 | u64::from(word_at(n + 1));
                operation = one(v, raw, true).0;
            }
        } else {
            let after;
            (operation, after, branch) = one(v, raw, false);
            conditionals += usize::from(after == After::Conditional);
            ended = after == After::Ends;
            stop = after == After::Other || conditionals == MOST_CONDITIONALS;
        }
        operations.push(operation);
        if wants_words {
            words.push(raw);
        }
        len += 1;
        n += 1;
        if traced_mode {
            // Returns from interrupts are not traced (Power ISA 3.0B, Book III, 6.5.15).
            let returns =
                matches!(isa::decode(raw, v.model.level).map(|i| i.op), Some(Op::rfid | Op::hrfid | Op::rfscv));
            traced = (!returns).then_some(branch);
            if v.mode & mode::STEP != 0 || branch {
                break;
            }
        }
    }
    // Behind an instruction that always leaves the block this is never run, but every block ends with it.
    operations.push(Operation::new(handlers::go_on, 0));
    if wants_words {
        v.observer.block(ea, real, &words);
    }
    Ok(Block {
        operations: Place::default(),
        len,
        real,
        mode: v.mode,
        traced,
        heat: 0,
        due: 0,
        warm: false,
        is_new: false,
        code: 0,
    })
}

/// Decodes one instruction: operation, what comes behind it, whether it is a branch.
fn one(v: &Vcpu, raw: u64, prefixed: bool) -> (Operation, After, bool) {
    let insn = match admit(raw, prefixed, v.mode, v.model.level) {
        Ok(insn) => insn,
        Err(_) => return (Operation::new(handlers::refused, raw), After::Ends, false),
    };
    let row = insn.op.row();
    let has = |m| v.mode & m != 0;
    let after = if prefixed { After::Ends } else { after(insn) };
    let handler = handler_of(insn, after == After::Ends, has(mode::LE) && has(mode::SF));
    (Operation::new(handler, raw), after, row.ends == Ends::Branch)
}

/// How decoding goes on behind an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// In the same block.
    Same,
    /// In the same block, of which there should not be too many.
    Conditional,
    /// In another block: the instruction may be passed through, but seldom is.
    Other,
    /// The instruction always leaves the block.
    Ends,
}

/// The table says whether an instruction ends a block. Of `mtspr`, those that change neither translation nor what may
/// interrupt do not. A conditional branch forward, or through a register, is often not taken and the block goes on
/// behind it; one backward is a loop's.
fn after(insn: Insn) -> After {
    use cpu::spr::*;
    use isa::Fields;
    const ALWAYS: u32 = 0b10100;
    let i = isa::Any(insn.raw);
    match insn.op {
        Op::mtspr => match i.spr() {
            XER | LR | CTR | TAR | VRSAVE | SRR0 | SRR1 | SPRG0..=SPRG3 | DAR | DSISR | CFAR | PPR | PPR32 | DSCR => {
                After::Same
            }
            _ => After::Ends,
        },
        Op::bc | Op::bclr | Op::bcctr | Op::bctar if i.bo() & ALWAYS == ALWAYS => After::Ends,
        Op::bc if i.bd() < 0 || i.lk() => After::Other,
        Op::bc | Op::bclr | Op::bcctr | Op::bctar => After::Conditional,
        op if op.row().ends == Ends::No => After::Same,
        _ => After::Ends,
    }
}
