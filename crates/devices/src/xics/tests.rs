//! Tests of the interrupt controller, by the calls that a guest makes.

use super::*;
use platform::mock::{MockPartition, MockWorld};
use proptest::prelude::*;
use std::sync::atomic::AtomicBool;

const LEVEL: u32 = 0x1000;
const MESSAGE: u32 = 0x1100;

struct Rig {
    partition: Arc<MockPartition>,
    world: MockWorld,
    xics: Xics,
}

impl Rig {
    fn new() -> Rig {
        let partition = Arc::new(MockPartition::new(4));
        let mut xics = Xics::new(&[0, 1, 2, 3], partition.clone()).unwrap();
        for number in 0..4 {
            xics.add_source(LEVEL + number, SourceKind::Level).unwrap();
            xics.add_source(MESSAGE + number, SourceKind::Message).unwrap();
        }
        Rig { partition, world: MockWorld::new(4, 0x1000), xics }
    }

    fn call(&self, vcpu: usize, opcode: u64, args: &[u64]) -> (i64, u64, u64) {
        let mut vcpu = self.world.partition.vcpu(vcpu);
        let mut all = [0; 9];
        all[..args.len()].copy_from_slice(args);
        let status = self.xics.hcall(opcode, &mut self.world.context(&mut vcpu), &all);
        (status.0, vcpu.gpr[4], vcpu.gpr[5])
    }

    fn rtas(&self, token: u32, args: &[u32], nret: usize) -> (i32, Vec<u32>) {
        let mut vcpu = self.world.partition.vcpu(0);
        let mut results = vec![0; nret - 1];
        let mut call = RtasCall { args, results: &mut results };
        let status = self.xics.rtas(token, &mut self.world.context(&mut vcpu), &mut call);
        (status.0, results)
    }

    fn route(&self, xisr: u32, server: u32, priority: u32) {
        assert_eq!(self.rtas(IBM_SET_XIVE, &[xisr, server, priority], 1).0, 0);
    }

    fn set_cppr(&self, vcpu: usize, cppr: u8) {
        assert_eq!(self.call(vcpu, H_CPPR, &[cppr.into()]).0, 0);
    }

    fn accept(&self, vcpu: usize) -> u32 {
        self.call(vcpu, H_XIRR, &[]).1 as u32
    }

    fn eoi(&self, vcpu: usize, xirr: u32) {
        assert_eq!(self.call(vcpu, H_EOI, &[xirr.into()]).0, 0);
    }

    fn line(&self, vcpu: usize) -> bool {
        self.partition.external_interrupt(vcpu)
    }
}

#[test]
fn a_message_is_presented_once() {
    let rig = Rig::new();
    rig.set_cppr(1, 0xff);
    rig.route(MESSAGE, 1, 5);
    rig.xics.pulse(MESSAGE);
    assert_eq!((rig.line(0), rig.line(1)), (false, true));
    assert_eq!(rig.accept(1), 0xff00_0000 | MESSAGE);
    assert!(!rig.line(1));
    // Again while the first is handled: presented after its end.
    rig.xics.pulse(MESSAGE);
    rig.xics.pulse(MESSAGE);
    assert!(!rig.line(1));
    rig.eoi(1, 0xff00_0000 | MESSAGE);
    assert!(rig.line(1));
    assert_eq!(rig.accept(1), 0xff00_0000 | MESSAGE);
    rig.eoi(1, 0xff00_0000 | MESSAGE);
    assert!(!rig.line(1));
    assert_eq!(rig.accept(1), 0xff00_0000);
    assert_eq!(rig.call(1, H_IPOLL, &[1]), (0, 0xff00_0000, 0xff));
}

#[test]
fn a_level_is_presented_until_it_falls() {
    let rig = Rig::new();
    rig.set_cppr(0, 0xff);
    rig.route(LEVEL, 0, 5);
    rig.xics.set_level(LEVEL, true);
    rig.xics.set_level(LEVEL, true);
    for _ in 0..3 {
        assert_eq!(rig.accept(0), 0xff00_0000 | LEVEL);
        assert!(!rig.line(0));
        rig.eoi(0, 0xff00_0000 | LEVEL);
        assert!(rig.line(0));
    }
    rig.accept(0);
    rig.xics.set_level(LEVEL, false);
    rig.eoi(0, 0xff00_0000 | LEVEL);
    assert!(!rig.line(0));
    // A pulse is nothing to a level source, nor a level to a message source.
    rig.xics.pulse(LEVEL);
    rig.route(MESSAGE, 0, 5);
    rig.xics.set_level(MESSAGE, true);
    assert!(!rig.line(0));
}

