//! `otp-enroll admin seal`: seeds sealed with the key of this host (systemd-creds) and with a key file, and taken back.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::Talk,
    desk::{Desk, logged},
    machine,
    outcome::Outcome,
    phone::Phone,
    service::Service,
    site::{Site, overwrite},
    syslog,
    users::{self, TestUser},
};
use serde_json::Value;
use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(10);

fn seal(site: &Site, arguments: &[&str], input: &str) -> Outcome {
    Outcome::of(site.admin_command().arg("seal").args(arguments), input)
}

/// Seals a desk's record under the key of this host, and returns the recovery key.
fn sealed(desk: &Desk) -> String {
    desk.site.with_own_seal_keys();
    let done = seal(&desk.site, &["--host", "--yes", "--json"], "");
    assert_eq!(done.code, Some(0), "{done:?}");
    let said = done.json();
    assert_eq!((&said[1]["keeper"], &said[1]["records"]), (&"host".into(), &1.into()), "{said:?}");
    said[0]["recovery_key"].as_str().unwrap().to_owned()
}

fn status(site: &Site) -> Value {
    seal(site, &["--status", "--json"], "").json().remove(0)
}

fn text(desk: &Desk) -> String {
    fs::read_to_string(desk.site.credentials(&desk.user.name)).unwrap()
}

fn is_sealed(desk: &Desk) -> bool {
    let text = text(desk);
    assert_ne!(text.contains("\nsealed = "), text.contains("\nsecret = "), "{text}");
    text.contains("\nsealed = ")
}

/// `accepted`, or why the module refuses.
fn login(desk: &Desk, code: &str) -> String {
    login_of(&desk.service, &desk.user.name, code)
}

fn login_of(service: &Service, user: &str, code: &str) -> String {
    let (_, log) = logged(&Talk::new(service, user), &[code]);
    let why = log[0].split_once(" why=").map_or("accepted", |(_, why)| why.split(' ').next().unwrap());
    assert!(why != "accepted" || log[0].contains("accepted"), "{log:#?}");
    assert_eq!(why.starts_with("sealed-"), log[0].contains("hint=\"recovery codes still work"), "{log:#?}");
    why.to_owned()
}

