//! `[sms]` and `[email]`: the programs that send codes, how many messages they may send, and what these say.
//!
//! Logins do not read these tables: an error in them refuses what would be sent, and nothing else.

use std::cell::RefCell;
use std::path::Path;

use crate::config::budget::Budget;
use crate::config::error::ConfigError;
use crate::config::table::{Section, Source, Value};
use crate::config::wording::Wording;
use crate::decision::kinds::Kinds;
use crate::value::destination::Channel;
use crate::value::time::Seconds;

/// The programs that send. Without its program a kind of message is not sent, and there are no devices of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senders {
    pub sms: Option<Sender>,
    pub email: Option<Sender>,
}

/// A program that sends, how much, and what.
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
    /// What a message with a code says: `{code}`, `{host}`, `{service}`, `{from}`.
    pub text: Wording,
    /// What a message with a PIN says: `{pin}`, `{host}`.
    pub pin_text: Wording,
    /// The subjects of mails with a code and with a PIN: `{host}`. Text messages have none.
    pub subject: Wording,
    pub pin_subject: Wording,
}

/// Most characters of a text message, as it is configured: what one message has, unless it has letters that fill it sooner.
const LONGEST_SMS: usize = 160;
/// The same of a mail.
const LONGEST_MAIL: usize = 1000;
/// The same of its subject.
const LONGEST_SUBJECT: usize = 100;

impl Senders {
    /// The kinds of device to which a program sends.
    pub fn kinds(&self) -> Kinds {
        let kind = |channel, is_there: bool| if is_there { Kinds::of(channel) } else { Kinds::NONE };
        kind(Channel::Sms, self.sms.is_some()).or(kind(Channel::Email, self.email.is_some()))
    }

    /// The program that sends messages of a kind.
    pub fn of(self, channel: Channel) -> Option<Sender> {
        match channel {
            Channel::Sms => self.sms,
            Channel::Email => self.email,
        }
    }
}

/// The kinds of device to which a program sends: all that a process needs to know that sends nothing itself. It leaves the other
/// keys, and what is wrong with them, to the agent.
pub fn kinds(path: &Path, text: &str) -> Kinds {
    let (mut kinds, errors) = (Kinds::NONE, RefCell::default());
    let source = Source { path, text, errors: &errors };
    let document = source.document();
    if errors.borrow().all.is_empty() {
        let mut top = source.section(&document);
        for channel in Channel::ALL {
            top.section(channel.word(), |table| {
                let mut send = Vec::new();
                table.set("send", &mut send, "", |value| program(&value));
                if !send.is_empty() {
                    kinds = kinds.or(Kinds::of(channel));
                }
            });
        }
    }
    kinds
}

/// What the configuration says of senders, and all errors in that.
pub fn read(path: &Path, text: &str) -> (Senders, Vec<ConfigError>) {
    let (mut senders, errors) = (Senders::default(), RefCell::default());
    let source = Source { path, text, errors: &errors };
    let document = source.document();
    let mut top = source.section(&document);
    top.section("sms", |table| senders.sms = Sender::read(table, Channel::Sms));
    top.section("email", |table| senders.email = Sender::read(table, Channel::Email));
    (senders, errors.into_inner().all)
}

impl Sender {
    /// All defaults, with no program.
    fn of(channel: Channel) -> Self {
        let pin_text = match channel {
            Channel::Sms => "{pin} is the PIN to add this number on {host}. It is good for ten minutes.",
            Channel::Email => "{pin} is the PIN to add this address on {host}. It is good for ten minutes.",
        };
        let text = "{code} is your code for {host} ({service}[ from {from}]). Not you? Change your password.";
        Self {
            send: Vec::new(),
            limit: Budget { most: 5, within: Seconds(900) },
            prefixes: Vec::new(),
            hour: 100,
            day: 500,
            text: Wording::ours(text),
            pin_text: Wording::ours(pin_text),
            subject: Wording::ours("Your code for {host}"),
            pin_subject: Wording::ours("Your PIN for {host}"),
        }
    }

