//! Codes and PINs that are sent, at once and cut short: each is good once, one message is sent, and an agent or a sender that is
//! killed keeps no login from another device.

use pam_otp_tests::{
    conversation::{Conversation, Talk},
    machine,
    outcome::{Dialogue, Outcome},
    phone::Phone,
    post::{NUMBER, Post, SENT},
    service::Service,
    syslog,
    users::TestUser,
};
use std::{fs, thread, time::Duration};

const NOT_SENT: &str = "The message could not be sent. Use another device or a recovery code.";

/// How many of these logins were let in.
fn let_in(logins: Vec<Conversation>) -> usize {
    let results: Vec<_> = logins.into_iter().map(|login| login.finish().result("authenticate").to_owned()).collect();
    assert!(results.iter().all(|result| result == "PAM_SUCCESS" || result == "PAM_AUTH_ERR"), "{results:?}");
    results.iter().filter(|result| *result == "PAM_SUCCESS").count()
}

#[test]
fn of_many_logins_at_once_one_message_is_sent_and_its_code_lets_in_one() {
    let post = Post::start("");
    let user = TestUser::new("alice");
    let phone = Phone::enroll_self(&user);
    post.add_number(&user, &phone, NUMBER);
    phone.make_default(user.command("otp-enroll"), "mobile");
    let service = Service::private("auth required pam_otp.so send");
    // Root's, which ask the agent, and the user's own, which ask the helper.
    for by_root in [true, false] {
        post.some_time_passes_if_any();
        let before = post.texts(NUMBER).len();
        let gate = service.path().with_file_name(machine::unique("gate"));
        let talk = Talk::new(&service, &user.name).option("--wait-file", &gate.display().to_string());
        let talk = if by_root { talk } else { talk.ids(user.uid, user.gid) };
        let mut logins: Vec<_> = (0..16).map(|_| talk.start()).collect();
        let texts: Vec<_> = logins.iter_mut().map(|login| login.texts_before_prompt().concat()).collect();
        assert_eq!(texts.iter().filter(|text| *text == SENT).count(), 1, "{texts:#?}");
        let is_early = |text: &&String| text.starts_with("The next message can be sent in ");
        assert_eq!(texts.iter().filter(is_early).count(), 15, "{texts:#?}");
        assert_eq!(post.texts(NUMBER).len(), before + 1);
        let code = post.digits(NUMBER);
        logins.iter_mut().for_each(|login| login.answer(&code));
        fs::write(&gate, "").unwrap();
        assert_eq!(let_in(logins), 1);
        fs::remove_file(gate).unwrap();
    }
}

#[test]
fn a_pin_is_that_of_one_confirmation_and_of_two_at_once_one_adds_the_number() {
    let post = Post::start("");
    let user = TestUser::new("alice");
    let phone = Phone::enroll_self(&user);
    let add = |expected: bool| {
        let mut talk = Dialogue::start(user.command("otp-enroll").args(["--json", "add", "--sms", NUMBER]));
        talk.say(&phone.recovery_code());
        assert_eq!(talk.json()["sent"], expected);
        talk
    };
    let (mut one, mut other) = (add(true), add(false));
    let first = post.digits(NUMBER);
    // The other was sent none: the first one's PIN is not its own.
    other.say(&first);
    let ended = other.end();
    assert!(ended.code != Some(0), "{ended:?}");
    post.some_time_passes();
    let mut other = add(true);
    let second = post.digits(NUMBER);
    let end = |mut talk: Dialogue, pin: String| {
        thread::spawn(move || {
            talk.say(&pin);
            talk.end()
        })
    };
    other.say(if second == "0000" { "0001" } else { "0000" });
    one.say(if first == "0000" { "0001" } else { "0000" });
    let ended: Vec<Outcome> =
        [end(one, first), end(other, second)].into_iter().map(|ended| ended.join().unwrap()).collect();
    let list = machine::run(user.command("otp-enroll").args(["list", "--json"]));
    assert_eq!(ended.iter().filter(|ended| ended.code == Some(0)).count(), 1, "{ended:#?}");
    assert_eq!(list.matches("sms").count(), 1, "{list}");
}

#[test]
fn an_agent_or_a_sender_that_is_killed_before_it_answers_keeps_no_login_from_another_device() {
    let mut post = Post::start("");
    let user = TestUser::new("alice");
    let phone = Phone::enroll_self(&user);
    post.add_number(&user, &phone, NUMBER);
    phone.make_default(user.command("otp-enroll"), "mobile");
    let service = Service::private("auth required pam_otp.so send");
    let works = fs::read_to_string(post.program()).unwrap();
    for killed in ["agent", "sender"] {
        for by_root in [true, false] {
            let talk = Talk::new(&service, &user.name);
            let talk = if by_root { talk } else { talk.ids(user.uid, user.gid) };
            post.some_time_passes_if_any();
            post.fail(&format!("touch {}/started; sleep 1000", post.folder().display()));
            let mut login = talk.start();
            let is_started = || post.folder().join("started").exists().then_some(());
            assert!(machine::wait(Duration::from_secs(10), is_started).is_some(), "{killed}");
            let mark = syslog::mark();
            match killed {
                "agent" => post.agent.restart(),
                _ => post.sender.restart(),
            }
            assert_eq!(login.texts_before_prompt(), [NOT_SENT], "{killed}, by_root {by_root}");
            login.answer(phone.recovery_code());
            assert_eq!(login.finish().result("authenticate"), "PAM_SUCCESS", "{killed}");
            let log = syslog::lines_since(mark);
            let why = format!("not-sent user={} kind=sms error=", user.name);
            assert!(log.iter().any(|line| line.contains(&why)), "{killed}: {log:#?}");
            // It was noted before it was sent: until 30 s are over, it counts as sent.
            post.fail(works.trim_start_matches("#!/bin/sh\n"));
            let mut early = talk.start();
            assert!(early.texts_before_prompt()[0].starts_with("The next message can be sent in "));
            drop(early);
            post.some_time_passes();
            let mut next = talk.start();
            assert_eq!(next.texts_before_prompt(), [SENT], "{killed}");
            next.answer(post.digits(NUMBER));
            assert_eq!(next.finish().result("authenticate"), "PAM_SUCCESS", "{killed}");
            fs::remove_file(post.folder().join("started")).unwrap();
        }
    }
}
