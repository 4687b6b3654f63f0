//! Services of systemd whose sandbox keeps the module from its files: every right code is refused there.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::User as Account;
use otp_core::config::paths;
use otp_core::system::config_file::Site;

use super::agent::{Agent, NoHelp};
use super::finding::Finding;
use super::guarded::Guarded;
use super::units::{Unit, is_yes};

/// PAM services whose unit has another name, and its program too.
const UNITS: [(&str, &[&str]); 22] = [
    ("cockpit", &["cockpit-session@", "cockpit-session"]),
    ("crond", &["cron", "crond"]),
    ("freeradius", &["freeradius", "radiusd"]),
    ("gdm-autologin", &["gdm", "gdm3"]),
    ("gdm-fingerprint", &["gdm", "gdm3"]),
    ("gdm-password", &["gdm", "gdm3"]),
    ("gdm-smartcard", &["gdm", "gdm3"]),
    ("httpd", &["apache2", "httpd"]),
    ("imap", &["dovecot", "cyrus-imapd", "courier-imap"]),
    ("login", &["getty@", "serial-getty@", "console-getty", "container-getty@"]),
    ("lmtp", &["dovecot", "cyrus-imapd"]),
    ("managesieve", &["dovecot"]),
    ("openvpn", &["openvpn", "openvpn@", "openvpn-server@"]),
    ("polkit-1", &["polkit-agent-helper@"]),
    ("pop3", &["dovecot", "cyrus-imapd", "courier-pop"]),
    ("postgresql", &["postgresql", "postgresql@"]),
    ("radiusd", &["freeradius", "radiusd"]),
    ("samba", &["smbd", "smb", "samba", "samba-ad-dc"]),
    ("sieve", &["dovecot", "cyrus-imapd"]),
    ("smtp", &["saslauthd", "postfix", "postfix@"]),
    ("smtpd", &["saslauthd", "postfix", "postfix@"]),
    ("sshd", &["ssh", "ssh@", "sshd", "sshd@"]),
];

/// Settings that imply `NoNewPrivileges=yes` in a service that is not root: they need a seccomp filter (systemd.exec(5)).
const IMPLY_NO_NEW_PRIVILEGES: [&str; 16] = [
    "DynamicUser",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "PrivateDevices",
    "ProtectClock",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "SystemCallLog",
];

/// Lets root open files of others.
const OPENS_FILES_OF_OTHERS: &str = "CAP_DAC_OVERRIDE";

/// Checks the units of services whose lines use this configuration.
pub(super) fn look_at(guarded: &[&Guarded], units: &[Unit], site: &Site, agent: &Agent, findings: &mut Vec<Finding>) {
    for guarded in guarded {
        for unit in units.iter().filter(|unit| asks_pam_as(unit, &guarded.name)) {
            let backing = Backing::of(unit, &guarded.name, agent);
            findings.extend(judge(&guarded.name, unit, &site.path, &site.config.state_directory, &backing));
        }
    }
}

/// Whether a unit's program asks PAM under this name: by the table, by its own name, or by that of its program.
fn asks_pam_as(unit: &Unit, service: &str) -> bool {
    if let Some((_, stems)) = UNITS.iter().find(|(name, _)| *name == service) {
        return stems.contains(&unit.stem());
    }
    let program = |line: &str| {
        let path = line.trim_start_matches(['@', '-', ':', '+', '!', '|']).split_whitespace().next()?;
        Some(path.rsplit('/').next()?.to_owned())
    };
    unit.stem().trim_end_matches('@') == service
        || unit.values("ExecStart").into_iter().filter_map(program).any(|program| program == service)
}

/// Whether the agent does for a service what the service cannot do itself.
struct Backing {
    /// For a program of root that cannot open or write the records.
    root: Result<(), NoHelp>,
    /// For one with an account of its own, about other users.
    others: Result<(), NoHelp>,
}

