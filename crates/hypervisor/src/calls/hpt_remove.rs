//! `H_REMOVE`, `H_BULK_REMOVE`, `H_BLOCK_REMOVE`: entries leave the hash table (LoPAPR, 14.5.4.1).
//!
//! An entry that was withdrawn stays locked until every vCPU has forgotten its page: only then are its reference and
//! change bits final, and only then may it be used again. Several wait together. Nobody waits for the lock of an entry
//! while holding such ones: two that did would wait for each other.

use super::hpt::{ANDCOND, AVPN, forget, matches};
use crate::Hypervisor;
use memory::HashTable;
use memory::hpt::{r, v};
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext};

/// What became of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removed {
    /// Both its doublewords.
    Entry(u64, u64),
    NotFound,
    /// There is no such entry.
    Parameter,
}

/// Entries of one call, most of them withdrawn and not waited for yet.
struct Removal<'a> {
    table: &'a HashTable,
    /// Place among the results, entry, its first doubleword.
    withdrawn: Vec<(usize, u64, u64)>,
    /// Somebody was told to forget one of them.
    used: bool,
    results: Vec<Removed>,
}

impl<'a> Removal<'a> {
    fn new(table: &'a HashTable) -> Self {
        Removal { table, withdrawn: Vec::new(), used: false, results: Vec::new() }
    }

    /// Withdraws entry `index` if it is `wanted`. False if there is no such entry.
    fn add(&mut self, context: &mut HcallContext<'_>, index: u64, wanted: impl Fn(u64) -> bool) -> bool {
        if index >= self.table.entries() {
            self.results.push(Removed::Parameter);
            return false;
        }
        let entry = match self.table.try_lock_any(index) {
            Some(entry) => entry,
            None => {
                self.finish(context);
                self.table.lock(index, || context.vcpu.relax())
            }
        };
        if !wanted(entry) {
            self.table.unlock(index, entry);
            self.results.push(Removed::NotFound);
            return true;
        }
        self.table.withdraw(index);
        self.used |= forget(context, self.table, index, (entry, self.table.second(index)));
        self.withdrawn.push((self.results.len(), index, entry));
        self.results.push(Removed::Entry(entry, 0));
        true
    }

    /// Waits until nobody uses what was withdrawn, and frees it.
    fn finish(&mut self, context: &mut HcallContext<'_>) {
        if self.withdrawn.is_empty() {
            return;
        }
        if std::mem::take(&mut self.used) {
            context.vcpu.wait_for_translations();
        }
        for (place, index, entry) in self.withdrawn.drain(..) {
            self.results[place] = Removed::Entry(entry, self.table.second(index));
            self.table.set_second(index, 0);
            self.table.unlock(index, 0);
        }
    }
}

/// Flags, entry, AVPN.
pub(super) fn remove(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, index, avpn, ..] = args;
    let table = context.vcpu.hash_table();
    let mut removal = Removal::new(&table);
    removal.add(context, index, |entry| matches(entry, flags, avpn));
    removal.finish(context);
    match removal.results[0] {
        Removed::Entry(first, second) => {
            context.vcpu.set_gpr(4, first);
            context.vcpu.set_gpr(5, second);
            HcallStatus::H_SUCCESS
        }
        Removed::NotFound => HcallStatus::H_NOT_FOUND,
        Removed::Parameter => HcallStatus::H_PARAMETER,
    }
}

/// What a translation specifier is.
const TYPE: u64 = 3 << 62;
const TYPE_REQUEST: u64 = 1 << 62;
const TYPE_RESPONSE: u64 = 2 << 62;
const TYPE_END: u64 = 3 << 62;

/// From reference and change bits of an entry to those of a response.
const RC_SHIFT: u32 = 51;
/// Entry of a specifier.
const INDEX: u64 = 0x00FF_FFFF_FFFF_FFFF;

