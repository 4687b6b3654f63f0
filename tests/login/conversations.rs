//! Conversations that say more than a file of them can (`tests/conversations`): any bytes, other moments, and what is not
//! written meanwhile.

use pam_otp_tests::{
    conversation::{Event, Transcript},
    desk::{CODE, Desk, logged},
    machine, syslog,
    users::TestUser,
};
use std::fs;

#[test]
fn what_is_no_code_spends_no_try() {
    let desk = Desk::new("[lockout]\nafter = 2\n");
    let before = fs::read(desk.site.state_file(&desk.user.name)).unwrap();
    let long = "1".repeat(10_000);
    let answers: [&[u8]; 2] = [b"\xff\xfe\x80123456", long.as_bytes()];
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
fn a_conversation_that_fails_spends_nothing() {
    let desk = Desk::new("[lockout]\nafter = 1\n");
    let path = desk.site.state_file(&desk.user.name);
    let before = fs::read(&path).unwrap();
    assert_eq!(desk.talk().run::<&str>(&[]).result("authenticate"), "PAM_CONV_ERR");
    let mut killed = desk.talk().start();
    killed.prompt();
    killed.kill();
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(desk.status().contains("\"failures\":0"));
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn while_a_person_types_no_other_login_waits_and_nothing_is_decided() {
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

    // The host can change PAM_USER at a text, too, for a user who is asked nothing.
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
fn with_a_wrong_password_a_right_code_looks_like_a_wrong_one() {
    let desk = Desk::new("");
    let (defer, deferred) = (desk.site.auth("required", "forward_pass defer"), desk.site.auth("required", "deferred"));
    // A module that asks for no delay of its own.
    desk.service.set(&format!("{defer}auth requisite pam_unix.so nodelay try_first_pass\n{deferred}"));
    let seen = |answer: &str| {
        let mark = syslog::mark();
        let said = desk.talk().run(&[answer]);
        let delayed = said.events.iter().any(|event| matches!(event, Event::Delay(1_000_000..=3_000_000)));
        let result = said.result("authenticate").to_owned();
        (result, said.prompts().len(), said.texts().len(), delayed, syslog::of_module(mark, said.pid))
    };
    let expected = ("PAM_AUTH_ERR".to_owned(), 1, 0, true, Vec::new());
    let (right, recovery) = (desk.next(), desk.phone.recovery_code());
    for code in [&right, &recovery, &desk.phone.wrong(), "", "12345", "ABCD-EFGH-IJKL-MNOP"] {
        assert_eq!(seen(&format!("not the password{code}")), expected, "{code}");
    }
    // With the right one nothing tells which of the two was wrong, except the log.
    let (result, prompts, texts, delayed, log) = seen(&(desk.user.password.clone() + &desk.phone.wrong()));
    assert_eq!((result.as_str(), prompts, texts, delayed, log.len()), ("PAM_AUTH_ERR", 1, 0, true, 1), "{log:#?}");
    for code in [right, recovery] {
        assert_eq!(seen(&(desk.user.password.clone() + &code)).0, "PAM_SUCCESS");
    }
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
