//! `H_SET_MODE`: watchpoints, the address translation mode on interrupt, and the byte order of interrupts.

use super::host_mode::host_answer;
use crate::Hypervisor;
use crate::capability::{Cap, IsaLevel};
use cpu::bits::lpcr;
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext};

/// Completed Instruction Address Breakpoint Register.
pub(super) const RESOURCE_CIABR: u64 = 1;
/// Data Address Watchpoint 0.
pub(super) const RESOURCE_DAWR0: u64 = 2;
/// Address Translation Mode on Interrupt.
pub(super) const RESOURCE_AIL: u64 = 3;
/// Byte order of interrupts.
const RESOURCE_LE: u64 = 4;
/// Data Address Watchpoint 1.
pub(super) const RESOURCE_DAWR1: u64 = 5;

/// CIABR[PRIV], the low two bits, with the value for hypervisor state.
pub(super) const CIABR_PRIV_HYPERVISOR: u64 = 3;
/// DAWRX[HYP]: match in hypervisor state.
pub(super) const DAWRX_HYPERVISOR: u64 = 4;

/// Mode flags, resource, two values. The order of the checks is visible to a guest that gets two things wrong.
pub(super) fn set_mode(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    if let Some(answer) = host_answer(hypervisor, context, args) {
        return answer;
    }
    let &[mflags, resource, value1, value2, ..] = args;
    match resource {
        RESOURCE_CIABR => {
            if mflags != 0 {
                return HcallStatus::H_UNSUPPORTED_FLAG;
            }
            if value2 != 0 {
                return HcallStatus::H_P4;
            }
            if value1 & 3 == CIABR_PRIV_HYPERVISOR {
                return HcallStatus::H_P3;
            }
            context.vcpu.set_ciabr(value1);
            HcallStatus::H_SUCCESS
        }
        RESOURCE_DAWR0 => set_dawr(context, 0, mflags, value1, value2),
        RESOURCE_DAWR1 => {
            let capabilities = hypervisor.capabilities();
            if capabilities.basis().effective() < IsaLevel::V3_1 {
                return HcallStatus::H_P2;
            }
            // A processor that has it in a machine that does not offer it: what KVM answers.
            if !capabilities.is_on(Cap::Dawr1) {
                return HcallStatus::H_FUNCTION;
            }
            set_dawr(context, 1, mflags, value1, value2)
        }
        RESOURCE_AIL => {
            if value1 != 0 {
                return HcallStatus::H_P3;
            }
            if value2 != 0 {
                return HcallStatus::H_P4;
            }
            if !hypervisor.capabilities().ail_modes().contains(mflags) {
                return HcallStatus::H_UNSUPPORTED_FLAG;
            }
            context.vcpu.update_lpcr_all(lpcr::AIL, mflags << lpcr::AIL_SHIFT);
            HcallStatus::H_SUCCESS
        }
        RESOURCE_LE => {
            if value1 != 0 {
                return HcallStatus::H_P3;
            }
            if value2 != 0 {
                return HcallStatus::H_P4;
            }
            let value = match mflags {
                0 => 0,
                1 => lpcr::ILE,
                _ => return HcallStatus::H_UNSUPPORTED_FLAG,
            };
            context.vcpu.update_lpcr_all(lpcr::ILE, value);
            HcallStatus::H_SUCCESS
        }
        _ => HcallStatus::H_P2,
    }
}

