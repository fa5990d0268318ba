use super::*;

const GIB: u64 = 1 << 30;
const SMP4: Topology = Topology::cores(4);

fn node(id: Option<u64>, vcpus: &[RangeInclusive<u64>], mib: u64) -> NumaOption {
    NumaOption::Node { id, vcpus: vcpus.to_vec(), ram_bytes: mib << 20 }
}

fn distance(from: u64, to: u64, distance: u8) -> NumaOption {
    NumaOption::Distance { from, to, distance }
}

fn numa(options: &[NumaOption]) -> Numa {
    let (numa, warnings) = Numa::new(options, &SMP4, GIB).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    numa
}

/// Two nodes with two vCPUs each, of 768 and 256 MiB.
fn two() -> Vec<NumaOption> {
    vec![node(None, &[0..=1], 768), node(None, &[2..=3], 256)]
}

#[test]
fn two_nodes_as_qemu_tells_of_them() {
    let numa = numa(&two());
    assert_eq!([0, 1, 2, 3].map(|index| numa.node_of(index)), [0, 0, 1, 1]);
    assert_eq!(numa.memory(), [(0, 0, 512 << 20), (0, 512 << 20, 256 << 20), (1, 768 << 20, 256 << 20)]);
    assert_eq!(numa.first_bytes(), 512 << 20);
    let form2 = Affinity::Form2;
    assert_eq!(numa.memory_associativity(form2, 1), [1, 1]);
    assert_eq!(numa.vcpu_domains(form2, 2, 16), [1, 16]);
    assert_eq!(numa.reference_points(form2), (vec![1], vec![1, 2]));
    assert_eq!(numa.distance_tables(), (vec![2, 0, 1], vec![0, 0, 0, 4, 10, 20, 20, 10]));
    let form1 = Affinity::Form1;
    assert_eq!(numa.memory_associativity(form1, 0), [4, 0, 0, 0, 0]);
    // A distance of 20: all levels but the node itself are shared.
    assert_eq!(numa.memory_associativity(form1, 1), [4, 0, 0, 0, 1]);
    assert_eq!(numa.vcpu_domains(form1, 3, 3), [0, 0, 0, 1, 3]);
    assert_eq!(numa.reference_points(form1), (vec![4, 3, 2, 1], vec![4, 2, 2, 2, 2]));
}

#[test]
fn one_node_is_what_there_is_without_options() {
    let numa = Numa::new(&[], &SMP4, 5 << 28).unwrap().0;
    assert_eq!(numa, Numa::one(&SMP4, 5 << 28));
    assert_eq!(numa.memory(), [(0, 0, GIB), (0, GIB, 1 << 28)]);
    assert_eq!(numa.reference_points(Affinity::Form1), (vec![4, 4, 2], vec![4, 0, 0, 0, 1]));
    assert_eq!(numa.vcpu_domains(Affinity::Form1, 3, 3), [0, 0, 0, 0, 3]);
    assert_eq!(numa.distance_tables(), (vec![1, 0], vec![0, 0, 0, 1, 10]));
    // Any size comes in pieces, and nothing of it is lost.
    for bytes in [1 << 16, 3 << 16, 0x1234_0000, (7 << 30) + (1 << 16)] {
        let pieces = Numa::one(&SMP4, bytes).memory();
        assert_eq!(pieces.iter().map(|piece| piece.2).sum::<u64>(), bytes);
        assert!(pieces.iter().all(|(_, at, size)| size.is_power_of_two() && at % size == 0));
    }
}

/// As Linux reads them (`__node_distance`): doubled for each level that differs.
#[test]
fn form1_tells_distances_in_powers_of_two() {
    for (said, read) in [(10, 10), (11, 20), (30, 20), (31, 40), (60, 40), (61, 80), (120, 80), (121, 160), (255, 160)]
    {
        let mut options = two();
        options.push(distance(0, 1, said));
        let numa = numa(&options);
        let [one, other] = [0, 1].map(|node| numa.memory_associativity(Affinity::Form1, node));
        let differ = (1..=LEVELS).rev().take_while(|level| one[*level] != other[*level]).count();
        assert_eq!(10 << differ, read, "{said}");
        assert_eq!(numa.distance_tables().1[4..], [10, said, said, 10]);
    }
    // Three nodes: 0 and 1 are near, 2 is far from both.
    let mut options = vec![node(None, &[0..=0], 256), node(None, &[1..=1], 256), node(None, &[2..=3], 512)];
    options.extend([distance(0, 1, 20), distance(0, 2, 80), distance(2, 1, 80)]);
    let numa = numa(&options);
    let lists = [0, 1, 2].map(|node| numa.memory_associativity(Affinity::Form1, node));
    assert_eq!(lists, [[4, 0, 0, 0, 0], [4, 0, 0, 0, 1], [4, 0, 2, 2, 2]]);
}

