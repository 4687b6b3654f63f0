//! What an administrator does to one device of a user: add a token, remove one, find a token again, show them all.

use pam_otp_tests::{
    hardware_token::HardwareToken, outcome::Outcome, phone::Phone, pty::Pty, site::Site, syslog, users::TestUser,
};
use serde_json::{Value, json};

/// `otp-enroll admin` for this site, with this on standard input.
fn admin(site: &Site, arguments: &[&str], input: &str) -> Outcome {
    Outcome::of(site.admin_command().args(arguments), input)
}

/// `otp-enroll admin add USER NAME --token …`, which reads the seed from standard input.
fn add(site: &Site, user: &str, name: &str, token: &HardwareToken, more: &[&str], after: &str) -> Outcome {
    let mut command = site.admin_command();
    command.args(["add", user, name]).args(token.options()).args(more);
    Outcome::of(&mut command, &format!("{}\n{after}", token.hex))
}

fn is_right(site: &Site, user: &str, code: &str) -> bool {
    Outcome::of(site.own_command(user).args(["test", "--stdin"]), &format!("{code}\n")).code == Some(0)
}

fn show(site: &Site, user: &str) -> Value {
    admin(site, &["show", user, "--json"], "").json().remove(0)
}

#[test]
fn a_token_is_added_unconfirmed_and_its_first_right_code_confirms_it() {
    let (alice, site, fob) = (TestUser::new("alice"), Site::new(""), HardwareToken::hotp(1));
    let user = alice.name.as_str();
    let mark = syslog::mark();
    let added = add(&site, user, "blue key", &fob, &["--stdin", "--serial", "GALT10007123"], "");
    let told = format!(
        "{user}: Device 1, blue key, is added, not confirmed yet: its first right code at a login confirms it\n\
         {user} has no recovery codes; the user gets some with: otp-enroll recovery\n"
    );
    assert_eq!(added, Outcome { code: Some(0), out: told, err: String::new() });
    let line = syslog::lines_since(mark).into_iter().find(|line| line.contains(&format!("user={user} "))).unwrap();
    assert!(line.ends_with(&format!("device-added user={user} by_uid=0 changed_device=1 proof=admin")), "{line}");
    let shown = admin(&site, &["show", user], "").out;
    assert!(shown.contains("Device 1         blue key, HOTP, 6 digits, default\n"), "{shown}");
    assert!(shown.contains(", not confirmed yet, serial GALT10007123\n"), "{shown}");
    let waits = || {
        let listed = admin(&site, &["list"], "").out;
        let note = format!("tokens of {user} have shown no right code yet");
        let found = admin(&site, &["doctor", "--json"], "").out.contains(&note);
        (listed.lines().any(|line| line.starts_with(user) && line.ends_with("  ! not confirmed yet: blue key")), found)
    };
    assert_eq!(waits(), (true, true));
    assert!(is_right(&site, user, &fob.code(3)));
    assert_eq!(waits(), (false, false));
    let device = show(&site, user)["devices"][0].clone();
    assert!(device["confirmed"] == true && device["last_used"].is_string(), "{device}");
    let used = device["last_used"].as_str().unwrap().replace('T', " ").replace('Z', " UTC");
    let shown = admin(&site, &["show", user], "").out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        shown.contains(&format!(", last used {used}, ")) && shown.contains(&format!(" Last accepted {used}")),
        "{shown}"
    );
}

