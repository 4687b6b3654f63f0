//! The codes of a key, as an authenticator app shows them. No module under test computes them.

use std::{
    fs::File,
    io::Read,
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds of a step (RFC 6238).
const STEP: u64 = 30;

/// A seed of the usual length.
#[derive(Clone, Debug)]
pub(crate) struct Key(pub(crate) Vec<u8>);

impl Key {
    pub(crate) fn random() -> Key {
        let mut bytes = vec![0; 20];
        File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).unwrap();
        Key(bytes)
    }

    /// The code for a moving factor: a step or a counter.
    pub(crate) fn code(&self, factor: u64) -> String {
        // With a step of one second, the library's time is our moving factor.
        let builder = totp_rs::Builder::new().with_secret(self.0.clone()).with_step_duration(1);
        builder.build_noncompliant().generate(factor).to_string()
    }

    /// The code that the app shows this many steps from now.
    pub(crate) fn shown(&self, steps: i64) -> String {
        self.code(step().saturating_add_signed(steps))
    }

    /// A code that the app does not show within a minute before or after now.
    pub(crate) fn wrong(&self) -> String {
        let near: Vec<String> = (-2..=2).map(|steps| self.shown(steps)).collect();
        (100_000..).map(|number: u32| number.to_string()).find(|code| !near.contains(code)).unwrap()
    }
}

fn step() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / STEP
}
