//! The order on the command line: what to measure.

use std::{path::PathBuf, time::Duration};

pub(crate) const USAGE: &str = "\
usage: login-bench [OPTION]…                   (as root, within tests/machine; `make bench` does that)
       login-bench login-code FILE             (the same; `make login-code`: the linker script of what a login runs)
  --seconds N        how long each scenario plays (20)
  --users N,N,…      how many are enrolled, in rising order (1,1000,100000)
  --fleet N          so many as well on the disk (1000000), imported, and the administrator's commands there
  --output DIR       where performance.md and performance.svg go (docs)";

/// An order for measurements.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) time: Duration,
    pub(crate) users: Vec<u32>,
    /// Users of a fleet, if one was ordered.
    pub(crate) fleet: Option<u32>,
    pub(crate) output: PathBuf,
    /// The words of the command line, for the page.
    pub(crate) words: String,
}

impl Order {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Option<Order> {
        let words: Vec<String> = arguments.collect();
        let mut order = Order {
            time: Duration::from_secs(20),
            users: vec![1, 1000, 100_000],
            fleet: None,
            output: "docs".into(),
            words: words.join(" "),
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seconds" => order.time = Duration::from_secs(words.next()?.parse().ok()?),
                "--users" => {
                    let counts = words.next()?.split(',').map(|count| count.parse().ok()).collect::<Option<_>>();
                    order.users = counts.filter(|counts: &Vec<u32>| counts.is_sorted() && !counts.contains(&0))?;
                }
                "--fleet" => order.fleet = Some(words.next()?.parse().ok()?),
                "--output" => order.output = words.next()?.into(),
                _ => return None,
            }
        }
        Some(order)
    }
}
