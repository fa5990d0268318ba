//! Names for generated code, so that `perf` shows guest code: the map `/tmp/perf-PID.map` (`--perf-map`) and a
//! *jitdump*, which also holds the code and when it was loaded (Linux `tools/perf`, jitdump specification).
//!
//! ```text
//! perf record -k mono aileron --perf-map ...                       perf report
//! perf record -k mono aileron --jitdump ...   perf inject --jit -i perf.data -o jit.data   perf report -i jit.data
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use memmap2::{Mmap, MmapOptions};
use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;

/// Where `perf` looks for maps.
const MAP_FOLDER: &str = "/tmp";
/// jitdump: `JiTD` as a number; whoever reads it sees the byte order.
const DUMP_MAGIC: u32 = 0x4A69_5444;
const DUMP_VERSION: u32 = 1;
const DUMP_HEADER_BYTES: u32 = 40;
/// Record: code was loaded. 16 bytes of every record, 40 of its own, the name with a zero byte, the code.
const CODE_LOAD: u32 = 0;
const CODE_LOAD_BYTES: usize = 56;
/// Record: nothing follows.
const CODE_CLOSE: u32 = 3;
/// ELF machine: x86-64.
const EM_X86_64: u32 = 62;
/// Longer names are cut.
const NAME_MAX_BYTES: usize = 256;

/// A file for `perf` that cannot be made.
#[derive(Debug, Error)]
#[error("{what} {}: {source}", path.display())]
pub struct NamesError {
    /// What it is.
    what: &'static str,
    /// The file.
    path: PathBuf,
    /// What the host said.
    source: io::Error,
}

/// Tells `perf` about code. Shared by all threads that load some.
#[derive(Debug, Default)]
pub struct CodeNames {
    map: Option<Mutex<Out>>,
    dump: Option<Mutex<Dump>>,
}

#[derive(Debug)]
struct Out {
    /// `None` after an error.
    file: Option<File>,
    path: PathBuf,
}

#[derive(Debug)]
struct Dump {
    out: Out,
    /// Records so far: tells code apart that was at one address one after the other.
    index: u64,
    /// That the file is mapped as code is what makes `perf record` note where it is.
    _marker: Mmap,
}

impl CodeNames {
    /// Writes `/tmp/perf-PID.map` if `map`, and `jit-PID.dump` in the folder `dump` if there is one.
    pub fn new(map: bool, dump: Option<&Path>) -> Result<CodeNames, NamesError> {
        let pid = std::process::id();
        let map = map.then(|| Out::create("perf map", Path::new(MAP_FOLDER).join(format!("perf-{pid}.map"))));
        let dump = dump.map(|folder| Dump::create(folder.join(format!("jit-{pid}.dump"))));
        Ok(CodeNames { map: map.transpose()?.map(Mutex::new), dump: dump.transpose()?.map(Mutex::new) })
    }

    /// Whether anybody listens: else names need not be made.
    pub fn wanted(&self) -> bool {
        self.map.is_some() || self.dump.is_some()
    }

    /// The files that are written.
    pub fn files(&self) -> Vec<PathBuf> {
        let map = self.map.iter().map(|m| lock(m).path.clone());
        map.chain(self.dump.iter().map(|d| lock(d).out.path.clone())).collect()
    }

