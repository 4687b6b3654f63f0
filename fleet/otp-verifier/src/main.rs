//! otp-verifier: decides on the codes of a fleet.

fn main() {}
