//! MSR and the special purpose registers.

use super::layout::*;
use super::*;
use crate::stubs::number;
use core::mem::offset_of;
use cpu::bits::{msr, xer};
use cpu::{State, spr};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    InstBuilder,
    types::{I8, I32, I64},
};
use sem::Sem;
use sem::system::XER_PARTS;
use sem::system_helpers as system;
use vcpu::R;
use vcpu::context::{PENDING_ALWAYS, PENDING_WITH_EE};
use vcpu::translated::NOT_BRANCHED;

impl Emit<'_, '_> {
    pub(super) fn write_msr(&mut self, value: Long, mask: u64) -> R {
        if mask != system::MTMSR_L1 {
            let next = self.next_address();
            let next = self.value(next);
            self.store_state(next, NIA);
            return self.leave_by(number::SET_MSR, value, Long::K(mask));
        }
        // Neither the mode nor a context depends on it.
        let old = Long::V(self.load_state(I64, MSR));
        let others = self.and(old, Long::K(!mask));
        let these = self.and(value, Long::K(mask));
        let new = self.or(others, these);
        let new = self.value(new);
        self.store_state(new, MSR);
        let (with, without) = (Long::K(PENDING_WITH_EE.into()), Long::K(PENDING_ALWAYS.into()));
        let enabled = self.and(value, Long::K(msr::EE));
        let enabled = self.nonzero(enabled);
        let pending = self.select(enabled, with, without);
        let pending = self.value(pending);
        let pending = self.b.ins().ireduce(I32, pending);
        self.store_state(pending, PENDING_MASK);
        if !matches!(enabled, Bool::K(false)) {
            self.poll_behind();
        }
        Ok(())
    }

    pub(super) fn special(&mut self, n: u32, old: Long) -> R<Long> {
        if n == spr::CFAR && !self.problem_state() {
            let branched = self.b.ins().sload32(self.env.state, self.env.vcpu, BRANCHED);
            let zero = self.k(0);
            let stands = self.b.ins().icmp(IntCC::SignedLessThan, branched, zero);
            let cfar = self.load_state(I64, CFAR);
            let page = self.load_state(I64, PAGE);
            let branch = self.b.ins().iadd(page, branched);
            return Ok(Long::V(self.b.ins().select(stands, cfar, branch)));
        }
        match plain_to_read(n).filter(|_| !self.problem_state()) {
            Some((at, I32)) => Ok(Long::V(self.b.ins().uload32(self.env.state, self.env.vcpu, at))),
            Some((at, ty)) => Ok(Long::V(self.load_state(ty, at))),
            None => self.try_call(system::read_spr, Long::K(n.into()), old, old),
        }
    }

    pub(super) fn set_special(&mut self, n: u32, v: Long) -> R {
        if n == spr::XER {
            for (bit, mask) in XER_PARTS {
                let part = self.and(v, Long::K(mask));
                let part = self.nonzero(part);
                self.set_xer(bit, part);
            }
            let count = self.and(v, Long::K(xer::COUNT));
            let count = self.value(count);
            let count = self.b.ins().ireduce(I8, count);
            self.store_state(count, state(offset_of!(State, xer_count)));
            return Ok(());
        }
        if n == spr::CFAR && !self.problem_state() {
            let v = self.value(v);
            self.store_state(v, CFAR);
            let none = self.b.ins().iconst(I32, i64::from(NOT_BRANCHED));
            self.store_state(none, BRANCHED);
            return Ok(());
        }
        match plain_to_write(n).filter(|_| !self.problem_state()) {
            Some((.., 0)) => Ok(()),
            Some((at, ty, bits)) => {
                let v = self.and(v, Long::K(bits));
                let v = self.value(v);
                let v = if ty == I64 { v } else { self.b.ins().ireduce(ty, v) };
                self.store_state(v, at);
                Ok(())
            }
            None if n == spr::AMR && !self.problem_state() => {
                let next = self.next_address();
                self.leave_by(number::SET_AMR, v, next)
            }
            None => self.context_call(system::write_spr, Long::K(n.into()), v, v),
        }
    }
}
