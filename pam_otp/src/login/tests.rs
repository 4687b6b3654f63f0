//! A host and an authority that follow a script: challenges are asked for and shown in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;

use otp_core::codes::attempt::Typed;
use otp_core::codes::hotp_totp::Digits;
use otp_core::config::Config;
use otp_core::config::settings::Settings;
use otp_core::decision::kinds::Kinds;
use otp_core::decision::policy::{SecondFactor, Source};
use otp_core::error::CoreError;
use otp_core::record::id::DeviceId;
use zeroize::Zeroizing;

use super::*;
use crate::host::ConversationError;

/// What the person sees and types, in order.
#[derive(Default)]
struct Person {
    types: RefCell<VecDeque<&'static str>>,
    seen: RefCell<Vec<String>>,
}

impl Person {
    fn who_types(answers: &[&'static str]) -> Self {
        Self { types: RefCell::new(answers.iter().copied().collect()), ..Self::default() }
    }

    fn sees(&self, text: &str) {
        self.seen.borrow_mut().push(text.to_owned());
    }
}

impl Host for Person {
    fn user(&mut self) -> Result<String, ConversationError> {
        Ok("alice".into())
    }
    fn still_names(&self, user: &str) -> bool {
        user == "alice"
    }
    fn login_context(&self) -> LoginContext {
        LoginContext::default()
    }
    fn ask_visibly(&self, prompt: &str) -> Result<Typed, ConversationError> {
        self.ask(prompt)
    }

    fn ask(&self, prompt: &str) -> Result<Typed, ConversationError> {
        let answer = self.types.borrow_mut().pop_front().ok_or(ConversationError::Failed)?;
        self.sees(&format!("{prompt}{answer}"));
        Ok(Typed::new(answer.as_bytes().to_vec()))
    }
    fn password(&self) -> Option<Typed> {
        None
    }
    fn hand_on(&mut self, _: &Typed) -> bool {
        false
    }
    fn tell(&self, text: &str) {
        self.sees(text);
    }
    fn tell_in_session(&mut self, text: &str, _: bool) {
        self.sees(text);
    }
    fn tell_what_waited(&mut self) {}
    fn forget_what_waits_for_others(&mut self, _: &str) {}
    fn show_secret(&self, text: &Zeroizing<String>) {
        self.sees(text);
    }
    fn warn(&self, text: &str) {
        self.sees(text);
    }
    fn log(&self, event: &Event<'_>) {
        self.sees(&format!("log: {event}"));
    }
    fn debug(&self, _: &str) {}
    fn delay_failure(&mut self) {}
    fn set_pending_enrollment(&mut self, _: &str) -> bool {
        true
    }
    fn clear_pending_enrollment(&mut self) {}
    fn pending_enrollment(&self) -> Option<Vec<u8>> {
        None
    }
    fn defer(&mut self, _: &Deferred) -> bool {
        false
    }
    fn deferred(&self) -> Option<Deferred> {
        None
    }
    fn clear_deferred(&mut self) {}
}

/// Challenges two tokens, each of which answers with what it is asked, and accepts the last answer.
#[derive(Default)]
struct Keypads {
    asked: RefCell<Option<&'static str>>,
}

impl Authority for Keypads {
    fn demand(&self, _: &LoginContext) -> Result<Demand, CoreError> {
        Ok(Demand::Code { challenge: true, digits: None })
    }

    fn challenge(&self, _: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        let question = match named.map(Typed::expose) {
            None => "111111",
            Some(b"ocra") => "222222",
            Some(_) => return Ok(Challenge::NoSuchDevice),
        };
        self.asked.replace(Some(question));
        Ok(Challenge::Question(question.to_owned()))
    }

