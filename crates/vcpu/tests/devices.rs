//! Accesses to registers of devices, by real address.

use cpu::bits::{dsisr, msr};
use cpu::model::POWER9;
use cpu::{Interrupt, Vector};
use memory::Memory;
use memory::radix::Access;
use platform::Mmio;
use std::sync::{Arc, Mutex};
use timing::Clock;
use vcpu::{Exit, NOT_ALONE, Silent, Stop, Vcpu};

/// Where devices are.
const DEVICES: u64 = 0x0006_0000_0000_0000;

/// An access: vCPU, real address, size, what was stored.
type Done = (usize, u64, u32, Option<u64>);

/// A page of a device that says what was done.
#[derive(Default)]
struct Page(Mutex<Vec<Done>>);

impl Mmio for Page {
    fn answers(&self, ra: u64, size: u64) -> bool {
        (DEVICES..DEVICES + 0x1000).contains(&ra) && ra + size <= DEVICES + 0x1000
    }

    fn load(&self, vcpu: usize, ra: u64, size: u32) -> u64 {
        self.0.lock().unwrap().push((vcpu, ra, size, None));
        0x1122_3344_5566_7788 >> (64 - 8 * size)
    }

    fn store(&self, vcpu: usize, ra: u64, size: u32, value: u64) {
        self.0.lock().unwrap().push((vcpu, ra, size, Some(value)));
    }
}

fn vcpu(clock: Clock, bits: u64) -> (Vcpu, Arc<Page>) {
    let memory = Memory::new(1 << 20, 1).unwrap();
    let mut v = Vcpu::new(0, &POWER9, Arc::new(memory), Arc::new(clock), Arc::new(Silent));
    let page = Arc::new(Page::default());
    v.mmio = Some(page.clone());
    v.set_msr(msr::SF | bits);
    v.cia = 0x1000;
    (v, page)
}

fn done(page: &Page) -> Vec<Done> {
    std::mem::take(&mut page.0.lock().unwrap())
}

#[test]
fn each_size_in_each_byte_order() {
    for (bits, values) in [
        (0, [0x11, 0x1122, 0x1122_3344, 0x1122_3344_5566_7788]),
        (msr::LE, [0x11, 0x2211, 0x4433_2211, 0x8877_6655_4433_2211]),
    ] {
        let (mut v, page) = vcpu(Clock::real(None), bits);
        for (size, value) in [1, 2, 4, 8].into_iter().zip(values) {
            let ea = DEVICES + 0x40;
            assert_eq!(v.load(ea, size), Ok(value));
            assert_eq!(v.store(ea, size, value), Ok(()));
            let high = 0x1122_3344_5566_7788 >> (64 - 8 * size);
            assert_eq!(done(&page), [(0, ea, size, None), (0, ea, size, Some(high))]);
            // Generated code makes its access in the bounce buffer.
            v.translated.bounce[0] = u64::from_le_bytes(high.to_be_bytes()) >> (64 - 8 * size);
            let place = v.slow_access(ea, size, true).unwrap();
            assert_eq!(place, v.translated.bounce.as_mut_ptr().cast());
            assert_eq!(done(&page), [(0, ea, size, Some(high))]);
            v.translated.bounce = [0; 2];
            assert_eq!(v.slow_access(ea, size, false), Ok(place));
            assert_eq!(v.translated.bounce[0], u64::from_le_bytes(high.to_be_bytes()) >> (64 - 8 * size));
            assert_eq!(done(&page), [(0, ea, size, None)]);
        }
    }
}

#[test]
fn what_devices_do_not_take() {
    let (mut v, page) = vcpu(Clock::real(None), 0);
    let mut raised = |what: &dyn Fn(&mut Vcpu) -> bool| -> Interrupt {
        assert!(what(&mut v), "expected an interrupt");
        match v.exit {
            Exit::Interrupt(interrupt) => interrupt,
            other => panic!("{other:?}"),
        }
    };
    let at = DEVICES + 0x80;
    for interrupt in [
        raised(&|v| v.load(at + 1, 2).is_err()),
        raised(&|v| v.store(at + 4, 8, 0).is_err()),
        raised(&|v| v.load_quad(at).is_err()),
        raised(&|v| v.store_quad(at, 0).is_err()),
        raised(&|v| v.zero_block(at, 128).is_err()),
        raised(&|v| v.read_guest(at, &mut [0; 3]).is_err()),
    ] {
        assert_eq!(interrupt.vector, Vector::Alignment);
    }
    for (interrupt, cause) in [
        (raised(&|v| v.load_and_reserve(at, 8).is_err()), dsisr::NOT_CACHED),
        (raised(&|v| v.store_conditional(at, 4, 0).is_err()), dsisr::NOT_CACHED | dsisr::STORE),
        (raised(&|v| v.atomic_update(at, 8, |value| value + 1).is_err()), dsisr::NOT_CACHED | dsisr::STORE),
    ] {
        assert_eq!((interrupt.vector, interrupt.dar, interrupt.dsisr), (Vector::DataStorage, Some(at), Some(cause)));
    }
    // Nobody answers there.
    for ea in [DEVICES - 8, DEVICES + 0x1000] {
        assert_eq!(raised(&|v| v.load(ea, 8).is_err()).vector, Vector::MachineCheck);
        assert_eq!(raised(&|v| v.probe(ea, 8, Access::Store).is_err()).vector, Vector::MachineCheck);
    }
    assert_eq!(v.probe(at, 8, Access::Store), Ok(()));
    assert_eq!(done(&page), []);
}

#[test]
fn alone_under_the_virtual_clock() {
    let (mut v, page) = vcpu(Clock::virtual_time(0), 0);
    for _ in 0..2 {
        assert_eq!(v.store(DEVICES, 8, 7), Err(Stop));
        assert_eq!((v.exit, v.alone_at), (Exit::Alone, 0x1000));
        assert_eq!(done(&page), []);
        // As the interpreter runs it: the same instruction again, until it is retired.
        assert_eq!(v.store(DEVICES, 8, 7), Ok(()));
        assert_eq!(v.store(DEVICES + 8, 8, 8), Ok(()));
        assert_eq!(done(&page), [(0, DEVICES, 8, Some(7)), (0, DEVICES + 8, 8, Some(8))]);
        v.alone_at = NOT_ALONE;
    }
    assert_eq!(v.load(DEVICES, 8), Err(Stop));
    v.cia = 0x1004;
    assert_eq!(v.load(DEVICES, 8), Err(Stop), "that was another instruction");
}
