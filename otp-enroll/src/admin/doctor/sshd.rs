//! How sshd uses PAM, by its effective configuration: `sshd -T`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use super::finding::Finding;
use super::guarded::Guarded;
use super::sshd_files::{self, Unknown, program};
use crate::error::plain;

/// The PAM service of sshd.
pub(crate) const SERVICE: &str = "sshd";

pub(crate) const KEY_AND_CODE: &str = "AuthenticationMethods publickey,keyboard-interactive:pam";

/// A generic user and address (RFC 5737) to evaluate Match blocks for.
pub(crate) const GENERIC_USER: &str = "nobody";
pub(crate) const GENERIC_ADDRESS: &str = "192.0.2.1";

/// Methods and the options that enable them.
const METHODS: [(&str, &str); 5] = [
    ("publickey", "pubkeyauthentication"),
    ("hostbased", "hostbasedauthentication"),
    ("gssapi-with-mic", "gssapiauthentication"),
    ("keyboard-interactive", "kbdinteractiveauthentication"),
    ("password", "passwordauthentication"),
];

/// Settings of which each line adds a name.
const LISTS: [&str; 5] = ["allowusers", "allowgroups", "denyusers", "denygroups", "listenaddress"];

/// What Debian and Fedora include in its configuration.
pub(crate) const CONFIGURATIONS: &str = "/etc/ssh/sshd_config.d";

/// What sshd asks PAM.
#[derive(Debug, Default)]
pub(super) struct Asks {
    /// It asks PAM at no login, by any method.
    pub(super) nothing: bool,
    /// The methods that log users in without a code.
    pub(super) without_code: Vec<String>,
}

/// Checks the effective configuration, or another file. `has_others`: there may be servers with other settings.
pub(super) fn look_at(
    guarded: &Guarded,
    configuration: Option<&Path>,
    password_line: &str,
    has_network_rules: bool,
    has_others: bool,
    findings: &mut Vec<Finding>,
) -> Asks {
    match settings(configuration) {
        Ok(settings) => {
            if has_network_rules {
                findings.extend(names_for_addresses(&settings));
            }
            let by_user = has_match_blocks(configuration);
            let asks = judge(guarded, &settings, by_user || has_others, password_line, findings);
            if by_user {
                findings.push(Finding::note(
                    SERVICE,
                    "its Match blocks may change this for some users: only a generic user and address were checked"
                        .to_owned(),
                    "to check for alice: sshd -T -C user=alice,host=h,addr=192.0.2.7",
                ));
            }
            return asks;
        }
        Err(Unknown::Refused(why)) => findings.push(Finding::fault(
            SERVICE,
            format!("sshd rejects its configuration; after its next start no user can log in through it: {why}"),
            "correct it until sshd -t prints nothing",
        )),
        Err(Unknown::NotAsked(why)) => findings.push(Finding::warning(
            SERVICE,
            format!("its configuration could not be checked: {why}"),
            "if sshd is installed, start it, and run doctor again",
        )),
    }
    Asks::default()
}

/// Rules of networks match addresses, and sshd may report names.
fn names_for_addresses(settings: &Settings) -> Option<Finding> {
    let what = "UseDNS is on: sshd reports remote hosts by name, and no rule with a network matches a name (the strictest of \
                the rules that might match counts)";
    let is_on = settings.get("usedns").is_some_and(|value| value == "yes");
    is_on.then(|| Finding::warning(SERVICE, what.into(), "UseDNS no"))
}

/// Option names in lower case, and values.
pub(crate) type Settings = HashMap<String, String>;

/// What sshd has verified by itself before it asks PAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beforehand {
    /// A key, a host or a ticket, whichever of its lists of methods a login takes; or it never asks PAM.
    Proved,
    /// Nothing, for one of the lists.
    Nothing,
    /// Its configuration could not be checked.
    Unknown,
}

