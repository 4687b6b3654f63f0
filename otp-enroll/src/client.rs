//! The authority of this program, and what its replies mean on the command line.

use std::path::Path;

use nix::unistd::{geteuid, getuid};
use otp_core::audit::{Event, Proof};
use otp_core::config::paths;
use otp_core::decision::verify::{Refusal, Verdict};
use otp_core::error::CoreError;
use otp_core::protocol::request::{Confidential, Order, Reply, Request, Requirement, Status};
use otp_core::record::state::Lock;
use otp_core::service::agent_authority::FleetSelfService;
use otp_core::service::authority::Authority;
use otp_core::service::caller::Caller;
use otp_core::service::helper_authority::HelperAuthority;
use otp_core::service::local_authority::LocalAuthority;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::user::Account;

use crate::cli::Common;
use crate::error::CliError;

/// Asks about one account.
pub(crate) struct Client<'a>(Whom<'a>);

/// Who is asked.
enum Whom<'a> {
    /// The records of this host, the helper, which says so where a fleet keeps the record of its caller, or what gives orders to a
    /// fleet.
    Here(Box<dyn Authority + 'a>),
    /// The agent, for root, about a user whose record a fleet keeps.
    Fleet(FleetSelfService),
}

impl Whom<'_> {
    fn request(&mut self, request: Request) -> Result<Reply, CoreError> {
        match self {
            Self::Here(authority) => authority.request(request),
            Self::Fleet(fleet) => fleet.request(request),
        }
    }
}

/// Logs under our name.
pub(crate) fn log(event: &Event<'_>) {
    otp_helper::log("otp-enroll", event);
}

/// Logs what root has changed of a user's record.
pub(crate) fn log_change(user: &str, what: &str) {
    let by = getuid().as_raw();
    log(&Event::Change { user, by, what, device: None, proof: Proof::Administrator });
}

/// The configuration, for root; a user's helper reads its own.
pub(crate) fn site(common: &Common) -> Result<Option<Site>, CliError> {
    if geteuid().is_root() {
        Ok(Some(Site::load(common.config())?))
    } else if common.config.is_some() {
        Err(CliError::NotRoot("use another configuration"))
    } else {
        Ok(None)
    }
}

/// The account of a name on the command line.
pub(crate) fn account(user: &str) -> Result<Account, CliError> {
    accounts::account(user)?.ok_or_else(|| CliError::NoSuchUser(user.to_owned()))
}

impl<'a> Client<'a> {
    /// The authority for the user of the command line.
    pub(crate) fn open(site: Option<&'a Site>, common: &Common) -> Result<Self, CliError> {
        match (site, &common.user) {
            (Some(site), Some(user)) => Self::for_user(site, account(user)?),
            (Some(_), None) => {
                Err(CliError::Usage("root must name the user to act for: otp-enroll --user USER".into()))
            }
            (None, user) => {
                let me = getuid().as_raw();
                let other = match user {
                    Some(user) => accounts::account(user)?.is_none_or(|account| account.uid != me),
                    None => false,
                };
                if other {
                    Err(CliError::NotRoot("act for another user"))
                } else {
                    Ok(Self(Whom::Here(Box::<HelperAuthority>::default())))
                }
            }
        }
    }

    /// Root's authority for a user's own commands: the agent, where a fleet keeps the record.
    fn for_user(site: &'a Site, account: Account) -> Result<Self, CliError> {
        if !site.config.is_of_fleet(account.name.as_str()) {
            return Ok(Self::of_root(site, account));
        }
        if site.path.as_path() != Path::new(paths::CONFIG) {
            let hint = format!("a fleet keeps the record of this user, and the agent reads {}", paths::CONFIG);
            return Err(CliError::Reported { error: "--config cannot be used here".into(), hint });
        }
        Ok(Self(Whom::Fleet(FleetSelfService::of(account.name.as_str()))))
    }

    /// Root's authority over an account.
    pub(crate) fn of_root(site: &'a Site, account: Account) -> Self {
        let caller = Caller::here(getuid().as_raw(), true, &log);
        Self(Whom::Here(Box::new(LocalAuthority::for_account(site, account, caller))))
    }

    /// Another authority over an account.
    pub(crate) fn by(authority: Box<dyn Authority + 'a>) -> Self {
        Self(Whom::Here(authority))
    }

    /// Asks. What could not be answered, and a proof that was refused, are errors; what remains is what was wanted.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Reply, CliError> {
        let reply = self.0.request(request)?;
        if let Reply::Failed { error, hint } = reply {
            Err(CliError::Reported { error, hint })
        } else if let Reply::Declined(declined) = reply {
            Err(CliError::Declined(declined))
        } else if let Reply::Verdict(Verdict::Refused(why)) = reply {
            Err(self.refused(why))
        } else {
            Ok(reply)
        }
    }

    /// A wrong code may be the one that locks, which its verdict does not tell.
    fn refused(&mut self, why: Refusal) -> CliError {
        if let Refusal::Wrong { failures, .. } = why
            && let Ok(Reply::Status(status)) = self.0.request(Request::Status {})
            && status.lock != Lock::Open.word()
        {
            let until = Some(status.lock).filter(|lock| lock != Lock::UntilUnlocked.word());
            CliError::NowLocked { failures, until }
        } else if let Refusal::KindNotAccepted { .. } = why
            && let Ok(Reply::Status(status)) = self.0.request(Request::Status {})
        {
            CliError::kind_refused(&status)
        } else {
            CliError::Refused(why)
        }
    }

    /// The status of the record.
    pub(crate) fn status(&mut self) -> Result<Status, CliError> {
        let reply = self.ask(Request::Status {})?;
        if let Reply::Status(status) = reply { Ok(status) } else { Err(unexpected()) }
    }

    /// What requires a second factor of the user; `None` also if that cannot be found out now.
    pub(crate) fn requirement(&mut self) -> Option<Requirement> {
        if let Ok(Reply::Requirement(required)) = self.ask(Request::Requirement {}) { required } else { None }
    }

    /// Confirms the device that was offered and puts it in force; returns its recovery codes.
    pub(crate) fn confirm(
        &mut self,
        code: Confidential,
        next: Option<Confidential>,
    ) -> Result<Vec<Confidential>, CliError> {
        let Reply::RecoveryCodes(codes) = self.ask(Request::Confirm { code, next })? else {
            return Err(unexpected());
        };
        self.change(Request::Activate {}).map_err(CliError::although_asked)?;
        Ok(codes)
    }

    /// Carries out an administrator's order; `false` if nothing had to be changed for it.
    pub(crate) fn administer(&mut self, order: Order) -> Result<bool, CliError> {
        self.change(Request::Administer(order))
    }

    /// A request that changes one device; returns its number.
    pub(crate) fn change_device(&mut self, request: Request) -> Result<u8, CliError> {
        let reply = self.ask(request)?;
        if let Reply::ChangedDevice(device) = reply { Ok(device.0) } else { Err(unexpected()) }
    }

    /// A request whose reply says whether anything was changed.
    pub(crate) fn change(&mut self, request: Request) -> Result<bool, CliError> {
        let reply = self.ask(request)?;
        if let Reply::Changed(changed) = reply { Ok(changed) } else { Err(unexpected()) }
    }
}

/// Program and helper are not of the same version.
pub(crate) fn unexpected() -> CliError {
    CliError::Reported {
        error: "the helper answered another request".into(),
        hint: "otp-enroll and otp-helper must be of the same version; install both again".into(),
    }
}
