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
use memory::tlb::{ANCHOR_SPANS, Anchor, OFFSET_MASK, OFFSET_SHIFT, TlbEntry};
use sem::Width;
use vcpu::Vcpu;
use vcpu::context::mode;
use vcpu::translated::NO_PAGE;

/// What is looked up in the TLB.
struct Look {
    first: Value,
    /// What `from` counts from.
    base: Value,
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

/// Where the tag of an entry stands for loads or stores.
pub(super) const fn tag_at(store: bool) -> usize {
    if store { offset_of!(TlbEntry, write) } else { offset_of!(TlbEntry, read) }
}

impl Emit<'_, '_> {
    /// Makes an access beside the TLB. Returns the addend with which it is then made in the line.
    pub(super) fn slow_call(&mut self, ea: Value, size: u32, store: bool) -> Value {
        // In memory, not in registers of the call: those would be kept free for it in the line too.
        self.store_state(ea, EA);
        let anchor = matches!(self.guesses[usize::from(store)], Some(Guess::Anchor));
        let access = hooks::access(size, store, self.at.offset, self.at.ahead, anchor);
        let access = self.b.ins().iconst(I32, i64::from(access));
        self.store_state(access, ACCESS);
        self.settle_budget();
        let stub = self.stub(if self.env.vectors { number::SLOW_VECTORS } else { number::SLOW });
        self.b.ins().call_indirect(self.env.signatures.kept, stub, &[]);
        self.load_state(I64, ADDEND)
    }

    /// Which of the two context ids an access is likely to have: quadrant 3 in privileged state.
    pub(super) fn quadrant(&self) -> usize {
        usize::from(!self.has(mode::PR) && self.has(mode::DR))
    }

    /// The TLB entry that an access to `first` would use, and the tag that it should have for bytes up to `last` to be there.
    pub(super) fn tlb_entry(&mut self, first: Value, last: Value) -> (Value, Value) {
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
        (entry, want)
    }

    /// Reads a field of a TLB entry.
    pub(super) fn tlb_field(&mut self, entry: Value, at: usize) -> Value {
        self.b.ins().load(I64, self.env.tlb, entry, at as i32)
    }

    /// Looks `first` up in the TLB, for bytes up to `last`. Returns what is zero if they are there, and the addend.
    pub(super) fn look_up(&mut self, first: Value, last: Value, store: bool) -> (Value, Value) {
        let (entry, want) = self.tlb_entry(first, last);
        let addend = self.tlb_field(entry, offset_of!(TlbEntry, addend));
        // Read last, the tag is an operand of this; of a comparison with a branch it would not become one.
        let tag = self.tlb_field(entry, tag_at(store));
        (self.b.ins().bxor(want, tag), addend)
    }

    /// Leaves the line for `wrong` unless an access lies in the page of a guess; then it goes on at `on`.
    fn guess(&mut self, look: &Look, n: usize, on: Block) -> Block {
        let wrong = self.b.create_block();
        self.b.set_cold_block(wrong);
        let addend = self.load_state(I64, guessed_addend(n));
        let page = guessed_page(n);
        let other = if look.whole {
            // An aligned access: what is not is looked up.
            let mask = self.k(-4096 | (look.span - 1));
            let place = self.b.ins().band(look.first, mask);
            let page = self.load_state(I64, page);
            self.b.ins().bxor(place, page)
        } else {
            let last = self.last(look);
            let page = self.load_state(I64, page);
            let mask = self.k(-4096);
            let [first, last] = [look.first, last].map(|end| {
                let place = self.b.ins().band(end, mask);
                self.b.ins().bxor(place, page)
            });
            self.b.ins().bor(first, last)
        };
        self.b.ins().brif(other, wrong, &[], on, &look.arguments(addend));
        self.b.seal_block(wrong);
        wrong
    }

