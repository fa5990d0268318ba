//! The Open Firmware client interface (IEEE 1275-1994, 6.3, and its PowerPC binding; LoPAPR, "Open Firmware"), served by the
//! machine: a kernel that is entered with r5 != 0 calls a few instructions in guest RAM, which make one private hypercall,
//! and finds itself answered.
//!
//! An argument array is big-endian 32-bit cells: address of the service's name, number of arguments, number of results,
//! arguments, results. What it leads out of RAM with, and what the service cannot be asked, gives -1.

mod claims;
mod services;
mod tree;

use crate::fdt::{Description, Tree, TreeError};
use crate::fdt_writer::flatten;
use crate::negotiation::Agreed;
use crate::shared::lock;
use claims::Claims;
use devices::{Interrupts, VioBus};
use hypervisor::{Hypervisor, call_stub};
use platform::papr::HcallStatus;
use platform::papr::opcode::H_VOF_CLIENT;
use platform::{GuestMemory, Hcall, HcallArgs, HcallContext, PaprDevice};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use tree::LiveTree;

/// Where the entry lies: below everything else that is placed, and above the interrupt vectors.
pub(crate) const ENTRY_RA: u64 = 0x4000;
/// What lies there.
pub(crate) const ENTRY: [u8; 20] = call_stub(H_VOF_CLIENT as u16);
/// End of the stack that the client is entered with (the PowerPC binding wants 32 KiB); its first frame is there.
const STACK_END_RA: u64 = 0x1_0000;
const STACK_FRAME_BYTES: u64 = 0x20;
/// r1 of a client at its first instruction.
pub(crate) const STACK_RA: u64 = STACK_END_RA - STACK_FRAME_BYTES;

/// The interface returns addresses in one cell.
const CLAIM_END: u64 = 1 << 32;
/// Arguments and results of a call.
const CELLS_MAX: usize = 32;
/// Bytes of a service's, property's or method's name.
const NAME_BYTES_MAX: usize = 64;
/// Instances that are open at a time.
const INSTANCES_MAX: usize = 1024;

/// The call failed.
pub(crate) const FAILED: u32 = u32::MAX;

/// The client interface of a machine.
pub(crate) struct ClientInterface {
    board: Arc<Description>,
    /// The kernel, where it was loaded.
    kernel: Range<u64>,
    interrupts: Arc<Interrupts>,
    bus: Arc<VioBus>,
    /// It has this interface in its table, so that neither can own the other.
    hypervisor: OnceLock<Weak<Hypervisor>>,
    state: Mutex<State>,
}

/// What calls change.
struct State {
    tree: LiveTree,
    claims: Claims,
    /// Phandle of each instance that is open, by ihandle.
    instances: BTreeMap<u32, u32>,
    /// The latest ihandle: none is given twice.
    last_instance: u32,
    /// `/chosen/stdout`.
    stdout: Option<u32>,
    /// What the client gave properties, by path and name: stays when the tree is rendered again.
    given: BTreeMap<(String, String), Vec<u8>>,
    rng_seed: [u8; 32],
    /// The client has said that it will not call again: there is nothing to be negotiated any more.
    quiesced: bool,
}

impl ClientInterface {
    /// The interface of `board` with `kernel` in its place.
    pub fn new(
        board: Arc<Description>,
        kernel: Range<u64>,
        interrupts: Arc<Interrupts>,
        bus: Arc<VioBus>,
    ) -> ClientInterface {
        let state = State::new(&board, &kernel, [0; 32]);
        ClientInterface { board, kernel, interrupts, bus, hypervisor: OnceLock::new(), state: Mutex::new(state) }
    }

    /// The hypervisor that calls it. Once.
    pub fn attach(&self, hypervisor: &Arc<Hypervisor>) {
        // A second one would be a second machine's.
        let _ = self.hypervisor.set(Arc::downgrade(hypervisor));
    }

    /// As at power-on, with a new seed. The tree is that of before a negotiation, and is given as a blob.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn power_on(&self, rng_seed: [u8; 32]) -> Result<Vec<u8>, TreeError> {
        let mut state = State::new(&self.board, &self.kernel, rng_seed);
        self.render(&mut state, &self.board.platform.nothing_yet())?;
        let blob = state.blob(&self.board);
        *lock(&self.state) = state;
        blob
    }

    /// Whether the client has said that it will not call again.
    pub fn has_quiesced(&self) -> bool {
        lock(&self.state).quiesced
    }

    /// As if the client had said so: it did, before it was saved.
    pub fn quiesce(&self) {
        lock(&self.state).quiesced = true;
    }

    /// The tree as it stands, as a blob.
    #[cfg(test)]
    pub fn blob(&self) -> Vec<u8> {
        lock(&self.state).blob(&self.board).unwrap_or_default()
    }

    /// Makes the tree anew as agreed on. Phandles and instances stay what they are.
    fn render(&self, state: &mut State, agreed: &Agreed) -> Result<(), TreeError> {
        let Some(hypervisor) = self.hypervisor.get().and_then(Weak::upgrade) else { return Ok(()) };
        hypervisor.set_home_nodes(self.board.home_nodes(agreed));
        let tree = Tree { board: &self.board, hypervisor: &hypervisor, agreed, rtas: None, rng_seed: state.rng_seed };
        state.tree = LiveTree::new(tree.nodes()?);
        state.finish(&self.board);
        Ok(())
    }

    /// The state, while the vCPU that waits for it does what others wait for.
    fn state(&self, context: &mut HcallContext<'_>) -> MutexGuard<'_, State> {
        loop {
            match self.state.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return PoisonError::into_inner(poisoned),
                Err(TryLockError::WouldBlock) => context.vcpu.relax(),
            }
        }
    }

    /// Serves a call. `None`: its array is none, or there is no such service.
    fn call(&self, context: &mut HcallContext<'_>, array: u64) -> Option<()> {
        let memory = context.memory;
        let mut head = [0; 12];
        memory.read(array, &mut head).ok()?;
        let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (name, args, results) = (word(0), word(4) as usize, word(8) as usize);
        if args > CELLS_MAX || results > CELLS_MAX || args + results > CELLS_MAX {
            return None;
        }
        let mut cells = [0; CELLS_MAX];
        let (args, results) = cells[..args + results].split_at_mut(args);
        let mut at = array + head.len() as u64;
        for arg in args.iter_mut() {
            *arg = memory.read_be_u32(at).ok()?;
            at += 4;
        }
        let service = string(memory, name, NAME_BYTES_MAX).as_deref().and_then(services::by_name);
        let fits = service.filter(|service| service.shape.fits(args.len(), results.len()));
        let answer = fits.and_then(|service| {
            let mut state = self.state(context);
            let others = results.get_mut(1..).unwrap_or_default();
            (service.handler)(&mut services::Call { interface: self, state: &mut state, context, args, others })
        });
        if let Some(first) = results.first_mut() {
            *first = answer.unwrap_or(FAILED);
        }
        for result in results.iter() {
            memory.write_be_u32(at, *result).ok()?;
            at += 4;
        }
        fits.map(|_| ())
    }
}

