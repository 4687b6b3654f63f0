//! The module in the real libpam: what is typed, how it ends, and what the person sees.
//!
//! The module stands alone in its stack, where PAM_IGNORE reads PAM_PERM_DENIED: libpam found nobody with an opinion.

use pam_otp_tests::{
    conversation::{Event, Talk, Transcript},
    desk::{CODE, Desk, logged},
    machine,
    service::Service,
    site::Site,
    syslog,
    users::TestUser,
};
use std::fs;

#[test]
fn a_code_works_exactly_once() {
    Desk::new("")
        .script()
        .play(
            r#"
            authenticate "Verification code: " | %next    -> PAM_SUCCESS
                log: accepted user=%user factor=totp device=1 recovery_left=10
            authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=replayed
            authenticate "Verification code: " | %next    -> PAM_SUCCESS     log: accepted
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=wrong failures=1
            # a code that was used already is not another wrong one
            authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=2
            authenticate "Verification code: " | %next    -> PAM_SUCCESS     log: accepted
            "#,
        )
        .unwrap();
}

#[test]
fn the_code_that_confirmed_the_set_up_is_spent() {
    Desk::new("")
        .script()
        .play(
            r#"authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed"#,
        )
        .unwrap();
}

#[test]
fn blanks_in_a_code_make_no_other_code_of_it() {
    let desk = Desk::new("");
    let code = desk.next();
    let (first, rest) = code.split_at(3);
    desk.script()
        .word("spaced", format!(" {first} {rest}\t"))
        .word("otherwise", format!("{first}  {rest}"))
        .play(
            r#"
            authenticate "Verification code: " | %spaced    -> PAM_SUCCESS    log: accepted
            authenticate "Verification code: " | %otherwise error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed
            authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed
            "#,
        )
        .unwrap();
}

#[test]
fn what_is_no_code_spends_no_try() {
    let desk = Desk::new("[lockout]\nafter = 2\n");
    let before = fs::read(desk.site.state_file(&desk.user.name)).unwrap();
    let long = "1".repeat(10_000);
    let answers: [&[u8]; 9] = [
        b"",
        b"   ",
        b"correct horse",
        b"12345",
        b"123456789",
        b"12345a",
        b"\xff\xfe\x80123456",
        "\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}".as_bytes(),
        long.as_bytes(),
    ];
    for answer in answers {
        let mark = syslog::mark();
        let said = desk.talk().run(&[answer]);
        assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}");
        assert_eq!(said.texts(), ["Verification failed."]);
        let log = syslog::of_module(mark, said.pid);
        assert_eq!(log, [format!("notice refused user={} why=malformed", desk.user.name)], "{said}");
    }
    assert_eq!(fs::read(desk.site.state_file(&desk.user.name)).unwrap(), before);
    assert!(desk.status().contains("\"failures\":0"));
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn a_recovery_code_works_once_and_the_last_ones_are_counted_aloud() {
    let desk = Desk::new("[recovery]\ncodes = 4\n");
    desk.script()
        .play(
            r#"
            authenticate "Verification code: " | %recovery    -> PAM_SUCCESS
                log: accepted user=%user factor=recovery recovery_left=3
            authenticate "Verification code: " | %used error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=recovery-spent
            authenticate "Verification code: " | %recovery
                info "Only two recovery codes are left. Make new ones with: otp-enroll recovery"    -> PAM_SUCCESS
                log: factor=recovery recovery_left=2
            # the reminder comes with every login, whatever it was that let in
            authenticate "Verification code: " | %next
                info "Only two recovery codes are left. Make new ones with: otp-enroll recovery"    -> PAM_SUCCESS
                log: factor=totp device=1 recovery_left=2
            authenticate "Verification code: " | %recovery
                info "Only one recovery code is left. Make new ones with: otp-enroll recovery"    -> PAM_SUCCESS
                log: recovery_left=1
            authenticate "Verification code: " | %recovery
                info "No recovery code is left. Make new ones with: otp-enroll recovery"    -> PAM_SUCCESS
                log: recovery_left=0
            authenticate "Verification code: " | ABCD-EFGH-IJKL-MNOP error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=recovery-unknown
            "#,
        )
        .unwrap();
    assert!(desk.status().contains("\"failures\":0"), "a recovery code costs no try");
}

