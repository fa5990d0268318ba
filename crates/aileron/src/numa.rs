//! `-numa` and `-object memory-backend-*` in QEMU's grammar. What nodes may be is `machine::numa`'s to say.

use crate::values::{hint, key_values, number, size};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use machine::Topology;
use machine::numa::{Numa, NumaOption};
use std::ops::RangeInclusive;

/// What `-numa` and `-object` said, all occurrences together.
#[derive(Debug, Clone, Default)]
pub struct NumaOptions {
    /// Memory backends: id and size in bytes.
    backends: Vec<(String, u64)>,
    /// Each `-numa` as given, for messages, and what it says; nodes name their backends.
    given: Vec<(String, Given)>,
}

#[derive(Debug, Clone)]
enum Given {
    Node { id: Option<u64>, vcpus: Vec<RangeInclusive<u64>>, backend: Option<String> },
    Other(NumaOption),
}

/// Properties of a backend by which memory of the host is chosen: the host does as it likes.
const OF_THE_HOST: [&str; 9] = [
    "prealloc",
    "prealloc-threads",
    "share",
    "merge",
    "dump",
    "policy",
    "host-nodes",
    "reserve",
    "x-use-canonical-path-for-ramblock-id",
];
const NODE_KEYS: [&str; 4] = ["nodeid", "cpus", "memdev", "mem"];

impl NumaOptions {
    /// `-object`. The names of properties that come to nothing are given back.
    ///
    /// # Errors
    /// For objects that are no memory, and those without id or size.
    pub fn add_object(&mut self, text: &str) -> Result<Vec<String>> {
        let mut list = key_values(text).into_iter();
        let (kind, id_size) = match list.next() {
            Some((kind, None)) => (kind, list),
            Some((key, Some(kind))) if key == "qom-type" => (kind, list),
            _ => bail!("expected the type of the object first, such as memory-backend-ram"),
        };
        match kind.as_str() {
            "memory-backend-ram" => {}
            "memory-backend-file" | "memory-backend-memfd" | "memory-backend-epc" | "memory-backend-shm" => {
                bail!("{kind}: guest RAM is anonymous memory; use memory-backend-ram")
            }
            _ => bail!(
                "'{kind}'{}: there are no objects but memory-backend-ram yet",
                hint(&kind, ["memory-backend-ram"])
            ),
        }
        let (mut id, mut bytes, mut ignored) = (None, None, Vec::new());
        for (key, value) in id_size {
            let value = value.with_context(|| format!("'{key}' has no value"))?;
            match key.as_str() {
                "id" => id = Some(value),
                "size" => bytes = Some(size(&value, 1).with_context(|| format!("size={value}"))?),
                known if OF_THE_HOST.contains(&known) => ignored.push(key),
                _ => bail!("unknown property '{key}'{}; known are id, size", hint(&key, ["id", "size"])),
            }
        }
        let id = id.context("Parameter 'id' is missing")?;
        let bytes = bytes.context("Parameter 'size' is missing")?;
        ensure!(bytes > 0, "property 'size' of memory-backend-ram doesn't take value '0'");
        ensure!(!id.is_empty(), "id=: expected a name");
        ensure!(self.backend(&id).is_none(), "Duplicate ID '{id}' for object");
        self.backends.push((id, bytes));
        Ok(ignored)
    }

    /// Size of a backend in bytes.
    pub fn backend(&self, id: &str) -> Option<u64> {
        self.backends.iter().find(|backend| backend.0 == id).map(|backend| backend.1)
    }

