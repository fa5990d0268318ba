//! Helpers of the rows of the segment look-aside buffer (Power ISA 3.0B, Book III, 5.9.3.2).

use crate::{R, Vcpu, fallible};
use cpu::bits::srr1;
use cpu::slb::{B, B_1T, C, ESID, INDEX, SLB_ENTRIES, SlbEntry, VALID, look_up};
use isa::IsaLevel;

/// Number of an entry, as RB names it.
fn index(v: &mut Vcpu, rb: u64) -> R<usize> {
    let index = (rb & INDEX) as usize;
    if index < SLB_ENTRIES { Ok(index) } else { v.raise_program(srr1::PROGRAM_ILLEGAL) }
}

/// Replaces an entry, and tells the vCPU of which addresses it was and is.
fn set(v: &mut Vcpu, index: usize, entry: SlbEntry) {
    let old = std::mem::replace(&mut v.state.slb[index], entry);
    for changed in [old, entry] {
        if changed.is_valid() && old != entry {
            v.segments_changed((changed.esid >> 63) as usize);
        }
    }
}

/// `slbmte`. An entry that could not be is an illegal instruction.
pub extern "C" fn move_to_entry(v: &mut Vcpu, rs: u64, rb: u64, _: u64) -> bool {
    fallible(v, |v| {
        let index = index(v, rb)?;
        let entry = SlbEntry { esid: rb & (ESID | VALID), vsid: rs };
        let is_one = rb & !(ESID | VALID | INDEX) == 0
            && matches!(rs & B, 0 | B_1T)
            && v.hash_table.sizes().base_of(&entry).is_some();
        if !is_one {
            return v.raise_program(srr1::PROGRAM_ILLEGAL);
        }
        set(v, index, if entry.is_valid() { entry } else { SlbEntry::default() });
        Ok(0)
    })
}

/// `slbie`: the entry that translates the address in RB.
pub extern "C" fn invalidate_entry(v: &mut Vcpu, rb: u64, _: u64, _: u64) -> bool {
    let ea = rb & ESID;
    for index in 0..SLB_ENTRIES {
        if v.state.slb[index].holds(ea) {
            set(v, index, SlbEntry::default());
        }
    }
    true
}

/// IH of `slbia`: the entries whose class is 1, entry 0 too.
const CLASS_1: u64 = 3;
/// IH of `slbia`: every entry, entry 0 too.
pub const EVERY_ENTRY: u64 = 4;
/// IH of `slbia`: no entry.
const NO_ENTRY: u64 = 7;

/// `slbia`. Before 3.0 all values of IH are about the same entries: all but entry 0.
pub extern "C" fn invalidate_all(v: &mut Vcpu, ih: u64, _: u64, _: u64) -> bool {
    let ih = if v.model.level >= IsaLevel::V3_0 { ih } else { 0 };
    for index in 0..SLB_ENTRIES {
        let goes = match ih {
            CLASS_1 => v.state.slb[index].vsid & C != 0,
            EVERY_ENTRY => true,
            NO_ENTRY => false,
            _ => index != 0,
        };
        if goes {
            set(v, index, SlbEntry::default());
        }
    }
    true
}

/// `slbmfee`.
pub extern "C" fn entry_esid(v: &mut Vcpu, rb: u64, _: u64, _: u64) -> bool {
    fallible(v, |v| index(v, rb).map(|index| v.state.slb[index].esid))
}

/// `slbmfev`.
pub extern "C" fn entry_vsid(v: &mut Vcpu, rb: u64, _: u64, _: u64) -> bool {
    fallible(v, |v| index(v, rb).map(|index| v.state.slb[index].vsid))
}

/// `slbfee.`: EQ of CR field 0 if an entry translates the address, else 0.
pub extern "C" fn find(v: &mut Vcpu, ea: u64, _: u64, _: u64) -> u64 {
    look_up(&v.state.slb, ea).map_or(0, |_| 2)
}

