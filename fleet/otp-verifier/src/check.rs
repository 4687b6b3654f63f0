//! `otp-verifier check`: what would keep this verifier from serving, or the fleet from surviving the next failure. All of it at once.

mod certificates;
mod database;
mod files;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

use crate::command_line::Check;
use crate::config::Config;
use crate::error::Error;
use crate::told::{told, told_json};

/// Whether it must be fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    /// Hosts or users are not served, or would not be after a failure that the fleet is made to survive.
    Fault,
    /// The same, unless it is intended, or in some time.
    Warning,
}

#[derive(Debug, Serialize)]
struct Finding {
    severity: Severity,
    /// `certificate`, `configuration`, `database`, `files`, `keys`.
    subject: &'static str,
    what: String,
    fix: String,
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn fault(&mut self, subject: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Fault, subject, what: what.into(), fix: fix.into() });
    }

    fn warning(&mut self, subject: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Finding { severity: Severity::Warning, subject, what: what.into(), fix: fix.into() });
    }

    /// The value, or a fault.
    fn good<T>(&mut self, subject: &'static str, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.fault(subject, error.to_string(), error.hint)).ok()
    }
}

pub(crate) fn check(path: &Path, how: &Check) -> Result<(), Error> {
    let mut found = Findings::default();
    let config = found.good("configuration", Config::load(path));
    let days = config.as_ref().and_then(|config| look_at(config, path, &mut found));
    let signs_elsewhere = config.is_some_and(|config| config.authority().exists() && !config.authority_key().exists());
    found.0.sort_by_key(|finding| finding.severity);
    if how.json {
        told_json(&found.0)?;
    } else {
        tell(&found.0, days, signs_elsewhere)?;
    }
    match found.0.iter().filter(|finding| finding.severity == Severity::Fault).count() {
        0 => Ok(()),
        1 => Err(Error::found("1 fault was found")),
        faults => Err(Error::found(format!("{faults} faults were found"))),
    }
}

/// Returns for how many days the certificate is good.
fn look_at(config: &Config, path: &Path, found: &mut Findings) -> Option<i64> {
    found.good("configuration", config.settings());
    if let Err(error) = config.senders() {
        found.fault("configuration", format!("no codes are sent by message: {error}"), error.hint());
    } else if !config.senders.exists() && config.names_senders() {
        let what =
            format!("no codes are sent by message: senders names {}, which is not there", config.senders.display());
        found.fault("configuration", what, "name the pam_otp.toml of this machine, or leave senders out");
    }
    files::look_at(config, path, found);
    let days = certificates::look_at(config, found);
    let keys = found.good("keys", config.keys());
    database::look_at(config, keys.as_ref(), found);
    days
}

fn tell(findings: &[Finding], days: Option<i64>, signs_elsewhere: bool) -> Result<(), Error> {
    for Finding { severity, subject, what, fix } in findings {
        let severity = match severity {
            Severity::Fault => "fault",
            Severity::Warning => "warning",
        };
        told(&format!("{severity:<8} {subject}: {what}\n{:9}-> {fix}", ""))?;
    }
    if findings.is_empty() {
        told("Database, keys and certificates are well.")?;
    }
    if signs_elsewhere {
        told("It signs none: the key of the authority is elsewhere.")?;
    }
    match days {
        Some(days) if days >= 0 => told(&format!("The certificate of this verifier is good for {days} days.")),
        Some(_) | None => Ok(()),
    }
}
