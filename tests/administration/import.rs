//! `otp-enroll admin import`: users who had pam_oath, whose codes are good here from the next one on.
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
    outcome::{Dialogue, Outcome},
    phone::Phone,
    pty::Pty,
    service::Service,
    site::Site,
    syslog,
    users::{Crowd, TestUser},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
    time::{Duration, SystemTime},
};

/// A users file with pam_oath before it, and a site of ours that is to take over.
struct Move {
    file: PathBuf,
    theirs: Service,
    site: Site,
    ours: Service,
    seeds: Vec<String>,
}

impl Move {
    fn new() -> Move {
        let site = Site::new("");
        let file = PathBuf::from(format!("/run/{}", machine::unique("users.oath")));
        let theirs = format!("auth required pam_oath.so usersfile={} window=5 digits=6", file.display());
        let ours = Service::private(&site.auth("required", ""));
        Move { file, theirs: Service::private(&theirs), site, ours, seeds: Vec::new() }
    }

    /// A new seed, in HEX. It must turn up in no output.
    fn seed(&mut self) -> String {
        let mut random = [0; 20];
        File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let seed: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        self.seeds.push(seed.clone());
        seed
    }

    fn write(&self, text: &str) {
        fs::write(&self.file, text).unwrap();
        fs::set_permissions(&self.file, Permissions::from_mode(0o600)).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = self.site.admin_command();
        command.args(["import", "oath"]).arg(&self.file).args(options);
        command
    }

    fn import(&self, options: &[&str]) -> Outcome {
        self.checked(Outcome::of(&mut self.command(options), ""))
    }

    /// Whatever happens, no seed is said, in no spelling.
    fn checked(&self, outcome: Outcome) -> Outcome {
        let said = format!("{}{}", outcome.out, outcome.err);
        for seed in &self.seeds {
            for spelling in [seed.clone(), seed.to_uppercase(), base32(seed)] {
                assert!(!said.contains(&spelling), "{outcome:?}");
            }
        }
        outcome
    }

    /// pam_oath's answer.
    fn their_login(&self, user: &TestUser, code: &str) -> String {
        Talk::new(&self.theirs, &user.name).run(&[code]).result("authenticate").to_owned()
    }

    /// Why our module refuses, or `accepted`.
    fn our_login(&self, user: &TestUser, code: &str) -> String {
        let (said, log) = logged(&Talk::new(&self.ours, &user.name), &[code]);
        let word = |rest: &str| rest.split(' ').next().unwrap().to_owned();
        match log[0].split_once(" why=") {
            Some((_, why)) => word(why),
            None => {
                assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
                word(log[0].split_once(' ').unwrap().1)
            }
        }
    }

    fn show(&self, user: &TestUser) -> Value {
        serde_json::from_str(&self.site.admin(&["show", "--json", &user.name])).unwrap()
    }
}

/// A seed as records have it.
fn base32(seed: &str) -> String {
    let told = machine::run(Command::new("oathtool").args(["--verbose", seed]));
    told.lines().find_map(|line| line.strip_prefix("Base32 secret: ")).unwrap().trim_end_matches('=').to_owned()
}

fn hotp(seed: &str, counter: u64) -> String {
    machine::run(Command::new("oathtool").args(["--hotp", &format!("--counter={counter}"), seed])).trim_end().to_owned()
}

/// The step of thirty seconds that it is now.
fn present() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() / 30
}

fn totp(seed: &str, step: u64) -> String {
    let at = format!("--now=@{}", step * 30);
    machine::run(Command::new("oathtool").args(["--totp", &at, seed])).trim_end().to_owned()
}

const ACCEPTED: &str = "PAM_SUCCESS";

