//! A passcode of a status, for people.

use otp_core::protocol::request::PasscodeStatus;

use crate::user::device_lines::moment;

/// `unused, good through sshd until 2026-11-29 08:30 UTC`
pub(crate) fn described(passcode: &PasscodeStatus) -> String {
    let PasscodeStatus { until, service, used, expired } = passcode;
    let (through, until) = (service.as_ref().map(|service| format!(" through {service}")), moment(until));
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
