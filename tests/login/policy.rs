//! Who is asked: the policy, its rules, what is required of one user, and `nullok`.
//!
//! The module stands alone in its stack, where PAM_IGNORE reads PAM_PERM_DENIED: libpam found nobody with an opinion.

use pam_otp_tests::{
    conversation::Talk,
    desk::{Desk, logged},
    script::Script,
    service::Service,
    site::Site,
    users::{TestUser, new_group},
};

#[test]
fn without_a_device_the_policy_decides() {
    let (user, site) = (TestUser::new("bob"), Site::new(""));
    let service = Service::private(&site.auth("required", ""));
    Script::new(Talk::new(&service, &user.name))
        .word("user", &user.name)
        .verb("policy", |word, talk| {
            site.set(&format!("[policy]\nsecond_factor = \"{word}\"\n"));
            talk
        })
        .play(
            r#"
            # nothing is said: as shipped, adding the PAM line locks nobody out
            authenticate    -> PAM_PERM_DENIED    log: not-asked user=%user second_factor=optional by=default
            policy optional
            authenticate    -> PAM_PERM_DENIED    log: not-asked user=%user second_factor=optional by=default
            policy skip
            authenticate    -> PAM_PERM_DENIED    log: not-asked user=%user second_factor=skip by=default
            policy required
            authenticate "Verification code: " | 123456 error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=not-enrolled
            authenticate "Verification code: " | ABCD-EFGH-IJKL-MNOP error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=not-enrolled
            authenticate "Verification code: " | "" error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=malformed
            "#,
        )
        .unwrap();
    assert!(!site.credentials(&user.name).exists() && !site.state_file(&user.name).exists());
}

#[test]
fn with_a_device_only_skip_does_not_ask() {
    let desk = Desk::new("");
    desk.script()
        .verb("policy", |word, talk| {
            desk.site.set(&format!("[policy]\nsecond_factor = \"{word}\"\n"));
            talk
        })
        .play(
            r#"
            policy optional
            authenticate "Verification code: " | %next    -> PAM_SUCCESS
            policy required
            authenticate "Verification code: " | %next    -> PAM_SUCCESS
            policy skip
            authenticate    -> PAM_PERM_DENIED    log: not-asked user=%user second_factor=skip by=default
            "#,
        )
        .unwrap();
}

#[test]
fn the_first_rule_that_matches_decides() {
    let (alice, bob, site) = (TestUser::new("alice"), TestUser::new("bob"), Site::new(""));
    let group = new_group("grp");
    let service = Service::private(&site.auth("required", ""));
    let rules = |rules: &[(&str, &str)]| {
        let rule = |(conditions, then): &(&str, &str)| {
            format!("[[policy.rule]]\n{}\nsecond_factor = \"{then}\"\n", conditions.replace("; ", "\n"))
        };
        site.set(&rules.iter().map(rule).collect::<String>());
    };
    let by = |talk: Talk| {
        let (said, log) = logged(&talk, &["000000"]);
        let line = log.concat();
        assert_eq!(line.contains("why=not-enrolled"), said.result("authenticate") == "PAM_AUTH_ERR", "{said}\n{line}");
        line.rsplit_once(" second_factor=").map_or("asked".to_owned(), |(_, rest)| rest.to_owned())
    };
    let talk = |user: &TestUser| Talk::new(&service, &user.name);

    rules(&[(&format!("user = \"{}\"", bob.name), "required"), (&format!("user = \"{}\"", alice.name), "skip")]);
    assert_eq!([by(talk(&alice)), by(talk(&bob))], ["skip by=rule-2", "asked"]);

    rules(&[(&format!("service = \"{}\"", service.name()), "required"), ("service = \"other\"", "skip")]);
    assert_eq!(by(talk(&alice)), "asked");
    rules(&[("service = \"other\"", "required")]);
    assert_eq!(by(talk(&alice)), "optional by=default");

    rules(&[("tty = \"tty1\"", "required"), ("tty = \"pts/7\"", "skip")]);
    assert_eq!(by(talk(&alice).tty("/dev/tty1")), "asked");
    assert_eq!(by(talk(&alice).tty("tty1")), "asked");
    assert_eq!(by(talk(&alice).tty("/dev/pts/7")), "skip by=rule-2");
    assert_eq!(by(talk(&alice)), "optional by=default");

    rules(&[("network = \"192.0.2.0/24\"", "skip"), ("network = \"2001:db8::/32\"", "required")]);
    for (rhost, then) in [
        ("192.0.2.77", "skip by=rule-1"),
        ("::ffff:192.0.2.77", "skip by=rule-1"),
        ("2001:db8::5", "asked"),
        ("198.51.100.1", "optional by=default"),
        // a name that somebody's resolver supplied is no address, whatever it resolves to
        ("192.0.2.77.example.org", "optional by=default"),
        ("localhost", "optional by=default"),
    ] {
        assert_eq!(by(talk(&alice).rhost(rhost)), then, "{rhost}");
    }
    assert_eq!(by(talk(&alice)), "optional by=default");

    rules(&[(&format!("group = \"{group}\""), "required"), (&format!("group = \"{}\"", bob.name), "skip")]);
    assert_eq!([by(talk(&alice)), by(talk(&bob))], ["optional by=default", "skip by=rule-2"]);
    alice.join(&group);
    assert_eq!(by(talk(&alice)), "asked", "a supplementary group");

    // all conditions of a rule must hold
    rules(&[(&format!("group = \"{group}\"; network = \"192.0.2.0/24\"; tty = \"ssh\""), "required")]);
    assert_eq!(by(talk(&alice).rhost("192.0.2.1").tty("ssh")), "asked");
    assert_eq!(by(talk(&alice).rhost("192.0.2.1").tty("tty1")), "optional by=default");
    assert_eq!(by(talk(&alice).rhost("192.0.3.1").tty("ssh")), "optional by=default");
    assert_eq!(by(talk(&bob).rhost("192.0.2.1").tty("ssh")), "optional by=default");
}

