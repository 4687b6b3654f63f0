//! The story of a login: ask the authority what is demanded, show the challenge, ask the user, verify, log, answer.

use std::ffi::CStr;

use otp_core::audit::Event;
use otp_core::codes::attempt::{Attempt, Typed};
use otp_core::codes::challenge::Challenge;
use otp_core::codes::hotp_totp::Digits;
use otp_core::config::module_arguments::{Arguments, FirstPass, Part};
use otp_core::decision::demand::Demand;
use otp_core::decision::policy::Ruling;
use otp_core::decision::verify::{Accepted, Factor, Refusal, Verdict};
use otp_core::error::CoreError;
use otp_core::service::authority::Authority;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::text::{counted, said};
use otp_core::{plural, text};

use crate::authority;
use crate::host::Host;
use crate::host::deferred::{Deferred, Seen};
use crate::outcome::{ModuleError, Outcome};
use crate::password_and_code;
use crate::report::{failed, noted, refused_without_a_word};

/// Questions of one login: the first, and one more for each device that is named in place of a code.
const MOST_QUESTIONS: u8 = 3;

/// Asks for a second factor and says how it went. Everything that goes wrong ends in a refusal.
pub(crate) fn authenticate(host: &mut dyn Host, arguments: &[&CStr]) -> Outcome {
    let user = match host.user() {
        Ok(user) => user,
        Err(error) => return failed(host, "", error.into()),
    };
    // A host may try one name after another, as login does: neither a text for the name before nor its pending enrollment is
    // this one's.
    host.forget_what_waits_for_others(&user);
    if host.pending_enrollment().is_some_and(|pending| pending != user.as_bytes()) {
        host.clear_pending_enrollment();
    }
    let prepared = Arguments::parse(arguments).map_err(ModuleError::Argument);
    let site = prepared.and_then(|arguments| Ok((Site::load(&arguments.config)?, arguments)));
    let (site, arguments) = match site {
        Ok(prepared) => prepared,
        Err(error) => return failed(host, &user, error),
    };
    if let Some(language) = &site.config.language {
        host.set_language(language);
    }
    let outcome = match arguments.part {
        Part::Whole => verified(host, &user, &site, &arguments),
        Part::Defer => seen(host, &user, &site, &arguments),
        Part::Deferred => judged(host, &user, &site, &arguments),
    };
    let outcome = match outcome.and_then(|outcome| of_the_same(host, &user, outcome)) {
        Ok(outcome) => outcome,
        Err(error) if !site.config.settings.enforce => noted(host, &user, error, false),
        Err(error) if arguments.part == Part::Deferred => refused_without_a_word(host, &user, error),
        Err(error) => failed(host, &user, error),
    };
    outcome.unless_rollout(site.config.settings.enforce)
}

/// The user who passes is the user who came: the conversation that shows a text may change the name as well as the one
/// that asks.
fn of_the_same(host: &dyn Host, user: &str, outcome: Outcome) -> Result<Outcome, ModuleError> {
    let passes = matches!(outcome, Outcome::Verified | Outcome::NotAsked);
    if passes && !host.still_names(user) { Err(ModuleError::UserChanged) } else { Ok(outcome) }
}

/// The line with `defer`: the same questions, and a look at the code. What it saw is left to the line with `deferred`.
fn seen(host: &mut dyn Host, user: &str, site: &Site, arguments: &Arguments) -> Result<Outcome, ModuleError> {
    // A host may try again with one transaction: what an earlier try saw is not judged in this one.
    host.clear_deferred();
    let outcome = verified(host, user, site, arguments);
    if outcome.is_err() && !host.defer(&Deferred::of(user, Seen::Failed)) {
        host.clear_deferred();
    }
    outcome
}

/// The line with `deferred`, after the modules that check passwords.
fn judged(host: &mut dyn Host, user: &str, site: &Site, arguments: &Arguments) -> Result<Outcome, ModuleError> {
    let Deferred { user: left_by, seen } = host.deferred().ok_or(ModuleError::NothingDeferred)?;
    // Judged once, whatever comes of it.
    host.clear_deferred();
    if left_by != user.as_bytes() {
        return Err(ModuleError::UserChanged);
    }
    let code = match seen {
        Seen::Failed => return Err(ModuleError::DeferFailed),
        Seen::NotAsked => return Ok(Outcome::NotAsked),
        // libpam forgets the password when a login begins: without one the code is of an earlier try.
        Seen::Code { .. } if host.password().is_none() => return Err(ModuleError::NothingDeferred),
        Seen::Grace => None,
        Seen::Code { typed, .. } => Some(typed),
    };
    let context = context(host, arguments);
    let authority = authority::about(site, user)?;
    let login = Login { user, site, arguments, context: &context, authority: authority.as_ref() };
    let Some(code) = code else { return Ok(login.accept_by_grace(host)) };
    let verdict = login.verify(host, &code)?;
    login.conclude(host, &verdict, 0)
}

