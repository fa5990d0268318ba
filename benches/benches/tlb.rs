//! What does a load cost that the TLB knows, and one that it does not? Two loads a round, from pages of their own, through
//! radix tables.
#![allow(missing_docs)]

mod common;

use common::{CODE, ON, TABLES, WAYS, bare, engine, k, round};
use cpu::bits::msr;
use criterion::{Criterion, criterion_group, criterion_main};

const FIRST: u64 = 0x2_0000;
/// Addresses that lie so far apart share an entry of the TLB.
const ENTRIES_APART: u64 = 4096 << 12;

fn tlb(c: &mut Criterion) {
    let mut group = c.benchmark_group("tlb");
    for (name, second) in [("two hits", FIRST + 0x1000), ("two misses", FIRST + ENTRIES_APART)] {
        for (way, translated) in WAYS {
            let bare = bare();
            bare.program(CODE, "ld r6,0(r4)\nld r7,0(r5)\naddi r3,r3,1\nb .-12");
            let mut e = engine(&bare, translated, |v| {
                bare.radix(v);
                // The same 2M once more, so far away: a directory of the privileged tree has its leaves in two places.
                let directory = TABLES + 0x3_1000;
                let leaves = bare.memory.read_be_u64(directory).expect("inside RAM");
                bare.memory.write(directory + (ENTRIES_APART >> 21) * 8, &leaves.to_be_bytes()).expect("inside RAM");
                (v.state.gpr[4], v.state.gpr[5], v.state.nia) = (k(FIRST), k(second), k(CODE));
                v.set_msr(ON | msr::IR | msr::DR);
            });
            e.run(100_000);
            let fills = e.stats().tlb_fills;
            e.run(100_000);
            let fills = e.stats().tlb_fills - fills;
            assert_eq!(fills > 49_000, second != FIRST + 0x1000, "{name}: {fills} fills in 25,000 rounds");
            round(&mut group, &format!("{name}/{way}"), &mut e, translated);
        }
    }
    group.finish();
}

criterion_group!(benches, tlb);
criterion_main!(benches);
