//! The names of one user's files.

use crate::value::user::Account;

/// The two permanent names, and those of files that exist only during an enrollment.
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
    /// Root uses a name of its own. If root is killed before it gives the file to the user, the user cannot remove it from
    /// the sticky directory, and it must not keep the user from enrolling.
    pub(super) fn incoming(&self, by_root: bool) -> String {
        [self.stem.as_str(), if by_root { ".new-by-root" } else { ".new" }].concat()
    }

    /// A new state file before the rename. Root uses a name of its own here too.
    pub(super) fn incoming_state(&self, by_root: bool) -> String {
        [self.stem.as_str(), if by_root { ".new-state-by-root" } else { ".new-state" }].concat()
    }

    /// All files that exist only during an enrollment.
    pub(super) fn temporary(&self) -> [String; 4] {
        let [user, root] = [false, true];
        [self.incoming(user), self.incoming(root), self.incoming_state(user), self.incoming_state(root)]
    }
}
