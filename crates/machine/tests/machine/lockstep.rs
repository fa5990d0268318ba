//! Lockstep: equal machines run to their end, and whatever is changed in one of them is found, named, at its count.

use crate::guest::{CALL_RTAS, config, image};
use devices::console::QueuedConsole;
use machine::{Accelerator, AcceleratorKind, Config, Difference, End, Machine, MachineError, Topology};
use platform::papr::token::DISPLAY_CHARACTER;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vcpu::Vcpu;

/// Where the images are loaded.
const BASE: u64 = 0x40_0000;
/// Offset of the loop's address in [`busy`].
const LOOP: u64 = 4 * 13;
/// Instructions before the loop.
const BEFORE_LOOP: u64 = 13;
/// Instructions of a round of the loop.
const ROUND: u64 = 11;

/// A guest that computes, stores, takes decrementer interrupts, asks for random bytes, writes to its terminal, sleeps until
/// there is input, and switches itself off.
fn busy() -> PathBuf {
    let decrementer = ["mtspr 22,r20", "rfid"].map(|line| isa::assemble(line).unwrap());
    let text = format!(
        "mr r30,r4
        addis r5,0,{}
        ori r5,r5,{}
        stw r5,0x900(0)
        addis r5,0,{}
        ori r5,r5,{}
        stw r5,0x904(0)
        addis r20,0,1
        mtspr 22,r20
        mfmsr r7
        ori r7,r7,0x8000
        mtmsrd r7,1
        addis r8,0,4

        mulld r9,r9,r8
        addc r9,r9,r8
        mfspr r10,268
        xor r11,r9,r10
        rlwinm r12,r11,0,17,28
        add r12,r12,r30
        stb r11,0x2000(r12)
        lbz r13,0x2001(r12)
        add r9,r9,r13
        addic. r8,r8,-1
        bne .-40

        addi r3,0,0x300
        sc 1
        addi r3,0,0x58
        addi r4,0,0
        addi r5,0,8
        sc 1
        addi r3,0,0xe0
        sc 1
        addi r3,0,0x54
        addi r4,0,0
        sc 1
        cmpdi r4,0
        beq .-24
        mr r31,r5
        addi r3,0,0x58
        addi r4,0,0
        addi r5,0,4
        mr r6,r31
        sc 1
        mr r4,r30
        addis r3,0,0
        ori r3,r3,0xf000
        addi r4,r4,0x100
        sc 1
        b .",
        decrementer[0] >> 16,
        decrementer[0] & 0xffff,
        decrementer[1] >> 16,
        decrementer[1] & 0xffff,
    );
    let line = |line: &str| isa::assemble(line).unwrap_or_else(|error| panic!("{line}: {error}")) as u32;
    let code: Vec<u32> = text.lines().filter(|text| !text.trim().is_empty()).map(line).collect();
    assert!(code.len() <= 64);
    image(&code, &[0x2003, 2, 1, 0, 0, 0])
}

/// What the guest wrote.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lockstep(kernel: PathBuf) -> Config {
    Config {
        topology: Topology::cores(1),
        accelerator: Accelerator { kind: AcceleratorKind::Lockstep, ram_every: 100_000, ..Accelerator::default() },
        ..config(kernel, timing::Clock::virtual_time(0))
    }
}

/// Runs [`busy`], with a change to the follower.
fn disturbed(count: u64, change: impl FnOnce(&mut Vcpu) + Send + 'static) -> Box<Difference> {
    let path = busy();
    let mut machine = Machine::new(lockstep(path.clone())).unwrap();
    machine.disturb_follower(count, change);
    let error = machine.run().unwrap_err();
    std::fs::remove_file(path).unwrap();
    match error {
        MachineError::Differ(difference) => difference,
        other => panic!("{other}"),
    }
}

