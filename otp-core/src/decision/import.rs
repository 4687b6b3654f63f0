//! What becomes of a record when its user's devices come from another module's file, as a pure function.

use subtle::ConstantTimeEq;

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::{Algorithm, Digits, Generator, around};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Credentials, Device, DeviceName, Kind, Override};
use crate::record::id::{DeviceId, EnrollmentId, MOST_DEVICES};
use crate::record::state::State;
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// How far ahead of the clock, in steps, a code may lie that another module has accepted; an hour for most devices.
const AHEAD: u64 = 120;

/// How far behind it our own window may be set to reach.
const BEHIND: u64 = 10;

/// A device as another module's file tells of it.
pub struct Imported {
    /// What moves the code on.
    pub kind: Kind,
    /// The seed.
    pub secret: Secret,
    /// The hash under the HMAC.
    pub algorithm: Algorithm,
    /// How long its codes are.
    pub digits: Digits,
    /// The lowest moving factor that the other module is not known to have accepted.
    pub next: u64,
    /// A code of a time-based device that it has accepted lately, where it did not note which step that was.
    pub last: Option<Code>,
}

/// One user's devices on their way into a record.
pub struct Import {
    devices: Vec<Imported>,
    replace: bool,
    now: UnixTime,
}

/// What an import made of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was no device; now there are these.
    Imported,
    /// There were others; now there are these.
    Replaced,
    /// They were there already. What the other module has accepted since is spent here too.
    CaughtUp,
    /// They were there already.
    Already,
    /// There are others, which stay.
    HasOthers,
    /// There is no device to import, or more than a record may have.
    Unfit,
}

impl Import {
    /// With `replace`, also in place of others.
    pub fn new(devices: Vec<Imported>, replace: bool, now: UnixTime) -> Self {
        Self { devices, replace, now }
    }

    /// The step of a change. An override set for the user stays; there are no recovery codes, since nobody sees them.
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
            Some(_) => (self.anew(account, record, enrollment), Outcome::Replaced),
            None => (self.anew(account, record, enrollment), Outcome::Imported),
        }
    }

    /// Whether the record has exactly these devices.
    fn is_in(&self, record: &Record) -> bool {
        let devices = &record.credentials.devices;
        devices.len() == self.devices.len()
            && self.devices.iter().all(|imported| devices.iter().any(|device| imported.is(device)))
    }

    /// The state in which no code is good any more that the other module has accepted, as far as is known now. Marks
    /// only ever rise: the file may be older than the last login here.
    fn caught_up(&self, record: &Record) -> State {
        let mut state = record.state.clone();
        for imported in &self.devices {
            for device in record.credentials.devices.iter().filter(|device| imported.is(device)) {
                let used = imported.used_below(self.now);
                state.next.entry(device.id).and_modify(|mark| *mark = used.max(*mark));
            }
        }
        state
    }

    fn anew(&self, account: &Account, before: Option<&Record>, enrollment: EnrollmentId) -> Change {
        let (mut devices, mut state) = (Vec::with_capacity(self.devices.len()), State::new(enrollment));
        for (number, imported) in (1..).zip(&self.devices) {
            let name = if number == 1 { "imported".to_owned() } else { format!("imported {number}") };
            let Some(name) = DeviceName::parse(&name) else { continue }; // so short that it always is one
            let id = DeviceId(number);
            let Imported { kind, ref secret, algorithm, digits, .. } = *imported;
            let secret = secret.duplicate();
            devices.push(Device { id, name, kind, secret, algorithm, digits, created: self.now });
            // What this very device was used for here must not be forgotten because something beside it changed.
            let mark_before = before.and_then(|record| {
                let device = record.credentials.devices.iter().find(|device| imported.is(device))?;
                record.state.next.get(&device.id).copied()
            });
            state.next.insert(id, imported.first_mark(self.now).max(mark_before.unwrap_or(0)));
        }
        let credentials = Credentials {
            user: account.name.clone(),
            uid: account.uid,
            enrollment,
            user_override: before.map_or(Override::None, |record| record.credentials.user_override),
            devices,
            recovery: None,
        };
        Change::Record(Box::new(Record { credentials, state }))
    }
}

impl Imported {
    /// Whether they are the same: whatever code one shows, the other one does.
    pub fn is(&self, device: &Device) -> bool {
        self.kind == device.kind
            && self.algorithm == device.algorithm
            && self.digits == device.digits
            && bool::from(self.secret.expose().ct_eq(device.secret.expose()))
    }

    /// Below this, the other module has accepted codes, as far as its file tells.
    fn used_below(&self, now: UnixTime) -> u64 {
        let Kind::Totp(period) = self.kind else { return self.next };
        let found = self.last.as_ref().and_then(|last| {
            let generator = Generator::new(&self.secret, self.algorithm, self.digits);
            generator.find(last, around(period.step_at(now), BEHIND, AHEAD))
        });
        found.map_or(0, |steps| steps.end().saturating_add(1)).max(self.next)
    }

    /// The file may know the last code only, and of that no more than its digits: all steps up to the present one count
    /// as used.
    fn first_mark(&self, now: UnixTime) -> u64 {
        let used = self.used_below(now);
        match self.kind {
            Kind::Totp(period) => used.max(period.step_at(now).saturating_add(1)),
            Kind::Hotp => used,
        }
    }
}

#[cfg(test)]
mod tests;
