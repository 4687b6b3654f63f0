//! The caller of an authority.

use crate::audit::Event;

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
}
