//! Accesses by real address on behalf of a guest: `H_LOGICAL_*`, `H_PAGE_INIT`.

use crate::Hypervisor;
use platform::papr::HcallStatus;
use platform::{Access, GuestMemory, HcallArgs, HcallContext, MemoryError, check_range};

fn or_parameter(result: Result<(), MemoryError>) -> HcallStatus {
    if result.is_ok() { HcallStatus::H_SUCCESS } else { HcallStatus::H_PARAMETER }
}

/// Whether an access of `size` bytes at `ra` is one that a device takes.
fn reaches_device(context: &HcallContext<'_>, size: u64, ra: u64) -> bool {
    matches!(size, 1 | 2 | 4 | 8) && ra.is_multiple_of(size) && context.mmio.answers(ra, size)
}

/// Size (1, 2, 4 or 8), address; the value goes to r4.
pub(super) fn load(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[size, ra, ..] = args;
    if reaches_device(context, size, ra) {
        let value = context.mmio.load(context.vcpu.index(), ra, size as u32);
        context.vcpu.set_gpr(4, value);
        return HcallStatus::H_SUCCESS;
    }
    let value = match size {
        1 => context.memory.read_u8(ra).map(u64::from),
        2 => context.memory.read_be_u16(ra).map(u64::from),
        4 => context.memory.read_be_u32(ra).map(u64::from),
        8 => context.memory.read_be_u64(ra),
        _ => return HcallStatus::H_PARAMETER,
    };
    or_parameter(value.map(|value| context.vcpu.set_gpr(4, value)))
}

/// Size (1, 2, 4 or 8), address, value.
pub(super) fn store(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[size, ra, value, ..] = args;
    if reaches_device(context, size, ra) {
        context.mmio.store(context.vcpu.index(), ra, size as u32, value);
        return HcallStatus::H_SUCCESS;
    }
    or_parameter(match size {
        1 => context.memory.write_u8(ra, value as u8),
        2 => context.memory.write_be_u16(ra, value as u16),
        4 => context.memory.write_be_u32(ra, value as u32),
        8 => context.memory.write_be_u64(ra, value),
        _ => return HcallStatus::H_PARAMETER,
    })
}

/// `icbi` and `dcbf` by real address: caches are coherent.
pub(super) fn cache_op(_: &Hypervisor, _: &mut HcallContext<'_>, _: &HcallArgs) -> HcallStatus {
    HcallStatus::H_SUCCESS
}

/// Copy.
const MEMOP_COPY: u64 = 0;
/// Copy, each bit inverted.
const MEMOP_INVERT: u64 = 1;
/// Largest number of elements.
const MEMOP_COUNT_MAX: u64 = 0x8000_0000;

/// Destination, source, base-2 logarithm of the element size, number of elements, operation. The ranges may overlap.
pub(super) fn memop(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[to_ra, from_ra, element_shift, count, operation, ..] = args;
    if element_shift > 3 || count > MEMOP_COUNT_MAX || operation > MEMOP_INVERT {
        return HcallStatus::H_PARAMETER;
    }
    let align_mask = (1 << element_shift) - 1;
    if to_ra & align_mask != 0 || from_ra & align_mask != 0 {
        return HcallStatus::H_PARAMETER;
    }
    let len_bytes = count << element_shift;
    if operation == MEMOP_COPY {
        return or_parameter(context.memory.copy(from_ra, to_ra, len_bytes));
    }
    or_parameter(copy_inverted(context.memory, from_ra, to_ra, len_bytes))
}

fn copy_inverted(memory: &dyn GuestMemory, from_ra: u64, to_ra: u64, len_bytes: u64) -> Result<(), MemoryError> {
    check_range(memory.size_bytes(), Access::Read, from_ra, len_bytes)?;
    memory.copy(from_ra, to_ra, len_bytes)?;
    let mut chunk = [0; 4096];
    let mut done = 0;
    while done < len_bytes {
        let step = (len_bytes - done).min(chunk.len() as u64);
        let bytes = &mut chunk[..step as usize];
        memory.read(to_ra + done, bytes)?;
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        memory.write(to_ra + done, bytes)?;
        done += step;
    }
    Ok(())
}

/// The page of `H_PAGE_INIT`.
const PAGE_BYTES: u64 = 4096;
/// Invalidate the instruction cache.
const FLAG_ICACHE_INVALIDATE: u64 = 1 << (63 - 40);
/// Make the instruction cache see the page.
const FLAG_ICACHE_SYNCHRONIZE: u64 = 1 << (63 - 41);
/// Fill the page with zeros.
const FLAG_ZERO_PAGE: u64 = 1 << (63 - 48);
/// Copy the source page.
const FLAG_COPY_PAGE: u64 = 1 << (63 - 49);
const PAGE_FLAGS: u64 = FLAG_ICACHE_INVALIDATE | FLAG_ICACHE_SYNCHRONIZE | FLAG_ZERO_PAGE | FLAG_COPY_PAGE;

