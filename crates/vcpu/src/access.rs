//! Loads, stores and fetches by effective address: the inline TLB hit, and the slow path with walk,
//! page crossing, watchpoints and pages that hold decoded code.

use crate::context::mode;
use crate::{Exit, R, Stop, Vcpu};
use cpu::bits::{dawrx, dsisr, msr, srr1};
use cpu::{Interrupt, Vector};
use memory::hash;
use memory::radix::{self, Access, Authority, Fault};
use memory::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE, access};

/// Real mode ignores the four high bits of an effective address (Power ISA 3.0B, Book III, 5.7.3).
const REAL_MASK: u64 = 0x0FFF_FFFF_FFFF_FFFF;

/// What an access reaches.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// RAM: host address and real address.
    Ram(*mut u8, u64),
    /// A device: real address.
    Device(u64),
}

/// Bytes of the widest access that devices take.
const DEVICE_ACCESS_MAX: u64 = 8;

/// A data access of at most 16 bytes, translated: one piece, or two where it crosses a page.
#[derive(Debug, Clone, Copy)]
struct Pieces {
    first: *mut u8,
    first_len: usize,
    second: *mut u8,
    reals: [u64; 2],
}

/// What a data access of at most 16 bytes reaches.
#[derive(Debug, Clone, Copy)]
enum Reach {
    /// RAM.
    Ram(Pieces),
    /// A device, aligned and in one piece: real address.
    Device(u64),
}

impl Vcpu {
    /// Whether guest storage is little-endian now.
    #[inline(always)]
    pub fn little_endian(&self) -> bool {
        self.mode & mode::LE != 0
    }

    /// Between host order (little-endian) and guest order, for the low `size` bytes.
    #[inline(always)]
    pub fn guest_order(&self, value: u128, size: u32) -> u128 {
        if self.little_endian() { value } else { value.swap_bytes() >> (128 - 8 * size) }
    }

    #[inline(always)]
    fn swap_if_big(&self, value: u64, size: u32) -> u64 {
        if self.little_endian() { value } else { value.swap_bytes() >> (64 - 8 * size) }
    }

