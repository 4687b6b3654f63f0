use super::*;
use crate::policy::SecondFactor;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/pam_otp/pam_otp.toml"), text).map_err(|error| error.to_string())
}

/// The error without the file's name, which every one begins with.
fn error(text: &str) -> String {
    let error = parse(text).unwrap_err();
    error.strip_prefix("/etc/pam_otp/pam_otp.toml:").unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[test]
fn an_empty_file_means_the_documented_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.issuer, None);
    assert_eq!(config.state_directory.get(), Path::new("/var/lib/pam_otp"));
    let CodeConfig { digits, period, algorithm, window } = config.code.clone();
    assert_eq!((digits.get(), period.get(), algorithm, *window.get()), (6, 30, Algorithm::Sha1, 1));
    assert_eq!(*config.lockout.after.get(), 6);
    assert_eq!(config.lockout.r#for.0, LockFor::Time(Seconds(15 * 60)));
    assert_eq!(*config.recovery.codes.get(), 10);
    assert_eq!(config.policy.second_factor, SecondFactor::Optional);
    assert!(config.policy.rule.is_empty());
    assert_eq!(config.prompt.code.get(), "Verification code: ");
    assert_eq!(config.prompt.refused.get(), "Verification failed.");
}

#[test]
fn empty_tables_mean_the_defaults_too() {
    let empty = parse("[code]\n[lockout]\n[recovery]\n[policy]\n[prompt]\n").unwrap();
    assert_eq!(format!("{empty:?}"), format!("{:?}", Config::default()));
}

#[test]
fn every_key_can_be_set() {
    let config = parse(
        r#"
        issuer = "Example Ltd"
        state_directory = "/srv/otp"
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
        [[policy.rule]]
        network = "192.0.2.0/24"
        second_factor = "skip"
        [prompt]
        code = "Code? "
        refused = "No."
        "#,
    )
    .unwrap();
    assert_eq!(config.issuer.as_ref().unwrap().get(), "Example Ltd");
    assert_eq!(config.state_directory.get(), Path::new("/srv/otp"));
    let CodeConfig { digits, period, algorithm, window } = config.code.clone();
    assert_eq!((digits.get(), period.get(), algorithm, *window.get()), (8, 60, Algorithm::Sha512, 3));
    let Limits { window, lock_after, lock_for } = config.limits();
    assert_eq!((window, lock_after, lock_for), (3, 3, LockFor::UntilUnlocked));
    assert_eq!(*config.recovery.codes.get(), 0);
    assert_eq!(config.policy.second_factor, SecondFactor::Required);
    assert_eq!(config.policy.rule[0].second_factor, SecondFactor::Skip);
    assert_eq!((config.prompt.code.get().as_str(), config.prompt.refused.get().as_str()), ("Code? ", "No."));
}

#[test]
fn each_range_ends_where_it_says() {
    let long = |length: usize| format!("\"{}\"", "é".repeat(length));
    let text = |length| (long(length), "a text has 1 to 200 characters and no control characters");
    let issuer = |length| (long(length), "an issuer has 1 to 60 characters, no colon and no control characters");
    let number = |number: u64, error| (number.to_string(), error);
    let word = |word: &str, error| (format!("{word:?}"), error);
    let (digits, period) = ("a code has 6, 7 or 8 digits", "a period has 10 to 300 seconds");
    let (window, after) = ("window must be 0 to 10 steps", "after must be 1 to 100 wrong codes");
    for (table, key, inside, outside) in [
        ("code", "digits", vec![number(6, ""), number(8, "")], vec![number(5, digits), number(9, digits)]),
        ("code", "period", vec![number(10, ""), number(300, "")], vec![number(9, period), number(301, period)]),
        ("code", "window", vec![number(0, ""), number(10, "")], vec![number(11, window)]),
        ("lockout", "after", vec![number(1, ""), number(100, "")], vec![number(0, after), number(101, after)]),
        ("lockout", "for", vec![word("1s", ""), word("365d", "")], vec![word("0m", "for must be longer than nothing")]),
        ("recovery", "codes", vec![number(0, ""), number(10, "")], vec![number(11, "codes must be 0 to 10")]),
        ("prompt", "code", vec![text(1), text(200)], vec![text(0), text(201)]),
        ("prompt", "refused", vec![text(1), text(200)], vec![text(0), text(201)]),
        ("", "issuer", vec![issuer(1), issuer(60)], vec![issuer(0), issuer(61)]),
        ("", "state_directory", vec![word("/", "")], vec![word("var", "state_directory must be an absolute path")]),
    ] {
        let (header, path) =
            if table.is_empty() { ("#".into(), key.into()) } else { (format!("[{table}]"), format!("{table}.{key}")) };
        for (value, _) in inside {
            assert!(parse(&format!("{header}\n{key} = {value}")).is_ok(), "{path} = {value}");
        }
        for (value, why) in outside {
            assert_eq!(error(&format!("{header}\n{key} = {value}")), format!("2: {path}: {why}"));
        }
    }
}

