//! Lines with `send`: what doctor says of a stack, and whether the real libpam asks at that line after a wrong password.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use std::{fs, os::unix::net::UnixListener};

use pam_otp_tests::{
    agent::Agent,
    conversation::Talk,
    distributions::{ARCH_SYSTEM_AUTH, FEDORA_PASSWORD_AUTH, SUSE_COMMON_AUTH},
    machine,
    outcome::{Dialogue, Outcome},
    phone::Phone,
    post::{NUMBER, Post},
    service::Service,
    site::Site,
    users::TestUser,
};
use serde_json::Value;

use crate::draft::{findings, findings_among};

const SEND: &str = "auth required pam_otp.so send\n";
const SENDER: &str = "/run/pam_otp/sender";
const UNPROVED: &str = "codes are sent although no password was right";

fn told_of_sending(files: &[(&str, &str)], service: &str, stack: &str) -> Vec<String> {
    let told = findings_among("", files, service, stack);
    told.into_iter().filter(|told| told.contains("codes are sent")).collect()
}

#[test]
fn a_wrong_password_reaches_a_line_that_sends_where_doctor_says_so() {
    let alice = TestUser::new("alice");
    let site = Site::new("[policy]\nsecond_factor = \"required\"\n");
    let files = [("system-auth", ARCH_SYSTEM_AUTH), ("password-auth", FEDORA_PASSWORD_AUTH)];
    let suse = ("common-suse", SUSE_COMMON_AUTH);
    let private = Service::private("");
    let folder = private.confdir().unwrap().display().to_string();
    for (name, text) in files.iter().chain([&suse]) {
        fs::write(format!("{folder}/{name}"), text).unwrap();
    }
    for (before, expected) in [
        ("auth requisite pam_unix.so\n", None),
        ("auth required pam_unix.so\n", Some(":1)")),
        ("auth optional pam_unix.so\n", Some(":1)")),
        ("auth sufficient pam_unix.so\n", Some(":1)")),
        ("auth [success=ok default=die] pam_unix.so\n", None),
        ("auth [success=ok auth_err=die default=ignore] pam_unix.so\n", Some(":1)")),
        ("auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n", None),
        ("auth [success=1 default=ignore] pam_unix.so\nauth required pam_deny.so\n", Some(":1)")),
        ("@include common-auth\n", None),
        ("auth include common-auth\n", None),
        ("auth substack common-auth\n", Some("common-auth:17)")),
        ("auth requisite pam_unix.so\nauth optional pam_debug.so\nauth required pam_faildelay.so delay=0\n", None),
        ("auth required pam_unix.so\nauth requisite pam_unix.so use_first_pass\n", None),
        ("auth include FILE/system-auth\n", None),
        ("auth substack FILE/system-auth\n", Some("/system-auth:3)")),
        ("auth substack FILE/password-auth\n", Some("/password-auth:3)")),
        ("auth include FILE/common-suse\n", Some("/common-suse:2)")),
        ("", Some("without being asked for one")),
        ("auth required pam_permit.so\nauth required pam_env.so\n", Some("without being asked for one")),
        // A condition proves nothing: it is about the user whose name the stranger gives.
        (
            "auth [success=1 default=ignore] pam_succeed_if.so quiet uid >= 0\nauth requisite pam_unix.so\n",
            Some("without being"),
        ),
        ("auth required pam_succeed_if.so quiet uid >= 0\n", Some("without being")),
        ("auth [success=1 default=ignore] pam_rootok.so\nauth requisite pam_unix.so\n", Some("without being asked")),
        ("auth sufficient pam_rootok.so\nauth requisite pam_unix.so\n", None),
    ] {
        let before = before.replace("FILE", &folder);
        private.set(&(before.clone() + SEND).replace("pam_otp.so", &site.module()));
        let is_asked = [alice.name.as_str(), "no-such-user"].map(|user| {
            let said = Talk::new(&private, user).run(&["wrong", "000000", "000000"]);
            said.prompts().contains(&"Verification code: ")
        });
        assert_eq!(is_asked.contains(&true), expected.is_some(), "{before}");

        let mut doctor = site.admin_command();
        let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam"]).arg(&folder), "");
        let findings = outcome.json()[0]["findings"].as_array().unwrap().clone();
        let texts = findings.iter().map(|finding| format!("{} {}", finding["severity"], finding["what"]));
        let told: Vec<String> = texts.filter(|told| told.contains("codes are sent")).collect();
        match expected {
            None => assert_eq!(told, [""; 0], "{before}"),
            Some(why) => assert!(
                told.len() == 1
                    && told[0].starts_with("\"fault\"")
                    && told[0].contains(UNPROVED)
                    && told[0].contains(why),
                "{before}: {told:#?}"
            ),
        }
    }
}

