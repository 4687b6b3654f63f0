//! What the policy's rules name: services that no program has, and groups that come before root.

use std::collections::BTreeSet;

use otp_core::decision::policy::Rule;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::system::name_service;

use super::finding::Finding;
use super::misnamed::distance;
use super::sshd;
use crate::pam::stack::{Folders, is_part};

/// The terminal that sshd reports while it authenticates, whatever the session gets.
const TERMINAL_OF_SSHD: &str = "ssh";

/// What people call a service, and its name.
const ALIASES: [(&str, &str); 6] = [
    ("ssh", "sshd"),
    ("openssh", "sshd"),
    ("openssh-server", "sshd"),
    ("xrdp", "xrdp-sesman"),
    ("gdm", "gdm-password"),
    ("getty", "login"),
];

/// Services of the name service that are on this machine, so that they answer without a network.
const LOCAL: [&[u8]; 6] = [b"files", b"compat", b"db", b"extrausers", b"altfiles", b"systemd"];

/// A rule that probably never matches, and what to do about it.
pub(super) struct Doubt {
    pub(super) what: String,
    pub(super) fix: String,
}

/// Rules that match no login, as far as the PAM files of this machine tell.
pub(super) fn doubts(site: &Site, folders: &Folders) -> Vec<Doubt> {
    let services = folders.services().unwrap_or_default();
    let mut doubts = Vec::new();
    for rule in &site.config.settings.policy.rules {
        let Some(service) = rule.service.as_deref() else { continue };
        let mut doubt = |what: String, fix: String| {
            let place = format!("{}:{}: policy.rule", site.path.display(), rule.line);
            doubts.push(Doubt { what: format!("{place} {what}"), fix });
        };
        if !folders.has(service) {
            let fix = match meant(service, &services) {
                Some(name) => format!("write {name:?}, if that is meant"),
                None => "write the name as the program gives it to PAM: that of its file in /etc/pam.d".to_owned(),
            };
            doubt(format!("names the service {service}, which no PAM folder has: the rule matches no login"), fix);
        } else if is_part(service) {
            let fix =
                "write the name of a service that includes the file, in a rule for each, or leave the service out";
            doubt(
                format!("names {service}, a part of PAM files and no service: the rule matches no login"),
                fix.into(),
            );
        } else if service == sshd::SERVICE
            && let Some(tty) = rule.tty.as_deref().filter(|tty| *tty != TERMINAL_OF_SSHD)
        {
            let fix = format!("leave tty out, or write tty = {TERMINAL_OF_SSHD:?}");
            doubt(
                format!(
                    "names the terminal {tty}, but sshd reports {TERMINAL_OF_SSHD} at each login: it never matches"
                ),
                fix,
            );
        }
    }
    doubts
}

/// The service that was probably meant.
fn meant<'a>(name: &str, services: &'a BTreeSet<String>) -> Option<&'a str> {
    let find = |is_meant: &dyn Fn(&str) -> bool| services.iter().map(String::as_str).find(|service| is_meant(service));
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, service)| *service);
    alias
        .or_else(|| find(&|service| distance(name, service) <= 1))
        .or_else(|| find(&|service| service.starts_with(name)))
}

/// A group is looked up for root too, unless a rule before it decides about root by name.
pub(super) fn group_before_root(site: &Site) -> Option<Finding> {
    let rule = site.config.settings.policy.group_before("root")?;
    let Rule { group: Some(group), line, .. } = rule else { return None };
    let is_known = accounts::group(group, &mut |_| {}).is_ok_and(|found| found.is_some());
    let services = name_service::of_groups().unwrap_or_default();
    let far: Vec<_> = services.iter().filter(|service| !LOCAL.contains(&service.as_slice())).collect();
    let away = match far.first() {
        // That the group does not exist is a fault, which the check of the configuration reports.
        None if !is_known => return None,
        Some(service) => format!("if {} does not answer", String::from_utf8_lossy(service)),
        None => "if the group cannot be looked up".to_owned(),
    };
    let what = format!(
        "{}:{line}: the group {group} is looked up for root too: {away}, root is refused like all others",
        site.path.display()
    );
    let fix =
        "put a rule for root by name first: [[policy.rule]] user = \"root\", with the second_factor that root needs";
    let finding = if far.is_empty() { Finding::note } else { Finding::warning };
    Some(finding("configuration", what, fix))
}

/// What `admin explain` says of a service without a PAM file.
pub(super) fn remark_on(service: &str, folders: &Folders) -> Option<String> {
    if folders.has(service) {
        return None;
    }
    let meant = service_meant(service, folders).map_or_else(String::new, |name| format!("; is {name} meant?"));
    Some(format!("No PAM folder has the service {service}{meant}"))
}

/// The service that was probably meant by a name that no service has.
pub(super) fn service_meant(service: &str, folders: &Folders) -> Option<String> {
    let services = folders.services().unwrap_or_default();
    meant(service, &services).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_that_was_meant_is_suggested() {
        let known = ["login", "sshd", "sudo", "sudo-i", "vsftpd"].map(str::to_owned).into();
        for (name, expected) in [
            ("ssh", Some("sshd")),
            ("openssh-server", Some("sshd")),
            ("shsd", Some("sshd")),
            ("sudo_i", Some("sudo-i")),
            ("vsftp", Some("vsftpd")),
            ("xrdp", Some("xrdp-sesman")),
            ("imap", None),
        ] {
            assert_eq!(meant(name, &known), expected, "{name}");
        }
    }
}
