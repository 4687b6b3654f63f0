//! Administrators' changes are counted, so that an older copy of the records is noticed.

use otp_core::store::files::changes::Gap;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;

use crate::cli::{Admin, FleetCommand};
use crate::ui::output::Output;

/// What to do about records that are older than this host has seen.
pub(super) const FIX: &str = "if they were restored from a backup: otp-enroll admin restored";

/// What is wrong, if records are older than this host has seen.
pub(super) fn older(site: &Site, store: &FileStore) -> Option<String> {
    let missing = store.changes(&site.store_changes()).missing();
    let changes = if missing == 1 { "one change" } else { "changes" };
    (missing > 0).then(|| {
        format!(
            "the records are older than this host has seen: {changes} by administrators ({missing}) are not in them"
        )
    })
}

/// Warns of older records before a command that changes some.
pub(super) fn warn(command: &Admin, site: &Site, store: &FileStore, output: &Output) {
    if let Some(older) = older(site, store).filter(|_| changes(command) && !matches!(command, Admin::Restored { .. })) {
        output.warn(&format!("{older}; {FIX}"));
    }
}

/// Counts a command that has changed records, or may have.
pub(super) fn count(command: &Admin, is_done: bool, site: &Site, store: &FileStore, output: &Output) {
    let gap = if is_done && matches!(command, Admin::Restored { .. }) { Gap::Ends } else { Gap::Stays };
    if changes(command)
        && let Err(error) = store.count_change(&site.store_changes(), gap)
    {
        output.warn(&format!("the change was made and not counted: {error}"));
    }
}

/// Whether a command changes records.
fn changes(command: &Admin) -> bool {
    match command {
        Admin::List { .. }
        | Admin::Explain { .. }
        | Admin::Report { .. }
        | Admin::Refusals { .. }
        | Admin::Show { .. }
        | Admin::ReadAsUser { .. }
        | Admin::InitStore { .. }
        | Admin::Check
        | Admin::Doctor { .. }
        | Admin::TurnOn { .. }
        | Admin::TurnOff { .. }
        | Admin::EndSessions { .. }
        | Admin::ForgetAddresses { .. }
        // Records of their own.
        | Admin::BreakGlass { .. }
        | Admin::Purge { dry_run: true, .. }
        | Admin::Tokens { remove: None, .. }
        | Admin::Unlock { dry_run: true, .. }
        | Admin::Fleet { command: FleetCommand::Status | FleetCommand::Push { dry_run: true, .. } } => false,
        Admin::Require { .. }
        | Admin::Exempt { .. }
        | Admin::Unrequire { .. }
        | Admin::Unlock { .. }
        | Admin::Add { .. }
        | Admin::Remove { .. }
        | Admin::Resync { .. }
        | Admin::Issue { .. }
        | Admin::Revoke { .. }
        | Admin::Reset { .. }
        | Admin::Disable { .. }
        | Admin::Rename { .. }
        | Admin::Adopt { .. }
        | Admin::Purge { .. }
        | Admin::Tokens { .. }
        | Admin::Assign { .. }
        | Admin::Restored { .. }
        | Admin::Fleet { command: FleetCommand::Push { .. } | FleetCommand::Discard { .. } | FleetCommand::Pull { .. } } => true,
        Admin::Import(file) => !file.is_dry_run(),
        Admin::Export(how) => how.bundle.r#move,
        Admin::Seal(how) => how.changes_records(),
    }
}