/// For the account line: how a login ends whose code was looked at and never judged. `None` for every other one.
pub(crate) fn unjudged(host: &mut dyn Host) -> Option<Outcome> {
    let Deferred { user, seen } = host.deferred()?;
    let user = String::from_utf8_lossy(&user);
    match seen {
        Seen::Failed | Seen::NotAsked | Seen::Grace => None,
        Seen::Code { enforced: true, .. } => Some(refused_without_a_word(host, &user, ModuleError::NotJudged)),
        Seen::Code { enforced: false, .. } => {
            let _ = noted(host, &user, ModuleError::NotJudged, false);
            None
        }
    }
}

/// Where the login comes from, and what its PAM line says of policy.
fn context(host: &dyn Host, arguments: &Arguments) -> LoginContext {
    let as_one = arguments.forward_pass || arguments.first_pass == FirstPass::Use || arguments.part == Part::Deferred;
    LoginContext {
        nullok: arguments.nullok,
        enroll: arguments.enroll,
        as_one,
        send: arguments.send,
        ..host.login_context()
    }
}

fn verified(host: &mut dyn Host, user: &str, site: &Site, arguments: &Arguments) -> Result<Outcome, ModuleError> {
    let context = context(host, arguments);
    let authority = authority::about(site, user)?;
    let login = Login { user, site, arguments, context: &context, authority: authority.as_ref() };

    let demand = login.authority.demand(login.context)?;
    login.debug(host, &demand);
    match demand {
        Demand::Code { challenge, digits } => {
            login.ask_and_verify(host, challenge, digits.unwrap_or(site.config.settings.code.digits))
        }
        Demand::Grace { digits } => login.let_in_by_grace(host, digits.unwrap_or(site.config.settings.code.digits)),
        Demand::Nothing(ruling) => login.let_pass(host, &ruling),
        Demand::Enroll(ruling) => login.leave_to_enrollment(host, &ruling),
        Demand::Passcode(_) => login.ask_and_verify(host, false, site.config.settings.code.digits),
    }
}

/// What stays the same while one login is decided.
struct Login<'a> {
    user: &'a str,
    site: &'a Site,
    arguments: &'a Arguments,
    context: &'a LoginContext,
    authority: &'a dyn Authority,
}

