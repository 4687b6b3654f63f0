//! What an import tells: faults of the file, a line for each user, and totals.

use std::path::Path;

use otp_core::decision::import::Outcome;
use otp_formats::source::{Fault, Whose};
use serde::Serialize;

use super::entries::{Answer, Named, Unreadable};
use super::shelf::Shelved;
use crate::admin::not_done::NotDone;
use crate::error::CliError;
use crate::ui::layout;
use crate::ui::output::Output;

/// A user whose record was changed, or would be.
#[derive(Serialize)]
struct Imported<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_change: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

/// A token that is in the stock now, or would be.
#[derive(Serialize)]
struct Stocked<'a> {
    serial: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_change: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

/// An entry that was there when the import began.
#[derive(Serialize)]
struct NotRead<'a> {
    line: usize,
    error: String,
    hint: &'a str,
}

/// A token that is not.
#[derive(Serialize)]
struct NotStocked<'a> {
    serial: &'a str,
    error: String,
    hint: &'a str,
}

const CAUGHT_UP: [&str; 2] = [
    "was imported already; codes used since then are used up here too",
    "was imported already; codes used since then would be used up here too",
];

/// Numbers of results.
pub(super) struct Tally {
    dry_run: bool,
    imported: usize,
    stocked: usize,
    already: usize,
    nothing: usize,
    /// The places that were not done.
    pub(super) not_done: Vec<usize>,
}

/// The faults of a file, a line each.
pub(super) fn faults(faults: &[Fault], file: &Path, output: &Output) -> Result<(), CliError> {
    for fault in faults {
        output.result(fault, || {
            layout::escaped(&format!("{}:{}: {}", file.display(), fault.line, fault.what)).into_owned()
        })?;
    }
    Ok(())
}

impl Tally {
    pub(super) fn new(dry_run: bool) -> Self {
        Self { dry_run, imported: 0, stocked: 0, already: 0, nothing: 0, not_done: Vec::new() }
    }

    pub(super) fn report(
        &mut self,
        place: usize,
        named: &Named,
        answer: Answer,
        output: &Output,
    ) -> Result<(), CliError> {
        let user = match named {
            Named::Whose(Whose::User(user) | Whose::Serial(user)) => user,
            Named::Line(_) => "",
        };
        let mut not_done = |error: String, hint: &str| {
            self.not_done.push(place);
            let told = |name: &str| layout::escaped(&format!("{name}: failed: {error}; {hint}")).into_owned();
            match named {
                Named::Whose(Whose::User(user)) => NotDone { user, error, hint }.tell(output),
                Named::Whose(Whose::Serial(serial)) => {
                    let text = told(serial);
                    output.result(&NotStocked { serial, error, hint }, || text)
                }
                Named::Line(line) => {
                    let text = told(&format!("line {line}"));
                    output.result(&NotRead { line: *line, error, hint }, || text)
                }
            }
        };
        let (outcome, remarks) = match answer {
            Answer::Done(outcome, remarks) => (outcome, remarks),
            Answer::Shelved(Shelved::Taken, _) => {
                return not_done(
                    "another token with this serial number is there already".into(),
                    "find out which is right: otp-enroll admin tokens, otp-enroll admin show",
                );
            }
            Answer::Shelved(shelved, remarks) => return self.shelved(user, &shelved, remarks, output),
            Answer::Nothing => {
                self.nothing = self.nothing.saturating_add(1);
                return Ok(());
            }
            Answer::NoSuchUser => {
                return not_done("there is no such user".into(), "create the account, and import again");
            }
            Answer::Unreadable(Unreadable { error, hint }) => return not_done(error, hint),
            Answer::Failed(error) => return not_done(error.to_string(), error.hint()),
        };
        let (count, changed, [done, would_be]) = match outcome {
            Outcome::Imported => (&mut self.imported, true, ["imported", "would be imported"]),
            Outcome::Replaced => (&mut self.imported, true, ["replaced", "would be replaced"]),
            Outcome::Added => (&mut self.imported, true, ["added", "would be added"]),
            Outcome::CaughtUp => (&mut self.already, true, CAUGHT_UP),
            Outcome::Already => (&mut self.already, false, ["was imported already"; 2]),
            Outcome::HasOthers => {
                let hint = "to replace it by the devices in the file: --replace; to have them beside it: --add";
                return not_done("has a second factor already".into(), hint);
            }
            Outcome::TooMany => {
                return not_done("has too many devices for one more".into(), "remove one: otp-enroll admin remove");
            }
            Outcome::Unfit => return not_done("has no device in the file, or too many".into(), "fix the file"),
        };
        *count = count.saturating_add(1);
        let (now, later) = if self.dry_run { (None, Some(changed)) } else { (Some(changed), None) };
        let mut text = format!("{user}: {}", if self.dry_run { would_be } else { done });
        for remark in &remarks {
            text = format!("{text}; {remark}");
        }
        output.done(&Imported { user, changed: now, would_change: later, remarks }, &text)
    }

    /// A token that is in the stock now, or was there, or has a user already.
    fn shelved(
        &mut self,
        serial: &str,
        shelved: &Shelved,
        remarks: Vec<String>,
        output: &Output,
    ) -> Result<(), CliError> {
        let changed = matches!(shelved, Shelved::Put);
        let count = if changed { &mut self.stocked } else { &mut self.already };
        *count = count.saturating_add(1);
        let (now, later) = if self.dry_run { (None, Some(changed)) } else { (Some(changed), None) };
        let mut text = format!("{serial}: ");
        text += &match shelved {
            Shelved::Put if self.dry_run => "would be put into the stock".to_owned(),
            Shelved::Put => "put into the stock".to_owned(),
            Shelved::OfUser(user) => format!("{user} has it already"),
            Shelved::Already | Shelved::Taken => "is in the stock already".to_owned(),
        };
        for remark in &remarks {
            text = format!("{text}; {remark}");
        }
        output.done(&Stocked { serial, changed: now, would_change: later, remarks }, &text)
    }

    pub(super) fn processed(&self) -> usize {
        [self.stocked, self.imported, self.already, self.nothing, self.not_done.len()].iter().sum()
    }

    /// Totals, and what the administrator does next; fails if something was not done. `left_out` are faults of the file.
    pub(super) fn close(&self, left_out: usize, next: &str, output: &Output) -> Result<(), CliError> {
        let Self { dry_run, imported, already, .. } = self;
        let not_done = self.not_done.len().saturating_add(left_out);
        let stocked = match (self.stocked, dry_run) {
            (0, _) => String::new(),
            (stocked, true) => format!(" {stocked} would be put into the stock,"),
            (stocked, false) => format!(" {stocked} put into the stock,"),
        };
        let text = if *dry_run {
            format!(
                "\n{imported} would be imported,{stocked} {already} were imported already, {not_done} would fail; nothing was changed."
            )
        } else {
            let next = if self.not_done.len() == self.processed() { "" } else { next };
            format!("\n{imported} imported,{stocked} {already} were imported already, {not_done} failed.\n{next}")
        };
        let told = output.advise(&text);
        if *dry_run { told } else { told.map_err(CliError::although_done) }?;
        if not_done == 0 { Ok(()) } else { Err(CliError::NotDone(not_done)) }
    }
}
