//! Grace: after a success the same user is not asked again from the same address for a while.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::Talk, desk::Desk, machine, phone::Phone, site::Site, sshd::Sshd, syslog, users::TestUser,
};
use std::{fs, process::Command};

const HERE: &str = "203.0.113.9";
const GRACE: &str = "[grace]\nfor = \"12h\"\n";

/// Logins from here, of a user at a desk.
trait FromHere {
    /// A login from here, which asks and is let in.
    fn let_in_with_a_code(&self);
    /// Whether a login from here passes without a code. One that asks is hung up on and costs nothing.
    fn passes(&self) -> bool;
    /// `otp-enroll` as root for this user, with proof on standard input.
    fn otp_enroll(&self, arguments: &[&str], proof: &str) -> String;
}

impl FromHere for Desk {
    fn let_in_with_a_code(&self) {
        let talk = self.talk().rhost(HERE);
        let said = talk.run(&[self.next()]);
        assert_eq!((said.result("authenticate"), said.prompts().len()), ("PAM_SUCCESS", 1), "{said}");
    }

    fn passes(&self) -> bool {
        let mark = syslog::mark();
        let said = self.talk().rhost(HERE).run::<&str>(&[]);
        let passes = said.result("authenticate") == "PAM_SUCCESS";
        let log = syslog::of_module(mark, said.pid);
        let line = format!("info accepted user={} rhost={HERE} factor=grace", self.user.name);
        assert!(passes == (log == [line]) && passes == said.prompts().is_empty(), "{said}{log:#?}");
        passes
    }

    fn otp_enroll(&self, arguments: &[&str], proof: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", "proof=$1; shift; printf '%s\\n' \"$proof\" | otp-enroll \"$@\"", "sh", proof, "--config"]);
        machine::run(command.arg(self.site.config()).args(["--user", &self.user.name, "--json"]).args(arguments))
    }
}

#[test]
fn without_grace_every_login_asks_and_nothing_is_remembered() {
    let desk = Desk::new("");
    desk.let_in_with_a_code();
    assert!(!desk.passes());
    desk.site.set(GRACE);
    assert!(!desk.passes(), "what was given before there was grace is no reason for it");
}

#[test]
fn the_same_user_from_the_same_address_is_not_asked_again() {
    Desk::new(GRACE)
        .script()
        .play(
            r#"
            authenticate rhost=203.0.113.9 "Verification code: " | %next    -> PAM_SUCCESS
                log: accepted user=%user rhost=203.0.113.9 factor=totp
            authenticate rhost=203.0.113.9    -> PAM_SUCCESS
                log: accepted user=%user rhost=203.0.113.9 factor=grace
            # one address, however it is written
            authenticate rhost=::ffff:203.0.113.9    -> PAM_SUCCESS
                log: accepted user=%user rhost=::ffff:203.0.113.9 factor=grace
            authenticate rhost=::ffff:cb00:7109    -> PAM_SUCCESS    log: factor=grace
            # another one, a host name that a resolver supplied, and none at all are not the same
            authenticate rhost=203.0.113.8 "Verification code: " | <hang-up>    -> PAM_CONV_ERR    nolog: factor=grace
            authenticate rhost=2001:db8::9 "Verification code: " | <hang-up>    -> PAM_CONV_ERR    nolog: factor=grace
            authenticate rhost=localhost   "Verification code: " | <hang-up>    -> PAM_CONV_ERR    nolog: factor=grace
            authenticate "Verification code: " | <hang-up>    -> PAM_CONV_ERR    nolog: factor=grace
            # nor is anything remembered of those
            authenticate "Verification code: " | %next    -> PAM_SUCCESS    log: factor=totp
            authenticate "Verification code: " | <hang-up>    -> PAM_CONV_ERR    nolog: factor=grace
            authenticate rhost=gw.example.org "Verification code: " | %next    -> PAM_SUCCESS    log: factor=totp
            authenticate rhost=gw.example.org "Verification code: " | <hang-up>    -> PAM_CONV_ERR    nolog: factor=grace
            # a recovery code is a second factor like another
            authenticate rhost=2001:db8::9 "Verification code: " | %recovery    -> PAM_SUCCESS    log: factor=recovery
            authenticate rhost=2001:0db8:0:0::9    -> PAM_SUCCESS    log: factor=grace
            "#,
        )
        .unwrap();
}

#[test]
fn what_is_remembered_of_one_user_is_not_of_another() {
    let desk = Desk::new(GRACE);
    desk.let_in_with_a_code();
    assert!(desk.passes());
    let bob = TestUser::new("bob");
    let _phone = Phone::enrol(&desk.site, &bob.name);
    let said = Talk::new(&desk.service, &bob.name).rhost(HERE).run::<&str>(&[]);
    assert_eq!((said.result("authenticate"), said.prompts().len()), ("PAM_CONV_ERR", 1), "{said}");
}

#[test]
fn a_refusal_is_not_remembered() {
    let desk = Desk::new(GRACE);
    let said = Talk::new(&desk.service, &desk.user.name).rhost(HERE).run(&[desk.phone.wrong()]);
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR");
    assert!(!desk.passes());
}

