//! What would lock users out or let them in against policy: PAM files, sshd, configuration, records, clock.

mod agent;
mod barred;
mod batch;
mod conditions;
mod deferred;
mod enrollment;
pub(super) mod finding;
mod first_factor;
mod fleet;
mod future;
mod guarded;
mod key_alone;
pub(super) mod keyless;
mod misnamed;
mod module_kind;
mod one_field;
mod programs;
mod records;
mod refused;
mod ruled;
mod rules;
mod sandbox;
mod senders;
mod sending;
pub(super) mod service;
mod shell;
mod simulate;
pub(super) mod sshd;
pub(super) mod sshd_blocks;
pub(super) mod sshd_files;
mod sshd_others;
pub(super) mod sshd_servers;
pub(super) mod strangers;
mod strength;
mod sudo;
pub(super) mod sudoers;
mod surroundings;
mod units;
mod users;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use nix::unistd::User;
use otp_core::config::{Keeper, paths};
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use self::agent::Agent;
use self::finding::{Finding, Severity};
use self::guarded::Guarded;
use self::rules::Doubt;
use super::accounts::Shell;
use super::check;
use super::explain::PamFiles;
use super::list::LineOfService;
use super::turn_on::told;
use crate::cli::Common;
use crate::error::CliError;
use crate::pam::pam_conf::Group;
use crate::pam::stack::{Folders, MODULE, Stack};
use crate::ui::layout;
use crate::ui::output::Output;
use crate::ui::style;

/// Services with a second service for another form of the command, and that command.
pub(super) const TWINS: [(&str, &str, &str); 2] = [("sudo", "sudo-i", "sudo -i"), ("su", "su-l", "su -")];

/// What a service's PAM file says of logins through it.
pub(super) fn line_of(service: &str) -> LineOfService {
    let needs_shell = shell::is_needed(&Folders::new(None), service);
    LineOfService {
        offered: offers_enrollment(service),
        send: sends(service),
        shell: if needs_shell { Shell::Needed } else { Shell::NotNeeded },
    }
}

/// What a service's lines say of a login through it; `None` if it has no line of the module.
pub(super) fn login_through(service: &str) -> Option<LoginContext> {
    let guarded = service::look_at(&Folders::new(None), service, &mut Vec::new())?;
    (!guarded.lines.is_empty()).then(|| guarded.login())
}

/// What the least demanding service with a line of the module needs.
pub(super) fn least_shell() -> Shell {
    let folders = Folders::new(None);
    let needs_none = |service: &String| {
        !shell::is_needed(&folders, service) && service::look_at(&folders, service, &mut Vec::new()).is_some()
    };
    if folders.services().is_ok_and(|services| services.iter().any(needs_none)) {
        Shell::NotNeeded
    } else {
        Shell::Needed
    }
}

/// Whether each line of the service that calls the module offers enrollment; `None` if no file tells.
pub(super) fn offers_enrollment(service: &str) -> Option<bool> {
    let folders = Folders::new(None);
    let guarded = service::look_at(&folders, service, &mut Vec::new())?;
    (!guarded.lines.is_empty()).then(|| guarded.login().enroll)
}

/// Whether a line of the service may send codes.
pub(super) fn sends(service: &str) -> bool {
    login_through(service).is_some_and(|login| login.send)
}

/// Rules that probably match no login, and what to do about them.
pub(super) fn doubts(site: &Site) -> Vec<String> {
    let doubts = rules::doubts(site, &Folders::new(None)).into_iter();
    doubts.map(|Doubt { what, fix }| format!("{what}; {fix}")).collect()
}

/// What there is to say of a service without a PAM file.
pub(super) fn remark_on(service: &str) -> Option<String> {
    rules::remark_on(service, &Folders::new(None))
}

/// Whether logins through a service reach a line of the module. Without a file of its own, a service has that of `other`.
pub(super) fn has_line(service: &str) -> bool {
    let folders = Folders::new(None);
    let name = if folders.has(service) { service } else { "other" };
    match Stack::read(&folders, name, Group::Auth) {
        Ok(stack) => stack.lines_of(MODULE).next().is_some(),
        Err(_) => folders.text(name).contains(MODULE), // its logins are refused
    }
}

/// What the PAM files of a service say of logins through it.
pub(super) fn pam_files(service: &str) -> PamFiles {
    let (has_line, offered) = (has_line(service), offers_enrollment(service));
    PamFiles { has_line, offered, remark: remark_on(service) }
}

