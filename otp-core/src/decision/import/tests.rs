use super::*;
use crate::codes::hotp_totp::{Clock, Period};
use crate::decision::verify::{Limits, Refusal, Verdict, decide};
use crate::record::credentials::Credentials;
use crate::testing::fixtures::{LIMITS, NOW, STEP, alice, code_of, phone, record, shown, token};

const NEW: EnrollmentId = EnrollmentId([8; 16]);

/// A device as a file holds it.
fn in_file(device: &Device, next: u64) -> Imported {
    let Device { ref kind, ref secret, algorithm, digits, .. } = *device;
    Imported { kind: kind.clone(), secret: secret.duplicate(), algorithm, digits, next, last: None }
}

fn with_last(device: &Device, step: u64) -> Imported {
    Imported { last: Some(code_of(device, step)), ..in_file(device, 0) }
}

fn import(devices: Vec<Imported>) -> Import {
    Import::new(devices, false, NOW)
}

fn replacing(devices: Vec<Imported>) -> Import {
    Import::new(devices, true, NOW)
}

/// The record that the import makes of `before`.
fn made(import: &Import, before: Option<&Record>, expected: Outcome) -> Record {
    let (Change::Record(made), outcome) = import.into_record(&alice(), before, NEW) else { panic!("no record") };
    assert_eq!(outcome, expected);
    assert_eq!((made.credentials.enrollment, made.state.enrollment), (NEW, NEW));
    Record::new(made.credentials, made.state).unwrap()
}

/// The verdict for a device's code at its own step, or now for a counter.
fn verdict(record: &Record, device: &Device, counter: u64) -> Verdict {
    let now = match device.kind {
        Kind::Totp(clock) => clock.time_of(counter),
        Kind::Hotp | Kind::Ocra(_) | Kind::Sent(_) => NOW,
    };
    decide(&Limits { window: 0, ..LIMITS }, record, &shown(device, counter), now).1
}

fn replayed(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Refused(Refusal::Replayed { .. }))
}

fn accepted(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Accepted(_))
}

#[test]
fn each_device_keeps_what_it_was_enrolled_with() {
    let odd = Device {
        digits: Digits::try_from(8).unwrap(),
        kind: Kind::Totp(Clock::of_app(Period::try_from(60).unwrap())),
        ..phone(2)
    };
    let sha = Device { algorithm: Algorithm::Sha256, ..token(3) };
    let devices = [phone(1), odd, sha];
    let made = made(&import(devices.iter().map(|device| in_file(device, 5)).collect()), None, Outcome::Imported);
    let Credentials { user, uid, user_override, devices: imported, recovery, .. } = made.credentials;
    assert_eq!((user, uid, user_override, recovery), (alice().name, alice().uid, Override::None, None));
    let names: Vec<_> = imported.iter().map(|device| device.name.as_str()).collect();
    assert_eq!(names, ["imported", "imported 2", "imported 3"]);
    for (number, (before, after)) in devices.iter().zip(&imported).enumerate() {
        assert!(in_file(before, 0).is(after), "{number}");
        assert_eq!((usize::from(after.id.0), after.created), (number + 1, NOW));
    }
    let as_enrolled = State::new(NEW);
    assert_eq!(made.state, State { devices: made.state.devices.clone(), ..as_enrolled });
}

#[test]
fn a_counter_continues_where_the_other_module_stopped() {
    let made = made(&import(vec![in_file(&token(1), 7)]), None, Outcome::Imported);
    assert!(replayed(verdict(&made, &token(1), 6)));
    assert!(accepted(verdict(&made, &token(1), 7)));
}

#[test]
fn every_step_up_to_the_present_one_is_used_and_the_next_one_is_accepted() {
    for imported in [in_file(&phone(1), 0), with_last(&phone(1), STEP), with_last(&phone(1), STEP - 3)] {
        let made = made(&import(vec![imported]), None, Outcome::Imported);
        for used in [STEP - 1, STEP] {
            assert!(replayed(verdict(&made, &phone(1), used)), "{used}");
        }
        assert!(accepted(verdict(&made, &phone(1), STEP + 1)));
    }
}

