//! The lines of the log: whole, whatever is in them, and silent about what is secret.

use pam_otp_tests::{
    desk::{Desk, logged},
    syslog,
};
use std::fs;

#[test]
fn what_comes_from_outside_ends_no_line_and_no_value_of_the_log() {
    let desk = Desk::new("");
    let hostile = "192.0.2.1\naccepted user=root factor=\"totp\" \u{1b}[2J\u{e9}";
    let written = r"192.0.2.1\x0aaccepted\x20user\x3droot\x20factor\x3d\x22totp\x22\x20\x1b[2J\xc3\xa9";
    let name = &desk.user.name;

    let (_, log) = logged(&desk.talk().rhost(hostile), &[&desk.phone.wrong()]);
    assert_eq!(log, [format!("notice refused user={name} rhost={written} why=wrong failures=1")]);
    let (_, log) = logged(&desk.talk().rhost(hostile), &[&desk.next()]);
    assert_eq!(log, [format!("info accepted user={name} rhost={written} factor=totp device=1 recovery_left=10")]);
    let (_, log) = logged(&desk.talk().user(hostile).rhost("::1"), &["123456"]);
    assert_eq!(log, [format!("notice refused user={written} rhost=::1 why=unknown-user")]);
    let (_, log) = logged(&desk.talk().user(hostile).rhost(hostile), &[]);
    let line =
        "error=\"the conversation gave no answer\" hint=\"the client went away, or cannot answer a second prompt\"";
    assert_eq!(log, [format!("err error user={written} rhost={written} {line}")]);
    // A format of printf's is text like any other.
    let (_, log) = logged(&desk.talk().user("%s%n%n%x"), &["123456"]);
    assert_eq!(log, ["notice refused user=%s%n%n%x why=unknown-user"]);
    desk.site.set("[policy]\nsecond_factor = \"skip\"\n");
    let (_, log) = logged(&desk.talk().rhost(hostile), &[]);
    assert_eq!(log, [format!("info not-asked user={name} rhost={written} second_factor=skip by=default")]);
}

#[test]
fn neither_a_code_nor_a_seed_nor_what_was_typed_is_ever_logged() {
    let mark = syslog::mark();
    let desk = Desk::new("[lockout]\nafter = 3\n");
    desk.service.set(&desk.site.auth("required", "debug"));
    let (wrong, right) = (desk.phone.wrong(), desk.next());
    let (password, recovery) = (desk.user.password.clone(), desk.phone.recovery_code());
    let typed = [&right, &right, &wrong, &password, &recovery, &recovery, &wrong, &wrong, &wrong, &wrong];
    let mut pids = Vec::new();
    for answer in typed {
        pids.push(desk.talk().run(&[answer]).pid);
    }
    let path = desk.site.credentials(&desk.user.name);
    let text = fs::read_to_string(&path).unwrap();
    for broken in [text.replacen("secret = \"", "secret = \"1", 1), text.replacen("secret = ", "secret: ", 1)] {
        pam_otp_tests::site::overwrite(&path, broken);
        pids.push(desk.talk().run(&[&right]).pid);
    }
    let lines = pids.iter().flat_map(|pid| syslog::of_module(mark, *pid));
    let lines: Vec<String> =
        lines.chain(syslog::lines_since(mark).into_iter().filter(|line| line.contains("otp-enroll"))).collect();
    assert!(lines.iter().any(|line| line.starts_with("debug ")) && lines.len() > typed.len(), "{lines:#?}");
    let phone = &desk.phone;
    let mut secrets = vec![phone.app.secret.clone(), phone.hex.clone(), right, wrong, password];
    secrets.extend(phone.recovery.clone());
    secrets.extend(phone.recovery.iter().map(|code| code.replace('-', "")));
    for secret in &secrets {
        // Not even a part of it: the first half of a seed is half of a seed.
        let part = secret.get(..8).unwrap_or(secret);
        let found = lines.iter().find(|line| line.to_lowercase().contains(&part.to_lowercase()));
        assert_eq!(found, None, "{part}");
    }
}
