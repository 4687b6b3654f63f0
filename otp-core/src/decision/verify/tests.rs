use super::*;
use crate::codes::recovery::RecoverySet;
use crate::record::credentials::{Credentials, Override};
use crate::record::state::{Lately, Progress};
use crate::testing::fixtures::{
    EQUAL_CODES, LIMITS, NOW, STEP, after, alice, code_of, digits_of, passcode, phone, record, recovery, shown,
    ten_codes, token, typed, wrong, wrong_for_the,
};

fn at(step: u64) -> UnixTime {
    UnixTime(step * 30 + 10)
}

/// Decides, writes the state into the record and returns the verdict, as a store does.
fn login(record: &mut Record, attempt: &Attempt, now: UnixTime) -> Verdict {
    login_under(&LIMITS, record, attempt, now)
}

fn login_under(limits: &Limits, record: &mut Record, attempt: &Attempt, now: UnixTime) -> Verdict {
    let (state, verdict) = decide(limits, record, attempt, now);
    record.state = state;
    verdict
}

/// The refusal of an attempt that must leave the state unchanged.
fn refused_unchanged(record: &Record, attempt: &Attempt, now: UnixTime) -> Refusal {
    let (state, verdict) = decide(&LIMITS, record, attempt, now);
    assert_eq!(state, record.state);
    match verdict {
        Verdict::Refused(why) => why,
        Verdict::Accepted(accepted) => panic!("accepted by {:?}", accepted.factor),
    }
}

fn accepted_by(factor: Factor) -> Verdict {
    Verdict::Accepted(Accepted { factor, recovery_left: Some(10), failures: 0 })
}

fn totp(id: u8) -> Verdict {
    accepted_by(Factor::Totp(DeviceId(id)))
}

fn hotp(id: u8) -> Verdict {
    accepted_by(Factor::Hotp(DeviceId(id)))
}

const REPLAYED: Refusal = Refusal::Replayed { clock_behind: None };

#[test]
fn the_right_code_is_accepted_and_used_up() {
    let mut record = record(vec![phone(1)]);
    let before = record.state.clone();
    assert_eq!(login(&mut record, &shown(&phone(1), STEP), NOW), totp(1));
    let used = Progress { lately: Lately(1), used: Some(NOW), ..Progress::from(STEP + 1) };
    assert_eq!(
        record.state,
        State { devices: [(DeviceId(1), used)].into_iter().collect(), last_accepted: Some(NOW), ..before }
    );
}

#[test]
fn a_look_foresees_the_verdict() {
    let mut record = record(vec![phone(1), token(2)]);
    for round in 0..3 {
        for attempt in [shown(&phone(1), STEP), wrong(), recovery(0), recovery(10), Attempt::Malformed] {
            let before = record.state.clone();
            let foreseen = look(&LIMITS, &record, &attempt, &LoginContext::default(), NOW);
            assert_eq!(record.state, before);
            assert_eq!(login(&mut record, &attempt, NOW), foreseen, "round {round}: {attempt:?}");
        }
    }
}

#[test]
fn blanks_in_a_code_are_ignored() {
    let text = digits_of(&[1; 20], STEP);
    let spaced: String = text.chars().flat_map(|digit| [' ', digit]).collect();
    for text in [&text, &format!(" {text}\n"), &spaced] {
        assert_eq!(login(&mut record(vec![phone(1)]), &typed(text), NOW), totp(1), "{text:?}");
    }
}

#[test]
fn every_step_of_the_window_is_accepted_and_none_outside() {
    for window in [0, 1, 3, 10] {
        for offset in 0..=window + 2 {
            for step in [STEP - offset, STEP + offset] {
                let mut record = record(vec![phone(1)]);
                let verdict = login_under(&Limits { window, ..LIMITS }, &mut record, &shown(&phone(1), step), NOW);
                let expected = if offset <= window { totp(1) } else { wrong_for_the(1) };
                assert_eq!(verdict, expected, "window {window}, offset {offset}");
                let next = if offset <= window { step + 1 } else { 0 };
                assert_eq!(record.state.next(DeviceId(1)).unwrap(), next, "window {window}, offset {offset}");
            }
        }
    }
}

