//! Who is asked for a code: what doctor says of a stack that goes on after a wrong password, and of one that refuses a right
//! one, and what the real libpam does.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use std::fs;
use std::path::Path;

use pam_otp_tests::{
    conversation::Talk,
    distributions::{ARCH_SYSTEM_AUTH, FEDORA_PASSWORD_AUTH, SUSE_COMMON_AUTH},
    machine,
    outcome::Outcome,
    service::Service,
    site::Site,
    users::TestUser,
};

const CODE: &str = "auth required pam_otp.so\n";
const ASKED: &str = "a login is asked for a code after a wrong password";

/// Files as distributions have them, beside a service of its own.
struct Distributions {
    service: Service,
    folder: String,
}

impl Distributions {
    fn new() -> Distributions {
        let service = Service::private("");
        let folder = service.confdir().unwrap().display().to_string();
        let debian = fs::read_to_string("/etc/pam.d/common-auth").unwrap();
        for (name, text) in [
            ("common-auth", debian.as_str()),
            ("system-auth", ARCH_SYSTEM_AUTH),
            ("password-auth", FEDORA_PASSWORD_AUTH),
            ("common-suse", SUSE_COMMON_AUTH),
        ] {
            fs::write(format!("{folder}/{name}"), text).unwrap();
        }
        Distributions { service, folder }
    }

    /// Where FILE stands for the folder, since Debian's libpam looks for what is included in /etc/pam.d. Every account is
    /// good.
    fn set(&self, stack: &str, site: &Site) {
        let stack = format!("{stack}account required pam_permit.so\n");
        self.service.set(&stack.replace("FILE", &self.folder).replace("pam_otp.so", &site.module()));
    }

    /// `severity: what` and the fix of each finding of the service.
    fn told(&self, site: &Site) -> Vec<[String; 2]> {
        let mut doctor = site.admin_command();
        let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam", &self.folder]), "");
        let findings = outcome.json()[0]["findings"].as_array().unwrap().clone();
        let text = |value: &serde_json::Value| value.as_str().unwrap().replace(&format!("{}/", self.folder), "");
        let of_it = findings.iter().filter(|found| found["subjects"][0] == self.service.name());
        let told =
            of_it.map(|found| [format!("{}: {}", text(&found["severity"]), text(&found["what"])), text(&found["fix"])]);
        told.collect()
    }
}

#[test]
fn a_wrong_password_is_followed_by_a_question_where_doctor_says_so() {
    let bob = TestUser::new("bob");
    let (site, files) = (Site::new("[policy]\nsecond_factor = \"required\"\n"), Distributions::new());
    let by_hand = "write in place of the line that includes";
    for (before, expected) in [
        ("auth requisite pam_unix.so\n", None),
        ("auth include FILE/common-auth\n", None),
        ("auth include FILE/system-auth\n", None),
        ("auth [success=ok default=die] pam_unix.so\n", None),
        ("auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n", None),
        ("auth sufficient pam_rootok.so\nauth include FILE/common-auth\n", None),
        // No module checks a password: a note, or a fault, says so.
        ("", None),
        ("auth required pam_permit.so\n", None),
        ("auth substack FILE/common-auth\n", Some("write `include` in place of `substack`: ")),
        (
            "auth required pam_env.so\nauth SUBSTACK FILE/system-auth\n",
            Some("write `include` in place of `substack`: "),
        ),
        ("auth substack FILE/password-auth\n", Some(by_hand)),
        ("auth include FILE/common-suse\n", Some(by_hand)),
        ("auth substack FILE/common-suse\n", Some(by_hand)),
        ("auth required pam_unix.so\n", Some("set the second column of that line to `requisite`: ")),
        ("auth optional pam_unix.so\n", Some("set the second column of that line to `requisite`: ")),
        (
            "auth [success=1 default=ignore] pam_unix.so\nauth required pam_deny.so\n",
            Some("set the second column of that line to `requisite`: "),
        ),
        ("auth sufficient pam_unix.so\n", Some("set the second column of that line to `requisite`: ")),
    ] {
        files.set(&format!("{before}{CODE}"), &site);
        let said = Talk::new(&files.service, &bob.name).run(&["wrong", "000000"]);
        let is_asked = said.prompts() == ["Password: ", "Verification code: "];
        assert_eq!(is_asked, expected.is_some(), "{before}");

        let told = files.told(&site);
        let found: Vec<_> = told.iter().filter(|[what, _]| what.contains(ASKED)).collect();
        match expected {
            None => assert!(found.is_empty(), "{before}: {found:#?}"),
            Some(fix) => assert!(
                found.len() == 1 && found[0][0].starts_with("warning: ") && found[0][1].starts_with(fix),
                "{before}: {told:#?}"
            ),
        }
    }
}

