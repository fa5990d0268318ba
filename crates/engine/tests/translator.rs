//! The translator at work over whole programs: its file, its bounds, code that changes. What the interpreter alone makes
//! of the same program is what is right.

use cpu::bits::{lpcr, msr};
use cpu::model::POWER9;
use engine::{Engine, EngineExit};
use jit::store::{Disk, Options, Translator, TranslatorStats};
use memory::Memory;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use timing::Clock;
use vcpu::{Silent, Vcpu};

const RAM_BYTES: u64 = 16 << 20;
const CODE: u64 = 0x10_0000;
const ON: u64 = msr::SF | msr::ME | msr::RI | msr::LE;

/// Guest memory with a program.
struct Guest {
    memory: Arc<Memory>,
    clock: Arc<Clock>,
}

impl Guest {
    fn new(vcpus: usize) -> Guest {
        Guest { memory: Arc::new(Memory::new(RAM_BYTES, vcpus).unwrap()), clock: Arc::new(Clock::virtual_time(0)) }
    }

    /// Assembles `text`, one instruction a line, at `at`.
    fn program(&self, at: u64, text: &str) {
        for (n, line) in text.lines().map(str::trim).filter(|l| !l.is_empty()).enumerate() {
            let at = at + 4 * n as u64;
            let word = match line {
                "illegal" => 0,
                _ => isa::assemble_at(line, at).unwrap_or_else(|e| panic!("{line}: {e}")),
            };
            self.memory.write(at, &(word as u32).to_le_bytes()).unwrap();
        }
    }

    fn engine(&self, index: usize, translator: Option<&Arc<Translator>>, threshold: u32) -> Engine {
        let mut v = Vcpu::new(index, &POWER9, self.memory.clone(), self.clock.clone(), Arc::new(Silent));
        self.memory.hub().mailbox(index).set_quiet(false);
        v.state.nia = CODE;
        v.set_lpcr(v.state.lpcr | lpcr::ILE);
        v.set_msr(ON);
        match translator {
            Some(t) => Engine::with_translator(v, t.clone(), threshold),
            None => Engine::new(v),
        }
    }

    /// Runs a vCPU until `sc 1`, and gives its general registers and the instructions it retired.
    fn run(&self, engine: &mut Engine) -> (Vec<u64>, u64) {
        let exit = engine.run(1 << 32);
        engine.vcpu().mailbox().set_quiet(true);
        assert_eq!(exit, EngineExit::Hypercall, "nia {:#x}", engine.vcpu().state.nia);
        (engine.vcpu().state.gpr.to_vec(), engine.retired())
    }
}

fn at_once(cache_bytes: usize) -> Options {
    Options { background: false, cache_bytes, ..Options::default() }
}

/// Runs a program by the interpreter, and by a translator that translates at once what ran `threshold` times. Both must
/// come to the same.
fn both(load: impl Fn(&Guest), options: &Options, threshold: u32) -> TranslatorStats {
    let alone = Guest::new(1);
    load(&alone);
    let expected = alone.run(&mut alone.engine(0, None, 0));
    let guest = Guest::new(1);
    load(&guest);
    let translator = Arc::new(Translator::new(options).unwrap());
    let found = guest.run(&mut guest.engine(0, Some(&translator), threshold));
    assert_eq!(found, expected);
    translator.stats()
}

/// `pages` pages of arithmetic that lead to each other, run `rounds` times; different in each page.
fn many_pages(guest: &Guest, pages: u64, rounds: u64) {
    let base = CODE + 0x1000;
    guest.program(CODE, &format!("li r6,{rounds}\nli r3,1\nli r4,3\nb .+{}", base - CODE - 12));
    for page in 0..pages {
        let mut text = String::new();
        for n in 0..60 {
            text += &match (n + page) % 5 {
                0 => format!("addi r3,r3,{}\n", page * 7 + n),
                1 => "mulld r4,r4,r3\n".to_owned(),
                2 => format!("xori r4,r4,{}\n", page + n),
                3 => "rotldi r3,r3,13\nadd r3,r3,r4\n".to_owned(),
                _ => "subf r4,r3,r4\n".to_owned(),
            };
            if n % 10 == 9 {
                // A block of its own.
                text += "andi. r5,r3,1\nbeq .+8\naddi r4,r4,1\n";
            }
        }
        let len = text.lines().count() as u64;
        text += &match page + 1 < pages {
            true => format!("b .+{}", 0x1000 - 4 * len),
            false => format!("addic. r6,r6,-1\nbeq .+8\nb .-{}\nsc 1", page * 0x1000 + 4 * (len + 2)),
        };
        guest.program(base + page * 0x1000, &text);
    }
}

