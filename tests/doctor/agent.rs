//! Services that need the agent: doctor names them, says what is missing, and its fix is one.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use std::fs;
use std::path::{Path, PathBuf};

use pam_otp_tests::{
    agent::{self, Agent},
    machine,
    outcome::Outcome,
    site::Site,
    users::TestUser,
};

/// A unit that asks PAM, gone when this is gone.
struct Unit {
    service: String,
    file: PathBuf,
}

impl Unit {
    fn new(stem: &str, lines: &str) -> Unit {
        let service = machine::unique(stem);
        let file = Path::new("/usr/local/lib/systemd/system").join(format!("{service}.service"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("[Service]\nExecStart=/usr/sbin/of-no-service\n{lines}\n")).unwrap();
        Unit { service, file }
    }

    /// What doctor finds about a service, or about the agent, with the installed configuration: severity, what and fix.
    fn findings(&self, about: &str) -> Vec<[String; 3]> {
        let (site, folder) = (Site::of_the_machine(), tempfile::tempdir().unwrap());
        let lines = "auth requisite pam_unix.so\nauth required pam_otp.so\n";
        fs::write(folder.path().join(&self.service), lines).unwrap();
        let mut doctor = site.admin_command();
        let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam"]).arg(folder.path()), "");
        let found = outcome.json()[0]["findings"].as_array().unwrap().clone();
        let found = found.iter().filter(|finding| finding["subjects"].as_array().unwrap().iter().any(|it| it == about));
        found.map(|finding| ["severity", "what", "fix"].map(|key| finding[key].as_str().unwrap().to_owned())).collect()
    }

    /// The one finding about the service that its unit is behind.
    fn finding(&self) -> [String; 3] {
        let of_unit = |finding: &[String; 3]| finding[1].starts_with(&format!("{}.service: ", self.service));
        let found: Vec<_> = self.findings(&self.service).into_iter().filter(of_unit).collect();
        let [finding] = found.try_into().unwrap();
        finding
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

const ENABLE: &str = "systemctl enable --now otp-agent.socket (package otp-agent)";

#[test]
fn a_service_with_an_account_of_its_own_is_told_what_is_missing_until_the_agent_answers_it() {
    let host = TestUser::new("radius");
    let unit = Unit::new("vpn", &format!("User={}\nNoNewPrivileges=yes", host.name));
    let (name, service) = (&host.name, &unit.service);
    let table = |services: &str| format!("[[agent.host]]\nuser = \"{name}\"\nservices = [\"{services}\"]");
    let (config, not_named) = ("/etc/pam_otp/pam_otp.toml", format!("{name} is not named in [[agent.host]]"));
    let enter = format!("add [[agent.host]] with user = \"{name}\" and services = [\"{service}\"] to {config}");
    let is_fault = |why: &str, fix: &str| {
        let [severity, what, found] = unit.finding();
        let told =
            format!("only, NoNewPrivileges=yes keeps the helper from its group, and {why}: logins of all others");
        assert!(severity == "fault" && what.contains(&told), "{why}: {what}");
        assert!(found.starts_with(&format!("{fix}: see otp-agent(8). Or ")), "{fix}: {found}");
    };

    let place = agent::none();
    is_fault(&format!("no agent is enabled, and {not_named}"), &format!("{enter}; {ENABLE}"));
    drop(place);

    let agent = Agent::start("");
    is_fault(&not_named, &enter);
    assert_eq!(unit.findings("agent").len(), 1, "that it answers");
    // Stopped, it has its socket still.
    agent.signal("STOP");
    let silent = "the agent's socket /run/pam_otp/agent is there, and a question got no answer";
    let restart = "systemctl restart otp-agent.socket; if it happens again, see: journalctl -u otp-agent";
    is_fault(&format!("{silent}, and {not_named}"), &format!("{enter}; {restart}"));
    let found = unit.findings("agent");
    assert!(found.iter().any(|[severity, what, _]| severity == "fault" && what.starts_with(silent)), "{found:#?}");
    drop(agent);

    let agent = Agent::start(&table("another"));
    let [_, what, fix] = unit.finding();
    assert!(what.contains(&format!("[[agent.host]] of {name} does not name the service {service}")), "{what}");
    assert!(fix.starts_with(&format!("add \"{service}\" to services in line ")), "{fix}");
    drop(agent);

    let _agent = Agent::start(&table(service));
    let [severity, what, fix] = unit.finding();
    assert_eq!(severity, "note", "{what}");
    assert!(what.ends_with(&format!(": User={name}, so it needs the agent, which answers it")), "{what}");
    assert_eq!(fix, "keep otp-agent.socket enabled");
}

#[test]
fn a_sandbox_of_root_needs_the_agent_or_a_drop_in() {
    let unit = Unit::new("strict", "ProtectSystem=strict");
    let place = agent::none();
    let [severity, what, fix] = unit.finding();
    assert!(severity == "fault" && what.contains("and no agent is enabled: every right code is refused"), "{what}");
    let drop_in =
        format!("systemctl edit {}.service, and below [Service]: ReadWritePaths=-/var/lib/pam_otp", unit.service);
    assert_eq!(fix, format!("{ENABLE}. Or: {drop_in}"));
    drop(place);
    let _agent = Agent::start("");
    let [severity, what, _] = unit.finding();
    assert!(
        severity == "note" && what.ends_with("ProtectSystem=strict, so it needs the agent, which answers it"),
        "{what}"
    );
}
