//! Process groups of programs that have ended or were killed: what is left in them is killed in its time.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The groups.
#[derive(Default)]
pub(crate) struct Leftovers(Mutex<Vec<Group>>);

/// A group, by its leader, which is not waited for yet: until it is, no other process has its number.
struct Group {
    leader: Pid,
    until: Instant,
}

impl Leftovers {
    /// Adopts a group of processes.
    pub(crate) fn add(&self, leader: Pid, until: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Group { leader, until });
        self.end();
    }

    /// Kills the groups whose time is over. Whether none is left.
    pub(crate) fn end(&self) -> bool {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|group| group.until > now() || !is_over(group.leader));
        groups.is_empty()
    }
}

fn is_over(leader: Pid) -> bool {
    // It fails where nothing is left to kill.
    let _ = killpg(leader, Signal::SIGKILL);
    // A process that the kernel cannot end now (a network file system) is looked at again later.
    !matches!(waitpid(leader, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
}

#[expect(clippy::disallowed_methods, reason = "how long a program runs; no clock that can be set changes it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
