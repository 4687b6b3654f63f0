//! Who asks.

use std::os::fd::OwnedFd;

use otp_core::protocol::agent_socket;

/// The process at the other end of a connection.
pub(crate) struct Asker<'a> {
    /// Its effective user id when it connected, as the kernel says.
    pub(crate) uid: u32,
    /// Its effective group id, then.
    pub(crate) gid: u32,
    pub(crate) socket: &'a OwnedFd,
}

impl Asker<'_> {
    /// Whether it no longer waits for the answer. A code that lets no user in stays unused.
    pub(crate) fn is_gone(&self) -> bool {
        agent_socket::is_abandoned(self.socket)
    }
}
