//! `otp-enroll` without a terminal, as scripts and provisioning meet it: JSON, exit codes, and outputs that fail.

use pam_otp_tests::{
    app::{App, Enrolled},
    machine,
    outcome::{Dialogue, Outcome},
    pty::PATIENCE,
    self_service::{said, status},
    users::TestUser,
};
use serde_json::json;
use std::{fs, os::unix::fs::MetadataExt, process::Command};

/// `otp-enroll` as root.
fn root(arguments: &[&str], input: &str) -> Outcome {
    Outcome::of(Command::new("otp-enroll").args(arguments), input)
}

/// `otp-enroll` as this user in a shell, which can do to its streams what it likes.
fn in_shell(user: &TestUser, line: &str, input: &str) -> Outcome {
    Outcome::of(user.command("bash").args(["-c", line]), input)
}

/// A sentence in lower case with its subject, and on the next line what to do; nothing on standard output.
fn assert_complains(outcome: &Outcome, code: i32, error: &str, hint: &str) {
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(code), ""), "{outcome:?}");
    assert_eq!(outcome.err, format!("otp-enroll: {error}\n  {hint}\n"));
}

#[test]
fn two_lines_of_json_set_up_a_second_factor() {
    let alice = TestUser::new("alice");
    let mut talk = Dialogue::start(alice.command("otp-enroll").arg("--json"));
    let offer = talk.json();
    let names: Vec<&String> = offer.as_object().unwrap().keys().collect();
    assert_eq!(names, ["algorithm", "digits", "hex", "issuer", "period", "secret", "uri", "user"]);
    let app = App::scan(offer["uri"].as_str().unwrap());
    assert_eq!(offer["secret"], app.secret.as_str());
    assert_eq!(offer["hex"], app.hex().as_str());
    assert_eq!(offer["user"], alice.name.as_str());
    assert_eq!(status(&alice)["enrolled"], false, "nothing is active before the code");
    talk.say(&app.wrong());
    talk.say(&app.code(0));
    let answer = talk.json();
    assert_eq!((&answer["user"], &answer["changed"]), (&alice.name.as_str().into(), &true.into()));
    assert_eq!(answer["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(talk.end(), Outcome { code: Some(0), out: String::new(), err: String::new() });
    assert_eq!(status(&alice)["enrolled"], true);

    let again = said(&alice, &["--json"], "");
    assert_eq!((again.code, again.err.as_str()), (Some(0), ""), "a second run changes nothing and succeeds");
    assert_eq!(again.json()[0]["enrolled"], true);
    assert!(!again.out.contains(&app.secret) && !again.out.contains("otpauth"), "{again:?}");
}

#[test]
fn a_program_that_leads_a_person_is_told_what_is_read_next() {
    let alice = TestUser::new("alice");
    let asks = |talk: &mut Dialogue, what: &str| {
        let line = talk.json();
        assert_eq!(line["asks"], what, "{line}");
        line
    };
    let mut talk = Dialogue::start(alice.command("otp-enroll").arg("--dialog"));
    let offer = talk.json();
    let picture = alice.home.join("qr.svg");
    fs::write(&picture, offer["qr"].as_str().unwrap()).unwrap();
    assert_eq!(pam_otp_tests::screen::read_picture(&picture), offer["uri"].as_str().map(str::to_owned));
    let app = App::scan(offer["uri"].as_str().unwrap());
    assert!(asks(&mut talk, "code").get("refused").is_none());
    talk.say(&app.wrong());
    let again = asks(&mut talk, "code");
    assert!(again["refused"].as_str().unwrap().contains("not correct"), "{again}");
    talk.say(&app.code(0));
    assert_eq!(talk.json()["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(talk.end(), Outcome { code: Some(0), out: String::new(), err: String::new() });

    // A token: its seed, a proof, then its codes, of which one is not a code.
    let options = ["--dialog", "add", "--token", "--type", "hotp", "--", "blue key"];
    let mut talk = Dialogue::start(alice.command("otp-enroll").args(options));
    asks(&mut talk, "seed");
    talk.say("3132333435363738393031323334353637383930");
    asks(&mut talk, "proof");
    talk.say(&app.code(1));
    assert_eq!(talk.json()["confirmed"], false);
    asks(&mut talk, "code");
    talk.say("x");
    assert!(asks(&mut talk, "code")["refused"].as_str().unwrap().contains("6 digits"));
    talk.say("755224"); // RFC 4226, appendix D
    assert_eq!(talk.json()["name"], "blue key");
    assert_eq!(talk.end().code, Some(0));

    // What cannot be done is refused before anything is asked; a wrong proof ends it.
    let refused = said(&alice, &["--dialog", "remove", "--yes", "no such device"], "");
    assert!(refused.json()[0]["error"].is_string() && refused.code == Some(1), "{refused:?}");
    let mut talk = Dialogue::start(alice.command("otp-enroll").args(["--dialog", "recovery"]));
    asks(&mut talk, "proof");
    talk.say(&app.wrong());
    assert!(talk.json()["error"].as_str().unwrap().contains("wrong"));
    assert_eq!(talk.end().code, Some(1));
}

#[test]
fn plain_lines_from_standard_input_do_too() {
    let alice = TestUser::new("alice");
    let mut talk = Dialogue::start(alice.command("otp-enroll").args(["--stdin", "--qr", "png", "qr.png"]));
    let line = |talk: &mut Dialogue, label: &str| talk.line().strip_prefix(label).unwrap().trim_start().to_owned();
    let key = line(&mut talk, "Key");
    let app = App::of(&key);
    assert_eq!(line(&mut talk, "HEX"), app.hex());
    let uri = line(&mut talk, "URI");
    assert_eq!(App::scan(&uri).secret, key);
    assert_eq!(pam_otp_tests::screen::read_picture(&alice.home.join("qr.png")), Some(uri));
    talk.say(&app.code(0));
    let end = talk.end();
    assert_eq!((end.code, end.err.as_str()), (Some(0), ""));
    assert_eq!(end.out.lines().count(), 10, "a recovery code a line: {end:?}");
}

#[test]
fn every_exit_code_is_seen() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let set_up = Enrolled::new(&alice);
    let wrong = set_up.app.wrong() + "\n";
    let code = |outcome: Outcome| outcome.code.unwrap();
    assert_eq!(code(said(&alice, &["test", "--stdin"], &set_up.app.code(0))), 0);
    assert_eq!(code(said(&alice, &["status"], "")), 0);
    assert_eq!(code(said(&bob, &["status"], "")), 0);
    for arguments in
        [&["test", "--stdin"][..], &["recovery", "--json"], &["disable", "-y", "--stdin"], &["reset", "--json"]]
    {
        assert_eq!(code(said(&alice, arguments, &wrong)), 1, "{arguments:?}");
    }
    for arguments in [&["--foo"][..], &["foo"], &["--qr", "gif", "x"], &["--qr", "svg", "x", "status"], &["admin"]] {
        assert_eq!(code(said(&bob, arguments, "")), 2, "{arguments:?}");
    }
    for arguments in [&["--save-recovery", "x", "recovery"][..], &["--qr", "png", "x", "reset"]] {
        assert_eq!(code(said(&alice, arguments, "")), 2, "an option that would be ignored: {arguments:?}");
    }
    for arguments in [&["test", "--stdin"][..], &["recovery", "--stdin"]] {
        assert_eq!(code(said(&bob, arguments, "123456\n")), 3, "{arguments:?}");
    }
    assert_eq!(code(root(&["--user", "nobody-at-all", "status"], "")), 3);
    for of_root in [&["admin", "list"][..], &["--user", &bob.name, "status"], &["--config", "/dev/null", "status"]] {
        assert_eq!(code(said(&alice, of_root, "")), 1, "what is root's is not allowed: {of_root:?}");
    }
    assert_eq!(code(root(&["--config", "/no/such/file", "--user", &bob.name], "")), 4);
    assert_eq!(status(&alice)["failures"], 4);
}

#[test]
fn the_wrong_code_that_locks_does_not_say_try_again() {
    let alice = TestUser::new("alice");
    let wrong = Enrolled::new(&alice).app.wrong() + "\n";
    for failures in 1..=6 {
        let outcome = said(&alice, &["test", "--stdin"], &wrong);
        assert_eq!(outcome.code, Some(1));
        assert_eq!(outcome.err.contains("try again"), failures < 6, "{failures}: {outcome:?}");
        let locks = format!(
            "that code is wrong ({failures} wrong codes in a row): only a recovery code, or a passcode at a login, is accepted until 2"
        );
        assert_eq!(outcome.err.contains(&locks), failures == 6, "{failures}: {outcome:?}");
        assert_eq!(
            outcome.err.contains("use a recovery code, or ask your administrator"),
            failures == 6,
            "{outcome:?}"
        );
    }
}

#[test]
fn a_picture_goes_if_its_key_does_not_come_into_force() {
    let alice = TestUser::new("alice");
    let picture = alice.home.join("qr.svg");
    let qr = ["--qr", "svg", "qr.svg"];
    for (arguments, input) in [(&["--json"][..], ""), (&["--json"], "000000\nhello\n"), (&["--stdin"], "000000\n")] {
        let outcome = said(&alice, &[arguments, &qr].concat(), input);
        assert_eq!(outcome.code.map(|code| code != 0), Some(true), "{outcome:?}");
        assert!(!picture.exists(), "{arguments:?} {input:?}");
    }
    for signal in ["INT", "TERM", "HUP"] {
        let mut talk = Dialogue::start(alice.command("otp-enroll").arg("--json").args(qr));
        let key = talk.json()["secret"].as_str().map(str::to_owned);
        assert!(key.is_some() && picture.exists());
        machine::run(Command::new("kill").args([format!("-{signal}"), talk.pid().to_string()]));
        let gone = machine::wait(PATIENCE, || (!picture.exists()).then_some(()));
        assert!(gone.is_some(), "{signal}");
        assert_ne!(talk.end().code, Some(0), "{signal}");
    }
    let set_up = Enrolled::by(alice.command("otp-enroll").arg("--json").args(qr));
    assert!(picture.exists(), "the key is in force");
    // After that, no end takes the picture away, and a reset that is broken off takes its own.
    let reset = said(&alice, &["reset", "--json", "--qr", "svg", "new.svg"], &(set_up.recovery[0].clone() + "\n"));
    assert_eq!(reset.code.map(|code| code != 0), Some(true), "{reset:?}");
    assert!(picture.exists() && !alice.home.join("new.svg").exists());
}

#[test]
fn without_a_terminal_no_question_is_asked() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    for arguments in [&["reset"][..], &["recovery"], &["test"], &["disable", "--yes"]] {
        let outcome = said(&alice, arguments, &set_up.recovery[0]);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
        assert_eq!(outcome.out, "", "no prompt");
        assert!(outcome.err.contains("add --stdin or --json"), "{outcome:?}");
    }
    let outcome = said(&alice, &["disable", "--stdin"], &format!("y\n{}\n", set_up.recovery[0]));
    assert_eq!(outcome.code, Some(2), "what is meant is not read from a pipe");
    assert!(outcome.err.contains("add --yes"), "{outcome:?}");
    let bob = TestUser::new("bob");
    let outcome = said(&bob, &[], "");
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(2), ""), "no key is shown for nothing");
    assert_eq!(status(&alice)["recovery_codes_left"], 10, "nothing was spent");
    // The end of the input is no answer either.
    for arguments in [&["reset", "--json"][..], &["recovery", "--stdin"], &["test", "--stdin"]] {
        let outcome = said(&alice, arguments, "");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert!(outcome.err.contains("the input ended before the question was answered"), "{outcome:?}");
    }
}

