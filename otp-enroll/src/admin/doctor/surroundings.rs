//! What runs beside the module: a reader of the log, an sshd that has read its files, hosts that are root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::SystemTime;

use super::agent::NoHelp;
use super::finding::Finding;
use super::guarded::Guarded;
use super::sshd::{self, SERVICE};
use super::sshd_files;
use super::sshd_servers::{self, Server};

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
    if !drafts && guarded.iter().any(|guarded| guarded.name == SERVICE) {
        match sshd_servers::all().and_then(|servers| sshd_servers::to_come().map(|_| servers)) {
            Ok(servers) => findings.extend(servers.iter().filter_map(of_server)),
            Err(untold) => findings.push(Finding::warning(
                SERVICE,
                format!("{untold}, so that what it asks users cannot be told"),
                "start it without options, and set them in its configuration",
            )),
        }
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

/// Configuration files that were changed after a server has read them.
fn of_server(server: &Server) -> Option<Finding> {
    let file = Some(server.configuration.as_path());
    let settings = sshd::settings_with(file, &server.options, sshd::GENERIC_USER, sshd::GENERIC_ADDRESS).ok()?;
    let lines = sshd_files::read(file).unwrap_or_default();
    let files = lines.iter().map(|line| line.file.as_path()).chain(file);
    let read = server.read_at(&settings);
    let newer = outdated(read.or_else(|| server.began_at())?, files)?.display();
    let fix = if server.is_usual() {
        "sshd -t && systemctl reload ssh (or sshd)"
    } else {
        "have it read its configuration again"
    };
    Some(if read.is_some() {
        let sshd = if server.is_usual() { SERVICE.to_owned() } else { server.told() };
        let what = format!("{newer} was changed after {sshd} has read it: another configuration may be in force");
        Finding::warning(SERVICE, what, fix)
    } else {
        let what = format!(
            "{newer} was changed after {} was started, and it notes in no PidFile when it reads it: another configuration may \
             be in force",
            server.told()
        );
        Finding::note(SERVICE, what, fix)
    })
}

fn outdated<'a>(read: SystemTime, mut files: impl Iterator<Item = &'a Path>) -> Option<&'a Path> {
    let changed = |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    files.find(|file| changed(file).is_some_and(|time| time > read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::path::PathBuf;
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
        let config = folder.path().join("config");
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::create(&config).unwrap().set_modified(at(101)).unwrap();
        let files = || [folder.path().join("gone"), config.clone()];
        assert_eq!(outdated(at(101), files().iter().map(PathBuf::as_path)), None);
        assert_eq!(outdated(at(100), files().iter().map(PathBuf::as_path)), Some(config.as_path()));
    }
}
