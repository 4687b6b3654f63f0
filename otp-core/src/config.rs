//! The configuration: what an administrator can set, the defaults, and how the file is read.

pub mod agent_hosts;
pub mod budget;
mod document;
pub mod error;
pub mod fleet;
pub mod module_arguments;
pub mod paths;
mod rule_names;
pub mod senders;
pub mod settings;
mod table;
pub mod wording;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::codes::hotp_totp::{Algorithm, Digits, Period};
use crate::codes::recovery::MOST_CODES;
use crate::config::error::ConfigError;
use crate::config::settings::Settings;
use crate::config::table::{Section, Source};
use crate::decision::kinds::Kinds;
use crate::decision::policy::{Policy, Rule, SecondFactor, Terms};
use crate::decision::verify::LockFor;
use crate::value::login_context::LoginContext;
use crate::value::network::Network;
use crate::value::time::Seconds;

/// Everything that an administrator can set. [`Config::default`] is the configuration of an empty file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub settings: Settings,
    /// The locale of the texts of a login, where its host has set none.
    pub language: Option<String>,
    /// The directory of the records; an absolute path.
    pub state_directory: PathBuf,
    /// The file with the keys of sealed seeds; an absolute path. `None` for [`paths::SEAL_KEYS`].
    pub seal_keys: Option<PathBuf>,
    /// Who keeps the records of users.
    pub authority: Keeper,
    /// The users whose records stay on this host, also where the fleet keeps the others.
    pub local: Vec<String>,
    /// The question for the code; `None` for ours, in the language of the login.
    pub prompt: Option<String>,
    /// The question for password and code in one.
    pub prompt_both: Option<String>,
    /// The message that the user sees for every refusal.
    pub refused: Option<String>,
}

/// Who keeps the records of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// This host.
    Host,
    /// The fleet of hosts, by its verifiers.
    Fleet,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            language: None,
            state_directory: PathBuf::from("/var/lib/pam_otp"),
            seal_keys: None,
            authority: Keeper::Host,
            local: vec!["root".to_owned()],
            prompt: None,
            prompt_both: None,
            refused: None,
        }
    }
}

impl Config {
    /// Whether the fleet keeps the record of this user. The name is compared as it is: that of an account, as the name service
    /// spells it.
    pub fn is_of_fleet(&self, user: &str) -> bool {
        self.authority == Keeper::Fleet && !self.local.iter().any(|name| name == user)
    }

    /// Reads the text of a configuration file; only errors use `path`. The error is the first one of the file.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let (config, errors) = Self::read(path, text);
        errors.into_iter().min_by_key(|error| error.line).map_or(Ok(config), Err)
    }

    /// What could be read, and all errors.
    pub(crate) fn read(path: &Path, text: &str) -> (Self, Vec<ConfigError>) {
        let (mut config, errors) = (Self::default(), RefCell::default());
        let source = Source { path, text, errors: &errors };
        let document = source.document();
        config.read_top(&mut source.section(&document));
        (config, errors.into_inner().all)
    }

    fn read_top(&mut self, top: &mut Section<'_>) {
        top.set("issuer", &mut self.settings.issuer, "a text of 1 to 60 characters without a colon", |value| {
            value.text(60).filter(|text| !text.contains(':')).map(Some)
        });
        top.set("language", &mut self.language, "a locale in UTF-8, like \"de_DE.UTF-8\"", |value| {
            value.text(60).filter(|name| is_locale(name)).map(Some)
        });
        top.set("state_directory", &mut self.state_directory, "an absolute path", |value| {
            value.text(4000).map(PathBuf::from).filter(|path| path.is_absolute())
        });
        top.set("seal_keys", &mut self.seal_keys, "an absolute path", |value| {
            value.text(4000).map(PathBuf::from).filter(|path| path.is_absolute()).map(Some)
        });
        top.set("authority", &mut self.authority, "\"local\" or \"fleet\"", |value| match value.text(10)?.as_str() {
            "local" => Some(Keeper::Host),
            "fleet" => Some(Keeper::Fleet),
            _ => None,
        });
        top.set("local", &mut self.local, "a list of login names, like [\"root\"]", |value| {
            let mut names = Vec::new();
            let take = &mut |name: &str| {
                names.push(name.to_owned());
                !name.is_empty() && rule_names::of_users(name).is_none()
            };
            (value.is_empty_list() || value.each_text(take)).then_some(names)
        });
        top.set("enforce", &mut self.settings.enforce, "true or false", |value| value.truth());
        top.section("code", |code| self.read_code(code));
        top.section("lockout", |lockout| self.read_lockout(lockout));
        top.section("recovery", |recovery| {
            recovery.set("codes", &mut self.settings.recovery_codes, "0 to 10", |value| {
                value.number().filter(|codes| *codes <= MOST_CODES)
            });
        });
        top.section("policy", |policy| self.settings.policy.read(policy));
        top.section("grace", |grace| {
            let wanted = "a duration of 1 second to 7 days, like \"12h\"";
            grace.set("for", &mut self.settings.grace, wanted, |value| {
                let length = Seconds::parse(&value.text(30)?)?;
                (1..=LONGEST_GRACE).contains(&length.0).then_some(Some(length))
            });
        });
        top.section("prompt", |prompt| {
            for (key, text) in [
                ("code", &mut self.prompt),
                ("password_and_code", &mut self.prompt_both),
                ("refused", &mut self.refused),
            ] {
                prompt.set(key, text, "a text of 1 to 200 characters", |value| value.text(200).map(Some));
            }
        });
        // Read by the agent, by what sends, and by administration: see `agent_hosts` and `senders`.
        for key in ["agent", "sms", "email"] {
            top.leave(key);
        }
        top.end();
    }

    fn read_code(&mut self, code: &mut Section<'_>) {
        code.set("digits", &mut self.settings.code.digits, "6, 7 or 8", |value| {
            Digits::try_from(value.number::<u8>()?).ok()
        });
        code.set("period", &mut self.settings.code.period, "10 to 300 seconds", |value| {
            Period::try_from(value.number::<u64>()?).ok()
        });
        code.set("algorithm", &mut self.settings.code.algorithm, "\"SHA1\", \"SHA256\" or \"SHA512\"", |value| {
            Algorithm::parse(&value.text(10)?)
        });
        code.set("window", &mut self.settings.limits.window, "0 to 10 steps", |value| {
            value.number().filter(|steps| *steps <= 10)
        });
    }

    fn read_lockout(&mut self, lockout: &mut Section<'_>) {
        lockout.set("after", &mut self.settings.limits.lock_after, "1 to 100 wrong codes", |value| {
            value.number().filter(|codes| (1..=100).contains(codes))
        });
        let wanted = "a number and s, m, h or d, like \"15m\", or \"until-unlocked\"";
        lockout.set("for", &mut self.settings.limits.lock_for, wanted, |value| LockFor::parse(&value.text(30)?));
    }
}

