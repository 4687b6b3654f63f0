//! Enrollment by users: on a terminal, in scripts, and in the middle of a login.

mod devices;
mod during_login;
mod guide;
mod helper_of_root;
mod impatience;
mod missed_line;
mod not_offered;
mod number_during_login;
mod numbers;
mod passcode;
mod scripts;
mod texts;
mod tokens;
