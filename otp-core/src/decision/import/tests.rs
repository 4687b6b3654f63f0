use super::*;
use crate::codes::hotp_totp::{Clock, Drift, Period};
use crate::decision::verify::{Limits, Refusal, Verdict, decide};
use crate::record::credentials::Credentials;
use crate::record::state::Lately;
use crate::testing::fixtures::{LIMITS, NOW, STEP, alice, code_of, phone, record, shown, token, typed};

const NEW: EnrollmentId = EnrollmentId([8; 16]);

/// A device as a file holds it.
fn in_file(device: &Device, next: u64) -> Imported {
    let Device { ref kind, ref secret, algorithm, digits, .. } = *device;
    let (kind, secret, last) = (kind.clone(), secret.open().unwrap().duplicate(), None);
    Imported { kind, secret, algorithm, digits, next, last, is_confirmed: true, name: None, serial: None }
}

fn with_last(device: &Device, step: u64) -> Imported {
    Imported { last: Some(code_of(device, step)), ..in_file(device, 0) }
}

fn with_others(devices: Vec<Imported>, others: Others) -> Import {
    Import::new(Found { devices, scratch: Vec::new() }, others, [3; 16], NOW)
}

fn import(devices: Vec<Imported>) -> Import {
    with_others(devices, Others::Refuse)
}

