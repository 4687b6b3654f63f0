//! Ends the sessions of users who must have a second factor now and came in without one.

use std::fs;
use std::path::Path;

use otp_core::decision::policy::SecondFactor;
use otp_core::error::CoreError;
use otp_core::store::files::open::FileStore;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use super::super::foreseen::{Outcome, foresee};
use super::super::host_in_fleet::HostInFleet;
use super::super::known_user::KnownUser;
use super::super::not_done::NotDone;
use super::super::of_fleet;
use super::evidence::{self, Earlier, Journal};
use super::logind::{self, Session, loginctl, of_process};
use crate::error::CliError;
use crate::language::moment;
use crate::ui::output::Output;

/// The answer as JSON, a line for each session that was ended.
#[derive(Serialize)]
struct Ended<'a> {
    session: &'a str,
    user: &'a str,
    service: &'a str,
    rhost: Option<&'a str>,
    since: String,
    ended: bool,
}

/// What the policy says of a session, were it begun now.
enum Now {
    /// The user would be asked for a code, or refused.
    Required(Earlier),
    /// Its service does not call the module.
    Unguarded,
    NotRequired,
}

/// Names the sessions, asks, and ends them. `login_through` tells what a service's lines say of a login, if it has any.
pub(in super::super) fn end(
    site: &Site,
    store: &FileStore,
    login_through: impl Fn(&str) -> Option<LoginContext>,
    yes: bool,
    output: &Output,
) -> Result<(), CliError> {
    if !yes {
        output.can_confirm()?;
    }
    let sessions = logind::sessions(Path::new(logind::SESSIONS))?.ok_or(CliError::NoLogind)?;
    if !site.config.settings.enforce {
        return output.advise("enforce = false: no user must have a second factor now; no session was ended.");
    }
    let (mut journal, host) = (Journal::of(&sessions), HostInFleet::default());
    let (mut unmet, mut failures, mut unguarded) = (Vec::new(), 0usize, Vec::new());
    for session in sessions {
        match now(site, store, &host, &session, &login_through) {
            Ok(Now::Required(earlier)) => {
                if !evidence::is_shown(&session, &mut journal, &earlier, site.config.settings.grace) {
                    unmet.push(session);
                }
            }
            Ok(Now::Unguarded) => unguarded.push(session),
            Ok(Now::NotRequired) => {}
            Err(error) => {
                failures = failures.saturating_add(1);
                let hint = error.hint().unwrap_or_default();
                NotDone { user: &session.user, error: error.to_string(), hint: &hint }.tell(output)?;
            }
        }
    }
    for session in &unguarded {
        let (id, user, service) = (&session.id, &session.user, &session.service);
        output.advise(&format!("session {id} of {user} stays: its service, {service}, has no line of pam_otp.so"))?;
    }
    let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let (mut own, others): (Vec<Session>, Vec<Session>) = unmet.into_iter().partition(|it| is_own(it, &cgroup));
    let mut ending = others;
    let has_own = !own.is_empty();
    ending.append(&mut own); // last: this command may end with it
    if ending.is_empty() {
        output.advise("No session of a user who must have a second factor began without one; no session was ended.")?;
    } else {
        name(&ending, output)?;
        if has_own {
            output.insist("this command runs in one of these sessions, which is ended last, and may end with it");
        }
        if !yes {
            output.confirm(&format!("End {} now?", counted(ending.len())))?;
        }
        terminate(&ending, output)?;
    }
    if failures == 0 { Ok(()) } else { Err(CliError::NotDone(failures)) }
}

fn counted(sessions: usize) -> String {
    if sessions == 1 { "this session".to_owned() } else { format!("these {sessions} sessions") }
}

