//! What apps show as a QR code and export as text, one a line: `otpauth://totp/Example:alice?secret=…`.

use std::ops::Range;
use std::{io, iter};

use otp_core::codes::hotp_totp::{Clock, Digits, Period};
use otp_core::record::credentials::Kind;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::map::Map;
use crate::seed::{self, Encoding};
use crate::source::Read;
use crate::text::{Line, Parts, Text, line_at, unread};
use crate::tokens::{self, Format, Place, Token, Tokens, algorithm, without_domain};

/// A file of URIs.
pub struct File<T> {
    text: T,
    without_domain: bool,
}

/// Parses a whole file. Blank lines and lines that begin with # are skipped.
pub fn read<T: Text>(text: T, without_domain: bool, map: Map) -> io::Result<Read<Tokens<File<T>>>> {
    let file = File { text, without_domain };
    let mut lines = Parts::of(&file.text);
    let places = iter::from_fn(|| file.next(&mut lines).transpose());
    let (index, faults) = tokens::index(&file, places, &map)?;
    Ok(Read { entries: Tokens::of(file, index, map), faults })
}

/// A line without the byte order mark and blanks around it.
fn plain(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

impl<T: Text> File<T> {
    /// The next line with a token.
    fn next(&self, lines: &mut Parts<&T>) -> io::Result<Option<Place>> {
        while let Some(Line { number, place, bytes, is_too_long }) = lines.next_line()? {
            let line = plain(bytes);
            if is_too_long {
                return Ok(Some(Place { line: number, place, token: Err("it is too long".to_owned()) }));
            } else if !line.is_empty() && !line.starts_with(b"#") {
                return Ok(Some(Place { line: number, place, token: self.of_line(line) }));
            }
        }
        Ok(None)
    }

    fn of_line(&self, line: &[u8]) -> Result<Token, String> {
        token(str::from_utf8(line).map_err(|_| "it is not UTF-8")?, self.without_domain)
    }
}

impl<T: Text> Format for File<T> {
    fn token(&self, place: usize) -> Result<Token, String> {
        self.of_line(plain(&line_at(&self.text, place).map_err(|error| unread(&error))?))
    }

    fn range(&self, place: usize) -> io::Result<Range<usize>> {
        Ok(place..place.saturating_add(line_at(&self.text, place)?.len()))
    }
}

/// The parameters that are known. Others are ignored, as apps do.
#[derive(Default)]
struct Parameters {
    secret: Option<Zeroizing<String>>,
    issuer: String,
    algorithm: String,
    digits: String,
    period: String,
    counter: String,
    /// Some programs write it.
    serial: String,
}

impl Parameters {
    fn read(query: &str) -> Result<Self, String> {
        let mut read = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value);
            let place = match name.to_ascii_lowercase().as_str() {
                "secret" => {
                    read.secret = Some(value?);
                    continue;
                }
                "issuer" => &mut read.issuer,
                "algorithm" => &mut read.algorithm,
                "digits" => &mut read.digits,
                "period" => &mut read.period,
                "counter" => &mut read.counter,
                "serial" => &mut read.serial,
                _ => continue,
            };
            value?.trim().clone_into(place);
        }
        Ok(read)
    }
}

fn token(uri: &str, is_without_domain: bool) -> Result<Token, String> {
    let (scheme, rest) = uri.split_once("://").ok_or("it is no otpauth:// URI")?;
    if scheme.eq_ignore_ascii_case("otpauth-migration") {
        return Err("it holds the devices of an app together, in a form of its own: export them one by one".to_owned());
    }
    if !scheme.eq_ignore_ascii_case("otpauth") {
        return Err("it is no otpauth:// URI".to_owned());
    }
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (path, query) = rest.split_once('?').ok_or("it has no seed")?;
    let (kind, label) = path.split_once('/').unwrap_or((path, ""));
    let is_hotp = kind.eq_ignore_ascii_case("hotp");
    if !is_hotp && !kind.eq_ignore_ascii_case("totp") {
        return Err("its type is neither totp nor hotp".to_owned());
    }
    let Parameters { secret, issuer, algorithm: hash, digits, period, counter, serial } = Parameters::read(query)?;
    let secret = secret.ok_or("it has no seed")?;
    let secret = seed::read(secret.as_bytes(), Some(Encoding::Base32));
    let secret = secret.map_err(|fault| format!("its seed cannot be used: {fault}"))?;
    let digits = match digits.as_str() {
        "" => Digits::SIX,
        digits => Digits::try_from(digits.parse::<u8>().unwrap_or(0))?,
    };
    let kind = if is_hotp {
        Kind::Hotp
    } else {
        // A phone sets its clock, so it has no drift.
        Kind::Totp(Clock::of_app(match period.as_str() {
            "" => Period::THIRTY,
            period => Period::try_from(period.parse::<u64>().unwrap_or(0))?,
        }))
    };
    let mut token = Token::new(kind, secret, algorithm(&hash)?, digits);
    if is_hotp {
        token.device.next = counter.parse().map_err(|_| "it has no counter, or one that is not a number")?;
    }
    // A name with a colon is written with %3A, so the one that parts it from the issuer is looked for first.
    let account = match label.split_once(':') {
        Some((_, account)) => decoded(account)?,
        None => {
            let label = decoded(label)?;
            Zeroizing::new(label.split_once(':').map_or(label.as_str(), |(_, account)| account).to_owned())
        }
    };
    let account = account.trim();
    let account = if is_without_domain { without_domain(account) } else { account };
    token.of(account, &issuer).numbered(&serial)
}

