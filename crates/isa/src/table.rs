//! The table itself: the chapters put together, and what expands from them here.

use crate::row::{Ends, Facility, IsaLevel, Pattern, Privilege, Row, parse};

/// Ends the chain of chapters: hands the rows to the callback.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_end {
    ($cb:ident [$($extra:tt)*] $($rows:tt)*) => { $cb! { [$($extra)*] $($rows)* } };
}

/// Hands every row of the table to a macro: `for_each_row! { callback extra tokens }` becomes
/// `callback! { [extra tokens] row row .. }`, a row being
///
/// ```text
/// name chapter status "bit pattern" "assembly template" levels facility privilege ends;
/// ```
///
/// that is `$name:ident $chapter:ident $status:ident $pattern:literal $asm:literal $levels:ident $facility:ident
/// $privilege:ident $ends:ident ;`
///
/// | token | is |
/// |---|---|
/// | name | the base mnemonic in lower case: `Op::name`, and `sem::chapter::name`; a dot that is always there becomes `_` |
/// | chapter | `branch fixed storage atomic system fp dfp vmx vsx mma tm prefixed` |
/// | status | `done`: its semantics exist; `todo`: decoded, executes as illegal |
/// | levels | `v2_07 v3_0 v3_1`: since then; `until_v2_07`, `until_v3_0`: gone after that |
/// | facility | [`crate::Facility`] in lower case |
/// | privilege | `user privileged hyper` |
/// | ends | `no branch context` |
#[macro_export]
macro_rules! for_each_row {
    ($cb:ident $($extra:tt)*) => { $crate::rows_branch! { $cb [$($extra)*] } };
}

/// The words of the rows, as values.
#[allow(non_upper_case_globals, dead_code)]
mod words {
    use super::{Ends, Facility, IsaLevel, Privilege};
    use IsaLevel::{V2_07, V3_0, V3_1};
    pub const done: bool = true;
    pub const todo: bool = false;
    pub const v2_07: (IsaLevel, IsaLevel) = (V2_07, V3_1);
    pub const v3_0: (IsaLevel, IsaLevel) = (V3_0, V3_1);
    pub const v3_1: (IsaLevel, IsaLevel) = (V3_1, V3_1);
    pub const until_v2_07: (IsaLevel, IsaLevel) = (V2_07, V2_07);
    pub const until_v3_0: (IsaLevel, IsaLevel) = (V2_07, V3_0);
    pub const none: Facility = Facility::None;
    pub const fp: Facility = Facility::Fp;
    pub const vec: Facility = Facility::Vec;
    pub const vsx: Facility = Facility::Vsx;
    pub const vsx_or_vec: Facility = Facility::VsxOrVec;
    pub const fp_or_vec: Facility = Facility::FpOrVec;
    pub const dfp: Facility = Facility::Dfp;
    pub const tm: Facility = Facility::Tm;
    pub const mma: Facility = Facility::Mma;
    pub const tar: Facility = Facility::Tar;
    pub const scv: Facility = Facility::Scv;
    pub const ebb: Facility = Facility::Ebb;
    pub const bhrb: Facility = Facility::Bhrb;
    pub const msgp: Facility = Facility::Msgp;
    pub const user: Privilege = Privilege::User;
    pub const privileged: Privilege = Privilege::Privileged;
    pub const hyper: Privilege = Privilege::Hyper;
    pub const no: Ends = Ends::No;
    pub const branch: Ends = Ends::Branch;
    pub const context: Ends = Ends::Context;
}

/// Chapter of the table, which is also the module of the semantics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, missing_docs)]
pub enum Chapter {
    branch,
    fixed,
    storage,
    atomic,
    system,
    fp,
    dfp,
    vmx,
    vsx,
    mma,
    tm,
    prefixed,
}

macro_rules! expand {
    ([] $( $name:ident $chapter:ident $status:ident $pattern:literal $asm:literal $levels:ident $facility:ident
        $privilege:ident $ends:ident; )*) => {
        /// An instruction: a row of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(non_camel_case_types, missing_docs)]
        #[repr(u16)]
        pub enum Op { $( $name, )* }

        impl Op {
            /// Every instruction, in the order of the table.
            pub const ALL: &'static [Op] = &[ $( Op::$name, )* ];
        }

        /// Reads each pattern in a constant of its own, so that an error names its line.
        #[allow(non_upper_case_globals)]
        mod patterns {
            use super::{Chapter, Pattern, parse};
            $( pub const $name: Pattern = parse($pattern, if matches!(Chapter::$chapter, Chapter::prefixed) { 32 } else { 0 }); )*
        }

        static ROWS: &[Row] = &[ $( Row {
            op: Op::$name,
            name: stringify!($name),
            chapter: Chapter::$chapter,
            implemented: words::$status,
            pattern: patterns::$name,
            asm: $asm,
            since: words::$levels.0,
            until: words::$levels.1,
            facility: words::$facility,
            privilege: words::$privilege,
            ends: words::$ends,
            prefixed: matches!(Chapter::$chapter, Chapter::prefixed),
        }, )* ];
    };
}

crate::for_each_row! { expand }

impl Op {
    /// What the table says of it.
    #[inline]
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The instruction whose row has this name.
    pub fn from_name(name: &str) -> Option<Op> {
        ROWS.iter().find(|r| r.name == name).map(|r| r.op)
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.row().name)
    }
}
