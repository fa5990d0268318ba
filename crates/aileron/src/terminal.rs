//! The terminal: raw while a guest has it, as it was before on every way out.
//!
//! Ways out are the end of the run, an error, a panic of any thread, and the signals that end a program. The escape
//! character (Ctrl-A) is ours while standard input is a terminal, or where `mon:` says so.

use crate::monitor::{LineEditor, Monitor};
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
    /// Type to the monitor from here on, or back to the guest.
    Switch,
    /// A key of QEMU's that does nothing here.
    Nothing,
}

/// What was typed, by whom it is for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    /// The guest's.
    pub guest: Vec<u8>,
    /// The monitor's.
    pub monitor: Vec<u8>,
    /// Ours, in order.
    pub keys: Vec<Key>,
}

/// Tells keys that are ours from those that are the guest's or the monitor's.
#[derive(Debug)]
pub struct Escape {
    /// The escape character, or none.
    character: Option<u8>,
    /// It was the last character.
    escaped: bool,
    /// The monitor has the keyboard.
    to_monitor: bool,
}

impl Escape {
    /// With this escape character; `None`: every key is the guest's.
    pub fn new(character: Option<u8>) -> Escape {
        Escape { character, escaped: false, to_monitor: false }
    }

    /// Whether the monitor has the keyboard.
    pub fn is_to_monitor(&self) -> bool {
        self.to_monitor
    }

    /// Sorts input.
    pub fn sort(&mut self, input: &[u8]) -> Sorted {
        let mut sorted = Sorted::default();
        for &byte in input {
            let typed = if self.to_monitor { &mut sorted.monitor } else { &mut sorted.guest };
            if !self.escaped {
                if Some(byte) == self.character {
                    self.escaped = true
                } else {
                    typed.push(byte)
                }
                continue;
            }
            self.escaped = false;
            match byte {
                b'x' | b'X' => sorted.keys.push(Key::Quit),
                b'h' | b'H' | b'?' => sorted.keys.push(Key::Help),
                b'c' | b'C' => {
                    self.to_monitor = !self.to_monitor;
                    sorted.keys.push(Key::Switch);
                }
                b's' | b'b' | b't' => sorted.keys.push(Key::Nothing),
                _ if Some(byte) == self.character => typed.push(byte),
                // As in QEMU: a pair that means nothing is dropped.
                _ => {}
            }
        }
        sorted
    }
}

/// Feeds a guest's console, and the monitor that shares the terminal with it, from standard input until its end, on a
/// thread of its own.
///
/// # Errors
/// When no thread can be had.
pub fn start_input(
    console: Arc<QueuedConsole>,
    monitor: Monitor,
    escapes: bool,
    character: u8,
    quit: impl Fn() + Send + 'static,
) -> io::Result<()> {
    let terminal = isatty(io::stdin());
    let mut escape = Escape::new((escapes || terminal).then_some(character));
    let mut editor = LineEditor::default();
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
            let Sorted { guest, monitor: typed, keys } = escape.sort(&buffer[..count]);
            for key in keys {
                match key {
                    Key::Quit => quit(),
                    Key::Help => say::line(&help(character)),
                    Key::Switch if escape.is_to_monitor() => say::answer(&format!("\n{}", monitor.greeting())),
                    Key::Switch => say::answer("\n"),
                    Key::Nothing => say::line("aileron: that key does nothing here"),
                }
            }
            for key in typed {
                let (echo, line) = editor.key(key);
                if terminal {
                    say::answer(&echo);
                }
                if let Some(line) = line {
                    say::answer(&monitor.answer(&line));
                }
            }
            if terminal {
                // A guest that does not read must not keep us from reading: what is too much is dropped.
                console.push_input(&guest);
            } else {
                console.feed(&guest);
            }
        }
    };
    std::thread::Builder::new().name("stdin".into()).spawn(work).map(drop)
}

/// Name of a character that is typed with Ctrl.
fn name(character: u8) -> String {
    if character < 0x20 { format!("Ctrl-{}", char::from(character + 0x40)) } else { char::from(character).to_string() }
}

fn help(character: u8) -> String {
    let name = name(character);
    format!(
        "\r\n{name} h        this help\r\n{name} x        ends the emulator\r\n{name} c        to the monitor, and back\r\n{name} {name}   sends {name} to the guest\r"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted() {
        let mut escape = Escape::new(Some(1));
        let sorted = escape.sort(b"ab\x01hc\x01\x01d\x01q");
        assert_eq!(
            (&sorted.guest[..], &sorted.monitor[..], &sorted.keys[..]),
            (&b"abc\x01d"[..], &b""[..], &[Key::Help][..])
        );
        // The pair may come in two parts.
        assert_eq!(escape.sort(b"\x01"), Sorted::default());
        assert_eq!(escape.sort(b"x\x01s").keys, [Key::Quit, Key::Nothing]);
        let sorted = escape.sort(b"a\x01cnmi\r\x01\x01\x01cb");
        assert_eq!((&sorted.guest[..], &sorted.monitor[..]), (&b"ab"[..], &b"nmi\r\x01"[..]));
        assert_eq!((sorted.keys, escape.is_to_monitor()), (vec![Key::Switch, Key::Switch], false));
        let sorted = Escape::new(None).sort(b"\x01x\x01c");
        assert_eq!((&sorted.guest[..], sorted.keys.len()), (&b"\x01x\x01c"[..], 0));
    }

    #[test]
    fn the_help_names_the_character() {
        assert!(help(1).contains("Ctrl-A x") && help(20).contains("Ctrl-T h") && help(b'~').contains("~ c"));
    }
}