#[test]
fn a_last_code_ahead_of_the_clock_is_used_too() {
    for ahead in [1, 2, 120] {
        let made = made(&import(vec![with_last(&phone(1), STEP + ahead)]), None, Outcome::Imported);
        assert!(replayed(verdict(&made, &phone(1), STEP + ahead)), "{ahead}");
        assert!(accepted(verdict(&made, &phone(1), STEP + ahead + 1)), "{ahead}");
    }
}

#[test]
fn an_import_into_a_record_without_a_device_keeps_its_override() {
    let mut before = record(vec![]);
    before.credentials.user_override = Override::Required;
    let made = made(&import(vec![in_file(&phone(1), 0)]), Some(&before), Outcome::Imported);
    assert_eq!(made.credentials.user_override, Override::Required);
}

#[test]
fn a_user_with_other_devices_keeps_them() {
    let eight = Digits::try_from(8).unwrap();
    let minute = Kind::Totp(Clock::of_app(Period::try_from(60).unwrap()));
    for devices in [
        vec![phone(2)],
        vec![token(1)],
        vec![Device { digits: eight, ..phone(1) }],
        vec![Device { kind: minute, ..phone(1) }],
        vec![Device { algorithm: Algorithm::Sha512, ..phone(1) }],
        vec![phone(1), phone(2)],
    ] {
        let import = import(devices.iter().map(|device| in_file(device, 9)).collect());
        for before in [record(vec![phone(1)]), record(vec![phone(1), phone(7)])] {
            let (next, outcome) = import.into_record(&alice(), Some(&before), NEW);
            assert!(matches!(next, Change::Keep));
            assert_eq!(outcome, Outcome::HasOthers);
        }
    }
}

#[test]
fn imported_devices_stay_even_where_others_would_be_replaced() {
    let import = |replace| Import::new(vec![in_file(&token(1), 7), in_file(&phone(2), 0)], replace, NOW);
    let mut before = made(&import(false), None, Outcome::Imported);
    for replace in [false, true] {
        let (next, outcome) = import(replace).into_record(&alice(), Some(&before), NEW);
        assert!(matches!(next, Change::Keep));
        assert_eq!(outcome, Outcome::Already);
    }
    // Logins here have used more than the file holds.
    before.state.devices.values_mut().for_each(|progress| progress.next += 1000);
    assert_eq!(import(true).into_record(&alice(), Some(&before), NEW).1, Outcome::Already);
}

#[test]
fn importing_again_uses_up_the_codes_that_the_other_module_accepted_since() {
    let again = import(vec![in_file(&token(1), 9), with_last(&phone(2), STEP + 3)]);
    let mut before = made(&import(vec![in_file(&token(1), 7), in_file(&phone(2), 0)]), None, Outcome::Imported);
    before.state.failures = 2;
    let (Change::State(state), Outcome::CaughtUp) = again.into_record(&alice(), Some(&before), NEW) else {
        panic!("not caught up")
    };
    assert_eq!(state.nexts(), [(1, 9), (2, STEP + 4)]);
    assert_eq!(state, State { devices: state.devices.clone(), ..before.state });
}

#[test]
fn replacing_removes_other_devices_and_keeps_every_used_code_used() {
    let mut before = record(vec![phone(1), token(2)]);
    before.credentials.user_override = Override::Exempt;
    before.state.set_nexts([(1, STEP + 2), (2, 50)]);
    before.state.failures = 3;
    let made = made(&replacing(vec![in_file(&token(2), 7), in_file(&phone(3), 0)]), Some(&before), Outcome::Replaced);
    assert_eq!(made.state.nexts(), [(1, 50), (2, STEP + 1)]);
    assert_eq!((made.credentials.recovery, made.state.failures), (None, 0));
    assert_eq!(made.credentials.user_override, Override::Exempt);
}

#[test]
fn a_record_has_one_to_eight_devices() {
    for (count, expected) in [(0, Outcome::Unfit), (1, Outcome::Imported), (8, Outcome::Imported), (9, Outcome::Unfit)]
    {
        let import = import((0..count).map(|id| in_file(&phone(id), 0)).collect());
        let (next, outcome) = import.into_record(&alice(), None, NEW);
        assert_eq!(outcome, expected, "{count}");
        assert_eq!(matches!(next, Change::Keep), expected == Outcome::Unfit, "{count}");
    }
}
