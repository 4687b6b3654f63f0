//! What a device shows works in each host: sshd with a password and with a key, su, sudo and login.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    desk::{CODE, PASSWORD},
    keypad::Keypad,
    machine,
    outcome::Dialogue,
    phone::Phone,
    post::{NUMBER, Post, SENT},
    pty::{PATIENCE, Pty},
    service::Service,
    site::Site,
    sshd::{Login, Sshd},
    syslog,
    users::TestUser,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const ADDRESS: &str = "alice@example.org";
const QUESTION: &str = "Type this into your token: ";

const HOSTS: [&str; 5] = ["ssh", "ssh with a key", "su", "sudo", "login"];

/// A user before each of the hosts. In each, a login that is let in says so.
struct Doors {
    user: TestUser,
    other: TestUser,
    stack: String,
    by_password: Sshd,
    by_key: Sshd,
    key: PathBuf,
}

impl Doors {
    /// With this line after password or key.
    fn new(user: TestUser, otp: &str) -> Doors {
        let stack = |first| format!("{first}{otp}\naccount required pam_unix.so\nsession required pam_permit.so\n");
        let by_password = Sshd::start("pw", &stack("@include common-auth\n"), "");
        let with_key = "AuthenticationMethods publickey,keyboard-interactive:pam";
        let by_key = Sshd::start("key", &stack(""), with_key);
        let key = by_key.key_for(&user);
        user.write(".bash_profile", "echo LET-IN\nexit\n", 0o644);
        fs::write(sudo_rule(&user), format!("{} ALL=(ALL) /bin/echo\n", user.name)).unwrap();
        Doors { other: TestUser::new("bob"), stack: stack("@include common-auth\n"), user, by_password, by_key, key }
    }

    /// A login at one of the hosts with what `code` makes of the terminal up to the question: whether it let in, and all that was
    /// on the terminal.
    fn log_in(&self, host: &str, code: impl FnOnce(&str) -> String) -> (bool, String) {
        let of_the_host = || Service::installed_as(host, &self.stack);
        let command = "echo LET-IN";
        let (_service, mut terminal) = match host {
            "ssh" => (None, self.by_password.ssh(&self.user.name).command(command).start()),
            "ssh with a key" => (None, self.by_key.ssh(&self.user.name).key(&self.key).command(command).start()),
            "su" => {
                (Some(of_the_host()), Pty::new("su").args(["-c", command, &self.user.name]).user(&self.other).start())
            }
            "sudo" => {
                (Some(of_the_host()), Pty::new("sudo").args(["-k", "/bin/echo", "LET-IN"]).user(&self.user).start())
            }
            "login" => (Some(of_the_host()), Pty::new("login").args(["-p", &self.user.name]).start()),
            _ => panic!("no host: {host}"),
        };
        if host != "ssh with a key" {
            terminal.wait_for("assword");
            terminal.wait_for(": ");
            terminal.send_line(&self.user.password);
        }
        let code = code(&terminal.wait_for(CODE));
        terminal.send_line(&code);
        let let_in = terminal.look_for("LET-IN", PATIENCE).is_some();
        terminal.wait();
        let text = terminal.transcript();
        assert!(!text.contains(&code), "{host}: what is typed is not shown: {text}");
        (let_in, text)
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        let _ = fs::remove_file(sudo_rule(&self.user));
    }
}

fn sudo_rule(user: &TestUser) -> PathBuf {
    Path::new("/etc/sudoers.d").join(&user.name)
}

/// The number that is shown before the question.
fn question(seen: &str) -> &str {
    let line = seen.lines().find_map(|line| line.split_once(QUESTION));
    line.unwrap_or_else(|| panic!("no number in {seen}")).1
}

#[test]
fn a_response_to_the_number_that_is_shown_lets_in_at_each_host() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    let (phone, keypad) = (Phone::enroll(&site, &user.name), Keypad::new(1));
    keypad.add(site.own_command(&user.name), &phone);
    let doors = Doors::new(user, &site.auth("required", ""));
    // Named in place of a code, then shown unasked.
    let mut terminal = doors.by_password.ssh(&doors.user.name).start();
    terminal.wait_for(PASSWORD);
    terminal.send_line(&doors.user.password);
    assert!(!terminal.wait_for(CODE).contains(QUESTION), "the default shows codes");
    terminal.send_line("ocra");
    let response = keypad.answer(question(&terminal.wait_for(CODE)));
    terminal.send_line(&response);
    terminal.wait_for("LOGGED-IN");
    phone.make_default(site.own_command(&doors.user.name), "keypad");
    for host in HOSTS {
        let mark = syslog::mark();
        let (let_in, text) = doors.log_in(host, |seen| keypad.answer(question(seen)));
        assert!(let_in, "{host}: {text}");
        let log = syslog::lines_since(mark);
        let accepted = format!("accepted user={} ", doors.user.name);
        assert!(
            log.iter().any(|line| line.contains(&accepted) && line.contains(" factor=ocra device=2 ")),
            "{host} {text} {log:#?}"
        );
        let (let_in, text) = doors.log_in(host, |_| phone.next_code());
        assert!(let_in, "{host}: an app's code all the same: {text}");
    }
}

