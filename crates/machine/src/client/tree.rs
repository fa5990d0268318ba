//! The device tree as a client sees it: nodes by phandle and path, properties by name.

use crate::fdt_writer::Node;
use std::collections::BTreeMap;

/// The live tree. There is a root at least.
#[derive(Debug, Default)]
pub(super) struct LiveTree {
    nodes: Vec<Node>,
    /// Index of the node with a phandle.
    phandles: BTreeMap<u32, usize>,
}

/// The value of one cell.
fn cell(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

impl LiveTree {
    /// A tree of these nodes, each with a property `phandle`.
    pub fn new(nodes: Vec<Node>) -> LiveTree {
        let phandle = |(index, node): (usize, &Node)| Some((cell(node.property("phandle")?)?, index));
        let phandles = nodes.iter().enumerate().filter_map(phandle).collect();
        LiveTree { nodes, phandles }
    }

    /// The nodes, the root first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this phandle.
    pub fn node(&self, phandle: u32) -> Option<&Node> {
        self.nodes.get(*self.phandles.get(&phandle)?)
    }

    fn phandle_of(&self, index: usize) -> Option<u32> {
        cell(self.nodes.get(index)?.property("phandle")?)
    }

    /// A node's parent. The root has none.
    pub fn parent(&self, phandle: u32) -> Option<u32> {
        let index = *self.phandles.get(&phandle)?;
        self.phandle_of(self.nodes[index].parent).filter(|_| index != 0)
    }

    /// A node's first child.
    pub fn child(&self, phandle: u32) -> Option<u32> {
        self.phandle_of(*self.node(phandle)?.children.first()?)
    }

    /// The next child of a node's parent; of number 0 it is the root.
    pub fn peer(&self, phandle: u32) -> Option<u32> {
        if phandle == 0 {
            return self.phandle_of(0);
        }
        let index = *self.phandles.get(&phandle)?;
        let mut siblings = self.nodes[self.nodes[index].parent].children.iter();
        siblings.find(|sibling| **sibling == index)?;
        self.phandle_of(*siblings.next()?)
    }

    /// The node at a path: names with their unit address, or without where that is enough; what is behind a colon is the
    /// node's own business.
    pub fn find(&self, path: &str) -> Option<u32> {
        let mut index = 0;
        for name in path.strip_prefix('/')?.split('/').filter(|name| !name.is_empty()) {
            let name = name.split_once(':').map_or(name, |(name, _)| name);
            let children = || self.nodes[index].children.iter().copied();
            let named = |child: &usize| self.nodes[*child].name.eq_ignore_ascii_case(name);
            let without_unit = |child: &usize| short_name(&self.nodes[*child]) == name;
            index = children().find(named).or_else(|| children().find(without_unit))?;
        }
        self.phandle_of(index)
    }

    /// Path of a node.
    pub fn path(&self, phandle: u32) -> Option<String> {
        let mut index = *self.phandles.get(&phandle)?;
        let mut path = String::new();
        while index != 0 {
            path = format!("/{}{path}", self.nodes[index].name);
            index = self.nodes[index].parent;
        }
        Some(if path.is_empty() { "/".into() } else { path })
    }

    /// The value of a property. Every node has a name, which is without the unit address.
    pub fn property(&self, phandle: u32, name: &str) -> Option<Vec<u8>> {
        let node = self.node(phandle)?;
        match node.property(name) {
            Some(value) => Some(value.to_vec()),
            None if name == "name" => Some([short_name(node).as_bytes(), &[0]].concat()),
            None => None,
        }
    }

    /// The name of the property behind `previous`, or of the first if that is empty. `Some(None)`: there are no more;
    /// `None`: there is no such node or property.
    pub fn next_property(&self, phandle: u32, previous: &str) -> Option<Option<&str>> {
        let mut names = self.node(phandle)?.properties.iter().map(|(name, _)| name.as_str());
        if !previous.is_empty() {
            names.find(|name| *name == previous)?;
        }
        Some(names.next())
    }

    /// Gives a property a value. False when there is no such node.
    pub fn set_property(&mut self, phandle: u32, name: &str, value: &[u8]) -> bool {
        let node = self.phandles.get(&phandle).and_then(|&index| self.nodes.get_mut(index));
        node.map(|node| node.set_property(name, value)).is_some()
    }
}

/// A node's name without its unit address.
fn short_name(node: &Node) -> &str {
    node.name.split_once('@').map_or(&node.name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fdt_writer::FdtWriter;

    fn tree() -> LiveTree {
        let mut fdt = FdtWriter::default();
        fdt.node("", |fdt| {
            fdt.cell("a", 1);
            fdt.cell("b", 2);
            fdt.node("bus", |fdt| {
                fdt.node("vty@7100000a", |_| Ok(()))?;
                fdt.node("vty@71000001", |_| Ok(()))
            })?;
            fdt.node("memory@0", |_| Ok(()))
        })
        .unwrap();
        fdt.number_nodes(10);
        LiveTree::new(fdt.into_nodes())
    }

    #[test]
    fn the_way_through_the_tree() {
        let tree = tree();
        assert_eq!((tree.peer(0), tree.child(10), tree.peer(11), tree.peer(14)), (Some(10), Some(11), Some(14), None));
        assert_eq!((tree.child(11), tree.peer(12), tree.peer(13), tree.child(13)), (Some(12), Some(13), None, None));
        assert_eq!(
            (tree.parent(10), tree.parent(11), tree.parent(13), tree.peer(10)),
            (None, Some(10), Some(11), None)
        );
        for wild in [1, 9, 15, u32::MAX] {
            assert_eq!(
                (tree.parent(wild), tree.child(wild), tree.peer(wild), tree.path(wild)),
                (None, None, None, None)
            );
        }
        let paths: Vec<_> = (10..15).map(|phandle| tree.path(phandle).unwrap()).collect();
        assert_eq!(paths, ["/", "/bus", "/bus/vty@7100000a", "/bus/vty@71000001", "/memory@0"]);
        assert!((10..15).all(|phandle| tree.find(&paths[phandle as usize - 10]) == Some(phandle)));
        for (path, found) in [
            ("/memory", Some(14)),
            ("/bus/vty", Some(12)),
            ("/bus/vty@7100000A:9600", Some(12)),
            ("//bus/", Some(11)),
            ("", None),
            ("bus", None),
            ("/bus/vty@7", None),
            ("/bus/vty@7100000a/x", None),
        ] {
            assert_eq!(tree.find(path), found, "{path}");
        }
    }

    #[test]
    fn properties() {
        let mut tree = tree();
        assert_eq!(tree.next_property(10, ""), Some(Some("a")));
        assert_eq!(tree.next_property(10, "a"), Some(Some("b")));
        assert_eq!(tree.next_property(10, "phandle"), Some(None));
        assert_eq!((tree.next_property(10, "c"), tree.next_property(99, "")), (None, None));
        assert_eq!(tree.property(12, "name").unwrap(), b"vty\0");
        assert_eq!(tree.property(10, "name").unwrap(), b"\0");
        assert!(tree.set_property(12, "new", b"x") && !tree.set_property(99, "new", b"x"));
        assert_eq!((tree.property(12, "new").unwrap(), tree.property(13, "new")), (b"x".to_vec(), None));
    }
}
