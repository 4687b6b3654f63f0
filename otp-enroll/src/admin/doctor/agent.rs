//! The agent: whether it answers, and which services may ask it what.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::unistd::{Group, User};
use otp_core::config::agent_hosts::AgentHost;
use otp_core::config::paths;
use otp_core::system::config_file::Site;

use super::finding::Finding;

/// What is known of the agent of a configuration.
pub(super) struct Agent {
    answers: bool,
    hosts: Vec<AgentHost>,
}

/// What to do where the agent is needed and does not answer.
const ENABLE: &str = "systemctl enable --now otp-agent.socket (package otp-agent)";

impl Agent {
    /// Asks whether somebody serves its socket. The agent reads no other configuration than the installed one.
    pub(super) fn of(site: &Site) -> Self {
        let is_its = site.path == Path::new(paths::CONFIG);
        let hosts = if is_its { site.agent_hosts().unwrap_or_default() } else { Vec::new() };
        Self { answers: is_its && UnixStream::connect(paths::AGENT).is_ok(), hosts }
    }

    /// Whether it answers root, and every user about themselves.
    pub(super) fn answers(&self) -> bool {
        self.answers
    }

    /// Whether it answers a program of this user about others, for this PAM service.
    pub(super) fn answers_about_others(&self, user: &str, service: &str) -> bool {
        let is_named = |host: &AgentHost| host.user == user && host.services.iter().any(|name| name == service);
        self.answers && self.hosts.iter().any(is_named)
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
            if !self.answers {
                let what = format!(
                    "{} is named in [[agent.host]], and no agent answers: its logins about other users are refused",
                    host.user
                );
                findings.push(Finding::fault("agent", what, ENABLE));
            }
        }
        if !self.answers {
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
        findings.push(Finding::note("agent", what, "to turn it off: systemctl disable --now otp-agent.socket"));
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
    format!("{user} about {about}{more} through {services}, with {} wrong codes in {}", wrong.codes, wrong.within)
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
