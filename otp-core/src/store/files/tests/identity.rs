//! The id that the state directory and the configuration share.

use std::os::unix::fs::symlink;

use super::*;
use crate::store::files::identity::{Identity, StoreId};

/// A store with its id, and a folder for the file beside the configuration.
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

#[test]
fn both_files_hold_the_same_id_that_everybody_can_read_and_root_alone_can_write() {
    let known = Known::new();
    known.home.store.identify(&known.beside).unwrap();
    for path in [&known.beside, &known.within()] {
        assert_eq!(fs::read_to_string(path).unwrap(), "0a".repeat(16) + "\n");
        let metadata = fs::metadata(path).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o644));
    }
    assert_eq!(known.home.names(), [".store-id", "alice.state", "alice.toml"]);
    assert_eq!(known.home.store.stems(|| ()).unwrap(), ["alice"]);
}

#[test]
fn a_missing_id_or_another_one_is_an_error() {
    let known = Known::new();
    fs::write(known.within(), "b".repeat(32) + "\n").unwrap();
    assert_eq!(known.error(), "WITHIN holds another id than the configuration has");
    fs::remove_file(known.within()).unwrap();
    assert_eq!(known.error(), "WITHIN is missing");
    fs::remove_file(&known.beside).unwrap();
    assert_eq!(known.error(), "BESIDE is missing");
    assert!(matches!(known.home.store.identity(&known.beside), Identity::New));

    let known = Known::new();
    fs::remove_file(&known.beside).unwrap();
    assert_eq!(known.error(), "BESIDE is missing");
    let Identity::Unknown(id, _) = known.home.store.identity(&known.beside) else { panic!() };
    assert_eq!(id, Some(StoreId::new([0x0a; 16])), "the directory keeps its id");
}

#[test]
fn what_is_no_id_proves_nothing_not_even_twice() {
    for text in ["", "\n", "0", &"0".repeat(32), &("0".repeat(33) + "\n"), &("g".repeat(32) + "\n"), &"\0".repeat(33)] {
        let known = Known::new();
        [&known.beside, &known.within()].into_iter().for_each(|path| fs::write(path, text).unwrap());
        assert_eq!(known.error(), "WITHIN holds no id", "{text:?}");
        known.home.store.set_identity(&known.beside, StoreId::new([1; 16])).unwrap();
        known.home.store.identify(&known.beside).unwrap();
    }
}

#[test]
fn an_id_that_another_user_can_have_made_proves_nothing() {
    let spoils: [fn(&Path); 4] = [
        |path| {
            fs::remove_file(path).unwrap();
            if path.ends_with(".store-id") {
                fs::create_dir(path).unwrap();
                fs::write(path.join("planted"), "").unwrap();
            }
        },
        |path| chown(path, Some(1000), None).unwrap(),
        |path| fs::set_permissions(path, Permissions::from_mode(0o664)).unwrap(),
        |path| {
            fs::rename(path, path.with_extension("aside")).unwrap();
            symlink(path.with_extension("aside"), path).unwrap();
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
