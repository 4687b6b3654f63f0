//! What `otp-enroll admin doctor` finds, beside what libpam and sshd do.

mod advice;
mod batch;
mod enrollment;
mod findings;
mod sandbox;
mod stacks;
mod texts;
