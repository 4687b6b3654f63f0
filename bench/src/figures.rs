//! Quantiles, and the confidence interval of a median.

use std::fmt;

use pam_otp_tests::draw::Draw;

/// A median with its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Median {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The number of bootstrap samples.
const DRAWS: usize = 500;

impl Median {
    /// `None` without values.
    pub(crate) fn of(values: &[f64]) -> Option<Median> {
        let mut draw = Draw::default();
        let mut again = || {
            let sample: Vec<f64> = values.iter().map(|_| values[draw.below(values.len())]).collect();
            quantile(&sample, 0.5)
        };
        let value = quantile(values, 0.5)?;
        let medians: Vec<f64> = (0..DRAWS).filter_map(|_| again()).collect();
        Some(Median { value, low: quantile(&medians, 0.025)?, high: quantile(&medians, 0.975)? })
    }
}

impl fmt::Display for Median {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.value < 10.0 { 2 } else { 0 };
        let Median { value, low, high } = self;
        write!(out, "{value:.digits$} ({low:.digits$}–{high:.digits$})")
    }
}

/// The value below which `share` of the values lie; `None` without values.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (mut left, last) = (share, sorted.len().checked_sub(1)?);
    // The position between 0 and `last`, found without casting.
    let step = 1.0 / f64::from(u32::try_from(last.max(1)).ok()?);
    let mut place = 0;
    while left > step / 2.0 && place < last {
        left -= step;
        place += 1;
    }
    sorted.get(place).copied()
}

/// `1,000,000`
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_there() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| quantile(&values, share)), [0.0, 50.0, 99.0, 100.0].map(Some));
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_median_lies_within_its_interval_and_outliers_do_not_move_it() {
        let mut values: Vec<f64> = (1..=99).map(f64::from).collect();
        values.extend([1e9; 20]);
        let median = Median::of(&values).unwrap();
        assert_eq!(median.value, 60.0);
        assert!(median.low < 60.0 && 60.0 < median.high && median.high < 80.0, "{median}");
        assert!(Median::of(&[]).is_none());
    }
}
