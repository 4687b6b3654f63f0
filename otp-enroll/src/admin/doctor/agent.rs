//! The agent: whether it answers, and which services may ask it what.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::unistd::{Group, User};
use otp_core::config::Keeper;
use otp_core::config::agent_hosts::AgentHost;
use otp_core::config::paths;
use otp_core::error::{CoreError, HelperError};
use otp_core::service::agent_administration::is_present;
use otp_core::system::config_file::Site;

use super::finding::Finding;

/// What is known of the agent of a configuration.
pub(super) struct Agent {
    state: State,
    hosts: Vec<AgentHost>,
    /// Whether logins need it, of users whose record a fleet keeps.
    serves_fleet: bool,
}

/// Whether there is an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The configuration is none that it reads.
    ReadsAnother,
    /// Its socket is not there: it is not installed, or not enabled.
    Off,
    /// Its socket is there, and a question got no answer.
    Silent,
    Answers,
}

/// Why the agent does not do for a service what the service cannot do itself, and what to do about that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoHelp {
    pub(super) why: String,
    pub(super) fix: String,
}

/// What to do where the agent is needed and is off.
const ENABLE: &str = "systemctl enable --now otp-agent.socket (package otp-agent)";

impl Agent {
    /// Of a configuration that it does not read: it reads the installed one.
    pub(super) fn of_another_site() -> Self {
        Self { state: State::ReadsAnother, hosts: Vec::new(), serves_fleet: false }
    }

    /// Asks whether it is there: what a login asks would be one, in the audit of a fleet. This is its configuration.
    pub(super) fn of(site: &Site) -> Self {
        let answer = is_present();
        let (hosts, serves_fleet) = (site.agent_hosts().unwrap_or_default(), site.config.authority == Keeper::Fleet);
        Self { state: State::of(answer.as_ref().err()), hosts, serves_fleet }
    }

    #[cfg(test)]
    pub(super) fn with(state: State, hosts: Vec<AgentHost>) -> Self {
        Self { state, hosts, serves_fleet: false }
    }

    fn answers(&self) -> bool {
        self.state == State::Answers
    }

    /// Whether it answers a program of root.
    pub(super) fn for_root(&self) -> Result<(), NoHelp> {
        let no_help = |why: &str, fix: &str| Err(NoHelp { why: why.to_owned(), fix: fix.to_owned() });
        match self.state {
            State::Answers => Ok(()),
            State::ReadsAnother => no_help(
                &format!("the agent reads {} and no other configuration", paths::CONFIG),
                &format!("let its line use that one, without config=, and {ENABLE}"),
            ),
            State::Off => no_help("no agent is enabled", ENABLE),
            State::Silent => no_help(
                &format!("the agent's socket {} is there, and a question got no answer", paths::AGENT),
                "systemctl restart otp-agent.socket; if it happens again, see: journalctl -u otp-agent",
            ),
        }
    }

    /// Whether it answers a program of this user about others, for this PAM service.
    pub(super) fn for_others(&self, user: &str, service: &str) -> Result<(), NoHelp> {
        let host = self.hosts.iter().find(|host| host.user == user);
        let named = match host {
            Some(host) if host.services.iter().any(|name| name == service) => None,
            Some(host) => Some(NoHelp {
                why: format!("[[agent.host]] of {user} does not name the service {service}"),
                fix: format!("add \"{service}\" to services in line {} of {}", host.line, paths::CONFIG),
            }),
            None => Some(NoHelp {
                why: format!("{user} is not named in [[agent.host]]"),
                fix: format!(
                    "add [[agent.host]] with user = \"{user}\" and services = [\"{service}\"] to {}",
                    paths::CONFIG
                ),
            }),
        };
        match (self.for_root(), named) {
            (Ok(()), None) => Ok(()),
            (Err(off), Some(named)) if self.state != State::ReadsAnother => {
                let (why, fix) = (format!("{}, and {}", off.why, named.why), format!("{}; {}", named.fix, off.fix));
                Err(NoHelp { why, fix })
            }
            (Err(no_help), _) | (Ok(()), Some(no_help)) => Err(no_help),
        }
    }

