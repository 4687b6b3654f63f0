//! What becomes of a record that was restored from a backup, as a pure function: codes that were used since then must not work
//! again.

use crate::record::Record;
use crate::record::credentials::Kind;
use crate::record::id::EnrollmentId;
use crate::record::state::State;
use crate::value::time::UnixTime;

/// Messages that may have been sent since the backup: so many codes are left out.
const SENT_SINCE: u64 = 100_000;

impl Record {
    /// This record after a restore. Time-based codes up to now, and as far ahead as the window reaches, are used. How far a counter has come is not known: the codes of
    /// such a token wait for a resync. Codes that are sent begin again, far from those that were. Open challenges, remembered
    /// addresses and a passcode end. Which recovery codes were used since the backup is not known either: they stay, or go with
    /// `void_recovery`.
    pub fn restored(&self, void_recovery: bool, window: u64, enrollment: EnrollmentId, now: UnixTime) -> Self {
        let mut record = self.renewed(enrollment);
        if void_recovery {
            (record.credentials.recovery, record.credentials.scratch) = (None, None);
        }
        let State { used, scratch_used, .. } = record.state;
        record.state.challenges.clear();
        record.state.graces.clear();
        record.state.passcode_used = true;
        (record.state.used, record.state.scratch_used) =
            if void_recovery { Default::default() } else { (used, scratch_used) };
        for device in &record.credentials.devices {
            let Some(progress) = record.state.devices.get_mut(device.id) else { continue };
            match &device.kind {
                // As far ahead as the window reaches, a code may have been used, too.
                Kind::Totp(clock) => {
                    let used = clock.step_at(now).saturating_add(window);
                    progress.move_to(progress.next.max(used.saturating_add(1)));
                }
                Kind::Hotp => progress.awaits_resync = true,
                // Each answer is to a question that is drawn afresh.
                Kind::Ocra(_) => {}
                Kind::Sent(_) => progress.move_to(progress.next.saturating_add(SENT_SINCE)),
            }
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::attempt::Attempt;
    use crate::decision::verify::{Refusal, Verdict, decide};
    use crate::record::change::Change;
    use crate::record::id::DeviceId;
    use crate::record::state::Challenged;
    use crate::testing::fixtures::{
        LIMITS, NOW, REPLAYED, STEP, code_of, issued_until, passcode, phone, record, recovery, shown, token,
    };

    fn verdict(record: &Record, attempt: &Attempt) -> Verdict {
        decide(&LIMITS, record, attempt, NOW).1
    }

    fn restored(record: &Record, void_recovery: bool) -> Record {
        record.restored(void_recovery, LIMITS.window, EnrollmentId([8; 16]), NOW)
    }

    #[test]
    fn codes_that_may_have_been_used_since_the_backup_are_not_accepted() {
        let mut old = record(vec![phone(1), token(2)]);
        old.state.set_nexts([(1, STEP - 1000), (2, 7)]);
        let new = restored(&old, false);
        for step in [STEP - 1, STEP, STEP + 1] {
            assert!(matches!(verdict(&old, &shown(&phone(1), step)), Verdict::Accepted(_)));
            assert_eq!(verdict(&new, &shown(&phone(1), step)), REPLAYED);
        }
        let later = UnixTime(NOW.0 + 30);
        assert!(matches!(decide(&LIMITS, &new, &shown(&phone(1), STEP + 2), later).1, Verdict::Accepted(_)));
        assert!(matches!(verdict(&old, &shown(&token(2), 9)), Verdict::Accepted(_)));
        for counter in 0..20 {
            let refused = verdict(&new, &shown(&token(2), counter));
            assert!(matches!(refused, Verdict::Refused(Refusal::Wrong { .. })), "{counter}: {refused:?}");
        }
        assert_eq!((new.credentials.enrollment, new.state.enrollment), (EnrollmentId([8; 16]), EnrollmentId([8; 16])));
    }

    #[test]
    fn a_token_is_accepted_again_after_a_resync() {
        let new = restored(&record(vec![token(1)]), false);
        let codes = [30, 31].map(|counter| code_of(&token(1), counter));
        let (change, _) = new.resynchronized(&token(1), [&codes[0], &codes[1]], &LIMITS, EnrollmentId([9; 16]), NOW);
        let Change::Record(after) = change else { panic!("not resynchronized") };
        assert!(matches!(verdict(&after, &shown(&token(1), 32)), Verdict::Accepted(_)));
        assert!(!matches!(verdict(&after, &shown(&token(1), 31)), Verdict::Accepted(_)));
    }

    #[test]
    fn recovery_codes_stay_as_they_were_or_go() {
        let mut old = record(vec![phone(1)]);
        old.state.used.mark(3);
        let kept = restored(&old, false);
        assert!(matches!(verdict(&kept, &recovery(2)), Verdict::Accepted(_)));
        assert_eq!(verdict(&kept, &recovery(3)), Verdict::Refused(Refusal::RecoveryUsed));
        let void = restored(&old, true);
        assert_eq!(verdict(&void, &recovery(2)), Verdict::Refused(Refusal::RecoveryUnknown));
        assert_eq!(void.credentials.recovery_left(&void.state), None);
    }

    #[test]
    fn what_was_open_ends() {
        let mut old = record(vec![phone(1)]);
        old.credentials.passcode = Some(issued_until(UnixTime(NOW.0 + 60)));
        let (device, until) = (DeviceId(1), UnixTime(NOW.0 + 60));
        old.state.challenges.push(Challenged { device, until, question: "12345678".into(), is_used: false });
        let new = restored(&old, false);
        assert!(new.state.challenges.is_empty() && new.state.graces.is_empty());
        let (_, verdict) = new.decide_on_passcode(&passcode(), None, NOW);
        assert_eq!(verdict, Verdict::Refused(Refusal::PasscodeUsed));
    }
}
