//! The verdict on a passcode, as a pure function, and whether one must be given.

use crate::codes::passcode::{Issued, Passcode};
use crate::decision::verify::{Factor, Refusal, Verdict, accept};
use crate::record::Record;
use crate::record::state::State;
use crate::value::time::UnixTime;

impl Record {
    /// Decides on a passcode at `now`: the state to write and the verdict. `service` is the PAM service of the login, `None`
    /// at a terminal, where only a passcode for every service is good.
    ///
    /// It is accepted while the record is locked, and a wrong one does not count: 60 bits cannot be guessed. The work is the
    /// same for users without a passcode.
    pub fn decide_on_passcode(&self, typed: &Passcode, service: Option<&str>, now: UnixTime) -> (State, Verdict) {
        let mut state = self.state.clone();
        let decoy = Issued::decoy();
        let issued = self.credentials.passcode.as_ref();
        let is_right = issued.unwrap_or(&decoy).is(typed);
        let refusal = match issued {
            None if !self.is_enrolled() => Refusal::NotEnrolled,
            Some(_) if is_right && state.passcode_used => Refusal::PasscodeUsed,
            Some(issued) if is_right && issued.has_ended(now) => Refusal::PasscodeExpired,
            // No service has an empty name.
            Some(issued) if is_right && !issued.is_for(service.unwrap_or_default()) => Refusal::PasscodeElsewhere,
            Some(_) if is_right => {
                state.passcode_used = true;
                let verdict = accept(&mut state, self, Factor::Passcode, now);
                return (state, verdict);
            }
            Some(_) | None => match &self.credentials.sealed.passcode {
                Some(sealed) => Refusal::Sealed(sealed.why),
                None => Refusal::PasscodeUnknown,
            },
        };
        (state, Verdict::Refused(refusal))
    }

    /// Whether a passcode that was never used has ended: its user came too late.
    pub fn has_expired_passcode(&self, now: UnixTime) -> bool {
        !self.state.passcode_used && self.credentials.passcode.as_ref().is_some_and(|issued| issued.has_ended(now))
    }

    /// A passcode that was not used and has not ended.
    pub fn good_passcode(&self, now: UnixTime) -> Option<&Issued> {
        self.credentials.passcode.as_ref().filter(|issued| !self.state.passcode_used && !issued.has_ended(now))
    }

    /// Whether a passcode is good at a login through this service at `now`.
    pub fn has_passcode_for(&self, service: &str, now: UnixTime) -> bool {
        self.good_passcode(now).is_some_and(|issued| issued.is_for(service))
    }

    /// The record as it goes to a fleet: with its passcode, which is used up here, as one that is good, or as one that is used.
    pub fn sent_with_passcode(mut self, is_good: bool) -> Self {
        self.state.passcode_used = !is_good && self.credentials.passcode.is_some();
        self
    }

