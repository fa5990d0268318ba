//! The machine that is to go on.

use super::MigrationError;
use super::stream::{Channel, Kind, MAGIC, Uri, number, page};
use crate::board::Machine;
use crate::shared::Shared;
use memory::{PAGE_SHIFT, PAGE_SIZE};
use std::path::Path;
use std::sync::Arc;

/// What is said of the state's own errors.
const NAME: &str = "-incoming";

impl Machine {
    /// Waits for a guest, and takes it over: it goes on with [`Machine::run`]. The machine was never started.
    ///
    /// # Errors
    /// [`MigrationError`]: the guest goes on where it was, and this machine is of no use.
    pub fn receive(&mut self, uri: &Uri) -> Result<(), MigrationError> {
        if self.follower.is_some() {
            return Err(crate::saved::SavedError::Lockstep.into());
        }
        let shared = self.runner.shared.clone();
        let goes_on = || !shared.is_ending();
        let mut channel = Channel::accept(uri, &goes_on)?;
        let received = self.receive_from(&mut channel, &shared);
        if let Err(error) = &received {
            if channel.is_two_way() {
                // If it cannot be told, it sees the connection end.
                let _ = channel.send(Kind::Refuse, error.to_string().as_bytes());
            }
            channel.abandon();
        }
        received
    }

    fn receive_from(&mut self, channel: &mut Channel, shared: &Arc<Shared>) -> Result<(), MigrationError> {
        let goes_on = || !shared.is_ending();
        let (kind, hello) = channel.receive(&goes_on)?;
        let has_answers = match hello.split_last() {
            Some((answers @ (0 | 1), magic)) if kind == Kind::Hello && magic == MAGIC => *answers == 1,
            _ => return Err(MigrationError::Unexpected { expected: "the beginning of a migration", found: kind }),
        };
        if has_answers != channel.is_two_way() {
            return Err(MigrationError::Content(Kind::Hello));
        }
        let answer = |channel: &mut Channel, kind| {
            if has_answers { channel.send(kind, &[]).map(drop) } else { Ok(()) }
        };
        let mut is_checked = false;
        let mut is_loaded = false;
        loop {
            let (kind, content) = channel.receive(&goes_on)?;
            match kind {
                Kind::Check if !is_checked => {
                    self.check_state(&content, Path::new(NAME))?;
                    is_checked = true;
                    answer(channel, Kind::Accept)?;
                }
                Kind::Pages if is_checked && !is_loaded => self.take_pages(&content)?,
                Kind::Zeros if is_checked && !is_loaded => self.take_zeros(&content)?,
                Kind::State if is_checked && !is_loaded => {
                    self.load_state(&content, None, Path::new(NAME))?;
                    is_loaded = true;
                    answer(channel, Kind::Ready)?;
                }
                Kind::Commit if is_loaded => {
                    let paused = match content[..] {
                        [paused @ (0 | 1)] => paused == 1,
                        _ => return Err(MigrationError::Content(kind)),
                    };
                    if paused {
                        shared.call_rest(self.runner.clock.is_virtual());
                    }
                    // It goes on, whether the source hears of it or not.
                    let _ = answer(channel, Kind::Runs);
                    return Ok(());
                }
                found => return Err(MigrationError::Unexpected { expected: "the next part of a migration", found }),
            }
        }
    }

    fn take_pages(&self, mut content: &[u8]) -> Result<(), MigrationError> {
        let memory = &self.runner.ram.0;
        while !content.is_empty() {
            let (number, bytes, rest) = page(content).ok_or(MigrationError::Content(Kind::Pages))?;
            let address = number.checked_mul(PAGE_SIZE).ok_or(MigrationError::Content(Kind::Pages))?;
            memory.write(address, bytes).map_err(|_| MigrationError::Content(Kind::Pages))?;
            content = rest;
        }
        Ok(())
    }

    /// Pages that are zero here are not touched, so that they take no memory.
    fn take_zeros(&self, mut content: &[u8]) -> Result<(), MigrationError> {
        let memory = &self.runner.ram.0;
        let mut page = [0; PAGE_SIZE as usize];
        while !content.is_empty() {
            let (number, rest) = number(content).ok_or(MigrationError::Content(Kind::Zeros))?;
            if !memory.copy_page_number(number, &mut page) {
                return Err(MigrationError::Content(Kind::Zeros));
            }
            if page.iter().any(|byte| *byte != 0) {
                memory
                    .write(number << PAGE_SHIFT, &[0; PAGE_SIZE as usize])
                    .map_err(|_| MigrationError::Content(Kind::Zeros))?;
            }
            content = rest;
        }
        Ok(())
    }
}
