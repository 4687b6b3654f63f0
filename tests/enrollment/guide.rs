//! The guided set-up and a user's own second factor, on a terminal, as a person without rights meets them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on stops where it is"
)]

use pam_otp_tests::{
    app::{App, Enrolled},
    locale::Locales,
    machine,
    pty::{PATIENCE, Pty, Terminal},
    screen::{self, Theme},
    self_service::{PROOF, is_right, status},
    service::Service,
    site,
    users::TestUser,
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    process::Command,
};

const CODE: &str = "Code that the app shows: ";
const FILE: &str = "Save to file (or just press Enter): ";
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

fn otp_enroll(user: &TestUser, arguments: &[&str]) -> Pty {
    Pty::new("otp-enroll").args(arguments).user(user)
}

/// The set-up up to the question for the first code, and the app after scanning the screen.
fn at_the_key(pty: Pty) -> (Terminal, App) {
    let terminal = pty.start();
    terminal.wait_for_screen(CODE);
    let uri = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark));
    let app = App::scan(&uri.unwrap_or_else(|| panic!("no QR code on\n{}", terminal.screen())));
    (terminal, app)
}

#[test]
fn the_guide_speaks_french_in_a_french_locale() {
    let locales = Locales::new(&["fr_FR"]);
    let alice = TestUser::new("alice");
    let mut pty = otp_enroll(&alice, &[]).size(100, 40);
    for (name, value) in locales.environment("fr_FR.UTF-8") {
        pty = pty.env(name, value);
    }
    let mut terminal = pty.start();
    terminal.wait_for_screen("Code que l'application affiche");
    let screen = terminal.screen();
    assert!(screen.contains(&format!("Second facteur de {} sur ", alice.name)), "{screen}");
    let uri = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark)).unwrap();
    let app = App::scan(&uri);
    terminal.send_line(&app.wrong());
    terminal.wait_for_question("! Ce code n'est pas correct. Attendez le suivant", "Code que l'application affiche :");
    terminal.send_line(&app.previous_code());
    terminal.wait_for_screen("Enregistrer dans un fichier (ou seulement Entrée)");
    terminal.send_line("");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.transcript());
    let end = terminal.transcript();
    assert!(end.contains("10 codes de secours ont été affichés"), "{end}");
    // Scripts read English, whatever the locale.
    let mut status = alice.command("otp-enroll");
    status.args(["remove", "1", "--json"]).envs(locales.environment("fr_FR.UTF-8"));
    let said = String::from_utf8(status.output().unwrap().stdout).unwrap();
    assert!(said.contains("that is the only device"), "{said}");
}

#[test]
fn a_wrong_code_is_answered_right_above_the_question() {
    let alice = TestUser::new("alice");
    for (columns, rows) in [(120, 40), (40, 12)] {
        let mut terminal = otp_enroll(&alice, &[]).size(columns, rows).start();
        terminal.wait_for_screen(CODE);
        terminal.send_line("12345");
        terminal.wait_for_screen("! A code has 6 digits.");
        let screen = machine::wait(PATIENCE, || {
            let screen = terminal.screen();
            screen.lines().any(|line| line.starts_with(CODE.trim_end())).then_some(screen)
        });
        let screen = screen.unwrap_or_else(|| panic!("{}", terminal.screen()));
        let lines: Vec<_> = screen.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let question = lines.iter().position(|line| line.starts_with(CODE.trim_end())).unwrap();
        let above = lines[..question].iter().rev().take(2).copied().collect::<Vec<_>>();
        assert!(above.iter().any(|line| line.starts_with("! A code has 6 digits")), "{columns}x{rows}:\n{screen}");
        terminal.send(CTRL_C);
        terminal.wait();
    }
}

#[test]
fn colours_are_where_a_terminal_has_them_and_nowhere_else() {
    let alice = TestUser::new("alice");
    let painted = |pty: Pty| {
        let mut terminal = pty.start();
        terminal.wait();
        let seen = terminal.screen();
        assert!(seen.contains("econd factor"), "{seen}");
        terminal.with_screen(|screen| {
            let cell = screen.cell(0, 0).unwrap();
            (cell.bold(), cell.fgcolor() == vt100::Color::Idx(1))
        })
    };
    // Names of facts are bold, and what begins an error is red.
    for (arguments, there) in [(&["status"][..], (true, false)), (&["resync"], (true, true))] {
        let pty = || otp_enroll(&alice, arguments);
        assert_eq!(painted(pty()), there, "{arguments:?}");
        assert_eq!(painted(pty().env("NO_COLOR", "")), there, "{arguments:?}: empty is not set");
        for plain in [pty().env("NO_COLOR", "1"), pty().env("TERM", "dumb"), pty().env_remove("TERM")] {
            assert_eq!(painted(plain), (false, false), "{arguments:?}");
        }
    }
    // A pipe, and --json on a terminal.
    let piped = alice.command("otp-enroll").arg("status").env("TERM", "xterm").output().unwrap();
    assert!(!piped.stdout.contains(&27) && !piped.stdout.is_empty(), "{piped:?}");
    let mut terminal = otp_enroll(&alice, &["status", "--json"]).start();
    terminal.wait();
    assert!(!terminal.with_screen(|screen| screen.cell(0, 0).unwrap().bold()));
}

