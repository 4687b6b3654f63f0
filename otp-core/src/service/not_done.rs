//! Why a change of a user's devices was not made: it cannot be, or its proof was refused.

use std::borrow::Cow;

use crate::decision::devices::NotChanged;
use crate::decision::enrollment::Missing;
use crate::decision::pin::WrongPin;
use crate::decision::resync::NotResynchronized;
use crate::decision::verify::{Accepted, Refusal, Verdict};
use crate::protocol::request::Declined;
use crate::record::credentials::Unfit;
use crate::record::id::{DeviceId, EnrollmentId};
use crate::store::note::Answer;
use crate::value::destination::Unreachable;

/// Why no device was changed.
#[derive(Clone, Copy)]
pub(crate) enum NotDone {
    Declined(Declined),
    Refused(Refusal),
}

impl Answer for NotDone {
    fn words(&self) -> Cow<'static, str> {
        match self {
            Self::Declined(_) => "declined".into(),
            Self::Refused(why) => Answer::words(&Verdict::Refused(*why)),
        }
    }

    fn read(words: &str) -> Option<Self> {
        if let Verdict::Refused(why) = Verdict::read(words)? { Some(Self::Refused(why)) } else { None }
    }
}

/// The device that was changed, and how the proof was accepted.
impl Answer for (DeviceId, Accepted) {
    fn words(&self) -> Cow<'static, str> {
        format!("{}{CHANGED}{}", Verdict::Accepted(self.1).words(), self.0).into()
    }

    fn read(words: &str) -> Option<Self> {
        let (verdict, device) = words.rsplit_once(CHANGED)?;
        let device = DeviceId(device.parse().ok()?);
        if let Verdict::Accepted(accepted) = Verdict::read(verdict)? { Some((device, accepted)) } else { None }
    }
}

/// Before the number of the device that was changed, which may be another one than that of the proof.
const CHANGED: &str = " changed ";

/// The device that was changed.
impl Answer for DeviceId {
    fn words(&self) -> Cow<'static, str> {
        format!("device {self}").into()
    }
}

/// The credentials that a proof was given for, and the verdict on it.
impl Answer for (EnrollmentId, Verdict) {
    fn words(&self) -> Cow<'static, str> {
        format!("{} {}", self.0, self.1.words()).into()
    }

    fn read(words: &str) -> Option<Self> {
        let (enrollment, verdict) = words.split_once(' ')?;
        Some((EnrollmentId::parse(enrollment)?, Verdict::read(verdict)?))
    }
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

impl From<WrongPin> for Declined {
    fn from(why: WrongPin) -> Self {
        match why {
            WrongPin::Wrong { left } => Self::PinWrong { left },
            WrongPin::UsedUp => Self::PinUsedUp,
            WrongPin::Expired => Self::PinExpired,
        }
    }
}

impl From<Unreachable> for Declined {
    fn from(why: Unreachable) -> Self {
        match why {
            Unreachable::CountryCodeMissing => Self::CountryCodeMissing,
            Unreachable::NotANumber => Self::NotANumber,
            Unreachable::NotAnAddress => Self::NotAnAddress,
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
