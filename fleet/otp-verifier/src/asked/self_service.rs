//! A user's own second factor, through a host: enrollment in steps, and changes.
//!
//! What is under way between two steps is carried by the asker, sealed, so that any verifier can go on. A host without the right
//! `enroll` is one on which codes are typed that are meant for logins: it may show what a login does, and enroll a first device
//! for an administrator's passcode.

use std::cell::RefCell;

use otp_core::audit::Event;
use otp_core::codes::challenge::Challenge;
use otp_core::config::settings::Settings;
use otp_core::decision::pin::Pin;
use otp_core::decision::policy::{Policy, SecondFactor, Terms};
use otp_core::protocol::request::{Confidential, Declined, Reply, Request};
use otp_core::record::Record;
use otp_core::record::credentials_toml::carried::Carried;
use otp_core::service::authority::Authority as _;
use otp_core::service::caller::Caller;
use otp_core::service::local_authority::LocalAuthority;
use otp_core::service::self_service::UnderWay;
use otp_core::service::self_service::carried::{Progress, proof_words};
use otp_core::store::Store as _;
use otp_core::system::random;
use otp_core::value::time::{Seconds, UnixTime};
use otp_messages::ready::Ready;
use otp_wire::{SelfAnswer, SelfEvent, SelfQuestion};

use crate::answered::{Answered, Asking, Failure, body, body_after, unanswered};
use crate::asking_host::AskingHost;
use crate::database::resets::LastReset;
use crate::right::Right;
use crate::store::PgStore;

/// How long the user may take for one step.
const STEP: Seconds = Seconds(900);

/// What came of a question.
struct Step {
    reply: Reply,
    under_way: Option<Confidential>,
    event: Option<SelfEvent>,
    /// A PIN that is sent before this is answered.
    ready: Option<Ready>,
}

/// An enrollment that was carried here.
struct Resumed {
    under_way: UnderWay,
    until: UnixTime,
    /// What it goes on from: an administrator who takes devices away ends it.
    after: LastReset,
}

/// Why what was carried is not taken up: as a reply, since no other verifier would say anything else.
enum Unfit {
    /// It was altered, or made for another user or host, or by a key that is gone.
    NotThis,
    Ended,
    Changed,
}

impl From<Unfit> for Step {
    fn from(why: Unfit) -> Self {
        let failed = |error: &str, hint: &str| Reply::Failed { error: error.into(), hint: hint.into() };
        let reply = match why {
            Unfit::NotThis => failed(
                "what is under way was altered, or belongs to another user or another host",
                "nothing was changed; start again",
            ),
            Unfit::Ended => failed("the time for this step is over", "nothing was changed; start again"),
            Unfit::Changed => Reply::Declined(Declined::ChangedMeanwhile),
        };
        Self { reply, under_way: None, event: None, ready: None }
    }
}

