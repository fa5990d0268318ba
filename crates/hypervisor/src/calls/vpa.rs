//! `H_REGISTER_VPA`: the areas that a vCPU shares with the hypervisor, and the counters kept there.

use crate::Hypervisor;
use crate::table::lock;
use platform::papr::HcallStatus;
use platform::{GuestMemory, HcallArgs, HcallContext};
use snapshot::{FieldError, Io};
use std::sync::Mutex;

/// Functions, in the three bits from bit 16 (IBM numbering) on.
const FUNCTION_SHIFT: u32 = 45;
const REGISTER_VPA: u64 = 1;
const REGISTER_DTL: u64 = 2;
const REGISTER_SLB_SHADOW: u64 = 3;
const DEREGISTER_VPA: u64 = 5;
const DEREGISTER_DTL: u64 = 6;
const DEREGISTER_SLB_SHADOW: u64 = 7;

/// Alignment of the VPA: a cache line.
const VPA_ALIGN: u64 = 128;
/// Smallest VPA.
const VPA_BYTES_MIN: u64 = 640;
/// Halfword: size of the VPA. In the other areas the size is a word at the same place.
const SIZE_OFFSET: u64 = 4;
/// Byte: status flags, with the one that tells of a shared processor.
const VPA_STATUS_OFFSET: u64 = 9;
const VPA_STATUS_SHARED_PROCESSOR: u8 = 2;
/// Byte: which dispatches go to the log.
const VPA_DTL_MASK_OFFSET: u64 = 0xb8;
const DTL_MASK_CEDE: u8 = 1;
/// Word: yield count, even while the vCPU is dispatched.
pub(super) const VPA_YIELD_COUNT_OFFSET: u64 = 0x100;
/// Doubleword: number of entries ever written to the dispatch trace log.
const VPA_DTL_INDEX_OFFSET: u64 = 0x1a0;
/// An area other than the log must not cross such a boundary.
const PAGE_BYTES: u64 = 4096;
/// Smallest SLB shadow.
const SLB_SHADOW_BYTES_MIN: u64 = 8;
/// An entry of the dispatch trace log.
const DTL_ENTRY_BYTES: u64 = 48;
/// Dispatch reason in a log entry: returned from cede.
const DTL_REASON_CEDE: u8 = 7;

/// An area in guest memory.
#[derive(Debug, Clone, Copy, Default)]
struct Area {
    ra: u64,
    len_bytes: u64,
}

/// The areas of one vCPU.
#[derive(Debug, Default)]
struct Vpa {
    vpa: Option<Area>,
    slb_shadow: Option<Area>,
    dtl: Option<Area>,
    /// Entries ever written to the log.
    dtl_index: u64,
}

/// The areas of every vCPU.
#[derive(Debug)]
pub(crate) struct Vpas(Vec<Mutex<Vpa>>);

/// What is known of a vCPU when it runs again.
#[derive(Debug, Clone, Copy, Default)]
pub struct DispatchInfo {
    /// The timebase now.
    pub timebase: u64,
    /// How long the vCPU was ready before it ran, in timebase ticks.
    pub ready_ticks: u64,
    /// How long it waited for what woke it, in timebase ticks.
    pub waiting_ticks: u64,
    /// Where it goes on.
    pub nia: u64,
    /// Its MSR.
    pub msr: u64,
}

impl Vpas {
    pub(crate) fn new(count: usize) -> Vpas {
        Vpas((0..count).map(|_| Mutex::default()).collect())
    }

    pub(crate) fn reset(&self) {
        for vpa in &self.0 {
            *lock(vpa) = Vpa::default();
        }
    }

    /// The yield count of vCPU `index`, when it has a VPA.
    pub(super) fn yield_count(&self, index: usize, memory: &dyn GuestMemory) -> Option<u32> {
        let area = lock(self.0.get(index)?).vpa?;
        memory.read_be_u32(area.ra + VPA_YIELD_COUNT_OFFSET).ok()
    }

