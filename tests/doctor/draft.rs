//! A PAM file that is not in force yet, and what `otp-enroll admin doctor` says of it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{outcome::Outcome, site::Site};
use std::fs;
use tempfile::TempDir;

/// `severity what` of all that doctor says of the service with this stack, in this machine's files.
pub(crate) fn findings(config: &str, service: &str, stack: &str) -> Vec<String> {
    findings_among(config, &[], service, stack)
}

/// The same among other files, NAME and text each, as another distribution has them.
pub(crate) fn findings_among(config: &str, files: &[(&str, &str)], service: &str, stack: &str) -> Vec<String> {
    let (site, folder) = (Site::new(config), TempDir::new().unwrap());
    for name in ["common-auth", "common-account", "common-password", "other"] {
        fs::copy(format!("/etc/pam.d/{name}"), folder.path().join(name)).unwrap();
    }
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::write(folder.path().join(service), stack.replace("pam_otp.so", &site.module())).unwrap();
    let mut doctor = site.admin_command();
    doctor.args(["doctor", "--json", "--pam"]).arg(folder.path());
    let diagnosis = Outcome::of(&mut doctor, "").json().remove(0);
    let place = format!("{}/", folder.path().display());
    let of_it = diagnosis["findings"].as_array().unwrap().iter().filter(|finding| finding["subjects"][0] == service);
    of_it
        .map(|finding| format!("{} {}", finding["severity"], finding["what"]).replace('"', "").replace(&place, ""))
        .collect()
}

#[test]
fn a_file_for_sshd_that_is_missing_is_an_error_also_where_no_service_asks_for_a_code() {
    let (site, folder) = (Site::new(""), TempDir::new().unwrap());
    fs::write(folder.path().join("sshd"), "auth required pam_permit.so\n").unwrap();
    let doctor = |file: &str| {
        let mut doctor = site.admin_command();
        Outcome::of(doctor.args(["doctor", "--pam"]).arg(folder.path()).args(["--sshd", file]), "")
    };
    let missing = doctor("/nowhere/sshd_config");
    assert!(missing.code == Some(4) && missing.err.contains("/nowhere/sshd_config"), "{missing:?}");
    assert_eq!(doctor("/dev/null").code, Some(0));
}
