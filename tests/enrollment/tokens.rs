//! Hardware tokens: described with their seed, confirmed by a code, and found again by two codes in a row. oathtool plays
//! them.

use pam_otp_tests::{
    app::Enrolled,
    hardware_token::HardwareToken,
    outcome::{Dialogue, Outcome},
    pty::Pty,
    self_service::{PROOF, is_right, said, status},
    users::TestUser,
};
use serde_json::{Value, json};
use std::{process::Command, time::Duration};

const SEED: &str = "Seed of the token, HEX or Base32 (not shown): ";
const CODE: &str = "Code that the token shows: ";
const NEXT: &str = "The code after it: ";

/// Can be read as HEX and as Base32.
const BOTH: &str = "ABCDEF234567ABCDEF234567";

/// `otp-enroll add NAME --token …`, which reads from standard input.
fn add(user: &TestUser, name: &str, token: &HardwareToken, more: &[&str]) -> Command {
    let mut command = user.command("otp-enroll");
    command.args(["add", name]).args(token.options()).args(more);
    command
}

#[test]
fn tokens_of_every_shape_are_added_and_their_codes_are_good() {
    let alice = TestUser::new("alice");
    let user = alice.name.as_str();
    let Enrolled { recovery, .. } = Enrolled::new(&alice);
    let seeds = [1, 2, 3, 4, 5, 6, 7].map(HardwareToken::hotp);
    let [a, b, c, d, e, f, g] = seeds;
    let period = |token: HardwareToken, algorithm, digits, period| token.shaped(algorithm, digits, Some(period));
    let tokens = [
        a,
        b.shaped("SHA256", 8, None),
        c.shaped("SHA512", 7, None),
        period(d, "SHA1", 6, 30),
        period(e, "SHA256", 8, 60),
        period(f, "SHA512", 7, 300),
        period(g, "SHA1", 8, 120),
    ];
    for (number, token) in tokens.iter().enumerate() {
        let name = format!("token {number}");
        let seed = if number.is_multiple_of(2) { token.hex.to_uppercase() } else { token.base32().to_lowercase() };
        let in_fours: Vec<_> = seed.as_bytes().chunks(4).map(|four| str::from_utf8(four).unwrap()).collect();
        let mut talk = Dialogue::start(&mut add(&alice, &name, token, &["--json", "--serial", "GALT 1/07"]));
        talk.say(&in_fours.join(if number < 4 { " " } else { "-" }));
        talk.say(recovery.get(number).unwrap());
        assert_eq!(talk.json(), json!({"user": user, "name": name, "confirmed": false}));
        talk.say(&token.wrong(0));
        talk.say("hello");
        talk.say(&token.code(0));
        let device = u8::try_from(number).unwrap() + 2;
        let left = 9 - number;
        let answer =
            json!({"user": user, "changed": true, "device": device, "name": name, "recovery_codes_left": left});
        assert_eq!(talk.json(), answer);
        assert_eq!(talk.end(), Outcome { code: Some(0), out: String::new(), err: String::new() });
        assert!(!is_right(&alice, &token.code(0)), "the confirming code is used up: {number}");
        assert!(is_right(&alice, &token.code(1)), "{number}: {token:?}");
    }
    let listed = said(&alice, &["list", "--json"], "").json();
    let hotp = listed.get(1).unwrap();
    assert_eq!((&hotp["serial"], &hotp["type"], &hotp["drift"]), (&json!("GALT 1/07"), &json!("hotp"), &Value::Null));
    let totp = listed.get(5).unwrap();
    let shape = (&totp["algorithm"], &totp["digits"], &totp["period"], &totp["drift"]);
    assert_eq!(shape, (&json!("SHA256"), &json!(8), &json!(60), &json!(0)));
    assert!(said(&alice, &["list"], "").out.contains(", serial GALT 1/07"), "{listed:?}");
}

#[test]
fn a_seed_comes_from_a_file_too_and_is_never_said_again() {
    let alice = TestUser::new("alice");
    let fob = HardwareToken::hotp(1);
    for (content, mode) in [
        (fob.hex.clone() + "\n", 0o600),
        (fob.base32() + "====\r\n", 0o600),
        (format!("{}\n{}", &fob.hex.get(..20).unwrap(), &fob.hex.get(20..).unwrap()), 0o644),
    ] {
        let file = alice.write("seed", &content, mode);
        let path = file.to_str().unwrap();
        let outcome = Outcome::of(&mut add(&alice, "fob", &fob, &["--seed-file", path, "--json"]), &fob.code(0));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.err.contains("others than its owner can open"), mode == 0o644, "{outcome:?}");
        assert!(!outcome.out.to_lowercase().contains(&fob.hex) && !outcome.out.contains(&fob.base32()), "{outcome:?}");
        let codes = outcome.json().pop().unwrap()["recovery_codes"].as_array().unwrap().len();
        assert_eq!(codes, 10, "the first device has recovery codes");
        let log = said(&alice, &["disable", "--yes", "--stdin"], &fob.code(1));
        assert_eq!(log.code, Some(0), "{log:?}");
    }
}

