//! All users of the fleet at once, for a question about those who can log in here: who has a device, and what is known of the
//! others.

use std::collections::{HashMap, HashSet};

use otp_core::config::Keeper;
use otp_core::protocol::administration::Listed;
use otp_core::protocol::request::Status;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::user::Account;

use super::host_in_fleet::HostInFleet;
use super::known_user::KnownUser;
use super::of_fleet;
use crate::error::CliError;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

#[derive(Default)]
pub(super) struct FleetUsers {
    with_device: HashSet<String>,
    /// Those with a record and no device.
    others: HashMap<String, Status>,
    unusable: HashMap<String, (String, String)>,
    host: HostInFleet,
}

/// What the fleet knows of a user.
pub(super) enum Found<'a> {
    HasDevice,
    HasNone(KnownUser<'a>),
    /// There is no answer about this one.
    Unusable {
        error: String,
        hint: String,
    },
}

impl FleetUsers {
    /// Asks a verifier for all of them, and tells of each while they come. A host outside a fleet has none.
    pub(super) fn of(
        site: &Site,
        output: &Output,
        mut tell: impl FnMut(&Status, &mut Progress) -> Result<(), CliError>,
    ) -> Result<Self, CliError> {
        let mut users = Self::default();
        if site.config.authority != Keeper::Fleet {
            return Ok(users);
        }
        let mut progress = Progress::counting("asking the fleet", output);
        of_fleet::each(None, |listed| {
            progress.step();
            if let Listed::Status(status) = &listed {
                tell(status, &mut progress)?;
            }
            match listed {
                Listed::Status(Status { user, enrolled: true, .. }) => drop(users.with_device.insert(user)),
                Listed::Status(status) => drop(users.others.insert(status.user.clone(), status)),
                Listed::Unusable { user, error, hint } => drop(users.unusable.insert(user, (error, hint))),
            }
            Ok(())
        })?;
        progress.clear();
        Ok(users)
    }

    pub(super) fn find(&self, site: &Site, account: &Account, login: &LoginContext) -> Result<Found<'_>, CliError> {
        let user = account.name.as_str();
        if self.with_device.contains(user) {
            return Ok(Found::HasDevice);
        }
        if let Some((error, hint)) = self.unusable.get(user) {
            return Ok(Found::Unusable { error: error.clone(), hint: hint.clone() });
        }
        let known = |status| KnownUser::of_fleet(status, &self.host, login);
        if let Some(status) = self.others.get(user) {
            return Ok(Found::HasNone(known(Some(status))?));
        }
        // A user whom this host may not ask about is not among them, and may have a device.
        if !self.host.is_scoped()? {
            return Ok(Found::HasNone(known(None)?));
        }
        match of_fleet::client(site, account.clone()).status() {
            Ok(Status { enrolled: true, .. }) => Ok(Found::HasDevice),
            Ok(status) => Ok(Found::HasNone(known(Some(&status))?)),
            Err(CliError::Reported { error, hint }) => Ok(Found::Unusable { error, hint }),
            Err(error) => Err(error),
        }
    }
}