#[test]
fn seeds_are_sealed_with_the_key_of_the_host_and_logins_go_on() {
    let desk = Desk::new("");
    let keys = desk.site.with_own_seal_keys();
    let dry = seal(&desk.site, &["--host", "--dry-run"], "");
    assert_eq!(dry.out, "1 record would be sealed; the key of this host would keep the key\n", "{dry:?}");
    assert!(!is_sealed(&desk) && !keys.exists());
    let mark = syslog::mark();
    let recovery = sealed(&desk);
    syslog::wait_for(mark, "sealed keeper=host records=1 by_uid=0 proof=admin", PATIENCE).unwrap();
    assert_eq!(recovery.replace('-', "").len(), 58);
    assert!(is_sealed(&desk));
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(login(&desk, &desk.next()), "accepted");
    assert_eq!(login(&desk, &desk.phone.last_code()), "replayed");
    assert_eq!(login(&desk, &desk.phone.wrong()), "wrong");
    let well = status(&desk.site);
    let expected = serde_json::json!({"keeper": "host", "unseals": true, "unpacked": true, "sealed": 1, "plain": 0,
        "other_keys": 0, "unreadable": 0});
    assert_eq!(well, expected);
    // A user who enrolls now is sealed from the beginning; an app that is added, too.
    let bob = TestUser::new("bob");
    let phone = Phone::enroll(&desk.site, &bob.name);
    let credentials = fs::read_to_string(desk.site.credentials(&bob.name)).unwrap();
    assert!(credentials.contains("\nsealed = ") && !credentials.contains("\nsecret = "), "{credentials}");
    assert_eq!(login_of(&desk.service, &bob.name, &phone.next_code()), "accepted");
    // Of two runs, one is refused.
    let mut holder = Command::new("flock");
    holder.arg(desk.site.config()).args(["sh", "-c", "echo; read -r end"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut other = holder.spawn().unwrap();
    other.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let refused = seal(&desk.site, &["--rotate", "--yes"], "");
    assert!(refused.code == Some(4) && refused.err.contains("another `admin seal` is running"), "{refused:?}");
    drop(other.stdin.take());
    other.wait().unwrap();
    // Again: nothing to do.
    let again = seal(&desk.site, &["--yes"], "");
    assert_eq!(again.out, "0 records were sealed; the key of this host keeps the key\n", "{again:?}");
}

#[test]
fn without_the_key_codes_are_refused_with_a_hint_and_recovery_codes_are_not() {
    let desk = Desk::new("");
    let keys = desk.site.with_own_seal_keys();
    sealed(&desk);
    fs::remove_file(&keys).unwrap();
    assert_eq!(login(&desk, &desk.next()), "sealed-no-key");
    assert_eq!(login(&desk, &desk.phone.wrong()), "sealed-no-key");
    assert_eq!(login(&desk, &desk.phone.recovery_code()), "accepted");
    let told = Outcome::of(desk.site.admin_command().arg("check"), "");
    assert!(
        told.code == Some(1) && told.out.contains("seeds are sealed, and") && told.out.contains("--unpack"),
        "{told:?}"
    );
    assert_eq!(seal(&desk.site, &["--status"], "").code, Some(1));
    // No seed is written in plain text meanwhile, and what needs none is done.
    for (arguments, code) in [(["require", &desk.user.name], 4), (["unlock", &desk.user.name], 0)] {
        let done = Outcome::of(desk.site.admin_command().args(arguments), "");
        assert_eq!(done.code, Some(code), "{done:?}");
    }
    assert!(is_sealed(&desk));
    let unpacked = seal(&desk.site, &["--unpack"], "");
    assert_eq!(unpacked.out, format!("the key is in {}\n", keys.display()), "{unpacked:?}");
    assert_eq!(login(&desk, &desk.next()), "accepted");
    for spoil in ["0440", "0404"] {
        machine::run(Command::new("chmod").arg(spoil).arg(&keys));
        assert_eq!(login(&desk, &desk.next()), "sealed-no-key", "{spoil}");
    }
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o400)).unwrap();
    machine::run(Command::new("chown").arg(&desk.user.name).arg(&keys));
    assert_eq!(login(&desk, &desk.next()), "sealed-no-key");
    machine::run(Command::new("chown").arg("root").arg(&keys));
    let bytes = fs::read(&keys).unwrap();
    for length in [0, 10, 16, 30, bytes.len() - 1] {
        overwrite(&keys, &bytes[..length]);
        assert!(login(&desk, &desk.next()).starts_with("sealed-"), "{length}");
    }
}

#[test]
fn a_new_key_takes_the_place_of_the_old_one_and_all_is_taken_back() {
    let desk = Desk::new("");
    let keys = desk.site.with_own_seal_keys();
    let first = sealed(&desk);
    let (before, old) = (text(&desk), fs::read(&keys).unwrap());
    let rotated = seal(&desk.site, &["--rotate", "--yes", "--json"], "");
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    assert_ne!(rotated.json()[0]["recovery_key"].as_str().unwrap(), first);
    let new = fs::read(&keys).unwrap();
    assert!(new.len() == old.len() && new != old, "one key, and another one");
    assert!(is_sealed(&desk) && text(&desk) != before);
    assert_eq!(login(&desk, &desk.next()), "accepted");
    // The seed of before, alone: another key, and then another enrollment.
    let line = |text: &str| text.lines().find(|line| line.starts_with("sealed = ")).unwrap().to_owned();
    let good = text(&desk);
    overwrite(desk.site.credentials(&desk.user.name), good.replace(&line(&good), &line(&before)));
    assert_eq!(login(&desk, &desk.next()), "sealed-other-key");
    overwrite(desk.site.credentials(&desk.user.name), &good);
    let mark = syslog::mark();
    let off = seal(&desk.site, &["--off", "--yes"], "");
    syslog::wait_for(mark, "unsealed keeper=host records=1 by_uid=0 proof=admin", PATIENCE).unwrap();
    assert_eq!(off.out, "the seeds of 1 record are in plain text, and the key is removed\n", "{off:?}");
    assert!(!is_sealed(&desk) && !keys.exists() && !desk.site.config().with_file_name("seal").exists());
    assert_eq!(login(&desk, &desk.next()), "accepted");
    assert_eq!(status(&desk.site)["keeper"], Value::Null);
    let not = seal(&desk.site, &["--rotate", "--yes"], "");
    assert!(not.code == Some(4) && not.err.contains("seeds are not sealed"), "{not:?}");
}

