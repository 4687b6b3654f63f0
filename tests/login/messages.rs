//! Logins with a code that is sent: through the agent and the sender, to the program of the configuration.

use pam_otp_tests::{
    app::codes,
    conversation::Talk,
    desk::logged,
    machine,
    outcome::{Dialogue, Outcome},
    phone::Phone,
    post::{NUMBER, Post, SENT},
    service::Service,
    site::Site,
    syslog,
    users::TestUser,
};
use std::fs;

const ADDRESS: &str = "alice@example.org";

/// A user with a phone and a number, and services of which one may send.
struct Pocket {
    user: TestUser,
    phone: Phone,
    sends: Service,
    silent: Service,
}

impl Pocket {
    fn new(post: &Post) -> Pocket {
        let user = TestUser::new("alice");
        let phone = Phone::enroll_self(&user);
        let pocket = Pocket {
            user,
            phone,
            sends: Service::private("auth required pam_otp.so send"),
            silent: Service::private("auth required pam_otp.so"),
        };
        post.add_number(&pocket.user, &pocket.phone, NUMBER);
        pocket
    }

    fn talk(&self, service: &Service, by_root: bool) -> Talk {
        let talk = Talk::new(service, &self.user.name);
        if by_root { talk } else { talk.ids(self.user.uid, self.user.gid) }
    }

    fn make_default(&self, name: &str) {
        self.phone.make_default(self.user.command("otp-enroll"), name);
    }
}

#[test]
fn a_code_is_sent_to_a_number_that_is_named_or_the_default_and_is_good_once() {
    let post = Post::start("");
    let pocket = Pocket::new(&post);
    // By root, who asks the agent, and through the helper, which does.
    for by_root in [true, false] {
        for name in ["sms", "Mobile"] {
            let mark = syslog::mark();
            let before = post.texts(NUMBER).len();
            let mut talk = pocket.talk(&pocket.sends, by_root).start();
            assert_eq!(talk.texts_before_prompt(), [""; 0], "the default shows codes");
            talk.answer(name);
            assert_eq!(talk.texts_before_prompt(), [SENT]);
            assert_eq!(post.texts(NUMBER).len(), before + 1);
            let code = post.digits(NUMBER);
            assert_eq!(code.len(), 7);
            talk.answer(&code);
            let said = talk.finish();
            assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
            let log = syslog::lines_since(mark);
            let by = if by_root { 0 } else { pocket.user.uid };
            let sent = format!("sent user={} by_uid={by} kind=sms what=code", pocket.user.name);
            assert!(log.iter().any(|line| line.contains("otp-agent") && line.ends_with(&sent)), "{log:#?}");
            assert!(!log.iter().any(|line| line.contains(&code)), "{log:#?}");
            let (said, log) = logged(&pocket.talk(&pocket.silent, by_root), &[&code]);
            assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}\n{log:#?}");
            assert!(log.iter().any(|line| line.contains("why=replayed")), "{log:#?}");
            post.some_time_passes();
        }
    }
    let text = post.texts(NUMBER).pop().unwrap();
    assert!(text.contains(" is your code for ") && text.ends_with("Not you? Change your password."), "{text}");
    pocket.make_default("mobile");
    let mut talk = pocket.talk(&pocket.sends, true).start();
    assert_eq!(talk.texts_before_prompt(), [SENT]);
    talk.answer(pocket.phone.next_code());
    assert_eq!(talk.finish().result("authenticate"), "PAM_SUCCESS", "an app's code all the same");
}

/// PIN and code, which the user types as in any other text.
#[test]
fn a_message_is_in_the_language_of_the_site() {
    let post = Post::start(
        "text = \"{code} ist Ihr Code für {host} ({service}[ von {from}])\"\npin_text = \"{pin} ist Ihre PIN, {host}\"",
    );
    let pocket = Pocket::new(&post);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim();
    let pin = post.texts(NUMBER).pop().unwrap();
    assert!(pin.ends_with(&format!(" ist Ihre PIN, {host}")), "{pin}");
    for (rhost, from) in [(Some("203.0.113.9"), " von 203.0.113.9"), (Some("evil.example"), ""), (None, "")] {
        let talk = pocket.talk(&pocket.sends, true);
        let mut talk = if let Some(rhost) = rhost { talk.rhost(rhost) } else { talk }.start();
        assert_eq!(talk.texts_before_prompt(), [""; 0]);
        talk.answer("sms");
        assert_eq!(talk.texts_before_prompt(), [SENT]);
        let text = post.texts(NUMBER).pop().unwrap();
        let expected = format!(" ist Ihr Code für {host} ({}{from})", pocket.sends.name());
        assert!(text.ends_with(&expected), "{text}");
        talk.answer(post.digits(NUMBER));
        assert_eq!(talk.finish().result("authenticate"), "PAM_SUCCESS");
        post.some_time_passes();
    }
}

