//! The agent: services that ask about other users, lockers whose sandbox keeps the helper from its group, and root's own
//! programs that cannot write the records.
#![expect(clippy::disallowed_methods, reason = "how long a refusal takes is measured")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    agent::{self, Agent, SOCKET, Socket, verdicts},
    conversation::{Conversation, Talk},
    desk::{confined, logged},
    phone::Phone,
    service::Service,
    site::STATE,
    syslog,
    users::{TestUser, new_group},
};
use serde_json::json;
use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
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

#[test]
fn a_service_that_is_named_lets_a_right_code_in_once() {
    let desk = Desk::new();
    // An unknown recovery code is none of the wrong ones.
    let _agent = Agent::start(&desk.table("wrong = \"2/10m\""));
    let (alice, by, service) = (&desk.alice.name, desk.host.uid, desk.service.name());
    let talk = desk.talk(alice).rhost("203.0.113.9");
    let code = desk.phone.next_code();
    for (answer, result, verdict) in [
        (desk.phone.wrong(), "PAM_AUTH_ERR", "refused WHO why=wrong failures=1"),
        ("AAAA-AAAA-AAAA-AAAA".to_owned(), "PAM_AUTH_ERR", "refused WHO why=recovery-unknown"),
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
        let (said, log) = confined(&talk, &script, STATE.as_ref(), &answer);
        assert_eq!(said.result("authenticate"), result, "{said}\n{log:#?}");
    }
    agent.disable();
    let (said, log) = confined(&talk, &script, STATE.as_ref(), &phone.recovery_code());
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
            let (said, log) = confined(&talk, script, STATE.as_ref(), &answer);
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
    let (said, log) = confined(&talk, strict, STATE.as_ref(), &phone.recovery_code());
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
    agent.is_open_to_all(false);
    assert!(agent.ended_within(Duration::from_secs(30)).expect("it does not end").success());
    agent.is_open_to_all(true);
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
    // A login that can open the records does not ask it.
    let (local, begun) = (Talk::new(&desk.service, &desk.alice.name), Instant::now());
    assert_eq!(logged(&local, &[&desk.phone.recovery_code()]).0.result("authenticate"), "PAM_SUCCESS");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
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
                let mut stream = socket.accept_from(desk.host.uid);
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            });
            refused_in_time(talk.start(), "123456");
        });
    }
    // A byte at a time, and then nothing more.
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = socket.accept_from(desk.host.uid);
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(300));
            }
        });
        refused_in_time(talk.start(), "123456");
    });
}

/// Hosts die of SIGPIPE, as pamtalk does, and a plain connect(2) waits as long as the agent's queue is full.
#[test]
fn an_agent_that_closes_at_once_or_accepts_no_connection_refuses_in_time() {
    let (desk, socket) = (Desk::new(), Socket::new());
    let (talk, uid, gid) = (desk.talk(&desk.alice.name), desk.host.uid, desk.host.gid);
    // It has closed the connection before the question is sent.
    thread::scope(|scope| {
        scope.spawn(|| drop(socket.accept_from(uid)));
        let (host, mut command) = (talk.command(), Command::new("setpriv"));
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into(), "strace".into()]);
        command.args(["-o", "/dev/null", "-e", "trace=connect", "-e", "inject=connect:delay_exit=500000"]);
        command.arg(host.get_program()).args(host.get_args());
        refused_in_time(talk.start_as(command), "123456");
    });
    let _queue = socket.fill();
    refused_in_time(talk.start(), "123456");
}

