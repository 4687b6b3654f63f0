use super::*;
use crate::source::without;
use otp_core::decision::import::{Import, Others, Outcome};
use otp_core::record::Record;
use otp_core::record::change::Change;
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::id::EnrollmentId;
use otp_core::value::user::Account;

const SEED: &str = "3132333435363738393031323334353637383930";
const OTHER: &str = "4142434445464748494A4b4c4d4e4f5051525354";
/// 2026-11-22T03:00:00Z.
const NOW: UnixTime = UnixTime(1_795_316_400);

fn people(text: &str) -> UsersFile<&[u8]> {
    let Read { entries, faults } = read(text.as_bytes(), NOW).unwrap();
    assert_eq!(faults, [], "{text}");
    entries
}

fn whose(file: &impl Source, place: usize) -> Whose {
    file.entry(place).unwrap().whose
}

fn user(name: &str) -> Whose {
    Whose::User(name.to_owned())
}

fn devices(file: &impl Source, place: usize) -> Vec<Imported> {
    file.entry(place).unwrap().found.devices
}

fn only(line: &str) -> Imported {
    let file = people(line);
    assert_eq!((file.count(), whose(&file, 0)), (1, user("alice")), "{line}");
    devices(&file, 0).remove(0)
}

fn faults(text: &[u8]) -> Vec<(usize, String)> {
    read(text, NOW).unwrap().faults.into_iter().map(|fault| (fault.line, fault.what)).collect()
}

fn totp(seconds: u64) -> Kind {
    Kind::Totp(Clock::of_app(Period::try_from(seconds).unwrap()))
}

#[test]
fn the_type_says_what_moves_the_code_on_and_how_long_it_is() {
    for (word, kind, digits) in [
        ("HOTP", Kind::Hotp, 6),
        ("HOTP/E", Kind::Hotp, 6),
        ("HOTP/E/6", Kind::Hotp, 6),
        ("HOTP/E/7", Kind::Hotp, 7),
        ("HOTP/T30", totp(30), 6),
        ("HOTP/T30/6", totp(30), 6),
        ("HOTP/T60/8", totp(60), 8),
        ("HOTP/T10", totp(10), 6),
        ("HOTP/T300", totp(300), 6),
    ] {
        let device = only(&format!("{word} alice - {SEED}"));
        assert_eq!((device.kind, device.digits.get(), device.algorithm), (kind, digits, Algorithm::Sha1), "{word}");
        assert_eq!(device.secret.expose(), b"12345678901234567890");
        assert!(device.next == 0 && device.last.is_none(), "{word}");
    }
}

#[test]
fn words_are_parted_as_liboath_parts_them_and_comments_are_no_users() {
    let text = format!(
        "# users\n\n  \t\nHOTP/T30\tbob\t+\t{SEED}\t0\t123456\t2026-11-22T02:59:59L\r\n\
         #HOTP alice - {SEED}\n  HOTP  alice \t - {OTHER}"
    );
    let file = people(&text);
    assert_eq!(file.count(), 2);
    assert_eq!([whose(&file, 0), whose(&file, 1)], [user("bob"), user("alice")], "in the order of the file");
    assert_eq!(devices(&file, 1)[0].secret.expose(), b"ABCDEFGHIJKLMNOPQRST");
    assert_eq!(people("").count(), 0);
}

#[test]
fn the_lines_of_one_user_are_several_devices_wherever_they_stand() {
    let text = format!("HOTP bob - {SEED}\nHOTP alice - {SEED}\nHOTP/T30 carl - {SEED}\nHOTP/T60 bob + {OTHER}\n");
    let file = people(&text);
    let kinds = |place| devices(&file, place).iter().map(|device| device.kind.clone()).collect::<Vec<_>>();
    assert_eq!((0..3).map(|place| whose(&file, place)).collect::<Vec<_>>(), ["bob", "alice", "carl"].map(user));
    assert_eq!(kinds(0), [Kind::Hotp, totp(60)]);
    assert_eq!(kinds(1), [Kind::Hotp]);
}

#[test]
fn the_counter_is_the_next_one_before_a_first_code_and_the_last_one_after_it() {
    assert_eq!(only(&format!("HOTP alice - {SEED} 7")).next, 7);
    assert_eq!(only(&format!("HOTP alice - {SEED} 7 162583")).next, 8);
    assert_eq!(only(&format!("HOTP alice - {SEED} 7 162583 2026-11-22T02:00:00L")).next, 8);
    assert_eq!(only(&format!("HOTP alice - {SEED} 18446744073709551614 162583")).next, u64::MAX);
    // pam_oath adds up something else there.
    assert_eq!(only(&format!("HOTP/T30 alice - {SEED} 7 162583")).next, 0);
}