/// The set-up up to the recovery codes.
fn at_the_recovery_codes(user: &TestUser, arguments: &[&str]) -> (Terminal, App, Vec<String>) {
    let (mut terminal, app) = at_the_key(otp_enroll(user, arguments));
    let codes = confirm(&mut terminal, &app.previous_code());
    (terminal, app, codes)
}

/// The recovery codes that are shown for the first code.
fn confirm(terminal: &mut Terminal, code: &str) -> Vec<String> {
    terminal.send_line(code);
    recovery_codes(&terminal.wait_for_screen(FILE))
}

/// The lines of a page that are recovery codes.
fn recovery_codes(page: &str) -> Vec<String> {
    let is_code = |line: &&str| {
        let groups: Vec<&str> = line.split('-').collect();
        let base32 = |group: &&str| group.len() == 4 && group.chars().all(|c| matches!(c, 'A'..='Z' | '2'..='7'));
        groups.len() == 4 && groups.iter().all(base32)
    };
    page.lines().map(str::trim).filter(is_code).map(str::to_owned).collect()
}

/// The text beside the QR code.
fn panel(terminal: &Terminal) -> Vec<String> {
    terminal.with_screen(|screen| {
        let (_, columns) = screen.size();
        let first = screen.rows(0, columns).next().unwrap();
        let left = first.chars().take_while(|c| " █▀▄".contains(*c)).count().try_into().unwrap();
        screen.rows(left, columns - left).map(|line| line.trim_end().to_owned()).collect()
    })
}

/// Nothing that was shown on the alternate screen can be seen on the one that it was started from.
fn assert_nothing_stays(terminal: &Terminal, app: &App, codes: &[String]) {
    let (screen, alternate) = terminal.with_screen(|screen| (screen.contents(), screen.alternate_screen()));
    assert!(!alternate, "the alternate screen was left");
    let first = |text: &str, letters| text.chars().take(letters).collect::<String>();
    let secrets = [first(&app.secret, 4), first(&app.hex(), 8), "otpauth".into(), "█".into(), "▀".into()];
    for secret in secrets.iter().chain(codes) {
        assert!(!screen.contains(secret), "{secret} stays on\n{screen}");
    }
}

fn mode_and_owner(path: &Path) -> (u32, u32) {
    let found = fs::metadata(path).unwrap();
    (found.mode() & 0o7777, found.uid())
}

#[test]
fn the_key_is_shown_in_four_forms_that_agree_and_nothing_is_cut() {
    let host = machine::run(&mut Command::new("hostname")).trim_end().to_owned();
    let long = TestUser::new(&"a".repeat(30 - machine::unique("").len()));
    let short = TestUser::new("x");
    assert!(long.name.len() >= 30);
    for user in [short, long] {
        let (terminal, app) = at_the_key(otp_enroll(&user, &[]));
        assert!(terminal.with_screen(vt100::Screen::alternate_screen));
        let uri = format!("otpauth://totp/{host}:{}?secret={}", user.name, app.secret);
        for theme in [Theme::Dark, Theme::Light] {
            assert_eq!(terminal.with_screen(|screen| screen::qr_code(screen, theme)).as_ref(), Some(&uri), "{theme:?}");
        }

        let panel = panel(&terminal);
        let words = panel.join(" ");
        assert!(words.starts_with(&format!("Second factor of {} on {host}", user.name)), "{words}");
        assert!(words.contains("Ctrl-C cancels."), "{words}");
        let grouped = |line: &&String| line.starts_with("  ") && line.trim().split(' ').all(|group| group.len() == 4);
        let base32: String = panel.iter().filter(grouped).flat_map(|line| line.split(' ')).collect();
        assert_eq!(base32, app.secret);
        let after = |label: &str| {
            let lines = panel.iter().skip_while(|line| !line.starts_with(label));
            let lines =
                lines.take_while(|line| !line.is_empty() && (line.starts_with(label) || !line.starts_with("URI")));
            lines.flat_map(|line| line.trim_start_matches(label).chars()).filter(|c| *c != ' ').collect::<String>()
        };
        assert_eq!(after("HEX"), app.hex());
        assert_eq!(after("URI"), uri);
        // The question is the last thing on the screen, and the answer has room.
        let (row, column) = terminal.with_screen(vt100::Screen::cursor_position);
        assert!(row < 24 && usize::from(column) == CODE.len(), "{}", terminal.screen());
    }
}

