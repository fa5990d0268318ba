//! Book III: system call, interrupt returns, machine state, special purpose registers, translation, messages.

/// Appends the rows of the chapter `system` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_system {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_fp! { $cb $extra $($acc)*
    sc          system done "17:6 /:14 LEV /:3 1:1 /" "sc LEV" v2_07 none user context;
    scv         system done "17:6 /:14 LEV /:3 0:1 1:1" "scv LEV" v3_0 scv user context;
    rfid        system done "19:6 /:15 18:10 /" "rfid" v2_07 none privileged context;
    hrfid       system done "19:6 /:15 274:10 /" "hrfid" v2_07 none hyper context;
    rfscv       system done "19:6 /:15 82:10 /" "rfscv" v3_0 none privileged context;
    rfebb       system done "19:6 /:14 S20 146:10 /" "rfebb S20" v2_07 ebb user context;
    stop        system done "19:6 /:15 370:10 /" "stop" v3_0 none hyper context;
    doze        system done "19:6 /:15 402:10 /" "doze" until_v2_07 none hyper context;
    nap         system done "19:6 /:15 434:10 /" "nap" until_v2_07 none hyper context;
    sleep       system done "19:6 /:15 466:10 /" "sleep" until_v2_07 none hyper context;
    rvwinkle    system done "19:6 /:15 498:10 /" "rvwinkle" until_v2_07 none hyper context;
    wait        system done "31:6 /:3 WC /:3 PL /:5 30:10 /" "wait WC,PL" v3_0 none user context;
    mfmsr       system done "31:6 RT /:10 83:10 /" "mfmsr RT" v2_07 none privileged no;
    mtmsr       system done "31:6 RS /:4 L15 /:5 146:10 /" "mtmsr RS,L15" v2_07 none privileged context;
    mtmsrd      system done "31:6 RS /:4 L15 /:5 178:10 /" "mtmsrd RS,L15" v2_07 none privileged context;
    mfspr       system done "31:6 RT spr 339:10 /" "mfspr RT,SPR" v2_07 none user no;
    mtspr       system done "31:6 RS spr 467:10 /" "mtspr SPR,RS" v2_07 none user context;
    mftb        system done "31:6 RT tbr 371:10 /" "mftb RT,TBR" v2_07 none user no;
    // Segment look-aside buffer.
    slbie       system done "31:6 /:10 RB 434:10 /" "slbie RB" v2_07 none privileged context;
    slbieg      system done "31:6 RS /:5 RB 466:10 /" "slbieg RS,RB" v3_0 none privileged context;
    slbia       system done "31:6 /:2 IH /:10 498:10 /" "slbia IH" v2_07 none privileged context;
    slbiag      system done "31:6 RS /:4 L15 /:5 850:10 /" "slbiag RS,L15" v3_0 none privileged context;
    slbmte      system done "31:6 RS /:5 RB 402:10 /" "slbmte RS,RB" v2_07 none privileged context;
    slbmfev     system done "31:6 RT /:4 L15 RB 851:10 /" "slbmfev RT,RB,L15" v2_07 none privileged no;
    slbmfee     system done "31:6 RT /:4 L15 RB 915:10 /" "slbmfee RT,RB,L15" v2_07 none privileged no;
    slbfee_     system done "31:6 RT /:5 RB 979:10 1:1" "slbfee. RT,RB" v2_07 none privileged no;
    slbsync     system done "31:6 /:15 338:10 /" "slbsync" v3_0 none privileged context;
    // Translation look-aside buffer. RIC, PRS and R are reserved before 3.0. Whether a partition may use tlbie and
    // tlbsync depends on the level and on LPCR[GTSE]: the semantics decide.
    tlbie       system done "31:6 RS / RIC PRS R15 RB 306:10 /" "tlbie RB,RS,RIC,PRS,R15" v2_07 none privileged context;
    tlbiel      system done "31:6 RS / RIC PRS R15 RB 274:10 /" "tlbiel RB,RS,RIC,PRS,R15" v2_07 none privileged context;
    tlbsync     system done "31:6 /:15 566:10 /" "tlbsync" v2_07 none privileged context;
    // Messages between threads, event-based branch history.
    msgsnd      system done "31:6 /:10 RB 206:10 /" "msgsnd RB" v2_07 none hyper context;
    msgclr      system done "31:6 /:10 RB 238:10 /" "msgclr RB" v2_07 none hyper context;
    msgsndp     system done "31:6 /:10 RB 142:10 /" "msgsndp RB" v2_07 msgp privileged context;
    msgclrp     system done "31:6 /:10 RB 174:10 /" "msgclrp RB" v2_07 msgp privileged context;
    msgsync     system done "31:6 /:15 886:10 /" "msgsync" v3_0 none hyper no;
    clrbhrb     system done "31:6 /:15 430:10 /" "clrbhrb" v2_07 bhrb user no;
    mfbhrbe     system done "31:6 RT BHRBE 302:10 /" "mfbhrbe RT,BHRBE" v2_07 bhrb user no;
    } };
}
