//! The terminal: which keys are ours, and that it is as it was after every way out.

use crate::guest::{GOOD, directory, elf, file, power_off};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program on a terminal, with us at the keyboard.
struct Seat {
    keyboard: OwnedFd,
    terminal: OwnedFd,
    child: Child,
    screen: String,
}

impl Seat {
    fn new(arguments: &[&str]) -> (Seat, Termios) {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let terminal = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        assert!(before.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_aileron"));
        command.env("XDG_CACHE_HOME", directory().join("cache"));
        let child = command.args(arguments).stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        (Seat { keyboard, terminal, child, screen: String::new() }, before)
    }

    fn type_keys(&self, keys: &[u8]) {
        assert_eq!(rustix::io::write(&self.keyboard, keys).unwrap(), keys.len());
    }

    /// Waits until `happened`; what comes onto the screen meanwhile is kept.
    fn wait(&mut self, what: &str, mut happened: impl FnMut(&mut Seat) -> bool) {
        let begin = Instant::now();
        let moment = Timespec::try_from(Duration::from_millis(20)).unwrap();
        loop {
            let mut fds = [PollFd::new(&self.keyboard, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&moment)).unwrap() != 0;
            if ready {
                let mut buffer = [0; 4096];
                let count = rustix::io::read(&self.keyboard, &mut buffer).unwrap();
                self.screen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            } else if happened(self) {
                return;
            }
            if begin.elapsed() > Duration::from_secs(60) {
                self.child.kill().unwrap();
                panic!("waiting for {what} with this on the screen: {:?}", self.screen);
            }
        }
    }

    fn is_raw(&mut self) -> bool {
        !tcgetattr(&self.terminal).unwrap().local_modes.intersects(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Waits for the end; it comes with `status`, and the terminal is as it was.
    fn end(mut self, status: i32, before: &Termios) {
        let mut found = None;
        self.wait("the end", |seat| {
            found = seat.child.try_wait().unwrap();
            found.is_some()
        });
        assert_eq!(found.unwrap().code(), Some(status), "{:?}", self.screen);
        let after = tcgetattr(&self.terminal).unwrap();
        assert_eq!(
            (after.input_modes, after.output_modes, after.local_modes, after.control_modes),
            (before.input_modes, before.output_modes, before.local_modes, before.control_modes),
            "{:?}",
            self.screen
        );
    }
}

/// A guest that loops for ever, at a terminal that is raw by now.
fn at_a_looping_guest(name: &str) -> (Seat, Termios) {
    let kernel = file(name, &elf(&GOOD, &[0x4800_0000]));
    let (mut seat, before) = Seat::new(&["-m", "64", "-nographic", "-kernel", &kernel]);
    seat.wait("a raw terminal", Seat::is_raw);
    (seat, before)
}

#[test]
fn ctrl_a_x_quits_and_ctrl_a_h_helps() {
    let (mut seat, before) = at_a_looping_guest("looping-keys");
    seat.type_keys(b"\x01h");
    seat.wait("the help", |seat| seat.screen.contains("ends the emulator"));
    // Ctrl-C is the guest's.
    seat.type_keys(b"\x03x");
    seat.type_keys(b"\x01x");
    seat.end(0, &before);
}

#[test]
fn ctrl_a_c_leads_to_the_monitor_and_back() {
    let (mut seat, before) = at_a_looping_guest("looping-monitor");
    seat.type_keys(b"\x01cinfo status\r");
    seat.wait("the status", |seat| seat.screen.contains("VM status: running"));
    seat.type_keys(b"stop\rinfo status\r");
    seat.wait("the pause", |seat| seat.screen.contains("VM status: paused"));
    // The guest's keys, and the monitor's again.
    seat.type_keys(b"\x01cquit\r\x01ccont\rinfo cpus\r");
    seat.wait("the vCPU", |seat| seat.screen.contains("CPU #0: Running"));
    seat.type_keys(b"quit\r");
    seat.end(0, &before);
}

#[test]
fn signals_leave_the_terminal_as_it_was() {
    for signal in [1, 2, 3, 15] {
        let (seat, before) = at_a_looping_guest("looping-signals");
        let number = format!("-{signal}");
        assert!(Command::new("kill").args([&number, &seat.child.id().to_string()]).status().unwrap().success());
        seat.end(128 + signal, &before);
    }
}

#[test]
fn power_off_and_errors_leave_the_terminal_as_it_was() {
    let kernel = file("powering-off", &elf(&GOOD, &power_off()));
    let (seat, before) = Seat::new(&["-m", "64", "-nographic", "-kernel", &kernel]);
    seat.end(0, &before);
    let (seat, before) = Seat::new(&["-m", "64", "-nographic", "-kernel", "/nonexistent/vmlinux"]);
    seat.end(1, &before);
}