#[test]
fn the_example_is_without_a_fault_and_of_no_use_behind_a_file_that_goes_on() {
    let stack = fs::read_to_string(machine::source("config/examples/pam.d/password-and-sent-code")).unwrap();
    let faults = |files: &[(&str, &str)], stack: &str| {
        let told = findings_among("", files, "su", stack);
        told.into_iter().filter(|told| told.starts_with("fault ")).collect::<Vec<_>>()
    };
    assert_eq!(faults(&[], &stack), [""; 0]);
    // As its comment says.
    let suse = [("common-auth", SUSE_COMMON_AUTH)];
    assert!(faults(&suse, &stack).iter().any(|told| told.contains(UNPROVED)));
    let comment = stack.lines().find_map(|line| line.strip_prefix("#   ")).unwrap();
    assert_eq!(faults(&suse, &stack.replace("@include common-auth", comment)), [""; 0]);
}

#[test]
fn what_proves_a_user_without_a_password_depends_on_the_program() {
    let by_root = format!("auth [success=1 default=ignore] pam_rootok.so\nauth requisite pam_unix.so\n{SEND}");
    let by_wheel = by_root.replace("pam_rootok.so", "pam_wheel.so trust");
    for stack in [&by_root, &by_wheel] {
        for service in ["su", "su-l", "chsh"] {
            assert_eq!(told_of_sending(&[], service, stack), [""; 0], "{service}");
        }
        for service in ["sudo", "login", "vpn"] {
            let told = told_of_sending(&[], service, stack);
            assert!(
                told.len() == 1 && told[0].starts_with("fault ") && told[0].contains(UNPROVED),
                "{service}: {told:#?}"
            );
        }
    }
    for module in ["pam_succeed_if.so quiet user ingroup staff", "pam_localuser.so", "pam_listfile.so file=/etc/free"] {
        let told = told_of_sending(&[], "su", &by_root.replace("pam_rootok.so", module));
        assert!(told.len() == 1 && told[0].starts_with("fault ") && told[0].contains(UNPROVED), "{module}: {told:#?}");
    }
    let of_debian = format!("auth sufficient pam_rootok.so\n@include common-auth\n{SEND}");
    assert_eq!(told_of_sending(&[], "su", &of_debian), [""; 0]);
}

#[test]
fn a_module_that_may_check_a_password_is_a_warning() {
    for module in ["pam_debug.so", "pam_exec.so /usr/local/lib/check"] {
        let told = told_of_sending(&[], "vpn", &format!("auth requisite {module}\n{SEND}"));
        let name = module.split(' ').next().unwrap();
        let expected =
            format!("warning vpn:2: codes are sent when {name} (vpn:1) has succeeded, and doctor does not know");
        assert!(told.len() == 1 && told[0].starts_with(&expected), "{told:#?}");
        let told = told_of_sending(&[], "vpn", &format!("auth required {module}\n{SEND}"));
        assert!(
            told.len() == 1 && told[0].starts_with("fault ") && told[0].contains("(vpn:1) has refused"),
            "{told:#?}"
        );
        let both = format!("auth requisite {module}\nauth requisite pam_unix.so\n{SEND}");
        assert_eq!(told_of_sending(&[], "vpn", &both), [""; 0]);
    }
}

#[test]
fn a_module_that_may_pass_over_a_user_proves_nothing_of_them() {
    let sss = |words: &str| format!("auth requisite pam_unix.so {words}\n{SEND}");
    assert_eq!(told_of_sending(&[], "vpn", &sss("nullok")), [""; 0]);
    for words in ["ignore_unknown_user", "nullok ignore_authinfo_unavail"] {
        let told = told_of_sending(&[], "vpn", &sss(words));
        assert!(told.len() == 1 && told[0].starts_with("fault "), "{words}: {told:#?}");
    }
}

#[test]
fn each_line_that_sends_is_judged_for_itself() {
    let config = "pam_otp.so";
    let stack = format!("{SEND}auth requisite pam_unix.so\nauth required {config} send debug\n");
    let told = told_of_sending(&[], "vpn", &stack);
    assert!(told.len() == 1 && told[0].starts_with("fault vpn:1: "), "{told:#?}");
    // A code that is right is no password.
    let told = told_of_sending(&[], "vpn", &format!("auth requisite {config}\n{SEND}"));
    assert!(told.len() == 1 && told[0].starts_with("fault vpn:2: "), "{told:#?}");
    // Two lines of which one is jumped to.
    let jump = format!("auth [success=2 default=ignore] pam_unix.so\n{SEND}auth requisite pam_deny.so\n{SEND}");
    let told = told_of_sending(&[], "vpn", &jump);
    assert!(told.len() == 1 && told[0].starts_with("fault vpn:2: "), "{told:#?}");
    let unproved = format!("{SEND}auth required pam_permit.so\n{SEND}");
    assert_eq!(told_of_sending(&[], "vpn", &unproved).len(), 2);
    // A line that does not send may stand anywhere.
    assert_eq!(told_of_sending(&[], "vpn", "auth required pam_otp.so\n"), [""; 0]);
}

