//! The set-group-ID helper in the hands of an attacker: whatever it is sent and however it is run, a user reaches their
//! own record, by the helper's rules, and no other.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    app::{App, Enrolled},
    injection::{Traced, report},
    machine,
    outcome::{Dialogue, Outcome},
    site::{HELPER, STATE, Site},
    syslog,
    users::{TestUser, account_lock},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

fn start(user: &TestUser) -> Dialogue {
    Dialogue::start(&mut user.command(HELPER))
}

fn ask(helper: &mut Dialogue, request: &Value) -> Value {
    helper.say(&request.to_string());
    helper.json()
}

/// One request to a helper of its own.
fn hands_out_codes(helper: &mut Dialogue, request: &Value) {
    let answer = ask(helper, request);
    assert!(!answer["recovery-codes"].is_null(), "{answer}");
}

fn asked(user: &TestUser, request: &Value) -> Value {
    ask(&mut start(user), request)
}

fn enroll(proof: Option<&str>) -> Value {
    json!({"enroll": {"proof": proof}})
}

fn confirm(code: &str) -> Value {
    json!({"confirm": {"code": code}})
}

fn activate() -> Value {
    json!({"activate": {}})
}

fn test(code: &str) -> Value {
    json!({"test": {"proof": code}})
}

fn status(user: &TestUser) -> Value {
    asked(user, &json!({"status": {}}))["status"].clone()
}

fn is_right(user: &TestUser, code: &str) -> bool {
    asked(user, &test(code))["verdict"].as_str().is_some_and(|words| words.starts_with("accepted "))
}

fn files(user: &TestUser) -> [PathBuf; 2] {
    ["toml", "state"].map(|kind| format!("{STATE}/{}.{kind}", user.name).into())
}

fn contents(user: &TestUser) -> [Vec<u8>; 2] {
    files(user).map(|file| fs::read(file).unwrap())
}

/// A shell of the user's with more rights than they have: those of the helper.
fn with_the_helpers_group(user: &TestUser, line: &str) -> Outcome {
    let ids = [format!("--reuid={}", user.uid), "--regid=pam_otp".into(), "--clear-groups".into()];
    Outcome::of(Command::new("setpriv").args(ids).args(["--", "bash", "-c", line]), "")
}

#[test]
fn even_with_the_helpers_rights_a_user_reaches_their_own_files_only() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let (_of_alice, _of_bob) = (Enrolled::new(&alice), Enrolled::new(&bob));
    let before = contents(&alice);
    let theirs = format!("{STATE}/{}.toml", alice.name);
    let own = format!("{STATE}/{}.toml", bob.name);
    let shell = |line: &str| Outcome::of(bob.command("bash").args(["-c", line]), "");
    for line in [format!("ls {STATE}"), format!("cat {own}"), format!("cd {STATE}"), format!("touch {STATE}/x")] {
        assert_ne!(shell(&line).code, Some(0), "without the helper: {line}");
    }
    assert_eq!(with_the_helpers_group(&bob, &format!("cat {own}")).code, Some(0), "the shell has the helper's rights");
    for line in [
        format!("ls {STATE}"),
        format!("cat {theirs}"),
        format!("echo >> {theirs}"),
        format!("rm -f {theirs}"),
        format!("mv {own} {theirs}"),
        // Where fs.protected_hardlinks is 0 the name itself can be made. It opens nothing.
        format!("ln {theirs} {STATE}/link; cat {STATE}/link"),
        format!("chmod 666 {theirs}"),
        format!("rm -rf {STATE}"),
    ] {
        assert_ne!(with_the_helpers_group(&bob, &line).code, Some(0), "{line}");
    }
    let _ = fs::remove_file(format!("{STATE}/link"));
    assert_eq!(contents(&alice), before);
}

/// Root in a user namespace of the user's own, with mounts of its own.
fn as_a_root_of_their_own(user: &TestUser, line: &str) -> Outcome {
    let unshare = ["--user", "--map-root-user", "--mount", "bash", "-c", line];
    Outcome::of(user.command("unshare").args(unshare), "{\"status\":{}}\n")
}

