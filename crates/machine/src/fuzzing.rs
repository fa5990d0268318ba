//! Any vectors for `ibm,client-architecture-support`, read a second time here, on any platform. What the fuzz target
//! `architecture` runs.

mod device_tree;
mod elf;
mod sections;
mod snapshot;
pub use device_tree::device_tree;
pub use elf::elf;
pub use snapshot::{Largest, snapshot};

use crate::mmu::Mmu;
use crate::negotiation::{Agreed, Platform, Refusal};
use cpu::model::{POWER8, POWER9, POWER10};
use devices::{Controller, InterruptMode};
use hypervisor::capability::IsaLevel;
use platform::mock::{Input, VecMemory};
use platform::{GuestMemory, papr::HcallStatus};

/// What a guest's list of processors may hold: mask and PVR.
const PAIRS: [(u32, u32); 12] = [
    (0xffff_0000, 0x004b_0000),
    (0xffff_0000, 0x004d_0000),
    (0xffff_0000, 0x004e_0000),
    (0xffff_0000, 0x0080_0000),
    (0xffff_ffff, 0x0f00_0002),
    (0xffff_ffff, 0x0f00_0003),
    (0xffff_ffff, 0x0f10_0003),
    (0xffff_ffff, 0x0f00_0004),
    (0xffff_ffff, 0x0f00_0005),
    (0xffff_ffff, 0x0f00_0006),
    (0xffff_ffff, 0x0f00_0007),
    (0, 0),
];
/// PAPR's PVRs of levels of the architecture.
const LEVELS: [(u32, IsaLevel); 6] = [
    (0x0f00_0002, IsaLevel::V2_05),
    (0x0f00_0003, IsaLevel::V2_06),
    (0x0f10_0003, IsaLevel::V2_06Plus),
    (0x0f00_0004, IsaLevel::V2_07),
    (0x0f00_0005, IsaLevel::V3_0),
    (0x0f00_0006, IsaLevel::V3_1),
];
/// A list of this length is taken for one without end.
const PAIRS_MAX: usize = 512;

fn platform(input: &mut Input<'_>) -> Platform {
    let levels = LEVELS.map(|(_, level)| Some(level));
    Platform {
        model: input.pick(&[&POWER9, &POWER10, &POWER8]),
        compat: if input.one_in(2) { None } else { input.pick(&levels) },
        mmu_only: input.pick(&[None, None, Some(Mmu::Hash), Some(Mmu::Radix)]),
        interrupt_mode: input.pick(&[InterruptMode::Dual, InterruptMode::Xics, InterruptMode::Xive]),
        form2: !input.one_in(4),
    }
}

/// A list and vectors, mostly of their form; what is left of the input is behind them.
fn vectors(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..input.byte() % 20 {
        let (mask, pvr) = match input.byte() {
            0..=239 => input.pick(&PAIRS),
            _ => (input.word(), input.word()),
        };
        bytes.extend([mask.to_be_bytes(), pvr.to_be_bytes()].concat());
    }
    bytes.extend([0xff, 0xff, 0xff, 0xfe, 0x0f, 0, 0, 1]);
    let count = input.pick(&[5, 5, 5, 6, 4, 0, 255]);
    bytes.push(count);
    for _ in 0..u32::from(count) + 1 {
        if input.is_empty() {
            break;
        }
        let length = input.pick(&[0, 1, 2, 3, 26, 26, 26, 32, 255]);
        bytes.push(length);
        let mut vector = input.bytes(usize::from(length) + 1);
        // Interrupt controllers and translation are mostly what may be asked for.
        for byte in vector.get_mut(22..24).unwrap_or_default() {
            *byte = if *byte < 0xE0 { input.pick(&[0, 0x40, 0x80]) } else { *byte };
        }
        bytes.extend(vector);
    }
    bytes
}

/// Masks and PVRs.
type Pairs = Vec<(u32, u32)>;

/// The list without its end, and the vectors: byte n of a vector at index n - 1. `None` if they leave memory, or the list
/// has no end.
fn read(mut bytes: &[u8]) -> Option<(Pairs, Vec<Vec<u8>>)> {
    let mut pairs = Vec::new();
    loop {
        let (pair, rest) = bytes.split_at_checked(8)?;
        bytes = rest;
        let word = |at: usize| u32::from_be_bytes([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]);
        if word(4) & !word(0) != 0 {
            break;
        }
        pairs.push((word(0), word(4)));
        if pairs.len() == PAIRS_MAX {
            return None;
        }
    }
    let (count, mut bytes) = bytes.split_first()?;
    let mut vectors = Vec::new();
    for _ in 0..=*count {
        let (length, rest) = bytes.split_first()?;
        let (vector, rest) = rest.split_at_checked(usize::from(*length) + 1)?;
        vectors.push(vector.to_vec());
        bytes = rest;
    }
    Some((pairs, vectors))
}

