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
    /// `send`: codes may be sent to this user here, since the first factor is proved by now.
    pub send: bool,
    /// `debug`: log what was demanded and why.
    pub debug: bool,
    /// `try_first_pass`, `use_first_pass`: look for a code at the end of the password that an earlier module asked for.
    pub first_pass: FirstPass,
    /// `forward_pass`: ask for password and code in one question, and pass the password to later modules.
    pub forward_pass: bool,
    /// `defer`, `deferred`: what this line does of a login that two lines share.
    pub part: Part,
}

/// The part of a line in judging a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It asks, and counts a wrong code or uses up a right one.
    Whole,
    /// `defer`: it asks and only looks at the code, since the password has not been checked yet.
    Defer,
    /// `deferred`: it asks nothing, and counts or uses up the code that the line with `defer` looked at.
    Deferred,
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
    /// The error is the first argument that is unknown or has an invalid value, or one that does not go with the others.
    pub fn parse(given: &[&CStr]) -> Result<Self, String> {
        let mut arguments = Self {
            config: PathBuf::from(paths::CONFIG),
            nullok: false,
            enroll: false,
            send: false,
            debug: false,
            first_pass: FirstPass::Ignore,
            forward_pass: false,
            part: Part::Whole,
        };
        let (mut defer, mut deferred) = (false, false);
        for argument in given {
            let argument = argument.to_str().map_err(|_| argument.to_string_lossy().into_owned())?;
            match argument.split_once('=') {
                None if argument == "nullok" => arguments.nullok = true,
                None if argument == "enroll" => arguments.enroll = true,
                None if argument == "send" => arguments.send = true,
                None if argument == "debug" => arguments.debug = true,
                None if argument == "try_first_pass" => arguments.first_pass = FirstPass::Try,
                None if argument == "use_first_pass" => arguments.first_pass = FirstPass::Use,
                None if argument == "forward_pass" => arguments.forward_pass = true,
                None if argument == "defer" => defer = true,
                None if argument == "deferred" => deferred = true,
                Some(("config", path)) if path.starts_with('/') => arguments.config = PathBuf::from(path),
                None | Some(_) => return Err(argument.to_owned()),
            }
        }
        arguments.part = match (defer, deferred) {
            (true, true) => return Err("deferred (with defer: each has its own line)".into()),
            // Without a password that is handed on there is nothing to wait for.
            (true, false) if !arguments.forward_pass => return Err("defer (without forward_pass)".into()),
            (true, false) => Part::Defer,
            (false, true) => Part::Deferred,
            (false, false) => Part::Whole,
        };
        match arguments.question() {
            Some(word) if deferred => Err(format!("{word} (with deferred, which asks nothing)")),
            // What is typed in one question is typed before a code could arrive, and before the password was checked.
            Some(_) if arguments.send && arguments.forward_pass => Err("send (with forward_pass)".into()),
            Some(_) if arguments.send && arguments.first_pass == FirstPass::Use => {
                Err("send (with use_first_pass)".into())
            }
            None if deferred && arguments.send => Err("send (with deferred, which asks nothing)".into()),
            Some(_) | None => Ok(arguments),
        }
    }

    /// An argument that says how to ask.
    fn question(&self) -> Option<&'static str> {
        match self.first_pass {
            FirstPass::Try => Some("try_first_pass"),
            FirstPass::Use => Some("use_first_pass"),
            FirstPass::Ignore => self.forward_pass.then_some("forward_pass"),
        }
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
            send: false,
            debug: false,
            first_pass: FirstPass::Ignore,
            forward_pass: false,
            part: Part::Whole,
        };
        let parsed = Arguments::parse(&[c"nullok", c"debug", c"config=/etc/other.toml", c"forward_pass"]);
        let expected =
            Arguments { config: "/etc/other.toml".into(), nullok: true, debug: true, forward_pass: true, ..plain };
        assert_eq!(parsed, Ok(expected));
        assert!(Arguments::parse(&[c"enroll"]).unwrap().enroll);
        assert!(Arguments::parse(&[c"try_first_pass", c"send"]).unwrap().send);
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

    #[test]
    fn two_lines_share_a_login_and_each_has_its_own_words() {
        let part = |given: &[&CStr]| Arguments::parse(given).map(|arguments| arguments.part);
        assert_eq!(part(&[c"forward_pass"]), Ok(Part::Whole));
        for words in [&[c"forward_pass", c"defer"][..], &[c"defer", c"use_first_pass", c"nullok", c"forward_pass"]] {
            assert_eq!(part(words), Ok(Part::Defer), "{words:?}");
        }
        for words in [&[c"deferred"][..], &[c"debug", c"deferred", c"config=/a", c"nullok", c"enroll"]] {
            assert_eq!(part(words), Ok(Part::Deferred), "{words:?}");
        }
        for (words, named) in [
            (&[c"defer"][..], "defer (without"),
            (&[c"defer", c"try_first_pass"], "defer (without"),
            (&[c"forward_pass", c"defer", c"deferred"], "deferred (with defer"),
            (&[c"deferred", c"forward_pass"], "forward_pass (with deferred"),
            (&[c"use_first_pass", c"deferred"], "use_first_pass (with deferred"),
            (&[c"try_first_pass", c"deferred", c"forward_pass"], "try_first_pass (with deferred"),
            (&[c"send", c"forward_pass"], "send (with forward_pass"),
            (&[c"forward_pass", c"defer", c"send"], "send (with forward_pass"),
            (&[c"try_first_pass", c"forward_pass", c"send"], "send (with forward_pass"),
            (&[c"send", c"use_first_pass"], "send (with use_first_pass"),
            (&[c"deferred", c"send"], "send (with deferred"),
            (&[c"send=1"], "send=1"),
            (&[c"defer=1", c"forward_pass"], "defer=1"),
            (&[c"deferred="], "deferred="),
            (&[c"deffer", c"forward_pass"], "deffer"),
        ] {
            let error = part(words).unwrap_err();
            assert!(error.starts_with(named), "{words:?}: {error}");
        }
    }
}
