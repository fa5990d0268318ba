//! What a guest may ask of the machine, and small registers: processor characteristics, home node, random numbers.

use crate::Hypervisor;
use crate::capability::{Cap, FIXED, FIXED_CCD, FIXED_IBS, WORKAROUND};
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext};

/// Bit `number`, counted from the most significant, as PAPR counts.
const fn bit(number: u32) -> u64 {
    1 << (63 - number)
}

/// Bits of the first result of `H_GET_CPU_CHARACTERISTICS`.
mod characteristic {
    use super::bit;
    pub const SPEC_BAR_ORI31: u64 = bit(0);
    pub const BCCTRL_SERIALISED: u64 = bit(1);
    pub const L1D_FLUSH_ORI30: u64 = bit(2);
    pub const L1D_FLUSH_TRIG2: u64 = bit(3);
    pub const L1D_THREAD_PRIVATE: u64 = bit(4);
    pub const HONOURS_BRANCH_HINTS: u64 = bit(5);
    pub const CACHE_COUNT_DISABLED: u64 = bit(7);
    pub const BCCTR_FLUSH_ASSIST: u64 = bit(9);
}

/// Bits of the second result of `H_GET_CPU_CHARACTERISTICS`.
mod behaviour {
    use super::bit;
    pub const FAVOUR_SECURITY: u64 = bit(0);
    pub const L1D_FLUSH_ON_PRIVILEGE: u64 = bit(1);
    pub const BOUNDS_CHECK_BARRIER: u64 = bit(2);
    pub const FLUSH_COUNT_CACHE: u64 = bit(5);
    pub const NO_L1D_FLUSH_ON_ENTRY: u64 = bit(7);
    pub const NO_L1D_FLUSH_ON_USER_ACCESS: u64 = bit(8);
}

/// No arguments. r4: what the processor does; r5: what the guest is to do.
pub(super) fn get_cpu_characteristics(
    hypervisor: &Hypervisor,
    context: &mut HcallContext<'_>,
    _: &HcallArgs,
) -> HcallStatus {
    let capabilities = hypervisor.capabilities();
    // A guest on a machine without a mitigation is still asked to do its part: "fixed" alone says that it need not.
    let mut is = characteristic::HONOURS_BRANCH_HINTS;
    let mut todo = behaviour::FAVOUR_SECURITY;
    match capabilities.level(Cap::Cfpc) {
        WORKAROUND => {
            is |=
                characteristic::L1D_FLUSH_ORI30 | characteristic::L1D_FLUSH_TRIG2 | characteristic::L1D_THREAD_PRIVATE;
            todo |= behaviour::L1D_FLUSH_ON_PRIVILEGE;
        }
        FIXED => todo |= behaviour::NO_L1D_FLUSH_ON_ENTRY | behaviour::NO_L1D_FLUSH_ON_USER_ACCESS,
        _ => todo |= behaviour::L1D_FLUSH_ON_PRIVILEGE,
    }
    match capabilities.level(Cap::Sbbc) {
        WORKAROUND => {
            is |= characteristic::SPEC_BAR_ORI31;
            todo |= behaviour::BOUNDS_CHECK_BARRIER;
        }
        FIXED => {}
        _ => todo |= behaviour::BOUNDS_CHECK_BARRIER,
    }
    match capabilities.level(Cap::Ibs) {
        WORKAROUND => {
            todo |= behaviour::FLUSH_COUNT_CACHE;
            if capabilities.is_on(Cap::CcfAssist) {
                is |= characteristic::BCCTR_FLUSH_ASSIST;
            }
        }
        FIXED_IBS => is |= characteristic::BCCTRL_SERIALISED,
        FIXED_CCD => is |= characteristic::CACHE_COUNT_DISABLED,
        _ => {}
    }
    context.vcpu.set_gpr(4, is);
    context.vcpu.set_gpr(5, todo);
    HcallStatus::H_SUCCESS
}

/// Flag: the vCPU is named as in `H_REGISTER_VPA`.
const HOME_NODE_BY_SERVER: u64 = 1;
/// Registers with domains, two each, from r4 on.
const HOME_NODE_REGISTERS: usize = 6;

/// Flags, vCPU by its server number. r4 to r9: its associativity, two domains each, ended by all ones.
pub(super) fn home_node_associativity(
    hypervisor: &Hypervisor,
    context: &mut HcallContext<'_>,
    args: &HcallArgs,
) -> HcallStatus {
    let &[flags, server, ..] = args;
    if flags != HOME_NODE_BY_SERVER {
        return HcallStatus::H_FUNCTION;
    }
    let index = u32::try_from(server).ok().and_then(|server| context.partition.vcpu_of_server(server));
    let Some(domains) = index.and_then(|index| hypervisor.home_node(index)) else {
        return HcallStatus::H_P2;
    };
    let domain = |number: usize| u64::from(domains.get(number).copied().unwrap_or(u32::MAX));
    for pair in 0..HOME_NODE_REGISTERS {
        context.vcpu.set_gpr(4 + pair, (domain(2 * pair) << 32) | domain(2 * pair + 1));
    }
    HcallStatus::H_SUCCESS
}

