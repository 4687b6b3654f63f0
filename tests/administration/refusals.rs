//! `admin show` tells the last refusals of a user: from the journal, where no user can forge one, or from auth.log, of which it
//! says that they can.

use std::process::Command;

use pam_otp_tests::{
    conversation::Talk, desk::Desk, journal::Journal, outcome::Outcome, set_user_id::SetUserId, site::HELPER,
    users::TestUser,
};

/// A program run by this user; the ids are in the command itself, which goes to where the journal is.
fn by(user: &TestUser, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
    command.args(["--clear-groups", "--", program]);
    command
}

/// What `admin show` says, as text and as JSON.
fn shown(journal: &Journal, desk: &Desk, user: &str) -> (String, serde_json::Value) {
    journal.settle();
    let show = |arguments: &[&str]| {
        let outcome = Outcome::of(&mut journal.around(desk.site.admin_command().args(arguments)), "");
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{outcome:?}");
        outcome
    };
    let json = show(&["show", "--json", user]).json().remove(0);
    (show(&["show", user]).out, json)
}

fn words(json: &serde_json::Value) -> Vec<String> {
    let word = |refusal: &serde_json::Value, key: &str| refusal[key].as_str().unwrap_or("-").to_owned();
    let told = |refusal| ["why", "service", "rhost"].map(|key| word(refusal, key)).join(" ");
    json["refusals"].as_array().into_iter().flatten().map(told).collect()
}

#[test]
fn the_last_refusals_come_from_the_journal_and_no_user_can_forge_one() {
    let (desk, journal, su) = (Desk::new(""), Journal::start(), SetUserId::pamtalk());
    let (user, mallory, service) = (&desk.user.name, TestUser::new("mallory"), desk.service.name());
    let (text, json) = shown(&journal, &desk, user);
    assert!(text.ends_with("\nRefusals         none in the journal\n"), "{text}");
    assert_eq!((words(&json), &json["refusals_from"], &json["enrolled"]), (vec![], &"journal".into(), &true.into()));

    let wrong = desk.phone.wrong();
    let fails = |talk: &Talk, command: Command| {
        let mut conversation = talk.start_as(journal.around(&command));
        conversation.answer(&wrong);
        assert_eq!(conversation.finish().result("authenticate"), "PAM_AUTH_ERR");
    };
    let talk = desk.talk().rhost("203.0.113.9");
    fails(&talk, talk.command());
    // As su is: the process has the real uid of the user who started it.
    fails(&desk.talk(), su.command(&mallory, &desk.talk().command(), &["--core=0"], &[]));
    // Through the helper, about the machine's own records.
    let test = "{\"test\":{\"proof\":\"000000\"}}\n";
    assert_eq!(Outcome::of(&mut journal.around(&by(&desk.user, HELPER)), test).code, Some(0));
    // Lines that a user has logged, the named user or another, are no refusals.
    for liar in [&desk.user, &mallory] {
        for (tag, line) in [
            ("sshd", format!("pam_otp(sshd:auth): refused user={user} rhost=192.0.2.66 why=wrong failures=6")),
            ("pamtalk", format!("pam_otp({service}:auth): refused user={user} rhost=192.0.2.66 why=wrong failures=6")),
            ("otp-helper", format!("refused user={user} by_uid=0 change=tested why=recovery-unknown")),
            ("otp-enroll", format!("refused user={user} by_uid=0 change=tested why=recovery-unknown")),
        ] {
            for socket in ["/dev/log", "/run/systemd/journal/dev-log"] {
                let logger = ["--socket", socket, "--priority", "authpriv.notice", "--tag", tag, &line];
                pam_otp_tests::machine::run(&mut journal.around(by(liar, "logger").args(logger)));
            }
        }
    }
    // Printed by a daemon of root's that lets users choose the line.
    let line = format!("pam_otp(sshd:auth): refused user={user} rhost=192.0.2.66 why=wrong failures=6");
    journal.shell(&format!("echo '{line}' | systemd-cat -t sshd -p notice"));

    let (text, json) = shown(&journal, &desk, user);
    let expected =
        ["not-enrolled - -".to_owned(), format!("wrong {service} -"), format!("wrong {service} 203.0.113.9")];
    assert_eq!(words(&json), expected, "{json:#}");
    assert!(text.contains("\nLast refusals    from the journal\n  20") && !text.contains("192.0.2.66"), "{text}");
    assert!(text.ends_with(&format!("UTC  wrong (1 in a row), {service}, from 203.0.113.9\n")), "{text}");
    assert!(text.contains(&format!("UTC  wrong (2 in a row), {service}\n")), "{text}");

    // Five, and the latest.
    (0..5).for_each(|_| fails(&talk, talk.command()));
    let (_, json) = shown(&journal, &desk, user);
    assert_eq!(words(&json)[0], format!("locked {service} 203.0.113.9"), "{json:#}");
    assert_eq!(words(&json).len(), 5, "{json:#}");
    assert!(words(&shown(&journal, &desk, &mallory.name).1).is_empty());
}

