//! Saving a partition to a file, and going on from there: which sections there are, in which order, for both directions.

mod file;
mod line;
mod told;

pub use file::{RAM_ALIGN_BYTES, RAM_CHUNK_BYTES};
pub use line::{MachineLine, Refusal};

use crate::board::{Config, Machine};
use crate::calling::walker_table;
use crate::mmu;
use crate::run::{BootRegisters, Turn};
use crate::shared::lock;
use file::RamChunks;
use memory::{HashTable, RamError};
use snapshot::{Archive, SectionId, SnapshotError, Unpacker};
use std::fs::File;
use std::path::{Path, PathBuf};
use thiserror::Error;
use told::{InUse, Told};

const CAPABILITIES: SectionId = SectionId::new("capabilities");
const RAM: SectionId = SectionId::new("ram");
const HASH_TABLE: SectionId = SectionId::new("hash-table");
const CLOCK: SectionId = SectionId::new("clock");
const ENTROPY: SectionId = SectionId::new("entropy");
const CORE: SectionId = SectionId::new("core");
const VCPU: SectionId = SectionId { name: "vcpu", version: 2, oldest: 1 };
const BOOT: SectionId = SectionId::new("boot");

/// Why a partition was not saved or not taken over.
#[derive(Debug, Error)]
pub enum SavedError {
    /// The file.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: std::io::Error,
    },
    /// What stands in it.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SnapshotError,
    },
    /// A chunk of RAM was changed.
    #[error(
        "{}: section 'ram' 0 is damaged: the bytes of real address {address:#x} have the checksum {found:#x}, expected {expected:#x}",
        path.display()
    )]
    DamagedRam {
        /// The file.
        path: PathBuf,
        /// First real address of the chunk.
        address: u64,
        /// What follows from the bytes.
        found: u64,
        /// What stands in the section.
        expected: u64,
    },
    /// Guest RAM cannot show the file's.
    #[error("{}: {source}", path.display())]
    Ram {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RamError,
    },
    /// The partition does not fit on this machine.
    #[error("{} cannot go on here:{}", path.display(), refusals.iter().map(|refusal| format!("\n  {refusal}")).collect::<String>())]
    Refused {
        /// The file.
        path: PathBuf,
        /// All reasons.
        refusals: Vec<Refusal>,
    },
    /// The guest still talks to Open Firmware.
    #[error(
        "the guest has not ended its talk with Open Firmware (it did not call quiesce yet): it can be saved when it has"
    )]
    Negotiating,
    /// There are two machines.
    #[error(
        "-accel lockstep: there are two machines, which can be loaded but not saved; save with -accel interp or -accel jit"
    )]
    Lockstep,
    /// It is over.
    #[error("the machine has ended")]
    Ended,
}

impl Machine {
    /// Saves the machine to a file, in place of one that is there. No vCPU runs.
    ///
    /// # Errors
    /// [`SavedError`]; a file that was there is as it was then.
    pub(crate) fn save(&mut self, path: &Path) -> Result<(), SavedError> {
        let (mut ram, pages) = RamChunks::of(&self.runner.ram.0);
        let state = self.state(Some(&mut ram), path)?;
        file::write(path, &state, &self.runner.ram.0, &pages)
    }

