//! Virtual I/O: the terminals of a partition (`/vdevice/vty@..`), and the calls that name devices by their `reg`.

use crate::lock;
use platform::papr::{HcallStatus, RtasStatus, opcode::*, token::DISPLAY_CHARACTER};
use platform::{Console, Hcall, HcallArgs, HcallContext, InterruptController, PaprDevice, RtasCall, RtasFunction};
use snapshot::{FieldError, Io, Section, SectionId};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// `reg` of the first terminal; the following ones count up.
pub const VTY_REG_BASE: u32 = 0x7100_0000;

/// Characters in one `H_GET_TERM_CHAR` or `H_PUT_TERM_CHAR`.
const CHARACTERS_MAX: usize = 16;

/// A terminal.
pub struct Vty {
    reg: u32,
    xisr: u32,
    console: Arc<dyn Console>,
    /// Output that the guest was rid of, and the console had no room for.
    unsent: Mutex<Vec<u8>>,
    /// Whether input causes an interrupt (`H_VIO_SIGNAL`).
    signals: Arc<AtomicBool>,
    interrupts: Arc<dyn InterruptController>,
}

impl Vty {
    /// The terminal with `reg`, which announces input by a pulse of source `xisr`.
    pub fn new(reg: u32, xisr: u32, console: Arc<dyn Console>, interrupts: Arc<dyn InterruptController>) -> Vty {
        let signals = Arc::new(AtomicBool::new(true));
        let vty = Vty { reg, xisr, console, unsent: Mutex::default(), signals, interrupts };
        vty.listen();
        vty
    }

    /// Waits for input; what waits already is announced at once.
    fn listen(&self) {
        let (signals, interrupts, xisr) = (self.signals.clone(), self.interrupts.clone(), self.xisr);
        self.console.set_input_notifier(Arc::new(move || {
            if signals.load(SeqCst) {
                interrupts.pulse(xisr);
            }
        }));
    }

    /// Number of the device (`reg`).
    pub fn reg(&self) -> u32 {
        self.reg
    }

    /// Its interrupt source.
    pub fn xisr(&self) -> u32 {
        self.xisr
    }

    /// Input that waits: fills `buffer` as far as there is any, and says how far.
    pub fn get(&self, buffer: &mut [u8]) -> usize {
        self.console.read(buffer)
    }

    /// Takes all of `characters`, or nothing: then the guest tries again.
    pub fn put(&self, characters: &[u8]) -> bool {
        let mut unsent = lock(&self.unsent);
        if !unsent.is_empty() {
            let taken = self.console.write(&unsent).min(unsent.len());
            unsent.drain(..taken);
            if !unsent.is_empty() {
                return false;
            }
        }
        let taken = self.console.write(characters).min(characters.len());
        if taken == 0 && !characters.is_empty() {
            return false;
        }
        unsent.extend(&characters[taken..]);
        true
    }
}

/// The terminals of a partition.
pub struct VioBus {
    vtys: Vec<Vty>,
}

impl VioBus {
    /// A bus with these terminals; the first is the one that RTAS `display-character` writes to.
    pub fn new(vtys: Vec<Vty>) -> VioBus {
        VioBus { vtys }
    }

    /// The terminals, for the device tree.
    pub fn vtys(&self) -> &[Vty] {
        &self.vtys
    }

    /// The terminal with `reg`. Number 0 means the first: old kernels ask so.
    fn vty(&self, reg: u64) -> Option<&Vty> {
        if reg == 0 { self.vtys.first() } else { self.vtys.iter().find(|vty| u64::from(vty.reg) == reg) }
    }
}

/// Rows of the hypercall table.
const HCALLS: [Hcall; 3] = [
    Hcall { opcode: H_GET_TERM_CHAR, name: "H_GET_TERM_CHAR", hypertas: Some("hcall-term") },
    Hcall { opcode: H_PUT_TERM_CHAR, name: "H_PUT_TERM_CHAR", hypertas: Some("hcall-term") },
    Hcall { opcode: H_VIO_SIGNAL, name: "H_VIO_SIGNAL", hypertas: Some("hcall-vio") },
];

/// Output that waits for a console, in bytes: far more than a call leaves.
const UNSENT_BYTES_MAX: u64 = 4096;

impl Section for VioBus {
    fn id(&self) -> SectionId {
        SectionId::new("vty")
    }