impl State {
    fn new(board: &Description, kernel: &Range<u64>, rng_seed: [u8; 32]) -> State {
        let mut claims = Claims::new(board.ram_bytes.min(CLAIM_END));
        // Vectors, entry and stack; what is loaded lies elsewhere, or nothing would have been built.
        for range in [0..STACK_END_RA, kernel.clone()].into_iter().chain(board.initrd.clone()) {
            claims.at(range.start, range.end - range.start);
        }
        claims.set_floor();
        State {
            tree: LiveTree::default(),
            claims,
            instances: BTreeMap::new(),
            last_instance: 0,
            stdout: None,
            given: BTreeMap::new(),
            rng_seed,
            quiesced: false,
        }
    }

    /// What the interface itself has in the tree: the console's instance, free memory, and what the client put there.
    fn finish(&mut self, board: &Description) {
        if self.stdout.is_none()
            && let Some(vty) = board.vtys.first()
        {
            self.stdout = self.tree.find(&format!("/vdevice/vty@{:x}", vty.reg)).and_then(|node| self.open(node));
        }
        if let (Some(chosen), Some(stdout)) = (self.tree.find("/chosen"), self.stdout) {
            self.tree.set_property(chosen, "stdout", &stdout.to_be_bytes());
        }
        self.tell_free_memory();
        for ((path, name), value) in &self.given {
            if let Some(node) = self.tree.find(path) {
                self.tree.set_property(node, name, value);
            }
        }
    }

    /// `/memory@0/available`.
    fn tell_free_memory(&mut self) {
        let doublewords = self.claims.free().flat_map(|gap| [gap.start, gap.end - gap.start]);
        let value: Vec<u8> = doublewords.flat_map(u64::to_be_bytes).collect();
        if let Some(node) = self.tree.find("/memory@0") {
            self.tree.set_property(node, "available", &value);
        }
    }

    /// An instance of a node.
    fn open(&mut self, phandle: u32) -> Option<u32> {
        let ihandle = self.last_instance.checked_add(1).filter(|ihandle| *ihandle != FAILED)?;
        if self.instances.len() >= INSTANCES_MAX {
            return None;
        }
        self.last_instance = ihandle;
        self.instances.insert(ihandle, phandle);
        Some(ihandle)
    }

    fn blob(&self, board: &Description) -> Result<Vec<u8>, TreeError> {
        let initrd = board.initrd.iter().filter(|range| !range.is_empty());
        let reserved: Vec<_> = initrd.map(|range| (range.start, range.end - range.start)).collect();
        flatten(&reserved, self.tree.nodes())
    }
}

/// A string of at most `bytes_max` bytes with the zero at its end, which has to be there, and to be text.
fn string(memory: &dyn GuestMemory, address: u32, bytes_max: usize) -> Option<String> {
    let mut bytes = Vec::new();
    for at in (u64::from(address)..).take(bytes_max) {
        match memory.read_u8(at).ok()? {
            0 => return String::from_utf8(bytes).ok(),
            byte => bytes.push(byte),
        }
    }
    None
}

impl PaprDevice for ClientInterface {
    /// A partition is saved behind its negotiation only: nothing is left of it then but what the machine says.
    fn sections(&self) -> Vec<&dyn snapshot::Section> {
        Vec::new()
    }

    fn hcalls(&self) -> &[Hcall] {
        &[Hcall { opcode: H_VOF_CLIENT, name: "H_VOF_CLIENT", hypertas: None }]
    }

    fn hcall(&self, _: u64, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
        // The caller is in 32-bit mode: what stands in the upper half of a register is nothing.
        match self.call(context, args[0] & u64::from(u32::MAX)) {
            Some(()) => HcallStatus::H_SUCCESS,
            // In the binding's words -1, "the service does not exist or the array is not valid".
            None => HcallStatus::H_HARDWARE,
        }
    }
}

#[cfg(test)]
mod tests;
