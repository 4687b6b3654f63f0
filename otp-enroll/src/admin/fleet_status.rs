//! How this host stands in its fleet: verifiers, certificate, and who could not get in without them.

use otp_core::config::Keeper;
use otp_core::error::CoreError;
use otp_core::protocol::administration::{Answered, Asked, FleetStatus, VerifierStatus};
use otp_core::service::agent_administration::ask;
use otp_core::service::break_glass::BreakGlass;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::user::Account;
use serde::Serialize;

use super::doctor::finding::some;
use super::of_fleet::unintelligible;
use super::{accounts, doctor, list};
use crate::error::CliError;
use crate::ui::output::Output;

/// Seconds that clocks may differ without a word.
pub(super) const CLOSE: u64 = 15;

/// Why there is no status.
pub(super) enum NoStatus {
    NotJoined {
        error: String,
        hint: String,
    },
    /// The agent gives none.
    Failed {
        error: String,
        hint: String,
    },
}

/// Asks the agent, which waits for no verifier longer than three seconds.
pub(super) fn status() -> Result<FleetStatus, NoStatus> {
    match ask(Asked::Status {}) {
        Ok(Answered::Status(status)) => Ok(status),
        Ok(Answered::NotJoined { error, hint }) => Err(NoStatus::NotJoined { error, hint }),
        Ok(Answered::Failed { error, hint }) => Err(NoStatus::Failed { error, hint }),
        Ok(
            Answered::Verifier(_)
            | Answered::Lost { .. }
            | Answered::Record { .. }
            | Answered::Forgotten(_)
            | Answered::WouldAdopt(_),
            | Answered::Present {}
        ) => Err(NoStatus::of(&unintelligible())),
        Err(error) => Err(NoStatus::of(&error)),
    }
}

impl NoStatus {
    fn of(error: &CoreError) -> Self {
        Self::Failed { error: error.to_string(), hint: error.hint().to_owned() }
    }
}

/// Whom a fleet that is gone would keep out, and whom it does not know yet.
#[derive(Debug, Default, Serialize)]
pub(super) struct People {
    /// Users with a record on this host that the fleet was not given.
    pub(super) not_pushed: Vec<String>,
    /// Users who could not log in if no verifier answered.
    pub(super) kept_out: Vec<String>,
    /// How many could.
    pub(super) let_in: usize,
}

