//! Translation by segments and a hash table (Power ISA 2.07B, Book III-S, 5.7; 3.0B, 5.7.6 to 5.7.13).

use crate::hpt::{HashTable, r};
use crate::radix::{Access, Authority, Fault, Leaf};
use cpu::bits::{dsisr, srr1};
use cpu::slb::{KP, KS, N, SLB_ENTRIES, SlbEntry, look_up};

/// What an access may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rights {
    read: bool,
    write: bool,
    execute: bool,
}

impl Rights {
    fn allow(self, access: Access) -> bool {
        match access {
            Access::Load => self.read,
            Access::Store => self.write,
            Access::Fetch => self.execute,
        }
    }
}

/// By the page protection bits and the segment's key.
fn by_protection(key: bool, r: u64) -> Rights {
    let (read, write) = match (key, (r & r::PP0) >> 61 | r & r::PP) {
        (false, 0..=2) | (true, 2) => (true, true),
        (false, 3 | 6) | (true, 1 | 3) => (true, false),
        // Nothing for problem state, and what is reserved.
        _ => (false, false),
    };
    Rights { read, write, execute: read }
}

/// By the virtual page class key.
fn by_key(who: Authority, r: u64) -> Rights {
    let bits = |register: u64| register >> (2 * (31 - r::key(r))) & 3;
    let (amr, iamr) = (bits(who.amr), bits(who.iamr));
    Rights { read: amr & 1 == 0, write: amr & 2 == 0, execute: iamr & 1 == 0 }
}

