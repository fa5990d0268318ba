//! Guest programs without a machine around them, interpreted and translated. They count their rounds in r3.
#![allow(dead_code, unused_imports)] // each bench uses a part of it

#[path = "../../../crates/engine/tests/programs/bare_metal.rs"]
mod bare_metal;

pub use bare_metal::{Bare, CODE, ON, TABLES, k};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Throughput};
use engine::Engine;
use std::sync::Arc;
use vcpu::{Silent, Vcpu};

/// The two ways of executing guest code.
pub const WAYS: [(&str, bool); 2] = [("interpreted", false), ("translated", true)];
/// Rounds that are measured at a time.
const ROUNDS: u64 = 100_000;

/// Memory for one POWER9 under the real clock.
pub fn bare() -> Bare {
    Bare::new(&cpu::model::POWER9, 1, timing::Clock::real(None))
}

/// An engine for its vCPU, with `ready` done to that. A block is compiled when it runs a second time, so that what
/// belongs to a loop is known.
pub fn engine(bare: &Bare, translated: bool, ready: impl FnOnce(&mut Vcpu)) -> Engine {
    let mut v = bare.vcpu(0, Arc::new(Silent));
    ready(&mut v);
    let mut engine =
        if translated { Engine::with_translator(v, Arc::new(bare_metal::at_once()), 2) } else { Engine::new(v) };
    // The programs are endless: what counts nothing would not come back.
    engine.set_counting(true);
    engine
}

/// Time of a round of an endless program. What is translated has to stay in translated code.
pub fn round(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, e: &mut Engine, translated: bool) {
    let rounds = |e: &mut Engine, instructions| {
        let before = e.vcpu().state.gpr[3];
        e.run(instructions);
        e.vcpu().state.gpr[3] - before
    };
    rounds(e, 100_000);
    let entries = e.stats().entries;
    let instructions = 1_000_000 / rounds(e, 1_000_000);
    let entries = e.stats().entries - entries;
    assert_eq!(entries != 0, translated, "{name}");
    assert!(entries < 1000, "{name} leaves translated code: {entries} entries in a million instructions");
    group.throughput(Throughput::Elements(ROUNDS));
    group.bench_function(name, |b| b.iter(|| e.run(ROUNDS * instructions)));
}
