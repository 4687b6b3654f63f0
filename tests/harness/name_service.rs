//! A service of the name service that a test writes, in C, in an /etc of its own.

use crate::{machine, users};
use std::{fs, path::PathBuf, process::Command};
use tempfile::TempDir;

/// An /etc of its own, whose nsswitch.conf names the service.
#[derive(Debug)]
pub struct NameService {
    etc: TempDir,
    name: String,
    library: PathBuf,
}

impl NameService {
    /// `source` is C, in which NAME stands for the name of the service; it may read /etc/nss-test. `lines` are lines of
    /// nsswitch.conf, in which SERVICE stands for it.
    ///
    /// # Panics
    /// Outside the machine, or if the source cannot be compiled.
    pub fn new(source: &str, lines: &str) -> NameService {
        machine::require("a library in /usr/lib");
        let name = machine::unique("t").replace('-', "");
        let (etc, build) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        users::copy_etc(etc.path());
        let file = build.path().join("service.c");
        fs::write(&file, source.replace("NAME", &name)).unwrap();
        let libraries = machine::run(Command::new("gcc").arg("-print-file-name=libc.so.6"));
        let folder = fs::canonicalize(libraries.trim()).unwrap();
        let library = folder.with_file_name(format!("libnss_{name}.so.2"));
        machine::run(Command::new("gcc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&file));
        let this = NameService { etc, name, library };
        this.switch(lines);
        this
    }

    /// Other lines of nsswitch.conf. Users are those of /etc/passwd, unless a line says otherwise.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn switch(&self, lines: &str) {
        let lines = lines.replace("SERVICE", &self.name);
        let users = if lines.contains("passwd:") { "" } else { "passwd: files\n" };
        fs::write(self.etc.path().join("nsswitch.conf"), format!("{users}{lines}\n")).unwrap();
    }

    /// What /etc/nss-test holds.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn says(&self, text: &str) {
        fs::write(self.etc.path().join("nss-test"), text).unwrap();
    }

    /// A command that sees this /etc.
    pub fn around(&self, command: &Command) -> Command {
        let mut around = Command::new("unshare");
        around.args(["--mount", "sh", "-c", "mount --bind \"$1\" /etc && shift && exec \"$@\"", "sh"]);
        around.arg(self.etc.path()).arg(command.get_program()).args(command.get_args());
        around
    }
}

impl Drop for NameService {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.library);
    }
}
