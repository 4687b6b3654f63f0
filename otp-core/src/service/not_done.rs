//! Why a change of a user's devices was not made: it cannot be, or its proof was refused.

use crate::decision::devices::NotChanged;
use crate::decision::enrollment::Missing;
use crate::decision::resync::NotResynchronized;
use crate::decision::verify::Refusal;
use crate::protocol::request::Declined;
use crate::record::credentials::Unfit;

/// Why no device was changed.
#[derive(Clone, Copy)]
pub(crate) enum NotDone {
    Declined(Declined),
    Refused(Refusal),
}

impl<T: Into<Declined>> From<T> for NotDone {
    fn from(why: T) -> Self {
        Self::Declined(why.into())
    }
}

impl From<NotChanged> for Declined {
    fn from(why: NotChanged) -> Self {
        match why {
            NotChanged::NoSuchDevice => Self::NoSuchDevice,
            NotChanged::NameTaken => Self::NameTaken,
            NotChanged::SeedKnown => Self::SeedKnown,
            NotChanged::TooMany => Self::TooManyDevices,
            NotChanged::OnlyDevice => Self::OnlyDevice,
        }
    }
}

impl From<NotResynchronized> for Declined {
    fn from(why: NotResynchronized) -> Self {
        match why {
            NotResynchronized::NoSuchDevice => Self::NoSuchDevice,
            NotResynchronized::App => Self::NotAToken,
            NotResynchronized::Unnamed => Self::WhichToken,
        }
    }
}

impl From<Missing> for Declined {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Wrong { clock_off } => Self::NotConfirmed { clock_off },
            Missing::NextCode => Self::NextCodeNeeded,
        }
    }
}

impl From<Unfit> for Declined {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Text => Self::NameUnfit,
            Unfit::Reserved => Self::NameReserved,
        }
    }
}
