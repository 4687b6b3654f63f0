//! Functions of other libraries that hardly any login calls, looked up by the one that does. What a module asks the loader for is
//! looked up as the module is loaded, in each new process: some 600 instructions a symbol.
//!
//! Each name below is defined here, for this module alone, in place of the library's: it finds the library's function and jumps
//! there, arguments and all. Nothing is kept. A pointer to a function where memory can be written is what binding at load time
//! does without.
#![expect(unsafe_code, reason = "machine code; each piece names the fact it rests on")]

use std::ffi::{c_char, c_void};
use std::process::abort;

/// Finds a library's function: the one that the loader would have found.
extern "C" fn find(name: *const c_char) -> *const c_void {
    // SAFETY: the names are C strings of this module, written beside the jumps below.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name) };
    if found.is_null() {
        abort(); // a library that old lacks what the loader looks up for this module, and was not loaded with it
    }
    found
}

// The way of all names: arguments are put aside (System V ABI: six registers, and the number of vector registers in al), the stack
// is aligned by seven words and the return address, and what was found takes the place of the call.
std::arch::global_asm!(
    ".hidden pam_otp_late",
    ".globl pam_otp_late",
    ".type pam_otp_late, @function",
    "pam_otp_late:",
    ".cfi_startproc",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "push r8",
    "push r9",
    "push rax",
    ".cfi_adjust_cfa_offset 56",
    "mov rdi, r11",
    "call {find}",
    "mov r11, rax",
    "pop rax",
    "pop r9",
    "pop r8",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    ".cfi_adjust_cfa_offset -56",
    "jmp r11",
    ".cfi_endproc",
    ".size pam_otp_late, . - pam_otp_late",
    find = sym find,
);

macro_rules! late {
    ($($name:literal)*) => { $(
        std::arch::global_asm!(
            concat!(".hidden ", $name),
            concat!(".globl ", $name),
            concat!(".type ", $name, ", @function"),
            concat!($name, ":"),
            ".cfi_startproc",
            "lea r11, [rip + 2f]",
            "jmp pam_otp_late",
            ".cfi_endproc",
            concat!(".size ", $name, ", . - ", $name),
            ".pushsection .rodata.pam_otp_late, \"a\", @progbits",
            concat!("2: .asciz \"", $name, "\""),
            ".popsection",
        );
    )* };
}

// The helper is started, for an enrollment or where the host is not root.
late! {
    "posix_spawn" "posix_spawn_file_actions_adddup2" "posix_spawn_file_actions_addopen" "posix_spawn_file_actions_destroy"
    "posix_spawn_file_actions_init" "posix_spawnattr_destroy" "posix_spawnattr_init" "posix_spawnattr_setflags"
    "posix_spawnattr_setpgroup" "posix_spawnattr_setsigdefault" "posix_spawnattr_setsigmask" "sigaddset" "sigemptyset"
    "socketpair" "waitpid" "kill"
}
// The agent is asked, or whatever waits.
late! { "connect" "getsockopt" "poll" "recv" "send" "setsockopt" "socket" "clock_nanosleep" "write" }
// A record, or its state, is made or removed.
late! { "fchmod" "fchown" "fsync" "renameat2" "statvfs" "unlinkat" }
// Limits and user ids of a host that a user started.
late! { "getegid" "geteuid" "getrlimit" "prctl" "pthread_sigmask" "setresuid" "setrlimit" }
// A rule names a group, or a user has a number alone.
late! { "getgrnam_r" "getgrouplist" "getpwuid_r" "dlopen" }
// The texts are in another language than English.
late! { "bind_textdomain_codeset" "bindtextdomain" "dgettext" "dngettext" "freelocale" "newlocale" "uselocale" }
// A code was wrong, or more than a code is asked.
late! { "pam_fail_delay" "pam_putenv" "pam_set_data" "pam_set_item" }
// Errors, and paths in them.
late! { "__xpg_strerror_r" "getcwd" "lstat64" "realpath" "stat64" }
