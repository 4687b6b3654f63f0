//! The errors of this program: each has one sentence, a hint what to do next, and an exit code.

use std::io;
use std::path::PathBuf;

use otp_core::config::paths::HELPER;
use otp_core::decision::kinds::Kinds;
use otp_core::decision::verify::Refusal;
use otp_core::error::{CoreError, HelperError};
use otp_core::protocol::request::{Declined, Status};
use otp_core::qr::TooLong;
use otp_core::record::state::Lock;
use otp_core::store::error::StoreError;
use otp_core::text;
use otp_core::value::time::Seconds;
use otp_formats::seed::SeedFault;
use thiserror::Error as ThisError;

use crate::language::{fill, moment, tr};

/// What stays as it was after a code led to nothing: where all devices were to be replaced, and where one was to be added.
pub(crate) const OLD_STAYS: &str = text!("the old second factor still works; the code you gave for it is used up");
pub(crate) const OTHERS_STAY: &str =
    text!("no device was added, and the others still work; the code you gave is used up");

/// Why a command was not done.
#[derive(Debug, ThisError)]
pub(crate) enum CliError {
    /// A code was not accepted.
    #[error("{}", refusal_text(*.0))]
    Refused(Refusal),
    /// A proof of a kind of device that the policy does not accept for changes.
    #[error("{}", tr(text!("the policy does not accept codes of that kind of device here")))]
    KindRefused {
        /// The names of the user's devices that are accepted.
        accepted: Vec<String>,
    },
    /// A code was wrong, and was one too many. `until` is when the lock ends, where it ends by itself.
    #[error(
        "{}: {}",
        refusal_text(Refusal::Wrong { failures: *.failures, clock_behind: None }),
        locked_text(.until.as_deref())
    )]
    NowLocked { failures: u32, until: Option<String> },
    /// No code is looked at: too many wrong ones came before. `until` as above.
    #[error("{}", is_locked_text(.until.as_deref()))]
    IsLocked { until: Option<String> },
    /// The request is not possible as things are.
    #[error("{}", declined_text(*.0))]
    Declined(Declined),
    /// The same about another user, for an administrator.
    #[error("{}", declined_text(*.declined))]
    DeclinedFor { user: String, declined: Declined },
    /// What should be a token's seed.
    #[error(transparent)]
    Seed(#[from] SeedFault),
    /// A code does not confirm the token that was described.
    #[error("{}", tr(text!("that code is not one of this device's")))]
    NotTheTokens,
    /// Two codes that do not stand one after the other.
    #[error(
        "{}",
        if *.failures > 1 {
            let told = text!("these are not two codes in a row of this token ({failures} wrong codes in a row)");
            fill(told, &[("failures", .failures)])
        } else {
            tr(text!("these are not two codes in a row of this token"))
        }
    )]
    NotInARow { failures: u32 },
    /// What was typed in place of a token's code.
    #[error("{}", fill(text!("a code of this device has {digits} digits"), &[("digits", .0)]))]
    NotACode(u8),
    /// The command line asks for something that does not go together.
    #[error("{0}")]
    Usage(String),
    #[error("there is no user {0:?}")]
    NoSuchUser(String),
    /// No record has the name that an account had.
    #[error("there is no record of {0:?}")]
    NoRecord(String),
    #[error("there is no group {0:?}")]
    NoSuchGroup(String),
    /// No member of this group can log in.
    #[error("no user in the group {0:?} can log in")]
    EmptyGroup(String),
    #[error("only root may {0}")]
    NotRoot(&'static str),
    /// Configuration, records or name service.
    #[error(transparent)]
    Core(CoreError),
    /// What the helper reported.
    #[error("{error}")]
    Reported { error: String, hint: String },
    /// The helper was gone before it was asked: it waits so long for a request, and no longer.
    #[error("the helper has ended: it waits 15 minutes for each answer")]
    HelperEnded(#[source] io::Error),
    #[error("the helper {HELPER} cannot be reached: {}", plain(.0))]
    Helper(#[source] io::Error),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Screen(#[from] ScreenError),
    #[error(transparent)]
    File(#[from] FileError),
    /// Another program could not be run.
    #[error("{program} failed: {}", plain(.error))]
    Tool {
        program: &'static str,
        #[source]
        error: io::Error,
    },
    #[error("{0}")]
    Qr(TooLong),
    #[error("the QR code could not be encoded as PNG: {0}")]
    Png(#[from] png::EncodingError),
    #[error("cannot write to standard output: {}", plain(.0))]
    Output(#[source] io::Error),
    /// Standard output failed after the change was made.
    #[error("done, but writing to standard output failed: {}", plain(.0))]
    Unsaid(#[source] io::Error),
    /// New recovery codes are in force and were not shown.
    #[error("the new recovery codes could not be shown: {}", plain(.0))]
    CodesUnseen(#[source] io::Error),
    /// A check found this many faults, each printed already.
    #[error("{}", counted(*.0, "one fault was found", "faults were found"))]
    Faults(usize),
    /// The same, and each keeps only codes from being sent.
    #[error("{}", counted(*.0, "one fault was found", "faults were found"))]
    FaultsOfMessages(usize),
    /// A file to import.
    #[error("cannot read {}: {}", .path.display(), plain(.error))]
    Unreadable {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    /// A file of another program that cannot be read. `why` quotes nothing of it.
    #[error("{}: {why}", .path.display())]
    FileOfOther { path: PathBuf, why: String },
    /// It has this many faults, each printed already.
    #[error("{}", counted(*.0, "one fault was found in the file", "faults were found in the file"))]
    FaultyFile(usize),
    /// An import ended between two users. `why` is what ended it, where it was no signal.
    #[error(
        "interrupted: {done} of {of} users were processed{}",
        .why.as_ref().map_or_else(String::new, |why| format!("; {why}"))
    )]
    Interrupted {
        done: usize,
        of: usize,
        #[source]
        why: Option<Box<CliError>>,
    },
    /// So many records cannot be used, each printed already.
    #[error("{}", counted(*.0, "one record cannot be used", "records cannot be used"))]
    Unusable(usize),
    /// It failed for so many of several users, each printed already.
    #[error("failed for {}", counted(*.0, "one user", "users"))]
    NotDone(usize),
    /// A second factor is required from now on, but sessions of these users go on.
    #[error(
        "a second factor is required from now on{}",
        if matches!(**why, CliError::Cancelled) { "; no session was ended".to_owned() }
        else { format!(", but sessions could not be ended: {why}") }
    )]
    SessionsGoOn {
        users: String,
        #[source]
        why: Box<CliError>,
    },
    /// Sessions could not be ended.
    #[error("sessions {sessions} could not be ended: {why}")]
    SessionsStay {
        sessions: String,
        #[source]
        why: Box<CliError>,
    },
    /// Nothing on this machine knows sessions.
    #[error("there is no systemd-logind on this machine, so its sessions are not known")]
    NoLogind,
    /// A new device was not confirmed, after a code of another one was used on it.
    #[error("{why}")]
    InVain {
        #[source]
        why: Box<CliError>,
        stays: &'static str,
    },
    /// The helper was told to put a device in force, and its answer did not come.
    #[error("no answer came from the helper, so the new device may be in force or not: {why}")]
    MayBeInForce {
        #[source]
        why: Box<CliError>,
    },
    /// A token in stock was to be given to a user of a fleet, and no answer came.
    #[error("{user} has the token {serial} now, or not: {why}")]
    PerhapsGiven {
        user: String,
        serial: String,
        #[source]
        why: Box<CliError>,
    },
    /// Things are not as a change needs them, so that nothing was changed.
    #[error("{error}")]
    Unchanged { error: String, hint: String },
    /// A change was begun, and what was done of it was taken back.
    #[error("{why}; all was taken back")]
    TakenBack {
        #[source]
        why: Box<CliError>,
    },
    /// The answer was no.
    #[error("{}", tr(text!("cancelled: nothing was changed")))]
    Cancelled,
}

impl CliError {
    /// The documented exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(Refusal::NotEnrolled | Refusal::EnrollmentNotOffered | Refusal::UnknownUser)
            | Self::NoSuchUser(_)
            | Self::NoRecord(_)
            | Self::NoSuchGroup(_)
            | Self::EmptyGroup(_) => 3,
            Self::SessionsGoOn { why, .. } if !matches!(**why, Self::Cancelled) => 5,
            Self::SessionsGoOn { why, .. } | Self::SessionsStay { why, .. } | Self::InVain { why, .. } => {
                why.exit_code()
            }
            Self::Refused(_)
            | Self::KindRefused { .. }
            | Self::NowLocked { .. }
            | Self::IsLocked { .. }
            | Self::Declined(_)
            | Self::DeclinedFor { .. }
            | Self::NotTheTokens
            | Self::NotInARow { .. }
            | Self::NotACode(_)
            | Self::NotRoot(_)
            | Self::Cancelled
            | Self::Faults(_)
            | Self::FaultsOfMessages(_)
            | Self::FileOfOther { .. }
            | Self::FaultyFile(_)
            | Self::Unchanged { .. }
            | Self::Unusable(_) => 1,
            Self::Interrupted { why, .. } => why.as_ref().map_or(130, |why| why.exit_code()),
            Self::Seed(SeedFault::Both) | Self::Usage(_) => 2,
            Self::Seed(_) => 1,
            Self::Core(CoreError::Store(StoreError::Unflushed { .. }))
            | Self::MayBeInForce { .. }
            | Self::PerhapsGiven { .. }
            | Self::Unsaid(_)
            | Self::CodesUnseen(_) => 5,
            Self::Core(_)
            | Self::Reported { .. }
            | Self::HelperEnded(_)
            | Self::Helper(_)
            | Self::Ask(_)
            | Self::Screen(_)
            | Self::File(_)
            | Self::Qr(_)
            | Self::Png(_)
            | Self::Tool { .. }
            | Self::NoLogind
            | Self::Output(_)
            | Self::NotDone(_)
            | Self::TakenBack { .. }
            | Self::Unreadable { .. } => 4,
        }
    }

    /// The same, where what was asked for is done already.
    pub(crate) fn although_done(self) -> CliError {
        if let Self::Output(error) = self { Self::Unsaid(error) } else { self }
    }

    /// The same, after a code of a device that was there was used to get here.
    pub(crate) fn although_proved(self, stays: &'static str) -> CliError {
        let in_vain = matches!(
            self,
            Self::HelperEnded(_)
                | Self::Ask(_)
                | Self::NotTheTokens
                | Self::NotInARow { .. }
                | Self::NotACode(_)
                | Self::Declined(
                    Declined::NotConfirmed { .. }
                        | Declined::NextCodeNeeded
                        | Declined::PinNotSent
                        | Declined::PinWrong { .. }
                        | Declined::PinUsedUp
                        | Declined::PinExpired
                )
        );
        if in_vain { Self::InVain { why: Box::new(self), stays } } else { self }
    }

    /// The same, where the change may have been made before the helper was lost.
    pub(crate) fn although_asked(self) -> CliError {
        let is_lost = matches!(self, Self::HelperEnded(_) | Self::Helper(_));
        if is_lost { Self::MayBeInForce { why: Box::new(self) } } else { self }
    }

    /// The same about another user, for an administrator.
    pub(crate) fn about(self, user: &str) -> CliError {
        if let Self::Declined(declined) = self { Self::DeclinedFor { user: user.to_owned(), declined } } else { self }
    }

    /// A proof of a kind that is not accepted was given: which devices of this status would do.
    pub(crate) fn kind_refused(status: &Status) -> Self {
        let accepted = status.devices.iter().filter(|device| status.accepts(device));
        Self::KindRefused { accepted: accepted.map(|device| device.name.clone()).collect() }
    }

    /// Whether nothing is printed: the reader of our output has closed it, as `head` does, and nothing was changed.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What to do next.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Refused(Refusal::Locked(_)) | Self::NowLocked { .. } | Self::IsLocked { .. } => {
                text!("use a recovery code, or ask your administrator: otp-enroll admin unlock")
            }
            Self::Refused(Refusal::NotEnrolled | Refusal::EnrollmentNotOffered) => text!("set one up with: otp-enroll"),
            Self::Refused(Refusal::RecoveryUnknown | Refusal::RecoveryUsed) => {
                text!("nothing was changed; try another one, or a code that the device shows")
            }
            Self::Refused(Refusal::Replayed { .. }) => text!("nothing was changed"),
            Self::Refused(Refusal::PasscodeElsewhere) => {
                text!("nothing was changed; a passcode is for logins through its service, and for the first device")
            }
            Self::Refused(Refusal::KindNotAccepted { .. }) => {
                text!(
                    "nothing was changed; use another device or a recovery code: `otp-enroll status` says what is accepted where"
                )
            }
            Self::KindRefused { accepted } if accepted.is_empty() => {
                text!("nothing was changed; use a recovery code: no device of yours is accepted here")
            }
            Self::KindRefused { accepted } => {
                let accepted = accepted.join(&tr(text!(" or ")));
                return Some(fill(
                    text!("nothing was changed; use {devices} or a recovery code"),
                    &[("devices", &accepted)],
                ));
            }
            Self::Refused(Refusal::PasscodeUnknown) => {
                text!("nothing was changed; try again with the passcode that you were given")
            }
            Self::Refused(Refusal::PasscodeUsed | Refusal::PasscodeExpired)
            | Self::Declined(Declined::PasscodeNeeded) => {
                text!("ask your administrator for one: otp-enroll admin issue")
            }
            Self::Refused(Refusal::Renamed) => {
                text!(
                    "nothing was changed; an administrator decides: `otp-enroll admin doctor` names the old record, then \
                 `otp-enroll admin rename OLD NEW`, or `otp-enroll admin disable OLD`"
                )
            }
            Self::Refused(Refusal::Wrong { .. }) => {
                text!(
                    "it counts as a wrong code, and nothing else was changed; try again with the code that the device shows now"
                )
            }
            Self::Refused(_) => text!("nothing was changed; try again with the code that the device shows now"),
            Self::Declined(Declined::ProofNeeded) => text!("give a current code or a recovery code"),
            Self::Declined(Declined::NotConfirmed { .. }) => text!("nothing was changed; start again with: otp-enroll"),
            Self::InVain { stays, .. } => stays,
            Self::MayBeInForce { .. } => {
                text!("see: otp-enroll status; if it is, get recovery codes with: otp-enroll recovery")
            }
            Self::Declined(Declined::NothingOffered | Declined::ChangedMeanwhile) => text!("start again"),
            Self::Declined(Declined::KindNotAccepted { accepted, .. }) => {
                return Some(fill(
                    text!("nothing was changed; accepted are: {devices}"),
                    &[("devices", &accepted.listed())],
                ));
            }
            Self::DeclinedFor { user, declined } => return Some(hint_about(user, *declined)),
            Self::PerhapsGiven { user, serial, .. } => {
                return Some(format!(
                    "the stock keeps it for this user; run the same command again, which finds out: otp-enroll admin assign {user} {serial}"
                ));
            }
            Self::Seed(fault) => fault.hint(),
            Self::Unreadable { .. } => text!("check the path, and that you may read it"),
            Self::NotTheTokens => {
                text!(
                    "nothing was changed; check the seed and the options of the token: --type, --algorithm, --digits, --period, \
                 --counter"
                )
            }
            Self::NotInARow { failures: 0 } => {
                text!("nothing was changed; give a code that it shows and, when it shows another, that one, too")
            }
            Self::NotInARow { .. } => {
                text!(
                    "they count as one wrong code, and nothing else was changed; give a code that it shows and, when it shows \
                 another, that one, too"
                )
            }
            Self::NotACode(_) => text!("nothing was changed; blanks do not matter"),
            Self::Declined(Declined::NextCodeNeeded) => {
                text!("nothing was changed; give the code after it, too, or say how many it has shown: --counter")
            }
            Self::Declined(Declined::CountUnfit { most: 0 }) => text!("leave --count out"),
            Self::Declined(Declined::CountUnfit { .. }) => text!("nothing was changed; write another --count"),
            Self::Declined(Declined::NoSuchDevice | Declined::WhichToken | Declined::NotAToken) => {
                text!("nothing was changed; the devices: otp-enroll list")
            }
            Self::Declined(Declined::SeedKnown) => text!("nothing was changed; the devices: otp-enroll list"),
            Self::Declined(Declined::NameTaken | Declined::NameUnfit | Declined::NameReserved) => {
                text!("nothing was changed; choose another name")
            }
            Self::Declined(Declined::SendsNothing) => {
                text!("an administrator names the program that sends them: see [sms] and [email] in pam_otp.toml(5)")
            }
            Self::Declined(
                Declined::CountryCodeMissing
                | Declined::NotANumber
                | Declined::NotAnAddress
                | Declined::PinNotSent
                | Declined::PinWrong { .. },
            ) => text!("nothing was changed"),
            Self::Declined(Declined::DestinationKnown) => text!("nothing was changed; the devices: otp-enroll list"),
            Self::Declined(Declined::PinUsedUp | Declined::PinExpired) => {
                text!("nothing was changed; have another one sent")
            }
            Self::Declined(Declined::TooManyDevices) => text!("remove one first: otp-enroll remove DEVICE"),
            Self::Declined(Declined::OnlyDevice) => text!(
                "if it is lost or replaced: otp-enroll reset, with a recovery code; to have no second factor: otp-enroll disable"
            ),
            Self::Declined(Declined::TokenUnfit) => text!("nothing was changed; see TOKENS in otp-enroll(1)"),
            Self::Declined(Declined::NotPermitted) => text!("become root, for example with sudo"),
            Self::Declined(Declined::Required) => text!("to change phones use: otp-enroll reset"),
            Self::Usage(_) => "see: otp-enroll --help",
            Self::NotRoot(_) => "become root, for example with sudo",
            Self::Core(error) => error.hint(),
            Self::Reported { hint, .. } | Self::Unchanged { hint, .. } => hint,
            Self::TakenBack { .. } => "all files are as they were before; fix this, and try again",
            Self::HelperEnded(_) => text!("nothing was changed; start again"),
            Self::Helper(_) => "the helper must be installed set-group-ID pam_otp: see FILES in otp-enroll(1)",
            Self::Ask(AskError::Closed) => text!("nothing was changed"),
            Self::File(error) => error.hint(),
            Self::CodesUnseen(_) => text!("they are active all the same; get new ones with: otp-enroll recovery"),
            Self::FaultsOfMessages(_) => {
                "until this is fixed, no codes are sent: users with no other device or recovery code are refused"
            }
            Self::Faults(_) => "until this is fixed, users may be locked out, or let in without a code",
            Self::Unusable(_) => {
                "their users cannot log in with a code; each line says why, and `otp-enroll admin doctor` says what to do"
            }
            Self::NotDone(_) => "the reasons are above; the command can be run again without harm",
            Self::SessionsGoOn { users, .. } => return Some(format!("end them with: loginctl terminate-user {users}")),
            Self::SessionsStay { sessions, .. } => {
                return Some(format!("end them with: loginctl terminate-session {sessions}"));
            }
            Self::NoLogind => {
                "look for users with `who`, and for their processes with `ps -u USER`; no session was ended"
            }
            Self::FileOfOther { .. } => "nothing was changed; is this the file that google-authenticator made?",
            Self::FaultyFile(_) => {
                "nothing was imported; fix the file, or a copy of it, and try again; or import the rest: --rejects FILE"
            }
            Self::Interrupted { .. } => {
                "each user is enrolled completely or not at all; to continue, run the same command again"
            }
            Self::EmptyGroup(_) => {
                "check the group's name; to require a second factor of future members, add a rule to the configuration"
            }
            Self::NoRecord(_) => "`otp-enroll admin list` lists all records",
            Self::NoSuchUser(_)
            | Self::NoSuchGroup(_)
            | Self::Ask(AskError::Io(_))
            | Self::Screen(_)
            | Self::Qr(_)
            | Self::Png(_)
            | Self::Tool { .. }
            | Self::Output(_)
            | Self::Unsaid(_)
            | Self::Cancelled => return None,
        };
        Some(tr(hint))
    }
}