/// `language_COUNTRY.UTF-8`, perhaps with a `@variant`: no path, which newlocale(3) would follow.
fn is_locale(name: &str) -> bool {
    let (name, variant) = name.split_once('@').unwrap_or((name, ""));
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    name.rsplit_once('.').is_some_and(|(language, codeset)| {
        let is_utf8 = ["UTF-8", "utf8"].iter().any(|known| codeset.eq_ignore_ascii_case(known));
        is_utf8 && !language.is_empty() && is_word(language) && is_word(variant)
    })
}

/// Seven days, in seconds.
const LONGEST_GRACE: u64 = 7 * 86_400;

const KINDS: &str = "a list of kinds, none of them twice: \"totp\", \"hotp\", \"ocra\", \"sms\", \"email\"";

const SECOND_FACTORS: &str = "\"required\", \"enroll\", \"optional\" or \"skip\"";

impl Policy {
    fn read(&mut self, policy: &mut Section<'_>) {
        self.terms.read(policy);
        policy.sections("rule", |table| {
            let before = table.errors();
            let mut rule = Rule::read(table);
            if table.errors() > before {
                // It may cover more than was meant, or less. In its place stands one that covers no other and has its number.
                rule = Rule { user: Some(String::new()), ..Rule::default() };
            } else if let Some(earlier) = self.covering(&rule) {
                table.error(&format!("is never reached: rule {earlier} matches every login that it matches"));
            }
            self.rules.push(rule);
        });
    }
}

impl Terms {
    /// Reads `second_factor`, `required_from`, `passcode` and `devices`.
    fn read(&mut self, table: &mut Section<'_>) {
        let before = table.errors();
        table.set("second_factor", &mut self.second_factor, SECOND_FACTORS, |value| {
            SecondFactor::parse(&value.text(30)?)
        });
        let is_known = table.errors() == before; // else the next errors would be about the default
        table.set("required_from", &mut self.required_from, "a date like 2027-01-31", |value| value.date().map(Some));
        if let (SecondFactor::Optional | SecondFactor::Skip, Some(_)) = (self.second_factor, self.required_from)
            && is_known
        {
            table.error("has required_from, which needs second_factor \"required\" or \"enroll\"");
        }
        table.set("passcode", &mut self.passcode, "true or false", |value| value.truth());
        if self.passcode && self.second_factor != SecondFactor::Enroll && is_known {
            table.error("has passcode = true, which needs second_factor \"enroll\"");
        }
        table.set("devices", &mut self.devices, KINDS, |value| {
            let mut kinds = Kinds::NONE;
            value.each_text(&mut |word| kinds.add(word)).then_some(kinds)
        });
    }
}

impl Rule {
    /// A rule without `second_factor` or without a condition is an error: the administrator meant something else. So is a
    /// name that nothing can have.
    fn read(table: &mut Section<'_>) -> Self {
        let mut rule = Self { line: table.line(), ..Self::default() };
        type Check = fn(&str) -> Option<String>;
        let names: [(_, _, Check); 4] = [
            ("user", &mut rule.user, rule_names::of_users),
            ("group", &mut rule.group, rule_names::of_groups),
            ("service", &mut rule.service, rule_names::of_services),
            ("tty", &mut rule.tty, rule_names::of_terminals),
        ];
        for (key, name, wanted) in names {
            table.set(key, name, "a name of 1 to 255 characters", |value| value.text(255).map(Some));
            if let Some(wanted) = name.as_deref().and_then(wanted) {
                table.reject(key, &wanted);
            }
        }
        rule.tty = rule.tty.as_deref().map(LoginContext::terminal);
        let wanted = "ADDRESS/LENGTH, like \"192.0.2.0/24\" or \"2001:db8::/32\", with no bit set beyond the length";
        table.set("network", &mut rule.network, wanted, |value| Network::parse(&value.text(60)?).map(Some));
        rule.terms.read(table);
        if !table.has("second_factor") {
            table.error("needs second_factor");
        }
        if !["user", "group", "service", "network", "tty"].iter().any(|key| table.has(key)) {
            table.error("needs a condition: user, group, service, network or tty");
        }
        rule
    }
}

impl LockFor {
    fn parse(text: &str) -> Option<Self> {
        match Seconds::parse(text) {
            None if text == "until-unlocked" => Some(Self::UntilUnlocked),
            None | Some(Seconds(0)) => None,
            Some(length) => Some(Self::Time(length)),
        }
    }
}

#[cfg(test)]
mod tests;
