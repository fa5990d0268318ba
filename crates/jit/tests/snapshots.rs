//! What typical guest code becomes: the properties of its code that matter, counted, not its text.

mod source;

use jit::compile::Compiler;
use source::{AT, LITTLE, source};
use std::collections::{BTreeMap, BTreeSet};
use vcpu::context::mode;

/// A region's Cranelift code, in blocks.
struct Code {
    text: String,
    blocks: BTreeMap<String, Vec<String>>,
}

impl Code {
    fn of(lines: &str, mode: u32, exact: bool) -> Code {
        let text = Compiler::new().unwrap().clif(&source(lines, mode, exact)).unwrap();
        let mut blocks: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut name = String::new();
        for line in text.lines() {
            if line.starts_with("block") {
                name = block_names(line).swap_remove(0);
                blocks.entry(name.clone()).or_default();
            } else if let Some(lines) = blocks.get_mut(&name) {
                lines.push(line.trim().to_string());
            }
        }
        Code { text, blocks }
    }

    /// How this alias region is written.
    fn region(&self, name: &str) -> String {
        let line = self.text.lines().find(|l| l.ends_with(&format!("\"{name}\""))).expect("the region exists");
        format!(" {} ", line.split('=').next().unwrap().trim())
    }

    fn lines(&self) -> impl Iterator<Item = &String> {
        self.blocks.values().flatten()
    }

    /// Accesses to an alias region: loads, and stores.
    fn accesses(&self, region: &str) -> (usize, usize) {
        let region = self.region(region);
        let of = |store: bool| self.lines().filter(|l| l.contains(&region) && is_store(l) == store).count();
        (of(false), of(true))
    }

    /// A look-up in the TLB reads a tag and an addend.
    fn look_ups(&self) -> usize {
        let (loads, stores) = self.accesses("tlb");
        assert_eq!((loads % 2, stores), (0, 0), "{}", self.text);
        loads / 2
    }

    fn successors(&self, block: &str) -> Vec<String> {
        let last = self.blocks[block].iter().filter(|l| l.starts_with("brif") || l.starts_with("jump"));
        last.flat_map(|l| block_names(l)).collect()
    }

    /// The blocks that can come again, if none goes through blocks that `cut` says.
    fn loops(&self, cut: impl Fn(&[String]) -> bool) -> Vec<&String> {
        let again = |start: &String| {
            let mut seen = BTreeSet::new();
            let mut work = vec![start.clone()];
            while let Some(b) = work.pop() {
                if cut(&self.blocks[&b]) {
                    continue;
                }
                for next in self.successors(&b) {
                    if next == *start {
                        return true;
                    }
                    if seen.insert(next.clone()) {
                        work.push(next);
                    }
                }
            }
            false
        };
        self.blocks.keys().filter(|b| again(b)).collect()
    }

    /// There is a loop, and each reads the pending word anew.
    fn assert_loops_poll(&self) {
        let mail = self.region("mail");
        let polls = |lines: &[String]| {
            let read = lines.iter().position(|l| l.contains(" load") && l.contains(&mail));
            let fence = lines.iter().position(|l| l.starts_with("sequence_point"));
            matches!((fence, read), (Some(fence), Some(read)) if fence < read)
        };
        assert!(!self.loops(|_| false).is_empty(), "no loop: {}", self.text);
        assert_eq!(self.loops(polls), Vec::<&String>::new(), "a loop that nothing ends: {}", self.text);
    }

    /// Lines of all blocks that can come again.
    fn looped(&self) -> Vec<&String> {
        self.loops(|_| false).into_iter().flat_map(|b| &self.blocks[b]).collect()
    }
}

fn is_store(line: &str) -> bool {
    line.starts_with("store") || line.starts_with("istore")
}

fn block_names(line: &str) -> Vec<String> {
    let parts = line.split(|c: char| !c.is_ascii_alphanumeric());
    parts.filter(|p| p.strip_prefix("block").is_some_and(|n| n.parse::<u32>().is_ok())).map(Into::into).collect()
}

#[test]
fn a_light_barrier_stands_between_two_loads_of_one_word() {
    // A reader of a sequence lock.
    let text = "lwz r3,0(r4)
                sync 1,0
                ld r5,8(r4)
                sync 1,0
                lwz r6,0(r4)
                cmp cr0,0,r3,r6
                bc 4,2,.-24
                bclr 20,0,0";
    for mode in [LITTLE, LITTLE & !mode::LE, LITTLE | mode::PR] {
        let c = Code::of(text, mode, false);
        assert_eq!(c.accesses("guest"), (3, 0), "{}", c.text);
        // In the order of the text: the loads and the barriers take turns.
        let guest = c.region("guest");
        let load = |l: &&str| l.contains(" load") && l.contains(&guest) || l.contains("uload") && l.contains(&guest);
        let order: Vec<bool> = c
            .text
            .lines()
            .filter(|l| load(l) || l.contains("sequence_point"))
            .map(|l| load(&l))
            .skip_while(|load| !load)
            .take(5)
            .collect();
        assert_eq!(order, [true, false, true, false, true], "{}", c.text);
        c.assert_loops_poll();
    }
}

#[test]
fn a_full_barrier_is_a_locked_operation() {
    let c = Code::of("std r3,0(r4)\nsync 0,0\nld r5,0(r6)\nbclr 20,0,0", LITTLE, false);
    let at = |what: &str| c.text.find(what).unwrap_or_else(|| panic!("no {what}: {}", c.text));
    let store = format!("notrap {} v", c.region("guest").trim());
    assert!(at("atomic_rmw") > at(&store), "{}", c.text);
    assert_eq!(c.accesses("guest"), (1, 1), "{}", c.text);
}