/// Its device answers are all the user's own: the machine's agent sends for the machine's records alone.
#[test]
fn a_code_that_is_sent_lets_in_at_each_host_and_nothing_is_sent_before_the_password_is_right() {
    let post = Post::start("");
    let user = TestUser::new("alice");
    let phone = Phone::enroll_self(&user);
    post.add_number(&user, &phone, NUMBER);
    let example = Site::of_the_machine().example("password-and-sent-code");
    let line = example.lines().find(|line| line.contains("pam_otp.so")).unwrap();
    assert!(line.ends_with(" send") && example.contains("\n@include common-auth\n"), "{example}");
    let doors = Doors::new(user, line);
    let user = &doors.user;
    let texts = || post.texts(NUMBER).len();
    let log_in = |steps: &[(&str, &str)]| doors.by_password.ssh(&user.name).option("LogLevel=INFO").dialogue(steps);

    // Named in place of a code: the default is the app.
    let before = texts();
    let mut terminal = doors.by_password.ssh(&user.name).start();
    terminal.wait_for(PASSWORD);
    terminal.send_line(&user.password);
    assert!(!terminal.wait_for(CODE).contains(SENT) && texts() == before, "the default shows codes");
    terminal.send_line("sms");
    assert!(terminal.wait_for(CODE).contains(SENT) && texts() == before + 1);
    terminal.send_line(&post.digits(NUMBER));
    terminal.wait_for("LOGGED-IN");

    // An address goes the same way: named, at one of the hosts.
    post.some_time_passes();
    let mut talk = Dialogue::start(user.command("otp-enroll").args(["--json", "add", "work", "--email", ADDRESS]));
    talk.say(&phone.recovery_code());
    assert_eq!(talk.json()["sent"], true);
    talk.say(&post.digits(ADDRESS));
    assert_eq!(talk.json()["device"], 3);
    assert_eq!(talk.end().code, Some(0));
    post.some_time_passes();
    let mark = syslog::mark();
    let mut terminal = doors.by_password.ssh(&user.name).start();
    terminal.wait_for(PASSWORD);
    terminal.send_line(&user.password);
    terminal.wait_for(CODE);
    terminal.send_line("email");
    assert!(terminal.wait_for(CODE).contains("A code was sent to a...@example.org."), "{}", terminal.transcript());
    let mail = post.texts(ADDRESS).pop().unwrap();
    assert!(mail.contains("\nSubject: Your code for ") && mail.contains(" is your code for "), "{mail}");
    terminal.send_line(&post.digits(ADDRESS));
    terminal.wait_for("LOGGED-IN");
    let log = syslog::lines_since(mark);
    assert!(log.iter().any(|line| line.contains("accepted ") && line.contains(" factor=email device=3 ")), "{log:#?}");

    phone.make_default(user.command("otp-enroll"), "mobile");
    for host in HOSTS {
        post.some_time_passes();
        let (before, mark) = (texts(), syslog::mark());
        let (let_in, text) = doors.log_in(host, |seen| {
            assert!(seen.contains(SENT), "{host}: {seen}");
            post.digits(NUMBER)
        });
        assert!(let_in && texts() == before + 1, "{host}: {text}");
        assert!(text.lines().all(|line| line.trim_end().chars().count() <= 80), "{text}");
        let log = syslog::lines_since(mark);
        let accepted = format!("accepted user={} ", user.name);
        assert!(log.iter().any(|line| line.contains(&accepted) && line.contains(" factor=sms device=2 ")), "{log:#?}");
    }

    // Nothing is sent for a wrong password, however often it is tried.
    post.some_time_passes();
    let before = texts();
    let login = doors.by_password.ssh(&user.name).option("NumberOfPasswordPrompts=3").dialogue(&[
        (PASSWORD, "another"),
        (PASSWORD, "another"),
        (PASSWORD, "another"),
    ]);
    assert!(!login.let_in() && login.prompts.len() == 3 && texts() == before, "{login:#?}");
    // Nor without the key.
    let login = doors.by_key.ssh(&user.name).dialogue(&[(CODE, "123456")]);
    assert!(!login.let_in() && login.prompts.is_empty() && texts() == before, "{login:#?}");

    // A recovery code and a passcode with their hyphens.
    let issued = machine::run(Command::new("otp-enroll").args(["admin", "issue", &user.name]));
    let passcode = issued.split(" is ").next().unwrap();
    assert_eq!((passcode.len(), passcode.matches('-').count()), (14, 2), "{issued}");
    for (code, text) in [(phone.recovery_code(), SENT), (passcode.to_owned(), "The next message can be sent in ")] {
        let login = log_in(&[(PASSWORD, &user.password), (CODE, &code)]);
        assert!(login.let_in() && login.transcript.contains(text), "{login:#?}");
    }

    // Password and code as one, parted by the digits of the app: nothing is sent.
    let one = Sshd::of_one_question("one", &Site::of_the_machine());
    let before = texts();
    let both = |code: &str| -> Login {
        let ssh = one.ssh(&user.name).option("PreferredAuthentications=password");
        ssh.dialogue(&[("password: ", &format!("{}{code}", user.password))])
    };
    for code in [phone.next_code(), phone.recovery_code()] {
        let login = both(&code);
        assert!(login.let_in(), "{login:#?}");
        assert!(!both(&code).let_in());
    }
    assert_eq!(texts(), before);
}
