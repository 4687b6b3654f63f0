//! The guided set-up when its user stops it and goes on, as shells let them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    app::App,
    machine,
    outcome::Outcome,
    pty::{PATIENCE, Pty, Terminal},
    screen::{self, Theme},
    users::TestUser,
};

const CODE: &str = "Code that the app shows: ";
const FILE: &str = "File, or just Enter: ";
const CTRL_Z: &str = "\u{1a}";

/// A shell with job control, and in it the set-up at the question for a first code.
fn at_the_key(user: &TestUser, environment: &str) -> (Terminal, String) {
    user.write(".bashrc", "PS1='ready$ '\n", 0o644);
    let mut terminal = Pty::new("bash").user(user).start();
    terminal.wait_for("ready$ ");
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
    let status = Outcome::of(user.command("otp-enroll").args(["status", "--json"]), "").json().remove(0);
    status["enrolled"] == true
}

#[test]
fn whoever_stops_it_leaves_no_key_on_the_screen_and_finds_it_again() {
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
    terminal.wait_for("try it from a second one");
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
    terminal.send_line("echo still here; kill %1; wait %1; echo ''ended $?");
    terminal.wait_for("interrupted: nothing was changed");
    terminal.wait_for("ended 130");
    let screen = terminal.screen();
    assert!(screen.contains("still here") && !has_key(&terminal), "nothing of the shell's was wiped:\n{screen}");
    assert!(!enrolled(&alice));
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
    terminal.send("\u{3}");
    terminal.wait_for("\r\ninterrupted: it is set up");
}

#[test]
fn where_nobody_could_continue_it_it_does_not_stop() {
    let alice = TestUser::new("alice");
    // Its process group is orphaned, as that of a command under `ssh -t`: it leads the session.
    let mut terminal = Pty::new("otp-enroll").user(&alice).start();
    terminal.wait_for(CODE);
    let uri = shown(&terminal);
    terminal.send(CTRL_Z);
    terminal.wait_for(CODE);
    assert_eq!(shown(&terminal), uri);
    terminal.send("\u{1c}");
    assert_eq!(terminal.wait().code(), Some(130), "{}", terminal.transcript());
    assert!(!is_alternate(&terminal) && !has_key(&terminal), "{}", terminal.screen());
    assert_eq!(terminal.screen().trim(), "interrupted: nothing was changed");
}