/// What an administrator does next.
fn hint_about(user: &str, declined: Declined) -> String {
    match declined {
        Declined::TooManyDevices => format!("remove one first: otp-enroll admin remove {user} DEVICE"),
        Declined::OnlyDevice => format!(
            "with a recovery code the user enrolls a new one: otp-enroll reset; without one: otp-enroll admin reset {user}"
        ),
        Declined::NoSuchDevice | Declined::SeedKnown | Declined::WhichToken | Declined::NotAToken => {
            format!("nothing was changed; the devices: otp-enroll admin show {user}")
        }
        Declined::ProofNeeded
        | Declined::PasscodeNeeded
        | Declined::CountUnfit { .. }
        | Declined::NotConfirmed { .. }
        | Declined::NextCodeNeeded
        | Declined::NothingOffered
        | Declined::KindNotAccepted { .. }
        | Declined::NameTaken
        | Declined::NameUnfit
        | Declined::NameReserved
        | Declined::SendsNothing
        | Declined::CountryCodeMissing
        | Declined::NotANumber
        | Declined::NotAnAddress
        | Declined::DestinationKnown
        | Declined::PinNotSent
        | Declined::PinWrong { .. }
        | Declined::PinUsedUp
        | Declined::PinExpired
        | Declined::TokenUnfit
        | Declined::ChangedMeanwhile
        | Declined::Required
        | Declined::NotPermitted => CliError::Declined(declined).hint().unwrap_or_default(),
    }
}

