//! Writes a flattened device tree (Devicetree Specification 0.4, chapter 5, "Flattened Devicetree (DTB) Format").
//!
//! PAPR has property names of more than 31 characters (`ibm,processor-radix-AP-encodings`), which the format holds and
//! Linux needs, and which writers that insist on the specification's limit refuse; hence one of our own.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;
const LAST_COMPATIBLE_VERSION: u32 = 16;
const HEADER_BYTES: usize = 40;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

/// Why a tree cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A string with a zero byte in it.
    #[error("the device tree cannot hold {what} {text:?}: it has a zero byte in it")]
    ZeroByte {
        /// What it is, a property's name.
        what: String,
        /// The string.
        text: String,
    },
    /// More than 32 bits can count.
    #[error("the device tree has {0} bytes, more than its format can count")]
    TooLarge(usize),
}

/// A node of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// Name with unit address; the root's is empty.
    pub name: String,
    /// Index of the parent; the root is its own.
    pub parent: usize,
    /// Indices of the children, in their order.
    pub children: Vec<usize>,
    /// Names and values, in their order.
    pub properties: Vec<(String, Vec<u8>)>,
}

impl Node {
    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..])
    }

    /// Gives a property another value, or makes it.
    pub fn set_property(&mut self, name: &str, value: &[u8]) {
        match self.properties.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.to_vec(),
            None => self.properties.push((name.into(), value.to_vec())),
        }
    }
}

/// A tree being written. Nodes are closed in the order in which the closures that fill them return.
#[derive(Debug, Default)]
pub(crate) struct FdtWriter {
    reserved: Vec<(u64, u64)>,
    /// The root first, every node before its children.
    nodes: Vec<Node>,
    /// Index of the node that is being filled.
    open: usize,
}

pub(crate) type Result<T = ()> = std::result::Result<T, TreeError>;

impl FdtWriter {
    /// Reserves memory: address and size in bytes.
    pub fn reserve(&mut self, address: u64, size_bytes: u64) {
        self.reserved.push((address, size_bytes));
    }

    /// A node, filled by `fill`. The first is the root, whose name is empty.
    pub fn node(&mut self, name: &str, fill: impl FnOnce(&mut FdtWriter) -> Result) -> Result {
        if name.contains('\0') {
            return Err(TreeError::ZeroByte { what: "node".into(), text: name.into() });
        }
        let (index, parent) = (self.nodes.len(), self.open);
        self.nodes.push(Node { name: name.into(), parent, ..Node::default() });
        if index != parent {
            self.nodes[parent].children.push(index);
        }
        self.open = index;
        fill(self)?;
        self.open = parent;
        Ok(())
    }

    /// A property of any bytes.
    pub fn bytes(&mut self, name: &str, value: &[u8]) {
        if let Some(node) = self.nodes.get_mut(self.open) {
            node.set_property(name, value);
        }
    }

    /// Gives every node that has no `phandle` one, counting up from `first` in the order of the tree.
    pub fn number_nodes(&mut self, first: u32) {
        let without = self.nodes.iter_mut().filter(|node| node.property("phandle").is_none());
        for (node, number) in without.zip(first..) {
            node.set_property("phandle", &number.to_be_bytes());
        }
    }

    /// The nodes, the root first.
    pub fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }

    /// A property that is there, and nothing more.
    pub fn empty(&mut self, name: &str) {
        self.bytes(name, &[]);
    }

    /// A cell.
    pub fn cell(&mut self, name: &str, value: u32) {
        self.cells(name, &[value]);
    }

    /// Cells.
    pub fn cells(&mut self, name: &str, values: &[u32]) {
        self.bytes(name, &values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<_>>());
    }

    /// A string.
    pub fn string(&mut self, name: &str, value: &str) -> Result {
        self.strings(name, &[value])
    }

    /// Strings.
    pub fn strings(&mut self, name: &str, values: &[&str]) -> Result {
        let mut bytes = Vec::new();
        for value in values {
            if value.contains('\0') {
                return Err(TreeError::ZeroByte { what: name.into(), text: (*value).into() });
            }
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0);
        }
        self.bytes(name, &bytes);
        Ok(())
    }

    /// The blob.
    pub fn finish(self) -> Result<Vec<u8>> {
        flatten(&self.reserved, &self.nodes)
    }
}

