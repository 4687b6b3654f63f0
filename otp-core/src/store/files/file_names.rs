//! The names of one user's files.

use std::io;

use crate::value::user::Account;

const ASIDE: &str = ".aside-";

/// The two permanent names, and those of files that exist only during an enrollment.
pub(super) struct Names {
    pub(super) stem: String,
    pub(super) credentials: String,
    pub(super) state: String,
}

impl Names {
    pub(super) fn of(account: &Account) -> Self {
        Self::of_stem(account.name.file_stem())
    }

    pub(super) fn of_stem(stem: String) -> Self {
        let [credentials, state] = [".toml", ".state"].map(|suffix| [stem.as_str(), suffix].concat());
        Self { stem, credentials, state }
    }

    /// New credentials before the rename, by who holds the state file with this inode number. A process that fences off that holder
    /// off removes them, and then they cannot be renamed.
    ///
    /// Root uses a name of its own. If root is killed before it gives the file to the user, the user cannot remove it from
    /// the sticky directory, and it must not keep the user from enrolling.
    pub(super) fn incoming(&self, by_root: bool, inode: u64) -> String {
        format!("{}{}{inode}", self.stem, if by_root { ".new-by-root-" } else { ".new-" })
    }

    /// A name in place of a temporary one that is taken: no file had it before.
    pub(super) fn other(taken: &str) -> io::Result<String> {
        Ok([taken, "-", &random()?].concat())
    }

    /// Both names of new credentials that the holder of a state file can have.
    pub(super) fn incoming_with(&self, inode: u64) -> [String; 2] {
        [false, true].map(|by_root| self.incoming(by_root, inode))
    }

    /// A new state file before the rename. Root uses a name of its own here too.
    pub(super) fn incoming_state(&self, by_root: bool) -> String {
        [self.stem.as_str(), if by_root { ".new-state-by-root" } else { ".new-state" }].concat()
    }

    /// Both names of a new state file.
    pub(super) fn incoming_states(&self) -> [String; 2] {
        [false, true].map(|by_root| self.incoming_state(by_root))
    }

    /// A name for a state file that is set aside. No file had it before.
    pub(super) fn new_aside(&self) -> io::Result<String> {
        Ok([self.stem.as_str(), ASIDE, &random()?].concat())
    }

    /// Whether a state file of this user can have been set aside under this name.
    pub(super) fn is_aside(&self, name: &str) -> bool {
        let random = name.strip_prefix(self.stem.as_str()).and_then(|rest| rest.strip_prefix(ASIDE));
        random.is_some_and(|random| random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// What makes a name that cannot be guessed.
pub(super) fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(base16ct::lower::encode_string(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_says_whose_it_is_and_is_never_the_same() {
        let names = Names::of_stem("alice".into());
        let [one, two] = [names.new_aside(), names.new_aside()].map(Result::unwrap);
        assert!(one != two && names.is_aside(&one) && names.is_aside(&two));
        let digits = one.strip_prefix("alice.aside-").unwrap();
        for other in [
            format!("bob.aside-{digits}"),
            format!("alice.new-{digits}"),
            format!("alice.aside-{digits}0"),
            format!("alice.aside-g{}", digits.get(1..).unwrap()),
        ] {
            assert!(!names.is_aside(&other), "{other}");
        }
        let [one, two] = [Names::other("alice.new-7"), Names::other("alice.new-7")].map(Result::unwrap);
        assert!(one != two && one.starts_with("alice.new-7-") && one.len() == "alice.new-7-".len() + 32, "{one}");
    }
}