    /// Input that the guest has not taken is the console's, and stays there.
    fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let VioBus { vtys } = self;
        io.fixed("the number of terminals", vtys.len() as u64)?;
        for vty in vtys {
            let Vty { reg, xisr, console: _, unsent, signals, interrupts: _ } = vty;
            io.fixed("the number of a terminal", (*reg).into())?;
            io.fixed("the source of a terminal", (*xisr).into())?;
            let mut on = signals.load(SeqCst);
            io.bool("signals of a terminal", &mut on)?;
            signals.store(on, SeqCst);
            io.list("output of a terminal", &mut lock(unsent), UNSENT_BYTES_MAX, |io, byte| io.u8("a byte", byte))?;
            if io.is_load() {
                vty.listen();
            }
        }
        Ok(())
    }
}

impl PaprDevice for VioBus {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![self]
    }

    fn hcalls(&self) -> &[Hcall] {
        &HCALLS
    }

    fn hcall(&self, opcode: u64, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
        let Some(vty) = self.vty(args[0]) else { return HcallStatus::H_PARAMETER };
        match opcode {
            H_GET_TERM_CHAR => {
                let mut characters = [0; CHARACTERS_MAX];
                let count = vty.get(&mut characters);
                // The first character is the most significant byte of the first register, whatever MSR[LE] says.
                let registers = u128::from_be_bytes(characters);
                context.vcpu.set_gpr(4, count as u64);
                context.vcpu.set_gpr(5, (registers >> 64) as u64);
                context.vcpu.set_gpr(6, registers as u64);
            }
            H_PUT_TERM_CHAR => {
                if args[1] > CHARACTERS_MAX as u64 {
                    return HcallStatus::H_PARAMETER;
                }
                let characters = (u128::from(args[2]) << 64 | u128::from(args[3])).to_be_bytes();
                if !vty.put(&characters[..args[1] as usize]) {
                    return HcallStatus::H_BUSY;
                }
            }
            H_VIO_SIGNAL => match args[1] {
                0 => vty.signals.store(false, SeqCst),
                1 => {
                    vty.signals.store(true, SeqCst);
                    // Input may have come while signals were off: one pulse too many does no harm.
                    vty.interrupts.pulse(vty.xisr);
                }
                _ => return HcallStatus::H_PARAMETER,
            },
            _ => return HcallStatus::H_FUNCTION,
        }
        HcallStatus::H_SUCCESS
    }

    fn rtas_functions(&self) -> &[RtasFunction] {
        const RTAS: [RtasFunction; 1] = [RtasFunction::new(DISPLAY_CHARACTER, "display-character", 1, 1)];
        &RTAS
    }

    fn rtas(&self, _: u32, _: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
        match self.vtys.first() {
            None => RtasStatus::HARDWARE_ERROR,
            Some(vty) if vty.put(&[call.args[0] as u8]) => RtasStatus::SUCCESS,
            Some(_) => RtasStatus::BUSY,
        }
    }

    fn reset(&self) {
        for vty in &self.vtys {
            vty.signals.store(true, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::{MockConsole, MockWorld};

    #[derive(Default)]
    struct Pulses(Mutex<Vec<u32>>);

    impl InterruptController for Pulses {
        fn set_level(&self, _: u32, _: bool) {}
        fn pulse(&self, xisr: u32) {
            lock(&self.0).push(xisr);
        }
    }

    fn rig() -> (Arc<MockConsole>, Arc<Pulses>, VioBus) {
        let (console, pulses) = (Arc::new(MockConsole::default()), Arc::new(Pulses::default()));
        let second = Vty::new(VTY_REG_BASE + 1, 0x1101, Arc::new(MockConsole::default()), pulses.clone());
        let first = Vty::new(VTY_REG_BASE, 0x1100, console.clone(), pulses.clone());
        (console, pulses, VioBus::new(vec![first, second]))
    }

    fn call(bus: &VioBus, opcode: u64, args: &[u64]) -> (i64, [u64; 3]) {
        let world = MockWorld::new(1, 16);
        let mut vcpu = world.partition.vcpu(0);
        let mut all = [0; 9];
        all[..args.len()].copy_from_slice(args);
        let status = bus.hcall(opcode, &mut world.context(&mut vcpu), &all);
        (status.0, [vcpu.gpr[4], vcpu.gpr[5], vcpu.gpr[6]])
    }

    const REG: u64 = VTY_REG_BASE as u64;

    #[test]
    fn characters_come_and_go_in_order() {
        let (console, pulses, bus) = rig();
        let text = u128::from_be_bytes(*b"hello, world! 12");
        let registers = [(text >> 64) as u64, text as u64];
        assert_eq!(call(&bus, H_PUT_TERM_CHAR, &[REG, 16, registers[0], registers[1]]).0, 0);
        assert_eq!(call(&bus, H_PUT_TERM_CHAR, &[0, 3, registers[0], 0]).0, 0);
        assert_eq!(call(&bus, H_PUT_TERM_CHAR, &[REG, 0, 0, 0]).0, 0);
        assert_eq!(console.take_output(), b"hello, world! 12hel");
        console.type_in(b"0123456789abcdefg");
        assert_eq!(*lock(&pulses.0), [0x1100]);
        let expect = [16, u64::from_be_bytes(*b"01234567"), u64::from_be_bytes(*b"89abcdef")];
        assert_eq!(call(&bus, H_GET_TERM_CHAR, &[REG]), (0, expect));
        assert_eq!(call(&bus, H_GET_TERM_CHAR, &[REG]), (0, [1, u64::from(b'g') << 56, 0]));
        assert_eq!(call(&bus, H_GET_TERM_CHAR, &[REG]), (0, [0, 0, 0]));
    }

    #[test]
    fn a_full_console_makes_the_guest_wait() {
        let (console, _, bus) = rig();
        console.full.store(true, SeqCst);
        let world = MockWorld::new(1, 16);
        let mut vcpu = world.partition.vcpu(0);
        let mut display = |character| {
            let mut call = RtasCall { args: &[character], results: &mut [] };
            bus.rtas(DISPLAY_CHARACTER, &mut world.context(&mut vcpu), &mut call).0
        };
        assert_eq!(call(&bus, H_PUT_TERM_CHAR, &[REG, 1, b'x'.into(), 0]).0, 1);
        assert_eq!(display(b'x'.into()), -2);
        console.full.store(false, SeqCst);
        assert_eq!(display(0x1_0000 | u32::from(b'y')), 0);
        assert_eq!(console.take_output(), b"y");
    }

    #[test]
    fn output_that_was_taken_in_part_is_not_lost() {
        struct Narrow(Mutex<Vec<u8>>);
        impl Console for Narrow {
            fn read(&self, _: &mut [u8]) -> usize {
                0
            }
            fn write(&self, data: &[u8]) -> usize {
                let taken = data.len().min(3);
                lock(&self.0).extend(&data[..taken]);
                taken
            }
            fn set_input_notifier(&self, _: platform::InputNotifier) {}
        }
        let console = Arc::new(Narrow(Mutex::default()));
        let bus = VioBus::new(vec![Vty::new(VTY_REG_BASE, 0x1100, console.clone(), Arc::new(Pulses::default()))]);
        let text: Vec<u8> = (b'a'..=b'p').collect();
        let characters = u128::from_be_bytes(text.clone().try_into().unwrap());
        let put = || call(&bus, H_PUT_TERM_CHAR, &[REG, 16, (characters >> 64) as u64, characters as u64]).0;
        assert_eq!(put(), 0);
        let mut tries = 0;
        while put() == 1 {
            tries += 1;
            assert!(tries < 10);
        }
        while call(&bus, H_PUT_TERM_CHAR, &[REG, 0, 0, 0]).0 == 1 {}
        assert_eq!(*lock(&console.0), [text.clone(), text].concat());
    }

    #[test]
    fn signals_and_wild_arguments() {
        let (console, pulses, bus) = rig();
        assert_eq!(call(&bus, H_VIO_SIGNAL, &[REG, 0]).0, 0);
        console.type_in(b"x");
        assert!(lock(&pulses.0).is_empty());
        assert_eq!(call(&bus, H_VIO_SIGNAL, &[REG, 1]).0, 0);
        assert_eq!(*lock(&pulses.0), [0x1100]);
        assert_eq!(call(&bus, H_VIO_SIGNAL, &[REG, 2]).0, -4);
        assert_eq!(call(&bus, H_PUT_TERM_CHAR, &[REG, 17, 0, 0]).0, -4);
        assert_eq!(call(&bus, H_PUT_TERM_CHAR, &[REG, u64::MAX, 0, 0]).0, -4);
        for reg in [1, REG + 2, REG | 1 << 32, u64::MAX] {
            for opcode in [H_GET_TERM_CHAR, H_PUT_TERM_CHAR, H_VIO_SIGNAL] {
                assert_eq!(call(&bus, opcode, &[reg, 1]).0, -4);
            }
        }
        let empty = VioBus::new(vec![]);
        assert_eq!(call(&empty, H_GET_TERM_CHAR, &[0]).0, -4);
    }
}