    /// Header and sections with the sums of RAM.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn state_with_ram(&mut self) -> Result<Vec<u8>, SavedError> {
        let mut ram = RamChunks::of(&self.runner.ram.0).0;
        self.state(Some(&mut ram), Path::new("state"))
    }

    /// Header and sections; without `ram` those of a stream, which has RAM beside them. No vCPU runs. `name` is for errors.
    ///
    /// # Errors
    /// Why it cannot be saved now.
    pub(crate) fn state(&mut self, ram: Option<&mut RamChunks>, name: &Path) -> Result<Vec<u8>, SavedError> {
        if self.follower.is_some() {
            return Err(SavedError::Lockstep);
        }
        if self.client.as_ref().is_some_and(|client| !client.has_quiesced()) {
            return Err(SavedError::Negotiating);
        }
        for (engine, _) in &mut self.engines {
            engine.vcpu().serve_mail();
        }
        let mut archive = Archive::Save(Default::default());
        Told::of(&self.config)
            .sections(&mut archive)
            .and_then(|()| ram.map_or(Ok(()), |ram| archive.section(RAM, 0, |io| ram.fields(io))))
            .and_then(|()| self.sections(&mut archive))
            .and_then(|()| archive.finish())
            .map_err(|source| SavedError::Content { path: name.into(), source })
    }

    /// Puts a machine that was never started where the saved one stood. RAM shows the file's, which must not change.
    ///
    /// # Errors
    /// [`SavedError`]; the machine is of no use then.
    pub fn load(&mut self, path: &Path) -> Result<(), SavedError> {
        let (file, state) = file::open(path)?;
        self.load_state(&state, Some(&file), path)?;
        match &mut self.follower {
            Some(follower) => follower.machine.load(path),
            None => Ok(()),
        }
    }

    /// Whether a partition with this state may go on here. `name` is for errors.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_state(&self, state: &[u8], name: &Path) -> Result<(), SavedError> {
        self.archive_that_fits(state, name).map(drop)
    }

    fn archive_that_fits<'a>(&self, state: &'a [u8], name: &Path) -> Result<Archive<'a>, SavedError> {
        let content = |source| SavedError::Content { path: name.into(), source };
        let mut archive = Archive::Load(Unpacker::parse(state).map_err(content)?);
        let mut told = Told::default();
        told.sections(&mut archive).map_err(content)?;
        let in_use = peek(&archive).map_err(content)?;
        let refusals = told.refusals(&self.config, &in_use);
        if refusals.is_empty() { Ok(archive) } else { Err(SavedError::Refused { path: name.into(), refusals }) }
    }

    /// Puts a machine that was never started where another one stood, from header and sections. RAM is `file`'s behind them,
    /// or without one what is there.
    ///
    /// # Errors
    /// [`SavedError`]; the machine is of no use then.
    pub(crate) fn load_state(&mut self, state: &[u8], file: Option<&File>, name: &Path) -> Result<(), SavedError> {
        let content = |source| SavedError::Content { path: name.into(), source };
        let mut archive = self.archive_that_fits(state, name)?;
        if let Some(file) = file {
            let mut ram = RamChunks::of_size(self.config.ram_bytes);
            archive.section(RAM, 0, |io| ram.fields(io)).map_err(content)?;
            let at = file::ram_offset(state.len() as u64);
            let shown = self.runner.ram.0.map_from_file(file, at, &ram.ranges());
            shown.map_err(|source| SavedError::Ram { path: name.into(), source })?;
        }
        self.engines = self.new_engines();
        self.sections(&mut archive).and_then(|()| archive.finish()).map_err(content)?;
        if let Some(client) = &self.client {
            client.quiesce();
        }
        self.is_loaded = true;
        Ok(())
    }

    /// What is saved of a machine that fits, but for its RAM.
    fn sections(&mut self, archive: &mut Archive<'_>) -> Result<(), SnapshotError> {
        let ram_bytes = self.config.ram_bytes;
        let memory = self.runner.ram.0.clone();
        archive.section(HASH_TABLE, 0, |io| {
            if io.is_load() {
                let table = HashTable::load(io, ram_bytes, mmu::page_sizes(&self.config))?;
                memory.set_hash_table(table.into());
                Ok(())
            } else {
                memory.hash_table().save(io)
            }
        })?;
        let clock = self.runner.clock.clone();
        archive.section(CLOCK, 0, |io| {
            let (mut ns, mut start_wall_ns) = (clock.ns(), clock.start_wall_ns());
            io.u64("time in ns", &mut ns)?;
            io.u64("the date of the start in ns", &mut start_wall_ns)?;
            // Two centuries: nothing overflows for the next two.
            io.require("time in ns", ns, ns < 1 << 62, "less than 2^62")?;
            if io.is_load() {
                clock.go_on_from(ns, start_wall_ns);
            }
            Ok(())
        })?;
        let entropy = self.runner.entropy.clone();
        archive.section(ENTROPY, 0, |io| {
            let mut position = entropy.position();
            io.option("the place in a stream that can be repeated", &mut position, |io, place| {
                io.u64("the place", place)
            })?;
            if let (Some(position), true) = (position, io.is_load()) {
                entropy.go_on_from(position);
            }
            Ok(())
        })?;
        let shared = self.runner.shared.clone();
        archive.part(&*shared, 0)?;
        let hypervisor = self.runner.hypervisor.clone();
        for part in hypervisor.sections() {
            archive.part(part, 0)?;
        }
        for (index, core) in self.cores.iter().enumerate() {
            archive.section(CORE, index as u32, |io| core.snapshot(io))?;
        }
        let pcr = self.config.model.pcr(hypervisor.level().instructions());
        for (index, (engine, turn)) in self.engines.iter_mut().enumerate() {
            archive.section(VCPU, index as u32, |io| {
                let vcpu = engine.vcpu();
                shared.with_line(index, || vcpu.snapshot(io))?;
                turn.fields(vcpu, io)?;
                if *turn != Turn::Stopped {
                    io.require(
                        "PCR",
                        format_args!("{:#x}", vcpu.state.pcr),
                        vcpu.state.pcr == pcr,
                        format_args!("{pcr:#x}"),
                    )?;
                }
                if io.is_load() {
                    vcpu.process_table = walker_table(&platform::Partition::process_table(&*shared));
                }
                Ok(())
            })?;
        }
        let boot = &self.runner.boot;
        archive.section(BOOT, 0, |io| {
            io.option(
                "registers of a kernel that was not entered yet",
                &mut *lock(boot),
                |io, boot: &mut BootRegisters| boot.fields(io),
            )?;
            // What hangs together with sections before this one.
            let fits = hypervisor.prepared_hash_table_fits(ram_bytes);
            io.require("the size of the prepared hash table", "none that is given", fits, "one for this much RAM")
        })
    }
}

/// Says whether the partition in a file may go on in a machine of `config`, without moving anything: everything that keeps
/// it from it. RAM is read and compared with its checksums.
///
/// # Errors
/// [`SavedError`]: the file cannot be read, or is damaged.
pub fn check(config: &Config, path: &Path) -> Result<Vec<Refusal>, SavedError> {
    let (file, state) = file::open(path)?;
    let content = |source| SavedError::Content { path: path.into(), source };
    let mut archive = Archive::Load(Unpacker::parse(&state).map_err(content)?);
    let mut told = Told::default();
    told.sections(&mut archive).map_err(content)?;
    let mut ram = RamChunks::of_size(told.line.ram_bytes);
    archive.section(RAM, 0, |io| ram.fields(io)).map_err(content)?;
    ram.verify(path, &file, file::ram_offset(state.len() as u64))?;
    let in_use = peek(&archive).map_err(content)?;
    Ok(told.refusals(config, &in_use))
}

fn peek(archive: &Archive<'_>) -> Result<InUse, SnapshotError> {
    match archive {
        Archive::Load(unpacker) => InUse::peek(unpacker),
        Archive::Save(_) => Ok(InUse::default()),
    }
}