#[test]
fn each_kind_of_bad_input_has_its_sentence_and_stores_nothing() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let hex = HardwareToken::hotp(1).hex;
    let long = "AB".repeat(300);
    let seed = "nothing was changed; give the seed as the token's maker wrote it";
    for (arguments, input, code, error, hint) in [
        (&[][..], "", 1, "there is no seed", seed),
        (
            &[],
            "seedseedseedseeds",
            1,
            "a seed in Base32 cannot end like this: a letter is missing, wrong or too many",
            seed,
        ),
        (&[], "0x3132333435363738393031", 1, "this is neither HEX (0 to 9, A to F) nor Base32 (A to Z, 2 to 7)", seed),
        (
            &[],
            "313233343536373839303",
            1,
            "a seed in HEX has two digits for each byte, and here is one too few or too many",
            seed,
        ),
        (&[], "3132", 1, "a seed has 80 to 512 bits: 20 to 128 digits in HEX, 16 to 103 letters in Base32", seed),
        (&[], &long, 1, "a seed has 80 to 512 bits: 20 to 128 digits in HEX, 16 to 103 letters in Base32", seed),
        (
            &[],
            BOTH,
            2,
            "this seed can be read as HEX and as Base32",
            "nothing was changed; say which it is: --seed-format hex or --seed-format base32",
        ),
        (&["--seed-format", "base32"], &hex, 1, "a seed in Base32 has A to Z and 2 to 7 alone", seed),
        (
            &["--seed-format", "hex"],
            "GEZDGNBVGY3TQOJQ",
            1,
            "a seed in HEX has 0 to 9 and A to F alone, two of them for each byte",
            seed,
        ),
        (
            &["--seed-file", "/no/such"],
            &hex,
            4,
            "cannot read /no/such: No such file or directory",
            "check the path, and that you may read it",
        ),
        (
            &["--type", "hotp", "--period", "30"],
            &hex,
            2,
            "--period does not go with --type hotp: such a token shows another code when its button is pressed",
            "see: otp-enroll --help",
        ),
        (
            &["--counter", "30"],
            &hex,
            2,
            "--counter goes with a token that counts: --type hotp, or a suite of --ocra with C",
            "see: otp-enroll --help",
        ),
        (
            &["--serial", ""],
            &hex,
            2,
            "--serial: a serial number has 1 to 40 characters of ASCII, and no blank at either end",
            "see: otp-enroll --help",
        ),
        (
            &["--serial", "Nº 7"],
            &hex,
            2,
            "--serial: a serial number has 1 to 40 characters of ASCII, and no blank at either end",
            "see: otp-enroll --help",
        ),
    ] {
        let all = [&["add", "--token", "--stdin"], arguments].concat();
        let outcome = said(&alice, &all, &format!("{input}\n{}\n", set_up.recovery[0]));
        let expected =
            Outcome { code: Some(code), out: String::new(), err: format!("otp-enroll: {error}\n  {hint}\n") };
        assert_eq!(outcome, expected, "{arguments:?} {input:?}");
    }
    for arguments in [
        &["--digits", "9"][..],
        &["--digits", "5"],
        &["--period", "9"],
        &["--period", "301"],
        &["--counter", "-1"],
        &["--algorithm", "MD5"],
        &["--type", "sms"],
        &["--seed", &hex],
        &["--qr", "svg", "x"],
    ] {
        let outcome = said(&alice, &[&["add", "--token", "--stdin"], arguments].concat(), "");
        assert!(outcome.code == Some(2) && outcome.err.starts_with("error: "), "{arguments:?}: {outcome:?}");
    }
    let without = said(&alice, &["add", "--digits", "8", "--stdin"], &set_up.recovery[0]);
    assert!(without.code == Some(2) && without.err.contains("--token"), "{without:?}");
    let after = status(&alice);
    assert_eq!(after["devices"].as_array().unwrap().len(), 1);
    assert_eq!(after["recovery_codes_left"], 10, "no proof was used up");

    // A wrong code does not confirm; the proof is used up by then, and that is said.
    let input = format!("{hex}\n{}\n123\n{}\n", set_up.recovery[0], HardwareToken::hotp(1).wrong(0));
    let outcome = said(&alice, &["add", "--token", "--type", "hotp", "--stdin"], &input);
    let told = "otp-enroll: that code is not one of this device's\n  no device was added, and the others still work; the code you gave is used up\n";
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(1), told));
    let bob = TestUser::new("bob");
    let outcome = said(&bob, &["add", "--token", "--stdin"], &format!("{hex}\n12345\n"));
    let told = "otp-enroll: a code of this device has 6 digits\n  nothing was changed; blanks do not matter\n";
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(1), told));
    assert_eq!((&status(&alice)["devices"][1], &status(&bob)["enrolled"]), (&Value::Null, &false.into()));
}