#[test]
fn askers_who_send_half_a_line_or_too_much_or_are_too_many_keep_nobody_else_out() {
    let (desk, mallory) = (Desk::new(), TestUser::new("mallory"));
    let _agent = Agent::start(&desk.table(""));
    let ask = |text: &str| {
        let mut stream = agent::connect();
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
    let _flood = held_open(&[mallory.uid], 1000);
    lets_in(&desk);
}

#[test]
fn an_asker_hides_neither_itself_nor_the_lines_of_others() {
    let (desk, mallory) = (Desk::new(), TestUser::new("mallory"));
    let _agent = Agent::start(&desk.table(""));
    let question = |service: &str| {
        let login = json!({"service": service, "rhost": null, "tty": null, "nullok": false, "enroll": false});
        json!({"about": desk.alice.name, "request": {"demand": login}}).to_string()
    };
    // The text of the error is longer than a line of the log.
    let mark = syslog::mark();
    agent::ask_as(&desk.host, &question(&"x".repeat(5000)), 1);
    let lines = verdicts(mark, &desk.alice);
    assert!(lines.len() == 1 && lines[0].contains(&format!("asked by uid {}: ", desk.host.uid)), "{lines:#?}");
    // journald would drop lines of the agent, without regard to users.
    let mark = syslog::mark();
    agent::ask_as(&mallory, &question("x"), 1100);
    let lines = verdicts(mark, &desk.alice);
    assert_eq!(lines.len(), 1000, "{:?}", lines.last());
    let said = |line: &String| line.contains("users who may not ask: too many lines in a minute");
    assert_eq!(syslog::lines_since(mark).iter().filter(|line| said(line)).count(), 1);
    let mark = syslog::mark();
    assert_eq!(logged(&desk.talk(&desk.alice.name), &["no code"]).0.result("authenticate"), "PAM_AUTH_ERR");
    assert!(verdicts(mark, &desk.alice)[0].ends_with("why=malformed"));
}

/// Each user that subuid(5) lists has 65,536 of them.
#[test]
fn a_user_with_many_uids_who_asks_nothing_keeps_no_other_user_out() {
    let desk = Desk::new();
    let _agent = Agent::start(&desk.table(""));
    let _flood = held_open(&(100_000..100_020).collect::<Vec<_>>(), 32);
    lets_in(&desk);
}

/// A user's process that is stopped while it has the lock of its record keeps each question about that user waiting.
#[test]
fn a_user_whose_record_is_locked_takes_not_all_places_of_a_service() {
    let (desk, mallory) = (Desk::new(), TestUser::new("mallory"));
    Phone::enroll_self(&mallory);
    let _agent = Agent::start(&desk.table(""));
    let login = json!({"service": desk.service.name(), "rhost": null, "tty": null, "nullok": false, "enroll": false});
    let question = json!({"about": mallory.name, "request": {"verify": {"login": login, "typed": "no code"}}});
    let script = format!(
        "import fcntl, os, socket, sys\nsocket.setdefaulttimeout(30)\nfiles = [open('{STATE}/{}.' + kind, 'r+') for kind in ('toml', 'state')]\n\
         if os.fork() == 0:\n  os.setresuid({uid}, {uid}, {uid})\n  for file in files: fcntl.flock(file, fcntl.LOCK_EX)\n  \
         sys.stdin.read()\n  os._exit(0)\nfor file in files: file.close()\nos.setresuid({host}, {host}, {host})\nheld = []\n\
         import time; time.sleep(0.2)\n\
         for _ in range(40):\n  s = socket.socket(socket.AF_UNIX)\n  s.connect('{SOCKET}')\n  \
         s.sendall(sys.argv[1].encode() + b'\\n')\n  held.append(s)\nprint('held', flush=True)\nsys.stdin.read()",
        mallory.name,
        uid = mallory.uid,
        host = desk.host.uid,
    );
    let _flood = flood(&[&script, &question.to_string()]);
    lets_in(&desk);
}

/// A process with open connections.
struct Flood(Child);

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connections that ask nothing, so many of each of these users.
fn held_open(uids: &[u32], of_each: usize) -> Flood {
    let script = format!(
        "import os, socket, sys\nsocket.setdefaulttimeout(30)\nheld = []\nfor uid in {uids:?}:\n  os.setresuid(uid, uid, 0)\n  for _ in range({of_each}):\n    \
         s = socket.socket(socket.AF_UNIX)\n    s.connect('{SOCKET}')\n    held.append(s)\n  os.setresuid(0, 0, 0)\n\
         print('held', flush=True)\nsys.stdin.read()"
    );
    flood(&[&script])
}

/// Starts a script that says when it holds what it holds.
fn flood(script: &[&str]) -> Flood {
    let mut python = Command::new("python3");
    let mut flood = python.arg("-c").args(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    flood.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
    Flood(flood)
}

/// Codes are let in at once, from the service and from root.
fn lets_in(desk: &Desk) {
    let (alice, begun) = (&desk.alice, Instant::now());
    let local = Talk::new(&desk.service, &alice.name);
    for (talk, code) in [(desk.talk(&alice.name), desk.phone.next_code()), (local, desk.phone.recovery_code())] {
        let (said, log) = logged(&talk, &[&code]);
        assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}\n{log:#?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}
