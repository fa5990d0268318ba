//! How guest code is executed: what the command line says of it, and the engines that follow from it.

use cpu::CpuModel;
use engine::Engine;
use hypervisor::capability::HostProfile;
use jit::arena::{ARENA_MAX_BYTES, ARENA_MIN_BYTES};
use jit::perf::CodeNames;
use jit::store::{Disk, Options, Translator, TranslatorError, TranslatorStats};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vcpu::Vcpu;

/// Sizes that [`Accelerator::code_cache_bytes`] can have.
pub const CODE_CACHE_BYTES: RangeInclusive<usize> = ARENA_MIN_BYTES..=ARENA_MAX_BYTES;

/// What executes guest code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceleratorKind {
    /// The interpreter alone.
    Interp,
    /// The interpreter, and compiled code for what is executed often.
    Jit,
    /// Two machines, one of either kind, compared all the while.
    Lockstep,
}

/// Where compiled code is kept for the next run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeCache {
    /// Nowhere.
    None,
    /// In the user's cache folder, a file for each build and CPU model.
    OfUser,
    /// In this file.
    File(PathBuf),
}

/// How guest code is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accelerator {
    /// By what.
    pub kind: AcceleratorKind,
    /// The host that is imitated: what it has not, a machine cannot offer, and some of its answers are its own.
    pub host: HostProfile,
    /// Most host memory for compiled code, in bytes.
    pub code_cache_bytes: usize,
    /// Where compiled code is kept for the next run.
    pub code_cache: CodeCache,
    /// Compiled code is listed in `/tmp/perf-PID.map`.
    pub perf_map: bool,
    /// Compiled code is written down in perf's jitdump format, in `jit-PID.dump` in the current folder.
    pub jitdump: bool,
    /// Compiled code counts its instructions under the real clock too, which makes it slower.
    pub counts: bool,
    /// Executions of a block after which it is compiled; at least 1.
    pub threshold: u32,
    /// Lockstep: instructions from one comparison of RAM and devices to the next; at least 1. Registers and console output
    /// are compared all the time.
    pub ram_every: u64,
}

impl Default for Accelerator {
    fn default() -> Accelerator {
        Accelerator {
            kind: AcceleratorKind::Jit,
            host: HostProfile::default(),
            code_cache_bytes: 256 << 20,
            code_cache: CodeCache::None,
            perf_map: false,
            jitdump: false,
            counts: false,
            threshold: 500,
            ram_every: 1 << 24,
        }
    }
}

/// Instructions that a follower runs at most before it is compared again.
pub(crate) const PIECE_INSTRUCTIONS: u64 = 512;

/// What a machine is to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// There is no other.
    Alone,
    /// Lockstep: shows how it should be.
    Leader,
    /// Lockstep: is looked at.
    Follower,
}

/// Makes the engines of a machine, at every boot of it: what its vCPUs share of a compiler is here.
#[derive(Debug)]
pub(crate) struct Engines {
    translator: Option<Arc<Translator>>,
    threshold: u32,
    /// The engines come back after each region, to be compared.
    pieces: bool,
    /// Translated code counts under the real clock too.
    counts: bool,
}

impl Engines {
    /// What all vCPUs of a machine share, for as long as there is the machine.
    ///
    /// # Errors
    /// What the host does not give.
    pub fn new(accelerator: &Accelerator, model: &CpuModel, role: Role) -> Result<Engines, TranslatorError> {
        let compiles = match accelerator.kind {
            AcceleratorKind::Interp => false,
            AcceleratorKind::Jit => true,
            AcceleratorKind::Lockstep => role == Role::Follower,
        };
        let (threshold, pieces, counts) = (accelerator.threshold, role == Role::Follower, accelerator.counts);
        if !compiles {
            return Ok(Engines { translator: None, threshold, pieces, counts });
        }
        let names = CodeNames::new(accelerator.perf_map, accelerator.jitdump.then_some(Path::new(".")))
            .map_err(TranslatorError::from)?;
        let file = match &accelerator.code_cache {
            CodeCache::None => None,
            CodeCache::OfUser => Some(None),
            CodeCache::File(file) => Some(Some(file.clone())),
        };
        // What is compared is what the compiler makes now, in the same order each time.
        let compared = accelerator.kind == AcceleratorKind::Lockstep;
        let options = Options {
            cache_bytes: accelerator.code_cache_bytes,
            background: !compared,
            names: Some(Arc::new(names)),
            link: !pieces,
            disk: file.filter(|_| !compared).map(|file| Disk { file, cpu_model: model.name.into() }),
        };
        Ok(Engines { translator: Some(Arc::new(Translator::new(&options)?)), threshold, pieces, counts })
    }

    /// The engine of a vCPU.
    pub fn engine(&self, vcpu: Vcpu) -> Engine {
        let Some(translator) = &self.translator else { return Engine::new(vcpu) };
        let mut engine = Engine::with_translator(vcpu, translator.clone(), self.threshold);
        engine.set_pieces(self.pieces);
        engine.set_counting(self.counts);
        engine
    }

    /// Forgets what was compiled for an earlier boot, and saves it.
    pub fn reset(&self) {
        if let Some(translator) = &self.translator {
            translator.clear();
        }
    }

    /// Nothing runs any more. Saves what was compiled, and says whether nothing is left to be done when this is dropped.
    pub fn finish(&self) -> bool {
        self.translator.as_ref().is_none_or(|t| t.finish())
    }

    /// What the translator did, if there is one.
    pub fn stats(&self) -> Option<TranslatorStats> {
        self.translator.as_ref().map(|t| t.stats())
    }
}

/// Translated code that an engine ran.
#[derive(Debug)]
pub(crate) struct LastRegion {
    /// Effective address at which it was entered.
    pub address: u64,
    /// Its host code, disassembled, a line an instruction.
    pub host_code: String,
}

/// The translated code that ran last in an engine that comes back after each region; `None`: all of its last run was
/// interpreted.
pub(crate) fn last_region(engine: &mut Engine) -> Option<LastRegion> {
    engine.last_region().map(|(address, host_code)| LastRegion { address, host_code })
}