impl Login<'_> {
    fn ask_and_verify(&self, host: &mut dyn Host, challenge: bool, digits: Digits) -> Result<Outcome, ModuleError> {
        // What an earlier module has asked for was typed before the number could be seen.
        if challenge && self.arguments.first_pass != FirstPass::Use {
            show(host, &self.challenge(host, None)?);
        }
        let mut earlier = password_and_code::earlier(host, self.arguments, digits)?;
        let mut questions = 0u8;
        let mut own_failures = 0u32; // such as a password that was tried as a code
        loop {
            // No lock is held and nothing is decided while a person types; what is decided about is read afterwards.
            let (code, last) = match earlier.take() {
                // A second question after a look would tell that the first code was wrong, and no guess was counted yet.
                Some(code) => (code, self.arguments.first_pass == FirstPass::Use || self.defers()),
                None => {
                    questions = questions.saturating_add(1);
                    (password_and_code::ask(host, self.user, self.site, self.arguments, digits)?, true)
                }
            };
            // A device that is named in place of a code is challenged, and the question comes again.
            if questions < MOST_QUESTIONS && self.may_name_a_device(&code) {
                let challenge = self.challenge(host, Some(&code))?;
                if challenge != Challenge::NoSuchDevice {
                    show(host, &challenge);
                    continue;
                }
            }
            let verdict = if self.defers() { self.look(host, &code)? } else { self.verify(host, &code)? };
            if last || matches!(verdict, Verdict::Accepted(_)) {
                self.hand_back(host, &verdict, &code);
                return if self.defers() {
                    Ok(foreseen(&verdict))
                } else {
                    self.conclude(host, &verdict, own_failures)
                };
            }
            let is_counted = matches!(
                verdict,
                Verdict::Refused(Refusal::Wrong { .. } | Refusal::KindNotAccepted { failures: Some(_) })
            );
            if is_counted {
                own_failures = own_failures.saturating_add(1);
            }
        }
    }

    /// The challenge of the default device, or of the one that is named. Where a message cannot be sent the login goes on: the
    /// user may have another device.
    fn challenge(&self, host: &dyn Host, named: Option<&Typed>) -> Result<Challenge, ModuleError> {
        match self.authority.challenge(self.context, named) {
            Err(error @ CoreError::NotSent(channel, _)) => {
                host.log(&Event::NotSent { user: Some(self.user), kind: channel.word(), error: &error });
                Ok(Challenge::NotSent)
            }
            challenge => Ok(challenge?),
        }
    }

    /// Whether what was typed may be a name: it is no code, and no password goes with it.
    fn may_name_a_device(&self, typed: &Typed) -> bool {
        let is_alone = !self.arguments.forward_pass && !self.defers() && self.arguments.first_pass != FirstPass::Use;
        is_alone && !typed.expose().is_empty() && matches!(Attempt::parse(typed), Attempt::Malformed)
    }

    fn verify(&self, host: &dyn Host, code: &Typed) -> Result<Verdict, ModuleError> {
        let verdict = self.authority.verify(self.context, code)?;
        // What the verdict rests on is on disk by now: only what was done is logged.
        self.log(host, &verdict);
        Ok(verdict)
    }

    /// A look, of which the client hears nothing: no text, no line in the log, and the same delay for a right code.
    fn look(&self, host: &mut dyn Host, code: &Typed) -> Result<Verdict, ModuleError> {
        let (verdict, enforced) = (self.authority.look(self.context, code)?, self.site.config.settings.enforce);
        if enforced {
            host.delay_failure();
        }
        self.leave(host, Seen::Code { typed: Typed::new(code.expose().to_vec()), enforced })?;
        Ok(verdict)
    }

    /// In a rollout a user without a device is let in, and the password may end in digits.
    fn hand_back(&self, host: &mut dyn Host, verdict: &Verdict, code: &Typed) {
        let no_device = matches!(verdict, Verdict::Refused(Refusal::NotEnrolled | Refusal::EnrollmentNotOffered));
        if no_device && self.arguments.forward_pass && !self.site.config.settings.enforce {
            password_and_code::rejoin(host, code);
        }
    }

    /// What a verdict means for host and user. The user need not hear of wrong codes of this login itself.
    fn conclude(&self, host: &mut dyn Host, verdict: &Verdict, own_failures: u32) -> Result<Outcome, ModuleError> {
        Ok(match verdict {
            Verdict::Accepted(accepted) => {
                // A user who has a device by now need not enroll, whatever an earlier try found.
                host.clear_pending_enrollment();
                // With password and code as one, the next module judges the password.
                let waits = self.arguments.forward_pass;
                warn_of_failures(host, accepted.failures.saturating_sub(own_failures), waits);
                if accepted.factor == Factor::Passcode {
                    self.lead_to_a_device(host, waits)?;
                } else if self.site.config.settings.recovery_codes > 0 {
                    remind(host, accepted, waits);
                }
                Outcome::Verified
            }
            Verdict::Refused(why) => {
                if self.site.config.settings.enforce {
                    // A text after the modules that check passwords would tell that the password was right.
                    if self.arguments.part != Part::Deferred {
                        let text = || said(host.language(), text!("Verification failed."), &[]);
                        host.warn(&self.site.config.refused.clone().unwrap_or_else(text));
                    }
                    host.delay_failure();
                }
                Outcome::Refused(*why)
            }
        })
    }

    /// After a passcode, which is good once: enrollment where policy and PAM line have it, else a text. The authority is
    /// asked again: what a line with `defer` learned is not known to the line with `deferred`.
    fn lead_to_a_device(&self, host: &mut dyn Host, waits: bool) -> Result<(), ModuleError> {
        match self.authority.demand(self.context)? {
            Demand::Passcode(ruling) | Demand::Enroll(ruling) if self.site.config.settings.enforce => {
                self.leave_to_enrollment(host, &ruling)?;
            }
            Demand::Code { digits: Some(_), .. } | Demand::Grace { .. } => {
                let text = said(host.language(), text!("Passcode used. It is not accepted again."), &[]);
                host.tell_in_session(&text, waits);
            }
            Demand::Code { digits: None, .. } | Demand::Nothing(_) | Demand::Passcode(_) | Demand::Enroll(_) => {
                let text = said(host.language(), text!("Passcode used. Set up your device now: otp-enroll"), &[]);
                host.tell_in_session(&text, waits);
            }
        }
        Ok(())
    }

    fn defers(&self) -> bool {
        self.arguments.part == Part::Defer
    }

    /// Leaves what was seen to the line with `deferred`, if there is to be one.
    fn leave(&self, host: &mut dyn Host, seen: Seen) -> Result<(), ModuleError> {
        if self.defers() && !host.defer(&Deferred::of(self.user, seen)) {
            return Err(ModuleError::NotDeferred);
        }
        Ok(())
    }

    fn let_in_by_grace(&self, host: &mut dyn Host, digits: Digits) -> Result<Outcome, ModuleError> {
        let (site, arguments) = (self.site, self.arguments);
        // A user who types password and code as one cannot know that the code is not looked at this time.
        if arguments.forward_pass
            && password_and_code::earlier(host, arguments, digits)?.is_none()
            && host.password().is_none()
        {
            password_and_code::ask(host, self.user, site, arguments, digits)?;
        }
        self.leave(host, Seen::Grace)?;
        Ok(if self.defers() { Outcome::Verified } else { self.accept_by_grace(host) })
    }

    fn accept_by_grace(&self, host: &dyn Host) -> Outcome {
        self.log(host, &Verdict::Accepted(Accepted { factor: Factor::Grace, recovery_left: None, failures: 0 }));
        Outcome::Verified
    }

    fn let_pass(&self, host: &mut dyn Host, ruling: &Ruling) -> Result<Outcome, ModuleError> {
        self.leave(host, Seen::NotAsked)?;
        host.log(&Event::NotAsked { user: self.user, rhost: self.context.rhost.as_deref(), ruling });
        announce(host, ruling);
        Ok(Outcome::NotAsked)
    }

    fn leave_to_enrollment(&self, host: &mut dyn Host, ruling: &Ruling) -> Result<Outcome, ModuleError> {
        let (user, rhost, enforced) = (self.user, self.context.rhost.as_deref(), self.site.config.settings.enforce);
        // An enrollment that is not noted would be a way in. In a rollout no login is held up by one.
        if enforced && !host.set_pending_enrollment(user) {
            return Err(ModuleError::NoPendingEnrollment);
        }
        self.leave(host, Seen::NotAsked)?;
        host.log(&Event::EnrollmentPending { user, rhost, ruling, enforced });
        Ok(Outcome::NotAsked)
    }

    fn log(&self, host: &dyn Host, verdict: &Verdict) {
        let (user, rhost, enforced) = (self.user, self.context.rhost.as_deref(), self.site.config.settings.enforce);
        host.log(&Event::Login { user, rhost, verdict, enforced });
    }

    fn debug(&self, host: &dyn Host, demand: &Demand) {
        if self.arguments.debug {
            let LoginContext { service, rhost, tty, nullok, enroll, as_one: _, send } = self.context;
            let (config, words, rhost) = (self.site.path.display(), demand.words(), rhost.as_deref());
            host.debug(&format!(
                "debug config={config} demand={words:?} service={service:?} rhost={rhost:?} tty={tty:?} nullok={nullok} \
                 enroll={enroll} send={send}"
            ));
        }
    }
}

