//! The module in the real libpam: each way a login can go, with its result, what the person sees and what is logged.
//!
//! The module stands alone in its stack, where PAM_IGNORE reads PAM_PERM_DENIED: libpam found nobody with an opinion.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::{Event, Talk, Transcript},
    machine,
    phone::Phone,
    script::Script,
    service::Service,
    site::Site,
    syslog,
    users::{TestUser, new_group},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
    process::Command,
};

const PROMPT: &str = "Verification code: ";
const UNAVAILABLE: &str = "Verification is not possible now. The administrator finds the reason in the system log.";

/// A user with a phone, at a site of their own, before a service that asks for nothing but a code.
struct Desk {
    user: TestUser,
    site: Site,
    service: Service,
    phone: Phone,
}

impl Desk {
    fn new(config: &str) -> Desk {
        let (user, site) = (TestUser::new("alice"), Site::new(config));
        let service = Service::private(&site.auth("required", ""));
        let phone = Phone::enrol(&site, &user.name);
        Desk { user, site, service, phone }
    }

    fn talk(&self) -> Talk {
        Talk::new(&self.service, &self.user.name)
    }

    fn script(&self) -> Script<'_> {
        self.phone.script(self.talk())
    }

    fn next(&self) -> String {
        self.phone.next_code()
    }

    fn status(&self) -> String {
        self.site.admin(&["show", "--json", &self.user.name])
    }
}

/// A transcript with what the module logged meanwhile.
fn logged(talk: &Talk, answers: &[&str]) -> (Transcript, Vec<String>) {
    let mark = syslog::mark();
    let said = talk.run(answers);
    assert!(said.noise.is_empty(), "a module has no business on standard error: {said}");
    let log = syslog::of_module(mark, said.pid);
    (said, log)
}

/// The module gives no answer, asks nothing, and says why in one line of the log.
fn cannot_be_asked(talk: &Talk, result: &str, log: &str) {
    let (said, lines) = logged(talk, &["000000"]);
    assert_eq!(said.result("authenticate"), result, "{said}\n{lines:#?}");
    assert_eq!((said.prompts().len(), said.texts()), (0, vec![UNAVAILABLE]), "{said}");
    assert_eq!(lines, [log], "{said}");
}

#[test]
fn a_code_works_exactly_once() {
    Desk::new("")
        .script()
        .play(
            r#"
            authenticate "Verification code: " | %next    -> PAM_SUCCESS
                log: accepted user=%user factor=totp device=1 recovery_left=10
            authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=replayed
            authenticate "Verification code: " | %next    -> PAM_SUCCESS     log: accepted
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=wrong failures=1
            # a code that was used already is not another wrong one
            authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=2
            authenticate "Verification code: " | %next    -> PAM_SUCCESS     log: accepted
            "#,
        )
        .unwrap();
}

#[test]
fn the_code_that_confirmed_the_set_up_is_spent() {
    Desk::new("")
        .script()
        .play(
            r#"authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed"#,
        )
        .unwrap();
}

#[test]
fn blanks_in_a_code_make_no_other_code_of_it() {
    let desk = Desk::new("");
    let code = desk.next();
    let (first, rest) = code.split_at(3);
    desk.script()
        .word("spaced", format!(" {first} {rest}\t"))
        .word("otherwise", format!("{first}  {rest}"))
        .play(
            r#"
            authenticate "Verification code: " | %spaced    -> PAM_SUCCESS    log: accepted
            authenticate "Verification code: " | %otherwise error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed
            authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed
            "#,
        )
        .unwrap();
}

