//! Where a code is sent: a telephone number (E.164) or an e-mail address.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::search;

/// How a code is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    Sms,
    Email,
}

/// A number or an address in the one spelling that records hold and programs are called with: `+61412345678`,
/// `alice@example.org`. It never begins with a hyphen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    channel: Channel,
    to: String,
}

/// What a person who looks over a shoulder may read of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masked {
    /// The last two digits of a number.
    Number(String),
    /// The first character and the domain of an address.
    Address(String, String),
}

/// Why a text is no destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// A number without `+` and country code.
    CountryCodeMissing,
    /// It has letters, or too many or too few digits, or a zero after the country code in parentheses.
    NotANumber,
    NotAnAddress,
}

impl Channel {
    pub const ALL: [Self; 2] = [Self::Sms, Self::Email];

    /// The word in records, log, JSON and configuration, and at the prompt.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
        }
    }
}

impl Destination {
    /// Reads what a person writes. Blanks, hyphens, dots and parentheses in a number do not count.
    pub fn parse(channel: Channel, text: &str) -> Result<Self, Unreachable> {
        let to = match channel {
            Channel::Sms => number(text)?,
            Channel::Email => address(text).ok_or(Unreachable::NotAnAddress)?,
        };
        Ok(Self { channel, to })
    }

    /// Reads only the spelling of [`Destination::as_str`].
    pub fn read(channel: Channel, text: &str) -> Option<Self> {
        Self::parse(channel, text).ok().filter(|destination| destination.to == text)
    }

    pub fn channel(&self) -> Channel {
        self.channel
    }

    pub fn as_str(&self) -> &str {
        &self.to
    }

    pub fn masked(&self) -> Masked {
        match (self.channel, self.to.split_once('@')) {
            (Channel::Email, Some((local, domain))) => {
                // The pipe carries letters, digits, hyphens and dots.
                let first = local.chars().next().filter(char::is_ascii_alphanumeric);
                Masked::Address(first.map_or_else(String::new, String::from), domain.to_owned())
            }
            (Channel::Sms | Channel::Email, _) => {
                let start = self.to.len().saturating_sub(2);
                Masked::Number(self.to.get(start..).unwrap_or_default().to_owned())
            }
        }
    }
}

impl Masked {
    /// The words on the pipe.
    pub fn words(&self) -> String {
        match self {
            Self::Number(end) => format!("sms {end}"),
            Self::Address(start, domain) => format!("email {start} {domain}"),
        }
    }

    /// Reads what [`Masked::words`] writes.
    pub fn read(words: &str) -> Option<Self> {
        match *words.split(' ').collect::<Vec<_>>() {
            ["sms", end] => Some(Self::Number(end.to_owned())),
            ["email", start, domain] => Some(Self::Address(start.to_owned(), domain.to_owned())),
            _ => None,
        }
    }
}

/// As in "a code was sent to …".
impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(end) => write!(f, "the number that ends in {end}"),
            Self::Address(start, domain) => write!(f, "{start}...@{domain}"),
        }
    }
}

/// E.164: a plus sign and 7 to 15 digits, of which the first is not 0.
fn number(text: &str) -> Result<String, Unreachable> {
    let text = text.trim();
    // "+61 (0)412 …": the zero is dialled within the country alone.
    if search::holds(text, "(0)") {
        return Err(Unreachable::NotANumber);
    }
    let plain: String = text.chars().filter(|letter| ![' ', '\u{a0}', '-', '.', '(', ')'].contains(letter)).collect();
    let Some(digits) = plain.strip_prefix('+') else {
        let is_number = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
        return Err(if is_number { Unreachable::CountryCodeMissing } else { Unreachable::NotANumber });
    };
    let fits = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits && !digits.starts_with('0') { Ok(plain) } else { Err(Unreachable::NotANumber) }
}

/// A local part of the characters that need no quotation marks (RFC 5321 §4.1.2), and a domain of letters, digits and hyphens.
fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.split_once('@')?;
    let in_atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    let local_fits = (1..=64).contains(&local.len())
        && !local.starts_with('-')
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(in_atom));
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let domain_fits = domain.len() <= 189 && domain.split('.').all(label_fits);
    (local_fits && domain_fits).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sms(text: &str) -> Result<String, Unreachable> {
        Destination::parse(Channel::Sms, text).map(|destination| destination.as_str().to_owned())
    }

    #[test]
    fn a_number_has_a_country_code_and_is_read_with_blanks_and_hyphens() {
        for text in ["+61412345678", " +61 412 345 678 ", "+61-412-345-678", "+61 (412) 345.678", "+61\u{a0}412345678"]
        {
            assert_eq!(sms(text).as_deref(), Ok("+61412345678"), "{text}");
        }
        for text in ["0412345678", "61412345678", "0061 412 345 678", "(0412) 345 678"] {
            assert_eq!(sms(text), Err(Unreachable::CountryCodeMissing), "{text}");
        }
        for text in [
            "",
            "+",
            "-i",
            "--",
            "alice",
            "+61 (0)412 345 678",
            "+0612345678",
            "+123456",
            "+1234567890123456",
            "+61412a45678",
            "+61412345678;rm",
            "+61412345678\n",
            "++61412345678",
            "٠٤١٢٣٤٥٦٧٨",
            "+٦١٤١٢٣٤٥٦٧٨",
        ] {
            // A newline at the end is a blank like others.
            let expected = if text.ends_with('\n') { Ok("+61412345678".into()) } else { Err(Unreachable::NotANumber) };
            assert_eq!(sms(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_address_needs_no_quotation_marks_and_is_no_option() {
        let email = |text: &str| Destination::parse(Channel::Email, text).map(|it| it.as_str().to_owned());
        for text in ["alice@example.org", "a.b+c@x", "o'neil@mail-1.example.org", &format!("{}@x", "a".repeat(64))] {
            assert_eq!(email(text).as_deref(), Ok(text));
        }
        assert_eq!(email("  alice@example.org ").as_deref(), Ok("alice@example.org"));
        for text in [
            "",
            "alice",
            "@example.org",
            "alice@",
            "-t@example.org",
            "--@x",
            "a b@x",
            "a@b@c",
            "\"a\"@x",
            "a,b@x",
            "a;b@x",
            "a\nb@x",
            "a@x\nBcc: b@y",
            "a@-x",
            "a@x-",
            "a@x..y",
            "a@[127.0.0.1]",
            "<a@x>",
            ".a@x",
            "a..b@x",
            "ä@x",
            "a@ä.org",
            &format!("{}@x", "a".repeat(65)),
            &format!("a@{}", "a".repeat(64)),
            &format!("a@{}x", "a.".repeat(95)),
        ] {
            assert_eq!(email(text), Err(Unreachable::NotAnAddress), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_of_a_destination_tells_its_owner_and_no_other() {
        for (channel, text, shown) in [
            (Channel::Sms, "+61412345678", "the number that ends in 78"),
            (Channel::Email, "alice@example.org", "a...@example.org"),
            (Channel::Email, "!alice@x", "...@x"),
        ] {
            let destination = Destination::parse(channel, text).unwrap();
            let masked = destination.masked();
            assert_eq!(masked.to_string(), shown);
            assert_eq!(Masked::read(&masked.words()), Some(masked));
            assert_eq!(Destination::read(channel, text), Some(destination));
            assert_eq!(Destination::read(channel, &format!("{text} ")), None);
        }
    }
}
