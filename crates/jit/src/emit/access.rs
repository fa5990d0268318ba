//! Accesses to storage.

use super::layout::*;
use super::*;
use crate::hooks;
use crate::stubs::number;
use core::mem::offset_of;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types::I64};
use memory::tlb::{OFFSET_MASK, OFFSET_SHIFT, TlbEntry};
use sem::{Fallible, Width};
use vcpu::Vcpu;
use vcpu::context::mode;
impl Emit<'_, '_> {
    pub(super) fn slow_call(&mut self, ea: Value, size: u32, store: bool) -> Value {
        let access = hooks::access(size, store, self.at.offset, self.at.ahead);
        let access = self.b.ins().iconst(I64, access);
        let budget = self.b.use_var(self.env.budget);
        let stub = self.stub(if self.env.vectors { number::SLOW_VECTORS } else { number::SLOW });
        self.b.ins().call_indirect(self.env.signatures.slow, stub, &[ea, access, budget]);
        self.load_state(I64, HOST)
    }

    /// Which of the two context ids an access is likely to have: quadrant 3 in privileged state.
    pub(super) fn quadrant(&self) -> usize {
        usize::from(!self.has(mode::PR) && self.has(mode::DR))
    }

    /// The TLB entry that an access to `first` would use, the tag that it has for bytes up to `last` to be there, and the
    /// tag that it should have.
    pub(super) fn tlb_entry(&mut self, first: Value, last: Value, store: bool) -> (Value, Value, Value) {
        let q = 8 * self.quadrant() as i32;
        // Read where they are used, as operands of instructions: kept in registers they would cost more.
        let (shift, mask, page) = (self.k(OFFSET_SHIFT.into()), self.k(OFFSET_MASK as i64), self.k(-4096));
        let offset = self.b.ins().ushr(first, shift);
        let offset = self.b.ins().band(offset, mask);
        let entries = self.load_state(I64, offset_of!(Vcpu, data_entries) as i32 + q);
        let entry = self.b.ins().iadd(offset, entries);
        let want = self.b.ins().band(last, page);
        let context = self.load_state(I64, offset_of!(Vcpu, data_context) as i32 + q);
        let want = self.b.ins().bor(want, context);
        let tag_at = if store { offset_of!(TlbEntry, write) } else { offset_of!(TlbEntry, read) };
        let tag = self.b.ins().load(I64, self.env.tlb, entry, tag_at as i32);
        (entry, tag, want)
    }

    /// Looks `first` up in the TLB, for bytes up to `last`. Returns whether they are there, and the addend.
    pub(super) fn look_up(&mut self, first: Value, last: Value, store: bool) -> (Value, Value) {
        let (entry, tag, want) = self.tlb_entry(first, last, store);
        let hit = self.b.ins().icmp(IntCC::Equal, want, tag);
        let addend = self.b.ins().load(I64, self.env.tlb, entry, offset_of!(TlbEntry, addend) as i32);
        (hit, addend)
    }

    /// Where an aligned access would be made in line: its host and real address, and a value that is zero if it may.
    pub(super) fn atomic_place(&mut self, ea: Value, width: Width, store: bool) -> (Value, Value, Value) {
        let (entry, tag, want) = self.tlb_entry(ea, ea, store);
        let wrong = self.b.ins().bxor(tag, want);
        let low = self.k(i64::from(width.bytes()) - 1);
        let misaligned = self.b.ins().band(ea, low);
        let wrong = self.b.ins().bor(wrong, misaligned);
        let addend = self.b.ins().load(I64, self.env.tlb, entry, offset_of!(TlbEntry, addend) as i32);
        let host = self.b.ins().iadd(ea, addend);
        let page = self.b.ins().load(I64, self.env.tlb, entry, offset_of!(TlbEntry, real) as i32);
        let mask = self.k(0xFFF);
        let offset = self.b.ins().band(ea, mask);
        let real = self.b.ins().bor(page, offset);
        (host, real, wrong)
    }

    /// `fast` where `wrong` is zero, else the helper, out of the line. Neither touches registers.
    pub(super) fn atomic(
        &mut self,
        wrong: Value,
        (helper, operands): (Fallible, [Long; 3]),
        fast: impl FnOnce(&mut Self) -> Value,
    ) -> Long {
        let (cold, hot, on) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(on, I64);
        self.b.set_cold_block(cold);
        self.b.ins().brif(wrong, cold, &[], hot, &[]);
        self.b.seal_block(cold);
        self.b.seal_block(hot);
        // Constants made in either are not known behind it.
        let constants = self.local.constants.clone();
        self.b.switch_to_block(cold);
        let [a, b, c] = operands;
        let v = self.fallible_call(helper, a, b, c);
        let v = self.value(v);
        self.b.ins().jump(on, &[BlockArg::Value(v)]);
        self.local.constants.clone_from(&constants);
        self.b.switch_to_block(hot);
        let v = fast(self);
        self.b.ins().jump(on, &[BlockArg::Value(v)]);
        self.local.constants = constants;
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        Long::V(result)
    }

