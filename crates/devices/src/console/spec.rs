//! The value of `-serial`.

use std::path::PathBuf;
use thiserror::Error;

/// A console back-end as the user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleSpec {
    /// The terminal that the emulator was started from.
    Stdio,
    /// Nothing.
    Null,
    /// No terminal at all.
    None,
    /// A new pseudo-terminal.
    Pty,
    /// A file that gets the output.
    File(PathBuf),
    /// A Unix-domain socket that listens.
    Unix {
        /// Where.
        path: PathBuf,
        /// Start the guest only when a client is there.
        wait: bool,
    },
}

/// Why a value of `-serial` was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsoleSpecError {
    /// Not a back-end.
    #[error(
        "unknown back-end '{0}': known are stdio, mon:stdio, null, none, pty, file:PATH, unix:PATH,server=on[,wait=off]"
    )]
    Unknown(String),
    /// `file:` or `unix:` and nothing else.
    #[error("'{0}' names no path")]
    NoPath(String),
    /// An option of `unix:` that is not known, or not supported.
    #[error("'{option}' in '{given}': known are server=on, wait=on and wait=off; this end always listens")]
    UnixOption {
        /// The option.
        option: String,
        /// The whole value.
        given: String,
    },
}

impl ConsoleSpec {
    /// Reads a value of `-serial`, in QEMU's spelling.
    ///
    /// # Errors
    /// See [`ConsoleSpecError`].
    pub fn parse(text: &str) -> Result<ConsoleSpec, ConsoleSpecError> {
        let no_path = || ConsoleSpecError::NoPath(text.into());
        match text {
            "stdio" | "mon:stdio" => return Ok(ConsoleSpec::Stdio),
            "null" => return Ok(ConsoleSpec::Null),
            "none" => return Ok(ConsoleSpec::None),
            "pty" => return Ok(ConsoleSpec::Pty),
            _ => {}
        }
        if let Some(path) = text.strip_prefix("file:") {
            return if path.is_empty() { Err(no_path()) } else { Ok(ConsoleSpec::File(path.into())) };
        }
        let Some(rest) = text.strip_prefix("unix:") else { return Err(ConsoleSpecError::Unknown(text.into())) };
        let mut parts = rest.split(',');
        let path = parts.next().filter(|path| !path.is_empty()).ok_or_else(no_path)?;
        // As in QEMU: who listens waits for the first client unless told not to.
        let mut wait = true;
        for option in parts {
            match option {
                "server" | "server=on" => {}
                "wait" | "wait=on" => wait = true,
                "nowait" | "wait=off" => wait = false,
                _ => return Err(ConsoleSpecError::UnixOption { option: option.into(), given: text.into() }),
            }
        }
        Ok(ConsoleSpec::Unix { path: path.into(), wait })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (text, spec) in [
            ("stdio", ConsoleSpec::Stdio),
            ("mon:stdio", ConsoleSpec::Stdio),
            ("null", ConsoleSpec::Null),
            ("none", ConsoleSpec::None),
            ("pty", ConsoleSpec::Pty),
            ("file:/tmp/a,b", ConsoleSpec::File("/tmp/a,b".into())),
            ("unix:/tmp/s,server=on,wait=off", ConsoleSpec::Unix { path: "/tmp/s".into(), wait: false }),
            ("unix:s,server,nowait", ConsoleSpec::Unix { path: "s".into(), wait: false }),
            ("unix:s,server=on", ConsoleSpec::Unix { path: "s".into(), wait: true }),
        ] {
            assert_eq!(ConsoleSpec::parse(text), Ok(spec), "{text}");
        }
        for text in ["", "file:", "unix:", "unix:,server=on", "unix:s,server=off", "unix:s,", "tcp::1234", "Stdio"] {
            assert!(ConsoleSpec::parse(text).is_err(), "{text}");
        }
    }
}
