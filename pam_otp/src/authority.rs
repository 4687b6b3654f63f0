//! The authority of this process: the files if it is root, the helper if it is not.

use std::path::Path;

use otp_core::codes::attempt::Typed;
use otp_core::config::paths;
use otp_core::decision::demand::Demand;
use otp_core::decision::verify::Verdict;
use otp_core::error::{CoreError, HelperError};
use otp_core::protocol::request::{Reply, Request};
use otp_core::service::authority::Authority;
use otp_core::service::caller::Caller;
use otp_core::service::helper_authority::HelperAuthority;
use otp_core::service::local_authority::LocalAuthority;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;

use crate::outcome::ModuleError;
use crate::privileges::{Privileges, RaisedLimits};

/// The authority that can answer about `user` in this process.
pub(crate) fn about<'a>(site: &'a Site, user: &str) -> Result<Box<dyn Authority + 'a>, ModuleError> {
    let privileges = Privileges::of_this_process();
    if privileges.are_of_root() {
        let limits = privileges.raise_limits()?;
        // `login` and `enrollment` log the results: they know where a login comes from.
        let caller = Caller { uid: privileges.real_uid(), is_trusted: true, log: &|_| {} };
        let files = LocalAuthority::for_name(site, user, caller)?;
        return Ok(Box::new(Privileged { files, privileges, _limits: limits }));
    }
    if site.path.as_path() != Path::new(paths::CONFIG) {
        return Err(ModuleError::Argument("config= (this process is not root, and the helper reads its own)".into()));
    }
    let account = accounts::account(user)?;
    // By name too: of several names with one number the helper knows the first, and answers about that one.
    if account.is_some() && account == accounts::account_of(privileges.real_uid())? {
        Ok(Box::new(Unprivileged(HelperAuthority::default())))
    } else {
        Err(CoreError::from(HelperError::OtherUser).into())
    }
}

/// The files, opened by root. While their lock is held, only root can stop this process. The limits of the user who started
/// it are back when this is gone.
struct Privileged<'a> {
    files: LocalAuthority<'a>,
    privileges: Privileges,
    _limits: RaisedLimits,
}

impl Privileged<'_> {
    fn judge(&self, login: &LoginContext, typed: &Typed, counts: bool) -> Result<Verdict, CoreError> {
        let files = &self.files;
        self.privileges.shielded(|| if counts { files.verify(login, typed) } else { files.look(login, typed) })
    }
}

impl Authority for Privileged<'_> {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        self.files.demand(login)
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.judge(login, typed, true)
    }

    fn look(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.judge(login, typed, false)
    }

    fn request(&mut self, request: Request) -> Result<Reply, CoreError> {
        self.privileges.shielded(|| self.files.enroll_during_login(request))
    }
}

/// The helper, for logins: what it could do besides would link a parser into every PAM host.
struct Unprivileged(HelperAuthority);

impl Authority for Unprivileged {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        self.0.demand(login)
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.0.verify(login, typed)
    }

    fn request(&mut self, _: Request) -> Result<Reply, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }
}
