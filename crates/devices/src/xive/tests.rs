//! Tests of exploitation mode, by the loads, stores and calls that a guest makes.

use super::*;
use platform::Mmio;
use platform::mock::{MockPartition, MockWorld};
use platform::papr::opcode::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

const LEVEL: u32 = 0x1000;
const MESSAGE: u32 = 0x1100;
/// Queues of priority 6 and 4 KiB, a page a vCPU.
const QUEUES: u64 = 0x1_0000;
const EOI: u64 = 0;
const GET: u64 = 0x800;
const SET_PQ_00: u64 = 0xc00;
const SET_PQ_01: u64 = 0xd00;
const ACKNOWLEDGE: u64 = TIMA_OS_PAGE + 0x810;

struct Rig {
    partition: Arc<MockPartition>,
    world: MockWorld,
    xive: Xive,
}

impl Rig {
    /// Four vCPUs, each with a queue and a CPPR that lets everything in.
    fn new() -> Rig {
        let partition = Arc::new(MockPartition::new(4));
        let world = MockWorld::new(4, 0x4_0000);
        let mut xive = Xive::new(&[0, 1, 2, 3], 6, world.memory.clone(), partition.clone()).unwrap();
        for number in 0..4 {
            xive.add_source(LEVEL + number, SourceKind::Level).unwrap();
            xive.add_source(MESSAGE + number, SourceKind::Message).unwrap();
        }
        let rig = Rig { partition, world, xive };
        for server in 0..4 {
            assert_eq!(rig.call(H_INT_SET_QUEUE_CONFIG, &[1, server, 6, QUEUES + (server << 12), 12]).0, 0);
            rig.set_cppr(server as usize, 0xff);
        }
        rig
    }

    fn call(&self, opcode: u64, args: &[u64]) -> (i64, [u64; 4]) {
        let mut vcpu = self.world.partition.vcpu(0);
        let mut all = [0; 9];
        all[..args.len()].copy_from_slice(args);
        let status = self.xive.hcall(opcode, &mut self.world.context(&mut vcpu), &all);
        (status.0, std::array::from_fn(|number| vcpu.gpr[4 + number]))
    }

    /// A source goes to a server's queue, under its own number.
    fn route(&self, lisn: u32, server: u64) {
        assert_eq!(self.call(H_INT_SET_SOURCE_CONFIG, &[0, lisn.into(), server, 6]).0, 0);
        self.manage(lisn, SET_PQ_00);
    }

    fn manage(&self, lisn: u32, offset: u64) -> u64 {
        self.xive.load(0, Xive::source_pages(lisn)[1] + offset, 8)
    }

    fn set_cppr(&self, vcpu: usize, cppr: u64) {
        self.xive.store(vcpu, TIMA_OS_PAGE + 0x11, 1, cppr);
    }

    fn acknowledge(&self, vcpu: usize) -> u64 {
        self.xive.load(vcpu, ACKNOWLEDGE, 2)
    }

    fn line(&self, vcpu: usize) -> bool {
        self.partition.external_interrupt(vcpu)
    }

    fn entry(&self, server: u64, index: u64) -> u32 {
        self.world.memory.read_be_u32(QUEUES + (server << 12) + 4 * index).unwrap()
    }
}

#[test]
fn an_interrupt_between_processors() {
    let rig = Rig::new();
    rig.route(2, 2);
    let [trigger, _] = Xive::source_pages(2);
    rig.xive.store(0, trigger, 8, 0);
    assert_eq!((rig.line(0), rig.line(2)), (false, true));
    assert_eq!(rig.acknowledge(2), 0x8006);
    assert!(!rig.line(2));
    assert_eq!(rig.entry(2, 0), 0x8000_0002);
    // Again before its end: remembered in Q, sent by the end.
    rig.xive.store(3, trigger, 8, 0);
    rig.xive.store(1, trigger, 8, 0);
    assert_eq!(rig.manage(2, GET), 3);
    assert_eq!((rig.manage(2, EOI), rig.entry(2, 1), rig.entry(2, 2)), (1, 0x8000_0002, 0));
    assert!(!rig.line(2), "CPPR is still that of the first");
    rig.set_cppr(2, 0xff);
    assert_eq!(rig.acknowledge(2), 0x8006);
    assert_eq!(rig.manage(2, EOI), 0);
    rig.set_cppr(2, 0xff);
    assert!(!rig.line(2));
}