/// Flags, destination page, source page.
pub(super) fn page_init(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, to_ra, from_ra, ..] = args;
    let memory = context.memory;
    let is_page = |ra: u64| ra.is_multiple_of(PAGE_BYTES) && ra < memory.size_bytes();
    if flags & !PAGE_FLAGS != 0 || !is_page(to_ra) {
        return HcallStatus::H_PARAMETER;
    }
    // Writes are seen by whoever translated code from the page, so the instruction-cache flags ask for nothing more.
    if flags & FLAG_COPY_PAGE != 0 {
        if !is_page(from_ra) {
            return HcallStatus::H_PARAMETER;
        }
        or_parameter(memory.copy(from_ra, to_ra, PAGE_BYTES))
    } else if flags & FLAG_ZERO_PAGE != 0 {
        or_parameter(memory.fill(to_ra, PAGE_BYTES, 0))
    } else {
        HcallStatus::H_SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use platform::papr::opcode::*;

    #[test]
    fn loads_and_stores() {
        let rig = Rig::new("power9", &[]);
        let end = rig.world.memory.size_bytes();
        for (size, value) in [(1u64, 0xffu64), (2, 0xfffe), (4, 0xffff_fffc), (8, u64::MAX - 7)] {
            assert_eq!(rig.call(H_LOGICAL_CI_STORE, &[size, 0x100, u64::MAX - size + 1]).0, 0);
            let (code, gpr) = rig.call_registers(H_LOGICAL_CACHE_LOAD, &[size, 0x100]);
            assert_eq!((code.0, gpr[4]), (0, value));
            for wild in [end, end - size + 1, u64::MAX, u64::MAX - 7] {
                assert_eq!(rig.call(H_LOGICAL_CI_LOAD, &[size, wild]).0, -4);
                assert_eq!(rig.call(H_LOGICAL_CACHE_STORE, &[size, wild, 0]).0, -4);
            }
        }
        for size in [0, 3, 16, u64::MAX] {
            assert_eq!(rig.call(H_LOGICAL_CI_LOAD, &[size, 0]).0, -4);
            assert_eq!(rig.call(H_LOGICAL_CI_STORE, &[size, 0, 0]).0, -4);
        }
        assert_eq!(rig.call(H_LOGICAL_ICBI, &[u64::MAX; 4]).0, 0);
        assert_eq!(rig.call(H_LOGICAL_DCBF, &[u64::MAX; 4]).0, 0);
    }

    #[test]
    fn memops() {
        let rig = Rig::new("power9", &[]);
        let memory = &rig.world.memory;
        let end = memory.size_bytes();
        memory.write(0x1000, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        assert_eq!(rig.call(H_LOGICAL_MEMOP, &[0x1004, 0x1000, 2, 2, 0]).0, 0);
        let mut bytes = [0; 12];
        memory.read(0x1000, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(rig.call(H_LOGICAL_MEMOP, &[0x1000, 0x1000, 3, 1, 1]).0, 0);
        memory.read(0x1000, &mut bytes).unwrap();
        assert_eq!(bytes, [!1, !2, !3, !4, !1, !2, !3, !4, 5, 6, 7, 8]);
        for args in [
            [0x1001, 0x1000, 1, 1, 0],
            [0x1000, 0x1004, 3, 1, 0],
            [0, 0, 4, 1, 0],
            [0, 0, u64::MAX, 1, 0],
            [0, 0, 0, 1, 2],
            [0, 0, 0, u64::MAX, 0],
            [0, 8, 3, 0x8000_0000, 0],
            [0, 8, 3, 0x8000_0000, 1],
            [end - 8, 0, 3, 2, 1],
            [0, end - 8, 3, 2, 0],
            [u64::MAX - 7, 0, 3, 1, 0],
        ] {
            assert_eq!(rig.call(H_LOGICAL_MEMOP, &args).0, -4, "{args:x?}");
        }
    }

    #[test]
    fn pages_are_filled_and_copied() {
        let rig = Rig::new("power9", &[]);
        let memory = &rig.world.memory;
        memory.fill(0x2000, 0x2000, 0x55).unwrap();
        assert_eq!(rig.call(H_PAGE_INIT, &[FLAG_ZERO_PAGE, 0x2000, 0]).0, 0);
        assert_eq!((memory.read_u8(0x2fff).unwrap(), memory.read_u8(0x3000).unwrap()), (0, 0x55));
        assert_eq!(rig.call(H_PAGE_INIT, &[FLAG_COPY_PAGE | FLAG_ICACHE_SYNCHRONIZE, 0x2000, 0x3000]).0, 0);
        assert_eq!(memory.read_u8(0x2fff).unwrap(), 0x55);
        for args in [
            [1, 0x2000, 0],
            [FLAG_ZERO_PAGE, 0x2008, 0],
            [FLAG_ZERO_PAGE, memory.size_bytes(), 0],
            [FLAG_ZERO_PAGE, !0xfff, 0],
            [FLAG_COPY_PAGE, 0x2000, 1],
            [FLAG_COPY_PAGE, 0x2000, !0xfff],
        ] {
            assert_eq!(rig.call(H_PAGE_INIT, &args).0, -4, "{args:x?}");
        }
    }
}
