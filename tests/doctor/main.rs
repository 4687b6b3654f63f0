//! What `otp-enroll admin doctor` finds, beside what libpam and sshd do.

mod advice;
mod enrollment;
mod findings;
mod stacks;
mod texts;
