//! A passcode of a status, for people.

use otp_core::protocol::request::PasscodeStatus;

/// `unused, good once through sshd until 2026-11-29 08:30:00 UTC`, with its end as a person reads it.
pub(crate) fn described(passcode: &PasscodeStatus, until: &str) -> String {
    let PasscodeStatus { until: _, service, used, expired } = passcode;
    let through = service.as_ref().map(|service| format!(" through {service}"));
    match (used, expired) {
        (true, _) => "used".to_owned(),
        (false, true) => format!("expired at {until}"),
        (false, false) => format!("unused, good once{} until {until}", through.unwrap_or_default()),
    }
}

/// Whether it can be used.
pub(crate) fn is_good(passcode: &PasscodeStatus) -> bool {
    !passcode.used && !passcode.expired
}
