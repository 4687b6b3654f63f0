//! A service's modules in the order in which libpam would come to them: files, lines, includes. See pam.conf(5).

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where libpam has its files, as distributions build it.
const PAM_FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// What a module may answer, as it is written between brackets.
const RESULTS: [&str; 32] = [
    "abort",
    "acct_expired",
    "auth_err",
    "authinfo_unavail",
    "authtok_disable_aging",
    "authtok_err",
    "authtok_expired",
    "authtok_lock_busy",
    "authtok_recover_err",
    "bad_item",
    "buf_err",
    "conv_again",
    "conv_err",
    "cred_err",
    "cred_expired",
    "cred_insufficient",
    "cred_unavail",
    "ignore",
    "incomplete",
    "maxtries",
    "module_unknown",
    "new_authtok_reqd",
    "no_module_data",
    "open_err",
    "perm_denied",
    "service_err",
    "session_err",
    "success",
    "symbol_err",
    "system_err",
    "try_again",
    "user_unknown",
];

/// What parts words.
const BLANKS: [char; 2] = [' ', '\t'];

/// What services include to ask for a password: of Debian and SUSE, of Fedora, of Arch.
const PASSWORD_FILES: [&str; 3] = ["common-auth", "password-auth", "system-auth"];

/// libpam's own bound (PAM_SUBSTACK_MAX_LEVEL).
const DEEPEST: usize = 16;

/// The four groups of a PAM file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Auth,
    Account,
    Password,
    Session,
}

/// One group of a service, includes and all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stack {
    pub(super) entries: Vec<Entry>,
    /// Lines that libpam makes nothing of, so that whoever comes to them is refused.
    pub(super) garbled: Vec<Place>,
}

/// A step of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// How many substacks it is in.
    pub(super) level: usize,
    pub(super) what: What,
    pub(super) place: Place,
}

/// What is done at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A module is called.
    Module(Module),
    /// A substack begins.
    Substack,
    /// libpam makes nothing of the line, and takes it for a module that refuses.
    Broken(Control),
}

/// A module as a line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// Path or file name, as it is written.
    pub(super) path: String,
    /// From where libpam loads it.
    pub(super) file: PathBuf,
    pub(super) is_there: bool,
    pub(super) control: Control,
    pub(super) arguments: Vec<String>,
}

/// A line of a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// What a module's result leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Ok,
    Done,
    Bad,
    Die,
    Ignore,
    Reset,
    /// So many of the next modules are passed over.
    Jump(usize),
}

/// The second column of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Control {
    named: Vec<(String, Action)>,
    otherwise: Action,
}

/// A file that cannot be read: then libpam refuses every login by the service.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) file: PathBuf,
    pub(super) error: io::Error,
    /// The line that includes it.
    pub(super) from: Option<Place>,
}

/// Where the files are; one that comes first hides another one of its name.
pub(super) struct Folders {
    all: Vec<PathBuf>,
    /// So many of them, from the first, hold the services to be looked at.
    looked_at: usize,
    /// Those of modules.
    modules: Vec<PathBuf>,
}

impl Group {
    /// By the first column of a line. A dash before it says that the module may be missing, which is not logged then.
    fn named(kind: &str) -> Option<Self> {
        match kind.strip_prefix('-').unwrap_or(kind).to_ascii_lowercase().as_str() {
            "auth" => Some(Self::Auth),
            "account" => Some(Self::Account),
            "password" => Some(Self::Password),
            "session" => Some(Self::Session),
            _ => None,
        }
    }
}

impl Entry {
    pub(super) fn module(&self) -> Option<&Module> {
        match &self.what {
            What::Module(module) => Some(module),
            What::Substack | What::Broken(_) => None,
        }
    }
}

impl Module {
    /// The file's name alone.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl Control {
    /// What a result leads to, by the name that it has between brackets: `auth_err`.
    pub(super) fn action(&self, result: &str) -> Action {
        self.named.iter().rev().find(|(name, _)| name == result).map_or(self.otherwise, |(_, action)| *action)
    }

    fn parse(text: &str) -> Option<Self> {
        let of = |good, ignored, otherwise| {
            let named = [("success", good), ("new_authtok_reqd", good), ("ignore", ignored)];
            Self { named: named.map(|(name, action)| (name.to_owned(), action)).to_vec(), otherwise }
        };
        match text.to_ascii_lowercase().as_str() {
            "required" => Some(of(Action::Ok, Action::Ignore, Action::Bad)),
            "requisite" => Some(of(Action::Ok, Action::Ignore, Action::Die)),
            "sufficient" => Some(of(Action::Done, Action::Ignore, Action::Ignore)),
            "optional" => Some(of(Action::Ok, Action::Ignore, Action::Ignore)),
            _ => Self::parse_pairs(text),
        }
    }

