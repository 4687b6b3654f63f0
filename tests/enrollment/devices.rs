//! Several devices of a user: added, listed, renamed, chosen and removed, each change for a proof.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    app::{App, Enrolled},
    hardware_token::HardwareToken,
    machine,
    outcome::{Dialogue, Outcome},
    pty::Pty,
    screen::{self, Theme},
    self_service::{PROOF, is_right, said, status},
    syslog,
    users::TestUser,
};
use serde_json::{Value, json};
use std::process::Command;

const CODE: &str = "Code that the app shows: ";

/// Numbers and names, the default's with a star.
fn devices(user: &TestUser) -> Vec<String> {
    let listed = said(user, &["list", "--json"], "").json();
    let shown = |device: &Value| {
        let star = if device["default"] == true { "*" } else { "" };
        format!("{}{star} {}", device["id"], device["name"].as_str().unwrap())
    };
    listed.iter().map(shown).collect()
}

/// Another app for the user, under this name. Its confirming code was that of the step before the present one.
fn add(user: &TestUser, name: &str, proof: &str) -> (App, Value) {
    let mut talk = Dialogue::start(user.command("otp-enroll").args(["add", name, "--json"]));
    talk.say(proof);
    let app = App::scan(talk.json()["uri"].as_str().unwrap());
    talk.say(&app.wrong());
    talk.say(&app.previous_code());
    let answer = talk.json();
    assert_eq!(talk.end(), Outcome { code: Some(0), out: String::new(), err: String::new() });
    (app, answer)
}

/// A token for the user, added by root in a moment.
fn token(user: &TestUser, name: &str, token: &HardwareToken) -> Outcome {
    let mut command = Command::new("otp-enroll");
    command.args(["admin", "add", &user.name, name, "--json"]).args(token.options());
    Outcome::of(&mut command, &format!("{}\n", token.hex))
}

#[test]
fn a_device_is_added_renamed_chosen_and_removed_each_for_a_proof_and_a_line_in_the_log() {
    let alice = TestUser::new("alice");
    let user = alice.name.as_str();
    let Enrolled { app: phone, recovery } = Enrolled::new(&alice);
    let mark = syslog::mark();
    let (tablet, answer) = add(&alice, "tablet", &recovery[0]);
    let added = json!({"user": user, "changed": true, "device": 2, "name": "tablet", "recovery_codes_left": 9});
    assert_eq!(answer, added);
    assert!(is_right(&alice, &phone.code(0)) && is_right(&alice, &tablet.code(0)), "a code of either is good");
    assert!(is_right(&alice, &recovery[1]), "recovery codes stay");

    let change = |arguments: &[&str], proof: &str| {
        let outcome = said(&alice, &[arguments, &["--json"]].concat(), &format!("{proof}\n"));
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{outcome:?}");
        outcome.json().remove(0)
    };
    let answer = |device: u8, name: &str| json!({"user": user, "changed": true, "device": device, "name": name});
    assert_eq!(change(&["rename", "2", " blue tablet "], &recovery[2]), answer(2, "blue tablet"));
    assert_eq!(change(&["rename", "Blue TABLET", "Blue tablet"], &tablet.code(1)), answer(2, "Blue tablet"));
    assert_eq!(change(&["default", "blue tablet"], &phone.code(1)), answer(2, "Blue tablet"));
    assert_eq!(devices(&alice), ["1 authenticator", "2* Blue tablet"]);
    let mut removed = answer(2, "Blue tablet");
    removed["default"] = 1.into();
    assert_eq!(change(&["remove", "2", "--yes"], &recovery[3]), removed);
    assert_eq!(devices(&alice), ["1* authenticator"]);
    assert!(!is_right(&alice, &tablet.code(1)));

    let log = syslog::lines_since(mark).into_iter().filter(|line| line.contains(&format!(" user={user} ")));
    let changes: Vec<_> = log.filter_map(|line| Some(line.split_once("]: ")?.1.to_owned())).collect();
    let by = format!("user={user} by_uid={}", alice.uid);
    for (what, proof) in [
        ("proved", "change=another-device proof=recovery-code recovery_left=9"),
        ("device-added", "changed_device=2 proof=recovery-code recovery_left=9"),
        ("device-renamed", "changed_device=2 proof=recovery-code recovery_left=7"),
        ("device-renamed", "changed_device=2 proof=code device=2 recovery_left=7"),
        ("default-changed", "changed_device=2 proof=code device=1 recovery_left=7"),
        ("device-removed", "changed_device=2 proof=recovery-code recovery_left=6"),
    ] {
        let written = changes.iter().any(|line| line.starts_with(&format!("{what} {by}")) && line.contains(proof));
        assert!(written, "{what} {proof}: {changes:#?}");
    }
    // Numbers are never given again.
    assert_eq!(add(&alice, "tablet", &recovery[4]).1["device"], 3);
}