#[test]
fn a_code_confirms_it_at_once() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let user = alice.name.as_str();
    let [one, two, far] = [1, 2, 3].map(HardwareToken::hotp);
    let two = two.shaped("SHA256", 8, Some(60));
    let answer = |device: u8, name: &str| {
        [json!({"user": user, "changed": true, "device": device, "name": name, "confirmed": true})]
    };
    let code = one.code(7);
    assert_eq!(add(&site, user, "one", &one, &["--json", "--confirm", &code], "").json(), answer(1, "one"));
    let code = two.code(0);
    assert_eq!(add(&site, user, "two", &two, &["--json", "--confirm", &code], "").json(), answer(2, "two"));
    assert!(!is_right(&site, user, &two.code(0)), "the confirming code is used up");
    let (first, next) = (far.code(500), far.code(501) + "\n");
    let alone = add(&site, user, "far", &far, &["--stdin", "--confirm", &first], "");
    assert!(alone.code == Some(1) && alone.err.contains("say how many it has shown: --counter"), "{alone:?}");
    let gap = add(&site, user, "far", &far, &["--stdin", "--confirm", &first], &(far.code(502) + "\n"));
    assert!(gap.code == Some(1) && gap.err.contains("these are not two codes in a row"), "{gap:?}");
    assert_eq!(add(&site, user, "far", &far, &["--json", "--confirm", &first], &next).json(), answer(3, "far"));
    let four = HardwareToken::hotp(4);
    let counted = ["--json", "--counter", "495", "--confirm", &four.code(500)].map(str::to_owned);
    let counted: Vec<_> = counted.iter().map(String::as_str).collect();
    assert_eq!(add(&site, user, "four", &four, &counted, "").json(), answer(4, "four"));

    let wrong = add(&site, user, "five", &four, &["--stdin", "--confirm", &four.wrong(0)], "");
    assert!(
        wrong.err.starts_with("otp-enroll: that code is not one of this device's\n  nothing was changed;"),
        "{wrong:?}"
    );
    let short = add(&site, user, "five", &two, &["--stdin", "--confirm", "123456"], "");
    assert!(short.err.starts_with("otp-enroll: a code of this device has 8 digits\n"), "{short:?}");
    assert_eq!(show(&site, user)["devices"].as_array().unwrap().len(), 4);
}

#[test]
fn a_token_is_added_once() {
    let (alice, site, fob) = (TestUser::new("alice"), Site::new(""), HardwareToken::hotp(1));
    let user = alice.name.as_str();
    assert_eq!(add(&site, user, "one", &fob, &["--stdin"], "").code, Some(0));
    assert!(is_right(&site, user, &fob.code(0)));
    let again = add(&site, user, "two", &fob, &["--stdin"], "");
    let told = "otp-enroll: this token is a device of this user already: one of them has its seed\n";
    assert!(again.code == Some(1) && again.err.starts_with(told), "{again:?}");
    assert!(!is_right(&site, user, &fob.code(0)), "a used code stays used");
    assert_eq!(show(&site, user)["devices"].as_array().unwrap().len(), 1);
}

#[test]
fn one_of_several_devices_is_removed_and_the_only_one_is_not() {
    let (alice, site, fob) = (TestUser::new("alice"), Site::new(""), HardwareToken::hotp(1));
    let user = alice.name.as_str();
    let phone = Phone::enroll(&site, user);
    let only = admin(&site, &["remove", user, "1", "--yes"], "");
    let told = format!(
        "otp-enroll: that is the only device: without it the second factor would be gone\n  \
         with a recovery code the user enrolls a new one: otp-enroll reset; without one: otp-enroll admin reset {user}\n"
    );
    assert_eq!((only.code, only.err), (Some(1), told));
    assert_eq!(add(&site, user, "fob", &fob, &["--stdin"], "").code, Some(0));
    let none = admin(&site, &["remove", user, "3", "--yes"], "");
    let told = format!(
        "otp-enroll: no device has this number or name\n  nothing was changed; the devices: otp-enroll admin show {user}\n"
    );
    assert_eq!((none.code, none.err), (Some(1), told));
    let unasked = admin(&site, &["remove", user, "1"], "y\n");
    assert!(unasked.code == Some(2) && unasked.err.contains("add --yes"), "{unasked:?}");
    let config = site.config().to_str().unwrap();
    let mut terminal =
        Pty::new("otp-enroll").args(["--config", config, "admin", "remove", user, "authenticator"]).start();
    let question = terminal.wait_for("[y/N]");
    assert!(question.contains("Remove device 1, authenticator?"), "{question}");
    terminal.send_line("y");
    terminal.wait_for("Device 1, authenticator, is removed. The default is now device 2, fob.");
    terminal.wait();
    assert!(!is_right(&site, user, &phone.next_code()) && is_right(&site, user, &fob.code(0)));
    assert_eq!(show(&site, user)["recovery_codes_left"], 10, "recovery codes stay");
    let bob = TestUser::new("bob");
    for arguments in [&["remove", &bob.name, "1", "--yes"][..], &["resync", &bob.name]] {
        assert_eq!(admin(&site, arguments, "").code, Some(3), "{arguments:?}");
    }
    assert_eq!(admin(&site, &["remove", "nobody-at-all", "1", "--yes"], "").code, Some(3));
}

