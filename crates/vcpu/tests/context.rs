//! What the vCPU remembers of contexts, against what its registers say.

#[path = "../../isa/tests/common/mod.rs"]
mod common;

use common::rng;
use cpu::bits::{fscr, lpcr, msr};
use cpu::model::POWER9;
use cpu::slb::{SLB_ENTRIES, SlbEntry, VALID};
use cpu::spr::{AMR, IAMR};
use memory::HashTable;
use memory::Memory;
use memory::hpt::{PageSizes, v as first};
use memory::mail::{Invalidation, pending};
use memory::tlb::{UNRESOLVED, kind};
use std::sync::Arc;
use timing::Clock;
use vcpu::context::Derived;
use vcpu::{CodeEvent, Exit, Silent, Vcpu};

fn vcpu() -> Vcpu {
    let memory = Memory::new(1 << 20, 1).unwrap();
    let mut v = Vcpu::new(0, &POWER9, Arc::new(memory), Arc::new(Clock::virtual_time(0)), Arc::new(Silent));
    v.set_lpcr(v.state.lpcr | lpcr::HR);
    v
}

fn fields(v: &Vcpu) -> Derived {
    Derived {
        data_context: v.data_context,
        data_entries: v.data_entries,
        fetch_context: v.fetch_context,
        jump_key: v.translated.jump_key,
        mode: v.mode,
    }
}

/// What follows from the registers, stated register by register.
fn expected(v: &Vcpu) -> Derived {
    let r = &v.state.spr;
    let on = |b: u64| v.state.msr & b != 0;
    let base = |pid: u32| v.tlb.base_if_known(pid).unwrap();
    let context = |translated: u64, own: u64, kernel: u64| match (on(translated), on(msr::PR)) {
        (false, _) => [0, 0],
        (true, true) => [base(r.pid) + kind::USER, base(0) + kind::USER],
        (true, false) => [base(r.pid) + own, base(0) + kernel],
    };
    let data_context = context(msr::DR, kind::PRIVILEGED + (r.amr >> 62), kind::PRIVILEGED);
    let fetch_key = kind::PRIVILEGED_FETCH + (r.iamr >> 62 & 1);
    let fetch_context = context(msr::IR, fetch_key, fetch_key);
    let bits = [
        on(msr::LE),
        on(msr::SF),
        on(msr::PR),
        on(msr::IR),
        on(msr::DR),
        on(msr::FP),
        on(msr::VEC),
        on(msr::VSX),
        on(msr::SE) || r.ciabr & 3 != 0,
        on(msr::BE),
        !on(msr::PR) || r.fscr & fscr::TAR != 0,
        r.fscr & fscr::SCV != 0,
        !on(msr::PR) || r.fscr & fscr::PREFIX != 0,
    ];
    let mode = bits.iter().enumerate().fold(0, |mode, (n, b)| mode | u32::from(*b) << n);
    let jump_key = fetch_context.map(|c| c << 32 | u64::from(mode));
    let data_entries = data_context.map(|c| v.tlb.entries_of(c));
    Derived { data_context, data_entries, fetch_context, jump_key, mode }
}

#[test]
fn what_is_remembered_is_what_the_registers_say() {
    let mut v = vcpu();
    let mut random = rng(1);
    for _ in 0..50_000 {
        match random() % 16 {
            0 => v.state.spr.amr = random(),
            1 => v.state.spr.iamr = random(),
            2 => v.state.spr.fscr = random(),
            3 => v.set_ciabr(random() & 7),
            // More processes than there are ids: they start over now and then.
            4 => v.set_pid((random() % 600) as u32),
            5 if random().is_multiple_of(64) => v.invalidate(Invalidation::All),
            5 if random().is_multiple_of(4) => v.invalidate(Invalidation::Process { pid: v.state.spr.pid }),
            _ => {}
        }
        v.set_msr(random() | random());
        assert_eq!(fields(&v), expected(&v), "MSR {:#x}", v.state.msr);
        let gated = if v.state.msr & msr::EE != 0 { pending::MASKED_BY_EE } else { 0 };
        assert_eq!(v.pending_mask & pending::MASKED_BY_EE, gated);
    }
}

#[test]
fn pages_that_nothing_was_fetched_from_are_not_forgotten() {
    let mut v = vcpu();
    v.set_pid(1);
    v.code_events.clear();
    let page = |ea| Invalidation::Page { pid: 1, ea, shift: 12 };
    v.invalidate(page(0x5000));
    assert_eq!(v.code_events, []);
    v.fetched.add(0x5678);
    v.invalidate(page(0x5000));
    assert!(matches!(v.code_events[..], [CodeEvent::ForgetPage { ea: 0x5000, .. }]), "{:?}", v.code_events);
    v.invalidate(Invalidation::All);
    v.code_events.clear();
    v.invalidate(page(0x5000));
    assert_eq!(v.code_events, []);
}

#[test]
fn refresh_repairs_what_somebody_else_wrote() {
    let mut v = vcpu();
    v.set_msr(msr::SF | msr::IR | msr::DR);
    let good = fields(&v);
    (v.mode, v.data_context, v.translated.jump_key) = (0, [0; 2], [0; 2]);
    v.refresh_context();
    assert_eq!(fields(&v), good);
}

