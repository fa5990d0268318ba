//! `H_RESIZE_HPT_PREPARE` and `H_RESIZE_HPT_COMMIT`: the hash table becomes another one.
//!
//! A new table costs nothing until it is used, so that preparing is done at once. The guest sees to it that nobody changes
//! entries during the commit; what somebody changes all the same is lost, and nothing else.

use crate::Hypervisor;
use crate::table::lock;
use memory::HashTable;
use memory::hpt::{SHIFT_MAX, SHIFT_MIN, shift_for};
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext};

/// Flags, log2 of the size in bytes, or 0 to give up.
pub(super) fn prepare(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, shift, ..] = args;
    if context.vcpu.hash_table().shift() == 0 {
        // Radix: there is no table.
        return HcallStatus::H_NOT_AVAILABLE;
    }
    if flags != 0 || shift != 0 && !(u64::from(SHIFT_MIN)..=u64::from(SHIFT_MAX)).contains(&shift) {
        return HcallStatus::H_PARAMETER;
    }
    // A size more than what is usual, and no further: the host's memory is not the guest's.
    if shift > u64::from(shift_for(context.partition.memory_bytes()) + 1) {
        return HcallStatus::H_RESOURCE;
    }
    *lock(&hypervisor.prepared_hpt) = (shift != 0).then_some(shift as u32);
    HcallStatus::H_SUCCESS
}

/// Flags, log2 of the size in bytes.
pub(super) fn commit(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, shift, ..] = args;
    if flags != 0 {
        return HcallStatus::H_PARAMETER;
    }
    let mut prepared = lock(&hypervisor.prepared_hpt);
    let Some(shift) = prepared.take_if(|prepared| u64::from(*prepared) == shift) else { return HcallStatus::H_CLOSED };
    drop(prepared);
    let old = context.vcpu.hash_table();
    let new = HashTable::new(shift, old.sizes());
    if !old.rehash_into(&new) {
        return HcallStatus::H_PTEG_FULL;
    }
    context.vcpu.set_hash_table(new);
    HcallStatus::H_SUCCESS
}

#[cfg(test)]
mod tests {
    use crate::calls::test_support::Rig;
    use memory::hpt::v;
    use platform::papr::opcode::*;
    use platform::{CallingVcpu, HcallContext};

    const EXACT: u64 = 1 << 39;

    #[test]
    fn sizes_that_may_be() {
        let rig = Rig::new("power9", &[]);
        for (flags, shift, code) in [
            (1, 20, -4),
            (0, 17, -4),
            (0, 47, -4),
            (0, u64::MAX, -4),
            (0, 25, -16),
            (0, 46, -16),
            (0, 24, 0),
            (0, 0, 0),
        ] {
            assert_eq!(rig.call(H_RESIZE_HPT_PREPARE, &[flags, shift]).0, code, "{shift}");
        }
        for (flags, shift, code) in [(1, 24, -4), (0, 24, 2), (0, 0, 2), (0, u64::MAX, 2)] {
            assert_eq!(rig.call(H_RESIZE_HPT_COMMIT, &[flags, shift]).0, code, "given up: {shift}");
        }
        rig.call(H_REGISTER_PROC_TBL, &[0x1d, 0x1000, 0, 0]);
        assert_eq!(rig.call(H_RESIZE_HPT_PREPARE, &[0, 24]).0, 3);
    }

    #[test]
    fn a_partition_that_went_to_radix_trees_prepared_nothing() {
        let rig = Rig::new("power9", &[]);
        assert_eq!(rig.call(H_RESIZE_HPT_PREPARE, &[0, 24]).0, 0);
        rig.call(H_REGISTER_PROC_TBL, &[0x1d, 0x1000, 0, 0]);
        assert_eq!(rig.call(H_RESIZE_HPT_COMMIT, &[0, 24]).0, 2);
        assert_eq!(rig.world.partition.vcpu(0).hash_table().shift(), 0);
    }

    #[test]
    fn bolted_entries_move_others_go() {
        let mut rig = Rig::new("power9", &[]);
        rig.world.partition.claim_memory(64 << 20, 16);
        let shift = || rig.world.partition.vcpu(0).hash_table().shift();
        assert_eq!(shift(), 19);
        // Segment 0, page 5: hash 5 in every table. Segment 0x800, page 0: 0x800, folded to 0 in a table of 2^18 bytes.
        for (index, entry) in
            [(5 * 8, v::V | v::BOLTED), (6 * 8, v::V), (0x800 * 8 + 1, 0x800 << 12 | v::V | v::BOLTED)]
        {
            assert_eq!(rig.call(H_ENTER, &[EXACT, index, entry, 0x7010]).0, 0);
        }
        assert_eq!(rig.call(H_RESIZE_HPT_PREPARE, &[0, 18]).0, 0);
        assert_eq!(rig.call(H_RESIZE_HPT_COMMIT, &[0, 19]).0, 2, "another one was prepared");
        assert_eq!(rig.call(H_RESIZE_HPT_COMMIT, &[0, 18]).0, 0);
        assert_eq!(shift(), 18);
        let first = |index| rig.call_registers(H_READ, &[0, index]).1[4];
        assert_eq!((first(40), first(48), first(1)), (v::V | v::BOLTED, 0, 0x800 << 12 | v::V | v::BOLTED));
        assert_eq!(rig.call(H_RESIZE_HPT_COMMIT, &[0, 18]).0, 2, "once");
    }

    #[test]
    fn two_bolted_entries_do_not_share_a_place() {
        let mut rig = Rig::new("power9", &[]);
        rig.world.partition.claim_memory(64 << 20, 16);
        for (index, segment) in [(0u64, 0u64), (0x800 * 8, 0x800)] {
            assert_eq!(rig.call(H_ENTER, &[EXACT, index, segment << 12 | v::V | v::BOLTED, 0x7010]).0, 0);
        }
        rig.call(H_RESIZE_HPT_PREPARE, &[0, 18]);
        assert_eq!(rig.call(H_RESIZE_HPT_COMMIT, &[0, 18]).0, -6);
        let mut vcpu = rig.world.partition.vcpu(0);
        assert_eq!(vcpu.hash_table().shift(), 19, "as it was");
        let _: HcallContext<'_> = rig.world.context(&mut vcpu);
    }
}
