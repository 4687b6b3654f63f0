//! A service's modules in the order in which libpam calls them, with all includes.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::pam_conf::{Control, Dispute, Group, Line, disputes, is_include, is_include_of_all, is_substack, lines};

/// The module's file.
pub(crate) const MODULE: &str = "pam_otp.so";

/// The folders of PAM files, as distributions build libpam: the second one is SUSE's.
pub(crate) const PAM_FOLDERS: [&str; 3] = ["/etc/pam.d", "/usr/etc/pam.d", "/usr/lib/pam.d"];

/// The files that services include to ask for a password: Debian and SUSE, Fedora, Arch.
const PASSWORD_FILES: [&str; 3] = ["common-auth", "password-auth", "system-auth"];

/// Files that are parts of others, and no program's service, on Fedora and Arch; on Debian and SUSE the names begin alike.
const PARTS: [&str; 10] = [
    "other",
    "password-auth",
    "smartcard-auth",
    "fingerprint-auth",
    "postlogin",
    "system-auth",
    "system-login",
    "system-local-login",
    "system-remote-login",
    "system-services",
];
const PART: &str = "common-";

/// Whether a PAM file is by its name a part of others.
pub(crate) fn is_part(name: &str) -> bool {
    PARTS.contains(&name) || name.starts_with(PART)
}

/// libpam's own bound (PAM_SUBSTACK_MAX_LEVEL).
const DEEPEST: usize = 16;

/// One group of a service, with all includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    pub(crate) entries: Vec<Entry>,
    /// Lines that libpam cannot parse: it refuses logins that reach them.
    pub(crate) garbled: Vec<Garbled>,
    /// Lines that versions of libpam read differently.
    pub(crate) disputed: Vec<(Place, Dispute)>,
}

/// A line that libpam cannot parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Garbled {
    pub(crate) place: Place,
    /// Whether the module's name is in it.
    pub(crate) names_ours: bool,
    /// What looks like a blank in it, and is none to libpam.
    pub(crate) odd_blank: Option<char>,
}

/// A step of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Number of substacks around it.
    pub(crate) level: usize,
    pub(crate) what: What,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A module is called.
    Module(Module),
    /// A substack begins.
    Substack,
    /// libpam cannot parse the line and treats it as a module that refuses.
    Broken(Control),
}

/// A module as a line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// The path that libpam loads.
    pub(crate) file: PathBuf,
    pub(crate) is_there: bool,
    pub(crate) control: Control,
    pub(crate) arguments: Vec<String>,
}

/// A line of a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
}

/// A file that cannot be read: libpam then refuses every login through the service.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) file: PathBuf,
    pub(crate) error: io::Error,
    /// The line that includes it.
    pub(crate) from: Option<Place>,
}

/// The folders of PAM files; a file in an earlier one hides a file of that name in a later one.
pub(crate) struct Folders {
    all: Vec<PathBuf>,
    /// The number of them, from the first, whose services are checked.
    looked_at: usize,
    /// The folders of modules.
    modules: Vec<PathBuf>,
}

impl Entry {
    pub(crate) fn module(&self) -> Option<&Module> {
        match &self.what {
            What::Module(module) => Some(module),
            What::Substack | What::Broken(_) => None,
        }
    }
}

impl Garbled {
    fn of(place: Place, words: &[String]) -> Self {
        let names_ours = words.iter().any(|word| word.contains(MODULE));
        Self { place, names_ours, odd_blank: words.iter().find_map(|word| odd_blank(word)) }
    }
}

/// The file that a line includes.
fn file_included(line: &Line) -> Option<&str> {
    match line.words.as_slice() {
        [kind, part, ..] if is_include_of_all(kind) => Some(part),
        [_, control, part, ..] if is_include(control) || is_substack(control) => Some(part),
        _ => None,
    }
}

/// A character that looks like a blank, and is a part of a word to libpam.
pub(crate) fn odd_blank(word: &str) -> Option<char> {
    word.chars().find(|letter| letter.is_whitespace() && !letter.is_ascii())
}

