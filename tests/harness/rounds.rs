//! Do two kinds of login take the same time? Asked in rounds: each kind once in a round, in an order drawn by lot.
//!
//! Where the kind makes no difference, which of two logins of a round took longer is a fair coin: the machine's noise, a
//! disk that is slow for a while and a neighbour at work fall on whichever kind the lot puts there. So the share of
//! rounds in which one took longer has a known spread whatever the noise is (binomial: half of 1/√rounds), a bound of
//! several such spreads is not met by chance, and nothing has to be tried again.

use crate::draw::Draw;
use std::fmt;

/// One kind of login.
#[derive(Debug)]
struct Kind {
    name: String,
    /// Nanoseconds, one for each round.
    times: Vec<f64>,
}

/// All kinds, the first of which the others are compared with.
#[derive(Debug)]
pub struct Rounds {
    kinds: Vec<Kind>,
    lot: Draw,
}

/// How one kind differs from the first.
#[derive(Debug)]
pub struct Difference {
    /// Which.
    pub name: String,
    /// The share of rounds in which it took longer: a half where there is no difference.
    pub longer: f64,
    /// Median of what it took longer in a round, as a share of what the first kind takes.
    pub size: f64,
    /// The delay, in microseconds, that would have made `longer` leave a half by a tenth.
    pub visible: f64,
}

impl Rounds {
    /// These kinds, not measured yet.
    pub fn of<S: Into<String>>(kinds: impl IntoIterator<Item = S>) -> Rounds {
        let kind = |name: S| Kind { name: name.into(), times: Vec::new() };
        Rounds { kinds: kinds.into_iter().map(kind).collect(), lot: Draw::default() }
    }

    /// One round: `login` is called with the number of each kind, and says how many nanoseconds it took.
    pub fn round(&mut self, mut login: impl FnMut(usize) -> u64) {
        for kind in self.lot.order(self.kinds.len()) {
            #[expect(clippy::as_conversions, reason = "nanoseconds of minutes fit")]
            self.kinds[kind].times.push(login(kind) as f64);
        }
    }

    /// The other kinds, compared with the first.
    pub fn differences(&self) -> Vec<Difference> {
        let (first, others) = self.kinds.split_first().unwrap();
        let usual = quantile(&first.times, 0.5);
        let compare = |kind: &Kind| {
            let differences: Vec<f64> = kind.times.iter().zip(&first.times).map(|(one, other)| one - other).collect();
            let median = quantile(&differences, 0.5);
            let away: Vec<f64> = differences.iter().map(|difference| difference - median).collect();
            Difference {
                name: kind.name.clone(),
                longer: share(&differences, |difference| difference > 0.0),
                size: median / usual,
                visible: quantile(&away, 0.6) / 1e3,
            }
        };
        others.iter().map(compare).collect()
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "                     ---- microseconds ----   longer in   by median   overlap     seen would be"
        )?;
        writeln!(out, "                        25 %    50 %    75 %  % of rounds of a round  (AUC)       a delay of")?;
        let first = &self.kinds[0];
        let differences = self.differences();
        for kind in &self.kinds {
            let [low, median, high] = [0.25, 0.5, 0.75].map(|part| quantile(&kind.times, part) / 1e3);
            write!(out, "{:20} {low:7.1} {median:7.1} {high:7.1}", kind.name)?;
            match differences.iter().find(|difference| difference.name == kind.name) {
                Some(found) => {
                    let (longer, size) = (found.longer * 100.0, found.size * 100.0);
                    let overlap = overlap(&kind.times, &first.times);
                    writeln!(out, "  {longer:9.1}  {size:+8.1} %   {overlap:.3}     {:6.1} us", found.visible)?;
                }
                None => {
                    // What the same kind looks like beside itself: how much of the figures is noise.
                    let (even, odd): (Vec<_>, Vec<_>) = kind.times.chunks_exact(2).map(|two| (two[0], two[1])).unzip();
                    writeln!(out, "     (beside itself)     {:.3}", overlap(&even, &odd))?;
                }
            }
        }
        write!(out, "{} rounds", first.times.len())
    }
}

/// The chance that a login of one kind takes longer than one of the other, whenever they are (the area under the ROC
/// curve, Mann and Whitney's U over n·m).
fn overlap(one: &[f64], other: &[f64]) -> f64 {
    let other = sorted(other);
    let shorter = |time: &f64| {
        let (below, up_to) = (other.partition_point(|x| x < time), other.partition_point(|x| x <= time));
        ratio(below + up_to, 2 * other.len())
    };
    one.iter().map(shorter).sum::<f64>() / ratio(one.len(), 1)
}

fn share(numbers: &[f64], which: impl Fn(f64) -> bool) -> f64 {
    ratio(numbers.iter().filter(|number| which(**number)).count(), numbers.len())
}

fn quantile(numbers: &[f64], part: f64) -> f64 {
    #[expect(clippy::as_conversions, reason = "a place in a list, rounded down")]
    let place = (ratio(numbers.len() - 1, 1) * part) as usize;
    sorted(numbers)[place]
}

fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    numbers
}

#[expect(clippy::as_conversions, reason = "counts of logins fit")]
fn ratio(some: usize, all: usize) -> f64 {
    some as f64 / all as f64
}
