//! A host joins the fleet by a one-time token, and renews its certificate by the one that it has.

use otp_wire::{CertificateAnswer, CertificateQuestion};
use sha2::{Digest, Sha256};

use crate::altered::alarm;
use crate::answered::{Answered, Failure, body, unanswered};
use crate::authority::Signed;
use crate::database::hosts::Host;
use crate::database::session::Session;
use crate::database::tokens::{Joined, Joining};
use crate::fleet::Fleet;
use crate::log;

/// Longest name of a host.
const LONGEST_NAME: usize = 253;

pub(crate) fn join(question: &CertificateQuestion, fleet: &Fleet, session: &Session) -> Answered {
    let token = question.token.as_ref().ok_or_else(|| Failure::malformed("no token"))?;
    let host = question.host.as_str();
    if !is_name(host) {
        return Err(Failure::malformed("a host's name has letters, digits, hyphens and dots"));
    }
    let signed = signed(fleet, host, &question.request)?;
    let hash = hash(token.expose());
    let joining = Joining { token: &hash, id: host, key: &signed.key_sha256 };
    match session.use_token(&fleet.keys(), &joining).map_err(|error| unanswered(fleet, &error))? {
        Joined::Yes(_) => {
            log::notice(&format!("host {host} has joined"));
            body(&CertificateAnswer { certificate: signed.certificate })
        }
        Joined::NoToken => {
            log::warning("a token that is unknown, used or too old was tried");
            Err(no_token(fleet))
        }
        Joined::Altered => {
            alarm(fleet, session, host, "the row of its token");
            Err(no_token(fleet))
        }
        Joined::Taken => Err(Failure::not_permitted(
            "a host of this name is in the fleet, with another key",
            "if it is the same machine: otp-verifier host remove NAME, and join again; else: otp-agent join --name NAME",
        )),
    }
}

fn no_token(fleet: &Fleet) -> Failure {
    fleet.metrics.not_permitted.add();
    Failure::not_permitted("the token is unknown, used or too old", "make another one: otp-verifier token")
}

/// What is kept of a token.
pub(crate) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The same key, longer.
pub(crate) fn renew(question: &CertificateQuestion, host: &Host, fleet: &Fleet, session: &Session) -> Answered {
    let signed = signed(fleet, &host.id, &question.request)?;
    let known = session.host(&fleet.keys(), &signed.key_sha256).map_err(|error| unanswered(fleet, &error))?;
    if known.is_none_or(|known| known.id != host.id) {
        return Err(Failure::not_permitted(
            "the request is for another key than the host's",
            "to change the key: otp-agent join",
        ));
    }
    body(&CertificateAnswer { certificate: signed.certificate })
}

fn signed(fleet: &Fleet, host: &str, request: &str) -> Result<Signed, Failure> {
    if fleet.authority.issuer().is_err() {
        return Err(Failure::not_permitted(
            "the certificates of this fleet are made elsewhere: its verifiers sign none",
            "have your site's authority sign the key of this host: see docs/fleet.md",
        ));
    }
    let signed = fleet.authority.sign(host, request).map_err(|error| Failure::no_answer(&error.to_string()))?;
    signed.ok_or_else(|| Failure::malformed("no signing request in PEM"))
}

/// Whether a host may go by this name.
pub(crate) fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_plain)
}
