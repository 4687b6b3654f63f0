//! The time from an answer to its refusal tells nothing: not who has a device, who is locked or who exists, and not how
//! much of a wrong code is right. How that is measured is told in `pam_otp_tests::rounds`.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on stops where it is; the figures are for whoever asked for them"
)]

use pam_otp_tests::{
    conversation::Talk,
    long_lived::LongLived,
    machine,
    phone::Phone,
    rounds::{Difference, Rounds},
    service::Service,
    site::Site,
    token::Token,
    users::TestUser,
};
use std::process::Command;

const CONFIG: &str = "[lockout]\nafter = 100\nfor = \"until-unlocked\"\n[policy]\nsecond_factor = \"required\"\n";

/// Rounds after which wrong codes are forgiven, before there are a hundred of them.
const FORGIVEN: usize = 15;

/// A site whose records are in memory, where a flush costs nothing and hides nothing.
fn in_memory() -> Site {
    let site = Site::new(CONFIG);
    let mut mount = Command::new("sh");
    mount.args(["-c", "mount -t tmpfs -o mode=1730,gid=$(getent group pam_otp | cut -d: -f3) none \"$1\"", "sh"]);
    machine::run(mount.arg(site.state()));
    pam_otp_tests::site::identify(site.config(), site.state());
    site
}

/// A site whose records are sealed, each as it is written.
fn sealed(site: Site) -> Site {
    site.give_seal_keys();
    site
}

/// Wrong codes of users with a device, without one, unknown, and locked.
fn whoever_it_is(site: &Site, rounds: usize) -> Rounds {
    let service = Service::private(&site.auth("required", ""));
    let [enrolled, without, locked] = ["alice", "bob", "carol"].map(|name| TestUser::new(name).name);
    let [alice, carol] = [&enrolled, &locked].map(|name| Phone::enroll(site, name));
    let mut host = LongLived::start(Talk::new(&service, ""));
    let wrong = carol.wrong();
    (0..100).for_each(|_| assert_eq!(host.login(&locked, &wrong).result, "PAM_AUTH_ERR"));

    let wrong = alice.wrong();
    let mut measured = Rounds::of(["enrolled", "not enrolled", "unknown", "locked"]);
    let users = [&enrolled, &without, "nobody-of-that-name", &locked];
    for round in 0..rounds {
        if round % FORGIVEN == 0 {
            site.admin(&["unlock", &enrolled]);
        }
        measured.round(|kind| {
            let served = host.login(users[kind], &wrong);
            assert_eq!(served.result, if kind == 2 { "PAM_USER_UNKNOWN" } else { "PAM_AUTH_ERR" });
            served.time
        });
    }
    println!("{measured}");
    measured
}

/// Wrong passcodes of a user who has one, who has a device and none, who has neither, and of an unknown one.
fn passcodes(site: &Site, rounds: usize) -> Rounds {
    let service = Service::private(&site.auth("required", ""));
    let [issued, enrolled, without] = ["alice", "bob", "carol"].map(|name| TestUser::new(name).name);
    site.admin(&["issue", &issued]);
    Phone::enroll(site, &enrolled);
    let mut host = LongLived::start(Talk::new(&service, ""));
    let mut measured = Rounds::of(["issued", "enrolled", "not enrolled", "unknown"]);
    let users = [&issued, &enrolled, &without, "nobody-of-that-name"];
    for _ in 0..rounds {
        measured.round(|kind| {
            let served = host.login(users[kind], "K7QD-M3XA-92TE");
            assert_eq!(served.result, if kind == 3 { "PAM_USER_UNKNOWN" } else { "PAM_AUTH_ERR" });
            served.time
        });
    }
    println!("{measured}");
    measured
}

