//! The agent: services that ask about other users, lockers whose sandbox keeps the helper from its group, and root's own
//! programs that cannot write the records.
#![expect(clippy::disallowed_methods, reason = "how long a refusal takes is measured")]

use pam_otp_tests::{
    agent::{Agent, SOCKET, Socket},
    conversation::{Conversation, Talk, Transcript},
    desk::logged,
    phone::Phone,
    service::Service,
    site::STATE,
    syslog,
    users::{TestUser, new_group},
};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A service's account, the user who logs in through it, and the stack.
struct Desk {
    host: TestUser,
    alice: TestUser,
    phone: Phone,
    service: Service,
}

impl Desk {
    fn new() -> Desk {
        let alice = TestUser::new("alice");
        let phone = Phone::enroll_self(&alice);
        Desk { host: TestUser::new("radius"), alice, phone, service: Service::private("auth required pam_otp.so") }
    }

    fn table(&self, more: &str) -> String {
        format!("[[agent.host]]\nuser = \"{}\"\nservices = [\"{}\"]\n{more}\n", self.host.name, self.service.name())
    }

    /// A login of this user through the service.
    fn talk(&self, user: &str) -> Talk {
        Talk::new(&self.service, user).ids(self.host.uid, self.host.gid)
    }
}

/// What the agent has logged about a user.
fn verdicts(mark: syslog::Mark, user: &TestUser) -> Vec<String> {
    let lines = syslog::lines_since(mark).into_iter().filter(|line| line.contains("otp-agent"));
    let user = format!(" user={} ", user.name);
    let text = |line: String| Some(line.split_once("]: ")?.1.to_owned());
    lines.filter(|line| line.contains(&user)).filter_map(text).collect()
}

/// A login by a process for which `script` has changed the mounts or the privileges.
fn login(talk: &Talk, script: &str, answer: &str) -> (Transcript, Vec<String>) {
    let (mark, host) = (syslog::mark(), talk.command());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script, "sh"]).arg(STATE).arg(host.get_program()).args(host.get_args());
    let mut conversation = talk.start_as(command);
    conversation.answer(answer);
    let said = conversation.finish();
    let log = syslog::of_module(mark, said.pid);
    (said, log)
}

#[test]
fn a_service_that_is_named_lets_a_right_code_in_once() {
    let desk = Desk::new();
    let _agent = Agent::start(&desk.table(""));
    let (alice, by, service) = (&desk.alice.name, desk.host.uid, desk.service.name());
    let talk = desk.talk(alice).rhost("203.0.113.9");
    let code = desk.phone.next_code();
    for (answer, result, verdict) in [
        (desk.phone.wrong(), "PAM_AUTH_ERR", "refused WHO why=wrong failures=1"),
        (code.clone(), "PAM_SUCCESS", "accepted WHO factor=totp device=1 recovery_left=10 failures=1"),
        (code, "PAM_AUTH_ERR", "refused WHO why=replayed"),
        (desk.phone.recovery_code(), "PAM_SUCCESS", "accepted WHO factor=recovery recovery_left=9"),
        ("correct staple".to_owned(), "PAM_AUTH_ERR", "refused WHO why=malformed"),
    ] {
        let mark = syslog::mark();
        let (said, log) = logged(&talk, &[&answer]);
        assert_eq!(said.result("authenticate"), result, "{said}\n{log:#?}");
        assert_eq!(said.prompts(), ["Verification code: "]);
        let who = format!("user={alice} by_uid={by} service={service} claimed_rhost=203.0.113.9");
        assert_eq!(verdicts(mark, &desk.alice), [verdict.replace("WHO", &who)]);
    }
}

