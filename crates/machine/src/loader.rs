//! Kernel images and initrds: from a file to bytes and addresses, with everything that can be wrong said in words.
//!
//! A kernel is a 64-bit PowerPC ELF file, little- or big-endian, `ET_EXEC` or `ET_DYN`. Its segments keep their
//! distances in *physical* addresses, and the lowest lies at the load address; Linux' `vmlinux` is linked at
//! 0xc000000000000000 with physical address 0. Any other ELF file is loaded and entered in the same way.

use crate::content::{Content, Origin};
use memory::RamError;
use object::elf::{
    ELFCLASS32, EM_386, EM_AARCH64, EM_PPC, EM_PPC64, EM_S390, EM_X86_64, ET_DYN, ET_EXEC, FileHeader64, PT_LOAD,
};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Where a kernel is loaded unless `-M kernel-addr=` says otherwise; QEMU loads `pseries` kernels there too.
pub const DEFAULT_KERNEL_ADDRESS: u64 = 0x40_0000;

/// Kernel files beyond this size are not read.
const KERNEL_FILE_MAX_BYTES: u64 = 4 << 30;
/// The headers of a kernel file are among its first bytes, or all of it is read.
const HEAD_BYTES: u64 = 1 << 16;

/// Why a kernel or an initrd cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be opened or read.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// `kernel` or `initrd`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: std::io::Error,
    },
    /// The file is larger than what could be loaded.
    #[error("{what} {}: larger than {max_bytes:#x} bytes, the most that could be loaded", path.display())]
    TooLarge {
        /// `kernel` or `initrd`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Largest size.
        max_bytes: u64,
    },
    /// It does not fit into RAM.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// The content is not a kernel that can be entered.
    #[error("kernel {}: {reason}", path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: ElfError,
    },
}

/// Why bytes are not a kernel that can be entered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElfError {
    /// Nothing in it.
    #[error("the file is empty; expected a 64-bit PowerPC ELF file")]
    Empty,
    /// Something else.
    #[error("not an ELF file{}; expected a 64-bit PowerPC ELF file, such as Debian's /boot/vmlinux", looks_like(.looks))]
    NotElf {
        /// What it looks like.
        looks: Option<&'static str>,
    },
    /// Another word size.
    #[error("a 32-bit ELF file; expected a 64-bit one")]
    WrongClass,
    /// Another processor.
    #[error("an ELF file for {machine}; expected 64-bit PowerPC (machine 21)")]
    WrongMachine {
        /// Which, by name or number.
        machine: String,
    },
    /// Not an executable.
    #[error("an ELF file of type {found}{}; expected an executable (type 2, ET_EXEC) or a shared object (type 3, ET_DYN)",
        if *.found == 1 { " (relocatable object)" } else if *.found == 4 { " (core dump)" } else { "" })]
    WrongType {
        /// `e_type`.
        found: u16,
    },
    /// The headers make no sense.
    #[error("damaged ELF file: {0}")]
    Damaged(&'static str),
    /// The file ends before its content does.
    #[error(
        "truncated: segment {index} takes {size_bytes:#x} bytes at offset {offset:#x}, the file ends at {file_bytes:#x}"
    )]
    Truncated {
        /// Which program header, from 0.
        index: usize,
        /// Where its bytes start in the file.
        offset: u64,
        /// How many they are.
        size_bytes: u64,
        /// Size of the file.
        file_bytes: u64,
    },
    /// A segment that is larger in the file than in memory.
    #[error("damaged ELF file: segment {index} has {file_bytes:#x} bytes in the file, but {memory_bytes:#x} in memory")]
    FileBeyondMemory {
        /// Which program header, from 0.
        index: usize,
        /// `p_filesz`.
        file_bytes: u64,
        /// `p_memsz`.
        memory_bytes: u64,
    },
    /// Nothing to load.
    #[error("nothing to load: the ELF file has no segment of type PT_LOAD")]
    NoSegments,
    /// Segments further apart than any RAM.
    #[error("the segments span {span_bytes:#x} bytes of physical addresses from {lowest:#x} on; that fits into no RAM")]
    TooWide {
        /// Lowest `p_paddr`.
        lowest: u64,
        /// Distance to the end of the highest segment.
        span_bytes: u128,
    },
    /// The entry lies outside of every segment.
    #[error("entry point {entry:#x} lies in no segment of the file")]
    EntryOutside {
        /// `e_entry`.
        entry: u64,
    },
}

