//! Any sequence of hypercalls on the hash table, compared with a model of it that was written from PAPR: codes, registers,
//! entries, and how often vCPUs are told to forget a page. What the fuzz target `hpt` runs.

mod rtas;
pub use rtas::rtas;

use crate::calls::test_support::Rig;
use memory::hpt::Found;
use platform::CallingVcpu;
use platform::mock::Input;
use platform::papr::opcode::*;
use std::collections::BTreeMap;

const H_SUCCESS: i64 = 0;
const H_PARAMETER: i64 = -4;
const H_PTEG_FULL: i64 = -6;
const H_NOT_FOUND: i64 = -7;
/// RAM of the rig.
const RAM_BYTES: u64 = 1 << 20;
/// Entries of the smallest table, of 256 KiB, and of the one after.
const ENTRIES: u64 = 1 << 14;

/// Flags of the calls (LoPAPR, 14.5.4.1), by their bit from the left.
const EXACT: u64 = 1 << (63 - 24);
const READ_4: u64 = 1 << (63 - 26);
const AVPN: u64 = 1 << (63 - 32);
const ANDCOND: u64 = 1 << (63 - 33);

/// First doubleword: B, valid, bolted, large, and what is the hypervisor's.
const B: u64 = 3 << 62;
const V: u64 = 1;
const BOLTED: u64 = 0x10;
const L: u64 = 4;
const HIDDEN: u64 = 0x60;
/// Second doubleword: reference, change, and what `H_PROTECT` sets.
const R: u64 = 0x100;
const C: u64 = 0x80;
const PROTECTION: u64 = 0xB000_0000_0000_0E07;

/// An entry: both doublewords, and whether a vCPU uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Entry {
    v: u64,
    r: u64,
    used: bool,
}

impl Entry {
    /// Nobody uses it any more; how many are told so: a page of no segment size is in nobody's TLB.
    fn forget(&mut self) -> usize {
        usize::from(std::mem::take(&mut self.used) && self.v & B <= 1 << 62)
    }

    fn is_meant(&self, flags: u64, avpn: u64) -> bool {
        self.v & V != 0 && (flags & AVPN == 0 || self.v & !0x7F == avpn) && (flags & ANDCOND == 0 || self.v & avpn == 0)
    }
}

/// The table as PAPR describes it.
struct Model {
    entries: BTreeMap<u64, Entry>,
    /// How many there are.
    count: u64,
    /// log2 of the largest page.
    largest: u32,
    /// log2 of the size that was prepared.
    prepared: Option<u64>,
    forgotten: usize,
}

/// Base and actual page size of an entry, as log2 (Power ISA 2.07B, Book III-S, figure "Page size encodings").
fn page(v: u64, r: u64, largest: u32) -> Option<(u32, u32)> {
    const SIZES: [(u32, u32, u64); 5] = [(12, 24, 0x38), (16, 16, 1), (16, 24, 8), (24, 24, 0), (34, 34, 3)];
    if v & L == 0 {
        return Some((12, 12));
    }
    let number = |actual: u32| (r & 0x0FFF_FFFF_FFFF_F000) >> 12 & ((1 << (actual - 12)) - 1);
    let found = SIZES.iter().find(|(_, actual, lp)| *actual <= largest && number(*actual) == *lp);
    found.map(|(base, actual, _)| (*base, *actual))
}

/// A code, and the registers from r4 on that it sets.
type Answer = (i64, Vec<(usize, u64)>);

impl Model {
    fn at(&self, index: u64) -> Entry {
        self.entries.get(&index).copied().unwrap_or_default()
    }

    fn enter(&mut self, [flags, index, v, r]: [u64; 4]) -> Answer {
        let Some((_, actual)) = page(v, r, self.largest) else { return (H_PARAMETER, vec![]) };
        let real = (r & 0x0FFF_FFFF_FFFF_F000) >> actual << actual;
        let fits = if real < RAM_BYTES { r & 0x78 == 0x10 } else { r & 0x60 == 0x20 };
        if !fits || index >= self.count {
            return (H_PARAMETER, vec![]);
        }
        let group = index & !7;
        let mut places = if flags & EXACT != 0 { index..index + 1 } else { group..group + 8 };
        match places.find(|place| self.at(*place).v & V == 0) {
            Some(place) => {
                let used = self.at(place).used;
                self.entries.insert(place, Entry { v: v & !HIDDEN, r, used });
                (H_SUCCESS, vec![(4, place)])
            }
            None => (H_PTEG_FULL, vec![]),
        }
    }