/// What sshd has verified before it asks PAM, for a generic user and address.
pub(super) fn beforehand(configuration: Option<&Path>) -> Beforehand {
    settings(configuration).map_or(Beforehand::Unknown, |settings| verified_first(&settings))
}

fn verified_first(settings: &Settings) -> Beforehand {
    let uses_pam = settings.get("usepam").is_some_and(|value| value == "yes");
    let begins_with_pam = |list: &Vec<String>| list.first().is_some_and(|method| asks_pam(method));
    // `password` is a question to PAM, too.
    if uses_pam && methods(settings).iter().any(begins_with_pam) { Beforehand::Nothing } else { Beforehand::Proved }
}

pub(crate) fn settings(configuration: Option<&Path>) -> Result<Settings, Unknown> {
    settings_for(configuration, GENERIC_USER, GENERIC_ADDRESS)
}

/// The settings for a login of this user from this address.
pub(crate) fn settings_for(configuration: Option<&Path>, user: &str, address: &str) -> Result<Settings, Unknown> {
    settings_with(configuration, &[], user, address)
}

/// The same for a server that was started with these options, which come before its configuration.
pub(crate) fn settings_with(
    configuration: Option<&Path>,
    options: &[String],
    user: &str,
    address: &str,
) -> Result<Settings, Unknown> {
    let mut sshd = Command::new(program()?);
    sshd.args(options.iter().flat_map(|option| ["-o", option]));
    sshd.args(["-T", "-C", &format!("user={user},host=host.invalid,addr={address},laddr=192.0.2.2,lport=22")]);
    if let Some(file) = configuration {
        sshd.arg("-f").arg(file);
    }
    let output = sshd.output().map_err(|error| Unknown::NotAsked(plain(&error)))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().replace("\r\n", "; ").replace('\n', "; ");
        // /run/sshd is made when sshd is started, which a socket may put off.
        let is_off = why.starts_with("Missing privilege separation directory");
        return Err(if is_off { Unknown::NotAsked(why) } else { Unknown::Refused(why) });
    }
    let mut settings = Settings::new();
    for (key, value) in String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.split_once(' ')) {
        let known = settings.entry(key.to_owned()).or_default();
        // A line for each name: `allowusers alice`, `allowusers bob`.
        if known.is_empty() || !LISTS.contains(&key) {
            value.clone_into(known);
        } else {
            *known += &format!(" {value}");
        }
    }
    Ok(settings)
}

/// The settings of each login, where Match blocks may make them differ.
#[derive(Clone)]
pub(super) struct SettingsOfLogins<'a> {
    configuration: Option<&'a Path>,
    generic: Settings,
    by_login: bool,
    /// So many may still be asked for: a process each.
    left: usize,
}

/// With Match blocks, no more users than these are looked at.
const MOST_ASKED: usize = 200;

impl<'a> SettingsOfLogins<'a> {
    /// `None` if sshd does not tell; that is reported elsewhere.
    pub(super) fn of(configuration: Option<&'a Path>) -> Option<Self> {
        let (generic, by_login) = (settings(configuration).ok()?, has_match_blocks(configuration));
        Some(Self { configuration, generic, by_login, left: MOST_ASKED })
    }

    /// Those of this login, and `None` if they are not known.
    pub(super) fn for_login(&mut self, user: &str, address: &str) -> Option<Cow<'_, Settings>> {
        if !self.by_login {
            return Some(Cow::Borrowed(&self.generic));
        }
        self.left = self.left.checked_sub(1)?;
        settings_for(self.configuration, user, address).ok().map(Cow::Owned)
    }
}

/// Whether settings depend on user or address, also where sshd does not tell.
pub(super) fn has_match_blocks(configuration: Option<&Path>) -> bool {
    sshd_files::read(configuration).map_or(true, |lines| lines.iter().any(|line| line.block.is_some()))
}

