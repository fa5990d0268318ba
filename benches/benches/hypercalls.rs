//! What does the way out of the engine and back cost, for a hypercall that does nothing?
#![allow(missing_docs)]

mod common;

use common::{CODE, WAYS, bare, engine};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::EngineExit;

const CALLS: u64 = 10_000;

fn hypercalls(c: &mut Criterion) {
    let mut group = c.benchmark_group("hypercalls");
    group.throughput(Throughput::Elements(CALLS));
    for (way, translated) in WAYS {
        let bare = bare();
        bare.program(CODE, "addi r3,r3,1\nsc 1\nb .-8");
        let mut e = engine(&bare, translated, |_| {});
        let mut calls = || (0..CALLS).for_each(|_| assert_eq!(e.run(100), EngineExit::Hypercall));
        calls();
        group.bench_function(way, |b| b.iter(&mut calls));
        assert_eq!(e.stats().entries != 0, translated);
    }
    group.finish();
}

criterion_group!(benches, hypercalls);
criterion_main!(benches);