#[test]
fn the_qr_code_is_readable_on_every_kind_of_terminal() {
    let alice = TestUser::new("alice");
    let uri = |terminal: &Terminal, theme| terminal.with_screen(|screen| screen::qr_code(screen, theme));
    let shown = |pty: Pty| {
        let terminal = pty.start();
        terminal.wait_for_screen(CODE);
        terminal
    };
    let plain = shown(otp_enroll(&alice, &[]).env("NO_COLOR", "1"));
    assert!(uri(&plain, Theme::Dark).is_some());
    assert_eq!(uri(&plain, Theme::Light), None, "the pictures tell the two apart");
    let light = shown(otp_enroll(&alice, &[]).env("NO_COLOR", "1").env("COLORFGBG", "0;15"));
    assert!(uri(&light, Theme::Light).is_some());
    let ascii = shown(otp_enroll(&alice, &[]).env("LANG", "C").size(140, 60));
    assert!(ascii.screen().is_ascii(), "{}", ascii.screen());
    for theme in [Theme::Dark, Theme::Light] {
        assert!(uri(&ascii, theme).is_some(), "{theme:?}");
    }
    let dumb = shown(otp_enroll(&alice, &[]).env("TERM", "dumb"));
    assert!(!dumb.with_screen(vt100::Screen::alternate_screen));
    assert!(uri(&dumb, Theme::Dark).is_some());
}

#[test]
fn without_colours_a_key_that_the_screen_names_exchanges_dark_and_light() {
    let alice = TestUser::new("alice");
    let named = "answer q: dark and light change places";
    for (background, mut themes) in [("15;0", [Theme::Light, Theme::Dark]), ("0;15", [Theme::Dark, Theme::Light])] {
        let mut terminal = otp_enroll(&alice, &[]).env("NO_COLOR", "1").env("COLORFGBG", background).start();
        terminal.wait_for_screen(CODE);
        let uri = |terminal: &Terminal, theme| terminal.with_screen(|screen| screen::qr_code(screen, theme));
        let before = uri(&terminal, themes[1]);
        assert!(before.is_some(), "{}", terminal.screen());
        for _ in 0..2 {
            terminal.send_line("q");
            let drawn =
                machine::wait(PATIENCE, || uri(&terminal, themes[0]).filter(|_| terminal.screen().contains(CODE)));
            assert_eq!(drawn, before, "{}", terminal.screen());
            themes.reverse();
        }
    }
    let coloured = otp_enroll(&alice, &[]).size(120, 40).start();
    coloured.wait_for_screen(CODE);
    assert!(!coloured.screen().contains(named), "right on any background");
    let plain = otp_enroll(&alice, &[]).env("NO_COLOR", "1").size(140, 40).start();
    plain.wait_for_screen(CODE);
    assert!(plain.screen().contains(named), "{}", plain.screen());
}

#[test]
fn a_window_that_is_too_small_says_so_and_is_looked_at_again() {
    let alice = TestUser::new("alice");
    let mut terminal = otp_enroll(&alice, &[]).size(70, 16).start();
    terminal.wait_for_screen(CODE);
    let screen = terminal.screen();
    assert!(screen.contains("QR code needs ") && !screen.contains('█'), "{screen}");
    assert!(screen.contains("otpauth://totp/"), "{screen}");
    assert!(screen.contains("enlarge the window and press") && !screen.contains("LC_ALL"), "{screen}");
    let other = otp_enroll(&TestUser::new("bob"), &[]).env("LC_ALL", "C").size(80, 24).start();
    let said = other.wait_for_screen("LC_ALL=C.UTF-8 otp-enroll");
    assert!(said.contains("QR code needs ") && said.contains("otpauth://totp/"), "{said}");
    drop(other);
    terminal.resize(80, 24);
    terminal.send_line("");
    // The page is drawn again, line by line.
    let drawn = || terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark));
    let uri = machine::wait(std::time::Duration::from_secs(20), drawn).unwrap();
    terminal.resize(12, 5);
    terminal.send_line(&App::scan(&uri).code(0));
    terminal.wait_for("or just");
    terminal.send_line("");
    terminal.wait_for("or just"); // again: no page is turned that the user could not read
    terminal.resize(80, 14);
    terminal.send_line("");
    let page = terminal.wait_for_screen("10 recovery codes need 15 rows.");
    assert!(recovery_codes(&page).is_empty(), "half of them would pass for all:\n{page}");
    terminal.send_line("/etc/hosts");
    terminal.wait_for_screen("! /etc/hosts exists");
    terminal.resize(80, 16);
    terminal.send_line("");
    machine::wait(std::time::Duration::from_secs(20), || {
        (recovery_codes(&terminal.screen()).len() == 10).then_some(())
    })
    .unwrap_or_else(|| panic!("{}", terminal.screen()));
    terminal.send_line("");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.transcript());
    assert_eq!(status(&alice)["enrolled"], true);
}