#[test]
fn a_counter_goes_on_after_the_last_code_that_pam_oath_accepted() {
    let (mut moving, alice) = (Move::new(), TestUser::new("alice"));
    let seed = moving.seed();
    moving.write(&format!("# tokens\nHOTP/E/6 {} - {seed}\n", alice.name));
    assert_eq!(moving.their_login(&alice, &hotp(&seed, 0)), ACCEPTED);
    assert_eq!(moving.their_login(&alice, &hotp(&seed, 3)), ACCEPTED);
    assert!(moving.text().contains(&format!("\t3\t{}\t", hotp(&seed, 3))), "what it notes: {}", moving.text());

    let mark = syslog::mark();
    let import = moving.import(&[]);
    assert_eq!((import.code, import.err.as_str()), (Some(0), ""), "{}", import.out);
    assert!(
        import
            .out
            .starts_with(&format!("{}: imported\n\n1 imported, 0 were imported already, 0 failed.\n", alice.name)),
        "{}",
        import.out
    );
    assert!(import.out.contains("otp-enroll recovery") && import.out.contains("users.oath"), "{}", import.out);
    let line = syslog::wait_for(mark, &format!("imported user={}", alice.name), Duration::from_secs(5)).unwrap();
    assert!(line.contains("authpriv.notice") && line.contains("by_uid=0"), "{line}");

    for used in [0, 2, 3] {
        assert_eq!(moving.our_login(&alice, &hotp(&seed, used)), "replayed", "{used}");
    }
    assert_eq!(moving.our_login(&alice, &hotp(&seed, 4)), "accepted");
    let shown = moving.show(&alice);
    assert_eq!((&shown["devices"][0]["name"], &shown["recovery_codes_left"]), (&json!("imported"), &json!(0)));
}

#[test]
fn a_counter_that_was_never_used_begins_with_its_first_code() {
    let (mut moving, alice) = (Move::new(), TestUser::new("alice"));
    let seed = moving.seed();
    moving.write(&format!("HOTP {} + {seed} 7\n", alice.name));
    assert_eq!(moving.import(&["--quiet"]), Outcome { code: Some(0), out: String::new(), err: String::new() });
    assert_eq!(moving.our_login(&alice, &hotp(&seed, 6)), "replayed");
    assert_eq!(moving.our_login(&alice, &hotp(&seed, 7)), "accepted");
}

#[test]
fn no_time_based_code_that_pam_oath_accepted_is_good_again_not_even_one_ahead_of_the_clock() {
    let mut moving = Move::new();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(TestUser::new);
    let [of_alice, of_bob, of_carol] = [(); 3].map(|()| moving.seed());
    let (a, b, c) = (&alice.name, &bob.name, &carol.name);
    moving.write(&format!("HOTP/T30/6 {a} - {of_alice}\nHOTP/T30 {b} - {of_bob}\nHOTP/T30 {c} - {of_carol}\n"));
    let step = present();
    assert_eq!(moving.their_login(&alice, &totp(&of_alice, step)), ACCEPTED);
    assert_eq!(moving.their_login(&bob, &totp(&of_bob, step + 3)), ACCEPTED);
    assert_eq!(moving.import(&[]).code, Some(0));
    for used in [step - 1, step] {
        assert_eq!(moving.our_login(&alice, &totp(&of_alice, used)), "replayed");
    }
    // By now it may be a step later.
    assert_eq!(moving.our_login(&alice, &totp(&of_alice, step + 2)), "accepted");
    for used in [step, step + 1, step + 2, step + 3] {
        assert_eq!(moving.our_login(&bob, &totp(&of_bob, used)), "replayed");
    }
    assert_eq!(moving.our_login(&bob, &totp(&of_bob, step + 4)), "accepted");
    // The file does not tell which codes a user used before it was last rewritten by hand.
    assert_eq!(moving.our_login(&carol, &totp(&of_carol, step)), "replayed");
    assert_eq!(moving.our_login(&carol, &totp(&of_carol, step + 2)), "accepted");
}

