//! Radix translation with a process table (Power ISA 3.0B/3.1B, Book III, 5.7.10), process-scoped:
//! a partition's real addresses are host RAM offsets.

use crate::Memory;
use cpu::bits::{dsisr, srr1};

const RTS_HIGH: u64 = 0x6000_0000_0000_0000;
const RTS_LOW: u64 = 0xE0;
const BASE_MASK: u64 = 0x0FFF_FFFF_FFFF_FF00;
const SIZE_MASK: u64 = 0x1F;
const VALID: u64 = 1 << 63;
const LEAF: u64 = 1 << 62;
const RPN_MASK: u64 = 0x01FF_FFFF_FFFF_F000;
const REFERENCED: u64 = 0x100;
const CHANGED: u64 = 0x080;
const ATT_MASK: u64 = 0x30;
const ATT_NON_IDEMPOTENT: u64 = 0x20;
const EAA_PRIVILEGED: u64 = 0x8;
const EAA_READ: u64 = 0x4;
const EAA_WRITE: u64 = 0x2;
const EAA_EXECUTE: u64 = 0x1;
/// Bits of an effective address below the quadrant.
const EA_MASK: u64 = 0x3FFF_FFFF_FFFF_FFFF;
/// Bits of an effective address that trees translate. POWER9 and POWER10 have one kind of tree, whose levels take 13, 9, 9 and
/// 9 or 5 bits (their User's Manuals, 4.10.4.1 and 5.10.6.1): all else is a configuration that they have not.
const EA_BITS: u32 = 52;

/// What an access wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Access {
    Load,
    Store,
    Fetch,
}

/// The registered process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessTable {
    /// Real address.
    pub base: u64,
    /// Size in bytes; 0 means that there is none.
    pub size_bytes: u64,
}

/// A successful walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Real address of the byte asked for.
    pub real: u64,
    /// log2 of the page size in bytes.
    pub shift: u32,
    /// Loads are allowed.
    pub read: bool,
    /// Stores are allowed, and the change bit is set.
    pub write: bool,
    /// Only privileged state may touch the page.
    pub privileged: bool,
}

/// A walk that ends in an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Data or instruction segment interrupt: the address is outside what the tables can map.
    Segment,
    /// Data storage interrupt with these DSISR bits ([`dsisr::STORE`] included).
    Data(u32),
    /// Instruction storage interrupt with these SRR1 bits.
    Instruction(u64),
}

/// The authority that the access has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority {
    /// MSR\[PR\].
    pub problem: bool,
    /// AMR.
    pub amr: u64,
    /// IAMR.
    pub iamr: u64,
    /// PIDR; quadrant 3 uses process 0 whatever this is.
    pub pid: u32,
}

/// Walks the tables for `ea`, sets reference and change bits as the access needs, and checks
/// protection.
///
/// # Errors
/// The interrupt to take.
pub fn translate(memory: &Memory, table: ProcessTable, ea: u64, access: Access, who: Authority) -> Result<Leaf, Fault> {
    let pid = match ea >> 62 {
        0 => who.pid,
        3 => 0,
        _ => return Err(Fault::Segment),
    };
    let fail = |data: u32, fetch: u64| {
        let store = if access == Access::Store { dsisr::STORE } else { 0 };
        if access == Access::Fetch { Fault::Instruction(fetch) } else { Fault::Data(data | store) }
    };
    let no_entry = || fail(dsisr::PROCESS_TABLE, u64::from(dsisr::PROCESS_TABLE));
    let bad_config = || fail(dsisr::BAD_CONFIG, srr1::ISI_BAD_CONFIG);
    let no_translation = || fail(dsisr::NO_TRANSLATION, srr1::ISI_NO_TRANSLATION);

    if (ea & EA_MASK) >> EA_BITS != 0 {
        return Err(Fault::Segment);
    }
    let offset = u64::from(pid) * 16;
    if offset >= table.size_bytes {
        return Err(no_translation());
    }
    let root = memory.read_be_u64(table.base + offset).ok_or_else(no_entry)?;
    let size = ((root & RTS_HIGH) >> 58 | (root & RTS_LOW) >> 5) as u32 + 31;
    if size != EA_BITS {
        return Err(bad_config());
    }
    let mut remaining = size;
    let mut base = root & BASE_MASK;
    let mut bits = (root & SIZE_MASK) as u32;
    loop {
        let sizes: &[u32] = match remaining {
            EA_BITS => &[13],
            21 => &[9, 5],
            30.. => &[9],
            _ => &[],
        };
        if !sizes.contains(&bits) {
            return Err(bad_config());
        }
        remaining -= bits;
        let index = (ea & EA_MASK) >> remaining & ((1 << bits) - 1);
        // A table is aligned to its size: lower bits of its address are ignored (Power ISA 3.1B, Book III, 6.7.10.1 and 2).
        let address = (base & !(8u64 << bits).wrapping_sub(1)) + index * 8;
        let entry = memory.read_be_u64(address).ok_or_else(bad_config)?;
        if entry & VALID == 0 {
            return Err(no_translation());
        }
        if entry & LEAF == 0 {
            base = entry & BASE_MASK;
            bits = (entry & SIZE_MASK) as u32;
            continue;
        }
        let leaf =
            check(entry, access, who, remaining, ea).map_err(|()| fail(dsisr::PROTECTION, srr1::ISI_NO_EXECUTE))?;
        let wanted = entry | REFERENCED | if access == Access::Store { CHANGED } else { 0 };
        if wanted != entry && !memory.compare_exchange_be_u64(address, entry, wanted) {
            // Somebody changed the entry meanwhile: look at it again.
            remaining += bits;
            continue;
        }
        return Ok(Leaf { write: leaf.write && wanted & CHANGED != 0, ..leaf });
    }
}