#[test]
fn what_is_not_the_code_says_why_and_the_offer_stays() {
    let alice = TestUser::new("alice");
    let (mut terminal, app) = at_the_key(otp_enroll(&alice, &[]));
    // Each is made when it is typed: on a slow machine a code of the beginning would be older than it says.
    type Typed = fn(&App) -> String;
    let answers: [(Typed, &str); 6] = [
        (|_| String::new(), ""),
        (App::wrong, "! That code is not correct."),
        (|_| "12345".into(), "! A code has 6 digits"),
        (|_| "my password".into(), "! A code has 6 digits"),
        (|app| app.code(20), "is about 10 min ahead"),
        (|app| app.code(-40), "is about 20 min behind"),
    ];
    for (typed, answer) in answers {
        let typed = typed(&app);
        terminal.send_line(&typed);
        // The page is drawn again, line by line.
        let offered = || {
            let page = terminal.screen();
            let uri = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark))?;
            (page.contains(answer) && page.contains(CODE)).then_some(App::scan(&uri).secret)
        };
        let offered = machine::wait(std::time::Duration::from_secs(20), offered);
        assert_eq!(offered.as_ref(), Some(&app.secret), "the same key, after {typed:?}: {}", terminal.screen());
        assert_eq!(status(&alice)["enrolled"], false, "after {typed:?}");
    }
    let code = app.code(0);
    let (head, tail) = code.split_at(3);
    terminal.send_line(&format!(" {head} {tail}"));
    terminal.wait_for_screen(FILE);
    assert_eq!(status(&alice)["enrolled"], true);
}

#[test]
fn recovery_codes_are_shown_once_and_saved_without_overwriting() {
    let alice = TestUser::new("alice");
    let _sshd = Service::installed_as("sshd", "auth required pam_otp.so");
    let precious = alice.write("precious", "mine", 0o644);
    symlink("/home/nowhere", alice.home.join("dangling")).unwrap();
    let (mut terminal, app) = at_the_key(otp_enroll(&alice, &[]));
    let confirming = app.previous_code();
    let codes = confirm(&mut terminal, &confirming);
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10, "{codes:?}");

    for (name, answer) in [
        ("precious", "! precious exists"),
        ("dangling", "! dangling exists"),
        ("/etc/pam_otp/codes", "could not be created"),
        ("~", &format!("! {} exists", alice.home.display())),
        ("~/my codes", &format!("They are saved in {}/my codes.", alice.home.display())),
    ] {
        terminal.send_line(name);
        let page = terminal.wait_for_screen(answer);
        assert_eq!(recovery_codes(&page), codes, "they are still there");
    }
    assert_eq!(fs::read(precious).unwrap(), b"mine");
    let saved = alice.home.join("my codes");
    assert_eq!(mode_and_owner(&saved), (0o600, alice.uid));
    let text = fs::read_to_string(saved).unwrap();
    assert!(text.starts_with(&format!("Recovery codes of {}", alice.name)), "{text}");
    assert_eq!(recovery_codes(&text), codes);

    // What comes now is meant for the shell: it names no other file with the codes.
    assert!(terminal.screen().contains("Press Enter to go on: "), "{}", terminal.screen());
    terminal.send_line("sudo id");
    assert_eq!(terminal.wait().code(), Some(0));
    assert!(!alice.home.join("sudo id").exists());
    assert_nothing_stays(&terminal, &app, &codes);
    // Long paths break the line.
    let screen = terminal.screen().replace('\n', " ");
    for said in [
        &format!("The second factor of {} is set up.", alice.name),
        &format!("10 recovery codes are in {}/my codes", alice.home.display()),
        "move them off this machine",
        "try it from a second one",
        &format!("    ssh {}@", alice.name),
    ] {
        assert!(screen.contains(said), "{said:?} is missing on\n{screen}");
    }
    assert!(!is_right(&alice, &confirming), "the confirming code is spent");
    assert!(is_right(&alice, &app.code(0)) && is_right(&alice, &codes[9]) && !is_right(&alice, &codes[9]));
    assert_eq!(status(&alice)["recovery_codes_left"], 9);
}

