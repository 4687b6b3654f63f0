//! otp-verifier: decides on the codes of a fleet, with its records in PostgreSQL.
//!
//! The decision is that of a single machine, `otp_core::decision`: what is here brings the question to it, and the answer back
//! once it is durable.

#![cfg_attr(test, expect(clippy::arithmetic_side_effects, reason = "a test that overflows panics, and so fails"))]

mod admin;
mod administration;
mod adoption;
mod altered;
mod answered;
mod asked;
mod asking_host;
mod audit;
mod authority;
mod budgets;
mod check;
mod command_line;
mod config;
mod database;
mod departure;
mod error;
mod fleet;
mod guests;
mod hosts;
mod init;
mod joining;
mod key_ring;
mod keys;
mod log;
mod messenger;
mod metrics;
mod renaming;
mod renewal;
mod right;
mod row_mac;
mod scope_list;
mod serve;
mod signed_state;
mod store;
mod systemd;
mod tokens;
mod told;
mod user;
mod watched;
mod work;

use std::process::ExitCode;

use clap::Parser;

use crate::command_line::CommandLine;

#[expect(clippy::print_stderr, reason = "errors of a command are for who runs it")]
fn main() -> ExitCode {
    match admin::run(&CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("otp-verifier: {error}");
            eprintln!("  {}", error.hint);
            ExitCode::from(error.code)
        }
    }
}
