//! Which files change when a service is turned on. Nothing is changed here.

use std::fs;
use std::path::{Path, PathBuf};

use super::drop_in;
use super::kept::Change;
use super::lines::{self, Unfit};
use super::replace::{self, Odd};

use crate::admin::doctor::TWINS;
use crate::admin::doctor::sshd::{self, CONFIGURATIONS, SERVICE, Settings};
use crate::admin::doctor::sshd_files::{CONFIGURATION, Unknown};
use crate::admin::doctor::strangers::substack_to_include;
use crate::admin::doctor::sudoers::{self, Other};
use crate::error::{CliError, plain};
use crate::pam::pam_conf::Group;
use crate::pam::stack::{Folders, MODULE, PAM_FOLDERS, Place, Stack, is_leftover, is_part};

/// What is done to turn a service on.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) service: String,
    /// The service, and its twin: `sudo-i`.
    pub(super) names: Vec<String>,
    /// In the order in which they are written: sshd asks for codes before PAM does.
    pub(super) changes: Vec<Change>,
    /// What the files show now, where that is in another folder: a distribution's own.
    pub(super) shown: Vec<Option<Vec<u8>>>,
    /// The lines that are there already.
    pub(super) on: Vec<Place>,
    /// What people would not expect: services that are left as they are, and lines that are written otherwise.
    pub(super) remarks: Vec<String>,
}

/// The service that a person means: sshd is known as ssh.
pub(super) fn service_named(name: &str) -> Result<String, CliError> {
    let is_name = |name: &str| {
        name.len() <= 100
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let service = if name == "ssh" { SERVICE } else { name };
    if !is_name(service) {
        return Err(CliError::Usage(format!("{name:?}: write the name of a PAM service, like ssh or sudo")));
    }
    if is_part(service) {
        return Err(refused(
            format!("{service} is a part of other services, and no service"),
            "name a service: ssh, sudo, su, login. For every service at once, Debian has: pam-auth-update --enable otp"
                .into(),
        ));
    }
    if service.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(refused(
            format!("no program can use a PAM service {service}: libpam reads the names of services in lower case"),
            format!("name the service as its file should be named: {}", service.to_ascii_lowercase()),
        ));
    }
    if is_leftover(service) {
        return Err(refused(
            format!("{service} is by its name a copy of another file, and no service"),
            "name a service: ssh, sudo, su, login".into(),
        ));
    }
    Ok(service.to_owned())
}

/// How a person writes the service.
pub(super) fn spoken(service: &str) -> &str {
    if service == SERVICE { "ssh" } else { service }
}

pub(super) fn refused(error: String, mut hint: String) -> CliError {
    hint.insert_str(0, "nothing was changed; ");
    CliError::Unchanged { error, hint }
}

impl Plan {
    pub(super) fn of(service: &str, key: bool) -> Result<Self, CliError> {
        let mut plan = Self {
            service: service.to_owned(),
            names: Vec::new(),
            changes: Vec::new(),
            shown: Vec::new(),
            on: Vec::new(),
            remarks: Vec::new(),
        };
        let folders = Folders::new(None);
        if !folders.has(service) {
            return Err(refused(
                format!("there is no PAM file of a service {service}"),
                "the services of this machine: ls /etc/pam.d".into(),
            ));
        }
        if service == SERVICE {
            plan.add_drop_in(key)?;
        }
        if service == "sudo" {
            plan.look_at_sudoers(&folders)?;
        }
        plan.add(&folders, service, key)?;
        for (_, twin, _) in TWINS.iter().filter(|(name, twin, _)| *name == service && folders.has(twin)) {
            plan.add_twin(&folders, twin)?;
        }
        plan.add_includers(&folders);
        Ok(plan)
    }

