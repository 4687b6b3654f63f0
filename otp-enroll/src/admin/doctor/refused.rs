//! Users who can log in and are refused at one service, by what refuses them.

use std::collections::BTreeMap;
use std::path::Path;

use otp_core::decision::kinds::Kinds;
use otp_core::decision::policy::{SecondFactor, Source};
use otp_core::record::credentials::Device;

use super::super::foreseen::{Foreseen, Outcome};
use super::finding::{Finding, some};
use super::guarded::Guarded;

/// Their names, in the order in which they were noted.
#[derive(Default)]
pub(super) struct Refused {
    required: Vec<String>,
    to_enroll: Vec<String>,
    by_override: Vec<String>,
    without_passcode: Vec<String>,
    /// No code is sent to any device that is accepted.
    without_message: Vec<String>,
    /// With the kinds that are accepted instead.
    of_other_kinds: BTreeMap<Kinds, Vec<String>>,
}

impl Refused {
    /// Notes a user with these devices whose login was foreseen, if it will be refused. Codes of the kinds in `sent` are sent
    /// there.
    pub(super) fn note(&mut self, name: &str, foreseen: &Foreseen, devices: &[Device], sent: Kinds) {
        let ruling = &foreseen.ruling;
        let names = match foreseen.outcome {
            Outcome::Refused if ruling.source == Source::Override => &mut self.by_override,
            Outcome::Refused if ruling.second_factor == SecondFactor::Enroll && ruling.devices.hold(Kinds::TOTP) => {
                &mut self.to_enroll
            }
            Outcome::Refused => &mut self.required,
            Outcome::NoPasscode => &mut self.without_passcode,
            Outcome::Asked if !devices.iter().any(|device| ruling.devices.accept(device) && sent.reach(device)) => {
                &mut self.without_message
            }
            Outcome::KindNotAccepted => self.of_other_kinds.entry(ruling.devices).or_default(),
            Outcome::Asked
            | Outcome::Renamed
            | Outcome::NotPushed
            | Outcome::Passcode
            | Outcome::Enroll
            | Outcome::EnrollIfOffered
            | Outcome::Grace
            | Outcome::NotAsked => return,
        };
        names.push(name.to_owned());
    }

    /// A finding for each reason.
    pub(super) fn findings(&self, guarded: &Guarded, config: &Path) -> Vec<Finding> {
        let service = guarded.name.as_str();
        let fault = |names: &[String], why: &str, fix: &str| {
            Finding::fault(service, format!("{} will be refused: {why}", some(names)), fix)
        };
        let mut findings = Vec::new();
        for (names, why, fix) in [
            (
                &self.required,
                "policy requires a second factor, and they have no device",
                "have them run otp-enroll first, or set the policy to `enroll`; to list all of them: otp-enroll admin list \
                 --without-device --service NAME",
            ),
            (
                &self.to_enroll,
                "the policy is enroll, they have no device, and the line does not offer enrollment",
                "have them run otp-enroll first; to list all of them: otp-enroll admin list --without-device --service NAME",
            ),
            (
                &self.by_override,
                "an override requires a second factor, and they have no device",
                "have them run otp-enroll first, or remove the override: otp-enroll admin unrequire USER",
            ),
        ] {
            if !names.is_empty() {
                findings.push(fault(names, why, fix));
            }
        }
        for (kinds, names) in &self.of_other_kinds {
            let why = format!("policy accepts only {}, and they have no such device", kinds.listed());
            let fix =
                "have them add one, or add a kind to `devices` of the policy; until then: otp-enroll admin issue USER";
            findings.push(fault(names, &why, fix));
        }
        if !self.without_message.is_empty() {
            let (why, fix) = if guarded.login().send {
                (
                    "the configuration names no program that sends there".to_owned(),
                    format!("set [sms] send or [email] send in {}", config.display()),
                )
            } else {
                (
                    format!("{} has no argument send", guarded.place()),
                    "add send to that line if it is reached only after a right password or key".to_owned(),
                )
            };
            let why = format!("their devices are numbers or addresses, and {why}; a recovery code is accepted");
            let fix = format!("{fix}, or have them add another kind of device: otp-enroll add");
            findings.push(fault(&self.without_message, &why, &fix));
        }
        if !self.without_passcode.is_empty() {
            // A warning: the administrator has chosen that these users wait for a passcode.
            let what = format!(
                "{} will be refused: the policy is enroll with a passcode, they have no device, and no passcode that is good",
                some(&self.without_passcode)
            );
            findings.push(Finding::warning(service, what, "issue passcodes to them: otp-enroll admin issue USER"));
        }
        findings
    }
}