#[test]
fn quiet_says_what_was_asked_for_and_no_more() {
    let alice = TestUser::new("alice");
    let silent =
        |outcome: Outcome| assert_eq!(outcome, Outcome { code: Some(0), out: String::new(), err: String::new() });
    silent(said(&alice, &["-q", "list"], ""));
    let set_up = Enrolled::new(&alice);
    silent(said(&alice, &["-q", "test", "--stdin"], &set_up.app.code(0)));
    assert_eq!(said(&alice, &["-q", "status"], "").out, said(&alice, &["status"], "").out);
    let again = said(&alice, &["--quiet"], "").out;
    assert!(again.contains("set up") && !again.contains("otp-enroll reset"), "{again}");
    assert_eq!(said(&alice, &["-q", "recovery", "--stdin"], &set_up.recovery[0]).out.lines().count(), 10);
    assert!(said(&alice, &["-q", "test", "--stdin"], "1").err.contains("neither a code"), "errors are said");
    silent(said(&alice, &["-q", "disable", "--yes", "--stdin"], &set_up.app.code(1)));
}

#[test]
fn every_reading_command_speaks_json() {
    let alice = TestUser::new("alice");
    let none = status(&alice);
    assert_eq!(
        none,
        json!({"user": alice.name, "enrolled": false, "override": "none", "override_until": null, "devices": [], "recovery_codes_left": 0,
               "failures": 0, "lock": "open", "last_accepted": null})
    );
    assert_eq!(said(&alice, &["list", "--json"], "").out, "");
    let set_up = Enrolled::new(&alice);
    let device = said(&alice, &["list", "--json"], "").json().remove(0);
    let created = device["created"].as_str().unwrap();
    assert!(created.ends_with('Z') && created.contains('T'), "{created}");
    assert_eq!(
        device,
        json!({"id": 1, "name": "authenticator", "type": "totp", "algorithm": "SHA1", "digits": 6, "period": 30,
               "created": created, "default": true, "last_used": null, "confirmed": true, "awaits_resync": false, "serial": null, "drift": null,
               "suite": null})
    );
    assert_eq!(status(&alice)["devices"], json!([device]));
    let tested = said(&alice, &["test", "--json"], &set_up.recovery[0]).json();
    assert_eq!(tested, [json!({"user": alice.name, "right": true, "recovery_codes_left": 9})]);
    let disable = |code: &str| said(&alice, &["disable", "--yes", "--json"], code).json();
    assert_eq!(disable(&set_up.app.code(0)), [json!({"user": alice.name, "changed": true})]);
    assert_eq!(disable(""), [json!({"user": alice.name, "changed": false})], "a second run succeeds");
}

