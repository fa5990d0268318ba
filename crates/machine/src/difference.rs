//! What is said of two machines in lockstep that differ.

use cpu::State;
use cpu::bits::msr;
use isa::{Field, Insn, IsaLevel, Op};
use memory::{Memory, PAGE_OFFSET, PAGE_SIZE};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use vcpu::Vcpu;

/// Instructions of the piece that are shown at most.
const SHOWN_INSTRUCTIONS: usize = 96;
/// Bits of BO that make a branch unconditional (Power ISA 3.0B, Book I, 2.4).
const ALWAYS: i64 = 0b10100;
/// Doublewords of RAM that are shown.
const SHOWN_DOUBLEWORDS: usize = 16;

/// Something that the two have, as each has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Its name: a register, an address in RAM.
    pub name: String,
    /// The leader's, which is right.
    pub leader: String,
    /// The follower's.
    pub follower: String,
}

impl Pair {
    pub(crate) fn new(name: impl Into<String>, leader: impl Into<String>, follower: impl Into<String>) -> Pair {
        Pair { name: name.into(), leader: leader.into(), follower: follower.into() }
    }
}

/// What was executed between two comparisons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Piece {
    /// Instructions executed before it, since power-on.
    pub begin: u64,
    /// Effective address of its first instruction.
    pub address: u64,
    /// MSR there.
    pub msr: u64,
    /// Instructions that the follower executed.
    pub instructions: u64,
}

/// Two machines in lockstep are no longer the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub what: String,
    /// Instructions that the follower has executed since power-on.
    pub count: u64,
    /// Effective address at which the leader would go on.
    pub address: u64,
    /// What was executed last.
    pub piece: Piece,
    /// Everything that differs.
    pub pairs: Vec<Pair>,
    /// The guest's code that may have been executed in one page, a line an instruction: from the entry (`>`) of the last
    /// region on, or from the begin of the piece if all of it was interpreted.
    pub guest_code: Vec<String>,
    /// The host code of the region; `None` if all of the piece was interpreted.
    pub host_code: Option<String>,
}

impl std::error::Error for Difference {}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Piece { begin, address, instructions, .. } = self.piece;
        writeln!(f, "lockstep: {} after {} instructions, at {:#x}", self.what, self.count, self.address)?;
        write!(f, "last piece: {instructions} instructions from {address:#x}, after {begin} instructions")?;
        if !self.pairs.is_empty() {
            let wide = |text: fn(&Pair) -> &String| self.pairs.iter().map(|pair| text(pair).len()).max().unwrap_or(0);
            let (names, values) = (wide(|pair| &pair.name).max(8), wide(|pair| &pair.leader).max(20));
            write!(f, "\n  {:names$}  {:values$}  follower (compiled)", "", "leader (interpreted)")?;
            for Pair { name, leader, follower } in &self.pairs {
                write!(f, "\n  {name:names$}  {leader:values$}  {follower}")?;
            }
        }
        write!(f, "\nguest code:")?;
        self.guest_code.iter().try_for_each(|line| write!(f, "\n  {line}"))?;
        match &self.host_code {
            None => write!(f, "\nhost code: none, the piece was interpreted"),
            Some(code) => {
                write!(f, "\nhost code:")?;
                code.lines().try_for_each(|line| write!(f, "\n  {line}"))
            }
        }
    }
}

/// The registers in which two states differ. Their names come from the fields of [`State`], so that none is left out.
pub(crate) fn registers(leader: &State, follower: &State) -> Vec<Pair> {
    let (leader, follower) = (leaves(&format!("{leader:#x?}")), leaves(&format!("{follower:#x?}")));
    let pairs = leader.into_iter().zip(follower).filter(|((_, a), (_, b))| a != b);
    pairs.map(|((name, a), (_, b))| Pair { name, leader: a, follower: b }).collect()
}

