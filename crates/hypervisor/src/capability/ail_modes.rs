//! The set of *Address Translation Modes on Interrupt* that `H_SET_MODE` lets a guest choose (`cap-ail-modes`).

use super::{CapBasis, IsaLevel};
use thiserror::Error;

/// A set of values of LPCR[AIL]. Mode 0 is always in it, mode 1 (reserved) never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AilModes(u8);

/// Why a set of modes was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AilModesError {
    /// Nothing there.
    #[error("the value is empty")]
    Empty,
    /// A part of the list is not a mode.
    #[error("'{0}' is not a mode")]
    NotAMode(String),
    /// A number that would be a bitmap if it were hexadecimal.
    #[error("'{text}' is not a mode, and a bitmap has to be written in hexadecimal: {hint}")]
    DecimalBitmap {
        /// What was given.
        text: String,
        /// The same as list or bitmap, when it means something.
        hint: String,
    },
    /// A bitmap that is not a hexadecimal number.
    #[error("'{0}' is not a hexadecimal bitmap")]
    NotABitmap(String),
    /// A bit that is not a mode.
    #[error("bitmap {0:#x} has bits above mode 3")]
    TooManyBits(u64),
    /// Mode 0 is missing.
    #[error("mode 0 is not in it, but every guest starts in mode 0")]
    WithoutModeZero,
    /// Mode 1 is there.
    #[error("mode 1 is reserved by the architecture")]
    ModeOne,
    /// A mode that the CPU has not.
    #[error("mode {mode} does not exist at ISA level {}", level.number())]
    NotOnThisCpu {
        /// The mode.
        mode: u8,
        /// Level that the guest sees.
        level: IsaLevel,
    },
}

impl AilModes {
    /// {0}
    pub const ONLY_0: AilModes = AilModes(0b0001);
    /// {0, 3}
    pub const WITH_3: AilModes = AilModes(0b1001);
    /// {0, 2, 3}
    pub const WITH_2_AND_3: AilModes = AilModes(0b1101);
    /// Every set there is, with who may have it.
    pub const ACCEPTABLE: [(AilModes, &'static str); 4] = [
        (AilModes::ONLY_0, "every CPU"),
        (AilModes::WITH_3, "POWER8 and later"),
        (AilModes(0b0101), "POWER8 and POWER9"),
        (AilModes::WITH_2_AND_3, "POWER8 and POWER9"),
    ];

    /// The set with bit `m` for mode `m`.
    ///
    /// # Errors
    /// When mode 0 is not in it, mode 1 is, or there are bits above mode 3.
    pub fn from_bits(bits: u64) -> Result<AilModes, AilModesError> {
        if bits > 0xf {
            Err(AilModesError::TooManyBits(bits))
        } else if bits & 0b10 != 0 {
            Err(AilModesError::ModeOne)
        } else if bits & 1 == 0 {
            Err(AilModesError::WithoutModeZero)
        } else {
            Ok(AilModes(bits as u8))
        }
    }

    /// Reads a list of modes (`0+3`) or a hexadecimal bitmap (`0x9`).
    ///
    /// # Errors
    /// See [`AilModesError`]; whether the CPU has the modes is tested by [`check`](AilModes::check).
    pub fn parse(text: &str) -> Result<AilModes, AilModesError> {
        if text.is_empty() {
            return Err(AilModesError::Empty);
        }
        if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let bits = u64::from_str_radix(digits, 16).ok().filter(|_| plain);
            return AilModes::from_bits(bits.ok_or_else(|| AilModesError::NotABitmap(text.into()))?);
        }
        let mut bits = 0;
        for part in text.split('+') {
            match part {
                "0" | "1" | "2" | "3" => bits |= 1 << part.as_bytes()[0].wrapping_sub(b'0'),
                _ if part == text && part.bytes().all(|digit| digit.is_ascii_digit()) => {
                    return Err(AilModesError::decimal_bitmap(text));
                }
                _ => return Err(AilModesError::NotAMode(part.into())),
            }
        }
        AilModes::from_bits(bits)
    }

    /// The default: {0} before ISA 2.07, which has no AIL, {0, 3} since.
    pub fn default_for(basis: CapBasis) -> AilModes {
        if basis.effective() < IsaLevel::V2_07 { AilModes::ONLY_0 } else { AilModes::WITH_3 }
    }

    /// Tests that the guest's CPU has every mode of the set: 2 and 3 came with ISA 2.07, 2 went with ISA 3.1 (of the
    /// processor itself: a POWER10 does not get it back in a compatibility mode).
    ///
    /// # Errors
    /// [`AilModesError::NotOnThisCpu`]
    pub fn check(self, basis: CapBasis) -> Result<(), AilModesError> {
        for mode in [2, 3] {
            let level = if mode == 2 { basis.cpu } else { basis.effective() };
            let exists = basis.effective() >= IsaLevel::V2_07 && (mode == 3 || basis.cpu < IsaLevel::V3_1);
            if self.contains(mode) && !exists {
                return Err(AilModesError::NotOnThisCpu { mode: mode as u8, level });
            }
        }
        Ok(())
    }

    /// Whether `mode` is in the set; false for anything above 3.
    pub fn contains(self, mode: u64) -> bool {
        mode <= 3 && self.0 >> mode & 1 != 0
    }

