use std::cell::RefCell;
use std::path::Path;

use super::*;
use crate::config::Config;

use SecondFactor::{Enroll, Optional, Required, Skip};

/// 2027-01-01.
const NOW: UnixTime = UnixTime(1_798_761_600);

fn policy(text: &str) -> Policy {
    Config::parse(Path::new("test"), text).unwrap().settings.policy
}

/// A policy with one rule, which skips, under these conditions.
fn rule(conditions: &str) -> Policy {
    policy(&format!("[[policy.rule]]\n{conditions}\nsecond_factor = \"skip\""))
}

fn ssh() -> LoginContext {
    LoginContext {
        service: "sshd".into(),
        rhost: Some("192.0.2.7".into()),
        tty: Some("ssh".into()),
        nullok: false,
        enroll: false,
        as_one: false,
        send: false,
    }
}

/// The ruling for alice, who is in the group wheel and in no other.
fn asked(policy: &Policy, login: &LoginContext) -> (SecondFactor, Source) {
    let member = |group: &str| Ok::<_, ()>(group == "wheel");
    let ruling = policy.ruling("alice", Override::None, login, NOW, member).unwrap();
    (ruling.second_factor, ruling.source)
}

const BY_DEFAULT: (SecondFactor, Source) = (Optional, Source::Default);
const BY_RULE_1: (SecondFactor, Source) = (Skip, Source::Rule(1));

#[test]
fn without_rules_the_default_holds() {
    assert_eq!(asked(&policy(""), &ssh()), BY_DEFAULT);
    for (word, expected) in [("required", Required), ("enroll", Enroll), ("optional", Optional), ("skip", Skip)] {
        let policy = policy(&format!("[policy]\nsecond_factor = \"{word}\""));
        assert_eq!(asked(&policy, &ssh()), (expected, Source::Default));
        assert_eq!(expected.name(), word);
    }
}

#[test]
fn each_condition_matches_what_it_names_and_nothing_else() {
    for (condition, matches) in [
        ("user = \"alice\"", true),
        ("user = \"Alice\"", false),
        ("user = \"ali\"", false),
        ("group = \"wheel\"", true),
        ("group = \"staff\"", false),
        ("service = \"sshd\"", true),
        ("service = \"ssh\"", false),
        ("network = \"192.0.2.0/24\"", true),
        ("network = \"198.51.100.0/24\"", false),
        ("tty = \"ssh\"", true),
        ("tty = \"/dev/ssh\"", true),
        ("tty = \"tty1\"", false),
    ] {
        let expected = if matches { BY_RULE_1 } else { BY_DEFAULT };
        assert_eq!(asked(&rule(condition), &ssh()), expected, "{condition}");
    }
}