#[test]
fn importing_once_more_spends_what_pam_oath_has_accepted_since() {
    let (mut moving, alice) = (Move::new(), TestUser::new("alice"));
    let (token, phone) = (moving.seed(), moving.seed());
    moving.write(&format!("HOTP {0} - {token}\nHOTP/T30 {0} - {phone}\n", alice.name));
    assert_eq!(moving.import(&[]).code, Some(0));
    let step = present();
    assert_eq!(moving.their_login(&alice, &hotp(&token, 2)), ACCEPTED);
    assert_eq!(moving.their_login(&alice, &totp(&phone, step + 4)), ACCEPTED);
    let enrollment = fs::read(moving.site.credentials(&alice.name)).unwrap();
    let again = moving.import(&["--json"]);
    assert_eq!((again.code, again.json()), (Some(0), vec![json!({"user": alice.name, "changed": true})]));
    assert_eq!(fs::read(moving.site.credentials(&alice.name)).unwrap(), enrollment);
    assert_eq!(moving.import(&["--json"]).json(), [json!({"user": alice.name, "changed": false})]);
    assert_eq!(moving.our_login(&alice, &hotp(&token, 2)), "replayed");
    assert_eq!(moving.our_login(&alice, &totp(&phone, step + 4)), "replayed");
    assert_eq!(moving.our_login(&alice, &hotp(&token, 3)), "accepted");
    assert_eq!(moving.our_login(&alice, &totp(&phone, step + 5)), "accepted");
    // The file is older now than what is known here.
    assert_eq!(moving.import(&["--json"]).json(), [json!({"user": alice.name, "changed": false})]);
    assert_eq!(moving.our_login(&alice, &hotp(&token, 3)), "replayed");
}

#[test]
fn a_file_with_faults_is_told_with_their_lines_and_nothing_of_it_is_imported() {
    let (mut moving, alice) = (Move::new(), TestUser::new("alice"));
    let (seed, other) = (moving.seed(), moving.seed());
    let user = &alice.name;
    moving.write(&format!(
        "HOTP/T30 {user} - {seed}\n\n# a comment\nMOTP {user} 1234 {seed}\nHOTP {user} 1234 {other}\n\
         HOTP/T30/9 {user} - {other}\nHOTP {user} - {other}x\nHOTP {user} - 00\n"
    ));
    let refused = moving.import(&[]);
    let file = moving.file.display();
    let expected = format!(
        "{file}:4: the type is MOTP, which is not supported\n\
         {file}:5: there is a password, which cannot be imported: write - or + in its place\n\
         {file}:6: a code has 6, 7 or 8 digits\n\
         {file}:7: the seed is not HEX\n\
         {file}:8: the seed must have 80 to 512 bits\n"
    );
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), expected.as_str()));
    assert!(
        refused.err.starts_with("otp-enroll: 5 faults were found in the file\n  nothing was imported"),
        "{refused:?}"
    );
    let lines = moving.import(&["--json"]).json();
    assert_eq!(lines[0], json!({"line": 4, "fault": "the type is MOTP, which is not supported"}));
    assert_eq!((lines.len(), &lines[5]["error"]), (6, &json!("5 faults were found in the file")));
    assert_eq!(moving.site.files(), BTreeSet::new());

    fs::remove_file(&moving.file).unwrap();
    let missing = moving.import(&[]);
    assert_eq!((missing.code, missing.out.as_str()), (Some(4), ""));
    assert!(missing.err.starts_with(&format!("otp-enroll: cannot read {file}: No such file")), "{missing:?}");
}

