//! Stand-ins for tests: a partition without engines, memory in a vector, a console in memory.

use crate::{
    Access, CallingVcpu, Clock, Console, Entropy, ExternalInterruptLines, GuestMemory, HcallContext, InputNotifier,
    MemoryError, Mmio, Partition, ProcessTable, RunState, SeededEntropy, Shutdown, StartError, StartRequest,
    TlbInvalidate, check_range,
};
use ::memory::HashTable;
use ::memory::hpt::{PageSizes as HashPageSizes, VirtualPage, shift_for};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

mod input;
pub use input::{Input, some_bytes};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// RAM in a vector.
#[derive(Debug)]
pub struct VecMemory(Mutex<Vec<u8>>);

impl VecMemory {
    /// `size_bytes` zero bytes.
    pub fn new(size_bytes: usize) -> VecMemory {
        VecMemory(Mutex::new(vec![0; size_bytes]))
    }
}

impl GuestMemory for VecMemory {
    fn size_bytes(&self) -> u64 {
        lock(&self.0).len() as u64
    }

    fn read(&self, ra: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let bytes = lock(&self.0);
        check_range(bytes.len() as u64, Access::Read, ra, buffer.len() as u64)?;
        buffer.copy_from_slice(&bytes[ra as usize..][..buffer.len()]);
        Ok(())
    }

