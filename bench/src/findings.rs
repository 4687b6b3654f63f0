//! The whole measurement, part by part, and its findings.

use std::fs;

use pam_otp_tests::{machine, users::TestUser};

use crate::counts::{self, Counts};
use crate::crowd;
use crate::door::How;
use crate::enroll::Factor;
use crate::entrant::{self, Entrant, Who};
use crate::figures::{Median, thousands};
use crate::fleet::{self, Fleet};
use crate::order::Order;
use crate::place::{Medium, Place};
use crate::progress::Progress;
use crate::rounds::{self, Rounds, Typed};
use crate::stages::{self, Stage};
use crate::together::{self, SameUser, Throughput};

/// One scenario.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) medium: Medium,
    pub(crate) users: u32,
    pub(crate) how: How,
    pub(crate) typed: Typed,
    pub(crate) rounds: Rounds,
}

/// All findings on the page.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) disk: String,
    pub(crate) rows: Vec<Row>,
    /// For each number of users on the disk, the cost of our login divided by that with one user.
    pub(crate) growth: Vec<(u32, Median)>,
    pub(crate) throughput: Vec<Throughput>,
    pub(crate) same_user: SameUser,
    pub(crate) counts: Vec<Counts>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) fleet: Option<Fleet>,
}

/// Measures what was ordered.
pub(crate) fn find(order: &Order, progress: &Progress) -> Findings {
    let users = TestUser::many("bench", together::COUNTS.into_iter().max().unwrap());
    let people = Who::WHOLE.map(|_| TestUser::new("bench"));
    let bench = Bench { order, progress, users, people: people.iter().map(|person| person.name.clone()).collect() };
    let (disk, alone) = (furnished(Medium::Disk), furnished(Medium::Disk));
    let (mut rows, mut growth) = (Vec::new(), Vec::new());
    bench.climb(&disk, &alone, &mut rows, &mut growth);
    let memory = furnished(Medium::Memory);
    bench.climb(&memory, &memory, &mut rows, &mut growth);

    let memory = furnished(Medium::Memory);
    let counts = Who::FIVE.iter().zip(&bench.users).map(|(who, user)| {
        progress.part(&format!("counting {}", who.name()), 0, 1);
        counts::count(&Entrant::new(*who, &memory, user, Factor::Time))
    });
    let counts = counts.collect();
    let stages = stages::play(&memory, &alone, &bench.users[0], order.time, progress);
    let throughput = together::distinct(&alone, &bench.users, order.time * 2, progress);
    let same_user = together::same_user(&alone, &bench.users[0]);
    let fleet = order.fleet.map(|users| {
        let place = furnished(Medium::Disk);
        let import = fleet::import(&place, users - 1, progress);
        bench.among(&place, &alone, users, &mut rows, &mut growth);
        fleet::measure(&place, users - 1, import, progress)
    });
    Findings { disk: disk.kind, rows, growth, throughput, same_user, counts, stages, fleet }
}

pub(crate) fn furnished(medium: Medium) -> Place {
    let place = Place::on(medium);
    entrant::furnish(&place);
    place
}

/// The data that every scenario needs.
struct Bench<'a> {
    order: &'a Order,
    progress: &'a Progress,
    users: Vec<String>,
    /// Users with a home and a shell.
    people: Vec<String>,
}

impl Bench<'_> {
    /// The scenarios at one place, with more and more users.
    fn climb(&self, place: &Place, alone: &Place, rows: &mut Vec<Row>, growth: &mut Vec<(u32, Median)>) {
        let mut enrolled = 0;
        for (step, count) in self.order.users.iter().copied().enumerate() {
            crowd::gather(place, enrolled..count - 1, self.progress);
            enrolled = count - 1;
            self.among(place, alone, count, rows, growth);
            if step == 0 {
                rows.push(self.play(place, count, &Who::FIVE, How::Forked, Typed::Right));
                rows.push(self.play(place, count, &Who::FIVE, How::Fresh, Typed::Right));
                for how in [How::Sudo, How::Ssh] {
                    rows.push(self.play(place, count, &Who::WHOLE, how, Typed::Right));
                }
                rows.push(self.play(place, count, &Who::SIX, How::Warm, Typed::Wrong));
            }
        }
    }

    /// A login among `count` users, and the cost of ours compared with that of a single user.
    fn among(&self, place: &Place, alone: &Place, count: u32, rows: &mut Vec<Row>, growth: &mut Vec<(u32, Median)>) {
        rows.push(self.play(place, count, &Who::FIVE, How::Warm, Typed::Right));
        if place.medium == Medium::Disk && count > 1 {
            let both = [alone, place].map(|place| Entrant::new(Who::Ours, place, &self.users[1], Factor::Time));
            let name = format!("pam_otp with 1 and with {} users", thousands(u64::from(count)));
            let rounds = rounds::play(&both, How::Warm, Typed::Right, self.order.time, &name, self.progress);
            growth.push((count, Median::of(&rounds.ratios_at(1, 0)).unwrap()));
        }
    }

    fn play(&self, place: &Place, users: u32, who: &[Who], how: How, typed: Typed) -> Row {
        let entrant = |(who, user): (&Who, &String)| Entrant::new(*who, place, user, Factor::Time);
        let entrants: Vec<Entrant> =
            who.iter().zip(if how.is_whole() { &self.people } else { &self.users }).map(entrant).collect();
        let row = Row { medium: place.medium, users, how, typed, rounds: rounds::empty() };
        let rounds = rounds::play(&entrants, how, typed, self.order.time, &row.name(), self.progress);
        let row = Row { rounds, ..row };
        self.progress.result(&row.summary());
        row
    }
}

impl Findings {
    pub(crate) fn counts_of(&self, who: Who) -> Option<&Counts> {
        self.counts.iter().find(|counts| counts.who == who)
    }
}

impl Row {
    pub(crate) fn name(&self) -> String {
        let typed = if self.typed == Typed::Wrong { "wrong code, " } else { "" };
        let s = if self.users == 1 { "" } else { "s" };
        format!("{typed}{}, {}, {} user{s}", self.how.name(), self.medium, thousands(u64::from(self.users)))
    }

    /// Our result compared with the incumbent's, for the terminal.
    pub(crate) fn summary(&self) -> String {
        let ratio =
            |who| Median::of(&self.rounds.ratios(who, Who::Incumbent)).map_or("–".into(), |it| it.to_string());
        let (ours, oath, limit) = (ratio(Who::Ours), ratio(Who::Oath), ratio(Who::Limit));
        format!("{}: pam_otp {ours}, pam_oath {oath}, limit {limit} of the incumbent", self.name())
    }
}

/// The row of that kind, if it was measured.
pub(crate) fn row(rows: &[Row], medium: Medium, how: How, typed: Typed) -> Option<&Row> {
    rows.iter().find(|row| row.medium == medium && row.how == how && row.typed == typed)
}

/// Processor and kernel, in one line.
pub(crate) fn this_machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = machine::run(std::process::Command::new("uname").arg("-r"));
    let series: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    format!("{count} × {}, Linux {}", model.unwrap_or("unknown processor"), series.join("."))
}