#[test]
fn who_is_not_named_asks_about_nobody_else_and_who_is_only_about_its_users() {
    let (desk, mallory, bob) = (Desk::new(), TestUser::new("mallory"), TestUser::new("bob"));
    let (group, other) = (new_group("vpn"), Service::private("auth required pam_otp.so"));
    desk.alice.join(&group);
    let _agent = Agent::start(&desk.table(&format!("groups = [\"{group}\"]")));
    let (host, code) = (&desk.host, desk.phone.next_code());
    let not_in_groups = "may not ask about this user";
    for (uid, gid, service, user, error) in [
        (mallory.uid, mallory.gid, &desk.service, desk.alice.name.as_str(), "may ask about no other user"),
        (mallory.uid, mallory.gid, &desk.service, "root", "may ask about no other user"),
        (mallory.uid, mallory.gid, &desk.service, "nobody-of-that-name", "may ask about no other user"),
        (host.uid, host.gid, &desk.service, bob.name.as_str(), not_in_groups),
        (host.uid, host.gid, &desk.service, "root", not_in_groups),
        (host.uid, host.gid, &desk.service, "nobody-of-that-name", not_in_groups),
        (host.uid, host.gid, &other, desk.alice.name.as_str(), "may not ask for the PAM service"),
    ] {
        let (said, log) = logged(&Talk::new(service, user).ids(uid, gid), &[&code]);
        assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}\n{log:#?}");
        assert!(said.prompts().is_empty(), "{said}");
        assert!(log[0].contains("the agent /run/pam_otp/agent reports: ") && log[0].contains(error), "{log:#?}");
    }
    // Nothing was spent by that.
    let (said, log) = logged(&desk.talk(&desk.alice.name), &[&code]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}\n{log:#?}");
}

#[test]
fn a_locker_under_no_new_privileges_asks_the_agent_about_its_own_user() {
    let (alice, service) = (TestUser::new("alice"), Service::private("auth required pam_otp.so nullok"));
    let phone = Phone::enroll_self(&alice);
    let mut agent = Agent::start("");
    let talk = Talk::new(&service, &alice.name).ids(alice.uid, alice.gid);
    let ids = format!("--reuid={} --regid={} --clear-groups", alice.uid, alice.gid);
    let script = format!("shift; exec setpriv {ids} --no-new-privs \"$@\"");
    let code = phone.next_code();
    for (answer, result) in [(phone.wrong(), "PAM_AUTH_ERR"), (code.clone(), "PAM_SUCCESS"), (code, "PAM_AUTH_ERR")] {
        let (said, log) = login(&talk, &script, &answer);
        assert_eq!(said.result("authenticate"), result, "{said}\n{log:#?}");
    }
    agent.disable();
    let (said, log) = login(&talk, &script, &phone.recovery_code());
    assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}\n{log:#?}");
    assert!(log[0].contains("take NoNewPrivileges") && log[0].contains("otp-agent.socket"), "{log:#?}");
}

#[test]
fn a_program_of_root_that_cannot_write_the_records_asks_the_agent() {
    let (alice, service) = (TestUser::new("alice"), Service::private("auth required pam_otp.so"));
    let phone = Phone::enroll_self(&alice);
    let mut agent = Agent::start("");
    let talk = Talk::new(&service, &alice.name);
    // As ProtectSystem=strict, and as a capability bounding set without CAP_DAC_OVERRIDE.
    let strict = "d=$1; shift; mount --bind \"$d\" \"$d\"; mount -o remount,bind,ro \"$d\"; exec \"$@\"";
    let bounded = "shift; exec setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-all \"$@\"";
    for (script, code) in [(strict, phone.next_code()), (bounded, phone.recovery_code())] {
        let mark = syslog::mark();
        for (answer, result) in [(code.clone(), "PAM_SUCCESS"), (code, "PAM_AUTH_ERR")] {
            let (said, log) = login(&talk, script, &answer);
            assert_eq!(said.result("authenticate"), result, "{script}: {said}\n{log:#?}");
        }
        let found = verdicts(mark, &alice);
        assert!(found.len() == 2 && found.iter().all(|line| line.contains(" by_uid=0 ")), "{script}: {found:#?}");
    }
    // The files come first where they can be used.
    let mark = syslog::mark();
    let (said, _) = logged(&talk, &[&phone.recovery_code()]);
    assert_eq!((said.result("authenticate"), verdicts(mark, &alice).len()), ("PAM_SUCCESS", 0));
    agent.disable();
    let (said, log) = login(&talk, strict, &phone.recovery_code());
    assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}\n{log:#?}");
    assert!(log[0].contains("add ReadWritePaths=- and") && log[0].contains("otp-agent.socket"), "{log:#?}");
}

/// Six of them guess about each of these at the same time.
#[test]
fn a_flood_of_guesses_stays_within_the_budget_and_says_so() {
    let desk = Desk::new();
    let users: Vec<_> = (0..4).map(|_| TestUser::new("victim")).collect();
    let phones: Vec<_> = users.iter().map(Phone::enroll_self).collect();
    let mut agent = Agent::start(&desk.table("wrong = \"5/10m\""));
    let mark = syslog::mark();
    thread::scope(|scope| {
        for (user, phone) in users.iter().zip(&phones).cycle().take(16) {
            let (talk, wrong) = (desk.talk(&user.name), phone.wrong());
            scope.spawn(move || {
                let said = talk.run(&[wrong]);
                assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}");
            });
        }
    });
    let lines: Vec<_> = users.iter().flat_map(|user| verdicts(mark, user)).collect();
    let (wrong, over): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains("why=wrong"));
    assert_eq!((wrong.len(), over.len()), (5, 11), "{lines:#?}");
    assert!(over.iter().all(|line| line.ends_with("why=host-budget")), "{lines:#?}");
    let (said, log) = logged(&desk.talk(&desk.alice.name), &[&desk.phone.next_code()]);
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}");
    assert_eq!(log, [format!("notice refused user={} why=host-budget", desk.alice.name)]);
    // Its own users ask the helper, and have their own locks.
    let talk = Talk::new(&desk.service, &desk.alice.name).ids(desk.alice.uid, desk.alice.gid);
    assert_eq!(logged(&talk, &[&desk.phone.last_code()]).0.result("authenticate"), "PAM_SUCCESS");
    assert_eq!(agent.ended_within(Duration::from_secs(14)), None, "an open budget would be forgotten");
}