#[test]
fn a_step_begins_and_ends_on_the_second() {
    let (first, last) = (UnixTime(STEP * 30), UnixTime(STEP * 30 + 29));
    let limits = Limits { window: 0, ..LIMITS };
    for (now, step, accepted) in
        [(first, STEP, true), (last, STEP, true), (first, STEP - 1, false), (last, STEP + 1, false)]
    {
        let verdict = login_under(&limits, &mut record(vec![phone(1)]), &shown(&phone(1), step), now);
        assert_eq!(verdict == totp(1), accepted, "step {step} at {now}");
    }
}

#[test]
fn a_code_works_exactly_once_however_it_is_typed_again() {
    let mut record = record(vec![phone(1)]);
    let text = digits_of(&[1; 20], STEP);
    assert_eq!(login(&mut record, &typed(&text), NOW), totp(1));
    for again in [text.clone(), format!(" {text}"), format!("{text} \t\n"), text.replace("", " ")] {
        assert_eq!(refused_unchanged(&record, &typed(&again), NOW), REPLAYED, "{again:?}");
        assert_eq!(refused_unchanged(&record, &typed(&again), at(STEP + 1)), REPLAYED, "{again:?}");
    }
}

#[test]
fn every_step_at_or_below_the_last_accepted_one_is_replayed_and_costs_no_try() {
    let mut record = record(vec![phone(1)]);
    assert_eq!(login(&mut record, &shown(&phone(1), STEP + 1), NOW), totp(1));
    for step in [STEP - 1, STEP, STEP + 1] {
        assert_eq!(refused_unchanged(&record, &shown(&phone(1), step), NOW), REPLAYED, "{step}");
    }
    assert_eq!(login(&mut record, &shown(&phone(1), STEP + 2), at(STEP + 1)), totp(1));
}

#[test]
fn the_last_accepted_code_is_replayed_at_any_later_time_and_costs_no_try() {
    for window in [0, 1, 10] {
        let limits = Limits { window, ..LIMITS };
        let mut record = record(vec![phone(1)]);
        assert_eq!(login_under(&limits, &mut record, &shown(&phone(1), STEP), NOW), totp(1));
        for later in [1, 2, 11, 12, 119, 120, 121, 2880, 2_000_000, u64::MAX / 30 - STEP - 1] {
            let (state, verdict) = decide(&limits, &record, &shown(&phone(1), STEP), at(STEP + later));
            assert_eq!((&state, verdict), (&record.state, Verdict::Refused(REPLAYED)), "{window}, {later} steps later");
        }
    }
}

#[test]
fn codes_that_were_accepted_in_the_last_hour_are_replayed_and_older_ones_are_wrong() {
    let mut record = record(vec![phone(1)]);
    let accepted = [0, 1, 3, 60, 100];
    for step in accepted {
        assert_eq!(login(&mut record, &shown(&phone(1), STEP + step), at(STEP + step)), totp(1), "{step}");
    }
    for now in [101, 120, 121, 123, 219, 220, 221, 100_000] {
        for step in 0..=101 {
            let code = shown(&phone(1), STEP + step);
            let is_used = step == 100 || accepted.contains(&step) && now - step <= 120;
            if is_used || now - step <= LIMITS.window && step < 100 {
                assert_eq!(refused_unchanged(&record, &code, at(STEP + now)), REPLAYED, "{step} at {now}");
            } else if now - step > LIMITS.window {
                assert_eq!(decide(&LIMITS, &record, &code, at(STEP + now)).1, wrong_for_the(1), "{step} at {now}");
            }
        }
    }
    // An hour is an hour for a device with longer steps too.
    let slow = Device { kind: Kind::Totp(Clock::of_app(Period::try_from(300).unwrap())), ..phone(1) };
    let (step, time) = (NOW.0 / 300, |step: u64| UnixTime(step * 300));
    let mut record = self::record(vec![slow.duplicate()]);
    for step in [step, step + 12] {
        assert_eq!(login(&mut record, &shown(&slow, step), time(step)), totp(1));
    }
    assert_eq!(refused_unchanged(&record, &shown(&slow, step), time(step + 12)), REPLAYED);
    assert_eq!(decide(&LIMITS, &record, &shown(&slow, step), time(step + 13)).1, wrong_for_the(1));
}

