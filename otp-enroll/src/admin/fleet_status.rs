//! How this host stands in its fleet: verifiers, certificate, and who could not get in without them.

use otp_core::config::Keeper;
use otp_core::protocol::administration::{FleetStatus, Scope, Service, VerifierStatus};
use otp_core::protocol::request::Adopted;
use otp_core::service::break_glass::BreakGlass;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::user::Account;
use serde::Serialize;

use super::doctor::finding::some;
use super::fleet::would_adopt;
use super::fleet_told::{NoStatus, status};
use super::{accounts, doctor, list};
use crate::error::CliError;
use crate::ui::output::Output;

/// Seconds that clocks may differ without a word.
pub(super) const CLOSE: u64 = 15;

/// Whom a fleet that is gone would keep out, and whom it does not know yet.
#[derive(Debug, Default, Serialize)]
pub(super) struct People {
    /// Users with a record on this host, and none in the fleet: no code lets them in.
    pub(super) not_pushed: Vec<String>,
    /// Those of whom the fleet has a record, too, which is the one that counts.
    pub(super) also_in_fleet: Vec<String>,
    /// Those of whom no verifier has said which it is.
    pub(super) unasked: Vec<String>,
    /// Users who could not log in if no verifier answered.
    pub(super) kept_out: Vec<String>,
    /// How many could.
    pub(super) let_in: usize,
}

impl People {
    /// Of the users who can log in here. The fleet is asked about their records if this host may.
    pub(super) fn of(
        site: &Site,
        store: &FileStore,
        status: Option<&FleetStatus>,
        output: &Output,
    ) -> Result<Self, CliError> {
        let glass = BreakGlass::open(site)?;
        let mut people = Self::default();
        for account in accounts::all(doctor::least_shell(), output)? {
            if is_let_in(site, glass.as_ref(), &account)? {
                people.let_in = people.let_in.saturating_add(1);
            } else {
                people.kept_out.push(account.name.to_string());
            }
        }
        let mut rights = status.into_iter().flat_map(|status| &status.verifiers).filter_map(|of| of.rights.as_ref());
        let may_ask = rights.any(|rights| rights.iter().any(|right| right == "import"));
        let mut asked = Asking { left: if may_ask { MOST_ASKED } else { 0 } };
        for stem in list::stems(store, output)? {
            match list::read_of(store, &stem) {
                Ok((account, Some(record))) if site.config.is_of_fleet(account.name.as_str()) && !record.is_blank() => {
                    let name = account.name.to_string();
                    match asked.about(&name) {
                        Some(Adopted::Taken) => people.not_pushed.push(name),
                        Some(Adopted::Joined | Adopted::Other) => people.also_in_fleet.push(name),
                        None => people.unasked.push(name),
                    }
                }
                // What cannot be read is reported with the records.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(people)
    }
}

/// Most users whom the fleet is asked about: each question is a row of its audit.
const MOST_ASKED: usize = 20;

/// Questions about single users, until one has no answer: the next one has none either, and may take as long.
struct Asking {
    left: usize,
}

impl Asking {
    /// What the fleet would do with the record of this host.
    fn about(&mut self, user: &str) -> Option<Adopted> {
        self.left = self.left.checked_sub(1)?;
        let answer = would_adopt(user).ok().map(|adoption| adoption.record);
        if answer.is_none() {
            self.left = 0;
        }
        answer
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
    let people = People::of(site, store, Some(&status), output)?;
    let active = site.config.authority == Keeper::Fleet;
    output.result(&Told { active, status: &status, people: &people }, || text(active, &status, &people))?;
    let hint = "what each of them says is above";
    match status.service() {
        Service::Whole | Service::Partial => Ok(()),
        Service::Refused => {
            let error = "the fleet does not know this host, or it is suspended".to_owned();
            let hint = "on a verifier: otp-verifier host list; what each verifier says is above".to_owned();
            Err(CliError::Unchanged { error, hint })
        }
        Service::Unusable => {
            Err(CliError::Reported { error: "no verifier serves this host".to_owned(), hint: hint.into() })
        }
        Service::None => Err(CliError::Reported { error: "no verifier answers".to_owned(), hint: hint.into() }),
    }
}

fn text(active: bool, status: &FleetStatus, people: &People) -> String {
    let FleetStatus { host, certificate, verifiers } = status;
    let rights = verifiers.iter().find_map(|verifier| verifier.rights.as_ref());
    let rights = rights.map_or_else(|| "not known".to_owned(), |rights| rights.join(", "));
    let known_as = verifiers.iter().find_map(|verifier| verifier.host.as_ref()).unwrap_or(host);
    let scope = verifiers.iter().find_map(|verifier| verifier.scope.as_ref());
    let mut lines = vec![format!("Host             {known_as}"), format!("Rights           {rights}")];
    lines.extend(scope.map(|Scope { name, is_empty }| {
        format!("Scope            {name}{}", if *is_empty { ", which lists nobody: no user can log in" } else { "" })
    }));
    lines.push(format!("Certificate      ends on {}, in {} days", certificate.until, certificate.days_left));
    lines.extend(certificate.not_renewed.iter().map(|why| format!("                 it could not be renewed: {why}")));
    if !active {
        lines.push("Authority        this host: its configuration does not say authority = \"fleet\"".to_owned());
    }
    lines.extend(verifiers.iter().map(line));
    lines.push(match people.not_pushed.as_slice() {
        [] => "Not pushed       no user".to_owned(),
        names => format!("Not pushed       {}: otp-enroll admin fleet push", some(names)),
    });
    for (names, what) in [
        (&people.also_in_fleet, "the fleet has a record, too, which counts: otp-enroll admin fleet push, or discard"),
        (&people.unasked, "whether the fleet has another record is not known: otp-enroll admin fleet push --dry-run"),
    ] {
        lines.extend((!names.is_empty()).then(|| format!("Also here        {}: {what}", some(names))));
    }
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
    use otp_core::protocol::administration::{CertificateStatus, Standing};

    use super::*;

    fn verifier(name: &str, error: Option<&str>, clock_ahead: i64) -> VerifierStatus {
        VerifierStatus {
            verifier: name.into(),
            standing: if error.is_some() { Standing::Silent } else { Standing::Serves },
            error: error.map(str::to_owned),
            version: Some("0.1.0".into()),
            host: Some("web1".into()),
            rights: Some(vec!["login".into(), "admin".into()]),
            scope: Some(Scope { name: "few".into(), is_empty: true }),
            sends: None,
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
        let people = People {
            not_pushed: names(&["bob"]),
            also_in_fleet: names(&["carl"]),
            unasked: names(&["dora"]),
            kept_out: names(&["alice", "bob"]),
            let_in: 1,
        };
        let expected = "\
Host             web1
Rights           login, admin
Scope            few, which lists nobody: no user can log in
Certificate      ends on 2026-12-24, in 25 days
                 it could not be renewed: v1:1: timed out
Verifier         v1:1: timed out
Verifier         v2:1: version 0.1.0; its clock is 16 s behind the one here
Verifier         v3:1: version 0.1.0; its clock agrees
Not pushed       bob: otp-enroll admin fleet push
Also here        carl: the fleet has a record, too, which counts: otp-enroll admin fleet push, or discard
Also here        dora: whether the fleet has another record is not known: otp-enroll admin fleet push --dry-run
Without a fleet  1 could log in; 2 could not: alice, bob";
        assert_eq!(text(true, &status, &people), expected);
        assert!(text(false, &status, &People::default()).contains("does not say authority"));
    }
}