#[test]
fn a_proof_of_a_kind_that_changes_do_not_accept_names_what_they_do() {
    let post = Post::start("");
    let pocket = Pocket::new(&post);
    let site = Site::of_the_machine();
    let rule = format!(
        "[[policy.rule]]\nuser = \"{}\"\nservice = \"otp-enroll\"\nsecond_factor = \"optional\"\ndevices = [\"totp\"]\n",
        pocket.user.name
    );
    site.write(&(fs::read_to_string(site.config()).unwrap() + &rule));
    let mut talk = pocket.talk(&pocket.sends, true).start();
    assert_eq!(talk.texts_before_prompt(), [""; 0]);
    talk.answer("sms");
    assert_eq!(talk.texts_before_prompt(), [SENT]);
    let expected = "otp-enroll: the policy does not accept codes of that kind of device here\n  \
                    nothing was changed; use authenticator or a recovery code\n";
    for proof in ["sms", "Mobile", "2", &post.digits(NUMBER)] {
        let mut rename = pocket.user.command("otp-enroll");
        let outcome = Outcome::of(rename.args(["rename", "mobile", "handy", "--stdin"]), &format!("{proof}\n"));
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(1), expected), "{proof}");
    }
    assert_eq!(post.texts(NUMBER).len(), 2, "the PIN and the login's code");
}

#[test]
fn nothing_is_sent_by_a_line_that_does_not_say_so() {
    let post = Post::start("");
    let pocket = Pocket::new(&post);
    pocket.make_default("mobile");
    let before = post.texts(NUMBER).len();
    for by_root in [true, false] {
        let mut talk = pocket.talk(&pocket.silent, by_root).start();
        assert_eq!(talk.texts_before_prompt(), [""; 0]);
        talk.answer("sms");
        talk.finish();
    }
    // Nor for a program of the user's own, which says that its line does.
    let question = format!(
        r#"{{"about":"{}","request":{{"challenge":{{"named":null,"login":{{"service":"x","rhost":null,"tty":null,"nullok":false,"enroll":false,"send":true}}}}}}}}"#,
        pocket.user.name
    );
    pam_otp_tests::agent::ask_as(&pocket.user, &question, 3);
    let pin = format!(
        r#"{{"about":"{}","request":{{"send-pin":{{"kind":"sms","to":"+4915112345678","pin":"1234"}}}}}}"#,
        pocket.user.name
    );
    pam_otp_tests::agent::ask_as(&pocket.user, &pin, 3);
    assert_eq!(post.texts(NUMBER).len(), before);
    assert_eq!(post.texts("+4915112345678"), [""; 0]);
}

/// Nor does that line say why: it shows what it shows to users without such a device.
#[test]
fn a_line_that_does_not_send_takes_what_needs_no_message() {
    let post = Post::start("");
    let both = Pocket::new(&post);
    both.make_default("mobile");
    let only = TestUser::new("bob");
    let mut talk = Dialogue::start(only.command("otp-enroll").args(["--json", "add", "--sms", "+4915112345678"]));
    talk.json();
    talk.say(&post.digits("+4915112345678"));
    let recovery = codes(&talk.json()["recovery_codes"]);
    assert_eq!(talk.end().code, Some(0));
    for by_root in [true, false] {
        let talk = |user: &TestUser| {
            let talk = Talk::new(&both.silent, &user.name);
            if by_root { talk } else { talk.ids(user.uid, user.gid) }
        };
        let answer = |user: &TestUser, code: &str| {
            let said = talk(user).run(&[code]);
            (said.result("authenticate").to_owned(), said.texts().join("\n"))
        };
        let (in_, out) = (("PAM_SUCCESS".to_owned(), String::new()), "Verification failed.");
        let code = if by_root { both.phone.next_code() } else { both.phone.recovery_code() };
        assert_eq!(answer(&both.user, &code), in_);
        assert_eq!(answer(&only, "sms"), ("PAM_AUTH_ERR".to_owned(), out.to_owned()));
        assert_eq!(answer(&only, "1234567"), ("PAM_AUTH_ERR".to_owned(), out.to_owned()));
        let (result, text) = answer(&only, &recovery[usize::from(by_root)]);
        assert!(result == "PAM_SUCCESS" && !text.contains("sent"), "{text}");
    }
}