fn looks_like(looks: &Option<&'static str>) -> String {
    looks.map_or_else(String::new, |what| format!(", it looks like {what}"))
}

/// Byte order of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endianness {
    /// MSR\[LE\] = 1 at entry.
    Little,
    /// MSR\[LE\] = 0 at entry.
    Big,
}

/// One segment and where it goes, counted from the load address.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Distance from the load address.
    pub offset: u64,
    /// The bytes; what a segment has beyond them in memory is zero.
    pub content: Content,
}

/// A kernel, ready to be put into RAM any number of times.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// What is written.
    pub segments: Vec<Segment>,
    /// Distance of the entry point from the load address.
    pub entry_offset: u64,
    /// Bytes from the load address that it needs, what is zero at its end included.
    pub memory_bytes: u64,
    /// Byte order.
    pub endianness: Endianness,
}

impl Kernel {
    /// Reads a kernel's headers from a file, which stays open for the rest; what is no regular file is read as a whole.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong with it.
    pub fn from_file(path: &Path) -> Result<Kernel, LoadError> {
        let bad = |reason| LoadError::Kernel { path: path.into(), reason };
        let mut origin = Origin::open("kernel", path)?;
        if !origin.is_stream() {
            // The first bytes decide, so that a disk or a device is not read to its end.
            let head = origin.head(HEAD_BYTES)?;
            check_ident(&head).map_err(bad)?;
            if let Some(file_bytes) = origin.len().filter(|len| *len <= KERNEL_FILE_MAX_BYTES)
                && let Ok(kernel) = Kernel::parse(&head, file_bytes)
            {
                let origin = Arc::new(origin);
                return Ok(kernel.with(|at, len| Content::File { origin: origin.clone(), at, len }));
            }
        }
        // Should something be wrong with it, this finds the same.
        Kernel::from_bytes(&origin.read(KERNEL_FILE_MAX_BYTES)?).map_err(bad)
    }

    /// Reads a kernel from the content of a file.
    ///
    /// # Errors
    /// [`ElfError`] says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Kernel, ElfError> {
        let parsed = Kernel::parse(bytes, bytes.len() as u64)?;
        // `parse` has seen that they lie inside.
        Ok(parsed.with(|at, len| Content::Bytes(bytes[at as usize..][..len as usize].to_vec())))
    }

    /// Reads the headers of a file of `file_bytes`, which are among its first ones.
    fn parse(bytes: &[u8], file_bytes: u64) -> Result<Parsed, ElfError> {
        check_ident(bytes)?;
        let header = FileHeader64::<object::Endianness>::parse(bytes)
            .map_err(|_| ElfError::Damaged("the header is cut off, or of an unknown version"))?;
        let endian = header.endian().map_err(|_| ElfError::Damaged("no known byte order (EI_DATA)"))?;
        let machine = header.e_machine(endian);
        if machine != EM_PPC64 {
            let name = match machine {
                EM_PPC => "32-bit PowerPC",
                EM_386 => "32-bit x86",
                EM_X86_64 => "x86-64",
                EM_AARCH64 => "64-bit Arm",
                EM_S390 => "S/390",
                _ => return Err(ElfError::WrongMachine { machine: format!("machine {}", machine.0) }),
            };
            return Err(ElfError::WrongMachine { machine: name.into() });
        }
        let kind = header.e_type(endian);
        if kind != ET_EXEC && kind != ET_DYN {
            return Err(ElfError::WrongType { found: kind.0 });
        }
        let headers = header
            .program_headers(endian, bytes)
            .map_err(|_| ElfError::Damaged("the program headers lie outside of the file"))?;

        let mut loads = Vec::new();
        for (index, program) in headers.iter().enumerate() {
            if program.p_type(endian) != PT_LOAD {
                continue;
            }
            let load = Load {
                vaddr: program.p_vaddr(endian),
                paddr: program.p_paddr(endian),
                memory_bytes: program.p_memsz(endian),
                at: program.p_offset(endian),
                len: program.p_filesz(endian),
            };
            let &Load { memory_bytes, at: offset, len: size_bytes, .. } = &load;
            if offset.checked_add(size_bytes).is_none_or(|end| end > file_bytes) {
                return Err(ElfError::Truncated { index, offset, size_bytes, file_bytes });
            }
            if size_bytes > memory_bytes {
                return Err(ElfError::FileBeyondMemory { index, file_bytes: size_bytes, memory_bytes });
            }
            if load.memory_bytes > 0 {
                loads.push(load);
            }
        }
        let endianness = match endian {
            object::Endianness::Little => Endianness::Little,
            object::Endianness::Big => Endianness::Big,
        };
        place(loads, header.e_entry(endian), endianness)
    }
}

