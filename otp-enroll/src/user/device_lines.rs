//! How a device is shown: to people in lines, to scripts in the answer of a change.

use otp_core::protocol::request::{DeviceStatus, NotAccepted, Status};
use otp_core::text;
use otp_core::value::destination::Channel;
use otp_core::value::time::UnixTime;
use serde::Serialize;

use crate::language::{fill, moment, tr};
use crate::ui::layout;

/// The answer of a change of one device as JSON. What does not belong to the change is left out.
#[derive(Default, Serialize)]
pub(crate) struct ChangedDevice<'a> {
    pub(crate) user: &'a str,
    pub(crate) changed: bool,
    /// The device's number.
    pub(crate) device: u8,
    pub(crate) name: &'a str,
    /// After a removal: the number of the default device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<u8>,
    /// After an administrator added it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) confirmed: Option<bool>,
    /// After resynchronizing a totp token: steps by which its clock is ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) drift: Option<i8>,
    /// After an addition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recovery_codes_left: Option<u8>,
}

impl<'a> ChangedDevice<'a> {
    /// The answer of a change that changed nothing.
    pub(crate) fn about(status: &'a Status, device: &'a DeviceStatus) -> Self {
        Self { user: &status.user, device: device.id, name: &device.name, ..Self::default() }
    }
}

/// A device in a sentence: `Device 2, blue key,`.
pub(crate) fn subject(device: &DeviceStatus) -> String {
    fill(text!("Device {id}, {name},"), &[("id", &device.id), ("name", &device.name)])
}

/// The lines of a list, in columns; a device in two of them where one is wider than the window.
pub(crate) fn table(devices: &[DeviceStatus], now: UnixTime, window: Option<usize>) -> Vec<String> {
    let widest = |text: fn(&DeviceStatus) -> String| {
        devices.iter().map(|device| text(device).chars().count()).max().unwrap_or_default()
    };
    let (names, kinds, today) = (widest(|device| device.name.clone()), widest(kind), now.day());
    let parts = devices.iter().map(|device| {
        let (id, name, kind) = (device.id, &device.name, kind(device));
        let default = if device.default { tr(DEFAULT) } else { String::new() };
        let head = format!("{id:>3}  {name:<names$}  {kind:<kinds$}  {default:<7}");
        (layout::escaped(&head).into_owned(), layout::escaped(&history(device, Some(&today))).into_owned())
    });
    let parts: Vec<_> = parts.collect();
    let width = |(head, history): &(String, String)| {
        head.chars().count().saturating_add(2).saturating_add(history.chars().count())
    };
    let is_narrow = window.is_some_and(|window| parts.iter().any(|parts| width(parts) > window));
    let line = |(head, history): &(String, String)| match window.filter(|_| is_narrow) {
        Some(window) => format!("{}\n{}", head.trim_end(), indented(history, 5, window)),
        None => format!("{head}  {history}"),
    };
    parts.iter().map(line).collect()
}

/// A device in a status: its name and kind, and its history beneath. Its times are those of the lines below: to the second.
pub(crate) fn paragraph(device: &DeviceStatus) -> Vec<String> {
    let default = if device.default { format!(", {}", tr(DEFAULT)) } else { String::new() };
    let head = format!("{}, {}{default}", device.name, kind(device));
    facts(&fill(text!("Device {id}"), &[("id", &device.id)]), &[head, history(device, None)])
}

const DEFAULT: &str = text!("default");

/// Where the texts of a status begin, and how wide it is.
const INDENT: usize = 17;
const WIDTH: usize = 80;

/// A line of a status in lines that fit: `Last refusals    …`, or one of those beneath it, which begin with two blanks.
pub(crate) fn fitted(line: &str) -> Vec<String> {
    match line.strip_prefix("  ") {
        Some(text) => {
            let text = indented(&layout::escaped(text), 4, WIDTH);
            text.replacen("    ", "  ", 1).lines().map(str::to_owned).collect()
        }
        None => {
            let (name, text) = line.split_at_checked(INDENT).unwrap_or((line, ""));
            facts(name.trim_end(), &[text.to_owned()])
        }
    }
}

