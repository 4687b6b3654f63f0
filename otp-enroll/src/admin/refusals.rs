//! The last refusals of a user: from the journal, or from the file of a syslog daemon where there is no journal.

mod auth_log;
mod journal;
mod line;

use otp_core::protocol::administration::Refused;
use serde::Serialize;

use self::line::{Reader, Refusal};
use crate::language::moment;

/// So many are told.
const LAST: usize = 5;

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
        let reader = Reader::of(user);
        let found = journal::newest_first(&reader, LAST).map(|refusals| (refusals, "journal".to_owned(), false));
        let found = found.or_else(|| {
            let (refusals, path) = auth_log::newest_first(&reader, LAST)?;
            Some((refusals, path.to_owned(), true))
        });
        match found {
            Some((refusals, from, forgeable)) => Self { refusals, refusals_from: Some(from), forgeable },
            None => Self { refusals: Vec::new(), refusals_from: None, forgeable: false },
        }
    }

    /// What the audit of the fleet tells, which no user writes.
    pub(super) fn of_fleet(refused: Vec<Refused>) -> Self {
        let refusals = refused.into_iter().map(Refusal::of_fleet).collect();
        Self { refusals, refusals_from: Some("fleet".to_owned()), forgeable: false }
    }

    /// Lines for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let Some(from) = &self.refusals_from else {
            return vec!["Refusals         not known: there is no journal, and no /var/log/auth.log".to_owned()];
        };
        let from =
            if self.forgeable { format!("{from}, to which any local user can write") } else { format!("the {from}") };
        if self.refusals.is_empty() {
            return vec![format!("Refusals         none in {from}")];
        }
        let heading = format!("Last refusals    from {from}");
        let lines = self.refusals.iter().map(|refusal| format!("  {}  {}", moment(&refusal.time), refusal.told()));
        [heading].into_iter().chain(lines).collect()
    }
}
