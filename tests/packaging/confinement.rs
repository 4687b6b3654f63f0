//! What is shipped for SELinux and AppArmor is what their own compilers take. Kernels that enforce it: tests/vm/scripts.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{machine, outcome::Outcome};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Our module, compiled and packed with its contexts in this folder.
fn selinux_package(dir: &Path) -> PathBuf {
    let (module, package, sources) =
        (dir.join("pam_otp.mod"), dir.join("pam_otp.pp"), machine::source("config/selinux"));
    machine::run(Command::new("checkmodule").args(["-M", "-m", "-o"]).arg(&module).arg(sources.join("pam_otp.te")));
    let mut pack = Command::new("semodule_package");
    machine::run(pack.arg("-o").arg(&package).arg("-m").arg(&module).arg("-f").arg(sources.join("pam_otp.fc")));
    package
}

#[test]
fn the_selinux_module_compiles_and_is_packed_with_its_contexts() {
    let (dir, sources) = (tempfile::tempdir().unwrap(), machine::source("config/selinux"));
    let package = selinux_package(dir.path());

    // What was packed comes out again, and a label's type is one that the module makes.
    let (again, contexts) = (dir.path().join("again.mod"), dir.path().join("again.fc"));
    machine::run(Command::new("semodule_unpackage").arg(&package).arg(again).arg(&contexts));
    let (contexts, policy) =
        (fs::read_to_string(contexts).unwrap(), fs::read_to_string(sources.join("pam_otp.te")).unwrap());
    assert_eq!(contexts, fs::read_to_string(sources.join("pam_otp.fc")).unwrap());
    for line in contexts.lines() {
        let label = line.rsplit(':').nth(1).unwrap();
        assert!(policy.contains(&format!("\ntype {label}, file_type")), "{label}");
        // Of two that match, the one with more letters before its first special character counts: with /usr/(local/)? the
        // policy's own line for /usr/libexec did.
        let plain = line.split(['(', '[', '?', '*', '+', '.', '\t']).next().unwrap();
        let is_whole = ["/var/lib/otp-agent", "/usr/bin/otp-agent", "/usr/local/bin/otp-agent"].contains(&plain);
        assert!(plain.contains("/pam_otp") || is_whole, "{line}");
    }
}

/// A policy as its rules for the kernel, as text.
struct Rules(String);

impl Rules {
    /// Debian's policy with our module in it, linked and expanded as `semodule -i` does: that refuses what a rule of the
    /// policy itself forbids.
    fn with_ours() -> Rules {
        let (dir, policy) = (tempfile::tempdir().unwrap(), machine::unpacked("selinux-policy-default"));
        let path = |name: &str| dir.path().join(name);
        let mut modules = vec![selinux_package(dir.path())];
        for entry in fs::read_dir(policy.join("usr/share/selinux/default")).unwrap() {
            let packed = entry.unwrap().path();
            let Some(name) = packed.file_name().unwrap().to_str().unwrap().strip_suffix(".bz2") else { continue };
            let unpack = Command::new("bunzip2").arg("--stdout").arg(&packed).output().unwrap();
            assert!(unpack.status.success(), "{unpack:?}");
            fs::write(path(name), unpack.stdout).unwrap();
            modules.insert(if name == "base.pp" { 0 } else { modules.len() }, path(name));
        }
        machine::run(Command::new("semodule_link").arg("-o").arg(path("linked")).args(&modules));
        machine::run(Command::new("semodule_expand").arg(path("linked")).arg(path("policy")));
        machine::run(Command::new("checkpolicy").args(["-M", "-b", "-F", "-o"]).args([path("text"), path("policy")]));
        Rules(fs::read_to_string(path("text")).unwrap())
    }

    /// A type and its attributes.
    fn names(&self, of: &str) -> BTreeSet<&str> {
        let (made, with) = (format!("type {of};"), format!("typeattribute {of} "));
        let made = self.0.lines().find(|line| *line == made).unwrap_or_else(|| panic!("the policy has no {of}"));
        let attributes = self.0.lines().find_map(|line| line.strip_prefix(&with)).into_iter();
        let attributes = attributes.flat_map(|all| all.trim_end_matches(';').split(", "));
        attributes.chain(made.strip_prefix("type ").and_then(|name| name.strip_suffix(';'))).collect()
    }

    /// Whether a rule without a condition allows this.
    fn allow(&self, source: &str, target: &str, class: &str, permission: &str) -> bool {
        self.have("allow ", source, target, class, permission)
    }

