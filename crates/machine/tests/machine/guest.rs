//! Bare-metal guests: a few instructions and an RTAS call.

use cpu::model::POWER9;
use devices::Nvram;
use hypervisor::capability::{CapBasis, resolve};
use machine::numa::Numa;
use machine::{Accelerator, Config, Topology};
use platform::SeededEntropy;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// `lis r3,0; ori r3,r3,0xf000; addi r4,r4,0x100; sc 1; b .`: calls RTAS with the block at 0x100 of the image.
pub const CALL_RTAS: [u32; 5] = [0x3c60_0000, 0x6063_f000, 0x3884_0100, 0x4400_0022, 0x4800_0000];

/// `li r5,0; lis r6,5; mtctr r6; addi r5,r5,1; stw r5,0x180(r4); bdnz .-8`, before a reboot: a million instructions.
pub const LOOP: [u32; 6] = [0x38a0_0000, 0x3cc0_0005, 0x7cc9_03a6, 0x38a5_0001, 0x90a4_0180, 0x4200_fff8];

/// A big-endian ELF file with this code, and an RTAS block with these words at 0x100.
pub fn image(code: &[u32], block: &[u32]) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut memory = vec![0u8; 0x200];
    for (at, words) in [(0, code), (0x100, block)] {
        for (index, word) in words.iter().enumerate() {
            memory[at + 4 * index..][..4].copy_from_slice(&word.to_be_bytes());
        }
    }
    let file = elf(&memory, 0x1000);
    let name = format!("aileron-board-{}-{}.elf", std::process::id(), COUNT.fetch_add(1, SeqCst));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, file).unwrap();
    path
}

/// A big-endian ELF file of one segment, linked as Linux is: this in `bytes` bytes of memory, entered at its first instruction.
pub fn elf(memory: &[u8], bytes: u64) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 2, 1, 0];
    file.resize(16, 0);
    file.extend([0, 2, 0, 21, 0, 0, 0, 1]);
    for word in [0xc000_0000_0000_0000u64, 64, 0] {
        file.extend(word.to_be_bytes());
    }
    file.extend([0, 0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0]);
    file.extend([0, 0, 0, 1, 0, 0, 0, 5]);
    for word in [0x78u64, 0xc000_0000_0000_0000, 0, memory.len() as u64, bytes, 0x1_0000] {
        file.extend(word.to_be_bytes());
    }
    assert_eq!(file.len(), 0x78);
    file.extend(memory);
    file
}

/// A machine of two vCPUs that boots this kernel.
pub fn config(kernel: PathBuf, clock: timing::Clock) -> Config {
    let capabilities = resolve(&[], CapBasis { cpu: POWER9.level.into(), compat: None }).unwrap().0;
    Config {
        model: &POWER9,
        ram_bytes: 64 << 20,
        topology: Topology::cores(2),
        numa: Numa::one(&Topology::cores(2), 64 << 20),
        form2: true,
        capabilities,
        mmu: None,
        fixed_hash_table: false,
        interrupt_mode: devices::InterruptMode::Dual,
        client_interface: false,
        kernel,
        kernel_address: 0x40_0000,
        initrd: None,
        append: String::new(),
        clock,
        entropy: Arc::new(SeededEntropy::new(7)),
        consoles: Vec::new(),
        nvram: Nvram::in_memory(),
        no_reboot: true,
        ignore_guest_panic: false,
        uuid: None,
        name: None,
        root_strings: Vec::new(),
        accelerator: Accelerator::default(),
        vcpu_observer: Arc::new(vcpu::Silent),
        hcall_observer: None,
    }
}