    /// Advances the yield count to the next value with `parity`. The guest can write there, and then it is its own fault.
    fn count(&self, index: usize, memory: &dyn GuestMemory, parity: u32) {
        let Some(Area { ra, .. }) = self.0.get(index).and_then(|vpa| lock(vpa).vpa) else { return };
        let field = ra + VPA_YIELD_COUNT_OFFSET;
        if let Ok(count) = memory.read_be_u32(field) {
            let next = count.wrapping_add(1);
            let next = if next & 1 == parity { next } else { next.wrapping_add(1) };
            // The area lay in RAM when it was registered, so this cannot fail.
            let _ = memory.write_be_u32(field, next);
        }
    }
}

impl Hypervisor {
    /// To be called when vCPU `index` stops executing: it goes to sleep in a hypercall, or its host thread is to wait.
    pub fn on_cede(&self, index: usize, memory: &dyn GuestMemory) {
        self.vpas.count(index, memory, 1);
    }

    /// To be called when vCPU `index` has to wait though it could go on. Until [`on_resume`](Hypervisor::on_resume) its yield
    /// count is odd, and the guest may give it time (`H_CONFER`).
    pub fn on_preempt(&self, index: usize, memory: &dyn GuestMemory) {
        self.vpas.count(index, memory, 1);
    }

    /// To be called when it goes on. Nothing changes for one that did not wait.
    pub fn on_resume(&self, index: usize, memory: &dyn GuestMemory) {
        if self.vpas.yield_count(index, memory).is_some_and(|count| count & 1 == 1) {
            self.vpas.count(index, memory, 0);
        }
    }

    /// To be called when vCPU `index` executes again after [`on_cede`](Hypervisor::on_cede).
    pub fn on_dispatch(&self, index: usize, memory: &dyn GuestMemory, info: &DispatchInfo) {
        self.vpas.count(index, memory, 0);
        let Some(vpa) = self.vpas.0.get(index) else { return };
        let mut vpa = lock(vpa);
        let (Some(area), Some(log)) = (vpa.vpa, vpa.dtl) else { return };
        if memory.read_u8(area.ra + VPA_DTL_MASK_OFFSET).is_ok_and(|mask| mask & DTL_MASK_CEDE != 0) {
            let ticks = |ticks: u64| u32::try_from(ticks).unwrap_or(u32::MAX).to_be_bytes();
            let mut entry = [0; DTL_ENTRY_BYTES as usize];
            entry[0] = DTL_REASON_CEDE;
            entry[2..4].copy_from_slice(&(index as u16).to_be_bytes());
            entry[8..12].copy_from_slice(&ticks(info.ready_ticks));
            entry[12..16].copy_from_slice(&ticks(info.waiting_ticks));
            entry[16..24].copy_from_slice(&info.timebase.to_be_bytes());
            entry[32..40].copy_from_slice(&info.nia.to_be_bytes());
            entry[40..48].copy_from_slice(&info.msr.to_be_bytes());
            let slot = vpa.dtl_index % (log.len_bytes / DTL_ENTRY_BYTES);
            if memory.write(log.ra + slot * DTL_ENTRY_BYTES, &entry).is_ok() {
                vpa.dtl_index += 1;
                // The index is what tells the guest that the entry is there: it comes after it.
                let _ = memory.write_be_u64(area.ra + VPA_DTL_INDEX_OFFSET, vpa.dtl_index);
            }
        }
    }
}

impl Vpas {
    /// Saves or loads the areas of all vCPUs.
    ///
    /// # Errors
    /// Areas that cannot be.
    pub(crate) fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let Vpas(vpas) = self;
        io.fixed("the number of vCPUs", vpas.len() as u64)?;
        for vpa in vpas {
            let mut vpa = lock(vpa);
            let Vpa { vpa, slb_shadow, dtl, dtl_index } = &mut *vpa;
            for (area, least) in [(vpa, VPA_BYTES_MIN), (slb_shadow, SLB_SHADOW_BYTES_MIN), (dtl, DTL_ENTRY_BYTES)] {
                io.option("an area", area, |io, area| area.fields(io, least))?;
            }
            io.u64("entries of the dispatch trace log", dtl_index)?;
            io.require("entries of the dispatch trace log", *dtl_index, *dtl_index < 1 << 63, "less than 2^63")?;
        }
        Ok(())
    }
}

