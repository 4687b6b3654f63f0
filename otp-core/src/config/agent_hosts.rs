//! `[[agent.host]]`: accounts of services that may ask the agent about other users.
//!
//! Logins do not read these tables: an error in them refuses what the agent is asked, and nothing else.

use std::cell::RefCell;
use std::path::Path;

use crate::config::budget::Budget;
use crate::config::error::ConfigError;
use crate::config::rule_names;
use crate::config::table::{Section, Source};
use crate::value::time::Seconds;

/// A service's account, and what it may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentHost {
    /// The account that the service runs as.
    pub user: String,
    /// The PAM services that it may ask for.
    pub services: Vec<String>,
    /// The groups whose members it may ask about. None: all users but root and system accounts.
    pub groups: Vec<String>,
    /// Users of uid below 1000 that it may ask about, too.
    pub users: Vec<String>,
    /// The wrong codes that it may send.
    pub wrong: Budget,
    /// The number of its first line, from 1.
    pub line: usize,
}

/// What the configuration says of hosts, and all errors in that.
pub fn read(path: &Path, text: &str) -> (Vec<AgentHost>, Vec<ConfigError>) {
    let (mut hosts, errors) = (Vec::new(), RefCell::default());
    let source = Source { path, text, errors: &errors };
    source.section(&source.document()).section("agent", |agent| {
        agent.sections("host", |table| {
            let host = AgentHost::read(table);
            if hosts.iter().any(|earlier: &AgentHost| earlier.user == host.user) {
                table.reject("user", "named once: another [[agent.host]] has it");
            }
            hosts.push(host);
        });
    });
    (hosts, errors.into_inner().all)
}

impl AgentHost {
    fn read(table: &mut Section<'_>) -> Self {
        let wrong = Budget { most: 20, within: Seconds(600) };
        let (user, services, groups, users) = (String::new(), Vec::new(), Vec::new(), Vec::new());
        let mut host = Self { user, services, groups, users, wrong, line: table.line() };
        table.set("user", &mut host.user, "a name of 1 to 255 characters", |value| value.text(255));
        if host.user == "root" {
            table.reject("user", "another account than root, which may ask about all users");
        } else if host.user == "nobody" {
            table.reject(
                "user",
                "an account of the service's own: in containers `nobody` stands for every account of the host",
            );
        } else if let Some(wanted) = rule_names::of_users(&host.user) {
            table.reject("user", &wanted);
        }
        type Check = fn(&str) -> Option<String>;
        let lists: [(_, _, Check); 3] = [
            ("services", &mut host.services, rule_names::of_services),
            ("groups", &mut host.groups, rule_names::of_groups),
            ("users", &mut host.users, rule_names::of_users),
        ];
        for (key, names, check) in lists {
            table.set(key, names, "a list of names, like [\"name\"]", |value| value.texts(255));
            if let Some(wanted) = names.iter().find_map(|name| check(name)) {
                table.reject(key, &format!("a list of names, each {wanted}"));
            }
        }
        let wanted = "1 to 1000 wrong codes and a time of 1 second to 1 day, like \"20/10m\"";
        table.set("wrong", &mut host.wrong, wanted, |value| Budget::parse(&value.text(30)?));
        for key in ["user", "services"] {
            if !table.has(key) {
                table.error(&format!("needs {key}"));
            }
        }
        host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Result<Vec<AgentHost>, String> {
        let (hosts, errors) = read(Path::new("/c"), text);
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        if errors.is_empty() { Ok(hosts) } else { Err(errors.join("\n")) }
    }

    #[test]
    fn a_host_is_read_with_its_defaults_and_with_every_key() {
        let mut host = AgentHost {
            user: "freerad".into(),
            services: vec!["radiusd".into()],
            groups: vec![],
            users: vec![],
            wrong: Budget { most: 20, within: Seconds(600) },
            line: 2,
        };
        let least = "issuer = \"other keys are read elsewhere\"\n[[agent.host]]\nuser = \"freerad\"\nservices = [\"radiusd\"]\n";
        assert_eq!(hosts(least), Ok(vec![host.clone()]));
        host.groups = vec!["vpn".into(), "staff".into()];
        host.users = vec!["backup".into()];
        host.wrong = Budget { most: 3, within: Seconds(60) };
        let all = format!("{least}groups = [\"vpn\", \"staff\"]\nusers = [\"backup\"]\nwrong = \"3/1m\"\n");
        assert_eq!(hosts(&all), Ok(vec![host]));
        assert_eq!(hosts(""), Ok(vec![]));
    }

    #[test]
    fn an_error_names_file_line_and_key() {
        let head = "[[agent.host]]\nuser = \"freerad\"\nservices = [\"radiusd\"]\n";
        for (text, expected) in [
            ("[[agent.host]]\n".to_owned(), "/c:1: agent.host needs user\n/c:1: agent.host needs services"),
            (
                format!("{head}group = \"vpn\"\n"),
                "/c:4: unknown key agent.host.group; known keys: user, services, groups, users, wrong",
            ),
            (format!("{head}groups = []\n"), "/c:4: agent.host.groups must be a list of names, like [\"name\"]"),
            (format!("{head}groups = \"vpn\"\n"), "/c:4: agent.host.groups must be a list of names, like [\"name\"]"),
            (
                format!("{head}groups = [\"vpn*\"]\n"),
                "/c:4: agent.host.groups must be a list of names, each one group: patterns and lists are not read; write a rule for each group",
            ),
            (
                format!("{head}wrong = \"20\"\n"),
                "/c:4: agent.host.wrong must be 1 to 1000 wrong codes and a time of 1 second to 1 day, like \"20/10m\"",
            ),
            (
                "[[agent.host]]\nuser = \"root\"\nservices = [\"x\"]\n".into(),
                "/c:2: agent.host.user must be another account than root, which may ask about all users",
            ),
            (
                "[[agent.host]]\nuser = \"nobody\"\nservices = [\"x\"]\n".into(),
                "/c:2: agent.host.user must be an account of the service's own: in containers `nobody` stands for every account of the host",
            ),
            (
                "[[agent.host]]\nuser = \"a\"\nservices = [\"SSHD\"]\n".into(),
                "/c:3: agent.host.services must be a list of names, each in lower case, as libpam writes the names of services: \"sshd\"",
            ),
            (format!("{head}{head}"), "/c:5: agent.host.user must be named once: another [[agent.host]] has it"),
            ("[agent]\nhosts = 1\n".into(), "/c:2: unknown key agent.hosts; known keys: host"),
            ("[agent.host]\nuser = \"a\"\n".into(), "/c:1: agent.host must be written [[agent.host]]"),
        ] {
            assert_eq!(hosts(&text), Err(expected.into()), "{text}");
        }
    }
}
