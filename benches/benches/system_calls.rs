//! What do a system call and the return from it cost? From problem state to the handler's first instruction, which
//! returns; addresses relocated (AIL 3). `rfid` alone returns to itself, with the same MSR.
#![allow(missing_docs)]

mod common;

use common::{CODE, ON, WAYS, bare, engine, k, round};
use cpu::bits::{fscr, lpcr, msr};
use criterion::{Criterion, criterion_group, criterion_main};

const RELOCATED: u64 = ON | msr::IR | msr::DR;

fn system_calls(c: &mut Criterion) {
    let mut group = c.benchmark_group("system calls");
    for (name, call, handler, back) in
        [("sc and rfid", "sc 0", 0x4C00, "rfid"), ("scv and rfscv", "scv 0", 0x3000, "rfscv")]
    {
        for (way, translated) in WAYS {
            let bare = bare();
            bare.program(CODE, &format!("addi r3,r3,1\n{call}\nb .-8"));
            bare.program(handler, back);
            let mut e = engine(&bare, translated, |v| {
                bare.radix(v);
                v.set_lpcr(v.state.lpcr | 3 << lpcr::AIL_SHIFT);
                v.state.spr.fscr = fscr::SCV;
                v.set_msr(RELOCATED | msr::PR);
            });
            round(&mut group, &format!("{name}/{way}"), &mut e, translated);
        }
    }
    for (way, translated) in WAYS {
        let bare = bare();
        bare.program(CODE, "addi r3,r3,1\nrfid");
        let mut e = engine(&bare, translated, |v| {
            bare.radix(v);
            (v.state.nia, v.state.spr.srr0, v.state.spr.srr1) = (k(CODE), k(CODE), RELOCATED);
            v.set_msr(RELOCATED);
        });
        round(&mut group, &format!("rfid/{way}"), &mut e, translated);
    }
    group.finish();
}

criterion_group!(benches, system_calls);
criterion_main!(benches);
