//! `H_ENTER`, `H_READ`, `H_PROTECT`, `H_CLEAR_REF`, `H_CLEAR_MOD`: entries of the hash table (LoPAPR, 14.5.4.1).
//!
//! There is no lock but that of the entry. What a vCPU may still use is forgotten by all, and waited for, before a call
//! returns.

use crate::Hypervisor;
use memory::HashTable;
use memory::hpt::{GROUP, r, v};
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext};

/// Bit `n` of a flags doubleword, as the manual counts.
const fn flag(n: u32) -> u64 {
    1 << (63 - n)
}

/// `H_ENTER`: into this entry, and no other of its group.
const EXACT: u64 = flag(24);
/// `H_READ`: four entries.
const READ_4: u64 = flag(26);
/// The entry must have this AVPN.
pub(super) const AVPN: u64 = flag(32);
/// The entry must have none of these bits.
pub(super) const ANDCOND: u64 = flag(33);

/// Flags, entry, both doublewords.
pub(super) fn enter(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, index, new_v, new_r, ..] = args;
    let table = context.vcpu.hash_table();
    let Some(size) = table.sizes().of_entry(new_v, new_r) else { return HcallStatus::H_PARAMETER };
    let real = new_r & r::RPN & !((1 << size.actual) - 1);
    let storage_control_fits = if real < context.memory.size_bytes() {
        new_r & r::WIMG == r::M
    } else {
        matches!(new_r & (r::W | r::I | r::M), control if control & !r::M == r::I)
    };
    if !storage_control_fits || index >= table.entries() {
        return HcallStatus::H_PARAMETER;
    }
    let group = index / GROUP * GROUP;
    let candidates = if flags & EXACT != 0 { index..index + 1 } else { group..group + GROUP };
    for index in candidates {
        if table.try_lock_free(index) {
            table.set_second(index, new_r);
            table.unlock(index, new_v);
            context.vcpu.set_gpr(4, index);
            return HcallStatus::H_SUCCESS;
        }
    }
    HcallStatus::H_PTEG_FULL
}

/// Flags, entry.
pub(super) fn read(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, index, ..] = args;
    let table = context.vcpu.hash_table();
    if index >= table.entries() {
        return HcallStatus::H_PARAMETER;
    }
    let (first, count) = if flags & READ_4 != 0 { (index & !3, 4) } else { (index, 1) };
    for n in 0..count {
        let (first_half, second) = table.read(first + n);
        context.vcpu.set_gpr(4 + 2 * n as usize, first_half);
        context.vcpu.set_gpr(5 + 2 * n as usize, second);
    }
    HcallStatus::H_SUCCESS
}

/// Whether an entry is the one that was meant.
pub(super) fn matches(entry: u64, flags: u64, avpn: u64) -> bool {
    entry & v::V != 0 && (flags & AVPN == 0 || entry & !0x7F == avpn) && (flags & ANDCOND == 0 || entry & avpn == 0)
}

/// Tells whoever uses entry `index`, which was `old` until now, to forget its page. True if there is something to wait for.
pub(super) fn forget(context: &mut HcallContext<'_>, table: &HashTable, index: u64, old: (u64, u64)) -> bool {
    let users = table.take_users(index);
    let Some(page) = table.page_of(index, old.0, old.1).filter(|_| users != 0) else { return false };
    context.vcpu.forget_virtual_page(users, page);
    true
}

/// Changes bits of the second doubleword of a valid entry, and lets every vCPU forget what it knows of the page.
/// Returns the old one.
fn change(
    context: &mut HcallContext<'_>,
    table: &HashTable,
    index: u64,
    wanted: impl Fn(u64) -> bool,
    (mask, value): (u64, u64),
) -> Result<u64, HcallStatus> {
    if index >= table.entries() {
        return Err(HcallStatus::H_PARAMETER);
    }
    let entry = table.lock(index, || context.vcpu.relax());
    if !wanted(entry) {
        table.unlock(index, entry);
        return Err(HcallStatus::H_NOT_FOUND);
    }
    let old = table.update_second(index, mask, value);
    if forget(context, table, index, (entry, old)) {
        context.vcpu.wait_for_translations();
    }
    table.unlock(index, entry);
    Ok(old)
}