/// Name and value of everything in a structure, from how it is formatted with `{:#x?}`.
fn leaves(text: &str) -> Vec<(String, String)> {
    /// Names of the groups that we are in, and how many elements without a name each had so far.
    type Groups = Vec<(String, usize)>;
    fn full_name(groups: &Groups, field: Option<&str>) -> String {
        let group = groups.last().map_or("", |(name, _)| name);
        match field {
            // Group names of structures say nothing that the field's name does not.
            Some(field) => field.to_string(),
            None => {
                let number = groups.last().map_or(0, |(_, number)| *number);
                format!("{}{number}", if group == "crf" { "cr" } else { group })
            }
        }
    }
    let mut groups = Groups::new();
    let mut leaves = Vec::new();
    for line in text.lines().map(|line| line.trim().trim_end_matches(',')) {
        if matches!(line, "]" | "}") {
            groups.pop();
            continue;
        }
        let (field, value) = match line.split_once(": ") {
            Some((field, value)) => (Some(field), value),
            None => (None, line),
        };
        let name = full_name(&groups, field);
        if field.is_none()
            && let Some((_, number)) = groups.last_mut()
        {
            *number += 1;
        }
        if value.ends_with(['[', '{']) {
            groups.push((name, 0));
        } else {
            leaves.push((name, value.to_string()));
        }
    }
    leaves
}

