//! What is broken, missing or not to be trusted refuses, says why in the log, and never hangs.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::Talk,
    desk::{CODE, Desk, UNAVAILABLE, cannot_be_asked, logged},
    machine,
    service::Service,
    site::Site,
    syslog,
    users::TestUser,
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
    process::Command,
};

#[test]
fn an_argument_that_is_not_known_is_an_error_with_its_name() {
    let desk = Desk::new("");
    for argument in ["nulok", "nullok=yes", "config=relative.toml", "use_first_pass=1", "secret=${HOME}/.otp"] {
        desk.service.set(&desk.site.auth("required", &format!("debug {argument}")));
        cannot_be_asked(
            &desk.talk(),
            "PAM_SERVICE_ERR",
            &format!(
                "err error user={} error=\"the module argument {argument} cannot be honoured\" \
                 hint=\"correct the module's line in the PAM file: see pam_otp(8)\"",
                desk.user.name
            ),
        );
    }
}

#[test]
fn a_broken_configuration_refuses_with_the_line_at_fault() {
    let desk = Desk::new("");
    let config = desk.site.config().display().to_string();
    let hint = "fix the file, then check it with `otp-enroll admin check`";
    for (text, error) in [
        ("isuer = \"x\"\n", ":1: unknown key isuer; known keys: "),
        ("\n\n[lockout]\nafter = \"six\"\n", ":4: lockout.after must be 1 to 100 wrong codes"),
        ("[lockout]\nafter = 0\n", ":2: lockout.after must be 1 to 100 wrong codes"),
        ("[code]\nwindow = 11\n", ":2: code.window must be 0 to 10 steps"),
        (
            "# fine\n[policy]\nsecond_factor = \"yes\"\n",
            ":3: policy.second_factor must be 'required', 'enroll', 'optional' or 'skip'",
        ),
        ("[[policy.rule]]\nsecond_factor = \"skip\"\n", ":1: policy.rule needs a condition"),
        ("[[policy.rule]]\nuser = \"bob\"\n", ":1: policy.rule needs second_factor"),
        ("[[policy.rule]]\nnetwork = \"192.0.2.1/24\"\nsecond_factor = \"skip\"\n", ":2: policy.rule.network must be "),
        ("[policy\n", ":1: "),
        ("state_directory = \"relative\"\n", ":1: state_directory must be an absolute path"),
        ("\u{0}", ":1: "),
    ] {
        desk.site.write(text);
        let (said, log) = logged(&desk.talk(), &["000000"]);
        assert_eq!(said.result("authenticate"), "PAM_SERVICE_ERR", "{text}\n{said}");
        assert!(said.prompts().is_empty() && said.texts() == [UNAVAILABLE], "{said}");
        let start = format!("err error user={} error=\"{config}{error}", desk.user.name);
        assert!(log.len() == 1 && log[0].starts_with(&start), "{text}\n{start}\n{log:#?}");
        assert!(log[0].ends_with(&format!("\" hint=\"{hint}\"")), "{log:#?}");
    }
}

#[test]
fn a_configuration_that_must_not_be_trusted_is_not_read() {
    let desk = Desk::new("");
    let path = desk.site.config();
    let good = fs::read_to_string(path).unwrap();
    let refused = |what: &str| {
        let line = format!(
            "err error user={} error=\"{}: {what}\" hint=\"fix the file, then check it with `otp-enroll admin check`\"",
            desk.user.name,
            path.display()
        );
        cannot_be_asked(&desk.talk(), "PAM_SERVICE_ERR", &line);
    };
    let alone = "must belong to root and be writable by root alone";
    chown(path, Some(desk.user.uid), None).unwrap();
    refused(alone);
    chown(path, Some(0), None).unwrap();
    for mode in [0o664, 0o646] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        refused(alone);
    }
    fs::remove_file(path).unwrap();
    refused("No such file or directory");
    fs::create_dir(path).unwrap();
    refused("is not a regular file");
    fs::remove_dir(path).unwrap();
    machine::run(Command::new("mkfifo").arg(path));
    refused("is not a regular file");
    fs::remove_file(path).unwrap();
    // What root's link leads to is looked at, and not the link.
    let theirs = desk.user.write("pam_otp.toml", &good, 0o644);
    for (target, what) in [
        (theirs.as_path(), alone),
        (Path::new("/dev/zero"), "is not a regular file"),
        (Path::new("/nowhere"), "No such file or directory"),
    ] {
        symlink(target, path).unwrap();
        refused(what);
        fs::remove_file(path).unwrap();
    }
    fs::write(path, "#".repeat((1 << 20) + 1)).unwrap();
    refused("is too large");
    fs::write(path, b"\xff").unwrap();
    refused("is not UTF-8");
    desk.site.write(&good);
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses() {
    let user = TestUser::new("alice");
    let site = Site::new("[[policy.rule]]\ngroup = \"no-such-group\"\nsecond_factor = \"required\"\n");
    let service = Service::private(&site.auth("required", ""));
    cannot_be_asked(
        &Talk::new(&service, &user.name),
        "PAM_SERVICE_ERR",
        &format!(
            "err error user={} error=\"a policy rule names the group no-such-group, which does not exist\" \
             hint=\"correct the rule or create the group; if a directory service has it, find out why that does not answer \
              (`getent group NAME`)\"",
            user.name
        ),
    );
}

