//! A vCPU in real mode is not waited for, and uses nothing that it was told to forget once it translates again.

use super::bare_metal::{CODE, ON, TABLES, k};
use super::*;
use memory::mail::Invalidation;
use std::time::{Duration, Instant};

const PAGE: u64 = 0x4_0000;
const PTE: u64 = TABLES + 0x4_2000 + PAGE / 4096 * 8;
const ENTRY: u64 = 0xC000_0000_0000_0000 | PAGE | 7;

struct Stop<'a>(&'a Bench);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.memory.hub().mailbox(0).set_quiet(true);
        self.0.memory.hub().mailbox(1).raise(pending::STOP);
    }
}

/// vCPU 1 in `program`, on a thread of its own, until it is told to stop.
fn with_running(program: &str, vcpu: impl FnOnce(&mut vcpu::Vcpu), work: impl FnOnce(&Bench, &mut Engine)) -> Engine {
    let b = Bench::new(&POWER9, 2);
    let mut runner = b.engine_as(1, crate::TRANSLATED, Arc::new(vcpu::Silent));
    b.radix(&mut runner);
    b.program(CODE, program);
    // What is not there is tried again.
    b.program(0x300, "addi r10,r10,1\nrfid");
    vcpu(runner.vcpu());
    let mut other = b.engine(0);
    b.radix(&mut other);
    std::thread::scope(|scope| {
        let runner = scope.spawn(move || {
            let exit = runner.run(u64::MAX);
            runner.vcpu().mailbox().set_quiet(true);
            assert_eq!(exit, EngineExit::Stopped);
            runner
        });
        // Also when the work panics: the scope waits for the thread.
        let stop = Stop(&b);
        work(&b, &mut other);
        drop(stop);
        runner.join().unwrap()
    })
}

#[test]
fn nothing_is_used_that_was_forgotten_in_real_mode() {
    let translated = ON | msr::IR | msr::DR;
    let program = "std r5,0(r4)
         mtmsrd r7,0
         mtctr r8
         bdnz .
         mtmsrd r6,0
         b .-20";
    let entry = |v: &mut vcpu::Vcpu| {
        v.state.gpr[4..9].copy_from_slice(&[PAGE, 1, translated, ON, 20]);
        v.state.nia = k(CODE);
        v.set_msr(translated);
    };
    let runner = with_running(program, entry, |b, other| {
        let v = other.vcpu();
        let written = || b.memory.read_be_u64(PAGE) != Some(0);
        let end = Instant::now() + Duration::from_secs(3);
        for _ in 0..20_000 {
            b.memory.write(PTE, &[0; 8]).unwrap();
            v.invalidate_everywhere(Invalidation::Page { pid: 1, ea: PAGE, shift: 12 });
            v.wait_for_translations();
            b.memory.write(PAGE, &[0; 8]).unwrap();
            for _ in 0..200 {
                assert!(!written(), "a store to a page that was taken away");
                std::hint::spin_loop();
            }
            b.memory.write(PTE, &ENTRY.to_be_bytes()).unwrap();
            let late = Instant::now() + Duration::from_secs(20);
            while !written() {
                assert!(Instant::now() < late, "no store to a page that is there");
                // It may want to mark code.
                v.serve_mail();
                std::thread::yield_now();
            }
            if Instant::now() > end {
                break;
            }
        }
    });
    let mut runner = runner;
    assert_ne!(runner.vcpu().state.gpr[10], 0, "the page was never missed");
}

#[test]
fn a_vcpu_in_real_mode_is_not_waited_for() {
    let b = Bench::new(&POWER9, 2);
    let mut idle = b.engine(1);
    b.radix(&mut idle);
    let mut other = b.engine(0);
    b.radix(&mut other);
    let page = Invalidation::Page { pid: 1, ea: PAGE, shift: 12 };
    // It has seen its mail once, and now its thread does not run: no wait must hang.
    idle.vcpu().serve_mail();
    other.vcpu().invalidate_everywhere(page);
    other.vcpu().wait_for_translations();
    assert_ne!(b.memory.hub().mailbox(1).pending() & pending::MAIL, 0, "nor was it served");
    // Its context changes: it is waited for again, whoever changes it.
    let waited = |other: &mut Engine, idle: &mut Engine| {
        other.vcpu().invalidate_everywhere(page);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| other.vcpu().wait_for_translations());
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiter.is_finished());
            idle.vcpu().serve_mail();
        });
    };
    idle.vcpu().set_msr(ON | msr::IR | msr::DR);
    waited(&mut other, &mut idle);
    // In real mode again, but not everything can wait there: who takes write access away is to be heard.
    idle.vcpu().set_msr(ON);
    idle.vcpu().serve_mail();
    b.memory.hub().broadcast(Some(0), Message::WithdrawWrites { page: 5 });
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| other.vcpu().wait_for_all());
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waiter.is_finished());
        idle.vcpu().serve_mail();
    });
}
