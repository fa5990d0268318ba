//! Any command line. What the fuzz target `options` runs.

use crate::options::OPTIONS;
use crate::settings::{Command, parse};
use platform::mock::Input;

/// What values are made of: words that some option knows, and what they are joined by.
const WORDS: &[&str] = &[
    "pseries",
    "power8",
    "power9",
    "power10",
    "host",
    "jit",
    "interp",
    "lockstep",
    "accel",
    "kvm-hv",
    "kvm-pr",
    "kvm-hv-nested",
    "cap-ail-modes",
    "cap-ail-mode-3",
    "cap-htm",
    "cap-hpt-max-page-size",
    "cap-vsx",
    "0+3",
    "0x9",
    "on",
    "off",
    "max-cpu-compat",
    "ic-mode",
    "xics",
    "xive",
    "dual",
    "x-vof",
    "kernel-addr",
    "vsmt",
    "cpus",
    "cores",
    "threads",
    "sockets",
    "maxcpus",
    "node",
    "nodeid",
    "mem",
    "memdev",
    "cpu",
    "dist",
    "src",
    "dst",
    "val",
    "core-id",
    "memory-backend-ram",
    "id",
    "size",
    "base",
    "utc",
    "localtime",
    "clock",
    "vm",
    "rt",
    "stdio",
    "mon",
    "pty",
    "null",
    "none",
    "file",
    "unix",
    "server",
    "wait",
    "1G",
    "512M",
    "4096",
    "16777216T",
    "-1",
    "0",
    "1",
    "2",
    "4",
    "8",
    "1024",
    "18446744073709551615",
    "18446744073709551616",
    "0x",
    "1e9",
    "2026-01-01T00:00:00",
    "isa",
    "int",
    "guest_errors",
];
const JOINTS: &[&str] = &["", "=", ",", ",", ",,", ":", "+", ".", "-", " ", "\n", "=,"];

fn value(input: &mut Input<'_>) -> String {
    let mut text = String::new();
    for _ in 0..input.byte() % 8 {
        match input.byte() {
            0..=219 => text.push_str(WORDS[usize::from(input.byte()) % WORDS.len()]),
            220..=249 => text.push(char::from(input.byte())),
            _ => text.push(char::from_u32(input.word() % 0x11_0000).unwrap_or('\u{fffd}')),
        }
        text.push_str(JOINTS[usize::from(input.byte()) % JOINTS.len()]);
    }
    text
}

/// Reads the command line that `data` says.
///
/// # Panics
/// If it is refused without a reason, or answered otherwise a second time.
pub fn options(data: &[u8]) {
    let mut input = Input::new(data);
    let mut arguments = Vec::new();
    while !input.is_empty() && arguments.len() < 64 {
        match input.byte() {
            0..=223 => {
                let row = &OPTIONS[usize::from(input.byte()) % OPTIONS.len()];
                arguments.push(format!("-{}", row.names[usize::from(input.byte()) % row.names.len()]));
                if row.value.is_some() {
                    arguments.push(value(&mut input));
                }
            }
            224..=239 => arguments.push(format!("-{}", value(&mut input))),
            _ => arguments.push(value(&mut input)),
        }
    }
    let answer = |arguments: &[String]| match parse(arguments.iter().cloned()) {
        Ok(Command::Show(text)) => format!("shows {text}"),
        Ok(Command::Run(settings)) => format!("runs with {} bytes", settings.ram_bytes),
        Err(error) => {
            assert!(!error.to_string().is_empty(), "{arguments:?}");
            format!("{error:#}")
        }
    };
    assert_eq!(answer(&arguments), answer(&arguments), "{arguments:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn any_command_line_is_read_or_refused() {
        for seed in 0..2000 {
            options(&some_bytes(seed, 300));
        }
    }
}
