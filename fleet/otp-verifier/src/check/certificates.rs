//! The certificate of this verifier, and the authority that signed it.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use otp_core::config::fleet::Verifier;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::crypto::ring::default_provider;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use super::Findings;
use crate::authority::{certificates, name_of_key, text};
use crate::config::Config;
use crate::error::Error;
use crate::renewal;

/// Days before the end of a certificate: a timer should have renewed it.
const SOON: i64 = 30;

/// How long another verifier may take to be connected to.
const PATIENCE: Duration = Duration::from_secs(2);

const CERTIFICATE: &str = "certificate";
const COPY: &str = "copy authority.pem and authority.key from another verifier of this fleet";
const RENEW: &str = "run otp-verifier renew; its timer does it 60 days before the end";

/// Returns for how many days the certificate of this verifier is good.
pub(super) fn look_at(config: &Config, found: &mut Findings) -> Option<i64> {
    let authorities = found.good(CERTIFICATE, certificates(&config.authority())).unwrap_or_default();
    let chain = found.good(CERTIFICATE, certificates(&config.certificate())).unwrap_or_default();
    for (path, certificate, fix) in [
        (config.authority(), authorities.first(), "see docs/fleet.md: each host joins again under another authority"),
        (config.certificate(), chain.first(), RENEW),
    ] {
        if let Some(certificate) = certificate {
            ends(&path, certificate, fix, found);
        }
    }
    if config.authority_key().exists() {
        belongs(&config.authority(), authorities.first(), &config.authority_key(), COPY, found);
    }
    belongs(
        &config.certificate(),
        chain.first(),
        &config.key(),
        "restore both from one backup, or remove both and run otp-verifier init",
        found,
    );
    if let [certificate, rest @ ..] = chain.as_slice()
        && let Err(error) = signed(&authorities, certificate, rest)
    {
        let what = format!(
            "{} is not of the authority {}: {error}",
            config.certificate().display(),
            config.authority().display()
        );
        found.fault(
            CERTIFICATE,
            what,
            "copy authority.pem and authority.key from another verifier, then: otp-verifier renew",
        );
    }
    let names = found.good(CERTIFICATE, renewal::names(config))?;
    addresses(config, &names, found);
    renewal::days_left(config).ok()
}

/// Whether a certificate is good now, and for some time.
fn ends(path: &Path, certificate: &CertificateDer<'_>, fix: &str, found: &mut Findings) {
    let (now, path) = (OffsetDateTime::now_utc().unix_timestamp(), path.display());
    let Ok((_, parsed)) = parse_x509_certificate(certificate) else {
        return found.fault(CERTIFICATE, format!("{path} cannot be read"), fix);
    };
    let (from, until) = (&parsed.validity().not_before, &parsed.validity().not_after);
    let days = until.timestamp().saturating_sub(now).div_euclid(86_400);
    if until.timestamp() < now {
        found.fault(CERTIFICATE, format!("{path} ended on {until}: no host connects"), fix);
    } else if from.timestamp() > now {
        let fix = "look at the clock of this machine (timedatectl)";
        found.fault(CERTIFICATE, format!("{path} is not good before {from}: no host connects"), fix);
    } else if days < SOON {
        found.warning(CERTIFICATE, format!("{path} ends in {days} days, on {until}"), fix);
    }
}

/// Whether a file holds the key of a certificate.
fn belongs(path: &Path, certificate: Option<&CertificateDer<'_>>, key_file: &Path, fix: &str, found: &mut Findings) {
    let Some(key) = found.good(CERTIFICATE, name_of_key_in(key_file)) else { return };
    if certificate.and_then(name_of_key).is_some_and(|name| name != key) {
        found.fault(CERTIFICATE, format!("{} is not the key of {}", key_file.display(), path.display()), fix);
    }
}

fn name_of_key_in(path: &Path) -> Result<[u8; 32], Error> {
    let pem = Zeroizing::new(text(path)?);
    let key = KeyPair::from_pem(&pem).map_err(|error| {
        Error::new(format!("{}: {error}", path.display()), "restore it from a backup of /etc/otp-verifier")
    })?;
    Ok(Sha256::digest(key.subject_public_key_info()).into())
}

/// Whether one of these authorities signed a certificate of a server. When it is good is told apart.
fn signed(
    authorities: &[CertificateDer<'_>],
    certificate: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
) -> Result<(), webpki::Error> {
    let anchors = authorities.iter().map(anchor_from_trusted_cert).collect::<Result<Vec<_>, _>>()?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    let end = EndEntityCert::try_from(certificate)?;
    let verified =
        end.verify_for_usage(algorithms, &anchors, rest, UnixTime::now(), KeyUsage::server_auth(), None, None);
    match verified {
        Ok(_) | Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether hosts reach this verifier by a name of its certificate, and something answers at the other addresses.
fn addresses(config: &Config, names: &[String], found: &mut Findings) {
    let all: Vec<_> = config.verifiers.iter().filter_map(|address| Verifier::parse(address)).collect();
    let (own, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|address| names.iter().any(|name| is_of(name, &address.name)));
    if own.is_empty() {
        let what = format!(
            "hosts refuse this verifier: its certificate is for {}, and verifiers in the configuration names {}",
            names.join(", "),
            config.verifiers.join(", ")
        );
        found.fault(CERTIFICATE, what, "otp-verifier renew --name NAME, with the name in verifiers; or name it there");
    }
    for address in others {
        if let Err(why) = connected(&address) {
            let fix = "start that verifier; or correct verifiers in the configuration: the addresses stand in tokens";
            found.warning("configuration", format!("{address} in verifiers is not reached from here: {why}"), fix);
        }
    }
}

/// Whether a name of a certificate, which may stand for all of a domain, is this one.
fn is_of(name: &str, address: &str) -> bool {
    let of_domain = || Some(name.strip_prefix('*')? == address.get(address.find('.')?..)?);
    name.eq_ignore_ascii_case(address) || of_domain().unwrap_or(false)
}

fn connected(address: &Verifier) -> Result<(), String> {
    let mut why = "its name has no address".to_owned();
    for one in (address.name.as_str(), address.port).to_socket_addrs().map_err(|error| error.to_string())? {
        match TcpStream::connect_timeout(&one, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => why = error.kind().to_string(),
        }
    }
    Err(why)
}
