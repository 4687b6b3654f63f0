//! What a configuration allows that it perhaps should not: a rollout that never ended, codes that are good for long, locks
//! that end at once.

use otp_core::config::Config;
use otp_core::decision::verify::LockFor;
use otp_core::value::time::Seconds;

use super::finding::Finding;

/// NIST SP 800-63B-4 §3.1.4.2: a time-based code is good for two minutes at most.
const LONGEST_CODE: u64 = 120;

/// NIST SP 800-63B-4 §3.2.2: no more than 100 wrong codes in a row, with a growing wait. A shorter lock than this allows
/// more than a hundred thousand guesses a month.
const SHORTEST_LOCK: u64 = 30;

pub(super) fn look_at(config: &Config, findings: &mut Vec<Finding>) {
    let mut warn = |what: String, fix: &str| findings.push(Finding::warning("configuration", what, fix));
    if !config.settings.enforce {
        warn(
            "enforce = false: codes are asked for, and no login is refused without one".to_owned(),
            "when `otp-enroll admin report` shows nothing that surprises, remove the line",
        );
    }
    let steps = config.settings.limits.window.saturating_mul(2).saturating_add(1);
    let good_for = steps.saturating_mul(config.settings.code.period.get());
    if good_for > LONGEST_CODE {
        warn(
            format!(
                "code.window and code.period make a code of a new device good for {} (NIST SP 800-63B: 2 min)",
                Seconds(good_for)
            ),
            "set code.window to 1 or 0, and code.period to 30",
        );
    }
    if let LockFor::Time(length) = config.settings.limits.lock_for
        && length.0 < SHORTEST_LOCK
    {
        warn(
            format!(
                "lockout.for is {length}: after {} wrong codes, guessing goes on at once",
                config.settings.limits.lock_after
            ),
            "set lockout.for to 15m, the default",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_weakens_a_second_factor_is_named() {
        for (text, expected) in [
            ("", &[][..]),
            ("[code]\nwindow = 1\nperiod = 40", &[]),
            ("[lockout]\nafter = 100\nfor = \"30s\"", &[]),
            ("[lockout]\nfor = \"until-unlocked\"", &[]),
            ("enforce = false", &["enforce = false: codes are asked for"]),
            (
                "[code]\nwindow = 10\nperiod = 300",
                &["code.window and code.period make a code of a new device good for 1 h 45 min"],
            ),
            ("[lockout]\nafter = 3\nfor = \"1s\"", &["lockout.for is 1 s: after 3 wrong codes"]),
        ] {
            let mut findings = Vec::new();
            look_at(&Config::parse(Path::new("f"), text).unwrap(), &mut findings);
            assert_eq!(findings.len(), expected.len(), "{text}: {findings:?}");
            for (finding, expected) in findings.iter().zip(expected) {
                assert!(finding.what.starts_with(expected), "{finding:?}");
            }
        }
    }
}
