//! The RTAS functions that need no device.

use crate::Hypervisor;
use crate::capability::{Cap, Capabilities};
use crate::fwnmi::{ENTRY_LIMIT, Fwnmi};
use crate::table::{CoreRtas, lock};
use platform::papr::RtasStatus;
use platform::papr::token::*;
use platform::{GuestMemory, HcallContext, MemoryError, RtasCall, RtasFunction, RunState, Shutdown, StartRequest};

/// The rows of a machine with `capabilities`.
pub(crate) fn rows(capabilities: &Capabilities) -> Vec<CoreRtas> {
    let row =
        |token, name, nargs, nret, handler| CoreRtas { row: RtasFunction::new(token, name, nargs, nret), handler };
    let mut rows = vec![
        row(POWER_OFF, "power-off", 2, 1, power_off),
        row(SYSTEM_REBOOT, "system-reboot", 0, 1, system_reboot),
        row(QUERY_CPU_STOPPED_STATE, "query-cpu-stopped-state", 1, 2, query_cpu_stopped_state),
        row(START_CPU, "start-cpu", 3, 1, start_cpu),
        row(STOP_SELF, "stop-self", 0, 1, stop_self),
        row(IBM_GET_SYSTEM_PARAMETER, "ibm,get-system-parameter", 3, 1, get_system_parameter),
        row(IBM_SET_SYSTEM_PARAMETER, "ibm,set-system-parameter", 2, 1, set_system_parameter),
        row(EVENT_SCAN, "event-scan", 4, 1, no_event),
        row(QUIESCE, "quiesce", 0, 1, quiesce),
        row(READ_PCI_CONFIG, "read-pci-config", 2, 2, read_pci_config),
        row(WRITE_PCI_CONFIG, "write-pci-config", 3, 1, write_pci_config),
        row(IBM_READ_PCI_CONFIG, "ibm,read-pci-config", 4, 2, read_pci_config),
        row(IBM_WRITE_PCI_CONFIG, "ibm,write-pci-config", 5, 1, write_pci_config),
        row(SET_INDICATOR, "set-indicator", 3, 1, no_such_indicator),
        row(SET_POWER_LEVEL, "set-power-level", 2, 2, power_level),
        row(GET_POWER_LEVEL, "get-power-level", 1, 2, power_level),
        row(GET_SENSOR_STATE, "get-sensor-state", 2, 2, get_sensor_state),
        row(IBM_OS_TERM, "ibm,os-term", 1, 1, os_term),
        row(IBM_SUSPEND_ME, "ibm,suspend-me", 0, 1, suspend_me),
    ];
    let mut check_exception = row(CHECK_EXCEPTION, "check-exception", 6, 1, no_event);
    check_exception.row.nargs_max = 7;
    rows.push(check_exception);
    if capabilities.is_on(Cap::Fwnmi) {
        rows.push(row(IBM_NMI_REGISTER, "ibm,nmi-register", 2, 1, nmi_register));
        rows.push(row(IBM_NMI_INTERLOCK, "ibm,nmi-interlock", 0, 1, nmi_interlock));
    }
    rows
}

/// Two words about what may power the machine on again; there is nothing that could.
fn power_off(_: &Hypervisor, context: &mut HcallContext<'_>, _: &mut RtasCall<'_>) -> RtasStatus {
    context.partition.request_shutdown(Shutdown::PowerOff);
    RtasStatus::SUCCESS
}

fn system_reboot(_: &Hypervisor, context: &mut HcallContext<'_>, _: &mut RtasCall<'_>) -> RtasStatus {
    context.partition.request_shutdown(Shutdown::Reboot);
    RtasStatus::SUCCESS
}

/// vCPU state of `query-cpu-stopped-state`: stopped.
const CPU_STOPPED: u32 = 0;
/// Not stopped.
const CPU_NOT_STOPPED: u32 = 2;

/// vCPU by its server number; outputs its state.
fn query_cpu_stopped_state(_: &Hypervisor, context: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
    let index = context.partition.vcpu_of_server(call.args[0]);
    let Some(state) = index.and_then(|index| context.partition.run_state(index)) else {
        return RtasStatus::PARAMETER_ERROR;
    };
    call.results[0] = if state == RunState::Stopped { CPU_STOPPED } else { CPU_NOT_STOPPED };
    RtasStatus::SUCCESS
}

