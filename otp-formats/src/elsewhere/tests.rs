use super::*;
use crate::pam_oath;
use crate::source::{Entry, Source, Whose};
use otp_core::record::credentials::Credentials;
use otp_core::record::credentials_toml::ReadContext;
use otp_core::record::id::DeviceId;
use otp_core::record::state::{Progress, State};
use otp_core::value::time::UnixTime;

const NOW: UnixTime = UnixTime(1_795_316_400);

/// A user with these devices, each with what makes it another one than an app's.
fn record(user: &str, devices: &[&str]) -> Record {
    let digits = if devices.first().is_some_and(|device| device.contains("digits = 8")) { 8 } else { 6 };
    let mut text = format!(
        "version = 1\nuser = \"{user}\"\nuid = 1000\nenrollment = \"{}\"\noverride = \"none\"\nrecovery_codes = 0\n\
         devices = {}\nlast_id = 8\ndefault = 1\ndigits = {digits}\n",
        "ab".repeat(16),
        devices.len(),
    );
    for (id, device) in (1usize..).zip(devices) {
        text += &format!(
            "\n[[device]]\nid = {id}\nname = \"device {id}\"\n{device}\ncreated = 1763750000\n\
             secret = \"{}\"\n",
            ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "IFBEGRCFIZDUQSKKJNGE2TSPKBIVEU2U"][id % 2]
        );
    }
    let credentials = Credentials::decode(text.as_bytes(), ReadContext::ANYONE).unwrap();
    let mut state = State::new(credentials.enrollment);
    for device in &credentials.devices {
        state.devices.insert(DeviceId(device.id.0), Progress::from(7));
    }
    Record::new(credentials, state).unwrap()
}

const APP: &str = "type = \"totp\"\nperiod = 30\nalgorithm = \"SHA1\"\ndigits = 6";
const COUNTER: &str = "type = \"hotp\"\nalgorithm = \"SHA1\"\ndigits = 6";
const SHA256: &str = "type = \"totp\"\nperiod = 60\nalgorithm = \"SHA256\"\ndigits = 8";

#[test]
fn our_own_reader_takes_what_is_written_for_pam_oath() {
    let record = record("alice", &[APP, COUNTER]);
    let Lines { text, devices, left_out } = Elsewhere::PamOath.lines(&record, "Example");
    assert_eq!((devices, left_out.len()), (2, 0), "{left_out:?}");
    let read = pam_oath::read(text.as_bytes(), NOW).unwrap();
    assert_eq!((read.faults.len(), read.entries.count()), (0, 1));
    let Entry { whose, found, .. } = read.entries.entry(0).unwrap();
    assert_eq!(whose, Whose::User("alice".to_owned()));
    for (device, written) in found.devices.iter().zip(&record.credentials.devices) {
        assert!(device.is(written), "{}", *text);
    }
    assert_eq!(
        found.devices.iter().map(|device| device.next).collect::<Vec<_>>(),
        [0, 7],
        "only a counter is in the file"
    );
}

#[test]
fn what_pam_oath_cannot_hold_is_left_out_and_told() {
    let Lines { text, devices, left_out } = Elsewhere::PamOath.lines(&record("alice", &[SHA256, APP]), "Example");
    assert_eq!((devices, left_out), (1, vec!["device 1: pam_oath knows SHA-1 alone".to_owned()]));
    assert!(!text.contains("41424344"), "the seed of the first one is in it");
    let Lines { devices, left_out, .. } = Elsewhere::PamOath.lines(&record("a b", &[APP]), "Example");
    assert_eq!((devices, left_out.len()), (0, 1));
}

#[test]
fn an_address_holds_all_that_makes_codes() {
    let lines = Elsewhere::Uri.lines(&record("al ice", &[SHA256, COUNTER]), "Ex ample");
    let expected = "otpauth://totp/Ex%20ample:al%20ice?secret=IFBEGRCFIZDUQSKKJNGE2TSPKBIVEU2U&algorithm=SHA256&digits=8&period=60\n\
                    otpauth://hotp/Ex%20ample:al%20ice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=7\n";
    assert_eq!((lines.text.as_str(), lines.devices), (expected, 2));
}
