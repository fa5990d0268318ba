//! Who runs: `H_CEDE`, `H_CONFER`, `H_PROD`, `H_JOIN`, and the system reset between vCPUs.

use crate::Hypervisor;
use crate::table::lock;
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext, RunState};

/// Sleeps until an interrupt or a prod. MSR[EE] is set in the caller, whatever it was.
pub(super) fn cede(_: &Hypervisor, context: &mut HcallContext<'_>, _: &HcallArgs) -> HcallStatus {
    context.vcpu.set_external_interrupts_enabled(true);
    // The vCPU goes to sleep after the return; what comes until then the board sees when it puts the thread to sleep.
    if !context.vcpu.take_prod() && !context.vcpu.interrupt_pending() {
        context.vcpu.cede();
    }
    HcallStatus::H_SUCCESS
}

/// Sleeps until prodded, or an interrupt that MSR enables.
fn confer_to_self(context: &mut HcallContext<'_>) -> HcallStatus {
    if !context.vcpu.take_prod() && !context.vcpu.interrupt_pending() {
        context.vcpu.cede();
    }
    HcallStatus::H_SUCCESS
}

/// Gives time away: to one vCPU by its server number as long as its yield count is the one given, or to all (-1).
pub(super) fn confer(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[server, dispatch, ..] = args;
    if server == u64::MAX {
        context.vcpu.yield_to(None);
        return HcallStatus::H_SUCCESS;
    }
    let Some(target) = u32::try_from(server).ok().and_then(|server| context.partition.vcpu_of_server(server)) else {
        return HcallStatus::H_PARAMETER;
    };
    if target == context.vcpu.index() {
        return confer_to_self(context);
    }
    // An even count: it was dispatched when the caller looked. Another count: it ran since. Either way, no need.
    let dispatch = dispatch as u32;
    if dispatch & 1 == 1 && hypervisor.vpas.yield_count(target, context.memory) == Some(dispatch) {
        context.vcpu.yield_to(Some(target));
    }
    HcallStatus::H_SUCCESS
}

/// Wakes one vCPU, by its server number.
pub(super) fn prod(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let Some(target) = u32::try_from(args[0]).ok().and_then(|server| context.partition.vcpu_of_server(server)) else {
        return HcallStatus::H_PARAMETER;
    };
    context.partition.prod(target);
    HcallStatus::H_SUCCESS
}

/// Sleeps until prodded, unless nobody else would be left who could prod.
pub(super) fn join(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, _: &HcallArgs) -> HcallStatus {
    if context.vcpu.external_interrupts_enabled() {
        return HcallStatus::H_BAD_MODE;
    }
    let _nobody_else_joins_meanwhile = lock(&hypervisor.join);
    let caller = context.vcpu.index();
    let runs = |index| matches!(context.partition.run_state(index), Some(RunState::Running | RunState::Ceded));
    if !(0..context.partition.vcpu_count()).any(|index| index != caller && runs(index)) {
        return HcallStatus::H_CONTINUE;
    }
    if !context.vcpu.take_prod() {
        context.vcpu.join();
    }
    HcallStatus::H_SUCCESS
}

/// Every vCPU.
const TARGET_ALL: i64 = -1;
/// Every vCPU but the caller.
const TARGET_ALL_OTHERS: i64 = -2;

