//! Time as a value: the only clock read of the source tree, and dates and durations as people write them.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z, never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnixTime(pub u64);

/// A length of time in whole seconds, written `90s`, `15m`, `24h` or `7d` in configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seconds(pub u64);

impl UnixTime {
    /// Reads the system clock. A clock before 1970 counts as 1970: every code is then refused.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(since.map_or(0, |elapsed| elapsed.as_secs()))
    }

    /// This time plus `length`.
    pub fn after(self, length: Seconds) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// How long until `later`; `None` if it is not later.
    pub fn until(self, later: Self) -> Option<Seconds> {
        later.0.checked_sub(self.0).filter(|gap| *gap > 0).map(Seconds)
    }

    /// The moment at which a calendar day begins in UTC; `None` before 1970, after 9999 and for days that do not exist.
    pub fn midnight(year: u64, month: u64, day: u64) -> Option<Self> {
        // First: of a year that is none the months would be counted for ever.
        if !((1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day)) {
            return None;
        }
        let months = (1970..year).flat_map(|year| (1..=12).map(move |month| (year, month)));
        let months = months.chain((1..month).map(|month| (year, month)));
        let days = months.map(|(year, month)| days_in(year, month)).sum::<u64>().checked_add(day.checked_sub(1)?)?;
        days.checked_mul(86_400).map(Self)
    }

    /// The day in UTC: `2026-11-21`.
    pub fn day(self) -> String {
        self.to_string().split('T').next().unwrap_or_default().to_owned()
    }
}

impl UnixTime {
    /// Reads what is written for a time; `None` for every other text.
    pub fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(['-', 'T', ':', 'Z']).map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        let time = if text.ends_with('Z') {
            let day = Self::midnight(next()?, next()?, next()?)?;
            let (hours, minutes, seconds) = (next()?, next()?, next()?);
            let length = |number: u64, unit| number.checked_mul(unit).map(Seconds);
            day.after(length(hours, 3600)?).after(length(minutes, 60)?).after(Seconds(seconds))
        } else {
            Self(next()?)
        };
        Some(time).filter(|time| time.to_string() == text)
    }
}

/// ISO 8601 in UTC: `2026-11-21T08:30:00Z`. Beyond the year 9999, the bare number of seconds.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match date(self.0 / 86_400) {
            Some((year, month, day)) => {
                let (hour, minute, second) = (self.0 / 3600 % 24, self.0 / 60 % 60, self.0 % 60);
                write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
            }
            None => write!(f, "{}", self.0),
        }
    }
}

impl Seconds {
    /// Reads a number and `s`, `m`, `h` or `d`.
    pub fn parse(text: &str) -> Option<Self> {
        let (end, unit) = text.char_indices().last()?;
        let number = text.get(..end).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
        let unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(unit).map(Self)
    }
}

/// For people: `15 min`, `2 h 30 min`, `3 days`. Rounded up, so that no user waits longer than promised.
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.div_ceil(60);
        match (self.0, minutes / 60, minutes % 60) {
            (0..=60, _, _) => write!(f, "{} s", self.0),
            (_, 0, minutes) => write!(f, "{minutes} min"),
            (_, hours @ 1..48, 0) => write!(f, "{hours} h"),
            (_, hours @ 1..48, minutes) => write!(f, "{hours} h {minutes} min"),
            (_, hours, _) => write!(f, "{} days", hours.div_ceil(24)),
        }
    }
}

/// The calendar date `days` after 1970-01-01 (proleptic Gregorian).
fn date(mut days: u64) -> Option<(u64, u64, u64)> {
    for year in 1970..=9999 {
        for month in 1..=12 {
            match days.checked_sub(days_in(year, month)) {
                Some(left) => days = left,
                None => return Some((year, month, days.saturating_add(1))),
            }
        }
    }
    None
}

pub(crate) fn days_in(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_a_date_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_234_567_890, "2009-02-13T23:31:30Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "253402300800"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(UnixTime(seconds).to_string(), text);
            assert_eq!(UnixTime::read(text), Some(UnixTime(seconds)), "{text}");
        }
        for odd in [
            "",
            "Z",
            "+7",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-1-01T00:00:00Z",
            "2027-02-29T00:00:00Z",
            "1970-01-01 00:00:00Z",
            "2026-11-21T08:30:00ZZ",
            "2026-11-21T99999999999999999:30:00Z",
        ] {
            assert_eq!(UnixTime::read(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_date_is_the_moment_at_which_it_begins() {
        for (date, seconds) in [((1970, 1, 1), 0), ((2000, 2, 29), 951_782_400), ((2100, 3, 1), 4_107_542_400)] {
            let midnight = UnixTime::midnight(date.0, date.1, date.2).unwrap();
            assert_eq!(midnight, UnixTime(seconds));
            assert_eq!(midnight.day(), format!("{:04}-{:02}-{:02}", date.0, date.1, date.2));
        }
        for (year, month, day) in
            [(1969, 12, 31), (2027, 2, 29), (2027, 13, 1), (2027, 0, 1), (2027, 4, 31), (2027, 1, 0)]
        {
            assert_eq!(UnixTime::midnight(year, month, day), None, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let parse = |text: &str| Seconds::parse(text).map(|seconds| seconds.0);
        assert_eq!(parse("90s"), Some(90));
        assert_eq!(parse("15m"), Some(900));
        assert_eq!(parse("24h"), Some(86_400));
        assert_eq!(parse("7d"), Some(604_800));
        for bad in [
            "",
            "m",
            "15",
            "-1m",
            "+1m",
            "1.5h",
            "15 m",
            "15min",
            "99999999999999999999s",
            "18446744073709551615d",
            "1é",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wait_is_shown_as_a_person_says_it() {
        let shown = |seconds| Seconds(seconds).to_string();
        assert_eq!(shown(45), "45 s");
        assert_eq!(shown(61), "2 min");
        assert_eq!(shown(900), "15 min");
        assert_eq!(shown(3600), "1 h");
        assert_eq!(shown(9000), "2 h 30 min");
        assert_eq!(shown(86_400 * 3), "3 days");
    }

    #[test]
    fn a_wait_that_is_over_is_none() {
        assert_eq!(UnixTime(10).until(UnixTime(10)), None);
        assert_eq!(UnixTime(11).until(UnixTime(10)), None);
        assert_eq!(UnixTime(10).until(UnixTime(12)), Some(Seconds(2)));
    }
}
