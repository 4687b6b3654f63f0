//! What is shipped for SELinux and AppArmor is what their own compilers take. Kernels that enforce it: tests/vm/scripts.

use pam_otp_tests::{machine, outcome::Outcome};
use std::{fs, process::Command};

#[test]
fn the_selinux_module_compiles_and_is_packed_with_its_contexts() {
    let (dir, sources) = (tempfile::tempdir().unwrap(), machine::source("config/selinux"));
    let (module, package) = (dir.path().join("pam_otp.mod"), dir.path().join("pam_otp.pp"));
    machine::run(Command::new("checkmodule").args(["-M", "-m", "-o"]).arg(&module).arg(sources.join("pam_otp.te")));
    let mut pack = Command::new("semodule_package");
    machine::run(pack.arg("-o").arg(&package).arg("-m").arg(&module).arg("-f").arg(sources.join("pam_otp.fc")));

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
        assert!(plain.contains("/pam_otp"), "{line}");
    }
}

#[test]
fn the_apparmor_abstraction_parses_in_a_profile() {
    let unpacked = machine::unpacked("apparmor");
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile");
    let text = "abi <abi/3.0>,\ninclude <tunables/global>\nprofile host /usr/sbin/host {\n  include <abstractions/base>\n  \
                include <abstractions/authentication>\n  include <abstractions/pam_otp>\n}\n";
    fs::write(&profile, text).unwrap();
    let parse = |options: &[&str]| {
        let mut parse = Command::new(unpacked.join("sbin/apparmor_parser"));
        parse.args(["--skip-kernel-load", "--skip-cache", "--config-file", "/dev/null"]).args(options);
        parse.arg("--base").arg(unpacked.join("etc/apparmor.d")).arg("-I").arg(machine::source("config/apparmor"));
        let outcome = Outcome::of(parse.arg(&profile), "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.out
    };
    assert!(parse(&["--preprocess"]).contains("otp-helper PUx,"));
    parse(&[]);
}
