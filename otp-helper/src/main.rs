//! The helper: set-group-ID `pam_otp`, never set-user-ID. Run by alice, it can open alice's files and no other user's,
//! whatever bug it has. It reads requests from standard input and answers on standard output.
//!
//! Run by root with the path of a configuration, it enrolls a user in the middle of a login.

#![forbid(unsafe_code)]

mod conversation;
mod for_root;

use std::env;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, close, getegid, geteuid, getuid, setresgid};
use otp_core::audit::Event;
use otp_core::config::paths;
use otp_core::error::CoreError;
use otp_core::protocol::request::Reply;
use otp_core::service::agent_authority;
use otp_core::service::authority::Authority;
use otp_core::service::caller::Caller;
use otp_core::service::local_authority::LocalAuthority;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::user::Account;

use crate::conversation::{answer_once, fail_once};

/// Bytes that a file of the helper must be able to have: more than any record has.
const ROOM: u64 = 1 << 20;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    // A new file is accessible only to its user from the start, even if the helper is killed right after.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    leave_files_of_the_caller();
    keep_memory_private();
    if getuid() != geteuid() {
        return fail_once("the helper is set-user-ID", "set its owner to root:pam_otp and its mode to 2755");
    }
    if !can_write_records() {
        return fail_once(
            "the limit on the size of files is too low for a record",
            "raise it (`ulimit -f unlimited`), then start again",
        );
    }
    // The first argument is root's to give, and there is no other.
    match env::args_os().nth(1) {
        Some(config) if getuid().is_root() => return for_root::enroll(config.as_ref()),
        Some(_) => return fail_once("the helper takes a configuration of root alone", "start it without arguments"),
        None => show_group(),
    }
    match here() {
        // A record of theirs on this host, were there one, is none that a login reads.
        Ok((site, account)) if site.config.is_of_fleet(account.name.as_str()) => answer_once(&Reply::KeptByFleet {}),
        Ok((site, account)) => serve(&site, account).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(error) => fail_once(&error.to_string(), error.hint()),
    }
}

/// The helper may outlive its caller: it keeps no file of that one open, and no folder busy. No path of ours is relative.
fn leave_files_of_the_caller() {
    let _ = chdir("/");
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten();
    // Listed before one is closed. The list's own is closed by then.
    let open: Vec<RawFd> = open.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok()).collect();
    for file in open.into_iter().filter(|file| *file > 2) {
        let _ = close(file);
    }
}

/// No core file, and no other process of the caller reads this one's memory. Both can only fail in a sandbox that denies
/// them, and the kernel withholds the memory of a set-group-ID program anyway.
fn keep_memory_private() {
    let _ = set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// Makes the helper's group its real one too: the journal notes that of a sender (`_GID`), so that no line of the caller's
/// own passes for one of ours. What can be opened does not depend on it. It can only fail in a sandbox.
fn show_group() {
    let group = getegid();
    let _ = setresgid(group, group, group);
}

/// Whether the caller lets the helper write. A wrong code is counted in the state, while a right one changes other files: a
/// limit under which only one of the two can be written would tell a guesser which code is right, and count none.
fn can_write_records() -> bool {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_FSIZE) else { return false };
    soft >= ROOM || (hard >= ROOM && setrlimit(Resource::RLIMIT_FSIZE, hard, hard).is_ok())
}

/// The configuration, and the account of the caller: a caller cannot choose its real user id.
fn here() -> Result<(Site, Account), CoreError> {
    // Root's file of keys is not for the helper: the agent has those of the caller.
    let site = Site { ask_for_keys: Some(agent_authority::seal_keys), ..Site::load(paths::CONFIG.as_ref())? };
    let uid = getuid().as_raw();
    let account = accounts::account_of(uid)?;
    let unknown = || CoreError::Names { subject: format!("the user id {uid}"), errno: Errno::ENOENT };
    Ok((site, account.ok_or_else(unknown)?))
}

fn serve(site: &Site, account: Account) -> io::Result<()> {
    let log = |event: &Event<'_>| otp_helper::log("otp-helper", event);
    let caller = Caller::here(getuid().as_raw(), false, &log);
    let mut authority = LocalAuthority::for_account(site, account, caller);
    conversation::serve(|request| authority.request(request))
}
