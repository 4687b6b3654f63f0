//! What is true of a second factor without PAM and without a terminal.
//!
//! One login in one sentence: ask the authority what is demanded, show the challenge, ask the user, load, decide, commit,
//! log, answer. The folders below are the rooms of that sentence, from what knows nothing to what knows all: a file imports
//! from its own folder and from those above it in this list, never from below.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "a test that overflows fails, as it should"
    )
)]

pub mod value {
    //! Values that cannot be wrong once they exist.
    pub mod login_context;
    pub mod network;
    pub mod secret;
    pub mod time;
    pub mod user;
}

pub mod codes {
    //! Codes, and what was typed.
    pub mod attempt;
    pub mod challenge;
    pub mod hotp_totp;
    pub mod recovery;
}

pub mod record;

pub mod decision {
    //! Pure functions: no file, no clock, no random bytes, no log.
    pub mod demand;
    pub mod enrollment;
    pub mod import;
    pub mod policy;
    pub mod record_changes;
    pub mod verify;
}

pub mod audit;
pub mod config;
pub mod qr;
pub mod store;

pub mod error;

pub mod system {
    //! The kernel, the name service and the configuration file.
    pub mod accounts;
    pub mod config_file;
    pub mod random;
}

pub mod protocol {
    //! One line out, one line back: how a program that may not open the records asks one that may.
    pub mod helper_process;
    pub mod login_messages;
    pub mod request;
}

pub mod service {
    //! Transactions: each loads, decides, and answers only when what the answer rests on is durable.
    pub mod administration;
    pub mod authority;
    pub mod caller;
    pub mod enrollment;
    pub mod helper_authority;
    pub mod local_authority;
    pub mod self_service;
}

#[cfg(test)]
mod testing {
    pub(crate) mod fixtures;
}
