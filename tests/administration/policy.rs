//! Who must have a second factor, as an administrator sets it, asks about it and is told of it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops where it is"
)]

use pam_otp_tests::{
    conversation::Talk,
    machine,
    outcome::Outcome,
    phone::Phone,
    pty::Pty,
    service::Service,
    site::Site,
    syslog,
    users::{TestUser, new_group},
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

/// A user with a device and one without, before a service that asks for nothing but a code.
struct Desk {
    site: Site,
    service: Service,
    has: TestUser,
    lacks: TestUser,
    phone: Phone,
}

impl Desk {
    fn new(config: &str) -> Desk {
        let (site, has, lacks) = (Site::new(config), TestUser::new("has"), TestUser::new("lacks"));
        let phone = Phone::enroll(&site, &has.name);
        Desk { service: Service::private(&site.auth("required", "")), site, has, lacks, phone }
    }

    fn admin(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.site.admin_command().args(arguments), "")
    }

    /// The result of a login with this answer, and the module's line in the log.
    fn log_in(&self, talk: &Talk, answer: &str) -> (String, String) {
        let mark = syslog::mark();
        let said = talk.run(&[answer]);
        (said.result("authenticate").to_owned(), syslog::of_module(mark, said.pid).concat())
    }

    fn talk(&self, user: &TestUser) -> Talk {
        Talk::new(&self.service, &user.name)
    }

    fn show(&self, user: &TestUser) -> Value {
        self.admin(&["show", "--json", &user.name]).json().remove(0)
    }

    fn has_files(&self, user: &TestUser) -> bool {
        self.site.credentials(&user.name).exists() || self.site.state_file(&user.name).exists()
    }
}

/// Where a login comes from, and whether the line has `nullok`.
#[derive(Clone, Copy, Debug, Default)]
struct From<'a> {
    rhost: &'a str,
    tty: &'a str,
    nullok: bool,
}

impl Desk {
    /// What `explain --json` says of a login, and what the module makes of the same one: they must agree. The decision as
    /// `second_factor by source:line required_from outcome`.
    fn foreseen(&self, user: &TestUser, from: From<'_>) -> String {
        let From { rhost, tty, nullok } = from;
        let mut arguments = vec!["explain", "--json", "--user", &user.name, "--service", self.service.name()];
        let mut talk = self.talk(user);
        if !rhost.is_empty() {
            arguments.extend(["--rhost", rhost]);
            talk = talk.rhost(rhost);
        }
        if !tty.is_empty() {
            arguments.extend(["--tty", tty]);
            talk = talk.tty(tty);
        }
        if nullok {
            arguments.push("--nullok");
        }
        let explained = self.admin(&arguments).json().remove(0);
        let word = |key: &str| explained[key].as_str().unwrap_or("-");
        assert_eq!((word("user"), word("service")), (user.name.as_str(), self.service.name()));
        assert_eq!(explained["has_device"], user.name == self.has.name);
        let enforced = explained["enforced"] == true;

        self.service.set(&self.site.auth("required", if nullok { "nullok" } else { "" }));
        let mark = syslog::mark();
        let said = talk.run(&["000000"]);
        let log = syslog::of_module(mark, said.pid).concat();
        let (result, asked) = (said.result("authenticate"), !said.prompts().is_empty());
        let passed = result == "PAM_PERM_DENIED"; // alone in its stack, PAM_IGNORE
        let by = format!("second_factor={} by={}", word("second_factor"), word("decided_by"));
        let agrees = match word("outcome") {
            "asked" => asked && passed != enforced && log.contains("why=wrong"),
            "refused" => asked && passed != enforced && log.contains("why=not-enrolled"),
            "kind-not-accepted" => asked && passed != enforced && log.contains("why=kind-not-accepted"),
            "grace" => !asked && result == "PAM_SUCCESS" && log.contains("factor=grace"),
            "enroll" => !asked && passed && log.contains("enrollment-pending") && log.contains(&by),
            "enroll-if-offered" => asked && passed != enforced && log.contains("why=enrollment-not-offered"),
            "not-asked" => !asked && passed && log.contains("not-asked") && log.contains(&by),
            other => panic!("{other}"),
        };
        assert!(agrees, "{from:?}: {explained}\nbut the module: {said}\n{log}");
        assert_eq!(log.contains("enforced=no"), !enforced && !log.contains("not-asked"), "{log}");
        let announced = explained["required_from"].as_str().is_some_and(|from| log.contains(from));
        assert!(asked || announced == explained["required_from"].is_string(), "{explained}\n{log}");

        let line = explained["line"].as_u64().map_or(String::new(), |line| format!(":{line}"));
        format!(
            "{} by {}{line} {} {}",
            word("second_factor"),
            word("decided_by"),
            word("required_from"),
            word("outcome")
        )
    }

