//! What the fleet says of this host: whether a login here can set up a device, and about whom it may be asked. The verifiers are
//! asked once, and only where that makes a difference.

use std::cell::OnceCell;

use otp_core::decision::kinds::Kinds;
use otp_core::error::{CoreError, HelperError};
use otp_core::protocol::administration::{FleetStatus, Standing, VerifierStatus};

use super::fleet_told::{self, NoStatus};

/// Of the first verifier that serves this host, which a login asks first, too.
#[derive(Default)]
pub(super) struct HostInFleet(OnceCell<Said>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    may_enroll: bool,
    sends: Kinds,
    is_scoped: bool,
}

impl HostInFleet {
    /// Whether users set up a first device here without a passcode, where the policy asks for none.
    pub(super) fn may_enroll(&self) -> Result<bool, CoreError> {
        Ok(self.said()?.may_enroll)
    }

    /// The kinds of device to which the fleet sends codes.
    pub(super) fn sends(&self) -> Result<Kinds, CoreError> {
        Ok(self.said()?.sends)
    }

    /// Whether this host may ask about some users alone.
    pub(super) fn is_scoped(&self) -> Result<bool, CoreError> {
        Ok(self.said()?.is_scoped)
    }

    fn said(&self) -> Result<Said, CoreError> {
        if let Some(said) = self.0.get() {
            return Ok(*said);
        }
        let said = match fleet_told::status().and_then(|status| of(&status)) {
            Ok(said) => said,
            Err(NoStatus::NotJoined { error, hint } | NoStatus::Failed { error, hint }) => {
                return Err(CoreError::Agent(HelperError::Reports { error, hint }));
            }
        };
        Ok(*self.0.get_or_init(|| said))
    }
}

fn of(status: &FleetStatus) -> Result<Said, NoStatus> {
    let serves = |of: &&VerifierStatus| of.standing == Standing::Serves;
    let Some(VerifierStatus { rights, scope, sends, .. }) = status.verifiers.iter().find(serves) else {
        return Err(NoStatus::Failed {
            error: "no verifier serves this host".to_owned(),
            hint: "what each says: otp-enroll admin fleet status".to_owned(),
        });
    };
    Ok(Said {
        may_enroll: rights.iter().flatten().any(|right| right == "enroll"),
        sends: sends.unwrap_or(Kinds::NONE),
        is_scoped: scope.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use otp_core::protocol::administration::{CertificateStatus, Scope};

    fn verifier(standing: Standing, rights: &[&str], scope: Option<&str>, sends: Option<Kinds>) -> VerifierStatus {
        VerifierStatus {
            verifier: "v1:1".into(),
            standing,
            error: None,
            version: None,
            host: None,
            rights: Some(rights.iter().map(|right| (*right).to_owned()).collect()),
            scope: scope.map(|name| Scope { name: name.into(), is_empty: false }),
            sends,
            clock_ahead: None,
        }
    }

    fn said(verifiers: Vec<VerifierStatus>) -> Option<Said> {
        let certificate = CertificateStatus { until: "2028-11-28T00:00:00Z".into(), days_left: 7, not_renewed: None };
        of(&FleetStatus { host: "web-1".into(), certificate, verifiers }).ok()
    }

    #[test]
    fn the_first_verifier_that_serves_this_host_says_what_it_may() {
        let silent = || verifier(Standing::Silent, &["enroll"], None, None);
        let sends = Kinds::one("sms").unwrap();
        let serves = verifier(Standing::Serves, &["login"], Some("staff"), Some(sends));
        let other = verifier(Standing::Serves, &["login", "enroll"], None, None);
        assert_eq!(said(vec![silent(), serves, silent()]), Some(Said { may_enroll: false, sends, is_scoped: true }));
        assert_eq!(said(vec![other]), Some(Said { may_enroll: true, sends: Kinds::NONE, is_scoped: false }));
        assert_eq!(said(vec![silent()]), None);
    }
}
