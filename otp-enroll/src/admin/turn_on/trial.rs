//! A trial: a timer of systemd takes the change back, also if the session has ended and the machine was started again.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use otp_core::value::time::{Seconds, UnixTime};

use super::kept::folder_of;
use super::plan::spoken;
use super::reload::{SYSTEMD, run};
use super::replace;
use crate::error::CliError;

/// Where an administrator's units are.
const UNITS: &str = "/etc/systemd/system";
/// Where systemd notes when a timer ran last.
const STAMPS: &str = "/var/lib/systemd/timers";

/// A login from a second terminal takes a minute; a trial that goes on for longer than a week is none.
const SHORTEST: Seconds = Seconds(60);
const LONGEST: Seconds = Seconds(7 * 86_400);

/// The length that the command line names.
pub(super) fn length(text: &str) -> Result<Seconds, CliError> {
    Seconds::parse(text)
        .filter(|length| (SHORTEST..=LONGEST).contains(length))
        .ok_or_else(|| CliError::Usage(format!("--try {text}: write a duration of 1 minute to 7 days, like 5m")))
}

/// Whether a timer can end a trial here.
pub(super) fn is_possible(service: &str) -> Result<(), CliError> {
    if Path::new(SYSTEMD).is_dir() {
        return Ok(());
    }
    Err(CliError::Unchanged {
        error: "--try needs systemd, which does not run here: without it nothing would end the trial".into(),
        hint: format!(
            "nothing was changed; without --try, keep a session of root open, and end it by hand: otp-enroll admin turn-off {}",
            spoken(service)
        ),
    })
}

fn name(service: &str) -> String {
    format!("pam_otp-turn-off-{service}")
}

fn unit(service: &str, kind: &str) -> PathBuf {
    Path::new(UNITS).join(format!("{}.{kind}", name(service)))
}

/// What the timer starts.
fn service_unit(service: &str, program: &str) -> String {
    format!(
        "# Written by otp-enroll admin turn-on --try; it goes when the trial ends.\n\
         [Unit]\nDescription=End of the trial of a second factor for {service}\n\n\
         [Service]\nType=oneshot\nExecStart={program} admin turn-off {service} --yes\n"
    )
}

/// `Persistent`: a time that passes while the machine is off counts when it is on again. `OnUnitInactiveSec`: an end that
/// failed is tried again; one that succeeded leaves no timer.
fn timer_unit(service: &str, until: UnixTime) -> String {
    let at = until.to_string().replace('T', " ").replace('Z', " UTC");
    format!(
        "# Written by otp-enroll admin turn-on --try; it goes when the trial ends.\n\
         [Unit]\nDescription=Time of the end of the trial of a second factor for {service}\n\n\
         [Timer]\nOnCalendar={at}\nOnUnitInactiveSec=10min\nPersistent=true\nAccuracySec=1s\n\n\
         [Install]\nWantedBy=timers.target\n"
    )
}

/// Sets the timer. When this returns, it will end the trial.
pub(super) fn arm(service: &str, until: UnixTime) -> Result<(), CliError> {
    let failed = |program: &'static str| move |error| CliError::Tool { program, error };
    let program = env::current_exe().map_err(failed("otp-enroll"))?;
    let plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte));
    let program = program.to_str().filter(plain).ok_or_else(|| {
        failed("otp-enroll")(io::Error::other("its own path cannot be written into a unit of systemd"))
    })?;
    let staging = folder_of(service);
    for (kind, text) in [("service", service_unit(service, program)), ("timer", timer_unit(service, until))] {
        let path = unit(service, kind);
        let found = replace::read(&path).map_err(|odd| io::Error::other(format!("{} {odd}", path.display())));
        let written = found.and_then(|found| replace::put(&path, text.as_bytes(), found.as_deref(), &staging));
        written.map_err(failed("systemd"))?;
    }
    remove(&stamp(service)).map_err(failed("systemd"))?; // of an earlier trial
    // It has systemd read the units, too.
    let timer = format!("{}.timer", name(service));
    systemctl(&["--quiet", "enable", "--now", &timer])?;
    systemctl(&["--quiet", "is-active", &timer])
}

/// Removes the timer and what it starts. It may be this very process that it has started: that one is not stopped, and systemd
/// does not look for its unit again while it runs, since a service without one has failed.
pub(super) fn disarm(service: &str) -> Result<(), CliError> {
    let timer = format!("{}.timer", name(service));
    let wanted = Path::new(UNITS).join("timers.target.wants").join(&timer);
    let (timer_file, service_file) = (unit(service, "timer"), unit(service, "service"));
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    if ![&timer_file, &service_file, &wanted].into_iter().any(|path| is_there(path)) {
        return Ok(());
    }
    let has_systemd = Path::new(SYSTEMD).is_dir();
    let stopped =
        if has_systemd && is_there(&timer_file) { systemctl(&["--quiet", "disable", "--now", &timer]) } else { Ok(()) };
    for path in [&wanted, &timer_file, &service_file, &stamp(service)] {
        remove(path).map_err(|error| CliError::Tool { program: "systemd", error })?;
    }
    stopped
}

fn stamp(service: &str) -> PathBuf {
    Path::new(STAMPS).join(format!("stamp-{}.timer", name(service)))
}

fn remove(path: &Path) -> io::Result<()> {
    replace::or_gone(fs::remove_file(path))
}

fn systemctl(arguments: &[&str]) -> Result<(), CliError> {
    run(Command::new("systemctl").args(arguments), "systemctl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_lasts_from_a_minute_to_a_week() {
        assert_eq!(length("5m").unwrap(), Seconds(300));
        for text in ["59s", "8d", "5", "5 m", "", "-5m"] {
            assert_eq!(length(text).unwrap_err().exit_code(), 2, "{text}");
        }
    }

    #[test]
    fn the_timer_names_its_time_as_systemd_reads_it() {
        let text = timer_unit("sshd", UnixTime(1_795_847_721));
        for line in [
            "OnCalendar=2026-11-28 06:35:21 UTC",
            "Persistent=true",
            "OnUnitInactiveSec=10min",
            "WantedBy=timers.target",
        ] {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
        let text = service_unit("sudo", "/usr/bin/otp-enroll");
        assert!(text.contains("\nExecStart=/usr/bin/otp-enroll admin turn-off sudo --yes\n"), "{text}");
    }
}
