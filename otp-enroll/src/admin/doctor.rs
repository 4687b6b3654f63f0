//! Who would be locked out, and who let in against policy, before anybody tries: PAM files, sshd, configuration, clock.

mod module_kind;
mod pam_conf;
mod service;
mod simulate;
mod sshd;
mod stack;

use std::path::Path;
use std::process::Command;

use otp_core::error::Error;
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use self::service::Guarded;
use self::stack::Folders;
use super::accounts::Names;
use super::check;
use super::explain::{self, Outcome};
use crate::cli::Common;
use crate::error::Problem;
use crate::ui::layout;
use crate::ui::output::Voice;
use crate::ui::progress::Progress;

/// Names that are given; more are counted.
const NAMED: usize = 5;

/// Services that are another one's twin, and the command that goes by the twin.
const TWINS: [(&str, &str, &str); 2] = [("sudo", "sudo-i", "sudo -i"), ("su", "su-l", "su -")];

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    /// Somebody is locked out, or let in against policy, by mistake.
    Fault,
    /// Somebody may be, unless it is meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// What was found, and how to mend it.
#[derive(Debug, Serialize)]
struct Finding {
    severity: Severity,
    /// Services, or `configuration`, `records`, `clock`.
    subjects: Vec<String>,
    what: String,
    mend: String,
}

/// What `admin doctor` answers to a script.
#[derive(Serialize)]
struct Diagnosis<'a> {
    /// Services that ask for a code.
    services: Vec<&'a str>,
    findings: Vec<Finding>,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Finding {
    fn new(severity: Severity, subject: &str, what: String, mend: &str) -> Self {
        Self { severity, subjects: vec![subject.to_owned()], what, mend: mend.to_owned() }
    }

    fn fault(subject: &str, what: String, mend: &str) -> Self {
        Self::new(Severity::Fault, subject, what, mend)
    }

    fn warning(subject: &str, what: String, mend: &str) -> Self {
        Self::new(Severity::Warning, subject, what, mend)
    }

    fn note(subject: &str, what: String, mend: &str) -> Self {
        Self::new(Severity::Note, subject, what, mend)
    }

    fn text(&self, columns: usize) -> String {
        let told = format!("{}: {}", self.subjects.join(", "), self.what);
        let lines = |text: &str, indent: usize| {
            layout::wrap(text, columns.saturating_sub(indent)).join(&format!("\n{:indent$}", ""))
        };
        format!("{:<8} {}\n{:9}-> {}", self.severity.name(), lines(&told, 9), "", lines(&self.mend, 12))
    }
}