/// What will come of a code that was looked at, if it is judged the same.
fn foreseen(verdict: &Verdict) -> Outcome {
    match verdict {
        Verdict::Accepted(_) => Outcome::Verified,
        Verdict::Refused(why) => Outcome::Refused(*why),
    }
}

/// Shows what an authority has to show before the question.
fn show(host: &dyn Host, challenge: &Challenge) {
    if let Some(text) = challenge.text(host.language()) {
        host.tell(&text);
    }
}

/// Tells a user without a device when one will be required.
fn announce(host: &mut dyn Host, ruling: &Ruling) {
    if let Some(from) = ruling.required_from {
        let text = text!("From {day} on, a second factor is required here. Set one up with: otp-enroll");
        let text = said(host.language(), text, &[("day", &from.day())]);
        host.tell_in_session(&text, false);
    }
}

/// Tells the user of wrong codes before the right one: another person may have tried them.
fn warn_of_failures(host: &mut dyn Host, failures: u32, waits: bool) {
    if failures == 0 {
        return;
    }
    let texts = plural!(
        "{number} wrong code was tried for your account since your last correct one.\nIf that was not you, tell your administrator.",
        "{number} wrong codes were tried for your account since your last correct one.\nIf that was not you, tell your administrator."
    );
    let text = counted(host.language(), texts, failures.into(), &[]);
    host.tell_in_session(&text, waits);
}

/// Tells the user who has few recovery codes, or none.
fn remind(host: &mut dyn Host, accepted: &Accepted, waits: bool) {
    let left = match accepted.recovery_left {
        None => text!("You have no recovery codes. Make new ones with: otp-enroll recovery"),
        Some(0) => text!("No recovery code is left. Make new ones with: otp-enroll recovery"),
        Some(1) => text!("Only one recovery code is left. Make new ones with: otp-enroll recovery"),
        Some(2) => text!("Only two recovery codes are left. Make new ones with: otp-enroll recovery"),
        Some(_) => return,
    };
    let text = said(host.language(), left, &[]);
    host.tell_in_session(&text, waits);
}

#[cfg(test)]
mod tests;
