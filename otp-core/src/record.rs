//! What is known of one user: the credentials that prove who they are, and the state that each login changes.

pub mod change;
pub mod credentials;
pub mod credentials_toml;
pub mod error;
pub mod id;
pub mod state;
pub mod state_slot;

use crate::codes::recovery::RecoverySet;
use crate::record::credentials::{Credentials, Device, Override};
use crate::record::error::RecordError;
use crate::record::id::EnrollmentId;
use crate::record::state::State;
use crate::value::user::Account;

/// Credentials and the state that belongs to them.
pub struct Record {
    /// Changed by enrollment and administration only.
    pub credentials: Credentials,
    /// Changed by every login.
    pub state: State,
}

impl Record {
    /// Whether both halves speak of the same enrollment and of the same devices.
    ///
    /// A device without a mark would be a device whose old codes work again: damage, not a fresh start.
    pub fn new(credentials: Credentials, state: State) -> Result<Self, RecordError> {
        let marks = state.next.keys().copied();
        if state.enrollment != credentials.enrollment {
            Err(RecordError::Mismatch("the state belongs to another enrollment"))
        } else if !marks.eq(credentials.devices.iter().map(|device| device.id)) {
            Err(RecordError::Mismatch("the state does not have one mark for each device"))
        } else {
            Ok(Self { credentials, state })
        }
    }

    /// A record as it begins, each device with the lowest step or counter that it may still show. Devices are in the order
    /// of their ids.
    pub fn begin(
        account: &Account,
        enrollment: EnrollmentId,
        user_override: Override,
        devices: Vec<(Device, u64)>,
        recovery: Option<RecoverySet>,
    ) -> Self {
        let mut state = State::new(enrollment);
        state.next = devices.iter().map(|(device, next)| (device.id, *next)).collect();
        let devices = devices.into_iter().map(|(device, _)| device).collect();
        let (user, uid) = (account.name.clone(), account.uid);
        Self { credentials: Credentials { user, uid, enrollment, user_override, devices, recovery }, state }
    }

    /// What is decided about when nothing is stored: no device, nothing to change, the same work.
    pub fn stranger(account: &Account) -> Self {
        Self::begin(account, EnrollmentId([0; 16]), Override::None, Vec::new(), None)
    }

    /// Whether there is a device.
    pub fn is_enrolled(&self) -> bool {
        self.credentials.has_device()
    }
}

#[cfg(test)]
mod tests;