/// Negotiates what `data` says.
///
/// # Panics
/// If something is agreed on that one of both does not have, or something is refused that both have.
pub fn architecture(data: &[u8]) {
    let mut input = Input::new(data);
    let platform = platform(&mut input);
    let bytes = if input.one_in(8) {
        let count = usize::from(input.half() % 8192);
        input.bytes(count)
    } else {
        vectors(&mut input)
    };
    // Sometimes memory ends before they do.
    let cut = if input.one_in(4) { usize::from(input.byte()) } else { 0 };
    let bytes = &bytes[..bytes.len().saturating_sub(cut)];
    let before = u64::from(input.byte());
    let memory = VecMemory::new(before as usize + bytes.len());
    memory.write(before, bytes).expect("it was made for them");
    let result = platform.negotiate(&memory, before);
    assert_eq!(result, platform.negotiate(&memory, before), "the same again");
    let mut after = vec![0; bytes.len()];
    memory.read(before, &mut after).expect("it was made for them");
    assert_eq!(after, bytes, "nothing is written");

    let Some((pairs, vectors)) = read(bytes) else {
        let refusal = result.expect_err("they leave memory, or have no end");
        // A list of processors that has no good one is refused before the vectors are read.
        assert!(
            matches!(refusal, Refusal::Outside { .. } | Refusal::NoEnd(_) | Refusal::NoProcessor { .. }),
            "{refusal}"
        );
        return;
    };
    let most = platform.most();
    let best = LEVELS.iter().rfind(|(pvr, level)| *level <= most && pairs.iter().any(|pair| pair.1 == *pvr));
    let itself = platform.compat.is_none() && pairs.iter().any(|(mask, pvr)| platform.model.pvr & mask == *pvr);
    let level = match best {
        Some((_, level)) => *level,
        None => most,
    };
    let asked = |byte: usize| vectors.get(4).and_then(|vector| vector.get(byte - 1)).copied().unwrap_or(0);
    let modern = level >= IsaLevel::V3_0;
    let mmu = match asked(24) & 0xC0 {
        0 if platform.mmu_only != Some(Mmu::Radix) => Some(Mmu::Hash),
        0x40 if platform.mmu_only != Some(Mmu::Hash) && platform.model.radix && modern => Some(Mmu::Radix),
        _ => None,
    };
    let controller = match asked(23) & 0xC0 {
        0 if platform.interrupt_mode != InterruptMode::Xive => Some(Controller::Xics),
        0x40 if platform.interrupt_mode != InterruptMode::Xics && modern => Some(Controller::Xive),
        _ => None,
    };
    let refusal = match result {
        Ok(agreed) => {
            assert!(best.is_some() || itself);
            let pvr = best.map_or(platform.model.pvr, |(pvr, _)| *pvr);
            assert_eq!((agreed.pvr, agreed.level), (pvr, level));
            assert_eq!((Some(agreed.mmu), Some(agreed.controller)), (mmu, controller));
            has_what_was_asked_for(&agreed, asked);
            return;
        }
        Err(refusal) => refusal,
    };
    let (wanted, status) = match &refusal {
        Refusal::NoProcessor { .. } => (best.is_none() && !itself, HcallStatus::H_HARDWARE),
        Refusal::NoVector { .. } => (vectors.len() < 5, HcallStatus::H_PARAMETER),
        Refusal::NoMmu { .. } => (mmu.is_none(), HcallStatus::H_PARAMETER),
        Refusal::NoController { .. } => (controller.is_none(), HcallStatus::H_PARAMETER),
        Refusal::Outside { .. } | Refusal::NoEnd(_) => (false, HcallStatus::H_PARAMETER),
    };
    assert!(wanted, "refused without a reason: {refusal}");
    assert_eq!(refusal.status(), status, "{refusal}");
}

/// `ibm,architecture-vec-5` has the form of a vector, and nothing that was not asked for.
fn has_what_was_asked_for(agreed: &Agreed, asked: impl Fn(usize) -> u8) {
    let vector = &agreed.vector_5;
    assert_eq!(usize::from(vector[0]) + 2, vector.len(), "its length");
    for (number, byte) in vector.iter().enumerate().skip(1) {
        assert_eq!(byte & !asked(number), 0, "byte {number} of {vector:02x?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn any_vectors_are_agreed_on_or_refused_for_a_reason() {
        for seed in 0..4000 {
            architecture(&some_bytes(seed, 400));
        }
    }
}
