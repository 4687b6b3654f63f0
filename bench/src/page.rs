//! The page docs/performance.md.

use std::{fmt::Write, time::Duration};

use crate::counts::Counts;
use crate::entrant::Who;
use crate::figures::{Median, quantile, thousands};
use crate::findings::{Findings, Row, this_machine};
use crate::fleet;
use crate::login::Cost;
use crate::order::Order;
use crate::targets;

const HEAD: &str = include_str!("page/head.md");
const DONE: &str = include_str!("page/done.md");
const METHOD: &str = include_str!("page/method.md");

/// The whole page. Writing to a string cannot fail.
pub(crate) fn write(found: &Findings, order: &Order) -> String {
    let mut page = HEAD.replace("{MACHINE}", &this_machine()).replace("{DISK}", &found.disk);
    let command =
        if order.words.is_empty() { "make bench".into() } else { format!("make bench BENCH=\"{}\"", order.words) };
    page = page.replace("{COMMAND}", &command);
    let _ = write!(page, "\n## Targets\n\n| | target | found | limit, here | |\n|---|---|---|---|---|\n");
    for target in targets::of(found) {
        let verdict = if target.is_reached() { "reached" } else { "**not reached**" };
        let _ =
            writeln!(page, "| {} | {} | {} | {} | {verdict} |", target.what, target.bound, target.found, target.limit);
    }
    ratios(&mut page, found);
    times(&mut page, &found.rows);
    growth(&mut page, found);
    together(&mut page, found);
    counts(&mut page, &found.counts);
    stages(&mut page, found);
    a_fleet(&mut page, found);
    page + "\n" + METHOD
}

fn ratios(page: &mut String, found: &Findings) {
    let _ = write!(page, "\n## Side by side\n\nEach login's time divided by the incumbent's in the same round.\n\n| |");
    for who in Who::SIX {
        let _ = write!(page, " {} |", who.name());
    }
    let _ = write!(page, "\n|---|{}\n", "---|".repeat(Who::SIX.len()));
    for row in &found.rows {
        let _ = write!(page, "| {} |", row.name());
        for who in Who::SIX {
            let ratio = Median::of(&row.rounds.ratios(who, Who::Incumbent)).filter(|_| who != Who::Incumbent);
            let text =
                if who == Who::Incumbent { "1".into() } else { ratio.map_or(String::new(), |it| it.to_string()) };
            let _ = write!(page, " {text} |");
        }
        page.push('\n');
    }
}

fn times(page: &mut String, rows: &[Row]) {
    let _ = write!(
        page,
        "\n## In microseconds\n\nOn this machine, at the time of the measurement: median, 99th percentile, and the \
         processor's part of the median.\n\n| | | p50 | p99 | CPU | logins |\n|---|---|---|---|---|---|\n"
    );
    for row in rows {
        for who in &row.rounds.who {
            let microseconds = |measure: fn(&Cost) -> Option<u64>| -> Vec<f64> {
                row.rounds.of(*who, measure).into_iter().map(|time| as_float(time) / 1e3).collect()
            };
            let (wall, cpu) = (microseconds(|cost| Some(cost.wall)), microseconds(|cost| cost.cpu));
            let at = |times: &[f64], share| quantile(times, share).map_or("–".into(), |time| format!("{time:.0}"));
            let (p50, p99, cpu) = (at(&wall, 0.5), at(&wall, 0.99), at(&cpu, 0.5));
            let _ = writeln!(
                page,
                "| {} | {} | {p50} | {p99} | {cpu} | {} |",
                row.name(),
                who.name(),
                thousands(wall.len().try_into().unwrap_or(0))
            );
        }
    }
}

fn growth(page: &mut String, found: &Findings) {
    let _ = write!(
        page,
        "\n## With more users\n\n![Cost of a login against the number of users](performance.svg)\n\n\
         | users on the disk | cost of our login, with one user = 1 |\n|---|---|\n"
    );
    for (users, ratio) in &found.growth {
        let _ = writeln!(page, "| {} | {ratio} |", thousands(u64::from(*users)));
    }
}

