//! Book I chapter 5: decimal floating point.

/// Appends the rows of the chapter `dfp` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_dfp {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_vmx! { $cb $extra $($acc)*
    dadd        dfp todo "59:6 FRT FRA FRB 2:10 Rc" "dadd{.} FRT,FRA,FRB" v2_07 dfp user no;
    dsub        dfp todo "59:6 FRT FRA FRB 514:10 Rc" "dsub{.} FRT,FRA,FRB" v2_07 dfp user no;
    dmul        dfp todo "59:6 FRT FRA FRB 34:10 Rc" "dmul{.} FRT,FRA,FRB" v2_07 dfp user no;
    ddiv        dfp todo "59:6 FRT FRA FRB 546:10 Rc" "ddiv{.} FRT,FRA,FRB" v2_07 dfp user no;
    dcmpo       dfp todo "59:6 BF /:2 FRA FRB 130:10 /" "dcmpo BF,FRA,FRB" v2_07 dfp user no;
    dcmpu       dfp todo "59:6 BF /:2 FRA FRB 642:10 /" "dcmpu BF,FRA,FRB" v2_07 dfp user no;
    dtstex      dfp todo "59:6 BF /:2 FRA FRB 162:10 /" "dtstex BF,FRA,FRB" v2_07 dfp user no;
    dtstsf      dfp todo "59:6 BF /:2 FRA FRB 674:10 /" "dtstsf BF,FRA,FRB" v2_07 dfp user no;
    dtstsfi     dfp todo "59:6 BF / UIM6 FRB 675:10 /" "dtstsfi BF,UIM6,FRB" v3_0 dfp user no;
    dtstdc      dfp todo "59:6 BF /:2 FRA DCM 194:9 /" "dtstdc BF,FRA,DCM" v2_07 dfp user no;
    dtstdg      dfp todo "59:6 BF /:2 FRA DGM 226:9 /" "dtstdg BF,FRA,DGM" v2_07 dfp user no;
    dqua        dfp todo "59:6 FRT FRA FRB RMC 3:8 Rc" "dqua{.} FRT,FRA,FRB,RMC" v2_07 dfp user no;
    dquai       dfp todo "59:6 FRT TE FRB RMC 67:8 Rc" "dquai{.} TE,FRT,FRB,RMC" v2_07 dfp user no;
    drrnd       dfp todo "59:6 FRT FRA FRB RMC 35:8 Rc" "drrnd{.} FRT,FRA,FRB,RMC" v2_07 dfp user no;
    drintx      dfp todo "59:6 FRT /:4 R15 FRB RMC 99:8 Rc" "drintx{.} R15,FRT,FRB,RMC" v2_07 dfp user no;
    drintn      dfp todo "59:6 FRT /:4 R15 FRB RMC 227:8 Rc" "drintn{.} R15,FRT,FRB,RMC" v2_07 dfp user no;
    dscli       dfp todo "59:6 FRT FRA SHD 66:9 Rc" "dscli{.} FRT,FRA,SHD" v2_07 dfp user no;
    dscri       dfp todo "59:6 FRT FRA SHD 98:9 Rc" "dscri{.} FRT,FRA,SHD" v2_07 dfp user no;
    ddedpd      dfp todo "59:6 FRT SP /:3 FRB 322:10 Rc" "ddedpd{.} SP,FRT,FRB" v2_07 dfp user no;
    denbcd      dfp todo "59:6 FRT S11 /:4 FRB 834:10 Rc" "denbcd{.} S11,FRT,FRB" v2_07 dfp user no;
    dxex        dfp todo "59:6 FRT /:5 FRB 354:10 Rc" "dxex{.} FRT,FRB" v2_07 dfp user no;
    diex        dfp todo "59:6 FRT FRA FRB 866:10 Rc" "diex{.} FRT,FRA,FRB" v2_07 dfp user no;
    dctfix      dfp todo "59:6 FRT /:5 FRB 290:10 Rc" "dctfix{.} FRT,FRB" v2_07 dfp user no;
    dcffix      dfp todo "59:6 FRT /:5 FRB 802:10 Rc" "dcffix{.} FRT,FRB" v2_07 dfp user no;
    dctdp       dfp todo "59:6 FRT /:5 FRB 258:10 Rc" "dctdp{.} FRT,FRB" v2_07 dfp user no;
    drsp        dfp todo "59:6 FRT /:5 FRB 770:10 Rc" "drsp{.} FRT,FRB" v2_07 dfp user no;
    daddq       dfp todo "63:6 FRTp FRAp FRBp 2:10 Rc" "daddq{.} FRTp,FRAp,FRBp" v2_07 dfp user no;
    dsubq       dfp todo "63:6 FRTp FRAp FRBp 514:10 Rc" "dsubq{.} FRTp,FRAp,FRBp" v2_07 dfp user no;
    dmulq       dfp todo "63:6 FRTp FRAp FRBp 34:10 Rc" "dmulq{.} FRTp,FRAp,FRBp" v2_07 dfp user no;
    ddivq       dfp todo "63:6 FRTp FRAp FRBp 546:10 Rc" "ddivq{.} FRTp,FRAp,FRBp" v2_07 dfp user no;
    dcmpoq      dfp todo "63:6 BF /:2 FRAp FRBp 130:10 /" "dcmpoq BF,FRAp,FRBp" v2_07 dfp user no;
    dcmpuq      dfp todo "63:6 BF /:2 FRAp FRBp 642:10 /" "dcmpuq BF,FRAp,FRBp" v2_07 dfp user no;
    dtstexq     dfp todo "63:6 BF /:2 FRAp FRBp 162:10 /" "dtstexq BF,FRAp,FRBp" v2_07 dfp user no;
    dtstsfq     dfp todo "63:6 BF /:2 FRA FRBp 674:10 /" "dtstsfq BF,FRA,FRBp" v2_07 dfp user no;
    dtstsfiq    dfp todo "63:6 BF / UIM6 FRBp 675:10 /" "dtstsfiq BF,UIM6,FRBp" v3_0 dfp user no;
    dtstdcq     dfp todo "63:6 BF /:2 FRAp DCM 194:9 /" "dtstdcq BF,FRAp,DCM" v2_07 dfp user no;
    dtstdgq     dfp todo "63:6 BF /:2 FRAp DGM 226:9 /" "dtstdgq BF,FRAp,DGM" v2_07 dfp user no;
    dquaq       dfp todo "63:6 FRTp FRAp FRBp RMC 3:8 Rc" "dquaq{.} FRTp,FRAp,FRBp,RMC" v2_07 dfp user no;
    dquaiq      dfp todo "63:6 FRTp TE FRBp RMC 67:8 Rc" "dquaiq{.} TE,FRTp,FRBp,RMC" v2_07 dfp user no;
    drrndq      dfp todo "63:6 FRTp FRA FRBp RMC 35:8 Rc" "drrndq{.} FRTp,FRA,FRBp,RMC" v2_07 dfp user no;
    drintxq     dfp todo "63:6 FRTp /:4 R15 FRBp RMC 99:8 Rc" "drintxq{.} R15,FRTp,FRBp,RMC" v2_07 dfp user no;
    drintnq     dfp todo "63:6 FRTp /:4 R15 FRBp RMC 227:8 Rc" "drintnq{.} R15,FRTp,FRBp,RMC" v2_07 dfp user no;
    dscliq      dfp todo "63:6 FRTp FRAp SHD 66:9 Rc" "dscliq{.} FRTp,FRAp,SHD" v2_07 dfp user no;
    dscriq      dfp todo "63:6 FRTp FRAp SHD 98:9 Rc" "dscriq{.} FRTp,FRAp,SHD" v2_07 dfp user no;
    ddedpdq     dfp todo "63:6 FRTp SP /:3 FRBp 322:10 Rc" "ddedpdq{.} SP,FRTp,FRBp" v2_07 dfp user no;
    denbcdq     dfp todo "63:6 FRTp S11 /:4 FRBp 834:10 Rc" "denbcdq{.} S11,FRTp,FRBp" v2_07 dfp user no;
    dxexq       dfp todo "63:6 FRT /:5 FRBp 354:10 Rc" "dxexq{.} FRT,FRBp" v2_07 dfp user no;
    diexq       dfp todo "63:6 FRTp FRA FRBp 866:10 Rc" "diexq{.} FRTp,FRA,FRBp" v2_07 dfp user no;
    dctfixq     dfp todo "63:6 FRT /:5 FRBp 290:10 Rc" "dctfixq{.} FRT,FRBp" v2_07 dfp user no;
    dcffixq     dfp todo "63:6 FRTp /:5 FRB 802:10 Rc" "dcffixq{.} FRTp,FRB" v2_07 dfp user no;
    dctqpq      dfp todo "63:6 FRTp /:5 FRB 258:10 Rc" "dctqpq{.} FRTp,FRB" v2_07 dfp user no;
    drdpq       dfp todo "63:6 FRTp /:5 FRBp 770:10 Rc" "drdpq{.} FRTp,FRBp" v2_07 dfp user no;
    dcffixqq    dfp todo "63:6 FRTp 0:5 VRB 994:10 /" "dcffixqq FRTp,VRB" v3_1 dfp user no;
    dctfixqq    dfp todo "63:6 VRT 1:5 FRBp 994:10 /" "dctfixqq VRT,FRBp" v3_1 dfp user no;
    } };
}
