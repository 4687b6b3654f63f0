//! What is installed, and the source it is made of, as an auditor looks at them first.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{machine, site::HELPER};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Bytes of the module without symbols for debugging: 499,200 now, of which 18,000 are for languages, 28,000 for sealed seeds and
/// 16,000 for a fleet. A login maps each of them.
const LARGEST_MODULE: u64 = 500_000;

/// Symbols that the loader looks up in each new process that loads the module: 51 now, and ten more in a quick build.
const MOST_SYMBOLS: usize = 63;

/// The installed module, beside pam_unix.so.
fn module() -> PathBuf {
    machine::require("looking at what is installed");
    machine::libraries().join("security/pam_otp.so")
}

/// What the loader looks up for the module.
fn symbols() -> BTreeSet<String> {
    let symbols =
        machine::run(Command::new("nm").args(["--dynamic", "--undefined-only", "--format=just-symbols"]).arg(module()));
    symbols.lines().filter_map(|line| line.split('@').next()).map(str::to_owned).collect()
}

/// What the module looks up when it calls it.
fn late() -> BTreeSet<String> {
    let text = fs::read_to_string(machine::source("pam_otp/src/late.rs")).unwrap();
    let lists = text.split("late! {").skip(1).filter_map(|list| list.split('}').next());
    lists.flat_map(|list| list.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn readelf(option: &str, file: &Path) -> String {
    machine::run(Command::new("readelf").args(["--wide", option]).arg(file))
}

fn needed(file: &Path) -> BTreeSet<String> {
    let libraries = readelf("--dynamic", file);
    let name = |line: &str| Some(line.split_once("Shared library: [")?.1.trim_end_matches(']').to_owned());
    libraries.lines().filter_map(name).collect()
}

#[test]
fn the_module_is_small() {
    let dir = tempfile::tempdir().unwrap();
    let stripped = dir.path().join("pam_otp.so");
    machine::run(Command::new("strip").arg("-o").arg(&stripped).arg(module()));
    let size = fs::metadata(stripped).unwrap().len();
    assert!(size <= LARGEST_MODULE, "{size} bytes");
}

#[test]
fn the_module_exports_what_libpam_calls_and_nothing_else() {
    let symbols =
        machine::run(Command::new("nm").args(["--dynamic", "--defined-only", "--format=just-symbols"]).arg(module()));
    let symbols: Vec<_> = symbols.lines().collect();
    let expected = ["acct_mgmt", "authenticate", "chauthtok", "close_session", "open_session", "setcred"];
    assert_eq!(symbols, expected.map(|name| format!("pam_sm_{name}")));
}

#[test]
fn the_module_needs_libpam_and_the_c_library() {
    let expected = ["ld-linux-x86-64.so.2", "libc.so.6", "libpam.so.0"];
    assert_eq!(needed(&module()), expected.map(str::to_owned).into());
    assert_eq!(needed(Path::new(HELPER)), ["libc.so.6", "libgcc_s.so.1"].map(str::to_owned).into());
}

#[test]
fn the_module_stays_where_it_was_loaded() {
    let dynamic = readelf("--dynamic", &module());
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

#[test]
fn the_module_connects_to_no_other_machine_and_starts_no_thread() {
    let calls = &symbols() | &late();
    assert!(calls.contains("pam_syslog") && calls.contains("connect"), "{calls:?}");
    for call in
        ["bind", "listen", "getaddrinfo", "pthread_create", "dlmopen", "opendir", "printf", "syslog", "system", "popen"]
    {
        assert!(!calls.contains(call), "{call}");
    }
}

/// The helper is what it starts, by one call.
#[test]
fn the_module_knows_one_way_to_start_a_program() {
    let calls = &symbols() | &late();
    assert!(calls.contains("posix_spawn"), "{calls:?}");
    for call in ["posix_spawnp", "fork", "vfork", "execvp", "chroot", "setgroups", "setsid", "pidfd_spawnp"] {
        assert!(!calls.contains(call), "{call}");
    }
}

#[test]
fn the_module_asks_the_loader_for_few_symbols() {
    let symbols = symbols();
    assert!(symbols.contains("fdatasync") && symbols.len() <= MOST_SYMBOLS, "{}: {symbols:?}", symbols.len());
}

/// A name without a function would end the host when it is called.
#[test]
fn what_the_module_looks_up_when_it_calls_it_is_there() {
    let mut there = BTreeSet::new();
    for library in ["libc.so.6", "libpam.so.0"] {
        let library = machine::libraries().join(library);
        let symbols = machine::run(Command::new("nm").args(["--dynamic", "--defined-only"]).arg(library));
        // With one `@` it is for programs of earlier times alone.
        let now = symbols.lines().filter_map(|line| line.split(' ').next_back()?.split_once("@@"));
        there.extend(now.map(|(name, _)| name.to_owned()));
    }
    let late = late();
    assert!(late.len() > 40 && late.is_subset(&there), "{:?}", late.difference(&there));
    assert_eq!(late.intersection(&symbols()).count(), 0, "looked up twice");
}

/// The agent, behind a Unix socket whose path is fixed (and the sender, whom only the agent asks).
#[test]
fn the_module_makes_one_kind_of_socket() {
    let mut calls = Vec::new();
    for krate in ["otp-nss", "otp-core", "otp-locale", "pam_otp"] {
        for (_, text) in sources(krate) {
            calls.extend(lines_with(&text, "AddressFamily::").iter().map(|line| line.trim().to_owned()));
            calls.extend(lines_with(&text, "UnixAddr::new").iter().map(|line| line.trim().to_owned()));
        }
    }
    let expected = [
        "let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;",
        "let address = UnixAddr::new(path)?;",
    ];
    assert_eq!(calls, expected);
    // The agent sends; the module has no way to.
    for (path, text) in sources("pam_otp") {
        assert!(!text.contains("sender_socket"), "{}", path.display());
    }
}

/// For a rule with a group: getgrouplist(3) does not report that a service failed, and a service's own function does.
/// `a_rule_with_a_group_loads_what_the_name_service_loads` sees which libraries these are.
#[test]
fn the_module_loads_a_service_of_the_name_service_and_no_other_library() {
    let mut calls = Vec::new();
    for krate in ["otp-nss", "otp-core", "otp-locale", "pam_otp"] {
        for (path, text) in sources(krate) {
            let path = path.strip_prefix(machine::source("")).unwrap().display().to_string();
            calls.extend(lines_with(&text, "dlopen(").iter().map(|line| format!("{path}: {}", line.trim())));
        }
    }
    let call = "let library = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };";
    assert_eq!(calls, [format!("otp-nss/src/lib.rs: {call}")]);
    let named = r#"let library = [b"libnss_", service, b".so.2\0"].concat();"#;
    assert!(fs::read_to_string(machine::source("otp-nss/src/lib.rs")).unwrap().contains(named));
}

#[test]
fn the_module_is_linked_the_hardened_way() {
    for file in [module(), HELPER.into()] {
        let dynamic = readelf("--dynamic", &file);
        for tag in ["(TEXTREL)", "(RPATH)", "(RUNPATH)"] {
            assert!(!dynamic.contains(tag), "{tag} in {dynamic}");
        }
        assert!(dynamic.contains("BIND_NOW") || dynamic.contains("Flags: NOW"), "{dynamic}");
        let segments = readelf("--segments", &file);
        let flags = |name: &str| segments.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        assert!(flags("GNU_STACK").contains(" RW "), "a stack that is not executable: {segments}");
        assert!(flags("GNU_RELRO").contains(" R "), "{segments}");
        assert!(!segments.contains(" RWE "), "{segments}");

        let relocations = readelf("--relocs", &file);
        let kinds: BTreeSet<_> = relocations
            .lines()
            .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("R_")))
            .collect();
        let known = ["DTPMOD64", "DTPOFF64", "GLOB_DAT", "JUMP_SLOT", "RELATIVE", "TPOFF64"];
        let known: BTreeSet<_> = known.iter().map(|kind| format!("R_X86_64_{kind}")).collect();
        assert!(!kinds.is_empty() && kinds.iter().all(|kind| known.contains(*kind)), "{kinds:?}");
    }
}

#[test]
fn the_helper_has_a_groups_right_and_not_a_users() {
    let state = machine::run(Command::new("stat").args(["--format=%a %U:%G", HELPER, "/var/lib/pam_otp"]));
    assert_eq!(state, "2755 root:pam_otp\n1730 root:pam_otp\n");
}

/// The source files of a crate with their text.
fn sources(krate: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut dirs = vec![machine::source(krate).join("src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                files.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(!files.is_empty(), "{krate}");
    files
}

/// Uses of `word` in the code, comments left out.
fn lines_with<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//") && line.contains(word)).collect()
}

#[test]
fn unsafe_code_is_in_four_files() {
    for krate in ["otp-core", "otp-enroll", "otp-helper"] {
        for (path, text) in sources(krate) {
            let crate_root = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
            assert_eq!(crate_root, text.contains("#![forbid(unsafe_code)]"), "{path:?}");
            let used = lines_with(&text, "unsafe");
            assert!(used.iter().all(|line| *line == "#![forbid(unsafe_code)]"), "{path:?}: {used:?}");
        }
    }
    let mut islands = Vec::new();
    for (path, text) in ["otp-locale", "otp-nss", "pam_otp"].into_iter().flat_map(sources) {
        if text.contains("unsafe") {
            let blocks = lines_with(&text, "unsafe {").len();
            assert_eq!(blocks, text.matches("// SAFETY: ").count(), "each block names the fact it rests on: {path:?}");
            islands.push(path.strip_prefix(machine::source("")).unwrap().display().to_string());
        }
    }
    assert_eq!(islands, ["otp-locale/src/lib.rs", "otp-nss/src/lib.rs", "pam_otp/src/ffi.rs", "pam_otp/src/late.rs"]);
    let manifest = fs::read_to_string(machine::source("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// What is linked into a crate of the workspace in this folder.
fn tree(workspace: &str, krate: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "tree",
        "--offline",
        "--locked",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--package",
        krate,
    ]);
    let lines = machine::run(cargo.current_dir(machine::source(workspace)));
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn a_runtime_is_the_verifiers_alone() {
    for krate in ["otp-agent", "otp-sender"] {
        let linked = tree("fleet", krate);
        for other in ["tokio", "hyper", "openssl", "native-tls", "aws-lc-rs"] {
            assert!(!linked.contains(other), "{krate}: {other}");
        }
    }
    let verifier = tree("fleet", "otp-verifier");
    assert!(verifier.contains("tokio") && !verifier.contains("openssl"), "{verifier:?}");
}

#[test]
fn the_crates_that_a_login_runs_through_are_these() {
    let tree = |krate| tree("", krate);
    let module = tree("pam_otp");
    let expected = "base16ct base32ct bitflags block-buffer cfg-if chacha20 cipher cmov const-oid cpufeatures crc crc-catalog crypto-common ctutils \
                    digest getrandom hmac hybrid-array inout itoa libc memchr memoffset nix otp-core otp-locale otp-nss pam-bindings pam_otp poly1305 qrcodegen serde \
                    serde_core serde_json sha1 sha2 subtle typenum universal-hash \
                    zeroize zmij";
    assert_eq!(module.iter().map(String::as_str).collect::<Vec<_>>().join(" "), expected);
    // The helper's own, beyond those: the log.
    for krate in ["clap", "png", "ctrlc", "tempfile"] {
        assert!(!tree("otp-helper").contains(krate), "{krate}");
    }
}