#[test]
fn the_last_code_of_a_time_based_device_is_looked_for_where_it_may_be_ahead_of_now() {
    for (time, lately) in [
        ("", true),
        ("2026-11-22T03:00:00L", true),
        ("2026-11-22T17:00:00L", true), // by a clock east of Greenwich
        ("2026-11-20T03:00:01L", true),
        ("2026-11-20T03:00:00L", false),
        ("2009-12-07T22:22:22L", false),
    ] {
        let device = only(&format!("HOTP/T30 alice - {SEED} 0 162583 {time}"));
        assert_eq!(device.last.is_some(), lately, "{time}");
    }
}

#[test]
fn every_line_that_cannot_be_taken_over_is_told_with_its_number_and_without_what_stands_there() {
    let not_a_type = "the type is not HOTP, HOTP/E, HOTP/T30 or one of these with /6, /7 or /8";
    let digits = "a code has 6, 7 or 8 digits";
    let period = "a period has 10 to 300 seconds";
    let password = "there is a password, which cannot be imported: write - or + in its place";
    let length = "the last code does not have the number of digits of the type";
    let time = "the time of the last code cannot be read";
    for (line, what) in [
        (format!("MOTP alice 1234 {SEED}"), "the type is MOTP, which is not supported"),
        (format!("TOTP alice - {SEED}"), not_a_type),
        (format!("hotp alice - {SEED}"), not_a_type),
        (format!("{SEED} alice - HOTP"), not_a_type),
        (format!("HOTP/X alice - {SEED}"), not_a_type),
        (format!("HOTP/T alice - {SEED}"), not_a_type),
        (format!("HOTP/T+30 alice - {SEED}"), not_a_type),
        (format!("HOTP/E/6/6 alice - {SEED}"), not_a_type),
        (format!("HOTP/E/x alice - {SEED}"), not_a_type),
        (format!("HOTP/T9 alice - {SEED}"), period),
        (format!("HOTP/T301 alice - {SEED}"), period),
        (format!("HOTP/E/5 alice - {SEED}"), digits),
        (format!("HOTP/T30/9 alice - {SEED}"), digits),
        (format!("HOTP/T30/262 alice - {SEED}"), digits),
        ("HOTP".into(), "there is no user name"),
        (format!("HOTP al\u{1b}ice - {SEED}"), "the user name is not valid"),
        (format!("HOTP {} - {SEED}", "a".repeat(256)), "the user name is not valid"),
        ("HOTP alice".into(), "there is no password field"),
        (format!("HOTP alice 1234 {SEED}"), password),
        (format!("HOTP alice {SEED}"), password),
        ("HOTP alice -".into(), "there is no seed"),
        (format!("HOTP alice - {SEED}3"), "the seed is not HEX"),
        ("HOTP alice - GEZDGNBVGY3TQOJQ".into(), "the seed is not HEX"),
        ("HOTP alice - 00".into(), "the seed must have 80 to 512 bits"),
        (format!("HOTP alice - {SEED} -1"), "the counter is not a number, or too large"),
        (format!("HOTP alice - {SEED} 18446744073709551616"), "the counter is not a number, or too large"),
        (format!("HOTP alice - {SEED} 18446744073709551615 123456"), "the counter is used up"),
        (format!("HOTP alice - {SEED} 1 12345678"), length),
        (format!("HOTP/E/8 alice - {SEED} 1 123456"), length),
        (format!("HOTP alice - {SEED} 1 -"), length),
        (format!("HOTP alice - {SEED} 1 123456 yesterday"), time),
        (format!("HOTP alice - {SEED} 1 123456 2026-11-22T03:00:00Z"), time),
        (format!("HOTP alice - {SEED} 1 123456 2026-13-22T03:00:00L"), time),
        (format!("HOTP alice - {SEED} 1 123456 2026-11-22T24:00:00L"), time),
        (
            format!("HOTP alice - {SEED} 1 123456 2026-11-22T03:00:00L more"),
            "there is text after the time of the last code",
        ),
    ] {
        let found = faults(format!("# first\n{line}\nHOTP bob - {SEED}\n").as_bytes());
        assert_eq!(found, [(2, what.to_owned())], "{line}");
    }
    assert_eq!(faults(b"\nHOTP al\xffice - 00"), [(2, "it is not UTF-8".to_owned())]);
}

