//! Interrupts taken and returned from in generated code, against the pure function and the helpers.

#[path = "../../isa/tests/common/mod.rs"]
mod common;

use common::rng;
use cpu::bits::{lpcr, msr};
use cpu::interrupt::{Delivery, SCV_LEVELS};
use cpu::model::{MODELS, POWER9};
use cpu::{CpuModel, Interrupt, State, Vector, spr};
use jit::deliver::Deliver;
use memory::Memory;
use memory::tlb::REAL;
use sem::system_helpers as helper;
use std::sync::{Arc, Mutex};
use timing::Clock;
use vcpu::raised::Raised;
use vcpu::{Observer, Silent, Vcpu};

fn vcpu(model: &'static CpuModel, observer: Arc<dyn Observer>) -> Vcpu {
    let memory = Memory::new(1 << 16, 1).unwrap();
    Vcpu::new(0, model, Arc::new(memory), Arc::new(Clock::virtual_time(0)), observer)
}

fn stubs() -> &'static Deliver {
    Deliver::get().unwrap()
}

/// Two vCPUs in the same state: one goes through the stubs, the other through what they are held against.
struct Pair {
    stub: Vcpu,
    rust: Vcpu,
}

impl Pair {
    fn new(model: &'static CpuModel) -> Self {
        Pair { stub: vcpu(model, Arc::new(Silent)), rust: vcpu(model, Arc::new(Silent)) }
    }

    /// Puts both into `state`, MSR bits that the model does not have included. The contexts that they remember stay.
    fn enter(&mut self, state: &State) {
        for v in [&mut self.stub, &mut self.rust] {
            v.state = state.clone();
            v.set_msr(state.msr);
            v.state.msr = state.msr;
            v.set_lpcr(state.lpcr);
            v.cia = 0x1_0000_1234;
            // Notes that it is in real mode, if it is.
            v.serve_mail();
        }
    }

    fn compare(&self, what: impl Fn() -> String) {
        let derived = |v: &Vcpu| {
            // From where the vCPU's own TLB begins.
            let entries = v.data_entries.map(|at| at.wrapping_sub(v.tlb.entries_of(REAL)));
            let contexts = (v.data_context, entries, v.fetch_context, v.translated.jump_key);
            (contexts, v.mode, v.pending_mask, v.contexts.rest, v.contexts.current)
        };
        assert_eq!(derived(&self.stub), derived(&self.rust), "{}", what());
        assert_eq!(self.stub.state, self.rust.state, "{}", what());
    }

    /// Both ways from `state`, and again: the context that the first found missing is then there.
    fn check(
        &mut self,
        state: &State,
        stub: impl Fn(&mut Vcpu),
        rust: impl Fn(&mut Vcpu),
        what: impl Fn() -> String + Copy,
    ) {
        for _ in 0..2 {
            self.enter(state);
            stub(&mut self.stub);
            rust(&mut self.rust);
            self.compare(what);
        }
    }

    fn check_interrupt(&mut self, state: &State, interrupt: &Interrupt) {
        let what = || format!("{} MSR {:#x} LPCR {:#x} {interrupt:?}", self.rust.model.name, state.msr, state.lpcr);
        let what = what();
        let what = || what.clone();
        let deliver = |v: &mut Vcpu| {
            v.raised = Raised::from(interrupt);
            (stubs().deliver)(v);
        };
        self.check(state, deliver, |v| v.take_interrupt(interrupt), what);
        // From here on the rows hold for this LPCR.
        assert_eq!(self.stub.handlers.lpcr, self.stub.state.lpcr);
        let plain = Interrupt { srr1: 0, level: 0, ..Interrupt::new(interrupt.vector, interrupt.return_address) };
        match interrupt.vector {
            Vector::SystemCall => {
                let call = plain.with_srr1(interrupt.srr1);
                let stub = |v: &mut Vcpu| (stubs().system_call)(v, call.return_address, call.srr1);
                self.check(state, stub, |v| v.take_interrupt(&call), what);
            }
            Vector::SystemCallVectored => {
                let call = Interrupt { level: interrupt.level, ..plain };
                let stub = |v: &mut Vcpu| (stubs().system_call_vectored)(v, call.return_address, call.level.into());
                self.check(state, stub, |v| v.take_interrupt(&call), what);
            }
            _ => {}
        }
    }
}