#[test]
fn a_user_who_is_root_in_a_user_namespace_has_none_of_the_helpers_rights() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let (_of_alice, _of_bob) = (Enrolled::new(&alice), Enrolled::new(&bob));
    let before = contents(&alice);
    let id = as_a_root_of_their_own(&bob, "id -u");
    if id.err.contains("unshare failed: Operation not permitted") && !user_namespaces_are_permitted() {
        report("NOT in a user namespace: this machine permits none to its users");
        return;
    }
    assert_eq!((id.code, id.out.as_str()), (Some(0), "0\n"), "{id:?}");

    let theirs = format!("{STATE}/{}.toml", alice.name);
    for line in [
        format!("ls {STATE}"),
        format!("cat {theirs}"),
        format!("echo >> {theirs}"),
        format!("rm -f {theirs}"),
        format!("chown 0 {theirs}"),
        format!("setpriv --regid=pam_otp --clear-groups cat {theirs}"),
        format!("touch {STATE}/x"),
    ] {
        assert_ne!(as_a_root_of_their_own(&bob, &line).code, Some(0), "{line}");
    }
    // The caller's number is 0 there, files of root's have number 65534, and a mount says which user has which number.
    let passwd = bob.write("passwd", format!("{}:x:0:0::/:/bin/sh\n", alice.name), 0o644);
    let config = bob.write("etc/pam_otp.toml", format!("state_directory = \"{STATE}\"\n"), 0o644);
    // A mount is gone where another test puts a new file in the place of the one below.
    let _accounts_stay = account_lock();
    let passwd = format!("mount --bind {} /etc/passwd", passwd.display());
    let config = format!("mount --bind {} /etc/pam_otp", config.parent().unwrap().display());
    for (mounts, answer) in [
        ("true".to_owned(), "must belong to root"),
        (passwd.clone(), "must belong to root"),
        (
            config.clone(),
            "belongs to uid 65534 (which this user namespace shows for every user that it does not map), not to root",
        ),
        (format!("{passwd} && {config}"), "for every user that it does not map), not to root"),
    ] {
        let outcome = as_a_root_of_their_own(&bob, &format!("{mounts} && exec {HELPER}"));
        let error = outcome.json().remove(0)["failed"]["error"].clone();
        assert!(error.as_str().is_some_and(|error| error.contains(answer)), "{mounts}: {outcome:?}");
    }
    assert_eq!(contents(&alice), before);
}

/// What the kernel says of users who are not root.
fn user_namespaces_are_permitted() -> bool {
    let is_zero = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).is_ok_and(|text| text.trim() == "0");
    !is_zero("user/max_user_namespaces") && !is_zero("kernel/unprivileged_userns_clone")
}

#[test]
fn files_are_the_users_alone_whatever_umask_and_environment() {
    for umask in ["0000", "0777", "0277"] {
        let alice = TestUser::new("alice");
        let line = format!(
            "umask {umask}; export LD_PRELOAD=/tmp/x.so LD_AUDIT=/tmp/x.so GCONV_PATH=/tmp LANG=xx TMPDIR=/nowhere \
             RUST_BACKTRACE=full PAM_OTP_CONFIG=/tmp/x HOME=/root USER=root LOGNAME=root PATH=/nowhere; exec {HELPER}"
        );
        let mut helper = Dialogue::start(alice.command("bash").args(["-c", &line]));
        let offer = ask(&mut helper, &enroll(None));
        let app = App::of(offer["offer"]["secret"].as_str().unwrap());
        assert_eq!(offer["offer"]["user"], alice.name.as_str());
        let codes = ask(&mut helper, &confirm(&app.previous_code()));
        let codes = codes["recovery-codes"].as_array().unwrap();
        assert_eq!(ask(&mut helper, &activate()), json!({"changed": true}));
        hands_out_codes(&mut helper, &json!({"recovery": {"proof": codes[0]}}));
        for file in files(&alice) {
            let found = fs::metadata(&file).unwrap();
            assert_eq!((found.mode() & 0o7777, found.uid(), found.nlink()), (0o600, alice.uid, 1), "{umask} {file:?}");
        }
        assert!(is_right(&alice, &app.code(0)), "{umask}");
    }
    let directory = fs::metadata(STATE).unwrap();
    assert_eq!((directory.mode() & 0o7777, directory.uid()), (0o1730, 0));
}

#[test]
fn no_request_reads_the_seed_back() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let mut helper = start(&alice);
    let login = json!({"service": "sshd", "rhost": null, "tty": null, "nullok": false, "enroll": false});
    let mut said = String::new();
    for request in [
        json!({"status": {}}),
        json!({"demand": login}),
        enroll(None),
        confirm("123456"),
        activate(),
        test(&set_up.app.code(0)),
        json!({"verify": {"typed": set_up.app.code(1), "login": login}}),
        json!({"verify": {"typed": "hello", "login": login}}),
        json!({"recovery": {"proof": set_up.recovery[1]}}),
    ] {
        helper.say(&request.to_string());
        let line = helper.line();
        assert!(!line.is_empty(), "{request}");
        said.push_str(&line);
    }
    said.push_str(&helper.end().out);
    let mut again = start(&alice);
    let codes = set_up.recovery.iter();
    let offer = ask(&mut again, &enroll(Some(&set_up.app.code(1))));
    said.push_str(&offer.to_string());
    let hex = set_up.app.hex();
    for secret in codes.chain([&set_up.app.secret, &hex]) {
        assert!(!said.contains(secret), "{said}");
    }
}

