//! What is kept of a login beyond the decision: an address, and what would have been refused.

use tempfile::TempDir;

use super::*;
use crate::store::{Store, Swap};
use crate::testing::fixtures::{NOW, STEP, alice, digits_of, phone, record, site};
use crate::value::network::Address;
use crate::value::time::Seconds;

/// A site where alice has these devices.
struct Here {
    site: Site,
    _directory: TempDir,
}

impl Here {
    fn new(config: &str, devices: u8) -> Self {
        let (site, directory) = site(config);
        let record = record((1..=devices).map(phone).collect());
        assert_eq!(site.store().unwrap().replace(&alice(), None, &record).unwrap(), Swap::Done);
        Self { site, _directory: directory }
    }

    /// Somebody who may say where a login comes from.
    fn ask(&self) -> LocalAuthority<'_> {
        LocalAuthority::for_account(&self.site, alice(), Caller { uid: 0, is_trusted: true, log: &|_| {} })
    }

    fn demand(&self, rhost: Option<&str>, now: UnixTime) -> Demand {
        self.ask().demand_at(&from(rhost), now).unwrap()
    }

    fn verify(&self, rhost: Option<&str>, code: &str) -> Verdict {
        let typed = Typed::new(code.as_bytes().to_vec());
        self.ask().verify_at(&from(rhost), &typed, NOW).unwrap()
    }

    fn stored(&self) -> Record {
        self.site.store().unwrap().read(&alice()).unwrap().unwrap()
    }
}

fn from(rhost: Option<&str>) -> LoginContext {
    LoginContext { rhost: rhost.map(str::to_owned), ..LoginContext::default() }
}

fn right() -> String {
    digits_of(&[1; 20], STEP)
}

fn wrong() -> String {
    digits_of(&[99; 20], STEP)
}

const CODE: Demand = Demand::Code { challenge: false };

const HOME: Option<&str> = Some("192.0.2.1");

#[test]
fn an_address_is_remembered_for_as_long_as_the_site_says_and_no_other_is() {
    let here = Here::new("[grace]\nfor = \"1h\"", 1);
    let after = |seconds| NOW.after(Seconds(seconds));
    assert_eq!(here.demand(HOME, NOW), CODE);
    assert!(matches!(here.verify(HOME, &wrong()), Verdict::Refused(_)));
    assert_eq!(here.demand(HOME, NOW), CODE, "a refusal is nothing to remember");
    assert!(matches!(here.verify(HOME, &right()), Verdict::Accepted(_)));
    assert_eq!([NOW, after(3599)].map(|now| here.demand(HOME, now)), [Demand::Grace, Demand::Grace]);
    assert_eq!(here.demand(HOME, after(3601)), CODE);
    assert_eq!(here.demand(HOME, UnixTime(NOW.0 - 1)), CODE, "a success in the future is none");
    for elsewhere in [Some("192.0.2.2"), Some("host.example.org"), None] {
        assert_eq!(here.demand(elsewhere, NOW), CODE, "{elsewhere:?}");
    }
}

#[test]
fn without_grace_or_an_address_nothing_is_remembered() {
    for (config, rhost) in [("", HOME), ("[grace]\nfor = \"1h\"", None)] {
        let here = Here::new(config, 1);
        assert!(matches!(here.verify(rhost, &right()), Verdict::Accepted(_)));
        assert!(here.stored().state.graces.is_empty(), "{config}");
        assert_eq!(here.demand(rhost, NOW), CODE);
    }
}

#[test]
fn an_address_means_nothing_once_the_device_is_gone() {
    let here = Here::new("[policy]\nsecond_factor = \"required\"\n[grace]\nfor = \"1h\"", 0);
    let mut state = here.stored().state;
    state.begin_grace(Address::parse("192.0.2.1").unwrap(), NOW);
    let ended = Record { state, ..here.stored() };
    assert!(!is_in_grace(&ended, Address::parse("192.0.2.1").unwrap(), Seconds(3600), NOW));
    assert_eq!(here.demand(HOME, NOW), CODE);
}

#[test]
fn in_a_rollout_what_would_have_been_refused_is_noted() {
    for (config, devices, noted) in [("enforce = false", 1, true), ("", 1, false), ("enforce = false", 0, false)] {
        let here = Here::new(config, devices);
        assert!(matches!(here.verify(HOME, &wrong()), Verdict::Refused(_)));
        let unenforced = here.stored().state.unenforced;
        assert_eq!(unenforced.map(|it| (it.at, it.why)), noted.then(|| (NOW, "wrong".into())), "{config:?} {devices}");
    }
    let here = Here::new("enforce = false", 1);
    assert!(matches!(here.verify(HOME, &right()), Verdict::Accepted(_)));
    assert!(here.stored().state.unenforced.is_none());
}

#[test]
fn who_has_no_device_is_met_as_the_policy_says() {
    let met = |second_factor: &str, devices| {
        let config = format!("[policy]\nsecond_factor = \"{second_factor}\"");
        match Here::new(&config, devices).demand(HOME, NOW) {
            Demand::Nothing(_) => "let in",
            Demand::Enroll(_) => "set up",
            Demand::Code { .. } => "asked",
            Demand::Grace => "remembered",
        }
    };
    let policies = ["required", "enroll", "optional", "skip"];
    assert_eq!(policies.map(|policy| met(policy, 0)), ["asked", "set up", "let in", "let in"]);
    assert_eq!(policies.map(|policy| met(policy, 1)), ["asked", "asked", "asked", "let in"]);
}
