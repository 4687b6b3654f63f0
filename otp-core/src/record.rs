//! What is known of one user: the credentials that prove who they are, and the state that each login changes.

pub mod change;
pub mod credentials;
pub mod credentials_toml;
pub mod error;
pub mod id;
pub mod state;
pub mod state_slot;

use crate::codes::recovery::RecoverySet;
use crate::record::credentials::{Credentials, Device, Requirement};
use crate::record::error::Damage;
use crate::record::id::EnrolmentId;
use crate::record::state::State;
use crate::value::user::Account;

/// Credentials and the state that belongs to them.
pub struct Record {
    /// Changed by enrolment and administration only.
    pub credentials: Credentials,
    /// Changed by every login.
    pub state: State,
}

impl Record {
    /// Whether both halves speak of the same enrolment and of the same devices.
    ///
    /// A device without a mark would be a device whose old codes work again: damage, not a fresh start.
    pub fn new(credentials: Credentials, state: State) -> Result<Self, Damage> {
        let marks = state.marks.keys().copied();
        if state.enrolment != credentials.enrolment {
            Err(Damage::Mismatch("the state belongs to another enrolment"))
        } else if !marks.eq(credentials.devices.iter().map(|device| device.id)) {
            Err(Damage::Mismatch("the state does not have one mark for each device"))
        } else {
            Ok(Self { credentials, state })
        }
    }

    /// A record as it begins, each device with the lowest step or counter that it may still show. Devices are in the order
    /// of their ids.
    pub fn begin(
        account: &Account,
        enrolment: EnrolmentId,
        requirement: Requirement,
        devices: Vec<(Device, u64)>,
        recovery: Option<RecoverySet>,
    ) -> Self {
        let mut state = State::new(enrolment);
        state.marks = devices.iter().map(|(device, next)| (device.id, *next)).collect();
        let devices = devices.into_iter().map(|(device, _)| device).collect();
        let (user, uid) = (account.name.clone(), account.uid);
        Self { credentials: Credentials { user, uid, enrolment, requirement, devices, recovery }, state }
    }

    /// What is decided about when nothing is stored: no device, nothing to change, the same work.
    pub fn stranger(account: &Account) -> Self {
        Self::begin(account, EnrolmentId([0; 16]), Requirement::Policy, Vec::new(), None)
    }

    /// Whether there is a device.
    pub fn is_enrolled(&self) -> bool {
        self.credentials.has_device()
    }
}

#[cfg(test)]
mod tests;
