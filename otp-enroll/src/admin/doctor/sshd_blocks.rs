//! Match blocks of sshd: what each of them makes of the settings that decide about logins. Each is taken for itself.

use super::sshd::Settings;
use super::sshd_files::Line;

/// Options of a Match block that decide which methods there are, as the file and as `sshd -T` spells them.
const OPTIONS: [(&str, &str); 10] = [
    ("passwordauthentication", "passwordauthentication"),
    ("kbdinteractiveauthentication", "kbdinteractiveauthentication"),
    ("challengeresponseauthentication", "kbdinteractiveauthentication"),
    ("skeyauthentication", "kbdinteractiveauthentication"),
    ("permitrootlogin", "permitrootlogin"),
    ("pubkeyauthentication", "pubkeyauthentication"),
    ("hostbasedauthentication", "hostbasedauthentication"),
    ("gssapiauthentication", "gssapiauthentication"),
    ("authenticationmethods", "authenticationmethods"),
    ("pamservicename", "pamservicename"),
];

/// A block that changes one of them.
#[derive(Debug)]
pub(crate) struct Block {
    /// `/etc/ssh/sshd_config:12`
    pub(crate) place: String,
    /// The words after Match: which logins it is for.
    pub(crate) criteria: Vec<String>,
    /// The settings where it holds.
    pub(crate) settings: Settings,
}

/// The blocks of a configuration, on top of the settings without them.
pub(crate) fn blocks(lines: &[Line], generic: &Settings) -> Vec<Block> {
    let begins = lines.iter().enumerate().filter(|(at, line)| line.block == Some(*at));
    begins.filter_map(|(at, line)| block(lines, at, line, generic)).collect()
}

fn block(lines: &[Line], at: usize, head: &Line, generic: &Settings) -> Option<Block> {
    let mut own = Settings::new();
    for line in lines.iter().filter(|line| line.block == Some(at)) {
        let known = OPTIONS.iter().find(|(keyword, _)| *keyword == line.keyword);
        if let Some((_, setting)) = known {
            // Of several lines the first counts.
            own.entry((*setting).to_owned()).or_insert_with(|| line.values.join(" "));
        }
    }
    if own.is_empty() {
        return None;
    }
    let settings = generic.clone().into_iter().chain(own).collect();
    Some(Block { place: format!("{}:{}", head.file.display(), head.number), criteria: head.values.clone(), settings })
}

impl Block {
    /// The users that it is for, where it names them all.
    pub(crate) fn users(&self) -> Option<Vec<&str>> {
        let [criterion, names] = self.criteria.as_slice() else { return None };
        let names: Vec<&str> = names.split(',').collect();
        let is_name = |name: &&str| !name.is_empty() && !name.contains(['*', '?', '!', '@']);
        (criterion.eq_ignore_ascii_case("user") && names.iter().all(is_name)).then_some(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_is_without_it_and_its_own_lines() {
        let line = |keyword: &str, values: &[&str], block| Line {
            file: "/c".into(),
            number: 7,
            keyword: keyword.into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            block,
        };
        let lines = [
            line("passwordauthentication", &["no"], None),
            line("match", &["User", "alice,bob"], Some(1)),
            line("challengeresponseauthentication", &["no"], Some(1)),
            line("kbdinteractiveauthentication", &["yes"], Some(1)),
            line("match", &["Address", "192.0.2.0/24"], Some(4)),
            line("x11forwarding", &["no"], Some(4)),
            line("match", &["User", "*,!bob"], Some(6)),
            line("authenticationmethods", &["publickey", "password"], Some(6)),
        ];
        let generic = Settings::from([("passwordauthentication".into(), "no".into())]);
        let blocks = blocks(&lines, &generic);
        let told = |block: &Block, key: &str| block.settings.get(key).cloned().unwrap_or_default();
        let [first, second] = blocks.as_slice() else { panic!("{blocks:?}") };
        assert_eq!((first.place.as_str(), told(first, "kbdinteractiveauthentication").as_str()), ("/c:7", "no"));
        assert_eq!(told(first, "passwordauthentication"), "no");
        assert_eq!(first.users(), Some(vec!["alice", "bob"]));
        assert_eq!(told(second, "authenticationmethods"), "publickey password");
        assert_eq!(second.users(), None);
    }
}
