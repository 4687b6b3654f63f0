//! The import of a user's devices from a file, as a pure function: of another module, or of a maker of tokens.

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::{Algorithm, Digits, Generator, around};
use crate::codes::recovery::{MOST_CODES, RecoverySet};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Device, DeviceName, Kind, Override, Serial};
use crate::record::id::{DeviceId, EnrollmentId, MOST_DEVICES};
use crate::record::state::{Progress, State, Used};
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Steps ahead of the clock at which another module may have accepted a code: an hour for most devices.
const AHEAD: u64 = 120;

/// Steps behind the clock: the largest window that can be configured.
const BEHIND: u64 = 10;

/// A device in a file.
pub struct Imported {
    pub kind: Kind,
    pub secret: Secret,
    pub algorithm: Algorithm,
    pub digits: Digits,
    /// The lowest step or counter that is not known to have been accepted elsewhere.
    pub next: u64,
    /// The last code of a time-based device that the other module accepted, if the file does not hold its step.
    pub last: Option<Code>,
    /// Whether its user has logged in with it elsewhere. A token that comes from its maker has shown no right code yet.
    pub is_confirmed: bool,
    pub name: Option<DeviceName>,
    pub serial: Option<Serial>,
}

/// What a file holds of one user.
pub struct Found {
    pub devices: Vec<Imported>,
    /// Unused scratch codes of google-authenticator.
    pub scratch: Vec<Code>,
}

/// What becomes of other devices that the user has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stay, and nothing is imported.
    Refuse,
    /// They stay, and the devices of the file come beside them.
    Beside,
    /// The devices of the file come in their place.
    Replace,
}

/// An import of one user's devices.
pub struct Import {
    found: Found,
    /// For the hashes of scratch codes; random.
    salt: [u8; 16],
    others: Others,
    now: UnixTime,
}

/// The result of an import for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user had no device and now has these.
    Imported,
    /// The user had other devices and now has these.
    Replaced,
    /// The user had other devices and now has these, too.
    Added,
    /// The user had these devices. Codes that were used elsewhere since the last import are now used here too.
    CaughtUp,
    /// The user had these devices, and nothing changed.
    Already,
    /// The user has other devices, and keeps them.
    HasOthers,
    /// The user has other devices, and would have more than a record may have.
    TooMany,
    /// The file holds no device, or more than a record may have.
    Unfit,
}

impl Outcome {
    /// The word in the log; `None` if nothing was changed.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Imported | Self::Added => Some("imported"),
            Self::Replaced => Some("replaced"),
            Self::CaughtUp => Some("caught-up"),
            Self::Already | Self::HasOthers | Self::TooMany | Self::Unfit => None,
        }
    }
}

impl Import {
    pub fn new(found: Found, others: Others, salt: [u8; 16], now: UnixTime) -> Self {
        Self { found, salt, others, now }
    }

    /// The step of a change. The user's override is kept. No recovery codes are made, since no user would see them.
    pub fn into_record(
        &self,
        account: &Account,
        record: Option<&Record>,
        enrollment: EnrollmentId,
    ) -> (Change, Outcome) {
        if !(1..=MOST_DEVICES).contains(&self.found.devices.len()) {
            return (Change::Keep, Outcome::Unfit);
        }
        match record.filter(|record| record.is_enrolled()) {
            Some(record) if self.is_in(record) => {
                let state = self.caught_up(record);
                if self.has_new_scratch_codes(record) {
                    let mut renewed = record.renewed(enrollment);
                    renewed.state = State { enrollment, ..state };
                    self.give_scratch_codes(&mut renewed, Some(record));
                    (Change::Record(Box::new(renewed)), Outcome::CaughtUp)
                } else if state == record.state {
                    (Change::Keep, Outcome::Already)
                } else {
                    (Change::State(state), Outcome::CaughtUp)
                }
            }
            Some(record) => match self.others {
                Others::Refuse => (Change::Keep, Outcome::HasOthers),
                Others::Replace => (self.new_record(account, Some(record), enrollment), Outcome::Replaced),
                Others::Beside => self.beside(record, enrollment),
            },
            None => (self.new_record(account, record, enrollment), Outcome::Imported),
        }
    }

    /// Whether the record has these devices, and no other ones if they are to be replaced or nothing is to come beside them.
    fn is_in(&self, record: &Record) -> bool {
        let (devices, found) = (&record.credentials.devices, &self.found.devices);
        (self.others == Others::Beside || devices.len() == found.len())
            && found.iter().all(|imported| devices.iter().any(|device| imported.is(device)))
    }

    /// The state in which every code that is known to have been used elsewhere is used: a scratch code that the file holds no
    /// longer, too. The next step or counter only rises: the file may be older than the last login here.
    fn caught_up(&self, record: &Record) -> State {
        let mut state = record.state.clone();
        for imported in &self.found.devices {
            for device in record.credentials.devices.iter().filter(|device| imported.is(device)) {
                let used = imported.used_below(self.now);
                if let Some(progress) = state.devices.get_mut(device.id) {
                    progress.move_to(used.max(progress.next));
                }
            }
        }
        if let Some(set) = record.credentials.scratch.as_ref().filter(|_| self.others != Others::Beside) {
            let left: Vec<_> = self.found.scratch.iter().filter_map(|code| set.find_scratch(&code.reveal())).collect();
            for position in (0..set.issued()).filter(|position| !left.contains(position)) {
                state.scratch_used.mark(position);
            }
        }
        state
    }