#[test]
fn a_recovery_key_opens_what_comes_from_another_machine() {
    let (here, there) = (Desk::new(""), Desk::new(""));
    here.site.with_own_seal_keys();
    let recovery = sealed(&there);
    // A restore: the records, and neither keeper nor key.
    for (from, to) in [
        (there.site.credentials(&there.user.name), here.site.credentials(&there.user.name)),
        (there.site.state_file(&there.user.name), here.site.state_file(&there.user.name)),
    ] {
        machine::run(Command::new("cp").arg("--preserve=all").args([from, to]));
    }
    assert_eq!(login_of(&here.service, &there.user.name, &there.next()), "sealed-no-key");
    let new = seal(&here.site, &["--host", "--yes"], "");
    assert!(new.code == Some(4) && new.err.contains("--recovery-key"), "{new:?}");
    let wrong = recovery.replacen(recovery.get(..1).unwrap(), if recovery.starts_with('A') { "B" } else { "A" }, 1);
    let wrong = seal(&here.site, &["--recovery-key", "--host", "--stdin"], &format!("{wrong}\n"));
    assert!(wrong.code == Some(4) && wrong.err.contains("a letter is wrong"), "{wrong:?}");
    let done = seal(&here.site, &["--recovery-key", "--host", "--stdin"], &format!("{}\n", recovery.to_lowercase()));
    assert_eq!(done.out, "1 record was sealed; the key of this host keeps the key\n", "{done:?}");
    assert_eq!(login_of(&here.service, &there.user.name, &there.next()), "accepted");
    assert!(is_sealed(&here), "and the others are sealed under it");
    assert_eq!(login(&here, &here.next()), "accepted");
}

