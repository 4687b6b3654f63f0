//! The house keeps its order: in each crate a file imports from its own room and from the rooms before it, and no files
//! import each other in a circle. Read from the `use` lines and paths of the code, tests aside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of each crate, from the one that knows nothing to the one that knows all. A room is a module with all that
/// is in it.
const HOUSE: [(&str, &[&str]); 9] = [
    (
        "otp-core",
        &[
            "value", "codes", "record", "decision", "qr", "audit", "config", "store", "error", "system", "protocol",
            "service",
        ],
    ),
    (
        "pam_otp",
        &[
            "late",
            "ffi",
            "privileges",
            "host",
            "outcome",
            "authority",
            "enroller",
            "report",
            "password_and_code",
            "destination",
            "enrollment",
            "login",
            "entry",
        ],
    ),
    (
        "otp-formats",
        &[
            "text",
            "source",
            "index",
            "seed",
            "csv_rows",
            "map",
            "tokens",
            "pam_oath",
            "google_authenticator",
            "csv",
            "uri",
            "pskc",
        ],
    ),
    (
        "otp-enroll",
        &[
            "cli",
            "pam",
            "seed",
            "language",
            "error",
            "private_file",
            "unconfirmed_file",
            "ui",
            "seed_file",
            "client",
            "user",
            "admin",
        ],
    ),
    (
        "fleet/otp-agent",
        &[
            "crowd",
            "budgets",
            "per_minute",
            "lines",
            "together",
            "sends",
            "upstream",
            "memory",
            "asker",
            "permission",
            "renew",
            "fleet_authority",
            "break_glass",
            "answer",
            "command_error",
            "hello",
            "administration",
            "connection",
            "join",
            "command",
            "test_verifier",
        ],
    ),
    ("fleet/otp-messages", &["limits", "mail", "ready", "sending"]),
    ("fleet/otp-sender", &["places", "leftovers", "redaction", "program", "connection"]),
    (
        "fleet/otp-verifier",
        &[
            "log",
            "systemd",
            "keys",
            "right",
            "row_mac",
            "signed_state",
            "database",
            "error",
            "told",
            "config",
            "command_line",
            "authority",
            "renewal",
            "key_ring",
            "budgets",
            "guests",
            "watched",
            "metrics",
            "fleet",
            "altered",
            "store",
            "messenger",
            "answered",
            "joining",
            "asking_host",
            "adoption",
            "renaming",
            "administration",
            "departure",
            "asked",
            "work",
            "serve",
            "user",
            "scope_list",
            "hosts",
            "tokens",
            "init",
            "audit",
            "check",
            "admin",
        ],
    ),
    (
        "bench",
        &[
            "codes",
            "callgrind",
            "figures",
            "order",
            "progress",
            "place",
            "enroll",
            "entrant",
            "crowd",
            "login",
            "door",
            "rounds",
            "stages",
            "together",
            "counts",
            "fleet",
            "findings",
            "side_by_side",
            "plot",
            "targets",
            "page",
        ],
    ),
];

/// Which file imports from which, by their modules: `record::state`. The root of a crate is the empty module.
type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_import_runs_up_and_none_in_a_circle() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut wrong = Vec::new();
    for (name, rooms) in HOUSE {
        let source = repository.join(name).join("src");
        let arrows = arrows_of(&source);
        assert!(arrows.values().map(BTreeSet::len).sum::<usize>() > 2, "hardly an import was read in {name}");
        wrong.extend(arrows_that_run_up(&arrows, rooms).into_iter().map(|arrow| format!("{name}: {arrow}")));
        wrong.extend(circles(&arrows).into_iter().map(|circle| format!("{name}: a circle of {circle}")));
    }
    assert!(wrong.is_empty(), "the order of the house is in docs/architecture.md:\n{}", wrong.join("\n"));
}

#[test]
fn the_page_on_architecture_names_each_file_of_core_module_and_services_and_no_other() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(repository.join("docs/architecture.md")).unwrap();
    for name in [
        "otp-core",
        "pam_otp",
        "otp-formats",
        "fleet/otp-agent",
        "fleet/otp-sender",
        "fleet/otp-activation",
        "fleet/otp-messages",
        "fleet/otp-wire",
        "fleet/otp-verifier",
        "fleet/otp-load",
    ] {
        let source = repository.join(name).join("src");
        let mut files = Vec::new();
        collect(&source, &mut files);
        let there: BTreeSet<String> = files
            .iter()
            .map(|file| file.strip_prefix(&source).unwrap().to_str().unwrap().to_owned())
            .filter(|file| file != "lib.rs")
            .collect();
        let section = page.split(&format!("### {name}/src")).nth(1).unwrap().split("\n### ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
        let named: BTreeSet<String> = rows
            .flat_map(|row| row.split('`').filter(|part| part.ends_with(".rs")).map(str::to_owned).collect::<Vec<_>>())
            .filter(|file| !file.starts_with("testing/") && !file.ends_with("memory.rs"))
            .collect();
        assert_eq!(named, there, "{name}: docs/architecture.md (left) and the files that there are");
    }
}

