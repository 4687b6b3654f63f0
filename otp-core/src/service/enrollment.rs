//! Enrollment of a device in steps that cannot be skipped: offer, right code, recovery codes, and only then a record.

use zeroize::Zeroizing;

use crate::codes::attempt::Code;
use crate::codes::hotp_totp::Algorithm;
use crate::codes::recovery::{RecoveryCode, RecoverySet};
use crate::config::settings::Settings;
use crate::decision::enrollment::{Confirmed, Missing, Pending};
use crate::error::CoreError;
use crate::protocol::request::{Confidential, Offer, Reply};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Device, DeviceName, Kind, Override};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::store::note::Note;
use crate::store::{Store, change};
use crate::system::config_file::issuer;
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// A source of random bytes.
pub type Entropy = fn(&mut [u8]) -> Result<(), CoreError>;

/// The record for which an offer was made. Activation fails if the record has changed since then.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The user had no device. With the id of the record, if there was one.
    NotEnrolled(Option<EnrollmentId>),
    /// The user had a device in this enrollment, and gave one of its codes.
    Proved(EnrollmentId),
}

/// What becomes of the devices that there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The new device is the only one, with recovery codes of its own.
    Alone,
    /// They stay, and so do the recovery codes.
    Beside,
}

/// A new device that has not shown a right code yet.
pub struct Offered {
    pub(super) account: Account,
    pub(super) entropy: Entropy,
    pub(super) basis: Basis,
    pub(super) purpose: Purpose,
    pub(super) pending: Pending,
    /// How many recovery codes it gets; `None` for the number of the configuration.
    pub(super) count: Option<u8>,
    /// Whether it was in the hands of another process since, which may have kept it: then the record must be the very one for
    /// which it was made, also where the user has no device.
    pub(super) is_carried: bool,
}

/// A new device that has shown a right code, and its recovery codes. No file holds them yet.
pub struct Accepted {
    pub(super) account: Account,
    pub(super) basis: Basis,
    pub(super) purpose: Purpose,
    pub(super) confirmed: Confirmed,
    /// Of the record, once the device is in force.
    pub(super) enrollment: EnrollmentId,
    /// None of an enrollment that was resumed: they were shown.
    pub(super) codes: Vec<RecoveryCode>,
    pub(super) set: Option<RecoverySet>,
    /// As of an offer.
    pub(super) is_carried: bool,
}

impl Offered {
    /// Draws a seed and offers it for an app of this name.
    pub fn begin(settings: &Settings, account: Account, entropy: Entropy, name: DeviceName) -> Result<Self, CoreError> {
        let config = &settings.code;
        let mut seed = Zeroizing::new(vec![0; config.algorithm.seed_length()]);
        entropy(&mut seed)?;
        let pending = Pending::new(seed, name, config, settings.limits.window).ok_or(CoreError::Entropy)?;
        Ok(Self::of(account, entropy, pending))
    }

    /// A token, which has its seed.
    pub fn of_token(account: Account, entropy: Entropy, pending: Pending) -> Self {
        Self::of(account, entropy, pending)
    }

    /// A number or an address, whose codes come from a seed that is drawn here.
    pub fn of_destination(account: Account, entropy: Entropy, name: DeviceName, kind: Kind) -> Result<Self, CoreError> {
        let mut seed = Zeroizing::new(vec![0; Algorithm::Sha1.seed_length()]);
        entropy(&mut seed)?;
        let secret = Secret::new(seed).map_err(|_| CoreError::Entropy)?;
        Ok(Self::of(account, entropy, Pending::destination(name, kind, secret)))
    }

    fn of(account: Account, entropy: Entropy, pending: Pending) -> Self {
        let (basis, purpose) = (Basis::NotEnrolled(None), Purpose::Alone);
        Self { account, entropy, basis, purpose, pending, count: None, is_carried: false }
    }

    pub(crate) fn device(&self) -> &Device {
        self.pending.device()
    }

    /// Whether a PIN confirms it, and not a code of its own.
    pub(crate) fn is_destination(&self) -> bool {
        matches!(self.device().kind, Kind::Sent(_))
    }

    /// This offer with so many recovery codes.
    pub fn with_codes(self, count: Option<u8>) -> Self {
        Self { count, ..self }
    }

    /// This offer for a record whose user gave a proof.
    pub fn based_on(self, enrollment: EnrollmentId, purpose: Purpose) -> Self {
        Self { basis: Basis::Proved(enrollment), purpose, ..self }
    }

    /// This offer for a user without a device, with the id of the record, if there is one.
    pub(crate) fn based_on_none(self, record: Option<EnrollmentId>) -> Self {
        Self { basis: Basis::NotEnrolled(record), ..self }
    }

    /// The seed in Base32.
    pub fn key(&self) -> Zeroizing<String> {
        self.pending.secret().base32()
    }

    /// The seed as a QR code carries it.
    pub fn uri(&self, settings: &Settings) -> Zeroizing<String> {
        self.pending.uri(&issuer(settings), self.account.name.as_str())
    }

    /// What the user is told: an app's seed, or that a token's is taken.
    pub fn reply(&self, settings: &Settings) -> Reply {
        if self.pending.brings_seed() {
            Reply::TokenTaken {
                name: self.pending.name().as_str().to_owned(),
                question: self.pending.question().map(str::to_owned),
            }
        } else {
            Reply::Offer(self.offer(settings))
        }
    }