#[test]
fn all_faults_are_found_and_told_in_the_order_of_the_file() {
    let text =
        format!("HOTP bob - {SEED}\nHOTP bob\nHOTP alice - {OTHER}\n\nHOTP bob - {SEED}\nHOTP alice pin {SEED}\n");
    let lines: Vec<_> = faults(text.as_bytes()).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 5, 6]);
}

#[test]
fn no_user_has_a_seed_twice_or_too_many_devices() {
    let twice = format!("HOTP alice - {SEED}\nHOTP bob - {SEED}\nHOTP/T30 alice - {SEED}\n");
    assert_eq!(faults(twice.as_bytes()), [(3, "the seed is the one of line 1, of the same user".to_owned())]);
    let lines = |count: usize| (0..count).map(|n| format!("HOTP alice - {n:020}\n")).collect::<String>();
    assert_eq!(devices(&people(&lines(8)), 0).len(), 8);
    assert_eq!(faults(lines(9).as_bytes()), [(9, "the user has more than 8 devices".to_owned())]);
}

#[test]
fn whatever_stands_in_a_file_is_told_or_makes_records_that_can_be_read() {
    const LONG: &str = "ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00";
    let words: [&[&str]; 7] = [
        &["HOTP", "HOTP/E/6", "HOTP/E/8", "HOTP/T30", "HOTP/T300/7", "HOTP/T0", "MOTP", "#", ""],
        &["alice", "bob", "carol", "..", "é", "a\u{7f}", ""],
        &["-", "+", "pass", ""],
        &[SEED, OTHER, LONG, "0123456789abcdef0123", "00", "xyz", ""],
        &["0", "7", "18446744073709551614", "18446744073709551615", "18446744073709551616", "-1", ""],
        &["123456", "1234567", "12345678", "12345", "١٢٣٤٥٦", ""],
        &["2026-11-22T02:59:59L", "2026-02-30T00:00:00L", "9999-12-31T23:59:60L", "2026-11-22", "L", ""],
    ];
    // Numbers that look random and are the same in every run (xorshift64, Marsaglia 2003).
    let mut state = 1u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(bound).unwrap()).unwrap()
    };
    let (mut faulty, mut read_well) = (0, 0);
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..=below(3) {
            let least = if below(8) == 0 { 0 } else { 4 };
            for choice in &words[..least + below(words.len() + 1 - least)] {
                // The first ones are good.
                let places = if below(16) == 0 { choice.len() } else { 2 };
                text.extend([choice[below(places)], [" ", "\t", "  "][below(3)]].concat().bytes());
            }
            text.push(b'\n');
        }
        if below(4) == 0 {
            let place = below(text.len());
            text[place] = below(256).try_into().unwrap();
        }
        let Read { entries: file, faults } = read(&text[..], NOW).unwrap();
        faulty += usize::from(!faults.is_empty());
        for place in 0..file.count() {
            let Entry { whose: Whose::User(user), found, .. } = file.entry(place).unwrap() else {
                panic!("a line names its user")
            };
            let account = Account { name: UserName::parse(&user).unwrap(), uid: 1000, gid: 1000 };
            let import = Import::new(found, Others::Refuse, [3; 16], NOW);
            let (Change::Record(record), Outcome::Imported) = import.into_record(&account, None, EnrollmentId([1; 16]))
            else {
                panic!("{}", String::from_utf8_lossy(&text));
            };
            let credentials = Credentials::decode(record.credentials.encode().as_bytes(), ReadContext::of(&account));
            let again = Record::new(credentials.unwrap(), record.state.clone()).unwrap();
            // The same devices, and nothing that was used is good again.
            assert!(matches!(import.into_record(&account, Some(&again), EnrollmentId([2; 16])).1, Outcome::Already));
            read_well += 1;
        }
    }
    assert!(faulty > 2_000 && read_well > 2_000, "{faulty} with faults, {read_well} users");
}

#[test]
fn a_fault_in_one_line_of_a_user_leaves_all_lines_of_that_user_out() {
    let text =
        format!("HOTP alice - {SEED}\nHOTP bob - {OTHER}\nHOTP alice - xyz\nHOTP carl - {SEED}\nHOTP carl - {SEED}\n");
    let Read { entries, faults } = read(text.as_bytes(), NOW).unwrap();
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [3, 5]);
    assert_eq!((entries.count(), whose(&entries, 0)), (1, user("bob")));
    let mut left = Vec::new();
    without(text.as_bytes(), std::iter::once(entries.ranges(0)), &mut left).unwrap();
    assert_eq!(read(&left[..], NOW).unwrap().entries.count(), 0);
    assert_eq!(
        left,
        text.lines()
            .filter(|line| !line.contains("bob"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
            .into_bytes()
    );
}
