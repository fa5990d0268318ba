//! `-d` and `-D`: what is logged, and where to. One line an event, told on the thread of the vCPU that it concerns.
//!
//! ```text
//! int vcpu=0 scv level=0 nia=00007fff9a0412d4 msr=800000000280f033 -> nia=c000000000003000 msr=8000000000009033
//! hcall vcpu=0 H_CEDE(...) = H_SUCCESS
//! ```
//!
//! What is not implemented is told once each, on standard error, whether or not `-d unimp` asks for it.

use crate::say;
use crate::values::hint;
use anyhow::{Context as _, Result, bail};
use cpu::{Delivery, Interrupt, Vector};
use isa::IsaLevel;
use platform::HcallArgs;
use platform::papr::{HcallStatus, RtasStatus};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogItems {
    /// Interrupts.
    pub int: bool,
    /// Guest code, when it is decoded.
    pub in_asm: bool,
    /// What is not implemented.
    pub unimp: bool,
    /// Hypercalls and RTAS calls.
    pub hcall: bool,
}

/// Items of QEMU's that come to nothing here.
const IGNORED: [(&str, &str); 13] = [
    ("guest_errors", "PAPR's answers are the guest's to handle"),
    ("out_asm", "compiled code is not logged; --jitdump writes it down for perf"),
    ("op", "the compiler's intermediate code is not logged"),
    ("op_opt", "the compiler's intermediate code is not logged"),
    ("op_ind", "the compiler's intermediate code is not logged"),
    ("nochain", "jumps from one piece of code to the next are always linked"),
    ("exec", "in_asm shows code when it is decoded"),
    ("cpu", "registers are not logged"),
    ("fpu", "registers are not logged"),
    ("vpu", "registers are not logged"),
    ("mmu", "translations are not logged"),
    ("cpu_reset", "resets are not logged"),
    ("page", "it concerns programs without a machine"),
];

const HELP: [(&str, &str); 4] = [
    ("int", "interrupts: kind, and NIA and MSR before and after"),
    ("in_asm", "guest code, when it is decoded"),
    ("unimp", "what is not implemented, once each (told on standard error in any case)"),
    ("hcall", "hypercalls and RTAS calls with arguments and results"),
];

impl LogItems {
    /// Takes `item[,item..]` in; gives back what comes to nothing, and why.
    ///
    /// # Errors
    /// For an item that is not known.
    pub fn add(&mut self, text: &str) -> Result<Vec<(String, &'static str)>> {
        let mut ignored = Vec::new();
        for item in text.split(',') {
            match item {
                "int" => self.int = true,
                "in_asm" => self.in_asm = true,
                "unimp" => self.unimp = true,
                "hcall" => self.hcall = true,
                _ => match IGNORED.iter().find(|(name, _)| *name == item) {
                    Some((_, why)) => ignored.push((item.to_string(), *why)),
                    None => bail!(
                        "unknown item '{item}'{}; known are int, in_asm, unimp, hcall (-d help)",
                        hint(item, HELP.iter().map(|(name, _)| *name))
                    ),
                },
            }
        }
        Ok(ignored)
    }

    /// Whether anything is logged.
    pub fn any(self) -> bool {
        self != LogItems::default()
    }

    /// The text of `-d help`.
    pub fn help() -> String {
        let mut text = String::from("Log items, separated by commas:\n");
        for (name, what) in HELP {
            let _ = writeln!(text, "  {name:<8} {what}");
        }
        text
    }
}

/// The log.
pub struct Log {
    items: LogItems,
    level: IsaLevel,
    sink: Mutex<Box<dyn Write + Send>>,
    told: Mutex<BTreeSet<String>>,
}

/// How many different unimplemented things are told of; a guest can think of any number.
const TOLD_MAX: usize = 1000;

