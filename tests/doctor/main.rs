//! What `otp-enroll admin doctor` finds, beside what libpam and sshd do.

mod advice;
mod agent;
mod batch;
mod clinic;
mod draft;
mod enrollment;
mod findings;
mod keys;
mod sandbox;
mod sending;
mod stacks;
mod strangers;
mod texts;
mod two_lines;
