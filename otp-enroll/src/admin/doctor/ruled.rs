//! What a policy may rule for logins through a service.

use otp_core::decision::policy::{Policy, Rule, SecondFactor};

/// Whether it may rule this of a login through the service.
pub(super) fn may_be(policy: &Policy, service: &str, meant: impl Fn(SecondFactor) -> bool) -> bool {
    for rule in policy.rules.iter().filter(|rule| rule.service.as_ref().is_none_or(|name| name == service)) {
        let Rule { user, group, service: _, network, tty, terms, line: _ } = rule;
        if meant(terms.second_factor) {
            return true;
        }
        if user.is_none() && group.is_none() && network.is_none() && tty.is_none() {
            return false; // it applies to all users
        }
    }
    meant(policy.terms.second_factor)
}
