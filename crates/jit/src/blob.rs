//! What the compiler makes and the cache keeps: position-independent machine code of a region, with what it was made
//! from. Its bytes come back from a file, so reading them trusts nothing.

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a page that regions are made of.
pub const PAGE: usize = 4096;
/// A region's code never has more bytes.
pub const CODE_MAX_BYTES: usize = 1 << 20;
/// Code is placed at multiples of this.
pub const CODE_ALIGN: usize = 16;
/// Bytes before the parts of variable length.
const HEAD_BYTES: usize = 26;
const LINK_BYTES: usize = 10;
const SPAN_BYTES: usize = 4;
/// First byte of a serialised blob: its format.
const FORMAT: u8 = 1;

/// What a region is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Offset of its first instruction within the 4K page, in bytes.
    pub offset: u16,
    /// Bits of `vcpu::context::mode`.
    pub mode: u32,
    /// Counts instructions, exactly: under the virtual clock, and for who asks. Else nothing is counted.
    pub counts: bool,
}

/// A direct jump to another place of the page, not linked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Offset in `code` of the `rel32` of its `jmp`. It never crosses an 8-byte boundary, so that it can be patched by
    /// one aligned store.
    pub rel32: u32,
    /// Offset in `code` of the thunk that it leads to while unlinked.
    pub thunk: u32,
    /// Offset within the page of the instruction that it goes to.
    pub to: u16,
}

/// A region: position-independent machine code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What it is compiled for.
    pub key: Key,
    /// Machine code, placed at a multiple of [`CODE_ALIGN`].
    pub code: Vec<u8>,
    /// Offset in `code` where regions are entered.
    pub entry: u32,
    /// Its direct jumps.
    pub links: Vec<Link>,
    /// Runs of guest bytes of the page that it was made from: (offset, length in bytes), sorted, disjoint. The
    /// instruction at `key.offset` is among them.
    pub spans: Vec<(u16, u16)>,
    /// Guest instructions translated.
    pub instructions: u32,
}

/// The guest bytes that a region was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guest {
    /// The instruction word at `key.offset`, as four bytes of the page in order.
    pub word: [u8; 4],
    /// Hash of the bytes under the spans, and of where these lie.
    pub hash: u64,
}

/// Why bytes are not a blob, or a blob is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BlobError {
    /// Another format.
    #[error(
        "translated code has format {found}, but this build reads format {FORMAT} only: drop the file it comes from"
    )]
    Format {
        /// Its first byte.
        found: u8,
    },
    /// Fewer or more bytes than its own counts say.
    #[error("translated code should have {expected} bytes by its own counts, but has {found}")]
    Length {
        /// Bytes by its counts, or of the head if that is incomplete.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// A number that leads out of what it counts in, or is not aligned as it must be.
    #[error("translated code has {what} {value:#x}, but {rule}")]
    Value {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: u32,
        /// What holds for it.
        rule: &'static str,
    },
}

fn rule(holds: bool, what: &'static str, value: u32, rule: &'static str) -> Result<(), BlobError> {
    if holds { Ok(()) } else { Err(BlobError::Value { what, value, rule }) }
}

impl Key {
    fn check(&self) -> Result<(), BlobError> {
        let offset = self.offset;
        rule(
            usize::from(offset) < PAGE && offset.is_multiple_of(4),
            "key offset",
            offset.into(),
            "that is no word of a page",
        )
    }
}

impl Blob {
    /// Checks all that [`Blob`] promises of its fields.
    pub fn check(&self) -> Result<(), BlobError> {
        let len = self.code.len();
        self.key.check()?;
        rule(
            (1..=CODE_MAX_BYTES).contains(&len),
            "code bytes",
            u32::try_from(len).unwrap_or(u32::MAX),
            "there must be some, and at most 1 MiB",
        )?;
        rule((self.entry as usize) < len, "entry", self.entry, "the code ends before")?;
        for link in &self.links {
            rule(link.rel32 as usize + 4 <= len, "rel32", link.rel32, "the code ends before its end")?;
            rule(link.rel32 % 8 <= 4, "rel32", link.rel32, "it would cross an 8-byte boundary")?;
            rule((link.thunk as usize) < len, "thunk", link.thunk, "the code ends before")?;
            let to = usize::from(link.to);
            rule(to < PAGE && to.is_multiple_of(4), "link to", link.to.into(), "that is no word of a page")?;
        }
        let mut end = 0;
        let mut first_is_there = false;
        for &(offset, bytes) in &self.spans {
            let (from, to) = (usize::from(offset), usize::from(offset) + usize::from(bytes));
            rule(from >= end && bytes > 0 && to <= PAGE, "span at", offset.into(), "spans are sorted parts of a page")?;
            let key = usize::from(self.key.offset);
            first_is_there |= from <= key && key + 4 <= to;
            end = to;
        }
        rule(first_is_there, "key offset", self.key.offset.into(), "no span has that instruction")
    }

