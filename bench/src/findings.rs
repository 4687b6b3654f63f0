//! The whole measurement, part by part, and what was found.

use std::fs;

use pam_otp_tests::{machine, users::TestUser};

use crate::{
    counts::{self, Counts},
    crowd,
    enrol::Factor,
    entrant::{self, Entrant, Who},
    figures::Median,
    fleet::{self, Fleet},
    order::{FLEET, Order},
    place::{Medium, Place},
    progress::Progress,
    rounds::{self, How, Rounds, Typed},
    stages::{self, Stage},
    together::{self, SameUser, Throughput},
};

/// One scenario.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) medium: Medium,
    pub(crate) users: u32,
    pub(crate) how: How,
    pub(crate) typed: Typed,
    pub(crate) rounds: Rounds,
}

/// Everything that the page is made of.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) disk: String,
    pub(crate) rows: Vec<Row>,
    /// For each number of users on the disk, our login's cost there by that with one user.
    pub(crate) growth: Vec<(u32, Median)>,
    pub(crate) throughput: Vec<Throughput>,
    pub(crate) same_user: SameUser,
    pub(crate) counts: Vec<Counts>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) fleet: Option<Fleet>,
}

/// Measures what the order says.
pub(crate) fn find(order: &Order, progress: &Progress) -> Findings {
    let users = TestUser::many("bench", together::COUNTS.into_iter().max().unwrap());
    let (mut rows, mut growth, mut fleet) = (Vec::new(), Vec::new(), None);
    let place = |medium| {
        let place = Place::on(medium);
        entrant::furnish(&place);
        place
    };
    let (disk, alone) = (place(Medium::Disk), place(Medium::Disk));
    for medium in [Medium::Disk, Medium::Memory] {
        let memory = (medium == Medium::Memory).then(|| place(Medium::Memory));
        let place = memory.as_ref().unwrap_or(&disk);
        let more = (order.fleet && medium == Medium::Disk).then_some(FLEET);
        let mut enrolled = 0;
        for count in order.users.iter().copied().chain(more) {
            crowd::gather(place, enrolled..count - 1, progress);
            enrolled = count - 1;
            let mut play = |who: &[Who], how, typed| {
                let entrant = |(who, user): (&Who, &String)| Entrant::new(*who, place, user, Factor::Time);
                let entrants: Vec<Entrant> = who.iter().zip(&users).map(entrant).collect();
                let row = Row { medium, users: count, how, typed, rounds: rounds::empty() };
                let rounds = rounds::play(&entrants, how, typed, order.time, &row.name(), progress);
                let row = Row { rounds, ..row };
                progress.result(&row.summary());
                rows.push(row);
            };
            play(&Who::FIVE, How::Warm, Typed::Right);
            if count == order.users[0] {
                play(&Who::FIVE, How::Fresh, Typed::Right);
                play(&Who::SIX, How::Warm, Typed::Wrong);
            }
            if medium == Medium::Disk && count > 1 {
                let both = [&alone, place].map(|place| Entrant::new(Who::Ours, place, &users[1], Factor::Time));
                let name = format!("ours with 1 and with {count} users");
                let rounds = rounds::play(&both, How::Warm, Typed::Right, order.time, &name, progress);
                growth.push((count, Median::of(&rounds.ratios_at(1, 0)).unwrap()));
            }
        }
        if more.is_some() {
            let own = Entrant::new(Who::Ours, place, &users[1], Factor::Time);
            assert!(!own.user.is_empty());
            fleet = Some(fleet::measure(place, enrolled, progress));
        }
    }
    let memory = place(Medium::Memory);
    let count = |(who, user): (&Who, &String)| {
        progress.part(&format!("counting {}", who.name()), 0, 1);
        counts::count(&Entrant::new(*who, &memory, user, Factor::Time))
    };
    let counts = Who::FIVE.iter().zip(&users).map(count).collect();
    let stages = stages::play(&memory, &alone, &users[0], order.time, progress);
    let throughput = together::distinct(&alone, &users, order.time * 2, progress);
    let same_user = together::same_user(&alone, &users[0]);
    Findings { disk: disk.kind, rows, growth, throughput, same_user, counts, stages, fleet }
}

impl Row {
    pub(crate) fn name(&self) -> String {
        let how = if self.how == How::Warm { "warm" } else { "new process each" };
        let typed = if self.typed == Typed::Wrong { "wrong code, " } else { "" };
        let s = if self.users == 1 { "" } else { "s" };
        format!("{typed}{how}, {}, {} user{s}", self.medium, thousands(u64::from(self.users)))
    }

    /// Ours beside the incumbent, for who looks on.
    pub(crate) fn summary(&self) -> String {
        let ratio =
            |who| Median::of(&self.rounds.ratios(who, Who::Incumbent)).map_or("–".into(), |it| it.to_string());
        let (ours, oath, limit) = (ratio(Who::Ours), ratio(Who::Oath), ratio(Who::Limit));
        format!("{}: pam_otp {ours}, pam_oath {oath}, limit {limit} of the incumbent", self.name())
    }
}

/// `1,000,000`
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Processor and kernel, in a line.
pub(crate) fn this_machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = machine::run(std::process::Command::new("uname").arg("-r"));
    let series: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    format!("{count} × {}, Linux {}", model.unwrap_or("unknown processor"), series.join("."))
}
