//! The text of a PAM file with the lines that ask for a code. A pure function.

use crate::pam::pam_conf::{Control, Group, Line, is_include, is_include_of_all, is_substack, lines};
use crate::pam::stack::MODULE;

/// The files that ask for a password, as distributions include them: Debian and SUSE, Fedora, Arch, Alpine.
const PASSWORD_FILES: [&str; 7] = [
    "common-auth",
    "password-auth",
    "system-auth",
    "system-login",
    "system-local-login",
    "system-remote-login",
    "base-auth",
];

/// The module that asks for a password by itself.
const PASSWORD_MODULE: &str = "pam_unix.so";

/// As in the examples and the manual.
const CODE: &str = "auth     required   pam_otp.so\n";
/// Where users need no code, our module returns PAM_IGNORE; this one lets them in, after their key.
const PERMIT: &str = "auth     required   pam_permit.so\n";

/// Why the lines cannot be written into a text. Lines are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// No line asks for a password in a way that is known.
    NoPassword,
    /// This line ends in CR, which libpam takes for a part of its last word.
    EndsInCr(usize),
    /// The file ends after the backslash of this line.
    NotWhole(usize),
    /// The number in this line skips modules, and would skip the new line.
    SkippedBy(usize),
}

/// Lines that ask for a password.
pub(super) fn password_lines(text: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(text);
    lines(&text).iter().filter(|line| asks_for_password(line)).map(|line| line.number).collect()
}

/// Whether our lines stand in place of the password, as after `--key`: without ours, those below let every user in.
pub(super) fn is_without_password(text: &[u8]) -> bool {
    let read = String::from_utf8_lossy(text);
    let permits = |line: &Line| {
        line.words.first().and_then(|kind| Group::named(kind)) == Some(Group::Auth)
            && line.words.iter().any(|word| word.rsplit('/').next() == Some("pam_permit.so"))
    };
    password_lines(text).is_empty() && lines(&read).iter().any(permits)
}

/// Lines that call our module.
pub(super) fn our_lines(text: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(text);
    let is_ours = |line: &&Line| line.words.iter().any(|word| word.rsplit('/').next() == Some(MODULE));
    lines(&text).iter().filter(is_ours).map(|line| line.number).collect()
}

/// The text with our line after the last one that asks for a password; or, for `key`, with our lines in place of it. All
/// other bytes stay.
pub(super) fn with_code(text: &[u8], key: bool) -> Result<Vec<u8>, Unfit> {
    let read = String::from_utf8_lossy(text);
    let all = lines(&read);
    if let Some(line) = all.iter().find(|line| line.words.last().is_some_and(|word| word.ends_with('\r'))) {
        return Err(Unfit::EndsInCr(line.number));
    }
    if let Some(line) = all.iter().find(|line| !line.is_whole) {
        return Err(Unfit::NotWhole(line.number));
    }
    let auth: Vec<&Line> = all.iter().filter(|line| is_auth(line)).collect();
    let at = auth.iter().rposition(|line| asks_for_password(line)).ok_or(Unfit::NoPassword)?;
    let after = auth.get(at).map_or(0, |line| line.last);
    if let Some(line) = auth.iter().take(at.saturating_add(1)).enumerate().find_map(|(place, line)| {
        // A jump to the new line itself is as it should be. A line that is taken out shortens the way there.
        let reach = at.saturating_sub(place).saturating_sub(usize::from(key));
        (jump(line) > reach && !(key && asks_for_password(line))).then_some(line)
    }) {
        return Err(Unfit::SkippedBy(line.number));
    }
    let taken_out: Vec<(usize, usize)> =
        auth.iter().filter(|line| key && asks_for_password(line)).map(|line| (line.number, line.last)).collect();
    let mut written = Vec::with_capacity(text.len().saturating_add(80));
    for (number, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        if taken_out.iter().any(|(first, last)| (*first..=*last).contains(&number)) {
            written.push(b'#');
        }
        written.extend_from_slice(line);
        if number == after {
            if !line.ends_with(b"\n") {
                written.push(b'\n');
            }
            written.extend_from_slice(CODE.as_bytes());
            if key {
                written.extend_from_slice(PERMIT.as_bytes());
            }
        }
    }
    Ok(written)
}

