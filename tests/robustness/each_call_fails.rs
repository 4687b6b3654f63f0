//! Programs whose system calls fail, any of them, libpam's and the C library's included: they do what they are to do, or
//! say that they did not, and then did not. No user is let in without a code, and no code works twice.

use pam_otp_tests::{
    before_or_after::{Operation, inject_at_each_call},
    injection::{ERRORS, Injection, in_full, report},
};

/// Makes each call of the program fail once, with an error in turn; in the long form with every error, once and from
/// then on. (EINTR for ever is no failure but a request to try for ever.)
fn failed_at_every_call(name: &str, operation: &Operation) {
    let in_turn = |number: usize| ERRORS.iter().cycle().nth(name.len().wrapping_add(number));
    let once = |number: usize| in_turn(number).map(|error| Injection::Once(error)).into_iter().collect();
    let all = || {
        let again = ERRORS.iter().filter(|error| **error != "EINTR").map(|error| Injection::FromThenOn(error));
        ERRORS.iter().map(|error| Injection::Once(error)).chain(again).collect()
    };
    let tally = inject_at_each_call(operation, |number, _| if in_full() { all() } else { once(number) });
    report(&format!(
        "{name}: {} failures in {} calls, with nothing lost; {} times done all the same",
        tally.met, tally.calls, tally.done
    ));
    assert!(tally.before > 0 && tally.done > 0, "it fails, and goes on: {tally:?}");
}

pam_otp_tests::each_operation!(failed_at_every_call);
