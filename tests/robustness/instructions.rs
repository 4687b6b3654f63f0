//! How much a login computes: instructions counted by valgrind, which are the same on a busy machine as on a quiet one.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on stops where it is"
)]

use pam_otp_tests::{
    conversation::Talk, desk::Desk, hardware_token::HardwareToken, machine, outcome::Outcome, service::Service,
    site::overwrite, users::FewUsers,
};
use std::{collections::BTreeSet, fs, process::Command};

/// Of one further login in a process, beyond what pam_permit alone takes there: 182,300, and a tenth more than that. The window
/// of the tests has seven times the codes of the one that is shipped.
const MOST: u64 = 200_500;

/// Of a login in a new process, as sshd and sudo have it, with the configuration as it is shipped: beyond what pam_permit alone takes
/// there, the loader's work for the module included: 249,300, and a twentieth more than that.
const MOST_OF_A_NEW_PROCESS: u64 = 261_800;

/// Of a login of a user with eight devices: 405,300, and a twentieth more than that. A user with one device takes 209,400.
const MOST_OF_EIGHT: u64 = 425_500;

/// Pages of the module's code, of 4,096 bytes, that a login in a new process runs something of: 44 of 94. They would be
/// 78 if each function stood where it happens to.
const MOST_PAGES: usize = 47;

/// Pieces of 16 pages that these pages are in, as the kernel maps them: four; one for what tells this user, who has no recovery codes,
/// to make some; and one for a function of the standard library that not every build has in its callers.
const MOST_PIECES: usize = 6;

/// Instructions of so many logins in one process, right answers and all.
fn instructions(service: &Service, user: &str, answers: &[String]) -> u64 {
    counted(service, user, answers, &["--callgrind-out-file=/dev/null"])
}

/// The same, with options of callgrind: where the details go, and which.
fn counted(service: &Service, user: &str, answers: &[String], options: &[&str]) -> u64 {
    with_result("PAM_SUCCESS", service, user, answers, options)
}

/// The same of logins that end like this.
fn with_result(expected: &str, service: &Service, user: &str, answers: &[String], options: &[&str]) -> u64 {
    let logins = answers.len();
    let talk = Talk::new(service, user).option("--repeat", &logins.to_string());
    let host = talk.command();
    let mut valgrind = Command::new("valgrind");
    // The sum goes to standard error.
    valgrind.arg("--tool=callgrind").args(options);
    valgrind.arg(host.get_program()).args(host.get_args());
    // The C library reads /etc/passwd line by line: the users of all other tests would count too.
    let few = FewUsers::new(&[user]);
    let mut conversation = talk.start_as(few.among(&valgrind));
    answers.iter().for_each(|answer| conversation.answer(answer));
    let said = conversation.finish();
    let results: Vec<_> = said.results().collect();
    assert_eq!(results.len(), logins, "{said}");
    assert!(results.iter().all(|(_, result)| *result == expected), "{said}");
    let sum = said.noise.lines().find_map(|line| line.split_once("Collected : ")).unwrap_or_else(|| panic!("{said}")).1;
    sum.trim().parse().unwrap()
}

/// Those of one login after the first.
fn further(service: &Service, user: &str, answers: &[String]) -> u64 {
    let (one, more) = (
        instructions(service, user, answers.get(..1).unwrap()),
        instructions(service, user, answers.get(1..).unwrap()),
    );
    more.saturating_sub(one) / u64::try_from(answers.len() - 2).unwrap()
}

#[test]
fn a_login_computes_no_more_than_it_has_to() {
    let desk = Desk::new("");
    let codes: Vec<String> = (0..4).map(|_| desk.next()).collect();
    let with = further(&desk.service, &desk.user.name, &codes);
    desk.service.set("auth required pam_permit.so");
    let without = further(&desk.service, &desk.user.name, &codes);
    assert!(without < with, "{without} instructions without the module, {with} with it");
    let beyond = with - without;
    assert!(beyond <= MOST, "{beyond} instructions beyond pam_permit; at most {MOST}");
}

#[test]
fn nor_does_a_login_in_a_new_process() {
    let desk = Desk::new("");
    let shipped = fs::read_to_string(machine::source("config/pam_otp.toml")).unwrap();
    let place = format!("\nstate_directory = \"{}\"\n", desk.site.state().display());
    desk.site.write(&shipped.replace("\n#state_directory = \"/var/lib/pam_otp\"\n", &place));
    let code = [desk.phone.code(0)];
    let with = instructions(&desk.service, &desk.user.name, &code);
    desk.service.set("auth required pam_permit.so");
    let without = instructions(&desk.service, &desk.user.name, &code);
    let beyond = with.checked_sub(without).unwrap();
    assert!(
        beyond <= MOST_OF_A_NEW_PROCESS,
        "{beyond} instructions beyond pam_permit; at most {MOST_OF_A_NEW_PROCESS}"
    );
}

