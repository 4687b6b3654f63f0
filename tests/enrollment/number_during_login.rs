//! A number is set up in the middle of a login, at a real sshd: chosen, named, and shown to be the user's by a PIN.

use pam_otp_tests::{
    desk::{CODE, PASSWORD},
    machine,
    phone::{Phone, key, recovery_codes},
    post::{NUMBER, Post, SENT},
    pty::{PATIENCE, Pty, Terminal},
    service::Service,
    site::Site,
    sshd::{Sshd, serving},
    syslog,
    users::TestUser,
};
use rustix::process::Signal;
use std::fs;

const CHOICE: &str = "Number of your choice [1]: ";
const WHICH: &str = "Number, such as +61412345678: ";
const PIN: &str = "PIN (or again, for another one): ";
const PIN_SENT: &str = "A PIN was sent to the number that ends in 78.";
const NEW_CODE: &str = "Code that the app shows: ";
const WRITTEN_DOWN: &str = "Type yes when you have written them down: ";

/// A user without a device whom the machine's policy leads to one, and a server whose lines send.
struct Desk {
    user: TestUser,
    post: Post,
    site: Site,
    sshd: Sshd,
}

impl Desk {
    fn new() -> Desk {
        Desk::accepting("")
    }

    /// With `devices` in the user's rule.
    fn accepting(devices: &str) -> Desk {
        let user = TestUser::new("al");
        let rule = format!("[[policy.rule]]\nuser = \"{}\"\nsecond_factor = \"enroll\"\n{devices}", user.name);
        let (post, site) = (Post::start(&rule), Site::of_the_machine());
        let sshd = Sshd::start("number", &stack(&site, true), "");
        Desk { user, post, site, sshd }
    }

    fn nothing_is_stored(&self) -> bool {
        !self.site.credentials(&self.user.name).exists() && !self.site.state_file(&self.user.name).exists()
    }

    fn after_the_password(&self) -> Terminal {
        let mut terminal = self.sshd.ssh(&self.user.name).option("LogLevel=INFO").start();
        terminal.wait_for(PASSWORD);
        terminal.send_line(&self.user.password);
        terminal
    }

    fn at_the_pin(&self, mut terminal: Terminal) -> Terminal {
        terminal.wait_for(CHOICE);
        terminal.send_line("2");
        terminal.wait_for(WHICH);
        terminal.send_line("+61 412 345 678");
        assert!(terminal.wait_for(PIN).contains(PIN_SENT), "{}", terminal.transcript());
        terminal
    }
}

/// The lines of the example; with `send`, on the two that may say so.
fn stack(site: &Site, send: bool) -> String {
    let stack = site.example_stack("password-and-code-with-set-up");
    if !send {
        return stack;
    }
    let sends = |line: &str| {
        let is_one = line.contains("pam_otp.so") && (line.starts_with("auth") || line.starts_with("password"));
        if is_one { format!("{line} send\n") } else { format!("{line}\n") }
    };
    stack.lines().map(sends).collect()
}

fn fits(terminal: &Terminal) {
    let text = terminal.transcript();
    assert!(text.lines().all(|line| line.trim_end().chars().count() <= 80), "{text}");
}

