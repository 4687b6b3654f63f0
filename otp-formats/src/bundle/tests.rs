use super::*;
use otp_core::record::id::{DeviceId, EnrollmentId};
use otp_core::record::state::{Progress, State};

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn record(user: &str) -> Record {
    let text = format!(
        "version = 1\nuser = \"{user}\"\nuid = 1000\nenrollment = \"{}\"\noverride = \"none\"\nrecovery_codes = 0\n\
         devices = 1\nlast_id = 3\ndefault = 3\ndigits = 6\n\n[[device]]\nid = 3\nname = \"phone\"\ntype = \"hotp\"\n\
         algorithm = \"SHA1\"\ndigits = 6\ncreated = 1763750000\nsecret = \"{SEED}\"\n",
        "ab".repeat(16)
    );
    let credentials = Credentials::decode(text.as_bytes(), ReadContext::ANYONE).unwrap();
    let mut state = State::new(EnrollmentId([0xab; 16]));
    state.devices.insert(DeviceId(3), Progress::from(77));
    Record::new(credentials, state).unwrap()
}

fn head() -> Head {
    Head { host: "one.example.org".into(), made: UnixTime(1_764_405_000) }
}

fn written(users: &[&str]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), &head()).unwrap();
    for user in users {
        writer.write(&record(user)).unwrap();
    }
    writer.end().unwrap()
}

/// The users of a bundle, or why it cannot be read.
fn users(text: &[u8]) -> Result<Vec<String>, String> {
    let read = || {
        let mut reader = Reader::begin(text)?;
        let mut users = Vec::new();
        while let Some(record) = reader.next_record()? {
            users.push(record.credentials.user.to_string());
        }
        Ok(users)
    };
    read().map_err(|error: BundleError| error.to_string())
}

/// The error about a bundle in which a text was changed.
fn error_with(from: &str, to: &str) -> String {
    let text = String::from_utf8(written(&["alice", "bob"])).unwrap();
    let changed = text.replacen(from, to, 1);
    assert_ne!(changed, text, "{from}");
    users(changed.as_bytes()).unwrap_err()
}

#[test]
fn reading_undoes_writing() {
    for people in [&[][..], &["alice"], &["alice", "bob", "carol"]] {
        let text = written(people);
        assert_eq!(users(&text).unwrap(), people);
        let mut reader = Reader::begin(&text[..]).unwrap();
        assert_eq!(*reader.head(), head());
        while let Some(read) = reader.next_record().unwrap() {
            let before = record(read.credentials.user.as_str());
            assert_eq!(*read.credentials.encode(), *before.credentials.encode());
            assert_eq!(read.state, before.state);
        }
    }
}

#[test]
fn a_bundle_that_is_cut_anywhere_is_noticed() {
    let text = written(&["alice", "bob"]);
    // Behind its last line there are blanks, which say nothing: the encryption notices that they are cut.
    let last_line = text.len() - PADDING;
    for length in 0..last_line {
        assert!(users(&text[..length]).is_err(), "{length}");
    }
    assert!(users(&text[..last_line]).is_ok());
}

#[test]
fn what_this_program_would_not_write_is_refused_with_a_sentence() {
    for (from, to, expected) in [
        ("pam_otp-bundle 1", "pam_otp-bundle 2", "holds a bundle of version 2; this program reads version 1"),
        ("pam_otp-bundle 1", "# users.oath", "holds no bundle of otp-enroll"),
        ("host one", "hast one", "has a line that no bundle has"),
        ("host one", "host o\u{1b}ne", "has a line that no bundle has"),
        ("time 17", "time 017", "has a line that no bundle has"),
        ("record ", "rekord ", "has a line before its record 1 that no bundle has"),
        ("record ", "record 99999999", "has a line before its record 1 that no bundle has"),
        (
            "version = 1",
            "version = 2",
            "has a record that is of no use: number 1 has version 2; this program reads version 1",
        ),
        ("next 77", "next 76", "has a record that is of no use: number 1 says not how far its devices have come"),
        ("end 2", "end 3", "has 2 records and says that it has 3"),
        ("end 2", "end 1", "has 2 records and says that it has 1"),
        ("end 2\n ", "end 2\nx", "goes on after its end"),
        ("end 2", "end of it", "has a line before its record 3 that no bundle has"),
    ] {
        assert_eq!(error_with(from, to), expected, "{from} {to}");
    }
    let with_device = error_with("[[device]]", &format!("[[device]]\n{}", "[[device]]\n".repeat(8)));
    assert!(with_device.starts_with("has a record that is of no use: number 1 cannot be read: line "), "{with_device}");
    assert_eq!(users(&[written(&["alice"]), vec![b' '; 2000]].concat()).unwrap_err(), "goes on after its end");
    assert_eq!(users(&[b'x'; 100_000]).unwrap_err(), "holds no bundle of otp-enroll");
    assert_eq!(users(&[0xff; 50]).unwrap_err(), "is cut off or damaged");
}

#[test]
fn two_records_of_one_user_are_refused() {
    for people in [["alice", "alice"], ["bob", "alice"]] {
        let error = users(&written(&people)).unwrap_err();
        assert_eq!(error, "has two records of one user, or records in disorder: see number 2");
    }
}

#[test]
fn a_record_whose_state_is_anothers_is_refused() {
    let text = String::from_utf8(written(&["alice"])).unwrap();
    let error =
        users(text.replacen(&format!("\"{}\"", "ab".repeat(16)), &format!("\"{}\"", "cd".repeat(16)), 1).as_bytes());
    assert!(error.unwrap_err().contains("the state belongs to another enrollment"));
}

#[test]
fn an_error_never_quotes_a_seed() {
    for broken in [SEED.to_lowercase(), format!("{SEED}A=")] {
        let error = error_with(SEED, &broken);
        assert!(!error.to_uppercase().contains("GEZD"), "{error}");
    }
}

#[test]
fn a_host_may_have_been_named_by_anybody() {
    let head = Head { host: "a\nhost b c\u{1b}".into(), made: UnixTime(1) };
    let text = Writer::begin(Vec::new(), &head).unwrap().end().unwrap();
    assert_eq!(Reader::begin(&text[..]).unwrap().head().host, "ahostbc");
}