    /// sudo may ask another service.
    fn look_at_sudoers(&mut self, folders: &Folders) -> Result<(), CliError> {
        let defaults = sudoers::defaults();
        for Other { name, by, command, for_all } in sudoers::others(&defaults) {
            if folders.may_ask(&name) {
                continue;
            }
            if for_all {
                return Err(refused(
                    format!("{command} asks the PAM service {name}: {by} in the Defaults of sudo"),
                    format!("turn that service on first: otp-enroll admin turn-on {name}"),
                ));
            }
            let whom = "for some users or commands";
            self.remarks.push(format!("{command} asks the PAM service {name} {whom}: it is left as it is"));
        }
        if let Some((by, whose)) = sudoers::other_password(&defaults) {
            self.remarks.push(format!("sudo asks for the password and the code of {whose}: {by} in its Defaults"));
        }
        Ok(())
    }

    /// Services that include one of the files that change: what is written there holds for them, too.
    fn add_includers(&mut self, folders: &Folders) {
        let Ok(draft) = tempfile::Builder::new().prefix("pam_otp-draft-").tempdir() else { return };
        for change in self.changes.iter().filter(|change| !change.is_drop_in()) {
            // What cannot be written here is refused when doctor looks at the draft.
            let _ = fs::write(draft.path().join(change.path.file_name().unwrap_or_default()), &change.after);
        }
        let drafts = Folders::new(Some(draft.path()));
        let is_twin = |name: &str| TWINS.iter().any(|(one, twin, _)| *one == self.service && *twin == name);
        let includes = |name: &String| {
            let stack = Stack::read(&drafts, name, Group::Auth);
            stack.is_ok_and(|stack| stack.lines_of(MODULE).any(|(_, place)| place.file.starts_with(draft.path())))
        };
        let others = folders.services().unwrap_or_default().into_iter();
        let others: Vec<String> =
            others.filter(|name| !self.names.contains(name) && !is_twin(name)).filter(includes).collect();
        for name in &others {
            self.remarks
                .push(format!("{name} includes the PAM file of {}: its logins ask for a code, too", self.service));
        }
        self.names.extend(others);
    }

    /// The other service of a program, where it has a stack of its own.
    fn add_twin(&mut self, folders: &Folders, twin: &str) -> Result<(), CliError> {
        let text = fs::read(folders.find(twin)).unwrap_or_default();
        let stack = Stack::read(folders, twin, Group::Auth).ok();
        let calls = stack.as_ref().is_some_and(|stack| stack.lines_of(MODULE).next().is_some());
        if !calls && lines::password_lines(&text).is_empty() {
            let file = folders.find(&self.service);
            if !stack.is_some_and(|stack| stack.entries.iter().any(|entry| entry.place.file == file)) {
                self.remarks.push(format!("{twin} is left as it is: no line of its PAM file asks for a password"));
            }
            return Ok(());
        }
        self.add(folders, twin, false)
    }

    fn add(&mut self, folders: &Folders, service: &str, key: bool) -> Result<(), CliError> {
        let file = folders.find(service);
        let stack = Stack::read(folders, service, Group::Auth).map_err(|unreadable| {
            refused(
                format!("{} cannot be read: {}", unreadable.file.display(), plain(&unreadable.error)),
                "logins through this service are refused until the file is there".into(),
            )
        })?;
        self.names.push(service.to_owned());
        let mut is_on = false;
        for (_, place) in stack.lines_of(MODULE) {
            if place.file != file {
                return Err(refused(
                    format!("{place}: this file calls pam_otp.so already, and {service} includes it"),
                    format!(
                        "logins through {service} ask for a code, and would ask twice. Whether all is right says: \
                         otp-enroll admin doctor. To have the line in {service} alone, take that one out first \
                         (pam-auth-update --disable otp, where the profile has written it)"
                    ),
                ));
            }
            self.on.push(place.clone());
            is_on = true;
        }
        if is_on {
            return Ok(());
        }
        let text = read(&file, |at| recipe(&file, at))?.unwrap_or_default();
        let mut written = lines::with_code(&text, key).map_err(|unfit| unwritten(&file, &text, unfit))?;
        if let Some(better) = with_include(service, &written) {
            self.remarks.push(format!(
                "{service}: `include` is written in place of `substack`: else a login is asked for a code after a wrong password"
            ));
            written = better;
        }
        // A distribution's own file is not changed: one in /etc comes before it.
        let path = Path::new(PAM_FOLDERS.first().copied().unwrap_or_default()).join(service);
        let before = read(&path, |at| recipe(&path, at))?;
        self.shown.push(before.is_none().then_some(text));
        self.changes.push(Change { path, before, after: written });
        Ok(())
    }