/// The text with `include` in place of `substack` in this line, which stays as a comment. `None` if it is not a line by itself.
pub(super) fn with_include(text: &[u8], number: usize) -> Option<Vec<u8>> {
    let read = String::from_utf8_lossy(text);
    let all = lines(&read);
    let line = all.iter().find(|line| line.number == number && line.last == number)?;
    let control = line.words.get(1).filter(|control| is_substack(control))?;
    let mut written = Vec::with_capacity(text.len().saturating_add(80));
    for (at, line) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        if at == number {
            written.push(b'#');
            written.extend_from_slice(line);
            // Of the same length, so that columns stay: the words are ASCII, and the first of them is the control. In brackets,
            // a blank would be a part of the word.
            let line = str::from_utf8(line).ok()?;
            let bracketed = format!("[{control}]");
            let include = if line.contains(&bracketed) {
                line.replacen(&bracketed, "include   ", 1)
            } else {
                line.replacen(control.as_str(), "include ", 1)
            };
            written.extend_from_slice(include.as_bytes());
        } else {
            written.extend_from_slice(line);
        }
    }
    Some(written)
}

/// Whether libpam reads the line for logins. What it cannot read counts as one of them.
fn is_auth(line: &Line) -> bool {
    let kind = line.words.first().map_or("", String::as_str);
    is_include_of_all(kind) || Group::named(kind).unwrap_or(Group::Auth) == Group::Auth
}

fn asks_for_password(line: &Line) -> bool {
    let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
    let name = |path: &str| path.rsplit('/').next().map(str::to_owned).unwrap_or_default();
    match words.as_slice() {
        [kind, part, ..] if is_include_of_all(kind) => PASSWORD_FILES.contains(&name(part).as_str()),
        [kind, control, part, ..] if Group::named(kind) == Some(Group::Auth) => {
            if is_include(control) || is_substack(control) {
                PASSWORD_FILES.contains(&name(part).as_str())
            } else {
                name(part) == PASSWORD_MODULE
            }
        }
        _ => false,
    }
}