#[test]
fn cores_find_their_nodes() {
    let smt = Topology { vcpus: 8, max_vcpus: 8, cores: 2, threads: 2, vsmt: 2 };
    let place = |options: &[NumaOption]| {
        let (numa, warnings) = Numa::new(options, &smt, GIB).unwrap();
        ((0..8).map(|index| numa.node_of(index)).collect::<Vec<_>>(), warnings.len())
    };
    let empty = [node(None, &[], 512), node(None, &[], 512)];
    // Sockets in turn.
    assert_eq!(place(&empty), (vec![0, 0, 0, 0, 1, 1, 1, 1], 0));
    // A thread takes its core along, and what nothing is said of belongs to node 0.
    assert_eq!(place(&[empty[0].clone(), node(None, &[3..=3], 512)]), (vec![0, 0, 1, 1, 0, 0, 0, 0], 1));
    let core = |node, core| NumaOption::Cores { node, core };
    let all = [empty[0].clone(), empty[1].clone(), core(1, None)];
    assert_eq!(place(&all), (vec![1; 8], 0));
    let some = [empty[0].clone(), empty[1].clone(), core(1, Some(6)), core(1, Some(6)), core(0, Some(0))];
    assert_eq!(place(&some), (vec![0, 0, 0, 0, 0, 0, 1, 1], 1));
    let error = |option: NumaOption| {
        let options = [empty[0].clone(), node(None, &[0..=1], 512), option];
        Numa::new(&options, &smt, GIB).unwrap_err()
    };
    assert_eq!(error(core(1, Some(1))), (Some(2), NumaError::NoCore { core: 1, threads: 2 }));
    assert_eq!(error(core(1, Some(8))), (Some(2), NumaError::NoCore { core: 8, threads: 2 }));
    assert_eq!(error(core(0, Some(0))), (Some(2), NumaError::Assigned(1)));
    assert_eq!(error(core(2, Some(0))), (Some(2), NumaError::NoNodeForCores(2)));
}

/// Each in the words of `qemu-system-ppc64`, which were read from it.
#[test]
fn what_does_not_go_together() {
    let with = |more: &[NumaOption]| {
        let options = [two(), more.to_vec()].concat();
        Numa::new(&options, &SMP4, GIB).unwrap_err().1.to_string()
    };
    let alone = |options: &[NumaOption]| Numa::new(options, &SMP4, GIB).unwrap_err().1.to_string();
    for (said, words) in [
        (with(&[node(Some(1), &[], 0)]), "Duplicate NUMA nodeid: 1"),
        (with(&[node(Some(128), &[], 0)]), "Max number of NUMA nodes reached: 128"),
        (with(&[node(Some(u64::MAX), &[], 0)]), "Max number of NUMA nodes"),
        (with(&[node(Some(5), &[], 0)]), "Node ID missing: 2"),
        (with(&[node(None, &[3..=3], 0)]), "CPU is already assigned to node-id: 1"),
        (with(&[node(None, &[2..=9], 0)]), "CPU index (9) should be smaller than maxcpus (4)"),
        (with(&[node(None, &[0..=u64::MAX], 0)]), "should be smaller than maxcpus"),
        (with(&[node(None, &[], 256)]), "total memory for NUMA nodes (0x50000000) should equal RAM size (0x40000000)"),
        (with(&[node(None, &[], u64::MAX >> 20)]), "total memory for NUMA nodes"),
        (
            alone(&[node(None, &[], 1000), node(None, &[], 24)]),
            "Node 0 memory size 0x3e800000 is not aligned to 256 MiB",
        ),
        (alone(&[distance(0, 0, 10)]), "Source/Destination NUMA node is missing"),
        (with(&[distance(0, 2, 20)]), "Source/Destination NUMA node is missing"),
        (with(&[distance(0, 1, 9)]), "NUMA distance (9) is invalid, it shouldn't be less than 10."),
        (with(&[distance(1, 1, 20)]), "Local distance of node 1 should be 10."),
        (with(&[node(None, &[], 0), distance(0, 1, 20)]), "The distance between node 0 and 2 is missing"),
        (
            with(&[node(None, &[], 0), distance(0, 1, 20), distance(1, 0, 30), distance(0, 2, 30), distance(1, 2, 30)]),
            "At least one asymmetrical pair of distances is given",
        ),
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn form1_cannot_tell_everything() {
    let (form1, form2) = (Affinity::Form1, Affinity::Form2);
    assert_eq!(numa(&two()).check(form1, 4), Ok(()));
    let mut options = two();
    options.extend([distance(0, 1, 20), distance(1, 0, 40)]);
    let crooked = numa(&options);
    assert_eq!((crooked.check(form1, 4), crooked.check(form2, 4)), (Err(NumaError::Form1Asymmetrical), Ok(())));
    let mut options = two();
    options.push(node(None, &[], 0));
    let empty = numa(&options);
    assert_eq!((empty.check(form1, 4), empty.check(form2, 4)), (Err(NumaError::Form1Empty(2)), Ok(())));
}
