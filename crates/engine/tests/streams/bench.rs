//! A machine for streams: a few pages of memory behind radix tables, handlers that step over what failed.

use super::generate::{BUFFER, CODE, PAGES, Stream, TRANSLATED};
use cpu::bits::{fscr, lpcr};
use cpu::{CpuModel, Delivery, Interrupt, State};
use engine::{Engine, EngineExit};
use jit::store::{Options, Translator, TranslatorStats};
use memory::Memory;
use memory::mail::pending;
use std::fmt::Write;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use timing::Clock;
use vcpu::{Observer, Vcpu};

const RAM: u64 = 0x40_0000;
const TABLES: u64 = 0x30_0000;
/// Quadrant 3.
pub const KERNEL: u64 = 0xC000_0000_0000_0000;

/// Notes the interrupts that were taken, if it is to.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<(u64, u64)>>, bool);

impl Observer for Log {
    fn wants_interrupts(&self) -> bool {
        self.1
    }

    fn interrupt(&self, _: usize, _: &Interrupt, from: u64, d: &Delivery) {
        // Who is not asked for it may call all the same.
        if self.1
            && let Ok(mut log) = self.0.lock()
        {
            log.push((from, d.nia));
        }
    }
}

/// Who executes.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// The interpreter alone.
    Interpreter,
    /// Translations of what ran this often.
    Translator(u32),
}

/// One machine.
pub struct Bench {
    engine: Engine,
    memory: Arc<Memory>,
    log: Arc<Log>,
    translator: Option<Arc<Translator>>,
    exact: bool,
}

/// What is compared.
#[derive(Clone, PartialEq)]
pub struct Outcome {
    pub exit: EngineExit,
    pub retired: u64,
    pub state: State,
    pub reservation: bool,
    /// How many were taken.
    pub taken: u64,
    /// MSR before, and handler of each, if they were listened to.
    pub interrupts: Vec<(u64, u64)>,
    pub memory: Vec<u8>,
}

impl Bench {
    /// A machine of a model whose vCPU counts exactly (virtual clock) or not. Nobody listens to interrupts of a `silent`
    /// one: translated code takes them itself.
    pub fn new(model: &'static CpuModel, exact: bool, silent: bool, how: How) -> Bench {
        let memory = Arc::new(Memory::new(RAM, 1).expect("the host has memory"));
        let clock = Arc::new(if exact { Clock::virtual_time(0) } else { Clock::real(Some(0)) });
        let log = Arc::new(Log(Mutex::default(), !silent));
        let mut v = Vcpu::new(0, model, memory.clone(), clock, log.clone());
        memory.hub().mailbox(0).set_quiet(false);
        let radix = v.state.lpcr | lpcr::HR | lpcr::UPRT | lpcr::GTSE;
        v.process_table = memory::radix::ProcessTable { base: TABLES, size_bytes: 0x1000 };
        v.set_lpcr(radix);
        v.set_pid(1);
        let (engine, translator) = match how {
            How::Interpreter => (Engine::new(v), None),
            How::Translator(threshold) => {
                let options = Options { background: false, cache_bytes: 16 << 20, ..Options::default() };
                let t = Arc::new(Translator::new(&options).expect("the host can translate"));
                (Engine::with_translator(v, t.clone(), threshold), Some(t))
            }
        };
        let bench = Bench { engine, memory, log, translator, exact };
        bench.radix();
        bench
    }

