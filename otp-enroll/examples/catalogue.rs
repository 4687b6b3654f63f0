//! Writes po/pam_otp.pot, the list of texts to translate, from the marks in the code: `make catalogue`. (xgettext reads no Rust
//! before version 0.24.)

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where texts of users are.
const SOURCES: [&str; 3] = ["otp-core/src", "pam_otp/src", "otp-enroll/src"];

const HEAD: &str = r#"# Texts that users of pam_otp read. `make catalogue` writes this file.
# To begin a language: msginit -i pam_otp.pot -l xx; to bring one up to date: msgmerge -U xx.po pam_otp.pot
# What stands in {braces} is put in by the program and stays as it is. During a login a client puts `(user@host) ` before the
# first line, so lines are short there.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Content-Transfer-Encoding: 8bit\n"
"#;

fn main() -> io::Result<()> {
    fs::write(catalogue(), template()?)
}

fn catalogue() -> PathBuf {
    Path::new(HERE).join("po/pam_otp.pot")
}

/// A text, or the texts for one and for other numbers.
type Text = (String, Option<String>);

/// The catalogue without translations: each text once, with the files that it is in.
fn template() -> io::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&Path::new(HERE).join(source), &mut files)?;
    }
    files.sort();
    let (mut order, mut places): (Vec<Text>, BTreeMap<Text, Vec<String>>) = (Vec::new(), BTreeMap::new());
    for file in files {
        let name = file.strip_prefix(HERE).unwrap_or(&file).display().to_string();
        for text in marked(&fs::read_to_string(&file)?) {
            let known = places.entry(text.clone()).or_default();
            if known.is_empty() {
                order.push(text);
            }
            if !known.contains(&name) {
                known.push(name.clone());
            }
        }
    }
    let mut template = HEAD.to_owned();
    for text in order {
        let places = places.get(&text).map(|places| places.join(" ")).unwrap_or_default();
        template += &format!("\n#: {places}\nmsgid {}\n", quoted(&text.0));
        template += &match &text.1 {
            Some(other) => format!("msgid_plural {}\nmsgstr[0] \"\"\nmsgstr[1] \"\"\n", quoted(other)),
            None => "msgstr \"\"\n".to_owned(),
        };
    }
    Ok(template)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The texts that `text!` and `plural!` mark in a source file.
fn marked(source: &str) -> Vec<Text> {
    let mut found = Vec::new();
    for (start, is_plural) in [("text!(", false), ("plural!(", true)] {
        for (at, _) in source.match_indices(start) {
            let before = source.get(..at).unwrap_or_default();
            if before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
                continue; // another macro
            }
            let rest = source.get(at.saturating_add(start.len())..).unwrap_or_default();
            let Some((one, rest)) = literal(rest) else { continue };
            if !is_plural {
                found.push((at, (one, None)));
            } else if let Some((other, _)) = rest.trim_start().strip_prefix(',').and_then(literal) {
                found.push((at, (one, Some(other))));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

/// The string literal at the beginning, and what follows it.
fn literal(source: &str) -> Option<(String, &str)> {
    let mut letters = source.trim_start().strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match letters.next()? {
            '"' => return Some((text, letters.as_str())),
            '\\' => match letters.next()? {
                'n' => text.push('\n'),
                '\n' => letters = letters.as_str().trim_start().chars(),
                letter => text.push(letter),
            },
            letter => text.push(letter),
        }
    }
}

/// As gettext writes a text.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {

    use super::*;

    /// An entry of a .po file: its texts, and their translations.
    #[derive(Debug, Default)]
    struct Entry {
        text: String,
        other: Option<String>,
        translations: Vec<String>,
    }

    fn entries(file: &str) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut into = 0;
        for line in file.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (word, rest) = if line.starts_with('"') { ("", line) } else { line.split_once(' ').unwrap() };
            let (value, _) = literal(rest).unwrap();
            match word {
                "msgid" => {
                    entries.push(Entry { text: value, ..Entry::default() });
                    into = 0;
                }
                "msgid_plural" => {
                    entries.last_mut().unwrap().other = Some(value);
                    into = 1;
                }
                "" => {
                    let entry = entries.last_mut().unwrap();
                    match into {
                        0 => entry.text.push_str(&value),
                        1 => entry.other.as_mut().unwrap().push_str(&value),
                        _ => entry.translations.last_mut().unwrap().push_str(&value),
                    }
                }
                _ => {
                    entries.last_mut().unwrap().translations.push(value);
                    into = 2;
                }
            }
        }
        entries
    }

    fn places(text: &str) -> Vec<&str> {
        let mut places: Vec<_> = text.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0).collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn the_list_of_texts_is_what_the_code_marks() {
        let written = fs::read_to_string(catalogue()).unwrap();
        assert!(written == template().unwrap(), "`make catalogue` writes it");
        assert!(entries(&written).len() > 100);
    }

    #[test]
    fn every_language_has_every_text_with_its_places() {
        let all = entries(&template().unwrap());
        let mut languages = 0;
        for file in fs::read_dir(Path::new(HERE).join("po")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|suffix| suffix != "po") {
                continue;
            }
            languages += 1;
            let (name, text) = (path.display(), fs::read_to_string(&path).unwrap());
            assert!(!text.contains("#, fuzzy"), "{name}");
            let here = entries(&text);
            let texts = |entries: &[Entry]| entries.iter().map(|entry| entry.text.clone()).collect::<Vec<_>>();
            assert_eq!(texts(&here), texts(&all), "{name}: in the order of pam_otp.pot");
            for entry in here.iter().skip(1) {
                assert!(!entry.translations.is_empty(), "{name}: {}", entry.text);
                for translation in &entry.translations {
                    let english = entry.other.as_ref().unwrap_or(&entry.text);
                    assert!(!translation.is_empty(), "{name}: {}", entry.text);
                    assert_eq!(places(translation), places(english), "{name}: {translation}");
                    // Blanks and line ends around a text belong to the place that it comes to.
                    let ends = |text: &str| [text.starts_with(' '), text.ends_with(' '), text.ends_with('\n')];
                    assert_eq!(ends(translation), ends(english), "{name}: {translation:?}");
                    assert!(!translation.chars().any(|letter| letter.is_control() && letter != '\n'), "{name}");
                }
            }
        }
        assert_eq!(languages, 2);
    }

    #[test]
    fn marks_are_found_and_nothing_else_is() {
        let source =
            "a(text!(\"One \\\"{a}\\\" \\\n      more\\n\")); context!(\"no\"); plural!(\n \"x\",\n \"{number} y\"\n)";
        let found = marked(source);
        assert_eq!(found, [("One \"{a}\" more\n".into(), None), ("x".into(), Some("{number} y".into()))]);
    }
}
