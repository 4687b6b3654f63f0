//! Whoever started this program, as others start `su`, and may send it signals: its real user id is theirs.
//!
//! Stopped in the moment in which it holds a user's lock, it would keep the user it is about from logging in, with
//! whatever code, for as long as it is left so.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{ResUid, Uid, geteuid, getresuid, getuid, setresuid};

use crate::outcome::Failure;

/// Whose process this is, and as whom it acts.
pub(crate) struct Caller(ResUid);

impl Caller {
    /// Asks the kernel.
    pub(crate) fn of_this_process() -> Self {
        let known = || ResUid { real: getuid(), effective: geteuid(), saved: geteuid() };
        Self(getresuid().unwrap_or_else(|_| known()))
    }

    /// Whether the process may do what root may.
    pub(crate) fn acts_as_root(&self) -> bool {
        self.0.effective.is_root()
    }

    /// Takes a step in which nobody but root can stop this process: not by kill(2), and not by Ctrl-Z.
    pub(crate) fn kept_off<T>(&self, step: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let shield = if self.has_power() { Shield::raise() } else { None };
        let answer = step();
        shield.map_or(Ok(()), Shield::lower)?;
        answer
    }

    fn has_power(&self) -> bool {
        self.acts_as_root() && !(self.0.real.is_root() && self.0.saved.is_root())
    }
}

/// What the process was before, and is again when this is gone.
struct Shield {
    ids: ResUid,
    signals: Option<SigSet>,
}

impl Shield {
    /// None where it is not permitted: then the step is taken without.
    fn raise() -> Option<Self> {
        // Asked anew: time has passed while a person typed.
        let ids = getresuid().ok()?;
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