    fn new_record(&self, account: &Account, before: Option<&Record>, enrollment: EnrollmentId) -> Change {
        let user_override = before.map_or(Override::None, |record| record.credentials.user_override);
        let mut record = Record::begin(account, enrollment, user_override, Vec::new(), None);
        for imported in &self.found.devices {
            // Codes that this device has used here stay used, even if another device changed.
            let progress = before.and_then(|before| {
                let device = before.credentials.devices.iter().find(|device| imported.is(device))?;
                before.state.devices.get(device.id).copied()
            });
            self.push(&mut record, imported, progress);
        }
        self.give_scratch_codes(&mut record, before);
        Change::Record(Box::new(record))
    }

    /// The scratch codes of the file. Those that were used here stay used.
    fn give_scratch_codes(&self, record: &mut Record, before: Option<&Record>) {
        record.state.scratch_used = Used::default();
        let digits: Vec<_> = self.found.scratch.iter().map(Code::reveal).collect();
        record.credentials.scratch = (!digits.is_empty()).then(|| RecoverySet::of_scratch(self.salt, &digits));
        let Some((before, set)) = before.and_then(|before| Some((before, before.credentials.scratch.as_ref()?))) else {
            return;
        };
        // The others are in no set.
        for (position, digits) in (0..MOST_CODES).zip(&digits) {
            if set.find_scratch(digits).is_some_and(|former| before.state.scratch_used.has(former)) {
                record.state.scratch_used.mark(position);
            }
        }
    }

    /// Whether the file has scratch codes that the record does not: the user has made others since.
    fn has_new_scratch_codes(&self, record: &Record) -> bool {
        let is_known = |code: &Code| {
            record.credentials.scratch.as_ref().is_some_and(|set| set.find_scratch(&code.reveal()).is_some())
        };
        self.others != Others::Beside && !self.found.scratch.iter().all(is_known)
    }

    /// The record with the devices that it does not have.
    fn beside(&self, record: &Record, enrollment: EnrollmentId) -> (Change, Outcome) {
        let mut larger = record.renewed(enrollment);
        larger.state = State { enrollment, ..self.caught_up(record) };
        for imported in &self.found.devices {
            if !record.credentials.devices.iter().any(|device| imported.is(device)) {
                let is_full =
                    larger.credentials.devices.len() >= MOST_DEVICES || larger.credentials.last_id.0 == u8::MAX;
                if is_full {
                    return (Change::Keep, Outcome::TooMany);
                }
                self.push(&mut larger, imported, None);
            }
        }
        (Change::Record(Box::new(larger)), Outcome::Added)
    }

    /// Adds a device with the next id, and a name that is free.
    fn push(&self, record: &mut Record, imported: &Imported, before: Option<Progress>) {
        let Record { credentials, state } = record;
        let id = DeviceId(credentials.last_id.0.saturating_add(1));
        let Imported { ref kind, ref secret, ref serial, algorithm, digits, is_confirmed, .. } = *imported;
        let (kind, secret, serial) = (kind.clone(), secret.duplicate().into(), serial.clone());
        let name = imported.name.clone().unwrap_or_else(DeviceName::of_import);
        let name = name.free(|taken| credentials.devices.iter().any(|device| device.name.is(taken)));
        credentials.devices.push(Device { id, name, kind, secret, algorithm, digits, created: self.now, serial });
        credentials.last_id = id;
        credentials.default.get_or_insert(id);
        let mut progress = Progress { is_confirmed, ..Progress::from(imported.first_next(self.now)) };
        // What is not known of a counter after a restore, no file knows either.
        if let Some(before) = before {
            progress.join(before);
        }
        state.devices.insert(id, progress);
    }
}

impl Imported {
    /// Whether this is the device: both show equal codes.
    pub fn is(&self, device: &Device) -> bool {
        device.shows_codes(&self.kind, &self.secret, self.algorithm, self.digits)
    }

    /// The lowest step or counter above all that the other module is known to have accepted.
    fn used_below(&self, now: UnixTime) -> u64 {
        let Kind::Totp(clock) = self.kind else { return self.next };
        let found = self.last.as_ref().and_then(|last| {
            let generator = Generator::new(&self.secret, self.algorithm, self.digits);
            generator.find(last, around(clock.step_at(now), BEHIND, AHEAD))
        });
        found.map_or(0, |steps| steps.end().saturating_add(1)).max(self.next)
    }

    /// The lowest step or counter that is accepted here. A file may hold only the digits of the last code, so all steps up
    /// to the present one count as used.
    fn first_next(&self, now: UnixTime) -> u64 {
        let used = self.used_below(now);
        match self.kind {
            Kind::Totp(clock) => used.max(clock.step_at(now).saturating_add(1)),
            Kind::Hotp | Kind::Ocra(_) | Kind::Sent(_) => used,
        }
    }
}

#[cfg(test)]
mod tests;
