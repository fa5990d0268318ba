//! Any radix tables, any accesses, and `tlbie` where the architecture wants it: what the TLB answers, compared with a walk
//! at each access. What the fuzz target `mmu` runs.

use crate::{Silent, Vcpu};
use cpu::State;
use cpu::bits::{lpcr, msr};
use cpu::model::{CpuModel, POWER9, POWER10};
use memory::Memory;
use memory::mail::Invalidation;
use memory::radix::{self, Access, Authority, ProcessTable};
use platform::mock::Input;
use std::cell::RefCell;
use std::sync::Arc;
use timing::Clock;

const RAM_BYTES: u64 = PAGES + MAPPED_BYTES;
/// Process table; the rest of the tables follow.
const PROCESSES: u64 = 0x1_0000;
const PIDS: u64 = 4;
/// Tables of the first level, one for each process, of 2^13 entries: a space of 52 bits, 13 + 9 + 9 + 9 + 12.
const ROOTS: u64 = 0x2_0000;
const ROOT_BYTES: u64 = 8 << 13;
/// Tables of the levels below, of 2^9 entries.
const UPPERS: u64 = ROOTS + PIDS * ROOT_BYTES;
const MIDDLES: u64 = UPPERS + TABLES * TABLE_BYTES;
const LEAVES: u64 = MIDDLES + TABLES * TABLE_BYTES;
const TABLE_BYTES: u64 = 8 << 9;
/// The pages that are mapped, from here to the end of RAM.
const PAGES: u64 = 0x8_0000;
const MAPPED_BYTES: u64 = 0x2_0000;
const _: () = assert!(LEAVES + TABLES * TABLE_BYTES <= PAGES);
/// Tables of each level below the first.
const TABLES: u64 = 4;
/// Of an entry of the process table: a space of 2^52 bytes (RTS = 21), 2^13 entries.
const ROOT_SIZE: u64 = 0x4000_0000_0000_0000 | 0xA0 | 13;
const VALID: u64 = 1 << 63;
const LEAF: u64 = 1 << 62;

/// A change of an entry of a level: where, what, and the pages that it maps.
fn entry(input: &mut Input<'_>) -> (u64, u64, u32) {
    let rights = u64::from(input.byte()) & 0xF | u64::from(input.byte()) & 0x180;
    // Mostly RAM without the tables, now and then nothing.
    let real = match input.byte() {
        0..=239 => PAGES + (u64::from(input.byte()) << 12) % MAPPED_BYTES,
        240..=249 => u64::from(input.half()) << 12,
        _ => input.doubleword() & 0x01FF_FFFF_FFFF_F000,
    };
    let leaf = LEAF | rights | u64::from(input.byte() & 0x30);
    let valid = if input.one_in(8) { 0 } else { VALID };
    match input.byte() % 8 {
        0 => {
            let (which, index) = (u64::from(input.byte()), u64::from(input.byte()));
            let below = u64::from(input.byte()) % TABLES * TABLE_BYTES;
            let is_leaf = input.one_in(16);
            if index & 0x80 == 0 {
                let at = ROOTS + which % PIDS * ROOT_BYTES + index % 4 * 8;
                (at, valid | if is_leaf { leaf | real & !0x3FF_FFFF } else { (UPPERS + below) | 9 }, 39)
            } else {
                let at = UPPERS + which % TABLES * TABLE_BYTES + index % 4 * 8;
                (at, valid | if is_leaf { leaf | real & !0x3FFF_FFFF } else { (MIDDLES + below) | 9 }, 30)
            }
        }
        1 => {
            let at = MIDDLES + u64::from(input.byte()) % TABLES * TABLE_BYTES + u64::from(input.byte() % 4) * 8;
            let table = LEAVES + u64::from(input.byte()) % TABLES * TABLE_BYTES;
            (at, valid | if input.one_in(8) { leaf | real & !0x1F_FFFF } else { table | 9 }, 21)
        }
        _ => {
            let at = LEAVES + u64::from(input.byte()) % TABLES * TABLE_BYTES + u64::from(input.byte() % 16) * 8;
            (at, valid | leaf | real, 12)
        }
    }
}

/// An address, mostly in what is mapped.
fn address(input: &mut Input<'_>) -> u64 {
    let quadrant = input.pick(&[0u64, 0, 0, 3 << 62]);
    let upper = u64::from(input.byte());
    let upper = (upper % 4) << 39 | (upper / 4 % 4) << 30;
    let within = upper | u64::from(input.byte() % 4) << 21 | u64::from(input.byte() % 16) << 12;
    let offset = input.pick(&[0u64, 8, 0x7F0, 0xFF8, 0xFFC, 0xFFF]);
    if input.one_in(32) { input.doubleword() } else { quadrant | within | offset }
}

