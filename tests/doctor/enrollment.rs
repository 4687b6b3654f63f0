//! What `otp-enroll admin doctor` says of enrollment during a login: offered where it cannot work, and not offered.

use crate::draft::findings;

const ENROLL: &str = "[policy]\nsecond_factor = \"enroll\"\n";
const OFFERED: &str = "@include common-auth\nauth required pam_otp.so enroll\n";
const REST: &str = "account required pam_otp.so\n@include common-account\n\
    password [success=done ignore=ignore default=die] pam_otp.so\n@include common-password\n";
const PLAIN: &str = "@include common-account\n@include common-password\n";

#[test]
fn the_argument_without_its_lines_is_a_fault_whatever_the_policy() {
    for config in ["", ENROLL] {
        let told = findings(config, "su", &format!("{OFFERED}{PLAIN}"));
        let faults: Vec<_> = told.iter().filter(|told| told.starts_with("fault ")).collect();
        assert!(
            faults.len() == 2 && faults[0].contains("account group") && faults[1].contains("password group"),
            "{told:#?}"
        );
        assert_eq!(findings(config, "su", &format!("{OFFERED}{REST}")), [""; 0]);
    }
}

#[test]
fn the_argument_is_a_fault_where_the_program_sets_no_credentials() {
    for service in ["dovecot", "openvpn", "freeradius", "radiusd", "polkit-1", "i3lock"] {
        let told = findings("", service, &format!("{OFFERED}{REST}"));
        assert!(
            told.len() == 1 && told[0].starts_with(&format!("fault {service}:2: users without a device may be let in")),
            "{told:#?}"
        );
    }
}

#[test]
fn a_policy_that_says_enroll_and_a_line_that_does_not_offer_it_refuses_users_without_a_device() {
    let stack = format!("@include common-auth\nauth required pam_otp.so\n{PLAIN}");
    for service in ["su", "dovecot"] {
        let told = findings(ENROLL, service, &stack);
        let expected = format!("warning {service}:2: the policy is enroll, and this line does not offer it");
        assert!(told.iter().any(|told| told.starts_with(&expected)), "{told:#?}");
        let refused =
            |told: &&String| told.starts_with("fault root") && told.contains(" will be refused: the policy is enroll");
        assert!(told.iter().any(|told| refused(&told)), "{told:#?}");
    }
    let told = findings("[policy]\nsecond_factor = \"required\"\n", "su", &stack);
    assert!(told.iter().all(|told| !told.contains("enroll, and")), "{told:#?}");
}

#[test]
fn a_file_of_the_users_own_that_is_read_before_the_module_is_a_fault() {
    for (argument, faulty) in [("user_readenv=1", true), ("user_readenv=0", false), ("readenv=1", false)] {
        let line = format!("auth required pam_env.so {argument}\n");
        let told = findings("", "su", &format!("{line}{OFFERED}{REST}"));
        assert_eq!(told.iter().any(|told| told.starts_with("fault su:1: pam_env.so reads")), faulty, "{told:#?}");
        assert_eq!(findings("", "su", &format!("{OFFERED}{line}{REST}")), [""; 0], "{argument}");
    }
}