#[test]
fn a_condition_on_an_item_that_the_host_did_not_set_does_not_match() {
    let nowhere = LoginContext {
        service: String::new(),
        rhost: None,
        tty: None,
        nullok: false,
        enroll: false,
        as_one: false,
        send: false,
    };
    for condition in ["service = \"sshd\"", "network = \"0.0.0.0/0\"", "network = \"::/0\"", "tty = \"ssh\""] {
        assert_eq!(asked(&rule(condition), &nowhere), BY_DEFAULT, "{condition}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let all = [
        ("user = \"alice\"", "user = \"bob\""),
        ("group = \"wheel\"", "group = \"staff\""),
        ("service = \"sshd\"", "service = \"login\""),
        ("network = \"192.0.2.0/24\"", "network = \"192.0.3.0/24\""),
        ("tty = \"ssh\"", "tty = \"tty1\""),
    ];
    let rule_without = |missed: Option<usize>| {
        let conditions = all.iter().enumerate();
        let conditions =
            conditions.map(|(position, (holds, fails))| if missed == Some(position) { *fails } else { *holds });
        rule(&conditions.collect::<Vec<_>>().join("\n"))
    };
    assert_eq!(asked(&rule_without(None), &ssh()), BY_RULE_1);
    for (missed, (_, fails)) in all.iter().enumerate() {
        assert_eq!(asked(&rule_without(Some(missed)), &ssh()), BY_DEFAULT, "{fails}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = policy(
        r#"
        [policy]
        second_factor = "required"
        [[policy.rule]]
        user = "bob"
        second_factor = "skip"
        [[policy.rule]]
        network = "192.0.2.0/24"
        second_factor = "optional"
        [[policy.rule]]
        user = "alice"
        second_factor = "skip"
        "#,
    );
    assert_eq!(asked(&policy, &ssh()), (Optional, Source::Rule(2)));
    let elsewhere = LoginContext { rhost: Some("203.0.113.9".into()), ..ssh() };
    assert_eq!(asked(&policy, &elsewhere), (Skip, Source::Rule(3)));
}

#[test]
fn for_a_remote_host_that_is_a_name_the_stricter_counts() {
    let rule = |conditions: &str, word: &str| format!("[[policy.rule]]\n{conditions}\nsecond_factor = \"{word}\"\n");
    let net = |word: &str| rule("network = \"192.0.2.0/24\"", word);
    let default = |word: &str| format!("[policy]\nsecond_factor = \"{word}\"\n");
    let ssh_rule = |word: &str| rule("service = \"sshd\"", word);
    for (text, expected) in [
        // A network that is exempt never helps a name.
        (default("required") + &net("skip"), (Required, Source::Default)),
        (default("optional") + &net("skip"), (Optional, Source::Default)),
        (default("skip") + &net("skip"), (Skip, Source::Default)),
        // A network that is stricter counts, before a rule that decides and after the default.
        (default("optional") + &net("required"), (Required, Source::Rule(1))),
        (default("skip") + &net("optional"), (Optional, Source::Rule(1))),
        (default("optional") + &net("enroll"), (Enroll, Source::Rule(1))),
        (default("required") + &net("enroll"), (Required, Source::Default)),
        (default("skip") + &net("required") + &ssh_rule("optional"), (Required, Source::Rule(1))),
        (default("skip") + &net("enroll") + &ssh_rule("required"), (Required, Source::Rule(2))),
        (default("skip") + &net("optional") + &ssh_rule("optional"), (Optional, Source::Rule(2))),
        // Of several, the strictest.
        (
            default("skip") + &net("optional") + &rule("network = \"2001:db8::/32\"", "required"),
            (Required, Source::Rule(2)),
        ),
        // A rule that is never reached, and one whose other conditions do not hold, do not count.
        (default("skip") + &ssh_rule("optional") + &net("required"), (Optional, Source::Rule(1))),
        (
            default("skip") + &rule("network = \"192.0.2.0/24\"\nservice = \"login\"", "required"),
            (Skip, Source::Default),
        ),
        (default("skip") + &rule("network = \"192.0.2.0/24\"\ngroup = \"staff\"", "required"), (Skip, Source::Default)),
    ] {
        for name in ["host.example.org", "192.0.2.7.example.org", "192.0.2.007", "localhost"] {
            let login = LoginContext { rhost: Some(name.into()), ..ssh() };
            assert_eq!(asked(&policy(&text), &login), expected, "{name} {text}");
        }
        // No remote host is not a name: no rule of a network counts.
        let (here, without) = (LoginContext { rhost: None, ..ssh() }, text.replace("192.0.2.0/24", "198.51.100.0/24"));
        assert_eq!(asked(&policy(&text), &here), asked(&policy(&without), &ssh()), "{text}");
    }
}

#[test]
fn a_service_has_network_rules_if_one_may_decide_about_it() {
    for (conditions, expected) in [
        ("network = \"192.0.2.0/24\"", true),
        ("network = \"192.0.2.0/24\"\nservice = \"sshd\"", true),
        ("network = \"192.0.2.0/24\"\nservice = \"login\"", false),
        ("service = \"sshd\"", false),
    ] {
        assert_eq!(rule(conditions).has_network_rules("sshd"), expected, "{conditions}");
    }
}

#[test]
fn before_its_date_a_network_is_no_stricter_for_a_name() {
    let policy = policy(
        "[policy]\nsecond_factor = \"optional\"\n[[policy.rule]]\nnetwork = \"192.0.2.0/24\"\n\
         second_factor = \"required\"\nrequired_from = 2027-02-01",
    );
    let login = LoginContext { rhost: Some("host.example.org".into()), ..ssh() };
    assert_eq!(asked(&policy, &login), (Optional, Source::Default));
}

#[test]
fn an_address_is_in_its_network_however_it_is_written() {
    for (network, address, holds) in [
        ("192.0.2.0/24", "192.0.2.0", true),
        ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.0/24", "::ffff:192.0.2.7", true),
        ("192.0.2.0/24", "::ffff:c000:207", true),
        ("192.0.2.0/24", "::192.0.2.7", false),
        ("::ffff:192.0.2.0/120", "192.0.2.7", true),
        ("192.0.2.7/32", "192.0.2.7", true),
        ("192.0.2.7/32", "192.0.2.6", false),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("0.0.0.0/0", "::ffff:203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("2001:db8::/32", "2001:DB8:0:0:0:0:0:1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("2001:db8::1/128", "2001:db8::1", true),
        ("2001:db8::1/128", "2001:db8::2", false),
        ("fe80::/10", "fe80::1%eth0", true),
        ("fe80::/10", "fe80::1%25", true),
        ("::/0", "2001:db8::1", true),
        // An IPv4 address is in no IPv6 network, not even in that of all IPv6 addresses.
        ("::/0", "192.0.2.7", false),
        ("::/0", "::ffff:192.0.2.7", false),
        ("::/64", "192.0.2.7", false),
        // Nor is it in a network whose last address is mapped and whose first is not.
        ("::/80", "192.0.2.7", false),
        ("::fffe:0:0/95", "192.0.2.7", false),
        ("::ffff:0:0/96", "192.0.2.7", true),
    ] {
        let network = Network::parse(network).unwrap();
        assert_eq!(network.holds(Some(address)), holds, "{address} in {network:?}");
    }
}

#[test]
fn a_login_has_an_address_if_the_host_reported_one() {
    let from = |rhost: Option<&str>| LoginContext { rhost: rhost.map(str::to_owned), ..ssh() }.address();
    assert_eq!(from(Some("192.0.2.7")).map(|address| address.to_string()).as_deref(), Some("192.0.2.7"));
    assert_eq!(from(Some("host.example.org")), None);
    assert_eq!(from(None), None);
}

#[test]
fn what_requires_a_second_factor_of_a_user_is_found() {
    let rule = |conditions: &str, value: &str| format!("[[policy.rule]]\n{conditions}\nsecond_factor = \"{value}\"\n");
    let (mine, staff, sshd) = ("user = \"alice\"", "group = \"staff\"", "service = \"sshd\"");
    let all = "[policy]\nsecond_factor = \"required\"\n".to_owned();
    for (text, expected) in [
        (String::new(), None),
        (all.clone(), Some((Required, Source::Default, None))),
        (all.clone() + &rule(mine, "skip"), None),
        (all + &rule(sshd, "skip"), Some((Required, Source::Default, None))),
        (rule(mine, "optional") + &rule(sshd, "required"), None),
        (rule("user = \"bob\"", "required"), None),
        (rule(staff, "required"), Some((Required, Source::Rule(1), None))),
        (rule("group = \"others\"", "required"), None),
        (rule("tty = \"tty1\"", "skip") + &rule(sshd, "enroll"), Some((Enroll, Source::Rule(2), Some("sshd")))),
        ("[policy]\nsecond_factor = \"required\"\nrequired_from = 2100-01-01\n".to_owned(), None),
    ] {
        let policy = policy(&text);
        let found = policy.requirement("alice", NOW, |group| Ok::<_, ()>(group == "staff")).unwrap();
        let found = found.map(|(ruling, service)| (ruling.second_factor, ruling.source, service));
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(policy(&rule(staff, "skip")).requirement("alice", NOW, |_| Err("away")), Err("away"));
}

#[test]
fn a_group_is_looked_up_for_a_user_unless_an_earlier_rule_decides() {
    let rule = |conditions: &str| format!("[[policy.rule]]\n{conditions}\nsecond_factor = \"skip\"\n");
    let line = |rules: &[&str]| {
        let text: String = rules.iter().map(|conditions| rule(conditions)).collect();
        policy(&text).group_before("root").map(|rule| rule.line)
    };
    let (root, staff) = ("user = \"root\"", "group = \"staff\"");
    assert_eq!(line(&[]), None);
    assert_eq!(line(&[staff]), Some(1));
    assert_eq!(line(&[root, staff]), None);
    assert_eq!(line(&[staff, root]), Some(1));
    // A rule for some of root's logins does not decide about the others.
    assert_eq!(line(&["user = \"root\"\nservice = \"sshd\"", staff]), Some(5));
    assert_eq!(line(&["user = \"root\"\nservice = \"sshd\"", "group = \"staff\"\nservice = \"sshd\""]), None);
    assert_eq!(line(&["service = \"sshd\"", "group = \"staff\"\nservice = \"su\""]), Some(4));
    // A rule for another user is not about root, whatever its group.
    assert_eq!(line(&["user = \"alice\"\ngroup = \"staff\""]), None);
}

#[test]
fn the_groups_of_a_policy_are_those_its_rules_name() {
    let policy = policy(
        "[[policy.rule]]\ngroup = \"one\"\nsecond_factor = \"skip\"\n\
         [[policy.rule]]\nuser = \"alice\"\nsecond_factor = \"skip\"\n\
         [[policy.rule]]\ngroup = \"two\"\nsecond_factor = \"skip\"",
    );
    assert_eq!(policy.groups().collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn a_text_that_is_no_address_is_in_no_network() {
    for network in ["0.0.0.0/0", "::/0"] {
        let network = Network::parse(network).unwrap();
        for name in [
            "localhost",
            "host.example.org",
            "192.0.2.7.example.org",
            "",
            " ",
            "192.0.2",
            "192.0.2.007",
            "192.0.2.7 ",
            "192.0.2.7%eth0",
            "192.0.2.7/24",
            "[2001:db8::1]",
            "2001:db8::1:22:",
            "3221225991",
            "0xc0000207",
        ] {
            assert!(!network.holds(Some(name)), "{name:?} in {network:?}");
        }
        assert!(!network.holds(None));
    }
}

#[test]
fn a_text_that_is_no_network_is_rejected() {
    for text in [
        "192.0.2.0",
        "",
        "host/24",
        "/24",
        "192.0.2/24",
        "fe80::%eth0/64",
        "192.0.2.0/",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/-1",
        "192.0.2.0/+24",
        "192.0.2.0/ 24",
        "192.0.2.0/33",
        "2001:db8::/129",
        "192.0.2.1/24",
        "192.0.2.0/0",
        "2001:db8::1/64",
    ] {
        assert_eq!(Network::parse(text), None, "{text}");
    }
}

#[test]
fn a_group_is_looked_up_only_if_all_other_conditions_hold() {
    let policy = policy(
        r#"
        [[policy.rule]]
        group = "one"
        service = "login"
        second_factor = "skip"
        [[policy.rule]]
        group = "two"
        service = "sshd"
        second_factor = "skip"
        [[policy.rule]]
        group = "three"
        second_factor = "skip"
        [[policy.rule]]
        group = "four"
        second_factor = "skip"
        "#,
    );
    let looked_up = RefCell::new(Vec::new());
    let member = |group: &str| {
        looked_up.borrow_mut().push(group.to_owned());
        Ok::<_, ()>(group == "three")
    };
    let ruling = policy.ruling("alice", Override::None, &ssh(), NOW, member).unwrap();
    assert_eq!(ruling.source, Source::Rule(3));
    assert_eq!(*looked_up.borrow(), ["two", "three"]);
}

#[test]
fn a_group_that_cannot_be_looked_up_ends_the_evaluation() {
    let policy = policy(
        "[[policy.rule]]\ngroup = \"gone\"\nsecond_factor = \"required\"\n\
         [[policy.rule]]\nuser = \"alice\"\nsecond_factor = \"skip\"",
    );
    let fails = |_: &str| Err::<bool, _>("no answer");
    assert_eq!(policy.ruling("alice", Override::None, &ssh(), NOW, fails), Err("no answer"));
}

#[test]
fn the_override_comes_before_every_rule() {
    let policy = policy("[[policy.rule]]\ngroup = \"gone\"\nsecond_factor = \"skip\"");
    let no_lookup = |_: &str| -> Result<bool, ()> { panic!("no group needs to be looked up") };
    for nullok in [false, true] {
        let login = LoginContext { nullok, ..ssh() };
        for (user_override, expected) in [
            (Override::Required, Required),
            (Override::RequiredUntil(UnixTime(NOW.0 + 1)), Required),
            (Override::Enroll, Enroll),
            (Override::EnrollUntil(UnixTime(NOW.0 + 1)), Enroll),
            (Override::Exempt, Optional),
            (Override::ExemptUntil(UnixTime(NOW.0 + 1)), Optional),
        ] {
            let decided = policy.ruling("alice", user_override, &login, NOW, no_lookup);
            let expected = Ruling {
                second_factor: expected,
                source: Source::Override,
                required_from: None,
                passcode: false,
                devices: Kinds::ALL,
            };
            assert_eq!(decided, Ok(expected));
        }
    }
}

#[test]
fn after_its_end_an_override_is_none() {
    for user_override in [Override::RequiredUntil(NOW), Override::EnrollUntil(NOW), Override::ExemptUntil(NOW)] {
        for default in [Required, Enroll, Optional, Skip] {
            let policy = policy(&format!("[policy]\nsecond_factor = \"{}\"", default.name()));
            let decided = |login: &LoginContext| {
                let ruling = policy.ruling("alice", user_override, login, NOW, |_| Ok::<_, ()>(false)).unwrap();
                (ruling.second_factor, ruling.source)
            };
            assert_eq!(decided(&ssh()), (default, Source::Default), "{user_override:?}");
            let nullok = decided(&LoginContext { nullok: true, ..ssh() });
            assert_eq!(nullok, (Optional, Source::Nullok), "{user_override:?}");
        }
    }
}

#[test]
fn nullok_replaces_the_rules_on_its_line() {
    let policy =
        policy("[policy]\nsecond_factor = \"required\"\n[[policy.rule]]\nuser = \"alice\"\nsecond_factor = \"skip\"");
    assert_eq!(asked(&policy, &LoginContext { nullok: true, ..ssh() }), (Optional, Source::Nullok));
}

#[test]
fn a_rule_that_can_match_no_login_is_rejected() {
    let error = |conditions: &str| {
        let text = format!("[[policy.rule]]\n{conditions}\nsecond_factor = \"skip\"");
        Config::parse(Path::new("f"), &text).unwrap_err().to_string()
    };
    for key in ["user", "group", "service", "tty"] {
        let expected = format!("f:2: policy.rule.{key} must be a name of 1 to 255 characters");
        assert_eq!(error(&format!("{key} = \"\"")), expected);
    }
    assert_eq!(error(""), "f:1: policy.rule needs a condition: user, group, service, network or tty");
}

#[test]
fn the_source_of_a_ruling_is_one_word() {
    let said: Vec<_> =
        [Source::Override, Source::Nullok, Source::Rule(3), Source::Default].iter().map(ToString::to_string).collect();
    assert_eq!(said, ["override", "nullok", "rule-3", "default"]);
}

#[test]
fn a_second_factor_is_optional_before_the_date_from_which_it_is_required() {
    let policy = policy(
        r#"
        [policy]
        second_factor = "enroll"
        required_from = 2027-02-01
        [[policy.rule]]
        service = "sshd"
        second_factor = "required"
        required_from = 2027-01-31
        "#,
    );
    let console = LoginContext { service: "login".into(), ..ssh() };
    let holds =
        |login: &LoginContext, now| policy.ruling("alice", Override::None, login, now, |_| Ok::<_, ()>(false)).unwrap();
    let (january, february) = (UnixTime::midnight(2027, 1, 31).unwrap(), UnixTime::midnight(2027, 2, 1).unwrap());
    for (login, source, from, then) in
        [(&ssh(), Source::Rule(1), january, Required), (&console, Source::Default, february, Enroll)]
    {
        let before =
            Ruling { second_factor: Optional, source, required_from: Some(from), passcode: false, devices: Kinds::ALL };
        let since = Ruling { second_factor: then, source, required_from: None, passcode: false, devices: Kinds::ALL };
        assert_eq!(holds(login, NOW), before);
        assert_eq!(holds(login, UnixTime(from.0 - 1)), before);
        assert_eq!(holds(login, from), since);
        assert_eq!(holds(login, UnixTime(u64::MAX)), since);
    }
}

#[test]
fn a_rule_that_is_never_reached_is_rejected() {
    let two = |one: &str, two: &str| {
        let rule = |conditions: &str| format!("[[policy.rule]]\n{conditions}\nsecond_factor = \"skip\"\n");
        Config::parse(Path::new("f"), &(rule(one) + &rule(two))).map_err(|error| error.to_string())
    };
    for (one, other) in [
        ("user = \"a\"", "user = \"a\""),
        ("user = \"a\"", "user = \"a\"\nservice = \"sshd\""),
        ("network = \"192.0.2.0/24\"", "network = \"192.0.2.128/25\""),
        ("network = \"0.0.0.0/0\"", "network = \"192.0.2.0/24\"\ntty = \"ssh\""),
        ("network = \"2001:db8::/32\"", "network = \"2001:db8:1::/48\""),
    ] {
        let line = one.lines().count() + 3;
        let expected = format!("f:{line}: policy.rule is never reached: rule 1 matches every login that it matches");
        assert_eq!(two(one, other), Err(expected), "{one} before {other}");
    }
    for (one, other) in [
        ("user = \"a\"", "user = \"b\""),
        ("user = \"a\"\nservice = \"sshd\"", "user = \"a\""),
        ("user = \"a\"", "group = \"a\""),
        ("network = \"192.0.2.128/25\"", "network = \"192.0.2.0/24\""),
        ("network = \"192.0.2.0/24\"", "user = \"a\""),
        ("network = \"::/0\"", "network = \"192.0.2.0/24\""),
        ("network = \"::/0\"", "network = \"::ffff:192.0.2.0/120\""),
    ] {
        assert!(two(one, other).is_ok(), "{one} before {other}");
    }
}

#[test]
fn a_rule_with_a_mistake_covers_no_other_and_is_covered_by_none() {
    let rule = |conditions: &str| format!("[[policy.rule]]\n{conditions}\nsecond_factor = \"skip\"\n");
    for (one, other) in [("user = 5", "user = \"a\""), ("user = \"a\"", "user = \"a\"\ntty = 5")] {
        let (_, errors) = Config::read(Path::new("f"), &(rule(one) + &rule(other)));
        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && !told[0].contains("never reached"), "{told:?}");
    }
}

#[test]
fn a_date_needs_a_second_factor_that_is_required() {
    let error = |text: &str| Config::parse(Path::new("f"), &format!("[policy]\n{text}")).unwrap_err().to_string();
    let mismatch = "f:1: policy has required_from, which needs second_factor \"required\" or \"enroll\"";
    assert_eq!(error("required_from = 2027-01-01"), mismatch);
    assert_eq!(error("second_factor = \"skip\"\nrequired_from = 2027-01-01"), mismatch);
    for date in ["\"2027-01-01\"", "1969-12-31", "20270101"] {
        let text = format!("second_factor = \"required\"\nrequired_from = {date}");
        assert_eq!(error(&text), "f:3: policy.required_from must be a date like 2027-01-31");
    }
    let with_a_time = error("second_factor = \"required\"\nrequired_from = 2027-01-01T00:00:00Z");
    assert!(with_a_time.starts_with("f:3: no value: 2027-01-01T00:00:00Z; "), "{with_a_time}");
}

#[test]
fn a_passcode_goes_with_enroll_alone() {
    let error = |text: &str| Config::parse(Path::new("f"), text).unwrap_err().to_string();
    let mismatch = "has passcode = true, which needs second_factor \"enroll\"";
    assert_eq!(error("[policy]\npasscode = true"), format!("f:1: policy {mismatch}"));
    for second_factor in ["required", "optional", "skip"] {
        let text = format!("[[policy.rule]]\nuser = \"a\"\nsecond_factor = \"{second_factor}\"\npasscode = true");
        assert_eq!(error(&text), format!("f:1: policy.rule {mismatch}"));
        assert!(Config::parse(Path::new("f"), &text.replace("true", "false")).is_ok());
    }
    let text = "[policy]\nsecond_factor = \"enroll\"\npasscode = \"yes\"";
    assert_eq!(error(text), "f:3: policy.passcode must be true or false");
}

#[test]
fn a_ruling_asks_for_a_passcode_where_its_rule_or_an_override_under_such_a_rule_does() {
    let policy = policy(
        r#"
        [policy]
        second_factor = "enroll"
        [[policy.rule]]
        group = "wheel"
        service = "sshd"
        second_factor = "enroll"
        passcode = true
        [[policy.rule]]
        user = "bob"
        second_factor = "enroll"
        passcode = true
        required_from = 2027-02-01
        "#,
    );
    let console = LoginContext { service: "login".into(), ..ssh() };
    let ruled = |user: &str, user_override, login: &LoginContext, now| {
        let member = |group: &str| Ok::<_, ()>(group == "wheel" && user == "alice");
        let ruling = policy.ruling(user, user_override, login, now, member).unwrap();
        (ruling.second_factor, ruling.passcode)
    };
    assert_eq!(ruled("alice", Override::None, &ssh(), NOW), (Enroll, true));
    assert_eq!(ruled("alice", Override::None, &console, NOW), (Enroll, false));
    assert_eq!(ruled("bob", Override::None, &ssh(), NOW), (Optional, false));
    assert_eq!(ruled("bob", Override::None, &ssh(), UnixTime(u64::MAX)), (Enroll, true));
    // What an administrator demands besides takes no passcode away.
    for user in ["alice", "bob"] {
        assert_eq!(ruled(user, Override::Enroll, &console, NOW), (Enroll, true));
        assert_eq!(ruled(user, Override::Required, &console, NOW), (Required, false));
        assert_eq!(ruled(user, Override::Exempt, &ssh(), NOW), (Optional, false));
    }
    assert_eq!(ruled("carol", Override::Enroll, &ssh(), NOW), (Enroll, false));
}

#[test]
fn a_host_that_is_a_name_gets_the_ruling_with_the_passcode() {
    let policy = policy(
        r#"
        [policy]
        second_factor = "enroll"
        [[policy.rule]]
        network = "192.0.2.0/24"
        second_factor = "enroll"
        passcode = true
        "#,
    );
    let ruled = |rhost: &str| {
        let login = LoginContext { rhost: Some(rhost.into()), ..ssh() };
        policy.ruling("alice", Override::None, &login, NOW, |_| Ok::<_, ()>(false)).unwrap().passcode
    };
    assert_eq!(["192.0.2.7", "198.51.100.7", "host.example"].map(ruled), [true, false, true]);
}

#[test]
fn a_first_device_wants_a_passcode_if_any_login_of_the_user_may() {
    let wants = |text: &str, user: &str, fails: bool| {
        let asked = RefCell::new(0);
        let member = |group: &str| {
            *asked.borrow_mut() += 1;
            if fails { Err(()) } else { Ok(group == "wheel" && user == "alice") }
        };
        (policy(text).wants_passcode(user, member), asked.into_inner())
    };
    let rule = |conditions: &str| {
        format!(
            "[[policy.rule]]\n{conditions}\nsecond_factor = \"enroll\"\npasscode = true\nrequired_from = 2099-01-01\n"
        )
    };
    let skip = |conditions: &str| format!("[[policy.rule]]\n{conditions}\nsecond_factor = \"skip\"\n");
    let (wheel, default) = ("group = \"wheel\"", "[policy]\nsecond_factor = \"enroll\"\npasscode = true\n");
    for (text, of_alice, of_bob) in [
        (String::new(), (Ok(false), 0), (Ok(false), 0)),
        (skip(wheel), (Ok(false), 0), (Ok(false), 0)),
        (rule("user = \"bob\""), (Ok(false), 0), (Ok(true), 0)),
        (rule(wheel), (Ok(true), 1), (Ok(false), 1)),
        (rule("service = \"sshd\"\nnetwork = \"192.0.2.0/24\""), (Ok(true), 0), (Ok(true), 0)),
        (skip(wheel) + &rule("service = \"sshd\""), (Ok(false), 1), (Ok(true), 1)),
        (skip("group = \"wheel\"\nservice = \"cron\"") + &rule("service = \"sshd\""), (Ok(true), 0), (Ok(true), 0)),
        (default.to_owned(), (Ok(true), 0), (Ok(true), 0)),
        (default.to_owned() + &skip(wheel), (Ok(false), 1), (Ok(true), 1)),
        (default.to_owned() + &skip("service = \"cron\""), (Ok(true), 0), (Ok(true), 0)),
    ] {
        assert_eq!([wants(&text, "alice", false), wants(&text, "bob", false)], [of_alice, of_bob], "{text}");
    }
    assert_eq!(wants(&rule(wheel), "alice", true).0, Err(()), "a look-up that fails is no answer");
}

/// A policy with kinds by default, for a group, for a service and for two networks.
const WITH_KINDS: &str = r#"
    [policy]
    second_factor = "required"
    devices = ["totp", "hotp", "ocra"]
    [[policy.rule]]
    group = "wheel"
    service = "sudo"
    second_factor = "required"
    required_from = 2027-02-01
    devices = ["ocra"]
    [[policy.rule]]
    network = "192.0.2.0/24"
    second_factor = "optional"
    devices = ["totp", "sms"]
    [[policy.rule]]
    network = "198.51.100.0/24"
    second_factor = "skip"
    devices = ["email"]
    [[policy.rule]]
    service = "login"
    second_factor = "skip"
"#;

/// The kinds that are accepted of alice, who is in wheel.
fn kinds(policy: &Policy, user_override: Override, login: &LoginContext) -> String {
    let member = |group: &str| Ok::<_, ()>(group == "wheel");
    let ruling = policy.ruling("alice", user_override, login, NOW, member).unwrap();
    assert_eq!(policy.devices("alice", login, NOW, member), Ok(ruling.devices));
    ruling.devices.listed()
}

#[test]
fn a_ruling_accepts_the_kinds_of_its_rule_whatever_the_override_is() {
    let policy = policy(WITH_KINDS);
    let at = |service: &str, rhost: Option<&str>, nullok| LoginContext {
        service: service.into(),
        rhost: rhost.map(str::to_owned),
        nullok,
        ..ssh()
    };
    let every = "totp, hotp, ocra, sms, email";
    for (service, rhost, expected) in [
        ("sshd", None, "totp, hotp, ocra"),
        ("sshd", Some("203.0.113.9"), "totp, hotp, ocra"),
        ("sshd", Some("192.0.2.7"), "totp, sms"),
        ("login", None, every),
        // From now on, though a second factor is optional until then.
        ("sudo", None, "ocra"),
        // A name may be in every network: only what all of them accept.
        ("sshd", Some("host.example"), "totp"),
    ] {
        for nullok in [false, true] {
            for user_override in [
                Override::None,
                Override::Required,
                Override::Enroll,
                Override::Exempt,
                Override::RequiredUntil(NOW),
                Override::ExemptUntil(UnixTime(u64::MAX)),
            ] {
                let found = kinds(&policy, user_override, &at(service, rhost, nullok));
                assert_eq!(found, expected, "{service} {rhost:?} {nullok} {user_override:?}");
            }
        }
    }
}

#[test]
fn a_policy_without_kinds_accepts_every_kind_and_asks_for_no_group() {
    let policy = policy("[[policy.rule]]\ngroup = \"wheel\"\nsecond_factor = \"required\"");
    let fails = |_: &str| Err("asked");
    for user_override in [Override::Required, Override::Enroll, Override::Exempt] {
        let ruling = policy.ruling("alice", user_override, &ssh(), NOW, fails).unwrap();
        assert_eq!(ruling.devices, Kinds::ALL);
    }
    assert_eq!(policy.devices("alice", &ssh(), NOW, fails), Ok(Kinds::ALL));
    assert!(policy.terms_for("alice", fails).unwrap().is_empty());
    assert_eq!(policy.ruling("alice", Override::None, &ssh(), NOW, fails), Err("asked"));
}

#[test]
fn the_terms_for_a_user_are_those_that_may_decide() {
    let policy = policy(WITH_KINDS);
    let terms = |is_member: bool| {
        let member = |_: &str| Ok::<_, ()>(is_member);
        let terms = policy.terms_for("alice", member).unwrap();
        let terms = terms.iter().map(|of| format!("{} {:?} {}", of.source, of.service, of.terms.devices.listed()));
        terms.collect::<Vec<_>>()
    };
    let others = [
        "rule-2 None totp, sms",
        "rule-3 None email",
        "rule-4 Some(\"login\") totp, hotp, ocra, sms, email",
        "default None totp, hotp, ocra",
    ];
    assert_eq!(terms(false), others);
    assert_eq!(terms(true), [&["rule-1 Some(\"sudo\") ocra"][..], &others[..]].concat());

    let of_bob = self::policy("[[policy.rule]]\nuser = \"bob\"\nsecond_factor = \"required\"\ndevices = [\"sms\"]");
    let number = |user: &str| of_bob.terms_for(user, |_| Ok::<_, ()>(false)).unwrap().len();
    assert_eq!((number("alice"), number("bob")), (1, 1));
    assert_eq!(of_bob.terms_for("bob", |_| Ok::<_, ()>(false)).unwrap()[0].source, Source::Rule(1));
}

#[test]
fn kinds_are_named_once_each_and_known() {
    let error = |text: &str| Config::parse(Path::new("f"), text).unwrap_err().to_string();
    let wanted = "must be a list of kinds, none of them twice: \"totp\", \"hotp\", \"ocra\", \"sms\", \"email\"";
    for odd in ["[]", "[\"totp\", \"totp\"]", "[\"push\"]", "[\"TOTP\"]", "\"totp\"", "[6]", "[\"\"]", "true"] {
        assert_eq!(error(&format!("[policy]\n\ndevices = {odd}")), format!("f:3: policy.devices {wanted}"), "{odd}");
        let rule = format!("[[policy.rule]]\nuser = \"a\"\nsecond_factor = \"skip\"\ndevices = {odd}");
        assert_eq!(error(&rule), format!("f:4: policy.rule.devices {wanted}"), "{odd}");
    }
}
