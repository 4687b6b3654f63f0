//! `init` on a database of a fleet, with a real one.

use std::fs;
use std::sync::Arc;

use otp_core::store::{Store as _, Swap};
use otp_core::testing::alice::{NOTE, alice, phone, record};
use tempfile::TempDir;

use super::*;
use crate::database::testing::Cluster;
use crate::keys::tests::keys;
use crate::store::{About, PgStore};

/// Verifiers of one database, each with a folder of its own.
struct Place {
    cluster: Arc<Cluster>,
    database: String,
}

struct Verifier {
    config: Config,
    how: Init,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let (cluster, database) = Cluster::shared();
        Self { cluster, database }
    }

    fn verifier(&self) -> Verifier {
        let folder = tempfile::tempdir().unwrap();
        let url = |role| self.cluster.url(&self.database, role, 0);
        let text = format!(
            "listen = []\nverifiers = []\ndatabase = [{:?}]\nfolder = {:?}\nstate = \"/nowhere\"",
            url("otp_verifier"),
            folder.path()
        );
        let how = Init { owners: vec![url("otp_owner")], owner_password: None, names: vec!["v.example".into()] };
        Verifier { config: toml::from_str(&text).unwrap(), how, folder }
    }

    fn sql(&self, sql: &str) -> String {
        self.cluster.sql_in(&self.database, 0, sql)
    }
}

impl Verifier {
    fn init(&self) -> Result<(), String> {
        init(&self.config, &self.how).map_err(|error| format!("{error}; {}", error.hint))
    }

    /// As an administrator copies a file of another verifier.
    fn copy(&self, from: &Self, file: &str) {
        fs::copy(from.folder.path().join(file), self.folder.path().join(file)).unwrap();
    }

    fn files(&self) -> usize {
        fs::read_dir(self.folder.path()).unwrap().count()
    }

    fn session(&self) -> Result<(), String> {
        self.config.session().map(drop).map_err(|error| error.to_string())
    }
}

#[test]
fn a_further_verifier_makes_no_keys_of_its_own_and_works_with_those_of_the_fleet_alone() {
    let place = Place::new();
    let (first, second) = (place.verifier(), place.verifier());
    assert_eq!(first.init(), Ok(()));
    assert_eq!((first.files(), first.init(), first.session()), (5, Ok(()), Ok(())));
    let refusal = second.init().unwrap_err();
    let key = first.config.keys().unwrap().present();
    assert!(refusal.starts_with(&format!("the database has a fleet, whose records are sealed under {key}, and ")));
    assert!(refusal.contains("keys is not here; copy keys, authority.pem and authority.key to /etc/otp-verifier"));
    assert_eq!(second.files(), 0);
    // Each file that is forgotten.
    second.copy(&first, "keys");
    assert!(second.init().unwrap_err().contains("authority.pem is not here"));
    second.copy(&first, "authority.pem");
    assert!(second.init().unwrap_err().contains("authority.key is not here"));
    second.copy(&first, "authority.key");
    assert_eq!((second.init(), second.session()), (Ok(()), Ok(())));
    // Files of another fleet.
    let other = Place::new().verifier();
    assert_eq!(other.init(), Ok(()));
    second.copy(&other, "keys");
    let foreign = format!("the keys of this verifier are not those of the fleet: its records are sealed under {key}");
    assert!(second.init().unwrap_err().starts_with(&foreign));
    assert_eq!(second.session(), Err(foreign));
    second.copy(&first, "keys");
}

#[test]
fn records_without_a_fleet_are_taken_by_keys_that_open_them() {
    let place = Place::new();
    let verifier = place.verifier();
    assert!(verifier.session().unwrap_err().contains("cannot be read"));
    let session = verifier.config.servers().unwrap().connect().unwrap();
    let ring = keys(&[1]);
    let stored =
        PgStore::new(&session, &ring, About::default()).replace(&alice(), None, &record(vec![phone(1)]), &NOTE);
    assert_eq!(stored.unwrap(), Swap::Done);
    assert!(verifier.init().unwrap_err().contains("keys is not here"));
    Authority::make(&verifier.config).unwrap();
    put(&verifier.config.key_file(), Keys::with_new(None).unwrap(), SECRET).unwrap();
    assert!(verifier.init().unwrap_err().contains("are not those of the fleet"));
    fs::remove_file(verifier.config.key_file()).unwrap();
    put(&verifier.config.key_file(), crate::keys::tests::file(&[1]), SECRET).unwrap();
    assert_eq!(verifier.init(), Ok(()));
    assert_eq!(place.sql("SELECT count(*) FROM otp.fleet"), "1");
}
