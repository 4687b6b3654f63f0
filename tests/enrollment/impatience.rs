//! A second factor and a user without patience, who stops, gives up, or comes back too late.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops where it is"
)]

use pam_otp_tests::{
    app::{App, Enrolled},
    machine,
    outcome::Outcome,
    pty::{PATIENCE, Pty, Terminal},
    screen::{self, Theme},
    self_service::{PROOF, status},
    users::TestUser,
};
use std::{process::Command, time::Duration};

const CODE: &str = "Code that the app shows: ";
const FILE: &str = "Save to file (or just press Enter): ";
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";
const CTRL_BACKSLASH: &str = "\u{1c}";
const CTRL_Z: &str = "\u{1a}";

/// A shell with job control.
fn at_the_shell(user: &TestUser) -> Terminal {
    user.write(".bashrc", "PS1='ready$ '\n", 0o644);
    let mut terminal = Pty::new("bash").user(user).start();
    terminal.wait_for("ready$ ");
    terminal
}

/// The same, and in it the set-up at the question for a first code.
fn at_the_key(user: &TestUser, environment: &str) -> (Terminal, String) {
    let mut terminal = at_the_shell(user);
    terminal.send_line(&format!("{environment} otp-enroll"));
    terminal.wait_for(CODE);
    let uri = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark)).unwrap();
    (terminal, uri)
}

fn has_key(terminal: &Terminal) -> bool {
    let screen = terminal.screen();
    screen.contains("secret=") || screen.contains('█') || screen.contains('▀')
}

fn is_alternate(terminal: &Terminal) -> bool {
    terminal.with_screen(vt100::Screen::alternate_screen)
}

fn stop(terminal: &mut Terminal) {
    terminal.send(CTRL_Z);
    terminal.wait_for("Stopped");
    terminal.wait_for("ready$ ");
}

/// The key on the screen, once it is all drawn.
fn shown(terminal: &Terminal) -> String {
    machine::wait(PATIENCE, || terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark)))
        .unwrap_or_else(|| panic!("no QR code on\n{}", terminal.screen()))
}

fn enrolled(user: &TestUser) -> bool {
    status(user)["enrolled"] == true
}

/// As after a quarter of an hour: its alarm ends the helper.
fn wait_too_long(user: &TestUser) {
    machine::run(Command::new("pkill").args(["-ALRM", "-x", "otp-helper", "-U", &user.uid.to_string()]));
}

#[test]
fn a_stopped_enrollment_leaves_no_key_on_the_screen_and_continues() {
    let alice = TestUser::new("alice");
    let (mut terminal, uri) = at_the_key(&alice, "");
    for _ in 0..2 {
        stop(&mut terminal);
        assert!(!is_alternate(&terminal) && !has_key(&terminal), "{}", terminal.screen());
        terminal.send_line("fg");
        terminal.wait_for(CODE);
        assert_eq!(shown(&terminal), uri);
        assert!(is_alternate(&terminal));
    }
    terminal.send_line(&App::scan(&uri).code(0));
    terminal.wait_for(FILE);
    stop(&mut terminal);
    assert!(!is_alternate(&terminal) && !terminal.screen().contains("Recovery codes"), "{}", terminal.screen());
    terminal.send_line("fg");
    terminal.wait_for(FILE);
    terminal.wait_for_screen("Recovery codes of ");
    terminal.send_line("");
    terminal.wait_for("before you close this session");
    terminal.wait_for("ready$ ");
    assert!(!is_alternate(&terminal) && enrolled(&alice));
}

#[test]
fn in_the_background_it_shows_nothing_and_ends_without_a_trace() {
    let alice = TestUser::new("alice");
    let (mut terminal, uri) = at_the_key(&alice, "");
    stop(&mut terminal);
    // There it stops again where it would read.
    terminal.send_line("bg; until jobs -s | grep otp; do sleep 0.1; done; echo it' 'stays");
    terminal.wait_for("it stays");
    assert!(!is_alternate(&terminal) && !has_key(&terminal), "{}", terminal.screen());
    terminal.send_line("fg");
    terminal.wait_for(CODE);
    assert_eq!(shown(&terminal), uri);
    stop(&mut terminal);
    // More than once: it may stop at reading before it comes to ending.
    terminal.send_line("echo still here; while kill %1 2> /dev/null; do sleep 0.1; done; echo no' 'more");
    terminal.wait_for("interrupted: nothing was changed");
    terminal.wait_for("no more");
    let screen = terminal.screen();
    assert!(screen.contains("still here") && !has_key(&terminal), "nothing of the shell's was wiped:\n{screen}");
    assert!(!enrolled(&alice));
}

