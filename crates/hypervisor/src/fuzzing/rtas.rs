//! Any sequence of RTAS calls, with argument blocks anywhere. What the fuzz target `rtas` runs.

use crate::Hypervisor;
use crate::calls::test_support::Rig;
use platform::GuestMemory;
use platform::mock::{Input, VecMemory};
use platform::papr::HcallStatus;
use platform::papr::opcode::H_RTAS;
use snapshot::{Io, Section};
use std::cell::RefCell;
use std::sync::Arc;

/// RAM of the rig.
const RAM_BYTES: u64 = 1 << 20;
/// Most arguments and outputs that a block may have.
const CELLS_MAX: u32 = 64;
/// Status words of RTAS: LoPAPR 7.2.6, and those of the functions themselves. Extended delays are 9900 to 9905.
const STATUS: [i32; 14] = [0, -1, -2, -3, -4, -7, -9000, -9001, -9002, -9003, -9999, 1, 2, 3];

fn cell(input: &mut Input<'_>) -> u32 {
    match input.byte() {
        small @ 0..=99 => u32::from(small % 8),
        100..=159 => u32::from(input.half()) << 4,
        160..=199 => input.pick(&[20, 42, 48, 9001, 9005, 0xFFFF_FFFF, 0x1000, 0x7FFF_FFFF, 0x8000_0000, 0xF_FFFC]),
        _ => input.word(),
    }
}

thread_local! {
    /// RAM for input after input, and what it held before and behind a call: their pages would be the host's most work.
    static RAM: (Arc<VecMemory>, RefCell<[Vec<u8>; 2]>) =
        (Arc::new(VecMemory::new(RAM_BYTES as usize)), RefCell::new([vec![0; RAM_BYTES as usize], Vec::new()]));
}

fn save(hypervisor: &Hypervisor) -> Vec<u8> {
    let mut io = Io::save(hypervisor.id().version);
    hypervisor.fields(&mut io).expect("a hypervisor can be saved");
    io.written()
}

/// Makes the calls that `data` says.
///
/// # Panics
/// If a code is none of PAPR's, a refused call writes, an argument changes, or a saved hypervisor is another one.
pub fn rtas(data: &[u8]) {
    RAM.with(|(memory, seen)| {
        let mut seen = seen.borrow_mut();
        seen[0].clear();
        seen[0].resize(RAM_BYTES as usize, 0);
        memory.write(0, &seen[0]).expect("all of RAM");
        run(data, memory.clone(), &mut seen);
    });
}

fn run(data: &[u8], memory: Arc<VecMemory>, [before, after]: &mut [Vec<u8>; 2]) {
    let mut input = Input::new(data);
    let processor = input.pick(&["power9", "power10", "power8"]);
    let mut rig = Rig::on(processor, memory);
    let tokens: Vec<u32> = rig.hypervisor.rtas_functions().map(|row| row.token).collect();
    while !input.is_empty() {
        let token = match input.byte() {
            0..=239 => tokens[usize::from(input.byte()) % tokens.len()],
            _ => input.word(),
        };
        let usual = rig.hypervisor.rtas_functions().find(|row| row.token == token).map(|row| (row.nargs_min, row.nret));
        let (nargs, nret) = match (input.byte(), usual) {
            (0..=223, Some((nargs, nret))) => (nargs as u32, nret as u32),
            (..=251, _) => (u32::from(input.byte() % 10), u32::from(input.byte() % 10)),
            _ => (input.word(), input.word()),
        };
        let block = match input.byte() {
            0..=239 => 0xd_0000,
            240..=247 => RAM_BYTES - u64::from(input.byte()),
            _ => input.doubleword(),
        };
        let count = nargs.min(CELLS_MAX) as usize;
        let args: Vec<u32> = (0..count).map(|_| cell(&mut input)).collect();
        // As far as there is RAM.
        for (at, word) in [token, nargs, nret].into_iter().chain(args.iter().copied()).enumerate() {
            let _ = rig.world.memory.write_be_u32(block.wrapping_add(4 * at as u64), word);
        }
        let cells = u64::from(nargs) + u64::from(nret);
        let fits = cells <= CELLS_MAX.into() && block.checked_add(12 + 4 * cells).is_some_and(|end| end <= RAM_BYTES);
        // Of a refused call all of RAM is compared, of another one its block.
        let (from, bytes) = if fits { (block, 12 + 4 * cells) } else { (0, RAM_BYTES) };
        let look = |rig: &Rig, seen: &mut Vec<u8>| {
            seen.resize(bytes as usize, 0);
            rig.world.memory.read(from, seen).expect("inside of RAM");
        };
        look(&rig, before);
        let status = rig.call(H_RTAS, &[block]);
        look(&rig, after);
        match status {
            HcallStatus::H_PARAMETER if !fits => {
                assert!(before == after, "a refused call of {token:#x} writes");
            }
            HcallStatus::H_PARAMETER => assert!(usual.is_none(), "{token:#x} is there, and refused"),
            HcallStatus::H_SUCCESS => {
                assert!(fits && usual.is_some(), "{token:#x} at {block:#x}, {nargs} and {nret}");
                let head = 12 + 4 * nargs as usize;
                let word = |n: usize| i32::from_be_bytes(after[head + 4 * n..][..4].try_into().expect("a word"));
                // A buffer that the guest names may be its own argument block.
                let names_block = args.iter().any(|&a| u64::from(a).abs_diff(block) < 0x1_0000);
                if !names_block {
                    assert!(before[..head] == after[..head], "{token:#x} changes its arguments");
                    if nret > 0 {
                        let code = word(0);
                        assert!(STATUS.contains(&code) || (9900..=9905).contains(&code), "{token:#x}: status {code}");
                    }
                }
            }
            other => panic!("H_RTAS: {other}"),
        }
        if input.one_in(64) {
            let saved = save(&rig.hypervisor);
            let fresh = Rig::on(processor, rig.world.memory.clone());
            let mut io = Io::load(fresh.hypervisor.id().version, &saved);
            fresh.hypervisor.fields(&mut io).expect("what was saved can be loaded");
            io.finish().expect("all of it is read");
            assert_eq!(save(&fresh.hypervisor), saved);
            rig.hypervisor = fresh.hypervisor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn any_call_is_answered_as_papr_says() {
        for seed in 0..40 {
            rtas(&some_bytes(seed, 400));
        }
    }
}