impl Log {
    /// A log of `items` to a new file at `path`, or to standard error. `level` is the processor's, for `in_asm`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn open(items: LogItems, path: Option<&Path>, level: IsaLevel) -> Result<Log> {
        let sink: Box<dyn Write + Send> = match path {
            Some(path) if items.any() => {
                let file = File::create(path).with_context(|| format!("-D {}", path.display()))?;
                Box::new(BufWriter::with_capacity(1 << 16, file))
            }
            _ => Box::new(std::io::stderr()),
        };
        Ok(Log { items, level, sink: Mutex::new(sink), told: Mutex::default() })
    }

    /// Everything that was logged is where it belongs.
    pub fn flush(&self) {
        // A log that cannot be written must not end the guest; it was opened, so this is a full disk.
        let _ = self.sink.lock().unwrap_or_else(PoisonError::into_inner).flush();
    }

    fn line(&self, line: &str) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = sink.write_all(line.as_bytes()).and_then(|()| sink.write_all(b"\n"));
    }

    fn tell_once(&self, what: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD_MAX && told.insert(what.into()) {
            drop(told);
            say::warning(&format!("unimplemented {what}"));
            if self.items.unimp {
                self.line(&format!("unimp {what}"));
            }
        }
    }
}

impl vcpu::Observer for Log {
    fn interrupt(&self, vcpu: usize, interrupt: &Interrupt, old_msr: u64, delivery: &Delivery) {
        if !self.items.int {
            return;
        }
        let mut line = format!("int vcpu={vcpu} {}", interrupt.vector.name());
        // Writing to a string cannot fail.
        if interrupt.vector == Vector::SystemCallVectored {
            let _ = write!(line, " level={}", interrupt.level);
        }
        let _ = write!(line, " nia={:016x} msr={old_msr:016x}", interrupt.return_address);
        if interrupt.srr1 != 0 {
            let _ = write!(line, " cause={:08x}", interrupt.srr1);
        }
        if let Some(dar) = interrupt.dar {
            let _ = write!(line, " dar={dar:016x}");
        }
        if let Some(dsisr) = interrupt.dsisr {
            let _ = write!(line, " dsisr={dsisr:08x}");
        }
        if let Some(ic) = interrupt.fscr_ic {
            let _ = write!(line, " ic={ic}");
        }
        let _ = write!(line, " -> nia={:016x} msr={:016x}", delivery.nia, delivery.msr);
        self.line(&line);
    }

    fn wants_interrupts(&self) -> bool {
        self.items.int
    }

    fn unimplemented_instruction(&self, mnemonic: &str, word: u64, cia: u64) {
        // Once a mnemonic, not once a place: `told` is asked for the former.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD_MAX && told.insert(format!("instruction {mnemonic}")) {
            drop(told);
            let what = format!("{mnemonic} at {cia:#x} (word {word:#010x})");
            say::warning(&format!("unimplemented {what}"));
            if self.items.unimp {
                self.line(&format!("unimp {what}"));
            }
        }
    }

    fn unimplemented_spr(&self, number: u32, write: bool, _cia: u64) {
        self.tell_once(&format!("{} SPR {number}: a no-op", if write { "write of" } else { "read of" }));
    }

    fn wants_blocks(&self) -> bool {
        self.items.in_asm
    }

    fn block(&self, ea: u64, real: u64, words: &[u64]) {
        let mut text = format!("in_asm ea={ea:016x} real={real:016x}");
        let mut at = ea;
        for &word in words {
            let insn = isa::decode(word, self.level);
            let name = insn.map_or_else(|| "(illegal)".to_string(), |insn| isa::disassemble(insn, at));
            let prefixed = word >> 32 != 0;
            let raw = if prefixed { format!("{:08x} {:08x}", word >> 32, word as u32) } else { format!("{word:08x}") };
            let _ = write!(text, "\n  {at:016x}: {raw}  {name}");
            at = at.wrapping_add(if prefixed { 8 } else { 4 });
        }
        self.line(&text);
    }
}

impl hypervisor::Observer for Log {
    fn hcall(&self, vcpu: usize, opcode: u64, name: Option<&'static str>, args: &HcallArgs, status: HcallStatus) {
        if self.items.hcall {
            let name = name.map_or_else(|| format!("{opcode:#x}"), str::to_string);
            let args: Vec<String> = args[..4].iter().map(|arg| format!("{arg:#x}")).collect();
            self.line(&format!("hcall vcpu={vcpu} {name}({}) = {status}", args.join(", ")));
        }
    }