    /// `None` where no program is named: the other keys then wait for one.
    fn read(table: &mut Section<'_>, channel: Channel) -> Option<Self> {
        let mut sender = Self::of(channel);
        let wanted =
            "a list of a program's absolute path and its arguments, like [\"/usr/local/lib/send\", \"--quiet\"]";
        table.set("send", &mut sender.send, wanted, |value| program(&value));
        let wanted = "1 to 1000 messages and a time of 1 second to 1 day, like \"5/15m\"";
        table.set("limit", &mut sender.limit, wanted, |value| Budget::parse(&value.text(30)?));
        if channel == Channel::Sms {
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
        sender.read_wording(table, channel);
        Some(sender).filter(|sender| !sender.send.is_empty())
    }

    fn read_wording(&mut self, table: &mut Section<'_>, channel: Channel) {
        let (longest, are_lines) = match channel {
            Channel::Sms => (LONGEST_SMS, false),
            Channel::Email => (LONGEST_MAIL, true),
        };
        let of_code = ("code", &["host", "service", "from"][..], "{host}, {service} and {from}");
        let of_pin = ("pin", &["host"][..], "{host}");
        for (key, text, (needed, others, may_have)) in
            [("text", &mut self.text, of_code), ("pin_text", &mut self.pin_text, of_pin)]
        {
            let wanted = format!(
                "a text of 1 to {longest} characters that has {{{needed}}}, apart from other digits, and may have {may_have}, \
                 and parts in [ ] that are left out where a value is not known"
            );
            table.set(key, text, &wanted, |value| {
                let text = if are_lines { value.lines(longest) } else { value.text(longest) };
                Wording::parse(text?, Some(needed), others)
            });
        }
        if channel == Channel::Email {
            let wanted = format!("a text of 1 to {LONGEST_SUBJECT} characters that may have {{host}}");
            for (key, subject) in [("subject", &mut self.subject), ("pin_subject", &mut self.pin_subject)] {
                table.set(key, subject, &wanted, |value| Wording::parse(value.text(LONGEST_SUBJECT)?, None, &["host"]));
            }
        }
    }
}

fn program(value: &Value<'_>) -> Option<Vec<String>> {
    value.texts(4000).filter(|words| words.first().is_some_and(|path| is_program(path)))
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
        let mut sender = Sender { send: vec!["/usr/local/lib/sms".into()], ..Sender::of(Channel::Sms) };
        assert_eq!((sender.limit, sender.hour, sender.day), (Budget { most: 5, within: Seconds(900) }, 100, 500));
        let least = "issuer = \"other keys are read elsewhere\"\n[sms]\nsend = [\"/usr/local/lib/sms\"]\n";
        assert_eq!(senders(least), Ok(Senders { sms: Some(sender.clone()), email: None }));

        sender.limit = Budget { most: 1, within: Seconds(60) };
        (sender.hour, sender.day) = (1, 1_000_000);
        sender.text = Wording::parse("{code}: {host}".into(), Some("code"), &["host"]).unwrap();
        sender.pin_text = Wording::parse("{pin}".into(), Some("pin"), &[]).unwrap();
        let more = "limit = \"1/1m\"\nhour = 1\nday = 1000000\ntext = \"{code}: {host}\"\npin_text = \"{pin}\"\n";
        let mut email = Sender { send: ["/usr/sbin/sendmail", "-i", "--"].map(str::to_owned).into(), ..sender.clone() };
        email.subject = Wording::parse("Code".into(), None, &[]).unwrap();
        email.pin_subject = Wording::parse("PIN: {host}".into(), None, &["host"]).unwrap();
        sender.prefixes = vec!["+49".into(), "+123456789012345".into()];
        let all = format!(
            "{least}{more}prefixes = [\"+49\", \"+123456789012345\"]\n\
             [email]\nsend = [\"/usr/sbin/sendmail\", \"-i\", \"--\"]\n{more}\
             subject = \"Code\"\npin_subject = \"PIN: {{host}}\"\n"
        );
        assert_eq!(senders(&all), Ok(Senders { sms: Some(sender), email: Some(email) }));
    }

    #[test]
    fn kinds_are_those_with_a_program() {
        let (sms, email) = ("[sms]\nhour = 7\nsend = [\"/a\"]\n", "[email]\nsend = [\"/a\", \"--\"]\n");
        for text in [sms.to_owned(), email.to_owned(), format!("{sms}{email}")] {
            assert_eq!(kinds(Path::new("/c"), &text), senders(&text).unwrap().kinds(), "{text}");
        }
        for odd in ["[sms]\nsend = \"/a\"\n", "[sms]\nsend = [\"a\"]\n", "[sms]\nsend = []\n", "[sms\n"] {
            assert_eq!(kinds(Path::new("/c"), odd), Kinds::NONE, "{odd}");
        }
    }

    #[test]
    fn without_a_program_nothing_is_sent() {
        for none in ["", "[sms]\n[email]\n", "[sms]\nlimit = \"5/15m\"\nprefixes = [\"+1\"]\n[email]\nhour = 1\n"] {
            assert_eq!(senders(none), Ok(Senders::default()), "{none:?}");
            assert_eq!(kinds(Path::new("/c"), none), Kinds::NONE, "{none:?}");
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
            (
                "[sms]\nsender = 1\n",
                "/c:2: unknown key sms.sender; known keys: send, limit, prefixes, hour, day, text, pin_text",
            ),
            (
                "[email]\nprefixes = [\"+1\"]\n",
                "/c:2: unknown key email.prefixes; known keys: send, limit, hour, day, text, pin_text, subject, pin_subject",
            ),
            ("sms = \"/usr/local/lib/sms\"\n", "/c:1: sms must be a table"),
            ("[[email]]\nhour = 1\n", "/c:1: email must be a table"),
        ] {
            assert_eq!(senders(text), Err(expected.into()), "{text}");
        }
        assert!(senders("[sms\n").is_err());
    }