/// A vCPU and its memory, for input after input: to make them takes longer than most inputs do.
struct Rig {
    vcpu: Vcpu,
    memory: Arc<Memory>,
    /// After a reset.
    state: State,
    /// What RAM holds at the beginning.
    image: Vec<u8>,
}

thread_local! {
    static RIGS: RefCell<[Option<Rig>; 2]> = const { RefCell::new([None, None]) };
}

impl Rig {
    fn new(model: &'static CpuModel) -> Rig {
        let memory = Arc::new(Memory::new(RAM_BYTES, 1).expect("less than a MiB"));
        let vcpu = Vcpu::new(0, model, memory.clone(), Arc::new(Clock::virtual_time(0)), Arc::new(Silent));
        memory.hub().mailbox(0).set_quiet(false);
        let mut image = vec![0; RAM_BYTES as usize];
        let mut put = |at: u64, value: u64| image[at as usize..][..8].copy_from_slice(&value.to_be_bytes());
        for pid in 0..PIDS {
            put(PROCESSES + pid * 16, (ROOTS + pid * ROOT_BYTES) | ROOT_SIZE);
            for n in 0..4 {
                let below = UPPERS + (pid + n) % TABLES * TABLE_BYTES;
                put(ROOTS + pid * ROOT_BYTES + n * 8, VALID | below | 9);
            }
        }
        for (level, below) in [(UPPERS, MIDDLES), (MIDDLES, LEAVES)] {
            for (table, n) in (0..TABLES).flat_map(|table| (0..4).map(move |n| (table, n))) {
                let below = below + (table + n) % TABLES * TABLE_BYTES;
                put(level + table * TABLE_BYTES + n * 8, VALID | below | 9);
            }
        }
        // What is read tells where it was read.
        for at in (PAGES..RAM_BYTES).step_by(8) {
            put(at, at.wrapping_mul(0x9E37_79B9_7F4A_7C15).swap_bytes());
        }
        Rig { state: vcpu.state.clone(), vcpu, memory, image }
    }

    /// As it was in the beginning; the page contents.
    fn reset(&mut self) -> Vec<u8> {
        self.memory.write(0, &self.image).expect("all of RAM");
        let v = &mut self.vcpu;
        v.state = self.state.clone();
        v.reservation = Default::default();
        v.process_table = ProcessTable { base: PROCESSES, size_bytes: 0x1000 };
        v.set_lpcr(v.state.lpcr | lpcr::HR | lpcr::UPRT | lpcr::GTSE);
        v.set_pid(1);
        v.set_msr(msr::SF | msr::IR | msr::DR | msr::LE | msr::ME);
        v.keys_changed();
        v.invalidate(Invalidation::All);
        // No engine takes them.
        v.code_events.clear();
        self.image[PAGES as usize..].to_vec()
    }
}

/// Accesses and changes that `data` says.
///
/// # Panics
/// If the TLB allows what a walk refuses, or the other way round, or leads elsewhere.
pub fn mmu(data: &[u8]) {
    run(data, true);
}

/// `forgets`: what is changed is forgotten.
fn run(data: &[u8], forgets: bool) {
    let mut input = Input::new(data);
    let model = usize::from(input.one_in(2));
    RIGS.with_borrow_mut(|rigs| {
        let rig = rigs[model].get_or_insert_with(|| Rig::new([&POWER10, &POWER9][model]));
        steps(rig, &mut input, forgets);
    });
}

fn steps(rig: &mut Rig, input: &mut Input<'_>, forgets: bool) {
    let mut pages = rig.reset();
    let Rig { vcpu: v, memory, .. } = rig;
    let table = v.process_table;
    while !input.is_empty() {
        match input.byte() % 16 {
            0..=2 => change(v, memory, input, forgets),
            3 => v.set_pid(u32::from(input.byte()) % (PIDS as u32 + 1)),
            4 => v.set_msr(v.state.msr ^ msr::PR),
            5 => {
                v.state.spr.amr = u64::from(input.byte()) << 56;
                v.state.spr.iamr = u64::from(input.byte()) << 56;
                v.keys_changed();
            }
            6 => v.invalidate(Invalidation::Page { pid: v.state.spr.pid, ea: address(input), shift: 12 }),
            _ => access(v, memory, table, input, &mut pages),
        }
    }
    let mut found = vec![0; pages.len()];
    memory.read(PAGES, &mut found).expect("inside of RAM");
    assert!(found == pages, "something was stored elsewhere");
}