    /// `success=ok default = die`. One name that there is not spoils all of it; of two defaults the first one counts.
    fn parse_pairs(text: &str) -> Option<Self> {
        let (mut named, mut otherwise) = (Vec::new(), None);
        let text = text.replace('=', " = ");
        let mut words = text.split_whitespace();
        while let Some(name) = words.next() {
            let action = words.next().filter(|sign| *sign == "=").and_then(|_| Action::parse(words.next()?))?;
            match name {
                "default" => otherwise = otherwise.or(Some(action)),
                name if RESULTS.contains(&name) => named.push((name.to_owned(), action)),
                _ => return None,
            }
        }
        Some(Self { named, otherwise: otherwise.unwrap_or(Action::Bad) })
    }
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ok" => Self::Ok,
            "done" => Self::Done,
            "bad" => Self::Bad,
            "die" => Self::Die,
            "ignore" => Self::Ignore,
            "reset" => Self::Reset,
            number => Self::Jump(number.parse().ok().filter(|number| *number > 0)?),
        })
    }
}

impl Folders {
    /// Where libpam looks. Files of a folder of drafts come first, and are then looked at alone.
    pub(super) fn new(drafts: Option<&Path>) -> Self {
        let all: Vec<PathBuf> = drafts.into_iter().chain(PAM_FOLDERS.map(Path::new)).map(Path::to_owned).collect();
        Self { looked_at: if drafts.is_some() { 1 } else { all.len() }, all, modules: module_folders() }
    }

    /// The names of all services that have a file of their own, in order. A file that others include is none, unless it is
    /// that of their elder twin: sudo-i may include sudo.
    pub(super) fn services(&self) -> io::Result<BTreeSet<String>> {
        let (mut names, mut included) = (BTreeSet::new(), BTreeSet::new());
        for folder in self.all.iter().take(self.looked_at) {
            let entries = match fs::read_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.looked_at > 1 => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().into_string().ok().filter(|name| !is_leftover(name));
                let Some(name) = name.filter(|_| entry.path().is_file()) else { continue };
                for Line { words, .. } in lines(&self.text(&name)) {
                    let part = match words.as_slice() {
                        [kind, part, ..] if kind == "@include" => part,
                        [_, control, part, ..] if is_include(control) || is_substack(control) => part,
                        _ => continue,
                    };
                    let part = part.rsplit('/').next().unwrap_or_default();
                    if !name.starts_with(part) {
                        included.insert(part.to_owned());
                    }
                }
                names.insert(name);
            }
        }
        Ok(names.difference(&included).cloned().collect())
    }

    /// A file's text; nothing where it cannot be read: whoever reads it as a stack says why.
    pub(super) fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.find(name)).unwrap_or_default()).into_owned()
    }

    /// The line that asks for a password as this distribution does.
    pub(super) fn password_line(&self) -> String {
        let here = |folder: &PathBuf| PASSWORD_FILES.into_iter().find(|name| folder.join(name).exists());
        let file = self.all.iter().find_map(here);
        file.map_or_else(|| "auth required pam_unix.so".to_owned(), |file| format!("auth substack {file}"))
    }

    /// A module's file; an absolute path stays what it is.
    fn module(&self, path: &str) -> PathBuf {
        let mut files = self.modules.iter().map(|folder| folder.join(path));
        files.clone().find(|file| file.exists()).or_else(|| files.next()).unwrap_or_else(|| path.into())
    }

    fn find(&self, name: &str) -> PathBuf {
        let mut places = self.all.iter().map(|folder| folder.join(name));
        places.clone().find(|path| path.exists()).or_else(|| places.next()).unwrap_or_default()
    }
}

impl Stack {
    /// One group of a service. Where its file has no line of it, that of the service `other` stands for it; but who has
    /// no line for authentication mostly asks for none.
    pub(super) fn read(folders: &Folders, service: &str, group: Group) -> Result<Self, Unreadable> {
        let mut stack = Self::default();
        stack.add(folders, service, group, 0, &mut Vec::new())?;
        if stack.entries.is_empty() && group != Group::Auth && folders.find("other").exists() {
            stack.add(folders, "other", group, 0, &mut Vec::new())?;
        }
        Ok(stack)
    }

    /// The lines that call a module of this file name.
    pub(super) fn lines_of(&self, name: &str) -> impl Iterator<Item = (&Module, &Place)> {
        self.modules().filter(move |(module, _)| module.name() == name)
    }

    pub(super) fn modules(&self) -> impl Iterator<Item = (&Module, &Place)> {
        self.entries.iter().filter_map(|entry| Some((entry.module()?, &entry.place)))
    }

