//! A connection of one host to one verifier, blocking.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::{Error, Verifier};

const PATIENCE: Duration = Duration::from_secs(10);

/// Over TLS 1.3, with the certificate of a host.
pub(crate) struct Connection(StreamOwned<ClientConnection, TcpStream>);

/// What an answer is.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// The authority of the fleet.
pub(crate) fn roots(authority: &Path) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    Ok(Arc::new(roots))
}

/// A host, as its agent keeps it: key and certificate in one file.
pub(crate) fn identity(file: &Path) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let pem = fs::read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    Ok((certificates?, PrivateKeyDer::from_pem_slice(&pem)?))
}

/// How a host introduces itself.
pub(crate) fn host(
    roots: &Arc<RootCertStore>,
    (certificates, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(certificates, key)?;
    Ok(Arc::new(config))
}

impl Connection {
    pub(crate) fn open(verifier: &Verifier, host: &Arc<ClientConfig>) -> Result<Self, Error> {
        let stream = TcpStream::connect(&verifier.verifier)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (name, _) = verifier.verifier.rsplit_once(':').ok_or("address and port")?;
        let tls = ClientConnection::new(Arc::clone(host), ServerName::try_from(name.to_owned())?)?;
        Ok(Self(StreamOwned::new(tls, stream)))
    }

    /// Asks and waits. Without a body it is a GET.
    pub(crate) fn ask(&mut self, path: &str, body: Option<&[u8]>) -> Result<Answer, Error> {
        let (method, body) = (if body.is_some() { "POST" } else { "GET" }, body.unwrap_or_default());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: v\r\nContent-Length: {}\r\n\r\n", body.len());
        self.0.write_all(&[head.as_bytes(), body].concat())?;
        self.0.flush()?;
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let count = self.0.read(&mut part)?;
            if count == 0 {
                return Err("the verifier closed the connection".into());
            }
            answer.extend_from_slice(part.get(..count).unwrap_or_default());
            if let Some(answer) = whole(&answer)? {
                return Ok(answer);
            }
        }
    }
}

/// `None` while some of it is missing.
fn whole(bytes: &[u8]) -> Result<Option<Answer>, Error> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let (head, body) =
        (std::str::from_utf8(bytes.get(..end).unwrap_or_default())?, bytes.get(end..).unwrap_or_default());
    let body = body.get(4..).unwrap_or_default();
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    let lengths = head.lines().filter_map(|line| line.split_once(": "));
    let mut length = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.next().ok_or("no length")?.1.parse()?;
    Ok((body.len() >= length).then(|| Answer { status, body: body.to_vec() }))
}
