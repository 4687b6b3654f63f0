//! What would lock users out or let them in against policy: PAM files, sshd, configuration, records, clock.

mod finding;
mod guarded;
mod module_kind;
mod pam_conf;
mod service;
mod simulate;
mod sshd;
mod stack;

use std::path::Path;
use std::process::Command;

use otp_core::error::CoreError;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use self::finding::{Finding, Severity};
use self::guarded::Guarded;
use self::stack::Folders;
use super::accounts::{self, Names};
use super::check;
use super::explain::{self, Outcome};
use crate::cli::Common;
use crate::error::CliError;
use crate::ui::layout;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// Names listed in a finding; further ones are counted.
const NAMED: usize = 5;

/// Services with a second service for another form of the command, and that command.
const TWINS: [(&str, &str, &str); 2] = [("sudo", "sudo-i", "sudo -i"), ("su", "su-l", "su -")];

/// The answer as JSON.
#[derive(Serialize)]
struct Diagnosis<'a> {
    /// Services that ask for a code.
    services: Vec<&'a str>,
    findings: Vec<Finding>,
}

/// Checks everything. `pam` and `sshd_config` name files that are not in use yet.
pub(super) fn doctor(
    common: &Common,
    pam: Option<&Path>,
    sshd_config: Option<&Path>,
    output: &Output,
) -> Result<(), CliError> {
    let folders = Folders::new(pam);
    let mut findings = Vec::new();
    let services = folders
        .services()
        .map_err(|error| CliError::Unreadable { path: pam.unwrap_or(Path::new("/etc/pam.d")).to_owned(), error })?;
    let guarded: Vec<Guarded> =
        services.iter().filter_map(|name| service::look_at(&folders, name, &mut findings)).collect();
    for (name, twin, command) in TWINS {
        let is_guarded = |name: &str| guarded.iter().any(|guarded| guarded.name == name);
        if is_guarded(name) && services.contains(twin) && !is_guarded(twin) {
            findings.push(Finding::warning(
                name,
                format!("`{command}` uses the service {twin}, which asks for no code"),
                &format!("put the same lines into the file {twin}"),
            ));
        }
    }
    if let Some(guarded) = guarded.iter().find(|guarded| guarded.name == sshd::SERVICE) {
        sshd::look_at(guarded, sshd_config, &folders.password_line(), &mut findings);
    }

    let mut sites = vec![common.config()];
    sites.extend(guarded.iter().flat_map(|guarded| &guarded.lines).map(|(_, said)| said.config.as_path()));
    sites.sort_unstable();
    sites.dedup();
    for path in sites {
        let fix = "logins that need it are refused until it is fixed; pam_otp.toml(5) describes every key";
        let site = match Site::load(path) {
            Ok(site) => site,
            Err(error) => {
                findings.push(Finding::fault("configuration", error.to_string(), fix));
                continue;
            }
        };
        let faults = check::faults_of(&site).into_iter();
        findings.extend(faults.map(|(what, hint)| Finding::fault("configuration", what, hint.unwrap_or(fix))));
        let here: Vec<&Guarded> = guarded.iter().filter(|guarded| guarded.uses(path)).collect();
        for guarded in &here {
            service::check_enrollment(&folders, guarded, &site.config.policy, &mut findings);
        }
        if let Ok(store) = site.store() {
            refused(&site, &store, &here, output, &mut findings)?;
        }
    }
    findings.extend(clock());
    tell(&guarded, findings, output)
}