/// Finds the segment and the entry for `ea`, checks protection, and sets reference and change bits as the access needs.
/// Number `vcpu` may enter what it finds into its TLB.
///
/// # Errors
/// The interrupt to take.
pub fn translate(
    table: &HashTable,
    slb: &[SlbEntry; SLB_ENTRIES],
    ea: u64,
    access: Access,
    who: Authority,
    vcpu: usize,
) -> Result<Leaf, Fault> {
    let store = if access == Access::Store { dsisr::STORE } else { 0 };
    let fail = |data: u32, fetch: u64| {
        if access == Access::Fetch { Fault::Instruction(fetch) } else { Fault::Data(data | store) }
    };
    let segment = look_up(slb, ea).ok_or(Fault::Segment)?;
    if access == Access::Fetch && segment.vsid & N != 0 {
        return Err(Fault::Instruction(srr1::ISI_NO_EXECUTE));
    }
    let key = segment.vsid & if who.problem { KP } else { KS } != 0;
    loop {
        let none = || fail(dsisr::NO_TRANSLATION, srr1::ISI_NO_TRANSLATION);
        let found = table.look_up(segment, ea).ok_or_else(none)?;
        let (pp, class) = (by_protection(key, found.r), by_key(who, found.r));
        let executable = found.r & (r::N | r::G) == 0;
        if !(pp.allow(access) && class.allow(access) && (access != Access::Fetch || executable)) {
            let (mut data, mut fetch) = (0, 0);
            if !executable {
                fetch |= srr1::ISI_NO_EXECUTE;
            } else if !pp.execute {
                fetch |= srr1::ISI_PROTECTION;
            }
            if !pp.allow(access) {
                data |= dsisr::PROTECTION;
            }
            if !class.allow(access) {
                data |= dsisr::KEY;
                fetch |= srr1::ISI_KEY;
            }
            return Err(fail(data, fetch));
        }
        let used = r::R | if access == Access::Store { r::C } else { 0 };
        // In this order: bits are set in the entry that was found, and no other that came into its place.
        if !table.note_user(&found, vcpu) || !table.note_use(&found, used) {
            // Somebody changed the entry meanwhile: look at it again.
            continue;
        }
        let offset = (1u64 << found.actual) - 1;
        return Ok(Leaf {
            real: found.r & r::RPN & !offset | ea & offset,
            shift: found.actual,
            read: pp.read && class.read,
            // Not before the change bit is set.
            write: pp.write && class.write && (found.r | used) & r::C != 0,
            privileged: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpt::{ENCODINGS, GROUP, PageSizes, v};
    use cpu::slb::{B_1T, VALID};

    const KERNEL: Authority = Authority { problem: false, amr: 0, iamr: 0, pid: 0 };
    const USER: Authority = Authority { problem: true, ..KERNEL };

    /// Numbers that repeat (xorshift64*).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
        }
        fn below(&mut self, end: u64) -> u64 {
            (self.next() >> 20) % end
        }
    }

    /// The obvious model: a list of pages, each with the virtual address that the manual computes, compared one by one.
    struct Model {
        pages: Vec<(u128, u32, u32, u64)>,
    }

    fn virtual_address(entry: &SlbEntry, ea: u64) -> (u128, u32) {
        let shift = if entry.vsid >> 62 == 1 { 40 } else { 28 };
        let vsid = (entry.vsid & 0x3FFF_FFFF_FFFF_FFFF) >> if shift == 40 { 24 } else { 12 };
        (u128::from(vsid) << shift | u128::from(ea & ((1 << shift) - 1)), shift)
    }

    impl Model {
        fn find(&self, entry: &SlbEntry, base: u32, ea: u64) -> Option<(u32, u64)> {
            let (va, segment) = virtual_address(entry, ea);
            let page = |p: &&(u128, u32, u32, u64)| {
                p.0 == va >> base << base && p.1 == base && p.3 >> 63 == (segment == 40).into()
            };
            self.pages.iter().find(page).map(|p| (p.2, p.3 & !(1 << 63)))
        }
    }

    #[test]
    fn random_tables_against_a_list() {
        let mut random = Random(0x5EED);
        let mut hits = 0;
        for _ in 0..40 {
            let table = HashTable::new(18, PageSizes::ALL);
            let mut model = Model { pages: Vec::new() };
            let mut slb = [SlbEntry::default(); SLB_ENTRIES];
            for (n, entry) in slb.iter_mut().enumerate() {
                let e = ENCODINGS[random.below(7) as usize];
                let large = e.base > 28 || random.below(2) == 0;
                let vsid = random.below(1 << 20) << if large { 24 } else { 12 };
                let first = (n as u64) << 42;
                *entry = SlbEntry { esid: first | VALID, vsid: vsid | e.llp | if large { B_1T } else { 0 } };
            }
            let near = |random: &mut Random| {
                // Few pages, so that they are met again: any base page below 2M, and 16M pages.
                let within = if random.below(4) == 0 { random.below(16) << 24 } else { random.below(512) << 12 };
                random.below(32) << 42 | within & 0xFFF_FFFF | random.below(4096)
            };
            for _ in 0..400 {
                let ea = near(&mut random);
                let entry = look_up(&slb, ea).unwrap();
                let fitting: Vec<_> = ENCODINGS.iter().filter(|e| e.llp == entry.vsid & 0x130).collect();
                let e = fitting[random.below(fitting.len() as u64) as usize];
                let (va, segment) = virtual_address(entry, ea);
                let va = va >> e.base << e.base;
                // The manual's hash, 39 bits of it.
                let (vsid, low) = ((va >> segment) as u64, (va & ((1 << segment) - 1)) as u64 >> e.base);
                let hash = if segment == 28 { vsid ^ low } else { vsid ^ vsid << 25 ^ low } & ((1 << 39) - 1);
                if model.find(entry, e.base, ea).is_some() {
                    continue;
                }
                let secondary = random.below(3) == 0;
                let group = if secondary { !hash } else { hash } & ((1 << 11) - 1);
                let Some(index) = (group * GROUP..group * GROUP + GROUP).find(|&i| table.try_lock_free(i)) else {
                    continue;
                };
                let real = random.below(1 << 20) << e.actual & r::RPN;
                let large = if segment == 40 { 1 << 62 } else { 0 };
                let avpn = ((va >> 23) as u64) << 7 & v::AVPN;
                table.set_second(index, real | e.lp << 12 | 2);
                table.unlock(
                    index,
                    large | avpn | if secondary { v::H } else { 0 } | if e.actual > 12 { v::L } else { 0 } | v::V,
                );
                model.pages.push((va, e.base, e.actual, real | (large << 1)));
            }
            for _ in 0..2000 {
                let ea = near(&mut random);
                let entry = look_up(&slb, ea).unwrap();
                let base = PageSizes::ALL.base_of(entry).unwrap();
                let wanted =
                    model.find(entry, base, ea).map(|(actual, real)| (real | ea & ((1 << actual) - 1), actual));
                let found = translate(&table, &slb, ea, Access::Load, USER, 0);
                assert_eq!(found.map(|leaf| (leaf.real, leaf.shift)).ok(), wanted, "{ea:#x} {entry:?}");
                hits += u32::from(wanted.is_some());
            }
        }
        assert!(hits > 5000, "{hits}");
    }

    /// One segment at 0 with one 4K page at 0.
    fn one_page(vsid: u64, r: u64) -> (HashTable, [SlbEntry; SLB_ENTRIES]) {
        let table = HashTable::new(18, PageSizes::up_to(16));
        let mut slb = [SlbEntry::default(); SLB_ENTRIES];
        slb[0] = SlbEntry { esid: VALID, vsid };
        assert!(table.try_lock_free(0));
        table.set_second(0, r);
        table.unlock(0, v::V);
        (table, slb)
    }

    #[test]
    fn protection() {
        use Access::*;
        // For each key and pp: may be read, may be written. The manual's table of storage protection.
        for (key, pp, read, write) in [
            (0, 0, true, true),
            (0, 1, true, true),
            (0, 2, true, true),
            (0, 3, true, false),
            (0, 4, false, false),
            (0, 5, false, false),
            (0, 6, true, false),
            (0, 7, false, false),
            (1, 0, false, false),
            (1, 1, true, false),
            (1, 2, true, true),
            (1, 3, true, false),
            (1, 4, false, false),
            (1, 5, false, false),
            (1, 6, false, false),
            (1, 7, false, false),
        ] {
            for who in [KERNEL, USER] {
                let ks = if key == 1 { if who.problem { KP } else { KS } } else { if who.problem { KS } else { KP } };
                let (table, slb) = one_page(ks, 0x7000 | pp & 3 | pp >> 2 << 63);
                let is = |access| translate(&table, &slb, 0x123, access, who, 0).map(|leaf| leaf.real);
                let data =
                    |allowed, store| if allowed { Ok(0x7123) } else { Err(Fault::Data(dsisr::PROTECTION | store)) };
                assert_eq!(is(Load), data(read, 0), "{key} {pp}");
                assert_eq!(is(Store), data(write, dsisr::STORE), "{key} {pp}");
                let fetch = if read { Ok(0x7123) } else { Err(Fault::Instruction(srr1::ISI_PROTECTION)) };
                assert_eq!(is(Fetch), fetch, "{key} {pp}");
            }
        }
        let fetch = |vsid, r, who| translate(&one_page(vsid, r).0, &one_page(vsid, r).1, 0, Fetch, who, 0).map(|_| ());
        for (vsid, r) in [(N, 2), (0, 2 | r::N), (0, 2 | r::G)] {
            assert_eq!(fetch(vsid, r, USER), Err(Fault::Instruction(srr1::ISI_NO_EXECUTE)));
        }
    }

    #[test]
    fn keys_take_rights_away() {
        use Access::*;
        for key in [0u64, 1, 5, 31] {
            let r = 0x7002 | (key & 7) << 9 | key >> 3 << 60;
            let (table, slb) = one_page(0, r);
            let shift = 62 - 2 * key;
            let is = |access, amr: u64, iamr: u64| {
                translate(&table, &slb, 0, access, Authority { amr: amr << shift, iamr: iamr << shift, ..USER }, 0)
                    .map(|_| ())
            };
            assert_eq!(is(Load, 2, 3), Ok(()));
            assert_eq!(is(Load, 1, 0), Err(Fault::Data(dsisr::KEY)));
            assert_eq!(is(Store, 1, 0), Ok(()), "stores have a bit of their own");
            assert_eq!(is(Store, 2, 0), Err(Fault::Data(dsisr::KEY | dsisr::STORE)));
            assert_eq!(is(Fetch, 3, 2), Ok(()));
            assert_eq!(is(Fetch, 0, 1), Err(Fault::Instruction(srr1::ISI_KEY)));
            let other = Authority { amr: !(3 << shift), iamr: !(3 << shift), ..USER };
            assert!(translate(&table, &slb, 0, Store, other, 0).is_ok(), "other keys do not matter");
        }
    }

    #[test]
    fn reference_and_change_bits_are_set_as_needed() {
        let (table, slb) = one_page(0, 0x7002);
        let walk = |access| translate(&table, &slb, 0, access, USER, 0).unwrap();
        assert!(!walk(Access::Load).write, "no store before the change bit");
        assert_eq!(table.second(0), 0x7002 | r::R);
        assert!(walk(Access::Store).write);
        assert_eq!(table.second(0), 0x7002 | r::R | r::C);
        assert!(walk(Access::Load).write);
    }

    #[test]
    fn what_is_not_there() {
        let (table, slb) = one_page(0, 0x7002);
        let is = |ea, access| translate(&table, &slb, ea, access, USER, 0);
        assert_eq!(is(0x1000_0000, Access::Load), Err(Fault::Segment));
        assert_eq!(is(0x1000, Access::Store), Err(Fault::Data(dsisr::NO_TRANSLATION | dsisr::STORE)));
        assert_eq!(is(0x1000, Access::Fetch), Err(Fault::Instruction(srr1::ISI_NO_TRANSLATION)));
        assert_eq!(
            translate(&HashTable::none(PageSizes::ALL), &slb, 0, Access::Load, USER, 0),
            Err(Fault::Data(dsisr::NO_TRANSLATION))
        );
    }
}
