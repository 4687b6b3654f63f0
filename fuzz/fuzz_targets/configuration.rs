//! The configuration: every value of the document is found, and all others have their default.
//!
//! This target reads the values a second time, from the TOML document, in another way.

#![no_main]

use std::net::IpAddr;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use otp_core::config::{Config, agent_hosts, senders};
use otp_core::decision::policy::{Policy, Source, Terms};
use otp_core::decision::verify::LockFor;
use otp_core::record::credentials::Override;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use pam_otp_fuzz::place;
use toml::de::{DeTable, DeValue};

/// Rules that are tried against each other. A hostile file of thousands proves no more.
const RULES: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = Path::new("f");
    for error in [agent_hosts::read(path, text).1, senders::read(path, text).1].concat() {
        assert!(!error.to_string().contains(char::is_control), "an error of more than a line: {error:?}");
    }
    let config = match Config::parse(Path::new("f"), text) {
        Ok(config) => config,
        Err(error) => {
            let text_of_error = error.to_string();
            assert!(!text_of_error.contains(char::is_control), "an error of more than a line: {text_of_error:?}");
            assert!(
                error.line.is_none_or(|line| (1..=text.matches('\n').count() + 1).contains(&line)),
                "{text_of_error}"
            );
            return;
        }
    };
    let document = DeTable::parse(text).expect("what was read is TOML");
    let document = document.get_ref();

    // These are read apart.
    let left = ["agent", "sms", "email"].into_iter().filter_map(|key| document.get(key));
    let left: usize = left.map(|value| leaves_of(value.get_ref())).sum();
    let mut words = Words { document, unread: leaves(document) - left };
    words.compare("", "issuer", config.settings.issuer.as_deref(), None);
    words.compare("", "state_directory", config.state_directory.to_str(), Some("/var/lib/pam_otp"));
    words.compare("", "seal_keys", config.seal_keys.as_deref().and_then(|path| path.to_str()), None);
    words.compare("", "enforce", Some(config.settings.enforce), Some(true));
    words.compare("code", "digits", Some(config.settings.code.digits.get()), Some(6));
    words.compare("code", "period", Some(config.settings.code.period.get()), Some(30));
    words.compare("code", "algorithm", Some(config.settings.code.algorithm.name()), Some("SHA1"));
    words.compare("code", "window", Some(config.settings.limits.window), Some(1));
    words.compare("lockout", "after", Some(config.settings.limits.lock_after), Some(6));
    let lock_for = match config.settings.limits.lock_for {
        LockFor::Time(length) => Length(Some(length.0)),
        LockFor::UntilUnlocked => Length(None),
    };
    words.compare("lockout", "for", Some(lock_for), Some(Length(Some(900))));
    words.compare("recovery", "codes", Some(config.settings.recovery_codes), Some(10));
    words.compare("grace", "for", config.settings.grace.map(|length| Length(Some(length.0))), None);
    words.compare("", "language", config.language.as_deref(), None);
    for (key, text) in
        [("code", &config.prompt), ("password_and_code", &config.prompt_both), ("refused", &config.refused)]
    {
        words.compare("prompt", key, text.as_deref(), None);
    }
    words.compare("policy", "second_factor", Some(config.settings.policy.terms.second_factor.name()), Some("optional"));
    words.compare("policy", "required_from", config.settings.policy.terms.required_from.map(Day), None);
    assert_eq!(words.unread, 0, "a key was overlooked");

    let rules = rules(document);
    assert_eq!(rules.len(), config.settings.policy.rules.len(), "a rule was overlooked");
    for (rule, read) in rules.iter().zip(&config.settings.policy.rules) {
        let mut words = Words { document: rule, unread: leaves(rule) };
        for (key, name) in [("user", &read.user), ("group", &read.group), ("service", &read.service)] {
            words.compare("", key, name.as_deref(), None);
        }
        words.compare("", "tty", read.tty.as_deref().map(Terminal), None);
        words.compare("", "second_factor", Some(read.terms.second_factor.name()), None);
        words.compare("", "required_from", read.terms.required_from.map(Day), None);
        let unread = words.unread - usize::from(rule.contains_key("network"));
        assert_eq!((unread, read.network.is_some()), (0, rule.contains_key("network")), "a condition was overlooked");
        let names = [&read.user, &read.group, &read.service, &read.tty];
        assert!(names.iter().any(|name| name.is_some()) || read.network.is_some(), "a rule without a condition");
    }
    let strict = |terms: &Terms| terms.second_factor.name() == "required" || terms.second_factor.name() == "enroll";
    for terms in config.settings.policy.rules.iter().map(|rule| &rule.terms).chain([&config.settings.policy.terms]) {
        assert!(terms.required_from.is_none() || strict(terms), "a date for nothing");
    }
    logins(&config.settings.policy, &rules, place(data, usize::MAX));
});

