//! `otp-enroll admin import google-authenticator`: files that Debian's own program made, and files in the way of it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on stops where it is; codes are of a real clock"
)]

use pam_otp_tests::{
    conversation::Talk,
    desk::logged,
    machine,
    outcome::Outcome,
    service::Service,
    site::Site,
    users::{Crowd, TestUser},
};
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::PathBuf,
    process::Command,
    time::SystemTime,
};

/// Two services of one machine: theirs, and ours that is to take over.
struct Move {
    theirs: Service,
    site: Site,
    ours: Service,
}

/// A user whose file their program made.
struct Mover {
    user: TestUser,
    seed: String,
    scratch: Vec<String>,
}

impl Move {
    fn new() -> Move {
        let site = Site::new("");
        let ours = Service::private(&site.auth("required", ""));
        Move { theirs: Service::private("auth required pam_google_authenticator.so"), site, ours }
    }

    fn import(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.site.admin_command();
        Outcome::of(command.args(["import", "google-authenticator"]).args(arguments), "")
    }

    fn their_login(&self, user: &TestUser, code: &str) -> bool {
        Talk::new(&self.theirs, &user.name).run(&[code]).result("authenticate") == "PAM_SUCCESS"
    }

    /// Our log line, from the word on.
    fn our_login(&self, user: &TestUser, code: &str) -> String {
        let (_, log) = logged(&Talk::new(&self.ours, &user.name), &[code]);
        let (_, what) = log[0].split_once(' ').unwrap();
        what.replace(&format!(" user={}", user.name), "")
    }

    fn accepts(&self, user: &TestUser, code: &str) -> bool {
        self.our_login(user, code).starts_with("accepted ")
    }
}

impl Mover {
    /// Runs `google-authenticator` as a user does.
    fn new(stem: &str, options: &[&str]) -> Mover {
        let user = TestUser::new(stem);
        let mut program = user.command("google-authenticator");
        machine::run(program.args(["--force", "--quiet", "--no-confirm"]).args(options));
        let text = fs::read_to_string(user.home.join(".google_authenticator")).unwrap();
        let scratch = text.lines().skip(1).filter(|line| !line.starts_with('"')).map(str::to_owned).collect();
        Mover { seed: text.lines().next().unwrap().to_owned(), scratch, user }
    }

    fn totp(&self, step: u64, seconds: u64) -> String {
        let at = [format!("--now=@{}", step * seconds), format!("--time-step-size={seconds}s")];
        code(Command::new("oathtool").args(["--base32", "--totp"]).args(at).arg(&self.seed))
    }

    fn hotp(&self, counter: u64) -> String {
        let counter = format!("--counter={counter}");
        code(Command::new("oathtool").args(["--base32", "--hotp", &counter, &self.seed]))
    }
}

fn code(oathtool: &mut Command) -> String {
    machine::run(oathtool).trim_end().to_owned()
}

fn present(seconds: u64) -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / seconds
}

#[test]
fn who_moves_logs_in_with_the_next_code_and_with_scratch_codes_and_with_none_that_was_used() {
    let moving = Move::new();
    let alice = Mover::new("alice", &["-t", "-d", "-r", "10", "-R", "30", "-w", "5", "-e", "5"]);
    let step = present(30);
    assert!(moving.their_login(&alice.user, &alice.totp(step, 30)));
    assert!(moving.their_login(&alice.user, &alice.scratch[0]));
    assert!(!moving.their_login(&alice.user, &alice.scratch[0]), "their module removes a used one from the file");

    let import = moving.import(&[&alice.user.name]);
    assert_eq!((import.code, import.err.as_str()), (Some(0), ""), "{import:?}");
    let remark = "its window was 5 codes wide, and here it is ";
    assert!(import.out.starts_with(&format!("{}: imported", alice.user.name)), "{import:?}");
    assert!(!import.out.contains(remark) && !import.out.contains(&alice.seed), "{import:?}");

    assert!(moving.our_login(&alice.user, &alice.totp(step, 30)).contains("why=replayed"));
    assert!(moving.accepts(&alice.user, &alice.totp(present(30) + 1, 30)));
    assert!(moving.our_login(&alice.user, &alice.scratch[0]).contains("why=wrong failures=1"));
    let accepted = "accepted factor=scratch recovery_left=3 failures=1";
    assert_eq!(moving.our_login(&alice.user, &alice.scratch[1]), accepted);
    assert!(moving.our_login(&alice.user, &alice.scratch[1]).contains("why=recovery-used"));
    // Their module was used once more, after the import.
    assert!(moving.their_login(&alice.user, &alice.scratch[2]));
    let again = moving.import(&[&alice.user.name]);
    assert!(again.out.contains("was imported already; codes used since then are used up here too"), "{again:?}");
    assert!(moving.our_login(&alice.user, &alice.scratch[2]).contains("why=recovery-used"));
    assert!(moving.accepts(&alice.user, &alice.scratch[3]));
    let shown: Value = serde_json::from_str(&moving.site.admin(&["show", "--json", &alice.user.name])).unwrap();
    assert_eq!(shown["recovery_codes_left"], json!(1));
}

