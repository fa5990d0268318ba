//! Live migration: pre-copy with dirty tracking, and one point in time at which the guest changes hands.
//!
//! Up to that point any failure lets the source go on. It is the moment at which the host has taken the last byte of the
//! frame [`Kind::Commit`]: the source stands still before it sends that, and never goes on behind it, whatever it hears; the
//! destination lets the guest go on when it has the whole frame, and never without. So there are never two running copies.
//! If the connection breaks in between, the source cannot know whether the destination goes on: it stays stopped and says so.

mod destination;
mod source;
mod stream;

pub use source::Begun;
pub use stream::{Kind, Uri};

use crate::saved::SavedError;
use crate::shared::lock;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use thiserror::Error;

/// How long the guest may stand still, unless somebody says otherwise.
const DOWNTIME_MS: u64 = 300;

/// Why a migration came to nothing. The source goes on then, but for [`MigrationError::InDoubt`].
#[derive(Debug, Error)]
pub enum MigrationError {
    /// No such place.
    #[error("'{0}': expected tcp:HOST:PORT, unix:PATH, file:PATH or exec:COMMAND")]
    Uri(String),
    /// The host.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the host said.
        source: std::io::Error,
    },
    /// The other side has gone.
    #[error("the stream is cut off: the other side has gone")]
    CutOff,
    /// Somebody here does not want to wait any more.
    #[error("nobody waits for it any more")]
    Stopped,
    /// The other side says nothing.
    #[error("the other side does not answer")]
    Silent,
    /// No kind of frame.
    #[error("expected a frame, found a byte {0:#x}: this is no migration, or one of another program")]
    NoFrame(u8),
    /// A frame of a kind that has no place here.
    #[error("expected {expected}, found a frame {found:?}")]
    Unexpected {
        /// What has its place here.
        expected: &'static str,
        /// What came.
        found: Kind,
    },
    /// A frame that cannot be so long.
    #[error("a frame {kind:?} of {length} bytes: at most {most}")]
    LongFrame {
        /// Its kind.
        kind: Kind,
        /// What it says.
        length: u64,
        /// What can be.
        most: u64,
    },
    /// A checksum is wrong.
    #[error("a frame {0:?} is damaged: its checksum is wrong")]
    Damaged(Kind),
    /// A content that cannot be.
    #[error("a frame {0:?} has a content that cannot be")]
    Content(Kind),
    /// The state cannot be saved, or not be loaded.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// The destination does not take it.
    #[error("the destination refuses: {0}")]
    Refused(String),
    /// Somebody cancelled it.
    #[error("cancelled")]
    Cancelled,
    /// One at a time.
    #[error("a migration is under way (info migrate, migrate_cancel)")]
    Busy,
    /// Once and for all.
    #[error("the guest was handed over: it is not here any more")]
    HandedOver,
    /// The source cannot know.
    #[error(
        "the guest was handed over, and the destination has not said that it goes on ({0}): look there. This machine stays \
         stopped; savevm keeps what it has"
    )]
    InDoubt(String),
}

/// How a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// There was none.
    #[default]
    None,
    /// It goes on.
    Active,
    /// The guest is somewhere else.
    Completed,
    /// The source goes on.
    Failed,
    /// The source goes on, as somebody wanted.
    Cancelled,
    /// It is somewhere else, or nowhere.
    InDoubt,
}

/// What is to be told of a migration.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// How it stands.
    pub phase: Phase,
    /// Why it failed.
    pub reason: String,
    /// Rounds over the pages that were written to.
    pub rounds: u64,
    /// Pages sent, those of zeros not counted.
    pub pages: u64,
    /// Pages of zeros.
    pub zeros: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Pages of this round that are not sent yet.
    pub left: u64,
    /// From the beginning to the end.
    pub spent: Duration,
    /// How long the guest stood still, until the destination said that it goes on.
    pub downtime: Option<Duration>,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.phase {
            Phase::None => return write!(f, "Migration status: none"),
            Phase::Active => "active",
            Phase::Completed => "completed",
            Phase::Failed => "failed",
            Phase::Cancelled => "cancelled",
            Phase::InDoubt => "in doubt",
        };
        writeln!(f, "Migration status: {name}")?;
        if !self.reason.is_empty() {
            writeln!(f, "reason: {}", self.reason)?;
        }
        writeln!(f, "total time: {} ms", self.spent.as_millis())?;
        if let Some(downtime) = self.downtime {
            writeln!(f, "downtime: {:.1} ms", downtime.as_secs_f64() * 1e3)?;
        }
        writeln!(f, "transferred ram: {} kbytes", self.bytes >> 10)?;
        write!(f, "normal: {} pages\nduplicate: {} pages\n", self.pages, self.zeros)?;
        write!(f, "remaining: {} pages\ndirty sync count: {}", self.left, self.rounds)
    }
}

/// A machine's migration: what is wished of the next one, and how the last one stands.
#[derive(Debug)]
pub(crate) struct Migration {
    /// Bytes a second; 0: as fast as it goes.
    pub bandwidth: AtomicU64,
    /// The guest is to stand still no longer than this, in ms.
    pub downtime_ms: AtomicU64,
    pub cancelled: AtomicBool,
    pub handed_over: AtomicBool,
    pub progress: Mutex<Progress>,
}

impl Default for Migration {
    fn default() -> Migration {
        Migration {
            bandwidth: AtomicU64::new(0),
            downtime_ms: AtomicU64::new(DOWNTIME_MS),
            cancelled: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
            progress: Mutex::default(),
        }
    }
}

impl Migration {
    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut lock(&self.progress));
    }

    /// Begins one.
    fn begin(&self) -> Result<(), MigrationError> {
        let mut progress = lock(&self.progress);
        if self.handed_over.load(SeqCst) {
            return Err(MigrationError::HandedOver);
        }
        if progress.phase == Phase::Active {
            return Err(MigrationError::Busy);
        }
        self.cancelled.store(false, SeqCst);
        *progress = Progress { phase: Phase::Active, ..Progress::default() };
        Ok(())
    }
}
