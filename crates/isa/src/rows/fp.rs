//! Book I chapter 4: binary floating point.

/// Appends the rows of the chapter `fp` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_fp {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_dfp! { $cb $extra $($acc)*
    // Loads and stores.
    lfs         fp done "48:6 FRT RA D" "lfs FRT,D(RA0)" v2_07 fp user no;
    lfsu        fp done "49:6 FRT RA D" "lfsu FRT,D(RA)" v2_07 fp user no;
    lfd         fp done "50:6 FRT RA D" "lfd FRT,D(RA0)" v2_07 fp user no;
    lfdu        fp done "51:6 FRT RA D" "lfdu FRT,D(RA)" v2_07 fp user no;
    stfs        fp done "52:6 FRS RA D" "stfs FRS,D(RA0)" v2_07 fp user no;
    stfsu       fp done "53:6 FRS RA D" "stfsu FRS,D(RA)" v2_07 fp user no;
    stfd        fp done "54:6 FRS RA D" "stfd FRS,D(RA0)" v2_07 fp user no;
    stfdu       fp done "55:6 FRS RA D" "stfdu FRS,D(RA)" v2_07 fp user no;
    lfsx        fp done "31:6 FRT RA RB 535:10 /" "lfsx FRT,RA0,RB" v2_07 fp user no;
    lfsux       fp done "31:6 FRT RA RB 567:10 /" "lfsux FRT,RA,RB" v2_07 fp user no;
    lfdx        fp done "31:6 FRT RA RB 599:10 /" "lfdx FRT,RA0,RB" v2_07 fp user no;
    lfdux       fp done "31:6 FRT RA RB 631:10 /" "lfdux FRT,RA,RB" v2_07 fp user no;
    lfiwax      fp done "31:6 FRT RA RB 855:10 /" "lfiwax FRT,RA0,RB" v2_07 fp user no;
    lfiwzx      fp done "31:6 FRT RA RB 887:10 /" "lfiwzx FRT,RA0,RB" v2_07 fp user no;
    stfsx       fp done "31:6 FRS RA RB 663:10 /" "stfsx FRS,RA0,RB" v2_07 fp user no;
    stfsux      fp done "31:6 FRS RA RB 695:10 /" "stfsux FRS,RA,RB" v2_07 fp user no;
    stfdx       fp done "31:6 FRS RA RB 727:10 /" "stfdx FRS,RA0,RB" v2_07 fp user no;
    stfdux      fp done "31:6 FRS RA RB 759:10 /" "stfdux FRS,RA,RB" v2_07 fp user no;
    stfiwx      fp done "31:6 FRS RA RB 983:10 /" "stfiwx FRS,RA0,RB" v2_07 fp user no;
    lfdpx       fp done "31:6 FRTp RA RB 791:10 /" "lfdpx FRTp,RA0,RB" v2_07 fp user no;
    stfdpx      fp done "31:6 FRSp RA RB 919:10 /" "stfdpx FRSp,RA0,RB" v2_07 fp user no;
    lfdp        fp done "57:6 FRTp RA DS 0:2" "lfdp FRTp,DS(RA0)" v2_07 fp user no;
    stfdp       fp done "61:6 FRSp RA DS 0:2" "stfdp FRSp,DS(RA0)" v2_07 fp user no;
    // Arithmetic, double precision and single.
    fdiv        fp done "63:6 FRT FRA FRB /:5 18:5 Rc" "fdiv{.} FRT,FRA,FRB" v2_07 fp user no;
    fdivs       fp done "59:6 FRT FRA FRB /:5 18:5 Rc" "fdivs{.} FRT,FRA,FRB" v2_07 fp user no;
    fsub        fp done "63:6 FRT FRA FRB /:5 20:5 Rc" "fsub{.} FRT,FRA,FRB" v2_07 fp user no;
    fsubs       fp done "59:6 FRT FRA FRB /:5 20:5 Rc" "fsubs{.} FRT,FRA,FRB" v2_07 fp user no;
    fadd        fp done "63:6 FRT FRA FRB /:5 21:5 Rc" "fadd{.} FRT,FRA,FRB" v2_07 fp user no;
    fadds       fp done "59:6 FRT FRA FRB /:5 21:5 Rc" "fadds{.} FRT,FRA,FRB" v2_07 fp user no;
    fmul        fp done "63:6 FRT FRA /:5 FRC 25:5 Rc" "fmul{.} FRT,FRA,FRC" v2_07 fp user no;
    fsqrt       fp done "63:6 FRT /:5 FRB /:5 22:5 Rc" "fsqrt{.} FRT,FRB" v2_07 fp user no;
    fre         fp done "63:6 FRT /:5 FRB /:5 24:5 Rc" "fre{.} FRT,FRB" v2_07 fp user no;
    frsqrte     fp done "63:6 FRT /:5 FRB /:5 26:5 Rc" "frsqrte{.} FRT,FRB" v2_07 fp user no;
    fmsub       fp done "63:6 FRT FRA FRB FRC 28:5 Rc" "fmsub{.} FRT,FRA,FRC,FRB" v2_07 fp user no;
    fmadd       fp done "63:6 FRT FRA FRB FRC 29:5 Rc" "fmadd{.} FRT,FRA,FRC,FRB" v2_07 fp user no;
    fnmsub      fp done "63:6 FRT FRA FRB FRC 30:5 Rc" "fnmsub{.} FRT,FRA,FRC,FRB" v2_07 fp user no;
    fnmadd      fp done "63:6 FRT FRA FRB FRC 31:5 Rc" "fnmadd{.} FRT,FRA,FRC,FRB" v2_07 fp user no;
    fmuls       fp done "59:6 FRT FRA /:5 FRC 25:5 Rc" "fmuls{.} FRT,FRA,FRC" v2_07 fp user no;
    fsqrts      fp done "59:6 FRT /:5 FRB /:5 22:5 Rc" "fsqrts{.} FRT,FRB" v2_07 fp user no;
    fres        fp done "59:6 FRT /:5 FRB /:5 24:5 Rc" "fres{.} FRT,FRB" v2_07 fp user no;
    frsqrtes    fp done "59:6 FRT /:5 FRB /:5 26:5 Rc" "frsqrtes{.} FRT,FRB" v2_07 fp user no;
    fmsubs      fp done "59:6 FRT FRA FRB FRC 28:5 Rc" "fmsubs{.} FRT,FRA,FRC,FRB" v2_07 fp user no;
    fmadds      fp done "59:6 FRT FRA FRB FRC 29:5 Rc" "fmadds{.} FRT,FRA,FRC,FRB" v2_07 fp user no;
    fnmsubs     fp done "59:6 FRT FRA FRB FRC 30:5 Rc" "fnmsubs{.} FRT,FRA,FRC,FRB" v2_07 fp user no;
    fnmadds     fp done "59:6 FRT FRA FRB FRC 31:5 Rc" "fnmadds{.} FRT,FRA,FRC,FRB" v2_07 fp user no;
    fsel        fp done "63:6 FRT FRA FRB FRC 23:5 Rc" "fsel{.} FRT,FRA,FRC,FRB" v2_07 fp user no;
    // Rounding, conversion, sign.
    frsp        fp done "63:6 FRT /:5 FRB 12:10 Rc" "frsp{.} FRT,FRB" v2_07 fp user no;
    fctiw       fp done "63:6 FRT /:5 FRB 14:10 Rc" "fctiw{.} FRT,FRB" v2_07 fp user no;
    fctiwz      fp done "63:6 FRT /:5 FRB 15:10 Rc" "fctiwz{.} FRT,FRB" v2_07 fp user no;
    fctiwu      fp done "63:6 FRT /:5 FRB 142:10 Rc" "fctiwu{.} FRT,FRB" v2_07 fp user no;
    fctiwuz     fp done "63:6 FRT /:5 FRB 143:10 Rc" "fctiwuz{.} FRT,FRB" v2_07 fp user no;
    fctid       fp done "63:6 FRT /:5 FRB 814:10 Rc" "fctid{.} FRT,FRB" v2_07 fp user no;
    fctidz      fp done "63:6 FRT /:5 FRB 815:10 Rc" "fctidz{.} FRT,FRB" v2_07 fp user no;
    fctidu      fp done "63:6 FRT /:5 FRB 942:10 Rc" "fctidu{.} FRT,FRB" v2_07 fp user no;
    fctiduz     fp done "63:6 FRT /:5 FRB 943:10 Rc" "fctiduz{.} FRT,FRB" v2_07 fp user no;
    fcfid       fp done "63:6 FRT /:5 FRB 846:10 Rc" "fcfid{.} FRT,FRB" v2_07 fp user no;
    fcfidu      fp done "63:6 FRT /:5 FRB 974:10 Rc" "fcfidu{.} FRT,FRB" v2_07 fp user no;
    frin        fp done "63:6 FRT /:5 FRB 392:10 Rc" "frin{.} FRT,FRB" v2_07 fp user no;
    friz        fp done "63:6 FRT /:5 FRB 424:10 Rc" "friz{.} FRT,FRB" v2_07 fp user no;
    frip        fp done "63:6 FRT /:5 FRB 456:10 Rc" "frip{.} FRT,FRB" v2_07 fp user no;
    frim        fp done "63:6 FRT /:5 FRB 488:10 Rc" "frim{.} FRT,FRB" v2_07 fp user no;
    fmr         fp done "63:6 FRT /:5 FRB 72:10 Rc" "fmr{.} FRT,FRB" v2_07 fp user no;
    fneg        fp done "63:6 FRT /:5 FRB 40:10 Rc" "fneg{.} FRT,FRB" v2_07 fp user no;
    fabs        fp done "63:6 FRT /:5 FRB 264:10 Rc" "fabs{.} FRT,FRB" v2_07 fp user no;
    fnabs       fp done "63:6 FRT /:5 FRB 136:10 Rc" "fnabs{.} FRT,FRB" v2_07 fp user no;
    fcfids      fp done "59:6 FRT /:5 FRB 846:10 Rc" "fcfids{.} FRT,FRB" v2_07 fp user no;
    fcfidus     fp done "59:6 FRT /:5 FRB 974:10 Rc" "fcfidus{.} FRT,FRB" v2_07 fp user no;
    fcpsgn      fp done "63:6 FRT FRA FRB 8:10 Rc" "fcpsgn{.} FRT,FRA,FRB" v2_07 fp user no;
    fmrgow      fp done "63:6 FRT FRA FRB 838:10 /" "fmrgow FRT,FRA,FRB" v2_07 fp user no;
    fmrgew      fp done "63:6 FRT FRA FRB 966:10 /" "fmrgew FRT,FRA,FRB" v2_07 fp user no;
    // Compares and tests.
    fcmpu       fp done "63:6 BF /:2 FRA FRB 0:10 /" "fcmpu BF,FRA,FRB" v2_07 fp user no;
    fcmpo       fp done "63:6 BF /:2 FRA FRB 32:10 /" "fcmpo BF,FRA,FRB" v2_07 fp user no;
    ftdiv       fp done "63:6 BF /:2 FRA FRB 128:10 /" "ftdiv BF,FRA,FRB" v2_07 fp user no;
    ftsqrt      fp done "63:6 BF /:7 FRB 160:10 /" "ftsqrt BF,FRB" v2_07 fp user no;
    // The status and control register. Before 3.0 bits 11:15 of mffs are reserved.
    mffs        fp done "63:6 FRT /:5 /:5 583:10 Rc" "mffs{.} FRT" v2_07 fp user no;
    mffsce      fp done "63:6 FRT 1:5 /:5 583:10 /" "mffsce FRT" v3_0 fp user no;
    mffscdrn    fp done "63:6 FRT 20:5 FRB 583:10 /" "mffscdrn FRT,FRB" v3_0 fp user no;
    mffscdrni   fp done "63:6 FRT 21:5 /:2 DRM 583:10 /" "mffscdrni FRT,DRM" v3_0 fp user no;
    mffscrn     fp done "63:6 FRT 22:5 FRB 583:10 /" "mffscrn FRT,FRB" v3_0 fp user no;
    mffscrni    fp done "63:6 FRT 23:5 /:3 RM 583:10 /" "mffscrni FRT,RM" v3_0 fp user no;
    mffsl       fp done "63:6 FRT 24:5 /:5 583:10 /" "mffsl FRT" v3_0 fp user no;
    mcrfs       fp done "63:6 BF /:2 FPF /:7 64:10 /" "mcrfs BF,FPF" v2_07 fp user no;
    mtfsfi      fp done "63:6 FPT /:6 W U / 134:10 Rc" "mtfsfi{.} FPT,U,W" v2_07 fp user no;
    mtfsf       fp done "63:6 L6 FLM W FRB 711:10 Rc" "mtfsf{.} FLM,FRB,L6,W" v2_07 fp user no;
    mtfsb0      fp done "63:6 BTF /:10 70:10 Rc" "mtfsb0{.} BTF" v2_07 fp user no;
    mtfsb1      fp done "63:6 BTF /:10 38:10 Rc" "mtfsb1{.} BTF" v2_07 fp user no;
    } };
}
