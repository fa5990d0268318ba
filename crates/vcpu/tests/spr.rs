//! Special purpose registers whose access depends on the state or the processor. What is compared with QEMU is in
//! `machine/tests/against_qemu/system`; these are what it found.

use cpu::bits::{fscr, lpcr, mmcr0, msr};
use cpu::model::{POWER9, POWER10};
use cpu::spr::*;
use cpu::{CpuModel, Vector};
use memory::Memory;
use std::sync::Arc;
use timing::Clock;
use vcpu::{Silent, Vcpu};

fn vcpu(model: &'static CpuModel) -> Vcpu {
    let memory = Memory::new(1 << 20, 1).unwrap();
    let mut v = Vcpu::new(0, model, Arc::new(memory), Arc::new(Clock::virtual_time(0)), Arc::new(Silent));
    v.set_lpcr(v.state.lpcr | lpcr::HR);
    v
}

#[test]
fn by_either_number_privileged_state_has_all_of_amr_and_problem_state_what_uamor_says() {
    let mut v = vcpu(&POWER9);
    v.state.spr.uamor = 0xFF << 32;
    for number in [UAMR, AMR] {
        v.write_spr(number, 0x1234_5678_9ABC_DEF0).unwrap();
        assert_eq!(v.read_spr(UAMR), Ok(0x1234_5678_9ABC_DEF0));
    }
    v.set_msr(v.state.msr | msr::PR);
    v.write_spr(UAMR, 0).unwrap();
    assert_eq!(v.state.spr.amr, 0x1234_5600_9ABC_DEF0);
}

#[test]
fn four_numbers_do_nothing_in_either_state() {
    for state in [0, msr::PR] {
        let mut v = vcpu(&POWER10);
        v.set_msr(v.state.msr | state);
        for number in 808..=811 {
            v.write_spr(number, u64::MAX).unwrap();
            assert_eq!(v.read_spr_or(number, 77), Ok(77));
        }
    }
}

#[test]
fn tidr_is_of_power9() {
    for (model, expected) in [(&POWER9, 0x5678), (&POWER10, 77)] {
        let mut v = vcpu(model);
        v.write_spr(TIDR, 0x1234_5678).unwrap();
        assert_eq!(v.read_spr_or(TIDR, 77), Ok(expected), "{}", model.name);
    }
}

#[test]
fn registers_of_transactions_are_unavailable() {
    for state in [0, msr::PR] {
        for number in [TFHAR, TFIAR, TEXASR, TEXASRU] {
            let mut v = vcpu(&POWER9);
            v.set_msr(v.state.msr | state);
            assert!(v.read_spr(number).is_err() && v.write_spr(number, 0).is_err());
            assert_eq!((v.raised.vector, v.raised.ic), (Vector::FacilityUnavailable, fscr::ic::TM));
        }
    }
}

#[test]
fn problem_state_has_some_bits_of_mmcr0_and_mmcr2() {
    let mut v = vcpu(&POWER9);
    assert_eq!(v.read_spr(MMCR0), Ok(mmcr0::FC), "frozen from the beginning");
    let before = 2 << mmcr0::PMCC_SHIFT | 0xF;
    (v.state.spr.mmcr[0], v.state.spr.mmcr[2]) = (before, 0);
    v.set_msr(v.state.msr | msr::PR);
    v.write_spr(UMMCR0, u64::MAX).unwrap();
    v.write_spr(UMMCR2, u64::MAX).unwrap();
    assert_eq!(v.state.spr.mmcr[0], before | mmcr0::FC | mmcr0::PMAE | mmcr0::PMAO);
    assert_eq!(v.read_spr(UMMCR0), Ok(mmcr0::FC | mmcr0::PMAE | mmcr0::PMAO));
    assert_eq!(v.state.spr.mmcr[2], 0x5028_140A_0502_8000);
}

#[test]
fn what_a_partition_cannot_have_is_as_if_it_were_not_there() {
    // CTRL by the number that is for writing alone, and the hypervisor's key.
    for number in [CTRL, HASHPKEYR] {
        let mut v = vcpu(&POWER10);
        assert_eq!(v.read_spr_or(number, 77), Ok(77));
    }
    let mut v = vcpu(&POWER10);
    v.write_spr(HASHPKEYR, 5).unwrap();
    assert_eq!(v.state.spr.hashpkeyr, 0);
    assert_eq!((v.read_spr(UCTRL), v.read_spr(IC)), (Ok(1), Ok(0)));
}