impl Backing {
    fn of(unit: &Unit, service: &str, agent: &Agent) -> Self {
        let reached = reaches_agent(unit);
        let others = account_of(unit).map_or(Ok(()), |user| agent.for_others(&user, service));
        Self { root: reached.clone().and(agent.for_root()), others: reached.and(others) }
    }
}

/// Whether a unit's sandbox leaves its program the agent's socket.
fn reaches_agent(unit: &Unit) -> Result<(), NoHelp> {
    let name = &unit.name;
    // The socket is seen where its folder is.
    if let Access::Hidden(setting) = access(unit, Path::new(paths::AGENT)) {
        let why = format!("{setting} hides the agent's socket {}", paths::AGENT);
        return Err(NoHelp { why, fix: format!("take that path out of the setting: systemctl edit --full {name}") });
    }
    if !may_make_unix_sockets(unit) {
        let why = "RestrictAddressFamilies lacks AF_UNIX, so that it cannot ask the agent".to_owned();
        let fix = format!("systemctl edit {name}, and below [Service]: RestrictAddressFamilies=AF_UNIX");
        return Err(NoHelp { why, fix });
    }
    Ok(())
}

/// What `RestrictAddressFamilies` leaves: a list allows, one that begins with `~` takes away, an empty one allows all.
fn may_make_unix_sockets(unit: &Unit) -> bool {
    let (mut holds, mut is_first) = (true, true);
    for value in unit.assigned("RestrictAddressFamilies") {
        let (takes_away, list) = value.strip_prefix('~').map_or((false, value), |list| (true, list));
        let is_named = list.split_whitespace().any(|family| family == "AF_UNIX" || family == "AF_LOCAL");
        match takes_away {
            _ if value.is_empty() => holds = true,
            true => holds &= !is_named,
            false if is_first => holds = is_named,
            false => holds |= is_named,
        }
        is_first = value.is_empty();
    }
    holds
}

/// The name of the account that a unit runs as, if it is not root (systemd.exec(5)).
fn account_of(unit: &Unit) -> Option<String> {
    match (user_of(unit), unit.value("User").unwrap_or_default()) {
        (User::Root, _) => None,
        (User::Other(_), "") => Some(unit.stem().to_owned()), // DynamicUser=
        (User::Other(_), user) => {
            let by_number = user.parse().ok().and_then(|uid: u32| Account::from_uid(uid.into()).ok().flatten());
            Some(by_number.map_or_else(|| user.to_owned(), |account| account.name))
        }
    }
}

/// Access of a service to a path, and the setting that decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    Hidden(String),
    ReadOnly(String),
    Full,
}

