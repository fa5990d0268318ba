//! Reservations and `dcbz`: in line where the TLB has the page, and as helpers elsewhere.

use super::access::tag_at;
use super::layout::*;
use super::*;
use crate::vector;
use core::mem::offset_of;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    BlockArg, InstBuilder, Value,
    types::{I8, I16, I32, I64},
};
use memory::tlb::TlbEntry;
use sem::{Fallible, Width};
use sem::{atomic_helpers, storage_helpers};
use vcpu::R;
use vcpu::reservation::Reservation;

impl Emit<'_, '_> {
    /// Where an aligned access would be made in line: its host and real address, and a value that is zero if it may.
    pub(super) fn atomic_place(&mut self, ea: Value, width: Width, store: bool) -> (Value, Value, Value) {
        let (entry, want) = self.tlb_entry(ea, ea);
        let tag = self.tlb_field(entry, tag_at(store));
        let wrong = self.b.ins().bxor(tag, want);
        let low = self.k(i64::from(width.bytes()) - 1);
        let misaligned = self.b.ins().band(ea, low);
        let wrong = self.b.ins().bor(wrong, misaligned);
        let addend = self.tlb_field(entry, offset_of!(TlbEntry, addend));
        let host = self.b.ins().iadd(ea, addend);
        let page = self.tlb_field(entry, offset_of!(TlbEntry, real));
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
        self.b.switch_to_block(cold);
        self.aside(|s| {
            let [a, b, c] = operands;
            let v = s.fallible_call(helper, a, b, c);
            let v = s.value(v);
            s.b.ins().jump(on, &[BlockArg::Value(v)]);
        });
        self.b.switch_to_block(hot);
        self.aside(|s| {
            let v = fast(s);
            s.b.ins().jump(on, &[BlockArg::Value(v)]);
        });
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        Long::V(result)
    }

    pub(super) fn load_reserved(&mut self, ea: Long, width: Width) -> R<Long> {
        let bytes = Long::K(width.bytes().into());
        let helper: (Fallible, _) = (atomic_helpers::load_and_reserve, [ea, bytes, bytes]);
        self.flush();
        let address = self.value(ea);
        let (host, real, wrong) = self.atomic_place(address, width, false);
        Ok(self.atomic(wrong, helper, |s| {
            // As the host loads it: that is what a store has to find.
            let v = s.load_host(width, host, 0);
            let (held, size) = (s.b.ins().iconst(I8, 1), s.b.ins().iconst(I32, i64::from(width.bytes())));
            let zero = s.k(0);
            s.store_state(held, RESERVED + offset_of!(Reservation, held) as i32);
            s.store_state(size, RESERVED + offset_of!(Reservation, size) as i32);
            s.store_state(real, RESERVED + offset_of!(Reservation, real) as i32);
            s.store_state(v, RESERVED + offset_of!(Reservation, value) as i32);
            s.store_state(zero, RESERVED + offset_of!(Reservation, value) as i32 + 8);
            s.in_guest_order(v, width)
        }))
    }

    pub(super) fn store_reserved(&mut self, ea: Long, width: Width, v: Long) -> R<Long> {
        let bytes = Long::K(width.bytes().into());
        let helper: (Fallible, _) = (atomic_helpers::store_conditional, [ea, v, bytes]);
        self.flush();
        let address = self.value(ea);
        let (host, real, wrong) = self.atomic_place(address, width, true);
        let held =
            self.b.ins().uload8(I64, self.env.state, self.env.vcpu, RESERVED + offset_of!(Reservation, held) as i32);
        let one = self.k(1);
        let none = self.b.ins().bxor(held, one);
        let wrong = self.b.ins().bor(wrong, none);
        let at = RESERVED + offset_of!(Reservation, size) as i32;
        let size = self.b.ins().uload32(self.env.state, self.env.vcpu, at);
        let own = self.k(i64::from(width.bytes()));
        let other = self.b.ins().bxor(size, own);
        let wrong = self.b.ins().bor(wrong, other);
        let reserved = self.load_state(I64, RESERVED + offset_of!(Reservation, real) as i32);
        let other = self.b.ins().bxor(reserved, real);
        let wrong = self.b.ins().bor(wrong, other);
        let new = self.value(v);
        Ok(self.atomic(wrong, helper, |s| {
            let gone = s.b.ins().iconst(I8, 0);
            s.store_state(gone, RESERVED + offset_of!(Reservation, held) as i32);
            let ty = match width {
                Width::Byte => I8,
                Width::Half => I16,
                Width::Word => I32,
                Width::Double => I64,
            };
            let new = s.in_guest_order(new, width);
            let old = s.load_state(ty, RESERVED + offset_of!(Reservation, value) as i32);
            let new = if width == Width::Double { new } else { s.b.ins().ireduce(ty, new) };
            let was = s.b.ins().atomic_cas(s.env.guest, host, old, new);
            let stored = s.b.ins().icmp(IntCC::Equal, was, old);
            s.b.ins().uextend(I64, stored)
        }))
    }

    pub(super) fn write_zeros(&mut self, ea: Long, bytes: u64) -> R {
        self.flush();
        let address = self.value(ea);
        let (entry, want) = self.tlb_entry(address, address);
        let tag = self.tlb_field(entry, tag_at(true));
        let wrong = self.b.ins().bxor(tag, want);
        let addend = self.tlb_field(entry, offset_of!(TlbEntry, addend));
        let helper: (Fallible, _) = (storage_helpers::zero_block, [ea, Long::K(bytes), Long::K(bytes)]);
        self.atomic(wrong, helper, |s| {
            let host = s.b.ins().iadd(address, addend);
            let zero = vector::vec_const(s.b, 0);
            for at in (0..bytes as i32).step_by(16) {
                s.b.ins().store(s.env.guest, zero, host, at);
            }
            s.k(0)
        });
        Ok(())
    }
}
