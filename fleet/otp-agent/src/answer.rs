//! One question: may it be asked, what is the answer, and the line in the log.

use otp_core::audit::Event;
use otp_core::codes::attempt::Typed;
use otp_core::config::budget::Budget;
use otp_core::config::{Keeper, paths};
use otp_core::decision::demand::Demand;
use otp_core::decision::verify::{Refusal, Verdict};
use otp_core::error::CoreError;
use otp_core::protocol::enrollment_messages;
use otp_core::protocol::request::{self, Confidential, PinToSend, Reply, Request};
use otp_core::service::accepted_devices;
use otp_core::service::authority::Authority;
use otp_core::service::caller::Caller;
use otp_core::service::local_authority::LocalAuthority;
use otp_core::store::note::Note;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::request_id::RequestId;
use otp_core::value::time::{Seconds, UnixTime};
use otp_core::value::user::Account;
use otp_messages::sending::Sending;
use otp_wire::Problem;

use crate::asker::Asker;
use crate::break_glass::OrBreakGlass;
use crate::budgets::NotNow;
use crate::fleet_authority::FleetAuthority;
use crate::fleet_authority::self_service::Through;
use crate::lines::{About, Next};
use crate::memory::Memory;
use crate::permission::{self, NotPermitted, Permission};
use crate::renew;
use crate::upstream::UpstreamError;

/// The answer to a question. What it says is durable.
pub(crate) fn to(question: &request::Question, asker: &Asker<'_>, memory: &Memory) -> Reply {
    let user = question.about.as_str();
    let (login, asked) = if let Request::Demand(login) = &question.request {
        (login, Asked::Demand)
    } else if let Request::Challenge { login, named } = &question.request {
        (login, Asked::Challenge(named.as_ref().map(|named| named.into_typed())))
    } else if let Request::Verify { id, login, typed } = &question.request {
        (login, Asked::Verdict(*id, typed.into_typed()))
    } else if let Request::SendPin(pin) = &question.request {
        (&LoginContext::default(), Asked::Pin(pin))
    } else if let Request::SealKeys {} = &question.request {
        (&LoginContext::default(), Asked::SealKeys)
    } else if let Request::Adopt { with_passcode } = &question.request {
        (&LoginContext::default(), Asked::Adopt(*with_passcode))
    } else if let Request::Enrolling(request) = &question.request {
        (&LoginContext::default(), Asked::Step(request, question.under_way.as_ref(), Through::Login))
    } else if question.request.is_self_service() {
        (&LoginContext::default(), Asked::Step(&question.request, question.under_way.as_ref(), Through::Program))
    } else {
        return failed("the agent only verifies codes", "use otp-enroll");
    };
    answer(user, login, &asked, asker, memory).unwrap_or_else(|Unanswered { error, hint, is_strangers }| {
        let about = if is_strangers { About::Strangers } else { About::Asker(asker.uid) };
        // The asker first: an asker chooses how long the text after it is, and the log cuts it.
        let text = format!("asked by uid {}: {error}", asker.uid);
        let event = Event::Failed { user, rhost: None, error: &text, hint: &hint, enforced: true };
        log_freely(&event, about, memory);
        failed(&error, &hint)
    })
}

/// Writes a line that has cost the asker nothing, unless there are too many of them. Root's are written.
pub(crate) fn log_freely(event: &Event<'_>, about: About, memory: &Memory) {
    if about == About::Asker(0) {
        return log(event);
    }
    match memory.lines.next(about) {
        Next::Write => log(event),
        Next::WriteThatThereAreMore => {
            let who = match about {
                About::Asker(uid) => format!("uid {uid}"),
                About::Strangers => "users who may not ask".to_owned(),
            };
            let error = format!("{who}: too many lines in a minute; the next ones are not written");
            let hint = "look for a process that floods the agent";
            log(&Event::Failed { user: "-", rhost: None, error: &error, hint, enforced: true });
        }
        Next::Drop => {}
    }
}

fn log(event: &Event<'_>) {
    otp_helper::log("otp-agent", event);
}

/// No answer, and why.
pub(crate) fn failed(error: &str, hint: &str) -> Reply {
    Reply::Failed { error: error.to_owned(), hint: hint.to_owned() }
}

/// What a question asks.
enum Asked<'a> {
    Demand,
    /// Of the default device, or of the one that is named.
    Challenge(Option<Typed>),
    /// With the id of the question.
    Verdict(Option<RequestId>, Typed),
    /// To send it.
    Pin(&'a PinToSend),
    /// Those of the asker.
    SealKeys,
    /// The record of this host is given to the fleet, and its passcode if it says so.
    Adopt(bool),
    /// One of self service, and what is under way.
    Step(&'a Request, Option<&'a Confidential>, Through),
}

