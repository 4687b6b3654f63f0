//! otp-verifier: decides on the codes of a fleet.
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "a test that overflows panics, and so fails"
    )
)]
#![cfg_attr(not(test), expect(dead_code, reason = "the questions of hosts come next"))]

mod database;
mod keys;
mod store;

fn main() {}