    /// The guest bytes of `page` that it is good for. Spans that [`Blob::check`] refuses hash to 0.
    pub fn guest(&self, page: &[u8; PAGE]) -> Guest {
        Guest { word: word_at(page, self.key.offset), hash: guest_hash(page, self.spans.iter().copied()).unwrap_or(0) }
    }

    /// Appends its bytes to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(HEAD_BYTES + self.spans.len() * SPAN_BYTES + self.links.len() * LINK_BYTES + self.code.len());
        out.extend([FORMAT, self.key.counts.into()]);
        out.extend(self.key.offset.to_le_bytes());
        // Disjoint parts of a page are at most 4096.
        out.extend((self.spans.len() as u16).to_le_bytes());
        for v in [self.key.mode, self.entry, self.instructions, self.links.len() as u32, self.code.len() as u32] {
            out.extend(v.to_le_bytes());
        }
        for &(offset, bytes) in &self.spans {
            out.extend(offset.to_le_bytes());
            out.extend(bytes.to_le_bytes());
        }
        for link in &self.links {
            out.extend(link.rel32.to_le_bytes());
            out.extend(link.thunk.to_le_bytes());
            out.extend(link.to.to_le_bytes());
        }
        out.extend(&self.code);
    }

    /// Reads what [`Blob::write`] wrote: exactly `bytes`, and nothing that [`Blob::check`] would refuse.
    pub fn read(bytes: &[u8]) -> Result<Blob, BlobError> {
        let head = Head::read(bytes)?;
        let (spans, rest) = bytes[HEAD_BYTES..].split_at(head.spans * SPAN_BYTES);
        let (links, code) = rest.split_at(head.links * LINK_BYTES);
        let blob = Blob {
            key: head.key,
            code: code.to_vec(),
            entry: head.entry,
            links: links
                .chunks_exact(LINK_BYTES)
                .map(|l| Link { rel32: u32_at(l, 0), thunk: u32_at(l, 4), to: u16_at(l, 8) })
                .collect(),
            spans: spans_of(spans).collect(),
            instructions: head.instructions,
        };
        blob.check()?;
        Ok(blob)
    }
}

/// The part of fixed length, whose counts agree with the number of bytes.
struct Head {
    key: Key,
    entry: u32,
    instructions: u32,
    links: usize,
    spans: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Head, BlobError> {
        let found = bytes.len();
        match bytes.first() {
            Some(&FORMAT) if found >= HEAD_BYTES => {}
            Some(&FORMAT) | None => return Err(BlobError::Length { expected: HEAD_BYTES, found }),
            Some(&found) => return Err(BlobError::Format { found }),
        }
        rule(bytes[1] <= 1, "flags", bytes[1].into(), "only bit 0 has a meaning")?;
        let key = Key { offset: u16_at(bytes, 2), mode: u32_at(bytes, 6), counts: bytes[1] == 1 };
        key.check()?;
        let (spans, links, code) = (u16_at(bytes, 4) as usize, u32_at(bytes, 18) as usize, u32_at(bytes, 22) as usize);
        // Below 2^36: nothing overflows.
        let expected = HEAD_BYTES + spans * SPAN_BYTES + links * LINK_BYTES + code;
        if expected != found {
            return Err(BlobError::Length { expected, found });
        }
        Ok(Head { key, entry: u32_at(bytes, 10), instructions: u32_at(bytes, 14), links, spans })
    }
}

/// The key of a serialised blob, without reading the rest.
pub(crate) fn key_of(bytes: &[u8]) -> Result<Key, BlobError> {
    Ok(Head::read(bytes)?.key)
}

/// What [`Blob::guest`] hashes, for a serialised blob. `None` if its spans leave the page.
pub(crate) fn guest_hash_of(bytes: &[u8], page: &[u8; PAGE]) -> Option<u64> {
    let head = Head::read(bytes).ok()?;
    guest_hash(page, spans_of(&bytes[HEAD_BYTES..HEAD_BYTES + head.spans * SPAN_BYTES]))
}

/// The four bytes of `page` at `offset`; zeros if they are not all in it.
pub(crate) fn word_at(page: &[u8; PAGE], offset: u16) -> [u8; 4] {
    page.get(usize::from(offset)..).and_then(|b| b.first_chunk()).copied().unwrap_or_default()
}