    /// Programs that are not root have the keys of sealed seeds from the agent.
    pub(super) fn look_at_seals(&self, are_sealed: bool, findings: &mut Vec<Finding>) {
        if are_sealed && matches!(self.state, State::Off | State::Silent) {
            let what = "seeds are sealed, and the agent does not answer: where a program is not root, as otp-enroll run by a user, \
                        codes are refused (why=sealed-no-agent)";
            findings.push(Finding::warning("agent", what.to_owned(), ENABLE));
        }
    }

    pub(super) fn look_at(&self, findings: &mut Vec<Finding>) {
        for host in &self.hosts {
            if let Ok(None) = User::from_name(&host.user) {
                let what = format!("[[agent.host]] names the account {}, which does not exist", host.user);
                findings.push(Finding::warning("agent", what, "correct the name, or remove the table"));
            }
            for group in host.groups.iter().filter(|group| matches!(Group::from_name(group), Ok(None))) {
                let what = format!(
                    "[[agent.host]] of {} names the group {group}, which does not exist: its logins are refused",
                    host.user
                );
                findings.push(Finding::fault("agent", what, "correct the name, or create the group"));
            }
            if let Err(NoHelp { why, fix }) = self.for_root() {
                let what = format!(
                    "{} is named in [[agent.host]], and {why}: its logins about other users are refused",
                    host.user
                );
                findings.push(Finding::fault("agent", what, &fix));
            }
        }
        if self.state == State::Silent
            && self.hosts.is_empty()
            && let Err(NoHelp { why, fix }) = self.for_root()
        {
            findings.push(Finding::fault("agent", format!("{why}: what needs it is refused"), &fix));
        }
        if !self.answers() {
            return;
        }
        if let Some(what) = wrong_place() {
            findings.push(Finding::fault("agent", what, "remove it, then: systemctl restart otp-agent.socket"));
        }
        let named: Vec<String> = self.hosts.iter().map(described).collect();
        let what = match named.as_slice() {
            [] => "it answers root and each user about themselves; no service is named in [[agent.host]]".to_owned(),
            named => format!("it answers root, each user about themselves, and {}", named.join("; ")),
        };
        let fix = if self.serves_fleet {
            "keep otp-agent.socket enabled: users who are not in local cannot log in without it"
        } else {
            "to turn it off: systemctl disable --now otp-agent.socket"
        };
        findings.push(Finding::note("agent", what, fix));
    }
}

impl State {
    /// By what came of a question.
    fn of(error: Option<&CoreError>) -> Self {
        match error {
            Some(CoreError::Agent(HelperError::Io(error))) if error.kind() == ErrorKind::NotFound => Self::Off,
            Some(CoreError::Agent(HelperError::Io(_) | HelperError::Unintelligible)) => Self::Silent,
            // An error of its own is an answer.
            Some(_) | None => Self::Answers,
        }
    }
}

/// The service's account, and what it may ask.
fn described(host: &AgentHost) -> String {
    let about = match host.groups.as_slice() {
        [] => "all users but root and system accounts".to_owned(),
        groups => format!("members of {}", groups.join(", ")),
    };
    let more = match host.users.as_slice() {
        [] => String::new(),
        users => format!(" and {}", users.join(", ")),
    };
    let (user, services, wrong) = (&host.user, host.services.join(", "), host.wrong);
    format!("{user} about {about}{more} through {services}, with {} wrong codes in {}", wrong.most, wrong.within)
}

