//! The policy: which rule decides whether a login needs a second factor. The module and `otp-enroll` call one function.

use std::fmt;

use crate::decision::kinds::Kinds;
use crate::record::credentials::Override;
use crate::value::login_context::LoginContext;
use crate::value::network::Network;
use crate::value::time::UnixTime;

/// `[policy]`: the first rule that matches decides; the terms of the table itself hold if none does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Hold if no rule matches.
    pub terms: Terms,
    /// In the order of the file.
    pub rules: Vec<Rule>,
}

/// `[[policy.rule]]`: matches if all conditions hold that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The account's name, as the name service spells it.
    pub user: Option<String>,
    /// A group, by primary or supplementary membership.
    pub group: Option<String>,
    /// `PAM_SERVICE`.
    pub service: Option<String>,
    /// Holds `PAM_RHOST`.
    pub network: Option<Network>,
    /// `PAM_TTY`, without `/dev/`.
    pub tty: Option<String>,
    pub terms: Terms,
    /// The line of the file where the rule begins, from 1.
    pub line: usize,
}

/// What is demanded, and from when on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub second_factor: SecondFactor,
    /// Before this time a second factor is optional.
    pub required_from: Option<UnixTime>,
    /// Whether a passcode must be given before the first device. Only with `enroll`.
    pub passcode: bool,
    /// The kinds of device whose codes are accepted, before `required_from` too.
    pub devices: Kinds,
}

/// Terms under which some logins of a user are.
pub struct TermsFor<'a> {
    pub terms: &'a Terms,
    pub source: Source,
    /// The service of these logins, if they are all through one.
    pub service: Option<&'a str>,
}

/// What the policy says for one login, and which rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    pub second_factor: SecondFactor,
    pub source: Source,
    /// The time from which a second factor is required, if it is set and in the future.
    pub required_from: Option<UnixTime>,
    /// Whether the user must give a passcode before enrolling.
    pub passcode: bool,
    /// The kinds of device whose codes are accepted. It does not cross the pipe: who asks need not know.
    pub devices: Kinds,
}

/// What is demanded of users with and without a device. `Skip` demands nothing; all others ask users with a device for a
/// code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondFactor {
    /// A user without a device is refused.
    #[default]
    Required,
    /// A user without a device enrolls one during the login.
    Enroll,
    /// A user without a device logs in without a code.
    Optional,
    /// No user is asked for a code.
    Skip,
}

/// What decided a ruling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The user's override.
    Override,
    /// The module argument `nullok`.
    Nullok,
    /// The rule at this position, from 1.
    Rule(usize),
    /// `policy.second_factor`.
    Default,
}