const BEFORE: &str = "a login is asked for a code before ";

#[test]
fn a_code_before_the_password_is_asked_where_doctor_says_so() {
    let bob = TestUser::new("bob");
    let (site, files) = (Site::new("[policy]\nsecond_factor = \"required\"\n"), Distributions::new());
    let requisite = "auth requisite pam_unix.so\n";
    let below = "move that line below the line ";
    let in_place = "write before that line, in place of those that check the password after it: auth ";
    for (stack, expected) in [
        (format!("{CODE}auth include FILE/common-auth\n"), Some(below)),
        (format!("auth required pam_env.so\n{CODE}auth include FILE/system-auth\n"), Some(below)),
        (format!("{CODE}{requisite}"), Some(below)),
        (format!("{CODE}auth required pam_unix.so\n"), Some(in_place)),
        (format!("{CODE}auth substack FILE/common-auth\n"), Some(in_place)),
        (format!("{CODE}auth substack FILE/password-auth\n"), Some(in_place)),
        (format!("{CODE}auth include FILE/common-suse\n"), Some(in_place)),
        (
            format!("auth [success=1 default=ignore] pam_succeed_if.so quiet user = nobody\n{CODE}{requisite}"),
            Some(below),
        ),
        (format!("{requisite}{CODE}"), None),
        (format!("{requisite}{CODE}auth optional pam_userdb.so\n"), None),
        // For those who are let in without a password it is the only question.
        (format!("auth [success=1 default=ignore] pam_succeed_if.so quiet user = nobody\n{requisite}{CODE}"), None),
        // One line for each kind of user.
        (
            format!(
                "auth [success=2 default=ignore] pam_succeed_if.so quiet user != {0}\n{requisite}auth [success=1 default=ignore] \
                 pam_permit.so\n{CODE}{CODE}",
                bob.name
            ),
            None,
        ),
    ] {
        files.set(&stack, &site);
        let said = Talk::new(&files.service, &bob.name).run(&["000000", "wrong", "000000"]);
        let is_first = said.prompts().first().copied() == Some("Verification code: ") && said.prompts().len() > 1;
        let told = files.told(&site);
        let found: Vec<_> = told.iter().filter(|[what, _]| what.contains(BEFORE)).collect();
        match expected {
            None => assert!(!is_first && found.is_empty(), "{stack}: {said}{found:#?}"),
            Some(fix) => {
                assert!(is_first, "{stack}: {said}");
                assert!(
                    found.len() == 1 && found[0][0].starts_with("warning: ") && found[0][1].starts_with(fix),
                    "{stack}: {told:#?}"
                );
            }
        }
    }
    // What is advised leaves nothing to say.
    files.set(&format!("auth include FILE/common-auth\n{CODE}"), &site);
    assert!(!files.told(&site).iter().any(|[what, _]| what.contains(BEFORE) || what.contains(ASKED)));
}

#[test]
fn what_doctor_advises_ends_the_login() {
    let (site, files) = (Site::new(""), Distributions::new());
    for (stack, place, fixed) in [
        ("auth substack FILE/common-auth\n", ":1", "auth include FILE/common-auth\n"),
        ("auth required pam_unix.so\n", ":1", "auth requisite pam_unix.so\n"),
        (
            "auth [success=1 default=ignore] pam_unix.so\nauth required pam_deny.so\nauth required pam_permit.so\n",
            ":2",
            "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
        ),
        ("auth substack FILE/password-auth\n", ": auth requisite pam_unix.so", "auth requisite pam_unix.so\n"),
    ] {
        files.set(&format!("{stack}{CODE}"), &site);
        let fix = files.told(&site).into_iter().find(|[what, _]| what.contains(ASKED)).unwrap()[1].clone();
        assert!(fix.ends_with(place), "{fix}");
        files.set(&format!("{fixed}{CODE}"), &site);
        let told = files.told(&site);
        assert!(told.is_empty(), "{fixed}: {told:#?}");
    }
}