/// Bytes that are written `%XX`. A plus is a plus: this is no form.
fn decoded(text: &str) -> Result<Zeroizing<String>, String> {
    // Large enough from the beginning: a text that grows leaves copies of itself behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    bytes.extend(percent_decode_str(text));
    let text = str::from_utf8(&bytes).map_err(|_| "a part of it is not UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use otp_core::codes::hotp_totp::{Algorithm, CodeConfig};
    use otp_core::decision::enrollment::Pending;
    use otp_core::record::credentials::DeviceName;

    use super::*;
    use crate::source::{Source, Whose};

    const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn of(uri: &str) -> Token {
        token(uri, false).unwrap_or_else(|what| panic!("{uri}: {what}"))
    }

    #[test]
    fn a_uri_is_read_as_apps_read_it() {
        let plain = of(&format!("otpauth://totp/alice?secret={BASE32}"));
        assert_eq!(plain.device.secret.expose(), b"12345678901234567890");
        assert_eq!(
            (plain.user.as_deref(), plain.device.digits, plain.device.algorithm),
            (Some("alice"), Digits::SIX, Algorithm::Sha1)
        );
        assert_eq!(plain.device.kind, Kind::Totp(Clock::of_app(Period::THIRTY)));
        assert!(!plain.device.is_confirmed);
        let full = of(&format!(
            "OTPAUTH://TOTP/Big%20Corp:%20alice%40example.org?issuer=Big%20Corp&secret={}%3D&algorithm=sha256&digits=8&\
             period=60&image=https%3A%2F%2Fx&serial=A%201#frag",
            BASE32.to_lowercase()
        ));
        assert_eq!((full.user.as_deref(), full.maker.as_deref()), (Some("alice@example.org"), Some("Big Corp")));
        assert_eq!((full.device.digits.get(), full.device.algorithm), (8, Algorithm::Sha256));
        assert_eq!(full.device.kind, Kind::Totp(Clock::of_app(Period::try_from(60).unwrap())));
        assert_eq!(full.device.serial.unwrap().as_str(), "A 1");
        let counted = of(&format!("otpauth://hotp/Corp%3Abob?secret={BASE32}&counter=7"));
        assert_eq!((counted.user.as_deref(), &counted.device.kind, counted.device.next), (Some("bob"), &Kind::Hotp, 7));
        let whole = format!("otpauth://totp/x:alice@example.org?secret={BASE32}");
        assert_eq!(token(&whole, true).map(|token| token.user).unwrap().as_deref(), Some("alice"));
    }

    #[test]
    fn what_our_own_qr_code_says_is_read_back() {
        let hour = CodeConfig {
            digits: Digits::try_from(8).unwrap(),
            period: Period::try_from(60).unwrap(),
            algorithm: Algorithm::Sha256,
        };
        let usual = CodeConfig { digits: Digits::SIX, period: Period::THIRTY, algorithm: Algorithm::Sha1 };
        for config in [hour, usual] {
            let seed = vec![7; config.algorithm.seed_length()];
            let pending = Pending::new(Zeroizing::new(seed), DeviceName::of_app(), &config, 1).unwrap();
            for user in ["alice", "DOM\\a b@c:d", "%41?&=#\u{e9}"] {
                let token = of(&pending.uri("Example: host", user));
                assert_eq!(
                    (token.user.as_deref(), token.device.digits, token.device.algorithm),
                    (Some(user), config.digits, config.algorithm)
                );
                assert_eq!(token.device.kind, Kind::Totp(Clock::of_app(config.period)));
                assert_eq!(token.device.secret.expose(), pending.secret().expose());
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_seed() {
        let with = |rest: &str| format!("otpauth://totp/alice?secret={BASE32}{rest}");
        for (uri, expected) in [
            (BASE32.to_owned(), "it is no otpauth:// URI"),
            (format!("https://x/?secret={BASE32}"), "it is no otpauth:// URI"),
            (
                "otpauth-migration://offline?data=x".into(),
                "it holds the devices of an app together, in a form of its own: export them one by one",
            ),
            (format!("otpauth://steam/alice?secret={BASE32}"), "its type is neither totp nor hotp"),
            ("otpauth://totp/alice".into(), "it has no seed"),
            ("otpauth://totp/alice?issuer=x".into(), "it has no seed"),
            ("otpauth://totp/alice?secret=".into(), "its seed cannot be used: there is no seed"),
            (
                format!("otpauth://totp/alice?secret={BASE32}1"),
                "its seed cannot be used: a seed in Base32 has A to Z and 2 to 7 alone",
            ),
            (with("&algorithm=MD5"), "its hash is none of SHA1, SHA256 and SHA512"),
            (with("&digits=5"), "a code has 6, 7 or 8 digits"),
            (with("&period=0"), "a period has 10 to 300 seconds"),
            (with("&issuer=%ff"), "a part of it is not UTF-8"),
            (format!("otpauth://hotp/alice?secret={BASE32}"), "it has no counter, or one that is not a number"),
            (with(&format!("&serial={}", "9".repeat(41))), "a serial number has 1 to 40 printable ASCII characters"),
        ] {
            assert_eq!(token(&uri, false).err().as_deref(), Some(expected), "{uri}");
        }
    }

    #[test]
    fn a_file_has_one_a_line() {
        let text =
            format!("\u{feff}otpauth://totp/alice?secret={BASE32}\r\n\r\n# bob\nnone\notpauth://totp/?secret={BASE32}");
        let Read { entries, faults } = read(text.as_bytes(), false, Map::default()).unwrap();
        assert_eq!((entries.count(), entries.entry(0).unwrap().whose), (1, Whose::User("alice".to_owned())));
        let faults: Vec<_> = faults.iter().map(|fault| (fault.line, fault.what.as_str())).collect();
        assert_eq!(faults, [(4, "it is no otpauth:// URI"), (5, "it has neither a user nor a serial number")]);
    }
}