impl AskingHost<'_> {
    pub(super) fn self_service(&self, question: &SelfQuestion) -> Answered {
        let SelfQuestion { id, user, place, request, .. } = question;
        if !request.is_self_service() {
            return Err(Failure::malformed("it is no request of self service"));
        }
        self.may_one_of(&[Right::Login, Right::Enroll])?;
        let asking = self.about(Some(place), user)?;
        let store = self.store(&asking);
        // Before the record: what comes in between ends the next step.
        let after =
            self.session.last_reset(asking.account.name.as_str()).map_err(|error| unanswered(self.fleet, &error))?;
        let record = store.read(&asking.account).map_err(|error| unanswered(self.fleet, &error))?;
        if record.is_some() {
            self.may_ask_about(&asking, *id)?;
        }
        if is_guess(request) {
            self.may_send_codes(&asking, *id)?;
        }
        let resumed = match self.resumed(question, &asking, record.as_ref(), after) {
            Ok(resumed) => resumed,
            Err(why) => return answer_to(question, why.into()),
        };
        let is_by_passcode = self.permitted(question, &store, &asking, record.as_ref(), &resumed)?;
        let step = self.step(question, store, &asking, resumed, is_by_passcode)?;
        // As at logins: a recovery code cannot be guessed.
        if step.reply.is_wrong_guess() {
            self.count_wrong(&asking);
        }
        answer_to(question, step)
    }

    /// Whether this host may ask this. Without the right `enroll` a passcode must permit it: the result says whether one did, at
    /// the login that is under way on this host.
    fn permitted(
        &self,
        question: &SelfQuestion,
        store: &PgStore<'_>,
        asking: &Asking<'_>,
        record: Option<&Record>,
        resumed: &Resumed,
    ) -> Result<bool, Failure> {
        let request = &question.request;
        let is_of_login = matches!(request, Request::Status {} | Request::Requirement {} | Request::Test { .. });
        if self.host.may(Right::Enroll) || (is_of_login && self.host.may(Right::Login)) {
            return Ok(false);
        }
        let is_first =
            matches!(request, Request::Enroll { .. } | Request::Add { .. }) && !record.is_some_and(Record::is_enrolled);
        if is_first && question.in_login {
            // The passcode was typed at the login, and what the login did of it is in the record.
            let is_used = |record: &Record| record.credentials.passcode.is_some() && record.state.passcode_used;
            let is_here = || store.let_in_by_passcode(&asking.account);
            if record.is_some_and(is_used) && is_here().map_err(|error| unanswered(self.fleet, &error))? {
                return Ok(true);
            }
        } else if is_first || (request.goes_on() && resumed.under_way.is_by_passcode()) {
            return Ok(false);
        } else if request.goes_on() && resumed.under_way.progress() == Progress::None {
            return Ok(false); // nothing was offered, which is what it is told
        }
        self.may(Right::Enroll)?;
        Ok(false)
    }

    /// What was carried, as this host's and this user's; nothing under way where the request does not go on with it.
    fn resumed(
        &self,
        question: &SelfQuestion,
        asking: &Asking<'_>,
        record: Option<&Record>,
        after: LastReset,
    ) -> Result<Resumed, Unfit> {
        let none = || Resumed { under_way: UnderWay::default(), until: UnixTime::now().after(STEP), after };
        let Some(carried) = question.under_way.as_ref().filter(|_| question.request.goes_on()) else {
            return Ok(none());
        };
        let user = &asking.account.name;
        let carried = self.keys.open_under_way(user, &self.host.id, carried.expose());
        let carried = carried.map_err(|_| Unfit::NotThis)?;
        let (begun_after, text) = LastReset::split(&carried).ok_or(Unfit::NotThis)?;
        let carried = Carried::decode(text).map_err(|_| Unfit::NotThis)?;
        if carried.user != *user || carried.host != self.host.id {
            return Err(Unfit::NotThis);
        }
        let until = carried.until;
        if until <= UnixTime::now() {
            return Err(Unfit::Ended);
        }
        let account = asking.account.clone();
        let under_way = UnderWay::resumed(carried, account, random::entropy).ok_or(Unfit::NotThis)?;
        if !under_way.is_of(record) || begun_after != after {
            return Err(Unfit::Changed);
        }
        Ok(Resumed { under_way, until, after })
    }

    fn step(
        &self,
        question: &SelfQuestion,
        store: PgStore<'_>,
        asking: &Asking<'_>,
        Resumed { mut under_way, until, after }: Resumed,
        is_by_passcode: bool,
    ) -> Result<Step, Failure> {
        let SelfQuestion { id, place, request, .. } = question;
        let before = under_way.progress();
        if let (Request::Confirm { code, .. }, Some((pin, until))) = (request, under_way.pin()) {
            // Each one before it is compared: a text that is carried can be gone back to.
            let before = if Pin::is_try(&code.into_typed()) {
                self.session.count_try(pin, until).map(|tries| tries.saturating_sub(1))
            } else {
                self.session.tries(pin)
            };
            under_way.set_tries_of_pin(before.map_err(|error| unanswered(self.fleet, &error))?);
        }
        let events = RefCell::new(None);
        let log = |event: &Event<'_>| {
            if let Some(event) = told(event) {
                events.replace(Some(event));
            }
        };
        // Root of a host that enrolls is an administrator there.
        let is_trusted = self.host.may(Right::Enroll) && place.by == 0;
        let caller = Caller { uid: place.by, is_trusted, log: &log, origin: self.origin(*id) };
        let settings = self.settings_for(question);
        let account = Some(asking.account.clone());
        let postbox = self.postbox(asking, *id, question.accepted);
        let mut authority = LocalAuthority::on(store, &settings, &postbox, account, caller).resuming(under_way);
        let reply = if question.in_login {
            authority.enroll_during_login(request.clone())
        } else {
            authority.request(request.clone())
        };
        let reply = self.written(authority.store(), reply)?;
        let under_way = authority.under_way();
        if is_by_passcode {
            under_way.set_by_passcode();
        }
        // The user may have enrolled a device elsewhere since the record was read, and proved it here.
        if under_way.progress() != Progress::None && !under_way.is_by_passcode() {
            self.may(Right::Enroll)?;
        }
        // A new step has its time; a wrong code, and another PIN, prolong nothing.
        let until =
            if request.goes_on() && under_way.progress() == before { until } else { UnixTime::now().after(STEP) };
        let under_way = match under_way.carried(&self.host.id, until) {
            Some(carried) => {
                let text = after.before(&carried.encode());
                let sealed = self.keys.seal_under_way(&asking.account.name, &self.host.id, &text);
                Some(Confidential::new(&sealed.map_err(|error| Failure::no_answer(&error.to_string()))?))
            }
            None => None,
        };
        drop(authority);
        Ok(Step { reply, under_way, event: events.into_inner(), ready: postbox.ready.into_inner() })
    }

    /// The verifier's settings, with a policy that says what the host's does, and that a passcode is needed on a host that may not
    /// enroll by itself.
    fn settings_for(&self, question: &SelfQuestion) -> Settings {
        let terms = Terms {
            second_factor: SecondFactor::Optional,
            devices: question.accepted,
            passcode: question.passcode || !self.host.may(Right::Enroll),
            ..Terms::default()
        };
        Settings { policy: Policy { terms, rules: Vec::new() }, ..self.fleet.settings.clone() }
    }
}

