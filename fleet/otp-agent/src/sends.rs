//! How many messages may still be sent: what was sent within a day, in a file of root's beside the records. A message is noted
//! there, durably, before it is sent.

use std::cmp::Reverse;
use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use otp_core::config::senders::Sender;
use otp_core::system::sends_file::{self, Sent};
use otp_core::value::destination::Destination;
use otp_core::value::time::UnixTime;
use otp_messages::limits::{self, DAY, Hold, Wanted, may_send};
use otp_messages::sending::Ledger;

/// One thread at a time reads and writes the file; there is one agent.
#[derive(Default)]
pub(crate) struct Sends(Mutex<()>);

/// What was sent within a day.
#[derive(Default)]
struct Noted {
    all: Vec<Sent>,
    /// Whether a message was in the future.
    was_ahead: bool,
}

/// The file of one state directory.
pub(crate) struct Noting<'a> {
    sends: &'a Sends,
    directory: &'a Path,
}

impl Ledger for Noting<'_> {
    fn note(&self, sender: &Sender, user: &str, to: &Destination, now: UnixTime) -> Result<Result<(), Hold>, String> {
        let path = || sends_file::file(self.directory);
        let noted = self.sends.note(self.directory, sender, user, to, now);
        noted.map_err(|error| format!("cannot note it in {}: {error}", path().display()))
    }
}

impl Sends {
    /// Those that are noted in this directory.
    pub(crate) fn in_directory<'a>(&'a self, directory: &'a Path) -> Noting<'a> {
        Noting { sends: self, directory }
    }

    /// Notes a message to a user if one may be sent now. The note is durable when this returns.
    pub(crate) fn note(
        &self,
        directory: &Path,
        sender: &Sender,
        user: &str,
        to: &Destination,
        now: UnixTime,
    ) -> io::Result<Result<(), Hold>> {
        // A thread that panicked has left the file as it was, or whole.
        let _alone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = sends_file::file(directory);
        let mut noted = read(&path, now)?;
        let Ok(may_be) = may_send(sender, user, to, now, |wanted| Ok::<_, Infallible>(noted.deciding(wanted)));
        if let Err(hold) = may_be {
            // Else they would be as new at the next try, and could hold all users back until the clock has caught up.
            if noted.was_ahead {
                write(directory, &path, &noted.all)?;
            }
            return Ok(Err(hold));
        }
        noted.all.push(Sent { at: now.0, kind: to.channel(), user: user.to_owned(), to: to.as_str().to_owned() });
        write(directory, &path, &noted.all)?;
        Ok(Ok(()))
    }
}

impl Noted {
    /// What decides on one more message. One machine has no hosts.
    fn deciding(&self, wanted: &Wanted<'_>) -> limits::Sent {
        let Wanted { user, to, limit, hour, day, .. } = wanted;
        let kind = to.channel();
        let (is_to_user, is_of_kind) = (|sent: &Sent| sent.user == *user, |sent: &Sent| sent.kind == kind);
        limits::Sent {
            to_user: self.newest(1, is_to_user),
            to_user_of_kind: self.newest(*limit, |sent| is_to_user(sent) && is_of_kind(sent)),
            to_destination: self.newest(*limit, |sent| is_of_kind(sent) && sent.to == to.as_str()),
            in_hour: self.newest(*hour, is_of_kind),
            in_day: self.newest(*day, is_of_kind),
            ..limits::Sent::default()
        }
    }

    /// When the newest of these was sent (1), or the one before it (2), and so on.
    fn newest(&self, number: usize, is_one: impl Fn(&Sent) -> bool) -> Option<UnixTime> {
        let mut times: Vec<_> = self.all.iter().filter(|sent| is_one(sent)).map(|sent| sent.at).collect();
        times.sort_unstable_by_key(|at| Reverse(*at));
        number.checked_sub(1).and_then(|place| times.get(place)).map(|at| UnixTime(*at))
    }
}

/// What was sent within the last day. A time in the future, by a clock that was ahead, counts as now.
fn read(path: &Path, now: UnixTime) -> io::Result<Noted> {
    let mut all = sends_file::read(path)?;
    let was_ahead = all.iter().any(|sent| sent.at > now.0);
    all.iter_mut().for_each(|sent| sent.at = sent.at.min(now.0));
    all.retain(|sent| now < UnixTime(sent.at).after(DAY));
    Ok(Noted { all, was_ahead })
}