/// The most modules after it that the line skips.
fn jump(line: &Line) -> usize {
    let control = line.words.get(1).and_then(|word| Control::parse(word));
    control.map_or(0, |control| control.longest_jump())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str) -> Result<String, Unfit> {
        with_code(text.as_bytes(), false).map(|text| String::from_utf8(text).unwrap())
    }

    fn for_key(text: &str) -> Result<String, Unfit> {
        with_code(text.as_bytes(), true).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn the_line_comes_after_the_one_for_the_password() {
        for password in [
            "@include common-auth",
            "auth substack password-auth",
            "auth       include      system-remote-login",
            "auth include system-local-login",
            "auth include system-login",
            "auth\tINCLUDE\tcommon-auth",
            "AUTH substack system-auth",
            "-auth include /etc/pam.d/system-auth",
            "auth include base-auth",
            "auth required pam_unix.so try_first_pass",
            "auth [success=ok new_authtok_reqd=ok default=bad] /lib/security/pam_unix.so",
            "auth requisite pam_unix.so # the password",
        ] {
            let text = format!("#%PAM-1.0\nauth required pam_env.so\n{password}\naccount required pam_nologin.so\n");
            let expected = text.replace(password, &format!("{password}\nauth     required   pam_otp.so"));
            assert_eq!(added(&text).as_deref(), Ok(expected.as_str()));
        }
    }

    #[test]
    fn other_lines_are_no_password() {
        for text in [
            "",
            "\n",
            "#@include common-auth\n",
            "# auth required pam_unix.so\n",
            "account required pam_unix.so\nsession required pam_unix.so\npassword required pam_unix.so\n",
            "@include common-account\n",
            "auth required pam_permit.so\nauth include postlogin\naccount include password-auth\n",
            "auth required pam_unix2.so\n",
            "auth\nauth required\n@include\n",
        ] {
            assert_eq!(added(text), Err(Unfit::NoPassword), "{text}");
            assert_eq!(for_key(text), Err(Unfit::NoPassword), "{text}");
        }
    }

    #[test]
    fn a_file_without_a_line_end_gets_one() {
        assert_eq!(added("@include common-auth").unwrap(), "@include common-auth\nauth     required   pam_otp.so\n");
        let text = "@include common-auth\naccount required pam_unix.so";
        let expected = "@include common-auth\nauth     required   pam_otp.so\naccount required pam_unix.so";
        assert_eq!(added(text).unwrap(), expected);
    }

    #[test]
    fn a_line_that_goes_on_stays_whole() {
        let text = "auth \\\n  required \\\n# between\n  pam_unix.so\naccount required pam_unix.so\n";
        let expected = text.replace("pam_unix.so\naccount", "pam_unix.so\nauth     required   pam_otp.so\naccount");
        assert_eq!(added(text).unwrap(), expected);
        assert_eq!(added("@include common-auth\nauth required \\\n"), Err(Unfit::NotWhole(2)));
        let key = "#auth \\\n#  required \\\n## between\n#  pam_unix.so\nauth     required   pam_otp.so\n\
                   auth     required   pam_permit.so\naccount required pam_unix.so\n";
        assert_eq!(for_key(text).unwrap(), key);
    }

    #[test]
    fn line_ends_of_another_system_are_refused_where_libpam_stumbles() {
        assert_eq!(added("#%PAM-1.0\r\n@include common-auth\r\n"), Err(Unfit::EndsInCr(2)));
        assert_eq!(added("@include common-auth\naccount required pam_unix.so\r\n"), Err(Unfit::EndsInCr(2)));
        let harmless = "# a comment\r\n@include common-auth\n";
        assert_eq!(added(harmless).unwrap(), format!("{harmless}auth     required   pam_otp.so\n"));
    }

    #[test]
    fn of_several_passwords_the_last_counts() {
        let text = "auth sufficient pam_unix.so\nauth required pam_env.so\nauth include system-auth\nauth optional pam_cap.so\n";
        let expected = text.replace("system-auth\n", "system-auth\nauth     required   pam_otp.so\n");
        assert_eq!(added(text).unwrap(), expected);
        let key = "#auth sufficient pam_unix.so\nauth required pam_env.so\n#auth include system-auth\n\
                   auth     required   pam_otp.so\nauth     required   pam_permit.so\nauth optional pam_cap.so\n";
        assert_eq!(for_key(text).unwrap(), key);
    }

    #[test]
    fn no_jump_may_skip_the_new_line() {
        let unix =
            "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n";
        assert_eq!(added(unix), Err(Unfit::SkippedBy(1)));
        let onto = "auth [success=1 default=ignore] pam_succeed_if.so user = x\n@include common-auth\n";
        assert_eq!(added(onto).unwrap(), format!("{onto}auth     required   pam_otp.so\n"), "it lands on the new line");
        assert_eq!(for_key(onto), Err(Unfit::SkippedBy(1)), "one line less to skip");
        let over = onto.replace("success=1", "success=2");
        assert_eq!(added(&over), Err(Unfit::SkippedBy(1)));
        let later = "@include common-auth\nauth [success=1 default=ignore] pam_x.so\nauth required pam_y.so\n";
        assert!(added(later).is_ok(), "a jump after it");
    }

    #[test]
    fn a_substack_becomes_an_include() {
        let with =
            |text: &str, number| with_include(text.as_bytes(), number).map(|text| String::from_utf8(text).unwrap());
        let text = "#%PAM-1.0\nauth       substack     common-auth # substack\nauth required pam_otp.so\n";
        let expected = "#%PAM-1.0\n#auth       substack     common-auth # substack\nauth       include      common-auth # substack\n\
                        auth required pam_otp.so\n";
        assert_eq!(with(text, 2).as_deref(), Some(expected));
        assert_eq!(with("auth [substack] x\n", 1).as_deref(), Some("#auth [substack] x\nauth include    x\n"));
        assert_eq!(with("AUTH\tSubStack\tx\n", 1).as_deref(), Some("#AUTH\tSubStack\tx\nAUTH\tinclude \tx\n"));
        for (text, number) in
            [(text, 1), (text, 3), (text, 4), ("auth \\\n substack x\n", 1), ("auth include substack\n", 1)]
        {
            assert_eq!(with(text, number), None, "{text}");
        }
    }

    #[test]
    fn bytes_of_any_encoding_stay() {
        let text = b"# caf\xe9\n@include common-auth\n";
        let expected = b"# caf\xe9\n@include common-auth\nauth     required   pam_otp.so\n";
        assert_eq!(with_code(text, false).unwrap(), expected);
    }

    #[test]
    fn a_file_that_asks_for_no_password_is_known() {
        for (text, is_open) in [
            ("#@include common-auth\nauth required pam_otp.so\nauth required pam_permit.so\n", true),
            ("@include common-auth\nauth required pam_otp.so\nauth required pam_permit.so\n", false),
            ("auth required pam_otp.so\nsession required pam_permit.so\n", false),
        ] {
            assert_eq!(is_without_password(text.as_bytes()), is_open, "{text}");
        }
    }

    #[test]
    fn our_lines_are_found_in_any_group() {
        let text = b"auth required pam_unix.so\n# pam_otp.so\nauth required /lib/security/pam_otp.so nullok\n\
                     account required pam_otp.so\nauth required pam_otp.so.bak\n";
        assert_eq!(our_lines(text), [3, 4]);
        assert_eq!(password_lines(text), [1]);
    }
}
