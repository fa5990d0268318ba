//! What other threads do with a machine that runs.

use crate::board::Machine;
use crate::saved::SavedError;
use crate::shared::{End, Ending, Shared};
use crate::twin::Outside;
use platform::Partition as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use thiserror::Error;

/// Ends, stops or saves a machine's run from any thread.
#[derive(Debug, Clone)]
pub struct Handle(pub(crate) Target);

/// Why a machine cannot do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unable {
    /// There are two.
    #[error("two machines in lockstep cannot do that")]
    Lockstep,
    /// Nothing lets its guest go on here.
    #[error("the guest was handed over to another machine: it is not here any more")]
    HandedOver,
}

/// Whom a [`Handle`] tells.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Machine(Arc<Shared>, Arc<timing::Clock>),
    Lockstep(Arc<Outside>),
}

impl Handle {
    /// The run ends with [`End::Quit`] as soon as every vCPU has come to a stop.
    pub fn quit(&self, reason: impl Into<String>) {
        match &self.0 {
            Target::Machine(shared, _) => shared.end(Ending::End(End::Quit(reason.into()))),
            Target::Lockstep(outside) => outside.quit(reason.into()),
        }
    }

    /// System reset of every vCPU that is not stopped, as by a non-maskable interrupt of the machine.
    pub fn system_reset(&self) {
        match &self.0 {
            Target::Machine(shared, _) => (0..shared.vcpu_count()).for_each(|index| shared.system_reset(index)),
            Target::Lockstep(outside) => outside.system_reset(),
        }
    }

    /// The machine and its clock, if it is not two in lockstep.
    pub(crate) fn alone(&self) -> Option<(&Arc<Shared>, &timing::Clock)> {
        match &self.0 {
            Target::Machine(shared, clock) => Some((shared, clock)),
            Target::Lockstep(_) => None,
        }
    }

    /// A machine that is not two, and still has its guest.
    fn here(&self) -> Result<(&Arc<Shared>, &timing::Clock), Unable> {
        let (shared, clock) = self.alone().ok_or(Unable::Lockstep)?;
        if shared.migration.handed_over.load(SeqCst) { Err(Unable::HandedOver) } else { Ok((shared, clock)) }
    }

    /// The machine starts again as after power-on.
    ///
    /// # Errors
    /// [`Unable`].
    pub fn reset(&self) -> Result<(), Unable> {
        self.here().map(|(shared, _)| shared.end(Ending::Reboot))
    }

    /// vCPUs and the real clock stand still until [`Handle::resume`].
    ///
    /// # Errors
    /// [`Unable`].
    pub fn pause(&self) -> Result<(), Unable> {
        self.start_paused()?;
        self.here().map(|(shared, _)| shared.wait_for_rest())
    }

    /// As [`Handle::pause`], before the run begins: it begins with standing still.
    ///
    /// # Errors
    /// [`Unable`].
    pub fn start_paused(&self) -> Result<(), Unable> {
        self.here().map(|(shared, clock)| shared.call_rest(clock.is_virtual()))
    }

    /// They go on.
    ///
    /// # Errors
    /// [`Unable`].
    pub fn resume(&self) -> Result<(), Unable> {
        self.here().map(|(shared, _)| shared.resume_unless(|| shared.migration.handed_over.load(SeqCst)))
    }

    /// Whether vCPUs stand still.
    pub fn is_paused(&self) -> bool {
        self.alone().is_some_and(|(shared, _)| shared.is_paused())
    }

    /// What each vCPU does; nothing in lockstep.
    pub fn run_states(&self) -> Vec<platform::RunState> {
        let states =
            |(shared, _): (&Arc<Shared>, _)| (0..shared.vcpu_count()).filter_map(|i| shared.run_state(i)).collect();
        self.alone().map(states).unwrap_or_default()
    }

    /// Does something to the machine as soon as every vCPU has come to a safe place, and waits for it; the run goes on then.
    /// `None`: the run is over, or ends before.
    pub(crate) fn while_it_stands<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> T + Send + 'static,
    ) -> Option<T> {
        let (shared, clock) = self.alone()?;
        let (answer, answered) = std::sync::mpsc::channel();
        // Nobody waits any more: nothing to tell.
        let order = Box::new(move |machine: &mut Machine| drop(answer.send(work(machine))));
        shared.order(order, clock.is_virtual());
        answered.recv().ok()
    }

    /// Saves the machine to `path` as soon as every vCPU has come to a safe place, and waits until that is done.
    ///
    /// # Errors
    /// Why it was not saved.
    pub fn save(&self, path: &Path) -> Result<(), SavedError> {
        if self.alone().is_none() {
            return Err(SavedError::Lockstep);
        }
        let place = PathBuf::from(path);
        self.while_it_stands(move |machine| machine.save(&place)).unwrap_or(Err(SavedError::Ended))
    }

    /// Under the virtual clock: saves the machine to `path` at `ns`, or as soon after it as every vCPU has had its turn, and
    /// ends the run.
    pub fn save_and_quit_at(&self, ns: u64, path: &Path) {
        let Some((shared, _)) = self.alone() else { return };
        let place = PathBuf::from(path);
        let order = move |machine: &mut Machine| {
            let said = machine.save(&place).map_or_else(|error| error.to_string(), |()| "saved".into());
            machine.runner.shared.end(Ending::End(End::Quit(said)));
        };
        shared.order_at(ns, Box::new(order));
    }
}