/// Logins that some of the rules match: the first rule whose conditions all hold decides.
fn logins(policy: &Policy, rules: &[&DeTable<'_>], dice: usize) {
    let few: Vec<&DeTable<'_>> = rules.iter().copied().take(RULES).collect();
    let pick = |key: &str, turn: usize| -> Option<String> {
        let said: Vec<&str> = few.iter().filter_map(|rule| rule.get(key)?.get_ref().as_str()).collect();
        let which = (dice >> turn) % (said.len() + 1);
        said.get(which).map(|said| (*said).to_owned())
    };
    for turn in 0..8 {
        let user = pick("user", turn).unwrap_or_else(|| "nobody".into());
        let groups = [pick("group", turn + 3), pick("group", turn + 6)];
        let rhost = pick("network", turn + 1).map(|network| network.split('/').next().unwrap_or("").to_owned());
        let tty = pick("tty", turn + 2).map(|tty| tty.strip_prefix("/dev/").map_or(tty.clone(), str::to_owned));
        let service = pick("service", turn + 5).unwrap_or_else(|| "sshd".into());
        // What is no address is a name, for which more than one rule counts: the unit tests of the policy have those.
        let rhost = rhost.filter(|rhost| rhost.split('%').next().is_some_and(|host| host.parse::<IpAddr>().is_ok()));
        let login = LoginContext { service, rhost, tty, nullok: false, enroll: false, as_one: false, send: false };
        let member = |group: &str| Ok::<_, ()>(groups.iter().flatten().any(|known| known == group));
        let holds = |rule: &DeTable<'_>| {
            let said = |key: &str| rule.get(key).and_then(|value| value.get_ref().as_str());
            said("user").is_none_or(|name| name == user)
                && said("group").is_none_or(|name| member(name) == Ok(true))
                && said("service").is_none_or(|name| name == login.service)
                && said("tty")
                    .is_none_or(|name| Some(name.strip_prefix("/dev/").unwrap_or(name)) == login.tty.as_deref())
                && said("network")
                    .is_none_or(|network| login.rhost.as_deref().is_some_and(|from| inside(network, from)))
        };
        let decides = rules.iter().position(|rule| holds(rule));
        for now in [UnixTime(0), UnixTime(1_800_000_000), UnixTime(u64::MAX)] {
            let ruling = policy.ruling(&user, Override::None, &login, now, member).unwrap();
            assert_eq!(ruling.source, decides.map_or(Source::Default, |rule| Source::Rule(rule + 1)), "{login:?}");
            let terms = decides.map_or(policy.terms, |rule| policy.rules[rule].terms);
            let early = terms.required_from.is_some_and(|from| now < from);
            let name = if early { "optional" } else { terms.second_factor.name() };
            assert_eq!((ruling.second_factor.name(), ruling.required_from.is_some()), (name, early));
        }
        // No rule weakens an override.
        let ruling = policy.ruling(&user, Override::Required, &login, UnixTime(0), member).unwrap();
        assert_eq!(ruling.second_factor.name(), "required");
    }
}

/// Whether an address is in a network, octet by octet. An IPv4 address that is written as IPv6 is IPv4.
fn inside(network: &str, from: &str) -> bool {
    let (base, length) = network.split_once('/').expect("what was read is a network");
    let (base, length): (IpAddr, usize) = (base.parse().unwrap(), length.parse().unwrap());
    let from = from.split('%').next().unwrap();
    let Ok(from) = from.parse::<IpAddr>().map(|from| from.to_canonical()) else { return false };
    let (base, length) = match (base.to_canonical(), base) {
        (four @ IpAddr::V4(_), IpAddr::V6(_)) if length >= 96 => (four, length - 96),
        _ => (base, length),
    };
    match (base, from) {
        (IpAddr::V4(base), IpAddr::V4(from)) => same(&base.octets(), &from.octets(), length),
        (IpAddr::V6(base), IpAddr::V6(from)) => same(&base.octets(), &from.octets(), length),
        _ => false,
    }
}

