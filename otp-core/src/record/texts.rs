//! A record as two texts: the way in which it goes to another machine, with open seeds.

use zeroize::Zeroizing;

use crate::record::Record;
use crate::record::credentials::Credentials;
use crate::record::credentials_toml::ReadContext;
use crate::record::error::RecordError;
use crate::record::state_slot::Slot;

impl Record {
    /// Credentials and state, as [`Record::of_texts`] reads them. `None` if the state is too long for a slot.
    pub fn texts(&self) -> Option<(Zeroizing<String>, String)> {
        let state = Slot { sequence: 0, state: self.state.clone() }.text()?;
        Some((self.credentials.encode(), state))
    }

    /// Reads both, in a context. Seeds may be sealed.
    pub fn of_texts(credentials: &[u8], state: &str, context: ReadContext<'_>) -> Result<Self, RecordError> {
        let credentials = Credentials::decode(credentials, context)?;
        let slot = Slot::of_text(state)?;
        Self::new(credentials, slot.state)
    }
}
