//! A service whose PAM file calls the module.

use std::path::Path;

use otp_core::config::module_arguments::{Arguments, Part};
use otp_core::value::login_context::LoginContext;

use crate::pam::stack::Place;

pub(super) struct Guarded {
    pub(super) name: String,
    /// The lines that call the module, and their arguments; without lines whose arguments it rejects.
    pub(super) lines: Vec<(Place, Arguments)>,
    /// A correct code is enough to get in.
    pub(super) by_code_alone: bool,
    /// Users who need no code get in without any check.
    pub(super) by_nothing: bool,
}

impl Guarded {
    /// The first of its lines.
    pub(super) fn place(&self) -> String {
        self.lines.first().map_or_else(String::new, |(place, _)| place.to_string())
    }

    /// A login through it, without address and terminal.
    pub(super) fn login(&self) -> LoginContext {
        let nullok = self.asking().any(|(_, said)| said.nullok);
        // A login may reach each of the lines.
        let enroll = self.asking().all(|(_, said)| said.enroll);
        let send = self.asking().any(|(_, said)| said.send);
        LoginContext { service: self.name.clone(), nullok, enroll, send, ..LoginContext::default() }
    }

    /// The lines that ask: policy is not asked again at a line with `deferred`.
    pub(super) fn asking(&self) -> impl Iterator<Item = &(Place, Arguments)> {
        self.lines.iter().filter(|(_, said)| said.part != Part::Deferred)
    }

    /// Whether one of its lines uses this configuration.
    pub(super) fn uses(&self, path: &Path) -> bool {
        self.lines.iter().any(|(_, said)| said.config == path)
    }
}
