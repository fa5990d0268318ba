//! Book I chapter 7.6.1.11, 3.1: the matrix-multiply assist (MMA). The prefixed, masked forms stand in `prefixed`.

/// Appends the rows of the chapter `mma` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_mma {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_tm! { $cb $extra $($acc)*
    xxmfacc     mma done "31:6 AS /:2 0:5 /:5 177:10 /" "xxmfacc AS" v3_1 mma user no;
    xxmtacc     mma done "31:6 AS /:2 1:5 /:5 177:10 /" "xxmtacc AS" v3_1 mma user no;
    xxsetaccz   mma done "31:6 AT /:2 3:5 /:5 177:10 /" "xxsetaccz AT" v3_1 mma user no;
    xvi4ger8    mma done "59:6 AT /:2 A B 35:8 AX BX /" "xvi4ger8 AT,XA,XB" v3_1 mma user no;
    xvi4ger8pp  mma done "59:6 AT /:2 A B 34:8 AX BX /" "xvi4ger8pp AT,XA,XB" v3_1 mma user no;
    xvi8ger4    mma done "59:6 AT /:2 A B 3:8 AX BX /" "xvi8ger4 AT,XA,XB" v3_1 mma user no;
    xvi8ger4pp  mma done "59:6 AT /:2 A B 2:8 AX BX /" "xvi8ger4pp AT,XA,XB" v3_1 mma user no;
    xvi8ger4spp mma done "59:6 AT /:2 A B 99:8 AX BX /" "xvi8ger4spp AT,XA,XB" v3_1 mma user no;
    xvi16ger2   mma done "59:6 AT /:2 A B 75:8 AX BX /" "xvi16ger2 AT,XA,XB" v3_1 mma user no;
    xvi16ger2pp mma done "59:6 AT /:2 A B 107:8 AX BX /" "xvi16ger2pp AT,XA,XB" v3_1 mma user no;
    xvi16ger2s  mma done "59:6 AT /:2 A B 43:8 AX BX /" "xvi16ger2s AT,XA,XB" v3_1 mma user no;
    xvi16ger2spp mma done "59:6 AT /:2 A B 42:8 AX BX /" "xvi16ger2spp AT,XA,XB" v3_1 mma user no;
    xvbf16ger2  mma done "59:6 AT /:2 A B 51:8 AX BX /" "xvbf16ger2 AT,XA,XB" v3_1 mma user no;
    xvbf16ger2pp mma done "59:6 AT /:2 A B 50:8 AX BX /" "xvbf16ger2pp AT,XA,XB" v3_1 mma user no;
    xvbf16ger2pn mma done "59:6 AT /:2 A B 178:8 AX BX /" "xvbf16ger2pn AT,XA,XB" v3_1 mma user no;
    xvbf16ger2np mma done "59:6 AT /:2 A B 114:8 AX BX /" "xvbf16ger2np AT,XA,XB" v3_1 mma user no;
    xvbf16ger2nn mma done "59:6 AT /:2 A B 242:8 AX BX /" "xvbf16ger2nn AT,XA,XB" v3_1 mma user no;
    xvf16ger2   mma done "59:6 AT /:2 A B 19:8 AX BX /" "xvf16ger2 AT,XA,XB" v3_1 mma user no;
    xvf16ger2pp mma done "59:6 AT /:2 A B 18:8 AX BX /" "xvf16ger2pp AT,XA,XB" v3_1 mma user no;
    xvf16ger2pn mma done "59:6 AT /:2 A B 146:8 AX BX /" "xvf16ger2pn AT,XA,XB" v3_1 mma user no;
    xvf16ger2np mma done "59:6 AT /:2 A B 82:8 AX BX /" "xvf16ger2np AT,XA,XB" v3_1 mma user no;
    xvf16ger2nn mma done "59:6 AT /:2 A B 210:8 AX BX /" "xvf16ger2nn AT,XA,XB" v3_1 mma user no;
    xvf32ger    mma done "59:6 AT /:2 A B 27:8 AX BX /" "xvf32ger AT,XA,XB" v3_1 mma user no;
    xvf32gerpp  mma done "59:6 AT /:2 A B 26:8 AX BX /" "xvf32gerpp AT,XA,XB" v3_1 mma user no;
    xvf32gerpn  mma done "59:6 AT /:2 A B 154:8 AX BX /" "xvf32gerpn AT,XA,XB" v3_1 mma user no;
    xvf32gernp  mma done "59:6 AT /:2 A B 90:8 AX BX /" "xvf32gernp AT,XA,XB" v3_1 mma user no;
    xvf32gernn  mma done "59:6 AT /:2 A B 218:8 AX BX /" "xvf32gernn AT,XA,XB" v3_1 mma user no;
    xvf64ger    mma done "59:6 AT /:2 Ap Ap0 B 59:8 AXp BX /" "xvf64ger AT,XAp,XB" v3_1 mma user no;
    xvf64gerpp  mma done "59:6 AT /:2 Ap Ap0 B 58:8 AXp BX /" "xvf64gerpp AT,XAp,XB" v3_1 mma user no;
    xvf64gerpn  mma done "59:6 AT /:2 Ap Ap0 B 186:8 AXp BX /" "xvf64gerpn AT,XAp,XB" v3_1 mma user no;
    xvf64gernp  mma done "59:6 AT /:2 Ap Ap0 B 122:8 AXp BX /" "xvf64gernp AT,XAp,XB" v3_1 mma user no;
    xvf64gernn  mma done "59:6 AT /:2 Ap Ap0 B 250:8 AXp BX /" "xvf64gernn AT,XAp,XB" v3_1 mma user no;
    } };
}
