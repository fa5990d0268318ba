//! Architected state in a snapshot: every field by its name. A field that is added to the state and not named here does
//! not compile.

use crate::slb::SlbEntry;
use crate::state::{Sprs, State};
use snapshot::{FieldError, Io};

impl State {
    /// Saves or loads all registers.
    ///
    /// # Errors
    /// A value that no register can hold.
    pub fn snapshot(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let State {
            gpr,
            nia,
            lr,
            ctr,
            cfar,
            msr,
            lpcr,
            pcr,
            crf,
            so,
            ov,
            ov32,
            ca,
            ca32,
            xer_count,
            vsr,
            fpscr,
            vscr,
            pir,
            spr,
            slb,
        } = self;
        io.u64s("GPR", gpr)?;
        io.u64("NIA", nia)?;
        io.u64("LR", lr)?;
        io.u64("CTR", ctr)?;
        io.u64("CFAR", cfar)?;
        io.u64("MSR", msr)?;
        io.u64("LPCR", lpcr)?;
        io.u64("PCR", pcr)?;
        io.bytes("CR", crf)?;
        for field in crf.iter() {
            io.require("a field of CR", field, *field < 16, "four bits")?;
        }
        for bit in [so, ov, ov32, ca, ca32] {
            io.bool("a bit of XER", bit)?;
        }
        io.u8("XER's count", xer_count)?;
        io.require("XER's count", *xer_count, *xer_count < 128, "a number below 128")?;
        vsr.iter_mut().try_for_each(|vsr| io.u128("VSR", vsr))?;
        io.u64("FPSCR", fpscr)?;
        io.u32("VSCR", vscr)?;
        io.u32("PIR", pir)?;
        spr.snapshot(io)?;
        for SlbEntry { esid, vsid } in slb {
            io.u64("SLB", esid)?;
            io.u64("SLB", vsid)?;
        }
        Ok(())
    }
}

impl Sprs {
    fn snapshot(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let Sprs {
            srr0,
            srr1,
            sprg,
            dar,
            dsisr,
            pid,
            amr,
            iamr,
            uamor,
            fscr,
            dscr,
            tar,
            ppr,
            ctrl,
            vrsave,
            pspb,
            tidr,
            ciabr,
            dawr,
            dawrx,
            bescr,
            ebbhr,
            ebbrr,
            mmcr,
            mmcra,
            pmc,
            siar,
            sdar,
            sier,
            psscr,
            dexcr,
            hashkeyr,
            hashpkeyr,
        } = self;
        io.u64("srr0", srr0)?;
        io.u64("srr1", srr1)?;
        io.u64s("sprg", sprg)?;
        io.u64("dar", dar)?;
        io.u32("dsisr", dsisr)?;
        io.u32("pid", pid)?;
        io.u64("amr", amr)?;
        io.u64("iamr", iamr)?;
        io.u64("uamor", uamor)?;
        io.u64("fscr", fscr)?;
        io.u64("dscr", dscr)?;
        io.u64("tar", tar)?;
        io.u64("ppr", ppr)?;
        io.u32("ctrl", ctrl)?;
        io.u32("vrsave", vrsave)?;
        io.u32("pspb", pspb)?;
        io.u32("tidr", tidr)?;
        io.u64("ciabr", ciabr)?;
        io.u64s("dawr", dawr)?;
        io.u64s("dawrx", dawrx)?;
        io.u64("bescr", bescr)?;
        io.u64("ebbhr", ebbhr)?;
        io.u64("ebbrr", ebbrr)?;
        io.u64s("mmcr", mmcr)?;
        io.u64("mmcra", mmcra)?;
        pmc.iter_mut().try_for_each(|pmc| io.u32("pmc", pmc))?;
        io.u64("siar", siar)?;
        io.u64("sdar", sdar)?;
        io.u64s("sier", sier)?;
        io.u64("psscr", psscr)?;
        io.u64("dexcr", dexcr)?;
        io.u64("hashkeyr", hashkeyr)?;
        io.u64("hashpkeyr", hashpkeyr)?;
        if io.version() < 2 {
            // TFHAR, TFIAR and TEXASR, which nobody could use.
            io.u64s("registers of transactions", &mut [0; 3])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_state_comes_back() {
        // A number for each word, by way of the bytes: what the section left out would stay zero.
        for version in [1, 2] {
            let mut io = Io::save(version);
            State::default().snapshot(&mut io).unwrap();
            let bytes: Vec<u8> = vec![1; io.written().len()];
            let mut state = State::default();
            state.snapshot(&mut Io::load(version, &bytes)).unwrap();
            let mut zero_words = 0;
            state.for_each_word(|word| zero_words += u32::from(word == 0));
            assert_eq!(zero_words, 0, "{state:x?}");
            let mut io = Io::save(2);
            state.snapshot(&mut io).unwrap();
            let gone = if version < 2 { 24 } else { 0 };
            assert_eq!(io.written(), bytes[gone..]);
            let mut wrong = bytes.clone();
            wrong[40 * 8 - 8..].fill(0xFF);
            assert!(State::default().snapshot(&mut Io::load(version, &wrong)).is_err());
        }
    }
}
