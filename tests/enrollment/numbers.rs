//! A number and an address as a user's devices, on a terminal of 80 columns and 24 rows: added, listed and shown.

use pam_otp_tests::{
    outcome::Outcome,
    post::{NUMBER, Post, SENT},
    pty::{Pty, Terminal},
    self_service::PROOF,
    service::Service,
    users::TestUser,
};

const ADDRESS: &str = "alice.of.the.mountains.and.valleys@physics.example.org";
const NAME: &str = "Name of the new device [";
const PIN: &str = "PIN (or again, for another one): ";

/// All that was on the terminal fits it: nothing was broken by its edge, and nothing has left the screen.
fn fits(terminal: &Terminal) {
    let (text, rows) = (terminal.transcript(), terminal.screen());
    assert!(text.lines().all(|line| line.trim_end().chars().count() <= 80), "{text}");
    assert!(rows.lines().count() <= 24, "{rows}");
}

#[test]
fn a_number_and_an_address_are_added_and_shown_on_a_small_terminal() {
    let post = Post::start("");
    let alice = TestUser::new("alice");
    let _sshd = Service::installed_as("sshd", "auth required pam_otp.so");
    // The first device: its recovery codes are shown.
    let mut terminal = Pty::new("otp-enroll").args(["add", "--sms", "+61 412 345 678"]).user(&alice).start();
    terminal.wait_for(NAME);
    terminal.send_line("");
    let seen = terminal.wait_for(PIN);
    assert!(seen.contains("A PIN of four digits was sent to the number that ends in 78."), "{seen}");
    fits(&terminal);
    let pin = post.digits(NUMBER);
    terminal.send_line(if pin == "0000" { "0001" } else { "0000" });
    terminal.wait_for("that PIN is not correct; you can try 2 times more");
    terminal.wait_for(PIN);
    terminal.send_line("again");
    terminal.wait_for("The next message can be sent in ");
    terminal.wait_for(PIN);
    fits(&terminal);
    terminal.send_line(&pin);
    terminal.wait_for_screen("Save to file (or just press Enter): ");
    fits(&terminal);
    let page = terminal.screen();
    let codes: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{page}");
    terminal.send_line("");
    assert!(terminal.wait().success(), "{}", terminal.transcript());
    fits(&terminal);
    let end = terminal.transcript();
    assert!(end.contains("try it from a second one.\n\n    ssh") && !end.contains("code you typed"), "{end}");

    // A second one.
    post.some_time_passes();
    let mut terminal = Pty::new("otp-enroll").args(["add", "work", "--email", ADDRESS]).user(&alice).start();
    let seen = terminal.wait_for(PROOF);
    assert!(seen.contains(SENT), "{seen}");
    terminal.send_line(&codes[0]);
    // That was a message, too.
    let seen = terminal.wait_for(PIN);
    assert!(seen.contains("The next message can be sent in "), "{seen}");
    post.some_time_passes();
    terminal.send_line("again");
    let seen = terminal.wait_for(PIN);
    assert!(seen.contains("sent to a...@physics.example.org."), "{seen}");
    terminal.send_line(&post.digits(ADDRESS));
    assert!(terminal.wait().success(), "{}", terminal.transcript());
    fits(&terminal);
    let end = terminal.transcript();
    assert!(end.contains("Device 2, work, is set up.") && !end.contains("code you typed"), "{end}");

    for command in ["list", "status"] {
        let mut terminal = Pty::new("otp-enroll").args([command]).user(&alice).start();
        assert!(terminal.wait().success());
        fits(&terminal);
        // A text that is broken into lines, as one line.
        let shown = terminal.transcript().split_whitespace().collect::<Vec<_>>().join(" ");
        for text in
            ["text message to the number that ends in 78", "work", "e-mail to a...@physics.example.org", "default"]
        {
            assert!(shown.contains(text), "{text}: {shown}");
        }
        assert!(!shown.contains(NUMBER) && !shown.contains(ADDRESS), "shown in part: {shown}");
    }

    // What cannot be done is said before a code is sent for the proof, or asked for.
    post.some_time_passes_if_any();
    let sent = post.texts(NUMBER).len();
    for (arguments, expected) in [
        (&["add", "again", "--sms", "+61 412 345 678"][..], "codes are sent there already"),
        (&["add", "again", "--email", ADDRESS], "codes are sent there already"),
        (&["recovery", "--count", "12"], "the number of recovery codes is 1 to 10"),
        (&["reset", "--count", "12"], "the number of recovery codes is 1 to 10"),
    ] {
        let outcome = Outcome::of(alice.command("otp-enroll").args(arguments).arg("--stdin"), "");
        assert!(outcome.code == Some(1) && outcome.err.contains(expected), "{arguments:?}: {outcome:?}");
    }
    assert_eq!(post.texts(NUMBER).len(), sent);
}
