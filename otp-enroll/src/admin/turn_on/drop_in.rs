//! The drop-in with which sshd asks for a code, and where its configuration would read it. Pure functions.

use crate::admin::doctor::sshd::Settings;
use crate::admin::doctor::sshd_files::words;

/// The drop-in. Of several files that set an option, sshd takes the first, in the order of their names.
pub(super) const FILE: &str = "/etc/ssh/sshd_config.d/00-pam_otp.conf";

/// Patterns with which a configuration includes the folder.
const PATTERNS: [&str; 2] = ["/etc/ssh/sshd_config.d/*.conf", "sshd_config.d/*.conf"];

/// Options and values, as `sshd -T` spells them and as people do.
const OPTIONS: [(&str, &str, &str); 3] = [
    ("usepam", "UsePAM", "yes"),
    ("kbdinteractiveauthentication", "KbdInteractiveAuthentication", "yes"),
    ("passwordauthentication", "PasswordAuthentication", "no"),
];
const METHODS: (&str, &str, &str) =
    ("authenticationmethods", "AuthenticationMethods", "publickey,keyboard-interactive:pam");

fn options(key: bool) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    OPTIONS.into_iter().chain(key.then_some(METHODS))
}

/// Its text.
pub(super) fn text(key: bool) -> String {
    let mut text = "# Written by otp-enroll admin turn-on; otp-enroll admin turn-off removes it.\n".to_owned();
    for (_, name, value) in options(key) {
        text += &format!("{name} {value}\n");
    }
    text
}

/// The options that are set otherwise, as people write them.
pub(super) fn unmet(settings: &Settings, key: bool) -> Vec<String> {
    let is_unmet = |(name, _, value): &(&str, &str, &str)| settings.get(*name).is_none_or(|set| set != value);
    options(key).filter(is_unmet).map(|(_, name, value)| format!("{name} {value}")).collect()
}

/// A configuration that reads these files where it included the folder; `None` if it does not include it, or only for
/// some logins.
pub(super) fn with_files(configuration: &str, files: &[String]) -> Option<String> {
    let mut draft = String::with_capacity(configuration.len().saturating_add(200));
    let mut is_included = false;
    for line in configuration.split_inclusive('\n') {
        let words = words(line);
        let keyword = words.first().map_or("", String::as_str);
        if keyword.eq_ignore_ascii_case("match") && !is_included {
            return None;
        }
        let here = keyword.eq_ignore_ascii_case("include") && !is_included;
        let is_folder = |word: &String| here && PATTERNS.contains(&word.as_str());
        if words.iter().skip(1).any(is_folder) {
            is_included = true;
            let named: Vec<&str> = words
                .iter()
                .skip(1)
                .flat_map(|word| if is_folder(word) { files.iter().collect() } else { vec![word] })
                .map(String::as_str)
                .collect();
            for file in named {
                draft += &format!("Include \"{file}\"\n");
            }
        } else {
            draft += line;
        }
    }
    is_included.then_some(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<String> {
        ["/a/00-pam_otp.conf", "/a/50.conf"].map(str::to_owned).to_vec()
    }

    #[test]
    fn the_drop_in_says_what_the_manual_says() {
        assert_eq!(
            text(true).lines().skip(1).collect::<Vec<_>>(),
            [
                "UsePAM yes",
                "KbdInteractiveAuthentication yes",
                "PasswordAuthentication no",
                "AuthenticationMethods publickey,keyboard-interactive:pam"
            ]
        );
        assert_eq!(text(false).lines().count(), 4);
    }

    #[test]
    fn what_is_set_otherwise_is_named() {
        let mut settings: Settings =
            text(false).lines().skip(1).filter_map(|line| line.split_once(' ')).map(pair).collect();
        assert!(unmet(&settings, false).is_empty());
        assert_eq!(unmet(&settings, true), ["AuthenticationMethods publickey,keyboard-interactive:pam"]);
        settings.insert("passwordauthentication".into(), "yes".into());
        settings.remove("usepam");
        assert_eq!(unmet(&settings, false), ["UsePAM yes", "PasswordAuthentication no"]);
    }

    fn pair((name, value): (&str, &str)) -> (String, String) {
        (name.to_ascii_lowercase(), value.to_owned())
    }

    #[test]
    fn the_files_are_read_where_the_folder_was_included() {
        let head = "# x\nPort 22\n";
        for include in [
            "Include /etc/ssh/sshd_config.d/*.conf\n",
            "  include \"/etc/ssh/sshd_config.d/*.conf\" # all\n",
            "Include=sshd_config.d/*.conf\n",
            "Include = sshd_config.d/*.conf\n",
        ] {
            let draft = with_files(&format!("{head}{include}UsePAM no\nMatch User x\n"), &files()).unwrap();
            let expected =
                format!("{head}Include \"/a/00-pam_otp.conf\"\nInclude \"/a/50.conf\"\nUsePAM no\nMatch User x\n");
            assert_eq!(draft, expected, "{include}");
        }
        let more = with_files("Include /x /etc/ssh/sshd_config.d/*.conf /y\n", &files()).unwrap();
        assert_eq!(more, "Include \"/x\"\nInclude \"/a/00-pam_otp.conf\"\nInclude \"/a/50.conf\"\nInclude \"/y\"\n");
    }

    #[test]
    fn a_folder_that_is_not_read_for_all_logins_is_none() {
        for text in [
            "",
            "#Include /etc/ssh/sshd_config.d/*.conf\n",
            "Include /etc/ssh/other.d/*.conf\n",
            "Include /etc/ssh/sshd_config.d/mine.conf\n",
            "Match User x\n Include /etc/ssh/sshd_config.d/*.conf\n",
        ] {
            assert_eq!(with_files(text, &files()), None, "{text}");
        }
    }
}
