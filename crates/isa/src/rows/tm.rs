//! Book II chapter 5 of 2.07 and 3.0: transactional memory, gone in 3.1.

/// Appends the rows of the chapter `tm` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_tm {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_prefixed! { $cb $extra $($acc)*
    tbegin_     tm done "31:6 /:4 R10 /:10 654:10 1:1" "tbegin. R10" until_v3_0 tm user context;
    tend_       tm done "31:6 A6 /:14 686:10 1:1" "tend. A6" until_v3_0 tm user context;
    tabort_     tm done "31:6 /:5 RA /:5 910:10 1:1" "tabort. RA" until_v3_0 tm user context;
    tabortwc_   tm done "31:6 TO RA RB 782:10 1:1" "tabortwc. TO,RA,RB" until_v3_0 tm user context;
    tabortwci_  tm done "31:6 TO RA SI5 846:10 1:1" "tabortwci. TO,RA,SI5" until_v3_0 tm user context;
    tabortdc_   tm done "31:6 TO RA RB 814:10 1:1" "tabortdc. TO,RA,RB" until_v3_0 tm user context;
    tabortdci_  tm done "31:6 TO RA SI5 878:10 1:1" "tabortdci. TO,RA,SI5" until_v3_0 tm user context;
    tsr_        tm done "31:6 /:4 L /:10 750:10 1:1" "tsr. L" until_v3_0 tm user context;
    tcheck      tm done "31:6 BF /:2 /:10 718:10 /" "tcheck BF" until_v3_0 tm user no;
    treclaim_   tm done "31:6 /:5 RA /:5 942:10 1:1" "treclaim. RA" until_v3_0 tm privileged context;
    trechkpt_   tm done "31:6 /:15 1006:10 1:1" "trechkpt." until_v3_0 tm privileged context;
    } };
}