#[test]
fn what_is_no_code_spends_no_try() {
    let desk = Desk::new("[lockout]\nafter = 2\n");
    let before = fs::read(desk.site.state_file(&desk.user.name)).unwrap();
    let long = "1".repeat(10_000);
    let answers: [&[u8]; 9] = [
        b"",
        b"   ",
        desk.user.password.as_bytes(),
        b"12345",
        b"123456789",
        b"12345a",
        b"\xff\xfe\x80123456",
        "\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}".as_bytes(),
        long.as_bytes(),
    ];
    for answer in answers {
        let mark = syslog::mark();
        let said = desk.talk().run(&[answer]);
        assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}");
        assert_eq!(said.texts(), ["Verification failed."]);
        let log = syslog::of_module(mark, said.pid);
        assert_eq!(log, [format!("notice refused user={} why=malformed", desk.user.name)], "{said}");
    }
    assert_eq!(fs::read(desk.site.state_file(&desk.user.name)).unwrap(), before);
    assert!(desk.status().contains("\"failures\":0"));
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn a_recovery_code_works_once_and_the_last_ones_are_counted_aloud() {
    let desk = Desk::new("[recovery]\ncodes = 4\n");
    desk.script()
        .play(
            r#"
            authenticate "Verification code: " | %recovery    -> PAM_SUCCESS
                log: accepted user=%user factor=recovery recovery_left=3
            authenticate "Verification code: " | %used error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=recovery-spent
            authenticate "Verification code: " | %recovery
                info "Only two recovery codes are left. Make new ones with: otp-enroll recovery"    -> PAM_SUCCESS
                log: factor=recovery recovery_left=2
            # the reminder comes with every login, whatever it was that let in
            authenticate "Verification code: " | %next
                info "Only two recovery codes are left. Make new ones with: otp-enroll recovery"    -> PAM_SUCCESS
                log: factor=totp device=1 recovery_left=2
            authenticate "Verification code: " | %recovery
                info "Only one recovery code is left. Make new ones with: otp-enroll recovery"    -> PAM_SUCCESS
                log: recovery_left=1
            authenticate "Verification code: " | %recovery
                info "No recovery code is left. Make new ones with: otp-enroll recovery"    -> PAM_SUCCESS
                log: recovery_left=0
            authenticate "Verification code: " | ABCD-EFGH-IJKL-MNOP error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=recovery-unknown
            "#,
        )
        .unwrap();
    assert!(desk.status().contains("\"failures\":0"), "a recovery code costs no try");
}

