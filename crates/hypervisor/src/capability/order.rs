//! Which guests a machine can take over, by the order of each capability: one function an order, with its words.

use super::{CapRow, Order, Setting};

/// How a guest's value goes with the machine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// The same.
    Same,
    /// The guest has less than the machine offers, and keeps what it had.
    Less,
    /// The guest may rely on what is not here: why.
    No(String),
}

impl Order {
    /// How `guest`, the value that a guest was started with, goes with `here`, the machine's.
    pub(super) fn fit(self, row: &CapRow, guest: Setting, here: Setting) -> Fit {
        if guest == here {
            return Fit::Same;
        }
        match self {
            Order::HigherIsBetter => higher_is_better(row, guest, here),
            Order::EqualOnly => equal_only(row, guest, here),
            Order::SetInclusion => set_inclusion(row, guest, here),
        }
    }
}

fn higher_is_better(row: &CapRow, guest: Setting, here: Setting) -> Fit {
    if rank(guest) < rank(here) {
        return Fit::Less;
    }
    let (guest, here) = (row.spell(guest), row.spell(here));
    Fit::No(format!("higher level ({guest}) in the incoming guest than on this machine ({here})"))
}

fn equal_only(row: &CapRow, guest: Setting, here: Setting) -> Fit {
    let (guest, here) = (row.spell(guest), row.spell(here));
    Fit::No(format!("the incoming guest has {guest}, this machine {here}, and both have to be the same"))
}

fn set_inclusion(row: &CapRow, guest: Setting, here: Setting) -> Fit {
    let (Setting::Modes(theirs), Setting::Modes(ours)) = (guest, here) else { return equal_only(row, guest, here) };
    if ours.includes(theirs) {
        return Fit::Less;
    }
    let missing = theirs.without(ours);
    Fit::No(format!(
        "the incoming guest may use mode {missing}, which this machine does not offer ({} there, {} here)",
        theirs.words(),
        ours.words()
    ))
}

fn rank(setting: Setting) -> u8 {
    match setting {
        Setting::Switch(on) => u8::from(on),
        Setting::Level(level) => level,
        Setting::PageShift(shift) => shift,
        Setting::Modes(modes) => modes.bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AilModes, Cap, CapRow};
    use super::*;

    fn fit(cap: Cap, guest: Setting, here: Setting) -> Fit {
        let row = CapRow::of(cap);
        row.order.fit(row, guest, here)
    }

    fn no(fit: Fit) -> String {
        match fit {
            Fit::No(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_function_an_order() {
        let (on, off) = (Setting::Switch(true), Setting::Switch(false));
        assert_eq!(fit(Cap::Dawr1, on, on), Fit::Same);
        assert_eq!(fit(Cap::Dawr1, off, on), Fit::Less);
        assert_eq!(no(fit(Cap::Dawr1, on, off)), "higher level (on) in the incoming guest than on this machine (off)");
        assert_eq!(fit(Cap::Ibs, Setting::Level(1), Setting::Level(4)), Fit::Less);
        assert!(no(fit(Cap::Ibs, Setting::Level(4), Setting::Level(1))).contains("fixed-na"));
        assert_eq!(fit(Cap::HptMaxPageSize, Setting::PageShift(16), Setting::PageShift(24)), Fit::Less);
        assert!(no(fit(Cap::HptMaxPageSize, Setting::PageShift(24), Setting::PageShift(16))).contains("16M"));
        for (guest, here) in [(on, off), (off, on)] {
            assert!(no(fit(Cap::LargeDecr, guest, here)).contains("have to be the same"));
        }
        let modes = |bits| Setting::Modes(AilModes::from_bits(bits).unwrap());
        assert_eq!(fit(Cap::AilModes, modes(1), modes(9)), Fit::Less);
        assert_eq!(fit(Cap::AilModes, modes(5), modes(13)), Fit::Less);
        assert_eq!(
            no(fit(Cap::AilModes, modes(9), modes(1))),
            "the incoming guest may use mode 3, which this machine does not offer (0 and 3 there, 0 here)"
        );
        // Neither of these sets includes the other, though one number is larger.
        assert!(no(fit(Cap::AilModes, modes(5), modes(9))).contains("mode 2,"));
        assert!(no(fit(Cap::AilModes, modes(13), modes(1))).contains("mode 2+3,"));
    }
}