    fn read(&self, flags: u64, index: u64) -> Answer {
        if index >= self.count {
            return (H_PARAMETER, vec![]);
        }
        let (first, count) = if flags & READ_4 != 0 { (index & !3, 4) } else { (index, 1) };
        let entries = (0..count).flat_map(|n| {
            let entry = self.at(first + n as u64);
            [(4 + 2 * n, entry.v), (5 + 2 * n, entry.r)]
        });
        (H_SUCCESS, entries.collect())
    }

    /// Changes bits of a valid entry, if it is the one that was meant; the old ones.
    fn change(&mut self, index: u64, (flags, avpn): (u64, u64), (mask, value): (u64, u64)) -> Result<u64, i64> {
        if index >= self.count {
            return Err(H_PARAMETER);
        }
        let entry = self.entries.entry(index).or_default();
        if !entry.is_meant(flags, avpn) {
            return Err(H_NOT_FOUND);
        }
        let old = entry.r;
        entry.r = old & !mask | value & mask;
        self.forgotten += entry.forget();
        Ok(old)
    }

    fn protect(&mut self, [flags, index, avpn, _]: [u64; 4]) -> Answer {
        let value = (flags >> 8 & 1) << 63 | (flags >> 12 & 3) << 60 | flags & 0xE07;
        let result = self.change(index, (flags & AVPN, avpn), (PROTECTION, value));
        (result.err().unwrap_or(H_SUCCESS), vec![])
    }

    fn clear(&mut self, index: u64, bit: u64) -> Answer {
        match self.change(index, (0, 0), (bit, 0)) {
            Ok(old) => (H_SUCCESS, vec![(4, old)]),
            Err(code) => (code, vec![]),
        }
    }

    /// Takes an entry out.
    fn take(&mut self, index: u64, wanted: impl Fn(&Entry) -> bool) -> Result<Entry, i64> {
        if index >= self.count {
            return Err(H_PARAMETER);
        }
        let mut entry = self.at(index);
        if !wanted(&entry) {
            return Err(H_NOT_FOUND);
        }
        self.entries.remove(&index);
        self.forgotten += entry.forget();
        Ok(entry)
    }

    fn remove(&mut self, [flags, index, avpn, _]: [u64; 4]) -> Answer {
        match self.take(index, |entry| entry.is_meant(flags, avpn)) {
            Ok(entry) => (H_SUCCESS, vec![(4, entry.v), (5, entry.r)]),
            Err(code) => (code, vec![]),
        }
    }

    fn bulk_remove(&mut self, args: &[u64; 9]) -> Answer {
        let mut registers = Vec::new();
        for n in 0..4 {
            let (request, avpn) = (args[2 * n], args[2 * n + 1]);
            match request >> 62 {
                1 => {}
                3 => break,
                _ => return (H_PARAMETER, registers),
            }
            let flags = match request >> 56 & 3 {
                0 => Some(0),
                1 => Some(ANDCOND),
                2 => Some(AVPN),
                _ => None,
            };
            let index = request & 0x00FF_FFFF_FFFF_FFFF;
            let taken =
                flags.ok_or(H_PARAMETER).and_then(|flags| self.take(index, |entry| entry.is_meant(flags, avpn)));
            // Response, code in bits 2 and 3, R and C in bits 4 and 5.
            let told = match taken {
                Ok(entry) => u64::from(entry.r & R != 0) << 59 | u64::from(entry.r & C != 0) << 58,
                Err(H_NOT_FOUND) => 1 << 60,
                Err(_) => 2 << 60,
            };
            registers.push((4 + 2 * n, request & 0x03FF_FFFF_FFFF_FFFF | 2 << 62 | told));
            if taken == Err(H_PARAMETER) {
                return (H_PARAMETER, registers);
            }
        }
        (H_SUCCESS, registers)
    }

    fn block_remove(&mut self, args: &[u64; 9]) -> Answer {
        let (avpn, largest) = (args[0], self.largest);
        let mut registers = Vec::new();
        for (n, request) in args[1..].iter().copied().enumerate() {
            match request >> 62 {
                1 => {}
                3 => break,
                _ => return (H_PARAMETER, registers),
            }
            let index = request & 0x00FF_FFFF_FFFF_FFFF;
            let taken = self.take(index, |entry| {
                // The block is eight pages: an AVPN, in units of 8 MiB, may differ within it.
                let base = page(entry.v, entry.r, largest).map_or(12, |(base, _)| base);
                let unit = ((8u64 << base) >> 23).max(1);
                let number = |avpn: u64| avpn >> 7 & !(unit - 1);
                entry.v & V != 0 && (request >> 56 & 1 == 0 || number(entry.v) == number(avpn))
            });
            let told = match taken {
                Ok(entry) => u64::from(entry.r & R != 0) << 59 | u64::from(entry.r & C != 0) << 58,
                Err(H_NOT_FOUND) => 1 << 59,
                Err(_) => 2 << 59,
            };
            registers.push((5 + n, 2 << 62 | index | told));
            if taken == Err(H_PARAMETER) {
                return (H_PARAMETER, registers);
            }
        }
        (H_SUCCESS, registers)
    }

