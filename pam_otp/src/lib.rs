//! `pam_otp.so`: PAM in, PAM out. The story of a login is told in `login`.

mod answer;
mod authority;
mod caller;
mod host;
mod login;
mod native;
mod outcome;
mod set_up;
