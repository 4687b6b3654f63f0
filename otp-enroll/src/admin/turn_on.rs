//! Turns the second factor on for a service.

mod diff;
mod drop_in;
mod lines;
