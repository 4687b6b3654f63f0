//! Each verifier is asked who it is: whether this host is in its fleet, what it may do there, and whether the clocks agree.

use std::fmt::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use otp_core::audit::value;
use otp_core::config::paths;
use otp_core::protocol::administration::{CertificateStatus, FleetStatus, Scope, Service, Standing, VerifierStatus};
use otp_core::value::time::UnixTime;
use otp_wire::{HELLO, Hello, Problem};

use crate::command_error::CommandError;
use crate::renew;
use crate::upstream::deadline::Deadline;
use crate::upstream::http::{Answer, NoAnswer, Request};
use crate::upstream::peer::Peer;
use crate::upstream::{self, Fleet, Upstream, UpstreamError};

/// With all verifiers, which are asked at once.
const PATIENCE: Duration = Duration::from_secs(3);

/// Seconds that clocks may differ without a word.
const CLOSE: u64 = 5;

/// What the verifiers say.
#[derive(Debug)]
pub(crate) struct Report(FleetStatus);

/// Asks the verifiers of the installed configuration.
pub(crate) fn ask() -> Result<Report, CommandError> {
    let file = Path::new(paths::CONFIG).with_file_name("fleet.toml");
    ask_by(&Upstream::new(&file, Path::new(paths::AGENT_STATE)))
}

pub(crate) fn ask_by(upstream: &Upstream) -> Result<Report, CommandError> {
    status(upstream).map(Report).map_err(|error| match error {
        UpstreamError::NotJoined(why) => CommandError::failed(why, upstream::JOIN),
        UpstreamError::UnfitFiles(why) => CommandError::failed(why, upstream::CORRECT),
        UpstreamError::Unreachable(why) | UpstreamError::Unusable(why) => {
            CommandError::failed(why, "see the log of the verifiers")
        }
        UpstreamError::Forbidden(Problem { error, hint }) | UpstreamError::Spent(Problem { error, hint }) => {
            CommandError::refused(error, hint)
        }
    })
}

/// How this host and all verifiers are. A certificate that is due to be renewed is tried to be.
pub(crate) fn status(upstream: &Upstream) -> Result<FleetStatus, UpstreamError> {
    let (fleet, deadline) = (upstream.fleet()?, Deadline::after(PATIENCE));
    let is_due = fleet.identity.validity.is_due(UnixTime::now());
    let (verifiers, not_renewed) = thread::scope(|scope| {
        let asked: Vec<_> =
            fleet.peers.iter().map(|peer| (peer, scope.spawn(|| of_verifier(peer, &fleet, deadline)))).collect();
        let renewed = is_due.then(|| renew::renewed(&fleet, upstream.folder(), deadline));
        let verifiers = asked.into_iter().map(|(peer, asked)| {
            asked.join().unwrap_or_else(|_| VerifierStatus { error: Some("not asked".into()), ..nothing_of(peer) })
        });
        (verifiers.collect(), renewed.and_then(Result::err))
    });
    // It may be another certificate by now.
    let fleet = upstream.fleet()?;
    let until = fleet.identity.validity.until;
    let days_left = until.0.saturating_sub(UnixTime::now().0).checked_div(86_400).unwrap_or_default();
    let certificate = CertificateStatus { until: until.to_string(), days_left, not_renewed };
    Ok(FleetStatus { host: fleet.host.clone(), certificate, verifiers })
}

fn nothing_of(peer: &Peer) -> VerifierStatus {
    let verifier = peer.verifier.to_string();
    VerifierStatus {
        verifier,
        standing: Standing::Silent,
        error: None,
        version: None,
        host: None,
        rights: None,
        scope: None,
        sends: None,
        clock_ahead: None,
    }
}

fn of_verifier(peer: &Peer, fleet: &Fleet, deadline: Deadline) -> VerifierStatus {
    let none = nothing_of(peer);
    let request = Request::new(HELLO, &none.verifier, None);
    match said(peer.ask(&fleet.identity.tls, &request, deadline)) {
        Ok(Hello { version, time, host, rights, scope, sends }) => {
            let clock_ahead = Some(difference(time, UnixTime::now().0));
            let (version, host, rights) = (Some(version), Some(host), Some(rights));
            VerifierStatus { standing: Standing::Serves, version, host, rights, scope, sends, clock_ahead, ..none }
        }
        Err((standing, error)) => VerifierStatus { standing, error: Some(error), ..none },
    }
}

/// A login takes the same answers in the same way: see `upstream`.
fn said(answer: Result<Answer, NoAnswer>) -> Result<Hello, (Standing, String)> {
    let answer = answer.map_err(|error| (Standing::Silent, upstream::said(error)))?;
    let standing = match answer.status {
        200 => return otp_wire::read(&answer.body).map_err(|error| (Standing::Unusable, error)),
        403 => Standing::Refuses,
        503 => Standing::Silent,
        _ => Standing::Unusable,
    };
    let problem = otp_wire::read::<Problem>(&answer.body);
    Err((standing, problem.map_or_else(|_| format!("status {}", answer.status), |problem| problem.error)))
}

fn difference(there: u64, here: u64) -> i64 {
    let size = i64::try_from(there.abs_diff(here)).unwrap_or(i64::MAX);
    if there < here { size.saturating_neg() } else { size }
}

