//! Users without a key, where sshd demands one of each login: a password does not let them in.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::User;
use otp_core::system::accounts;

use super::finding::{Finding, some};
use super::sshd::{self, GENERIC_ADDRESS, SERVICE, Settings, SettingsOfLogins};
use crate::error::plain;
use crate::ui::output::Output;
use crate::ui::progress::Progress;

/// More of a file of keys is not read.
const LONGEST: u64 = 1 << 20;

/// Whether a user has a key.
enum Key {
    Found,
    /// Not in files. Something else may know one.
    NotInFiles,
    /// A file cannot be read.
    Unknown(String),
}

/// Warns of these users, as far as they have no key.
pub(super) fn look_at(
    people: &BTreeSet<String>,
    mut settings: SettingsOfLogins<'_>,
    output: &Output,
    findings: &mut Vec<Finding>,
) {
    let (mut keyless, mut perhaps, mut unread, mut has_one) = (Vec::new(), Vec::new(), Vec::new(), false);
    let (mut files, mut others) = (BTreeSet::new(), BTreeSet::new());
    let mut progress = Progress::new("looking for keys", people.len(), output);
    for name in people {
        progress.step();
        let Some(settings) = settings.for_login(name, GENERIC_ADDRESS) else { break };
        if !is_allowed(&settings, name) {
            continue;
        }
        if !demands_key(&settings) {
            has_one = true; // or needs none
            continue;
        }
        let Ok(Some(user)) = User::from_name(name) else { continue };
        match key_of(&user, &settings) {
            Key::Found => has_one = true,
            Key::Unknown(why) => unread.push((name.clone(), why)),
            Key::NotInFiles => {
                let more = sources_besides_files(&settings);
                if more.is_empty() {
                    keyless.push(name.clone());
                } else {
                    perhaps.push(name.clone());
                }
                others.extend(more);
                files.extend(patterns(&settings).split_whitespace().map(str::to_owned));
            }
        }
    }
    progress.clear();
    let files = files.into_iter().collect::<Vec<_>>().join(" or ");
    if !keyless.is_empty() {
        let fix = "let them add a key while a password still lets them in (ssh-copy-id); to let them in with password and code \
                   instead, use the example key-or-password-and-code, with match.conf for sshd";
        let nobody = !has_one && perhaps.is_empty() && unread.is_empty() && !root_has_key(&mut settings);
        findings.push(if nobody {
            let what = format!("sshd demands a key of each login, and no user has one in {files}: no user can log in");
            Finding::fault(SERVICE, what, fix)
        } else {
            let what = format!(
                "sshd demands a key of each login, and {} cannot log in: they have no key in {files}",
                some(&keyless)
            );
            Finding::warning(SERVICE, what, fix)
        });
    }
    if !perhaps.is_empty() {
        let others = others.into_iter().collect::<Vec<_>>().join(" or ");
        findings.push(Finding::note(
            SERVICE,
            format!(
                "sshd demands a key of each login. No key of {} is in {files}; whether {others} gives them one is not known here",
                some(&perhaps)
            ),
            "make sure that each of them can log in with a key",
        ));
    }
    if let Some((_, why)) = unread.first() {
        let names: Vec<String> = unread.iter().map(|(name, _)| name.clone()).collect();
        findings.push(Finding::note(
            SERVICE,
            format!("sshd demands a key of each login. Whether {} have one could not be read: {why}", some(&names)),
            "make sure that each of them can log in with a key",
        ));
    }
}

/// Whether root gets in with a key; also true where sshd's settings or the key files cannot be read.
fn root_has_key(settings: &mut SettingsOfLogins<'_>) -> bool {
    let Some(settings) = settings.for_login("root", GENERIC_ADDRESS) else { return true };
    let Ok(Some(root)) = User::from_name("root") else { return false };
    is_allowed(&settings, "root") && !matches!(key_of(&root, &settings), Key::NotInFiles)
}

/// Whether each login needs a key and then an answer to PAM.
fn demands_key(settings: &Settings) -> bool {
    let lists = sshd::methods(settings);
    let with_key = |list: &Vec<String>| list.iter().any(|method| method.split(':').next() == Some("publickey"));
    let asks = |list: &Vec<String>| list.iter().any(|method| sshd::asks_pam(method));
    lists.iter().all(with_key) && lists.iter().any(asks)
}

/// Whether sshd lets this user in at all. A pattern of hosts counts as one that matches.
fn is_allowed(settings: &Settings, name: &str) -> bool {
    let words = |key: &str| settings.get(key).map_or("", String::as_str).split_whitespace();
    let is_user = |pattern: &str| is_like(pattern.split('@').next().unwrap_or_default(), name);
    let in_group = |pattern: &str| {
        let account = || accounts::account(name).ok().flatten();
        let is_plain = !pattern.contains(['*', '?', '!']);
        is_plain.then(|| account().is_some_and(|account| accounts::is_member(&account, pattern).unwrap_or(false)))
    };
    // With `prohibit-password` root had no other way in before either.
    let is_root_refused = name == "root" && words("permitrootlogin").next() != Some("yes");
    let is_denied = words("denyusers").any(|pattern| !pattern.contains('@') && is_user(pattern))
        || words("denygroups").any(|pattern| in_group(pattern) == Some(true));
    let is_listed = |key: &str, is_one: &dyn Fn(&str) -> bool| words(key).next().is_none() || words(key).any(is_one);
    !is_root_refused
        && !is_denied
        && is_listed("allowusers", &is_user)
        && is_listed("allowgroups", &|pattern| in_group(pattern) != Some(false))
}

