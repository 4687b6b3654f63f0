//! The services of systemd, read from their files as systemd reads them: drop-ins, masks, other names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where units are, the folder that wins first (systemd.unit(5)).
const FOLDERS: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

const SUFFIX: &str = ".service";

/// A service with all its drop-ins.
#[derive(Debug)]
pub(super) struct Unit {
    /// `ssh.service`, `openvpn@.service`.
    pub(super) name: String,
    /// The assignments in its `[Service]` sections, in the order in which they apply.
    settings: Vec<(String, String)>,
}

impl Unit {
    /// The name without `.service` and without an instance: `ssh`, `openvpn@`.
    pub(super) fn stem(&self) -> &str {
        let stem = self.name.trim_end_matches(SUFFIX);
        template_of(stem).unwrap_or(stem)
    }

    /// The value of a setting that has one: the last that was assigned.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_on(&self, key: &str) -> bool {
        self.value(key).is_some_and(is_yes)
    }

    /// All values of a setting that is a list; an empty one forgets those before it.
    pub(super) fn values(&self, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for value in self.assigned(key) {
            if value.is_empty() {
                values.clear();
            } else {
                values.push(value);
            }
        }
        values
    }

    /// All that was assigned to a setting, empty values too.
    pub(super) fn assigned(&self, key: &str) -> impl Iterator<Item = &str> {
        self.settings.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    #[cfg(test)]
    pub(super) fn parse(name: &str, text: &str) -> Self {
        Self { name: name.into(), settings: settings(text) }
    }
}

