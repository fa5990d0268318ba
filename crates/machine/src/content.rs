//! What is put into RAM at each boot: bytes, or part of a file that is read when it is wanted.

use crate::loader::LoadError;
use memory::{Memory, RamError};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that stays open, for error messages with its name.
#[derive(Debug)]
pub struct Origin {
    /// `kernel` or `initrd`.
    what: &'static str,
    path: PathBuf,
    file: File,
    /// Of a regular file: its bytes.
    len: Option<u64>,
}

/// Bytes that go into RAM.
#[derive(Debug, Clone)]
pub enum Content {
    /// They are here.
    Bytes(Vec<u8>),
    /// They are read at each boot: no copy is kept.
    File {
        /// The file.
        origin: Arc<Origin>,
        /// Where they start in it.
        at: u64,
        /// How many they are.
        len: u64,
    },
}

impl Content {
    /// Number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File { len, .. } => *len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts them into RAM. No vCPU runs.
    ///
    /// # Errors
    /// [`LoadError`] if they cannot be read any more, or do not fit.
    pub fn write(&self, memory: &Memory, real: u64) -> Result<(), LoadError> {
        match self {
            Content::Bytes(bytes) => Ok(memory.write(real, bytes)?),
            Content::File { origin, at, len } => {
                memory.write_from_file(real, *len, &origin.file, *at).map_err(|error| match error {
                    RamError::File { source } if source.kind() == ErrorKind::UnexpectedEof => {
                        origin.io(std::io::Error::new(source.kind(), "it ends earlier than when it was opened"))
                    }
                    RamError::File { source } => origin.io(source),
                    other => other.into(),
                })
            }
        }
    }
}

impl Origin {
    /// Opens a file.
    pub(crate) fn open(what: &'static str, path: &Path) -> Result<Origin, LoadError> {
        let io = |source| LoadError::Io { what, path: path.into(), source };
        let file = File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?;
        Ok(Origin { what, path: path.into(), file, len: found.is_file().then_some(found.len()) })
    }

    /// Bytes of the file, if it is one whose parts can be read at any time.
    pub(crate) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Whether it gives its bytes only once, as a pipe does.
    pub(crate) fn is_stream(&mut self) -> bool {
        self.len.is_none() && self.file.stream_position().is_err()
    }

    /// Its first bytes, as many as there are up to `head_bytes`.
    pub(crate) fn head(&mut self, head_bytes: u64) -> Result<Vec<u8>, LoadError> {
        let mut head = Vec::new();
        let read = self.file.rewind().and_then(|()| self.file.by_ref().take(head_bytes).read_to_end(&mut head));
        read.map_err(|source| self.io(source))?;
        Ok(head)
    }

    /// All of it, when it has at most `max_bytes`.
    pub(crate) fn all(mut self, max_bytes: u64) -> Result<Content, LoadError> {
        if let Some(len) = self.len {
            self.check(len, max_bytes)?;
            return Ok(Content::File { origin: Arc::new(self), at: 0, len });
        }
        self.read(max_bytes).map(Content::Bytes)
    }

    /// The bytes of what is no regular file, or is wanted as a whole.
    pub(crate) fn read(&mut self, max_bytes: u64) -> Result<Vec<u8>, LoadError> {
        // What can only be read once stands at its beginning.
        let _ = self.file.rewind();
        let mut bytes = Vec::new();
        // One byte more tells a file that fits from one that does not.
        let read = self.file.by_ref().take(max_bytes.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|source| self.io(source))?;
        self.check(bytes.len() as u64, max_bytes)?;
        Ok(bytes)
    }

    fn check(&self, len: u64, max_bytes: u64) -> Result<(), LoadError> {
        if len <= max_bytes {
            return Ok(());
        }
        Err(LoadError::TooLarge { what: self.what, path: self.path.clone(), max_bytes })
    }

    fn io(&self, source: std::io::Error) -> LoadError {
        LoadError::Io { what: self.what, path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_is_read_each_time() {
        let path = std::env::temp_dir().join(format!("aileron-content-{}", std::process::id()));
        std::fs::write(&path, (0..=255).cycle().take(10_000).collect::<Vec<u8>>()).unwrap();
        let origin = Arc::new(Origin::open("kernel", &path).unwrap());
        // It is the file that was opened, whatever its name leads to now.
        std::fs::remove_file(&path).unwrap();
        let memory = Memory::new(0x1_0000, 1).unwrap();
        let content = Content::File { origin: origin.clone(), at: 3, len: 5000 };
        for _ in 0..2 {
            memory.clear();
            content.write(&memory, 0x800).unwrap();
            let mut found = vec![0; 5002];
            memory.read(0x7FF, &mut found).unwrap();
            assert_eq!((found[0], found[5001]), (0, 0));
            assert!(found[1..5001].iter().zip(3u32..).all(|(b, n)| *b == n as u8));
        }
        let text =
            Content::File { origin: origin.clone(), at: 9_999, len: 2 }.write(&memory, 0).unwrap_err().to_string();
        assert!(text.contains("aileron-content") && text.contains("ends"), "{text}");
        let beyond = Content::File { origin, at: 0, len: 2 }.write(&memory, 0xFFFF);
        assert!(matches!(beyond, Err(LoadError::Ram(RamError::OutOfRange { .. }))), "{beyond:?}");
    }
}