/// Calls the helper directly, which no PAM host sees.
#[test]
fn no_guess_and_no_used_up_code_is_without_a_trace() {
    let alice = TestUser::new("alice");
    let mark = syslog::mark();
    let set_up = Enrolled::new(&alice);
    let login = json!({"service": "x y", "rhost": "192.0.2.1", "tty": null, "nullok": false, "enroll": false});
    let verify = |code: &str| json!({"verify": {"typed": code, "login": login}});
    let (recovery, wrong) = (&set_up.recovery, set_up.app.wrong());
    for request in [
        verify(&recovery[0]),
        verify(&recovery[0]),
        enroll(Some(&recovery[1])), // and no more: broken off
        test(&recovery[2]),
    ] {
        asked(&alice, &request);
    }
    (0..6).for_each(|_| drop(asked(&alice, &verify(&wrong))));
    asked(&alice, &test(&wrong));
    let mut helper = start(&alice);
    let offer = ask(&mut helper, &enroll(Some(&recovery[3])));
    let app = App::of(offer["offer"]["secret"].as_str().unwrap());
    ask(&mut helper, &confirm(&app.code(0)));
    assert_eq!(ask(&mut helper, &activate()), json!({"changed": true}));

    let who = format!("user={} by_uid={}", alice.name, alice.uid);
    let lines = syslog::lines_since(mark);
    let lines: Vec<_> = lines.iter().filter(|line| line.contains("otp-helper[") && line.contains(&who)).collect();
    let service = "service=x\\x20y";
    let mut expected = vec![
        format!("enrolled {who} proof=none"),
        format!("accepted {who} {service} factor=recovery recovery_left=9"),
        format!("refused {who} {service} why=recovery-used"),
        format!("proved {who} change=re-enrollment proof=recovery-code recovery_left=8"),
        format!("tested {who} proof=recovery-code recovery_left=7"),
    ];
    expected.extend((1..=6).map(|failures| format!("refused {who} {service} why=wrong failures={failures}")));
    expected.push(format!("refused {who} change=tested why=locked until="));
    expected.push(format!("proved {who} change=re-enrollment proof=recovery-code recovery_left=6"));
    expected.push(format!("replaced {who} proof=recovery-code recovery_left=6"));
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(&expected) && !line.contains("192.0.2.1"), "{line}\n{expected}");
    }
}

#[test]
fn its_lines_in_the_journal_have_its_group_which_no_user_can_give_a_line() {
    let alice = TestUser::new("alice");
    let mut helper = start(&alice);
    assert!(!ask(&mut helper, &json!({"status": {}})).is_null());
    let group = fs::metadata(HELPER).unwrap().gid();
    let ids = |kind: &str| {
        let status = fs::read_to_string(format!("/proc/{}/status", helper.pid())).unwrap();
        let ids = status.lines().find_map(|line| line.strip_prefix(kind)).unwrap().to_owned();
        ids.split_whitespace().map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    // SCM_CREDENTIALS, unix(7): the journal's `_GID` is the sender's real one.
    assert_eq!((ids("Gid:"), ids("Uid:")), (vec![group; 4], vec![alice.uid; 4]));
}

#[test]
fn what_is_no_request_ends_the_conversation_and_nothing_else() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let (_of_alice, _of_bob) = (Enrolled::new(&alice), Enrolled::new(&bob));
    let before = (contents(&alice), contents(&bob));
    let name = &alice.name;
    let long = "x".repeat(1 << 20);
    for input in [
        "nonsense\n".to_owned(),
        "{\"status\":{}".to_owned(),
        "{\"stat".to_owned(),
        "\n".to_owned(),
        "\0\0\0\0\n".to_owned(),
        "\u{feff}{\"status\":{}}\n".to_owned(),
        "null\n[]\n1e999\n".to_owned(),
        "[".repeat(16_000) + "\n",
        long.clone() + "\n",
        long.clone(),
        format!("{{\"test\":{{\"proof\":\"{long}\"}}}}\n"),
        "{\"shutdown\":{}}\n".to_owned(),
        "{\"status\":{},\"enroll\":{\"proof\":null}}\n".to_owned(),
        format!("{{\"status\":{{\"user\":\"{name}\"}}}}\n"),
        format!("{{\"enroll\":{{\"proof\":null,\"user\":\"{name}\"}}}}\n"),
        format!("{{\"enroll\":{{\"proof\":null}},\"uid\":{}}}\n", alice.uid),
        "{\"enroll\":{\"proof\":null,\"proof\":null}}\n".to_owned(),
        "{\"test\":{\"proof\":[1,2,3]}}\n".to_owned(),
        "{\"test\":{}}\n".to_owned(),
        "{\"verify\":{\"typed\":\"123456\"}}\n".to_owned(),
    ] {
        let outcome = Outcome::of(&mut bob.command(HELPER), &input);
        let start: String = input.chars().take(60).collect();
        assert_eq!(outcome, Outcome { code: Some(1), out: String::new(), err: String::new() }, "{start:?}");
    }
    let nothing = Outcome::of(&mut bob.command(HELPER), "");
    assert_eq!(nothing, Outcome { code: Some(0), out: String::new(), err: String::new() });
    assert_eq!((contents(&alice), contents(&bob)), before);
}