/// `password_line` is the PAM line that would ask for a password. `by_user`: other settings may hold for some logins.
pub(super) fn judge(
    guarded: &Guarded,
    settings: &Settings,
    by_user: bool,
    password_line: &str,
    findings: &mut Vec<Finding>,
) -> Asks {
    let setting = |key: &str| settings.get(key).map_or("", String::as_str);
    let is_on = |key: &str| setting(key) == "yes";
    if !is_on("usepam") {
        let what = "UsePAM is off: sshd does not ask PAM, and users need no code";
        findings.push(Finding::fault(SERVICE, what.into(), "UsePAM yes"));
        return Asks { nothing: !by_user, without_code: Vec::new() };
    }
    let methods = methods(settings);
    let alone = |methods: &Vec<String>| methods.iter().all(|method| asks_pam(method));
    let without = |methods: &Vec<String>| !methods.iter().any(|method| asks_pam(method));
    // The method `password` answers every question of PAM with the password.
    let as_one = is_on("passwordauthentication") && guarded.lines.iter().any(|(_, said)| said.forward_pass);
    let asking: Vec<&String> = methods.iter().flatten().filter(|method| asks_pam(method)).collect();
    if !asking.is_empty() && !as_one {
        if !is_on("kbdinteractiveauthentication") {
            let what = "KbdInteractiveAuthentication is off: users with a device cannot log in with a password (sshd cannot ask for \
                        the code)";
            findings.push(Finding::fault(SERVICE, what.into(), "KbdInteractiveAuthentication yes"));
        } else if methods
            .iter()
            .filter(|list| !without(list))
            .all(|list| list.iter().any(|method| method == "password"))
        {
            let what = "AuthenticationMethods lists `password`, which answers every question of PAM with the password, the \
                        one for the code too: users who must give a code are refused (why=malformed)";
            let fix = "replace password by keyboard-interactive:pam in AuthenticationMethods: it asks for both";
            findings.push(Finding::fault(SERVICE, what.into(), fix));
        } else if asking.iter().any(|method| *method == "password") {
            let what = "PasswordAuthentication is on: where a client takes the method `password`, sshd answers every question of \
                        PAM with the password, the one for the code too: users who must give a code are refused \
                        (why=malformed)";
            let fix = "PasswordAuthentication no: keyboard-interactive asks for the password, too";
            findings.push(Finding::warning(SERVICE, what.into(), fix));
        }
    }
    if methods.iter().any(alone) && guarded.by_nothing {
        findings.push(Finding::fault(
            SERVICE,
            format!("{}: users who need no code get in without a password or key", guarded.place()),
            &format!("{KEY_AND_CODE}, or ask for the password before that line: {password_line}"),
        ));
    } else if methods.iter().any(alone) && guarded.by_code_alone {
        findings.push(Finding::warning(
            SERVICE,
            format!("{}: a code alone, without a password or key, is enough", guarded.place()),
            &format!("if this is not intended: {KEY_AND_CODE}, or before that line: {password_line}"),
        ));
    }
    let without_code = without_code(&methods);
    if !asking.is_empty() {
        findings.extend(login_of_root(setting("permitrootlogin"), without_code.first().map(String::as_str)));
    }
    let nothing = asking.is_empty() && !by_user;
    // A line that came with a file for all services was not written for sshd.
    let own = guarded.lines.iter().find(|(place, _)| place.file.file_name().is_some_and(|name| name == SERVICE));
    if let Some((place, _)) = own.filter(|_| nothing) {
        findings.push(Finding::warning(
            SERVICE,
            format!(
                "{place}: sshd never comes to this line, since no method that it offers asks PAM: no login is asked for a code, \
                 and users without a key cannot log in"
            ),
            "KbdInteractiveAuthentication yes, and keyboard-interactive:pam in AuthenticationMethods where that is set; if \
             keys alone are intended, take that line out",
        ));
        return Asks { nothing, without_code: Vec::new() };
    }
    Asks { nothing, without_code }
}