    /// The known page in which an access lies, looked up if more accesses over the same base follow.
    pub(super) fn page_of(&mut self, base: Value, low: i64, size: u32, store: bool) -> Option<Value> {
        let high = low + i64::from(size);
        let found =
            self.local.pages.iter().find(|p| p.base == base && p.low <= low && high <= p.high && (p.store || !store));
        if let Some(page) = found {
            return Some(page.addend);
        }
        let ahead = self.ahead.take()?;
        // `ahead` counts from the register, which is the base plus this.
        let register = low - ahead.at;
        let (from, to) = (register + ahead.low, register + ahead.high);
        let (first, last) = (self.sum(base, from), self.sum(base, to - 1));
        let addend = self.addend(first, last, ahead.store || store);
        self.local.pages.push(Page { base, low: from, high: to, store: ahead.store || store, addend });
        Some(addend)
    }

    /// Looks `first` up in the TLB, for bytes up to `last`. Returns the addend, or 0 if they are not there.
    fn addend(&mut self, first: Value, last: Value, store: bool) -> Value {
        let Some(guess) = self.guesses[usize::from(store)] else {
            let (hit, addend) = self.look_up(first, last, store);
            let none = self.k(0);
            return self.b.ins().select(hit, addend, none);
        };
        let right = self.guess(first, guess);
        let (wrong, on) = (self.b.create_block(), self.b.create_block());
        let addend = self.b.append_block_param(on, I64);
        self.b.set_cold_block(wrong);
        let known = self.b.use_var(guess.addend);
        self.b.ins().brif(right, on, &[BlockArg::Value(known)], wrong, &[]);
        self.b.seal_block(wrong);
        self.b.switch_to_block(wrong);
        let constants = self.local.constants.clone();
        let (hit, found) = self.guess_again(first, last, store, guess);
        let none = self.k(0);
        let found = self.b.ins().select(hit, found, none);
        self.local.constants = constants;
        self.b.ins().jump(on, &[BlockArg::Value(found)]);
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        addend
    }

    /// Whether `first` lies in the page of a guess.
    fn guess(&mut self, first: Value, guess: Guess) -> Value {
        let page = self.b.use_var(guess.page);
        let limit = self.b.use_var(guess.limit);
        let offset = self.b.ins().isub(first, page);
        self.b.ins().icmp(IntCC::UnsignedLessThan, offset, limit)
    }

    /// Looks up what a guess was wrong about, and makes it the guess if it is there.
    fn guess_again(&mut self, first: Value, last: Value, store: bool, guess: Guess) -> (Value, Value) {
        let (hit, addend) = self.look_up(first, last, store);
        let (mask, room) = (self.k(-4096), self.k(guess.room));
        let page = self.b.ins().band(first, mask);
        for (variable, new) in [(guess.page, page), (guess.limit, room), (guess.addend, addend)] {
            let old = self.b.use_var(variable);
            let v = self.b.ins().select(hit, new, old);
            self.b.def_var(variable, v);
        }
        (hit, addend)
    }

    /// Host address of an access. `data`: what a store stores, for the slow path.
    pub(super) fn host(&mut self, ea: Long, size: u32, data: Option<Value>) -> Value {
        if !self.defers {
            self.flush();
        }
        let ea = self.value(ea);
        let store = data.is_some();
        let (base, displacement) = self.local.sums.get(&ea).copied().unwrap_or((ea, 0));
        let known = if self.has(mode::SF) { self.page_of(base, displacement, size, store) } else { None };
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        let host = self.b.append_block_param(on, I64);
        self.b.set_cold_block(cold);
        // Constants made out of the line are not known behind it.
        let mut constants = None;
        let (found, addend) = match (known, self.guesses[usize::from(store)]) {
            (Some(addend), _) => (addend, addend),
            (None, guess) => {
                let last = if size == 1 { ea } else { self.sum(base, displacement + i64::from(size) - 1) };
                match guess {
                    None => self.look_up(ea, last, store),
                    Some(guess) => {
                        let right = self.guess(ea, guess);
                        let wrong = self.b.create_block();
                        self.b.set_cold_block(wrong);
                        let addend = self.b.use_var(guess.addend);
                        let direct = self.b.ins().iadd(ea, addend);
                        self.b.ins().brif(right, on, &[BlockArg::Value(direct)], wrong, &[]);
                        self.b.seal_block(wrong);
                        self.b.switch_to_block(wrong);
                        constants = Some(self.local.constants.clone());
                        self.guess_again(ea, last, store, guess)
                    }
                }
            }
        };
        let direct = self.b.ins().iadd(ea, addend);
        self.b.ins().brif(found, on, &[BlockArg::Value(direct)], cold, &[]);
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        if self.defers {
            self.flush_aside();
        }
        if let Some(data) = data {
            self.store_state(data, BOUNCE);
        }
        let slow = self.slow_call(ea, size, store);
        if let Some(constants) = constants {
            self.local.constants = constants;
        }
        self.b.ins().jump(on, &[BlockArg::Value(slow)]);
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        host
    }

    /// What `bswap` left of a value of `width` at the high end.
    pub(super) fn down(&mut self, v: Value, width: Width) -> Value {
        let n = self.k(i64::from(64 - width.bits()));
        self.b.ins().ushr(v, n)
    }

    pub(super) fn swapped(&self) -> bool {
        !self.has(mode::LE)
    }
}
