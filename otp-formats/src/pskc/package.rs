//! A key package becomes a token.

use otp_core::codes::hotp_totp::{Clock, Digits, Drift, Period};
use otp_core::codes::ocra::Suite;
use otp_core::record::credentials::Kind;
use otp_core::value::secret::Secret;
use otp_core::value::time::UnixTime;
use zeroize::Zeroizing;

use crate::pskc::cipher::{Keys, base64};
use crate::pskc::policy;
use crate::pskc::xml::{Element, Space};
use crate::seed::SeedFault;
use crate::tokens::{Token, algorithm};

/// Beginnings of the names of algorithms: those of RFC 6030 and of its drafts.
const PROFILES: [&str; 2] = ["urn:ietf:params:xml:ns:keyprov:pskc", "http://www.ietf.org/keyprov/pskc"];

/// What the codes of a key count.
enum Profile {
    Hotp,
    Totp,
    Ocra,
}

pub(super) fn token(package: &Element, keys: &Keys, now: UnixTime) -> Result<Token, String> {
    let mut all = package.children.iter().filter(|child| child.space == Space::Pskc && child.name == "Key");
    let key = all.next().ok_or("it has no key")?;
    if all.next().is_some() {
        return Err("it has more than one key".to_owned());
    }
    let profile = profile(key)?;
    let device = package.part("DeviceInfo");
    let mut remarks = Vec::new();
    policy::check(key, device, matches!(profile, Profile::Ocra), now, &mut remarks)?;

    let data = key.part("Data").ok_or("it has no data")?;
    let secret = value(data.part("Secret").ok_or("it has no seed")?, keys, true)?;
    let secret = Secret::new(secret).map_err(|_| format!("its seed cannot be used: {}", SeedFault::Length))?;
    let parameters = key.part("AlgorithmParameters");
    let (suite, length) = (parameters.map_or("", |parameters| parameters.text_of("Suite")), digits(parameters)?);
    let digits = length.unwrap_or(Digits::SIX);
    let counter = || {
        number(data, "Counter", keys)?
            .map_or(Ok(0), |counter| u64::try_from(counter).map_err(|_| "its counter is less than zero".to_owned()))
    };
    let mut token = match profile {
        Profile::Hotp => {
            let mut token = Token::new(Kind::Hotp, secret, algorithm(suite)?, digits);
            token.device.next = counter()?;
            token
        }
        Profile::Totp => {
            let period = number(data, "TimeInterval", keys)?.map_or(Ok(Period::THIRTY), |seconds| {
                Period::try_from(u64::try_from(seconds).unwrap_or(0)).map_err(str::to_owned)
            })?;
            let drift = number(data, "TimeDrift", keys)?.unwrap_or(0);
            let known = Drift::of(drift);
            if known.is_none() {
                remarks.push("its clock is too far off: it waits for a resync".to_owned());
            }
            let clock = Clock { period, drift: Some(known.unwrap_or(Drift::NONE)) };
            Token::new(Kind::Totp(clock), secret, algorithm(suite)?, digits)
        }
        Profile::Ocra => {
            let suite = Suite::parse(suite).filter(|suite| suite.is_for_logins());
            let suite = suite.ok_or("its OCRA suite cannot be used at logins")?;
            if length.is_some_and(|length| length != suite.digits()) {
                return Err("its suite and its response format have different numbers of digits".to_owned());
            }
            let mut token = Token::new(Kind::Ocra(suite), secret, suite.algorithm(), suite.digits());
            token.device.next = if suite.counts() { counter()? } else { 0 };
            token
        }
    };
    token.remarks = remarks;
    let of_device = |name| device.map_or("", |device| device.text_of(name));
    let user = [key.text_of("UserId"), of_device("UserId")].into_iter().find_map(user).unwrap_or_default();
    let name = [key.text_of("FriendlyName"), of_device("FriendlyName")].into_iter().find(|name| !name.is_empty());
    token.of(user, of_device("Manufacturer")).named(name.unwrap_or_default()).numbered(of_device("SerialNo"))
}

fn profile(key: &Element) -> Result<Profile, &'static str> {
    let name = key.attribute("Algorithm").ok_or("it does not say what its codes count")?;
    let name = PROFILES.iter().find_map(|profile| name.strip_prefix(profile)).unwrap_or_default();
    match name.trim_start_matches([':', '#']).to_ascii_lowercase().as_str() {
        "hotp" => Ok(Profile::Hotp),
        "totp" => Ok(Profile::Totp),
        "ocra" | "ocra-1" => Ok(Profile::Ocra),
        "pin" => Err("it is the PIN of a token, not a token"),
        _ => Err("its algorithm is none of HOTP, TOTP and OCRA"),
    }
}

/// How many digits the codes have, if that is said.
fn digits(parameters: Option<&Element>) -> Result<Option<Digits>, &'static str> {
    let Some(format) = parameters.and_then(|parameters| parameters.part("ResponseFormat")) else { return Ok(None) };
    if !format.attribute("Encoding").is_none_or(|encoding| encoding.eq_ignore_ascii_case("DECIMAL")) {
        return Err("its codes are not decimal");
    }
    if format.attribute("CheckDigits").is_some_and(|is_set| is_set != "false" && is_set != "0") {
        return Err("its codes have a check digit, which is not known here");
    }
    match format.attribute("Length") {
        Some(length) => Digits::try_from(length.parse::<u8>().unwrap_or(0)).map(Some),
        None => Ok(None),
    }
}

/// The bytes of a value. A plain one is Base64 if `is_binary`.
fn value(element: &Element, keys: &Keys, is_binary: bool) -> Result<Zeroizing<Vec<u8>>, String> {
    match (element.part("PlainValue"), element.part("EncryptedValue")) {
        (Some(_), Some(_)) => Err("a value is there both plain and encrypted".to_owned()),
        (Some(plain), None) if is_binary => Ok(base64(&plain.text)?),
        (Some(plain), None) => Ok(Zeroizing::new(plain.text.trim().as_bytes().to_vec())),
        (None, Some(encrypted)) => keys.open(element, encrypted),
        (None, None) => Err("a value is missing".to_owned()),
    }
}

/// A number of the key's data; none if it is not there.
fn number(data: &Element, name: &'static str, keys: &Keys) -> Result<Option<i64>, String> {
    let Some(element) = data.part(name) else { return Ok(None) };
    let bytes = value(element, keys, false)?;
    let text = str::from_utf8(&bytes).ok().map(|text| text.trim().trim_start_matches('+'));
    let number = text.and_then(|text| text.parse().ok());
    // RFC 6030 has encrypted numbers in four or eight bytes, the highest first. Some programs encrypt fewer, or decimal digits.
    let binary = || {
        let is_binary = element.part("EncryptedValue").is_some() && (1..=8).contains(&bytes.len());
        let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let signed = if let [a, b, c, d] = bytes[..] {
            Some(i32::from_be_bytes([a, b, c, d]).into())
        } else {
            i64::try_from(number).ok()
        };
        signed.filter(|_| is_binary)
    };
    number.or_else(binary).map(Some).ok_or_else(|| format!("its {name} is not a number"))
}

/// A user name: of a distinguished name, only its UID can be one.
fn user(text: &str) -> Option<&str> {
    if text.contains('=') {
        text.split([',', '+']).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("uid").then(|| value.trim())
        })
    } else {
        Some(text)
    }
    .filter(|user| !user.is_empty())
}