fn tell(guarded: &[Guarded], findings: Vec<Finding>, output: &Output) -> Result<(), CliError> {
    let findings = in_order(findings);
    let faults = findings.iter().filter(|finding| finding.severity == Severity::Fault).count();
    let services: Vec<&str> = guarded.iter().map(|guarded| guarded.name.as_str()).collect();
    let asked = match services.as_slice() {
        [] => "No service asks for a code.".to_owned(),
        services => format!("Services that ask for a code: {}", services.join(", ")),
    };
    let diagnosis = Diagnosis { services, findings };
    output.result(&diagnosis, || {
        let columns = terminal_size::terminal_size().map_or(usize::MAX, |(columns, _)| columns.0.into());
        let mut lines = vec![layout::wrap(&asked, columns).join("\n")];
        lines.extend(diagnosis.findings.iter().map(|finding| finding.text(columns)));
        if faults == 0 {
            lines.push("No fault was found.".to_owned());
        }
        lines.join("\n")
    })?;
    if faults == 0 { Ok(()) } else { Err(CliError::Faults(faults)) }
}

/// The worst first; the same finding of several services, which may include the same line, once.
fn in_order(findings: Vec<Finding>) -> Vec<Finding> {
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        let Finding { severity, what, fix, subjects } = &finding;
        let same = told.iter_mut().find(|told| (told.severity, &told.what, &told.fix) == (*severity, what, fix));
        match same {
            Some(told) => told.subjects.extend(subjects.iter().cloned()),
            None => told.push(finding),
        }
    }
    told.sort_by(|a, b| (a.severity, &a.subjects).cmp(&(b.severity, &b.subjects)));
    told
}

/// Users who can log in and are refused by policy, for each service, and users whose record cannot be used.
fn refused(
    site: &Site,
    store: &FileStore,
    guarded: &[&Guarded],
    output: &Output,
    findings: &mut Vec<Finding>,
) -> Result<(), CliError> {
    let now = UnixTime::now();
    let places: Vec<LoginContext> = guarded.iter().map(|guarded| guarded.login()).collect();
    let mut refused: Vec<Vec<String>> = places.iter().map(|_| Vec::new()).collect();
    let mut unusable = Vec::new();
    let names = if guarded.is_empty() { Vec::new() } else { Names::ask()?.answer(output)? };
    let mut progress = Progress::new("asking the policy", names.len(), output);
    for name in names {
        progress.step();
        let Some(account) = accounts::person(&name)? else { continue };
        let record = match store.read(&account).map_err(CoreError::from) {
            Ok(record) => record,
            Err(error) => {
                unusable.push(format!("{name}: {error}"));
                continue;
            }
        };
        for (place, refused) in places.iter().zip(&mut refused) {
            match explain::foresee(site, &account, record.as_ref(), place, now) {
                Ok(foreseen) if foreseen.outcome == Outcome::Refused && site.config.enforce => {
                    refused.push(name.clone());
                }
                Ok(_) => {}
                Err(error) => unusable.push(format!("{name}: {error}")),
            }
        }
    }
    progress.clear();
    for (guarded, names) in guarded.iter().zip(&refused) {
        if !names.is_empty() {
            let what =
                format!("{} will be refused: policy requires a second factor, and they have no device", some(names));
            let fix = "have them run otp-enroll first, or set the policy to `enroll`; to list all of them: \
                       otp-enroll admin list --without-device --service NAME";
            findings.push(Finding::warning(&guarded.name, what, fix));
        }
    }
    unusable.dedup();
    let fix = "to let a user set up again: otp-enroll admin reset USER";
    findings.extend(unusable.into_iter().map(|what| Finding::warning("records", what, fix)));
    Ok(())
}

fn some(names: &[String]) -> String {
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Whether the clock is synchronized. timedatectl asks the kernel, whichever program adjusts it.
fn clock() -> Option<Finding> {
    let said = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    let said = said.ok().filter(|output| output.status.success());
    match said.as_ref().map(|output| output.stdout.trim_ascii()) {
        Some(b"yes") => None,
        Some(_) => Some(Finding::warning(
            "clock",
            "it is not synchronized: if it is more than 30 s off, codes are refused".to_owned(),
            "run a time service such as systemd-timesyncd or chrony",
        )),
        None => Some(Finding::note(
            "clock",
            "could not tell whether it is synchronized: timedatectl gave no answer".to_owned(),
            "if it is more than 30 s off, codes are refused; compare it with: date -u",
        )),
    }
}
