//! `otp-enroll import`: the phone that a user has set up with google-authenticator, with the key that it has.

use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};
use otp_core::codes::hotp_totp::Algorithm;
use otp_core::decision::import::Imported;
use otp_core::decision::kinds::Kinds;
use otp_core::protocol::request::{Confidential, Token};
use otp_core::record::credentials::{DeviceName, Kind};
use otp_core::text;
use otp_formats::google_authenticator::{self, UserFile, Windows};

use crate::cli::Enrollment;
use crate::client::Client;
use crate::error::CliError;
use crate::language::{fill, tr};
use crate::seed_file;
use crate::ui::output::Output;
use crate::user::commands::prepare;
use crate::user::token::{self, Asked};
use crate::user::{accepted_kinds, addition};

/// More than a file of google-authenticator has.
const LARGEST: usize = 1 << 16;

/// What is asked for, and what is doubted after several wrong codes.
const OF_AN_APP: Asked = Asked {
    code: text!("Code that the app shows for this account: "),
    doubt: text!("Is this the entry of the app that you use for logins here?"),
};

pub(crate) fn import(
    client: &mut Client<'_>,
    file: Option<&Path>,
    name: Option<&str>,
    enrollment: &Enrollment,
    output: &Output,
) -> Result<(), CliError> {
    if geteuid().is_root() {
        // Root would follow links of the user's in the name of that user.
        return Err(CliError::Usage("as root: otp-enroll admin import google-authenticator USER".into()));
    }
    let path = file.map_or_else(own_file, |file| Ok(file.to_owned()))?;
    let status = client.status()?;
    addition::check(&status, enrollment)?;
    let text = seed_file::read(&path, LARGEST, output)?;
    // How wide the windows were is for an administrator.
    let windows = Windows { totp: u64::MAX, hotp: u64::MAX };
    let UserFile { mut found, remarks } =
        google_authenticator::read(&text, windows).map_err(|why| CliError::FileOfOther { path: path.clone(), why })?;
    for remark in &remarks {
        output.warn(&format!("{}: {remark}", path.display()));
    }
    let Some(Imported { kind, secret, next, .. }) = found.devices.pop() else { return Ok(()) };
    let (r#type, period, kinds) = match kind {
        Kind::Totp(clock) => ("totp", clock.period.get(), Kinds::TOTP),
        Kind::Hotp | Kind::Ocra(_) | Kind::Sent(_) => ("hotp", 0, Kinds::HOTP),
    };
    accepted_kinds::check(&status, kinds)?;
    prepare(enrollment, output)?;
    let name = addition::named(&status, name, &DeviceName::of_app(), output)?;
    if !found.scratch.is_empty() {
        output.advise(&tr(if status.enrolled {
            text!("Scratch codes of the file are not imported: your recovery codes stay.")
        } else {
            text!("Scratch codes of the file are not imported: you get recovery codes once the device is active.")
        }))?;
    }
    let token = Token {
        r#type: r#type.to_owned(),
        suite: None,
        secret: Confidential::new(&secret.base32()),
        algorithm: Algorithm::Sha1.name().to_owned(),
        digits: 6,
        period,
        counter: next,
        serial: None,
        app: true,
    };
    token::take(client, &status, name, token, &OF_AN_APP, enrollment, output)?;
    let next = text!("When no login asks google-authenticator any more, remove {path}: it holds your key.");
    output.advise(&format!("\n{}", fill(next, &[("path", &path.display())])))
}

/// Where google-authenticator puts it.
fn own_file() -> Result<PathBuf, CliError> {
    let user = User::from_uid(geteuid()).ok().flatten();
    let home =
        user.map(|user| user.dir).ok_or_else(|| CliError::Usage("name the file: otp-enroll import FILE".into()))?;
    Ok(home.join(".google_authenticator"))
}