#[test]
fn ids_that_start_over_take_the_jumps_with_them() {
    let mut v = vcpu();
    (0..600).for_each(|pid| v.set_pid(pid));
    assert!(v.code_events.contains(&CodeEvent::ForgetAll));
    // At the turn of process 0 too.
    let mut restarts = 0;
    for _ in 0..2000 {
        let before = v.tlb.base_if_known(0);
        v.code_events.clear();
        v.invalidate(Invalidation::Process { pid: 0 });
        if v.tlb.base_if_known(0) < before {
            restarts += 1;
            assert!(v.code_events.contains(&CodeEvent::ForgetAll));
        }
    }
    assert!(restarts > 1);
}

/// A vCPU with a hash table in which the first page of some segments leads to a real page of its own.
fn with_segments() -> Vcpu {
    let mut v = vcpu();
    v.memory.set_hash_table(Arc::new(HashTable::new(18, PageSizes::up_to(16))));
    v.take_hash_table();
    v.set_lpcr(v.state.lpcr & !lpcr::HR);
    for segment in 0..200u64 {
        let index = segment * 8;
        v.hash_table.set_second(index, (segment + 1) << 12 | 2);
        v.hash_table.unlock(index, segment << 12 | first::V);
        v.memory.write((segment + 1) << 12, &segment.to_be_bytes()).unwrap();
    }
    v.set_msr(msr::SF | msr::IR | msr::DR);
    v
}

/// Whatever the SLB and AMR hold, and whatever is in the TLB from before, an address leads where the SLB says.
#[test]
fn segments_that_change_are_followed() {
    let mut v = with_segments();
    let mut random = rng(7);
    let mut changes = 0;
    for _ in 0..50_000 {
        match random() % 8 {
            0 => {
                let slot = random() as usize % SLB_ENTRIES;
                let esid = (slot as u64 % 4) << 28 | (slot as u64 & 4) << 61 | VALID;
                let entry = SlbEntry { esid, vsid: (random() % 200) << 12 };
                v.state.slb[slot & 7] = if random().is_multiple_of(4) { SlbEntry::default() } else { entry };
                v.segments_changed(slot >> 2 & 1);
                changes += 1;
            }
            1 => v.write_spr(AMR, random() & 0xC000_0000_0000_0000).unwrap(),
            2 => v.write_spr(IAMR, random()).unwrap(),
            _ => {}
        }
        let slot = random() & 7;
        let ea = (slot & 3) << 28 | (slot & 4) << 61;
        let entry = cpu::slb::look_up(&v.state.slb, ea).copied();
        let may_read = v.state.spr.amr >> 62 & 1 == 0;
        v.exit = Exit::Next;
        let found = v.load(ea, 8).ok();
        assert_eq!(found, entry.filter(|_| may_read).map(|entry| entry.segment()), "{ea:#x} {entry:?}");
        let fetched = v.fetch_address(ea).ok();
        let may_fetch = v.state.spr.iamr >> 62 & 1 == 0;
        assert_eq!(fetched, entry.filter(|_| may_fetch).map(|entry| (entry.segment() + 1) << 12));
        assert!(entry.is_none() || v.data_context[(ea >> 63) as usize] & !7 != UNRESOLVED);
    }
    assert!(changes > 3000 && v.tlb.stats.fills < 40_000, "{} fills", v.tlb.stats.fills);
}

/// `cargo test --release -p vcpu --test context -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_set_msr_costs() {
    let mut v = vcpu();
    let user = msr::SF | msr::LE | msr::EE | msr::PR | msr::IR | msr::DR | msr::ME | msr::RI | msr::FP;
    let kernel = msr::SF | msr::LE | msr::IR | msr::DR | msr::ME;
    for (name, values) in [("user/kernel", [user, kernel]), ("EE on/off", [kernel, kernel | msr::EE])] {
        let start = std::time::Instant::now();
        for n in 0..20_000_000 {
            v.set_msr(std::hint::black_box(values[n & 1]));
        }
        println!("set_msr, {name}: {:.2} ns", start.elapsed().as_secs_f64() * 1e9 / 20e6);
    }
}

/// Two processes run one program: what one found of it is the other's too, where it is the same code.
#[test]
fn processes_share_ways_into_the_same_code() {
    let mut v = vcpu();
    let (program, other) = (0x1000_0040, 0x1000_1040);
    v.set_msr(msr::SF | msr::IR | msr::DR | msr::PR);
    for (pid, real) in [(7, 0x5000), (8, 0x5000), (9, 0x6000)] {
        v.set_pid(pid);
        let context = v.fetch_context[0];
        v.tlb.fill_fetch(program, context, real);
        if pid == 7 {
            v.translated.remember_jump(program, 0x1234, 5);
            v.translated.remember_jump(other, 0x5678, 7);
        }
    }
    v.code_events.clear();
    let found = |v: &mut Vcpu, pid| {
        v.set_pid(pid);
        (v.find_way(program), v.find_way(other))
    };
    assert_eq!(found(&mut v, 8), (Some(0x1234), None), "of the second page the TLB knows nothing");
    assert_eq!(found(&mut v, 9), (None, None), "another program");
    assert_eq!(found(&mut v, 7).0, Some(0x1234));
    v.set_msr(msr::SF | msr::IR | msr::DR | msr::PR | msr::LE);
    assert_eq!(v.find_way(program), None, "other code in another mode");
}
