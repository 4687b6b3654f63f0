//! What programs do with PAM, known by the names of their services.

/// Programs that ask once, and answer each question of PAM with what was typed. They set no credentials.
const ASK_ONCE: [&str; 22] = [
    "cups",
    "cyrus",
    "dovecot",
    "exim",
    "exim4",
    "freeradius",
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
    "xmpp",
];

/// Screen lockers, and polkit's helper. They set no credentials, or ignore the result.
const OF_A_SESSION: [&str; 6] = ["i3lock", "polkit-1", "swaylock", "vlock", "xlock", "xscreensaver"];

/// Programs that users start with root's rights and that know who has started them.
const STARTED_BY_USERS: [&str; 8] = ["chfn", "chsh", "newgrp", "passwd", "runuser", "runuser-l", "su", "su-l"];

/// Whether a question after the first one is usually answered with what was typed at the first.
pub(super) fn asks_once(service: &str) -> bool {
    ASK_ONCE.contains(&service)
}

/// Whether a login that misses its enrollment is let in there.
pub(super) fn sets_no_credentials(service: &str) -> bool {
    asks_once(service) || OF_A_SESSION.contains(&service)
}

/// Whether it tells PAM who has started it. To a server of root all callers are root.
pub(super) fn knows_its_caller(service: &str) -> bool {
    STARTED_BY_USERS.contains(&service)
}