impl Policy {
    /// The ruling for a login of `user`.
    ///
    /// Where the remote host is a name, the stricter counts of what decides without the rules of networks and those rules.
    /// A login without a remote host is in no network.
    ///
    /// `member` tells whether the user is in a group. It is called only if a rule's other conditions hold. Its error ends
    /// the evaluation: a rule that cannot be evaluated refuses the login and is not skipped.
    pub fn ruling<E>(
        &self,
        user: &str,
        user_override: Override,
        login: &LoginContext,
        now: UnixTime,
        mut member: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<Ruling, E> {
        let user_override = if user_override.has_ended(now) { Override::None } else { user_override };
        let (second_factor, source) = match user_override {
            Override::Required | Override::RequiredUntil(_) => (SecondFactor::Required, Source::Override),
            Override::Enroll | Override::EnrollUntil(_) => (SecondFactor::Enroll, Source::Override),
            Override::Exempt | Override::ExemptUntil(_) => (SecondFactor::Optional, Source::Override),
            Override::None if login.nullok => (SecondFactor::Optional, Source::Nullok),
            Override::None => return self.ruling_of_rules(user, login, now, member),
        };
        // What replaces the rules must not take the passcode away, nor let in the kinds of device that they keep out.
        let passcode = second_factor == SecondFactor::Enroll && self.wants_passcode(user, &mut member)?;
        let devices = self.devices(user, login, now, member)?;
        Ok(Ruling { passcode, devices, ..Ruling::at_once(second_factor, source) })
    }

    /// The kinds of device that are accepted at a login of `user`, whatever the override is.
    ///
    /// `member` is called as for a ruling, and not at all by a policy that accepts every kind everywhere.
    pub fn devices<E>(
        &self,
        user: &str,
        login: &LoginContext,
        now: UnixTime,
        member: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<Kinds, E> {
        if self.accepts_every_kind() {
            return Ok(Kinds::ALL);
        }
        Ok(self.ruling_of_rules(user, login, now, member)?.devices)
    }

    /// Whether no terms say anything of kinds.
    fn accepts_every_kind(&self) -> bool {
        self.terms.devices.are_all() && self.rules.iter().all(|rule| rule.terms.devices.are_all())
    }

    fn ruling_of_rules<E>(
        &self,
        user: &str,
        login: &LoginContext,
        now: UnixTime,
        mut member: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<Ruling, E> {
        // A remote host that is a name may be in every network: the rules of networks are passed over, and the strictest
        // of them counts if it is stricter than what decides otherwise.
        let is_named = login.rhost.as_deref().is_some_and(|host| !host.is_empty()) && login.address().is_none();
        let (mut strictest, mut devices): (Option<Ruling>, _) = (None, Kinds::ALL);
        let mut decided = self.terms.at(now, Source::Default);
        for (number, rule) in (1..).zip(&self.rules) {
            let ruling = rule.terms.at(now, Source::Rule(number));
            let passed_over = is_named && rule.network.is_some();
            if passed_over && ruling.second_factor == SecondFactor::Skip {
                continue;
            }
            if rule.matches(user, login, passed_over, &mut member)? {
                if !passed_over {
                    decided = ruling;
                    break;
                }
                devices = devices.and(ruling.devices);
                if strictest.is_none_or(|strictest| ruling.is_stricter_than(&strictest)) {
                    strictest = Some(ruling);
                }
            }
        }
        let devices = devices.and(decided.devices);
        let ruling = strictest.filter(|strictest| strictest.is_stricter_than(&decided)).unwrap_or(decided);
        Ok(Ruling { devices, ..ruling })
    }

    /// What requires a second factor of a user who has no override, and through which service if only there: the first
    /// rule that does, or the default. `None` if no login of the user needs one at `now`.
    ///
    /// `member` tells whether the user is in a group. Its error ends the search.
    pub fn requirement<E>(
        &self,
        user: &str,
        now: UnixTime,
        mut member: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<Option<(Ruling, Option<&str>)>, E> {
        let required = |ruling: Ruling| {
            Some(ruling).filter(|ruling| ruling.second_factor.strictness() >= SecondFactor::Enroll.strictness())
        };
        for (number, rule) in (1..).zip(&self.rules) {
            let Rule { user: name, group, service, network, tty, terms, line: _ } = rule;
            let is_of_another = name.as_deref().is_some_and(|name| name != user);
            if is_of_another || !group.as_deref().map_or(Ok(true), &mut member)? {
                continue;
            }
            if let Some(ruling) = required(terms.at(now, Source::Rule(number))) {
                return Ok(Some((ruling, service.as_deref())));
            }
            if service.is_none() && network.is_none() && tty.is_none() {
                return Ok(None); // it decides about all logins of the user
            }
        }
        Ok(required(self.terms.at(now, Source::Default)).map(|ruling| (ruling, None)))
    }

    /// Whether a rule that may decide about a login of this user asks for a passcode before the first device, or the default
    /// does: then one must be given wherever the first device is enrolled, from now on, also if the rule holds only from a
    /// later day.
    ///
    /// `member` tells whether the user is in a group. It is called only if the answer depends on it. Its error ends the
    /// search.
    pub fn wants_passcode<E>(&self, user: &str, mut member: impl FnMut(&str) -> Result<bool, E>) -> Result<bool, E> {
        let mut rules = self.rules.as_slice();
        while let Some((rule, later)) = rules.split_first() {
            if !self.terms.passcode && !rules.iter().any(|rule| rule.terms.passcode) {
                return Ok(false);
            }
            rules = later;
            let Rule { user: name, group, service, network, tty, terms, line: _ } = rule;
            let decides_all = service.is_none() && network.is_none() && tty.is_none();
            let is_of_another = name.as_deref().is_some_and(|name| name != user);
            if is_of_another || !(decides_all || terms.passcode) || !group.as_deref().map_or(Ok(true), &mut member)? {
                continue;
            }
            if terms.passcode || decides_all {
                return Ok(terms.passcode);
            }
        }
        Ok(self.terms.passcode)
    }

    /// The terms under which logins of this user may be; none if all of the policy's accept every kind of device.
    ///
    /// `member` tells whether the user is in a group. Its error ends the search.
    pub fn terms_for<E>(
        &self,
        user: &str,
        mut member: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<Vec<TermsFor<'_>>, E> {
        let mut all = Vec::new();
        if self.accepts_every_kind() {
            return Ok(all);
        }
        for (number, rule) in (1..).zip(&self.rules) {
            let Rule { user: name, group, service, network, tty, terms, line: _ } = rule;
            let is_of_another = name.as_deref().is_some_and(|name| name != user);
            if is_of_another || !group.as_deref().map_or(Ok(true), &mut member)? {
                continue;
            }
            all.push(TermsFor { terms, source: Source::Rule(number), service: service.as_deref() });
            if service.is_none() && network.is_none() && tty.is_none() {
                return Ok(all); // it decides about all logins of the user
            }
        }
        all.push(TermsFor { terms: &self.terms, source: Source::Default, service: None });
        Ok(all)
    }

    /// The position, from 1, of the first rule that matches every login of a later rule, which then is never reached.
    pub fn covering(&self, later: &Rule) -> Option<usize> {
        (1..).zip(&self.rules).find_map(|(number, rule)| rule.covers(later).then_some(number))
    }

    /// Whether a rule with a network may decide about logins through a service.
    pub fn has_network_rules(&self, service: &str) -> bool {
        let concerns = |rule: &Rule| rule.service.as_deref().is_none_or(|name| name == service);
        self.rules.iter().any(|rule| rule.network.is_some() && concerns(rule))
    }

    /// The first rule whose group is looked up for this user: no earlier rule decides about each login of the user that
    /// would reach it.
    pub fn group_before(&self, user: &str) -> Option<&Rule> {
        // An earlier rule with the same group that decides is one whose group is looked up, or is itself decided.
        let own = |rule: &Rule| Rule { user: Some(user.to_owned()), ..rule.clone() };
        let concerns = |rule: &Rule| rule.group.is_some() && rule.user.as_deref().is_none_or(|name| name == user);
        let decided = |at: usize, rule: &Rule| self.rules.iter().take(at).any(|earlier| earlier.covers(&own(rule)));
        let mut rules = self.rules.iter().enumerate();
        rules.find(|(at, rule)| concerns(rule) && !decided(*at, rule)).map(|(_, rule)| rule)
    }

    /// The groups that the rules name.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| rule.group.as_deref())
    }
}

impl Ruling {
    /// For good, without a passcode, and for every kind of device.
    fn at_once(second_factor: SecondFactor, source: Source) -> Self {
        Self { second_factor, source, required_from: None, passcode: false, devices: Kinds::ALL }
    }

    fn is_stricter_than(&self, other: &Self) -> bool {
        let strictness = |ruling: &Self| (ruling.second_factor.strictness(), ruling.passcode);
        strictness(self) > strictness(other)
    }
}

impl Terms {
    fn at(self, now: UnixTime, source: Source) -> Ruling {
        let ruling = match self.required_from.filter(|from| now < *from) {
            Some(_) => Ruling { required_from: self.required_from, ..Ruling::at_once(SecondFactor::Optional, source) },
            None => Ruling { passcode: self.passcode, ..Ruling::at_once(self.second_factor, source) },
        };
        Ruling { devices: self.devices, ..ruling }
    }
}

impl Rule {
    /// Whether this rule matches every login that the other one matches.
    fn covers(&self, other: &Self) -> bool {
        let names = [
            (&self.user, &other.user),
            (&self.group, &other.group),
            (&self.service, &other.service),
            (&self.tty, &other.tty),
        ];
        let network = match (self.network, other.network) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(its)) => mine.covers(its),
        };
        network && names.iter().all(|(mine, its)| mine.is_none() || mine == its)
    }

    /// Whether the conditions hold; that of the network is taken to hold `in_any_network`.
    fn matches<E>(
        &self,
        user: &str,
        login: &LoginContext,
        in_any_network: bool,
        mut member: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let others_hold = is(&self.user, Some(user))
            && is(&self.service, Some(&login.service))
            && is(&self.tty, login.tty.as_deref())
            && (in_any_network || self.network.is_none_or(|network| network.holds(login.rhost.as_deref())));
        match (&self.group, others_hold) {
            (_, false) => Ok(false),
            (None, true) => Ok(true),
            (Some(group), true) => member(group),
        }
    }
}

impl SecondFactor {
    /// Reads the word that [`SecondFactor::name`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Required, Self::Enroll, Self::Optional, Self::Skip]
            .into_iter()
            .find(|second_factor| second_factor.name() == name)
    }

    fn strictness(self) -> u8 {
        match self {
            Self::Skip => 0,
            Self::Optional => 1,
            Self::Enroll => 2,
            Self::Required => 3,
        }
    }

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Enroll => "enroll",
            Self::Optional => "optional",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Override => f.write_str("override"),
            Self::Nullok => f.write_str("nullok"),
            Self::Rule(number) => write!(f, "rule-{number}"),
            Self::Default => f.write_str("default"),
        }
    }
}

#[cfg(test)]
mod tests;