/// Why a service that is named has no login, as far as its files tell: no file, and another name was meant, or no line of the
/// module is in the file that stands for it.
pub(super) fn is_no_service(service: &str) -> Option<String> {
    let folders = Folders::new(None);
    let is_none = rules::service_meant(service, &folders).is_some() || !has_line(service);
    rules::remark_on(service, &folders).filter(|_| is_none)
}

/// The answer as JSON.
#[derive(Serialize)]
struct Diagnosis<'a> {
    /// Services that ask for a code.
    services: Vec<&'a str>,
    findings: Vec<Finding>,
}

/// Checks everything, and tells it. `pam` and `sshd_config` name files that are not in use yet.
pub(super) fn doctor(
    common: &Common,
    pam: Option<&Path>,
    sshd_config: Option<&Path>,
    output: &Output,
) -> Result<(), CliError> {
    if let Some(path) = sshd_config {
        // Else it is read only where a service asks for a code.
        File::open(path).map_err(|error| CliError::Unreadable { path: path.to_owned(), error })?;
    }
    let (services, findings) = examine(common, pam, sshd_config, output)?;
    tell(&services, findings, output)
}

/// The services that ask for a code, and what was found, the worst first.
pub(super) fn examine(
    common: &Common,
    pam: Option<&Path>,
    sshd_config: Option<&Path>,
    output: &Output,
) -> Result<(Vec<String>, Vec<Finding>), CliError> {
    let folders = Folders::new(pam);
    let mut findings = Vec::new();
    let services = folders
        .services()
        .map_err(|error| CliError::Unreadable { path: pam.unwrap_or(Path::new("/etc/pam.d")).to_owned(), error })?;
    let guarded: Vec<Guarded> =
        services.iter().filter_map(|name| service::look_at(&folders, name, &mut findings)).collect();
    services.iter().for_each(|name| misnamed::look_at(&folders, name, &mut findings));
    let agent = Site::load(Path::new(paths::CONFIG)).map_or_else(|_| Agent::of_another_site(), |site| Agent::of(&site));
    let about_others = |uid: u32, service: &str| {
        let name = User::from_uid(uid.into()).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
        agent.for_others(&name, service)
    };
    surroundings::look_at(&guarded, pam.is_some() || sshd_config.is_some(), about_others, &mut findings);
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
    if pam.is_none() && guarded.iter().any(|guarded| guarded.name == sudo::SERVICE) {
        sudo::look_at(&folders, &mut findings);
    }
    let asks = guarded.iter().find(|guarded| guarded.name == sshd::SERVICE).map(|guarded| {
        let by_network = has_network_rules(guarded);
        let password_line = first_factor::password_line(&folders);
        let has_others = sshd_others::may_be_there();
        let asks = sshd::look_at(guarded, sshd_config, &password_line, by_network, has_others, &mut findings);
        sshd_others::look_at(guarded, sshd_config, &password_line, &mut findings);
        asks
    });
    let (mut people, mut demanded) = (BTreeSet::new(), Vec::new());

    for guarded in &guarded {
        enrollment::check_offered(&folders, guarded, &mut findings);
        barred::look_at(&folders, guarded, &mut findings);
        conditions::look_at(&folders, guarded, &mut findings);
        deferred::look_at(&folders, guarded, &mut findings);
        sending::look_at(&folders, guarded, sshd_config, &mut findings);
        strangers::look_at(&folders, guarded, sshd_config, &mut findings);
    }
    let mut sites = vec![common.config()];
    sites.extend(guarded.iter().flat_map(|guarded| &guarded.lines).map(|(_, said)| said.config.as_path()));
    let units = if guarded.is_empty() { Vec::new() } else { units::all() };
    sites.sort_unstable();
    sites.dedup();
    for path in sites {
        let fix = "logins that need it are refused until it is fixed; pam_otp.toml(5) describes every key";
        let site = match Site::load(path) {
            Ok(site) => site,
            Err(_) => {
                let errors = Site::errors(path).1.into_iter();
                findings.extend(errors.map(|error| Finding::fault("configuration", error.to_string(), fix)));
                continue;
            }
        };
        let faults = check::faults_of(&site).into_iter();
        findings.extend(
            faults.map(|fault| Finding::fault("configuration", fault.what, fault.fix.as_deref().unwrap_or(fix))),
        );
        let doubts = rules::doubts(&site, &folders).into_iter();
        findings.extend(doubts.map(|Doubt { what, fix }| Finding::warning("configuration", what, &fix)));
        findings.extend(rules::group_before_root(&site));
        strength::look_at(&site.config, &mut findings);
        let here: Vec<&Guarded> = guarded.iter().filter(|guarded| guarded.uses(path)).collect();
        for guarded in &here {
            enrollment::check_unoffered(guarded, path, &site.config.settings.policy, &mut findings);
            one_field::look_at(&folders, guarded, path, &site.config.settings.policy, &mut findings);
        }
        let other = Agent::of_another_site();
        let agent = if site.path == Path::new(paths::CONFIG) { &agent } else { &other };
        agent.look_at(&mut findings);
        agent.look_at_seals(site.key_source().keeper().exists(), &mut findings);
        senders::look_at(&site, &here, agent, &mut findings);
        sandbox::look_at(&here, &units, &site, agent, &mut findings);
        if let Ok(store) = site.store() {
            let through_sshd = users::look_at(&site, &store, &folders, &here, output, &mut findings)?;
            let exempt = through_sshd.exempt;
            people.extend(through_sshd.people);
            demanded.extend(through_sshd.demanded);
            if let Some(guarded) = here.iter().find(|guarded| guarded.name == sshd::SERVICE) {
                batch::look_at(&site, &store, guarded, exempt, sshd_config, output, &mut findings);
            }
            records::look_at(&store, output, &mut findings)?;
            if site.config.authority == Keeper::Fleet && site.path == Path::new(paths::CONFIG) {
                fleet::look_at(&site, &store, output, &mut findings)?;
            }
        }
    }
    let never_asks = asks.as_ref().is_some_and(|asks| asks.nothing);
    if let Some(asks) = asks
        && let Some(settings) = sshd::SettingsOfLogins::of(sshd_config)
    {
        key_alone::look_at(&asks.without_code, &demanded, settings.clone(), &mut findings);
        keyless::look_at(&people, settings, output, &mut findings);
    }
    findings.extend(clock());
    if pam.is_none() && sshd_config.is_none() {
        let asking: Vec<&str> = guarded.iter().map(|guarded| guarded.name.as_str()).collect();
        findings.extend(told::findings(UnixTime::now(), &folders, &asking));
    }
    let names = guarded.into_iter().map(|guarded| guarded.name);
    let asking = names.filter(|name| !(never_asks && name == sshd::SERVICE)).collect();
    Ok((asking, in_order(findings)))
}

