//! Book II 4.5 and 4.6: atomic memory operations, load and reserve, store conditional, barriers.

/// Appends the rows of the chapter `atomic` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_atomic {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_system! { $cb $extra $($acc)*
    lbarx       atomic done "31:6 RT RA RB 52:10 EH" "lbarx RT,RA0,RB,EH" v2_07 none user no;
    lharx       atomic done "31:6 RT RA RB 116:10 EH" "lharx RT,RA0,RB,EH" v2_07 none user no;
    lwarx       atomic done "31:6 RT RA RB 20:10 EH" "lwarx RT,RA0,RB,EH" v2_07 none user no;
    ldarx       atomic done "31:6 RT RA RB 84:10 EH" "ldarx RT,RA0,RB,EH" v2_07 none user no;
    lqarx       atomic done "31:6 RTp RA RB 276:10 EH" "lqarx RTp,RA0,RB,EH" v2_07 none user no;
    stbcx_      atomic done "31:6 RS RA RB 694:10 1:1" "stbcx. RS,RA0,RB" v2_07 none user no;
    sthcx_      atomic done "31:6 RS RA RB 726:10 1:1" "sthcx. RS,RA0,RB" v2_07 none user no;
    stwcx_      atomic done "31:6 RS RA RB 150:10 1:1" "stwcx. RS,RA0,RB" v2_07 none user no;
    stdcx_      atomic done "31:6 RS RA RB 214:10 1:1" "stdcx. RS,RA0,RB" v2_07 none user no;
    stqcx_      atomic done "31:6 RSp RA RB 182:10 1:1" "stqcx. RSp,RA0,RB" v2_07 none user no;
    lwat        atomic done "31:6 RT RA FC 582:10 /" "lwat RT,RA0,FC" v3_0 none user no;
    ldat        atomic done "31:6 RT RA FC 614:10 /" "ldat RT,RA0,FC" v3_0 none user no;
    stwat       atomic done "31:6 RS RA FC 710:10 /" "stwat RS,RA0,FC" v3_0 none user no;
    stdat       atomic done "31:6 RS RA FC 742:10 /" "stdat RS,RA0,FC" v3_0 none user no;
    // Before 3.1 the first bit of L and SC are reserved.
    sync        atomic done "31:6 /:2 L3 /:3 SC /:5 598:10 /" "sync L3,SC" v2_07 none user no;
    eieio       atomic done "31:6 /:15 854:10 /" "eieio" v2_07 none user no;
    isync       atomic done "19:6 /:15 150:10 /" "isync" v2_07 none user context;
    } };
}