    /// What is foreseen of the user with a device and of the one without.
    fn both(&self, from: From<'_>) -> [String; 2] {
        [self.foreseen(&self.has, from), self.foreseen(&self.lacks, from)]
    }
}

const TRIES: &str = "[lockout]\nafter = 100\n";

#[test]
fn what_explain_foresees_is_what_the_module_does() {
    let desk = Desk::new(TRIES);
    let nowhere = From::default();
    for (policy, has, lacks) in [
        ("", "optional by default - asked", "optional by default - not-asked"),
        ("second_factor = \"required\"", "required by default - asked", "required by default - refused"),
        ("second_factor = \"enroll\"", "enroll by default - asked", "enroll by default - enroll-if-offered"),
        ("devices = [\"hotp\", \"sms\"]", "optional by default - kind-not-accepted", "optional by default - not-asked"),
        ("devices = [\"totp\"]", "optional by default - asked", "optional by default - not-asked"),
        ("second_factor = \"skip\"", "skip by default - not-asked", "skip by default - not-asked"),
        (
            "second_factor = \"required\"\nrequired_from = 2099-01-31",
            "optional by default 2099-01-31 asked",
            "optional by default 2099-01-31 not-asked",
        ),
        (
            "second_factor = \"enroll\"\nrequired_from = 2020-01-31",
            "enroll by default - asked",
            "enroll by default - enroll-if-offered",
        ),
    ] {
        desk.site.set(&format!("{TRIES}[policy]\n{policy}\n"));
        assert_eq!(desk.both(nowhere), [has, lacks], "{policy}");
    }
    let nullok = From { nullok: true, ..nowhere };
    desk.site.set(&format!("{TRIES}[policy]\nsecond_factor = \"required\"\n"));
    assert_eq!(desk.both(nullok), ["optional by nullok - asked", "optional by nullok - not-asked"]);
}

#[test]
fn each_condition_of_a_rule_is_explained_as_the_module_takes_it() {
    let desk = Desk::new(TRIES);
    let group = new_group("grp");
    let service = desk.service.name();
    desk.site.set(&format!(
        "{TRIES}[policy]\nsecond_factor = \"skip\"\n\
         [[policy.rule]]\nnetwork = \"192.0.2.0/24\"\nsecond_factor = \"required\"\n\
         [[policy.rule]]\nnetwork = \"2001:db8::/32\"\ntty = \"ssh\"\nsecond_factor = \"enroll\"\n\
         [[policy.rule]]\ntty = \"tty1\"\nservice = \"{service}\"\nsecond_factor = \"required\"\nrequired_from = 2099-12-31\n\
         [[policy.rule]]\ntty = \"tty2\"\nservice = \"another\"\nsecond_factor = \"required\"\n\
         [[policy.rule]]\ngroup = \"{group}\"\nsecond_factor = \"optional\"\n\
         [[policy.rule]]\nuser = \"{}\"\ntty = \"tty3\"\nsecond_factor = \"required\"\n",
        desk.lacks.name
    ));
    let at = |rhost, tty| From { rhost, tty, nullok: false };
    for (from, has, lacks) in [
        (at("192.0.2.9", ""), "required by rule-1:8 - asked", "required by rule-1:8 - refused"),
        (at("::ffff:192.0.2.9", ""), "required by rule-1:8 - asked", "required by rule-1:8 - refused"),
        (at("192.0.3.9", ""), "skip by default - not-asked", "skip by default - not-asked"),
        // a name may be in any network: the strictest of the rules that might match counts
        (at("192.0.2.9.example.org", ""), "required by rule-1:8 - asked", "required by rule-1:8 - refused"),
        (at("localhost", "tty1"), "required by rule-1:8 - asked", "required by rule-1:8 - refused"),
        (at("2001:db8::9", "ssh"), "enroll by rule-2:11 - asked", "enroll by rule-2:11 - enroll-if-offered"),
        (at("2001:db8::9", "pts/3"), "skip by default - not-asked", "skip by default - not-asked"),
        (at("", "/dev/tty1"), "optional by rule-3:15 2099-12-31 asked", "optional by rule-3:15 2099-12-31 not-asked"),
        (at("", "tty2"), "skip by default - not-asked", "skip by default - not-asked"),
        (at("", "tty3"), "skip by default - not-asked", "required by rule-6:27 - refused"),
    ] {
        assert_eq!(desk.both(from), [has, lacks], "{from:?}");
    }
    desk.has.join(&group);
    assert_eq!(desk.foreseen(&desk.has, at("", "")), "optional by rule-5:24 - asked");
}