    fn write(&self, ra: u64, data: &[u8]) -> Result<(), MemoryError> {
        let mut bytes = lock(&self.0);
        check_range(bytes.len() as u64, Access::Write, ra, data.len() as u64)?;
        bytes[ra as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// No device answers anywhere.
#[derive(Debug, Clone, Copy)]
pub struct NoMmio;

impl Mmio for NoMmio {
    fn answers(&self, _: u64, _: u64) -> bool {
        false
    }

    fn load(&self, _: usize, _: u64, _: u32) -> u64 {
        u64::MAX
    }

    fn store(&self, _: usize, _: u64, _: u32, _: u64) {}
}

/// One vCPU of a [`MockPartition`], as others see it.
#[derive(Debug)]
struct MockCpu {
    state: Mutex<RunState>,
    prodded: AtomicBool,
    external: AtomicBool,
    system_resets: AtomicU64,
    started: Mutex<Option<StartRequest>>,
    lpcr: AtomicU64,
}

/// A partition whose vCPUs execute nothing. Server numbers are indices, unless changed.
#[derive(Debug)]
pub struct MockPartition {
    cpus: Vec<MockCpu>,
    /// Server number of each vCPU.
    pub servers: Vec<u32>,
    process_table: Mutex<ProcessTable>,
    /// The first shutdown asked for.
    pub shutdown: Mutex<Option<Shutdown>>,
    /// Made when it is asked for: most partitions of tests never do.
    hash_table: Mutex<Option<Arc<HashTable>>>,
    page_shift_max: u32,
    /// Virtual pages that were to be forgotten, in order.
    pub forgotten: Mutex<Vec<VirtualPage>>,
    /// Invalidations asked for, in order.
    pub invalidations: Mutex<Vec<TlbInvalidate>>,
    /// Size that it claims, for system parameters.
    pub memory_bytes: u64,
}

impl MockPartition {
    /// `count` vCPUs, of which the first runs.
    pub fn new(count: usize) -> MockPartition {
        let cpu = |index| MockCpu {
            state: Mutex::new(if index == 0 { RunState::Running } else { RunState::Stopped }),
            prodded: AtomicBool::new(false),
            external: AtomicBool::new(false),
            system_resets: AtomicU64::new(0),
            started: Mutex::new(None),
            lpcr: AtomicU64::new(0x3_f008),
        };
        MockPartition {
            cpus: (0..count).map(cpu).collect(),
            servers: (0..count as u32).collect(),
            process_table: Mutex::new(ProcessTable::default()),
            shutdown: Mutex::new(None),
            hash_table: Mutex::new(None),
            page_shift_max: 16,
            forgotten: Mutex::new(Vec::new()),
            invalidations: Mutex::new(Vec::new()),
            memory_bytes: 1 << 30,
        }
    }

    /// Claims `bytes` of memory, and has a hash table as a partition of that size has, for pages up to
    /// `1 << page_shift_max`.
    pub fn claim_memory(&mut self, bytes: u64, page_shift_max: u32) {
        self.memory_bytes = bytes;
        self.page_shift_max = page_shift_max;
        *lock(&self.hash_table) = None;
    }

    fn hash_table(&self) -> Arc<HashTable> {
        let new = || {
            let sizes = HashPageSizes::up_to(self.page_shift_max);
            Arc::new(HashTable::new(shift_for(self.memory_bytes), sizes))
        };
        lock(&self.hash_table).get_or_insert_with(new).clone()
    }

    /// The calling side of vCPU `index`.
    pub fn vcpu(&self, index: usize) -> MockVcpu<'_> {
        MockVcpu {
            partition: self,
            index,
            gpr: [0; 32],
            problem_state: false,
            external_interrupts_enabled: false,
            interrupt_pending: false,
            pcr: 0,
            ciabr: 0,
            dawr: [(0, 0); 2],
            sprg0: 0,
            yielded: None,
        }
    }

    /// LPCR of vCPU `index`.
    pub fn lpcr(&self, index: usize) -> u64 {
        self.cpus[index].lpcr.load(SeqCst)
    }

    /// Puts vCPU `index` into `state`.
    pub fn set_run_state(&self, index: usize, state: RunState) {
        *lock(&self.cpus[index].state) = state;
    }

    /// Level of the external interrupt input of vCPU `index`.
    pub fn external_interrupt(&self, index: usize) -> bool {
        self.cpus[index].external.load(SeqCst)
    }

    /// System resets that vCPU `index` got.
    pub fn system_resets(&self, index: usize) -> u64 {
        self.cpus[index].system_resets.load(SeqCst)
    }

    /// How vCPU `index` was started last.
    pub fn started(&self, index: usize) -> Option<StartRequest> {
        *lock(&self.cpus[index].started)
    }
}

impl Partition for MockPartition {
    fn vcpu_count(&self) -> usize {
        self.cpus.len()
    }

    fn server_of_vcpu(&self, index: usize) -> Option<u32> {
        self.servers.get(index).copied()
    }

    fn vcpu_of_server(&self, server: u32) -> Option<usize> {
        self.servers.iter().position(|&candidate| candidate == server)
    }

    fn run_state(&self, index: usize) -> Option<RunState> {
        self.cpus.get(index).map(|cpu| *lock(&cpu.state))
    }

    fn start(&self, index: usize, request: StartRequest) -> Result<(), StartError> {
        let count = self.cpus.len();
        let cpu = self.cpus.get(index).ok_or(StartError::NoSuchVcpu { index, count })?;
        let mut state = lock(&cpu.state);
        if *state != RunState::Stopped {
            return Err(StartError::NotStopped { index, state: *state });
        }
        *state = RunState::Running;
        *lock(&cpu.started) = Some(request);
        Ok(())
    }

    fn prod(&self, index: usize) {
        let Some(cpu) = self.cpus.get(index) else { return };
        let mut state = lock(&cpu.state);
        match *state {
            RunState::Stopped => {}
            RunState::Running => cpu.prodded.store(true, SeqCst),
            RunState::Ceded | RunState::Joined => *state = RunState::Running,
        }
    }

    fn system_reset(&self, index: usize) {
        if let Some(cpu) = self.cpus.get(index)
            && *lock(&cpu.state) != RunState::Stopped
        {
            cpu.system_resets.fetch_add(1, SeqCst);
        }
    }

    fn process_table(&self) -> ProcessTable {
        *lock(&self.process_table)
    }

    fn request_shutdown(&self, shutdown: Shutdown) {
        lock(&self.shutdown).get_or_insert(shutdown);
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }
}

impl ExternalInterruptLines for MockPartition {
    fn set_external_interrupt(&self, index: usize, asserted: bool) {
        if let Some(cpu) = self.cpus.get(index) {
            cpu.external.store(asserted, SeqCst);
        }
    }
}

/// The calling side of a vCPU. What a handler sets can be read from the fields.
#[derive(Debug)]
pub struct MockVcpu<'a> {
    partition: &'a MockPartition,
    index: usize,
    /// General registers.
    pub gpr: [u64; 32],
    /// MSR[PR].
    pub problem_state: bool,
    /// MSR[EE].
    pub external_interrupts_enabled: bool,
    /// What `interrupt_pending` answers while MSR[EE] is set.
    pub interrupt_pending: bool,
    /// PCR.
    pub pcr: u64,
    /// CIABR.
    pub ciabr: u64,
    /// DAWR and DAWRX.
    pub dawr: [(u64, u64); 2],
    /// SPRG0.
    pub sprg0: u64,
    /// The last yield: `Some(target)`.
    pub yielded: Option<Option<usize>>,
}

impl CallingVcpu for MockVcpu<'_> {
    fn index(&self) -> usize {
        self.index
    }