#[test]
fn a_recovery_code_may_be_typed_as_it_was_copied() {
    let desk = Desk::new("");
    let copied = desk.phone.recovery_code().to_lowercase().replace('-', " ");
    let said = desk.talk().run(&[copied]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
}

#[test]
fn without_recovery_codes_nobody_is_reminded_of_them() {
    Desk::new("[recovery]\ncodes = 0\n")
        .script()
        .play(
            r#"
            authenticate "Verification code: " | %next    -> PAM_SUCCESS
                log: accepted user=%user factor=totp device=1    nolog: recovery_left
            authenticate "Verification code: " | ABCD-EFGH-IJKL-MNOP error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=recovery-unknown
            "#,
        )
        .unwrap();
}

#[test]
fn after_too_many_wrong_codes_only_a_recovery_code_is_accepted() {
    let desk = Desk::new("[lockout]\nafter = 3\nfor = \"1h\"\n");
    desk.script()
        .play(
            r#"
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=1
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=2
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=3
            # whether this one is right is not said
            authenticate "Verification code: " | %next  error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=locked until=2
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: why=locked
            authenticate "Verification code: " | %recovery    -> PAM_SUCCESS    log: factor=recovery recovery_left=9
            # whoever had one clears the count and opens the lock
            authenticate "Verification code: " | %last  -> PAM_SUCCESS    log: factor=totp
            "#,
        )
        .unwrap();
}

#[test]
fn while_locked_nothing_is_written() {
    let desk = Desk::new("[lockout]\nafter = 1\nfor = \"until-unlocked\"\n");
    desk.talk().run(&[desk.phone.wrong()]);
    let locked = fs::read(desk.site.state_file(&desk.user.name)).unwrap();
    for answer in [desk.phone.wrong(), desk.next()] {
        let (_, log) = logged(&desk.talk(), &[&answer]);
        assert_eq!(log, [format!("notice refused user={} why=locked until=unlocked", desk.user.name)]);
    }
    assert_eq!(fs::read(desk.site.state_file(&desk.user.name)).unwrap(), locked);
}

#[test]
fn an_administrator_unlocks() {
    let desk = Desk::new("[lockout]\nafter = 1\nfor = \"until-unlocked\"\n");
    desk.script()
        .verb("unlock", |_, talk| {
            desk.site.admin(&["unlock", &desk.user.name]);
            talk
        })
        .play(
            r#"
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: failures=1
            authenticate "Verification code: " | %next  error "Verification failed."    -> PAM_AUTH_ERR    log: why=locked until=unlocked
            unlock
            authenticate "Verification code: " | %last    -> PAM_SUCCESS    log: accepted
            "#,
        )
        .unwrap();
}

#[test]
fn when_a_timed_lock_ends_one_more_wrong_code_locks_again() {
    let desk = Desk::new("[lockout]\nafter = 2\nfor = \"1s\"\n");
    let wrong = desk.phone.wrong();
    desk.talk().run(&[&wrong]);
    desk.talk().run(&[&wrong]);
    // The one wait in this file: the lock is timed, and a second is the least it can be.
    let log = machine::wait(std::time::Duration::from_secs(10), || {
        Some(logged(&desk.talk(), &[&wrong]).1.concat()).filter(|log| !log.contains("why=locked"))
    });
    assert!(log.unwrap().ends_with("why=wrong failures=3"));
    assert!(logged(&desk.talk(), &[&desk.next()]).1.concat().contains("why=locked"));
}

#[test]
fn without_a_device_the_policy_decides() {
    let (user, site) = (TestUser::new("bob"), Site::new(""));
    let service = Service::private(&site.auth("required", ""));
    Script::new(Talk::new(&service, &user.name))
        .word("user", &user.name)
        .verb("policy", |word, talk| {
            site.set(&format!("[policy]\nsecond_factor = \"{word}\"\n"));
            talk
        })
        .play(
            r#"
            # nothing is said: as shipped, adding the PAM line locks nobody out
            authenticate    -> PAM_PERM_DENIED    log: not-asked user=%user second_factor=optional by=default
            policy optional
            authenticate    -> PAM_PERM_DENIED    log: not-asked user=%user second_factor=optional by=default
            policy skip
            authenticate    -> PAM_PERM_DENIED    log: not-asked user=%user second_factor=skip by=default
            policy required
            authenticate "Verification code: " | 123456 error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=not-enrolled
            authenticate "Verification code: " | ABCD-EFGH-IJKL-MNOP error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=not-enrolled
            authenticate "Verification code: " | "" error "Verification failed."    -> PAM_AUTH_ERR
                log: refused user=%user why=malformed
            "#,
        )
        .unwrap();
    assert!(!site.credentials(&user.name).exists() && !site.state_file(&user.name).exists());
}

#[test]
fn with_a_device_only_skip_does_not_ask() {
    let desk = Desk::new("");
    desk.script()
        .verb("policy", |word, talk| {
            desk.site.set(&format!("[policy]\nsecond_factor = \"{word}\"\n"));
            talk
        })
        .play(
            r#"
            policy optional
            authenticate "Verification code: " | %next    -> PAM_SUCCESS
            policy required
            authenticate "Verification code: " | %next    -> PAM_SUCCESS
            policy skip
            authenticate    -> PAM_PERM_DENIED    log: not-asked user=%user second_factor=skip by=default
            "#,
        )
        .unwrap();
}

#[test]
fn the_first_rule_that_matches_decides() {
    let (alice, bob, site) = (TestUser::new("alice"), TestUser::new("bob"), Site::new(""));
    let group = new_group("grp");
    let service = Service::private(&site.auth("required", ""));
    let rules = |rules: &[(&str, &str)]| {
        let rule = |(conditions, then): &(&str, &str)| {
            format!("[[policy.rule]]\n{}\nsecond_factor = \"{then}\"\n", conditions.replace("; ", "\n"))
        };
        site.set(&rules.iter().map(rule).collect::<String>());
    };
    let by = |talk: Talk| {
        let (said, log) = logged(&talk, &["000000"]);
        let line = log.concat();
        assert_eq!(line.contains("why=not-enrolled"), said.result("authenticate") == "PAM_AUTH_ERR", "{said}\n{line}");
        line.rsplit_once(" second_factor=").map_or("asked".to_owned(), |(_, rest)| rest.to_owned())
    };
    let talk = |user: &TestUser| Talk::new(&service, &user.name);

    rules(&[(&format!("user = \"{}\"", bob.name), "required"), (&format!("user = \"{}\"", alice.name), "skip")]);
    assert_eq!([by(talk(&alice)), by(talk(&bob))], ["skip by=rule-2", "asked"]);

    rules(&[(&format!("service = \"{}\"", service.name()), "required"), ("service = \"other\"", "skip")]);
    assert_eq!(by(talk(&alice)), "asked");
    rules(&[("service = \"other\"", "required")]);
    assert_eq!(by(talk(&alice)), "optional by=default");

    rules(&[("tty = \"tty1\"", "required"), ("tty = \"pts/7\"", "skip")]);
    assert_eq!(by(talk(&alice).tty("/dev/tty1")), "asked");
    assert_eq!(by(talk(&alice).tty("tty1")), "asked");
    assert_eq!(by(talk(&alice).tty("/dev/pts/7")), "skip by=rule-2");
    assert_eq!(by(talk(&alice)), "optional by=default");

    rules(&[("network = \"192.0.2.0/24\"", "skip"), ("network = \"2001:db8::/32\"", "required")]);
    for (rhost, then) in [
        ("192.0.2.77", "skip by=rule-1"),
        ("::ffff:192.0.2.77", "skip by=rule-1"),
        ("2001:db8::5", "asked"),
        ("198.51.100.1", "optional by=default"),
        // a name that somebody's resolver supplied is no address, whatever it resolves to
        ("192.0.2.77.example.org", "optional by=default"),
        ("localhost", "optional by=default"),
    ] {
        assert_eq!(by(talk(&alice).rhost(rhost)), then, "{rhost}");
    }
    assert_eq!(by(talk(&alice)), "optional by=default");

    rules(&[(&format!("group = \"{group}\""), "required"), (&format!("group = \"{}\"", bob.name), "skip")]);
    assert_eq!([by(talk(&alice)), by(talk(&bob))], ["optional by=default", "skip by=rule-2"]);
    alice.join(&group);
    assert_eq!(by(talk(&alice)), "asked", "a supplementary group");

    // all conditions of a rule must hold
    rules(&[(&format!("group = \"{group}\"; network = \"192.0.2.0/24\"; tty = \"ssh\""), "required")]);
    assert_eq!(by(talk(&alice).rhost("192.0.2.1").tty("ssh")), "asked");
    assert_eq!(by(talk(&alice).rhost("192.0.2.1").tty("tty1")), "optional by=default");
    assert_eq!(by(talk(&alice).rhost("192.0.3.1").tty("ssh")), "optional by=default");
    assert_eq!(by(talk(&bob).rhost("192.0.2.1").tty("ssh")), "optional by=default");
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
             hint=\"make the group or correct the rule; `otp-enroll admin check` finds such rules\"",
            user.name
        ),
    );
}