#[test]
fn a_user_who_asks_again_too_early_waits_and_the_code_that_was_sent_stays_good() {
    let post = Post::start("limit = \"3/15m\"");
    let pocket = Pocket::new(&post);
    pocket.make_default("mobile");
    post.some_time_passes_if_any();
    let mut talk = pocket.talk(&pocket.sends, true).start();
    assert_eq!(talk.texts_before_prompt(), [SENT]);
    let code = post.digits(NUMBER);
    talk.answer("sms");
    let text = talk.texts_before_prompt().pop().unwrap();
    assert!(
        text.starts_with("The next message can be sent in ") && text.ends_with(" s. An unused code is still good."),
        "{text}"
    );
    // Four connections more do not void it.
    for _ in 0..4 {
        let mut other = pocket.talk(&pocket.sends, true).start();
        assert!(other.texts_before_prompt()[0].starts_with("The next message can be sent in "));
        drop(other);
    }
    talk.answer(&code);
    assert_eq!(talk.finish().result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn a_login_goes_on_where_nothing_can_be_sent_and_the_log_says_why() {
    let mut post = Post::start("prefixes = [\"+61\"]\nhour = 3");
    let pocket = Pocket::new(&post);
    pocket.make_default("mobile");
    let tries = |post: &Post, why: &str| {
        for by_root in [true, false] {
            post.some_time_passes_if_any();
            let mark = syslog::mark();
            let mut talk = pocket.talk(&pocket.sends, by_root).start();
            let expected = "The message could not be sent. Use another device or a recovery code.";
            assert_eq!(talk.texts_before_prompt(), [expected], "{why}");
            talk.answer(pocket.phone.recovery_code());
            let said = talk.finish();
            assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
            let log = syslog::lines_since(mark);
            let is_it = |line: &String| {
                line.contains(&format!("not-sent user={} kind=sms", pocket.user.name)) && line.contains(why)
            };
            assert!(log.iter().any(is_it), "{why}: {log:#?}");
        }
    };
    post.fail("echo 550 no route >&2; exit 75");
    tries(&post, "exited with status 75");
    post.sender.stop();
    tries(&post, "no sender is enabled");
    post.agent.disable();
    tries(&post, "cannot be reached");
}

#[test]
fn a_pin_has_three_tries_and_nothing_is_stored_before_it_is_right() {
    let post = Post::start("");
    let user = TestUser::new("bob");
    let add = |arguments: &[&str]| Dialogue::start(user.command("otp-enroll").arg("--json").arg("add").args(arguments));
    for (option, odd, text) in [
        ("--sms", "0412 345 678", "write the number with its country code, such as +61412345678"),
        ("--sms", "+61 (0)412 345 678", "this is no telephone number"),
        ("--sms", "-t", "this is no telephone number"),
        ("--email", "-t@example.org", "this is no e-mail address"),
        ("--email", "alice", "this is no e-mail address"),
    ] {
        let ended = add(&[option, odd]).end();
        assert!(ended.code != Some(0) && ended.err.contains(text), "{odd}: {ended:?}");
    }
    let mut talk = add(&["--email", ADDRESS]);
    assert_eq!(talk.json()["to"], "a...@example.org");
    let pin = post.digits(ADDRESS);
    assert_eq!(pin.len(), 4);
    let mail = post.texts(ADDRESS).pop().unwrap();
    assert!(mail.starts_with(&format!("To: {ADDRESS}\nSubject: Your PIN for ")), "{mail}");
    let wrong = if pin == "0000" { "0001" } else { "0000" };
    for _ in 0..3 {
        talk.say(wrong);
    }
    talk.say(&pin);
    let ended = talk.end();
    assert!(ended.code != Some(0) && ended.err.contains("that was the last try for this PIN"), "{ended:?}");
    let status = machine::run(user.command("otp-enroll").args(["--json", "status"]));
    assert!(status.contains("\"enrolled\":false"), "{status}");
    // The first device, with its recovery codes.
    post.some_time_passes();
    let mut talk = add(&["--email", ADDRESS]);
    talk.json();
    talk.say(" again ");
    let waiting = talk.json();
    assert!(waiting["sent"] == false && waiting["why"].as_str().unwrap().contains("can be sent in"), "{waiting}");
    talk.say(&post.digits(ADDRESS));
    let codes = talk.json();
    assert_eq!(codes["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(talk.end().code, Some(0));
    // The only device: its code is sent before a change.
    post.some_time_passes();
    let mut talk = Dialogue::start(user.command("otp-enroll").args(["--json", "test"]));
    assert_eq!(talk.json()["sent"], true);
    talk.say(&post.digits(ADDRESS));
    assert_eq!(talk.json()["right"], true);
    assert_eq!(talk.end().code, Some(0));
}

#[test]
fn an_asker_has_no_text_of_its_own_sent() {
    use std::io::{BufRead, BufReader, Write};
    let post = Post::start("");
    let user = TestUser::new("carol");
    // As root and the helper may: even they have nothing sent but a PIN.
    for odd in ["", "123", "12345", "1\\n23", "\\u0000123", "1234 call +1 900 555 0199", &"1".repeat(15_000)] {
        let pin = format!(r#"{{"send-pin":{{"kind":"sms","to":"{NUMBER}","pin":"{odd}"}}}}"#);
        let mut agent = pam_otp_tests::agent::connect();
        writeln!(agent, r#"{{"about":"{}","request":{pin}}}"#, user.name).unwrap();
        let mut answer = String::new();
        BufReader::new(agent).read_line(&mut answer).unwrap();
        assert_eq!(answer, "{\"login\":\"not-sent\"}\n", "{odd:?}");
    }
    assert_eq!(post.texts(NUMBER), [""; 0]);
}
