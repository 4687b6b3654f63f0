//! The users who can log in, as the name service lists them.

use otp_core::system::accounts::{account_if, is_member};
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use nix::unistd::{Group, User};
use otp_core::error::CoreError;
use otp_core::value::user::Account;

use crate::error::CliError;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// Numeric ids of people begin here (UID_MIN in login.defs), except `nobody`; those of a domain are far above.
const FIRST_PERSON: u32 = 1000;
const NOBODY: u32 = 65_534;

/// Names sent at a time.
const BATCH: usize = 256;

/// The names of all accounts that may be people's, still being listed.
pub(super) struct Names {
    batches: Receiver<Vec<String>>,
    asking: JoinHandle<io::Result<()>>,
}

impl Names {
    /// Begins to ask in the background: it may take long. Users that a domain does not list are missing.
    pub(super) fn ask() -> Result<Self, CliError> {
        let (sender, batches) = mpsc::channel();
        let asking = thread::Builder::new().spawn(move || listed(&sender)).map_err(not_asked)?;
        Ok(Self { batches, asking })
    }

    /// Each name once. Whether it is a [`person`], and which account it means, is not taken from a listing, whose lines
    /// hold what users say of themselves.
    pub(super) fn answer(self, output: &Output) -> Result<Vec<String>, CliError> {
        let mut progress = Progress::counting("waiting for the names of users", output);
        let mut names = Vec::new();
        for batch in self.batches {
            progress.advance(batch.len());
            names.extend(batch);
        }
        self.asking.join().unwrap_or_else(|panic| resume_unwind(panic)).map_err(not_asked)?;
        let mut seen = HashSet::with_capacity(names.len());
        Ok(names.iter().filter(|name| seen.insert(name.as_str())).cloned().collect())
    }
}

fn not_asked(error: io::Error) -> CliError {
    CliError::Tool { program: "getent", error }
}

fn listed(sender: &Sender<Vec<String>>) -> io::Result<()> {
    // glibc's own tool: it asks every source that nsswitch.conf names, and there is no safe call for that.
    let mut getent = Command::new("getent")
        .arg("passwd")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0) // Ctrl-C is for us, not one more error message of getent
        .spawn()?;
    let mut listing = BufReader::new(getent.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
    let (mut batch, mut line) = (Vec::new(), Vec::new());
    while listing.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let mut fields = text.split(':');
        let (name, uid) = (fields.next(), fields.nth(1));
        // An account that is not a person's by its number need not be looked up.
        let is_perhaps = uid.and_then(|uid| uid.parse().ok()).is_none_or(is_person);
        batch.extend(name.filter(|_| is_perhaps).map(|name| name.trim_end().to_owned()));
        line.clear();
        if batch.len() == BATCH && sender.send(std::mem::take(&mut batch)).is_err() {
            break; // the receiver is gone
        }
    }
    let _ = sender.send(batch);
    drop(listing);
    let status = getent.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
}

/// All users who can log in.
pub(super) fn all(output: &Output) -> Result<Vec<Account>, CliError> {
    let names = Names::ask()?.answer(output)?;
    Ok(names.iter().map(|name| person(name)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The members of a group: by its own list, which contains users of a domain too, and by the groups of each user.
pub(super) fn of_group(name: &str, output: &Output) -> Result<Vec<Account>, CliError> {
    let group =
        Group::from_name(name).map_err(|errno| CoreError::Names { subject: format!("the group {name:?}"), errno })?;
    let group = group.ok_or_else(|| CliError::NoSuchGroup(name.to_owned()))?;
    let mut members: Vec<Account> = Vec::new();
    for account in all(output)? {
        if is_member(&account, name)? {
            members.push(account);
        }
    }
    for listed in &group.mem {
        let more = person(listed)?.filter(|person| members.iter().all(|member| member.name != person.name));
        members.extend(more);
    }
    if members.is_empty() { Err(CliError::EmptyGroup(name.to_owned())) } else { Ok(members) }
}

/// The account of a name, if a login with it is possible: root or a person, and not with the shell nologin or false.
pub(super) fn person(name: &str) -> Result<Option<Account>, CoreError> {
    account_if(name, |user: &User| {
        let shell = user.shell.file_name().unwrap_or_default();
        is_person(user.uid.as_raw()) && shell != "nologin" && shell != "false"
    })
}

fn is_person(uid: u32) -> bool {
    uid == 0 || (uid >= FIRST_PERSON && uid != NOBODY)
}
