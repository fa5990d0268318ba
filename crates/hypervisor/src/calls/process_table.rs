//! `H_REGISTER_PROC_TBL` and `H_RPT_INVALIDATE`: how the partition translates.

use crate::Hypervisor;
use crate::capability::IsaLevel;
use crate::table::lock;
use cpu::bits::lpcr;
use memory::HashTable;
use memory::hpt::shift_for;
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext, InvalidateScope, PageSizes, ProcessTable, TlbInvalidate};

/// The partition may execute `tlbie` itself.
const FLAG_GTSE: u64 = 0x01;
/// Hash translation with segment tables.
const FLAG_HASH_SEGMENT_TABLES: u64 = 0x02;
/// Radix translation, else hash.
const FLAG_RADIX: u64 = 0x04;
/// With [`FLAG_MODIFY`]: register a table, else deregister the one there is.
const FLAG_REGISTER: u64 = 0x08;
/// Change the registration.
const FLAG_MODIFY: u64 = 0x10;
const FLAGS: u64 = FLAG_GTSE | FLAG_HASH_SEGMENT_TABLES | FLAG_RADIX | FLAG_REGISTER | FLAG_MODIFY;

/// Largest base-2 logarithm of the table's size, less 12.
const TABLE_SIZE_SHIFT_MAX: u64 = 24;

/// Flags, base, page size, size.
pub(super) fn register(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, base, page_size, table_size, ..] = args;
    if hypervisor.level() < IsaLevel::V3_0 {
        // Process tables came with ISA 3.0.
        return HcallStatus::H_FUNCTION;
    }
    if flags & !FLAGS != 0 {
        return HcallStatus::H_PARAMETER;
    }
    let radix = flags & FLAG_RADIX != 0;
    let old = context.partition.process_table();
    let table = if flags & FLAG_MODIFY == 0 {
        if radix != old.radix {
            return HcallStatus::H_PARAMETER;
        }
        old
    } else if flags & FLAG_REGISTER == 0 {
        // The radix-ness stays, so that a guest may deregister with or without the flag.
        ProcessTable { radix: old.radix, ..ProcessTable::default() }
    } else if radix {
        if base & 0xfff != 0 || base >> 60 != 0 {
            return HcallStatus::H_P2;
        }
        if page_size != 0 {
            return HcallStatus::H_P3;
        }
        if table_size > TABLE_SIZE_SHIFT_MAX {
            return HcallStatus::H_P4;
        }
        ProcessTable { radix: true, base_ra: base, size_shift: table_size as u8, registered: true }
    } else {
        // Segments are the SLB's: there are no segment tables.
        if flags & FLAG_HASH_SEGMENT_TABLES != 0 {
            return HcallStatus::H_PARAMETER;
        }
        if base >> 38 != 0 {
            return HcallStatus::H_P2;
        }
        if page_size & !7 != 0 {
            return HcallStatus::H_P3;
        }
        if table_size > TABLE_SIZE_SHIFT_MAX {
            return HcallStatus::H_P4;
        }
        ProcessTable::default()
    };

    if table.radix != old.radix {
        // A table that was prepared was for the translation of before.
        *lock(&hypervisor.prepared_hpt) = None;
        let sizes = context.vcpu.hash_table().sizes();
        let shift = shift_for(context.partition.memory_bytes());
        context.vcpu.set_hash_table(if table.radix { HashTable::none(sizes) } else { HashTable::new(shift, sizes) });
    }
    if table != old {
        context.vcpu.set_process_table(table);
    }
    let mut value = 0;
    if radix {
        value |= lpcr::UPRT | lpcr::HR;
    } else if flags & FLAG_HASH_SEGMENT_TABLES != 0 {
        value |= lpcr::UPRT;
    }
    if flags & FLAG_GTSE != 0 {
        value |= lpcr::GTSE;
    }
    context.vcpu.update_lpcr_all(lpcr::UPRT | lpcr::HR | lpcr::GTSE, value);
    HcallStatus::H_SUCCESS
}

/// All virtual processors of the partition.
const TARGET_CMMU: u64 = 0x01;
/// The calling virtual processor.
const TARGET_CMMU_LOCAL: u64 = 0x02;
/// Accelerators of the partition.
const TARGET_NMMU: u64 = 0x04;

