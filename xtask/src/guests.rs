//! The stock guests: which Debian kernels there are, fetching them, and what has been fetched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use crate::apt::Apt;
use crate::initrd;
use crate::paths;
use crate::run;
use crate::sources::{self, Mirror};

/// Debian's name of the guests' architecture.
const ARCHITECTURE: &str = "ppc64el";
/// The suite that busybox comes from.
const BUSYBOX_SUITE: &str = "trixie";

/// A kernel that can be fetched: the newest one of a suite.
#[derive(Debug)]
pub struct Guest {
    /// What `--guest` takes.
    pub name: &'static str,
    suite: &'static str,
    /// The package that always depends on the newest kernel.
    meta_package: &'static str,
    /// Size of the kernel's pages; bookworm has only 64K kernels.
    pub page_bytes: u64,
}

/// Every guest. Sid moves: what `debian-sid` is today (7.2 in late 2026) is shown by `guest list`, and a name
/// such as `debian-7.2` finds it by its version.
pub const GUESTS: &[Guest] = &[
    Guest { name: "debian-6.1", suite: "bookworm", meta_package: "linux-image-powerpc64le", page_bytes: 0x1_0000 },
    Guest { name: "debian-6.12", suite: "trixie", meta_package: "linux-image-powerpc64le", page_bytes: 0x1000 },
    Guest {
        name: "debian-6.12-64k",
        suite: "trixie",
        meta_package: "linux-image-powerpc64le-64k",
        page_bytes: 0x1_0000,
    },
    Guest { name: "debian-sid", suite: "sid", meta_package: "linux-image-powerpc64le", page_bytes: 0x1000 },
];

/// A guest that is there and can be booted.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The guest's name.
    pub name: String,
    /// Release of the kernel, as `uname -r` prints it.
    pub release: String,
    /// Size of the kernel's pages.
    pub page_bytes: u64,
    /// The kernel, an ELF file.
    pub kernel: PathBuf,
    /// The initrd, the same one for all.
    pub initrd: PathBuf,
}

impl Guest {
    fn directory(&self) -> PathBuf {
        paths::guests().join(self.name)
    }

    fn kernel(&self) -> PathBuf {
        self.directory().join("vmlinux")
    }

    /// Release of the fetched kernel; `None` when it is not there.
    fn release(&self) -> Option<String> {
        let release = fs::read_to_string(self.directory().join("release")).ok()?;
        self.kernel().exists().then(|| release.trim().to_owned())
    }
}

/// Finds a guest by its name, or sid's by its version (`debian-7.2`), which is not known before it is fetched.
pub fn find(name: &str) -> Result<&'static Guest> {
    let is_sid = |guest: &&Guest| {
        let fits = |release: String| {
            name.strip_prefix("debian-").is_some_and(|wanted| release.starts_with(&format!("{wanted}.")))
        };
        guest.name == "debian-sid" && name.starts_with("debian-7.") && guest.release().is_none_or(fits)
    };
    GUESTS.iter().find(|guest| guest.name == name).or_else(|| GUESTS.iter().find(is_sid)).with_context(|| {
        let shown = |guest: &Guest| match guest.release() {
            Some(release) if guest.name == "debian-sid" => format!("{} ({release})", guest.name),
            _ => guest.name.to_owned(),
        };
        format!("there is no guest {name:?}; there are {}", GUESTS.iter().map(shown).collect::<Vec<_>>().join(", "))
    })
}

/// Prints every guest with its suite and what is there of it.
pub fn list() -> Result<()> {
    println!("{:<16} {:<9} {:<28} fetched", "name", "suite", "package");
    for guest in GUESTS {
        let release = guest.release().unwrap_or_else(|| "no".to_owned());
        println!("{:<16} {:<9} {:<28} {release}", guest.name, guest.suite, guest.meta_package);
    }
    let busybox = fs::read_to_string(busybox_directory().join("version")).unwrap_or_else(|_| "no".to_owned());
    println!("{:<16} {:<9} {:<28} {}", "busybox", BUSYBOX_SUITE, "busybox-static", busybox.trim());
    Ok(())
}

/// What is there of a guest, fetching what is not.
pub fn ready(name: &str, mirror: Option<&str>) -> Result<Fetched> {
    let guest = find(name)?;
    let initrd = if guest.release().is_some() && busybox_directory().join("version").exists() {
        initrd::make(&paths::guests(), &busybox_directory().join("busybox"))?
    } else {
        fetch(&[guest.name.to_owned()], false, mirror)?;
        paths::guests().join("initrd.cpio")
    };
    // Sid may turn out to have another version than the name says.
    find(name)?;
    let release = guest.release().with_context(|| format!("guest {} is not there after fetching it", guest.name))?;
    Ok(Fetched { name: guest.name.to_owned(), release, page_bytes: guest.page_bytes, kernel: guest.kernel(), initrd })
}

