//! One user's data: credentials, which prove who the user is, and the state, which each login changes.

pub mod by_device;
pub mod change;
pub mod credentials;
pub mod credentials_toml;
pub mod error;
pub mod id;
pub mod key_ring;
pub mod seal;
pub mod state;
pub mod state_slot;
mod texts;

use crate::codes::recovery::RecoverySet;
use crate::record::credentials::{Credentials, Device, Override};
use crate::record::error::RecordError;
use crate::record::id::{DeviceId, EnrollmentId};
use crate::record::seal::SealedParts;
use crate::record::state::{Progress, State};
use crate::value::user::Account;

/// Credentials and the state that belongs to them.
pub struct Record {
    /// Changed by enrollment and administration only.
    pub credentials: Credentials,
    /// Changed by every login.
    pub state: State,
}

impl Record {
    /// Joins credentials and state, which must name the same enrollment and the same devices.
    ///
    /// A device without a next step or counter is an error: its used codes would work again.
    pub fn new(credentials: Credentials, state: State) -> Result<Self, RecordError> {
        let known = state.devices.keys();
        if state.enrollment != credentials.enrollment {
            Err(RecordError::Mismatch("the state belongs to another enrollment"))
        } else if !known.eq(credentials.devices.iter().map(|device| device.id)) {
            Err(RecordError::Mismatch("state and credentials name different devices"))
        } else {
            Ok(Self { credentials, state })
        }
    }

    /// A new record. Each device comes with how far it has come, in the order of the ids.
    pub fn begin(
        account: &Account,
        enrollment: EnrollmentId,
        user_override: Override,
        devices: Vec<(Device, Progress)>,
        recovery: Option<RecoverySet>,
    ) -> Self {
        let mut state = State::new(enrollment);
        let mut all = Vec::with_capacity(devices.len());
        for (device, progress) in devices {
            state.devices.insert(device.id, progress);
            all.push(device);
        }
        let (user, uid) = (account.name.clone(), account.uid);
        let default = all.first().map(|device: &Device| device.id);
        let last_id = all.last().map_or(DeviceId(0), |device| device.id);
        let credentials = Credentials {
            user,
            uid,
            enrollment,
            user_override,
            devices: all,
            default,
            last_id,
            recovery,
            scratch: None,
            passcode: None,
            sealed: SealedParts::default(),
        };
        Self { credentials, state }
    }

    /// Stands for a user without a record, so that a decision does the same work: no device, nothing to change.
    pub fn stranger(account: &Account) -> Self {
        Self::begin(account, EnrollmentId([0; 16]), Override::None, Vec::new(), None)
    }

    /// Whether it says nothing: the user removed the second factor, and no administrator set an override or issued a passcode.
    pub fn is_blank(&self) -> bool {
        let Credentials { user_override, passcode, .. } = &self.credentials;
        !self.is_enrolled() && *user_override == Override::None && passcode.is_none()
    }

    pub fn is_enrolled(&self) -> bool {
        self.credentials.has_device()
    }
}

#[cfg(test)]
mod tests;
