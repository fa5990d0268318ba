//! Saved partitions that were changed, as somebody who knows their form would change them, or anybody. Header and sections
//! are written here from their description, and not by what they are to test. For the fuzz target `snapshot` and for the
//! tests.

use platform::mock::Input;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of the header.
const HEADER_BYTES: usize = 32;

/// A section without its sum.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    name: Vec<u8>,
    instance: u32,
    version: u32,
    fields: Vec<u8>,
}

/// The sections of a state that is right.
fn split(state: &[u8]) -> Vec<Section> {
    let word = |at: usize| u32::from_le_bytes(state[at..at + 4].try_into().expect("a word"));
    let mut sections = Vec::new();
    let mut at = HEADER_BYTES;
    while at < state.len() {
        let end_of_name = at + 5 + usize::from(state[at + 4]);
        let fields = end_of_name + 16;
        let length = word(end_of_name + 8) as usize;
        sections.push(Section {
            name: state[at + 5..end_of_name].to_vec(),
            instance: word(end_of_name),
            version: word(end_of_name + 4),
            fields: state[fields..fields + length].to_vec(),
        });
        at = fields + length + 8;
    }
    sections
}

/// Header and sections, with the right sums.
fn join(sections: &[Section]) -> Vec<u8> {
    let mut bytes = b"AILERON\x1a\x01\0\0\0".to_vec();
    bytes.extend((sections.len() as u32).to_le_bytes());
    bytes.resize(HEADER_BYTES, 0);
    for section in sections {
        bytes.extend(b"SECT");
        bytes.push(section.name.len() as u8);
        bytes.extend(&section.name);
        bytes.extend(section.instance.to_le_bytes());
        bytes.extend(section.version.to_le_bytes());
        bytes.extend((section.fields.len() as u64).to_le_bytes());
        bytes.extend(&section.fields);
        bytes.extend([0; 8]);
    }
    let length = bytes.len() as u64;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    mend(&mut bytes);
    bytes
}

/// Puts sums right, as far as the frame of sections stands.
pub fn mend(bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let sum = xxh3_64(&bytes[..24]);
    bytes[24..32].copy_from_slice(&sum.to_le_bytes());
    let mut at = HEADER_BYTES;
    while at + 5 < bytes.len() {
        let head = at + 5 + usize::from(bytes[at + 4]) + 8;
        let Some(length) = bytes.get(head..head + 8) else { return };
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
        let end = usize::try_from(length).ok().and_then(|length| (head + 8).checked_add(length));
        let Some(end) = end.filter(|end| end.checked_add(8).is_some_and(|end| end <= bytes.len())) else { return };
        let sum = xxh3_64(&bytes[at..end]);
        bytes[end..end + 8].copy_from_slice(&sum.to_le_bytes());
        at = end + 8;
    }
}

/// A number below `limit`, which is not 0.
fn below(input: &mut Input<'_>, limit: usize) -> usize {
    (usize::from(input.half()) | usize::from(input.byte()) << 16) % limit.max(1)
}

/// Changes a value of one, two, four or eight bytes.
fn value(fields: &mut [u8], input: &mut Input<'_>) {
    let at = below(input, fields.len());
    let size = input.pick(&[1usize, 1, 2, 4, 4, 8, 8, 8]).min(fields.len() - at);
    let mut old = [0; 8];
    old[..size].copy_from_slice(&fields[at..at + size]);
    let old = u64::from_le_bytes(old);
    let new = match input.byte() {
        bit @ 0..=63 => old ^ 1 << bit,
        64..=95 => u64::from(input.byte()),
        96..=127 => old.wrapping_add(1),
        128..=159 => old.wrapping_sub(1),
        160..=191 => 0,
        192..=207 => u64::MAX,
        208..=223 => u64::MAX << (input.byte() % 64),
        224..=239 => 1 << (input.byte() % 64),
        _ => input.doubleword(),
    };
    fields[at..at + size].copy_from_slice(&new.to_le_bytes()[..size]);
}

/// Changes what stands around fields.
fn frame(sections: &mut Vec<Section>, at: usize, input: &mut Input<'_>) {
    let other = below(input, sections.len());
    let section = &mut sections[at];
    match input.byte() % 8 {
        0 => section.fields.truncate(below(input, section.fields.len() + 1)),
        1 => section.fields.extend(vec![input.byte(); usize::from(input.byte())]),
        2 => section.version = input.pick(&[0, 2, 3, u32::MAX]),
        3 => section.instance = input.pick(&[0, 1, 2, 64, u32::MAX]),
        4 => match section.name.len() {
            0 => section.name.push(input.byte()),
            length => section.name[usize::from(input.byte()) % length] ^= 1 << (input.byte() % 8),
        },
        5 => drop(sections.remove(at)),
        6 => {
            let again = section.clone();
            sections.insert(other, again);
        }
        _ => sections.swap(at, other),
    }
}

/// A state that was changed in up to four places, mostly in values of fields, with right sums but where a raw byte was
/// changed last.
pub fn changed(good: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    let mut sections = split(good);
    let count = input.byte() % 4 + u8::from(input.one_in(8));
    for _ in 0..count {
        if sections.is_empty() {
            break;
        }
        let at = usize::from(input.byte()) % sections.len();
        if input.one_in(8) {
            frame(&mut sections, at, input);
        } else if !sections[at].fields.is_empty() {
            value(&mut sections[at].fields, input);
        }
    }
    let mut bytes = join(&sections);
    if input.one_in(8) {
        for _ in 0..input.byte() % 4 {
            let at = below(input, bytes.len());
            bytes[at] = if input.one_in(2) { input.byte() } else { bytes[at] ^ 1 << (input.byte() % 8) };
        }
        if input.one_in(4) {
            bytes.truncate(below(input, bytes.len()));
        }
        if !input.one_in(4) {
            mend(&mut bytes);
        }
    }
    bytes
}
