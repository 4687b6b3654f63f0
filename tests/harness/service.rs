//! A PAM service of a test's own.

use crate::{held::Held, machine};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A service name with its stack; the file goes when this goes.
#[derive(Debug)]
pub struct Service {
    name: String,
    confdir: Option<TempDir>,
    replaced: Option<Vec<u8>>,
    _mine: Option<Held>, // locked as long as a name that others want too is ours
}

impl Service {
    /// A service in a folder of its own, for [`crate::conversation::Talk`] alone; works on the real machine too, as any
    /// user. What the stack leaves out is denied.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn private(stack: &str) -> Service {
        let confdir = tempfile::Builder::new().prefix("pam.d-").tempdir().unwrap();
        fs::set_permissions(confdir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let deny = "auth required pam_deny.so\naccount required pam_deny.so\n\
                    password required pam_deny.so\nsession required pam_deny.so\n";
        fs::write(confdir.path().join("other"), deny).unwrap();
        let service = Service { name: machine::unique("otp"), confdir: Some(confdir), replaced: None, _mine: None };
        service.set(stack);
        service
    }

    /// A service in the machine's /etc/pam.d, named `otp-STEM-PID-N`.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn installed(stem: &str, stack: &str) -> Service {
        Service::installed_as(machine::unique(&format!("otp-{stem}")), stack)
    }

    /// The same with the exact name, as for `su` and `sudo`, whose names are fixed. Tests that want the same name wait
    /// for each other, and the machine's own file comes back.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn installed_as(name: impl Into<String>, stack: &str) -> Service {
        let service = Service::held(name);
        service.set(stack);
        service
    }

    /// The machine's own service of that name, as it is, with no other test changing it meanwhile.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn held(name: impl Into<String>) -> Service {
        machine::require("a file in /etc/pam.d");
        let name = name.into();
        let mine = Held::take(&format!("service-{name}"));
        let replaced = fs::read(Path::new("/etc/pam.d").join(&name)).ok();
        Service { name, confdir: None, replaced, _mine: Some(mine) }
    }

    /// Another stack from now on. A `password` or `session` group it does not name is `other`'s.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn set(&self, stack: &str) {
        fs::write(self.path(), stack.trim_start().to_owned() + "\n").unwrap();
    }

    /// What an application calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder for `pam_start_confdir`, where it is not /etc/pam.d.
    pub fn confdir(&self) -> Option<&Path> {
        self.confdir.as_ref().map(TempDir::path)
    }

    /// The service's file.
    pub fn path(&self) -> PathBuf {
        self.confdir().unwrap_or(Path::new("/etc/pam.d")).join(&self.name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = match &self.replaced {
            Some(before) => fs::write(self.path(), before),
            None => fs::remove_file(self.path()),
        };
    }
}
