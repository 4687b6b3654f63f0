//! A host of a fleet: whether it has joined, which verifiers serve it, its certificate and clock, and who could not get in if the
//! fleet were gone.

use nix::unistd::User;
use otp_core::protocol::administration::{CertificateStatus, FleetStatus, Scope, Service, Standing, VerifierStatus};
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;

use super::super::fleet_status::{CLOSE, People};
use super::super::fleet_told::{NoStatus, status};
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
    let status = status();
    match &status {
        Ok(status) => findings.extend(of_status(status)),
        Err(NoStatus::NotJoined { error, hint }) => {
            let what = format!(
                "this host has not joined a fleet, and authority = \"fleet\": users whose record the fleet keeps cannot log in: \
                 {error}"
            );
            findings.push(Finding::fault(FLEET, what, hint));
        }
        Err(NoStatus::Failed { error, hint }) => {
            let what = format!("users whose record the fleet keeps cannot log in: {error}");
            findings.push(Finding::fault(FLEET, what, hint));
        }
    }
    findings.extend(of_people(&People::of(site, store, status.as_ref().ok(), output)?));
    findings.extend(of_local(&site.config.local, |name| matches!(User::from_name(name), Ok(None))));
    Ok(())
}

fn of_status(status: &FleetStatus) -> Vec<Finding> {
    let mut findings: Vec<Finding> = of_certificate(&status.certificate).into_iter().collect();
    findings.extend(of_verifiers(status));
    for VerifierStatus { verifier, host, clock_ahead, rights, scope, .. } in &status.verifiers {
        let ahead = clock_ahead.unwrap_or_default();
        if ahead.unsigned_abs() > CLOSE {
            let (size, how) = (ahead.unsigned_abs(), if ahead < 0 { "ahead of" } else { "behind" });
            let what =
                format!("the clock of this host is {size} s {how} that of {verifier}, by which codes are judged");
            let fix = "run a time service such as systemd-timesyncd or chrony on both; compare the other verifiers: otp-enroll \
                       admin fleet status";
            findings.push(Finding::warning(FLEET, what, fix));
        }
        let known_as = host.as_ref().unwrap_or(&status.host);
        if *known_as != status.host {
            let what =
                format!("fleet.toml says that this host is {}, and {verifier} knows it as {known_as}", status.host);
            let fix = format!("write host = \"{known_as}\" there: logs and orders name the host as the fleet does");
            findings.push(Finding::warning(FLEET, what, &fix));
        }
        if let Some(rights) = rights.as_ref().filter(|rights| !rights.iter().any(|right| right == "login")) {
            let what =
                "this host does not have the right login: no user whose record the fleet keeps can log in".to_owned();
            let all: Vec<_> = std::iter::once("login").chain(rights.iter().map(String::as_str)).collect();
            let fix = format!("on a verifier: otp-verifier host rights {known_as} {}", all.join(","));
            findings.push(Finding::fault(FLEET, what, &fix));
        }
        if let Some(Scope { name, is_empty: true }) = scope {
            let what = format!(
                "the scope of this host, {name}, lists nobody: no user whose record the fleet keeps can log in"
            );
            let fix = format!(
                "on a verifier: otp-verifier scope add {name} USER, or let it ask about all: otp-verifier host rights \
                               {known_as} {} --all-users",
                rights.as_ref().map_or_else(String::new, |rights| rights.join(","))
            );
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

fn of_verifiers(status: &FleetStatus) -> Option<Finding> {
    let FleetStatus { host, verifiers, .. } = status;
    let said = |verifier: &VerifierStatus| verifier.error.as_ref().map(|why| format!("{}: {why}", verifier.verifier));
    let failing = || verifiers.iter().filter(|verifier| verifier.standing != Standing::Serves);
    let all: Vec<String> = failing().filter_map(said).collect();
    let refusing: Vec<String> =
        failing().filter(|verifier| verifier.standing == Standing::Refuses).filter_map(said).collect();
    let fix = "see `systemctl status otp-verifier` there, the network between, and `otp-verifier host list`";
    match status.service() {
        Service::Whole => None,
        Service::Partial => {
            let what = format!("{} of {} verifiers do not serve this host: {}", all.len(), verifiers.len(), some(&all));
            Some(Finding::warning(FLEET, what, fix))
        }
        Service::Refused => {
            let what = format!(
                "the fleet refuses this host: only users in local can log in, and no break-glass code is good: {}",
                some(&refusing)
            );
            let fix = format!(
                "on a verifier: otp-verifier host list; a host that is suspended there: otp-verifier host resume {host}; one that is not \
                 there joins again: otp-agent join --replace FILE, with what `otp-verifier token` prints"
            );
            Some(Finding::fault(FLEET, what, &fix))
        }
        Service::Unusable => {
            let what = format!("no verifier serves this host: only users in local can log in: {}", some(&all));
            Some(Finding::fault(FLEET, what, fix))
        }
        Service::None => {
            let what = format!(
                "no verifier answers: only users in local, and those with break-glass codes, can log in: {}",
                some(&all)
            );
            Some(Finding::fault(FLEET, what, fix))
        }
    }
}

fn of_people(people: &People) -> Vec<Finding> {
    let mut findings = Vec::new();
    let People { not_pushed, also_in_fleet, unasked, kept_out, let_in } = people;
    let have = |names: &[String]| if names.len() == 1 { "one user has" } else { "users have" };
    if !not_pushed.is_empty() {
        let what = format!(
            "{} a record on this host that the fleet does not have: they are asked for a code, and none lets them in: {}",
            have(not_pushed),
            some(not_pushed)
        );
        findings.push(Finding::warning(FLEET, what, "otp-enroll admin fleet push"));
    }
    if !also_in_fleet.is_empty() {
        let what = format!(
            "{} a record on this host and another one in the fleet: codes of the fleet's devices let them in, and those of this \
             host do not: {}",
            have(also_in_fleet),
            some(also_in_fleet)
        );
        let fix = "otp-enroll admin fleet push joins them where the devices are the same; where the fleet has other ones: otp-enroll \
                   admin fleet discard USER removes the record here";
        findings.push(Finding::warning(FLEET, what, fix));
    }
    if !unasked.is_empty() {
        let what = format!(
            "{} a record on this host that was not pushed: no code lets them in, unless the fleet has another record of them: {}",
            have(unasked),
            some(unasked)
        );
        let fix = "otp-enroll admin fleet push --dry-run says what the fleet has, on a host with the right import; otp-enroll admin \
                   fleet push gives it the records; where it has other devices: otp-enroll admin fleet discard USER";
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

/// The accounts whose records stay on this host.
fn of_local(local: &[String], is_none: impl Fn(&str) -> bool) -> Vec<Finding> {
    let none: Vec<String> = local.iter().filter(|name| is_none(name)).cloned().collect();
    let mut findings = Vec::new();
    if !none.is_empty() {
        let what = format!("local names accounts that this host does not have: {}", some(&none));
        findings.push(Finding::warning(FLEET, what, "correct the names in local of pam_otp.toml"));
    }
    if !local.iter().any(|name| name == "root") {
        let what =
            "root is not in local: where no verifier answers, root cannot log in with a code of a device".to_owned();
        let fix = "add root to local of pam_otp.toml, and enroll a device here: otp-enroll --user root";
        findings.push(Finding::warning(FLEET, what, fix));
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
            standing: if error.is_some() { Standing::Silent } else { Standing::Serves },
            error: error.map(str::to_owned),
            version: Some("0.1.0".into()),
            host: Some("web1".into()),
            rights: Some(vec!["login".into()]),
            scope: None,
            sends: None,
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
        let none = "no verifier answers: only users in local, and those with break-glass codes, can log in: \
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
    fn break_glass_codes_are_promised_where_no_verifier_has_answered_and_nowhere_else() {
        let of_standing = |all: &[Standing]| {
            let verifiers = all.iter().map(|standing| VerifierStatus {
                standing: *standing,
                error: Some(format!("{standing:?}").to_lowercase()),
                ..verifier("v:1", None, 0)
            });
            of(99, None, verifiers.collect())
        };
        for (all, what) in [
            (
                [Standing::Silent, Standing::Silent],
                "no verifier answers: only users in local, and those with break-glass codes, can log in: v:1: silent, v:1: silent",
            ),
            (
                [Standing::Silent, Standing::Refuses],
                "the fleet refuses this host: only users in local can log in, and no break-glass code is good: v:1: refuses",
            ),
            (
                [Standing::Unusable, Standing::Silent],
                "no verifier serves this host: only users in local can log in: v:1: unusable, v:1: silent",
            ),
        ] {
            assert_eq!(of_standing(&all), [(Severity::Fault, what.to_owned())]);
        }
    }

    #[test]
    fn a_fix_takes_no_right_away_and_a_scope_of_nobody_is_a_fault() {
        let certificate = || CertificateStatus { until: "2026-12-24".into(), days_left: 99, not_renewed: None };
        let found = |of: VerifierStatus| {
            of_status(&FleetStatus { host: "web1".into(), certificate: certificate(), verifiers: vec![of] })
        };
        let without = found(VerifierStatus { rights: Some(vec!["admin".into()]), ..verifier("v1:1", None, 0) });
        assert_eq!(without[0].fix, "on a verifier: otp-verifier host rights web1 login,admin");
        let few = |is_empty| {
            let scope = Some(Scope { name: "few".into(), is_empty });
            found(VerifierStatus { scope, ..verifier("v1:1", None, 0) })
        };
        assert!(few(false).is_empty());
        assert_eq!(few(true)[0].severity, Severity::Fault);
        assert!(few(true)[0].fix.ends_with("otp-verifier host rights web1 login --all-users"), "{}", few(true)[0].fix);
        let other = found(VerifierStatus { host: Some("web2".into()), ..verifier("v1:1", None, 0) });
        assert_eq!(other[0].what, "fleet.toml says that this host is web1, and v1:1 knows it as web2");
    }

    #[test]
    fn local_is_held_against_the_accounts_of_the_host() {
        let found = |local: &[&str]| {
            let local: Vec<String> = local.iter().map(|name| (*name).to_owned()).collect();
            of_local(&local, |name| name == "rooot").into_iter().map(|finding| finding.what).collect::<Vec<_>>()
        };
        assert_eq!(found(&["root", "ann"]), [""; 0]);
        let root = "root is not in local: where no verifier answers, root cannot log in with a code of a device";
        assert_eq!(found(&["rooot"]), ["local names accounts that this host does not have: rooot", root]);
    }

    #[test]
    fn who_could_not_get_in_is_counted_and_the_first_are_named() {
        let told = |not_pushed: &[&str], kept_out: usize, let_in| {
            let not_pushed = not_pushed.iter().map(|name| (*name).to_owned()).collect();
            let kept_out = (0..kept_out).map(|number| format!("u{number}")).collect();
            let found = of_people(&People { not_pushed, kept_out, let_in, ..People::default() });
            found.into_iter().map(|finding| (finding.severity, finding.what)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[], 0, 0), []);
        let some = "if no verifier answered, 7 of 8 users could not log in: u0, u1, u2, u3, u4 and 2 more";
        assert_eq!(told(&[], 7, 1), [(Severity::Note, some.into())]);
        let none = "if no verifier answered, no user could log in: u0";
        let pushed = "one user has a record on this host that the fleet does not have: they are asked for a code, and none lets \
                      them in: ann";
        assert_eq!(told(&["ann"], 1, 0), [(Severity::Warning, pushed.into()), (Severity::Warning, none.into())]);
        let of = |known: &[&str], unasked: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let people =
                People { also_in_fleet: names(known), unasked: names(unasked), let_in: 1, ..People::default() };
            of_people(&people).remove(0)
        };
        // The fleet's devices of these users are good, and a push alone may not help.
        let conflict = of(&["ann"], &[]);
        assert!(conflict.what.contains("codes of the fleet's devices let them in"), "{}", conflict.what);
        assert!(conflict.fix.contains("admin fleet discard USER"), "{}", conflict.fix);
        assert!(of(&[], &["ann"]).what.contains("unless the fleet has another record of them"));
    }
}