impl Module {
    /// The file name without folder.
    pub(crate) fn name(&self) -> &str {
        self.file.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl Folders {
    /// The folders that libpam reads. With a folder of drafts only its services are checked.
    pub(crate) fn new(drafts: Option<&Path>) -> Self {
        let all: Vec<PathBuf> = drafts.into_iter().chain(PAM_FOLDERS.map(Path::new)).map(Path::to_owned).collect();
        Self { looked_at: if drafts.is_some() { 1 } else { all.len() }, all, modules: module_folders() }
    }

    /// The names of all services, in order. A file that others include is not a service, unless the name of the other
    /// begins with its name (sudo-i may include sudo), or it serves logins and accounts and has not the name of a part (i3lock
    /// may include login).
    pub(crate) fn services(&self) -> io::Result<BTreeSet<String>> {
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
                for part in lines(&self.text(&name)).iter().filter_map(file_included) {
                    let part = part.rsplit('/').next().unwrap_or_default();
                    if !name.starts_with(part) {
                        included.insert(part.to_owned());
                    }
                }
                names.insert(name);
            }
        }
        included.retain(|part| is_part(part) || !self.serves_logins(part));
        Ok(names.difference(&included).cloned().collect())
    }

    /// Whether a file has lines for logins and for something else.
    fn serves_logins(&self, name: &str) -> bool {
        let text = self.text(name);
        let kinds: BTreeSet<String> = lines(&text)
            .iter()
            .filter_map(|line| Some(line.words.first()?.trim_start_matches('-').to_ascii_lowercase()))
            .collect();
        kinds.len() > 1 && (kinds.contains("auth") || kinds.contains("@include"))
    }

    /// Whether a service has a file, in a folder of drafts or in one that libpam reads.
    pub(crate) fn has(&self, service: &str) -> bool {
        self.all.iter().any(|folder| folder.join(service).is_file())
    }

    /// Whether logins through a service reach a line of the module. A file that exists and cannot be read may have one.
    pub(crate) fn may_ask(&self, service: &str) -> bool {
        self.has(service)
            && Stack::read(self, service, Group::Auth).map_or(true, |stack| stack.lines_of(MODULE).next().is_some())
    }

    /// Whether a service or a file that it includes names the module, although not all of them can be read.
    pub(crate) fn name_module(&self, name: &str, level: usize) -> bool {
        let (text, inner) = (self.text(name), level.saturating_add(1));
        let in_a_part = || lines(&text).iter().filter_map(file_included).any(|part| self.name_module(part, inner));
        text.contains(MODULE) || (inner < DEEPEST && in_a_part())
    }

    /// A file's text; empty if it cannot be read ([`Stack::read`] reports why).
    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.find(name)).unwrap_or_default()).into_owned()
    }

    /// This distribution's file that asks for a password.
    pub(crate) fn password_file(&self) -> Option<&'static str> {
        let here = |folder: &PathBuf| PASSWORD_FILES.into_iter().find(|name| folder.join(name).exists());
        self.all.iter().find_map(here)
    }

    /// A module's file; an absolute path is kept.
    fn module(&self, path: &str) -> PathBuf {
        let mut files = self.modules.iter().map(|folder| folder.join(path));
        files.clone().find(|file| file.exists()).or_else(|| files.next()).unwrap_or_else(|| path.into())
    }

    /// The file of a service: the first that is there.
    pub(crate) fn find(&self, name: &str) -> PathBuf {
        let mut places = self.all.iter().map(|folder| folder.join(name));
        places.clone().find(|path| path.exists()).or_else(|| places.next()).unwrap_or_default()
    }
}

impl Stack {
    /// One group of a service. If its file has no line of the group, the service `other` applies; not for auth, since a
    /// service without auth lines usually does not authenticate.
    pub(crate) fn read(folders: &Folders, service: &str, group: Group) -> Result<Self, Unreadable> {
        let mut stack = Self::default();
        stack.add(folders, service, (group, Group::Auth), 0, &mut Vec::new())?;
        if stack.entries.is_empty() && group != Group::Auth && folders.find("other").exists() {
            stack.add(folders, "other", (group, Group::Auth), 0, &mut Vec::new())?;
        }
        Ok(stack)
    }