/// A file name of its own, gone at the end.
struct File(PathBuf);
impl File {
    fn new(name: &str) -> File {
        let file = File(std::env::temp_dir().join(format!("aileron-translator-{}-{name}.code", std::process::id())));
        let _ = std::fs::remove_file(&file.0);
        file
    }
}
impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn on_disk(file: &Path) -> Options {
    Options { disk: Some(Disk { file: Some(file.into()), cpu_model: POWER9.name.into() }), ..at_once(8 << 20) }
}

#[test]
fn what_one_run_compiled_the_next_one_has() {
    let file = File::new("twice");
    let load = |guest: &Guest| many_pages(guest, 20, 50);
    let cold = both(load, &on_disk(&file.0), 3);
    assert!(cold.compiled >= 20 && cold.cached == 0, "{cold:?}");
    let warm = both(load, &on_disk(&file.0), 3);
    assert_eq!((warm.compiled, warm.cached), (0, cold.compiled), "{warm:?}");
    // Other bytes are other code.
    let other = |guest: &Guest| {
        many_pages(guest, 20, 50);
        guest.program(CODE + 0x1000 + 4 * 4, "addi r3,r3,1234");
    };
    let changed = both(other, &on_disk(&file.0), 3);
    assert!(changed.compiled > 0 && changed.cached >= cold.compiled / 2, "{changed:?}");
}

#[test]
fn a_damaged_file_is_as_none_and_is_replaced() {
    let file = File::new("damaged");
    let load = |guest: &Guest| many_pages(guest, 10, 20);
    let cold = both(load, &on_disk(&file.0), 3);
    let good = std::fs::read(&file.0).unwrap();
    // In a header, in each of many entries, and cut off.
    let mut everywhere = good.clone();
    everywhere.iter_mut().skip(100).step_by(97).for_each(|b| *b ^= 0x55);
    let mut header = good.clone();
    header[33] ^= 1;
    for bad in [everywhere, header, good[..good.len() / 2].to_vec(), b"AILCODE".to_vec(), Vec::new()] {
        std::fs::write(&file.0, &bad).unwrap();
        let run = both(load, &on_disk(&file.0), 3);
        assert!(run.compiled > 0 && run.compiled + run.cached == cold.compiled, "{run:?}");
        let again = both(load, &on_disk(&file.0), 3);
        assert_eq!((again.compiled, again.cached), (0, cold.compiled), "{} bytes", bad.len());
    }
    // What is none of ours is left alone.
    std::fs::write(&file.0, b"a letter to somebody, longer than a header of forty bytes").unwrap();
    assert_eq!(both(load, &on_disk(&file.0), 3).compiled, cold.compiled);
    assert!(std::fs::read(&file.0).unwrap().starts_with(b"a letter"));
}

