//! A panic in the module: it ends in a refusal, the host lives on, and nothing is printed into the host's streams.

use pam_otp_tests::{desk::Desk, machine};
use std::{fs, process::Command};

/// A clock that is broken once for the module, and for no other caller: std panics on nanoseconds that are more than a second.
const CLOCK: &str = r#"
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <string.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>
    int clock_gettime(clockid_t clock, struct timespec *now) {
        static int is_broken = 1;
        long result = syscall(SYS_clock_gettime, clock, now);
        Dl_info caller;
        if (is_broken && dladdr(__builtin_return_address(0), &caller) && strstr(caller.dli_fname, "pam_otp.so")) {
            is_broken = 0;
            now->tv_nsec = 1000000000;
        }
        return result;
    }
"#;

#[test]
fn a_panic_refuses_in_silence_and_the_next_login_is_as_ever() {
    let desk = Desk::new("");
    let dir = tempfile::tempdir().unwrap();
    let [source, library] = ["clock.c", "clock.so"].map(|name| dir.path().join(name));
    fs::write(&source, CLOCK).unwrap();
    machine::run(Command::new("gcc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source));

    let talk = desk.talk().option("--repeat", "2");
    let mut host = talk.command();
    host.env("LD_PRELOAD", &library).env("RUST_BACKTRACE", "full");
    let mut conversation = talk.start_as(host);
    let code = desk.next();
    conversation.answer(&code);
    conversation.answer(&code);
    let said = conversation.finish();
    let results: Vec<_> = said.results().map(|(_, result)| result).collect();
    assert_eq!(results, ["PAM_ABORT", "PAM_SUCCESS"], "{said}");
    assert!(said.noise.is_empty(), "{said}");
}