#[test]
fn a_budget_counts_what_may_be_a_guess() {
    let kind = |failures| Refusal::KindNotAccepted { failures };
    for guess in [Refusal::Wrong { failures: 1, clock_behind: None }, kind(Some(1))] {
        assert!(guess.is_guess(), "{guess:?}");
    }
    for other in [
        kind(None),
        Refusal::Replayed { clock_behind: None },
        Refusal::RecoveryUnknown,
        Refusal::Locked(Lock::UntilUnlocked),
    ] {
        assert!(!other.is_guess(), "{other:?}");
    }
}

#[test]
fn a_code_that_was_never_used_and_is_too_old_is_wrong() {
    let mut record = record(vec![phone(1)]);
    // Before the first login no step is used.
    assert_eq!(decide(&LIMITS, &record, &shown(&phone(1), STEP - 2), NOW).1, wrong_for_the(1));
    assert_eq!(decide(&LIMITS, &record, &shown(&phone(1), 0), NOW).1, wrong_for_the(1));
    assert_eq!(login(&mut record, &shown(&phone(1), STEP), NOW), totp(1));
    assert_eq!(login(&mut record, &shown(&phone(1), STEP + 1), at(STEP + 3)), wrong_for_the(1));
    assert_eq!(login(&mut record, &shown(&phone(1), STEP + 90), at(STEP + 100)), wrong_for_the(2));
}

#[test]
fn a_used_code_of_any_phone_is_replayed_after_its_window() {
    let mut record = record(vec![token(1), phone(2), phone(3)]);
    assert_eq!(login(&mut record, &shown(&phone(3), STEP), NOW), totp(3));
    assert_eq!(refused_unchanged(&record, &shown(&phone(3), STEP), at(STEP + 500)), REPLAYED);
    assert_eq!(login(&mut record, &shown(&phone(3), STEP + 10), at(STEP + 10)), totp(3));
    assert_eq!(refused_unchanged(&record, &shown(&phone(3), STEP), at(STEP + 20)), REPLAYED);
    assert_eq!(login(&mut record, &shown(&phone(2), STEP), at(STEP + 20)), wrong_for_the(1));
}

#[test]
fn while_locked_a_used_code_is_refused_like_any_other_after_its_window_too() {
    let mut record = record(vec![phone(1)]);
    assert_eq!(login(&mut record, &shown(&phone(1), STEP), NOW), totp(1));
    record.state.lock = Lock::UntilUnlocked;
    let why = refused_unchanged(&record, &shown(&phone(1), STEP), at(STEP + 20));
    assert_eq!(why, Refusal::Locked(Lock::UntilUnlocked));
}

#[test]
fn wrong_codes_are_counted_and_the_right_one_clears_the_count() {
    let mut record = record(vec![phone(1)]);
    for failures in 1..=5 {
        assert_eq!(login(&mut record, &wrong(), NOW), wrong_for_the(failures));
        assert_eq!(record.state.lock, Lock::Open);
    }
    assert_eq!(login(&mut record, &shown(&phone(1), STEP), NOW), after(5, totp(1)));
    assert_eq!(record.state.failures, 0);
    assert_eq!(login(&mut record, &wrong(), NOW), wrong_for_the(1));
}

#[test]
fn a_wrong_code_changes_only_the_count() {
    let record = record(vec![phone(1), token(2)]);
    let (state, _) = decide(&LIMITS, &record, &wrong(), NOW);
    assert_eq!(state, State { failures: 1, ..record.state });
}

#[test]
fn the_last_allowed_wrong_code_locks() {
    for after in [1, 2, 6] {
        let limits = Limits { lock_after: after, ..LIMITS };
        let mut record = record(vec![phone(1)]);
        for failures in 1..=after {
            assert_eq!(record.state.lock, Lock::Open);
            assert_eq!(login_under(&limits, &mut record, &wrong(), NOW), wrong_for_the(failures));
        }
        assert_eq!(record.state.lock, Lock::Until(UnixTime(NOW.0 + 900)));
    }
}

fn locked(lock: Lock) -> Record {
    let mut record = record(vec![phone(1), token(2)]);
    record.state = State { failures: 6, lock, ..record.state };
    record
}

