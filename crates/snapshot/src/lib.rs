//! The form of a saved partition: named, versioned, length-prefixed, checked sections, and the fields within them.
//!
//! Nothing in here knows what is saved. Each room states its fields once, by a [`Section`], for both directions: under
//! [`Io`] the same function writes them and reads them back. An [`Archive`] holds the sections: it writes them one behind
//! the other, or finds them by name in bytes that nobody trusts.
//!
//! All numbers are little-endian. A file begins with
//!
//! | bytes | what |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 4 | [`FORMAT`] |
//! | 4 | number of sections |
//! | 8 | bytes of header and sections together |
//! | 8 | XXH3 of the 24 bytes above |
//!
//! and each section is
//!
//! | bytes | what |
//! |---|---|
//! | 4 | [`TAG`] |
//! | 1, n | length of the name, the name |
//! | 4 | instance: which of several with this name |
//! | 4 | version |
//! | 8, m | length of the fields, the fields |
//! | 8 | XXH3 of all of the section before this |
//!
//! Reading never panics, and allocates no more than a few times the bytes that are there.

#![warn(missing_docs)]

mod archive;
mod io;

pub use archive::{Archive, FORMAT, FORMAT_BYTES, Header, MAGIC, Packer, SectionId, SnapshotError, TAG, Unpacker};
pub use io::{FieldError, Io};

/// A part of a machine that saves itself.
pub trait Section {
    /// Its name, and the versions of its fields.
    fn id(&self) -> SectionId;

    /// Saves or loads its fields, all of them, in a fixed order.
    ///
    /// # Errors
    /// On loading: what stands there cannot be. The part is then in no state to be used.
    fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError>;
}
