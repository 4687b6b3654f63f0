//! The names in a rule: a name that no login can ever have is an error. A rule that never matches protects nothing.
//!
//! Each function gives what the name must be in place of what it is, and `None` for a name that a login may have.

use crate::value::login_context::LoginContext;
use crate::value::search;

/// Most bytes of a login name (LOGIN_NAME_MAX - 1), and of a file name in a PAM folder (NAME_MAX).
const LONGEST: usize = 255;

/// What people write for more than one name. No name in a rule is a pattern.
const PATTERNS: [char; 3] = ['*', '?', '['];

/// Endings of the names of systemd's units.
const UNITS: [&str; 2] = [".service", ".socket"];

pub(super) fn of_users(name: &str) -> Option<String> {
    // The name service separates the fields of an account with colons. Names of a domain may have blanks inside.
    if name.contains(':') {
        return Some("a login name, which has no colon".into());
    }
    of_any(name, "login name", true)
}

pub(super) fn of_groups(name: &str) -> Option<String> {
    if name.contains(':') {
        return Some("the name of a group, which has no colon".into());
    }
    // A directory service may have groups with a comma in their names.
    of_any(name, "group", false)
}

pub(super) fn of_services(name: &str) -> Option<String> {
    of_any(name, "service", true).or_else(|| {
        let known = LoginContext::service(name);
        let stem = UNITS.iter().find_map(|unit| known.strip_suffix(unit)).filter(|stem| !stem.is_empty());
        if let Some(stem) = stem {
            Some(format!("the name of a PAM service, not of a unit of systemd: {stem:?}"))
        } else if name.contains('/') {
            Some(format!("the name of a PAM service, not a path: {known:?}"))
        } else if known != name {
            Some(format!("in lower case, as libpam writes the names of services: {known:?}"))
        } else {
            None
        }
    })
}

pub(super) fn of_terminals(name: &str) -> Option<String> {
    of_any(name, "terminal", true).or_else(|| {
        let name = LoginContext::terminal(name);
        // A login reports a device below /dev, without this folder or with it.
        let is_folder = name.is_empty() || name.ends_with('/') || name == "pts";
        let is_elsewhere = name.starts_with('/') || name.starts_with("dev/") || search::holds(&name, "//");
        (is_folder || is_elsewhere).then(|| "the name of one terminal, like \"tty1\" or \"pts/0\"".into())
    })
}

fn of_any(name: &str, kind: &str, is_without_comma: bool) -> Option<String> {
    if name.contains(PATTERNS) || (is_without_comma && name.contains(',')) {
        Some(format!("one {kind}: patterns and lists are not read; write a rule for each {kind}"))
    } else if name.trim() != name {
        Some("written without blanks at its ends".into())
    } else if name.len() > LONGEST {
        Some(format!("a {kind} of at most {LONGEST} bytes"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(of: fn(&str) -> Option<String>, name: &str) -> String {
        of(name).unwrap_or_else(|| panic!("{name:?} may match"))
    }

    #[test]
    fn a_service_is_named_as_libpam_names_it() {
        for (name, expected) in [
            ("XRDP-Sesman", "in lower case, as libpam writes the names of services: \"xrdp-sesman\""),
            ("SSHD", "in lower case, as libpam writes the names of services: \"sshd\""),
            ("sshd.service", "the name of a PAM service, not of a unit of systemd: \"sshd\""),
            ("SSHD.Service", "the name of a PAM service, not of a unit of systemd: \"sshd\""),
            ("ssh.socket", "the name of a PAM service, not of a unit of systemd: \"ssh\""),
            ("/etc/pam.d/sshd", "the name of a PAM service, not a path: \"sshd\""),
            ("sshd*", "one service: patterns and lists are not read; write a rule for each service"),
            ("sshd,login", "one service: patterns and lists are not read; write a rule for each service"),
            (" sshd", "written without blanks at its ends"),
            ("sshd\u{a0}", "written without blanks at its ends"),
        ] {
            assert_eq!(wanted(of_services, name), expected, "{name:?}");
        }
        for name in ["sshd", "su-l", "gdm-password", "polkit-1", "xrdp-sesman", "other", ".service", "a b", "ä"] {
            assert_eq!(of_services(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_terminal_is_one_device_below_dev() {
        for name in ["pts/*", "tty?", "tty[1-6]", "pts/0,pts/1"] {
            assert!(wanted(of_terminals, name).starts_with("one terminal: "), "{name:?}");
        }
        for name in ["/dev/", "/dev/pts", "pts", "pts/", "dev/tty1", "/tty1", "/dev//tty1", "/dev/dev/tty1", "pts//0"] {
            assert!(wanted(of_terminals, name).starts_with("the name of one terminal, "), "{name:?}");
        }
        assert_eq!(wanted(of_terminals, "tty1 "), "written without blanks at its ends");
        for name in ["tty1", "/dev/tty1", "pts/0", "/dev/pts/0", "ssh", ":0", "ttyS0", "hvc0", "cron"] {
            assert_eq!(of_terminals(name), None, "{name:?}");
        }
    }

    #[test]
    fn users_and_groups_are_single_names() {
        for name in ["*", "alice*", "a?", "[ab]", " alice", "alice\u{2003}", "alice:x", &"é".repeat(128)] {
            assert!(of_users(name).is_some() && of_groups(name).is_some(), "{name:?}");
        }
        assert!(of_users("alice,bob").is_some() && of_groups("Team, EU").is_none());
        // What a domain may call an account or a group. Whether there is one, only the name service knows.
        for name in ["MONA", "DOM\\mona", "mona@example.org", "domain users", "host$", "%wheel", "@admins", "é"] {
            assert!(of_users(name).is_none() && of_groups(name).is_none(), "{name:?}");
        }
    }
}
