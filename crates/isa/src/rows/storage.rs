//! Book I 3.3 loads and stores of general registers, Book II chapter 4 cache management, copy and paste.

/// Appends the rows of the chapter `storage` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_storage {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_atomic! { $cb $extra $($acc)*
    // Loads and stores, displacement forms.
    lwz         storage done "32:6 RT RA D" "lwz RT,D(RA0)" v2_07 none user no;
    lwzu        storage done "33:6 RT RA D" "lwzu RT,D(RA)" v2_07 none user no;
    lbz         storage done "34:6 RT RA D" "lbz RT,D(RA0)" v2_07 none user no;
    lbzu        storage done "35:6 RT RA D" "lbzu RT,D(RA)" v2_07 none user no;
    stw         storage done "36:6 RS RA D" "stw RS,D(RA0)" v2_07 none user no;
    stwu        storage done "37:6 RS RA D" "stwu RS,D(RA)" v2_07 none user no;
    stb         storage done "38:6 RS RA D" "stb RS,D(RA0)" v2_07 none user no;
    stbu        storage done "39:6 RS RA D" "stbu RS,D(RA)" v2_07 none user no;
    lhz         storage done "40:6 RT RA D" "lhz RT,D(RA0)" v2_07 none user no;
    lhzu        storage done "41:6 RT RA D" "lhzu RT,D(RA)" v2_07 none user no;
    lha         storage done "42:6 RT RA D" "lha RT,D(RA0)" v2_07 none user no;
    lhau        storage done "43:6 RT RA D" "lhau RT,D(RA)" v2_07 none user no;
    sth         storage done "44:6 RS RA D" "sth RS,D(RA0)" v2_07 none user no;
    sthu        storage done "45:6 RS RA D" "sthu RS,D(RA)" v2_07 none user no;
    lmw         storage done "46:6 RT RA D" "lmw RT,D(RA0)" v2_07 none user no;
    stmw        storage done "47:6 RS RA D" "stmw RS,D(RA0)" v2_07 none user no;
    lq          storage done "56:6 RTp RA DQ /:4" "lq RTp,DQ(RA0)" v2_07 none user no;
    ld          storage done "58:6 RT RA DS 0:2" "ld RT,DS(RA0)" v2_07 none user no;
    ldu         storage done "58:6 RT RA DS 1:2" "ldu RT,DS(RA)" v2_07 none user no;
    lwa         storage done "58:6 RT RA DS 2:2" "lwa RT,DS(RA0)" v2_07 none user no;
    std         storage done "62:6 RS RA DS 0:2" "std RS,DS(RA0)" v2_07 none user no;
    stdu        storage done "62:6 RS RA DS 1:2" "stdu RS,DS(RA)" v2_07 none user no;
    stq         storage done "62:6 RSp RA DS 2:2" "stq RSp,DS(RA0)" v2_07 none user no;
    // Indexed forms.
    lwzx        storage done "31:6 RT RA RB 23:10 /" "lwzx RT,RA0,RB" v2_07 none user no;
    lwzux       storage done "31:6 RT RA RB 55:10 /" "lwzux RT,RA,RB" v2_07 none user no;
    lbzx        storage done "31:6 RT RA RB 87:10 /" "lbzx RT,RA0,RB" v2_07 none user no;
    lbzux       storage done "31:6 RT RA RB 119:10 /" "lbzux RT,RA,RB" v2_07 none user no;
    stwx        storage done "31:6 RS RA RB 151:10 /" "stwx RS,RA0,RB" v2_07 none user no;
    stwux       storage done "31:6 RS RA RB 183:10 /" "stwux RS,RA,RB" v2_07 none user no;
    stbx        storage done "31:6 RS RA RB 215:10 /" "stbx RS,RA0,RB" v2_07 none user no;
    stbux       storage done "31:6 RS RA RB 247:10 /" "stbux RS,RA,RB" v2_07 none user no;
    lhzx        storage done "31:6 RT RA RB 279:10 /" "lhzx RT,RA0,RB" v2_07 none user no;
    lhzux       storage done "31:6 RT RA RB 311:10 /" "lhzux RT,RA,RB" v2_07 none user no;
    lhax        storage done "31:6 RT RA RB 343:10 /" "lhax RT,RA0,RB" v2_07 none user no;
    lhaux       storage done "31:6 RT RA RB 375:10 /" "lhaux RT,RA,RB" v2_07 none user no;
    sthx        storage done "31:6 RS RA RB 407:10 /" "sthx RS,RA0,RB" v2_07 none user no;
    sthux       storage done "31:6 RS RA RB 439:10 /" "sthux RS,RA,RB" v2_07 none user no;
    ldx         storage done "31:6 RT RA RB 21:10 /" "ldx RT,RA0,RB" v2_07 none user no;
    ldux        storage done "31:6 RT RA RB 53:10 /" "ldux RT,RA,RB" v2_07 none user no;
    lwax        storage done "31:6 RT RA RB 341:10 /" "lwax RT,RA0,RB" v2_07 none user no;
    lwaux       storage done "31:6 RT RA RB 373:10 /" "lwaux RT,RA,RB" v2_07 none user no;
    stdx        storage done "31:6 RS RA RB 149:10 /" "stdx RS,RA0,RB" v2_07 none user no;
    stdux       storage done "31:6 RS RA RB 181:10 /" "stdux RS,RA,RB" v2_07 none user no;
    lhbrx       storage done "31:6 RT RA RB 790:10 /" "lhbrx RT,RA0,RB" v2_07 none user no;
    lwbrx       storage done "31:6 RT RA RB 534:10 /" "lwbrx RT,RA0,RB" v2_07 none user no;
    ldbrx       storage done "31:6 RT RA RB 532:10 /" "ldbrx RT,RA0,RB" v2_07 none user no;
    sthbrx      storage done "31:6 RS RA RB 918:10 /" "sthbrx RS,RA0,RB" v2_07 none user no;
    stwbrx      storage done "31:6 RS RA RB 662:10 /" "stwbrx RS,RA0,RB" v2_07 none user no;
    stdbrx      storage done "31:6 RS RA RB 660:10 /" "stdbrx RS,RA0,RB" v2_07 none user no;
    lswx        storage done "31:6 RT RA RB 533:10 /" "lswx RT,RA0,RB" v2_07 none user no;
    stswx       storage done "31:6 RS RA RB 661:10 /" "stswx RS,RA0,RB" v2_07 none user no;
    lswi        storage done "31:6 RT RA NB 597:10 /" "lswi RT,RA0,BYTES" v2_07 none user no;
    stswi       storage done "31:6 RS RA NB 725:10 /" "stswi RS,RA0,BYTES" v2_07 none user no;
    // Cache inhibited forms: hypervisor only.
    lwzcix      storage done "31:6 RT RA RB 789:10 /" "lwzcix RT,RA0,RB" v2_07 none hyper no;
    lhzcix      storage done "31:6 RT RA RB 821:10 /" "lhzcix RT,RA0,RB" v2_07 none hyper no;
    lbzcix      storage done "31:6 RT RA RB 853:10 /" "lbzcix RT,RA0,RB" v2_07 none hyper no;
    ldcix       storage done "31:6 RT RA RB 885:10 /" "ldcix RT,RA0,RB" v2_07 none hyper no;
    stwcix      storage done "31:6 RS RA RB 917:10 /" "stwcix RS,RA0,RB" v2_07 none hyper no;
    sthcix      storage done "31:6 RS RA RB 949:10 /" "sthcix RS,RA0,RB" v2_07 none hyper no;
    stbcix      storage done "31:6 RS RA RB 981:10 /" "stbcix RS,RA0,RB" v2_07 none hyper no;
    stdcix      storage done "31:6 RS RA RB 1013:10 /" "stdcix RS,RA0,RB" v2_07 none hyper no;
    // Return address protection.
    hashst      storage done "31:6 hd RA RB 722:10 hdx" "hashst RB,HASHD(RA)" v3_1 none user no;
    hashchk     storage done "31:6 hd RA RB 754:10 hdx" "hashchk RB,HASHD(RA)" v3_1 none user no;
    hashstp     storage done "31:6 hd RA RB 658:10 hdx" "hashstp RB,HASHD(RA)" v3_1 none privileged no;
    hashchkp    storage done "31:6 hd RA RB 690:10 hdx" "hashchkp RB,HASHD(RA)" v3_1 none privileged no;
    // Cache management.
    dcbt        storage done "31:6 TH RA RB 278:10 /" "dcbt RA0,RB,TH" v2_07 none user no;
    dcbtst      storage done "31:6 TH RA RB 246:10 /" "dcbtst RA0,RB,TH" v2_07 none user no;
    dcbst       storage done "31:6 /:5 RA RB 54:10 /" "dcbst RA0,RB" v2_07 none user no;
    dcbf        storage done "31:6 /:2 L3 RA RB 86:10 /" "dcbf RA0,RB,L3" v2_07 none user no;
    dcbz        storage done "31:6 /:5 RA RB 1014:10 /" "dcbz RA0,RB" v2_07 none user no;
    icbi        storage done "31:6 /:5 RA RB 982:10 /" "icbi RA0,RB" v2_07 none user no;
    icbt        storage done "31:6 / CT RA RB 22:10 /" "icbt CT,RA0,RB" v2_07 none user no;
    // Data streams of old: no-ops, but kernels still issue `dssall`.
    dst         storage done "31:6 A6 /:2 STRM RA RB 342:10 /" "dst{t} RA,RB,STRM" v2_07 none user no;
    dstst       storage done "31:6 A6 /:2 STRM RA RB 374:10 /" "dstst{t} RA,RB,STRM" v2_07 none user no;
    dss         storage done "31:6 A6 /:2 STRM /:5 /:5 822:10 /" "dss STRM" v2_07 none user no;
    // Copy and paste.
    copy        storage done "31:6 /:4 1:1 RA RB 774:10 /" "copy RA0,RB" v3_0 none user no;
    paste_      storage done "31:6 /:4 L RA RB 902:10 1:1" "paste. RA0,RB,L" v3_0 none user no;
    cpabort     storage done "31:6 /:15 838:10 /" "cpabort" v3_0 none user no;
    } };
}
