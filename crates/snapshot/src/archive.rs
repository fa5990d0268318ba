//! Sections, one behind the other.

use crate::Section;
use crate::io::{FieldError, Io};
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// The first bytes of a snapshot.
pub const MAGIC: [u8; 8] = *b"AILERON\x1a";
/// Version of header and frame of sections.
pub const FORMAT: u32 = 1;
/// Size of the header.
pub const FORMAT_BYTES: usize = 32;
/// The first bytes of a section.
pub const TAG: [u8; 4] = *b"SECT";

/// What cannot be with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// It begins otherwise.
    #[error("this is no snapshot: it begins with {found:02x?}, expected {MAGIC:02x?}")]
    NotASnapshot {
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// Another format.
    #[error("the snapshot has format {found}, and this program reads format {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// The header was changed.
    #[error("the header is damaged: its checksum is {found:#x}, expected {expected:#x}")]
    Header {
        /// What stands there.
        found: u64,
        /// What follows from the header.
        expected: u64,
    },
    /// It ends too early.
    #[error("the snapshot ends within {what}: {wanted} bytes are wanted, {left} are left")]
    Truncated {
        /// The part.
        what: String,
        /// Bytes it needs.
        wanted: u64,
        /// Bytes there are.
        left: u64,
    },
    /// There is more than the sections.
    #[error("{0} bytes stand behind the last section")]
    Trailing(u64),
    /// Where a section should begin there is none.
    #[error("section number {number} does not begin as sections do")]
    NoSection {
        /// Its number, from 0.
        number: u32,
    },
    /// A section was changed.
    #[error("section '{name}' {instance} is damaged: its checksum is {found:#x}, expected {expected:#x}")]
    Damaged {
        /// Its name.
        name: String,
        /// Which of several.
        instance: u32,
        /// What stands there.
        found: u64,
        /// What follows from the section.
        expected: u64,
    },
    /// A section that stands there twice.
    #[error("section '{name}' {instance} is there twice")]
    Double {
        /// Its name.
        name: String,
        /// Which of several.
        instance: u32,
    },
    /// A section that nobody reads.
    #[error("section '{name}' {instance} is not known to this machine: it belongs to something that is not here")]
    Unknown {
        /// Its name.
        name: String,
        /// Which of several.
        instance: u32,
    },
    /// A section that is not there.
    #[error("section '{name}' {instance} is missing: this machine has what it belongs to, the saved one had not")]
    Missing {
        /// Its name.
        name: &'static str,
        /// Which of several.
        instance: u32,
    },
    /// A section of another version.
    #[error("section '{name}' {instance} has version {found}, and this program reads {oldest} to {newest}")]
    Version {
        /// Its name.
        name: &'static str,
        /// Which of several.
        instance: u32,
        /// Its version.
        found: u32,
        /// Oldest that can be read.
        oldest: u32,
        /// Newest that can be read: what is written.
        newest: u32,
    },
    /// What a section holds cannot be.
    #[error("section '{name}' {instance}: {source}")]
    Field {
        /// Its name.
        name: &'static str,
        /// Which of several.
        instance: u32,
        /// What is wrong.
        source: FieldError,
    },
}

/// Name of a section, and which versions of it are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionId {
    /// Its name, at most 255 bytes.
    pub name: &'static str,
    /// The version that is written.
    pub version: u32,
    /// The oldest version that is read.
    pub oldest: u32,
}

impl SectionId {
    /// A section that has one version.
    pub const fn new(name: &'static str) -> SectionId {
        SectionId { name, version: 1, oldest: 1 }
    }
}

/// The header of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of sections.
    pub sections: u32,
    /// Bytes of header and sections.
    pub state_bytes: u64,
}

impl Header {
    /// As bytes.
    pub fn to_bytes(self) -> [u8; FORMAT_BYTES] {
        let mut bytes = [0; FORMAT_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sections.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.state_bytes.to_le_bytes());
        let sum = xxh3_64(&bytes[..24]);
        bytes[24..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// From the first bytes of a snapshot.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Header, SnapshotError> {
        let mut rest = Rest { bytes, what: String::new() };
        rest.what("the header");
        if !bytes.starts_with(&MAGIC[..bytes.len().min(8)]) || bytes.is_empty() {
            return Err(SnapshotError::NotASnapshot { found: bytes[..bytes.len().min(8)].to_vec() });
        }
        rest.take(8)?;
        let (format, sections) = (rest.u32()?, rest.u32()?);
        let (state_bytes, found) = (rest.u64()?, rest.u64()?);
        let expected = xxh3_64(&bytes[..24]);
        if found != expected {
            return Err(SnapshotError::Header { found, expected });
        }
        if format != FORMAT {
            return Err(SnapshotError::Format { found: format });
        }
        Ok(Header { sections, state_bytes })
    }
}

/// Bytes that are read from their beginning.
struct Rest<'a> {
    bytes: &'a [u8],
    what: String,
}

