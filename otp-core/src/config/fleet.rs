//! `fleet.toml`: the verifiers that the agent asks where a fleet keeps the records. `otp-agent join` writes it, and logins do not
//! read it.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use crate::config::error::ConfigError;
use crate::config::table::Source;

/// Most verifiers of a fleet.
const MOST_VERIFIERS: usize = 16;

/// The fleet of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// The name that this host goes by.
    pub host: String,
    /// In the order in which they are asked; at least one.
    pub verifiers: Vec<Verifier>,
}

/// Where a verifier is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// A name, or an address without brackets.
    pub name: String,
    pub port: u16,
}

impl Verifier {
    /// Reads `name:port`; an IPv6 address is in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = text.rsplit_once(':')?;
        let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok()).flatten()?;
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let name = match address {
            Some(address) => address.parse::<std::net::Ipv6Addr>().ok().map(|_| address)?,
            None => Some(name).filter(|name| is_host_name(name))?,
        };
        (port != 0).then(|| Self { name: name.to_owned(), port })
    }
}

/// Whether a text can be the name of a machine: letters, digits, hyphens, underscores and dots.
pub fn is_host_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let fits = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        fits && (1..=63).contains(&part.len()) && !part.starts_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

/// As it is read.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
            write!(f, "[{name}]:{port}")
        } else {
            write!(f, "{name}:{port}")
        }
    }
}

impl Fleet {
    /// The file.
    pub fn text(&self) -> String {
        let verifiers: Vec<_> = self.verifiers.iter().map(|verifier| format!("    \"{verifier}\",\n")).collect();
        format!(
            "# The fleet of this host, written by `otp-agent join`: see otp-agent(8).\n\
             # The name that this host goes by.\nhost = \"{}\"\n\
             # Verifiers, in the order in which they are asked.\nverifiers = [\n{}]\n",
            self.host,
            verifiers.concat()
        )
    }
}

/// What the file says, and all errors in it.
pub fn read(path: &Path, text: &str) -> (Fleet, Vec<ConfigError>) {
    let (mut fleet, errors) = (Fleet::default(), RefCell::default());
    let source = Source { path, text, errors: &errors };
    let document = source.document();
    let mut top = source.section(&document);
    top.set("host", &mut fleet.host, "the name of a machine", |value| {
        value.text(253).filter(|name| is_host_name(name))
    });
    let wanted = "a list of 1 to 16 verifiers, none of them twice, like [\"verifier-1.example.org:7443\"]";
    top.set("verifiers", &mut fleet.verifiers, wanted, |value| {
        let texts = value.texts(300).filter(|texts| texts.len() <= MOST_VERIFIERS)?;
        let verifiers = texts.iter().map(|text| Verifier::parse(text)).collect::<Option<Vec<_>>>()?;
        let is_first = |(at, verifier): (usize, _)| !verifiers.iter().take(at).any(|earlier| earlier == verifier);
        verifiers.iter().enumerate().all(is_first).then(|| verifiers.clone())
    });
    top.end();
    // A key that is missing is most often one that is misspelt, and named already.
    if top.errors() == 0 {
        for key in ["host", "verifiers"].into_iter().filter(|key| !top.has(key)) {
            top.error(&format!("the file needs {key}"));
        }
    }
    (fleet, errors.into_inner().all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(text: &str) -> Result<Fleet, String> {
        let (fleet, errors) = read(Path::new("/f"), text);
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        if errors.is_empty() { Ok(fleet) } else { Err(errors.join("\n")) }
    }

    fn verifier(name: &str, port: u16) -> Verifier {
        Verifier { name: name.into(), port }
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let verifiers = vec![verifier("v-1.example.org", 7443), verifier("192.0.2.1", 1), verifier("2001:db8::1", 443)];
        let written = Fleet { host: "web-1".into(), verifiers };
        assert_eq!(fleet(&written.text()), Ok(written));
    }

    #[test]
    fn an_error_names_file_line_and_key() {
        let wanted = "/f:2: verifiers must be a list of 1 to 16 verifiers, none of them twice, like [\"verifier-1.example.org:7443\"]";
        for verifiers in [
            "\"a:1\"",
            "[]",
            "[\"a\"]",
            "[\"a:0\"]",
            "[\"a:65536\"]",
            "[\"a:+1\"]",
            "[\":1\"]",
            "[\"a b:1\"]",
            "[\"a:1\", \"a:1\"]",
            "[\"[a]:1\"]",
            "[\"2001:db8::1:1\"]",
        ] {
            assert_eq!(fleet(&format!("host = \"a\"\nverifiers = {verifiers}\n")), Err(wanted.into()), "{verifiers}");
        }
        for (text, expected) in
            [("host = \"a\"\n", " the file needs verifiers"), ("verifiers = [\"a:1\"]\n", " the file needs host")]
        {
            assert!(fleet(text).unwrap_err().ends_with(expected), "{:?}", fleet(text));
        }
        let misspelt = fleet("host = \"a\"\nverifier = [\"a:1\"]\n");
        assert_eq!(misspelt, Err("/f:2: unknown key verifier; known keys: host, verifiers".into()));
        let text = "host = \"a/b\"\nverifiers = [\"a:1\"]\nport = 1\n";
        let expected = "/f:1: host must be the name of a machine\n/f:3: unknown key port; known keys: host, verifiers";
        assert_eq!(fleet(text), Err(expected.into()));
    }
}
