//! What a host may do.

/// Each of them by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Outline, challenge, verify, let-in.
    Login,
    /// Self service.
    Enroll,
    /// Records of its own move to the fleet.
    Import,
    /// Records of the fleet move to the host, with their seeds. Not in `admin`, which never shows a seed.
    Export,
    /// Administration of all users.
    Admin,
}

impl Right {
    pub(crate) const ALL: [Self; 5] = [Self::Login, Self::Enroll, Self::Import, Self::Export, Self::Admin];

    /// The word in tables, arguments and messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Enroll => "enroll",
            Self::Import => "import",
            Self::Export => "export",
            Self::Admin => "admin",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.word() == word)
    }
}
