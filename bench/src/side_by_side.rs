//! The functions that a login runs, as a linker script that puts them side by side in the module.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use otp_core::config::paths;
use pam_otp_tests::{site, users::TestUser};

use crate::counts;
use crate::enroll::{self, Factor};
use crate::entrant::{Entrant, Who};
use crate::findings;
use crate::place::{Medium, ours_dir};

const BEGINNING: &str = "\
/* What a login runs, side by side: the kernel maps code in pieces of 64 kB, and each piece of the module that holds a
   function of a login is mapped. Made by `make login-code` from a login of the module as it is. Where a name is not found,
   the function stands where it would stand anyway. */
SECTIONS
{
  .text :
  {
";

const END: &str = "    *(.text .text.*)
  }
}
INSERT AFTER .fini;
";

/// Writes the script from one login, with the configuration in its usual place. Takes the name of the file; `None` without one.
pub(crate) fn write(mut arguments: impl Iterator<Item = String>) -> Option<()> {
    let file = arguments.next()?;
    let (place, user) = (findings::furnished(Medium::Memory), TestUser::new("bench"));
    let entrant = Entrant::new(Who::Ours, &place, &user.name, Factor::Time).before("auth required pam_otp.so");
    fs::copy(enroll::config(&place), paths::CONFIG).unwrap();
    site::identify(Path::new(paths::CONFIG), &ours_dir(&place));
    let functions = counts::functions(&entrant);
    assert!(functions.len() > 100, "the module has its symbols, and the login ran it: {functions:?}");
    fs::write(file, script(&functions)).unwrap();
    Some(())
}

fn script(functions: &BTreeSet<String>) -> String {
    let mut text = BEGINNING.to_owned();
    // What has no name is not of ours: the C library's start of each library, and calls that the loader has filled in.
    let named = functions.iter().filter(|function| !function.starts_with("0x"));
    for name in named.map(|function| pattern(function)).collect::<BTreeSet<_>>() {
        writeln!(text, "    *(.text.{name} .text.unlikely.{name})").unwrap();
    }
    text + END
}

/// The name of a symbol for any compiler and any build: without its hashes.
fn pattern(function: &str) -> String {
    let name = function.split('\'').next().unwrap_or_default(); // callgrind numbers the rounds of a recursion
    if let Some((path, _)) = name.rsplit_once("17h").filter(|_| name.starts_with("_ZN")) {
        return format!("{path}17h*"); // without what the compiler has added, too
    }
    if !name.starts_with("_R") {
        return name.to_owned();
    }
    // Each crate's name has a number before it: `Cs`, the number, `_`.
    let mut parts = name.split("Cs");
    let mut pattern = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let after = part.split_once('_').map_or(part, |(_, after)| after);
        pattern.push_str("Cs*_");
        pattern.push_str(after);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_whatever_its_hashes_are() {
        let expected = [
            ("_ZN8otp_core6config6Config5parse17h30d6db3a06c22c81E", "_ZN8otp_core6config6Config5parse17h*"),
            ("_ZN4core3fmt5write17h30d6db3a06c22c81E.llvm.77'2", "_ZN4core3fmt5write17h*"),
            ("_RNvNtNtCsgEmfK2I1SDS_4core3str8converts9from_utf8", "_RNvNtNtCs*_4core3str8converts9from_utf8"),
            ("_RNvXsZ_NtCslNYArtu_5allocNtCsgEm_4core3fmt", "_RNvXsZ_NtCs*_5allocNtCs*_4core3fmt"),
            ("pam_sm_authenticate", "pam_sm_authenticate"),
        ];
        for (function, name) in expected {
            assert_eq!(pattern(function), name);
        }
        let script = script(&expected.map(|(function, _)| function.to_owned()).into());
        assert_eq!(script.matches("    *(.text.").count(), expected.len());
        assert!(script.starts_with(BEGINNING) && script.ends_with(END));
    }
}
