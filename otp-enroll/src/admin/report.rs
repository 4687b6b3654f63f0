//! The results of a rollout (`enforce = false`): users who would have been refused, and why.

use otp_core::protocol::request::UnenforcedRefusal;
use otp_core::record::state::Unenforced;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use serde::Serialize;

use super::accounts::Names;
use super::fleet_users::FleetUsers;
use super::list::{self, LineOfService, Seen};
use crate::error::CliError;
use crate::language;
use crate::ui::listing::Listing;
use crate::ui::output::{self, Output};
use crate::ui::progress::Progress;

/// A user's last login that would have been refused.
#[derive(Serialize)]
struct WouldHaveBeenRefused<'a> {
    user: &'a str,
    at: &'a str,
    why: &'a str,
}

/// Lists users whose last login would have been refused, then users without a device.
pub(super) fn report(
    site: &Site,
    store: &FileStore,
    service: &str,
    line: LineOfService,
    output: &Output,
) -> Result<(), CliError> {
    let names = Names::ask()?;
    let mut seen = Seen::default();
    Listing::of(output, |listing| {
        listing.heading("Logins that would have been refused, the last one of each user:")?;
        seen.fleet = FleetUsers::of(site, output, |status, progress| match status.unenforced.as_deref() {
            Some(UnenforcedRefusal { at, why }) => tell(listing, progress, &status.user, at, why),
            None => Ok(()),
        })?;
        seen.read_records(site, store, output, |progress, account, Unenforced { at, why }| {
            tell(listing, progress, account.name.as_str(), &at.to_string(), why)
        })
    })?;
    if output.is_advising() {
        let heading = format!("\nUsers without a device, and what a login through {service} would be:");
        output::print(&output.heading(&heading))?;
    }
    list::without_device(site, store, service, line, names, &seen, output)
}

fn tell(listing: &mut Listing<'_>, progress: &mut Progress, user: &str, at: &str, why: &str) -> Result<(), CliError> {
    let refused = WouldHaveBeenRefused { user, at, why };
    listing.result(progress, &refused, || format!("{user:<24}  {}  {why}", language::moment(at)))
}
