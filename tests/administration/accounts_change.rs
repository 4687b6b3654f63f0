//! Accounts that get another number, go, or come back: `admin adopt`, `purge`, and the hook for deluser and userdel.

use pam_otp_tests::{
    desk::Desk,
    hardware_token::HardwareToken,
    machine,
    outcome::Outcome,
    phone::Phone,
    pty::Pty,
    site::Site,
    syslog,
    users::{self, TestUser, account_lock},
};
use std::{fs, process::Command, time::Duration};

fn admin(site: &Site, arguments: &[&str]) -> Outcome {
    Outcome::of(site.admin_command().args(arguments), "")
}

fn let_in(desk: &Desk, code: &str) -> bool {
    desk.talk().run(&[code]).result("authenticate") == "PAM_SUCCESS"
}

#[test]
fn who_got_another_number_keeps_the_device_and_what_was_used() {
    let desk = Desk::new("");
    let (name, old) = (desk.user.name.as_str(), desk.user.uid);
    let used = desk.next();
    assert!(let_in(&desk, &used));
    let same = admin(&desk.site, &["adopt", "--yes", name]);
    assert_eq!(same.out, format!("{name}: the record has uid {old} already\n"));
    let new = old + 7000;
    users::change(Command::new("usermod").args(["-u", &new.to_string(), name]));
    assert!(!let_in(&desk, &desk.next()));
    let refused = admin(&desk.site, &["show", name]);
    assert!(refused.err.contains("otp-enroll admin adopt"), "{refused:?}");

    let asked = Outcome::of(desk.site.admin_command().args(["adopt", name]), "");
    assert!(asked.code == Some(2) && asked.err.contains("--yes"), "{asked:?}");
    let mark = syslog::mark();
    let config = desk.site.config().to_str().unwrap();
    let mut terminal = Pty::new("otp-enroll").args(["--config", config, "admin", "adopt", name]).start();
    let seen = terminal.wait_for("[y/N] ").replace("\r\n", " ").replace('\n', " ");
    assert!(seen.contains(&format!("Give the record of uid {old} to {name}, uid {new}?")), "{seen}");
    terminal.send_line("y");
    terminal.wait_for(&format!("{name}: the record has uid {new} now"));
    syslog::wait_for(mark, &format!("adopted user={name} by_uid=0"), Duration::from_secs(5)).unwrap();
    assert!(!let_in(&desk, &used), "used codes stay used");
    assert!(let_in(&desk, &desk.next()));
}

