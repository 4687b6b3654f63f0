//! The entrants: a PAM stack with a user, the user's codes, and the files to restore after a login.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use pam_otp_tests::{machine, service::Service};

use crate::codes::Key;
use crate::enroll::{self, Factor};
use crate::place::{Place, homes_dir, make, oath_file, ours_dir};

/// A module, or a stack for comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    Ours,
    /// Debian's libpam-google-authenticator.
    Incumbent,
    /// Debian's libpam-google-authenticator with `noskewadj`.
    IncumbentUnskewed,
    /// Debian's libpam-oath.
    Oath,
    /// An empty transaction.
    Permit,
    /// An empty transaction and the cheapest durable record of a code's use: flock, pread, pwrite, fdatasync in place.
    Limit,
}

impl Who {
    pub(crate) const FIVE: [Who; 5] = [Who::Incumbent, Who::Ours, Who::Oath, Who::Limit, Who::Permit];
    /// Those that a program of the machine's can have.
    pub(crate) const WHOLE: [Who; 4] = [Who::Incumbent, Who::Ours, Who::Oath, Who::Permit];
    pub(crate) const SIX: [Who; 6] =
        [Who::Incumbent, Who::Ours, Who::Oath, Who::Limit, Who::Permit, Who::IncumbentUnskewed];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::Ours => "pam_otp",
            Who::Incumbent => "google-authenticator",
            Who::IncumbentUnskewed => "google-authenticator, noskewadj",
            Who::Oath => "pam_oath",
            Who::Permit => "permit",
            Who::Limit => "limit",
        }
    }
}

/// A user with a login service of their own.
#[derive(Debug)]
pub(crate) struct Entrant {
    pub(crate) who: Who,
    pub(crate) user: String,
    pub(crate) service: Service,
    pub(crate) key: Key,
    /// The file that [`Who::Limit`] writes.
    pub(crate) mark: Option<PathBuf>,
    written: Vec<Before>,
}

/// The end of a file, as it was before any login.
#[derive(Debug)]
struct Before {
    path: PathBuf,
    offset: u64,
    tail: Vec<u8>,
}

impl Entrant {
    /// Enrolls `user` in this module's own way.
    pub(crate) fn new(who: Who, place: &Place, user: &str, factor: Factor) -> Entrant {
        let mut mark = None;
        let (stack, key, written) = match who {
            Who::Ours => {
                let (config, key) = enroll::ours(place, user, factor);
                let state = Before::whole(&ours_dir(place).join(format!("{user}.state")));
                (format!("auth required pam_otp.so config={}", config.display()), key, vec![state])
            }
            Who::Incumbent | Who::IncumbentUnskewed => {
                let key = enroll::incumbent(place, user, factor);
                let homes = homes_dir(place);
                let option = if who == Who::IncumbentUnskewed { " noskewadj" } else { "" };
                let file = format!("{}/${{USER}}/.google_authenticator", homes.display());
                let line = format!("auth required pam_google_authenticator.so secret={file}{option}");
                (line, key, vec![Before::whole(&homes.join(user).join(".google_authenticator"))])
            }
            Who::Oath => {
                let (key, offset) = enroll::oath(place, user, factor);
                let path = oath_file(place);
                let tail = fs::read(&path).unwrap().split_off(usize::try_from(offset).unwrap());
                let line = format!("auth required pam_oath.so usersfile={} window=1 digits=6", path.display());
                (line, key, vec![Before { path, offset, tail }])
            }
            Who::Permit => ("auth required pam_permit.so".to_owned(), Key::random(), Vec::new()),
            Who::Limit => {
                let path = ours_dir(place).join(".limit");
                fs::write(&path, [b' '; 4096]).unwrap();
                mark = Some(path);
                ("auth required pam_permit.so".to_owned(), Key::random(), Vec::new())
            }
        };
        Entrant { who, user: user.to_owned(), service: Service::private(&stack), key, mark, written }
    }

    /// This user with another stack.
    pub(crate) fn before(self, stack: &str) -> Entrant {
        self.service.set(stack);
        self
    }

    /// Restores the files that a login wrote, durably, so that the next one can use this code and finds the disk idle.
    pub(crate) fn restore(&self) {
        for Before { path, offset, tail } in &self.written {
            // Without O_CREAT: Linux may deny it even to root for other users' files in a sticky directory.
            let file = File::options().write(true).open(path).unwrap();
            let end = offset + u64::try_from(tail.len()).unwrap();
            if file.metadata().unwrap().len() != end {
                file.set_len(*offset).unwrap();
            }
            file.write_all_at(tail, *offset).unwrap();
            file.sync_data().unwrap();
        }
    }
}

impl Before {
    fn whole(path: &Path) -> Before {
        Before { path: path.to_owned(), offset: 0, tail: fs::read(path).unwrap() }
    }
}

/// The folders and files of all modules, without users.
pub(crate) fn furnish(place: &Place) {
    let state = ours_dir(place);
    machine::run(Command::new("install").args(["-d", "-m", "1730", "-o", "root", "-g", "pam_otp"]).arg(&state));
    make(&homes_dir(place), 0o755);
    let oath = oath_file(place);
    make(oath.parent().unwrap(), 0o700);
    fs::write(&oath, "").unwrap();
    fs::set_permissions(&oath, Permissions::from_mode(0o600)).unwrap();
}
