//! What is true of a second factor without PAM and without a terminal.
//!
//! One login in one sentence: ask, parse, load, decide, commit, log, answer.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "a test that overflows fails, as it should"
    )
)]

pub mod admin;
pub mod arguments;
pub mod attempt;
pub mod audit;
pub mod authority;
pub mod config;
pub mod decide;
pub mod enroll;
pub mod error;
#[cfg(test)]
mod examples;
pub mod import;
pub mod login_line;
pub mod oath;
pub mod pipe;
pub mod policy;
pub mod qr;
pub mod record;
pub mod recovery;
pub mod request;
pub mod secret;
pub mod self_service;
pub mod set_up;
pub mod site;
pub mod store;
pub mod time;
pub mod user;
