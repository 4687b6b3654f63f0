//! `admin seal` and `admin seal --rotate`, killed before each call that changes something, and with a full disk: the user logs in
//! all the same, and the same command goes on.
#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{desk::Desk, injection::report, outcome::Outcome, site::overwrite};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
};

/// What changes a file. Each thread counts its own calls.
const CHANGES: &str = "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,fchmod,fchown,flock";

struct Scene {
    desk: Desk,
    /// The folder of the configuration, in which keeper and keys are.
    folder: PathBuf,
    kept: Vec<(PathBuf, Vec<u8>)>,
}

impl Scene {
    fn new() -> Scene {
        let desk = Desk::new("");
        desk.site.with_own_seal_keys();
        let folder = desk.site.config().parent().unwrap().to_owned();
        let mut scene = Scene { desk, folder, kept: Vec::new() };
        scene.keep();
        scene
    }

    fn keys(&self) -> [PathBuf; 3] {
        ["seal/keys", "seal-keys", "key file"].map(|name| self.folder.join(name))
    }

    fn records(&self) -> [PathBuf; 2] {
        let (site, user) = (&self.desk.site, &self.desk.user.name);
        [site.state_file(user), site.credentials(user)]
    }

    /// What there is now is how each run begins.
    fn keep(&mut self) {
        let there = self.records().into_iter().chain(self.keys());
        self.kept = there.filter_map(|path| Some((path.clone(), fs::read(&path).ok()?))).collect();
    }

    fn put_back(&self) {
        let _ = fs::remove_dir_all(self.folder.join("seal"));
        for path in self.keys() {
            let _ = fs::remove_file(path);
        }
        for (path, content) in &self.kept {
            if self.records().contains(path) {
                overwrite(path, content);
                continue;
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o400)).unwrap();
        }
    }

    fn seal(&self, arguments: &[&str]) -> Command {
        let mut command = self.desk.site.admin_command();
        command.arg("seal").args(arguments).arg("--yes");
        command
    }

    fn key_file(&self) -> String {
        self.folder.join("key file").to_str().unwrap().to_owned()
    }

    fn accepts(&self, code: i64) -> bool {
        self.desk.talk().run(&[self.desk.phone.code(code)]).result("authenticate") == "PAM_SUCCESS"
    }

    fn is_sealed(&self) -> bool {
        fs::read_to_string(&self.records()[1]).unwrap().contains("\nsealed = ")
    }

    /// Kills the command at each of its calls.
    fn killed_everywhere(&self, name: &str, arguments: &[&str]) {
        let (mut killed, mut sealed) = (0, 0);
        for number in 1.. {
            self.put_back();
            let command = self.seal(arguments);
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={CHANGES}:signal=KILL:when={number}")]);
            let outcome = Outcome::of(strace.arg(command.get_program()).args(command.get_args()), "");
            let is_done = outcome.code == Some(0);
            assert!(self.accepts(0), "{number}: {outcome:?}");
            sealed += usize::from(self.is_sealed() && !is_done);
            let again = Outcome::of(&mut self.seal(arguments), "");
            assert_eq!(again.code, Some(0), "{number}: {again:?}\nafter {outcome:?}");
            assert!(self.is_sealed() && self.accepts(1), "{number}: {again:?}");
            let [_, unpacked, _] = self.keys();
            assert_eq!(fs::read(unpacked).unwrap().len(), 52, "{number}: one key is left");
            if is_done {
                break;
            }
            killed += 1;
        }
        report(&format!(
            "{name}: killed at {killed} calls, {sealed} times after the record was sealed, with nothing lost"
        ));
        assert!(killed > 20, "{killed}");
    }
}

#[test]
fn sealing_that_is_killed_loses_nothing_and_goes_on() {
    let scene = Scene::new();
    scene.killed_everywhere("seal", &["--key-file", &scene.key_file()]);
}

#[test]
fn a_new_key_that_is_killed_loses_nothing_and_goes_on() {
    let mut scene = Scene::new();
    assert_eq!(Outcome::of(&mut scene.seal(&["--key-file", &scene.key_file()]), "").code, Some(0));
    scene.keep();
    scene.killed_everywhere("seal --rotate", &["--rotate"]);
}

#[test]
fn a_full_disk_leaves_plain_records_and_what_is_sealed() {
    let scene = Scene::new();
    for number in 1..=40 {
        scene.put_back();
        let command = scene.seal(&["--key-file", &scene.key_file()]);
        let mut strace = Command::new("strace");
        let inject = format!("inject=write,pwrite64,fsync:error=ENOSPC:when={number}+");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]);
        let outcome = Outcome::of(strace.arg(command.get_program()).args(command.get_args()), "");
        assert!(scene.accepts(0), "{number}: {outcome:?}");
        let again = Outcome::of(&mut scene.seal(&["--key-file", &scene.key_file()]), "");
        assert!(
            again.code == Some(0) && scene.is_sealed() && scene.accepts(1),
            "{number}: {again:?}\nafter {outcome:?}"
        );
        if outcome.code == Some(0) {
            return;
        }
    }
}
