//! What a person reads when a service is on: who is asked now, how to try it, and the way back.

use otp_core::system::config_file::Site;
use otp_core::value::time::UnixTime;

use super::kept::Kept;
use super::plan::spoken;
use crate::admin::doctor;
use crate::admin::foreseen::{Outcome, foresee};
use crate::admin::known_user::KnownUser;
use crate::cli::Common;
use crate::client::account;
use crate::language::moment;

/// Services that ask for the password and the code of the account that they open, and not of the person who asks.
const OPEN_OTHER_ACCOUNTS: [&str; 2] = ["su", "su-l"];

const ROOT: &str = "root";

/// `names`: the services that ask for a code now.
pub(super) fn of(kept: &Kept, names: &[String], common: &Common) -> String {
    let spoken = spoken(&kept.service);
    let how = if kept.key { "key" } else { "password" };
    let of_target = OPEN_OTHER_ACCOUNTS.contains(&kept.service.as_str());
    let log_in = match kept.service.as_str() {
        "sshd" => format!("Log in from a second terminal before you close this one, with {how} and code."),
        "sudo" => "Try it in a second terminal before you close this one, with a code that was not used yet: sudo -k; sudo true"
            .to_owned(),
        _ if of_target => "Try it in a second terminal before you close this one, not as root: su USER".to_owned(),
        service => format!("Log in through {service} before you close this session, with password and code."),
    };
    let asks = if names.len() == 1 { "asks" } else { "ask" };
    let after = if kept.key { "a key" } else { "the password" };
    let whom = if of_target {
        "for a code of the account that is opened, after the password of that account, if it has a device".to_owned()
    } else {
        format!("users with a device for a code, after {after}")
    };
    let mut lines = vec![format!("{} now {asks} {whom}. doctor finds no fault in that.", names.join(" and "))];
    if of_target {
        lines.extend(without_code_of_root(&kept.service, common));
    }
    lines.push(log_in);
    let sudo = if of_target { "" } else { "sudo " };
    match kept.until {
        Some(until) => {
            lines.push(format!(
                "This is a trial: at {} it is taken back, unless you confirm it from such a login:",
                moment(&until.to_string())
            ));
            lines.push(format!("    {sudo}otp-enroll admin turn-on {spoken} --confirm"));
        }
        // sudo itself may be what fails.
        None if kept.service == "sudo" => {
            lines.push("If that fails, in a shell of root (sudo -i here, before you close this terminal):".to_owned());
            lines.push(format!("    otp-enroll admin turn-off {spoken}"));
        }
        None => lines.push(format!("If that fails: {sudo}otp-enroll admin turn-off {spoken}")),
    }
    lines.join("\n")
}

/// Where the way to root asks for no code. What cannot be read is reported by doctor.
fn without_code_of_root(service: &str, common: &Common) -> Option<String> {
    let site = Site::load(common.config()).ok()?;
    let store = site.store().ok()?;
    let root = account(ROOT).ok()?;
    let record = store.read(&root).ok()?;
    let login = doctor::login_through(service)?;
    let now = UnixTime::now();
    let known = KnownUser::of_record(&site, record.as_ref(), &login, now);
    let foreseen = foresee(&site, &store, &root, &known, &login, now).ok()?;
    if foreseen.outcome != Outcome::NotAsked {
        return None;
    }
    Some(if foreseen.has_device {
        format!("{service} to {ROOT} asks for no code, by policy: otp-enroll admin explain {ROOT} --service {service}")
    } else {
        format!(
            "{ROOT} has no device, so {service} to {ROOT} asks for no code until it has one: otp-enroll --user {ROOT}"
        )
    })
}
