//! Transactional memory (Power ISA 3.0B, Book II, chapter 5). The machine does not have it, as no POWER10 has and
//! as partitions of older processors need not: MSR\[TM\] stays zero, and each of its instructions is a facility
//! unavailable interrupt.
#![allow(missing_docs)] // a function a row: the table names it

use crate::helpers::semantics;
use crate::system_helpers::tm_unavailable;

macro_rules! unavailable {
    ($($name:ident)*) => { semantics! { $(
        $name(s, _i) {
            let zero = s.long(0);
            s.try_call(tm_unavailable, zero, zero, zero)?;
            Ok(())
        }
    )* } };
}

unavailable! {
    tbegin_ tend_ tabort_ tabortwc_ tabortwci_ tabortdc_ tabortdci_ tsr_ tcheck treclaim_ trechkpt_
}