#[test]
fn a_level_is_sent_again_until_it_falls() {
    let rig = Rig::new();
    rig.route(LEVEL, 1);
    rig.xive.set_level(LEVEL, true);
    rig.xive.set_level(LEVEL, true);
    for round in 0..3 {
        assert_eq!(rig.acknowledge(1), 0x8006, "{round}");
        assert_eq!(rig.call(H_INT_ESB, &[0, LEVEL.into(), EOI]), (0, [1, 0, 0, 0]));
        rig.set_cppr(1, 0xff);
    }
    rig.acknowledge(1);
    rig.xive.set_level(LEVEL, false);
    assert_eq!(rig.call(H_INT_ESB, &[0, LEVEL.into(), EOI]).1[0], 0);
    rig.set_cppr(1, 0xff);
    assert!(!rig.line(1));
    assert_eq!((rig.entry(1, 3), rig.entry(1, 4)), (0x8000_1000, 0));
    // A pulse is nothing to a level source, nor a level to a message source.
    rig.xive.pulse(LEVEL);
    rig.route(MESSAGE, 1);
    rig.xive.set_level(MESSAGE, true);
    assert!(!rig.line(1));
    // A level that is up when its source is switched on is sent by the first end.
    rig.manage(LEVEL, SET_PQ_01);
    rig.xive.set_level(LEVEL, true);
    assert_eq!(rig.manage(LEVEL, SET_PQ_00), 1);
    assert_eq!(rig.manage(LEVEL, EOI), 1);
    assert!(rig.line(1));
}

#[test]
fn masked_off_and_routed_elsewhere() {
    let rig = Rig::new();
    rig.xive.pulse(MESSAGE);
    assert_eq!(rig.manage(MESSAGE, GET), 1, "off at power-on");
    rig.route(MESSAGE, 1);
    assert_eq!(rig.call(H_INT_GET_SOURCE_CONFIG, &[0, MESSAGE.into()]), (0, [1, 6, MESSAGE.into(), 0]));
    assert_eq!(rig.call(H_INT_SET_SOURCE_CONFIG, &[3, MESSAGE.into(), 3, 6, 0x1_8000_0055]).0, 0);
    assert_eq!(rig.call(H_INT_GET_SOURCE_CONFIG, &[0, MESSAGE.into()]), (0, [3, 0xff, 0x55, 0]));
    rig.xive.pulse(MESSAGE);
    assert!((0..4).all(|vcpu| !rig.line(vcpu)), "masked events are dropped");
    assert_eq!(rig.manage(MESSAGE, EOI), 0);
    rig.route(MESSAGE, 3);
    rig.xive.pulse(MESSAGE);
    assert_eq!((rig.line(3), rig.entry(3, 0)), (true, 0x8000_0055));
    assert_eq!(rig.call(H_INT_SET_SOURCE_CONFIG, &[0, MESSAGE.into(), 77, 0xff]).0, 0);
    assert_eq!(rig.call(H_INT_GET_SOURCE_CONFIG, &[0, MESSAGE.into()]), (0, [0, 0xff, MESSAGE.into(), 0]));
}

