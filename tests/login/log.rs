//! The log is silent about what is secret.

use pam_otp_tests::{desk::Desk, syslog};
use std::fs;

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
