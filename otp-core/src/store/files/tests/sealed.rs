//! Records whose seeds are sealed.

use std::os::unix::fs::symlink;

use super::*;
use crate::codes::passcode::LONGEST;
use crate::codes::recovery::RecoverySet;
use crate::record::credentials::Needed;
use crate::record::key_ring::Ring;
use crate::record::seal::{SealKey, Shut};
use crate::store::error::StoreError;
use crate::store::files::seal_keys::KeySource;
use crate::testing::fixtures::{issued_until, passcode, token};

pub(super) fn source(folder: &Path) -> KeySource {
    KeySource { file: Some(folder.join("keys")), config: folder.join("pam_otp.toml"), ask: None }
}

struct Sealing {
    home: Home,
    folder: TempDir,
}

impl Sealing {
    /// Alice has a phone, a token, scratch codes and a passcode, all of it sealed under the first of these keys.
    fn enrolled(keys: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = state_directory();
        let source = source(folder.path());
        let store = FileStore::open(directory.path()).unwrap().with_keys(source);
        let sealing = Self { home: Home { directory, store }, folder };
        sealing.keys(keys, false);
        let mut record = record(vec![phone(1), token(2)]);
        record.credentials.scratch =
            Some(RecoverySet::of_scratch([5; 16], &[zeroize::Zeroizing::new("12345678".into())]));
        record.credentials.passcode = Some(issued_until(NOW.after(LONGEST)));
        assert_eq!(sealing.home.store.replace(&alice(), None, &record, &NOTE).unwrap(), Swap::Done);
        sealing
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn keys(&self, keys: &[u8], is_plain: bool) {
        let keys: Vec<_> = keys.iter().map(|byte| SealKey::new(&[*byte; 32])).collect();
        let _ = fs::remove_file(self.file());
        fs::write(self.file(), &*Ring::bytes_of(keys.iter().map(|key| (key.id(), key)), is_plain)).unwrap();
        fs::set_permissions(self.file(), Permissions::from_mode(0o400)).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.home.path("alice.toml")).unwrap()
    }

    fn write(&self, text: &str) {
        fs::write(self.home.path("alice.toml"), text).unwrap();
    }

    fn verdict(&self, attempt: &Attempt) -> Verdict {
        self.try_verdict(attempt).unwrap()
    }

    fn try_verdict(&self, attempt: &Attempt) -> Result<Verdict, StoreError> {
        let needed = match attempt {
            Attempt::Code(_) => Needed::ForCode,
            Attempt::Passcode(_) => Needed::ForPasscode,
            Attempt::Recovery(_) | Attempt::Malformed => Needed::Nothing,
        };
        let login = crate::value::login_context::LoginContext::default();
        let decide = |record: &Record| crate::decision::verify::decide_login(&LIMITS, record, attempt, &login, NOW);
        update_for(&self.home.store, &alice(), needed, &NOTE, decide)
    }

    fn accepts(&self, attempt: &Attempt) -> bool {
        matches!(self.verdict(attempt), Verdict::Accepted(_))
    }

    /// Writes the record again under another enrollment.
    fn rewritten(&self, enrollment: u8) -> Result<(), StoreError> {
        let id = EnrollmentId([enrollment; 16]);
        change(&self.home.store, &alice(), &NOTE, |record| (Change::Record(Box::new(record.unwrap().renewed(id))), ()))
    }
}

fn refused(why: Shut) -> Verdict {
    Verdict::Refused(Refusal::Sealed(why))
}

fn scratch() -> Attempt {
    crate::testing::fixtures::typed("12345678")
}

#[test]
fn nothing_that_can_be_guessed_is_in_the_file_and_all_of_it_works() {
    let sealing = Sealing::enrolled(&[1]);
    let text = sealing.text();
    assert_eq!(text.matches("\nsealed = \"v1:").count(), 3, "{text}");
    assert!(!text.contains("secret =") && !text.contains("\nhash ="), "{text}");
    assert!(sealing.accepts(&right()) && sealing.accepts(&shown(&token(2), 0)));
    assert!(sealing.accepts(&scratch()) && sealing.accepts(&Attempt::Passcode(passcode())));
    assert_eq!(sealing.verdict(&wrong()), wrong_for_the(1));
    assert_eq!(sealing.verdict(&right()), REPLAYED);
}

#[test]
fn no_nonce_is_used_twice() {
    let sealing = Sealing::enrolled(&[1]);
    let mut nonces = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let text = sealing.text();
        for sealed in text.split("\nsealed = \"v1:").skip(1) {
            assert!(nonces.insert(sealed.split(':').nth(1).unwrap().get(..48).unwrap().to_owned()), "{text}");
        }
        sealing.rewritten(2).unwrap();
    }
    assert_eq!(nonces.len(), 9);
}

