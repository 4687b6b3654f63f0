//! A PAM host that is not root, as a screen locker is: it asks the helper, about its own user and no other.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    agent,
    conversation::{Conversation, Talk, Transcript},
    desk::logged,
    machine,
    phone::Phone,
    service::Service,
    site::HELPER,
    syslog,
    users::TestUser,
};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const HINT: &str = "check that the helper is installed and set-group-ID pam_otp, and that SELinux or AppArmor lets the service start it";

const CLOSED: &str = "the helper is not set-group-ID of the group that has the records: install the package again or run `make \
                      install`";

/// A user at the machine's own site, the only one that the helper knows, and a host that runs as this user.
struct Desk {
    user: TestUser,
    service: Service,
}

impl Desk {
    fn new() -> Desk {
        Desk { user: TestUser::new("alice"), service: Service::private("auth required pam_otp.so") }
    }

    fn talk(&self) -> Talk {
        Talk::new(&self.service, &self.user.name).ids(self.user.uid, self.user.gid)
    }

    /// The host with another helper than the machine's: `mount` puts it in place, for this process alone.
    fn start_with(&self, mount: &[&str]) -> Conversation {
        self.start_with_signals(mount, &[])
    }

    /// The same with options of env(1), which say what the host does about signals.
    fn start_with_signals(&self, mount: &[&str], signals: &[&str]) -> Conversation {
        let host = Talk::new(&self.service, &self.user.name).command();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount \"$1\" \"$2\" \"$3\" && shift 3 && exec \"$@\"", "sh"]);
        command.args(mount).args(["setpriv", "--clear-groups"]);
        command.args([format!("--reuid={}", self.user.uid), format!("--regid={}", self.user.gid)]);
        command.arg("env").args(signals).arg(host.get_program()).args(host.get_args());
        self.talk().start_as(command)
    }
}

/// Ends in PAM_AUTHINFO_UNAVAIL with a line in the log that says what the helper did.
fn unavailable(mark: syslog::Mark, said: &Transcript, user: &TestUser, what: &str, hint: &str) {
    let log = syslog::of_module(mark, said.pid);
    assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}\n{log:#?}");
    let line = format!("err error user={} error=\"the helper {HELPER} {what}\" hint=\"{hint}\"", user.name);
    assert_eq!(log, [line], "{said}");
}

/// A copy of the helper or something else, where set-group-ID means something.
fn helper_like(source: &Path, owner: &str, mode: &str) -> PathBuf {
    let path = Path::new(HELPER).with_file_name(machine::unique("helper"));
    machine::run(Command::new("install").args(["-o", "root", "-g", owner, "-m", mode]).arg(source).arg(&path));
    path
}

fn script(text: &str) -> PathBuf {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("script"), format!("#!/bin/sh\n{text}\n")).unwrap();
    helper_like(&dir.path().join("script"), "root", "0755")
}

#[test]
fn the_helper_accepts_a_code_once() {
    let desk = Desk::new();
    let name = &desk.user.name;
    let phone = Phone::enroll_self(&desk.user);
    let code = phone.next_code();
    for (answer, result, log) in [
        (phone.wrong(), "PAM_AUTH_ERR", "notice refused user=NAME why=wrong failures=1"),
        (code.clone(), "PAM_SUCCESS", "info accepted user=NAME factor=totp device=1 recovery_left=10 failures=1"),
        (code, "PAM_AUTH_ERR", "notice refused user=NAME why=replayed"),
        (phone.recovery_code(), "PAM_SUCCESS", "info accepted user=NAME factor=recovery recovery_left=9"),
        (phone.recovery[0].clone(), "PAM_AUTH_ERR", "notice refused user=NAME why=recovery-used"),
        ("correct staple".to_owned(), "PAM_AUTH_ERR", "notice refused user=NAME why=malformed"),
        (String::new(), "PAM_AUTH_ERR", "notice refused user=NAME why=malformed"),
        ("1".repeat(10_000), "PAM_AUTH_ERR", "notice refused user=NAME why=malformed"),
        ("\u{1}".repeat(10_000), "PAM_AUTH_ERR", "notice refused user=NAME why=malformed"),
        ("1".repeat(100_000), "PAM_AUTH_ERR", "notice refused user=NAME why=malformed"),
    ] {
        let (said, lines) = logged(&desk.talk(), &[&answer]);
        assert_eq!(said.result("authenticate"), result, "{said}\n{lines:#?}");
        assert_eq!(lines, [log.replace("NAME", name)]);
        assert_eq!(said.prompts(), ["Verification code: "]);
    }
    let mark = syslog::mark();
    let said = desk.talk().run(&[b"\xff123456"]);
    assert_eq!(syslog::of_module(mark, said.pid), [format!("notice refused user={name} why=malformed")]);
}

