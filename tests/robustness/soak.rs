//! A host that lives long: login after login in one process, and nothing of any of them stays behind.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on stops where it is; the figures of a long run are for whoever started it"
)]

use pam_otp_tests::{
    conversation::Talk,
    long_lived::{LongLived, Served},
    machine,
    phone::Phone,
    service::Service,
    site::{Site, overwrite},
    token::Token,
    users::TestUser,
};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    process::{Command, Stdio},
};

/// A site, and a user in each of four states.
struct House {
    site: Site,
    service: Service,
    /// Has a device whose codes do not depend on the time, and recovery codes.
    alice: Phone,
    token: Token,
    recovery: Vec<String>,
    /// Has no device.
    bob: String,
    /// Is locked.
    carol: Phone,
    /// Has a record that cannot be read.
    dave: String,
}

impl House {
    fn new() -> House {
        let policy = "[lockout]\nafter = 6\nfor = \"until-unlocked\"\n[policy]\nsecond_factor = \"required\"\n";
        let site =
            Site::new(&format!("{policy}[[policy.rule]]\nservice = \"otp-unasked\"\nsecond_factor = \"skip\"\n"));
        let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(|name| TestUser::new(name).name);
        let [alice, carol] = [alice, carol].map(|name| Phone::enroll(&site, &name));
        Phone::enroll(&site, &dave);
        overwrite(site.credentials(&dave), "version = 1\nuser = nonsense\n");
        let service = Service::private(&site.auth("required", ""));
        let wrong = carol.wrong();
        for _ in 0..6 {
            Talk::new(&service, &carol.user).run(&[&wrong]);
        }
        let token = Token::in_place_of(&alice, &site);
        House { recovery: alice.recovery.clone(), site, service, alice, token, bob, carol, dave }
    }

    /// As many logins as [`House::ROUND`], of all kinds, each with the result that it must have.
    fn round(&mut self, number: usize, host: &mut LongLived) -> Served {
        let alice = self.alice.user.clone();
        let right = self.token.next_code();
        let wrong = self.token.wrong(number % 6);
        let (malformed, long) = ([&b""[..], b"correct staple", b"\xff\xfe123456"][number % 3], "1".repeat(10_000));
        let recovery = number % 50 == 49;
        let code = if recovery { self.recovery.pop().unwrap() } else { "ABCD-EFGH-IJKL-MNOP".to_owned() };
        let mut last = None;
        for (user, answer, result) in [
            (alice.as_str(), right.as_bytes(), "PAM_SUCCESS"),
            (&alice, right.as_bytes(), "PAM_AUTH_ERR"),
            (&alice, wrong.as_bytes(), "PAM_AUTH_ERR"),
            (&alice, LongLived::GONE, "PAM_CONV_ERR"),
            (&alice, if number % 4 == 3 { long.as_bytes() } else { malformed }, "PAM_AUTH_ERR"),
            (&alice, code.as_bytes(), if recovery { "PAM_SUCCESS" } else { "PAM_AUTH_ERR" }),
            (&self.bob, wrong.as_bytes(), "PAM_AUTH_ERR"),
            ("nobody-of-that-name", wrong.as_bytes(), "PAM_USER_UNKNOWN"),
            (&self.carol.user, wrong.as_bytes(), "PAM_AUTH_ERR"),
        ] {
            let served = host.login(user, answer);
            assert_eq!(served.result, result, "round {number}: {user} {}", String::from_utf8_lossy(answer));
            last = Some(served);
        }
        let damaged = host.unasked(&self.dave);
        assert_eq!(damaged.result, "PAM_AUTHINFO_UNAVAIL");
        if self.recovery.is_empty() {
            self.renew_recovery();
        }
        last.unwrap()
    }

    /// Logins of a [`House::round`].
    const ROUND: usize = 10;

