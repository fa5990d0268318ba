//! `-accel`, and the options that belong to it: how guest code is executed.

use crate::options::{Given, Id};
use crate::values::{hint, key_values, number, switch};
use anyhow::{Context as _, Result, bail, ensure};
use hypervisor::capability::HostProfile;
use machine::{Accelerator, AcceleratorKind, CODE_CACHE_BYTES, CodeCache};

/// What the options say, until all are known.
#[derive(Debug, Default)]
pub struct AcceleratorOptions {
    name: Option<String>,
    code_cache_mib: Option<u64>,
    code_cache: Option<CodeCache>,
    perf_map: bool,
    jitdump: bool,
    threshold: Option<u32>,
    /// Options that concern a compiler, as they were spelled.
    of_compiler: Vec<String>,
}

impl AcceleratorOptions {
    /// Takes one of the options in.
    ///
    /// # Errors
    /// Says what the value could be.
    pub fn take(&mut self, id: Id, given: &Given) -> Result<()> {
        let value = given.value.as_str();
        if id != Id::Accel {
            self.of_compiler.push(given.spelled.clone());
        }
        match id {
            Id::Accel => self.name = Some(value.into()),
            Id::CodeCacheMib => self.code_cache_mib = Some(mib(value)?),
            Id::CodeCache => {
                ensure!(!value.is_empty(), "expected the name of a file, or none");
                self.code_cache = Some(if value == "none" { CodeCache::None } else { CodeCache::File(value.into()) });
            }
            Id::PerfMap => self.perf_map = true,
            Id::Jitdump => self.jitdump = true,
            Id::JitThreshold => self.threshold = Some(whole(value, 1, u32::MAX.into(), "executions")? as u32),
            _ => {}
        }
        Ok(())
    }

    /// What all of them come to; `of_machine` is what `-M accel=` says.
    ///
    /// # Errors
    /// For an accelerator that is not there, and for options that contradict each other.
    pub fn finish(self, of_machine: Option<String>, warnings: &mut Vec<String>) -> Result<Accelerator> {
        let mut accelerator = Accelerator::default();
        let mut tb_size = None;
        if let Some(text) = self.name.or(of_machine) {
            tb_size = named(&text, &mut accelerator, warnings).with_context(|| format!("-accel {text}"))?;
        }
        let compiles = accelerator.kind != AcceleratorKind::Interp;
        if !compiles {
            let unused = |option| format!("{option}: not honoured, the interpreter compiles nothing (-accel jit)");
            warnings.extend(self.of_compiler.iter().map(unused));
        }
        if let (Some(tb_size), Some(mib)) = (tb_size, self.code_cache_mib) {
            ensure!(tb_size == mib, "-accel tb-size={tb_size} and --code-cache-mib {mib} contradict each other");
        }
        if let Some(mib) = self.code_cache_mib.or(tb_size) {
            accelerator.code_cache_bytes = (mib << 20) as usize;
        }
        accelerator.code_cache = self.code_cache.unwrap_or(CodeCache::OfUser);
        accelerator.perf_map = self.perf_map;
        accelerator.jitdump = self.jitdump;
        accelerator.threshold = self.threshold.unwrap_or(accelerator.threshold);
        Ok(accelerator)
    }
}

/// A whole number within bounds.
fn whole(text: &str, least: u64, most: u64, what: &str) -> Result<u64> {
    let value = number(text).ok().filter(|value| (least..=most).contains(value));
    value.with_context(|| format!("'{text}': expected a whole number of {what} from {least} to {most}"))
}

fn mib(text: &str) -> Result<u64> {
    let mib = |bytes: &usize| (bytes >> 20) as u64;
    whole(text, mib(CODE_CACHE_BYTES.start()), mib(CODE_CACHE_BYTES.end()), "MiB")
}

