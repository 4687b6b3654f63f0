//! What an administrator reads, each text as it stands in `snapshots`.

use pam_otp_tests::{
    app::Enrolled,
    conversation::Talk,
    outcome::Outcome,
    service::Service,
    session::{Session, dates},
    site::Site,
    users::TestUser,
};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

/// `otp-enroll` of root at a site, as a person would type it.
fn typed(session: &mut Session, site: &Site, line: &str, input: &str) {
    let mut command = Command::new("otp-enroll");
    command.arg("--config").arg(site.config()).args(line.split(' '));
    session.run(&format!("otp-enroll {line}"), &mut command, input);
}

fn names(session: &mut Session, site: &Site) {
    session.name(&site.config().display().to_string(), "/etc/pam_otp/pam_otp.toml");
    session.name(&site.state().display().to_string(), "/var/lib/pam_otp");
}

#[test]
fn the_help_of_every_command() {
    let mut session = Session::default();
    let mut commands = vec![String::new()];
    while let Some(command) = commands.pop() {
        let mut otp_enroll = Command::new("otp-enroll");
        otp_enroll.args(command.split_whitespace()).arg("--help");
        let help = session.run(&format!("otp-enroll{command} --help"), &mut otp_enroll, "").out;
        let takes_user = !command.starts_with(" admin");
        assert_eq!(help.matches("--user <USER>").count(), usize::from(takes_user), "{command}");
        let list = help.split("\nCommands:\n").nth(1).unwrap_or_default().lines();
        let found = list.take_while(|line| !line.is_empty()).filter_map(|line| {
            let name = line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty() && *name != "help")?;
            Some(format!("{command} {name}"))
        });
        let found: Vec<String> = found.collect();
        commands.extend(found.into_iter().rev());
    }
    let short = Outcome::of(Command::new("otp-enroll").arg("-h"), "").out;
    let text = session.text();
    assert!(text.starts_with(&format!("$ otp-enroll --help\n{short}")), "one text for both");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "wider than a terminal");
    assert!(text.matches("$ otp-enroll").count() > 20, "{text}");
    insta::assert_snapshot!("help", text);
}

#[test]
fn users_and_what_they_have() {
    let [tess, tom, _tim] = ["tess", "tom", "tim"].map(TestUser::named);
    let site = Site::new("[lockout]\nafter = 6\nfor = \"1h\"\n");
    let mut session = Session::among(&["tess", "tom", "tim"]);
    names(&mut session, &site);
    let enroll = |user: &TestUser| {
        let mut command = Command::new("otp-enroll");
        Enrolled::by(command.arg("--config").arg(site.config()).args(["--user", &user.name, "--json"]))
    };
    typed(&mut session, &site, "admin list", "");
    let (of_tess, _of_tom) = (enroll(&tess), enroll(&tom));
    for line in
        ["admin list", "admin show tess", "admin show tim", "admin require tim", "admin require tim", "admin list"]
    {
        typed(&mut session, &site, line, "");
    }
    session.note("Six wrong codes");
    for _ in 0..6 {
        let mut test = Command::new("otp-enroll");
        test.arg("--config").arg(site.config()).args(["--user", "tess", "test", "--stdin"]);
        Outcome::of(&mut test, &of_tess.app.wrong());
    }
    for line in [
        "admin list",
        "admin list --json",
        "admin show tess",
        "admin list --without-device",
        "admin unlock tess",
        "admin unlock tess",
        "admin unrequire tim",
        "admin exempt tim",
        "admin show tim",
        "admin forget-addresses tess",
        "admin reset tess",
        "admin reset --yes tess",
        "admin disable --yes tom",
        "admin disable --yes tom",
        "admin list",
        "admin show nobody-there",
        "admin require tess nobody-there",
        "admin require",
        "--user tess admin list",
        "admin check",
        "admin nonsense",
    ] {
        typed(&mut session, &site, line, "");
    }
    insta::assert_snapshot!("users", dates(&session.text()));
}

