//! Interrupts and returns that translated code goes on behind: the same run as interpreted, and no way through the engine.

use super::*;
use crate::TRANSLATED;
use vcpu::Silent;
use vcpu::threads::Core;

/// What a run is made of.
struct Setup<'a> {
    /// Programs, by their address.
    programs: &'a [(u64, &'a str)],
    ail: u64,
    msr: u64,
    /// r3 and up.
    gpr: &'a [u64],
}

const USER: u64 = ON | msr::IR | msr::DR | msr::PR | msr::EE;
/// Loops of each program.
const LOOPS: u64 = 3000;
/// Interrupts and returns that may go through the engine: before everything is translated.
const FIRST: u64 = 24;

impl Setup<'_> {
    fn engine(&self, b: &Bench, translated: bool, observer: Arc<dyn Observer>) -> Engine {
        let mut e = b.engine_as(0, translated, observer);
        b.radix(&mut e);
        for (at, text) in self.programs {
            b.program(*at, text);
        }
        let v = e.vcpu();
        v.set_lpcr(v.state.lpcr | self.ail << lpcr::AIL_SHIFT);
        v.state.spr.fscr = fscr::SCV;
        v.state.gpr[3..3 + self.gpr.len()].copy_from_slice(self.gpr);
        v.set_msr(self.msr);
        if self.msr & (msr::PR | msr::IR) == msr::IR {
            v.state.nia = k(CODE);
        }
        e
    }

    /// Runs to the hypercall in pieces of any length, beside an interpreted one, and compares after each.
    fn run(&self, observer: Arc<dyn Observer>) -> Engine {
        let (own, other) = (Bench::new(&POWER9, 1), Bench::new(&POWER9, 1));
        let mut e = self.engine(&own, TRANSLATED, observer);
        let mut reference = self.engine(&other, false, Arc::new(Silent));
        let mut random = 0x2545_F491_4F6C_DD1Du64;
        for n in 0.. {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let piece = if n < 500 { random % 40 + 1 } else { 5000 };
            let (exit, expected) = (e.run(piece), reference.run(piece));
            let what = format!("AIL={}, piece {n} of {piece}", self.ail);
            assert_eq!((exit, e.retired()), (expected, reference.retired()), "{what}");
            assert_eq!(e.vcpu().state, reference.vcpu().state, "{what}");
            assert_eq!(e.stats().interrupts, reference.stats().interrupts, "{what}");
            if exit == EngineExit::Hypercall {
                return e;
            }
            assert_eq!(exit, EngineExit::Budget, "{what}");
        }
        unreachable!()
    }
}

/// That of so many interrupts, returns and changes of MSR only the first went through the engine.
fn assert_stayed(e: &mut Engine, events: u64) {
    let stayed = e.vcpu().translated.stayed;
    if TRANSLATED {
        // At its end a piece is the interpreter's, and so is where the next one begins.
        let pieces = 500 * 2;
        assert!(stayed + FIRST + pieces >= events && stayed <= events, "{stayed} of {events}");
    } else {
        assert_eq!(stayed, 0);
    }
}

fn calls(call: &str, back: &str, handlers: [u64; 2]) {
    let program = format!("{call}\naddi r3,r3,-1\ncmpdi r3,0\nbne .-12\nsc 1");
    let handler = format!("addi r4,r4,1\n{back}");
    for (ail, at) in [0, 3].into_iter().zip(handlers) {
        let programs = [(CODE, &*program), (at, &*handler)];
        let setup = Setup { programs: &programs, ail, msr: USER, gpr: &[LOOPS] };
        let log = Arc::new(Log::default());
        for observer in [Arc::new(Silent) as Arc<dyn Observer>, log.clone()] {
            let mut e = setup.run(observer);
            assert_eq!((e.retired(), e.vcpu().state.gpr[4]), (6 * LOOPS + 1, LOOPS));
            assert_eq!(e.stats().interrupts, LOOPS);
            assert_stayed(&mut e, 2 * LOOPS);
        }
        assert_eq!(log.0.lock().unwrap().len() as u64, LOOPS, "who listens hears all");
    }
}

#[test]
fn system_calls_stay() {
    calls("sc 0", "rfid", [0xC00, 0x4C00]);
}

#[test]
fn vectored_system_calls_stay() {
    calls("scv 5", "rfscv", [0x17000 + 5 * 0x20, 0x3000 + 5 * 0x20]);
}