    /// Code and data pages one to one, except that data pages stand in reverse order; holes around the data, one page of
    /// it read-only. The same in quadrants 0 and 3.
    fn radix(&self) {
        const VALID: u64 = 1 << 63;
        const LEAF: u64 = 1 << 62;
        let put = |at: u64, v: u64| self.memory.write(at, &v.to_be_bytes()).expect("inside of RAM");
        let root = |r: u64| 0x4000_0000_0000_0000 | 0xA0 | r | 13;
        put(TABLES, root(TABLES + 0x1_0000));
        put(TABLES + 16, root(TABLES + 0x2_0000));
        for (at, next, privileged) in [(0x1_0000, 0x3_0000, 8), (0x2_0000, 0x4_0000, 0)] {
            put(TABLES + at, VALID | (TABLES + next) | 9);
            put(TABLES + next, VALID | (TABLES + next + 0x1000) | 9);
            put(TABLES + next + 0x1000, VALID | (TABLES + next + 0x2000) | 9);
            let map = |page: u64, real: u64, rights: u64| {
                // Referenced and changed.
                put(TABLES + next + 0x2000 + page * 8, VALID | LEAF | real << 12 | 0x180 | rights | privileged);
            };
            // Where handlers stand with AIL = 3 and 2, too.
            for page in [CODE >> 12, (CODE >> 12) + 1, 3, 4, 5, 0x17, 0x18, 0x19] {
                map(page, page, 5);
            }
            for page in 0..PAGES {
                let rights = if page == PAGES - 1 { 4 } else { 6 };
                map((BUFFER >> 12) + page, (BUFFER >> 12) + PAGES - 1 - page, rights);
            }
        }
    }

    /// Puts a stream into memory.
    pub fn put(&mut self, s: &Stream) {
        let order = |w: u32| if s.little { w.to_le_bytes() } else { w.to_be_bytes() };
        let write = |at: u64, words: &[u32]| {
            let bytes: Vec<u8> = words.iter().flat_map(|w| order(*w)).collect();
            self.memory.write(at, &bytes).expect("inside of RAM");
        };
        let assembled = |lines: &[&str]| -> Vec<u32> {
            lines.iter().map(|l| isa::assemble(l).unwrap_or_else(|e| panic!("{l}: {e}")) as u32).collect()
        };
        // r0 is kept in SPRG1.
        let skip = assembled(&["mtspr 273,r0", "mfspr r0,26", "addi r0,r0,4", "mtspr 26,r0", "mfspr r0,273", "rfid"]);
        let stop = assembled(&["sc 1"]);
        let again = assembled(&["mtspr 273,r0", "addi r0,0,150", "mtspr 22,r0", "mfspr r0,273", "rfid"]);
        let back = assembled(&["rfscv"]);
        for n in 0..128 {
            write(0x1_7000 + 0x20 * n, &back);
            write(0x3000 + 0x20 * n, &back);
        }
        for vector in (0x100..0x1800).step_by(0x100).chain([0xF20, 0xF40, 0xF60, 0xF80]) {
            // Fetches that fail would fail for ever.
            let ends = matches!(vector, 0x400 | 0x480);
            if vector % 0x100 == 0 && vector != 0xF00 || vector > 0xF00 && vector < 0x1000 {
                let handler = match vector {
                    _ if ends => &stop,
                    0x900 => &again,
                    _ => &skip,
                };
                for base in [0, 0x4000, 0x1_8000] {
                    write(base + vector, handler);
                }
            }
        }
        let mut words = s.words.clone();
        words.extend(&stop);
        write(CODE + s.offset, &words);
    }

    /// The registers and the memory of a stream before it runs.
    pub fn start(&mut self, s: &Stream) {
        self.memory.write(BUFFER, &s.data).expect("inside of RAM");
        let v = self.engine.vcpu();
        v.state = State { lpcr: v.state.lpcr, pir: v.state.pir, ..s.state.clone() };
        let l = v.state.lpcr & !(lpcr::ILE | 3 << lpcr::AIL_SHIFT) | if s.little { lpcr::ILE } else { 0 };
        let l = l | s.ail << lpcr::AIL_SHIFT;
        v.state.spr.pid = 1;
        v.state.spr.fscr = fscr::TAR | fscr::EBB | fscr::DSCR | fscr::PREFIX | fscr::SCV;
        v.reservation = Default::default();
        v.set_lpcr(l);
        v.set_decrementer(s.decrementer);
        v.set_msr(s.state.msr);
        if let Ok(mut log) = self.log.0.lock() {
            log.clear();
        }
    }

