//! Checks the logins of all users: which of them policy refuses, whose record cannot be used, and what could not be
//! looked up.

use std::collections::BTreeSet;

use otp_core::decision::kinds::Kinds;
use otp_core::decision::policy::{Policy, Rule, SecondFactor};
use otp_core::error::CoreError;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;

use super::super::accounts::{self, Names};
use super::super::foreseen::{self, Outcome};
use super::super::known_user::KnownUser;
use super::batch::{Exempt, first_address};
use super::finding::{Finding, some};
use super::future::times_in_the_future;
use super::guarded::Guarded;
use super::refused::Refused;
use super::shell;
use super::sshd;
use crate::error::CliError;
use crate::pam::stack::Folders;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

const NAME_SERVICE: &str = "name service";

/// The users who can log in through sshd, and what policy says of them.
#[derive(Debug, Default)]
pub(super) struct ThroughSshd {
    /// All of them.
    pub(super) people: BTreeSet<String>,
    /// Those that its line asks for no code.
    pub(super) exempt: Exempt,
    /// Those that must give a second factor by policy, and an address from which they must.
    pub(super) demanded: Vec<(String, String)>,
}

/// Users who can log in and are refused by policy, for each service, and users for whom there is no answer. Returns what there
/// is to know of logins through sshd.
pub(super) fn look_at(
    site: &Site,
    store: &FileStore,
    folders: &Folders,
    guarded: &[&Guarded],
    output: &Output,
    findings: &mut Vec<Finding>,
) -> Result<ThroughSshd, CliError> {
    let mut through_sshd = ThroughSshd::default();
    let now = UnixTime::now();
    let places: Vec<LoginContext> = guarded.iter().map(|guarded| guarded.login()).collect();
    let needs_shell: Vec<bool> = places.iter().map(|place| shell::is_needed(folders, &place.service)).collect();
    // An error in these tables is reported with the configuration.
    let sent = site.senders().map_or(Kinds::ALL, |senders| senders.kinds());
    let mut refused: Vec<Refused> = places.iter().map(|_| Refused::default()).collect();
    let mut unanswered = Vec::new();
    let names = if guarded.is_empty() { Ok(Vec::new()) } else { Names::ask()?.answer(output) };
    let names = names.unwrap_or_else(|error| {
        let what = format!("users could not be listed, so their logins were not checked: {error}");
        findings.push(Finding::warning(NAME_SERVICE, what, "check /etc/nsswitch.conf and the services it names"));
        Vec::new()
    });
    let demanding = demanding_addresses(&site.config.settings.policy);
    let mut progress = Progress::new("asking the policy", names.len(), output);
    for name in names {
        progress.step();
        let (account, has_shell) = match accounts::person_and_shell(&name) {
            Ok(Some((account, has_shell))) if has_shell || !needs_shell.iter().all(|needed| *needed) => {
                (account, has_shell)
            }
            Ok(_) => continue,
            Err(error) => {
                unanswered.push((name, error));
                continue;
            }
        };
        let record = match store.read(&account).map_err(CoreError::from) {
            Ok(record) => record,
            Err(error) => {
                unanswered.push((name, error));
                continue;
            }
        };
        if let Some(record) = &record {
            findings.extend(times_in_the_future(&name, record, &site.config.settings.limits, now));
        }
        for ((place, refused), needs_shell) in places.iter().zip(&mut refused).zip(&needs_shell) {
            if *needs_shell && !has_shell {
                continue;
            }
            let foresee = |place: &LoginContext| {
                let known = KnownUser::of_record(site, record.as_ref(), place, now);
                foreseen::foresee(site, store, &account, &known, place, now)
            };
            let is_sshd = place.service == sshd::SERVICE;
            if is_sshd {
                through_sshd.people.insert(name.clone());
                let demands = |address: &&String| {
                    foresee(&LoginContext { rhost: Some((*address).clone()), ..place.clone() })
                        .is_ok_and(|foreseen| is_demanded(foreseen.ruling.second_factor))
                };
                if site.config.settings.enforce
                    && let Some(address) = demanding.iter().find(demands)
                {
                    through_sshd.demanded.push((name.clone(), address.clone()));
                }
            }
            match foresee(place) {
                // Whether there is a device is known to the fleet.
                Ok(_) if site.config.is_of_fleet(&name) => {}
                Ok(foreseen) if foreseen.outcome == Outcome::NotAsked && is_sshd => {
                    through_sshd.exempt.note(&site.config.settings.policy, foreseen.ruling, &name);
                }
                Ok(foreseen) if site.config.settings.enforce => {
                    let sent = if place.send { sent } else { Kinds::NONE };
                    let devices = record.as_ref().map_or(&[][..], |record| &record.credentials.devices);
                    refused.note(&name, &foreseen, devices, sent);
                }
                Ok(_) => {}
                Err(error) => unanswered.push((name.clone(), error)),
            }
        }
    }
    progress.clear();
    for (guarded, refused) in guarded.iter().zip(&refused) {
        findings.extend(refused.findings(guarded, &site.path));
    }
    findings.extend(judge(&unanswered));
    Ok(through_sshd)
}

