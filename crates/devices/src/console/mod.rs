//! Console back-ends: what stands behind a terminal of the guest (`-serial`).
//!
//! All but [`NullConsole`] are a [`QueuedConsole`]: two bounded queues between vCPU threads, which never wait, and host
//! threads, which may.

mod pty;
mod queue;
mod spec;
mod unix;

pub use pty::open_pty;
pub use queue::{INPUT_BYTES_MAX, OUTPUT_BYTES_MAX, QueuedConsole};
pub use spec::{ConsoleSpec, ConsoleSpecError};
pub use unix::open_unix_server;

use platform::{Console, InputNotifier};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// Why a back-end could not be opened.
#[derive(Debug, Error)]
#[error("console {what}: {source}")]
pub struct ConsoleError {
    /// Which one.
    pub what: String,
    /// Why.
    pub source: io::Error,
}

impl ConsoleError {
    fn new(what: impl Into<String>, source: impl Into<io::Error>) -> ConsoleError {
        ConsoleError { what: what.into(), source: source.into() }
    }
}

/// Swallows output, has no input.
#[derive(Debug, Default)]
pub struct NullConsole;

impl Console for NullConsole {
    fn read(&self, _: &mut [u8]) -> usize {
        0
    }

    fn write(&self, data: &[u8]) -> usize {
        data.len()
    }

    fn set_input_notifier(&self, _: InputNotifier) {}
}

/// Output goes to a new file at `path`; there is no input.
///
/// # Errors
/// When the file cannot be made.
pub fn open_file(path: &Path) -> Result<Arc<QueuedConsole>, ConsoleError> {
    let error = |source| ConsoleError::new(format!("file:{}", path.display()), source);
    let file = File::create(path).map_err(error)?;
    let console = QueuedConsole::new();
    console.start_writer(file).map_err(error)?;
    Ok(console)
}

/// Output goes to standard output. Input is the caller's to feed ([`QueuedConsole::push_input`]): who owns the terminal
/// decides which keys are not the guest's.
///
/// # Errors
/// When no thread can be had.
pub fn open_stdout() -> Result<Arc<QueuedConsole>, ConsoleError> {
    let console = QueuedConsole::new();
    console.start_writer(io::stdout()).map_err(|source| ConsoleError::new("stdio", source))?;
    Ok(console)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_what_was_written() {
        let path = std::env::temp_dir().join(format!("aileron-console-test-{}", std::process::id()));
        let console = open_file(&path).unwrap();
        let line = b"0123456789abcde\n";
        let mut sent = 0;
        while sent < 200_000 {
            sent += console.write(line);
        }
        console.flush();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), sent);
        assert!(bytes.chunks(16).all(|chunk| chunk == line));
        std::fs::remove_file(&path).unwrap();
        let error = open_file(Path::new("/nowhere/at all")).unwrap_err().to_string();
        assert!(error.contains("file:/nowhere/at all"), "{error}");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(NullConsole.write(b"abc"), 3);
        assert_eq!(NullConsole.read(&mut [0; 4]), 0);
    }
}
