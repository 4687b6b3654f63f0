//! fail2ban's own reading of lines that the module logged: who is counted, and that no user can have others banned.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    agent::{self, Agent},
    conversation::Talk,
    desk::Desk,
    machine,
    outcome::Outcome,
    phone::Phone,
    syslog,
    users::TestUser,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// fail2ban as its package has it, with our files among its own.
fn fail2ban(dir: &Path) -> PathBuf {
    let unpacked = machine::unpacked("fail2ban");
    machine::run(
        Command::new("cp")
            .arg("-r")
            .arg(unpacked.join("etc/fail2ban"))
            .arg(machine::source("config/fail2ban"))
            .arg(dir),
    );
    unpacked
}

fn python(unpacked: &Path, program: &str) -> Command {
    let mut python = Command::new("/usr/bin/python3");
    python.arg(unpacked.join("usr/bin").join(program));
    python.env("PYTHONPATH", unpacked.join("usr/lib/python3/dist-packages")).env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// The addresses that the filter counts in these lines, one for each line counted.
fn counted(lines: &[String]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let unpacked = fail2ban(dir.path());
    let log = dir.path().join("auth.log");
    fs::write(&log, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let mut regex = python(&unpacked, "fail2ban-regex");
    regex.arg("--config").arg(dir.path().join("fail2ban")).args(["--usedns", "no", "--out", "ip"]).arg(&log);
    let outcome = Outcome::of(regex.arg(dir.path().join("fail2ban/filter.d/pam_otp.conf")), "");
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{outcome:?}");
    outcome.out.lines().map(str::to_owned).collect()
}

/// What a login made libpam's modules log, as rsyslog writes it to a file and as journald hands it out.
fn logged(talk: &Talk, answers: &[&str]) -> Vec<String> {
    let mark = syslog::mark();
    let sign = format!("[{}]: ", talk.run(answers).pid);
    let lines = syslog::lines_since(mark);
    lines.iter().filter(|line| line.contains(&sign)).filter_map(|line| written(line)).collect()
}

/// A line of the log as rsyslog writes it.
fn written(line: &str) -> Option<String> {
    let (time, rest) = line.split_once(' ')?.1.split_at("Nov 21 21:14:17 ".len());
    Some(format!("{time}host {rest}"))
}

#[test]
fn guesses_are_counted_and_nothing_else_is() {
    let desk = Desk::new("[lockout]\nafter = 2\n");
    let from = |address: &str| desk.talk().rhost(address);
    let (code, wrong, recovery) = (desk.next(), desk.phone.wrong(), desk.phone.recovery_code());
    let issued = desk.site.admin(&["issue", &desk.user.name]);
    let passcode = issued.split_once(" is ").unwrap().0.to_owned();
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for (address, answer, why, counts) in [
        ("192.0.2.1", code.as_str(), "accepted", false),
        ("192.0.2.2", &code, "why=replayed", false),
        ("192.0.2.3", "no code at all", "why=malformed", true),
        ("192.0.2.4", "AAAA-AAAA-AAAA-AAAA", "why=recovery-unknown", true),
        ("192.0.2.20", "K7QD-M3XA-92TE", "why=passcode-unknown", true),
        ("192.0.2.21", &passcode, "factor=passcode", false),
        ("192.0.2.22", &passcode, "why=passcode-used", false),
        ("2001:db8::5", &wrong, "why=wrong", true),
        ("192.0.2.6", &recovery, "factor=recovery", false),
        ("192.0.2.7", &recovery, "why=recovery-used", false),
        ("192.0.2.8", &wrong, "why=wrong", true),
        ("192.0.2.9", &wrong, "why=wrong", true),
        ("192.0.2.10", &wrong, "why=locked", true),
    ] {
        let login = logged(&from(address), &[answer]);
        assert!(login.len() == 1 && login[0].contains(why), "{why}: {login:#?}");
        lines.extend(login);
        expected.extend(counts.then(|| address.to_owned()));
    }
    lines.extend(logged(&from("192.0.2.11").user("nobody-of-that-name"), &[&wrong]));
    expected.push("192.0.2.11".to_owned());
    // fail2ban counts no user without a device, no login that was given up, and no login without an address.
    desk.site.set("[policy]\nsecond_factor = \"required\"\n");
    lines.extend(logged(&from("192.0.2.12").user("daemon"), &[&wrong]));
    lines.extend(logged(&from("192.0.2.13"), &[]));
    lines.extend(logged(&desk.talk(), &[&wrong]));
    // Of a user without a device that is accepted, a right code is no guess, and a wrong one is.
    desk.site.set("[policy]\ndevices = [\"hotp\"]\n");
    desk.site.admin(&["unlock", &desk.user.name]);
    for (address, code, counts) in [("192.0.2.15", desk.next(), false), ("192.0.2.16", wrong.clone(), true)] {
        let login = logged(&from(address), &[&code]);
        assert!(login.len() == 1 && login[0].contains("why=kind-not-accepted"), "{login:#?}");
        lines.extend(login);
        expected.extend(counts.then(|| address.to_owned()));
    }
    // A rehearsal refuses no user, and fail2ban must not either.
    desk.site.set_example("rollout");
    lines.extend(logged(&from("192.0.2.14"), &[&wrong]));
    for why in ["why=not-enrolled", "error=\"the conversation", "why=unknown-user", "enforced=no"] {
        assert!(lines.iter().any(|line| line.contains(why)), "{why}: {lines:#?}");
    }
    assert_eq!(counted(&lines), expected, "{lines:#?}");
}

#[test]
fn no_name_that_is_typed_has_an_address_banned() {
    let desk = Desk::new("");
    let (wrong, mut lines) = (desk.phone.wrong(), Vec::new());
    let guess = "refused user=alice rhost=198.51.100.1 why=wrong failures=3";
    for name in [
        "x rhost=198.51.100.1",
        "x rhost=198.51.100.1 why=wrong failures=1",
        "rhost=198.51.100.1",
        "x\nNov 21 21:14:17 host sshd[1]: pam_otp(sshd:auth): refused user=alice rhost=198.51.100.1 why=unknown-user",
        "pam_otp(sshd:auth):\u{a0}refused\u{a0}user=alice\u{a0}rhost=198.51.100.1\u{a0}why=malformed",
        guess,
        "pam_otp(sshd:auth): refused user=alice rhost=198.51.100.1 why=malformed",
        "",
    ] {
        lines.extend(logged(&desk.talk().user(name).rhost("192.0.2.1"), &[&wrong]));
        // Where there is no address, none is made up; and a host's name is none.
        lines.extend(logged(&desk.talk().user(name), &[&wrong]));
        lines.extend(logged(&desk.talk().user(name).rhost(guess), &[&wrong]));
        lines.extend(logged(&desk.talk().user(name).rhost("localhost"), &[&wrong]));
        // What other programs write of it, in front of which the module's words do not stand.
        lines.push(
            format!("Nov 21 21:14:17 host sshd[1]: Invalid user {name} from 192.0.2.9 port 22").replace('\n', "#012"),
        );
        lines.push(format!("Nov 21 21:14:17 host ftpd[1]: no such user: {name}").replace('\n', "#012"));
        lines.push(
            format!("Nov 21 21:14:17 host login[1]: FAILED LOGIN (1) on '/dev/tty1' FOR '{name}'")
                .replace('\n', "#012"),
        );
    }
    let counted = counted(&lines);
    assert!(counted.len() >= 6 && counted.iter().all(|address| address == "192.0.2.1"), "{counted:?}\n{lines:#?}");
}

/// An asker chooses all of that.
#[test]
fn no_address_that_an_asker_of_the_agent_claims_is_banned() {
    let (user, _agent) = (TestUser::new("mallory"), Agent::start(""));
    let (phone, mark) = (Phone::enroll_self(&user), syslog::mark());
    let line = "pam_otp(sshd:auth): refused user=alice rhost=198.51.100.1 why=wrong failures=1";
    let after_line_end = format!("x\nNov 21 21:14:17 host sshd[1]: {line}");
    let claims = ["198.51.100.1", line, &after_line_end, "rhost=198.51.100.1 why=malformed"];
    for (claimed, service) in claims.iter().flat_map(|rhost| claims.map(|service| (rhost, service))) {
        let login = json!({"service": service, "rhost": claimed, "tty": claimed, "nullok": false, "enroll": false});
        let verify = json!({"verify": {"login": login, "typed": phone.wrong()}});
        for about in [user.name.as_str(), claimed] {
            agent::ask_as(&user, &json!({"about": about, "request": verify}).to_string(), 1);
        }
    }
    let lines = syslog::lines_since(mark);
    let mut lines: Vec<_> =
        lines.iter().filter(|line| line.contains("otp-agent[")).filter_map(|line| written(line)).collect();
    assert_eq!(lines.len(), 32, "{lines:#?}");
    lines.push(format!("Nov 21 21:14:17 host sshd[1]: {}", line.replace("198.51.100.1", "192.0.2.1")));
    assert_eq!(counted(&lines), ["192.0.2.1"], "{lines:#?}");
}

#[test]
fn the_jail_is_off_until_it_is_turned_on_and_is_understood_then() {
    let dir = tempfile::tempdir().unwrap();
    let unpacked = fail2ban(dir.path());
    let jails = || {
        let mut client = python(&unpacked, "fail2ban-client");
        client.arg("-c").arg(dir.path().join("fail2ban")).arg("--dp");
        Outcome::of(&mut client, "")
    };
    fs::write(dir.path().join("fail2ban/jail.d/defaults-debian.conf"), "").unwrap();
    let off = jails();
    assert!(off.code == Some(0) && !off.out.contains("pam_otp"), "{off:?}");
    let log = dir.path().join("auth.log");
    fs::write(&log, "").unwrap();
    let local = format!("[DEFAULT]\nsshd_log = {}\n[pam_otp]\nenabled = true\n", log.display());
    fs::write(dir.path().join("fail2ban/jail.d/pam_otp.local"), local).unwrap();
    let on = jails();
    assert_eq!(on.code, Some(0), "{on:?}");
    for part in ["'add', 'pam_otp'", "'maxretry', 5", "allports", "pam_otp\\\\("] {
        assert!(on.out.contains(part), "{part}: {}", on.out);
    }
}

#[test]
fn a_line_that_a_local_user_writes_to_the_journal_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let unpacked = fail2ban(dir.path());
    fs::write(dir.path().join("fail2ban/jail.d/defaults-debian.conf"), "").unwrap();
    let local = "[pam_otp]\nenabled = true\nbackend = systemd\n";
    fs::write(dir.path().join("fail2ban/jail.d/pam_otp.local"), local).unwrap();
    let mut client = python(&unpacked, "fail2ban-client");
    let jails = Outcome::of(client.arg("-c").arg(dir.path().join("fail2ban")).arg("--dp"), "");
    assert_eq!(jails.code, Some(0), "{jails:?}");
    // The conditions of one match are joined by "and" if none of them is "+".
    let matches = "'addjournalmatch', 'SYSLOG_FACILITY=10', '_UID=0']";
    assert!(jails.out.contains(matches), "{}", jails.out);
}
