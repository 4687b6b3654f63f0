//! What users read: pages of the guided set-up, their own commands, errors. Each text as it stands in `snapshots`.

use pam_otp_tests::{
    app::{App, Enrolled},
    machine,
    outcome::Outcome,
    pty::Pty,
    screen::{self, Theme},
    service::Service,
    session::{Session, dates, qr_codes},
    site::Site,
    users::TestUser,
};
use std::process::Command;

const CODE: &str = "Code that the app shows: ";
const FILE: &str = "Save to file (or just press Enter): ";

/// A site with a name that is everywhere the same.
fn site() -> Site {
    Site::new("[lockout]\nafter = 6\nfor = \"1h\"\n")
}

#[test]
fn the_pages_of_the_guide() {
    let _gus = TestUser::named("gus");
    let site = Site::new("");
    site.set_with_table("issuer = \"host.example.org\"");
    let mut session = Session::default();
    let host = machine::run(&mut Command::new("hostname"));
    session.name(&format!("gus@{}", host.trim()), "gus@host.example.org");
    // Its end is another one where ssh asks for a code.
    let sshd = Service::held("sshd");
    for (columns, rows) in [(100, 40), (80, 24), (40, 12)] {
        sshd.set(if columns == 100 { "auth required pam_permit.so" } else { "auth required pam_otp.so" });
        let config = site.config().display().to_string();
        let guide = ["--config", &config, "--user", "gus"];
        let mut terminal = Pty::new("otp-enroll").args(guide).env("LANG", "C.UTF-8").size(columns, rows).start();
        terminal.wait_for_screen(CODE);
        if columns == 40 {
            let shown = phone_key(&terminal.screen());
            session.device(&App::of(&shown), &[]);
            session.screen(&format!("{columns} columns, {rows} rows"), &terminal);
            continue;
        }
        let uri = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark)).unwrap();
        let app = App::scan(&uri);
        session.device(&app, &[]);
        session.screen(&format!("{columns} columns, {rows} rows"), &terminal);
        terminal.send_line("123");
        terminal.wait_for_screen("A code has 6 digits");
        session.screen("what is no code", &terminal);
        terminal.send_line(&app.code(0));
        let page = terminal.wait_for_screen(FILE);
        let codes: Vec<String> =
            page.lines().flat_map(str::split_whitespace).filter(|word| word.len() == 19).map(str::to_owned).collect();
        session.device(&app, &codes);
        session.screen("recovery codes", &terminal);
        terminal.send_line("/etc/hosts");
        terminal.wait_for_screen("exists");
        session.screen("a file that exists", &terminal);
        terminal.send_line("");
        terminal.wait();
        session.screen("at the end", &terminal);
        let mut disable = Command::new("otp-enroll");
        disable.args(["--config", &config, "admin", "disable", "--yes", "gus"]);
        Outcome::of(&mut disable, "");
    }
    insta::assert_snapshot!("guide", dates(&qr_codes(&session.text())));
}

/// The key on a page without a QR code: two lines of four groups.
fn phone_key(page: &str) -> String {
    let is_key =
        |line: &&str| line.split_whitespace().count() == 4 && line.split_whitespace().all(|group| group.len() == 4);
    page.lines().filter(is_key).take(2).flat_map(str::split_whitespace).collect()
}

#[test]
fn commands_of_users() {
    let _otto = TestUser::named("otto");
    let site = site();
    let mut session = Session::among(&["otto"]);
    let config = site.config().display().to_string();
    session.name(&config, "/etc/pam_otp/pam_otp.toml");
    session.name(&site.state().display().to_string(), "/var/lib/pam_otp");
    let command = |line: &str| {
        let mut command = Command::new("otp-enroll");
        command.args(["--config", &config, "--user", "otto"]).args(line.split_whitespace());
        command
    };
    let mut typed =
        |line: &str, input: &str| session.run(&format!("otp-enroll {line}"), &mut command(line), &format!("{input}\n"));
    for line in [
        "status",
        "status --json",
        "list",
        "recovery --stdin",
        "test --stdin",
        "disable --yes --stdin",
        "forget-addresses",
        "",
    ] {
        typed(line, "");
    }
    let otto = Enrolled::by(&mut command("--json"));
    typed("status", "");
    typed("list", "");
    typed("", "");
    typed("test", "");
    typed("disable --stdin", "y");
    let code = otto.app.code(0);
    typed("test --stdin", &code);
    typed("test --stdin", &code);
    typed("test --stdin", "hello");
    typed("test --stdin", "AAAA-AAAA-AAAA-AAAA");
    typed("test --stdin", &otto.recovery[0]);
    typed("test --stdin", &otto.recovery[0]);
    typed("test --json", &otto.app.wrong());
    for _ in 0..5 {
        Outcome::of(&mut command("test --stdin"), &otto.app.wrong());
    }
    typed("test --stdin", &otto.app.code(1));
    typed("status", "");
    let new = typed("recovery --stdin", &otto.recovery[1]).out;
    typed("status", "");
    typed("reset --stdin", "hello");
    let proof = new.lines().map(str::trim).find(|line| line.len() == 19).unwrap().to_owned();
    typed("disable --yes --stdin", &proof);
    typed("status", "");
    session.device(&otto.app, &otto.recovery);
    let codes: Vec<String> = new.split_whitespace().filter(|word| word.len() == 19).map(str::to_owned).collect();
    session.device(&otto.app, &codes);
    insta::assert_snapshot!("commands", dates(&session.text()));
}

#[test]
fn what_is_not_for_users() {
    let (nora, nick) = (TestUser::named("nora"), TestUser::named("nick"));
    let mut session = Session::default();
    let mut typed = |line: &str| {
        let outcome = Outcome::of(nora.command("otp-enroll").args(line.split(' ')), "");
        session.said(&format!("otp-enroll {line}"), &outcome);
    };
    for line in
        ["--user nick status", "--config /etc/pam_otp/pam_otp.toml status", "admin list", "status --qr png x", "statsu"]
    {
        typed(line);
    }
    drop(nick);
    insta::assert_snapshot!("not-for-users", session.text());
}
