//! What is told of a row that gives no right, since no verifier has written it.

use crate::budgets::now;
use crate::database::session::Session;
use crate::fleet::Fleet;
use crate::log;

/// Counts each use of the row; in the journal and in the audit it is once in ten minutes for each host. The row is refused all the
/// same if the audit cannot be written.
pub(crate) fn alarm(fleet: &Fleet, session: &Session, host: &str, what: &str) {
    fleet.metrics.altered_rows.add();
    if !fleet.budgets.is_alarm_due(host, now()) {
        return;
    }
    log::error(&format!("host {host}: {what} was not written by a verifier, and gives no right"));
    if let Err(error) = session.note_altered(host) {
        log::error(&error.to_string());
    }
}
