//! What `otp-enroll admin doctor` says of a login of two lines: `defer` before the password, `deferred` after it.

use crate::draft::findings_among;
use pam_otp_tests::{
    distributions::{ARCH_SYSTEM_AUTH, FEDORA_PASSWORD_AUTH, SUSE_COMMON_AUTH},
    machine,
};
use std::fs;

const DEFER: &str = "auth required pam_otp.so forward_pass defer\n";
const DEFERRED: &str = "auth required pam_otp.so deferred\n";

/// `fault` and `warning` of the service vpn with these lines, in this order.
fn faults(stack: &str) -> Vec<String> {
    faults_among(&[], stack)
}

fn faults_among(files: &[(&str, &str)], stack: &str) -> Vec<String> {
    let told = findings_among("", files, "vpn", stack);
    told.into_iter().filter(|told| !told.starts_with("note ")).collect()
}

const ARCH: (&str, &str) = ("system-auth", ARCH_SYSTEM_AUTH);
const FEDORA: (&str, &str) = ("password-auth", FEDORA_PASSWORD_AUTH);
const SUSE: (&str, &str) = ("common-auth", SUSE_COMMON_AUTH);

#[test]
fn the_lines_for_each_distribution_are_without_fault() {
    for (name, files) in [("", &[][..]), ("-arch", &[ARCH]), ("-fedora", &[FEDORA]), ("-suse", &[SUSE])] {
        let example = machine::source("config/examples/pam.d").join(format!("password-and-code-as-one{name}"));
        let stack = fs::read_to_string(example).unwrap();
        assert_eq!(faults_among(files, &stack), [""; 0], "{name}");
    }
    // With SSSD, as the comment says. Any other module that checks passwords stands for it here.
    let sssd =
        "auth [success=1 default=ignore] pam_unix.so try_first_pass\nauth requisite pam_unix.so use_first_pass\n";
    assert_eq!(faults(&format!("{DEFER}{sssd}auth required pam_permit.so\n{DEFERRED}")), [""; 0]);
    // Without the line of pam_permit, which the comment has too. It goes after both of ours.
    let told = faults(&format!("{DEFER}{sssd}{DEFERRED}"));
    assert!(
        told.len() == 1 && told[0].starts_with("fault vpn:4: users who need no code are refused after"),
        "{told:#?}"
    );
    assert_eq!(faults(&format!("{DEFER}{sssd}{DEFERRED}auth required pam_permit.so\n")), [""; 0]);
}

#[test]
fn a_missing_account_line_is_told() {
    let stack = format!("{DEFER}auth requisite pam_unix.so use_first_pass\n{DEFERRED}");
    let of_account = |stack: &str| {
        let told = findings_among("", &[], "vpn", stack);
        told.into_iter().filter(|told| told.contains("no account line of pam_otp.so")).count()
    };
    assert_eq!(of_account(&stack), 1);
    assert_eq!(of_account(&(stack + "account required pam_otp.so\naccount required pam_permit.so\n")), 0);
}

#[test]
fn a_second_line_that_is_forgotten_alone_or_first_is_a_fault() {
    let told = faults(&format!("{DEFER}@include common-auth\n"));
    assert_eq!(
        told,
        ["fault vpn:1: no line with deferred follows: a code works more than once, and wrong codes are not counted"]
    );
    let told = faults(&format!("@include common-auth\n{DEFERRED}"));
    assert!(
        told.iter().any(|told| told.starts_with("fault vpn:2: no line with forward_pass defer comes")),
        "{told:#?}"
    );
    let told = faults(&format!("{DEFERRED}@include common-auth\n{DEFER}"));
    assert!(told.iter().any(|told| told.starts_with("fault vpn:1: logins that reach this line before")), "{told:#?}");
    let told =
        faults(&format!("auth [success=1 default=ignore] pam_rootok.so\n{DEFER}@include common-auth\n{DEFERRED}"));
    assert_eq!(
        told,
        ["fault vpn:4: logins that reach this line before the one with defer, or pass over that, are refused"]
    );
}

#[test]
fn a_second_line_that_the_password_jumps_over_is_a_fault() {
    for jump in ["sufficient", "[success=1 default=ignore]", "[success=done default=die]"] {
        let told =
            faults(&format!("{DEFER}auth {jump} pam_unix.so try_first_pass\n{DEFERRED}auth required pam_permit.so\n"));
        let expected = "fault vpn:2: when pam_unix.so returns success, the login passes over vpn:3: a code works more";
        assert!(told.iter().any(|told| told.starts_with(expected)), "{jump}: {told:#?}");
    }
    // Fedora's file, included, ends after a right password.
    let told = faults_among(&[FEDORA], &format!("{DEFER}auth include password-auth\n{DEFERRED}"));
    assert!(told.iter().any(|told| told.contains("password-auth:3: when pam_unix.so returns success")), "{told:#?}");
}

#[test]
fn a_second_line_that_a_wrong_password_reaches_is_a_fault() {
    let expected =
        "fault vpn:3: logins reach this line after a wrong password too: wrong codes are counted and right ones";
    for (files, between) in [
        (&[][..], "auth required pam_unix.so try_first_pass\n"),
        (&[], "auth optional pam_unix.so try_first_pass\n"),
        (&[], "auth substack common-auth\n"),
        (&[SUSE], "auth include common-auth\n"),
        (&[FEDORA], "auth substack password-auth\n"),
        (&[ARCH], "auth substack system-auth\n"),
    ] {
        let told = faults_among(files, &format!("{DEFER}{between}{DEFERRED}"));
        assert!(told.iter().any(|told| told.starts_with(expected)), "{between}: {told:#?}");
    }
}

#[test]
fn a_first_line_that_ends_at_a_wrong_code_is_a_fault() {
    for control in ["requisite", "[success=ok ignore=ignore default=die]", "[success=ok ignore=ignore default=2]"] {
        let stack = format!(
            "auth {control} pam_otp.so forward_pass defer\nauth requisite pam_unix.so try_first_pass\n{DEFERRED}\
             auth required pam_deny.so\n"
        );
        let told = faults(&stack.replace("auth required pam_deny.so\n", ""));
        assert!(
            told.iter()
                .any(|told| told.starts_with("fault vpn:1: a wrong code ends the login here: it is not counted")),
            "{control}: {told:#?}"
        );
    }
}

#[test]
fn a_refusal_of_the_second_line_that_is_not_heeded_is_a_fault() {
    for control in ["optional", "sufficient", "[success=ok default=ignore]"] {
        let told =
            faults(&format!("{DEFER}auth requisite pam_unix.so try_first_pass\nauth {control} pam_otp.so deferred\n"));
        assert_eq!(
            told,
            ["fault vpn:3: its refusal does not prevent the login: a code works more than once"],
            "{control}"
        );
    }
}

#[test]
fn words_that_do_not_go_together_are_a_fault() {
    for words in ["defer", "forward_pass defer deferred", "deferred use_first_pass"] {
        let told = faults(&format!("@include common-auth\nauth required pam_otp.so {words}\n"));
        assert!(
            told.iter().any(|told| told.contains("cannot be honoured: every login is refused")),
            "{words}: {told:#?}"
        );
    }
}