    /// What a call answers, and what it does.
    fn call(&mut self, opcode: u64, args: &[u64; 9]) -> Answer {
        let four = [args[0], args[1], args[2], args[3]];
        match opcode {
            H_ENTER => self.enter(four),
            H_READ => self.read(args[0], args[1]),
            H_PROTECT => self.protect(four),
            H_CLEAR_REF => self.clear(args[1], R),
            H_CLEAR_MOD => self.clear(args[1], C),
            H_REMOVE => self.remove(four),
            H_BULK_REMOVE => self.bulk_remove(args),
            _ => self.block_remove(args),
        }
    }
}

const CALLS: [u64; 8] = [H_ENTER, H_READ, H_PROTECT, H_CLEAR_REF, H_CLEAR_MOD, H_REMOVE, H_BULK_REMOVE, H_BLOCK_REMOVE];

/// Entries: a few close together, so that calls meet, and wild ones.
fn index(input: &mut Input<'_>) -> u64 {
    match input.byte() {
        n @ 0..=200 => u64::from(n % 24),
        n @ 201..=220 => ENTRIES - 8 + u64::from(n % 16),
        221..=240 => u64::from(input.half()),
        _ => input.doubleword(),
    }
}

/// AVPNs and entries' first doublewords.
fn first(input: &mut Input<'_>) -> u64 {
    let segment = u64::from(input.byte() & 7) << 12;
    match input.byte() {
        n @ 0..=127 => segment | u64::from(n & 3) << 7 | input.pick(&[V, V, V | L, V | BOLTED, 0, V | 2]),
        n @ 128..=199 => segment | u64::from(n & 1) << 62 | u64::from(input.byte()),
        _ => input.doubleword(),
    }
}

fn second(input: &mut Input<'_>) -> u64 {
    let lp = input.pick(&[0u64, 1, 8, 0x38, 7, 3]) << 12;
    match input.byte() {
        n @ 0..=150 => lp | u64::from(n & 7) << 16 | 0x10 | u64::from(input.byte() & 3) << 7,
        151..=200 => lp | RAM_BYTES | u64::from(input.half()),
        _ => input.doubleword(),
    }
}

fn flags(input: &mut Input<'_>) -> u64 {
    match input.byte() {
        0..=100 => 0,
        101..=230 => input.pick(&[EXACT, READ_4, AVPN, ANDCOND, AVPN | ANDCOND]) | u64::from(input.half()),
        _ => input.doubleword(),
    }
}

/// A translation specifier of `H_BULK_REMOVE` and `H_BLOCK_REMOVE`.
fn request(input: &mut Input<'_>) -> u64 {
    let kind = input.pick(&[1u64, 1, 1, 1, 1, 3, 0, 2]);
    kind << 62 | u64::from(input.byte() & 3) << 56 | index(input) & !(0xFF << 56)
}

fn arguments(opcode: u64, input: &mut Input<'_>) -> [u64; 9] {
    let mut args = [0; 9];
    match opcode {
        H_BULK_REMOVE => {
            for pair in args.chunks_mut(2) {
                pair[0] = request(input);
                if let Some(avpn) = pair.get_mut(1) {
                    *avpn = first(input) & !0x7F;
                }
            }
        }
        H_BLOCK_REMOVE => {
            args[0] = first(input) & !0x7F;
            args[1..].fill_with(|| request(input));
        }
        _ => {
            (args[0], args[1], args[2], args[3]) = (flags(input), index(input), first(input), second(input));
            if opcode != H_ENTER && input.byte() < 200 {
                args[2] &= !0x7F;
            }
        }
    }
    args
}