fn judge(service: &str, unit: &Unit, config: &Path, state_directory: &Path, backing: &Backing) -> Vec<Finding> {
    let name = &unit.name;
    let drop_in = |line: &str| format!("systemctl edit {name}, and below [Service]: {line}");
    let or_drop_in = |NoHelp { fix, .. }: &NoHelp, line: &str| format!("{fix}. Or: {}", drop_in(line));
    let mut findings = Vec::new();
    // What the agent makes good is no fault, and ends with the agent.
    let mut backed: Option<String> = None;
    let mut fault = |what: String, fix: &str| findings.push(Finding::fault(service, format!("{name}: {what}"), fix));
    match (user_of(unit), &backing.others) {
        (User::Root, _) => {}
        (User::Other(user), Ok(())) => backed = Some(user),
        (User::Other(user), Err(NoHelp { why, fix })) => {
            let held = match no_new_privileges(unit) {
                Some(setting) => format!(", {setting} keeps the helper from its group"),
                None => String::new(),
            };
            fault(
                format!(
                    "{user}, so it is not root: the helper answers it about its own user only{held}, and {why}: logins of all \
                     others are refused"
                ),
                &format!(
                    "{fix}: see otp-agent(8). Or let a service that runs as root ask PAM; this one may run as root, too, if its \
                     program allows that (FreeRADIUS: User=root here, and user = root in radiusd.conf)"
                ),
            );
        }
    }
    if let Some(setting) = private_users(unit) {
        fault(
            format!("{setting} shows it the files of users as another's: their logins are refused"),
            &drop_in("PrivateUsers=no"),
        );
    }
    if !may_open_files_of_others(unit) {
        let setting = format!("CapabilityBoundingSet lacks {OPENS_FILES_OF_OTHERS}");
        match &backing.root {
            Ok(()) => backed = Some(setting),
            Err(no_help) => fault(
                format!("{setting}: it cannot open records, and {}: logins are refused", no_help.why),
                &or_drop_in(no_help, &format!("CapabilityBoundingSet={OPENS_FILES_OF_OTHERS}")),
            ),
        }
    }
    let mut hidden = None;
    for (path, what) in [(config, "the configuration"), (state_directory, "the records")] {
        match access(unit, path) {
            Access::Hidden(setting) if hidden.as_ref() != Some(&setting) => {
                fault(
                    format!("{setting} hides {what}, {}: every login that needs them is refused", path.display()),
                    &format!("take that path out of the setting: systemctl edit --full {name}"),
                );
                hidden = Some(setting);
            }
            Access::ReadOnly(setting) if path == state_directory => match &backing.root {
                Ok(()) => backed = Some(setting),
                Err(no_help) => fault(
                    format!(
                        "{setting} makes {} read-only for it, and {}: every right code is refused",
                        path.display(),
                        no_help.why
                    ),
                    &or_drop_in(no_help, &format!("ReadWritePaths=-{}", path.display())),
                ),
            },
            Access::Hidden(_) | Access::ReadOnly(_) | Access::Full => {}
        }
    }
    findings.extend(backed.map(|setting| {
        let what = format!("{name}: {setting}, so it needs the agent, which answers it");
        Finding::note(service, what, "keep otp-agent.socket enabled")
    }));
    findings
}

/// Who runs a unit's program.
enum User {
    Root,
    /// The setting that says so.
    Other(String),
}

fn user_of(unit: &Unit) -> User {
    match unit.value("User").unwrap_or_default() {
        _ if unit.is_on("DynamicUser") => User::Other("DynamicUser=yes".into()),
        "" | "root" | "0" => User::Root,
        user => User::Other(format!("User={user}")),
    }
}

/// The setting by which programs of a unit that is not root gain no privileges.
fn no_new_privileges(unit: &Unit) -> Option<String> {
    if unit.is_on("NoNewPrivileges") {
        return Some("NoNewPrivileges=yes".into());
    }
    let is_set = |key: &&str| {
        let value = unit.value(key).unwrap_or_default();
        !value.is_empty() && !["0", "no", "n", "false", "f", "off"].iter().any(|no| value.eq_ignore_ascii_case(no))
    };
    IMPLY_NO_NEW_PRIVILEGES.iter().find(|key| is_set(key)).map(|key| format!("{key}= (which implies NoNewPrivileges)"))
}

fn private_users(unit: &Unit) -> Option<String> {
    let value = unit.value("PrivateUsers")?;
    // `identity` and `full` keep the numbers of users.
    (is_yes(value) || value == "self").then(|| format!("PrivateUsers={value}"))
}

/// Whether the bounding set leaves root the right to open files of others; lists that begin with `~` take away.
fn may_open_files_of_others(unit: &Unit) -> bool {
    let mut holds = true;
    let mut is_first = true;
    for value in unit.assigned("CapabilityBoundingSet") {
        let (takes_away, list) = value.strip_prefix('~').map_or((false, value), |list| (true, list));
        let names = list.split_whitespace().any(|name| name.eq_ignore_ascii_case(OPENS_FILES_OF_OTHERS));
        match (takes_away, value.is_empty()) {
            (_, true) => holds = false,
            (true, _) if list.is_empty() => holds = true, // the full set again
            (true, _) => holds &= !names,
            (false, _) if is_first => holds = names,
            (false, _) => holds |= names,
        }
        is_first = false;
    }
    holds
}

