//! Plays every conversation of `tests/conversations`.
#![expect(clippy::print_stdout, reason = "it says what it played")]

use pam_otp_tests::{
    machine, stage,
    talk_file::{Story, parse, read_folder},
};
use std::{fs, sync::Mutex, thread};

/// Stories that are played at once: most of a login is waiting.
const AT_ONCE: usize = 4;

#[test]
fn every_conversation_goes_as_its_file_says() {
    let files = read_folder(&machine::source("tests/conversations")).unwrap();
    let stories = Mutex::new(files.iter().flat_map(|(file, stories)| stories.iter().map(move |story| (file, story))));
    let next = || stories.lock().unwrap().next();
    let played = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((file, story)) = next() {
                    let outcome = stage::play(story);
                    played.lock().unwrap().push((file, outcome));
                }
            });
        }
    });
    let played = played.into_inner().unwrap();
    for (file, _) in &files {
        let outcomes: Vec<_> = played.iter().filter(|(of, _)| of == &file).map(|(_, outcome)| outcome).collect();
        let transactions: usize = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).sum();
        let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        println!("{file}: {} stories, {transactions} transactions, {failed} FAILED", outcomes.len());
    }
    let wrong: Vec<_> = played.iter().filter_map(|(_, outcome)| outcome.as_ref().err().cloned()).collect();
    assert!(wrong.is_empty(), "{} stories came out otherwise\n\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_example_of_the_readme_is_true() {
    let readme = fs::read_to_string(machine::source("tests/conversations/README.md")).unwrap();
    let example = readme.split("```\n").nth(1).unwrap();
    let stories = parse("README.md", example).unwrap();
    assert_eq!(played(&stories), Ok(2));
}

/// The number of transactions of all.
fn played(stories: &[Story]) -> Result<usize, String> {
    stories.iter().map(stage::play).sum()
}

#[test]
fn a_conversation_that_goes_otherwise_is_told_with_its_file_and_line() {
    let complaint = |text: &str| {
        let stories = parse("x.talk", &format!("== a title\nstack auth required pam_unix.so\nuser alice\n{text}\n"));
        stage::play(stories.unwrap().first().unwrap()).unwrap_err()
    };
    let wrong = complaint("authenticate \"Password: \" | wrong info \"hello\" -> PAM_SUCCESS");
    for part in [
        "x.talk:4 (a title): ",
        "expected",
        "what happened",
        "≠ info \"hello\"",
        "≠ -> PAM_SUCCESS ",
        "-> PAM_AUTH_ERR",
    ] {
        assert!(wrong.contains(part), "{part:?} is missing in:\n{wrong}");
    }
    assert!(!wrong.contains("≠ \"Password: \""), "{wrong}");
    for (text, part) in [
        ("authenticate \"Code: \" | x -> PAM_AUTH_ERR", "≠ \"Code: \""),
        ("authenticate ~\"Code: \" | x -> PAM_AUTH_ERR", "≠ ~\"Code: \""),
        ("authenticate on \"Password: \" | x -> PAM_AUTH_ERR", "≠ on \"Password: \""),
        ("authenticate -> PAM_AUTH_ERR", "≠                    \"Password: \""),
        ("authenticate \"Password: \" | %nothing -> PAM_AUTH_ERR", "there is no word %nothing"),
        ("authenticate \"Password: \" | %code -> PAM_AUTH_ERR", "%code: alice has no device"),
        ("authenticate \"Password: \" | x -> PAM_AUTH_ERR log: refused", "1 lines of the log were expected"),
        (
            "stack auth required pam_otp.so\nauthenticate -> PAM_PERM_DENIED log: refused",
            "\"refused\" was expected in the log",
        ),
        (
            "stack auth required pam_otp.so\nauthenticate -> PAM_PERM_DENIED nolog: not-asked",
            "\"not-asked\" should not be in the log",
        ),
        ("otp-enroll admin unlock nobody-there\nauthenticate -> PAM_AUTH_ERR", "otp-enroll was to succeed"),
        ("otp-enroll status -> ~\"nonsense\"\nauthenticate -> PAM_AUTH_ERR", "and say \"nonsense\""),
        ("group staff, carol\nauthenticate -> PAM_AUTH_ERR", "there is no user carol"),
    ] {
        let wrong = complaint(text);
        assert!(wrong.contains(part), "{part:?} is missing in:\n{wrong}");
    }
}
