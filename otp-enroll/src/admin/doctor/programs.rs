//! What programs do with PAM, known by the names of their services.

/// Programs that ask once, and answer each question of PAM with what was typed. They set no credentials.
const ASK_ONCE: [&str; 24] = [
    "cups",
    "cyrus",
    "dovecot",
    "exim",
    "exim4",
    "freeradius",
    "ftp",
    "httpd",
    "imap",
    "managesieve",
    "nginx",
    "openvpn",
    "pop",
    "pop3",
    "postgresql",
    "prosody",
    "radiusd",
    "saslauthd",
    "sieve",
    "smtp",
    "smtpd",
    "squid",
    "vsftpd",
    "xmpp",
];

/// Screen lockers, and polkit's helper. They set no credentials, or ignore the result.
const OF_A_SESSION: [&str; 6] = ["i3lock", "polkit-1", "swaylock", "vlock", "xlock", "xscreensaver"];

/// Screen lockers with one field, the text in which answers each question of PAM.
const LOCKERS_OF_ONE_FIELD: [&str; 2] = ["i3lock", "swaylock"];

/// Programs that users start with root's rights and that know who has started them.
const STARTED_BY_USERS: [&str; 8] = ["chfn", "chsh", "newgrp", "passwd", "runuser", "runuser-l", "su", "su-l"];

/// Whether a question after the first one is usually answered with what was typed at the first.
pub(super) fn asks_once(service: &str) -> bool {
    ASK_ONCE.contains(&service)
}

/// Whether it rejects users whose session PAM refuses.
pub(super) fn needs_a_session(service: &str) -> bool {
    ["login", "su", "su-l", "sudo", "sudo-i"].contains(&service)
}

/// Whether each question of PAM is answered with the same text there. OpenVPN can be told to answer them apart.
pub(super) fn has_one_field(service: &str) -> bool {
    (asks_once(service) && service != "openvpn") || runs_as_its_user(service)
}

/// Whether it is one of those and a screen locker, whose user is there and cannot open the records.
pub(super) fn runs_as_its_user(service: &str) -> bool {
    LOCKERS_OF_ONE_FIELD.contains(&service)
}

/// Whether strangers do not reach it: its user has logged in before.
pub(super) fn is_of_a_session(service: &str) -> bool {
    OF_A_SESSION.contains(&service)
}

/// Whether a login that misses its enrollment is let in there.
pub(super) fn sets_no_credentials(service: &str) -> bool {
    asks_once(service) || is_of_a_session(service)
}

/// Whether it tells PAM who has started it. To a server of root all callers are root.
pub(super) fn knows_its_caller(service: &str) -> bool {
    STARTED_BY_USERS.contains(&service)
}
