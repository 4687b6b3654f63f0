//! Each fault by itself, and all at once, with a real database.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use nix::sys::signal::Signal;
use nix::unistd::User;
use otp_core::store::{Store as _, Swap};
use otp_core::testing::alice::{NOTE, alice, phone, record};
use rcgen::{CertificateParams, Issuer, KeyPair};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::*;
use crate::authority::{Authority, SECRET, put};
use crate::command_line::Init;
use crate::database::testing::Cluster;
use crate::keys::Keys;
use crate::store::{About, PgStore};

/// A verifier that is in order, and its fleet with one user.
struct Place {
    cluster: Arc<Cluster>,
    config: Config,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let (cluster, database) = Cluster::shared();
        Self::on(cluster, &database)
    }

    fn on(cluster: Arc<Cluster>, database: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = |role| cluster.url(database, role, 0);
        let text = format!(
            "listen = []\nverifiers = [\"v.example:8443\"]\ndatabase = [{:?}]\nfolder = {:?}\nstate = \"/nowhere\"\nsettings = \"{}/s\"",
            url("otp_verifier"),
            folder.path(),
            folder.path().display()
        );
        fs::write(folder.path().join("s"), "issuer = \"A\"\n").unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        let how = Init { owners: vec![url("otp_owner")], owner_password: None, names: vec!["v.example".into()] };
        crate::init::init(&config, &how).unwrap();
        let (session, keys) = config.session().unwrap();
        let stored =
            PgStore::new(&session, &keys, About::default()).replace(&alice(), None, &record(vec![phone(1)]), &NOTE);
        assert_eq!(stored.unwrap(), Swap::Done);
        Self { cluster, config, folder }
    }

    /// `fault what` or `warning what`, one for each.
    fn found(&self) -> Vec<String> {
        let mut found = Findings::default();
        look_at(&self.config, Path::new("/nowhere"), &mut found);
        assert!(found.0.iter().all(|finding| !finding.fix.is_empty()));
        let word = |severity| if severity == Severity::Fault { "fault" } else { "warning" };
        found.0.iter().map(|finding| format!("{} {}", word(finding.severity), finding.what)).collect()
    }

    /// What is found, and nothing else, has these parts.
    fn finds(&self, parts: &[&[&str]]) {
        let found = self.found();
        assert_eq!(found.len(), parts.len(), "{found:#?}");
        for (found, parts) in found.iter().zip(parts) {
            assert!(parts.iter().all(|part| found.contains(part)), "{found} {parts:?}");
        }
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.folder.path().join(file)).unwrap();
    }

    /// A certificate for the key of the verifier, good from and until so many days from now.
    fn certify(&self, from: i64, until: i64) {
        let read = |file: &str| fs::read_to_string(self.folder.path().join(file)).unwrap();
        let authority = KeyPair::from_pem(&read("authority.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("authority.pem"), authority).unwrap();
        let key = KeyPair::from_pem(&read("verifier.key")).unwrap();
        let mut params = CertificateParams::new(["v.example".to_owned()]).unwrap();
        let day = |days| OffsetDateTime::now_utc().saturating_add(Duration::days(days));
        (params.not_before, params.not_after) = (day(from), day(until));
        fs::write(self.config.certificate(), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    }
}

#[test]
fn a_verifier_in_order_has_no_finding_and_one_whose_file_is_another_has() {
    let place = Place::new();
    place.finds(&[]);
    // The key of another verifier.
    let other = Place::new();
    let copy = |file: &str| fs::copy(other.folder.path().join(file), place.folder.path().join(file)).unwrap();
    let own = fs::read(place.config.key()).unwrap();
    copy("verifier.key");
    place.finds(&[&["fault", "verifier.key is not the key of ", "verifier.pem"]]);
    fs::write(place.config.key(), own).unwrap();
    let own = fs::read(place.config.authority()).unwrap();
    copy("authority.pem");
    place.finds(&[
        &["fault", "authority.key is not the key of ", "authority.pem"],
        &["fault", "verifier.pem is not of the authority "],
        &["warning", "authority.pem is not the authority that this fleet began with: hosts that joined under that one refuse this verifier"],
    ]);
    // All of another fleet.
    copy("authority.key");
    copy("verifier.pem");
    copy("verifier.key");
    place.finds(&[&["warning", "authority.pem is not the authority that this fleet began with"]]);
    fs::write(place.config.authority(), own).unwrap();
    copy("keys");
    let found = place.found().join("\n");
    for part in
        ["the keys of this verifier are not those of the fleet", "records that do not open with these keys: alice"]
    {
        assert!(found.contains(part), "{found}");
    }
}

#[test]
fn a_state_that_no_verifier_has_written_is_found() {
    const ALTERED: &str = "WITH altered AS (UPDATE otp.record SET state = replace(state, 'failures 0', 'failures 1') RETURNING 1) \
         SELECT current_setting('synchronous_standby_names'), EXISTS (SELECT FROM altered)";
    let place = Place::new();
    assert!(place.config.session().unwrap().0.write(ALTERED, &[]).is_ok());
    place.finds(&[&["fault", "records that do not open with these keys: alice"]]);
}

#[test]
fn a_key_that_opens_and_does_not_seal_here_but_elsewhere_is_found() {
    let place = Place::new();
    let both = Keys::with_new(Some(&place.config.keys().unwrap())).unwrap();
    place.remove("keys");
    put(&place.config.key_file(), &both, SECRET).unwrap();
    place.finds(&[]);
    let (session, keys) = place.config.session().unwrap();
    session.seals_under(keys.ids()[1]).unwrap();
    place.finds(&[&["fault", "seals here, and ", "in the fleet"]]);
}

#[test]
fn a_certificate_that_ended_begins_later_or_ends_soon_is_found_and_so_is_one_with_another_name() {
    let mut place = Place::new();
    place.certify(-40, -10);
    place.finds(&[&["fault", "verifier.pem ended on ", "no host connects"]]);
    place.certify(2, 40);
    place.finds(&[&["fault", "verifier.pem is not good before "]]);
    place.certify(-40, 10);
    place.finds(&[&["warning", "verifier.pem ends in ", "days, on "]]);
    place.certify(-40, 40);
    place.finds(&[]);
    place.config.verifiers = vec!["other.invalid:8443".into()];
    place.finds(&[
        &["fault", "hosts refuse this verifier: its certificate is for v.example, and verifiers in the configuration names other.invalid:8443"],
        &["warning", "other.invalid:8443 in verifiers is not reached from here"],
    ]);
    for (verifiers, refused) in
        [("[\"a:1\"]", false), ("[\"a\"]", true), ("[\"a:1\", \"b:x\"]", true), ("[\":1\"]", true)]
    {
        let path = place.folder.path().join("c");
        fs::write(&path, format!("listen = [\"127.0.0.1:1\"]\nverifiers = {verifiers}\ndatabase = [\"host=a\"]"))
            .unwrap();
        let error = Config::load(&path).err().map(|error| error.to_string());
        assert_eq!(error.is_some_and(|error| error.contains("is no name with a port")), refused, "{verifiers}");
    }
}

#[test]
fn each_server_that_is_wrong_is_named_and_so_is_what_else_the_configuration_says() {
    let mut place = Place::new();
    let good = place.config.database[0].clone();
    place.config.database.extend([
        good.replace("dbname=otp", "dbname=opt"),
        "host=db9.invalid dbname=otp user=otp_verifier".into(),
        "host=a sslrootcert=/x".into(),
    ]);
    place.config.without_standby = true;
    place.config.senders = "/nonexist".into();
    place.config.settings = place.folder.path().join("policy");
    fs::write(&place.config.settings, "[policy]\nsecond_factor = \"required\"\n").unwrap();
    place.finds(&[
        &["fault", "policy decides nothing here"],
        &["fault", "senders names /nonexist, which is not there"],
        &["warning", "without_standby is set"],
        &["fault", "server 4 of the configuration cannot be read"],
        &["fault", "database \"opt"],
        &["fault", "db9.invalid: "],
    ]);
}

#[test]
fn without_its_standby_nothing_is_confirmed() {
    let cluster = Arc::new(Cluster::new("FIRST 1 (s1)", 1));
    let place = Place::on(Arc::clone(&cluster), "otp");
    place.finds(&[]);
    cluster.freeze(1);
    place.finds(&[&[
        "fault",
        "nothing can be confirmed, so nobody logs in: ",
        " waits for the confirmation of its standby (FIRST 1 (s1))",
    ]]);
    cluster.thaw(1);
    cluster.stop(1, Signal::SIGINT);
    place.finds(&[&[
        "fault",
        "nothing can be confirmed, so nobody logs in: ",
        " waits for its standby s1, which is not connected",
    ]]);
    assert!(place.cluster.log(0).contains("ready"));
}

#[test]
fn a_file_is_readable_to_the_service_or_not_and_so_is_its_folder() {
    assert!(nix::unistd::geteuid().is_root(), "this asks as another user");
    let folder = tempfile::Builder::new().prefix("otp-check-").tempdir_in("/var/tmp").unwrap();
    let (file, nobody) = (folder.path().join("ca.pem"), User::from_name("nobody").unwrap().unwrap());
    fs::write(&file, "").unwrap();
    let is_readable = |of_folder, of_file| {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(of_folder)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(of_file)).unwrap();
        files::is_readable(&file, &nobody)
    };
    assert!(is_readable(0o755, 0o644));
    assert!(!is_readable(0o755, 0o600));
    assert!(!is_readable(0o700, 0o644));
    assert!(Authority::load(&Place::new().config).is_ok());
}

#[test]
fn the_manual_shows_a_finding() {
    let mut found = Findings::default();
    found.warning("certificate", "/etc/otp-verifier/verifier.pem ends in 29 days", "run otp-verifier renew");
    assert!(crate::told::is_in_manual(&found.0));
}
