//! Administration from a host that may: an order about one user, or some users with what their records hold. Never a seed.
//!
//! Who ordered what is in the audit: the host, the user id there, and the order; of a look, too. What a passcode is, is nowhere.

use std::time::{Duration, Instant};

use otp_core::audit::Event;
use otp_core::codes::passcode::LONGEST;
use otp_core::decision::verify::{Limits, is_locked};
use otp_core::error::CoreError;
use otp_core::protocol::administration::{Administration, Answer, Listed, Page, Refused, Renamed, UserOrder};
use otp_core::protocol::request::{PasscodeOrder, Reply, Request, Status};
use otp_core::record::Record;
use otp_core::service::authority::Authority as _;
use otp_core::service::caller::Caller;
use otp_core::service::local_authority::LocalAuthority;
use otp_core::service::messenger::NoMessenger;
use otp_core::store::Store as _;
use otp_core::store::error::StoreError;
use otp_core::value::time::{Seconds, UnixTime};
use otp_core::value::user::UserName;
use otp_wire::{AdminAnswer, AdminQuestion, LONGEST_BODY, Place, User};

use crate::answered::{Answered, Asking, Failure, body, of_no_host, unanswered};
use crate::asking_host::{AskingHost, undecided};
use crate::budgets::now;
use crate::database::audit_lines::Line;
use crate::database::scopes::InScope;
use crate::log;
use crate::renaming::rename;
use crate::store::About;

/// What stands for all users in the audit: the name of no account.
const EVERYBODY: &str = "*";

/// So many refusals are told of a user.
const LAST_REFUSALS: u32 = 5;

/// How long records are looked at for one page: the answer must come in time.
const PATIENCE: Duration = Duration::from_millis(1200);

/// Bytes of a page, so that it fits an answer with one more user.
const LARGEST_PAGE: usize = LONGEST_BODY / 2;

/// Carries out an order of a host that has the right to administer.
pub(crate) fn administer(question: &AdminQuestion, host: &AskingHost<'_>) -> Answered {
    let answer = match &question.administration {
        Administration::User { name, order } => Answer::Reply(Box::new(about_user(question, name, order, host)?)),
        Administration::Users { after, locked_by } => {
            let after = after.as_deref().unwrap_or_default();
            if let Some(by) = locked_by
                && !is_known(by, host)?
            {
                return body(&AdminAnswer { id: question.id, answer: Answer::NoHost {} });
            }
            Answer::Users(users(question, after, locked_by.as_deref(), host)?)
        }
        Administration::Refusals { name } => Answer::Refusals(refusals(question, name, host)?),
        Administration::Rename { from, to } => Answer::Renamed(renamed(question, from, to, host)?),
    };
    body(&AdminAnswer { id: question.id, answer })
}

fn about_user(
    question: &AdminQuestion,
    name: &str,
    order: &UserOrder,
    host: &AskingHost<'_>,
) -> Result<Reply, Failure> {
    let user = User { name: name.to_owned(), uid: u32::MAX, gid: u32::MAX };
    let place = place(question.by);
    let asking = host.about(Some(&place), &user)?;
    let request = order.request().filter(is_fit).ok_or_else(|| Failure::malformed("no such order"))?;
    let (fleet, store) = (host.fleet, host.store(&asking));
    if let Request::Status {} = request {
        let noted = store.only_note(&asking.account, &host.origin(question.id).note("shown"));
        noted.map_err(|error| unanswered(fleet, &error))?;
    }
    let id = host.host.id.as_str();
    let log = |event: &Event<'_>| log::notice(&format!("host {id}: {event}"));
    let caller = Caller { uid: question.by, is_trusted: true, log: &log, origin: host.origin(question.id) };
    let mut authority = LocalAuthority::on(store, &fleet.settings, &NoMessenger, Some(asking.account.clone()), caller);
    match authority.request(request) {
        Ok(reply) => Ok(reply),
        // No other verifier can read it either.
        Err(error @ CoreError::Store(StoreError::Record { .. })) => {
            let hint = "see: otp-verifier check; `admin reset USER` removes the record's devices".to_owned();
            Ok(Reply::Failed { error: error.to_string(), hint })
        }
        Err(error) => Err(undecided(fleet, &error)),
    }
}

/// Gives the record of a user to another name, both of them in the scope of the host.
fn renamed(question: &AdminQuestion, from: &str, to: &str, host: &AskingHost<'_>) -> Result<Renamed, Failure> {
    let place = place(question.by);
    let about = |name: &str| host.about(Some(&place), &User { name: name.to_owned(), uid: u32::MAX, gid: u32::MAX });
    let (old, new) = (about(from)?, about(to)?);
    let store = host.store(&old);
    let renamed = rename(&store, &old.account.name, &new.account.name, host.origin(question.id));
    let renamed = host.written(&store, renamed)?;
    if renamed == Renamed::Done {
        let event = Event::Renamed { user: to, from, by: question.by };
        log::notice(&format!("host {}: {event}", host.host.id));
    }
    Ok(renamed)
}

