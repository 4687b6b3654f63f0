//! The verifiers of the fleet: a question is asked of one after the other until one answers, with one id and within one
//! deadline.

pub(crate) mod deadline;
mod der;
pub(crate) mod http;
pub(crate) mod identity;
pub(crate) mod peer;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use otp_core::config::paths;
use otp_core::system::config_file;
use otp_core::value::request_id::RequestId;
use otp_core::value::system_error::described;
use otp_core::value::time::UnixTime;
use otp_wire::{LONGEST_BODY, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::budgets::now;
use crate::upstream::deadline::Deadline;
pub(crate) use crate::upstream::der::Validity;
use crate::upstream::http::{Answer, NoAnswer, Request};
use crate::upstream::identity::Identity;
use crate::upstream::peer::{Once, Peer};

/// What is left for the next verifier when one does not answer.
const RESERVE: Duration = Duration::from_millis(900);

/// How long is waited before all verifiers are asked again.
const PAUSE: Duration = Duration::from_millis(150);

/// Most times a question is asked.
const MOST_TRIES: usize = 16;

/// How often at most a certificate that could not be renewed is tried to be.
const RENEWAL: Duration = Duration::from_secs(3600);

/// What to do where this host is in no fleet.
pub(crate) const JOIN: &str = "let this host join its fleet: otp-agent join FILE";

/// What to do where its files cannot be used.
pub(crate) const CORRECT: &str = "correct that file: see FILES in otp-agent(8)";

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamError {
    /// This host is in no fleet.
    NotJoined(String),
    /// The files of its place in the fleet are there, and cannot be used.
    UnfitFiles(String),
    /// No verifier answers.
    Unreachable(String),
    /// A verifier answers what cannot be used.
    Unusable(String),
    /// A verifier says that this host may not ask this.
    Forbidden(Problem),
    /// A verifier says that the budget of this host is spent.
    Spent(Problem),
}

/// Why a question that is asked once has no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotOnce {
    /// What it asks for is not done.
    Undone(UpstreamError),
    /// It was sent, and may be done; the text is what happened.
    Lost(String),
}

impl From<UpstreamError> for NotOnce {
    fn from(error: UpstreamError) -> Self {
        Self::Undone(error)
    }
}

/// An answer that says which question it answers.
pub(crate) trait ToQuestion {
    fn id(&self) -> RequestId;
}

macro_rules! to_question {
    ($($answer:ident),*) => {
        $(impl ToQuestion for otp_wire::$answer {
            fn id(&self) -> RequestId {
                self.id
            }
        })*
    };
}

to_question!(
    OutlineAnswer,
    ChallengeAnswer,
    VerdictAnswer,
    LetInAnswer,
    SelfAnswer,
    AdoptAnswer,
    AdminAnswer,
    PullAnswer
);

/// The way to the fleet of this host. Its files are read again when they have changed.
pub(crate) struct Upstream {
    fleet: PathBuf,
    folder: PathBuf,
    loaded: Mutex<Option<(Stamp, Arc<Fleet>)>>,
    renewed: Mutex<Option<Instant>>,
}

/// What is seen of the files without reading them.
type Stamp = [Option<(u64, u64, i64, i64)>; 3];

/// The fleet as its files describe it.
pub(crate) struct Fleet {
    pub(crate) host: String,
    pub(crate) peers: Vec<Peer>,
    pub(crate) identity: Identity,
}

/// Of the installed configuration.
impl Default for Upstream {
    fn default() -> Self {
        Self::new(&Path::new(paths::CONFIG).with_file_name("fleet.toml"), Path::new(paths::AGENT_STATE))
    }
}

impl Upstream {
    /// `fleet` is the file of verifiers, `folder` has key and certificates.
    pub(crate) fn new(fleet: &Path, folder: &Path) -> Self {
        let (fleet, folder) = (fleet.to_owned(), folder.to_owned());
        Self { fleet, folder, loaded: Mutex::default(), renewed: Mutex::default() }
    }

    /// Asks until a verifier has answered. The question has this id each time: who has answered it already answers the same.
    pub(crate) fn ask<A: DeserializeOwned + ToQuestion>(
        &self,
        path: &str,
        id: RequestId,
        question: &impl Serialize,
        deadline: Deadline,
    ) -> Result<A, UpstreamError> {
        let fleet = self.fleet()?;
        let body = body(question)?;
        let read = |answer: &[u8]| otp_wire::read::<A>(answer).ok().filter(|answer| answer.id() == id);
        fleet.ask(path, &body, deadline, &read)
    }