#[test]
fn what_begins_in_the_background_shows_nothing_until_it_is_in_front() {
    let alice = TestUser::new("alice");
    let mut terminal = at_the_shell(&alice);
    terminal.send_line("otp-enroll & until jobs -s | grep otp; do sleep 0.1; done; echo it' 'stays");
    terminal.wait_for("it stays");
    assert!(!is_alternate(&terminal) && !has_key(&terminal), "{}", terminal.screen());
    terminal.send_line("fg");
    terminal.wait_for(CODE);
    shown(&terminal);
    terminal.send(CTRL_C);
    terminal.wait_for("interrupted: nothing was changed");
    assert!(terminal.screen().contains("it stays") && !has_key(&terminal), "{}", terminal.screen());
}

#[test]
fn without_an_alternate_screen_it_asks_again() {
    let alice = TestUser::new("alice");
    let (mut terminal, uri) = at_the_key(&alice, "TERM=dumb");
    stop(&mut terminal);
    terminal.send_line("fg");
    terminal.wait_for(CODE);
    terminal.send_line(&App::scan(&uri).code(0));
    terminal.wait_for(FILE);
    terminal.send(CTRL_C);
    terminal.wait_for("\r\ninterrupted: the second factor is set up");
}

#[test]
fn without_a_shell_to_continue_it_it_does_not_stop() {
    let alice = TestUser::new("alice");
    // Its process group is orphaned, as that of a command under `ssh -t`: it leads the session.
    let mut terminal = Pty::new("otp-enroll").user(&alice).start();
    terminal.wait_for(CODE);
    let uri = shown(&terminal);
    terminal.send(CTRL_Z);
    terminal.wait_for(CODE);
    assert_eq!(shown(&terminal), uri);
    terminal.send(CTRL_BACKSLASH);
    assert_eq!(terminal.wait().code(), Some(130), "{}", terminal.transcript());
    assert!(!is_alternate(&terminal) && !has_key(&terminal), "{}", terminal.screen());
    assert_eq!(terminal.screen().trim(), "interrupted: nothing was changed");
}

#[test]
fn a_user_who_gives_up_a_reset_is_told_what_it_has_cost() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let spent = "the old second factor still works; the code you gave for it is used up";
    for (place, (key, code, said)) in [
        (CTRL_C, 130, format!("interrupted: {spent}\n")),
        (CTRL_D, 4, format!("otp-enroll: the input ended before the question was answered\n  {spent}\n")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut terminal = Pty::new("otp-enroll").args(["reset"]).user(&alice).start();
        terminal.wait_for(PROOF);
        terminal.send_line(&set_up.recovery[place]);
        terminal.wait_for(CODE);
        terminal.send(key);
        assert_eq!(terminal.wait().code(), Some(code));
        assert!(terminal.transcript().ends_with(&said), "{}", terminal.transcript());
        assert_eq!(status(&alice)["recovery_codes_left"], 9 - place);
    }
    // The same without a person.
    let tried = [&set_up.recovery[2], "000000", ""].join("\n");
    let outcome = Outcome::of(alice.command("otp-enroll").args(["reset", "--json"]), &tried);
    assert_eq!((outcome.code, &outcome.json()[1]["hint"]), (Some(1), &spent.into()), "{outcome:?}");
}

#[test]
fn a_user_who_comes_back_too_late_is_told_so() {
    let alice = TestUser::new("alice");
    let late = "otp-enroll: the helper has ended: it waits 15 minutes for each answer\n";
    let mut terminal = Pty::new("otp-enroll").user(&alice).start();
    terminal.wait_for(CODE);
    let uri = shown(&terminal);
    wait_too_long(&alice);
    terminal.send_line(&App::scan(&uri).code(0));
    assert_eq!(terminal.wait().code(), Some(4));
    let said = terminal.transcript();
    assert!(said.ends_with(&format!("{late}  nothing was changed; start again\n")), "{said}");
    assert!(!enrolled(&alice));
}

#[test]
fn no_question_is_asked_in_vain() {
    let alice = TestUser::new("alice");
    let _set_up = Enrolled::new(&alice);
    machine::run(Command::new("otp-enroll").args(["admin", "require", &alice.name]));
    let mut terminal = Pty::new("otp-enroll").args(["disable"]).user(&alice).start();
    assert_eq!(terminal.wait().code(), Some(1), "{}", terminal.transcript());
    let said = "otp-enroll: your administrator requires a second factor for this account\n  to change phones use: otp-enroll reset\n";
    assert_eq!(terminal.transcript(), said);
}

#[test]
fn enter_pressed_twice_does_not_turn_the_page_with_the_recovery_codes() {
    let alice = TestUser::new("alice");
    for typed_ahead in ["\r", "\r\rcodes\r"] {
        let mut terminal = Pty::new("otp-enroll").user(&alice).start();
        terminal.wait_for(CODE);
        let uri = shown(&terminal);
        terminal.send(App::scan(&uri).code(0) + "\r" + typed_ahead);
        terminal.wait_for(FILE);
        assert_eq!(terminal.look_for("recovery codes were shown", Duration::from_millis(500)), None);
        terminal.send_line("");
        terminal.wait_for("10 recovery codes were shown");
        machine::run(Command::new("otp-enroll").args(["admin", "disable", "--yes", &alice.name]));
    }
    assert!(!alice.home.join("codes").exists());
}
