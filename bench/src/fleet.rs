//! A fleet of users: the time to import them, their space on the disk, and the time of administrators' commands.

use std::{
    fs::{self, File},
    io::{BufWriter, Seek, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use pam_otp_tests::machine;

use crate::crowd;
use crate::enroll;
use crate::figures::thousands;
use crate::place::{Place, oath_file, ours_dir};
use crate::progress::Progress;

/// The findings for a fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) users: u32,
    /// The time of `otp-enroll admin import` of pam_oath's file with all users.
    pub(crate) import: Duration,
    /// Bytes of our records on the disk.
    pub(crate) space: u64,
    /// Bytes of pam_oath's one file.
    pub(crate) oath: u64,
    /// The times of `otp-enroll admin list`, `admin list --without-device` and `admin report`.
    pub(crate) commands: Vec<(&'static str, Duration)>,
    /// The time to look up all users, one by one, in one process: `getent passwd NAME…`.
    pub(crate) looked_up: Duration,
    /// The time from Ctrl-C to the end of `admin list`.
    pub(crate) interrupted: Duration,
}

const COMMANDS: [&str; 3] = ["list", "list --without-device", "report"];

/// Imports a fleet from pam_oath's file, at a place without users.
pub(crate) fn import(place: &Place, others: u32, progress: &Progress) -> Duration {
    crowd::list(place, others);
    among_known(others, progress, || {
        let mut import = admin(place, "import oath");
        let took = timed("otp-enroll admin import", import.arg(oath_file(place)), others, progress);
        progress.part(&format!("settling {}", place.medium), 0, 1);
        place.settle();
        took
    })
}

/// Measures the commands with all these users.
pub(crate) fn measure(place: &Place, others: u32, import: Duration, progress: &Progress) -> Fleet {
    progress.part("space on the disk", 0, 1);
    let space = machine::run(Command::new("du").args(["--block-size=1", "--summarize"]).arg(ours_dir(place)));
    let space = space.split_whitespace().next().unwrap().parse().unwrap();
    let oath = oath_file(place).metadata().unwrap().len();
    among_known(others, progress, || {
        let commands = COMMANDS.map(|command| {
            let what = format!("otp-enroll admin {command}");
            (command, timed(&what, &mut admin(place, command), others, progress))
        });
        let mut names = Command::new("xargs");
        names.args(["getent", "passwd"]).stdin(names_of(others)).stdout(Stdio::null());
        let looked_up = timed("looking all of them up", &mut names, others, progress);
        let mut child = admin(place, COMMANDS[0]).spawn().unwrap();
        std::thread::sleep(commands[0].1 / 3);
        let start = Instant::now();
        machine::run(Command::new("kill").args(["-INT", &child.id().to_string()]));
        assert!(!child.wait().unwrap().success(), "admin list was to be interrupted");
        let interrupted = start.elapsed();
        Fleet { users: others + 1, import, space, oath, commands: commands.to_vec(), looked_up, interrupted }
    })
}

fn admin(place: &Place, command: &str) -> Command {
    // A shell's background job ignores Ctrl-C, and so does what it starts.
    let mut admin = Command::new("env");
    admin
        .args(["--default-signal=INT", "otp-enroll", "--config"])
        .arg(enroll::config(place))
        .arg("admin")
        .args(command.split(' '));
    admin.stdout(Stdio::null()).stdin(Stdio::null());
    admin
}

/// The time of a command, which must succeed.
fn timed(what: &str, command: &mut Command, users: u32, progress: &Progress) -> Duration {
    progress.part(what, 0, 1);
    let start = Instant::now();
    assert!(command.status().unwrap().success(), "{what}");
    let took = start.elapsed();
    progress.result(&format!("{what}: {:.1} s, {} users a second", took.as_secs_f64(), each_second(users, took)));
    took
}

/// Users a second.
pub(crate) fn rate(users: u32, took: Duration) -> f64 {
    f64::from(users) / took.as_secs_f64()
}

/// `10,400`
pub(crate) fn each_second(users: u32, took: Duration) -> String {
    let hundreds = u128::from(users) * 10 / took.as_millis().max(1);
    thousands(u64::try_from(hundreds * 100).unwrap())
}

/// A file with the names of all other users.
fn names_of(others: u32) -> File {
    let mut file = tempfile::tempfile().unwrap();
    let mut out = BufWriter::new(&file);
    for number in 0..others {
        writeln!(out, "{}", crowd::account(number).name.as_str()).unwrap();
    }
    out.flush().unwrap();
    drop(out);
    file.rewind().unwrap();
    file
}

/// Runs a closure while all other users have accounts, in a database with an index (Debian's libnss-db), such as a directory
/// service has. /etc/passwd is read from its beginning at each look-up, so no site has a million users there.
fn among_known<T>(others: u32, progress: &Progress, work: impl FnOnce() -> T) -> T {
    progress.part("accounts for all, in a database", 0, 1);
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
    let switch = Path::new("/etc/nsswitch.conf");
    let before = fs::read_to_string(switch).unwrap();
    machine::run(Command::new("sed").args(["-i", "s/^passwd:.*/passwd: db files/"]).arg(switch));
    let last = crowd::account(others - 1);
    let found = machine::run(Command::new("getent").args(["passwd", last.name.as_str()]));
    assert!(found.contains(&last.uid.to_string()), "{found}");
    let done = work();
    // The user who logs in is in /etc/passwd, as in the rest of this bench.
    fs::write(switch, before).unwrap();
    done
}