/// What a unit may do with a path: the setting for the innermost folder around it decides, the stricter one of two.
fn access(unit: &Unit, path: &Path) -> Access {
    // A setting may name a folder by a symbolic link, and so may the configuration.
    let names: Vec<PathBuf> = fs::canonicalize(path).into_iter().chain([path.to_owned()]).collect();
    let depth_around = |folder: &str| -> Option<usize> {
        let real = fs::canonicalize(folder);
        let around = real.into_iter().chain([PathBuf::from(folder)]);
        let depths = around.filter(|folder| names.iter().any(|path| path.starts_with(folder)));
        depths.map(|folder| folder.components().count()).max()
    };
    let mut rules: Vec<(usize, Access)> = Vec::new();
    let mut add = |folder: &str, access: Access| rules.extend(depth_around(folder).map(|depth| (depth, access)));
    for (folder, access) in assumed(unit) {
        add(folder, access);
    }
    for key in ["InaccessiblePaths", "InaccessibleDirectories"] {
        for folder in unit.values(key).into_iter().flat_map(str::split_whitespace).map(bare) {
            if depth_around(folder).is_some() {
                return Access::Hidden(format!("{key}={folder}")); // nothing can be mounted below it
            }
        }
    }
    for key in ["ReadOnlyPaths", "ReadOnlyDirectories"] {
        for folder in unit.values(key).into_iter().flat_map(str::split_whitespace).map(bare) {
            add(folder, Access::ReadOnly(format!("{key}={folder}")));
        }
    }
    for value in unit.values("TemporaryFileSystem") {
        for entry in value.split_whitespace() {
            let folder = bare(entry.split(':').next().unwrap_or_default());
            add(folder, Access::Hidden(format!("TemporaryFileSystem={folder}")));
        }
    }
    for key in ["ReadWritePaths", "ReadWriteDirectories"] {
        for folder in unit.values(key).into_iter().flat_map(str::split_whitespace) {
            add(bare(folder), Access::Full);
        }
    }
    // A path that is not there cannot be made writable: only a mount brings it back into an empty folder.
    let is_hidden = |rules: &[(usize, Access)]| rules.iter().any(|(_, access)| matches!(access, Access::Hidden(_)));
    let mut mounted: Vec<(usize, Access)> = Vec::new();
    let mut mount = |folder: &str, access: Access| mounted.extend(depth_around(folder).map(|depth| (depth, access)));
    for (key, read_only) in [("BindPaths", false), ("BindReadOnlyPaths", true)] {
        for entry in unit.values(key).into_iter().flat_map(str::split_whitespace) {
            let mut parts = bare(entry).split(':');
            let source = parts.next().unwrap_or_default();
            let folder = parts.next().filter(|target| !target.is_empty()).unwrap_or(source);
            mount(folder, if read_only { Access::ReadOnly(format!("{key}={entry}")) } else { Access::Full });
        }
    }
    for folder in unit.values("StateDirectory").into_iter().flat_map(str::split_whitespace) {
        let folder = folder.split(':').next().unwrap_or_default();
        mount(&format!("/var/lib/{folder}"), Access::Full);
    }
    if is_hidden(&rules) {
        rules.retain(|(_, access)| !matches!(access, Access::Full));
    }
    rules.extend(mounted);
    let innermost = rules.iter().map(|(depth, _)| *depth).max();
    let deciding = rules.into_iter().filter(|(depth, _)| Some(*depth) == innermost).map(|(_, access)| access);
    deciding.min().unwrap_or(Access::Full)
}