    fn renew_recovery(&mut self) {
        let mut command = Command::new("otp-enroll");
        command.arg("--config").arg(self.site.config()).args(["--user", &self.alice.user, "recovery", "--json"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{}", self.token.next_code()).unwrap();
        let said: serde_json::Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
        let codes = said["recovery_codes"].as_array().unwrap_or_else(|| panic!("{said}"));
        self.recovery = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    }
}

/// What a process holds while it waits for its next login.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holdings {
    threads: usize,
    descriptors: BTreeMap<String, usize>,
    mappings: usize,
    /// Kilobytes of its own, not shared with the file system's cache.
    memory: u64,
}

impl Holdings {
    fn of(pid: u32) -> Holdings {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let list = |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).unwrap().map(Result::unwrap);
        let mut descriptors = BTreeMap::new();
        for target in list("fd").map(|entry| fs::read_link(entry.path()).unwrap()) {
            *descriptors.entry(target.display().to_string()).or_default() += 1;
        }
        let rollup = read("smaps_rollup");
        let field = |name: &str| rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let memory = field("Anonymous:").trim().trim_end_matches(" kB").parse().unwrap();
        Holdings { threads: list("task").count(), descriptors, mappings: read("maps").lines().count(), memory }
    }
}

/// Logs in so often, and compares what the host holds at the end with what it held after its first rounds.
fn soak(logins: usize) {
    let mut house = House::new();
    // malloc's cache of small pieces counts as in use, and fills up by and by.
    let mut exact_heap = Command::new("env");
    exact_heap.arg("GLIBC_TUNABLES=glibc.malloc.tcache_count=0");
    let mut host = LongLived::start_under(exact_heap, Talk::new(&house.service, ""));
    let rounds = logins / House::ROUND;
    let warm = (rounds / 20).max(20);
    let (mut before, mut heap) = (None, 0);
    for number in 0..rounds {
        let served = house.round(number, &mut host);
        if number == warm {
            (before, heap) = (Some(Holdings::of(host.pid())), served.heap);
            println!("after {} logins: heap {heap} bytes, {before:?}", (number + 1) * House::ROUND);
        }
        if number > warm {
            assert_eq!(served.heap, heap, "bytes in the heap after {number} rounds");
        }
        if number + 1 == rounds {
            let (before, after) = (before.clone().unwrap(), Holdings::of(host.pid()));
            println!("after {logins} logins: heap {} bytes, {after:?}", served.heap);
            let memory = after.memory;
            assert!(memory <= before.memory + 64, "kilobytes: {before:?}\n{after:?}");
            assert_eq!(after, Holdings { memory, ..before });
        }
    }
    assert!(host.end().noise.is_empty());
}

#[test]
fn a_host_that_serves_three_thousand_logins_grows_by_nothing() {
    soak(3000);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn a_host_that_serves_a_hundred_thousand_logins_grows_by_nothing() {
    soak(100_000);
}

/// The first rounds of a host under valgrind, which watches each access and asks at the end who still holds what.
#[test]
fn valgrind_finds_no_leak_and_no_stray_access() {
    let mut house = House::new();
    let report = house.service.path().with_file_name("valgrind");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--leak-check=full", "--keep-debuginfo=yes", "--error-exitcode=99", "--num-callers=40"]);
    valgrind.args(["--errors-for-leak-kinds=definite,indirect", "--show-leak-kinds=definite,indirect"]);
    valgrind.arg(format!("--log-file={}", report.display()));
    let mut host = LongLived::start_under(valgrind, Talk::new(&house.service, ""));
    for number in 0..2 {
        house.round(number, &mut host);
    }
    host.end();
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains("ERROR SUMMARY: 0 errors from 0 contexts"), "{report}");
    assert!(!report.contains("definitely lost") || report.contains("definitely lost: 0 bytes"), "{report}");
}

#[test]
#[ignore = "needs host and module built with AddressSanitizer: make asan"]
fn address_sanitizer_finds_no_leak_and_no_stray_access() {
    let mut house = House::new();
    for program in [machine::libraries().join("security/pam_otp.so"), machine::program("pamtalk")] {
        let content = fs::read(&program).unwrap();
        let watched = content.windows(13).any(|name| name == b"__asan_report");
        assert!(watched, "{} is built without AddressSanitizer: make asan", program.display());
    }
    let mut host = LongLived::start(Talk::new(&house.service, ""));
    for number in 0..100 {
        house.round(number, &mut host);
    }
    let said = host.end();
    assert!(said.noise.is_empty(), "{said}");
    assert!(said.status.code().is_some_and(|code| code <= 1), "{said}");
}
