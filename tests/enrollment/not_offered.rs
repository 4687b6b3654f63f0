//! Policy `enroll` through a PAM line that does not offer enrollment; where the module is called by root it is in
//! `tests/conversations/not-offered.talk`.

use pam_otp_tests::{
    conversation::Talk, desk::CODE, outcome::Outcome, service::Service, site::Site, syslog, users::TestUser,
};
use std::fs;

#[test]
fn a_host_that_is_not_root_asks_and_refuses_where_the_line_does_not_offer_enrollment() {
    // The helper knows the machine's own configuration only.
    let (user, held) = (TestUser::new("al"), Service::held("pam-otp-configuration"));
    let site = Site::of_the_machine();
    let before = fs::read_to_string(site.config()).unwrap();
    site.write(&format!("{before}[[policy.rule]]\nuser = \"{}\"\nsecond_factor = \"enroll\"\n", user.name));
    let service = Service::private("auth required pam_otp.so\nauth required pam_permit.so\n");
    let mark = syslog::mark();
    let said = Talk::new(&service, &user.name).ids(user.uid, user.gid).run(&["123456"]);
    site.write(&before);
    drop(held);
    assert_eq!((said.result("authenticate"), said.prompts()), ("PAM_AUTH_ERR", vec![CODE]), "{said}");
    assert_eq!(
        syslog::of_module(mark, said.pid),
        [format!("notice refused user={} why=enrollment-not-offered", user.name)]
    );
}

#[test]
fn explain_and_list_read_in_the_pam_file_whether_enrollment_is_offered() {
    let (site, user) = (Site::new("[policy]\nsecond_factor = \"enroll\"\n"), TestUser::new("al"));
    let service = Service::installed("enroll", &site.auth("required", "enroll"));
    let admin = |arguments: &[&str]| Outcome::of(site.admin_command().args(arguments), "");
    let foreseen = |service: &str| {
        let explained = admin(&["explain", "--json", "--service", service, "--user", &user.name]).json().remove(0);
        let listed = admin(&["list", "--json", "--without-device", "--service", service]).json();
        let listed = listed.into_iter().find(|line| line["user"] == user.name.as_str()).unwrap();
        assert_eq!(explained["outcome"], listed["outcome"]);
        explained["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(foreseen(service.name()), "enroll");
    service.set(&site.auth("required", ""));
    assert_eq!(foreseen(service.name()), "refused");
    service.set(&(site.auth("required", "enroll") + "\n" + &site.auth("required", "")));
    assert_eq!(foreseen(service.name()), "refused");
    assert_eq!(foreseen("there-is-no-such-service"), "enroll-if-offered");
    let text = |service: &str| admin(&["explain", "--service", service, "--user", &user.name]).out;
    assert!(text(service.name()).contains("the auth line lacks the argument enroll"), "{}", text(service.name()));
    let both = text("there-is-no-such-service");
    assert!(both.contains("if the auth line has the argument enroll; else asked for a code and refused"), "{both}");
}

#[test]
fn a_file_of_the_users_own_does_not_remove_a_pending_enrollment() {
    let (site, user) = (Site::new("[policy]\nsecond_factor = \"enroll\"\n"), TestUser::new("al"));
    user.write(".pam_environment", "PAM_OTP_ENROLLMENT\nPROOF DEFAULT=read\n", 0o644);
    let stack = format!(
        "auth required pam_env.so user_readenv=1\n{}\nauth required pam_permit.so\naccount required pam_permit.so\n",
        site.auth("required", "enroll")
    );
    let service = Service::private(&stack);
    let talk = Talk::new(&service, &user.name).calls("authenticate,acct_mgmt,setcred").option("--getenv", "PROOF");
    let said = talk.run::<&str>(&[]);
    assert_eq!(said.result("setcred"), "PAM_INCOMPLETE", "{said}");
    assert!(said.to_string().contains("PROOF=read"), "pam_env read the file: {said}");
}
