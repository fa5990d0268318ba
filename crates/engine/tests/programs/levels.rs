//! What PCR hides: instructions and registers of later levels, in problem state.

use super::{Bench, CODE, ON, fscr, msr, srr1};
use cpu::bits::pcr;
use cpu::model::{MODELS, POWER10};
use cpu::{CpuModel, Vector};
use engine::Engine;
use isa::IsaLevel::{self, V2_07, V3_0, V3_1};

/// Instructions, and since when they are there.
const INSTRUCTIONS: [(&str, IsaLevel); 16] = [
    ("popcntd r3,r4", V2_07),
    ("bpermd r3,r4,r5", V2_07),
    ("xxlor vs1,vs2,vs3", V2_07),
    ("darn r3,1", V3_0),
    ("addpcis r3,1", V3_0),
    ("modud r3,r4,r5", V3_0),
    ("cnttzd r3,r4", V3_0),
    ("maddld r3,r4,r5,r6", V3_0),
    ("setb r3,2", V3_0),
    ("xxspltib vs1,3", V3_0),
    ("vabsdub v1,v2,v3", V3_0),
    ("xsaddqp v1,v2,v3", V3_0),
    ("setbc r3,2", V3_1),
    ("brd r3,r4", V3_1),
    ("xxspltiw vs1,3", V3_1),
    ("paddi r3,r3,1,0", V3_1),
];

/// SPRs that problem state may read, and since when.
const REGISTERS: [(u32, IsaLevel); 6] =
    [(268, V2_07), (769, V2_07), (736, V3_1), (737, V3_1), (738, V3_1), (812, V3_1)];

/// Puts the instruction and the way out behind it.
fn put(b: &Bench, text: &str) {
    let raw = isa::assemble_at(text, CODE).unwrap_or_else(|e| panic!("{text}: {e}"));
    let word = |at: u64, word: u64| b.memory.write(at, &(word as u32).to_le_bytes()).unwrap();
    let mut end = CODE + 4;
    if raw >> 32 != 0 {
        word(CODE, raw >> 32);
        word(end, raw);
        end += 4;
    } else {
        word(CODE, raw);
    }
    b.program(end, "sc 1");
}

/// Runs what stands at [`CODE`] with this PCR and these bits in MSR; the interrupt that it took, with SRR1's causes.
fn run(b: &Bench, e: &mut Engine, pcr: u64, also: u64) -> Option<(Vector, u64)> {
    b.log.0.lock().unwrap().clear();
    let v = e.vcpu();
    v.state.spr.fscr = fscr::PREFIX;
    v.set_pcr(pcr);
    v.state.nia = CODE;
    v.set_msr(ON | msr::FP | msr::VEC | msr::VSX | also);
    b.run(e, 100);
    let taken = b.taken();
    assert!(taken.len() <= 1, "{taken:x?}");
    taken.first().map(|(vector, at, _)| {
        assert_eq!(*at, CODE);
        (*vector, e.vcpu().state.spr.srr1 & srr1::CLEARED)
    })
}

/// An engine on `model` in which each level was put in force in turn, as a negotiation or a reset does it.
fn each_level(model: &'static CpuModel, text: &str, mut check: impl FnMut(&Bench, &mut Engine, IsaLevel)) {
    let b = Bench::new(model, 1);
    let mut e = b.engine(0);
    put(&b, text);
    b.program(0x700, "sc 1");
    b.program(0xF60, "sc 1");
    // There and back again: no engine may go on with what it made under another level.
    for level in IsaLevel::ALL.into_iter().chain(IsaLevel::ALL.into_iter().rev()).filter(|l| *l <= model.level) {
        check(&b, &mut e, level);
    }
}

const ILLEGAL: Option<(Vector, u64)> = Some((Vector::Program, srr1::PROGRAM_ILLEGAL));

