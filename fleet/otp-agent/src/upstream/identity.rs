//! Who this host is in its fleet: its key and certificate, and the authority that it trusts.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use otp_core::value::system_error::described;
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, client::WantsClientCert, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::upstream::der::Validity;

/// Key and certificate in one file, so that no reader finds the one without the other.
pub(crate) const IDENTITY: &str = "identity.pem";

/// The certificate of the fleet's authority.
pub(crate) const AUTHORITY: &str = "authority.pem";

/// Larger than any key with its certificates.
const LARGEST: u64 = 65_536;

/// What is needed to be known by a verifier, and to know one.
pub(crate) struct Identity {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) validity: Validity,
    /// The key, in PEM.
    pub(crate) key: Zeroizing<String>,
}

impl Identity {
    /// Reads the files of this host. The error is a sentence.
    pub(crate) fn load(folder: &Path) -> Result<Self, String> {
        let (identity, authority) = (folder.join(IDENTITY), folder.join(AUTHORITY));
        let (text, trusted) = (private_text(&identity, 0o077)?, private_text(&authority, 0o022)?);
        Self::of(&text, &trusted).map_err(|why| format!("{}: {why}", identity.display()))
    }

    /// `text` is a key and its certificates, in PEM.
    pub(crate) fn of(text: &str, authority: &str) -> Result<Self, String> {
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| "has no key in PEM")?;
        let chain = certificates(text)?;
        let validity = chain.first().and_then(|own| Validity::of(own)).ok_or("has a certificate of no known form")?;
        let key_text = private_key(text).ok_or("has no key in PEM")?;
        let tls = trusting(authority)?;
        let tls = tls.with_client_auth_cert(chain, key).map_err(|error| format!("key and certificate: {error}"))?;
        Ok(Self { tls: Arc::new(tls), validity, key: key_text })
    }
}

/// TLS with a server that this authority has signed, for a host that has no certificate yet.
pub(crate) fn without_certificate(authority: &str) -> Result<Arc<ClientConfig>, String> {
    Ok(Arc::new(trusting(authority)?.with_no_client_auth()))
}

fn trusting(authority: &str) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority).map_err(|why| format!("the certificate of the authority: {why}"))? {
        roots.add(certificate).map_err(|error| format!("the certificate of the authority: {error}"))?;
    }
    let builder: ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots))
}

/// At least one certificate.
fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|_| "has a certificate that is no PEM")?;
    if all.is_empty() { Err("has no certificate in PEM".into()) } else { Ok(all) }
}

/// The part of a text from the line that begins a key to the one that ends it.
fn private_key(text: &str) -> Option<Zeroizing<String>> {
    // PKCS #8, PKCS #1 and SEC 1, as different authorities write them.
    ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"].iter().find_map(|what| {
        let (begin, end) = (format!("-----BEGIN {what}-----"), format!("-----END {what}-----"));
        let rest = text.get(text.find(&begin)?..)?;
        let end = rest.find(&end)?.checked_add(end.len())?;
        rest.get(..end).map(|key| Zeroizing::new(format!("{key}\n")))
    })
}

/// A file of this user, whose mode has none of these bits.
fn private_text(path: &Path, closed: u32) -> Result<Zeroizing<String>, String> {
    let refuse = |why: &str| format!("{}: {why}", path.display());
    let system = |error: &std::io::Error| format!("cannot read {}: {}", path.display(), described(error));
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(|error| system(&error))?;
    let metadata = file.metadata().map_err(|error| system(&error))?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(refuse("is not a regular file, or is too large"));
    }
    if metadata.uid() != geteuid().as_raw() || metadata.mode() & closed != 0 {
        return Err(refuse("must belong to root, and be closed to others"));
    }
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(LARGEST).unwrap_or_default()));
    file.take(LARGEST).read_to_string(&mut text).map_err(|error| system(&error))?;
    Ok(text)
}

/// The files of this host that a change of its place in the fleet writes.
pub(crate) fn files(fleet: &Path, folder: &Path) -> [PathBuf; 3] {
    [fleet.to_owned(), folder.join(IDENTITY), folder.join(AUTHORITY)]
}