#[test]
fn queues_with_and_without_notification() {
    let rig = Rig::new();
    assert_eq!(rig.call(H_INT_GET_QUEUE_CONFIG, &[1, 1, 6]), (0, [3, QUEUES + 0x1000, 12, 0]));
    rig.route(MESSAGE, 1);
    rig.route(MESSAGE + 1, 1);
    assert_eq!(rig.call(H_INT_SET_QUEUE_CONFIG, &[0, 1, 6, QUEUES + 0x1000, 12]).0, 0);
    for number in 0..2 {
        rig.xive.pulse(MESSAGE + number);
    }
    assert_eq!(rig.acknowledge(1), 0x8006);
    rig.set_cppr(1, 0xff);
    assert_eq!((rig.line(1), rig.entry(1, 1)), (false, 0x8000_1101), "told once of both");
    let page = rig.call(H_INT_GET_QUEUE_INFO, &[0, 1, 6]).1[0];
    assert!(rig.xive.answers(page, 0x2_0000 >> 1));
    assert_eq!((rig.xive.load(0, page + GET, 8), rig.xive.load(0, page + EOI, 8), rig.line(1)), (3, 1, true));
    // The other page of the pair is escalation's, which tells nobody.
    assert_eq!(rig.xive.load(0, page + 0x1_0000 + GET, 8), 0);
    assert_eq!(rig.call(H_INT_GET_QUEUE_CONFIG, &[1, 1, 6]), (0, [2, QUEUES + 0x1000, 12, 2]));
    assert_eq!(rig.call(H_INT_SET_QUEUE_CONFIG, &[1, 1, 6, 0, 0]).0, 0);
    assert_eq!(rig.call(H_INT_GET_QUEUE_CONFIG, &[1, 1, 6]), (0, [0; 4]));
    assert_eq!(rig.xive.load(0, page + GET, 8), u64::MAX);
}

#[test]
fn wild_calls() {
    let rig = Rig::new();
    for lisn in [6, 0xfff, 0x1004, 0x2000, 1 << 32, u64::MAX] {
        for (opcode, args) in [
            (H_INT_GET_SOURCE_INFO, vec![0, lisn]),
            (H_INT_SET_SOURCE_CONFIG, vec![0, lisn, 0, 6]),
            (H_INT_GET_SOURCE_CONFIG, vec![0, lisn]),
            (H_INT_ESB, vec![0, lisn, GET]),
            (H_INT_SYNC, vec![0, lisn]),
        ] {
            assert_eq!(rig.call(opcode, &args).0, -55, "{opcode:#x} {lisn:#x}");
        }
        if let Ok(lisn) = u32::try_from(lisn) {
            rig.xive.pulse(lisn);
            rig.xive.set_level(lisn, true);
        }
    }
    for wild in [4, 1 << 32, 1 << 63, u64::MAX] {
        assert_eq!(rig.call(H_INT_SET_SOURCE_CONFIG, &[0, 1, wild, 6]).0, -56);
        assert_eq!(rig.call(H_INT_SET_SOURCE_CONFIG, &[0, 1, 0, wild | 7]).0, -57);
        for opcode in [H_INT_GET_QUEUE_INFO, H_INT_SET_QUEUE_CONFIG, H_INT_GET_QUEUE_CONFIG] {
            assert_eq!(rig.call(opcode, &[0, wild, 6, QUEUES, 12]).0, -55);
            assert_eq!(rig.call(opcode, &[0, 0, wild | 7, QUEUES, 12]).0, -56);
        }
        for row in &calls::ROWS {
            let refused =
                if matches!(row.opcode, H_INT_SET_OS_REPORTING_LINE | H_INT_GET_OS_REPORTING_LINE) { -2 } else { -4 };
            assert_eq!(rig.call(row.opcode, &[wild | 4, 1, 6, QUEUES, 12]).0, refused, "{}", row.name);
        }
        assert_eq!(rig.call(H_INT_ESB, &[0, 1, wild | 1 << 16]).0, -56);
        assert_eq!(rig.call(H_INT_ESB, &[1, 1, wild | 4]).0, -56);
    }
    for (ra, size, status) in [
        (0x1_0000, 13, -58),
        (0x1_0000, 64, -58),
        (0x1_0000, 1 << 32 | 12, -58),
        (0x1_0800, 12, -57),
        (0x4_0000, 12, -57),
        (0, 21, -57),
        (u64::MAX << 12, 12, -57),
        (0x3_0000, 16, 0),
    ] {
        assert_eq!(rig.call(H_INT_SET_QUEUE_CONFIG, &[0, 0, 5, ra, size]).0, status, "{ra:#x} {size}");
    }
    assert_eq!(rig.call(0x7c, &[]).0, -2);
}

