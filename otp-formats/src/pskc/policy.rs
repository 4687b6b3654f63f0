//! What a maker says about the use of a key. What cannot be kept here keeps the key from being imported (RFC 6030 §5).

use otp_core::value::time::UnixTime;

use crate::pskc::xml::{Element, Space};

/// Fails for a policy that is not kept here. `is_ocra`: the key answers challenges.
pub(super) fn check(
    key: &Element,
    device: Option<&Element>,
    is_ocra: bool,
    now: UnixTime,
    remarks: &mut Vec<String>,
) -> Result<(), &'static str> {
    if let Some(device) = device {
        dates(device, now, remarks)?;
    }
    let Some(policy) = key.part("Policy") else { return Ok(()) };
    dates(policy, now, remarks)?;
    let (mut uses, mut is_known) = (policy.children.iter().filter(|child| child.name == "KeyUsage").peekable(), true);
    if uses.peek().is_some() {
        let wanted = if is_ocra { "CR" } else { "OTP" };
        if !uses.any(|usage| usage.text.trim() == wanted) {
            return Err("its maker allows another use than codes at logins");
        }
    }
    for child in &policy.children {
        match (child.space, child.name.as_str()) {
            (Space::Pskc, "PINPolicy") => return Err("it goes with a PIN, which is not checked here"),
            (Space::Pskc, "NumberOfTransactions") => {
                return Err("its maker limits how often it is used, which is not counted here");
            }
            (Space::Pskc, "StartDate" | "ExpiryDate" | "KeyUsage") => {}
            _ => is_known = false,
        }
    }
    if is_known { Ok(()) } else { Err("its policy has a part that is not known here") }
}

/// When a key or a device may be used.
fn dates(of: &Element, now: UnixTime, remarks: &mut Vec<String>) -> Result<(), &'static str> {
    let date = |name| of.part(name).map(|date| time(date.text.trim()).ok_or("a date cannot be read")).transpose();
    if date("StartDate")?.is_some_and(|start| start > now) {
        return Err("it may not be used yet: its first day is in the future");
    }
    match date("ExpiryDate")? {
        Some(end) if end <= now => Err("it has expired"),
        Some(end) => {
            remarks.push(format!("its maker lets it expire on {}, which is not kept", end.day()));
            Ok(())
        }
        None => Ok(()),
    }
}

/// `2026-05-31T00:00:00Z` (xs:dateTime); fractions of a second do not matter, and no zone is UTC.
fn time(text: &str) -> Option<UnixTime> {
    let (date, time) = text.split_once('T')?;
    let digits = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let numbers = |text: &str, mark: char| text.split(mark).map(digits).collect::<Option<Vec<_>>>();
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let end =
        time.find(|letter: char| !letter.is_ascii_digit() && letter != ':' && letter != '.').unwrap_or(time.len());
    let (time, zone) = time.split_at_checked(end)?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [hour, minute, second] = numbers(time, ':')?[..] else { return None };
    if hour > 24 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = |hours: u64, minutes: u64| hours.saturating_mul(3600).saturating_add(minutes.saturating_mul(60));
    let local = UnixTime::midnight(year, month, day)?.0.saturating_add(seconds(hour, minute)).saturating_add(second);
    let offset = |zone: &str| {
        let [hours, minutes] = numbers(zone, ':')?[..] else { return None };
        (hours <= 14 && minutes <= 59).then(|| seconds(hours, minutes))
    };
    match zone.split_at_checked(1) {
        None | Some(("Z", "")) => Some(UnixTime(local)),
        Some(("+", zone)) => Some(UnixTime(local.saturating_sub(offset(zone)?))),
        Some(("-", zone)) => Some(UnixTime(local.saturating_add(offset(zone)?))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_with_its_zone() {
        for (text, expected) in [
            ("1970-01-02T00:00:01Z", Some(86_401)),
            ("1970-01-02T00:00:01", Some(86_401)),
            ("1970-01-02T02:30:00.5+02:30", Some(86_400)),
            ("1970-01-01T22:00:00-02:00", Some(86_400)),
            ("1970-01-02", None),
            ("1970-13-02T00:00:00Z", None),
            ("1970-01-02T25:00:00Z", None),
            ("1970-01-02T00:00Z", None),
            ("1970-01-02T00:00:00X", None),
            ("1970-01-02T00:00:00+1", None),
            ("+970-01-02T00:00:00Z", None),
        ] {
            assert_eq!(time(text).map(|time| time.0), expected, "{text}");
        }
    }
}
