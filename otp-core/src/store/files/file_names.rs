//! The names of one user's files.

use crate::value::user::Account;

/// The two that stay, and those that are there only while somebody enrolls.
pub(super) struct Names {
    stem: String,
    pub(super) credentials: String,
    pub(super) state: String,
}

impl Names {
    pub(super) fn of(account: &Account) -> Self {
        let stem = account.name.file_stem();
        let [credentials, state] = [".toml", ".state"].map(|suffix| [stem.as_str(), suffix].concat());
        Self { stem, credentials, state }
    }

    /// New credentials before the rename.
    ///
    /// Root makes them under a name of its own: what root made and did not live to give to its user, the user cannot
    /// remove from a sticky directory, and must not be kept from enrolling by.
    pub(super) fn incoming(&self, by_root: bool) -> String {
        [self.stem.as_str(), if by_root { ".new-by-root" } else { ".new" }].concat()
    }

    /// A first state before it is moved in, likewise.
    pub(super) fn incoming_state(&self, by_root: bool) -> String {
        [self.stem.as_str(), if by_root { ".new-state-by-root" } else { ".new-state" }].concat()
    }

    /// What is there only while somebody enrolls.
    pub(super) fn beside(&self) -> [String; 4] {
        let [user, root] = [false, true];
        [self.incoming(user), self.incoming(root), self.incoming_state(user), self.incoming_state(root)]
    }
}
