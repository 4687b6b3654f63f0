//! Many hosts, each with its own certificate and a connection that is held.
//!
//! The script that runs this writes a line when it has put the hosts into the table, and another one when it has measured.

use std::fmt::Write as _;
use std::fs;
use std::io::stdin;

use otp_wire::HELLO;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use crate::connection::{Connection, host, roots};
use crate::{Error, Hold};

#[expect(clippy::print_stdout, reason = "what it is run for")]
pub(crate) fn run(how: &Hold) -> Result<(), Error> {
    let authority = fs::read_to_string(&how.verifier.authority)?;
    let key = KeyPair::from_pem(&fs::read_to_string(&how.authority_key)?)?;
    let issuer = Issuer::from_ca_cert_pem(&authority, key)?;
    let (roots, mut rows, mut hosts) = (roots(&how.verifier.authority)?, String::new(), Vec::new());
    for number in 0..how.hosts {
        let name = format!("crowd{number}");
        let (certificate, key) = identity(&name, &issuer)?;
        let parsed = webpki::EndEntityCert::try_from(&certificate)?;
        let hash = Sha256::digest(parsed.subject_public_key_info().as_ref());
        write!(rows, "{name}\t\\\\x")?;
        hash.iter().try_for_each(|byte| write!(rows, "{byte:02x}"))?;
        rows.push('\n');
        hosts.push(host(&roots, (vec![certificate], key))?);
    }
    fs::write(&how.rows, rows)?;
    println!("made");
    wait()?;
    let mut held = Vec::new();
    for host in &hosts {
        let mut connection = Connection::open(&how.verifier, host)?;
        asked(&mut connection)?;
        held.push(connection);
    }
    println!("{} held", held.len());
    wait()?;
    held.iter_mut().try_for_each(asked)?;
    println!("{} answered again", held.len());
    Ok(())
}

fn identity(
    name: &str,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
}

fn asked(connection: &mut Connection) -> Result<(), Error> {
    match connection.ask(HELLO, None)?.status {
        200 => Ok(()),
        status => Err(format!("hello: HTTP {status}").into()),
    }
}

fn wait() -> Result<(), Error> {
    stdin().read_line(&mut String::new())?;
    Ok(())
}
