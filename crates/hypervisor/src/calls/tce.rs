//! Translation control entries: the DMA windows of devices, by LIOBN. A device brings its table; the calls are here.

use crate::Hypervisor;
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A DMA window's table of translations.
pub trait TceTable: Send + Sync {
    /// Number of entries.
    fn len(&self) -> u64;

    /// Whether the window has no entries.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Base-2 logarithm of the bytes that an entry maps.
    fn page_shift(&self) -> u32;

    /// First I/O address of the window.
    fn base_ioba(&self) -> u64;

    /// Entry `index`, below [`len`](TceTable::len).
    fn get(&self, index: u64) -> u64;

    /// Sets entry `index`, below [`len`](TceTable::len).
    fn set(&self, index: u64, tce: u64);
}

/// The tables there are.
#[derive(Default)]
pub(crate) struct TceRegistry(RwLock<BTreeMap<u32, Arc<dyn TceTable>>>);

/// Largest number of entries in one `H_PUT_TCE_INDIRECT`: a page of them.
const INDIRECT_ENTRIES_MAX: u64 = 512;
/// Alignment of the list of `H_PUT_TCE_INDIRECT`.
const LIST_PAGE_BYTES: u64 = 4096;

impl Hypervisor {
    /// Makes `table` known as `liobn`, in place of one that was there.
    pub fn add_tce_table(&self, liobn: u32, table: Arc<dyn TceTable>) {
        self.tce.0.write().unwrap_or_else(PoisonError::into_inner).insert(liobn, table);
    }

    /// Forgets the table of `liobn`.
    pub fn remove_tce_table(&self, liobn: u32) {
        self.tce.0.write().unwrap_or_else(PoisonError::into_inner).remove(&liobn);
    }

    /// The table of `liobn` and the index there of the first of `count` entries from `ioba` on, when all are in it.
    fn tce_range(&self, liobn: u64, ioba: u64, count: u64) -> Result<(Arc<dyn TceTable>, u64), HcallStatus> {
        let tables = self.tce.0.read().unwrap_or_else(PoisonError::into_inner);
        let table = u32::try_from(liobn).ok().and_then(|liobn| tables.get(&liobn)).ok_or(HcallStatus::H_PARAMETER)?;
        let offset = ioba.checked_sub(table.base_ioba()).ok_or(HcallStatus::H_PARAMETER)?;
        let index = offset.checked_shr(table.page_shift()).ok_or(HcallStatus::H_PARAMETER)?;
        match index.checked_add(count) {
            Some(end) if end <= table.len() => Ok((table.clone(), index)),
            _ => Err(HcallStatus::H_PARAMETER),
        }
    }
}

/// LIOBN, I/O address; the entry goes to r4.
pub(super) fn get_tce(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[liobn, ioba, ..] = args;
    match hypervisor.tce_range(liobn, ioba, 1) {
        Ok((table, index)) => {
            context.vcpu.set_gpr(4, table.get(index));
            HcallStatus::H_SUCCESS
        }
        Err(status) => status,
    }
}

/// LIOBN, I/O address, entry.
pub(super) fn put_tce(hypervisor: &Hypervisor, _: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[liobn, ioba, tce, ..] = args;
    match hypervisor.tce_range(liobn, ioba, 1) {
        Ok((table, index)) => {
            table.set(index, tce);
            HcallStatus::H_SUCCESS
        }
        Err(status) => status,
    }
}

/// LIOBN, I/O address, entry, number of entries that get it.
pub(super) fn stuff_tce(hypervisor: &Hypervisor, _: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[liobn, ioba, tce, count, ..] = args;
    match hypervisor.tce_range(liobn, ioba, count) {
        Ok((table, index)) => {
            (index..index + count).for_each(|index| table.set(index, tce));
            HcallStatus::H_SUCCESS
        }
        Err(status) => status,
    }
}