impl<'a> Rest<'a> {
    fn what(&mut self, what: impl Into<String>) {
        self.what = what.into();
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], SnapshotError> {
        let left = self.bytes.len() as u64;
        let split = usize::try_from(count).ok().and_then(|count| self.bytes.split_at_checked(count));
        let Some((head, tail)) = split else {
            return Err(SnapshotError::Truncated { what: self.what.clone(), wanted: count, left });
        };
        self.bytes = tail;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.take(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }
}

/// Writes sections.
#[derive(Debug, Default)]
pub struct Packer {
    bytes: Vec<u8>,
    sections: u32,
}

impl Packer {
    fn add(&mut self, id: SectionId, instance: u32, fields: &[u8]) {
        let start = self.bytes.len();
        let name = &id.name.as_bytes()[..id.name.len().min(255)];
        self.bytes.extend_from_slice(&TAG);
        self.bytes.push(name.len() as u8);
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(&instance.to_le_bytes());
        self.bytes.extend_from_slice(&id.version.to_le_bytes());
        self.bytes.extend_from_slice(&(fields.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(fields);
        let sum = xxh3_64(&self.bytes[start..]);
        self.bytes.extend_from_slice(&sum.to_le_bytes());
        self.sections += 1;
    }

    /// Header and sections.
    pub fn finish(self) -> Vec<u8> {
        let state_bytes = (FORMAT_BYTES + self.bytes.len()) as u64;
        let mut whole = Header { sections: self.sections, state_bytes }.to_bytes().to_vec();
        whole.extend_from_slice(&self.bytes);
        whole
    }
}

/// A section as it stands in the bytes.
#[derive(Debug, Clone, Copy)]
struct Raw<'a> {
    name: &'a [u8],
    instance: u32,
    version: u32,
    fields: &'a [u8],
    taken: bool,
}

impl Raw<'_> {
    fn named(&self) -> String {
        self.name.escape_ascii().to_string()
    }
}

/// Sections that were found.
#[derive(Debug)]
pub struct Unpacker<'a> {
    sections: Vec<Raw<'a>>,
}

impl<'a> Unpacker<'a> {
    /// Finds the sections of a snapshot's state: header and sections, and nothing behind them.
    ///
    /// # Errors
    /// What is damaged, doubled or cut off.
    pub fn parse(bytes: &'a [u8]) -> Result<Unpacker<'a>, SnapshotError> {
        let header = Header::parse(bytes)?;
        let left = bytes.len() as u64;
        if header.state_bytes > left {
            return Err(SnapshotError::Truncated { what: "the sections".into(), wanted: header.state_bytes, left });
        }
        if header.state_bytes < left {
            return Err(SnapshotError::Trailing(left - header.state_bytes));
        }
        let mut rest = Rest { bytes: &bytes[FORMAT_BYTES..], what: String::new() };
        let mut sections: Vec<Raw<'a>> = Vec::new();
        for number in 0..header.sections {
            let start = rest.bytes;
            rest.what(format!("section number {number}"));
            if rest.take(4)? != TAG {
                return Err(SnapshotError::NoSection { number });
            }
            let length = rest.take(1)?[0];
            let name = rest.take(length.into())?;
            let (instance, version) = (rest.u32()?, rest.u32()?);
            rest.what(format!("section '{}' {instance}", name.escape_ascii()));
            let length = rest.u64()?;
            let fields = rest.take(length)?;
            let expected = xxh3_64(&start[..start.len() - rest.bytes.len()]);
            let found = rest.u64()?;
            let raw = Raw { name, instance, version, fields, taken: false };
            if found != expected {
                return Err(SnapshotError::Damaged { name: raw.named(), instance, found, expected });
            }
            if sections.iter().any(|other| (other.name, other.instance) == (name, instance)) {
                return Err(SnapshotError::Double { name: raw.named(), instance });
            }
            sections.push(raw);
        }
        if !rest.bytes.is_empty() {
            return Err(SnapshotError::Trailing(rest.bytes.len() as u64));
        }
        Ok(Unpacker { sections })
    }

    /// Names of the sections, their instances, versions and sizes in bytes.
    pub fn list(&self) -> impl Iterator<Item = (String, u32, u32, usize)> + '_ {
        self.sections.iter().map(|raw| (raw.named(), raw.instance, raw.version, raw.fields.len()))
    }

    /// Reads the beginning of a section, which is read whole later.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub fn peek(
        &self,
        id: SectionId,
        instance: u32,
        fields: impl FnOnce(&mut Io<'_>) -> Result<(), FieldError>,
    ) -> Result<(), SnapshotError> {
        let raw = &self.sections[self.find(id, instance)?];
        fields(&mut Io::load(raw.version, raw.fields)).map_err(|source| SnapshotError::Field {
            name: id.name,
            instance,
            source,
        })
    }

