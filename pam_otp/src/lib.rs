//! `pam_otp.so`: PAM in, PAM out. The story of a login is told in `login`.

mod arguments;
mod authority;
mod first_pass;
mod host;
mod login;
mod native;
mod outcome;
mod set_up;