#[test]
fn a_spin_loop_loads_and_polls_each_time() {
    for counts in [false, true] {
        let c = Code::of("lwz r3,0(r4)\ncmpi cr0,0,r3,0\nbc 4,2,.-8\nbclr 20,0,0", LITTLE, counts);
        c.assert_loops_poll();
        let guest = c.region("guest");
        assert_eq!(c.looped().iter().filter(|l| l.contains(&guest)).count(), 1, "{}", c.text);
    }
}

#[test]
fn a_branch_to_itself_polls() {
    for counts in [false, true] {
        let c = Code::of("b .+0", LITTLE, counts);
        c.assert_loops_poll();
    }
    // Around two blocks, none of which leads back to itself.
    let c = Code::of("b .+8\nb .+8\nb .-4\nb .-12", LITTLE, false);
    c.assert_loops_poll();
}

#[test]
fn a_counted_loop_keeps_its_count() {
    let c = Code::of("addi r3,r3,1\nbc 16,0,.-4\nbclr 20,0,0", LITTLE, false);
    c.assert_loops_poll();
    for offset in [jit::emit::CTR, jit::emit::gpr_offset(3)] {
        let reads = |l: &&String| l.contains("load") && l.ends_with(&format!("+{offset}"));
        assert_eq!(c.looped().into_iter().filter(reads).count(), 0, "read from the state in the loop: {}", c.text);
    }
    assert_eq!(c.accesses("guest"), (0, 0));
}

#[test]
fn a_prologue_looks_its_frame_up_once() {
    let text = "std r0,16(r1)
                std r30,-16(r1)
                std r31,-8(r1)
                stdu r1,-112(r1)
                std r3,32(r1)
                ld r4,40(r1)
                bclr 20,0,0";
    let c = Code::of(text, LITTLE, false);
    assert_eq!(c.look_ups(), 1, "{}", c.text);
    assert_eq!(c.accesses("guest"), (1, 5), "{}", c.text);
    // Two registers, one access each.
    let c = Code::of("ld r5,0(r3)\nld r6,0(r4)\nbclr 20,0,0", LITTLE, false);
    assert_eq!(c.look_ups(), 2, "{}", c.text);
}

#[test]
fn a_barrier_ends_what_is_looked_up_together() {
    let c = Code::of("ld r5,0(r3)\nsync 0,0\nld r6,8(r3)\nbclr 20,0,0", LITTLE, false);
    assert_eq!(c.look_ups(), 2, "{}", c.text);
}

#[test]
fn a_short_branch_forward_becomes_a_selection() {
    let text = "cmp cr0,1,r3,r4\nbc 12,0,.+12\naddi r5,r5,1\nor r6,r5,r5\nadd r7,r6,r5\nbclr 20,0,0";
    // Two registers, the place of the branch, and the count where there is one.
    for (counts, selections) in [(false, 3), (true, 4)] {
        let c = Code::of(text, LITTLE, counts);
        assert_eq!(c.lines().filter(|l| l.contains("select ")).count(), selections, "{}", c.text);
    }
}

#[test]
fn a_comparison_is_the_condition_of_its_branch() {
    // More than what would be computed in vain rather than branched around.
    const FOUR: &str = "addi r5,r5,1\naddi r5,r5,1\naddi r5,r5,1\naddi r5,r5,1\n";
    for (compare, bit) in
        [("cmp cr0,1,r3,r4", 0), ("cmpl cr0,0,r3,r4", 1), ("cmpi cr0,1,r3,7", 2), ("addic. r3,r3,1", 2)]
    {
        let c = Code::of(&format!("{compare}\nbc 12,{bit},.+20\n{FOUR}bclr 20,0,0"), LITTLE, false);
        assert!(!c.text.contains("select"), "{compare}: {}", c.text);
        assert!(!c.lines().any(|l| l.starts_with("call_indirect")), "{compare}: {}", c.text);
        // Each condition is compared right before: no bit is taken out of a field.
        // (A poll asks other things: its blocks read words of 32 bits.)
        let asks = c.blocks.values().filter(|lines| !lines.iter().any(|l| l.contains("load.i32")));
        for line in asks.flatten().filter_map(|l| l.strip_prefix("brif ")) {
            let v = line.split([',', ' ']).next().unwrap().trim_end_matches(".i8");
            let made = c.lines().find(|l| l.starts_with(&format!("{v} = "))).expect("it is made somewhere");
            assert!(made.contains("icmp"), "{compare}: {made} in {}", c.text);
        }
        assert!(!c.text.contains("uload8"), "{compare}: {}", c.text);
    }
}

#[test]
fn machine_code_has_the_form_that_the_arena_takes() {
    let mut compiler = Compiler::new().unwrap();
    for (text, links) in [("addi r3,r3,1\nb .-4", 0), ("addi r3,r3,1\nb .+64", 1), ("bclr 20,0,0", 0)] {
        let blob = compiler.compile(&source(text, LITTLE, false)).unwrap();
        assert_eq!(blob.links.len(), links, "{text}");
        for l in &blob.links {
            // The distance can be replaced while others run it.
            assert!(l.rel32 % 8 <= 4, "{text}: {l:?}");
            let at = l.rel32 as usize;
            let distance = i32::from_le_bytes(blob.code[at..at + 4].try_into().unwrap());
            assert_eq!(i64::from(l.rel32) + 4 + i64::from(distance), i64::from(l.thunk), "it leads to its thunk");
        }
        assert!(blob.code.len() < 512, "{text}: {} bytes", blob.code.len());
        assert_eq!(blob.spans, [(AT, 4 * text.lines().count() as u16)]);
    }
}
