//! Device trees as guests print them (`AILERON-TREE path value`), and in what two of them differ.

use std::collections::BTreeMap;

/// Values in hexadecimal by path.
pub type Properties = BTreeMap<String, String>;

/// What only firmware has, or what it has elsewhere: places in memory that the guest chose, what is free beside them, and
/// the open console.
pub const OF_FIRMWARE: &[&str] =
    &["/rtas/linux,rtas-base", "/rtas/linux,rtas-entry", "/memory@0/available", "/chosen/stdout"];

/// What QEMU's machine and this one both tell of, and not alike.
///
/// Numbers of nodes, instances and places; hypercalls and facilities that QEMU announces and that are not here (and the
/// other way round); how much memory can be added. The initrd's place Linux writes down in two cells, which QEMU's
/// negotiation overwrites with one.
pub const NOT_AS_QEMU: &[&str] = &[
    "*/phandle",
    "*/ibm,pa-features",
    "/chosen/stdout",
    "/chosen/linux,initrd-start",
    "/chosen/linux,initrd-end",
    "/memory@0/available",
    "/rtas/linux,rtas-base",
    "/rtas/linux,rtas-entry",
    "/rtas/ibm,hypertas-functions",
    "/rtas/ibm,lrdr-capacity",
];

/// The tree on a console.
pub fn printed(console: &str) -> Properties {
    let lines = console.lines().filter_map(|line| line.split_once("AILERON-TREE "));
    lines.map(|(_, line)| line.split_once(' ').unwrap_or((line, ""))).map(|(a, b)| (a.into(), b.into())).collect()
}

/// What the kernel tells of processors and memory on a console (test `topology`).
pub fn topology(console: &str) -> Vec<&str> {
    let lines = console.lines().filter_map(|line| line.split_once("AILERON-TOPOLOGY "));
    lines.map(|(_, line)| line.trim_end()).collect()
}

/// Properties that only one has or whose values differ, but for those named in `but`; a name that begins with `*` is one
/// wherever it stands.
pub fn differences(one: &Properties, other: &Properties, but: &[&str]) -> Vec<String> {
    let excepted =
        |path: &str| but.iter().any(|name| name.strip_prefix('*').map_or(*name == path, |name| path.ends_with(name)));
    let paths = one.keys().chain(other.keys().filter(|path| !one.contains_key(*path)));
    let differing = paths.filter(|path| one.get(*path) != other.get(*path) && !excepted(path));
    let value =
        |tree: &Properties, path: &str| tree.get(path).map_or("nothing".to_owned(), |value| format!("<{value}>"));
    differing.map(|path| format!("{path}: {}, {}", value(one, path), value(other, path))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told() {
        let one =
            printed("AILERON-TREE /a 00\r\nx\n[1.0] AILERON-TREE /b 0102\nAILERON-TREE /c \nAILERON-TREE /n/phandle 1");
        assert_eq!(one["/c"], "");
        let other = printed("AILERON-TREE /b 03\nAILERON-TREE /a 00\nAILERON-TREE /d 04\nAILERON-TREE /n/phandle 2");
        let told = differences(&one, &other, &["*/phandle"]);
        assert_eq!(told, ["/b: <0102>, <03>", "/c: <>, nothing", "/d: nothing, <04>"]);
        assert_eq!(differences(&one, &other, &["/b", "/c", "/d"]), ["/n/phandle: <1>, <2>"]);
        assert!(differences(&one, &one, &[]).is_empty());
    }
}