/// What systemd takes for yes.
pub(super) fn is_yes(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

/// All services of this machine.
pub(super) fn all() -> Vec<Unit> {
    read(&FOLDERS.map(PathBuf::from))
}

/// All services in these folders, of which the first wins.
fn read(folders: &[PathBuf]) -> Vec<Unit> {
    let (mut names, mut other_names) = (BTreeSet::new(), BTreeMap::<String, Vec<String>>::new());
    for entry in folders.iter().flat_map(|folder| entries(folder)) {
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else { continue };
        if let Some(name) = name.strip_suffix(".d").filter(|name| name.ends_with(SUFFIX)) {
            names.insert(name.to_owned()); // an instance of a template may have nothing but drop-ins
        } else if name.ends_with(SUFFIX) {
            let target = fs::read_link(&entry).ok();
            match target.as_deref().and_then(Path::file_name).and_then(|target| target.to_str()) {
                Some(target) if target != name && target.ends_with(SUFFIX) => {
                    other_names.entry(target.to_owned()).or_default().push(name.to_owned());
                }
                Some(_) | None => {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names.into_iter().filter_map(|name| unit(folders, name, &other_names)).collect()
}

/// `None` if no file makes it a service, or if it is masked.
fn unit(folders: &[PathBuf], name: String, other_names: &BTreeMap<String, Vec<String>>) -> Option<Unit> {
    let stem = name.trim_end_matches(SUFFIX);
    let template = template_of(stem).map(|template| format!("{template}{SUFFIX}"));
    let files = [Some(&name), template.as_ref()].into_iter().flatten();
    let main = files.flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.exists())?;
    let text = fs::read_to_string(main).ok().filter(|text| !text.trim().is_empty())?; // a mask is empty
    let also = other_names.get(&name).into_iter().flatten().map(String::as_str);
    let mut settings = settings(&text);
    for drop_in in drop_ins(folders, also.chain([name.as_str()])) {
        settings.extend(self::settings(&fs::read_to_string(drop_in).unwrap_or_default()));
    }
    Some(Unit { name, settings })
}

/// The drop-ins of a service with these names, in the order in which they apply: by the name of the file, wherever it is.
fn drop_ins<'a>(folders: &[PathBuf], names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = PathBuf> {
    // What is written later here wins over a file of the same name.
    let mut specific = vec![format!("{}.d", SUFFIX.trim_start_matches('.'))];
    for name in names {
        let stem = name.trim_end_matches(SUFFIX);
        specific.extend(stem.match_indices('-').filter_map(|(at, _)| Some(format!("{}-{SUFFIX}.d", stem.get(..at)?))));
        specific.extend(template_of(stem).map(|template| format!("{template}{SUFFIX}.d")));
        specific.push(format!("{name}.d"));
    }
    let mut found = BTreeMap::new();
    for folder in folders.iter().rev() {
        for file in specific.iter().flat_map(|specific| entries(&folder.join(specific))) {
            let name = file.file_name().unwrap_or_default().to_owned();
            if Path::new(&name).extension().is_some_and(|end| end == "conf") {
                found.insert(name, file);
            }
        }
    }
    found.into_values()
}

/// `openvpn@` for `openvpn@office` and for itself.
fn template_of(stem: &str) -> Option<&str> {
    stem.split_inclusive('@').next().filter(|template| template.ends_with('@'))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The assignments of the sections `[Service]`. A backslash at its end continues a line; comments may stand between.
fn settings(text: &str) -> Vec<(String, String)> {
    let (mut found, mut here, mut line) = (Vec::new(), false, String::new());
    for part in text.lines().map(str::trim).filter(|part| !part.starts_with(['#', ';'])) {
        if let Some(begun) = part.strip_suffix('\\') {
            line.push_str(begun);
            line.push(' ');
            continue;
        }
        line.push_str(part);
        if line.starts_with('[') {
            here = line == "[Service]";
        } else if let Some((key, value)) = line.split_once('=').filter(|_| here) {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        line.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_line_goes_on_after_a_backslash_and_lists_add_up() {
        let text = "[Unit]\nUser=no\n[Service]\n# User=no\nUser=a\n User = b \nReadWritePaths=/a \\\n  # between\n  /b\n\
                    ReadWritePaths=-/c\nReadOnlyPaths=/x\nReadOnlyPaths=\nReadOnlyPaths=/y\nPrivateUsers=On\n[Install]\nUser=no\n";
        let unit = Unit::parse("x.service", text);
        assert_eq!((unit.value("User"), unit.value("Group")), (Some("b"), None));
        assert_eq!(unit.values("ReadWritePaths"), ["/a  /b", "-/c"]);
        assert_eq!(unit.values("ReadOnlyPaths"), ["/y"]);
        assert!(unit.is_on("PrivateUsers") && !unit.is_on("NoNewPrivileges"));
        assert_eq!(unit.assigned("ReadOnlyPaths").collect::<Vec<_>>(), ["/x", "", "/y"]);
    }

    #[test]
    fn drop_ins_apply_in_the_order_of_their_names_and_the_first_folder_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (etc, lib) = (folder.path().join("etc"), folder.path().join("lib"));
        write(&lib, "ssh.service", "[Service]\nUser=lib\nGroup=lib\n");
        write(&lib, "ssh.service.d/50.conf", "[Service]\nUser=fifty\n");
        write(&lib, "ssh.service.d/90.conf", "[Service]\nGroup=ninety of lib\n");
        write(&etc, "ssh.service.d/90.conf", "[Service]\nGroup=ninety of etc\n");
        write(&etc, "ssh.service.d/99.txt", "[Service]\nGroup=no\n");
        write(&etc, "service.d/10.conf", "[Service]\nUMask=0077\n");
        write(&etc, "other.service", "[Service]\nUser=etc\n");
        write(&lib, "other.service", "[Service]\nUser=lib\n");
        write(&lib, "masked.service", "[Service]\nUser=lib\n");
        symlink("/dev/null", etc.join("masked.service")).unwrap();
        write(&etc, "nothing.service.d/10.conf", "[Service]\nUser=no\n");
        let units = read(&[etc.clone(), lib.clone()]);
        let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["other.service", "ssh.service"]);
        let ssh = &units[1];
        assert_eq!((ssh.value("User"), ssh.value("Group")), (Some("fifty"), Some("ninety of etc")));
        assert_eq!((ssh.value("UMask"), units[0].value("User")), (Some("0077"), Some("etc")));

        // Debian's sshd.service is ssh.service, and a drop-in of either name applies.
        symlink(lib.join("ssh.service"), etc.join("sshd.service")).unwrap();
        write(&etc, "sshd.service.d/60.conf", "[Service]\nUser=sixty\n");
        let units = read(&[etc, lib]);
        let users: Vec<_> =
            units.iter().filter(|unit| unit.name == "ssh.service").map(|unit| unit.value("User")).collect();
        assert_eq!(users, [Some("sixty")]);
    }

    #[test]
    fn an_instance_has_the_drop_ins_of_its_template_and_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| write(folder.path(), file, text);
        write("open-vpn@.service", "[Service]\nUser=template\n");
        write("open-vpn@.service.d/a.conf", "[Service]\nGroup=template\n");
        write("open-.service.d/a.conf", "[Service]\nGroup=prefix\n");
        write("open-vpn@office.service.d/b.conf", "[Service]\nUser=office\n");
        let units = read(&[folder.path().to_owned()]);
        let told: Vec<_> = units
            .iter()
            .map(|unit| (unit.name.as_str(), unit.stem(), unit.value("User"), unit.value("Group")))
            .collect();
        assert_eq!(
            told,
            [
                ("open-vpn@.service", "open-vpn@", Some("template"), Some("template")),
                ("open-vpn@office.service", "open-vpn@", Some("office"), Some("template")),
            ]
        );
    }
}
