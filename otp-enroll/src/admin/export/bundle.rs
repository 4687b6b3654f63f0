//! A bundle for another host.

use std::cell::RefCell;

use otp_core::error::CoreError;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::{Site, host_name};
use otp_core::value::time::UnixTime;
use otp_formats::bundle::{Head, Writer};
use serde::Serialize;

use super::leaving::{self, Leaving};
use super::target::Target;
use super::{Chosen, One};
use crate::admin::encryption::Seal;
use crate::admin::not_done::NotDone;
use crate::cli::bundle::ExportBundle;
use crate::client;
use crate::error::CliError;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// What was made.
#[derive(Serialize)]
struct Made {
    exported: usize,
}

/// What has become of the users when the bundle is whole.
#[derive(Default)]
struct Written {
    /// Those who are in it.
    users: Vec<Leaving>,
    not_done: usize,
    progress: Option<Progress>,
}

pub(super) fn export(how: &ExportBundle, site: &Site, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let Some(to) = &how.to else { return Err(CliError::Usage("name a file: --to FILE".into())) };
    let target = Target::of(to, output)?;
    if how.r#move && target.is_output() {
        return Err(CliError::Usage("--move needs a file: what reads standard output may lose it".into()));
    }
    if how.r#move && !how.yes {
        output.can_confirm()?;
    }
    let chosen = Chosen::of(&how.users, how.all, site, store, output)?;
    if how.r#move && !how.yes {
        let whose = match &chosen {
            Chosen::Users(accounts) => {
                accounts.iter().map(|account| account.name.as_str()).collect::<Vec<_>>().join(", ")
            }
            Chosen::All(stems) => format!("all {} users who have one", stems.len()),
        };
        output.confirm(&format!(
            "Remove the records of {whose} from this host when the bundle is on the disk? Overrides go, too."
        ))?;
    }
    let seal = Seal::of(&how.recipient, how.passphrase_file.as_deref(), output)?;
    let written = RefCell::new(Written::default());
    target.fill(|file| {
        *written.borrow_mut() = Written::default();
        let mut written = written.borrow_mut();
        written.progress = Some(Progress::new("exporting", chosen.count(), output));
        let sealed = seal.around(file).map_err(CliError::Output)?;
        let head = Head { host: host_name(), made: UnixTime::now() };
        let mut writer = Writer::begin(sealed, &head).map_err(CliError::Output)?;
        for one in chosen.each() {
            take(&one, store, &mut writer, &mut written, &target, output)?;
        }
        written.progress = None;
        if written.users.is_empty() {
            return Err(nothing(written.not_done));
        }
        writer.end().and_then(|sealed| sealed.finish()).map(drop).map_err(CliError::Output)
    })?;
    let Written { users, not_done, .. } = written.into_inner();
    // It is whole, and on the disk.
    for leaving in &users {
        client::log_change(leaving.account.name.as_str(), "exported");
    }
    if how.r#move {
        let stayed = leaving::remove(&users, store, output)?;
        let failures = not_done.saturating_add(stayed);
        return if failures == 0 { Ok(()) } else { Err(CliError::NotDone(failures)) };
    }
    if !target.is_output() {
        let text = format!("{} exported.", super::counted(users.len()));
        output.done(&Made { exported: users.len() }, &text)?;
    }
    target.advise(&on_two_hosts(&users), output).map_err(CliError::although_done)?;
    if not_done == 0 { Ok(()) } else { Err(CliError::NotDone(not_done)) }
}

/// Nothing is made where nothing would be in it.
pub(super) fn nothing(not_done: usize) -> CliError {
    if not_done > 0 {
        return CliError::NotDone(not_done);
    }
    CliError::Reported {
        error: "no user has a record that could be exported".into(),
        hint: "no file was made; `otp-enroll admin list` lists all records".into(),
    }
}

fn on_two_hosts(users: &[Leaving]) -> String {
    match users {
        [one] => format!(
            "When the bundle is imported, {} has the same device on two hosts: one code may let in once on each.",
            one.account.name.as_str()
        ),
        _ => "When the bundle is imported, these users have the same devices on two hosts: one code may let in once on each."
            .into(),
    }
}

fn take<W: std::io::Write>(
    one: &One<'_>,
    store: &FileStore,
    writer: &mut Writer<W>,
    written: &mut Written,
    target: &Target<'_>,
    output: &Output,
) -> Result<(), CliError> {
    let (error, hint) = match one.read(store) {
        Ok(Some((account, record, has_passcode))) => {
            writer.write(&record).map_err(CliError::Output)?;
            if has_passcode {
                written.clear();
                target
                    .advise(&format!("{}: the passcode that was issued stays here.", account.name.as_str()), output)?;
            }
            written.users.push(Leaving::of(account, &record));
            step(written);
            return Ok(());
        }
        Ok(None) => {
            step(written);
            if let One::Stem(_) = one {
                return Ok(()); // blank: its user removed the second factor
            }
            ("has no second factor here".to_owned(), "it was moved already, or there never was one".to_owned())
        }
        // The fault is not in this record, and the others would have it too.
        Err(error @ (CoreError::Names { .. } | CoreError::NoAnswer { .. })) => return Err(error.into()),
        Err(error) => {
            step(written);
            (error.to_string(), error.hint().to_owned())
        }
    };
    written.not_done = written.not_done.saturating_add(1);
    written.clear();
    target.tell_not_done(&NotDone { user: one.name(), error, hint: &hint }, output)
}

fn step(written: &mut Written) {
    if let Some(progress) = &mut written.progress {
        progress.step();
    }
}

impl Written {
    /// Makes way for a line.
    fn clear(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
    }
}