/// How one of the calls for several entries writes its responses.
struct Form {
    /// The entry was not there.
    not_found: u64,
    /// There is no such entry, or the request makes no sense.
    parameter: u64,
    /// Bits of the request that its response has too.
    repeated: u64,
    /// Number of the first response's register, and from one to the next.
    registers: (usize, usize),
}

/// Removes the entries of `requests` up to the end or the first bad one, and tells what became of them. What `wanted` makes of
/// a request (its number, itself) says of an entry's first doubleword whether it is meant; `None`: the request makes no sense.
fn remove_all<W: Fn(u64) -> bool>(
    context: &mut HcallContext<'_>,
    table: &HashTable,
    form: &Form,
    requests: impl Iterator<Item = u64>,
    wanted: impl Fn(usize, u64) -> Option<W>,
) -> HcallStatus {
    let mut removal = Removal::new(table);
    let mut done = Vec::new();
    let mut status = HcallStatus::H_SUCCESS;
    for (n, request) in requests.enumerate() {
        match request & TYPE {
            TYPE_END => break,
            TYPE_REQUEST => {}
            _ => {
                status = HcallStatus::H_PARAMETER;
                break;
            }
        }
        done.push(request);
        let goes_on = match wanted(n, request) {
            Some(wanted) => removal.add(context, request & INDEX, wanted),
            None => {
                removal.results.push(Removed::Parameter);
                false
            }
        };
        if !goes_on {
            status = HcallStatus::H_PARAMETER;
            break;
        }
    }
    removal.finish(context);
    let (first, step) = form.registers;
    for (n, (request, result)) in done.iter().zip(&removal.results).enumerate() {
        let told = match result {
            Removed::Entry(_, second) => (second & (r::R | r::C)) << RC_SHIFT,
            Removed::NotFound => form.not_found,
            Removed::Parameter => form.parameter,
        };
        context.vcpu.set_gpr(first + step * n, TYPE_RESPONSE | request & form.repeated | told);
    }
    status
}

/// Flags of a request.
const BULK_FLAGS: u64 = 3 << 56;
const BULK_ANDCOND: u64 = 1 << 56;
const BULK_AVPN: u64 = 2 << 56;
/// Requests of a call.
const BULK_MOST: usize = 4;
const BULK_NOT_FOUND: u64 = 1 << 60;
const BULK_PARAMETER: u64 = 2 << 60;
const BULK: Form =
    Form { not_found: BULK_NOT_FOUND, parameter: BULK_PARAMETER, repeated: INDEX | BULK_FLAGS, registers: (4, 2) };

/// Up to four requests, each with flags and entry in one register and the AVPN in the next.
pub(super) fn bulk_remove(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let table = context.vcpu.hash_table();
    let pairs = args.as_chunks::<2>().0;
    let requests = pairs.iter().take(BULK_MOST).map(|pair| pair[0]);
    remove_all(context, &table, &BULK, requests, |n, request| {
        let flags = match request & BULK_FLAGS {
            0 => 0,
            BULK_ANDCOND => ANDCOND,
            BULK_AVPN => AVPN,
            _ => return None,
        };
        let avpn = pairs[n][1];
        Some(move |entry| matches(entry, flags, avpn))
    })
}

/// Request of `H_BLOCK_REMOVE`: the entry must have the block's AVPN.
const BLOCK_AVPN: u64 = 1 << 56;
/// Pages of a block.
const BLOCK_PAGES: u64 = 8;
const BLOCK_NOT_FOUND: u64 = 1 << 59;
const BLOCK_PARAMETER: u64 = 2 << 59;
const BLOCK: Form = Form { not_found: BLOCK_NOT_FOUND, parameter: BLOCK_PARAMETER, repeated: INDEX, registers: (5, 1) };

