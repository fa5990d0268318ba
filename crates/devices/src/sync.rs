//! The host's locks and threads, under a name that `concurrency/` gives to those of a scheduler that tries interleavings.

pub(crate) use std::sync::{Condvar, Mutex, PoisonError};
pub(crate) use std::thread;