/// What `ProtectSystem`, `ProtectHome` and `DynamicUser` say of folders.
fn assumed(unit: &Unit) -> Vec<(&'static str, Access)> {
    const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
    let mut rules = Vec::new();
    let is_dynamic = unit.is_on("DynamicUser");
    let (system, said) = match unit.value("ProtectSystem").unwrap_or_default() {
        _ if is_dynamic => ("strict", "DynamicUser=yes".to_owned()),
        value => (value, format!("ProtectSystem={value}")),
    };
    let read_only: &[&str] = match system {
        "strict" => &["/"],
        "full" => &["/usr", "/boot", "/efi", "/etc"],
        value if is_yes(value) => &["/usr", "/boot", "/efi"],
        _ => &[],
    };
    rules.extend(read_only.iter().map(|folder| (*folder, Access::ReadOnly(said.clone()))));
    if system == "strict" {
        rules.extend(HOMES.iter().chain(&["/dev", "/proc", "/sys"]).map(|folder| (*folder, Access::Full)));
    }
    let home = unit.value("ProtectHome").unwrap_or_default();
    let said = format!("ProtectHome={home}");
    let access = match home {
        "read-only" => Some(Access::ReadOnly(said)),
        value if value == "tmpfs" || is_yes(value) => Some(Access::Hidden(said)),
        _ if is_dynamic => Some(Access::ReadOnly("DynamicUser=yes".to_owned())),
        _ => None,
    };
    rules.extend(access.into_iter().flat_map(|access| HOMES.map(|folder| (folder, access.clone()))));
    rules
}

/// A path of a list without the marks before it: a missing one is no error, it is below the service's own root.
fn bare(path: &str) -> &str {
    path.trim_matches('"').trim_start_matches(['-', '+'])
}

#[cfg(test)]
mod tests {
    use otp_core::config::agent_hosts::AgentHost;
    use otp_core::config::budget::Budget;
    use otp_core::value::time::Seconds;

    use super::super::agent::State;
    use super::*;

    const RECORDS: &str = "/var/lib/pam_otp";

    /// What is found in a unit of root with these lines, without what it says after the first colon.
    fn found(service: &str, name: &str, lines: &str) -> Vec<String> {
        found_at(RECORDS, service, name, lines)
    }

    fn found_at(records: &str, service: &str, name: &str, lines: &str) -> Vec<String> {
        let unit = Unit::parse(name, &format!("[Service]\n{lines}\n"));
        if !asks_pam_as(&unit, service) {
            return vec!["not of that service".into()];
        }
        let config = Path::new("/etc/pam_otp/pam_otp.toml");
        let backing = Backing::of(&unit, service, &Agent::with(State::Off, vec![]));
        let findings = judge(service, &unit, config, Path::new(records), &backing);
        assert!(findings.iter().all(|finding| finding.severity.name() == "fault" && !finding.fix.is_empty()));
        let short = |what: &str| what.trim_start_matches(name).trim_start_matches(": ").to_owned();
        findings.iter().map(|finding| short(&finding.what)).collect()
    }

    #[test]
    fn which_unit_asks_pam_under_which_name() {
        for (service, unit, exec, belongs) in [
            ("sshd", "ssh.service", "/usr/sbin/sshd -D", true),
            ("sshd", "ssh@.service", "-/usr/sbin/sshd -i", true),
            ("sshd", "sshd-keygen.service", "/usr/bin/ssh-keygen", false),
            ("polkit-1", "polkit-agent-helper@.service", "/usr/lib/polkit-1/polkit-agent-helper-1", true),
            ("polkit-1", "polkit.service", "/usr/lib/polkit-1/polkitd", false),
            ("login", "getty@tty1.service", "-/sbin/agetty", true),
            ("vsftpd", "ftp.service", "!/usr/sbin/vsftpd /etc/vsftpd.conf", true),
            ("xrdp-sesman", "xrdp-sesman.service", "/usr/sbin/xrdp-sesman", true),
            ("dovecot", "dovecot.service", "/usr/sbin/dovecot -F", true),
            ("imap", "dovecot.service", "/usr/sbin/dovecot -F", true),
            ("openvpn", "openvpn-server@.service", "/usr/sbin/openvpn", true),
            ("openvpn", "openvpn-client@.service", "/usr/sbin/openvpn", false),
            ("cups", "ssh.service", "/usr/sbin/sshd -D", false),
        ] {
            let is_found = found(service, unit, &format!("ExecStart={exec}")) != ["not of that service"];
            assert_eq!(is_found, belongs, "{service} {unit}");
        }
    }