#[test]
fn a_command_line_that_cannot_be_read_is_told_in_json_too() {
    for (arguments, error) in [
        (&["--json", "--no-such"][..], "unexpected argument '--no-such' found"),
        (&["admin", "unlock", "--json"], "the following required arguments were not provided: <USER>..."),
        (&["--json", "no-such"], "unrecognized subcommand 'no-such'"),
    ] {
        let outcome = root(arguments, "");
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert_eq!(outcome.json(), [json!({"error": error, "hint": "see: otp-enroll --help"})]);
        assert!(outcome.err.contains("Usage: otp-enroll"), "{outcome:?}");
    }
    let text = root(&["--no-such"], "");
    assert_eq!((text.code, text.out.as_str()), (Some(2), ""));
    let help = root(&["--json", "--help"], "");
    assert!(help.code == Some(0) && !help.out.contains('{') && help.err.is_empty(), "{help:?}");
}

#[test]
fn a_crash_would_leave_no_core_file_with_the_key() {
    let alice = TestUser::new("alice");
    let mut command = Command::new("prlimit");
    command.args(["--core=unlimited", "--", "otp-enroll", "--user", &alice.name, "--json"]);
    let mut enroll = Dialogue::start(&mut command);
    assert!(enroll.json()["secret"].is_string());
    let limits = fs::read_to_string(format!("/proc/{}/limits", enroll.pid())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{limits}");
    assert_eq!(enroll.end().code, Some(4), "it ended before the code");
}

#[test]
fn root_says_whose_second_factor_is_meant() {
    let alice = TestUser::new("alice");
    let outcome = root(&["--json"], "");
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.err.contains("root must name the user to act for: otp-enroll --user USER"), "{outcome:?}");
    let mut command = Command::new("otp-enroll");
    let set_up = Enrolled::by(command.args(["--user", &alice.name, "--json"]));
    assert_eq!(said(&alice, &["test", "--stdin"], &set_up.app.code(0)).code, Some(0), "it is alice's own");
    for file in [format!("{}.toml", alice.name), format!("{}.state", alice.name)] {
        let found = fs::metadata(format!("/var/lib/pam_otp/{file}")).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o600, alice.uid, alice.gid), "{file}");
    }
    // Root proves like every other user here; without proof there is `admin`.
    assert_eq!(root(&["--user", &alice.name, "reset", "--json"], &set_up.app.wrong()).code, Some(1));
    let mut reset = Dialogue::start(Command::new("otp-enroll").args(["--user", &alice.name, "reset", "--json"]));
    reset.say(&set_up.recovery[0]);
    assert_eq!(reset.json()["user"], alice.name.as_str());
    assert_eq!(reset.end().code, Some(4), "it ended before the code");
    assert_eq!(said(&alice, &["test", "--stdin"], &set_up.app.code(1)).code, Some(0), "the old key is in force");
}

