//! The authority of this process: the files if it is root, the helper if it is not; and the agent where these may not open
//! the records, or not those of this user. Where a fleet keeps the records it is the agent alone.

use std::io::ErrorKind;

use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::config::{Keeper, paths};
use otp_core::decision::demand::Demand;
use otp_core::decision::verify::Verdict;
use otp_core::error::{CoreError, HelperError, NoAuthority};
use otp_core::service::agent_authority::AgentAuthority;
use otp_core::service::authority::Authority;
use otp_core::service::caller::Caller;
use otp_core::service::helper_authority::HelperAuthority;
use otp_core::service::local_authority::LocalAuthority;
use otp_core::store::files::on_demand::Files;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;

use crate::outcome::ModuleError;
use crate::privileges::{Privileges, RaisedLimits};

/// The authority that can answer about `user` in this process.
pub(crate) fn about<'a>(site: &'a Site, user: &'a str) -> Result<Box<dyn Authority + 'a>, ModuleError> {
    let privileges = Privileges::of_this_process();
    if is_fleets(site, user)? {
        let limits = privileges.raise_limits()?;
        let (agent, is_roots) = (AgentAuthority { user }, privileges.are_of_root());
        return Ok(Box::new(OfFleet { agent, is_roots, _limits: limits }));
    }
    if privileges.are_of_root() {
        let limits = privileges.raise_limits()?;
        // `login` logs the results: it knows where a login comes from.
        let caller = Caller::here(privileges.real_uid(), true, &|_| {});
        let files = LocalAuthority::for_name(site, user, caller)?;
        let files = Box::new(Privileged { files, privileges, _limits: limits });
        // The agent has the installed configuration, and its records.
        return Ok(if is_installed(site) { Box::new(OrAgent { first: Some(files), user }) } else { files });
    }
    if !is_installed(site) {
        return Err(ModuleError::Argument("config= (this process is not root, and the helper reads its own)".into()));
    }
    let account = accounts::account(user)?;
    // By name too: of several names with one number the helper knows the first, and answers about that one.
    let is_own = account.is_some() && account == accounts::account_of(privileges.real_uid())?;
    let helper = || -> Box<dyn Authority> { Box::new(Unprivileged(HelperAuthority::default())) };
    Ok(Box::new(OrAgent { first: is_own.then(helper), user }))
}

/// Whether a fleet keeps the record of a user. Then the configuration must be the one that the agent reads.
pub(crate) fn is_fleets(site: &Site, user: &str) -> Result<bool, ModuleError> {
    if site.config.authority != Keeper::Fleet || is_local(site, user)? {
        return Ok(false);
    }
    if !is_installed(site) {
        let why = "config= (a fleet keeps the records, and the agent reads the installed configuration)";
        return Err(ModuleError::Argument(why.into()));
    }
    Ok(true)
}

fn is_installed(site: &Site) -> bool {
    site.path.as_os_str() == paths::CONFIG
}

/// Whether this host keeps the record of a user while a fleet keeps the others. A name that is typed in another spelling than
/// the name service's is not one of the configuration: the agent looks up which account it is.
fn is_local(site: &Site, user: &str) -> Result<bool, CoreError> {
    if site.config.is_of_fleet(user) {
        return Ok(false);
    }
    Ok(accounts::account(user)?.is_some_and(|account| account.name.as_str() == user))
}

/// The agent about a user whose record a fleet keeps. No file of this host is asked.
struct OfFleet<'a> {
    agent: AgentAuthority<'a>,
    /// Whether a device may be enrolled in the middle of a login.
    is_roots: bool,
    _limits: RaisedLimits,
}

/// What the agent says of the authority behind it is an error of that one.
pub(crate) fn of_authority(error: CoreError) -> CoreError {
    let CoreError::Agent(why) = &error else { return error };
    NoAuthority::of_agent(why).map_or(error, CoreError::Authority)
}

