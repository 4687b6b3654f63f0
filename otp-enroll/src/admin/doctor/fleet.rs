//! A host of a fleet: whether it has joined, which verifiers serve it, its certificate and clock, and who could not get in if the
//! fleet were gone.

use otp_core::protocol::administration::{CertificateStatus, FleetStatus, VerifierStatus};
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;

use super::super::fleet_status::{CLOSE, NoStatus, People, status};
use super::finding::{Finding, some};
use crate::error::CliError;
use crate::ui::output::Output;

const FLEET: &str = "fleet";

/// Days before the end of a certificate: it should have been renewed for months.
const SOON: u64 = 30;

pub(super) fn look_at(
    site: &Site,
    store: &FileStore,
    output: &Output,
    findings: &mut Vec<Finding>,
) -> Result<(), CliError> {
    match status() {
        Ok(status) => findings.extend(of_status(&status)),
        Err(NoStatus::NotJoined { error, hint }) => {
            let what = format!(
                "this host has not joined a fleet, and authority = \"fleet\": users whose record the fleet keeps cannot log in: \
                 {error}"
            );
            findings.push(Finding::fault(FLEET, what, &hint));
        }
        Err(NoStatus::Failed { error, hint }) => {
            let what = format!("users whose record the fleet keeps cannot log in: {error}");
            findings.push(Finding::fault(FLEET, what, &hint));
        }
    }
    findings.extend(of_people(&People::of(site, store, output)?));
    Ok(())
}

fn of_status(status: &FleetStatus) -> Vec<Finding> {
    let mut findings: Vec<Finding> = of_certificate(&status.certificate).into_iter().collect();
    findings.extend(of_verifiers(&status.verifiers));
    for VerifierStatus { verifier, clock_ahead, rights, .. } in &status.verifiers {
        let ahead = clock_ahead.unwrap_or_default();
        if ahead.unsigned_abs() > CLOSE {
            let (size, how) = (ahead.unsigned_abs(), if ahead < 0 { "ahead of" } else { "behind" });
            let what =
                format!("the clock of this host is {size} s {how} that of {verifier}, by which codes are judged");
            let fix = "run a time service such as systemd-timesyncd or chrony on both; compare the other verifiers: otp-enroll \
                       admin fleet status";
            findings.push(Finding::warning(FLEET, what, fix));
        }
        if rights.as_ref().is_some_and(|rights| !rights.iter().any(|right| right == "login")) {
            let what =
                "this host does not have the right login: no user whose record the fleet keeps can log in".to_owned();
            let fix = format!("on a verifier: otp-verifier host rights {} login", status.host);
            findings.push(Finding::fault(FLEET, what, &fix));
        }
    }
    findings
}

fn of_certificate(certificate: &CertificateStatus) -> Option<Finding> {
    let CertificateStatus { until, days_left, not_renewed } = certificate;
    let why = not_renewed.as_ref().map_or_else(String::new, |why| format!("; it could not be renewed: {why}"));
    let again = "otp-agent join --replace FILE, with what `otp-verifier token` prints, lets the host join again";
    match (*days_left, not_renewed) {
        (0, _) => {
            let what =
                format!("the certificate of this host ends on {until}: then no user of the fleet can log in{why}");
            Some(Finding::fault(FLEET, what, again))
        }
        (..SOON, _) => {
            let days = if *days_left == 1 { "one day".to_owned() } else { format!("{days_left} days") };
            let what = format!("the certificate of this host ends in {days}, on {until}{why}");
            let fix = format!("the agent renews it by itself when a verifier signs; {again}");
            Some(Finding::warning(FLEET, what, &fix))
        }
        (_, Some(why)) => {
            let what =
                format!("the certificate of this host could not be renewed; it lives for {days_left} days more: {why}");
            Some(Finding::note(FLEET, what, "the agent tries again by itself; if this stays, see the verifiers' log"))
        }
        (_, None) => None,
    }
}

fn of_verifiers(verifiers: &[VerifierStatus]) -> Option<Finding> {
    let said = |verifier: &VerifierStatus| verifier.error.as_ref().map(|why| format!("{}: {why}", verifier.verifier));
    let silent: Vec<String> = verifiers.iter().filter_map(said).collect();
    let fix = "see `systemctl status otp-verifier` there, the network between, and `otp-verifier host list`";
    if silent.is_empty() {
        None
    } else if silent.len() == verifiers.len() {
        let what = format!(
            "no verifier serves this host: only users in local, and those with break-glass codes, can log in: {}",
            some(&silent)
        );
        Some(Finding::fault(FLEET, what, fix))
    } else {
        let what =
            format!("{} of {} verifiers do not serve this host: {}", silent.len(), verifiers.len(), some(&silent));
        Some(Finding::warning(FLEET, what, fix))
    }
}

