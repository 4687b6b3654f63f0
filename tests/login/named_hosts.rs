//! Rules with a network where the host reports a name in place of an address, as sshd does with `UseDNS yes`.

use pam_otp_tests::{conversation::Talk, desk::logged, service::Service, site::Site, users::TestUser};

#[test]
fn a_name_is_not_let_in_where_its_address_may_not_be() {
    let user = TestUser::new("alice");
    let name = &user.name;
    let passes = |by: &str, second_factor: &str| {
        ("PAM_PERM_DENIED", format!("info not-asked user={name} second_factor={second_factor} by={by}"))
    };
    let refused = ("PAM_AUTH_ERR", format!("notice refused user={name} why=not-enrolled"));
    let rules = |default: &str, network: &str| {
        let rule = format!("[[policy.rule]]\nnetwork = \"192.0.2.0/24\"\nsecond_factor = \"{network}\"\n");
        Site::new(&format!("[policy]\nsecond_factor = \"{default}\"\n{rule}"))
    };
    for (default, network, of_name, of_none) in [
        ("optional", "required", refused.clone(), passes("default", "optional")),
        ("required", "skip", refused.clone(), refused.clone()),
        ("skip", "optional", passes("rule-1", "optional"), passes("default", "skip")),
    ] {
        let site = rules(default, network);
        let service = Service::private(&site.auth("required", ""));
        let talk = Talk::new(&service, name);
        for (talk, (result, line)) in [(talk.clone().rhost("host.example.org"), of_name), (talk, of_none)] {
            let (said, log) = logged(&talk, &["000000"]);
            assert_eq!(said.result("authenticate"), result, "{default} {network} {said}\n{log:#?}");
            let log: Vec<_> = log.iter().map(|line| line.replace(" rhost=host.example.org", "")).collect();
            assert_eq!(log, [line], "{default} {network}");
        }
    }
}