    /// Asks the first verifier that takes the question, and no other one after it.
    pub(crate) fn ask_once<A: DeserializeOwned + ToQuestion>(
        &self,
        path: &str,
        id: RequestId,
        question: &impl Serialize,
        deadline: Deadline,
    ) -> Result<A, NotOnce> {
        let fleet = self.fleet()?;
        let body = body(question)?;
        let read = |answer: &[u8]| otp_wire::read::<A>(answer).ok().filter(|answer| answer.id() == id);
        fleet.ask_once(path, &body, deadline, &read)
    }

    /// The fleet, read again if a file has changed.
    pub(crate) fn fleet(&self) -> Result<Arc<Fleet>, UpstreamError> {
        let stamp = self.stamp();
        let mut loaded = lock(&self.loaded);
        if let Some((of, fleet)) = loaded.as_ref()
            && *of == stamp
        {
            return Ok(Arc::clone(fleet));
        }
        let unfit = |why| {
            // All of them are written by joining.
            let are_there = identity::files(&self.fleet, &self.folder).iter().all(|file| file.exists());
            if are_there { UpstreamError::UnfitFiles(why) } else { UpstreamError::NotJoined(why) }
        };
        let fleet = Arc::new(Fleet::load(&self.fleet, &self.folder).map_err(unfit)?);
        *loaded = Some((stamp, Arc::clone(&fleet)));
        Ok(fleet)
    }

    /// Where the key is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn stamp(&self) -> Stamp {
        let seen = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
        };
        let [fleet, identity, authority] = identity::files(&self.fleet, &self.folder);
        [seen(&fleet), seen(&identity), seen(&authority)]
    }

    /// The fleet and the folder of its key, if less than a third of the certificate's life is left and no renewal was tried
    /// within an hour.
    pub(crate) fn due(&self) -> Option<(Arc<Fleet>, PathBuf)> {
        let fleet = self.fleet().ok().filter(|fleet| fleet.identity.validity.is_due(UnixTime::now()))?;
        let mut renewed = lock(&self.renewed);
        if renewed.is_some_and(|at| at.elapsed() < RENEWAL) {
            return None;
        }
        *renewed = Some(now());
        Some((fleet, self.folder.clone()))
    }
}

