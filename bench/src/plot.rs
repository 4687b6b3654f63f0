//! The picture docs/performance.svg: cost against number of users.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::door::How;
use crate::entrant::Who;
use crate::figures::{quantile, thousands};
use crate::findings::Row;
use crate::place::Medium;
use crate::rounds::Typed;

/// Size of each of the two panels, in pixels.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 100.0;
const TOP: f64 = 40.0;

/// Size of the letters, and of a line of them.
const LETTERS: f64 = 13.0;
const LINE: f64 = 20.0;

/// The widest digits of a usual font, in its size: a browser takes the font that its machine has.
const WIDEST: f64 = 0.7;

/// The entrants that are drawn, with colour and dashes.
const LINES: [(Who, &str, &str); 4] = [
    (Who::Oath, "#b35806", "6 3"),
    (Who::Incumbent, "#542788", "2 3"),
    (Who::Ours, "#1b7837", ""),
    (Who::Limit, "#777777", "1 4"),
];

/// Both scales are logarithmic. Writing to a string cannot fail.
pub(crate) fn draw(rows: &[Row]) -> String {
    let lines = [Medium::Disk, Medium::Memory].map(|medium| lines(&labels(rows, medium)));
    let below = LINE * f64::from(lines.iter().flatten().copied().max().unwrap_or(0));
    let (width, height) = (2.0 * (LEFT + WIDTH) + 50.0, TOP + HEIGHT + 84.0 + below);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"{LETTERS}\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
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
    let most = decades(rows);
    for ((place, medium), lines) in [(0.0, Medium::Disk), (1.0, Medium::Memory)].into_iter().zip(lines) {
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
            let (at, value) = (y(10f64.powf(decade)), format!("{:.0}", 10f64.powf(decade)));
            let value = value.parse().map_or(value, thousands);
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#dddddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                left + WIDTH,
                left - 8.0,
                at + 4.0
            );
            decade += 1.0;
        }
        for ((at, label), line) in labels(rows, medium).into_iter().zip(lines) {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                left + at,
                TOP + HEIGHT + LINE * f64::from(line + 1)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">users enrolled</text>",
            left + WIDTH / 2.0,
            TOP + HEIGHT + 44.0 + below
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
        let (x, y) = (LEFT + WIDTH / 2.0 + place * 190.0, TOP + HEIGHT + 68.0 + below);
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{dashes}\"/><text x=\"{}\" y=\"{}\">{}</text>",
            x + 24.0,
            x + 28.0,
            y + 4.0,
            who.name()
        );
    }
    svg + "</svg>\n"
}

/// How many decades of users are drawn.
fn decades(rows: &[Row]) -> f64 {
    rows.iter().map(|row| row.users).max().map_or(1.0, f64::from).log10().max(1.0)
}

/// The numbers of users of one panel, from left to right: the middle of each, and its text.
fn labels(rows: &[Row], medium: Medium) -> Vec<(f64, String)> {
    let counts: BTreeSet<u32> = rows.iter().filter(|row| row.medium == medium).map(|row| row.users).collect();
    let at = |users: u32| f64::from(users).log10() / decades(rows) * WIDTH;
    counts.into_iter().map(|users| (at(users), thousands(u64::from(users)))).collect()
}

/// The line of each label: the first one in which it does not touch what stands there.
fn lines(labels: &[(f64, String)]) -> Vec<u32> {
    let mut ends = Vec::new();
    let place = |(at, text): &(f64, String)| {
        let half = width(text, LETTERS) / 2.0 + LETTERS / 4.0; // half of the gap, too
        let line = ends.iter().position(|end| *end < at - half).unwrap_or(ends.len());
        if line == ends.len() {
            ends.push(0.0);
        }
        ends[line] = at + half;
        u32::try_from(line).unwrap_or(u32::MAX)
    };
    labels.iter().map(place).collect()
}

/// At most this many pixels.
fn width(text: &str, letters: f64) -> f64 {
    text.chars().map(|_| WIDEST * letters).sum()
}

