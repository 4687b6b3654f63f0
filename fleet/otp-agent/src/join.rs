//! This host joins a fleet: it makes a key that never leaves it, and has the fleet's authority sign it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use otp_core::config::fleet::{Fleet, Verifier};
use otp_core::value::system_error::described;
use otp_wire::{CertificateAnswer, CertificateQuestion, Invitation, JOIN, LONGEST_BODY, Problem};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use zeroize::Zeroizing;

use crate::command::CommandError;
use crate::renew::{request, write};
use crate::upstream::body;
use crate::upstream::deadline::Deadline;
use crate::upstream::http::{NoAnswer, Request};
use crate::upstream::identity::{IDENTITY, Identity, files, without_certificate};
use crate::upstream::peer::Peer;

/// With each verifier.
const PATIENCE: Duration = Duration::from_secs(10);

/// A drop-in of systemd's: the unit has no network without it.
const DROP_IN: &str = "/etc/systemd/system/otp-agent.service.d/fleet.conf";
const DROP_IN_TEXT: &str = include_str!("../../../config/systemd/otp-agent-fleet.conf");

/// Reads what `otp-verifier token` has printed.
pub(crate) fn invitation(path: &Path) -> Result<Invitation, CommandError> {
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST_BODY));
    let limit = u64::try_from(LONGEST_BODY).unwrap_or(u64::MAX).saturating_add(1);
    let read = if path == Path::new("-") {
        io::stdin().take(limit).read_to_end(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut text))
    };
    read.map_err(|error| CommandError::of_file("read", path, &error))?;
    otp_wire::read(&text).map_err(|why| {
        let error = format!("{}: {why}", path.display());
        CommandError::failed(error, "give it what `otp-verifier token` has printed, as it is")
    })
}

/// Where this host's place in a fleet is kept, and what it is called there.
pub(crate) struct Joining<'a> {
    pub(crate) fleet: &'a Path,
    pub(crate) folder: &'a Path,
    pub(crate) name: &'a str,
    /// Whether a new key may take the place of one that is there.
    pub(crate) replace: bool,
}