/// The blob of a tree with these memory reservations and nodes, the root first.
pub(crate) fn flatten(reserved: &[(u64, u64)], nodes: &[Node]) -> Result<Vec<u8>> {
    let mut blob = Blob::default();
    if !nodes.is_empty() {
        blob.node(nodes, 0);
    }
    blob.word(END);
    let reserved_at = HEADER_BYTES;
    let structure_at = reserved_at + 16 * (reserved.len() + 1);
    let strings_at = structure_at + blob.structure.len();
    let total = strings_at + blob.strings.len();
    if u32::try_from(total).is_err() {
        return Err(TreeError::TooLarge(total));
    }
    let header = [
        MAGIC,
        total as u32,
        structure_at as u32,
        strings_at as u32,
        reserved_at as u32,
        VERSION,
        LAST_COMPATIBLE_VERSION,
        0, // boot_cpuid_phys
        blob.strings.len() as u32,
        blob.structure.len() as u32,
    ];
    let mut bytes = Vec::with_capacity(total);
    bytes.extend(header.iter().flat_map(|word| word.to_be_bytes()));
    for &(address, size_bytes) in reserved.iter().chain(&[(0, 0)]) {
        bytes.extend(address.to_be_bytes());
        bytes.extend(size_bytes.to_be_bytes());
    }
    bytes.extend(blob.structure);
    bytes.extend(blob.strings);
    Ok(bytes)
}

/// Structure and strings of a blob. Names of properties are there once.
#[derive(Debug, Default)]
struct Blob {
    structure: Vec<u8>,
    strings: Vec<u8>,
    offsets: BTreeMap<String, u32>,
}

impl Blob {
    fn node(&mut self, nodes: &[Node], index: usize) {
        let node = &nodes[index];
        self.word(BEGIN_NODE);
        self.structure.extend_from_slice(node.name.as_bytes());
        self.structure.push(0);
        self.pad();
        for (name, value) in &node.properties {
            let at = match self.offsets.get(name) {
                Some(&at) => at,
                None => {
                    let at = self.strings.len() as u32;
                    self.strings.extend_from_slice(name.as_bytes());
                    self.strings.push(0);
                    self.offsets.insert(name.clone(), at);
                    at
                }
            };
            self.word(PROPERTY);
            self.word(value.len() as u32);
            self.word(at);
            self.structure.extend_from_slice(value);
            self.pad();
        }
        for &child in &node.children {
            self.node(nodes, child);
        }
        self.word(END_NODE);
    }

    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    fn pad(&mut self) {
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_tree_byte_by_byte() {
        let mut fdt = FdtWriter::default();
        fdt.reserve(0x1000, 0x20);
        fdt.node("", |fdt| {
            fdt.string("s", "abc")?;
            fdt.node("n@1", |fdt| {
                fdt.cell("s", 7);
                fdt.empty("e");
                Ok(())
            })
        })
        .unwrap();
        let blob = fdt.finish().unwrap();
        let word = |at: usize| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4) as usize, word(20), word(24)), (0xd00d_feed, blob.len(), 17, 16));
        let structure = word(8) as usize;
        assert_eq!(structure, 40 + 32);
        let words: Vec<u32> = (structure..word(12) as usize).step_by(4).map(word).collect();
        let (abc, node) = (0x6162_6300, 0x6e40_3100);
        assert_eq!(words, [1, 0, 3, 4, 0, abc, 1, node, 3, 4, 0, 7, 3, 0, 2, 2, 2, 9]);
        assert_eq!(&blob[word(12) as usize..], b"s\0e\0");
    }

    #[test]
    fn zero_bytes_are_refused() {
        let mut fdt = FdtWriter::default();
        let text = fdt.string("bootargs", "a\0b").unwrap_err().to_string();
        assert!(text.contains("bootargs") && text.contains("a\\0b"), "{text}");
        assert!(fdt.node("a\0", |_| Ok(())).is_err());
    }

    #[test]
    fn every_node_gets_a_number_of_its_own() {
        let mut fdt = FdtWriter::default();
        fdt.node("", |fdt| {
            fdt.node("a", |fdt| fdt.node("b", |_| Ok(())))?;
            fdt.node("c", |fdt| {
                fdt.cell("phandle", 7);
                Ok(())
            })?;
            fdt.node("d", |_| Ok(()))
        })
        .unwrap();
        fdt.number_nodes(0x100);
        let nodes = fdt.into_nodes();
        let numbers: Vec<_> = nodes.iter().map(|node| node.property("phandle").unwrap().last().copied()).collect();
        assert_eq!(numbers, [Some(0), Some(1), Some(2), Some(7), Some(3)]);
        assert_eq!((nodes[0].children.clone(), nodes[1].children.clone()), (vec![1, 3, 4], vec![2]));
    }
}
