//! Which rule decides whether a login needs a second factor. The module and the command line ask the same function.

use std::fmt;

use crate::record::credentials::Override;
use crate::value::login_context::LoginContext;
use crate::value::network::Network;
use crate::value::time::UnixTime;

/// `[policy]`: rules, first match decides, and what holds where none matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where no rule matches.
    pub terms: Terms,
    /// In the order of the file.
    pub rules: Vec<Rule>,
}

/// `[[policy.rule]]`: all conditions that are named must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The login name, as the name service spells it.
    pub user: Option<String>,
    /// A group, by primary or supplementary membership.
    pub group: Option<String>,
    /// `PAM_SERVICE`.
    pub service: Option<String>,
    /// Where the connection comes from.
    pub network: Option<Network>,
    /// `PAM_TTY`, without `/dev/`.
    pub tty: Option<String>,
    /// What holds where the rule matches.
    pub terms: Terms,
    /// The line of the file where it begins, from 1.
    pub line: usize,
}

/// What is asked, and from when on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What is asked.
    pub second_factor: SecondFactor,
    /// Before this time a second factor is optional.
    pub required_from: Option<UnixTime>,
}

/// What holds for one login, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What is asked.
    pub second_factor: SecondFactor,
    /// What decided.
    pub source: Source,
    /// When a second factor will be required, where that time has been set and has not come.
    pub required_from: Option<UnixTime>,
}

/// What is asked of a user with a device, and of one without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondFactor {
    /// A code; without a device the login is refused.
    #[default]
    Required,
    /// A code; without a device the user is led through set-up during the login.
    Enroll,
    /// A code; without a device the user passes.
    Optional,
    /// Nothing.
    Skip,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An override set for this user.
    Override,
    /// The module argument `nullok`.
    Nullok,
    /// The rule with this number, from 1.
    Rule(usize),
    /// `policy.second_factor`.
    Default,
}

impl Policy {
    /// What is asked of `user` at `place`, and what decided it.
    ///
    /// `member` answers whether the user is in a group, and is only asked where a rule's other conditions hold; its
    /// error ends the evaluation: a rule that cannot be evaluated refuses, it is not skipped.
    pub fn ruling<E>(
        &self,
        user: &str,
        personal: Override,
        place: &LoginContext,
        now: UnixTime,
        mut member: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<Ruling, E> {
        let at_once = |second_factor, source| Ok(Ruling { second_factor, source, required_from: None });
        match personal {
            Override::Required => return at_once(SecondFactor::Required, Source::Override),
            Override::Exempt => return at_once(SecondFactor::Optional, Source::Override),
            Override::None if place.nullok => return at_once(SecondFactor::Optional, Source::Nullok),
            Override::None => {}
        }
        for (number, rule) in (1..).zip(&self.rules) {
            if rule.matches(user, place, &mut member)? {
                return Ok(rule.terms.at(now, Source::Rule(number)));
            }
        }
        Ok(self.terms.at(now, Source::Default))
    }

    /// The first rule, from 1, that matches whatever a later one would, which then is never reached.
    pub fn covering(&self, later: &Rule) -> Option<usize> {
        (1..).zip(&self.rules).find_map(|(number, rule)| rule.covers(later).then_some(number))
    }

    /// The groups that rules name.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| rule.group.as_deref())
    }
}

impl Terms {
    fn at(self, now: UnixTime, source: Source) -> Ruling {
        match self.required_from.filter(|from| now < *from) {
            Some(from) => Ruling { second_factor: SecondFactor::Optional, source, required_from: Some(from) },
            None => Ruling { second_factor: self.second_factor, source, required_from: None },
        }
    }
}

impl Rule {
    /// Whether there is anything that could tell one login from another.
    pub fn has_condition(&self) -> bool {
        let names = [&self.user, &self.group, &self.service, &self.tty];
        names.iter().any(|name| name.is_some()) || self.network.is_some()
    }

    /// Whether this rule matches every login that the other one does.
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

    fn matches<E>(
        &self,
        user: &str,
        place: &LoginContext,
        mut member: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let plain = is(&self.user, Some(user))
            && is(&self.service, Some(&place.service))
            && is(&self.tty, place.tty.as_deref())
            && self.network.is_none_or(|network| network.holds(place.rhost.as_deref()));
        match (&self.group, plain) {
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