/// The agent answers by way of the authority: of the core it does not see what reads, writes or changes a record. Only two files do: one
/// names the note of a code that is sent, the other sends a record of this host to the fleet.
#[test]
fn the_agent_imports_from_these_rooms_of_the_core_alone() {
    let mut rooms = BTreeSet::new();
    let mut of_records = BTreeSet::new();
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fleet/otp-agent/src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for room in text.split("otp_core::").skip(1).map(|path| path.split(':').next().unwrap()) {
            rooms.insert(room.to_owned());
            if ["record", "store"].contains(&room) {
                of_records.insert(file.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let may: BTreeSet<String> =
        ["audit", "codes", "config", "decision", "error", "protocol", "service", "store", "system", "value"]
            .map(str::to_owned)
            .into();
    assert_eq!(rooms, may);
    assert_eq!(of_records, ["answer.rs", "fleet_authority.rs"].map(str::to_owned).into());
}

/// As the manifests say. Those of the tests and the bench may use all.
#[test]
fn the_arrows_between_the_crates_are_those_of_the_page() {
    const CRATES: [&str; 13] = [
        "otp-nss",
        "otp-core",
        "otp-locale",
        "pam_otp",
        "otp-helper",
        "otp-formats",
        "otp-enroll",
        "fleet/otp-activation",
        "fleet/otp-agent",
        "fleet/otp-sender",
        "fleet/otp-messages",
        "fleet/otp-wire",
        "fleet/otp-verifier",
    ];
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut arrows = BTreeSet::new();
    for krate in CRATES {
        let manifest = fs::read_to_string(repository.join(krate).join("Cargo.toml")).unwrap();
        let wanted = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
        let names =
            wanted.lines().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split(['.', ' ']).next());
        let name = |krate: &str| krate.rsplit('/').next().unwrap().to_owned();
        let ours = names.filter(|used| CRATES.iter().any(|krate| name(krate) == *used));
        arrows.extend(ours.map(|used| format!("{} → {used}", name(krate))));
    }
    let page = fs::read_to_string(repository.join("docs/architecture.md")).unwrap();
    let told = page.split("there are twenty-three arrows: ").nth(1).unwrap().split("A test reads").next().unwrap();
    let told: BTreeSet<String> = told.split('`').filter(|part| part.contains(" → ")).map(str::to_owned).collect();
    assert_eq!((arrows.len(), &arrows), (23, &told), "the manifests (left) and the page");
}

#[test]
fn each_way_to_name_a_file_is_read() {
    let modules: BTreeSet<String> = ["", "a", "a::b", "a::c", "d"].map(str::to_owned).into();
    for (text, expected) in [
        ("use crate::a::b::Thing;", vec!["a::b"]),
        ("use crate::{d, a::{b::{self, Thing}, c::*}};", vec!["a::b", "a::c", "d"]),
        ("use super::c::Thing;\n", vec!["a::c"]),
        ("    let x = crate::d::f(1);", vec!["d"]),
        ("pub(crate) use crate::a::Thing as Other;", vec!["a"]),
        ("// use crate::d;\n/// [`crate::d::X`]\n", vec![]),
        ("use std::fmt;\n#[cfg(test)]\nmod tests {\n    use crate::d;\n}\n", vec![]),
    ] {
        assert_eq!(
            imports(text, "a::b", &modules, "a::b"),
            expected.into_iter().map(str::to_owned).filter(|it| it != "a::b").collect(),
            "{text}"
        );
    }
}

#[test]
fn arrows_that_run_up_and_circles_are_found() {
    let arrows: Arrows =
        [("low", "high"), ("high", "low"), ("high::x", "high::y"), ("high::y", "high::z"), ("high::z", "high::x")]
            .map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()])))
            .into();
    assert_eq!(arrows_that_run_up(&arrows, &["low", "high"]), ["low imports from high"]);
    assert_eq!(circles(&arrows), ["high, low", "high::x, high::y, high::z"]);
    assert_eq!(arrows_that_run_up(&arrows, &["low"]).len(), 5, "a file without a room");
}