/// Runs the calls that `data` says.
///
/// # Panics
/// If a code, a register, an entry or the number of pages forgotten is not what the model says.
pub fn hpt(data: &[u8]) {
    let mut input = Input::new(data);
    let largest = input.pick(&[16, 12, 24, 34]);
    let mut rig = Rig::new("power9", &[]);
    rig.world.partition.claim_memory(RAM_BYTES, largest);
    let mut model = Model { entries: BTreeMap::new(), count: ENTRIES, largest, prepared: None, forgotten: 0 };
    let mut steps = 0;
    while !input.is_empty() {
        steps += 1;
        match input.byte() {
            0..=219 => {
                let opcode = input.pick(&CALLS);
                let args = arguments(opcode, &mut input);
                let (code, registers) = model.call(opcode, &args);
                let (status, gpr) = rig.call_registers(opcode, &args);
                let told = || format!("step {steps}: {opcode:#x} of {args:#x?}");
                assert_eq!(status.0, code, "{}", told());
                let mut wanted = gpr;
                wanted[4..13].copy_from_slice(&args);
                registers.iter().for_each(|(register, value)| wanted[*register] = *value);
                assert_eq!(gpr, wanted, "{}", told());
            }
            // A walker uses an entry.
            220..=239 => {
                let index = index(&mut input) % ENTRIES;
                let Entry { v, r, .. } = model.at(index);
                if index < model.count && v & V != 0 {
                    let table = rig.world.partition.vcpu(0).hash_table();
                    let actual = page(v, r, largest).map_or(12, |(_, actual)| actual);
                    assert!(table.note_user(&Found { index, v, r, actual }, 0), "step {steps}: not as it was");
                    if let Some(entry) = model.entries.get_mut(&index) {
                        entry.used = true;
                    }
                }
            }
            240..=249 => resize(&rig, &mut model, &mut input),
            // To radix trees, which takes the table away, or back.
            byte => {
                let radix = byte % 2 == 0;
                let flags = if radix { 0x1C } else { 0x18 };
                assert_eq!(rig.call(H_REGISTER_PROC_TBL, &[flags, 0x1_0000, 0, 0]).0, H_SUCCESS);
                if radix != (model.count == 0) {
                    model.entries.clear();
                    model.prepared = None;
                    model.count = if radix { 0 } else { ENTRIES };
                }
            }
        }
        let forgotten = rig.world.partition.forgotten.lock().map_or(0, |pages| pages.len());
        assert_eq!(forgotten, model.forgotten, "step {steps}: pages that vCPUs were told to forget");
    }
    let mut found = BTreeMap::new();
    rig.world.partition.vcpu(0).hash_table().for_each_used(|index, v, r| {
        found.insert(index, (v, r));
    });
    let wanted: BTreeMap<u64, (u64, u64)> =
        model.entries.iter().map(|(index, e)| (*index, (e.v, e.r))).filter(|(_, e)| *e != (0, 0)).collect();
    assert_eq!(found, wanted);
}

/// Prepares another size, or commits to it: bolted entries move, others go, or all stays as it was.
fn resize(rig: &Rig, model: &mut Model, input: &mut Input<'_>) {
    let shift = input.pick(&[18u64, 19, 0, 17, 46, 20]);
    let flags = u64::from(input.one_in(16));
    let table = || rig.world.partition.vcpu(0).hash_table();
    if input.one_in(2) {
        let wanted = match (model.count, flags, shift) {
            (0, ..) => 3,
            (_, 1, _) | (.., 17) => H_PARAMETER,
            // For 1 MiB of RAM the usual size is the smallest, and one more may be asked for.
            (.., 20 | 46) => -16,
            _ => H_SUCCESS,
        };
        assert_eq!(rig.call(H_RESIZE_HPT_PREPARE, &[flags, shift]).0, wanted, "prepare {flags} {shift}");
        if wanted == H_SUCCESS {
            model.prepared = (shift != 0).then_some(shift);
        }
        return;
    }
    let code = rig.call(H_RESIZE_HPT_COMMIT, &[flags, shift]).0;
    if flags != 0 {
        assert_eq!(code, H_PARAMETER);
        return;
    }
    if model.prepared.take_if(|prepared| *prepared == shift).is_none() {
        assert_eq!(code, 2, "H_CLOSED: nothing was prepared");
        return;
    }
    assert!(matches!(code, H_SUCCESS | H_PTEG_FULL), "commit {shift}: {code}");
    if code == H_PTEG_FULL {
        return;
    }
    let stays = |e: &&Entry| e.v & (V | BOLTED) == V | BOLTED && e.v & B <= 1 << 62;
    let mut wanted: Vec<(u64, u64)> = model.entries.values().filter(stays).map(|e| (e.v, e.r)).collect();
    let mut found = Vec::new();
    model.entries.clear();
    model.count = table().entries();
    table().for_each_used(|index, v, r| {
        found.push((v, r));
        model.entries.insert(index, Entry { v, r, used: false });
    });
    wanted.sort_unstable();
    found.sort_unstable();
    assert_eq!((found, model.count), (wanted, 1 << (shift - 4)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn sequences_of_calls_agree_with_the_model() {
        for seed in 0..400 {
            hpt(&some_bytes(seed, 4000));
        }
    }
}
