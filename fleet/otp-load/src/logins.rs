//! Logins: how many a second, and how long each takes. As an agent does, a question without an answer is asked again with its id.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use otp_core::decision::kinds::Kinds;
use otp_core::protocol::request::Confidential;
use otp_core::system::random;
use otp_wire::{Place, User, VERIFY, VerdictAnswer, VerifyQuestion};
use rustls::ClientConfig;

use crate::connection::{Connection, host, identity, roots};
use crate::{Error, Logins, Verifier};

/// How often a question is asked until there is an answer.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);

/// A user, and the codes that are typed.
type Codes = (String, VecDeque<String>);

/// What one of the askers has seen.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    /// Answers without a verdict: the question was asked again.
    unanswered: usize,
    /// Verdicts that are none of "accepted".
    others: Vec<String>,
}

#[expect(clippy::print_stdout, reason = "what it is run for")]
pub(crate) fn run(how: &Logins) -> Result<(), Error> {
    let users = users(&fs::read_to_string(&how.codes)?);
    let roots = roots(&how.verifier.authority)?;
    let mut hosts = Vec::new();
    for file in &how.identity {
        hosts.push(host(&roots, identity(file)?)?);
    }
    let mut shares: Vec<Vec<Codes>> = (0..how.at_once).map(|_| Vec::new()).collect();
    for (share, user) in (0..how.at_once).cycle().zip(users) {
        shares.get_mut(share).ok_or("nobody asks")?.push(user);
    }
    let (begin, all) = (Arc::new(Barrier::new(how.at_once.saturating_add(1))), Arc::new(Mutex::new(Seen::default())));
    let mut askers = Vec::new();
    for (share, host) in shares.into_iter().zip(hosts.iter().cycle()) {
        let (verifier, host, begin, all) =
            (how.verifier.clone(), Arc::clone(host), Arc::clone(&begin), Arc::clone(&all));
        askers.push(thread::spawn(move || asker(&verifier, &host, share, &begin, &all)));
    }
    begin.wait();
    let begun = now();
    for asker in askers {
        asker.join().map_err(|_| "an asker has panicked")??;
    }
    let whole = begun.elapsed();
    let Seen { mut times, unanswered, others } =
        std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner));
    times.sort_unstable();
    let of_hundred = |part: usize| {
        let at = times.len().saturating_mul(part).checked_div(100).unwrap_or_default();
        times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    let count = u32::try_from(times.len())?;
    println!(
        "{:.0} logins/s, p50 {:.1} ms, p99 {:.1} ms, {count} logins, {} not accepted, {unanswered} answers of none",
        f64::from(count) / whole.as_secs_f64(),
        of_hundred(50),
        of_hundred(99),
        others.len()
    );
    match others.first() {
        None => Ok(()),
        Some(first) => Err(format!("not accepted: {first}").into()),
    }
}

fn users(text: &str) -> Vec<Codes> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(user, codes)| (user.to_owned(), codes.split(' ').map(str::to_owned).collect())).collect()
}

/// Each of the users once, then each of them once again.
fn asker(
    verifier: &Verifier,
    host: &Arc<ClientConfig>,
    mut users: Vec<Codes>,
    begin: &Barrier,
    all: &Mutex<Seen>,
) -> Result<(), Error> {
    let opened = Connection::open(verifier, host).and_then(|mut connection| {
        connection.ask(otp_wire::HELLO, None)?;
        Ok(connection)
    });
    begin.wait();
    let (mut connection, mut seen, mut any) = (opened?, Seen::default(), true);
    while any {
        any = false;
        for (user, codes) in &mut users {
            let Some(code) = codes.pop_front() else { continue };
            any = true;
            let begun = now();
            let verdict = verdict(verifier, host, &mut connection, (user.as_str(), &code), &mut seen.unanswered)?;
            seen.times.push(begun.elapsed());
            if !verdict.starts_with("accepted") {
                seen.others.push(format!("{user} {verdict}"));
            }
        }
    }
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.times.append(&mut seen.times);
    all.others.append(&mut seen.others);
    all.unanswered = all.unanswered.saturating_add(seen.unanswered);
    Ok(())
}

fn verdict(
    verifier: &Verifier,
    host: &Arc<ClientConfig>,
    connection: &mut Connection,
    (user, code): (&str, &str),
    unanswered: &mut usize,
) -> Result<String, Error> {
    let question = VerifyQuestion {
        id: random::request_id()?,
        user: User { name: user.to_owned(), uid: 1000, gid: 1000 },
        place: Place { service: "sshd".to_owned(), ..Place::default() },
        typed: Confidential::new(code),
        accepted: Kinds::ALL,
        as_one: false,
        enforced: true,
    };
    let body = serde_json::to_vec(&question)?;
    for _ in 0..TRIES {
        match connection.ask(VERIFY, Some(&body)) {
            Ok(answer) if answer.status == 200 => {
                let VerdictAnswer { id, verdict, .. } = serde_json::from_slice(&answer.body)?;
                return if id == question.id { Ok(verdict) } else { Err("the answer to another question".into()) };
            }
            Ok(answer) if ![503, 504].contains(&answer.status) => return Ok(format!("HTTP {}", answer.status)),
            Ok(_) => {}
            Err(_) => *connection = Connection::open(verifier, host)?,
        }
        *unanswered = unanswered.saturating_add(1);
        thread::sleep(PAUSE);
    }
    Ok("no answer".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "how long an answer takes")]
fn now() -> Instant {
    Instant::now()
}