/// The lists of methods that do not ask PAM, as they are written.
pub(super) fn without_code(methods: &[Vec<String>]) -> Vec<String> {
    let asks_nothing = |list: &&Vec<String>| !list.iter().any(|method| asks_pam(method));
    let mut lists: Vec<String> = methods.iter().filter(asks_nothing).map(|list| list.join(",")).collect();
    lists.dedup();
    lists
}

/// `without_code`: the methods that log users in without a code.
fn login_of_root(permitted: &str, without_code: Option<&str>) -> Option<Finding> {
    if !matches!(permitted, "prohibit-password" | "without-password" | "forced-commands-only") {
        return None;
    }
    Some(match without_code {
        None => Finding::warning(
            SERVICE,
            format!("PermitRootLogin is {permitted}: sshd refuses root's code"),
            "set PermitRootLogin yes (root then needs what other users need), or no",
        ),
        Some(methods) => Finding::note(
            SERVICE,
            format!(
                "PermitRootLogin is {permitted}: root logs in by {methods} alone and without a code; sshd refuses root's \
                 password and code (why=malformed)"
            ),
            &format!("if root must give a code: PermitRootLogin yes and {KEY_AND_CODE}"),
        ),
    })
}

/// The alternative lists of methods. sshd ignores lists with a disabled method.
pub(crate) fn methods(settings: &Settings) -> Vec<Vec<String>> {
    let is_on = |key: &str| settings.get(key).is_some_and(|value| value == "yes");
    let is_off = |method: &String| {
        let name = method.split(':').next();
        METHODS.iter().any(|(method, key)| Some(*method) == name && !is_on(key))
    };
    let lists: Vec<Vec<String>> = match settings.get("authenticationmethods").map(String::as_str) {
        None | Some("any") => METHODS.iter().map(|(method, _)| vec![(*method).to_owned()]).collect(),
        Some(lists) => lists.split_whitespace().map(|list| list.split(',').map(str::to_owned).collect()).collect(),
    };
    lists.into_iter().filter(|list| !list.iter().any(is_off)).collect()
}

