//! Administration of the fleet from this host: root's orders go to a verifier, which says whether this host may.

use std::time::Duration;

use otp_core::audit::{Event, Proof};
use otp_core::config::paths;
use otp_core::error::CoreError;
use otp_core::protocol::administration::{
    Administration, Answer, Answered, Asked, PullStep, Question, Renamed, UserOrder,
};
use otp_core::protocol::request::Reply;
use otp_core::system::config_file::Site;
use otp_core::system::{accounts, random};
use otp_wire::{ADMIN, AdminAnswer, AdminQuestion, PULL, Problem, PullAnswer, PullQuestion, Pulled, User};

use crate::answer::log_freely;
use crate::asker::Asker;
use crate::fleet_authority::FleetAuthority;
use crate::hello;
use crate::lines::About;
use crate::memory::Memory;
use crate::upstream::deadline::Deadline;
use crate::upstream::{self, NotOnce, Upstream, UpstreamError};

/// For an order, with all verifiers that are asked.
const PATIENCE: Duration = Duration::from_secs(3);

/// The answer to a question about the fleet.
pub(crate) fn to(Question { fleet: asked }: Question, asker: &Asker<'_>, memory: &Memory) -> Answered {
    if asker.uid != 0 {
        let error = "only root may administer a fleet, and ask how it is".to_owned();
        let text = format!("asked by uid {}: {error}", asker.uid);
        let event = Event::Failed { user: "-", rhost: None, error: &text, hint: HINT, enforced: true };
        log_freely(&event, About::Strangers, memory);
        return Answered::Failed { error, hint: HINT.to_owned() };
    }
    match asked {
        Asked::Presence {} => Answered::Present {},
        Asked::Status {} => hello::status(&memory.upstream).map_or_else(no_answer, Answered::Status),
        Asked::WouldAdopt { name } => {
            would_adopt(&name, asker.uid, &memory.upstream).unwrap_or_else(|error| failed(&error))
        }
        Asked::Pull { name, step } => pull(&name, step, asker.uid, &memory.upstream),
        Asked::Administer(administration) => match is_of_host(&administration) {
            Ok(None) => {
                administer(*administration, asker.uid, &memory.upstream, &|event| otp_helper::log("otp-agent", event))
            }
            Ok(Some(name)) => Answered::Failed {
                error: format!("this host keeps the record of {name} itself"),
                hint: "see authority and local in pam_otp.toml".to_owned(),
            },
            Err(error) => failed(&error),
        },
    }
}

const HINT: &str = "become root, for example with sudo";

/// The user whom this host keeps itself, if the order is about such a one: that record is not the fleet's.
fn is_of_host(administration: &Administration) -> Result<Option<&str>, CoreError> {
    let names: &[&String] = match administration {
        Administration::User { name, .. } | Administration::Refusals { name } => &[name],
        Administration::Rename { from, to } => &[from, to],
        Administration::Users { .. } => return Ok(None),
    };
    let site = Site::load(paths::CONFIG.as_ref())?;
    Ok(names.iter().find(|name| !site.config.is_of_fleet(name)).map(|name| name.as_str()))
}

fn failed(error: &CoreError) -> Answered {
    Answered::Failed { error: error.to_string(), hint: error.hint().to_owned() }
}

