use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::*;
use crate::codes::hotp_totp::CodeConfig;
use crate::decision::verify::Limits;
use crate::value::time::UnixTime;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/pam_otp/pam_otp.toml"), text).map_err(|error| error.to_string())
}

/// The error without the file's name, with which every error begins.
fn error(text: &str) -> String {
    let error = parse(text).unwrap_err();
    error.strip_prefix("/etc/pam_otp/pam_otp.toml:").unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[test]
fn an_empty_file_means_the_documented_defaults() {
    let expected = Config {
        settings: Settings {
            issuer: None,
            code: shape(6, 30, Algorithm::Sha1),
            limits: Limits { window: 1, lock_after: 6, lock_for: LockFor::Time(Seconds(15 * 60)), devices: Kinds::ALL },
            recovery_codes: 10,
            policy: Policy {
                terms: Terms { second_factor: SecondFactor::Optional, ..Terms::default() },
                rules: vec![],
            },
            grace: None,
            enforce: true,
        },
        language: None,
        state_directory: "/var/lib/pam_otp".into(),
        seal_keys: None,
        authority: Keeper::Host,
        local: vec!["root".into()],
        prompt: None,
        prompt_both: None,
        refused: None,
    };
    assert_eq!(Config::default(), expected);
    for empty in ["", "[code]\n[lockout]\n[recovery]\n[policy]\n[grace]\n[prompt]\n"] {
        assert_eq!(parse(empty).as_ref(), Ok(&expected), "{empty:?}");
    }
}

fn shape(digits: u8, period: u64, algorithm: Algorithm) -> CodeConfig {
    CodeConfig { digits: Digits::try_from(digits).unwrap(), period: Period::try_from(period).unwrap(), algorithm }
}

#[test]
fn every_key_can_be_set() {
    let config = parse(
        r#"
        issuer = "Example Ltd"
        language = "de_DE.UTF-8@euro"
        state_directory = "/srv/otp"
        seal_keys = "/run/keys/otp"
        authority = "fleet"
        local = ["root", "backup"]
        enforce = false
        [code]
        digits = 8
        period = 60
        algorithm = "SHA512"
        window = 3
        [lockout]
        after = 3
        for = "until-unlocked"
        [recovery]
        codes = 0
        [policy]
        second_factor = "required"
        required_from = 2027-02-01
        devices = ["hotp", "sms", "email"]
        [[policy.rule]]
        user = "alice"
        group = "staff"
        service = "sshd"
        tty = "/dev/tty1"
        network = "192.0.2.0/24"
        second_factor = "enroll"
        required_from = 2027-03-01
        passcode = true
        devices = ["totp", "ocra"]
        [grace]
        for = "12h"
        [prompt]
        code = "Code? "
        password_and_code = "Both? "
        refused = "No."
        "#,
    );
    let rule = Rule {
        user: Some("alice".into()),
        group: Some("staff".into()),
        service: Some("sshd".into()),
        network: Network::parse("192.0.2.0/24"),
        tty: Some("tty1".into()),
        terms: Terms {
            second_factor: SecondFactor::Enroll,
            required_from: UnixTime::midnight(2027, 3, 1),
            passcode: true,
            devices: Kinds::read(["totp", "ocra"]).unwrap(),
        },
        line: 23, // `otp-enroll admin explain` shows it
    };
    let terms = Terms {
        second_factor: SecondFactor::Required,
        required_from: UnixTime::midnight(2027, 2, 1),
        devices: Kinds::read(["hotp", "sms", "email"]).unwrap(),
        ..Terms::default()
    };
    let expected = Config {
        settings: Settings {
            issuer: Some("Example Ltd".into()),
            code: shape(8, 60, Algorithm::Sha512),
            limits: Limits { window: 3, lock_after: 3, lock_for: LockFor::UntilUnlocked, devices: Kinds::ALL },
            recovery_codes: 0,
            policy: Policy { terms, rules: vec![rule] },
            grace: Some(Seconds(12 * 3600)),
            enforce: false,
        },
        language: Some("de_DE.UTF-8@euro".into()),
        state_directory: "/srv/otp".into(),
        seal_keys: Some("/run/keys/otp".into()),
        authority: Keeper::Fleet,
        local: vec!["root".into(), "backup".into()],
        prompt: Some("Code? ".into()),
        prompt_both: Some("Both? ".into()),
        refused: Some("No.".into()),
    };
    assert_eq!(config, Ok(expected));
}

#[test]
fn each_range_ends_where_its_error_says() {
    let text = |length: usize| format!("\"{}\"", "é".repeat(length));
    let number = |number: u64| number.to_string();
    let word = |word: &str| format!("{word:?}");
    let lock_for = "a number and s, m, h or d, like \"15m\", or \"until-unlocked\"";
    let grace = "a duration of 1 second to 7 days, like \"12h\"";
    for (table, key, inside, outside, wanted) in [
        ("code", "digits", [number(6), number(8)], [number(5), number(9)], "6, 7 or 8"),
        ("code", "period", [number(10), number(300)], [number(9), number(301)], "10 to 300 seconds"),
        ("code", "window", [number(0), number(10)], [number(11), "-1".into()], "0 to 10 steps"),
        ("lockout", "after", [number(1), number(100)], [number(0), number(101)], "1 to 100 wrong codes"),
        ("lockout", "for", [word("1s"), word("365d")], [word("0m"), word("1w")], lock_for),
        ("recovery", "codes", [number(0), number(10)], [number(11), number(256)], "0 to 10"),
        ("prompt", "code", [text(1), text(200)], [text(0), text(201)], "a text of 1 to 200 characters"),
        ("grace", "for", [word("1s"), word("7d")], [word("0s"), word("604801s")], grace),
        ("prompt", "password_and_code", [text(1), text(200)], [text(0), text(201)], "a text of 1 to 200 characters"),
        ("prompt", "refused", [text(1), text(200)], [text(0), text(201)], "a text of 1 to 200 characters"),
        ("", "issuer", [text(1), text(60)], [text(0), text(61)], "a text of 1 to 60 characters without a colon"),
        ("", "state_directory", [word("/"), word("/a")], [word("var"), word("")], "an absolute path"),
    ] {
        let (header, path) =
            if table.is_empty() { ("#".into(), key.into()) } else { (format!("[{table}]"), format!("{table}.{key}")) };
        for value in inside {
            assert!(parse(&format!("{header}\n{key} = {value}")).is_ok(), "{path} = {value}");
        }
        for value in outside {
            assert_eq!(error(&format!("{header}\n{key} = {value}")), format!("2: {path} must be {wanted}"));
        }
    }
}

#[test]
fn a_text_has_no_character_that_could_steer_a_terminal_or_a_uri() {
    for (key, value) in
        [("issuer", "a:b"), ("issuer", r"a\nb"), ("prompt.code", r"a\u001bb"), ("prompt.refused", r"\u0000")]
    {
        let error = error(&format!("{key} = \"{value}\""));
        assert!(error.starts_with(&format!("1: {key} must be a text of 1 to ")), "{error}");
    }
}

#[test]
fn an_unknown_key_is_an_error_at_every_level() {
    for (text, expected) in [
        (
            "colour = 1",
            "1: unknown key colour; known keys: issuer, language, state_directory, seal_keys, authority, local, enforce, code, lockout, recovery, policy, grace, prompt, agent, sms, email",
        ),
        (
            "[colour]",
            "1: unknown key colour; known keys: issuer, language, state_directory, seal_keys, authority, local, enforce, code, lockout, recovery, policy, grace, prompt, agent, sms, email",
        ),
        ("[code]\ncolour = 1", "2: unknown key code.colour; known keys: digits, period, algorithm, window"),
        ("[lockout]\ncolour = 1", "2: unknown key lockout.colour; known keys: after, for"),
        ("[recovery]\ncolour = 1", "2: unknown key recovery.colour; known keys: codes"),
        (
            "[policy]\ncolour = 1",
            "2: unknown key policy.colour; known keys: second_factor, required_from, passcode, devices, rule",
        ),
        ("[grace]\ncolour = 1", "2: unknown key grace.colour; known keys: for"),
        ("[prompt]\ncolour = 1", "2: unknown key prompt.colour; known keys: code, password_and_code, refused"),
        // As a line that is appended to a file.
        (
            "[prompt]\nlocal = []",
            "2: unknown key prompt.local; local comes before the first [table]; known keys: code, password_and_code, refused",
        ),
        (
            "[[policy.rule]]\nuser = \"a\"\nsecond_factor = \"skip\"\ncolour = 1",
            "4: unknown key policy.rule.colour; known keys: user, group, service, tty, network, second_factor, required_from, \
             passcode, devices",
        ),
    ] {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn an_error_names_file_line_and_key() {
    for (text, expected) in [
        ("\n\n[code]\ndigits = \"6\"", "4: code.digits must be 6, 7 or 8"),
        ("enforce = \"no\"", "1: enforce must be true or false"),
        ("[grace]\nfor = 12", "2: grace.for must be a duration of 1 second to 7 days, like \"12h\""),
        ("[code]\nwindow = -1", "2: code.window must be 0 to 10 steps"),
        (
            "[code]\nwindow = 1.5",
            "2: no value: 1.5; a text stands in quotes, a number is whole, and a date is like 2027-01-31",
        ),
        ("[code]\nalgorithm = \"sha1\"", "2: code.algorithm must be \"SHA1\", \"SHA256\" or \"SHA512\""),
        (
            "[policy]\nsecond_factor = \"maybe\"",
            "2: policy.second_factor must be \"required\", \"enroll\", \"optional\" or \"skip\"",
        ),
        ("[[policy.rule]]\nuser = \"a\"", "1: policy.rule needs second_factor"),
        (
            "[[policy.rule]]\nsecond_factor = \"skip\"",
            "1: policy.rule needs a condition: user, group, service, network or tty",
        ),
        (
            "[[policy.rule]]\nuser = \"\"\nsecond_factor = \"skip\"",
            "2: policy.rule.user must be a name of 1 to 255 characters",
        ),
        (
            "[[policy.rule]]\nnetwork = \"192.0.2.1/24\"\nsecond_factor = \"skip\"",
            "2: policy.rule.network must be ADDRESS/LENGTH, like \"192.0.2.0/24\" or \"2001:db8::/32\", with no bit set beyond the length",
        ),
        ("[policy]\nrule = 1", "2: policy.rule must be written [[policy.rule]]"),
        ("[code]\ndigits = 6\ndigits = 7", "3: duplicate key digits"),
        ("[code\n", "1: the heading of a table ends with ]"),
        ("code = 1", "1: code must be a table"),
    ] {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn all_errors_of_a_file_are_found_at_once_in_its_order() {
    let text = "[[policy.rule]]\nservice = \"SSHD\"\nsecond_factor = \"skip\"\n\
                [[policy.rule]]\ntty = \"pts/*\"\n\
                [[policy.rule]]\nuser = \"a\"\nsecond_factor = \"skip\"\n\
                [[policy.rule]]\nuser = \"a\"\ntty = \"tty1\"\nsecond_factor = \"skip\"\n\
                [code]\ndigits = 5\nperoid = 30\n";
    let errors = |text: &str| {
        let mut errors = Config::read(Path::new("f"), text).1;
        errors.sort_by_key(|error| error.line);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let found = errors(text);
    assert_eq!(
        found,
        [
            "f:2: policy.rule.service must be in lower case, as libpam writes the names of services: \"sshd\"",
            "f:4: policy.rule needs second_factor",
            "f:5: policy.rule.tty must be one terminal: patterns and lists are not read; write a rule for each terminal",
            "f:9: policy.rule is never reached: rule 3 matches every login that it matches",
            "f:14: code.digits must be 6, 7 or 8",
            "f:15: unknown key code.peroid; known keys: digits, period, algorithm, window",
        ]
    );
    assert_eq!(Config::parse(Path::new("f"), text).unwrap_err().to_string(), found[0]);
    assert_eq!(errors("[code\n").len(), 1);
    assert!(errors("").is_empty());
}

#[test]
fn what_is_no_toml_does_not_hide_the_errors_before_and_after_it() {
    let errors = |text: &str| {
        let mut errors = Config::read(Path::new("f"), text).1;
        errors.sort_by_key(|error| error.line);
        errors.iter().map(|error| (error.line.unwrap(), error.what.clone())).collect::<Vec<_>>()
    };
    let lines = |text: &str| errors(text).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    for (text, expected) in [
        (
            "enforce = maybe\n[code]\ndigits = 5\nperiod = \"x\"\n[lockout]\nafter = 1000\nfro = 1\n",
            &[1, 3, 4, 6, 7][..],
        ),
        ("issuer = \"unended\n[code]\ndigits = 5\n", &[1, 3]),
        ("[code]\ndigits = 5\ndigits 8\n", &[2, 3]),
        ("[code]\ndigits = 8\ndigits = 7\n[grace]\nfor = \"8d\"\n", &[3, 5]),
        ("[code]\ndigits = 8\n[code]\nwindow = 99\n", &[3, 4]),
        // What follows a heading without its end is not read, up to the next one.
        ("enforce = yes\n[[policy.rule]\nusre = \"a\"\nsecond_factor = \"skip\"\n[grace]\nfor = 5\n", &[1, 2, 6]),
        ("[policy]\nsecond_factor = \"require\"\nrequired_from = 2027-01-31\npasscode = true\n", &[2]),
    ] {
        assert_eq!(lines(text), expected, "{text}\n{:?}", errors(text));
        assert!(Config::parse(Path::new("f"), text).is_err(), "{text}");
    }
}

#[test]
fn an_error_is_one_line_even_for_a_value_of_several() {
    for text in
        ["issuer = \"\"\"\na\nb\"\"\"", "[[policy.rule]]\nnetwork = \"a\\nb\"\nsecond_factor = \"skip\"", "a = \"\\q\""]
    {
        assert!(!error(text).contains('\n'), "{}", error(text));
    }
}

#[test]
fn a_line_that_looks_like_a_comment_inside_a_string_is_part_of_it() {
    for quotes in ["\"\"\"", "'''"] {
        let backslash = if quotes.starts_with('"') { "\\" } else { "" };
        let text = format!("# shown to users\n[prompt]\ncode = {quotes}\n#1 Code: {backslash}\n{quotes}\n# end\n");
        // In a literal string the line end is part of the text, and a prompt must not have one.
        let expected = if backslash.is_empty() {
            Err("/etc/pam_otp/pam_otp.toml:3: prompt.code must be a text of 1 to 200 characters".to_owned())
        } else {
            Ok(Some("#1 Code: ".to_owned()))
        };
        assert_eq!(parse(&text).map(|config| config.prompt), expected);
    }
    assert_eq!(parse("[prompt]\ncode = '''\n#1 Code: '''").unwrap().prompt.as_deref(), Some("#1 Code: "));
}

#[test]
fn comments_follow_the_rules_of_toml() {
    assert!(parse("# one\r\n# two\tä\n#\r\n# end").is_ok());
    // If a lone carriage return ended lines, the whole file would be one comment and its policy would be lost.
    assert!(error("# first\n# policy\r[policy]\rsecond_factor = \"required\"\r").starts_with("2: "));
    for bad in ["# \u{7f}\n", "# \0\n", "#\u{1}"] {
        assert!(error(&format!("# first\n{bad}")).starts_with("2: "), "{bad:?}");
    }
    // Comment lines count as lines, and no line is added.
    for (text, line) in [("# first\na", "2: "), ("a", "1: "), ("#\n#\n[code]\nx = 1", "4: ")] {
        assert!(error(text).starts_with(line), "{text:?}: {}", error(text));
    }
}

#[test]
fn an_error_without_a_line_names_only_the_file() {
    let error = ConfigError { path: "/etc/x".into(), line: None, what: "is not UTF-8".into() };
    assert_eq!(error.to_string(), "/etc/x: is not UTF-8");
}

#[test]
fn the_shipped_file_shows_each_key_with_its_default() {
    let shipped = include_str!("../../../config/pam_otp.toml");
    let of_default = Config::default();
    assert_eq!(parse(shipped).unwrap(), of_default);
    // Logins read these not at all: what is shown of them is held against their own reader.
    let path = Path::new("/etc/pam_otp/pam_otp.toml");
    let with_programs =
        |text: &str| text.replace("[sms]", "[sms]\nsend = [\"/a\"]").replace("[email]", "[email]\nsend = [\"/a\"]");
    let of_senders = senders::read(path, &with_programs("[sms]\n[email]\n")).0;
    assert!(of_senders.sms.is_some() && of_senders.email.is_some());
    // Keys without a default are shown with an example.
    let examples = [
        "#issuer",
        "#language",
        "#required_from",
        "#for = \"12h\"",
        "#[[policy.rule]]",
        "#[[agent.host]]",
        "#send",
        "#prefixes",
    ];
    let (mut table, mut shown) = ("", 0);
    for line in shipped.lines() {
        if line.trim_start_matches('#').starts_with('[') {
            table = line;
        }
        let key = line.strip_prefix('#').filter(|text| text.starts_with(|letter: char| letter.is_ascii_lowercase()));
        let example = [line, table].iter().any(|text| examples.iter().any(|example| text.starts_with(example)));
        if let (Some(key), false) = (key, example) {
            let mut read = parse(&format!("{table}\n{key}\n")).unwrap();
            // The module has these defaults, and translates them.
            let texts = [
                (&mut read.prompt, "Verification code: "),
                (&mut read.prompt_both, "Password and verification code: "),
                (&mut read.refused, "Verification failed."),
            ];
            texts.into_iter().for_each(|(set, usual)| drop(set.take_if(|set| set == usual)));
            read.seal_keys.take_if(|keys| *keys == Path::new(paths::SEAL_KEYS));
            assert_eq!(read, of_default, "{key}");
            if ["[sms]", "[email]"].contains(&table) {
                let shown = with_programs(&"[sms]\n[email]\n".replace(table, &format!("{table}\n{key}\n")));
                assert_eq!(senders::read(path, &shown), (of_senders.clone(), vec![]), "{key}");
            }
            shown += 1;
        }
    }
    assert_eq!(shown, 30);
}

/// Time of a processor; that of other threads does not count.
fn time_to_read(rules: usize) -> Duration {
    let rule = |n: usize| format!("[[policy.rule]]\nuser = \"u{n}\"\nsecond_factor = \"skip\"\n");
    let text: String = (0..rules).map(rule).collect();
    let spent = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let reading = || {
        let before = spent();
        assert_eq!(parse(&text).unwrap().settings.policy.rules.len(), rules);
        spent() - before
    };
    (0..5).map(|_| reading()).min().unwrap()
}

#[test]
fn reading_a_rule_for_each_of_many_users_stays_fast() {
    // Each rule is compared with all earlier ones: four times as many rules take at most 16 times as long, not 64 times.
    let (few, many) = (time_to_read(300), time_to_read(1200));
    assert!(!few.is_zero() && many < 32 * few, "{few:?} for 300 rules, {many:?} for 1200");
}

#[test]
fn each_rule_knows_its_line() {
    let text = "# one\n[policy]\n\n[[policy.rule]]\nuser = \"a\"\nsecond_factor = \"skip\"\n[prompt]\ncode = \"?\"\n\
                [[policy.rule]] # nine\nuser = \"b\"\nsecond_factor = \"skip\"\n";
    let lines: Vec<_> = parse(text).unwrap().settings.policy.rules.iter().map(|rule| rule.line).collect();
    assert_eq!(lines, [4, 9]);
    let inline =
        "[policy]\nrule = [{ user = \"a\", second_factor = \"skip\" },\n  { tty = \"b\", second_factor = \"skip\" }]\n";
    let lines: Vec<_> = parse(inline).unwrap().settings.policy.rules.iter().map(|rule| rule.line).collect();
    assert_eq!(lines, [2, 3]);
}

#[test]
fn a_language_is_a_locale_in_utf_8_and_no_path() {
    for (name, is_one) in [
        ("de_DE.UTF-8", true),
        ("C.UTF-8", true),
        ("fr.utf8", true),
        ("de_DE", false),
        ("de_DE.ISO-8859-1", false),
        ("../../tmp/x.UTF-8", false),
        ("/tmp/x.UTF-8", false),
        (".UTF-8", false),
        ("de_DE.UTF-8@a/b", false),
    ] {
        assert_eq!(parse(&format!("language = \"{name}\"")).is_ok(), is_one, "{name}");
    }
}

#[test]
fn a_fleet_keeps_the_records_of_all_users_who_are_not_local() {
    let of_fleet = |text: &str| {
        let config = parse(text).unwrap();
        ["root", "alice", "Root"].map(|user| config.is_of_fleet(user))
    };
    assert_eq!(of_fleet(""), [false; 3]);
    assert_eq!(of_fleet("local = []"), [false; 3]);
    assert_eq!(of_fleet("authority = \"fleet\""), [false, true, true]);
    assert_eq!(of_fleet("authority = \"fleet\"\nlocal = []"), [true; 3]);
    assert_eq!(of_fleet("authority = \"fleet\"\nlocal = [\"alice\"]"), [true, false, true]);
    assert_eq!(error("authority = \"agent\""), "1: authority must be \"local\" or \"fleet\"");
    for local in ["\"root\"", "[1]", "[\"\"]", "[\"a:b\"]", "[\"*\"]"] {
        let wanted = "1: local must be a list of login names, like [\"root\"]";
        assert_eq!(error(&format!("local = {local}")), wanted, "{local}");
    }
}