/// vCPU by its server number, entry, r3.
fn start_cpu(_: &Hypervisor, context: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
    let Some(index) = context.partition.vcpu_of_server(call.args[0]) else {
        return RtasStatus::PARAMETER_ERROR;
    };
    let request = StartRequest { entry: call.args[1].into(), r3: call.args[2].into(), from: context.vcpu.index() };
    match context.partition.start(index, request) {
        Ok(()) => RtasStatus::SUCCESS,
        Err(error) => {
            tracing::debug!(target: "hcall", "start-cpu: {error}");
            RtasStatus::HARDWARE_ERROR
        }
    }
}

fn stop_self(_: &Hypervisor, context: &mut HcallContext<'_>, _: &mut RtasCall<'_>) -> RtasStatus {
    context.vcpu.stop_self();
    RtasStatus::SUCCESS
}

/// What a shared-processor partition may use, as text.
const PARAMETER_SPLPAR_CHARACTERISTICS: u32 = 20;
/// Whether diagnostics run at boot.
const PARAMETER_DIAGNOSTICS_RUN_MODE: u32 = 42;
/// UUID of the partition.
const PARAMETER_UUID: u32 = 48;
/// Diagnostics do not run.
const DIAGNOSTICS_DISABLED: u8 = 0;

/// Number of the parameter, address and size of a buffer: a halfword that tells the length of the value, then the value.
fn get_system_parameter(
    hypervisor: &Hypervisor,
    context: &mut HcallContext<'_>,
    call: &mut RtasCall<'_>,
) -> RtasStatus {
    let &[parameter, buffer_ra, buffer_bytes] = call.args else { return RtasStatus::PARAMETER_ERROR };
    let value = match parameter {
        PARAMETER_SPLPAR_CHARACTERISTICS => {
            let (vcpus, max_vcpus) = (context.partition.vcpu_count(), context.partition.max_vcpus());
            let memory_mib = context.partition.memory_bytes() >> 20;
            let text = format!(
                "MaxEntCap={max_vcpus},DesMem={memory_mib},DesProcs={vcpus},MaxPlatProcs={max_vcpus},HostThrs=1\0"
            );
            text.into_bytes()
        }
        PARAMETER_DIAGNOSTICS_RUN_MODE => vec![DIAGNOSTICS_DISABLED],
        PARAMETER_UUID => hypervisor.config.uuid.map_or(Vec::new(), |uuid| uuid.to_vec()),
        _ => return RtasStatus::PARAMETER_ERROR,
    };
    let Some(room_bytes) = (buffer_bytes as usize).checked_sub(2) else {
        return RtasStatus::SYSPARM_PARAMETER_ERROR;
    };
    let shown = &value[..value.len().min(room_bytes)];
    let buffer_ra = u64::from(buffer_ra);
    let written = write_both(context.memory, buffer_ra, &(value.len() as u16).to_be_bytes(), shown);
    if written.is_ok() { RtasStatus::SUCCESS } else { RtasStatus::SYSPARM_PARAMETER_ERROR }
}

fn write_both(memory: &dyn GuestMemory, ra: u64, first: &[u8], second: &[u8]) -> Result<(), MemoryError> {
    memory.write(ra + first.len() as u64, second)?;
    memory.write(ra, first)
}

fn set_system_parameter(_: &Hypervisor, _: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
    match call.args[0] {
        PARAMETER_SPLPAR_CHARACTERISTICS | PARAMETER_DIAGNOSTICS_RUN_MODE | PARAMETER_UUID => {
            RtasStatus::NOT_AUTHORIZED
        }
        _ => RtasStatus::PARAMETER_ERROR,
    }
}

/// `event-scan`, `check-exception`: no events come from this machine.
fn no_event(_: &Hypervisor, _: &mut HcallContext<'_>, _: &mut RtasCall<'_>) -> RtasStatus {
    RtasStatus::NO_ERRORS_FOUND
}

fn quiesce(_: &Hypervisor, _: &mut HcallContext<'_>, _: &mut RtasCall<'_>) -> RtasStatus {
    RtasStatus::SUCCESS
}

/// There is no PCI host bridge, so no device answers.
fn read_pci_config(_: &Hypervisor, _: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
    call.results[0] = u32::MAX;
    RtasStatus::HARDWARE_ERROR
}

fn write_pci_config(_: &Hypervisor, _: &mut HcallContext<'_>, _: &mut RtasCall<'_>) -> RtasStatus {
    RtasStatus::HARDWARE_ERROR
}

/// There are no sensors, for nothing can be plugged.
fn get_sensor_state(_: &Hypervisor, _: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
    call.results[0] = 0;
    RtasStatus::NO_SUCH_INDICATOR
}

