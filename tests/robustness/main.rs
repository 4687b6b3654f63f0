//! Crashes, failing system calls, full disks, races, attacks and long lives: no record is lost and no code works twice.

mod broken_files;
mod each_call_fails;
mod full_disk;
mod helper;
mod instructions;
mod killed_at_each_call;
mod panics;
mod power_cut;
mod private_memory;
mod races;
mod sealing;
mod sent_codes;
mod soak;
mod stopped;
mod store_identity;
mod system_calls;
mod timing;
