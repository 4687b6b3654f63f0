//! The fleet, and codes of this host where no verifier of it answers: never after a refusal, and for root's processes alone.

use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::decision::demand::Demand;
use otp_core::decision::verify::Verdict;
use otp_core::error::{CoreError, NoAuthority};
use otp_core::protocol::request::{Reply, Request};
use otp_core::service::authority::Authority;
use otp_core::service::break_glass::BreakGlass;
use otp_core::service::caller::Caller;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

/// Asks the fleet, and the codes of this host after it was found to be unreachable.
pub(crate) struct OrBreakGlass<'a> {
    pub(crate) fleet: &'a dyn Authority,
    pub(crate) site: &'a Site,
    pub(crate) account: &'a Account,
    pub(crate) caller: Caller<'a>,
}

impl OrBreakGlass<'_> {
    /// The answer of the fleet. Where no verifier gave one, `other` may have another one; its own error is one of this host, and
    /// does not hide the first.
    fn unless_unreachable<T>(
        &self,
        answer: Result<T, CoreError>,
        other: impl FnOnce(&BreakGlass<'_>) -> Result<Option<T>, CoreError>,
    ) -> Result<T, CoreError> {
        let error = match answer {
            Err(error @ CoreError::Authority(NoAuthority { is_unreachable: true, .. })) => error,
            answer => return answer,
        };
        let found = BreakGlass::open(self.site).and_then(|records| records.as_ref().map_or(Ok(None), other));
        match found {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) | Err(_) => Err(error),
        }
    }
}

impl Authority for OrBreakGlass<'_> {
    fn demand(&self, login: &LoginContext) -> Result<Demand, CoreError> {
        self.unless_unreachable(self.fleet.demand(login), |records| {
            Ok(records.knows(self.account)?.then_some(Demand::OF_THE_UNKNOWN))
        })
    }

    fn challenge(&self, login: &LoginContext, named: Option<&Typed>) -> Result<Challenge, CoreError> {
        let none = if named.is_some() { Challenge::NoSuchDevice } else { Challenge::None };
        self.unless_unreachable(self.fleet.challenge(login, named), |records| {
            Ok(records.knows(self.account)?.then_some(none))
        })
    }

    /// The fleet is asked each time: it may be back.
    fn verify(&self, login: &LoginContext, typed: &Typed) -> Result<Verdict, CoreError> {
        self.unless_unreachable(self.fleet.verify(login, typed), |records| {
            records.verify(self.account, typed, self.caller, UnixTime::now())
        })
    }

    fn request(&mut self, _: Request) -> Result<Reply, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use otp_core::config::Config;
    use otp_core::decision::verify::{Factor, Refusal};
    use otp_core::service::break_glass::issue;
    use otp_core::value::user::UserName;

    use super::*;

    /// What the fleet says to everything.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Fleet {
        Unreachable,
        Unusable,
        Refuses,
    }

    impl Fleet {
        fn say<T>(self, refusal: T) -> Result<T, CoreError> {
            let error = |is_unreachable| NoAuthority { is_unreachable, why: "v:1".into(), hint: String::new() };
            match self {
                Self::Refuses => Ok(refusal),
                Self::Unreachable | Self::Unusable => Err(CoreError::Authority(error(self == Self::Unreachable))),
            }
        }
    }

    impl Authority for Fleet {
        fn demand(&self, _: &LoginContext) -> Result<Demand, CoreError> {
            self.say(Demand::OF_THE_UNKNOWN)
        }

        fn challenge(&self, _: &LoginContext, _: Option<&Typed>) -> Result<Challenge, CoreError> {
            self.say(Challenge::None)
        }

        fn verify(&self, _: &LoginContext, _: &Typed) -> Result<Verdict, CoreError> {
            self.say(Verdict::Refused(Refusal::RecoveryUnknown))
        }

        fn request(&mut self, _: Request) -> Result<Reply, CoreError> {
            Err(CoreError::NoEnrollmentHere)
        }
    }

    #[test]
    fn codes_of_this_host_are_good_where_no_verifier_answers_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let records = folder.path().join("records");
        std::fs::create_dir(&records).unwrap();
        std::fs::set_permissions(&records, PermissionsExt::from_mode(0o700)).unwrap();
        for place in [folder.path().join("store-id"), records.join(".store-id")] {
            std::os::unix::fs::symlink("a5".repeat(16), place).unwrap();
        }
        let path = folder.path().join("pam_otp.toml");
        let config = Config::parse(&path, &format!("state_directory = {records:?}")).unwrap();
        let site = Site { config, path, ask_for_keys: None };
        let account = |name: &str, uid| Account { name: UserName::parse(name).unwrap(), uid, gid: uid };
        let (alice, bob, login) = (account("alice", 1000), account("bob", 1001), LoginContext::default());
        let caller = Caller::here(0, true, &|_| {});
        let about = |fleet: &'static Fleet, account| OrBreakGlass { fleet, site: &site, account, caller };
        let typed = |text: &str| Typed::new(text.as_bytes().to_vec());
        assert!(about(&Fleet::Unreachable, &alice).demand(&login).is_err(), "there are no codes yet");
        let codes = issue(&site, &alice, caller).unwrap();
        let code = |at: usize| typed(codes[at].expose());
        for fleet in [&Fleet::Unusable, &Fleet::Refuses] {
            assert_eq!(about(fleet, &alice).demand(&login).is_ok(), *fleet == Fleet::Refuses);
            assert!(!matches!(about(fleet, &alice).verify(&login, &code(0)), Ok(Verdict::Accepted(_))));
        }
        let alices = about(&Fleet::Unreachable, &alice);
        assert_eq!(alices.demand(&login).unwrap(), Demand::OF_THE_UNKNOWN);
        assert_eq!(alices.challenge(&login, None).unwrap(), Challenge::None);
        assert!(alices.verify(&login, &typed("123456")).is_err(), "a code of a device has no answer");
        let verdict = alices.verify(&login, &code(0)).unwrap();
        assert!(matches!(verdict, Verdict::Accepted(accepted) if accepted.factor == Factor::BreakGlass));
        assert_eq!(alices.verify(&login, &code(0)).unwrap(), Verdict::Refused(Refusal::RecoveryUsed));
        let bobs = about(&Fleet::Unreachable, &bob);
        assert!(bobs.demand(&login).is_err() && bobs.verify(&login, &code(1)).is_err());
    }
}