    /// Whether such a rule of this kind names this.
    fn have(&self, kind: &str, source: &str, target: &str, class: &str, permission: &str) -> bool {
        let (sources, targets) = (self.names(source), self.names(if target == "self" { source } else { target }));
        let is_same = target == "self" || source == target;
        self.0.lines().filter_map(|line| line.strip_prefix(kind)).any(|rule| {
            let Some((from, rest)) = rule.split_once(' ') else { return false };
            let Some((to, rest)) = rest.split_once(':') else { return false };
            let Some((of, permissions)) = rest.split_once(' ') else { return false };
            let reaches = targets.contains(to) || (to == "self" && is_same);
            of == class && sources.contains(from) && reaches && permissions.split(' ').any(|one| one == permission)
        })
    }
}

#[test]
fn the_selinux_module_joins_debians_policy_and_opens_no_more_than_it_should() {
    let rules = Rules::with_ours();
    let agent = "pam_otp_agent_t";
    for (source, target, class, permission, expected) in [
        // systemd makes the socket and starts the agent, without new privileges.
        ("init_t", agent, "unix_stream_socket", "listen", true),
        ("init_t", "pam_otp_runtime_t", "sock_file", "create", true),
        ("init_t", agent, "process", "transition", true),
        ("init_t", agent, "process2", "nnp_transition", true),
        ("init_t", "pam_otp_state_t", "dir", "mounton", true),
        // Who asks, and opens no record.
        ("sshd_t", agent, "unix_stream_socket", "connectto", true),
        ("user_sudo_t", agent, "unix_stream_socket", "connectto", true),
        ("policykit_auth_t", agent, "unix_stream_socket", "connectto", true),
        ("radiusd_t", agent, "unix_stream_socket", "connectto", true),
        ("radiusd_t", "pam_otp_runtime_t", "sock_file", "write", true),
        ("radiusd_t", "pam_otp_state_t", "file", "open", false),
        ("user_t", agent, "unix_stream_socket", "connectto", true),
        ("user_t", "pam_otp_state_t", "file", "open", false),
        ("user_t", "pam_otp_runtime_t", "sock_file", "unlink", false),
        ("httpd_t", agent, "unix_stream_socket", "connectto", false),
        // What the agent does, and no more.
        (agent, "self", "unix_stream_socket", "accept", true),
        (agent, "pam_otp_state_t", "file", "write", true),
        (agent, "etc_t", "file", "open", true),
        (agent, "devlog_t", "sock_file", "write", true),
        (agent, "syslogd_t", "unix_dgram_socket", "sendto", true),
        (agent, "nslcd_t", "unix_stream_socket", "connectto", true),
        (agent, "self", "capability", "dac_override", true),
        (agent, "self", "capability", "setuid", false),
        (agent, "self", "capability", "sys_admin", false),
        (agent, "shadow_t", "file", "open", false),
        (agent, "user_home_t", "file", "open", false),
        (agent, "shell_exec_t", "file", "execute", false),
        (agent, "etc_t", "file", "write", false),
        (agent, "pam_otp_runtime_t", "sock_file", "unlink", false),
        // The sender, in the domain of services that the policy does not know, is asked by the agent alone.
        (agent, "pam_otp_runtime_t", "sock_file", "write", true),
        (agent, "self", "unix_stream_socket", "connect", true),
        (agent, "initrc_t", "unix_stream_socket", "connectto", true),
        (agent, "initrc_t", "process", "transition", false),
        // In a fleet it asks verifiers, and has the key of the host, which nothing else reads: no login needs it.
        (agent, "http_port_t", "tcp_socket", "name_connect", true),
        (agent, "pam_otp_verifier_port_t", "tcp_socket", "name_connect", true),
        (agent, "self", "tcp_socket", "connect", true),
        (agent, "self", "tcp_socket", "listen", false),
        (agent, "ssh_port_t", "tcp_socket", "name_connect", false),
        (agent, "postgresql_port_t", "tcp_socket", "name_connect", false),
        (agent, "dns_port_t", "tcp_socket", "name_connect", true),
        (agent, "net_conf_t", "file", "open", true),
        (agent, "pam_otp_identity_t", "file", "rename", true),
        (agent, "pam_otp_identity_t", "file", "append", false),
        ("init_t", "pam_otp_identity_t", "dir", "mounton", true),
        ("sshd_t", "pam_otp_identity_t", "file", "open", false),
        ("radiusd_t", "pam_otp_identity_t", "file", "open", false),
        ("user_t", "pam_otp_identity_t", "dir", "search", false),
        ("pam_otp_helper_t", "pam_otp_identity_t", "file", "open", false),
        ("pam_otp_helper_t", "http_port_t", "tcp_socket", "name_connect", false),
        // A host starts the helper for an enrollment, in its own domain.
        ("sshd_t", "pam_otp_helper_exec_t", "file", "execute_no_trans", true),
        ("user_su_t", "pam_otp_helper_exec_t", "file", "execute_no_trans", true),
        ("user_sudo_t", "pam_otp_helper_exec_t", "file", "execute_no_trans", true),
        ("local_login_t", "pam_otp_helper_exec_t", "file", "execute_no_trans", true),
        // Nor does the helper.
        ("pam_otp_helper_t", "pam_otp_state_t", "file", "write", true),
        ("pam_otp_helper_t", "shadow_t", "file", "open", false),
        ("pam_otp_helper_t", "self", "capability", "dac_override", false),
    ] {
        let found = rules.allow(source, target, class, permission);
        assert_eq!(found, expected, "{source} {target}:{class} {permission}");
    }
    // A program without new privileges tries the helper before the agent: that is refused, and fills no log.
    for permission in ["nnp_transition", "nosuid_transition"] {
        let (from, to) = ("user_t", "pam_otp_helper_t");
        assert!(!rules.allow(from, to, "process2", permission), "{permission}");
        assert!(rules.have("dontaudit ", from, to, "process2", permission), "{permission}");
    }
}

