//! `-smp` in QEMU's grammar, and what it leaves unsaid worked out as QEMU does.

use crate::values::{hint, key_values, number};
use anyhow::{Context as _, Result, bail, ensure};

/// What `-smp` comes to; whether a machine can be so is the machine's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Smp {
    /// vCPUs at the start.
    pub cpus: u64,
    /// vCPUs that there can come to be: `sockets * cores * threads`.
    pub max_cpus: u64,
    /// Sockets.
    pub sockets: u64,
    /// Cores of a socket.
    pub cores: u64,
    /// Threads of a core.
    pub threads: u64,
}

impl Default for Smp {
    fn default() -> Self {
        Smp { cpus: 1, max_cpus: 1, sockets: 1, cores: 1, threads: 1 }
    }
}

const KEYS: [&str; 5] = ["cpus", "maxcpus", "sockets", "cores", "threads"];
/// Levels that QEMU has for other machines; they can only be 1.
const OTHER_LEVELS: [&str; 5] = ["dies", "clusters", "modules", "books", "drawers"];

/// `[cpus=]n[,maxcpus=n][,sockets=n][,cores=n][,threads=n]`.
///
/// # Errors
/// For an unknown key, a value that is no number, and levels that do not multiply to `maxcpus`.
pub fn parse(text: &str) -> Result<Smp> {
    let mut given = [None; KEYS.len()];
    for (index, (key, value)) in key_values(text).into_iter().enumerate() {
        let (key, value) = match value {
            Some(value) => (key, value),
            None if index == 0 => (KEYS[0].into(), key),
            None => bail!("'{key}' has no value"),
        };
        let count = number(&value).with_context(|| format!("{key}={value}"))?;
        ensure!(count > 0, "{key}={value}: CPU topology parameters must be greater than zero");
        if OTHER_LEVELS.contains(&key.as_str()) {
            ensure!(count == 1, "{key}={count}: {key} > 1 not supported by this machine's CPU topology");
            continue;
        }
        let slot = KEYS.iter().position(|known| *known == key);
        let slot =
            slot.with_context(|| format!("unknown key '{key}'{}; known are {}", hint(&key, KEYS), KEYS.join(", ")))?;
        given[slot] = Some(count);
    }
    let [cpus, max_cpus, sockets, cores, threads] = given;
    // How many there are decides on the cores first, then on the sockets, then on the threads.
    let wanted = max_cpus.or(cpus);
    let rest = |parts: [Option<u64>; 2]| {
        let product = parts.into_iter().try_fold(1u64, |all, part| all.checked_mul(part.unwrap_or(1)));
        Some(wanted.map_or(1, |wanted| product.map_or(0, |product| wanted / product)))
    };
    let (sockets, cores, threads) = match (sockets, cores, threads) {
        (sockets, None, threads) => (sockets, rest([sockets, threads]), threads),
        (None, cores, threads) => (rest([cores, threads]), cores, threads),
        (sockets, cores, None) => (sockets, cores, rest([sockets, cores])),
        all => all,
    };
    let [sockets, cores, threads] = [sockets, cores, threads].map(|part| part.unwrap_or(1));
    let levels = format!("sockets ({sockets}) * cores ({cores}) * threads ({threads})");
    let product = [cores, threads].into_iter().try_fold(sockets, u64::checked_mul);
    let max_cpus = wanted.or(product).with_context(|| format!("{levels}: too many vCPUs"))?;
    ensure!(
        product == Some(max_cpus),
        "Invalid CPU topology: product of the hierarchy must match maxcpus: {levels} != maxcpus ({max_cpus})"
    );
    let cpus = cpus.unwrap_or(max_cpus);
    ensure!(
        cpus <= max_cpus,
        "Invalid CPU topology: maxcpus must be equal to or greater than smp: {levels} == maxcpus ({max_cpus}) < smp_cpus \
         ({cpus})"
    );
    Ok(Smp { cpus, max_cpus, sockets, cores, threads })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Line, and what it comes to: vCPUs, most, sockets, cores, threads.
    const ACCEPTED: &[(&str, [u64; 5])] = &[
        ("4", [4, 4, 1, 4, 1]),
        ("cpus=2", [2, 2, 1, 2, 1]),
        ("2,maxcpus=8", [2, 8, 1, 8, 1]),
        ("sockets=2,cores=3", [6, 6, 2, 3, 1]),
        ("cores=4", [4, 4, 1, 4, 1]),
        ("4,cores=2", [4, 4, 2, 2, 1]),
        ("6,sockets=2,cores=3,threads=1", [6, 6, 2, 3, 1]),
        ("2,sockets=1,cores=4,maxcpus=4", [2, 4, 1, 4, 1]),
        ("maxcpus=4", [4, 4, 1, 4, 1]),
        ("1,dies=1", [1, 1, 1, 1, 1]),
        ("4,threads=4", [4, 4, 1, 1, 4]),
        ("threads=4", [4, 4, 1, 1, 4]),
        ("sockets=2,threads=2", [4, 4, 2, 1, 2]),
        ("8,sockets=2,threads=2", [8, 8, 2, 2, 2]),
        ("8,sockets=2,cores=1", [8, 8, 2, 1, 4]),
        ("4,maxcpus=16,threads=4", [4, 16, 1, 4, 4]),
        ("8,cores=2,threads=2", [8, 8, 2, 2, 2]),
    ];
    const REFUSED: &[(&str, &str)] = &[
        ("3,threads=2", "sockets (1) * cores (1) * threads (2) != maxcpus (3)"),
        ("2,threads=4", "sockets (1) * cores (0) * threads (4) != maxcpus (2)"),
        ("4,sockets=1,cores=2,threads=1", "sockets (1) * cores (2) * threads (1) != maxcpus (4)"),
        ("5,cores=2", "sockets (2) * cores (2) * threads (1) != maxcpus (5)"),
        ("8,sockets=3,cores=2,threads=2", "sockets (3) * cores (2) * threads (2) != maxcpus (8)"),
        (
            "8,maxcpus=4",
            "maxcpus must be equal to or greater than smp: sockets (1) * cores (4) * threads (1) == maxcpus (4) < smp_cpus (8)",
        ),
        ("4,dies=2", "not supported by this machine's CPU topology"),
        ("4,clusters=2", "not supported by this machine's CPU topology"),
    ];

    #[test]
    fn what_is_left_out_is_worked_out() {
        for &(text, [cpus, max_cpus, sockets, cores, threads]) in ACCEPTED {
            assert_eq!(parse(text).unwrap(), Smp { cpus, max_cpus, sockets, cores, threads }, "{text}");
        }
    }

    #[test]
    fn what_is_wrong() {
        let own = [
            ("0", "greater than zero"),
            ("4,threads=0", "threads=0: CPU topology parameters must be greater than zero"),
            ("", "number"),
            ("4,threads=x", "threads=x: 'x' is not a number"),
            ("2,core=1", "did you mean 'cores'"),
            ("2,3", "no value"),
            ("dies=0", "greater than zero"),
            ("sockets=4294967296,cores=4294967296", "too many"),
            ("4,sockets=4294967296,cores=4294967296", "!= maxcpus (4)"),
            ("4,sockets=18446744073709551615,threads=4", "cores (0)"),
        ];
        for (text, words) in own.iter().chain(REFUSED) {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    /// `qemu-system-ppc64` (Debian package qemu-system-ppc) looks at these lines before it misses a memory backend.
    #[test]
    fn qemu_says_the_same() {
        let said = |text: &str| {
            let mut command = Command::new("qemu-system-ppc64");
            command.args([
                "-M",
                "pseries",
                "-nodefaults",
                "-display",
                "none",
                "-smp",
                text,
                "-numa",
                "node,memdev=none",
            ]);
            let output = command.output().expect("qemu-system-ppc64 (Debian package qemu-system-ppc)");
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        for (text, _) in ACCEPTED {
            assert!(said(text).contains("memdev=none is ambiguous"), "{text}: {}", said(text));
        }
        for (text, words) in REFUSED {
            assert!(said(text).contains(words), "{text}: {}", said(text));
        }
    }
}