    /// Loads `size` (1, 2, 4, 8) bytes, zero-extended, in little-endian byte order, if the TLB has the page.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub fn load_hit_little(&self, ea: u64, size: u32) -> Option<u64> {
        let context = self.data_context[(ea >> 63) as usize];
        let entry = self.tlb.entry_at(ea, self.data_entries[(ea >> 63) as usize]);
        if entry.read != (ea.wrapping_add(u64::from(size) - 1)) & !PAGE_OFFSET | context {
            return None;
        }
        let host = ea.wrapping_add(entry.addend) as *const u8;
        // SAFETY: a TLB entry's addend leads into the RAM page of its tag, and the tag covers the last byte.
        let raw = unsafe {
            match size {
                1 => access::load_u8(host),
                2 => access::load_u16(host),
                4 => access::load_u32(host),
                _ => access::load_u64(host),
            }
        };
        Some(raw)
    }

    /// Loads `size` (1, 2, 4, 8) bytes, zero-extended, in guest byte order, if the TLB has the page.
    #[inline(always)]
    pub fn load_hit(&self, ea: u64, size: u32) -> Option<u64> {
        self.load_hit_little(ea, size).map(|raw| self.swap_if_big(raw, size))
    }

    /// Stores the low `size` (1, 2, 4, 8) bytes of `value` in guest byte order, if the TLB has the page.
    /// Says whether it did.
    #[inline(always)]
    pub fn store_hit(&mut self, ea: u64, size: u32, value: u64) -> bool {
        self.store_hit_little(ea, size, self.swap_if_big(value, size))
    }

    /// As [`Vcpu::store_hit`], in little-endian byte order.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub fn store_hit_little(&mut self, ea: u64, size: u32, raw: u64) -> bool {
        let context = self.data_context[(ea >> 63) as usize];
        let entry = self.tlb.entry_at(ea, self.data_entries[(ea >> 63) as usize]);
        if entry.write != (ea.wrapping_add(u64::from(size) - 1)) & !PAGE_OFFSET | context {
            return false;
        }
        let host = ea.wrapping_add(entry.addend) as *mut u8;
        // SAFETY: as in `load_hit_little`; a write tag exists for pages without decoded code only.
        unsafe {
            match size {
                1 => access::store_u8(host, raw),
                2 => access::store_u16(host, raw),
                4 => access::store_u32(host, raw),
                _ => access::store_u64(host, raw),
            }
        }
        true
    }

    /// Loads `size` (1, 2, 4, 8) bytes, zero-extended, in guest byte order. `cia` is settled.
    ///
    /// # Errors
    /// The access's interrupt.
    #[inline]
    pub fn load(&mut self, ea: u64, size: u32) -> R<u64> {
        match self.load_hit(ea, size) {
            Some(v) => Ok(v),
            None => self.load_slow(ea, size),
        }
    }

    /// Stores the low `size` (1, 2, 4, 8) bytes of `value` in guest byte order. `cia` is settled.
    ///
    /// # Errors
    /// The access's interrupt; nothing was stored.
    #[inline]
    pub fn store(&mut self, ea: u64, size: u32, value: u64) -> R {
        if self.store_hit(ea, size, value) { Ok(()) } else { self.store_slow(ea, size, value) }
    }

    #[cold]
    #[inline(never)]
    /// Loads where the TLB does not hit. `cia` is settled.
    ///
    /// # Errors
    /// The access's interrupt.
    pub fn load_slow(&mut self, ea: u64, size: u32) -> R<u64> {
        let mut bytes = [0u8; 8];
        self.read_guest(ea, &mut bytes[..size as usize])?;
        Ok(self.swap_if_big(u64::from_le_bytes(bytes), size))
    }

    #[cold]
    #[inline(never)]
    /// Stores where the TLB does not hit. `cia` is settled.
    ///
    /// # Errors
    /// The access's interrupt; nothing was stored.
    pub fn store_slow(&mut self, ea: u64, size: u32, value: u64) -> R {
        let raw = self.swap_if_big(value, size);
        self.write_guest(ea, &raw.to_le_bytes()[..size as usize])
    }

    /// Loads 16 bytes in guest byte order: the value of a quadword.
    ///
    /// # Errors
    /// The access's interrupt.
    #[inline]
    #[allow(unsafe_code)]
    pub fn load_quad(&mut self, ea: u64) -> R<u128> {
        let context = self.data_context[(ea >> 63) as usize];
        let entry = self.tlb.entry_at(ea, self.data_entries[(ea >> 63) as usize]);
        let raw = if entry.read == (ea.wrapping_add(15)) & !PAGE_OFFSET | context {
            // SAFETY: as in `load`.
            unsafe { access::load_u128(ea.wrapping_add(entry.addend) as *const u8) }
        } else {
            let mut bytes = [0u8; 16];
            self.read_guest(ea, &mut bytes)?;
            u128::from_le_bytes(bytes)
        };
        Ok(self.guest_order(raw, 16))
    }

    /// Stores 16 bytes in guest byte order.
    ///
    /// # Errors
    /// The access's interrupt; nothing was stored.
    #[inline]
    #[allow(unsafe_code)]
    pub fn store_quad(&mut self, ea: u64, value: u128) -> R {
        let raw = self.guest_order(value, 16);
        let context = self.data_context[(ea >> 63) as usize];
        let entry = self.tlb.entry_at(ea, self.data_entries[(ea >> 63) as usize]);
        if entry.write == (ea.wrapping_add(15)) & !PAGE_OFFSET | context {
            // SAFETY: as in `store`.
            unsafe { access::store_u128(ea.wrapping_add(entry.addend) as *mut u8, raw) };
            return Ok(());
        }
        self.write_guest(ea, &raw.to_le_bytes())
    }

    /// An access of generated code that the TLB did not answer: the host address at which it is to be made. Where it is not
    /// one piece of RAM, that is [`crate::translated::Translated::bounce`], which holds the data loaded, or whose data was
    /// stored already. `cia` is settled.
    ///
    /// # Errors
    /// The access's interrupt; nothing was stored.
    pub fn slow_access(&mut self, ea: u64, size: u32, store: bool) -> R<*mut u8> {
        let access = if store { Access::Store } else { Access::Load };
        let whole = !memory::ram::crosses_page(ea, u64::from(size));
        if whole
            && let Place::Ram(host, real) = self.place(ea, u64::from(size), access)?
            && !(store && self.memory.is_code(real >> PAGE_SHIFT))
        {
            return Ok(host);
        }
        let mut bytes = self.translated.bounce.map(u64::to_le_bytes).concat();
        if store {
            self.write_guest(ea, &bytes[..size as usize])?;
        } else {
            self.read_guest(ea, &mut bytes[..size as usize])?;
            for (word, bytes) in self.translated.bounce.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = bytes.try_into().map_or(0, u64::from_le_bytes);
            }
        }
        Ok(self.translated.bounce.as_mut_ptr().cast())
    }

    /// Reads up to 16 bytes of guest storage in address order. All are translated first.
    ///
    /// # Errors
    /// The access's interrupt.
    #[allow(unsafe_code)]
    pub fn read_guest(&mut self, ea: u64, bytes: &mut [u8]) -> R {
        if bytes.is_empty() {
            return Ok(());
        }
        let p = match self.pieces(ea, bytes.len(), Access::Load)? {
            Reach::Ram(p) => p,
            Reach::Device(real) => return self.load_device(real, bytes),
        };
        let (head, tail) = bytes.split_at_mut(p.first_len);
        // SAFETY: the pieces were translated to RAM with room for their lengths.
        unsafe {
            access::read_bytes(p.first, head);
            access::read_bytes(p.second, tail);
        }
        Ok(())
    }

    /// Writes up to 16 bytes of guest storage in address order. All are translated before one is written.
    ///
    /// # Errors
    /// The access's interrupt; nothing was stored.
    #[allow(unsafe_code)]
    pub fn write_guest(&mut self, ea: u64, bytes: &[u8]) -> R {
        if bytes.is_empty() {
            return Ok(());
        }
        let p = match self.pieces(ea, bytes.len(), Access::Store)? {
            Reach::Ram(p) => p,
            Reach::Device(real) => return self.store_device(real, bytes),
        };
        let (head, tail) = bytes.split_at(p.first_len);
        // SAFETY: the pieces were translated to RAM with room for their lengths.
        unsafe {
            access::write_bytes(p.first, head);
            access::write_bytes(p.second, tail);
        }
        self.memory.note_store(p.reals[0] >> PAGE_SHIFT);
        if !tail.is_empty() {
            self.memory.note_store(p.reals[1] >> PAGE_SHIFT);
        }
        Ok(())
    }

    /// `dcbz`: writes zeros to `bytes` of guest storage, a multiple of 16 within one page.
    ///
    /// # Errors
    /// The access's interrupt; nothing was stored.
    #[allow(unsafe_code)]
    pub fn zero_block(&mut self, ea: u64, bytes: u64) -> R {
        let Place::Ram(host, real) = self.place(ea, bytes, Access::Store)? else { return self.misaligned(ea) };
        debug_assert!(bytes.is_multiple_of(16) && (ea & PAGE_OFFSET) + bytes <= PAGE_SIZE);
        for n in (0..bytes as usize).step_by(16) {
            // SAFETY: data_address returns a pointer into a page of RAM, in which the block ends.
            unsafe { access::store_u128(host.add(n), 0) };
        }
        self.memory.note_store(real >> PAGE_SHIFT);
        Ok(())
    }

    /// Translates `size` bytes of data that are to be accessed later by this instruction, so that no
    /// register is written before every access is known to succeed.
    ///
    /// # Errors
    /// The access's interrupt.
    pub fn probe(&mut self, ea: u64, size: u64, access: Access) -> R {
        let mut at = ea;
        let mut left = size;
        while left > 0 {
            let here = left.min(PAGE_SIZE - (at & PAGE_OFFSET));
            self.place(at, here, access)?;
            at = at.wrapping_add(here);
            left -= here;
        }
        Ok(())
    }

    fn pieces(&mut self, ea: u64, len: usize, access: Access) -> R<Reach> {
        let first_len = len.min((PAGE_SIZE - (ea & PAGE_OFFSET)) as usize);
        let (first, real) = match self.place(ea, first_len as u64, access)? {
            Place::Ram(first, real) => (first, real),
            Place::Device(real) => {
                let whole = len.is_power_of_two() && len as u64 <= DEVICE_ACCESS_MAX && ea.is_multiple_of(len as u64);
                return if whole { Ok(Reach::Device(real)) } else { self.misaligned(ea) };
            }
        };
        let mut p = Pieces { first, first_len, second: first, reals: [real; 2] };
        if first_len < len {
            let next = self.wrap_ea(ea.wrapping_add(first_len as u64));
            let Place::Ram(second, real) = self.place(next, (len - first_len) as u64, access)? else {
                return self.misaligned(ea);
            };
            (p.second, p.reals[1]) = (second, real);
        }
        Ok(Reach::Ram(p))
    }

    /// Under the virtual clock an instruction that reaches a device runs as a block of its own: what it changes, interrupts
    /// above all, is then seen behind it, wherever an engine would have looked next. (Power ISA asks for no such order.)
    ///
    /// # Errors
    /// [`Exit::Alone`]: the instruction is to be run again so.
    fn alone(&mut self) -> R {
        if self.clock.is_virtual() && self.alone_at != self.cia {
            self.alone_at = self.cia;
            self.exit = Exit::Alone;
            return Err(Stop);
        }
        Ok(())
    }

    /// A load of 1, 2, 4 or 8 bytes from a device.
    #[cold]
    fn load_device(&mut self, real: u64, bytes: &mut [u8]) -> R {
        self.alone()?;
        if let Some(mmio) = &self.mmio {
            let value = mmio.load(self.index, real, bytes.len() as u32);
            bytes.copy_from_slice(&value.to_be_bytes()[8 - bytes.len()..]);
        }
        Ok(())
    }

    /// A store of 1, 2, 4 or 8 bytes to a device.
    #[cold]
    fn store_device(&mut self, real: u64, bytes: &[u8]) -> R {
        self.alone()?;
        if let Some(mmio) = &self.mmio {
            let value = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            mmio.store(self.index, real, bytes.len() as u32, value);
        }
        Ok(())
    }

    /// Effective addresses wrap at 32 bits outside of 64-bit mode.
    #[inline(always)]
    pub fn wrap_ea(&self, ea: u64) -> u64 {
        if self.mode & mode::SF != 0 { ea } else { ea & 0xFFFF_FFFF }
    }

    /// Host and real address of data within one 4K page, for an access that devices do not take: atomic, or reserving.
    /// Fills the TLB.
    ///
    /// # Errors
    /// The access's interrupt.
    pub fn data_address(&mut self, ea: u64, size: u64, access: Access) -> R<(*mut u8, u64)> {
        match self.place(ea, size, access)? {
            Place::Ram(host, real) => Ok((host, real)),
            Place::Device(_) => {
                let cause = dsisr::NOT_CACHED | if access == Access::Store { dsisr::STORE } else { 0 };
                self.raise(Interrupt::new(Vector::DataStorage, self.cia).with_dar(ea).with_dsisr(cause))
            }
        }
    }

    /// What data within one 4K page is. Fills the TLB.
    ///
    /// # Errors
    /// The access's interrupt.
    fn place(&mut self, ea: u64, size: u64, access: Access) -> R<Place> {
        let quadrant = (ea >> 63) as usize;
        let context = self.data_context[quadrant];
        let page = ea & !PAGE_OFFSET;
        let entry = *self.tlb.entry_at(ea, self.data_entries[quadrant]);
        let tag = if access == Access::Store { entry.write } else { entry.read };
        if tag == page | context {
            return Ok(Place::Ram(ea.wrapping_add(entry.addend) as *mut u8, entry.real | ea & PAGE_OFFSET));
        }
        self.check_watchpoints(ea, size, access)?;
        self.resolve_space(context, quadrant);
        let context = self.data_context[quadrant];
        let translated = self.state.msr & msr::DR != 0;
        let (real, read, write, cacheable) = if translated {
            match self.walk(ea, access) {
                // With radix, a page in quadrant 3 that is not privileged obeys AMR, which its context does not say.
                Ok(leaf) => (leaf.real, leaf.read, leaf.write, leaf.privileged || quadrant == 0),
                Err(Fault::Segment) => {
                    return self.raise(Interrupt::new(Vector::DataSegment, self.cia).with_dar(ea));
                }
                Err(Fault::Data(bits)) => {
                    return self.raise(Interrupt::new(Vector::DataStorage, self.cia).with_dar(ea).with_dsisr(bits));
                }
                Err(Fault::Instruction(_)) => unreachable!("a data access has no instruction fault"),
            }
        } else {
            (ea & REAL_MASK, true, true, true)
        };
        let Some(host) = self.memory.host(real & !PAGE_OFFSET, PAGE_SIZE) else {
            // Pages of devices are not remembered: each access to them comes here.
            if self.mmio.as_ref().is_some_and(|mmio| mmio.answers(real, size)) {
                return Ok(Place::Device(real));
            }
            return self.bad_real_address(ea);
        };
        if cacheable && !self.page_is_watched(page) {
            // While writes are tracked, a load does not make a page one that may be written to unseen.
            let wanted = access == Access::Store || !self.memory.tracks_writes();
            let write = write && wanted && !self.memory.is_code(real >> PAGE_SHIFT);
            let addend = (host as u64).wrapping_sub(page);
            self.tlb.fill(ea, context, read, write, addend, real);
            // Code may have been marked between the look and the fill; its withdrawal message may
            // have been served before the fill.
            if write && self.memory.is_code(real >> PAGE_SHIFT) {
                self.tlb.withdraw_writes(real >> PAGE_SHIFT);
            }
            // Tracking may have begun since the look.
            if write && self.memory.tracks_writes() {
                self.memory.note_dirty(real >> PAGE_SHIFT);
            }
        }
        // Without an entry too: who has the address writes before it serves its mail.
        if access == Access::Store && self.memory.tracks_writes() {
            self.memory.note_dirty(real >> PAGE_SHIFT);
        }
        let offset = (ea & PAGE_OFFSET) as usize;
        Ok(Place::Ram(host.wrapping_add(offset), real))
    }

    fn walk(&self, ea: u64, access: Access) -> Result<radix::Leaf, Fault> {
        let who = Authority {
            problem: self.state.msr & msr::PR != 0,
            amr: self.state.spr.amr,
            iamr: self.state.spr.iamr,
            pid: self.state.spr.pid,
        };
        if self.hashes() {
            return hash::translate(&self.hash_table, &self.state.slb, ea, access, who, self.index);
        }
        radix::translate(&self.memory, self.process_table, ea, access, who)
    }

    /// Real address that instructions at `ea` are fetched from.
    ///
    /// # Errors
    /// The fetch's interrupt, with `ea` as the address to return to.
    pub fn fetch_address(&mut self, ea: u64) -> R<u64> {
        if self.state.msr & msr::IR == 0 {
            let real = ea & REAL_MASK;
            if self.memory.host(real & !PAGE_OFFSET, PAGE_SIZE).is_none() {
                return self.bad_real_address_of_fetch(ea);
            }
            return Ok(real);
        }
        let quadrant = (ea >> 63) as usize;
        self.resolve_space(self.fetch_context[quadrant], quadrant);
        let context = self.fetch_context[quadrant];
        if let Some(real) = self.tlb.fetch(ea, context) {
            return Ok(real | ea & PAGE_OFFSET);
        }
        match self.walk(ea, Access::Fetch) {
            Ok(leaf) => {
                if self.memory.host(leaf.real & !PAGE_OFFSET, PAGE_SIZE).is_none() {
                    return self.bad_real_address_of_fetch(ea);
                }
                self.tlb.fill_fetch(ea, context, leaf.real);
                self.fetched.add(ea);
                Ok(leaf.real)
            }
            Err(Fault::Segment) => self.raise(Interrupt::new(Vector::InstructionSegment, ea)),
            Err(Fault::Instruction(bits)) => self.raise(Interrupt::new(Vector::InstructionStorage, ea).with_srr1(bits)),
            Err(Fault::Data(_)) => unreachable!("a fetch has no data fault"),
        }
    }

    /// Nothing answers at the real address: a machine check, as a POWER9 reports a load or store that
    /// no unit takes.
    fn bad_real_address<T>(&mut self, ea: u64) -> R<T> {
        self.raise_machine_check(
            Interrupt::new(Vector::MachineCheck, self.cia)
                .with_srr1(srr1::MC_LOAD_STORE)
                .with_dar(ea)
                .with_dsisr(0x8000),
        )
    }

    /// The same of a fetch.
    fn bad_real_address_of_fetch<T>(&mut self, ea: u64) -> R<T> {
        self.cia = ea;
        self.raise_machine_check(Interrupt::new(Vector::MachineCheck, ea).with_srr1(srr1::MC_FETCH))
    }

    /// Takes an alignment interrupt unless `ea` is a multiple of `size`.
    ///
    /// # Errors
    /// The alignment interrupt.
    #[inline]
    pub fn check_aligned(&mut self, ea: u64, size: u32) -> R {
        if ea & u64::from(size - 1) != 0 { self.misaligned(ea) } else { Ok(()) }
    }

    /// The alignment interrupt: also of what devices do not take.
    fn misaligned<T>(&mut self, ea: u64) -> R<T> {
        self.raise(Interrupt::new(Vector::Alignment, self.cia).with_dar(ea))
    }

    fn watch_range(&self, n: usize) -> (u64, u64) {
        let length = ((self.state.spr.dawrx[n] >> dawrx::MRD_SHIFT & 0x3F) + 1) * 8;
        let start = self.state.spr.dawr[n] & !7;
        (start, start.wrapping_add(length - 1))
    }

    fn page_is_watched(&self, page: u64) -> bool {
        (0..self.model.watchpoints as usize).any(|n| {
            let (first, last) = self.watch_range(n);
            self.dawr_armed(n) && first & !PAGE_OFFSET <= page && page <= last
        })
    }

    /// DAWR match (Power ISA 3.0B, Book III, 8.4): a data storage interrupt before the access.
    fn check_watchpoints(&mut self, ea: u64, size: u64, access: Access) -> R {
        for n in 0..self.model.watchpoints as usize {
            if !self.dawr_armed(n) {
                continue;
            }
            let bits = self.state.spr.dawrx[n];
            let problem = self.state.msr & msr::PR != 0;
            let by_state = bits & if problem { dawrx::PRIV_PROBLEM } else { dawrx::PRIV_PRIVILEGED } != 0;
            let store = access == Access::Store;
            let by_kind = bits & if store { dawrx::DW } else { dawrx::DR } != 0;
            let translating = self.state.msr & msr::DR != 0;
            let by_translation = bits & dawrx::WTI != 0 || (bits & dawrx::WT != 0) == translating;
            let (first, last) = self.watch_range(n);
            if by_state && by_kind && by_translation && ea <= last && ea.wrapping_add(size - 1) >= first {
                let cause = dsisr::WATCHPOINT | if store { dsisr::STORE } else { 0 };
                return self.raise(Interrupt::new(Vector::DataStorage, self.cia).with_dar(ea).with_dsisr(cause));
            }
        }
        Ok(())
    }
}
