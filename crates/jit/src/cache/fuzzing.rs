//! Any file as a code cache: entries of their form that were changed, cut, joined or sealed again. What the fuzz target
//! `cache` runs.

use super::*;
use crate::blob::{Link, PAGE};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

/// Takes bytes; zeros behind their end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn word(&mut self) -> u32 {
        u32::from(self.half()) | u32::from(self.half()) << 16
    }
}

fn page() -> Box<[u8; PAGE]> {
    let mut page = Box::new([0; PAGE]);
    page.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 7 + at / 251) as u8);
    page
}

/// A region, mostly one that can be.
fn blob(input: &mut Bytes<'_>) -> Blob {
    let offset = input.half() % 1024 * 4;
    let wild = input.byte() > 200;
    let code: Vec<u8> = (0..input.byte()).map(|_| input.byte()).collect();
    let len = code.len().max(1) as u32;
    let links = (0..input.byte() % 4)
        .map(|_| match wild {
            true => Link { rel32: input.word(), thunk: input.word(), to: input.half() },
            false => Link { rel32: (input.word() % len) & !7, thunk: input.word() % len, to: input.half() % 1024 * 4 },
        })
        .collect();
    let spans = match wild {
        true => (0..input.byte() % 4).map(|_| (input.half(), input.half())).collect(),
        false => vec![(offset, (4 * (1 + u16::from(input.byte() % 16))).min(4096 - offset))],
    };
    Blob {
        key: Key { offset, mode: input.word(), counts: input.byte() & 1 != 0 },
        code,
        entry: input.word() % if wild { u32::MAX } else { len },
        links,
        spans,
        instructions: input.word(),
    }
}

/// The file of this thread.
fn file() -> PathBuf {
    let shm = Path::new("/dev/shm");
    let folder = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    folder.join(format!("aileron-fuzz-cache-{}-{:?}", std::process::id(), std::thread::current().id()))
}

fn write(path: &Path, bytes: &[u8]) {
    let mut options = std::fs::OpenOptions::new();
    let mut to = options.write(true).create(true).truncate(true).mode(0o600).open(path).expect("a file can be made");
    io::Write::write_all(&mut to, bytes).expect("the file can be written");
}

/// Entries and header get their right sums.
fn seal(identity: &Identity, bytes: &mut [u8]) {
    let mut at = HEADER_BYTES;
    while let Some(count) = bytes.get(at..).and_then(entry_bytes) {
        let sum = checksum(identity, &bytes[at + 8..at + count]);
        bytes[at..at + 8].copy_from_slice(&sum.to_le_bytes());
        at += count;
    }
}

/// Opens the file that `data` says, looks everything up and saves it again.
///
/// # Panics
/// If what is found is not for what was asked, could not be, or is gone after a save.
pub fn cache(data: &[u8]) {
    let mut input = Bytes(data);
    let identity = Identity::of(&[b"fuzzing"]);
    let path = file();
    let _ = std::fs::remove_file(&path);
    let page = page();
    // A good file first.
    let good = Saver::new(Arc::new(Cache::open(&path, identity)), 1 << 20);
    let mut keys = Vec::new();
    for _ in 0..input.byte() % 5 {
        let blob = blob(&mut input);
        let guest = blob.guest(&page);
        keys.push(blob.key);
        if good.add(&blob, guest).is_ok() {
            assert!(blob.check().is_ok());
        }
    }
    good.try_save().expect("the file can be saved");
    let mut bytes = std::fs::read(&path).unwrap_or_default();
    let whole = bytes.clone();
    for _ in 0..input.byte() % 6 {
        let at = usize::from(input.half());
        match input.byte() % 4 {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_within(at.min(bytes.len())..),
            2 => bytes.extend(input.0.iter().take(at % 64)),
            _ => {
                let count = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at % count) {
                    *byte ^= input.byte();
                }
            }
        }
    }
    if input.byte() & 1 != 0 {
        seal(&identity, &mut bytes);
    }
    write(&path, &bytes);
    let cache = Arc::new(Cache::open(&path, identity));
    // No entry, no file: an empty one is a torn one.
    assert!(bytes != whole || whole.is_empty() || !cache.damaged, "a good file is damaged");
    keys.push(Key { offset: input.half(), mode: input.word(), counts: false });
    let look = |cache: &Cache| -> Vec<Option<Blob>> { keys.iter().map(|key| cache.find(*key, &page)).collect() };
    let found = look(&cache);
    for (key, blob) in keys.iter().zip(&found) {
        if let Some(blob) = blob {
            assert_eq!(blob.key, *key);
            blob.check().expect("what is found can be used");
            assert!(cache.may_hold(*key, word_at(&page, key.offset)));
        }
    }
    // All that was found is there after a save, which has something to write.
    let saver = Saver::new(cache, 1 << 20);
    let more = Blob {
        key: Key { offset: 0xFFC, mode: 0x7777, counts: true },
        code: vec![0xC3; 9],
        entry: 0,
        links: Vec::new(),
        spans: vec![(0xFFC, 4)],
        instructions: 1,
    };
    saver.add(&more, more.guest(&page)).expect("a good region");
    if saver.try_save().is_ok_and(|saved| saved) {
        let again = Cache::open(&path, identity);
        assert!(!again.damaged);
        assert_eq!(look(&again), found);
        assert_eq!(again.find(more.key, &page), Some(more));
    }
    let _ = std::fs::remove_file(&path);
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_is_found_can_be_used() {
        let mut state = 1u64;
        for _ in 0..500 {
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .take(800)
            .collect();
            super::cache(&bytes);
        }
    }
}