#[test]
fn while_locked_the_right_code_is_refused_like_any_other_and_nothing_changes() {
    for lock in [Lock::Until(UnixTime(NOW.0 + 1)), Lock::UntilUnlocked] {
        let mut record = locked(lock);
        record.state.set_nexts([(1, STEP)]);
        let (right, used) = (shown(&phone(1), STEP), shown(&phone(1), STEP - 1));
        for attempt in [right, used, shown(&token(2), 0), wrong()] {
            assert_eq!(refused_unchanged(&record, &attempt, NOW), Refusal::Locked(lock));
        }
        assert_eq!(refused_unchanged(&record, &Attempt::Malformed, NOW), Refusal::Malformed);
        assert_eq!(refused_unchanged(&record, &recovery(10), NOW), Refusal::RecoveryUnknown);
    }
}

#[test]
fn a_recovery_code_opens_the_lock() {
    for lock in [Lock::Until(UnixTime(u64::MAX)), Lock::UntilUnlocked] {
        let mut record = locked(lock);
        let expected = Accepted { factor: Factor::Recovery, recovery_left: Some(9), failures: 6 };
        assert_eq!(login(&mut record, &recovery(0), NOW), Verdict::Accepted(expected));
        assert_eq!((record.state.failures, record.state.lock), (0, Lock::Open));
        assert_eq!(record.state.last_accepted, Some(NOW));
    }
}

/// Alice's record with scratch codes beside her recovery codes.
fn with_scratch_codes(codes: &[&str]) -> Record {
    let mut record = record(vec![phone(1)]);
    let codes: Vec<_> = codes.iter().map(|code| Zeroizing::new((*code).to_owned())).collect();
    record.credentials.scratch = Some(RecoverySet::of_scratch([3; 16], &codes));
    record
}

#[test]
fn a_scratch_code_is_accepted_once() {
    let mut record = with_scratch_codes(&["87654321", "12345678"]);
    let accepted =
        |left| Verdict::Accepted(Accepted { factor: Factor::Scratch, recovery_left: Some(left), failures: 0 });
    assert_eq!(login(&mut record, &typed("1234 5678"), NOW), accepted(11));
    assert_eq!(refused_unchanged(&record, &typed("12345678"), NOW), Refusal::RecoveryUsed);
    assert_eq!(login(&mut record, &typed("87654321"), NOW), accepted(10));
    assert_eq!(refused_unchanged(&record, &typed("87654321"), NOW), Refusal::RecoveryUsed);
    assert_eq!(login(&mut record, &typed("12345679"), NOW), wrong_for_the(1));
    assert_eq!(
        login(&mut record, &recovery(0), NOW),
        after(1, Verdict::Accepted(Accepted { factor: Factor::Recovery, recovery_left: Some(9), failures: 0 }))
    );
}

#[test]
fn a_scratch_code_can_be_guessed_and_so_is_under_the_lock() {
    let mut record = with_scratch_codes(&["12345678"]);
    for tries in 1..=6 {
        assert_eq!(login(&mut record, &typed("00000000"), NOW), wrong_for_the(tries));
    }
    let lock = record.state.lock;
    assert_eq!(refused_unchanged(&record, &typed("12345678"), NOW), Refusal::Locked(lock));
    let later = NOW.after(Seconds(900));
    let accepted = Accepted { factor: Factor::Scratch, recovery_left: Some(10), failures: 6 };
    assert_eq!(login(&mut record, &typed("12345678"), later), Verdict::Accepted(accepted));
}

#[test]
fn digits_that_are_a_devices_code_and_a_scratch_code_are_used_up_as_both() {
    let device = Device { digits: Digits::try_from(8).unwrap(), ..phone(1) };
    let digits = code_of(&device, STEP).reveal();
    let mut record = with_scratch_codes(&[&digits]);
    record.credentials.devices = vec![device];
    let accepted = Accepted { factor: Factor::Totp(DeviceId(1)), recovery_left: Some(10), failures: 0 };
    assert_eq!(login(&mut record, &typed(&digits), NOW), Verdict::Accepted(accepted));
    assert_eq!(refused_unchanged(&record, &typed(&digits), NOW), REPLAYED);
}

