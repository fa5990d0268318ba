//! Accesses to storage.

use super::layout::*;
use super::*;
use crate::hooks;
use crate::stubs::number;
use core::mem::offset_of;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, BlockArg, InstBuilder, Value,
    types::{I32, I64},
};
use memory::tlb::{OFFSET_MASK, OFFSET_SHIFT, TlbEntry};
use sem::Width;
use vcpu::Vcpu;
use vcpu::context::mode;

/// What is looked up in the TLB.
struct Look {
    first: Value,
    last: Value,
    /// Displacement of `first` from the base.
    from: i64,
    /// Bytes.
    span: i64,
    store: bool,
    /// It is the access and nothing else.
    whole: bool,
}

impl Look {
    /// What goes on behind the look-up gets: the addend of the access, and that of those ahead.
    fn arguments(&self, addend: Value) -> Vec<BlockArg> {
        vec![BlockArg::Value(addend); if self.whole { 1 } else { 2 }]
    }
}

impl Emit<'_, '_> {
    /// Makes an access beside the TLB. Returns the addend with which it is then made in the line.
    pub(super) fn slow_call(&mut self, ea: Value, size: u32, store: bool) -> Value {
        // In memory, not in registers of the call: those would be kept free for it in the line too.
        self.store_state(ea, EA);
        let access = hooks::access(size, store, self.at.offset, self.at.ahead);
        let access = self.b.ins().iconst(I32, i64::from(access));
        self.store_state(access, ACCESS);
        let budget = self.b.use_var(self.env.budget);
        self.store_state(budget, BUDGET);
        let stub = self.stub(if self.env.vectors { number::SLOW_VECTORS } else { number::SLOW });
        self.b.ins().call_indirect(self.env.signatures.kept, stub, &[]);
        self.load_state(I64, ADDEND)
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

    /// Leaves the line for `wrong` unless an access lies in the page of a guess; then it goes on at `on`.
    fn guess(&mut self, look: &Look, guess: Guess, on: Block) -> Block {
        let page = self.b.use_var(guess.page);
        let addend = self.b.use_var(guess.addend);
        let wrong = self.b.create_block();
        self.b.set_cold_block(wrong);
        let mask = self.k(-4096);
        let right = if look.whole {
            // An aligned access: what is not is looked up.
            let mask = self.k(-4096 | (look.span - 1));
            let place = self.b.ins().band(look.first, mask);
            self.b.ins().icmp(IntCC::Equal, place, page)
        } else {
            let [first, last] = [look.first, look.last].map(|end| {
                let place = self.b.ins().band(end, mask);
                self.b.ins().bxor(place, page)
            });
            let other = self.b.ins().bor(first, last);
            let zero = self.k(0);
            self.b.ins().icmp(IntCC::Equal, other, zero)
        };
        self.b.ins().brif(right, on, &look.arguments(addend), wrong, &[]);
        self.b.seal_block(wrong);
        wrong
    }

    /// Makes what was looked up the guess, if it is there.
    fn guess_again(&mut self, look: &Look, (hit, addend): (Value, Value), guess: Guess) {
        let mask = self.k(-4096);
        let page = self.b.ins().band(look.first, mask);
        for (variable, new) in [(guess.page, page), (guess.addend, addend)] {
            let old = self.b.use_var(variable);
            let v = self.b.ins().select(hit, new, old);
            self.b.def_var(variable, v);
        }
    }

    /// What is looked up for an access: with the accesses ahead over its base, if there are any.
    fn look(&mut self, ea: Value, base: Value, displacement: i64, size: u32, store: bool) -> Look {
        let size = i64::from(size);
        match self.ahead.take().filter(|_| self.has(mode::SF)) {
            None => {
                let last = if size == 1 { ea } else { self.sum(base, displacement + size - 1) };
                Look { first: ea, last, from: displacement, span: size, store, whole: true }
            }
            Some(ahead) => {
                // `ahead` counts from the register, which is the base plus this.
                let register = displacement - ahead.at;
                let (from, to) = (register + ahead.low, register + ahead.high);
                let (first, last) = (self.sum(base, from), self.sum(base, to - 1));
                Look { first, last, from, span: to - from, store: store || ahead.store, whole: false }
            }
        }
    }

    /// Where an access is made: a host address, and a displacement from it. `data`: what a store stores, for the slow path.
    pub(super) fn host(&mut self, ea: Long, size: u32, data: Option<Value>) -> (Value, i32) {
        if !self.defers {
            self.flush_registers();
        }
        let ea = self.value(ea);
        let store = data.is_some();
        let (mut base, mut displacement) = self.local.sums.get(&ea).copied().unwrap_or((ea, 0));
        let end = displacement + i64::from(size);
        let known = self.local.pages.iter();
        let known =
            known.copied().find(|p| p.base == base && p.low <= displacement && end <= p.high && (p.store || !store));
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        let addend = self.b.append_block_param(on, I64);
        // Constants made out of the line are not known behind it.
        let mut constants = None;
        let look = match known {
            Some(page) => {
                self.b.ins().brif(page.addend, on, &[BlockArg::Value(page.addend)], cold, &[]);
                None
            }
            None => {
                let look = self.look(ea, base, displacement, size, store);
                if !look.whole {
                    let addend = self.b.append_block_param(on, I64);
                    let (low, high) = (look.from, look.from + look.span);
                    self.local.pages.push(Page { base, low, high, store: look.store, addend });
                }
                let guess = self.guesses[usize::from(look.store)];
                if let Some(guess) = guess {
                    let wrong = self.guess(&look, guess, on);
                    self.b.switch_to_block(wrong);
                    constants = Some(self.local.constants.clone());
                }
                let (hit, addend) = self.look_up(look.first, look.last, look.store);
                if let Some(guess) = guess {
                    self.guess_again(&look, (hit, addend), guess);
                }
                self.b.ins().brif(hit, on, &look.arguments(addend), cold, &[]);
                Some(look)
            }
        };
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        let kept = constants.unwrap_or_else(|| self.local.constants.clone());
        if self.is_dirty() {
            // In the line that is still to be done.
            self.aside(Self::flush);
        }
        if let Some(data) = data {
            self.store_state(data, BOUNCE);
        }
        // In the line it is not needed.
        let address =
            if known.is_some() && displacement != 0 { self.b.ins().iadd_imm_s(base, displacement) } else { ea };
        let slow = self.slow_call(address, size, store);
        let mut arguments = vec![BlockArg::Value(slow)];
        if look.is_some_and(|look| !look.whole) {
            arguments.push(BlockArg::Value(self.k(0)));
        }
        self.local.constants = kept;
        self.b.ins().jump(on, &arguments);
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        if i32::try_from(displacement).is_err() {
            (base, displacement) = (ea, 0);
        }
        (self.b.ins().iadd(base, addend), displacement as i32)
    }

    /// What `bswap` left of a value of `width` at the high end.
    pub(super) fn down(&mut self, v: Value, width: Width) -> Value {
        let n = self.k(i64::from(64 - width.bits()));
        self.b.ins().ushr(v, n)
    }

    pub(super) fn swapped(&self) -> bool {
        !self.has(mode::LE)
    }

    pub(super) fn load_value(&mut self, ea: Long, width: Width) -> R<Long> {
        let (host, at) = self.host(ea, width.bytes(), None);
        let flags = self.env.guest;
        let ins = self.b.ins();
        let v = match width {
            Width::Byte => ins.uload8(I64, flags, host, at),
            Width::Half => ins.uload16(I64, flags, host, at),
            Width::Word => ins.uload32(flags, host, at),
            Width::Double => ins.load(I64, flags, host, at),
        };
        if !self.swapped() || width == Width::Byte {
            return Ok(Long::V(v));
        }
        let v = self.b.ins().bswap(v);
        Ok(Long::V(match width {
            Width::Double => v,
            _ => self.down(v, width),
        }))
    }

    pub(super) fn store_value(&mut self, ea: Long, width: Width, v: Long) -> R {
        let mut v = self.value(v);
        if self.swapped() && width != Width::Byte {
            v = self.b.ins().bswap(v);
            if width != Width::Double {
                v = self.down(v, width);
            }
        }
        let (host, at) = self.host(ea, width.bytes(), Some(v));
        let flags = self.env.guest;
        let ins = self.b.ins();
        match width {
            Width::Byte => ins.istore8(flags, v, host, at),
            Width::Half => ins.istore16(flags, v, host, at),
            Width::Word => ins.istore32(flags, v, host, at),
            Width::Double => ins.store(flags, v, host, at),
        };
        Ok(())
    }
}
