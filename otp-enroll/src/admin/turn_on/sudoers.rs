//! The PAM services that sudo asks: its Defaults may name others.

use std::path::Path;
use std::process::{Command, Stdio};

const SUDOERS: &str = "/etc/sudoers";

/// A service that sudo asks in place of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) name: String,
    /// For all users, commands and hosts.
    pub(super) for_all: bool,
}

/// The services in place of `sudo`, as sudo's own reader of its files tells them, with all that they include.
pub(super) fn others() -> Vec<Other> {
    if !Path::new(SUDOERS).exists() {
        return Vec::new();
    }
    let mut reader = Command::new("cvtsudoers");
    reader.args(["-f", "sudoers", SUDOERS]).env("LC_ALL", "C").stdin(Stdio::null());
    let told = reader.output().ok().filter(|output| output.status.success());
    told.map(|output| in_text(&String::from_utf8_lossy(&output.stdout))).unwrap_or_default()
}

fn in_text(text: &str) -> Vec<Other> {
    let lines = text.lines().filter(|line| line.starts_with("Defaults"));
    let others = lines.flat_map(|line| {
        let for_all = line.starts_with("Defaults ");
        let settings = line.split([' ', '\t', ',']);
        let names = settings.filter_map(|setting| setting.strip_prefix("pam_service="));
        names.map(move |name| Other { name: name.trim_matches('"').to_owned(), for_all })
    });
    others.filter(|other| other.name != "sudo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_in_place_of_sudo_is_found() {
        let text = "Defaults env_reset, pam_service=zz\nDefaults:bob pam_service=\"vpn\"\nDefaults pam_service=sudo\n\
                    Defaults pam_login_service=x\n\nroot ALL = (ALL:ALL) ALL\n";
        let other = |name: &str, for_all| Other { name: name.into(), for_all };
        assert_eq!(in_text(text), [other("zz", true), other("vpn", false)]);
    }
}