#[test]
fn without_the_key_codes_are_refused_and_recovery_codes_are_not() {
    let sealing = Sealing::enrolled(&[1]);
    let (keys, other) = (sealing.file(), sealing.folder.path().join("other"));
    let unusable: [(&dyn Fn(), Shut); 8] = [
        (&|| fs::remove_file(sealing.file()).unwrap(), Shut::NoKey),
        (&|| fs::write(sealing.file(), "").unwrap(), Shut::NoKey),
        (&|| fs::set_permissions(sealing.file(), Permissions::from_mode(0o440)).unwrap(), Shut::NoKey),
        (&|| chown(sealing.file(), Some(1000), None).unwrap(), Shut::NoKey),
        (&|| fs::hard_link(&keys, &other).unwrap(), Shut::NoKey),
        (&|| fs::rename(&keys, &other).and_then(|()| symlink(&other, &keys)).unwrap(), Shut::NoKey),
        (
            &|| {
                fs::remove_file(&keys).unwrap();
                nix::unistd::mkfifo(&keys, Mode::S_IRUSR).unwrap();
            },
            Shut::NoKey,
        ),
        (&|| sealing.keys(&[2], false), Shut::OtherKey),
    ];
    for (round, (spoil, why)) in (0u8..).zip(unusable) {
        sealing.keys(&[1], false);
        spoil();
        for attempt in [right(), wrong(), scratch(), Attempt::Passcode(passcode())] {
            assert_eq!(sealing.verdict(&attempt), refused(why), "{round}");
        }
        assert!(sealing.accepts(&recovery(round)), "{round}");
        assert_eq!(sealing.home.read().state.failures, 0);
        let error = sealing.rewritten(2).unwrap_err();
        assert!(error.to_string().ends_with(&format!("alice.toml {}", why.text())), "{error}");
    }
    sealing.keys(&[2, 1], false);
    assert!(sealing.accepts(&right()), "nothing was lost");
}

#[test]
fn administration_reads_a_record_open_or_not_at_all() {
    let sealing = Sealing::enrolled(&[1]);
    let store = &sealing.home.store;
    assert!(store.read(&alice()).unwrap().unwrap().credentials.devices[0].secret.open().is_none());
    let open = store.read_open(&alice()).unwrap().unwrap();
    assert!(open.credentials.devices[0].secret.is(phone(1).secret.open().unwrap()));
    assert!(store.read_open(&named("bob", 1001)).unwrap().is_none());
    assert_eq!(*store.keys_of(1000).unwrap(), *store.ring().unwrap().bytes_for(1000).unwrap());
    fs::remove_file(sealing.file()).unwrap();
    assert!(matches!(
        store.read_open(&alice()),
        Err(StoreError::Record { error: RecordError::Sealed(Shut::NoKey), .. })
    ));
    assert_eq!(store.keys_of(1000).unwrap_err(), Shut::NoKey);
}

#[test]
fn root_reads_the_keys_itself() {
    let sealing = Sealing::enrolled(&[1]);
    let asked = KeySource { ask: Some(|| Err(Shut::NoAgent)), ..source(sealing.folder.path()) };
    assert_eq!(asked.ring().unwrap().ids().count(), 1);
}

#[test]
fn a_record_without_seals_needs_no_key() {
    let home = Home::enrolled();
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path());
    let store = FileStore::open(home.directory.path()).unwrap();
    let sealing = Sealing { home: Home { store: store.with_keys(source), ..home }, folder };
    assert!(sealing.accepts(&right()));
    sealing.rewritten(2).unwrap();
    assert!(sealing.text().contains("\nsecret = "));
    // From now on seeds are to be sealed, and no key is there: none is written in plain.
    fs::create_dir(sealing.folder.path().join("seal")).unwrap();
    assert!(sealing.accepts(&shown(&phone(1), STEP + 1)));
    assert!(matches!(sealing.rewritten(3), Err(StoreError::Record { error: RecordError::Sealed(Shut::NoKey), .. })));
    sealing.keys(&[1], false);
    sealing.rewritten(3).unwrap();
    assert!(!sealing.text().contains("\nsecret = "));
}

#[test]
fn a_new_key_seals_and_an_old_one_opens_until_all_is_written_again() {
    let sealing = Sealing::enrolled(&[1]);
    sealing.keys(&[2, 1], false);
    assert!(sealing.accepts(&right()));
    sealing.rewritten(2).unwrap();
    sealing.keys(&[2], false);
    assert_eq!(sealing.verdict(&right()), REPLAYED);
    assert!(sealing.accepts(&scratch()) && sealing.accepts(&Attempt::Passcode(passcode())));
    sealing.keys(&[2], true);
    sealing.rewritten(3).unwrap();
    fs::remove_file(sealing.file()).unwrap();
    assert!(!sealing.text().contains("sealed ="));
    assert_eq!(sealing.verdict(&right()), REPLAYED);
}