#[test]
fn equal_machines_run_to_the_end() {
    let path = busy();
    let run = |kind| {
        let console = QueuedConsole::new();
        let written = Written::default();
        console.start_writer(written.clone()).unwrap();
        let mut config = lockstep(path.clone());
        config.accelerator.kind = kind;
        let mut machine = Machine::new(Config { consoles: vec![console.clone()], ..config }).unwrap();
        let typist = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            console.feed(b"key\n");
        });
        assert_eq!(machine.run().unwrap(), End::PowerOff);
        typist.join().unwrap();
        let retired = machine.stats().retired;
        let follower = machine.follower_stats();
        assert_eq!(follower.map(|stats| stats.retired), (kind == AcceleratorKind::Lockstep).then_some(retired));
        assert!(machine.stats().interrupts > 5 && retired > 0x4_0000 * ROUND, "{}", machine.stats());
        let written = written.0.lock().unwrap().clone();
        assert!(written.len() == 12 && written.ends_with(b"key\n"), "{written:?}");
        written
    };
    // The random bytes are written too: the leader's are those of a machine alone.
    assert_eq!(run(AcceleratorKind::Lockstep), run(AcceleratorKind::Interp));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_run_is_that_of_a_machine_alone() {
    let path = busy();
    let run = |kind| {
        let console = QueuedConsole::new();
        console.start_writer(io::sink()).unwrap();
        // Here from the beginning: at the same count in every run.
        console.push_input(b"key\n");
        let mut config = lockstep(path.clone());
        config.accelerator.kind = kind;
        let mut machine = Machine::new(Config { consoles: vec![console], ..config }).unwrap();
        assert_eq!(machine.run().unwrap(), End::PowerOff);
        (machine.stats().retired, machine.stats().interrupts, machine.state_hash())
    };
    assert_eq!(run(AcceleratorKind::Lockstep), run(AcceleratorKind::Interp));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_reboot_and_an_order_from_outside_concern_both() {
    // addi r6,0,1; ld r5,0x180(r4); std r6,0x180(r4); and a call of RTAS: reboots for ever.
    let mut code = vec![0x38c0_0001, 0xe8a4_0180, 0xf8c4_0180];
    code.extend(CALL_RTAS);
    for (code, block) in [(code, &[0x2004, 0, 1, 0][..]), (vec![0x4800_0000], &[])] {
        let path = image(&code, block);
        let mut machine = Machine::new(Config { no_reboot: false, ..lockstep(path.clone()) }).unwrap();
        let handle = machine.handle();
        let quitter = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            handle.system_reset();
            std::thread::sleep(Duration::from_millis(100));
            handle.quit("enough");
        });
        assert_eq!(machine.run().unwrap(), End::Quit("enough".into()));
        quitter.join().unwrap();
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_register_is_found_at_its_count() {
    // The second instruction of a round, a while into the loop.
    let count = BEFORE_LOOP + 1000 * ROUND + 1;
    let difference = disturbed(count, |vcpu| vcpu.state.gpr[25] ^= 1 << 40);
    assert_eq!((difference.count, difference.address), (count, BASE + LOOP + 4));
    let pair = &difference.pairs[..];
    assert_eq!(pair.len(), 1, "{difference}");
    assert_eq!((pair[0].name.as_str(), pair[0].follower.as_str()), ("gpr25", "0x10000000000"));
    let text = difference.to_string();
    for part in [
        &format!("registers differ after {count} instructions, at {:#x}", BASE + LOOP + 4),
        "gpr25",
        "leader (interpreted)",
        // What was executed last is in the piece, however long that is.
        "mulld r9,r9,r8",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    // All that differs is named.
    let difference = disturbed(count, |vcpu| {
        vcpu.state.crf[3] ^= 5;
        vcpu.state.ca ^= true;
        vcpu.state.vsr[7] ^= 1;
        vcpu.set_decrementer(77);
        vcpu.reservation.held = true;
        vcpu.reservation.real = 0x1234;
    });
    let names: Vec<_> = difference.pairs.iter().map(|pair| pair.name.as_str()).collect();
    assert_eq!(names, ["cr3", "ca", "vsr7", "dec", "reserved address"]);
}

#[test]
fn ram_is_found_at_the_next_look() {
    let difference = disturbed(350_000, |vcpu| vcpu.memory.write(0x12_3456, &[0xAB]).unwrap());
    assert!((400_000..402_000).contains(&difference.count), "{difference}");
    let pair = &difference.pairs[0];
    assert_eq!((pair.name.as_str(), pair.follower.as_str()), ("0x123450", "00 00 00 00 00 00 ab 00"));
    assert!(difference.what.contains("the same after 30"), "{difference}");
}

#[test]
fn another_way_is_found_at_the_first_step() {
    // The follower goes on elsewhere: at a hypercall.
    let count = BEFORE_LOOP + 7 * ROUND;
    let difference = disturbed(count, |vcpu| vcpu.state.nia = BASE + LOOP + 4 * 12);
    assert_eq!((difference.count, difference.pairs[0].name.as_str()), (count, "nia"));
}

#[test]
fn console_output_is_compared() {
    // display-character, from a block in RAM: registers are the same, and RAM is not looked at yet.
    let path = image(&CALL_RTAS, &[DISPLAY_CHARACTER, 1, 1, u32::from(b'A'), 0]);
    let mut config = Config { consoles: vec![QueuedConsole::new()], ..lockstep(path.clone()) };
    config.accelerator.ram_every = u64::MAX;
    let mut machine = Machine::new(config).unwrap();
    machine.disturb_follower(1, |vcpu| vcpu.memory.write(BASE + 0x10F, b"B").unwrap());
    let text = machine.run().unwrap_err().to_string();
    std::fs::remove_file(path).unwrap();
    assert!(text.contains("console output differs after 4 instructions"), "{text}");
    assert!(text.lines().any(|line| line.split_whitespace().eq(["terminal", "0", "A", "B"])), "{text}");
}

#[test]
fn what_cannot_run_in_lockstep() {
    let path = busy();
    let new = |change: &dyn Fn(&mut Config)| {
        let mut config = lockstep(path.clone());
        change(&mut config);
        Machine::new(config).err().expect("refused").to_string()
    };
    let error = new(&|config| config.topology = Topology::cores(2));
    assert!(error.contains("2 vCPUs") && error.contains("-smp 1"), "{error}");
    let error = new(&|config| config.clock = timing::Clock::real(None));
    assert!(error.contains("virtual clock"), "{error}");
    std::fs::remove_file(path).unwrap();
}
