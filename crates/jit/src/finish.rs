//! The machine code that Cranelift makes of a region, as the arena takes it: without prologue and epilogues, its ways out
//! as jumps.

use crate::blob::{Blob, CODE_ALIGN, Link};
use crate::compile::CompileError;
use crate::region::{Region, Source};
use crate::stubs::{self, FRAME, number, stub_offset};
use cranelift_codegen::ir::UserExternalName;

/// Names of what a region jumps to: another place of the page by its offset, or a stub by its number.
pub const PLACES: u32 = 0;
/// See [`PLACES`].
pub const STUBS: u32 = 1;

/// What stands before the code of a region, and before each of its jumps out: where the prologue ends, and the bytes of
/// an epilogue with the opcode of its jump. Both save and restore registers that nobody wants to keep.
fn frame_of(code: &[u8]) -> Result<(u32, Vec<u8>), CompileError> {
    // push rbp; mov rbp, rsp
    if !code.starts_with(&[0x55, 0x48, 0x89, 0xE5]) {
        return Err(CompileError::Form("the prologue"));
    }
    let mut at = 4;
    // sub rsp, n
    let (frame, sub) = match code.get(at..at + 7) {
        Some([0x48, 0x83, 0xEC, n, ..]) => (u32::from(*n), 4),
        Some([0x48, 0x81, 0xEC, a, b, c, d]) => (u32::from_le_bytes([*a, *b, *c, *d]), 7),
        _ => (0, 0),
    };
    if frame > FRAME {
        return Err(CompileError::Form("a frame that is too large"));
    }
    let mut leave = Vec::new();
    let add = code.get(at..at + sub).unwrap_or_default();
    at += sub;
    let mut saved = 0u32;
    // mov [rsp + n], reg, for rbx and r12 to r14, each once
    while let Some(&[rex @ (0x48 | 0x4C), 0x89, modrm, 0x24]) = code.get(at..at + 4) {
        let reg = u32::from(modrm >> 3 & 7) | if rex == 0x4C { 8 } else { 0 };
        let len = match modrm & 0xC7 {
            0x04 => 4,
            0x44 => 5,
            0x84 => 8,
            _ => break,
        };
        if ![3, 12, 13, 14].contains(&reg) || saved >> reg & 1 != 0 {
            break;
        }
        saved |= 1 << reg;
        let Some(save) = code.get(at..at + len) else { break };
        leave.extend_from_slice(save);
        let restore = leave.len() - len;
        leave[restore + 1] = 0x8B;
        at += len;
    }
    leave.extend_from_slice(add);
    if sub > 0 {
        // add rsp, n
        let op = leave.len() - sub + 2;
        leave[op] = 0xC4;
    }
    // mov rsp, rbp; pop rbp; jmp
    leave.extend([0x48, 0x89, 0xEC, 0x5D, 0xE9]);
    Ok((at as u32, leave))
}

/// Cuts prologue and epilogues away, and makes jumps of the calls in tail position.
pub fn finish(
    source: &Source,
    region: &Region,
    mut code: Vec<u8>,
    jumps: &[(usize, UserExternalName)],
) -> Result<Blob, CompileError> {
    let (entry, epilogue) = frame_of(&code)?;
    let (mut links, mut lines) = (Vec::new(), Vec::new());
    for (at, name) in jumps {
        let start = at.checked_sub(epilogue.len()).ok_or(CompileError::Form("an epilogue"))?;
        if code.get(start..*at) != Some(&epilogue[..]) {
            return Err(CompileError::Form("an epilogue"));
        }
        let room = &mut code[start..at + 4];
        room.fill(0xCC);
        if name.namespace == STUBS
            && let Some(inline) = stubs::inline(name.index as usize)
        {
            lines.push((start, inline));
            continue;
        }
        if name.namespace == STUBS {
            // jmp [r15 + n]
            room[..3].copy_from_slice(&[0x41, 0xFF, 0xA7]);
            room[3..7].copy_from_slice(&stub_offset(name.index as usize).to_le_bytes());
            continue;
        }
        // One of the places at which the distance does not cross a boundary of eight bytes.
        let skip = (0..5).find(|n| (start + n + 1) % 8 <= 4).unwrap_or(0);
        room[..skip].fill(0x90);
        room[skip] = 0xE9;
        links.push(Link { rel32: (start + skip + 1) as u32, thunk: 0, to: name.index as u16 });
    }
    for link in &mut links {
        link.thunk = code.len() as u32;
        // mov esi, offset; jmp [r15 + n]
        code.push(0xBE);
        code.extend(u32::from(link.to).to_le_bytes());
        code.extend([0x41, 0xFF, 0xA7]);
        code.extend(stub_offset(number::UNLINKED).to_le_bytes());
        let at = link.rel32 as usize;
        let distance = link.thunk.wrapping_sub(link.rel32 + 4);
        code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    }
    for (at, line) in lines {
        // jmp
        let distance = (code.len() - at - 5) as u32;
        code[at] = 0xE9;
        code[at + 1..at + 5].copy_from_slice(&distance.to_le_bytes());
        code.extend_from_slice(line);
    }
    code.resize(code.len().next_multiple_of(CODE_ALIGN), 0xCC);
    Ok(Blob { key: source.key, code, entry, links, spans: region.spans(), instructions: region.instructions })
}
