//! How long a certificate lives. Nothing else of it is read here; who signed it, and for what, rustls and the verifiers judge.

use otp_core::value::time::UnixTime;

/// From when to when a certificate is valid (RFC 5280 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: UnixTime,
    pub(crate) until: UnixTime,
}

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`: the version.
const VERSION: u8 = 0xa0;

impl Validity {
    /// Of a certificate in DER.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = value(certificate, SEQUENCE)?;
        let (to_be_signed, _) = value(certificate, SEQUENCE)?;
        let rest = value(to_be_signed, VERSION).map_or(to_be_signed, |(_, rest)| rest);
        // Serial number, algorithm, issuer.
        let rest = any(any(any(rest)?.2)?.2)?.2;
        let (validity, _) = value(rest, SEQUENCE)?;
        let (tag, from, rest) = any(validity)?;
        let (last_tag, until, _) = any(rest)?;
        Some(Self { from: time(tag, from)?, until: time(last_tag, until)? })
    }
}

/// The first value, which has this tag, and what follows it.
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any(bytes).filter(|(found, ..)| *found == tag).map(|(_, value, rest)| (value, rest))
}

/// Tag, value and rest. A length has at most three bytes.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0usize, |length, digit| length.wrapping_shl(8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((*tag, value, rest))
}

/// `YYMMDDHHMMSSZ`, until 2049, or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &[u8]) -> Option<UnixTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (century, text) = match tag {
        UTC_TIME if text.len() == 12 => (if text < "5" { "20" } else { "19" }, text),
        GENERALIZED_TIME if text.len() == 14 => ("", text),
        _ => return None,
    };
    let digits = format!("{century}{text}");
    let number = |at: usize, length: usize| {
        let part = digits.get(at..at.checked_add(length)?)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u64>().ok()).flatten()
    };
    let two = |at: usize| number(at, 2);
    let midnight = UnixTime::midnight(number(0, 4)?, two(4)?, two(6)?)?;
    let seconds = two(8)?.checked_mul(3600)?.checked_add(two(10)?.checked_mul(60)?)?.checked_add(two(12)?)?;
    midnight.0.checked_add(seconds).map(UnixTime)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_says_how_long_it_lives() {
        for (from, until) in [((2026, 11, 28), (2028, 11, 28)), ((1999, 12, 31), (2051, 1, 1))] {
            let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(until.0, until.1, until.2);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let midnight = |(year, month, day): (i32, u8, u8)| {
                UnixTime::midnight(year.try_into().unwrap(), month.into(), day.into()).unwrap()
            };
            let expected = Validity { from: midnight(from), until: midnight(until) };
            assert_eq!(Validity::of(certificate.der()), Some(expected));
            for cut in 0..120 {
                assert_eq!(Validity::of(&certificate.der()[..cut]), None, "{cut}");
            }
        }
        assert_eq!(
            time(UTC_TIME, b"261128235959Z"),
            UnixTime::midnight(2026, 11, 28).map(|day| UnixTime(day.0 + 86_399))
        );
        for odd in [&b"261128235959"[..], b"26112823595Z", b"+61128235959Z", b"261328000000Z"] {
            assert_eq!(time(UTC_TIME, odd), None);
        }
    }
}
