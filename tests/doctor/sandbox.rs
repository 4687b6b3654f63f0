//! Units of systemd whose sandbox refuses logins: doctor names the setting, and its fix is one.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use std::fs;
use std::path::Path;

use pam_otp_tests::{machine, outcome::Outcome, site::Site};

const UNITS: &str = "/usr/local/lib/systemd/system";

/// The faults of a service that asks for password and code, and the exit code.
fn faults(site: &Site, service: &str) -> (Option<i32>, Vec<(String, String)>) {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!("auth requisite pam_unix.so\nauth required {}\n", site.module());
    fs::write(folder.path().join(service), lines).unwrap();
    let mut doctor = site.admin_command();
    let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam"]).arg(folder.path()), "");
    let findings = outcome.json()[0]["findings"].as_array().unwrap().clone();
    let faults = findings.iter().filter(|finding| finding["severity"] == "fault");
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    (outcome.code, faults.map(|fault| (text(fault, "what"), text(fault, "fix"))).collect())
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_unit_that_refuses_right_codes_is_a_fault_until_its_drop_in_is_written() {
    machine::require("a unit");
    let (site, service) = (Site::new(""), machine::unique("vpn"));
    assert_eq!(faults(&site, &service), (Some(0), vec![]));
    let unit = format!("{service}.service");
    write(
        &Path::new(UNITS).join(&unit),
        "[Service]\nExecStart=/usr/sbin/of-no-service\nProtectSystem=strict\nNoNewPrivileges=yes\n",
    );
    let (code, found) = faults(&site, &service);
    let state = site.state().display();
    let reads = "the agent reads /etc/pam_otp/pam_otp.toml and no other configuration";
    let what = format!(
        "{unit}: ProtectSystem=strict makes {state} read-only for it, and {reads}: every right code is refused"
    );
    assert_eq!((code, found.len(), found[0].0.as_str()), (Some(1), 1, what.as_str()), "{found:#?}");
    // The fix, as it is said.
    let line = found[0].1.rsplit(": ").next().unwrap();
    assert_eq!(line, format!("ReadWritePaths=-{state}"));
    let drop_in = Path::new("/etc/systemd/system").join(format!("{unit}.d/override.conf"));
    write(&drop_in, &format!("[Service]\n{line}\n"));
    assert_eq!(faults(&site, &service), (Some(0), vec![]));
    write(&drop_in, &format!("[Service]\n{line}\nUser=freerad\n"));
    let (code, found) = faults(&site, &service);
    assert!(code == Some(1) && found[0].0.contains("User=freerad, so it is not root"), "{found:#?}");
    assert!(found[0].0.contains(", NoNewPrivileges=yes keeps the helper from its group, and "), "{found:#?}");
}

#[test]
fn polkits_service_is_good_as_it_is_installed() {
    machine::require("a unit");
    let site = Site::new("");
    // polkit 127, data/polkit-agent-helper@.service.in, in short.
    let unit = "[Service]\nExecStart=/usr/lib/polkit-1/polkit-agent-helper-1 --socket-activated\nNoNewPrivileges=yes\n\
                PrivateDevices=yes\nProtectHome=yes\nProtectSystem=strict\nSystemCallFilter=@system-service\n";
    write(&Path::new(UNITS).join("polkit-agent-helper@.service"), unit);
    assert_eq!(faults(&site, "polkit-1"), (Some(0), vec![]));
}