fn step(user: &TestUser, step: &Value) -> Value {
    json!({"about": user.name, "request": {"enrolling": step}})
}

#[test]
fn a_configuration_and_a_user_are_roots_to_name() {
    let (alice, bob, carol) = (TestUser::new("alice"), TestUser::new("bob"), TestUser::new("carol"));
    let _of_alice = Enrolled::new(&alice);
    let before = contents(&alice);
    let own = bob.write("etc/pam_otp.toml", format!("state_directory = \"{STATE}\"\n"), 0o644).display().to_string();
    for user in [&alice, &bob, &carol] {
        let line = format!("{}\n", step(user, &enroll(None)));
        for argument in ["/etc/pam_otp/pam_otp.toml", &own, "", "--user"] {
            let outcome = Outcome::of(bob.command(HELPER).arg(argument), &line);
            let failed = json!({"failed": {
                "error": "the helper takes a configuration of root alone", "hint": "start it without arguments"
            }});
            assert_eq!((outcome.code, outcome.json()), (Some(1), vec![failed]), "{argument}");
        }
        let outcome = Outcome::of(&mut bob.command(HELPER), &line);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""), "no request of a user's helper");
        // Root of a user namespace is not the root that owns the records.
        let unshare = ["--user", "--map-root-user", "--mount", HELPER, &own];
        let outcome = Outcome::of(bob.command("unshare").args(unshare), &line);
        if user_namespaces_are_permitted() || !outcome.err.contains("unshare failed") {
            let error = outcome.json().remove(0)["failed"]["error"].clone();
            assert!(error.as_str().is_some_and(|error| error.contains("not to root")), "{outcome:?}");
        }
    }
    assert_eq!(asked(&bob, &json!({"enrolling": enroll(None)})), json!({"declined": "not-permitted"}));
    assert_eq!(contents(&alice), before);
    assert!(!files(&bob)[0].exists() && !files(&carol)[0].exists());
}

#[test]
fn run_by_root_it_enrolls_one_user_and_does_nothing_else() {
    let (alice, bob, site) = (TestUser::new("alice"), TestUser::new("bob"), Site::new(""));
    let line = format!("umask 0; exec {HELPER} {}", site.config().display());
    let start = || Dialogue::start(Command::new("sh").args(["-c", &line]));
    let mut helper = start();
    let mut told = |question: Value| ask(&mut helper, &question)["login"].as_str().unwrap_or_default().to_owned();
    let offer = told(step(&alice, &enroll(None)));
    let app = App::of(offer.strip_prefix("offer ").unwrap().split(' ').next().unwrap());
    assert_eq!(told(step(&alice, &confirm(&app.wrong()))), "declined not-confirmed");
    for other in [
        step(&bob, &enroll(None)),
        step(&bob, &activate()),
        json!({"about": alice.name, "request": {"status": {}}}),
        json!({"about": alice.name, "request": enroll(None)}),
        json!({"about": alice.name, "request": {"enrolling": activate()}, "under_way": "01"}),
    ] {
        assert_eq!(told(other.clone()), "", "{other}");
    }
    assert_eq!(told(step(&alice, &json!({"status": {}}))), "declined other");
    assert_eq!(site.files().len(), 0);
    let codes = told(step(&alice, &confirm(&app.code(0))));
    assert_eq!(codes.strip_prefix("codes ").unwrap().split(' ').count(), 10);
    assert_eq!(told(step(&alice, &activate())), "in-force");
    assert_eq!(told(step(&alice, &activate())), "declined other", "once");
    for file in [site.credentials(&alice.name), site.state_file(&alice.name)] {
        let found = fs::metadata(&file).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (alice.uid, alice.gid, 0o600));
    }
    assert_eq!(ask(&mut start(), &step(&alice, &enroll(None)))["login"], "declined proof-needed");
    assert_eq!(ask(&mut start(), &step(&bob, &activate()))["login"], "declined other", "nothing was confirmed");
    assert_eq!(ask(&mut start(), &step(&bob, &json!({"status": {}})))["login"], "declined other");
    let unknown = json!({"about": "no-account-of-that-name", "request": {"enrolling": enroll(None)}});
    assert_eq!(ask(&mut start(), &unknown)["login"], "refused");
}