    /// The lines that call a module of this file name.
    pub(crate) fn lines_of(&self, name: &str) -> impl Iterator<Item = (&Module, &Place)> {
        self.modules().filter(move |(module, _)| module.name() == name)
    }

    pub(crate) fn modules(&self) -> impl Iterator<Item = (&Module, &Place)> {
        self.entries.iter().filter_map(|entry| Some((entry.module()?, &entry.place)))
    }

    /// Adds the lines of a file for a group, beside which stands the one for which libpam takes lines of an unknown group.
    /// `from` are the include lines that led here, outermost first.
    fn add(
        &mut self,
        folders: &Folders,
        name: &str,
        (group, of_unknown): (Group, Group),
        level: usize,
        from: &mut Vec<Place>,
    ) -> Result<(), Unreadable> {
        let file = folders.find(name);
        let unreadable = |error| Unreadable { file: file.clone(), error, from: from.last().cloned() };
        if from.len() >= DEEPEST {
            return Err(unreadable(io::Error::other("it is included without end")));
        }
        // To libpam, a folder is an empty file.
        let text = if file.is_dir() { Vec::new() } else { fs::read(&file).map_err(unreadable)? };
        let text = String::from_utf8_lossy(&text);
        let at = |line| Place { file: file.clone(), line };
        self.disputed.extend(disputes(&text).into_iter().map(|(line, why)| (at(line), why)));
        for Line { number, mut words, is_whole, last: _ } in lines(&text) {
            let place = at(number);
            let garbled = Garbled::of(place.clone(), &words);
            if !is_whole {
                self.garbled.push(garbled.clone()); // of any group: libpam gives up the whole service
            }
            // To libpam CR is not a blank but a part of the last word. In an argument, that is the module's affair; ours
            // does not accept it.
            let is_needed = words.len() <= 3 || garbled.names_ours;
            let ends_in_cr =
                is_needed && words.last_mut().is_some_and(|last| last.ends_with('\r') && last.pop().is_some());
            let mut words = words.iter().map(String::as_str);
            let kind = words.next().unwrap_or_default();
            let (control, path, of_unknown) = if is_include_of_all(kind) {
                ("include", words.next().unwrap_or_default(), of_unknown)
            } else if Group::named(kind).unwrap_or(of_unknown) == group {
                (words.next().unwrap_or_default(), words.next().unwrap_or_default(), group)
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
                self.add(folders, path, (group, of_unknown), inner, from)?;
                from.pop();
                continue;
            }
            let understood = Control::parse(control);
            let is_broken = path.is_empty() || Group::named(kind).is_none();
            if is_broken || understood.is_none() || ends_in_cr {
                self.garbled.push(garbled);
            }
            let control = understood.unwrap_or_else(Control::refusing);
            let what = if is_broken {
                What::Broken(control)
            } else {
                let file = folders.module(path);
                let is_there = file.exists();
                What::Module(Module { file, is_there, control, arguments: words.map(str::to_owned).collect() })
            };
            self.entries.push(Entry { level, what, place });
        }
        Ok(())
    }
}

/// The folders of modules: those with pam_permit.so, which every libpam has.
fn module_folders() -> Vec<PathBuf> {
    let below = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let roots = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];
    let folders = roots.iter().flat_map(|root| below(root).chain([PathBuf::from(root)]));
    folders.map(|folder| folder.join("security")).filter(|folder| folder.join("pam_permit.so").exists()).collect()
}

/// Backup copies of editors, package managers and administrators.
pub(crate) fn is_leftover(name: &str) -> bool {
    name.starts_with('.')
        || [".bak", ".old", ".orig", ".save", "~"].iter().any(|end| name.ends_with(end))
        || [".dpkg-", ".pam-old", ".rpm", ".ucf-"].iter().any(|mark| name.contains(mark))
}