#[test]
fn what_a_login_runs_stands_side_by_side() {
    let (desk, details) = (Desk::new(""), tempfile::NamedTempFile::new().unwrap());
    let file = format!("--callgrind-out-file={}", details.path().display());
    let options = ["--dump-instr=yes", "--compress-strings=no", "--compress-pos=no", &file];
    counted(&desk.service, &desk.user.name, &[desk.phone.code(0)], &options);
    let pages = pages_of_module(&fs::read_to_string(details.path()).unwrap());
    let pieces: BTreeSet<_> = pages.iter().map(|page| page / 16).collect();
    assert!(
        pages.len() > 20 && pages.len() <= MOST_PAGES && pieces.len() <= MOST_PIECES,
        "a login runs code of {} pages in {} pieces, at most {MOST_PAGES} in {MOST_PIECES}. What it runs has changed since \
         `make login-code` has made the list of it: {pages:?}",
        pages.len(),
        pieces.len()
    );
}

/// A person who can stop or end the process would learn by its time which it was, before a wrong code is counted.
#[test]
fn a_right_code_and_a_wrong_one_are_the_same_work_until_it_is_written_which_it_was() {
    let desk = Desk::new("");
    let (user, state) = (desk.user.name.as_str(), desk.site.state_file(&desk.user.name));
    let login = |expected: &str, code: String| {
        with_result(expected, &desk.service, user, &[code], &["--callgrind-out-file=/dev/null"])
    };
    // Before the first login no code was used, and after some all of theirs are looked at.
    let [fresh, used] = [0, 8].map(|number| {
        for earlier in 1..number {
            login("PAM_SUCCESS", desk.phone.code(earlier));
        }
        let before = fs::read(&state).unwrap();
        let wrong = login("PAM_AUTH_ERR", desk.phone.wrong());
        overwrite(&state, &before);
        [wrong, login("PAM_SUCCESS", desk.phone.code(number))]
    });
    let [wrong, right] = [0, 1].map(|which: usize| used.get(which).unwrap() - fresh.get(which).unwrap());
    let told = format!("what was used takes {right} instructions of a right code, {wrong} of a wrong one");
    assert!(right > 20_000 && right.abs_diff(wrong) < right / 10, "{told}");
}

/// The pages of the module that callgrind saw instructions of, by their numbers.
fn pages_of_module(details: &str) -> BTreeSet<u64> {
    let (mut is_module, mut pages) = (false, BTreeSet::new());
    for line in details.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            is_module = object.ends_with("/pam_otp.so");
        } else if let Some(address) = line.strip_prefix("0x").filter(|_| is_module) {
            pages.insert(u64::from_str_radix(address.split(' ').next().unwrap(), 16).unwrap() / 4096);
        }
    }
    pages
}

/// Those of a login after the first at a desk with the window as it is shipped. The state is put back: this window has too few
/// codes.
fn of_a_user(desk: &Desk) -> u64 {
    let (user, state) = (desk.user.name.as_str(), desk.site.state_file(&desk.user.name));
    let before = fs::read(&state).unwrap();
    let codes = [desk.phone.code(0), desk.phone.code(1)];
    let [two, one] = [2, 1].map(|logins| {
        overwrite(&state, &before);
        instructions(&desk.service, user, codes.get(..logins).unwrap())
    });
    overwrite(&state, &before);
    two - one
}

/// What sealed seeds take beyond plain ones, in percent of a login: 10,200 of 214,500 with one device, which is 4.7 percent, and 6,300
/// of 410,500 with eight, which is 1.5. Blocks of ChaCha20 are half of it, and Poly1305 a fifth.
const MOST_OF_A_SEAL: u64 = 5;

#[test]
fn a_sealed_login_computes_at_most_a_twentieth_more() {
    sealed_costs_at_most(|_| {});
}

#[test]
fn eight_sealed_devices_compute_at_most_a_twentieth_more_too() {
    sealed_costs_at_most(add_tokens);
}

fn sealed_costs_at_most(prepare: fn(&Desk)) {
    let desk = Desk::new("");
    // The place of the keys is a line that few configurations have: here both logins read it.
    let (keys, state) = (desk.site.seal_keys(), desk.site.state());
    desk.site.write(&format!("seal_keys = \"{}\"\nstate_directory = \"{}\"\n", keys.display(), state.display()));
    prepare(&desk);
    let plain = of_a_user(&desk);
    desk.site.seal(&desk.user.name);
    let sealed = of_a_user(&desk);
    let told = format!("{sealed} instructions of a login with sealed seeds, {plain} with plain ones");
    assert!(plain < sealed, "nothing is opened: {told}");
    assert!((sealed - plain) * 100 <= plain * MOST_OF_A_SEAL, "{told}");
}

fn add_tokens(desk: &Desk) {
    for number in 2..=8 {
        let token = HardwareToken::totp(number);
        let mut command = desk.site.admin_command();
        command.args(["add", &desk.user.name, &format!("token {number}"), "--stdin"]).args(token.options());
        let added = Outcome::of(&mut command, &format!("{}\n", token.hex));
        assert_eq!(added.code, Some(0), "{added:?}");
    }
}

#[test]
fn eight_devices_are_at_most_four_times_the_work_of_one() {
    let desk = Desk::new("");
    desk.site.write(&format!("state_directory = \"{}\"\n", desk.site.state().display()));
    let one = of_a_user(&desk);
    add_tokens(&desk);
    let eight = of_a_user(&desk);
    let told = format!("{eight} instructions of a login with eight devices, {one} with one");
    assert!(one < eight && eight <= MOST_OF_EIGHT.min(4 * one), "{told}; at most {MOST_OF_EIGHT}");
}
