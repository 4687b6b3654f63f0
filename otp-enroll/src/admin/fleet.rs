//! Records of this host go to the fleet. The agent sends them; what the fleet has taken is removed here.

use std::fs::{File, TryLockError};

use otp_core::config::{Keeper, paths};
use otp_core::decision::arrival::ArrivedPasscode;
use otp_core::error::{CoreError, HelperError};
use otp_core::protocol::administration::{Answered, Asked};
use otp_core::protocol::request::{Adopted, Adoption};
use otp_core::record::change::Change;
use otp_core::service::agent_administration::ask;
use otp_core::service::agent_authority;
use otp_core::store::change;
use otp_core::store::error::StoreError;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::{Note, Unsaid};
use otp_core::system::config_file::Site;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;
use serde::Serialize;

use super::ahead;
use super::doctor::finding::some;
use super::fleet_passcode::{self, Passcode};
use super::list;
use super::not_done::NotDone;
use super::of_fleet::unintelligible;
use crate::client;
use crate::error::CliError;
use crate::ui::output::Output;

/// How often a record may change while it is sent.
const MOST_LOSSES: usize = 8;

/// The answer about one user.
#[derive(Serialize)]
struct Pushed<'a> {
    user: &'a str,
    changed: bool,
    /// What became, or would become, of a passcode that was good.
    #[serde(skip_serializing_if = "Option::is_none")]
    passcode: Option<ArrivedPasscode>,
}

pub(super) fn push(
    site: &Site,
    store: &FileStore,
    users: &[String],
    dry_run: bool,
    output: &Output,
) -> Result<(), CliError> {
    if !dry_run && site.config.authority != Keeper::Fleet {
        return Err(CliError::Reported {
            error: "this host keeps the records of its users itself".into(),
            hint: "let it join the fleet (otp-agent join FILE) and set authority = \"fleet\" first: until its record is there, no code \
                   of a user lets in. With --dry-run the fleet says before that what it would take"
                .into(),
        });
    }
    let _alone = if dry_run { None } else { alone()? };
    let Chosen { accounts, faults, gone } = chosen(site, store, users, output)?;
    let mut failed = faults.len();
    for (user, error) in &faults {
        NotDone { user, error: error.to_string(), hint: error.hint() }.tell(output)?;
    }
    let give = |account: &Account| {
        if dry_run { (would_adopt(account.name.as_str()), Passcode::None) } else { one(store, account) }
    };
    let mut tell = |account: &Account, (answer, passcode): (Result<Adoption, CoreError>, Passcode)| {
        let user = account.name.as_str();
        if answer.is_err() && passcode == Passcode::Sent {
            output.warn(&fleet_passcode::perhaps_void(user));
        }
        let is_void = matches!(answer, Ok(Adoption { passcode: Some(ArrivedPasscode::Void), .. }));
        match answer {
            Ok(Adoption { record: Adopted::Other, .. }) => {
                failed = failed.saturating_add(1);
                let error = "the fleet has other devices of this user".to_owned();
                let hint = "decide which ones count: `otp-enroll admin reset USER` removes those of the fleet, `otp-enroll admin fleet discard \
                            USER` those of this host, both once authority = \"fleet\" is set; a token that comes beside them is imported without \
                            its user, and given by `otp-enroll admin assign USER SERIAL`";
                NotDone { user, error, hint }.tell(output)?;
            }
            Ok(Adoption { record, passcode }) => {
                let text = format!("{user}: {}", told(dry_run, record, passcode));
                output.done(&Pushed { user, changed: !dry_run, passcode }, &text)?;
            }
            Err(error) => {
                failed = failed.saturating_add(1);
                NotDone { user, error: error.to_string(), hint: error.hint() }.tell(output)?;
            }
        }
        if is_void {
            output.advise(&fleet_passcode::void(user, dry_run))?;
        }
        Ok::<_, CliError>(())
    };
    // Several on their way at once: until a record is there, no code of its user lets in. A passcode is sent once: those go one after
    // the other, so that no verifier turns one away for being busy with others.
    let now = UnixTime::now();
    let is_sent_once = |account: &Account| !dry_run && fleet_passcode::is_good(store, account, now).unwrap_or(false);
    let (one_by_one, together): (Vec<_>, Vec<_>) = accounts.into_iter().partition(is_sent_once);
    ahead::each(&together, |accounts, _| accounts.iter().map(give).collect(), &mut tell)?;
    one_by_one.iter().try_for_each(|account| tell(account, give(account)))?;
    if !gone.is_empty() {
        let gone = some(&gone);
        output.advise(&format!(
            "Records of accounts that are gone stay here: {gone}. Of an account that was renamed: otp-enroll admin rename OLD NEW, and push again."
        ))?;
    }
    if failed == 0 { Ok(()) } else { Err(CliError::NotDone(failed)) }
}

/// Of two pushes at once, one would send a record whose passcode the other one has with it, and that would be void.
fn alone() -> Result<Option<File>, CliError> {
    // A host without this folder has not joined, as the agent will say.
    let Ok(folder) = File::open(paths::AGENT_STATE) else { return Ok(None) };
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => Err(CliError::Reported {
            error: "another push runs on this host".into(),
            hint: "wait for it; what it cannot give, a push after it gives".into(),
        }),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(folder)),
    }
}

