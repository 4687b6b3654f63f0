//! The moment in which a user's lock is held, in a program that somebody else started: `su` for one.
//!
//! Whoever started it may send it signals, since its real user id is theirs. Stopped in that moment, it would keep the
//! user it is about from logging in, with whatever code, for as long as it is left so.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{ResUid, Uid, getresuid, setresuid};

use crate::outcome::Failure;

/// Takes a step in which nobody but root can stop this process: not by kill(2), and not by Ctrl-Z.
pub(crate) fn unstopped<T>(step: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let shield = Shield::raise();
    let answer = step();
    shield.map_or(Ok(()), Shield::lower)?;
    answer
}

/// What the process was before, and is again when this is gone.
struct Shield {
    ids: ResUid,
    signals: Option<SigSet>,
}

impl Shield {
    /// None where it is of no use, or not permitted: then the step is taken without.
    fn raise() -> Option<Self> {
        let ids =
            getresuid().ok().filter(|ids| ids.effective.is_root() && !(ids.real.is_root() && ids.saved.is_root()))?;
        setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).ok()?;
        let stops = SigSet::from_iter([Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU]);
        Some(Self { ids, signals: stops.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok() })
    }

    /// A host that took its caller for root from here on would be worse than a login that fails.
    fn lower(self) -> Result<(), Failure> {
        self.restore().map_err(|_| Failure::Caller)
    }

    fn restore(&self) -> nix::Result<()> {
        let ResUid { real, effective, saved } = self.ids;
        setresuid(real, effective, saved)?;
        self.signals.map_or(Ok(()), |signals| signals.thread_set_mask())
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        // After a panic; elsewhere it is the second time, and changes nothing.
        let _ = self.restore();
    }
}
