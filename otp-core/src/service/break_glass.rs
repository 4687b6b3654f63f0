//! Recovery codes for when no verifier of the fleet answers: in a folder of this host, in records of their own that have no
//! device. They are good nowhere else, and at no other time.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use crate::audit::{Event, Proof};
use crate::codes::attempt::{Attempt, Typed};
use crate::decision::verify::{Accepted, Factor, Verdict, decide};
use crate::error::CoreError;
use crate::protocol::request::Confidential;
use crate::record::Record;
use crate::record::change::Change;
use crate::service::caller::Caller;
use crate::service::enrollment::{new_enrollment, new_recovery_codes, revealed};
use crate::store::error::StoreError;
use crate::store::files::identity::ID;
use crate::store::files::open::FileStore;
use crate::store::{change, update};
use crate::system::config_file::Site;
use crate::system::random;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Within the folder of records.
const FOLDER: &str = "break-glass";

/// The records of this kind that this host has.
pub struct BreakGlass<'a> {
    site: &'a Site,
    store: FileStore,
}

impl<'a> BreakGlass<'a> {
    /// `None` if there are none.
    pub fn open(site: &'a Site) -> Result<Option<Self>, CoreError> {
        match FileStore::open(&folder(site)) {
            Ok(store) => {
                store.identify(&site.store_id())?;
                Ok(Some(Self { site, store: store.impatient() }))
            }
            Err(StoreError::System { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a user has such codes, used ones among them.
    pub fn knows(&self, account: &Account) -> Result<bool, CoreError> {
        Ok(self.store.read(account)?.is_some())
    }

    /// How many of a user's codes are unused.
    pub fn left(&self, account: &Account) -> Result<u8, CoreError> {
        let record = self.store.read(account)?;
        Ok(record.and_then(|record| record.credentials.recovery_left(&record.state)).unwrap_or_default())
    }

    /// Judges a recovery code, once the state that goes with it is durable. `None` for everything else, and for a user without
    /// such codes.
    pub fn verify(
        &self,
        account: &Account,
        typed: &Typed,
        caller: Caller<'_>,
        now: UnixTime,
    ) -> Result<Option<Verdict>, CoreError> {
        let attempt = Attempt::parse(typed);
        if !matches!(attempt, Attempt::Recovery(_)) || !self.knows(account)? {
            return Ok(None);
        }
        let limits = &self.site.config.settings.limits;
        let verdict =
            update(&self.store, account, &caller.note("break-glass"), |record| decide(limits, record, &attempt, now))?;
        Ok(Some(match verdict {
            Verdict::Accepted(accepted) => Verdict::Accepted(Accepted { factor: Factor::BreakGlass, ..accepted }),
            refused @ Verdict::Refused(_) => refused,
        }))
    }
}

/// Makes new codes for a user in place of all earlier ones. They are shown only once.
pub fn issue(site: &Site, account: &Account, caller: Caller<'_>) -> Result<Vec<Confidential>, CoreError> {
    make_folder(site)?;
    let store = FileStore::open(&folder(site))?;
    store.identify(&site.store_id())?;
    let (codes, set) = new_recovery_codes(&site.config.settings, None, random::entropy)?;
    let enrollment = new_enrollment(random::entropy)?;
    change(&store, account, &caller.note("break-glass-issued"), |_| {
        let mut record = Record::stranger(account).renewed(enrollment);
        record.credentials.recovery = set.clone();
        (Change::Record(Box::new(record)), ())
    })?;
    let (user, by, proof) = (account.name.as_str(), caller.uid, Proof::Administrator);
    (caller.log)(&Event::Change { user, by, what: "break-glass-issued", device: None, proof });
    Ok(revealed(&codes))
}

fn folder(site: &Site) -> PathBuf {
    site.config.state_directory.join(FOLDER)
}

/// A folder of root's alone, with the id of the folder around it.
fn make_folder(site: &Site) -> Result<(), CoreError> {
    // It is the one of this configuration.
    site.store()?;
    let folder = folder(site);
    let failed = |path: &Path, error| StoreError::System { action: "make", path: path.to_owned(), error };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&folder, error).into()),
        Ok(()) | Err(_) => {}
    }
    let path = folder.join(ID);
    let made = fs::read_link(site.config.state_directory.join(ID)).and_then(|id| symlink(id, &path));
    match made.and_then(|()| File::open(&folder)?.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(&path, error).into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::verify::Refusal;
    use crate::testing::fixtures::{NOW, alice, named, site};

    #[test]
    fn a_code_of_this_host_is_good_once_and_nothing_else_is() {
        let (site, directory) = site("");
        assert!(BreakGlass::open(&site).unwrap().is_none());
        let (lines, caller_log) = (std::cell::RefCell::new(Vec::new()), |_: &Event<'_>| {});
        let log = |event: &Event<'_>| lines.borrow_mut().push(event.to_string());
        let codes = issue(&site, &alice(), Caller::here(0, true, &log)).unwrap();
        assert_eq!((codes.len(), lines.borrow().len()), (10, 1));
        let caller = Caller::here(0, true, &caller_log);
        let records = BreakGlass::open(&site).unwrap().unwrap();
        let verify = |account: &Account, typed: &str| {
            records.verify(account, &Typed::new(typed.as_bytes().to_vec()), caller, NOW).unwrap()
        };
        let accepted = verify(&alice(), codes[0].expose());
        let factor = Factor::BreakGlass;
        assert_eq!(accepted, Some(Verdict::Accepted(Accepted { factor, recovery_left: Some(9), failures: 0 })));
        assert_eq!(verify(&alice(), codes[0].expose()), Some(Verdict::Refused(Refusal::RecoveryUsed)));
        assert_eq!((records.left(&alice()).unwrap(), records.left(&named("bob", 1001)).unwrap()), (9, 0));
        let unknown = "AAAA-AAAA-AAAA-AAAA";
        assert_eq!(verify(&alice(), unknown), Some(Verdict::Refused(Refusal::RecoveryUnknown)));
        for other in ["123456", "", "K7QD-M3XA-92TE"] {
            assert_eq!(verify(&alice(), other), None, "{other}");
        }
        let bob = named("bob", 1001);
        assert_eq!((verify(&bob, codes[1].expose()), records.knows(&bob).unwrap()), (None, false));
        // New codes end the old ones, and no login by the records of this host knows either.
        let newer = issue(&site, &alice(), caller).unwrap();
        assert_eq!(verify(&alice(), codes[1].expose()), Some(Verdict::Refused(Refusal::RecoveryUnknown)));
        assert!(matches!(verify(&alice(), newer[1].expose()), Some(Verdict::Accepted(_))));
        assert!(site.store().unwrap().read(&alice()).unwrap().is_none());
        // Another folder put in its place is not believed.
        let id = directory.path().join(FOLDER).join(ID);
        fs::remove_file(&id).unwrap();
        symlink("0".repeat(32), id).unwrap();
        assert!(BreakGlass::open(&site).is_err());
    }
}
