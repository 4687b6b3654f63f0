//! What can go wrong for the person at the terminal: one sentence, what to do next, and an exit code.

use otp_core::config::paths;
use std::fmt;
use std::io;
use std::path::PathBuf;

use otp_core::decision::verify::Refusal;
use otp_core::error::Error;
use otp_core::protocol::request::Declined;
use otp_core::qr::TooLong;
use otp_core::record::state::Lock;
use otp_core::value::time::Seconds;

use crate::private_file::FileError;
use crate::ui::alternate_screen::ScreenError;
use crate::ui::terminal::AskError;

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Problem {
    /// A code was not accepted.
    Refused(Refusal),
    /// The request is not possible as things are.
    Declined(Declined),
    /// The command line asks for something that does not go together.
    Usage(String),
    /// There is no account of this name.
    NoSuchUser(String),
    /// There is no group of this name.
    NoSuchGroup(String),
    /// Nobody of this group can log in.
    NobodyIn(String),
    /// Only root may do this.
    NotRoot(&'static str),
    /// Configuration, records or name service.
    Core(Error),
    /// What the helper reported.
    Reported {
        /// What happened.
        error: String,
        /// What to do next.
        hint: String,
    },
    /// The helper could not be asked.
    Helper(io::Error),
    /// Nobody answered.
    Ask(AskError),
    /// The terminal cannot be used.
    Screen(ScreenError),
    /// A picture or a list of codes could not be written.
    File(FileError),
    /// A program that this one asks could not be run.
    Tool(&'static str, io::Error),
    /// The URI could not be drawn.
    Qr(TooLong),
    /// The QR code could not be encoded as a picture.
    Png(png::EncodingError),
    /// Standard output cannot be written to.
    Output(io::Error),
    /// It was done, and standard output cannot be told so.
    Unsaid(io::Error),
    /// New recovery codes are in force, and nobody has seen them.
    CodesUnseen(io::Error),
    /// A check found this many faults, each printed already.
    Faults(usize),
    /// A file that was to be imported cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It has this many faults, each printed already.
    FaultyFile(usize),
    /// An import ended between two users.
    Interrupted {
        /// So many were seen to.
        done: usize,
        /// Of so many.
        of: usize,
        /// What ended it, where it was no signal.
        why: Option<Box<Problem>>,
    },
    /// So many records cannot be used, each printed already.
    Unusable(usize),
    /// It was done for others, but not for so many users, each printed already.
    NotDone(usize),
    /// A second factor is required from now on, but sessions that were to be ended go on.
    SessionsGoOn {
        /// Of whom, as far as is known.
        users: String,
        /// Why.
        why: Box<Problem>,
    },
    /// A new device was not confirmed, after a code of the old one was spent on it.
    OldStays(Box<Problem>),
    /// The person said no.
    Cancelled,
}

impl Problem {
    /// The documented exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(Refusal::NotEnrolled | Refusal::UnknownUser)
            | Self::NoSuchUser(_)
            | Self::NoSuchGroup(_)
            | Self::NobodyIn(_) => 3,
            Self::SessionsGoOn { why, .. } | Self::OldStays(why) => why.exit_code(),
            Self::Refused(_)
            | Self::Declined(_)
            | Self::Cancelled
            | Self::Faults(_)
            | Self::FaultyFile(_)
            | Self::Unusable(_) => 1,
            Self::Interrupted { why, .. } => why.as_ref().map_or(130, |why| why.exit_code()),
            Self::Usage(_) => 2,
            Self::NotRoot(_)
            | Self::Core(_)
            | Self::Reported { .. }
            | Self::Helper(_)
            | Self::Ask(_)
            | Self::Screen(_)
            | Self::File(_)
            | Self::Qr(_)
            | Self::Png(_)
            | Self::Tool(..)
            | Self::Output(_)
            | Self::Unsaid(_)
            | Self::NotDone(_)
            | Self::Unreadable(..)
            | Self::CodesUnseen(_) => 4,
        }
    }

    /// The same, where what was asked for is done already.
    pub(crate) fn although_done(self) -> Problem {
        if let Self::Output(error) = self { Self::Unsaid(error) } else { self }
    }

    /// The same, where a code of the old device was spent to get here.
    pub(crate) fn although_proved(self) -> Problem {
        let late = matches!(&self, Self::Helper(error) if has_ended(error));
        let unconfirmed = matches!(self, Self::Ask(_) | Self::Declined(Declined::NotConfirmed { .. }));
        if late || unconfirmed { Self::OldStays(Box::new(self)) } else { self }
    }

    /// Whether there is nothing to say: who reads from us has seen enough, as `head` has, and nothing was changed.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Refused(Refusal::Locked(_)) => {
                "use a recovery code, or ask your administrator: otp-enroll admin unlock"
            }
            Self::Refused(Refusal::NotEnrolled) => "set one up with: otp-enroll",
            Self::Refused(Refusal::UnknownRecovery | Refusal::Spent) => {
                "nothing was changed; try another one, or a code that the app shows"
            }
            Self::Refused(Refusal::Replayed { .. }) => "nothing was changed",
            Self::Refused(_) => "nothing was changed; try again with the code that the app shows now",
            Self::Declined(Declined::ProofNeeded) => "give a current code or a recovery code",
            Self::Declined(Declined::NotConfirmed { .. }) => "nothing was changed; start again with: otp-enroll",
            Self::OldStays(_) => "the old second factor stays; the code you gave for it is spent",
            Self::Declined(Declined::NothingOffered | Declined::ChangedMeanwhile) => "start again",
            Self::Declined(Declined::Required) => "to change phones use: otp-enroll reset",
            Self::Usage(_) => "see: otp-enroll --help",
            Self::NotRoot(_) => "become root, for example with sudo",
            Self::Core(error) => error.hint(),
            Self::Reported { hint, .. } => hint,
            Self::Helper(error) if has_ended(error) => "nothing was changed; start again",
            Self::Helper(_) => "the helper must be installed set-group-ID pam_otp: see FILES in otp-enroll(1)",
            Self::Ask(AskError::Closed) => "nothing was changed",
            Self::File(error) => error.hint(),
            Self::CodesUnseen(_) => "they are in force all the same; get others with: otp-enroll recovery",
            Self::Faults(_) => "until this is mended, people may be locked out, or let in without a code",
            Self::Unusable(_) => {
                "their users cannot log in with a code; to let one set up anew: otp-enroll admin reset USER; \
                 to remove the record of one who is gone: otp-enroll admin disable USER"
            }
            Self::NotDone(_) => "what was not done, and why, is said above; it can be run again without harm",
            Self::SessionsGoOn { users, .. } => return Some(format!("end them with: loginctl terminate-user {users}")),
            Self::FaultyFile(_) => "nothing was imported; mend the file, or a copy of it, and try again",
            Self::Interrupted { .. } => {
                "every user is enrolled whole or not at all; the same command goes on from here"
            }
            Self::NobodyIn(_) => {
                "was the right group named? an empty group binds nobody; a rule in the configuration would"
            }
            Self::NoSuchUser(_)
            | Self::NoSuchGroup(_)
            | Self::Ask(AskError::Io(_))
            | Self::Screen(_)
            | Self::Qr(_)
            | Self::Png(_)
            | Self::Tool(..)
            | Self::Output(_)
            | Self::Unsaid(_)
            | Self::Unreadable(..)
            | Self::Cancelled => return None,
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(&refusal_text(*why)),
            Self::Declined(declined) => f.write_str(&declined_text(*declined)),
            Self::Usage(what) => f.write_str(what),
            Self::NoSuchUser(user) => write!(f, "there is no user {user:?}"),
            Self::NoSuchGroup(group) => write!(f, "there is no group {group:?}"),
            Self::NobodyIn(group) => write!(f, "nobody in the group {group:?} can log in"),
            Self::NotDone(1) => f.write_str("it could not be done for one user"),
            Self::NotDone(users) => write!(f, "it could not be done for {users} users"),
            Self::SessionsGoOn { why, .. } if matches!(**why, Self::Cancelled) => {
                f.write_str("a second factor is required from now on; no session was ended")
            }
            Self::SessionsGoOn { why, .. } => {
                write!(f, "a second factor is required from now on, but sessions could not be ended: {why}")
            }
            Self::NotRoot(what) => write!(f, "only root may {what}"),
            Self::Core(error) => error.fmt(f),
            Self::Reported { error, .. } => f.write_str(error),
            Self::Helper(error) if has_ended(error) => {
                f.write_str("the helper has ended: it waits 15 minutes for an answer")
            }
            Self::Helper(error) => {
                write!(f, "the helper {} cannot be asked: {error}", paths::HELPER)
            }
            Self::Ask(error) => error.fmt(f),
            Self::Screen(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
            Self::Qr(error) => error.fmt(f),
            Self::Tool(tool, error) => write!(f, "{tool} cannot be asked: {error}"),
            Self::Png(error) => write!(f, "the QR code could not be encoded as PNG: {error}"),
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
            Self::Unsaid(error) => write!(f, "it was done, but standard output cannot be told so: {error}"),
            Self::CodesUnseen(error) => write!(f, "nobody has seen the new recovery codes: {error}"),
            Self::Unusable(1) => f.write_str("one record cannot be used"),
            Self::Unusable(records) => write!(f, "{records} records cannot be used"),
            Self::Unreadable(file, error) => write!(f, "cannot read {}: {error}", file.display()),
            Self::Interrupted { done, of, why } => {
                write!(f, "interrupted: {done} of {of} users were seen to")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, "; {why}"))
            }
            Self::FaultyFile(1) => f.write_str("one fault was found in the file"),
            Self::FaultyFile(faults) => write!(f, "{faults} faults were found in the file"),
            Self::Faults(1) => f.write_str("one fault was found"),
            Self::Faults(faults) => write!(f, "{faults} faults were found"),
            Self::OldStays(why) => why.fmt(f),
            Self::Cancelled => f.write_str("cancelled: nothing was changed"),
        }
    }
}

