//! Reports what kept a login from being decided: to the log, to the person, and by a delay to who guesses.

use otp_core::audit::Event;
use otp_core::text;
use otp_core::value::text::said;

use crate::host::Host;
use crate::outcome::{ModuleError, Outcome};

/// What a person sees when it is not their fault.
const NOT_POSSIBLE: &str = text!("Verification is not possible now. The reason is in the system log.");

/// Logs an error, and tells and slows the client.
pub(crate) fn failed(host: &mut dyn Host, user: &str, error: ModuleError) -> Outcome {
    if !matches!(error, ModuleError::Conversation(_)) {
        host.warn(&said(host.language(), NOT_POSSIBLE, &[]));
    }
    host.delay_failure();
    noted(host, user, error, true)
}

/// Logs it and slows the client. A text after the modules that check passwords would tell that the password was right.
pub(crate) fn refused_without_a_word(host: &mut dyn Host, user: &str, error: ModuleError) -> Outcome {
    host.delay_failure();
    noted(host, user, error, true)
}

/// Logs it, and no more: all that happens in a rollout.
pub(crate) fn noted(host: &dyn Host, user: &str, error: ModuleError, enforced: bool) -> Outcome {
    let rhost = host.login_context().rhost;
    let (rhost, hint) = (rhost.as_deref(), error.hint());
    host.log(&Event::Failed { user, rhost, error: &error, hint, enforced });
    Outcome::Failed(error)
}
