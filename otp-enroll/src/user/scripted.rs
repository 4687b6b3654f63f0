//! Enrollment without a person: codes from standard input, and with `--json` a line of JSON for each step.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::exit;

use otp_core::protocol::request::{Confidential, Declined, Offer};
use otp_core::qr::Qr;
use otp_core::text;
use serde::Serialize;

use crate::client::Client;
use crate::error::{AskError, CliError, ScreenError};
use crate::language::tr;
use crate::private_file;
use crate::ui::dialog::Asks;
use crate::ui::output::Output;
use crate::ui::prompt;
use crate::ui::signals::{self, INTERRUPTED};
use crate::ui::terminal::Terminal;
use crate::unconfirmed_file;
use crate::user::added;
use crate::user::goal::Goal;
use crate::user::interactive::{self, Picture};
use crate::user::qr_image;

/// The first line of an enrollment.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    offer: &'a Offer,
    /// The QR code as SVG.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<&'a str>,
}

/// The last line of an enrollment.
#[derive(Serialize)]
struct Active<'a> {
    user: &'a str,
    changed: bool,
    recovery_codes: &'a [Confidential],
}

/// Writes the offer, then reads codes, a line each, until one is right or the input ends. Nothing is active before.
pub(crate) fn enroll(
    client: &mut Client<'_>,
    offer: &Offer,
    goal: Goal,
    save: Option<&Path>,
    picture: Option<&Picture>,
    output: &Output,
    terminal: &Terminal,
) -> Result<(), CliError> {
    if picture.is_some() {
        signals::on_interruption(interrupted).map_err(ScreenError::Signals)?;
        interactive::draw(picture, offer)?;
    }
    let qr = if output.dialog { Some(qr_image::svg(&Qr::of(offer.uri.expose())?)) } else { None };
    let qr = qr.as_ref().map(|document| document.text().trim_end());
    output.secret(&Shown { offer, qr }, |lines| {
        for (label, text) in [("Key", &offer.secret), ("HEX", &offer.hex), ("URI", &offer.uri)] {
            lines.add(format_args!("{label}  {}", text.expose()));
        }
    })?;
    let mut last = CliError::Ask(AskError::Closed);
    loop {
        output.announce(Asks::Code, Some(&last))?;
        let code = match prompt::ask(terminal, &tr(text!("Code that the app shows: "))) {
            Ok(line) => Confidential::new(line.expose()),
            Err(AskError::Closed) => return Err(last),
            Err(error) => return Err(error.into()),
        };
        match unconfirmed_file::settle(|| client.confirm(code, None)) {
            Ok(_) if goal == Goal::Another => return added::tell(client, output),
            Ok(codes) => return recovery_codes(&codes, &offer.user, save, output),
            Err(error @ CliError::Declined(Declined::NotConfirmed { .. })) => last = error,
            Err(error) => return Err(error),
        }
    }
}

fn interrupted() {
    unconfirmed_file::discard();
    exit(INTERRUPTED);
}

/// Writes recovery codes.
pub(crate) fn recovery_codes(
    codes: &[Confidential],
    user: &str,
    save: Option<&Path>,
    output: &Output,
) -> Result<(), CliError> {
    let saved = save.map(|path| interactive::save_codes(path, codes, user));
    // The codes are written even if they could not be saved: they exist nowhere else.
    let written = output.secret(&Active { user, changed: true, recovery_codes: codes }, |lines| {
        codes.iter().for_each(|code| lines.add(format_args!("{}", code.expose())));
        if codes.is_empty() {
            lines.add_blank();
        }
    });
    match (written, saved) {
        (Ok(()), saved) => saved.unwrap_or(Ok(())),
        (Err(CliError::Output(error)), None | Some(Err(_))) if !codes.is_empty() => Err(CliError::CodesUnseen(error)),
        (Err(error), _) => Err(error.although_done()),
    }
}

/// Refuses, while nothing is changed, what would lose recovery codes: a file for them that cannot be made, or /dev/null as
/// standard output. (A closed one is /dev/null by the time we run.)
pub(crate) fn somewhere_for_codes(save: Option<&Path>, shown: bool) -> Result<(), CliError> {
    match save {
        Some(path) => Ok(private_file::can_be_written(path)?),
        None if shown || !is_null(&io::stdout()) => Ok(()),
        None => Err(CliError::Usage(
            "standard output is closed or /dev/null, so the recovery codes would be lost; add --save-recovery FILE"
                .into(),
        )),
    }
}

fn is_null(output: &io::Stdout) -> bool {
    let null = || Some(fs::metadata("/dev/null").ok()?.rdev());
    let output = output.as_fd().try_clone_to_owned().and_then(|output| File::from(output).metadata());
    output.is_ok_and(|output| output.file_type().is_char_device() && Some(output.rdev()) == null())
}