#[test]
fn the_more_favoured_displaces_and_the_displaced_comes_back() {
    let rig = Rig::new();
    rig.set_cppr(0, 0xff);
    rig.route(MESSAGE, 0, 7);
    rig.route(LEVEL, 0, 5);
    rig.xics.pulse(MESSAGE);
    rig.xics.set_level(LEVEL, true);
    assert_eq!(rig.call(0, H_IPI, &[0, 4]).0, 0);
    assert_eq!(rig.accept(0), 0xff00_0000 | XISR_IPI);
    assert_eq!(rig.call(0, H_IPI, &[0, 0xff]).0, 0);
    rig.eoi(0, 0xff00_0000 | XISR_IPI);
    assert_eq!(rig.accept(0), 0xff00_0000 | LEVEL);
    rig.xics.set_level(LEVEL, false);
    rig.eoi(0, 0xff00_0000 | LEVEL);
    assert_eq!(rig.accept(0), 0xff00_0000 | MESSAGE);
    rig.eoi(0, 0xff00_0000 | MESSAGE);
    assert!(!rig.line(0));
    assert_eq!(rig.xics.waiting.load(SeqCst), 0);
}

#[test]
fn the_processor_priority_holds_back_and_lets_in() {
    let rig = Rig::new();
    rig.route(MESSAGE, 0, 5);
    rig.xics.pulse(MESSAGE);
    assert!(!rig.line(0), "CPPR is 0 after reset");
    rig.set_cppr(0, 5);
    assert!(!rig.line(0), "5 is not more favoured than 5");
    rig.set_cppr(0, 6);
    assert!(rig.line(0));
    rig.set_cppr(0, 5);
    assert!(!rig.line(0), "withdrawn");
    rig.set_cppr(0, 0xff);
    assert_eq!(rig.accept(0), 0xff00_0000 | MESSAGE);
    assert_eq!(rig.call(0, H_IPOLL, &[0]).1, 0x0500_0000, "the accepted priority is the new CPPR");
}

#[test]
fn an_ipi_repeats_until_it_is_taken_back() {
    let rig = Rig::new();
    rig.set_cppr(2, 0xff);
    assert_eq!(rig.call(0, H_IPI, &[2, 4]).0, 0);
    assert_eq!(rig.accept(2), 0xff00_0000 | XISR_IPI);
    rig.eoi(2, 0xff00_0000 | XISR_IPI);
    assert!(rig.line(2), "MFRR still asks");
    rig.accept(2);
    rig.call(2, H_IPI, &[2, 0xff]);
    rig.eoi(2, 0xff00_0000 | XISR_IPI);
    assert!(!rig.line(2));
}

#[test]
fn off_and_on() {
    let rig = Rig::new();
    rig.set_cppr(0, 0xff);
    assert_eq!(rig.rtas(IBM_GET_XIVE, &[MESSAGE], 3), (0, vec![0, 0xff]));
    rig.route(MESSAGE, 3, 6);
    rig.set_cppr(3, 0xff);
    for _ in 0..2 {
        assert_eq!(rig.rtas(IBM_INT_OFF, &[MESSAGE], 1).0, 0);
    }
    assert_eq!(rig.rtas(IBM_GET_XIVE, &[MESSAGE], 3), (0, vec![3, 0xff]));
    rig.xics.pulse(MESSAGE);
    assert!(!rig.line(3));
    assert_eq!(rig.rtas(IBM_INT_ON, &[MESSAGE], 1).0, 0);
    assert_eq!(rig.rtas(IBM_GET_XIVE, &[MESSAGE], 3), (0, vec![3, 6]));
    assert!(rig.line(3));
    assert!(rig.xics.describe().contains("source 0x1100: Message, server 3, priority 0x06"));
    rig.xics.reset();
    assert!(!rig.line(3));
    assert_eq!(rig.xics.waiting.load(SeqCst), 0);
}

#[test]
fn wild_arguments() {
    let rig = Rig::new();
    for xisr in [0, 2, 0xfff, 0x1004, 0x2000, u32::MAX] {
        assert_eq!(rig.rtas(IBM_SET_XIVE, &[xisr, 0, 5], 1).0, -3);
        assert_eq!(rig.rtas(IBM_GET_XIVE, &[xisr], 3), (-3, vec![0, 0]));
        assert_eq!(rig.rtas(IBM_INT_OFF, &[xisr], 1).0, -3);
        assert_eq!(rig.rtas(IBM_INT_ON, &[xisr], 1).0, -3);
        rig.xics.pulse(xisr);
        rig.xics.set_level(xisr, true);
        rig.eoi(0, xisr);
    }
    assert_eq!(rig.rtas(IBM_SET_XIVE, &[LEVEL, 4, 5], 1).0, -3);
    assert_eq!(rig.rtas(IBM_SET_XIVE, &[LEVEL, 0, 256], 1).0, -3);
    for server in [4, 1 << 32, u64::MAX] {
        assert_eq!(rig.call(0, H_IPI, &[server, 0]).0, -4);
        assert_eq!(rig.call(0, H_IPOLL, &[server]).0, -4);
    }
    let lines = Arc::new(MockPartition::new(1));
    assert_eq!(Xics::new(&[0, 8, 8], lines.clone()).err(), Some(InterruptError::DoubleServer(8)));
    let mut xics = Xics::new(&[0, 8], lines).unwrap();
    assert!(xics.add_source(0xfff, SourceKind::Level).is_err());
    assert!(xics.add_source(0x2000, SourceKind::Level).is_err());
    assert_eq!(xics.servers.index_of(8), Some(1));
}