/// A new file takes the place of the old one at once.
fn write(directory: &Path, path: &Path, all: &[Sent]) -> io::Result<()> {
    let mut text = String::new();
    for sent in all {
        text.push_str(&serde_json::to_string(sent)?);
        text.push('\n');
    }
    let new = new_name(path);
    // Left by an agent that was killed.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}

fn new_name(path: &Path) -> PathBuf {
    path.with_extension("new")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    use otp_core::config::senders;
    use otp_core::value::destination::Channel;
    use otp_core::value::time::Seconds;

    fn sender() -> Sender {
        let keys = "send = [\"/x\"]\nlimit = \"3/15m\"\nprefixes = [\"+61\", \"+49\"]\nhour = 5\nday = 7\n";
        senders::read("/c".as_ref(), &format!("[sms]\n{keys}")).0.sms.unwrap()
    }

    fn number(last: u32) -> Destination {
        Destination::parse(Channel::Sms, &format!("+614123456{last:02}")).unwrap()
    }

    struct Site {
        directory: tempfile::TempDir,
        sends: Sends,
    }

    impl Site {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap(), sends: Sends::default() }
        }

        fn note(&self, user: &str, to: &Destination, at: u64) -> Result<(), Hold> {
            self.sends.note(self.directory.path(), &sender(), user, to, UnixTime(at)).unwrap()
        }

        fn file(&self) -> PathBuf {
            sends_file::file(self.directory.path())
        }
    }

    #[test]
    fn a_user_gets_a_message_every_30_seconds_and_so_many_in_a_time() {
        let site = Site::new();
        assert_eq!(site.note("alice", &number(1), 1000), Ok(()));
        assert_eq!(site.note("alice", &number(2), 1029), Err(Hold::Wait(Seconds(1))), "whatever the number");
        assert_eq!(site.note("bob", &number(3), 1000), Ok(()));
        assert_eq!(site.note("alice", &number(1), 1030), Ok(()));
        assert_eq!(site.note("alice", &number(1), 1060), Ok(()));
        assert_eq!(site.note("alice", &number(1), 1090), Err(Hold::Wait(Seconds(810))));
        assert_eq!(site.note("alice", &number(1), 1900), Ok(()), "the first one is over");
        assert_eq!(site.note("alice", &number(1), 1929), Err(Hold::Wait(Seconds(1))));
    }

    #[test]
    fn a_number_gets_no_more_because_several_users_name_it() {
        let site = Site::new();
        for user in ["alice", "bob", "carol"] {
            assert_eq!(site.note(user, &number(1), 1000), Ok(()));
        }
        assert_eq!(site.note("dave", &number(1), 1000), Err(Hold::Wait(Seconds(900))));
        assert_eq!(site.note("dave", &number(2), 1000), Ok(()));
    }

    #[test]
    fn all_users_together_have_an_hour_and_a_day() {
        let site = Site::new();
        for user in 1..=5 {
            assert_eq!(site.note(&user.to_string(), &number(user), 1000), Ok(()));
        }
        assert_eq!(site.note("6", &number(6), 4599), Err(Hold::Hour));
        let address = Destination::parse(Channel::Email, "alice@example.org").unwrap();
        assert_eq!(site.note("6", &address, 4599), Ok(()), "each kind has its own");
        assert_eq!(site.note("7", &number(7), 4600), Ok(()));
        assert_eq!(site.note("8", &number(8), 4600), Ok(()));
        assert_eq!(site.note("9", &number(9), 9000), Err(Hold::Day));
        assert_eq!(site.note("9", &number(9), 87_400), Ok(()), "a day later");
    }

    #[test]
    fn no_message_goes_to_a_country_that_is_not_named() {
        let site = Site::new();
        let elsewhere = Destination::parse(Channel::Sms, "+15551234567").unwrap();
        assert_eq!(site.note("alice", &elsewhere, 1000), Err(Hold::Prefix));
        assert!(!site.file().exists(), "it is not counted");
    }

    #[test]
    fn what_was_sent_is_known_to_the_next_agent_and_a_clock_that_was_ahead_passes() {
        let mut site = Site::new();
        assert_eq!(site.note("alice", &number(1), 1_000_000), Ok(()));
        site.sends = Sends::default();
        assert_eq!(site.note("alice", &number(1), 1000), Err(Hold::Wait(Seconds(30))), "set back");
        assert_eq!(site.note("bob", &number(2), 1000), Ok(()));
        assert_eq!(site.note("alice", &number(1), 1030), Ok(()), "counted from then on");
    }

    #[test]
    fn a_clock_that_was_ahead_holds_a_user_back_for_once_also_where_nobody_else_is_sent_anything() {
        let site = Site::new();
        assert_eq!(site.note("alice", &number(1), 1_000_000), Ok(()));
        assert_eq!(site.note("alice", &number(1), 1000), Err(Hold::Wait(Seconds(30))), "set back");
        assert_eq!(site.note("alice", &number(1), 1030), Ok(()));
    }

    #[test]
    fn nothing_is_sent_where_the_file_is_damaged_or_not_roots() {
        let site = Site::new();
        let fails = || site.sends.note(site.directory.path(), &sender(), "a", &number(1), UnixTime(1)).is_err();
        for damaged in [&b"{\"at\":1}\n"[..], b"\n", b"\xff\n", b"\0\0\0\0"] {
            fs::write(site.file(), damaged).unwrap();
            let error = site.sends.note(site.directory.path(), &sender(), "a", &number(1), UnixTime(1)).unwrap_err();
            assert_eq!(error.to_string(), "it is damaged: remove it");
        }
        fs::remove_file(site.file()).unwrap();
        std::os::unix::fs::symlink("/dev/null", site.file()).unwrap();
        assert!(fails());
        fs::remove_file(site.file()).unwrap();
        fs::create_dir(site.file()).unwrap();
        assert!(fails());
        fs::remove_dir(site.file()).unwrap();
        fs::write(new_name(&site.file()), "left by an agent that was killed").unwrap();
        assert_eq!(site.note("alice", &number(1), 1000), Ok(()));
        assert_eq!(fs::metadata(site.file()).unwrap().mode() & 0o777, 0o600);
        fs::hard_link(site.file(), site.directory.path().join("other")).unwrap();
        assert!(fails());
    }
}