    /// `-numa`.
    ///
    /// # Errors
    /// For what is not in the grammar.
    pub fn add(&mut self, text: &str) -> Result<()> {
        let mut list = key_values(text).into_iter();
        let kind = match list.next() {
            Some((kind, None)) => kind,
            Some((key, Some(kind))) if key == "type" => kind,
            _ => bail!("expected node, dist or cpu first"),
        };
        let rest = list
            .map(|(key, value)| {
                let value = value.with_context(|| format!("Invalid parameter '{key}': it has no value"))?;
                Ok((key, value))
            })
            .collect::<Result<Vec<_>>>()?;
        let given = match kind.as_str() {
            "node" => node(&rest)?,
            "dist" => {
                let [from, to, distance] = numbers(&rest, ["src", "dst", "val"])?;
                let need = |value: Option<u64>, name| value.with_context(|| format!("Parameter '{name}' is missing"));
                let (from, to, distance) = (need(from, "src")?, need(to, "dst")?, need(distance, "val")?);
                let distance = u8::try_from(distance)
                    .map_err(|_| anyhow!("val={distance}: Parameter 'val' expects uint8_t, a number up to 255"))?;
                Given::Other(NumaOption::Distance { from, to, distance })
            }
            "cpu" => {
                for (key, _) in &rest {
                    let others = ["socket-id", "thread-id", "die-id", "cluster-id"];
                    ensure!(!others.contains(&key.as_str()), "{key} is not supported: a core has one node");
                }
                let [node, core] = numbers(&rest, ["node-id", "core-id"])?;
                let node = node.context("Missing mandatory node-id property")?;
                Given::Other(NumaOption::Cores { node, core })
            }
            "hmat-lb" | "hmat-cache" => bail!("{kind}: a device tree has no place for it"),
            _ => bail!("unknown type '{kind}'{}; known are node, dist, cpu", hint(&kind, ["node", "dist", "cpu"])),
        };
        self.given.push((text.into(), given));
        Ok(())
    }

    /// The nodes of a machine. The strings are warnings.
    ///
    /// # Errors
    /// With the option that does not fit.
    pub fn resolve(&self, topology: &Topology, ram_bytes: u64) -> Result<(Numa, Vec<String>)> {
        let option = |(text, given): &(String, Given)| match given {
            Given::Other(option) => Ok(option.clone()),
            Given::Node { id, vcpus, backend } => {
                let ram_bytes = match backend {
                    None => 0,
                    Some(id) => self.backend(id).with_context(|| {
                        format!("-numa {text}: memdev={id}: there is no -object memory-backend-ram of that id")
                    })?,
                };
                Ok(NumaOption::Node { id: *id, vcpus: vcpus.clone(), ram_bytes })
            }
        };
        let options = self.given.iter().map(option).collect::<Result<Vec<_>>>()?;
        Numa::new(&options, topology, ram_bytes).map_err(|(index, error)| {
            match index.and_then(|index| self.given.get(index)) {
                Some((text, _)) => anyhow!("-numa {text}: {error}"),
                None => anyhow!("-numa: {error}"),
            }
        })
    }
}

fn node(rest: &[(String, String)]) -> Result<Given> {
    let (mut id, mut vcpus, mut backend) = (None, Vec::new(), None);
    for (key, value) in rest {
        let said = || format!("{key}={value}");
        match key.as_str() {
            "nodeid" => id = Some(number(value).with_context(said)?),
            "memdev" => backend = Some(value.clone()),
            "mem" => bail!("mem={value}: use -object memory-backend-ram,id=ID,size={value} and -numa node,memdev=ID"),
            "cpus" => {
                let (first, last) = value.split_once('-').unwrap_or((value, value));
                let (first, last) = (number(first).with_context(said)?, number(last).with_context(said)?);
                ensure!(first <= last, "cpus={value}: expects a number or a range, such as 0-3");
                vcpus.push(first..=last);
            }
            "initiator" => bail!("initiator: a device tree has no place for it"),
            _ => bail!("Invalid parameter '{key}'{}; known are {}", hint(key, NODE_KEYS), NODE_KEYS.join(", ")),
        }
    }
    Ok(Given::Node { id, vcpus, backend })
}