/// Flags, which hold the new protection, entry, AVPN.
pub(super) fn protect(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, index, avpn, ..] = args;
    let low = r::PP | r::N | r::KEY_LOW;
    let value = flags << 55 & r::PP0 | flags << 48 & r::KEY_HIGH | flags & low;
    let bits = (r::PP0 | r::KEY_HIGH | low, value);
    let table = context.vcpu.hash_table();
    let found = change(context, &table, index, |entry| matches(entry, flags & AVPN, avpn), bits);
    found.map_or_else(|status| status, |_| HcallStatus::H_SUCCESS)
}

/// Clears a bit; r4 tells how the second doubleword was.
fn clear(context: &mut HcallContext<'_>, index: u64, bit: u64) -> HcallStatus {
    let table = context.vcpu.hash_table();
    match change(context, &table, index, |entry| entry & v::V != 0, (bit, 0)) {
        Ok(old) => {
            context.vcpu.set_gpr(4, old);
            HcallStatus::H_SUCCESS
        }
        Err(status) => status,
    }
}

/// Flags, entry.
pub(super) fn clear_ref(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    clear(context, args[1], r::R)
}

/// Flags, entry.
pub(super) fn clear_mod(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    clear(context, args[1], r::C)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use memory::hpt::Found;
    use platform::CallingVcpu;
    use platform::papr::opcode::*;

    /// A rig whose table has `1 << 18` bytes: 0x4000 entries.
    pub fn rig() -> Rig {
        let mut rig = Rig::new("power9", &[]);
        rig.world.partition.claim_memory(1 << 20, 16);
        rig
    }

    const ENTRY: u64 = 0x1234_5680 | v::V;

    /// vCPU 0 uses an entry.
    fn used_by_0(rig: &Rig, index: u64) {
        let table = rig.world.partition.vcpu(0).hash_table();
        let (v, r) = table.read(index);
        assert!(table.note_user(&Found { index, v, r, actual: 12 }, 0));
    }

    #[test]
    fn enter_takes_what_a_partition_may_map() {
        let rig = rig();
        for (index, first, second, code) in [
            (0x3ff9, ENTRY, 0x7010u64, 0),
            (0x4000, ENTRY, 0x7010, -4),
            (u64::MAX, ENTRY, 0x7010, -4),
            // RAM is coherent and nothing else; what lies behind it is caching inhibited.
            (0, ENTRY, 0x7000, -4),
            (0, ENTRY, 0x7018, -4),
            (0, ENTRY, 0x7030, -4),
            (0, ENTRY, 0x10_0010, -4),
            (0, ENTRY, 0x10_0020, 0),
            (0, ENTRY, 0x10_0038, 0),
            (0, ENTRY, 0x10_0070, -4),
            (0, ENTRY, u64::MAX, -4),
            // 64K, and what is no page size here: 16M, 64K in a segment of 4K pages.
            (0, ENTRY | v::L, 0x1010, 0),
            (0, ENTRY | v::L, 0x8010, -4),
            (0, ENTRY | v::L, 0x7010, -4),
            (0, ENTRY | v::L, 0x0010, -4),
        ] {
            assert_eq!(rig.call(H_ENTER, &[0, index, first, second]).0, code, "{index:#x} {first:#x} {second:#x}");
        }
    }

    #[test]
    fn a_group_has_eight_places() {
        let rig = rig();
        for n in 0..8 {
            let (status, gpr) = rig.call_registers(H_ENTER, &[0, 0x13, ENTRY, 0x7010 | n << 12]);
            assert_eq!((status.0, gpr[4]), (0, 0x10 + n));
        }
        assert_eq!(rig.call(H_ENTER, &[0, 0x10, ENTRY, 0x7010]).0, -6);
        assert_eq!(rig.call(H_ENTER, &[EXACT, 0x12, ENTRY, 0x7010]).0, -6);
        let (status, gpr) = rig.call_registers(H_ENTER, &[EXACT, 0x1d, ENTRY | 0x60, 0x7010]);
        assert_eq!((status.0, gpr[4]), (0, 0x1d));
        let (status, gpr) = rig.call_registers(H_READ, &[READ_4, 0x1e]);
        assert_eq!(status.0, 0);
        assert_eq!(gpr[4..12], [0, 0, ENTRY, 0x7010, 0, 0, 0, 0]);
        let (_, gpr) = rig.call_registers(H_READ, &[0, 0x1d, 9, 9]);
        assert_eq!(gpr[4..8], [ENTRY, 0x7010, 9, 9]);
        assert_eq!(rig.call(H_READ, &[0, 0x4000]).0, -4);
    }

    #[test]
    fn protection_is_replaced_and_the_page_forgotten() {
        let rig = rig();
        rig.call(H_ENTER, &[EXACT, 0x20, ENTRY, 0x7010 | r::R | r::C]);
        let avpn = ENTRY & !0x7F;
        assert_eq!(rig.call(H_PROTECT, &[AVPN, 0x20, avpn + 0x80]).0, -7);
        assert_eq!(rig.call(H_PROTECT, &[0, 0x21, 0]).0, -7);
        assert_eq!(rig.call(H_PROTECT, &[0, 0x4000, 0]).0, -4);
        assert!(rig.world.partition.forgotten.lock().unwrap().is_empty());
        used_by_0(&rig, 0x20);
        // PP0 is flag bit 55 from the right's top, keys come in two pieces.
        let flags = AVPN | 1 << 8 | 3 << 12 | 0xE00 | 7;
        assert_eq!(rig.call(H_PROTECT, &[flags, 0x20, avpn]).0, 0);
        let second = r::PP0 | r::KEY_HIGH | 0x7010 | r::KEY_LOW | r::R | r::C | r::N | r::PP;
        assert_eq!(rig.call_registers(H_READ, &[0, 0x20]).1[4..6], [ENTRY, second]);
        let page = rig.world.partition.forgotten.lock().unwrap()[0];
        assert_eq!((page.segment, page.segment_shift, page.shift), (ENTRY >> 12, 28, 12));
    }

    #[test]
    fn reference_and_change_bits_are_read_and_cleared() {
        let rig = rig();
        rig.call(H_ENTER, &[EXACT, 0x20, ENTRY, 0x7010 | r::R | r::C]);
        let call = |opcode, index| rig.call_registers(opcode, &[0, index]);
        used_by_0(&rig, 0x20);
        assert_eq!(call(H_CLEAR_REF, 0x21).0.0, -7);
        assert_eq!(call(H_CLEAR_MOD, 0x4000).0.0, -4);
        assert_eq!((call(H_CLEAR_REF, 0x20).1[4], call(H_CLEAR_MOD, 0x20).1[4]), (0x7190, 0x7090));
        assert_eq!((call(H_CLEAR_REF, 0x20).1[4], call(H_READ, 0x20).1[5]), (0x7010, 0x7010));
        assert_eq!(rig.world.partition.forgotten.lock().unwrap().len(), 1, "nobody used it any more");
    }

    #[test]
    fn a_radix_partition_has_no_entries() {
        let rig = rig();
        rig.call(H_REGISTER_PROC_TBL, &[0x1d, 0x1000, 0, 0]);
        for opcode in [H_ENTER, H_READ, H_PROTECT, H_REMOVE, H_CLEAR_REF] {
            assert_eq!(rig.call(opcode, &[0, 0, ENTRY, 0x7010]).0, -4, "{opcode:#x}");
        }
    }
}