    /// Whether sshd's configuration changes.
    pub(super) fn has_drop_in(&self) -> bool {
        self.changes.iter().any(Change::is_drop_in)
    }

    /// The drop-in of sshd, unless sshd asks for codes already.
    fn add_drop_in(&mut self, key: bool) -> Result<(), CliError> {
        let unmet = drop_in::unmet(&settings()?, key);
        if unmet.is_empty() {
            return Ok(());
        }
        let by_hand = || {
            let options = unmet.join("; ");
            format!(
                "write at the beginning of {CONFIGURATION}, a line each: {options}. Reload sshd, and run this again"
            )
        };
        let path = PathBuf::from(drop_in::FILE);
        let found = read(&path, |_| by_hand())?;
        let text = drop_in::text(key);
        if found.is_some() {
            let why = if found.as_deref() == Some(text.as_bytes()) {
                "is there, and sshd does not use it".to_owned()
            } else {
                "is there with other lines".to_owned()
            };
            return Err(refused(format!("{} {why}", path.display()), by_hand()));
        }
        let configuration = read(Path::new(CONFIGURATION), |_| by_hand())?.unwrap_or_default();
        let configuration = String::from_utf8_lossy(&configuration).into_owned();
        if !Path::new(CONFIGURATIONS).is_dir() || drop_in::with_files(&configuration, &[]).is_none() {
            return Err(refused(
                format!("{CONFIGURATION} does not include {CONFIGURATIONS}/*.conf for all logins"),
                by_hand(),
            ));
        }
        self.shown.push(None);
        self.changes.push(Change { path, before: None, after: text.into_bytes() });
        Ok(())
    }
}

/// What sshd's configuration says now.
pub(super) fn settings() -> Result<Settings, CliError> {
    sshd::settings(None).map_err(|unknown| match unknown {
        Unknown::Refused(why) => {
            refused(format!("sshd rejects its configuration: {why}"), "correct it until sshd -t prints nothing".into())
        }
        Unknown::NotAsked(why) => refused(
            format!("the configuration of sshd could not be checked: {why}"),
            "if sshd is installed, start it, and run this again".into(),
        ),
    })
}

fn read(path: &Path, hint: impl Fn(&Odd) -> String) -> Result<Option<Vec<u8>>, CliError> {
    replace::read(path).map_err(|odd| refused(format!("{} {odd}", path.display()), hint(&odd)))
}

/// The text with `include` in place of `substack`, where that is what a wrong password needs to end the login.
fn with_include(service: &str, written: &[u8]) -> Option<Vec<u8>> {
    let folder = tempfile::Builder::new().prefix("pam_otp-draft-").tempdir().ok()?;
    let file = folder.path().join(service);
    fs::write(&file, written).ok()?;
    let stack = Stack::read(&Folders::new(Some(folder.path())), service, Group::Auth).ok()?;
    let place = substack_to_include(&stack, service, &file)?;
    lines::with_include(written, place.line)
}

/// What to do by hand with a file that is left alone.
fn recipe(file: &Path, odd: &Odd) -> String {
    match odd {
        Odd::Link(target) if target.starts_with("/etc/authselect") => format!(
            "authselect writes this file: make a profile of your own (authselect create-profile), and write after its line for \
             the password: auth required pam_otp.so ({} is in its folder)",
            file.file_name().unwrap_or_default().display()
        ),
        Odd::Link(_) => "write into that file, after the line for the password: auth required pam_otp.so".into(),
        Odd::NoFile | Odd::ManyNames | Odd::Signed | Odd::Unreadable(_) => {
            "write after the line for the password, by hand: auth required pam_otp.so".into()
        }
        // Not that of the folder, whose files would then be found under another name.
        Odd::OfOthers(Some(folder)) if folder.is_symlink() => {
            "write after the line for the password, by hand: auth required pam_otp.so".into()
        }
        Odd::OfOthers(_) => "make root its owner, and writable by root only; then run this again".into(),
    }
}

