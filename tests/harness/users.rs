//! Throwaway users, on a throwaway machine.

use crate::{held::Held, machine};
use std::{
    fs,
    io::Write,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A user with a home folder and a password.
#[derive(Clone, Debug)]
pub struct TestUser {
    /// The login name, unique in this run.
    pub name: String,
    /// The password, known to `/etc/shadow`.
    pub password: String,
    /// The home folder.
    pub home: PathBuf,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
}

impl TestUser {
    /// `stem-PID-NNNN`, by useradd and chpasswd.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn new(stem: &str) -> TestUser {
        TestUser::named(&machine::unique(stem))
    }

    /// The same with this very name, for pictures.
    ///
    /// # Panics
    /// Outside the machine, or where there is a user of that name.
    pub fn named(name: &str) -> TestUser {
        machine::require("a new user");
        let name = name.to_owned();
        let password = format!("pw of {name}."); // without the dot its end could look like a passcode
        {
            let _one_at_a_time = account_lock(); // useradd does not wait for its lock, it gives up
            machine::run(Command::new("useradd").args(["--create-home", "--shell", "/bin/bash", &name]));
            set_password(&name, &password);
        }
        let number =
            |option| machine::run(Command::new("id").args([option, name.as_str()])).trim_end().parse().unwrap();
        TestUser { uid: number("-u"), gid: number("-g"), home: PathBuf::from(format!("/home/{name}")), password, name }
    }

    /// Another password.
    ///
    /// # Panics
    /// When chpasswd refuses it.
    pub fn set_password(&mut self, password: &str) {
        let _one_at_a_time = account_lock();
        set_password(&self.name, password);
        password.clone_into(&mut self.password);
    }

    /// Another login name for the same number, as some machines have for root.
    ///
    /// # Panics
    /// When useradd refuses.
    pub fn another_name(&self) -> String {
        let name = machine::unique("another");
        let (uid, gid) = (self.uid.to_string(), self.gid.to_string());
        change(Command::new("useradd").args(["--non-unique", "--uid", &uid, "--gid", &gid, "--no-create-home", &name]));
        name
    }

    /// Login names of new users without password and with / as home folder, all by one call of newusers.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn many(stem: &str, count: usize) -> Vec<String> {
        machine::require("new users");
        let names: Vec<String> = (0..count).map(|_| machine::unique(stem)).collect();
        let lines: String = names.iter().map(|name| format!("{name}:x::::/:/bin/false\n")).collect();
        let list = tempfile::NamedTempFile::new().unwrap();
        fs::write(list.path(), lines).unwrap();
        change(Command::new("newusers").arg(list.path()));
        names
    }

    /// Puts the user into a group that exists.
    ///
    /// # Panics
    /// When usermod refuses.
    pub fn join(&self, group: &str) {
        change(Command::new("usermod").args(["--append", "--groups", group, &self.name]));
    }

    /// `program` as this user: own ids, no other groups, in the home folder, with a login's environment.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.uid(self.uid).gid(self.gid).current_dir(&self.home).env_clear().envs(self.environment());
        command
    }

    /// What login(1) would set.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("HOME", self.home.display().to_string()),
            ("USER", self.name.clone()),
            ("LOGNAME", self.name.clone()),
            ("SHELL", "/bin/bash".to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ]
    }

    /// Writes a file into the home folder, owned by the user.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.home.join(name);
        let dir = path.parent().unwrap();
        if !dir.exists() {
            fs::create_dir(dir).unwrap();
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
            chown(dir, Some(self.uid), Some(self.gid)).unwrap();
        }
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        chown(&path, Some(self.uid), Some(self.gid)).unwrap();
        path
    }
}

// Debian's own hash is made to take long, here and at each login. What is tested comes before or after.
fn set_password(name: &str, password: &str) {
    let mut chpasswd =
        Command::new("chpasswd").args(["--crypt-method", "SHA512"]).stdin(Stdio::piped()).spawn().unwrap();
    writeln!(chpasswd.stdin.take().unwrap(), "{name}:{password}").unwrap();
    assert!(chpasswd.wait().unwrap().success(), "chpasswd refused {name}");
}

/// Users who are in /etc/passwd and nowhere else, as many as a test wants. The lines go when this goes.
#[derive(Debug)]
pub struct Crowd {
    /// Login names.
    pub names: Vec<String>,
    stem: String,
}

