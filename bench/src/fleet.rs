//! A fleet's worth of users: the space that they take, and what an administrator waits for.

use std::{
    fs::File,
    io::{BufWriter, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use pam_otp_tests::machine;

use crate::{
    crowd,
    entrant::{oath_file, ours_dir},
    place::Place,
    progress::Progress,
};

/// What was found with so many.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) users: u32,
    /// Bytes that our records take on the disk.
    pub(crate) space: u64,
    /// Bytes of pam_oath's one file.
    pub(crate) oath: u64,
    /// `otp-enroll admin list`, `admin report`: how long.
    pub(crate) list: Duration,
    pub(crate) report: Duration,
    /// How soon `admin list` has ended after Ctrl-C in its midst.
    pub(crate) interrupted: Duration,
}

/// Measures at a place where `others` are enrolled besides those who log in.
pub(crate) fn measure(place: &Place, others: u32, progress: &Progress) -> Fleet {
    progress.part("space on the disk", 0, 1);
    let space = machine::run(Command::new("du").args(["--block-size=1", "--summarize"]).arg(ours_dir(place)));
    let space = space.split_whitespace().next().unwrap().parse().unwrap();
    progress.part("accounts for all, in a database", 0, 1);
    know_all(others);
    let admin = |command: &str| {
        let mut admin = Command::new("otp-enroll");
        admin.arg("--config").arg(place.path.join("pam_otp.toml")).args(["admin", command]);
        admin.stdout(Stdio::null()).stdin(Stdio::null());
        admin
    };
    let timed = |command: &str| {
        progress.part(&format!("otp-enroll admin {command}"), 0, 1);
        let start = Instant::now();
        assert!(admin(command).status().unwrap().success(), "otp-enroll admin {command}");
        start.elapsed()
    };
    let (list, report) = (timed("list"), timed("report"));
    let mut child = admin("list").spawn().unwrap();
    std::thread::sleep(list / 3);
    let start = Instant::now();
    machine::run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    assert!(!child.wait().unwrap().success(), "admin list was to be interrupted");
    let interrupted = start.elapsed();
    Fleet { users: others + 1, space, oath: oath_file(place).metadata().unwrap().len(), list, report, interrupted }
}

/// Accounts for all the others, from here on: in a database with an index (Debian's libnss-db), as a directory service
/// has one. /etc/passwd is read from its beginning at each look-up, so nobody has a million there.
fn know_all(others: u32) {
    let list = tempfile::NamedTempFile::new().unwrap();
    let mut out = BufWriter::new(File::create(list.path()).unwrap());
    for number in 0..others {
        let account = crowd::account(number);
        let (name, uid) = (account.name.as_str(), account.uid);
        let line = format!("{name}:x:{uid}:{uid}::/:/bin/bash");
        write!(out, ".{name} {line}\n={uid} {line}\n0{number} {line}\n").unwrap();
    }
    out.flush().unwrap();
    machine::run(Command::new("makedb").args(["-o", "/var/lib/misc/passwd.db"]).arg(list.path()));
    machine::run(Command::new("sed").args(["-i", "s/^passwd:.*/passwd: db files/", "/etc/nsswitch.conf"]));
    let last = crowd::account(others - 1);
    let found = machine::run(Command::new("getent").args(["passwd", last.name.as_str()]));
    assert!(found.contains(&last.uid.to_string()), "{found}");
}