#[test]
fn a_text_has_no_character_that_could_steer_a_terminal_or_a_uri() {
    for (key, value) in
        [("issuer", "a:b"), ("issuer", r"a\nb"), ("prompt.code", r"a\u001bb"), ("prompt.refused", r"\u0000")]
    {
        let error = error(&format!("{key} = \"{value}\""));
        assert!(error.contains(&format!("1: {key}: ")) && error.contains("no control characters"), "{error}");
    }
}

#[test]
fn an_unknown_key_is_an_error_at_every_level() {
    for (text, expected) in [
        (
            "colour = 1",
            "1: unknown field `colour`, expected one of `issuer`, `state_directory`, `code`, `lockout`, `recovery`, `policy`, `prompt`",
        ),
        (
            "[colour]",
            "1: unknown field `colour`, expected one of `issuer`, `state_directory`, `code`, `lockout`, `recovery`, `policy`, `prompt`",
        ),
        (
            "[code]\ncolour = 1",
            "2: code: unknown field `colour`, expected one of `digits`, `period`, `algorithm`, `window`",
        ),
        ("[lockout]\ncolour = 1", "2: lockout: unknown field `colour`, expected `after` or `for`"),
        ("[recovery]\ncolour = 1", "2: recovery: unknown field `colour`, expected `codes`"),
        ("[policy]\ncolour = 1", "2: policy: unknown field `colour`, expected `second_factor` or `rule`"),
        ("[prompt]\ncolour = 1", "2: prompt: unknown field `colour`, expected `code` or `refused`"),
        (
            "[[policy.rule]]\nuser = \"a\"\nsecond_factor = \"skip\"\ncolour = 1",
            "4: policy.rule: unknown field `colour`, expected one of `user`, `group`, `service`, `network`, `tty`, `second_factor`",
        ),
    ] {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn an_error_names_file_line_and_key() {
    for (text, expected) in [
        ("\n\n[code]\ndigits = \"6\"", "4: code.digits: invalid type: string \"6\", expected u8"),
        ("[code]\nperiod = -1", "2: code.period: invalid value: integer `-1`, expected u64"),
        ("[code]\nwindow = 1.5", "2: code.window: invalid type: floating point `1.5`, expected u64"),
        (
            "[code]\nalgorithm = \"sha1\"",
            "2: code.algorithm: unknown variant `sha1`, expected one of `SHA1`, `SHA256`, `SHA512`",
        ),
        ("[lockout]\nfor = 15", "2: lockout.for: invalid type: integer `15`, expected a string"),
        (
            "[lockout]\nfor = \"1w\"",
            "2: lockout.for: \"1w\" is not a duration: write a number and s, m, h or d, like \"15m\"",
        ),
        ("[recovery]\ncodes = 256", "2: recovery.codes: invalid value: integer `256`, expected u8"),
        (
            "[policy]\nsecond_factor = \"maybe\"",
            "2: policy.second_factor: unknown variant `maybe`, expected one of `required`, `optional`, `skip`",
        ),
        ("[[policy.rule]]\nuser = \"a\"", "1: policy.rule: missing field `second_factor`"),
        (
            "[[policy.rule]]\nsecond_factor = \"skip\"",
            "1: policy.rule: a rule needs a condition: user, group, service, network or tty",
        ),
        ("[code]\ndigits = 6\ndigits = 7", "3: duplicate key"),
        ("[code\n", "1: unclosed table, expected `]`"),
        ("code = 1", "1: code: invalid type: integer `1`, expected struct CodeConfig"),
    ] {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn what_is_longer_than_a_line_stays_a_line() {
    for text in
        ["issuer = \"\"\"\na\nb\"\"\"", "[[policy.rule]]\nnetwork = \"a\\nb\"\nsecond_factor = \"skip\"", "a = \"\\q\""]
    {
        assert!(!error(text).contains('\n'), "{}", error(text));
    }
}

#[test]
fn an_error_without_a_line_names_the_file_alone() {
    let error = ConfigError { path: "/etc/x".into(), line: None, what: "is not UTF-8".into() };
    assert_eq!(error.to_string(), "/etc/x: is not UTF-8");
}

/// What the manual and README may already say, and this version does not do, is refused and not ignored.
#[test]
fn a_setting_that_cannot_be_honoured_is_refused() {
    for text in [
        "enforce = false",
        "[grace]\nfor = \"1h\"",
        "[policy]\nrequired_from = 2026-01-01",
        "[policy]\nsecond_factor = \"enroll\"",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}