/// Fetches the named guests (all of them when none is named), busybox, and makes the initrd.
/// What is there stays unless `refresh`. A suite that fails is told, the others go on; the error comes at the end.
pub fn fetch(names: &[String], refresh: bool, mirror: Option<&str>) -> Result<()> {
    let wanted: Vec<&Guest> = if names.is_empty() {
        GUESTS.iter().collect()
    } else {
        names.iter().map(|name| find(name)).collect::<Result<_>>()?
    };
    let _lock = lock(&paths::guests())?;
    let mut fetcher = Fetcher::new(mirror);
    let mut failures = Vec::new();
    for guest in wanted {
        if let (false, Some(release)) = (refresh, guest.release()) {
            println!("{}: {release} is there", guest.name);
            continue;
        }
        match fetcher.kernel(guest) {
            Ok(release) => println!("{}: fetched {release}", guest.name),
            Err(error) => {
                eprintln!("{}: NOT fetched: {error:#}", guest.name);
                failures.push(guest.name);
            }
        }
    }
    let busybox = busybox_directory().join("busybox");
    if refresh || !busybox_directory().join("version").exists() {
        println!("busybox: fetched {}", fetcher.busybox().context("busybox cannot be fetched")?);
    }
    let path = initrd::make(&paths::guests(), &busybox)?;
    println!("initrd: {}", path.display());
    ensure!(failures.is_empty(), "not fetched: {}", failures.join(", "));
    Ok(())
}

/// Keeps other xtasks from writing what is in a directory, as long as the file is open.
pub fn lock(directory: &Path) -> Result<File> {
    paths::make_directory(directory)?;
    let path = directory.join("lock");
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(lock)
}

fn busybox_directory() -> PathBuf {
    paths::guests().join("busybox")
}

/// One run of fetching: each suite's lists are fetched at most once.
pub struct Fetcher {
    mirror: Option<Mirror>,
    given_mirror: Option<String>,
    updated: Vec<&'static str>,
}

impl Fetcher {
    /// A run, with a mirror instead of the machine's own.
    pub fn new(mirror: Option<&str>) -> Self {
        Self { mirror: None, given_mirror: mirror.map(str::to_owned), updated: Vec::new() }
    }

    /// A suite whose lists were fetched.
    pub fn suite(&mut self, suite: &'static str) -> Result<Apt> {
        if self.mirror.is_none() {
            self.mirror = Some(match &self.given_mirror {
                Some(uri) => Mirror { uri: uri.clone(), signed_by: sources::debian_keyring() },
                None => sources::machine_mirror()?,
            });
        }
        let mirror = self.mirror.as_ref().expect("just set");
        let apt = Apt::new(&paths::guests().join("apt"), mirror, suite, ARCHITECTURE)?;
        if !self.updated.contains(&suite) {
            with_spinner(&format!("{suite}: fetching the lists of packages"), || apt.update())?;
            self.updated.push(suite);
        }
        Ok(apt)
    }

    fn kernel(&mut self, guest: &Guest) -> Result<String> {
        let apt = self.suite(guest.suite)?;
        let package = kernel_package(guest.meta_package, |package| apt.depends(package))?;
        let deb = with_spinner(&format!("{}: downloading {package}", guest.name), || {
            apt.download(&package, &paths::guests().join("debs"))
        })?;
        let unpacked = guest.directory().join("unpacked");
        let (kernel, release) = unpack_kernel(&deb, &unpacked)?;
        ensure!(
            fs::read(&kernel).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF")),
            "{} of {package} is no ELF file; a compressed kernel would have to be unpacked first",
            kernel.display()
        );
        move_file(&kernel, &guest.kernel())?;
        write(&guest.directory().join("release"), &format!("{release}\n"))?;
        fs::remove_dir_all(&unpacked).with_context(|| format!("cannot remove {}", unpacked.display()))?;
        Ok(release)
    }

    fn busybox(&mut self) -> Result<String> {
        let apt = self.suite(BUSYBOX_SUITE)?;
        let version = apt.version("busybox-static")?;
        let deb = with_spinner("busybox: downloading busybox-static", || {
            apt.download("busybox-static", &paths::guests().join("debs"))
        })?;
        let unpacked = unpack(&deb, ".", &busybox_directory().join("unpacked"))?;
        // /bin up to bookworm, /usr/bin since.
        let found =
            ["usr/bin/busybox", "bin/busybox"].map(|path| unpacked.join(path)).into_iter().find(|path| path.is_file());
        let Some(found) = found else {
            bail!("busybox-static {version} has neither /usr/bin/busybox nor /bin/busybox")
        };
        move_file(&found, &busybox_directory().join("busybox"))?;
        write(&busybox_directory().join("version"), &format!("{version}\n"))?;
        fs::remove_dir_all(&unpacked).with_context(|| format!("cannot remove {}", unpacked.display()))?;
        Ok(version)
    }
}

