//! Who has a key, and whom a key alone lets in: what doctor says of sshd's users, one by one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{machine, users::TestUser};
use std::{fs, process::Command};
use tempfile::TempDir;

use crate::clinic::Clinic;

/// sshd's configuration, with a host key.
struct Sshd {
    folder: TempDir,
}

impl Sshd {
    fn new() -> Sshd {
        machine::require("asking sshd");
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("host_key");
        machine::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        Sshd { folder }
    }

    fn findings(&self, clinic: &Clinic, lines: &str) -> Vec<String> {
        let (config, key) = (self.folder.path().join("sshd_config"), self.folder.path().join("host_key"));
        fs::write(&config, format!("HostKey {}\nPermitRootLogin yes\n{lines}", key.display())).unwrap();
        clinic.findings(&["--sshd", config.to_str().unwrap()])
    }

    /// Those with these words.
    fn told(&self, clinic: &Clinic, lines: &str, words: &str) -> Vec<String> {
        self.findings(clinic, lines).into_iter().filter(|finding| finding.contains(words)).collect()
    }
}

const KEY_AND_CODE: &str = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n\
                            AuthenticationMethods publickey,keyboard-interactive:pam\n";
const PASSWORD_AND_CODE: &str = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n";
const DEMANDS: &str = "sshd demands a key of each login";

#[test]
fn users_without_a_key_are_named_where_each_login_needs_one() {
    let (clinic, sshd) = (Clinic::new(""), Sshd::new());
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    clinic.write("sshd", "auth required pam_otp.so\nauth required pam_permit.so\n");
    let name = &alice.name;
    // Others have no key either.
    let of_alice = format!("{KEY_AND_CODE}AllowUsers {name} {}\n", bob.name);
    let keys = sshd.folder.path().join("keys");
    let files = format!("AuthorizedKeysFile {}/%u\n", keys.display());
    fs::create_dir(&keys).unwrap();
    let told = |lines: &str| sshd.told(&clinic, &format!("{files}{of_alice}{lines}"), DEMANDS);
    let missing =
        format!("warning sshd: {DEMANDS}, and {name} cannot log in: they have no key in {}/%u", keys.display());
    let nobody = format!("fault sshd: {DEMANDS}, and no user has one in {}/%u: no user can log in", keys.display());
    assert_eq!(told(""), [nobody]);
    fs::write(keys.join(&bob.name), "ssh-ed25519 AAAA bob\n").unwrap();
    assert_eq!(told(""), [missing.as_str()]);
    for (text, has_key) in [("", false), ("# ssh-ed25519 AAAA\n\n", false), ("ssh-ed25519 AAAA alice\n", true)] {
        fs::write(keys.join(name), text).unwrap();
        assert_eq!(told("").is_empty(), has_key, "{text:?}");
    }
    fs::remove_file(keys.join(name)).unwrap();
    for (lines, what) in [
        ("AuthorizedKeysCommand /bin/true\nAuthorizedKeysCommandUser nobody\n", "AuthorizedKeysCommand"),
        ("TrustedUserCAKeys /etc/ssh/ca\n", "a certificate (TrustedUserCAKeys)"),
    ] {
        let found = told(lines);
        let expected = format!("; whether {what} gives them one is not known here");
        assert!(found.len() == 1 && found[0].starts_with("note sshd: ") && found[0].ends_with(&expected), "{found:#?}");
    }
    // Whom sshd lets in otherwise, and whom it refuses in any case.
    assert_eq!(sshd.told(&clinic, PASSWORD_AND_CODE, DEMANDS), [""; 0]);
    assert_eq!(sshd.told(&clinic, &format!("{KEY_AND_CODE}AllowUsers nobody-else\n"), DEMANDS), [""; 0]);
    assert_eq!(told(&format!("DenyUsers {name}\n")), [""; 0]);
    let by_password = format!("Match User {name}\nAuthenticationMethods keyboard-interactive:pam\n");
    assert_eq!(told(&by_password), [""; 0]);
}

#[test]
fn a_key_alone_is_a_warning_where_policy_demands_more() {
    let (clinic, sshd) = (Clinic::new(""), Sshd::new());
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    clinic.write("sshd", "@include common-auth\nauth required pam_otp.so\n");
    let note = "note sshd: publickey logs users in without a code: sshd does not ask PAM then";
    let words = "publickey logs users in without a code";
    let told = |lines: &str| sshd.told(&clinic, &format!("{PASSWORD_AND_CODE}{lines}"), words);
    let rule = |conditions: &str, second_factor: &str| {
        clinic.site.set(&format!("[[policy.rule]]\n{conditions}second_factor = \"{second_factor}\"\n"));
    };
    assert_eq!(told(""), [note]);
    let warning = |names: &str| {
        format!("warning sshd: {words}, and policy demands a second factor of {names}: sshd does not ask PAM then")
    };
    let user = format!("user = \"{}\"\n", alice.name);
    for conditions in
        [user.clone(), format!("{user}service = \"sshd\"\n"), format!("{user}network = \"198.51.100.0/24\"\n")]
    {
        rule(&conditions, "required");
        assert_eq!(told(""), [warning(&alice.name)], "{conditions}");
    }
    rule(&user, "enroll");
    assert_eq!(told(""), [warning(&alice.name)]);
    for (conditions, second_factor) in [
        (format!("{user}service = \"sudo\"\n"), "required"),
        (format!("{user}required_from = 2099-01-01\n"), "required"),
        (user.clone(), "optional"),
        (user, "skip"),
    ] {
        rule(&conditions, second_factor);
        assert_eq!(told(""), [note], "{conditions}");
    }
    // By default, and for one user.
    clinic.site.set("[policy]\nsecond_factor = \"required\"\n");
    assert!(told("").len() == 1 && told("")[0].starts_with("warning sshd: "), "{:#?}", told(""));
    clinic.site.set("");
    clinic.site.admin(&["require", &bob.name]);
    assert_eq!(told(""), [warning(&bob.name)]);
    // For this user sshd asks for both.
    let both = format!("Match User {}\nAuthenticationMethods publickey,keyboard-interactive:pam\n", bob.name);
    assert_eq!(told(&both), [note]);
    // A key alone for this user, and both for all others.
    let alone = format!(
        "AuthenticationMethods publickey,keyboard-interactive:pam\nMatch User {}\nAuthenticationMethods publickey\n",
        bob.name
    );
    assert_eq!(told(&alone), [warning(&bob.name)]);
}
