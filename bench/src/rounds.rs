//! Rounds: in each round every entrant logs in once, in a new random order, so that noise of the machine hits all alike.

use std::time::{Duration, Instant};

use pam_otp_tests::{draw::Draw, pam::Code};

use crate::door::{self, Door, How};
use crate::entrant::{Entrant, Who};
use crate::login::Cost;
use crate::progress::Progress;

/// Whether the typed code is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Typed {
    Right,
    Wrong,
}

/// The costs of one scenario: for each round, the cost of each entrant's login, if it took part.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) who: Vec<Who>,
    pub(crate) costs: Vec<Vec<Option<Cost>>>,
}

/// `PAM_AUTH_ERR`
const REFUSED: Code = Code(7);

/// Runs rounds for about this time, but at least twenty. An entrant that is far slower than the first takes part rarely.
pub(crate) fn play(
    entrants: &[Entrant],
    how: How,
    typed: Typed,
    time: Duration,
    name: &str,
    progress: &Progress,
) -> Rounds {
    let once = |entrant: &Entrant, log_in: &mut Door<'_>| {
        let code = if typed == Typed::Right { entrant.key.shown(0) } else { entrant.key.wrong() };
        let (result, cost) = log_in(&code);
        let asked = !matches!(entrant.who, Who::Permit | Who::Limit);
        let expected = if asked && typed == Typed::Wrong { REFUSED } else { Code::SUCCESS };
        assert_eq!(result, expected, "{}: {name}: {result} for code {code}", entrant.who.name());
        entrant.restore();
        cost
    };
    let mut doors: Vec<Door<'_>> = entrants.iter().map(|entrant| door::open(how, entrant)).collect();
    let trial = |(entrant, door): (&Entrant, &mut Door<'_>)| (0..4).map(|_| once(entrant, door).wall).min().unwrap();
    let trials: Vec<u64> = entrants.iter().zip(&mut doors).map(trial).collect();
    let every: Vec<usize> = trials.iter().map(|trial| usize::try_from(trial / (trials[0] * 8)).unwrap() + 1).collect();

    let (start, mut costs, mut draw) = (Instant::now(), Vec::<Vec<Option<Cost>>>::new(), Draw::default());
    while costs.len() < 20 || start.elapsed() < time {
        let mut round = vec![None; entrants.len()];
        for place in draw.order(entrants.len()) {
            if costs.len() % every[place] == 0 {
                round[place] = Some(once(&entrants[place], &mut doors[place]));
            }
        }
        costs.push(round);
        let percent = start.elapsed().as_millis() * 100 / time.as_millis().max(1);
        progress.part(name, usize::try_from(percent.min(100)).unwrap(), 100);
    }
    Rounds { who: entrants.iter().map(|entrant| entrant.who).collect(), costs }
}

/// No round was run yet.
pub(crate) fn empty() -> Rounds {
    Rounds { who: Vec::new(), costs: Vec::new() }
}

impl Rounds {
    /// The costs of one entrant's logins, by `measure`, where it was measured.
    pub(crate) fn of(&self, who: Who, measure: impl Fn(&Cost) -> Option<u64>) -> Vec<u64> {
        let place = self.who.iter().position(|entrant| *entrant == who);
        let costs = self.costs.iter().filter_map(|round| round[place?].as_ref());
        costs.filter_map(measure).collect()
    }

    /// One entrant's cost divided by another's of that round.
    pub(crate) fn ratios(&self, who: Who, to: Who) -> Vec<f64> {
        let place = |who| self.who.iter().position(|entrant| *entrant == who);
        let (Some(one), Some(other)) = (place(who), place(to)) else { return Vec::new() };
        self.ratios_at(one, other)
    }

    /// The ratios of two entrants, by position.
    pub(crate) fn ratios_at(&self, one: usize, other: usize) -> Vec<f64> {
        let pairs = self.costs.iter().filter_map(|round| Some((round[one]?.wall, round[other]?.wall)));
        pairs.map(|(one, other)| number(one) / number(other)).collect()
    }
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count / 100).unwrap_or(u32::MAX))
}
