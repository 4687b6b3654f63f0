//! Memory: what is secret does not stay in that of a helper or of a login's host. No other process of the user reads a helper's, and
//! it leaves no core file.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    app::App,
    conversation::Talk,
    desk::Desk,
    outcome::Dialogue,
    site::{HELPER, SEAL_KEY},
    users::TestUser,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

fn ask(helper: &mut Dialogue, request: &Value) -> Value {
    helper.say(&request.to_string());
    helper.json()
}

/// All that a process may write to: heap, stack and data.
fn memory(pid: u32) -> Vec<u8> {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
        let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        let mut part = vec![0; usize::try_from(to.checked_sub(from).unwrap()).unwrap()];
        memory.read_exact_at(&mut part, from).unwrap();
        all.extend(part);
    }
    all
}

fn times(what: &[u8], memory: &[u8]) -> usize {
    memory.windows(what.len()).filter(|window| *window == what).count()
}

/// A seed or a recovery code, in letters of Base32, as bytes.
fn raw(letters: &str) -> Vec<u8> {
    let value = |letter: char| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(letter).unwrap();
    let values = letters.chars().filter(|letter| *letter != '-').map(value);
    let bits: Vec<usize> = values.flat_map(|value| (0..5).rev().map(move |bit| value >> bit & 1)).collect();
    let byte = |bits: &[usize; 8]| u8::try_from(bits.iter().fold(0, |byte, bit| byte << 1 | bit)).unwrap();
    bits.as_chunks().0.iter().map(byte).collect()
}

#[test]
fn what_was_typed_and_what_was_shown_does_not_stay_in_the_helper() {
    let user = TestUser::new("al");
    let mut helper = Dialogue::start(&mut user.command(HELPER));
    let offer = ask(&mut helper, &json!({"enroll": {"proof": null}}));
    let app = App::of(offer["offer"]["secret"].as_str().unwrap());
    let code = app.previous_code();
    let shown = ask(&mut helper, &json!({"confirm": {"code": code}}));
    let recovery: Vec<String> = serde_json::from_value(shown["recovery-codes"].clone()).unwrap();
    assert_eq!(recovery.len(), 10);
    let held = memory(helper.pid());
    let kept: Vec<_> = recovery.iter().map(|code| times(&raw(code), &held)).collect();
    assert_eq!(kept, [1; 10], "each until it is in force, and no copy");
    assert_eq!(ask(&mut helper, &json!({"activate": {}})), json!({"changed": true}));
    let held = memory(helper.pid());
    assert!(held.len() > 100_000);
    for code in &recovery {
        assert_eq!((times(&raw(code), &held), times(code.as_bytes(), &held)), (0, 0), "a recovery code is left");
    }
    assert_eq!(times(app.secret.as_bytes(), &held), 0, "the key is left");
    assert_eq!(times(format!("\"{code}\"").as_bytes(), &held), 0, "what was typed is left");
}

#[test]
fn what_a_login_opens_does_not_stay_in_its_host() {
    let desk = Desk::new("");
    let (seed, key) = (raw(&desk.phone.app.secret), SEAL_KEY.last_chunk::<32>().unwrap());
    for is_sealed in [false, true] {
        if is_sealed {
            desk.site.seal(&desk.user.name);
        }
        let code = desk.next();
        let mut host = Talk::new(&desk.service, &desk.user.name).calls("authenticate,authenticate").start();
        host.prompt();
        host.answer(&code);
        host.prompt(); // of the second login: the module has nothing of the first one any more
        let held = memory(host.pid());
        assert!(held.len() > 100_000);
        assert_eq!(times(&seed, &held), 0, "the seed is left; sealed: {is_sealed}");
        assert_eq!(times(desk.phone.app.secret.as_bytes(), &held), 0, "its letters are left; sealed: {is_sealed}");
        assert_eq!(times(key, &held), 0, "the key of seeds is left; sealed: {is_sealed}");
        host.hang_up();
        host.finish();
    }
}

#[test]
fn the_helper_leaves_no_core_file_and_shows_its_memory_to_no_one_but_root() {
    let user = TestUser::new("al");
    let mut helper = Dialogue::start(&mut user.command(HELPER));
    ask(&mut helper, &json!({"status": {}}));
    let limits = fs::read_to_string(format!("/proc/{}/limits", helper.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // What a process that may be dumped has belongs to its user.
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(format!("/proc/{}/mem", helper.pid())).unwrap().uid(), 0);
}
