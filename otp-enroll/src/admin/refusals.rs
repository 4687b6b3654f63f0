//! The last refusals, of a user or of all: from the journal, or from the file of a syslog daemon where there is no journal.

mod auth_log;
mod journal;
mod line;

use otp_core::protocol::administration::Refused;
use otp_core::value::time::{Seconds, UnixTime};
use serde::Serialize;

use self::line::{Reader, Refusal};
use crate::error::CliError;
use crate::language::moment;
use crate::ui::listing::Listing;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// So many are told.
const LAST: usize = 5;

/// So many of all users are told.
const MOST: usize = 10_000;

/// How far to look back at most.
const LONGEST: Seconds = Seconds(366 * 24 * 3600);

/// Where refusals are from: the first line of JSON.
#[derive(Serialize)]
struct From<'a> {
    refusals_from: Option<&'a str>,
    since: String,
    /// Whether there are more than are told.
    more: bool,
}

/// `admin refusals`: those of all users.
pub(super) fn of_all(since: &str, output: &Output) -> Result<(), CliError> {
    let length = Seconds::parse(since).filter(|length| (Seconds(1)..=LONGEST).contains(length));
    let length = length
        .ok_or_else(|| CliError::Usage(format!("--since {since}: write a duration of at most 366 days, like 24h")))?;
    let now = UnixTime::now();
    let since = UnixTime(now.0.saturating_sub(length.0));
    let mut found = Refusals::read(&Reader::of_all(), Some(since), MOST.saturating_add(1));
    let more = found.refusals.len() > MOST;
    found.refusals.truncate(MOST);
    let from = From { refusals_from: found.refusals_from.as_deref(), since: since.to_string(), more };
    let many = if more { format!("; the newest {MOST}") } else { String::new() };
    let heading = match (&found.refusals_from, found.refusals.is_empty()) {
        (None, _) => "It is not known who was refused: there is no journal, and no /var/log/auth.log".to_owned(),
        (Some(_), true) => format!("No refusals in the last {length}, in {}", found.told_from()),
        (Some(_), false) => format!("Refusals of the last {length}, from {}{many}", found.told_from()),
    };
    output.result(&from, || heading)?;
    Listing::of(output, |listing| {
        let mut progress = Progress::new("reading the log", found.refusals.len(), output);
        for refusal in &found.refusals {
            let user = refusal.user.as_deref().unwrap_or_default();
            listing.result(&mut progress, refusal, || {
                format!("  {}  {user}  {}", moment(&refusal.time), refusal.told())
            })?;
        }
        Ok(())
    })
}

/// What a log tells of one user's refusals, the latest first.
#[derive(Serialize)]
pub(super) struct Refusals {
    refusals: Vec<Refusal>,
    /// `journal`, `fleet`, the path of a file, or `None` without a log.
    refusals_from: Option<String>,
    /// Whether any local user can write such lines (with logger).
    #[serde(skip)]
    forgeable: bool,
}

impl Refusals {
    pub(super) fn of(user: &str) -> Self {
        Self::read(&Reader::of(user), None, LAST)
    }

    fn read(reader: &Reader, since: Option<UnixTime>, number: usize) -> Self {
        let found =
            journal::newest_first(reader, since, number).map(|refusals| (refusals, "journal".to_owned(), false));
        let found = found.or_else(|| {
            let (refusals, path) = auth_log::newest_first(reader, since, number)?;
            Some((refusals, path.to_owned(), true))
        });
        match found {
            Some((refusals, from, forgeable)) => Self { refusals, refusals_from: Some(from), forgeable },
            None => Self { refusals: Vec::new(), refusals_from: None, forgeable: false },
        }
    }

    /// Where they are from, for people.
    fn told_from(&self) -> String {
        let from = self.refusals_from.as_deref().unwrap_or_default();
        if self.forgeable { format!("{from}, to which any local user can write") } else { format!("the {from}") }
    }

    /// What the audit of the fleet tells, which no user writes.
    pub(super) fn of_fleet(refused: Vec<Refused>) -> Self {
        let refusals = refused.into_iter().map(Refusal::of_fleet).collect();
        Self { refusals, refusals_from: Some("fleet".to_owned()), forgeable: false }
    }

    /// Lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        if self.refusals_from.is_none() {
            return vec!["Refusals         not known: there is no journal, and no /var/log/auth.log".to_owned()];
        }
        let from = self.told_from();
        if self.refusals.is_empty() {
            return vec![format!("Refusals         none in {from}")];
        }
        let heading = format!("Last refusals    from {from}");
        let lines = self.refusals.iter().map(|refusal| format!("  {}  {}", moment(&refusal.time), refusal.told()));
        [heading].into_iter().chain(lines).collect()
    }
}