#[test]
fn when_a_timed_lock_ends_one_more_wrong_code_locks_again() {
    let mut record = locked(Lock::Until(NOW));
    assert_eq!(login(&mut record, &wrong(), NOW), wrong_for_the(7));
    assert_eq!(record.state.lock, Lock::Until(UnixTime(NOW.0 + 900)));
    let later = UnixTime(NOW.0 + 900);
    assert_eq!(login(&mut record, &wrong(), later), wrong_for_the(8));
    assert_eq!(record.state.lock, Lock::Until(UnixTime(later.0 + 900)));
}

#[test]
fn when_a_timed_lock_ends_the_right_code_clears_the_count() {
    let mut record = locked(Lock::Until(NOW));
    let (second_before, right) = (UnixTime(NOW.0 - 1), shown(&phone(1), STEP));
    assert_eq!(refused_unchanged(&record, &right, second_before), Refusal::Locked(Lock::Until(NOW)));
    assert_eq!(login(&mut record, &right, NOW), after(6, totp(1)));
    assert_eq!((record.state.failures, record.state.lock), (0, Lock::Open));
}

#[test]
fn a_lock_never_lasts_longer_than_from_now_whatever_the_clock_was() {
    for end in [UnixTime(NOW.0 + 901), UnixTime(NOW.0 + 10 * 365 * 86_400), UnixTime(u64::MAX)] {
        let mut record = locked(Lock::Until(end));
        let right = shown(&phone(1), STEP);
        let shortened = Lock::Until(UnixTime(NOW.0 + 900));
        assert_eq!(login(&mut record, &right, NOW), Verdict::Refused(Refusal::Locked(shortened)), "{end}");
        assert_eq!(record.state, State { lock: shortened, ..locked(Lock::Open).state });
        // The end does not move on with each try.
        let later = UnixTime(NOW.0 + 899);
        assert_eq!(refused_unchanged(&record, &wrong(), later), Refusal::Locked(shortened));
        let later = UnixTime(NOW.0 + 900);
        assert_eq!(login(&mut record, &shown(&phone(1), later.0 / 30), later), after(6, totp(1)), "{end}");
    }
    let record = locked(Lock::Until(UnixTime(NOW.0 + 900)));
    let why = refused_unchanged(&record, &shown(&phone(1), STEP), NOW);
    assert_eq!(why, Refusal::Locked(Lock::Until(UnixTime(NOW.0 + 900))));
}

#[test]
fn a_lock_until_unlocked_never_ends_by_itself() {
    let limits = Limits { lock_after: 1, lock_for: LockFor::UntilUnlocked, ..LIMITS };
    let mut record = record(vec![phone(1)]);
    assert_eq!(login_under(&limits, &mut record, &wrong(), NOW), wrong_for_the(1));
    assert_eq!(record.state.lock, Lock::UntilUnlocked);
    let end = UnixTime(u64::MAX);
    let right = shown(&phone(1), end.0 / 30);
    assert_eq!(refused_unchanged(&record, &right, end), Refusal::Locked(Lock::UntilUnlocked));
}

#[test]
fn with_the_clock_set_back_a_used_code_stays_refused_and_the_gap_is_reported() {
    let mut record = record(vec![phone(1)]);
    for step in STEP - 3..=STEP {
        assert_eq!(login(&mut record, &shown(&phone(1), step), at(step)), totp(1));
    }
    // The code of STEP was accepted one step early at the earliest.
    let earliest = (STEP - 1) * 30;
    for step in [STEP - 100, STEP - 3] {
        let clock_behind = Some(Seconds(earliest - at(step).0));
        let why = refused_unchanged(&record, &shown(&phone(1), step), at(step));
        assert_eq!(why, Refusal::Replayed { clock_behind }, "{step}");
    }
    for now in [UnixTime(earliest), at(STEP - 1), at(STEP)] {
        assert_eq!(refused_unchanged(&record, &shown(&phone(1), STEP - 1), now), REPLAYED, "{now}");
    }
}