#[test]
fn a_second_module_for_passwords_keeps_its_place() {
    let (site, files) = (Site::new(""), Distributions::new());
    // pam_userdb stands for pam_sss, which need not be installed.
    let both = "auth sufficient pam_unix.so\nauth sufficient pam_userdb.so\nauth required pam_deny.so\n";
    fs::write(format!("{}/password-auth", files.folder), both).unwrap();
    files.set(&format!("auth substack FILE/password-auth\n{CODE}"), &site);
    let told = files.told(&site);
    let [_, fix] = told.iter().find(|[what, _]| what.contains(ASKED)).unwrap();
    let lines: Vec<&str> = fix.split('`').skip(1).step_by(2).collect();
    let [first, second, _] = lines.as_slice() else { panic!("{fix}") };
    assert!(first.ends_with("pam_unix.so") && second.contains("requisite pam_userdb.so"), "{fix}");
    files.set(&format!("{}\n{CODE}", lines.join("\n")), &site);
    let told = files.told(&site);
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn another_way_in_is_no_second_module_for_passwords() {
    let (site, files) = (Site::new(""), Distributions::new());
    let finger_first = "auth sufficient pam_userdb.so\nauth sufficient pam_unix.so\nauth required pam_deny.so\n";
    fs::write(format!("{}/password-auth", files.folder), finger_first).unwrap();
    files.set(&format!("auth substack FILE/password-auth\n{CODE}"), &site);
    let told = files.told(&site);
    assert!(told.len() == 1 && told[0][1].ends_with("password-auth: auth requisite pam_unix.so"), "{told:#?}");
}

#[test]
fn examples_and_other_kinds_of_lines_are_not_warned_of() {
    let (site, files) = (Site::new(""), Distributions::new());
    let is_told = |stack: &str| {
        files.set(stack, &site);
        files.told(&site).iter().any(|[what, _]| what.contains(ASKED) || what.contains(BEFORE))
    };
    let examples = fs::read_dir(machine::source("config/examples/pam.d")).unwrap();
    for example in examples {
        let path = example.unwrap().path();
        assert!(!is_told(&fs::read_to_string(&path).unwrap()), "{}", path.display());
    }
    // They have findings of their own.
    assert!(!is_told("auth required pam_unix.so\nauth required pam_otp.so send\n"));
    let as_one = "auth required pam_otp.so forward_pass defer\nauth required pam_unix.so use_first_pass\n";
    assert!(!is_told(&format!("{as_one}auth required pam_otp.so deferred\n")));
    assert!(!is_told("auth required pam_otp.so forward_pass\nauth required pam_unix.so use_first_pass\n"));
}

#[test]
fn a_key_that_sshd_verifies_first_is_no_strangers() {
    machine::require("asking sshd");
    let site = Site::new("");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("pam.d")).unwrap();
    let stack = format!("auth required pam_unix.so\n{CODE}").replace("pam_otp.so", &site.module());
    let before = stack.lines().rev().collect::<Vec<_>>().join("\n") + "\n";
    for (stack, what) in [(stack, ASKED), (before, BEFORE)] {
        fs::write(folder.path().join("pam.d/sshd"), stack).unwrap();
        is_told_of_those_without_a_key(&site, folder.path(), what);
    }
}

fn is_told_of_those_without_a_key(site: &Site, folder: &Path, what: &str) {
    for (methods, expected) in [("publickey,keyboard-interactive", 0), ("keyboard-interactive", 1)] {
        let config = folder.join("sshd_config");
        let rest = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n";
        fs::write(&config, format!("AuthenticationMethods {methods}\n{rest}")).unwrap();
        let mut doctor = site.admin_command();
        doctor.args(["doctor", "--json", "--pam"]).arg(folder.join("pam.d")).arg("--sshd").arg(&config);
        let findings = Outcome::of(&mut doctor, "").json()[0]["findings"].as_array().unwrap().clone();
        let found: Vec<_> = findings.iter().filter(|it| it["what"].as_str().unwrap().contains(what)).collect();
        assert_eq!(found.len(), expected, "{findings:#?}");
        assert!(found.iter().all(|it| it["fix"].as_str().unwrap().contains("sshd verify a key first")), "{found:#?}");
    }
}