/// Has a verifier carry out an order. What may be done twice is asked until there is an answer, and everything else once.
fn administer(administration: Administration, by: u32, upstream: &Upstream, log: &dyn Fn(&Event<'_>)) -> Answered {
    let id = match random::request_id() {
        Ok(id) => id,
        Err(error) => return failed(&error),
    };
    let is_harmless_twice = match &administration {
        Administration::User { order, .. } => order.is_harmless_twice(),
        Administration::Users { .. } | Administration::Refusals { .. } | Administration::Rename { .. } => true,
    };
    let (question, deadline) = (AdminQuestion { id, by, administration }, Deadline::after(PATIENCE));
    let answer: Result<AdminAnswer, NotOnce> = if is_harmless_twice {
        upstream.ask(ADMIN, id, &question, deadline).map_err(NotOnce::from)
    } else {
        upstream.ask_once(ADMIN, id, &question, deadline)
    };
    match answer {
        Ok(AdminAnswer { answer, .. }) => {
            note(&question.administration, &answer, by, log);
            Answered::Verifier(answer)
        }
        Err(NotOnce::Undone(error)) => no_answer(error),
        Err(NotOnce::Lost(error)) => {
            let user = if let Administration::User { name, .. } = &question.administration { name } else { "-" };
            let text = format!("an order was sent and has no answer: {error}");
            log(&Event::Failed { user, rhost: None, error: &text, hint: "it may be done: look", enforced: true });
            Answered::Lost { error }
        }
    }
}

/// What the fleet would do with the record of this host. That may be asked before the fleet keeps records.
fn would_adopt(name: &str, by: u32, upstream: &Upstream) -> Result<Answered, CoreError> {
    let site = Site::load(paths::CONFIG.as_ref())?;
    let account = accounts::account(name)?.ok_or_else(|| CoreError::NoAccount(name.to_owned()))?;
    let authority = FleetAuthority::new(&site, Some(&account), upstream, (by, None), &|_| {});
    Ok(authority.would_adopt()?.map_or_else(no_answer, Answered::WouldAdopt))
}

/// Has the fleet give up a record. The same question again has the same answer.
fn pull(name: &str, step: PullStep, by: u32, upstream: &Upstream) -> Answered {
    let account = match accounts::account(name) {
        Ok(account) => account,
        Err(error) => return failed(&error),
    };
    let (Some(account), Ok(id)) = (account, random::request_id()) else {
        return failed(&CoreError::NoAccount(name.to_owned()));
    };
    let user = User { name: account.name.as_str().to_owned(), uid: account.uid, gid: account.gid };
    let question = PullQuestion { id, by, user, step };
    match upstream.ask::<PullAnswer>(PULL, id, &question, Deadline::after(PATIENCE)) {
        Ok(PullAnswer { pulled: Pulled::Record { credentials, state }, .. }) => Answered::Record { credentials, state },
        Ok(PullAnswer { pulled: Pulled::Forgotten(was_kept), .. }) => Answered::Forgotten(was_kept),
        Ok(PullAnswer { pulled: Pulled::NoRecord {}, .. }) if step == PullStep::Again => Answered::Failed {
            error: format!("this host has a record of {name}, and the fleet keeps none for it"),
            hint: format!("otp-enroll admin fleet push {name} gives it to the fleet"),
        },
        Ok(PullAnswer { pulled: Pulled::NoRecord {}, .. }) => Answered::Failed {
            error: format!("the fleet has no device of {name}"),
            hint: "see: otp-enroll admin show USER".to_owned(),
        },
        Err(error) => no_answer(error),
    }
}

/// A line in this host's log about what was changed. The audit of the fleet has one, too.
fn note(administration: &Administration, answer: &Answer, by: u32, log: &dyn Fn(&Event<'_>)) {
    if let (Administration::Rename { from, to }, Answer::Renamed(Renamed::Done)) = (administration, answer) {
        log(&Event::Renamed { user: to, from, by });
    }
    let (Administration::User { name, order }, Answer::Reply(reply)) = (administration, answer) else { return };
    let Some(what) = UserOrder::word(order) else { return };
    let device = if let Reply::ChangedDevice(device) = &**reply { Some(*device) } else { None };
    if device.is_some() || matches!(**reply, Reply::Changed(true) | Reply::Passcode(_)) {
        log(&Event::Change { user: name, by, what, device, proof: Proof::Administrator });
    }
}

fn no_answer(error: UpstreamError) -> Answered {
    match error {
        UpstreamError::NotJoined(error) => Answered::NotJoined { error, hint: upstream::JOIN.to_owned() },
        UpstreamError::UnfitFiles(error) => Answered::Failed { error, hint: upstream::CORRECT.to_owned() },
        UpstreamError::Forbidden(Problem { error, hint }) | UpstreamError::Spent(Problem { error, hint }) => {
            Answered::Failed { error: format!("the fleet refuses this host: {error}"), hint }
        }
        error @ (UpstreamError::Unreachable(_) | UpstreamError::Unusable(_)) => {
            let error = CoreError::from(error);
            Answered::Failed { error: error.to_string(), hint: error.hint().to_owned() }
        }
    }
}

#[cfg(test)]
mod tests;