    fn gpr(&self, number: usize) -> u64 {
        self.gpr[number]
    }

    fn set_gpr(&mut self, number: usize, value: u64) {
        self.gpr[number] = value;
    }

    fn problem_state(&self) -> bool {
        self.problem_state
    }

    fn external_interrupts_enabled(&self) -> bool {
        self.external_interrupts_enabled
    }

    fn set_external_interrupts_enabled(&mut self, enabled: bool) {
        self.external_interrupts_enabled = enabled;
    }

    fn interrupt_pending(&self) -> bool {
        self.external_interrupts_enabled && self.interrupt_pending
    }

    fn take_prod(&mut self) -> bool {
        self.partition.cpus[self.index].prodded.swap(false, SeqCst)
    }

    fn cede(&mut self) {
        self.partition.set_run_state(self.index, RunState::Ceded);
    }

    fn join(&mut self) {
        self.partition.set_run_state(self.index, RunState::Joined);
    }

    fn stop_self(&mut self) {
        self.partition.set_run_state(self.index, RunState::Stopped);
    }

    fn yield_to(&mut self, target: Option<usize>) {
        self.yielded = Some(target);
    }

    fn update_lpcr_all(&mut self, mask: u64, value: u64) {
        for cpu in &self.partition.cpus {
            let old = cpu.lpcr.load(SeqCst);
            cpu.lpcr.store((old & !mask) | (value & mask), SeqCst);
        }
    }

    fn set_process_table(&mut self, table: ProcessTable) {
        *lock(&self.partition.process_table) = table;
    }

    fn invalidate_translations(&mut self, request: &TlbInvalidate) {
        lock(&self.partition.invalidations).push(*request);
    }

    fn hash_table(&self) -> Arc<HashTable> {
        self.partition.hash_table()
    }

    fn set_hash_table(&mut self, table: HashTable) {
        *lock(&self.partition.hash_table) = Some(Arc::new(table));
    }

    fn forget_virtual_page(&mut self, _users: u32, page: VirtualPage) {
        lock(&self.partition.forgotten).push(page);
    }

    fn wait_for_translations(&mut self) {}

    fn relax(&mut self) {
        std::thread::yield_now();
    }

    fn set_pcr(&mut self, value: u64) {
        self.pcr = value;
    }

    fn set_ciabr(&mut self, value: u64) {
        self.ciabr = value;
    }

    fn set_dawr(&mut self, number: usize, dawr: u64, dawrx: u64) {
        self.dawr[number] = (dawr, dawrx);
    }

    fn set_sprg0(&mut self, value: u64) {
        self.sprg0 = value;
    }
}

/// A clock that stands where it was put.
#[derive(Debug, Default)]
pub struct MockClock {
    /// Timebase ticks.
    pub timebase: AtomicU64,
    /// Seconds since 1970.
    pub wall_clock_s: AtomicU64,
}

impl Clock for MockClock {
    fn timebase(&self) -> u64 {
        self.timebase.load(SeqCst)
    }

    fn wall_clock(&self) -> Duration {
        Duration::from_secs(self.wall_clock_s.load(SeqCst))
    }
}

/// A console in memory.
#[derive(Default)]
pub struct MockConsole {
    input: Mutex<VecDeque<u8>>,
    output: Mutex<Vec<u8>>,
    notifier: Mutex<Option<InputNotifier>>,
    /// Takes no output while set.
    pub full: AtomicBool,
}

impl MockConsole {
    /// Types `bytes`.
    pub fn type_in(&self, bytes: &[u8]) {
        lock(&self.input).extend(bytes);
        let notifier = lock(&self.notifier).clone();
        if let Some(notifier) = notifier {
            notifier();
        }
    }