    #[test]
    fn polkits_own_unit_refuses_every_right_code_and_ours_mends_it() {
        let own = "ProtectSystem=strict\nProtectHome=yes\nNoNewPrivileges=yes\nPrivateDevices=yes\nPrivateTmp=yes\n\
                   SystemCallFilter=@system-service\nRestrictSUIDSGID=yes\nRestrictNamespaces=yes";
        let name = "polkit-agent-helper@.service";
        let strict = "ProtectSystem=strict makes /var/lib/pam_otp read-only for it, and no agent is enabled: every right code is refused";
        assert_eq!(found("polkit-1", name, own), [strict]);
        let ours = include_str!("../../../../config/systemd/polkit-agent-helper@.service.d/pam_otp.conf");
        assert!(found("polkit-1", name, &format!("{own}\n{ours}")).is_empty());
        // Where the records are elsewhere, it does not help.
        let elsewhere = found_at("/srv/otp", "polkit-1", name, &format!("{own}\n{ours}"));
        assert_eq!(
            elsewhere,
            [
                "ProtectSystem=strict makes /srv/otp read-only for it, and no agent is enabled: every right code is refused"
            ]
        );
    }

    #[test]
    fn folders_that_are_read_only_or_hidden_are_faults() {
        let read_only = |setting: &str| {
            format!("{setting} makes {RECORDS} read-only for it, and no agent is enabled: every right code is refused")
        };
        let hides =
            |setting: &str| format!("{setting} hides the records, {RECORDS}: every login that needs them is refused");
        let configuration = |setting: &str| {
            format!(
                "{setting} hides the configuration, /etc/pam_otp/pam_otp.toml: every login that needs them is refused"
            )
        };
        for (lines, expected) in [
            ("", vec![]),
            ("ProtectSystem=full", vec![]),
            ("ProtectSystem=yes\nProtectHome=yes\nPrivateTmp=yes\nNoNewPrivileges=yes", vec![]),
            ("ProtectSystem=no", vec![]),
            ("ProtectSystem=strict", vec![read_only("ProtectSystem=strict")]),
            ("ProtectSystem=strict\nReadWritePaths=/var/lib", vec![]),
            ("ProtectSystem=strict\nReadWritePaths=/var/log -/var/lib/pam_otp", vec![]),
            (
                "ProtectSystem=strict\nReadWritePaths=/var/lib/pam_otp\nReadWritePaths=",
                vec![read_only("ProtectSystem=strict")],
            ),
            ("ProtectSystem=strict\nReadWritePaths=/var/lib/pam", vec![read_only("ProtectSystem=strict")]),
            ("ProtectSystem=strict\nStateDirectory=other pam_otp", vec![]),
            ("ReadOnlyPaths=/", vec![read_only("ReadOnlyPaths=/")]),
            ("ReadOnlyDirectories=-/var", vec![read_only("ReadOnlyDirectories=/var")]),
            ("ReadOnlyPaths=/var\nReadWritePaths=/var/lib", vec![]),
            ("ReadOnlyPaths=/var/lib/pam_otp\nReadWritePaths=/var", vec![read_only("ReadOnlyPaths=/var/lib/pam_otp")]),
            ("ReadOnlyPaths=/var\nReadWritePaths=/var", vec![read_only("ReadOnlyPaths=/var")]),
            ("ReadOnlyPaths=/etc", vec![]),
            ("InaccessiblePaths=/var/lib", vec![hides("InaccessiblePaths=/var/lib")]),
            ("InaccessiblePaths=/var\nReadWritePaths=/var/lib/pam_otp", vec![hides("InaccessiblePaths=/var")]),
            ("InaccessiblePaths=/etc/pam_otp", vec![configuration("InaccessiblePaths=/etc/pam_otp")]),
            ("TemporaryFileSystem=/var:ro", vec![hides("TemporaryFileSystem=/var")]),
            ("TemporaryFileSystem=/var\nReadWritePaths=/var/lib/pam_otp", vec![hides("TemporaryFileSystem=/var")]),
            ("TemporaryFileSystem=/var\nBindPaths=/var/lib/pam_otp", vec![]),
            (
                "TemporaryFileSystem=/var\nBindReadOnlyPaths=/var/lib/pam_otp",
                vec![read_only("BindReadOnlyPaths=/var/lib/pam_otp")],
            ),
        ] {
            assert_eq!(found("vpn", "vpn.service", lines), expected, "{lines}");
        }
        for (lines, expected) in [
            ("ProtectHome=yes", "ProtectHome=yes hides the records, /home/otp: every login that needs them is refused"),
            (
                "ProtectHome=tmpfs",
                "ProtectHome=tmpfs hides the records, /home/otp: every login that needs them is refused",
            ),
            (
                "ProtectHome=read-only",
                "ProtectHome=read-only makes /home/otp read-only for it, and no agent is enabled: every right code is refused",
            ),
        ] {
            assert_eq!(found_at("/home/otp", "vpn", "vpn.service", lines), [expected]);
        }
        assert!(found_at("/home/otp", "vpn", "vpn.service", "ProtectSystem=strict").is_empty(), "homes are apart");
    }