#[test]
fn a_number_is_chosen_and_verified_and_its_codes_let_in_from_then_on() {
    let desk = Desk::new();
    let (user, mark) = (desk.user.name.as_str(), syslog::mark());

    // A client that goes away at the PIN leaves nothing.
    let mut terminal = desk.at_the_pin(desk.after_the_password());
    terminal.signal(Signal::KILL);
    terminal.wait();
    let left = machine::wait(PATIENCE, || serving(user).is_empty().then_some(()));
    assert!(left.is_some() && desk.nothing_is_stored());
    desk.post.some_time_passes();

    let mut terminal = desk.after_the_password();
    let seen = terminal.wait_for(CHOICE);
    let ways = "Set up a second factor. Codes come from\n  1  an authenticator app\n  2  text messages\n  3  e-mail\n";
    assert!(seen.replace('\r', "").contains(ways), "{seen}");
    terminal.send_line("4");
    terminal.wait_for(CHOICE);
    terminal.send_line("2");
    terminal.wait_for(WHICH);
    terminal.send_line("0412 345 678");
    assert!(terminal.wait_for(WHICH).contains("Write the number with its country code."));
    terminal.send_line("+61 412 345 678");
    assert!(terminal.wait_for(PIN).contains(PIN_SENT));
    let pin = desk.post.digits(NUMBER);
    terminal.send_line(if pin == "0000" { "0001" } else { "0000" });
    assert!(terminal.wait_for(PIN).contains("That PIN is not correct."));
    terminal.send_line("again");
    assert!(terminal.wait_for(PIN).contains("Another PIN can be sent in "));
    assert!(desk.nothing_is_stored());
    fits(&terminal);
    terminal.send_line(&pin);
    let seen = terminal.wait_for(WRITTEN_DOWN);
    let recovery = recovery_codes(&seen);
    assert!(recovery.len() == 10 && desk.nothing_is_stored(), "{seen}");
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
    fits(&terminal);
    let record = fs::read_to_string(desk.site.credentials(user)).unwrap();
    assert!(record.contains(NUMBER), "{record}");

    // The next login, at once: it is too early for another message, and a recovery code lets in.
    let ssh = || desk.sshd.ssh(user).option("LogLevel=INFO");
    let login = ssh().dialogue(&[(PASSWORD, &desk.user.password), (CODE, &recovery[0])]);
    assert!(login.let_in() && login.transcript.contains("The next message can be sent in "), "{login:#?}");
    desk.post.some_time_passes();
    let mut terminal = desk.after_the_password();
    assert!(terminal.wait_for(CODE).contains(SENT));
    fits(&terminal);
    terminal.send_line(&desk.post.digits(NUMBER));
    terminal.wait_for("LOGGED-IN");
    let all = syslog::lines_since(mark).concat();
    for secret in [&pin, &recovery[0], &recovery[9], &desk.post.digits(NUMBER)] {
        assert!(!all.contains(secret.as_str()) || secret.len() < 5, "a secret is in the log");
    }
}

