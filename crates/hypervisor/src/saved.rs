//! The hypervisor's own state in a snapshot.

use crate::Hypervisor;
use crate::capability::IsaLevel;
use crate::fwnmi::{ENTRY_LIMIT, Fwnmi};
use crate::table::lock;
use memory::hpt::{SHIFT_MIN, shift_for};
use snapshot::{FieldError, Io, Section, SectionId};
use std::sync::atomic::Ordering::SeqCst;

/// Associativity domains of a vCPU.
const DOMAINS_MAX: u64 = 16;

impl Section for Hypervisor {
    fn id(&self) -> SectionId {
        SectionId::new("hypervisor")
    }

    fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let Hypervisor {
            config,
            vpas,
            fwnmi,
            watchdogs,
            home_nodes,
            prepared_hpt,
            rtas_base_ra,
            level,
            // Devices, and with them their translation tables, have sections of their own.
            tce: _,
            devices: _,
            // No vCPU is within a call.
            join: _,
            // Of this run, not of the partition.
            host: _,
            // What follows from the configuration, and what was told to the user.
            hcalls: _,
            rtas: _,
            observer: _,
            reported: _,
        } = self;
        let mut level = lock(level);
        io.one_of("the level that the guest sees", &mut *level, &IsaLevel::COMPAT_NAMES.map(|(_, level)| level))?;
        let most = config.capabilities.basis().effective();
        io.require(
            "the level that the guest sees",
            level.number(),
            *level <= most,
            format_args!("{} at most", most.number()),
        )?;
        let mut base_ra = rtas_base_ra.load(SeqCst);
        io.u64("the place of RTAS", &mut base_ra)?;
        io.require("the place of RTAS", base_ra, base_ra < 1 << 32, "an address below 4 GiB")?;
        rtas_base_ra.store(base_ra, SeqCst);
        let mut fwnmi = lock(fwnmi);
        let Fwnmi { entries, interlock } = &mut *fwnmi;
        io.option("entries for machine checks", entries, |io, (reset, check)| {
            io.u32("the entry for system resets", reset)?;
            io.u32("the entry for machine checks", check)?;
            let fits = *reset < ENTRY_LIMIT && *check < ENTRY_LIMIT;
            io.require("an entry", (*reset).max(*check), fits, format_args!("an address below {ENTRY_LIMIT:#x}"))
        })?;
        io.option("the holder of the error log", interlock, |io, index| {
            io.index("the holder of the error log", index, config.max_vcpus)
        })?;
        io.option("the size of the prepared hash table", &mut *lock(prepared_hpt), |io, shift| {
            io.u32("the size of the prepared hash table", shift)
        })?;
        watchdogs.fields(io)?;
        io.list("vCPUs with domains", &mut lock(home_nodes), config.max_vcpus as u64, |io, domains| {
            io.list("domains", domains, DOMAINS_MAX, |io, domain| io.u32("a domain", domain))
        })?;
        vpas.fields(io)
    }
}

impl Hypervisor {
    /// Whether a hash table that was prepared is one that a partition with so much RAM can have.
    pub fn prepared_hash_table_fits(&self, ram_bytes: u64) -> bool {
        lock(&self.prepared_hpt).is_none_or(|shift| (SHIFT_MIN..=shift_for(ram_bytes) + 1).contains(&shift))
    }

    /// All that is saved of it and of its devices, in the order in which it is loaded: who raises interrupts comes behind
    /// their controllers.
    pub fn sections(&self) -> Vec<&dyn Section> {
        [self as &dyn Section].into_iter().chain(self.devices.iter().flat_map(|device| device.sections())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use platform::GuestMemory;
    use platform::papr::opcode::{H_REGISTER_VPA, H_WATCHDOG};

    fn save(hypervisor: &Hypervisor) -> Vec<u8> {
        let mut io = Io::save(1);
        hypervisor.fields(&mut io).unwrap();
        io.written()
    }

    #[test]
    fn a_saved_hypervisor_comes_back() {
        let rig = Rig::new("power9", &[]);
        rig.world.memory.write_be_u32(0x1000 + 4, 640 << 16).unwrap();
        assert_eq!(rig.call(H_REGISTER_VPA, &[1 << 45, 0, 0x1000]).0, 0);
        assert_eq!(rig.call(H_WATCHDOG, &[0x103, 2, 1000]).0, 0);
        rig.hypervisor.set_home_nodes(vec![vec![1, 2, 3]; 4]);
        rig.hypervisor.set_rtas_base_ra(0x1234_0000);
        let saved = save(&rig.hypervisor);
        let back = Rig::new("power9", &[]).hypervisor;
        assert_ne!(save(&back), saved);
        let mut io = Io::load(1, &saved);
        back.fields(&mut io).and_then(|()| io.finish()).unwrap();
        assert_eq!(save(&back), saved);
        assert_eq!((back.rtas_base_ra(), back.watchdog_deadline()), (0x1234_0000, rig.hypervisor.watchdog_deadline()));
        assert!(back.prepared_hash_table_fits(1 << 20));
        for at in 0..saved.len() {
            let mut wild = saved.clone();
            wild[at] ^= 0x55;
            let _ = back.fields(&mut Io::load(1, &wild));
            assert!(back.fields(&mut Io::load(1, &saved[..at])).is_err(), "{at}");
        }
    }
}