/// The doublewords in which a page of two RAMs differs, as bytes in the order of their addresses.
pub(crate) fn doublewords(page: u64, leader: &Memory, follower: &Memory) -> Vec<Pair> {
    let bytes = |memory: &Memory| {
        let mut bytes = [0; PAGE_SIZE as usize];
        // A page of RAM: it cannot fail.
        let _ = memory.read(page, &mut bytes);
        bytes
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let (leader, follower) = (bytes(leader), bytes(follower));
    let pairs = leader.chunks(8).zip(follower.chunks(8)).zip((page..).step_by(8)).filter(|((a, b), _)| a != b);
    pairs.take(SHOWN_DOUBLEWORDS).map(|((a, b), address)| Pair::new(format!("{address:#x}"), hex(a), hex(b))).collect()
}

/// The code of a piece: what of its first page can be reached in as many instructions, along direct branches. The vCPU is
/// not to run after this.
pub(crate) fn guest_code(vcpu: &mut Vcpu, piece: &Piece) -> Vec<String> {
    // Where the piece led may be another context than the one it began in.
    vcpu.set_msr(piece.msr);
    let Ok(real) = vcpu.fetch_address(piece.address) else {
        return vec![format!("{:#x} has no translation", piece.address)];
    };
    let (page, mut bytes) = (piece.address & !PAGE_OFFSET, [0; PAGE_SIZE as usize]);
    if let Err(error) = vcpu.memory.read(real & !PAGE_OFFSET, &mut bytes) {
        return vec![error.to_string()];
    }
    let order = if piece.msr & msr::LE != 0 { u32::from_le_bytes } else { u32::from_be_bytes };
    let word = |address: u64| {
        let at = (address & PAGE_OFFSET & !3) as usize;
        order([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    let level = vcpu.model.level;
    let mut lines = BTreeMap::new();
    let mut to_see = VecDeque::from([(piece.address & !3, 1)]);
    while let Some((address, steps)) = to_see.pop_front() {
        if address & !PAGE_OFFSET != page || lines.len() == SHOWN_INSTRUCTIONS || lines.contains_key(&address) {
            continue;
        }
        let first = word(address);
        let mut raw = u64::from(first);
        if isa::is_prefix(first) && level >= IsaLevel::V3_1 && address & 63 != 60 {
            raw = raw << 32 | u64::from(word(address + 4));
        }
        let insn = isa::decode(raw, level);
        let text = insn.map_or_else(|| format!(".long {first:#x}"), |insn| isa::disassemble(insn, address));
        let mark = if address == piece.address { '>' } else { ' ' };
        lines.insert(address, format!("{mark} {address:#x}:  {raw:08x}  {text}"));
        if let Some(insn) = insn
            && steps < piece.instructions
        {
            to_see.extend(successors(insn, address).map(|next| (next, steps + 1)));
        }
    }
    let mut shown = Vec::new();
    let mut expected = None;
    for (address, line) in lines {
        if expected.is_some_and(|expected| expected + 8 < address) {
            shown.push("  ..".into());
        }
        expected = Some(address);
        shown.push(line);
    }
    shown
}

/// Where an instruction leads, as far as its word says.
fn successors(insn: Insn, address: u64) -> impl Iterator<Item = u64> {
    let (falls_through, displacement) = match insn.op {
        Op::b => (insn.get(Field::LK) != 0, Some(Field::LI)),
        Op::bc => (insn.get(Field::LK) != 0 || insn.get(Field::BO) & ALWAYS != ALWAYS, Some(Field::BD)),
        Op::bclr | Op::bcctr => (insn.get(Field::LK) != 0 || insn.get(Field::BO) & ALWAYS != ALWAYS, None),
        Op::rfid | Op::hrfid | Op::rfscv => (false, None),
        _ => (true, None),
    };
    let target = displacement.map(|field| {
        let base = if insn.get(Field::AA) != 0 { 0 } else { address };
        base.wrapping_add_signed(insn.get(field))
    });
    falls_through.then(|| address.wrapping_add(insn.bytes())).into_iter().chain(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn every_register_has_a_name_of_its_own() {
        let state = State::default();
        assert_eq!(registers(&state, &state), []);
        let names = leaves(&format!("{state:#x?}")).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let distinct = names.iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        let mut words = 0;
        state.for_each_word(|_| words += 1);
        // Of the hash's words CR is 8, XER 6, VSCR with PIR 2; two make a VSR, and an SLB entry.
        assert_eq!(names.len(), words + 7 + 5 + 1 - 64 - 32);
    }

    #[test]
    fn what_differs_is_named() {
        let leader = State::default();
        let mut follower = leader.clone();
        follower.gpr[31] = 0x1234;
        follower.vsr[33] = 1 << 127;
        follower.crf[7] = 2;
        follower.so = true;
        follower.spr.srr1 = 9;
        follower.spr.sprg[3] = 5;
        follower.spr.pmc[5] = 6;
        let found = registers(&leader, &follower);
        let names = found.iter().map(|pair| pair.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["gpr31", "cr7", "so", "vsr33", "srr1", "sprg3", "pmc5"]);
        assert_eq!(found[0], Pair::new("gpr31", "0x0", "0x1234"));
        assert_eq!(found[3].follower, "0x80000000000000000000000000000000");
    }

    #[test]
    fn ram_is_shown_by_doublewords() {
        let (a, b) = (Memory::new(0x1_0000, 1).unwrap(), Memory::new(0x1_0000, 1).unwrap());
        b.write(0x300C, &[1, 2]).unwrap();
        assert_eq!(
            doublewords(0x3000, &a, &b),
            [Pair::new("0x3008", "00 00 00 00 00 00 00 00", "00 00 00 00 01 02 00 00")]
        );
    }
    #[test]
    fn the_code_of_a_piece_is_what_it_can_reach() {
        let memory = Arc::new(Memory::new(0x1_0000, 1).unwrap());
        // A loop entered in its middle, a way out behind it, and what nobody reaches.
        let lines = ["addi r3,r3,1", "cmpdi r3,7", "bne .-8", "beq .+16", "b .", "sc 1", "sc 1", "rfid", "sc 1"];
        for (n, line) in lines.iter().enumerate() {
            let word = isa::assemble(line).unwrap() as u32;
            memory.write(0x2000 + 4 * n as u64, &word.to_be_bytes()).unwrap();
        }
        let clock = Arc::new(timing::Clock::virtual_time(0));
        let mut vcpu = Vcpu::new(0, &cpu::model::POWER9, memory, clock, Arc::new(vcpu::Silent));
        let mut code =
            |instructions| guest_code(&mut vcpu, &Piece { begin: 0, address: 0x2004, msr: msr::SF, instructions });
        let all = code(100);
        let words = |line: &String| line.split("  ").last().unwrap().to_string();
        assert_eq!(
            all.iter().map(words).collect::<Vec<_>>(),
            ["addi r3,r3,1", "cmpi cr0,1,r3,7", "bc 4,eq,0x2000", "bc 12,eq,0x201c", "b 0x2010", "..", "rfid"]
        );
        assert!(all[1].starts_with("> 0x2004:") && all[0].starts_with("  0x2000:"), "{all:?}");
        assert_eq!((code(1).len(), code(3).len()), (1, 4));
    }
}
