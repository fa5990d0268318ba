//! What a saved partition says of the machine that it ran on and of what it uses of it, against the machine that is to take it.

use super::line::{MachineLine, Refusal};
use super::{CAPABILITIES, VCPU};
use crate::board::{self, Config};
use crate::shared::{PARTITION, TranslationOfAll};
use cpu::State;
use cpu::bits::lpcr;
use hypervisor::capability::{CapError, Capabilities, HostCapabilities as _, resolve};
use snapshot::{Archive, SnapshotError, Unpacker};

/// Capabilities that a file may name; a name's and a value's longest form.
const CAPABILITIES_MAX: u64 = 256;
const WORD_BYTES_MAX: u64 = 64;

/// What stands in a file beside the state of a machine.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub line: MachineLine,
    capabilities: Vec<(String, String)>,
}

/// What a partition uses.
#[derive(Debug, Default)]
pub(super) struct InUse {
    translation: TranslationOfAll,
    /// LPCR of each vCPU.
    lpcrs: Vec<(u32, u64)>,
}

impl InUse {
    /// Reads it, and leaves the sections for who loads them.
    ///
    /// # Errors
    /// What keeps them from being read.
    pub fn peek(unpacker: &Unpacker<'_>) -> Result<InUse, SnapshotError> {
        let mut translation = TranslationOfAll::default();
        unpacker.peek(PARTITION, 0, |io| translation.fields(io))?;
        let mut lpcrs = Vec::new();
        for instance in unpacker.instances(VCPU) {
            let mut state = State::default();
            unpacker.peek(VCPU, instance, |io| state.snapshot(io))?;
            lpcrs.push((instance, state.lpcr));
        }
        Ok(InUse { translation, lpcrs })
    }

    fn refusals(&self, config: &Config) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let host = &config.accelerator.host;
        let radix = self.translation.table.radix;
        let (translation, other) = if radix { ("radix", "hash") } else { ("hash", "radix") };
        let has = host.translation();
        let can = if radix { has.radix } else { has.hash };
        if !can {
            refusals.push(Refusal {
                what: "translation".into(),
                differs: format!("the guest translates by {translation}, which the host {} does not have", host.name()),
                remedy: format!("start the source, at its next boot, with -M pseries,mmu={other}"),
            });
        }
        let offered = config.capabilities.ail_modes();
        let starters = [("vCPUs that are started".to_owned(), self.translation.lpcr)];
        let vcpus = self.lpcrs.iter().map(|(index, lpcr)| (format!("vCPU {index}"), *lpcr));
        for (who, lpcr) in vcpus.chain(starters) {
            let mode = (lpcr & lpcr::AIL) >> lpcr::AIL_SHIFT;
            let why = if !offered.contains(mode) {
                format!("this machine offers {} (cap-ail-modes={offered})", offered.words())
            } else if !config.model.has_ail(mode as u8) {
                format!("{} does not have that", config.model.name)
            } else if can && !host.honours(radix).contains(mode) {
                format!("the host {} does not honour that for guests with {translation} translation", host.name())
            } else {
                continue;
            };
            refusals.push(Refusal {
                what: "LPCR[AIL]".into(),
                differs: format!("{who}: mode {mode} is in use, and {why}"),
                remedy: format!("start the source, at its next boot, with -M pseries,cap-ail-modes={}", {
                    let here = host.honours(radix);
                    if here.includes(offered) { offered } else { here }
                }),
            });
        }
        refusals
    }
}

impl Told {
    pub fn of(config: &Config) -> Told {
        let capabilities = config.capabilities.list().map(|(name, value)| (name.to_owned(), value)).collect();
        Told { line: MachineLine::of(config), capabilities }
    }

    pub fn sections(&mut self, archive: &mut Archive<'_>) -> Result<(), SnapshotError> {
        let Told { line, capabilities } = self;
        archive.section(MachineLine::ID, 0, |io| line.fields(io))?;
        archive.section(CAPABILITIES, 0, |io| {
            io.list("capabilities", capabilities, CAPABILITIES_MAX, |io, (name, value)| {
                io.text("the name of a capability", name, WORD_BYTES_MAX)?;
                io.text("the value of a capability", value, WORD_BYTES_MAX)
            })
        })
    }

    /// The capabilities that were saved, all of them.
    fn capabilities(&self) -> Result<Capabilities, Refusal> {
        let options: Vec<_> = self.capabilities.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let saved = self.line.basis().and_then(|basis| {
            resolve(&options, basis)
                .map(|(capabilities, _)| capabilities)
                .map_err(|error| Refusal::unknown_capability(&error))
        })?;
        let missing = saved.list().find(|(name, _)| !options.iter().any(|(known, _)| known == name));
        missing.map_or(Ok(saved.clone()), |(name, _)| Err(Refusal::missing_capability(name)))
    }

    /// Everything that keeps the partition from going on in a machine of `config`.
    pub fn refusals(&self, config: &Config, in_use: &InUse) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if let Err(error) = board::check(config) {
            refusals.push(Refusal::no_machine(&error));
        }
        refusals.extend(self.line.refusals(&MachineLine::of(config)));
        match self.capabilities() {
            Err(refusal) => refusals.push(refusal),
            Ok(saved) => {
                let (warnings, misfits) = config.capabilities.compare_incoming(&saved);
                warnings.iter().for_each(|warning| tracing::debug!("{warning}"));
                refusals.extend(misfits.iter().map(|misfit| Told::misfit(misfit, config, &saved)));
            }
        }
        refusals.extend(in_use.refusals(config));
        refusals
    }

    /// A capability that is not here, and what would help: here, if this machine would start so; else there.
    fn misfit(misfit: &CapError, config: &Config, saved: &Capabilities) -> Refusal {
        let CapError::CannotTakeOver { name, incoming, here, why } = misfit else {
            return Refusal::unknown_capability(misfit);
        };
        let with = |of: &Capabilities, value: &str| {
            let mut all: Vec<(String, String)> = of.list().map(|(name, value)| (name.to_owned(), value)).collect();
            all.push(((*name).to_owned(), value.to_owned()));
            let options: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            resolve(&options, of.basis()).ok().map(|(capabilities, _)| capabilities)
        };
        let starts = |capabilities: Capabilities| board::check_capabilities(config, &capabilities).is_ok();
        let mut remedies = Vec::new();
        if with(&config.capabilities, incoming).is_some_and(starts) {
            remedies.push(format!("start this machine with -M pseries,cap-{name}={incoming}"));
        }
        if with(saved, here).is_some() {
            remedies.push(format!("start the source, at its next boot, with -M pseries,cap-{name}={here}"));
        }
        let remedy = if remedies.is_empty() { "no option of either would help".into() } else { remedies.join("; or ") };
        Refusal { what: format!("cap-{name}"), differs: why.clone(), remedy }
    }
}
