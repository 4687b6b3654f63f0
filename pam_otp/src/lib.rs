//! `pam_otp.so`: PAM in, PAM out. The story of a login is told in `login`, that of an enrollment in `enrollment`.

mod authority;
mod destination;
mod enroller;
mod enrollment;
mod entry;
mod ffi;
mod host;
#[cfg(all(not(test), target_arch = "x86_64"))]
mod late;
mod login;
mod outcome;
mod password_and_code;
mod privileges;
mod report;