/// Why there is no answer.
struct Unanswered {
    error: String,
    hint: String,
    /// Whether the asker may ask about no user.
    is_strangers: bool,
}

impl From<CoreError> for Unanswered {
    fn from(error: CoreError) -> Self {
        Self { error: error.to_string(), hint: error.hint().to_owned(), is_strangers: false }
    }
}

fn answer(
    user: &str,
    login: &LoginContext,
    asked: &Asked<'_>,
    asker: &Asker<'_>,
    memory: &Memory,
) -> Result<Reply, Unanswered> {
    let site = Site::load(paths::CONFIG.as_ref())?;
    // What is wrong there is no reason to refuse root.
    let hosts = if asker.uid == 0 { Vec::new() } else { site.agent_hosts()? };
    let account = accounts::account(user)?;
    let permission = match asked {
        Asked::Step(..) => permission::of_self_service(asker.uid, account.as_ref())?,
        Asked::Demand
        | Asked::Challenge(_)
        | Asked::Verdict(..)
        | Asked::Pin(_)
        | Asked::SealKeys
        | Asked::Adopt(_) => permission::of(asker.uid, account.as_ref(), login, &hosts)?,
    };
    let permission = permission.map_err(|why| {
        let is_strangers = matches!(why, NotPermitted::AboutOthers { .. } | NotPermitted::ForOthers { .. });
        Unanswered { error: why.to_string(), hint: why.hint().to_owned(), is_strangers }
    })?;
    let _under_way = match (permission, &account) {
        (Permission::Host(_), Some(account)) => {
            let too_many = || Unanswered {
                error: "too many questions about this user at a time".into(),
                hint: "try again; if it happens again, look for processes that hold the lock of the user's record"
                    .into(),
                is_strangers: false,
            };
            Some(memory.together.begin(asker.uid, account.name.as_str()).ok_or_else(too_many)?)
        }
        (Permission::Host(_) | Permission::Root | Permission::Own, _) => None,
    };
    let question = Question { site: &site, user, login, asked, asker, memory, permission };
    let is_of_fleet = |account: &Account| site.config.is_of_fleet(account.name.as_str());
    // A name that is no account here is none of this host's records either.
    if site.config.authority == Keeper::Fleet && account.as_ref().is_none_or(is_of_fleet) {
        if permission == Permission::Own && memory.questions.count(asker.uid) > MOST_QUESTIONS {
            return Err(Unanswered {
                error: "this user's programs ask the fleet too often".into(),
                hint: "wait a minute, and look for a program that asks again and again".into(),
                is_strangers: false,
            });
        }
        let answer = question.answer_of_fleet(account.as_ref());
        renew::if_due(&memory.upstream);
        answer
    } else {
        question.answer_of_files(account)
    }
}

/// The questions that a user's own programs may have for a fleet within a minute: each is a row of its audit, wrong code or not.
const MOST_QUESTIONS: usize = 60;

/// The wrong codes that a user's own programs may send about that user to a fleet, whose verifiers count those of the host as a
/// whole: no user is to spend what others need.
const OWN: Budget = Budget { most: 8, within: Seconds(600) };

/// A question that may be asked.
struct Question<'a> {
    site: &'a Site,
    user: &'a str,
    login: &'a LoginContext,
    asked: &'a Asked<'a>,
    asker: &'a Asker<'a>,
    memory: &'a Memory,
    permission: Permission,
}