/// The error's text, without the number that std adds: "No such file or directory (os error 2)".
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let is_numbered = error.raw_os_error().is_some();
    text.rsplit_once(" (os error ").filter(|_| is_numbered).map_or(text.clone(), |(text, _)| text.to_owned())
}

fn counted(number: usize, one: &str, many: &str) -> String {
    if number == 1 { one.to_owned() } else { format!("{number} {many}") }
}

impl From<CoreError> for CliError {
    fn from(error: CoreError) -> Self {
        // The helper waits a limited time for each request, and is gone afterwards.
        let CoreError::Helper(HelperError::Io(error)) = error else { return Self::Core(error) };
        if error.kind() == io::ErrorKind::BrokenPipe { Self::HelperEnded(error) } else { Self::Helper(error) }
    }
}

impl From<TooLong> for CliError {
    fn from(error: TooLong) -> Self {
        Self::Qr(error)
    }
}

/// A lock that has just begun.
fn locked_text(until: Option<&str>) -> String {
    match until {
        Some(time) => fill(
            text!("only a recovery code, or a passcode at a login, is accepted until {time}"),
            &[("time", &moment(time))],
        ),
        None => tr(text!("only a recovery code, or a passcode at a login, is accepted until an administrator unlocks")),
    }
}

/// A lock that was there before.
fn is_locked_text(until: Option<&str>) -> String {
    match until {
        Some(time) => fill(
            text!("too many wrong codes: only a recovery code, or a passcode at a login, is accepted until {time}"),
            &[("time", &moment(time))],
        ),
        None => tr(text!(
            "too many wrong codes: only a recovery code, or a passcode at a login, is accepted until an administrator unlocks"
        )),
    }
}

