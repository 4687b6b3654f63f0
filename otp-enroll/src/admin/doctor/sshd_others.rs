//! Logins for which sshd has other settings: those of a Match block, and those through a server that was started with options
//! or with another configuration.

use std::path::Path;

use otp_core::system::accounts;
use otp_core::system::config_file::Site;
use otp_core::value::user::UserName;

use super::super::list;
use super::finding::{Finding, Severity, some};
use super::guarded::Guarded;
use super::sshd::{GENERIC_ADDRESS, GENERIC_USER, SERVICE, Settings, judge, settings, settings_for, settings_with};
use super::sshd_blocks::blocks;
use super::sshd_files;
use super::sshd_servers::{self, Server};

/// With several Match blocks, no more users than these are looked at: a process each.
const MOST_ASKED: usize = 200;

/// `configuration` is a draft of the usual one. `password_line` is the PAM line that would ask for a password.
pub(super) fn look_at(
    guarded: &Guarded,
    configuration: Option<&Path>,
    password_line: &str,
    findings: &mut Vec<Finding>,
) {
    // Without settings there is a finding already.
    if let Ok(generic) = settings(configuration) {
        look_at_blocks(guarded, configuration, &generic, password_line, findings);
        look_at_servers(guarded, configuration, password_line, findings);
    }
}

/// Checks each Match block for itself.
fn look_at_blocks(
    guarded: &Guarded,
    configuration: Option<&Path>,
    generic: &Settings,
    password_line: &str,
    findings: &mut Vec<Finding>,
) {
    let lines = match sshd_files::read(configuration) {
        Ok(lines) => lines,
        Err(unknown) => {
            let what = format!("its Match blocks could not be checked: {}", unknown.why());
            findings.push(Finding::warning(SERVICE, what, "see: sshd -T -dd"));
            return;
        }
    };
    let all = blocks(&lines, generic);
    let may_overlap = all.len() > 1;
    for block in all {
        let has_none = |user: &&str| has_no_record(guarded, user);
        let for_none = block.users().is_some_and(|users| users.iter().all(has_none));
        let of_block = |what: &str| format!("in the Match block {}: {what}", block.place);
        faults_of(guarded, &block.settings, password_line, of_block, for_none, findings);
    }
    if may_overlap {
        look_at_users(guarded, configuration, password_line, findings);
    }
}

/// Checks users with a device: several blocks may hold for one of them at once, and sshd tells what it makes of them.
fn look_at_users(guarded: &Guarded, configuration: Option<&Path>, password_line: &str, findings: &mut Vec<Finding>) {
    let mut users: Vec<String> = Vec::new();
    for (_, said) in &guarded.lines {
        let Some(store) = Site::load(&said.config).ok().and_then(|site| site.store().ok()) else { continue };
        let stems = store.stems(|| ()).unwrap_or_default();
        let with_record = stems.iter().filter_map(|stem| match list::read_of(&store, stem) {
            Ok((account, Some(_))) => Some(account.name.to_string()),
            Ok((_, None)) | Err(_) => None, // reported with the records
        });
        users.extend(with_record);
    }
    users.sort();
    users.dedup();
    let mut found: Vec<(Finding, Vec<String>)> = Vec::new();
    for user in users.into_iter().take(MOST_ASKED) {
        let Ok(settings) = settings_for(configuration, &user, GENERIC_ADDRESS) else { continue };
        let mut here = Vec::new();
        faults_of(guarded, &settings, password_line, str::to_owned, false, &mut here);
        // A fault that was found already; not a note about users without a device.
        let is_known = |fault: &Finding| {
            let mut faults = findings.iter().filter(|known| known.severity == Severity::Fault);
            faults.any(|known| known.what.ends_with(&fault.what))
        };
        for fault in here.into_iter().filter(|fault| !is_known(fault)) {
            match found.iter_mut().find(|(known, _)| known.what == fault.what) {
                Some((_, users)) => users.push(user.clone()),
                None => found.push((fault, vec![user.clone()])),
            }
        }
    }
    findings.extend(found.into_iter().map(|(fault, users)| {
        let what = format!("with all Match blocks that hold for {}: {}", some(&users), fault.what);
        Finding { what, ..fault }
    }));
}

/// Checks the servers that run with options of their own or another configuration, and ask the same PAM service.
fn look_at_servers(guarded: &Guarded, configuration: Option<&Path>, password_line: &str, findings: &mut Vec<Finding>) {
    // One that cannot be told is reported with what runs beside us.
    for server in sshd_servers::all().unwrap_or_default().into_iter().chain(sshd_servers::to_come().unwrap_or_default())
    {
        let file = if server.is_usual() { configuration } else { Some(server.configuration.as_path()) };
        if !is_of_its_own(&server) {
            continue;
        }
        let of_server = |what: &str| format!("{}, with {}: {what}", server.told(), server.started_with());
        match settings_with(file, &server.options, GENERIC_USER, GENERIC_ADDRESS) {
            // It asks no PAM, so that nothing changes for it.
            Ok(settings) if settings.get("usepam").is_none_or(|value| value == "no") => {}
            Ok(settings) => {
                faults_of(guarded, &settings, password_line, of_server, false, findings);
                let lines = sshd_files::read(file).unwrap_or_default();
                for block in blocks(&lines, &settings) {
                    let of_block = |what: &str| of_server(&format!("in the Match block {}: {what}", block.place));
                    faults_of(guarded, &block.settings, password_line, of_block, false, findings);
                }
            }
            Err(unknown) => findings.push(Finding::fault(
                SERVICE,
                of_server(&format!("its configuration could not be checked: {}", unknown.why())),
                "correct it, or end that process",
            )),
        }
    }
}

/// Whether a server has other settings than the usual configuration, or may have.
pub(super) fn may_be_there() -> bool {
    [sshd_servers::all(), sshd_servers::to_come()]
        .into_iter()
        .any(|servers| servers.map_or(true, |servers| servers.iter().any(is_of_its_own)))
}

fn is_of_its_own(server: &Server) -> bool {
    !server.is_usual() || !server.options.is_empty()
}

/// The faults of settings that hold for some logins, unless they hold for all. `for_none`: for users without a device.
fn faults_of(
    guarded: &Guarded,
    settings: &Settings,
    password_line: &str,
    told: impl Fn(&str) -> String,
    for_none: bool,
    findings: &mut Vec<Finding>,
) {
    let mut found = Vec::new();
    judge(guarded, settings, true, password_line, &mut found); // other logins have others
    for mut fault in found.into_iter().filter(|finding| finding.severity == Severity::Fault) {
        if findings.iter().any(|known| known.what == fault.what) {
            continue;
        }
        if for_none && !guarded.by_nothing {
            fault.severity = Severity::Note;
        }
        fault.what = told(&fault.what);
        findings.push(fault);
    }
}

/// Whether it is certain that this user has no record.
fn has_no_record(guarded: &Guarded, user: &str) -> bool {
    let Some(name) = UserName::parse(user) else { return false };
    guarded.lines.iter().all(|(_, said)| {
        let store = Site::load(&said.config).ok().and_then(|site| site.store().ok());
        let account = accounts::account(name.as_str()).ok().flatten();
        store.zip(account).is_some_and(|(store, account)| store.holds(&account).is_ok_and(|holds| !holds))
    })
}
