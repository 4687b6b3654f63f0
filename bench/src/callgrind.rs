//! Instructions by object, and in our module by crate; and the functions that were run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Instructions by part.
#[derive(Clone, Default, Debug)]
pub(crate) struct Profile(pub(crate) BTreeMap<String, i64>);

impl Profile {
    /// Reads callgrind's format.
    pub(crate) fn read(text: &str) -> Profile {
        let mut parts = BTreeMap::new();
        each_cost(text, |object, function, cost| *parts.entry(part(object, function)).or_default() += cost);
        Profile(parts)
    }

    /// The difference to another count.
    pub(crate) fn less(mut self, other: &Profile) -> Profile {
        for (part, cost) in &other.0 {
            *self.0.entry(part.clone()).or_default() -= cost;
        }
        self
    }

    pub(crate) fn total(&self) -> u64 {
        u64::try_from(self.0.values().sum::<i64>()).unwrap_or(0)
    }
}

/// The functions of our module that were run, by the names of their symbols.
pub(crate) fn run_in_module(text: &str) -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    each_cost(text, |object, function, _| {
        if file_of(object) == MODULE {
            functions.insert(function.to_owned());
        }
    });
    functions
}

/// Each cost in callgrind's format: that of a function itself, without the functions that it calls.
fn each_cost(text: &str, mut take: impl FnMut(&str, &str, i64)) {
    let mut names = HashMap::<String, String>::new();
    let (mut object, mut function, mut of_callee) = (String::new(), String::new(), false);
    for line in text.lines() {
        if let Some((key, value)) = line.split_once('=') {
            // `(7) name` defines a name, `(7)` refers to it. Files, objects and functions have separate numbers.
            let kind = match key {
                "ob" | "cob" => "object",
                "fn" | "cfn" => "function",
                "calls" => {
                    of_callee = true;
                    continue;
                }
                _ => continue,
            };
            let (number, name) = value.split_once(' ').unwrap_or((value, ""));
            let name = if name.is_empty() {
                names.get(&format!("{kind}{number}")).cloned().unwrap_or_default()
            } else {
                names.insert(format!("{kind}{number}"), name.to_owned());
                name.to_owned()
            };
            match key {
                "ob" => object = name,
                "fn" => function = name,
                _ => {}
            }
        } else if line.starts_with(|first: char| first.is_ascii_digit() || ['+', '-', '*'].contains(&first)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<i64>().ok());
            if let Some(cost) = cost.filter(|_| !of_callee) {
                take(&object, &function, cost);
            }
            of_callee = false;
        }
    }
}

const MODULE: &str = "pam_otp.so";

fn file_of(object: &str) -> &str {
    object.rsplit('/').next().unwrap_or_default()
}

fn part(object: &str, function: &str) -> String {
    let file = file_of(object);
    if file.starts_with("ld-linux") {
        "dynamic loader".to_owned()
    } else if file.starts_with("libc.so") {
        "C library: memory, name service, syslog".to_owned()
    } else if file == MODULE {
        format!("{MODULE}: {}", of_crate(function))
    } else if file.starts_with("lib") {
        "libpam and libaudit".to_owned()
    } else {
        "the host itself".to_owned()
    }
}

/// The purpose of a function's crate.
fn of_crate(function: &str) -> &'static str {
    let first =
        |word: &str| function.split(|symbol: char| !symbol.is_alphanumeric() && symbol != '_').any(|part| part == word);
    let any = |words: &[&str]| words.iter().any(|word| first(word));
    if first("config") {
        "configuration"
    } else if any(&["sha1", "hmac", "factor_mac", "hotp_totp", "totp_rs", "oath"]) {
        "codes (HMAC-SHA-1)"
    } else if any(&["crc"]) {
        "checksums (CRC-64)"
    } else if any(&["base16ct", "base32ct", "record", "store", "recovery"]) {
        "records: read, checked, written"
    } else if any(&["core", "alloc", "std", "zeroize", "subtle"]) {
        "text and memory"
    } else {
        "the rest"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_charged_for_itself_and_not_for_what_it_calls() {
        let text = "events: Ir\nob=(1) /usr/lib/libc.so.6\nfl=(1) a.c\nfn=(1) malloc\n10 5\ncfn=(2) memset\n\
                    calls=3 7\n+2 900\n+1 6\nob=(2) /lib/security/pam_otp.so\nfn=(3) sha1::compress\n1 40\n\
                    fn=(1)\nob=(1)\nfn=(2)\n* 1\n";
        let profile = Profile::read(text);
        let part = |name: &str| profile.0.get(name).copied();
        assert_eq!(part("C library: memory, name service, syslog"), Some(12));
        assert_eq!(part("pam_otp.so: codes (HMAC-SHA-1)"), Some(40));
        assert_eq!(profile.total(), 52);
        assert_eq!(run_in_module(text), BTreeSet::from(["sha1::compress".to_owned()]));
    }
}
