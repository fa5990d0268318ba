//! The fields of the instruction formats: where each stands, how it is read, how it is written in assembly.
//!
//! One table, below. A line is
//!
//! ```text
//! accessor -> type, Field, kind { piece names of the patterns [first bit, width, place in the value].. }
//! ```
//!
//! Bits are numbered as in the manual, 0 being the most significant bit of the 32-bit word. Bits of a prefix word are
//! given as `bit - 32`. A piece name stands at exactly one place in a word: where the manual uses one name at several
//! places (`L`, `UIM`, `SH`, `TX`), the name here carries a suffix.

/// How the value of a field is read and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// General purpose register.
    Gpr,
    /// Floating-point register.
    Fpr,
    /// Even general purpose register of a pair.
    GprPair,
    /// Even floating-point register of a pair.
    FprPair,
    /// Vector register.
    Vr,
    /// Vector-scalar register.
    Vsr,
    /// Accumulator.
    Acc,
    /// Condition register field.
    CrField,
    /// Condition register bit.
    CrBit,
    /// Unsigned number.
    Uint,
    /// Signed number (two's complement in the width of the field).
    Sint,
    /// Offset of the hash instructions: a negative multiple of 8, its six low bits (times 8) in the word.
    HashOffset,
    /// One bit.
    Flag,
}

/// A run of bits of the instruction and its place in the value of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The field it is part of.
    pub field: Field,
    /// Number of the lowest bit in [`crate::Insn::raw`], 0 being the least significant.
    pub lsb: u8,
    /// Width in bits.
    pub width: u8,
    /// The piece's lowest bit in the value of the field.
    pub place: u8,
}