#[test]
fn wild_loads_and_stores() {
    let rig = Rig::new();
    let [trigger, manage] = Xive::source_pages(1);
    for (ra, size) in [
        (trigger - (1 << 17) - 1, 1),
        (Xive::source_pages(6)[0], 8),
        (Xive::source_pages(0xfff)[1], 8),
        (Xive::source_pages(0x1fff)[1], 8),
        (Xive::source_pages(0x2000 + 4 * 8)[0], 8),
        (TIMA_OS_PAGE - 1, 1),
        (TIMA_OS_PAGE - 1, 2),
        (TIMA_USER_PAGE + 0xffff, 2),
        (u64::MAX, 8),
        (0, 8),
    ] {
        assert!(!rig.xive.answers(ra, size), "{ra:#x}");
        assert_eq!(rig.xive.load(0, ra, 8), u64::MAX);
        rig.xive.store(0, ra, 8, u64::MAX);
    }
    for (ra, size, nothing) in [
        (trigger, 8, u64::MAX),
        (manage + GET, 4, u32::MAX.into()),
        (manage + GET, 1, 0xff),
        (ACKNOWLEDGE, 1, 0xff),
        (ACKNOWLEDGE, 8, u64::MAX),
        (TIMA_OS_PAGE + 0x11, 1, 0xff),
        (TIMA_OS_PAGE, 8, u64::MAX),
        (TIMA_OS_PAGE + 0x18, 8, u64::MAX),
        (TIMA_OS_PAGE + 0xc10, 4, u32::MAX.into()),
        (TIMA_USER_PAGE + 0x10, 8, u64::MAX),
    ] {
        assert!(rig.xive.answers(ra, size.into()), "{ra:#x}");
        assert_eq!(rig.xive.load(0, ra, size), nothing, "{ra:#x}");
    }
    // Of stores to the ring's registers, CPPR's are taken.
    rig.xive.store(0, TIMA_OS_PAGE + 0x10, 8, 0x1205_3456_789a_bcde);
    assert_eq!(rig.xive.load(0, TIMA_OS_PAGE + 0x10, 8), 0x0005_00ff_ff00_00ff);
    rig.xive.store(0, TIMA_OS_PAGE + 0x50, 4, 0x0003_0000);
    assert_eq!(rig.xive.load(0, TIMA_OS_PAGE + 0x10, 4), 0x0003_00ff);
    assert_eq!(rig.xive.load(0, TIMA_OS_PAGE + 0x14, 4), 0xff00_00ff);
    assert_eq!(rig.xive.load(4, TIMA_OS_PAGE + 0x10, 8), u64::MAX, "there is no such vCPU");
}

#[test]
fn resets() {
    let rig = Rig::new();
    rig.route(MESSAGE, 1);
    rig.xive.pulse(MESSAGE);
    rig.xive.set_level(LEVEL, true);
    assert_eq!(rig.call(H_INT_RESET, &[0]).0, 0);
    assert_eq!(rig.call(H_INT_GET_QUEUE_CONFIG, &[0, 1, 6]), (0, [0; 4]));
    assert_eq!(rig.call(H_INT_GET_SOURCE_CONFIG, &[0, MESSAGE.into()]), (0, [0, 0xff, MESSAGE.into(), 0]));
    assert_eq!((rig.manage(MESSAGE, GET), rig.line(1)), (2, true), "state bits and rings are not routing");
    rig.xive.reset();
    assert_eq!((rig.manage(MESSAGE, GET), rig.line(1), rig.acknowledge(1)), (1, false, 0));
    rig.set_cppr(0, 0xff);
    assert_eq!(rig.call(H_INT_SET_QUEUE_CONFIG, &[1, 0, 6, QUEUES, 12]).0, 0);
    rig.route(LEVEL, 0);
    assert_eq!(rig.manage(LEVEL, EOI), 1, "the input of a level source is the device's");
    assert!(
        rig.xive.describe().contains("source 0x1000: Level, PQ 10, asserted true, masked false, server 0, priority 6")
    );
}