    #[test]
    fn the_default_texts_name_what_is_known() {
        let sms = Sender::of(Channel::Sms);
        let text = |service, from| {
            sms.text.with(&[("code", "481 2093"), ("host", "host.example"), ("service", service), ("from", from)])
        };
        assert_eq!(
            text("sshd", "203.0.113.9"),
            "481 2093 is your code for host.example (sshd from 203.0.113.9). Not you? Change your password."
        );
        assert_eq!(text("su-l", ""), "481 2093 is your code for host.example (su-l). Not you? Change your password.");
        for (channel, what) in [(Channel::Sms, "number"), (Channel::Email, "address")] {
            let sender = Sender::of(channel);
            let pin = sender.pin_text.with(&[("pin", "4812"), ("host", "h")]);
            assert_eq!(pin, format!("4812 is the PIN to add this {what} on h. It is good for ten minutes."));
            assert_eq!(sender.subject.with(&[("host", "h")]), "Your code for h");
            assert_eq!(sender.pin_subject.with(&[("host", "h")]), "Your PIN for h");
        }
    }

    #[test]
    fn a_text_shows_its_code_and_has_no_placeholder_that_is_not_known() {
        let rest = "are left out where a value is not known";
        let of_code = |most| {
            format!(
                "a text of 1 to {most} characters that has {{code}}, apart from other digits, and may have {{host}}, {{service}} and {{from}}, and parts in [ ] that {rest}"
            )
        };
        let of_pin = |most| {
            format!(
                "a text of 1 to {most} characters that has {{pin}}, apart from other digits, and may have {{host}}, and parts in [ ] that {rest}"
            )
        };
        let of_subject = "a text of 1 to 100 characters that may have {host}";
        let (long, longer, line) = ("x".repeat(156), "x".repeat(996), "\\n");
        for (table, most) in [("sms", 160), ("email", 1000)] {
            for (key, wanted, needed) in [("text", of_code(most), "{code}"), ("pin_text", of_pin(most), "{pin}")] {
                let long = if table == "sms" { &long } else { &longer };
                for odd in [
                    "\"\"".to_owned(),
                    "1".to_owned(),
                    "\"your code\"".to_owned(),
                    format!("\"{needed} {{Host}}\""),
                    format!("\"{needed} {{user}}\""),
                    format!("\"{needed} {{ host }}\""),
                    format!("\"{needed} {{}}\""),
                    format!("\"{needed} {{host\""),
                    format!("\"{needed} host}}\""),
                    format!("\"{needed} [{{host}}\""),
                    format!("\"{needed} {{host}}]\""),
                    format!("\"{needed} [host]\""),
                    format!("\"{needed} [[{{host}}]]\""),
                    format!("\"[{needed} {{host}}]\""),
                    format!("\"1{needed}\""),
                    format!("\"{needed}٣\""),
                    format!("\"{needed} {needed}{needed}\""),
                    format!("\"{{host}}{needed}\""),
                    format!("\"{needed} \\u0007\""),
                    format!("\"{long}{needed}\""),
                ] {
                    let text = format!("[{table}]\n{key} = {odd}\n");
                    assert_eq!(senders(&text), Err(format!("/c:2: {table}.{key} must be {wanted}")), "{odd}");
                }
                let text = format!("[{table}]\n{key} = \"{needed}{line}[ {{host}}]\"\n");
                assert_eq!(senders(&text).is_ok(), table == "email", "{text}");
            }
        }
        for key in ["subject", "pin_subject"] {
            for odd in ["\"\"", "\"{code}\"", "\"{pin}\"", "\"{host\"", "\"a\\nBcc: b\""] {
                let text = format!("[email]\n{key} = {odd}\n");
                assert_eq!(senders(&text), Err(format!("/c:2: email.{key} must be {of_subject}")), "{odd}");
            }
        }
        // Other brackets and letters of any language are plain text.
        let text = "[sms]\nsend = [\"/a\"]\ntext = \"{code} – Ihr Schlüssel für „{host}“ (von {from}?)\"\n";
        let values = [("code", "1"), ("host", "h"), ("service", "s"), ("from", "")];
        assert_eq!(senders(text).unwrap().sms.unwrap().text.with(&values), "1 – Ihr Schlüssel für „h“ (von ?)");
    }
}
