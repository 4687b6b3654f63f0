//! `otp-enroll admin`: who has what, unlock, reset, disable, check; never a seed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    app::Enrolled,
    machine,
    outcome::Outcome,
    pty::Pty,
    site::{self, HELPER, overwrite},
    syslog,
    users::TestUser,
};
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A configuration with records of its own, on the real disk.
struct Site {
    config: PathBuf,
    state: PathBuf,
}

impl Site {
    fn new(lines: &str) -> Site {
        machine::require("a state directory");
        let name = machine::unique("admin");
        let site =
            Site { config: format!("/run/{name}.toml").into(), state: format!("/var/lib/pam_otp/{name}").into() };
        machine::run(Command::new("install").args(["-d", "-m", "1730", "-g", "pam_otp"]).arg(&site.state));
        pam_otp_tests::site::identify(&site.config, &site.state);
        site.set(lines);
        site
    }

    fn set(&self, lines: &str) {
        fs::write(&self.config, format!("state_directory = {:?}\n{lines}", self.state)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("otp-enroll");
        command.arg("--config").arg(&self.config).args(arguments);
        command
    }

    fn admin(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(&["admin"]).args(arguments), "")
    }

    fn enroll(&self, user: &TestUser) -> Enrolled {
        Enrolled::by(&mut self.command(&["--user", &user.name, "--json"]))
    }

    fn test(&self, user: &TestUser, code: &str) -> Option<i32> {
        Outcome::of(&mut self.command(&["--user", &user.name, "test", "--stdin"]), code).code
    }

    /// What `list` says too.
    fn show(&self, user: &TestUser) -> Value {
        let mut shown = self.admin(&["show", &user.name, "--json"]).json().remove(0);
        let more = ["refusals", "refusals_from"].map(|key| shown.as_object_mut().unwrap().remove(key));
        assert!(more.iter().all(Option::is_some), "{shown}");
        shown
    }

    fn file(&self, user: &TestUser, kind: &str) -> PathBuf {
        self.state.join(format!("{}.{kind}", user.name))
    }

    fn lock(&self, user: &TestUser, set_up: &Enrolled) {
        for _ in 0..6 {
            assert_eq!(self.test(user, &set_up.app.wrong()), Some(1));
        }
    }
}

fn assert_no_seed(outcome: &Outcome, set_up: &Enrolled) {
    let hex = set_up.app.hex();
    for secret in [&set_up.app.secret, &hex].into_iter().chain(&set_up.recovery) {
        assert!(!outcome.out.contains(secret) && !outcome.err.contains(secret), "{outcome:?}");
    }
}

#[test]
fn only_root_administers() {
    let alice = TestUser::new("alice");
    for arguments in [
        &["list"][..],
        &["show", "root"],
        &["unlock", "root"],
        &["issue", "root"],
        &["revoke", "root"],
        &["reset", "-y", "root"],
        &["disable", "-y", "root"],
        &["import", "oath", "/etc/passwd"],
        &["check"],
    ] {
        let outcome = Outcome::of(alice.command("otp-enroll").arg("admin").args(arguments), "");
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(outcome.err.contains("only root may administer second factors"), "{outcome:?}");
    }
}

#[test]
fn list_and_show_say_who_has_what() {
    let site = Site::new("");
    assert_eq!(site.admin(&["list"]).out, "No user has set up a second factor.\n");
    assert_eq!(site.admin(&["list", "--json"]).out, "");
    let (alice, bob, carol) = (TestUser::new("alice"), TestUser::new("bob"), TestUser::new("carol"));
    let (of_alice, of_bob) = (site.enroll(&alice), site.enroll(&bob));
    assert_eq!(site.test(&bob, &of_bob.recovery[0]), Some(0));
    site.lock(&alice, &of_alice);

    let list = site.admin(&["list"]);
    assert_eq!((list.code, list.err.as_str()), (Some(0), ""));
    let words: Vec<Vec<&str>> = list.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["USER", "FACTOR", "RECOVERY", "OVERRIDE", "LOCKED"]);
    assert_eq!(words[1][..5], [&alice.name, "totp", "10", "none", "until"]);
    assert_eq!(words[2], [&bob.name, "totp", "9", "none", "-"]);
    let columns: Vec<usize> = list.out.lines().map(|line| line.find("totp").or(line.find("FACTOR")).unwrap()).collect();
    assert!(columns.iter().all(|column| *column == columns[0]), "{}", list.out);
    assert_eq!(site.admin(&["list", "--quiet"]).out.lines().count(), 2, "no heading for scripts");
    let json = site.admin(&["list", "--json"]).json();
    assert_eq!((&json[0], &json[1]), (&site.show(&alice), &site.show(&bob)));
    assert_eq!((&json[0]["failures"], &json[1]["lock"]), (&6.into(), &"open".into()));

    let show = site.admin(&["show", &alice.name]);
    for line in
        ["Device 1         authenticator, TOTP, 6 digits, default\n", "Wrong codes      6", "Locked           until 20"]
    {
        assert!(show.out.contains(line), "{line:?} is missing in\n{}", show.out);
    }
    assert!(site.admin(&["show", &carol.name]).out.contains("Second factor    not set up"));
    for outcome in [list, show, site.admin(&["list", "--json"]), site.admin(&["show", "--json", &alice.name])] {
        assert_no_seed(&outcome, &of_alice);
    }
    let misplaced = site.admin(&["--user", &alice.name, "list"]);
    assert_eq!(misplaced.code, Some(2), "{misplaced:?}");
}