#[test]
fn a_user_who_cannot_be_imported_does_not_stop_the_others_and_keeps_the_old_device() {
    let (mut moving, alice, bob) = (Move::new(), TestUser::new("alice"), TestUser::new("bob"));
    let phone = Phone::enroll(&moving.site, &alice.name);
    let files = [moving.site.credentials(&alice.name), moving.site.state_file(&alice.name)];
    let before = files.each_ref().map(|file| fs::read(file).unwrap());
    let (of_alice, of_bob) = (moving.seed(), moving.seed());
    moving.write(&format!(
        "HOTP nobody-{0} - {of_bob}\nHOTP {0} - {of_alice}\nHOTP {1} - {of_bob}\n",
        alice.name, bob.name
    ));
    let nobody = format!("nobody-{}", alice.name);

    let dry = moving.import(&["--dry-run"]);
    assert_eq!(dry.code, Some(4), "{dry:?}");
    assert!(dry.out.contains(&format!("{}: would be imported\n", bob.name)), "{dry:?}");
    let mut dry = moving.import(&["--dry-run", "--json"]).json();
    dry.sort_by_key(|line| line["user"].as_str().map(str::to_owned));
    assert_eq!(dry[2], json!({"user": bob.name, "would_change": true}));
    assert_eq!(moving.site.files().len(), 2, "a dry run writes nothing: {:?}", moving.site.files());

    let import = moving.import(&[]);
    assert_eq!(import.code, Some(4), "{import:?}");
    let lines: BTreeSet<&str> = import.out.lines().take(3).collect();
    let expected = [
        format!("{nobody}: failed: there is no such user; create the account, and import again"),
        format!(
            "{}: failed: has a second factor already; to replace it by the devices in the file: --replace; \
             to have them beside it: --add",
            alice.name
        ),
        format!("{}: imported", bob.name),
    ];
    assert_eq!(lines, expected.iter().map(String::as_str).collect());
    assert!(import.out.contains("\n1 imported, 0 were imported already, 2 failed.\n"), "{import:?}");
    assert!(import.err.starts_with("otp-enroll: failed for 2 users\n"), "{import:?}");
    assert_eq!(files.map(|file| fs::read(file).unwrap()), before);
    assert_eq!(moving.our_login(&alice, &phone.next_code()), "accepted");
    assert_eq!(moving.our_login(&bob, &hotp(&of_bob, 0)), "accepted");

    let mut quiet = moving.import(&["--json"]).json();
    quiet.sort_by_key(|line| line["user"].as_str().map(str::to_owned));
    assert_eq!(quiet[1]["error"], "has a second factor already");
    assert_eq!(quiet[2], json!({"user": bob.name, "changed": false}));
}

#[test]
fn replace_asks_and_keeps_nothing_but_the_override_and_what_was_used() {
    let (mut moving, alice) = (Move::new(), TestUser::new("alice"));
    let phone = Phone::enroll(&moving.site, &alice.name);
    moving.site.admin(&["require", &alice.name]);
    let seed = moving.seed();
    moving.write(&format!("HOTP {} - {seed}\n", alice.name));
    let asked = moving.import(&["--replace"]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.err.contains("add --yes"), "{asked:?}");
    assert_eq!(moving.import(&["--yes"]).code, Some(2), "nothing is asked without --replace");

    let (config, file) = (moving.site.config().to_str().unwrap(), moving.file.to_str().unwrap());
    let arguments = ["--config", config, "admin", "import", "oath", file, "--replace"];
    let mut terminal = Pty::new("otp-enroll").args(arguments).start();
    terminal.wait_for("this file? [y/N] ");
    terminal.send_line("n");
    assert_eq!(terminal.wait().code(), Some(1));
    assert_eq!(moving.our_login(&alice, &phone.next_code()), "accepted");

    let mark = syslog::mark();
    let replaced = moving.import(&["--replace", "--yes"]);
    let line = format!("replaced user={} by_uid=0 proof=admin", alice.name);
    syslog::wait_for(mark, &line, Duration::from_secs(5)).unwrap();
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    assert!(replaced.out.starts_with(&format!("{}: replaced\n", alice.name)), "{replaced:?}");
    let shown = moving.show(&alice);
    assert_eq!((&shown["override"], &shown["recovery_codes_left"]), (&json!("required"), &json!(0)));
    assert_eq!(moving.our_login(&alice, &phone.next_code()), "wrong");
    assert_eq!(moving.our_login(&alice, &phone.recovery_code()), "recovery-unknown");
    assert_eq!(moving.our_login(&alice, &hotp(&seed, 0)), "accepted");
    let again = moving.import(&["--replace", "--yes", "--json"]);
    assert_eq!(again.json(), [json!({"user": alice.name, "changed": false})]);
    assert_eq!(moving.our_login(&alice, &hotp(&seed, 0)), "replayed");
}

