//! Credentials that change between the two reads of a login.

use super::*;
use crate::record::credentials::Needed;
use crate::record::state::Progress;
use crate::store::files::on_demand::Files;

impl Home {
    /// Files whose credentials were read before the question.
    fn see(&self) -> Files<'_> {
        let files = Files::new(|| FileStore::open(self.directory.path()));
        assert_eq!(files.outline(&alice()).unwrap().unwrap().devices, 1);
        files
    }
}

/// A login that began with that look.
fn login_after(files: &Files<'_>, attempt: &Attempt) -> Result<Verdict, StoreError> {
    update(files, &alice(), &NOTE, |record| decide(&LIMITS, record, attempt, NOW))
}

#[test]
fn unchanged_credentials_decide() {
    let home = Home::enrolled();
    let seen = home.see();
    assert_eq!(login_after(&seen, &wrong()).unwrap(), wrong_for_the(1));
    assert_eq!(login_after(&seen, &right()).unwrap(), after(1, by_phone()));
    assert_eq!(login_after(&seen, &right()).unwrap(), REPLAYED);
}

#[test]
fn credentials_that_were_replaced_meanwhile_decide_nothing() {
    let home = Home::enrolled();
    let seen = home.see();
    let Loaded { record: old, hold } = home.load();
    let mut new = re_enrolled(&old, 2);
    new.credentials.devices = vec![phone(2)];
    (new.credentials.default, new.credentials.last_id) = (Some(DeviceId(2)), DeviceId(2));
    new.state.devices = [(DeviceId(2), Progress::from(0))].into_iter().collect();
    assert_eq!(home.store.replace(&alice(), Some(hold), &new, &NOTE).unwrap(), Swap::Done);
    assert_eq!(login_after(&seen, &right()).unwrap(), wrong_for_the(1));
    assert!(matches!(login_after(&seen, &shown(&phone(2), STEP)).unwrap(), Verdict::Accepted(_)));
}

#[test]
fn credentials_that_were_removed_meanwhile_decide_nothing() {
    let home = Home::enrolled();
    let seen = home.see();
    assert_eq!(home.store.remove(&alice(), home.load().hold, &NOTE).unwrap(), Swap::Done);
    assert_eq!(login_after(&seen, &right()).unwrap(), Verdict::Refused(Refusal::NotEnrolled));
    // The next enrollment does not bring them back: it has another state.
    let mut new = re_enrolled(&record(vec![phone(2)]), 2);
    new.state.devices = [(DeviceId(2), Progress::from(0))].into_iter().collect();
    assert_eq!(home.store.replace(&alice(), None, &new, &NOTE).unwrap(), Swap::Done);
    assert_eq!(login_after(&seen, &right()).unwrap(), wrong_for_the(1));
}

#[test]
fn credentials_that_a_killed_change_did_not_replace_decide() {
    let home = Home::enrolled();
    let seen = home.see();
    let Loaded { record, hold } = home.load();
    home.store.write_slot(&hold, &re_enrolled(&record, 2).state).unwrap();
    drop(hold);
    assert_eq!(login_after(&seen, &right()).unwrap(), by_phone());
    assert_eq!(login_after(&seen, &right()).unwrap(), REPLAYED);
}

#[test]
fn credentials_that_were_damaged_meanwhile_are_an_error() {
    let home = Home::enrolled();
    for contents in
        [String::new(), "version = 1\n".into(), "#".repeat(fs::read(home.path("alice.toml")).unwrap().len())]
    {
        let seen = home.see();
        let good = fs::read(home.path("alice.toml")).unwrap();
        overwrite(home.path("alice.toml"), &contents);
        assert!(matches!(login_after(&seen, &right()), Err(StoreError::Record { .. })), "{contents:?}");
        overwrite(home.path("alice.toml"), good);
    }
    assert_eq!(login_after(&home.see(), &right()).unwrap(), by_phone());
}

#[test]
fn credentials_that_other_users_may_read_or_own_by_now_are_not_trusted() {
    let home = Home::enrolled();
    let credentials = home.path("alice.toml");
    type Change<'a> = &'a dyn Fn(u32, u32);
    let chmod: Change<'_> = &|mode, _| fs::set_permissions(&credentials, Permissions::from_mode(mode)).unwrap();
    let give: Change<'_> = &|_, uid| chown(&credentials, Some(uid), None).unwrap();
    for change in [chmod, give] {
        let seen = home.see();
        change(0o644, 1001);
        let refused = login_after(&seen, &right());
        assert!(matches!(refused, Err(StoreError::Untrusted { .. } | StoreError::OfOther { owner: 1001, .. })));
        change(0o600, 1000);
    }
    assert_eq!(login_after(&home.see(), &right()).unwrap(), by_phone());
}

#[test]
fn a_refusal_after_a_first_read_is_rehearsed_too() {
    let home = Home::enrolled();
    let seen = home.see();
    assert_eq!(login_after(&seen, &right()).unwrap(), by_phone());
    assert!(!home.path(REHEARSAL).exists());
    assert_eq!(login_after(&seen, &right()).unwrap(), REPLAYED);
    assert!(home.path(REHEARSAL).exists());
}

#[test]
fn a_look_at_one_user_says_nothing_of_another() {
    let home = Home::enrolled();
    let bob = named("bob", 1001);
    home.enroll(&bob);
    let seen = home.see();
    let Loaded { record, hold } = seen.load_for(&bob, Needed::All).unwrap().unwrap();
    assert_eq!(record.credentials.user, bob.name);
    drop(hold);
    assert!(seen.purge(&bob, &NOTE).unwrap() && !seen.purge(&bob, &NOTE).unwrap());
    assert!(seen.load_for(&bob, Needed::All).unwrap().is_none());
    assert_eq!(login_after(&seen, &right()).unwrap(), by_phone());
}

#[test]
fn files_that_cannot_be_opened_are_not_ready() {
    let files = Files::new(|| FileStore::open(Path::new("/nowhere")));
    assert!(files.ready().is_err());
    Home::enrolled().see().ready().unwrap();
}
