//! Any tree through the writer of blobs, and read back. What the fuzz target `device_tree` runs.

use crate::fdt_writer::{FdtWriter, TreeError};
use platform::mock::Input;

/// A node as it was asked for: its depth, its name, its properties in order.
type Asked = (usize, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

fn text(input: &mut Input<'_>) -> String {
    let count = input.byte() % 12;
    let letter = |byte: u8| match byte {
        0..=199 => char::from(b"abcdefgh,-@#0123456789"[usize::from(byte) % 22]),
        200..=249 => char::from(byte & 0x7F),
        _ => '\u{20ac}',
    };
    (0..count).map(|_| letter(input.byte())).collect()
}

/// Fills a node; notes what it was asked for.
fn fill(fdt: &mut FdtWriter, input: &mut Input<'_>, depth: usize, asked: &mut Vec<Asked>) -> Result<(), TreeError> {
    let me = asked.len() - 1;
    for _ in 0..input.byte() % 6 {
        // The names of properties are the program's own.
        let name = text(input).replace('\0', "0");
        let value = match input.byte() % 5 {
            0 => {
                fdt.empty(&name);
                Vec::new()
            }
            1 => {
                let words = [input.word(), input.word()];
                fdt.cells(&name, &words);
                words.iter().flat_map(|word| word.to_be_bytes()).collect()
            }
            2 => {
                let value = text(input);
                fdt.string(&name, &value)?;
                [value.as_bytes(), &[0]].concat()
            }
            3 => {
                let values = [text(input), text(input)];
                fdt.strings(&name, &[&values[0], &values[1]])?;
                values.iter().flat_map(|value| [value.as_bytes(), &[0]].concat()).collect()
            }
            _ => {
                let count = input.byte();
                let value = input.bytes(count.into());
                fdt.bytes(&name, &value);
                value
            }
        };
        asked[me].2.push((name.into_bytes(), value));
    }
    if depth < 6 {
        for _ in 0..input.byte() % 4 {
            let name = text(input);
            asked.push((depth + 1, name.clone().into_bytes(), Vec::new()));
            fdt.node(&name, |fdt| fill(fdt, input, depth + 1, asked))?;
        }
    }
    Ok(())
}

/// The nodes of a blob (Devicetree Specification 0.4, chapter 5).
fn read(blob: &[u8]) -> Vec<Asked> {
    let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().expect("four bytes")) as usize;
    let name_at = |at: usize| blob[at..].split(|byte| *byte == 0).next().expect("a name ends").to_vec();
    assert_eq!((word(0), word(4)), (0xD00D_FEED, blob.len()));
    let (mut at, strings) = (word(8), word(12));
    let end = at + word(36);
    assert!(at.is_multiple_of(4) && end <= strings && strings + word(32) == blob.len());
    let (mut nodes, mut depth): (Vec<Asked>, usize) = (Vec::new(), 0);
    // Where in `nodes` each open node stands.
    let mut open: Vec<usize> = Vec::new();
    loop {
        at += 4;
        match word(at - 4) {
            1 => {
                let name = name_at(at);
                at = (at + name.len() + 1).next_multiple_of(4);
                open.push(nodes.len());
                nodes.push((depth, name, Vec::new()));
                depth += 1;
            }
            2 => {
                open.pop().expect("a node is open");
                depth -= 1;
            }
            3 => {
                let (bytes, name) = (word(at), word(at + 4));
                let value = blob[at + 8..at + 8 + bytes].to_vec();
                let node = *open.last().expect("a property is a node's");
                nodes[node].2.push((name_at(strings + name), value));
                at = (at + 8 + bytes).next_multiple_of(4);
            }
            9 => break,
            other => panic!("token {other} at {:#x}", at - 4),
        }
    }
    assert_eq!((at, depth), (end, 0));
    nodes
}

/// Writes the tree that `data` says, and reads it.
///
/// # Panics
/// If it is another one.
pub fn device_tree(data: &[u8]) {
    let mut input = Input::new(data);
    let mut fdt = FdtWriter::default();
    let mut asked: Vec<Asked> = vec![(0, Vec::new(), Vec::new())];
    for _ in 0..input.byte() % 3 {
        fdt.reserve(input.doubleword(), input.doubleword());
    }
    let written = fdt.node("", |fdt| fill(fdt, &mut input, 0, &mut asked)).and_then(|()| fdt.finish());
    let blob = match written {
        Ok(blob) => blob,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let read = read(&blob);
    let plain = |text: &[u8]| !text.contains(&0);
    if asked.iter().all(|node| plain(&node.1) && node.2.iter().all(|property| plain(&property.0))) {
        assert_eq!(read.len(), asked.len());
        for ((depth, name, properties), wanted) in read.iter().zip(&asked) {
            assert_eq!((depth, name), (&wanted.0, &wanted.1));
            // The last of several with one name is the one that counts.
            let mut left: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            for (name, value) in &wanted.2 {
                match left.iter_mut().find(|old| old.0 == *name) {
                    Some(old) => old.1.clone_from(value),
                    None => left.push((name.clone(), value.clone())),
                }
            }
            assert_eq!(*properties, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn what_is_written_is_read() {
        for seed in 0..2000 {
            device_tree(&some_bytes(seed, 1500));
        }
    }
}