#[test]
fn what_was_set_for_a_user_is_explained_before_everything_else() {
    let desk = Desk::new(TRIES);
    desk.site.set(&format!("{TRIES}[[policy.rule]]\nnetwork = \"192.0.2.0/24\"\nsecond_factor = \"skip\"\n"));
    let (from, nullok) = (From { rhost: "192.0.2.1", ..From::default() }, From { nullok: true, ..From::default() });
    desk.admin(&["require", &desk.has.name, &desk.lacks.name]);
    let expected = ["required by override - asked", "required by override - refused"];
    assert_eq!([desk.both(from), desk.both(nullok)], [expected, expected]);
    desk.admin(&["exempt", &desk.has.name, &desk.lacks.name]);
    desk.site.set(&format!("{TRIES}[policy]\nsecond_factor = \"required\"\n"));
    assert_eq!(desk.both(from), ["optional by override - asked", "optional by override - not-asked"]);
}

#[test]
fn in_a_rollout_explain_says_that_no_user_is_refused() {
    let desk = Desk::new("");
    let rollout = |policy: &str| {
        desk.site.write(&format!(
            "state_directory = {:?}\nenforce = false\n[lockout]\nafter = 100\n[policy]\nsecond_factor = \"{policy}\"\n",
            desk.site.state()
        ));
    };
    let text = |user: &TestUser| desk.admin(&["explain", "--user", &user.name]).out;
    rollout("required");
    assert_eq!(desk.both(From::default()), ["required by default - asked", "required by default - refused"]);
    for user in [&desk.has, &desk.lacks] {
        let line = "asked for a code, and let in without one (enforce = false)\n";
        assert!(text(user).ends_with(line), "{}", text(user));
    }
    rollout("enroll");
    assert_eq!(desk.foreseen(&desk.lacks, From::default()), "enroll by default - enroll-if-offered");
    assert!(text(&desk.lacks).contains("let in without a code (enforce = false)"));
}

#[test]
fn explain_knows_which_addresses_are_remembered() {
    let desk = Desk::new("[grace]\nfor = \"1h\"\n");
    let at = |rhost| From { rhost, ..From::default() };
    assert_eq!(desk.foreseen(&desk.has, at("192.0.2.1")), "optional by default - asked");
    let talk = desk.talk(&desk.has).rhost("192.0.2.1");
    assert_eq!(desk.log_in(&talk, &desk.phone.next_code()).0, "PAM_SUCCESS");
    assert_eq!(desk.foreseen(&desk.has, at("192.0.2.1")), "optional by default - grace");
    let line = "let in without being asked: this address is remembered (grace)\n";
    assert!(desk.admin(&["explain", "--user", &desk.has.name, "--rhost", "192.0.2.1"]).out.ends_with(line));
    assert_eq!(desk.foreseen(&desk.has, at("192.0.2.2")), "optional by default - asked");
    assert_eq!(desk.foreseen(&desk.has, at("")), "optional by default - asked");

    for (changed, said) in [(true, "forgot addresses"), (false, "had no remembered addresses")] {
        let name = &desk.has.name;
        let forgot = desk.admin(&["forget-addresses", name]);
        assert_eq!((forgot.code, forgot.out), (Some(0), format!("{name}: {said}\n")));
        assert_eq!(desk.foreseen(&desk.has, at("192.0.2.1")), "optional by default - asked");
        let again = desk.admin(&["forget-addresses", "--json", &desk.lacks.name]);
        assert_eq!(again.json(), [json!({"user": desk.lacks.name, "changed": false})], "{changed}");
    }
}

#[test]
fn where_a_login_cannot_be_decided_explain_says_why() {
    let desk = Desk::new("");
    let explain = |user: &str| desk.admin(&["explain", user]);
    let refused = |said: &Outcome, code: i32, text: &str| {
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{said:?}");
        assert!(said.err.contains(text), "{said:?}");
    };
    refused(&desk.admin(&["explain"]), 2, "name the user whose login to explain: otp-enroll admin explain USER");
    refused(&explain("nobody-of-that-name"), 3, "there is no user \"nobody-of-that-name\"");
    refused(&desk.admin(&["check", "--user", &desk.has.name]), 2, "--user does not go with this admin command");

    let file = desk.site.config().display().to_string();
    desk.site.set("[[policy.rule]]\ngroup = \"no-such-group\"\nsecond_factor = \"required\"\n");
    let text = "names the group no-such-group, which does not exist: logins that reach this rule are refused\n";
    refused(&explain(&desk.has.name), 4, text);
    assert!(explain(&desk.has.name).err.contains(&format!("{file}:4: ")));
    assert_eq!(desk.log_in(&desk.talk(&desk.has), "000000").0, "PAM_SERVICE_ERR");

    desk.site.set("[policy]\nsecond_factr = \"required\"\n");
    refused(&explain(&desk.has.name), 4, &format!("{file}:5: unknown key policy.second_factr"));
    assert_eq!(desk.log_in(&desk.talk(&desk.has), "000000").0, "PAM_SERVICE_ERR");

    desk.site.set("");
    pam_otp_tests::site::overwrite(desk.site.credentials(&desk.has.name), "");
    refused(&explain(&desk.has.name), 4, "cannot be read");
    assert_eq!(desk.log_in(&desk.talk(&desk.has), "000000").0, "PAM_AUTHINFO_UNAVAIL");
}

