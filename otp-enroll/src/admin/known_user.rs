//! What is known of a user before a login that has not happened: from the record of this host, or from what the fleet tells of
//! its own.

use otp_core::decision::demand::Devices;
use otp_core::decision::kinds::Kinds;
use otp_core::error::CoreError;
use otp_core::protocol::request::Status;
use otp_core::record::Record;
use otp_core::record::credentials::Override;
use otp_core::service::demanded::Known;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;

use super::host_in_fleet::HostInFleet;
use super::of_fleet::unintelligible;
use crate::user::passcode;

/// What a record says of a login.
pub(super) struct KnownUser<'a> {
    /// Before the question.
    pub(super) before: Known,
    /// Of all devices.
    pub(super) kinds: Kinds,
    /// Whether a passcode is good through the service of the login.
    pub(super) has_passcode: bool,
    pub(super) keeper: Keeper<'a>,
}

/// Who keeps the record.
pub(super) enum Keeper<'a> {
    Host {
        /// The kinds of all devices, if the address of the login is remembered (grace).
        remembered: Option<Kinds>,
    },
    /// Its verifiers alone know which addresses are remembered.
    Fleet(&'a HostInFleet),
}

impl KnownUser<'static> {
    /// What a record of this host says; `None` for a user without one.
    pub(super) fn of_record(site: &Site, record: Option<&Record>, login: &LoginContext, now: UnixTime) -> Self {
        let grace = login.address().zip(site.config.settings.grace);
        let remembered =
            record.zip(grace).and_then(|(record, (address, length))| record.remembered(address, length, now));
        Self {
            before: Known::of(record.map(|record| record.credentials.outline()).as_ref()),
            kinds: record.map_or(Kinds::NONE, |record| record.credentials.kinds()),
            has_passcode: record.is_some_and(|record| record.has_passcode_for(&login.service, now)),
            keeper: Keeper::Host { remembered },
        }
    }
}

impl<'a> KnownUser<'a> {
    /// What the fleet tells of its record; `None` for a user without one. What this program does not know is an error.
    pub(super) fn of_fleet(
        status: Option<&Status>,
        host: &'a HostInFleet,
        login: &LoginContext,
    ) -> Result<Self, CoreError> {
        let Some(status) = status else {
            let keeper = Keeper::Fleet(host);
            return Ok(Self { before: Known::of(None), kinds: Kinds::NONE, has_passcode: false, keeper });
        };
        let kinds = kinds_of(status).ok_or_else(unintelligible)?;
        let user_override = override_of(status).ok_or_else(unintelligible)?;
        let issued = status.passcode.as_ref();
        let devices = if kinds == Kinds::NONE {
            Devices::None { passcode: issued.is_some() }
        } else {
            // How the question looks makes no difference to what follows.
            Devices::Some { challenge: false, digits: None }
        };
        let is_blank = kinds == Kinds::NONE && user_override == Override::None && issued.is_none();
        let is_for = |service: &Option<String>| service.as_ref().is_none_or(|service| *service == login.service);
        let has_passcode = issued.is_some_and(|issued| passcode::is_good(issued) && is_for(&issued.service));
        Ok(Self {
            before: Known { user_override, devices, is_blank },
            kinds,
            has_passcode,
            keeper: Keeper::Fleet(host),
        })
    }

    /// The kinds of all devices, if the address of the login is remembered, as far as this host knows.
    pub(super) fn remembered(&self) -> Option<Kinds> {
        match self.keeper {
            Keeper::Host { remembered } => remembered,
            Keeper::Fleet(_) => None,
        }
    }

    /// Whether a first device needs a passcode wherever the policy asks for none.
    pub(super) fn needs_passcode(&self) -> Result<bool, CoreError> {
        match self.keeper {
            Keeper::Host { .. } => Ok(false),
            Keeper::Fleet(host) => Ok(!host.may_enroll()?),
        }
    }

    /// The kinds of device to which codes are sent.
    pub(super) fn sends(&self, site: &Site) -> Result<Kinds, CoreError> {
        match self.keeper {
            Keeper::Host { .. } => site.sent_kinds(),
            Keeper::Fleet(host) => host.sends(),
        }
    }
}

