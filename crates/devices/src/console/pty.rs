//! A pseudo-terminal: whoever opens its other end sits at the guest's terminal.

use super::{ConsoleError, QueuedConsole};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How often to look whether somebody has opened the other end.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A console on a new pseudo-terminal, and the name of its other end (`/dev/pts/..`). While nobody has that open, output
/// goes nowhere.
///
/// # Errors
/// When the host has no pseudo-terminal to give.
pub fn open_pty() -> Result<(Arc<QueuedConsole>, String), ConsoleError> {
    let open = || -> io::Result<_> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let mut modes = tcgetattr(&master)?;
        modes.make_raw();
        tcsetattr(&master, OptionalActions::Now, &modes)?;
        // Only after it was open once does the kernel tell that nobody has the other end open.
        drop(rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?);
        let master = Arc::new(master);
        let console = QueuedConsole::new();
        console.start_writer(Master(master.clone()))?;
        console.start_reader(Master(master))?;
        Ok((console, name.to_string_lossy().into_owned()))
    };
    open().map_err(|source| ConsoleError::new("pty", source))
}

struct Master(Arc<OwnedFd>);

impl Master {
    /// Waits a moment for `events`; `None` while nobody has the other end open.
    fn wait(&self, events: PollFlags) -> io::Result<Option<PollFlags>> {
        let mut fds = [PollFd::new(&*self.0, events)];
        let timeout = Timespec::try_from(LOOK_AGAIN).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let seen = fds[0].revents();
        Ok(if seen.contains(PollFlags::HUP) { None } else { Some(seen) })
    }
}

impl Read for Master {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.wait(PollFlags::IN)? {
                None => thread::sleep(LOOK_AGAIN),
                Some(seen) if seen.contains(PollFlags::IN) => match rustix::io::read(&*self.0, &mut *buffer) {
                    Ok(0) | Err(rustix::io::Errno::IO) => thread::sleep(LOOK_AGAIN),
                    Ok(count) => return Ok(count),
                    Err(error) => return Err(error.into()),
                },
                Some(_) => {}
            }
        }
    }
}

impl Write for Master {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        loop {
            match self.wait(PollFlags::OUT)? {
                None => return Ok(data.len()),
                Some(seen) if seen.contains(PollFlags::OUT) => match rustix::io::write(&*self.0, data) {
                    Ok(count) => return Ok(count),
                    Err(rustix::io::Errno::IO) => return Ok(data.len()),
                    Err(error) => return Err(error.into()),
                },
                Some(_) => {}
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::Console;
    use std::fs::OpenOptions;

    #[test]
    fn both_directions() {
        let (console, name) = open_pty().unwrap();
        // Nobody listens: this goes nowhere, and does not fill anything up.
        for _ in 0..64 {
            console.write(&[b'.'; 4096]);
        }
        console.flush();
        let mut other = OpenOptions::new().read(true).write(true).open(&name).unwrap();
        thread::sleep(2 * LOOK_AGAIN);
        assert_eq!(console.write(b"login: "), 7);
        let mut prompt = [0; 7];
        other.read_exact(&mut prompt).unwrap();
        assert_eq!(&prompt, b"login: ");
        other.write_all(b"root\r").unwrap();
        let mut line: Vec<u8> = vec![];
        while line.len() < 5 {
            let mut buffer = [0; 16];
            let count = console.read(&mut buffer);
            line.extend(&buffer[..count]);
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(line, b"root\r");
    }
}