#[test]
fn a_login_by_ssh_is_proposed_only_where_ssh_asks_for_a_code() {
    let sshd = Service::held("sshd");
    let debian = "@include common-auth\naccount required pam_permit.so";
    let part = Service::installed("part", "auth required pam_otp.so");
    let proposal = ["try it from a second one", "    ssh "];
    let nothing = ["ssh asks for no code on this machine.", "    sudo otp-enroll admin turn-on ssh"];
    for (stack, said, unsaid) in [
        (debian.to_owned(), nothing, proposal),
        (format!("# auth required pam_otp.so\n{debian}"), nothing, proposal),
        ("account required pam_otp.so\nauth required pam_permit.so".to_owned(), nothing, proposal),
        (format!("{debian}\nauth required pam_otp.so"), proposal, nothing),
        (format!("auth required pam_permit.so\n@include {}", part.name()), proposal, nothing),
        (format!("auth substack {}", part.name()), proposal, nothing),
        // What cannot be read may ask.
        ("auth include gone".to_owned(), proposal, nothing),
    ] {
        sshd.set(&stack);
        let alice = TestUser::new("alice");
        let (mut terminal, _, _) = at_the_recovery_codes(&alice, &[]);
        terminal.send_line("");
        assert_eq!(terminal.wait().code(), Some(0));
        let screen = terminal.screen();
        assert!(said.iter().all(|said| screen.contains(said)), "{stack}:\n{screen}");
        assert!(!unsaid.iter().any(|unsaid| screen.contains(unsaid)), "{stack}:\n{screen}");
        assert!(screen.contains("before you close this session") || screen.contains("Before you close"), "{screen}");
    }
}

#[test]
fn files_named_on_the_command_line_are_tried_before_anything_is_changed() {
    let alice = TestUser::new("alice");
    alice.write("taken", "mine", 0o600);
    for arguments in [["--save-recovery", "taken"], ["--save-recovery", "no/such/folder"]] {
        let mut terminal = otp_enroll(&alice, &arguments).start();
        assert_eq!(terminal.wait().code(), Some(4), "{}", terminal.transcript());
        assert!(!terminal.transcript().contains("otpauth"), "no key is shown for nothing");
    }
    assert_eq!(status(&alice)["enrolled"], false);
    let (mut terminal, app) = at_the_key(otp_enroll(&alice, &["--save-recovery", "new"]));
    terminal.send_line(&app.previous_code());
    let page = terminal.wait_for_screen("Press Enter to go on: ");
    let codes = recovery_codes(&page);
    assert!(page.contains("They are saved in "), "{page}");
    terminal.send_line("");
    assert_eq!(terminal.wait().code(), Some(0));
    assert_eq!(recovery_codes(&fs::read_to_string(alice.home.join("new")).unwrap()), codes);
}

#[test]
fn pictures_carry_the_same_text_and_are_the_owners_alone() {
    let alice = TestUser::new("alice");
    for kind in ["svg", "png"] {
        let file = format!("qr.{kind}");
        let terminal = otp_enroll(&alice, &["--qr", kind, &file]).start();
        terminal.wait_for_screen(CODE);
        let shown = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark));
        let path = alice.home.join(&file);
        assert_eq!(mode_and_owner(&path), (0o600, alice.uid), "{kind}");
        let picture = if kind == "png" {
            path.clone()
        } else {
            let drawn = alice.home.join("drawn.png");
            machine::run(Command::new("rsvg-convert").arg("-o").args([&drawn, &path]));
            drawn
        };
        assert!(shown.is_some());
        assert_eq!(screen::read_picture(&picture), shown, "{kind}");

        let before = fs::read(&path).unwrap();
        let mut again = otp_enroll(&alice, &["--qr", kind, &file]).start();
        assert_eq!(again.wait().code(), Some(4));
        assert!(again.transcript().contains(&format!("{file} exists")), "{}", again.transcript());
        assert!(!again.transcript().contains(CODE));
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    let mut terminal = otp_enroll(&alice, &["--qr", "gif", "qr.gif"]).start();
    assert_eq!(terminal.wait().code(), Some(2), "{}", terminal.transcript());
}

#[test]
fn an_interruption_takes_the_picture_along() {
    let alice = TestUser::new("alice");
    let picture = alice.home.join("qr.png");
    let (mut terminal, _) = at_the_key(otp_enroll(&alice, &["--qr", "png", "qr.png"]));
    assert!(picture.exists());
    terminal.send(CTRL_C);
    assert_eq!(terminal.wait().code(), Some(130));
    assert!(!picture.exists());

    let (mut terminal, _, _) = at_the_recovery_codes(&alice, &["--qr", "png", "qr.png"]);
    terminal.send(CTRL_C);
    assert_eq!(terminal.wait().code(), Some(130));
    assert!(picture.exists(), "its key is in force");
}

