//! Renamed accounts: the record of an account is found under its former name, and moved to the new one.

use crate::audit::Event;
use crate::error::CoreError;
use crate::protocol::administration::Renamed;
use crate::record::Record;
use crate::record::credentials::Credentials;
use crate::service::caller::Caller;
use crate::store::error::StoreError;
use crate::store::{Loaded, Store, Swap};
use crate::system::accounts;
use crate::value::user::{Account, UserName};

/// The name under which an account without a record, or with a blank one, had one, if that asks for a second factor. `None` if the former name
/// still is an account with this number: two names with one number are two users.
///
/// The name service must say so: where it does not answer, there is no answer.
pub fn former_name(store: &impl Store, account: &Account) -> Result<Option<UserName>, CoreError> {
    for other in store.others_of(account)? {
        if !is_present(&other)? && store.outline(&other)?.is_some_and(|outline| outline.binds()) {
            return Ok(Some(other.name));
        }
    }
    Ok(None)
}

/// Whether a new record of this account, which has this one or none, would hide that of its former name.
pub(crate) fn would_hide_former(
    store: &impl Store,
    account: &Account,
    record: Option<&Record>,
) -> Result<bool, CoreError> {
    Ok(record.is_none_or(Record::is_blank) && former_name(store, account)?.is_some())
}

/// Whether there is an account with this name, spelled like this, and this number.
pub fn is_present(account: &Account) -> Result<bool, CoreError> {
    let found = accounts::account(account.name.as_str())?;
    Ok(found.is_some_and(|found| found.uid == account.uid && found.name == account.name))
}