fn kinds_of(status: &Status) -> Option<Kinds> {
    status.devices.iter().try_fold(Kinds::NONE, |kinds, device| Some(kinds.or(Kinds::one(&device.r#type)?)))
}

fn override_of(status: &Status) -> Option<Override> {
    let until = match &status.override_until {
        Some(text) => Some(UnixTime::read(text)?),
        None => None,
    };
    Override::parse(&status.user_override, until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::device_lines;
    use otp_core::protocol::request::{DeviceStatus, PasscodeStatus};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn device(kind: &str) -> DeviceStatus {
        DeviceStatus { r#type: kind.into(), ..device_lines::tests::device(1, "phone") }
    }

    fn status(kinds: &[&str]) -> Status {
        Status {
            user: "alice".into(),
            enrolled: !kinds.is_empty(),
            user_override: "none".into(),
            override_until: None,
            devices: kinds.iter().map(|kind| device(kind)).collect(),
            recovery_codes_left: 0,
            passcode: None,
            failures: 0,
            lock: "open".into(),
            last_accepted: None,
            accepted_kinds: Kinds::ALL,
            not_accepted: Vec::new(),
            in_future: Vec::new(),
            unenforced: None,
        }
    }

    fn known<T>(status: Option<&Status>, service: &str, what: impl Fn(KnownUser<'_>) -> T) -> Option<T> {
        let login = LoginContext { service: service.into(), ..LoginContext::default() };
        KnownUser::of_fleet(status, &HostInFleet::default(), &login).ok().map(what)
    }

    #[test]
    fn what_the_fleet_tells_is_what_its_record_holds() {
        let before = |status: Option<&Status>| known(status, "sshd", |user| (user.before, user.kinds)).unwrap();
        let none = (Known::of(None), Kinds::NONE);
        assert_eq!(before(None), none);
        assert_eq!(before(Some(&status(&[]))), none, "a record that says nothing is as none");
        let two = before(Some(&status(&["totp", "hotp"])));
        assert_eq!((two.0.is_blank, two.1), (false, Kinds::TOTP.or(Kinds::HOTP)));
        let end = UnixTime(NOW.0 + 1);
        let mut exempt = Status { user_override: "exempt".into(), ..status(&[]) };
        assert_eq!(before(Some(&exempt)).0.user_override, Override::Exempt);
        exempt.override_until = Some(end.to_string());
        let until = before(Some(&exempt)).0;
        assert_eq!((until.user_override, until.is_blank), (Override::ExemptUntil(end), false));
    }

    #[test]
    fn a_passcode_of_the_fleet_is_good_for_its_service_until_it_is_used_or_has_ended() {
        for (only, used, expired, service, is_good) in [
            (None, false, false, "sshd", true),
            (Some("sshd"), false, false, "sshd", true),
            (Some("sudo"), false, false, "sshd", false),
            (None, true, false, "sshd", false),
            (None, false, true, "sshd", false),
        ] {
            let passcode = PasscodeStatus { until: NOW.to_string(), service: only.map(str::to_owned), used, expired };
            let status = Status { passcode: Some(passcode), ..status(&[]) };
            let said = known(Some(&status), service, |user| (user.has_passcode, user.before.is_blank));
            assert_eq!(said, Some((is_good, false)), "{only:?} {used} {expired}");
            let devices = known(Some(&status), service, |user| user.before.devices);
            assert_eq!(devices, Some(Devices::None { passcode: true }));
        }
    }

    #[test]
    fn what_this_program_does_not_know_is_no_answer() {
        for odd in [
            status(&["totp", "push"]),
            Status { user_override: "maybe".into(), ..status(&[]) },
            Status { user_override: "exempt".into(), override_until: Some("soon".into()), ..status(&[]) },
            Status { override_until: Some(NOW.to_string()), ..status(&[]) },
        ] {
            assert!(known(Some(&odd), "sshd", |_| ()).is_none(), "{odd:?}");
        }
    }
}