fn guest_hash(page: &[u8; PAGE], spans: impl Iterator<Item = (u16, u16)>) -> Option<u64> {
    let mut hash = 0;
    for (offset, bytes) in spans {
        let run = page.get(usize::from(offset)..usize::from(offset) + usize::from(bytes))?;
        hash = xxh3_64_with_seed(run, hash ^ (u64::from(offset) << 16 | u64::from(bytes)));
    }
    Some(hash)
}

fn spans_of(bytes: &[u8]) -> impl Iterator<Item = (u16, u16)> {
    bytes.chunks_exact(SPAN_BYTES).map(|s| (u16_at(s, 0), u16_at(s, 2)))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn page() -> Box<[u8; PAGE]> {
        let mut page = Box::new([0; PAGE]);
        page.iter_mut().enumerate().for_each(|(i, b)| *b = (i * 7 + i / 251) as u8);
        page
    }

    pub(crate) fn blob(offset: u16) -> Blob {
        Blob {
            key: Key { offset, mode: 0x1423, counts: false },
            code: (0..75).collect(),
            entry: 8,
            links: vec![Link { rel32: 24, thunk: 70, to: 0xFFC }, Link { rel32: 36, thunk: 74, to: 0 }],
            spans: vec![(offset, 24), (offset + 64, 8)],
            instructions: 8,
        }
    }

    fn bytes(b: &Blob) -> Vec<u8> {
        let mut out = Vec::new();
        b.write(&mut out);
        out
    }

    #[test]
    fn comes_back_as_it_went() {
        for counts in [false, true] {
            let mut b = blob(0x40);
            b.key.counts = counts;
            b.check().unwrap();
            let bytes = bytes(&b);
            assert_eq!(Blob::read(&bytes).unwrap(), b);
            assert_eq!(key_of(&bytes).unwrap(), b.key);
            assert_eq!(guest_hash_of(&bytes, &page()), Some(b.guest(&page()).hash));
        }
    }

    #[test]
    fn bytes_under_the_spans_count_and_no_others() {
        let b = blob(0x40);
        let was = b.guest(&page());
        for at in 0..PAGE {
            let mut changed = page();
            changed[at] ^= 0x10;
            let under = b.spans.iter().any(|&(o, n)| (o as usize..(o + n) as usize).contains(&at));
            assert_eq!(b.guest(&changed) != was, under, "byte {at:#x}");
        }
        // Where they lie counts as well.
        let even = Box::new([7; PAGE]);
        assert_ne!(Blob { spans: vec![(0x40, 32)], ..b.clone() }.guest(&even).hash, b.guest(&even).hash);
    }

    #[test]
    fn wrong_fields_are_refused() {
        type Change = fn(&mut Blob);
        let wrong: [(&str, Change); 16] = [
            ("unaligned key", |b| b.key.offset += 2),
            ("key out of page", |b| b.key.offset = 4096),
            ("key outside of the spans", |b| b.key.offset += 32),
            ("no code", |b| b.code.clear()),
            ("much code", |b| b.code.resize(CODE_MAX_BYTES + 1, 0)),
            ("entry", |b| b.entry = 75),
            ("rel32 at the end", |b| b.links[0].rel32 = 72),
            ("rel32 far out", |b| b.links[0].rel32 = u32::MAX - 3),
            ("rel32 across", |b| b.links[1].rel32 = 37),
            ("thunk", |b| b.links[0].thunk = 75),
            ("to out of page", |b| b.links[0].to = 4096),
            ("to unaligned", |b| b.links[0].to = 2),
            ("spans overlap", |b| b.spans[1].0 = b.spans[0].0 + 23),
            ("span leaves the page", |b| b.spans[1] = (4092, 8)),
            ("empty span", |b| b.spans[1].1 = 0),
            ("no spans", |b| b.spans.clear()),
        ];
        for (what, change) in wrong {
            let mut b = blob(0x40);
            change(&mut b);
            assert!(matches!(b.check(), Err(BlobError::Value { .. })), "{what}");
            assert!(Blob::read(&bytes(&b)).is_err(), "{what}");
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        let good = bytes(&blob(0x40));
        for len in 0..good.len() {
            assert!(matches!(Blob::read(&good[..len]), Err(BlobError::Length { .. })), "{len}");
        }
        assert!(Blob::read(&[&good[..], &[0]].concat()).is_err());
        for at in 0..good.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut bad = good.clone();
                bad[at] = value;
                if let Ok(b) = Blob::read(&bad) {
                    b.check().unwrap();
                }
                guest_hash_of(&bad, &page());
            }
        }
        let mut huge = good.clone();
        huge[18..26].fill(0xFF);
        assert!(matches!(Blob::read(&huge), Err(BlobError::Length { .. })));
        huge[0] = 9;
        assert_eq!(Blob::read(&huge), Err(BlobError::Format { found: 9 }));
    }
}