pub(crate) fn asks_pam(method: &str) -> bool {
    matches!(method.split(':').next(), Some("keyboard-interactive" | "password"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use otp_core::config::module_arguments::Arguments;

    const USUAL: &str = "usepam yes\nkbdinteractiveauthentication yes\npubkeyauthentication yes\n\
                         passwordauthentication no\npermitrootlogin prohibit-password\n";

    /// What is found, as `severity: first words`.
    fn found(settings: &str, by_code_alone: bool, by_nothing: bool) -> Vec<String> {
        told(settings, false, "sshd", by_code_alone, by_nothing)
    }

    /// With Match blocks, or a line in this file.
    fn found_by(settings: &str, by_user: bool, file: &str) -> Vec<String> {
        told(settings, by_user, file, false, false)
    }

    fn told(settings: &str, by_user: bool, file: &str, by_code_alone: bool, by_nothing: bool) -> Vec<String> {
        let settings = (USUAL.to_owned() + settings)
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        let place = crate::pam::stack::Place { file: format!("/etc/pam.d/{file}").into(), line: 4 };
        let lines = vec![(place, Arguments::parse(&[]).unwrap())];
        let guarded = Guarded { name: "sshd".into(), lines, by_code_alone, by_nothing };
        let mut findings = Vec::new();
        let asks = judge(&guarded, &settings, by_user, "", &mut findings);
        findings.extend(super::super::key_alone::finding(&asks.without_code, &[]));
        findings.iter().map(|finding| format!("{}: {}", finding.severity.name(), finding.what)).collect()
    }

    #[test]
    fn a_key_alone_is_noted_and_both_are_not() {
        let alone = "note: publickey logs users in without a code: sshd does not ask PAM then";
        let root = "note: PermitRootLogin is prohibit-password: root logs in by publickey alone and without a code; sshd \
                    refuses root's password and code (why=malformed)";
        assert_eq!(found("", false, false), [root, alone]);
        assert_eq!(found("permitrootlogin forced-commands-only\n", false, false).len(), 2);
        for settings in ["permitrootlogin no\n", "permitrootlogin yes\n"] {
            assert_eq!(found(settings, false, false), [alone], "{settings}");
        }
        let both = "authenticationmethods publickey,keyboard-interactive:pam\npermitrootlogin yes\n";
        assert!(found(both, true, true).is_empty());
        let either = "authenticationmethods publickey,keyboard-interactive hostbased\nhostbasedauthentication yes\n";
        let by_host = found(either, true, true);
        assert!(by_host[0].contains("root logs in by hostbased alone"), "{by_host:?}");
        assert_eq!(by_host[1], "note: hostbased logs users in without a code: sshd does not ask PAM then");
    }

    #[test]
    fn questions_without_a_possible_answer_are_faults() {
        assert_eq!(
            found("usepam no\n", true, true),
            ["fault: UsePAM is off: sshd does not ask PAM, and users need no code"]
        );
        let off = found("kbdinteractiveauthentication no\npasswordauthentication yes\n", false, false);
        assert!(off[0].starts_with("fault: KbdInteractiveAuthentication is off"), "{off:?}");
        for lists in ["password,keyboard-interactive", "publickey,password password,keyboard-interactive:pam"] {
            let both = format!("passwordauthentication yes\npermitrootlogin no\nauthenticationmethods {lists}\n");
            let both = found(&both, false, false);
            assert!(both[0].starts_with("fault: AuthenticationMethods lists `password`"), "{both:?}");
        }
        let either = "passwordauthentication yes\npermitrootlogin no\nauthenticationmethods publickey,password keyboard-interactive\n";
        let either = found(either, false, false);
        assert!(either.len() == 1 && either[0].starts_with("warning: PasswordAuthentication is on"), "{either:?}");
        let both = found("passwordauthentication yes\npermitrootlogin no\n", false, false);
        assert!(both[0].starts_with("warning: PasswordAuthentication is on"), "{both:?}");
        let root = found("authenticationmethods publickey,keyboard-interactive:pam\n", false, false);
        assert_eq!(root, ["warning: PermitRootLogin is prohibit-password: sshd refuses root's code"]);
    }

    #[test]
    fn an_sshd_that_never_asks_pam_is_named_with_the_line_that_it_never_reaches() {
        let never = "warning: /etc/pam.d/sshd:4: sshd never comes to this line";
        for settings in ["kbdinteractiveauthentication no\n", "authenticationmethods publickey\n"] {
            let told = found(settings, false, false);
            assert!(told.len() == 1 && told[0].starts_with(never), "{told:?}");
            // For some users it may.
            let told = found_by(settings, true, "sshd");
            assert!(told.len() == 1 && told[0].starts_with("note: publickey logs users in"), "{told:?}");
            let told = found_by(settings, false, "common-auth");
            assert!(told.len() == 1 && told[0].starts_with("note: publickey logs users in"), "{told:?}");
        }
    }

    #[test]
    fn names_in_place_of_addresses_are_a_warning() {
        let settings = |value: &str| Settings::from([("usedns".to_owned(), value.to_owned())]);
        let found = names_for_addresses(&settings("yes")).unwrap();
        assert!(found.severity.name() == "warning" && found.what.starts_with("UseDNS is on: "), "{found:?}");
        assert!(names_for_addresses(&settings("no")).is_none() && names_for_addresses(&Settings::new()).is_none());
    }

    #[test]
    fn a_stack_without_a_password_wants_a_key_before_it() {
        let nothing = found("", true, true);
        assert_eq!(nothing[0], "fault: /etc/pam.d/sshd:4: users who need no code get in without a password or key");
        assert_eq!(
            found("", true, false)[0],
            "warning: /etc/pam.d/sshd:4: a code alone, without a password or key, is enough"
        );
    }
}