/// Changes an entry, and has forgotten what may be known of the old one: not if that was invalid.
fn change(v: &mut Vcpu, memory: &Memory, input: &mut Input<'_>, forgets: bool) {
    let (at, new, shift) = entry(input);
    let old = memory.read_be_u64(at).expect("a table is in RAM");
    memory.write(at, &new.to_be_bytes()).expect("inside of RAM");
    if old & VALID == 0 || !forgets {
        return;
    }
    let leaf_table = shift == 12;
    if leaf_table && input.one_in(2) {
        // Page by page, wherever the table can be reached from, under each process.
        let index = (at - LEAVES) % TABLE_BYTES / 8;
        for pid in 0..=PIDS as u32 {
            for upper in 0..64u64 {
                for quadrant in [0, 3 << 62] {
                    let upper = (upper / 16) << 39 | (upper / 4 % 4) << 30 | (upper % 4) << 21;
                    let ea = quadrant | upper | index << 12;
                    v.invalidate(Invalidation::Page { pid: if quadrant == 0 { pid } else { 0 }, ea, shift });
                }
            }
        }
    } else if input.one_in(2) {
        for pid in 0..=PIDS as u32 {
            v.invalidate(Invalidation::Process { pid });
        }
    } else {
        v.invalidate(Invalidation::All);
    }
}

/// `pages`: what they hold.
fn access(v: &mut Vcpu, memory: &Memory, table: ProcessTable, input: &mut Input<'_>, pages: &mut [u8]) {
    let ea = address(input);
    let who = Authority {
        problem: v.state.msr & msr::PR != 0,
        amr: v.state.spr.amr,
        iamr: v.state.spr.iamr,
        pid: v.state.spr.pid,
    };
    let size = input.pick(&[1u32, 2, 4, 8]);
    let kind = input.pick(&[Access::Load, Access::Load, Access::Store, Access::Fetch]);
    let ea = if kind == Access::Fetch { ea & !3 } else { ea };
    let bytes = if kind == Access::Fetch { 4 } else { u64::from(size) };
    // The byte at each end decides.
    let last = ea.wrapping_add(bytes - 1);
    let walk = |ea: u64| -> Option<u64> {
        let leaf = radix::translate(memory, table, ea, kind, who).ok()?;
        memory.host(leaf.real, 1).map(|_| leaf.real)
    };
    let content = |reals: &[Option<u64>]| -> Option<Vec<u8>> {
        let read = |real: &Option<u64>| {
            let mut byte = [0];
            memory.read((*real)?, &mut byte).ok()?;
            Some(byte[0])
        };
        reals.iter().map(read).collect()
    };
    let context = || format!("{kind:?} of {bytes} at {ea:#x} by {who:x?}");
    match kind {
        Access::Fetch => {
            let found = v.fetch_address(ea).ok();
            assert_eq!(found, walk(ea), "{}", context());
        }
        Access::Load => {
            let found = v.load(ea, size).ok();
            let ends = walk(ea).and(walk(last)).is_some();
            let reals: Vec<_> = if ends { (0..bytes).map(|n| walk(ea.wrapping_add(n))).collect() } else { vec![None] };
            let wanted = content(&reals).map(|b| b.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)));
            assert_eq!(found, wanted, "{}", context());
        }
        Access::Store => {
            let value = input.doubleword();
            // Not into the tables, which the model would have to follow.
            let reals: Vec<_> = (0..bytes).map(|n| walk(ea.wrapping_add(n))).collect();
            if reals.iter().flatten().any(|real| *real < PAGES) {
                return;
            }
            let done = v.store(ea, size, value).is_ok();
            assert_eq!(done, reals.iter().all(Option::is_some), "{}", context());
            if done {
                for (real, byte) in reals.iter().flatten().zip(value.to_le_bytes()) {
                    pages[(real - PAGES) as usize] = byte;
                }
            }
            // Where it should be, and where it should not; all of it is looked at in the end.
            for real in reals.iter().flatten() {
                let mut byte = [0];
                memory.read(*real, &mut byte).expect("inside of RAM");
                assert_eq!(byte[0], pages[(real - PAGES) as usize], "{}", context());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn the_tlb_answers_as_a_walk() {
        for seed in 0..300 {
            mmu(&some_bytes(seed, 3000));
        }
    }

    /// A page of quadrant 3 that is not privileged, in the TLB before IAMR forbids it.
    #[test]
    fn iamr_counts_in_quadrant_3() {
        mmu(include_bytes!("../../../fuzz/seeds/mmu/fetch-of-a-page-that-iamr-forbids"));
    }

    #[test]
    #[should_panic(expected = "by Authority")]
    fn a_tlbie_that_is_left_out_is_found() {
        for seed in 0..300 {
            run(&some_bytes(seed, 3000), false);
        }
    }
}
