//! The listening socket that a program is started with, as sd_listen_fds(3) describes it: the one file with unsafe code.
#![expect(unsafe_code, reason = "a descriptor that was inherited has no owner yet")]

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt};

/// The first descriptor that is passed.
const FIRST: i32 = 3;

/// The one socket that was passed to this process; `None` if there is none, or it is not a listening Unix socket.
pub(crate) fn socket() -> Option<UnixListener> {
    if variable("LISTEN_PID")? != std::process::id().to_string() || variable("LISTEN_FDS")? != "1" {
        return None;
    }
    // SAFETY: systemd passes this descriptor (checked above), and it is open for as long as it is borrowed here: nothing in
    // this process has closed it, main being called with it.
    let passed = unsafe { BorrowedFd::borrow_raw(FIRST) };
    let is_listening = getsockopt(&passed, sockopt::AcceptConn).ok()?;
    let address: SockaddrStorage = getsockname(FIRST).ok()?;
    if !is_listening || address.family() != Some(AddressFamily::Unix) {
        return None;
    }
    // The programs that this one starts do not inherit it.
    fcntl(passed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    // SAFETY: the descriptor is open (getsockopt has answered), and this is its only owner: it was inherited, and this
    // function is called once.
    let owned = unsafe { OwnedFd::from_raw_fd(FIRST) };
    Some(UnixListener::from(owned))
}

#[expect(clippy::disallowed_methods, reason = "the protocol of socket activation; root's environment, and no login's")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
