//! The story of a login: ask the authority what is demanded, show the challenge, ask the user, verify, log, answer.

use std::ffi::CStr;

use otp_core::audit::Event;
use otp_core::codes::challenge::Challenge;
use otp_core::config::module_arguments::{Arguments, FirstPass};
use otp_core::decision::demand::Demand;
use otp_core::decision::policy::Ruling;
use otp_core::decision::verify::{Accepted, Factor, Refusal, Verdict};
use otp_core::service::authority::Authority;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;

use crate::authority;
use crate::host::Host;
use crate::outcome::{ModuleError, Outcome};
use crate::password_and_code;
use crate::report::{failed, noted};

/// Questions of one login: the first, and one more for each device that is named in place of a code.
const MOST_QUESTIONS: u8 = 3;

/// Asks for a second factor and says how it went. Everything that goes wrong ends in a refusal.
pub(crate) fn authenticate(host: &mut dyn Host, arguments: &[&CStr]) -> Outcome {
    let user = match host.user() {
        Ok(user) => user,
        Err(error) => return failed(host, "", error.into()),
    };
    // A host may try one name after another, as login does: a pending enrollment of the name before is not this one's.
    if host.pending_enrollment().is_some_and(|pending| pending != user.as_bytes()) {
        host.clear_pending_enrollment();
    }
    let prepared = Arguments::parse(arguments).map_err(ModuleError::Argument);
    let site = prepared.and_then(|arguments| Ok((Site::load(&arguments.config)?, arguments)));
    let (site, arguments) = match site {
        Ok(prepared) => prepared,
        Err(error) => return failed(host, &user, error),
    };
    let outcome = verified(host, &user, &site, &arguments);
    let outcome = match outcome.and_then(|outcome| of_the_same(host, &user, outcome)) {
        Ok(outcome) => outcome,
        Err(error) if site.config.enforce => failed(host, &user, error),
        Err(error) => noted(host, &user, error, false),
    };
    outcome.unless_rollout(site.config.enforce)
}

/// The user who passes is the user who came: the conversation that shows a text may change the name as well as the one
/// that asks.
fn of_the_same(host: &dyn Host, user: &str, outcome: Outcome) -> Result<Outcome, ModuleError> {
    let passes = matches!(outcome, Outcome::Verified | Outcome::NotAsked);
    if passes && !host.still_names(user) { Err(ModuleError::UserChanged) } else { Ok(outcome) }
}

