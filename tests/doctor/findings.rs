//! What `otp-enroll admin doctor` says of PAM files and sshd, beside what libpam and sshd do.

use pam_otp_tests::{
    conversation::Talk, distributions::FEDORA_PASSWORD_AUTH, machine, outcome::Outcome, phone::Phone, service::Service,
    site::Site, users::TestUser,
};
use std::{fs, process::Command};

use crate::clinic::Clinic;

#[test]
fn each_mistake_is_named_with_its_line() {
    let clinic = Clinic::new("");
    let included = "@include common-auth\nauth required pam_otp.so\n";
    let long = format!("{included}# {}", "of a comment ".repeat(90));
    for (stack, expected) in [
        (included, &[][..]),
        ("auth required pam_unix.so\n", &[]),
        (
            "auth sufficient pam_unix.so\nauth required pam_otp.so\n",
            &[
                "fault vpn: vpn:1: when pam_unix.so returns success, the login ends before pam_otp.so runs",
                "warning vpn: vpn:2: a login is asked for a code after a wrong password, when pam_unix.so (vpn:1) has refused",
                "note vpn: vpn:2: a code alone, without a password, is enough",
            ],
        ),
        (
            "auth sufficient pam_rootok.so\n@include common-auth\nauth required pam_otp.so\n",
            &["note vpn: vpn:1: root needs no code (pam_rootok.so comes first)"],
        ),
        (
            "@include common-auth\nauth optional pam_otp.so\n",
            &["fault vpn: vpn:2: a wrong code does not prevent the login"],
        ),
        (
            "auth requisite pam_unix.so\nauth [authinfo_unavail=ignore default=die success=ok ignore=ignore] \\\n pam_otp.so\n",
            &["warning vpn: vpn:2: logins need no code while configuration or records cannot be read"],
        ),
        (
            "auth required pam_otp.so\n",
            &[
                "fault vpn: vpn:1: users who need no code are refused, because no other module returns success",
                "note vpn: vpn:1: a code alone, without a password, is enough",
            ],
        ),
        (
            "auth required pam_env.so\nauth required pam_faildelay.so delay=1\nauth required pam_otp.so\n",
            &[
                "fault vpn: vpn:3: users who need no code are refused, because no other module returns success",
                "note vpn: vpn:3: a code alone, without a password, is enough",
            ],
        ),
        (
            "auth required pam_otp.so\nauth required pam_permit.so\n",
            &["fault vpn: vpn:1: users who need no code get in without any check"],
        ),
        (
            "auth requisite pam_unix.so\nauth required pam_otp.so\nauth requisite pam_deny.so\n",
            &["fault vpn: vpn:2: no user can log in, even with a correct code"],
        ),
        (
            "auth requisite pam_unix.so\nauth required pam_otp.so nulok\n",
            &["fault vpn: vpn:2: the module argument \"nulok\" cannot be honoured: every login is refused"],
        ),
        (
            "auth requisite pam_unix.so\nauth required /nowhere/pam_otp.so\n",
            &["fault vpn: vpn:2: /nowhere/pam_otp.so cannot be loaded (No such file or directory): every \
               login is refused"],
        ),
        (
            "auth requisite pam_unix.so\nauth include gone\nauth required pam_otp.so\n",
            &["fault vpn: vpn:2: gone cannot be read"],
        ),
        (
            "auth requisite pam_unix.so\nauth required pam_otp.so\naccount include gone\n",
            &["fault vpn: vpn:3: gone cannot be read"],
        ),
        (
            "auth requisite pam_unix.so\n-auth required pam_nowhere.so\nauth required pam_otp.so\n",
            &["fault vpn: vpn:3: no user can log in, even with a correct code"],
        ),
        ("auth requisite pam_unix.so\n-auth optional pam_nowhere.so\nauth required pam_otp.so\n", &[]),
        (
            "auth requisite pam_unix.so\nauth required pam_otp.so\nauth optional pam_otp.so\n",
            &["warning vpn: vpn:2: a login asks for a code twice, and no code is accepted twice"],
        ),
        (
            "auth [default=1 success=ok] pam_localuser.so\nauth required pam_otp.so\nauth required pam_unix.so\n",
            &[
                "warning vpn: vpn:2: a login is asked for a code before pam_unix.so (vpn:3) asks",
                "note vpn: vpn:1: users for whom pam_localuser.so returns failure need no code",
            ],
        ),
        (
            "auth requisite pam_succeed_if.so user = bob\nauth required pam_otp.so\nauth required pam_permit.so\n",
            &["fault vpn: vpn:2: users who need no code get in without any check"],
        ),
        (
            "auth [success=1 default=ignore] pam_succeed_if.so quiet user ingroup trusted\nauth requisite pam_unix.so\n\
             auth required pam_otp.so\nauth required pam_permit.so\n",
            &[
                "warning vpn: vpn:1: users for whom pam_succeed_if.so (user ingroup trusted) returns success are asked for no \
                 password, and get in without any check if they need no code",
            ],
        ),
        (
            "auth sufficient pam_succeed_if.so user ingroup trusted\n@include common-auth\nauth required pam_otp.so\n",
            &[
                "warning vpn: vpn:1: users for whom pam_succeed_if.so (user ingroup trusted) returns success get in with neither \
                 password nor code",
            ],
        ),
        (
            // The first line skips pam_unix and pam_deny of the included file, and not the whole of it.
            "auth [success=2 default=ignore] pam_listfile.so item=user file=/f\n@include common-auth\nauth required pam_otp.so\n",
            &[
                "warning vpn: vpn:1: users for whom pam_listfile.so (item=user file=/f) returns success are asked for no password",
                "warning vpn: vpn:1: a jump of pam_listfile.so skips only a part of common-auth and goes on at line",
            ],
        ),
        (
            "auth [success=1 default=ignore] pam_succeed_if.so user ingroup trusted\n@include common-auth\n\
             auth required pam_otp.so\nauth required pam_permit.so\n",
            &["warning vpn: vpn:1: a jump of pam_succeed_if.so skips only a part of common-auth and goes on at line"],
        ),
        (
            "auth requisite pam_unix.so\naccount required pam_otp.so\n",
            &[
                "fault vpn: vpn:2: this line is in the group account, and the group auth has none: no user is asked for a code",
            ],
        ),
        (
            "auth required pam_otp.so forward_pass\nauth required pam_unix.so use_first_pass\n",
            &["warning vpn: vpn:1: a code is judged before pam_unix.so (vpn:2) checks the password"],
        ),
        ("auth requisite pam_exec.so expose_authtok /usr/local/bin/verify\nauth required pam_otp.so\n", &[]),
        (
            "auth [success=ok user_unknown=ignore default=die] pam_unix.so\nauth required pam_otp.so\n",
            &[
                "warning vpn: vpn:2: a login is asked for a code after a wrong password, when pam_unix.so (vpn:1) has refused",
                "note vpn: vpn:2: a code alone, without a password, is enough",
            ],
        ),
        (
            // A no-break space after the group; a second one, after the name.
            "@include common-auth\nauth\u{a0}required pam_otp.so\n",
            &[
                "fault vpn: vpn:2: libpam cannot parse this line and refuses every login that reaches it: a character in it \
                 looks like a blank and is none (U+00A0)",
            ],
        ),
        (
            "@include common-auth\nauth required pam_otp.so nullok\u{2003}debug\n",
            &["fault vpn: vpn:2: the module argument \"nullok\\u{2003}debug\" cannot be honoured"],
        ),
        (
            // In capitals; and a folder, which is an empty file to libpam.
            "@INCLUDE common-auth\nauth required pam_otp.so\nAUTH include /etc\n",
            &[],
        ),
        (
            "@include common-auth\nauth required pam_otp.so # not continued \\\n# nor this \\\naccount required pam_permit.so\n",
            &[],
        ),
        (
            "@include common-auth\nauth required \\\n# between\n pam_otp.so\n",
            &[
                "warning vpn: vpn:3: the line has no words and follows one that ends in a backslash: libpam since 1.6 ends that \
                 line here",
            ],
        ),
        (
            long.as_str(),
            &[
                "warning vpn: vpn:3: the line is longer than 1,022 bytes: libpam before 1.6 takes the rest for a line of its own",
            ],
        ),
        (
            "@include vpn\nauth required pam_otp.so\n",
            &[
                "fault vpn: vpn:1: vpn cannot be read: it is included without end: logins through this service are refused",
            ],
        ),
    ] {
        clinic.write("vpn", stack);
        let findings = clinic.findings(&[]);
        assert_eq!(findings.len(), expected.len(), "{stack}{findings:#?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.starts_with(expected), "{stack}{findings:#?}");
        }
    }

    let spaced = "auth requisite pam_unix.so\nauth required pam_otp.so\u{a0}nullok\n";
    fs::write(clinic.folder.path().join("vpn"), spaced).unwrap();
    let spaced = "fault vpn: vpn:2: there is no module pam_otp.so\u{a0}nullok (a character in it looks like a blank and is none: \
                  U+00A0)";
    assert!(clinic.findings(&[])[0].starts_with(spaced), "{:#?}", clinic.findings(&[]));

    // The fix is a line that asks for a password as this distribution does, and fixes it.
    let alone = "auth required pam_otp.so\nauth required pam_permit.so\n";
    for file in ["common-auth", "password-auth", "system-auth"] {
        let _ = ["common-auth", "password-auth"].map(|other| fs::remove_file(clinic.folder.path().join(other)));
        fs::copy("/etc/pam.d/common-auth", clinic.folder.path().join(file)).unwrap();
        clinic.write("vpn", alone);
        let fix = clinic.ask(&["--json"]).json()[0]["findings"][0]["fix"].as_str().unwrap().to_owned();
        let line = fix.rsplit(": ").next().unwrap();
        assert_eq!(line, format!("auth include {file}"), "{fix}");
        clinic.write("vpn", &format!("{line}\n{alone}"));
        assert!(clinic.findings(&[]).is_empty());
    }
    fs::copy("/etc/pam.d/common-auth", clinic.folder.path().join("common-auth")).unwrap();

    // As on Fedora: `done` ends what includes it, and of what has it as a substack only that.
    clinic.write("password-auth", FEDORA_PASSWORD_AUTH);
    clinic.write("vpn", "auth substack password-auth\nauth required pam_otp.so\n");
    let asked = "a login is asked for a code after a wrong password, when pam_unix.so (password-auth:3) has refused: wrong codes \
                 of people who know no password can lock users";
    assert_eq!(clinic.findings(&[]), [format!("warning vpn: vpn:2: {asked}")]);
    clinic.write("vpn", "auth include password-auth\nauth required pam_otp.so\n");
    clinic.write("vpn2", "auth include password-auth\nauth required pam_otp.so\n");
    let fault = "when pam_unix.so returns success, the login ends before pam_otp.so runs";
    let found = clinic.findings(&[]);
    assert_eq!(found[0], format!("fault vpn, vpn2: password-auth:3: {fault}"), "{found:#?}");
    fs::remove_file(clinic.folder.path().join("vpn2")).unwrap();

    // What is left of another file, and what is broken and not ours.
    clinic.write("vpn~", "auth optional pam_otp.so\n");
    clinic.write("vpn.bak", "auth optional pam_otp.so\n");
    clinic.write("foreign", "auth include gone\n");
    clinic.write("vpn", included);
    clinic.write("sudo", included);
    clinic.write("sudo-i", "auth include vpn\n");
    assert!(clinic.findings(&[]).is_empty());
    clinic.write("sudo-i", "@include common-auth\n");
    let findings = clinic.findings(&[]);
    assert_eq!(findings, ["warning sudo: `sudo -i` uses the service sudo-i, which asks for no code"]);
}

#[test]
fn an_account_group_that_accepts_no_user_is_a_fault_where_libpam_says_so() {
    let (mut alice, site) = (TestUser::new("alice"), Site::new("[policy]\nsecond_factor = \"skip\"\n"));
    alice.set_password("right");
    let service = Service::private("");
    let folder = service.confdir().unwrap();
    let auth = format!("auth requisite pam_unix.so\nauth required {}\n", site.module());
    fs::write(folder.join("common-account"), fs::read("/etc/pam.d/common-account").unwrap()).unwrap();
    let debian = format!("account include {}/common-account\n", folder.display());
    let debian = debian.as_str();
    for (account, why) in [
        (debian, None),
        ("account required pam_unix.so\n", None),
        ("account required pam_deny.so\n", Some("pam_deny.so always refuses")),
        ("", Some("pam_deny.so always refuses")), // by the service `other`
        ("account required pam_unix.so\naccount requisite pam_nowhere.so\n", Some("pam_nowhere.so does not exist")),
        ("-account required pam_nowhere.so\naccount required pam_unix.so\n", Some("pam_nowhere.so does not exist")),
        ("account optional pam_nowhere.so\naccount required pam_unix.so\n", None),
        ("account [default=ignore] pam_deny.so\naccount required pam_unix.so\n", None),
        ("account sufficient pam_unix.so\naccount required pam_deny.so\n", None),
        (
            "account [success=1 default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n",
            None,
        ),
        ("account sufficient pam_deny.so\naccount required pam_unix.so\n", None),
        ("account required\naccount required pam_unix.so\n", Some("libpam cannot parse the line")),
        ("account requird pam_unix.so\n", Some("libpam cannot parse the line")),
    ] {
        service.set(&format!("{auth}{account}"));
        let login = Talk::new(&service, &alice.name).calls("authenticate,acct_mgmt").run(&["right"]);
        assert_eq!(login.result("authenticate"), "PAM_SUCCESS", "{account}{login:?}");
        let is_refused = login.result("acct_mgmt") != "PAM_SUCCESS";
        assert_eq!(is_refused, why.is_some(), "{account}{login:?}");
        let outcome = Outcome::of(site.admin_command().args(["doctor", "--json", "--pam"]).arg(folder), "");
        let found = outcome.json()[0]["findings"].as_array().unwrap().clone();
        let told = found.iter().filter_map(|finding| finding["what"].as_str());
        let told: Vec<&str> = told.filter(|what| what.contains("is refused after the code")).collect();
        match why {
            None => assert!(told.is_empty(), "{account}{told:?}"),
            Some(why) => assert!(told.len() == 1 && told[0].contains(why), "{account}{told:?}"),
        }
    }
}

#[test]
fn a_program_with_one_field_is_not_asked_for_a_code_alone() {
    let clinic = Clinic::new("");
    let question = "@include common-auth\nauth required pam_otp.so\n@include common-account\n";
    let told = |name: &str| {
        let found = clinic.findings(&[]);
        let _ = fs::remove_file(clinic.folder.path().join(name));
        let it = format!(
            "fault {name}: {name}:2: {name} has one field and answers the question for the code with the password"
        );
        assert!(found.len() <= 1, "{found:#?}");
        found.first().is_some_and(|finding| finding.starts_with(&it))
    };
    for name in ["dovecot", "cups", "vsftpd", "i3lock", "swaylock"] {
        clinic.write(name, question);
        assert!(told(name), "{name}");
    }
    clinic.write("vpn", question);
    assert!(!told("vpn"));
    for (name, example) in [("vsftpd", "password-and-code-as-one"), ("i3lock", "screen-locker")] {
        let text =
            fs::read_to_string(format!("{}/../config/examples/pam.d/{example}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        clinic.write(name, &text);
        assert!(!told(name), "{name}");
    }
    // The box has checked the password, and sends the code alone.
    clinic.write("radiusd", "auth required pam_otp.so\nauth required pam_deny.so\n@include common-account\n");
    assert!(!clinic.findings(&[]).iter().any(|finding| finding.contains("one field")));

    let clinic = Clinic::new("[[policy.rule]]\nservice = \"cups\"\nsecond_factor = \"skip\"\n");
    clinic.write("cups", question);
    clinic.write("dovecot", question);
    let found = clinic.findings(&[]);
    assert!(found.len() == 1 && found[0].starts_with("fault dovecot: "), "{found:#?}");
}

#[test]
fn a_stack_that_asks_twice_takes_no_code_twice() {
    let (site, alice) = (Site::new(""), TestUser::new("alice"));
    let phone = Phone::enroll(&site, &alice.name);
    let line = |control| site.auth(control, "");
    let service = Service::private(&(line("required") + &line("required")));
    let findings = || {
        let folder = service.confdir().unwrap().to_str().unwrap();
        Outcome::of(site.admin_command().args(["doctor", "--json", "--pam", folder]), "").json()[0]["findings"]
            .to_string()
    };
    let code = phone.next_code();
    let said = Talk::new(&service, &alice.name).run(&[&code, &code]);
    assert_eq!((said.prompts().len(), said.result("authenticate")), (2, "PAM_AUTH_ERR"));
    assert!(findings().contains("no code is accepted twice"), "{}", findings());
    service.set(&(line("[success=1 ignore=ignore default=die]") + &line("required") + "auth required pam_permit.so\n"));
    let said = Talk::new(&service, &alice.name).run(&[&phone.next_code()]);
    assert_eq!((said.prompts().len(), said.result("authenticate")), (1, "PAM_SUCCESS"));
}

#[test]
fn enrollment_during_a_login_needs_its_lines() {
    let clinic = Clinic::new(
        "[policy]\nsecond_factor = \"enroll\"\n[[policy.rule]]\nservice = \"cron\"\nsecond_factor = \"skip\"\n",
    );
    let auth = "@include common-auth\nauth required pam_otp.so enroll\n";
    let account = "account required pam_otp.so\n@include common-account\n";
    let password = "password [success=done ignore=ignore default=die] pam_otp.so\n@include common-password\n";
    let (no_account, no_password) =
        ("the account group has no line of pam_otp.so", "the password group has no line of pam_otp.so");
    clinic.write("cron", "auth required pam_permit.so\n"); // the policy names it
    for (stack, expected) in [
        (format!("{auth}{account}{password}"), &[][..]),
        (format!("{auth}@include common-account\n{password}"), &[no_account]),
        (format!("{auth}{account}@include common-password\n"), &[no_password]),
        (format!("{auth}@include common-account\n@include common-password\n"), &[no_account, no_password]),
        (
            format!("{auth}account sufficient pam_permit.so\n{account}{password}"),
            &["su:4: the application does not learn that a device must be set up"],
        ),
        (
            format!("{auth}{account}password required pam_otp.so\n@include common-password\n"),
            &["su:5: other modules ask for a new password when a device is set up"],
        ),
        (
            format!("{auth}{account}password [success=done default=die] pam_otp.so\n@include common-password\n"),
            &["su:5: passwords cannot be changed"],
        ),
    ] {
        clinic.write("su", &stack);
        let findings = clinic.findings(&[]);
        assert_eq!(findings.len(), expected.len(), "{stack}{findings:#?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.starts_with(&format!("fault su: {expected}")), "{stack}{findings:#?}");
        }
    }
    fs::remove_file(clinic.folder.path().join("su")).unwrap();
    clinic.write("cron", &auth.replace(" enroll", ""));
    assert!(clinic.findings(&[]).is_empty(), "nobody is asked there");
}

#[test]
fn every_example_is_without_fault_and_without_its_sshd_config_not_all_are() {
    let clinic = Clinic::new("");
    let keys = tempfile::tempdir().unwrap();
    let (key, config) = (keys.path().join("host_key"), keys.path().join("sshd_config"));
    machine::run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    // Each user has a key.
    let ask_all = |lines: &str| {
        let key = key.display();
        fs::write(&config, format!("HostKey {key}\nAuthorizedKeysFile {key}.pub\n{lines}")).unwrap();
        clinic.findings(&["--sshd", config.to_str().unwrap()])
    };
    let unasked = "note sshd: sshd:4: users for whom pam_succeed_if.so (user notingroup no-key) returns success are asked for no \
                   password: only a key that sshd demands keeps strangers out there";
    let ask = |lines: &str| {
        let found = ask_all(lines).into_iter();
        found.filter(|finding| finding != unasked).collect::<Vec<_>>()
    };
    let of =
        |example: &str| fs::read_to_string(machine::source("config/examples/sshd_config.d").join(example)).unwrap();
    let by_key = "note sshd: publickey logs users in without a code: sshd does not ask PAM then";
    let root = "warning sshd: PermitRootLogin is without-password: sshd refuses root's code";
    let root_by_key = "note sshd: PermitRootLogin is without-password: root logs in by publickey alone and without a code; sshd \
                       refuses root's password and code (why=malformed)";
    let by_whom =
        "note sshd: its Match blocks may change this for some users: only a generic user and address were checked";
    for (stack, sshd, expected) in [
        ("password-and-code", "password-and-code.conf", &[root_by_key, by_key][..]),
        ("password-and-code-with-set-up", "password-and-code.conf", &[root_by_key, by_key][..]),
        ("password-and-code-as-one", "password-and-code-as-one.conf", &[root_by_key, by_key]),
        ("key-and-code", "key-and-code.conf", &[root]),
        ("key-and-code-with-set-up", "key-and-code.conf", &[root]),
        ("key-or-password-and-code", "match.conf", &[root]),
    ] {
        fs::write(clinic.folder.path().join("sshd"), clinic.site.example_stack(stack)).unwrap();
        let mut found = ask(&of(sshd));
        if sshd == "match.conf" {
            assert_eq!(found.pop().as_deref(), Some(by_whom), "{stack}");
            assert!(ask_all(&of(sshd)).iter().any(|finding| finding == unasked), "{stack}");
        }
        assert_eq!(found, expected, "{stack}");
        let plain = ask("UsePAM yes\n");
        let is_open = plain.iter().any(|finding| finding.contains("get in without a password or key"));
        assert_eq!(is_open, stack.starts_with("key-and"), "{stack}: {plain:#?}");
        let off = ask("UsePAM no\n");
        assert_eq!(off, ["fault sshd: UsePAM is off: sshd does not ask PAM, and users need no code"], "{stack}");
    }
    let keys_alone = "UsePAM yes\nKbdInteractiveAuthentication no\nPasswordAuthentication no\n";
    let never = ask(keys_alone);
    let told = "warning sshd: sshd:6: sshd never comes to this line, since no method that it offers asks PAM";
    assert!(never.len() == 1 && never[0].starts_with(told), "{never:#?}");
    let services = || clinic.ask(&["--json", "--sshd", config.to_str().unwrap()]).json()[0]["services"].to_string();
    assert_eq!(services(), "[]", "PAM is not asked, so no login is asked for a code");
    assert!(
        ask("UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n").len() == 2
            && services().contains("sshd")
    );
    clinic.write("common-auth-and-code", "@include common-auth\nauth required pam_otp.so\n");
    let own = fs::read_to_string(clinic.folder.path().join("sshd")).unwrap();
    fs::write(clinic.folder.path().join("sshd"), "@include common-auth-and-code\n").unwrap();
    assert_eq!(ask(keys_alone), [by_key], "a line for all services was not written for sshd");
    fs::write(clinic.folder.path().join("sshd"), own).unwrap();
    let both = ask("UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication yes\nPermitRootLogin yes\n");
    assert!(both[0].starts_with("warning sshd: PasswordAuthentication is on: ") && both[1] == by_key, "{both:#?}");
    assert!(both.len() == 2 && both[0].contains("(why=malformed)"), "{both:#?}");
    let typed_as_password = "UsePAM yes\nKbdInteractiveAuthentication yes\nPermitRootLogin yes\n\
                             PasswordAuthentication yes\nAuthenticationMethods publickey,password\n";
    let refused = ask(typed_as_password);
    assert!(
        refused.len() == 1
            && refused[0].starts_with(
                "fault sshd: AuthenticationMethods lists `password`, which answers every question of PAM with the"
            ),
        "{refused:#?}"
    );
    // A list with a method that is switched off is left out, and where none is left sshd does not start.
    let one_left = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\nPermitRootLogin yes\n\
                    AuthenticationMethods publickey,keyboard-interactive:pam publickey,password\n";
    assert!(ask(one_left).is_empty(), "{:#?}", ask(one_left));
    let none_left = "PubkeyAuthentication no\nAuthenticationMethods publickey,keyboard-interactive:pam\n";
    for refused in ["UsePAM perhaps\n", none_left] {
        let findings = ask(refused);
        let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
        assert!(finding.starts_with("fault sshd: sshd rejects its configuration; "), "{finding}");
    }
    let matching = "Match User nobody LocalPort 22 LocalAddress 192.0.2.2\nPubkeyAuthentication no\n";
    clinic.write("sshd", "@include common-auth\nauth required pam_otp.so\n");
    let lines = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n";
    assert_eq!(ask(&format!("{lines}{matching}")), [root, by_whom]);
}

#[test]
fn users_whom_policy_refuses_are_named_and_records_that_cannot_be_read_too() {
    let (clinic, alice) = (Clinic::new("[policy]\nsecond_factor = \"required\"\n"), TestUser::new("alice"));
    clinic.write("vpn", "@include common-auth\nauth required pam_otp.so\n");
    let findings = clinic.findings(&[]);
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert!(
        finding.starts_with("fault vpn: root, ")
            && finding.contains(" will be refused: policy requires a second factor"),
        "{finding}"
    );
    let rollout = format!("state_directory = {:?}\nenforce = false\n", clinic.site.state());
    clinic.site.write(&(rollout + "[policy]\nsecond_factor = \"required\"\n"));
    let found = clinic.findings(&[]);
    assert!(found.len() == 1 && found[0].starts_with("warning configuration: enforce = false"), "{found:#?}");
    clinic.site.set("[policy]\nsecond_factor = \"optional\"\n");
    assert!(clinic.findings(&[]).is_empty());
    Phone::enroll(&clinic.site, &alice.name);
    clinic.site.edit(&alice.name, "version", "vision");
    let findings = clinic.findings(&[]);
    assert!(
        findings.len() == 1 && findings[0].starts_with(&format!("fault records: {}: ", alice.name)),
        "{findings:#?}"
    );
    clinic.site.write("nonsense = 1\n");
    let findings = clinic.findings(&[]);
    assert!(findings.len() == 1 && findings[0].starts_with("fault configuration: "), "{findings:#?}");
}

#[test]
fn a_service_that_another_one_includes_stays_one() {
    let clinic = Clinic::new("");
    let lines = "auth optional pam_otp.so\n@include common-auth\n@include common-account\n";
    clinic.write("login", lines);
    clinic.write("i3lock", "auth include login\n");
    clinic.write("site-auth", "auth required pam_unix.so\n");
    clinic.write("vpn", "auth include site-auth\n");
    let told = clinic.ask(&["--json"]).json()[0]["services"].to_string();
    assert!(told.contains("login") && told.contains("i3lock") && !told.contains("site-auth"), "{told}");
}

#[test]
fn a_state_whose_credentials_were_lost_is_a_fault() {
    let (clinic, user) = (Clinic::new(""), TestUser::new("alice"));
    Phone::enroll(&clinic.site, &user.name);
    let lost = |clinic: &Clinic| {
        let told = clinic.findings(&[]);
        told.into_iter().filter(|told| told.starts_with("fault records: ")).collect::<Vec<_>>()
    };
    assert_eq!(lost(&clinic), [""; 0]);
    fs::remove_file(clinic.site.credentials(&user.name)).unwrap();
    let name = &user.name;
    let what = format!("{name}.state is there and {name}.toml is not: this user counts as not enrolled");
    assert_eq!(lost(&clinic), [format!("fault records: {what}")]);
    clinic.site.admin(&["reset", "--yes", name]);
    assert_eq!(lost(&clinic), [""; 0]);
}
