//! What becomes of a record in an administrator's hands, as pure functions: no seed is shown or chosen here.

use crate::record::{Credentials, EnrolmentId, Lock, Record, Requirement, State};
use crate::store::Next;

impl Record {
    /// The state with the count cleared and the lock open; replay marks and spent codes stay.
    pub fn unlocked(&self) -> State {
        State { failures: 0, lock: Lock::Open, ..self.state.clone() }
    }

    /// Devices and recovery codes are forgotten; a requirement set for the user stays, and where there is none, nothing.
    pub fn without_devices(&self, enrolment: EnrolmentId) -> Next {
        if self.credentials.requirement == Requirement::Policy {
            return Next::Nothing;
        }
        let credentials = Credentials {
            user: self.credentials.user.clone(),
            uid: self.credentials.uid,
            enrolment,
            requirement: self.credentials.requirement,
            devices: Vec::new(),
            recovery: None,
        };
        Next::Record(Box::new(Record { credentials, state: State::new(enrolment) }))
    }
}
