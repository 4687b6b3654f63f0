//! Files of other programs, with devices in them. Each file here reads one format; nothing is opened, looked up or changed.

pub mod csv;
mod csv_rows;
pub mod google_authenticator;
pub mod map;
pub mod pam_oath;
pub mod pskc;
pub mod seed;
pub mod source;
pub mod tokens;
pub mod uri;