#[test]
fn an_override_keeps_the_device_and_what_was_used() {
    let desk = Desk::new("");
    let (name, talk) = (&desk.has.name, desk.talk(&desk.has));
    let (code, recovery) = (desk.phone.next_code(), desk.phone.recovery_code());
    assert_eq!(desk.log_in(&talk, &code).0, "PAM_SUCCESS");
    assert_eq!(desk.log_in(&talk, &recovery).0, "PAM_SUCCESS");
    assert_eq!(desk.log_in(&talk, &desk.phone.wrong()).0, "PAM_AUTH_ERR");
    let before = desk.show(&desk.has);
    let seed = |text: &str| text.lines().find(|line| line.starts_with("secret")).unwrap().to_owned();
    let credentials = || fs::read_to_string(desk.site.credentials(name)).unwrap();
    let seed_before = seed(&credentials());

    let commands = [
        (&["require"][..], "required", "required"),
        (&["exempt"], "exempt", "exempted"),
        (&["unrequire"], "none", "left to policy"),
        (&["require"], "required", "required"),
    ];
    for (failures, (command, value, said)) in (1..).zip(commands) {
        let mark = syslog::mark();
        let outcome = desk.admin(&[command, &[name]].concat());
        assert_eq!((outcome.code, outcome.out, outcome.err.as_str()), (Some(0), format!("{name}: {said}\n"), ""));
        let line = format!("{} user={name} by_uid=0", said.replace(' ', "-"));
        syslog::wait_for(mark, &line, Duration::from_secs(5)).unwrap();

        let mark = syslog::mark();
        let again = desk.admin(&[command, &["--json", name]].concat());
        assert_eq!(again.json(), [json!({"user": name, "changed": false})], "{command:?}");
        assert!(!syslog::lines_since(mark).iter().any(|line| line.contains(&format!("user={name} by_uid"))));

        let mut expected = before.clone();
        expected["override"] = value.into();
        expected["failures"] = failures.into();
        assert_eq!(desk.show(&desk.has), expected, "{command:?}");
        assert_eq!(seed(&credentials()), seed_before);
        assert!(desk.log_in(&talk, &code).1.ends_with("why=replayed"), "{command:?}");
        assert!(desk.log_in(&talk, &recovery).1.ends_with("why=recovery-used"), "{command:?}");
        assert!(desk.log_in(&talk, &desk.phone.wrong()).1.contains("why=wrong"), "{command:?}");
    }
    assert_eq!(desk.log_in(&talk, &desk.phone.next_code()).0, "PAM_SUCCESS");
}

#[test]
fn a_user_without_a_record_gets_an_override_and_loses_it_again() {
    let desk = Desk::new("");
    let (name, talk) = (&desk.lacks.name, desk.talk(&desk.lacks));
    assert!(desk.log_in(&talk, "000000").1.contains("not-asked"));
    let had_none = desk.admin(&["unrequire", name]);
    assert_eq!((had_none.code, had_none.out), (Some(0), format!("{name}: had no override\n")));
    assert!(!desk.has_files(&desk.lacks));

    assert_eq!(desk.admin(&["require", name]).code, Some(0));
    let (result, log) = desk.log_in(&talk, "000000");
    assert!(result == "PAM_AUTH_ERR" && log.ends_with("why=not-enrolled"), "{log}");
    let show = desk.show(&desk.lacks);
    assert_eq!((&show["enrolled"], &show["override"]), (&json!(false), &json!("required")));
    let list = desk.admin(&["list"]).out;
    let line = list.lines().find(|line| line.starts_with(name.as_str())).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), [name, "-", "0", "required", "-"]);
    assert_eq!(desk.admin(&["list", "--json"]).json().len(), 2);

    assert_eq!(desk.admin(&["unrequire", name]).out, format!("{name}: left to policy\n"));
    assert!(!desk.has_files(&desk.lacks), "no record is left where there is nothing to keep");
    assert!(desk.log_in(&talk, "000000").1.contains("not-asked"));
}

