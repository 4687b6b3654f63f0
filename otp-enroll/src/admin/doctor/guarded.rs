//! A service that asks for a code, as its PAM file has it.

use std::path::Path;

use otp_core::config::module_arguments::Arguments;
use otp_core::value::login_context::LoginContext;

use super::stack::Place;

/// A service whose `auth` group calls the module.
pub(super) struct Guarded {
    pub(super) name: String,
    /// The lines that call it, and what they say, as far as the module understands them.
    pub(super) lines: Vec<(Place, Arguments)>,
    /// A right code lets in without anything else.
    pub(super) by_code_alone: bool,
    /// Whoever policy asks for no code is let in without anything else.
    pub(super) by_nothing: bool,
}

impl Guarded {
    /// The first of its lines.
    pub(super) fn place(&self) -> String {
        self.lines.first().map_or_else(String::new, |(place, _)| place.to_string())
    }

    /// A login by it, from nowhere in particular.
    pub(super) fn login(&self) -> LoginContext {
        let nullok = self.lines.iter().any(|(_, said)| said.nullok);
        LoginContext { service: self.name.clone(), nullok, ..LoginContext::default() }
    }

    /// Whether one of its lines goes by this configuration.
    pub(super) fn goes_by(&self, path: &Path) -> bool {
        self.lines.iter().any(|(_, said)| said.config == path)
    }
}