#[test]
fn a_token_is_found_again_unless_the_user_is_locked() {
    let (alice, site, fob) = (TestUser::new("alice"), Site::new("[lockout]\nafter = 2\n"), HardwareToken::hotp(1));
    let user = alice.name.as_str();
    assert_eq!(add(&site, user, "fob", &fob, &["--stdin"], "").code, Some(0));
    let mark = syslog::mark();
    let resync = |first, second| {
        admin(&site, &["resync", user, "--json"], &format!("{}\n{}\n", fob.code(first), fob.code(second)))
    };
    let found = resync(400, 401);
    assert_eq!(found.json(), [json!({"user": user, "changed": true, "device": 1, "name": "fob"})], "{found:?}");
    assert!(is_right(&site, user, &fob.code(402)));
    let log = syslog::lines_since(mark).join("\n");
    assert!(log.contains(&format!("resynchronized user={user} by_uid=0 changed_device=1 proof=admin")), "{log}");
    assert_eq!(resync(500, 502).code, Some(1));
    assert_eq!(resync(1500, 1501).code, Some(1), "more than a thousand");
    let locked = resync(500, 501);
    assert!(locked.err.contains("too many wrong codes"), "{locked:?}");
    site.admin(&["unlock", user]);
    assert_eq!(resync(500, 501).code, Some(0));
    let phone_alone = TestUser::new("bob");
    Phone::enroll(&site, &phone_alone.name);
    let app = admin(&site, &["resync", &phone_alone.name, "1", "--stdin"], "");
    assert!(app.err.contains(&format!("otp-enroll admin show {}", phone_alone.name)), "{app:?}");
}

#[test]
fn bad_input_and_users_without_a_name_for_it_get_a_sentence() {
    let (alice, site, fob) = (TestUser::new("alice"), Site::new(""), HardwareToken::hotp(1));
    let user = alice.name.as_str();
    for (name, more, code, told) in [
        ("123456", &["--stdin"][..], 1, "this name would be taken for a code"),
        ("fob", &["--stdin", "--seed-format", "base32"], 1, "a seed in Base32 has A to Z and 2 to 7 alone"),
        ("fob", &[], 2, "to read codes from standard input, add --stdin or --json"),
        ("fob", &["--stdin", "--serial", " "], 2, "a serial number has 1 to 40 characters"),
    ] {
        let outcome = add(&site, user, name, &fob, more, "");
        assert!(outcome.code == Some(code) && outcome.err.contains(told), "{name} {more:?}: {outcome:?}");
    }
    assert_eq!(add(&site, "nobody-at-all", "fob", &fob, &["--stdin"], "").code, Some(3));
    let without = admin(&site, &["add", user, "fob"], "");
    assert!(without.code == Some(2) && without.err.contains("--token"), "{without:?}");
    assert_eq!(show(&site, user)["enrolled"], false);
    // With a file nothing is asked, so no terminal is needed.
    let file = alice.write("seed", &fob.hex, 0o600);
    let read = add(&site, user, "fob", &fob, &["--seed-file", file.to_str().unwrap(), "-q"], "");
    assert_eq!(read, Outcome { code: Some(0), out: String::new(), err: String::new() });
}