/// `set-indicator`: there are none, for the same reason.
fn no_such_indicator(_: &Hypervisor, _: &mut HcallContext<'_>, _: &mut RtasCall<'_>) -> RtasStatus {
    RtasStatus::NO_SUCH_INDICATOR
}

/// The power domain of everything that has its own (that is: nothing).
const POWER_DOMAIN_LIVE: u32 = u32::MAX;
/// Full power.
const POWER_LEVEL_FULL: u32 = 100;

/// Power domain (and level): the live domain is always fully on.
fn power_level(_: &Hypervisor, _: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
    if call.args[0] != POWER_DOMAIN_LIVE {
        return RtasStatus::PARAMETER_ERROR;
    }
    call.results[0] = POWER_LEVEL_FULL;
    RtasStatus::SUCCESS
}

/// Longest message of a guest that gives up.
const PANIC_MESSAGE_BYTES_MAX: u64 = 512;

/// Address of a message that ends with a zero byte.
fn os_term(_: &Hypervisor, context: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
    let message_ra = u64::from(call.args[0]);
    let len_bytes = context.memory.size_bytes().saturating_sub(message_ra).min(PANIC_MESSAGE_BYTES_MAX);
    let mut bytes = vec![0; len_bytes as usize];
    if context.memory.read(message_ra, &mut bytes).is_err() {
        bytes.clear();
    }
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    // The message is the guest's: it goes to somebody's terminal or log.
    let message = String::from_utf8_lossy(text)
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect::<String>()
        .trim()
        .to_owned();
    context.partition.request_shutdown(Shutdown::GuestPanicked { message });
    RtasStatus::SUCCESS
}

/// A partition cannot be suspended yet; the guest goes on.
fn suspend_me(hypervisor: &Hypervisor, _: &mut HcallContext<'_>, _: &mut RtasCall<'_>) -> RtasStatus {
    hypervisor.report_unimplemented(|| "RTAS ibm,suspend-me".into());
    RtasStatus::PARAMETER_ERROR
}

/// Entry for system reset, entry for machine check.
fn nmi_register(hypervisor: &Hypervisor, _: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
    let &[system_reset, machine_check] = call.args else { return RtasStatus::PARAMETER_ERROR };
    let acceptable = |entry: u32| entry < ENTRY_LIMIT && entry.is_multiple_of(4);
    if !acceptable(system_reset) || !acceptable(machine_check) {
        return RtasStatus::PARAMETER_ERROR;
    }
    // Who registers handles no machine check, even if the kernel before it did.
    *lock(&hypervisor.fwnmi) = Fwnmi { entries: Some((system_reset, machine_check)), interlock: None };
    RtasStatus::SUCCESS
}

