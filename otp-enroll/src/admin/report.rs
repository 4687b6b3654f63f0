//! The results of a rollout (`enforce = false`): users who would have been refused, and why.

use otp_core::error::CoreError;
use otp_core::record::Record;
use otp_core::record::state::Unenforced;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::user::Account;
use serde::Serialize;

use super::accounts::Names;
use super::ahead;
use super::list::{self, LineOfService};
use crate::error::CliError;
use crate::language;
use crate::ui::listing::Listing;
use crate::ui::output::{self, Output};
use crate::ui::progress::Progress;

/// A user's last login that would have been refused.
#[derive(Serialize)]
struct WouldHaveBeenRefused<'a> {
    user: &'a str,
    at: String,
    why: &'a str,
}

#[derive(Default)]
struct Told {
    /// It has a device, and its file name is the user's.
    has_device: bool,
    unenforced: Option<(Account, Unenforced)>,
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
    let mut with_device = Vec::new();
    Listing::of(output, |listing| {
        listing.heading("Logins that would have been refused, the last one of each user:")?;
        let stems = list::stems(store, output)?;
        let mut progress = Progress::new("reading records", stems.len(), output);
        ahead::each(
            &stems,
            |stem| told(store, stem),
            |stem, told| {
                progress.step();
                let Told { has_device, unenforced } = told?;
                if let Some((account, Unenforced { at, why })) = unenforced {
                    let (user, at) = (account.name.as_str(), at.to_string());
                    let refused = WouldHaveBeenRefused { user, at, why: &why };
                    listing.result(&mut progress, &refused, || {
                        format!("{user:<24}  {}  {why}", language::moment(&refused.at))
                    })?;
                }
                if has_device {
                    with_device.push(stem.clone());
                }
                Ok(())
            },
        )
    })?;
    if output.is_advising() {
        let heading = format!("\nUsers without a device, and what a login through {service} would be:");
        output::print(&output.heading(&heading))?;
    }
    list::without_device(site, store, service, line, names, &with_device, output)
}

fn told(store: &FileStore, stem: &str) -> Result<Told, CoreError> {
    match list::read_of(store, stem) {
        Ok((account, Some(Record { credentials, state }))) => Ok(Told {
            has_device: credentials.has_device() && account.name.file_stem() == stem,
            unenforced: state.unenforced.map(|unenforced| (account, unenforced)),
        }),
        Err(error @ (CoreError::Names { .. } | CoreError::NoAnswer { .. })) => Err(error),
        // A record that cannot be used is listed below, and by `admin list`.
        Ok((_, None)) | Err(_) => Ok(Told::default()),
    }
}