#[test]
fn a_decrementer_that_is_let_in_stays() {
    for (ail, on, at) in [(0, 0, 0x900), (3, msr::IR | msr::DR, 0x4900)] {
        let programs = [
            (
                CODE,
                "mtspr 22,r6
                 mtmsrd r7,1
                 addi r3,r3,-1
                 addi r4,r4,1
                 addi r4,r4,1
                 addi r4,r4,1
                 mtmsrd r5,1
                 cmpdi r3,0
                 bne .-28
                 sc 1",
            ),
            (at, "addi r8,r8,1\nmtspr 22,r6\nrfid"),
        ];
        // r6: 30 ticks, which are 58 instructions.
        let gpr = [LOOPS, 0, msr::EE | msr::RI, 30, 0, 0];
        let mut e = Setup { programs: &programs, ail, msr: ON | on, gpr: &gpr }.run(Arc::new(Silent));
        let taken = e.vcpu().state.gpr[8];
        assert!(taken > LOOPS / 10, "{taken}");
        assert_eq!((e.retired(), e.stats().interrupts), (2 + 8 * LOOPS + 4 * taken, taken));
        // Those that are due while EE is 1 end a slice, and are the engine's; most are due while it is 0.
        if TRANSLATED {
            let stayed = e.vcpu().translated.stayed;
            assert!(stayed > taken, "{stayed} of {taken} and as many returns");
        }
    }
}

#[test]
fn a_doorbell_at_a_poll_stays() {
    for (ail, on, at) in [(0, 0, 0xA00), (3, msr::IR | msr::DR, 0x4A00)] {
        let programs = [(CODE, "msgsndp r5\naddi r3,r3,-1\ncmpdi r3,0\nbne .-12\nsc 1"), (at, "addi r4,r4,1\nrfid")];
        let setup = Setup { programs: &programs, ail, msr: ON | msr::EE | on, gpr: &[LOOPS, 0, 5 << 27] };
        let mut e = setup.run(Arc::new(Silent));
        assert_eq!((e.retired(), e.vcpu().state.gpr[4]), (7 * LOOPS + 1, LOOPS));
        // It is taken where `msgsndp` would have gone on.
        assert_stayed(&mut e, 2 * LOOPS);
    }
}

/// Two threads of a core ring for each other; a tag of no thread, another type and reserved bits ring for nobody.
#[test]
fn doorbells_between_threads() {
    for (ail, on, at) in [(0, 0, 0xA00), (3, msr::IR | msr::DR, 0x4A00)] {
        let b = Bench::new(&POWER9, 4);
        // r4: rung; r7: DPDES while EE is 0, r8: TIR, r9: DPDES behind msgclrp, which clears for its own thread alone.
        let sends = "msgsndp r5\nmsgsndp r6\nmsgsndp r10\nmfspr r7,176\nmfspr r8,446\nmsgclrp r5\nmfspr r9,176\nsc 1";
        b.program(CODE, sends);
        b.program(at, "addi r4,r4,1\nrfid");
        let core = Arc::new(Core::new(2, 2));
        let thread = |index: usize, msr_is: u64| {
            let mut e = b.engine_as(index, TRANSLATED, Arc::new(Silent));
            b.radix(&mut e);
            let v = e.vcpu();
            v.join_core(core.clone());
            v.set_lpcr(v.state.lpcr | ail << lpcr::AIL_SHIFT);
            v.set_msr(msr_is);
            v.state.nia = if msr_is & msr::IR == 0 { CODE } else { k(CODE) };
            // For the other thread; of no thread; of another type. Bits that mean nothing are set.
            let doorbell = 0xFFFF_FFFF_0000_0000 | 5 << 27 | 0x7F_FF80;
            (v.state.gpr[5], v.state.gpr[6], v.state.gpr[10]) = (doorbell | (3 - index as u64), doorbell | 2, 4 << 27);
            e
        };
        let (mut first, mut second) = (thread(2, ON), thread(3, ON | msr::EE | on));
        // They run one after the other: nobody waits for the one that does not.
        let run = |e: &mut Engine| {
            e.vcpu().mailbox().set_quiet(false);
            e.vcpu().serve_mail();
            let exit = e.run(1000);
            e.vcpu().mailbox().set_quiet(true);
            exit
        };
        for e in [&mut first, &mut second] {
            e.vcpu().mailbox().set_quiet(true);
        }
        assert_eq!(run(&mut first), EngineExit::Hypercall);
        let state = |e: &mut Engine| [7, 8, 9, 4].map(|r| e.vcpu().state.gpr[r]);
        assert_eq!(state(&mut first), [0b10, 0, 0b10, 0]);
        assert_eq!(run(&mut second), EngineExit::Hypercall);
        assert_eq!(state(&mut second), [0b01, 1, 0b01, 1]);
        // The first has one pending, and takes it when EE lets it.
        let v = first.vcpu();
        v.state.nia = if on == 0 { CODE } else { k(CODE) } + 28;
        v.set_msr(ON | msr::EE | on);
        assert_eq!(run(&mut first), EngineExit::Hypercall);
        assert_eq!(first.vcpu().state.gpr[4], 1);
        let others = b.memory.hub().mailbox(0).pending() | b.memory.hub().mailbox(1).pending();
        assert_eq!(others & pending::DOORBELL, 0);
    }
}

