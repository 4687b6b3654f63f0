//! Anything but a regular file of the user's own is an error, at once.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::stat::{SFlag, makedev, mknod};
use nix::unistd::mkfifo;

use super::*;

const FILES: [&str; 2] = ["alice.toml", "alice.state"];

/// Spoils one of Alice's files, and returns the error that must follow.
type Spoil = fn(&Path) -> &'static str;

fn refusal(home: &Home) -> String {
    let directory = format!("{}/", home.directory.path().display());
    home.login(&right()).unwrap_err().to_string().replace(&directory, "")
}

fn aside(path: &Path) {
    fs::rename(path, path.with_extension("aside")).unwrap();
}

fn owned_by_alice(path: &Path) {
    chown(path, Some(1000), Some(1000)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn only_a_plain_file_of_the_users_own_is_trusted() {
    let spoils: [Spoil; 11] = [
        |path| {
            aside(path);
            symlink(path.with_extension("aside"), path).unwrap();
            "is a symbolic link"
        },
        |path| {
            aside(path);
            symlink("nowhere", path).unwrap();
            "is a symbolic link"
        },
        |path| {
            aside(path);
            mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
            owned_by_alice(path);
            "is not a regular file"
        },
        |path| {
            aside(path);
            fs::create_dir(path).unwrap();
            owned_by_alice(path);
            "is not a regular file"
        },
        |path| {
            aside(path);
            mknod(path, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, makedev(1, 5)).unwrap();
            owned_by_alice(path);
            "is not a regular file"
        },
        |path| {
            fs::hard_link(path, path.with_extension("other")).unwrap();
            "has 2 hard links and must have one"
        },
        |path| {
            chown(path, Some(1001), None).unwrap();
            "belongs to uid 1001, not to its user"
        },
        |path| {
            chown(path, Some(0), None).unwrap();
            "belongs to uid 0, not to its user"
        },
        |path| {
            fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap();
            "has mode 0640 and must have 0600"
        },
        |path| {
            fs::set_permissions(path, Permissions::from_mode(0o601)).unwrap();
            "has mode 0601 and must have 0600"
        },
        |path| {
            fs::set_permissions(path, Permissions::from_mode(0o620)).unwrap();
            "has mode 0620 and must have 0600"
        },
    ];
    for name in FILES {
        for spoil in spoils {
            let home = Home::enrolled();
            let expected = spoil(&home.path(name));
            assert_eq!(refusal(&home), format!("{name} {expected}"));
            assert!(home.store.read(&alice()).is_err(), "{expected}");
        }
    }
}

#[test]
fn a_socket_is_refused() {
    for name in FILES {
        let home = Home::enrolled();
        aside(&home.path(name));
        let _listener = UnixListener::bind(home.path(name)).unwrap();
        owned_by_alice(&home.path(name));
        assert_eq!(refusal(&home), format!("cannot open {name}: No such device or address"));
    }
}

#[test]
fn a_file_that_this_program_did_not_write_is_an_error() {
    type Case = (&'static str, fn(&mut Vec<u8>), &'static str);
    let cases: [Case; 12] = [
        ("alice.toml", Vec::clear, "cannot be read: it ends before version"),
        ("alice.toml", |text| text.truncate(150), "cannot be read: line 5: enrollment has an invalid value"),
        ("alice.toml", |text| text.resize(70_000, b'\n'), "cannot be read: it is too large"),
        ("alice.toml", |text| text.push(0xff), "cannot be read: it is not UTF-8"),
        ("alice.toml", |text| swap(text, "version = 1", "version = 3"), "has version 3; this program reads version 1"),
        ("alice.toml", |text| swap(text, "\"alice\"", "\"bob\""), "was made for \"bob\" with uid 1000"),
        ("alice.toml", |text| swap(text, "uid = 1000", "uid = 1001"), "was made for \"alice\" with uid 1001"),
        ("alice.state", Vec::clear, NEITHER),
        ("alice.state", |text| text.truncate(2048), NEITHER),
        ("alice.state", |text| text.truncate(4095), NEITHER),
        ("alice.state", |text| text.push(b'\n'), NEITHER),
        ("alice.state", |text| swap(text, "pam_otp-state 1", "pam_otp-state 2"), NEITHER),
    ];
    for (name, spoil, expected) in cases {
        let home = Home::enrolled();
        let mut contents = fs::read(home.path(name)).unwrap();
        spoil(&mut contents);
        overwrite(home.path(name), contents);
        assert_eq!(refusal(&home), format!("{name} {expected}"));
    }
}

const NEITHER: &str = "cannot be read: neither slot holds a state of this enrollment";

fn swap(text: &mut Vec<u8>, from: &str, to: &str) {
    let changed = String::from_utf8(text.clone()).unwrap().replacen(from, to, 1);
    assert_ne!(changed.as_bytes(), text.as_slice());
    *text = changed.into_bytes();
}

#[test]
fn a_new_account_with_an_old_name_is_another_user() {
    let home = Home::enrolled();
    let successor = named("alice", 1001);
    let error = home.store.load(&successor).err().unwrap().to_string();
    assert!(error.ends_with("alice.state belongs to uid 1000, not to its user"), "{error}");
    // Not even if the files were given to the new account.
    FILES.iter().for_each(|name| chown(home.path(name), Some(1001), None).unwrap());
    let error = home.store.load(&successor).err().unwrap().to_string();
    assert!(error.ends_with("alice.toml was made for \"alice\" with uid 1000"), "{error}");
}

#[test]
fn an_enrollment_never_writes_through_a_link_or_a_fifo() {
    let home = Home::empty();
    symlink("/etc/passwd", home.path("alice.toml")).unwrap();
    assert_eq!(home.store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).unwrap(), Swap::Lost);
    let home = Home::empty();
    symlink("/etc/passwd", home.path("alice.state")).unwrap();
    assert!(home.store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).is_err());
    let home = Home::empty();
    mkfifo(&home.path("alice.state"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    assert!(home.store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).is_err());
    let home = Home::empty();
    fs::write(home.path("victim"), "untouched").unwrap();
    home.store.create("alice.state", &alice(), &BLANK).unwrap();
    symlink("victim", home.path(&home.temporary()[1])).unwrap();
    home.enroll(&alice());
    assert_eq!(fs::read(home.path("victim")).unwrap(), b"untouched");
}

#[test]
fn a_leftover_state_of_another_user_is_not_reused() {
    let home = Home::empty();
    home.store.create("alice.state", &named("bob", 1001), &BLANK).unwrap();
    let error = home.store.replace(&alice(), None, &record(vec![phone(1)]), &NOTE).unwrap_err().to_string();
    assert!(error.ends_with("alice.state belongs to uid 1001, not to its user"), "{error}");
    assert_eq!(home.names(), ["alice.state"]);
}

#[test]
fn a_temporary_file_that_no_killed_process_can_have_left_is_not_reused() {
    let temporary = "alice.new-state-by-root";
    for kind in ["symbolic link", "hard link", "fifo", "of another user", "of mode 0666"] {
        let home = Home::empty();
        let (victim, temporary) = (home.path("victim"), home.path(temporary));
        fs::write(&victim, "untouched").unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
        match kind {
            "symbolic link" => symlink(&victim, &temporary).unwrap(),
            "hard link" => fs::hard_link(&victim, &temporary).unwrap(),
            "fifo" => mkfifo(&temporary, Mode::S_IRUSR | Mode::S_IWUSR).unwrap(),
            _ => drop(fs::copy(&victim, &temporary).unwrap()),
        }
        // Held open, so that no new file gets its inode number.
        let planted = (!["fifo", "symbolic link"].contains(&kind)).then(|| File::open(&temporary).unwrap());
        if kind == "of another user" {
            chown(&temporary, Some(1001), Some(1001)).unwrap();
        }
        if kind == "of mode 0666" {
            fs::set_permissions(&temporary, Permissions::from_mode(0o666)).unwrap();
        }
        let inode = fs::symlink_metadata(&temporary).unwrap().ino();
        home.enroll(&alice());
        assert_eq!(fs::read(&victim).unwrap(), b"untouched", "{kind}");
        assert_eq!(home.names(), ["alice.state", "alice.toml", "victim"], "{kind}");
        let state = fs::metadata(home.path("alice.state")).unwrap();
        assert!(planted.is_none() || state.ino() != inode, "{kind}");
        assert_eq!(home.login(&right()).unwrap(), by_phone(), "{kind}");
    }
}

#[test]
fn purging_follows_no_link_and_waits_for_no_fifo() {
    let home = Home::empty();
    fs::write(home.path("victim"), "untouched").unwrap();
    symlink("victim", home.path("alice.toml")).unwrap();
    mkfifo(&home.path("alice.state"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    assert!(home.store.purge(&alice()).unwrap());
    assert_eq!(home.names(), ["victim"]);
    symlink("victim", home.path("alice.state")).unwrap();
    assert!(home.store.purge(&alice()).unwrap());
    assert_eq!(fs::read(home.path("victim")).unwrap(), b"untouched");
}

#[test]
fn purging_is_not_stopped_by_a_folder_in_place_of_a_file() {
    for file in ["alice.toml", "alice.state", "incoming", "alice.new-state-by-root"] {
        for contents in [0, 1] {
            for round in 0..2 {
                let home = Home::enrolled();
                for number in 0..=round {
                    if number > 0 {
                        home.enroll(&alice());
                    }
                    let incoming = home.temporary()[0].clone();
                    let file = if file == "incoming" { &incoming } else { file };
                    let _ = fs::remove_file(home.path(file));
                    fs::create_dir(home.path(file)).unwrap();
                    (0..contents).for_each(|_| fs::write(home.path(file).join("precious"), "kept").unwrap());
                    assert!(home.store.purge(&alice()).unwrap(), "{file}");
                }
                let aside = home.names();
                assert_eq!(aside.len(), contents * (round + 1), "{aside:?}");
                for name in aside {
                    assert!(name.starts_with(".set-aside-"), "{name}");
                    assert_eq!(fs::read(home.path(&name).join("precious")).unwrap(), b"kept");
                }
                home.enroll(&alice());
                assert_eq!(home.login(&right()).unwrap(), by_phone());
            }
        }
    }
}

#[test]
fn a_directory_that_other_users_can_change_is_refused() {
    let home = Home::empty();
    let path = home.directory.path();
    let open = || FileStore::open(path).err().map(|error| error.to_string().replace(&*path.to_string_lossy(), "DIR"));
    for mode in [0o1730, 0o0700, 0o1710, 0o0710] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(open(), None, "{mode:o}");
    }
    for mode in [0o0730, 0o1731, 0o1732, 0o1734, 0o1777, 0o0777, 0o0755] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(open(), Some(format!("DIR/ has mode {mode:04o} and must have 1730")));
    }
    fs::set_permissions(path, Permissions::from_mode(0o1730)).unwrap();
    chown(path, Some(1000), None).unwrap();
    assert_eq!(open().unwrap(), "DIR/ belongs to uid 1000, not to root");
}

#[test]
fn a_path_that_is_no_directory_is_refused() {
    let home = Home::empty();
    let error = |path: &str| FileStore::open(&home.path(path)).err().unwrap();
    let missing = error("missing");
    let text = format!("cannot open {}: No such file or directory", home.path("missing").display());
    assert_eq!(missing.to_string(), text);
    assert_eq!(
        missing.hint(),
        "if the state directory is missing, install the package again or run `make install`; one of your own: install -d -o root -g pam_otp -m 1730 FOLDER"
    );
    fs::write(home.path("file"), "").unwrap();
    assert!(error("file").to_string().ends_with("/file: Not a directory"));
    symlink(home.directory.path(), home.path("link")).unwrap();
    assert!(error("link").to_string().ends_with("/link: Not a directory"));
    mkfifo(&home.path("fifo"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    assert!(error("fifo").to_string().ends_with("/fifo: Not a directory"));
}

#[test]
fn a_new_file_never_replaces_an_existing_one() {
    let home = Home::empty();
    fs::write(home.path("planted"), "planted").unwrap();
    symlink("elsewhere", home.path("link")).unwrap();
    for name in ["planted", "link"] {
        let error = home.store.create(name, &alice(), b"a seed").unwrap_err().to_string();
        assert!(error.ends_with(&format!("/{name}: File exists")), "{error}");
    }
    assert_eq!(fs::read_to_string(home.path("planted")).unwrap(), "planted");
    assert_eq!(home.names(), ["link", "planted"]);
}

#[test]
fn programs_that_a_host_starts_inherit_no_descriptor() {
    let Home { directory, store } = Home::enrolled();
    let read = store.open_file("alice.toml", OFlag::O_RDONLY).unwrap().unwrap();
    let written = store.open_file("alice.state", OFlag::O_RDWR).unwrap().unwrap();
    let made = store.create("alice.new", &alice(), b"").unwrap();
    for descriptor in [store.directory, read.into(), written.into(), made.into()] {
        assert_eq!(fcntl(descriptor, FcntlArg::F_GETFD).unwrap(), FdFlag::FD_CLOEXEC.bits());
    }
    drop(directory);
}

#[test]
fn a_rehearsal_writes_only_its_own_file() {
    let home = Home::enrolled();
    let before = fs::read_to_string(home.path("alice.state")).unwrap();
    fs::hard_link(home.path("alice.state"), home.path(REHEARSAL)).unwrap();
    home.store.rehearse(&alice(), &NOTE).unwrap();
    fs::remove_file(home.path(REHEARSAL)).unwrap();
    assert_eq!(fs::read_to_string(home.path("alice.state")).unwrap(), before);
    let roots_own = home.path("roots-own");
    fs::write(&roots_own, "precious").unwrap();
    fs::set_permissions(&roots_own, Permissions::from_mode(0o600)).unwrap();
    for target in ["alice.state", "roots-own"] {
        symlink(target, home.path(REHEARSAL)).unwrap();
        home.store.rehearse(&alice(), &NOTE).unwrap();
        fs::remove_file(home.path(REHEARSAL)).unwrap();
    }
    assert_eq!(fs::read_to_string(home.path("alice.state")).unwrap(), before);
    assert_eq!(fs::read_to_string(roots_own).unwrap(), "precious");
    mkfifo(&home.path(REHEARSAL), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    home.store.rehearse(&alice(), &NOTE).unwrap();
}
