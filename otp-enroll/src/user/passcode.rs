//! A passcode of a status, for people.

use otp_core::protocol::request::PasscodeStatus;
use otp_core::text;

use crate::language::{fill, tr};

/// `unused, good once through sshd until 2026-11-29 08:30:00 UTC`, with its end as a person reads it.
pub(crate) fn described(passcode: &PasscodeStatus, until: &str) -> String {
    let PasscodeStatus { until: _, service, used, expired } = passcode;
    match (used, expired, service) {
        (true, _, _) => tr(text!("used")),
        (false, true, _) => fill(text!("expired at {time}"), &[("time", &until)]),
        (false, false, None) => fill(text!("unused, good once until {time}"), &[("time", &until)]),
        (false, false, Some(service)) => {
            fill(text!("unused, good once through {service} until {time}"), &[("service", service), ("time", &until)])
        }
    }
}

/// Whether it can be used.
pub(crate) fn is_good(passcode: &PasscodeStatus) -> bool {
    !passcode.used && !passcode.expired
}
