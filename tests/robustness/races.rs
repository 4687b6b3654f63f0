//! Many logins at once: what is good once is accepted once, and what is counted is counted whole.
//!
//! The processes wait at their prompt until all are there, and are let go together.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    app::Enrolled,
    conversation::{Conversation, Talk},
    machine,
    outcome::Dialogue,
    phone::Phone,
    service::Service,
    site::{HELPER, Site},
    users::TestUser,
};
use std::{collections::BTreeMap, fs, path::PathBuf, thread};

/// Processes that log in at once.
const CROWD: usize = 64;

/// Logins at their prompt, each with its answer in hand, and the gate that they wait for.
struct Crowd {
    gate: PathBuf,
    waiting: Vec<Conversation>,
}

impl Crowd {
    /// A login for each pair of user and answer.
    fn gather<'a>(service: &Service, logins: impl IntoIterator<Item = (&'a str, &'a str)>) -> Crowd {
        let gate = service.path().with_file_name(machine::unique("gate"));
        let start = |(user, answer)| {
            let talk = Talk::new(service, user).option("--wait-file", &gate.display().to_string());
            let mut conversation = talk.start();
            conversation.answer(answer);
            conversation
        };
        let mut waiting: Vec<_> = logins.into_iter().map(start).collect();
        for conversation in &mut waiting {
            conversation.prompt();
        }
        Crowd { gate, waiting }
    }

    /// Opens the gate: how many ended with which result.
    fn go(self) -> BTreeMap<String, usize> {
        fs::write(&self.gate, "").unwrap();
        let mut results = BTreeMap::new();
        for conversation in self.waiting {
            let count: &mut usize = results.entry(conversation.finish().result("authenticate").to_owned()).or_default();
            *count = count.saturating_add(1);
        }
        fs::remove_file(&self.gate).unwrap();
        results
    }
}

fn counts(accepted: usize, refused: usize) -> BTreeMap<String, usize> {
    let all = [("PAM_SUCCESS", accepted), ("PAM_AUTH_ERR", refused)];
    all.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}

fn site() -> (Site, Service) {
    let site = Site::new("[lockout]\nafter = 100\n");
    let service = Service::private(&site.auth("required", ""));
    (site, service)
}

#[test]
fn of_sixty_four_with_one_code_exactly_one_gets_in_each_time() {
    let ((site, service), user) = (site(), TestUser::new("alice"));
    let mut phone = Phone::enroll(&site, &user.name);
    for round in 0..50 {
        if round % 16 == 15 {
            // There are seventeen codes to a phone.
            site.admin(&["disable", "--yes", &user.name]);
            phone = Phone::enroll(&site, &user.name);
        }
        let code = phone.next_code();
        let results = Crowd::gather(&service, [(user.name.as_str(), code.as_str()); CROWD]).go();
        assert_eq!(results, counts(1, CROWD - 1), "round {round}");
    }
}

/// In two lines: `defer` sees a right code in each of them, and `deferred` decides.
#[test]
fn in_two_lines_one_code_lets_in_one_and_each_wrong_code_counts() {
    let ((site, service), user) = (site(), TestUser::new("alice"));
    let (defer, deferred) = (site.auth("required", "forward_pass defer"), site.auth("required", "deferred"));
    service.set(&format!("{defer}auth requisite pam_unix.so try_first_pass\n{deferred}"));
    let phone = Phone::enroll(&site, &user.name);
    let with = |code: &str| user.password.clone() + code;
    for _ in 0..5 {
        let answer = with(&phone.next_code());
        let results = Crowd::gather(&service, [(user.name.as_str(), answer.as_str()); CROWD]).go();
        assert_eq!(results, counts(1, CROWD - 1));
    }
    let answer = with(&phone.recovery_code());
    assert_eq!(Crowd::gather(&service, [(user.name.as_str(), answer.as_str()); CROWD]).go(), counts(1, CROWD - 1));
    let answer = with(&phone.wrong());
    assert_eq!(Crowd::gather(&service, [(user.name.as_str(), answer.as_str()); 40]).go(), counts(0, 40));
    let status = || site.admin(&["show", "--json", &user.name]);
    assert!(status().contains("\"failures\":40,\"lock\":\"open\""), "{}", status());
    let answer = "not the password".to_owned() + &phone.wrong();
    assert_eq!(Crowd::gather(&service, [(user.name.as_str(), answer.as_str()); 40]).go(), counts(0, 40));
    assert!(status().contains("\"failures\":40,"), "{}", status());
}

#[test]
fn of_sixty_four_with_one_recovery_code_exactly_one_gets_in_each_time() {
    let ((site, service), user) = (site(), TestUser::new("alice"));
    let phone = Phone::enroll(&site, &user.name);
    for left in (0..10).rev() {
        let code = phone.recovery_code();
        let results = Crowd::gather(&service, [(user.name.as_str(), code.as_str()); CROWD]).go();
        assert_eq!(results, counts(1, CROWD - 1));
        let status = site.admin(&["show", "--json", &user.name]);
        assert!(status.contains(&format!("\"recovery_codes_left\":{left},")), "{status}");
    }
}