/// What the helper answers about a code it also counts: an uncounted look would let any program of the user try all codes.
#[test]
fn a_code_is_not_looked_at_without_being_counted() {
    let desk = Desk::new();
    let name = &desk.user.name;
    let lines =
        "auth required pam_otp.so forward_pass defer\nauth required pam_permit.so\nauth required pam_otp.so deferred";
    desk.service.set(lines);
    let (said, log) = logged(&desk.talk(), &[]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "policy asks for none: {said}");
    assert_eq!(log.len(), 1, "{log:#?}");
    let phone = Phone::enroll_self(&desk.user);
    for code in [phone.wrong(), phone.next_code()] {
        let (said, log) = logged(&desk.talk(), &[&format!("password{code}")]);
        assert_eq!(said.result("authenticate"), "PAM_SERVICE_ERR", "{said}");
        let line = format!(
            "err error user={name} error=\"a code cannot be looked at here without its being counted\" \
             hint=\"use one line, pam_otp.so forward_pass: see pam_otp(8)\""
        );
        assert_eq!(log.first(), Some(&line), "{log:#?}");
    }
    desk.service.set("auth required pam_otp.so forward_pass");
    let (said, _) = logged(&desk.talk(), &[&format!("password{}", phone.last_code())]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "the code was not used up: {said}");
}

#[test]
fn a_user_without_a_device_passes_where_policy_says_so() {
    let desk = Desk::new();
    let (said, log) = logged(&desk.talk(), &[]);
    assert_eq!(said.result("authenticate"), "PAM_PERM_DENIED", "{said}"); // alone in its stack, PAM_IGNORE
    assert_eq!(log, [format!("info not-asked user={} second_factor=optional by=default", desk.user.name)]);
}

#[test]
fn no_user_but_its_own_is_looked_at() {
    let _no_agent = agent::none();
    let (desk, bob) = (Desk::new(), TestUser::new("bob"));
    let code = Phone::enroll_self(&bob).next_code();
    for other in [bob.name.as_str(), "root", "nobody-of-that-name"] {
        let (said, log) = logged(&desk.talk().user(other), &[&code]);
        assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}");
        assert!(said.prompts().is_empty(), "{said}");
        let what = "answers a process that is not root only about its own user";
        let hint = "a service that asks about other users must run as root (FreeRADIUS: user = root in radiusd.conf), or \
                    be named in [[agent.host]] where otp-agent.socket is enabled: see otp-agent(8)";
        assert_eq!(log, [format!("err error user={other} error=\"the helper {HELPER} {what}\" hint=\"{hint}\"")]);
    }
    // Nothing was spent by that.
    let (said, _) = logged(&Talk::new(&desk.service, &bob.name).ids(bob.uid, bob.gid), &[&code]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
}