/// Releases the error log. A vCPU that does not hold it is told of success, since Linux calls this behind system resets too.
fn nmi_interlock(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, _: &mut RtasCall<'_>) -> RtasStatus {
    let mut fwnmi = lock(&hypervisor.fwnmi);
    if fwnmi.entries.is_none() {
        return RtasStatus::PARAMETER_ERROR;
    }
    fwnmi.interlock.take_if(|holder| *holder == context.vcpu.index());
    RtasStatus::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::{Rig, UNSET};
    use platform::Partition;

    #[test]
    fn vcpus_start_and_stop() {
        let rig = Rig::new("power9", &[]);
        assert_eq!(rig.rtas(QUERY_CPU_STOPPED_STATE, &[0], 2), [0, 2]);
        assert_eq!(rig.rtas(QUERY_CPU_STOPPED_STATE, &[1], 2), [0, 0]);
        assert_eq!(rig.rtas(QUERY_CPU_STOPPED_STATE, &[4], 2), [-3, UNSET]);
        assert_eq!(rig.rtas(START_CPU, &[1, 0x60, 7], 1), [0]);
        let started = rig.world.partition.started(1);
        assert_eq!(started, Some(StartRequest { entry: 0x60, r3: 7, from: 0 }));
        assert_eq!(rig.rtas(QUERY_CPU_STOPPED_STATE, &[1], 2), [0, 2]);
        assert_eq!(rig.rtas(START_CPU, &[1, 0x60, 7], 1), [-1]);
        assert_eq!(rig.rtas(START_CPU, &[u32::MAX, 0x60, 7], 1), [-3]);
        assert_eq!(rig.rtas(STOP_SELF, &[], 1), [0]);
        assert_eq!(rig.world.partition.run_state(0), Some(RunState::Stopped));
    }

    #[test]
    fn the_first_end_counts() {
        let end = |token, args: &[u32]| {
            let rig = Rig::new("power9", &[]);
            rig.world.memory.write(0x3000, b"Fatal\x1b[2J exception\n\0rest").unwrap();
            assert_eq!(rig.rtas(token, args, 1), [0]);
            rig.rtas(POWER_OFF, &[u32::MAX, u32::MAX], 1);
            let shutdown = rig.world.partition.shutdown.lock().unwrap().clone();
            shutdown.unwrap()
        };
        assert_eq!(end(POWER_OFF, &[0, 0]), Shutdown::PowerOff);
        assert_eq!(end(SYSTEM_REBOOT, &[]), Shutdown::Reboot);
        assert_eq!(end(IBM_OS_TERM, &[0x3000]), Shutdown::GuestPanicked { message: "Fatal [2J exception".into() });
        assert_eq!(end(IBM_OS_TERM, &[u32::MAX]), Shutdown::GuestPanicked { message: String::new() });
    }

    #[test]
    fn system_parameters() {
        let rig = Rig::new("power9", &[]);
        let memory = &rig.world.memory;
        let text = b"MaxEntCap=4,DesMem=1024,DesProcs=4,MaxPlatProcs=4,HostThrs=1\0";
        assert_eq!(rig.rtas(IBM_GET_SYSTEM_PARAMETER, &[20, 0x3000, 1024], 1), [0]);
        assert_eq!(usize::from(memory.read_be_u16(0x3000).unwrap()), text.len());
        let mut bytes = vec![0; text.len()];
        memory.read(0x3002, &mut bytes).unwrap();
        assert_eq!(bytes, text);
        // A short buffer gets the head; the length tells what it should have been.
        memory.fill(0x3000, 64, 0xee).unwrap();
        assert_eq!(rig.rtas(IBM_GET_SYSTEM_PARAMETER, &[20, 0x3000, 5], 1), [0]);
        assert_eq!((memory.read_u8(0x3004).unwrap(), memory.read_u8(0x3005).unwrap()), (b'x', 0xee));
        for (args, status) in [
            ([20, 0x3000, 1], -9999),
            ([20, u32::MAX, 64], -9999),
            ([42, 0x3000, 64], 0),
            ([48, 0x3000, 64], 0),
            ([0, 0x3000, 64], -3),
        ] {
            assert_eq!(rig.rtas(IBM_GET_SYSTEM_PARAMETER, &args, 1), [status], "{args:x?}");
        }
        assert_eq!(rig.rtas(IBM_SET_SYSTEM_PARAMETER, &[42, 0x3000], 1), [-9002]);
        assert_eq!(rig.rtas(IBM_SET_SYSTEM_PARAMETER, &[43, 0x3000], 1), [-3]);
    }

    #[test]
    fn what_is_not_there() {
        let rig = Rig::new("power9", &[]);
        assert_eq!(rig.rtas(EVENT_SCAN, &[u32::MAX, 0, 0x3000, 0x800], 1), [1]);
        assert_eq!(rig.rtas(CHECK_EXCEPTION, &[0x500, 0, 0, 0, 0x3000, 0x800], 1), [1]);
        assert_eq!(rig.rtas(CHECK_EXCEPTION, &[0x500, 0, 0, 0, 0x3000, 0x800, 0], 1), [1]);
        assert_eq!(rig.rtas(CHECK_EXCEPTION, &[0x500, 0, 0, 0, 0x3000], 1), [-3]);
        assert_eq!(rig.rtas(IBM_READ_PCI_CONFIG, &[0, 8, 0, 4], 2), [-1, -1]);
        assert_eq!(rig.rtas(IBM_WRITE_PCI_CONFIG, &[0, 8, 0, 4, 1], 1), [-1]);
        assert_eq!(rig.rtas(GET_SENSOR_STATE, &[9003, 0], 2), [-3, 0]);
        assert_eq!(rig.rtas(SET_INDICATOR, &[9001, 0, 0], 1), [-3]);
        assert_eq!(rig.rtas(SET_POWER_LEVEL, &[u32::MAX, 100], 2), [0, 100]);
        assert_eq!(rig.rtas(GET_POWER_LEVEL, &[1], 2), [-3, UNSET]);
        assert_eq!(rig.rtas(IBM_SUSPEND_ME, &[], 1), [-3]);
    }
}