/// What the parser makes of a profile, beside Debian's own.
fn apparmor(profile: &Path, options: &[&str]) -> String {
    let unpacked = machine::unpacked("apparmor");
    let mut parse = Command::new(unpacked.join("sbin/apparmor_parser"));
    parse.args(["--skip-kernel-load", "--skip-cache", "--config-file", "/dev/null"]).args(options);
    parse.arg("--base").arg(unpacked.join("etc/apparmor.d")).arg("-I").arg(machine::source("config/apparmor"));
    let outcome = Outcome::of(parse.arg(profile), "");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.out
}

#[test]
fn the_apparmor_abstraction_parses_in_a_profile() {
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile");
    let text = "abi <abi/3.0>,\ninclude <tunables/global>\nprofile host /usr/sbin/host {\n  include <abstractions/base>\n  \
                include <abstractions/authentication>\n  include <abstractions/pam_otp>\n}\n";
    fs::write(&profile, text).unwrap();
    let said = apparmor(&profile, &["--preprocess"]);
    for rule in ["otp-helper PUx,", "/run/pam_otp/agent rw,"] {
        assert!(said.contains(rule), "{rule}: {said}");
    }
    apparmor(&profile, &[]);
}

#[test]
fn the_apparmor_profile_of_the_agent_parses_and_complains() {
    let profile = machine::source("config/apparmor/otp-agent");
    let said = apparmor(&profile, &["--preprocess"]);
    for rule in ["flags=(complain,", "/var/lib/pam_otp/* rwk,", "/run/pam_otp/agent rw,", "/run/pam_otp/sender rw,"] {
        assert!(said.contains(rule), "{rule}: {said}");
    }
    let opened = said.lines().filter(|line| !line.trim_start().starts_with('#') && line.contains("shadow"));
    assert_eq!(opened.collect::<Vec<_>>(), Vec::<&str>::new(), "what CAP_DAC_OVERRIDE would open");
    apparmor(&profile, &[]);
    // The program that it confines is the one that is installed.
    let unit = fs::read_to_string(machine::source("config/systemd/otp-agent.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/otp-agent\n"), "{unit}");
    assert!(said.contains("/usr/{,local/}bin/otp-agent flags"), "{said}");
}

#[test]
fn the_units_of_agent_sender_and_verifier_are_exposed_at_most_three_of_ten() {
    for name in ["otp-agent", "otp-sender", "otp-verifier", "otp-verifier-renew"] {
        let unit = machine::source("config/systemd").join(name).with_extension("service");
        let mut analyze = Command::new("systemd-analyze");
        machine::run(analyze.args(["security", "--offline=true", "--no-pager", "--threshold=30"]).arg(&unit));
        let text = fs::read_to_string(&unit).unwrap();
        for line in ["NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes"] {
            assert!(text.lines().any(|found| found == line), "{name}: {line}");
        }
    }
    let text = fs::read_to_string(machine::source("config/systemd/otp-sender.service")).unwrap();
    for line in ["User=otp-sender", "CapabilityBoundingSet=", "InaccessiblePaths=-/var/lib/pam_otp"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    let text = fs::read_to_string(machine::source("config/systemd/otp-verifier.service")).unwrap();
    for line in ["User=otp-verifier", "Group=otp-verifier", "CapabilityBoundingSet="] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    let socket = fs::read_to_string(machine::source("config/systemd/otp-sender.socket")).unwrap();
    assert!(
        socket.contains("\nListenStream=/run/pam_otp/sender\n") && socket.contains("\nSocketMode=0600\n"),
        "{socket}"
    );
}
