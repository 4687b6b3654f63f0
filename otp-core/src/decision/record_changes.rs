//! Changes of a record by administration, as pure functions. None of them shows or chooses a seed.

use crate::codes::passcode::Issued;
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Credentials, Override};
use crate::record::id::EnrollmentId;
use crate::record::seal::SealedParts;
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
        let credentials = Credentials { enrollment, ..self.credentials.duplicate() };
        Self { credentials, state: State { enrollment, ..self.state.clone() } }
    }

    /// The record with another override; no record if nothing else is left.
    pub fn with_override(&self, user_override: Override, enrollment: EnrollmentId) -> Change {
        let mut record = self.renewed(enrollment);
        record.credentials.user_override = user_override;
        record.unless_blank()
    }

    /// The record with this passcode, unused, in place of any other; without one, no record if nothing else is left.
    pub fn with_passcode(&self, passcode: Option<Issued>, enrollment: EnrollmentId) -> Change {
        let mut record = self.renewed(enrollment);
        (record.credentials.passcode, record.state.passcode_used) = (passcode, false);
        record.credentials.sealed.passcode = None;
        record.unless_blank()
    }

    /// The change to this record, which is no record if it says nothing.
    fn unless_blank(self) -> Change {
        if self.is_blank() { Change::Nothing } else { Change::Record(Box::new(self)) }
    }

    /// The record without devices, recovery codes and passcode; no record if the user has no override.
    pub fn without_devices(&self, enrollment: EnrollmentId) -> Change {
        if self.credentials.user_override == Override::None {
            return Change::Nothing;
        }
        let credentials = self.renewed(enrollment).credentials;
        let credentials = Credentials {
            devices: Vec::new(),
            default: None,
            recovery: None,
            scratch: None,
            passcode: None,
            sealed: SealedParts::default(),
            ..credentials
        };
        Change::Record(Box::new(Record { credentials, state: State::new(enrollment) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::state::Used;
    use crate::testing::fixtures::{NOW, alice, phone, record, token};

    #[test]
    fn unlocking_clears_count_and_lock_and_nothing_else() {
        let mut record = record(vec![phone(1), token(2)]);
        record.state.set_nexts([(1, 77), (2, 77)]);
        record.state = State {
            failures: 9,
            lock: Lock::UntilUnlocked,
            used: Used(0b101),
            last_accepted: Some(NOW),
            ..record.state
        };
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
            record.credentials.passcode = Some(Issued::decoy());
            record.state.failures = 3;
            let Change::Record(next) = record.without_devices(EnrollmentId([5; 16])) else {
                panic!("the override was lost")
            };
            let Credentials { user, uid, enrollment, user_override: kept, devices, recovery, passcode, .. } =
                next.credentials;
            assert_eq!((user, uid), (record.credentials.user, record.credentials.uid));
            assert_eq!((enrollment, kept), (EnrollmentId([5; 16]), user_override));
            assert!(devices.is_empty() && recovery.is_none() && passcode.is_none());
            assert_eq!(next.state, State::new(EnrollmentId([5; 16])));
        }
    }

    #[test]
    fn a_new_passcode_is_unused_and_without_one_only_what_else_there_is_stays() {
        let issued = |until| Some(Issued { until, ..Issued::decoy() });
        let changed = |record: &Record, passcode| match record.with_passcode(passcode, EnrollmentId([5; 16])) {
            Change::Record(record) => Some(record),
            Change::Nothing => None,
            Change::Keep | Change::State(_) => panic!("no change"),
        };
        let mut enrolled = record(vec![phone(1)]);
        enrolled.state.passcode_used = true;
        enrolled.state.failures = 3;
        let with = changed(&enrolled, issued(NOW)).unwrap();
        assert_eq!(with.credentials.passcode, issued(NOW));
        let enrollment = EnrollmentId([5; 16]);
        assert_eq!(with.state, State { enrollment, passcode_used: false, ..enrolled.state });
        let without = changed(&with, None).unwrap();
        assert!(without.credentials.passcode.is_none() && without.is_enrolled());

        let Change::Record(mut alone) = Record::stranger(&alice()).with_passcode(issued(NOW), enrollment) else {
            panic!("a passcode was lost")
        };
        assert!(!alone.is_enrolled() && !alone.is_blank());
        assert!(matches!(alone.with_override(Override::None, enrollment), Change::Record(_)));
        assert!(changed(&alone, None).is_none());
        alone.credentials.user_override = Override::Required;
        assert!(changed(&alone, None).is_some());
    }

    #[test]
    fn without_devices_and_override_nothing_stays() {
        assert!(matches!(record(vec![phone(1)]).without_devices(EnrollmentId([5; 16])), Change::Nothing));
    }
}
