//! The first device: offered without a proof, or for a passcode where the policy wants one.

use crate::codes::attempt::Attempt;
use crate::decision::verify::{Refusal, Verdict};
use crate::error::CoreError;
use crate::protocol::request::{Confidential, Declined, Reply};
use crate::service::enrollment::Offered;
use crate::service::self_service::SelfService;
use crate::store::{Store, update};
use crate::system::accounts;
use crate::value::time::UnixTime;

impl<S: Store> SelfService<'_, S> {
    /// Makes an offer to a user without a device.
    pub(super) fn offer_first(
        &mut self,
        offered: Offered,
        passcode: Option<&Confidential>,
        now: UnixTime,
    ) -> Result<Reply, CoreError> {
        if let Some(unfit) = self.unfit_for_first()? {
            return Ok(unfit);
        }
        if !self.needs_passcode()? {
            return self.offer(offered, self.unproved(), now);
        }
        let Some(passcode) = passcode else { return Ok(Reply::Declined(Declined::PasscodeNeeded)) };
        let verdict = self.use_up_passcode(passcode, now)?;
        self.offer_if_accepted(offered, verdict, "enrollment", now)
    }

    /// Whether the policy wants a passcode of this user. An administrator could issue one, and need not.
    fn needs_passcode(&self) -> Result<bool, CoreError> {
        let member = |group: &str| accounts::is_member(self.account, group);
        let policy = &self.settings.policy;
        Ok(!self.caller.is_trusted && policy.wants_passcode(self.account.name.as_str(), member)?)
    }

    fn use_up_passcode(&self, text: &Confidential, now: UnixTime) -> Result<Verdict, CoreError> {
        let attempt = Attempt::parse(&text.into_typed());
        Ok(update(self.store, self.account, &self.caller.note("enrollment"), |record| match &attempt {
            Attempt::Passcode(passcode) => match record.decide_on_passcode(passcode, None, now) {
                // There is no device yet, and no passcode.
                (state, Verdict::Refused(Refusal::NotEnrolled)) => (state, Verdict::Refused(Refusal::PasscodeUnknown)),
                decided => decided,
            },
            // A code of a device that another process has enrolled meanwhile is not looked at.
            Attempt::Code(_) | Attempt::Recovery(_) | Attempt::Malformed => {
                (record.state.clone(), Verdict::Refused(Refusal::PasscodeUnknown))
            }
        })?)
    }
}