/// Follows the dependencies from the meta package to the one with the kernel in it. Up to 6.x that is
/// `linux-image-VERSION`; in 7.x `linux-image-VERSION` depends on `linux-binary-VERSION`, which has it.
fn kernel_package(meta: &str, depends: impl Fn(&str) -> Result<Vec<String>>) -> Result<String> {
    let mut package = meta.to_owned();
    for _ in 0..4 {
        let names = depends(&package)?;
        let next = ["linux-binary-", "linux-image-"]
            .iter()
            .find_map(|prefix| names.iter().find(|name| name.starts_with(prefix) && **name != package));
        match next {
            Some(next) => package = next.clone(),
            None if package == meta => break,
            None => return Ok(package),
        }
    }
    bail!("the dependencies of {meta} lead to no kernel package")
}

/// Where packages have the kernel: up to 6.x in /boot, in 7.x beside its modules.
const KERNEL_PATTERNS: &[&str] = &["./boot/vmlinux-*", "./usr/lib/modules/*/vmlinuz"];

/// Unpacks the kernel of a package; gives its file and its release, which the path names.
fn unpack_kernel(deb: &Path, into: &Path) -> Result<(PathBuf, String)> {
    let mut last = None;
    for pattern in KERNEL_PATTERNS {
        match unpack(deb, pattern, into) {
            Ok(unpacked) => return kernel_below(&unpacked),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("there are patterns")).context(format!("no kernel at {}", KERNEL_PATTERNS.join(" or ")))
}

fn kernel_below(unpacked: &Path) -> Result<(PathBuf, String)> {
    let names = |directory: &str| -> Vec<String> {
        let entries = fs::read_dir(unpacked.join(directory)).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    };
    for name in names("boot") {
        if let Some(release) = name.strip_prefix("vmlinux-") {
            return Ok((unpacked.join("boot").join(&name), release.to_owned()));
        }
    }
    for release in names("usr/lib/modules") {
        let kernel = unpacked.join("usr/lib/modules").join(&release).join("vmlinuz");
        if kernel.exists() {
            return Ok((kernel, release));
        }
    }
    bail!("no kernel below {}", unpacked.display())
}

/// Unpacks the part of a package that matches `member` into a fresh directory; modules stay in the package.
pub fn unpack(deb: &Path, member: &str, into: &Path) -> Result<PathBuf> {
    if into.exists() {
        fs::remove_dir_all(into).with_context(|| format!("cannot remove {}", into.display()))?;
    }
    paths::make_directory(into)?;
    let mut packer = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run dpkg-deb")?;
    let tar = packer.stdout.take().expect("piped");
    let unpacked = run::capture(
        Command::new("tar").args(["-x", "--no-same-owner", "--wildcards", "-C"]).arg(into).arg(member).stdin(tar),
    );
    let status = packer.wait().context("cannot wait for dpkg-deb")?;
    unpacked.with_context(|| format!("cannot unpack {member} of {}", deb.display()))?;
    ensure!(status.success(), "dpkg-deb --fsys-tarfile {} failed: {status}", deb.display());
    Ok(into.to_owned())
}

/// Renames a file.
pub fn move_file(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}

/// Writes a file.
pub fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Shows that something goes on; on a pipe it prints the message once.
pub fn with_spinner<T>(message: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let bar = ProgressBar::new_spinner().with_message(message.to_owned());
    if bar.is_hidden() {
        println!("{message}");
    }
    bar.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("a fixed template"));
    bar.enable_steady_tick(Duration::from_millis(120));
    let result = work();
    bar.finish_and_clear();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(edges: &[(&str, &[&str])]) -> Result<String> {
        kernel_package("linux-image-powerpc64le", |package| {
            let (_, names) = edges.iter().find(|(from, _)| *from == package).context("unknown package")?;
            Ok(names.iter().map(|name| (*name).to_owned()).collect())
        })
    }

    #[test]
    fn the_kernel_is_found_through_the_meta_package() {
        let old: &[(&str, &[&str])] = &[
            ("linux-image-powerpc64le", &["linux-image-6.1.0-50-powerpc64le"]),
            ("linux-image-6.1.0-50-powerpc64le", &["kmod", "linux-base", "linux-initramfs-tool"]),
        ];
        assert_eq!(follow(old).unwrap(), "linux-image-6.1.0-50-powerpc64le");
        let new: &[(&str, &[&str])] = &[
            ("linux-image-powerpc64le", &["linux-base-powerpc64le", "linux-image-7.2-powerpc64le"]),
            ("linux-image-7.2-powerpc64le", &["dracut", "linux-base-7.2", "linux-binary-7.2", "linux-modules-7.2"]),
            ("linux-binary-7.2", &[]),
        ];
        assert_eq!(follow(new).unwrap(), "linux-binary-7.2");
        assert!(follow(&[("linux-image-powerpc64le", &["kmod"])]).is_err());
    }

    #[test]
    fn an_unknown_guest_is_named_with_those_there_are() {
        let message = find("debian-5").unwrap_err().to_string();
        assert!(message.contains("debian-5") && message.contains("debian-6.12-64k"), "{message}");
    }
}