fn of_people(people: &People) -> Vec<Finding> {
    let mut findings = Vec::new();
    let People { not_pushed, kept_out, let_in } = people;
    if !not_pushed.is_empty() {
        let whom = if not_pushed.len() == 1 { "one user has" } else { "users have" };
        let what = format!(
            "{whom} a record on this host that the fleet does not have: they are asked for a code, and none lets them in: {}",
            some(not_pushed)
        );
        let fix = "otp-enroll admin fleet push; where that says that the fleet has other devices of a user: otp-enroll admin fleet \
                   discard USER removes the record here";
        findings.push(Finding::warning(FLEET, what, fix));
    }
    let fix = "otp-enroll admin break-glass USER makes codes for that; accounts in local keep their records here";
    if *let_in == 0 && !kept_out.is_empty() {
        let what = format!("if no verifier answered, no user could log in: {}", some(kept_out));
        findings.push(Finding::warning(FLEET, what, fix));
    } else if !kept_out.is_empty() {
        let (out, all) = (kept_out.len(), kept_out.len().saturating_add(*let_in));
        let what = format!("if no verifier answered, {out} of {all} users could not log in: {}", some(kept_out));
        findings.push(Finding::note(FLEET, what, fix));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    fn verifier(name: &str, error: Option<&str>, clock_ahead: i64) -> VerifierStatus {
        VerifierStatus {
            verifier: name.into(),
            error: error.map(str::to_owned),
            version: Some("0.1.0".into()),
            host: Some("web1".into()),
            rights: Some(vec!["login".into()]),
            clock_ahead: Some(clock_ahead),
        }
    }

    fn of(days_left: u64, not_renewed: Option<&str>, verifiers: Vec<VerifierStatus>) -> Vec<(Severity, String)> {
        let certificate =
            CertificateStatus { until: "2026-12-24".into(), days_left, not_renewed: not_renewed.map(str::to_owned) };
        let found = of_status(&FleetStatus { host: "web1".into(), certificate, verifiers });
        found.into_iter().map(|finding| (finding.severity, finding.what)).collect()
    }

    #[test]
    fn a_host_that_is_well_has_no_finding() {
        assert_eq!(of(SOON, None, vec![verifier("v1:1", None, 15), verifier("v2:1", None, -15)]), []);
    }

    #[test]
    fn a_certificate_that_ends_soon_says_why_it_is_not_renewed() {
        let (well, why) = (|| vec![verifier("v1:1", None, 0)], Some("v1:1: timed out"));
        let end = "the certificate of this host ends";
        for (days, why, severity, what) in [
            (29, None, Severity::Warning, format!("{end} in 29 days, on 2026-12-24")),
            (
                1,
                why,
                Severity::Warning,
                format!("{end} in one day, on 2026-12-24; it could not be renewed: v1:1: timed out"),
            ),
            (0, None, Severity::Fault, format!("{end} on 2026-12-24: then no user of the fleet can log in")),
            (
                200,
                why,
                Severity::Note,
                "the certificate of this host could not be renewed; it lives for 200 days more: v1:1: timed out".into(),
            ),
        ] {
            assert_eq!(of(days, why, well()), [(severity, what)]);
        }
    }

    #[test]
    fn verifiers_that_do_not_answer_and_clocks_that_differ_are_named() {
        let silent = |name| verifier(name, Some("timed out"), 0);
        let none = "no verifier serves this host: only users in local, and those with break-glass codes, can log in: \
                    v1:1: timed out, v2:1: timed out";
        let some = "1 of 2 verifiers do not serve this host: v1:1: timed out";
        let ahead = "the clock of this host is 16 s ahead of that of v2:1, by which codes are judged";
        assert_eq!(of(99, None, vec![silent("v1:1"), silent("v2:1")]), [(Severity::Fault, none.into())]);
        let both = [(Severity::Warning, some.into()), (Severity::Warning, ahead.into())];
        assert_eq!(of(99, None, vec![silent("v1:1"), verifier("v2:1", None, -16)]), both);
        let behind = "the clock of this host is 99 s behind that of v2:1, by which codes are judged";
        assert_eq!(of(99, None, vec![verifier("v2:1", None, 99)]), [(Severity::Warning, behind.into())]);
        let without = VerifierStatus { rights: Some(vec!["admin".into()]), ..verifier("v1:1", None, 0) };
        assert_eq!(of(99, None, vec![without])[0].0, Severity::Fault);
    }

    #[test]
    fn who_could_not_get_in_is_counted_and_the_first_are_named() {
        let told = |not_pushed: &[&str], kept_out: usize, let_in| {
            let not_pushed = not_pushed.iter().map(|name| (*name).to_owned()).collect();
            let kept_out = (0..kept_out).map(|number| format!("u{number}")).collect();
            let found = of_people(&People { not_pushed, kept_out, let_in });
            found.into_iter().map(|finding| (finding.severity, finding.what)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[], 0, 0), []);
        let some = "if no verifier answered, 7 of 8 users could not log in: u0, u1, u2, u3, u4 and 2 more";
        assert_eq!(told(&[], 7, 1), [(Severity::Note, some.into())]);
        let none = "if no verifier answered, no user could log in: u0";
        let pushed = "one user has a record on this host that the fleet does not have: they are asked for a code, and none lets \
                      them in: ann";
        assert_eq!(told(&["ann"], 1, 0), [(Severity::Warning, pushed.into()), (Severity::Warning, none.into())]);
    }
}
