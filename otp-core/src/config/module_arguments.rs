//! The arguments on the module's line in the PAM file. What is not known is an error: a typing mistake must not quietly
//! mean "as if it were not there".

use crate::config::paths;
use std::ffi::CStr;
use std::path::PathBuf;

/// What the line asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// `config=PATH`.
    pub config: PathBuf,
    /// `nullok`: on this line, a user without a device passes.
    pub nullok: bool,
    /// `debug`: say in the log what was asked and why.
    pub debug: bool,
    /// `try_first_pass`, `use_first_pass`: look for a code at the end of the password that a module before us asked for.
    pub first_pass: FirstPass,
    /// `forward_pass`: ask for password and code as one, and hand the password on to the modules after us.
    pub forward_pass: bool,
}

/// What to do with a password that a module before us asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPass {
    /// Leave it alone.
    Ignore,
    /// Look there first, and ask where there is no good code.
    Try,
    /// Look there and nowhere else.
    Use,
}

impl Arguments {
    /// The error is the argument that was not understood, or is not possible.
    pub fn parse(given: &[&CStr]) -> Result<Self, String> {
        let mut arguments = Self {
            config: PathBuf::from(paths::CONFIG),
            nullok: false,
            debug: false,
            first_pass: FirstPass::Ignore,
            forward_pass: false,
        };
        for argument in given {
            let argument = argument.to_str().map_err(|_| argument.to_string_lossy().into_owned())?;
            match argument.split_once('=') {
                None if argument == "nullok" => arguments.nullok = true,
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
    fn every_argument_is_understood_or_named_as_wrong() {
        let plain = Arguments {
            config: paths::CONFIG.into(),
            nullok: false,
            debug: false,
            first_pass: FirstPass::Ignore,
            forward_pass: false,
        };
        let parsed = Arguments::parse(&[c"nullok", c"debug", c"config=/etc/other.toml", c"forward_pass"]);
        let expected =
            Arguments { config: "/etc/other.toml".into(), nullok: true, debug: true, forward_pass: true, ..plain };
        assert_eq!(parsed, Ok(expected));
        assert_eq!(Arguments::parse(&[c"try_first_pass"]).unwrap().first_pass, FirstPass::Try);
        assert_eq!(Arguments::parse(&[c"use_first_pass"]).unwrap().first_pass, FirstPass::Use);
        assert_eq!(Arguments::parse(&[]).unwrap().first_pass, FirstPass::Ignore);
        for wrong in [c"nulok", c"nullok=yes", c"config", c"config=relative.toml", c"", c"use_first_pass=1", c"\xff"] {
            assert_eq!(Arguments::parse(&[c"debug", wrong]), Err(wrong.to_string_lossy().into_owned()));
        }
    }
}
