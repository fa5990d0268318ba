//! Saved partitions and streams of migrations that were changed, loaded by machines. What the fuzz target `snapshot` runs.

#[allow(missing_docs, unreachable_pub, dead_code)]
#[path = "../../tests/machine/guest.rs"]
mod guest;
mod stream;

use super::sections;
use crate::board::{Config, Machine};
use crate::mmu::Mmu;
use crate::saved::{RAM_ALIGN_BYTES, SavedError};
use crate::shared::{End, Ending};
use crate::topology::Topology;
use crate::{AcceleratorKind, numa::Numa};
use cpu::model::{CpuModel, POWER8, POWER9, POWER10};
use devices::InterruptMode;
use hypervisor::capability::{CapBasis, resolve};
use platform::mock::{Input, MockConsole};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// What loading asks for whatever the file says, at once: a table of jumps for each vCPU is the largest.
const OWN_BYTES: usize = 1 << 20;
/// A stream is read in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;
/// How long the guests ran, and go on, in ns of the virtual clock.
const SAVED_AT_NS: u64 = 5_000;
const GOES_ON_NS: u64 = 500;
/// For messages.
const NAME: &str = "changed";

/// The largest piece of memory that work asks for, in bytes: of an allocator that watches.
pub type Largest<'a> = &'a dyn Fn(&mut dyn FnMut()) -> usize;

/// A machine that was saved.
struct Base {
    kernel: PathBuf,
    model: &'static CpuModel,
    vcpus: usize,
    mmu: Option<Mmu>,
    interrupts: InterruptMode,
    consoles: usize,
    /// With RAM's sums, as in a file, and without.
    file: Vec<u8>,
    state: Vec<u8>,
}

thread_local! {
    static BASES: Vec<Base> = vec![
        Base::new(&POWER9, 2, None, InterruptMode::Dual, 0, SAVED_AT_NS),
        Base::new(&POWER10, 1, Some(Mmu::Radix), InterruptMode::Xive, 2, 0),
        Base::new(&POWER8, 2, Some(Mmu::Hash), InterruptMode::Xics, 1, SAVED_AT_NS),
    ];
}

impl Drop for Base {
    fn drop(&mut self) {
        // If it stays, it is a small file in a directory for such.
        let _ = std::fs::remove_file(&self.kernel);
    }
}

impl Base {
    fn new(
        model: &'static CpuModel,
        vcpus: usize,
        mmu: Option<Mmu>,
        interrupts: InterruptMode,
        consoles: usize,
        ns: u64,
    ) -> Base {
        let kernel = guest::image(&[&guest::LOOP[..], &guest::CALL_RTAS].concat(), &[0x2004, 0, 1, 0]);
        let mut base = Base { kernel, model, vcpus, mmu, interrupts, consoles, file: Vec::new(), state: Vec::new() };
        let mut machine = base.machine();
        runs_for(&mut machine, ns);
        base.file = state(&mut machine, true);
        base.state = state(&mut machine, false);
        base
    }

    /// A machine as the saved one was before it ran.
    fn machine(&self) -> Machine {
        let Base { kernel, model, vcpus, mmu, interrupts, consoles, .. } = self;
        let basis = CapBasis { cpu: model.level.into(), compat: None };
        let mut config = Config {
            model,
            topology: Topology::cores(*vcpus),
            numa: Numa::one(&Topology::cores(*vcpus), 64 << 20),
            capabilities: resolve(&[], basis).expect("the defaults").0,
            mmu: *mmu,
            interrupt_mode: *interrupts,
            consoles: (0..*consoles).map(|_| Arc::new(MockConsole::default()) as _).collect(),
            ..guest::config(kernel.clone(), timing::Clock::virtual_time(0))
        };
        config.accelerator.kind = AcceleratorKind::Interp;
        Machine::new(config).expect("the machine of the saved partition")
    }
}

/// Header and sections.
fn state(machine: &mut Machine, with_ram: bool) -> Vec<u8> {
    let saved = if with_ram { machine.state_with_ram() } else { machine.state(None, Path::new(NAME)) };
    saved.expect("what was loaded can be saved")
}

/// Runs a machine until so much later, also one that arrived stopped.
fn runs_for(machine: &mut Machine, ns: u64) {
    machine.handle().resume().expect("one machine can be resumed");
    let shared = machine.runner.shared.clone();
    let end = move |machine: &mut Machine| machine.runner.shared.end(Ending::End(End::Quit(NAME.into())));
    shared.order_at(machine.clock().ns() + ns, Box::new(end));
    machine.run().expect("a machine that was loaded runs");
}