    #[test]
    fn who_a_service_is_decides_too() {
        let not_root = |user: &str, held: &str| {
            format!(
                "so it is not root: the helper answers it about its own user only{held}, and no agent is enabled, and {user} is \
                 not named in [[agent.host]]: logins of all others are refused"
            )
        };
        for (lines, expected) in [
            ("User=root", vec![]),
            ("User=freerad", vec![format!("User=freerad, {}", not_root("freerad", ""))]),
            ("User=freerad\nUser=", vec![]),
            // root by its number, and another account.
            ("User=0", vec![]),
            ("User=1", vec![format!("User=1, {}", not_root("daemon", ""))]),
            (
                "User=freerad\nNoNewPrivileges=yes",
                vec![format!(
                    "User=freerad, {}",
                    not_root("freerad", ", NoNewPrivileges=yes keeps the helper from its group")
                )],
            ),
            (
                "User=freerad\nPrivateDevices=yes",
                vec![format!(
                    "User=freerad, {}",
                    not_root(
                        "freerad",
                        ", PrivateDevices= (which implies NoNewPrivileges) keeps the helper from its group"
                    )
                )],
            ),
            (
                "DynamicUser=yes\nReadWritePaths=/var/lib/pam_otp",
                vec![format!(
                    "DynamicUser=yes, {}",
                    not_root("vpn", ", DynamicUser= (which implies NoNewPrivileges) keeps the helper from its group")
                )],
            ),
            (
                "PrivateUsers=yes",
                vec!["PrivateUsers=yes shows it the files of users as another's: their logins are refused".into()],
            ),
            ("PrivateUsers=identity", vec![]),
            ("NoNewPrivileges=yes\nSystemCallFilter=@system-service", vec![]),
        ] {
            assert_eq!(found("vpn", "vpn.service", lines), expected, "{lines}");
        }
        let strict = &found("vpn", "vpn.service", "DynamicUser=yes")[1];
        assert_eq!(
            strict,
            "DynamicUser=yes makes /var/lib/pam_otp read-only for it, and no agent is enabled: every right code is refused"
        );
    }

