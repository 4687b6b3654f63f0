//! Checks what a line with `send` needs: a program that sends, the agent that asks for it, the sender that runs it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use otp_core::config::paths;
use otp_core::config::senders::Senders;
use otp_core::system::config_file::Site;

use super::agent::{Agent, NoHelp};
use super::finding::Finding;
use super::guarded::Guarded;
use crate::pam::stack::Place;

/// `here` are the services that use this configuration.
pub(super) fn look_at(site: &Site, here: &[&Guarded], agent: &Agent, findings: &mut Vec<Finding>) {
    // An error in the tables is reported with those of the configuration.
    let Ok(senders) = site.senders() else { return };
    let lines = here.iter().flat_map(|guarded| guarded.asking().map(|line| (guarded.name.as_str(), line)));
    let lines = lines.filter(|(_, (_, said))| said.send && said.config == site.path);
    let lines: Vec<(&str, &Place)> = lines.map(|(service, (place, _))| (service, place)).collect();
    let Some(tables) = tables(&senders) else {
        for (service, place) in lines {
            let what = format!("{place}: the argument send has no effect: no program is named that sends messages");
            let fix = format!("set [sms] send or [email] send in {}, or remove the argument", site.path.display());
            findings.push(Finding::note(service, what, &fix));
        }
        return;
    };
    if lines.is_empty() {
        findings.push(Finding::note(
            "configuration",
            format!("{tables} names a program, and no line of the services above has the argument send: no codes are sent there"),
            "if this is not intended, add send to a line of pam_otp.so that is reached only after a right password or key",
        ));
        return;
    }
    for (table, sender) in [("[sms]", &senders.sms), ("[email]", &senders.email)] {
        let Some(program) = sender.as_ref().and_then(|sender| sender.send.first()) else { continue };
        if let Some(why) = unusable(Path::new(program)) {
            let what = format!("{table} send: the program {program} {why}: nothing can be sent");
            findings.push(Finding::fault("configuration", what, "install it, mode 0755, or name another one"));
        }
    }
    let missing = agent.for_root().and_then(|()| sender(UnixStream::connect(paths::SENDER).map(drop)));
    let Err(NoHelp { why, fix }) = missing else { return };
    for (service, place) in lines {
        let what = format!(
            "{place}: no code can be sent, because {why}: users with no other device or recovery code are refused"
        );
        findings.push(Finding::fault(service, what, &fix));
    }
}

/// What keeps the sender, which has no right of root, from starting a program, as far as the file itself says.
fn unusable(program: &Path) -> Option<&'static str> {
    match fs::metadata(program) {
        Err(_) => Some("is not there"),
        Ok(file) if !file.is_file() => Some("is no file"),
        // It may be in the group of the file.
        Ok(file) if file.mode() & 0o011 == 0 => Some("may be run by its owner alone"),
        Ok(_) => None,
    }
}

/// The tables that name a program.
fn tables(senders: &Senders) -> Option<&'static str> {
    match (&senders.sms, &senders.email) {
        (None, None) => None,
        (Some(_), None) => Some("[sms]"),
        (None, Some(_)) => Some("[email]"),
        (Some(_), Some(_)) => Some("[sms] or [email]"),
    }
}