    fn rtas(&self, vcpu: usize, name: &'static str, args: &[u32], status: RtasStatus, results: &[u32]) {
        if self.items.hcall {
            let words = |words: &[u32]| words.iter().map(|word| format!("{word:#x}")).collect::<Vec<_>>().join(", ");
            self.line(&format!("rtas vcpu={vcpu} {name}({}) = {} [{}]", words(args), status.0, words(results)));
        }
    }

    fn unimplemented(&self, what: &str) {
        self.tell_once(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A sink that can be looked into.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn log(text: &str) -> (Log, Shared) {
        let mut items = LogItems::default();
        assert!(items.add(text).unwrap().is_empty());
        let sink = Shared::default();
        let boxed: Box<dyn Write + Send> = Box::new(sink.clone());
        (Log { items, level: IsaLevel::V3_1, sink: Mutex::new(boxed), told: Mutex::default() }, sink)
    }

    fn text(sink: &Shared) -> String {
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_interrupt_is_one_line() {
        use vcpu::Observer as _;
        let (log, sink) = log("int");
        let interrupt = Interrupt { level: 5, ..Interrupt::new(Vector::SystemCallVectored, 0x1004) };
        let old_msr = 0x8000_0000_0000_f033;
        log.interrupt(
            2,
            &interrupt,
            old_msr,
            &cpu::interrupt::deliver(&cpu::model::POWER9, 3 << 23, old_msr, &interrupt),
        );
        assert_eq!(
            text(&sink),
            "int vcpu=2 scv level=5 nia=0000000000001004 msr=800000000000f033 -> nia=c0000000000030a0 msr=8000000000009032\n"
        );
        let (quiet, sink) = self::log("hcall");
        quiet.interrupt(2, &interrupt, 0, &cpu::interrupt::deliver(&cpu::model::POWER9, 0, 0, &interrupt));
        assert_eq!(text(&sink), "");
    }

    #[test]
    fn calls_and_code() {
        use hypervisor::Observer as _;
        use vcpu::Observer as _;
        let (log, sink) = log("hcall,in_asm,unimp");
        log.hcall(1, 0xe0, Some("H_CEDE"), &[1, 2, 3, 4, 5, 6, 7, 8, 9], HcallStatus::H_SUCCESS);
        log.hcall(1, 0x5678, None, &[0; 9], HcallStatus::H_FUNCTION);
        log.rtas(0, "start-cpu", &[1, 0x100], RtasStatus(0), &[]);
        assert!(log.wants_blocks());
        log.block(0x1000, 0x2000, &[0x6000_0000, 0]);
        log.unimplemented("hypercall 0x5678");
        log.unimplemented("hypercall 0x5678");
        log.unimplemented_instruction("doze", 0x4c00_0324, 0x10);
        log.unimplemented_instruction("doze", 0x4c00_0324, 0x20);
        log.unimplemented_spr(1234, true, 0x10);
        let text = text(&sink);
        for line in [
            "hcall vcpu=1 H_CEDE(0x1, 0x2, 0x3, 0x4) = H_SUCCESS",
            "hcall vcpu=1 0x5678(0x0, 0x0, 0x0, 0x0) = H_FUNCTION",
            "rtas vcpu=0 start-cpu(0x1, 0x100) = 0 []",
            "in_asm ea=0000000000001000 real=0000000000002000",
            "  0000000000001004: 00000000  (illegal)",
            "unimp write of SPR 1234: a no-op",
        ] {
            assert_eq!(text.lines().filter(|known| *known == line).count(), 1, "{line} in\n{text}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("unimp ")).count(), 3, "{text}");
    }

    #[test]
    fn items_of_qemu() {
        let mut items = LogItems::default();
        assert_eq!(items.add("int,guest_errors,exec").unwrap().len(), 2);
        assert!(items.int && !items.hcall);
        assert!(items.add("").is_err() && items.add("int,").is_err());
    }
}