/// Wrong codes that begin like the right one, more and more.
fn however_much_is_right(site: &Site, rounds: usize) -> Rounds {
    let service = Service::private(&site.auth("required", ""));
    let user = TestUser::new("alice").name;
    let mut token = Token::in_place_of(&Phone::enroll(site, &user), site);
    let mut host = LongLived::start(Talk::new(&service, ""));
    let mut measured = Rounds::of((0..6).map(|digits| format!("{digits} digits right")));
    for round in 0..rounds {
        if round % FORGIVEN == 0 {
            assert_eq!(host.login(&user, token.next_code()).result, "PAM_SUCCESS");
        }
        let wrong: Vec<String> = (0..6).map(|digits| token.wrong(digits)).collect();
        measured.round(|kind| {
            let served = host.login(&user, &wrong[kind]);
            assert_eq!(served.result, "PAM_AUTH_ERR");
            served.time
        });
    }
    println!("{measured}");
    measured
}

/// Nothing may differ, so that chance alone leads away from a half.
fn alike(measured: &Rounds, bound: f64) {
    for found in measured.differences() {
        assert!((found.longer - 0.5).abs() < bound, "{found:?}\n{measured}");
    }
}

/// A record is read for some and not for others, which costs microseconds beside a flush. A difference counts where it is
/// both seen and of some size; a refusal without its flush is far beyond either.
fn apart(measured: &Rounds, bound: f64, size: f64) -> Vec<Difference> {
    let counts = |found: &Difference| (found.longer - 0.5).abs() >= bound && found.size.abs() >= size;
    measured.differences().into_iter().filter(counts).collect()
}

fn nearly_alike(measured: &Rounds, bound: f64, size: f64) {
    let found = apart(measured, bound, size);
    assert!(found.is_empty(), "{found:?}\n{measured}");
}

#[test]
fn the_time_to_a_refusal_does_not_tell_who_it_is() {
    nearly_alike_once(whoever_it_is, Site::new);
}

#[test]
fn nor_does_it_where_seeds_are_sealed() {
    nearly_alike_once(whoever_it_is, |config| sealed(Site::new(config)));
}

#[test]
fn the_time_to_a_refusal_does_not_tell_who_has_a_passcode() {
    nearly_alike_once(passcodes, Site::new);
}

/// Other tests run at the same time and disturb single measurements; a difference that is there is there each time.
fn nearly_alike_once(measure: fn(&Site, usize) -> Rounds, site: fn(&str) -> Site) {
    let mut found = Vec::new();
    for _ in 0..3 {
        found = apart(&measure(&site(CONFIG), 250), 0.2, 0.1);
        if found.is_empty() {
            break;
        }
    }
    assert!(found.is_empty(), "three times apart: {found:?}");
}

#[test]
fn the_time_to_a_refusal_does_not_tell_how_much_of_a_code_is_right() {
    alike(&however_much_is_right(&in_memory(), 900), 0.1);
}

#[test]
#[ignore = "takes minutes: make timing"]
fn the_time_to_a_refusal_tells_nothing_in_thousands_of_rounds() {
    println!("\nwho it is, records on a disk");
    let on_disk = whoever_it_is(&Site::new(CONFIG), 4000);
    println!("\nwho it is, records in memory");
    let in_ram = whoever_it_is(&in_memory(), 4000);
    println!("\nwho it is, sealed records on a disk");
    let sealed_on_disk = whoever_it_is(&sealed(Site::new(CONFIG)), 4000);
    println!("\nwho it is, sealed records in memory");
    let sealed_in_ram = whoever_it_is(&sealed(in_memory()), 4000);
    println!("\nhow much of the code is right, records on a disk");
    let prefixes = however_much_is_right(&Site::new(CONFIG), 4000);
    println!("\nhow much of the code is right, records in memory");
    let prefixes_in_ram = however_much_is_right(&in_memory(), 4000);
    nearly_alike(&on_disk, 0.1, 0.1);
    nearly_alike(&in_ram, 0.1, 0.1);
    nearly_alike(&sealed_on_disk, 0.1, 0.1);
    nearly_alike(&sealed_in_ram, 0.1, 0.1);
    alike(&prefixes, 0.04);
    alike(&prefixes_in_ram, 0.04);
}