#[test]
fn what_cannot_be_done_says_what_to_do_and_asks_for_no_code() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let none = "nothing was changed; the devices: otp-enroll list";
    let name = "nothing was changed; choose another name";
    let reserved = "this name would be taken for a code, for the number of a device, or for a kind of device";
    let visible = "a name has 1 to 40 characters, all of them visible";
    let disable = "if it is lost or replaced: otp-enroll reset, with a recovery code; to have no second factor: otp-enroll disable";
    let long = "x".repeat(41);
    let only = "that is the only device: without it the second factor would be gone";
    for (arguments, error, hint) in [
        (&["rename", "2", "x"][..], "no device has this number or name", none),
        (&["rename", "phone", "x"], "no device has this number or name", none),
        (&["rename", "1", ""], visible, name),
        (&["rename", "1", &long], visible, name),
        (&["rename", "1", "a\u{202e}b"], visible, name),
        (&["rename", "1", "a\u{1b}[2J"], visible, name),
        (&["rename", "1", "123456"], reserved, name),
        (&["rename", "1", "7"], reserved, name),
        (&["rename", "1", "SMS"], reserved, name),
        (&["rename", "1", "AAAA-AAAA-AAAA-AAAA"], reserved, name),
        (&["remove", "1", "--yes"], only, disable),
        (&["remove", "authenticator"], only, disable),
        (&["remove", "7", "--yes"], "no device has this number or name", none),
        (&["default", "+1"], "no device has this number or name", none),
        (&["add", "Authenticator"], "another device has this name", name),
        (&["add", "email"], reserved, name),
        (&["add", " "], visible, name),
        (&["resync"], "only hardware tokens are resynchronized: an app's phone sets its clock", none),
        (&["resync", "1"], "only hardware tokens are resynchronized: an app's phone sets its clock", none),
        (&["resync", "2"], "no device has this number or name", none),
    ] {
        let outcome = said(&alice, &[arguments, &["--stdin"]].concat(), &set_up.recovery[0]);
        let told = format!("otp-enroll: {error}\n  {hint}\n");
        let expected = Outcome { code: Some(1), out: String::new(), err: told };
        assert_eq!(outcome, expected, "{arguments:?}");
    }
    let outcome = said(&alice, &["add", "--save-recovery", "x", "--stdin"], &set_up.recovery[0]);
    assert!(outcome.code == Some(2) && outcome.err.contains("the recovery codes stay"), "{outcome:?}");
    for (arguments, changed) in [(["default", "1"], false), (["default", "authenticator"], false)] {
        assert_eq!(said(&alice, &[&arguments[..], &["--json"]].concat(), "").json()[0]["changed"], changed);
    }
    assert_eq!(said(&alice, &["rename", "1", "authenticator", "--json"], "").json()[0]["changed"], false);
    for (arguments, code) in [
        (&["rename", "1", "x"][..], 2),
        (&["default", "1", "x"], 2),
        (&["remove"], 2),
        (&["rename", "1", "phone", "--stdin"], 1),
        (&["add", "--json"], 1),
    ] {
        let wrong = said(&alice, arguments, &set_up.app.wrong());
        assert_eq!(wrong.code, Some(code), "{arguments:?}: {wrong:?}");
    }
    assert_eq!(devices(&alice), ["1* authenticator"]);
    assert_eq!(status(&alice)["recovery_codes_left"], 10, "no proof was used up");

    let bob = TestUser::new("bob");
    for arguments in [&["rename", "1", "x"][..], &["remove", "1", "--yes"], &["default", "1"], &["resync"]] {
        let outcome = said(&bob, &[arguments, &["--stdin"]].concat(), "123456\n");
        assert_eq!(outcome.err, "otp-enroll: no second factor is set up\n  set one up with: otp-enroll\n");
        assert_eq!(outcome.code, Some(3));
    }
}

