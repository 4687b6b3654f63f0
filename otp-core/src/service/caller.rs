//! On whose behalf an authority acts.

use crate::audit::Event;

/// Who asks, as far as the authority cares.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The real user id, for the log.
    pub uid: u32,
    /// Whether the caller may choose what a login context says, and administer. Of anyone else the context is for the
    /// log and grants nothing.
    pub is_trusted: bool,
    /// Takes an audit line for each change. Lines about logins are written by the program that knows where they come from.
    pub log: &'a dyn Fn(&Event<'_>),
}
