//! The language of what a user reads: English, or that of the environment where there is a translation. What scripts read and
//! the commands for administrators stay English.

use std::fmt::Display;
use std::sync::OnceLock;

use otp_core::value::text::{English, Language, counted, said};
use otp_locale::Locale;

static IS_TAKEN: OnceLock<()> = OnceLock::new();

/// The locale that this process has set.
struct OfProcess;

impl Language for OfProcess {
    fn translation(&self, english: &str) -> Option<String> {
        Locale::of_process().translation(english)
    }

    fn plural(&self, one: &str, other: &str, number: u64) -> Option<String> {
        Locale::of_process().plural(one, other, number)
    }
}

/// Takes the language of the environment. For the start of the program, before any other thread.
pub(crate) fn from_environment() {
    IS_TAKEN.get_or_init(|| drop(Locale::from_environment()));
}

/// The language of this program.
pub(crate) fn here() -> &'static dyn Language {
    if IS_TAKEN.get().is_some() { &OfProcess } else { &English }
}

/// A text in that language.
pub(crate) fn tr(english: &str) -> String {
    said(here(), english, &[])
}

/// The same with values in its places.
pub(crate) fn fill(english: &str, values: &[(&str, &dyn Display)]) -> String {
    said(here(), english, values)
}

/// The same with a number.
pub(crate) fn count(texts: (&str, &str), number: u64, values: &[(&str, &dyn Display)]) -> String {
    counted(here(), texts, number, values)
}

/// A time for people; scripts get it as ISO 8601.
pub(crate) fn moment(time: &str) -> String {
    time.replace('T', " ").replace('Z', " UTC")
}
