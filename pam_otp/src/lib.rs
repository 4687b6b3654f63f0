//! `pam_otp.so`: PAM in, PAM out. The story of a login is told in `login`.

mod authority;
mod enrollment;
mod ffi;
mod host;
mod login;
mod outcome;
mod password_and_code;
mod privileges;