#[test]
fn of_sixty_four_with_one_passcode_exactly_one_gets_in_each_time() {
    let site = Site::new("[policy]\nsecond_factor = \"required\"\n");
    let service = Service::private(&site.auth("required", ""));
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    Phone::enroll(&site, &alice.name);
    // With a device, and without one.
    for user in [&alice, &bob, &alice, &bob, &bob] {
        let said = site.admin(&["issue", &user.name]);
        let passcode = said.split_once(" is ").unwrap().0;
        let results = Crowd::gather(&service, [(user.name.as_str(), passcode); CROWD]).go();
        assert_eq!(results, counts(1, CROWD - 1), "{}", user.name);
        assert!(site.admin(&["show", &user.name]).contains("Passcode         used"));
    }
}

#[test]
fn forty_wrong_codes_at_once_are_counted_as_forty() {
    let ((site, service), user) = (site(), TestUser::new("alice"));
    let phone = Phone::enroll(&site, &user.name);
    let wrong = phone.wrong();
    for failures in [40, 80] {
        let results = Crowd::gather(&service, [(user.name.as_str(), wrong.as_str()); 40]).go();
        assert_eq!(results, counts(0, 40));
        let status = site.admin(&["show", "--json", &user.name]);
        assert!(status.contains(&format!("\"failures\":{failures},\"lock\":\"open\"")), "{status}");
    }
    // Forty more: twenty of them find it locked, and are not counted.
    Crowd::gather(&service, [(user.name.as_str(), wrong.as_str()); 40]).go();
    let status = site.admin(&["show", "--json", &user.name]);
    assert!(status.contains("\"failures\":100,") && !status.contains("\"lock\":\"open\""), "{status}");
    assert_eq!(Crowd::gather(&service, [(user.name.as_str(), phone.next_code().as_str())]).go(), counts(0, 1));
}

#[test]
fn a_right_code_is_not_lost_among_wrong_ones() {
    let ((site, service), user) = (site(), TestUser::new("alice"));
    let phone = Phone::enroll(&site, &user.name);
    let (wrong, right) = (phone.wrong(), phone.next_code());
    let mut answers = vec![(user.name.as_str(), wrong.as_str()); 30];
    answers.insert(15, (&user.name, &right));
    assert_eq!(Crowd::gather(&service, answers).go(), counts(1, 30));
}

#[test]
fn different_codes_at_once_never_let_in_an_older_one_after_a_newer_one() {
    let ((site, service), user) = (site(), TestUser::new("alice"));
    let phone = Phone::enroll(&site, &user.name);
    let codes: Vec<String> = (0..8).map(|_| phone.next_code()).collect();
    let logins = codes.iter().cycle().take(CROWD).map(|code| (user.name.as_str(), code.as_str()));
    let results = Crowd::gather(&service, logins).go();
    let accepted = results.get("PAM_SUCCESS").copied().unwrap_or(0);
    assert!((1..=8).contains(&accepted), "{results:?}");
    for code in &codes {
        assert_eq!(Crowd::gather(&service, [(user.name.as_str(), code.as_str())]).go(), counts(0, 1));
    }
}

#[test]
fn sixty_four_users_at_once_do_not_stand_in_each_others_way() {
    let (site, service) = site();
    let names = TestUser::many("crowd", CROWD);
    // oathtool and otp-enroll for each of them: on both cores.
    let enroll = |names: &[String]| names.iter().map(|name| Phone::enroll(&site, name)).collect::<Vec<_>>();
    let (some, others) = names.split_at(CROWD / 2);
    let phones: Vec<Phone> = thread::scope(|scope| {
        let first = scope.spawn(|| enroll(some));
        let mut second = enroll(others);
        second.extend(first.join().unwrap());
        second
    });
    for _ in 0..3 {
        let codes: Vec<String> = phones.iter().map(Phone::next_code).collect();
        let logins = phones.iter().zip(&codes).map(|(phone, code)| (phone.user.as_str(), code.as_str()));
        assert_eq!(Crowd::gather(&service, logins).go(), counts(CROWD, 0));
    }
}

#[test]
fn of_a_hundred_helpers_with_one_code_exactly_one_says_that_it_is_right() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let (of_alice, of_bob) = (Enrolled::new(&alice), Enrolled::new(&bob));
    let start = |user: &TestUser| Dialogue::start(&mut user.command(HELPER));
    let ask = |helper: &mut Dialogue, code: &str| helper.say(&format!("{{\"test\":{{\"proof\":\"{code}\"}}}}"));
    let verdict = |helper: &mut Dialogue| helper.json()["verdict"].as_str().map(str::to_owned);
    let accepted = |helper: &mut Dialogue| verdict(helper).is_some_and(|words| words.starts_with("accepted "));
    let mut helpers: Vec<Dialogue> = (0..100).map(|_| start(&alice)).collect();
    let (code, mut other) = (of_alice.app.code(0), start(&bob));
    helpers.iter_mut().for_each(|helper| ask(helper, &code));
    ask(&mut other, &of_bob.app.code(0));
    // Bob's helper waits for no helper of Alice's.
    assert_eq!(verdict(&mut other).as_deref(), Some("accepted totp device 1 left 10"));
    assert_eq!(helpers.iter_mut().filter_map(|helper| accepted(helper).then_some(())).count(), 1);
    // Each was answered, and none of those who were refused was counted as a guess.
    ask(&mut other, &of_bob.recovery[0]);
    assert!(accepted(&mut other));
    let mut last = start(&alice);
    last.say("{\"status\":{}}");
    assert_eq!(last.json()["status"]["failures"], 0);
}
