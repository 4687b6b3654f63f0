//! The tokens in stock: list them, remove one.

use otp_core::error::CoreError;
use otp_core::record::credentials::{Kind, Serial};
use otp_core::record::credentials_toml::spare::Spare;
use otp_core::store::files::open::FileStore;
use serde::Serialize;

use crate::error::CliError;
use crate::ui::listing::Listing;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// A token in the list.
#[derive(Serialize)]
struct Listed<'a> {
    serial: &'a str,
    r#type: &'a str,
    algorithm: &'a str,
    digits: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maker: Option<&'a str>,
    since: String,
    /// Who was about to get it when that was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
}

/// A file that cannot be used.
#[derive(Serialize)]
struct Unusable<'a> {
    file: &'a str,
    error: String,
    hint: &'a str,
}

/// The answer of a removal.
#[derive(Serialize)]
struct Removed<'a> {
    serial: &'a str,
    changed: bool,
}

/// No token in stock has this serial number.
pub(super) fn none(serial: &str) -> CliError {
    CliError::Reported {
        error: format!("there is no token {serial:?} in stock"),
        hint: "the tokens in stock: otp-enroll admin tokens".to_owned(),
    }
}

pub(super) fn list(store: &FileStore, output: &Output) -> Result<(), CliError> {
    let Some(stock) = store.stock().map_err(CoreError::from)? else {
        return output.advise("No token is in stock.");
    };
    let names = stock.names().map_err(CoreError::from)?;
    let width = names.iter().map(|name| name.len().saturating_sub(5)).max().unwrap_or(0).clamp(6, 40);
    let mut faults = 0usize;
    Listing::of(output, |listing| {
        let mut progress = Progress::new("reading tokens", names.len(), output);
        let mut has_heading = false;
        for name in &names {
            progress.step();
            let spare = match stock.of_file(name).map_err(CoreError::from) {
                Ok(Some(spare)) => Ok(spare),
                Ok(None) => continue, // given out meanwhile
                Err(error) => Err(error),
            };
            if !std::mem::replace(&mut has_heading, true) {
                progress.clear();
                listing.heading(&format!("{:<width$}  TYPE  DIGITS  SINCE       MAKER", "SERIAL"))?;
            }
            match spare {
                Ok(spare) => listing.result(&mut progress, &listed(&spare), || line(&spare, width))?,
                Err(error) => {
                    faults = faults.saturating_add(1);
                    let unusable = Unusable { file: name, error: error.to_string(), hint: error.hint() };
                    listing.result(&mut progress, &unusable, || format!("{name}  unusable: {error}"))?;
                }
            }
        }
        progress.clear();
        if !has_heading {
            listing.advise("No token is in stock.")?;
        }
        Ok(())
    })?;
    if faults == 0 {
        return Ok(());
    }
    Err(CliError::Reported {
        error: format!("{faults} files of the stock cannot be used"),
        hint: "restore them from a backup, or remove them and import these tokens again".to_owned(),
    })
}

fn serial_of(spare: &Spare) -> &str {
    spare.device.serial.as_ref().map_or("", Serial::as_str)
}

fn listed(spare: &Spare) -> Listed<'_> {
    let Spare { device, maker, user, .. } = spare;
    let period = if let Kind::Totp(clock) = &device.kind { Some(clock.period.get()) } else { None };
    Listed {
        serial: serial_of(spare),
        r#type: device.kind.word(),
        algorithm: device.algorithm.name(),
        digits: device.digits.get(),
        period,
        maker: maker.as_deref(),
        since: device.created.to_string(),
        user: user.as_ref().map(|user| user.as_str()),
    }
}

fn line(spare: &Spare, width: usize) -> String {
    let Spare { device, maker, user, .. } = spare;
    let (serial, kind, digits, since) =
        (serial_of(spare), device.kind.word(), device.digits.get(), device.created.day());
    let maker = maker.as_deref().unwrap_or("-");
    let interrupted = user.as_ref().map_or_else(String::new, |user| {
        format!("  ! interrupted: run `otp-enroll admin assign {user} {serial}` again")
    });
    format!("{serial:<width$}  {kind:<4}  {digits:>6}  {since}  {maker}{interrupted}")
}

/// Removes a token from the stock; asks first.
pub(super) fn remove(store: &FileStore, named: &str, yes: bool, output: &Output) -> Result<(), CliError> {
    let serial = Serial::parse(named.trim()).ok_or_else(|| none(named))?;
    let stock = store.stock().map_err(CoreError::from)?.ok_or_else(|| none(named))?;
    stock.get(&serial).map_err(CoreError::from)?.ok_or_else(|| none(named))?;
    if !yes {
        output.confirm(&format!("Remove the token {} from the stock? Its key is then gone.", serial.as_str()))?;
    }
    let was_there = stock.lock().and_then(|locked| locked.remove(&serial)).map_err(CoreError::from)?;
    if !was_there {
        return Err(none(named));
    }
    let answer = Removed { serial: serial.as_str(), changed: true };
    output.done(&answer, &format!("{}: removed from the stock", serial.as_str()))
}