/// Where no app is accepted, a line that does not send has nothing to offer, and refuses as if a device were required.
#[test]
fn a_number_is_set_up_where_the_policy_accepts_nothing_else() {
    let desk = Desk::accepting("devices = [\"sms\"]\n");
    let mut terminal = desk.after_the_password();
    let seen = terminal.wait_for(WHICH);
    assert!(
        seen.contains("Set up a second factor. Codes come from text messages.") && !seen.contains(CHOICE),
        "{seen}"
    );
    terminal.send_line("+61 412 345 678");
    assert!(terminal.wait_for(PIN).contains(PIN_SENT));
    terminal.send_line(&desk.post.digits(NUMBER));
    terminal.wait_for(WRITTEN_DOWN);
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
    fits(&terminal);
    desk.post.some_time_passes();
    let mut terminal = desk.after_the_password();
    assert!(terminal.wait_for(CODE).contains(SENT));
    terminal.send_line(&desk.post.digits(NUMBER));
    terminal.wait_for("LOGGED-IN");
    desk.site.admin(&["reset", "--yes", &desk.user.name]);

    let explain = || {
        let outcome =
            desk.site.admin(&["explain", "--user", &desk.user.name, "--service", desk.sshd.service().name(), "--json"]);
        serde_json::from_str::<serde_json::Value>(&outcome).unwrap()["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(explain(), "enroll");
    desk.sshd.service().set(&stack(&desk.site, false));
    assert_eq!(explain(), "refused");
    let login = desk.sshd.ssh(&desk.user.name).dialogue(&[(PASSWORD, &desk.user.password), (CODE, "123456")]);
    assert!(!login.let_in() && !login.transcript.contains("Set up a second factor"), "{login:#?}");
    assert!(desk.nothing_is_stored());
}

#[test]
fn no_kind_is_offered_that_the_login_would_not_accept() {
    let desk = Desk::accepting("devices = [\"sms\", \"email\"]\n");
    let mut terminal = desk.after_the_password();
    let seen = terminal.wait_for(CHOICE);
    assert!(seen.replace('\r', "").contains("Codes come from\n  1  text messages\n  2  e-mail\n"), "{seen}");
    terminal.send_line("");
    terminal.wait_for(WHICH);
    terminal.hang_up();
    terminal.wait();

    // Nothing sends: refused as where a device is required.
    let config = fs::read_to_string(desk.site.config()).unwrap();
    desk.site.write(&config.replace("\nsend = ", "\n#send = "));
    let login = desk.sshd.ssh(&desk.user.name).dialogue(&[(PASSWORD, &desk.user.password), (CODE, "123456")]);
    assert!(!login.let_in() && !login.transcript.contains("Set up a second factor"), "{login:#?}");
    desk.site.write(&config.replace("devices = [\"sms\", \"email\"]", "devices = [\"totp\"]"));
    let mut terminal = desk.after_the_password();
    assert!(!terminal.wait_for(NEW_CODE).contains("Codes come from"), "{}", terminal.transcript());
    terminal.hang_up();
    terminal.wait();
    assert!(desk.nothing_is_stored());
}

#[test]
fn the_choice_is_there_where_the_password_line_sends_and_a_program_is_configured() {
    let mut desk = Desk::new();
    // Enter chooses the app.
    let mut terminal = desk.after_the_password();
    terminal.wait_for(CHOICE);
    terminal.send_line("");
    let shown = key(&terminal.wait_for(NEW_CODE));
    fits(&terminal);
    terminal.send_line(&Phone::with_key(&desk.site, &desk.user.name, &shown).next_code());
    assert_eq!(recovery_codes(&terminal.wait_for(WRITTEN_DOWN)).len(), 10);
    terminal.send_line("yes");
    terminal.wait_for("LOGGED-IN");
    desk.site.admin(&["reset", "--yes", &desk.user.name]);

    // At a terminal whose program asks modules to be silent, as sudo does.
    let rule = format!("/etc/sudoers.d/{}", desk.user.name);
    fs::write(&rule, format!("{} ALL=(ALL) /bin/echo\n", desk.user.name)).unwrap();
    let sudo = Service::installed_as("sudo", &stack(&desk.site, true));
    let mut terminal = Pty::new("sudo").args(["-k", "/bin/echo", "LET-IN"]).user(&desk.user).start();
    terminal.wait_for("password for");
    terminal.send_line(&desk.user.password);
    let mut terminal = desk.at_the_pin(terminal);
    terminal.send_line(&desk.post.digits(NUMBER));
    terminal.wait_for(WRITTEN_DOWN);
    terminal.send_line("yes");
    terminal.wait_for("LET-IN");
    fs::remove_file(rule).unwrap();
    drop(sudo);
    desk.site.admin(&["reset", "--yes", &desk.user.name]);
    desk.post.some_time_passes();

    // Where nothing can be sent, the next login may choose an app.
    desk.post.fail("exit 75");
    let mut terminal = desk.after_the_password();
    terminal.wait_for(CHOICE);
    terminal.send_line("2");
    terminal.wait_for(WHICH);
    terminal.send_line(NUMBER);
    assert!(terminal.wait_for(WHICH).contains("The PIN could not be sent."));
    terminal.send("\u{3}");
    terminal.wait();
    let mut terminal = desk.after_the_password();
    terminal.wait_for(CHOICE);
    terminal.send_line("2");
    terminal.wait_for(WHICH);
    // It is gone while the user types.
    desk.post.agent.disable();
    let mark = syslog::mark();
    terminal.send_line(NUMBER);
    terminal.wait_for("The PIN could not be sent.");
    terminal.wait_for("Nothing was set up. Log in again to start over.");
    assert!(!terminal.wait().success() && desk.nothing_is_stored(), "{}", terminal.transcript());
    let log = syslog::lines_since(mark);
    let why = format!("not-sent user={} kind=sms error=", desk.user.name);
    assert!(log.iter().any(|line| line.contains(&why)), "{log:#?}");

    desk.sshd.service().set(&stack(&desk.site, false));
    let mut terminal = desk.after_the_password();
    assert!(!terminal.wait_for(NEW_CODE).contains("Codes come from"), "{}", terminal.transcript());
    terminal.hang_up();
    terminal.wait();
}