#[test]
fn a_required_user_who_enrolls_stays_required_and_cannot_disable() {
    let desk = Desk::new("");
    let name = &desk.lacks.name;
    desk.admin(&["require", name]);
    let phone = Phone::enroll(&desk.site, name);
    assert_eq!(desk.show(&desk.lacks)["override"], "required");
    assert_eq!(desk.log_in(&desk.talk(&desk.lacks), &phone.next_code()).0, "PAM_SUCCESS");
    let mut disable = Command::new("otp-enroll");
    disable.arg("--config").arg(desk.site.config()).args(["--user", name, "disable", "--yes", "--stdin"]);
    let outcome = Outcome::of(&mut disable, &phone.next_code());
    assert!(
        outcome.code == Some(1) && outcome.err.contains("requires a second factor for this account"),
        "{outcome:?}"
    );
    desk.admin(&["unrequire", name]);
    assert_eq!(desk.show(&desk.lacks)["enrolled"], true, "the device stays");
    assert_eq!(desk.log_in(&desk.talk(&desk.lacks), &phone.next_code()).0, "PAM_SUCCESS");
}

#[test]
fn a_group_is_who_is_in_it_and_can_log_in() {
    let desk = Desk::new("");
    let group = new_group("grp");
    let useradd = |more: &[&str]| {
        let name = machine::unique("member");
        machine::run(Command::new("flock").arg("/run/lock/pam-otp-accounts").arg("useradd").args(more).arg(&name));
        name
    };
    let primary = useradd(&["--shell", "/bin/sh", "--no-user-group", "--gid", &group]);
    let far_above = format!("1{:07}", std::process::id());
    let distant = useradd(&["--shell", "/bin/sh", "--uid", &far_above, "--groups", &group]);
    let closed = useradd(&["--shell", "/usr/sbin/nologin", "--groups", &group]);
    let system = useradd(&["--shell", "/bin/sh", "--system", "--groups", &group]);
    desk.has.join(&group);

    let bound = |outcome: &Outcome| {
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{outcome:?}");
        let mut names: Vec<_> = outcome.json().iter().map(|line| line["user"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let mut members = vec![desk.has.name.clone(), primary, distant];
    members.sort();
    assert_eq!(bound(&desk.admin(&["require", "--yes", "--json", "--group", &group])), members);
    assert_eq!(bound(&desk.admin(&["unrequire", "--json", "--group", &group])), members);
    let all = bound(&desk.admin(&["require", "--yes", "--json", "--all"]));
    assert!(all.contains(&"root".to_owned()) && all.contains(&desk.lacks.name), "{all:?}");
    assert!(members.iter().all(|member| all.contains(member)), "{all:?}");
    assert!(!all.contains(&closed) && !all.contains(&system), "{all:?}");

    let empty = new_group("none");
    for (name, text) in [
        (empty.as_str(), format!("no user in the group {empty:?} can log in")),
        ("no-such-group", "there is no group \"no-such-group\"".to_owned()),
    ] {
        let outcome = desk.admin(&["require", "--group", name]);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(3), ""), "{outcome:?}");
        assert!(outcome.err.contains(&text), "{outcome:?}");
    }
}

#[test]
fn users_are_named_in_one_way_and_all_of_them_exist() {
    let desk = Desk::new("");
    let name = desk.has.name.as_str();
    for (arguments, code) in [
        (&["require"][..], 2),
        (&["require", "--all", name], 2),
        (&["require", "--group", "adm", "--all"], 2),
        (&["exempt"], 2),
        (&["exempt", "--end-sessions", "--yes", name], 2),
        (&["unrequire"], 2),
        (&["require", name, "nobody-of-that-name"], 3),
        (&["unrequire", name, "nobody-of-that-name"], 3),
        (&["require", "--", name, "../root"], 3),
    ] {
        let outcome = desk.admin(arguments);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(code), ""), "{arguments:?}: {outcome:?}");
        assert_eq!(desk.show(&desk.has)["override"], "none", "{arguments:?}");
    }
}

