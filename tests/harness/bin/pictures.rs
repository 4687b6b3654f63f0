//! `pictures FOLDER`: draws what the installed programs show on a terminal, for README.md and docs/users.md; `make pictures`.
//! The keys and codes in them are those of a user who is gone when the throwaway machine is.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a run that comes out otherwise makes no picture")]

use pam_otp_tests::{
    app::App,
    drawing, machine,
    pty::{Pty, Terminal},
    screen::{self, Theme},
    self_service::PROOF,
    site::Site,
    sshd::Sshd,
    users::TestUser,
};
use std::{fs, path::Path};

const SIZE: (u16, u16) = (88, 26);

fn main() {
    machine::require("making pictures");
    let folder = std::env::args_os().nth(1).unwrap_or_else(|| panic!("pictures FOLDER"));
    let user = TestUser::named("dana");
    user.write(".bashrc", "PS1='\\u@server:\\w\\$ '\n", 0o644);
    let site = Site::of_the_machine();
    site.write("issuer = \"server\"\n");

    let (enrollment, app) = enroll(&user);
    draw(
        &enrollment,
        Path::new(&folder),
        "enrollment",
        "otp-enroll: a QR code and a key, and the question for a first code",
    );
    confirm(enrollment, &app);
    let login = log_in(&user, &site, &app);
    draw(&login, Path::new(&folder), "login", "ssh: password and code let in; the same code once more does not");
    let (second, another) = add(&user, &app);
    draw(&second, Path::new(&folder), "second-device", "otp-enroll add tablet: another device, with a key of its own");
    confirm_addition(second, &another);
    let doctor = examine();
    draw(&doctor, Path::new(&folder), "doctor", "otp-enroll admin doctor: faults and warnings, each with what to do");
    let turn_on = turn_on();
    draw(
        &turn_on,
        Path::new(&folder),
        "turn-on",
        "otp-enroll admin turn-on ssh: what would be changed, and the question",
    );
}

fn draw(terminal: &Terminal, folder: &Path, name: &str, title: &str) {
    let svg = terminal.with_screen(|screen| drawing::svg(screen, title));
    fs::write(folder.join(name).with_extension("svg"), svg).unwrap();
}

/// At the key, with the app after it has scanned the screen.
fn enroll(user: &TestUser) -> (Terminal, App) {
    let terminal = Pty::new("otp-enroll").user(user).size(SIZE.0, SIZE.1).start();
    terminal.wait_for_screen("Code that the app shows: ");
    let uri = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark)).unwrap();
    (terminal, App::scan(&uri))
}

/// With an earlier code, so that this one is still good.
fn confirm(mut terminal: Terminal, app: &App) {
    terminal.send_line(&app.previous_code());
    terminal.wait_for_screen("Save to file (or just press Enter): ");
    terminal.send_line("");
    let status = terminal.wait();
    assert!(status.success(), "{}", terminal.transcript());
}

/// Two logins, of which one comes with a code that is spent; from a shell that knows the server as `server`.
fn log_in(user: &TestUser, site: &Site, app: &App) -> Terminal {
    let stack = site.example("password-and-code") + "account required pam_unix.so\nsession required pam_permit.so\n";
    let sshd = Sshd::start("pictures", &stack, "");
    let client = TestUser::named("client");
    let known_hosts = client.write(
        "known_hosts",
        sshd.known_hosts().replacen(&format!("[127.0.0.1]:{}", sshd.port()), "server", 1),
        0o644,
    );
    let lines = format!(
        "Host server\nHostKeyAlias server\nPort {}\nUserKnownHostsFile {}\nNumberOfPasswordPrompts 1\n",
        sshd.port(),
        known_hosts.display()
    );
    let hosts = fs::read_to_string("/etc/hosts").unwrap();
    fs::write("/etc/hosts", hosts + "\n127.0.0.1 server\n").unwrap();
    client.write(".ssh/config", lines, 0o600);
    client.write(".bashrc", "PS1='$ '\n", 0o644);
    let mut terminal = Pty::new("bash").user(&client).size(SIZE.0, 14).start();
    let code = app.code(0);
    terminal.wait_for("$ ");
    for end in ["dana@server:~$ ", "$ "] {
        terminal.send_line("ssh dana@server");
        terminal.wait_for("Password: ");
        terminal.send_line(&user.password);
        terminal.wait_for("Verification code: ");
        terminal.send_line(&code);
        if end.starts_with("dana") {
            terminal.wait_for(end);
            terminal.send_line("exit");
        }
        terminal.wait_for("$ ");
    }
    terminal
}

/// At the key of a second device, with the app after it has scanned the screen.
fn add(user: &TestUser, app: &App) -> (Terminal, App) {
    let mut terminal = Pty::new("otp-enroll").args(["add", "tablet"]).user(user).size(SIZE.0, SIZE.1).start();
    terminal.wait_for(PROOF);
    terminal.send_line(&app.code(1)); // that of a step that no login has used
    terminal.wait_for_screen("Code that the app shows: ");
    let uri = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark)).unwrap();
    (terminal, App::scan(&uri))
}

fn confirm_addition(mut terminal: Terminal, app: &App) {
    terminal.send_line(&app.code(0));
    let status = terminal.wait();
    assert!(status.success(), "{}", terminal.transcript());
}

/// doctor, on a machine with a fault in sudo's file and one in sshd's configuration.
fn examine() -> Terminal {
    let sudo = fs::read_to_string("/etc/pam.d/sudo").unwrap();
    let faulty = "auth sufficient pam_unix.so\nauth required pam_otp.so\naccount required pam_unix.so\n";
    fs::write("/etc/pam.d/sudo", faulty).unwrap();
    let mut terminal = Pty::new("otp-enroll").args(["admin", "doctor"]).size(SIZE.0, 40).start();
    let status = terminal.wait();
    assert_eq!(status.code(), Some(1), "{}", terminal.transcript());
    fs::write("/etc/pam.d/sudo", sudo).unwrap();
    terminal
}

/// At the question whether what is shown is to be written.
fn turn_on() -> Terminal {
    let terminal = Pty::new("otp-enroll").args(["admin", "turn-on", "ssh"]).size(SIZE.0, 44).start();
    terminal.wait_for_screen("[y/N]");
    terminal
}