/// Registers that interrupts and returns read or write, at random; MSR and LPCR are the caller's.
fn random_state(random: &mut impl FnMut() -> u64) -> State {
    let mut s = State { nia: random(), lr: random(), ctr: random(), cfar: random(), ..State::default() };
    s.gpr.iter_mut().for_each(|r| *r = random());
    s.fpscr = random();
    let r = &mut s.spr;
    (r.srr0, r.srr1, r.dar, r.dsisr) = (random(), random(), random(), random() as u32);
    (r.fscr, r.amr, r.iamr, r.ciabr) = (random(), random() & random(), random(), random() & random() & random());
    s
}

fn random_interrupt(random: &mut impl FnMut() -> u64, vector: Vector) -> Interrupt {
    let some = random();
    Interrupt {
        vector,
        return_address: random(),
        srr1: random() & random(),
        dar: (some & 1 != 0).then(&mut *random),
        dsisr: (some & 2 != 0).then(|| random() as u32),
        fscr_ic: (some & 4 != 0).then(|| random() & if some & 8 != 0 { u64::MAX } else { 0xFF }),
        level: random() as u8 & SCV_LEVELS,
    }
}

/// Every subset of `bits`.
fn subsets(bits: &[u64]) -> impl Iterator<Item = u64> {
    (0..1u32 << bits.len()).map(|n| bits.iter().enumerate().filter(|(k, _)| n >> k & 1 != 0).map(|(_, b)| b).sum())
}

#[test]
fn every_row_of_the_ail_table() {
    let mut random = rng(3);
    for model in MODELS {
        let mut pair = Pair::new(model);
        for (ail, ile) in (0..4).flat_map(|ail| [(ail, 0), (ail, lpcr::ILE)]) {
            let mut state = random_state(&mut random);
            state.lpcr = ile | ail << lpcr::AIL_SHIFT;
            for bits in subsets(&[msr::IR, msr::DR, msr::PR, msr::EE, msr::SF, msr::LE, msr::ME, msr::RI]) {
                state.msr = bits;
                for vector in Vector::ALL {
                    pair.check_interrupt(&state, &random_interrupt(&mut random, vector));
                }
            }
        }
    }
}

#[test]
fn every_level_of_scv() {
    let mut random = rng(4);
    for model in MODELS {
        let mut pair = Pair::new(model);
        for (ail, translation) in (0..4).flat_map(|ail| [(ail, 0), (ail, msr::IR | msr::DR), (ail, msr::DR)]) {
            let mut state = random_state(&mut random);
            (state.lpcr, state.msr) = (ail << lpcr::AIL_SHIFT | lpcr::ILE, translation | msr::PR | msr::SF | msr::EE);
            for level in 0..=SCV_LEVELS {
                let interrupt = Interrupt { level, ..random_interrupt(&mut random, Vector::SystemCallVectored) };
                pair.check_interrupt(&state, &interrupt);
            }
        }
    }
}

#[test]
fn interrupts_from_random_states() {
    let mut random = rng(5);
    for model in MODELS {
        let mut pair = Pair::new(model);
        for _ in 0..20_000 {
            let mut state = random_state(&mut random);
            (state.msr, state.lpcr) = (random(), random());
            let vector = Vector::ALL[random() as usize % Vector::ALL.len()];
            pair.check_interrupt(&state, &random_interrupt(&mut random, vector));
        }
    }
}

