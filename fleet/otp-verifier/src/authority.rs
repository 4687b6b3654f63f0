//! The fleet's authority: it signs the certificates of hosts and verifiers. Its key never leaves the verifiers. That of a site may
//! not be here at all: then the site has certificates made, and a host is known by the key in its own.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use otp_core::system::random::entropy;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;

/// Root writes what is secret, the service reads it by its group, and no other account reads it.
pub(crate) const SECRET: u32 = 0o640;
/// What every host is told anyway.
const PUBLIC: u32 = 0o644;

/// How long the certificate of the authority lives.
const AUTHORITY_LIVES: Duration = Duration::days(20 * 365);

/// How long that of a host or a verifier lives. Revoking is the host's status, not this.
const LIVES: Duration = Duration::days(2 * 365);

/// Clocks of new machines are behind.
const BEFORE: Duration = Duration::days(1);

/// What signs.
pub(crate) struct Authority {
    /// `None` if its key is elsewhere.
    issuer: Option<Issuer<'static, KeyPair>>,
    key: PathBuf,
    /// In PEM.
    pub(crate) certificate: String,
}

/// A certificate that was signed, in PEM, and what names its key.
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key_sha256: [u8; 32],
}

impl Authority {
    pub(crate) fn load(config: &Config) -> Result<Self, Error> {
        let (certificate, path) = (text(&config.authority())?, config.authority_key());
        let key = match fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(key) => Some(KeyPair::from_pem(&key).map_err(|error| unfit(&path, &error))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("read", &path, &error)),
        };
        let issuer = key.map(|key| Issuer::from_ca_cert_pem(&certificate, key)).transpose();
        let issuer = issuer.map_err(|error| unfit(&config.authority(), &error))?;
        Ok(Self { issuer, key: path, certificate })
    }

    /// What signs here; the error of a fleet whose certificates are made elsewhere.
    pub(crate) fn issuer(&self) -> Result<&Issuer<'static, KeyPair>, Error> {
        self.issuer.as_ref().ok_or_else(|| {
            let error = format!("{} is not here: this verifier signs no certificates", self.key.display());
            Error::new(error, "have the authority sign it; a host is then added by: otp-verifier host add FILE")
        })
    }

    /// Makes the authority of a new fleet. What is there stays.
    pub(crate) fn make(config: &Config) -> Result<(), Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("pam_otp fleet");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        lives(&mut params, AUTHORITY_LIVES)?;
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
        put(&config.authority_key(), Zeroizing::new(key.serialize_pem()).as_bytes(), SECRET)?;
        put(&config.authority(), certificate.pem(), PUBLIC)
    }

    /// Makes key and certificate of a verifier that hosts reach by these names.
    pub(crate) fn make_verifier(&self, config: &Config, names: &[String]) -> Result<(), Error> {
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let certificate = self.certify(&key, names)?;
        put(&config.key(), Zeroizing::new(key.serialize_pem()).as_bytes(), SECRET)?;
        put(&config.certificate(), certificate, PUBLIC)
    }

    /// A certificate in PEM for the key of a verifier that hosts reach by these names.
    pub(crate) fn certify(&self, key: &KeyPair, names: &[String]) -> Result<String, Error> {
        let mut params = CertificateParams::new(names).map_err(|error| failed(&error))?;
        params.distinguished_name = named(names.first().map_or("verifier", String::as_str));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        lives(&mut params, LIVES)?;
        Ok(params.signed_by(key, self.issuer()?).map_err(|error| failed(&error))?.pem())
    }

    /// Signs the key of a host. Of its request only the key counts: name and purposes are ours. `None` if it is no request.
    pub(crate) fn sign(&self, host: &str, request: &str) -> Result<Option<Signed>, Error> {
        let Ok(asked) = CertificateSigningRequestParams::from_pem(request) else { return Ok(None) };
        let mut params = CertificateParams::default();
        params.distinguished_name = named(host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        lives(&mut params, LIVES)?;
        let certificate = params.signed_by(&asked.public_key, self.issuer()?).map_err(|error| failed(&error))?;
        let key_sha256 = name_of_key(certificate.der())
            .ok_or_else(|| Error::new("a certificate of our own cannot be read", "report this"))?;
        Ok(Some(Signed { certificate: certificate.pem(), key_sha256 }))
    }
}

/// What names the key of a certificate: the SHA-256 of its SubjectPublicKeyInfo.
pub(crate) fn name_of_key(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(Sha256::digest(parsed.subject_public_key_info().as_ref()).into())
}

/// Who is named by a certificate in PEM, and what names its key; `None` if it is none.
pub(crate) fn subject(pem: &[u8]) -> Option<(Option<String>, [u8; 32])> {
    let der = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned);
    Some((name, name_of_key(&der)?))
}

/// All certificates of a file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| {
        Error::new(format!("{}: no certificates in PEM: {error}", path.display()), "run otp-verifier init")
    })
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// Two certificates for one key differ in their number (RFC 5280 §4.1.2.2).
fn lives(params: &mut CertificateParams, lives: Duration) -> Result<(), Error> {
    let mut number = [0; 16];
    entropy(&mut number)?;
    // Positive, and of this length.
    if let Some(first) = number.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&number));
    let now = OffsetDateTime::now_utc();
    params.not_before = now.saturating_sub(BEFORE);
    params.not_after = now.saturating_add(lives);
    Ok(())
}

pub(crate) fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))
}

/// Writes a file that is not there yet. Its group is that of its folder, and no mask of the caller changes its mode.
pub(crate) fn put(path: &Path, bytes: impl AsRef<[u8]>, mode: u32) -> Result<(), Error> {
    let failed = |error: io::Error| Error::io("write", path, &error);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    filled(file, path, bytes.as_ref(), mode).map_err(|error| {
        let _ = fs::remove_file(path); // half of a file would count as made
        failed(error)
    })
}

fn filled(mut file: File, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().map(fs::metadata).transpose()?;
    file.write_all(bytes)?;
    fchown(&file, None, folder.map(|folder| folder.gid()))?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn unfit(path: &Path, error: &rcgen::Error) -> Error {
    Error::new(format!("{}: {error}", path.display()), "restore it from a backup; `otp-verifier init` makes it once")
}

fn failed(error: &rcgen::Error) -> Error {
    Error::new(format!("no certificate can be made: {error}"), "report this")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_for_the_group_of_its_folder_and_never_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("keys"), 4242);
        let is_root = nix::unistd::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(folder.path(), None, Some(other)).unwrap();
        }
        put(&path, b"secret", SECRET).unwrap();
        let made = fs::metadata(&path).unwrap();
        assert_eq!(made.mode() & 0o7777, 0o640);
        assert_eq!(made.gid(), fs::metadata(folder.path()).unwrap().gid());
        assert!(!is_root || made.gid() == other);
        assert!(put(&path, b"other", PUBLIC).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"secret");
    }
}
