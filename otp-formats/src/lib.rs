//! Files of other programs, with devices in them. Each file here reads one format; nothing is opened, looked up or changed.

pub mod google_authenticator;
pub mod pam_oath;
pub mod seed;
pub mod source;
