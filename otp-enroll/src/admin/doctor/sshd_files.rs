//! The lines of sshd's configuration, with those of all files that it includes: sshd itself tells which, so that patterns,
//! folders and relative paths are followed as it follows them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::plain;

/// Where sshd's configuration is.
pub(crate) const CONFIGURATION: &str = "/etc/ssh/sshd_config";

/// sshd must be started by its absolute path.
const PROGRAMS: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"];

/// Why it is not known what its configuration says.
pub(crate) enum Unknown {
    Refused(String),
    NotAsked(String),
}

impl Unknown {
    pub(crate) fn why(self) -> String {
        match self {
            Self::Refused(why) | Self::NotAsked(why) => why,
        }
    }
}

/// A line that has words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) file: PathBuf,
    /// Counted from 1.
    pub(crate) number: usize,
    /// In lower case.
    pub(crate) keyword: String,
    pub(crate) values: Vec<String>,
    /// The Match line above it, of those that were read: it holds for some logins.
    pub(crate) block: Option<usize>,
}

/// sshd gives up at this depth, too.
const DEEPEST: usize = 16;

/// What a file includes, by file and line.
type Included = HashMap<(PathBuf, usize), Vec<PathBuf>>;

/// sshd's program.
pub(crate) fn program() -> Result<&'static Path, Unknown> {
    let program = PROGRAMS.iter().map(Path::new).find(|path| path.exists());
    program.ok_or_else(|| Unknown::NotAsked("there is no sshd in /usr/sbin".to_owned()))
}

/// The lines of the configuration, or of another file, in the order in which sshd reads them.
pub(crate) fn read(configuration: Option<&Path>) -> Result<Vec<Line>, Unknown> {
    let file = configuration.unwrap_or(Path::new(CONFIGURATION));
    let said = Command::new(program()?).args(["-T", "-dd", "-f"]).arg(file).output();
    let said = said.map_err(|error| Unknown::NotAsked(plain(&error)))?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    if !said.lines().any(|line| line.trim_end().ends_with(&format!("load_server_config: filename {}", file.display())))
    {
        return Err(Unknown::NotAsked("sshd does not tell which files it includes".into()));
    }
    let mut lines = Vec::new();
    add(file, None, &included(&said), &mut lines, 0)?;
    Ok(lines)
}

/// `debug2: /etc/ssh/sshd_config line 12: including /etc/ssh/sshd_config.d/50.conf`.
fn included(said: &str) -> Included {
    let mut all = Included::new();
    for line in said.lines() {
        let told = line.trim_end().split_once(": ").map_or("", |(_, told)| told);
        let Some((place, file)) = told.split_once(": including ") else { continue };
        let Some((from, number)) = place.rsplit_once(" line ") else { continue };
        let Ok(number) = number.parse() else { continue };
        let files = all.entry((from.into(), number)).or_default();
        if !files.contains(&PathBuf::from(file)) {
            files.push(file.into());
        }
    }
    all
}

fn add(
    file: &Path,
    mut block: Option<usize>,
    included: &Included,
    lines: &mut Vec<Line>,
    depth: usize,
) -> Result<(), Unknown> {
    let unread = |why: String| Unknown::NotAsked(format!("{}: {why}", file.display()));
    if depth > DEEPEST {
        return Err(unread("it is included without end".into()));
    }
    // sshd takes a folder for an empty file.
    let text = if file.is_dir() { Vec::new() } else { fs::read(file).map_err(|error| unread(plain(&error)))? };
    for (number, line) in (1..).zip(String::from_utf8_lossy(&text).lines()) {
        let mut words = words(line).into_iter();
        let Some(keyword) = words.next().map(|word| word.to_ascii_lowercase()) else { continue };
        // A Match block ends with its file.
        block = if keyword == "match" { Some(lines.len()) } else { block };
        let is_include = keyword == "include";
        lines.push(Line { file: file.to_owned(), number, keyword, values: words.collect(), block });
        let files = included.get(&(file.to_owned(), number)).filter(|_| is_include);
        for file in files.into_iter().flatten() {
            add(file, block, included, lines, depth.saturating_add(1))?;
        }
    }
    Ok(())
}

/// The words of a line, as sshd reads it: `=` may follow the keyword, quotation marks hold a word together, a backslash takes
/// away the meaning of a mark, `#` begins a comment.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let next_is_mark = letters.peek().is_some_and(|next| ['"', '\'', '\\', ' '].contains(next));
        match letter {
            '\\' if next_is_mark => {
                word.extend(letters.next());
                begun = true;
            }
            mark @ ('"' | '\'') if quote.is_none_or(|quote| quote == mark) => {
                (quote, begun) = (if quote.is_none() { Some(mark) } else { None }, true);
            }
            '#' if quote.is_none() && !begun => break,
            '=' if quote.is_none() && words.len() <= 1 && (words.is_empty() == begun) => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            blank if blank.is_whitespace() && quote.is_none() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    words.extend(begun.then_some(word));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_sshd_splits_it() {
        for (line, expected) in [
            ("  include \"/a b/*.conf\" # all", ["include", "/a b/*.conf"]),
            ("Include=/a", ["Include", "/a"]),
            ("Include = /a", ["Include", "/a"]),
            ("Banner 'a b'#c", ["Banner", "a b#c"]),
            ("Banner a\\ b", ["Banner", "a b"]),
            ("Banner \"a \\\" b\"", ["Banner", "a \" b"]),
            ("Banner \"it's\"", ["Banner", "it's"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
        assert!(words(" # Banner x").is_empty());
    }

    #[test]
    fn lines_are_read_where_sshd_includes_them_and_a_block_ends_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("d")).unwrap();
        let pattern = format!("Include \"{}\"\n", path("d/../d/*.conf").display());
        fs::write(path("main"), format!("{pattern}UsePAM yes\nMatch User bob\nInclude {}\n", path("in").display()))
            .unwrap();
        fs::write(path("d/a b.conf"), "match=group x\nPermitTTY no\n").unwrap();
        fs::write(path("d/.hidden.conf"), "PermitTTY no\n").unwrap();
        fs::create_dir(path("d/folder.conf")).unwrap();
        fs::write(path("in"), "X11Forwarding no\n").unwrap();
        let Ok(lines) = read(Some(&path("main"))) else { return }; // without sshd
        let told: Vec<_> = lines.iter().map(|line| (line.keyword.as_str(), line.number, line.block)).collect();
        assert_eq!(
            told,
            [
                ("include", 1, None),
                ("match", 1, Some(1)),
                ("permittty", 2, Some(1)),
                ("usepam", 2, None),
                ("match", 3, Some(4)),
                ("include", 4, Some(4)),
                ("x11forwarding", 1, Some(4)),
            ]
        );
        fs::remove_file(path("main")).unwrap();
        assert!(read(Some(&path("main"))).is_err());
    }
}