/// Protection of a leaf: what the access may do, or `Err` if not what it wants.
fn check(pte: u64, access: Access, who: Authority, shift: u32, ea: u64) -> Result<Leaf, ()> {
    let privileged = pte & EAA_PRIVILEGED != 0;
    let mut read = pte & (EAA_READ | EAA_WRITE) != 0;
    let mut write = pte & EAA_WRITE != 0;
    let mut execute = pte & EAA_EXECUTE != 0 && pte & ATT_MASK != ATT_NON_IDEMPOTENT;
    if who.problem && privileged {
        return Err(());
    }
    if !who.problem && !privileged {
        // Key 0 is the only one with radix (ISA 3.0B, Book III, 5.7.13.5): AMR bit 0 forbids stores,
        // bit 1 loads, IAMR bit 1 execution.
        write &= who.amr >> 63 == 0;
        read &= who.amr >> 62 & 1 == 0;
        execute &= who.iamr >> 62 & 1 == 0;
    }
    let allowed = match access {
        Access::Load => read,
        Access::Store => write,
        Access::Fetch => execute,
    };
    let offset = (1u64 << shift) - 1;
    let leaf = Leaf { real: pte & RPN_MASK & !offset | ea & offset, shift, read, write, privileged };
    if allowed { Ok(leaf) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: ProcessTable = ProcessTable { base: 0x1_0000, size_bytes: 0x1000 };
    const KERNEL: Authority = Authority { problem: false, amr: 0, iamr: 0, pid: 1 };
    const USER: Authority = Authority { problem: true, ..KERNEL };

    /// Tables as Linux lays them out (13, 9, 9, 9 bits) with one page of each size for process 1.
    fn memory(pte: u64) -> Memory {
        let m = Memory::new(0x10_0000, 1).unwrap();
        let put = |at: u64, v: u64| m.write(at, &v.to_be_bytes()).unwrap();
        // 52-bit space: RTS = 21 = 0b10101.
        put(0x1_0010, 0x4000_0000_0000_0000 | 0xA0 | 0x2_0000 | 13);
        put(0x2_0000, VALID | 0x3_0000 | 9);
        put(0x3_0000, VALID | 0x4_0000 | 9); // EA 0..1G
        put(0x3_0008, VALID | LEAF | 0x4000_0000 | EAA_READ); // EA 1G: 1G leaf
        put(0x4_0000, VALID | 0x5_0000 | 9); // EA 0..2M
        put(0x4_0008, VALID | LEAF | 0x20_0000 | EAA_READ | EAA_EXECUTE); // EA 2M: 2M leaf
        put(0x5_0008, pte); // EA 4K
        m
    }

    fn walk(pte: u64, ea: u64, access: Access, who: Authority) -> Result<Leaf, Fault> {
        translate(&memory(pte), TABLE, ea, access, who)
    }

    #[test]
    fn page_sizes() {
        let pte = VALID | LEAF | 0x7000 | EAA_READ | EAA_WRITE;
        let l = walk(pte, 0x1234, Access::Load, USER).unwrap();
        assert_eq!((l.real, l.shift, l.read, l.write), (0x7234, 12, true, false), "no store before the change bit");
        assert!(walk(pte, 0x1234, Access::Store, USER).unwrap().write);
        assert_eq!(walk(pte, 0x20_1234, Access::Fetch, USER).unwrap().real, 0x20_1234);
        let l = walk(pte, 0x4567_89AB, Access::Load, USER).unwrap();
        assert_eq!((l.real, l.shift), (0x4567_89AB, 30));
    }

    #[test]
    fn reference_and_change_bits_are_set_as_needed() {
        let m = memory(VALID | LEAF | 0x7000 | EAA_READ | EAA_WRITE);
        translate(&m, TABLE, 0x1000, Access::Load, USER).unwrap();
        assert_eq!(m.read_be_u64(0x5_0008).unwrap() & (REFERENCED | CHANGED), REFERENCED);
        translate(&m, TABLE, 0x1000, Access::Store, USER).unwrap();
        assert_eq!(m.read_be_u64(0x5_0008).unwrap() & (REFERENCED | CHANGED), REFERENCED | CHANGED);
    }

    #[test]
    fn protection() {
        use Access::*;
        let data = |bits| Err(Fault::Data(bits));
        let rw = VALID | LEAF | EAA_READ | EAA_WRITE;
        let deny_store = Authority { amr: 1 << 63, ..KERNEL };
        let deny_load = Authority { amr: 1 << 62, ..KERNEL };
        let deny_fetch = Authority { iamr: 1 << 62, ..KERNEL };
        let store = dsisr::PROTECTION | dsisr::STORE;
        assert_eq!(walk(rw | EAA_PRIVILEGED, 0x1000, Load, USER), data(dsisr::PROTECTION));
        assert_eq!(walk(VALID | LEAF | EAA_READ, 0x1000, Store, USER), data(store));
        assert_eq!(walk(rw, 0x1000, Fetch, USER), Err(Fault::Instruction(srr1::ISI_NO_EXECUTE)));
        assert_eq!(walk(rw, 0x1000, Store, deny_store), data(store));
        assert!(walk(rw, 0x1000, Load, deny_store).is_ok());
        assert_eq!(walk(rw, 0x1000, Load, deny_load), data(dsisr::PROTECTION));
        assert!(walk(rw | EAA_PRIVILEGED, 0x1000, Load, deny_load).is_ok(), "key 0 spares privileged pages");
        assert!(walk(rw, 0x1000, Load, Authority { problem: true, ..deny_load }).is_ok(), "and problem state");
        assert!(walk(rw | EAA_EXECUTE, 0x1000, Fetch, deny_fetch).is_err());
    }

    #[test]
    fn wild_tables_and_addresses_are_faults() {
        let none = dsisr::NO_TRANSLATION;
        assert_eq!(walk(0, 0x1000, Access::Load, USER), Err(Fault::Data(none)));
        assert_eq!(walk(0, 0x1000, Access::Fetch, USER), Err(Fault::Instruction(srr1::ISI_NO_TRANSLATION)));
        for ea in [1 << 62, 1 << 63, 1 << 52, 0xC010_0000_0000_0000] {
            let r = walk(0, ea, Access::Load, USER);
            assert!(matches!(r, Err(Fault::Segment | Fault::Data(_))), "{ea:#x}: {r:?}");
        }
        assert_eq!(walk(0, 1 << 63, Access::Load, USER), Err(Fault::Segment));
        // A process id beyond the table, a table beyond RAM, a level of absurd size.
        assert!(walk(0, 0, Access::Load, Authority { pid: 999_999, ..USER }).is_err());
        let m = memory(0);
        assert!(translate(&m, ProcessTable { base: 1 << 50, size_bytes: 4096 }, 0, Access::Load, USER).is_err());
        m.write(0x2_0000, &(VALID | 0x3_0000 | 31).to_be_bytes()).unwrap();
        assert_eq!(translate(&m, TABLE, 0, Access::Load, USER), Err(Fault::Data(dsisr::BAD_CONFIG)));
        // A table's address is that of its size: what is below is ignored. Found by comparison with QEMU.
        for (at, entry) in [
            (0x1_0010, 0x4000_0000_0000_0000 | 0xA0 | 0x2_8000 | 13),
            (0x2_0000, VALID | 0x3_0F00 | 9),
            (0x4_0000, VALID | 0x5_0100 | 9),
        ] {
            let m = memory(VALID | LEAF | 0x7000 | EAA_READ);
            m.write(at, &u64::to_be_bytes(entry)).unwrap();
            let leaf = translate(&m, TABLE, 0x1234, Access::Load, USER).unwrap();
            assert_eq!(leaf.real, 0x7234, "{at:#x} {entry:#x}");
        }
        // Levels of sizes that processors have not, found by comparison with QEMU.
        for (at, entry) in [
            (0x1_0010, 0x4000_0000_0000_0000 | 0xA0 | 0x2_0000 | 12),
            (0x1_0010, 0x4000_0000_0000_0000 | 0x80 | 0x2_0000 | 13),
            (0x1_0010, 0),
            (0x2_0000, VALID | 0x3_0000 | 10),
            (0x3_0000, VALID | 0x4_0000 | 5),
            (0x4_0000, VALID | 0x5_0000 | 6),
            (0x5_0000, VALID | 0x6_0000 | 5),
        ] {
            let m = memory(0);
            m.write(at, &u64::to_be_bytes(entry)).unwrap();
            let fault = translate(&m, TABLE, 0, Access::Load, USER);
            assert_eq!(fault, Err(Fault::Data(dsisr::BAD_CONFIG)), "{at:#x} {entry:#x}");
        }
        m.write(0x2_0000, &(VALID | 0x0FFF_0000_0000_0000 | 9).to_be_bytes()).unwrap();
        assert_eq!(translate(&m, TABLE, 0, Access::Load, USER), Err(Fault::Data(dsisr::BAD_CONFIG)));
    }
}
