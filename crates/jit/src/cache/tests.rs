use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::blob::tests::{blob, page};

const LIMIT: u64 = 1 << 20;

/// A folder of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("aileron-cache-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("cache")
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Counts warnings of one thread.
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// What `f` returns and the warnings that it gives.
fn warnings<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let result = tracing::subscriber::with_default(Warnings(count.clone()), f);
    (result, count.load(Ordering::Relaxed))
}

fn identity() -> Identity {
    Identity::of(&[b"test"])
}

fn saver(path: &Path, limit_bytes: u64) -> Saver {
    Saver::new(Arc::new(Cache::open(path, identity())), limit_bytes)
}

fn save(path: &Path, blobs: &[Blob]) {
    let saver = saver(path, LIMIT);
    for b in blobs {
        saver.add(b, b.guest(&page())).unwrap();
    }
    saver.save();
}

/// Blobs of several sizes; their bytes are few, so that all of a file can be damaged.
fn blobs() -> Vec<Blob> {
    let mut all: Vec<_> = [0, 0x40, 0x44, 0xF00].map(blob).into();
    all[1].key.counts = true;
    all[2].links.clear();
    all[3].code.truncate(1);
    all[3].entry = 0;
    all[3].links.clear();
    all
}

#[test]
fn what_was_compiled_is_found_again() {
    let folder = Folder::new("again");
    let (saver, warned) = warnings(|| saver(&folder.file(), LIMIT));
    assert_eq!(warned, 0, "nothing there is nothing to warn of");
    for b in blobs() {
        assert!(saver.add(&b, b.guest(&page())).unwrap());
        assert!(!saver.add(&b, b.guest(&page())).unwrap(), "twice");
    }
    assert_eq!(saver.added(), 4);
    assert!(saver.try_save().unwrap());
    assert!(!saver.try_save().unwrap(), "nothing new");
    assert_eq!(folder.files(), ["cache"]);
    assert_eq!(std::fs::metadata(folder.file()).unwrap().mode() & 0o7777, 0o600);

    let (cache, warned) = warnings(|| Cache::open(&folder.file(), identity()));
    assert_eq!((warned, cache.len(), cache.is_empty()), (0, 4, false));
    for b in blobs() {
        assert_eq!(cache.find(b.key, &page()).unwrap(), b);
        let word = word_at(&page(), b.key.offset);
        assert!(cache.may_hold(b.key, word) && !cache.may_hold(b.key, [!word[0], word[1], word[2], word[3]]));
        assert!(!cache.may_hold(Key { mode: b.key.mode ^ 4, ..b.key }, word));
        // For nothing else.
        assert_eq!(cache.find(Key { mode: b.key.mode ^ 1 << 31, ..b.key }, &page()), None);
        assert_eq!(cache.find(Key { mode: b.key.mode ^ 4, ..b.key }, &page()), None);
        assert_eq!(cache.find(Key { counts: !b.key.counts, ..b.key }, &page()), None);
        assert_eq!(cache.find(Key { offset: b.key.offset + 4, ..b.key }, &page()).filter(|f| f.key == b.key), None);
        for at in [0, 3, 4, 23, 64, 71] {
            let mut other = page();
            other[usize::from(b.key.offset) + at] ^= 1;
            assert_eq!(cache.find(b.key, &other), None, "{at}");
        }
    }
    for offset in [4096, 4094, u16::MAX] {
        assert_eq!(cache.find(Key { offset, mode: 0, counts: false }, &page()), None, "no place of a page");
    }
    // What is loaded is not saved twice, and what is added comes beside it.
    let more = saver_of(cache);
    let first = blobs().remove(0);
    assert!(!more.add(&first, first.guest(&page())).unwrap());
    let mut changed = page();
    changed[4] ^= 1;
    assert!(more.add(&first, first.guest(&changed)).unwrap(), "other bytes behind the same first word");
    assert!(more.try_save().unwrap());
    let cache = Cache::open(&folder.file(), identity());
    assert_eq!(cache.len(), 5);
    assert_eq!(cache.find(first.key, &changed), Some(first.clone()));
    assert_eq!(cache.find(first.key, &page()), Some(first));
}

fn saver_of(cache: Cache) -> Saver {
    Saver::new(Arc::new(cache), LIMIT)
}

/// Opens damaged bytes: never a panic, never another blob; how many are still found.
fn damaged(path: &Path, bytes: &[u8], what: &str) -> usize {
    // A new file each time: some file systems write back what is truncated and written again.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
    let (cache, warned) = warnings(|| Cache::open(path, identity()));
    assert_eq!(warned, 1, "{what}");
    blobs().iter().filter_map(|b| cache.find(b.key, &page()).map(|found| assert_eq!(found, *b, "{what}"))).count()
}