#[test]
fn with_the_clock_set_back_a_right_code_looks_wrong_and_the_gap_is_reported() {
    let mut record = record(vec![phone(1)]);
    assert_eq!(login(&mut record, &shown(&phone(1), STEP), NOW), totp(1));
    // The phone has the right time; this machine is an hour behind.
    let now = at(STEP - 120);
    let clock_behind = Some(Seconds((STEP - 1) * 30 - now.0));
    let verdict = login(&mut record, &shown(&phone(1), STEP + 1), now);
    assert_eq!(verdict, Verdict::Refused(Refusal::Wrong { failures: 1, clock_behind }));
}

#[test]
fn the_verdict_names_the_device_that_showed_the_code() {
    let devices = || vec![phone(1), phone(2), token(5)];
    for (attempt, verdict) in
        [(shown(&phone(1), STEP), totp(1)), (shown(&phone(2), STEP), totp(2)), (shown(&token(5), 4), hotp(5))]
    {
        let mut record = record(devices());
        assert_eq!(login(&mut record, &attempt, NOW), verdict);
        let raised: Vec<_> = record.state.nexts().into_iter().filter(|(_, next)| *next > 0).collect();
        assert_eq!(raised.len(), 1);
    }
}

#[test]
fn a_code_that_two_devices_show_is_used_up_for_both() {
    let twin = Device { id: DeviceId(2), ..phone(1) };
    let mut record = record(vec![phone(1), twin]);
    assert_eq!(login(&mut record, &shown(&phone(1), STEP), NOW), totp(1));
    assert_eq!(record.state.nexts(), [(1, STEP + 1), (2, STEP + 1)]);
    assert_eq!(refused_unchanged(&record, &shown(&phone(1), STEP), NOW), REPLAYED);
}

#[test]
fn a_code_used_with_one_device_is_still_accepted_for_its_twin() {
    // Two seeds can show equal codes by chance too: each device has its own next step.
    let twin = Device { id: DeviceId(2), ..phone(1) };
    let mut record = record(vec![phone(1), twin]);
    record.state.set_nexts([(1, STEP + 1), (2, STEP)]);
    assert_eq!(login(&mut record, &shown(&phone(1), STEP), NOW), totp(2));
    assert_eq!(record.state.nexts(), [(1, STEP + 1), (2, STEP + 1)]);
}

#[test]
fn a_device_keeps_the_digits_period_and_hash_it_was_enrolled_with() {
    let device = Device {
        kind: Kind::Totp(Clock::of_app(Period::try_from(60).unwrap())),
        algorithm: Algorithm::Sha512,
        digits: Digits::try_from(8).unwrap(),
        ..phone(1)
    };
    let step = NOW.0 / 60;
    assert_eq!(login(&mut record(vec![device.duplicate()]), &shown(&device, step), NOW), totp(1));
    assert_eq!(login(&mut record(vec![device.duplicate()]), &shown(&device, step + 2), NOW), wrong_for_the(1));
}

#[test]
fn a_code_with_other_digits_than_the_devices_counts_as_wrong() {
    let eight = Device { digits: Digits::try_from(8).unwrap(), ..phone(1) };
    let long = code_of(&eight, STEP);
    let six = digits_of(&[1; 20], STEP);
    let mut record = record(vec![phone(1)]);
    assert_eq!(login(&mut record, &Attempt::Code(long), NOW), wrong_for_the(1));
    assert_eq!(login(&mut record, &typed(&format!("0{six}")), NOW), wrong_for_the(2));
    assert_eq!(login(&mut record, &typed(&format!("{six}0")), NOW), wrong_for_the(3));
}

#[test]
fn a_token_may_have_shown_ten_unused_codes() {
    for ahead in 0..=12 {
        let mut record = record(vec![token(1)]);
        record.state.set_nexts([(1, 500)]);
        let verdict = login(&mut record, &shown(&token(1), 500 + ahead), NOW);
        let (expected, next) = if ahead <= 10 { (hotp(1), 501 + ahead) } else { (wrong_for_the(1), 500) };
        assert_eq!(verdict, expected, "{ahead}");
        assert_eq!(record.state.next(DeviceId(1)).unwrap(), next, "{ahead}");
    }
}