#[test]
fn a_recovery_code_may_be_typed_as_it_was_copied() {
    let desk = Desk::new("");
    let copied = desk.phone.recovery_code().to_lowercase().replace('-', " ");
    let said = desk.talk().run(&[copied]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
}

#[test]
fn without_recovery_codes_nobody_is_reminded_of_them() {
    Desk::new("[recovery]\ncodes = 0\n")
        .script()
        .play(
            r#"
            authenticate "Verification code: " | %next    -> PAM_SUCCESS
                log: accepted user=%user factor=totp device=1    nolog: recovery_left
            authenticate "Verification code: " | ABCD-EFGH-IJKL-MNOP error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=recovery-unknown
            "#,
        )
        .unwrap();
}

#[test]
fn after_too_many_wrong_codes_only_a_recovery_code_is_accepted() {
    let desk = Desk::new("[lockout]\nafter = 3\nfor = \"1h\"\n");
    desk.script()
        .play(
            r#"
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=1
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=2
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=3
            # whether this one is right is not said
            authenticate "Verification code: " | %next  error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=locked until=2
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: why=locked
            authenticate "Verification code: " | %recovery    -> PAM_SUCCESS    log: factor=recovery recovery_left=9
            # whoever had one clears the count and opens the lock
            authenticate "Verification code: " | %last  -> PAM_SUCCESS    log: factor=totp
            "#,
        )
        .unwrap();
}

#[test]
fn while_locked_nothing_is_written() {
    let desk = Desk::new("[lockout]\nafter = 1\nfor = \"until-unlocked\"\n");
    desk.talk().run(&[desk.phone.wrong()]);
    let locked = fs::read(desk.site.state_file(&desk.user.name)).unwrap();
    for answer in [desk.phone.wrong(), desk.next()] {
        let (_, log) = logged(&desk.talk(), &[&answer]);
        assert_eq!(log, [format!("notice refused user={} why=locked until=unlocked", desk.user.name)]);
    }
    assert_eq!(fs::read(desk.site.state_file(&desk.user.name)).unwrap(), locked);
}

#[test]
fn an_administrator_unlocks() {
    let desk = Desk::new("[lockout]\nafter = 1\nfor = \"until-unlocked\"\n");
    desk.script()
        .verb("unlock", |_, talk| {
            desk.site.admin(&["unlock", &desk.user.name]);
            talk
        })
        .play(
            r#"
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=1
            authenticate "Verification code: " | %next  error "Verification failed."    -> PAM_AUTH_ERR    log: why=locked until=unlocked
            unlock
            authenticate "Verification code: " | %last    -> PAM_SUCCESS    log: accepted
            "#,
        )
        .unwrap();
}

#[test]
fn when_a_timed_lock_ends_one_more_wrong_code_locks_again() {
    let desk = Desk::new("[lockout]\nafter = 2\nfor = \"1s\"\n");
    let wrong = desk.phone.wrong();
    desk.talk().run(&[&wrong]);
    desk.talk().run(&[&wrong]);
    // The one wait in this file: the lock is timed, and a second is the least it can be.
    let log = machine::wait(std::time::Duration::from_secs(10), || {
        Some(logged(&desk.talk(), &[&wrong]).1.concat()).filter(|log| !log.contains("why=locked"))
    });
    assert!(log.unwrap().ends_with("why=wrong failures=3"));
    assert!(logged(&desk.talk(), &[&desk.next()]).1.concat().contains("why=locked"));
}

#[test]
fn somebody_unknown_is_asked_like_everybody() {
    let desk = Desk::new("");
    desk.script()
        .play(
            r#"
            authenticate user=nobody-of-that-name "Verification code: " | 123456 error "Verification failed."
                -> PAM_USER_UNKNOWN    log: refused user=nobody-of-that-name why=unknown-user
            authenticate user=nobody-of-that-name "Verification code: " | ABCD-EFGH-IJKL-MNOP error "Verification failed."
                -> PAM_USER_UNKNOWN    log: why=unknown-user
            authenticate user=../alice "Verification code: " | 123456 error "Verification failed."
                -> PAM_USER_UNKNOWN    log: refused user=../alice why=unknown-user
            # the name that the host leaves to us
            authenticate user=- on "login:" | %user "Verification code: " | %next    -> PAM_SUCCESS    log: accepted user=%user
            "#,
        )
        .unwrap();
}

#[test]
fn a_conversation_that_fails_spends_nothing() {
    let desk = Desk::new("[lockout]\nafter = 1\n");
    let path = desk.site.state_file(&desk.user.name);
    let before = fs::read(&path).unwrap();
    desk.script()
        .play(
            r#"
            authenticate "Verification code: " | <hang-up>    -> PAM_CONV_ERR
                log: error user=%user error="the conversation gave no answer" hint="the client went away, or cannot answer a second prompt"
            authenticate user=nobody-of-that-name "Verification code: " | <hang-up>    -> PAM_CONV_ERR
            authenticate user=- on "login:" | <hang-up>    -> PAM_CONV_ERR
            "#,
        )
        .unwrap();
    let mut killed = desk.talk().start();
    killed.prompt();
    killed.kill();
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(desk.status().contains("\"failures\":0"));
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn while_a_person_types_nobody_waits_and_nothing_is_decided() {
    let desk = Desk::new("");
    let (sooner, later) = (desk.next(), desk.next());
    let mut slow = desk.talk().start();
    slow.prompt();
    assert_eq!(desk.talk().run(&[&sooner]).result("authenticate"), "PAM_SUCCESS");
    assert_eq!(desk.talk().run(&[&desk.phone.wrong()]).result("authenticate"), "PAM_AUTH_ERR");
    slow.answer(&later);
    let said = slow.finish();
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "others' attempts do not spoil this one: {said}");

    // What is decided about is what is stored when the answer is there.
    let mut slow = desk.talk().start();
    slow.prompt();
    let old = desk.next();
    let new = desk.renew();
    let mark = syslog::mark();
    slow.answer(&old);
    let said = slow.finish();
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}");
    assert_eq!(
        syslog::of_module(mark, said.pid),
        [format!("notice refused user={} why=wrong failures=1", desk.user.name)]
    );
    assert_eq!(desk.talk().run(&[new.next_code()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn the_user_at_the_end_is_the_one_from_the_beginning() {
    let (desk, bob) = (Desk::new(""), TestUser::new("bob"));
    let before = fs::read(desk.site.state_file(&desk.user.name)).unwrap();
    let code = desk.next();
    let (said, log) = logged(&desk.talk().option("--become", &bob.name), &[&code]);
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}");
    let line = format!(
        "err error user={} error=\"the user name changed during the conversation\" \
         hint=\"the PAM application changed PAM_USER during its conversation\"",
        desk.user.name
    );
    assert_eq!(log, [line]);
    assert_eq!(fs::read(desk.site.state_file(&desk.user.name)).unwrap(), before);
    let (said, _) = logged(&desk.talk().option("--become", &desk.user.name), &[&code]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");

    // A text is enough to change it, for somebody who is asked nothing.
    desk.site.set("[policy]\nsecond_factor = \"required\"\nrequired_from = 9999-01-01\n");
    desk.service.set(&(desk.site.auth("required", "") + "auth required pam_permit.so"));
    for (becomes, result, errors) in [(&bob.name, "PAM_SUCCESS", 0), (&desk.user.name, "PAM_AUTH_ERR", 1)] {
        let (said, log) = logged(&desk.talk().user(&bob.name).option("--become", becomes), &[]);
        assert_eq!((said.result("authenticate"), said.prompts().len()), (result, 0), "{said}");
        assert!(said.texts().first().is_some_and(|text| text.starts_with("From 9999-01-01 on")), "{said}");
        assert_eq!(log.iter().filter(|line| line.starts_with("err ")).count(), errors, "{log:#?}");
    }
}

#[test]
fn only_authenticate_has_an_opinion() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    let arguments = site.config().display();
    // What is not PAM_IGNORE (or, from setcred, PAM_SUCCESS) would be `bad` here.
    let service = Service::private(&format!(
        "auth     [success=ok default=bad]     pam_otp.so config={arguments}\n\
         account  [ignore=ignore default=bad]  pam_otp.so config={arguments}\n\
         account  required                     pam_permit.so\n\
         password [ignore=ignore default=bad]  pam_otp.so config={arguments}\n\
         password required                     pam_permit.so\n\
         session  [ignore=ignore default=bad]  pam_otp.so config={arguments}\n\
         session  required                     pam_permit.so\n"
    ));
    let calls = "setcred,acct_mgmt,chauthtok,chauthtok_expired,open_session,close_session,delete_cred";
    let said = Talk::new(&service, &user.name).calls(calls).run::<&str>(&[]);
    assert!(said.results().all(|(_, result)| result == "PAM_SUCCESS"), "{said}");
    assert_eq!(said.results().count(), 7);

    // Alone, each but setcred leaves the stack without anybody's opinion.
    let alone: String = ["auth", "account", "password", "session"]
        .map(|group| format!("{group} required pam_otp.so config={arguments}\n"))
        .concat();
    service.set(&alone);
    let said = Talk::new(&service, &user.name).calls(calls).run::<&str>(&[]);
    let results: Vec<_> = said.results().map(|(_, result)| result).collect();
    assert_eq!(results[0], "PAM_SUCCESS", "{said}");
    assert!(results[1..6].iter().all(|result| *result == "PAM_PERM_DENIED"), "{said}");
}

#[test]
fn a_whole_login_passes_through_the_stack_of_the_examples() {
    let desk = Desk::new("");
    let arguments = desk.site.config().display();
    desk.service.set(&format!(
        "auth    required pam_otp.so config={arguments}\n\
         auth    required pam_permit.so\n\
         account required pam_permit.so\n"
    ));
    desk.script()
        .play(
            r#"
            login "Verification code: " | %next    -> PAM_SUCCESS
            login "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR
            "#,
        )
        .unwrap();
    // Where policy asks for nothing, pam_permit gives the stack its success.
    desk.site.set("[policy]\nsecond_factor = \"skip\"\n");
    assert_eq!(desk.talk().calls("login").run::<&str>(&[]).result("login"), "PAM_SUCCESS");
}

#[test]
fn every_refusal_asks_for_a_delay_and_no_success_does() {
    let desk = Desk::new("");
    let delay = |said: &Transcript| {
        said.events.iter().find_map(|event| if let Event::Delay(time) = event { Some(*time) } else { None })
    };
    let wrong = desk.phone.wrong();
    for (user, answer) in [(desk.user.name.as_str(), wrong.as_str()), (&desk.user.name, ""), ("nobody-there", "123456")]
    {
        let said = desk.talk().user(user).run(&[answer]);
        // libpam varies what is asked for, two seconds, by up to a half.
        assert!(matches!(delay(&said), Some(1_000_000..=3_000_000)), "{said}");
    }
    let said = desk.talk().run::<&str>(&[]);
    assert!(said.result("authenticate") == "PAM_CONV_ERR" && delay(&said).is_some(), "{said}");
    let said = desk.talk().run(&[desk.next()]);
    assert!(said.result("authenticate") == "PAM_SUCCESS" && delay(&said).is_none(), "{said}");
    desk.site.write("nonsense");
    let said = desk.talk().run::<&str>(&[]);
    assert!(said.result("authenticate") == "PAM_SERVICE_ERR" && delay(&said).is_some(), "{said}");
}

#[test]
fn a_silent_host_sees_the_prompt_and_nothing_else() {
    let desk = Desk::new("[recovery]\ncodes = 2\n");
    let silent = desk.talk().flag("--silent");
    let wrong = desk.phone.wrong();
    for (answer, result) in [(desk.next(), "PAM_SUCCESS"), (wrong, "PAM_AUTH_ERR"), (String::new(), "PAM_AUTH_ERR")] {
        let said = silent.run(&[answer]);
        assert_eq!(said.result("authenticate"), result);
        assert!(said.prompts() == [CODE] && said.texts().is_empty(), "{said}");
    }
    desk.site.write("nonsense");
    let said = silent.run::<&str>(&[]);
    assert!(said.result("authenticate") == "PAM_SERVICE_ERR" && said.texts().is_empty(), "{said}");
}

#[test]
fn the_texts_are_the_administrators() {
    Desk::new("[prompt]\ncode = \"Einmalcode für „alpha“: \"\nrefused = \"Leider nein.\"\n")
        .script()
        .play(
            r#"
            authenticate "Einmalcode für „alpha“: " | %wrong error "Leider nein."    -> PAM_AUTH_ERR
            authenticate "Einmalcode für „alpha“: " | %next    -> PAM_SUCCESS
            "#,
        )
        .unwrap();
}

#[test]
fn nothing_in_the_environment_steers_the_module() {
    let desk = Desk::new("");
    let mut command = desk.talk().command();
    command.env("PAM_OTP_CONFIG", "/nowhere").env("RUST_BACKTRACE", "1").env("RUST_LOG", "trace");
    command.env("HOME", "/nowhere").env("TZ", ":/nowhere");
    let mut conversation = desk.talk().start_as(command);
    conversation.prompt();
    conversation.answer(desk.next());
    let said = conversation.finish();
    assert!(said.result("authenticate") == "PAM_SUCCESS" && said.noise.is_empty(), "{said}");
}
