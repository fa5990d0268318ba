//! A writer of `newc` cpio archives, the format of the kernel's initramfs
//! (Linux `Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! Every entry belongs to root and has the time stamp 0, so that the same content gives the same bytes.

use std::collections::BTreeSet;

const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_REGULAR: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;
const TYPE_CHARACTER: u32 = 0o020_000;
/// Name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// An archive being written; [`Archive::finish`] gives its bytes.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// A directory, and those above it that are not there yet. Paths have no leading slash.
    pub fn directory(&mut self, path: &str) {
        let mut end = 0;
        while end < path.len() {
            end = path[end + 1..].find('/').map_or(path.len(), |at| end + 1 + at);
            let parent = &path[..end];
            if self.directories.insert(parent.to_owned()) {
                self.entry(parent, TYPE_DIRECTORY | 0o755, (0, 0), &[]);
            }
        }
    }

    /// A regular file with its permission bits.
    pub fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.parent_of(path);
        self.entry(path, TYPE_REGULAR | permissions, (0, 0), content);
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.parent_of(path);
        self.entry(path, TYPE_SYMLINK | 0o777, (0, 0), target.as_bytes());
    }

    /// A character device.
    pub fn character_device(&mut self, path: &str, permissions: u32, major: u32, minor: u32) {
        self.parent_of(path);
        self.entry(path, TYPE_CHARACTER | permissions, (major, minor), &[]);
    }

    /// The archive, padded to 512 bytes as cpio itself does.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, (0, 0), &[]);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }

    fn parent_of(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let inode = self.entries;
        let links = if mode & 0o170_000 == TYPE_DIRECTORY { 2 } else { 1 };
        let size = u32::try_from(content.len()).expect("an initrd entry is below 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a path is short");
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0]
            .map(|field| format!("{field:08x}"));
        self.bytes.extend_from_slice(b"070701");
        self.bytes.extend_from_slice(fields.concat().as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    /// Header with name, and content, each end at a multiple of four bytes.
    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn sample() -> Vec<u8> {
        let mut archive = Archive::new();
        archive.directory("proc");
        archive.file("usr/bin/tool", 0o755, b"12345");
        archive.file("usr/bin/empty", 0o644, b"");
        archive.symlink("bin", "usr/bin");
        archive.character_device("dev/console", 0o600, 5, 1);
        archive.finish()
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        assert_eq!(sample(), sample());
        assert_eq!(sample().len() % 512, 0);
    }

    /// GNU cpio is the judge of what was written; the list is skipped with a word where it is not installed.
    #[test]
    fn cpio_lists_what_was_written() {
        let Ok(mut child) = Command::new("cpio")
            .args(["-t", "-v", "--numeric-uid-gid", "--quiet"])
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
        else {
            eprintln!("cpio is not installed: not compared");
            return;
        };
        child.stdin.take().unwrap().write_all(&sample()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let listing = String::from_utf8(output.stdout).unwrap();
        let squeezed: Vec<String> =
            listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            squeezed,
            [
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 proc",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 usr",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 usr/bin",
                "-rwxr-xr-x 1 0 0 5 Jan 1 1970 usr/bin/tool",
                "-rw-r--r-- 1 0 0 0 Jan 1 1970 usr/bin/empty",
                "lrwxrwxrwx 1 0 0 7 Jan 1 1970 bin -> usr/bin",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
                "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
            ]
        );
    }
}