/// A fact of a status, by the marked text of its name.
pub(crate) fn fact(name: &str, value: &str) -> Vec<String> {
    facts(&tr(name), &[value.to_owned()])
}

/// A fact of a status in the user's language, a line or more for each text.
fn facts(name: &str, texts: &[String]) -> Vec<String> {
    // The longest name of this language.
    let longest = tr(text!("Recovery codes")).chars().count().saturating_add(2);
    let indent = INDENT.max(longest);
    let texts: Vec<_> = texts.iter().map(|text| indented(&layout::escaped(text), indent, WIDTH)).collect();
    let text = format!("{name:<indent$}{}", texts.join("\n").trim_start());
    text.lines().map(str::to_owned).collect()
}

/// Where the policy does not accept which of so many devices, for a status.
pub(crate) fn not_accepted(terms: &NotAccepted, devices: usize) -> Vec<String> {
    let numbers: Vec<_> = terms.devices.iter().map(u8::to_string).collect();
    let which = match numbers.as_slice() {
        all if all.len() == devices => tr(text!("every device")),
        [one] => fill(text!("device {number}"), &[("number", one)]),
        several => fill(text!("devices {numbers}"), &[("numbers", &several.join(", "))]),
    };
    let place = match terms.service.as_deref() {
        Some("otp-enroll") => format!("{}, ", tr(text!("as proof of a change"))),
        Some(service) => format!("{}, ", fill(text!("through {service}"), &[("service", &service)])),
        None => String::new(),
    };
    let by = terms
        .by
        .strip_prefix("rule-")
        .map_or_else(|| tr(text!("by default")), |number| fill(text!("by rule {number}"), &[("number", &number)]));
    let rest = if numbers.len() == devices { format!("; {}", tr(text!("recovery codes work"))) } else { String::new() };
    let accepted = fill(text!("the policy accepts {kinds}"), &[("kinds", &terms.accepted.listed())]);
    fact(text!("Not accepted"), &format!("{which}: {place}{by}, {accepted}{rest}"))
}

/// A text in lines that begin with so many blanks and are at most this wide.
fn indented(text: &str, blanks: usize, width: usize) -> String {
    let lines = layout::wrap(text, width.saturating_sub(blanks).max(1));
    lines.iter().map(|line| format!("{:blanks$}{line}", "")).collect::<Vec<_>>().join("\n")
}