/// Whether a name matches a pattern with `*` and `?`.
fn is_like(pattern: &str, name: &str) -> bool {
    let mut letters = pattern.chars();
    match letters.next() {
        None => name.is_empty(),
        Some('*') => name
            .char_indices()
            .map(|(at, _)| at)
            .chain([name.len()])
            .any(|at| name.get(at..).is_some_and(|rest| is_like(letters.as_str(), rest))),
        Some(letter) => {
            let mut rest = name.chars();
            rest.next().is_some_and(|first| letter == '?' || first == letter)
                && is_like(letters.as_str(), rest.as_str())
        }
    }
}

/// What may know keys besides files.
pub(crate) fn sources_besides_files(settings: &Settings) -> Vec<&'static str> {
    let is_set = |key: &str| settings.get(key).is_some_and(|value| value != "none" && !value.is_empty());
    let all = [
        ("authorizedkeyscommand", "AuthorizedKeysCommand"),
        ("trustedusercakeys", "a certificate (TrustedUserCAKeys)"),
    ];
    all.into_iter().filter(|(key, _)| is_set(key)).map(|(_, name)| name).collect()
}

fn patterns(settings: &Settings) -> Cow<'_, str> {
    let default = ".ssh/authorized_keys .ssh/authorized_keys2";
    settings.get("authorizedkeysfile").map_or(default.into(), |files| files.as_str().into())
}

fn key_of(user: &User, settings: &Settings) -> Key {
    let mut unread = None;
    for pattern in patterns(settings).split_whitespace().filter(|pattern| *pattern != "none") {
        let path = file_of_keys(pattern, &user.dir, &user.name, user.uid.as_raw());
        match has_key(&path) {
            Ok(true) => return Key::Found,
            Ok(false) => {}
            Err(error) => unread = Some(format!("{}: {}", path.display(), plain(&error))),
        }
    }
    unread.map_or(Key::NotInFiles, Key::Unknown)
}

/// A user's file, as AuthorizedKeysFile names it with the tokens of sshd_config(5). A relative one is in the home folder.
pub(crate) fn file_of_keys(pattern: &str, home: &Path, name: &str, uid: u32) -> PathBuf {
    let (mut path, mut letters) = (String::new(), pattern.chars());
    while let Some(letter) = letters.next() {
        match (letter, letter == '%') {
            (_, true) => match letters.next() {
                Some('h') => path.push_str(&home.to_string_lossy()),
                Some('u') => path.push_str(name),
                Some('U') => path.push_str(&uid.to_string()),
                Some(other) => path.push(other),
                None => {}
            },
            (other, false) => path.push(other),
        }
    }
    home.join(path)
}

/// Whether a file has a line that may be a key. It may be the user's: nothing but a file is opened, and nothing waits.
fn has_key(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Ok(false),
        Ok(_) => {}
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    for line in BufReader::new(file.take(LONGEST)).split(b'\n') {
        let line = line?;
        let line = line.trim_ascii();
        if !line.is_empty() && !line.starts_with(b"#") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(lines: &str) -> Settings {
        lines.lines().filter_map(|line| line.split_once(' ')).map(|(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn a_key_is_demanded_where_no_list_goes_without() {
        let on =
            "usepam yes\npubkeyauthentication yes\nkbdinteractiveauthentication yes\nhostbasedauthentication yes\n";
        for (lists, expected) in [
            ("publickey,keyboard-interactive:pam", true),
            ("publickey,keyboard-interactive:pam publickey,hostbased", true),
            ("publickey,keyboard-interactive hostbased,keyboard-interactive", false),
            ("publickey,keyboard-interactive keyboard-interactive", false),
            ("publickey", false),
            ("any", false),
        ] {
            assert_eq!(demands_key(&settings(&format!("{on}authenticationmethods {lists}"))), expected, "{lists}");
        }
    }

    #[test]
    fn those_whom_sshd_refuses_anyway_miss_no_key() {
        for (lines, expected) in [
            ("", true),
            ("allowusers bob", false),
            ("allowusers bob alice", true),
            ("allowusers al*", true),
            ("allowusers alice@192.0.2.*", true),
            ("denyusers alice", false),
            ("denyusers ?lice", false),
            ("denyusers alice@192.0.2.*", true),
            ("denyusers bob", true),
            ("allowgroups no-such-group", false),
            ("allowgroups adm*", true),
        ] {
            assert_eq!(is_allowed(&settings(lines), "alice"), expected, "{lines}");
        }
        for (permitted, expected) in [("no", false), ("prohibit-password", false), ("yes", true)] {
            assert_eq!(is_allowed(&settings(&format!("permitrootlogin {permitted}")), "root"), expected, "{permitted}");
        }
    }

    #[test]
    fn a_file_of_keys_has_one_that_is_no_comment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        assert!(!has_key(&path).unwrap());
        for (text, expected) in
            [("", false), ("\n \n", false), ("# ssh-ed25519 AAAA x\n", false), ("# x\nssh-ed25519 AAAA x", true)]
        {
            fs::write(&path, text).unwrap();
            assert_eq!(has_key(&path).unwrap(), expected, "{text:?}");
        }
        assert!(!has_key(folder.path()).unwrap());
        assert!(!has_key(&path.join("below")).unwrap());
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(!has_key(&path).unwrap(), "it does not wait");
    }

    #[test]
    fn files_of_keys_are_found_as_sshd_does() {
        let home = "/root";
        for (pattern, expected) in [
            (".ssh/authorized_keys", format!("{home}/.ssh/authorized_keys")),
            ("%h/keys", format!("{home}/keys")),
            ("/etc/ssh/keys/%u", "/etc/ssh/keys/root".to_owned()),
            ("/k/%U/100%%", "/k/0/100%".to_owned()),
        ] {
            assert_eq!(file_of_keys(pattern, Path::new(home), "root", 0), PathBuf::from(expected), "{pattern}");
        }
    }
}