#[test]
fn a_seed_that_was_moved_put_back_or_cut_off_does_not_open() {
    let sealing = Sealing::enrolled(&[1]);
    let sealed = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("sealed = ")).map(str::to_owned).collect()
    };
    let first = sealing.text();
    sealing.rewritten(2).unwrap();
    let (good, old) = (sealing.text(), sealed(&first));
    let new = sealed(&good);
    let [scratch_codes, issued, seeds] = [0, 1, 2].map(|place| new[place].as_str());
    // Of the enrollment before; of a device that is gone; of one with another number; and without the end.
    let put_back = good.replace(seeds, &old[2]);
    let second = good.rfind("\n[[device]]").unwrap();
    let fewer = good.get(..second).unwrap().replace("\ndevices = 2", "\ndevices = 1");
    let renumbered = good.replace("\nid = 2\n", "\nid = 3\n").replace("\nlast_id = 2", "\nlast_id = 3");
    let cut = good.replace(seeds, &format!("{}\"", seeds.get(..100).unwrap()));
    for (what, text) in [("put back", &put_back), ("fewer", &fewer), ("renumbered", &renumbered), ("cut off", &cut)] {
        assert_ne!(*text, good, "{what}");
        sealing.write(text);
        let state = fs::read(sealing.home.path("alice.state")).unwrap();
        for attempt in [right(), shown(&token(2), 0), wrong()] {
            match sealing.try_verdict(&attempt) {
                Ok(verdict) => assert_eq!(verdict, refused(Shut::Altered), "{what}"),
                // The state says which devices there are.
                Err(error) => assert!(what == "fewer" || what == "renumbered", "{what}: {error}"),
            }
        }
        assert_eq!(fs::read(sealing.home.path("alice.state")).unwrap(), state, "{what}");
    }
    sealing.write(&good.replace(issued, &old[1]).replace(scratch_codes, &old[0]));
    assert_eq!(sealing.verdict(&Attempt::Passcode(passcode())), refused(Shut::Altered));
    assert_eq!(sealing.verdict(&scratch()), wrong_for_the(1));
    sealing.write(&good);
    assert!(sealing.accepts(&right()));
}

#[test]
fn the_seed_of_another_user_does_not_open() {
    let sealing = Sealing::enrolled(&[1]);
    let bob = named("bob", 1001);
    let mut other = record(vec![phone(1)]);
    (other.credentials.user, other.credentials.uid) = (bob.name.clone(), bob.uid);
    assert_eq!(sealing.home.store.replace(&bob, None, &other, &NOTE).unwrap(), Swap::Done);
    let of_bob = fs::read_to_string(sealing.home.path("bob.toml")).unwrap();
    let of_bob = of_bob.lines().find(|line| line.starts_with("sealed = ")).unwrap();
    let text = sealing.text();
    let lines: Vec<_> = text.lines().map(|line| if line.starts_with("sealed = ") { of_bob } else { line }).collect();
    sealing.write(&(lines.join("\n") + "\n"));
    assert_eq!(sealing.verdict(&right()), refused(Shut::Altered));
}

#[test]
fn a_token_in_stock_is_sealed_too() {
    use crate::record::credentials::{Device, Serial};
    use crate::record::credentials_toml::spare::Spare;
    let sealing = Sealing::enrolled(&[1]);
    let stock = sealing.home.store.stock_or_new().unwrap();
    let spare = |serial: &str| Spare {
        device: Device { serial: Serial::parse(serial), ..token(1) },
        sealed: None,
        next: 3,
        maker: None,
        user: None,
    };
    let serial = Serial::parse("A1").unwrap();
    assert_eq!(stock.put(&spare("A1")).unwrap(), crate::store::files::stock::Put::Done);
    let path = sealing.home.path("stock/A1.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\nsealed = ") && !text.contains("secret"));
    assert_eq!(stock.sealed_under("A1.toml").unwrap(), Some(SealKey::new(&[1; 32]).id()));
    assert_eq!(stock.sealed_under("A2.toml").unwrap(), None);
    assert!(stock.get(&serial).unwrap().unwrap().has_seed(token(1).secret.open().unwrap()));
    assert_eq!(stock.put(&spare("A1")).unwrap(), crate::store::files::stock::Put::Already);
    sealing.keys(&[2], false);
    assert!(stock.get(&serial).unwrap().unwrap().device.secret.open().is_none());
    sealing.keys(&[1], false);
    fs::write(&path, text.replace("\"A1\"", "\"A2\"")).unwrap();
    fs::rename(&path, sealing.home.path("stock/A2.toml")).unwrap();
    let moved = stock.get(&Serial::parse("A2").unwrap()).unwrap().unwrap();
    assert_eq!(moved.sealed.unwrap().why, Shut::Altered);
}
