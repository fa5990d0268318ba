//! How long does the interpreter take for an instruction? Programs of a few lines, in real mode.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;

const CODE: u64 = 0x1_0000;
const INSTRUCTIONS: u64 = 1_000_000;

fn engine(text: &str) -> engine::Engine {
    let memory = Arc::new(memory::Memory::new(0x100_0000, 1).expect("16 MiB of guest RAM"));
    let mut at = CODE;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let word = isa::assemble_at(line, at).expect("the program assembles") as u32;
        memory.write(at, &word.to_le_bytes()).expect("inside RAM");
        at += 4;
    }
    let clock = Arc::new(timing::Clock::real(None));
    memory.hub().mailbox(0).set_quiet(false);
    let mut v = vcpu::Vcpu::new(0, &cpu::model::POWER9, memory, clock, Arc::new(vcpu::Silent));
    v.state.nia = CODE;
    v.state.gpr[4] = 0x2_0000;
    v.set_msr(cpu::bits::msr::SF | cpu::bits::msr::LE);
    engine::Engine::new(v)
}

fn interpreter(c: &mut Criterion) {
    let mut group = c.benchmark_group("interpreter");
    group.throughput(Throughput::Elements(INSTRUCTIONS));
    for (name, text) in [
        ("adds", "addi r3,r3,1\nadd r5,r5,r3\nxor r6,r5,r3\nrlwinm r7,r6,3,4,20\nadd r8,r7,r3\nb .-20"),
        ("loads and stores", "ld r3,0(r4)\naddi r3,r3,1\nstd r3,0(r4)\nlwz r5,16(r4)\nstw r5,20(r4)\nb .-20"),
        ("compare and branch", "addi r3,r3,1\ncmpwi r3,100\nbne .-8\nli r3,0\nb .-16"),
        ("call and return", "bl .+8\nb .-4\naddi r3,r3,1\nblr"),
    ] {
        let mut e = engine(text);
        group.bench_function(name, |b| b.iter(|| e.run(INSTRUCTIONS)));
    }
    group.finish();
}

criterion_group!(benches, interpreter);
criterion_main!(benches);