#[test]
fn the_argument_elsewhere_and_beside_others_is_told() {
    let stack = format!(
        "auth requisite pam_unix.so\n{SEND}account required pam_otp.so send\npassword required pam_otp.so send\n\
         session required pam_otp.so send\nsession required pam_permit.so\n"
    );
    let told = findings("", "vpn", &stack);
    for (line, group) in [(3, "account"), (5, "session")] {
        let expected =
            format!("note vpn:{line}: the argument send has no effect in the group {group}: nothing is sent there");
        assert!(told.contains(&expected), "{told:#?}");
    }
    // There it offers a number or an address where a device is set up in the middle of a login.
    assert!(!told.iter().any(|told| told.contains(":4: the argument send has no effect in")), "{told:#?}");
    for words in ["send forward_pass", "send use_first_pass", "forward_pass defer send", "deferred send"] {
        let told = findings("", "vpn", &format!("auth requisite pam_unix.so\nauth required pam_otp.so {words}\n"));
        assert!(
            told.iter().any(|told| told.starts_with("fault vpn:2: the module argument \\send (with ")),
            "{words}: {told:#?}"
        );
    }
}

#[test]
fn a_program_that_asks_once_is_warned_of() {
    let stack = format!("auth requisite pam_unix.so\n{SEND}");
    for (service, expected) in
        [("dovecot", 1), ("openvpn", 1), ("radiusd", 1), ("i3lock", 0), ("swaylock", 0), ("sshd", 0)]
    {
        let told = told_of_sending(&[], service, &stack);
        let warned = format!("warning {service}:2: codes are sent, and {service} usually answers");
        assert!(told.len() == expected && told.iter().all(|told| told.starts_with(&warned)), "{told:#?}");
    }
}

#[test]
fn a_key_that_sshd_verifies_before_it_asks_is_a_proof() {
    machine::require("asking sshd");
    let site = Site::new("");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("pam.d")).unwrap();
    let by_key = format!("{SEND}auth required pam_permit.so\n").replace("pam_otp.so", &site.module());
    let by_password = format!("auth requisite pam_unix.so\n{by_key}");
    // The first value of a setting counts.
    let rest = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n";
    let told = |stack: &str, settings: &str| {
        fs::write(folder.path().join("pam.d/sshd"), stack).unwrap();
        let config = folder.path().join("sshd_config");
        fs::write(&config, format!("{settings}\n{rest}")).unwrap();
        let mut doctor = site.admin_command();
        doctor.args(["doctor", "--json", "--pam"]).arg(folder.path().join("pam.d")).arg("--sshd").arg(&config);
        let findings = Outcome::of(&mut doctor, "").json()[0]["findings"].as_array().unwrap().clone();
        let texts = findings.iter().map(|it| format!("{} {}", it["severity"].as_str().unwrap(), it["what"]));
        texts.filter(|told| told.contains("codes are sent")).collect::<Vec<_>>()
    };
    for (methods, is_proved) in [
        ("AuthenticationMethods publickey,keyboard-interactive", true),
        ("AuthenticationMethods publickey,keyboard-interactive:pam", true),
        ("AuthenticationMethods publickey,keyboard-interactive publickey", true),
        (
            "HostbasedAuthentication yes\nAuthenticationMethods hostbased,keyboard-interactive publickey,keyboard-interactive",
            true,
        ),
        ("AuthenticationMethods publickey", true),
        ("KbdInteractiveAuthentication no", true),
        ("UsePAM no", true),
        ("", false),
        ("AuthenticationMethods any", false),
        ("AuthenticationMethods keyboard-interactive", false),
        ("AuthenticationMethods keyboard-interactive,publickey", false),
        ("AuthenticationMethods publickey,keyboard-interactive keyboard-interactive", false),
        ("PubkeyAuthentication no", false),
        ("PasswordAuthentication yes\nAuthenticationMethods password,publickey", false),
        ("PasswordAuthentication yes\nAuthenticationMethods publickey,password", true),
    ] {
        let found = told(&by_key, methods);
        assert_eq!(found.is_empty(), is_proved, "{methods}: {found:#?}");
        assert!(found.iter().all(|told| told.starts_with("fault ") && told.contains(UNPROVED)), "{found:#?}");
        assert_eq!(told(&by_password, methods), [""; 0], "{methods}");
    }
}