fn numbers<const N: usize>(rest: &[(String, String)], keys: [&str; N]) -> Result<[Option<u64>; N]> {
    let mut found = [None; N];
    for (key, value) in rest {
        let slot = keys.iter().position(|known| known == key);
        let slot = slot
            .with_context(|| format!("Invalid parameter '{key}'{}; known are {}", hint(key, keys), keys.join(", ")))?;
        found[slot] = Some(number(value).with_context(|| format!("{key}={value}"))?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMP4: Topology = Topology::cores(4);

    fn options(objects: &[&str], numa: &[&str]) -> Result<(Numa, Vec<String>)> {
        let mut options = NumaOptions::default();
        for object in objects {
            assert!(options.add_object(object)?.is_empty());
        }
        numa.iter().try_for_each(|text| options.add(text))?;
        options.resolve(&SMP4, 1 << 30)
    }

    const HALVES: [&str; 2] = ["memory-backend-ram,id=a,size=512M", "memory-backend-ram,id=b,size=512M"];

    #[test]
    fn lines_of_qemu() {
        let (numa, warnings) =
            options(&HALVES, &["node,nodeid=0,cpus=0-1,memdev=a", "node,nodeid=1,cpus=2,cpus=3,memdev=b"]).unwrap();
        assert!(warnings.is_empty() && numa.count() == 2);
        assert_eq!([0, 1, 2, 3].map(|index| numa.node_of(index)), [0, 0, 1, 1]);
        let more = ["node,memdev=a", "node,memdev=b", "cpu,node-id=1,core-id=0", "dist,src=0,dst=1,val=40"];
        let (numa, warnings) = options(&HALVES, &more).unwrap();
        assert_eq!((numa.node_of(0), numa.node_of(3), warnings.len()), (1, 0, 1));
        assert_eq!(numa.distance_tables().1[4..], [10, 40, 40, 10]);
        let one = options(&[], &[]).unwrap().0;
        assert_eq!(one, Numa::one(&SMP4, 1 << 30));
        let mut options = NumaOptions::default();
        let ignored = options.add_object("qom-type=memory-backend-ram,id=x,size=1G,share=on,prealloc=on").unwrap();
        assert_eq!((ignored.len(), options.backend("x"), options.backend("y")), (2, Some(1 << 30), None));
    }

    #[test]
    fn what_is_wrong() {
        for (numa, words) in [
            (&["foo"][..], "unknown type 'foo'"),
            (&["nod"], "did you mean 'node'"),
            (&[""], "unknown type ''"),
            (&["node,foo=1"], "Invalid parameter 'foo'"),
            (&["node,cpus"], "Invalid parameter 'cpus'"),
            (&["node,cpus=x"], "cpus=x: 'x' is not a number"),
            (&["node,cpus=3-1"], "cpus=3-1: expects a number or a range"),
            (&["node,cpus=-1"], "cpus=-1"),
            (&["node,nodeid=x"], "nodeid=x"),
            (&["node,mem=512M"], "memory-backend-ram,id=ID,size=512M"),
            (&["node,memdev=x"], "-numa node,memdev=x: memdev=x: there is no"),
            (&["node,memdev=a,initiator=0"], "initiator"),
            (&["node,memdev=a,cpus=0-9"], "-numa node,memdev=a,cpus=0-9: CPU index (9) should be smaller"),
            (&["node,memdev=a", "dist,src=0,dst=1"], "Parameter 'val' is missing"),
            (&["node,memdev=a", "dist,src=0,dst=0,val=300"], "Parameter 'val' expects uint8_t"),
            (&["node,memdev=a", "dist,src=0,dst=1,val=20"], "-numa dist,src=0,dst=1,val=20: Source/Destination"),
            (&["cpu,core-id=0"], "Missing mandatory node-id"),
            (&["node", "cpu,node-id=0,socket-id=0"], "socket-id is not supported"),
            (&["node", "cpu,node-id=0,foo=0"], "Invalid parameter 'foo'"),
            (&["hmat-lb,initiator=0"], "hmat-lb"),
            (&["node,memdev=a"], "-numa: total memory for NUMA nodes (0x20000000) should equal RAM size (0x40000000)"),
        ] {
            let error = format!("{:#}", options(&HALVES, numa).unwrap_err());
            assert!(error.contains(words), "{numa:?}: {error}");
        }
        for (object, words) in [
            ("memory-backend-ram,size=1G", "Parameter 'id' is missing"),
            ("memory-backend-ram,id=a", "Parameter 'size' is missing"),
            ("memory-backend-ram,id=a,size=0", "doesn't take value '0'"),
            ("memory-backend-ram,id=a,size=much", "size=much"),
            ("memory-backend-ram,id=a,size=1G,foo=1", "unknown property 'foo'"),
            ("memory-backend-file,id=a,size=1G,mem-path=x", "anonymous"),
            ("rng-random,id=a", "no objects but"),
            ("id=a", "expected the type"),
        ] {
            let error = format!("{:#}", options(&[object], &[]).unwrap_err());
            assert!(error.contains(words), "{object}: {error}");
        }
        let error = options(&[HALVES[0], HALVES[0]], &[]).unwrap_err().to_string();
        assert!(error.contains("Duplicate ID 'a' for object"), "{error}");
    }
}
