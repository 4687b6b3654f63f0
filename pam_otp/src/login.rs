//! The story of a login: ask, parse, load, decide, commit, log, answer.

use std::ffi::CStr;

use otp_core::audit::Event;
use otp_core::config::module_arguments::{Arguments, FirstPass};
use otp_core::decision::policy::Ruling;
use otp_core::decision::verify::{Accepted, Factor, Refusal, Verdict};
use otp_core::service::authority::Demand;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;

use crate::authority::Authority;
use crate::host::Host;
use crate::outcome::{Failure, Outcome};
use crate::password_and_code;

/// What a person sees when it is not their fault.
const NOT_POSSIBLE: &str = "Verification is not possible now. The administrator finds the reason in the system log.";

/// Asks for a second factor and says how it went. Everything that goes wrong ends in a refusal.
pub(crate) fn authenticate(host: &mut dyn Host, arguments: &[&CStr]) -> Outcome {
    let user = match host.user() {
        Ok(user) => user,
        Err(silence) => return failed(host, "", silence.into()),
    };
    // A host may try one name after another, as login does: what the one before was led to is not this one's.
    if host.mark().is_some_and(|whose| whose != user.as_bytes()) {
        host.unmark();
    }
    let prepared = Arguments::parse(arguments).map_err(Failure::Argument);
    let site = prepared.and_then(|arguments| Ok((Site::load(&arguments.config)?, arguments)));
    let (site, arguments) = match site {
        Ok(prepared) => prepared,
        Err(failure) => return failed(host, &user, failure),
    };
    let outcome = verified(host, &user, &site, &arguments);
    let outcome = match outcome.and_then(|outcome| of_the_same(host, &user, outcome)) {
        Ok(outcome) => outcome,
        Err(failure) if site.config.enforce => failed(host, &user, failure),
        Err(failure) => noted(host, &user, failure, false),
    };
    outcome.unless_rollout(site.config.enforce)
}

/// Who passes is who came: the conversation that shows a text may change the name as well as the one that asks.
fn of_the_same(host: &dyn Host, user: &str, outcome: Outcome) -> Result<Outcome, Failure> {
    let passes = matches!(outcome, Outcome::Verified | Outcome::NotAsked);
    if passes && !host.still_names(user) { Err(Failure::UserChanged) } else { Ok(outcome) }
}

fn verified(host: &mut dyn Host, user: &str, site: &Site, arguments: &Arguments) -> Result<Outcome, Failure> {
    let authority = Authority::about(site, user)?;
    let mut place = host.place();
    place.nullok = arguments.nullok;
    let rhost = place.rhost.as_deref();
    let enforced = site.config.enforce;

    let demand = authority.demand(&place)?;
    if arguments.debug {
        let (config, words, LoginContext { service, tty, .. }) = (site.path.display(), demand.words(), &place);
        host.debug(&format!(
            "debug config={config} demand={words:?} service={service:?} rhost={rhost:?} tty={tty:?} nullok={}",
            arguments.nullok
        ));
    }
    match demand {
        Demand::Code => {}
        Demand::Remembered => {
            // Who types password and code as one cannot know that nobody looks at the code this time.
            if arguments.forward_pass
                && password_and_code::earlier(host, site, arguments)?.is_none()
                && host.password().is_none()
            {
                password_and_code::ask(host, user, site, arguments)?;
            }
            let verdict = Verdict::Accepted(Accepted { factor: Factor::Grace, recovery_left: None });
            host.log(&Event::Login { user, rhost, verdict: &verdict, enforced });
            return Ok(Outcome::Verified);
        }
        Demand::Nothing(ruling) => {
            host.log(&Event::NotAsked { user, rhost, ruling: &ruling });
            announce(host, &ruling);
            return Ok(Outcome::NotAsked);
        }
        Demand::SetUp(ruling) => {
            // Hosts that are not root often stop here, and never come to where set-up would be missed.
            if matches!(authority, Authority::Helper) {
                return Err(Failure::NoSetUp);
            }
            // A mark that cannot be left would be a way in. In a rollout nobody is held up by set-up.
            if enforced && !host.set_mark(user) {
                return Err(Failure::NoMark);
            }
            host.log(&Event::SetUpPending { user, rhost, ruling: &ruling, enforced });
            return Ok(Outcome::NotAsked);
        }
    }

    let mut earlier = password_and_code::earlier(host, site, arguments)?;
    loop {
        // No lock is held and nothing is decided while a person types; what is decided about is read afterwards.
        let (code, last) = match earlier.take() {
            Some(code) => (code, arguments.first_pass == FirstPass::Use),
            None => (password_and_code::ask(host, user, site, arguments)?, true),
        };
        let verdict = authority.verify(&place, &code)?;
        // What the verdict rests on is on disk by now: only what was done is logged.
        host.log(&Event::Login { user, rhost, verdict: &verdict, enforced });
        match verdict {
            Verdict::Accepted(accepted) => {
                // Whoever has a device by now is owed no set-up, whatever it was at an earlier try.
                host.unmark();
                remind(host, &accepted);
                return Ok(Outcome::Verified);
            }
            Verdict::Refused(_) if !last => {}
            Verdict::Refused(why) => {
                if enforced {
                    host.warn(&site.config.refused);
                    host.delay_failure();
                } else if arguments.forward_pass && why == Refusal::NotEnrolled {
                    password_and_code::rejoin(host, &code);
                }
                return Ok(Outcome::Refused(why));
            }
        }
    }
}

/// Tells a user without a device when one will be required.
fn announce(host: &dyn Host, ruling: &Ruling) {
    if let Some(from) = ruling.required_from {
        host.tell(&format!("From {} on, a second factor is required here. Set one up with: otp-enroll", from.day()));
    }
}

fn remind(host: &dyn Host, accepted: &Accepted) {
    let left = match accepted.recovery_left {
        Some(0) => "No recovery code is left.",
        Some(1) => "Only one recovery code is left.",
        Some(2) => "Only two recovery codes are left.",
        Some(_) | None => return,
    };
    host.tell(&format!("{left} Make new ones with: otp-enroll recovery"));
}

/// Logs what kept a login from being decided, and tells and slows the client.
pub(crate) fn failed(host: &mut dyn Host, user: &str, failure: Failure) -> Outcome {
    if !matches!(failure, Failure::Silence(_)) {
        host.warn(NOT_POSSIBLE);
    }
    host.delay_failure();
    noted(host, user, failure, true)
}

/// Logs it, and no more: all that happens in a rollout.
fn noted(host: &dyn Host, user: &str, failure: Failure, enforced: bool) -> Outcome {
    let rhost = host.place().rhost;
    let (rhost, error, hint) = (rhost.as_deref(), &failure, failure.hint());
    host.log(&Event::Failed { user, rhost, error, hint, enforced });
    Outcome::Failed(failure)
}
