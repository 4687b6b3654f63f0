//! What doctor says to an administrator, as it stands in `snapshots`.

use pam_otp_tests::{
    session::{Session, clocks},
    site::Site,
};
use std::{fs, path::Path};

#[test]
fn each_kind_of_finding_and_the_summary() {
    let site = Site::new("");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["common-auth", "common-account", "common-password", "other"] {
        fs::copy(Path::new("/etc/pam.d").join(name), path(name)).unwrap();
    }
    let mut session = Session::default();
    session.name(&folder.path().display().to_string(), "/etc/pam.d");
    session.name(&site.config().display().to_string(), "/etc/pam_otp/pam_otp.toml");
    session.name(&site.state().display().to_string(), "/var/lib/pam_otp");
    let mut ask = |title: &str, policy: &str, service: &str| {
        session.note(title);
        site.set(policy);
        fs::write(path("vpn"), service.replace("pam_otp.so", &site.module())).unwrap();
        let mut doctor = site.admin_command();
        session.run("otp-enroll admin doctor", doctor.args(["doctor", "--pam"]).arg(folder.path()), "");
    };
    let common = "@include common-auth\n";
    ask("No service asks", "", common);
    ask("A good stack", "", &format!("{common}auth required pam_otp.so\n"));
    ask("optional", "", &format!("{common}auth optional pam_otp.so\n"));
    ask("An argument that is not known", "", &format!("{common}auth required pam_otp.so nulok\n"));
    ask("A file that is not there", "", "auth required pam_unix.so\nauth include gone\nauth required pam_otp.so\n");
    ask("Nobody gets in", "", &format!("{common}auth required pam_otp.so\nauth required pam_deny.so\n"));
    ask(
        "Root without a device",
        "[policy]\nsecond_factor = \"required\"\n",
        &format!("{common}auth required pam_otp.so\n"),
    );
    ask(
        "Enrollment without its lines",
        "[policy]\nsecond_factor = \"enroll\"\n",
        &format!("{common}auth required pam_otp.so enroll\n"),
    );
    ask(
        "A right password, and no code needed",
        "",
        "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_debug.so use_first_pass\nauth required pam_otp.so\n",
    );
    ask("A code is asked for after a wrong password", "", "auth substack common-auth\nauth required pam_otp.so\n");
    let sends = |before: &str| format!("{before}auth required pam_otp.so send\n");
    let sms = "[sms]\nsend = [\"/bin/true\"]\n";
    ask("A code may be sent, and nothing sends", "", &sends(common));
    ask(
        "A code is sent after a wrong password, and nothing is there to send it",
        sms,
        &sends("auth required pam_unix.so\n"),
    );
    ask("A code is sent without a password", "", &sends("auth required pam_env.so\n"));
    ask("A code is sent after a module that is not known", "", &sends("auth requisite pam_debug.so\n"));
    ask("A program sends, and no line says so", sms, &format!("{common}auth required pam_otp.so\n"));
    ask("A configuration that cannot be read", "[policy]\nsecond_factr = \"required\"\n", common);
    let mut doctor = site.admin_command();
    session.run("otp-enroll admin doctor --pam /nowhere", doctor.args(["doctor", "--pam", "/nowhere"]), "");
    insta::assert_snapshot!("doctor", clocks(&session.text()));
}