fn together(page: &mut String, found: &Findings) {
    let _ = write!(
        page,
        "\n## Many at once\n\nLogins per second, on the disk, each process with a user of its own and a counter \
         token.\n\n| processes | pam_otp | the incumbent | ratio | right codes refused (pam_otp, incumbent) |\n\
         |---|---|---|---|---|\n"
    );
    for row in &found.throughput {
        let [ours, other] = row.refused;
        let _ = writeln!(
            page,
            "| {} | {:.0} | {:.0} | {} | {ours}, {other} |",
            row.processes, row.ours, row.incumbent, row.ratio
        );
    }
    let same = &found.same_user;
    let _ = writeln!(
        page,
        "\nOne user, ten recovery codes given in ten processes at once, again and again: of {} valid codes, pam_otp \
         accepted {}, the incumbent {}.",
        same.given, same.ours, same.incumbent
    );
}

fn counts(page: &mut String, counts: &[Counts]) {
    let permit = |measure: fn(&Counts) -> u64| counts.iter().find(|it| it.who == Who::Permit).map_or(0, measure);
    let _ = write!(
        page,
        "\n## Counts\n\nA process's second login, minus that of `pam_permit` alone; memory is what the first login \
         adds to its host. A module that asks for memory less often than `pam_permit` alone has more calls without \
         those for memory than with them.\n\n| | system calls | without those for memory | flushes | page faults | instructions | of a new process | \
         resident, kB | of it private, kB | left resident after the login, kB |\n|---|---|---|---|---|---|---|---|---|---|\n"
    );
    let base =
        counts.iter().find(|it| it.who == Who::Permit).map_or((0, 0, 0), |it| (it.resident, it.private, it.left));
    for it in counts.iter().filter(|it| it.who != Who::Permit) {
        let beyond = |measure: fn(&Counts) -> u64| thousands(measure(it).saturating_sub(permit(measure)));
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            it.who.name(),
            beyond(|it| it.calls),
            beyond(|it| it.calls_not_for_memory),
            beyond(|it| it.flushes),
            beyond(|it| it.page_faults),
            beyond(|it| it.instructions),
            beyond(|it| it.cold.total()),
            it.resident - base.0,
            it.private - base.1,
            it.left - base.2,
        );
    }
}

fn stages(page: &mut String, found: &Findings) {
    let _ = write!(
        page,
        "\n## Where the time goes\n\nA login of ours in microseconds; each line adds one thing. Only the last line is on \
         the disk, all others are in memory.\n\n| | warm | new process |\n|---|---|---|\n"
    );
    for stage in &found.stages {
        let _ = writeln!(page, "| {} | {} | {} |", stage.what, stage.warm, stage.fresh);
    }
    let (Some(ours), Some(permit)) = (found.counts_of(Who::Ours), found.counts_of(Who::Permit)) else { return };
    let _ = write!(
        page,
        "\nIts instructions, counted by callgrind: those of a process's second login, and those of a new process beyond what one with \
         pam_permit alone takes.\n\n| | second login | new process |\n|---|---|---|\n"
    );
    let beyond = ours.cold.clone().less(&permit.cold);
    let mut parts: Vec<_> = beyond.0.iter().collect();
    parts.sort_by_key(|(_, cost)| -**cost);
    for (part, cost) in parts {
        let number = |cost: i64| thousands(u64::try_from(cost).unwrap_or(0));
        let second = ours.profile.0.get(part).copied().unwrap_or(0);
        let _ = writeln!(page, "| {part} | {} | {} |", number(second), number(*cost));
    }
    page.push_str(DONE);
}

fn a_fleet(page: &mut String, found: &Findings) {
    let Some(fleet) = &found.fleet else { return };
    let each = fleet.space / u64::from(fleet.users);
    let _ = writeln!(
        page,
        "\n## A fleet's worth\n\n{} users: the records take {} MB on the disk, {each} bytes a user (pam_oath's \
         file: {} MB). Ctrl-C ends `otp-enroll admin list` within {} ms.\n\n| | seconds | users a second |\n|---|---|---|",
        thousands(u64::from(fleet.users)),
        thousands(fleet.space / 1_000_000),
        thousands(fleet.oath / 1_000_000),
        fleet.interrupted.as_millis().max(1),
    );
    let mut line = |what: &str, took: Duration| {
        let _ = writeln!(page, "| {what} | {:.1} | {} |", took.as_secs_f64(), fleet::each_second(fleet.users, took));
    };
    line("`otp-enroll admin import oath`", fleet.import);
    for (command, took) in &fleet.commands {
        line(&format!("`otp-enroll admin {command}`"), *took);
    }
    line(
        "for comparison: `getent passwd` with all their names, as each command looks each of them up",
        fleet.looked_up,
    );
}

fn as_float(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
