//! Prefixed instructions of 3.1.

/// Appends the rows of the chapter `prefixed` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_prefixed {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_end! { $cb $extra $($acc)*
    paddi       prefixed done "1:6 2:2 0:1 /:2 R /:2 si0 14:6 RT RA si1" "paddi RT,RA0,SI34,R" v3_1 none user no;
    plwz        prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 32:6 RT RA pd1" "plwz RT,D34(RA0),R" v3_1 none user no;
    plbz        prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 34:6 RT RA pd1" "plbz RT,D34(RA0),R" v3_1 none user no;
    pstw        prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 36:6 RS RA pd1" "pstw RS,D34(RA0),R" v3_1 none user no;
    pstb        prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 38:6 RS RA pd1" "pstb RS,D34(RA0),R" v3_1 none user no;
    plhz        prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 40:6 RT RA pd1" "plhz RT,D34(RA0),R" v3_1 none user no;
    plha        prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 42:6 RT RA pd1" "plha RT,D34(RA0),R" v3_1 none user no;
    psth        prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 44:6 RS RA pd1" "psth RS,D34(RA0),R" v3_1 none user no;
    plfs        prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 48:6 FRT RA pd1" "plfs FRT,D34(RA0),R" v3_1 fp user no;
    plfd        prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 50:6 FRT RA pd1" "plfd FRT,D34(RA0),R" v3_1 fp user no;
    pstfs       prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 52:6 FRS RA pd1" "pstfs FRS,D34(RA0),R" v3_1 fp user no;
    pstfd       prefixed done "1:6 2:2 0:1 /:2 R /:2 pd0 54:6 FRS RA pd1" "pstfd FRS,D34(RA0),R" v3_1 fp user no;
    plwa        prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 41:6 RT RA pd1" "plwa RT,D34(RA0),R" v3_1 none user no;
    plxsd       prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 42:6 VRT RA pd1" "plxsd VRT,D34(RA0),R" v3_1 vec user no;
    plxssp      prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 43:6 VRT RA pd1" "plxssp VRT,D34(RA0),R" v3_1 vec user no;
    pstxsd      prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 46:6 VRS RA pd1" "pstxsd VRS,D34(RA0),R" v3_1 vec user no;
    pstxssp     prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 47:6 VRS RA pd1" "pstxssp VRS,D34(RA0),R" v3_1 vec user no;
    plq         prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 56:6 RTp RA pd1" "plq RTp,D34(RA0),R" v3_1 none user no;
    pld         prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 57:6 RT RA pd1" "pld RT,D34(RA0),R" v3_1 none user no;
    pstq        prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 60:6 RSp RA pd1" "pstq RSp,D34(RA0),R" v3_1 none user no;
    pstd        prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 61:6 RS RA pd1" "pstd RS,D34(RA0),R" v3_1 none user no;
    plxv        prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 25:5 TX8 T8 RA pd1" "plxv XT8,D34(RA0),R" v3_1 vsx_or_vec user no;
    pstxv       prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 27:5 SX8 S8 RA pd1" "pstxv XS8,D34(RA0),R" v3_1 vsx_or_vec user no;
    plxvp       prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 58:6 Tp TXp RA pd1" "plxvp XTp,D34(RA0),R" v3_1 vsx user no;
    pstxvp      prefixed done "1:6 0:2 0:1 /:2 R /:2 pd0 62:6 Sp SXp RA pd1" "pstxvp XSp,D34(RA0),R" v3_1 vsx user no;
    xxsplti32dx prefixed done "1:6 1:2 0:4 /:4 im0 32:6 T8R 0:3 IX TX8R im1" "xxsplti32dx XT8R,IX,IMM32" v3_1 vsx user no;
    xxspltidp   prefixed done "1:6 1:2 0:4 /:4 im0 32:6 T8R 2:4 TX8R im1" "xxspltidp XT8R,IMM32" v3_1 vsx user no;
    xxspltiw    prefixed done "1:6 1:2 0:4 /:4 im0 32:6 T8R 3:4 TX8R im1" "xxspltiw XT8R,IMM32" v3_1 vsx user no;
    xxblendvb   prefixed done "1:6 1:2 0:4 /:20 33:6 T A B C 0:2 CX AX BX TX" "xxblendvb XT,XA,XB,XC" v3_1 vsx user no;
    xxblendvh   prefixed done "1:6 1:2 0:4 /:20 33:6 T A B C 1:2 CX AX BX TX" "xxblendvh XT,XA,XB,XC" v3_1 vsx user no;
    xxblendvw   prefixed done "1:6 1:2 0:4 /:20 33:6 T A B C 2:2 CX AX BX TX" "xxblendvw XT,XA,XB,XC" v3_1 vsx user no;
    xxblendvd   prefixed done "1:6 1:2 0:4 /:20 33:6 T A B C 3:2 CX AX BX TX" "xxblendvd XT,XA,XB,XC" v3_1 vsx user no;
    xxpermx     prefixed done "1:6 1:2 0:4 /:17 UIMX 34:6 T A B C 0:2 CX AX BX TX" "xxpermx XT,XA,XB,XC,UIMX" v3_1 vsx user no;
    xxeval      prefixed done "1:6 1:2 0:4 /:12 IMM8X 34:6 T A B C 1:2 CX AX BX TX" "xxeval XT,XA,XB,XC,IMM8X" v3_1 vsx user no;
    // Any suffix that is no branch, no context synchronization and no other instruction named in Book I 3.3.18.
    pnop        prefixed done "1:6 3:2 0:4 /:20 /:32" "pnop" v3_1 none user no;
    // Masked forms of MMA.
    pmxvi4ger8  prefixed done "1:6 3:2 9:4 /:4 PMSK8 XMSK YMSK 59:6 AT /:2 A B 35:8 AX BX /" "pmxvi4ger8 AT,XA,XB,XMSK,YMSK,PMSK8" v3_1 mma user no;
    pmxvi4ger8pp prefixed done "1:6 3:2 9:4 /:4 PMSK8 XMSK YMSK 59:6 AT /:2 A B 34:8 AX BX /" "pmxvi4ger8pp AT,XA,XB,XMSK,YMSK,PMSK8" v3_1 mma user no;
    pmxvi8ger4  prefixed done "1:6 3:2 9:4 /:4 PMSK4 /:4 XMSK YMSK 59:6 AT /:2 A B 3:8 AX BX /" "pmxvi8ger4 AT,XA,XB,XMSK,YMSK,PMSK4" v3_1 mma user no;
    pmxvi8ger4pp prefixed done "1:6 3:2 9:4 /:4 PMSK4 /:4 XMSK YMSK 59:6 AT /:2 A B 2:8 AX BX /" "pmxvi8ger4pp AT,XA,XB,XMSK,YMSK,PMSK4" v3_1 mma user no;
    pmxvi8ger4spp prefixed done "1:6 3:2 9:4 /:4 PMSK4 /:4 XMSK YMSK 59:6 AT /:2 A B 99:8 AX BX /" "pmxvi8ger4spp AT,XA,XB,XMSK,YMSK,PMSK4" v3_1 mma user no;
    pmxvi16ger2 prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 75:8 AX BX /" "pmxvi16ger2 AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvi16ger2pp prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 107:8 AX BX /" "pmxvi16ger2pp AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvi16ger2s prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 43:8 AX BX /" "pmxvi16ger2s AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvi16ger2spp prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 42:8 AX BX /" "pmxvi16ger2spp AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvbf16ger2 prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 51:8 AX BX /" "pmxvbf16ger2 AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvbf16ger2pp prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 50:8 AX BX /" "pmxvbf16ger2pp AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvbf16ger2pn prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 178:8 AX BX /" "pmxvbf16ger2pn AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvbf16ger2np prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 114:8 AX BX /" "pmxvbf16ger2np AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvbf16ger2nn prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 242:8 AX BX /" "pmxvbf16ger2nn AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvf16ger2 prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 19:8 AX BX /" "pmxvf16ger2 AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvf16ger2pp prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 18:8 AX BX /" "pmxvf16ger2pp AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvf16ger2pn prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 146:8 AX BX /" "pmxvf16ger2pn AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvf16ger2np prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 82:8 AX BX /" "pmxvf16ger2np AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvf16ger2nn prefixed done "1:6 3:2 9:4 /:4 PMSK2 /:6 XMSK YMSK 59:6 AT /:2 A B 210:8 AX BX /" "pmxvf16ger2nn AT,XA,XB,XMSK,YMSK,PMSK2" v3_1 mma user no;
    pmxvf32ger  prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK 59:6 AT /:2 A B 27:8 AX BX /" "pmxvf32ger AT,XA,XB,XMSK,YMSK" v3_1 mma user no;
    pmxvf32gerpp prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK 59:6 AT /:2 A B 26:8 AX BX /" "pmxvf32gerpp AT,XA,XB,XMSK,YMSK" v3_1 mma user no;
    pmxvf32gerpn prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK 59:6 AT /:2 A B 154:8 AX BX /" "pmxvf32gerpn AT,XA,XB,XMSK,YMSK" v3_1 mma user no;
    pmxvf32gernp prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK 59:6 AT /:2 A B 90:8 AX BX /" "pmxvf32gernp AT,XA,XB,XMSK,YMSK" v3_1 mma user no;
    pmxvf32gernn prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK 59:6 AT /:2 A B 218:8 AX BX /" "pmxvf32gernn AT,XA,XB,XMSK,YMSK" v3_1 mma user no;
    pmxvf64ger  prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK2 /:2 59:6 AT /:2 Ap Ap0 B 59:8 AXp BX /" "pmxvf64ger AT,XAp,XB,XMSK,YMSK2" v3_1 mma user no;
    pmxvf64gerpp prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK2 /:2 59:6 AT /:2 Ap Ap0 B 58:8 AXp BX /" "pmxvf64gerpp AT,XAp,XB,XMSK,YMSK2" v3_1 mma user no;
    pmxvf64gerpn prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK2 /:2 59:6 AT /:2 Ap Ap0 B 186:8 AXp BX /" "pmxvf64gerpn AT,XAp,XB,XMSK,YMSK2" v3_1 mma user no;
    pmxvf64gernp prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK2 /:2 59:6 AT /:2 Ap Ap0 B 122:8 AXp BX /" "pmxvf64gernp AT,XAp,XB,XMSK,YMSK2" v3_1 mma user no;
    pmxvf64gernn prefixed done "1:6 3:2 9:4 /:12 XMSK YMSK2 /:2 59:6 AT /:2 Ap Ap0 B 250:8 AXp BX /" "pmxvf64gernn AT,XAp,XB,XMSK,YMSK2" v3_1 mma user no;
    } };
}