fn set_dawr(context: &mut HcallContext<'_>, number: usize, mflags: u64, dawr: u64, dawrx: u64) -> HcallStatus {
    if mflags != 0 {
        return HcallStatus::H_UNSUPPORTED_FLAG;
    }
    if dawrx & DAWRX_HYPERVISOR != 0 {
        return HcallStatus::H_P4;
    }
    context.vcpu.set_dawr(number, dawr, dawrx);
    HcallStatus::H_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use platform::papr::opcode::H_SET_MODE;

    fn codes(rig: &Rig, calls: &[([u64; 4], i64)]) {
        for (args, code) in calls {
            assert_eq!(rig.call(H_SET_MODE, args).0, *code, "{args:x?}");
        }
    }

    #[test]
    fn watchpoints_and_the_order_of_checks() {
        let rig = Rig::new("power10", &[]);
        codes(
            &rig,
            &[
                ([0, 1, 0x1001, 0], 0),
                ([1, 1, 3, 1], -256),
                ([0, 1, 3, 1], -57),
                ([0, 1, 3, 0], -56),
                ([0, 2, 0x5000, 0xfc00], 0),
                ([1, 2, 0, 4], -256),
                ([0, 2, 0, 4], -57),
                ([0, 5, 0x5000, 0xfc00], 0),
                ([1, 5, 0, 4], -256),
                ([0, 5, 0, 4], -57),
                ([0, 0, 0, 0], -55),
                ([0, 6, 0, 0], -55),
                ([u64::MAX; 4], -55),
            ],
        );
        codes(&Rig::new("power9", &[]), &[([0, 5, 0, 0], -55), ([0, 2, 0, 0], 0)]);
        codes(&Rig::new("power10", &[("dawr1", "off")]), &[([0, 5, 0, 0], -2), ([0, 2, 0, 0], 0)]);
    }

    #[test]
    fn values_reach_the_registers() {
        let rig = Rig::new("power10", &[]);
        let mut vcpu = rig.world.partition.vcpu(0);
        vcpu.gpr[3..8].copy_from_slice(&[H_SET_MODE, 0, 5, 0x1234, 0x18]);
        rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu));
        assert_eq!(vcpu.dawr[1], (0x1234, 0x18));
        vcpu.gpr[3..8].copy_from_slice(&[H_SET_MODE, 0, 1, 0x4001, 0]);
        rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu));
        assert_eq!(vcpu.ciabr, 0x4001);
    }

    #[test]
    fn ail_modes_are_those_of_the_capability() {
        let lpcr_ail = |rig: &Rig| (rig.world.partition.lpcr(1) & lpcr::AIL) >> lpcr::AIL_SHIFT;
        for (cpu, modes, good) in [
            ("power9", "0+3", &[0u64, 3][..]),
            ("power9", "0", &[0]),
            ("power9", "0+2+3", &[0, 2, 3]),
            ("power8", "0+2", &[0, 2]),
            ("power10", "0x9", &[0, 3]),
        ] {
            let rig = Rig::new(cpu, &[("ail-modes", modes)]);
            for mode in [3, 1, 2, 0, 4, 5, 1 << 63, u64::MAX] {
                let before = lpcr_ail(&rig);
                let expect = if good.contains(&mode) { 0 } else { -256 };
                codes(&rig, &[([mode, 3, 0, 0], expect)]);
                assert_eq!(lpcr_ail(&rig), if expect == 0 { mode } else { before }, "{cpu} {modes} {mode}");
            }
        }
        let rig = Rig::new("power9", &[("ail-mode-3", "off")]);
        codes(&rig, &[([3, 3, 0, 0], -256), ([3, 3, 1, 1], -56), ([3, 3, 0, 1], -57), ([0, 3, 0, 0], 0)]);
    }

    #[test]
    fn byte_order_is_set_on_every_vcpu() {
        let rig = Rig::new("power9", &[]);
        codes(&rig, &[([1, 4, 0, 0], 0)]);
        assert!((0..4).all(|index| rig.world.partition.lpcr(index) & lpcr::ILE != 0));
        codes(&rig, &[([2, 4, 0, 0], -256), ([2, 4, 1, 1], -56), ([2, 4, 0, 1], -57)]);
        assert!((0..4).all(|index| rig.world.partition.lpcr(index) & lpcr::ILE != 0));
        codes(&rig, &[([0, 4, 0, 0], 0)]);
        assert!((0..4).all(|index| rig.world.partition.lpcr(index) & lpcr::ILE == 0));
    }
}
