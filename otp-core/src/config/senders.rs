//! `[sms]` and `[email]`: the programs that send codes, and how many messages they may send.
//!
//! Logins do not read these tables: an error in them refuses what would be sent, and nothing else.

use std::cell::RefCell;
use std::path::Path;

use crate::config::budget::Budget;
use crate::config::error::ConfigError;
use crate::config::table::{Section, Source, without_comments};
use crate::value::destination::Channel;
use crate::value::time::Seconds;

/// The programs that send. Without its program a kind of message is not sent, and there are no devices of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senders {
    pub sms: Option<Sender>,
    pub email: Option<Sender>,
}

/// A program that sends, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The program's absolute path and its arguments. The number or address comes after them.
    pub send: Vec<String>,
    /// The messages to one user, and to one number or address.
    pub limit: Budget,
    /// How a number must begin, each `+` and digits. None: every number will do. Addresses have none.
    pub prefixes: Vec<String>,
    /// The messages of this kind to all users in an hour.
    pub hour: u32,
    /// The same in a day.
    pub day: u32,
}

impl Senders {
    /// The program that sends messages of a kind.
    pub fn of(self, channel: Channel) -> Option<Sender> {
        match channel {
            Channel::Sms => self.sms,
            Channel::Email => self.email,
        }
    }
}

/// What the configuration says of senders, and all errors in that.
pub fn read(path: &Path, text: &str) -> (Senders, Vec<ConfigError>) {
    let (mut senders, text, errors) = (Senders::default(), without_comments(text), RefCell::default());
    let source = Source { path, text: &text, errors: &errors };
    match source.document() {
        Ok(document) => {
            let mut top = source.section(&document);
            top.section("sms", |table| senders.sms = Sender::read(table, HasPrefixes::Yes));
            top.section("email", |table| senders.email = Sender::read(table, HasPrefixes::No));
        }
        Err(error) => errors.borrow_mut().push(error),
    }
    (senders, errors.into_inner())
}

/// Whether it is a table with `prefixes`.
#[derive(Clone, Copy)]
enum HasPrefixes {
    Yes,
    No,
}

impl Sender {
    /// `None` where no program is named: the other keys then wait for one.
    fn read(table: &mut Section<'_>, has_prefixes: HasPrefixes) -> Option<Self> {
        let limit = Budget { most: 5, within: Seconds(900) };
        let mut sender = Self { send: Vec::new(), limit, prefixes: Vec::new(), hour: 100, day: 500 };
        let wanted =
            "a list of a program's absolute path and its arguments, like [\"/usr/local/lib/send\", \"--quiet\"]";
        table.set("send", &mut sender.send, wanted, |value| {
            value.texts(4000).filter(|words| words.first().is_some_and(|path| is_program(path)))
        });
        let wanted = "1 to 1000 messages and a time of 1 second to 1 day, like \"5/15m\"";
        table.set("limit", &mut sender.limit, wanted, |value| Budget::parse(&value.text(30)?));
        if let HasPrefixes::Yes = has_prefixes {
            let wanted = "a list of country codes, each + and 1 to 15 digits, like [\"+49\"]";
            table.set("prefixes", &mut sender.prefixes, wanted, |value| {
                value.texts(16).filter(|all| all.iter().all(|prefix| is_prefix(prefix)))
            });
        }
        for (key, most) in [("hour", &mut sender.hour), ("day", &mut sender.day)] {
            table.set(key, most, "1 to 1000000 messages", |value| {
                value.number().filter(|messages| (1..=1_000_000).contains(messages))
            });
        }
        Some(sender).filter(|sender| !sender.send.is_empty())
    }
}

fn is_program(path: &str) -> bool {
    path.starts_with('/') && !path.ends_with('/')
}