    /// Adds what a file says. `from` are the lines that led here, each included by the one before.
    fn add(
        &mut self,
        folders: &Folders,
        name: &str,
        group: Group,
        level: usize,
        from: &mut Vec<Place>,
    ) -> Result<(), Unreadable> {
        let file = folders.find(name);
        let unreadable = |error| Unreadable { file: file.clone(), error, from: from.last().cloned() };
        if from.len() >= DEEPEST {
            return Err(unreadable(io::Error::other("it is included without end")));
        }
        let text = fs::read(&file).map_err(unreadable)?;
        for Line { number, mut words, is_whole } in lines(&String::from_utf8_lossy(&text)) {
            let place = Place { file: file.clone(), line: number };
            if !is_whole {
                self.garbled.push(place.clone()); // whichever group it is of: libpam gives up the whole service
            }
            // CR is no blank to libpam: it takes it for a part of the last word.
            let ends_in_cr = words.last_mut().is_some_and(|last| last.ends_with('\r') && last.pop().is_some());
            let mut words = words.iter().map(String::as_str);
            let kind = words.next().unwrap_or_default();
            let (control, path) = if kind == "@include" {
                ("include", words.next().unwrap_or_default())
            } else if Group::named(kind).unwrap_or(Group::Auth) == group {
                (words.next().unwrap_or_default(), words.next().unwrap_or_default())
            } else {
                continue;
            };
            if is_include(control) || is_substack(control) {
                let mut inner = level;
                if is_substack(control) {
                    self.entries.push(Entry { level, what: What::Substack, place: place.clone() });
                    inner = level.saturating_add(1);
                }
                from.push(place);
                self.add(folders, path, group, inner, from)?;
                from.pop();
                continue;
            }
            let understood = Control::parse(control);
            let is_broken = path.is_empty() || Group::named(kind).is_none();
            if is_broken || understood.is_none() || ends_in_cr {
                self.garbled.push(place.clone());
            }
            let control = understood.unwrap_or(Control { named: Vec::new(), otherwise: Action::Bad });
            let what = if is_broken {
                What::Broken(control)
            } else {
                let (path, file) = (path.to_owned(), folders.module(path));
                let is_there = file.exists();
                What::Module(Module { path, file, is_there, control, arguments: words.map(str::to_owned).collect() })
            };
            self.entries.push(Entry { level, what, place });
        }
        Ok(())
    }
}

/// Where libpam has its modules: known by the one that every libpam brings.
fn module_folders() -> Vec<PathBuf> {
    let below = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let roots = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];
    let folders = roots.iter().flat_map(|root| below(root).chain([PathBuf::from(root)]));
    folders.map(|folder| folder.join("security")).filter(|folder| folder.join("pam_permit.so").exists()).collect()
}

/// What editors, package managers and careful people leave beside a file.
fn is_leftover(name: &str) -> bool {
    name.starts_with('.')
        || [".bak", ".old", ".orig", ".save", "~"].iter().any(|end| name.ends_with(end))
        || [".dpkg-", ".pam-old", ".rpm", ".ucf-"].iter().any(|mark| name.contains(mark))
}

fn is_include(control: &str) -> bool {
    control.eq_ignore_ascii_case("include")
}

fn is_substack(control: &str) -> bool {
    control.eq_ignore_ascii_case("substack")
}

struct Line {
    /// From 1.
    number: usize,
    words: Vec<String>,
    /// Not so where the file ends behind a backslash.
    is_whole: bool,
}

/// The words of each line that has any, with its number. A line goes on behind a backslash at its end; `#` begins a comment.
/// What has nothing else does not end a line that goes on.
fn lines(text: &str) -> Vec<Line> {
    let mut found = Vec::new();
    let (mut begun, mut whole) = (None, String::new());
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.split('#').next().unwrap_or_default().trim_end_matches(BLANKS);
        if line.is_empty() {
            continue;
        }
        let (line, goes_on) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        let first = *begun.get_or_insert(number);
        whole.push_str(line);
        whole.push(' ');
        if !goes_on {
            found.push(Line { number: first, words: words(&whole), is_whole: true });
            (begun, whole) = (None, String::new());
        }
    }
    found.extend(begun.map(|number| Line { number, words: words(&whole), is_whole: false }));
    found
}

/// Words between blanks; what stands between brackets is one, without them, and `\]` within it is a bracket.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_matches(BLANKS);
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('[') {
            Some(inner) => {
                let is_escaped = |at: usize| inner.get(..at).is_some_and(|head| head.ends_with('\\'));
                let closing = inner.match_indices(']').map(|(at, _)| at).find(|at| !is_escaped(*at));
                let (word, tail) = closing.and_then(|at| inner.split_at_checked(at)).unwrap_or((inner, ""));
                (word.replace("\\]", "]"), tail.strip_prefix(']').unwrap_or(tail))
            }
            None => {
                let (word, tail) = rest.split_once(BLANKS).unwrap_or((rest, ""));
                (word.to_owned(), tail)
            }
        };
        words.push(word);
        rest = tail.trim_start_matches(BLANKS);
    }
    words
}
