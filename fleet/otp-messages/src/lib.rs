//! Codes and PINs that are sent, by an agent with records of its own or by a verifier: how many may be sent, what a message says,
//! and what becomes of it.

pub mod limits;
mod mail;
pub mod ready;
pub mod sending;
