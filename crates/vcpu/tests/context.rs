//! What the vCPU remembers of contexts, against what its registers say.

#[path = "../../isa/tests/common/mod.rs"]
mod common;

use common::rng;
use cpu::bits::{fscr, msr};
use cpu::model::POWER9;
use memory::Memory;
use memory::mail::{Invalidation, pending};
use memory::tlb::{kind, mix};
use std::sync::Arc;
use timing::Clock;
use vcpu::context::Derived;
use vcpu::{Silent, Vcpu};

fn vcpu() -> Vcpu {
    let memory = Memory::new(1 << 20, 1).unwrap();
    Vcpu::new(0, &POWER9, Arc::new(memory), Arc::new(Clock::virtual_time(0)), Arc::new(Silent))
}

fn fields(v: &Vcpu) -> Derived {
    Derived {
        data_context: v.data_context,
        data_mix: v.data_mix,
        fetch_context: v.fetch_context,
        jump_key: v.translated.jump_key,
        mode: v.mode,
    }
}

/// What follows from the registers, stated register by register.
fn expected(v: &Vcpu) -> Derived {
    let r = &v.state.spr;
    let on = |b: u64| v.state.msr & b != 0;
    let base = |pid: u32| v.tlb.base_if_known(pid).unwrap();
    let context = |translated: u64, own: u64, zero: u64| match (on(translated), on(msr::PR)) {
        (false, _) => [0, 0],
        (true, true) => [base(r.pid) + kind::USER, base(0) + kind::USER],
        (true, false) => [base(r.pid) + own, base(0) + zero],
    };
    let data_context = context(msr::DR, kind::PRIVILEGED + (r.amr >> 62), kind::PRIVILEGED);
    let fetch_key = kind::PRIVILEGED_FETCH;
    let fetch_context = context(msr::IR, fetch_key + (r.iamr >> 62 & 1), fetch_key);
    let bits = [
        on(msr::LE),
        on(msr::SF),
        on(msr::PR),
        on(msr::IR),
        on(msr::DR),
        on(msr::FP),
        on(msr::VEC),
        on(msr::VSX),
        on(msr::SE) || r.ciabr & 3 != 0,
        on(msr::BE),
        !on(msr::PR) || r.fscr & fscr::TAR != 0,
        r.fscr & fscr::SCV != 0,
        !on(msr::PR) || r.fscr & fscr::PREFIX != 0,
    ];
    let mode = bits.iter().enumerate().fold(0, |mode, (n, b)| mode | u32::from(*b) << n);
    let jump_key = fetch_context.map(|c| c << 32 | u64::from(mode));
    Derived { data_context, data_mix: data_context.map(mix), fetch_context, jump_key, mode }
}

#[test]
fn what_is_remembered_is_what_the_registers_say() {
    let mut v = vcpu();
    let mut random = rng(1);
    for _ in 0..50_000 {
        match random() % 16 {
            0 => v.state.spr.amr = random(),
            1 => v.state.spr.iamr = random(),
            2 => v.state.spr.fscr = random(),
            3 => v.set_ciabr(random() & 7),
            // More processes than there are ids: they start over now and then.
            4 => v.set_pid((random() % 600) as u32),
            5 if random().is_multiple_of(64) => v.invalidate(Invalidation::All),
            5 if random().is_multiple_of(4) => v.invalidate(Invalidation::Process { pid: v.state.spr.pid }),
            _ => {}
        }
        v.set_msr(random() | random());
        assert_eq!(fields(&v), expected(&v), "MSR {:#x}", v.state.msr);
        let gated = if v.state.msr & msr::EE != 0 { pending::MASKED_BY_EE } else { 0 };
        assert_eq!(v.pending_mask & pending::MASKED_BY_EE, gated);
    }
}

#[test]
fn refresh_repairs_what_somebody_else_wrote() {
    let mut v = vcpu();
    v.set_msr(msr::SF | msr::IR | msr::DR);
    let good = fields(&v);
    (v.mode, v.data_context, v.translated.jump_key) = (0, [0; 2], [0; 2]);
    v.refresh_context();
    assert_eq!(fields(&v), good);
}

/// `cargo test --release -p vcpu --test context -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_set_msr_costs() {
    let mut v = vcpu();
    let user = msr::SF | msr::LE | msr::EE | msr::PR | msr::IR | msr::DR | msr::ME | msr::RI | msr::FP;
    let kernel = msr::SF | msr::LE | msr::IR | msr::DR | msr::ME;
    for (name, values) in [("user/kernel", [user, kernel]), ("EE on/off", [kernel, kernel | msr::EE])] {
        let start = std::time::Instant::now();
        for n in 0..20_000_000 {
            v.set_msr(std::hint::black_box(values[n & 1]));
        }
        println!("set_msr, {name}: {:.2} ns", start.elapsed().as_secs_f64() * 1e9 / 20e6);
    }
}