#[test]
fn of_two_names_with_one_number_each_has_a_second_factor_of_its_own() {
    let _no_agent = agent::none();
    let desk = Desk::new();
    let other = desk.user.another_name();
    let code = Phone::enroll_self(&desk.user).next_code();
    let (said, log) = logged(&desk.talk().user(&other), &[&code]);
    assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}\n{log:#?}");
    assert!(said.prompts().is_empty() && log.len() == 1, "{said}\n{log:#?}");
    let (said, _) = logged(&desk.talk(), &[&code]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
}

#[test]
fn a_configuration_that_the_helper_does_not_read_cannot_be_honoured() {
    let desk = Desk::new();
    let config = desk.service.path().with_file_name("pam_otp.toml");
    fs::copy("/etc/pam_otp/pam_otp.toml", &config).unwrap();
    desk.service.set(&format!("auth required pam_otp.so config={}", config.display()));
    let (said, log) = logged(&desk.talk(), &["123456"]);
    assert_eq!(said.result("authenticate"), "PAM_SERVICE_ERR", "{said}");
    assert!(said.prompts().is_empty(), "{said}");
    let line = "error=\"the module argument config= (this process is not root, and the helper reads its own) cannot be honoured\" \
                hint=\"correct the module's line in the PAM file: see pam_otp(8)\"";
    assert_eq!(log, [format!("err error user={} {line}", desk.user.name)]);
    desk.service.set("auth required pam_otp.so config=/etc/pam_otp/pam_otp.toml");
    assert_eq!(logged(&desk.talk(), &[]).0.result("authenticate"), "PAM_PERM_DENIED");
}

#[test]
fn without_a_helper_no_user_gets_in() {
    let _no_agent = agent::none();
    let desk = Desk::new();
    let folder = Path::new(HELPER).parent().unwrap().display().to_string();
    let copy = |owner, mode| helper_like(Path::new(HELPER), owner, mode).display().to_string();
    let check = |mount: &[&str], what: &str, hint: &str| {
        let mark = syslog::mark();
        unavailable(mark, &desk.start_with(mount).finish(), &desk.user, what, hint);
    };
    check(&["-ttmpfs", "none", &folder], "cannot be reached: No such file or directory", HINT);
    check(&["--bind", &copy("pam_otp", "2644"), HELPER], "cannot be reached: Permission denied", HINT);
    // The first thing that it looks at there.
    let closed = "reports: cannot examine /var/lib/pam_otp/.store-id: Permission denied";
    check(&["--bind", &copy("pam_otp", "0755"), HELPER], closed, CLOSED);
    check(&["--bind", &copy("root", "2755"), HELPER], closed, CLOSED);
    check(
        &["--bind", &copy("pam_otp", "6755"), HELPER],
        "reports: the helper is set-user-ID",
        "set its owner to root:pam_otp and its mode to 2755",
    );
}

#[test]
fn a_helper_that_talks_nonsense_lets_no_user_in() {
    let desk = Desk::new();
    for (text, what) in [
        ("exit 0", "cannot be reached: "),
        ("read line", "cannot be reached: unexpected end of file"),
        ("exec cat", "gave an answer that cannot be parsed (is it of another version?)"),
        ("read line; echo '{\"login\":\"no\"}'", "gave an answer that cannot be parsed (is it of another version?)"),
        (
            "read line; echo '{\"login\":\"accepted recovery\"}'",
            "gave an answer that cannot be parsed (is it of another version?)",
        ),
        ("exec yes", "gave an answer that cannot be parsed (is it of another version?)"),
        ("exec cat /dev/zero", "gave an answer that cannot be parsed (is it of another version?)"),
    ] {
        let (mark, fake) = (syslog::mark(), script(text).display().to_string());
        let said = desk.start_with(&["--bind", &fake, HELPER]).finish();
        assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{text}: {said}");
        let log = syslog::of_module(mark, said.pid);
        let start = format!("err error user={} error=\"the helper {HELPER} {what}", desk.user.name);
        assert!(log.len() == 1 && log[0].starts_with(&start), "{text}: {log:#?}");
        assert_eq!(processes_of(&desk.user), [""; 0]);
    }
}

#[test]
fn nothing_of_the_host_reaches_the_helper_but_the_question() {
    let desk = Desk::new();
    let seen = desk.user.home.join("seen");
    // The shell reads its signals itself: while it starts another program, it blocks them.
    let text = "cat /proc/$$/environ > SEEN; readlink /proc/$$/fd/2 >> SEEN\n\
                [ \"$(cut -d ' ' -f 5 /proc/$$/stat)\" = $$ ] && echo 'a group of its own' >> SEEN\n\
                while read -r line; do case $line in SigBlk*|SigIgn*) echo \"$line\" >> SEEN;; esac; done < /proc/$$/status\n\
                read line; echo '{\"login\":\"nothing optional default\"}'";
    let fake = script(&text.replace("SEEN", seen.to_str().unwrap())).display().to_string();
    let signals = ["--ignore-signal=ALRM,CHLD,PIPE", "--block-signal=TERM,ALRM"];
    let said = desk.start_with_signals(&["--bind", &fake, HELPER], &signals).finish();
    assert_eq!(said.result("authenticate"), "PAM_PERM_DENIED", "{said}");
    let seen = fs::read_to_string(seen).unwrap();
    let (seen, ignored) = seen.rsplit_once("SigIgn:\t").unwrap();
    assert_eq!(seen, "/dev/null\na group of its own\nSigBlk:\t0000000000000000\n");
    // 32 and 33 are glibc's own.
    assert_eq!(u64::from_str_radix(ignored.trim(), 16).unwrap() & !(0b11 << 31), 0, "{ignored}");
}

#[test]
fn a_helper_that_stops_is_given_up_and_taken_away() {
    let desk = Desk::new();
    let (mark, fake) = (syslog::mark(), script("kill -STOP $$").display().to_string());
    let mut conversation = desk.start_with(&["--bind", &fake, HELPER]);
    let stopped = machine::wait(Duration::from_secs(10), || {
        processes_of(&desk.user).into_iter().find(|line| line.starts_with('T'))
    });
    assert!(stopped.is_some(), "{:#?}", processes_of(&desk.user));
    assert!(conversation.stays_silent(Duration::from_millis(100)));
    // The one wait for a bound: fifteen seconds.
    unavailable(mark, &conversation.finish(), &desk.user, "cannot be reached: Resource temporarily unavailable", HINT);
    assert_eq!(processes_of(&desk.user), [""; 0]);
}

#[test]
fn a_host_that_ignores_its_children_is_served_too() {
    let desk = Desk::new();
    let code = Phone::enroll_self(&desk.user).next_code();
    let host = desk.talk().command();
    let mut command = Command::new("env");
    command.arg("--ignore-signal=CHLD").arg(host.get_program()).args(host.get_args());
    command.uid(desk.user.uid).gid(desk.user.gid);
    let mut conversation = desk.talk().start_as(command);
    conversation.prompt();
    let status = fs::read_to_string(format!("/proc/{}/status", conversation.pid())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() >> 16 & 1, 1, "SIGCHLD should be ignored here");
    conversation.answer(code);
    let said = conversation.finish();
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
    assert_eq!(processes_of(&desk.user), [""; 0]);
}

#[test]
fn neither_a_process_nor_a_descriptor_stays_with_the_host() {
    let desk = Desk::new();
    let phone = Phone::enroll_self(&desk.user);
    let mut conversation = desk.talk().option("--repeat", "4").start();
    let answers = [phone.wrong(), phone.next_code(), String::new(), phone.recovery_code()];
    for answer in &answers {
        conversation.answer(answer); // all are read ahead
    }
    conversation.hang_up();
    // No helper waits for a person: between question and answer there is none.
    let mut said = desk.talk().option("--wait-file", "/nowhere").start();
    said.prompt();
    let host = said.pid();
    let open = || fs::read_dir(format!("/proc/{host}/fd")).unwrap().count();
    assert_eq!(fs::read_to_string(format!("/proc/{host}/task/{host}/children")).unwrap(), "");
    assert!(open() <= 5, "three streams, the log, and the barrier's none: {}", open());
    said.kill();

    let said = conversation.finish();
    let results: Vec<_> = said.results().map(|(_, result)| result).collect();
    assert_eq!(results, ["PAM_AUTH_ERR", "PAM_SUCCESS", "PAM_AUTH_ERR", "PAM_SUCCESS"], "{said}");
    assert_eq!(processes_of(&desk.user), [""; 0]);
}

#[test]
fn a_host_killed_at_the_prompt_leaves_nothing() {
    let desk = Desk::new();
    let phone = Phone::enroll_self(&desk.user);
    let mut conversation = desk.talk().start();
    conversation.prompt();
    conversation.kill();
    assert_eq!(processes_of(&desk.user), [""; 0]);
    assert_eq!(logged(&desk.talk(), &[&phone.next_code()]).0.result("authenticate"), "PAM_SUCCESS");
}

/// All processes of a user, zombies too: state and command line.
fn processes_of(user: &TestUser) -> Vec<String> {
    let ids = ["-u".to_owned(), user.uid.to_string(), "-U".to_owned(), user.uid.to_string()];
    let output = Command::new("ps").args(ids).args(["-o", "stat=,args="]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}