impl Joining<'_> {
    /// Joins, and says what comes next.
    pub(crate) fn join(&self, invitation: &Invitation) -> Result<String, CommandError> {
        self.refuse_second()?;
        let verifiers = verifiers(invitation)?;
        // All that can fail on this host comes before the token is used up.
        self.make_folder()?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| unexpected(&error.to_string()))?;
        let key_text = Zeroizing::new(key.serialize_pem());
        let certificate = self.certificate(invitation, &verifiers, &key)?;
        let identity = Zeroizing::new(format!("{}{certificate}", key_text.as_str()));
        Identity::of(&identity, &invitation.authority).map_err(|why| unexpected(&why))?;
        let fleet = Fleet { host: self.name.to_owned(), verifiers };
        let [of_fleet, of_identity, of_authority] = files(self.fleet, self.folder);
        for (path, bytes, mode) in [
            (&of_authority, invitation.authority.as_bytes(), 0o644),
            (&of_identity, identity.as_bytes(), 0o600),
            (&of_fleet, fleet.text().as_bytes(), 0o644),
        ] {
            write(path, bytes, mode).map_err(|error| CommandError::of_file("write", path, &error))?;
        }
        Ok(format!("This host has joined the fleet as {}.\n{}", self.name, next_steps(allow_network())))
    }

    /// A key that is there is the one by which the fleet knows this host.
    fn refuse_second(&self) -> Result<(), CommandError> {
        let [fleet, identity, _] = files(self.fleet, self.folder);
        match [identity, fleet].into_iter().find(|path| fs::symlink_metadata(path).is_ok()) {
            Some(path) if !self.replace => {
                let error = format!("this host has joined a fleet already: {} is there", path.display());
                Err(CommandError::refused(
                    error,
                    "`otp-agent hello` asks it; `otp-agent join --replace` joins again, with a new key",
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn make_folder(&self) -> Result<(), CommandError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(self.folder);
        made.map_err(|error| CommandError::of_file("make", self.folder, &error))?;
        let probe = self.folder.join(IDENTITY).with_extension("probe");
        write(&probe, b"", 0o600)
            .and_then(|()| fs::remove_file(&probe))
            .map_err(|error| CommandError::of_file("write in", self.folder, &error))
    }

    /// Asks one verifier after the other. The token is good once: after an answer the others are not asked.
    fn certificate(
        &self,
        invitation: &Invitation,
        verifiers: &[Verifier],
        key: &KeyPair,
    ) -> Result<String, CommandError> {
        let request = request(key, self.name).map_err(|why| unexpected(&why))?;
        let token = Some(invitation.token.clone());
        let question = CertificateQuestion { token, host: self.name.to_owned(), request };
        let body = body(&question).map_err(|_| unexpected("the token is too long"))?;
        let tls = without_certificate(&invitation.authority).map_err(|why| unexpected(&why))?;
        let mut said = Vec::new();
        for verifier in verifiers {
            let name = verifier.to_string();
            let Some(peer) = Peer::new(verifier.clone()) else { continue };
            let request = Request::new(JOIN, &name, Some(&body));
            let why = match peer.ask(&tls, &request, Deadline::after(PATIENCE)) {
                Ok(answer) if answer.status == 200 => {
                    let answer = otp_wire::read::<CertificateAnswer>(&answer.body);
                    return answer
                        .map(|answer| answer.certificate)
                        .map_err(|why| unexpected(&format!("{name}: {why}")));
                }
                Ok(answer) => {
                    let problem = otp_wire::read::<Problem>(&answer.body);
                    let unknown = |_| Problem { error: format!("status {}", answer.status), hint: String::new() };
                    let Problem { error, hint } = problem.unwrap_or_else(unknown);
                    if answer.status != 503 {
                        return Err(CommandError::refused(
                            format!("{name} does not let this host join: {error}"),
                            hint,
                        ));
                    }
                    error
                }
                Err(NoAnswer::Io(error)) => described(&error),
                Err(NoAnswer::Unfit(why)) => format!("its answer cannot be read: {why}"),
                Err(NoAnswer::ClosedBefore) => "it closes the connection".to_owned(),
            };
            said.push(format!("{name}: {why}"));
        }
        let hint = "look at the network and the clock of this host, then try again; nothing was written";
        Err(CommandError::failed(format!("no verifier answers: {}", said.join("; ")), hint))
    }
}

fn verifiers(invitation: &Invitation) -> Result<Vec<Verifier>, CommandError> {
    let verifiers: Option<Vec<_>> = invitation.verifiers.iter().map(|text| Verifier::parse(text)).collect();
    let verifiers = verifiers.filter(|verifiers| !verifiers.is_empty());
    verifiers.ok_or_else(|| {
        let error = "the file names no verifiers, or one that is not NAME:PORT";
        CommandError::failed(error, "give it what `otp-verifier token` has printed, as it is")
    })
}

fn unexpected(why: &str) -> CommandError {
    CommandError::failed(
        format!("no certificate was made for this host: {why}"),
        "nothing was written; see the log of the verifier",
    )
}

/// Whether the unit of this host may reach the verifiers, as far as this could be seen to.
enum Network {
    /// Its drop-in is written.
    Allowed,
    /// Its drop-in was there, or there is no systemd.
    Unchanged,
    /// Its drop-in could not be written.
    NotAllowed(io::Error),
}

fn allow_network() -> Network {
    let path = Path::new(DROP_IN);
    if !Path::new("/run/systemd/system").exists() || fs::symlink_metadata(path).is_ok() {
        return Network::Unchanged;
    }
    let made = path.parent().map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(0o755).create(folder));
    match made.and_then(|()| write(path, DROP_IN_TEXT.as_bytes(), 0o644)) {
        Ok(()) => Network::Allowed,
        Err(error) => Network::NotAllowed(error),
    }
}

fn next_steps(network: Network) -> String {
    let first = match network {
        Network::Allowed => {
            format!(
                "  The agent may reach the verifiers ({DROP_IN}).\n  Then: systemctl daemon-reload && systemctl enable --now otp-agent.socket\n"
            )
        }
        Network::Unchanged => "  Then: systemctl enable --now otp-agent.socket\n".to_owned(),
        Network::NotAllowed(error) => {
            format!(
                "  {DROP_IN} could not be written ({}): the unit has no network without it. See otp-agent(8).\n",
                described(&error)
            )
        }
    };
    format!(
        "{first}  Ask the verifiers: otp-agent hello\n  Leave the records of users to the fleet, in pam_otp.toml: authority = \"fleet\"\n"
    )
}

#[cfg(test)]
mod tests;