#[test]
fn a_record_that_cannot_be_used_does_not_keep_others_from_an_override() {
    let desk = Desk::new("");
    let (broken, lacks) = (&desk.has.name, &desk.lacks.name);
    pam_otp_tests::site::overwrite(desk.site.credentials(broken), "");
    let outcome = desk.admin(&["require", broken, lacks]);
    assert_eq!(outcome.code, Some(4));
    assert!(outcome.out.starts_with(&format!("{broken}: failed: ")), "{outcome:?}");
    assert!(
        outcome.out.contains("; restore both files of the user from a backup, or run `otp-enroll admin reset USER`"),
        "{outcome:?}"
    );
    assert!(outcome.out.ends_with(&format!("{lacks}: required\n")), "{outcome:?}");
    assert!(outcome.err.contains("failed for one user"), "{outcome:?}");
    assert_eq!(desk.show(&desk.lacks)["override"], "required");
    let json = desk.admin(&["require", "--json", broken, lacks]).json();
    assert_eq!((&json[0]["user"], &json[1]["changed"]), (&json!(broken), &json!(false)));
    assert!(json[0]["error"].is_string() && json[0]["hint"].is_string());

    let alone = desk.admin(&["require", broken]);
    assert_eq!((alone.code, alone.out.as_str()), (Some(4), ""));
    assert!(alone.err.contains("cannot be read"), "{alone:?}");

    for arguments in [&["list", "--without-device"][..], &["report"]] {
        let outcome = desk.admin(arguments);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let line = |name: &str| outcome.out.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        assert!(line(broken).contains("unusable: "), "{outcome:?}");
        assert!(line(lacks).ends_with("  refused"), "{outcome:?}");
    }
}

/// A folder with a `loginctl` that stands in for logind: these have sessions; what it is told is in `log`.
fn logind(sessions: &str, terminate: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {0}/log\ncase $1 in\nlist-users) printf '{sessions}' ;;\n*) {terminate} ;;\nesac\n",
        dir.path().display()
    );
    fs::write(dir.path().join("script"), script).unwrap();
    // By another process: see `machine::program`.
    let (script, program) = (dir.path().join("script"), dir.path().join("loginctl"));
    machine::run(Command::new("install").args(["-m", "0755"]).args([script, program]));
    dir
}

fn with_logind(command: &mut Command, dir: &Path) -> Outcome {
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", dir.display());
    Outcome::of(command.env("PATH", path), "")
}

#[test]
fn sessions_are_ended_only_of_those_for_whom_it_is_new() {
    let desk = Desk::new("");
    let (has, lacks) = (&desk.has.name, &desk.lacks.name);
    desk.admin(&["require", has]);
    let logind = logind(&format!("1001 {has} no\\n1002 {lacks} no\\n0 root no\\n"), ":");
    let log = || fs::read_to_string(logind.path().join("log")).unwrap_or_default();
    let mut command = desk.site.admin_command();
    let outcome = with_logind(command.args(["require", "--end-sessions", "--yes", has, lacks]), logind.path());
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{outcome:?}");
    let lines = [
        format!("{has}: was required already\n{lacks}: required\n"),
        format!("Users with sessions: {lacks}\n{lacks}: sessions ended\n"),
    ];
    assert_eq!(outcome.out, lines.concat());
    assert_eq!(log(), format!("list-users --no-legend\nterminate-user {lacks}\n"));

    let outcome = with_logind(&mut command, logind.path());
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.out.ends_with("All of them were required already; no session was ended.\n"), "{outcome:?}");
    assert_eq!(log().lines().count(), 2, "not even asked about");
}

#[test]
fn where_sessions_cannot_be_ended_the_override_stands_and_that_is_said() {
    let desk = Desk::new("");
    let name = &desk.lacks.name;
    let shown = || desk.show(&desk.lacks)["override"].clone();
    let hint = format!("end them with: loginctl terminate-user {name}\n");

    // There is no terminal to ask at: nothing is begun.
    let outcome = desk.admin(&["require", "--end-sessions", name]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "{outcome:?}");
    assert!(outcome.err.contains("add --yes"), "{outcome:?}");
    assert_eq!(shown(), "none");

    // The copy of the machine has no logind; a machine may have no loginctl.
    let nothing = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/usr/bin/getent", nothing.path().join("getent")).unwrap();
    let failing = logind(&format!("7 {name} no\\n"), "echo 'No such user' >&2; exit 1");
    for (path, text) in [
        ("/usr/bin:/bin".to_owned(), "loginctl failed: System has not been booted with systemd"),
        (nothing.path().display().to_string(), "loginctl failed: No such file or directory"),
        (format!("{}:/bin", failing.path().display()), "loginctl failed: No such user"),
    ] {
        desk.admin(&["unrequire", name]);
        let mut command = Command::new("/usr/local/bin/otp-enroll");
        command.arg("--config").arg(desk.site.config()).args(["admin", "require", "--end-sessions", "--yes", name]);
        let outcome = Outcome::of(command.env("PATH", path), "");
        assert_eq!(outcome.code, Some(5), "{outcome:?}");
        let said = format!("a second factor is required from now on, but sessions could not be ended: {text}");
        assert!(outcome.err.contains(&said) && outcome.err.ends_with(&hint), "{outcome:?}");
        assert!(outcome.out.starts_with(&format!("{name}: required\n")), "{outcome:?}");
        assert_eq!(outcome.err.lines().count(), 2, "{outcome:?}");
        assert_eq!(shown(), "required");
    }

    // The administrator says no.
    desk.admin(&["unrequire", name]);
    let config = desk.site.config().to_str().unwrap();
    let mut terminal = Pty::new("otp-enroll")
        .args(["--config", config, "admin", "require", "--end-sessions", name])
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", failing.path().display()))
        .start();
    terminal.wait_for("End all of their sessions now? [y/N] ");
    terminal.send_line("n");
    assert_eq!(terminal.wait().code(), Some(1));
    assert!(terminal.transcript().contains("no session was ended"), "{}", terminal.transcript());
    assert_eq!(shown(), "required");
}