impl Question<'_> {
    fn is_roots(&self) -> bool {
        self.permission == Permission::Root
    }

    /// The login context as far as the asker is believed.
    fn context(&self, may_send: bool) -> LoginContext {
        if self.is_roots() { self.login.clone() } else { of_the_untrusted(self.login, may_send) }
    }

    /// The answer from the records of this host.
    fn answer_of_files(&self, account: Option<Account>) -> Result<Reply, Unanswered> {
        let Self { site, asked, asker, memory, permission, .. } = *self;
        let store = site.store()?.impatient();
        // The helper sends for its caller; its caller's own programs do not.
        let is_of_group = asker.gid == store.group().map_err(CoreError::from)?;
        let may_send = self.is_roots() || (permission == Permission::Own && is_of_group);
        let context = self.context(may_send);
        if let (true, Some(account)) = (may_send, &account) {
            let log = |event: &Event<'_>| log_freely(event, About::Asker(asker.uid), memory);
            let (ledger, host) = (memory.sends.in_directory(&site.config.state_directory), site.issuer());
            let senders = || site.senders();
            let sending =
                Sending { account, by: asker.uid, host: &host, senders: &senders, ledger: &ledger, log: &log };
            let prepared = match asked {
                Asked::Challenge(named) if context.send => {
                    let policy = &site.config.settings.policy;
                    let accepted = accepted_devices::at(policy, account, &context, UnixTime::now())?;
                    sending.code(&store, &Note::here("sent"), accepted, &context, named.as_ref())?
                }
                Asked::Pin(pin) => Some(sending.pin(pin)?),
                Asked::Challenge(_)
                | Asked::Demand
                | Asked::Verdict(..)
                | Asked::SealKeys
                | Asked::Adopt(_)
                | Asked::Step(..) => None,
            };
            if let Some(prepared) = prepared {
                return Ok(Reply::Login(prepared.send(&log).words()));
            }
        }
        if let (Asked::SealKeys, true, Permission::Own) = (asked, may_send, permission) {
            let keys = store.keys_of(asker.uid).map_err(|why| Unanswered {
                error: format!("the seed {}", why.text()),
                hint: why.hint().to_owned(),
                is_strangers: false,
            })?;
            return Ok(Reply::SealKeys(Confidential::of_bytes(&keys)));
        }
        let id = if let Asked::Verdict(id, _) = asked { *id } else { None };
        let caller = Caller::here(asker.uid, self.is_roots(), &|_| {}).asking(id);
        let files = LocalAuthority::on(store, &site.config.settings, site, account, caller);
        self.answer_by(&files, &context, None)
    }

    /// The answer from the fleet. Nothing is read of the records of this host, but codes that are for its being unreachable.
    fn answer_of_fleet(&self, account: Option<&Account>) -> Result<Reply, Unanswered> {
        let Self { site, asked, asker, memory, .. } = *self;
        let log = |event: &Event<'_>| log_freely(event, About::Asker(asker.uid), memory);
        // Who asks again with an id is given the same answer again: an id is root's to choose.
        let id = if let Asked::Verdict(id, _) = asked { id.filter(|_| self.is_roots()) } else { None };
        let authority = FleetAuthority::new(site, account, &memory.upstream, (asker.uid, id), &log);
        if let (Asked::Adopt(with_passcode), true) = (asked, self.is_roots()) {
            return Ok(Reply::Adopted(authority.adopt(*with_passcode)?.map_err(not_adopted)?));
        }
        if let Asked::Step(request, under_way, through) = *asked {
            return self.step(&authority, request, under_way.cloned(), through);
        }
        let context = self.context(self.is_roots());
        match account.filter(|_| self.is_roots()) {
            Some(account) => {
                let caller = Caller::here(asker.uid, true, &|_| {});
                self.answer_by(&OrBreakGlass { fleet: &authority, site, account, caller }, &context, None)
            }
            None => self.answer_by(&authority, &context, Some(OWN)),
        }
    }

    /// The answer to a request of self service.
    fn step(
        &self,
        authority: &FleetAuthority<'_>,
        request: &Request,
        under_way: Option<Confidential>,
        through: Through,
    ) -> Result<Reply, Unanswered> {
        if through == Through::Login && !self.is_roots() {
            return Err(CoreError::NoEnrollmentHere.into());
        }
        let asked = || {
            if self.asker.is_gone() {
                let (error, hint) = ("the asker has gone".into(), "nothing was changed".into());
                return Err(Unanswered { error, hint, is_strangers: false });
            }
            Ok(authority.self_service(request.clone(), under_way, through)?)
        };
        let (reply, carried) = if self.is_roots() || !is_guess(request) {
            asked()?
        } else {
            let counted = self.memory.budgets.spend(self.asker.uid, OWN, || {
                let answer = asked();
                let is_wrong = answer.as_ref().is_ok_and(|(reply, _)| reply.is_wrong_guess());
                (answer, is_wrong)
            });
            match counted {
                Ok(answer) => answer?,
                Err(NotNow::UsedUp | NotNow::Waiting) => (Reply::Verdict(Verdict::Refused(Refusal::HostBudget)), None),
            }
        };
        if through == Through::Login {
            let words = enrollment_messages::step_words(&reply, carried.as_ref());
            return match (words, reply) {
                (Some(words), _) => Ok(Reply::Login(words.as_str().to_owned())),
                (None, reply @ Reply::Failed { .. }) => Ok(reply),
                (None, _) => Err(Unanswered {
                    error: "the verifier answers what no login asks".into(),
                    hint: "upgrade the verifiers, and then the agent: see otp-agent(8)".into(),
                    is_strangers: false,
                }),
            };
        }
        Ok(match carried {
            Some(carried) => Reply::UnderWay { reply: Box::new(reply), carried },
            None => reply,
        })
    }

    /// The answer of an authority. `own` are the wrong codes that a user's own programs may send.
    fn answer_by(
        &self,
        authority: &dyn Authority,
        context: &LoginContext,
        own: Option<Budget>,
    ) -> Result<Reply, Unanswered> {
        let Self { user, login, asked, asker, memory, permission, .. } = *self;
        let typed = match asked {
            Asked::Step(..) => {
                let (error, hint) = ("the agent only verifies codes".into(), "use otp-enroll".into());
                return Err(Unanswered { error, hint, is_strangers: false });
            }
            Asked::Demand => {
                let demand: Demand = authority.demand(context)?;
                return Ok(Reply::Login(demand.words()));
            }
            Asked::Challenge(named) => {
                return Ok(Reply::Login(authority.challenge(context, named.as_ref())?.words()));
            }
            Asked::Verdict(_, typed) => typed,
            Asked::Pin(_) => {
                let (error, hint) =
                    ("only the helper and root may have a PIN sent".into(), "use otp-enroll add".into());
                return Err(Unanswered { error, hint, is_strangers: false });
            }
            Asked::SealKeys => {
                let (error, hint) = ("only the helper gets keys of sealed seeds".into(), "use otp-enroll".into());
                return Err(Unanswered { error, hint, is_strangers: false });
            }
            Asked::Adopt(_) => {
                let error =
                    "a record is given to the fleet by root, where authority = \"fleet\" and the user is not local"
                        .into();
                let hint = "see authority and local in pam_otp.toml; then: otp-enroll admin fleet push USER".into();
                return Err(Unanswered { error, hint, is_strangers: false });
            }
        };
        let verify = || {
            if asker.is_gone() {
                let (error, hint) = ("the asker has gone".into(), "the code was not used up".into());
                return Err(Unanswered { error, hint, is_strangers: false });
            }
            Ok(authority.verify(context, typed)?)
        };
        let budget = match permission {
            Permission::Root => None,
            Permission::Own => own,
            Permission::Host(budget) => Some(budget),
        };
        let verdict = match budget {
            None => verify()?,
            Some(budget) => {
                let counted = memory.budgets.spend(asker.uid, budget, || {
                    let verdict = verify();
                    // As with locks, a recovery code is none: it cannot be guessed, and a lock does not stop who types it.
                    let is_wrong = matches!(verdict, Ok(Verdict::Refused(why)) if why.is_guess());
                    (verdict, is_wrong)
                });
                match counted {
                    Ok(verdict) => verdict?,
                    Err(NotNow::UsedUp | NotNow::Waiting) => Verdict::Refused(Refusal::HostBudget),
                }
            }
        };
        let (service, claimed_rhost) = (login.service.as_str(), login.rhost.as_deref());
        let event = Event::Verified { user, by: asker.uid, service, claimed_rhost, verdict: &verdict };
        let has_cost = match verdict {
            Verdict::Accepted(_) => true,
            Verdict::Refused(why) => why.is_guess(),
        };
        if has_cost {
            log(&event);
        } else {
            log_freely(&event, About::Asker(asker.uid), memory);
        }
        Ok(Reply::Login(verdict.words()))
    }
}

