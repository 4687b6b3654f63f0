//! A passcode, with which the help desk gets a user through the day; shown once.

use otp_core::codes::passcode::LONGEST;
use otp_core::protocol::request::{IssuedPasscode, PasscodeOrder, Reply, Request};
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::{Seconds, UnixTime};
use otp_core::value::user::Account;

use super::explain;
use super::foreseen::{Outcome, foresee};
use super::known_user::KnownUser;
use crate::client::{Client, unexpected};
use crate::error::CliError;
use crate::language;
use crate::ui::layout;
use crate::ui::output::{Output, columns};

/// The shortest time that a person can use.
const SHORTEST: Seconds = Seconds(60);

/// What the command line asks for.
pub(super) fn order(valid: &str, service: Option<&str>) -> Result<PasscodeOrder, CliError> {
    let length = Seconds::parse(valid).filter(|length| (SHORTEST..=LONGEST).contains(length));
    let valid = length
        .ok_or_else(|| CliError::Usage(format!("--valid {valid}: write a duration of 1 minute to 7 days, like 24h")))?;
    let service = match service {
        Some(name) => Some(service_of(name)?),
        None => None,
    };
    Ok(PasscodeOrder { valid, service })
}

/// A service as libpam spells it. One that no login can have would make a passcode that is never accepted.
fn service_of(name: &str) -> Result<String, CliError> {
    let service = LoginContext::service(name);
    let is_name = (1..=255).contains(&service.len()) && service.bytes().all(|byte| byte.is_ascii_graphic());
    let hint = || CliError::Usage(format!("--service {name:?}: write the name of a PAM service, like sshd"));
    if is_name { Ok(service) } else { Err(hint()) }
}

/// A passcode for a service that does not exist would take the place of one that works.
pub(super) fn for_no_service(why: &str) -> CliError {
    CliError::Unchanged {
        error: why.to_owned(),
        hint: "nothing was changed; a passcode is good through the service with the name of a file in /etc/pam.d"
            .into(),
    }
}

/// What an administrator should know if the service asks no user for a code.
pub(super) fn not_asked_yet(service: &str) -> String {
    let none = explain::without_line(service);
    format!("No login through {service} asks for a passcode now: {none}")
}

/// What an administrator should know if the login that a passcode is for asks for no code; nothing if that is not known.
pub(super) fn not_asked(site: &Site, store: &FileStore, account: &Account, service: Option<&str>) -> Option<String> {
    let record = store.read(account).ok()?;
    let login =
        LoginContext { service: service.unwrap_or_default().to_owned(), enroll: true, ..LoginContext::default() };
    let now = UnixTime::now();
    let known = KnownUser::of_record(site, record.as_ref(), &login, now);
    let foreseen = foresee(site, store, account, &known, &login, now).ok()?;
    let (user, through) = (&account.name, service.map_or_else(String::new, |service| format!(" through {service}")));
    let word = foreseen.ruling.second_factor.name();
    (foreseen.outcome == Outcome::NotAsked).then(|| {
        format!("Logins of {user}{through} ask for no code ({word}), and so for no passcode: otp-enroll admin explain")
    })
}

/// The remarks are about a service that has no PAM file, or asks for no code.
pub(super) fn issue(
    client: &mut Client<'_>,
    order: PasscodeOrder,
    remarks: &[Option<String>],
    output: &Output,
) -> Result<(), CliError> {
    let Reply::Passcode(issued) = client.ask(Request::IssuePasscode(order))? else { return Err(unexpected()) };
    let shown = output.secret(&issued, |lines| {
        let IssuedPasscode { user, passcode, until, service } = &issued;
        let user = layout::escaped(user);
        let through = service.as_ref().map_or_else(String::new, |service| format!(" through {service}"));
        let until = to_the_minute(&language::moment(until));
        // What is broken into lines is no secret: the passcode, which has no blank, takes the place of as many letters.
        let place = "x".repeat(passcode.expose().len());
        let text = format!("{place} is {user}'s passcode, good once{through} until {until}. It is not shown again.");
        for line in layout::wrap(&text, columns()) {
            match line.strip_prefix(&place) {
                Some(rest) => lines.add(format_args!("{}{rest}", passcode.expose())),
                None => lines.add(format_args!("{line}")),
            }
        }
    });
    shown.map_err(CliError::although_done)?;
    remarks.iter().flatten().try_for_each(|remark| output.advise(&layout::escaped(remark)))
}

/// `2026-11-29 08:30 UTC`: seconds say nothing to a person, and a passcode never ends before the minute that is said.
fn to_the_minute(moment: &str) -> String {
    let parts = moment.strip_suffix(" UTC").and_then(|time| time.rsplit_once(':'));
    parts.map_or_else(|| moment.to_owned(), |(minute, _)| format!("{minute} UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passcode_is_good_for_a_minute_to_seven_days() {
        for (valid, seconds) in [("60s", 60), ("1m", 60), ("24h", 86_400), ("7d", 604_800), ("168h", 604_800)] {
            assert_eq!(order(valid, None).unwrap().valid, Seconds(seconds), "{valid}");
        }
        for bad in ["", "24", "0h", "59s", "8d", "169h", "-1h", "1.5h", "24 h", "99999999999999999999d", "tomorrow"] {
            let error = order(bad, None).unwrap_err();
            let text = format!("--valid {bad}: write a duration of 1 minute to 7 days, like 24h");
            assert_eq!((error.exit_code(), error.to_string()), (2, text));
        }
    }

    #[test]
    fn an_end_is_said_to_the_minute() {
        assert_eq!(to_the_minute("2026-11-29 08:30:59 UTC"), "2026-11-29 08:30 UTC");
        assert_eq!(to_the_minute("253402300800"), "253402300800");
    }

    #[test]
    fn a_service_is_spelled_as_libpam_does() {
        let service = |name| order("1h", Some(name)).map(|order| order.service.unwrap());
        assert_eq!(service("sshd").unwrap(), "sshd");
        assert_eq!(service("/usr/sbin/SSHD").unwrap(), "sshd");
        for bad in ["", "ss hd", "sshd\n", "sshd\u{1b}[2J", "/", &"x".repeat(256)] {
            assert_eq!(service(bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
    }
}
