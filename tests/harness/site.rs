//! A configuration with its state directory: a test's own, or the machine's.

use crate::machine;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// Where the module, the helper and otp-enroll look by default.
const CONFIG: &str = "/etc/pam_otp/pam_otp.toml";
/// The machine's records. On the real disk, and with it every state directory beneath it.
pub const STATE: &str = "/var/lib/pam_otp";
/// The helper, where the product under test has it: `make check` tests the programs of the package.
pub const HELPER: &str = match option_env!("PAM_OTP_HELPER") {
    Some(path) => path,
    None => "/usr/local/libexec/pam_otp/otp-helper",
};

/// The key of the bytes 0 to 31, with its id.
pub const SEAL_KEY: &[u8; 52] = b"pam_otp keys 1 s\x27\x6a\x29\xfe\
    \x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\
    \x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";

/// A configuration file and the records it names.
#[derive(Clone, Debug)]
pub struct Site {
    config: PathBuf,
    state: PathBuf,
    window: i64,
}

impl Site {
    /// A site of the test's own. It accepts ten steps on each side, so that many codes are good at once and no test
    /// waits for the next; `lines` are tables of the configuration (`[lockout]` and so on, but for `[code]`).
    ///
    /// # Panics
    /// Outside the machine, or where the product is not installed.
    pub fn new(lines: &str) -> Site {
        machine::require("a state directory");
        let name = machine::unique("site");
        let (dir, state) = (PathBuf::from("/run/pam-otp-sites").join(&name), Path::new(STATE).join(&name));
        machine::run(Command::new("install").args(["-d", "-m", "0755"]).arg(&dir));
        machine::run(Command::new("install").args(["-d", "-m", "1730", "-o", "root", "-g", "pam_otp"]).arg(&state));
        let site = Site { config: dir.join("pam_otp.toml"), state, window: 10 };
        identify(&site.config, &site.state);
        site.set(lines);
        site
    }

    /// The machine's own, as it was installed: the only one that the helper knows.
    ///
    /// # Panics
    /// Outside the machine, or where the product is not installed.
    pub fn of_the_machine() -> Site {
        machine::require("an enrollment");
        assert!(Path::new(CONFIG).exists(), "{CONFIG} is missing: install the product first (make check-inside)");
        Site { config: CONFIG.into(), state: STATE.into(), window: 1 }
    }