/// Type, digits and what is unusual: `TOTP, SHA256, 8 digits, 60 s`. For what is sent: how, and where.
pub(crate) fn kind(device: &DeviceStatus) -> String {
    if let Some(to) = &device.to {
        let is_sms = device.r#type == Channel::Sms.word();
        let how = if is_sms { text!("text message to {address}") } else { text!("e-mail to {address}") };
        return fill(how, &[("address", to)]);
    }
    let DeviceStatus { r#type, algorithm, digits, period, .. } = device;
    let hash = if algorithm == "SHA1" { String::new() } else { format!("{algorithm}, ") };
    let period = period.filter(|period| *period != 30).map_or_else(String::new, |period| format!(", {period} s"));
    let digits = fill(text!("{digits} digits"), &[("digits", digits)]);
    format!("{}, {hash}{digits}{period}", r#type.to_ascii_uppercase())
}

/// Since when a device is there, its last use, its serial number, and how wrong its clock is. In a list, which has little room,
/// the last use is the time of this day, or another day.
fn history(device: &DeviceStatus, today: Option<&str>) -> String {
    let DeviceStatus { created, last_used, confirmed, awaits_resync, serial, drift, period, .. } = device;
    let resync = if *awaits_resync { format!(", {}", tr(text!("waits for a resync"))) } else { String::new() };
    let used = match last_used {
        Some(time) if today.is_none() => fill(text!("last used {time}"), &[("time", &moment(time))]),
        Some(time) if today == Some(day(time)) => {
            let clock = time.split_once('T').and_then(|(_, clock)| clock.get(..5)).unwrap_or_default();
            fill(text!("last used today {time} UTC"), &[("time", &clock)])
        }
        Some(time) => fill(text!("last used {time}"), &[("time", &day(time))]),
        None if *confirmed => tr(text!("never used")),
        None => tr(text!("not confirmed yet")),
    };
    let serial = serial.as_ref().map(|serial| fill(text!("serial {number}"), &[("number", serial)]));
    let serial = serial.map_or_else(String::new, |serial| format!(", {serial}"));
    let seconds = |steps: i8| period.unwrap_or_default().saturating_mul(steps.unsigned_abs().into());
    let clock = match drift.unwrap_or_default() {
        0 => String::new(),
        behind @ ..0 => {
            format!(", {}", fill(text!("clock {seconds} s behind"), &[("seconds", &seconds(behind))]))
        }
        ahead => format!(", {}", fill(text!("clock {seconds} s ahead"), &[("seconds", &seconds(ahead))])),
    };
    let since = fill(text!("since {day}"), &[("day", &day(created))]);
    format!("{since}, {used}{resync}{serial}{clock}")
}

pub(crate) fn day(time: &str) -> &str {
    time.split_once('T').map_or(time, |(day, _)| day)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 2026-11-28, noon.
    const NOW: UnixTime = UnixTime(1_795_867_200);

    pub(crate) fn device(id: u8, name: &str) -> DeviceStatus {
        DeviceStatus {
            id,
            name: name.to_owned(),
            r#type: "totp".to_owned(),
            algorithm: "SHA1".to_owned(),
            digits: 6,
            period: Some(30),
            created: "2026-11-20T08:30:00Z".to_owned(),
            default: false,
            last_used: None,
            confirmed: true,
            awaits_resync: false,
            serial: None,
            drift: None,
            suite: None,
            to: None,
        }
    }

    #[test]
    fn devices_stand_in_columns() {
        let devices = [
            DeviceStatus { default: true, last_used: Some("2026-11-28T08:30:59Z".to_owned()), ..device(1, "phone") },
            DeviceStatus {
                r#type: "hotp".to_owned(),
                period: None,
                serial: Some("GALT10007123".to_owned()),
                ..device(2, "blue key")
            },
            DeviceStatus { last_used: Some("2026-11-27T23:59:59Z".to_owned()), drift: Some(-3), ..device(3, "é") },
            DeviceStatus {
                algorithm: "SHA256".to_owned(),
                digits: 8,
                period: Some(60),
                confirmed: false,
                drift: Some(2),
                ..device(114, "\u{202e}x")
            },
        ];
        assert_eq!(
            table(&devices, NOW, None),
            [
                "  1  phone     TOTP, 6 digits                default  since 2026-11-20, last used today 08:30 UTC",
                "  2  blue key  HOTP, 6 digits                         since 2026-11-20, never used, serial GALT10007123",
                "  3  é         TOTP, 6 digits                         since 2026-11-20, last used 2026-11-27, clock 90 s behind",
                "114  \\u{202e}x        TOTP, SHA256, 8 digits, 60 s           since 2026-11-20, not confirmed yet, clock 120 s ahead",
            ]
        );
        assert_eq!(table(&devices, NOW, Some(200)), table(&devices, NOW, None));
        let [phone, key, ..] = devices;
        assert_eq!(
            table(&[phone, key], NOW, Some(80)),
            [
                "  1  phone     TOTP, 6 digits  default\n     since 2026-11-20, last used today 08:30 UTC",
                "  2  blue key  HOTP, 6 digits\n     since 2026-11-20, never used, serial GALT10007123",
            ]
        );
        assert!(table(&[], NOW, Some(80)).is_empty());
    }

    #[test]
    fn a_device_in_a_status_stays_within_80_columns() {
        let (name, serial) = ("\u{e9}".repeat(40), Some("S".repeat(40)));
        let shape = ("SHA512".to_owned(), 8, Some(300));
        let (algorithm, digits, period) = shape;
        let wide =
            DeviceStatus { default: true, algorithm, digits, period, serial, drift: Some(-20), ..device(114, &name) };
        let text = paragraph(&wide);
        assert!(text.iter().all(|line| line.chars().count() <= 80), "{text:?}");
        assert!(text.concat().starts_with("Device 114       \u{e9}"), "{text:?}");
        assert_eq!(
            paragraph(&device(1, "phone")),
            ["Device 1         phone, TOTP, 6 digits", "                 since 2026-11-20, never used"]
        );
    }
}
