//! Logins: what is asked, what is answered, how it ends and what the log says.

mod agent;
mod any_script;
mod console;
mod conversations;
mod devices;
mod freeradius;
mod grace;
mod group_lookups;
mod harness;
mod hosts;
mod keypad;
mod language;
mod log;
mod messages;
mod named_hosts;
mod names;
mod nonroot;
mod password_and_code;
mod replay;
mod sandbox;
mod screen_locker;
mod sender;
mod sshd;
mod su_limits;
mod talk;
mod texts;
