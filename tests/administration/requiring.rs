//! Before many users must have a second factor, the command says what that means; and exemptions that end.

use pam_otp_tests::{
    conversation::Talk, outcome::Outcome, phone::Phone, pty::Pty, service::Service, site::Site, users::TestUser,
};

#[test]
fn requiring_a_second_factor_of_all_says_of_whom_and_asks() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let show = || Outcome::of(site.admin_command().args(["show", "--json", &alice.name]), "").json()[0].clone();
    let unasked = Outcome::of(site.admin_command().args(["require", "--all"]), "");
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.err.contains("add --yes"), "{unasked:?}");
    assert_eq!(show()["override"], "none");

    let config = site.config().to_str().unwrap();
    let mut terminal =
        Pty::new("otp-enroll").size(200, 24).args(["--config", config, "admin", "require", "--all"]).start();
    let asked = terminal.wait_for("Continue?");
    assert!(asked.contains("root among them") && asked.contains("have no device and will be refused: "), "{asked}");
    terminal.send_line("n");
    assert!(!terminal.wait().success());
    assert_eq!(show()["override"], "none");

    let done = Outcome::of(site.admin_command().args(["require", "--all", "--yes"]), "");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(show()["override"], "required");
}

#[test]
fn an_override_to_enroll_comes_before_the_rules() {
    let (alice, site) = (TestUser::new("alice"), Site::new("[policy]\nsecond_factor = \"optional\"\n"));
    let outcome = || {
        let explain = ["explain", "--json", "--user", &alice.name];
        Outcome::of(site.admin_command().args(explain), "").json()[0].clone()
    };
    assert_eq!(outcome()["outcome"], "not-asked");
    site.admin(&["require", "--enroll", &alice.name]);
    assert_eq!((&outcome()["second_factor"], &outcome()["decided_by"]), (&"enroll".into(), &"override".into()));
    let _ = Phone::enroll(&site, &alice.name);
    assert_eq!(outcome()["outcome"], "asked");
    let show = Outcome::of(site.admin_command().args(["show", &alice.name]), "");
    assert!(show.out.contains("Override         enroll"), "{show:?}");
}

#[test]
fn a_requirement_holds_before_its_day_and_not_from_then_on() {
    let (alice, site) = (TestUser::new("alice"), Site::new("[policy]\nsecond_factor = \"optional\"\n"));
    let service = Service::private(&(site.auth("required", "") + "auth required pam_permit.so\n"));
    let login = || Talk::new(&service, &alice.name).run(&["000000"]).result("authenticate").to_owned();
    let explained = || {
        let explain = ["explain", "--json", "--user", &alice.name];
        Outcome::of(site.admin_command().args(explain), "").json()[0]["second_factor"].clone()
    };
    for (options, shown, second_factor, refusal) in [
        (&["require"][..], "required", "required", "PAM_AUTH_ERR"),
        (&["require", "--enroll"][..], "enroll", "enroll", "PAM_AUTH_ERR"),
    ] {
        let past = Outcome::of(site.admin_command().args(options).args(["--until", "2020-01-31", &alice.name]), "");
        assert_eq!(past.code, Some(2), "{past:?}");
        assert_eq!(login(), "PAM_SUCCESS", "nothing was changed");
        site.admin(&[options, &["--until", "2999-01-31", &alice.name]].concat());
        assert_eq!((login().as_str(), explained()), (refusal, second_factor.into()));
        let show = Outcome::of(site.admin_command().args(["show", &alice.name]), "");
        assert!(show.out.contains(&format!("Override         {shown} until 2999-01-31")), "{show:?}");
        // 2999-01-31 becomes 1970-01-12.
        site.edit(&alice.name, "override_until = 32474736000", "override_until = 1000000");
        assert_eq!((login().as_str(), explained()), ("PAM_SUCCESS", "optional".into()));
    }
}

#[test]
fn an_exemption_holds_before_its_day_and_not_from_then_on() {
    let (alice, site) = (TestUser::new("alice"), Site::new("[policy]\nsecond_factor = \"required\"\n"));
    let service = Service::private(&(site.auth("required", "") + "auth required pam_permit.so\n"));
    let login = || Talk::new(&service, &alice.name).run(&["000000"]).result("authenticate").to_owned();
    assert_eq!(login(), "PAM_AUTH_ERR");
    let past = Outcome::of(site.admin_command().args(["exempt", "--until", "2020-01-31", &alice.name]), "");
    assert_eq!(past.code, Some(2), "{past:?}");
    site.admin(&["exempt", "--until", "2999-01-31", &alice.name]);
    assert_eq!(login(), "PAM_SUCCESS");
    let show = Outcome::of(site.admin_command().args(["show", &alice.name]), "");
    assert!(show.out.contains("Override         exempt until 2999-01-31"), "{show:?}");
    // 2999-01-31 becomes 1970-01-12.
    site.edit(&alice.name, "override_until = 32474736000", "override_until = 1000000");
    assert_eq!(login(), "PAM_AUTH_ERR");
}
