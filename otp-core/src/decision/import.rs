//! The import of a user's devices from another module's file, as a pure function.

use subtle::ConstantTimeEq;

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::{Algorithm, Digits, Generator, around};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Device, DeviceName, Kind, Override};
use crate::record::id::{DeviceId, EnrollmentId, MOST_DEVICES};
use crate::record::state::State;
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Steps ahead of the clock at which another module may have accepted a code: an hour for most devices.
const AHEAD: u64 = 120;

/// Steps behind the clock: the largest window that can be configured.
const BEHIND: u64 = 10;

/// A device in another module's file.
pub struct Imported {
    pub kind: Kind,
    pub secret: Secret,
    pub algorithm: Algorithm,
    pub digits: Digits,
    /// The lowest step or counter that the other module is not known to have accepted.
    pub next: u64,
    /// The last code of a time-based device that the other module accepted, if the file does not hold its step.
    pub last: Option<Code>,
}

/// An import of one user's devices.
pub struct Import {
    devices: Vec<Imported>,
    replace: bool,
    now: UnixTime,
}

/// The result of an import for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user had no device and now has these.
    Imported,
    /// The user had other devices and now has these.
    Replaced,
    /// The user had these devices. Codes that the other module has accepted since the last import are now used here too.
    CaughtUp,
    /// The user had these devices, and nothing changed.
    Already,
    /// The user has other devices, and keeps them.
    HasOthers,
    /// The file holds no device, or more than a record may have.
    Unfit,
}

impl Import {
    /// With `replace`, the import replaces other devices of the user.
    pub fn new(devices: Vec<Imported>, replace: bool, now: UnixTime) -> Self {
        Self { devices, replace, now }
    }

    /// The step of a change. The user's override is kept. No recovery codes are made, since no user would see them.
    pub fn into_record(
        &self,
        account: &Account,
        record: Option<&Record>,
        enrollment: EnrollmentId,
    ) -> (Change, Outcome) {
        if !(1..=MOST_DEVICES).contains(&self.devices.len()) {
            return (Change::Keep, Outcome::Unfit);
        }
        match record.filter(|record| record.is_enrolled()) {
            Some(record) if self.is_in(record) => {
                let state = self.caught_up(record);
                if state == record.state {
                    (Change::Keep, Outcome::Already)
                } else {
                    (Change::State(state), Outcome::CaughtUp)
                }
            }
            Some(_) if !self.replace => (Change::Keep, Outcome::HasOthers),
            Some(_) => (self.new_record(account, record, enrollment), Outcome::Replaced),
            None => (self.new_record(account, record, enrollment), Outcome::Imported),
        }
    }

    /// Whether the record has exactly these devices.
    fn is_in(&self, record: &Record) -> bool {
        let devices = &record.credentials.devices;
        devices.len() == self.devices.len()
            && self.devices.iter().all(|imported| devices.iter().any(|device| imported.is(device)))
    }

    /// The state in which every code that the other module is known to have accepted is used. The next step or counter
    /// only rises: the file may be older than the last login here.
    fn caught_up(&self, record: &Record) -> State {
        let mut state = record.state.clone();
        for imported in &self.devices {
            for device in record.credentials.devices.iter().filter(|device| imported.is(device)) {
                let used = imported.used_below(self.now);
                state.devices.entry(device.id).and_modify(|progress| progress.next = used.max(progress.next));
            }
        }
        state
    }

    fn new_record(&self, account: &Account, before: Option<&Record>, enrollment: EnrollmentId) -> Change {
        let mut devices = Vec::with_capacity(self.devices.len());
        for (number, imported) in (1..).zip(&self.devices) {
            let name = if number == 1 { "imported".to_owned() } else { format!("imported {number}") };
            let Some(name) = DeviceName::parse(&name) else { continue }; // never: such a name is valid
            let id = DeviceId(number);
            let Imported { ref kind, ref secret, algorithm, digits, .. } = *imported;
            let (kind, secret) = (kind.clone(), secret.duplicate());
            let device = Device { id, name, kind, secret, algorithm, digits, created: self.now, serial: None };
            // Codes that this device has used here stay used, even if another device changed.
            let next_before = before.and_then(|record| {
                let device = record.credentials.devices.iter().find(|device| imported.is(device))?;
                record.state.next(device.id)
            });
            devices.push((device, imported.first_next(self.now).max(next_before.unwrap_or(0))));
        }
        let user_override = before.map_or(Override::None, |record| record.credentials.user_override);
        Change::Record(Box::new(Record::begin(account, enrollment, user_override, devices, None)))
    }
}

impl Imported {
    /// Whether this is the device: both show equal codes.
    pub fn is(&self, device: &Device) -> bool {
        self.kind == device.kind
            && self.algorithm == device.algorithm
            && self.digits == device.digits
            && bool::from(self.secret.expose().ct_eq(device.secret.expose()))
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
