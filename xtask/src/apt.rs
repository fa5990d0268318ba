//! Debian packages of another architecture or suite through apt, with a private configuration: its own
//! sources, lists, cache and an empty list of installed packages. The machine's own apt is not touched;
//! only its proxy and authentication settings, its mirror and its keys are used. Needs no root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::paths;
use crate::run;
use crate::sources::Mirror;

/// Names under which a mirror has a suite besides its own.
const OTHER_NAMES: [&str; 3] = ["stable", "oldstable", "testing"];

/// Private apt for one suite and one architecture.
#[derive(Debug)]
pub struct Apt {
    directory: PathBuf,
    suite: String,
    /// `deb` and what stands before the suite in a line of sources.
    source: String,
}

impl Apt {
    /// Writes the private configuration below `directory`.
    pub fn new(directory: &Path, mirror: &Mirror, suite: &str, architecture: &str) -> Result<Self> {
        let directory = directory.join(suite);
        for part in ["lists/partial", "cache/archives/partial", "log", "parts"] {
            paths::make_directory(&directory.join(part))?;
        }
        let signed_by = mirror.signed_by.as_ref().map_or(String::new(), |ring| format!(" signed-by={ring}"));
        let source = format!("deb [arch={architecture}{signed_by}] {}", mirror.uri);
        let here = directory.display();
        // A leading #clear also forgets the machine's hooks, some of which clean the machine's own cache.
        let configuration = format!(
            "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n\
             #clear DPkg::Pre-Invoke;\n#clear DPkg::Post-Invoke;\n#clear APT::Architectures;\n\
             APT::Architecture \"{architecture}\";\nAPT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Sandbox::User \"root\";\nAcquire::Languages {{ \"none\"; }};\nAcquire::GzipIndexes \"true\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled \"false\";\n\
             Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled \"false\";\n\
             Acquire::Retries \"3\";\n\
             Dir::Etc::sourcelist \"{here}/sources.list\";\nDir::Etc::sourceparts \"{here}/parts\";\n\
             Dir::Etc::preferences \"{here}/preferences\";\nDir::Etc::preferencesparts \"{here}/parts\";\n\
             Dir::State \"{here}\";\nDir::State::lists \"{here}/lists\";\nDir::State::status \"{here}/status\";\n\
             Dir::Cache \"{here}/cache\";\nDir::Log \"{here}/log\";\n"
        );
        let apt = Self { directory, suite: suite.to_owned(), source };
        for (name, text) in [("apt.conf", configuration.as_str()), ("status", "")] {
            apt.write(name, text)?;
        }
        Ok(apt)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Fetches the suite's lists of packages. An index that cannot be fetched is an error, not a warning.
    ///
    /// A mirror in the middle of a change has a suite's old lists with its new release file, sometimes for hours, and what
    /// belongs together under another of its names: that is as good if the release says that it is this suite.
    pub fn update(&self) -> Result<()> {
        let first = match self.update_as(&self.suite) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        for name in OTHER_NAMES {
            if self.update_as(name).is_ok() && self.codename().is_some_and(|codename| codename == self.suite) {
                return Ok(());
            }
        }
        Err(first.context(format!("suite {} cannot be reached", self.suite)))
    }

    /// Fetches lists by this name; those of any other are forgotten.
    fn update_as(&self, name: &str) -> Result<()> {
        self.write("sources.list", &format!("{} {name} main\n", self.source))?;
        let mut command = self.command("apt-get");
        command.args(["--quiet", "-o", "APT::Update::Error-Mode=any", "update"]);
        run::capture(&mut command).map(drop)
    }

    /// The suite's own name, as the release file says whose lists are there.
    fn codename(&self) -> Option<String> {
        let files = fs::read_dir(self.directory.join("lists")).ok()?;
        let releases =
            files.flatten().map(|file| file.path()).filter(|path| path.to_string_lossy().ends_with("Release"));
        let text = releases.filter_map(|path| fs::read_to_string(path).ok()).next()?;
        codename(&text).map(str::to_owned)
    }

    /// The newest version of a package in the suite.
    pub fn version(&self, package: &str) -> Result<String> {
        self.field(package, "Version")
    }

    /// The names that a package depends on (first names of alternatives too).
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let mut command = self.command("apt-cache");
        command.args(["depends", "--no-recommends", "--no-suggests", "--no-enhances", "--no-conflicts", "--no-breaks"]);
        command.args(["--no-replaces", "--", package]);
        let text =
            run::capture(&mut command).with_context(|| format!("package {package} is not in suite {}", self.suite))?;
        Ok(dependencies(&text))
    }