/// The last refusals of a user, on all hosts.
fn refusals(question: &AdminQuestion, name: &str, host: &AskingHost<'_>) -> Result<Vec<Refused>, Failure> {
    let user = User { name: name.to_owned(), uid: u32::MAX, gid: u32::MAX };
    let place = place(question.by);
    let asking = host.about(Some(&place), &user)?;
    let noted = host.store(&asking).only_note(&asking.account, &host.origin(question.id).note("refusals-shown"));
    let lines = noted.and_then(|()| host.session.refusals_of(asking.account.name.as_str(), LAST_REFUSALS));
    let lines = lines.map_err(|error| unanswered(host.fleet, &error))?;
    Ok(lines.into_iter().filter_map(refused).collect())
}

/// A row whose answer is `refused WORD`, and for wrong codes `failures NUMBER`.
fn refused(line: Line) -> Option<Refused> {
    let mut words = line.answer.as_deref()?.split(' ').skip(1);
    let why = words.next()?.to_owned();
    let failures = words.skip_while(|word| *word != "failures").nth(1).and_then(|number| number.parse().ok());
    let Line { at: time, host, event, service, rhost, .. } = line;
    Some(Refused { time, why, failures, event, host, service, rhost })
}

/// What a host says of a passcode is not taken as it comes.
fn is_fit(request: &Request) -> bool {
    if let Request::IssuePasscode(PasscodeOrder { valid, .. }) = request {
        (Seconds(60)..=LONGEST).contains(valid)
    } else {
        true
    }
}

fn place(by: u32) -> Place {
    Place { service: "otp-enroll".to_owned(), rhost: None, tty: None, by }
}

/// Users after a name, as many as fit an answer and its time.
fn users(
    question: &AdminQuestion,
    after: &str,
    locked_by: Option<&str>,
    host: &AskingHost<'_>,
) -> Result<Page, Failure> {
    let failed = |error: StoreError| unanswered(host.fleet, &error);
    let (begun, limits, moment) = (now(), &host.fleet.settings.limits, UnixTime::now());
    let place = place(question.by);
    let about =
        About { host: Some(&host.host.id), caller_uid: Some(place.by), service: Some(&place.service), rhost: None };
    if let Some(everybody) = UserName::parse(EVERYBODY) {
        let (asking, event) = (
            Asking { about, account: of_no_host(everybody) },
            if locked_by.is_some() { "listed-locked" } else { "listed" },
        );
        let noted = host.store(&asking).only_note(&asking.account, &host.origin(question.id).note(event));
        noted.map_err(failed)?;
    }
    if after.contains('\0') {
        return Err(Failure::malformed("no name has such a letter"));
    }
    let scope = host.host.scope.as_deref();
    let names = match locked_by {
        Some(by) => host.session.tried_by(by, after, scope),
        None => host.session.names_after(after, scope),
    };
    let mut page = Page { users: Vec::new(), next: None };
    let mut size = 0_usize;
    for name in names.map_err(failed)? {
        // Each page goes on by one name at least: without a next one there are no more.
        if page.next.is_some() && (size > LARGEST_PAGE || is_over(begun)) {
            return Ok(page);
        }
        // The host is told no name that it may not ask about, also not as the one to go on after.
        match host.listed(&name).map_err(failed)? {
            InScope::Yes => page.next = Some(name.clone()),
            InScope::Altered => {
                host.alarm_of_scope();
                continue;
            }
            InScope::No => continue,
        }
        let Some(user) = UserName::parse(&name) else { continue };
        let asking = Asking { about, account: of_no_host(user) };
        let listed = match host.store(&asking).read(&asking.account) {
            Ok(Some(record)) => match locked_by {
                Some(by) if !is_locked_by(by, &name, &record, limits, host).map_err(failed)? => continue,
                Some(_) | None => Listed::Status(Status::of(&record, limits, moment)),
            },
            Ok(None) => continue,
            Err(error @ StoreError::Record { .. }) => {
                Listed::Unusable { user: name, error: error.to_string(), hint: error.hint().to_owned() }
            }
            Err(error) => return Err(failed(error)),
        };
        size = size.saturating_add(serde_json::to_vec(&listed).map_or(LARGEST_PAGE, |text| text.len()));
        page.users.push(listed);
    }
    // All of them: there may be more after the last one.
    Ok(page)
}

/// Whether the fleet has a host of this name, or had one that has sent wrong codes. A list of users locked by a name that is
/// mistyped would be an all-clear.
fn is_known(by: &str, host: &AskingHost<'_>) -> Result<bool, Failure> {
    if by.contains('\0') {
        return Ok(false);
    }
    let known = || Ok(host.session.has_host(by)? || !host.session.tried_by(by, "", None)?.is_empty());
    known().map_err(|error: StoreError| unanswered(host.fleet, &error))
}

fn is_over(begun: Instant) -> bool {
    now().saturating_duration_since(begun) > PATIENCE
}

/// Whether the user is locked, and would not be without the wrong codes that a host has sent since the last right one.
fn is_locked_by(
    by: &str,
    name: &str,
    record: &Record,
    limits: &Limits,
    host: &AskingHost<'_>,
) -> Result<bool, StoreError> {
    let failures = i64::from(record.state.failures);
    if !is_locked(record.state.lock, UnixTime::now()) {
        return Ok(false);
    }
    let of_host = host.session.wrong_codes_of(by, name, failures)?;
    Ok(of_host > 0 && failures.saturating_sub(of_host) < i64::from(limits.lock_after))
}

#[cfg(test)]
pub(crate) mod tests;