#[test]
fn a_lock_whose_time_is_over_is_not_shown_as_one() {
    let site = Site::new("[lockout]\nafter = 1\nfor = \"1s\"\n");
    let alice = TestUser::new("alice");
    let set_up = site.enroll(&alice);
    assert_eq!(site.test(&alice, &set_up.app.wrong()), Some(1));
    let open = || (site.show(&alice)["lock"] == "open").then_some(());
    machine::wait(Duration::from_secs(30), open).unwrap_or_else(|| panic!("{}", site.show(&alice)));
    assert_eq!(site.show(&alice)["failures"], 1, "the count stays");
}

#[test]
fn unlock_opens_what_is_locked() {
    let site = Site::new("[lockout]\nfor = \"until-unlocked\"\n");
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let set_up = site.enroll(&alice);
    site.lock(&alice, &set_up);
    assert_eq!(site.test(&alice, &set_up.app.code(0)), Some(1), "locked");
    assert!(site.admin(&["list"]).out.contains("until unlocked"));
    let mark = syslog::mark();
    let outcome = site.admin(&["unlock", &alice.name, &bob.name]);
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.out, format!("{}: unlocked\n{}: was not locked\n", alice.name, bob.name));
    let line = syslog::wait_for(mark, &format!("unlocked user={}", alice.name), Duration::from_secs(5)).unwrap();
    assert!(line.contains("by_uid=0"), "{line}");
    assert_eq!(site.test(&alice, &set_up.app.code(0)), Some(0));
    let again = site.admin(&["unlock", "--json", &alice.name]);
    assert_eq!(again.json(), [json!({"user": alice.name, "changed": false})]);
}

#[test]
fn unlock_says_what_it_did_for_a_user_who_was_not_locked() {
    let site = Site::new("");
    let alice = TestUser::new("alice");
    let set_up = site.enroll(&alice);
    for (wrong, said) in [(1, "1 wrong code is forgotten"), (2, "2 wrong codes are forgotten")] {
        (0..wrong).for_each(|_| assert_eq!(site.test(&alice, &set_up.app.wrong()), Some(1)));
        let mark = syslog::mark();
        assert_eq!(site.admin(&["unlock", &alice.name]).out, format!("{}: was not locked; {said}\n", alice.name));
        let line = format!("forgot-wrong-codes user={} by_uid=0 proof=admin", alice.name);
        syslog::wait_for(mark, &line, Duration::from_secs(5)).unwrap();
        assert_eq!(site.show(&alice)["failures"], 0);
    }
    assert_eq!(site.admin(&["unlock", &alice.name]).out, format!("{}: was not locked\n", alice.name));
}