#[test]
fn a_requirement_of_ones_own_comes_before_the_rules() {
    let desk = Desk::new("");
    let everywhere = |then: &str| format!("[[policy.rule]]\nnetwork = \"0.0.0.0/0\"\nsecond_factor = \"{then}\"\n");
    let require = |from: &str, to: &str| {
        let requirement = |word: &str| format!("requirement = \"{word}\"");
        desk.site.edit(&desk.user.name, &requirement(from), &requirement(to));
    };
    let talk = desk.talk().rhost("192.0.2.1");
    desk.site.set(&everywhere("skip"));
    assert_eq!(talk.run(&["000000"]).result("authenticate"), "PAM_PERM_DENIED");
    require("policy", "required");
    assert_eq!(talk.run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
    // not even `nullok` is stronger
    desk.service.set(&desk.site.auth("required", "nullok"));
    assert_eq!(talk.run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");

    // devices forgotten, requirement kept: refused, not let through
    desk.site.admin(&["reset", "--yes", &desk.user.name]);
    let (said, log) = logged(&talk, &["000000"]);
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR");
    assert_eq!(log, [format!("notice refused user={} rhost=192.0.2.1 why=not-enrolled", desk.user.name)]);

    desk.service.set(&desk.site.auth("required", ""));
    desk.site.set(&everywhere("required"));
    require("required", "optional");
    let (said, log) = logged(&talk, &["000000"]);
    assert_eq!(said.result("authenticate"), "PAM_PERM_DENIED");
    let line = format!("info not-asked user={} rhost=192.0.2.1 second_factor=optional by=personal", desk.user.name);
    assert_eq!(log, [line]);
}

#[test]
fn nullok_lets_those_without_a_device_pass_on_this_line() {
    let (desk, bob) = (Desk::new("[policy]\nsecond_factor = \"required\"\n"), TestUser::new("bob"));
    desk.service.set(&desk.site.auth("required", "nullok"));
    desk.script()
        .word("bob", &bob.name)
        .play(
            r#"
            authenticate user=%bob    -> PAM_PERM_DENIED
                log: not-asked user=%bob second_factor=optional by=nullok
            authenticate "Verification code: " | %next    -> PAM_SUCCESS    log: accepted
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: why=wrong
            # nullok is about devices, not about accounts
            authenticate user=nobody-of-that-name "Verification code: " | 123456 error "Verification failed."
                -> PAM_USER_UNKNOWN    log: refused user=nobody-of-that-name why=unknown-user
            "#,
        )
        .unwrap();
}
