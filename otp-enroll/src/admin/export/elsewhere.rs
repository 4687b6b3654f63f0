//! Files for other programs, with every seed in plain text.

use std::cell::Cell;

use otp_core::error::CoreError;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_formats::elsewhere::{Elsewhere, Lines};
use serde::Serialize;

use super::target::Target;
use super::{Chosen, One};
use crate::admin::not_done::NotDone;
use crate::cli::bundle::Exported;
use crate::client;
use crate::error::CliError;
use crate::ui::output::Output;

#[derive(Serialize)]
struct Made {
    exported: usize,
}

pub(super) fn export(
    who: &Exported,
    format: Elsewhere,
    site: &Site,
    store: &FileStore,
    output: &Output,
) -> Result<(), CliError> {
    let target = Target::of(&who.to, output)?;
    let (chosen, issuer) = (Chosen::of(&who.users, who.all, site, store, output)?, site.issuer());
    let (devices, not_done) = (Cell::new(0usize), Cell::new(0usize));
    target.fill(|file| {
        devices.set(0);
        not_done.set(0);
        let left_out = |user: &str, error: String, hint: &str| {
            not_done.set(not_done.get().saturating_add(1));
            target.tell_not_done(&NotDone { user, error, hint }, output)
        };
        for one in chosen.each() {
            let (account, record, _) = match one.read(store) {
                Ok(Some(read)) => read,
                Ok(None) => {
                    if let One::Account(_) = one {
                        left_out(one.name(), "has no second factor here".into(), "leave this user out")?;
                    }
                    continue;
                }
                Err(error @ (CoreError::Names { .. } | CoreError::NoAnswer { .. })) => return Err(error.into()),
                Err(error) => {
                    left_out(one.name(), error.to_string(), error.hint())?;
                    continue;
                }
            };
            let Lines { text, devices: written, left_out: why } = format.lines(&record, &issuer);
            file.write_all(text.as_bytes()).map_err(CliError::Output)?;
            devices.set(devices.get().saturating_add(written));
            let user = account.name.as_str();
            if written > 0 {
                // Before the file has its name: a line too many says less than one too few.
                client::log_change(user, "exported");
            }
            for why in why {
                left_out(user, why, "it was left out")?;
            }
            let codes = record.credentials.recovery_left(&record.state).unwrap_or(0);
            if codes > 0 {
                target.advise(
                    &format!("{user}: {codes} recovery codes were left out: only their hashes are here"),
                    output,
                )?;
            }
        }
        if devices.get() == 0 { Err(super::bundle::nothing(not_done.get())) } else { Ok(()) }
    })?;
    if !target.is_output() {
        output.done(&Made { exported: devices.get() }, &format!("{} devices exported.", devices.get()))?;
    }
    let name = who.to.display();
    output.insist(&format!(
        "{name} holds every seed in plain text: any person who reads it can make the codes of these users"
    ));
    if not_done.get() == 0 { Ok(()) } else { Err(CliError::NotDone(not_done.get())) }
}
