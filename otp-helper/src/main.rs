//! Set-group-ID `pam_otp`, never set-user-ID: run by alice it can reach the records and open alice's files, and no one
//! else's, whatever is wrong with it. It reads requests from standard input and answers on standard output.

#![forbid(unsafe_code)]

use otp_core::config::paths;
use otp_core::system::accounts;
use otp_core::system::random;
use std::io::{self, BufReader};
use std::process::ExitCode;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{alarm, geteuid, getuid};
use otp_core::error::Error;
use otp_core::protocol::helper_process::{read_line, write_line};
use otp_core::protocol::request::{Reply, Request};
use otp_core::service::self_service::SelfService;
use otp_core::system::config_file::Site;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

/// Seconds that a caller may take from one request to the next; then SIGALRM ends us. Long enough to find a phone.
const PATIENCE: u32 = 900;

/// More requests than any front end makes in one run.
const MOST_REQUESTS: usize = 100;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    // What we make is its user's to open from the moment it is there, even if we are killed in the next one.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    if getuid() != geteuid() {
        return answer_once("the helper is set-user-ID", "make it root:pam_otp with mode 2755");
    }
    match here() {
        Ok((site, account)) => serve(&site, account).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(error) => answer_once(&error.to_string(), error.hint()),
    }
}

/// The configuration, and whose request this is: the real uid is the one thing a caller cannot choose.
fn here() -> Result<(Site, Account), Error> {
    let site = Site::load(paths::CONFIG.as_ref())?;
    let uid = getuid().as_raw();
    let account = accounts::account_of(uid)?;
    let nobody = || Error::Names { subject: format!("the user id {uid}"), errno: nix::errno::Errno::ENOENT };
    Ok((site, account.ok_or_else(nobody)?))
}

fn serve(site: &Site, account: Account) -> io::Result<()> {
    let log = |event: &otp_core::audit::Event<'_>| otp_helper::log("otp-helper", event);
    let mut service = SelfService::new(site, account, getuid().as_raw(), random::entropy, &log);
    let (mut input, mut output) = (BufReader::new(io::stdin()), io::stdout());
    for _ in 0..MOST_REQUESTS {
        alarm::set(PATIENCE);
        let Some(request) = read_line::<Request>(&mut input)? else { break };
        write_line(&mut output, &service.answer(request, UnixTime::now()))?;
    }
    Ok(())
}

/// Says why no request can be answered, to whoever makes one.
fn answer_once(error: &str, hint: &str) -> ExitCode {
    // Whatever is asked. A socket that is closed with a request unread may lose the answer on the way to the caller.
    alarm::set(PATIENCE);
    let _ = read_line::<Request>(&mut io::stdin().lock());
    // The caller hears it or has gone; there is nobody else to tell.
    let _ = write_line(&mut io::stdout(), &Reply::Failed { error: error.to_owned(), hint: hint.to_owned() });
    ExitCode::FAILURE
}