fn answer_to(question: &SelfQuestion, Step { reply, under_way, event, ready }: Step) -> Answered {
    let id = question.id;
    let Some(ready) = ready else { return body(&SelfAnswer { id, reply, under_way, event }) };
    // A PIN that was sent before stays good where this one cannot be sent; without one there is nothing to type.
    let otherwise = match (&question.request, &reply, &question.under_way) {
        (Request::SendAgain {}, Reply::PinSent { name, to, .. }, Some(before)) => {
            let reply = Reply::PinSent { name: name.clone(), to: to.clone(), answer: Challenge::NotSent.words() };
            SelfAnswer { id, reply, under_way: Some(before.clone()), event: event.clone() }
        }
        _ => SelfAnswer { id, reply: Reply::Declined(Declined::PinNotSent), under_way: None, event: event.clone() },
    };
    body_after(ready, &SelfAnswer { id, reply, under_way, event }, &otherwise)
}

/// Whether it may be a guess of a code.
fn is_guess(request: &Request) -> bool {
    request.proof().is_some() || matches!(request, Request::Confirm { .. })
}

/// What the log of the host is told. Errors are in the log of this verifier.
fn told(event: &Event<'_>) -> Option<SelfEvent> {
    if let Event::Change { what, device, proof, .. } = event {
        Some(SelfEvent::Change { what: (*what).to_owned(), device: *device, by: proof_words(*proof) })
    } else if let Event::Proved { what, proof, .. } = event {
        Some(SelfEvent::Proved { what: (*what).to_owned(), by: proof_words(*proof) })
    } else if let Event::ChangeRefused { what, .. } = event {
        Some(SelfEvent::Refused { what: (*what).to_owned() })
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
