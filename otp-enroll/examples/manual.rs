//! Writes the list of options in otp-enroll(1) from the definitions of the command line: `make manual`. (clap_mangen writes
//! man(7) macros, which mdoc(7) pages cannot contain.)

#[expect(dead_code, reason = "only the definitions are used here")]
#[path = "../src/cli.rs"]
mod cli;

use std::fmt::Write as _;
use std::{fs, io};

use clap::{Arg, CommandFactory};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../man/otp-enroll.1");

/// The list is between these lines.
const BEGIN: &str = ".\\\" `make manual` writes this list.\n";
const END: &str = ".\\\" End of the list.\n";

fn main() -> io::Result<()> {
    let page = fs::read_to_string(PAGE)?;
    let page = with_options(&page).ok_or_else(|| io::Error::other("the page has no place for the list"))?;
    fs::write(PAGE, page)
}

/// The page with a new list.
fn with_options(page: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some([before, BEGIN, &options(), END, after].concat())
}

fn options() -> String {
    let mut command = cli::Cli::command();
    command.build();
    let mut list = ".Bl -tag -width Ds\n".to_owned();
    for option in command.get_arguments() {
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(list, ".It {}\n{}.", flags(option), mdoc(&help)); // a String takes every write
    }
    list + ".El\n"
}

/// `Fl q , Fl -quiet`, `Fl -config Ar FILE`
fn flags(option: &Arg) -> String {
    let short = option.get_short().map(|letter| format!("Fl {letter}"));
    let long = option.get_long().map(|word| format!("Fl -{word}"));
    let mut item = short.into_iter().chain(long).collect::<Vec<_>>().join(" , ");
    if option.get_action().takes_values() {
        option.get_value_names().into_iter().flatten().for_each(|name| item += &format!(" Ar {name}"));
    }
    item
}

/// The text as roff reads it.
fn mdoc(text: &str) -> String {
    text.replace('\\', "\\e").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_the_options_of_the_command_line() {
        let page = fs::read_to_string(PAGE).unwrap();
        assert_eq!(with_options(&page).as_ref(), Some(&page), "man/otp-enroll.1 is not up to date: make manual");
    }

    #[test]
    fn an_option_is_written_with_its_letter_and_its_values() {
        let option = Arg::new("x").short('q').long("quiet").value_names(["A", "B"]).num_args(2);
        assert_eq!(flags(&option), "Fl q , Fl -quiet Ar A Ar B");
        let switch = Arg::new("x").long("json").action(clap::ArgAction::SetTrue);
        assert_eq!(flags(&switch), "Fl -json");
    }
}