#[test]
fn lines_of_one_user_are_devices_of_one_record() {
    let (mut moving, alice, bob) = (Move::new(), TestUser::new("alice"), TestUser::new("bob"));
    let seeds: Vec<_> = (0..3).map(|_| moving.seed()).collect();
    let (a, b) = (&alice.name, &bob.name);
    moving.write(&format!("HOTP {a} - {}\nHOTP {b} - {}\nHOTP/T60/8 {a} - {}\n", seeds[0], seeds[1], seeds[2]));
    assert_eq!(moving.import(&[]).code, Some(0));
    let devices = moving.show(&alice)["devices"].clone();
    let is = |place: usize, key: &str| devices[place][key].clone();
    assert_eq!((is(0, "name"), is(0, "type"), is(0, "digits")), (json!("imported"), json!("hotp"), json!(6)));
    assert_eq!((is(1, "name"), is(1, "type"), is(1, "digits")), (json!("imported 2"), json!("totp"), json!(8)));
    assert_eq!((is(1, "period"), is(2, "name")), (json!(60), Value::Null));
    assert_eq!(moving.our_login(&alice, &hotp(&seeds[0], 0)), "accepted");
}

#[test]
fn standard_input_will_do_and_a_file_that_others_can_read_is_worth_a_warning() {
    let (mut moving, alice) = (Move::new(), TestUser::new("alice"));
    let seed = moving.seed();
    let line = format!("HOTP {} - {seed}\n", alice.name);
    let piped = moving.checked(Outcome::of(moving.site.admin_command().args(["import", "oath", "-", "--json"]), &line));
    assert_eq!((piped.code, piped.err.as_str()), (Some(0), ""));
    assert_eq!(piped.json(), [json!({"user": alice.name, "changed": true})]);
    moving.write(&line);
    assert_eq!(moving.import(&[]).err, "");
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&moving.file, Permissions::from_mode(mode)).unwrap();
        let warned = moving.import(&[]);
        let file = moving.file.display();
        let warning = format!(
            "otp-enroll: warning: others than its owner can open {file}, which holds seeds (mode {mode:04o}): chmod 600 {file}\n"
        );
        assert_eq!((warned.code, warned.err), (Some(0), warning));
    }
}

#[test]
fn a_file_is_told_alike_whether_it_is_read_where_it_stands_or_comes_by_standard_input() {
    const LINES: usize = 5000;
    let (mut moving, crowd) = (Move::new(), Crowd::new(50));
    let (seed, other) = (moving.seed(), moving.seed());
    let line = |number: usize| match number {
        // Lines of one user stand far from each other, and some are faults.
        number if number % 100 == 0 => format!("HOTP {} - {seed}\n", crowd.names[number / 100]),
        number if number % 500 == 7 => format!("HOTP/T60 {} + {other}\n", crowd.names[number / 100]),
        number if number % 500 == 11 => format!("HOTP/T30 {} - {seed}\n", crowd.names[number / 100 + 1]),
        number if number % 500 == 13 => format!("# {}\n", "x".repeat(number)),
        number if number % 500 == 17 => format!("HOTP nobody{} - {other}\n", number - 1),
        number if number % 1000 == 19 => format!("HOTP nobody{number} - {other}0\n"),
        number => format!("HOTP/T30 nobody{number} - {seed} 0 123456 2026-11-22T02:59:59L\n"),
    };
    let text: String = (0..LINES).map(line).collect();
    moving.write(&text);
    let site = Site::new("");
    let rejects = ["where-it-stands", "standard-input"].map(|name| format!("/run/{}", machine::unique(name)));
    let mut piped = site.admin_command();
    piped.args(["import", "oath", "-", "--json", "--rejects", &rejects[1]]);
    let (placed, piped) =
        (moving.import(&["--json", "--rejects", &rejects[0]]), moving.checked(Outcome::of(&mut piped, &text)));
    assert_eq!((placed.code, &placed.out), (piped.code, &piped.out));
    let [left, also_left] = rejects.map(|file| fs::read_to_string(file).unwrap());
    assert!(left == also_left);
    let lines = placed.json();
    let imported = lines.iter().filter(|line| line["changed"] == true).count();
    let faults: Vec<_> = lines.iter().filter_map(|line| line["line"].as_u64()).collect();
    assert_eq!((imported, faults.len()), (40, 15), "{faults:?}");
    assert!(faults.is_sorted());
    let users = lines.iter().filter_map(|line| line["user"].as_str()).collect::<Vec<_>>();
    let place = |user: &&str| text.find(&format!(" {user} "));
    assert!(users.is_sorted_by_key(place), "the report has the order of the file");
    let record = fs::read_to_string(moving.site.credentials(&crowd.names[0])).unwrap();
    assert!([&seed, &other].iter().all(|seed| record.contains(&base32(seed))), "two lines are two devices");
    // What is left is what was not taken, line by line: of 40 users, ten had two lines.
    let kept: BTreeSet<_> = left.lines().collect();
    assert!(left.lines().eq(text.lines().filter(|line| kept.contains(line))));
    assert_eq!(left.lines().count(), LINES - 50);
}