#[test]
fn a_counter_that_is_far_ahead_is_found_by_two_codes_or_by_what_is_said() {
    let alice = TestUser::new("alice");
    let bob = TestUser::new("bob");
    let fob = HardwareToken::hotp(1);
    let mut talk = Dialogue::start(&mut add(&alice, "fob", &fob, &["--json"]));
    talk.say(&fob.hex);
    talk.json();
    talk.say(&fob.code(700));
    assert_eq!(talk.json(), json!({"user": alice.name, "next_code_needed": true}));
    talk.say(&fob.code(702));
    talk.say(&fob.code(700));
    assert_eq!(talk.json()["next_code_needed"], true);
    talk.say(&fob.code(701));
    assert!(talk.json()["changed"] == true && talk.end().code == Some(0));
    assert!(!is_right(&alice, &fob.code(701)) && is_right(&alice, &fob.code(702)));

    let input = |number| format!("{}\n{}\n", fob.hex, fob.code(number));
    let outcome = Outcome::of(&mut add(&bob, "fob", &fob, &["--stdin"]), &input(700));
    assert_eq!(
        outcome.err,
        "otp-enroll: that code is the token's, but it is far from where it should be\n  \
         nothing was changed; give the code after it, too, or say how many it has shown: --counter\n"
    );
    let outcome = Outcome::of(&mut add(&bob, "fob", &fob, &["--stdin"]), &input(1001));
    assert!(outcome.code == Some(1) && outcome.err.contains("that code is not one of this device's"), "{outcome:?}");
    assert_eq!(status(&bob)["enrolled"], false);
    let outcome = Outcome::of(&mut add(&bob, "fob", &fob, &["--counter", "695", "--stdin"]), &input(700));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(is_right(&bob, &fob.code(701)));
}

#[test]
fn a_token_that_lost_its_place_is_found_by_two_codes_in_a_row() {
    let alice = TestUser::new("alice");
    let user = alice.name.as_str();
    let (fob, mut clock) = (HardwareToken::hotp(1), HardwareToken::totp(2));
    let first = Outcome::of(&mut add(&alice, "fob", &fob, &["--json"]), &format!("{}\n{}\n", fob.hex, fob.code(0)));
    let proof = first.json().pop().unwrap()["recovery_codes"][0].as_str().unwrap().to_owned();
    let input = format!("{}\n{proof}\n{}\n", clock.hex, clock.code(0));
    assert_eq!(Outcome::of(&mut add(&alice, "clock", &clock, &["--json"]), &input).code, Some(0));

    let resync = |arguments: &[&str], first: String, second: String| {
        said(&alice, &[&["resync"], arguments].concat(), &format!("{first}\n{second}\n"))
    };
    let several = resync(&["--stdin"], fob.code(200), fob.code(201));
    assert_eq!(
        several.err,
        "otp-enroll: there are several tokens: name one by its number or name\n  \
         nothing was changed; the devices: otp-enroll list\n"
    );
    assert!(!is_right(&alice, &fob.code(200)), "too far ahead");
    let gap = resync(&["fob", "--stdin"], fob.code(200), fob.code(202));
    let told = "otp-enroll: these are not two codes in a row of this token (2 wrong codes in a row)\n  they count as one \
                wrong code, and nothing else was changed; give a code that it shows and, when it shows another, that one, too\n";
    assert_eq!((gap.code, gap.err.as_str()), (Some(1), told));
    for bad in ["", "1234567", "abcdef", proof.as_str()] {
        let outcome = resync(&["1", "--stdin"], bad.to_owned(), fob.code(201));
        assert!(outcome.err.starts_with("otp-enroll: a code of this device has 6 digits\n"), "{outcome:?}");
    }
    let found = resync(&["FOB", "--json"], fob.code(200), fob.code(201));
    assert_eq!(found.json(), [json!({"user": user, "changed": true, "device": 1, "name": "fob"})], "{found:?}");
    assert!(!is_right(&alice, &fob.code(200)) && !is_right(&alice, &fob.code(201)), "both are used up");
    assert!(is_right(&alice, &fob.code(202)));
    assert_eq!(resync(&["1", "--stdin"], fob.code(100), fob.code(101)).code, Some(1), "never back");

    clock.clock_off = 300;
    assert!(!is_right(&alice, &clock.code(0)));
    let found = resync(&["clock", "--json"], clock.code(0), clock.code(1));
    let drift = found.json().remove(0)["drift"].as_i64().unwrap();
    assert!((10..=11).contains(&drift), "{found:?}");
    assert!(is_right(&alice, &clock.code(2)), "{:?}", status(&alice));
    let list = said(&alice, &["list"], "").out;
    assert!(list.contains(" s ahead"), "{list}");
    clock.clock_off = 3600;
    assert_eq!(resync(&["clock", "--json"], clock.code(0), clock.code(1)).code, Some(1), "an hour is too much");

    while status(&alice)["lock"] == "open" {
        resync(&["fob", "--stdin"], fob.code(300), fob.code(302));
    }
    let locked = resync(&["fob", "--stdin"], fob.code(300), fob.code(301));
    assert!(locked.err.contains("only a recovery code, or a passcode at a login, is accepted until"), "{locked:?}");
    assert_eq!(locked.code, Some(1));
    // Before a code is asked for.
    assert_eq!(said(&alice, &["resync", "fob", "--stdin"], ""), locked);
}

