//! The handshake of vCPUs.

use aileron_concurrency::mail::{Hub, Invalidation, Mailbox, Message, pending};
use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};
use shuttle::thread;
use std::sync::Arc;

const RUNS: usize = 20_000;
const MESSAGE: Message = Message::Invalidate(Invalidation::Process { pid: 1 });

/// A vCPU with one translation.
struct Cpu {
    hub: Arc<Hub>,
    index: usize,
    cached: bool,
    /// Nobody may use that translation any more.
    gone: Arc<AtomicBool>,
    /// Whether it says that it has served its mail before it has.
    hasty: bool,
}

impl Cpu {
    fn mailbox(&self) -> &Mailbox {
        self.hub.mailbox(self.index)
    }

    fn serve(&mut self) {
        if self.mailbox().pending() & pending::MAIL == 0 {
            return;
        }
        let (messages, number) = self.mailbox().take();
        if self.hasty {
            self.mailbox().mark_served(number);
            self.access();
        }
        if !messages.is_empty() {
            self.cached = false;
        }
        self.mailbox().mark_served(number);
    }

    /// An access: by the translation, as long as it is there.
    fn access(&self) {
        if self.cached {
            assert!(!self.gone.load(SeqCst), "vCPU {} uses a translation that is gone", self.index);
        }
    }
}

fn hub(vcpus: usize) -> Arc<Hub> {
    let hub = Arc::new(Hub::new(vcpus));
    (0..vcpus).for_each(|index| hub.mailbox(index).set_quiet(false));
    hub
}

/// vCPU 0 has the others forget a translation, and goes on when they have; they run, sleep and wake meanwhile.
fn shoot_down(hasty: bool, real_mode: bool) {
    let hub = hub(3);
    let gone = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (1..3)
        .map(|index| {
            let (hub, gone) = (hub.clone(), gone.clone());
            thread::spawn(move || {
                let mut cpu = Cpu { hub, index, cached: true, gone, hasty };
                for round in 0..3 {
                    // A block head, and an access behind it.
                    cpu.serve();
                    cpu.access();
                    if round == index - 1 {
                        if real_mode {
                            cpu.serve();
                            cpu.mailbox().set_in_real_mode(true);
                            thread::yield_now();
                            cpu.mailbox().set_in_real_mode(false);
                        } else {
                            cpu.mailbox().set_quiet(true);
                            thread::yield_now();
                            cpu.mailbox().set_quiet(false);
                        }
                        // Before it translates again.
                        cpu.serve();
                        cpu.access();
                    }
                }
                cpu.mailbox().set_quiet(true);
            })
        })
        .collect();
    let mut me = Cpu { hub: hub.clone(), index: 0, cached: false, gone: gone.clone(), hasty: false };
    hub.broadcast(Some(0), MESSAGE);
    if real_mode {
        hub.wait_for_translations(Some(0), || me.serve());
    } else {
        hub.wait_for_all(Some(0), || me.serve());
    }
    gone.store(true, SeqCst);
    others.into_iter().for_each(|other| other.join().unwrap());
}

#[test]
fn nobody_uses_a_translation_that_is_gone() {
    shuttle::check_random(|| shoot_down(false, false), RUNS);
}

#[test]
fn nor_behind_real_mode() {
    shuttle::check_random(|| shoot_down(false, true), RUNS);
}

/// That the test above can fail.
#[test]
#[should_panic(expected = "uses a translation that is gone")]
fn who_says_too_early_that_it_has_served_is_found() {
    shuttle::check_random(|| shoot_down(true, false), RUNS);
}

#[test]
fn two_that_wait_for_each_other_serve_each_other() {
    shuttle::check_random(
        || {
            let hub = hub(2);
            let one = |index: usize| {
                let hub = hub.clone();
                thread::spawn(move || {
                    let mut cpu = Cpu { hub: hub.clone(), index, cached: true, gone: Arc::default(), hasty: false };
                    hub.broadcast(Some(index), MESSAGE);
                    hub.wait_for_all(Some(index), || cpu.serve());
                    cpu.mailbox().set_quiet(true);
                })
            };
            let both = [one(0), one(1)];
            both.into_iter().for_each(|cpu| cpu.join().unwrap());
        },
        RUNS,
    );
}

/// A wake-up that is lost is a deadlock, which shuttle reports.
#[test]
fn no_wake_up_is_lost() {
    shuttle::check_random(
        || {
            let hub = hub(1);
            let sleeper = {
                let hub = hub.clone();
                thread::spawn(move || {
                    hub.mailbox(0).set_quiet(true);
                    hub.mailbox(0).sleep(pending::PROD | pending::EXTERNAL, None);
                    assert!(hub.mailbox(0).pending() & (pending::PROD | pending::EXTERNAL) != 0);
                })
            };
            // Not what it waits for, and then that.
            hub.mailbox(0).raise(pending::DOORBELL);
            hub.mailbox(0).raise(pending::PROD);
            sleeper.join().unwrap();
        },
        RUNS,
    );
}

/// What is posted is taken once, whatever else happens to the word of pending bits meanwhile.
#[test]
fn every_message_is_taken_once() {
    shuttle::check_random(
        || {
            let hub = hub(1);
            let posters: Vec<_> = (0..2)
                .map(|_| {
                    let hub = hub.clone();
                    thread::spawn(move || {
                        hub.post(0, MESSAGE);
                        hub.mailbox(0).raise(pending::EXTERNAL);
                        hub.mailbox(0).lower(pending::EXTERNAL);
                    })
                })
                .collect();
            let mut taken = 0;
            while taken < 2 {
                if hub.mailbox(0).pending() & pending::MAIL != 0 {
                    let (messages, number) = hub.mailbox(0).take();
                    taken += messages.len();
                    hub.mailbox(0).mark_served(number);
                }
                thread::yield_now();
            }
            posters.into_iter().for_each(|poster| poster.join().unwrap());
            assert!(hub.mailbox(0).take().0.is_empty());
        },
        RUNS,
    );
}
