//! What is to be measured, from the command line.

use std::{path::PathBuf, time::Duration};

pub(crate) const USAGE: &str = "\
usage: login-bench [OPTION]…                   (as root, within tests/machine; `make bench` does that)
  --seconds N        how long each scenario plays (20)
  --users N,N,…      how many are enrolled, in rising order (1,1000,100000)
  --fleet            1000000 as well, on the disk, and the administrator's commands there
  --output DIR       where performance.md and performance.svg go (docs)";

/// An order for measurements.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) time: Duration,
    pub(crate) users: Vec<u32>,
    pub(crate) fleet: bool,
    pub(crate) output: PathBuf,
    /// As it was given, for the page.
    pub(crate) words: String,
}

/// The users of a fleet.
pub(crate) const FLEET: u32 = 1_000_000;

impl Order {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Option<Order> {
        let words: Vec<String> = arguments.collect();
        let mut order = Order {
            time: Duration::from_secs(20),
            users: vec![1, 1000, 100_000],
            fleet: false,
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
                "--fleet" => order.fleet = true,
                "--output" => order.output = words.next()?.into(),
                _ => return None,
            }
        }
        Some(order)
    }
}
