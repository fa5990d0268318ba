//! Streams of migrations that were changed, written from their description.

use super::sections;
use platform::mock::Input;
use xxhash_rust::xxh3::xxh3_64;

const HELLO: u8 = 1;
const CHECK: u8 = 2;
const PAGES: u8 = 5;
const ZEROS: u8 = 6;
const STATE: u8 = 7;
const COMMIT: u8 = 9;
/// No frame has this.
const KINDS: u8 = 11;
const PAGE_BYTES: usize = 4096;
/// Pages of the machine's 64 MiB.
const RAM_PAGES: u64 = (64 << 20) / PAGE_BYTES as u64;

/// The number of a page, mostly of one that there is.
fn page(input: &mut Input<'_>) -> u64 {
    match input.byte() {
        0..=7 => input.doubleword(),
        8..=15 => u64::from(input.byte()) + (1 << 52),
        16..=31 => RAM_PAGES - 2 + u64::from(input.byte() % 4),
        _ => u64::from(input.half()) % RAM_PAGES,
    }
}

/// The state, changed or not.
fn state(good: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    if input.one_in(2) { sections::changed(good, input) } else { good.to_vec() }
}

/// A frame of a kind, and its content.
fn content(kind: u8, good: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    match kind {
        HELLO => {
            let mut hello = b"AILERON\x1am\x01\0\0\0".to_vec();
            if input.one_in(32) {
                hello[usize::from(input.byte()) % 13] ^= 1 << (input.byte() % 8);
            }
            hello
        }
        CHECK | STATE => state(good, input),
        PAGES => (0..input.byte() % 4)
            .flat_map(|_| [&page(input).to_le_bytes()[..], &[input.byte(); PAGE_BYTES]].concat())
            .collect(),
        ZEROS => (0..input.byte() % 32).flat_map(|_| page(input).to_le_bytes()).collect(),
        COMMIT => vec![if input.one_in(16) { input.byte() } else { input.byte() % 2 }],
        _ => {
            let count = input.byte();
            input.bytes(count.into())
        }
    }
}

/// A stream whose frames are mostly of their form and in their order.
pub fn changed(good: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    let mut kinds = vec![HELLO, CHECK];
    kinds.extend((0..input.byte() % 5).map(|n| if n % 2 == 0 { PAGES } else { ZEROS }));
    kinds.extend([STATE, COMMIT]);
    if input.one_in(8) {
        for _ in 0..1 + input.byte() % 2 {
            let at = usize::from(input.byte()) % kinds.len();
            match input.byte() % 4 {
                0 => drop(kinds.remove(at)),
                1 => kinds.insert(at, kinds[at]),
                2 => kinds[at] = input.byte() % (KINDS + 1),
                _ => kinds.swap(at, 0),
            }
        }
    }
    let mut stream = Vec::new();
    for kind in kinds {
        let mut content = content(kind, good, input);
        if input.one_in(32) && !content.is_empty() {
            content.truncate(usize::from(input.half()) % content.len());
        }
        let begin = stream.len();
        stream.push(kind);
        let length = if input.one_in(64) { input.doubleword() } else { content.len() as u64 };
        stream.extend(length.to_le_bytes());
        stream.extend(content);
        let sum = xxh3_64(&stream[begin..]) ^ u64::from(input.one_in(64));
        stream.extend(sum.to_le_bytes());
    }
    if input.one_in(16) {
        stream.truncate((usize::from(input.half()) << 3) % stream.len());
    }
    stream
}