/// The text of a refusal in the user's own terminal, after the login.
fn refusal_text(why: Refusal) -> String {
    match why {
        Refusal::Wrong { clock_behind: Some(gap), .. } => {
            let told = text!(
                "that code is wrong; this machine's clock is {time} behind your last login, so correct codes may be refused"
            );
            fill(told, &[("time", &gap)])
        }
        Refusal::Wrong { failures: 1, clock_behind: None } => tr(text!("that code is wrong")),
        Refusal::Wrong { failures, clock_behind: None } => {
            fill(text!("that code is wrong ({failures} wrong codes in a row)"), &[("failures", &failures)])
        }
        Refusal::Replayed { clock_behind: None } => {
            tr(text!("that code was used already; wait until the device shows the next one"))
        }
        Refusal::Replayed { clock_behind: Some(gap) } => {
            let told = text!("that code was used already, and this machine's clock is {time} behind your last login");
            fill(told, &[("time", &gap)])
        }
        Refusal::RecoveryUsed => tr(text!("that recovery code was used already")),
        Refusal::RecoveryUnknown => tr(text!("that is not one of your recovery codes")),
        Refusal::PasscodeUsed => tr(text!("that passcode was used already")),
        Refusal::PasscodeUnknown => tr(text!("that is not the passcode that was issued to you")),
        Refusal::PasscodeExpired => tr(text!("that passcode has expired")),
        Refusal::PasscodeElsewhere => tr(text!("that passcode is not accepted here")),
        Refusal::KindNotAccepted { .. } => tr(text!("the policy does not accept codes of that kind of device here")),
        Refusal::Locked(Lock::Until(time)) => is_locked_text(Some(&time.to_string())),
        Refusal::Locked(Lock::UntilUnlocked | Lock::Open) => is_locked_text(None),
        Refusal::Malformed => tr(text!("that is neither a code of 6 to 8 digits nor a recovery code")),
        Refusal::NotEnrolled | Refusal::EnrollmentNotOffered => tr(text!("no second factor is set up")),
        Refusal::Renamed => tr(text!(
            "this account was renamed, or it has the number of a removed account whose second factor is still there"
        )),
        Refusal::UnknownUser => tr(text!("there is no such account")),
        Refusal::Sealed(_) => {
            tr(text!("codes cannot be checked now: tell your administrator; a recovery code works until then"))
        }
        Refusal::HostBudget => tr(text!("the service that asks has sent too many wrong codes")),
        Refusal::HostNotPermitted => tr(text!("this machine may not ask for that: tell your administrator")),
    }
}