fn microseconds(row: &Row, who: Who) -> Option<f64> {
    let times: Vec<f64> = row.rounds.of(who, |cost| Some(cost.wall)).into_iter().map(nanoseconds).collect();
    quantile(&times, 0.5).map(|time| time / 1000.0)
}

fn nanoseconds(time: u64) -> f64 {
    u32::try_from(time).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::login::Cost;
    use crate::rounds::Rounds;

    /// A text of the picture: what it says, and the box that it takes at most.
    #[derive(Debug)]
    struct Text {
        said: String,
        left: f64,
        right: f64,
        top: f64,
        bottom: f64,
    }

    impl Text {
        fn touches(&self, other: &Text) -> bool {
            self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
        }
    }

    fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
        tag.split_once(&format!("{name}=\""))?.1.split('"').next()
    }

    /// The texts of a picture, and its width and height.
    fn read(svg: &str) -> (Vec<Text>, [f64; 2]) {
        let number = |tag: &str, name: &str| attribute(tag, name).map(|value| value.parse::<f64>().unwrap());
        let texts = svg.split("<text ").skip(1).map(|rest| {
            let (tag, rest) = rest.split_once('>').unwrap();
            let said = rest.split('<').next().unwrap().to_owned();
            let letters = number(tag, "font-size").unwrap_or(LETTERS);
            let (x, bottom, width) =
                (number(tag, " x").or(number(tag, "x")).unwrap(), number(tag, " y").unwrap(), width(&said, letters));
            let left = match attribute(tag, "text-anchor") {
                Some("middle") => x - width / 2.0,
                Some("end") => x - width,
                _ => x,
            };
            Text { said, left, right: left + width, top: bottom - letters, bottom }
        });
        let size = attribute(svg, "viewBox").unwrap().split(' ').skip(2).map(|value| value.parse().unwrap());
        (texts.collect(), size.collect::<Vec<_>>().try_into().unwrap())
    }

    fn assert_readable(svg: &str) {
        let (texts, [width, height]) = read(svg);
        assert!(texts.len() > 10, "{texts:?}");
        for (place, text) in texts.iter().enumerate() {
            assert!(text.left >= 0.0 && text.right <= width && text.top >= 0.0 && text.bottom <= height, "{text:?}");
            for other in &texts[..place] {
                assert!(!text.touches(other), "{other:?} and {text:?}");
            }
        }
    }

    /// Logins of all entrants with so many users: the slowest takes a second.
    fn row(medium: Medium, users: u32) -> Row {
        let who: Vec<Who> = LINES.iter().map(|(who, ..)| *who).collect();
        let round = [1_000_000_000, 700_000, 400_000, 130_000].map(|wall| Some(Cost { wall, cpu: Some(wall) }));
        Row { medium, users, how: How::Warm, typed: Typed::Right, rounds: Rounds { who, costs: vec![round.to_vec()] } }
    }

    fn rows(counts: &[u32]) -> Vec<Row> {
        let media = [Medium::Disk, Medium::Memory];
        media.iter().flat_map(|medium| counts.iter().map(|users| row(*medium, *users))).collect()
    }

    #[test]
    fn no_text_of_the_picture_touches_another() {
        for counts in [
            &[1][..],
            &[1, 1_000, 100_000],
            &[1, 1_000, 100_000, 1_000_000],
            &[1, 1_000, 1_500, 2_000, 700_000, 900_000, 1_000_000],
        ] {
            let rows = rows(counts);
            let svg = draw(&rows);
            assert_readable(&svg);
            let said: BTreeSet<String> = read(&svg).0.into_iter().map(|text| text.said).collect();
            for users in counts {
                assert!(said.contains(&thousands(u64::from(*users))), "{users}: {said:?}");
            }
        }
    }

    #[test]
    fn the_usual_numbers_of_users_stand_in_one_line() {
        let rows = rows(&[1, 1_000, 100_000, 1_000_000]);
        assert_eq!(lines(&labels(&rows, Medium::Disk)), [0; 4]);
    }

    #[test]
    fn no_text_of_the_page_s_picture_touches_another() {
        assert_readable(include_str!("../../docs/performance.svg"));
    }
}