#[test]
fn pcr_by_level() {
    let pcr = |model: &CpuModel| IsaLevel::ALL.map(|level| model.pcr(level));
    let all = MODELS.map(pcr);
    assert_eq!(all, [[0; 3], [pcr::V2_07, 0, 0], [pcr::V2_07 | pcr::V3_00, pcr::V3_00, 0]]);
}

#[test]
fn instructions_above_the_level_are_illegal_in_problem_state_only() {
    for model in MODELS {
        for (text, since) in INSTRUCTIONS.into_iter().filter(|(_, since)| *since <= model.level) {
            each_level(model, text, |b, e, level| {
                let expected = if since > level { ILLEGAL } else { None };
                let what = format!("{} {level:?} {text}", model.name);
                assert_eq!(run(b, e, model.pcr(level), msr::PR), expected, "{what}");
                assert_eq!(run(b, e, model.pcr(level), 0), None, "{what}, privileged");
            });
        }
    }
}

#[test]
fn scv_above_the_level_is_illegal_whatever_fscr_says() {
    for on in [0, fscr::SCV] {
        each_level(&POWER10, "scv 0", |b, e, level| {
            b.program(0x1_7000, "sc 1");
            e.vcpu().state.spr.fscr = on;
            b.log.0.lock().unwrap().clear();
            let v = e.vcpu();
            v.set_pcr(POWER10.pcr(level));
            v.state.nia = CODE;
            v.set_msr(ON | msr::PR);
            b.run(e, 100);
            let vector = match (level, on) {
                (V2_07, _) => Vector::Program,
                (_, 0) => Vector::FacilityUnavailable,
                _ => Vector::SystemCallVectored,
            };
            assert_eq!(b.taken().iter().map(|t| t.0).collect::<Vec<_>>(), [vector], "{level:?} {on:#x}");
        });
    }
}

#[test]
fn registers_above_the_level_are_not_there_in_problem_state() {
    for (spr, since) in REGISTERS {
        each_level(&POWER10, &format!("mfspr r3,{spr}"), |b, e, level| {
            let expected = if since > level { ILLEGAL } else { None };
            assert_eq!(run(b, e, POWER10.pcr(level), msr::PR), expected, "SPR {spr} {level:?}");
            assert_eq!(run(b, e, POWER10.pcr(level), 0), None, "SPR {spr} {level:?}, privileged");
        });
    }
}

#[test]
fn fields_above_the_level_are_as_if_they_were_zero() {
    // mffsl is mffs with a field of 3.0: without it the whole FPSCR comes.
    each_level(&POWER10, "mffsl f1", |b, e, level| {
        e.vcpu().state.fpscr = 1 << 31 | 3;
        run(b, e, POWER10.pcr(level), msr::PR);
        let whole = level == V2_07;
        assert_eq!(e.vcpu().state.fpr(1) & 1 << 31 != 0, whole, "{level:?}");
    });
    // CA32 came with 3.0.
    each_level(&POWER10, "addic r3,r4,-1", |b, e, level| {
        e.vcpu().state.ca32 = false;
        e.vcpu().state.gpr[4] = 1;
        assert_eq!(run(b, e, POWER10.pcr(level), msr::PR), None);
        assert_eq!(e.vcpu().state.ca32, level >= V3_0, "{level:?}");
    });
    // The word of a prefix is an illegal instruction of one word where there are none, at whatever address.
    for level in [V2_07, V3_0] {
        let b = Bench::new(&POWER10, 1);
        let mut e = b.engine(0);
        b.program(0x700, "sc 1");
        b.memory.write(CODE + 60, &0x0600_0000_u32.to_le_bytes()).unwrap();
        let v = e.vcpu();
        v.set_pcr(POWER10.pcr(level));
        v.state.nia = CODE + 60;
        v.set_msr(ON | msr::PR);
        b.run(&mut e, 10);
        assert_eq!(b.taken(), [(Vector::Program, CODE + 60, 0x700)]);
        assert_eq!(e.vcpu().state.spr.srr1 & srr1::PREFIXED, 0);
    }
}
