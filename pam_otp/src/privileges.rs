//! Protects a login from the user who started a set-user-ID host (`su`, `sudo`).
//!
//! While a record is locked, the process runs with real uid 0, so that this user cannot stop it: a process that is stopped
//! while it holds a user's lock keeps that user from logging in for as long as it is stopped. And the limits of resources
//! that this user set are raised: a look-up or a write that fails for them must not decide anything.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{ResUid, Uid, geteuid, getresuid, getuid, setresuid};
use otp_core::error::CoreError;

/// The user ids of this process.
pub(crate) struct Privileges(ResUid);

impl Privileges {
    /// Asks the kernel.
    pub(crate) fn of_this_process() -> Self {
        let known = || ResUid { real: getuid(), effective: geteuid(), saved: geteuid() };
        Self(getresuid().unwrap_or_else(|_| known()))
    }

    /// Whether the process may do what root may.
    pub(crate) fn are_of_root(&self) -> bool {
        self.0.effective.is_root()
    }

    /// The user who started this process.
    pub(crate) fn real_uid(&self) -> u32 {
        self.0.real.as_raw()
    }

    /// Takes a step in which only root can stop this process: not its caller by kill(2) or Ctrl-Z.
    pub(crate) fn shielded<T>(&self, step: impl FnOnce() -> Result<T, CoreError>) -> Result<T, CoreError> {
        let shield = if self.caller_is_not_root() { Shield::raise() } else { None };
        let answer = step();
        shield.map_or(Ok(()), Shield::lower)?;
        answer
    }

    /// Raises the limits where a user who is not root started a program of root. Fails if one is too low and cannot be
    /// raised.
    pub(crate) fn raise_limits(&self) -> Result<RaisedLimits, CoreError> {
        let mut raised = RaisedLimits([None; LIMITS.len()]);
        if !self.are_of_root() || self.0.real.is_root() {
            return Ok(raised);
        }
        for ((resource, enough, name), before) in LIMITS.into_iter().zip(&mut raised.0) {
            let (soft, hard) = getrlimit(resource).map_err(|_| CoreError::Limit(name))?;
            if soft >= enough {
                continue;
            }
            // Without CAP_SYS_RESOURCE only the soft limit can be raised, to the hard one.
            setrlimit(resource, enough, hard.max(enough)).map_err(|_| CoreError::Limit(name))?;
            *before = Some((soft, hard));
        }
        Ok(raised)
    }

    fn caller_is_not_root(&self) -> bool {
        self.are_of_root() && !(self.0.real.is_root() && self.0.saved.is_root())
    }
}

/// Logs as root where a user started a program of root (`su`): the journal notes the real user id with each line, and readers
/// believe only what no user can send.
pub(crate) fn logging_as_root(log: impl FnOnce()) {
    let is_for_user = !getuid().is_root() && geteuid().is_root();
    let shield = if is_for_user { Shield::raise() } else { None };
    log();
    if shield.is_some_and(|shield| shield.lower().is_err()) {
        // A host that took its caller for root from here on would be worse than one that ends.
        std::process::abort();
    }
}

/// Limits that a user can set for a program of root, what a login needs of each, and their names.
///
/// The stack among them: a small one could end a process on the longer way of a wrong code, before that is counted.
const LIMITS: [(Resource, rlim_t, &str); 5] = [
    (Resource::RLIMIT_NOFILE, 256, "RLIMIT_NOFILE"),
    (Resource::RLIMIT_FSIZE, 1 << 20, "RLIMIT_FSIZE"),
    (Resource::RLIMIT_AS, 256 << 20, "RLIMIT_AS"),
    (Resource::RLIMIT_DATA, 128 << 20, "RLIMIT_DATA"),
    (Resource::RLIMIT_STACK, 1 << 20, "RLIMIT_STACK"),
];

/// The limits that were raised, and what they were. They are again when this is gone: a session inherits them.
pub(crate) struct RaisedLimits([Option<(rlim_t, rlim_t)>; LIMITS.len()]);

impl Drop for RaisedLimits {
    fn drop(&mut self) {
        for ((resource, ..), before) in LIMITS.into_iter().zip(self.0) {
            if let Some((soft, hard)) = before {
                // Lowering a limit needs no privilege.
                let _ = setrlimit(resource, soft, hard);
            }
        }
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
        // Asked again: time has passed while a person typed.
        let ids = getresuid().ok()?;
        setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).ok()?;
        let stops = SigSet::from_iter([Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU]);
        Some(Self { ids, signals: stops.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok() })
    }

    /// A host that took its caller for root from here on would be worse than a login that fails.
    fn lower(self) -> Result<(), CoreError> {
        self.restore().map_err(|_| CoreError::Privileges)
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
