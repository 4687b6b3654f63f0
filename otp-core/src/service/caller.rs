//! The caller of an authority.

use crate::audit::Event;
use crate::store::note::{Note, Origin};
use crate::value::request_id::RequestId;

/// What the authority needs to know of its caller.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The real user id, for the log.
    pub uid: u32,
    /// Whether the caller may administer and set the login context. The context of any other caller is for the log and
    /// grants nothing.
    pub is_trusted: bool,
    /// Writes an audit line for each change. The module writes the lines of logins itself: it knows their context.
    pub log: &'a dyn Fn(&Event<'_>),
    /// The question and its host, where it came from another one.
    pub origin: Origin<'a>,
}

impl<'a> Caller<'a> {
    /// A caller on this host.
    pub fn here(uid: u32, is_trusted: bool, log: &'a dyn Fn(&Event<'_>)) -> Self {
        Self { uid, is_trusted, log, origin: Origin::HERE }
    }

    /// The same, with the id of the question.
    pub fn asking(self, id: Option<RequestId>) -> Self {
        Self { origin: Origin { id, ..self.origin }, ..self }
    }

    /// What a store keeps of a write for this caller.
    pub(crate) fn note(&self, event: &'a str) -> Note<'a> {
        self.origin.note(event)
    }
}
