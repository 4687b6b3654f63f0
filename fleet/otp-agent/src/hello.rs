//! Each verifier is asked who it is: whether this host is in its fleet, what it may do there, and whether the clocks agree.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use otp_core::audit::value;
use otp_core::config::paths;
use otp_core::value::system_error::described;
use otp_core::value::time::UnixTime;
use otp_wire::{HELLO, Hello, Problem};
use serde::Serialize;

use crate::command::CommandError;
use crate::upstream::deadline::Deadline;
use crate::upstream::http::{Answer, NoAnswer, Request};
use crate::upstream::{Upstream, UpstreamError};

/// With each verifier.
const PATIENCE: Duration = Duration::from_secs(3);

/// Seconds that clocks may differ without a word.
const CLOSE: u64 = 5;

/// What the verifiers say.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The name that this host was given.
    host: String,
    certificate: CertificateReport,
    verifiers: Vec<VerifierReport>,
}

#[derive(Debug, Serialize)]
struct CertificateReport {
    /// In UTC.
    until: String,
    /// Whole days.
    days_left: u64,
}

#[derive(Debug, Serialize)]
struct VerifierReport {
    verifier: String,
    /// `None` if it answered.
    error: Option<String>,
    /// The version of its program.
    version: Option<String>,
    /// The id of this host in the fleet.
    host: Option<String>,
    rights: Option<Vec<String>>,
    /// Seconds by which its clock is ahead of the one here (negative: behind).
    clock_ahead: Option<i64>,
}

/// How many verifiers answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    All,
    Some,
    None,
}

/// Asks the verifiers of the installed configuration.
pub(crate) fn ask() -> Result<Report, CommandError> {
    let file = Path::new(paths::CONFIG).with_file_name("fleet.toml");
    ask_by(&Upstream::new(&file, Path::new(paths::AGENT_STATE)))
}

pub(crate) fn ask_by(upstream: &Upstream) -> Result<Report, CommandError> {
    let fleet = upstream.fleet().map_err(|error| match error {
        UpstreamError::NotJoined(why) | UpstreamError::Unreachable(why) | UpstreamError::Unusable(why) => {
            CommandError::failed(why, "let this host join its fleet: otp-agent join FILE")
        }
        UpstreamError::Forbidden(Problem { error, hint }) | UpstreamError::Spent(Problem { error, hint }) => {
            CommandError::refused(error, hint)
        }
    })?;
    let verifiers = fleet.peers.iter().map(|peer| {
        let verifier = peer.verifier.to_string();
        let request = Request::new(HELLO, &verifier, None);
        let answer = peer.ask(&fleet.identity.tls, &request, Deadline::after(PATIENCE));
        let none = VerifierReport { verifier, error: None, version: None, host: None, rights: None, clock_ahead: None };
        match said(answer) {
            Ok(Hello { version, time, host, rights }) => {
                let clock_ahead = Some(difference(time, UnixTime::now().0));
                VerifierReport { version: Some(version), host: Some(host), rights: Some(rights), clock_ahead, ..none }
            }
            Err(error) => VerifierReport { error: Some(error), ..none },
        }
    });
    let until = fleet.identity.validity.until;
    let days_left = until.0.saturating_sub(UnixTime::now().0).checked_div(86_400).unwrap_or_default();
    Ok(Report {
        host: fleet.host.clone(),
        certificate: CertificateReport { until: until.to_string(), days_left },
        verifiers: verifiers.collect(),
    })
}

fn said(answer: Result<Answer, NoAnswer>) -> Result<Hello, String> {
    let answer = answer.map_err(|error| match error {
        NoAnswer::Io(error) => described(&error),
        NoAnswer::Unfit(why) => format!("its answer cannot be read: {why}"),
        NoAnswer::ClosedBefore => "it closes the connection".into(),
    })?;
    if answer.status == 200 {
        return otp_wire::read(&answer.body);
    }
    let problem = otp_wire::read::<Problem>(&answer.body);
    Err(problem.map_or_else(|_| format!("status {}", answer.status), |problem| problem.error))
}

fn difference(there: u64, here: u64) -> i64 {
    let size = i64::try_from(there.abs_diff(here)).unwrap_or(i64::MAX);
    if there < here { size.saturating_neg() } else { size }
}

impl Report {
    pub(crate) fn found(&self) -> Found {
        let answers = self.verifiers.iter().filter(|verifier| verifier.error.is_none()).count();
        match answers {
            0 => Found::None,
            answers if answers == self.verifiers.len() => Found::All,
            _ => Found::Some,
        }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).map_or_else(|_| String::new(), |text| text + "\n")
    }

    pub(crate) fn text(&self) -> String {
        let CertificateReport { until, days_left } = &self.certificate;
        let mut text = format!("{}: the certificate ends on {until}, in {days_left} days\n", self.host);
        for report in &self.verifiers {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", report.line());
        }
        text
    }
}

impl VerifierReport {
    /// What a verifier says of itself is escaped: it goes to a terminal.
    fn line(&self) -> String {
        let name = &self.verifier;
        let (None, Some(version), Some(host), Some(rights)) = (&self.error, &self.version, &self.host, &self.rights)
        else {
            return format!("{name}: {}", self.error.as_deref().unwrap_or_default().escape_debug());
        };
        let rights: Vec<_> = rights.iter().map(|right| value(right)).collect();
        let ahead = self.clock_ahead.unwrap_or_default();
        let clock = match ahead.unsigned_abs() {
            ..=CLOSE => "its clock agrees".to_owned(),
            size if ahead < 0 => format!("its clock is {size} s behind the one here"),
            size => format!("its clock is {size} s ahead of the one here"),
        };
        let (version, host) = (value(version), value(host));
        format!("{name}: version {version}, knows this host as {host}, rights {}; {clock}", rights.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_each_verifier_answers() {
        let answered = |clock_ahead| VerifierReport {
            verifier: "v1:1".into(),
            error: None,
            version: Some("0.1.0".into()),
            host: Some("web-1".into()),
            rights: Some(vec!["login".into(), "\u{1b}[2J".into()]),
            clock_ahead: Some(clock_ahead),
        };
        let silent = || VerifierReport { error: Some("timed out".into()), ..answered(0) };
        let certificate = || CertificateReport { until: "2028-11-28T00:00:00Z".into(), days_left: 730 };
        let report = |verifiers| Report { host: "web-1".into(), certificate: certificate(), verifiers };
        let both = report(vec![answered(-60), silent()]);
        let text = "web-1: the certificate ends on 2028-11-28T00:00:00Z, in 730 days\n\
                    v1:1: version 0.1.0, knows this host as web-1, rights login, \\x1b[2J; its clock is 60 s behind the one \
                    here\nv1:1: timed out\n";
        assert_eq!((both.text().as_str(), both.found()), (text, Found::Some));
        assert_eq!((report(vec![answered(5)]).found(), report(vec![silent()]).found()), (Found::All, Found::None));
        assert!(both.json().contains("\"days_left\": 730") && both.json().contains("\"clock_ahead\": -60"));
        assert_eq!((difference(10, 70), difference(70, 10)), (-60, 60));
    }
}