fn unwritten(file: &Path, text: &[u8], unfit: Unfit) -> CliError {
    let file = file.display();
    let by_hand = "write the line by hand where the password is known to be right: auth required pam_otp.so; then: otp-enroll \
                   admin doctor";
    match unfit {
        Unfit::NoPassword if lines::our_lines(text).is_empty() => {
            refused(format!("{file}: no line asks for a password in a way that is known here"), by_hand.into())
        }
        Unfit::NoPassword => refused(
            format!("{file} names pam_otp.so, but for no login"),
            "look at its lines of pam_otp.so; they are described in pam_otp(8)".into(),
        ),
        Unfit::EndsInCr(line) => refused(
            format!("{file}:{line}: the line ends in CR, which libpam takes for a part of its last word"),
            "take the CRs out of the file, and run this again".into(),
        ),
        Unfit::NotWhole(line) => refused(
            format!("{file}:{line}: the file ends after a backslash"),
            "take the backslash out, and run this again".into(),
        ),
        Unfit::SkippedBy(line) => refused(
            format!("{file}:{line}: a number in this line skips others, and would skip the line of pam_otp.so"),
            by_hand.into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_substack_stays_one_unless_an_include_ends_the_login_after_a_wrong_password() {
        let folder = tempfile::tempdir().unwrap();
        let jump = "auth [success=1 default=ignore] pam_unix.so nullok\n";
        let deny = "auth requisite pam_deny.so\nauth required pam_permit.so\n";
        let debian = format!("{jump}{deny}");
        let fedora = "auth sufficient pam_unix.so\nauth required pam_deny.so\n";
        let arch = "auth [success=1 default=bad] pam_unix.so\nauth [default=die] pam_faillock.so authfail\nauth optional pam_permit.so\n";
        let suse = "auth required pam_env.so\nauth required pam_unix.so try_first_pass\n";
        for (name, part, control, is_changed) in [
            ("common-auth", debian.as_str(), "substack", true),
            ("common-auth", &debian, "include", false),
            ("system-auth", arch, "substack", true),
            ("password-auth", fedora, "substack", false),
            ("common-auth", suse, "substack", false),
        ] {
            let part_file = folder.path().join(name);
            fs::write(&part_file, part).unwrap();
            let text = format!("#%PAM-1.0\nauth {control} {}\naccount required pam_permit.so\n", part_file.display());
            let written = lines::with_code(text.as_bytes(), false).unwrap();
            let expected = String::from_utf8(written.clone()).unwrap();
            let line = format!("auth substack {}\n", part_file.display());
            let expected = expected.replace(&line, &format!("#{line}auth include  {}\n", part_file.display()));
            let better = with_include("cockpit", &written).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(better, is_changed.then_some(expected), "{part}");
        }
    }

    #[test]
    fn a_service_is_named_as_people_name_it() {
        assert_eq!(service_named("ssh").unwrap(), "sshd");
        assert_eq!(service_named("sudo-i").unwrap(), "sudo-i");
        for name in ["", "..", ".x", "a/b", "a b", "-x", "a\n", "a%b", "é"] {
            assert_eq!(service_named(name).unwrap_err().exit_code(), 2, "{name}");
        }
        for name in
            ["common-auth", "password-auth", "system-login", "other", "Foo", "x.old", "sudo.bak", "sshd.dpkg-old"]
        {
            assert_eq!(service_named(name).unwrap_err().exit_code(), 1, "{name}");
        }
    }
}