fn same(one: &[u8], two: &[u8], bits: usize) -> bool {
    (0..bits).all(|bit| (one[bit / 8] ^ two[bit / 8]) >> (7 - bit % 8) & 1 == 0)
}

fn rules<'t>(document: &'t DeTable<'t>) -> Vec<&'t DeTable<'t>> {
    let policy = document.get("policy").and_then(|policy| policy.get_ref().as_table());
    let rules = policy.and_then(|policy| policy.get("rule")?.get_ref().as_array());
    rules.into_iter().flat_map(|rules| rules.iter()).map(|rule| rule.get_ref().as_table().expect("a table")).collect()
}

/// The number of keys with a plain value. Rules are counted on their own.
fn leaves(table: &DeTable<'_>) -> usize {
    table.values().map(|value| leaves_of(value.get_ref())).sum()
}

fn leaves_of(value: &DeValue<'_>) -> usize {
    value.as_table().map_or(usize::from(value.as_array().is_none()), leaves)
}

struct Words<'t> {
    document: &'t DeTable<'t>,
    /// Keys that were not compared yet.
    unread: usize,
}

impl Words<'_> {
    /// The value that was read is that of the key, or the default if the key is not set.
    fn compare<T: Said + std::fmt::Debug + PartialEq>(
        &mut self,
        table: &str,
        key: &str,
        read: Option<T>,
        default: Option<T>,
    ) {
        let table = match table {
            "" => Some(self.document),
            table => self.document.get(table).map(|found| found.get_ref().as_table().expect("a table")),
        };
        match table.and_then(|table| table.get(key)) {
            None => assert_eq!(read, default, "{key}"),
            Some(said) => {
                self.unread -= 1;
                assert!(read.as_ref().is_some_and(|read| read.said(said.get_ref())), "{key}: {read:?} of {said:?}");
            }
        }
    }
}

/// Whether a value of the document means this.
trait Said {
    fn said(&self, value: &DeValue<'_>) -> bool;
}

impl Said for &str {
    fn said(&self, value: &DeValue<'_>) -> bool {
        value.as_str() == Some(*self)
    }
}

impl Said for bool {
    fn said(&self, value: &DeValue<'_>) -> bool {
        value.as_bool() == Some(*self)
    }
}

macro_rules! number {
    ($($number:ty),*) => {$(
        impl Said for $number {
            fn said(&self, value: &DeValue<'_>) -> bool {
                let number = value.as_integer().expect("a number");
                i128::from_str_radix(number.as_str(), number.radix()) == Ok(i128::from(*self))
            }
        }
    )*};
}
number!(u8, u32, u64);

/// Seconds; `None` is without end.
#[derive(Debug, PartialEq)]
struct Length(Option<u64>);

impl Said for Length {
    fn said(&self, value: &DeValue<'_>) -> bool {
        let text = value.as_str().expect("a text");
        let Some(seconds) = self.0 else { return text == "until-unlocked" };
        [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)].iter().any(|(unit, length)| {
            let number = text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
            number.and_then(|number| number.checked_mul(*length)) == Some(seconds)
        })
    }
}

#[derive(Debug, PartialEq)]
struct Terminal<'a>(&'a str);

impl Said for Terminal<'_> {
    fn said(&self, value: &DeValue<'_>) -> bool {
        value.as_str().is_some_and(|text| text == self.0 || text.strip_prefix("/dev/") == Some(self.0))
    }
}

#[derive(Debug, PartialEq)]
struct Day(UnixTime);

impl Said for Day {
    fn said(&self, value: &DeValue<'_>) -> bool {
        self.0.0.is_multiple_of(86_400) && value.as_datetime().is_some_and(|date| date.to_string() == self.0.day())
    }
}