impl Area {
    fn fields(&mut self, io: &mut Io<'_>, least: u64) -> Result<(), FieldError> {
        let Area { ra, len_bytes } = self;
        io.u64("the address of an area", ra)?;
        io.u64("the size of an area", len_bytes)?;
        // Accesses are checked against RAM; what is wanted here is that sums do not overflow.
        let fits = *ra < 1 << 60 && (least..1 << 32).contains(len_bytes);
        io.require(
            "an area",
            format_args!("{len_bytes} bytes at {ra:#x}"),
            fits,
            format_args!("at least {least} bytes in RAM"),
        )
    }
}

/// Function, vCPU by its server number, address.
pub(super) fn register_vpa(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, server, ra, ..] = args;
    let index = u32::try_from(server).ok().and_then(|server| context.partition.vcpu_of_server(server));
    let Some(vpa) = index.and_then(|index| hypervisor.vpas.0.get(index)) else {
        return HcallStatus::H_PARAMETER;
    };
    let mut vpa = lock(vpa);
    let result = match (flags >> FUNCTION_SHIFT, flags & ((1 << FUNCTION_SHIFT) - 1)) {
        (REGISTER_VPA, 0) => vpa.register_vpa(ra, context.memory),
        (REGISTER_DTL, 0) => vpa.register_dtl(ra, context.memory),
        (REGISTER_SLB_SHADOW, 0) => vpa.register_slb_shadow(ra, context.memory),
        (DEREGISTER_VPA, 0) => vpa.deregister_vpa(),
        (DEREGISTER_DTL, 0) => {
            vpa.dtl = None;
            Ok(())
        }
        (DEREGISTER_SLB_SHADOW, 0) => {
            vpa.slb_shadow = None;
            Ok(())
        }
        _ => Err(HcallStatus::H_PARAMETER),
    };
    result.err().unwrap_or(HcallStatus::H_SUCCESS)
}

/// The area at `ra` with the size that it claims, when it is large enough and in RAM.
fn area(memory: &dyn GuestMemory, ra: u64, claimed: u64, least: u64) -> Result<Area, HcallStatus> {
    let end = ra.checked_add(claimed).filter(|&end| end <= memory.size_bytes());
    if claimed < least || end.is_none() {
        return Err(HcallStatus::H_PARAMETER);
    }
    Ok(Area { ra, len_bytes: claimed })
}

fn in_one_page(area: Area) -> Result<Area, HcallStatus> {
    let (first, last) = (area.ra / PAGE_BYTES, (area.ra + area.len_bytes - 1) / PAGE_BYTES);
    if first == last { Ok(area) } else { Err(HcallStatus::H_PARAMETER) }
}

fn size_field(memory: &dyn GuestMemory, ra: u64) -> Result<u64, HcallStatus> {
    let field = ra.checked_add(SIZE_OFFSET).ok_or(HcallStatus::H_PARAMETER)?;
    memory.read_be_u32(field).map(u64::from).map_err(|_| HcallStatus::H_PARAMETER)
}

impl Vpa {
    fn register_vpa(&mut self, ra: u64, memory: &dyn GuestMemory) -> Result<(), HcallStatus> {
        if ra == 0 {
            // PAPR lets logical address 0 mean something else; nobody puts an area there.
            return Err(HcallStatus::H_HARDWARE);
        }
        if !ra.is_multiple_of(VPA_ALIGN) {
            return Err(HcallStatus::H_PARAMETER);
        }
        // The size is a halfword here: the upper half of what `size_field` reads.
        let area = in_one_page(area(memory, ra, size_field(memory, ra)? >> 16, VPA_BYTES_MIN)?)?;
        let status = memory.read_u8(ra + VPA_STATUS_OFFSET).map_err(|_| HcallStatus::H_PARAMETER)?;
        memory
            .write_u8(ra + VPA_STATUS_OFFSET, status | VPA_STATUS_SHARED_PROCESSOR)
            .map_err(|_| HcallStatus::H_PARAMETER)?;
        self.vpa = Some(area);
        Ok(())
    }

