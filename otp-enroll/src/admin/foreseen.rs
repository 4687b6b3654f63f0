//! The result of a login that has not happened.

use otp_core::decision::demand::Demand;
use otp_core::decision::kinds::Kinds;
use otp_core::decision::policy::{Ruling, SecondFactor};
use otp_core::error::CoreError;
use otp_core::service::demanded::{demanded, ruling};
use otp_core::service::renaming;
use otp_core::store::Store as _;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};
use serde::Serialize;

use super::known_user::{Keeper, KnownUser};
use crate::error::CliError;

/// The result of a login while refusals are enforced.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// A code is asked for.
    Asked,
    /// A code is asked for, and the user has no device.
    Refused,
    /// A code is asked for, and the policy accepts no device of the user.
    KindNotAccepted,
    /// A code is asked for, and the account, which was renamed, is refused.
    Renamed,
    /// A code is asked for, and refused: this host has a record of the user, and the fleet, whose record counts, has none.
    NotPushed,
    /// The passcode is asked for that an administrator issued; then enrollment during the login, where that is offered.
    Passcode,
    /// A passcode is asked for, and the user has none that is good.
    NoPasscode,
    /// Enrollment during the login.
    Enroll,
    /// Enrollment during the login if the PAM line offers it, which is not known; else a refusal.
    EnrollIfOffered,
    /// Grace: a code was accepted from the same address a while ago.
    Grace,
    /// Nothing is asked.
    NotAsked,
}

/// The result of a login that has not happened.
pub(super) struct Foreseen {
    pub(super) ruling: Ruling,
    pub(super) has_device: bool,
    pub(super) outcome: Outcome,
    /// The name under which the account had a record, if it was renamed.
    pub(super) former_name: Option<UserName>,
    /// Whether the user is not asked if the fleet remembers the address of the login, which its verifiers alone know.
    pub(super) may_be_remembered: bool,
}

impl Outcome {
    /// For a service whose PAM file does not tell whether its line offers enrollment.
    pub(super) fn if_offered(self, offered: Option<bool>) -> Self {
        if self == Self::Enroll && offered.is_none() { Self::EnrollIfOffered } else { self }
    }
}

/// Predicts a login of a user of whom this is known, by the functions that the module uses.
pub(super) fn foresee(
    site: &Site,
    store: &FileStore,
    account: &Account,
    user: &KnownUser<'_>,
    place: &LoginContext,
    now: UnixTime,
) -> Result<Foreseen, CoreError> {
    let KnownUser { before, kinds, has_passcode, keeper } = user;
    let ruling = ruling(&site.config.settings.policy, account, before.user_override, place, now)?;
    let may_enroll = ruling.second_factor == SecondFactor::Enroll && place.enroll && *kinds == Kinds::NONE;
    let needs_passcode = ruling.passcode || (may_enroll && user.needs_passcode()?);
    let ruling = Ruling { passcode: needs_passcode, ..ruling };
    let demand = demanded(ruling, before.devices, &|| user.sends(site), place, || Ok(user.remembered()))?;
    let has_device = *kinds != Kinds::NONE;
    let is_accepted = kinds.and(ruling.devices) != Kinds::NONE;
    let is_asked = ruling.second_factor != SecondFactor::Skip;
    let (former_name, waits) = match keeper {
        Keeper::Host { .. } if before.is_blank && is_asked => (renaming::former_name(store, account)?, false),
        Keeper::Host { .. } => (None, false),
        Keeper::Fleet(_) => (None, before.is_blank && waits_here(store, account)),
    };
    let outcome = match demand {
        _ if former_name.is_some() => Outcome::Renamed,
        _ if waits => Outcome::NotPushed,
        Demand::Nothing(_) => Outcome::NotAsked,
        Demand::Grace { .. } => Outcome::Grace,
        Demand::Enroll(_) => Outcome::Enroll,
        Demand::Code { .. } if is_accepted => Outcome::Asked,
        Demand::Code { .. } | Demand::Passcode(_) if *has_passcode => Outcome::Passcode,
        Demand::Passcode(_) => Outcome::NoPasscode,
        Demand::Code { .. } if has_device => Outcome::KindNotAccepted,
        Demand::Code { .. } => Outcome::Refused,
    };
    let may_be_remembered = matches!(keeper, Keeper::Fleet(_))
        && outcome == Outcome::Asked
        && place.address().is_some()
        && ruling.devices.hold(*kinds);
    Ok(Foreseen { ruling, has_device, outcome, former_name, may_be_remembered })
}

/// Whether this host has a record of a user whom the fleet does not know: the agent lets no such user in. One that cannot be read
/// counts.
fn waits_here(store: &FileStore, account: &Account) -> bool {
    store.outline(account).map_or(true, |outline| outline.is_some_and(|outline| outline.binds()))
}

/// Names the rule that makes the decision impossible, if it is one.
pub(super) fn at_fault(site: &Site, error: CoreError) -> CliError {
    let CoreError::UnknownGroup(group) = &error else { return error.into() };
    match site.config.settings.policy.rules.iter().find(|rule| rule.group.as_ref() == Some(group)) {
        Some(rule) => CliError::Reported {
            error: format!("{}:{}: {error}: logins that reach this rule are refused", site.path.display(), rule.line),
            hint: error.hint().to_owned(),
        },
        None => error.into(),
    }
}