proptest! {
    /// Whatever happened: once every vCPU takes and ends what it is presented, with MFRR off and levels fallen, each
    /// message that was sent has been presented, nothing waits, and no line is up.
    #[test]
    fn nothing_is_lost_and_nothing_stays(steps in prop::collection::vec((0..8u8, 0..4usize, 0..4u32, any::<u8>()), 0..300)) {
        let rig = Rig::new();
        let mut owed = [false; 4];
        let mut taken = vec![];
        for (step, vcpu, number, byte) in steps {
            match step {
                0 => { rig.xics.pulse(MESSAGE + number); owed[number as usize] = true; }
                1 => rig.xics.set_level(LEVEL + number, byte & 1 != 0),
                2 => { rig.rtas(IBM_SET_XIVE, &[MESSAGE + number, vcpu as u32, byte.into()], 1); }
                3 => { rig.rtas(IBM_SET_XIVE, &[LEVEL + number, vcpu as u32, byte.into()], 1); }
                4 => rig.set_cppr(vcpu, byte),
                5 => { rig.call(vcpu, H_IPI, &[number.into(), byte.into()]); }
                6 => {
                    let xirr = rig.accept(vcpu);
                    if let Some(owed) = (xirr & XISR_MASK).checked_sub(MESSAGE).and_then(|at| owed.get_mut(at as usize)) { *owed = false; }
                    taken.push((vcpu, xirr));
                }
                _ => if let Some((vcpu, xirr)) = taken.pop() { rig.eoi(vcpu, xirr) },
            }
            for vcpu in 0..4 {
                prop_assert_eq!(rig.line(vcpu), lock(&rig.xics.icps[vcpu]).xisr != XISR_NONE);
            }
        }
        for number in 0..4 {
            rig.xics.set_level(LEVEL + number, false);
            rig.route(MESSAGE + number, number, 5);
            rig.call(0, H_IPI, &[number.into(), 0xff]);
        }
        for round in 0..16 {
            for vcpu in 0..4 {
                rig.set_cppr(vcpu, 0xff);
                let xirr = rig.accept(vcpu);
                if let Some(owed) = (xirr & XISR_MASK).checked_sub(MESSAGE).and_then(|at| owed.get_mut(at as usize)) { *owed = false; }
                rig.eoi(vcpu, 0xff00_0000 | xirr & XISR_MASK);
                prop_assert!(round < 15 || xirr & XISR_MASK == 0, "still {:#x}", xirr);
            }
        }
        prop_assert_eq!(owed, [false; 4]);
        prop_assert_eq!(rig.xics.waiting.load(SeqCst), 0);
        prop_assert!((0..4).all(|vcpu| !rig.line(vcpu)));
    }
}

#[test]
fn no_interrupt_is_lost_between_threads() {
    const PULSES: usize = 20_000;
    let rig = Rig::new();
    for number in 0..4 {
        rig.route(MESSAGE + number, number % 2, 5 + number);
    }
    let credits: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
    let sent = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Each sender waits until its pulse was taken before the next, so that pulses do not merge.
        let senders: Vec<_> = (0..4u32)
            .map(|number| {
                let (rig, credits) = (&rig, &credits);
                scope.spawn(move || {
                    for done in 0..PULSES / 4 {
                        while credits[number as usize].load(SeqCst) != done {
                            std::thread::yield_now();
                        }
                        rig.xics.pulse(MESSAGE + number);
                    }
                })
            })
            .collect();
        for vcpu in 0..2 {
            let (rig, credits, sent) = (&rig, &credits, &sent);
            scope.spawn(move || {
                rig.set_cppr(vcpu, 0xff);
                loop {
                    let finished = sent.load(SeqCst);
                    if rig.line(vcpu) {
                        let xirr = rig.accept(vcpu);
                        if let Some(number) = (xirr & XISR_MASK).checked_sub(MESSAGE) {
                            credits[number as usize].fetch_add(1, SeqCst);
                        }
                        rig.eoi(vcpu, xirr);
                    } else if finished {
                        break;
                    } else {
                        std::thread::yield_now();
                    }
                }
            });
        }
        for sender in senders {
            sender.join().unwrap();
        }
        sent.store(true, SeqCst);
    });
    let total: usize = credits.iter().map(|count| count.load(SeqCst)).sum();
    assert_eq!(total, PULSES);
    assert_eq!(rig.xics.waiting.load(SeqCst), 0);
}
