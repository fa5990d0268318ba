//! What KVM itself answers to `H_SET_MODE`, before its user program hears of it: the column of a host profile.

use super::mode::{
    CIABR_PRIV_HYPERVISOR, DAWRX_HYPERVISOR, RESOURCE_AIL, RESOURCE_CIABR, RESOURCE_DAWR0, RESOURCE_DAWR1,
};
use crate::Hypervisor;
use crate::capability::{Cap, HostCapabilities as _, HostKind, IsaLevel};
use cpu::bits::lpcr;
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext};

/// The code of the last bit of the flags: KVM PR's answer to any mode but 0.
const UNSUPPORTED_LAST_FLAG: HcallStatus = HcallStatus(HcallStatus::H_UNSUPPORTED_FLAG.0 - 63);

/// The answer of the host, or `None` where it leaves the call to the machine.
pub(super) fn host_answer(
    hypervisor: &Hypervisor,
    context: &mut HcallContext<'_>,
    args: &HcallArgs,
) -> Option<HcallStatus> {
    match hypervisor.host().kind() {
        HostKind::Emulator => None,
        HostKind::KvmHv => kvm_hv(hypervisor, context, args),
        HostKind::KvmPr => kvm_pr(context, args),
    }
}

fn kvm_hv(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> Option<HcallStatus> {
    let &[mflags, resource, value1, value2, ..] = args;
    let host = hypervisor.host();
    let capabilities = hypervisor.capabilities();
    let processor = host.level().unwrap_or(capabilities.basis().cpu);
    let level = hypervisor.level().min(processor);
    // Linux leaves a POWER9's watchpoint off.
    let watchpoint = level >= IsaLevel::V2_07 && processor != IsaLevel::V3_0;
    let leaks = host.honours(false).contains(3) && !host.honours(true).contains(3);
    let answer = match resource {
        RESOURCE_CIABR if level < IsaLevel::V2_07 => HcallStatus::H_P2,
        RESOURCE_CIABR if value2 != 0 => HcallStatus::H_P4,
        RESOURCE_CIABR if mflags != 0 => HcallStatus::H_UNSUPPORTED_FLAG,
        RESOURCE_CIABR if value1 & 3 == CIABR_PRIV_HYPERVISOR => HcallStatus::H_P3,
        RESOURCE_CIABR => {
            context.vcpu.set_ciabr(value1);
            HcallStatus::H_SUCCESS
        }
        RESOURCE_DAWR0 | RESOURCE_DAWR1 if !watchpoint => HcallStatus::H_P2,
        RESOURCE_DAWR1 if processor < IsaLevel::V3_1 => HcallStatus::H_P2,
        RESOURCE_DAWR1 if !capabilities.is_on(Cap::Dawr1) => HcallStatus::H_FUNCTION,
        RESOURCE_DAWR0 | RESOURCE_DAWR1 if mflags != 0 => HcallStatus::H_UNSUPPORTED_FLAG,
        RESOURCE_DAWR0 | RESOURCE_DAWR1 if value2 & DAWRX_HYPERVISOR != 0 => HcallStatus::H_P4,
        RESOURCE_DAWR0 | RESOURCE_DAWR1 => {
            context.vcpu.set_dawr(usize::from(resource == RESOURCE_DAWR1), value1, value2);
            HcallStatus::H_SUCCESS
        }
        RESOURCE_AIL if !matches!(mflags, 0 | 3) => HcallStatus::H_UNSUPPORTED_FLAG,
        // A processor that leaks in mode 3 with radix translation alone. What is not offered at all is the machine's to
        // refuse, behind its own checks.
        RESOURCE_AIL if mflags == 3 && leaks && context.partition.process_table().radix => {
            HcallStatus::H_UNSUPPORTED_FLAG
        }
        _ => return None,
    };
    Some(answer)
}

fn kvm_pr(context: &mut HcallContext<'_>, args: &HcallArgs) -> Option<HcallStatus> {
    let &[mflags, resource, ..] = args;
    if resource != RESOURCE_AIL {
        return None;
    }
    if mflags != 0 {
        return Some(UNSUPPORTED_LAST_FLAG);
    }
    context.vcpu.update_lpcr_all(lpcr::AIL, 0);
    Some(HcallStatus::H_SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use crate::capability::{CapOption, HostProfile};
    use platform::papr::opcode::{H_REGISTER_PROC_TBL, H_SET_MODE};

    fn rig(host: &str, cpu: &str, options: &[CapOption<'_>]) -> Rig {
        let mut rig = Rig::new(cpu, options);
        rig.hypervisor.set_host(HostProfile::by_name(host).unwrap());
        rig
    }

    fn codes(rig: &Rig, calls: &[([u64; 4], i64)]) {
        for (args, code) in calls {
            assert_eq!(rig.call(H_SET_MODE, args).0, *code, "{} {args:x?}", rig.hypervisor.host().name());
        }
    }

    #[test]
    fn kvm_hv_checks_in_its_own_order() {
        codes(
            &rig("kvm-hv", "power10", &[]),
            &[
                ([1, 1, 3, 1], -57),
                ([1, 1, 3, 0], -256),
                ([0, 1, 3, 0], -56),
                ([0, 1, 0x1001, 0], 0),
                ([1, 2, 0, 4], -256),
                ([0, 2, 0, 4], -57),
                ([0, 2, 0x5000, 0xfc00], 0),
                ([0, 5, 0x5000, 0xfc00], 0),
                // A mode that there is not counts before the values, one that there is after them.
                ([1, 3, 1, 1], -256),
                ([2, 3, 1, 1], -256),
                ([3, 3, 1, 1], -56),
                ([3, 3, 0, 1], -57),
                ([3, 3, 0, 0], 0),
                ([0, 3, 0, 0], 0),
                // Left to the machine.
                ([2, 4, 1, 1], -56),
                ([2, 4, 0, 0], -256),
                ([0, 6, 0, 0], -55),
            ],
        );
        codes(&rig("kvm-hv", "power10", &[("dawr1", "off")]), &[([1, 5, 0, 4], -2)]);
        codes(&rig("kvm-hv", "power9", &[]), &[([0, 2, 0, 0], -55), ([1, 5, 0, 4], -55), ([0, 1, 0, 0], 0)]);
        codes(&rig("kvm-hv", "power8", &[]), &[([0, 2, 0, 0], 0), ([0, 5, 0, 0], -55)]);
        let old = [("ail-modes", "0")];
        codes(
            &rig("kvm-hv-power7", "power8", &old),
            &[([1, 1, 3, 1], -55), ([1, 2, 0, 4], -55), ([3, 3, 1, 0], -56), ([3, 3, 0, 0], -256)],
        );
        codes(&rig("kvm-hv", "power9", &old), &[([3, 3, 1, 0], -56), ([3, 3, 0, 0], -256), ([0, 3, 0, 0], 0)]);
    }

    #[test]
    fn a_power9_that_leaks_refuses_radix_guests_only() {
        let rig = rig("kvm-hv-power9-dd2.1", "power9", &[("ail-modes", "0+3")]);
        codes(&rig, &[([3, 3, 0, 0], 0)]);
        assert_eq!(rig.call(H_REGISTER_PROC_TBL, &[0x1d, 0, 0, 0xc]).0, 0);
        codes(&rig, &[([3, 3, 0, 0], -256), ([3, 3, 1, 1], -256), ([0, 3, 0, 0], 0)]);
    }

    #[test]
    fn kvm_pr_looks_at_the_mode_alone() {
        for host in ["kvm-pr", "kvm-pr-pre-cap"] {
            let rig = rig(host, "power8", &[("ail-modes", "0")]);
            codes(&rig, &[([0, 3, 1, 1], 0), ([1, 3, 0, 0], -319), ([2, 3, 0, 0], -319), ([3, 3, 1, 1], -319)]);
            codes(&rig, &[([1, 1, 3, 1], -256), ([0, 2, 0, 0], 0), ([1, 4, 0, 0], 0), ([0, 6, 0, 0], -55)]);
        }
    }
}
