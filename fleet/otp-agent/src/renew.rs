//! The certificate of this host is renewed over itself: with the same key, before it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use otp_core::audit::Event;
use otp_core::error::CoreError;
use otp_wire::{CertificateAnswer, CertificateQuestion, RENEW};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use zeroize::Zeroizing;

use crate::upstream::deadline::Deadline;
use crate::upstream::identity::{AUTHORITY, IDENTITY, Identity};
use crate::upstream::{Fleet, Upstream, UpstreamError, body};

/// No login waits for this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Renews the certificate if it is time, in a thread of its own.
pub(crate) fn if_due(upstream: &Upstream) {
    if let Some((fleet, folder)) = upstream.due() {
        // Fails where the kernel has no more threads; the next process tries again.
        let _ = thread::Builder::new().spawn(move || renew(&fleet, &folder));
    }
}

/// Renews the certificate, and says in the log what came of it.
pub(crate) fn renew(fleet: &Fleet, folder: &Path) {
    let error = match renewed(fleet, folder, Deadline::after(PATIENCE)) {
        Ok(()) => {
            let event = Event::Change {
                user: "-",
                by: 0,
                what: "certificate-renewed",
                device: None,
                proof: otp_core::audit::Proof::Unneeded,
            };
            return otp_helper::log("otp-agent", &event);
        }
        Err(why) => format!("the certificate of this host is not renewed: {why}"),
    };
    let hint = "logins go on until it ends: `otp-agent hello` says when; then `otp-agent join --replace`";
    otp_helper::log("otp-agent", &Event::Failed { user: "-", rhost: None, error: &error, hint, enforced: true });
}

/// Renews the certificate; the error is a sentence.
pub(crate) fn renewed(fleet: &Fleet, folder: &Path, deadline: Deadline) -> Result<(), String> {
    let key = KeyPair::from_pem(&fleet.identity.key).map_err(|error| error.to_string())?;
    let question = CertificateQuestion { token: None, host: fleet.host.clone(), request: request(&key, &fleet.host)? };
    let said = |error: UpstreamError| CoreError::from(error).to_string();
    let body = body(&question).map_err(said)?;
    let read = |answer: &[u8]| otp_wire::read::<CertificateAnswer>(answer).ok();
    let answer = fleet.ask(RENEW, &body, deadline, &read).map_err(said)?;
    let identity = Zeroizing::new(format!("{}{}", fleet.identity.key.as_str(), answer.certificate));
    let authority = fs::read_to_string(folder.join(AUTHORITY)).map_err(|error| error.to_string())?;
    let new = Identity::of(&identity, &authority)?;
    if new.validity.until.0 <= fleet.identity.validity.until.0 {
        return Err("the new certificate ends no later".into());
    }
    write(&folder.join(IDENTITY), identity.as_bytes(), 0o600).map_err(|error| error.to_string())
}

/// A signing request for this key, in PEM. What a host may do is not in it.
pub(crate) fn request(key: &KeyPair, host: &str) -> Result<String, String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host);
    params.serialize_request(key).and_then(|request| request.pem()).map_err(|error| error.to_string())
}

/// Puts a file in place of the one of this name, whole and on the disk or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    // A umask may have taken more away.
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