    /// The seed in every form that apps and tokens take.
    fn offer(&self, settings: &Settings) -> Offer {
        let (algorithm, digits, period) = self.pending.shape();
        Offer {
            user: self.account.name.as_str().to_owned(),
            secret: Confidential::new(&self.key()),
            hex: Confidential::new(&self.pending.secret().hex()),
            uri: Confidential::new(&self.uri(settings)),
            issuer: issuer(settings),
            algorithm: algorithm.name().to_owned(),
            digits: digits.get(),
            period: period.get(),
        }
    }

    /// Takes a code as proof that the seed arrived. Draws recovery codes. The offer stays valid for another code.
    pub fn check(
        &self,
        settings: &Settings,
        code: Option<&Code>,
        next: Option<&Code>,
        now: UnixTime,
    ) -> Result<Result<Accepted, Missing>, CoreError> {
        let code = code.ok_or(Missing::Wrong { clock_off: None });
        let confirmed = match code.and_then(|code| self.pending.confirm(code, next, now)) {
            Ok(confirmed) => confirmed,
            Err(missing) => return Ok(Err(missing)),
        };
        Ok(Ok(self.accepted(settings, confirmed)?))
    }

    /// The destination whose PIN was right.
    pub(crate) fn verified(&self, settings: &Settings, now: UnixTime) -> Result<Accepted, CoreError> {
        self.accepted(settings, self.pending.verified(now))
    }

    /// Draws recovery codes for what is the only device.
    fn accepted(&self, settings: &Settings, confirmed: Confirmed) -> Result<Accepted, CoreError> {
        let Self { entropy, basis, purpose, count, is_carried, .. } = *self;
        let (codes, set) = match purpose {
            Purpose::Alone => new_recovery_codes(settings, count, entropy)?,
            Purpose::Beside => (Vec::new(), None),
        };
        let (account, enrollment) = (self.account.clone(), new_enrollment(entropy)?);
        Ok(Accepted { account, basis, purpose, confirmed, enrollment, codes, set, is_carried })
    }
}

impl Accepted {
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The codes, to be shown once.
    pub fn recovery_codes(&self) -> Vec<Confidential> {
        revealed(&self.codes)
    }

    /// Puts the device in force, and returns its number; `None` if the record has changed since the offer. Who asks again, since
    /// the answer was lost, is told the same: the record is then the one that this has made.
    pub fn activate(&self, store: &impl Store, note: &Note<'_>) -> Result<Option<DeviceId>, CoreError> {
        Ok(change(store, &self.account, note, |record| {
            if let Some(Record { credentials, .. }) = record
                && self.is_carried
                && credentials.enrollment == self.enrollment
            {
                return (Change::Keep, self.confirmed.found_in(credentials));
            }
            if !self.basis.is_still(Basis::of(record), self.is_carried) {
                return (Change::Keep, None);
            }
            if let (Purpose::Beside, Some(record)) = (self.purpose, record) {
                let mut new = record.renewed(self.enrollment);
                let (device, progress) = self.confirmed.device();
                return match new.add_device(device, progress) {
                    Ok(id) => (Change::Record(Box::new(new)), Some(id)),
                    Err(_) => (Change::Keep, None), // looked at before the offer
                };
            }
            let user_override = record.map_or(Override::None, |record| record.credentials.user_override);
            let new: Record = self.confirmed.record(&self.account, user_override, self.enrollment, self.set.clone());
            let id = new.credentials.default;
            (Change::Record(Box::new(new)), id)
        })?)
    }
}

impl Basis {
    /// What a record is now.
    pub(super) fn of(record: Option<&Record>) -> Self {
        match record.map(|record| (record.is_enrolled(), record.credentials.enrollment)) {
            Some((true, enrollment)) => Self::Proved(enrollment),
            Some((false, enrollment)) => Self::NotEnrolled(Some(enrollment)),
            None => Self::NotEnrolled(None),
        }
    }

    /// Whether a record is what it was. An administrator may set an override of a user who is enrolling here; what was carried is
    /// of one record only, since an administrator may also have taken that device away.
    pub(super) fn is_still(self, found: Self, is_carried: bool) -> bool {
        match (self, found) {
            (Self::NotEnrolled(_), Self::NotEnrolled(_)) if !is_carried => true,
            (was, is) => was == is,
        }
    }
}

/// A new id, for a new version of a user's credentials.
pub fn new_enrollment(entropy: Entropy) -> Result<EnrollmentId, CoreError> {
    let mut id = [0; 16];
    entropy(&mut id)?;
    Ok(EnrollmentId(id))
}

/// Recovery codes, as many as wanted or as configured, and their stored form.
pub(crate) fn new_recovery_codes(
    settings: &Settings,
    count: Option<u8>,
    entropy: Entropy,
) -> Result<(Vec<RecoveryCode>, Option<RecoverySet>), CoreError> {
    let mut salt = [0; 16];
    entropy(&mut salt)?;
    // Drawn where they stay: neither a growing list nor a copy on the stack leaves one behind.
    let mut codes: Vec<_> = (0..count.unwrap_or(settings.recovery_codes)).map(|_| RecoveryCode::new([0; 10])).collect();
    for code in &mut codes {
        entropy(code.bytes_mut())?;
    }
    let set = (!codes.is_empty()).then(|| RecoverySet::of(salt, &codes));
    Ok((codes, set))
}

/// Recovery codes as texts to show.
pub(crate) fn revealed(codes: &[RecoveryCode]) -> Vec<Confidential> {
    codes.iter().map(|code| Confidential::new(&code.reveal())).collect()
}