#[test]
fn the_guide_hides_the_seed_and_asks_again() {
    let alice = TestUser::new("alice");
    let set_up = Enrolled::new(&alice);
    let fob = HardwareToken::hotp(1);
    let mut terminal = Pty::new("otp-enroll").args(["add", "--token", "--type", "hotp"]).user(&alice).start();
    terminal.wait_for("Name of the new device [token]: ");
    terminal.send_line("blue key");
    for (seed, sentence) in [("", "there is no seed"), ("GEZDGNBV0", "this is neither HEX"), ("ABCD", "a seed has 80")]
    {
        terminal.wait_for(SEED);
        terminal.send_line(seed);
        terminal.wait_for(sentence);
    }
    terminal.wait_for(SEED);
    terminal.send_line(&fob.hex);
    terminal.wait_for(PROOF);
    terminal.send_line(&set_up.recovery[0]);
    for (code, sentence) in [
        ("12".to_owned(), "a code of this device has 6 digits"),
        (fob.wrong(0), "that code is not one of this device's"),
        (fob.wrong(1), "that code is not one of this device's"),
        (fob.wrong(2), "Are the seed and the options of the token right: --type, --algorithm,"),
        (fob.code(50), "that code is the token's, but it is far from where it should be;"),
    ] {
        terminal.wait_for(CODE);
        terminal.send_line(&code);
        terminal.wait_for(sentence);
    }
    terminal.wait_for(NEXT);
    terminal.send_line(&fob.code(51));
    terminal.wait_for("Device 2, blue key, is set up.");
    assert!(terminal.wait().success());
    let transcript = terminal.transcript();
    for secret in [&fob.hex, "GEZDGNBV0"] {
        assert!(!transcript.contains(secret), "{transcript}");
    }
    assert!(is_right(&alice, &fob.code(52)));
}

#[test]
fn a_seed_that_can_be_read_twice_is_asked_for_its_form() {
    let alice = TestUser::new("alice");
    let mut fob = HardwareToken::hotp(1);
    fob.hex = BOTH.to_owned();
    let mut terminal = Pty::new("otp-enroll").args(["add", "fob", "--token", "--type", "hotp"]).user(&alice).start();
    terminal.wait_for(SEED);
    terminal.send_line(BOTH);
    for answer in ["which?", "HEX"] {
        terminal.wait_for("Which is it, hex or base32? ");
        terminal.send_line(answer);
    }
    terminal.wait_for(CODE);
    terminal.send_line(&fob.code(0));
    terminal.wait_for_screen("Save to file");
    terminal.send_line("");
    assert!(terminal.wait().success());
    assert!(is_right(&alice, &fob.code(1)));
    let mut base32 = HardwareToken::hotp(1);
    base32.hex = "004432175be77df004432175be77df".to_owned();
    let bob = TestUser::new("bob");
    let input = format!("{BOTH}\n{}\n", base32.code(0));
    let outcome = Outcome::of(&mut add(&bob, "fob", &base32, &["--seed-format", "base32", "--json"]), &input);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn after_an_interruption_the_terminal_shows_again_what_is_typed() {
    let alice = TestUser::new("alice");
    let line = "trap : INT; otp-enroll add fob --token; echo exit $?; stty -a | tr ' ;' '\\n\\n' | grep -x -e echo -e -echo; echo end";
    let mut terminal = Pty::new("bash").args(["-c", line]).user(&alice).start();
    terminal.wait_for(SEED);
    terminal.send("3132");
    assert_eq!(terminal.look_for("3132", Duration::from_millis(300)), None, "what is typed is hidden");
    terminal.send("\u{3}");
    terminal.wait_for("interrupted: nothing was changed");
    terminal.wait_for("exit 130");
    let end = terminal.wait_for("end");
    assert!(end.lines().any(|line| line.trim() == "echo"), "{end:?}");
    terminal.wait();
    assert!(!terminal.transcript().contains("3132"));
}