    fn verify(&self, _: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        Ok(if self.asked.borrow().is_some_and(|asked| asked.as_bytes() == typed.expose()) {
            Verdict::Accepted(Accepted { factor: Factor::Totp(DeviceId(1)), recovery_left: Some(3), failures: 0 })
        } else {
            Verdict::Refused(Refusal::Malformed)
        })
    }
}

/// What a login shows to a person who types this.
fn shown_to(answers: &[&'static str], challenge: bool) -> Vec<String> {
    let site = Site { config: Config::default(), path: PathBuf::from("/etc/pam_otp/pam_otp.toml"), ask_for_keys: None };
    let arguments = Arguments::parse(&[]).unwrap();
    let (context, keypads, mut person) = (LoginContext::default(), Keypads::default(), Person::who_types(answers));
    let login = Login { user: "alice", site: &site, arguments: &arguments, context: &context, authority: &keypads };
    let outcome = login.ask_and_verify(&mut person, challenge, Digits::SIX);
    if outcome.is_err() {
        person.sees("no answer");
    }
    person.seen.into_inner()
}

const ACCEPTED: &str = "log: accepted user=alice factor=totp device=1 recovery_left=3";
const REFUSED: [&str; 2] = ["log: refused user=alice why=malformed", "Verification failed."];

#[test]
fn a_challenge_is_shown_before_the_question() {
    let expected = ["Type this into your token: 1111 11", "Verification code: 111111", ACCEPTED];
    assert_eq!(shown_to(&["111111"], true), expected);
}

#[test]
fn a_device_that_is_named_is_challenged_and_the_question_asked_again() {
    let expected = [
        "Type this into your token: 1111 11",
        "Verification code: ocra",
        "Type this into your token: 2222 22",
        "Verification code: 222222",
        ACCEPTED,
    ];
    assert_eq!(shown_to(&["ocra", "222222"], true), expected);
}

#[test]
fn a_login_asks_at_most_three_times() {
    let shown = shown_to(&["ocra", "ocra", "ocra", "222222"], true);
    assert_eq!(shown.iter().filter(|line| line.starts_with("Verification code")).count(), 3);
    assert!(shown.ends_with(&REFUSED.map(str::to_owned)), "{shown:#?}");
}

#[test]
fn what_names_no_device_is_judged_as_a_code() {
    let expected = ["Type this into your token: 1111 11", "Verification code: 999999", REFUSED[0], REFUSED[1]];
    assert_eq!(shown_to(&["999999"], true), expected);
}

#[test]
fn a_device_may_be_named_where_the_default_takes_no_challenge() {
    let expected =
        ["Verification code: ocra", "Type this into your token: 2222 22", "Verification code: 222222", ACCEPTED];
    assert_eq!(shown_to(&["ocra", "222222"], false), expected);
    assert_eq!(shown_to(&["password"], false), ["Verification code: password", REFUSED[0], REFUSED[1]]);
}

/// An authority that accepts a passcode, and then demands this.
struct Issuer(Demand);

impl Authority for Issuer {
    fn demand(&self, _: &LoginContext) -> Result<Demand, CoreError> {
        Ok(self.0)
    }

    fn challenge(&self, _: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        Ok(if named.is_some() { Challenge::NoSuchDevice } else { Challenge::None })
    }

    fn verify(&self, _: &LoginContext, _: &Typed) -> Result<Verdict, CoreError> {
        Ok(Verdict::Accepted(Accepted { factor: Factor::Passcode, recovery_left: None, failures: 0 }))
    }
}

#[test]
fn a_passcode_leads_to_a_device_where_the_user_has_none() {
    let ruling = Ruling {
        second_factor: SecondFactor::Enroll,
        source: Source::Default,
        required_from: None,
        passcode: true,
        devices: Kinds::ALL,
    };
    let set_up = "Passcode used. Set up your device now: otp-enroll";
    for (demand, enforce, last) in [
        (Demand::Passcode(ruling), true, "log: enrollment-pending user=alice second_factor=enroll by=default"),
        (Demand::Passcode(ruling), false, set_up),
        (Demand::OF_THE_UNKNOWN, true, set_up),
        (
            Demand::Code { challenge: false, digits: Some(Digits::SIX) },
            true,
            "Passcode used. It is not accepted again.",
        ),
    ] {
        let site = Site {
            config: Config { settings: Settings { enforce, ..Settings::default() }, ..Config::default() },
            path: PathBuf::new(),
            ask_for_keys: None,
        };
        let (arguments, context) = (Arguments::parse(&[]).unwrap(), LoginContext::default());
        let (issuer, mut person) = (Issuer(demand), Person::who_types(&["K7QD-M3XA-92TE"]));
        let login = Login { user: "alice", site: &site, arguments: &arguments, context: &context, authority: &issuer };
        let outcome = login.ask_and_verify(&mut person, false, Digits::SIX);
        assert!(matches!(outcome, Ok(Outcome::Verified)));
        let shown = ["Verification code: K7QD-M3XA-92TE", "log: accepted user=alice factor=passcode", last];
        assert_eq!(person.seen.into_inner(), shown);
    }
}

#[test]
fn a_user_with_few_recovery_codes_or_none_is_told_where_some_can_be_made() {
    for (left, text) in [
        (None, Some("You have no recovery codes.")),
        (Some(0), Some("No recovery code is left.")),
        (Some(1), Some("Only one recovery code is left.")),
        (Some(2), Some("Only two recovery codes are left.")),
        (Some(3), None),
    ] {
        for recovery_codes in [10, 0] {
            let site = Site {
                config: Config { settings: Settings { recovery_codes, ..Settings::default() }, ..Config::default() },
                path: PathBuf::new(),
                ask_for_keys: None,
            };
            let (arguments, context) = (Arguments::parse(&[]).unwrap(), LoginContext::default());
            let (issuer, mut person) = (Keypads::default(), Person::default());
            let login =
                Login { user: "alice", site: &site, arguments: &arguments, context: &context, authority: &issuer };
            let accepted = Accepted { factor: Factor::Totp(DeviceId(1)), recovery_left: left, failures: 0 };
            login.conclude(&mut person, &Verdict::Accepted(accepted), 0).unwrap();
            let expected = text.filter(|_| recovery_codes > 0);
            let expected: Vec<_> =
                expected.iter().map(|text| format!("{text} Make new ones with: otp-enroll recovery")).collect();
            assert_eq!(person.seen.into_inner(), expected);
        }
    }
}