impl Authority for OfFleet<'_> {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        let agent = &self.agent;
        if self.is_roots { agent.demand_with_enrollment(login) } else { agent.demand(login) }.map_err(of_authority)
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        self.agent.challenge(login, named).map_err(of_authority)
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.agent.verify(login, typed).map_err(of_authority)
    }
}

/// An authority, and the agent where that one may not answer.
struct OrAgent<'a> {
    /// None where only the agent may.
    first: Option<Box<dyn Authority + 'a>>,
    user: &'a str,
}

impl OrAgent<'_> {
    fn ask<T>(&self, ask: &dyn Fn(&dyn Authority) -> Result<T, CoreError>) -> Result<T, CoreError> {
        let answer = self.first.as_ref().map_or(Err(HelperError::OtherUser.into()), |first| ask(first.as_ref()));
        let error = match answer {
            Err(error) if error.is_for_agent() => error,
            answer => return answer,
        };
        match ask(&AgentAuthority { user: self.user }) {
            // No agent is enabled here. The hint of the first error names it.
            Err(CoreError::Agent(HelperError::Io(absent)))
                if matches!(absent.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
            {
                Err(error)
            }
            answer => answer,
        }
    }
}

impl Authority for OrAgent<'_> {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        self.ask(&|authority| authority.demand(login))
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        self.ask(&|authority| authority.challenge(login, named))
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.ask(&|authority| authority.verify(login, typed))
    }

    fn look(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        // The agent counts each wrong code.
        self.first.as_ref().map_or(Err(CoreError::NoLookHere), |first| first.look(login, typed))
    }
}

/// The files, opened by root. While their lock is held, only root can stop this process. The limits of the user who started
/// it are back when this is gone.
struct Privileged<'a> {
    files: LocalAuthority<'a, Files<'a>>,
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

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        self.privileges.shielded(|| self.files.challenge(login, named))
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.judge(login, typed, true)
    }

    fn look(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.judge(login, typed, false)
    }
}

/// The helper, for logins: what it could do besides would link a parser into every PAM host.
struct Unprivileged(HelperAuthority);

impl Authority for Unprivileged {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        self.0.demand(login)
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        self.0.challenge(login, named)
    }

    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.0.verify(login, typed)
    }
}

#[cfg(test)]
mod tests {
    use otp_core::config::Config;

    use super::*;

    fn site(text: &str, path: &str) -> Site {
        Site { config: Config::parse("/c".as_ref(), text).unwrap(), path: path.into(), ask_for_keys: None }
    }

    #[test]
    fn the_records_of_users_are_the_fleets_but_for_accounts_that_are_named_as_they_are_spelled() {
        let of_fleet = site("authority = \"fleet\"\nlocal = [\"root\", \"no-account-of-that-name\"]", "/c");
        let is_local = |user| is_local(&of_fleet, user).unwrap();
        assert_eq!(
            ["root", "Root", "nobody", "no-account-of-that-name", ""].map(is_local),
            [true, false, false, false, false]
        );
    }

    #[test]
    fn a_fleets_user_is_asked_about_by_the_installed_configuration_alone() {
        let text = "authority = \"fleet\"";
        assert!(about(&site(text, paths::CONFIG), "alice").is_ok());
        let error = about(&site(text, "/c"), "alice").err().unwrap().to_string();
        assert!(error.contains("config= (a fleet keeps the records, and"), "{error}");
        assert!(is_fleets(&site(text, paths::CONFIG), "alice").unwrap());
    }

    #[test]
    fn an_error_of_the_agent_is_one_of_the_authority_behind_it() {
        let reported = |text: &str| {
            of_authority(CoreError::Agent(HelperError::Reports { error: text.into(), hint: String::new() }))
        };
        assert_eq!(
            reported("authority unreachable: v:1: timed out").to_string(),
            "authority unreachable: v:1: timed out"
        );
        assert!(reported("/etc/x:1: no").to_string().ends_with("reports: /etc/x:1: no"));
        assert_eq!(of_authority(CoreError::Entropy).to_string(), CoreError::Entropy.to_string());
    }
}