    /// From now on `code` runs at `exec_address` under this name. What was there before is gone: the jitdump knows that,
    /// in the map the last name counts.
    pub fn loaded(&self, exec_address: u64, code: &[u8], name: &str) {
        if code.is_empty() || !self.wanted() {
            return;
        }
        let mut end = name.len().min(NAME_MAX_BYTES);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        // A line and a string that ends in zero hold neither.
        let name: String = name[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Some(map) = &self.map {
            lock(map).write(format!("{exec_address:x} {:x} {name}\n", code.len()).as_bytes());
        }
        if let Some(dump) = &self.dump {
            lock(dump).loaded(exec_address, code, &name);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Out {
    fn create(what: &'static str, path: PathBuf) -> Result<Out, NamesError> {
        // What has this name is left from another process of that number. The new file is ours alone, whoever else can
        // write in that folder.
        let _ = std::fs::remove_file(&path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
        match options.open(&path) {
            Ok(file) => Ok(Out { file: Some(file), path }),
            Err(source) => Err(NamesError { what, path, source }),
        }
    }

    /// One write for each record: whatever becomes of this process, the records are whole.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(bytes)
        {
            tracing::warn!("{}: {error}: nothing more is written", self.path.display());
            self.file = None;
        }
    }
}

impl Dump {
    fn create(path: PathBuf) -> Result<Dump, NamesError> {
        let what = "jitdump";
        let mut out = Out::create(what, path)?;
        let failed = |source| NamesError { what, path: out.path.clone(), source };
        let mut header = Vec::new();
        for v in [DUMP_MAGIC, DUMP_VERSION, DUMP_HEADER_BYTES, EM_X86_64, 0, std::process::id()] {
            header.extend(v.to_ne_bytes());
        }
        header.extend(now_ns().to_ne_bytes());
        header.extend(0u64.to_ne_bytes());
        let Some(file) = &mut out.file else { unreachable!("just created") };
        file.write_all(&header).map_err(failed)?;
        #[allow(unsafe_code)]
        // SAFETY: nobody looks at the mapping or runs it.
        let marker = unsafe { MmapOptions::new().len(4096).map_exec(&*file) }.map_err(failed)?;
        Ok(Dump { out, index: 0, _marker: marker })
    }

    fn loaded(&mut self, exec_address: u64, code: &[u8], name: &str) {
        let bytes = CODE_LOAD_BYTES + name.len() + 1 + code.len();
        let Ok(total) = u32::try_from(bytes) else { return };
        let mut record = record(CODE_LOAD, total);
        record.extend(std::process::id().to_ne_bytes());
        record.extend((rustix::thread::gettid().as_raw_nonzero().get() as u32).to_ne_bytes());
        for v in [exec_address, exec_address, code.len() as u64, self.index] {
            record.extend(v.to_ne_bytes());
        }
        record.extend(name.as_bytes());
        record.push(0);
        record.extend(code);
        self.index += 1;
        self.out.write(&record);
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        self.out.write(&record(CODE_CLOSE, 16));
    }
}

/// The beginning of a record.
fn record(id: u32, total_bytes: u32) -> Vec<u8> {
    let mut record = Vec::with_capacity(total_bytes as usize);
    record.extend(id.to_ne_bytes());
    record.extend(total_bytes.to_ne_bytes());
    record.extend(now_ns().to_ne_bytes());
    record
}

/// The clock of `perf record -k mono`, nanoseconds.
fn now_ns() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u32_at(b: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(b[at..at + 4].try_into().unwrap())
    }

    fn u64_at(b: &[u8], at: usize) -> u64 {
        u64::from_ne_bytes(b[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn what_is_loaded_can_be_read_back() {
        let began = now_ns();
        let folder = std::env::temp_dir().join(format!("aileron-names-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let names = CodeNames::new(true, Some(&folder)).unwrap();
        let files = names.files();
        let pid = std::process::id();
        assert_eq!(files, [PathBuf::from(format!("/tmp/perf-{pid}.map")), folder.join(format!("jit-{pid}.dump"))]);
        let long = "ü".repeat(200);
        let loaded: [(u64, &[u8], &str); 4] = [
            (0x7F00_1234_5670, &[0xC3; 70], "ppc:0x1234500 (mode 5f)"),
            (0x7F00_1234_5670, &[0x90, 0xC3], "twice\nat one place\0"),
            (0x10, &[1], &long),
            (0x20, &[], "nothing"),
        ];
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let marker = maps.lines().find(|l| l.ends_with(files[1].to_str().unwrap())).unwrap();
        assert!(marker.contains(" r-xs 00000000 "), "{marker}");
        loaded.iter().for_each(|(at, code, name)| names.loaded(*at, code, name));
        drop(names);

        let cut = "ü".repeat(NAME_MAX_BYTES / 2);
        let expected = ["ppc:0x1234500 (mode 5f)", "twice at one place ", &cut];
        let map = std::fs::read_to_string(&files[0]).unwrap();
        let lines: Vec<_> = map.lines().collect();
        assert_eq!(lines.len(), 3);
        for ((line, name), (at, code, _)) in lines.iter().zip(expected).zip(loaded) {
            assert_eq!(*line, format!("{at:x} {:x} {name}", code.len()));
        }

        let dump = std::fs::read(&files[1]).unwrap();
        let header: Vec<_> = (0..6).map(|n| u32_at(&dump, n * 4)).collect();
        assert_eq!(header, [0x4A69_5444, 1, 40, 62, 0, pid]);
        assert!(u64_at(&dump, 24) >= began && u64_at(&dump, 32) == 0);
        let mut at = 40;
        let mut time = u64_at(&dump, 24);
        for (n, (address, code, _)) in loaded[..3].iter().enumerate() {
            let r = &dump[at..at + u32_at(&dump, at + 4) as usize];
            assert_eq!((u32_at(r, 0), u32_at(r, 16)), (0, pid));
            assert!(u64_at(r, 8) >= time && u32_at(r, 20) > 0);
            time = u64_at(r, 8);
            assert_eq!([u64_at(r, 24), u64_at(r, 32)], [*address; 2]);
            assert_eq!([u64_at(r, 40), u64_at(r, 48)], [code.len() as u64, n as u64]);
            assert_eq!(r[56..], [expected[n].as_bytes(), &[0], code].concat());
            at += r.len();
        }
        assert_eq!((u32_at(&dump, at), u32_at(&dump, at + 4)), (3, 16));
        assert_eq!(dump.len(), at + 16);
        std::fs::remove_file(&files[0]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        let error = CodeNames::new(false, Some(Path::new("/nonexistent"))).unwrap_err().to_string();
        assert!(error.starts_with("jitdump /nonexistent/jit-"), "{error}");
        let silent = CodeNames::new(false, None).unwrap();
        assert!(!silent.wanted() && silent.files().is_empty());
        silent.loaded(0, &[1], "nobody listens");
    }
}