    /// Makes what was looked up the guess, if it is there.
    fn guess_again(&mut self, look: &Look, (wrong, addend): (Value, Value), n: usize) {
        let (mask, none) = (self.k(-4096), self.k(NO_PAGE as i64));
        let page = self.b.ins().band(look.first, mask);
        let page = self.b.ins().select(wrong, none, page);
        self.store_state(page, guessed_page(n));
        self.store_state(addend, guessed_addend(n));
    }

    /// Whether what is looked up, a run of the class `class` of [`ANCHOR_SPANS`], lies in the page at hand, and the addend.
    fn at_anchor(&mut self, look: &Look, class: usize) -> (Value, Value) {
        let at = anchor(!self.has(mode::PR));
        let addend = self.load_state(I64, at + offset_of!(Anchor, addend) as i32);
        let page = self.load_state(I64, at + offset_of!(Anchor, page) as i32);
        let offset = self.b.ins().isub(look.first, page);
        let limit = self.load_state(I64, at + (offset_of!(Anchor, limits) + 8 * class) as i32);
        (self.b.ins().icmp(IntCC::UnsignedLessThan, offset, limit), addend)
    }

    /// What is looked up for an access: with the accesses ahead over its base, if there are any.
    fn look(&mut self, ea: Value, base: Value, displacement: i64, size: u32, store: bool) -> Look {
        let size = i64::from(size);
        match self.ahead.take().filter(|_| self.has(mode::SF)) {
            None => Look { first: ea, base, from: displacement, span: size, store, whole: true },
            Some(ahead) => {
                // `ahead` counts from the register, which is the base plus this.
                let register = displacement - ahead.at;
                let (from, to) = (register + ahead.low, register + ahead.high);
                let first = self.sum(base, from);
                Look { first, base, from, span: to - from, store: store || ahead.store, whole: false }
            }
        }
    }

    /// The last byte that is looked up.
    fn last(&mut self, look: &Look) -> Value {
        if look.span == 1 { look.first } else { self.sum(look.base, look.from + look.span - 1) }
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
                let class = ANCHOR_SPANS.iter().position(|span| look.span <= *span as i64);
                match (self.guesses[usize::from(look.store)], class) {
                    (Some(Guess::Anchor), Some(class)) => {
                        let (hit, addend) = self.at_anchor(&look, class);
                        self.b.ins().brif(hit, on, &look.arguments(addend), cold, &[]);
                    }
                    (guess, _) => {
                        let guess = if let Some(Guess::Loop(n)) = guess { Some(n) } else { None };
                        if let Some(n) = guess {
                            let wrong = self.guess(&look, n, on);
                            self.b.switch_to_block(wrong);
                            constants = Some(self.local.constants.clone());
                        }
                        let last = self.last(&look);
                        let (wrong, addend) = self.look_up(look.first, last, look.store);
                        if let Some(n) = guess {
                            self.guess_again(&look, (wrong, addend), n);
                        }
                        self.b.ins().brif(wrong, cold, &[], on, &look.arguments(addend));
                    }
                }
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
        let v = self.load_host(width, host, at);
        Ok(Long::V(self.in_guest_order(v, width)))
    }

    /// What the host loads, with zeros above it.
    pub(super) fn load_host(&mut self, width: Width, host: Value, at: i32) -> Value {
        let flags = self.env.guest;
        let ins = self.b.ins();
        match width {
            Width::Byte => ins.uload8(I64, flags, host, at),
            Width::Half => ins.uload16(I64, flags, host, at),
            Width::Word => ins.uload32(flags, host, at),
            Width::Double => ins.load(I64, flags, host, at),
        }
    }

    /// From the host's order to the guest's, or back.
    pub(super) fn in_guest_order(&mut self, v: Value, width: Width) -> Value {
        if !self.swapped() || width == Width::Byte {
            return v;
        }
        let v = self.b.ins().bswap(v);
        if width == Width::Double { v } else { self.down(v, width) }
    }

    pub(super) fn store_value(&mut self, ea: Long, width: Width, v: Long) -> R {
        let v = self.value(v);
        let v = self.in_guest_order(v, width);
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
