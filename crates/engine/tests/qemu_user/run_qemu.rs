//! Runs a batch of tests under `qemu-ppc64le` or `qemu-ppc64`.

use super::generate::Test;
use super::guest::{Guest, LOW_BYTES, Slot};
use super::record::{Ending, Order, RECORD_BYTES, Snapshot};
use isa::IsaLevel;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The emulator.
fn qemu(order: Order) -> &'static str {
    match order {
        Order::Little => "qemu-ppc64le",
        Order::Big => "qemu-ppc64",
    }
}

/// What a batch left behind.
pub struct Batch {
    /// Registers, sandbox and ending of each test.
    pub results: Vec<(Snapshot, Ending)>,
    /// Low memory.
    pub low: Vec<u8>,
}

/// The model's name, as QEMU spells it.
fn cpu(level: IsaLevel) -> &'static str {
    match level {
        IsaLevel::V2_07 => "power8",
        IsaLevel::V3_0 => "power9",
        IsaLevel::V3_1 => "power10",
    }
}

/// The emulator's version line.
pub fn version(order: Order) -> Result<String, String> {
    let out = Command::new(qemu(order)).arg("--version").output().map_err(|e| missing(order, e))?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().next().unwrap_or_default().to_string())
}

fn missing(order: Order, e: std::io::Error) -> String {
    let qemu = qemu(order);
    format!("{qemu} cannot be started ({e}); it is in Debian's package qemu-user: apt-get install qemu-user")
}

/// A file that goes away.
struct TemporaryFile(PathBuf);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs the tests on the model of a level.
pub fn run(guest: &Guest, level: IsaLevel, tests: &[Test]) -> Result<Batch, String> {
    let bodies: Vec<Vec<u32>> = tests.iter().map(Test::words).collect();
    let slots: Vec<Slot<'_>> = tests.iter().zip(&bodies).map(|(t, body)| Slot { body, sets_tar: t.sets_tar }).collect();
    let records: Vec<u8> = tests.iter().flat_map(|t| t.before.to_bytes(t.place.entry(), guest.order)).collect();
    let elf = guest.elf(&guest.slots(&slots), &records);
    // Tests run beside each other: each batch has a file of its own.
    static BATCHES: AtomicU64 = AtomicU64::new(0);
    let number = BATCHES.fetch_add(1, Relaxed);
    let name = format!("aileron-against-qemu-{}-{number}.elf", std::process::id());
    let file = TemporaryFile(std::env::temp_dir().join(name));
    let io = |e: std::io::Error| format!("{}: {e}", file.0.display());
    let mut f = std::fs::File::create(&file.0).map_err(io)?;
    f.write_all(&elf).map_err(io)?;
    drop(f);
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o700)).map_err(io)?;
    let out = Command::new(qemu(guest.order))
        .args(["-cpu", cpu(level)])
        .arg(&file.0)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| missing(guest.order, e))?;
    let expected = records.len() + LOW_BYTES as usize;
    if !out.status.success() || out.stdout.len() != expected {
        return Err(format!(
            "{} -cpu {} ended with {}, and {} bytes instead of {expected}: {}",
            qemu(guest.order),
            cpu(level),
            out.status,
            out.stdout.len(),
            String::from_utf8_lossy(&out.stderr).lines().take(5).collect::<Vec<_>>().join("; ")
        ));
    }
    let (records, low) = out.stdout.split_at(records.len());
    let results =
        records.chunks(RECORD_BYTES as usize).map(|record| Snapshot::from_bytes(record, guest.order)).collect();
    Ok(Batch { results, low: low.to_vec() })
}
