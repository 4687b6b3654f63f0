//! Enrollment in the middle of a login, for a PAM host that runs as root: what it needs is not linked into every such host.
//!
//! Root could open each record itself. This process has the rights of its caller and nothing beside them: the group that the file
//! of the helper has is given up.

use std::path::Path;
use std::process::ExitCode;

use nix::unistd::{Gid, setresgid};
use otp_core::audit::Event;
use otp_core::codes::challenge::Challenge;
use otp_core::error::CoreError;
use otp_core::protocol::enrollment_messages::step_words;
use otp_core::protocol::request::{Question, Reply, Request};
use otp_core::service::caller::Caller;
use otp_core::service::local_authority::LocalAuthority;
use otp_core::system::config_file::Site;

use crate::conversation::{fail_once, failed, serve};

/// Takes the steps of one user's enrollment, by the configuration at this path.
pub(crate) fn enroll(config: &Path) -> ExitCode {
    // New files are root's alone until they are given to their user. It can only fail in a sandbox.
    let _ = setresgid(ROOT, ROOT, ROOT);
    let site = match Site::load(config) {
        Ok(site) => site,
        Err(error) => return fail_once(&error.to_string(), error.hint()),
    };
    // The host logs what comes of the login.
    let caller = Caller::here(0, true, &|_| {});
    let mut begun: Option<(String, LocalAuthority<'_, _>)> = None;
    let served = serve(|Question { about, request, under_way }| {
        let Request::Enrolling(step) = request else { return Ok(not_for_root()) };
        let (user, authority) = match &mut begun {
            Some(begun) => begun,
            none => {
                let authority = LocalAuthority::for_name(&site, &about, caller)?;
                none.insert((about.clone(), authority))
            }
        };
        // An enrollment is one user's; and what is under way is kept here.
        if *user != about || under_way.is_some() || site.config.is_of_fleet(user) {
            return Ok(not_for_root());
        }
        let reply = authority.enroll_during_login(*step).or_else(|error| not_sent(user, error))?;
        Ok(step_words(&reply, None).map_or_else(not_for_root, |words| Reply::Login(words.to_string())))
    });
    served.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

const ROOT: Gid = Gid::from_raw(0);

fn not_for_root() -> Reply {
    failed("the helper of root only enrolls one user during a login", "use otp-enroll")
}

/// A login in which the PIN is not sent goes on, with an app.
fn not_sent(user: &str, error: CoreError) -> Result<Reply, CoreError> {
    let CoreError::NotSent(channel, _) = &error else { return Err(error) };
    otp_helper::log("otp-helper", &Event::NotSent { user: Some(user), kind: channel.word(), error: &error });
    Ok(Reply::PinSent { name: String::new(), to: String::new(), answer: Challenge::NotSent.words() })
}
