//! The terminal: raw while a guest has it, as it was before on every way out.
//!
//! Ways out are the end of the run, an error, a panic of any thread, and the signals that end a program. The escape
//! character (Ctrl-A) is ours while standard input is a terminal, or where `mon:` says so.

use crate::say;
use devices::console::QueuedConsole;
use rustix::termios::{LocalModes, OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, PoisonError};

/// How the terminal was before; `None` while it is so.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal is as it was.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// Restores the terminal when it goes out of scope.
#[derive(Debug)]
pub struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Every key goes to the guest from now on, if standard input is a terminal.
pub fn make_raw() -> Guard {
    let guard = Guard(());
    if !isatty(io::stdin()) {
        return guard;
    }
    let before = match tcgetattr(io::stdin()) {
        Ok(before) => before,
        Err(error) => {
            say::warning(&format!("the terminal does not say how it is set: {error}; keys wait for Enter"));
            return guard;
        }
    };
    let mut raw = before.clone();
    raw.make_raw();
    // Lines that the emulator itself prints keep their carriage returns.
    raw.output_modes = before.output_modes | OutputModes::OPOST;
    raw.local_modes.remove(LocalModes::ISIG);
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, &raw) {
        say::warning(&format!("the terminal cannot be made raw: {error}; keys wait for Enter"));
        restore();
    }
    guard
}

/// The terminal is restored before a panic is told.
pub fn restore_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        tell(panic);
    }));
}

/// What the user wants beside typing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// End the emulator.
    Quit,
    /// Which keys there are.
    Help,
    /// A key of QEMU's that needs a monitor.
    NoMonitor,
}

/// Tells keys that are ours from those that are the guest's.
#[derive(Debug)]
pub struct Escape {
    /// The escape character, or none.
    character: Option<u8>,
    /// It was the last character.
    escaped: bool,
}

impl Escape {
    /// With this escape character; `None`: every key is the guest's.
    pub fn new(character: Option<u8>) -> Escape {
        Escape { character, escaped: false }
    }

    /// Sorts input: what goes to the guest is put into `to_guest`, what is ours is given back in order.
    pub fn sort(&mut self, input: &[u8], to_guest: &mut Vec<u8>) -> Vec<Key> {
        let mut keys = Vec::new();
        for &byte in input {
            if !self.escaped {
                if Some(byte) == self.character {
                    self.escaped = true
                } else {
                    to_guest.push(byte)
                }
                continue;
            }
            self.escaped = false;
            match byte {
                b'x' | b'X' => keys.push(Key::Quit),
                b'h' | b'H' | b'?' => keys.push(Key::Help),
                b'c' | b'C' | b's' | b'b' | b't' => keys.push(Key::NoMonitor),
                _ if Some(byte) == self.character => to_guest.push(byte),
                // As in QEMU: a pair that means nothing is dropped.
                _ => {}
            }
        }
        keys
    }
}

/// Feeds a guest's console from standard input until its end, on a thread of its own.
///
/// # Errors
/// When no thread can be had.
pub fn start_input(
    console: Arc<QueuedConsole>,
    escapes: bool,
    character: u8,
    quit: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let terminal = isatty(io::stdin());
    let mut escape = Escape::new((escapes || terminal).then_some(character));
    let work = move || {
        let mut buffer = [0; 4096];
        loop {
            let count = match io::stdin().lock().read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    say::warning(&format!("no console input from here on: {error}"));
                    return;
                }
            };
            let mut to_guest = Vec::new();
            for key in escape.sort(&buffer[..count], &mut to_guest) {
                match key {
                    Key::Quit => quit(),
                    Key::Help => say::line(&keys(character)),
                    Key::NoMonitor => say::line("aileron: there is no monitor yet"),
                }
            }
            if terminal {
                // A guest that does not read must not keep us from reading: what is too much is dropped.
                console.push_input(&to_guest);
            } else {
                console.feed(&to_guest);
            }
        }
    };
    std::thread::Builder::new().name("stdin".into()).spawn(work).map(drop)
}

/// Name of a character that is typed with Ctrl.
fn name(character: u8) -> String {
    if character < 0x20 { format!("Ctrl-{}", char::from(character + 0x40)) } else { char::from(character).to_string() }
}

fn keys(character: u8) -> String {
    let name = name(character);
    format!(
        "\r\n{name} h        this help\r\n{name} x        ends the emulator\r\n{name} {name}   sends {name} to the guest\r"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted() {
        let mut escape = Escape::new(Some(1));
        let mut to_guest = Vec::new();
        assert_eq!(escape.sort(b"ab\x01hc\x01\x01d\x01q", &mut to_guest), [Key::Help]);
        assert_eq!(to_guest, b"abc\x01d");
        // The pair may come in two parts.
        assert_eq!(escape.sort(b"\x01", &mut to_guest), []);
        assert_eq!(escape.sort(b"x\x01c", &mut to_guest), [Key::Quit, Key::NoMonitor]);
        let mut to_guest = Vec::new();
        assert_eq!(Escape::new(None).sort(b"\x01x", &mut to_guest), []);
        assert_eq!(to_guest, b"\x01x");
    }

    #[test]
    fn the_help_names_the_character() {
        assert!(keys(1).contains("Ctrl-A x") && keys(20).contains("Ctrl-T h") && keys(b'~').contains("~ x"));
    }
}