#[test]
fn grace_is_over_when_its_time_is_and_when_it_is_switched_off() {
    let desk = Desk::new(GRACE);
    desk.let_in_with_a_code();
    assert!(desk.passes());
    desk.site.set("");
    assert!(!desk.passes());
    desk.site.set("[grace]\nfor = \"1s\"\n");
    machine::wait(std::time::Duration::from_secs(10), || (!desk.passes()).then_some(())).unwrap();
    desk.site.set(GRACE);
    assert!(desk.passes(), "what counts is what is configured now");
}

#[test]
fn who_is_locked_is_asked_wherever_they_come_from() {
    let desk = Desk::new(&format!("[lockout]\nafter = 1\nfor = \"until-unlocked\"\n{GRACE}"));
    desk.let_in_with_a_code();
    assert!(desk.passes());
    Talk::new(&desk.service, &desk.user.name).rhost("203.0.113.77").run(&[desk.phone.wrong()]);
    assert!(!desk.passes());
    desk.site.admin(&["unlock", &desk.user.name]);
    assert!(desk.passes());
}

#[test]
fn a_change_of_the_second_factor_forgets() {
    let desk = Desk::new(GRACE);
    desk.let_in_with_a_code();
    assert!(desk.passes());
    desk.otp_enroll(&["recovery"], &desk.phone.next_code());
    assert!(!desk.passes(), "new recovery codes");

    desk.let_in_with_a_code();
    assert!(desk.passes());
    desk.site.admin(&["reset", "--yes", &desk.user.name]);
    let desk = Desk { phone: Phone::enrol(&desk.site, &desk.user.name), ..desk };
    assert!(!desk.passes(), "a new enrolment");
}

#[test]
fn forget_forgets() {
    let desk = Desk::new(GRACE);
    for by in ["user", "admin"] {
        desk.let_in_with_a_code();
        assert!(desk.passes());
        let forget = || match by {
            "user" => desk.otp_enroll(&["forget"], ""),
            _ => desk.site.admin(&["forget", "--json", &desk.user.name]),
        };
        let mark = syslog::mark();
        assert!(forget().contains("\"changed\":true"));
        assert!(!desk.passes(), "{by}");
        assert!(forget().contains("\"changed\":false"));
        let line = format!("forgot-addresses user={} by_uid=0", desk.user.name);
        let lines = syslog::lines_since(mark);
        assert_eq!(lines.iter().filter(|logged| logged.ends_with(&line)).count(), 1, "{lines:#?}");
    }
}

#[test]
fn a_fifth_address_takes_the_place_of_the_first() {
    let desk = Desk::new(GRACE);
    let from = |last: u8| Talk::new(&desk.service, &desk.user.name).rhost(&format!("203.0.113.{last}"));
    for last in 1..=4 {
        assert_eq!(from(last).run(&[desk.phone.next_code()]).result("authenticate"), "PAM_SUCCESS");
    }
    let passing = || (1..=5).filter(|last| from(*last).run::<&str>(&[]).prompts().is_empty()).collect::<Vec<_>>();
    assert_eq!(passing(), [1, 2, 3, 4]);
    assert_eq!(from(5).run(&[desk.phone.next_code()]).result("authenticate"), "PAM_SUCCESS");
    assert_eq!(passing(), [2, 3, 4, 5]);
}

#[test]
fn a_time_in_the_future_grants_nothing() {
    let desk = Desk::new(GRACE);
    desk.let_in_with_a_code();
    assert!(desk.passes());
    // The state of a machine whose clock was ahead: both slots, with checksums, as the module writes them.
    let path = desk.site.state_file(&desk.user.name);
    let text = fs::read_to_string(&path).unwrap();
    let slots: Vec<_> = text.as_bytes().chunks(2048).map(|slot| ahead(std::str::from_utf8(slot).unwrap())).collect();
    pam_otp_tests::site::overwrite(&path, slots.concat());
    assert!(!desk.passes());
}

/// A slot in which addresses were remembered in the year 2100.
fn ahead(slot: &str) -> String {
    let Some((text, _)) = slot.split_once("checksum ") else { return slot.to_owned() };
    let lines = text.lines().map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        ["grace", address, _] => format!("grace {address} 4102444800\n"),
        _ => format!("{line}\n"),
    });
    let text: String = lines.collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &text).unwrap();
    let sum = machine::run(Command::new("sha256sum").arg(file.path()));
    let text = format!("{text}checksum {}\n", sum.split(' ').next().unwrap());
    format!("{text:<2047}\n")
}

#[test]
fn at_a_real_server_the_password_is_asked_and_the_code_is_not() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    site.set_example("grace");
    let sshd = Sshd::start("grace", &site.example_stack("password-and-code-with-set-up"), "");
    let phone = Phone::enrol(&site, &user.name);
    let ask = |prompts: &[(&str, &str)]| sshd.ssh(&user.name).dialogue(prompts);
    let login = ask(&[("Password: ", &user.password), ("Verification code: ", &phone.next_code())]);
    assert!(login.let_in() && login.prompts.len() == 2, "{login:#?}");
    let login = ask(&[("Password: ", &user.password)]);
    assert!(login.let_in() && login.prompts.len() == 1, "{login:#?}");
    let login = ask(&[("Password: ", "another"), ("Verification code: ", "")]);
    assert!(!login.let_in(), "grace is for the second factor: {login:#?}");
}
