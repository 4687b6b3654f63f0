//! Hardware tokens: a description becomes a device, and a token is found again.

use crate::codes::hotp_totp::{Algorithm, Clock, Digits, Drift, Period};
use crate::codes::ocra::Suite;
use crate::decision::challenge::RANDOM;
use crate::decision::enrollment::Pending;
use crate::decision::verify::{Accepted, Limits, Verdict};
use crate::error::CoreError;
use crate::protocol::request::{Confidential, Declined, Token};
use crate::record::change::Change;
use crate::record::credentials::{Device, DeviceName, Kind, Serial};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::service::enrollment::Entropy;
use crate::service::not_done::NotDone;
use crate::service::self_service::code_in;
use crate::store::note::Note;
use crate::store::{Store, change};
use crate::value::secret::Secret;
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// The token that is described, with a question for one that has a keypad.
pub(crate) fn pending(
    token: &Token,
    name: DeviceName,
    window: u64,
    entropy: Entropy,
) -> Result<Result<Pending, Declined>, CoreError> {
    let mut random = [0; RANDOM];
    entropy(&mut random)?;
    let pending = device(token, name).and_then(|device| Pending::token(device, window, token.counter, &random));
    Ok(pending.ok_or(Declined::TokenUnfit))
}

/// `None` if there can be no token like it.
fn device(token: &Token, name: DeviceName) -> Option<Device> {
    let suite = token.suite.as_deref().and_then(Suite::parse).filter(|suite| suite.is_for_logins());
    let kind = match token.r#type.as_str() {
        "ocra" => Kind::Ocra(suite?),
        "totp" => {
            let drift = (!token.app).then_some(Drift::NONE);
            Kind::Totp(Clock { period: Period::try_from(token.period).ok()?, drift })
        }
        "hotp" => Kind::Hotp,
        _ => return None,
    };
    Some(Device {
        id: DeviceId(0),
        name,
        kind,
        secret: Secret::from_base32(token.secret.expose()).ok()?.into(),
        algorithm: suite.map_or_else(|| Algorithm::parse(&token.algorithm), |suite| Some(suite.algorithm()))?,
        digits: suite.map_or_else(|| Digits::try_from(token.digits).ok(), |suite| Some(suite.digits()))?,
        created: UnixTime(0),
        serial: match &token.serial {
            Some(serial) => Some(Serial::parse(serial)?),
            None => None,
        },
    })
}

/// A token that is to be found again by two codes in a row.
pub(crate) struct Lost<'a> {
    /// Its number or name; `None` for the only one.
    pub(crate) device: Option<&'a str>,
    pub(crate) codes: [&'a Confidential; 2],
    pub(crate) limits: &'a Limits,
    /// The id of the credentials if they change.
    pub(crate) enrollment: EnrollmentId,
    pub(crate) now: UnixTime,
}

impl Lost<'_> {
    /// Finds it, and returns its number and how its codes were accepted.
    pub(crate) fn find(
        &self,
        store: &impl Store,
        account: &Account,
        note: &Note<'_>,
    ) -> Result<Result<(DeviceId, Accepted), NotDone>, CoreError> {
        let [Some(first), Some(second)] = self.codes.map(code_in) else {
            return Ok(Err(Declined::NotConfirmed { clock_off: None }.into()));
        };
        Ok(change(store, account, note, |record| {
            let Some(record) = record else { return (Change::Keep, Err(Declined::WhichToken.into())) };
            let token = match record.token(self.device) {
                Ok(token) => token,
                Err(why) => return (Change::Keep, Err(why.into())),
            };
            let (change, verdict) =
                record.resynchronized(token, [&first, &second], self.limits, self.enrollment, self.now);
            let done = match verdict {
                Verdict::Accepted(accepted) => Ok((token.id, accepted)),
                Verdict::Refused(why) => Err(NotDone::Refused(why)),
            };
            (change, done)
        })?)
    }
}