    /// Runs, at most `most` instructions.
    pub fn run(&mut self, most: u64) -> Outcome {
        let before = (self.engine.retired(), self.engine.stats().interrupts);
        let exit = if self.counts() { self.engine.run(most) } else { self.run_guarded(most) };
        let mut memory = vec![0; ((PAGES + 1) << 12) as usize];
        self.memory.read(BUFFER, &mut memory[..(PAGES << 12) as usize]).expect("inside of RAM");
        self.memory.read(0, &mut memory[(PAGES << 12) as usize..]).expect("inside of RAM");
        let v = self.engine.vcpu();
        let (state, reservation) = (v.state.clone(), v.reservation.held);
        let interrupts = self.log.0.lock().map(|l| l.clone()).unwrap_or_default();
        Outcome {
            exit,
            retired: self.engine.retired() - before.0,
            state,
            reservation,
            taken: self.engine.stats().interrupts - before.1,
            interrupts,
            memory,
        }
    }

    /// Whether it counts what it translates.
    pub fn counts(&self) -> bool {
        self.exact || self.translator.is_none()
    }

    /// Code that counts nothing may run for ever, should it be translated wrong: it is stopped then, and the exit differs.
    fn run_guarded(&mut self, most: u64) -> EngineExit {
        let (ended, end) = std::sync::mpsc::channel::<()>();
        let memory = self.memory.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                if end.recv_timeout(std::time::Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
                    memory.hub().mailbox(0).raise(pending::STOP);
                }
            });
            let exit = self.engine.run(most);
            drop(ended);
            exit
        })
    }

    /// What was translated.
    pub fn translated(&self) -> TranslatorStats {
        self.translator.as_ref().map(|t| t.stats()).unwrap_or_default()
    }
}

/// What differs, in words; empty if nothing does.
pub fn differences(want: &Outcome, got: &Outcome) -> String {
    let mut out = String::new();
    if want == got {
        return out;
    }
    let mut one = |name: &str, want: &dyn std::fmt::Debug, got: &dyn std::fmt::Debug| {
        let (want, got) = (format!("{want:x?}"), format!("{got:x?}"));
        if want != got {
            let _ = writeln!(out, "  {name}: interpreted {want}, translated {got}");
        }
    };
    let (w, g) = (&want.state, &got.state);
    one("exit", &want.exit, &got.exit);
    one("retired", &want.retired, &got.retired);
    one("reservation", &want.reservation, &got.reservation);
    one("interrupts taken", &want.taken, &got.taken);
    one("interrupts", &want.interrupts, &got.interrupts);
    for n in 0..32 {
        one(&format!("r{n}"), &w.gpr[n], &g.gpr[n]);
    }
    for n in 0..64 {
        one(&format!("vs{n}"), &w.vsr[n], &g.vsr[n]);
    }
    one("nia", &w.nia, &g.nia);
    one("lr", &w.lr, &g.lr);
    one("ctr", &w.ctr, &g.ctr);
    one("cfar", &w.cfar, &g.cfar);
    one("msr", &w.msr, &g.msr);
    one("cr", &w.crf, &g.crf);
    one("xer", &w.xer(), &g.xer());
    one("fpscr", &w.fpscr, &g.fpscr);
    one("vscr", &w.vscr, &g.vscr);
    one("sprs", &w.spr, &g.spr);
    for (n, (w, g)) in want.memory.chunks(16).zip(got.memory.chunks(16)).enumerate() {
        let at = 16 * n as u64;
        let at = if at < PAGES << 12 { BUFFER + at } else { at - (PAGES << 12) };
        one(&format!("memory at {at:#x}"), &w, &g);
    }
    if out.is_empty() {
        out.push_str("  something that is not shown\n");
    }
    out
}

/// Whether data accesses of a stream are translated.
pub fn is_translated(s: &Stream) -> bool {
    s.state.msr & TRANSLATED != 0
}
