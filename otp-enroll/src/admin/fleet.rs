//! Records of this host go to the fleet. The agent sends them; what the fleet has taken is removed here.

use otp_core::config::Keeper;
use otp_core::error::{CoreError, HelperError};
use otp_core::protocol::administration::{Answered, Asked};
use otp_core::protocol::request::Adopted;
use otp_core::record::change::Change;
use otp_core::service::agent_administration::ask;
use otp_core::service::agent_authority;
use otp_core::store::change;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::Note;
use otp_core::system::config_file::Site;
use otp_core::value::user::Account;
use serde::Serialize;

use super::list;
use super::not_done::NotDone;
use super::of_fleet::unintelligible;
use crate::client;
use crate::error::CliError;
use crate::ui::output::Output;

/// The answer about one user.
#[derive(Serialize)]
struct Pushed<'a> {
    user: &'a str,
    changed: bool,
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
    let (accounts, mut failed) = (chosen(site, store, users, output)?, 0_usize);
    for account in &accounts {
        let user = account.name.as_str();
        let answer = if dry_run { would_adopt(user) } else { one(store, account) };
        match answer {
            Ok(Adopted::Other) => {
                failed = failed.saturating_add(1);
                let error = "the fleet has other devices of this user".to_owned();
                let hint = "decide which ones count: `otp-enroll admin reset USER` removes those of the fleet, `otp-enroll admin fleet discard \
                            USER` those of this host, both once authority = \"fleet\" is set";
                NotDone { user, error, hint }.tell(output)?;
            }
            Ok(adopted) if dry_run => {
                let how = if adopted == Adopted::Taken { "would take" } else { "knows these devices, and would join" };
                output.done(&Pushed { user, changed: false }, &format!("{user}: the fleet {how} the record"))?;
            }
            Ok(adopted) => {
                let how = if adopted == Adopted::Taken { "is" } else { "was" };
                let text = format!("{user}: the record {how} in the fleet; it is removed here");
                output.done(&Pushed { user, changed: true }, &text)?;
            }
            Err(error) => {
                failed = failed.saturating_add(1);
                NotDone { user, error: error.to_string(), hint: error.hint() }.tell(output)?;
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(CliError::NotDone(failed)) }
}

/// The accounts that are named, or all with a record that are the fleet's.
fn chosen(site: &Site, store: &FileStore, users: &[String], output: &Output) -> Result<Vec<Account>, CliError> {
    if !users.is_empty() {
        return super::named(users);
    }
    let mut all = Vec::new();
    for stem in list::stems(store, output)? {
        // The records of accounts that are gone stay here.
        match list::read_of(store, &stem) {
            Ok((account, _)) if !site.config.local.iter().any(|name| name == account.name.as_str()) => {
                all.push(account);
            }
            Ok(_) | Err(CoreError::NoAccount(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

/// What the fleet would do with the record of this host.
pub(super) fn would_adopt(user: &str) -> Result<Adopted, CoreError> {
    let reports = |error, hint| Err(CoreError::Agent(HelperError::Reports { error, hint }));
    match ask(Asked::WouldAdopt { name: user.to_owned() })? {
        Answered::WouldAdopt(adopted) => Ok(adopted),
        Answered::Failed { error, hint } | Answered::NotJoined { error, hint } => reports(error, hint),
        Answered::Verifier(_)
        | Answered::Status(_)
        | Answered::Record { .. }
        | Answered::Present {}
        | Answered::Forgotten(_)
        | Answered::Lost { .. } => Err(unintelligible()),
    }
}

/// The record is removed here only when it is in force there.
fn one(store: &FileStore, account: &Account) -> Result<Adopted, CoreError> {
    let user = account.name.as_str();
    let adopted = agent_authority::adopt(user)?;
    if adopted != Adopted::Other {
        change(store, account, &Note::here("moved-to-fleet"), |_| (Change::Nothing, ()))?;
        client::log_change(user, "moved-to-fleet");
    }
    Ok(adopted)
}
