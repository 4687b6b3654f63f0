//! The second factor without PAM and without a terminal.
//!
//! One login in one sentence: ask the authority what is demanded, show the challenge, ask the user, load, decide, commit,
//! log, answer. Each folder below has its part in that sentence. A file imports from its own folder and from those above
//! it in this list, never from below.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        reason = "a test that overflows panics, and so fails"
    )
)]

pub mod value {
    //! Values that are valid once they exist.
    pub mod destination;
    pub mod login_context;
    pub mod network;
    pub(crate) mod path;
    pub mod request_id;
    pub mod search;
    pub mod secret;
    pub mod system_error;
    pub mod text;
    pub mod time;
    pub mod user;
}

pub mod codes {
    //! Codes, and what the user typed.
    pub mod attempt;
    pub mod challenge;
    pub(crate) mod factor_mac;
    pub mod hotp_totp;
    pub mod in_fours;
    pub mod ocra;
    pub mod passcode;
    pub mod plain_text;
    pub mod recovery;
}

pub mod record;

pub mod decision {
    //! Pure functions: no file, no clock, no random bytes, no log.
    pub mod arrival;
    pub mod challenge;
    pub mod demand;
    pub mod devices;
    pub mod enrollment;
    pub mod future;
    pub mod import;
    pub mod kinds;
    pub mod passcode;
    pub mod pin;
    pub mod policy;
    pub mod record_changes;
    pub mod restored;
    pub mod resync;
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
    pub mod name_service;
    pub mod random;
    pub mod sends_file;
}

pub mod protocol {
    //! One line out, one line back: how a program without access to the records asks the helper or the agent.
    pub mod administration;
    pub mod agent_socket;
    pub mod enrollment_messages;
    pub mod helper_process;
    pub mod login_messages;
    pub mod request;
    pub mod sender_socket;
}

pub mod service {
    //! Transactions: load, decide, make the result durable, and only then answer.
    pub mod accepted_devices;
    pub mod administration;
    pub mod agent_administration;
    pub mod agent_authority;
    pub mod authority;
    pub(crate) mod awaited_pin;
    pub mod break_glass;
    pub mod caller;
    pub mod demanded;
    pub(crate) mod device_orders;
    pub mod enrolling_helper;
    pub mod enrollment;
    pub mod helper_authority;
    pub mod judged;
    pub mod local_authority;
    pub mod messenger;
    pub(crate) mod not_done;
    pub(crate) mod passcode_orders;
    pub mod renaming;
    pub mod self_service;
    pub(crate) mod token;
}

#[cfg(any(test, feature = "testing"))]
pub mod testing {
    //! For tests, of this crate and of those that bring a store of their own.
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]
    #![cfg_attr(
        not(test),
        expect(clippy::arithmetic_side_effects, reason = "a test that overflows panics, and so fails")
    )]
    pub mod alice;
    #[cfg(test)]
    pub(crate) mod fixtures;
    pub mod store_suite;
}