impl Crowd {
    /// So many, whom nothing lets in.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn new(count: usize) -> Crowd {
        machine::require("new users");
        let stem = machine::unique("crowd") + "-";
        let names: Vec<String> = (0..count).map(|number| format!("{stem}{number}")).collect();
        // useradd gives no account a number like these.
        let line = |(uid, name): (u32, &String)| format!("{name}:x:{uid}:{uid}::/:/bin/false\n");
        let lines: String = (1_000_000..).zip(&names).map(line).collect();
        let _one_at_a_time = account_lock();
        replace_accounts(&(fs::read_to_string(ACCOUNTS).unwrap() + &lines));
        Crowd { names, stem }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _one_at_a_time = account_lock();
        let others = fs::read_to_string(ACCOUNTS).unwrap();
        let others = others.split_inclusive('\n').filter(|line| !line.starts_with(&self.stem));
        replace_accounts(&others.collect::<String>());
    }
}

const ACCOUNTS: &str = "/etc/passwd";

/// By renaming: a process that looks up an account meanwhile finds the one list or the other.
fn replace_accounts(text: &str) {
    let beside = format!("{ACCOUNTS}.new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, ACCOUNTS).unwrap();
}

/// An /etc of its own for some commands, in whose list of users there are few: no other test makes or removes any there.
///
/// The whole folder, since a file that is mounted over /etc/passwd is gone when another test replaces that.
#[derive(Debug)]
pub struct FewUsers {
    etc: tempfile::TempDir,
    names: Vec<String>,
}

impl FewUsers {
    /// Root and these.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn new(names: &[&str]) -> FewUsers {
        machine::require("a list of users");
        let etc = tempfile::tempdir().unwrap();
        copy_etc(etc.path());
        FewUsers { etc, names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// A command among them.
    ///
    /// # Panics
    /// When the list cannot be written.
    pub fn among(&self, command: &Command) -> Command {
        let is_one = |line: &&str| {
            let name = line.split(':').next();
            name == Some("root") || self.names.iter().any(|known| name == Some(known))
        };
        let all = fs::read_to_string(ACCOUNTS).unwrap();
        let few: String = all.split_inclusive('\n').filter(is_one).collect();
        fs::write(self.etc.path().join("passwd"), few).unwrap();
        let mut among = Command::new("unshare");
        let script = "mount --bind \"$1\" /etc && shift && exec \"$@\"";
        among.args(["--mount", "sh", "-c", script, "sh"]).arg(self.etc.path());
        among.arg(command.get_program()).args(command.get_args());
        among
    }
}

/// A new group.
///
/// # Panics
/// Outside the machine.
pub fn new_group(stem: &str) -> String {
    machine::require("a new group");
    let name = machine::unique(stem);
    change(Command::new("groupadd").arg(&name));
    name
}

/// Makes the account of a service, as its package does, unless it is there.
///
/// # Panics
/// Outside the machine.
pub fn ensure_system_user(name: &str) {
    machine::require("the account of a service");
    let _one_at_a_time = account_lock();
    if !Command::new("getent").args(["passwd", name]).stdout(Stdio::null()).status().unwrap().success() {
        let mut useradd = Command::new("useradd");
        machine::run(useradd.args(["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]));
    }
}

/// Copies what is in /etc into a folder.
///
/// # Panics
/// When the lists of users are not copied.
pub fn copy_etc(folder: &Path) {
    let _one_at_a_time = account_lock();
    // Its exit code says whether everything was copied: a file of another test may go meanwhile.
    Command::new("cp").arg("-a").arg("/etc/.").arg(folder).stderr(Stdio::null()).status().unwrap();
    let has = |name: &str| folder.join(name).exists();
    assert!(has("passwd") && has("shadow") && has("nsswitch.conf") && has("pam.d/other"), "/etc is not copied");
}

/// Runs a command that changes accounts, one at a time with those of other tests.
///
/// # Panics
/// When it fails.
pub fn change(command: &mut Command) -> String {
    let _one_at_a_time = account_lock();
    machine::run(command)
}

/// Held while a command changes accounts: useradd and its like do not wait for their lock, they give up.
///
/// # Panics
/// Outside the machine.
pub fn account_lock() -> Held {
    machine::require("changing accounts");
    Held::take("accounts")
}
