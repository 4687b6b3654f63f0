//! What a login asks of the kernel: these calls on these files, in this order, and no others.
//!
//! Compared is a stack with the module before pam_permit with the same stack without it; what is listed is the difference.
//! Left out are the calls for memory, and the host's own reading and writing of its three streams.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::Talk,
    desk::Desk,
    machine,
    users::{TestUser, new_group},
};
use std::{collections::BTreeSet, fs, process::Command};

/// libpam loads the module. It stays until the process ends.
const LOAD: &str = "
    openat MODULE for reading
    read MODULE
    newfstatat MODULE
    close MODULE
";
/// Whether a user's limits are to be raised, and whether these are the records of this configuration: with an empty
/// folder no user would be asked for a code.
const CONFIGURATION: &str = "
    openat CONFIG for reading
    statx CONFIG
    read CONFIG
    close CONFIG
    getresuid
    openat STATE as a place
    newfstatat STATE
    newfstatat STATE/.store-id
    readlinkat STATE/.store-id
    newfstatat BESIDE/store-id
    readlinkat BESIDE/store-id
";
/// The C library finds out, once for each process, how users are looked up.
const NAME_SERVICE: &str = "
    socket AF_UNIX
    connect /var/run/nscd/socket
    close socket
    socket AF_UNIX
    connect /var/run/nscd/socket
    close socket
    newfstatat /etc/nsswitch.conf
    newfstatat /
    openat /etc/nsswitch.conf for reading
    newfstatat /etc/nsswitch.conf
    read /etc/nsswitch.conf
    read /etc/nsswitch.conf
    newfstatat /etc/nsswitch.conf
    close /etc/nsswitch.conf
";
const NAME_SERVICE_AGAIN: &str = "
    newfstatat /etc/nsswitch.conf
";
const USER: &str = "
    openat /etc/passwd for reading
    newfstatat /etc/passwd
    lseek /etc/passwd
    read /etc/passwd
    close /etc/passwd
";
/// To know whether to ask.
const LOOK: &str = "
    openat STATE/USER.toml for reading
    statx STATE/USER.toml
    pread64 STATE/USER.toml
";
/// When the answer is there: the state, whose lock is held from here on unless it was set aside, and whether the credentials
/// are still these.
const RECORD: &str = "
    openat STATE/USER.state for reading and writing
    flock STATE/USER.state
    statx STATE/USER.state
    newfstatat STATE/USER.state
    pread64 STATE/USER.state
    newfstatat STATE/USER.toml
    pread64 STATE/USER.toml
";
/// Also whether the state that was written still is the user's.
const SWAP: &str = "
    pwrite64 STATE/USER.state
    fdatasync STATE/USER.state
    newfstatat STATE/USER.state
    flock STATE/USER.state
    close STATE/USER.state
";
/// As root, also where a user started the host.
const LOG: &str = "
    getuid
    getpid
    socket AF_UNIX
    connect /dev/log
    sendto socket
    close STATE
    close STATE/USER.toml
";
const LOG_AGAIN: &str = "
    getuid
    getpid
    sendto socket
    close STATE
    close STATE/USER.toml
";

/// A process's first login.
const FIRST: [&str; 8] = [LOAD, CONFIGURATION, NAME_SERVICE, USER, LOOK, RECORD, SWAP, LOG];
/// Each further one.
const FURTHER: [&str; 7] = [CONFIGURATION, NAME_SERVICE_AGAIN, USER, LOOK, RECORD, SWAP, LOG_AGAIN];

/// What the logins of a user at a desk ask of the kernel.
trait Traced {
    /// The calls of logins with these answers, one process, one login for each answer; without the module where there
    /// are none to give.
    fn trace(&self, user: &str, answers: &[&str], logins: usize) -> Vec<Vec<String>>;
    /// Names in place of what is different in each run.
    fn named(&self, call: &str) -> String;
    /// What the module adds to each of so many logins of one process.
    fn added(&self, user: &str, answers: &[&str]) -> Vec<Vec<String>>;
}

impl Traced for Desk {
    fn trace(&self, user: &str, answers: &[&str], logins: usize) -> Vec<Vec<String>> {
        let otp = if answers.is_empty() { String::new() } else { self.site.auth("required", "") };
        self.service.set(&format!("{otp}auth required pam_permit.so"));
        let talk = Talk::new(&self.service, user).option("--repeat", &logins.to_string());
        let host = talk.command();
        let file = self.service.path().with_file_name("trace");
        let mut strace = Command::new("strace");
        strace.args(["--follow-forks", "--decode-fds=path", "--string-limit=256", "--output"]).arg(&file);
        strace.arg(host.get_program()).args(host.get_args());
        let mut conversation = talk.start_as(strace);
        answers.iter().for_each(|answer| conversation.answer(answer));
        let said = conversation.finish();
        assert_eq!(said.results().count(), logins, "{said}");

        let trace = fs::read_to_string(file).unwrap();
        let calls: Vec<String> = trace.lines().filter_map(call).map(|call| self.named(&call)).collect();
        let starts = calls.iter().enumerate().filter(|(_, call)| *call == "openat SERVICE for reading");
        let starts: Vec<usize> = starts.map(|(at, _)| at).collect();
        assert_eq!(starts.len(), logins, "{calls:#?}");
        let ends = starts.iter().skip(1).copied().chain([calls.len()]);
        starts.iter().zip(ends).map(|(start, end)| calls.get(*start..end).unwrap().to_vec()).collect()
    }