#[test]
fn a_state_directory_that_must_not_be_trusted_is_not_entered() {
    let desk = Desk::new("");
    let state = desk.site.state();
    let aside = state.with_extension("aside");
    let refused = |what: &str, hint: &str| {
        let line = format!("err error user={} error=\"{what}\" hint=\"{hint}\"", desk.user.name);
        cannot_be_asked(&desk.talk(), "PAM_AUTHINFO_UNAVAIL", &line);
    };
    let fix = "fix its owner, group, mode or type: see FILES in pam_otp(8)";
    let path = state.display();

    chown(state, Some(desk.user.uid), None).unwrap();
    refused(&format!("{path}/ belongs to uid {}, not to root", desk.user.uid), fix);
    chown(state, Some(0), None).unwrap();
    for mode in [0o1777, 0o1731, 0o1734, 0o0730] {
        fs::set_permissions(state, fs::Permissions::from_mode(mode)).unwrap();
        refused(&format!("{path}/ has mode {mode:04o} and must have 1730"), fix);
    }
    fs::set_permissions(state, fs::Permissions::from_mode(0o1730)).unwrap();

    fs::rename(state, &aside).unwrap();
    refused(
        &format!("cannot open {path}: No such file or directory"),
        "if the state directory is missing, install the package again or run `make install`; one of your own: install -d -o root -g \
         pam_otp -m 1730 FOLDER",
    );
    symlink(&aside, state).unwrap();
    let other = "look for the cause in the system log; nothing was lost";
    refused(&format!("cannot open {path}: Not a directory"), other);
    fs::remove_file(state).unwrap();
    fs::write(state, "").unwrap();
    refused(&format!("cannot open {path}: Not a directory"), other);
    fs::remove_file(state).unwrap();
    machine::run(Command::new("mkfifo").arg(state));
    refused(&format!("cannot open {path}: Not a directory"), other);
    fs::remove_file(state).unwrap();
    fs::rename(&aside, state).unwrap();
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

/// Directories above belong to root, who may have moved them.
#[test]
fn links_on_the_way_to_configuration_and_records_are_roots_business() {
    let desk = Desk::new("");
    let (moved, config) = (desk.site.state().with_extension("moved"), desk.site.config().with_extension("moved"));
    fs::create_dir(&moved).unwrap();
    fs::rename(desk.site.state(), moved.join("records")).unwrap();
    let link = desk.site.state().with_extension("link");
    symlink(&moved, &link).unwrap();
    let good = fs::read_to_string(desk.site.config()).unwrap();
    let through_it =
        good.replace(&desk.site.state().display().to_string(), &link.join("records").display().to_string());
    assert_ne!(good, through_it);
    fs::write(&config, through_it).unwrap();
    fs::remove_file(desk.site.config()).unwrap();
    symlink(&config, desk.site.config()).unwrap();
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

/// What may stand where one of a user's files should, and how the log calls it.
fn in_place_of(path: &Path, user: &TestUser) -> Vec<(&'static str, String)> {
    let aside = path.with_extension("aside");
    let mut list: Vec<(&'static str, String)> = vec![
        ("symbolic link", "is a symbolic link".into()),
        ("dangling link", "is a symbolic link".into()),
        ("directory", "is not a regular file".into()),
        ("fifo", "is not a regular file".into()),
        ("hard link", "has 2 hard links and must have one".into()),
        ("root's", "belongs to uid 0, not to its user".into()),
        ("mode 0640", "has mode 0640 and must have 0600".into()),
        ("mode 0604", "has mode 0604 and must have 0600".into()),
        ("garbage", "cannot be read: ".into()),
        ("empty", "cannot be read: ".into()),
    ];
    assert!(!aside.exists() && path.metadata().unwrap().uid() == user.uid);
    if path.extension().is_some_and(|suffix| suffix == "state") {
        list.push(("nothing", "is missing, although the user is enrolled".into()));
    } else {
        list.push(("huge", "cannot be read: it is too large".into()));
    }
    list
}

fn put(kind: &str, path: &Path, user: &TestUser) {
    let aside = path.with_extension("aside");
    let mode = |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let file = |content: &[u8]| {
        fs::rename(path, &aside).unwrap();
        fs::write(path, content).unwrap();
        mode(0o600);
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    };
    match kind {
        "symbolic link" => {
            fs::rename(path, &aside).unwrap();
            symlink(&aside, path).unwrap();
        }
        "dangling link" => {
            fs::rename(path, &aside).unwrap();
            symlink("/nowhere", path).unwrap();
        }
        "directory" => {
            fs::rename(path, &aside).unwrap();
            fs::create_dir(path).unwrap();
        }
        "fifo" => {
            fs::rename(path, &aside).unwrap();
            machine::run(Command::new("mkfifo").arg("--mode=0600").arg(path));
            chown(path, Some(user.uid), Some(user.gid)).unwrap();
        }
        "nothing" => fs::rename(path, &aside).unwrap(),
        "hard link" => fs::hard_link(path, &aside).unwrap(),
        "root's" => chown(path, Some(0), None).unwrap(),
        "mode 0640" => mode(0o640),
        "mode 0604" => mode(0o604),
        "garbage" => file(&[0xa5; 4096]),
        "empty" => file(b""),
        "huge" => file(&[b'#'; 70_000]),
        _ => panic!("{kind}?"),
    }
}

fn put_back(path: &Path, user: &TestUser) {
    let aside = path.with_extension("aside");
    if aside.exists() {
        let _ = fs::remove_dir(path);
        let _ = fs::remove_file(path);
        fs::rename(&aside, path).unwrap();
    }
    chown(path, Some(user.uid), Some(user.gid)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn something_else_in_place_of_a_file_refuses_and_never_hangs() {
    // Without a device this user would pass: damage must not look like that.
    let mut desk = Desk::new("[policy]\nsecond_factor = \"optional\"\n");
    let (credentials, state) = (desk.site.credentials(&desk.user.name), desk.site.state_file(&desk.user.name));
    // Whether to ask is known from the credentials; the state is looked at when the answer is there.
    for (path, asked) in [(credentials, false), (state, true)] {
        for (kind, what) in in_place_of(&path, &desk.user) {
            // Before the user is asked …
            put(kind, &path, &desk.user);
            let (said, log) = logged(&desk.talk(), &["000000"]);
            put_back(&path, &desk.user);
            assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{kind} {path:?} {said}\n{log:#?}");
            assert!(said.prompts().is_empty() != asked && said.texts() == [UNAVAILABLE], "{said}");
            let start = format!("err error user={} error=\"{} {what}", desk.user.name, path.display());
            assert!(log.len() == 1 && log[0].starts_with(&start) && log[0].contains("\" hint=\""), "{start}\n{log:#?}");

            // … and while a person types.
            let (code, mark) = (desk.next(), syslog::mark());
            let mut conversation = desk.talk().start();
            assert_eq!(conversation.prompt(), CODE);
            put(kind, &path, &desk.user);
            conversation.answer(&code);
            let said = conversation.finish();
            let log = syslog::of_module(mark, said.pid);
            put_back(&path, &desk.user);
            assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{kind} {path:?} {said}\n{log:#?}");
            assert!(log.len() == 1 && log[0].starts_with(&start), "{start}\n{log:#?}");
            // Nothing was spent by either.
            assert_eq!(desk.talk().run(&[&code]).result("authenticate"), "PAM_SUCCESS", "{kind} {path:?}");
            // Codes are few; the next one may be one of today's again.
            desk.phone = desk.renew();
        }
    }
}

#[test]
fn credentials_that_are_not_this_users_are_damage() {
    let desk = Desk::new("[policy]\nsecond_factor = \"optional\"\n");
    let path = desk.site.credentials(&desk.user.name);
    let good = fs::read_to_string(&path).unwrap();
    let (name, uid) = (&desk.user.name, desk.user.uid);
    let enrollment = good.lines().find_map(|line| line.strip_prefix("enrollment = ")).unwrap();
    let state = desk.site.state_file(name);
    for (from, to, file, what) in [
        (format!("uid = {uid}"), "uid = 4242".to_owned(), &path, format!("was made for '{name}' with uid 4242")),
        (
            format!("user = \"{name}\""),
            "user = \"bob\"".to_owned(),
            &path,
            format!("was made for 'bob' with uid {uid}"),
        ),
        ("version = 1".into(), "version = 3".into(), &path, "has version 3; this program reads version 1".into()),
        (
            enrollment.to_owned(),
            format!("\"{}\"", "0".repeat(32)),
            &state,
            "cannot be read: neither slot holds a state of this enrollment".into(),
        ),
        ("digits = 6".into(), "digits = 5".into(), &path, "cannot be read: line ".into()),
    ] {
        desk.site.edit(name, &from, &to);
        let (said, log) = logged(&desk.talk(), &["000000"]);
        pam_otp_tests::site::overwrite(&path, &good);
        assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{from} -> {to}: {said}");
        let start = format!("err error user={name} error=\"{} {what}", file.display());
        assert!(log.len() == 1 && log[0].starts_with(&start), "{start}\n{log:#?}");
        assert!(!log[0].contains(&desk.phone.app.secret), "{log:#?}");
    }
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn credentials_that_were_cut_off_before_a_device_are_an_error() {
    let desk = Desk::new("[policy]\nsecond_factor = \"optional\"\n");
    let path = desk.site.credentials(&desk.user.name);
    let whole = fs::read_to_string(&path).unwrap();
    let (counts, fewer) =
        ("recovery_codes = 10\ndevices = 1\n", "its top does not match its recovery codes, passcode and devices");
    for (end, complaint) in
        [("\n[recovery]", fewer), ("\n[[device]]", fewer), (counts, "it ends before recovery_codes")]
    {
        let (rest, _) = whole.split_once(end).unwrap();
        pam_otp_tests::site::overwrite(&path, format!("{rest}\n"));
        let (said, log) = logged(&desk.talk(), &["000000"]);
        assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{rest}\n{said}");
        assert!(log.concat().contains(complaint), "{log:?}");
    }
    pam_otp_tests::site::overwrite(&path, &whole);
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn one_damaged_slot_is_survived_and_two_are_not() {
    let desk = Desk::new("");
    let path = desk.site.state_file(&desk.user.name);
    for _ in 0..2 {
        assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
    }
    let good = fs::read(&path).unwrap();
    assert_eq!(good.len(), 4096);
    let sequence = |slot: &[u8]| String::from_utf8_lossy(slot).lines().nth(1).unwrap().to_owned();
    let older = if sequence(&good[..2048]) < sequence(&good[2048..]) { 0 } else { 2048 };
    let mut damaged = good;
    damaged[older + 100] ^= 1;
    pam_otp_tests::site::overwrite(&path, &damaged);
    // The damaged slot is the one that is written next.
    for (code, line) in
        [(desk.phone.last_code(), "why=replayed"), (desk.next(), "accepted"), (desk.phone.last_code(), "why=replayed")]
    {
        let (said, log) = logged(&desk.talk(), &[&code]);
        assert!(log.len() == 1 && log[0].contains(line), "{said}{log:#?}");
    }
    damaged[100] ^= 4;
    damaged[2148] ^= 4;
    pam_otp_tests::site::overwrite(&path, &damaged);
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_AUTHINFO_UNAVAIL");
}

#[test]
fn a_lock_that_is_not_given_back_keeps_nobody_out() {
    let desk = Desk::new("");
    let code = desk.next();
    assert_eq!(desk.talk().run(&[&code]).result("authenticate"), "PAM_SUCCESS");
    let hold = || {
        let state = fs::File::open(desk.site.state_file(&desk.user.name)).unwrap();
        state.lock().unwrap();
        state
    };
    let held = hold();
    // An administrator who only looks is not held up …
    let shown = desk.site.admin(&["show", &desk.user.name]);
    assert!(
        shown.contains(&desk.user.name)
            && fs::File::open(desk.site.state_file(&desk.user.name)).unwrap().try_lock().is_err()
    );
    // … and a login waits about ten seconds, and gets through. What was used before stays used.
    assert_eq!(desk.talk().run(&[&code]).result("authenticate"), "PAM_AUTH_ERR");
    let next = desk.next();
    let (said, log) = logged(&desk.talk(), &[&next]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
    assert!(log.len() == 1 && log[0].contains("accepted"), "{log:#?}");
    drop(held);
    assert_eq!(desk.talk().run(&[&next]).result("authenticate"), "PAM_AUTH_ERR");

    // Administration gets through too.
    let held = hold();
    desk.site.admin(&["unlock", &desk.user.name]);
    drop(held);
    let held = hold();
    desk.site.admin(&["reset", "--yes", &desk.user.name]);
    drop(held);
    let of_user = fs::read_dir(desk.site.state_file(&desk.user.name).parent().unwrap()).unwrap();
    let of_user = of_user.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = of_user.filter(|name| name.starts_with(&desk.user.name)).collect();
    assert!(left.is_empty(), "{left:?}");
}
