//! What does the way from one region to the next cost? A round has two such ways, and four instructions beside the
//! jumps.
#![allow(missing_docs)]

mod common;

use common::{CODE, WAYS, bare, engine, round};
use criterion::{Criterion, criterion_group, criterion_main};

/// Times that the first block runs alone: then it is a region of its own.
const ALONE: u64 = 8;

fn jumps(c: &mut Criterion) {
    let mut group = c.benchmark_group("jumps");
    // A block that goes back to itself first, then forth to another block and back, by branches or registers.
    for (name, distance, forth, back) in [
        ("linked in the page", 0x80, "b .+{}", "b .-{}"),
        ("jump cache, same page", 0x80, "bctr", "blr"),
        ("jump cache, other page", 0x1080, "b .+{}", "b .-{}"),
        ("jump cache, by registers", 0x1080, "bctr", "blr"),
    ] {
        for (way, translated) in WAYS {
            let bare = bare();
            let there = CODE + distance;
            let with = |text: &str, distance: u64| text.replace("{}", &distance.to_string());
            bare.program(
                CODE,
                &format!("addi r3,r3,1\naddi r5,r5,1\ncmpdi r3,{ALONE}\nblt .-12\n{}", with(forth, distance - 16)),
            );
            bare.program(there, &format!("addi r6,r6,1\n{}", with(back, distance + 4)));
            let mut e = engine(&bare, translated, |v| (v.state.ctr, v.state.lr) = (there, CODE));
            round(&mut group, &format!("{name}/{way}"), &mut e, translated);
        }
    }
    group.finish();
}

criterion_group!(benches, jumps);
criterion_main!(benches);