#[test]
fn a_token_code_that_was_used_or_skipped_is_replayed() {
    let mut record = record(vec![token(1)]);
    assert_eq!(login(&mut record, &shown(&token(1), 7), NOW), hotp(1));
    for counter in 0..=7 {
        assert_eq!(refused_unchanged(&record, &shown(&token(1), counter), NOW), REPLAYED, "{counter}");
    }
    assert_eq!(login(&mut record, &shown(&token(1), 18), NOW), hotp(1));
    // Below the window a code is wrong like any other.
    assert_eq!(login(&mut record, &shown(&token(1), 8), NOW), wrong_for_the(1));
}

#[test]
fn of_two_equal_codes_of_a_token_one_is_accepted_and_so_are_those_between() {
    let (first, second) = EQUAL_CODES;
    assert_eq!(digits_of(&[1; 20], first), digits_of(&[1; 20], second));
    let mut record = record(vec![token(1)]);
    record.state.set_nexts([(1, first)]);
    assert_eq!(login(&mut record, &shown(&token(1), first), NOW), hotp(1));
    for counter in first + 1..second {
        assert_eq!(refused_unchanged(&record, &shown(&token(1), second), NOW), REPLAYED, "{counter}");
        assert_eq!(login(&mut record, &shown(&token(1), counter), NOW), hotp(1), "{counter}");
    }
    assert_eq!(refused_unchanged(&record, &shown(&token(1), second), NOW), REPLAYED);
    assert_eq!(login(&mut record, &shown(&token(1), second + 1), NOW), hotp(1));
}

#[test]
fn of_two_equal_codes_in_the_window_of_a_phone_one_is_accepted() {
    let (first, second) = (888_811, 888_813);
    assert_eq!(digits_of(&[1; 20], first), digits_of(&[1; 20], second));
    let mut record = record(vec![phone(1)]);
    assert_eq!(login(&mut record, &shown(&phone(1), first), at(first + 1)), totp(1));
    for now in first + 1..=second + 1 {
        assert_eq!(refused_unchanged(&record, &shown(&phone(1), second), at(now)), REPLAYED, "{now}");
    }
}

#[test]
fn a_token_does_not_depend_on_the_clock() {
    let mut record = record(vec![token(1)]);
    for (counter, now) in [(0, u64::MAX), (1, 0), (2, NOW.0)] {
        assert_eq!(login(&mut record, &shown(&token(1), counter), UnixTime(now)), hotp(1), "{counter}");
    }
    assert_eq!(refused_unchanged(&record, &shown(&token(1), 2), UnixTime(0)), REPLAYED);
}

#[test]
fn a_user_without_a_device_is_refused_whatever_they_type() {
    let stranger = Record::stranger(&alice());
    let decoy = decoy().unwrap();
    for attempt in [wrong(), shown(&decoy, STEP), recovery(0), Attempt::Passcode(passcode())] {
        assert_eq!(refused_unchanged(&stranger, &attempt, NOW), Refusal::NotEnrolled);
    }
    assert_eq!(refused_unchanged(&stranger, &Attempt::Malformed, NOW), Refusal::Malformed);
}

#[test]
fn what_is_no_code_may_be_a_password_alone_where_both_are_typed_as_one() {
    for (as_one, expected) in [(false, Refusal::Malformed), (true, Refusal::NotEnrolled)] {
        let login = LoginContext { as_one, ..LoginContext::default() };
        let verdict = Verdict::Refused(Refusal::Malformed).without_device(SecondFactor::Required, false, &login);
        assert_eq!(verdict, Verdict::Refused(expected));
    }
}

#[test]
fn an_override_without_a_device_is_no_enrollment() {
    let full = record(vec![]);
    let credentials = Credentials { user_override: Override::Required, recovery: None, ..full.credentials };
    let record = Record { credentials, state: full.state };
    for attempt in [wrong(), recovery(0)] {
        assert_eq!(refused_unchanged(&record, &attempt, NOW), Refusal::NotEnrolled);
    }
}

#[test]
fn a_malformed_attempt_changes_nothing() {
    let record = record(vec![phone(1)]);
    for text in ["", " ", "12345", "123456789", "hunter2", "ABCD-EFGH-IJKL-MNO"] {
        assert_eq!(refused_unchanged(&record, &typed(text), NOW), Refusal::Malformed, "{text:?}");
    }
}