fn verified(host: &mut dyn Host, user: &str, site: &Site, arguments: &Arguments) -> Result<Outcome, ModuleError> {
    let mut login = host.login_context();
    (login.nullok, login.enroll) = (arguments.nullok, arguments.enroll);
    let authority = authority::about(site, user)?;
    let login = Login { user, site, arguments, context: &login, authority: authority.as_ref() };

    let demand = login.authority.demand(login.context)?;
    login.debug(host, &demand);
    match demand {
        Demand::Code { challenge } => login.ask_and_verify(host, challenge),
        Demand::Grace => login.let_in_by_grace(host),
        Demand::Nothing(ruling) => Ok(login.let_pass(host, &ruling)),
        Demand::Enroll(ruling) => login.leave_to_enrollment(host, &ruling),
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
    fn ask_and_verify(&self, host: &mut dyn Host, challenge: bool) -> Result<Outcome, ModuleError> {
        if challenge {
            show(host, &self.authority.challenge(self.context, None)?);
        }
        let mut earlier = password_and_code::earlier(host, self.site, self.arguments)?;
        let mut questions = 0u8;
        let mut own_failures = 0u32; // such as a password that was tried as a code
        loop {
            // No lock is held and nothing is decided while a person types; what is decided about is read afterwards.
            let (code, last) = match earlier.take() {
                Some(code) => (code, self.arguments.first_pass == FirstPass::Use),
                None => {
                    questions = questions.saturating_add(1);
                    (password_and_code::ask(host, self.user, self.site, self.arguments)?, true)
                }
            };
            if challenge && questions < MOST_QUESTIONS {
                // A device that is named in place of a code is asked for one.
                match self.authority.challenge(self.context, Some(&code))? {
                    Challenge::NoSuchDevice => {}
                    challenge @ (Challenge::None | Challenge::Shown { .. }) => {
                        show(host, &challenge);
                        continue;
                    }
                }
            }
            let verdict = self.authority.verify(self.context, &code)?;
            // What the verdict rests on is on disk by now: only what was done is logged.
            self.log(host, &verdict);
            match verdict {
                Verdict::Accepted(accepted) => {
                    // A user who has a device by now need not enroll, whatever an earlier try found.
                    host.clear_pending_enrollment();
                    warn_of_failures(host, accepted.failures.saturating_sub(own_failures));
                    remind(host, &accepted);
                    return Ok(Outcome::Verified);
                }
                Verdict::Refused(Refusal::Wrong { .. }) if !last => own_failures = own_failures.saturating_add(1),
                Verdict::Refused(_) if !last => {}
                Verdict::Refused(why) => {
                    if self.site.config.enforce {
                        host.warn(&self.site.config.refused);
                        host.delay_failure();
                    } else if self.arguments.forward_pass
                        && matches!(why, Refusal::NotEnrolled | Refusal::EnrollmentNotOffered)
                    {
                        password_and_code::rejoin(host, &code);
                    }
                    return Ok(Outcome::Refused(why));
                }
            }
        }
    }

    fn let_in_by_grace(&self, host: &mut dyn Host) -> Result<Outcome, ModuleError> {
        let (site, arguments) = (self.site, self.arguments);
        // A user who types password and code as one cannot know that the code is not looked at this time.
        if arguments.forward_pass
            && password_and_code::earlier(host, site, arguments)?.is_none()
            && host.password().is_none()
        {
            password_and_code::ask(host, self.user, site, arguments)?;
        }
        self.log(host, &Verdict::Accepted(Accepted { factor: Factor::Grace, recovery_left: None, failures: 0 }));
        Ok(Outcome::Verified)
    }

    fn let_pass(&self, host: &mut dyn Host, ruling: &Ruling) -> Outcome {
        host.log(&Event::NotAsked { user: self.user, rhost: self.context.rhost.as_deref(), ruling });
        announce(host, ruling);
        Outcome::NotAsked
    }

    fn leave_to_enrollment(&self, host: &mut dyn Host, ruling: &Ruling) -> Result<Outcome, ModuleError> {
        let (user, rhost, enforced) = (self.user, self.context.rhost.as_deref(), self.site.config.enforce);
        // An enrollment that is not noted would be a way in. In a rollout no login is held up by one.
        if enforced && !host.set_pending_enrollment(user) {
            return Err(ModuleError::NoPendingEnrollment);
        }
        host.log(&Event::EnrollmentPending { user, rhost, ruling, enforced });
        Ok(Outcome::NotAsked)
    }

    fn log(&self, host: &dyn Host, verdict: &Verdict) {
        let (user, rhost, enforced) = (self.user, self.context.rhost.as_deref(), self.site.config.enforce);
        host.log(&Event::Login { user, rhost, verdict, enforced });
    }

    fn debug(&self, host: &dyn Host, demand: &Demand) {
        if self.arguments.debug {
            let LoginContext { service, rhost, tty, nullok, enroll } = self.context;
            let (config, words, rhost) = (self.site.path.display(), demand.words(), rhost.as_deref());
            host.debug(&format!(
                "debug config={config} demand={words:?} service={service:?} rhost={rhost:?} tty={tty:?} nullok={nullok} \
                 enroll={enroll}"
            ));
        }
    }
}

/// Shows what an authority has to show before the question.
fn show(host: &dyn Host, challenge: &Challenge) {
    if let Challenge::Shown { text } = challenge {
        host.tell(text);
    }
}

/// Tells a user without a device when one will be required.
fn announce(host: &mut dyn Host, ruling: &Ruling) {
    if let Some(from) = ruling.required_from {
        host.tell_in_session(&format!(
            "From {} on, a second factor is required here. Set one up with: otp-enroll",
            from.day()
        ));
    }
}

/// Tells the user of wrong codes before the right one: another person may have tried them.
fn warn_of_failures(host: &mut dyn Host, failures: u32) {
    let tried = match failures {
        0 => return,
        1 => "1 wrong code was".to_owned(),
        _ => format!("{failures} wrong codes were"),
    };
    host.tell_in_session(&format!(
        "{tried} tried for your account since your last correct one.\nIf that was not you, tell your administrator."
    ));
}

fn remind(host: &mut dyn Host, accepted: &Accepted) {
    let left = match accepted.recovery_left {
        Some(0) => "No recovery code is left.",
        Some(1) => "Only one recovery code is left.",
        Some(2) => "Only two recovery codes are left.",
        Some(_) | None => return,
    };
    host.tell_in_session(&format!("{left} Make new ones with: otp-enroll recovery"));
}

#[cfg(test)]
mod tests;
