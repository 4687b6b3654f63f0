//! Targets for the cost of a login, and for administration with a fleet of users.

use std::fmt;

use crate::counts::Counts;
use crate::door::How;
use crate::entrant::Who;
use crate::figures::{Median, thousands};
use crate::findings::{Findings, row};
use crate::fleet::{Fleet, each_second, rate};
use crate::place::Medium;
use crate::rounds::Typed;

/// One target and its measured value.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) bound: Bound,
    pub(crate) value: f64,
    /// The value with its spread.
    pub(crate) found: String,
    /// The cost of the cheapest durable record, if it can be compared.
    pub(crate) limit: String,
}

/// How much of the incumbent's time a login may take.
#[derive(Debug, Clone, Copy)]
enum Most {
    Ratio(f64),
    /// So much more of it than the cheapest durable record takes.
    AboveLimit(f64),
}

/// What a measured value must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(u32),
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::AtMost(most) => write!(out, "≤ {most}"),
            Bound::AtLeast(least) => write!(out, "≥ {}", thousands(u64::from(*least))),
        }
    }
}

impl Target {
    pub(crate) fn is_reached(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.value <= most,
            Bound::AtLeast(least) => self.value >= f64::from(least),
        }
    }
}

/// The targets that were measured.
pub(crate) fn of(found: &Findings) -> Vec<Target> {
    let scenarios = [
        ("warm, disk", Medium::Disk, How::Warm, Typed::Right, Most::AboveLimit(0.10)),
        ("warm, memory file system", Medium::Memory, How::Warm, Typed::Right, Most::Ratio(0.80)),
        ("new process each, disk", Medium::Disk, How::Fresh, Typed::Right, Most::Ratio(0.85)),
        ("new process each, memory file system", Medium::Memory, How::Fresh, Typed::Right, Most::Ratio(1.00)),
        ("wrong code, warm, disk", Medium::Disk, How::Warm, Typed::Wrong, Most::AboveLimit(0.02)),
    ];
    let ratio = |what: &str, bound, ratio: Median, limit: Option<Median>| Target {
        what: what.to_owned(),
        bound: Bound::AtMost(bound),
        value: ratio.value,
        found: ratio.to_string(),
        limit: limit.map_or(String::new(), |limit| format!("{:.2}", limit.value)),
    };
    let mut targets: Vec<Target> = scenarios
        .into_iter()
        .filter_map(|(what, medium, how, typed, most)| {
            let rounds = &row(&found.rows, medium, how, typed)?.rounds;
            let of = |who| Median::of(&rounds.ratios(who, Who::Incumbent));
            let limit = of(Who::Limit)?;
            let most = match most {
                Most::Ratio(most) => most,
                Most::AboveLimit(more) => ((limit.value + more) * 100.0).round() / 100.0,
            };
            Some(ratio(&format!("{what}, of the incumbent"), most, of(Who::Ours)?, Some(limit)))
        })
        .collect();
    for (users, grown) in &found.growth {
        targets.push(ratio(&format!("1 → {} users, disk", thousands(u64::from(*users))), 1.15, *grown, None));
    }
    if let (Some(ours), Some(permit)) = (found.counts_of(Who::Ours), found.counts_of(Who::Permit)) {
        let count = |what: &str, bound: f64, measure: fn(&Counts) -> i64| {
            let value = measure(ours) - measure(permit);
            let number = f64::from(i32::try_from(value).unwrap_or(i32::MAX));
            let bound = Bound::AtMost(bound);
            Target { what: what.to_owned(), bound, value: number, found: value.to_string(), limit: String::new() }
        };
        targets.push(count("system calls beyond permit", 16.0, |it| i64::try_from(it.calls).unwrap_or(i64::MAX)));
        targets.push(count("flushes", 1.0, |it| i64::try_from(it.flushes).unwrap_or(i64::MAX)));
        targets.push(count("kilobytes resident beyond permit", 500.0, |it| it.resident.max(it.left)));
        let cold = |it: &Counts| i64::try_from(it.cold.total()).unwrap_or(i64::MAX);
        targets.push(count("instructions of a new process beyond permit", 180_000.0, cold));
    }
    targets.extend(found.fleet.iter().flat_map(of_fleet));
    targets
}

/// Commands of an administrator, of the time that looking all users up takes by itself; and how fast users are imported.
fn of_fleet(fleet: &Fleet) -> Vec<Target> {
    let users = thousands(u64::from(fleet.users));
    let lists = fleet.commands.iter().filter(|(command, _)| command.starts_with("list")).map(|(command, took)| {
        let times = took.as_secs_f64() / fleet.looked_up.as_secs_f64();
        Target {
            what: format!("`admin {command}`, {users} users, of `getent`"),
            bound: Bound::AtMost(2.0),
            value: times,
            found: format!("{times:.2}"),
            limit: String::new(),
        }
    });
    let import = Target {
        what: format!("`admin import oath`, {users} users, disk, users a second"),
        bound: Bound::AtLeast(5000),
        value: rate(fleet.users, fleet.import),
        found: each_second(fleet.users, fleet.import),
        limit: String::new(),
    };
    lists.chain([import]).collect()
}
