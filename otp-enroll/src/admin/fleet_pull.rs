//! The way back: a record of the fleet comes to this host. First no login of the fleet can use it, then it is written here, and
//! then the fleet keeps no copy: nowhere is a code good twice.

use otp_core::decision::arrival::Arrival;
use otp_core::decision::import::Outcome;
use otp_core::error::CoreError;
use otp_core::protocol::administration::{Answered, Asked, PullStep};
use otp_core::protocol::request::Confidential;
use otp_core::record::Record;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::service::agent_administration::ask;
use otp_core::service::enrollment::new_enrollment;
use otp_core::store::change;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::Note;
use otp_core::system::config_file::Site;
use otp_core::system::random;
use otp_core::value::user::Account;

use super::of_fleet::unintelligible;
use crate::client;
use crate::error::CliError;
use crate::ui::output::Output;
use crate::user::commands::Changed;

pub(super) fn pull(
    site: &Site,
    store: &FileStore,
    account: &Account,
    yes: bool,
    output: &Output,
) -> Result<(), CliError> {
    let user = account.name.as_str();
    if !site.config.is_of_fleet(user) {
        return Err(CliError::Reported {
            error: format!("the record of {user} is this host's already: its configuration says so"),
            hint: "take the user out of local in pam_otp.toml, pull, and then enter the user there again".into(),
        });
    }
    // With a record here the last step of an earlier pull may be missing. It is compared with the one that the fleet keeps: only where
    // they are of the same devices is that one not needed any more.
    let is_here = store.read(account).map_err(CoreError::from)?.is_some_and(|record| record.is_enrolled());
    if !yes && !is_here {
        output.confirm(&format!(
            "The codes of {user} will be good on this host alone, after {user} is entered in local in pam_otp.toml. All other \
             hosts refuse {user} until the record is pushed again. Continue?"
        ))?;
    }
    let step = if is_here { PullStep::Again } else { PullStep::Take };
    let Answered::Record { credentials, state } = asked(user, step)? else { return Err(unintelligible().into()) };
    write(store, account, &credentials, &state)?;
    client::log_change(user, "moved-from-fleet");
    match asked(user, PullStep::Arrived) {
        Ok(_) => {}
        Err(error) => output.warn(&format!(
            "the fleet keeps a sealed copy that no login can use: {error}; run the command again to have it removed"
        )),
    }
    told(user, output)
}

fn asked(user: &str, step: PullStep) -> Result<Answered, CliError> {
    let answered = ask(Asked::Pull { name: user.to_owned(), step })?;
    if let Answered::Failed { error, hint } | Answered::NotJoined { error, hint } = answered {
        return Err(CliError::Reported { error, hint });
    }
    Ok(answered)
}

/// The record as it was there, under the number that the account has here.
fn write(store: &FileStore, account: &Account, credentials: &Confidential, state: &str) -> Result<(), CliError> {
    let record = Record::of_texts(credentials.expose().as_bytes(), state, ReadContext::ANYONE).ok();
    let record = record.filter(|record| record.credentials.user == account.name).ok_or_else(unintelligible)?;
    let arrival = Arrival { record: &record, replace: false, with_override: true, passcode_at: None };
    let enrollment = new_enrollment(random::entropy)?;
    let outcome =
        change(store, account, &Note::here("moved-from-fleet"), |here| arrival.into_record(account, here, enrollment));
    match outcome.map_err(CoreError::from)? {
        Outcome::Imported | Outcome::Replaced | Outcome::Added | Outcome::CaughtUp | Outcome::Already => Ok(()),
        Outcome::HasOthers | Outcome::TooMany | Outcome::Unfit => Err(CliError::Reported {
            error: format!("this host has other devices of {}", account.name),
            hint: format!(
                "the fleet keeps its own, which no login can use: enter {user} in local, and `otp-enroll admin disable {user}` removes \
                 the record here; then take {user} out of local, and run the command again",
                user = account.name
            ),
        }),
    }
}

fn told(user: &str, output: &Output) -> Result<(), CliError> {
    output
        .done(&Changed { user, changed: true }, &format!("{user}: the record is on this host, and not in the fleet"))?;
    output.advise(&format!("Its codes are good here once {user} is entered in local in pam_otp.toml."))
}