/// Whether the helper was gone before it was asked: it waits so long for a request, and no longer.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// What a person is told about a refusal in their own terminal, where they have already logged in.
fn refusal_text(why: Refusal) -> String {
    match why {
        Refusal::Wrong { clock_behind: Some(gap), .. } => {
            format!(
                "that code is wrong; this machine's clock is {gap} behind your last login, so right ones may look so"
            )
        }
        Refusal::Wrong { failures: 1, clock_behind: None } => "that code is wrong".into(),
        Refusal::Wrong { failures, clock_behind: None } => {
            format!("that code is wrong ({failures} wrong codes in a row)")
        }
        Refusal::Replayed { clock_behind: None } => {
            "that code was used already; wait until the app shows the next one".into()
        }
        Refusal::Replayed { clock_behind: Some(gap) } => {
            format!("that code was used already, and this machine's clock is {gap} behind your last login")
        }
        Refusal::Spent => "that recovery code was used already".into(),
        Refusal::UnknownRecovery => "that is none of your recovery codes".into(),
        Refusal::Locked(Lock::Until(time)) => {
            format!("too many wrong codes: only a recovery code is accepted until {time}")
        }
        Refusal::Locked(Lock::UntilUnlocked | Lock::Open) => {
            "too many wrong codes: only a recovery code is accepted until an administrator unlocks".into()
        }
        Refusal::Malformed => "that is neither a code of 6 to 8 digits nor a recovery code".into(),
        Refusal::NotEnrolled => "no second factor is set up".into(),
        Refusal::UnknownUser => "there is no such account".into(),
    }
}

/// What a person is told when a request was not done.
pub(crate) fn declined_text(declined: Declined) -> String {
    match declined {
        Declined::ProofNeeded => {
            "a second factor is set up already; changing it needs proof that you are its owner".into()
        }
        Declined::NotConfirmed { clock_off: None } => "that code does not belong to this key".into(),
        Declined::NotConfirmed { clock_off: Some(seconds) } => {
            let direction = if seconds < 0 { "behind" } else { "ahead" };
            let off = Seconds(seconds.unsigned_abs());
            format!("the clocks differ: the one of your device is about {off} {direction}; set both to automatic time")
        }
        Declined::NothingOffered => "no new key was shown that could be confirmed".into(),
        Declined::ChangedMeanwhile => "somebody else changed this second factor meanwhile".into(),
        Declined::Required => "your administrator requires a second factor of you".into(),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl From<ScreenError> for Problem {
    fn from(error: ScreenError) -> Self {
        Self::Screen(error)
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<TooLong> for Problem {
    fn from(error: TooLong) -> Self {
        Self::Qr(error)
    }
}

impl From<png::EncodingError> for Problem {
    fn from(error: png::EncodingError) -> Self {
        Self::Png(error)
    }
}

#[cfg(test)]
mod tests;
