//! The manual pages and the shipped configuration say what the programs do: not less, and not more.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{machine, outcome::Outcome, site::HELPER};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PAGES: [&str; 6] =
    ["otp-agent.8", "otp-enroll.1", "otp-sender.8", "otp-verifier.8", "pam_otp.8", "pam_otp.toml.5"];

/// Pages of programs with commands and options of their own.
const WITH_COMMANDS: [&str; 2] = ["otp-agent.8", "otp-verifier.8"];

type Words = BTreeSet<String>;

fn text(path: &str) -> String {
    fs::read_to_string(machine::source(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A source file without its tests.
fn source(path: &str) -> String {
    text(path).split("#[cfg(test)]").next().unwrap().to_owned()
}

fn page(name: &str) -> String {
    text(&format!("man/{name}"))
}

/// The lines of one section of a page.
fn section(page: &str, name: &str) -> String {
    let start = format!("\n.Sh {name}\n");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no section {name}"));
    rest.split("\n.Sh ").next().unwrap().to_owned()
}

/// What stands after `macros` on the lines that begin with them.
fn items<'a>(page: &'a str, macros: &'a str) -> impl Iterator<Item = &'a str> {
    page.lines().filter_map(move |line| line.strip_prefix(macros)?.strip_prefix(' '))
}

/// Each word of these letters that follows `start` somewhere.
fn words_after(text: &str, start: &str, letters: fn(char) -> bool) -> Words {
    let word = |rest: &str| rest.split(|letter| !letters(letter)).next().unwrap().to_owned();
    text.split(start).skip(1).map(word).filter(|word| !word.is_empty()).collect()
}

fn hyphenated(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter == '-'
}

fn named(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_'
}

fn words<const N: usize>(words: [&str; N]) -> Words {
    words.map(str::to_owned).into()
}

fn without(words: &Words, others: &Words) -> Words {
    words.difference(others).cloned().collect()
}

// ---- otp-enroll(1) ----

/// What the real program says of a command.
fn help(command: &[&str]) -> String {
    machine::require("asking what is installed");
    machine::run(Command::new("otp-enroll").args(command).arg("--help"))
}

/// Options at the beginning of a line, `-q, --quiet`; text that was wrapped stands further to the right.
fn options_of(help: &str) -> Words {
    let begins = |line: &&str| !line.starts_with("       ");
    let spelled = |line: &str| {
        let words = line.split_whitespace().take_while(|word| word.starts_with('-'));
        words.map(|word| word.trim_end_matches(',').to_owned()).collect::<Vec<_>>()
    };
    help.lines().filter(begins).flat_map(spelled).collect()
}

fn commands_of(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    names.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Every command with the options that are its own.
fn commands_of_the_program(path: &[&str], common: &Words, found: &mut BTreeMap<String, Words>) {
    for name in commands_of(&help(path)) {
        let path = [path, &[&name]].concat();
        if name == "help" {
            // Those of `help` and `admin help` stand for all.
            if path.len() < 3 {
                found.insert(path.join(" "), Words::new());
            }
            continue;
        }
        // A command that only has commands below it is named with these, but for `admin`.
        let own = without(&options_of(&help(&path)), common);
        if path.len() == 1 || !own.is_empty() || commands_of(&help(&path)).is_empty() {
            found.insert(path.join(" "), own);
        }
        commands_of_the_program(&path, common, found);
    }
}

/// Options on a line of a page: `.It Fl q , Fl -quiet`, `.Fl -user`.
fn options_on(line: &str) -> Words {
    let words: Vec<_> = line.split(' ').collect();
    let options = words.windows(2).filter(|pair| matches!(pair, ["Fl" | ".Fl", _]));
    options.filter_map(|pair| Some(format!("-{}", pair.last()?))).collect()
}

#[test]
fn every_command_and_option_is_in_the_manual_and_no_other() {
    let page = page("otp-enroll.1");
    let common = options_of(&help(&["status"]));
    let mut program = BTreeMap::new();
    commands_of_the_program(&[], &common, &mut program);
    assert!(program.len() > 20 && program.contains_key("admin reset"), "{program:?}");

    let explained = section(&page, "COMMANDS") + &section(&page, "ADMINISTRATION");
    let manual: BTreeMap<String, Words> = items(&explained, ".It Cm")
        .map(|line| {
            let name = line.split(' ').take_while(|word| word.chars().all(hyphenated));
            (name.collect::<Vec<_>>().join(" "), without(&options_on(line), &common))
        })
        .filter(|(name, options): &(String, Words)| {
            // What is said of all commands below one.
            let is_above = program.keys().any(|known| known.starts_with(&format!("{name} ")));
            !is_above || !options.is_empty() || program.contains_key(name)
        })
        .collect();
    assert_eq!(manual, program);

    let general: Words = items(&section(&page, "OPTIONS"), ".It").flat_map(options_on).collect();
    assert_eq!(general, options_of(&help(&[])));
}

#[test]
fn what_the_manual_tells_people_to_type_exists() {
    let common = options_of(&help(&[]));
    let mut program = BTreeMap::new();
    commands_of_the_program(&[], &Words::new(), &mut program);
    let options: Words = program.values().chain([&common]).flatten().cloned().collect();
    for name in PAGES {
        let page = page(name);
        for line in page.lines().filter(|_| !WITH_COMMANDS.contains(&name)) {
            let spelled: Words = line.split(' ').filter(|word| word.starts_with("--")).map(str::to_owned).collect();
            let unknown = without(&(&options_on(line) | &spelled), &options);
            assert!(unknown.is_empty(), "{name}: {unknown:?}");
        }
        for typed in page.split("otp-enroll ").skip(1) {
            let line = typed.lines().next().unwrap().split(' ');
            let typed: Vec<_> = line.take_while(|word| !word.is_empty() && word.chars().all(hyphenated)).collect();
            let command = match *typed {
                ["admin", command, ..] => format!("admin {command}"),
                [command, ..] if !command.starts_with('-') => command.to_owned(),
                _ => continue,
            };
            // Some have commands below them.
            let is_known = program.keys().any(|known| *known == command || known.starts_with(&format!("{command} ")));
            assert!(is_known, "{name}: otp-enroll {command}");
        }
    }
}

#[test]
fn every_command_of_the_verifier_is_in_its_manual_with_its_options() {
    machine::require("asking what is installed");
    let page = page("otp-verifier.8");
    let help = |command: &[&str]| machine::run(Command::new("otp-verifier").args(command).arg("--help"));
    let named: Words = page.split_whitespace().map(str::to_owned).collect();
    let (mut paths, mut found) = (vec![Vec::new()], 0);
    while let Some(path) = paths.pop() {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let text = help(&path);
        for option in without(&options_of(&text), &words(["-h", "--help", "-V", "--version"])) {
            assert!(named.contains(option.strip_prefix('-').unwrap()), "{path:?} {option}");
        }
        for command in commands_of(&text).into_iter().filter(|command| command != "help") {
            assert!(named.contains(&command), "{path:?} {command}");
            found += 1;
            paths.push([path.iter().map(|word| (*word).to_owned()).collect(), vec![command]].concat());
        }
    }
    assert!(found > 12, "{found}");
}

#[test]
fn the_exit_codes_are_those_of_the_manual() {
    let help = help(&[]);
    let lines = help.lines().skip_while(|line| *line != "Exit codes:").skip(1).take_while(|line| !line.is_empty());
    let program: Vec<_> = lines.map(|line| line.trim().split_once(' ').unwrap()).collect();
    let program: Vec<_> = program.into_iter().map(|(code, text)| (code, text.trim())).collect();
    let section = section(&page("otp-enroll.1"), "EXIT STATUS");
    let manual: Vec<_> = section.split(".It ").skip(1).map(|item| item.split_once('\n').unwrap()).collect();
    let manual: Vec<_> = manual.into_iter().map(|(code, text)| (code, text.trim_end_matches(".El").trim())).collect();
    assert!(program.len() >= 6, "{program:?}");
    assert_eq!(manual, program);
}

#[test]
fn the_environment_is_that_of_the_manual() {
    let page = page("otp-enroll.1");
    let listed = section(&page, "ENVIRONMENT");
    let listed: Words = items(&listed, ".It Ev").flat_map(|line| line.split(" , ")).map(str::to_owned).collect();
    let read = words_after(&source("otp-enroll/src/ui/terminal.rs"), "set(\"", named);
    assert!(read.contains("NO_COLOR"), "{read:?}");
    // By PATH the system finds what `admin` runs; the others are gettext's.
    assert_eq!(listed, &read | &words(["PATH", "LC_MESSAGES", "LANGUAGE"]));
}

// ---- pam_otp.toml(5) and the shipped file ----

/// What is wrong with a configuration.
fn fault(text: &str) -> String {
    machine::require("checking a configuration");
    let file = PathBuf::from(format!("/run/{}.toml", machine::unique("manual")));
    fs::write(&file, text).unwrap();
    let outcome = Outcome::of(Command::new("otp-enroll").args(["--json", "admin", "check", "--config"]).arg(&file), "");
    fs::remove_file(file).unwrap();
    let faults = outcome.json().remove(0);
    faults.pointer("/faults/0").and_then(|fault| fault.as_str()).unwrap_or_else(|| panic!("{text}: good")).to_owned()
}

/// The keys that the reader knows in the table that `start` opens, and in those beneath it.
fn keys_of_the_reader(prefix: &str, start: &str, found: &mut Words) {
    let fault_of = |start: &str| fault(&format!("{start}\nno_such_key = 1\n"));
    let unknown = fault_of(start);
    let (_, known) = unknown.split_once("no_such_key; known keys: ").unwrap_or_else(|| panic!("{start}: {unknown}"));
    for key in known.split(", ").map(|key| format!("{prefix}{key}")) {
        let as_table = fault_of(&format!("[{key}]"));
        if as_table.contains(&format!("unknown key {key}.no_such_key")) {
            keys_of_the_reader(&format!("{key}."), &format!("[{key}]"), found);
        } else if as_table.contains(&format!("must be written [[{key}]]")) {
            // A table must say so much before anything else is looked at.
            let more = if key == "agent.host" { "services = [\"radiusd\"]" } else { "second_factor = \"skip\"" };
            let start = format!("[[{key}]]\nuser = \"alice\"\n{more}");
            keys_of_the_reader(&format!("{key}."), &start, found);
        } else {
            assert!(as_table.contains(" must be "), "{key}: {as_table}");
            found.insert(key);
        }
    }
}

/// The keys of the page, each with its default where it has one.
fn keys_of_the_manual() -> BTreeMap<String, Option<String>> {
    let page = page("pam_otp.toml.5");
    let item = |line: &str| match line.strip_prefix('"') {
        Some(pair) => {
            let pair = pair.trim_end_matches('"').replace("\\(dq", "\"");
            let (key, value) = pair.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
            (key.to_owned(), Some(value.to_owned()))
        }
        None => (line.split(' ').next().unwrap().to_owned(), None),
    };
    items(&page, ".It Cm").map(item).collect()
}

/// The keys of the shipped file with their values; all of them are commented out.
fn keys_that_are_shipped() -> BTreeMap<String, String> {
    let (mut table, mut keys) = (String::new(), BTreeMap::new());
    for line in text("config/pam_otp.toml").lines() {
        let bare = line.trim_start_matches('#');
        if bare.starts_with('[') {
            table = bare.trim_matches(['[', ']']).to_owned() + ".";
        } else if let Some((key, value)) = bare.split_once(" = ").filter(|(key, _)| key.chars().all(named)) {
            assert!(line.starts_with('#'), "not commented out: {line}");
            let value = value.split(" #").next().unwrap().trim_end();
            keys.insert(format!("{table}{key}"), value.to_owned());
        }
    }
    keys
}

#[test]
fn every_key_is_in_the_manual_and_in_the_shipped_file_and_no_other() {
    let mut reader = Words::new();
    keys_of_the_reader("", "", &mut reader);
    assert!(reader.contains("code.digits") && reader.contains("policy.rule.network"), "{reader:?}");
    assert_eq!(keys_of_the_manual().into_keys().collect::<Words>(), reader, "man/pam_otp.toml.5");
    assert_eq!(keys_that_are_shipped().into_keys().collect::<Words>(), reader, "config/pam_otp.toml");
}

#[test]
fn a_default_is_the_same_in_the_manual_and_in_the_shipped_file() {
    let shipped = keys_that_are_shipped();
    for (key, default) in keys_of_the_manual() {
        if default.is_some() {
            assert_eq!(shipped.get(&key), default.as_ref(), "{key}");
        }
    }
}

// ---- pam_otp(8) ----

#[test]
fn every_argument_of_the_module_is_in_the_manual_and_no_other() {
    let source = source("otp-core/src/config/module_arguments.rs");
    let module = &words_after(&source, "argument == \"", named) | &words_after(&source, "Some((\"", named);
    assert!(module.contains("config") && module.contains("nullok"), "{module:?}");
    let page = page("pam_otp.8");
    let explained: Words =
        items(&section(&page, "ARGUMENTS"), ".It Cm").map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(explained, module);
    let synopsis = section(&page, "SYNOPSIS");
    let lower = |word: &&str| word.len() > 1 && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    let synopsis: Words =
        items(&synopsis, ".Op Cm").flat_map(|line| line.split(' ')).filter(lower).map(str::to_owned).collect();
    assert_eq!(synopsis, module);
}

#[test]
fn every_reason_of_a_refusal_is_in_the_manual_and_no_other() {
    let verify = source("otp-core/src/decision/verify.rs");
    let (_, of_refusals) = verify.split_once("\nimpl Refusal {").unwrap();
    let of_refusals = of_refusals.split("\n}\n").next().unwrap();
    let audit = words_after(&source("otp-core/src/audit.rs"), "why=", hyphenated);
    let of_enrollment = words_after(&source("pam_otp/src/enrollment.rs"), "\"enrollment-", hyphenated);
    let of_enrollment: Words = of_enrollment.iter().map(|word| format!("enrollment-{word}")).collect();
    let of_seals = words_after(&source("otp-core/src/record/seal.rs"), "=> \"", hyphenated);
    let of_seals: Words = of_seals.into_iter().filter(|word| word.starts_with("sealed-")).collect();
    let log = &(&(&words_after(of_refusals, "=> \"", hyphenated) | &audit) | &of_enrollment) | &of_seals;
    assert!(log.contains("wrong") && log.contains("enrollment-incomplete"), "{log:?}");

    let page = page("pam_otp.8");
    assert_eq!(
        items(&page, ".It Li").filter_map(|line| Some(line.strip_prefix("why=")?.to_owned())).collect::<Words>(),
        log
    );
    // Nor is there another one in an example.
    assert_eq!(words_after(&page, "why=", hyphenated), log);
    // A user who is locked out finds each of them, too.
    assert_eq!(words_after(&text("docs/locked-out.md"), "why=", hyphenated), log);
}

#[test]
fn every_result_is_in_the_manual_and_no_other() {
    let table = words_after(&source("pam_otp/src/outcome.rs"), "PamResultCode::", named);
    assert!(table.contains("PAM_SUCCESS") && table.contains("PAM_AUTH_ERR"), "{table:?}");
    let page = page("pam_otp.8");
    let explained: Words = items(&section(&page, "RESULTS"), ".It Dv").map(str::to_owned).collect();
    // A panic has no place in the table: pam-bindings turns it into this.
    assert_eq!(explained, &table | &words(["PAM_ABORT"]));
}

// ---- all pages ----

#[test]
fn what_people_copy_from_a_page_has_all_its_quotation_marks() {
    for name in PAGES {
        let path = machine::source("man").join(name);
        let shown = machine::run(Command::new("mandoc").args(["-T", "utf8", "-O", "width=1000"]).arg(&path));
        let source = page(name);
        let settings =
            source.lines().filter_map(|line| line.strip_prefix(".It Li ")).filter(|line| line.contains(" = "));
        // mdoc takes a mark that begins an argument for itself, and the one after it.
        let lost: Vec<_> = settings.filter(|line| !shown.contains(&line.replace("\\(dq", "\""))).collect();
        assert!(lost.is_empty(), "{name}: {lost:#?}");
    }
}

#[test]
fn the_pages_are_good_for_both_formatters_and_found_by_apropos() {
    for name in PAGES {
        let path = machine::source("man").join(name);
        let lint = Outcome::of(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&path), "");
        assert_eq!((lint.code, lint.out.as_str(), lint.err.as_str()), (Some(0), "", ""));
        let mut man = Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(&path);
        let man = Outcome::of(man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80"), "");
        assert_eq!((man.code, man.err.as_str()), (Some(0), ""));
        assert!(!man.out.is_empty());

        let (title, number) = name.rsplit_once('.').unwrap();
        let found = machine::run(Command::new("lexgrog").arg(&path));
        assert!(found.trim_end().ends_with('"') && found.contains(&format!("\"{title} - ")), "{found}");
        if ["otp-agent.8", "otp-sender.8", "otp-verifier.8"].contains(&name) {
            continue; // installed apart
        }
        machine::require("looking at what is installed");
        let installed = fs::read_to_string(format!("/usr/local/share/man/man{number}/{name}")).unwrap();
        let folder = Path::new(HELPER).parent().unwrap().to_str().unwrap();
        let expected = page(name).replace("/usr/local/libexec/pam_otp", folder);
        assert!(installed == expected, "{name} is installed as it is, but for the helper's place");
    }
    let files = fs::read_dir(machine::source("man")).unwrap();
    assert_eq!(files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect::<Words>(), words(PAGES));
}

// ---- docs/security.md ----

/// Every `.rs` file of the project.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

/// The tests that a macro makes of the functions in its list, where another file calls it.
fn tests_of_macros(files: &[String]) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for file in files {
        let Some((_, definition)) = file.split_once("\nmacro_rules! ") else { continue };
        let call = format!("::{}!(", definition.split(' ').next().unwrap());
        let calls = |other: &String| {
            other
                .lines()
                .any(|line| line.trim_start().split_inclusive('(').next().is_some_and(|head| head.ends_with(&call)))
        };
        let makes_tests =
            definition.split("#[test]\n").skip(1).any(|rest| rest.trim_start().starts_with("fn $name() {"));
        if makes_tests && files.iter().any(|other| other != file && calls(other)) {
            let list = definition.split("(@each ").nth(1).unwrap().split([';', ')']).nth(1).unwrap();
            found.extend(list.split_whitespace().filter(|name| file.contains(&format!("\npub fn {name}<"))));
        }
    }
    found
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let page = text("docs/security.md");
    let quoted: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let mut files = Vec::new();
    sources(&machine::source(""), &mut files);
    let told: Vec<&str> = quoted.iter().copied().filter(|word| word.contains(".talk: ")).collect();
    assert!(told.len() >= 4, "{told:?}");
    for story in told {
        let (file, title) = story.split_once(": ").unwrap();
        let there = text(&format!("tests/conversations/{file}")).lines().any(|line| line == format!("== {title}"));
        assert!(there, "docs/security.md names the story {story}, and there is no such one");
    }
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let named: BTreeSet<&str> =
        quoted.into_iter().filter(|word| word.contains('_') && word.chars().all(letters)).collect();
    assert!(named.len() > 60, "{named:?}");
    let of_macros = tests_of_macros(&files);
    assert!(of_macros.contains("of_two_logins_with_one_code_exactly_one_is_accepted"), "{of_macros:?}");
    for name in named {
        // After #[test] there may be an #[ignore] with its reason.
        let function = format!("fn {name}() {{");
        let is_it = |rest: &str| rest.lines().take(3).any(|line| line.trim() == function);
        let there = files.iter().any(|file| file.split("#[test]\n").skip(1).any(is_it)) || of_macros.contains(name);
        assert!(there, "docs/security.md names {name}, and there is no such test");
    }
}

#[test]
fn the_lines_for_enrollment_during_the_login_are_everywhere_those_of_the_example() {
    let lines_of = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty() && !line.starts_with("# ") && line != "#").collect()
    };
    let example = lines_of(&text("config/examples/pam.d/password-and-code-with-set-up"));
    assert!(example.len() > 5, "{example:?}");
    for name in ["docs/administration.md", "debian/libpam-otp.README.Debian"] {
        let page = text(name);
        let is_code = |line: &&str| line.starts_with("    ") || line.is_empty();
        let blocks: Vec<String> = page
            .split("\n\n")
            .collect::<Vec<_>>()
            .chunk_by(|_, next| next.lines().next().is_some_and(|line| is_code(&line)))
            .map(|block| block.join("\n\n").lines().filter(is_code).collect::<Vec<_>>().join("\n"))
            .filter(|block| block.contains("pam_otp.so enroll"))
            .collect();
        assert!(!blocks.is_empty(), "{name}");
        for block in blocks {
            assert_eq!(lines_of(&block), example, "{name}");
        }
    }
}

#[test]
fn the_rendered_pages_are_made_of_the_manual() {
    let readme = text("README.md");
    for name in PAGES {
        let rendered = machine::run(
            Command::new(machine::source("packaging/rendered-manual")).arg(machine::source("man").join(name)),
        );
        assert!(rendered == text(&format!("docs/manual/{name}.md")), "docs/manual/{name}.md is stale: make manual");
        assert!(readme.contains(&format!("](docs/manual/{name}.md)")), "README.md: {name}");
    }
    assert_eq!(fs::read_dir(machine::source("docs/manual")).unwrap().count(), PAGES.len());
    assert_eq!(fs::read_dir(machine::source("man")).unwrap().count(), PAGES.len());
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let mut names = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/manual", "docs/services"] {
        let files = fs::read_dir(machine::source(folder)).unwrap().map(|file| file.unwrap().file_name());
        let pages = files.filter_map(|file| file.into_string().ok()).filter(|file| file.ends_with(".md"));
        names.extend(pages.map(|file| format!("{folder}/{file}")));
    }
    let mut links = 0;
    for name in &names {
        let folder = machine::source(name).parent().unwrap().to_owned();
        for link in text(name).split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { machine::source(name) } else { folder.join(file) };
            assert!(target.exists(), "{name}: {link}");
            if !anchor.is_empty() {
                let page = fs::read_to_string(target).unwrap();
                assert!(page.lines().any(|line| anchor_of(line).as_deref() == Some(anchor)), "{name}: {link}");
            }
            links += 1;
        }
    }
    assert!(names.len() > 10 && links > 50, "{links} in {names:?}");
}

/// What a link to a heading ends in, as GitHub has it; `None` for other lines.
fn anchor_of(line: &str) -> Option<String> {
    let heading = line.trim_start_matches('#');
    let letters = heading.trim().chars().flat_map(char::to_lowercase);
    let kept = letters.filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    (heading.len() < line.len()).then(|| kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect())
}
