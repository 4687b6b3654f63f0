//! The id that the state directory and the configuration share.

use std::os::unix::fs::{lchown, symlink};

use super::*;
use crate::store::files::identity::{Identity, StoreId};

/// A store with its id, and a folder for the link beside the configuration.
struct Known {
    home: Home,
    beside: PathBuf,
    _folder: TempDir,
}

impl Known {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let known = Self { home: Home::enrolled(), beside: folder.path().join("store-id"), _folder: folder };
        known.home.store.set_identity(&known.beside, StoreId::new([0x0a; 16])).unwrap();
        known
    }

    fn within(&self) -> PathBuf {
        self.home.path(".store-id")
    }

    fn error(&self) -> String {
        let error = self.home.store.identify(&self.beside).unwrap_err().to_string();
        error.replace(&*self.beside.to_string_lossy(), "BESIDE").replace(&*self.within().to_string_lossy(), "WITHIN")
    }
}

/// Puts an id in place of whatever is there.
fn put(id: &str, path: &Path) {
    let _ = fs::remove_file(path);
    symlink(id, path).unwrap();
}

#[test]
fn both_links_have_the_same_id_and_are_of_root() {
    let known = Known::new();
    known.home.store.identify(&known.beside).unwrap();
    for path in [&known.beside, &known.within()] {
        assert_eq!(fs::read_link(path).unwrap(), Path::new(&"0a".repeat(16)));
        assert_eq!(fs::symlink_metadata(path).unwrap().uid(), 0);
    }
    assert_eq!(known.home.names(), [".store-id", "alice.state", "alice.toml"]);
    assert_eq!(known.home.store.stems(|| ()).unwrap(), ["alice"]);
}

#[test]
fn a_missing_id_or_another_one_is_an_error() {
    let known = Known::new();
    put(&"b".repeat(32), &known.within());
    assert_eq!(known.error(), "WITHIN holds another id than the configuration has");
    fs::remove_file(known.within()).unwrap();
    assert_eq!(known.error(), "WITHIN is missing");
    fs::remove_file(&known.beside).unwrap();
    assert_eq!(known.error(), "BESIDE is missing");
    assert!(matches!(known.home.store.identity(&known.beside), Identity::New));
    let below_a_file = known.home.path("alice.toml").join("store-id");
    assert!(
        matches!(known.home.store.identity(&below_a_file), Identity::Unknown(None, _)),
        "it is not known to be missing"
    );

    let known = Known::new();
    fs::remove_file(&known.beside).unwrap();
    assert_eq!(known.error(), "BESIDE is missing");
    let Identity::Unknown(id, _) = known.home.store.identity(&known.beside) else { panic!() };
    assert_eq!(id, Some(StoreId::new([0x0a; 16])), "the directory keeps its id");
}

#[test]
fn what_is_no_id_proves_nothing_not_even_twice() {
    for text in ["0", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32), "/etc/hostname"] {
        let known = Known::new();
        [&known.beside, &known.within()].into_iter().for_each(|path| put(text, path));
        assert_eq!(known.error(), "WITHIN holds no id", "{text:?}");
        known.home.store.set_identity(&known.beside, StoreId::new([1; 16])).unwrap();
        known.home.store.identify(&known.beside).unwrap();
    }
}

#[test]
fn an_id_that_another_user_can_have_made_proves_nothing() {
    let spoils: [fn(&Path); 3] = [
        |path| {
            fs::remove_file(path).unwrap();
            if path.ends_with(".store-id") {
                fs::create_dir(path).unwrap();
                fs::write(path.join("planted"), "").unwrap();
            }
        },
        |path| lchown(path, Some(1000), None).unwrap(),
        |path| {
            let id = fs::read_link(path).unwrap();
            fs::remove_file(path).unwrap();
            fs::write(path, id.to_str().unwrap()).unwrap();
        },
    ];
    for spoil in spoils {
        for file in 0..2 {
            let known = Known::new();
            let within = known.within();
            spoil(if file == 0 { &known.beside } else { &within });
            known.home.store.identify(&known.beside).unwrap_err();
            known.home.store.set_identity(&known.beside, StoreId::new([1; 16])).unwrap();
            known.home.store.identify(&known.beside).unwrap();
        }
    }
}