    /// Instances of the section.
    pub fn instances(&self, id: SectionId) -> impl Iterator<Item = u32> + '_ {
        self.sections.iter().filter(move |raw| raw.name == id.name.as_bytes()).map(|raw| raw.instance)
    }

    fn find(&self, id: SectionId, instance: u32) -> Result<usize, SnapshotError> {
        let wanted = |raw: &Raw<'a>| raw.name == id.name.as_bytes() && raw.instance == instance && !raw.taken;
        let name = id.name;
        let place = self.sections.iter().position(wanted).ok_or(SnapshotError::Missing { name, instance })?;
        let found = self.sections[place].version;
        if !(id.oldest..=id.version).contains(&found) {
            let (oldest, newest) = (id.oldest, id.version);
            return Err(SnapshotError::Version { name, instance, found, oldest, newest });
        }
        Ok(place)
    }

    fn take(&mut self, id: SectionId, instance: u32) -> Result<Io<'a>, SnapshotError> {
        let place = self.find(id, instance)?;
        let raw = &mut self.sections[place];
        raw.taken = true;
        Ok(Io::load(raw.version, raw.fields))
    }
}

/// A snapshot that is being written or read.
#[derive(Debug)]
pub enum Archive<'a> {
    /// Written.
    Save(Packer),
    /// Read.
    Load(Unpacker<'a>),
}

impl Archive<'_> {
    /// Whether it is read.
    pub fn is_load(&self) -> bool {
        matches!(self, Archive::Load(_))
    }

    /// Instance `instance` of a section: `fields` writes or reads it.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub fn section(
        &mut self,
        id: SectionId,
        instance: u32,
        fields: impl FnOnce(&mut Io<'_>) -> Result<(), FieldError>,
    ) -> Result<(), SnapshotError> {
        let mut io = match self {
            Archive::Save(_) => Io::save(id.version),
            Archive::Load(unpacker) => unpacker.take(id, instance)?,
        };
        let done = fields(&mut io).and_then(|()| io.finish());
        done.map_err(|source| SnapshotError::Field { name: id.name, instance, source })?;
        if let Archive::Save(packer) = self {
            packer.add(id, instance, &io.written());
        }
        Ok(())
    }

    /// A part that saves itself.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub fn part(&mut self, part: &(impl Section + ?Sized), instance: u32) -> Result<(), SnapshotError> {
        self.section(part.id(), instance, |io| part.fields(io))
    }

    /// All sections are written or read: the bytes that were written.
    ///
    /// # Errors
    /// [`SnapshotError::Unknown`] names a section that nobody has read.
    pub fn finish(self) -> Result<Vec<u8>, SnapshotError> {
        match self {
            Archive::Save(packer) => Ok(packer.finish()),
            Archive::Load(unpacker) => match unpacker.sections.iter().find(|raw| !raw.taken) {
                Some(raw) => Err(SnapshotError::Unknown { name: raw.named(), instance: raw.instance }),
                None => Ok(Vec::new()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: SectionId = SectionId { name: "first", version: 3, oldest: 2 };
    const SECOND: SectionId = SectionId::new("second");

    fn write(sections: &[(SectionId, u32, u64)]) -> Vec<u8> {
        let mut archive = Archive::Save(Packer::default());
        for (id, instance, value) in sections {
            archive.section(*id, *instance, |io| io.u64("value", &mut value.clone())).unwrap();
        }
        archive.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<[u64; 2], SnapshotError> {
        let mut archive = Archive::Load(Unpacker::parse(bytes)?);
        let mut values = [0; 2];
        archive.section(FIRST, 0, |io| io.u64("value", &mut values[0]))?;
        archive.section(SECOND, 7, |io| io.u64("value", &mut values[1]))?;
        archive.finish()?;
        Ok(values)
    }

    #[test]
    fn sections_are_found_by_name_in_any_order() {
        assert_eq!(read(&write(&[(FIRST, 0, 1), (SECOND, 7, 2)])), Ok([1, 2]));
        assert_eq!(read(&write(&[(SECOND, 7, 2), (FIRST, 0, 1)])), Ok([1, 2]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = [(FIRST, 0, 1), (SECOND, 7, 2)];
        let words = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(words(&write(&good[..1])).contains("section 'second' 7 is missing"));
        assert!(words(&write(&[good[0], good[1], good[0]])).contains("section 'first' 0 is there twice"));
        let stranger = (SectionId::new("stranger"), 1, 0);
        assert!(words(&write(&[good[0], good[1], stranger])).contains("section 'stranger' 1 is not known"));
        let newer = (SectionId { version: 4, ..FIRST }, 0, 1);
        assert!(words(&write(&[newer, good[1]])).contains("version 4, and this program reads 2 to 3"));
        let mut bytes = write(&good);
        let last = bytes.len() - 9;
        bytes[last] ^= 1;
        assert!(words(&bytes).contains("section 'second' 7 is damaged"));
        assert!(words(&[write(&good), vec![0]].concat()).contains("1 bytes stand behind"));
        assert!(words(b"\x7fELF....").contains("no snapshot"));
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), count: u32) {
            let header = Header { sections: count, state_bytes: (bytes.len() + FORMAT_BYTES) as u64 };
            prop_assert!(read(&bytes).is_err());
            let mut whole = header.to_bytes().to_vec();
            whole.append(&mut bytes);
            prop_assert!(read(&whole).is_err());
        }

        #[test]
        fn every_change_is_noticed(at: prop::sample::Index, bit in 0..8u32) {
            let mut bytes = write(&[(FIRST, 0, 1), (SECOND, 7, 2)]);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(read(&bytes).is_err());
        }
    }
}
