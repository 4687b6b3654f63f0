//! Who is asked about a user: in a root process the local store, in any other the helper at the end of a pipe.

use otp_core::config::paths;
use otp_core::system::accounts;
use std::path::Path;

use nix::unistd::getuid;
use otp_core::codes::attempt::Typed;
use otp_core::decision::verify::Verdict;
use otp_core::protocol::helper_process::Helper;
use otp_core::protocol::login_messages;
use otp_core::service::authority::{Demand, LocalAuthority};
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;

use crate::outcome::Failure;
use crate::privileges::Caller;

/// Whoever knows whether a code is good.
pub(crate) enum Authority<'a> {
    /// We are root and look for ourselves.
    Local(LocalAuthority<'a>, Caller),
    /// We are not, and ask a program that may: about its caller's own account, which must be who logs in.
    Helper,
}

impl<'a> Authority<'a> {
    /// Whoever can answer about `user` in this process.
    pub(crate) fn about(site: &'a Site, user: &str) -> Result<Self, Failure> {
        let caller = Caller::of_this_process();
        if caller.acts_as_root() {
            return Ok(Self::Local(LocalAuthority::for_name(site, user)?, caller));
        }
        if site.path.as_path() != Path::new(paths::CONFIG) {
            return Err(Failure::Argument("config= (this process is not root, and the helper reads its own)".into()));
        }
        let account = accounts::account(user)?;
        // By name too: of several names with one number the helper knows the first, and answers about that one.
        if account.is_some() && account == accounts::account_of(getuid().as_raw())? {
            Ok(Self::Helper)
        } else {
            Err(Failure::Helper("answers a process that is not root about its own user only".into()))
        }
    }

    /// Whether a code is asked for.
    pub(crate) fn demand(&self, place: &LoginContext) -> Result<Demand, Failure> {
        match self {
            Self::Local(store, _) => Ok(store.demand(place, UnixTime::now())?),
            Self::Helper => ask(&login_messages::ask_demand(place), Demand::read),
        }
    }

    /// Whether an answer is good. When this returns, what it returns is durable.
    pub(crate) fn verify(&self, place: &LoginContext, typed: &Typed) -> Result<Verdict, Failure> {
        match self {
            Self::Local(store, caller) => caller.kept_off(|| Ok(store.verify(place, typed, UnixTime::now())?)),
            Self::Helper => ask(&login_messages::ask_verify(typed), Verdict::read),
        }
    }
}

/// One question, one answer, one process: none is left waiting while a person types.
fn ask<T>(question: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Failure> {
    let failed = |error| Failure::Helper(format!("cannot be asked: {error}"));
    let line = Helper::start().map_err(failed)?.ask_line(question).map_err(failed)?;
    login_messages::words(&line).and_then(read).ok_or_else(|| {
        Failure::Helper(match login_messages::failure(&line) {
            Some((error, hint)) => format!("says: {error} ({hint})"),
            // Not quoted: it may hold the code that was just sent.
            None => "gave an answer that cannot be understood".into(),
        })
    })
}
