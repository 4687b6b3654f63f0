//! Checks the configuration, and that everything it needs is there.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::User;
use otp_core::config::paths;
use otp_core::decision::kinds::Kinds;
use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::system::sends_file;
use otp_core::value::system_error::described;
use otp_locale::Locale;
use serde::Serialize;

use super::changes;
use super::seal;
use crate::cli::Common;
use crate::error::{CliError, plain};
use crate::ui::layout;
use crate::ui::output::Output;
use crate::ui::style;

/// Why a configuration that can be read cannot be used.
pub(super) struct Fault {
    pub(super) what: String,
    /// What to do, where the fault itself does not say so.
    pub(super) fix: Option<String>,
    pub(super) harm: Harm,
}

/// What a fault does until it is fixed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// Logins are refused, or rules do not hold.
    ToLogins,
    /// No codes are sent. Logins with another device go on.
    ToMessages,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Checked {
    faults: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What to do about each fault, where that is known; for people alone.
    #[serde(skip)]
    fixes: Vec<Option<String>>,
}

/// `doubts` finds rules that probably match no login.
pub(super) fn check(
    common: &Common,
    doubts: impl FnOnce(&Site) -> Vec<String>,
    output: &Output,
) -> Result<(), CliError> {
    let path = common.config();
    let (checked, harm) = match Site::load(path) {
        Ok(site) => {
            let faults = faults_of(&site);
            let to_logins = faults.iter().any(|fault| fault.harm == Harm::ToLogins);
            let harm = if to_logins { Harm::ToLogins } else { Harm::ToMessages };
            let fixes = faults.iter().map(|fault| fault.fix.clone()).collect();
            let faults = faults.into_iter().map(|fault| fault.what).collect();
            let warnings = unknown_language(&site).into_iter().chain(doubts(&site)).collect();
            (Checked { faults, warnings, fixes }, harm)
        }
        Err(_) => {
            // Names in the rules are looked up as well, so that one run names all faults of the file.
            let (site, errors) = Site::errors(path);
            let of_names = site.as_ref().map(unknown_names).unwrap_or_default();
            let faults = errors.iter().map(ToString::to_string).chain(of_names).collect();
            (Checked { faults, warnings: Vec::new(), fixes: Vec::new() }, Harm::ToLogins)
        }
    };
    output.painted(&checked, style::findings, || {
        let Checked { faults, warnings, fixes } = &checked;
        let mut lines = Vec::new();
        for (place, fault) in faults.iter().enumerate() {
            lines.push(layout::escaped(fault).into_owned());
            let fix = fixes.get(place).and_then(Option::as_deref);
            lines.extend(fix.map(|fix| format!("  {}", layout::escaped(fix))));
        }
        lines.extend(warnings.iter().map(|warning| format!("warning: {}", layout::escaped(warning))));
        if faults.is_empty() {
            lines.push(format!("{}: good", path.display()));
        }
        lines.join("\n")
    })?;
    match (checked.faults.len(), harm) {
        (0, _) => Ok(()),
        (faults, Harm::ToLogins) => Err(CliError::Faults(faults)),
        (faults, Harm::ToMessages) => Err(CliError::FaultsOfMessages(faults)),
    }
}

/// A language without its locale: texts are English then.
fn unknown_language(site: &Site) -> Option<String> {
    let language = site.config.language.as_deref().filter(|language| !Locale::or_named(language).is_named())?;
    Some(format!(
        "{}: language: this machine has no locale {language:?}, so texts are English; `locale -a` lists those that it has",
        site.path.display()
    ))
}

/// Rules with a name that the name service does not know.
fn unknown_names(site: &Site) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    for rule in &site.config.settings.policy.rules {
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
        // A rule with an error was read as one for a user without a name.
        if let Some(user) = rule.user.as_deref().filter(|user| !user.is_empty()) {
            faults.extend(match User::from_name(user) {
                Ok(Some(found)) if found.name == user => None,
                Ok(Some(User { name, .. })) => Some(at(format!(
                    "names the user {user}, but the name service calls this user {name}: the rule never matches; write {name}"
                ))),
                Ok(None) => Some(at(format!("names the user {user}, who does not exist: the rule never matches"))),
                Err(errno) => Some(at(format!("names the user {user}, who cannot be looked up ({})", errno.desc()))),
            });
        }
    }
    faults
}

/// All faults of a configuration that can be read.
pub(super) fn faults_of(site: &Site) -> Vec<Fault> {
    let mut faults = unknown_names(site);
    let state = fs::metadata(&site.config.state_directory);
    let mut of_the_store = None;
    match (site.store(), &state) {
        (Err(error), _) => {
            let (what, fix) = (error.to_string(), Some(error.hint().to_owned()));
            of_the_store = Some(Fault { what, fix, harm: Harm::ToLogins });
        }
        (Ok(store), Ok(state)) => {
            faults.extend(out_of_reach(site, state));
            let fix = Some(changes::FIX.to_owned());
            of_the_store = changes::older(site, &store).map(|what| Fault { what, fix, harm: Harm::ToLogins });
        }
        (Ok(_), Err(error)) => faults.push(format!("{}: {}", site.config.state_directory.display(), plain(error))),
    }
    // What a login does not read. The agent answers only root where [[agent.host]] cannot be used.
    let (of_hosts, of_senders) = site.errors_apart();
    faults.extend(of_hosts.iter().map(ToString::to_string));
    let of_helper = helper_fault(&site.config.state_directory, state.ok().as_ref()).map(|what| Fault {
        what,
        fix: Some("make it what an installation makes it: install the package again".to_owned()),
        harm: Harm::ToLogins,
    });
    let faults = faults.into_iter().map(|what| Fault { what, fix: None, harm: Harm::ToLogins });
    let of_senders = of_senders.into_iter().map(|error| {
        let fix = "no codes are sent until it is fixed: users with no other device or recovery code are refused; \
                   pam_otp.toml(5) describes every key";
        Fault { what: error.to_string(), fix: Some(fix.to_owned()), harm: Harm::ToMessages }
    });
    let of_store = of_the_store.into_iter().chain(fault_of_sends(site)).chain(of_seals(site));
    faults.chain(of_helper).chain(of_senders).chain(of_store).collect()
}

/// The keys of sealed seeds: whether logins have them, and whether the next boot will.
fn of_seals(site: &Site) -> impl Iterator<Item = Fault> {
    seal::faults(site).into_iter().map(|(what, fix)| Fault { what, fix: Some(fix), harm: Harm::ToLogins })
}

/// The file in which the agent notes what it sends: where it cannot be used nothing is sent.
fn fault_of_sends(site: &Site) -> Option<Fault> {
    let is_read = site.senders().is_ok_and(|senders| senders.kinds() != Kinds::NONE);
    let path = sends_file::file(&site.config.state_directory);
    let error = is_read.then(|| sends_file::read(&path).err())??;
    let what = format!("{}: {}; no codes are sent while this lasts", path.display(), described(&error));
    let fix = "look what it is, then remove it: the agent makes a new one, and counts from there";
    Some(Fault { what, fix: Some(fix.to_owned()), harm: Harm::ToMessages })
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
    for (place, others, group, wanted) in [
        (configuration.as_deref().and_then(Path::parent), 0o001, 0o010, 0o0755),
        (configuration.as_deref(), 0o004, 0o040, 0o0644),
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