/// No arguments. r4: a random doubleword.
pub(super) fn random(_: &Hypervisor, context: &mut HcallContext<'_>, _: &HcallArgs) -> HcallStatus {
    let value = context.entropy.next_u64();
    context.vcpu.set_gpr(4, value);
    HcallStatus::H_SUCCESS
}

/// Value.
pub(super) fn set_sprg0(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    context.vcpu.set_sprg0(args[0]);
    HcallStatus::H_SUCCESS
}

/// `H_SET_DABR` and `H_SET_XDABR`: since ISA 2.07 there is no DABR, but DAWR, which `H_SET_MODE` sets.
pub(super) fn set_dabr(_: &Hypervisor, _: &mut HcallContext<'_>, _: &HcallArgs) -> HcallStatus {
    HcallStatus::H_HARDWARE
}

/// A facility that this machine does not have: a processor pool with an idle count, accelerators, the hypervisor's
/// performance counters. In the table because every stock Linux asks, and nobody is to be told that something is missing.
pub(super) fn absent(_: &Hypervisor, _: &mut HcallContext<'_>, _: &HcallArgs) -> HcallStatus {
    HcallStatus::H_FUNCTION
}

#[cfg(test)]
mod tests {
    use crate::calls::test_support::Rig;
    use crate::capability::CapOption;
    use platform::papr::opcode::*;

    #[test]
    fn characteristics_follow_the_capabilities() {
        let cases: [(&[CapOption<'_>], u64, u64); 5] = [
            (&[], 0xbc40, 0xe400),
            (&[("cfpc", "broken"), ("sbbc", "broken"), ("ibs", "broken"), ("ccf-assist", "off")], 0x0400, 0xe000),
            (&[("ccf-assist", "off")], 0xbc00, 0xe400),
            (&[("cfpc", "fixed"), ("sbbc", "fixed"), ("ibs", "fixed-ibs")], 0x4400, 0x8180),
            (&[("ibs", "fixed-ccd")], 0xbd00, 0xe000),
        ];
        for (options, characteristics, behaviour) in cases {
            let (code, gpr) = Rig::new("power9", options).call_registers(H_GET_CPU_CHARACTERISTICS, &[]);
            assert_eq!((code.0, gpr[4] >> 48, gpr[5] >> 48), (0, characteristics, behaviour), "{options:?}");
        }
    }

    #[test]
    fn home_node() {
        let rig = Rig::new("power9", &[]);
        assert_eq!(rig.call(H_HOME_NODE_ASSOCIATIVITY, &[1, 3]).0, -55);
        let domains = |index: u32| if index == 0 { vec![7, 0] } else { vec![0, 0, 0, 0, index] };
        rig.hypervisor.set_home_nodes((0..4).map(domains).collect());
        let (code, gpr) = rig.call_registers(H_HOME_NODE_ASSOCIATIVITY, &[1, 0]);
        assert_eq!((code.0, gpr[4], gpr[5]), (0, 7 << 32, u64::MAX));
        let (code, gpr) = rig.call_registers(H_HOME_NODE_ASSOCIATIVITY, &[1, 3]);
        assert_eq!(code.0, 0);
        assert_eq!(gpr[4..10], [0, 0, 0x3_ffff_ffff, u64::MAX, u64::MAX, u64::MAX]);
        assert_eq!(rig.call(H_HOME_NODE_ASSOCIATIVITY, &[2, 3]).0, -2);
        assert_eq!(rig.call(H_HOME_NODE_ASSOCIATIVITY, &[1, 4]).0, -55);
        assert_eq!(rig.call(H_HOME_NODE_ASSOCIATIVITY, &[1, u64::MAX]).0, -55);
    }

    #[test]
    fn small_calls() {
        let rig = Rig::new("power9", &[]);
        let random = || rig.call_registers(H_RANDOM, &[]).1[4];
        assert_ne!(random(), random());
        assert_eq!(rig.call(H_SET_SPRG0, &[u64::MAX]).0, 0);
        assert_eq!(rig.call(H_SET_DABR, &[u64::MAX]).0, -1);
        assert_eq!(rig.call(H_SET_XDABR, &[u64::MAX, 3]).0, -1);
    }
}