/// A segment that is loaded, as the file has it.
struct Load {
    vaddr: u64,
    paddr: u64,
    memory_bytes: u64,
    /// Where its bytes start in the file, and how many they are.
    at: u64,
    len: u64,
}

/// A kernel without its bytes.
struct Parsed {
    loads: Vec<Load>,
    lowest: u64,
    entry_offset: u64,
    memory_bytes: u64,
    endianness: Endianness,
}

impl Parsed {
    /// With the bytes: `content` is asked for parts of the file.
    fn with(self, content: impl Fn(u64, u64) -> Content) -> Kernel {
        let segment = |l: &Load| Segment { offset: l.paddr - self.lowest, content: content(l.at, l.len) };
        let Parsed { entry_offset, memory_bytes, endianness, .. } = self;
        Kernel { segments: self.loads.iter().map(segment).collect(), entry_offset, memory_bytes, endianness }
    }
}

fn place(loads: Vec<Load>, entry: u64, endianness: Endianness) -> Result<Parsed, ElfError> {
    let lowest = loads.iter().map(|load| load.paddr).min().ok_or(ElfError::NoSegments)?;
    let end = |load: &Load| u128::from(load.paddr - lowest) + u128::from(load.memory_bytes);
    let span_bytes = loads.iter().map(end).max().unwrap_or(0);
    // RAM ends far below 2^60, the real addresses that a partition can have.
    let memory_bytes = u64::try_from(span_bytes).ok().filter(|&bytes| bytes < 1 << 60);
    let memory_bytes = memory_bytes.ok_or(ElfError::TooWide { lowest, span_bytes })?;
    // The entry is an effective address; bare-metal images that are linked where they run have the same in both.
    let within = |base: u64, load: &Load| entry.checked_sub(base).filter(|&offset| offset < load.memory_bytes);
    let by_vaddr = loads.iter().find_map(|load| within(load.vaddr, load).map(|offset| load.paddr - lowest + offset));
    let by_paddr = || loads.iter().find_map(|load| within(load.paddr, load).map(|offset| load.paddr - lowest + offset));
    let entry_offset = by_vaddr.or_else(by_paddr).ok_or(ElfError::EntryOutside { entry })?;
    Ok(Parsed { loads, lowest, entry_offset, memory_bytes, endianness })
}

