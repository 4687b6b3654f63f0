//! Logins with a token that answers questions (OCRA, RFC 6287): the number is shown before the question, or when the user
//! names the token.
#![expect(clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::{Event, Talk},
    desk::logged,
    keypad::Keypad,
    outcome::Dialogue,
    phone::Phone,
    service::Service,
    syslog,
    users::TestUser,
};

/// A user with a phone and a keypad, and a service.
struct Pocket {
    user: TestUser,
    phone: Phone,
    keypad: Keypad,
    service: Service,
}

impl Pocket {
    fn new() -> Pocket {
        let user = TestUser::new("alice");
        let phone = Phone::enroll_self(&user);
        let keypad = Keypad::new(1);
        keypad.add(user.command("otp-enroll"), &phone);
        Pocket { user, phone, keypad, service: Service::private("auth required pam_otp.so") }
    }

    fn talk(&self, by_root: bool) -> Talk {
        let talk = Talk::new(&self.service, &self.user.name);
        if by_root { talk } else { talk.ids(self.user.uid, self.user.gid) }
    }

    fn make_default(&self) {
        self.phone.make_default(self.user.command("otp-enroll"), "keypad");
    }
}

/// The number that is shown up to the next question.
fn challenge(conversation: &mut pam_otp_tests::conversation::Conversation) -> Option<String> {
    let mut shown = None;
    loop {
        match conversation.listen() {
            Some(Event::Info(text)) => {
                let number = text.strip_prefix("Type this into your token: ");
                shown = number.map(str::to_owned).or(shown);
            }
            Some(event) if event.is_prompt() => return shown,
            Some(_) => {}
            None => panic!("no question"),
        }
    }
}

#[test]
fn a_token_that_is_named_is_challenged_and_its_response_is_good_once() {
    let pocket = Pocket::new();
    // By root, who opens the records, and through the helper.
    for by_root in [true, false] {
        for name in ["ocra", "Keypad"] {
            let mut talk = pocket.talk(by_root).start();
            assert_eq!(challenge(&mut talk), None, "the default shows codes");
            talk.answer(name);
            let number = challenge(&mut talk).unwrap();
            let response = pocket.keypad.answer(&number);
            talk.answer(&response);
            let said = talk.finish();
            assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
            let (said, log) = logged(&pocket.talk(by_root), &[&response]);
            assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}\n{log:#?}");
        }
    }
    for nothing in ["phone", "sms", "not a code"] {
        let (said, _) = logged(&pocket.talk(true), &[nothing]);
        assert_eq!((said.result("authenticate"), said.prompts().len()), ("PAM_AUTH_ERR", 1), "{said}");
    }
}

#[test]
fn a_default_token_is_challenged_before_the_question_and_a_code_of_the_app_is_good_all_the_same() {
    let pocket = Pocket::new();
    pocket.make_default();
    let mark = syslog::mark();
    let mut one = pocket.talk(true).start();
    let first = challenge(&mut one).unwrap();
    // A second connection shows the open one, and does not void it.
    let mut other = pocket.talk(true).start();
    assert_eq!(challenge(&mut other).as_ref(), Some(&first));
    other.answer(pocket.phone.next_code());
    assert_eq!(other.finish().result("authenticate"), "PAM_SUCCESS");
    one.answer(pocket.keypad.answer(&first));
    assert_eq!(one.finish().result("authenticate"), "PAM_SUCCESS");
    let log = syslog::of_logins(mark, pocket.service.name());
    assert!(log[0].contains(" factor=totp device=1 ") && log[1].contains(" factor=ocra device=2 "), "{log:#?}");
    let mut again = pocket.talk(true).start();
    assert_ne!(challenge(&mut again), Some(first), "a used number is not shown again");
    again.answer(pocket.keypad.answer("12345678"));
    assert_eq!(again.finish().result("authenticate"), "PAM_AUTH_ERR");
}

#[test]
fn a_change_is_proved_by_a_response_to_the_number_that_is_shown() {
    let pocket = Pocket::new();
    pocket.make_default();
    let mut talk = Dialogue::start(pocket.user.command("otp-enroll").args(["--stdin", "rename", "keypad", "green"]));
    let shown = talk.line();
    talk.say(&pocket.keypad.answer(&shown));
    let ended = talk.end();
    assert_eq!(ended.code, Some(0), "{shown} {ended:?}");
}
