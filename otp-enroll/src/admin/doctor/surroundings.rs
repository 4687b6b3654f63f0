//! What runs beside the module: a reader of the log, an sshd that has read its files, hosts that are root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::agent::NoHelp;
use super::finding::Finding;
use super::guarded::Guarded;

/// Written by sshd whenever it reads its configuration.
const SSHD_PID: &str = "/run/sshd.pid";

const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";
const SSHD_CONFIGS: &str = "/etc/ssh/sshd_config.d";

/// A PAM service whose program asks about other users and often gives up root.
struct Host {
    service: &'static str,
    programs: &'static [&'static str],
    /// Each of its processes asks PAM itself; of others, one that stays root may.
    asks: bool,
}

const HOSTS: [Host; 6] = [
    Host { service: "radiusd", programs: &["radiusd", "freeradius"], asks: true },
    Host { service: "freeradius", programs: &["radiusd", "freeradius"], asks: true },
    Host { service: "apache2", programs: &["apache2"], asks: false },
    Host { service: "httpd", programs: &["httpd"], asks: false },
    Host { service: "nginx", programs: &["nginx"], asks: false },
    Host { service: "openvpn", programs: &["openvpn"], asks: false },
];

/// `drafts`: files that are not in force are checked, so what runs has not read them.
pub(super) fn look_at(
    guarded: &[Guarded],
    drafts: bool,
    agent: impl Fn(u32, &str) -> Result<(), NoHelp>,
    findings: &mut Vec<Finding>,
) {
    if guarded.is_empty() {
        return;
    }
    findings.extend(log(Path::new("/dev/log")));
    for host in &HOSTS {
        if guarded.iter().any(|guarded| guarded.name == host.service) {
            findings.extend(not_root(host, Path::new("/proc"), &agent));
        }
    }
    if !drafts && guarded.iter().any(|guarded| guarded.name == super::sshd::SERVICE) {
        let more = fs::read_dir(SSHD_CONFIGS).into_iter().flatten().flatten().map(|entry| entry.path());
        let files: Vec<PathBuf> = more.chain([SSHD_CONFIG.into()]).collect();
        findings.extend(outdated(Path::new(SSHD_PID), &files));
    }
}

fn log(socket: &Path) -> Option<Finding> {
    let is_read = UnixDatagram::unbound().and_then(|sender| sender.connect(socket)).is_ok();
    (!is_read).then(|| {
        let what = format!("no program reads {}: refusals and errors leave no trace", socket.display());
        Finding::warning("log", what, "run systemd-journald or rsyslog")
    })
}

/// A program of the service that runs, not as root, and that the agent does not answer.
fn not_root(host: &Host, processes: &Path, agent: impl Fn(u32, &str) -> Result<(), NoHelp>) -> Option<Finding> {
    let Host { service, programs, asks } = host;
    let mut all = fs::read_dir(processes).into_iter().flatten().flatten().map(|entry| entry.path());
    let (program, uid) = all.find_map(|process| {
        let name = fs::read_to_string(process.join("comm")).ok()?.trim_end().to_owned();
        let uid = fs::metadata(&process).ok()?.uid();
        (uid != 0 && programs.contains(&name.as_str())).then_some((name, uid))
    })?;
    let NoHelp { why, fix } = agent(uid, service).err()?;
    let refused = format!("the helper answers it about that user only, and {why}: logins of all others are refused");
    Some(if *asks {
        let what = format!("{program} runs as uid {uid}, not as root: {refused}");
        Finding::fault(service, what, &format!("{fix}. Or run it as root (FreeRADIUS: user = root in radiusd.conf)"))
    } else {
        let what = format!("{program} runs as uid {uid}, not as root: if that process asks PAM, {refused}");
        Finding::warning(service, what, &format!("if it does: {fix}. Or let a process of root ask PAM"))
    })
}

/// Configuration files that were changed after the process that notes its number there has read them.
fn outdated(pid: &Path, files: &[PathBuf]) -> Option<Finding> {
    let changed = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    let read = changed(pid)?;
    let newer = files.iter().find(|file| changed(file).is_some_and(|time| time > read))?;
    let what = format!("{} was changed after sshd has read it: another configuration may be in force", newer.display());
    Some(Finding::warning(super::sshd::SERVICE, what, "sshd -t && systemctl reload ssh (or sshd)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    #[test]
    fn a_log_that_no_program_reads_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("log");
        assert!(log(&socket).unwrap().what.contains("no program reads"));
        let reader = UnixDatagram::bind(&socket).unwrap();
        assert!(log(&socket).is_none());
        drop(reader);
        assert!(log(&socket).is_some(), "the socket is left, and its reader is gone");
    }

    #[test]
    fn a_host_that_is_not_root_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let process = folder.path().join("17");
        fs::create_dir(&process).unwrap();
        fs::write(process.join("comm"), "freeradius\n").unwrap();
        let off = || Err(NoHelp { why: "no agent is enabled".into(), fix: "enable it".into() });
        let found =
            |programs, asks| not_root(&Host { service: "radiusd", programs, asks }, folder.path(), |_, _| off());
        assert!(found(&["freeradius"], true).is_none(), "root");
        std::os::unix::fs::chown(&process, Some(117), None).unwrap();
        for (asks, severity) in [(true, "fault"), (false, "warning")] {
            let found = found(&["freeradius"], asks).unwrap();
            assert!(
                found.what.contains("and no agent is enabled") && found.fix.contains("enable it. Or "),
                "{found:?}"
            );
            assert!(found.what.starts_with("freeradius runs as uid 117"), "{found:?}");
            assert_eq!((found.severity.name(), found.what.contains("if that process asks PAM")), (severity, !asks));
        }
        assert!(found(&["radiusd"], true).is_none(), "another program");
        let radiusd = Host { service: "radiusd", programs: &["freeradius"], asks: true };
        let answered = |uid: u32, service: &str| {
            assert_eq!((uid, service), (117, "radiusd"));
            Ok(())
        };
        assert!(not_root(&radiusd, folder.path(), answered).is_none(), "the agent answers it");
    }

    #[test]
    fn a_file_that_was_changed_after_it_was_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (pid, config) = (folder.path().join("pid"), folder.path().join("config"));
        let at = |path: &Path, time| {
            File::create(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time)).unwrap();
        };
        at(&config, 50);
        assert!(outdated(&pid, std::slice::from_ref(&config)).is_none(), "sshd does not run");
        at(&pid, 100);
        assert!(outdated(&pid, std::slice::from_ref(&config)).is_none());
        at(&config, 101);
        assert!(outdated(&pid, &[config]).unwrap().what.contains("was changed after sshd has read it"));
    }
}