/// Reads the value of `-accel`. Gives the size of the code cache in MiB if it says one.
fn named(text: &str, accelerator: &mut Accelerator, warnings: &mut Vec<String>) -> Result<Option<u64>> {
    let properties = key_values(text);
    let mut properties = properties.iter();
    let name = match properties.next() {
        Some((key, Some(value))) if key == "accel" => value.as_str(),
        Some((name, None)) => name.as_str(),
        _ => bail!("expected the name of an accelerator (-accel help)"),
    };
    // `-M accel=a:b` is a list of which the first that works counts.
    accelerator.kind = match name.split(':').find(|name| !matches!(*name, "kvm")).unwrap_or(name) {
        "interp" => AcceleratorKind::Interp,
        "jit" | "tcg" => AcceleratorKind::Jit,
        "lockstep" => AcceleratorKind::Lockstep,
        "kvm" | "hvf" | "xen" | "whpx" | "nvmm" | "mshv" | "qtest" => {
            bail!("not supported: this emulates (-accel help)")
        }
        other => {
            bail!("unknown accelerator '{other}'{} (-accel help)", hint(other, ["interp", "jit", "tcg", "lockstep"]))
        }
    };
    let mut tb_size = None;
    let mut above = None;
    for (key, value) in properties {
        let value = value.as_deref().unwrap_or_default();
        match key.as_str() {
            "tb-size" if accelerator.kind == AcceleratorKind::Interp => {
                warnings.push(format!("-accel {name},tb-size={value}: not honoured, the interpreter compiles nothing"));
            }
            // As in QEMU, 0 leaves the size to the program.
            "tb-size" if value == "0" => tb_size = None,
            "tb-size" => tb_size = Some(mib(value).context("tb-size")?),
            "host" => accelerator.host = profile(value).context("host")?,
            "above-ail-3" => above = Some(switch(value).context("above-ail-3")?),
            "ram-every" if accelerator.kind == AcceleratorKind::Lockstep => {
                accelerator.ram_every = whole(value, 1, u64::MAX, "instructions").context("ram-every")?;
            }
            "ram-every" => bail!("ram-every: only lockstep compares RAM"),
            "thread" | "one-insn-per-tb" | "split-wx" => {
                warnings.push(format!("-accel {name},{key}={value}: not honoured, it concerns QEMU's translator"));
            }
            _ => bail!("unknown key '{key}'{}", hint(key, ["tb-size", "ram-every", "host", "above-ail-3"])),
        }
    }
    if let Some(given) = above {
        accelerator.host = nested(accelerator.host, given)?;
    }
    Ok(tb_size)
}

/// The host profile of this name.
pub fn profile(name: &str) -> Result<HostProfile> {
    let names: Vec<&str> = HostProfile::names().map(|(name, _)| name).collect();
    HostProfile::by_name(name).with_context(|| {
        format!("unknown host '{name}'{}; known are {}", hint(name, names.iter().copied()), names.join(", "))
    })
}

/// A nested host whose guest was given AIL 3, or not.
pub fn nested(host: HostProfile, above_ail_3: bool) -> Result<HostProfile> {
    host.with_above_ail_3(above_ail_3).context("above-ail-3: only a nested host (kvm-hv-nested) is a guest itself")
}

