//! A passcode goes to the fleet with its record. It is used up here before it is sent, so that it is good once wherever that ends:
//! a push that is killed in between, or has no answer, may void it, and brings it once at most.

use otp_core::decision::arrival::ArrivedPasscode;
use otp_core::error::CoreError;
use otp_core::protocol::request::Adoption;
use otp_core::store::error::StoreError;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::{Note, Unsaid};
use otp_core::store::update;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

/// A passcode on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passcode {
    /// There is none that is good.
    None,
    /// It is used up here, and goes along.
    Sent,
    /// The fleet would not take it.
    Void,
}

impl Passcode {
    /// Uses it up here if the fleet would take it, as `would_adopt` says.
    pub(super) fn leave(
        store: &FileStore,
        account: &Account,
        now: UnixTime,
        would_adopt: impl Fn(&str) -> Result<Adoption, CoreError>,
    ) -> Result<Self, CoreError> {
        if !is_good(store, account, now)? {
            return Ok(Self::None);
        }
        match would_adopt(account.name.as_str())?.passcode {
            Some(ArrivedPasscode::Taken) => {}
            Some(ArrivedPasscode::Void) => return Ok(Self::Void),
            None => return Ok(Self::None),
        }
        let note = Note::here("passcode-moved");
        let Unsaid(was_good) = update(store, account, &note, |record| {
            let (state, was_good) = record.giving_passcode_away(now);
            (state, Unsaid(was_good))
        })?;
        // A login that began before may have used it.
        Ok(if was_good { Self::Sent } else { Self::None })
    }

    /// What became of it where the fleet has answered.
    pub(super) fn arrived(self, passcode: Option<ArrivedPasscode>) -> Option<ArrivedPasscode> {
        match (self, passcode) {
            (Self::None, _) => None,
            (Self::Sent, Some(ArrivedPasscode::Taken)) => Some(ArrivedPasscode::Taken),
            (Self::Sent, _) | (Self::Void, _) => Some(ArrivedPasscode::Void),
        }
    }
}

/// Whether a user has one in the record of this host.
pub(super) fn is_good(store: &FileStore, account: &Account, now: UnixTime) -> Result<bool, StoreError> {
    Ok(store.read(account)?.is_some_and(|record| record.good_passcode(now).is_some()))
}

/// Where it is not good any more.
pub(super) fn void(user: &str, dry_run: bool) -> String {
    let is = if dry_run { "would be" } else { "is" };
    format!(
        "The passcode of {user} that was issued here {is} void: the fleet keeps what it has of this user. Another one: \
         otp-enroll admin issue {user}"
    )
}

/// Where it was sent and the record was not taken, or no answer came.
pub(super) fn perhaps_void(user: &str) -> String {
    format!(
        "the passcode of {user} that was issued here is good in the fleet by now, or void: see otp-enroll admin show {user}; another \
         one: otp-enroll admin issue {user}"
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use otp_core::codes::passcode::Issued;
    use otp_core::protocol::request::Adopted;
    use otp_core::record::Record;
    use otp_core::record::change::Change;
    use otp_core::record::credentials::Override;
    use otp_core::record::id::EnrollmentId;
    use otp_core::store::change;
    use otp_core::value::user::UserName;
    use tempfile::TempDir;

    use super::*;

    const NOW: UnixTime = UnixTime(1_763_750_020);

    fn alice() -> Account {
        Account { name: UserName::parse("alice").unwrap(), uid: 1000, gid: 1000 }
    }

    /// A store in which alice has a passcode until this time.
    fn store(until: u64) -> (TempDir, FileStore) {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        change(&store, &alice(), &Note::here("test"), |_| {
            let mut record = Record::begin(&alice(), EnrollmentId([1; 16]), Override::None, Vec::new(), None);
            let issued = Issued { salt: [1; 16], hash: [2; 32], until: UnixTime(until), service: None };
            record.credentials.passcode = Some(issued);
            (Change::Record(Box::new(record)), ())
        })
        .unwrap();
        (folder, store)
    }

    fn is_good(store: &FileStore) -> bool {
        store.read(&alice()).unwrap().unwrap().good_passcode(NOW).is_some()
    }

    fn leave(store: &FileStore, passcode: Option<ArrivedPasscode>) -> Passcode {
        let adoption = Adoption { record: Adopted::Taken, passcode };
        Passcode::leave(store, &alice(), NOW, |_| Ok(adoption)).unwrap()
    }

    #[test]
    fn a_passcode_is_used_up_here_before_it_is_sent_and_sent_once() {
        let (_folder, store) = store(NOW.0 + 60);
        assert_eq!(leave(&store, Some(ArrivedPasscode::Taken)), Passcode::Sent);
        assert!(!is_good(&store));
        assert_eq!(leave(&store, Some(ArrivedPasscode::Taken)), Passcode::None);
    }

    #[test]
    fn one_that_the_fleet_would_not_take_stays_good_until_the_record_goes() {
        let (_folder, store) = store(NOW.0 + 60);
        assert_eq!(leave(&store, Some(ArrivedPasscode::Void)), Passcode::Void);
        assert_eq!(leave(&store, None), Passcode::None);
        let silent = |_: &str| Err(CoreError::Entropy);
        assert!(Passcode::leave(&store, &alice(), NOW, silent).is_err());
        assert!(is_good(&store));
    }

    #[test]
    fn one_that_a_login_uses_meanwhile_is_not_sent() {
        let (_folder, store) = store(NOW.0 + 60);
        let login = |_: &str| {
            update(&store, &alice(), &Note::here("login"), |record| (record.giving_passcode_away(NOW).0, Unsaid(())))?;
            Ok(Adoption { record: Adopted::Taken, passcode: Some(ArrivedPasscode::Taken) })
        };
        assert_eq!(Passcode::leave(&store, &alice(), NOW, login).unwrap(), Passcode::None);
    }

    #[test]
    fn nothing_is_asked_about_one_that_has_ended() {
        let (_folder, store) = store(NOW.0);
        let unasked = |_: &str| panic!("asked");
        assert_eq!(Passcode::leave(&store, &alice(), NOW, unasked).unwrap(), Passcode::None);
    }

    #[test]
    fn what_was_sent_and_not_taken_is_void() {
        let (taken, void) = (Some(ArrivedPasscode::Taken), Some(ArrivedPasscode::Void));
        for (sent, answer, expected) in [
            (Passcode::Sent, taken, taken),
            (Passcode::Sent, void, void),
            (Passcode::Sent, None, void),
            (Passcode::Void, None, void),
            (Passcode::None, None, None),
        ] {
            assert_eq!(sent.arrived(answer), expected, "{sent:?} {answer:?}");
        }
    }
}
