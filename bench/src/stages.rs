//! The stages of a login: logins that do one thing more each time, in paired rounds.

use std::{fs, time::Duration};

use pam_otp_tests::{draw::Draw, pam::Code};

use crate::enroll::Factor;
use crate::entrant::{Entrant, Who};
use crate::figures::Median;
use crate::login::{self, Cost};
use crate::place::Place;
use crate::progress::Progress;

/// The cost that a stage adds to the one before it, in microseconds.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) what: &'static str,
    pub(crate) warm: Median,
    pub(crate) fresh: Median,
}

/// Measures the stages for about this time.
pub(crate) fn play(memory: &Place, disk: &Place, user: &str, time: Duration, progress: &Progress) -> Vec<Stage> {
    // Every stack has pam_permit, so that every stage includes loading it.
    let entrant = |place: &Place| {
        let config = place.path.join("pam_otp.toml");
        let stack = format!("auth required pam_otp.so config={}\nauth required pam_permit.so", config.display());
        Entrant::new(Who::Ours, place, user, Factor::Time).before(&stack)
    };
    let plain = |stack: &str| Entrant::new(Who::Permit, memory, user, Factor::Time).before(stack);
    let (in_memory, on_disk) = (entrant(memory), entrant(disk));
    // The shipped configuration, but no user is asked for a code.
    let (asks, skips) = (memory.path.join("pam_otp.toml"), memory.path.join("skip.toml"));
    let text = fs::read_to_string(asks).unwrap();
    assert!(text.contains("\n[policy]\n"), "the shipped configuration has no [policy]");
    fs::write(&skips, text.replace("\n[policy]\n", "\n[policy]\nsecond_factor = \"skip\"\n")).unwrap();
    let skips = format!("auth required pam_otp.so config={}\nauth required pam_permit.so", skips.display());
    // libpam loads the modules of all groups of a service, even if only one is called.
    let loads = "auth required pam_permit.so\nsession required pam_otp.so";
    let stages = [
        ("PAM itself (pam_permit alone)", plain("auth required pam_permit.so")),
        ("loading and unloading the module", plain(loads)),
        ("its first steps: pages touched, configuration, account", plain(&skips)),
        ("record, codes, log line", in_memory),
        ("the flush to the disk", on_disk),
    ];
    let (warm, fresh) =
        (added(&stages, login::warm, time / 2, progress), added(&stages, login::fresh, time / 2, progress));
    stages
        .iter()
        .zip(warm.into_iter().zip(fresh))
        .map(|((what, _), (warm, fresh))| Stage { what, warm, fresh })
        .collect()
}

/// The cost that each stage adds to the one before it, with logins of one kind.
fn added(
    stages: &[(&str, Entrant); 5],
    log_in: fn(&Entrant, &str) -> (Code, Cost),
    time: Duration,
    progress: &Progress,
) -> Vec<Median> {
    let (start, mut draw, mut costs) = (std::time::Instant::now(), Draw::default(), Vec::<[f64; 5]>::new());
    while costs.len() < 20 || start.elapsed() < time {
        let mut round = [0.0; 5];
        for place in draw.order(stages.len()) {
            let (what, entrant) = &stages[place];
            let (result, cost) = log_in(entrant, &entrant.key.shown(0));
            assert_eq!(result.0, 0, "{what}");
            entrant.restore();
            round[place] = f64::from(u32::try_from(cost.wall / 100).unwrap()) / 10.0;
        }
        costs.push(round);
        progress.part("stages of a login", 0, 1);
    }
    let added = |place: usize| -> Vec<f64> {
        costs.iter().map(|round| round[place] - place.checked_sub(1).map_or(0.0, |before| round[before])).collect()
    };
    (0..stages.len()).map(|place| Median::of(&added(place)).unwrap()).collect()
}