/// A nested partition's translations.
const TYPE_NESTED: u64 = 0x01;
/// Leaf translations.
const TYPE_TLB: u64 = 0x02;
/// Page-walk cache.
const TYPE_PWC: u64 = 0x04;
/// Cached process-table entries.
const TYPE_PRT: u64 = 0x08;

/// PID, target, type, page sizes, start, end.
pub(super) fn rpt_invalidate(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[pid, target, kind, page_sizes, start, end, ..] = args;
    if !context.partition.process_table().radix || kind & TYPE_NESTED != 0 {
        return HcallStatus::H_FUNCTION;
    }
    if pid >> 32 != 0 {
        return HcallStatus::H_PARAMETER;
    }
    if target & !(TARGET_CMMU | TARGET_CMMU_LOCAL | TARGET_NMMU) != 0 {
        return HcallStatus::H_P2;
    }
    if kind & !(TYPE_TLB | TYPE_PWC | TYPE_PRT) != 0 {
        return HcallStatus::H_P3;
    }
    if end < start {
        return HcallStatus::H_P5;
    }
    if target & (TARGET_CMMU | TARGET_CMMU_LOCAL) == 0 || kind == 0 {
        // Nothing that this machine has.
        return HcallStatus::H_SUCCESS;
    }
    let bit = |number: u32| page_sizes >> number & 1 != 0;
    let page_sizes = PageSizes { size_4k: bit(0), size_64k: bit(1), size_2m: bit(2), size_1g: bit(3) };
    // `end` is the first address not meant, but for all ones, which is the end of the address space.
    let last_ea = if end == u64::MAX { end } else { end.saturating_sub(1).max(start) };
    context.vcpu.invalidate_translations(&TlbInvalidate {
        scope: InvalidateScope::Process { pid: pid as u32 },
        tlb: kind & TYPE_TLB != 0,
        page_walk_cache: kind & TYPE_PWC != 0,
        process_table: kind & TYPE_PRT != 0,
        page_sizes,
        start_ea: start,
        last_ea,
    });
    HcallStatus::H_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use platform::CallingVcpu;
    use platform::Partition;
    use platform::papr::opcode::{H_ENTER, H_READ, H_REGISTER_PROC_TBL, H_RPT_INVALIDATE};

    #[test]
    fn checks_of_the_process_table() {
        let rig = Rig::new("power9", &[]);
        for (args, code) in [
            ([0x20, 0, 0, 0], -4),
            ([u64::MAX, 0, 0, 0], -4),
            ([0x1c, 0x800, 0, 4], -55),
            ([0x1c, 1 << 60, 0, 4], -55),
            ([0x1c, 0x1000, 1, 4], -56),
            ([0x1c, 0x1000, 0, 25], -57),
            ([0x1c, 0x1001, 1, 25], -55),
            ([0x1c, 0x1000, 1, 25], -56),
            ([0x1a, 0, 0, 0], -4),
            ([0x18, 1 << 38, 0, 0], -55),
            ([0x18, 0, 8, 0], -56),
            ([0x18, 0, 7, 25], -57),
            ([0x04, 0, 0, 0], -4),
        ] {
            assert_eq!(rig.call(H_REGISTER_PROC_TBL, &args).0, code, "{args:x?}");
        }
        assert_eq!(rig.world.partition.process_table(), ProcessTable::default());
        assert_eq!(Rig::new("power8", &[]).call(H_REGISTER_PROC_TBL, &[0x1d, 0x1000, 0, 0xc]).0, -2);
    }

    #[test]
    fn registration_as_linux_does_it() {
        let rig = Rig::new("power9", &[]);
        let mask = lpcr::UPRT | lpcr::HR | lpcr::GTSE;
        assert_eq!(rig.call(H_REGISTER_PROC_TBL, &[0x1d, 0x3000_0000, 0, 0xc]).0, 0);
        let table = ProcessTable { radix: true, base_ra: 0x3000_0000, size_shift: 0xc, registered: true };
        assert_eq!(rig.world.partition.process_table(), table);
        assert!((0..4).all(|index| rig.world.partition.lpcr(index) & mask == mask));
        // Keep the registration, give GTSE up.
        assert_eq!(rig.call(H_REGISTER_PROC_TBL, &[0x04, 0, 0, 0]).0, 0);
        assert_eq!(rig.world.partition.process_table(), table);
        assert_eq!(rig.world.partition.lpcr(3) & mask, lpcr::UPRT | lpcr::HR);
        // As it is, but not as radix: no.
        assert_eq!(rig.call(H_REGISTER_PROC_TBL, &[0x00, 0, 0, 0]).0, -4);
        // Deregister.
        assert_eq!(rig.call(H_REGISTER_PROC_TBL, &[0x10, 0, 0, 0]).0, 0);
        assert_eq!(rig.world.partition.process_table(), ProcessTable { radix: true, ..ProcessTable::default() });
        assert_eq!(rig.world.partition.lpcr(0) & mask, 0);
    }

    #[test]
    fn there_and_back_with_an_empty_hash_table() {
        let rig = Rig::new("power9", &[]);
        let shift = || rig.world.partition.vcpu(0).hash_table().shift();
        let mask = lpcr::UPRT | lpcr::HR | lpcr::GTSE;
        // As Linux does it with hash translation.
        assert_eq!(rig.call(H_REGISTER_PROC_TBL, &[0, 0, 0, 0]).0, 0);
        assert_eq!((shift(), rig.world.partition.lpcr(1) & mask), (23, 0));
        assert_eq!(rig.call(H_ENTER, &[0, 0, 1, 0x7010]).0, 0);
        assert_eq!(rig.call(H_REGISTER_PROC_TBL, &[0x1d, 0x3000_0000, 0, 0xc]).0, 0);
        assert_eq!(shift(), 0);
        assert_eq!(rig.call(H_REGISTER_PROC_TBL, &[0x18, 0, 0, 0]).0, 0);
        assert_eq!((shift(), rig.world.partition.lpcr(1) & mask), (23, 0));
        assert_eq!(rig.world.partition.process_table(), ProcessTable::default());
        assert_eq!(rig.call_registers(H_READ, &[0, 0]).1[4], 0);
    }

    #[test]
    fn invalidations() {
        let rig = Rig::new("power9", &[("rpt-invalidate", "on")]);
        assert_eq!(rig.call(H_RPT_INVALIDATE, &[1, 1, 2, 1, 0, u64::MAX]).0, -2);
        rig.call(H_REGISTER_PROC_TBL, &[0x1c, 0x3000_0000, 0, 0xc]);
        for (args, code) in [
            ([1, 1, 1, 1, 0, u64::MAX], -2),
            ([1 << 32, 1, 2, 1, 0, u64::MAX], -4),
            ([1, 8, 2, 1, 0, u64::MAX], -55),
            ([1, 1, 16, 1, 0, u64::MAX], -56),
            ([1, 1, 2, 1, 2, 1], -58),
            ([1, 4, 2, 1, 0, u64::MAX], 0),
        ] {
            assert_eq!(rig.call(H_RPT_INVALIDATE, &args).0, code, "{args:x?}");
        }
        assert!(rig.world.partition.invalidations.lock().unwrap().is_empty());
        assert_eq!(rig.call(H_RPT_INVALIDATE, &[7, 1, 6, 3, 0x1000, 0x3000]).0, 0);
        assert_eq!(rig.call(H_RPT_INVALIDATE, &[7, 5, 14, u64::MAX, 0, u64::MAX]).0, 0);
        let seen = rig.world.partition.invalidations.lock().unwrap();
        assert_eq!((seen[0].start_ea, seen[0].last_ea, seen[0].page_walk_cache), (0x1000, 0x2fff, true));
        assert!(seen[0].page_sizes.size_64k && !seen[0].page_sizes.size_2m && !seen[0].process_table);
        assert_eq!((seen[1].last_ea, seen[1].page_sizes), (u64::MAX, PageSizes::ALL));
        assert_eq!(Rig::new("power9", &[]).call(H_RPT_INVALIDATE, &[1, 1, 2, 1, 0, u64::MAX]).0, -2);
    }
}
