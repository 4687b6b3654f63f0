//! Programs that die at any of their system calls leave the record as it was or as it was to be, nothing that stays or
//! blocks the next, and no code that works twice.

use pam_otp_tests::{
    before_or_after::{Operation, inject_at_each_call},
    injection::{Injection, report},
};

/// Kills the program before each of its calls has run. That is, but for the last, after each of them too.
fn killed_at_every_call(name: &str, operation: &Operation) {
    let tally = inject_at_each_call(operation, |_, _| vec![Injection::Killed]);
    report(&format!("{name}: killed at {} of {} calls, with nothing lost", tally.met, tally.calls));
    assert!(tally.before > 0 && tally.after > 0, "killed before and after: {tally:?}");
}

pam_otp_tests::each_operation!(killed_at_every_call);