/// A file that has its name only as long as somebody needs it.
struct Scratch(PathBuf, File);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("aileron-fuzz-{}-{}", std::process::id(), COUNT.fetch_add(1, SeqCst));
        let path = std::env::temp_dir().join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        Scratch(path, file.expect("a file for what is loaded"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Loads what `data` says.
///
/// # Panics
/// If more is allocated than there is in the file, a refusal has no words, or what was loaded is saved and loaded as another.
pub fn snapshot(data: &[u8], largest: Largest<'_>) {
    let mut input = Input::new(data);
    BASES.with(|bases| {
        let base = &bases[usize::from(input.byte()) % bases.len()];
        if input.one_in(3) { of_a_stream(base, &mut input, largest) } else { of_a_file(base, &mut input, largest) }
    });
}

fn of_a_file(base: &Base, input: &mut Input<'_>, largest: Largest<'_>) {
    let bytes = if input.one_in(16) {
        // No more of the form than its beginning.
        let mut bytes = base.file[..usize::from(input.byte()).min(base.file.len())].to_vec();
        let count = usize::from(input.half() % 2048);
        bytes.extend(input.bytes(count));
        sections::mend(&mut bytes);
        bytes
    } else {
        sections::changed(&base.file, input)
    };
    let file = Scratch::new();
    (&file.1).write_all(&bytes).expect("the host has room");
    // Its RAM is zero, or cut off.
    let ram = if input.one_in(16) { u64::from(input.half()) << 12 } else { 64 << 20 };
    file.1.set_len((bytes.len() as u64).next_multiple_of(RAM_ALIGN_BYTES) + ram).expect("the host has room");
    let claim = bytes.get(16..24).map_or(0, |claim| u64::from_le_bytes(claim.try_into().expect("eight bytes")));
    let there = file.1.metadata().map_or(0, |metadata| metadata.len());
    let bound = 2 * claim.min(there) as usize + OWN_BYTES;
    let mut machine = base.machine();
    let mut result: Result<(), SavedError> = Ok(());
    let most = largest(&mut || result = machine.load(&file.0));
    assert!(most <= bound, "{most} bytes at once for a file of {there} that claims {claim} of state");
    settled(base, &mut machine, result.map_err(|error| error.to_string()), input);
}

fn of_a_stream(base: &Base, input: &mut Input<'_>, largest: Largest<'_>) {
    let bytes = stream::changed(&base.state, input);
    let file = Scratch::new();
    (&file.1).write_all(&bytes).expect("the host has room");
    let uri = crate::migration::Uri::File(file.0.clone());
    let mut machine = base.machine();
    let mut result = Ok(());
    let most = largest(&mut || result = machine.receive(&uri));
    let bound = 2 * (bytes.len() + PIECE_BYTES) + OWN_BYTES;
    assert!(most <= bound, "{most} bytes at once for a stream of {}", bytes.len());
    settled(base, &mut machine, result.map_err(|error| error.to_string()), input);
}

/// Either there are words, or a machine that is saved and loaded as itself.
fn settled(base: &Base, machine: &mut Machine, result: Result<(), String>, input: &mut Input<'_>) {
    if let Err(words) = result {
        assert!(!words.is_empty());
        return;
    }
    let saved = state(machine, false);
    let mut second = base.machine();
    second.load_state(&saved, None, Path::new(NAME)).expect("what was loaded is saved so that it can be loaded");
    assert!(state(&mut second, false) == saved, "what was saved is loaded as something else");
    match input.byte() % 8 {
        0 => with_ram(base, machine),
        1 => runs_for(machine, GOES_ON_NS),
        _ => {}
    }
}

/// The same by way of a file.
fn with_ram(base: &Base, machine: &mut Machine) {
    let file = Scratch::new();
    machine.save(&file.0).expect("what was loaded can be saved");
    let mut second = base.machine();
    second.load(&file.0).expect("what was saved can be loaded");
    assert!(state(machine, true) == state(&mut second, true), "with RAM, it is something else");
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn what_is_changed_is_refused_or_loaded() {
        // How much is allocated, the tests of whole machines watch.
        let largest = |work: &mut dyn FnMut()| {
            work();
            0
        };
        for seed in 0..300 {
            snapshot(&some_bytes(seed, 200), &largest);
        }
    }

    #[test]
    fn what_is_not_changed_is_loaded() {
        BASES.with(|bases| {
            for base in bases {
                let mut machine = base.machine();
                machine.load_state(&base.state, None, Path::new(NAME)).unwrap();
                assert!(state(&mut machine, false) == base.state);
                let whole = stream::changed(&base.state, &mut Input::new(&[33; 256]));
                let file = Scratch::new();
                (&file.1).write_all(&whole).unwrap();
                base.machine().receive(&crate::migration::Uri::File(file.0.clone())).unwrap();
            }
        });
    }
}