#[test]
fn counters_and_other_periods_go_on_where_they_are() {
    let moving = Move::new();
    let token = Mover::new("token", &["-c", "-u", "-W", "-e", "0"]);
    let slow = Mover::new("slow", &["-t", "-D", "-u", "-w", "3", "-S", "60"]);
    assert!(moving.their_login(&token.user, &token.hotp(1)));
    assert!(moving.their_login(&token.user, &token.hotp(2)));
    let import = moving.import(&[&slow.user.name, &token.user.name]);
    assert_eq!(import.code, Some(0), "{import:?}");
    let lines: Vec<_> = import.out.lines().take(2).map(str::to_owned).collect();
    assert_eq!(lines, [&slow, &token].map(|mover| format!("{}: imported", mover.user.name)), "in the order named");
    assert!(moving.our_login(&token.user, &token.hotp(2)).contains("why=replayed"));
    assert!(moving.accepts(&token.user, &token.hotp(3)));
    let step = present(60);
    assert!(moving.our_login(&slow.user, &slow.totp(step, 60)).contains("why=replayed"));
    assert!(moving.accepts(&slow.user, &slow.totp(step + 2, 60)));
}

/// A user with this text as file.
fn with_file(stem: &str, text: &str, mode: u32) -> TestUser {
    let user = TestUser::new(stem);
    user.write(".google_authenticator", text, mode);
    user
}

const SEED: &str = "GEZDGNBVGY3TQOJQ";

#[test]
fn what_a_file_says_besides_is_told() {
    let moving = Move::new();
    let crlf = with_file("crlf", "  gezd gnbv gy3t qojq \r\n\" TOTP_AUTH\r\n\r\n12345678\r\n", 0o400);
    let open = with_file("open", &format!("{SEED}\n\" TIME_SKEW 4\n\" WINDOW_SIZE 99\n\" TOTP_AUTH\n"), 0o644);
    let import = moving.import(&["--dry-run", &crlf.name, &open.name]);
    let lines: Vec<_> = import.out.lines().collect();
    assert_eq!(
        lines[0],
        format!("{}: would be imported; the seed has 80 bits; new ones have 160 (otp-enroll reset)", crlf.name)
    );
    for remark in ["120 s ahead", "99 codes wide", "others could read the file (mode 0644)"] {
        assert!(lines[1].contains(remark), "{import:?}");
    }
    assert!(moving.site.files().is_empty(), "a dry run writes nothing: {:?}", moving.site.files());
    let json = moving.import(&["--json", &open.name]).json();
    assert_eq!((&json[0]["changed"], json[0]["remarks"].as_array().unwrap().len()), (&json!(true), 4));
}

#[test]
fn what_stands_in_a_files_place_fails_for_its_user_alone() {
    let moving = Move::new();
    let good = with_file("good", &format!("{SEED}\n\" TOTP_AUTH\n"), 0o400);
    let [link, fifo, folder, theirs, none, large] =
        ["link", "fifo", "folder", "theirs", "none", "large"].map(TestUser::new);
    let file = |user: &TestUser| user.home.join(".google_authenticator");
    // A secret of root, and another user's file.
    let secret = PathBuf::from(format!("/run/{}", machine::unique("secret")));
    fs::write(&secret, format!("{SEED}\n\" TOTP_AUTH\n")).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    symlink(&secret, file(&link)).unwrap();
    machine::run(Command::new("mkfifo").arg(file(&fifo)));
    fs::create_dir(file(&folder)).unwrap();
    theirs.write(".google_authenticator", format!("{SEED}\n\" TOTP_AUTH\n"), 0o444);
    chown(file(&theirs), Some(good.uid), None).unwrap();
    large.write(".google_authenticator", "A".repeat(100_000), 0o400);

    let names = [&link, &fifo, &folder, &theirs, &none, &large, &good].map(|user| user.name.as_str());
    let import = moving.import(&names);
    assert_eq!(import.code, Some(4), "{import:?}");
    let expected = [
        (&link, "it is a symbolic link"),
        (&fifo, "it is not a regular file"),
        (&folder, "it is not a regular file"),
        (&theirs, &format!("it belongs to uid {}, not to its user", good.uid)),
        (&none, "there is no such file"),
        (&large, "it is too large for a file of google-authenticator"),
    ];
    for ((user, why), line) in expected.into_iter().zip(import.out.lines()) {
        let told = format!("{}: failed: {}: {why}; ", user.name, file(user).display());
        assert!(line.starts_with(&told), "{line} | {told}");
    }
    assert!(import.out.contains(&format!("{}: imported", good.name)) && !import.out.contains(SEED), "{import:?}");
    assert_eq!(moving.site.files().len(), 2, "{:?}", moving.site.files());
}