/// What can be said from the first bytes.
fn check_ident(bytes: &[u8]) -> Result<(), ElfError> {
    if bytes.is_empty() {
        return Err(ElfError::Empty);
    }
    if !bytes.starts_with(b"\x7fELF") {
        let looks = match bytes {
            [0x1f, 0x8b, ..] => Some("a gzip file (decompress it with gunzip)"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("a zstd file (decompress it with unzstd)"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Some("an xz file (decompress it with unxz)"),
            [b'B', b'Z', b'h', ..] => Some("a bzip2 file (decompress it with bunzip2)"),
            [b'M', b'Z', ..] => Some("an EFI image or a DOS program, for another processor"),
            [b'#', b'!', ..] => Some("a script"),
            [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => Some("an archive (a Debian package?)"),
            [0x27, 0x05, 0x19, 0x56, ..] => Some("a U-Boot image"),
            [0xd0, 0x0d, 0xfe, 0xed, ..] => Some("a device tree"),
            [b'0', b'7', b'0', b'7', b'0', ..] => Some("a cpio archive (an initrd?)"),
            _ if bytes.len() >= 4 && b"\x7fELF".starts_with(bytes) => Some("a truncated ELF file"),
            _ => None,
        };
        return Err(ElfError::NotElf { looks });
    }
    match bytes.get(4) {
        Some(&class) if class == ELFCLASS32.0 => Err(ElfError::WrongClass),
        _ => Ok(()),
    }
}

/// Opens an initrd.
///
/// # Errors
/// [`LoadError::Io`], or [`LoadError::TooLarge`] when it has more than `max_bytes`.
pub fn open_initrd(path: &Path, max_bytes: u64) -> Result<Content, LoadError> {
    Origin::open("initrd", path)?.all(max_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Header {
        little: bool,
        class: u8,
        machine: u16,
        kind: u16,
        entry: u64,
        /// type, vaddr, paddr, filesz, memsz
        segments: Vec<(u32, u64, u64, u64, u64)>,
    }

    impl Default for Header {
        fn default() -> Header {
            Header {
                little: true,
                class: 2,
                machine: 21,
                kind: 2,
                entry: 0xc000_0000_0000_0010,
                segments: vec![(1, 0xc000_0000_0000_0000, 0, 0x40, 0x100)],
            }
        }
    }

    impl Header {
        fn file(&self) -> Vec<u8> {
            let mut file = vec![0x7f, b'E', b'L', b'F', self.class, if self.little { 1 } else { 2 }, 1];
            file.resize(16, 0);
            let put = |file: &mut Vec<u8>, value: u64, size: usize| {
                let bytes = value.to_be_bytes();
                let mut bytes = bytes[8 - size..].to_vec();
                if self.little {
                    bytes.reverse();
                }
                file.extend(bytes);
            };
            let (entry, count) = (self.entry, self.segments.len() as u64);
            for (value, size) in [(self.kind.into(), 2), (self.machine.into(), 2), (1, 4), (entry, 8), (64, 8), (0, 8)]
            {
                put(&mut file, value, size);
            }
            for (value, size) in [(0, 4), (64, 2), (56, 2), (count, 2), (64, 2), (0, 2), (0, 2)] {
                put(&mut file, value, size);
            }
            let mut offset = 64 + 56 * count;
            for &(kind, vaddr, paddr, file_bytes, memory_bytes) in &self.segments {
                for (value, size) in
                    [(kind.into(), 4), (5, 4), (offset, 8), (vaddr, 8), (paddr, 8), (file_bytes, 8), (memory_bytes, 8)]
                {
                    put(&mut file, value, size);
                }
                put(&mut file, 0x1_0000, 8);
                offset = offset.saturating_add(file_bytes);
            }
            for (index, segment) in self.segments.iter().enumerate() {
                file.extend(std::iter::repeat_n(index as u8 + 1, segment.3.min(0x1000) as usize));
            }
            file
        }
    }

    fn error(header: Header) -> ElfError {
        Kernel::from_bytes(&header.file()).unwrap_err()
    }

    #[test]
    fn a_kernel_linked_high_is_entered_low() {
        for (little, kind) in [(true, 2), (false, 2), (true, 3)] {
            let kernel = Kernel::from_bytes(&Header { little, kind, ..Header::default() }.file()).unwrap();
            assert_eq!((kernel.entry_offset, kernel.memory_bytes), (0x10, 0x100));
            assert_eq!(kernel.endianness == Endianness::Little, little);
            let [Segment { offset: 0, content: Content::Bytes(bytes) }] = &kernel.segments[..] else {
                panic!("{kernel:?}")
            };
            assert_eq!(bytes, &[1; 0x40]);
        }
    }

    #[test]
    fn distances_are_physical() {
        let segments = vec![(1, 0x1000, 0x8000, 4, 8), (4, 0, 0, 4, 4), (1, 0x5000, 0x7000, 4, 0x20), (1, 9, 1, 0, 0)];
        let kernel = Kernel::from_bytes(&Header { entry: 0x1004, segments, ..Header::default() }.file()).unwrap();
        assert_eq!((kernel.entry_offset, kernel.memory_bytes), (0x1004, 0x1008));
        assert_eq!(kernel.segments.iter().map(|segment| segment.offset).collect::<Vec<_>>(), [0x1000, 0]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(error(Header { class: 1, ..Header::default() }), ElfError::WrongClass);
        let text = error(Header { machine: 62, ..Header::default() }).to_string();
        assert!(text.contains("x86-64") && text.contains("expected 64-bit PowerPC"), "{text}");
        assert_eq!(error(Header { kind: 1, ..Header::default() }), ElfError::WrongType { found: 1 });
        assert_eq!(error(Header { segments: vec![], ..Header::default() }), ElfError::NoSegments);
        let outside = Header { entry: 0x9999_0000, ..Header::default() };
        assert_eq!(error(outside), ElfError::EntryOutside { entry: 0x9999_0000 });
        let wide = vec![(1, 0, 0, 4, 4), (1, 0x1000, u64::MAX - 3, 4, u64::MAX)];
        assert!(matches!(error(Header { segments: wide, entry: 0, ..Header::default() }), ElfError::TooWide { .. }));
        let backwards = vec![(1, 0, 0, 8, 4)];
        assert!(matches!(
            error(Header { segments: backwards, entry: 0, ..Header::default() }),
            ElfError::FileBeyondMemory { file_bytes: 8, memory_bytes: 4, .. }
        ));
        for (bytes, word) in [
            (&b"\x1f\x8b\x08"[..], "gzip"),
            (b"#!/bin/sh", "script"),
            (b"MZ", "EFI"),
            (b"070701", "initrd"),
            (b"hello", "not an ELF file;"),
            (b"", "empty"),
        ] {
            let text = Kernel::from_bytes(bytes).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn files_cut_off_or_damaged_anywhere_are_errors_or_kernels() {
        let file = Header::default().file();
        for end in 0..file.len() {
            assert!(Kernel::from_bytes(&file[..end]).is_err(), "cut off at {end}");
        }
        // Every byte of the headers with every bit turned, and with the values that are at the edges.
        for at in 0..64 + 56 {
            for value in (0..8).map(|bit| file[at] ^ 1 << bit).chain([0, 0x7f, 0x80, 0xff]) {
                let mut damaged = file.clone();
                damaged[at] = value;
                if let Ok(kernel) = Kernel::from_bytes(&damaged) {
                    assert!(kernel.entry_offset < kernel.memory_bytes, "byte {at} = {value:#x}");
                }
            }
        }
    }

    #[test]
    fn files_that_are_not_there_or_have_no_end() {
        let text = Kernel::from_file(Path::new("/nonexistent/vmlinux")).unwrap_err().to_string();
        assert!(text.contains("/nonexistent/vmlinux") && text.contains("No such file"), "{text}");
        assert!(matches!(Kernel::from_file(Path::new("/")), Err(LoadError::Io { .. })));
        let text = Kernel::from_file(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(text.contains("not an ELF file"), "{text}");
        assert!(matches!(open_initrd(Path::new("/dev/zero"), 1 << 16), Err(LoadError::TooLarge { .. })));
        assert!(open_initrd(Path::new("/dev/null"), 1 << 16).unwrap().is_empty());
    }

    #[test]
    fn a_kernel_in_a_file_is_the_same_as_its_bytes() {
        let path = std::env::temp_dir().join(format!("aileron-loader-{}", std::process::id()));
        let segments = vec![(1, 0x1000, 0x8000, 4, 8), (1, 0x5000, 0x7000, 8, 0x20)];
        let mut file = Header { entry: 0x1004, segments, ..Header::default() }.file();
        // Once with its headers at the beginning, and once where all of the file has to be read for them.
        for far in [false, true] {
            if far {
                let headers = file[64..64 + 2 * 56].to_vec();
                file.resize(HEAD_BYTES as usize + 100, 0);
                let at = file.len() as u64;
                file.extend(headers);
                file[32..40].copy_from_slice(&at.to_le_bytes());
            }
            std::fs::write(&path, &file).unwrap();
            let ram_of = |kernel: Kernel| {
                let memory = memory::Memory::new(0x1_0000, 1).unwrap();
                kernel.segments.iter().for_each(|s| s.content.write(&memory, s.offset).unwrap());
                let mut ram = vec![0; 0x1_0000];
                memory.read(0, &mut ram).unwrap();
                (kernel.entry_offset, kernel.memory_bytes, ram)
            };
            let kernel = Kernel::from_file(&path).unwrap();
            assert_eq!(matches!(kernel.segments[0].content, Content::File { .. }), !far);
            assert_eq!(ram_of(kernel), ram_of(Kernel::from_bytes(&file).unwrap()));
            let text = {
                std::fs::write(&path, &file[..file.len() - 1]).unwrap();
                Kernel::from_file(&path).unwrap_err().to_string()
            };
            assert!(text.contains(if far { "headers" } else { "truncated" }), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
