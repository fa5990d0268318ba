//! Which rows are run, and which of them stand in streams.

use super::generate::Test;
use super::record::{Ending, Order, Snapshot};
use isa::{Chapter, Field, Insn, Op, Privilege};

/// Rows that are not run at all, and why.
pub fn skipped(op: Op) -> Option<&'static str> {
    Some(match op {
        Op::sc | Op::scv => "a system call of the host",
        Op::wait => "waits",
        Op::mftb | Op::darn => "a different result each time",
        Op::hashst | Op::hashchk => "the key is random; `xtask diff --system` has them",
        _ if op.row().chapter == Chapter::tm => {
            "QEMU's user mode lets every transaction fail; with MSR[TM]=0 `xtask diff --system` has them"
        }
        _ => return None,
    })
}

/// Rows of which the manual says how they end, while QEMU cannot be asked: multiple and string accesses are an
/// Alignment interrupt in little-endian mode (Book I 3.3.6, 3.3.7), which ends this QEMU.
pub fn decided(test: &Test) -> Option<(Snapshot, Ending)> {
    const SIGBUS: u64 = 7;
    (several(test.op) && test.order == Order::Little)
        .then(|| (test.before.clone(), Ending::Signal { number: SIGBUS, code: 0, nip: test.start() }))
}

/// Multiple and string accesses.
fn several(op: Op) -> bool {
    matches!(op, Op::lmw | Op::stmw | Op::lswi | Op::lswx | Op::stswi | Op::stswx)
}

/// Rows that this QEMU does not have: it takes them as illegal.
pub fn absent(op: Op) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| op.row().name.starts_with(p));
    starts(&["reserved_nop_", "dst"])
        || matches!(
            op,
            Op::addex
                | Op::icbt
                | Op::copy
                | Op::paste_
                | Op::cpabort
                | Op::rfscv
                | Op::rfebb
                | Op::clrbhrb
                | Op::mfbhrbe
                | Op::slbfee_
        )
}

/// Why a row does not stand in streams of a byte order.
pub fn left_out(op: Op, order: Order) -> Option<&'static str> {
    let row = op.row();
    match op {
        _ if !row.implemented => Some("no semantics yet"),
        _ if skipped(op).is_some() => skipped(op),
        _ if row.privilege != Privilege::User => Some("a Program interrupt in problem state: alone only"),
        _ if absent(op) => Some("this QEMU does not have it: alone only"),
        Op::stqcx_ => Some("stqcx. never succeeds in this QEMU (Book II 4.6.2): alone only"),
        _ if several(op) && order == Order::Little => Some("an Alignment interrupt in little-endian mode: alone only"),
        _ => None,
    }
}

/// Instructions that mostly end a stream.
pub fn is_rare(op: Op) -> bool {
    matches!(op, Op::tw | Op::td | Op::twi | Op::tdi)
}

/// Is it a form that this QEMU has, and that enables no floating-point exception? With one enabled, what QEMU does depends on
/// what happened before.
pub fn form(insn: Insn) -> bool {
    let get = |f| insn.get(f);
    match insn.op {
        Op::sync => get(Field::L3) <= 2 && get(Field::SC) == 0,
        Op::dcbf => get(Field::L3) == 0,
        // Fields 6 and 7 have the enables; 7 has RN, too.
        Op::mtfsf => get(Field::FLM) & 3 == 0 && get(Field::L6) == 0,
        Op::mtfsfi => get(Field::W) == 1 || get(Field::FPT) < 6 || get(Field::FPT) == 7 && get(Field::U) < 4,
        Op::mtfsb1 => !(24..=29).contains(&get(Field::BTF)),
        _ => true,
    }
}

/// Rows of which nothing is excused, in streams of their own: they are defined in full, and are what this QEMU has.
pub fn exact(op: Op) -> bool {
    let row = op.row();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| row.name.starts_with(p));
    match row.chapter {
        Chapter::branch | Chapter::storage | Chapter::atomic => !matches!(op, Op::lwat | Op::ldat | Op::stwat),
        // A quotient may be undefined.
        Chapter::fixed => !starts(&["div", "mod"]),
        Chapter::system => op == Op::mfspr,
        Chapter::vmx => {
            !starts(&["vdiv", "vmod", "bcd", "vrldmi", "mtvscr", "vext", "vinsert", "vexpte", "vlog", "vgnb"])
                && !matches!(op, Op::vrefp | Op::vrsqrtefp)
        }
        Chapter::vsx => {
            starts(&["xxl", "xxp", "xxm", "xxsel", "xxbr", "xxsplt", "xxsl", "mfvsr", "xsabs", "xsneg", "xscpsgn"])
                || starts(&["lxv", "stxv", "stxs"])
        }
        Chapter::prefixed => !starts(&["plxs", "pmxvf", "pmxvb"]),
        Chapter::mma => !starts(&["xvf", "xvb"]),
        _ => false,
    }
}

/// May the word stand in a stream of floating-point arithmetic, where values have to be the same, and of FPSCR what is
/// compared? What QEMU computes otherwise is left out: negation behind a directed rounding, estimates, vectors,
/// of whose exceptions it reports one, and the singles of VSX, which it rounds twice.
pub fn floats(op: Op) -> bool {
    let row = op.row();
    let any = |names: &[&str]| names.contains(&row.name);
    let between = |prefixes: &[&str], suffixes: &[&str]| {
        prefixes.iter().any(|p| row.name.strip_prefix(p).is_some_and(|rest| suffixes.contains(&rest)))
    };
    row.implemented
        && !row.prefixed
        && match row.chapter {
            Chapter::fp => {
                between(&["fadd", "fsub", "fmul", "fdiv", "fsqrt", "fmadd", "fmsub"], &["", "s"])
                    || between(&["fctid", "fctiw"], &["", "z", "u", "uz"])
                    || between(&["fcfid"], &["", "s", "u", "us"])
                    || any(&["frsp", "frin", "friz", "frip", "frim", "fsel", "fmr", "fneg", "fabs", "fnabs", "fcpsgn"])
                    || any(&[
                        "fmrgew", "fmrgow", "lfs", "lfd", "lfsx", "lfdx", "stfs", "stfd", "stfsx", "stfdx", "stfiwx",
                    ])
            }
            Chapter::vsx => {
                between(
                    &["xsadd", "xssub", "xsmul", "xsdiv", "xssqrt", "xsmadda", "xsmaddm", "xsmsuba", "xsmsubm"],
                    &["dp"],
                ) || between(&["xsmax", "xsmin", "xscmpeq", "xscmpge", "xscmpgt", "xsabs", "xsneg", "xscpsgn"], &["dp"])
                    || between(&["xvmax", "xvmin"], &["dp", "sp"])
                    || between(&["xsrdpi"], &["", "c", "m", "p", "z"])
            }
            _ => false,
        }
}
