//! Files with devices in them: of other programs, and of our own on another host. Each file here reads or writes one format;
//! nothing is opened, looked up or changed.

pub mod bundle;
pub mod csv;
mod csv_rows;
pub mod elsewhere;
pub mod google_authenticator;
mod index;
pub mod map;
pub mod pam_oath;
pub mod pskc;
pub mod seed;
pub mod source;
pub mod text;
pub mod tokens;
pub mod uri;