/// The text of a request that was not done.
pub(crate) fn declined_text(declined: Declined) -> String {
    match declined {
        Declined::ProofNeeded => tr(text!("a second factor is set up already; to change it, prove that it is yours")),
        Declined::PasscodeNeeded => tr(text!("the first device needs a passcode from your administrator")),
        Declined::CountUnfit { most: 0 } => tr(text!("this machine issues no recovery codes")),
        Declined::CountUnfit { most } => fill(text!("the number of recovery codes is 1 to {most}"), &[("most", &most)]),
        Declined::NotConfirmed { clock_off: None } => tr(text!(
            "that code is not correct. Wait for the next one; if it happens again, scan the picture again: an old entry \
             of the app may be showing"
        )),
        Declined::NotConfirmed { clock_off: Some(seconds) } => {
            let off = Seconds(seconds.unsigned_abs());
            let told = match (seconds < 0, seconds.unsigned_abs() >= 30 * 60) {
                (true, false) => {
                    text!(
                        "the clocks differ: the one of your device is about {time} behind; set both to automatic time"
                    )
                }
                (false, false) => {
                    text!("the clocks differ: the one of your device is about {time} ahead; set both to automatic time")
                }
                (true, true) => text!(
                    "the clocks differ: the one of your device is about {time} behind; set both to automatic time and time zone"
                ),
                (false, true) => text!(
                    "the clocks differ: the one of your device is about {time} ahead; set both to automatic time and time zone"
                ),
            };
            fill(told, &[("time", &off)])
        }
        Declined::NextCodeNeeded => tr(text!("that code is the token's, but it is far from where it should be")),
        Declined::NothingOffered => tr(text!("there is no new key to confirm")),
        Declined::NoSuchDevice => tr(text!("no device has this number or name")),
        Declined::NameTaken => tr(text!("another device has this name")),
        Declined::SeedKnown => tr(text!("this token is a device of this user already: one of them has its seed")),
        Declined::NameUnfit => tr(text!("a name has 1 to 40 characters, all of them visible")),
        Declined::NameReserved => {
            tr(text!("this name would be taken for a code, for the number of a device, or for a kind of device"))
        }
        Declined::KindNotAccepted { kind, .. } => tr(devices_of(kind)),
        Declined::TooManyDevices => tr(text!("a user has at most 8 devices")),
        Declined::OnlyDevice => tr(text!("that is the only device: without it the second factor would be gone")),
        Declined::SendsNothing => tr(text!("this machine sends no such messages")),
        Declined::CountryCodeMissing => tr(text!("write the number with its country code, such as +61412345678")),
        Declined::NotANumber => tr(text!(
            "this is no telephone number: + and 7 to 15 digits, such as +61412345678; blanks, hyphens and parentheses do not \
             matter, but no zero stands after the country code"
        )),
        Declined::NotAnAddress => tr(text!("this is no e-mail address like name@example.org")),
        Declined::DestinationKnown => {
            tr(text!("codes are sent there already: another device has this number or address"))
        }
        Declined::PinWrong { left: 1 } => tr(text!("that PIN is not correct; you can try once more")),
        Declined::PinWrong { left } => {
            fill(text!("that PIN is not correct; you can try {left} times more"), &[("left", &left)])
        }
        Declined::PinUsedUp => tr(text!("that was the last try for this PIN")),
        Declined::PinExpired => tr(text!("no PIN is good now")),
        Declined::PinNotSent => tr(text!("the PIN could not be sent; your administrator finds the reason in the log")),
        Declined::TokenUnfit => tr(text!("this is not the description of a token")),
        Declined::NotAToken => tr(text!("only hardware tokens are resynchronized: an app's phone sets its clock")),
        Declined::WhichToken => tr(text!("there are several tokens: name one by its number or name")),
        Declined::ChangedMeanwhile => tr(text!("this second factor was changed by another command in the meantime")),
        Declined::NotPermitted => tr(text!("only an administrator may do this")),
        Declined::Required => tr(text!("your administrator requires a second factor for this account")),
    }
}

