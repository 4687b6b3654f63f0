//! `otp-enroll` as a user runs it for their own account.

use crate::{outcome::Outcome, users::TestUser};
use serde_json::Value;

/// What a change asks for.
pub const PROOF: &str = "Current code or recovery code: ";

/// With these arguments and this on standard input.
pub fn said(user: &TestUser, arguments: &[&str], input: &str) -> Outcome {
    Outcome::of(user.command("otp-enroll").args(arguments), input)
}

/// The user's status.
pub fn status(user: &TestUser) -> Value {
    said(user, &["status", "--json"], "").json().remove(0)
}

/// Whether the user's own `test` finds a code right; that uses it up.
///
/// # Panics
/// When it gives no verdict.
pub fn is_right(user: &TestUser, code: &str) -> bool {
    let tested = said(user, &["test", "--stdin"], &format!("{code}\n"));
    assert!(matches!(tested.code, Some(0 | 1)), "{tested:?}");
    tested.code == Some(0)
}
