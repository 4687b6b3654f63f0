//! Administration of one user, on a verifier's own machine.

use otp_core::audit::Event;
use otp_core::protocol::administration::Renamed;
use otp_core::protocol::request::{Order, PasscodeOrder, Reply, Request};
use otp_core::record::credentials::Override;
use otp_core::service::authority::Authority as _;
use otp_core::service::caller::Caller;
use otp_core::service::local_authority::LocalAuthority;
use otp_core::service::messenger::NoMessenger;
use otp_core::store::Store as _;
use otp_core::store::note::Origin;
use otp_core::value::time::Seconds;
use otp_core::value::user::UserName;

use crate::answered::of_no_host;
use crate::command_line::UserCommand;
use crate::config::Config;
use crate::error::Error;
use crate::log;
use crate::renaming::rename;
use crate::store::{About, PgStore};
use crate::told::{told, told_json};

const LIST: &str = "see: otp-verifier user list";

/// What ends it.
const LEFT: &str = "once no host has an account of that name, otp-verifier user disable";

pub(crate) fn run(config: &Config, command: &UserCommand) -> Result<(), Error> {
    let order = |user: &String, order: Order| carry_out(config, user, Request::Administer(order));
    match command {
        UserCommand::List => list(config),
        UserCommand::Show { user } => carry_out(config, user, Request::Status {}),
        UserCommand::Unlock { user } => order(user, Order::Unlock),
        UserCommand::Reset { user } => order(user, Order::Reset),
        UserCommand::Disable { user } => order(user, Order::Disable),
        UserCommand::Require { user } => order(user, Order::Override(Override::Required)),
        UserCommand::Exempt { user } => order(user, Order::Override(Override::Exempt)),
        UserCommand::Unrequire { user } => order(user, Order::Override(Override::None)),
        UserCommand::ForgetAddresses { user } => order(user, Order::ForgetAddresses),
        UserCommand::Rename { old, new } => renamed(config, old, new),
        UserCommand::Issue { user, minutes } => {
            let valid = Seconds(u64::from(*minutes).saturating_mul(60));
            carry_out(config, user, Request::IssuePasscode(PasscodeOrder { valid, service: None }))
        }
    }
}

fn list(config: &Config) -> Result<(), Error> {
    config.session()?.0.each_user(|name| told(&name.file_stem()))
}

fn named(user: &str) -> Result<UserName, Error> {
    UserName::parse(user).ok_or_else(|| Error::new("no user has such a name", LIST))
}

/// Gives the record of one name to another. A second run after one that had no answer finds that it is done.
fn renamed(config: &Config, old: &str, new: &str) -> Result<(), Error> {
    let (former, name) = (named(old)?, named(new)?);
    let (shown_old, shown) = (former.file_stem(), name.file_stem());
    let (session, keys) = config.session()?;
    let store = PgStore::new(&session, &keys, About::default());
    match rename(&store, &former, &name, Origin::default())? {
        Renamed::Done => {
            log::notice(&Event::Renamed { user: new, from: old, by: 0 }.to_string());
            told(&format!(
                "{shown}: has the record of {shown_old} now; what is left of {shown_old} requires a second factor: {LEFT} {shown_old}"
            ))
        }
        Renamed::NoRecord if store.read(&of_no_host(name))?.is_some_and(|record| !record.is_blank()) => {
            told(&format!("{shown}: has a record, and {shown_old} has none: nothing to do"))
        }
        Renamed::NoRecord => Err(Error::new(format!("{shown_old} has no record"), LIST)),
        Renamed::OnItsWay => Err(Error::new(
            format!("the record of {shown_old} or {shown} is on its way to a host"),
            "end the pull there, or undo it: otp-enroll admin fleet pull USER, or push USER",
        )),
        Renamed::HasRecord => Err(Error::new(
            format!("{shown} has a record of its own"),
            format!(
                "remove the one that is not needed: otp-verifier user disable {shown}, or otp-verifier user disable {shown_old}"
            ),
        )),
    }
}

fn carry_out(config: &Config, user: &str, request: Request) -> Result<(), Error> {
    let name = named(user)?;
    let ((session, keys), settings) = (config.session()?, config.settings()?.settings);
    let store = PgStore::new(&session, &keys, About::default());
    let caller = Caller::here(0, true, &|event| log::notice(&event.to_string()));
    let mut authority = LocalAuthority::on(store, &settings, &NoMessenger, Some(of_no_host(name)), caller);
    let reply = authority.request(request)?;
    let Reply::Changed(changed) = reply else { return told_json(&reply) };
    told(&format!("{user}: {}", if changed { "done" } else { "nothing was changed" }))
}

#[cfg(test)]
mod tests {
    use otp_core::protocol::request::{Confidential, IssuedPasscode};

    use super::*;
    use crate::told::is_in_manual;

    #[test]
    fn the_manual_shows_a_passcode() {
        let passcode = Confidential::new("K7QD-M3XA-92TE");
        let until = "2026-11-21T08:30:00Z".into();
        assert!(is_in_manual(&Reply::Passcode(IssuedPasscode {
            user: "alice".into(),
            passcode,
            until,
            service: None
        })));
    }
}