    /// Takes what was written.
    pub fn take_output(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.output))
    }
}

impl Console for MockConsole {
    fn read(&self, buffer: &mut [u8]) -> usize {
        let mut input = lock(&self.input);
        let count = buffer.len().min(input.len());
        for (slot, byte) in buffer.iter_mut().zip(input.drain(..count)) {
            *slot = byte;
        }
        count
    }

    fn write(&self, data: &[u8]) -> usize {
        if self.full.load(SeqCst) {
            return 0;
        }
        lock(&self.output).extend(data);
        data.len()
    }

    fn set_input_notifier(&self, notifier: InputNotifier) {
        let waiting = !lock(&self.input).is_empty();
        *lock(&self.notifier) = Some(notifier.clone());
        if waiting {
            notifier();
        }
    }
}

/// Everything that a handler may touch, but the vCPU.
pub struct MockWorld {
    /// vCPUs.
    pub partition: MockPartition,
    /// RAM.
    pub memory: Arc<VecMemory>,
    /// Registers of devices: none, unless changed.
    pub mmio: Arc<dyn Mmio>,
    /// Time.
    pub clock: MockClock,
    /// Random bytes.
    pub entropy: SeededEntropy,
}

impl MockWorld {
    /// `vcpus` vCPUs and `memory_bytes` of RAM.
    pub fn new(vcpus: usize, memory_bytes: usize) -> MockWorld {
        MockWorld {
            partition: MockPartition::new(vcpus),
            memory: Arc::new(VecMemory::new(memory_bytes)),
            mmio: Arc::new(NoMmio),
            clock: MockClock::default(),
            entropy: SeededEntropy::new(1),
        }
    }

    /// The context of a hypercall of `vcpu`.
    pub fn context<'a>(&'a self, vcpu: &'a mut dyn CallingVcpu) -> HcallContext<'a> {
        HcallContext {
            vcpu,
            partition: &self.partition,
            memory: &*self.memory,
            mmio: &*self.mmio,
            clock: &self.clock,
            entropy: &self.entropy as &dyn Entropy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_tested_without_overflow() {
        let memory = VecMemory::new(0x1_0000);
        assert!(memory.read_be_u64(0xfff8).is_ok());
        assert!(memory.read_be_u64(0xfff9).is_err());
        assert!(memory.read_be_u64(u64::MAX - 3).is_err());
        assert!(memory.write(u64::MAX, &[1]).is_err());
        assert!(memory.read(0x1_0000, &mut []).is_ok());
        assert!(memory.fill(0, u64::MAX, 1).is_err());
        assert!(memory.copy(1, 0, u64::MAX).is_err());
        let text = memory.read_be_u32(0xfffe).unwrap_err().to_string();
        assert!(text.contains("0xfffe") && text.contains("0x10000"), "{text}");
    }

    #[test]
    fn copies_that_overlap_move_the_bytes_as_they_were() {
        let pattern: Vec<u8> = (0..20_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
        for (from, to) in [(100u64, 3000u64), (3000, 100), (50, 51), (51, 50), (7, 7)] {
            let memory = VecMemory::new(0x1_0000);
            memory.write(from, &pattern).unwrap();
            memory.copy(from, to, pattern.len() as u64).unwrap();
            let mut moved = vec![0; pattern.len()];
            memory.read(to, &mut moved).unwrap();
            assert_eq!(moved, pattern, "from {from} to {to}");
        }
    }

    #[test]
    fn fill_covers_the_range_and_nothing_else() {
        let memory = VecMemory::new(0x4000);
        memory.fill(3, 0x2001, 0xaa).unwrap();
        assert_eq!(memory.read_u8(2).unwrap(), 0);
        assert_eq!(memory.read_u8(3).unwrap(), 0xaa);
        assert_eq!(memory.read_u8(0x2003).unwrap(), 0xaa);
        assert_eq!(memory.read_u8(0x2004).unwrap(), 0);
    }

    #[test]
    fn seeded_entropy_repeats() {
        let (one, two) = (SeededEntropy::new(42), SeededEntropy::new(42));
        assert_eq!(one.next_u64(), two.next_u64());
        assert_eq!(one.next_u64(), two.next_u64());
        assert_ne!(SeededEntropy::new(43).next_u64(), SeededEntropy::new(42).next_u64());
    }
}