/// Why the fleet has not taken a record. A refusal is an answer.
fn not_adopted(error: UpstreamError) -> Unanswered {
    match error {
        UpstreamError::Forbidden(Problem { error, hint }) | UpstreamError::Spent(Problem { error, hint }) => {
            Unanswered { error: format!("the fleet refuses this host: {error}"), hint, is_strangers: false }
        }
        error @ (UpstreamError::NotJoined(_)
        | UpstreamError::UnfitFiles(_)
        | UpstreamError::Unreachable(_)
        | UpstreamError::Unusable(_)) => CoreError::from(error).into(),
    }
}

/// Whether it may be a guess of a code, or of a PIN.
fn is_guess(request: &Request) -> bool {
    request.proof().is_some() || matches!(request, Request::Confirm { .. })
}

/// The login context of an asker who chooses it: no grace, no `nullok`, no enrollment, no terminal; a message if `may_send`.
/// A remote host is in no network that is known: the strictest of the rules of networks counts.
fn of_the_untrusted(login: &LoginContext, may_send: bool) -> LoginContext {
    let rhost = login.rhost.as_deref().filter(|rhost| !rhost.is_empty());
    LoginContext {
        service: login.service.clone(),
        rhost: rhost.map(|_| "claimed".to_owned()),
        tty: None,
        nullok: false,
        enroll: false,
        as_one: login.as_one,
        send: login.send && may_send,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_of_an_untrusted_asker_grants_nothing() {
        let login = LoginContext {
            service: "radiusd".into(),
            rhost: Some("192.0.2.7".into()),
            tty: Some("tty1".into()),
            nullok: true,
            enroll: true,
            as_one: true,
            send: true,
        };
        let context = of_the_untrusted(&login, false);
        assert!(
            context.address().is_none() && context.rhost.is_some(),
            "a host that is no address, not no host at all"
        );
        assert!(!context.nullok && !context.enroll && !context.send && context.tty.is_none());
        assert_eq!((context.service.as_str(), context.as_one), ("radiusd", true));
        for none in [None, Some(String::new())] {
            assert_eq!(of_the_untrusted(&LoginContext { rhost: none, ..login.clone() }, false).rhost, None);
        }
    }
}