/// Looks at all of it. The PAM files and sshd's configuration may be others than those in force: those that will be.
pub(super) fn doctor(
    common: &Common,
    pam: Option<&Path>,
    sshd_config: Option<&Path>,
    voice: &Voice,
) -> Result<(), Problem> {
    let folders = Folders::new(pam);
    let mut findings = Vec::new();
    let services = folders
        .services()
        .map_err(|error| Problem::Unreadable(pam.unwrap_or(Path::new("/etc/pam.d")).to_owned(), error))?;
    let guarded: Vec<Guarded> =
        services.iter().filter_map(|name| service::look_at(&folders, name, &mut findings)).collect();
    for (name, twin, command) in TWINS {
        let is_guarded = |name: &str| guarded.iter().any(|guarded| guarded.name == name);
        if is_guarded(name) && services.contains(twin) && !is_guarded(twin) {
            findings.push(Finding::warning(
                name,
                format!("`{command}` goes by the service {twin}, which asks for no code"),
                &format!("write the same lines into the file {twin}"),
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
        let mend = "logins that need it are refused until then; pam_otp.toml(5) has every key";
        let site = match Site::load(path) {
            Ok(site) => site,
            Err(error) => {
                findings.push(Finding::fault("configuration", error.to_string(), mend));
                continue;
            }
        };
        findings.extend(check::faults_of(&site).into_iter().map(|what| Finding::fault("configuration", what, mend)));
        let here: Vec<&Guarded> = guarded.iter().filter(|guarded| guarded.goes_by(path)).collect();
        for guarded in &here {
            service::look_at_set_up(&folders, guarded, &site.config.policy, &mut findings);
        }
        if let Ok(store) = site.store() {
            refused(&site, &store, &here, voice, &mut findings)?;
        }
    }
    findings.extend(clock());
    tell(&guarded, findings, voice)
}

fn tell(guarded: &[Guarded], findings: Vec<Finding>, voice: &Voice) -> Result<(), Problem> {
    let findings = in_order(findings);
    let faults = findings.iter().filter(|finding| finding.severity == Severity::Fault).count();
    let services: Vec<&str> = guarded.iter().map(|guarded| guarded.name.as_str()).collect();
    let asked = match services.as_slice() {
        [] => "No service asks for a code.".to_owned(),
        services => format!("A code is asked for by: {}", services.join(", ")),
    };
    let diagnosis = Diagnosis { services, findings };
    voice.result(&diagnosis, || {
        let columns = terminal_size::terminal_size().map_or(usize::MAX, |(columns, _)| columns.0.into());
        let mut lines = layout::wrap(&asked, columns);
        lines.extend(diagnosis.findings.iter().map(|finding| finding.text(columns)));
        if faults == 0 {
            lines.push("No fault was found.".to_owned());
        }
        lines.join("\n")
    })?;
    if faults == 0 { Ok(()) } else { Err(Problem::Faults(faults)) }
}

/// The worst first, and what is wrong with several services once: they may include the same line.
fn in_order(findings: Vec<Finding>) -> Vec<Finding> {
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        let Finding { severity, what, mend, subjects } = &finding;
        let same = told.iter_mut().find(|told| (told.severity, &told.what, &told.mend) == (*severity, what, mend));
        match same {
            Some(told) => told.subjects.extend(subjects.iter().cloned()),
            None => told.push(finding),
        }
    }
    told.sort_by(|a, b| (a.severity, &a.subjects).cmp(&(b.severity, &b.subjects)));
    told
}

/// Who can log in and is refused by policy, service by service, and whose record cannot be used.
fn refused(
    site: &Site,
    store: &FileStore,
    guarded: &[&Guarded],
    voice: &Voice,
    findings: &mut Vec<Finding>,
) -> Result<(), Problem> {
    let now = UnixTime::now();
    let places: Vec<LoginContext> = guarded.iter().map(|guarded| guarded.login()).collect();
    let mut refused: Vec<Vec<String>> = places.iter().map(|_| Vec::new()).collect();
    let mut unusable = Vec::new();
    let names = if guarded.is_empty() { Vec::new() } else { Names::ask()?.answer(voice)? };
    let mut progress = Progress::new("asking the policy", names.len(), voice);
    for name in names {
        progress.step();
        let Some(account) = super::accounts::person(&name)? else { continue };
        let record = match store.read(&account).map_err(Error::from) {
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
                format!("{} can log in and will be refused: they have no device, and policy wants one", some(names));
            let mend = "have them run otp-enroll first, or let policy say `enroll`; otp-enroll admin list \
                        --without-device --service NAME lists all of them";
            findings.push(Finding::warning(&guarded.name, what, mend));
        }
    }
    unusable.dedup();
    let mend = "otp-enroll admin reset USER lets them set up anew";
    findings.extend(unusable.into_iter().map(|what| Finding::warning("records", what, mend)));
    Ok(())
}

fn some(names: &[String]) -> String {
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Whether the clock is kept right. timedatectl asks the kernel, whichever program keeps it.
fn clock() -> Option<Finding> {
    let said = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    let said = said.ok().filter(|output| output.status.success());
    match said.as_ref().map(|output| output.stdout.trim_ascii()) {
        Some(b"yes") => None,
        Some(_) => Some(Finding::warning(
            "clock",
            "nothing keeps it right: when it is off by more than a step, codes are refused".to_owned(),
            "run a time service, such as systemd-timesyncd or chrony",
        )),
        None => Some(Finding::note(
            "clock",
            "it is not known whether anything keeps it right: timedatectl gives no answer".to_owned(),
            "compare it with a watch: codes of a clock that is off by more than a step are refused",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let text = "one two three four five six seven eight nine ten eleven twelve ".repeat(3);
        let finding = Finding::fault("sshd", text.clone(), &text);
        for columns in 30..100 {
            let told = finding.text(columns);
            assert!(told.lines().all(|line| line.chars().count() <= columns), "{columns}\n{told}");
        }
    }
}