proptest! {
    /// Whatever happened: once each vCPU takes and ends what its queue has, every message that was sent has come through
    /// a queue, and no line is up.
    #[test]
    fn nothing_is_lost_and_nothing_stays(
        steps in prop::collection::vec((0..7u8, 0..4usize, 0..4u32, any::<u8>()), 0..300)
    ) {
        let rig = Rig::new();
        let mut owed = [false; 4];
        let mut read = [0u64; 4];
        for number in 0..4 {
            rig.route(MESSAGE + number, 0);
        }
        let take = |vcpu: usize, owed: &mut [bool; 4], read: &mut [u64; 4]| {
            let nsr = rig.acknowledge(vcpu) >> 8;
            let mut found = 0;
            loop {
                let round = read[vcpu] / 1024;
                let entry = rig.entry(vcpu as u64, read[vcpu] % 1024);
                if u64::from(entry >> 31) == round & 1 {
                    break;
                }
                read[vcpu] += 1;
                found += 1;
                let lisn = entry & 0x7fff_ffff;
                owed[(lisn - MESSAGE) as usize] = false;
                rig.manage(lisn, EOI);
            }
            (nsr, found)
        };
        for (step, vcpu, number, byte) in steps {
            match step {
                0 | 1 => { rig.xive.pulse(MESSAGE + number); owed[number as usize] = true; }
                2 => { rig.call(H_INT_SET_SOURCE_CONFIG, &[0, (MESSAGE + number).into(), vcpu as u64, 6]); }
                3 => rig.set_cppr(vcpu, byte.into()),
                4 => rig.xive.store(vcpu, TIMA_OS_PAGE + 0x812, 1, byte.into()),
                _ => { take(vcpu, &mut owed, &mut read); }
            }
            for vcpu in 0..4 {
                let bytes = rig.xive.load(vcpu, TIMA_OS_PAGE + 0x10, 8).to_be_bytes();
                prop_assert_eq!(rig.line(vcpu), bytes[0] == 0x80);
                prop_assert_eq!(rig.line(vcpu), bytes[7] < bytes[1]);
            }
        }
        for _ in 0..16 {
            for vcpu in 0..4 {
                rig.set_cppr(vcpu, 0xff);
                take(vcpu, &mut owed, &mut read);
                rig.set_cppr(vcpu, 0xff);
            }
        }
        prop_assert_eq!(owed, [false; 4]);
        prop_assert!((0..4).all(|vcpu| !rig.line(vcpu)));
        prop_assert!((0..4).all(|number| rig.manage(MESSAGE + number, GET) == 0));
    }
}

#[test]
fn no_interrupt_is_lost_between_threads() {
    const PULSES: usize = 20_000;
    let rig = Rig::new();
    for number in 0..4 {
        rig.route(MESSAGE + number, u64::from(number % 2));
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
                        rig.xive.pulse(MESSAGE + number);
                    }
                })
            })
            .collect();
        for vcpu in 0..2 {
            let (rig, credits, sent) = (&rig, &credits, &sent);
            scope.spawn(move || {
                let mut read = 0u64;
                loop {
                    let finished = sent.load(SeqCst);
                    if rig.line(vcpu) {
                        rig.acknowledge(vcpu);
                        loop {
                            let entry = rig.entry(vcpu as u64, read % 1024);
                            if u64::from(entry >> 31) == (read / 1024) & 1 {
                                break;
                            }
                            read += 1;
                            let lisn = entry & 0x7fff_ffff;
                            // Ready again before its sender may go on.
                            rig.manage(lisn, EOI);
                            credits[(lisn - MESSAGE) as usize].fetch_add(1, SeqCst);
                        }
                        rig.set_cppr(vcpu, 0xff);
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
    assert_eq!(credits.iter().map(|count| count.load(SeqCst)).sum::<usize>(), PULSES);
    assert!(!rig.line(0) && !rig.line(1));
}
