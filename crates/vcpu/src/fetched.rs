//! Pages that instructions may have been fetched from: most pages whose translation is withdrawn hold data, and no look-up
//! by effective address leads into them.

/// Classes of pages, by effective address.
const CLASSES: usize = 8192;

/// A set of effective pages that may be too large, and never is too small.
#[derive(Debug)]
pub struct Fetched(Box<[bool; CLASSES]>);

impl Default for Fetched {
    fn default() -> Self {
        Fetched(Box::new([false; CLASSES]))
    }
}

const fn class(page: u64) -> usize {
    (page ^ page >> 13) as usize & (CLASSES - 1)
}

impl Fetched {
    /// Adds the 4K page of an address.
    pub fn add(&mut self, ea: u64) {
        self.0[class(ea >> 12)] = true;
    }

    /// Whether something was added within a page of `1 << shift` bytes.
    pub fn has(&self, ea: u64, shift: u32) -> bool {
        if shift > 16 {
            return true;
        }
        let pages = 1 << (shift.max(12) - 12);
        let first = ea >> 12 & !(pages - 1);
        (first..first + pages).any(|page| self.0[class(page)])
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.fill(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_each_size() {
        let mut f = Fetched::default();
        f.add(0xC000_0000_0123_4567);
        assert!(f.has(0xC000_0000_0123_4000, 12) && !f.has(0xC000_0000_0123_5000, 12));
        assert!(f.has(0xC000_0000_0123_FFFF, 16) && !f.has(0xC000_0000_0124_0000, 16));
        assert!(f.has(0, 21), "of large pages nothing is known");
        f.clear();
        assert!(!f.has(0xC000_0000_0123_4000, 12));
    }
}
