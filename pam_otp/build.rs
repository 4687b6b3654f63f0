//! How the module is linked.

use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment what it builds")]
fn main() {
    // Beside the compiler's own search path, `link` comes first: see the file in it.
    println!("cargo::rerun-if-changed=link/libgcc_s.so");
    println!("cargo::rustc-link-search=native={}/link", env!("CARGO_MANIFEST_DIR"));
    // In a quick build functions have other names and borders.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed=link/login.ld");
        println!("cargo::rustc-cdylib-link-arg=-T{}/link/login.ld", env!("CARGO_MANIFEST_DIR"));
    }
    // libpam unloads its modules after each login. Rust's thread-locals do not survive that cleanly, and a host that
    // asks often would map and relocate the module each time.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // libgcc_eh defines `_Unwind_Backtrace` beside what unwinds a panic; ours, in `src/ffi.rs`, comes first.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,muldefs");
    // 800 places are moved to where the module is loaded; in this form they take a hundredth of the space, and a quarter of the time.
    if knows_packed_relocations() {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,pack-relative-relocs");
    }
}

/// The C library of this machine is the one that the module is built for, or an older one than that.
fn knows_packed_relocations() -> bool {
    const FIRST: (u32, u32) = (2, 36);
    let Ok(told) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let told = String::from_utf8_lossy(&told.stdout);
    let version = told.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let parsed = version.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parsed.is_some_and(|version: (u32, u32)| version >= FIRST)
}
