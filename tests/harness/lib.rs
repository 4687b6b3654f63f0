//! The test bench: the real module through the real libpam, sshd, su, sudo and login, as a person meets them.
//!
//! Whatever touches `/etc`, users or `/dev/log` runs on a throwaway copy of the machine (`tests/machine`) and refuses
//! to run anywhere else.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a test that cannot go on stops where it is; waiting for real programs takes a real clock and a real environment"
)]

pub mod agent;
pub mod app;
pub mod before_or_after;
pub mod conversation;
pub mod desk;
pub mod distributions;
pub mod draw;
pub mod drawing;
pub mod hardware_token;
pub mod held;
pub mod injection;
pub mod journal;
pub mod keypad;
pub mod locale;
pub mod long_lived;
pub mod machine;
pub mod name_service;
pub mod operations;
pub mod outcome;
pub mod pam;
pub mod phone;
pub mod post;
pub mod power_cut;
pub mod pty;
pub mod rounds;
pub mod screen;
pub mod self_service;
pub mod sender;
pub mod service;
pub mod session;
pub mod set_user_id;
pub mod site;
pub mod sshd;
pub mod stage;
pub mod syslog;
pub mod talk_file;
pub mod token;
pub mod users;
pub mod volume;
