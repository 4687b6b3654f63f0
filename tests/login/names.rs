//! Login names as directories, mail systems and jokers make them: each is one account with files of its own, and none is
//! a path. They come from a name service beside /etc/passwd (libnss-extrausers), as those of LDAP and AD do.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{app::Enrolled, conversation::Talk, machine, service::Service, site::Site, syslog};
use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::PathBuf, process::Command};

/// Names, and what their files are called.
const NAMES: [(&str, &str); 16] = [
    ("maria.müller", "maria.m%C3%BCller"),
    ("DOM\\user", "DOM%5Cuser"),
    ("DOM/user", "DOM%2Fuser"),
    ("user@example.org", "user@example.org"),
    ("Case", "Case"),
    ("case", "case"),
    ("CASE", "CASE"),
    ("../case", "%2E.%2Fcase"),
    ("/etc/passwd", "%2Fetc%2Fpasswd"),
    ("..", "%2E."),
    (".", "%2E"),
    (".rehearsal", "%2Erehearsal"),
    ("case.toml", "case.toml"),
    ("two words", "two%20words"),
    ("%2E.%2Fcase", "%252E.%252Fcase"),
    ("$(reboot)\"'=\u{1b}[31m", "%24%28reboot%29%22%27%3D%1B%5B31m"),
];

/// A directory of users that only what runs within it knows.
struct Directory {
    switch: PathBuf,
    _folder: tempfile::TempDir,
}

impl Directory {
    /// Users with these names, numbered from 61001 on.
    fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Directory {
        machine::require("a name service");
        let folder = tempfile::tempdir().unwrap();
        let switch = folder.path().join("nsswitch.conf");
        fs::write(&switch, "passwd: files extrausers\ngroup: files\n").unwrap();
        let line = |(uid, name): (u32, &str)| format!("{name}:x:{uid}:{uid}::/:/bin/false\n");
        fs::create_dir_all("/var/lib/extrausers").unwrap();
        fs::write("/var/lib/extrausers/passwd", (61001..).zip(names).map(line).collect::<String>()).unwrap();
        Directory { switch, _folder: folder }
    }

    /// A command that knows these users too. Other tests have their own mount of nsswitch.conf, the machine's.
    fn knows(&self, command: &Command) -> Command {
        let mut within = Command::new("unshare");
        within.args(["--mount", "sh", "-c", "mount --bind \"$1\" /etc/nsswitch.conf && shift && exec \"$@\"", "sh"]);
        within.arg(&self.switch).arg(command.get_program()).args(command.get_args());
        within
    }
}

#[test]
fn whatever_a_name_looks_like_it_is_one_account_and_never_a_path() {
    // The longest that there can be (LOGIN_NAME_MAX), alike in all but the last byte.
    let long = ["é".repeat(127) + "a", "é".repeat(127) + "b"];
    let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).chain(long.iter().map(String::as_str)).collect();
    let directory = Directory::of(names.iter().copied());
    let site = Site::new("[policy]\nsecond_factor = \"required\"\n");
    let service = Service::private(&site.auth("required", ""));
    let login = |name: &str, code: &str| {
        let talk = Talk::new(&service, name);
        let mark = syslog::mark();
        let mut conversation = talk.start_as(directory.knows(&talk.command()));
        conversation.prompt();
        conversation.answer(code);
        let said = conversation.finish();
        (said.result("authenticate").to_owned(), syslog::of_module(mark, said.pid))
    };

    let mut phones: Vec<Enrolled> = Vec::new();
    for ((uid, name), count) in (61001..).zip(&names).zip(1..) {
        let mut enroll = Command::new("otp-enroll");
        enroll.arg("--config").arg(site.config()).args(["--json", "--user", name]);
        let before = site.files();
        phones.push(Enrolled::by(&mut directory.knows(&enroll)));
        let added: Vec<String> = site.files().difference(&before).cloned().collect();
        let stem = added.first().unwrap().strip_suffix(".state").unwrap();
        assert_eq!(added, [format!("{stem}.state"), format!("{stem}.toml")], "{name:?}");
        match NAMES.iter().find(|(known, _)| known == name) {
            Some((_, expected)) => assert_eq!(stem, *expected, "{name:?}"),
            None => assert!(stem.starts_with("%-") && stem.len() == 66, "{name:?} {stem}"),
        }
        for file in added {
            let found = fs::symlink_metadata(site.state().join(file)).unwrap();
            assert!(found.is_file() && found.uid() == uid && found.mode() & 0o7777 == 0o600, "{name:?}");
        }
        assert_eq!(phones.len(), count);
    }
    for (name, phone) in names.iter().zip(&phones) {
        let (result, log) = login(name, &phone.app.code(0));
        assert_eq!((result.as_str(), log.len()), ("PAM_SUCCESS", 1), "{name:?} {log:#?}");
        assert!(log.concat().starts_with("info accepted user=") && !log.concat().contains('\u{1b}'), "{log:#?}");
    }
    // What is one account's is not another's, however alike the names are.
    for ((name, own), other) in names.iter().zip(&phones).zip(phones.iter().cycle().skip(1)) {
        let code = other.app.code(1);
        if own.app.codes(-1, 3).contains(&code) {
            continue; // by chance it is this one's, too
        }
        let (result, log) = login(name, &code);
        assert_eq!(result, "PAM_AUTH_ERR", "{name:?}");
        assert!(log.concat().contains(" why=wrong failures=1"), "{log:#?}");
    }
}

#[test]
fn a_name_that_no_user_has_is_unknown_whatever_it_looks_like() {
    let site = Site::new("[policy]\nsecond_factor = \"required\"\n");
    let service = Service::private(&site.auth("required", ""));
    let before = site.files();
    let (longest, too_long, huge) = ("x".repeat(255), "x".repeat(256), "x".repeat(120_000));
    for name in [
        "root\n",
        "root\nuser=root",
        " root",
        "root ",
        "ROOT",
        "root/",
        "./root",
        "../root",
        "root\u{0301}",
        "r\u{043e}ot", // a Cyrillic o
        "0",
        "+",
        "-1",
        "%72oot",
        "ro\\ot",
        &longest,
        &too_long,
        &huge,
    ] {
        let mark = syslog::mark();
        let said = Talk::new(&service, name).run(&["123456"]);
        let log = syslog::of_module(mark, said.pid);
        let start: String = name.chars().take(30).collect();
        assert_eq!(said.result("authenticate"), "PAM_USER_UNKNOWN", "{start:?} {said}");
        assert_eq!(said.prompts(), ["Verification code: "], "{start:?}");
        assert!(log.len() == 1 && log.concat().starts_with("notice refused user="), "{start:?} {log:#?}");
        assert!(log.concat().ends_with(" why=unknown-user"), "{start:?} {log:#?}");
    }
    let rehearsal = BTreeSet::from([".rehearsal".to_owned()]);
    assert_eq!((before, site.files()), (BTreeSet::new(), rehearsal));
}
