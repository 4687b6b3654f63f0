//! Grace: what depends on the time, and what a real sshd does. The rest is in `tests/conversations/grace.talk`.

use pam_otp_tests::{desk::Desk, machine, phone::Phone, site::Site, sshd::Sshd, syslog, users::TestUser};
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
fn forgetting_addresses_is_logged_where_there_were_any() {
    let desk = Desk::new(GRACE);
    for by in ["user", "admin"] {
        desk.let_in_with_a_code();
        let mark = syslog::mark();
        for _ in 0..2 {
            match by {
                "user" => desk.otp_enroll(&["forget-addresses"], ""),
                _ => desk.site.admin(&["forget-addresses", "--json", &desk.user.name]),
            };
        }
        let line = format!("forgot-addresses user={} by_uid=0 proof=admin", desk.user.name);
        let lines = syslog::lines_since(mark);
        assert_eq!(lines.iter().filter(|logged| logged.ends_with(&line)).count(), 1, "{by}: {lines:#?}");
    }
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
    let text = format!("{text}checksum {:016x}\n", crc_64(text.as_bytes()));
    format!("{text:<2047}\n")
}

/// CRC-64/XZ, a bit at a time.
fn crc_64(bytes: &[u8]) -> u64 {
    let divide = |rest: u64, _| if rest & 1 == 1 { rest >> 1 ^ 0xc96c_5795_d787_0f42 } else { rest >> 1 };
    !bytes.iter().fold(!0, |rest, byte| (0..8).fold(rest ^ u64::from(*byte), divide))
}

#[test]
fn at_a_real_server_the_password_is_asked_and_the_code_is_not() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    site.set_example("grace");
    let sshd = Sshd::start("grace", &site.example_stack("password-and-code-with-set-up"), "");
    let phone = Phone::enroll(&site, &user.name);
    let ask = |prompts: &[(&str, &str)]| sshd.ssh(&user.name).dialogue(prompts);
    let login = ask(&[("Password: ", &user.password), ("Verification code: ", &phone.next_code())]);
    assert!(login.let_in() && login.prompts.len() == 2, "{login:#?}");
    let login = ask(&[("Password: ", &user.password)]);
    assert!(login.let_in() && login.prompts.len() == 1, "{login:#?}");
    let login = ask(&[("Password: ", "another"), ("Verification code: ", "")]);
    assert!(!login.let_in(), "grace is for the second factor: {login:#?}");
}
