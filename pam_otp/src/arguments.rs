//! The arguments on the module's line in the PAM file. What is not known is an error: a typing mistake must not quietly
//! mean "as if it were not there".

use std::ffi::CStr;
use std::path::PathBuf;

use otp_core::site;

/// What the line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// `config=PATH`.
    pub(crate) config: PathBuf,
    /// `nullok`: on this line, a user without a device passes.
    pub(crate) nullok: bool,
    /// `debug`: say in the log what was asked and why.
    pub(crate) debug: bool,
}

impl Arguments {
    /// The error is the argument that was not understood, or is not possible.
    pub(crate) fn parse(given: &[&CStr]) -> Result<Self, String> {
        let mut arguments = Self { config: PathBuf::from(site::CONFIG), nullok: false, debug: false };
        for argument in given {
            let argument = argument.to_str().map_err(|_| argument.to_string_lossy().into_owned())?;
            match argument.split_once('=') {
                None if argument == "nullok" => arguments.nullok = true,
                None if argument == "debug" => arguments.debug = true,
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
        let parsed = Arguments::parse(&[c"nullok", c"debug", c"config=/etc/other.toml"]);
        assert_eq!(parsed, Ok(Arguments { config: "/etc/other.toml".into(), nullok: true, debug: true }));
        let plain = Arguments::parse(&[]).unwrap();
        assert_eq!(plain, Arguments { config: site::CONFIG.into(), nullok: false, debug: false });
        for wrong in [c"nulok", c"nullok=yes", c"config", c"config=relative.toml", c"", c"use_first_pass", c"\xff"] {
            assert_eq!(Arguments::parse(&[c"debug", wrong]), Err(wrong.to_string_lossy().into_owned()));
        }
    }
}