#[test]
fn a_key_file_keeps_the_key_where_there_is_no_systemd() {
    let desk = Desk::new("");
    let keys = desk.site.with_own_seal_keys();
    let file = desk.site.config().with_file_name("kept elsewhere");
    let path = file.to_str().unwrap();
    let done = seal(&desk.site, &["--key-file", path, "--yes"], "");
    assert!(done.out.ends_with(&format!("1 record was sealed; the file {path} keeps the key\n")), "{done:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    fs::remove_file(&keys).unwrap();
    assert_eq!(seal(&desk.site, &["--unpack", "--quiet"], "").code, Some(0));
    assert_eq!(login(&desk, &desk.next()), "accepted");
    // Another keeper: the file goes.
    let moved = seal(&desk.site, &["--host", "--yes"], "");
    assert_eq!(moved.out, "0 records were sealed; the key of this host keeps the key\n", "{moved:?}");
    assert!(!file.exists() && status(&desk.site)["keeper"] == "host");
    assert_eq!(login(&desk, &desk.next()), "accepted");
    let foreign = seal(&desk.site, &["--key-file", "/etc/hostname", "--yes"], "");
    assert_ne!(foreign.code, Some(0), "a file that is there is not overwritten: {foreign:?}");
    assert!(fs::read_to_string("/etc/hostname").is_ok_and(|name| !name.contains("pam_otp keys")));
}

#[test]
fn every_command_that_writes_a_record_seals_it_again() {
    let desk = Desk::new("");
    sealed(&desk);
    let (site, user) = (&desk.site, desk.user.name.as_str());
    let renamed = machine::unique("renamed");
    let day = ["--until", "2099-01-01"];
    for arguments in [
        vec!["require", user],
        vec!["exempt", "--yes", day[0], day[1], user],
        vec!["unrequire", "--yes", user],
        vec!["issue", user],
        vec!["revoke", user],
        vec!["restored", "--yes"],
    ] {
        let before = text(&desk);
        let done = Outcome::of(site.admin_command().args(&arguments), "");
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        assert!(is_sealed(&desk) && text(&desk) != before, "{arguments:?}");
    }
    assert_eq!(login(&desk, &desk.phone.recovery_code()), "accepted");
    let own = Outcome::of(
        site.own_command(user).args(["rename", "1", "old phone", "--stdin"]),
        &format!("{}\n", desk.phone.recovery[5]),
    );
    assert_eq!(own.code, Some(0), "{own:?}");
    assert!(is_sealed(&desk) && text(&desk).contains("old phone"));

    // To another number, and to another name.
    users::change(Command::new("usermod").args(["-u", &(desk.user.uid + 7300).to_string(), user]));
    assert_eq!(Outcome::of(site.admin_command().args(["adopt", "--yes", user]), "").code, Some(0));
    users::change(Command::new("usermod").args(["-l", &renamed, user]));
    assert_eq!(Outcome::of(site.admin_command().args(["rename", "--yes", user, &renamed]), "").code, Some(0));
    let credentials = fs::read_to_string(site.credentials(&renamed)).unwrap();
    assert!(credentials.contains("\nsealed = ") && !credentials.contains("\nsecret = "), "{credentials}");

    // To another host, whose seeds are in plain text, and back.
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    let password = folder.path().join("password");
    fs::write(&password, "a long enough passphrase\n").unwrap();
    let uri = Outcome::of(site.admin_command().args(["export", "uri", &renamed, "--to", "-"]), "");
    assert!(uri.out.contains(&desk.phone.app.secret), "{uri:?}");
    let (bundle, password) = (bundle.to_str().unwrap(), password.to_str().unwrap());
    let passphrase = ["--passphrase-file", password];
    let out = Outcome::of(site.admin_command().args(["export", &renamed, "--to", bundle]).args(passphrase), "");
    assert_eq!(out.code, Some(0), "{out:?}");
    let elsewhere = Site::new("");
    let arrived =
        Outcome::of(elsewhere.admin_command().args(["import", "bundle", "--yes", bundle]).args(passphrase), "");
    assert_eq!(arrived.code, Some(0), "{arrived:?}");
    assert!(fs::read_to_string(elsewhere.credentials(&renamed)).unwrap().contains(&desk.phone.app.secret));
    let back =
        Outcome::of(site.admin_command().args(["import", "bundle", "--replace", "--yes", bundle]).args(passphrase), "");
    assert_eq!(back.code, Some(0), "{back:?}");
    let sealed = fs::read_to_string(site.credentials(&renamed)).unwrap();
    assert!(sealed.contains("\nsealed = "), "{sealed}");

    // Without the key none of them goes on with half of what it needs.
    fs::remove_file(site.seal_keys()).unwrap();
    for arguments in [
        vec!["export", "uri", &renamed, "--to", "-"],
        vec!["import", "bundle", "--replace", "--yes", bundle, passphrase[0], password],
        vec!["restored", "--yes"],
        vec!["issue", &renamed],
    ] {
        let done = Outcome::of(site.admin_command().args(&arguments), "");
        assert!(
            done.code != Some(0) && format!("{done:?}").contains("the key is not there"),
            "{arguments:?}: {done:?}"
        );
    }
    assert_eq!(fs::read_to_string(site.credentials(&renamed)).unwrap(), sealed);
}

#[test]
fn a_seed_of_another_user_or_device_is_refused() {
    let (alice, bob) = (Desk::new(""), TestUser::new("bob"));
    let phone = Phone::enroll(&alice.site, &bob.name);
    alice.site.with_own_seal_keys();
    assert_eq!(seal(&alice.site, &["--host", "--yes"], "").code, Some(0));
    let (of_alice, of_bob) = (alice.site.credentials(&alice.user.name), alice.site.credentials(&bob.name));
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let line = |text: &str| text.lines().find(|line| line.starts_with("sealed = ")).unwrap().to_owned();
    let (first, second) = (read(&of_alice), read(&of_bob));
    overwrite(&of_alice, first.replace(&line(&first), &line(&second)));
    overwrite(&of_bob, second.replace(&line(&second), &line(&first)));
    for code in [alice.next(), phone.next_code()] {
        assert_eq!(login(&alice, &code), "sealed-altered");
        assert_eq!(login_of(&alice.service, &bob.name, &code), "sealed-altered");
    }
    let cut = line(&first);
    overwrite(&of_alice, first.replace(&cut, &format!("{}\"", cut.get(..cut.len() - 3).unwrap())));
    assert_eq!(login(&alice, &alice.next()), "sealed-altered");
}
