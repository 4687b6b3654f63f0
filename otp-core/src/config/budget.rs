//! How many within a time: wrong codes of a service, messages to a user.

use crate::value::time::Seconds;

/// How many codes or messages within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// 1 to 1000.
    pub most: usize,
    /// 1 second to 1 day.
    pub within: Seconds,
}

impl Budget {
    /// Reads a number, a slash and a time: `20/10m`.
    pub fn parse(text: &str) -> Option<Self> {
        let (most, within) = text.split_once('/')?;
        let (most, within) = (most.parse().ok()?, Seconds::parse(within)?);
        ((1..=1000).contains(&most) && (1..=86_400).contains(&within.0)).then_some(Self { most, within })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_number_a_slash_and_a_time() {
        assert_eq!(Budget::parse("20/10m"), Some(Budget { most: 20, within: Seconds(600) }));
        assert_eq!(Budget::parse("1000/1d"), Some(Budget { most: 1000, within: Seconds(86_400) }));
        for odd in ["", "/", "0/10m", "1001/10m", "20/", "20/0s", "20/2d", "20/10", "-1/10m", "20/10m/"] {
            assert_eq!(Budget::parse(odd), None, "{odd:?}");
        }
    }
}