#[test]
fn a_record_whose_user_is_renamed_and_renumbered_moves_in_one_go() {
    let desk = Desk::new("");
    let (old, new) = (desk.user.name.clone(), machine::unique("both"));
    let number = (desk.user.uid + 7100).to_string();
    users::change(Command::new("usermod").args(["-l", &new, "-u", &number, &old]));
    let done = admin(&desk.site, &["rename", "--yes", &old, &new]);
    assert!(done.out.ends_with(&format!("{new}: has the record of {old} now\n")), "{done:?}");
    let said = pam_otp_tests::conversation::Talk::new(&desk.service, &new).run(&[&desk.next()]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
}

#[test]
fn records_of_accounts_that_are_gone_are_listed_and_removed() {
    let (desk, gone) = (Desk::new(""), TestUser::new("gone"));
    Phone::enroll(&desk.site, &gone.name);
    let (renamed, new, at_home) = (TestUser::new("renamed"), machine::unique("anew"), TestUser::new("home"));
    Phone::enroll(&desk.site, &renamed.name);
    Phone::enroll(&desk.site, &at_home.name);
    {
        let _one_at_a_time = account_lock();
        machine::run(Command::new("userdel").args(["--remove", &gone.name]));
        machine::run(Command::new("userdel").arg(&at_home.name));
        machine::run(Command::new("usermod").args(["-l", &new, &renamed.name]));
    }
    let dry = admin(&desk.site, &["purge", "--dry-run"]);
    assert_eq!(dry.out, format!("{}: the account is gone\n\n1 would be removed; nothing was changed.\n", gone.name));
    assert!(dry.err.contains(&format!("otp-enroll admin rename {} {new}", renamed.name)), "{dry:?}");
    assert!(desk.site.credentials(&gone.name).exists());
    assert_eq!(admin(&desk.site, &["purge"]).code, Some(2), "it asks, and nobody is there");
    let done = admin(&desk.site, &["purge", "--yes"]);
    assert!(done.code == Some(0) && !desk.site.credentials(&gone.name).exists(), "{done:?}");
    assert!(desk.site.credentials(&at_home.name).exists(), "its home is there: it may be renamed and renumbered");
    assert!(desk.site.credentials(&renamed.name).exists() && desk.site.credentials(&desk.user.name).exists());
    assert_eq!(admin(&desk.site, &["purge", "--yes"]).out, "No record is removed.\n");
}

#[test]
fn where_no_account_is_known_nothing_is_purged() {
    let site = Site::new("");
    let users = [(); 2].map(|()| TestUser::new("away"));
    users.iter().for_each(|user| drop(Phone::enroll(&site, &user.name)));
    {
        let _one_at_a_time = account_lock();
        users.iter().for_each(|user| drop(machine::run(Command::new("userdel").args(["--remove", &user.name]))));
    }
    let refused = admin(&site, &["purge", "--yes"]);
    assert!(refused.code == Some(4) && refused.err.contains("the name service may be at fault"), "{refused:?}");
    assert!(users.iter().all(|user| site.credentials(&user.name).exists()));
}

/// The hook knows the configuration of the machine alone.
#[test]
fn the_hook_removes_the_record_with_the_account() {
    let site = Site::of_the_machine();
    let hook = "/usr/local/share/doc/pam_otp/examples/hooks/account-removed";
    let places = ["/etc/shadow-maint/userdel-post.d/pam_otp", "/usr/local/sbin/deluser.local"];
    let leavers = [(); 2].map(|()| TestUser::new("leaver"));
    leavers.iter().for_each(|user| drop(Phone::enroll(&site, &user.name)));
    let mark = syslog::mark();
    {
        // No other test removes an account while the hook is there.
        let _one_at_a_time = account_lock();
        for place in places {
            machine::run(Command::new("install").args(["-D", "-m", "0755", hook, place]));
        }
        for (command, user) in ["userdel", "deluser"].iter().zip(&leavers) {
            machine::run(Command::new(command).arg(&user.name));
        }
        places.iter().for_each(|place| fs::remove_file(place).unwrap());
    }
    for user in &leavers {
        assert!(!site.credentials(&user.name).exists(), "{}", user.name);
        syslog::wait_for(mark, &format!("disabled user={} by_uid=0", user.name), Duration::from_secs(5)).unwrap();
    }
}

#[test]
fn doctor_notes_a_home_that_is_younger_than_its_record() {
    let desk = Desk::new("");
    let found = |desk: &Desk| admin(&desk.site, &["doctor", "--json"]).out;
    let note = format!("the home folders of {} are younger than their devices", desk.user.name);
    assert!(!found(&desk).contains(&note));
    let text = fs::read_to_string(desk.site.credentials(&desk.user.name)).unwrap();
    let created = text.lines().find(|line| line.starts_with("created = ")).unwrap();
    desk.site.edit(&desk.user.name, created, "created = 1600000000");
    assert!(found(&desk).contains(&note));
}

#[test]
fn after_a_restore_no_code_works_that_may_have_been_used_since() {
    let desk = Desk::new("");
    let (name, fob) = (desk.user.name.as_str(), HardwareToken::hotp(9));
    let mut add = desk.site.admin_command();
    add.args(["add", name, "fob", "--stdin"]).args(fob.options());
    assert_eq!(Outcome::of(&mut add, &format!("{}\n", fob.hex)).code, Some(0));
    let backup = machine::unique("backup");
    let backup = format!("/run/{backup}");
    machine::run(Command::new("cp").args(["-a", desk.site.state().to_str().unwrap(), &backup]));
    // What happens after the backup: logins, and a phone that is lost.
    let (code, token, recovery) = (desk.next(), fob.code(0), desk.phone.recovery_code());
    for used in [&code, &token, &recovery] {
        assert!(let_in(&desk, used));
    }
    admin(&desk.site, &["reset", "--yes", name]);
    let is_behind = || {
        let doctor = admin(&desk.site, &["doctor", "--json"]).out;
        let check = admin(&desk.site, &["check", "--json"]).out;
        [doctor, check].map(|said| said.contains("the records are older than this host has seen"))
    };
    assert_eq!(is_behind(), [false; 2]);

    let state = desk.site.state().to_str().unwrap();
    machine::run(Command::new("cp").args(["-a", &format!("{backup}/."), state]));
    assert_eq!(is_behind(), [true; 2]);
    let told = admin(&desk.site, &["unlock", name]);
    assert!(told.err.contains("otp-enroll admin restored"), "{told:?}");
    assert_eq!(admin(&desk.site, &["restored"]).code, Some(2), "it asks, and nobody is there");

    let mark = syslog::mark();
    let restored = admin(&desk.site, &["restored", "--yes"]);
    assert!(restored.out.starts_with(&format!("{name}: fob waits for a resync\n")), "{restored:?}");
    syslog::wait_for(mark, &format!("restored user={name} by_uid=0"), Duration::from_secs(5)).unwrap();
    assert_eq!(is_behind(), [false; 2]);
    assert!(!let_in(&desk, &code) && !let_in(&desk, &token) && !let_in(&desk, &fob.code(1)));
    assert!(let_in(&desk, &recovery), "that is what the command says");
    assert!(admin(&desk.site, &["show", name]).out.contains("waits for a resync"));
    assert!(admin(&desk.site, &["doctor", "--json"]).out.contains("wait for a resync since records were restored"));
    let codes = format!("{}\n{}\n", fob.code(5), fob.code(6));
    let resync = Outcome::of(desk.site.admin_command().args(["resync", name, "fob", "--stdin"]), &codes);
    assert_eq!(resync.code, Some(0), "{resync:?}");
    assert!(let_in(&desk, &fob.code(7)));
    assert!(!let_in(&desk, &desk.phone.code(2)), "the window of the tests reaches ten steps ahead");

    admin(&desk.site, &["restored", "--void-recovery", "--yes"]);
    assert!(!let_in(&desk, &desk.phone.recovery_code()));
}