/// `slbfee.`: what the entry holds; 0 if there is none.
pub extern "C" fn found_vsid(v: &mut Vcpu, ea: u64, _: u64, _: u64) -> u64 {
    look_up(&v.state.slb, ea).map_or(0, |entry| entry.vsid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpu::model::{POWER8, POWER9};
    use cpu::{CpuModel, Vector};
    use std::sync::Arc;
    use vcpu::{Exit, Silent};

    fn vcpu(model: &'static CpuModel) -> Vcpu {
        let memory = Arc::new(memory::Memory::new(1 << 20, 1).unwrap());
        Vcpu::new(0, model, memory, Arc::new(timing::Clock::virtual_time(0)), Arc::new(Silent))
    }

    const USER: u64 = 0x1234 << 12 | C;
    const KERNEL: u64 = B_1T | 0x5678 << 24;

    fn filled(model: &'static CpuModel) -> Vcpu {
        let mut v = vcpu(model);
        for n in 0..SLB_ENTRIES as u64 {
            let (rs, esid) = if n % 2 == 0 { (KERNEL, 3 << 62 | n << 40) } else { (USER, n << 28) };
            assert!(move_to_entry(&mut v, rs, esid | VALID | n, 0));
        }
        v
    }

    fn left(v: &Vcpu) -> Vec<usize> {
        (0..SLB_ENTRIES).filter(|&n| v.state.slb[n].is_valid()).collect()
    }

    #[test]
    fn slbia_by_ih() {
        for (model, ih, kept) in [
            (&POWER9, 0u64, vec![0]),
            (&POWER9, 1, vec![0]),
            (&POWER9, 2, vec![0]),
            (&POWER9, 3, (0..32).step_by(2).collect()),
            (&POWER9, 4, vec![]),
            (&POWER9, 5, vec![0]),
            (&POWER9, 6, vec![0]),
            (&POWER9, 7, (0..32).collect()),
            (&POWER8, 3, vec![0]),
            (&POWER8, 7, vec![0]),
        ] {
            let mut v = filled(model);
            assert!(invalidate_all(&mut v, ih, 0, 0));
            assert_eq!(left(&v), kept, "{} {ih}", model.name);
        }
    }

    #[test]
    fn entries_are_found_read_and_invalidated() {
        let mut v = filled(&POWER9);
        assert_eq!((find(&mut v, 5 << 28 | 0xABC, 0, 0), found_vsid(&mut v, 5 << 28 | 0xABC, 0, 0)), (2, USER));
        assert_eq!((find(&mut v, 6 << 28, 0, 0), found_vsid(&mut v, 6 << 28, 0, 0)), (0, 0));
        assert!(entry_esid(&mut v, 5, 0, 0));
        assert_eq!(v.result, 5 << 28 | VALID);
        assert!(entry_vsid(&mut v, 6, 0, 0));
        assert_eq!(v.result, KERNEL);
        assert!(invalidate_entry(&mut v, 5 << 28 | 0x7FF, 0, 0));
        assert!(invalidate_entry(&mut v, 3 << 62 | 6 << 40 | 1 << 39, 0, 0), "anywhere in a segment of 1T");
        assert_eq!(left(&v).len(), 30);
        assert!(entry_vsid(&mut v, 6, 0, 0));
        assert_eq!(v.result, 0);
        assert!(move_to_entry(&mut v, USER, 7 << 28 | 7, 0), "an entry that is not valid");
        assert_eq!(v.state.slb[7], SlbEntry::default());
    }

    #[test]
    fn what_no_entry_can_be_is_illegal() {
        for (rs, rb) in [
            (USER, VALID | 32),
            (USER, VALID | 0xFFF),
            (USER, VALID | 0x0100_0000),
            (USER, VALID | 0x1000),
            (2 << 62, VALID),
            (3 << 62, VALID),
            (0x100, VALID), // 16M pages, larger than the partition may have
            (0x130, VALID),
            (0x10, VALID),
        ] {
            let mut v = vcpu(&POWER9);
            assert!(!move_to_entry(&mut v, rs, rb, 0), "{rs:#x} {rb:#x}");
            assert!(
                matches!(v.exit, Exit::Interrupt(i) if i.vector == Vector::Program && i.srr1 == srr1::PROGRAM_ILLEGAL)
            );
            assert_eq!(left(&v), []);
        }
        let mut v = vcpu(&POWER9);
        assert!(!entry_esid(&mut v, 32, 0, 0) && !entry_vsid(&mut v, 99, 0, 0));
        assert!(move_to_entry(&mut v, 0x110, VALID | 31, 0), "64K pages");
    }
}