#[test]
fn an_output_that_takes_nothing_changes_nothing() {
    let alice = TestUser::new("alice");
    for line in ["otp-enroll --json > /dev/full", "otp-enroll --json >&-", "otp-enroll --stdin > /dev/null"] {
        let outcome = in_shell(&alice, line, "123456\n");
        assert!(matches!(outcome.code, Some(2 | 4)), "{line}: {outcome:?}");
        assert!(outcome.err.starts_with("otp-enroll: "), "{line}: {outcome:?}");
        assert_eq!(status(&alice)["enrolled"], false, "{line}");
    }
    let set_up = Enrolled::new(&alice);
    let proof = &set_up.recovery[0];
    for line in ["otp-enroll recovery --stdin >&-", "otp-enroll recovery --json > /dev/null"] {
        let outcome = in_shell(&alice, line, proof);
        assert_eq!(outcome.code, Some(2), "{line}: {outcome:?}");
        assert!(outcome.err.contains("add --save-recovery FILE"), "{line}: {outcome:?}");
    }
    assert_eq!(said(&alice, &["test", "--stdin"], proof).code, Some(0), "the proof was not spent");
    let outcome = in_shell(&alice, "otp-enroll recovery --stdin --save-recovery codes >&-", &set_up.recovery[1]);
    assert_eq!(outcome.code, Some(0), "somewhere is enough: {outcome:?}");
    let codes = fs::read_to_string(alice.home.join("codes")).unwrap();
    assert_eq!(said(&alice, &["test", "--stdin"], codes.lines().nth(1).unwrap()).code, Some(0));
}