impl Piece {
    /// The bits of the instruction that the piece covers.
    pub const fn mask(self) -> u64 {
        ((1 << self.width) - 1) << self.lsb
    }
    /// The piece's part of the value of its field.
    pub const fn extract(self, raw: u64) -> u64 {
        ((raw >> self.lsb) & ((1 << self.width) - 1)) << self.place
    }
    /// The piece's bits for `value`.
    pub const fn insert(self, value: u64) -> u64 {
        ((value >> self.place) & ((1 << self.width) - 1)) << self.lsb
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// The offset of a hash instruction lies in -512..=-8.
const HASH_BIAS: i64 = 512;

/// The value of a field of this kind whose assembled bits are `bits`, the highest piece ending at `top`.
#[inline(always)]
const fn finish(kind: Kind, bits: u64, top: u32) -> i64 {
    match kind {
        Kind::Sint => ((bits << (64 - top)) as i64) >> (64 - top),
        Kind::HashOffset => bits as i64 - HASH_BIAS,
        _ => bits as i64,
    }
}

macro_rules! convert {
    (bool, $v:expr) => {
        $v != 0
    };
    ($ty:ty, $v:expr) => {
        $v as $ty
    };
}

macro_rules! fields {
    ($( $(#[$doc:meta])* $acc:ident -> $ty:tt, $field:ident, $kind:ident
        { $( $name:ident $([$first:literal $width:literal $place:literal])+ ),+ } )+) => {
        /// A field of the instruction formats. See the accessor of the same name in [`Fields`] for its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Field { $( $field, )+ }

        impl Field {
            /// Every field.
            pub const ALL: &'static [Field] = &[ $( Field::$field, )+ ];

            /// The name of the field, as in templates.
            pub const fn name(self) -> &'static str {
                match self { $( Field::$field => stringify!($field), )+ }
            }

            /// How its value is read and printed.
            pub const fn kind(self) -> Kind {
                match self { $( Field::$field => Kind::$kind, )+ }
            }

            /// Bits of its value, counted from bit 0 of the value.
            pub const fn value_bits(self) -> u32 {
                match self { $( Field::$field => {
                    let mut top = 0;
                    $( $( if $width + $place > top { top = $width + $place; } )+ )+
                    top
                } )+ }
            }

            /// What the accessor of this field returns for `raw`, as a number.
            pub fn get(self, raw: u64) -> i64 {
                let any = Any(raw);
                match self { $( Field::$field => any.$acc() as i64, )+ }
            }
        }

        /// The pieces of one name of a pattern.
        pub(crate) const fn pieces_of_name(name: &[u8]) -> Option<&'static [Piece]> {
            $( $(
                if same(name, stringify!($name).as_bytes()) {
                    const PIECES: &[Piece] = &[ $( Piece {
                        field: Field::$field,
                        lsb: (32i32 - $width - $first) as u8,
                        width: $width,
                        place: $place,
                    } ),+ ];
                    return Some(PIECES);
                }
            )+ )+
            None
        }

        /// Access to the fields of an instruction by the manual's names, in lower case.
        ///
        /// An accessor reads its bits wherever it is asked; only fields that the row of the instruction has mean
        /// anything. Displacements and split fields come assembled, scaled and sign extended.
        pub trait Fields: Copy {
            /// The instruction: the word in the low half, or prefix and suffix.
            fn raw(self) -> u64;

            /// Is the field RA zero (the `RA|0` of the manual)?
            #[inline(always)]
            fn ra_is_0(self) -> bool {
                self.ra() == 0
            }

            /// Is the base of the address CIA, and RA not looked at (R=1 of a prefixed form)?
            #[inline(always)]
            fn cia_relative(self) -> bool {
                false
            }

            $(
                $(#[$doc])*
                #[inline(always)]
                fn $acc(self) -> $ty {
                    let raw = self.raw();
                    let bits = 0u64 $( $( | (((raw >> (32i32 - $width - $first)) & ((1 << $width) - 1)) << $place) )+ )+;
                    // The width is worked out when the accessor is compiled: this runs at each execution.
                    convert!($ty, finish(Kind::$kind, bits, const { Field::$field.value_bits() }))
                }
            )+
        }
    };
}

fields! {
    // Registers.
    /// Target general register.
    rt -> usize, RT, Gpr { RT [6 5 0] }
    /// Source general register.
    rs -> usize, RS, Gpr { RS [6 5 0] }
    /// General register A.
    ra -> usize, RA, Gpr { RA [11 5 0] }
    /// General register B.
    rb -> usize, RB, Gpr { RB [16 5 0] }
    /// General register C (VA form).
    rc_reg -> usize, RC, Gpr { RC [21 5 0] }
    /// Even register of a target pair.
    rtp -> usize, RTp, GprPair { RTp [6 5 0] }
    /// Even register of a source pair.
    rsp -> usize, RSp, GprPair { RSp [6 5 0] }
    /// Target floating-point register.
    frt -> usize, FRT, Fpr { FRT [6 5 0] }
    /// Source floating-point register.
    frs -> usize, FRS, Fpr { FRS [6 5 0] }
    /// Floating-point register A.
    fra -> usize, FRA, Fpr { FRA [11 5 0] }
    /// Floating-point register B.
    frb -> usize, FRB, Fpr { FRB [16 5 0] }
    /// Floating-point register C.
    frc -> usize, FRC, Fpr { FRC [21 5 0] }
    /// Even register of a target floating-point pair.
    frtp -> usize, FRTp, FprPair { FRTp [6 5 0] }
    /// Even register of a source floating-point pair.
    frsp -> usize, FRSp, FprPair { FRSp [6 5 0] }
    /// Even register of floating-point pair A.
    frap -> usize, FRAp, FprPair { FRAp [11 5 0] }
    /// Even register of floating-point pair B.
    frbp -> usize, FRBp, FprPair { FRBp [16 5 0] }
    /// Target vector register.
    vrt -> usize, VRT, Vr { VRT [6 5 0] }
    /// Source vector register.
    vrs -> usize, VRS, Vr { VRS [6 5 0] }
    /// Vector register A.
    vra -> usize, VRA, Vr { VRA [11 5 0] }
    /// Vector register B.
    vrb -> usize, VRB, Vr { VRB [16 5 0] }
    /// Vector register C.
    vrc -> usize, VRC, Vr { VRC [21 5 0] }
    /// Target VSR, TX at bit 31 (XX and X forms).
    xt -> usize, XT, Vsr { T [6 5 0], TX [31 1 5] }
    /// Source VSR, SX at bit 31 (X form).
    xs -> usize, XS, Vsr { S [6 5 0], SX [31 1 5] }
    /// VSR A.
    xa -> usize, XA, Vsr { A [11 5 0], AX [29 1 5] }
    /// VSR B.
    xb -> usize, XB, Vsr { B [16 5 0], BX [30 1 5] }
    /// VSR C.
    xc -> usize, XC, Vsr { C [21 5 0], CX [28 1 5] }
    /// Target VSR, TX at bit 28 (DQ form).
    xt_dq -> usize, XTdq, Vsr { Tdq [6 5 0], TXdq [28 1 5] }
    /// Source VSR, SX at bit 28 (DQ form).
    xs_dq -> usize, XSdq, Vsr { Sdq [6 5 0], SXdq [28 1 5] }
    /// Even VSR of a target pair: `32*TX + 2*Tp`.
    xtp -> usize, XTp, Vsr { Tp [6 4 1], TXp [10 1 5] }
    /// Even VSR of a source pair: `32*SX + 2*Sp`.
    xsp -> usize, XSp, Vsr { Sp [6 4 1], SXp [10 1 5] }
    /// Even VSR of pair A (MMA).
    xap -> usize, XAp, Vsr { Ap [11 4 1], AXp [29 1 5], Ap0 [15 1 0] }
    /// Target VSR of the prefixed loads, TX at bit 5 of the suffix.
    xt_8ls -> usize, XT8, Vsr { T8 [6 5 0], TX8 [5 1 5] }
    /// Source VSR of the prefixed stores, SX at bit 5 of the suffix.
    xs_8ls -> usize, XS8, Vsr { S8 [6 5 0], SX8 [5 1 5] }
    /// Target VSR of the prefixed splats, TX at bit 15 of the suffix.
    xt_8rr -> usize, XT8R, Vsr { T8R [6 5 0], TX8R [15 1 5] }
    /// Target accumulator.
    at -> usize, AT, Acc { AT [6 3 0] }
    /// Source accumulator.
    acc_s -> usize, AS, Acc { AS [6 3 0] }
    /// Target CR field.
    bf -> usize, BF, CrField { BF [6 3 0] }
    /// Source CR field.
    bfa -> usize, BFA, CrField { BFA [11 3 0] }
    /// FPSCR field that is the source of `mcrfs`.
    bfa_fpscr -> usize, FPF, CrField { FPF [11 3 0] }
    /// FPSCR field that is the target of `mtfsfi`.
    bf_fpscr -> usize, FPT, Uint { FPT [6 3 0] }
    /// Target CR bit.
    bt -> u32, BT, CrBit { BT [6 5 0] }
    /// Target FPSCR bit of `mtfsb0` and `mtfsb1`.
    bt_fpscr -> u32, BTF, Uint { BTF [6 5 0] }
    /// CR bit A.
    ba -> u32, BA, CrBit { BA [11 5 0] }
    /// CR bit B.
    bb -> u32, BB, CrBit { BB [16 5 0] }
    /// CR bit C (`isel`).
    bc -> u32, BC, CrBit { BC [21 5 0] }
    /// CR bit of a branch or of the `setbc` family.
    bi -> u32, BI, CrBit { BI [11 5 0] }

    // Flags.
    /// Record: set CR0, CR1 or CR6.
    rc -> bool, Rc, Flag { Rc [31 1 0] }
    /// Record, at bit 21 (VC form).
    rc_vc -> bool, Rcv, Flag { Rcv [21 1 0] }
    /// Set OV and SO.
    oe -> bool, OE, Flag { OE [21 1 0] }
    /// Absolute address.
    aa -> bool, AA, Flag { AA [30 1 0] }
    /// Set LR.
    lk -> bool, LK, Flag { LK [31 1 0] }
    /// Exclusive access hint of load and reserve.
    eh -> bool, EH, Uint { EH [31 1 0] }
    /// Prefix: displacement is relative to the instruction.
    r -> bool, R, Uint { R [-21 1 0] }

    // Branches, system call, traps.
    /// Branch options.
    bo -> u32, BO, Uint { BO [6 5 0] }
    /// Branch hint.
    bh -> u32, BH, Uint { BH [19 2 0] }
    /// Branch displacement in bytes, conditional.
    bd -> i64, BD, Sint { BD [16 14 2] }
    /// Branch displacement in bytes.
    li -> i64, LI, Sint { LI [6 24 2] }
    /// System call level.
    lev -> u32, LEV, Uint { LEV [20 7 0] }
    /// Trap conditions.
    to -> u32, TO, Uint { TO [6 5 0] }

    // Immediates and displacements.
    /// Signed immediate.
    si -> i64, SI, Sint { SI [16 16 0] }
    /// Unsigned immediate.
    ui -> u64, UI, Uint { UI [16 16 0] }
    /// Displacement in bytes.
    d -> i64, D, Sint { D [16 16 0] }
    /// Displacement in bytes, a multiple of 4.
    ds -> i64, DS, Sint { DS [16 14 2] }
    /// Displacement in bytes, a multiple of 16.
    dq -> i64, DQ, Sint { DQ [16 12 4] }
    /// Immediate of `addpcis`, not yet shifted.
    dx -> i64, DX, Sint { d0 [16 10 6], d1 [11 5 1], d2 [31 1 0] }
    /// Offset of the hash instructions in bytes, -512..=-8.
    hash_d -> i64, HASHD, HashOffset { hd [6 5 3], hdx [31 1 8] }
    /// Prefixed displacement in bytes.
    d34 -> i64, D34, Sint { pd0 [-18 18 16], pd1 [16 16 0] }
    /// Prefixed signed immediate.
    si34 -> i64, SI34, Sint { si0 [-18 18 16], si1 [16 16 0] }

    // Rotates, shifts, bytes.
    /// Shift amount, 5 bits.
    sh -> u32, SH, Uint { SH [16 5 0] }
    /// Shift amount, 6 bits.
    sh6 -> u32, SH6, Uint { sh [16 5 0], sh5 [30 1 5] }
    /// Mask begin, 5 bits.
    mb -> u32, MB, Uint { MB [21 5 0] }
    /// Mask end, 5 bits.
    me -> u32, ME, Uint { ME [26 5 0] }
    /// Mask begin, 6 bits.
    mb6 -> u32, MB6, Uint { mb [21 5 0], mb5 [26 1 5] }
    /// Mask end, 6 bits.
    me6 -> u32, ME6, Uint { me [21 5 0], me5 [26 1 5] }
    /// Number of bytes; 0 means 32.
    nb -> u32, NB, Uint { NB [16 5 0] }
    /// Which overflow bit `addex` uses.
    cy -> u32, CY, Uint { CY [21 2 0] }
    /// Function code of an atomic memory operation.
    fc -> u32, FC, Uint { FC [16 5 0] }

    // Special purpose registers, condition register, machine state.
    /// Special purpose register number, halves in order.
    spr -> u32, SPR, Uint { spr [11 5 0] [16 5 5] }
    /// Time base register number, halves in order.
    tbr -> u32, TBR, Uint { tbr [11 5 0] [16 5 5] }
    /// Mask of CR fields.
    fxm -> u32, FXM, Uint { FXM [12 8 0] }
    /// L of compares: 64 bits.
    l -> bool, L, Uint { L [10 1 0] }
    /// L of `mtmsr`, `mtmsrd`, `slbmfee`, `slbmfev`, `slbiag`.
    l15 -> bool, L15, Uint { L15 [15 1 0] }
    /// L of `darn`.
    l14 -> u32, L14, Uint { L14 [14 2 0] }
    /// L of `sync` and `dcbf`, 3 bits (the first is reserved before 3.1).
    l3 -> u32, L3, Uint { L3 [8 3 0] }
    /// Store category of `sync`.
    sc -> u32, SC, Uint { SC [14 2 0] }
    /// S of `rfebb`.
    s20 -> bool, S20, Uint { S20 [20 1 0] }
    /// Wait condition.
    wc -> u32, WC, Uint { WC [9 2 0] }
    /// Pause length of `wait`.
    pl -> u32, PL, Uint { PL [14 2 0] }
    /// Invalidation hint of `slbia`.
    ih -> u32, IH, Uint { IH [8 3 0] }
    /// Radix invalidation control.
    ric -> u32, RIC, Uint { RIC [12 2 0] }
    /// Process (1) or partition (0) scoped.
    prs -> bool, PRS, Uint { PRS [14 1 0] }
    /// Radix (1) or hash (0) entries.
    r15 -> bool, R15, Uint { R15 [15 1 0] }
    /// Entry of the branch history.
    bhrbe -> u32, BHRBE, Uint { BHRBE [11 10 0] }
    /// Touch hint.
    th -> u32, TH, Uint { TH [6 5 0] }
    /// Cache level of `icbt`.
    ct -> u32, CT, Uint { CT [7 4 0] }
    /// Stream of `dst`, `dss`.
    strm -> u32, STRM, Uint { STRM [9 2 0] }
    /// The A of `dst` (transient) and `dss` (all), and of `tend.`.
    a6 -> bool, A6, Uint { A6 [6 1 0] }

    // Binary and decimal floating point.
    /// L of `mtfsf`: the whole register.
    l6 -> bool, L6, Uint { L6 [6 1 0] }
    /// Mask of FPSCR fields.
    flm -> u32, FLM, Uint { FLM [7 8 0] }
    /// Which half of the FPSCR.
    w -> bool, W, Uint { W [15 1 0] }
    /// Immediate of `mtfsfi`.
    u -> u32, U, Uint { U [16 4 0] }
    /// Binary rounding mode of `mffscrni`.
    rm -> u32, RM, Uint { RM [19 2 0] }
    /// Decimal rounding mode of `mffscdrni`.
    drm -> u32, DRM, Uint { DRM [18 3 0] }
    /// Rounding mode control.
    rmc -> u32, RMC, Uint { RMC [21 2 0] }
    /// Exponent of `dquai`.
    te -> i64, TE, Sint { TE [11 5 0] }
    /// Sign handling of `ddedpd`.
    sp -> u32, SP, Uint { SP [11 2 0] }
    /// Signed operand of `denbcd`.
    s11 -> bool, S11, Uint { S11 [11 1 0] }
    /// Decimal shift amount.
    shd -> u32, SHD, Uint { SHD [16 6 0] }
    /// Data class mask, decimal.
    dcm -> u32, DCM, Uint { DCM [16 6 0] }
    /// Data group mask, decimal.
    dgm -> u32, DGM, Uint { DGM [16 6 0] }
    /// Significance of `dtstsfi`.
    uim6 -> u32, UIM6, Uint { UIM6 [10 6 0] }
    /// Round to odd (quad precision).
    ro -> bool, RO, Flag { RO [31 1 0] }
    /// Exact: set XX (`xsrqpix`).
    ex -> bool, EX, Flag { EX [31 1 0] }

    // Vectors.
    /// Signed immediate, 5 bits (`vspltisb`).
    sim -> i64, SIM, Sint { SIM [11 5 0] }
    /// Unsigned immediate, 5 bits.
    uim -> u32, UIM5, Uint { UIM5 [11 5 0] }
    /// Unsigned immediate, 4 bits.
    uim4 -> u32, UIM4, Uint { UIM4 [12 4 0] }
    /// Unsigned immediate, 3 bits.
    uim3 -> u32, UIM3, Uint { UIM3 [13 3 0] }
    /// Unsigned immediate, 2 bits.
    uim2 -> u32, UIM2, Uint { UIM2 [14 2 0] }
    /// Shift in bytes (`vsldoi`).
    shb -> u32, SHB, Uint { SHB [22 4 0] }
    /// Shift in bits (`vsldbi`, `vsrdbi`).
    shv -> u32, SHV3, Uint { SHV3 [23 3 0] }
    /// Preferred sign.
    ps -> bool, PS, Uint { PS [22 1 0] }
    /// Which sigma function.
    st -> bool, ST, Uint { ST [16 1 0] }
    /// Which of the two sigmas, an element a bit.
    six -> u32, SIX, Uint { SIX [17 4 0] }
    /// Gather every N-th bit.
    n -> u32, N, Uint { N [13 3 0] }
    /// Count ones (1) or zeros (0).
    mp -> bool, MP, Uint { MP [15 1 0] }
    /// Byte mask of `mtvsrbmi`: its low 16 bits count.
    bm -> i64, BM, Sint { bm0 [16 10 6], bm1 [11 5 1], bm2 [31 1 0] }
    /// Shift in words (`xxsldwi`).
    shw -> u32, SHW, Uint { SHW [22 2 0] }
    /// Doubleword selection (`xxpermdi`).
    dm -> u32, DM, Uint { DM [22 2 0] }
    /// Immediate of `xxspltib`.
    imm8 -> u32, IMM8, Uint { IMM8 [13 8 0] }
    /// Immediate of `xxgenpcvbm` and its kin.
    imm5 -> u32, IMM5, Uint { IMM5 [11 5 0] }
    /// Which constant `lxvkq` loads.
    uim_kq -> u32, UIMK, Uint { UIMK [16 5 0] }
    /// Data class mask, vector forms: `dc || dm || dx`.
    dcmx -> u32, DCMX, Uint { dx [11 5 0], dm [29 1 5], dc [25 1 6] }
    /// Data class mask, scalar forms.
    dcmx_s -> u32, DCMXs, Uint { DCMXs [9 7 0] }

    // Prefixed forms.
    /// Immediate of the prefixed splats.
    imm32 -> u64, IMM32, Uint { im0 [-16 16 16], im1 [16 16 0] }
    /// Which word `xxsplti32dx` writes.
    ix -> u32, IX, Uint { IX [14 1 0] }
    /// Selection immediate of `xxpermx`.
    uim_x -> u32, UIMX, Uint { UIMX [-3 3 0] }
    /// Truth table of `xxeval`.
    imm8_x -> u32, IMM8X, Uint { IMM8X [-8 8 0] }
    /// Mask of rows.
    xmsk -> u32, XMSK, Uint { XMSK [-8 4 0] }
    /// Mask of columns.
    ymsk -> u32, YMSK, Uint { YMSK [-4 4 0] }
    /// Mask of columns, double precision.
    ymsk2 -> u32, YMSK2, Uint { YMSK2 [-4 2 0] }
    /// Mask of products, 8 bits.
    pmsk8 -> u32, PMSK8, Uint { PMSK8 [-16 8 0] }
    /// Mask of products, 4 bits.
    pmsk4 -> u32, PMSK4, Uint { PMSK4 [-16 4 0] }
    /// Mask of products, 2 bits.
    pmsk2 -> u32, PMSK2, Uint { PMSK2 [-16 2 0] }

    // Transactional memory.
    /// R of `tbegin.`: rollback only.
    r10 -> bool, R10, Uint { R10 [10 1 0] }
    /// Signed immediate, 5 bits (`tabortwci.`).
    si5 -> i64, SI5, Sint { SI5 [16 5 0] }
}

/// Fields read from the word, nothing known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Any(pub u64);

impl Fields for Any {
    #[inline(always)]
    fn raw(self) -> u64 {
        self.0
    }
}

/// A prefixed load, store or `paddi`, read as the plain form of its suffix: registers stand where the plain form has
/// them, displacement and immediate are the 34-bit ones, and R asks for CIA as the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefixed(pub u64);

impl Fields for Prefixed {
    #[inline(always)]
    fn raw(self) -> u64 {
        self.0
    }
    #[inline(always)]
    fn cia_relative(self) -> bool {
        Any(self.0).r()
    }
    #[inline(always)]
    fn d(self) -> i64 {
        Any(self.0).d34()
    }
    #[inline(always)]
    fn ds(self) -> i64 {
        Any(self.0).d34()
    }
    #[inline(always)]
    fn dq(self) -> i64 {
        Any(self.0).d34()
    }
    #[inline(always)]
    fn si(self) -> i64 {
        Any(self.0).si34()
    }
    #[inline(always)]
    fn xt_dq(self) -> usize {
        Any(self.0).xt_8ls()
    }
    #[inline(always)]
    fn xs_dq(self) -> usize {
        Any(self.0).xs_8ls()
    }
}

/// Fields of which Rc, OE and "RA is 0" may be known when the code is compiled: 0 known false, 1 known true, 2 read
/// from the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spec<const RC: u8, const OE: u8, const RA0: u8>(pub u64);

impl<const RC: u8, const OE: u8, const RA0: u8> Fields for Spec<RC, OE, RA0> {
    #[inline(always)]
    fn raw(self) -> u64 {
        self.0
    }
    #[inline(always)]
    fn rc(self) -> bool {
        match RC {
            0 => false,
            1 => true,
            _ => Any(self.0).rc(),
        }
    }
    #[inline(always)]
    fn oe(self) -> bool {
        match OE {
            0 => false,
            1 => true,
            _ => Any(self.0).oe(),
        }
    }
    #[inline(always)]
    fn ra_is_0(self) -> bool {
        match RA0 {
            0 => false,
            1 => true,
            _ => Any(self.0).ra_is_0(),
        }
    }
}