#[test]
fn a_link_on_the_way_leads_a_user_nowhere_that_the_user_may_not_go() {
    let moving = Move::new();
    let user = TestUser::new("mallory");
    let folder = PathBuf::from(format!("/run/{}", machine::unique("roots")));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), format!("{SEED}\n\" TOTP_AUTH\n")).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    symlink(&folder, user.home.join("way")).unwrap();
    let import = moving.import(&["--from", "%h/way/file", &user.name]);
    assert_eq!(import.code, Some(4));
    assert!(import.out.contains("may not be read by its user, nor stands in a folder of root's alone"), "{import:?}");
    assert!(moving.site.files().is_empty());
}

#[test]
fn one_folder_of_roots_may_hold_a_file_for_each_user() {
    let moving = Move::new();
    let [alice, bob] = ["alice", "bob"].map(TestUser::new);
    let folder = PathBuf::from(format!("/run/{}", machine::unique("ga")));
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    for (user, mode) in [(&alice, 0o600), (&bob, 0o400)] {
        let file = folder.join(&user.name);
        fs::write(&file, format!("{SEED}\n\" TOTP_AUTH\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    }
    chown(folder.join(&bob.name), Some(bob.uid), None).unwrap();
    for template in ["/%u", "/${USER}"] {
        let from = format!("{}{template}", folder.display());
        let import = moving.import(&["--from", &from, "--replace", "--yes", &alice.name, &bob.name]);
        assert_eq!(import.code, Some(0), "{import:?}");
    }
    // Root reads no file in a folder where another user could put one.
    fs::set_permissions(&folder, Permissions::from_mode(0o1733)).unwrap();
    let from = format!("{}/%u", folder.display());
    let import = moving.import(&["--from", &from, &alice.name]);
    assert!(import.code == Some(4) && import.out.contains("may not be read by its user"), "{import:?}");
}

#[test]
fn all_who_have_a_file_are_imported_among_thousands_who_have_none() {
    let moving = Move::new();
    let crowd = Crowd::new(2000);
    let users: Vec<_> = (0..3).map(|_| with_file("mover", &format!("{SEED}\n\" TOTP_AUTH\n"), 0o400)).collect();
    let import = moving.import(&["--all"]);
    let told: Vec<_> = import.out.lines().filter(|line| line.contains(": imported")).collect();
    for user in &users {
        assert!(told.iter().any(|line| line.starts_with(&user.name)), "{import:?}");
    }
    assert!(!crowd.names.iter().any(|name| import.out.contains(name.as_str())), "{import:?}");
}

#[test]
fn a_user_takes_the_phone_over_by_a_code_that_it_shows() {
    let alice = Mover::new("alice", &["-t", "-d", "-u", "-w", "3"]);
    let import = |arguments: &[&str], input: &str| {
        Outcome::of(alice.user.command("otp-enroll").arg("import").args(arguments), input)
    };
    let nothing = import(&["--stdin"], "123456\n");
    assert!(nothing.code == Some(1) && !nothing.out.contains(&alice.seed), "{nothing:?}");
    let done = import(
        &["--stdin", "--save-recovery", "codes", "--name", "old phone"],
        &format!("{}\n", alice.totp(present(30), 30)),
    );
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.contains("Scratch codes of the file are not imported"), "{done:?}");
    assert!(!done.out.contains(&alice.seed) && !done.out.contains(&alice.scratch[0]), "{done:?}");
    let saved = fs::read_to_string(alice.user.home.join("codes")).unwrap();
    let status = Outcome::of(alice.user.command("otp-enroll").args(["status", "--json"]), "").json();
    let device = &status[0]["devices"][0];
    assert_eq!(
        (&device["name"], &device["type"], &device["drift"]),
        (&json!("old phone"), &json!("totp"), &Value::Null)
    );
    assert_eq!(status[0]["recovery_codes_left"], json!(10));
    let test = |code: String| {
        Outcome::of(alice.user.command("otp-enroll").args(["test", "--stdin"]), &format!("{code}\n")).code == Some(0)
    };
    assert!(!test(alice.scratch[1].clone()), "they did not come along");
    assert!(test(alice.totp(present(30) + 1, 30)));
    // With a device, it asks for a code of that first, and the seed is there already.
    let again = import(&["--stdin"], &format!("{}\n", saved.lines().find(|line| line.len() == 19).unwrap()));
    assert!(again.code == Some(1) && again.err.contains("the devices: otp-enroll list"), "{again:?}");
}

#[test]
fn a_file_that_is_none_is_told_to_its_user_without_a_word_of_it() {
    let user = with_file("alice", "not a seed 123!\n", 0o600);
    let told = Outcome::of(user.command("otp-enroll").args(["import", "--stdin"]), "");
    assert_eq!(told.code, Some(1));
    assert!(told.err.contains(".google_authenticator: line 1 is no seed: it is not Base32"), "{told:?}");
    let none = TestUser::new("bob");
    let told = Outcome::of(none.command("otp-enroll").args(["import", "--stdin"]), "");
    assert!(told.code == Some(4) && told.err.contains("No such file"), "{told:?}");
}