#[test]
fn without_a_device_add_sets_up_the_first_with_recovery_codes() {
    let alice = TestUser::new("alice");
    let mut talk = Dialogue::start(alice.command("otp-enroll").args(["add", "my phone", "--json"]));
    let app = App::scan(talk.json()["uri"].as_str().unwrap());
    talk.say(&app.previous_code());
    let answer = talk.json();
    assert_eq!(answer["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(talk.end().code, Some(0));
    assert_eq!(devices(&alice), ["1* my phone"]);
}

#[test]
fn the_ninth_device_is_refused_before_a_code_is_asked_for() {
    let alice = TestUser::new("alice");
    let Enrolled { recovery, app } = Enrolled::new(&alice);
    for n in 2..=8_u8 {
        let outcome = token(&alice, &format!("token {n}"), &HardwareToken::hotp(n));
        assert_eq!(outcome.json()[0]["device"], n, "{outcome:?}");
    }
    let outcome = said(&alice, &["add", "--stdin"], &recovery[0]);
    let told = "otp-enroll: a user has at most 8 devices\n  remove one first: otp-enroll remove DEVICE\n";
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(1), told));
    let outcome = token(&alice, "ninth", &HardwareToken::hotp(9));
    assert!(outcome.err.contains(&format!("otp-enroll admin remove {} DEVICE", alice.name)), "{outcome:?}");
    // Each of the eight is good.
    assert!(is_right(&alice, &app.code(0)));
    for n in 2..=8 {
        assert!(is_right(&alice, &HardwareToken::hotp(n).code(0)), "{n}");
    }
    let left = status(&alice)["recovery_codes_left"].clone();
    assert_eq!(left, 10);
    let reset = said(&alice, &["reset", "--stdin"], &app.wrong());
    assert!(reset.err.contains("this replaces all 8 devices and the recovery codes"), "{reset:?}");
}

#[test]
fn where_there_are_no_recovery_codes_it_says_so() {
    let alice = TestUser::new("alice");
    let fob = HardwareToken::hotp(1);
    assert_eq!(token(&alice, "fob", &fob).code, Some(0));
    let mut talk = Dialogue::start(alice.command("otp-enroll").args(["add", "--stdin"]));
    talk.say(&fob.code(0));
    let key = talk.line().strip_prefix("Key").unwrap().trim().to_owned();
    talk.line();
    talk.line();
    talk.say(&App::of(&key).previous_code());
    let end = talk.end();
    assert_eq!(
        end.out,
        "Device 2, authenticator, is set up.\n\
         The code you typed is used up: log in with the next one.\n\
         There are no recovery codes; get some with: otp-enroll recovery\n",
        "{end:?}"
    );
}

