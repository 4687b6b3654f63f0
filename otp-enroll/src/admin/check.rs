//! Checks the configuration, and that everything it needs is there.

use otp_core::config::paths;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::User;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use serde::Serialize;

use super::changes;
use crate::cli::Common;
use crate::error::{CliError, plain};
use crate::ui::layout;
use crate::ui::output::Output;

/// The answer as JSON.
#[derive(Serialize)]
struct Checked {
    faults: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// `doubts` finds rules that probably match no login.
pub(super) fn check(
    common: &Common,
    doubts: impl FnOnce(&Site) -> Vec<String>,
    output: &Output,
) -> Result<(), CliError> {
    let path = common.config();
    let checked = match Site::load(path) {
        Ok(site) => {
            Checked { faults: faults_of(&site).into_iter().map(|(what, _)| what).collect(), warnings: doubts(&site) }
        }
        Err(_) => {
            let faults = Site::errors(path).iter().map(ToString::to_string).collect();
            Checked { faults, warnings: Vec::new() }
        }
    };
    output.result(&checked, || {
        let Checked { faults, warnings } = &checked;
        let mut lines: Vec<String> = faults.iter().map(|fault| layout::escaped(fault).into_owned()).collect();
        lines.extend(warnings.iter().map(|warning| format!("warning: {}", layout::escaped(warning))));
        if faults.is_empty() {
            lines.push(format!("{}: good", path.display()));
        }
        lines.join("\n")
    })?;
    if checked.faults.is_empty() { Ok(()) } else { Err(CliError::Faults(checked.faults.len())) }
}

/// Why a configuration that can be read cannot be used, and what to do about it if the error says so.
pub(super) fn faults_of(site: &Site) -> Vec<(String, Option<String>)> {
    let mut faults: Vec<String> = Vec::new();
    for rule in &site.config.policy.rules {
        let at = |what: String| format!("{}:{}: policy.rule {what}", site.path.display(), rule.line);
        if let Some(group) = &rule.group {
            faults.extend(match accounts::group(group, &mut |_| {}) {
                Ok(Some(_)) => None,
                Ok(None) => Some(at(format!(
                    "names the group {group}, which does not exist, or whose directory service is away: logins that reach \
                     this rule are refused"
                ))),
                Err(errno) => Some(at(format!(
                    "names the group {group}, which cannot be looked up ({}): logins that reach this rule are refused",
                    errno.desc()
                ))),
            });
        }
        if let Some(user) = &rule.user {
            faults.extend(match User::from_name(user) {
                Ok(Some(found)) if found.name == *user => None,
                Ok(Some(User { name, .. })) => Some(at(format!(
                    "names the user {user}, whom the name service calls {name}: the rule never matches; write {name}"
                ))),
                Ok(None) => Some(at(format!("names the user {user}, who does not exist: the rule never matches"))),
                Err(errno) => Some(at(format!("names the user {user}, who cannot be looked up ({})", errno.desc()))),
            });
        }
    }
    let state = fs::metadata(&site.config.state_directory);
    let mut of_the_store = None;
    match (site.store(), &state) {
        (Err(error), _) => of_the_store = Some((error.to_string(), Some(error.hint().to_owned()))),
        (Ok(store), Ok(state)) => {
            faults.extend(out_of_reach(site, state));
            of_the_store = changes::older(site, &store).map(|older| (older, Some(changes::FIX.to_owned())));
        }
        (Ok(_), Err(error)) => faults.push(format!("{}: {}", site.config.state_directory.display(), plain(error))),
    }
    // What a login does not read: [[agent.host]].
    faults.extend(Site::errors(&site.path).iter().map(ToString::to_string));
    faults.extend(helper_fault(&site.config.state_directory, state.ok().as_ref()));
    faults.into_iter().map(|what| (what, None)).chain(of_the_store).collect()
}

/// Files that root can use and the helper, which is not root, cannot reach: users could not enroll.
fn out_of_reach(site: &Site, state: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    let mut wrong = |place: &Path, metadata: &Metadata, wanted: u32| {
        let (place, mode) = (place.display(), metadata.mode() & 0o7777);
        faults.push(format!("{place} has mode {mode:04o} and must have {wanted:04o}: the helper cannot reach it"));
    };
    if state.mode() & 0o7777 != 0o1730 {
        wrong(&site.config.state_directory, state, 0o1730);
    }
    // The helper reads no other configuration than this one.
    let configuration = fs::canonicalize(&site.path).ok().filter(|_| site.path == Path::new(paths::CONFIG));
    let store_id = configuration.as_deref().map(|_| site.store_id());
    let within = site.config.state_directory.join(".store-id");
    for (place, others, group, wanted) in [
        (configuration.as_deref().and_then(Path::parent), 0o001, 0o010, 0o0755),
        (configuration.as_deref(), 0o004, 0o040, 0o0644),
        (store_id.as_deref(), 0o004, 0o040, 0o0644),
        (Some(within.as_path()), 0o004, 0o040, 0o0644),
    ] {
        let Some((place, metadata)) = place.and_then(|place| Some((place, fs::metadata(place).ok()?))) else {
            continue;
        };
        let allowed = if metadata.gid() == state.gid() { group } else { others };
        if metadata.mode() & allowed == 0 {
            wrong(place, &metadata, wanted);
        }
    }
    faults
}

/// Without the helper root can still log in with codes; users cannot enroll.
fn helper_fault(records: &Path, state: Option<&Metadata>) -> Option<String> {
    let helper = paths::HELPER;
    let metadata = match fs::symlink_metadata(helper) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("{helper}: {}", plain(&error))),
    };
    if !metadata.is_file() || metadata.uid() != 0 || metadata.gid() == 0 || metadata.mode() & 0o7777 != 0o2755 {
        Some(format!("{helper}: must be a file of root:pam_otp with mode 2755"))
    } else if state.is_some_and(|state| state.gid() != metadata.gid()) {
        // Set-group-ID to any other group, it could reach what it should not, and not what it should.
        Some(format!("{helper}: must be of the same group as {}", records.display()))
    } else {
        None
    }
}
