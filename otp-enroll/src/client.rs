//! Client of SelfService: in-process for root, through the helper otherwise.

use nix::unistd::{geteuid, getuid};
use otp_core::audit::Event;
use otp_core::decision::verify::Verdict;
use otp_core::protocol::helper_process::Helper;
use otp_core::protocol::request::{Reply, Request, Status};
use otp_core::service::self_service::SelfService;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::system::random;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

use crate::cli::Common;
use crate::error::CliError;

/// Client of SelfService.
pub(crate) enum Desk<'a> {
    /// We are root.
    Here(Box<SelfService<'a>>),
    /// We are not.
    Helper(Helper),
}

/// Logs under our name.
pub(crate) fn log(event: &Event<'_>) {
    otp_helper::log("otp-enroll", event);
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

impl<'a> Desk<'a> {
    /// Finds out who serves this user.
    pub(crate) fn open(site: Option<&'a Site>, common: &Common) -> Result<Self, CliError> {
        match (site, &common.user) {
            (Some(site), Some(user)) => {
                let by = getuid().as_raw();
                Ok(Self::Here(Box::new(SelfService::new(site, account(user)?, by, random::entropy, &log))))
            }
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
                    Helper::start().map(Self::Helper).map_err(CliError::helper)
                }
            }
        }
    }

    /// Asks. What could not be answered, and a proof that was refused, are errors; what remains is what was wanted.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Reply, CliError> {
        let reply = match self {
            Self::Here(service) => service.answer(request, UnixTime::now()),
            Self::Helper(helper) => helper.ask(&request).map_err(CliError::helper)?,
        };
        if let Reply::Failed { error, hint } = reply {
            Err(CliError::Reported { error, hint })
        } else if let Reply::Declined(declined) = reply {
            Err(CliError::Declined(declined))
        } else if let Reply::Verdict(Verdict::Refused(why)) = reply {
            Err(CliError::Refused(why))
        } else {
            Ok(reply)
        }
    }

    /// What is stored.
    pub(crate) fn status(&mut self) -> Result<Status, CliError> {
        let reply = self.ask(Request::Status {})?;
        if let Reply::Status(status) = reply { Ok(status) } else { Err(unexpected()) }
    }
}

/// Program and helper are not of the same version.
pub(crate) fn unexpected() -> CliError {
    CliError::Reported {
        error: "the helper answered another request".into(),
        hint: "otp-enroll and otp-helper must be of the same version; install both again".into(),
    }
}