/// Moves a record to the new name of its account: devices, recovery codes, override and state.
///
/// The new record is in force before the old one goes, and both are the same enrollment. Killed in between, the next run
/// finds that and removes the old one. No login can use the old one meanwhile: its account is gone.
pub fn rename(store: &impl Store, old: &UserName, new: &Account, caller: Caller<'_>) -> Result<Renamed, CoreError> {
    let note = &caller.note("renamed");
    let former = Account { name: old.clone(), ..new.clone() };
    let Some(Loaded { record: Record { credentials, state }, hold }) = store.load(&former)? else {
        return Ok(Renamed::NoRecord);
    };
    match store.load(new)? {
        Some(Loaded { record, hold: _ }) if record.credentials.enrollment == credentials.enrollment => {}
        Some(Loaded { record, hold: _ }) if !record.is_blank() => return Ok(Renamed::HasRecord),
        blank => {
            let credentials = Credentials { user: new.name.clone(), uid: new.uid, ..credentials };
            let held = blank.map(|loaded| loaded.hold);
            if store.replace(new, held, &Record { credentials, state }, note)? == Swap::Lost {
                return Ok(Renamed::HasRecord);
            }
        }
    }
    if store.remove(&former, hold, note)? == Swap::Lost {
        return Err(StoreError::Busy.into()); // a process that waited too long for the lock took it
    }
    (caller.log)(&Event::Renamed { user: new.name.as_str(), from: old.as_str(), by: caller.uid });
    Ok(Renamed::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::change::Change;
    use crate::record::credentials::Override;
    use crate::store::files::open::FileStore;
    use crate::testing::fixtures::{NOTE, named, phone, record, site};

    /// No account has this name where tests run, and root has its own.
    const GONE: &str = "no-account-of-that-name";

    fn enrolled(store: &FileStore, account: &Account) {
        let mut record = record(vec![phone(1)]);
        (record.credentials.user, record.credentials.uid) = (account.name.clone(), account.uid);
        assert_eq!(store.replace(account, None, &record, &NOTE).unwrap(), Swap::Done);
    }

    fn former(store: &FileStore, account: &Account) -> Option<String> {
        former_name(store, account).unwrap().map(|name| name.to_string())
    }

    fn moved(store: &FileStore, old: &str, new: &Account) -> Renamed {
        let caller = Caller::here(0, true, &|_| {});
        rename(store, &UserName::parse(old).unwrap(), new, caller).unwrap()
    }

    #[test]
    fn a_former_name_is_one_that_no_account_with_the_number_has() {
        let (site, _directory) = site("");
        let store = site.store().unwrap();
        enrolled(&store, &named(GONE, 61_001));
        enrolled(&store, &named("root", 0));
        assert_eq!(former(&store, &named("new", 61_001)).as_deref(), Some(GONE));
        assert_eq!(former(&store, &named("toor", 0)), None, "two names with one number are two users");
        assert_eq!(former(&store, &named("new", 61_002)), None);
        // The name of root with another number is not root.
        enrolled(&store, &named("bin", 61_003));
        assert_eq!(former(&store, &named("new", 61_003)).as_deref(), Some("bin"));
    }

    #[test]
    fn a_record_that_asks_for_nothing_is_no_reason_to_refuse() {
        let (site, _directory) = site("");
        let store = site.store().unwrap();
        let gone = named(GONE, 61_001);
        for (user_override, binds) in [(Override::Exempt, false), (Override::Enroll, true), (Override::Required, true)]
        {
            let record =
                Record::stranger(&gone).with_override(user_override, record(Vec::new()).credentials.enrollment);
            let Change::Record(record) = record else { panic!("no record is written") };
            let hold = store.load(&gone).unwrap().map(|loaded| loaded.hold);
            assert_eq!(store.replace(&gone, hold, &record, &NOTE).unwrap(), Swap::Done);
            assert_eq!(former(&store, &named("new", 61_001)).is_some(), binds, "{user_override:?}");
        }
    }

    #[test]
    fn a_record_moves_with_its_state_and_a_move_that_was_killed_is_finished() {
        let (site, directory) = site("");
        let store = site.store().unwrap();
        let (old, new) = (named(GONE, 61_001), named("new", 61_001));
        assert_eq!(moved(&store, GONE, &new), Renamed::NoRecord);
        enrolled(&store, &old);
        let mut state = store.read(&old).unwrap().unwrap().state;
        state.failures = 3;
        let hold = store.load(&old).unwrap().unwrap().hold;
        assert_eq!(store.swap(&old, hold, &state, &NOTE).unwrap(), Swap::Done);
        // As after a kill between the two steps: the old record is there still.
        let files = ["toml", "state"].map(|kind| directory.path().join(format!("{GONE}.{kind}")));
        let before = files.clone().map(|file| std::fs::read(file).unwrap());
        assert_eq!(moved(&store, GONE, &new), Renamed::Done);
        for (file, content) in files.iter().zip(before) {
            assert!(!file.exists());
            std::fs::write(file, content).unwrap();
            std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(file, Some(61_001), None).unwrap();
        }
        let mut later = store.load(&new).unwrap().unwrap();
        assert_eq!((later.record.credentials.user.as_str(), later.record.state.failures), ("new", 3));
        later.record.state.failures = 4;
        assert_eq!(store.swap(&new, later.hold, &later.record.state, &NOTE).unwrap(), Swap::Done);
        assert_eq!(moved(&store, GONE, &new), Renamed::Done);
        assert!(files.iter().all(|file| !file.exists()));
        assert_eq!(store.read(&new).unwrap().unwrap().state.failures, 4, "what was done under the new name stays");
        assert_eq!(former(&store, &new), None);
        assert_eq!(former(&store, &named("newer", 61_001)).as_deref(), Some("new"));
    }

    #[test]
    fn a_blank_record_of_the_new_name_is_replaced() {
        let (site, _directory) = site("");
        let store = site.store().unwrap();
        let new = named("new", 61_001);
        enrolled(&store, &named(GONE, 61_001));
        // What is left when the user removes the second factor.
        assert_eq!(store.replace(&new, None, &Record::stranger(&new), &NOTE).unwrap(), Swap::Done);
        assert!(store.read(&new).unwrap().unwrap().is_blank());
        assert_eq!(moved(&store, GONE, &new), Renamed::Done);
        assert!(store.read(&new).unwrap().unwrap().is_enrolled());
    }

    #[test]
    fn a_record_of_the_new_name_is_not_replaced() {
        let (site, _directory) = site("");
        let store = site.store().unwrap();
        enrolled(&store, &named(GONE, 61_001));
        let mut other = record(vec![phone(2)]);
        (other.credentials.user, other.credentials.uid) = (UserName::parse("new").unwrap(), 61_001);
        other.credentials.enrollment.0 = [9; 16];
        other.state.enrollment.0 = [9; 16];
        let new = named("new", 61_001);
        assert_eq!(store.replace(&new, None, &other, &NOTE).unwrap(), Swap::Done);
        assert_eq!(moved(&store, GONE, &new), Renamed::HasRecord);
        assert!(store.read(&named(GONE, 61_001)).unwrap().is_some());
    }
}
