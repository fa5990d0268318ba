//! Machine checks: at the vector, and at the handler that a guest registered.

use crate::guest::{config, image};
use machine::{Accelerator, AcceleratorKind, End, Machine};

/// The kernel's address, and where its parts stand in the image.
const KERNEL: u32 = 0x40_0000;
const HANDLER: u32 = 0x80;
const REGISTER: u32 = 0x100;
const POWER_OFF: u32 = 0x140;

fn assembled(text: &str) -> Vec<u32> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| isa::assemble(line).unwrap_or_else(|error| panic!("{line}: {error}")) as u32).collect()
}

/// An RTAS call with the block at `block` of the image, whose address is in r30.
fn call(block: u32) -> String {
    format!("addis r3,r0,0\nori r3,r3,0xf000\naddi r4,r30,{block}\nsc 1\n")
}

/// Registers a handler, loads from where nothing is with 0x77 in r3, and handles the machine check with `handler`.
fn guest(handler: &str) -> Vec<u32> {
    let load = "addis r5,r0,0x7fff\nrldicr r5,r5,16,47\naddi r3,r0,0x77\nld r6,0(r5)\nb .\n";
    let mut code = assembled(&format!("or r30,r4,r4\n{}{load}", call(REGISTER)));
    code.resize(HANDLER as usize / 4, 0);
    code.extend(assembled(handler));
    assert!(code.len() <= REGISTER as usize / 4);
    code
}

fn end_of(handler: &str) -> End {
    let mut block = vec![0x202b, 2, 1, KERNEL + 0xf0, KERNEL + HANDLER, 0];
    block.resize((POWER_OFF - REGISTER) as usize / 4, 0);
    block.extend([0x2003, 2, 1, 0, 0, 0]);
    let path = image(&guest(handler), &block);
    let run = |clock, kind| {
        let accelerator = Accelerator { kind, ..Accelerator::default() };
        let mut machine = Machine::new(machine::Config { accelerator, ..config(path.clone(), clock) }).unwrap();
        let handle = machine.handle();
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_secs(20));
            handle.quit("the guest hangs");
        });
        machine.run().unwrap()
    };
    let end = run(timing::Clock::real(None), AcceleratorKind::Interp);
    for kind in [AcceleratorKind::Interp, AcceleratorKind::Jit] {
        assert_eq!(run(timing::Clock::virtual_time(0), kind), end);
    }
    std::fs::remove_file(path).unwrap();
    end
}

#[test]
fn the_registered_handler_gets_r3_and_a_log() {
    // r3 is saved at the head of the log; the summary; length of the rest; the effective address, at 0x38.
    let handler = format!(
        "ld r7,0(r3)
         cmpldi 0,r7,0x77
         bne .
         lwz r7,8(r3)
         addis r8,r0,0x0674
         ori r8,r8,0x1400
         cmpld 0,r7,r8
         bne .
         ld r7,0x38(r3)
         cmpld 0,r7,r5
         bne .
         {}b .",
        call(POWER_OFF)
    );
    assert_eq!(end_of(&handler), End::PowerOff);
}

#[test]
fn a_second_machine_check_in_the_handler_is_the_end() {
    let End::GuestPanicked { message } = end_of("ld r6,0(r5)\nb .") else { panic!("another end") };
    assert!(message.contains("machine check") && message.contains("0x400080"), "{message}");
}
