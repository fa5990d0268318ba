//! How long does an instruction take, interpreted and translated? Loops of a few lines, in real mode.
#![allow(missing_docs)]

mod common;

use common::{CODE, WAYS, bare, engine};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const INSTRUCTIONS: u64 = 1_000_000;

fn loops(c: &mut Criterion) {
    let mut group = c.benchmark_group("loops");
    group.throughput(Throughput::Elements(INSTRUCTIONS));
    for (name, text) in [
        ("adds", "addi r3,r3,1\nadd r5,r5,r3\nxor r6,r5,r3\nrlwinm r7,r6,3,4,20\nadd r8,r7,r3\nb .-20"),
        ("loads and stores", "ld r3,0(r4)\naddi r3,r3,1\nstd r3,0(r4)\nlwz r5,16(r4)\nstw r5,20(r4)\nb .-20"),
        ("compare and branch", "addi r3,r3,1\ncmpwi r3,100\nbne .-8\nli r3,0\nb .-16"),
        ("call and return", "bl .+8\nb .-4\naddi r3,r3,1\nblr"),
    ] {
        for (way, translated) in WAYS {
            let bare = bare();
            bare.program(CODE, text);
            let mut e = engine(&bare, translated, |v| v.state.gpr[4] = 0x2_0000);
            e.run(INSTRUCTIONS);
            assert_eq!(e.stats().entries != 0, translated, "{name}");
            group.bench_function(format!("{name}/{way}"), |b| b.iter(|| e.run(INSTRUCTIONS)));
        }
    }
    group.finish();
}

criterion_group!(benches, loops);
criterion_main!(benches);