/// Whose records are given.
#[derive(Default)]
struct Chosen {
    accounts: Vec<Account>,
    /// Records that cannot be given, by the stem of their files, and why.
    faults: Vec<(String, CoreError)>,
    /// Those of accounts that are gone.
    gone: Vec<String>,
}

/// The accounts that are named, or all with a record that are the fleet's.
fn chosen(site: &Site, store: &FileStore, users: &[String], output: &Output) -> Result<Chosen, CliError> {
    let mut chosen = Chosen::default();
    if !users.is_empty() {
        return Ok(Chosen { accounts: super::named(users)?, ..chosen });
    }
    for stem in list::stems(store, output)? {
        match list::read_of(store, &stem) {
            Ok((account, _)) if !site.config.local.iter().any(|name| name == account.name.as_str()) => {
                chosen.accounts.push(account);
            }
            Ok(_) => {}
            Err(CoreError::NoAccount(name)) => chosen.gone.push(name),
            Err(error) => chosen.faults.push((stem, error)),
        }
    }
    Ok(chosen)
}

/// What the fleet would do with the record of this host.
pub(super) fn would_adopt(user: &str) -> Result<Adoption, CoreError> {
    let reports = |error, hint| Err(CoreError::Agent(HelperError::Reports { error, hint }));
    match ask(Asked::WouldAdopt { name: user.to_owned() })? {
        Answered::WouldAdopt(adoption) => Ok(adoption),
        Answered::Failed { error, hint } | Answered::NotJoined { error, hint } => reports(error, hint),
        Answered::Verifier(_)
        | Answered::Status(_)
        | Answered::Record { .. }
        | Answered::Present {}
        | Answered::Forgotten(_)
        | Answered::Lost { .. } => Err(unintelligible()),
    }
}

/// What became of a record, and whether its passcode was used up here before it was sent.
fn one(store: &FileStore, account: &Account) -> (Result<Adoption, CoreError>, Passcode) {
    match Passcode::leave(store, account, UnixTime::now(), would_adopt) {
        Ok(passcode) => (given(store, account, passcode), passcode),
        Err(error) => (Err(error), Passcode::None),
    }
}

/// The record is removed here only when it is in force there, and as it was sent: a login that was at its prompt before may have used
/// a code meanwhile, and the fleet is told of that first.
fn given(store: &FileStore, account: &Account, passcode: Passcode) -> Result<Adoption, CoreError> {
    let (user, mut first) = (account.name.as_str(), None);
    for _ in 0..MOST_LOSSES {
        let sent = store.read(account)?.map(|record| record.state);
        let adoption = agent_authority::adopt(user, passcode == Passcode::Sent)?;
        if adoption.record == Adopted::Other {
            return Ok(Adoption { passcode: passcode.arrived(adoption.passcode), ..adoption });
        }
        let first = *first.get_or_insert(adoption);
        let Unsaid(is_gone) =
            change(store, account, &Note::here("moved-to-fleet"), |here| match here.map(|here| &here.state) {
                state if state == sent.as_ref() => (Change::Nothing, Unsaid(true)),
                _ => (Change::Keep, Unsaid(false)),
            })?;
        if is_gone {
            client::log_change(user, "moved-to-fleet");
            return Ok(Adoption { passcode: passcode.arrived(first.passcode), ..first });
        }
    }
    Err(StoreError::Busy.into())
}

fn told(dry_run: bool, record: Adopted, passcode: Option<ArrivedPasscode>) -> String {
    let is_taken = passcode == Some(ArrivedPasscode::Taken);
    let with = if is_taken { ", with its passcode" } else { "" };
    match (dry_run, record) {
        (true, Adopted::Taken) => format!("the fleet would take the record{with}"),
        (true, _) => format!("the fleet knows these devices, and would join the record{with}"),
        (false, Adopted::Taken) => format!("the record is in the fleet{with}; it is removed here"),
        (false, _) if is_taken => {
            "the record was in the fleet, where its passcode is now; it is removed here".to_owned()
        }
        (false, _) => "the record was in the fleet; it is removed here".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_record_is_told_with_its_passcode() {
        let taken = Some(ArrivedPasscode::Taken);
        for (dry_run, record, passcode, text) in [
            (true, Adopted::Taken, None, "the fleet would take the record"),
            (
                true,
                Adopted::Joined,
                taken,
                "the fleet knows these devices, and would join the record, with its passcode",
            ),
            (false, Adopted::Taken, Some(ArrivedPasscode::Void), "the record is in the fleet; it is removed here"),
            (false, Adopted::Taken, taken, "the record is in the fleet, with its passcode; it is removed here"),
            (false, Adopted::Joined, None, "the record was in the fleet; it is removed here"),
            (
                false,
                Adopted::Joined,
                taken,
                "the record was in the fleet, where its passcode is now; it is removed here",
            ),
        ] {
            assert_eq!(told(dry_run, record, passcode), text);
        }
    }
}