#[test]
fn a_right_password_is_refused_where_doctor_says_so() {
    let mut alice = TestUser::new("alice");
    alice.set_password("right");
    let (site, files) = (Site::new("[policy]\nsecond_factor = \"skip\"\n"), Distributions::new());
    let permit = "add after it: auth required pam_permit.so";
    let jump = "auth [success=1 default=ignore] pam_unix.so\n";
    let sss = "auth requisite pam_debug.so auth=auth_err\n";
    let root = "auth sufficient pam_succeed_if.so quiet user = nobody\n";
    for (stack, expected) in [
        (format!("{jump}{sss}{CODE}"), Some(permit)),
        (format!("auth required pam_faildelay.so delay=0\n{jump}{sss}{CODE}"), Some(permit)),
        (format!("{jump}{sss}{CODE}auth required pam_permit.so\n"), None),
        (format!("{jump}{sss}auth required pam_permit.so\n{CODE}"), None),
        (format!("{jump}auth requisite pam_deny.so\n{CODE}"), Some(permit)),
        (format!("{jump}{sss}{CODE}auth optional pam_faildelay.so delay=0\n"), Some(permit)),
        (
            format!(
                "auth [success=2 default=ignore] pam_unix.so\nauth [success=1 default=ignore] pam_debug.so auth=auth_err\n\
                  auth requisite pam_deny.so\n{CODE}"
            ),
            Some(permit),
        ),
        (
            format!("{jump}auth [success=1 default=ignore] pam_debug.so auth=auth_err\n{CODE}"),
            // The second jump passes over the code, and after two wrong passwords it is reached.
            Some("end the login before that line after a wrong password: auth requisite pam_unix.so; and add after it"),
        ),
        ("auth [success=ignore default=die] pam_unix.so\nauth required pam_otp.so\n".to_owned(), Some(permit)),
        (
            // The jump passes over the end, and after a wrong password the code is reached.
            format!("auth [success=9 default=ignore] pam_unix.so\n{CODE}"),
            Some("end the login before that line after a wrong password: auth requisite pam_unix.so; and add after it"),
        ),
        (
            format!("auth [success=ignore default=ignore] pam_unix.so\n{CODE}"),
            Some("end the login before that line after a wrong password: auth requisite pam_unix.so; and add after it"),
        ),
        (
            format!("{root}auth requisite pam_unix.so\nauth [success=ok default=die] pam_otp.so\n"),
            Some("add to the second column of that line: ignore=ignore"),
        ),
        (
            "auth requisite pam_unix.so\nauth [success=ok default=bad] pam_otp.so\n".to_owned(),
            Some("add to the second column of that line: ignore=ignore"),
        ),
        (
            format!(
                "{root}auth requisite pam_unix.so\nauth [success=1 default=ignore] pam_otp.so\n\
                     auth requisite pam_deny.so\nauth required pam_permit.so\n"
            ),
            Some("in the second column of that line, write for `ignore` what it says for `success`"),
        ),
        ("auth include FILE/common-auth\nauth required pam_otp.so\n".to_owned(), None),
        ("auth substack FILE/password-auth\nauth required pam_otp.so\n".to_owned(), None),
    ] {
        files.set(&stack, &site);
        let result = Talk::new(&files.service, &alice.name).run(&["right"]);
        let is_refused = result.result("authenticate") != "PAM_SUCCESS";
        let is_told = files.told(&site);
        let found: Vec<_> =
            is_told.iter().filter(|[what, _]| what.contains("users who need no code are refused")).collect();
        assert_eq!(is_refused, expected.is_some(), "{stack}{result:?}");
        match expected {
            None => assert!(found.is_empty(), "{stack}{found:#?}"),
            Some(fix) => assert!(
                found.len() == 1 && found[0][0].starts_with("fault: ") && found[0][1].starts_with(fix),
                "{stack}{is_told:#?}"
            ),
        }
    }
}
