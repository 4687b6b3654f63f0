//! Files that stand in the homes of users, or in one folder: a file for each user, read with no right that its user lacks.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::User;
use otp_formats::google_authenticator::{self, UserFile, Windows};
use otp_formats::source::{Entry, Whose};

use super::as_user::{self, Reading};
use super::entries::{Entries, Named, Unreadable};

/// The users whose files are to be imported, and where these are.
pub(super) struct Homes<'a> {
    pub(super) users: Vec<String>,
    pub(super) from: &'a str,
    /// Whether a user without a file is no failure.
    pub(super) if_any: bool,
    pub(super) windows: Windows,
}

impl Entries for Homes<'_> {
    fn count(&self) -> usize {
        self.users.len()
    }

    fn entry(&self, place: usize) -> (Named, Result<Option<Entry>, Unreadable>) {
        let name = self.users.get(place).cloned().unwrap_or_default();
        let entry = self.of_user(&name);
        (Named::Whose(Whose::User(name)), entry)
    }
}

impl Homes<'_> {
    fn of_user(&self, name: &str) -> Result<Option<Entry>, Unreadable> {
        let user =
            User::from_name(name).map_err(|errno| unreadable(format!("cannot be looked up: {}", errno.desc())))?;
        let Some(user) = user else { return Ok(None) };
        let path = path_of(self.from, &user);
        let failed = |what: String| unreadable(format!("{path}: {what}"));
        let mut reading = as_user::read(&user, Path::new(&path)).map_err(|error| failed(described(&error)))?;
        if matches!(reading, Reading::Denied) {
            reading = of_root(Path::new(&path), user.uid.as_raw()).map_err(|error| failed(described(&error)))?;
        }
        match reading {
            Reading::Missing if self.if_any => Ok(None),
            Reading::Missing => Err(failed("there is no such file".to_owned())),
            Reading::Denied => {
                Err(failed("may not be read by its user, nor stands in a folder of root's alone".to_owned()))
            }
            Reading::Refused(why) => Err(failed(why)),
            Reading::Text { text, mode } => {
                let UserFile { found, mut remarks } =
                    google_authenticator::read(&text, self.windows).map_err(failed)?;
                if mode & 0o077 != 0 {
                    remarks.push(format!("others could read the file (mode {mode:04o}), and its seed"));
                }
                let whose = Whose::User(name.to_owned());
                Ok(Some(Entry { whose, may_be_root: true, found, remarks, maker: None }))
            }
        }
    }
}

fn unreadable(error: String) -> Unreadable {
    Unreadable { error, hint: "mend the file, or enroll the user: otp-enroll --user USER" }
}

fn described(error: &io::Error) -> String {
    otp_core::value::system_error::described(error)
}

/// The path of a user's file: `%u` is the name, `%h` the home. The spellings of google-authenticator's own `secret=` are known,
/// too.
fn path_of(template: &str, user: &User) -> String {
    let home = user.dir.to_string_lossy();
    let template = match template.strip_prefix('~') {
        Some(rest) if rest.starts_with('/') => format!("%h{rest}"),
        Some(_) | None => template.to_owned(),
    };
    let template = template.replace("${USER}", "%u").replace("${HOME}", "%h");
    let (mut path, mut letters) = (String::new(), template.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '%' => match letters.next() {
                Some('u') => path.push_str(&user.name),
                Some('h') => path.push_str(&home),
                Some(other) => path.push(other),
                None => path.push('%'),
            },
            plain => path.push(plain),
        }
    }
    path
}

/// A file that only root can reach. Each folder on the way must be root's, and writable by root alone: no user can have put
/// another file, or a link, in this place.
fn of_root(path: &Path, uid: u32) -> io::Result<Reading> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut folder = File::from(open("/", flags, Mode::empty())?);
    let mut names = path.components().skip(1).peekable();
    while let Some(Component::Normal(name)) = names.next() {
        if names.peek().is_none() {
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
            return match openat(&folder, name, flags, Mode::empty()) {
                Ok(file) => as_user::examined(&File::from(file), uid),
                Err(Errno::ENOENT) => Ok(Reading::Missing),
                Err(errno) => Err(errno.into()),
            };
        }
        folder = match openat(&folder, name, flags, Mode::empty()) {
            Ok(folder) => File::from(folder),
            Err(Errno::ENOENT) => return Ok(Reading::Missing),
            Err(Errno::ELOOP | Errno::ENOTDIR) => return Ok(Reading::Denied),
            Err(errno) => return Err(errno.into()),
        };
        let metadata = folder.metadata()?;
        if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return Ok(Reading::Denied);
        }
    }
    Ok(Reading::Denied)
}
