//! An image of instructions and tables, and what QEMU's `pseries` machine and ours leave in RAM when it has run.

use crate::guest;
use cpu::CpuModel;
use hypervisor::capability::{CapBasis, resolve};
use machine::{Accelerator, AcceleratorKind, Config, End, Machine, Topology};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use timing::Clock;

/// RAM of either machine: the least that QEMU's has.
pub const RAM_BYTES: u64 = 256 << 20;
/// `power-off`, its arguments, and room for the answer.
pub const POWER_OFF: [u32; 6] = [platform::papr::token::POWER_OFF, 2, 1, 0, 0, 0];
/// An image that runs longer than this hangs.
const SECONDS: u64 = 60;

/// What lies in RAM from `base` on.
pub struct Image {
    pub base: u64,
    pub bytes: Vec<u8>,
}

impl Image {
    pub fn new(base: u64, bytes: usize) -> Image {
        Image { base, bytes: vec![0; bytes] }
    }

    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        self.bytes[(at - self.base) as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub fn word(&mut self, at: u64, value: u64) {
        self.put(at, &value.to_be_bytes());
    }

    /// A program, an instruction a line. Returns the address behind it.
    pub fn program(&mut self, at: u64, text: &str, little_endian: bool) -> u64 {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut at = at;
        for line in lines {
            let word = isa::assemble_at(line, at).unwrap_or_else(|e| panic!("{line}: {e}")) as u32;
            let bytes = if little_endian { word.to_le_bytes() } else { word.to_be_bytes() };
            self.put(at, &bytes);
            at += 4;
        }
        at
    }

    /// Arguments of `power-off`.
    pub fn power_off(&mut self, at: u64) {
        self.put(at, &POWER_OFF.map(u32::to_be_bytes).concat());
    }
}

/// Instructions that set a register to 32 bits without a sign.
pub fn constant(register: u32, value: u64) -> String {
    assert!(value < 1 << 31);
    format!("lis r{register},{}\nori r{register},r{register},{}\n", value >> 16, value & 0xFFFF)
}

/// A file that is there as long as this.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("aileron-qemu-{}-{}-{name}", std::process::id(), COUNT.fetch_add(1, SeqCst));
        Scratch(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs on QEMU, in place of firmware, which is entered at 0x100; gives `bytes` bytes of RAM from `from` on. RAM is a file, so the
/// image needs no loader and the answers no console.
pub fn on_qemu(cpu: &str, image: &Image, from: u64, bytes: usize) -> Result<Vec<u8>, String> {
    // QEMU 7.2 ends itself now and then, one run of some seven hundred, whatever the program.
    let by_chance = |error: &String| error.contains("longjmp causes uninitialized stack frame");
    let mut answer = once_on_qemu(cpu, image, from, bytes);
    for _ in 0..3 {
        if !answer.as_ref().is_err_and(by_chance) {
            break;
        }
        answer = once_on_qemu(cpu, image, from, bytes);
    }
    answer
}

fn once_on_qemu(cpu: &str, image: &Image, from: u64, bytes: usize) -> Result<Vec<u8>, String> {
    let [ram, firmware, stderr] = ["ram", "firmware", "stderr"].map(Scratch::new);
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&ram.0).unwrap();
    file.set_len(RAM_BYTES).unwrap();
    file.write_all_at(&image.bytes, image.base).unwrap();
    let first = if image.base == 0 {
        image.bytes[..0x104].to_vec()
    } else {
        let mut first = vec![0; 0x100];
        first.extend((isa::assemble_at(&format!("b .+{}", image.base - 0x100), 0x100).unwrap() as u32).to_be_bytes());
        first
    };
    std::fs::write(&firmware.0, first).unwrap();
    let status = Command::new("timeout")
        .args(["-k", "2", &SECONDS.to_string(), "qemu-system-ppc64", "-accel", "tcg", "-cpu", cpu, "-m", "256M"])
        .args(["-M", "pseries,x-vof=on,memory-backend=ram", "-object"])
        .arg(format!("memory-backend-file,id=ram,size=256M,share=on,mem-path={}", ram.0.display()))
        .args(["-nodefaults", "-display", "none", "-serial", "null", "-no-reboot", "-bios"])
        .arg(&firmware.0)
        .stderr(File::create(&stderr.0).unwrap())
        .status()
        .map_err(|error| format!("qemu-system-ppc64: {error}"))?;
    let told = std::fs::read_to_string(&stderr.0).unwrap_or_default();
    let mut answers = vec![0; bytes];
    file.read_exact_at(&mut answers, from).unwrap();
    if status.success() { Ok(answers) } else { Err(format!("QEMU ended with {status}: {told}")) }
}

/// QEMU's own name and version.
pub fn version() -> String {
    let output = Command::new("qemu-system-ppc64").arg("--version").output().expect("qemu-system-ppc64 runs");
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

/// What ran here.
pub struct Ran {
    /// The same part of RAM.
    pub answers: Vec<u8>,
    /// Instructions that were interpreted, and that ran translated.
    pub instructions: u64,
    /// Regions that were translated.
    pub regions: u64,
}

/// Runs here, as a kernel that is entered directly.
pub fn here(
    model: &'static CpuModel,
    image: &Image,
    kind: AcceleratorKind,
    from: u64,
    bytes: usize,
) -> Result<Ran, String> {
    let kernel = Scratch::new("kernel");
    std::fs::write(&kernel.0, guest::elf(&image.bytes, image.bytes.len() as u64)).unwrap();
    let capabilities = resolve(&[], CapBasis { cpu: model.level.into(), compat: None }).unwrap().0;
    let mut machine = Machine::new(Config {
        model,
        capabilities,
        ram_bytes: RAM_BYTES,
        topology: Topology::cores(1),
        numa: machine::numa::Numa::one(&Topology::cores(1), RAM_BYTES),
        kernel_address: image.base,
        accelerator: Accelerator { kind, threshold: 1, ram_every: u64::MAX, ..Accelerator::default() },
        ..guest::config(kernel.0.clone(), Clock::virtual_time(0))
    })
    .map_err(|error| error.to_string())?;
    let handle = machine.handle();
    let (done, waits) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if waits.recv_timeout(Duration::from_secs(10 * SECONDS)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            handle.quit("the image hangs");
        }
    });
    let end = machine.run();
    drop(done);
    watch.join().unwrap();
    match end {
        Ok(End::PowerOff) => {}
        Ok(end) => return Err(format!("ended otherwise: {end:?}")),
        Err(error) => return Err(error.to_string()),
    }
    let mut answers = vec![0; bytes];
    machine.read_ram(from, &mut answers).map_err(|error| error.to_string())?;
    let stats = machine.stats();
    let regions = machine.translator_stats().map_or(0, |stats| stats.compiled);
    Ok(Ran { answers, instructions: stats.retired, regions })
}
