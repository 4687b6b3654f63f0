//! A record stays on a host where the fleet has other devices of its user. Here it is removed, and the fleet's count alone.

use otp_core::error::CoreError;
use otp_core::protocol::request::Adopted;
use otp_core::record::change::Change;
use otp_core::store::change;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::Note;
use otp_core::system::config_file::Site;
use otp_core::value::user::Account;

use super::fleet::would_adopt;
use crate::client;
use crate::error::CliError;
use crate::ui::output::Output;
use crate::user::commands::Changed;

pub(super) fn discard(
    site: &Site,
    store: &FileStore,
    account: &Account,
    yes: bool,
    output: &Output,
) -> Result<(), CliError> {
    let user = account.name.as_str();
    if !site.config.is_of_fleet(user) {
        return Err(CliError::Reported {
            error: format!("this host keeps the record of {user} itself: no other one counts here"),
            hint: format!("otp-enroll admin disable {user} removes it; see authority and local in pam_otp.toml"),
        });
    }
    if store.read(account).map_err(CoreError::from)?.is_none() {
        return Err(CliError::Reported {
            error: format!("this host has no record of {user}"),
            hint: "otp-enroll admin fleet status names users with a record here that the fleet was not given".into(),
        });
    }
    if !yes {
        output.confirm(&format!(
            "Remove the record of {user} on this host, which the fleet was not given? The devices that the fleet has of {user} stay. \
             Continue?"
        ))?;
    }
    // Asked at the end: a user of whom the fleet has no device would be one without a second factor.
    let error = match would_adopt(user)?.record {
        Adopted::Other => {
            change(store, account, &Note::here("discarded"), |_| (Change::Nothing, ())).map_err(CoreError::from)?;
            client::log_change(user, "discarded");
            let text = format!("{user}: the record is removed here; the fleet's counts");
            return output.done(&Changed { user, changed: true }, &text);
        }
        Adopted::Taken => format!("the fleet has no devices of {user} that could take the place of this record"),
        Adopted::Joined => format!("the fleet has the devices of {user} that are in this record"),
    };
    let hint =
        format!("otp-enroll admin fleet push {user} gives it to the fleet, with what was used; nothing was changed");
    Err(CliError::Reported { error, hint })
}
