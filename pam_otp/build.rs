//! How the module is linked.

fn main() {
    // Beside the compiler's own search path, `link` comes first: see the file in it.
    println!("cargo::rerun-if-changed=link/libgcc_s.so");
    println!("cargo::rustc-link-search=native={}/link", env!("CARGO_MANIFEST_DIR"));
    // libpam unloads its modules after each login. Rust's thread-locals do not survive that cleanly, and a host that
    // asks often would map and relocate the module each time.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // libgcc_eh defines `_Unwind_Backtrace` beside what unwinds a panic; ours, in `src/ffi.rs`, comes first.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,muldefs");
}
