//! Users who need no code and log in by key without a person at the terminal: doctor says that sshd asks them all the same.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use std::fs;
use std::process::Command;

use pam_otp_tests::{
    machine,
    outcome::Outcome,
    site::Site,
    users::{self, TestUser},
};
use tempfile::TempDir;

const BOTH: &str = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nPermitRootLogin no\n\
                    AuthenticationMethods publickey,keyboard-interactive:pam\n";

struct Host {
    site: Site,
    folder: TempDir,
}

impl Host {
    fn new() -> Host {
        let (site, folder) = (Site::new(""), tempfile::tempdir().unwrap());
        let key = folder.path().join("host_key");
        machine::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        fs::create_dir(folder.path().join("pam.d")).unwrap();
        fs::write(folder.path().join("pam.d/sshd"), site.example_stack("key-and-code")).unwrap();
        Host { site, folder }
    }

    /// The users named in the warning, and its fix.
    fn warned(&self, policy: &str, sshd: &str) -> Vec<(String, String)> {
        self.site.set(policy);
        let config = self.folder.path().join("sshd_config");
        fs::write(&config, format!("HostKey {}\n{sshd}", self.folder.path().join("host_key").display())).unwrap();
        let mut doctor = self.site.admin_command();
        doctor.args(["doctor", "--json", "--pam"]).arg(self.folder.path().join("pam.d")).arg("--sshd").arg(config);
        let findings = Outcome::of(&mut doctor, "").json()[0]["findings"].as_array().unwrap().clone();
        let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let of_batch = findings.iter().filter(|finding| text(finding, "what").contains("BatchMode"));
        of_batch
            .inspect(|finding| assert_eq!(finding["severity"], "warning"))
            .map(|finding| {
                (text(finding, "what").split(" need no code").next().unwrap().to_owned(), text(finding, "fix"))
            })
            .collect()
    }
}

#[test]
fn exempt_users_whom_sshd_asks_after_their_key_are_named_until_a_match_block_lets_them_in() {
    let (host, alice, bob) = (Host::new(), TestUser::new("alice"), TestUser::new("bob"));
    let (alice, bob) = (&alice.name, &bob.name);
    let rule = |condition: &str| {
        format!("[policy]\nsecond_factor = \"required\"\n[[policy.rule]]\n{condition}\nsecond_factor = \"skip\"\n")
    };
    let named = rule(&format!("user = \"{alice}\""));
    let [(who, fix)] = host.warned(&named, BOTH).try_into().unwrap();
    assert_eq!(&who, alice);
    assert!(fix.contains(&format!("Match User {alice}, and below it AuthenticationMethods publickey")), "{fix}");
    let of = |user: &str| format!("{BOTH}Match User {user}\nAuthenticationMethods publickey\n");
    assert!(host.warned(&named, &of(alice)).is_empty());
    assert_eq!(host.warned(&named, &of(bob)).len(), 1, "a block for another user");
    assert!(host.warned(&named, &BOTH.replace("AuthenticationMethods", "#")).is_empty(), "a key is enough for all");

    // An override; an account that is no person's; a group; a network.
    host.site.admin(&["exempt", bob]);
    assert_eq!(host.warned(&named, &of(alice))[0].0, *bob);
    host.site.admin(&["unrequire", bob]);
    assert_eq!(host.warned(&rule("user = \"backup\""), BOTH)[0].0, "backup");
    assert!(host.warned(&rule("user = \"backup\""), &of("backup")).is_empty());
    let group = pam_otp_tests::users::new_group("robots");
    users::change(Command::new("usermod").args(["-aG", &group, bob]));
    assert_eq!(host.warned(&rule(&format!("group = \"{group}\"")), BOTH)[0].0, *bob);
    let by_network = rule("network = \"10.0.0.0/8\"");
    let warned = host.warned(&by_network, BOTH);
    assert!(warned.len() == 1 && warned[0].0.starts_with("logins that rule 1 exempts ("), "{warned:?}");
    let block = format!("{BOTH}Match Address 10.0.0.0/8\nAuthenticationMethods publickey\n");
    assert!(host.warned(&by_network, &block).is_empty());
    // All users at once; and none, where policy merely asks no user without a device.
    assert_eq!(host.warned("[policy]\nsecond_factor = \"skip\"\n", BOTH)[0].0, "users");
    assert!(host.warned("[policy]\nsecond_factor = \"optional\"\n", BOTH).is_empty());
}