#[test]
fn users_without_a_device_are_listed_with_the_result_of_a_login() {
    let desk = Desk::new("");
    let list = |more: &[&str]| desk.admin(&[&["list", "--without-device"], more].concat());
    for (policy, text, word) in [
        ("optional", "let in without a code", "not-asked"),
        ("skip", "let in without a code", "not-asked"),
        ("required", "refused", "refused"),
        ("enroll", "led through enrollment if the auth line has enroll, else refused", "enroll-if-offered"),
    ] {
        let rule = "[[policy.rule]]\nservice = \"cron\"\nsecond_factor = \"skip\"\n";
        desk.site.set(&format!("{rule}[policy]\nsecond_factor = \"{policy}\"\n"));
        let outcome = list(&[]);
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{outcome:?}");
        let line = outcome.out.lines().find(|line| line.starts_with(&desk.lacks.name)).unwrap();
        assert_eq!(line.split_once("  ").unwrap().1.trim(), text);
        assert!(outcome.out.starts_with("USER ") && outcome.out.contains("A LOGIN THROUGH sshd IS"), "{}", outcome.out);
        assert!(!outcome.out.contains(&desk.has.name), "{}", outcome.out);
        let of = |outcome: Outcome| outcome.json().into_iter().find(|line| line["user"] == *desk.lacks.name).unwrap();
        let expected = json!({"user": desk.lacks.name, "service": "sshd", "outcome": word, "enforced": true});
        assert_eq!(of(list(&["--json"])), expected);
        assert_eq!(of(list(&["--json", "--service", "cron"]))["outcome"], "not-asked");
    }
    assert_eq!(desk.admin(&["list", "--service", "cron"]).code, Some(2), "it needs --without-device");
    desk.site.set("[[policy.rule]]\ngroup = \"no-such-group\"\nsecond_factor = \"required\"\n");
    let outcome = list(&[]);
    assert!(outcome.code == Some(4) && outcome.err.contains(":4: a policy rule names the group"), "{outcome:?}");
}

