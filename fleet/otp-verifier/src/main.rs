//! otp-verifier: decides on the codes of a fleet.
#![expect(dead_code, reason = "the questions of hosts come next")]
#![cfg_attr(test, expect(clippy::arithmetic_side_effects, reason = "a test that overflows panics, and so fails"))]

mod database;
mod keys;
mod store;

fn main() {}