#[test]
fn a_helper_answers_a_hundred_requests_and_no_more() {
    let alice = TestUser::new("alice");
    let outcome = Outcome::of(&mut alice.command(HELPER), &"{\"status\":{}}\n".repeat(200));
    assert_eq!((outcome.code, outcome.json().len()), (Some(0), 100));
    let _set_up = Enrolled::new(&alice);
    let outcome = Outcome::of(&mut alice.command(HELPER), &format!("{}\n", test("000000")).repeat(50));
    let locked = outcome
        .json()
        .iter()
        .filter(|answer| answer["verdict"].as_str().unwrap().starts_with("refused locked "))
        .count();
    assert!(locked >= 43, "guessing ends after six in one run too: {locked}");
}

#[test]
fn a_caller_who_says_nothing_more_is_not_waited_for_for_ever() {
    let (alice, folder) = (TestUser::new("alice"), tempfile::tempdir().unwrap());
    let traced = Traced::new(&Command::new(HELPER), Some(&alice), &folder.path().join("trace"));
    let outcome = Outcome::of(&mut traced.watched(), &"{\"status\":{}}\n".repeat(2));
    assert_eq!(outcome.json().len(), 2, "{outcome:?}");
    // For each request and for the one that did not come; the helper does not catch the signal.
    let trace = traced.trace();
    assert_eq!((trace.matches("\nalarm(900)").count(), trace.matches("SIGALRM").count()), (3, 0), "{trace}");
}

#[test]
fn changes_want_proof_and_an_offer() {
    let alice = TestUser::new("alice");
    assert_eq!(asked(&alice, &confirm("123456")), json!({"declined": "nothing-offered"}));
    assert_eq!(asked(&alice, &test("123456")), json!({"verdict": "refused not-enrolled"}));
    let set_up = Enrolled::new(&alice);
    let before = contents(&alice);
    assert_eq!(asked(&alice, &enroll(None)), json!({"declined": "proof-needed"}));
    assert_eq!(asked(&alice, &confirm(&set_up.app.code(0))), json!({"declined": "nothing-offered"}));
    assert_eq!(asked(&alice, &activate()), json!({"declined": "nothing-offered"}));
    for proof in ["", "hello", "123"] {
        let malformed = json!({"verdict": "refused malformed"});
        assert_eq!(asked(&alice, &enroll(Some(proof))), malformed);
        assert_eq!(asked(&alice, &json!({"disable": {"proof": proof}})), malformed);
        assert_eq!(asked(&alice, &json!({"recovery": {"proof": proof}})), malformed);
    }
    assert_eq!(contents(&alice), before);
    // A refused proof takes an earlier offer back.
    let mut helper = start(&alice);
    let offer = ask(&mut helper, &enroll(Some(&set_up.recovery[0])));
    let new = App::of(offer["offer"]["secret"].as_str().unwrap());
    let wrong = json!({"verdict": "refused wrong failures 1"});
    assert_eq!(ask(&mut helper, &enroll(Some(&set_up.app.wrong()))), wrong);
    assert_eq!(ask(&mut helper, &confirm(&new.code(0))), json!({"declined": "nothing-offered"}));
    assert!(is_right(&alice, &set_up.app.code(0)));
}

#[test]
fn a_confirmed_device_is_activated_once_and_only_by_the_helper_that_confirmed_it() {
    let alice = TestUser::new("alice");
    let mut helper = start(&alice);
    let offer = ask(&mut helper, &enroll(None));
    let app = App::of(offer["offer"]["secret"].as_str().unwrap());
    let too_early = json!({"declined": "nothing-offered"});
    assert_eq!(ask(&mut helper, &activate()), too_early, "no code was given");
    // That took the offer back.
    assert_eq!(ask(&mut helper, &confirm(&app.previous_code())), too_early);

    let offer = ask(&mut helper, &enroll(None));
    let app = App::of(offer["offer"]["secret"].as_str().unwrap());
    hands_out_codes(&mut helper, &confirm(&app.previous_code()));
    assert_eq!(status(&alice)["enrolled"], false, "recovery codes are shown before the device is in force");
    assert_eq!(asked(&alice, &activate()), too_early, "another helper confirmed nothing");
    assert_eq!(ask(&mut helper, &activate()), json!({"changed": true}));
    assert_eq!(status(&alice)["enrolled"], true);
    assert_eq!(ask(&mut helper, &activate()), too_early);
    assert!(is_right(&alice, &app.code(0)));
}

