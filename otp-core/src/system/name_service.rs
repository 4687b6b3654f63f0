//! The services that nsswitch.conf names for groups, asked in their order.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

use otp_nss::Answer;

/// The file that tells glibc which services to ask.
const CONFIGURATION: &str = "/etc/nsswitch.conf";

/// Larger than any such file that a person writes.
const LARGEST: usize = 16 << 10;

/// The text of the file; empty if there is none.
pub(super) fn configuration() -> io::Result<Vec<u8>> {
    let mut text = vec![0; LARGEST];
    let length = match File::open(CONFIGURATION) {
        Ok(mut file) => file.read(&mut text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    if length == LARGEST {
        return Err(ErrorKind::FileTooLarge.into());
    }
    text.truncate(length);
    Ok(text)
}

/// The services that are asked for the groups of a user, for administration.
pub fn of_groups() -> io::Result<Vec<Vec<u8>>> {
    let mut services = Vec::new();
    each_service(&configuration()?, |service| {
        services.push(service.to_vec());
        Answer::NotFound
    });
    Ok(services)
}

/// Asks the services that getgrouplist(3) asks, those of `initgroups` or else those of `group`. A service that fails ends
/// the search, and so does one after whose answer glibc asks no other.
pub(super) fn each_service(text: &[u8], mut ask: impl FnMut(&[u8]) -> Answer) -> Answer {
    let line = |database: &[u8]| {
        let mut lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.split(|byte| *byte == b'#').next()?.trim_ascii().strip_prefix(database)?;
            line.first().is_some_and(|byte| b": \t".contains(byte)).then_some(line)
        });
        lines.next_back()
    };
    let (line, may_end) = match line(b"initgroups") {
        Some(line) => (line, true),
        // Of `group` glibc asks every service, whatever one of them finds.
        None => (line(b"group").unwrap_or(b"files"), false),
    };
    let (mut answer, mut ends) = (Answer::Absent, false);
    for word in line.split(|byte| b": \t\r[]".contains(byte)).filter(|word| !word.is_empty()) {
        let status: &[u8] = match answer {
            Answer::Member | Answer::Failed(_) => return answer,
            Answer::NotMember => b"success",
            Answer::NotFound => b"notfound",
            Answer::Absent => b"unavail",
        };
        if let Some(equal) = word.iter().position(|byte| *byte == b'=') {
            // STATUS=ACTION or !STATUS=ACTION, about the service before it.
            let (named, action) = word.split_at(equal);
            let (others, named) = named.strip_prefix(b"!").map_or((false, named), |named| (true, named));
            if others != named.eq_ignore_ascii_case(status) {
                ends = action.eq_ignore_ascii_case(b"=return") && (may_end || answer != Answer::NotMember);
            }
        } else if ends {
            break;
        } else {
            answer = ask(word);
            ends = may_end && answer == Answer::NotMember;
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The services that are asked if each of them gives this answer.
    fn asked(text: &str, answer: Answer) -> String {
        let mut asked = String::new();
        each_service(text.as_bytes(), |service| {
            asked.push_str(std::str::from_utf8(service).unwrap());
            asked.push(' ');
            answer
        });
        asked.trim_end().to_owned()
    }

    #[test]
    fn the_services_are_those_that_glibc_asks() {
        for (text, not_found, not_member) in [
            ("", "files", "files"),
            ("passwd: sss\n", "files", "files"),
            ("groups: sss\ngroup: files systemd\n", "files systemd", "files systemd"),
            (" group :\tfiles sss # ldap\n#group: nis\n", "files sss", "files sss"),
            ("group: files [SUCCESS=merge] sss [SUCCESS=merge] systemd", "files sss systemd", "files sss systemd"),
            ("group: sss [NOTFOUND=return] files", "sss", "sss files"),
            ("group: sss[notfound=RETURN]files", "sss", "sss files"),
            ("group: sss [!UNAVAIL=return] files", "sss", "sss files"),
            ("group: sss [!NOTFOUND=return UNAVAIL=continue] files", "sss files", "sss files"),
            ("initgroups: files [SUCCESS=continue] sss\ngroup: nis", "files sss", "files sss"),
            ("group: nis\ninitgroups: files sss", "files sss", "files"),
            ("initgroups: sss [!UNAVAIL=return] files", "sss", "sss"),
            ("group: [", "", ""),
        ] {
            assert_eq!(asked(text, Answer::NotFound), not_found, "{text}");
            assert_eq!(asked(text, Answer::NotMember), not_member, "{text}");
            assert_eq!(asked(text, Answer::Failed(5)), not_found.split(' ').next().unwrap(), "{text}");
        }
    }

    #[test]
    fn a_service_that_is_not_installed_ends_nothing() {
        assert_eq!(asked("group: ldap [NOTFOUND=return] files", Answer::Absent), "ldap files");
    }
}