/// System reset of one vCPU by its server number, of all (-1), or of all others (-2).
pub(super) fn signal_sys_reset(_: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    match args[0] as i64 {
        target @ (TARGET_ALL | TARGET_ALL_OTHERS) => {
            let caller = context.vcpu.index();
            for index in (0..context.partition.vcpu_count()).filter(|&index| target == TARGET_ALL || index != caller) {
                context.partition.system_reset(index);
            }
            HcallStatus::H_SUCCESS
        }
        target => match u32::try_from(target).ok().and_then(|server| context.partition.vcpu_of_server(server)) {
            Some(index) => {
                context.partition.system_reset(index);
                HcallStatus::H_SUCCESS
            }
            None => HcallStatus::H_PARAMETER,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use platform::papr::opcode::*;
    use platform::{GuestMemory, Partition};

    #[test]
    fn cede_enables_interrupts_and_sleeps_unless_prodded() {
        let rig = Rig::new("power9", &[]);
        let partition = &rig.world.partition;
        let mut vcpu = partition.vcpu(0);
        vcpu.gpr[3] = H_CEDE;
        assert_eq!(rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu)).0, 0);
        assert!(vcpu.external_interrupts_enabled);
        assert_eq!(partition.run_state(0), Some(RunState::Ceded));
        partition.set_run_state(0, RunState::Running);
        partition.prod(0);
        vcpu.gpr[3] = H_CEDE;
        rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu));
        assert_eq!(partition.run_state(0), Some(RunState::Running));
        vcpu.interrupt_pending = true;
        vcpu.gpr[3] = H_CEDE;
        rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu));
        assert_eq!(partition.run_state(0), Some(RunState::Running));
    }

    #[test]
    fn confer_looks_at_the_yield_count() {
        let rig = Rig::new("power9", &[]);
        rig.world.memory.write_be_u16(0x1_0004, 640).unwrap();
        assert_eq!(rig.call(H_REGISTER_VPA, &[1 << 45, 1, 0x1_0000]).0, 0);
        rig.hypervisor.on_cede(1, &rig.world.memory);
        let yielded = |target: u64, dispatch: u64| {
            let mut vcpu = rig.world.partition.vcpu(0);
            vcpu.gpr[3..6].copy_from_slice(&[H_CONFER, target, dispatch]);
            let code = rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu)).0;
            (code, vcpu.yielded)
        };
        assert_eq!(yielded(1, 1), (0, Some(Some(1))));
        assert_eq!(yielded(1, 3), (0, None));
        assert_eq!(yielded(1, 0), (0, None));
        assert_eq!(yielded(2, 1), (0, None));
        assert_eq!(yielded(u64::MAX, 0), (0, Some(None)));
        assert_eq!(yielded(77, 0), (-4, None));
        assert_eq!(yielded(1 << 32, 1), (-4, None));
        assert_eq!(yielded(0, 0), (0, None));
        assert_eq!(rig.world.partition.run_state(0), Some(RunState::Ceded));
    }

    #[test]
    fn the_last_one_does_not_join() {
        let rig = Rig::new("power9", &[]);
        let partition = &rig.world.partition;
        partition.set_run_state(1, RunState::Running);
        let join = |index: usize| {
            let mut vcpu = partition.vcpu(index);
            vcpu.gpr[3] = H_JOIN;
            rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu)).0
        };
        assert_eq!(join(1), 0);
        assert_eq!(partition.run_state(1), Some(RunState::Joined));
        assert_eq!(join(0), 18);
        assert_eq!(rig.call(H_PROD, &[1]).0, 0);
        assert_eq!(partition.run_state(1), Some(RunState::Running));
        assert_eq!(join(0), 0);
        let mut vcpu = partition.vcpu(1);
        vcpu.external_interrupts_enabled = true;
        vcpu.gpr[3] = H_JOIN;
        assert_eq!(rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu)).0, -5);
        assert_eq!(rig.call(H_PROD, &[4]).0, -4);
        assert_eq!(rig.call(H_PROD, &[u64::MAX]).0, -4);
    }

    #[test]
    fn system_resets_reach_who_is_meant() {
        let rig = Rig::new("power9", &[]);
        let partition = &rig.world.partition;
        partition.set_run_state(1, RunState::Running);
        partition.set_run_state(2, RunState::Ceded);
        let resets = || (0..4).map(|index| partition.system_resets(index)).collect::<Vec<_>>();
        assert_eq!(rig.call(H_SIGNAL_SYS_RESET, &[-2i64 as u64]).0, 0);
        assert_eq!(resets(), [0, 1, 1, 0]);
        assert_eq!(rig.call(H_SIGNAL_SYS_RESET, &[-1i64 as u64]).0, 0);
        assert_eq!(resets(), [1, 2, 2, 0]);
        assert_eq!(rig.call(H_SIGNAL_SYS_RESET, &[2]).0, 0);
        assert_eq!(resets(), [1, 2, 3, 0]);
        for wild in [-3i64 as u64, 4, 1 << 32, i64::MIN as u64, i64::MAX as u64] {
            assert_eq!(rig.call(H_SIGNAL_SYS_RESET, &[wild]).0, -4, "{wild:#x}");
        }
    }
}
