//! Logins of a user with several devices: a code of any of them is good, without choosing one.

use pam_otp_tests::{app::App, site::Site};
use pam_otp_tests::{
    desk::{Desk, logged},
    hardware_token::HardwareToken,
    outcome::{Dialogue, Outcome},
    phone::Phone,
    sshd::Sshd,
    syslog,
    users::TestUser,
};

/// Adds a token, unconfirmed.
fn give(site: &Site, user: &str, name: &str, token: &HardwareToken) {
    let mut command = site.admin_command();
    command.args(["add", user, name, "--stdin"]).args(token.options());
    let added = Outcome::of(&mut command, &format!("{}\n", token.hex));
    assert_eq!(added.code, Some(0), "{added:?}");
}

#[test]
fn a_code_of_any_device_is_accepted_and_none_of_a_removed_one() {
    let desk = Desk::new("");
    let (site, user) = (&desk.site, desk.user.name.as_str());
    let [fob, clock] = [HardwareToken::hotp(1), HardwareToken::totp(2).shaped("SHA256", 8, Some(60))];
    give(site, user, "fob", &fob);
    give(site, user, "clock", &clock);
    let mut talk = Dialogue::start(site.own_command(user).args(["add", "tablet", "--json"]));
    talk.say(&desk.phone.recovery_code());
    let tablet = App::scan(talk.json()["uri"].as_str().unwrap());
    talk.say(&tablet.code(-2));
    assert_eq!(talk.json()["device"], 4);
    assert_eq!(talk.end().code, Some(0));

    let log_in = |code: &str| {
        let (said, log) = logged(&desk.talk(), &[code]);
        assert_eq!(said.prompts(), ["Verification code: "], "the same question for all");
        (said.result("authenticate").to_owned(), log.concat())
    };
    for (code, factor) in [
        (desk.next(), "factor=totp device=1 "),
        (fob.code(0), "factor=hotp device=2 "),
        // The present code may be one that was used before the token was added.
        (clock.code(1), "factor=totp device=3 "),
        (tablet.code(0), "factor=totp device=4 "),
        (desk.phone.recovery_code(), "factor=recovery "),
        (fob.code(4), "factor=hotp device=2 "),
    ] {
        let (result, log) = log_in(&code);
        assert!(result == "PAM_SUCCESS" && log.contains(factor), "{factor}: {result} {log}");
        let (result, log) = log_in(&code);
        assert!(result == "PAM_AUTH_ERR", "once: {factor}: {log}");
    }
    let confirmed = site.admin(&["show", user]);
    assert!(!confirmed.contains("not confirmed yet"), "{confirmed}");
    site.admin(&["remove", user, "fob", "--yes"]);
    site.admin(&["remove", user, "1", "--yes"]);
    for code in [fob.code(5), desk.next()] {
        let (result, log) = log_in(&code);
        assert!(result == "PAM_AUTH_ERR" && log.contains("why=wrong"), "{log}");
    }
    assert_eq!(log_in(&tablet.code(1)).0, "PAM_SUCCESS");
}

#[test]
fn password_and_code_as_one_are_parted_by_the_digits_of_the_default_device() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    let sshd = Sshd::of_one_question("digits", &site);
    let phone = Phone::enroll(&site, &user.name);
    let fob = HardwareToken::hotp(1).shaped("SHA1", 8, None);
    give(&site, &user.name, "fob", &fob);
    let log_in = |answer: String| {
        let mark = syslog::mark();
        let ssh = sshd.ssh(&user.name).option("PreferredAuthentications=password");
        let login = ssh.dialogue(&[("password: ", &answer)]);
        (login.let_in(), syslog::of_logins(mark, sshd.service().name()).concat())
    };
    let password = user.password.as_str();
    // The phone is the default: six digits.
    let (let_in, log) = log_in(format!("{password}{}", phone.next_code()));
    assert!(let_in && log.contains("device=1 "), "{log}");
    let chosen = Outcome::of(site.own_command(&user.name).args(["default", "fob", "--stdin"]), &phone.recovery_code());
    assert_eq!(chosen.code, Some(0), "{chosen:?}");
    let (let_in, log) = log_in(format!("{password}{}", fob.code(0)));
    assert!(let_in && log.contains("device=2 "), "{log}");
    let (let_in, log) = log_in(format!("{password}{}", phone.recovery_code()));
    assert!(let_in && log.contains("factor=recovery "), "{log}");
    // And back.
    site.admin(&["remove", &user.name, "fob", "--yes"]);
    let (let_in, log) = log_in(format!("{password}{}", phone.next_code()));
    assert!(let_in && log.contains("device=1 "), "{log}");
}