/// Whether the sender listens. It drops a connection that says nothing.
fn sender(connected: io::Result<()>) -> Result<(), NoHelp> {
    let no_help = |why: &str, fix: &str| Err(NoHelp { why: why.to_owned(), fix: fix.to_owned() });
    match connected {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            no_help("no sender is enabled", "systemctl enable --now otp-sender.socket (package otp-agent)")
        }
        Err(_) => no_help(
            &format!("the sender's socket {} is there, and no program listens", Path::new(paths::SENDER).display()),
            "systemctl restart otp-sender.socket; if it happens again, see: journalctl -u otp-sender",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::fs::PermissionsExt;

    use otp_core::config::module_arguments::Arguments;

    use super::super::agent::State;
    use super::*;

    /// `severity subject: what` of a service `vpn` whose line has these arguments.
    fn found(config: &str, arguments: &[&str], state: State) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pam_otp.toml");
        fs::write(&path, config).unwrap();
        let site = Site::load(&path).unwrap();
        let config = format!("config={}", path.display());
        let ours = [&[config.as_str()], arguments].concat();
        let ours: Vec<CString> = ours.iter().map(|word| CString::new(*word).unwrap()).collect();
        let said = Arguments::parse(&ours.iter().map(CString::as_c_str).collect::<Vec<_>>()).unwrap();
        let lines = vec![(Place { file: "/etc/pam.d/vpn".into(), line: 2 }, said)];
        let guarded = Guarded { name: "vpn".into(), lines, by_code_alone: false, by_nothing: false };
        let mut findings = Vec::new();
        look_at(&site, &[&guarded], &Agent::with(state, vec![]), &mut findings);
        let told =
            |finding: &Finding| format!("{} {}: {}", finding.severity.name(), finding.subjects.join(","), finding.what);
        findings.iter().map(told).collect()
    }

    const SMS: &str = "[sms]\nsend = [\"/bin/true\"]\n";
    const EMAIL: &str = "[email]\nsend = [\"/bin/cat\", \"-i\", \"--\"]\n";

    #[test]
    fn a_line_that_sends_and_nothing_to_send_with_are_told_of_each_other() {
        let none =
            ["note vpn: /etc/pam.d/vpn:2: the argument send has no effect: no program is named that sends messages"];
        for config in ["enforce = true\n", "[sms]\nlimit = \"5/15m\"\n[email]\nhour = 7\n"] {
            assert_eq!(found(config, &["send"], State::Answers), none);
            assert_eq!(found(config, &[], State::Off), [""; 0]);
        }
        for (config, tables) in
            [(SMS.to_owned(), "[sms]"), (EMAIL.to_owned(), "[email]"), (format!("{SMS}{EMAIL}"), "[sms] or [email]")]
        {
            let told = found(&config, &["debug"], State::Off);
            let unused = format!(
                "note configuration: {tables} names a program, and no line of the services above has the argument send: no \
                 codes are sent there"
            );
            assert_eq!(told, [unused]);
        }
    }

    #[test]
    fn a_line_that_sends_needs_the_agent_and_the_sender() {
        let because = |why: &str| {
            let told = format!("fault vpn: /etc/pam.d/vpn:2: no code can be sent, because {why}");
            [format!("{told}: users with no other device or recovery code are refused")]
        };
        for config in [SMS, EMAIL] {
            assert_eq!(found(config, &["send"], State::Off), because("no agent is enabled"));
            let another = format!("the agent reads {} and no other configuration", paths::CONFIG);
            assert_eq!(found(config, &["send"], State::ReadsAnother), because(&another));
            assert_eq!(found(config, &["send", "try_first_pass"], State::Silent).len(), 1);
            assert_eq!(found(config, &["send"], State::Answers), because("no sender is enabled"));
        }
        assert_eq!(sender(Ok(())), Ok(()));
        let stale = sender(Err(ErrorKind::ConnectionRefused.into())).unwrap_err();
        assert!(stale.why.ends_with("/sender is there, and no program listens") && stale.fix.contains("restart"));
    }

    #[test]
    fn a_program_that_cannot_be_started_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("sms");
        let told = |why: &str| {
            let config = format!("[sms]\nsend = [\"{}\"]\n", program.display());
            let expected = format!(
                "fault configuration: [sms] send: the program {} {why}: nothing can be sent",
                program.display()
            );
            found(&config, &["send"], State::Off).contains(&expected)
        };
        assert!(told("is not there"));
        fs::write(&program, "#!/bin/sh\n").unwrap();
        for (mode, why) in [(0o700, "may be run by its owner alone"), (0o644, "may be run by its owner alone")] {
            fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
            assert!(told(why), "{mode:o}");
        }
        fs::set_permissions(&program, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(!told("may be run by its owner alone"));
        fs::remove_file(&program).unwrap();
        fs::create_dir(&program).unwrap();
        assert!(told("is no file"));
    }

    #[test]
    fn an_error_in_the_tables_is_the_configurations() {
        assert_eq!(found("[sms]\nsend = [\"sms\"]\n", &["send"], State::Off), [""; 0]);
    }
}
