//! Services in a sandbox: a login that it refuses says so in the log, and a disk that is read-only for all is told apart.

use pam_otp_tests::{
    agent,
    conversation::Talk,
    desk::confined,
    phone::Phone,
    service::Service,
    site::{HELPER, Site},
    users::TestUser,
};

#[test]
fn a_sandbox_that_refuses_right_codes_is_named_and_opening_it_helps() {
    let (site, alice) = (Site::new(""), TestUser::new("alice"));
    let phone = Phone::enroll(&site, &alice.name);
    let service = Service::private(&site.auth("required", ""));
    let talk = Talk::new(&service, &alice.name);
    let code = phone.next_code();
    // As ProtectSystem=strict, and as that with ReadWritePaths=.
    let strict = "d=$1; shift; mount --bind \"$d\" \"$d\"; mount -o remount,bind,ro \"$d\"; exec \"$@\"";
    let (said, log) = confined(&talk, strict, site.state(), &code);
    assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}\n{log:#?}");
    assert!(log[0].contains("Read-only file system") && log[0].contains("add ReadWritePaths=- and"), "{log:#?}");
    let opened = strict.replace("exec", "mount -o remount,bind,rw \"$d\"; exec");
    let (said, log) = confined(&talk, &opened, site.state(), &code);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}\n{log:#?}");
}

#[test]
fn a_sandbox_that_hides_the_records_is_named() {
    let (site, alice) = (Site::new(""), TestUser::new("alice"));
    let phone = Phone::enroll(&site, &alice.name);
    let service = Service::private(&site.auth("required", ""));
    let talk = Talk::new(&service, &alice.name);
    for (script, error) in [
        // As TemporaryFileSystem=/var/lib, and as InaccessiblePaths= with the state directory.
        ("mount -t tmpfs none /var/lib; shift; exec \"$@\"", "No such file or directory"),
        ("mount -t tmpfs -o mode=0000 none \"$1\"; shift; exec \"$@\"", ".store-id is missing"),
    ] {
        let (said, log) = confined(&talk, script, site.state(), &phone.next_code());
        assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}\n{log:#?}");
        let hint = "hint=\"the sandbox of this service shows another folder there: ";
        assert!(log[0].contains(error) && log[0].contains(hint), "{script}: {log:#?}");
    }
}

#[test]
fn no_new_privileges_and_a_nosuid_mount_are_told_from_a_broken_installation() {
    let _no_agent = agent::none();
    let (site, alice) = (Site::of_the_machine(), TestUser::new("alice"));
    let phone = Phone::enroll_self(&alice);
    let service = Service::private("auth required pam_otp.so");
    let talk = Talk::new(&service, &alice.name).ids(alice.uid, alice.gid);
    let as_alice = format!("setpriv --reuid={} --regid={} --clear-groups", alice.uid, alice.gid);
    let code = phone.next_code();
    for (script, hint) in [
        (
            format!("shift; exec {as_alice} --no-new-privs \"$@\""),
            "take NoNewPrivileges, or the setting that implies it",
        ),
        (
            format!(
                "shift; mount --bind {HELPER} {HELPER}; mount -o remount,bind,nosuid {HELPER}; exec {as_alice} \"$@\""
            ),
            "its file system is mounted nosuid",
        ),
    ] {
        let (said, log) = confined(&talk, &script, site.state(), &code);
        assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}\n{log:#?}");
        assert!(log[0].contains("Permission denied") && log[0].contains(hint), "{log:#?}");
    }
    let (said, log) = confined(&talk, &format!("shift; exec {as_alice} \"$@\""), site.state(), &code);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}\n{log:#?}");
}