#[test]
fn a_proof_of_another_enrollment_is_none() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let (old, of_bob) = (Enrolled::new(&alice), Enrolled::new(&bob));
    let mut slow = start(&alice);
    let offer = ask(&mut slow, &enroll(Some(&old.recovery[0])));
    let offered = App::of(offer["offer"]["secret"].as_str().unwrap());
    machine::run(Command::new("otp-enroll").args(["admin", "reset", "--yes", &alice.name]));
    hands_out_codes(&mut slow, &confirm(&offered.code(0)));
    assert_eq!(ask(&mut slow, &activate()), json!({"declined": "changed-meanwhile"}));
    assert_eq!(status(&alice)["enrolled"], false);

    let mut slow = start(&alice);
    let offer = ask(&mut slow, &enroll(None));
    let offered = App::of(offer["offer"]["secret"].as_str().unwrap());
    let new = Enrolled::new(&alice);
    hands_out_codes(&mut slow, &confirm(&offered.code(0)));
    assert_eq!(ask(&mut slow, &activate()), json!({"declined": "changed-meanwhile"}));
    for proof in [&old.recovery[1], &of_bob.recovery[0]] {
        assert_eq!(asked(&alice, &enroll(Some(proof))), json!({"verdict": "refused recovery-unknown"}));
    }
    assert!(!is_right(&alice, &old.app.code(0)) && !is_right(&alice, &of_bob.app.code(0)));
    assert!(is_right(&alice, &new.app.code(0)));
}

#[test]
fn of_two_enrollments_at_once_exactly_one_is_in_force() {
    for _ in 0..20 {
        let alice = TestUser::new("alice");
        let confirmed: Vec<_> = (0..2)
            .map(|_| {
                let mut helper = start(&alice);
                let offer = ask(&mut helper, &enroll(None));
                let app = App::of(offer["offer"]["secret"].as_str().unwrap());
                hands_out_codes(&mut helper, &confirm(&app.code(0)));
                (helper, app)
            })
            .collect();
        let activate_it = |(mut helper, app)| thread::spawn(move || (app, ask(&mut helper, &activate())));
        let activating: Vec<_> = confirmed.into_iter().map(activate_it).collect();
        let activated: Vec<(App, Value)> = activating.into_iter().map(|thread| thread.join().unwrap()).collect();
        let (winners, others): (Vec<_>, Vec<_>) = activated.iter().partition(|(_, answer)| answer["changed"] == true);
        assert_eq!((winners.len(), others.len()), (1, 1), "{activated:?}");
        assert_eq!(others[0].1, json!({"declined": "changed-meanwhile"}));
        // The code that confirmed it is used up.
        assert!(!is_right(&alice, &others[0].0.code(1)) && is_right(&alice, &winners[0].0.code(1)));
    }
}

#[test]
fn a_set_user_id_helper_refuses_to_run() {
    machine::require("a program");
    let (alice, folder) = (TestUser::new("alice"), tempfile::tempdir().unwrap());
    for mode in ["4755", "6755"] {
        let copy = format!("{HELPER}-{}", machine::unique("suid"));
        machine::run(Command::new("install").args(["-o", "root", "-g", "pam_otp", "-m", mode, HELPER, &copy]));
        let outcome = Outcome::of(&mut alice.command(&copy), "{\"status\":{}}\n");
        assert_eq!(outcome.code, Some(1), "{mode}: {outcome:?}");
        assert_eq!(outcome.json()[0]["failed"]["error"], "the helper is set-user-ID", "{mode}");
        // Only then: who asks must not find the pipe closed.
        let traced = Traced::new(&Command::new(&copy), Some(&alice), &folder.path().join("trace"));
        Outcome::of(&mut traced.watched(), "{\"status\":{}}\n");
        let (heard, said) = (traced.trace().find("\nread(0<"), traced.trace().find("\nwrite(1<"));
        assert!(heard.is_some() && heard < said, "{}", traced.trace());
        fs::remove_file(copy).unwrap();
    }
    let copy = format!("{HELPER}-{}", machine::unique("plain"));
    machine::run(Command::new("install").args(["-m", "0755", HELPER, &copy]));
    let outcome = Outcome::of(&mut alice.command(&copy), "{\"status\":{}}\n");
    let error = outcome.json()[0]["failed"]["error"].clone();
    assert!(error.as_str().unwrap().contains("Permission denied"), "without its group it reaches nothing: {error}");
}