    /// Downloads a package (apt verifies size and checksums against the signed lists) and gives its file.
    pub fn download(&self, package: &str, into: &Path) -> Result<PathBuf> {
        paths::make_directory(into)?;
        let name = self.field(package, "Filename")?;
        let version = self.version(package)?;
        let architecture = name.rsplit('_').next().unwrap_or_default();
        let architecture = architecture.trim_end_matches(".deb").to_owned();
        let file = into.join(Package { name: package.to_owned(), version: version.clone(), architecture }.file_name());
        if file.exists() {
            return Ok(file);
        }
        let mut command = self.command("apt-get");
        command.args(["--quiet", "download", "--", &format!("{package}={version}")]).current_dir(into);
        run::capture(&mut command)?;
        ensure!(file.exists(), "apt-get download {package}={version} succeeded, but {} is not there", file.display());
        Ok(file)
    }

    /// Downloads packages and whatever they depend on, and gives all their files.
    pub fn download_with_dependencies(&self, packages: &[&str], into: &Path) -> Result<Vec<PathBuf>> {
        paths::make_directory(into)?;
        let mut command = self.command("apt-get");
        command.args(["--quiet", "--simulate", "--no-install-recommends", "install", "--"]).args(packages);
        let text = run::capture(&mut command)
            .with_context(|| format!("suite {} cannot have {} installed", self.suite, packages.join(", ")))?;
        let wanted = installations(&text);
        ensure!(wanted.len() >= packages.len(), "apt-get would install {wanted:?} for {packages:?}");
        let mut command = self.command("apt-get");
        command.args(["--quiet", "download", "--"]).current_dir(into);
        command.args(wanted.iter().map(|package| format!("{}={}", package.name, package.version)));
        run::capture(&mut command)?;
        let files: Vec<PathBuf> = wanted.iter().map(|package| into.join(package.file_name())).collect();
        let missing = files.iter().find(|file| !file.exists());
        ensure!(missing.is_none(), "apt-get download succeeded, but {missing:?} is not there");
        Ok(files)
    }

    fn field(&self, package: &str, field: &str) -> Result<String> {
        let mut command = self.command("apt-cache");
        command.args(["show", "--no-all-versions", "--", package]);
        let text =
            run::capture(&mut command).with_context(|| format!("package {package} is not in suite {}", self.suite))?;
        match text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": ")) {
            Some(value) => Ok(value.to_owned()),
            None => bail!("package {package} of suite {} has no field {field}", self.suite),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.directory.join("apt.conf")).env("LC_ALL", "C");
        command
    }
}

/// The name of the suite in a release file.
fn codename(release: &str) -> Option<&str> {
    release.lines().find_map(|line| line.strip_prefix("Codename: "))
}

/// The names in what `apt-cache depends` prints; `<name>` is a package that exists only as provided by others.
fn dependencies(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.trim_start_matches([' ', '|']).strip_prefix("Depends: "))
        .map(|name| name.trim_matches(['<', '>']).to_owned())
        .collect()
}

/// A package in one version.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    architecture: String,
}

impl Package {
    /// The file that `apt-get download` makes, with %3a for the colon of an epoch.
    fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }
}

/// The packages in what `apt-get --simulate install` prints.
fn installations(text: &str) -> Vec<Package> {
    let package = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        let (version, rest) = rest.split_once(' ')?;
        let (_, rest) = rest.split_once('[')?;
        let (architecture, _) = rest.split_once(']')?;
        Some(Package { name: name.to_owned(), version: version.to_owned(), architecture: architecture.to_owned() })
    };
    text.lines().filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_would_be_installed() {
        let text = "Reading package lists...\nInst zlib1g (1:1.3+1-1 Debian:13.7/stable [ppc64el]) []\n\
                    Inst tzdata (2026c-0 Debian:13.7/stable [all])\nConf zlib1g (1:1.3+1-1 Debian:13.7/stable [ppc64el])\n";
        let files: Vec<String> = installations(text).iter().map(Package::file_name).collect();
        assert_eq!(files, ["zlib1g_1%3a1.3+1-1_ppc64el.deb", "tzdata_2026c-0_all.deb"]);
    }

    #[test]
    fn codename_of_a_release() {
        let release =
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nSuite: stable\nCodename: trixie\n";
        assert_eq!(codename(release), Some("trixie"));
        assert_eq!(codename("Suite: stable\n"), None);
    }

    #[test]
    fn dependencies_of_a_package() {
        let text = "linux-image-7.2.13\n |Depends: dracut\n  Depends: <linux-initramfs-tool>\n    dracut\n  Depends: linux-binary-7.2.13\n  \
                    PreDepends: dpkg\n";
        assert_eq!(dependencies(text), ["dracut", "linux-initramfs-tool", "linux-binary-7.2.13"]);
    }
}