/// What was wrong with the code of a new app, in the guide: the next answer follows.
pub(crate) fn not_confirmed(clock_off: Option<i64>) -> String {
    match clock_off {
        None => {
            tr(text!("That code is not correct. Wait for the next one; if it happens again, scan the picture again."))
        }
        Some(_) => declined_text(Declined::NotConfirmed { clock_off }),
    }
}

/// That devices of a kind are not accepted.
fn devices_of(kind: Kinds) -> &'static str {
    match kind.words().next() {
        Some("totp") => text!("the policy accepts no apps and tokens that go by the time here"),
        Some("hotp") => text!("the policy accepts no tokens that count here"),
        Some("ocra") => text!("the policy accepts no tokens with a keypad here"),
        Some("sms") => text!("the policy accepts no text messages here"),
        Some("email") => text!("the policy accepts no e-mail here"),
        Some(_) | None => text!("the policy accepts no such devices here"),
    }
}

/// Why a question has no answer.
#[derive(Debug, ThisError)]
pub(crate) enum AskError {
    /// The input has ended: there will be no answer.
    #[error("{}", tr(text!("the input ended before the question was answered")))]
    Closed,
    #[error("the terminal cannot be used: {}", plain(.0))]
    Io(#[from] io::Error),
}

/// Why the alternate screen could not be entered.
#[derive(Debug, ThisError)]
pub(crate) enum ScreenError {
    #[error("the terminal cannot be used: {}", plain(.0))]
    Io(#[source] io::Error),
    #[error("signals cannot be handled: {}", plain(.0))]
    Signals(#[source] io::Error),
}

/// Why a file was not written.
#[derive(Debug, ThisError)]
pub(crate) enum FileError {
    /// Something of that name is there, were it a symbolic link to nowhere.
    #[error("{}", fill(text!("{path} exists"), &[("path", &.0.display())]))]
    Exists(PathBuf),
    #[error("{} could not be created: {}", .path.display(), plain(.error))]
    Create {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    /// The file was made, could not be filled, and is gone.
    #[error("{} could not be written: {}", .path.display(), plain(.error))]
    Write {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    /// The file was made, could not be filled, and could not be removed either.
    #[error("{} could not be written, and is still there: {}", .path.display(), plain(.error))]
    Remains {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

impl FileError {
    /// What to do next.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            FileError::Exists(_) => text!("choose another name: existing files are never overwritten"),
            FileError::Create { .. } => text!("choose a folder you may write to"),
            FileError::Write { .. } => "choose a folder on a disk with free space",
            FileError::Remains { .. } => "remove the file: it may contain a part of the secret",
        }
    }
}

#[cfg(test)]
mod tests;