#[test]
fn returns_and_writes_of_msr() {
    let mut random = rng(6);
    for model in MODELS {
        let mut pair = Pair::new(model);
        for n in 0..30_000 {
            let mut state = random_state(&mut random);
            (state.msr, state.lpcr) = (random(), random());
            let what = || format!("case {n}, {}: {:#x?}", model.name, state.spr);
            let from = |f: sem::Fallible, a: u64, b: u64| move |v: &mut Vcpu| assert!(f(v, a, b, 0));
            pair.check(&state, |v| (stubs().rfid)(v), from(helper::rfid, 0, 0), what);
            pair.check(&state, |v| (stubs().rfscv)(v), from(helper::rfscv, 0, 0), what);
            let value = random();
            for mask in [helper::MTMSR, helper::MTMSRD, helper::MTMSR_L1, random()] {
                let rust = from(helper::set_msr, value, mask);
                pair.check(&state, |v| (stubs().set_msr)(v, value, mask), rust, what);
            }
            state.msr &= !msr::PR;
            let rust = |v: &mut Vcpu| v.write_spr(spr::AMR, value).unwrap();
            pair.check(&state, |v| (stubs().set_amr)(v, value), rust, what);
        }
    }
}

#[test]
fn a_process_switch_between_two_calls() {
    let mut random = rng(7);
    let mut pair = Pair::new(&POWER9);
    for _ in 0..20_000 {
        let mut state = random_state(&mut random);
        state.msr = random() | msr::IR | msr::DR;
        state.spr.pid = (random() % 700) as u32;
        let interrupt = random_interrupt(&mut random, Vector::Decrementer);
        pair.enter(&state);
        for v in [&mut pair.stub, &mut pair.rust] {
            v.set_pid(state.spr.pid);
        }
        pair.stub.raised = Raised::from(&interrupt);
        (stubs().deliver)(&mut pair.stub);
        pair.rust.take_interrupt(&interrupt);
        pair.compare(|| format!("{:#x?}", state.spr));
        (stubs().rfid)(&mut pair.stub);
        helper::rfid(&mut pair.rust, 0, 0, 0);
        pair.compare(|| format!("{:#x?}", state.spr));
    }
}

/// Without this, the tests above would hold for stubs that only call Rust.
#[test]
fn generated_code_reads_the_rows_and_the_contexts() {
    let on = msr::SF | msr::IR | msr::DR | msr::ME;
    let mut v = vcpu(&POWER9, Arc::new(Silent));
    v.set_lpcr(3 << lpcr::AIL_SHIFT);
    v.set_msr(on | msr::PR);
    (stubs().system_call)(&mut v, 0x1000, 0);
    assert_eq!(v.state.nia, 0xC000_0000_0000_4C00);
    v.handlers.rows.iter_mut().flatten().for_each(|row| row.address ^= 0x1000_0000);
    v.contexts.known.iter_mut().for_each(|known| known.derived.data_entries[0] = 77);
    v.set_msr(on | msr::PR);
    v.raised = Raised::from(&Interrupt::new(Vector::Program, 0x1000));
    (stubs().deliver)(&mut v);
    assert_eq!((v.state.nia, v.data_entries[0]), (0xC000_0000_1000_4700, 77));
    v.data_entries = [0, 0];
    (stubs().rfid)(&mut v);
    assert_eq!((v.state.nia, v.data_entries[0]), (0x1000, 77));
}

#[derive(Default)]
struct Listener(Mutex<Vec<(Interrupt, u64, Delivery)>>);
impl Observer for Listener {
    fn interrupt(&self, _: usize, interrupt: &Interrupt, old_msr: u64, delivery: &Delivery) {
        self.0.lock().unwrap().push((*interrupt, old_msr, *delivery));
    }
}