#[test]
fn traps_and_faults_stay() {
    let skip = "mfspr r9,26\naddi r9,r9,4\nmtspr 26,r9\nrfid";
    for (ail, program, data, segment) in [(0, 0x700, 0x300, 0x380), (3, 0x4700, 0x4300, 0x4380)] {
        let programs = [
            // A trap, an access to a page that is not there, and one beyond all tables.
            (CODE, "tw 31,r0,r0\nld r7,0(r5)\nstd r7,0(r6)\naddi r3,r3,-1\ncmpdi r3,0\nbne .-20\nsc 1"),
            (program, skip),
            (data, skip),
            (segment, skip),
        ];
        let setup = Setup { programs: &programs, ail, msr: USER, gpr: &[LOOPS, 0, 0x60_0000, 1 << 60] };
        let mut e = setup.run(Arc::new(Silent));
        assert_eq!(e.stats().interrupts, 3 * LOOPS);
        assert_eq!(e.retired(), (3 * 5 + 3) * LOOPS + 1);
        assert_stayed(&mut e, 6 * LOOPS);
    }
}

#[test]
fn writes_of_msr_and_amr_stay() {
    // r4: MSR with FP, r5: without; r6, r7: AMR.
    let program = "mtmsrd r4,0\nmtspr 29,r6\nmtmsrd r5,0\nmtspr 29,r7\naddi r3,r3,-1\ncmpdi r3,0\nbne .-24\nsc 1";
    let on = ON | msr::IR | msr::DR;
    let setup = Setup { programs: &[(CODE, program)], ail: 3, msr: on, gpr: &[LOOPS, on | msr::FP, on, 3 << 62, 0] };
    let mut e = setup.run(Arc::new(Silent));
    assert_eq!(e.retired(), 7 * LOOPS + 1);
    assert_stayed(&mut e, 4 * LOOPS);
}

#[test]
fn special_purpose_registers_in_line() {
    // XER with a comparison that is not looked at before SO changes; PPR, CTRL's trigger, SPRG2, DSISR, CFAR, DSCR.
    let program = "cmpd r3,r4
         mtspr 1,r4
         mfspr r8,1
         addze r9,r9
         cmpd 1,r3,r4
         mtspr 1,r5
         mfspr r10,1
         mtspr 896,r4
         mfspr r11,896
         mtspr 880,r4
         mtspr 274,r4
         mfspr r12,274
         mtspr 18,r4
         mfspr r13,18
         mtspr 28,r4
         mfspr r14,28
         mtspr 17,r4
         mfspr r15,17
         mtspr 256,r4
         mfspr r16,256
         addi r3,r3,-1
         cmpdi 2,r3,0
         bne 2,.-88
         sc 1";
    let xer = u64::from(u32::MAX) & !0x1000_0000;
    let gpr = [LOOPS, xer | 0x1234_5678 << 32, 1 << 29];
    let mut e = Setup { programs: &[(CODE, program)], ail: 0, msr: ON, gpr: &gpr }.run(Arc::new(Silent));
    assert_eq!(e.retired(), 23 * LOOPS + 1);
    let v = e.vcpu();
    assert_eq!((v.state.gpr[9], v.state.gpr[12]), (LOOPS, gpr[1]));
    assert_eq!((v.state.gpr[13], v.state.gpr[16]), (gpr[1] & 0xFFFF_FFFF, gpr[1] & 0xFFFF_FFFF));
}

/// `cargo test --release -p engine --test bare_translated -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_a_system_call_costs() {
    const CALLS: u64 = 10_000_000;
    for (call, back, at) in [("sc 0", "rfid", 0x4C00), ("scv 5", "rfscv", 0x3000 + 5 * 0x20)] {
        let program = format!("{call}\naddi r3,r3,-1\ncmpdi r3,0\nbne .-12\nsc 1");
        let setup = Setup { programs: &[(CODE, &program), (at, back)], ail: 3, msr: USER, gpr: &[CALLS] };
        let b = Bench::new(&POWER9, 1);
        let mut e = setup.engine(&b, TRANSLATED, Arc::new(Silent));
        let start = std::time::Instant::now();
        while e.run(u64::MAX) != EngineExit::Hypercall {}
        println!("{call}, {back}: {:.2} ns", start.elapsed().as_secs_f64() * 1e9 / CALLS as f64);
    }
}