/// Whether rules with a network may decide about logins through a service.
fn has_network_rules(guarded: &Guarded) -> bool {
    let sites = guarded.lines.iter().filter_map(|(_, said)| Site::load(&said.config).ok());
    sites.into_iter().any(|site| site.config.settings.policy.has_network_rules(&guarded.name))
}

fn tell(services: &[String], findings: Vec<Finding>, output: &Output) -> Result<(), CliError> {
    let faults = findings.iter().filter(|finding| finding.severity == Severity::Fault).count();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let asked = match services.as_slice() {
        [] => "No service asks for a code.".to_owned(),
        services => format!("Services that ask for a code: {}", services.join(", ")),
    };
    let diagnosis = Diagnosis { services, findings };
    output.painted(&diagnosis, style::findings, || {
        let columns = terminal_size::terminal_size().map_or(usize::MAX, |(columns, _)| columns.0.into());
        let mut lines = vec![layout::wrap(&layout::escaped(&asked), columns).join("\n")];
        lines.extend(diagnosis.findings.iter().map(|finding| finding.text(columns)));
        if faults == 0 {
            let warnings = diagnosis.findings.iter().filter(|finding| finding.severity == Severity::Warning).count();
            lines.push(match warnings {
                0 => "No fault was found.".to_owned(),
                1 => "No fault was found. There is one warning.".to_owned(),
                _ => format!("No fault was found. There are {warnings} warnings."),
            });
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
            Some(told) => {
                let more = subjects.iter().filter(|subject| !told.subjects.contains(subject)).cloned();
                let more: Vec<String> = more.collect();
                told.subjects.extend(more);
            }
            None => told.push(finding),
        }
    }
    told.sort_by(|a, b| (a.severity, &a.subjects).cmp(&(b.severity, &b.subjects)));
    told
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