impl Report {
    pub(crate) fn exit_code(&self) -> u8 {
        match self.0.service() {
            Service::Whole => 0,
            Service::Partial | Service::Refused => 1,
            Service::Unusable | Service::None => 4,
        }
    }

    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(&self.0).map_or_else(|_| String::new(), |text| text + "\n")
    }

    pub(crate) fn text(&self) -> String {
        let FleetStatus { host, certificate, verifiers } = &self.0;
        let CertificateStatus { until, days_left, not_renewed } = certificate;
        let mut text = format!("{host}: the certificate ends on {until}, in {days_left} days\n");
        // Writing to a string cannot fail.
        if let Some(why) = not_renewed {
            let _ = writeln!(text, "{host}: it could not be renewed: {}", why.escape_debug());
        }
        for verifier in verifiers {
            let _ = writeln!(text, "{}", line(verifier));
        }
        text
    }
}

/// What a verifier says of itself is escaped: it goes to a terminal.
fn line(of: &VerifierStatus) -> String {
    let name = &of.verifier;
    let (None, Some(version), Some(host), Some(rights)) = (&of.error, &of.version, &of.host, &of.rights) else {
        return format!("{name}: {}", of.error.as_deref().unwrap_or_default().escape_debug());
    };
    let rights: Vec<_> = rights.iter().map(|right| value(right)).collect();
    let ahead = of.clock_ahead.unwrap_or_default();
    let clock = match ahead.unsigned_abs() {
        ..=CLOSE => "its clock agrees".to_owned(),
        size if ahead < 0 => format!("its clock is {size} s behind the one here"),
        size => format!("its clock is {size} s ahead of the one here"),
    };
    let (version, host) = (value(version), value(host));
    let scope = match &of.scope {
        None => String::new(),
        Some(Scope { name, is_empty: false }) => format!(", for the users of scope {}", value(name)),
        Some(Scope { name, is_empty: true }) => format!(", for no user: scope {} lists nobody", value(name)),
    };
    format!("{name}: version {version}, knows this host as {host}, rights {}{scope}; {clock}", rights.join(", "))
}

#[cfg(test)]
mod tests {
    use otp_core::decision::kinds::Kinds;
    use otp_core::value::destination::Channel;

    use super::*;

    #[test]
    fn the_manual_shows_a_report() {
        let report = Report(FleetStatus {
            host: "web1".into(),
            certificate: CertificateStatus { until: "2027-11-21T08:30:00Z".into(), days_left: 365, not_renewed: None },
            verifiers: vec![VerifierStatus {
                verifier: "verifier1.example.org:8443".into(),
                standing: Standing::Serves,
                error: None,
                version: Some("1.0.0".into()),
                host: Some("web1".into()),
                rights: Some(vec!["login".into()]),
                scope: Some(Scope { name: "staff".into(), is_empty: false }),
                sends: Some(Kinds::of(Channel::Sms)),
                clock_ahead: Some(0),
            }],
        });
        assert!(include_str!("../../../man/otp-agent.8").contains(&report.json()), "{}", report.json());
    }

    #[test]
    fn a_report_says_what_each_verifier_answers() {
        let answered = |clock_ahead| VerifierStatus {
            verifier: "v1:1".into(),
            standing: Standing::Serves,
            error: None,
            version: Some("0.1.0".into()),
            host: Some("web-1".into()),
            rights: Some(vec!["login".into(), "\u{1b}[2J".into()]),
            scope: None,
            sends: None,
            clock_ahead: Some(clock_ahead),
        };
        let fails = |standing| VerifierStatus { standing, error: Some("timed out".into()), ..answered(0) };
        let silent = || fails(Standing::Silent);
        let certificate =
            || CertificateStatus { until: "2028-11-28T00:00:00Z".into(), days_left: 730, not_renewed: None };
        let report = |verifiers| Report(FleetStatus { host: "web-1".into(), certificate: certificate(), verifiers });
        let scoped = |is_empty| {
            let scope = Some(Scope { name: "few".into(), is_empty });
            report(vec![VerifierStatus { scope, ..answered(0) }]).text()
        };
        let both = report(vec![answered(-60), silent()]);
        let text = "web-1: the certificate ends on 2028-11-28T00:00:00Z, in 730 days\n\
                    v1:1: version 0.1.0, knows this host as web-1, rights login, \\x1b[2J; its clock is 60 s behind the one \
                    here\nv1:1: timed out\n";
        assert_eq!((both.text().as_str(), both.exit_code()), (text, 1));
        let code = |verifiers| report(verifiers).exit_code();
        assert_eq!((code(vec![answered(5)]), code(vec![silent()])), (0, 4));
        assert_eq!(code(vec![silent(), fails(Standing::Refuses)]), 1, "a host that is refused has an answer");
        assert_eq!(code(vec![silent(), fails(Standing::Unusable)]), 4);
        assert!(scoped(false).contains(", for the users of scope few;"), "{}", scoped(false));
        assert!(scoped(true).contains(", for no user: scope few lists nobody;"), "{}", scoped(true));
        assert!(both.json().contains("\"days_left\": 730") && both.json().contains("\"clock_ahead\": -60"));
        assert_eq!((difference(10, 70), difference(70, 10)), (-60, 60));
    }
}