/// What a login like this session would need now.
fn now(
    site: &Site,
    store: &FileStore,
    host: &HostInFleet,
    session: &Session,
    login_through: impl Fn(&str) -> Option<LoginContext>,
) -> Result<Now, CliError> {
    let Some(account) = accounts::account(&session.user)? else { return Ok(Now::NotRequired) };
    let lines = login_through(&session.service);
    let is_guarded = lines.is_some();
    // sshd tells PAM this name until it has opened the terminal.
    let tty = if session.service == "sshd" { Some("ssh".to_owned()) } else { session.tty.clone() };
    let service = session.service.clone();
    let login = LoginContext { service, rhost: session.rhost.clone(), tty, ..lines.unwrap_or_default() };
    let now = UnixTime::now();
    let (known, earlier) = if site.config.is_of_fleet(account.name.as_str()) {
        let status = of_fleet::client(site, account.clone()).status()?;
        (KnownUser::of_fleet(Some(&status), host, &login)?, Earlier::of_fleet(&status))
    } else {
        let record = store.read(&account).map_err(CoreError::from)?;
        let earlier = record.as_ref().map(Earlier::of_record).unwrap_or_default();
        (KnownUser::of_record(site, record.as_ref(), &login, now), earlier)
    };
    let foreseen = foresee(site, store, &account, &known, &login, now)?;
    let must = matches!(foreseen.ruling.second_factor, SecondFactor::Required | SecondFactor::Enroll);
    Ok(match (must && foreseen.outcome != Outcome::NotAsked, is_guarded) {
        (true, true) => Now::Required(earlier),
        (true, false) => Now::Unguarded,
        (false, _) => Now::NotRequired,
    })
}

/// Whether this command ends with a session. A process of a user's service manager ends with the user's last session.
fn is_own(session: &Session, cgroup: &str) -> bool {
    let (id, manager) = of_process(cgroup);
    id == Some(session.id.as_str()) || manager == Some(session.uid)
}

fn name(sessions: &[Session], output: &Output) -> Result<(), CliError> {
    let width = sessions.iter().map(|session| session.user.len()).fold("USER".len(), usize::max);
    output.advise("Sessions of users who must have a second factor now; nothing shows that they came in with one:")?;
    output.advise(&format!("{:<8}  {:<width$}  {:<12}  {:<23}  FROM", "SESSION", "USER", "SERVICE", "SINCE"))?;
    for Session { id, user, service, rhost, since, .. } in sessions {
        let from = rhost.as_deref().unwrap_or("-");
        let since = moment(&since.to_string());
        output.advise(&format!("{id:<8}  {user:<width$}  {service:<12}  {since:<23}  {from}"))?;
    }
    Ok(())
}

fn terminate(sessions: &[Session], output: &Output) -> Result<(), CliError> {
    let mut told = Ok(());
    for (done, session) in sessions.iter().enumerate() {
        let Session { id, user, service, rhost, since, .. } = session;
        let ended = loginctl(&["terminate-session", id]);
        // It may have ended while the question was open.
        if let Err(why) = ended
            && Path::new(logind::SESSIONS).join(id).exists()
        {
            let left: Vec<&str> = sessions.iter().skip(done).map(|session| session.id.as_str()).collect();
            return Err(CliError::SessionsStay { sessions: left.join(" "), why: Box::new(why) });
        }
        let answer =
            Ended { session: id, user, service, rhost: rhost.as_deref(), since: since.to_string(), ended: true };
        told = told.and(output.done(&answer, &format!("{user}: session {id} ended")));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_of_this_command_is_known() {
        let session = Session {
            id: "17".into(),
            user: "alice".into(),
            uid: 1001,
            service: "sshd".into(),
            rhost: None,
            tty: None,
            since: UnixTime(0),
        };
        for (cgroup, expected) in [
            ("0::/user.slice/user-1001.slice/session-17.scope\n", true),
            ("0::/user.slice/user-1001.slice/session-1.scope\n", false),
            ("0::/user.slice/user-1001.slice/user@1001.service/app.slice\n", true),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice\n", false),
            ("0::/system.slice/cron.service\n", false),
        ] {
            assert_eq!(is_own(&session, cgroup), expected, "{cgroup}");
        }
    }
}