/// What `admin refusals` says, as text and as JSON.
fn of_all(journal: &Journal, desk: &Desk, arguments: &[&str]) -> (String, Vec<serde_json::Value>) {
    journal.settle();
    let ask = |more: &[&str]| {
        let mut command = desk.site.admin_command();
        let outcome = Outcome::of(&mut journal.around(command.arg("refusals").args(arguments).args(more)), "");
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{outcome:?}");
        outcome
    };
    (ask(&[]).out, ask(&["--json"]).json())
}

#[test]
fn those_of_all_users_are_listed_with_their_names_since_a_time() {
    let (desk, journal) = (Desk::new(""), Journal::start());
    let (user, service) = (&desk.user.name, desk.service.name());
    let (text, json) = of_all(&journal, &desk, &[]);
    assert_eq!(text, "No refusals in the last 24 h, in the journal\n");
    assert_eq!((json.len(), &json[0]["refusals_from"], &json[0]["more"]), (1, &"journal".into(), &false.into()));

    let fails = |talk: &Talk, answer: &str| {
        let mut conversation = talk.start_as(journal.around(&talk.command()));
        conversation.answer(answer);
        conversation.finish();
    };
    fails(&desk.talk().rhost("203.0.113.9"), &desk.phone.wrong());
    fails(&desk.talk(), "");
    let (text, json) = of_all(&journal, &desk, &[]);
    let told: Vec<_> =
        json[1..].iter().map(|line| (line["user"].as_str().unwrap(), line["why"].as_str().unwrap())).collect();
    assert_eq!(told, [(user.as_str(), "malformed"), (user, "wrong")], "{json:?}");
    assert_eq!((&json[2]["rhost"], &json[2]["failures"]), (&"203.0.113.9".into(), &1.into()));
    assert!(text.starts_with("Refusals of the last 24 h, from the journal\n  20"), "{text}");
    assert!(text.ends_with(&format!("UTC  {user}  wrong (1 in a row), {service}, from 203.0.113.9\n")), "{text}");

    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(of_all(&journal, &desk, &["--since", "1s"]).1.len(), 1);
    let outcome = Outcome::of(desk.site.admin_command().args(["refusals", "--since", "yesterday"]), "");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");

    // From a file, with what it cannot say.
    journal.shell("rm -r /run/log/journal");
    let old = "2020-01-01T00:00:00+00:00 host sshd[12]: pam_otp(sshd:auth): refused user=old why=wrong failures=1\\n";
    let new = format!(
        "$(date --rfc-3339=seconds | tr ' ' T) host sshd[12]: pam_otp(sshd:auth): refused user={user} why=replayed\\n"
    );
    journal.shell(&format!("printf \"{old}{new}\" > /var/log/auth.log"));
    let (text, json) = of_all(&journal, &desk, &[]);
    assert_eq!((json.len(), &json[1]["why"]), (2, &"replayed".into()), "{json:?}");
    assert!(
        text.starts_with("Refusals of the last 24 h, from /var/log/auth.log, to which any local user can write\n"),
        "{text}"
    );
}

#[test]
fn without_a_journal_they_come_from_auth_log_which_says_less() {
    let (desk, journal) = (Desk::new(""), Journal::start());
    let user = &desk.user.name;
    journal.shell("rm -r /run/log/journal");
    let (text, json) = shown(&journal, &desk, user);
    assert!(text.ends_with("\nRefusals         not known: there is no journal, and no /var/log/auth.log\n"), "{text}");
    assert!(json["refusals_from"].is_null() && words(&json).is_empty());

    let line = |time: &str, rest: &str| {
        format!("{time} host sshd[12]: pam_otp(sshd:auth): refused user={user} rhost=192.0.2.1 why={rest}\\n")
    };
    let before = line("Nov 21 21:14:16", "replayed");
    let present = line("Nov 21 21:14:17", "locked until=\\033[2J")
        + &line("2026-11-28T06:35:21+00:00", "\\033[2Jwrong\\342\\200\\256");
    journal.shell(&format!("printf '{before}' > /var/log/auth.log.1; printf '{present}' > /var/log/auth.log"));
    let (text, json) = shown(&journal, &desk, user);
    assert_eq!(json["refusals_from"], "/var/log/auth.log");
    assert_eq!(json["refusals"].as_array().map(Vec::len), Some(3), "{json:#}");
    let told = "Last refusals    from /var/log/auth.log, to which any local user can write\n  \
                2026-11-28 06:35:21+00:00  \\x1b[2Jwrong\\u{202e}, sshd, from 192.0.2.1\n  \
                Nov 21 21:14:17  locked, sshd, from 192.0.2.1\n  \
                Nov 21 21:14:16  replayed, sshd, from 192.0.2.1\n";
    assert!(text.ends_with(told), "{text}");
}