/// LIOBN, I/O address, real address of a list of entries, their number.
pub(super) fn put_tce_indirect(
    hypervisor: &Hypervisor,
    context: &mut HcallContext<'_>,
    args: &HcallArgs,
) -> HcallStatus {
    let &[liobn, ioba, list_ra, count, ..] = args;
    if count > INDIRECT_ENTRIES_MAX || !list_ra.is_multiple_of(LIST_PAGE_BYTES) {
        return HcallStatus::H_PARAMETER;
    }
    let (table, index) = match hypervisor.tce_range(liobn, ioba, count) {
        Ok(range) => range,
        Err(status) => return status,
    };
    let mut list = [0; LIST_PAGE_BYTES as usize];
    let list = &mut list[..count as usize * 8];
    if context.memory.read(list_ra, list).is_err() {
        return HcallStatus::H_PARAMETER;
    }
    for (index, tce) in (index..).zip(list.as_chunks::<8>().0) {
        table.set(index, u64::from_be_bytes(*tce));
    }
    HcallStatus::H_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use platform::GuestMemory;
    use platform::papr::opcode::*;
    use std::sync::Mutex;

    struct Window(Mutex<Vec<u64>>);

    impl TceTable for Window {
        fn len(&self) -> u64 {
            self.0.lock().unwrap().len() as u64
        }
        fn page_shift(&self) -> u32 {
            12
        }
        fn base_ioba(&self) -> u64 {
            0x10_0000
        }
        fn get(&self, index: u64) -> u64 {
            self.0.lock().unwrap()[index as usize]
        }
        fn set(&self, index: u64, tce: u64) {
            self.0.lock().unwrap()[index as usize] = tce;
        }
    }

    #[test]
    fn without_a_table_every_call_is_refused() {
        let rig = Rig::new("power9", &[]);
        for opcode in [H_GET_TCE, H_PUT_TCE, H_STUFF_TCE, H_PUT_TCE_INDIRECT] {
            for args in [[0; 4], [0x8000_0000, 0, 0, 1], [u64::MAX; 4]] {
                assert_eq!(rig.call(opcode, &args).0, -4);
            }
        }
    }

    #[test]
    fn entries_go_to_the_window_and_not_beside_it() {
        let rig = Rig::new("power9", &[]);
        rig.hypervisor.add_tce_table(5, Arc::new(Window(Mutex::new(vec![0; 16]))));
        assert_eq!(rig.call(H_PUT_TCE, &[5, 0x10_3000, 0xabc3]).0, 0);
        let (code, gpr) = rig.call_registers(H_GET_TCE, &[5, 0x10_3fff]);
        assert_eq!((code.0, gpr[4]), (0, 0xabc3));
        assert_eq!(rig.call(H_STUFF_TCE, &[5, 0x10_0000, 7, 16]).0, 0);
        rig.world.memory.write_be_u64(0x4008, 0x99).unwrap();
        assert_eq!(rig.call(H_PUT_TCE_INDIRECT, &[5, 0x10_e000, 0x4000, 2]).0, 0);
        assert_eq!(rig.call_registers(H_GET_TCE, &[5, 0x10_f000]).1[4], 0x99);
        for args in [[5, 0x11_0000, 0, 1], [5, 0xf_ffff, 0, 1], [5, 0x10_0000, 0, 17], [5, 0x10_1000, 0, u64::MAX]] {
            assert_eq!(rig.call(H_STUFF_TCE, &args).0, -4, "{args:x?}");
        }
        assert_eq!(rig.call(H_PUT_TCE_INDIRECT, &[5, 0x10_0000, 0x4008, 1]).0, -4);
        assert_eq!(rig.call(H_PUT_TCE_INDIRECT, &[5, 0x10_0000, 0x4000, 513]).0, -4);
        assert_eq!(rig.call(H_PUT_TCE_INDIRECT, &[5, 0x10_0000, !0xfff, 1]).0, -4);
        rig.hypervisor.remove_tce_table(5);
        assert_eq!(rig.call(H_GET_TCE, &[5, 0x10_3000]).0, -4);
    }
}