#[test]
fn a_rollout_reports_who_would_have_been_refused() {
    let desk = Desk::new("");
    desk.site.write(&format!(
        "state_directory = {:?}\nenforce = false\n[code]\nwindow = 10\n[policy]\nsecond_factor = \"required\"\n",
        desk.site.state()
    ));
    let report = || desk.admin(&["report"]);
    let line = |outcome: &Outcome, name: &str| {
        outcome.out.lines().find(|line| line.starts_with(name)).map(str::to_owned).unwrap_or_default()
    };
    assert_eq!(line(&report(), &desk.has.name), "", "{:?}", report());
    assert_eq!(desk.log_in(&desk.talk(&desk.has), &desk.phone.next_code()).0, "PAM_SUCCESS");
    assert_eq!(line(&report(), &desk.has.name), "", "who gave a good code is not reported");
    assert_eq!(desk.log_in(&desk.talk(&desk.has), &desk.phone.wrong()).0, "PAM_PERM_DENIED");
    assert_eq!(desk.log_in(&desk.talk(&desk.lacks), "000000").0, "PAM_PERM_DENIED");
    let outcome = report();
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{outcome:?}");
    assert!(line(&outcome, &desk.has.name).ends_with(" UTC  wrong"), "{outcome:?}");
    assert!(line(&outcome, &desk.lacks.name).ends_with("let in (enforce = false), else refused"), "{outcome:?}");
    assert!(!desk.has_files(&desk.lacks), "nothing is kept of who has no record");
    let json = desk.admin(&["report", "--json"]).json();
    let of = |name: &str| json.iter().find(|line| line["user"] == name).unwrap();
    assert_eq!(of(&desk.has.name)["why"], "wrong");
    assert!(of(&desk.has.name)["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(of(&desk.lacks.name)["outcome"], "refused");

    // A device in another one's file is not theirs.
    fs::copy(desk.site.credentials(&desk.has.name), desk.site.credentials(&desk.lacks.name)).unwrap();
    let outcome = report();
    assert!(outcome.code == Some(1) && line(&outcome, &desk.lacks.name).contains("  unusable: "), "{outcome:?}");
}

#[test]
fn check_names_file_and_line_of_every_rule_at_fault() {
    let desk = Desk::new("");
    let file = desk.site.config().display();
    let rule = |lines: &str| format!("[[policy.rule]]\n{lines}\n");
    let staff = rule("group = \"adm\"\nsecond_factor = \"required\"");
    for (lines, faults) in [
        (
            rule("group = \"no-such-group\"\nsecond_factor = \"skip\""),
            vec!["4: policy.rule names the group no-such-group"],
        ),
        (rule("user = \"no-such-user\"\nsecond_factor = \"skip\""), vec!["4: policy.rule names the user no-such-user"]),
        (
            rule("user = \"no-such-user\"\ngroup = \"no-such-group\"\nsecond_factor = \"skip\""),
            vec!["4: policy.rule names the group", "4: policy.rule names the user"],
        ),
        (
            staff.clone() + &rule("group = \"adm\"\nservice = \"sshd\"\nsecond_factor = \"skip\""),
            vec!["7: policy.rule is never reached: rule 1 matches every login that it matches"],
        ),
        (
            rule("network = \"192.0.2.1/24\"\nsecond_factor = \"skip\""),
            vec!["5: policy.rule.network must be ADDRESS/LENGTH"],
        ),
        (rule("network = \"192.0.2.0/33\"\nsecond_factor = \"skip\""), vec!["5: policy.rule.network must be"]),
        (rule("network = \"host.example.org\"\nsecond_factor = \"skip\""), vec!["5: policy.rule.network must be"]),
        (rule("group = \"adm\""), vec!["4: policy.rule needs second_factor"]),
        (rule("second_factor = \"skip\""), vec!["4: policy.rule needs a condition"]),
        (
            rule("group = \"adm\"\nsecond_factor = \"skip\"\nrequired_from = 2027-01-31"),
            vec!["4: policy.rule has required_from, which needs second_factor \"required\" or \"enroll\""],
        ),
        (
            rule("group = \"adm\"\nsecond_factor = \"enroll\"\nrequired_from = \"2027-01-31\""),
            vec!["7: policy.rule.required_from must be a date like 2027-01-31"],
        ),
        ("[policy]\nsecond_factor = \"required\"\nrequired_from = 2027-02-30\n".to_owned(), vec!["6: "]),
        ("[policy]\nrequired_from = 2027-02-28\n".to_owned(), vec!["4: policy has required_from"]),
    ] {
        desk.site.set(&lines);
        let outcome = desk.admin(&["check"]);
        assert_eq!(outcome.code, Some(1), "{lines}: {outcome:?}");
        assert_eq!(outcome.out.lines().count(), faults.len(), "{lines}: {outcome:?}");
        for (line, fault) in outcome.out.lines().zip(faults) {
            assert!(line.starts_with(&format!("{file}:{fault}")), "{lines}: {outcome:?}");
        }
        let count = if outcome.out.lines().count() == 1 { "one fault was found" } else { "2 faults were found" };
        assert!(outcome.err.contains(count), "{outcome:?}");
    }
    desk.site
        .set(&(staff + &rule("network = \"192.0.2.0/24\"\nsecond_factor = \"enroll\"\nrequired_from = 2027-01-31")));
    assert_eq!(desk.admin(&["check"]).code, Some(0), "{:?}", desk.admin(&["check"]));
}

#[test]
fn none_of_it_shows_a_seed() {
    let desk = Desk::new("");
    let name = &desk.has.name;
    for arguments in [
        &["explain", "--user", name][..],
        &["explain", "--json", "--user", name],
        &["require", "--json", name],
        &["list", "--json"],
        &["list", "--without-device", "--json"],
        &["report", "--json"],
        &["unrequire", name],
        &["forget-addresses", name],
    ] {
        let Outcome { out, err, .. } = desk.admin(arguments);
        for secret in [&desk.phone.app.secret, &desk.phone.hex].into_iter().chain(&desk.phone.recovery) {
            assert!(!out.contains(secret) && !err.contains(secret), "{arguments:?}");
        }
    }
    assert_eq!(fs::metadata(desk.site.credentials(name)).unwrap().permissions().mode() & 0o7777, 0o600);
}
