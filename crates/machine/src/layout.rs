//! Where things lie in RAM when the kernel is entered.
//!
//! A relocatable kernel copies itself down to real address 0, so everything else has to lie above both the place where
//! it was loaded and the place where it will run: above max(memory size, load address + memory size). RTAS is called in
//! 32-bit real mode and lies as high as possible below [`RTAS_TOP`], or below the end of RAM, the tree below it, and the
//! initrd right behind the kernel.

use std::ops::Range;
use thiserror::Error;

/// RTAS lies below this when everything fits there.
const RTAS_TOP: u64 = 512 << 20;
/// RTAS never lies above this: addresses of its argument blocks have 32 bits.
const RTAS_TOP_MAX: u64 = 4 << 30;
/// Everything starts at a multiple of this, the larger page size of guests.
const ALIGN: u64 = 0x1_0000;
/// Interrupt vectors and the words around them: nothing is placed below this.
const VECTORS_END: u64 = 0x1_0000;

/// What has to find its place.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Size of RAM.
    pub ram_bytes: u64,
    /// A guest that has not read all of the tree may use no more than this ([`crate::numa::Numa::first_bytes`]).
    pub first_bytes: u64,
    /// Load address of the kernel.
    pub kernel_address: u64,
    /// What the kernel needs from there on.
    pub kernel_bytes: u64,
    /// Size of the initrd, if there is one.
    pub initrd_bytes: Option<u64>,
    /// Size of the RTAS area.
    pub rtas_bytes: u64,
    /// Size of the tree.
    pub tree_bytes: u64,
}

/// The places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The kernel, where it is loaded.
    pub kernel: Range<u64>,
    /// The initrd.
    pub initrd: Option<Range<u64>>,
    /// The device tree.
    pub tree: Range<u64>,
    /// The RTAS area.
    pub rtas: Range<u64>,
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// The load address is in the way of the vectors or not aligned.
    #[error(
        "kernel-addr={0:#x}: the load address has to be a multiple of {ALIGN:#x} and at least {VECTORS_END:#x}, \
         above the interrupt vectors"
    )]
    KernelAddress(u64),
    /// The kernel alone does not fit.
    #[error(
        "the kernel does not fit: it needs {kernel_bytes:#x} bytes ({} MiB) at {kernel_address:#x}, \
         and guest RAM ends at {ram_bytes:#x} ({} MiB); use a larger -m",
         mib(*.kernel_bytes), mib(*.ram_bytes)
    )]
    Kernel {
        /// Load address.
        kernel_address: u64,
        /// What it needs from there on.
        kernel_bytes: u64,
        /// Size of RAM.
        ram_bytes: u64,
    },
    /// Kernel, initrd, tree and RTAS do not fit together.
    #[error(
        "kernel and initrd do not fit: the kernel needs everything below {kernel_end:#x} ({} MiB), the initrd {initrd_bytes:#x} \
         bytes ({} MiB), device tree and RTAS {rest_bytes:#x} bytes, and guest RAM{} ends at {limit:#x} ({} MiB); \
         use at least -m {}M",
         mib(*.kernel_end), mib(*.initrd_bytes), if *.limit == RTAS_TOP_MAX { " that RTAS can reach" } else { "" },
         mib(*.limit), mib(kernel_end.saturating_add(*initrd_bytes).saturating_add(*rest_bytes))
    )]
    Together {
        /// Everything below belongs to the kernel.
        kernel_end: u64,
        /// Size of the initrd.
        initrd_bytes: u64,
        /// Size of what else is placed.
        rest_bytes: u64,
        /// What it has to fit under.
        limit: u64,
    },
}

/// Mebibytes, rounded up.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

fn align_up(address: u64) -> Option<u64> {
    address.checked_next_multiple_of(ALIGN)
}

/// Finds the places.
///
/// # Errors
/// [`LayoutError`] names what does not fit.
pub fn place(wanted: &Wanted) -> Result<Layout, LayoutError> {
    let &Wanted { ram_bytes, first_bytes, kernel_address, kernel_bytes, initrd_bytes, rtas_bytes, tree_bytes } = wanted;
    if kernel_address % ALIGN != 0 || kernel_address < VECTORS_END {
        return Err(LayoutError::KernelAddress(kernel_address));
    }
    let kernel_end = kernel_address.checked_add(kernel_bytes).filter(|&end| end <= ram_bytes);
    let kernel_end = kernel_end.ok_or(LayoutError::Kernel { kernel_address, kernel_bytes, ram_bytes })?;
    let limit = ram_bytes.min(RTAS_TOP_MAX);
    if first_bytes < RTAS_TOP
        && let Some(layout) = below(first_bytes, wanted, kernel_end)
    {
        return Ok(layout);
    }
    let mut top = RTAS_TOP;
    loop {
        if let Some(layout) = below(top.min(limit), wanted, kernel_end) {
            return Ok(layout);
        }
        if top >= limit {
            let rest_bytes = rtas_bytes.saturating_add(tree_bytes).saturating_add(3 * ALIGN);
            return Err(LayoutError::Together {
                kernel_end,
                initrd_bytes: initrd_bytes.unwrap_or(0),
                rest_bytes,
                limit,
            });
        }
        top *= 2;
    }
}