#[test]
fn recovery_codes_that_could_not_be_written_are_not_lost_silently() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let outcome = in_shell(&alice, "otp-enroll recovery --stdin > /dev/full", &set_up.recovery[0]);
    assert_complains(
        &outcome,
        5,
        "the new recovery codes could not be shown: No space left on device",
        "they are active all the same; get new ones with: otp-enroll recovery",
    );
    assert_eq!(said(&alice, &["test", "--stdin"], &set_up.recovery[1]).code, Some(1), "as was said");
    // Saved is not lost.
    let line = "otp-enroll recovery --stdin --save-recovery codes > /dev/full";
    let outcome = in_shell(&alice, line, &set_up.app.code(0));
    assert_eq!(outcome.code, Some(5));
    assert!(outcome.err.contains("done, but writing to standard output failed"), "{outcome:?}");
    assert_eq!(fs::read_to_string(alice.home.join("codes")).unwrap().lines().count(), 11);

    // Who reads us goes away between the key and the recovery codes.
    let bob = TestUser::new("bob");
    let mut talk = Dialogue::start(bob.command("otp-enroll").arg("--json"));
    let app = App::scan(talk.json()["uri"].as_str().unwrap());
    let mut deaf = talk.turn_away();
    deaf.say(&app.code(0));
    let outcome = deaf.end();
    assert_eq!(outcome.code, Some(5));
    assert!(outcome.err.contains("the new recovery codes could not be shown: Broken pipe"), "{outcome:?}");
    assert_eq!(status(&bob)["enrolled"], true, "as was said");
}

#[test]
fn a_file_that_cannot_be_made_is_found_before_the_proof_is_used_up() {
    let alice = TestUser::new("alice");
    alice.write("taken", "mine", 0o600);
    let set_up = Enrolled::new(&alice);
    for arguments in [
        &["recovery", "--stdin", "--save-recovery", "taken"][..],
        &["reset", "--json", "--save-recovery", "no/such/folder"],
        &["reset", "--json", "--qr", "svg", "taken"],
    ] {
        let outcome = said(&alice, arguments, &set_up.recovery[0]);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
    }
    assert_eq!(fs::read_to_string(alice.home.join("taken")).unwrap(), "mine");
    assert_eq!(status(&alice)["recovery_codes_left"], 10);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error_to_complain_of() {
    let alice = TestUser::new("alice");
    let outcome = in_shell(&alice, "otp-enroll status | true; exit ${PIPESTATUS[0]}", "");
    assert_eq!(outcome.err, "");
    assert!(matches!(outcome.code, Some(0 | 4)), "{outcome:?}");
    let full = in_shell(&alice, "otp-enroll status > /dev/full", "");
    assert_eq!(full.code, Some(4));
    assert!(full.err.contains("cannot write to standard output: No space left"), "{full:?}");
    // What was done is said to be done.
    let set_up = Enrolled::new(&alice);
    let outcome = in_shell(&alice, "otp-enroll disable --yes --stdin > /dev/full", &set_up.app.code(0));
    assert_eq!(outcome.code, Some(5));
    assert!(outcome.err.contains("done, but writing to standard output failed"), "{outcome:?}");
    assert_eq!(status(&alice)["enrolled"], false);
}

#[test]
fn closed_streams_and_odd_environments_change_nothing_for_the_worse() {
    let alice = TestUser::new("alice");
    assert_eq!(in_shell(&alice, "otp-enroll status 2>&- <&-", "").code, Some(0));
    assert_eq!(in_shell(&alice, "env -i /usr/local/bin/otp-enroll status --json", "").json()[0]["enrolled"], false);
    let lies = "env PAM_OTP_CONFIG=/tmp/x PAM_OTP_HELPER=/bin/true RUST_BACKTRACE=full LD_PRELOAD=/no USER=root HOME=/root \
                otp-enroll status --json";
    let outcome = in_shell(&alice, lies, "");
    assert_eq!(outcome.json()[0]["user"], alice.name.as_str(), "{outcome:?}");
}
