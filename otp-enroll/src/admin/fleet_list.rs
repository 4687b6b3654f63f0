//! All users of a fleet and their second factors, a page at a time, and those whose record is this host's.

use otp_core::protocol::administration::Listed;
use otp_core::protocol::request::Status;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::time::UnixTime;

use super::list::{self, Unusable};
use super::of_fleet;
use crate::error::CliError;
use crate::ui::listing::Listing;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// Characters of the column USER: how long the names of a fleet are is known after the last one.
const WIDTH: usize = 16;

pub(super) fn list(site: &Site, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let mut faults = 0usize;
    Listing::of(output, |listing| {
        let mut progress = Progress::counting("asking the fleet", output);
        listing.heading(&list::heading(WIDTH))?;
        of_fleet::each(None, |listed| {
            progress.step();
            match listed {
                Listed::Status(status) if is_blank(&status) => Ok(()),
                Listed::Status(status) => listing.result(&mut progress, &status, || list::line(&status, WIDTH)),
                Listed::Unusable { user, error, hint } => {
                    faults = faults.saturating_add(1);
                    let unusable = Unusable { file: &user, error, hint: &hint };
                    listing.result(&mut progress, &unusable, || format!("{user:<WIDTH$}  unusable: {}", unusable.error))
                }
            }
        })?;
        let (limits, now) = (&site.config.settings.limits, UnixTime::now());
        for stem in list::stems(store, output)? {
            // Those that were not given to the fleet are in `fleet status`.
            let Ok((account, Some(record))) = list::read_of(store, &stem) else { continue };
            if !site.config.is_of_fleet(account.name.as_str()) && !record.is_blank() {
                let status = Status::of(&record, limits, now);
                listing.result(&mut progress, &status, || list::line(&status, WIDTH))?;
            }
        }
        progress.clear();
        Ok(())
    })?;
    if faults == 0 { Ok(()) } else { Err(CliError::Unusable(faults)) }
}

/// Whether the record says nothing.
fn is_blank(status: &Status) -> bool {
    !status.enrolled && status.user_override == "none" && status.passcode.is_none() && status.recovery_codes_left == 0
}
