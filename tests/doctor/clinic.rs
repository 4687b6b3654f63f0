//! A folder of PAM files, and what doctor says of it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{outcome::Outcome, site::Site};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// A folder of PAM files, and what doctor says of it.
pub(crate) struct Clinic {
    pub(crate) site: Site,
    pub(crate) folder: TempDir,
}

impl Clinic {
    pub(crate) fn new(config: &str) -> Clinic {
        let clinic = Clinic { site: Site::new(config), folder: tempfile::tempdir().unwrap() };
        for name in ["common-auth", "common-account", "common-password", "other"] {
            fs::copy(Path::new("/etc/pam.d").join(name), clinic.folder.path().join(name)).unwrap();
        }
        clinic
    }

    /// With this site's configuration where a line names the module.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text.replace("pam_otp.so", &self.site.module())).unwrap();
    }

    pub(crate) fn ask(&self, more: &[&str]) -> Outcome {
        let folder = self.folder.path().to_str().unwrap();
        Outcome::of(self.site.admin_command().args(["doctor", "--pam", folder]).args(more), "")
    }

    /// `severity subject: what` of all that is found, but for the clock's, places without their folder.
    pub(crate) fn findings(&self, more: &[&str]) -> Vec<String> {
        let outcome = self.ask(&[&["--json"], more].concat());
        let diagnosis = &outcome.json()[0];
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let folder = format!("{}/", self.folder.path().display());
        let findings = diagnosis["findings"].as_array().unwrap().iter();
        let findings: Vec<_> = findings
            .filter(|finding| finding["subjects"][0] != "clock")
            .filter(|finding| !text(finding, "what").starts_with("code.window and ")) // as wide as a site of the tests has it
            .inspect(|finding| assert!(!text(finding, "fix").is_empty()))
            .map(|finding| {
                let what = text(finding, "what").replace(&folder, "");
                let subjects: Vec<_> =
                    finding["subjects"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
                format!("{} {}: {what}", text(finding, "severity"), subjects.join(", "))
            })
            .collect();
        let is_faulty = findings.iter().any(|finding| finding.starts_with("fault "));
        assert_eq!(outcome.code, Some(i32::from(is_faulty)), "{outcome:?}");
        findings
    }
}