#[test]
fn a_requirement_of_ones_own_comes_before_the_rules() {
    let desk = Desk::new("");
    let everywhere = |then: &str| format!("[[policy.rule]]\nnetwork = \"0.0.0.0/0\"\nsecond_factor = \"{then}\"\n");
    let require = |from: &str, to: &str| {
        let requirement = |word: &str| format!("requirement = \"{word}\"");
        desk.site.edit(&desk.user.name, &requirement(from), &requirement(to));
    };
    let talk = desk.talk().rhost("192.0.2.1");
    desk.site.set(&everywhere("skip"));
    assert_eq!(talk.run(&["000000"]).result("authenticate"), "PAM_PERM_DENIED");
    require("policy", "required");
    assert_eq!(talk.run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
    // not even `nullok` is stronger
    desk.service.set(&desk.site.auth("required", "nullok"));
    assert_eq!(talk.run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");

    // devices forgotten, requirement kept: refused, not let through
    desk.site.admin(&["reset", "--yes", &desk.user.name]);
    let (said, log) = logged(&talk, &["000000"]);
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR");
    assert_eq!(log, [format!("notice refused user={} rhost=192.0.2.1 why=not-enrolled", desk.user.name)]);

    desk.service.set(&desk.site.auth("required", ""));
    desk.site.set(&everywhere("required"));
    require("required", "optional");
    let (said, log) = logged(&talk, &["000000"]);
    assert_eq!(said.result("authenticate"), "PAM_PERM_DENIED");
    let line = format!("info not-asked user={} rhost=192.0.2.1 second_factor=optional by=personal", desk.user.name);
    assert_eq!(log, [line]);
}

#[test]
fn nullok_lets_those_without_a_device_pass_on_this_line() {
    let (desk, bob) = (Desk::new("[policy]\nsecond_factor = \"required\"\n"), TestUser::new("bob"));
    desk.service.set(&desk.site.auth("required", "nullok"));
    desk.script()
        .word("bob", &bob.name)
        .play(
            r#"
            authenticate user=%bob    -> PAM_PERM_DENIED
                log: not-asked user=%bob second_factor=optional by=nullok
            authenticate "Verification code: " | %next    -> PAM_SUCCESS    log: accepted
            authenticate "Verification code: " | %wrong error "Verification failed."    -> PAM_AUTH_ERR    log: why=wrong
            # nullok is about devices, not about accounts
            authenticate user=nobody-of-that-name "Verification code: " | 123456 error "Verification failed."
                -> PAM_USER_UNKNOWN    log: refused user=nobody-of-that-name why=unknown-user
            "#,
        )
        .unwrap();
}

#[test]
fn somebody_unknown_is_asked_like_everybody() {
    let desk = Desk::new("");
    desk.script()
        .play(
            r#"
            authenticate user=nobody-of-that-name "Verification code: " | 123456 error "Verification failed."
                -> PAM_USER_UNKNOWN    log: refused user=nobody-of-that-name why=unknown-user
            authenticate user=nobody-of-that-name "Verification code: " | ABCD-EFGH-IJKL-MNOP error "Verification failed."
                -> PAM_USER_UNKNOWN    log: why=unknown-user
            authenticate user=../alice "Verification code: " | 123456 error "Verification failed."
                -> PAM_USER_UNKNOWN    log: refused user=../alice why=unknown-user
            # the name that the host leaves to us
            authenticate user=- on "login:" | %user "Verification code: " | %next    -> PAM_SUCCESS    log: accepted user=%user
            "#,
        )
        .unwrap();
}

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
    let hint = "mend the file and try it with `otp-enroll admin check`";
    for (text, error) in [
        ("isuer = \"x\"\n", ":1: unknown key isuer; known are "),
        ("\n\n[lockout]\nafter = \"six\"\n", ":4: lockout.after must be 1 to 100 wrong codes"),
        ("[lockout]\nafter = 0\n", ":2: lockout.after must be 1 to 100 wrong codes"),
        ("[code]\nwindow = 11\n", ":2: code.window must be 0 to 10 steps"),
        (
            "# fine\n[policy]\nsecond_factor = \"yes\"\n",
            ":3: policy.second_factor must be 'required', 'optional' or 'skip'",
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
            "err error user={} error=\"{}: {what}\" hint=\"mend the file and try it with `otp-enroll admin check`\"",
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
    refused("No such file or directory (os error 2)");
    fs::create_dir(path).unwrap();
    refused("is not a regular file");
    fs::remove_dir(path).unwrap();
    machine::run(Command::new("mkfifo").arg(path));
    refused("is not a regular file");
    fs::remove_file(path).unwrap();
    fs::write(path, b"\xff").unwrap();
    refused("is not UTF-8");
    desk.site.write(&good);
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
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
    let mend = "mend its owner, group, mode or type: see FILES in pam_otp(8)";
    let path = state.display();

    chown(state, Some(desk.user.uid), None).unwrap();
    refused(&format!("{path}/ belongs to uid {}, not to root", desk.user.uid), mend);
    chown(state, Some(0), None).unwrap();
    for mode in [0o1777, 0o1731, 0o1734, 0o0730] {
        fs::set_permissions(state, fs::Permissions::from_mode(mode)).unwrap();
        refused(&format!("{path}/ has mode {mode:04o} and must have 1730"), mend);
    }
    fs::set_permissions(state, fs::Permissions::from_mode(0o1730)).unwrap();

    fs::rename(state, &aside).unwrap();
    refused(
        &format!("cannot open {path}: No such file or directory (os error 2)"),
        "the state directory is made by the package or by `make install`",
    );
    symlink(&aside, state).unwrap();
    let other = "look for the cause in the system log; nothing was changed";
    refused(&format!("cannot open {path}: Not a directory (os error 20)"), other);
    fs::remove_file(state).unwrap();
    fs::write(state, "").unwrap();
    refused(&format!("cannot open {path}: Not a directory (os error 20)"), other);
    fs::remove_file(state).unwrap();
    fs::rename(&aside, state).unwrap();
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
        ("root's", "belongs to uid 0, which is not its user's".into()),
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
    for path in [desk.site.credentials(&desk.user.name), desk.site.state_file(&desk.user.name)] {
        for (kind, what) in in_place_of(&path, &desk.user) {
            // Before anything is asked …
            put(kind, &path, &desk.user);
            let (said, log) = logged(&desk.talk(), &["000000"]);
            put_back(&path, &desk.user);
            assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{kind} {path:?} {said}\n{log:#?}");
            assert!(said.prompts().is_empty() && said.texts() == [UNAVAILABLE], "{said}");
            let start = format!("err error user={} error=\"{} {what}", desk.user.name, path.display());
            assert!(log.len() == 1 && log[0].starts_with(&start) && log[0].contains("\" hint=\""), "{start}\n{log:#?}");

            // … and while a person types.
            let (code, mark) = (desk.next(), syslog::mark());
            let mut conversation = desk.talk().start();
            assert_eq!(conversation.prompt(), PROMPT);
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
            desk.phone = renewed(&desk);
        }
    }
}

/// A new phone for the same user.
fn renewed(desk: &Desk) -> Phone {
    desk.site.admin(&["disable", "--yes", &desk.user.name]);
    Phone::enrol(&desk.site, &desk.user.name)
}

#[test]
fn credentials_that_are_not_this_users_are_damage() {
    let desk = Desk::new("[policy]\nsecond_factor = \"optional\"\n");
    let path = desk.site.credentials(&desk.user.name);
    let good = fs::read_to_string(&path).unwrap();
    let (name, uid) = (&desk.user.name, desk.user.uid);
    let enrolment = good.lines().find_map(|line| line.strip_prefix("enrolment = ")).unwrap();
    let state = desk.site.state_file(name);
    for (from, to, file, what) in [
        (format!("uid = {uid}"), "uid = 4242".to_owned(), &path, format!("belongs to '{name}' with uid 4242")),
        (format!("user = \"{name}\""), "user = \"bob\"".to_owned(), &path, format!("belongs to 'bob' with uid {uid}")),
        ("version = 1".into(), "version = 2".into(), &path, "is of version 2, and this program reads version 1".into()),
        (
            enrolment.to_owned(),
            format!("\"{}\"", "0".repeat(32)),
            &state,
            "cannot be read: neither slot holds a state of this enrolment".into(),
        ),
        ("digits = 6".into(), "digits = 5".into(), &path, "cannot be read: line ".into()),
    ] {
        desk.site.edit(name, &from, &to);
        let (said, log) = logged(&desk.talk(), &["000000"]);
        fs::write(&path, &good).unwrap();
        assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{from} -> {to}: {said}");
        let start = format!("err error user={name} error=\"{} {what}", file.display());
        assert!(log.len() == 1 && log[0].starts_with(&start), "{start}\n{log:#?}");
        assert!(!log[0].contains(&desk.phone.secret), "{log:#?}");
    }
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
    fs::write(&path, &damaged).unwrap();
    desk.script()
        .play(
            r#"
            authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed
            # the damaged slot is the one that is written next
            authenticate "Verification code: " | %next    -> PAM_SUCCESS    log: accepted
            authenticate "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR    log: why=replayed
            "#,
        )
        .unwrap();
    damaged[100] ^= 4;
    damaged[2148] ^= 4;
    fs::write(&path, &damaged).unwrap();
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_AUTHINFO_UNAVAIL");
}

#[test]
fn a_conversation_that_fails_spends_nothing() {
    let desk = Desk::new("[lockout]\nafter = 1\n");
    let path = desk.site.state_file(&desk.user.name);
    let before = fs::read(&path).unwrap();
    desk.script()
        .play(
            r#"
            authenticate "Verification code: " | <hang-up>    -> PAM_CONV_ERR
                log: error user=%user error="the conversation gave no answer" hint="the client went away, or cannot answer a second prompt"
            authenticate user=nobody-of-that-name "Verification code: " | <hang-up>    -> PAM_CONV_ERR
            authenticate user=- on "login:" | <hang-up>    -> PAM_CONV_ERR
            "#,
        )
        .unwrap();
    let mut killed = desk.talk().start();
    killed.prompt();
    killed.kill();
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(desk.status().contains("\"failures\":0"));
    assert_eq!(desk.talk().run(&[desk.next()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn while_a_person_types_nobody_waits_and_nothing_is_decided() {
    let desk = Desk::new("");
    let (sooner, later) = (desk.next(), desk.next());
    let mut slow = desk.talk().start();
    slow.prompt();
    assert_eq!(desk.talk().run(&[&sooner]).result("authenticate"), "PAM_SUCCESS");
    assert_eq!(desk.talk().run(&[&desk.phone.wrong()]).result("authenticate"), "PAM_AUTH_ERR");
    slow.answer(&later);
    let said = slow.finish();
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "others' attempts do not spoil this one: {said}");

    // What is decided about is what is stored when the answer is there.
    let mut slow = desk.talk().start();
    slow.prompt();
    let old = desk.next();
    let new = renewed(&desk);
    let mark = syslog::mark();
    slow.answer(&old);
    let said = slow.finish();
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}");
    assert_eq!(
        syslog::of_module(mark, said.pid),
        [format!("notice refused user={} why=wrong failures=1", desk.user.name)]
    );
    assert_eq!(desk.talk().run(&[new.next_code()]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn a_lock_that_is_not_given_back_is_given_up() {
    let desk = Desk::new("");
    let code = desk.next();
    assert_eq!(desk.talk().run(&[&code]).result("authenticate"), "PAM_SUCCESS");
    let state = fs::File::open(desk.site.state_file(&desk.user.name)).unwrap();
    state.lock().unwrap();
    // Whoever has nothing to write does not need it …
    assert!(logged(&desk.talk(), &[&code]).1.concat().ends_with("why=replayed"));
    // … and whoever has waits, but not for ever: about ten seconds.
    let next = desk.next();
    let (said, log) = logged(&desk.talk(), &[&next]);
    assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}");
    let line = "error=\"the record is in use by other processes\" \
                hint=\"try again; if it stays so, look for a stopped process that holds the file (fuser)\"";
    assert_eq!(log, [format!("err error user={} {line}", desk.user.name)]);
    state.unlock().unwrap();
    assert_eq!(desk.talk().run(&[&next]).result("authenticate"), "PAM_SUCCESS");
}

#[test]
fn the_user_at_the_end_is_the_one_from_the_beginning() {
    let (desk, bob) = (Desk::new(""), TestUser::new("bob"));
    let before = fs::read(desk.site.state_file(&desk.user.name)).unwrap();
    let code = desk.next();
    let (said, log) = logged(&desk.talk().option("--become", &bob.name), &[&code]);
    assert_eq!(said.result("authenticate"), "PAM_AUTH_ERR", "{said}");
    let line = format!(
        "err error user={} error=\"the user name changed while a code was typed\" \
         hint=\"the PAM application changed PAM_USER during its conversation\"",
        desk.user.name
    );
    assert_eq!(log, [line]);
    assert_eq!(fs::read(desk.site.state_file(&desk.user.name)).unwrap(), before);
    let (said, _) = logged(&desk.talk().option("--become", &desk.user.name), &[&code]);
    assert_eq!(said.result("authenticate"), "PAM_SUCCESS", "{said}");
}

#[test]
fn only_authenticate_has_an_opinion() {
    let (user, site) = (TestUser::new("alice"), Site::new(""));
    let arguments = site.config().display();
    // What is not PAM_IGNORE (or, from setcred, PAM_SUCCESS) would be `bad` here.
    let service = Service::private(&format!(
        "auth     [success=ok default=bad]     pam_otp.so config={arguments}\n\
         account  [ignore=ignore default=bad]  pam_otp.so config={arguments}\n\
         account  required                     pam_permit.so\n\
         password [ignore=ignore default=bad]  pam_otp.so config={arguments}\n\
         password required                     pam_permit.so\n\
         session  [ignore=ignore default=bad]  pam_otp.so config={arguments}\n\
         session  required                     pam_permit.so\n"
    ));
    let calls = "setcred,acct_mgmt,chauthtok,chauthtok_expired,open_session,close_session,delete_cred";
    let said = Talk::new(&service, &user.name).calls(calls).run::<&str>(&[]);
    assert!(said.results().all(|(_, result)| result == "PAM_SUCCESS"), "{said}");
    assert_eq!(said.results().count(), 7);

    // Alone, each but setcred leaves the stack without anybody's opinion.
    let alone: String = ["auth", "account", "password", "session"]
        .map(|group| format!("{group} required pam_otp.so config={arguments}\n"))
        .concat();
    service.set(&alone);
    let said = Talk::new(&service, &user.name).calls(calls).run::<&str>(&[]);
    let results: Vec<_> = said.results().map(|(_, result)| result).collect();
    assert_eq!(results[0], "PAM_SUCCESS", "{said}");
    assert!(results[1..6].iter().all(|result| *result == "PAM_PERM_DENIED"), "{said}");
}

#[test]
fn a_whole_login_passes_through_the_stack_of_the_examples() {
    let desk = Desk::new("");
    let arguments = desk.site.config().display();
    desk.service.set(&format!(
        "auth    required pam_otp.so config={arguments}\n\
         auth    required pam_permit.so\n\
         account required pam_permit.so\n"
    ));
    desk.script()
        .play(
            r#"
            login "Verification code: " | %next    -> PAM_SUCCESS
            login "Verification code: " | %last error "Verification failed."    -> PAM_AUTH_ERR
            "#,
        )
        .unwrap();
    // Where policy asks for nothing, pam_permit gives the stack its success.
    desk.site.set("[policy]\nsecond_factor = \"skip\"\n");
    assert_eq!(desk.talk().calls("login").run::<&str>(&[]).result("login"), "PAM_SUCCESS");
}

#[test]
fn every_refusal_asks_for_a_delay_and_no_success_does() {
    let desk = Desk::new("");
    let delay = |said: &Transcript| {
        said.events.iter().find_map(|event| if let Event::Delay(time) = event { Some(*time) } else { None })
    };
    let wrong = desk.phone.wrong();
    for (user, answer) in [(desk.user.name.as_str(), wrong.as_str()), (&desk.user.name, ""), ("nobody-there", "123456")]
    {
        let said = desk.talk().user(user).run(&[answer]);
        // libpam varies what is asked for, two seconds, by up to a half.
        assert!(matches!(delay(&said), Some(1_000_000..=3_000_000)), "{said}");
    }
    let said = desk.talk().run::<&str>(&[]);
    assert!(said.result("authenticate") == "PAM_CONV_ERR" && delay(&said).is_some(), "{said}");
    let said = desk.talk().run(&[desk.next()]);
    assert!(said.result("authenticate") == "PAM_SUCCESS" && delay(&said).is_none(), "{said}");
    desk.site.write("nonsense");
    let said = desk.talk().run::<&str>(&[]);
    assert!(said.result("authenticate") == "PAM_SERVICE_ERR" && delay(&said).is_some(), "{said}");
}

#[test]
fn a_silent_host_sees_the_prompt_and_nothing_else() {
    let desk = Desk::new("[recovery]\ncodes = 2\n");
    let silent = desk.talk().flag("--silent");
    let wrong = desk.phone.wrong();
    for (answer, result) in [(desk.next(), "PAM_SUCCESS"), (wrong, "PAM_AUTH_ERR"), (String::new(), "PAM_AUTH_ERR")] {
        let said = silent.run(&[answer]);
        assert_eq!(said.result("authenticate"), result);
        assert!(said.prompts() == [PROMPT] && said.texts().is_empty(), "{said}");
    }
    desk.site.write("nonsense");
    let said = silent.run::<&str>(&[]);
    assert!(said.result("authenticate") == "PAM_SERVICE_ERR" && said.texts().is_empty(), "{said}");
}

#[test]
fn the_texts_are_the_administrators() {
    Desk::new("[prompt]\ncode = \"Einmalcode für „alpha“: \"\nrefused = \"Leider nein.\"\n")
        .script()
        .play(
            r#"
            authenticate "Einmalcode für „alpha“: " | %wrong error "Leider nein."    -> PAM_AUTH_ERR
            authenticate "Einmalcode für „alpha“: " | %next    -> PAM_SUCCESS
            "#,
        )
        .unwrap();
}

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
        fs::write(&path, broken).unwrap();
        pids.push(desk.talk().run(&[&right]).pid);
    }
    let lines = pids.iter().flat_map(|pid| syslog::of_module(mark, *pid));
    let lines: Vec<String> =
        lines.chain(syslog::lines_since(mark).into_iter().filter(|line| line.contains("otp-enroll"))).collect();
    assert!(lines.iter().any(|line| line.starts_with("debug ")) && lines.len() > typed.len(), "{lines:#?}");
    let phone = &desk.phone;
    let mut secrets = vec![phone.secret.clone(), phone.hex.clone(), right, wrong, password];
    secrets.extend(phone.recovery.clone());
    secrets.extend(phone.recovery.iter().map(|code| code.replace('-', "")));
    for secret in &secrets {
        // Not even a part of it: the first half of a seed is half of a seed.
        let part = secret.get(..8).unwrap_or(secret);
        let found = lines.iter().find(|line| line.to_lowercase().contains(&part.to_lowercase()));
        assert_eq!(found, None, "{part}");
    }
}

#[test]
fn nothing_in_the_environment_steers_the_module() {
    let desk = Desk::new("");
    let mut command = desk.talk().command();
    command.env("PAM_OTP_CONFIG", "/nowhere").env("RUST_BACKTRACE", "1").env("RUST_LOG", "trace");
    command.env("HOME", "/nowhere").env("TZ", ":/nowhere");
    let mut conversation = desk.talk().start_as(command);
    conversation.prompt();
    conversation.answer(desk.next());
    let said = conversation.finish();
    assert!(said.result("authenticate") == "PAM_SUCCESS" && said.noise.is_empty(), "{said}");
}
