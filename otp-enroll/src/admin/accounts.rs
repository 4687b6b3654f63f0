//! The users who can log in, as the name service lists them.

use otp_core::system::accounts::{account_if, group, is_member};
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader};
use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use nix::unistd::User;
use otp_core::error::CoreError;
use otp_core::value::user::Account;

use crate::error::CliError;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// Numeric ids of people begin here (UID_MIN in login.defs), except `nobody`; those of a domain are far above.
const FIRST_PERSON: u32 = 1000;
const NOBODY: u32 = 65_534;

/// Above UID_MAX in login.defs, 60000, Debian and systemd give numbers to services.
const SERVICES: RangeInclusive<u32> = 60_001..=65_535;

/// Names sent at a time.
const BATCH: usize = 256;

/// What a login needs of an account besides its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shell {
    /// A shell other than nologin and false.
    Needed,
    /// Nothing: a mail, VPN or FTP service starts no shell.
    NotNeeded,
}

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
pub(super) fn all(shell: Shell, output: &Output) -> Result<Vec<Account>, CliError> {
    let names = Names::ask()?.answer(output)?;
    Ok(names.iter().map(|name| person(name, shell)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The members of a group: by its own list, which contains users of a domain too, and by the groups of each user.
pub(super) fn of_group(name: &str, shell: Shell, output: &Output) -> Result<Vec<Account>, CliError> {
    let mut listed: Vec<String> = Vec::new();
    let group = group(name, &mut |member| listed.push(member.to_string_lossy().into_owned()))
        .map_err(|errno| CoreError::Names { subject: format!("the group {name:?}"), errno })?;
    group.ok_or_else(|| CliError::NoSuchGroup(name.to_owned()))?;
    let mut members: Vec<Account> = Vec::new();
    for account in all(shell, output)? {
        if is_member(&account, name)? {
            members.push(account);
        }
    }
    for listed in &listed {
        let more = person(listed, shell)?.filter(|person| members.iter().all(|member| member.name != person.name));
        members.extend(more);
    }
    if members.is_empty() { Err(CliError::EmptyGroup(name.to_owned())) } else { Ok(members) }
}

/// The account of a name, if a login with it is possible: root or a person, and with a shell where one is needed.
pub(super) fn person(name: &str, shell: Shell) -> Result<Option<Account>, CoreError> {
    account_if(name, |user: &User| can_log_in(user.uid.as_raw(), has_shell(user), shell))
}

/// The account of a name, if any login with it is possible, and whether it has a shell.
pub(super) fn person_and_shell(name: &str) -> Result<Option<(Account, bool)>, CoreError> {
    let mut has = false;
    let account = account_if(name, |user: &User| {
        has = has_shell(user);
        can_log_in(user.uid.as_raw(), has, Shell::NotNeeded)
    })?;
    Ok(account.map(|account| (account, has)))
}

fn has_shell(user: &User) -> bool {
    let shell = user.shell.file_name().unwrap_or_default();
    shell != "nologin" && shell != "false"
}

/// Without a shell, an account whose number is a service's is no person's either.
fn can_log_in(uid: u32, has_shell: bool, shell: Shell) -> bool {
    is_person(uid) && (has_shell || (shell == Shell::NotNeeded && !SERVICES.contains(&uid)))
}

fn is_person(uid: u32) -> bool {
    uid == 0 || (uid >= FIRST_PERSON && uid != NOBODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_log_in_depends_on_number_and_shell() {
        for (uid, with, without) in [
            (0, true, true),
            (999, false, false),
            (1000, true, true),
            (60_000, true, true),
            (60_001, true, false),
            (64_055, true, false), // libvirt-qemu in Debian
            (65_534, false, false),
            (65_536, true, true),
            (1_000_000, true, true),
        ] {
            for shell in [Shell::Needed, Shell::NotNeeded] {
                assert_eq!(can_log_in(uid, true, shell), with, "{uid}");
            }
            assert_eq!(can_log_in(uid, false, Shell::NotNeeded), without, "{uid}");
            assert!(!can_log_in(uid, false, Shell::Needed), "{uid}");
        }
    }
}