    /// The state in which a passcode that is good is used up without a login: it is to be good elsewhere. Whether there was one.
    pub fn giving_passcode_away(&self, now: UnixTime) -> (State, bool) {
        let is_good = self.good_passcode(now).is_some();
        (State { passcode_used: self.state.passcode_used || is_good, ..self.state.clone() }, is_good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::passcode::LONGEST;
    use crate::decision::verify::Accepted;
    use crate::record::id::EnrollmentId;
    use crate::record::state::Lock;
    use crate::testing::fixtures::{NOW, alice, issued_until, passcode, phone, record};
    use crate::value::time::Seconds;

    fn with(mut record: Record, issued: Issued) -> Record {
        record.credentials.passcode = Some(issued);
        record
    }

    fn good() -> Issued {
        issued_until(NOW.after(Seconds(60)))
    }

    fn decide(record: &Record, service: Option<&str>) -> (State, Verdict) {
        record.decide_on_passcode(&passcode(), service, NOW)
    }

    fn refused(record: &Record, service: Option<&str>) -> Refusal {
        let (state, verdict) = decide(record, service);
        assert_eq!(state, record.state, "a refusal changed the state");
        let Verdict::Refused(why) = verdict else { panic!("accepted") };
        why
    }

    fn bare() -> Record {
        let Record { mut credentials, state } = Record::stranger(&alice());
        credentials.enrollment = EnrollmentId([1; 16]);
        Record { credentials, state: State { enrollment: EnrollmentId([1; 16]), ..state } }
    }

    #[test]
    fn a_passcode_is_accepted_once_with_and_without_a_device() {
        for (record, left) in [(record(vec![phone(1)]), Some(10)), (bare(), None)] {
            for service in [Some("sshd"), Some("sudo"), None] {
                let mut record = with(record.renewed(EnrollmentId([2; 16])), good());
                let (state, verdict) = decide(&record, service);
                let expected = Accepted { factor: Factor::Passcode, recovery_left: left, failures: 0 };
                assert_eq!(verdict, Verdict::Accepted(expected));
                assert!(state.passcode_used && state.last_accepted == Some(NOW));
                record.state = state;
                assert_eq!(refused(&record, service), Refusal::PasscodeUsed);
            }
        }
    }

    #[test]
    fn a_lock_does_not_hold_a_passcode_back_and_a_wrong_one_does_not_count() {
        for lock in [Lock::UntilUnlocked, Lock::Until(NOW.after(Seconds(60)))] {
            let mut record = with(record(vec![phone(1)]), good());
            record.state = State { failures: 6, lock, ..record.state };
            let other = Passcode::parse(b"K7QD-M3XA-92TF").unwrap();
            let (state, verdict) = record.decide_on_passcode(&other, Some("sshd"), NOW);
            assert_eq!((state, verdict), (record.state.clone(), Verdict::Refused(Refusal::PasscodeUnknown)));
            let (state, verdict) = decide(&record, Some("sshd"));
            let accepted = Accepted { factor: Factor::Passcode, recovery_left: Some(10), failures: 6 };
            assert_eq!(verdict, Verdict::Accepted(accepted));
            assert_eq!((state.failures, state.lock), (0, Lock::Open));
        }
    }

    #[test]
    fn a_passcode_is_refused_after_its_end_and_elsewhere_and_where_there_is_none() {
        let phones = || record(vec![phone(1)]);
        assert_eq!(refused(&with(phones(), issued_until(NOW)), Some("sshd")), Refusal::PasscodeExpired);
        let ahead = issued_until(NOW.after(Seconds(LONGEST.0 + 1)));
        assert_eq!(refused(&with(bare(), ahead), Some("sshd")), Refusal::PasscodeExpired);
        let for_sshd = with(phones(), Issued { service: Some("sshd".into()), ..good() });
        assert_eq!(refused(&for_sshd, Some("sudo")), Refusal::PasscodeElsewhere);
        assert_eq!(refused(&for_sshd, None), Refusal::PasscodeElsewhere);
        assert!(matches!(decide(&for_sshd, Some("sshd")).1, Verdict::Accepted(_)));
        assert_eq!(refused(&phones(), Some("sshd")), Refusal::PasscodeUnknown);
        assert_eq!(refused(&bare(), Some("sshd")), Refusal::NotEnrolled);
        let other = Issued { hash: [1; 32], ..good() };
        assert_eq!(refused(&with(bare(), other), Some("sshd")), Refusal::PasscodeUnknown);
    }

    #[test]
    fn a_passcode_that_is_given_away_is_refused_here_and_given_away_once() {
        let mut record = with(bare(), good());
        let (state, was_good) = record.giving_passcode_away(NOW);
        assert!(was_good && state.last_accepted.is_none());
        record.state = state;
        assert_eq!(refused(&record, Some("sshd")), Refusal::PasscodeUsed);
        assert_eq!(record.giving_passcode_away(NOW), (record.state.clone(), false));
        assert!(record.renewed(EnrollmentId([2; 16])).sent_with_passcode(true).good_passcode(NOW).is_some());
        let without = with(bare(), good()).sent_with_passcode(false);
        assert!(without.good_passcode(NOW).is_none() && !bare().sent_with_passcode(false).state.passcode_used);
        let late = with(bare(), issued_until(NOW));
        assert_eq!(late.giving_passcode_away(NOW), (late.state, false));
        assert_eq!(bare().giving_passcode_away(NOW), (bare().state, false));
    }

    #[test]
    fn a_passcode_is_good_for_its_service_until_it_is_used_or_ends() {
        let mut record = with(bare(), Issued { service: Some("sshd".into()), ..good() });
        assert_eq!(["sshd", "sudo"].map(|service| record.has_passcode_for(service, NOW)), [true, false]);
        assert!(!record.has_expired_passcode(NOW));
        let late = NOW.after(Seconds(60));
        assert!(!record.has_passcode_for("sshd", late) && record.has_expired_passcode(late));
        record.state.passcode_used = true;
        assert!(!record.has_passcode_for("sshd", NOW) && !record.has_expired_passcode(late));
        assert!(!bare().has_passcode_for("sshd", NOW) && !bare().has_expired_passcode(NOW));
    }
}