    fn named(&self, call: &str) -> String {
        let replace = |text: String, (from, to): (String, &str)| text.replace(&from, to);
        let path = |path: &std::path::Path| path.display().to_string();
        let module = path(&machine::libraries().join("security/pam_otp.so"));
        let linked = module.strip_prefix("/usr").unwrap().to_owned(); // /lib leads to /usr/lib
        [
            (path(&self.service.path()), "SERVICE"),
            (path(self.site.config()), "CONFIG"),
            (path(self.site.config().parent().unwrap()), "BESIDE"),
            (path(self.site.state()), "STATE"),
            (self.user.name.clone(), "USER"),
            (module, "MODULE"),
            (linked, "MODULE"),
        ]
        .into_iter()
        .fold(call.to_owned(), replace)
    }

    fn added(&self, user: &str, answers: &[&str]) -> Vec<Vec<String>> {
        let (with, without) = (self.trace(user, answers, answers.len()), self.trace(user, &[], answers.len()));
        with.iter().zip(&without).map(|(with, without)| beyond(with, without)).collect()
    }
}

/// A line of strace as name and target; `None` for what is left out.
fn call(line: &str) -> Option<String> {
    // With several processes each line begins with a number, and each process's calls count.
    let line = line.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == ' ');
    let (name, rest) = line.split_once('(')?;
    if name.starts_with('+')
        || name.starts_with('-')
        || ["brk", "mmap", "munmap", "mprotect", "exit_group"].contains(&name)
    {
        return None;
    }
    let descriptor = rest
        .split(',')
        .next()
        .and_then(|first| first.split_once('<'))
        .map(|(number, path)| (number, path.split('>').next().unwrap_or_default()));
    if let Some(("0" | "1" | "2", _)) = descriptor {
        return None;
    }
    let path = rest
        .split('"')
        .nth(1)
        .filter(|_| !["read", "write", "pread64", "pwrite64", "sendto", "recvfrom"].contains(&name));
    let mut target = match (descriptor, path) {
        (Some((_, dir)), Some(path)) if !path.is_empty() && !path.starts_with('/') => format!("{dir}/{path}"),
        (Some((_, file)), Some("") | None) => file.to_owned(),
        (_, path) => path.unwrap_or_default().to_owned(),
    };
    if target == "/etc/localtime" || target.starts_with("/usr/share/zoneinfo/") {
        return None; // the time of day in the log's line, looked up in as many files as this machine's zone takes
    }
    if target.starts_with("socket:") {
        target = "socket".to_owned();
    }
    if name == "socket" {
        target = rest.split(',').next().unwrap_or_default().to_owned();
    }
    let how = [
        ("O_PATH", " as a place"),
        ("O_CREAT", " for making it"),
        ("O_RDWR", " for reading and writing"),
        ("O_WRONLY", " for writing"),
        ("O_RDONLY", " for reading"),
    ];
    let how = how.iter().find(|(flag, _)| name.starts_with("open") && rest.contains(flag)).map_or("", |(_, how)| how);
    Some(format!("{name} {target}{how}").trim_end().to_owned())
}

/// The lines of `with` that remain when those of `without` are taken away, in order. None of `without` may be missing.
fn beyond(with: &[String], without: &[String]) -> Vec<String> {
    let (mut added, mut rest) = (Vec::new(), without.iter().peekable());
    for call in with {
        if rest.next_if(|next| *next == call).is_none() {
            added.push(call.clone());
        }
    }
    assert_eq!(rest.next(), None, "not all of\n{without:#?}\nis in\n{with:#?}");
    // How often passwd is read depends on how many users there are.
    added.dedup_by(|next, this| next == this && next == "read /etc/passwd");
    added
}