    /// Whether every mode of `other` is in this set.
    pub fn includes(self, other: AilModes) -> bool {
        other.0 & !self.0 == 0
    }

    /// The modes of this set that are not in `other`, as a list: `2+3`.
    pub(super) fn without(self, other: AilModes) -> AilModes {
        AilModes(self.0 & !other.0)
    }

    /// The sets that a guest with this CPU can be offered.
    pub fn for_cpu(basis: CapBasis) -> impl Iterator<Item = AilModes> {
        AilModes::ACCEPTABLE.into_iter().map(|row| row.0).filter(move |modes| modes.check(basis).is_ok())
    }

    /// As a person would say it: `0 and 3`.
    pub fn words(self) -> String {
        let modes: Vec<String> = (0..4u64).filter(|&mode| self.contains(mode)).map(|mode| mode.to_string()).collect();
        match modes.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => "none".into(),
        }
    }

    /// The small table of what can be asked for with this CPU, which ends an error message.
    pub fn supported(basis: CapBasis) -> String {
        let set = |modes: AilModes| format!("{} (cap-ail-modes={modes} or {:#x})", modes.words(), modes.bits());
        let sets: Vec<String> = AilModes::for_cpu(basis).map(set).collect();
        format!("Supported: {}", sets.join(", "))
    }

    /// Bit `m` for mode `m`.
    pub fn bits(self) -> u8 {
        self.0
    }
}

impl std::fmt::Display for AilModes {
    /// As a list, the way it is given: `0+3`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for mode in (0..4u64).filter(|&mode| self.contains(mode)) {
            write!(f, "{separator}{mode}")?;
            separator = "+";
        }
        Ok(())
    }
}

impl AilModesError {
    fn decimal_bitmap(text: &str) -> AilModesError {
        let hint = match text.parse().ok().map(AilModes::from_bits) {
            Some(Ok(modes)) => format!("{:#x}, or as a list {modes}", modes.bits()),
            _ => "0x9, or as a list 0+3".into(),
        };
        AilModesError::DecimalBitmap { text: text.into(), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P8: CapBasis = CapBasis { cpu: IsaLevel::V2_07, compat: None };
    const P10: CapBasis = CapBasis { cpu: IsaLevel::V3_1, compat: None };

    #[test]
    fn lists_and_bitmaps() {
        for (text, bits) in
            [("0", 1), ("0+3", 9), ("3+0", 9), ("0+3+3+0", 9), ("0+2+3", 13), ("0x9", 9), ("0X0d", 13), ("0x1", 1)]
        {
            assert_eq!(AilModes::parse(text).map(AilModes::bits), Ok(bits), "{text}");
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [
            "",
            "+",
            "0+",
            "+0",
            "0,3",
            "0+4",
            "0 + 3",
            "on",
            "off",
            "-1",
            "0x",
            "0x+1",
            "0xg",
            "0x10",
            "0xb",
            "0x8",
            "3",
            "2+3",
            "1",
            "0+1",
            "9",
            "13",
            "255",
            "00",
            "0x99999999999999999999",
        ] {
            assert!(AilModes::parse(text).is_err(), "{text}");
        }
        let text = AilModes::parse("9").unwrap_err().to_string();
        assert!(text.contains("0x9") && text.contains("0+3"), "{text}");
        assert_eq!(AilModes::parse("0+1"), Err(AilModesError::ModeOne));
        assert_eq!(AilModes::parse("0x8"), Err(AilModesError::WithoutModeZero));
    }

    #[test]
    fn a_set_prints_as_it_is_read() {
        for (modes, _) in AilModes::ACCEPTABLE {
            assert_eq!(AilModes::parse(&modes.to_string()), Ok(modes));
            assert_eq!(AilModes::parse(&format!("{:#x}", modes.bits())), Ok(modes));
        }
    }

    #[test]
    fn what_can_be_asked_for() {
        assert_eq!(
            AilModes::supported(P10),
            "Supported: 0 (cap-ail-modes=0 or 0x1), 0 and 3 (cap-ail-modes=0+3 or 0x9)"
        );
        assert!(AilModes::supported(P8).ends_with("0, 2 and 3 (cap-ail-modes=0+2+3 or 0xd)"));
        let old = CapBasis { compat: Some(IsaLevel::V2_06), ..P8 };
        assert_eq!(AilModes::supported(old), "Supported: 0 (cap-ail-modes=0 or 0x1)");
    }

    #[test]
    fn modes_exist_where_the_processor_has_them() {
        assert!(AilModes::WITH_2_AND_3.check(P8).is_ok());
        assert!(AilModes::WITH_3.check(P10).is_ok());
        assert!(AilModes::WITH_2_AND_3.check(P10).is_err());
        // A POWER10 that looks like a POWER9 still delivers interrupts as POWER10 does.
        assert!(AilModes::WITH_2_AND_3.check(CapBasis { compat: Some(IsaLevel::V3_0), ..P10 }).is_err());
        let old = CapBasis { compat: Some(IsaLevel::V2_06), ..P8 };
        assert!(AilModes::WITH_3.check(old).is_err());
        assert_eq!(AilModes::default_for(old), AilModes::ONLY_0);
        assert_eq!(AilModes::default_for(P10), AilModes::WITH_3);
    }
}