impl People {
    /// Of the users who can log in here.
    pub(super) fn of(site: &Site, store: &FileStore, output: &Output) -> Result<Self, CliError> {
        let glass = BreakGlass::open(site)?;
        let mut people = Self::default();
        for account in accounts::all(doctor::least_shell(), output)? {
            if is_let_in(site, glass.as_ref(), &account)? {
                people.let_in = people.let_in.saturating_add(1);
            } else {
                people.kept_out.push(account.name.to_string());
            }
        }
        for stem in list::stems(store, output)? {
            match list::read_of(store, &stem) {
                Ok((account, Some(record))) if site.config.is_of_fleet(account.name.as_str()) && !record.is_blank() => {
                    people.not_pushed.push(account.name.to_string());
                }
                // What cannot be read is reported with the records.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(people)
    }
}

/// Whether a user has another way in: the record of this host, or codes for this.
fn is_let_in(site: &Site, glass: Option<&BreakGlass<'_>>, account: &Account) -> Result<bool, CliError> {
    if !site.config.is_of_fleet(account.name.as_str()) {
        return Ok(true);
    }
    Ok(match glass {
        Some(records) => records.left(account)? > 0,
        None => false,
    })
}

#[derive(Serialize)]
struct Told<'a> {
    /// Whether `authority = "fleet"`.
    active: bool,
    #[serde(flatten)]
    status: &'a FleetStatus,
    #[serde(flatten)]
    people: &'a People,
}

/// Tells all of it. An error if no verifier answers.
pub(super) fn tell(site: &Site, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let status = status().map_err(|why| match why {
        NoStatus::NotJoined { error, hint } | NoStatus::Failed { error, hint } => CliError::Reported { error, hint },
    })?;
    let people = People::of(site, store, output)?;
    let active = site.config.authority == Keeper::Fleet;
    output.result(&Told { active, status: &status, people: &people }, || text(active, &status, &people))?;
    if status.verifiers.iter().all(|verifier| verifier.error.is_some()) {
        let error = "no verifier answers".to_owned();
        return Err(CliError::Reported { error, hint: "what each of them says is above".into() });
    }
    Ok(())
}

fn text(active: bool, status: &FleetStatus, people: &People) -> String {
    let FleetStatus { host, certificate, verifiers } = status;
    let rights = verifiers.iter().find_map(|verifier| verifier.rights.as_ref());
    let rights = rights.map_or_else(|| "not known".to_owned(), |rights| rights.join(", "));
    let known_as = verifiers.iter().find_map(|verifier| verifier.host.as_ref()).unwrap_or(host);
    let mut lines = vec![
        format!("Host             {known_as}"),
        format!("Rights           {rights}"),
        format!("Certificate      ends on {}, in {} days", certificate.until, certificate.days_left),
    ];
    lines.extend(certificate.not_renewed.iter().map(|why| format!("                 it could not be renewed: {why}")));
    if !active {
        lines.push("Authority        this host: its configuration does not say authority = \"fleet\"".to_owned());
    }
    lines.extend(verifiers.iter().map(line));
    lines.push(match people.not_pushed.as_slice() {
        [] => "Not pushed       no user".to_owned(),
        names => format!("Not pushed       {}: otp-enroll admin fleet push", some(names)),
    });
    if active {
        let (out, could) = (people.kept_out.len(), people.let_in);
        lines.push(match people.kept_out.as_slice() {
            [] => "Without a fleet  all users could log in".to_owned(),
            names => format!("Without a fleet  {could} could log in; {out} could not: {}", some(names)),
        });
    }
    lines.join("\n")
}

fn line(verifier: &VerifierStatus) -> String {
    let VerifierStatus { verifier, error, version, clock_ahead, .. } = verifier;
    match error {
        Some(error) => format!("Verifier         {verifier}: {error}"),
        None => {
            let (version, clock) = (version.as_deref().unwrap_or("unknown"), clock(clock_ahead.unwrap_or_default()));
            format!("Verifier         {verifier}: version {version}; {clock}")
        }
    }
}

fn clock(ahead: i64) -> String {
    match ahead.unsigned_abs() {
        ..=CLOSE => "its clock agrees".to_owned(),
        size if ahead < 0 => format!("its clock is {size} s behind the one here"),
        size => format!("its clock is {size} s ahead of the one here"),
    }
}

#[cfg(test)]
mod tests {
    use otp_core::protocol::administration::CertificateStatus;

    use super::*;

    fn verifier(name: &str, error: Option<&str>, clock_ahead: i64) -> VerifierStatus {
        VerifierStatus {
            verifier: name.into(),
            error: error.map(str::to_owned),
            version: Some("0.1.0".into()),
            host: Some("web1".into()),
            rights: Some(vec!["login".into(), "admin".into()]),
            clock_ahead: Some(clock_ahead),
        }
    }

    #[test]
    fn a_status_names_who_is_kept_out_and_what_is_wrong_with_each_verifier() {
        let certificate = CertificateStatus {
            until: "2026-12-24".into(),
            days_left: 25,
            not_renewed: Some("v1:1: timed out".into()),
        };
        let verifiers =
            vec![verifier("v1:1", Some("timed out"), 0), verifier("v2:1", None, -16), verifier("v3:1", None, 15)];
        let status = FleetStatus { host: "web-1".into(), certificate, verifiers };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let people = People { not_pushed: names(&["bob"]), kept_out: names(&["alice", "bob"]), let_in: 1 };
        let expected = "\
Host             web1
Rights           login, admin
Certificate      ends on 2026-12-24, in 25 days
                 it could not be renewed: v1:1: timed out
Verifier         v1:1: timed out
Verifier         v2:1: version 0.1.0; its clock is 16 s behind the one here
Verifier         v3:1: version 0.1.0; its clock agrees
Not pushed       bob: otp-enroll admin fleet push
Without a fleet  1 could log in; 2 could not: alice, bob";
        assert_eq!(text(true, &status, &people), expected);
        assert!(text(false, &status, &People::default()).contains("does not say authority"));
    }
}