#[test]
fn no_damage_gives_a_wrong_blob() {
    let folder = Folder::new("damage");
    let path = folder.file();
    save(&path, &blobs());
    let good = std::fs::read(&path).unwrap();
    for at in 0..good.len() {
        for flip in [1, 0x80, 0xFF] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            let found = damaged(&path, &bad, &format!("byte {at} by {flip:#x}"));
            assert!(found <= if at < HEADER_BYTES { 0 } else { 3 }, "byte {at}");
        }
    }
    // Truncated anywhere but between two entries.
    let mut ends = vec![HEADER_BYTES];
    while let Some(n) = entry_bytes(&good[*ends.last().unwrap()..]) {
        ends.push(ends.last().unwrap() + n);
    }
    assert_eq!((ends.len(), ends.last()), (5, Some(&good.len())));
    for len in (0..good.len()).filter(|len| !ends.contains(len)) {
        let whole = ends.iter().filter(|&&end| end <= len).count().saturating_sub(1);
        assert_eq!(damaged(&path, &good[..len], &format!("{len} bytes")), whole);
    }
    // Huge counts, of an entry and of what is in a blob.
    let mut bad = good.clone();
    bad[HEADER_BYTES + 8..HEADER_BYTES + 12].fill(0xFF);
    assert_eq!(damaged(&path, &bad, "huge entry"), 0);
    for field in [4, 18, 22] {
        let mut bad = good.clone();
        let entry = &mut bad[HEADER_BYTES..ends[1]];
        entry[ENTRY_HEAD_BYTES + field..][..2].fill(0xFF);
        entry[ENTRY_HEAD_BYTES + field + 3] = 0xFF;
        // Whoever made it knew how to sum it.
        let sum = checksum(&identity(), &entry[8..]);
        entry[..8].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(damaged(&path, &bad, &format!("huge count at {field}")), 3);
    }
    assert_eq!(damaged(&path, &[&good[..], &[0; 40]].concat(), "more behind"), 4);
    // It is replaced by what is compiled anew.
    save(&path, &blobs());
    assert_eq!(warnings(|| Cache::open(&path, identity()).len()), (4, 0));
}

#[test]
fn files_of_others_are_left_alone() {
    let folder = Folder::new("others");
    let path = folder.file();
    // Of another build: replaced.
    save(&path, &blobs());
    let other = Identity::of(&[b"tes", b"t"]);
    let (cache, warned) = warnings(|| Cache::open(&path, other));
    assert_eq!((cache.len(), warned), (0, 1));
    let b = blob(8);
    let saver = saver_of(cache);
    saver.add(&b, b.guest(&page())).unwrap();
    assert!(saver.try_save().unwrap());
    assert_eq!(Cache::open(&path, other).find(b.key, &page()), Some(b));

    // What is no cache, or what others could have written, stays as it is.
    let try_to_replace = |path: &Path| {
        let ((), warned) = warnings(|| save(path, &blobs()));
        assert_eq!(warned, 1, "{}", path.display());
    };
    std::fs::write(&path, "dear diary").unwrap();
    try_to_replace(&path);
    std::fs::write(&path, [b'x'; 1000]).unwrap();
    try_to_replace(&path);
    assert_eq!(std::fs::read(&path).unwrap(), [b'x'; 1000]);
    std::fs::remove_file(&path).unwrap();
    save(&path, &blobs());
    for mode in [0o620, 0o602, 0o666] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (cache, warned) = warnings(|| Cache::open(&path, identity()));
        assert_eq!((cache.len(), warned), (0, 1));
        try_to_replace(&path);
    }
    try_to_replace(&folder.0);
    try_to_replace(Path::new("/dev/null"));
    let pipe = folder.0.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    try_to_replace(&pipe);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        try_to_replace(&path);
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), 12345);
    }
    assert_eq!(folder.files(), ["cache", "pipe"], "no leavings");
}

#[test]
fn a_folder_that_cannot_be_written_costs_one_warning() {
    let folder = Folder::new("unwritable");
    for path in [folder.0.join("none/cache"), folder.0.join("file/cache"), PathBuf::from("/proc/cache")] {
        std::fs::write(folder.0.join("file"), "").unwrap();
        let (saver, opened) = warnings(|| saver(&path, LIMIT));
        let b = blob(8);
        saver.add(&b, b.guest(&page())).unwrap();
        let ((), saved) = warnings(|| saver.save());
        assert_eq!(opened + saved, 1, "{}", path.display());
    }
}

