//! Recovery codes of one user on this host, for when no verifier of the fleet answers. They are shown once.

use nix::unistd::getuid;
use otp_core::protocol::request::Confidential;
use otp_core::service::break_glass;
use otp_core::service::caller::Caller;
use otp_core::system::config_file::Site;
use otp_core::value::user::Account;
use serde::Serialize;

use crate::client;
use crate::error::CliError;
use crate::ui::layout;
use crate::ui::output::Output;

#[derive(Serialize)]
struct Issued<'a> {
    user: &'a str,
    changed: bool,
    recovery_codes: &'a [Confidential],
}

pub(super) fn issue(site: &Site, account: &Account, output: &Output) -> Result<(), CliError> {
    let user = account.name.as_str();
    if !site.config.is_of_fleet(user) {
        return Err(CliError::Reported {
            error: format!("this host keeps the record of {user} itself: no verifier is asked about this user"),
            hint: "see authority and local in pam_otp.toml; without a fleet, recovery codes are the user's: otp-enroll recovery"
                .into(),
        });
    }
    let codes = break_glass::issue(site, account, Caller::here(getuid().as_raw(), true, &client::log))?;
    let shown = output.secret(&Issued { user, changed: true, recovery_codes: &codes }, |lines| {
        let user = layout::escaped(user);
        lines.add(format_args!(
            "Recovery codes of {user} on this host, each good once where no verifier answers. They are not shown again."
        ));
        lines.add_blank();
        codes.iter().for_each(|code| lines.add(format_args!("    {}", code.expose())));
    });
    shown.map_err(CliError::although_done)
}
