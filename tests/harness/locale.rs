//! Locales for one test: compiled into a folder of their own, to which LOCPATH points.

use std::process::Command;

use tempfile::TempDir;

use crate::machine;

/// A folder with locales.
#[derive(Debug)]
pub struct Locales(TempDir);

impl Locales {
    /// Compiles locales of UTF-8: `de_DE`.
    ///
    /// # Panics
    /// When localedef or the descriptions of languages are missing (Debian's package `locales`).
    pub fn new(languages: &[&str]) -> Locales {
        let folder = tempfile::tempdir().unwrap();
        // Users read it, too.
        machine::run(Command::new("chmod").arg("755").arg(folder.path()));
        for language in languages {
            let target = folder.path().join(format!("{language}.UTF-8"));
            let mut localedef = Command::new("localedef");
            machine::run(localedef.args(["--no-archive", "-i", language, "-f", "UTF-8"]).arg(target));
        }
        Locales(folder)
    }

    /// The environment of a program in this locale.
    pub fn environment(&self, locale: &str) -> [(&'static str, String); 2] {
        [("LOCPATH", self.0.path().display().to_string()), ("LC_ALL", locale.to_owned())]
    }
}
