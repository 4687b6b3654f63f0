//! An enrollment that is carried from one step to the next by the process that enrolls, since each step may be another
//! machine's: what it is then, and how it is taken up again.

use crate::audit::Proof;
use crate::decision::enrollment::{Confirmed, Pending};
use crate::decision::pin::{Pin, PinId};
use crate::decision::verify::{Accepted as AcceptedProof, Factor, Verdict};
use crate::record::Record;
use crate::record::credentials::Device;
use crate::record::credentials_toml::carried::{Carried, CarriedOffer, CarriedPin, CarriedStage};
use crate::record::id::EnrollmentId;
use crate::service::awaited_pin::Verifying;
use crate::service::enrollment::{Accepted, Basis, Entropy, Offered, Purpose};
use crate::service::self_service::{Stage, UnderWay};
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// How far an enrollment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is under way.
    None,
    /// A code of the new device is awaited, or the PIN that was sent to it.
    Offered,
    /// The new device has shown a right code.
    Accepted,
}

/// Words of what permitted a change.
pub fn proof_words(proof: Proof) -> String {
    match proof {
        Proof::Unneeded => "unneeded".into(),
        Proof::Administrator => "administrator".into(),
        Proof::Used(accepted) => Verdict::Accepted(accepted).words(),
    }
}

/// Reads only what [`proof_words`] writes.
pub fn proof_in(words: &str) -> Option<Proof> {
    match words {
        "unneeded" => Some(Proof::Unneeded),
        "administrator" => Some(Proof::Administrator),
        words => match Verdict::read(words)? {
            Verdict::Accepted(accepted) => Some(Proof::Used(accepted)),
            Verdict::Refused(_) => None,
        },
    }
}

impl UnderWay {
    pub fn progress(&self) -> Progress {
        match self.stage {
            Stage::None => Progress::None,
            Stage::Offered(_) | Stage::Verifying(_) => Progress::Offered,
            Stage::Accepted(_) => Progress::Accepted,
        }
    }

    /// Whether an administrator's passcode permits it.
    pub fn is_by_passcode(&self) -> bool {
        matches!(self.proof, Proof::Used(AcceptedProof { factor: Factor::Passcode, .. }))
    }

    /// Says that a passcode was used up for it, at the login in which it is.
    pub fn set_by_passcode(&mut self) {
        let accepted = AcceptedProof { factor: Factor::Passcode, recovery_left: None, failures: 0 };
        self.proof = Proof::Used(accepted);
    }

    /// Names the PIN that is awaited.
    pub fn pin(&self) -> Option<(PinId, UnixTime)> {
        let Stage::Verifying(Verifying { pin: Some(pin), .. }) = &self.stage else { return None };
        Some((pin.id(), pin.until()))
    }

    /// Tells how often that PIN was tried: who carries an enrollment can go back to an earlier text of it.
    pub fn set_tries_of_pin(&mut self, tries: u8) {
        if let Stage::Verifying(Verifying { pin: Some(pin), .. }) = &mut self.stage {
            pin.set_tries(tries);
        }
    }

    /// What is carried until then on behalf of this host; `None` if nothing is under way.
    pub fn carried(&self, host: &str, until: UnixTime) -> Option<Carried> {
        let (offered, pin) = match &self.stage {
            Stage::None => return None,
            Stage::Offered(offered) => (offered, None),
            Stage::Verifying(Verifying { offered, pin }) => (offered, pin.as_ref()),
            Stage::Accepted(accepted) => {
                let Accepted { account, basis, purpose, confirmed, enrollment, codes: _, set, is_carried: _ } =
                    accepted;
                let (device, progress) = confirmed.device();
                let stage =
                    CarriedStage::Accepted { next: progress.next, enrollment: *enrollment, recovery: set.clone() };
                return Some(self.of(account, *basis, *purpose, (host, until), stage, device));
            }
        };
        let Offered { account, basis, purpose, pending, count, .. } = offered;
        let (window, counter) = pending.range();
        let stage = CarriedStage::Offered(CarriedOffer {
            window,
            counter,
            question: pending.question().unwrap_or_default().to_owned(),
            brings_seed: pending.brings_seed(),
            count: *count,
            pin: pin.map(|pin| CarriedPin { digits: pin.text(), until: pin.until(), id: pin.id().0 }),
        });
        Some(self.of(account, *basis, *purpose, (host, until), stage, pending.device().duplicate()))
    }

    fn of(
        &self,
        account: &Account,
        basis: Basis,
        purpose: Purpose,
        (host, until): (&str, UnixTime),
        stage: CarriedStage,
        device: Device,
    ) -> Carried {
        let (is_proved, record) = match basis {
            Basis::NotEnrolled(record) => (false, record),
            Basis::Proved(record) => (true, Some(record)),
        };
        Carried {
            user: account.name.clone(),
            host: host.to_owned(),
            until,
            proof: proof_words(self.proof),
            is_proved,
            record,
            is_beside: purpose == Purpose::Beside,
            stage,
            device,
        }
    }

    /// Takes up what was carried; `None` if no enrollment is like it.
    pub fn resumed(carried: Carried, account: Account, entropy: Entropy) -> Option<Self> {
        let proof = proof_in(&carried.proof)?;
        let basis = basis(&carried)?;
        let Carried { is_beside, stage, device, .. } = carried;
        let purpose = if is_beside { Purpose::Beside } else { Purpose::Alone };
        let is_carried = true;
        let stage = match stage {
            CarriedStage::Offered(CarriedOffer { window, counter, question, brings_seed, count, pin }) => {
                let pending = Pending::resumed(device, window, counter, question, brings_seed)?;
                let offered = Offered { account, entropy, basis, purpose, pending, count, is_carried };
                if offered.is_destination() {
                    let pin = match pin {
                        Some(CarriedPin { digits, until, id }) => Some(Pin::resumed(&digits, until, PinId(id))?),
                        None => None,
                    };
                    Stage::Verifying(Verifying { offered, pin })
                } else {
                    Stage::Offered(offered)
                }
            }
            CarriedStage::Accepted { next, enrollment, recovery: set } => {
                let (confirmed, codes) = (Confirmed::resumed(device, next), Vec::new());
                Stage::Accepted(Accepted { account, basis, purpose, confirmed, enrollment, codes, set, is_carried })
            }
        };
        Some(Self { stage, proof })
    }

    /// Whether the record is the one for which this was begun, or has become the one that this makes.
    pub fn is_of(&self, record: Option<&Record>) -> bool {
        let (basis, made) = match &self.stage {
            Stage::None => return true,
            Stage::Offered(offered) | Stage::Verifying(Verifying { offered, .. }) => (offered.basis, None),
            Stage::Accepted(accepted) => (accepted.basis, Some(accepted.enrollment)),
        };
        let present: Option<EnrollmentId> = record.map(|record| record.credentials.enrollment);
        basis == Basis::of(record) || (made.is_some() && made == present)
    }
}

/// A user with a device has a record.
fn basis(carried: &Carried) -> Option<Basis> {
    if carried.is_proved { carried.record.map(Basis::Proved) } else { Some(Basis::NotEnrolled(carried.record)) }
}