#[test]
fn a_file_that_is_written_to_meanwhile_enrolls_nobody_whom_it_names_now() {
    const COUNT: usize = 2000;
    let (mut moving, crowd) = (Move::new(), Crowd::new(COUNT));
    let (seed, other) = (moving.seed(), moving.seed());
    let text = |seed: &str| crowd.names.iter().map(|name| format!("HOTP/T30 {name} - {seed}\n")).collect::<String>();
    moving.write(&text(&seed));
    let mut import = Dialogue::start(&mut moving.command(&["--json"]));
    import.json();
    moving.write(&text(&other));
    let ended = moving.checked(import.end());
    assert_eq!(ended.code, Some(4), "{}", ended.err);
    let lines = ended.json();
    let failed: Vec<_> = lines.iter().filter(|line| line["line"].is_u64()).collect();
    assert!(!failed.is_empty(), "{lines:?}");
    for line in failed {
        assert_eq!(line["error"], "it cannot be read: the file was written to since it was opened");
        assert_eq!(line["hint"], "the file is not what it was when the import began: import it again");
    }
    // Each user who was enrolled has the seed of the file that was read.
    let (now, later) = (base32(&seed), base32(&other));
    let records = moving.site.files().into_iter().filter(|file| file.ends_with(".toml"));
    for record in records {
        let record = fs::read_to_string(moving.site.state().join(record)).unwrap();
        assert!(record.contains(&now) && !record.contains(&later));
    }
}

#[test]
fn a_long_import_shows_its_progress_on_a_terminal() {
    let mut moving = Move::new();
    let seed = moving.seed();
    moving.write(&(0..600).map(|number| format!("HOTP nobody-at-all-{number} - {seed}\n")).collect::<String>());
    let (config, file) = (moving.site.config().to_str().unwrap(), moving.file.to_str().unwrap());
    let arguments = ["--config", config, "admin", "import", "oath", file, "--dry-run"];
    let mut terminal = Pty::new("otp-enroll").args(arguments).start();
    assert_eq!(terminal.wait().code(), Some(4));
    assert!(terminal.transcript().contains("importing: 0 % (1 of 600)"), "{}", terminal.transcript());
    assert!(!terminal.screen().contains("importing:"), "{}", terminal.screen());
    assert!(!moving.import(&["--dry-run"]).err.contains("importing:"), "nobody watches");
}

#[test]
fn an_import_ends_when_its_output_is_closed() {
    let mut moving = Move::new();
    let seed = moving.seed();
    moving.write(&(0..2000).map(|number| format!("HOTP nobody-at-all-{number} - {seed}\n")).collect::<String>());
    let end = moving.checked(Dialogue::start(&mut moving.command(&["--dry-run"])).turn_away().end());
    assert_eq!(end.code, Some(4), "{end:?}");
    assert!(end.err.contains(" of 2000 users were processed; cannot write to standard output: "), "{end:?}");
}

