//! RTAS: the stub that a guest calls, the argument block, and the functions that need no device.

mod functions;

pub(crate) use functions::rows;

use crate::Hypervisor;
use platform::papr::opcode::H_RTAS;
use platform::papr::{HcallStatus, RtasStatus};
use platform::{Access, HcallArgs, HcallContext, RtasCall, check_range};

/// The code at `linux,rtas-entry`, called with r3 = address of the argument block.
pub const RTAS_STUB: [u8; 20] = call_stub(H_RTAS as u16);

/// A function in guest RAM that makes the hypercall `opcode` with its only argument: big-endian words, executed in 32-bit
/// real mode.
pub const fn call_stub(opcode: u16) -> [u8; 20] {
    let words: [u32; 5] = [
        0x7c64_1b78,                 // mr    r4,r3
        0x3c60_0000,                 // lis   r3,0
        0x6063_0000 | opcode as u32, // ori   r3,r3,opcode
        0x4400_0022,                 // sc    1
        0x4e80_0020,                 // blr
    ];
    let mut bytes = [0; 20];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = words[at / 4].to_be_bytes()[at % 4];
        at += 1;
    }
    bytes
}

/// `rtas-error-log-max`: room for the error log, at the head of the RTAS area.
pub const RTAS_ERROR_LOG_MAX_BYTES: u64 = 2048;

/// `rtas-size`: stub, error log, a place for each vCPU's system reset, and one doubleword.
pub fn rtas_size_bytes(max_vcpus: usize) -> u64 {
    RTAS_STUB.len() as u64 + RTAS_ERROR_LOG_MAX_BYTES + 16 * max_vcpus as u64 + 8
}

/// Token, number of arguments, number of outputs: a word each.
const HEAD_BYTES: u64 = 12;
/// Most arguments and outputs together. Linux's block holds 16; no function of PAPR comes near this.
const CELLS_MAX: usize = 64;

/// `H_RTAS`: real address of the argument block.
pub(crate) fn hcall(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let block_ra = args[0];
    let memory = context.memory;
    let mut head = [0; HEAD_BYTES as usize];
    if memory.read(block_ra, &mut head).is_err() {
        return HcallStatus::H_PARAMETER;
    }
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (token, nargs, nret) = (word(0), word(4) as usize, word(8) as usize);
    if nargs > CELLS_MAX || nret > CELLS_MAX || nargs + nret > CELLS_MAX {
        return HcallStatus::H_PARAMETER;
    }
    let (args_bytes, ret_bytes) = (4 * nargs, 4 * nret);
    let block_bytes = HEAD_BYTES + (args_bytes + ret_bytes) as u64;
    if check_range(memory.size_bytes(), Access::Write, block_ra, block_bytes).is_err() {
        return HcallStatus::H_PARAMETER;
    }

    let mut bytes = [0; 4 * CELLS_MAX];
    let mut cells = [0; CELLS_MAX];
    if memory.read(block_ra + HEAD_BYTES, &mut bytes[..args_bytes + ret_bytes]).is_err() {
        return HcallStatus::H_PARAMETER;
    }
    for (cell, word) in cells.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *cell = u32::from_be_bytes(*word);
    }
    let (args, outputs) = cells[..nargs + nret].split_at_mut(nargs);
    let mut no_status = 0;
    let (status_cell, results) = outputs.split_first_mut().unwrap_or((&mut no_status, &mut []));
    let mut call = RtasCall { args, results };
    let status = hypervisor.call_rtas(token, context, &mut call, nret);

    *status_cell = status.unwrap_or(RtasStatus::PARAMETER_ERROR).0 as u32;
    for (word, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&cells[nargs..nargs + nret]) {
        *word = value.to_be_bytes();
    }
    if context.memory.write(block_ra + HEAD_BYTES + args_bytes as u64, &bytes[..ret_bytes]).is_err() || status.is_none()
    {
        return HcallStatus::H_PARAMETER;
    }
    HcallStatus::H_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::{Rig, UNSET};
    use platform::GuestMemory;
    use platform::papr::token::*;

    #[test]
    fn the_stub_is_what_the_assembler_makes_of_it() {
        assert_eq!(RTAS_STUB[..8], [0x7c, 0x64, 0x1b, 0x78, 0x3c, 0x60, 0x00, 0x00]);
        assert_eq!(RTAS_STUB[8..16], [0x60, 0x63, 0xf0, 0x00, 0x44, 0x00, 0x00, 0x22]);
        assert_eq!(RTAS_STUB[16..], [0x4e, 0x80, 0x00, 0x20]);
        assert_eq!(rtas_size_bytes(2), 0x83c);
    }

    #[test]
    fn wild_blocks() {
        let rig = Rig::new("power9", &[]);
        let memory = &rig.world.memory;
        let end = memory.size_bytes();
        for ra in [end, end - 4, end - 11, u64::MAX, u64::MAX - 11, 1 << 63] {
            assert_eq!(rig.call(H_RTAS, &[ra]).0, -4, "{ra:#x}");
        }
        // The head is in RAM, the outputs are not.
        memory.write_be_u32(end - 12, QUIESCE).unwrap();
        memory.write_be_u32(end - 4, 1).unwrap();
        assert_eq!(rig.call(H_RTAS, &[end - 12]).0, -4);
        for (nargs, nret) in
            [(u32::MAX, 1), (1, u32::MAX), (u32::MAX, u32::MAX), (64, 1), (0, 65), (0x8000_0000, 0x8000_0000)]
        {
            for (at, word) in [QUIESCE, nargs, nret].into_iter().enumerate() {
                memory.write_be_u32(0x1000 + 4 * at as u64, word).unwrap();
            }
            assert_eq!(rig.call(H_RTAS, &[0x1000]).0, -4, "{nargs} {nret}");
        }
    }

    #[test]
    fn unknown_tokens_and_wrong_shapes() {
        let rig = Rig::new("power9", &[]);
        assert_eq!(rig.rtas(0x2fff, &[1, 2], 3), [-3, UNSET, UNSET]);
        assert_eq!(rig.rtas(QUIESCE, &[], 1), [0]);
        assert_eq!(rig.rtas(QUIESCE, &[1], 1), [-3]);
        assert_eq!(rig.rtas(QUIESCE, &[], 2), [-3, UNSET]);
        assert_eq!(rig.rtas(QUIESCE, &[], 0), [] as [i32; 0]);
    }

    #[test]
    fn every_function_takes_any_arguments() {
        let rig = Rig::new("power9", &[]);
        let wild = [0, 1, 2, 0xfff, 0x8000_0000, u32::MAX - 3, u32::MAX];
        for row in rig.hypervisor.rtas_functions() {
            for value in wild {
                let outputs = rig.rtas(row.token, &vec![value; row.nargs_min], row.nret);
                assert_eq!(outputs.len(), row.nret, "{}", row.name);
            }
        }
    }
}