#[test]
fn who_listens_hears_the_same() {
    let (heard_stub, heard_rust) = (Arc::new(Listener::default()), Arc::new(Listener::default()));
    let mut pair = Pair { stub: vcpu(&POWER9, heard_stub.clone()), rust: vcpu(&POWER9, heard_rust.clone()) };
    let mut random = rng(8);
    for vector in Vector::ALL.repeat(3) {
        let mut state = random_state(&mut random);
        (state.msr, state.lpcr) = (random(), random());
        pair.enter(&state);
        let interrupt = random_interrupt(&mut random, vector);
        pair.stub.raised = Raised::from(&interrupt);
        (stubs().deliver)(&mut pair.stub);
        pair.rust.take_interrupt(&interrupt);
        let call = Interrupt::new(Vector::SystemCall, 0x1000).with_srr1(1 << 21);
        (stubs().system_call)(&mut pair.stub, call.return_address, call.srr1);
        pair.rust.take_interrupt(&call);
        let call = Interrupt { level: 9, ..Interrupt::new(Vector::SystemCallVectored, 0x1004) };
        (stubs().system_call_vectored)(&mut pair.stub, call.return_address, call.level.into());
        pair.rust.take_interrupt(&call);
        pair.compare(|| format!("{interrupt:?}"));
    }
    let (stub, rust) = (heard_stub.0.lock().unwrap(), heard_rust.0.lock().unwrap());
    assert_eq!(stub.len(), 9 * Vector::ALL.len());
    assert_eq!(*stub, *rust);
}

/// `cargo test --release -p jit --test deliver -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_a_round_trip_costs() {
    const ROUNDS: u32 = 10_000_000;
    let mut v = vcpu(&POWER9, Arc::new(Silent));
    v.set_lpcr(3 << lpcr::AIL_SHIFT | lpcr::ILE);
    let user = msr::SF | msr::LE | msr::EE | msr::PR | msr::IR | msr::DR | msr::ME | msr::RI | msr::FP;
    let mut measure = |name: &str, round: &dyn Fn(&mut Vcpu)| {
        let mut best = f64::MAX;
        for _ in 0..5 {
            v.set_msr(user);
            (v.state.nia, v.cia) = (0x1004, 0xC000_0000_0000_4D00);
            let start = std::time::Instant::now();
            for _ in 0..ROUNDS {
                round(std::hint::black_box(&mut v));
            }
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
            assert_eq!((v.state.nia, v.state.msr), (0x1004, user));
        }
        println!("{name}: {best:.2} ns");
    };
    let d = stubs();
    let take = |v: &mut Vcpu| match v.exit {
        vcpu::Exit::Interrupt(i) => v.take_interrupt(&i),
        e => panic!("{e:?}"),
    };
    measure("sc + rfid, Rust", &|v| {
        helper::system_call(v, 0, 0, 0);
        take(v);
        helper::rfid(v, 0, 0, 0);
    });
    measure("sc + rfid, stubs", &|v| {
        (d.system_call)(v, v.state.nia, 0);
        (d.rfid)(v);
    });
    measure("sc + rfid, stubs, by `deliver`", &|v| {
        v.raised = Raised::from(&Interrupt::new(Vector::SystemCall, v.state.nia));
        (d.deliver)(v);
        (d.rfid)(v);
    });
    measure("scv + rfscv, Rust", &|v| {
        helper::system_call_vectored(v, 0, 0, 0);
        take(v);
        helper::rfscv(v, 0, 0, 0);
    });
    measure("scv + rfscv, stubs", &|v| {
        (d.system_call_vectored)(v, v.state.nia, 0);
        (d.rfscv)(v);
    });
    measure("mtmsrd EE off and on, Rust", &|v| {
        helper::set_msr(v, 0, helper::MTMSR_L1, 0);
        helper::set_msr(v, msr::EE | msr::RI, helper::MTMSR_L1, 0);
    });
    measure("mtmsrd EE off and on, stubs", &|v| {
        (d.set_msr)(v, 0, helper::MTMSR_L1);
        (d.set_msr)(v, msr::EE | msr::RI, helper::MTMSR_L1);
    });
    measure("AMR blocked and open, Rust", &|v| {
        v.state.spr.amr = u64::MAX;
        v.refresh_context();
        v.state.spr.amr = 0;
        v.refresh_context();
    });
    measure("AMR blocked and open, stubs", &|v| {
        (d.set_amr)(v, u64::MAX);
        (d.set_amr)(v, 0);
    });
}
