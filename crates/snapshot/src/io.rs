//! The fields of a section, in either direction.

use thiserror::Error;

/// Why a field of a section cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FieldError {
    /// The section ends before it.
    #[error("it ends within {what}: {wanted} bytes are wanted, {left} are left")]
    Truncated {
        /// The field.
        what: &'static str,
        /// Bytes it needs.
        wanted: u64,
        /// Bytes there are.
        left: u64,
    },
    /// It holds what cannot be.
    #[error("{what} is {found}, expected {expected}")]
    Value {
        /// The field.
        what: &'static str,
        /// What it holds.
        found: String,
        /// What it may hold.
        expected: String,
    },
    /// There is more than the fields.
    #[error("{0} bytes stand behind its last field")]
    Trailing(u64),
    /// Something that is saved cannot be saved now.
    #[error("{0}")]
    NotNow(String),
}

impl FieldError {
    /// `what` holds something that cannot be.
    pub fn value(what: &'static str, found: impl ToString, expected: impl ToString) -> FieldError {
        FieldError::Value { what, found: found.to_string(), expected: expected.to_string() }
    }
}

/// The fields of one section: written one behind the other, or read back in the same order.
#[derive(Debug)]
pub struct Io<'a> {
    way: Way<'a>,
    version: u32,
}

#[derive(Debug)]
enum Way<'a> {
    Save(Vec<u8>),
    Load(&'a [u8]),
}

macro_rules! integers {
    ($($name:ident)*) => { $(
        #[doc = concat!("A field of type `", stringify!($name), "`.")]
        ///
        /// # Errors
        /// [`FieldError::Truncated`].
        pub fn $name(&mut self, what: &'static str, value: &mut $name) -> Result<(), FieldError> {
            let mut bytes = value.to_le_bytes();
            self.bytes(what, &mut bytes)?;
            *value = $name::from_le_bytes(bytes);
            Ok(())
        }
    )* };
}

