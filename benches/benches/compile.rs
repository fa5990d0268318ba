//! How long does it take to compile a region? Times are for an instruction of it.
#![allow(missing_docs)]

#[path = "../../crates/jit/tests/source/mod.rs"]
mod source;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jit::compile::Compiler;
use source::{LITTLE, source};

fn compile(c: &mut Criterion) {
    let prologue = "mfspr r0,8\nstd r30,-16(r1)\nstd r31,-8(r1)\nstd r0,16(r1)\nstdu r1,-64(r1)\nor r31,r3,r3\n";
    let sum = "lwz r5,0(r3)\naddi r3,r3,4\nadd r4,r4,r5\nbdnz .-12\n";
    let branches = "cmpdi r3,10\nbgt .+16\naddi r4,r4,1\nstd r4,8(r5)\nb .+12\nld r4,16(r5)\nadd r4,r4,r3\n";
    let far = "ld r6,0(r7)\nld r7,8(r8)\nstd r6,0(r9)\nxor r8,r7,r6\nrlwinm r6,r8,5,3,30\n";
    let mut group = c.benchmark_group("compile");
    for (name, text) in [
        ("a function's beginning", format!("{prologue}blr")),
        ("a loop over an array", format!("{sum}blr")),
        ("comparisons and branches", format!("{}blr", branches.repeat(4))),
        ("accesses over different bases", format!("{}blr", far.repeat(6))),
        ("all of that, several times", format!("{}blr", format!("{prologue}{sum}{branches}{far}").repeat(6))),
    ] {
        let source = source(&text, LITTLE, false);
        let mut compiler = Compiler::new().expect("a host that code can be made for");
        let blob = compiler.compile(&source).expect("a region");
        assert_eq!(blob.instructions as usize, text.lines().count(), "{name}");
        group.throughput(Throughput::Elements(blob.instructions.into()));
        let name = format!("{name}, {} instructions, {} bytes", blob.instructions, blob.code.len());
        group.bench_function(name, |b| b.iter(|| compiler.compile(&source).expect("a region")));
    }
    group.finish();
}

criterion_group!(benches, compile);
criterion_main!(benches);