#[test]
fn an_interruption_leaves_the_screen_and_tells_the_truth() {
    let alice = TestUser::new("alice");
    let (mut terminal, app) = at_the_key(otp_enroll(&alice, &[]));
    terminal.send(CTRL_C);
    assert_eq!(terminal.wait().code(), Some(130));
    assert_nothing_stays(&terminal, &app, &[]);
    assert_eq!(terminal.screen().trim(), "interrupted: nothing was changed");
    assert_eq!(status(&alice)["enrolled"], false);

    let (mut terminal, app, codes) = at_the_recovery_codes(&alice, &[]);
    terminal.send(CTRL_C);
    assert_eq!(terminal.wait().code(), Some(130));
    assert_nothing_stays(&terminal, &app, &codes);
    let said = "interrupted: the second factor is set up, but you may not have seen all recovery codes\n  new ones: otp-enroll recovery";
    assert_eq!(terminal.screen().trim(), said);
    assert!(is_right(&alice, &codes[0]), "it is set up, as was said");

    // At a question of a change: neither changed nor spent.
    let mut terminal = otp_enroll(&alice, &["recovery"]).start();
    terminal.wait_for_screen(PROOF);
    terminal.send(&codes[1]);
    terminal.send(CTRL_C);
    assert_eq!(terminal.wait().code(), Some(130));
    assert!(terminal.screen().trim_end().ends_with("interrupted: nothing was changed"), "{}", terminal.screen());
    assert!(is_right(&alice, &codes[1]));
}

#[test]
fn ctrl_c_at_a_question_says_that_nothing_was_changed() {
    let alice = TestUser::new("alice");
    let (mut terminal, _, codes) = at_the_recovery_codes(&alice, &[]);
    terminal.send_line("");
    assert!(terminal.wait().success());
    let before = status(&alice);
    for (arguments, answers) in [
        (&["add"][..], &["Name of the new device"][..]),
        (&["add"], &["Name of the new device", PROOF]),
        (&["add", "--token"], &["Name of the new device"]),
        (&["add", "tablet"], &[PROOF]),
        (&["recovery"], &[PROOF]),
        (&["reset"], &[PROOF]),
        (&["test"], &["Code to try: "]),
        (&["disable"], &["[y/N]"]),
    ] {
        let mut terminal = otp_enroll(&alice, arguments).start();
        for (number, question) in answers.iter().enumerate() {
            terminal.wait_for_screen(question);
            if number + 1 < answers.len() {
                terminal.send_line("");
            }
        }
        terminal.send(CTRL_C);
        assert_eq!(terminal.wait().code(), Some(130), "{arguments:?}: {}", terminal.transcript());
        let screen = terminal.screen();
        assert_eq!(screen.trim().lines().last(), Some("interrupted: nothing was changed"), "{arguments:?}: {screen}");
    }
    assert_eq!(status(&alice), before);
    assert!(is_right(&alice, &codes[0]));
}

#[test]
fn a_yes_or_no_is_neither_a_file_nor_a_device() {
    let alice = TestUser::new("alice");
    let (mut terminal, _, codes) = at_the_recovery_codes(&alice, &[]);
    let answers = ["y", "yes", "YES", "n", "no", "j", "ja", "nein", "o", "oui", "non", " y "];
    for answer in answers {
        terminal.send_line(answer);
        let page = terminal.wait_for_screen("! Press Enter, or type the name of a new file, such as recovery-codes.");
        assert_eq!(recovery_codes(&page), codes, "{answer}");
        assert!(!alice.home.join(answer.trim()).exists(), "{answer}");
        // The note goes with the next answer.
        terminal.send_line("/etc/hosts");
        terminal.wait_for_screen("! /etc/hosts exists");
    }
    terminal.send_line("./y");
    terminal.wait_for_screen("They are saved in ");
    assert!(alice.home.join("y").exists(), "written like that it is a name");
    terminal.send_line("");
    assert_eq!(terminal.wait().code(), Some(0));

    let mut terminal = otp_enroll(&alice, &["add"]).start();
    terminal.wait_for_screen("Name of the new device [");
    terminal.send_line("y");
    terminal.wait_for_screen("Press Enter for authenticator 2, or type another name.");
    terminal.send_line("tablet");
    terminal.wait_for_screen(PROOF);
}

