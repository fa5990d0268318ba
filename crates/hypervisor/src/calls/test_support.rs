//! A hypervisor over stand-ins, for the tests of each call.

use crate::capability::{CapBasis, CapOption, IsaLevel, resolve};
use crate::{Config, Hypervisor};
use platform::mock::{MockWorld, VecMemory};
use platform::papr::HcallStatus;
use platform::papr::opcode::H_RTAS;
use platform::{GuestMemory, PaprDevice};
use std::sync::Arc;

/// Where the RTAS area of the rig lies.
pub(crate) const RTAS_BASE: u64 = 0xe_0000;
/// What an RTAS output holds that no handler has set.
pub(crate) const UNSET: i32 = 0x5555_5555;
/// Where the rig puts RTAS argument blocks.
const BLOCK: u64 = 0xd_0000;

/// A hypervisor with four vCPUs and 1 MiB of RAM.
pub(crate) struct Rig {
    pub hypervisor: Hypervisor,
    pub world: MockWorld,
}

impl Rig {
    /// A machine with CPU `compat_name` and capability `options`.
    pub fn new(compat_name: &str, options: &[CapOption<'_>]) -> Rig {
        Rig::with_devices(compat_name, options, Vec::new())
    }

    /// The same with RAM that is there.
    pub fn on(compat_name: &str, memory: Arc<VecMemory>) -> Rig {
        let mut rig = Rig::with_ram(compat_name, &[], Vec::new(), 0);
        rig.world.memory = memory;
        rig
    }

    /// The same with devices.
    pub fn with_devices(compat_name: &str, options: &[CapOption<'_>], devices: Vec<Arc<dyn PaprDevice>>) -> Rig {
        Rig::with_ram(compat_name, options, devices, 1 << 20)
    }

    fn with_ram(
        compat_name: &str,
        options: &[CapOption<'_>],
        devices: Vec<Arc<dyn PaprDevice>>,
        ram_bytes: usize,
    ) -> Rig {
        let basis = CapBasis { cpu: IsaLevel::by_compat_name(compat_name).unwrap(), compat: None };
        let (capabilities, _) = resolve(options, basis).unwrap();
        let config = Config { capabilities, max_vcpus: 4, rtas_base_ra: RTAS_BASE, uuid: Some([7; 16]) };
        Rig { hypervisor: Hypervisor::new(config, devices).unwrap(), world: MockWorld::new(4, ram_bytes) }
    }

    /// A hypercall of vCPU 0 with `args` in r4 and up, and what the registers hold after it.
    pub fn call_registers(&self, opcode: u64, args: &[u64]) -> (HcallStatus, [u64; 32]) {
        let mut vcpu = self.world.partition.vcpu(0);
        vcpu.gpr[3] = opcode;
        vcpu.gpr[4..4 + args.len()].copy_from_slice(args);
        let status = self.hypervisor.hcall(&mut self.world.context(&mut vcpu));
        assert_eq!(vcpu.gpr[3], status.0 as u64);
        (status, vcpu.gpr)
    }

    /// A hypercall of vCPU 0 with `args` in r4 and up.
    pub fn call(&self, opcode: u64, args: &[u64]) -> HcallStatus {
        self.call_registers(opcode, args).0
    }

    /// An RTAS call of vCPU 0, and its outputs, the status first.
    pub fn rtas(&self, token: u32, args: &[u32], nret: usize) -> Vec<i32> {
        let head = [token, args.len() as u32, nret as u32];
        let words = head.iter().chain(args).copied().chain(std::iter::repeat_n(UNSET as u32, nret));
        for (at, word) in words.enumerate() {
            self.world.memory.write_be_u32(BLOCK + 4 * at as u64, word).unwrap();
        }
        self.call(H_RTAS, &[BLOCK]);
        let outputs = BLOCK + 4 * (3 + args.len()) as u64;
        (0..nret as u64).map(|at| self.world.memory.read_be_u32(outputs + 4 * at).unwrap() as i32).collect()
    }
}