/// All of it below `top`, if it fits there.
fn below(top: u64, wanted: &Wanted, kernel_end: u64) -> Option<Layout> {
    let down = |end: u64, bytes: u64| end.checked_sub(bytes).map(|start| start / ALIGN * ALIGN);
    let rtas = down(top, wanted.rtas_bytes)?;
    let tree = down(rtas, wanted.tree_bytes)?;
    let initrd = align_up(kernel_end)?;
    let initrd_end = initrd.checked_add(wanted.initrd_bytes.unwrap_or(0))?;
    (initrd_end <= tree).then(|| Layout {
        kernel: wanted.kernel_address..kernel_end,
        initrd: wanted.initrd_bytes.map(|_| initrd..initrd_end),
        tree: tree..tree + wanted.tree_bytes,
        rtas: rtas..rtas + wanted.rtas_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: Wanted = Wanted {
        ram_bytes: 1 << 30,
        first_bytes: 1 << 30,
        kernel_address: 0x40_0000,
        kernel_bytes: 0x287_e650,
        initrd_bytes: Some(0x14_40b3),
        rtas_bytes: 0x83c,
        tree_bytes: 0x2000,
    };

    #[test]
    fn debian_in_a_gigabyte() {
        let layout = place(&DEBIAN).unwrap();
        assert_eq!(layout.kernel, 0x40_0000..0x2c7_e650);
        assert_eq!(layout.initrd, Some(0x2c8_0000..0x2dc_40b3));
        assert_eq!(layout.rtas, 0x1fff_0000..0x1fff_083c);
        assert_eq!(layout.tree, 0x1ffe_0000..0x1ffe_2000);
    }

    #[test]
    fn small_and_large() {
        let layout = place(&Wanted { ram_bytes: 64 << 20, ..DEBIAN }).unwrap();
        assert!(layout.rtas.end <= 64 << 20 && layout.initrd.unwrap().end <= layout.tree.start);
        // Within the first piece of memory, if it all fits there.
        let layout = place(&Wanted { first_bytes: 256 << 20, ..DEBIAN }).unwrap();
        assert!(layout.rtas.end <= 256 << 20 && layout.rtas.start >= 255 << 20);
        assert_eq!(place(&Wanted { first_bytes: 32 << 20, ..DEBIAN }), place(&DEBIAN));
        // An initrd that reaches beyond 512 MiB pushes RTAS up.
        let layout = place(&Wanted { initrd_bytes: Some(700 << 20), ..DEBIAN }).unwrap();
        assert_eq!(layout.rtas.start, 0x3fff_0000);
        let big = Wanted { ram_bytes: 16 << 30, initrd_bytes: Some(3 << 30), ..DEBIAN };
        assert_eq!(place(&big).unwrap().rtas.start, 0xffff_0000);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let text = place(&Wanted { ram_bytes: 32 << 20, ..DEBIAN }).unwrap_err().to_string();
        assert!(text.contains("kernel does not fit") && text.contains("32 MiB"), "{text}");
        let text = place(&Wanted { ram_bytes: 45 << 20, ..DEBIAN }).unwrap_err().to_string();
        assert!(text.contains("initrd") && text.contains("use at least -m 46M"), "{text}");
        let text =
            place(&Wanted { ram_bytes: 64 << 30, initrd_bytes: Some(5 << 30), ..DEBIAN }).unwrap_err().to_string();
        assert!(text.contains("that RTAS can reach"), "{text}");
        for kernel_address in [0, 0x8000, 0x40_0001] {
            assert!(matches!(place(&Wanted { kernel_address, ..DEBIAN }), Err(LayoutError::KernelAddress(_))));
        }
        let far = Wanted { kernel_address: u64::MAX / ALIGN * ALIGN, ..DEBIAN };
        assert!(matches!(place(&far), Err(LayoutError::Kernel { .. })));
        let vast = Wanted { initrd_bytes: Some(u64::MAX), ..DEBIAN };
        assert!(matches!(place(&vast), Err(LayoutError::Together { .. })));
    }

    #[test]
    fn the_least_memory_that_is_named_is_enough() {
        for initrd_bytes in [0, 1 << 20, 77 << 20] {
            let wanted = Wanted { initrd_bytes: Some(initrd_bytes), ram_bytes: 45 << 20, ..DEBIAN };
            if let Err(error) = place(&wanted) {
                let text = error.to_string();
                let at = text.rfind("-m ").unwrap() + 3;
                let mib: u64 = text[at..text.len() - 1].parse().unwrap();
                place(&Wanted { ram_bytes: mib << 20, ..wanted }).unwrap();
            }
        }
    }
}