#[test]
fn the_guide_offers_a_name_and_shows_no_recovery_codes() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let mut terminal = Pty::new("otp-enroll").args(["add"]).user(&alice).start();
    let question = "Name of the new device [authenticator 2]: ";
    for (name, sentence) in [
        ("authenticator", "another device has this name"),
        ("123456", "this name would be taken for a code"),
        (&"x".repeat(41), "a name has 1 to 40 characters"),
    ] {
        terminal.wait_for(question);
        terminal.send_line(name);
        terminal.wait_for(sentence);
    }
    terminal.wait_for(question);
    terminal.send_line("");
    terminal.wait_for(PROOF);
    terminal.send_line(&set_up.recovery[0]);
    terminal.wait_for_screen(CODE);
    let uri = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark)).unwrap();
    let app = App::scan(&uri);
    terminal.send_line(&app.wrong());
    terminal.wait_for_question("That code is not correct", CODE);
    terminal.send_line(&app.previous_code());
    assert!(terminal.wait().success());
    let end = terminal.screen();
    assert!(end.contains("Device 2, authenticator 2, is set up."), "{end}");
    assert!(end.contains("Your recovery codes stay as they are; 9 are left."), "{end}");
    assert!(is_right(&alice, &app.code(0)));
}

#[test]
fn an_interruption_after_the_proof_says_what_became_of_it() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let mut terminal = Pty::new("otp-enroll").args(["add", "tablet"]).user(&alice).start();
    terminal.wait_for(PROOF);
    terminal.send_line(&set_up.recovery[0]);
    terminal.wait_for_screen(CODE);
    terminal.send("\u{3}");
    assert_eq!(terminal.wait().code(), Some(130));
    let told = "interrupted: no device was added, and the others still work; the code you gave is used up";
    let screen = terminal.screen().replace('\n', "");
    assert!(screen.contains(told), "{screen}");
    assert_eq!(devices(&alice), ["1* authenticator"]);
    let outcome = said(&alice, &["add", "--json"], &format!("{}\n", set_up.recovery[1]));
    let hint = "no device was added, and the others still work; the code you gave is used up";
    assert!(outcome.code == Some(4) && outcome.err.contains(hint), "{outcome:?}");
}

#[test]
fn a_person_is_asked_before_a_device_is_removed() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    assert_eq!(token(&alice, "fob", &HardwareToken::hotp(1)).code, Some(0));
    let without = said(&alice, &["remove", "fob", "--stdin"], &set_up.recovery[0]);
    assert!(without.code == Some(2) && without.err.contains("add --yes"), "{without:?}");
    for (answer, end) in [("n", "cancelled: nothing was changed"), ("y", "Device 2, fob, is removed.")] {
        let mut terminal = Pty::new("otp-enroll").args(["remove", "2"]).user(&alice).start();
        terminal.wait_for("Remove device 2, fob?");
        terminal.send_line(answer);
        if answer == "y" {
            terminal.wait_for(PROOF);
            terminal.send_line(&set_up.recovery[0]);
        }
        terminal.wait_for(end);
        terminal.wait();
    }
    assert_eq!(devices(&alice), ["1* authenticator"]);
}

#[test]
fn without_a_command_the_two_ways_on_are_named() {
    let alice = TestUser::new("alice");
    Enrolled::new(&alice);
    assert_eq!(token(&alice, "blue key", &HardwareToken::hotp(1).shaped("SHA256", 8, None)).code, Some(0));
    let today = machine::run(Command::new("date").args(["--utc", "+%F"])).trim().to_owned();
    let shown = said(&alice, &[], "").out;
    for line in [
        "Device 1         authenticator, TOTP, 6 digits, default".to_owned(),
        format!("                 since {today}, never used"),
        "Device 2         blue key, HOTP, SHA256, 8 digits".to_owned(),
        format!("                 since {today}, not confirmed yet"),
        "Another device:        otp-enroll add".to_owned(),
        "A new phone instead:   otp-enroll reset".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    let list = said(&alice, &["list"], "").out;
    let lines = [
        format!("  1  authenticator  TOTP, 6 digits          default  since {today}, never used\n"),
        format!("  2  blue key       HOTP, SHA256, 8 digits           since {today}, not confirmed yet\n"),
    ];
    assert_eq!(list, lines.concat());
}
