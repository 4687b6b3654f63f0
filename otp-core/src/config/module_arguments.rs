//! The module arguments on a PAM line. An unknown argument is an error: no typing mistake may be ignored quietly.

use std::ffi::CStr;
use std::path::PathBuf;

use crate::config::paths;

/// The arguments of one PAM line.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// `config=PATH`.
    pub config: PathBuf,
    /// `nullok`: through this line, a user without a device logs in without a code.
    pub nullok: bool,
    /// `enroll`: this service has the account and password lines that lead through an enrollment during the login.
    pub enroll: bool,
    /// `debug`: log what was demanded and why.
    pub debug: bool,
    /// `try_first_pass`, `use_first_pass`: look for a code at the end of the password that an earlier module asked for.
    pub first_pass: FirstPass,
    /// `forward_pass`: ask for password and code in one question, and pass the password to later modules.
    pub forward_pass: bool,
}

/// What to do with a password that an earlier module asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPass {
    /// Ignore it.
    Ignore,
    /// Look for a code in it; ask if it holds no right one.
    Try,
    /// Look for a code in it; never ask.
    Use,
}

impl Arguments {
    /// The error is the first argument that is unknown or has an invalid value.
    pub fn parse(given: &[&CStr]) -> Result<Self, String> {
        let mut arguments = Self {
            config: PathBuf::from(paths::CONFIG),
            nullok: false,
            enroll: false,
            debug: false,
            first_pass: FirstPass::Ignore,
            forward_pass: false,
        };
        for argument in given {
            let argument = argument.to_str().map_err(|_| argument.to_string_lossy().into_owned())?;
            match argument.split_once('=') {
                None if argument == "nullok" => arguments.nullok = true,
                None if argument == "enroll" => arguments.enroll = true,
                None if argument == "debug" => arguments.debug = true,
                None if argument == "try_first_pass" => arguments.first_pass = FirstPass::Try,
                None if argument == "use_first_pass" => arguments.first_pass = FirstPass::Use,
                None if argument == "forward_pass" => arguments.forward_pass = true,
                Some(("config", path)) if path.starts_with('/') => arguments.config = PathBuf::from(path),
                None | Some(_) => return Err(argument.to_owned()),
            }
        }
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_is_parsed_or_named_in_the_error() {
        let plain = Arguments {
            config: paths::CONFIG.into(),
            nullok: false,
            enroll: false,
            debug: false,
            first_pass: FirstPass::Ignore,
            forward_pass: false,
        };
        let parsed = Arguments::parse(&[c"nullok", c"debug", c"config=/etc/other.toml", c"forward_pass"]);
        let expected =
            Arguments { config: "/etc/other.toml".into(), nullok: true, debug: true, forward_pass: true, ..plain };
        assert_eq!(parsed, Ok(expected));
        assert!(Arguments::parse(&[c"enroll"]).unwrap().enroll);
        assert_eq!(Arguments::parse(&[c"try_first_pass"]).unwrap().first_pass, FirstPass::Try);
        assert_eq!(Arguments::parse(&[c"use_first_pass"]).unwrap().first_pass, FirstPass::Use);
        assert_eq!(Arguments::parse(&[]).unwrap().first_pass, FirstPass::Ignore);
        for wrong in [
            c"nulok",
            c"nullok=yes",
            c"enroll=yes",
            c"enrol",
            c"config",
            c"config=relative.toml",
            c"",
            c"use_first_pass=1",
            c"\xff",
        ] {
            assert_eq!(Arguments::parse(&[c"debug", wrong]), Err(wrong.to_string_lossy().into_owned()));
        }
    }
}