/// The text of `-accel help`.
pub fn help() -> String {
    let default = Accelerator::default();
    let is_default = |kind| if default.kind == kind { " (the default)" } else { "" };
    format!(
        "Accelerators:\n\
         \x20 interp    the interpreter alone{}\n\
         \x20 jit, tcg  what is executed often is compiled{}; tb-size=N is --code-cache-mib N\n\
         \x20 lockstep  both, each in a machine of its own, compared all the while: for tests. One vCPU, virtual clock.\n\
         \x20           ram-every=N: instructions from one comparison of RAM to the next, default {}\n\
         With each, host=P imitates a host, default jit (`aileron host` lists them).\n",
        is_default(AcceleratorKind::Interp),
        is_default(AcceleratorKind::Jit),
        default.ram_every,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Fate;
    use crate::options::first_pass;

    fn accelerator(line: &[&str]) -> Result<(Accelerator, Vec<String>)> {
        let mut options = AcceleratorOptions::default();
        for given in first_pass(line.iter().map(ToString::to_string))? {
            let Fate::Honoured(id) = given.row.fate else { panic!("{given:?}") };
            options.take(id, &given)?;
        }
        let mut warnings = Vec::new();
        Ok((options.finish(None, &mut warnings)?, warnings))
    }

    fn quiet(line: &[&str]) -> Accelerator {
        let (accelerator, warnings) = accelerator(line).unwrap();
        assert!(warnings.is_empty(), "{line:?}: {warnings:?}");
        accelerator
    }

    #[test]
    fn kinds() {
        use AcceleratorKind::{Interp, Jit, Lockstep};
        for (name, kind) in [("interp", Interp), ("jit", Jit), ("tcg", Jit), ("kvm:tcg", Jit), ("lockstep", Lockstep)] {
            assert_eq!(quiet(&["-accel", name]).kind, kind, "{name}");
        }
        assert_eq!(quiet(&["-accel", "accel=jit"]).kind, Jit);
        assert_eq!(quiet(&[]).kind, Accelerator::default().kind);
    }

    #[test]
    fn what_belongs_to_the_compiler() {
        let default = quiet(&["-accel", "jit"]);
        assert_eq!((default.code_cache_bytes, default.threshold), (256 << 20, 500));
        assert!(!default.perf_map && !default.jitdump);
        let all = quiet(&[
            "-accel",
            "jit",
            "--code-cache-mib",
            "1024",
            "-code-cache",
            "x/y",
            "--perf-map",
            "-jitdump",
            "--jit-threshold",
            "1",
        ]);
        assert_eq!((all.code_cache_bytes, all.threshold), (1 << 30, 1));
        assert_eq!((all.code_cache, default.code_cache), (CodeCache::File("x/y".into()), CodeCache::OfUser));
        assert!(all.perf_map && all.jitdump);
        assert_eq!(quiet(&["-accel", "jit", "--code-cache", "none"]).code_cache, CodeCache::None);
        assert_eq!(quiet(&["-accel", "tcg,tb-size=64"]).code_cache_bytes, 64 << 20);
        assert_eq!(quiet(&["-accel", "tcg,tb-size=0"]).code_cache_bytes, 256 << 20);
        assert_eq!(quiet(&["-accel", "tcg,tb-size=64", "--code-cache-mib", "64"]).code_cache_bytes, 64 << 20);
        assert_eq!(quiet(&["-accel", "lockstep,ram-every=7"]).ram_every, 7);
        assert_eq!(quiet(&["-accel", "jit"]).host, HostProfile::default());
        for name in ["interp", "jit", "lockstep"] {
            let host = quiet(&["-accel", &format!("{name},host=kvm-hv-nested,above-ail-3=off")]).host;
            assert_eq!(Some(host), profile("kvm-hv-nested").unwrap().with_above_ail_3(false));
        }
        for line in [
            &["-accel", "interp", "--perf-map"][..],
            &["-accel", "interp", "--code-cache-mib", "1"],
            &["-accel", "interp,tb-size=64"],
        ] {
            let (_, warnings) = accelerator(line).unwrap();
            assert!(warnings.len() == 1 && warnings[0].contains("compiles nothing"), "{line:?}: {warnings:?}");
        }
    }

    #[test]
    fn slips() {
        for (line, words) in [
            (&["--code-cache-mib", "0"][..], &["'0'", "MiB from 1 to 1024"][..]),
            (&["--code-cache-mib", "1025"], &["'1025'", "1024"]),
            (&["--code-cache-mib", "1.5"], &["'1.5'", "whole number"]),
            (&["--code-cache-mib", "64M"], &["'64M'", "MiB"]),
            (&["--code-cache-mib", "99999999999999999999"], &["1024"]),
            (&["--code-cache", ""], &["file, or none"]),
            (&["--jit-threshold", "0"], &["'0'", "from 1 to 4294967295"]),
            (&["--jit-threshold", "-1"], &["'-1'", "whole number"]),
            (&["--jit-threshold", "4294967296"], &["4294967295"]),
            (&["-accel", "tcg,tb-size=x"], &["tb-size", "'x'"]),
            (&["-accel", "tcg,tb-size=9999"], &["tb-size", "1024"]),
            (&["-accel", "tcg,tb-size=64", "--code-cache-mib", "65"], &["64", "65", "contradict"]),
            (&["-accel", "lockstep,ram-every=0"], &["ram-every", "from 1"]),
            (&["-accel", "jit,ram-every=5"], &["only lockstep"]),
            (&["-accel", "jit,tb_size=5"], &["unknown key 'tb_size'", "did you mean 'tb-size'"]),
            (&["-accel", "jit,host=kvm-pt"], &["host", "'kvm-pt'", "did you mean 'kvm-pr'", "kvm-hv-power9-dd2.1"]),
            (&["-accel", "jit,host=kvm-hv,above-ail-3=on"], &["above-ail-3", "kvm-hv-nested"]),
            (&["-accel", "jit,host=kvm-hv-nested,above-ail-3=3"], &["above-ail-3", "'3'"]),
            (&["-accel", "locksteps"], &["unknown accelerator", "did you mean 'lockstep'"]),
            (&["-accel", "kvm"], &["-accel kvm", "emulates"]),
            (&["-accel", ""], &["unknown accelerator ''"]),
            (&["-accel", "x=y"], &["expected the name"]),
            (&["--jit-treshold", "1"], &["did you mean -jit-threshold"]),
        ] {
            let error = format!("{:#}", accelerator(line).unwrap_err());
            assert!(words.iter().all(|word| error.contains(word)), "{line:?}: {error}");
        }
    }
}