#[test]
fn the_thread_in_the_background_ends_with_its_translator() {
    let file = File::new("background");
    let guest = Guest::new(1);
    many_pages(&guest, 300, 40);
    let options = Options { background: true, ..on_disk(&file.0) };
    let translator = Arc::new(Translator::new(&options).unwrap());
    let mut engine = guest.engine(0, Some(&translator), 2);
    engine.run(300_000);
    drop(engine);
    let asked = std::time::Instant::now();
    drop(translator);
    // Hundreds of regions wait, and each takes milliseconds in a debug build.
    assert!(asked.elapsed() < std::time::Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[test]
fn a_small_arena_is_used_again_and_again() {
    let stats = both(|guest| many_pages(guest, 1200, 3), &at_once(1 << 20), 1);
    assert!(stats.evictions > 4 && stats.bytes > 2 << 20, "{stats:?}");
    assert!(stats.live < stats.compiled / 2, "{stats:?}");
}

#[test]
fn two_vcpus_in_a_small_arena() {
    let alone = Guest::new(1);
    many_pages(&alone, 1200, 3);
    let (expected, _) = alone.run(&mut alone.engine(0, None, 0));
    for background in [false, true] {
        let guest = Guest::new(2);
        many_pages(&guest, 1200, 3);
        let translator = Arc::new(Translator::new(&Options { background, ..at_once(1 << 20) }).unwrap());
        let mut engines: Vec<_> = (0..2).map(|n| guest.engine(n, Some(&translator), 1)).collect();
        std::thread::scope(|scope| {
            for engine in &mut engines {
                scope.spawn(|| assert_eq!(guest.run(engine).0, expected));
            }
        });
        let stats = translator.stats();
        assert!(background || stats.evictions > 4, "{stats:?}");
    }
}

#[test]
fn code_that_rewrites_itself_in_a_loop() {
    // r10: the word that is stored over the instruction behind the isync, another one each time.
    let load = |guest: &Guest| {
        guest.program(
            CODE,
            "lis r9,0x10
             lis r10,0x3863
             li r3,0
             li r8,2000
             mtctr r8
             addi r10,r10,1
             stw r10,44(r9)
             dcbst 0,r9
             sync 0,0
             icbi 0,r9
             isync
             nop
             add r3,r3,r3
             rldicl r3,r3,0,20
             bdnz .-36
             sc 1",
        );
    };
    for threshold in [1, 2] {
        let stats = both(load, &at_once(1 << 20), threshold);
        assert!(stats.live <= 16, "{stats:?}");
    }
    // A loop that is translated, changed now and then, and runs on.
    let seldom = |guest: &Guest| {
        guest.program(
            CODE,
            "lis r9,0x10
             lis r10,0x3863
             li r7,100
             addi r10,r10,1
             stw r10,40(r9)
             dcbst 0,r9
             sync 0,0
             isync
             li r8,300
             mtctr r8
             nop
             bdnz .-4
             addic. r7,r7,-1
             bne .-40
             sc 1",
        );
    };
    let stats = both(seldom, &at_once(1 << 20), 4);
    assert!(stats.compiled >= 100 && stats.live <= 16, "{stats:?}");
}

#[test]
fn jumps_into_the_middle_and_out_of_everything() {
    // The low bits of a jump's address are dropped; behind the end of RAM is a machine check, whose handler goes on.
    let load = |guest: &Guest| {
        guest.program(0x200, "addi r3,r3,100\nmtspr 26,r12\nrfid");
        guest.program(0x700, "addi r3,r3,1000\nmtspr 26,r12\nrfid");
        guest.program(
            CODE,
            "lis r9,0x10
             li r8,50
             lis r5,0x7fff
             li r3,0
             addi r12,r9,36
             addi r6,r9,38
             mtctr r6
             bctr
             sc 1
             addi r3,r3,1
             addi r12,r9,64
             mtctr r5
             bctr
             sc 1
             sc 1
             sc 1
             addi r12,r9,72
             illegal
             addic. r8,r8,-1
             bne .-60
             sc 1",
        );
    };
    for threshold in [1, 5] {
        let stats = both(load, &at_once(1 << 20), threshold);
        assert!(stats.compiled > 0, "{stats:?}");
    }
}

/// Under the real clock translated code counts nothing, and a loop would go on for ever: the alarm tells that the
/// decrementer has expired.
#[test]
fn the_decrementer_interrupts_a_loop_that_counts_nothing() {
    for counting in [false, true] {
        let clock = Arc::new(Clock::real(Some(0)));
        let guest = Guest { clock: clock.clone(), ..Guest::new(1) };
        // Twice: r3 counts the interrupts. 2^19 ticks are a millisecond.
        guest.program(CODE, "lis r4,8\nmtspr 22,r4\nmtmsrd r5,1\naddi r6,r6,1\naddi r7,r7,1\nb .-8");
        guest.program(0x900, "addi r3,r3,1\ncmpi 0,1,r3,2\nbc 12,2,.+12\nmtspr 22,r4\nrfid\nsc 1");
        let translator = Arc::new(Translator::new(&at_once(1 << 20)).unwrap());
        let mut engine = guest.engine(0, Some(&translator), 2);
        engine.set_counting(counting);
        engine.vcpu().state.gpr[5] = msr::EE | msr::RI;
        let hub = guest.memory.hub();
        let (gpr, retired) = std::thread::scope(|scope| {
            scope.spawn(|| hub.ring(&|| clock.ticks(), &|at| clock.wait_for(at).unwrap()));
            let run = guest.run(&mut engine);
            hub.alarm().end();
            run
        });
        assert_eq!(gpr[3], 2);
        assert!(gpr[6] > 1000 && translator.stats().compiled > 0, "{gpr:?}");
        let looped = 2 * (gpr[6] + gpr[7]);
        assert_eq!(retired > looped / 2, counting, "{retired} counted of {looped}");
    }
}

#[test]
fn in_pieces_a_run_is_one_region_that_can_be_shown() {
    let guest = Guest::new(1);
    many_pages(&guest, 3, 20);
    let translator = Arc::new(Translator::new(&Options { link: false, ..at_once(1 << 20) }).unwrap());
    let mut engine = guest.engine(0, Some(&translator), 2);
    engine.set_pieces(true);
    let mut shown = 0;
    while engine.run(512) == EngineExit::Budget {
        let Some((address, code)) = engine.last_region() else { continue };
        assert!((CODE..RAM_BYTES).contains(&address) && code.lines().count() > 3, "{address:#x}:\n{code}");
        // Constants of the region stand behind its code, and may look like anything.
        assert!(code.lines().take(4).all(|l| !l.contains("(bad)")), "{code}");
        shown += 1;
    }
    assert!(shown > 20 && translator.stats().links == 0, "{shown}");
}
