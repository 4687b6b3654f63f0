//! Programs that die at any of their system calls leave the record as it was or as it was to be, nothing that stays or
//! blocks the next, and no code that works twice.
#![allow(clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    fault::{Fault, report},
    operations,
    ordeal::{Operation, befall},
};

/// Kills the program before each of its calls has run. That is, but for the last, after each of them too.
fn killed_at_every_call(name: &str, operation: &Operation) {
    let tally = befall(operation, |_, _| vec![Fault::Killed]);
    report(&format!("{name}: killed at {} of {} calls, with nothing lost", tally.met, tally.calls));
    assert!(tally.before > 0 && tally.after > 0, "killed before and after: {tally:?}");
}

macro_rules! each_is_killed {
    ($($sentence:ident: $operation:ident,)*) => {
        $(#[test]
        fn $sentence() {
            killed_at_every_call(stringify!($sentence), &operations::$operation);
        })*
    };
}

each_is_killed! {
    a_login: LOGIN,
    a_login_by_recovery_code: LOGIN_BY_RECOVERY_CODE,
    a_wrong_code: WRONG_CODE,
    a_screen_locker: UNLOCK_SCREEN,
    an_unlock_by_root: UNLOCK,
    a_removal_by_root: FORGET,
    an_enrolment_by_root: ENROL,
    a_change_of_device_by_root: RESET,
    the_program_in_front_of_a_helper: CHANGE_PHONES,
    an_enrolment_by_the_helper: HELPER_ENROLS,
    a_change_of_device_by_the_helper: HELPER_RESETS,
    new_recovery_codes_by_the_helper: HELPER_RENEWS_RECOVERY_CODES,
    a_removal_by_the_helper: HELPER_DISABLES,
    a_check_by_the_helper: HELPER_VERIFIES,
}
