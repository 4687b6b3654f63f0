//! How a device is shown: to people in lines, to scripts in the answer of a change.

use otp_core::protocol::request::DeviceStatus;
use otp_core::value::time::UnixTime;
use serde::Serialize;

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

/// A device in a sentence: `Device 2, blue key,`.
pub(crate) fn subject(device: &DeviceStatus) -> String {
    format!("Device {}, {},", device.id, device.name)
}

/// The lines of a list, in columns.
pub(crate) fn table<'a>(devices: &'a [DeviceStatus], now: UnixTime) -> impl Iterator<Item = String> + 'a {
    let widest = |text: fn(&DeviceStatus) -> String| {
        devices.iter().map(|device| text(device).chars().count()).max().unwrap_or_default()
    };
    let (names, kinds, today) = (widest(|device| device.name.clone()), widest(kind), now.day());
    devices.iter().map(move |device| {
        let (id, name, kind) = (device.id, &device.name, kind(device));
        let default = if device.default { "default" } else { "" };
        let line = format!("{id:>3}  {name:<names$}  {kind:<kinds$}  {default:<7}  {}", history(device, &today));
        layout::escaped(&line).into_owned()
    })
}

/// Type, digits and what is unusual: `TOTP, SHA256, 8 digits, 60 s`.
pub(crate) fn kind(device: &DeviceStatus) -> String {
    let DeviceStatus { r#type, algorithm, digits, period, .. } = device;
    let hash = if algorithm == "SHA1" { String::new() } else { format!("{algorithm}, ") };
    let period = period.filter(|period| *period != 30).map_or_else(String::new, |period| format!(", {period} s"));
    format!("{}, {hash}{digits} digits{period}", r#type.to_ascii_uppercase())
}

/// Since when a device is there, its last use, its serial number, and how wrong its clock is.
pub(crate) fn history(device: &DeviceStatus, today: &str) -> String {
    let DeviceStatus { created, last_used, confirmed, serial, drift, period, .. } = device;
    let used = match last_used {
        Some(time) if day(time) == today => {
            let clock = time.split_once('T').and_then(|(_, clock)| clock.get(..5)).unwrap_or_default();
            format!("last used today {clock} UTC")
        }
        Some(time) => format!("last used {}", day(time)),
        None if *confirmed => "never used".to_owned(),
        None => "not confirmed yet".to_owned(),
    };
    let serial = serial.as_ref().map_or_else(String::new, |serial| format!(", serial {serial}"));
    let seconds = |steps: i8| period.unwrap_or_default().saturating_mul(steps.unsigned_abs().into());
    let clock = match drift.unwrap_or_default() {
        0 => String::new(),
        behind @ ..0 => format!(", clock {} s behind", seconds(behind)),
        ahead => format!(", clock {} s ahead", seconds(ahead)),
    };
    format!("since {}, {used}{serial}{clock}", day(created))
}

/// A time of a status for people; scripts get it as ISO 8601.
pub(crate) fn moment(time: &str) -> String {
    time.replace('T', " ").replace('Z', " UTC")
}

pub(crate) fn day(time: &str) -> &str {
    time.split_once('T').map_or(time, |(day, _)| day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28, noon.
    const NOW: UnixTime = UnixTime(1_795_867_200);

    fn device(id: u8, name: &str) -> DeviceStatus {
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
            serial: None,
            drift: None,
            suite: None,
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
        let lines: Vec<_> = table(&devices, NOW).collect();
        assert_eq!(
            lines,
            [
                "  1  phone     TOTP, 6 digits                default  since 2026-11-20, last used today 08:30 UTC",
                "  2  blue key  HOTP, 6 digits                         since 2026-11-20, never used, serial GALT10007123",
                "  3  é         TOTP, 6 digits                         since 2026-11-20, last used 2026-11-27, clock 90 s behind",
                "114  \\u{202e}x        TOTP, SHA256, 8 digits, 60 s           since 2026-11-20, not confirmed yet, clock 120 s ahead",
            ]
        );
        assert_eq!(table(&[], NOW).count(), 0);
    }
}