    fn deregister_vpa(&mut self) -> Result<(), HcallStatus> {
        if self.slb_shadow.is_some() || self.dtl.is_some() {
            return Err(HcallStatus::H_RESOURCE);
        }
        self.vpa = None;
        Ok(())
    }

    fn register_slb_shadow(&mut self, ra: u64, memory: &dyn GuestMemory) -> Result<(), HcallStatus> {
        if ra == 0 {
            return Err(HcallStatus::H_HARDWARE);
        }
        let area = in_one_page(area(memory, ra, size_field(memory, ra)?, SLB_SHADOW_BYTES_MIN)?)?;
        if self.vpa.is_none() {
            return Err(HcallStatus::H_RESOURCE);
        }
        self.slb_shadow = Some(area);
        Ok(())
    }

    fn register_dtl(&mut self, ra: u64, memory: &dyn GuestMemory) -> Result<(), HcallStatus> {
        if ra == 0 {
            return Err(HcallStatus::H_HARDWARE);
        }
        let area = area(memory, ra, size_field(memory, ra)?, DTL_ENTRY_BYTES)?;
        if self.vpa.is_none() {
            return Err(HcallStatus::H_RESOURCE);
        }
        self.dtl = Some(area);
        self.dtl_index = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use platform::papr::opcode::H_REGISTER_VPA;

    const VPA: u64 = 0x1_0000;
    const SHADOW: u64 = 0x1_1000;
    const DTL: u64 = 0x1_2000;

    fn call(rig: &Rig, function: u64, server: u64, ra: u64) -> i64 {
        rig.call(H_REGISTER_VPA, &[function << FUNCTION_SHIFT, server, ra]).0
    }

    fn rig() -> Rig {
        let rig = Rig::new("power9", &[]);
        rig.world.memory.write_be_u16(VPA + 4, 640).unwrap();
        rig.world.memory.write_be_u32(SHADOW + 4, 64).unwrap();
        rig.world.memory.write_be_u32(DTL + 4, 480).unwrap();
        rig
    }

    #[test]
    fn areas_are_registered_in_order() {
        let rig = rig();
        assert_eq!(call(&rig, REGISTER_SLB_SHADOW, 0, SHADOW), -16);
        assert_eq!(call(&rig, REGISTER_DTL, 0, DTL), -16);
        assert_eq!(call(&rig, REGISTER_VPA, 0, VPA), 0);
        assert_eq!(rig.world.memory.read_u8(VPA + 9).unwrap(), 2);
        assert_eq!(call(&rig, REGISTER_SLB_SHADOW, 0, SHADOW), 0);
        assert_eq!(call(&rig, DEREGISTER_VPA, 0, 0), -16);
        assert_eq!(call(&rig, DEREGISTER_SLB_SHADOW, 0, 0), 0);
        assert_eq!(call(&rig, REGISTER_DTL, 0, DTL), 0);
        assert_eq!(call(&rig, DEREGISTER_VPA, 0, 0), -16);
        assert_eq!(call(&rig, DEREGISTER_DTL, 0, 0), 0);
        assert_eq!(call(&rig, DEREGISTER_VPA, 0, 0), 0);
    }

    #[test]
    fn wild_areas() {
        let rig = rig();
        let memory = &rig.world.memory;
        memory.write_be_u16(0x2_0f80 + 4, 640).unwrap();
        memory.write_be_u16(0x3_0000 + 4, 639).unwrap();
        memory.write_be_u32(0x4_0000 + 4, u32::MAX).unwrap();
        memory.write_be_u32(0x5_0000 + 4, 7).unwrap();
        for (function, server, ra, code) in [
            (REGISTER_VPA, 0, 0, -1),
            (REGISTER_VPA, 0, VPA + 8, -4),
            (REGISTER_VPA, 0, 0x2_0f80, -4),
            (REGISTER_VPA, 0, 0x3_0000, -4),
            (REGISTER_VPA, 0, !127, -4),
            (REGISTER_VPA, 0, rig.world.memory.size_bytes(), -4),
            (REGISTER_VPA, 99, VPA, -4),
            (REGISTER_VPA, u64::MAX, VPA, -4),
            (REGISTER_VPA, 1 << 32, VPA, -4),
            (REGISTER_SLB_SHADOW, 0, 0, -1),
            (REGISTER_SLB_SHADOW, 0, 0x4_0000, -4),
            (REGISTER_SLB_SHADOW, 0, 0x5_0000, -4),
            (REGISTER_SLB_SHADOW, 0, u64::MAX, -4),
            (REGISTER_DTL, 0, 0, -1),
            (REGISTER_DTL, 0, 0x4_0000, -4),
            (REGISTER_DTL, 0, 0x5_0000, -4),
            (0, 0, VPA, -4),
            (4, 0, VPA, -4),
            (8, 0, VPA, -4),
        ] {
            assert_eq!(call(&rig, function, server, ra), code, "{function} {server} {ra:#x}");
        }
        assert_eq!(rig.call(H_REGISTER_VPA, &[u64::MAX, 0, VPA]).0, -4);
        assert_eq!(rig.call(H_REGISTER_VPA, &[(REGISTER_VPA << FUNCTION_SHIFT) | 1, 0, VPA]).0, -4);
    }

    #[test]
    fn yield_count_and_dispatch_trace_log() {
        let rig = rig();
        let memory = &rig.world.memory;
        let count = || memory.read_be_u32(VPA + 0x100).unwrap();
        call(&rig, REGISTER_VPA, 0, VPA);
        call(&rig, REGISTER_DTL, 0, DTL);
        memory.write_u8(VPA + VPA_DTL_MASK_OFFSET, DTL_MASK_CEDE).unwrap();
        for round in 0..12u32 {
            rig.hypervisor.on_cede(0, memory);
            assert_eq!(count(), 2 * round + 1);
            let info = DispatchInfo { timebase: u64::from(round), waiting_ticks: u64::MAX, ..DispatchInfo::default() };
            rig.hypervisor.on_dispatch(0, memory, &info);
            assert_eq!(count(), 2 * round + 2);
        }
        assert_eq!(memory.read_be_u64(VPA + VPA_DTL_INDEX_OFFSET).unwrap(), 12);
        // Ten entries fit: the eleventh and twelfth overwrote the first and second.
        assert_eq!(memory.read_be_u64(DTL + 48 + 16).unwrap(), 11);
        assert_eq!(memory.read_be_u64(DTL + 2 * 48 + 16).unwrap(), 2);
        assert_eq!(memory.read_be_u32(DTL + 12).unwrap(), u32::MAX);
        // A guest that writes to the counter gets the parity back.
        memory.write_be_u32(VPA + 0x100, u32::MAX).unwrap();
        rig.hypervisor.on_cede(0, memory);
        assert_eq!(count(), 1);
        rig.hypervisor.on_cede(77, memory);
        // Dispatched twice is dispatched once.
        rig.hypervisor.on_resume(0, memory);
        rig.hypervisor.on_resume(0, memory);
        assert_eq!(count(), 2);
        rig.hypervisor.on_preempt(0, memory);
        assert_eq!(count(), 3);
        rig.hypervisor.on_preempt(77, memory);
        rig.hypervisor.on_resume(77, memory);
        memory.write_be_u32(VPA + 0x100, 1).unwrap();
        rig.hypervisor.reset();
        rig.hypervisor.on_cede(0, memory);
        assert_eq!(count(), 1);
    }
}
