//! A user with a phone at a site of their own, and what a login there says and logs.

use crate::{
    conversation::{Talk, Transcript},
    phone::Phone,
    service::Service,
    site::Site,
    syslog,
    users::TestUser,
};
use std::{path::Path, process::Command};

/// What pam_unix asks for.
pub const PASSWORD: &str = "Password: ";
/// What asks for a code, where the configuration says nothing else.
pub const CODE: &str = "Verification code: ";
/// What asks for both as one, likewise.
pub const BOTH: &str = "Password and verification code: ";
/// What a person sees when it is not their fault.
pub const UNAVAILABLE: &str = "Verification is not possible now. The reason is in the system log.";

/// A user with a phone, at a site of their own, before a service that asks for nothing but a code.
#[derive(Debug)]
pub struct Desk {
    /// Who logs in.
    pub user: TestUser,
    /// Where.
    pub site: Site,
    /// The module alone.
    pub service: Service,
    /// With what.
    pub phone: Phone,
}

impl Desk {
    /// At a site with these tables in its configuration, as for [`Site::new`].
    ///
    /// # Panics
    /// Outside the machine.
    pub fn new(config: &str) -> Desk {
        let (user, site) = (TestUser::new("alice"), Site::new(config));
        let service = Service::private(&site.auth("required", ""));
        let phone = Phone::enroll(&site, &user.name);
        Desk { user, site, service, phone }
    }

    /// A login of this user.
    pub fn talk(&self) -> Talk {
        Talk::new(&self.service, &self.user.name)
    }

    /// A fresh code.
    ///
    /// # Panics
    /// When oathtool fails.
    pub fn next(&self) -> String {
        self.phone.next_code()
    }

    /// What `otp-enroll admin show --json` says of this user.
    ///
    /// # Panics
    /// When it fails.
    pub fn status(&self) -> String {
        self.site.admin(&["show", "--json", &self.user.name])
    }

    /// Another phone for the same user; the old one's codes are wrong from now on.
    ///
    /// # Panics
    /// When otp-enroll does not do it.
    pub fn renew(&self) -> Phone {
        self.site.admin(&["disable", "--yes", &self.user.name]);
        Phone::enroll(&self.site, &self.user.name)
    }
}

/// A transcript with what the module logged meanwhile.
///
/// # Panics
/// When something is written to standard error, where a module has no business.
pub fn logged(talk: &Talk, answers: &[&str]) -> (Transcript, Vec<String>) {
    let mark = syslog::mark();
    let said = talk.run(answers);
    assert!(said.noise.is_empty(), "{said}");
    let log = syslog::of_module(mark, said.pid);
    (said, log)
}

/// A login by a process for which `script` has changed the mounts or the privileges: `$1` is this state directory, and what is
/// left after it runs the host.
pub fn confined(talk: &Talk, script: &str, state: &Path, answer: &str) -> (Transcript, Vec<String>) {
    let (mark, host) = (syslog::mark(), talk.command());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script, "sh"]).arg(state).arg(host.get_program()).args(host.get_args());
    let mut conversation = talk.start_as(command);
    conversation.answer(answer);
    let said = conversation.finish();
    let log = syslog::of_module(mark, said.pid);
    (said, log)
}

/// The module gives no answer, asks nothing, and says why in one line of the log.
///
/// # Panics
/// When it is otherwise.
pub fn cannot_be_asked(talk: &Talk, result: &str, log: &str) {
    let (said, lines) = logged(talk, &["000000"]);
    assert_eq!(said.result("authenticate"), result, "{said}\n{lines:#?}");
    assert_eq!((said.prompts().len(), said.texts()), (0, vec![UNAVAILABLE]), "{said}");
    assert_eq!(lines, [log], "{said}");
}