#[test]
fn the_end_of_input_is_no_answer() {
    let alice = TestUser::new("alice");
    let (mut terminal, app) = at_the_key(otp_enroll(&alice, &[]));
    terminal.send(CTRL_D);
    assert_eq!(terminal.wait().code(), Some(4));
    assert_nothing_stays(&terminal, &app, &[]);
    assert!(terminal.screen().contains("nothing was changed"), "{}", terminal.screen());
    assert_eq!(status(&alice)["enrolled"], false);

    let (mut terminal, app, codes) = at_the_recovery_codes(&alice, &[]);
    terminal.send(CTRL_D);
    assert_eq!(terminal.wait().code(), Some(0), "the page was read: Ctrl-D is as good as Enter");
    assert_nothing_stays(&terminal, &app, &codes);
    assert!(!terminal.screen().contains("nothing was changed"), "{}", terminal.screen());
}

#[test]
fn a_window_that_is_closed_leaves_no_process_behind() {
    let alice = TestUser::new("alice");
    let (mut terminal, app) = at_the_key(otp_enroll(&alice, &[]));
    terminal.hang_up();
    assert_eq!(terminal.wait().code(), Some(130));
    assert_nothing_stays(&terminal, &app, &[]);
    let (mut terminal, app, codes) = at_the_recovery_codes(&alice, &[]);
    terminal.hang_up();
    assert_eq!(terminal.wait().code(), Some(130));
    assert_nothing_stays(&terminal, &app, &codes);
    let gone = || {
        let left = Command::new("pgrep").args(["-u", &alice.uid.to_string()]).output().unwrap();
        left.stdout.is_empty().then_some(())
    };
    machine::wait(std::time::Duration::from_secs(10), gone)
        .unwrap_or_else(|| panic!("processes of {} remain", alice.name));
    assert_eq!(status(&alice)["enrolled"], true);
}

#[test]
fn a_second_run_shows_what_is_there() {
    let alice = TestUser::new("alice");
    let _set_up = Enrolled::new(&alice);
    let mut terminal = otp_enroll(&alice, &[]).start();
    assert_eq!(terminal.wait().code(), Some(0));
    let said = terminal.transcript();
    assert!(said.contains("Second factor    set up") && said.contains("otp-enroll reset"), "{said}");
    assert!(!said.contains("otpauth"), "{said}");
}

#[test]
fn reset_wants_proof_and_the_old_key_works_until_the_new_one_is_confirmed() {
    let alice = TestUser::new("alice");
    let old = Enrolled::new(&alice);
    let mut terminal = otp_enroll(&alice, &["reset"]).start();
    terminal.wait_for_screen(PROOF);
    terminal.send_line(&old.app.wrong());
    assert_eq!(terminal.wait().code(), Some(1));
    assert!(terminal.screen().contains("that code is wrong"), "{}", terminal.screen());
    assert!(!terminal.transcript().contains("otpauth"));
    assert_eq!(status(&alice)["failures"], 1, "a wrong proof is a wrong code");

    let mut terminal = otp_enroll(&alice, &["reset"]).start();
    terminal.wait_for_screen(PROOF);
    terminal.send_line(&old.recovery[0].to_ascii_lowercase());
    terminal.wait_for_screen(CODE);
    let uri = terminal.with_screen(|screen| screen::qr_code(screen, Theme::Dark)).unwrap();
    let new = App::scan(&uri);
    assert_ne!(new.secret, old.app.secret);
    assert!(is_right(&alice, &old.app.code(0)), "the old key is in force");
    let codes = confirm(&mut terminal, &new.previous_code());
    terminal.send_line("");
    assert_eq!(terminal.wait().code(), Some(0));
    assert_nothing_stays(&terminal, &new, &codes);

    assert!(!is_right(&alice, &old.app.code(1)), "the old key is worth nothing now");
    assert!(!is_right(&alice, &old.recovery[1]), "and so are its recovery codes");
    assert!(is_right(&alice, &new.code(0)) && is_right(&alice, &codes[0]));
}

#[test]
fn new_recovery_codes_replace_the_old_ones() {
    let alice = TestUser::new("alice");
    let old = Enrolled::new(&alice);
    let recovery = |proof: &str| {
        let mut terminal = otp_enroll(&alice, &["recovery"]).start();
        terminal.wait_for_screen(PROOF);
        terminal.send_line(proof);
        terminal
    };
    let mut terminal = recovery(&old.app.wrong());
    assert_eq!(terminal.wait().code(), Some(1));
    assert!(is_right(&alice, &old.recovery[0]), "the old codes stay");

    let mut terminal = recovery(&old.app.code(0));
    terminal.wait_for_screen(FILE);
    let new = recovery_codes(&terminal.screen());
    assert_eq!(new.len(), 10);
    terminal.send_line("");
    assert_eq!(terminal.wait().code(), Some(0));
    assert_nothing_stays(&terminal, &old.app, &new);
    assert!(!is_right(&alice, &old.recovery[1]) && is_right(&alice, &new[0]));
    assert!(is_right(&alice, &old.app.code(1)), "the app is the same");
}

