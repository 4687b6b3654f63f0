//! Services through which users without a shell log in: mail, VPN, FTP and others that start no shell.

use crate::pam::pam_conf::Group;
use crate::pam::stack::{Folders, Stack};

/// PAM services of programs that look at no shell.
const WITHOUT_SHELL: [&str; 39] = [
    "apache2",
    "cups",
    "cyrus",
    "dovecot",
    "ejabberd",
    "exim",
    "exim4",
    "freeradius",
    "ftp",
    "ftpd",
    "httpd",
    "imap",
    "ipsec",
    "lmtp",
    "managesieve",
    "mariadb",
    "mysql",
    "nginx",
    "ocserv",
    "openvpn",
    "pop",
    "pop3",
    "postgresql",
    "ppp",
    "pptpd",
    "proftpd",
    "prosody",
    "pure-ftpd",
    "radiusd",
    "samba",
    "saslauthd",
    "sieve",
    "smtp",
    "smtpd",
    "squid",
    "strongswan",
    "vsftpd",
    "xl2tpd",
    "xmpp",
];

/// Whether a login through a service needs a shell: it gives one, or pam_shells.so refuses users who have none.
pub(super) fn is_needed(folders: &Folders, service: &str) -> bool {
    let asks_for_shell = |group| {
        Stack::read(folders, service, group).is_ok_and(|stack| stack.lines_of("pam_shells.so").next().is_some())
    };
    !WITHOUT_SHELL.contains(&service) || asks_for_shell(Group::Auth) || asks_for_shell(Group::Account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_service_that_starts_no_shell_needs_none_unless_its_stack_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("vsftpd", "auth required pam_shells.so\nauth required pam_unix.so\n");
        write("proftpd", "auth required pam_unix.so\naccount include checks\n");
        write("checks", "account required pam_shells.so\n");
        write("openvpn", "auth required pam_unix.so\n#auth required pam_shells.so\n");
        let folders = Folders::new(Some(folder.path()));
        for (service, expected) in [
            ("sshd", true),
            ("vsftpd", true),
            ("proftpd", true),
            ("openvpn", false),
            ("dovecot", false),
            ("no-such-service", true),
        ] {
            assert_eq!(is_needed(&folders, service), expected, "{service}");
        }
    }
}
