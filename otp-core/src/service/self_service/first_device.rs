//! The first device: offered without a proof, or for a passcode where the policy wants one.

use crate::codes::attempt::Attempt;
use crate::decision::verify::{Refusal, Verdict};
use crate::error::CoreError;
use crate::protocol::request::{Confidential, Declined, Reply};
use crate::record::id::EnrollmentId;
use crate::service::accepted_devices;
use crate::service::enrollment::Offered;
use crate::service::self_service::SelfService;
use crate::store::{Store, update};
use crate::value::time::UnixTime;

impl<S: Store> SelfService<'_, S> {
    /// Makes an offer to a user without a device.
    pub(super) fn offer_first(
        &mut self,
        offered: Offered,
        passcode: Option<&Confidential>,
        now: UnixTime,
    ) -> Result<Reply, CoreError> {
        let record = match self.fit_for_first()? {
            Ok(record) => record,
            Err(unfit) => return Ok(unfit),
        };
        if !self.needs_passcode()? {
            return self.offer(offered.based_on_none(record), self.unproved(), now);
        }
        let Some(passcode) = passcode else { return Ok(Reply::Declined(Declined::PasscodeNeeded)) };
        // Which is in a record.
        let (enrollment, verdict) = self.use_up_passcode(passcode, now)?;
        self.offer_if_accepted(offered.based_on_none(Some(enrollment)), verdict, "enrollment", now)
    }

    /// Whether the policy wants a passcode of this user. An administrator could issue one, and need not.
    fn needs_passcode(&self) -> Result<bool, CoreError> {
        Ok(!self.caller.is_trusted && accepted_devices::want_passcode(&self.settings.policy, self.account)?)
    }

    fn use_up_passcode(&self, text: &Confidential, now: UnixTime) -> Result<(EnrollmentId, Verdict), CoreError> {
        let attempt = Attempt::parse(&text.into_typed());
        Ok(update(self.store, self.account, &self.caller.note("enrollment"), |record| {
            let (state, verdict) = match &attempt {
                Attempt::Passcode(passcode) => match record.decide_on_passcode(passcode, None, now) {
                    // There is no device yet, and no passcode.
                    (state, Verdict::Refused(Refusal::NotEnrolled)) => {
                        (state, Verdict::Refused(Refusal::PasscodeUnknown))
                    }
                    decided => decided,
                },
                // A code of a device that another process has enrolled meanwhile is not looked at.
                Attempt::Code(_) | Attempt::Recovery(_) | Attempt::Malformed => {
                    (record.state.clone(), Verdict::Refused(Refusal::PasscodeUnknown))
                }
            };
            (state, (record.credentials.enrollment, verdict))
        })?)
    }
}
