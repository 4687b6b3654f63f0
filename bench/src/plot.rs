//! The picture docs/performance.svg: cost against number of users.

use std::fmt::Write;

use crate::entrant::Who;
use crate::figures::{quantile, thousands};
use crate::findings::Row;
use crate::place::Medium;
use crate::rounds::{How, Typed};

/// Size of each of the two panels, in pixels.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;

/// The entrants that are drawn, with colour and dashes.
const LINES: [(Who, &str, &str); 4] = [
    (Who::Oath, "#b35806", "6 3"),
    (Who::Incumbent, "#542788", "2 3"),
    (Who::Ours, "#1b7837", ""),
    (Who::Limit, "#777777", "1 4"),
];

/// Both scales are logarithmic. Writing to a string cannot fail.
pub(crate) fn draw(rows: &[Row]) -> String {
    let (width, height) = (2.0 * (LEFT + WIDTH) + 170.0, TOP + HEIGHT + 60.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let points = |medium, who| -> Vec<(f64, f64)> {
        let rows = rows.iter().filter(|row| (row.medium, row.how, row.typed) == (medium, How::Warm, Typed::Right));
        rows.filter_map(|row| Some((f64::from(row.users), microseconds(row, who)?))).collect()
    };
    let costs: Vec<f64> = [Medium::Disk, Medium::Memory]
        .into_iter()
        .flat_map(|medium| LINES.iter().flat_map(move |(who, ..)| points(medium, *who)))
        .map(|(_, cost)| cost)
        .collect();
    let lowest = costs.iter().copied().fold(f64::INFINITY, f64::min).log10().floor();
    let highest = costs.iter().copied().fold(1.0, f64::max).log10().ceil().max(lowest + 1.0);
    let most = rows.iter().map(|row| row.users).max().map_or(1.0, f64::from).log10().max(1.0);
    for (place, medium) in [(0.0, Medium::Disk), (1.0, Medium::Memory)] {
        let left = LEFT + place * (LEFT + WIDTH);
        let x = |users: f64| left + users.log10() / most * WIDTH;
        let y = |cost: f64| TOP + (highest - cost.log10()) / (highest - lowest) * HEIGHT;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"24\" text-anchor=\"middle\" font-weight=\"bold\">{medium}: µs per login (median)</text>",
            left + WIDTH / 2.0
        );
        let mut decade = lowest;
        while decade <= highest {
            let (at, value) = (y(10f64.powf(decade)), 10f64.powf(decade));
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
                left + WIDTH,
                left - 8.0,
                at + 4.0
            );
            decade += 1.0;
        }
        let mut counts: Vec<u32> = rows.iter().filter(|row| row.medium == medium).map(|row| row.users).collect();
        counts.dedup();
        for users in counts {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x(f64::from(users)),
                TOP + HEIGHT + 20.0,
                thousands(u64::from(users))
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">users enrolled</text>",
            left + WIDTH / 2.0,
            TOP + HEIGHT + 44.0
        );
        for (who, colour, dashes) in LINES {
            let line: Vec<(f64, f64)> = points(medium, who).iter().map(|(users, cost)| (x(*users), y(*cost))).collect();
            let path: Vec<String> = line.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
                path.join(" ")
            );
            for (x, y) in &line {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
        }
    }
    for ((who, colour, dashes), place) in LINES.iter().zip([0.0, 1.0, 2.0, 3.0]) {
        let (x, y) = (2.0 * (LEFT + WIDTH) + 10.0, TOP + 20.0 + place * 22.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{dashes}\"/><text x=\"{}\" y=\"{}\" font-size=\"11\">{}</text>",
            x + 24.0,
            x + 28.0,
            y + 4.0,
            who.name()
        );
    }
    svg + "</svg>\n"
}

fn microseconds(row: &Row, who: Who) -> Option<f64> {
    let times: Vec<f64> = row.rounds.of(who, |cost| cost.wall).into_iter().map(nanoseconds).collect();
    quantile(&times, 0.5).map(|time| time / 1000.0)
}

fn nanoseconds(time: u64) -> f64 {
    u32::try_from(time).map_or(f64::MAX, f64::from)
}
