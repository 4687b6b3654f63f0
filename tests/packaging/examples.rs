//! Every file in `config/examples` is taken by the program that it is for: otp-enroll, libpam, sshd.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::Talk,
    distributions::{ARCH_SYSTEM_AUTH, FEDORA_PASSWORD_AUTH},
    machine,
    phone::Phone,
    service::Service,
    site::Site,
    syslog,
    users::TestUser,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The files of one folder of the examples that end so.
fn files(folder: &str, suffix: &str) -> Vec<PathBuf> {
    let folder = machine::source("config/examples").join(folder);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: Vec<_> = files.into_iter().filter(|path| path.is_file()).collect();
    assert!(!files.is_empty() && files.iter().all(|path| path.to_str().unwrap().ends_with(suffix)), "{files:?}");
    files
}

fn name(file: &Path) -> &str {
    file.file_stem().unwrap().to_str().unwrap()
}

#[test]
fn admin_check_passes_every_configuration() {
    let site = Site::new("");
    for file in files("", ".toml") {
        site.set_example(name(&file));
        // The group is the reader's to choose.
        let text = fs::read_to_string(site.config()).unwrap();
        site.write(&text.replace("group = \"admin\"", "group = \"root\""));
        site.admin(&["check"]);
    }
}

/// A machine with the database has no otp-verifier, whose `roles` prints it.
#[test]
fn the_playbook_makes_the_roles_of_the_verifier() {
    let text = |path: &str| fs::read_to_string(machine::source(path)).unwrap();
    let ours = text("config/examples/fleet/ansible/roles.sql");
    assert_eq!(ours, text("fleet/otp-verifier/migrations/roles.sql"));
}

#[test]
fn a_network_is_exempt_and_only_sudo_asks() {
    let (site, user) = (Site::new(""), TestUser::new("alice"));
    let demanded = |arguments: &[&str]| {
        let said = site.admin(&[&["explain", "--json", "--user", &user.name], arguments].concat());
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["second_factor"].as_str().unwrap().to_owned()
    };
    site.set_example("exempt-network");
    for (address, expected) in [
        ("192.0.2.200", "skip"),
        ("::ffff:192.0.2.200", "skip"),
        ("2001:db8:1:2::3", "skip"),
        ("192.0.3.1", "required"),
        ("2001:db8:2::3", "required"),
    ] {
        assert_eq!(demanded(&["--rhost", address]), expected, "{address}");
    }
    assert_eq!(demanded(&[]), "required", "from no address");
    site.set_example("sudo-only");
    for (service, expected) in [
        ("sudo", "required"),
        ("sudo-i", "required"),
        ("su", "required"),
        ("su-l", "required"),
        ("sshd", "skip"),
        ("login", "skip"),
    ] {
        assert_eq!(demanded(&["--service", service]), expected, "{service}");
    }
}

#[test]
fn libpam_has_nothing_to_say_against_a_stack_and_asks_the_module() {
    let (site, user) = (Site::new(""), TestUser::new("alice"));
    let phone = Phone::enroll(&site, &user.name);
    // What the examples for other distributions include.
    let _arch = Service::installed_as("system-auth", ARCH_SYSTEM_AUTH);
    let _fedora = Service::installed_as("password-auth", FEDORA_PASSWORD_AUTH);
    for file in files("pam.d", "") {
        let service = Service::installed("example", &site.example_stack(name(&file)));
        let (mark, wrong) = (syslog::mark(), phone.wrong());
        // Where both are typed as one there is one question, and where the key was asked for none before the code.
        let first = if name(&file).starts_with("key-") { &wrong } else { &user.password };
        let said = Talk::new(&service, &user.name).run(&[first, &wrong]);
        assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{file:?}: {said}");
        let sign = format!("[{}]: ", said.pid);
        let lines: Vec<_> = syslog::lines_since(mark).into_iter().filter(|line| line.contains(&sign)).collect();
        assert!(lines.iter().any(|line| line.contains("]: pam_otp(")), "{file:?}: {lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("]: PAM ")), "{file:?}: {lines:#?}");
        site.admin(&["unlock", &user.name]);
    }
}

#[test]
fn where_both_are_typed_as_one_a_password_alone_decides_whether_a_code_counts() {
    let (site, user) = (Site::new(""), TestUser::new("alice"));
    let phone = Phone::enroll(&site, &user.name);
    let _arch = Service::installed_as("system-auth", ARCH_SYSTEM_AUTH);
    let _fedora = Service::installed_as("password-auth", FEDORA_PASSWORD_AUTH);
    let counted =
        |failures: u8| site.admin(&["show", "--json", &user.name]).contains(&format!("\"failures\":{failures},"));
    for distribution in ["", "-arch", "-fedora", "-suse"] {
        let example = site.example_stack(&format!("password-and-code-as-one{distribution}"));
        let service = Service::installed("example", &example);
        let log_in = |password: &str, code: &str| {
            let talk = Talk::new(&service, &user.name).calls("login");
            talk.run(&[password.to_owned() + code]).result("login").to_owned()
        };
        let (code, wrong) = (phone.next_code(), phone.wrong());
        assert_eq!(log_in("wrong", &wrong), "PAM_AUTH_ERR", "{distribution}");
        assert_eq!(log_in("wrong", &code), "PAM_AUTH_ERR", "{distribution}");
        assert!(counted(0), "{distribution}: whoever knows no password costs nothing");
        assert_eq!(log_in(&user.password, &wrong), "PAM_AUTH_ERR", "{distribution}");
        assert!(counted(1), "{distribution}");
        assert_eq!(log_in(&user.password, &code), "PAM_SUCCESS", "{distribution}");
        assert_eq!(log_in(&user.password, &code), "PAM_AUTH_ERR", "{distribution}");
    }
}

#[test]
fn sshd_takes_every_drop_in_and_lets_nothing_leak_out_of_a_match_block() {
    machine::require("asking sshd"); // it wants its folder in /run
    let dir = tempfile::tempdir().unwrap();
    let host_key = dir.path().join("host_key");
    machine::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&host_key));
    let config = dir.path().join("sshd_config");
    let ask = |file: &Path, arguments: &[&str]| {
        let lines = format!("Include {}\nHostKey {}\nMaxAuthTries 3\n", file.display(), host_key.display());
        fs::write(&config, lines).unwrap();
        machine::run(Command::new("/usr/sbin/sshd").args(arguments).arg("-f").arg(&config))
    };
    let files = files("sshd_config.d", ".conf");
    for file in &files {
        assert_eq!(ask(file, &["-t"]), "", "{file:?}");
    }
    let blocks = files.iter().find(|file| name(file) == "match").unwrap();
    for (user, address, methods) in [
        ("backup", "192.0.2.17", "publickey"),
        ("backup", "192.0.2.18", "publickey,keyboard-interactive:pam"),
        ("root", "192.0.2.17", "publickey,keyboard-interactive:pam"),
    ] {
        let said = ask(blocks, &["-T", "-C", &format!("user={user},host=h,addr={address}")]);
        for line in [format!("authenticationmethods {methods}"), "maxauthtries 3".into()] {
            assert!(said.lines().any(|found| found == line), "{user} from {address}: no {line:?} in\n{said}");
        }
    }
}
