//! Accounts that need no code and log in by key without a person at the terminal: where sshd demands keyboard-interactive after
//! the key, such a client is refused before PAM is asked.

use std::path::Path;

use otp_core::decision::policy::{Policy, Rule, Ruling, SecondFactor, Source};
use otp_core::error::CoreError;
use otp_core::store::files::open::FileStore;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::time::UnixTime;

use super::super::foreseen::{self, Outcome};
use super::super::known_user::KnownUser;
use super::finding::{Finding, some};
use super::guarded::Guarded;
use super::sshd::{self, Settings};
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// Users whom the policy asks for no code at sshd.
#[derive(Debug, Default)]
pub(super) struct Exempt {
    /// Those named by an override or by a rule with a user or a group.
    named: Vec<String>,
    /// By a rule, or the default, that says `skip` for all.
    all: bool,
}

impl Exempt {
    /// Notes a user who is not asked.
    pub(super) fn note(&mut self, policy: &Policy, ruling: Ruling, name: &str) {
        let rule = match ruling.source {
            Source::Rule(number) => number.checked_sub(1).and_then(|place| policy.rules.get(place)),
            Source::Override | Source::Nullok | Source::Default => None,
        };
        let is_named = rule.is_some_and(|rule| rule.user.is_some() || rule.group.is_some());
        if is_named || ruling.source == Source::Override {
            self.named.push(name.to_owned());
        } else if ruling.second_factor == SecondFactor::Skip {
            self.all = true;
        }
    }

    /// Adds users whom rules name and who are no persons: accounts of backups and of automation.
    fn add_those_of_rules(&mut self, site: &Site, store: &FileStore, guarded: &Guarded, now: UnixTime) {
        for name in site.config.settings.policy.rules.iter().filter_map(|rule| rule.user.as_deref()) {
            if self.named.iter().any(|known| known == name) {
                continue;
            }
            let foreseen = accounts::account(name).and_then(|account| {
                let Some(account) = account else { return Ok(None) };
                let record = store.read(&account).map_err(CoreError::from)?;
                let login = guarded.login();
                let known = KnownUser::of_record(site, record.as_ref(), &login, now);
                foreseen::foresee(site, store, &account, &known, &login, now).map(Some)
            });
            // What cannot be looked up is reported elsewhere.
            if let Ok(Some(foreseen)) = foreseen
                && foreseen.outcome == Outcome::NotAsked
            {
                self.note(&site.config.settings.policy, foreseen.ruling, name);
            }
        }
    }
}

/// Warns of users who need no code and whom sshd, as it is set for them, asks all the same.
pub(super) fn look_at(
    site: &Site,
    store: &FileStore,
    guarded: &Guarded,
    mut exempt: Exempt,
    configuration: Option<&Path>,
    output: &Output,
    findings: &mut Vec<Finding>,
) {
    exempt.add_those_of_rules(site, store, guarded, UnixTime::now());
    let asks =
        |user: &str, address: &str| sshd::settings_for(configuration, user, address).is_ok_and(|it| is_asked(&it));
    let asks_generic = asks(sshd::GENERIC_USER, sshd::GENERIC_ADDRESS);
    let depends_on_user = sshd::has_match_blocks(configuration);
    let mut refused = Vec::new();
    let mut progress = Progress::new("asking sshd", exempt.named.len(), output);
    for name in exempt.named {
        progress.step();
        if if depends_on_user { asks(&name, sshd::GENERIC_ADDRESS) } else { asks_generic } {
            refused.push(name);
        }
    }
    progress.clear();
    if exempt.all && asks_generic {
        findings.push(warning("users", "AuthenticationMethods publickey"));
    } else if !refused.is_empty() {
        let fix = format!(
            "at the end of sshd_config: Match User {}, and below it AuthenticationMethods publickey",
            refused.join(",")
        );
        findings.push(warning(&some(&refused), &fix));
    }
    for (number, rule) in (1..).zip(&site.config.settings.policy.rules) {
        let skips = rule.terms.second_factor == SecondFactor::Skip;
        let Some(address) = first_address(rule, &guarded.name).filter(|_| skips) else { continue };
        if asks(rule.user.as_deref().unwrap_or(sshd::GENERIC_USER), &address) {
            let whom = format!("logins that rule {number} exempts ({}:{})", site.path.display(), rule.line);
            let fix = "at the end of sshd_config: Match Address with that network, and below it AuthenticationMethods publickey";
            findings.push(warning(&whom, fix));
        }
    }
}

/// An address in the network of a rule that may decide about logins through a service.
pub(super) fn first_address(rule: &Rule, service: &str) -> Option<String> {
    let concerns = rule.service.as_deref().is_none_or(|name| name == service);
    rule.network.filter(|_| concerns).map(|network| network.first().to_string())
}

fn warning(whom: &str, fix: &str) -> Finding {
    let what = format!(
        "{whom} need no code, but AuthenticationMethods demands keyboard-interactive after the key: clients that answer no \
         question (BatchMode, Ansible, rsync in a script) are refused, and our log has no line of it"
    );
    Finding::warning(sshd::SERVICE, what, &format!("if they log in without a person at the terminal, {fix}"))
}

/// Whether a login by key needs an answer to PAM.
fn is_asked(settings: &Settings) -> bool {
    let methods = sshd::methods(settings);
    let by_key = |list: &Vec<String>| list.iter().any(|method| !sshd::asks_pam(method));
    let asks = |list: &Vec<String>| list.iter().any(|method| sshd::asks_pam(method));
    settings.get("usepam").is_some_and(|value| value == "yes") && methods.iter().any(by_key) && methods.iter().all(asks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_followed_by_a_question_is_told_from_a_key_alone() {
        for (lists, expected) in [
            ("publickey,keyboard-interactive:pam", true),
            ("publickey,keyboard-interactive", true),
            ("publickey,keyboard-interactive publickey,password", true),
            ("hostbased,keyboard-interactive", true),
            ("publickey", false),
            ("publickey,keyboard-interactive publickey,hostbased", false),
            ("keyboard-interactive", false),
            ("any", false),
        ] {
            let all = "usepam yes\npubkeyauthentication yes\nkbdinteractiveauthentication yes\npasswordauthentication yes\n\
                       hostbasedauthentication yes";
            let lines = all.lines().map(|line| line.split_once(' ').unwrap());
            let mut settings: Settings = lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            settings.insert("authenticationmethods".into(), lists.into());
            assert_eq!(is_asked(&settings), expected, "{lists}");
            settings.insert("usepam".into(), "no".into());
            assert!(!is_asked(&settings), "{lists}");
        }
    }
}