/// What doctor says of a line that sends, with the machine's own configuration, and how to fix it.
fn fault_of_the_machine() -> Option<[String; 2]> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vpn"), format!("auth requisite pam_unix.so\n{SEND}")).unwrap();
    let mut doctor = Site::of_the_machine().admin_command();
    let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam"]).arg(folder.path()), "");
    let findings = outcome.json()[0]["findings"].as_array().unwrap().clone();
    let is_ours = |finding: &&Value| finding["severity"] == "fault" && finding["subjects"][0] == "vpn";
    let fault = findings.iter().find(is_ours);
    fault.map(|fault| ["what", "fix"].map(|key| fault[key].as_str().unwrap().to_owned()))
}

/// Where the policy asks for a code. A user with an app beside the number is not named.
#[test]
fn a_user_with_nothing_but_a_number_is_refused_where_no_code_is_sent() {
    let post = Post::start("");
    let (bob, carol) = (TestUser::new("bob"), TestUser::new("carol"));
    let phone = Phone::enroll_self(&carol);
    post.add_number(&carol, &phone, NUMBER);
    let number = "+4915112345678";
    let mut talk = Dialogue::start(bob.command("otp-enroll").args(["--json", "add", "--sms", number]));
    talk.json();
    talk.say(&post.digits(number));
    talk.json();
    assert_eq!(talk.end().code, Some(0));

    let told = |line: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("vpn"), format!("auth requisite pam_unix.so\n{line}")).unwrap();
        let mut doctor = Site::of_the_machine().admin_command();
        let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam"]).arg(folder.path()), "");
        let findings = outcome.json()[0]["findings"].as_array().unwrap().clone();
        let is_about = |finding: &&Value| finding["what"].as_str().unwrap().contains(&bob.name);
        let about: Vec<_> = findings.iter().filter(is_about).cloned().collect();
        assert!(
            findings.iter().all(|finding| !finding["what"].as_str().unwrap().contains(&carol.name)),
            "{findings:#?}"
        );
        about
    };
    let found = told("auth required pam_otp.so\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    let (what, fix) = (found[0]["what"].as_str().unwrap(), found[0]["fix"].as_str().unwrap());
    assert!(what.contains("will be refused: their devices are numbers or addresses, and "), "{what}");
    assert!(what.ends_with("vpn:2 has no argument send; a recovery code is accepted"), "{what}");
    assert!(fix.starts_with("add send to that line if it is reached only after a right password or key"), "{fix}");
    assert_eq!((&found[0]["severity"], &found[0]["subjects"][0]), (&"fault".into(), &"vpn".into()));
    assert_eq!(told(SEND), [Value::Null; 0]);
    // The program for text messages is gone, that for mails is not.
    let site = Site::of_the_machine();
    let config = fs::read_to_string(site.config()).unwrap();
    site.write(&config.replacen("\nsend = ", "\n#send = ", 1));
    let found = told(SEND);
    let what = found[0]["what"].as_str().unwrap();
    assert!(
        what.ends_with("the configuration names no program that sends there; a recovery code is accepted"),
        "{what}"
    );
}

#[test]
fn a_line_that_sends_needs_agent_and_sender_until_they_listen() {
    let is_missing = |why: &str, command: &str| {
        let [what, fix] = fault_of_the_machine().unwrap();
        let told =
            format!("vpn:2: no code can be sent, because {why}: users with no other device or recovery code are");
        assert!(what.contains(&told), "{what}");
        assert!(fix.starts_with(command), "{fix}");
    };
    let mut agent = Agent::start("");
    let site = Site::of_the_machine();
    let config = fs::read_to_string(site.config()).unwrap();
    site.write(&config.replace("\n[sms]\n", "\n[sms]\nsend = [\"/bin/true\"]\n"));
    let _ = fs::remove_file(SENDER);
    is_missing("no sender is enabled", "systemctl enable --now otp-sender.socket");
    let sender = UnixListener::bind(SENDER).unwrap();
    assert_eq!(fault_of_the_machine(), None);
    drop(sender);
    is_missing(&format!("the sender's socket {SENDER} is there, and no program listens"), "systemctl restart");
    fs::remove_file(SENDER).unwrap();
    agent.disable();
    is_missing("no agent is enabled", "systemctl enable --now otp-agent.socket");
}