#[test]
fn its_memory_is_not_for_the_user_who_runs_it() {
    let alice = TestUser::new("alice");
    let mut helper = start(&alice);
    ask(&mut helper, &enroll(None)); // a seed is in its memory
    let mut control = Dialogue::start(&mut alice.command("cat"));
    control.say("ready");
    assert_eq!(control.line(), "ready");
    let read = |pid: u32, file: &str| {
        Outcome::of(alice.command("head").args(["-c", "1", &format!("/proc/{pid}/{file}")]), "").code == Some(0)
    };
    assert!(read(control.pid(), "environ"), "alice may look into her own processes");
    for file in ["environ", "maps", "mem", "auxv"] {
        assert!(!read(helper.pid(), file), "{file}");
    }
    for tracer in [&["strace", "-p"][..], &["gdb", "--batch", "-p"]] {
        if Command::new("which").arg(tracer[0]).stdout(Stdio::null()).status().unwrap().success() {
            let outcome = Outcome::of(alice.command(tracer[0]).args(&tracer[1..]).arg(helper.pid().to_string()), "");
            let said = outcome.out.clone() + &outcome.err;
            assert!(said.contains("not permitted"), "{tracer:?}: {outcome:?}");
        }
    }
    assert_eq!(ask(&mut helper, &json!({"status": {}}))["status"]["enrolled"], false, "it lives");
}

#[test]
fn it_stays_in_no_folder_of_its_caller_and_keeps_no_file_open() {
    let alice = TestUser::new("alice");
    let line = format!("exec 5</etc/hostname 77</etc/hostname; exec {HELPER}");
    let mut helper = Dialogue::start(alice.command("bash").args(["-c", &line]).current_dir(&alice.home));
    assert_eq!(ask(&mut helper, &json!({"status": {}}))["status"]["enrolled"], false);
    let process = format!("/proc/{}", helper.pid());
    assert_eq!(fs::read_link(format!("{process}/cwd")).unwrap(), PathBuf::from("/"));
    let open = fs::read_dir(format!("{process}/fd")).unwrap().map(|file| fs::read_link(file.unwrap().path()).unwrap());
    let open: Vec<_> = open.collect();
    assert!(open.len() >= 3 && !open.contains(&"/etc/hostname".into()), "{open:?}");
}

#[test]
fn closed_streams_harm_no_record() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    for (line, input) in [
        ("<&-", ""),
        (">&-", "{\"status\":{}}\n"),
        ("2>&-", "{\"status\":{}}\n"),
        ("<&- >&- 2>&-", ""),
        ("> /dev/full", "{\"status\":{}}\n"),
        ("< /", ""),
    ] {
        let outcome = Outcome::of(alice.command("bash").args(["-c", &format!("exec {HELPER} {line}")]), input);
        assert!(matches!(outcome.code, Some(0 | 1)), "{line}: {outcome:?}");
    }
    // The answer is lost: the code is used all the same, and works once.
    let recovery = &set_up.recovery[0];
    let line = format!("exec {HELPER} > /dev/full");
    Outcome::of(alice.command("bash").args(["-c", &line]), &format!("{}\n", test(recovery)));
    assert!(!is_right(&alice, recovery));
    assert!(is_right(&alice, &set_up.app.code(0)));
}

#[test]
fn a_limit_on_the_size_of_files_tells_no_guesser_which_code_is_right() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let before = status(&alice);
    for limit in ["--fsize=0:0", "--fsize=2048:2048", "--fsize=4096:4096"] {
        let answer = |proof: &str, request: &str| {
            let line = format!("{}\n", json!({request: {"proof": proof}}));
            let mut command = alice.command("env");
            command.args(["--ignore-signal=XFSZ", "prlimit", limit, "--", HELPER]);
            Outcome::of(&mut command, &line).out
        };
        for request in ["disable", "recovery", "test", "enroll"] {
            let (wrong, right) = (answer(&set_up.app.wrong(), request), answer(&set_up.recovery[0], request));
            assert!(right.starts_with("{\"failed\""), "{limit} {request}: {right}");
            assert_eq!(wrong, right, "{limit} {request}");
        }
    }
    assert_eq!(status(&alice), before, "no code was used up, and the device is there");
    // A soft limit is the caller's own, and is raised.
    let line = format!("{}\n", json!({"test": {"proof": set_up.app.wrong()}}));
    let mut command = alice.command("env");
    command.args(["--ignore-signal=XFSZ", "prlimit", "--fsize=0:unlimited", "--", HELPER]);
    let outcome = Outcome::of(&mut command, &line);
    assert!(outcome.out.contains("refused wrong"), "{outcome:?}");
}

