//! What the Defaults of sudo make of its logins: other PAM services, and other passwords than that of who asks.

use std::path::Path;
use std::process::{Command, Stdio};

const SUDOERS: &str = "/etc/sudoers";

/// Settings that name a PAM service, the command that asks it, and the service that is asked without the setting.
const SERVICES: [(&str, &str, &[&str]); 3] = [
    ("pam_service", "sudo", &["sudo"]),
    ("pam_login_service", "sudo -i", &["sudo", "sudo-i"]),
    ("pam_askpass_service", "sudo -A", &["sudo"]),
];

/// Settings with which another user's password is asked for, and whose.
const OTHER_PASSWORDS: [(&str, &str); 3] =
    [("rootpw", "root"), ("targetpw", "the user whose rights are wanted"), ("runaspw", "the user of runas_default")];

/// A service that sudo asks in place of its own.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) name: String,
    /// The setting.
    pub(crate) by: &'static str,
    /// `sudo -i`
    pub(crate) command: &'static str,
    /// For all users, commands and hosts.
    pub(crate) for_all: bool,
}

/// The Defaults, as sudo's own reader of its files tells them, with all that they include.
pub(crate) fn defaults() -> String {
    if !Path::new(SUDOERS).exists() {
        return String::new();
    }
    let mut reader = Command::new("cvtsudoers");
    reader.args(["-f", "sudoers", SUDOERS]).env("LC_ALL", "C").stdin(Stdio::null());
    let told = reader.output().ok().filter(|output| output.status.success());
    told.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The services in place of `sudo` and `sudo-i`.
pub(crate) fn others(defaults: &str) -> Vec<Other> {
    let named = |(for_all, setting): (bool, &str)| {
        let (setting, name) = setting.split_once('=')?;
        let (by, command, own) = SERVICES.into_iter().find(|(by, ..)| *by == setting)?;
        let name = name.trim_matches('"');
        (!own.contains(&name)).then(|| Other { name: name.to_owned(), by, command, for_all })
    };
    settings(defaults).filter_map(named).collect()
}

/// The setting with which another user's password, and so another user's code, is asked for, and whose.
pub(crate) fn other_password(defaults: &str) -> Option<(&'static str, &'static str)> {
    settings(defaults).find_map(|(_, setting)| OTHER_PASSWORDS.into_iter().find(|(name, _)| *name == setting))
}

/// Each setting, and whether it holds for all users, commands and hosts.
fn settings(defaults: &str) -> impl Iterator<Item = (bool, &str)> {
    let lines = defaults.lines().filter(|line| line.starts_with("Defaults"));
    lines.flat_map(|line| line.split([' ', '\t', ',']).map(|setting| (line.starts_with("Defaults "), setting)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_in_place_of_sudo_is_found() {
        let text = "Defaults env_reset, pam_service=zz\nDefaults:bob pam_service=\"vpn\"\nDefaults pam_service=sudo\n\
                    Defaults pam_login_service=x\nDefaults pam_login_service=sudo-i, pam_askpass_service=y\n\n\
                    root ALL = (ALL:ALL) ALL\n";
        let other = |name: &str, by, command, for_all| Other { name: name.into(), by, command, for_all };
        let expected = [
            other("zz", "pam_service", "sudo", true),
            other("vpn", "pam_service", "sudo", false),
            other("x", "pam_login_service", "sudo -i", true),
            other("y", "pam_askpass_service", "sudo -A", true),
        ];
        assert_eq!(others(text), expected);
    }

    #[test]
    fn a_password_of_another_user_is_found() {
        assert_eq!(
            other_password("Defaults env_reset, !rootpw\nDefaults:bob targetpw\n").map(|it| it.0),
            Some("targetpw")
        );
        assert_eq!(other_password("Defaults !rootpw\nALL ALL = (root) rootpw\n"), None);
    }
}
