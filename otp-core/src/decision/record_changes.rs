//! Changes of a record by administration, as pure functions. None of them shows or chooses a seed.

use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Credentials, Device, Override};
use crate::record::id::EnrollmentId;
use crate::record::state::{Lock, State};

impl Record {
    /// The state with the count cleared and the lock open. Used codes stay used.
    pub fn unlocked(&self) -> State {
        State { failures: 0, lock: Lock::Open, ..self.state.clone() }
    }

    /// The state without grace, so that every next login asks for a code.
    pub fn without_graces(&self) -> State {
        State { graces: Vec::new(), ..self.state.clone() }
    }

    /// This record under a new enrollment id: every change of credentials needs one.
    pub fn renewed(&self, enrollment: EnrollmentId) -> Self {
        let credentials = Credentials {
            user: self.credentials.user.clone(),
            uid: self.credentials.uid,
            enrollment,
            user_override: self.credentials.user_override,
            devices: self.credentials.devices.iter().map(Device::duplicate).collect(),
            default: self.credentials.default,
            last_id: self.credentials.last_id,
            recovery: self.credentials.recovery.clone(),
        };
        Self { credentials, state: State { enrollment, ..self.state.clone() } }
    }

    /// The record with another override; no record if neither a device nor an override is left.
    pub fn with_override(&self, user_override: Override, enrollment: EnrollmentId) -> Change {
        if user_override == Override::None && !self.is_enrolled() {
            return Change::Nothing;
        }
        let mut record = self.renewed(enrollment);
        record.credentials.user_override = user_override;
        Change::Record(Box::new(record))
    }

    /// The record without devices and recovery codes; no record if the user has no override.
    pub fn without_devices(&self, enrollment: EnrollmentId) -> Change {
        if self.credentials.user_override == Override::None {
            return Change::Nothing;
        }
        let credentials = self.renewed(enrollment).credentials;
        let credentials = Credentials { devices: Vec::new(), default: None, recovery: None, ..credentials };
        Change::Record(Box::new(Record { credentials, state: State::new(enrollment) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::{NOW, phone, record, token};

    #[test]
    fn unlocking_clears_count_and_lock_and_nothing_else() {
        let mut record = record(vec![phone(1), token(2)]);
        record.state.set_nexts([(1, 77), (2, 77)]);
        record.state =
            State { failures: 9, lock: Lock::UntilUnlocked, used: 0b101, last_accepted: Some(NOW), ..record.state };
        let expected = State { failures: 0, lock: Lock::Open, ..record.state.clone() };
        assert_eq!(record.unlocked(), expected);
    }

    #[test]
    fn without_devices_only_the_override_stays() {
        for user_override in [
            Override::Required,
            Override::RequiredUntil(NOW),
            Override::Enroll,
            Override::EnrollUntil(NOW),
            Override::Exempt,
            Override::ExemptUntil(NOW),
        ] {
            let mut record = record(vec![phone(1)]);
            record.credentials.user_override = user_override;
            record.state.failures = 3;
            let Change::Record(next) = record.without_devices(EnrollmentId([5; 16])) else {
                panic!("the override was lost")
            };
            let Credentials { user, uid, enrollment, user_override: kept, devices, recovery, .. } = next.credentials;
            assert_eq!((user, uid), (record.credentials.user, record.credentials.uid));
            assert_eq!((enrollment, kept), (EnrollmentId([5; 16]), user_override));
            assert!(devices.is_empty() && recovery.is_none());
            assert_eq!(next.state, State::new(EnrollmentId([5; 16])));
        }
    }

    #[test]
    fn without_devices_and_override_nothing_stays() {
        assert!(matches!(record(vec![phone(1)]).without_devices(EnrollmentId([5; 16])), Change::Nothing));
    }
}
