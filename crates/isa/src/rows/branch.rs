//! Book I chapter 2: branches, condition register logic, and the system call and interrupt returns of Book II and III
//! that problem state may execute stand in `system`.

/// Appends the rows of the chapter `branch` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_branch {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_fixed! { $cb $extra $($acc)*
    b           branch done "18:6 LI AA LK" "b{l}{a} TARGET_LI" v2_07 none user branch;
    bc          branch done "16:6 BO BI BD AA LK" "bc{l}{a} BO,BI,TARGET_BD" v2_07 none user branch;
    bclr        branch done "19:6 BO BI /:3 BH 16:10 LK" "bclr{l} BO,BI,BH" v2_07 none user branch;
    bcctr       branch done "19:6 BO BI /:3 BH 528:10 LK" "bcctr{l} BO,BI,BH" v2_07 none user branch;
    bctar       branch done "19:6 BO BI /:3 BH 560:10 LK" "bctar{l} BO,BI,BH" v2_07 tar user branch;
    crand       branch done "19:6 BT BA BB 257:10 /" "crand BT,BA,BB" v2_07 none user no;
    crandc      branch done "19:6 BT BA BB 129:10 /" "crandc BT,BA,BB" v2_07 none user no;
    creqv       branch done "19:6 BT BA BB 289:10 /" "creqv BT,BA,BB" v2_07 none user no;
    crnand      branch done "19:6 BT BA BB 225:10 /" "crnand BT,BA,BB" v2_07 none user no;
    crnor       branch done "19:6 BT BA BB 33:10 /" "crnor BT,BA,BB" v2_07 none user no;
    cror        branch done "19:6 BT BA BB 449:10 /" "cror BT,BA,BB" v2_07 none user no;
    crorc       branch done "19:6 BT BA BB 417:10 /" "crorc BT,BA,BB" v2_07 none user no;
    crxor       branch done "19:6 BT BA BB 193:10 /" "crxor BT,BA,BB" v2_07 none user no;
    mcrf        branch done "19:6 BF /:2 BFA /:2 /:5 0:10 /" "mcrf BF,BFA" v2_07 none user no;
    } };
}