/// No thread panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a question, which is wiped when it is gone.
pub(crate) fn body(question: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, UpstreamError> {
    // Of its full size at once: a buffer that grows leaves copies of what was typed behind.
    let mut body = Zeroizing::new(vec![0; LONGEST_BODY]);
    let mut rest = body.as_mut_slice();
    let written = serde_json::to_writer(&mut rest, question).is_ok() && rest.flush().is_ok();
    let length = LONGEST_BODY.saturating_sub(rest.len());
    if !written {
        return Err(UpstreamError::Unusable("the question is too long".into()));
    }
    body.truncate(length);
    Ok(body)
}

impl Validity {
    /// Whether less than a third of the time is left.
    pub(crate) fn is_due(&self, now: UnixTime) -> bool {
        let whole = self.until.0.saturating_sub(self.from.0);
        self.until.0.saturating_sub(now.0) < whole.checked_div(3).unwrap_or_default()
    }
}

impl Fleet {
    fn load(fleet: &Path, folder: &Path) -> Result<Self, String> {
        let file = config_file::fleet(fleet).map_err(|error| error.to_string())?;
        let peer = |verifier| Peer::new(verifier).ok_or_else(|| format!("{}: a verifier has no name", fleet.display()));
        let peers = file.verifiers.into_iter().map(peer).collect::<Result<_, _>>()?;
        Ok(Self { host: file.host, peers, identity: Identity::load(folder)? })
    }

    /// Asks one verifier after the other until one has answered what `read` takes.
    pub(crate) fn ask<A>(
        &self,
        path: &str,
        body: &[u8],
        deadline: Deadline,
        read: &dyn Fn(&[u8]) -> Option<A>,
    ) -> Result<A, UpstreamError> {
        let mut tries = Tries::default();
        for (peer, left) in self.in_order(deadline) {
            // The next one must have time to answer.
            let own = if self.peers.len() > 1 { left.saturating_sub(RESERVE).max(RESERVE) } else { left };
            let request = Request::new(path, &peer.verifier.to_string(), Some(body));
            let answer = peer.ask(&self.identity.tls, &request, deadline.within(own));
            match judge(answer, read) {
                Ok(answer) => {
                    peer.note(false);
                    return Ok(answer);
                }
                Err(Judged::Final(error)) => return Err(error),
                Err(Judged::Next { why, is_answer }) => {
                    peer.note(true);
                    tries.add(peer, why, is_answer);
                }
            }
        }
        Err(tries.error())
    }

    /// One verifier after the other, those that have failed last, round after round, with the time that was left.
    fn in_order(&self, deadline: Deadline) -> impl Iterator<Item = (&Peer, Duration)> {
        let (well, failed): (Vec<_>, Vec<_>) = self.peers.iter().partition(|peer| !peer.has_failed());
        let order = well.into_iter().chain(failed).cycle().take(MOST_TRIES).enumerate();
        order.map_while(move |(number, peer)| {
            let left = deadline.left().ok()?;
            if number > 0 && number.checked_rem(self.peers.len()) == Some(0) {
                thread::sleep(PAUSE.min(left));
            }
            Some((peer, left))
        })
    }

    /// Asks one verifier after the other until one begins with the question.
    fn ask_once<A>(
        &self,
        path: &str,
        body: &[u8],
        deadline: Deadline,
        read: &dyn Fn(&[u8]) -> Option<A>,
    ) -> Result<A, NotOnce> {
        let mut tries = Tries::default();
        for (peer, _) in self.in_order(deadline) {
            let name = peer.verifier.to_string();
            let request = Request::new(path, &name, Some(body));
            let answer = match peer.ask_once(&self.identity.tls, &request, deadline) {
                // It has not begun: the next one may have time, and so may this one soon.
                Ok(answer) if answer.status == 503 => {
                    tries.add(peer, no_answer_now(&problem(&answer.body)), false);
                    continue;
                }
                Ok(answer) => Ok(answer),
                Err(Once::NotSent(why)) => {
                    peer.note(true);
                    tries.add(peer, said(why), false);
                    continue;
                }
                Err(Once::Lost(why)) => Err(why),
            };
            // A question that is malformed, or unknown there, is not done.
            let is_undone = matches!(&answer, Ok(Answer { status, .. }) if (400..500).contains(status));
            return judge(answer, read).map_err(|judged| match judged {
                Judged::Final(error) => NotOnce::Undone(error),
                Judged::Next { why, .. } if is_undone => {
                    NotOnce::Undone(UpstreamError::Unusable(format!("{name}: {why}")))
                }
                Judged::Next { why, .. } => NotOnce::Lost(format!("{name}: {why}")),
            });
        }
        Err(NotOnce::Undone(tries.error()))
    }
}

/// What is not the answer.
enum Judged {
    /// No other verifier would say anything else.
    Final(UpstreamError),
    /// The next verifier may answer. `is_answer` if this one has, but not what was asked.
    Next { why: String, is_answer: bool },
}

fn judge<A>(answer: Result<Answer, NoAnswer>, read: &dyn Fn(&[u8]) -> Option<A>) -> Result<A, Judged> {
    let silent = |why: String| Judged::Next { why, is_answer: false };
    let Answer { status, body, .. } = answer.map_err(|error| silent(said(error)))?;
    match status {
        200 => {
            let unfit = || Judged::Next { why: "its answer is not to this question".into(), is_answer: true };
            read(&body).ok_or_else(unfit)
        }
        403 => Err(Judged::Final(UpstreamError::Forbidden(problem(&body)))),
        429 => Err(Judged::Final(UpstreamError::Spent(problem(&body)))),
        503 | 504 => Err(silent(no_answer_now(&problem(&body)))),
        status => Err(Judged::Next { why: format!("status {status}: {}", problem(&body).error), is_answer: true }),
    }
}

fn problem(body: &[u8]) -> Problem {
    let error = "it gives no reason".to_owned();
    otp_wire::read::<Problem>(body).unwrap_or(Problem { error, hint: "see the log of the verifier".into() })
}

fn no_answer_now(problem: &Problem) -> String {
    format!("no answer now: {}", problem.error)
}

/// Why there is no answer.
pub(crate) fn said(error: NoAnswer) -> String {
    match error {
        NoAnswer::ClosedBefore => "it closes the connection".into(),
        NoAnswer::Io(error) => described(&error),
        NoAnswer::Unfit(why) => format!("its answer cannot be read: {why}"),
    }
}

/// What the verifiers said, the last of each.
#[derive(Default)]
struct Tries {
    said: Vec<(String, String)>,
    has_answer: bool,
}

impl Tries {
    fn add(&mut self, peer: &Peer, why: String, is_answer: bool) {
        let name = peer.verifier.to_string();
        self.has_answer |= is_answer;
        match self.said.iter_mut().find(|(of, _)| *of == name) {
            // The last try may have had hardly any time: what was said before tells more.
            Some(_) if why == described(&io::ErrorKind::TimedOut.into()) => {}
            Some((_, said)) => *said = why,
            None => self.said.push((name, why)),
        }
    }

    fn error(self) -> UpstreamError {
        let said: Vec<_> = self.said.iter().map(|(name, why)| format!("{name}: {why}")).collect();
        let said = if said.is_empty() { "no time was left".to_owned() } else { said.join("; ") };
        if self.has_answer { UpstreamError::Unusable(said) } else { UpstreamError::Unreachable(said) }
    }
}

#[cfg(test)]
mod tests;
