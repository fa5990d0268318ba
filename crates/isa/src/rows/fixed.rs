//! Book I chapter 3: fixed-point arithmetic, logic, rotates, compares, traps and moves of the condition register.

/// Appends the rows of the chapter `fixed` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_fixed {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_storage! { $cb $extra $($acc)*
    // Immediate arithmetic and logic.
    tdi         fixed done "2:6 TO RA SI" "tdi TO,RA,SI" v2_07 none user no;
    twi         fixed done "3:6 TO RA SI" "twi TO,RA,SI" v2_07 none user no;
    mulli       fixed done "7:6 RT RA SI" "mulli RT,RA,SI" v2_07 none user no;
    subfic      fixed done "8:6 RT RA SI" "subfic RT,RA,SI" v2_07 none user no;
    cmpli       fixed done "10:6 BF / L RA UI" "cmpli BF,L,RA,UI" v2_07 none user no;
    cmpi        fixed done "11:6 BF / L RA SI" "cmpi BF,L,RA,SI" v2_07 none user no;
    addic       fixed done "12:6 RT RA SI" "addic RT,RA,SI" v2_07 none user no;
    addic_      fixed done "13:6 RT RA SI" "addic. RT,RA,SI" v2_07 none user no;
    addi        fixed done "14:6 RT RA SI" "addi RT,RA0,SI" v2_07 none user no;
    addis       fixed done "15:6 RT RA SI" "addis RT,RA0,SI" v2_07 none user no;
    addpcis     fixed done "19:6 RT d1 d0 2:5 d2" "addpcis RT,DX" v3_0 none user no;
    ori         fixed done "24:6 RS RA UI" "ori RA,RS,UI" v2_07 none user no;
    oris        fixed done "25:6 RS RA UI" "oris RA,RS,UI" v2_07 none user no;
    xori        fixed done "26:6 RS RA UI" "xori RA,RS,UI" v2_07 none user no;
    xoris       fixed done "27:6 RS RA UI" "xoris RA,RS,UI" v2_07 none user no;
    andi_       fixed done "28:6 RS RA UI" "andi. RA,RS,UI" v2_07 none user no;
    andis_      fixed done "29:6 RS RA UI" "andis. RA,RS,UI" v2_07 none user no;
    // Rotates.
    rlwimi      fixed done "20:6 RS RA SH MB ME Rc" "rlwimi{.} RA,RS,SH,MB,ME" v2_07 none user no;
    rlwinm      fixed done "21:6 RS RA SH MB ME Rc" "rlwinm{.} RA,RS,SH,MB,ME" v2_07 none user no;
    rlwnm       fixed done "23:6 RS RA RB MB ME Rc" "rlwnm{.} RA,RS,RB,MB,ME" v2_07 none user no;
    rldicl      fixed done "30:6 RS RA sh mb mb5 0:3 sh5 Rc" "rldicl{.} RA,RS,SH6,MB6" v2_07 none user no;
    rldicr      fixed done "30:6 RS RA sh me me5 1:3 sh5 Rc" "rldicr{.} RA,RS,SH6,ME6" v2_07 none user no;
    rldic       fixed done "30:6 RS RA sh mb mb5 2:3 sh5 Rc" "rldic{.} RA,RS,SH6,MB6" v2_07 none user no;
    rldimi      fixed done "30:6 RS RA sh mb mb5 3:3 sh5 Rc" "rldimi{.} RA,RS,SH6,MB6" v2_07 none user no;
    rldcl       fixed done "30:6 RS RA RB mb mb5 8:4 Rc" "rldcl{.} RA,RS,RB,MB6" v2_07 none user no;
    rldcr       fixed done "30:6 RS RA RB me me5 9:4 Rc" "rldcr{.} RA,RS,RB,ME6" v2_07 none user no;
    // Add, subtract, multiply, divide.
    add         fixed done "31:6 RT RA RB OE 266:9 Rc" "add{o}{.} RT,RA,RB" v2_07 none user no;
    addc        fixed done "31:6 RT RA RB OE 10:9 Rc" "addc{o}{.} RT,RA,RB" v2_07 none user no;
    adde        fixed done "31:6 RT RA RB OE 138:9 Rc" "adde{o}{.} RT,RA,RB" v2_07 none user no;
    addme       fixed done "31:6 RT RA /:5 OE 234:9 Rc" "addme{o}{.} RT,RA" v2_07 none user no;
    addze       fixed done "31:6 RT RA /:5 OE 202:9 Rc" "addze{o}{.} RT,RA" v2_07 none user no;
    addex       fixed done "31:6 RT RA RB CY 170:8 /" "addex RT,RA,RB,CY" v3_0 none user no;
    addg6s      fixed done "31:6 RT RA RB / 74:9 /" "addg6s RT,RA,RB" v2_07 none user no;
    subf        fixed done "31:6 RT RA RB OE 40:9 Rc" "subf{o}{.} RT,RA,RB" v2_07 none user no;
    subfc       fixed done "31:6 RT RA RB OE 8:9 Rc" "subfc{o}{.} RT,RA,RB" v2_07 none user no;
    subfe       fixed done "31:6 RT RA RB OE 136:9 Rc" "subfe{o}{.} RT,RA,RB" v2_07 none user no;
    subfme      fixed done "31:6 RT RA /:5 OE 232:9 Rc" "subfme{o}{.} RT,RA" v2_07 none user no;
    subfze      fixed done "31:6 RT RA /:5 OE 200:9 Rc" "subfze{o}{.} RT,RA" v2_07 none user no;
    neg         fixed done "31:6 RT RA /:5 OE 104:9 Rc" "neg{o}{.} RT,RA" v2_07 none user no;
    mullw       fixed done "31:6 RT RA RB OE 235:9 Rc" "mullw{o}{.} RT,RA,RB" v2_07 none user no;
    mulhw       fixed done "31:6 RT RA RB / 75:9 Rc" "mulhw{.} RT,RA,RB" v2_07 none user no;
    mulhwu      fixed done "31:6 RT RA RB / 11:9 Rc" "mulhwu{.} RT,RA,RB" v2_07 none user no;
    mulld       fixed done "31:6 RT RA RB OE 233:9 Rc" "mulld{o}{.} RT,RA,RB" v2_07 none user no;
    mulhd       fixed done "31:6 RT RA RB / 73:9 Rc" "mulhd{.} RT,RA,RB" v2_07 none user no;
    mulhdu      fixed done "31:6 RT RA RB / 9:9 Rc" "mulhdu{.} RT,RA,RB" v2_07 none user no;
    maddhd      fixed done "4:6 RT RA RB RC 48:6" "maddhd RT,RA,RB,RC" v3_0 none user no;
    maddhdu     fixed done "4:6 RT RA RB RC 49:6" "maddhdu RT,RA,RB,RC" v3_0 none user no;
    maddld      fixed done "4:6 RT RA RB RC 51:6" "maddld RT,RA,RB,RC" v3_0 none user no;
    divw        fixed done "31:6 RT RA RB OE 491:9 Rc" "divw{o}{.} RT,RA,RB" v2_07 none user no;
    divwu       fixed done "31:6 RT RA RB OE 459:9 Rc" "divwu{o}{.} RT,RA,RB" v2_07 none user no;
    divwe       fixed done "31:6 RT RA RB OE 427:9 Rc" "divwe{o}{.} RT,RA,RB" v2_07 none user no;
    divweu      fixed done "31:6 RT RA RB OE 395:9 Rc" "divweu{o}{.} RT,RA,RB" v2_07 none user no;
    divd        fixed done "31:6 RT RA RB OE 489:9 Rc" "divd{o}{.} RT,RA,RB" v2_07 none user no;
    divdu       fixed done "31:6 RT RA RB OE 457:9 Rc" "divdu{o}{.} RT,RA,RB" v2_07 none user no;
    divde       fixed done "31:6 RT RA RB OE 425:9 Rc" "divde{o}{.} RT,RA,RB" v2_07 none user no;
    divdeu      fixed done "31:6 RT RA RB OE 393:9 Rc" "divdeu{o}{.} RT,RA,RB" v2_07 none user no;
    modsw       fixed done "31:6 RT RA RB 779:10 /" "modsw RT,RA,RB" v3_0 none user no;
    moduw       fixed done "31:6 RT RA RB 267:10 /" "moduw RT,RA,RB" v3_0 none user no;
    modsd       fixed done "31:6 RT RA RB 777:10 /" "modsd RT,RA,RB" v3_0 none user no;
    modud       fixed done "31:6 RT RA RB 265:10 /" "modud RT,RA,RB" v3_0 none user no;
    darn        fixed done "31:6 RT /:3 L14 /:5 755:10 /" "darn RT,L14" v3_0 none user no;
    // Compares, traps, select, set.
    cmp         fixed done "31:6 BF / L RA RB 0:10 /" "cmp BF,L,RA,RB" v2_07 none user no;
    cmpl        fixed done "31:6 BF / L RA RB 32:10 /" "cmpl BF,L,RA,RB" v2_07 none user no;
    cmprb       fixed done "31:6 BF / L RA RB 192:10 /" "cmprb BF,L,RA,RB" v3_0 none user no;
    cmpeqb      fixed done "31:6 BF /:2 RA RB 224:10 /" "cmpeqb BF,RA,RB" v3_0 none user no;
    cmpb        fixed done "31:6 RS RA RB 508:10 /" "cmpb RA,RS,RB" v2_07 none user no;
    tw          fixed done "31:6 TO RA RB 4:10 /" "tw TO,RA,RB" v2_07 none user no;
    td          fixed done "31:6 TO RA RB 68:10 /" "td TO,RA,RB" v2_07 none user no;
    isel        fixed done "31:6 RT RA RB BC 15:5 /" "isel RT,RA0,RB,BC" v2_07 none user no;
    setb        fixed done "31:6 RT BFA /:2 /:5 128:10 /" "setb RT,BFA" v3_0 none user no;
    setbc       fixed done "31:6 RT BI /:5 384:10 /" "setbc RT,BI" v3_1 none user no;
    setbcr      fixed done "31:6 RT BI /:5 416:10 /" "setbcr RT,BI" v3_1 none user no;
    setnbc      fixed done "31:6 RT BI /:5 448:10 /" "setnbc RT,BI" v3_1 none user no;
    setnbcr     fixed done "31:6 RT BI /:5 480:10 /" "setnbcr RT,BI" v3_1 none user no;
    // Logic.
    and         fixed done "31:6 RS RA RB 28:10 Rc" "and{.} RA,RS,RB" v2_07 none user no;
    andc        fixed done "31:6 RS RA RB 60:10 Rc" "andc{.} RA,RS,RB" v2_07 none user no;
    nand        fixed done "31:6 RS RA RB 476:10 Rc" "nand{.} RA,RS,RB" v2_07 none user no;
    nor         fixed done "31:6 RS RA RB 124:10 Rc" "nor{.} RA,RS,RB" v2_07 none user no;
    or          fixed done "31:6 RS RA RB 444:10 Rc" "or{.} RA,RS,RB" v2_07 none user no;
    orc         fixed done "31:6 RS RA RB 412:10 Rc" "orc{.} RA,RS,RB" v2_07 none user no;
    xor         fixed done "31:6 RS RA RB 316:10 Rc" "xor{.} RA,RS,RB" v2_07 none user no;
    eqv         fixed done "31:6 RS RA RB 284:10 Rc" "eqv{.} RA,RS,RB" v2_07 none user no;
    extsb       fixed done "31:6 RS RA /:5 954:10 Rc" "extsb{.} RA,RS" v2_07 none user no;
    extsh       fixed done "31:6 RS RA /:5 922:10 Rc" "extsh{.} RA,RS" v2_07 none user no;
    extsw       fixed done "31:6 RS RA /:5 986:10 Rc" "extsw{.} RA,RS" v2_07 none user no;
    cntlzw      fixed done "31:6 RS RA /:5 26:10 Rc" "cntlzw{.} RA,RS" v2_07 none user no;
    cntlzd      fixed done "31:6 RS RA /:5 58:10 Rc" "cntlzd{.} RA,RS" v2_07 none user no;
    cnttzw      fixed done "31:6 RS RA /:5 538:10 Rc" "cnttzw{.} RA,RS" v3_0 none user no;
    cnttzd      fixed done "31:6 RS RA /:5 570:10 Rc" "cnttzd{.} RA,RS" v3_0 none user no;
    popcntb     fixed done "31:6 RS RA /:5 122:10 /" "popcntb RA,RS" v2_07 none user no;
    popcntw     fixed done "31:6 RS RA /:5 378:10 /" "popcntw RA,RS" v2_07 none user no;
    popcntd     fixed done "31:6 RS RA /:5 506:10 /" "popcntd RA,RS" v2_07 none user no;
    prtyw       fixed done "31:6 RS RA /:5 154:10 /" "prtyw RA,RS" v2_07 none user no;
    prtyd       fixed done "31:6 RS RA /:5 186:10 /" "prtyd RA,RS" v2_07 none user no;
    bpermd      fixed done "31:6 RS RA RB 252:10 /" "bpermd RA,RS,RB" v2_07 none user no;
    cfuged      fixed done "31:6 RS RA RB 220:10 /" "cfuged RA,RS,RB" v3_1 none user no;
    cntlzdm     fixed done "31:6 RS RA RB 59:10 /" "cntlzdm RA,RS,RB" v3_1 none user no;
    cnttzdm     fixed done "31:6 RS RA RB 571:10 /" "cnttzdm RA,RS,RB" v3_1 none user no;
    pdepd       fixed done "31:6 RS RA RB 156:10 /" "pdepd RA,RS,RB" v3_1 none user no;
    pextd       fixed done "31:6 RS RA RB 188:10 /" "pextd RA,RS,RB" v3_1 none user no;
    brh         fixed done "31:6 RS RA /:5 219:10 /" "brh RA,RS" v3_1 none user no;
    brw         fixed done "31:6 RS RA /:5 155:10 /" "brw RA,RS" v3_1 none user no;
    brd         fixed done "31:6 RS RA /:5 187:10 /" "brd RA,RS" v3_1 none user no;
    // Shifts.
    slw         fixed done "31:6 RS RA RB 24:10 Rc" "slw{.} RA,RS,RB" v2_07 none user no;
    srw         fixed done "31:6 RS RA RB 536:10 Rc" "srw{.} RA,RS,RB" v2_07 none user no;
    sraw        fixed done "31:6 RS RA RB 792:10 Rc" "sraw{.} RA,RS,RB" v2_07 none user no;
    srawi       fixed done "31:6 RS RA SH 824:10 Rc" "srawi{.} RA,RS,SH" v2_07 none user no;
    sld         fixed done "31:6 RS RA RB 27:10 Rc" "sld{.} RA,RS,RB" v2_07 none user no;
    srd         fixed done "31:6 RS RA RB 539:10 Rc" "srd{.} RA,RS,RB" v2_07 none user no;
    srad        fixed done "31:6 RS RA RB 794:10 Rc" "srad{.} RA,RS,RB" v2_07 none user no;
    sradi       fixed done "31:6 RS RA sh 413:9 sh5 Rc" "sradi{.} RA,RS,SH6" v2_07 none user no;
    extswsli    fixed done "31:6 RS RA sh 445:9 sh5 Rc" "extswsli{.} RA,RS,SH6" v3_0 none user no;
    // Decimal helpers and moves of the condition register.
    cdtbcd      fixed done "31:6 RS RA /:5 282:10 /" "cdtbcd RA,RS" v2_07 none user no;
    cbcdtd      fixed done "31:6 RS RA /:5 314:10 /" "cbcdtd RA,RS" v2_07 none user no;
    mcrxrx      fixed done "31:6 BF /:2 /:5 /:5 576:10 /" "mcrxrx BF" v3_0 none user no;
    mfcr        fixed done "31:6 RT 0:1 /:9 19:10 /" "mfcr RT" v2_07 none user no;
    mfocrf      fixed done "31:6 RT 1:1 FXM / 19:10 /" "mfocrf RT,FXM" v2_07 none user no;
    mtcrf       fixed done "31:6 RS 0:1 FXM / 144:10 /" "mtcrf FXM,RS" v2_07 none user no;
    mtocrf      fixed done "31:6 RS 1:1 FXM / 144:10 /" "mtocrf FXM,RS" v2_07 none user no;
    // Book I, Reserved No-Op Instructions: executed as no-ops, so that later binaries run on older processors.
    reserved_nop_530 fixed done "31:6 /:15 530:10 /" ".nop530" v2_07 none user no;
    reserved_nop_562 fixed done "31:6 /:15 562:10 /" ".nop562" v2_07 none user no;
    reserved_nop_594 fixed done "31:6 /:15 594:10 /" ".nop594" v2_07 none user no;
    reserved_nop_626 fixed done "31:6 /:15 626:10 /" ".nop626" v2_07 none user no;
    reserved_nop_658 fixed done "31:6 /:15 658:10 /" ".nop658" until_v3_0 none user no;
    reserved_nop_690 fixed done "31:6 /:15 690:10 /" ".nop690" until_v3_0 none user no;
    reserved_nop_722 fixed done "31:6 /:15 722:10 /" ".nop722" until_v3_0 none user no;
    reserved_nop_754 fixed done "31:6 /:15 754:10 /" ".nop754" until_v3_0 none user no;
    } };
}
