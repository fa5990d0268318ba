//! How long does it take to decode an instruction?
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn decode(c: &mut Criterion) {
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed
    };
    let words: Vec<u64> = isa::Op::ALL
        .iter()
        .filter(|op| !op.row().prefixed)
        .map(|op| isa::random_word(*op, &mut random) & 0xFFFF_FFFF)
        .collect();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(words.len() as u64));
    group.bench_function("one word of each row", |b| {
        b.iter(|| words.iter().filter(|w| isa::decode(black_box(**w), isa::IsaLevel::V3_1).is_some()).count());
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
