//! Where the tests run: on a throwaway copy of this machine, or not at all.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// True within `tests/machine`: its variable is set and its mark is there.
pub fn is_copy() -> bool {
    env::var_os("PAM_OTP_MACHINE").is_some_and(|set| set == "1") && Path::new("/run/pam_otp-machine").exists()
}

/// Stops the test unless it runs within `tests/machine`.
///
/// # Panics
/// On the real machine.
pub fn require(what: &str) {
    assert!(
        is_copy(),
        "{what} would change this machine; run the tests on a copy of it: `make check`, or `tests/machine cargo test`"
    );
}

/// A program of this package (`pamtalk`, `logd`), beside the running test in cargo's target folder.
///
/// Within the machine it is a copy that every user may run, wherever the source tree is.
///
/// # Panics
/// When cargo has not built it.
pub fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let built = test
        .ancestors()
        .skip(1)
        .take(2) // target/debug/deps/harness-…, target/debug/…
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not built; `cargo build -p pam-otp-tests` does it"));
    if !is_copy() {
        return built;
    }
    let shared = PathBuf::from("/run/pam-otp-tests");
    let target = shared.join(name);
    fs::create_dir_all(&shared).unwrap();
    let newest = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    if newest(&target) < newest(&built) {
        // Copied by another process: a file that is open for writing here would be so in whatever another thread is
        // just starting, and could not be run (ETXTBSY). Renamed into place: another test may be running the old one.
        let mine = shared.join(unique(name));
        run(Command::new("install").args(["-m", "0755"]).args([&built, &mine]));
        fs::rename(&mine, &target).unwrap();
    }
    target
}

/// A file or folder of the tree that this was built from.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

/// The folder of this machine's libraries.
///
/// # Panics
/// Without gcc.
pub fn libraries() -> PathBuf {
    Path::new("/usr/lib").join(run(Command::new("gcc").arg("-print-multiarch")).trim())
}

/// A program of the product, as it was compiled.
///
/// # Panics
/// When it is not there.
pub fn product(name: &str) -> PathBuf {
    let release = env::var_os("PAM_OTP_RELEASE").map_or_else(|| target().join("release"), PathBuf::from);
    let program = release.join(name);
    assert!(program.exists(), "{} is missing: make", program.display());
    program
}

/// A Debian package that is unpacked in cargo's target folder and not installed: see `unpacked` in the Makefile.
///
/// # Panics
/// When it is not there.
pub fn unpacked(package: &str) -> PathBuf {
    let folder = target().join("unpacked").join(package);
    assert!(folder.exists(), "{} is missing: make unpacked", folder.display());
    folder
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| source("target"), PathBuf::from)
}

/// `stem-PID-NNNN`: a name that no other test of this run has, nor any that begins like it, fit for users, services and
/// files.
pub fn unique(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{}-{:04}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs `command` to its end and gives what it wrote to standard output.
///
/// # Panics
/// When it cannot be started or fails; the message has its standard error.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("cannot run {command:?}: {why}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks `question` every few milliseconds until it has an answer; `None` when `patience` is over.
pub fn wait<T>(patience: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if start.elapsed() > patience {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}
