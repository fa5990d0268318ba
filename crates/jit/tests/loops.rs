//! Which blocks of a region come again, and what is kept around them.

mod source;

use jit::loops::{Loops, Registers, Stream, stream};
use jit::region::{self, Region};
use source::{AT, LITTLE, source};

fn found(lines: &str) -> (Region, Loops) {
    let region = region::find(&source(lines, LITTLE, false)).expect("there is code");
    let loops = Loops::find(&region);
    (region, loops)
}

fn gpr<const N: usize>(numbers: [u32; N]) -> u32 {
    numbers.iter().fold(0, |set, n| set | 1 << n)
}

/// Offset of a line.
fn line(n: u16) -> u16 {
    AT + 4 * n
}

#[test]
fn a_loop_keeps_what_it_reads_and_writes() {
    // A checksum by a table: r4 goes along the text, r6 is looked up.
    let (region, loops) = found(
        "addi r4,r4,-1
         lbzu r5,1(r4)
         xor r5,r5,r3
         rldicl r5,r5,0,56
         rldicr r5,r5,2,61
         lwzx r6,r7,r5
         xor r3,r6,r3
         bc 16,0,.-24
         bclr 20,0,0",
    );
    assert!(!loops.comes_again(AT) && loops.comes_again(line(1)) && !loops.comes_again(line(8)));
    let kept = loops.kept(line(1));
    assert_eq!(kept, Registers { gpr: gpr([3, 4, 5, 6, 7]), ctr: true });
    assert_eq!(loops.kept(AT), Registers::default());
    let (_, inner) = loops.innermost_of(line(1)).expect("it is innermost");
    // The table's address depends on what was loaded.
    assert_eq!(inner.streams.iter().copied().collect::<Vec<_>>(), [Stream { ra: 4, rb: 32 }]);
    // All that it writes may differ from the state where it comes again; r7 does not.
    assert_eq!(loops.dirty(line(1)), Registers { gpr: gpr([3, 4, 5, 6]), ctr: true });
    let table = region.blocks[&line(1)].places.iter().filter_map(stream).next_back();
    assert_eq!(table, Some(Stream { ra: 7, rb: 5 }));
}

#[test]
fn only_the_innermost_loop_keeps_what_it_writes_out_of_the_state() {
    let (_, loops) = found(
        "addi r3,r3,1
         addi r4,r4,2
         cmpi cr0,1,r4,100
         bc 12,0,.-8
         addi r5,r5,3
         cmpi cr0,1,r5,100
         bc 12,0,.-24
         bclr 20,0,0",
    );
    let (outer, inner, behind) = (AT, line(1), line(4));
    assert!(loops.same_cycle(outer, inner) && loops.same_cycle(inner, behind));
    assert!(loops.innermost_of(outer).is_none() && loops.innermost_of(behind).is_none());
    assert!(loops.innermost_of(inner).is_some());
    // The variables go around both.
    assert_eq!(loops.kept(outer), Registers { gpr: gpr([3, 4, 5]), ctr: false });
    assert_eq!(loops.dirty(inner), Registers { gpr: gpr([4]), ctr: false });
    assert_eq!(loops.dirty(behind), Registers::default());
}

#[test]
fn what_a_way_through_a_loop_writes_is_dirty_behind_it() {
    let (_, loops) = found(
        "cmpi cr0,1,r3,0
         bc 12,2,.+20
         ldx r6,r5,r3
         std r6,0(r7)
         addi r4,r4,1
         b .+8
         addi r8,r8,1
         addi r3,r3,-1
         cmpi cr0,1,r3,7
         bc 4,2,.-36
         bclr 20,0,0",
    );
    let all = Registers { gpr: gpr([3, 4, 6, 8]), ctr: false };
    assert_eq!(loops.dirty(AT), all);
    assert_eq!(loops.dirty(line(7)), all);
}

#[test]
fn a_loop_may_have_two_ways_in() {
    // From the first line into the middle, and along the line to its head.
    let text = "bc 12,2,.+12
         addi r3,r3,1
         ld r6,0(r3)
         addi r4,r4,1
         ld r7,0(r4)
         bc 16,0,.-16
         bclr 20,0,0";
    let all = Registers { gpr: gpr([3, 4, 6, 7]), ctr: true };
    let (_, loops) = found(text);
    assert!(loops.innermost_of(AT).is_none() && loops.innermost_of(line(6)).is_none());
    for at in [line(1), line(3)] {
        assert_eq!(loops.innermost_of(at).map(|(n, l)| (n, l.streams.len())), Some((0, 2)));
        assert_eq!((loops.kept(at), loops.dirty(at)), (all, all));
    }
    // Entered in its middle, by the region's own beginning and from an outer loop.
    let mut source = source(
        "addi r5,r5,1
         addi r3,r3,1
         bc 12,2,.+8
         addi r4,r4,1
         ld r7,0(r4)
         bc 16,0,.-16
         cmpi cr0,1,r5,100
         bc 12,0,.-28
         bclr 20,0,0",
        LITTLE,
        false,
    );
    source.key.offset = line(3);
    let loops = Loops::find(&region::find(&source).expect("there is code"));
    assert!(loops.innermost_of(line(3)).is_some() && loops.innermost_of(line(1)).is_some());
    assert!(loops.same_cycle(line(3), AT) && loops.innermost_of(AT).is_none());
}

#[test]
fn returns_within_a_region_are_ways_in() {
    // A function that calls itself.
    let (region, _) = found(
        "cmpi cr0,1,r3,0
         bc 12,2,.+16
         addi r3,r3,-1
         bl .-12
         addi r4,r4,1
         bclr 20,0,0",
    );
    assert_eq!(region.returns, [line(4)]);
    assert_eq!(region.blocks[&line(4)].ways_in, 1, "nothing but the return leads there");
    assert!(region.blocks.contains_key(&line(5)));
}

/// Where a branch goes around something, that is computed all the same only if it computes general registers and does
/// nothing else.
#[test]
fn what_is_branched_around_is_not_done() {
    for (around, computed) in [
        ("addi r12,r12,1", true),
        ("mfspr r12,26", true),
        // SRR0, PPR, and MSR[EE].
        ("mtspr 26,r12", false),
        ("mtspr 896,r12", false),
        ("mtmsrd r12,1", false),
        ("sync 1,0", false),
        ("isync", false),
        ("dcbz r0,r12", false),
        ("std r12,0(r3)", false),
        ("mtspr 8,r12", false),
    ] {
        let (region, _) = found(&format!("cmpi cr0,1,r12,0\nbc 12,2,.+8\n{around}\naddi r3,r3,1\nbclr 20,0,0"));
        assert_eq!(!region.blocks.contains_key(&line(2)), computed, "{around}");
    }
}