fn is_demanded(second_factor: SecondFactor) -> bool {
    matches!(second_factor, SecondFactor::Required | SecondFactor::Enroll)
}

/// Addresses from which policy may demand a second factor at sshd: a generic one, and one of each network of a rule.
fn demanding_addresses(policy: &Policy) -> Vec<String> {
    let demands = |rule: &&Rule| is_demanded(rule.terms.second_factor);
    let networks = policy.rules.iter().filter(demands).filter_map(|rule| first_address(rule, sshd::SERVICE));
    [sshd::GENERIC_ADDRESS.to_owned()].into_iter().chain(networks).collect()
}

/// What prevents the answers for these users: a fault outside their records is told once, with all of them; a fault of a
/// record is told for its user. The fix is that of the fault: no record is removed for what is not in it.
fn judge(unanswered: &[(String, CoreError)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut by_name_service: Vec<(&'static str, String, &CoreError, Vec<String>)> = Vec::new();
    for (user, error) in unanswered {
        match error {
            // `admin check` reports the rule, with its line.
            CoreError::UnknownGroup(_) => {}
            CoreError::Names { errno, .. } | CoreError::NoAnswer { errno, .. } => {
                let known = by_name_service.iter_mut().find(|(reason, ..)| *reason == errno.desc());
                match known {
                    Some((.., users)) if users.contains(user) => {}
                    Some((.., users)) => users.push(user.clone()),
                    None => by_name_service.push((errno.desc(), error.to_string(), error, vec![user.clone()])),
                }
            }
            CoreError::Store(_) => {
                findings.push(Finding::fault("records", format!("{user}: {error}"), error.hint()));
            }
            CoreError::Config(_)
            | CoreError::NoAccount(_)
            | CoreError::Entropy
            | CoreError::Limit(_)
            | CoreError::Helper(_)
            | CoreError::Agent(_)
            | CoreError::Authority(_)
            | CoreError::NotSent(..)
            | CoreError::Privileges
            | CoreError::NoEnrollmentHere
            | CoreError::NoLookHere => {
                findings.push(Finding::fault("records", format!("{user}: {error}"), error.hint()));
            }
        }
    }
    findings.extend(by_name_service.into_iter().map(|(_, text, error, users)| {
        let what = format!("{text}: logins of {} are refused while this lasts", some(&users));
        Finding::fault(NAME_SERVICE, what, error.hint())
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use otp_core::record::error::RecordError;
    use otp_core::store::error::StoreError;

    fn told(unanswered: Vec<(&str, CoreError)>) -> Vec<(String, String)> {
        let unanswered: Vec<_> = unanswered.into_iter().map(|(user, error)| (user.to_owned(), error)).collect();
        judge(&unanswered).into_iter().map(|finding| (finding.what, finding.fix)).collect()
    }

    #[test]
    fn a_fault_that_is_in_no_record_is_told_once_and_costs_no_record() {
        let silent = |subject: &str| CoreError::Names { subject: subject.into(), errno: Errno::EIO };
        let users = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"];
        let found = told(users.iter().map(|user| (*user, silent("the group \"admins\""))).collect());
        let what = "cannot look up the group \"admins\": Input/output error: logins of ann, ben, cat, dan, eve and 2 more are \
                    refused while this lasts";
        assert_eq!(found, [(what.to_owned(), "check /etc/nsswitch.conf and the services it names".to_owned())]);
        // Two services ask about one user, and the subject names the user: still one finding.
        let of = |user: &str| silent(&format!("the groups of {user:?}"));
        assert_eq!(told(vec![("ann", of("ann")), ("ann", of("ann")), ("ben", of("ben"))]).len(), 1);
        // The configuration's check names the rule.
        assert!(told(vec![("ann", CoreError::UnknownGroup("amdins".into()))]).is_empty());
    }

    #[test]
    fn the_fix_of_a_records_fault_is_that_of_the_fault() {
        let path = || "/var/lib/pam_otp/ann.toml".into();
        for (error, may_remove) in [
            (StoreError::Record { path: path(), error: RecordError::Missing }, true),
            (StoreError::Record { path: path(), error: RecordError::Version(9) }, false),
            (StoreError::Untrusted { path: path(), what: "has mode 0644 and must have 0600".into() }, false),
            (StoreError::System { action: "open", path: path(), error: Errno::EIO.into() }, false),
            (StoreError::Busy, false),
        ] {
            let found = told(vec![("ann", error.into())]);
            assert_eq!(found.len(), 1);
            for (what, fix) in found {
                assert!(what.starts_with("ann: "), "{what}");
                assert_eq!(fix.contains("admin reset"), may_remove, "{what}: {fix}");
            }
        }
    }
}