#[test]
fn each_recovery_code_works_once_and_the_rest_are_counted() {
    let mut record = record(vec![phone(1)]);
    for (left, n) in (0..10).rev().zip([3, 0, 9, 1, 2, 4, 5, 6, 7, 8]) {
        let expected = Accepted { factor: Factor::Recovery, recovery_left: Some(left), failures: 0 };
        assert_eq!(login(&mut record, &recovery(n), NOW), Verdict::Accepted(expected), "{n}");
        assert_eq!(refused_unchanged(&record, &recovery(n), NOW), Refusal::RecoveryUsed, "{n}");
    }
    assert_eq!(record.state.nexts(), [(1, 0)]);
    let expected = Accepted { factor: Factor::Totp(DeviceId(1)), recovery_left: Some(0), failures: 0 };
    assert_eq!(login(&mut record, &shown(&phone(1), STEP), NOW), Verdict::Accepted(expected));
}

#[test]
fn an_unknown_recovery_code_costs_no_try() {
    let with = record(vec![phone(1)]);
    assert_eq!(refused_unchanged(&with, &recovery(10), NOW), Refusal::RecoveryUnknown);
    let without = Record { credentials: Credentials { recovery: None, ..with.credentials }, state: with.state };
    assert_eq!(refused_unchanged(&without, &recovery(0), NOW), Refusal::RecoveryUnknown);
}

#[test]
fn if_no_recovery_codes_were_issued_none_are_counted() {
    let with = record(vec![phone(1)]);
    let mut without = Record { credentials: Credentials { recovery: None, ..with.credentials }, state: with.state };
    let expected = Accepted { factor: Factor::Totp(DeviceId(1)), recovery_left: None, failures: 0 };
    assert_eq!(login(&mut without, &shown(&phone(1), STEP), NOW), Verdict::Accepted(expected));
}

#[test]
fn recovery_codes_of_an_earlier_set_are_unknown() {
    let mut record = record(vec![phone(1)]);
    record.credentials.recovery = Some(crate::codes::recovery::RecoverySet { salt: [8; 16], ..ten_codes() });
    assert_eq!(refused_unchanged(&record, &recovery(0), NOW), Refusal::RecoveryUnknown);
}

#[test]
fn a_device_without_a_next_step_accepts_nothing() {
    for device in [phone(1), token(1)] {
        let mut record = record(vec![device.duplicate()]);
        record.state.devices.clear();
        for counter in [0, STEP] {
            let (state, verdict) = decide(&LIMITS, &record, &shown(&device, counter), NOW);
            assert!(matches!(verdict, Verdict::Refused(_)));
            assert_eq!(state.devices.keys().next(), None);
        }
    }
}

#[test]
fn at_the_ends_of_time_nothing_overflows() {
    for (now, step) in [(0, 0), (0, 10), (29, 0), (u64::MAX, u64::MAX / 30), (u64::MAX, u64::MAX / 30 - 10)] {
        let limits = Limits { window: 10, ..LIMITS };
        let (mut record, now) = (record(vec![phone(1)]), UnixTime(now));
        assert_eq!(login_under(&limits, &mut record, &shown(&phone(1), step), now), totp(1), "{step}");
        let again = decide(&limits, &record, &shown(&phone(1), step), now).1;
        assert_eq!(again, Verdict::Refused(REPLAYED), "{step}");
    }
    let mut record = record(vec![phone(1)]);
    record.state.failures = u32::MAX;
    assert_eq!(login(&mut record, &wrong(), UnixTime(u64::MAX)), wrong_for_the(u32::MAX));
    assert_eq!(record.state.lock, Lock::Until(UnixTime(u64::MAX)));
}

#[test]
fn a_token_ends_at_the_last_counter() {
    let mut record = record(vec![token(1)]);
    record.state.set_nexts([(1, u64::MAX)]);
    assert_eq!(refused_unchanged(&record, &shown(&token(1), u64::MAX), NOW), REPLAYED);
    record.state.set_nexts([(1, u64::MAX - 1)]);
    assert_eq!(login(&mut record, &shown(&token(1), u64::MAX - 1), NOW), hotp(1));
    assert_eq!(record.state.next(DeviceId(1)).unwrap(), u64::MAX);
}

mod kinds;
