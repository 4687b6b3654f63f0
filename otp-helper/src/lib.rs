//! The audit log of the programs that serve requests: the helper, and `otp-enroll` run by root.

#![forbid(unsafe_code)]

use otp_core::audit::{Event, Severity};

/// Writes an audit line to authpriv under a program's name. A machine without a log still serves its users, so errors are
/// ignored.
pub fn log(program: &str, event: &Event<'_>) {
    let formatter = syslog::Formatter3164 {
        facility: syslog::Facility::LOG_AUTHPRIV,
        hostname: None,
        process: program.to_owned(),
        pid: std::process::id(),
    };
    if let Ok(mut logger) = syslog::unix(formatter) {
        let _ = match event.severity() {
            Severity::Info => logger.info(event),
            Severity::Notice => logger.notice(event),
            Severity::Error => logger.err(event),
        };
    }
}
