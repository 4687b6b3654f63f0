//! A user whose number was changed: the way out in docs/locked-out.md leads out.

use std::process::Command;

use pam_otp_tests::{desk::Desk, machine, outcome::Outcome};

#[test]
fn a_changed_user_id_has_a_way_out_that_keeps_the_device() {
    let desk = Desk::new("");
    let name = desk.user.name.clone();
    let uid: u32 = machine::run(Command::new("id").args(["-u", &name])).trim().parse().unwrap();
    let other = (uid + 7000).to_string();
    machine::run(Command::new("usermod").args(["-u", &other, &name]));
    let show = || Outcome::of(desk.site.admin_command().args(["show", &name]), "");
    let first = show();
    assert!(first.err.contains(&format!("belongs to uid {uid}, not to its user")), "{first:?}");
    assert!(first.err.replace("\n  ", " ").contains("locked-out.md"), "{first:?}");
    let files = [desk.site.credentials(&name), desk.site.state_file(&name)];
    machine::run(Command::new("chown").arg(format!("{name}:")).args(&files));
    let second = show();
    assert!(second.err.contains("was made for") && second.err.contains("locked-out.md"), "{second:?}");
    machine::run(Command::new("sed").arg("-i").arg(format!("s/^uid = .*/uid = {other}/")).arg(&files[0]));
    machine::run(Command::new("chown").arg(format!("{name}:")).args(&files));
    let third = show();
    assert_eq!(third.code, Some(0), "{third:?}");
    assert_eq!(desk.talk().run(&[&desk.next()]).result("authenticate"), "PAM_SUCCESS");
}