#[test]
fn tiny_limits_cost_the_caller_an_answer_and_no_user_a_record() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let limited = |user: &TestUser, limit: &str, input: &str| {
        Outcome::of(user.command("prlimit").arg(limit).args(["--", HELPER]), input)
    };
    let wrong = format!("{}\n", test(&set_up.app.wrong()));
    let mut unanswered = 0;
    for limit in [
        "--nofile=0",
        "--nofile=3",
        "--nofile=4",
        "--nofile=5",
        "--nofile=6",
        "--fsize=0",
        "--fsize=1",
        "--fsize=100",
        "--fsize=2048",
        "--fsize=2049",
        "--fsize=3000",
        "--fsize=4095",
        "--as=100000",
        "--as=3000000",
        "--as=5000000",
        "--stack=8192",
        "--data=0",
        "--nproc=0",
    ] {
        let failures = status(&alice)["failures"].as_u64().unwrap();
        let outcome = limited(&alice, limit, &wrong);
        let counted = status(&alice)["failures"].as_u64().unwrap() > failures;
        let locked = outcome.out.contains("locked");
        let told = outcome.out.contains("wrong");
        assert!(!told || counted, "{limit}: a guess is told wrong only when it is counted: {outcome:?}");
        assert!(!outcome.out.contains("accepted"), "{limit}: {outcome:?}");
        unanswered += usize::from(!told && !locked);
        if status(&alice)["lock"] != "open" {
            machine::run(Command::new("otp-enroll").args(["admin", "unlock", &alice.name]));
        }
    }
    assert!(unanswered >= 5, "the limits bite: {unanswered}");
    assert!(is_right(&alice, &set_up.app.code(0)), "the record is whole");

    // Enrolling under a limit on files: nothing is begun, and nothing blocks the next.
    for size in [0, 1, 100, 500, 2048, 3000, 4095, 4096] {
        let bob = TestUser::new("bob");
        let answer = limited(&bob, &format!("--fsize={size}"), &format!("{}\n", enroll(None)));
        assert!(answer.out.contains("the limit on the size of files is too low"), "{size}: {answer:?}");
        assert_eq!(status(&bob)["enrolled"], false, "{size}");
        let set_up = Enrolled::new(&bob);
        assert!(is_right(&bob, &set_up.app.code(0)), "{size}");
    }
}

#[test]
fn a_helper_stopped_with_the_lock_in_its_hand_delays_its_own_user_for_seconds_and_no_other() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let (of_alice, of_bob) = (Enrolled::new(&alice), Enrolled::new(&bob));
    let inject = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:signal=SIGSTOP:when=1"];
    let pid = alice.home.join("pid");
    let script = format!("echo $$ > {}; exec {HELPER}", pid.display());
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "-u", &alice.name]).args(inject).args(["sh", "-c", &script]);
    let mut stopped = Dialogue::start(&mut strace);
    stopped.say(&test(&of_alice.app.wrong()).to_string());
    let helper = machine::wait(Duration::from_secs(20), || {
        let pid = fs::read_to_string(&pid).ok()?.trim().to_owned();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.contains("(stopped)").then_some(()).or_else(|| status.contains("(tracing stop)").then_some(()))?;
        // It has the lock when no other process can take it.
        let locked = File::open(&files(&alice)[1]).unwrap().try_lock().is_err();
        locked.then_some(pid)
    })
    .unwrap_or_else(|| panic!("the helper does not stop at its flush"));

    // Root, as a login would: it gets through when the wait is over; meanwhile others come and go.
    let mut login = Command::new("otp-enroll");
    let mut login = Dialogue::start(login.args(["--user", &alice.name, "test", "--stdin"]));
    let code = of_alice.app.code(0);
    login.say(&code);
    for _ in 0..3 {
        let admin = Command::new("otp-enroll").args(["--user", &bob.name, "status"]).output().unwrap();
        assert!(admin.status.success());
    }
    assert!(is_right(&bob, &of_bob.app.code(0)) && is_right(&bob, &of_bob.recovery[0]));
    let outcome = login.end();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(status(&alice)["failures"], 0);

    machine::run(Command::new("kill").args(["-CONT", &helper]));
    assert!(stopped.line().contains("wrong"), "it has lost, begins again, and counts");
    drop(stopped.end());
    assert_eq!(status(&alice)["failures"], 1);
    assert!(!is_right(&alice, &code), "the code of the login that got through is spent");
    assert!(is_right(&alice, &of_alice.recovery[0]));
}
