//! A line of ours in a log, read back: a login or a change that was refused.

use otp_core::audit;
use otp_core::protocol::administration::Refused;
use serde::Serialize;

/// A login or a change that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    /// As the log has it: UTC from the journal.
    pub(super) time: String,
    /// The refusal's word; `error` if no decision was possible.
    why: String,
    /// Wrong codes in a row, for `wrong`.
    failures: Option<u32>,
    /// What happened, for `error`.
    error: Option<String>,
    /// The PAM service.
    service: Option<String>,
    /// The host of the fleet, where its audit says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// The remote host.
    rhost: Option<String>,
    /// The change that was refused, where it was no login.
    change: Option<String>,
    /// Whether the refusal was enforced.
    enforced: bool,
}

/// Reads lines about one user.
pub(super) struct Reader {
    /// As a line spells it.
    user: String,
}

impl Reader {
    pub(super) fn of(user: &str) -> Self {
        Self { user: audit::value(user) }
    }

    /// The refusal that `program` logged with this message; `None` for any other line.
    pub(super) fn read(&self, time: &str, program: &str, message: &str) -> Option<Refusal> {
        let (service, line) = match message.strip_prefix("pam_otp(") {
            // pam_syslog: `pam_otp(sshd:auth): `
            Some(rest) => {
                let (place, line) = rest.split_once("): ")?;
                (Some(place.split_once(':')?.0.to_owned()), line)
            }
            None if ["otp-helper", "otp-enroll"].contains(&program) => (None, message),
            None => return None,
        };
        let (head, error) = match line.split_once(" error=\"") {
            Some((head, rest)) => (head, Some(rest.split_once("\" hint=\"")?.0.to_owned())),
            None => (line, None),
        };
        let (word, head) = head.split_once(' ')?;
        let value = |key: &str| {
            let mut pairs = head.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(name, value)| (name == key).then(|| value.to_owned()))
        };
        let why = match (word, &error) {
            ("refused", None) => value("why")?,
            ("error", Some(_)) => "error".to_owned(),
            _ => return None,
        };
        (value("user")? == self.user).then(|| Refusal {
            time: time.to_owned(),
            why,
            failures: value("failures").and_then(|number| number.parse().ok()),
            error,
            service: service.or_else(|| value("service")),
            host: None,
            rhost: value("rhost"),
            change: value("change"),
            enforced: !line.ends_with(" enforced=no"),
        })
    }
}

impl Refusal {
    pub(super) fn of_fleet(refused: Refused) -> Self {
        let Refused { time, why, failures, event, host, service, rhost } = refused;
        let change = (event != "login").then_some(event);
        Self { time, why, failures, error: None, service, host, rhost, change, enforced: true }
    }

    /// For people: `wrong (3 in a row), sshd, from 203.0.113.9`.
    pub(super) fn told(&self) -> String {
        let Self { time: _, why, failures, error, service, host, rhost, change, enforced } = self;
        let mut told = why.clone();
        if let Some(failures) = failures {
            told += &format!(" ({failures} in a row)");
        }
        if let Some(error) = error {
            told += &format!(" ({error})");
        }
        if let Some(service) = service {
            told += &format!(", {service}");
        }
        if let Some(host) = host {
            told += &format!(" on {host}");
        }
        if let Some(change) = change {
            told += &format!(", change: {change}");
        }
        if let Some(rhost) = rhost {
            told += &format!(", from {rhost}");
        }
        if !enforced {
            told += ", not enforced";
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(program: &str, message: &str) -> Option<String> {
        Some(Reader::of("alice").read("now", program, message)?.told())
    }

    #[test]
    fn every_refusal_of_ours_is_read() {
        for (program, message, expected) in [
            (
                "sshd",
                "pam_otp(sshd:auth): refused user=alice rhost=203.0.113.9 why=wrong failures=3",
                "wrong (3 in a row), sshd, from 203.0.113.9",
            ),
            ("su", "pam_otp(su:auth): refused user=alice why=malformed enforced=no", "malformed, su, not enforced"),
            (
                "sshd",
                "pam_otp(sshd:chauthtok): refused user=alice rhost=::1 why=enrollment-incomplete",
                "enrollment-incomplete, sshd, from ::1",
            ),
            (
                "su",
                "pam_otp(su:auth): error user=alice rhost=::1 error=\"the disk is full\" hint=\"free rhost=x space\"",
                "error (the disk is full), su, from ::1",
            ),
            (
                "otp-helper",
                "refused user=alice by_uid=1000 service=i3lock why=locked until=2026-01-01T00:00:00Z",
                "locked, i3lock",
            ),
            (
                "otp-helper",
                "refused user=alice by_uid=1000 change=disabled why=wrong failures=1",
                "wrong (1 in a row), change: disabled",
            ),
        ] {
            assert_eq!(told(program, message).as_deref(), Some(expected), "{message}");
        }
    }

    #[test]
    fn no_other_line_is_read() {
        for (program, message) in [
            ("sshd", "refused user=alice why=wrong failures=3"),
            ("sshd", "x pam_otp(sshd:auth): refused user=alice why=wrong failures=3"),
            ("sshd", "pam_otp(sshd:auth): refused user=bob why=wrong failures=3"),
            ("sshd", "pam_otp(sshd:auth): refused user=alice\\x20 why=wrong failures=3"),
            ("sshd", "pam_otp(sshd:auth): accepted user=alice factor=totp device=1"),
            ("sshd", "pam_otp(sshd:auth): refused user=alice"),
            ("sshd", "pam_otp(sshd:auth): error user=alice"),
            ("sshd", "Invalid user pam_otp(sshd:auth): refused user=alice why=wrong from 192.0.2.1"),
            ("sshd", "pam_unix(sshd:auth): authentication failure; user=alice"),
            ("otp-helper", "proved user=alice by_uid=1000 change=re-enrollment proof=code"),
            ("otp-helper", ""),
        ] {
            assert_eq!(told(program, message), None, "{message}");
        }
    }

    #[test]
    fn a_strange_name_is_found_as_the_log_spells_it() {
        let reader = Reader::of("a b=é");
        let message = "pam_otp(su:auth): refused user=a\\x20b\\x3d\\xc3\\xa9 why=replayed";
        assert!(reader.read("now", "su", message).is_some());
    }
}
