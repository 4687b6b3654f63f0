//! A user's requests about one of several devices: add, rename, remove, choose the default, resynchronize.

use crate::audit::Proof;
use crate::codes::attempt::Attempt;
use crate::decision::devices::NotChanged;
use crate::decision::kinds::Kinds;
use crate::decision::verify::{Accepted, Verdict, decide};
use crate::error::CoreError;
use crate::protocol::request::{Confidential, Declined, Reply, Token};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::DeviceName;
use crate::record::id::DeviceId;
use crate::record::state::State;
use crate::service::enrollment::{Offered, Purpose, new_enrollment};
use crate::service::not_done::NotDone;
use crate::service::self_service::{New, SelfService, Stage, left_by_refusal};
use crate::service::token::{self, Lost};
use crate::store::{Store, change};
use crate::value::time::UnixTime;

/// A change of one device of a record, which names that device.
type OfDevice<'c> = &'c dyn Fn(&mut Record) -> Result<DeviceId, NotChanged>;

impl<S: Store> SelfService<'_, S> {
    /// Offers one more device, for a code of those that the user has. To a user without one, it offers the first.
    pub(super) fn add(
        &mut self,
        new: &New<'_>,
        proof: Option<&Confidential>,
        now: UnixTime,
    ) -> Result<Reply, CoreError> {
        let New { name, token, to, count } = *new;
        self.under_way.stage = Stage::None;
        // A word that is no kind is no token either.
        let kind = match (to, token) {
            (Some(to), _) => Some(Kinds::of(to.kind)),
            (None, Some(token)) => Kinds::one(&token.r#type),
            (None, None) => Some(Kinds::TOTP),
        };
        if let Some(unfit) = kind.map_or(Ok(None), |kind| self.unfit_kind(kind, now))? {
            return Ok(unfit);
        }
        let record = self.store.read(self.account)?.unwrap_or_else(|| Record::stranger(self.account));
        let (offered, is_known) = match to {
            Some(to) => (self.destination_offered(&record, to, name)?, false),
            None => self.seed_offered(&record, token, name)?,
        };
        let offered = match offered {
            Ok(offered) => offered.with_codes(count),
            Err(declined) => return Ok(Reply::Declined(declined)),
        };
        match proof {
            _ if !record.is_enrolled() => self.offer_first(offered, proof, now),
            None => Ok(Reply::Declined(Declined::ProofNeeded)),
            Some(proof) => {
                let reply = self.offer_for_proof(offered, Purpose::Beside, proof, now)?;
                // Told for a proof alone: else a person who uses this account could find its token among stolen seeds.
                if is_known && matches!(reply, Reply::TokenTaken { .. }) {
                    self.under_way.stage = Stage::None;
                    return Ok(Reply::Declined(Declined::SeedKnown));
                }
                Ok(reply)
            }
        }
    }

    /// The app or token, offered to a user with this record, and whether a device has its seed already.
    fn seed_offered(
        &self,
        record: &Record,
        token: Option<&Token>,
        name: Option<&str>,
    ) -> Result<(Result<Offered, Declined>, bool), CoreError> {
        let base = if token.is_some_and(|token| !token.app) { DeviceName::of_token() } else { DeviceName::of_app() };
        let name = match name_for(record, name, &base) {
            Ok(name) => name,
            Err(declined) => return Ok((Err(declined), false)),
        };
        let (settings, account, entropy) = (self.settings, self.account.clone(), self.entropy);
        let Some(token) = token else { return Ok((Ok(Offered::begin(settings, account, entropy, name)?), false)) };
        Ok(match token::pending(token, name, settings.limits.window, entropy)? {
            Ok(pending) => {
                let is_known = record.credentials.has_seed(pending.secret());
                (Ok(Offered::of_token(account, entropy, pending)), is_known)
            }
            Err(declined) => (Err(declined), false),
        })
    }

    pub(super) fn rename(
        &self,
        device: &str,
        name: &str,
        proof: &Confidential,
        now: UnixTime,
    ) -> Result<Reply, CoreError> {
        let name = match DeviceName::chosen(name) {
            Ok(name) => name,
            Err(unfit) => return Ok(Reply::Declined(unfit.into())),
        };
        self.change_device(proof, now, "device-renamed", &|record| record.rename_device(device, &name))
    }

    pub(super) fn remove(&self, device: &str, proof: &Confidential, now: UnixTime) -> Result<Reply, CoreError> {
        self.change_device(proof, now, "device-removed", &|record| record.remove_device(device))
    }

    pub(super) fn make_default(&self, device: &str, proof: &Confidential, now: UnixTime) -> Result<Reply, CoreError> {
        self.change_device(proof, now, "default-changed", &|record| record.make_default(device))
    }

    /// Uses up a proof and changes a device in the same write. A proof is not used up for a change that cannot be made.
    fn change_device(
        &self,
        proof: &Confidential,
        now: UnixTime,
        what: &str,
        how: OfDevice<'_>,
    ) -> Result<Reply, CoreError> {
        let (limits, attempt) = (self.limits(now)?, Attempt::parse(&proof.into_typed()));
        let enrollment = new_enrollment(self.entropy)?;
        let done = change(self.store, self.account, &self.caller.origin.note(what), |record| {
            let stranger = Record::stranger(self.account);
            let record = record.unwrap_or(&stranger);
            let (state, verdict) = decide(&limits, record, &attempt, now);
            let mut changed = record.renewed(enrollment);
            changed.state = State { enrollment, ..state.clone() };
            match (how(&mut changed), verdict) {
                (Ok(device), Verdict::Accepted(accepted)) => {
                    (Change::Record(Box::new(changed)), Ok((device, accepted)))
                }
                (Err(why), Verdict::Accepted(_)) => (Change::Keep, Err(why.into())),
                (Err(why), Verdict::Refused(_)) if record.is_enrolled() => (Change::Keep, Err(why.into())),
                (_, Verdict::Refused(why)) => (left_by_refusal(record, state), Err(NotDone::Refused(why))),
            }
        })?;
        Ok(self.changed(what, done))
    }

    /// Two codes in a row of a token are the proof of this change.
    pub(super) fn resync(
        &self,
        device: Option<&str>,
        codes: [&Confidential; 2],
        now: UnixTime,
    ) -> Result<Reply, CoreError> {
        let enrollment = new_enrollment(self.entropy)?;
        let lost = Lost { device, codes, limits: &self.limits(now)?, enrollment, now };
        let done = lost.find(self.store, self.account, &self.caller.note("resynchronized"))?;
        Ok(self.changed("resynchronized", done))
    }

    /// Logs what became of a change of a device, and replies.
    fn changed(&self, what: &str, done: Result<(DeviceId, Accepted), NotDone>) -> Reply {
        match done {
            Ok((device, accepted)) => {
                self.log(what, Some(device), Proof::Used(accepted));
                Reply::ChangedDevice(device)
            }
            Err(NotDone::Refused(why)) => self.refused(what, why),
            Err(NotDone::Declined(declined)) => Reply::Declined(declined),
        }
    }
}

/// The name of a new device: the one that was chosen, or one like `base`.
pub(crate) fn name_for(record: &Record, chosen: Option<&str>, base: &DeviceName) -> Result<DeviceName, Declined> {
    let credentials = &record.credentials;
    let name = match chosen {
        Some(chosen) => DeviceName::chosen(chosen)?,
        None => credentials.free_name(base),
    };
    credentials.room_for(&name)?;
    Ok(name)
}