fn expected(parts: &[&str]) -> Vec<String> {
    parts.concat().lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn show(calls: &[String]) -> String {
    calls.iter().map(|call| format!("    {call}\n")).collect()
}

#[test]
fn a_login_makes_these_calls_and_no_others() {
    let desk = Desk::new("");
    let codes = [desk.phone.next_code(), desk.phone.next_code()];
    let added = desk.added(&desk.user.name, &[&codes[0], &codes[1]]);
    let [first, further] = added.as_slice() else { panic!("{added:#?}") };
    assert_eq!(first, &expected(&FIRST), "a first login:\n{}", show(first));
    assert_eq!(further, &expected(&FURTHER), "a further login:\n{}", show(further));
}

#[test]
fn a_login_costs_the_same_among_two_thousand_others() {
    let desk = Desk::new("");
    for file in [desk.site.credentials(&desk.user.name), desk.site.state_file(&desk.user.name)] {
        let (content, suffix) = (fs::read(&file).unwrap(), file.extension().unwrap().to_owned());
        for number in 0..2000 {
            fs::write(desk.site.state().join(format!("other-{number}")).with_extension(&suffix), &content).unwrap();
        }
    }
    let codes = [desk.phone.next_code(), desk.phone.next_code()];
    let added = desk.added(&desk.user.name, &[&codes[0], &codes[1]]);
    assert_eq!(added, [expected(&FIRST), expected(&FURTHER)]);
}

#[test]
fn every_answer_costs_one_write_and_one_flush_whatever_it_is() {
    let (desk, bob) = (Desk::new(""), TestUser::new("bob"));
    desk.site.set("[lockout]\nafter = 3\n[policy]\nsecond_factor = \"required\"\n");
    let (wrong, right) = (desk.phone.wrong(), desk.phone.next_code());
    let (recovery, other) = (desk.phone.recovery_code(), "ABCD-EFGH-IJKL-MNOP".to_owned());
    let (alice, nobody) = (desk.user.name.as_str(), "nobody-of-that-name");
    for (user, answer, file) in [
        (alice, &right, "USER.state"),
        (alice, &right, ".rehearsal"),
        (alice, &wrong, "USER.state"),
        (alice, &recovery, "USER.state"),
        (alice, &recovery, ".rehearsal"),
        (alice, &other, ".rehearsal"),
        (alice, &desk.user.password, ".rehearsal"),
        (&bob.name, &wrong, ".rehearsal"),
        (&bob.name, &other, ".rehearsal"),
        (nobody, &wrong, ".rehearsal"),
        (nobody, &desk.user.password, ".rehearsal"),
        // locked by then
        (alice, &wrong, "USER.state"),
        (alice, &wrong, "USER.state"),
        (alice, &wrong, "USER.state"),
        (alice, &wrong, ".rehearsal"),
    ] {
        let calls = desk.trace(user, &[answer], 1).concat();
        let written = |call: &&String| {
            ["write", "pwrite64", "writev", "pwritev", "fdatasync", "fsync", "sync"]
                .iter()
                .any(|name| call.split(' ').next() == Some(name))
        };
        let written: Vec<_> = calls.iter().filter(written).collect();
        assert_eq!(written, [&format!("pwrite64 STATE/{file}"), &format!("fdatasync STATE/{file}")], "{user} {answer}");
    }
}

/// The libraries that a process opens, or tries to, without the folders in which they are looked for.
fn libraries(calls: &[String]) -> BTreeSet<String> {
    let opened = calls.iter().filter_map(|call| call.strip_prefix("openat "));
    let names = opened.filter_map(|target| target.split(' ').next()?.rsplit('/').next());
    names.filter(|name| name.contains(".so")).map(str::to_owned).collect()
}

#[test]
fn a_rule_with_a_group_loads_what_the_name_service_loads() {
    let (desk, bob, group) = (Desk::new(""), TestUser::new("bob"), new_group("admins"));
    desk.site.set(&format!("[[policy.rule]]\ngroup = \"{group}\"\nsecond_factor = \"required\"\n"));
    let with = libraries(&desk.trace(&bob.name, &["never asked for"], 1).concat());
    let without = libraries(&desk.trace(&bob.name, &[], 1).concat());

    let file = desk.service.path().with_file_name("getent");
    let mut strace = Command::new("strace");
    machine::run(strace.arg("--output").arg(&file).args(["getent", "initgroups", &bob.name]));
    let glibc: Vec<String> = fs::read_to_string(file).unwrap().lines().filter_map(call).collect();
    let allowed = &libraries(&glibc) | &BTreeSet::from(["MODULE".to_owned()]);
    assert!(without.is_subset(&with) && glibc.iter().any(|call| call.contains("nsswitch.conf")), "{glibc:#?}");
    let more: Vec<_> = with.difference(&without).filter(|library| !allowed.contains(*library)).collect();
    assert!(more.is_empty(), "{more:?} of {with:?}");
}

#[test]
fn who_is_not_asked_costs_no_write() {
    let (desk, bob) = (Desk::new(""), TestUser::new("bob"));
    let calls = desk.trace(&bob.name, &["never asked for"], 1).concat();
    let asked = |word: &str| calls.iter().any(|call| call.contains(word));
    assert!(asked("openat STATE as a place") && !asked("write") && !asked("sync") && !asked("flock"), "{calls:#?}");
}