#[test]
fn disable_asks_whether_it_is_meant_and_then_for_proof() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let asked = || {
        let terminal = otp_enroll(&alice, &["disable"]).start();
        terminal.wait_for_screen(&format!(
            "{} will have no second factor, and cannot log in where one is\nrequired. Continue? [y/N] ",
            alice.name
        ));
        terminal
    };
    for no in ["n", "", "yeah"] {
        let mut terminal = asked();
        terminal.send_line(no);
        assert_eq!(terminal.wait().code(), Some(1), "{no:?}");
        assert!(terminal.screen().contains("cancelled: nothing was changed"), "{}", terminal.screen());
    }
    let mut terminal = asked();
    terminal.send_line("y");
    terminal.wait_for_screen(PROOF);
    terminal.send_line(&set_up.app.wrong());
    assert_eq!(terminal.wait().code(), Some(1));
    assert_eq!(status(&alice)["enrolled"], true);
    let mut terminal = asked();
    terminal.send_line("yes");
    terminal.wait_for_screen(PROOF);
    terminal.send_line(&set_up.app.code(0));
    assert_eq!(terminal.wait().code(), Some(0));
    assert!(terminal.screen().contains("The second factor is removed."), "{}", terminal.screen());
    assert_eq!(status(&alice)["enrolled"], false);
}

#[test]
fn test_status_and_list_speak_to_a_person_within_80_columns() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let said = |arguments: &[&str], typed: &str| {
        let mut terminal = otp_enroll(&alice, arguments).start();
        if !typed.is_empty() {
            terminal.wait_for_screen("Code to try: ");
            terminal.send_line(typed);
        }
        terminal.wait();
        let said = terminal.transcript();
        assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
        said
    };
    let code = set_up.app.code(0);
    assert!(said(&["test"], &code).contains("That code is correct. It is used up now"));
    assert!(said(&["test"], &code).contains("that code was used already"));
    assert!(said(&["test"], "hunter2").contains("neither a code of 6 to 8 digits nor a recovery code"));
    assert!(said(&["test"], "AAAA-AAAA-AAAA-AAAA").contains("not one of your recovery codes"));
    for _ in 0..6 {
        said(&["test"], &set_up.app.wrong());
    }
    let answer = said(&["test"], &set_up.app.code(1));
    let answer = answer.replace('\n', " ");
    assert!(answer.contains("only a recovery code, or a passcode at a login, is accepted until 20"), "{answer}");
    assert!(answer.contains("ask your administrator"), "{answer}");
    let answer = said(&["status"], "");
    for line in [
        &format!("User             {}\n", alice.name),
        "Second factor    set up\n",
        "Device 1         authenticator, TOTP, 6 digits, default\n",
        "                 since 20",
        "Recovery codes   10 left\n",
        "Last accepted    20",
        "Wrong codes      6 in a row\n",
        "Locked           until 20",
    ] {
        assert!(answer.contains(line), "{line:?} is missing in\n{answer}");
    }
    // A window of 80 columns has no room for it on one line.
    assert_eq!(said(&["list"], "").lines().count(), 2);
    assert!(said(&["test"], &set_up.recovery[0]).contains("That code is correct."), "a recovery code gets in");
    assert!(!said(&["status"], "").contains("Locked"), "and opens the lock");
}

#[test]
fn devices_of_another_shape_say_so_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("pam_otp.toml");
    site::same_id(folder.path());
    fs::write(&config, "issuer = \"Big Corp & Sons\"\n[code]\ndigits = 8\nperiod = 60\nalgorithm = \"SHA256\"\n")
        .unwrap();
    let alice = TestUser::new("alice");
    let arguments = ["--config", config.to_str().unwrap(), "--user", &alice.name];
    let (mut terminal, app) =
        at_the_key(Pty::new("otp-enroll").args(arguments).env("LANG", "C.UTF-8").env_remove("NO_COLOR").size(120, 40));
    let page = terminal.screen();
    assert!(page.contains(&format!("Second factor of {} on Big Corp & Sons", alice.name)), "{page}");
    assert!(page.contains("SHA256, 8 digits, 60 s"), "{page}");
    terminal.send_line(&app.code(0));
    terminal.wait_for_screen(FILE);
    terminal.send_line("");
    assert_eq!(terminal.wait().code(), Some(0));
    let device = &status(&alice)["devices"][0];
    assert_eq!((&device["digits"], &device["period"], &device["algorithm"]), (&8.into(), &60.into(), &"SHA256".into()));
    assert!(is_right(&alice, &app.code(1)));
}