#[test]
fn help_lists_the_user_option_where_it_is_taken_and_nowhere_else() {
    let help = |command: &[&str]| {
        let outcome = Outcome::of(Command::new("otp-enroll").args(command).arg("--help"), "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.out.contains("--user <")
    };
    let all = Outcome::of(Command::new("otp-enroll").args(["admin", "--help"]), "").out;
    let commands: Vec<&str> = all
        .lines()
        .skip_while(|line| *line != "Commands:")
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|command| !["", "help"].contains(command))
        .collect();
    assert!(commands.len() > 10, "{all}");
    for command in commands {
        assert!(!help(&["admin", command]), "admin {command}");
    }
    assert!(!help(&["admin"]) && help(&[]) && help(&["status"]) && help(&["reset"]));
    let site = Site::new("");
    let alice = TestUser::new("alice");
    // As every other command, and as earlier versions took the user.
    let explained = site.admin(&["explain", &alice.name]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    for arguments in [["explain", "--user", &alice.name], ["--user", &alice.name, "explain"]] {
        assert_eq!(site.admin(&arguments).out, explained.out, "{arguments:?}");
    }
    let twice = site.admin(&["explain", &alice.name, "--user", &alice.name]);
    assert!(twice.code == Some(2) && twice.err.contains("name one user"), "{twice:?}");
    for arguments in [["list", "--user", &alice.name], ["--user", &alice.name, "list"]] {
        let outcome = site.admin(&arguments);
        assert!(outcome.code == Some(2) && outcome.err.contains("--user does not go with this"), "{outcome:?}");
    }
}

#[test]
fn check_names_every_fault_of_a_file_at_once() {
    let site = Site::new("");
    site.set(
        "enforce = maybe\n[code]\ndigits = 5\nperoid = 30\n[[policy.rule]]\ngroup = \"no-such-group-here\"\n\
         second_factor = \"skip\"\n[sms]\nsend = [\"sms\"]\n[[agent.host]]\nuser = \"a\"\n",
    );
    let checked = site.admin(&["check", "--json"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let faults = checked.json().remove(0)["faults"].to_string();
    for part in [
        ":2: ",
        "code.digits must be",
        "unknown key code.peroid",
        "names the group no-such-group-here",
        "sms.send must be",
        "agent.host",
    ] {
        assert!(faults.contains(part), "{part}: {faults}");
    }
}

#[test]
fn reset_and_disable_let_a_user_start_again() {
    let site = Site::new("");
    let users = [TestUser::new("alice"), TestUser::new("bob")];
    for command in ["reset", "disable"] {
        let set_up = users.each_ref().map(|user| site.enroll(user));
        let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
        let asked = site.admin(&[&[command][..], &names].concat());
        assert_eq!(asked.code, Some(2), "nobody can be asked: {asked:?}");
        assert!(asked.err.contains("add --yes"), "{asked:?}");
        assert_eq!(site.show(&users[0])["enrolled"], true);
        let done = site.admin(&[&[command, "--yes", "--json"][..], &names].concat());
        assert_eq!(done.json(), names.iter().map(|name| json!({"user": name, "changed": true})).collect::<Vec<_>>());
        for (user, set_up) in users.iter().zip(&set_up) {
            assert_eq!(site.show(user)["enrolled"], false);
            assert_eq!(site.test(user, &set_up.app.code(0)), Some(3), "{command}");
            assert_no_seed(&done, set_up);
        }
        let again = site.admin(&[command, "-y", names[0]]);
        assert_eq!((again.code, again.out), (Some(0), format!("{}: had no second factor\n", names[0])));
    }
}

#[test]
fn what_stays_after_a_user_disables_counts_as_no_record() {
    let (alice, site) = (TestUser::new("alice"), Site::new(""));
    let set_up = Enrolled::new(&alice);
    let disable = &["disable", "--yes", "--stdin"];
    let disabled = Outcome::of(alice.command("otp-enroll").args(disable), &set_up.app.code(0));
    assert_eq!(disabled.code, Some(0), "{disabled:?}");
    for command in ["reset", "disable"] {
        for kind in ["toml", "state"] {
            let left = format!("/var/lib/pam_otp/{}.{kind}", alice.name);
            machine::run(Command::new("cp").arg("--preserve=all").arg(left).arg(&site.state));
        }
        assert_eq!(site.admin(&["list"]).out, "No user has set up a second factor.\n");
        assert_eq!(site.admin(&["list", "--json"]).out, "");
        assert_eq!(site.show(&alice)["enrolled"], false);
        let done = site.admin(&[command, "--yes", &alice.name]);
        assert_eq!((done.code, done.out), (Some(0), format!("{}: had no second factor\n", alice.name)));
        assert!(!site.file(&alice, "toml").exists() && !site.file(&alice, "state").exists(), "{command}");
    }
}

#[test]
fn whether_it_is_meant_is_asked_on_a_terminal() {
    let site = Site::new("");
    let alice = TestUser::new("alice");
    let _set_up = site.enroll(&alice);
    for (answer, enrolled) in [("n", true), ("y", false)] {
        let config = site.config.to_str().unwrap();
        let mut terminal = Pty::new("otp-enroll").args(["--config", config, "admin", "reset", &alice.name]).start();
        terminal.wait_for(&format!("Remove devices, recovery codes and passcodes of {}? [y/N] ", alice.name));
        terminal.send_line(answer);
        assert_eq!(terminal.wait().code(), Some(i32::from(enrolled)));
        assert_eq!(site.show(&alice)["enrolled"], enrolled);
    }
}

#[test]
fn an_unknown_user_stops_everything_before_it_begins() {
    let site = Site::new("");
    let alice = TestUser::new("alice");
    let _set_up = site.enroll(&alice);
    for command in [&["show"][..], &["unlock"], &["reset", "--yes", &alice.name], &["disable", "--yes", &alice.name]] {
        for nobody in ["nobody-at-all", "../alice", "", "a\nb"] {
            let outcome = site.admin(&[command, &["--", nobody]].concat());
            assert_eq!((outcome.code, outcome.out.as_str()), (Some(3), ""), "{command:?} {nobody:?}: {outcome:?}");
            assert!(outcome.err.starts_with(&format!("otp-enroll: there is no user {nobody:?}")), "{outcome:?}");
        }
    }
    assert_eq!(site.show(&alice)["enrolled"], true);
}

#[test]
fn records_that_cannot_be_used_are_listed_as_such_and_reset_replaces_them() {
    type Harm = fn(&Site, &TestUser);
    let harms: [(&str, Harm); 8] = [
        ("cannot be read", |site, user| {
            let file = site.file(user, "toml");
            // The line with the seed is the one that is broken.
            let text = fs::read_to_string(&file).unwrap().replace("secret = \"", "secret = ");
            overwrite(file, text);
        }),
        ("cannot be read", |site, user| overwrite(site.file(user, "toml"), "")),
        ("cannot be read", |site, user| overwrite(site.file(user, "state"), vec![b'x'; 4096])),
        ("is missing, although the user is enrolled", |site, user| fs::remove_file(site.file(user, "state")).unwrap()),
        ("has mode 0644 and must have 0600", |site, user| {
            fs::set_permissions(site.file(user, "toml"), Permissions::from_mode(0o644)).unwrap();
        }),
        ("belongs to uid 0", |site, user| chown(site.file(user, "toml"), Some(0), None).unwrap()),
        ("is a symbolic link", |site, user| {
            fs::rename(site.file(user, "toml"), site.file(user, "elsewhere")).unwrap();
            symlink(site.file(user, "elsewhere"), site.file(user, "toml")).unwrap();
        }),
        ("has 2 hard links", |site, user| {
            fs::hard_link(site.file(user, "toml"), site.file(user, "twin")).unwrap();
        }),
    ];
    let (site, good) = (Site::new(""), TestUser::new("good"));
    let of_good = site.enroll(&good);
    for (what, harm) in harms {
        let alice = TestUser::new("alice");
        let set_up = site.enroll(&alice);
        harm(&site, &alice);

        let list = site.admin(&["list"]);
        assert_eq!(list.code, Some(1), "{what}");
        let line = list.out.lines().find(|line| line.starts_with(&alice.name)).unwrap();
        assert!(line.contains("unusable: ") && line.contains(what), "{what}: {line}");
        assert!(list.out.lines().any(|line| line.starts_with(&good.name) && line.contains("totp")), "{}", list.out);
        assert!(list.err.contains("one record cannot be used") && list.err.contains("admin doctor"), "{list:?}");
        let json = site.admin(&["list", "--json"]);
        assert!(json.json().iter().any(|line| line["file"] == alice.name.as_str() && line["error"].is_string()));
        let show = site.admin(&["show", &alice.name]);
        assert_eq!(show.code, Some(4), "{what}: {show:?}");
        assert_eq!(site.test(&alice, &set_up.app.code(0)), Some(4), "{what}: damage is not \"not enrolled\"");
        for outcome in [&list, &json, &show] {
            assert_no_seed(outcome, &set_up);
        }

        let reset = site.admin(&["reset", "--yes", &alice.name]);
        assert_eq!((reset.code, reset.out), (Some(0), format!("{}: reset\n", alice.name)), "{what}: {}", reset.err);
        assert_eq!(site.admin(&["list"]).code, Some(0));
        let anew = site.enroll(&alice);
        assert_eq!(site.test(&alice, &anew.app.code(0)), Some(0), "{what}");
    }
    assert_eq!(site.test(&good, &of_good.app.code(0)), Some(0));
}

#[test]
fn a_record_of_a_deleted_user_is_told_apart_and_can_be_removed() {
    let site = Site::new("");
    let gone = TestUser::new("gone");
    let set_up = site.enroll(&gone);
    machine::run(Command::new("userdel").arg(&gone.name));
    let list = site.admin(&["list"]);
    assert_eq!(list.code, Some(1), "{list:?}");
    let line = format!("{}  unusable: the user {:?} does not exist any more\n", gone.name, gone.name);
    assert!(list.out.contains(&line) && list.err.contains("`otp-enroll admin doctor` says what to do"), "{list:?}");
    assert_no_seed(&list, &set_up);

    // The account may only be out of reach: what was required of it stays.
    for command in ["reset", "unlock", "require", "forget-addresses"] {
        let yes = if command == "reset" { &["--yes"][..] } else { &[] };
        let outcome = site.admin(&[&[command, gone.name.as_str()], yes].concat());
        assert_eq!(outcome.code, Some(3), "{command}: {outcome:?}");
        assert!(site.file(&gone, "toml").exists(), "{command}");
    }
    let mark = syslog::mark();
    let disable = || site.admin(&["disable", "--yes", &gone.name]);
    assert_eq!((disable().code, disable().code), (Some(0), Some(3)), "and then there is nothing of that name");
    for kind in ["toml", "state"] {
        assert!(!site.file(&gone, kind).exists(), "{kind}");
    }
    let line = syslog::wait_for(mark, &format!("disabled user={}", gone.name), Duration::from_secs(5)).unwrap();
    assert!(line.contains("by_uid=0"), "{line}");
    assert_eq!(site.admin(&["list"]).code, Some(0));
}

#[test]
fn check_finds_what_would_refuse_a_login() {
    let site = Site::new("");
    let check = || site.admin(&["check"]);
    let good = check();
    assert_eq!((good.code, good.out, good.err.as_str()), (Some(0), format!("{}: good\n", site.config.display()), ""));
    assert_eq!(site.admin(&["check", "--json"]).json(), [json!({"faults": []})]);

    let file = site.config.display().to_string();
    for (lines, fault) in [
        ("[code]\ndigits = \n", format!("{file}:3: ")),
        ("[code]\ndigits = 5\n", format!("{file}:3: code.digits")),
        ("[code]\nperoid = 30\n", format!("{file}:3: ")),
        ("[policy]\nsecond_factor = \"maybe\"\n", format!("{file}:3: policy.second_factor")),
        (
            "[[policy.rule]]\ngroup = \"no-such-group\"\nsecond_factor = \"required\"\n",
            "names the group no-such-group, which does not exist".to_owned(),
        ),
    ] {
        site.set(lines);
        let outcome = check();
        assert_eq!(outcome.code, Some(1), "{lines}: {outcome:?}");
        assert!(outcome.out.contains(&fault), "{lines}: {outcome:?}");
        let end = "otp-enroll: one fault was found\n  until this is fixed, users may be locked out, or let in without a code\n";
        assert_eq!(outcome.err, end, "{lines}");
        assert_eq!(site.admin(&["check", "--json"]).json()[0]["faults"].as_array().unwrap().len(), 1, "{lines}");
    }
    site.set("[code]\nperoid = 30\n");
    assert!(check().out.contains("peroid"), "the key is named: {}", check().out);
    site.set("");

    fs::set_permissions(&site.state, Permissions::from_mode(0o777)).unwrap();
    assert!(check().out.contains("has mode 0777 and must have 1730"), "{:?}", check());
    fs::set_permissions(&site.state, Permissions::from_mode(0o1730)).unwrap();
    chown(&site.state, Some(1), None).unwrap();
    assert!(check().out.contains("belongs to uid 1"), "{:?}", check());
    fs::remove_file(site.state.join(".store-id")).unwrap();
    fs::remove_dir(&site.state).unwrap();
    let outcome = check();
    assert!(outcome.out.contains(&format!("cannot open {}", site.state.display())), "{outcome:?}");

    fs::set_permissions(&site.config, Permissions::from_mode(0o666)).unwrap();
    let outcome = check();
    assert!(outcome.code == Some(1) && outcome.out.contains(&file), "{outcome:?}");
    fs::remove_file(&site.config).unwrap();
    let outcome = check();
    assert!(outcome.code == Some(1) && outcome.out.contains(&file), "{outcome:?}");
}

/// No login reads what is said of senders; of two tables with one name no login can read anything.
#[test]
fn check_says_of_what_is_sent_that_no_code_is_and_of_the_rest_that_logins_are_refused() {
    let site = Site::new("");
    let sends = "[sms]\nsend = [\"/bin/true\"]\n";
    let end = |lines: &str| {
        site.set(lines);
        let outcome = site.admin(&["check"]);
        assert_eq!(outcome.code, Some(i32::from(!outcome.err.is_empty())), "{outcome:?}");
        let end = outcome.err.lines().last().unwrap_or_default().trim().to_owned();
        (end, outcome.out)
    };
    let unsent = "until this is fixed, no codes are sent: users with no other device or recovery code are refused";
    let refused = "until this is fixed, users may be locked out, or let in without a code";
    for (lines, expected) in [
        (sends.to_owned(), ""),
        (format!("{sends}hour = 0\n"), unsent),
        (format!("{sends}text = \"no code\"\n[email]\nlimit = 5\n"), unsent),
        (format!("{sends}hour = 0\n[code]\ndigits = 5\n"), refused),
        (format!("{sends}{sends}"), refused),
        (format!("{sends}hour = 0\n[[agent.host]]\nuser = 1\n"), refused),
    ] {
        assert_eq!(end(&lines).0, expected, "{lines}");
    }

    let file = site.state.join(".sends");
    for damage in ["", "\u{0}\u{0}", "{\"at\":1}\n"] {
        fs::write(&file, damage).unwrap();
        let (expected, told) = if damage.is_empty() { ("", "good") } else { (unsent, "damaged: remove it; no codes") };
        let (end, out) = end(sends);
        assert!(end == expected && out.contains(told), "{damage:?}: {out}{end}");
        // Nothing reads it where nothing sends.
        site.set("");
        assert_eq!(site.admin(&["check"]).code, Some(0));
    }
    site.set(sends);
    let findings = site.admin(&["doctor", "--json"]).json()[0]["findings"].clone();
    let is_ours = |finding: &&serde_json::Value| finding["what"].as_str().unwrap().contains("/.sends: it is damaged");
    let finding = findings.as_array().unwrap().iter().find(is_ours).unwrap();
    assert_eq!(finding["severity"], "fault");
    assert!(finding["fix"].as_str().unwrap().starts_with("look what it is, then remove it"), "{finding}");
    site.set(&format!("{sends}hour = 0\n"));
    let findings = site.admin(&["doctor", "--json"]).json()[0]["findings"].clone();
    let is_ours = |finding: &&serde_json::Value| finding["what"].as_str().unwrap().contains("sms.hour must be");
    let finding = findings.as_array().unwrap().iter().find(is_ours).unwrap();
    assert!(finding["fix"].as_str().unwrap().starts_with("no codes are sent until it is fixed"), "{finding}");
}

#[test]
fn check_finds_a_helper_that_is_missing_or_has_the_wrong_mode() {
    let (site, alice) = (Site::new(""), TestUser::new("alice"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("otp-helper");
    fs::copy(HELPER, &file).unwrap();
    // In a mount namespace of its own, so that other tests keep theirs.
    let elsewhere = |mount: &str, command: &str| {
        let script = format!("mount --bind {mount} && {command}");
        Outcome::of(Command::new("unshare").args(["--mount", "--propagation", "private", "sh", "-c", &script]), "")
    };
    let check = format!("otp-enroll --config {} admin check", site.config.display());
    for mode in [0o755, 0o4755, 0o6755, 0o2775] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let outcome = elsewhere(&format!("{} {HELPER}", file.display()), &check);
        assert_eq!(outcome.code, Some(1), "{mode:o}: {outcome:?}");
        assert!(
            outcome.out.contains(&format!("{HELPER}: must be a file of root:pam_otp with mode 2755")),
            "{outcome:?}"
        );
    }
    chown(&file, None, Some(1)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o2755)).unwrap();
    let outcome = elsewhere(&format!("{} {HELPER}", file.display()), &check);
    assert!(outcome.out.contains(&format!("{HELPER}: must be of the same group as /var/lib/pam_otp/")), "{outcome:?}");
    // As it is after a copy of what `make install DESTDIR=…` has put somewhere.
    chown(&file, None, Some(0)).unwrap();
    chown(&site.state, None, Some(0)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o2755)).unwrap();
    let outcome = elsewhere(&format!("{} {HELPER}", file.display()), &check);
    assert!(outcome.out.contains(&format!("{HELPER}: must be a file of root:pam_otp")), "{outcome:?}");
    fs::remove_file(&file).unwrap();
    let missing = format!("{} {}", folder.path().display(), Path::new(HELPER).parent().unwrap().display());
    let outcome = elsewhere(&missing, &check);
    assert!(outcome.out.contains(&format!("{HELPER}: No such file")), "{outcome:?}");
    let as_alice = format!("setpriv --reuid {} --regid {} --clear-groups otp-enroll status", alice.uid, alice.gid);
    let outcome = elsewhere(&missing, &as_alice);
    assert_eq!(outcome.code, Some(4));
    assert!(outcome.err.contains(&format!("the helper {HELPER} cannot be reached: No such file")), "{outcome:?}");
    assert!(outcome.err.contains("must be installed set-group-ID pam_otp"), "{outcome:?}");
}

#[test]
fn check_finds_what_root_can_use_and_the_helper_cannot() {
    let (site, alice) = (Site::new(""), TestUser::new("alice"));
    let check = || site.admin(&["check"]);
    for mode in [0o700, 0o710, 0o1770] {
        fs::set_permissions(&site.state, Permissions::from_mode(mode)).unwrap();
        let fault = format!("has mode {mode:04o} and must have 1730: the helper cannot reach it\n");
        assert_eq!((check().code, check().out.ends_with(&fault)), (Some(1), true), "{:?}", check());
    }

    // The configuration of the machine, in a mount namespace of its own: the helper reads no other.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pam_otp.toml");
    fs::write(&file, "# all defaults\n").unwrap();
    site::same_id(folder.path());
    let ours = |command: &str| {
        let script = format!("mount --bind {} /etc/pam_otp && {command}", folder.path().display());
        Outcome::of(Command::new("unshare").args(["--mount", "--propagation", "private", "sh", "-c", &script]), "")
    };
    let status = format!("setpriv --reuid {} --regid {} --clear-groups otp-enroll status", alice.uid, alice.gid);
    let group = fs::metadata(&site.state).unwrap().gid();
    for (of_folder, of_file, group, fault) in [
        (0o755, 0o644, 0, None),
        (
            0o755,
            0o600,
            0,
            Some("/etc/pam_otp/pam_otp.toml has mode 0600 and must have 0644: the helper cannot reach it\n"),
        ),
        (
            0o755,
            0o640,
            0,
            Some("/etc/pam_otp/pam_otp.toml has mode 0640 and must have 0644: the helper cannot reach it\n"),
        ),
        (0o700, 0o644, 0, Some("/etc/pam_otp has mode 0700 and must have 0755: the helper cannot reach it\n")),
        (0o710, 0o640, group, None),
    ] {
        for (path, mode) in [(folder.path(), of_folder), (&*file, of_file)] {
            chown(path, None, Some(group)).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let (checked, used) = (ours("otp-enroll admin check"), ours(&status));
        assert_eq!(used.code, Some(if fault.is_some() { 4 } else { 0 }), "{of_folder:o} {of_file:o}: {used:?}");
        assert_eq!(checked.out, fault.unwrap_or("/etc/pam_otp/pam_otp.toml: good\n"), "{of_folder:o} {of_file:o}");
    }
}

#[test]
fn a_draft_of_the_configuration_is_checked_wherever_it_is() {
    let drafts = tempfile::tempdir().unwrap();
    let draft = drafts.path().join("pam_otp.toml");
    fs::copy("/etc/pam_otp/pam_otp.toml", &draft).unwrap();
    let check = || Outcome::of(Command::new("otp-enroll").arg("--config").arg(&draft).args(["admin", "check"]), "");
    assert_eq!(check().code, Some(0), "{:?}", check());
    // Records of another place are not those that the machine's id stands for.
    let other = Site::new("");
    let text = format!("state_directory = {:?}\n", other.state);
    fs::write(&draft, text).unwrap();
    assert!(check().out.contains("store-id is missing"), "{:?}", check());
}