#[test]
fn an_interrupted_import_has_each_user_whole_or_not_at_all_and_goes_on_when_it_is_run_again() {
    const COUNT: usize = 2000;
    let (mut moving, crowd) = (Move::new(), Crowd::new(COUNT));
    let seed = moving.seed();
    moving.write(&crowd.names.iter().map(|name| format!("HOTP/T30 {name} - {seed}\n")).collect::<String>());
    let mut import = Dialogue::start(&mut moving.command(&["--json"]));
    for _ in 0..100 {
        import.json();
    }
    machine::run(Command::new("kill").args(["-INT", &import.pid().to_string()]));
    let stopped = moving.checked(import.end());
    assert_eq!(stopped.code, Some(130), "{}", stopped.err);
    let mut lines = stopped.json();
    let complaint = lines.pop().unwrap();
    let done = lines.len() + 100;
    assert_eq!(complaint["error"], format!("interrupted: {done} of {COUNT} users were processed"));
    assert!(complaint["hint"].as_str().unwrap().contains("to continue, run the same command again"), "{complaint}");
    assert!(done < COUNT, "it was to be interrupted");

    // Two files for each, and nothing beside: all of them can be used.
    assert_eq!(moving.site.files().len(), 2 * done);
    let list = moving.checked(Outcome::of(moving.site.admin_command().args(["list", "--json"]), ""));
    assert_eq!((list.code, list.json().len()), (Some(0), done), "{}", list.err);
    assert!(list.json().iter().all(|line| line["enrolled"] == true));

    let again = moving.import(&["--json"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    let changed = |wanted: bool| again.json().iter().filter(|line| line["changed"] == wanted).count();
    assert_eq!((changed(false), changed(true)), (done, COUNT - done));
    let list = Outcome::of(moving.site.admin_command().args(["list", "--json"]), "");
    assert_eq!((list.code, list.json().len()), (Some(0), COUNT));
}

#[test]
fn an_import_that_is_killed_again_and_again_has_each_user_whole_or_not_at_all() {
    const COUNT: usize = 4000; // some hundred are put in force together
    let (mut moving, crowd) = (Move::new(), Crowd::new(COUNT));
    let seed = moving.seed();
    moving.write(&crowd.names.iter().map(|name| format!("HOTP/T30 {name} - {seed}\n")).collect::<String>());
    let (mut told, mut killed) = (BTreeSet::new(), 0);
    loop {
        let mut import = Dialogue::start(&mut moving.command(&["--json"]));
        let before = told.len();
        while told.len() < before + 10
            && let Some(line) = import.object()
        {
            told.insert(line["user"].as_str().unwrap().to_owned());
        }
        let is_over = told.len() < before + 10;
        import.kill();
        moving.checked(import.end());

        // Each user that the import reported is there, and each record that is there is whole.
        let list = Outcome::of(moving.site.admin_command().args(["list", "--json"]), "");
        assert_eq!(list.code, Some(0), "after {killed} kills: {}{}", list.out, list.err);
        let enrolled: BTreeSet<_> = list.json().iter().map(|line| line["user"].as_str().unwrap().to_owned()).collect();
        assert!(told.is_subset(&enrolled), "{:?}", told.difference(&enrolled));
        assert!(list.json().iter().all(|line| line["enrolled"] == true));
        told = enrolled;
        if is_over {
            break;
        }
        killed += 1;
    }
    assert!(killed >= 5 && told.len() == COUNT, "{killed} kills, {} users", told.len());
    let whole: BTreeSet<_> =
        crowd.names.iter().flat_map(|name| ["state", "toml"].map(|kind| format!("{name}.{kind}"))).collect();
    assert_eq!(moving.site.files(), whole, "nothing else stays");
}