#[test]
fn an_idle_agent_ends_and_the_next_question_is_answered_by_the_next_one() {
    let desk = Desk::new();
    let mut agent = Agent::start(&desk.table(""));
    assert!(agent.ended_within(Duration::from_secs(20)).unwrap().success());
    let talk = desk.talk(&desk.alice.name);
    let asking = thread::spawn({
        let code = desk.phone.next_code();
        move || talk.run(&[code])
    });
    agent.restart();
    assert_eq!(asking.join().unwrap().result("authenticate"), "PAM_SUCCESS");
}

/// Ends in a refusal before the host would give up on its own.
fn refused_in_time(mut conversation: Conversation, answer: &str) {
    let begun = Instant::now();
    conversation.answer(answer);
    let said = conversation.finish();
    assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn an_agent_that_is_stopped_or_killed_refuses_in_time_and_loses_nothing() {
    let desk = Desk::new();
    let mut agent = Agent::start(&desk.table(""));
    let (talk, code) = (desk.talk(&desk.alice.name), desk.phone.next_code());
    agent.signal("STOP");
    refused_in_time(talk.start(), &code);
    agent.signal("CONT");
    // Stopped between question and answer.
    let mut conversation = talk.start();
    conversation.prompt();
    agent.signal("STOP");
    refused_in_time(conversation, &code);
    agent.restart();
    assert_eq!(logged(&talk, &[&code]).0.result("authenticate"), "PAM_SUCCESS");
    assert_eq!(logged(&talk, &[&code]).0.result("authenticate"), "PAM_AUTH_ERR");
}

#[test]
fn nonsense_in_place_of_the_agents_answer_lets_no_user_in() {
    let desk = Desk::new();
    let socket = Socket::new();
    let talk = desk.talk(&desk.alice.name);
    for answer in [
        "",
        "{\"login\":\"no\"}\n",
        "{\"login\":\"nothing skip nobody\"}\n",
        "{\"login\":\"code\"}",
        &"x".repeat(100_000),
        &"\n".repeat(3),
    ] {
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = socket.listener().accept().unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            });
            refused_in_time(talk.start(), "123456");
        });
    }
    // A byte at a time, and then nothing more.
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = socket.listener().accept().unwrap();
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(300));
            }
        });
        refused_in_time(talk.start(), "123456");
    });
}

#[test]
fn askers_who_send_half_a_line_or_too_much_or_are_too_many_keep_nobody_else_out() {
    let (desk, mallory) = (Desk::new(), TestUser::new("mallory"));
    let _agent = Agent::start(&desk.table(""));
    let ask = |text: &str| {
        let mut stream = UnixStream::connect(SOCKET).unwrap();
        let (mut reply, _) = (String::new(), stream.write_all(text.as_bytes()));
        let _ = stream.read_to_string(&mut reply);
        reply
    };
    for (text, reply) in [
        ("\n".to_owned(), "{\"failed\":{\"error\":\"the question cannot be parsed\""),
        (
            "{\"about\":\"root\",\"request\":{\"status\":{}}}\n".into(),
            "{\"failed\":{\"error\":\"the agent only verifies",
        ),
        ("x".repeat(100_000), "{\"failed\":{\"error\":\"no question came: the line is too long\""),
        ("{\"about\":\"root\",".into(), "{\"failed\":{\"error\":\"no question came: timed out\""),
    ] {
        let said = ask(&text);
        assert!(said.starts_with(reply) || text.len() > 50_000, "{said}");
    }
    // A thousand connections of one user, held open.
    let script = "import socket, sys\nheld = []\nfor _ in range(1000):\n    s = socket.socket(socket.AF_UNIX)\n    \
                  s.connect('/run/pam_otp/agent')\n    held.append(s)\nprint('held', flush=True)\nsys.stdin.read()";
    let mut flood =
        mallory.command("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 4];
    flood.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    let (code, begun) = (desk.phone.next_code(), Instant::now());
    assert_eq!(logged(&desk.talk(&desk.alice.name), &[&code]).0.result("authenticate"), "PAM_SUCCESS");
    let local = Talk::new(&desk.service, &desk.alice.name);
    assert_eq!(logged(&local, &[&desk.phone.recovery_code()]).0.result("authenticate"), "PAM_SUCCESS");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(flood.stdin.take());
    flood.wait().unwrap();
}