/// The AVPN of a block of eight pages, and up to eight entries in it.
pub(super) fn block_remove(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let avpn = args[0] & !0x7F;
    let table = context.vcpu.hash_table();
    let (table, requests) = (&*table, args[1..].iter().copied());
    remove_all(context, table, &BLOCK, requests, |_, request| {
        Some(move |entry: u64| {
            // Pages of one block differ in low bits of the AVPN if they are that large.
            let second = table.read(request & INDEX).1;
            let size = table.sizes().of_entry(entry, second).map_or(12, |size| size.base);
            let low = (BLOCK_PAGES << size).saturating_sub(1) >> 23 << 7;
            entry & v::V != 0 && (request & BLOCK_AVPN == 0 || (entry ^ avpn) & !0x7F & !low == 0)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use platform::papr::opcode::*;
    use platform::{CallingVcpu, HcallContext};

    const ENTRY: u64 = 0x1234_5680 | v::V;
    const EXACT: u64 = 1 << 39;

    fn rig(entries: &[u64]) -> Rig {
        let mut rig = Rig::new("power9", &[]);
        rig.world.partition.claim_memory(1 << 20, 16);
        for &index in entries {
            assert_eq!(rig.call(H_ENTER, &[EXACT, index, ENTRY, 0x7010 | r::R | (index % 2 * r::C)]).0, 0);
        }
        rig
    }

    #[test]
    fn one_entry() {
        let rig = rig(&[0x20, 0x21]);
        let call = |args: &[u64]| {
            let (status, gpr) = rig.call_registers(H_REMOVE, args);
            (status.0, [gpr[4], gpr[5]])
        };
        let avpn = ENTRY & !0x7F;
        assert_eq!(call(&[0, 0x4000, 0]).0, -4);
        assert_eq!(call(&[0, 0x22, 0]), (-7, [0, 0x22]));
        assert_eq!(call(&[AVPN, 0x20, avpn | 1 << 40]).0, -7);
        assert_eq!(call(&[ANDCOND, 0x20, 1]).0, -7, "that bit is set");
        assert_eq!(call(&[AVPN | ANDCOND, 0x20, avpn]).0, -7);
        assert_eq!(call(&[AVPN, 0x20, avpn]), (0, [ENTRY, 0x7110]));
        assert_eq!(call(&[ANDCOND, 0x21, 2]), (0, [ENTRY, 0x7190]));
        assert_eq!(call(&[0, 0x21, 0]).0, -7);
        assert_eq!(rig.call_registers(H_READ, &[0, 0x20]).1[4..6], [0, 0]);
        assert!(rig.world.partition.forgotten.lock().unwrap().is_empty(), "nobody used them");
        assert_eq!(rig.call(H_ENTER, &[EXACT, 0x20, ENTRY, 0x7010]).0, 0, "it is free again");
    }

    #[test]
    fn several_entries() {
        let rig = rig(&[0x20, 0x21, 0x22, 0x23]);
        let avpn = ENTRY & !0x7F;
        let request = |flags: u64, index: u64| TYPE_REQUEST | flags | index;
        let call = |args: &[u64]| {
            let (status, gpr) = rig.call_registers(H_BULK_REMOVE, args);
            (status.0, [gpr[4], gpr[6], gpr[8], gpr[10]])
        };
        // Reference and change bits are told in bits 4 and 5 of the response.
        let done = |flags: u64, index: u64, rc: u64| TYPE_RESPONSE | flags | index | rc << 58;
        let (missing, end) = (request(0, 0x3000), TYPE_END);
        assert_eq!(
            call(&[request(BULK_AVPN, 0x20), avpn, missing, 0, request(BULK_ANDCOND, 0x21), 0, end, 0]),
            (0, [done(BULK_AVPN, 0x20, 2), TYPE_RESPONSE | BULK_NOT_FOUND | 0x3000, done(BULK_ANDCOND, 0x21, 3), end])
        );
        let both = request(BULK_AVPN | BULK_ANDCOND, 0x22);
        let refused = TYPE_RESPONSE | BULK_PARAMETER | BULK_AVPN | BULK_ANDCOND | 0x22;
        assert_eq!(call(&[both, 0, request(0, 0x22), 0]), (-4, [refused, request(0, 0x22), 0, 0]));
        // One entry twice: it is gone the second time.
        assert_eq!(
            call(&[request(0, 0x22), 0, request(0, 0x22), 0, request(0, 0x4000), 0, request(0, 0x23), 0]),
            (
                -4,
                [
                    done(0, 0x22, 2),
                    TYPE_RESPONSE | BULK_NOT_FOUND | 0x22,
                    TYPE_RESPONSE | BULK_PARAMETER | 0x4000,
                    request(0, 0x23)
                ]
            )
        );
        assert_eq!(call(&[0, 0, 0, 0]).0, -4, "no request");
        assert_eq!(rig.call_registers(H_READ, &[0, 0x23]).1[4], ENTRY, "not reached");
    }

    #[test]
    fn a_block() {
        let rig = rig(&[0x20, 0x21, 0x22]);
        let avpn = ENTRY & !0x7F;
        let request = |index: u64| TYPE_REQUEST | BLOCK_AVPN | index;
        let (status, gpr) = rig.call_registers(
            H_BLOCK_REMOVE,
            &[avpn, request(0x20), request(0x21), request(0x30), TYPE_END, request(0x22)],
        );
        assert_eq!(status.0, 0);
        assert_eq!(
            gpr[5..10],
            [
                TYPE_RESPONSE | BLOCK_AVPN | 0x20 | 2 << 58,
                TYPE_RESPONSE | BLOCK_AVPN | 0x21 | 3 << 58,
                TYPE_RESPONSE | BLOCK_AVPN | 0x30 | BLOCK_NOT_FOUND,
                TYPE_END,
                request(0x22)
            ]
            .map(|word| word & !BLOCK_AVPN | if word & TYPE == TYPE_REQUEST { BLOCK_AVPN } else { 0 })
        );
        let (status, gpr) = rig.call_registers(H_BLOCK_REMOVE, &[avpn + 0x80, request(0x22), TYPE_END]);
        assert_eq!((status.0, gpr[5]), (0, TYPE_RESPONSE | 0x22 | BLOCK_NOT_FOUND));
        assert_eq!(rig.call(H_BLOCK_REMOVE, &[avpn, request(0x4000)]).0, -4);
        assert_eq!(rig.call(H_BLOCK_REMOVE, &[avpn, 0]).0, -4);
    }

    /// Four vCPUs that enter and remove the same few entries: nobody waits for ever, and nothing is found twice.
    #[test]
    fn many_at_once() {
        let rig = rig(&[]);
        let done = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4usize {
                let (rig, done) = (&rig, &done);
                scope.spawn(move || {
                    let mut vcpu = rig.world.partition.vcpu(thread);
                    let mut call = |opcode: u64, args: &[u64]| {
                        vcpu.set_gpr(3, opcode);
                        args.iter().enumerate().for_each(|(n, value)| vcpu.set_gpr(4 + n, *value));
                        let mut context: HcallContext<'_> = rig.world.context(&mut vcpu);
                        let status = rig.hypervisor.hcall(&mut context);
                        (status.0, std::array::from_fn::<u64, 8, _>(|n| vcpu.gpr(4 + n)))
                    };
                    let mut balance = 0i64;
                    for n in 0..3000u64 {
                        balance += i64::from(call(H_ENTER, &[EXACT, n % 5, ENTRY, 0x7010]).0 == 0);
                        let requests: Vec<u64> =
                            (0..4).flat_map(|k| [TYPE_REQUEST | ((n + k * (thread as u64 + 1)) % 5), 0]).collect();
                        let (status, results) = call(H_BULK_REMOVE, &requests);
                        assert_eq!(status, 0);
                        balance -= results.iter().step_by(2).filter(|word| *word & BULK_NOT_FOUND == 0).count() as i64;
                    }
                    done.fetch_add(balance as u64, std::sync::atomic::Ordering::SeqCst);
                });
            }
        });
        let left = (0..5).filter(|&index| rig.call_registers(H_READ, &[0, index]).1[4] != 0).count();
        assert_eq!(done.into_inner(), left as u64);
    }
}