/// Why the module would not trust the socket.
fn wrong_place() -> Option<String> {
    let socket = Path::new(paths::AGENT);
    let metadata = fs::symlink_metadata(socket).ok()?;
    let folder = fs::metadata(socket.parent()?).ok()?;
    let is_roots = metadata.uid() == 0 && folder.uid() == 0 && folder.mode() & 0o022 == 0;
    (!metadata.file_type().is_socket() || !is_roots)
        .then(|| format!("{}: must be a socket of root in a folder that only root can write", socket.display()))
}

#[cfg(test)]
mod tests {
    use std::io;

    use otp_core::config::budget::Budget;
    use otp_core::value::time::Seconds;

    use super::*;

    fn host(user: &str, services: &[&str]) -> AgentHost {
        let services = services.iter().map(|name| (*name).to_owned()).collect();
        let wrong = Budget { most: 20, within: Seconds(600) };
        AgentHost { user: user.into(), services, groups: vec![], users: vec![], wrong, line: 7 }
    }

    #[test]
    fn what_is_missing_for_a_service_is_said_with_its_fix() {
        let hosts = || vec![host("freerad", &["radiusd"])];
        let enter = |user: &str, service: &str| {
            format!("add [[agent.host]] with user = \"{user}\" and services = [\"{service}\"] to {}", paths::CONFIG)
        };
        let add = format!("add \"vpn\" to services in line 7 of {}", paths::CONFIG);
        for (state, user, service, why, fix) in [
            (State::Off, "freerad", "radiusd", "no agent is enabled", ENABLE.to_owned()),
            (
                State::Off,
                "www",
                "httpd",
                "no agent is enabled, and www is not named in [[agent.host]]",
                format!("{}; {ENABLE}", enter("www", "httpd")),
            ),
            (
                State::Off,
                "freerad",
                "vpn",
                "no agent is enabled, and [[agent.host]] of freerad does not name the service vpn",
                format!("{add}; {ENABLE}"),
            ),
            (State::Answers, "www", "httpd", "www is not named in [[agent.host]]", enter("www", "httpd")),
            (State::Answers, "freerad", "vpn", "[[agent.host]] of freerad does not name the service vpn", add),
        ] {
            let found = Agent::with(state, hosts()).for_others(user, service);
            assert_eq!(found, Err(NoHelp { why: why.into(), fix }), "{user} {service}");
        }
        assert_eq!(Agent::with(State::Answers, hosts()).for_others("freerad", "radiusd"), Ok(()));
        assert_eq!(Agent::with(State::Answers, vec![]).for_root(), Ok(()));
        for state in [State::Off, State::Silent, State::ReadsAnother] {
            assert!(Agent::with(state, hosts()).for_root().is_err_and(|no| !no.why.is_empty() && !no.fix.is_empty()));
        }
    }

    #[test]
    fn on_a_host_of_a_fleet_the_agent_is_not_turned_off() {
        let fix = |serves_fleet| {
            let mut findings = Vec::new();
            Agent { serves_fleet, ..Agent::with(State::Answers, vec![]) }.look_at(&mut findings);
            findings.pop().unwrap().fix
        };
        assert!(fix(false).starts_with("to turn it off"));
        assert!(!fix(true).contains("disable") && fix(true).contains("keep otp-agent.socket enabled"), "{}", fix(true));
    }

    #[test]
    fn an_agent_that_is_there_and_does_not_answer_is_another_thing_than_none() {
        let io = |kind: ErrorKind| CoreError::Agent(HelperError::Io(io::Error::from(kind)));
        assert_eq!(State::of(Some(&io(ErrorKind::NotFound))), State::Off);
        assert_eq!(State::of(Some(&io(ErrorKind::ConnectionRefused))), State::Silent);
        assert_eq!(State::of(Some(&io(ErrorKind::TimedOut))), State::Silent);
        let reports = HelperError::Reports { error: "x".into(), hint: "y".into() };
        assert_eq!(State::of(Some(&CoreError::Agent(reports))), State::Answers);
        assert_eq!(State::of(None), State::Answers);
    }
}