#[test]
fn the_oldest_goes_first() {
    let folder = Folder::new("oldest");
    let path = folder.file();
    let of = |n: u16| blob(n * 4);
    let one = saver(&path, LIMIT);
    one.add(&of(0), of(0).guest(&page())).unwrap();
    one.save();
    let entry = std::fs::metadata(&path).unwrap().len() - HEADER_BYTES as u64;
    // Room for ten.
    let limit = HEADER_BYTES as u64 + 10 * entry + entry / 2;
    let many = saver(&path, limit);
    for n in 1..100 {
        many.add(&of(n), of(n).guest(&page())).unwrap();
        assert!(many.added() <= 10, "bounded while running");
    }
    assert!(many.add(&of(3), of(3).guest(&page())).unwrap(), "forgotten, so new");
    many.save();
    let cache = Arc::new(Cache::open(&path, identity()));
    assert_eq!(cache.len(), 10);
    let kept = |cache: &Cache| (0..100).filter(|&n| cache.find(of(n).key, &page()).is_some()).collect::<Vec<_>>();
    assert_eq!(kept(&Cache::open(&path, identity())), [3, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
    // What is used stays longer than what is not.
    cache.find(of(91).key, &page()).unwrap();
    let more = Saver::new(cache, limit);
    for n in 20..24 {
        more.add(&of(n), of(n).guest(&page())).unwrap();
    }
    more.save();
    assert_eq!(kept(&Cache::open(&path, identity())), [3, 20, 21, 22, 23, 91, 96, 97, 98, 99]);
    // A lower limit shrinks the file; one below any entry empties it.
    saver(&path, limit - 5 * entry).save();
    assert_eq!(Cache::open(&path, identity()).len(), 5);
    let none = saver(&path, 10);
    assert!(!none.add(&of(50), of(50).guest(&page())).unwrap());
    none.save();
    assert_eq!(warnings(|| Cache::open(&path, identity()).len()), (0, 0));
}

#[test]
fn savers_at_once_leave_a_whole_file() {
    let folder = Folder::new("concurrent");
    let path = folder.file();
    let done = AtomicBool::new(false);
    std::thread::scope(|s| {
        let writers: Vec<_> = (0..4u16)
            .map(|n| {
                let path = &path;
                s.spawn(move || {
                    for round in 0..25 {
                        let saver = Saver::new(Arc::new(Cache::open(path, identity())), LIMIT);
                        for k in 0..20 {
                            let b = blob((n * 100 + round + k) % 750 * 4);
                            saver.add(&b, b.guest(&page())).unwrap();
                        }
                        saver.try_save().unwrap();
                    }
                })
            })
            .collect();
        s.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let ((), warned) = warnings(|| drop(Cache::open(&path, identity())));
                assert_eq!(warned, 0, "torn");
            }
        });
        writers.into_iter().for_each(|w| w.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(folder.files(), ["cache"]);
    assert!(Cache::open(&path, identity()).len() >= 20);
}

#[test]
fn a_wrong_region_is_not_taken() {
    let folder = Folder::new("wrong");
    let saver = saver(&folder.file(), LIMIT);
    let wrong = Blob { entry: 75, ..blob(0) };
    assert!(saver.add(&wrong, wrong.guest(&page())).is_err());
    assert_eq!(saver.added(), 0);
}

#[test]
fn default_place_and_identity() {
    let dir = |xdg: Option<&str>, home: Option<&str>| default_folder(xdg.map(Into::into), home.map(Into::into));
    assert_eq!(dir(Some("/x"), Some("/h")).unwrap(), Path::new("/x/aileron"));
    for no in [None, Some(""), Some("relative")] {
        assert_eq!(dir(no, Some("/h")).unwrap(), Path::new("/h/.cache/aileron"));
        assert_eq!(dir(no, None), None);
    }
    let nine = Identity::new("power9", b"").unwrap();
    assert_eq!(nine, Identity::new("power9", b"").unwrap());
    assert_ne!(nine, Identity::new("power10", b"").unwrap());
    assert_ne!(nine, Identity::new("power9", b"opt").unwrap());
    assert_eq!(nine.hex().len(), 16);
}

#[test]
fn a_folder_keeps_a_dozen_of_other_builds() {
    let folder = Folder::new("prune");
    let own = folder.0.join("power9-own.code");
    for n in 0..KEPT_FILES as u64 + 3 {
        let path = if n == 0 { own.clone() } else { folder.0.join(format!("power9-{n:02}.code")) };
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(n)).unwrap();
    }
    std::fs::write(folder.0.join("notes"), "").unwrap();
    prune(&folder.0, &own).unwrap();
    let files = folder.files();
    assert_eq!((files.len(), &files[0][..], &files[1][..]), (KEPT_FILES + 2, "notes", "power9-03.code"));
    assert!(own.exists());
}