fn is_prefix(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn senders(text: &str) -> Result<Senders, String> {
        let (senders, errors) = read(Path::new("/c"), text);
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        if errors.is_empty() { Ok(senders) } else { Err(errors.join("\n")) }
    }

    #[test]
    fn a_sender_is_read_with_its_defaults_and_with_every_key() {
        let mut sender = Sender {
            send: vec!["/usr/local/lib/sms".into()],
            limit: Budget { most: 5, within: Seconds(900) },
            prefixes: vec![],
            hour: 100,
            day: 500,
        };
        let least = "issuer = \"other keys are read elsewhere\"\n[sms]\nsend = [\"/usr/local/lib/sms\"]\n";
        assert_eq!(senders(least), Ok(Senders { sms: Some(sender.clone()), email: None }));

        sender.limit = Budget { most: 1, within: Seconds(60) };
        (sender.hour, sender.day) = (1, 1_000_000);
        let more = "limit = \"1/1m\"\nhour = 1\nday = 1000000\n";
        let email = Sender { send: ["/usr/sbin/sendmail", "-i", "--"].map(str::to_owned).into(), ..sender.clone() };
        sender.prefixes = vec!["+49".into(), "+123456789012345".into()];
        let all = format!(
            "{least}{more}prefixes = [\"+49\", \"+123456789012345\"]\n\
             [email]\nsend = [\"/usr/sbin/sendmail\", \"-i\", \"--\"]\n{more}"
        );
        assert_eq!(senders(&all), Ok(Senders { sms: Some(sender), email: Some(email) }));
    }

    #[test]
    fn without_a_program_nothing_is_sent() {
        for none in ["", "[sms]\n[email]\n", "[sms]\nlimit = \"5/15m\"\nprefixes = [\"+1\"]\n[email]\nhour = 1\n"] {
            assert_eq!(senders(none), Ok(Senders::default()), "{none:?}");
        }
    }

    #[test]
    fn an_error_names_file_line_and_key() {
        let send = "a list of a program's absolute path and its arguments, like [\"/usr/local/lib/send\", \"--quiet\"]";
        for odd in [
            "\"/usr/sbin/sendmail\"",
            "[]",
            "[\"\"]",
            "[\"sendmail\"]",
            "[\"./sendmail\"]",
            "[\"/usr/sbin/\"]",
            "[\"/\"]",
            "[\"-i\", \"/usr/sbin/sendmail\"]",
            "[\"/usr/sbin/sendmail\", 1]",
            "[\"/usr/sbin/sendmail\", \"\"]",
            "[\"/usr/sbin/sendmail\", \"a\\nb\"]",
            "[\"/usr/sbin/sendmail\\u0000\"]",
        ] {
            let text = format!("[email]\nsend = {odd}\n");
            assert_eq!(senders(&text), Err(format!("/c:2: email.send must be {send}")), "{odd}");
        }
        let prefixes = "a list of country codes, each + and 1 to 15 digits, like [\"+49\"]";
        for odd in
            ["\"+49\"", "[]", "[\"49\"]", "[\"+\"]", "[\"+1234567890123456\"]", "[\"+4 9\"]", "[\"+٤٩\"]", "[\"-49\"]"]
        {
            let text = format!("[sms]\nprefixes = {odd}\n");
            assert_eq!(senders(&text), Err(format!("/c:2: sms.prefixes must be {prefixes}")), "{odd}");
        }
        for (text, expected) in [
            (
                "[sms]\nlimit = \"5\"\n",
                "/c:2: sms.limit must be 1 to 1000 messages and a time of 1 second to 1 day, like \"5/15m\"",
            ),
            ("[sms]\nhour = 0\n", "/c:2: sms.hour must be 1 to 1000000 messages"),
            ("[email]\nday = 1000001\n", "/c:2: email.day must be 1 to 1000000 messages"),
            ("[email]\nday = \"many\"\n", "/c:2: email.day must be 1 to 1000000 messages"),
            ("[sms]\nsender = 1\n", "/c:2: unknown key sms.sender; known keys: send, limit, prefixes, hour, day"),
            ("[email]\nprefixes = [\"+1\"]\n", "/c:2: unknown key email.prefixes; known keys: send, limit, hour, day"),
            ("sms = \"/usr/local/lib/sms\"\n", "/c:1: sms must be a table"),
            ("[[email]]\nhour = 1\n", "/c:1: email must be a table"),
        ] {
            assert_eq!(senders(text), Err(expected.into()), "{text}");
        }
        assert!(senders("[sms\n").is_err());
    }
}