    /// Other tables of the configuration from now on.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn set(&self, lines: &str) {
        let common = format!("state_directory = \"{}\"\n[code]\nwindow = {}\n", self.state.display(), self.window);
        self.write(&(common + lines));
    }

    /// Another configuration from now on, which may have settings before its tables, and a table `[code]`: this site's own
    /// keys are put in their places.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn set_with_table(&self, lines: &str) {
        let window = format!("[code]\nwindow = {}\n", self.window);
        let lines = if lines.contains("[code]") {
            lines.replacen("[code]\n", &window, 1)
        } else {
            lines.to_owned() + "\n" + &window
        };
        self.write(&format!("state_directory = \"{}\"\n{lines}\n", self.state.display()));
    }

    /// Another configuration from now on, as a whole.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write(&self, text: &str) {
        fs::write(&self.config, text).unwrap();
        fs::set_permissions(&self.config, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// The configuration in `config/examples/NAME.toml` from now on, but for this site's own keys.
    ///
    /// # Panics
    /// When there is no such example.
    pub fn set_example(&self, name: &str) {
        let example = example(&format!("{name}.toml"));
        let (state, window) = (self.state.display(), self.window);
        self.write(&format!("state_directory = \"{state}\"\n{example}\n[code]\nwindow = {window}\n"));
    }

    /// The helpers that hosts of root have started with this configuration, by process id.
    ///
    /// # Panics
    /// Without /proc.
    pub fn helpers(&self) -> Vec<String> {
        let command = format!("otp-helper\0{}\0", self.config.display());
        let names = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        // Others end while they are looked at.
        names.filter(|name| fs::read_to_string(format!("/proc/{name}/cmdline")).is_ok_and(|is| is == command)).collect()
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Steps accepted on each side of the present one.
    pub(crate) fn window(&self) -> i64 {
        self.window
    }

    /// The module for this site, as a line of a PAM file names it.
    pub fn module(&self) -> String {
        format!("pam_otp.so config={}", self.config.display())
    }

    /// A line of a PAM file that calls it: `required` and `nullok`, say.
    pub fn auth(&self, control: &str, arguments: &str) -> String {
        format!("auth {control} {} {arguments}\n", self.module())
    }

    /// Lines for all groups that enrollment during a login needs, and others for where the module steps aside: every
    /// password is right.
    pub fn set_up_stack(&self) -> String {
        let module = self.module();
        format!(
            "auth required {module} enroll\nauth required pam_permit.so\n\
             account required {module}\naccount required pam_permit.so\n\
             password [success=done ignore=ignore default=die] {module}\npassword required pam_deny.so\n"
        )
    }

    /// The lines of `config/examples/pam.d/NAME`, with this site's configuration where that is not the machine's.
    ///
    /// # Panics
    /// When there is no such example.
    pub fn example(&self, name: &str) -> String {
        let lines = example(&format!("pam.d/{name}"));
        if self.config == Path::new(CONFIG) { lines } else { lines.replace("pam_otp.so", &self.module()) }
    }

    /// From now on seeds are sealed, under a key in a file beside the configuration, and so is the record of this user.
    ///
    /// # Panics
    /// When a file cannot be written.
    pub fn seal(&self, user: &str) {
        self.give_seal_keys();
        // Whatever changes a record writes it again.
        self.admin(&["require", user]);
        self.admin(&["unrequire", user]);
        let sealed = fs::read_to_string(self.credentials(user)).unwrap();
        assert!(sealed.contains("\nsealed = ") && !sealed.contains("\nsecret = "), "{sealed}");
    }

    /// From now on each record that is written is sealed.
    ///
    /// # Panics
    /// When the keys cannot be written.
    pub fn give_seal_keys(&self) {
        let keys = self.with_own_seal_keys();
        fs::write(&keys, SEAL_KEY).unwrap();
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o400)).unwrap();
    }

    /// From now on the configuration names a file of this site's own for the keys of sealed seeds.
    ///
    /// # Panics
    /// When the configuration cannot be written.
    pub fn with_own_seal_keys(&self) -> PathBuf {
        let (keys, text) = (self.seal_keys(), fs::read_to_string(&self.config).unwrap());
        let line = format!("seal_keys = \"{}\"\n", keys.display());
        if !text.starts_with(&line) {
            self.write(&(line + &text));
        }
        keys
    }

    /// The file with the keys of sealed seeds, where the configuration names it.
    pub fn seal_keys(&self) -> PathBuf {
        self.config.with_file_name("seal-keys")
    }

    /// The same as a whole stack, whose session line lets every user in.
    ///
    /// # Panics
    /// When there is no such example.
    pub fn example_stack(&self, name: &str) -> String {
        self.example(name) + "session required pam_permit.so\n"
    }

    /// The file with a user's credentials.
    pub fn credentials(&self, user: &str) -> PathBuf {
        self.state.join(format!("{user}.toml"))
    }

    /// The file with what the last logins left behind.
    pub fn state_file(&self, user: &str) -> PathBuf {
        self.state.join(format!("{user}.state"))
    }

    /// The names in the state directory, without the id that is always there, the index by number, and the count of changes.
    ///
    /// # Panics
    /// When the folder cannot be read, or the id is missing.
    pub fn files(&self) -> BTreeSet<String> {
        let names = fs::read_dir(&self.state).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        let mut names: BTreeSet<_> = names.filter(|name| !name.starts_with(".uid-") && name != ".changes").collect();
        assert!(names.remove(".store-id"), "no id in {}: {names:?}", self.state.display());
        names
    }

    /// Replaces a text in a user's credentials, which stay the same file.
    ///
    /// # Panics
    /// When the text is not there.
    pub fn edit(&self, user: &str, from: &str, to: &str) {
        let path = self.credentials(user);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is not in {}", path.display());
        overwrite(&path, text.replacen(from, to, 1));
    }

    /// `otp-enroll admin` for this site.
    ///
    /// # Panics
    /// When it fails.
    pub fn admin(&self, arguments: &[&str]) -> String {
        machine::run(self.admin_command().args(arguments))
    }

    /// The same, to be run by the test in its own way.
    pub fn admin_command(&self) -> Command {
        let mut command = self.otp_enroll();
        command.arg("admin");
        command
    }

    /// `otp-enroll` for this user's own account, by root.
    pub fn own_command(&self, user: &str) -> Command {
        let mut command = self.otp_enroll();
        command.args(["--user", user]);
        command
    }

    fn otp_enroll(&self) -> Command {
        let mut command = Command::new("otp-enroll");
        command.arg("--config").arg(&self.config);
        command
    }
}

/// Gives a folder of a configuration the id of the machine's records.
///
/// # Panics
/// When there is none.
pub fn same_id(folder: &Path) {
    symlink(fs::read_link("/etc/pam_otp/store-id").unwrap(), folder.join("store-id")).unwrap();
}

/// Gives a configuration and its state directory the same id, as `otp-enroll admin init-store` does.
///
/// # Panics
/// When a link cannot be made.
pub fn identify(config: &Path, state: &Path) {
    for id in [config.with_file_name("store-id"), state.join(".store-id")] {
        // All sites of tests have one id: some share the folder of their configurations.
        let incoming = id.with_extension(machine::unique("id"));
        symlink("0123456789abcdef0123456789abcdef", &incoming).unwrap();
        fs::rename(incoming, id).unwrap();
    }
}

fn example(name: &str) -> String {
    let path = machine::source("config/examples").join(name);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// Writes into an existing file of any owner. Without O_CREAT: with that, Linux keeps even root from files
/// of others in a sticky directory (fs.protected_regular).
pub fn overwrite(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, content.as_ref()).unwrap();
}