    #[test]
    fn root_needs_the_capability_that_opens_files_of_others() {
        for (lines, may) in [
            ("", true),
            ("CapabilityBoundingSet=CAP_SETUID CAP_DAC_OVERRIDE", true),
            ("CapabilityBoundingSet=CAP_SETUID", false),
            ("CapabilityBoundingSet=CAP_SETUID\nCapabilityBoundingSet=CAP_DAC_OVERRIDE", true),
            ("CapabilityBoundingSet=", false),
            ("CapabilityBoundingSet=\nCapabilityBoundingSet=cap_dac_override", true),
            ("CapabilityBoundingSet=~CAP_SYS_ADMIN", true),
            ("CapabilityBoundingSet=~CAP_SYS_ADMIN CAP_DAC_OVERRIDE", false),
            ("CapabilityBoundingSet=CAP_SETUID\nCapabilityBoundingSet=~", true),
        ] {
            assert_eq!(found("vpn", "vpn.service", lines).is_empty(), may, "{lines}");
        }
    }
    #[test]
    fn what_the_agent_makes_good_is_a_note_and_what_keeps_a_service_from_it_is_said() {
        let host = AgentHost {
            user: "freerad".into(),
            services: vec!["radiusd".into()],
            groups: vec![],
            users: vec![],
            wrong: Budget { most: 20, within: Seconds(600) },
            line: 7,
        };
        let agent = Agent::with(State::Answers, vec![host]);
        // FreeRADIUS as Debian ships it.
        let radius = "User=freerad\nGroup=freerad\nNoNewPrivileges=true\nPrivateTmp=true\nProtectKernelModules=true\n\
                      SystemCallArchitectures=native\nReadOnlyDirectories=/etc/freeradius/";
        for (service, unit, lines, severity, expected) in [
            ("radiusd", "freeradius.service", radius, "note", "User=freerad, so it needs the agent, which answers it"),
            (
                "polkit-1",
                "polkit-agent-helper@.service",
                "ProtectSystem=strict\nRestrictAddressFamilies=AF_UNIX",
                "note",
                "ProtectSystem=strict, so it needs the agent, which answers it",
            ),
            (
                "vpn",
                "vpn.service",
                "CapabilityBoundingSet=CAP_SETUID",
                "note",
                "CapabilityBoundingSet lacks CAP_DAC_OVERRIDE, so it needs the agent, which answers it",
            ),
            (
                "vpn",
                "vpn.service",
                "User=freerad",
                "fault",
                "User=freerad, so it is not root: the helper answers it about its own user only, and [[agent.host]] of freerad \
                 does not name the service vpn: logins of all others are refused",
            ),
            (
                "radiusd",
                "freeradius.service",
                "User=freerad\nInaccessiblePaths=/run",
                "fault",
                "User=freerad, so it is not root: the helper answers it about its own user only, and InaccessiblePaths=/run \
                 hides the agent's socket /run/pam_otp/agent: logins of all others are refused",
            ),
            (
                "vpn",
                "vpn.service",
                "ProtectSystem=strict\nRestrictAddressFamilies=AF_INET AF_INET6",
                "fault",
                "ProtectSystem=strict makes /var/lib/pam_otp read-only for it, and RestrictAddressFamilies lacks AF_UNIX, so \
                 that it cannot ask the agent: every right code is refused",
            ),
        ] {
            let parsed = Unit::parse(unit, &format!("[Service]\n{lines}\n"));
            let backing = Backing::of(&parsed, service, &agent);
            let found = judge(service, &parsed, Path::new("/etc/pam_otp/pam_otp.toml"), Path::new(RECORDS), &backing);
            let found: Vec<_> = found.iter().map(|finding| (finding.severity.name(), finding.what.clone())).collect();
            assert_eq!(found, [(severity, format!("{unit}: {expected}"))]);
        }
    }

    #[test]
    fn which_address_families_leave_the_agents_socket() {
        for (lines, may) in [
            ("", true),
            ("RestrictAddressFamilies=AF_UNIX AF_INET", true),
            ("RestrictAddressFamilies=AF_INET", false),
            ("RestrictAddressFamilies=none", false),
            ("RestrictAddressFamilies=AF_INET\nRestrictAddressFamilies=AF_UNIX", true),
            ("RestrictAddressFamilies=AF_INET\nRestrictAddressFamilies=", true),
            ("RestrictAddressFamilies=AF_INET\nRestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX", true),
            ("RestrictAddressFamilies=~AF_PACKET", true),
            ("RestrictAddressFamilies=~AF_UNIX", false),
            ("RestrictAddressFamilies=AF_UNIX\nRestrictAddressFamilies=~AF_UNIX", false),
        ] {
            assert_eq!(
                may_make_unix_sockets(&Unit::parse("x.service", &format!("[Service]\n{lines}"))),
                may,
                "{lines}"
            );
        }
    }
}