fn replacing(devices: Vec<Imported>) -> Import {
    with_others(devices, Others::Replace)
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
    let import = |others| with_others(vec![in_file(&token(1), 7), in_file(&phone(2), 0)], others);
    let mut before = made(&import(Others::Refuse), None, Outcome::Imported);
    for others in [Others::Refuse, Others::Replace, Others::Beside] {
        let (next, outcome) = import(others).into_record(&alice(), Some(&before), NEW);
        assert!(matches!(next, Change::Keep));
        assert_eq!(outcome, Outcome::Already);
    }
    // Logins here have used more than the file holds.
    before.state.devices.values_mut().for_each(|progress| progress.next += 1000);
    assert_eq!(import(Others::Replace).into_record(&alice(), Some(&before), NEW).1, Outcome::Already);
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
    let progress = before.state.devices.get_mut(DeviceId(2)).unwrap();
    (progress.awaits_resync, progress.lately) = (true, Lately(0b101));
    let made = made(&replacing(vec![in_file(&token(2), 7), in_file(&phone(3), 0)]), Some(&before), Outcome::Replaced);
    assert_eq!(made.state.nexts(), [(1, 50), (2, STEP + 1)]);
    let awaiting: Vec<_> = made.state.devices.values().map(|progress| progress.awaits_resync).collect();
    assert_eq!(awaiting, [true, false]);
    assert!(made.state.devices.get(DeviceId(1)).unwrap().accepted_lately().eq([49, 47]));
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

/// An import with scratch codes.
fn with_scratch(codes: &[&str], others: Others) -> Import {
    let scratch = codes.iter().map(|code| Code::parse(code.as_bytes()).unwrap()).collect();
    Import::new(Found { devices: vec![in_file(&phone(1), 0)], scratch }, others, [3; 16], NOW)
}

#[test]
fn scratch_codes_come_along_and_those_used_elsewhere_are_used_here() {
    let two = made(&with_scratch(&["12345678", "87654321"], Others::Refuse), None, Outcome::Imported);
    assert_eq!(two.credentials.recovery_left(&two.state), Some(2));
    let tried = |record: &Record, code: &str| decide(&LIMITS, record, &typed(code), NOW).1;
    assert!(accepted(tried(&two, "12345678")) && accepted(tried(&two, "87654321")));
    // The other module removes a code that was used from its file.
    let again = with_scratch(&["87654321"], Others::Refuse);
    let (Change::State(state), Outcome::CaughtUp) = again.into_record(&alice(), Some(&two), NEW) else { panic!() };
    let later = Record::new(two.renewed(two.state.enrollment).credentials, state).unwrap();
    assert_eq!(tried(&later, "12345678"), Verdict::Refused(Refusal::RecoveryUsed));
    assert!(accepted(tried(&later, "87654321")));
    assert_eq!(again.into_record(&alice(), Some(&later), NEW).1, Outcome::Already);
}

#[test]
fn scratch_codes_that_were_made_since_replace_the_former_ones_and_a_used_one_stays_used() {
    let mut before = made(&with_scratch(&["12345678", "87654321"], Others::Refuse), None, Outcome::Imported);
    before.state.scratch_used.mark(1);
    (before.credentials.enrollment, before.state.enrollment) = (EnrollmentId([1; 16]), EnrollmentId([1; 16]));
    let after = made(&with_scratch(&["87654321", "11223344"], Others::Refuse), Some(&before), Outcome::CaughtUp);
    let tried = |code: &str| decide(&LIMITS, &after, &typed(code), NOW).1;
    assert!(accepted(tried("11223344")));
    assert_eq!(tried("87654321"), Verdict::Refused(Refusal::RecoveryUsed));
    assert!(!accepted(tried("12345678")));
    let beside = with_scratch(&["11223344"], Others::Beside);
    assert_eq!(beside.into_record(&alice(), Some(&before), NEW).1, Outcome::Already, "they are no device's");
}

/// As many as a user may write into their own file, when the record has some of before.
#[test]
fn of_scratch_codes_beyond_ten_none_is_in_the_record() {
    let before = made(&with_scratch(&["12345678"], Others::Refuse), None, Outcome::Imported);
    let many: Vec<_> = (0..300).map(|number| format!("1234{number:04}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let after = made(&with_scratch(&many, Others::Refuse), Some(&before), Outcome::CaughtUp);
    assert_eq!(after.credentials.recovery_left(&after.state), Some(10));
    let tried = |code: &str| accepted(decide(&LIMITS, &after, &typed(code), NOW).1);
    assert_eq!(["12340009", "12340010", "12340299", "12345678"].map(tried), [true, false, false, false]);
}

#[test]
fn what_changes_a_record_has_a_word_in_the_log() {
    let changes = [Outcome::Imported, Outcome::Added, Outcome::Replaced, Outcome::CaughtUp];
    assert_eq!(changes.map(Outcome::word), ["imported", "imported", "replaced", "caught-up"].map(Some));
    let none = [Outcome::Already, Outcome::HasOthers, Outcome::TooMany, Outcome::Unfit];
    assert_eq!(none.map(Outcome::word), [None; 4]);
}

#[test]
fn no_set_of_scratch_codes_is_made_of_none() {
    assert!(made(&with_scratch(&[], Others::Refuse), None, Outcome::Imported).credentials.scratch.is_none());
}

#[test]
fn devices_come_beside_others_and_each_once() {
    let before = record(vec![phone(1), token(2)]);
    let beside =
        |devices: &[Device]| with_others(devices.iter().map(|device| in_file(device, 5)).collect(), Others::Beside);
    let after = made(&beside(&[token(2), token(3)]), Some(&before), Outcome::Added);
    let shape: Vec<_> = after.credentials.devices.iter().map(|device| (device.id.0, device.name.as_str())).collect();
    assert_eq!(shape, [(1, "phone"), (2, "phone"), (3, "imported")]);
    assert_eq!(
        (after.credentials.default, after.credentials.recovery_left(&after.state)),
        (Some(DeviceId(1)), Some(10))
    );
    assert_eq!(after.state.nexts(), [(1, 0), (2, 5), (3, 5)]);
    assert_eq!(beside(&[token(3)]).into_record(&alice(), Some(&after), NEW).1, Outcome::Already);
    let many: Vec<_> = (1..=8).map(token).collect();
    let (change, outcome) = beside(&[token(9)]).into_record(&alice(), Some(&record(many)), NEW);
    assert!(matches!(change, Change::Keep) && outcome == Outcome::TooMany);
}

#[test]
fn a_token_of_its_maker_keeps_serial_and_name_and_waits_for_its_first_code() {
    let serial = Serial::parse("GALT10007123");
    let name = DeviceName::parse("blue key");
    let token = Imported { is_confirmed: false, name, serial: serial.clone(), ..in_file(&token(3), 0) };
    let after = made(&with_others(vec![token], Others::Beside), None, Outcome::Imported);
    let device = &after.credentials.devices[0];
    assert_eq!((device.name.as_str(), &device.serial), ("blue key", &serial));
    assert!(!after.state.devices.get(DeviceId(1)).unwrap().is_confirmed);
}

#[test]
fn a_token_whose_clock_was_found_again_is_the_same_token() {
    let clock = |drift| Clock { period: Period::THIRTY, drift };
    let of = |drift| Device { kind: Kind::Totp(clock(Drift::of(drift))), ..phone(1) };
    assert!(in_file(&of(0), 0).is(&of(7)) && in_file(&phone(1), 0).is(&of(7)));
}
