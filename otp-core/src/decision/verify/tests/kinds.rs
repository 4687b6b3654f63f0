//! Codes of devices of a kind that the policy does not accept.

use super::*;
use crate::decision::kinds::Kinds;

fn accepting(kinds: &[&str]) -> Limits {
    Limits { devices: Kinds::read(kinds.iter().copied()).unwrap(), ..LIMITS }
}

const RIGHT: Verdict = Verdict::Refused(Refusal::KindNotAccepted { failures: None });

fn none_accepted(failures: u32) -> Verdict {
    Verdict::Refused(Refusal::KindNotAccepted { failures: Some(failures) })
}

#[test]
fn a_code_of_a_kind_that_is_not_accepted_is_neither_used_up_nor_counted() {
    let both = || record(vec![phone(1), token(2)]);
    for (kinds, accepted, code, refused) in [
        (["totp", "sms"], totp(1), shown(&phone(1), STEP), shown(&token(2), 5)),
        (["hotp", "ocra"], hotp(2), shown(&token(2), 5), shown(&phone(1), STEP)),
    ] {
        let limits = accepting(&kinds);
        let mut record = both();
        for _ in 0..10 {
            let (state, verdict) = decide(&limits, &record, &refused, NOW);
            assert_eq!((&state, verdict), (&record.state, RIGHT));
            assert_eq!(look(&limits, &record, &refused, &LoginContext::default(), NOW), RIGHT);
        }
        assert_eq!(login_under(&limits, &mut record, &code, NOW), accepted);
        assert_eq!(login_under(&limits, &mut record, &code, NOW), Verdict::Refused(REPLAYED));
        // It is good where its kind is accepted, and known there to be used; here it costs no try afterwards either.
        assert!(matches!(login(&mut record, &refused, NOW), Verdict::Accepted(_)));
        assert_eq!(login(&mut record, &refused, NOW), Verdict::Refused(REPLAYED));
        for later in [0, 600] {
            let (state, verdict) = decide(&limits, &record, &refused, UnixTime(NOW.0 + later));
            assert_eq!((&state, verdict), (&record.state, RIGHT), "{later}");
        }
    }
}

#[test]
fn a_user_with_an_accepted_device_is_refused_like_all_others_for_a_wrong_code() {
    let mut record = record(vec![phone(1), token(2)]);
    let limits = accepting(&["totp"]);
    for n in 1..=6 {
        assert_eq!(login_under(&limits, &mut record, &wrong(), NOW), wrong_for_the(n));
    }
    let locked = Verdict::Refused(Refusal::Locked(record.state.lock));
    // A lock tells nothing, not even whose code it was.
    for attempt in [wrong(), shown(&phone(1), STEP), shown(&token(2), 0)] {
        assert_eq!(login_under(&limits, &mut record, &attempt, NOW), locked);
    }
}

#[test]
fn a_user_without_an_accepted_device_is_refused_whatever_the_code_is_and_only_wrong_ones_lock() {
    let mut record = record(vec![token(1), token(2)]);
    let limits = accepting(&["totp", "ocra", "sms", "email"]);
    for n in 1..=5 {
        for right in [shown(&token(1), 3), shown(&token(2), 0)] {
            assert_eq!(login_under(&limits, &mut record, &right, NOW), RIGHT);
        }
        assert_eq!(login_under(&limits, &mut record, &wrong(), NOW), none_accepted(n));
        assert_eq!((record.state.failures, record.state.lock), (n, Lock::Open));
    }
    assert_eq!(login_under(&limits, &mut record, &wrong(), NOW), none_accepted(6));
    assert_eq!(record.state.lock, Lock::Until(NOW.after(Seconds(900))));
    // While it is locked a right code is not told from a wrong one, here and elsewhere.
    let before = record.state.clone();
    for attempt in [wrong(), shown(&token(1), 3)] {
        assert_eq!(login_under(&limits, &mut record, &attempt, NOW), none_accepted(6));
        assert!(matches!(login(&mut record, &attempt, NOW), Verdict::Refused(Refusal::Locked(_))));
    }
    assert_eq!(record.state, before);
}

#[test]
fn recovery_codes_are_accepted_whatever_the_kinds_are() {
    let mut record = record(vec![token(1)]);
    let limits = accepting(&["totp"]);
    let by_recovery = Accepted { factor: Factor::Recovery, recovery_left: Some(9), failures: 0 };
    assert_eq!(login_under(&limits, &mut record, &recovery(0), NOW), Verdict::Accepted(by_recovery));
    assert_eq!(refused_unchanged(&record, &recovery(0), NOW), Refusal::RecoveryUsed);
    assert_eq!(decide(&limits, &record, &Attempt::Malformed, NOW).1, Verdict::Refused(Refusal::Malformed));
    let stranger = Record::stranger(&alice());
    assert_eq!(decide(&limits, &stranger, &wrong(), NOW).1, Verdict::Refused(Refusal::NotEnrolled));
}

#[test]
fn a_code_that_two_devices_show_is_used_up_for_both() {
    // One seed in a token that counts and in an app, at a counter that is the step.
    let (app, counting) = (phone(1), Device { kind: Kind::Hotp, id: DeviceId(2), ..phone(1) });
    let mut record = record(vec![app.duplicate(), counting]);
    record.state.set_nexts([(1, 0), (2, STEP)]);
    assert_eq!(login_under(&accepting(&["totp"]), &mut record, &shown(&app, STEP), NOW), totp(1));
    assert_eq!(record.state.nexts(), [(1, STEP + 1), (2, STEP + 1)]);
    assert_eq!(refused_unchanged(&record, &shown(&app, STEP), NOW), REPLAYED);
}
