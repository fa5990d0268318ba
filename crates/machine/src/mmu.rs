//! How the partition translates: where no firmware negotiates it, the machine decides as it would have ended.

use crate::board::Config;
use crate::error::MachineError;
use hypervisor::capability::{Cap, IsaLevel, Setting, Translation};
use memory::hpt::PageSizes;

/// Translation of a partition, as it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mmu {
    /// Radix trees in the guest's memory.
    Radix,
    /// Segments, and a hash table of the hypervisor's.
    Hash,
}

/// What the machine starts with: what was asked for, or radix where processor and guest have it.
///
/// # Errors
/// [`MachineError::NoRadix`], [`MachineError::NoRadixByCompat`].
pub(crate) fn decide(config: &Config) -> Result<Mmu, MachineError> {
    let compat_has = config.capabilities.basis().effective() >= IsaLevel::V3_0;
    match config.mmu {
        Some(Mmu::Radix) if !config.model.radix => Err(MachineError::NoRadix(config.model.name)),
        Some(Mmu::Radix) if !compat_has => Err(MachineError::NoRadixByCompat),
        Some(mmu) => Ok(mmu),
        None if config.model.radix && compat_has && !disables_radix(&config.append) => Ok(Mmu::Radix),
        None => Ok(Mmu::Hash),
    }
}

/// How the guest may come to translate: as it starts, or as it negotiates.
///
/// # Errors
/// As [`decide`].
pub(crate) fn wanted(config: &Config) -> Result<Translation, MachineError> {
    let decided = decide(config)?;
    let open = config.client_interface && config.mmu.is_none();
    Ok(Translation {
        radix: decided == Mmu::Radix || open && possible(config).radix,
        hash: decided == Mmu::Hash || open,
    })
}

/// What the processor that the guest sees can do.
pub(crate) fn possible(config: &Config) -> Translation {
    let level = config.capabilities.basis().effective();
    Translation { radix: config.model.radix && level >= IsaLevel::V3_0, hash: true }
}

/// Whether a kernel with this command line asks its firmware for hash translation. The last word counts.
fn disables_radix(append: &str) -> bool {
    // What is behind "--" is for init.
    let words = append.split_ascii_whitespace().take_while(|word| *word != "--");
    let means = |word: &str| match word.strip_prefix("disable_radix")? {
        "" => Some(true),
        value => match value.strip_prefix('=')?.as_bytes() {
            [b'1' | b'y' | b'Y' | b't' | b'T', ..] | [b'o' | b'O', b'n' | b'N', ..] => Some(true),
            _ => Some(false),
        },
    };
    words.filter_map(means).last().unwrap_or(false)
}

/// Page sizes that `cap-hpt-max-page-size` lets the hash table have.
pub(crate) fn page_sizes(config: &Config) -> PageSizes {
    PageSizes::up_to(match config.capabilities.get(Cap::HptMaxPageSize) {
        Setting::PageShift(shift) => shift.into(),
        _ => 16,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_decides() {
        for (append, hash) in [
            ("", false),
            ("console=hvc0 disable_radix quiet", true),
            ("disable_radix=1", true),
            ("disable_radix=on", true),
            ("disable_radix=off", false),
            ("disable_radix=0", false),
            ("disable_radix=", false),
            ("disable_radix disable_radix=n", false),
            ("disable_radix=n disable_radix", true),
            ("disable_radixes", false),
            ("x.disable_radix", false),
            ("quiet -- disable_radix", false),
        ] {
            assert_eq!(disables_radix(append), hash, "{append}");
        }
    }
}
