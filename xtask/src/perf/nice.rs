//! Measuring on a host that has other things to do.
//!
//! Linux shares the processors between sessions first and between the processes of one only then, where
//! `/proc/sys/kernel/sched_autogroup_enabled` is 1: there the niceness of a process does nothing against other
//! sessions, and that of the session does (sched(7)).

use std::fs;

use anyhow::{Context as _, Result, bail};

const AUTOGROUP: &str = "/proc/self/autogroup";

/// The niceness of this process and its session, and so of what is started from here; the session's is put back at
/// the end.
#[derive(Debug)]
pub struct Niceness {
    session_before: Option<i32>,
}

impl Niceness {
    /// Sets both to `nice`.
    pub fn set(nice: i32) -> Result<Self> {
        if !(-20..20).contains(&nice) {
            bail!("niceness is -20 to 19, found {nice}");
        }
        rustix::process::setpriority_process(None, nice)
            .with_context(|| format!("cannot set niceness {nice} (below 0 needs root)"))?;
        let session_before = fs::read_to_string(AUTOGROUP).ok().and_then(|text| session_niceness(&text));
        if session_before.is_some() {
            fs::write(AUTOGROUP, nice.to_string())
                .with_context(|| format!("cannot set niceness {nice} of the session in {AUTOGROUP}"))?;
        }
        Ok(Self { session_before })
    }
}

impl Drop for Niceness {
    fn drop(&mut self) {
        if let Some(before) = self.session_before
            && let Err(error) = fs::write(AUTOGROUP, before.to_string())
        {
            eprintln!("cannot set niceness {before} of the session again: {AUTOGROUP}: {error}");
        }
    }
}

/// 5 of `/autogroup-127 nice 5`.
fn session_niceness(text: &str) -> Option<i32> {
    text.trim().rsplit_once(" nice ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn niceness_of_a_session() {
        assert_eq!(session_niceness("/autogroup-127 nice -5\n"), Some(-5));
        assert_eq!(session_niceness("\n"), None);
    }

    #[test]
    fn what_is_no_niceness_is_refused() {
        assert!(Niceness::set(20).is_err() && Niceness::set(-21).is_err());
    }
}