#[test]
fn what_decides_about_a_login() {
    let _users = ["vera", "vic"].map(TestUser::named);
    let site = Site::new("");
    let mut session = Session::among(&["vera", "vic"]);
    names(&mut session, &site);
    let mut command = Command::new("otp-enroll");
    Enrolled::by(command.arg("--config").arg(site.config()).args(["--user", "vera", "--json"]));
    let rules = "[[policy.rule]]\nnetwork = \"192.0.2.0/24\"\nservice = \"sshd\"\n\
                 second_factor = \"required\"\nrequired_from = 2099-01-31\n";
    site.set(rules);
    for line in [
        "admin explain vic --rhost 192.0.2.7 --tty /dev/pts/1",
        "admin explain vera --rhost 192.0.2.7 --tty /dev/pts/1",
        "admin explain vic --service sudo",
        "admin explain vic --rhost host.example.org",
        "admin explain vic --rhost fe80::1%eth0",
        "admin explain vic --nullok",
        "admin explain --json vic",
        "admin require vic",
        "admin explain vic",
        "admin explain vic --nullok",
        "admin unrequire vic",
        "admin explain",
        "admin explain nobody-there",
    ] {
        typed(&mut session, &site, line, "");
    }
    for policy in ["required", "enroll", "skip"] {
        session.note(&format!("second_factor = {policy:?}"));
        site.set(&format!("[policy]\nsecond_factor = \"{policy}\"\n"));
        typed(&mut session, &site, "admin explain vera", "");
        typed(&mut session, &site, "admin explain vic", "");
    }
    session.note("enforce = false");
    site.set_with_table("enforce = false\n[policy]\nsecond_factor = \"required\"");
    typed(&mut session, &site, "admin explain vic", "");
    typed(&mut session, &site, "admin report", "");
    session.note("What cannot be read");
    site.set("[[policy.rule]]\ngroup = \"no-such-group\"\nsecond_factor = \"required\"\n");
    typed(&mut session, &site, "admin explain vic", "");
    typed(&mut session, &site, "admin check", "");
    site.set("[policy]\nsecond_factr = \"required\"\n");
    typed(&mut session, &site, "admin explain vic", "");
    typed(&mut session, &site, "admin check", "");
    insta::assert_snapshot!("explain", dates(&session.text()));
}

#[test]
fn what_a_rollout_reports() {
    let _users = ["rosa", "rudi"].map(TestUser::named);
    let site = Site::new("");
    site.set_example("rollout");
    let service = Service::private(&site.auth("required", ""));
    let mut session = Session::among(&["rosa", "rudi"]);
    names(&mut session, &site);
    session.name(service.name(), "vpn");
    let mut command = Command::new("otp-enroll");
    let rosa = Enrolled::by(command.arg("--config").arg(site.config()).args(["--user", "rosa", "--json"]));
    typed(&mut session, &site, "admin report", "");
    for answer in [rosa.app.wrong(), "nonsense".to_owned()] {
        Talk::new(&service, "rosa").rhost("192.0.2.7").run(&[answer]);
        typed(&mut session, &site, "admin report", "");
    }
    typed(&mut session, &site, "admin report --json", "");
    insta::assert_snapshot!("report", dates(&session.text()));
}

#[test]
fn an_import() {
    let _users = ["ida", "ivo"].map(TestUser::named);
    let site = Site::new("");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.oath");
    let put = |text: &str, mode: u32| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    let mut session = Session::among(&["ida", "ivo"]);
    names(&mut session, &site);
    session.name(&file.display().to_string(), "/etc/users.oath");
    let key = "3132333435363738393031323334353637383930"; // RFC 4226, Appendix D
    let shown = file.display().to_string();
    let import = |session: &mut Session, options: &str| {
        typed(session, &site, format!("admin import oath {options}{shown}").as_str(), "");
    };
    // One user: several are told in no order.
    put(&format!("HOTP/T30 ida - {key}\n"), 0o600);
    import(&mut session, "--dry-run ");
    import(&mut session, "");
    import(&mut session, "");
    put(&format!("HOTP/T30 ida 1234 {key}\nHOTP/T45 ivo - {key}\nHOTP nobody-there - {key}\nHOTP ivo - xyz\n"), 0o644);
    import(&mut session, "");
    insta::assert_snapshot!("import", dates(&session.text()));
}
