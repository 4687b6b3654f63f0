//! What a write is for: a store that keeps an audit, or answers that may be asked for again, writes this beside the record and
//! in the same commit. The store of files keeps neither: its audit is the system log.

use std::borrow::Cow;

use crate::decision::import;
use crate::record::id::DeviceId;
use crate::record::seal::Shut;
use crate::value::request_id::RequestId;

/// Which question, of which host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// `None` for a question that is not asked again.
    pub id: Option<RequestId>,
    /// `None` for this host.
    pub host: Option<&'a str>,
}

/// What is written beside a record.
#[derive(Clone, Copy)]
pub struct Note<'a> {
    pub origin: Origin<'a>,
    /// What was asked for, as the log has it: `login`, `device-renamed`.
    pub event: &'a str,
    /// What came of it; `None` where the event says all.
    pub answer: Option<&'a dyn Answer>,
}

/// What a step answers. A store keeps its words: they hold no seed, no code and nothing that was typed.
pub trait Answer {
    fn words(&self) -> Cow<'static, str>;

    /// The answer in these words, to be given again to who asks again. `None` if they do not say all of it: the question is
    /// then decided again.
    fn read(_words: &str) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
}

/// The last answer about a record, as a store has kept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    pub id: RequestId,
    pub host: Option<String>,
    /// What was asked for: an answer to one thing is no answer to another.
    pub event: String,
    pub words: String,
}

impl Origin<'static> {
    /// This host, and a question that is not asked again.
    pub const HERE: Self = Self { id: None, host: None };
}

impl<'a> Origin<'a> {
    /// A note of this question.
    pub const fn note(self, event: &'a str) -> Note<'a> {
        Note { origin: self, event, answer: None }
    }
}

impl Note<'static> {
    /// A note of what is done on this host.
    pub const fn here(event: &'static str) -> Self {
        Origin::HERE.note(event)
    }
}

impl<'a> Note<'a> {
    pub(super) fn with<'b>(&self, answer: &'b dyn Answer) -> Note<'b>
    where
        'a: 'b,
    {
        Note { answer: Some(answer), ..*self }
    }
}

impl KeptAnswer {
    /// The answer, if it is to the same question of the same host.
    pub(super) fn to<T: Answer>(&self, note: &Note<'_>) -> Option<T> {
        let Note { origin: Origin { id, host }, event, answer: _ } = *note;
        let is_asked_again = id == Some(self.id) && host == self.host.as_deref() && event == self.event;
        if is_asked_again { T::read(&self.words) } else { None }
    }
}

/// An answer that no store keeps a word of: the event says all that may be kept.
pub struct Unsaid<T>(pub T);

impl<T> Answer for Unsaid<T> {
    fn words(&self) -> Cow<'static, str> {
        "done".into()
    }
}

impl Answer for () {
    fn words(&self) -> Cow<'static, str> {
        "done".into()
    }
}

/// Whether anything was changed.
impl Answer for bool {
    fn words(&self) -> Cow<'static, str> {
        if *self { "changed" } else { "unchanged" }.into()
    }
}

/// The device that was changed; `None` if the record had changed before.
impl Answer for Option<DeviceId> {
    fn words(&self) -> Cow<'static, str> {
        self.map_or("changed-meanwhile".into(), |device| format!("device {device}").into())
    }
}

impl Answer for import::Outcome {
    fn words(&self) -> Cow<'static, str> {
        self.word().unwrap_or("unchanged").into()
    }
}

impl Answer for Shut {
    fn words(&self) -> Cow<'static, str> {
        self.word().into()
    }
}

impl<T: Answer, E: Answer> Answer for Result<T, E> {
    fn words(&self) -> Cow<'static, str> {
        match self {
            Ok(done) => done.words(),
            Err(why) => why.words(),
        }
    }

    fn read(words: &str) -> Option<Self> {
        T::read(words).map(Ok).or_else(|| E::read(words).map(Err))
    }
}
