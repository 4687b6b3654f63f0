//! So many within a time: wrong codes of a service, messages to a user.

use crate::value::time::Seconds;

/// So many codes within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// 1 to 1000.
    pub codes: usize,
    /// 1 second to 1 day.
    pub within: Seconds,
}

impl Budget {
    /// Reads a number, a slash and a time: `20/10m`.
    pub fn parse(text: &str) -> Option<Self> {
        let (codes, within) = text.split_once('/')?;
        let (codes, within) = (codes.parse().ok()?, Seconds::parse(within)?);
        ((1..=1000).contains(&codes) && (1..=86_400).contains(&within.0)).then_some(Self { codes, within })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_number_a_slash_and_a_time() {
        assert_eq!(Budget::parse("20/10m"), Some(Budget { codes: 20, within: Seconds(600) }));
        assert_eq!(Budget::parse("1000/1d"), Some(Budget { codes: 1000, within: Seconds(86_400) }));
        for odd in ["", "/", "0/10m", "1001/10m", "20/", "20/0s", "20/2d", "20/10", "-1/10m", "20/10m/"] {
            assert_eq!(Budget::parse(odd), None, "{odd:?}");
        }
    }
}
