//! Gives the record of a renamed account to its new name where the fleet keeps both.

use otp_core::error::CoreError;
use otp_core::protocol::administration::{Administration, Answer, Renamed};
use otp_core::protocol::request::Status;
use otp_core::record::credentials::Override;
use otp_core::store::files::open::FileStore;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

use super::of_fleet::{asked, client, unintelligible};
use super::rename::{self, Done, confirm, has_record, is_done, name_before, was_done};
use crate::error::CliError;
use crate::ui::output::Output;

/// What stays under the old name, and what ends it.
fn left(old: &str) -> String {
    format!(
        "Where hosts still have the account {old}, it is refused until a second factor is enrolled; once none has: otp-enroll admin \
         disable {old}"
    )
}

/// Whether there is a record that says anything.
fn has_any(status: &Status) -> bool {
    status.enrolled || status.passcode.is_some() || status.user_override != Override::None.name()
}

pub(super) fn rename(
    site: &Site,
    store: &FileStore,
    old: &str,
    new: &Account,
    yes: bool,
    output: &Output,
) -> Result<(), CliError> {
    let (user, name) = (new.name.as_str(), name_before(old, new)?);
    let done = |changed, text: &str| output.done(&Done { user, from: old, changed }, &format!("{user}: {text}"));
    let refuse = |error: String, hint: String| Err(CliError::Reported { error, hint });
    for (theirs, other) in [(user, old), (old, user)] {
        if !site.config.is_of_fleet(theirs) {
            return refuse(
                format!("the record of {theirs} is this host's, and that of {other} is the fleet's"),
                format!(
                    "enter both in local in pam_otp.toml, or neither, and run the command again; a record moves by `otp-enroll \
                         admin fleet push {theirs}` or `otp-enroll admin fleet pull {other}`"
                ),
            );
        }
    }
    if accounts::account(old)?.is_some() {
        return refuse(
            format!("the account {old} exists, and the record is its own"),
            "the fleet knows users by their names alone: two names are two users, each with a second factor of its own"
                .into(),
        );
    }
    if store.owner_of(&Account { name: name.clone(), ..new.clone() }).map_err(CoreError::from)?.is_some() {
        // It was not given to the fleet yet, and goes there under its new name.
        return rename::rename(store, old, new, yes, output);
    }
    let former = client(site, Account { name, ..Account::nobody() }).status()?;
    confirm(old, new, former.devices.iter().filter_map(|device| UnixTime::read(&device.created)).min(), yes, output)?;
    let order = Administration::Rename { from: old.to_owned(), to: user.to_owned() };
    let Answer::Renamed(renamed) = asked(order)? else { return Err(unintelligible().into()) };
    match renamed {
        Renamed::Done => {
            done(true, &is_done(old))?;
            output.advise(&left(old))
        }
        Renamed::NoRecord if has_any(&client(site, new.clone()).status()?) => done(false, &was_done(old)),
        Renamed::NoRecord => Err(CliError::NoRecord(old.to_owned())),
        Renamed::HasRecord => Err(has_record(old, user)),
        Renamed::OnItsWay => refuse(
            format!("the record of {old} or {user} was given to a host, and that host has not said that it has it"),
            format!(
                "on that host: otp-enroll admin fleet pull {user}, or otp-enroll admin fleet push {user}; the record moves there by `otp-enroll \
                     admin rename` while authority is not set"
            ),
        ),
    }
}