impl<'a> Io<'a> {
    /// To write fields of `version`.
    pub fn save(version: u32) -> Io<'a> {
        Io { way: Way::Save(Vec::new()), version }
    }

    /// To read fields of `version` from `bytes`.
    pub fn load(version: u32, bytes: &'a [u8]) -> Io<'a> {
        Io { way: Way::Load(bytes), version }
    }

    /// Whether fields are read.
    pub fn is_load(&self) -> bool {
        matches!(self.way, Way::Load(_))
    }

    /// The section's version: on saving the newest.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What was written.
    pub fn written(self) -> Vec<u8> {
        match self.way {
            Way::Save(bytes) => bytes,
            Way::Load(_) => Vec::new(),
        }
    }

    /// Says that there are no further fields.
    ///
    /// # Errors
    /// [`FieldError::Trailing`].
    pub fn finish(&self) -> Result<(), FieldError> {
        match &self.way {
            Way::Load(rest) if !rest.is_empty() => Err(FieldError::Trailing(rest.len() as u64)),
            _ => Ok(()),
        }
    }

    /// Bytes, as many as there is room for.
    ///
    /// # Errors
    /// [`FieldError::Truncated`].
    pub fn bytes(&mut self, what: &'static str, value: &mut [u8]) -> Result<(), FieldError> {
        match &mut self.way {
            Way::Save(bytes) => bytes.extend_from_slice(value),
            Way::Load(rest) => {
                let Some((head, tail)) = rest.split_at_checked(value.len()) else {
                    return Err(FieldError::Truncated { what, wanted: value.len() as u64, left: rest.len() as u64 });
                };
                value.copy_from_slice(head);
                *rest = tail;
            }
        }
        Ok(())
    }

    integers! { u8 u16 u32 u64 u128 i64 i128 }

    /// Several doublewords, as many as there is room for.
    ///
    /// # Errors
    /// [`FieldError::Truncated`].
    pub fn u64s(&mut self, what: &'static str, values: &mut [u64]) -> Result<(), FieldError> {
        values.iter_mut().try_for_each(|value| self.u64(what, value))
    }

    /// A switch: a byte of 0 or 1.
    ///
    /// # Errors
    /// [`FieldError::Truncated`], [`FieldError::Value`].
    pub fn bool(&mut self, what: &'static str, value: &mut bool) -> Result<(), FieldError> {
        let mut byte = u8::from(*value);
        self.u8(what, &mut byte)?;
        self.require(what, byte, byte <= 1, "0 or 1")?;
        *value = byte == 1;
        Ok(())
    }

    /// A number below `limit`.
    ///
    /// # Errors
    /// [`FieldError::Truncated`], [`FieldError::Value`].
    pub fn index(&mut self, what: &'static str, value: &mut usize, limit: usize) -> Result<(), FieldError> {
        let mut number = *value as u64;
        self.u64(what, &mut number)?;
        self.require(what, number, number < limit as u64, format_args!("a number below {limit}"))?;
        *value = number as usize;
        Ok(())
    }

    /// One of a few values, saved as its place among them.
    ///
    /// # Errors
    /// [`FieldError::Truncated`], [`FieldError::Value`].
    pub fn one_of<T: Copy + PartialEq>(
        &mut self,
        what: &'static str,
        value: &mut T,
        all: &[T],
    ) -> Result<(), FieldError> {
        let mut place = all.iter().position(|one| one == value).unwrap_or(0) as u8;
        self.u8(what, &mut place)?;
        match all.get(usize::from(place)) {
            Some(one) => *value = *one,
            None => return Err(FieldError::value(what, place, format_args!("a number below {}", all.len()))),
        }
        Ok(())
    }

    /// What may be there or not; `fields` of what is there.
    ///
    /// # Errors
    /// Those of its fields.
    pub fn option<T: Default>(
        &mut self,
        what: &'static str,
        value: &mut Option<T>,
        fields: impl FnOnce(&mut Self, &mut T) -> Result<(), FieldError>,
    ) -> Result<(), FieldError> {
        let mut there = value.is_some();
        self.bool(what, &mut there)?;
        if !there {
            *value = None;
            return Ok(());
        }
        fields(self, value.get_or_insert_default())
    }

    /// A number of things that is not known before, at most `most`; `fields` of each. Nothing is made that is not in the
    /// file: each takes at least a byte there.
    ///
    /// # Errors
    /// Those of the fields; [`FieldError::Value`] for too many.
    pub fn list<T: Default>(
        &mut self,
        what: &'static str,
        values: &mut Vec<T>,
        most: u64,
        mut fields: impl FnMut(&mut Self, &mut T) -> Result<(), FieldError>,
    ) -> Result<(), FieldError> {
        let mut count = values.len() as u64;
        self.u64(what, &mut count)?;
        self.require(what, count, count <= most, format_args!("at most {most} of them"))?;
        if !self.is_load() {
            return values.iter_mut().try_for_each(|value| fields(self, value));
        }
        values.clear();
        for _ in 0..count {
            let Way::Load(rest) = &self.way else { break };
            if rest.is_empty() {
                return Err(FieldError::Truncated { what, wanted: 1, left: 0 });
            }
            let mut value = T::default();
            fields(self, &mut value)?;
            values.push(value);
        }
        Ok(())
    }

    /// Text of at most `most` bytes.
    ///
    /// # Errors
    /// [`FieldError::Truncated`], [`FieldError::Value`].
    pub fn text(&mut self, what: &'static str, value: &mut String, most: u64) -> Result<(), FieldError> {
        let mut bytes = std::mem::take(value).into_bytes();
        self.list(what, &mut bytes, most, |io, byte| io.u8(what, byte))?;
        *value = String::from_utf8(bytes).map_err(|_| FieldError::value(what, "not text", "UTF-8"))?;
        Ok(())
    }

    /// A number that is the same in every file that this machine can load.
    ///
    /// # Errors
    /// [`FieldError::Truncated`], [`FieldError::Value`].
    pub fn fixed(&mut self, what: &'static str, value: u64) -> Result<(), FieldError> {
        let mut found = value;
        self.u64(what, &mut found)?;
        self.require(what, found, found == value, value)
    }

    /// On loading: `what`, which holds `found`, has to fit.
    ///
    /// # Errors
    /// [`FieldError::Value`].
    pub fn require(
        &self,
        what: &'static str,
        found: impl ToString,
        fits: bool,
        expected: impl ToString,
    ) -> Result<(), FieldError> {
        if fits || !self.is_load() { Ok(()) } else { Err(FieldError::value(what, found, expected)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Clone)]
    struct Thing {
        a: u8,
        b: Option<u32>,
        c: Vec<u16>,
        d: String,
        e: bool,
        f: i128,
    }

    fn fields(io: &mut Io<'_>, thing: &mut Thing) -> Result<(), FieldError> {
        let Thing { a, b, c, d, e, f } = thing;
        io.fixed("shape", 7)?;
        io.u8("a", a)?;
        io.option("b", b, |io, b| io.u32("b", b))?;
        io.list("c", c, 4, |io, c| io.u16("c", c))?;
        io.text("d", d, 8)?;
        io.bool("e", e)?;
        io.i128("f", f)?;
        io.finish()
    }

    #[test]
    fn both_ways_agree_and_every_cut_is_noticed() {
        let mut thing = Thing { a: 1, b: Some(2), c: vec![3, 4], d: "five".into(), e: true, f: -6 };
        let mut io = Io::save(1);
        fields(&mut io, &mut thing).unwrap();
        let bytes = io.written();
        let mut back = Thing { c: vec![9; 3], ..Thing::default() };
        fields(&mut Io::load(1, &bytes), &mut back).unwrap();
        assert_eq!(back, thing);
        for cut in 0..bytes.len() {
            assert!(fields(&mut Io::load(1, &bytes[..cut]), &mut Thing::default()).is_err(), "{cut}");
        }
        let more = [&bytes[..], &[0]].concat();
        assert_eq!(fields(&mut Io::load(1, &more), &mut Thing::default()), Err(FieldError::Trailing(1)));
    }

    #[test]
    fn a_count_that_is_not_there_makes_nothing() {
        let bytes = u64::MAX.to_le_bytes();
        let mut values: Vec<u64> = Vec::new();
        let found = Io::load(1, &bytes).list("n", &mut values, u64::MAX, |io, value| io.u64("n", value));
        assert!(matches!(found, Err(FieldError::Truncated { .. })) && values.capacity() == 0);
        let found = Io::load(1, &bytes).list("n", &mut values, 3, |io, value| io.u64("n", value));
        assert!(matches!(found, Err(FieldError::Value { .. })));
    }
}