fn arrows_that_run_up(arrows: &Arrows, rooms: &[&str]) -> Vec<String> {
    let floor = |module: &str| match module.split("::").next() {
        Some("") | None => Some(rooms.len()), // the root of the crate sees all
        Some(room) => rooms.iter().position(|it| *it == room),
    };
    let mut wrong = Vec::new();
    for (from, to) in arrows.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to))) {
        match (floor(from), floor(to)) {
            (Some(from), Some(to)) if to <= from => {}
            (Some(_), Some(_)) => wrong.push(format!("{from} imports from {to}")),
            (None, _) => wrong.push(format!("{from} is in no room")),
            (_, None) => wrong.push(format!("{to} is in no room")),
        }
    }
    wrong
}

/// Sets of files each of which leads to all others of its set.
fn circles(arrows: &Arrows) -> Vec<String> {
    let reachable = |start: &String| {
        let (mut found, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(next) = open.pop() {
            for to in arrows.get(next).into_iter().flatten() {
                if found.insert(to) {
                    open.push(to);
                }
            }
        }
        found
    };
    let from: BTreeMap<_, _> = arrows.keys().map(|file| (file, reachable(file))).collect();
    let circle_of = |file: &String| {
        let others = from
            .get(file)
            .into_iter()
            .flatten()
            .filter(|other| from.get(*other).is_some_and(|back| back.contains(file)));
        others.map(|other| other.as_str()).collect::<Vec<_>>().join(", ")
    };
    let circles: BTreeSet<String> = from.keys().map(|file| circle_of(file)).filter(|it| !it.is_empty()).collect();
    circles.into_iter().collect()
}

/// All imports of a crate's files, tests and what only tests use aside.
fn arrows_of(source: &Path) -> Arrows {
    let mut files = Vec::new();
    collect(source, &mut files);
    let files: Vec<(String, PathBuf)> = files.into_iter().map(|file| (module_of(&file, source), file)).collect();
    let modules: BTreeSet<String> = files.iter().map(|(module, _)| module.clone()).collect();
    files
        .into_iter()
        .map(|(module, file)| {
            let text = fs::read_to_string(&file).unwrap();
            let here = module.clone();
            (module, imports(&text, &here, &modules, &here))
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        match (path.is_dir(), name.as_str()) {
            (_, "tests" | "testing" | "memory") => {}
            (true, _) => collect(&path, files),
            (false, _) if path.extension().is_some_and(|it| it == "rs") => files.push(path),
            (false, _) => {}
        }
    }
}

/// `src/record/state.rs` is `record::state`; `src/lib.rs` and `src/main.rs` are the root.
fn module_of(file: &Path, source: &Path) -> String {
    let module = file.strip_prefix(source).unwrap().with_extension("").to_str().unwrap().replace('/', "::");
    if ["lib", "main"].contains(&module.as_str()) { String::new() } else { module }
}

/// The files that a text names, but for the one that it stands in.
fn imports(text: &str, module: &str, modules: &BTreeSet<String>, here: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String = code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (root, base) in
        [("crate::", ""), ("super::", module.rsplit_once("::").map_or("", |(parent, _)| parent)), ("self::", module)]
    {
        for (place, _) in code.match_indices(root) {
            let (before, rest) = code.split_at(place);
            if before.ends_with(|before: char| before.is_alphanumeric() || before == ':' || before == '_') {
                continue; // `otp_core::…` and what is not at the beginning of a path
            }
            for path in paths(rest.strip_prefix(root).unwrap()) {
                let whole = if base.is_empty() { path } else { format!("{base}::{path}") };
                found.extend(file_of(&whole, modules));
            }
        }
    }
    found.remove(here);
    found
}

/// The paths at the beginning of a text, each group taken apart: `a::{b, c::D}` is `a::b` and `a::c::D`.
fn paths(text: &str) -> Vec<String> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (whole_head, rest) = text.split_at(end);
    let head = whole_head.trim_end_matches("::");
    let Some(group) = rest.strip_prefix('{').filter(|_| whole_head.ends_with("::") || end == 0) else {
        return vec![head.to_owned()];
    };
    let (mut depth, mut parts, mut part) = (1_u32, Vec::new(), String::new());
    for letter in group.chars() {
        match letter {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if letter == ',' && depth == 1 {
            parts.push(std::mem::take(&mut part));
        } else if !letter.is_whitespace() {
            part.push(letter);
        }
    }
    parts.push(part);
    let parts = parts.iter().filter(|part| !part.is_empty()).flat_map(|part| paths(part));
    parts.map(|part| if head.is_empty() { part } else { format!("{head}::{part}") }).collect()
}

/// The longest beginning of a path that is a file.
fn file_of(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut path = path;
    loop {
        if modules.contains(path) && !path.is_empty() {
            return Some(path.to_owned());
        }
        path = path.rsplit_once("::")?.0;
    }
}
