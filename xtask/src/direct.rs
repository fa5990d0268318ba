//! Enters a kernel under QEMU with a tree that QEMU did not make: Aileron's own, dumped with
//! `-M pseries,dumpdtb=FILE`. What boots there is not only what Aileron itself believes.
//!
//! QEMU's firmware is replaced by five instructions that do what a direct boot does: r3 = tree, r4 = load
//! address of the kernel, r5 = 0.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::emulator::{Boot, Emulator};
use crate::run;

/// Where QEMU loads a `pseries` kernel and where Aileron does.
const KERNEL_ADDRESS: u64 = 0x40_0000;
/// A relocatable kernel copies itself down to real 0; trees and blobs lie above this.
const KERNEL_END: u64 = 0x800_0000;
/// Where QEMU's firmware is entered.
const STUB_OFFSET: usize = 0x100;
/// The instantiated RTAS of QEMU's hypervisor: `mr r4,r3; lis r3,0; ori r3,r3,0xf000; sc 1; blr`, big-endian.
/// 0xf000 is the private hypercall that carries RTAS calls.
const RTAS: [u32; 5] = [0x7c64_1b78, 0x3c60_0000, 0x6063_f000, 0x4400_0022, 0x4e80_0020];

/// The addresses that a tree names.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    rtas: u64,
    initrd: Range<u64>,
}

/// Changes `boot` so that QEMU runs it from the tree; the blobs go into `directory`.
pub fn under_qemu(mut boot: Boot, tree: &Path, directory: &Path) -> Result<Command> {
    let places = Places {
        rtas: property(tree, "/rtas", "linux,rtas-base")?,
        initrd: property(tree, "/chosen", "linux,initrd-start")?..property(tree, "/chosen", "linux,initrd-end")?,
    };
    let size = fs::metadata(tree).with_context(|| format!("cannot read {}", tree.display()))?.len();
    let tree_at = place_for_tree(&places, size)?;
    let stub = directory.join("stub.bin");
    let rtas = directory.join("rtas.bin");
    fs::write(&stub, stub_bytes(tree_at)).with_context(|| format!("cannot write {}", stub.display()))?;
    fs::write(&rtas, RTAS.map(u32::to_be_bytes).concat())
        .with_context(|| format!("cannot write {}", rtas.display()))?;

    boot.emulator = Emulator::Qemu;
    boot.options.extend(["-bios".to_owned(), stub.display().to_string()]);
    let loads = [(tree, tree_at), (&rtas, places.rtas), (&boot.guest.initrd, places.initrd.start)];
    for (file, address) in loads {
        let load = format!("loader,file={},addr={address:#x},force-raw=on", file.display());
        boot.options.extend(["-device".to_owned(), load]);
    }
    let mut command = boot.command();
    // The tree names the initrd's address; QEMU's own choice would be another one, and twice the same ROM.
    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let at = words.iter().position(|word| word == "-initrd").context("a boot has an initrd")?;
    let mut without = Command::new(command.get_program());
    without.args(&words[..at]).args(&words[at + 2..]);
    command = without;
    Ok(command)
}

/// A number of one or two cells, read by `fdtget` (Debian package device-tree-compiler).
fn property(tree: &Path, node: &str, name: &str) -> Result<u64> {
    let text = run::capture(Command::new("fdtget").args(["-t", "x"]).arg(tree).args([node, name]))
        .with_context(|| format!("the tree {} has no {node} {name}", tree.display()))?;
    number(&text).with_context(|| format!("{node} {name} is no number of one or two cells: {text:?}"))
}

fn number(cells: &str) -> Option<u64> {
    let cells: Vec<u64> =
        cells.split_whitespace().map(|cell| u64::from_str_radix(cell, 16).ok()).collect::<Option<_>>()?;
    match cells[..] {
        [low] => Some(low),
        [high, low] => Some(high << 32 | low),
        _ => None,
    }
}

/// An address for the tree, a multiple of 16 MiB that one `lis` can load, away from everything else.
fn place_for_tree(places: &Places, size: u64) -> Result<u64> {
    ensure!(
        !places.initrd.is_empty(),
        "the tree says that the initrd ends at {:#x} and starts at {:#x}",
        places.initrd.end,
        places.initrd.start
    );
    let taken = [places.initrd.clone(), places.rtas..places.rtas + 0x1_0000];
    (KERNEL_END..0x4000_0000)
        .step_by(0x100_0000)
        .find(|&at| taken.iter().all(|range| at + size <= range.start || range.end <= at))
        .with_context(|| format!("no place below 1 GiB for a tree of {size} bytes beside {places:x?}"))
}

/// The firmware: `lis r3,tree; lis r4,kernel; li r5,0; mtctr r4; bctr` at 0x100, big-endian.
fn stub_bytes(tree_at: u64) -> Vec<u8> {
    let high = |address: u64| u32::try_from(address >> 16).expect("below 2 GiB");
    let code = [0x3c60_0000 | high(tree_at), 0x3c80_0000 | high(KERNEL_ADDRESS), 0x38a0_0000, 0x7c89_03a6, 0x4e80_0420];
    let mut bytes = vec![0; STUB_OFFSET];
    bytes.extend(code.iter().flat_map(|word: &u32| word.to_be_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells() {
        assert_eq!(number("1fff0000\n"), Some(0x1fff_0000));
        assert_eq!(number("1 2"), Some(0x1_0000_0002));
        assert_eq!(number("1 2 3"), None);
        assert_eq!(number("x"), None);
    }

    #[test]
    fn the_tree_lies_beside_the_rest() {
        let places = Places { rtas: 0x1fff_0000, initrd: 0x700_0000..0x950_0000 };
        assert_eq!(place_for_tree(&places, 0x1_0000).unwrap(), 0xa00_0000);
        let low = Places { rtas: 0x1fff_0000, initrd: 0x2c9_0000..0x2dd_0000 };
        assert_eq!(place_for_tree(&low, 0x1_0000).unwrap(), KERNEL_END);
        assert!(place_for_tree(&Places { rtas: 0, initrd: 5..5 }, 1).is_err());
    }

    #[test]
    fn the_stub_is_where_the_machine_is_entered() {
        let stub = stub_bytes(0x1000_0000);
        assert_eq!(stub.len(), 0x114);
        assert_eq!(stub[0x100..0x108], [0x3c, 0x60, 0x10, 0x00, 0x3c, 0x80, 0x00, 0x40]);
    }
}
