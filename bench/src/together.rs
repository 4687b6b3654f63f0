//! Many at once: several processes that log in again and again, and one user in many processes.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use crate::codes::Key;
use crate::enroll::{self, Factor};
use crate::entrant::{Entrant, Who};
use crate::figures::Median;
use crate::login::{self, nanoseconds};
use crate::place::{Place, homes_dir};
use crate::progress::Progress;

/// Numbers of processes at once.
pub(crate) const COUNTS: [usize; 6] = [2, 4, 8, 16, 32, 64];

/// How often each number is measured.
const TURNS: usize = 3;

/// One-time recovery codes of a user: the number that both modules can issue.
const ONE_TIME_CODES: usize = 10;

/// Logins per second of several processes, each with a user of its own.
#[derive(Debug)]
pub(crate) struct Throughput {
    pub(crate) processes: usize,
    pub(crate) ours: f64,
    pub(crate) incumbent: f64,
    pub(crate) ratio: Median,
    /// Right codes that were refused.
    pub(crate) refused: [u64; 2],
}

/// One user's ten recovery codes, given at once in ten processes: how many were accepted.
#[derive(Debug)]
pub(crate) struct SameUser {
    pub(crate) given: usize,
    pub(crate) ours: usize,
    pub(crate) incumbent: usize,
}

/// A user who logs in, and the next counter of the user's token.
struct Holder {
    entrant: Entrant,
    counter: u64,
}

/// Measures ours and the incumbent in turns, with every number of processes, for about this time in all.
pub(crate) fn distinct(place: &Place, users: &[String], time: Duration, progress: &Progress) -> Vec<Throughput> {
    let holders = |who, first| -> Vec<Holder> {
        let holder =
            |user: &String| Holder { entrant: Entrant::new(who, place, user, Factor::Counter), counter: first };
        users.iter().map(holder).collect()
    };
    // The incumbent's tool starts at 1.
    let (mut ours, mut incumbents) = (holders(Who::Ours, 0), holders(Who::Incumbent, 1));
    let turn = time / u32::try_from(COUNTS.len() * TURNS * 2).unwrap();
    let play = |processes: usize| {
        let (mut rates, mut refused) = ([Vec::new(), Vec::new()], [0, 0]);
        for _ in 0..TURNS {
            progress.part(&format!("{processes} at once"), 0, 1);
            for (which, all) in [&mut ours, &mut incumbents].into_iter().enumerate() {
                let (rate, wrongly) = at_once(&mut all[..processes], turn);
                rates[which].push(rate);
                refused[which] += wrongly;
            }
        }
        let ratios: Vec<f64> = rates[0].iter().zip(&rates[1]).map(|(ours, other)| ours / other).collect();
        let middle = |rates: &Vec<f64>| Median::of(rates).unwrap().value;
        let (ours, incumbent) = (middle(&rates[0]), middle(&rates[1]));
        Throughput { processes, ours, incumbent, ratio: Median::of(&ratios).unwrap(), refused }
    };
    COUNTS.into_iter().map(play).collect()
}

/// Logins per second, and how many were refused.
fn at_once(holders: &mut [Holder], time: Duration) -> (f64, u64) {
    let command = |holder: &Holder| {
        let mut command = login::process("work", &holder.entrant, &[]);
        let key = base16ct::lower::encode_string(&holder.entrant.key.0);
        command.args([key, holder.counter.to_string(), time.as_millis().to_string()]);
        command
    };
    let said = together(holders.iter().map(command));
    let (mut rate, mut refused) = (0.0, 0);
    for (holder, said) in holders.iter_mut().zip(said) {
        let numbers = login::numbers(&said);
        holder.counter += numbers[0];
        refused += numbers[1];
        rate += f64::from(u32::try_from(numbers[0] - numbers[1]).unwrap()) * 1e9 / as_float(numbers[2]);
    }
    (rate, refused)
}

/// One user with distinct codes, for some rounds. Recovery codes are accepted in any order, while a later TOTP code rightly
/// makes the earlier ones invalid.
pub(crate) fn same_user(place: &Place, user: &str) -> SameUser {
    let ours = Entrant::new(Who::Ours, place, user, Factor::Time);
    let incumbent = Entrant::new(Who::Incumbent, place, user, Factor::Counter);
    let file = fs::read_to_string(homes_dir(place).join(user).join(".google_authenticator")).unwrap();
    let scratch: Vec<String> = file.lines().filter(|line| line.len() == 8).map(str::to_owned).collect();
    let recovery: Vec<String> = (0..10).map(|n| enroll::recovery_code(n).reveal().to_string()).collect();
    assert_eq!((scratch.len(), recovery.len()), (ONE_TIME_CODES, ONE_TIME_CODES));
    let rounds = 10;
    let mut let_in = [0, 0];
    for _ in 0..rounds {
        for (which, (entrant, codes)) in [(&ours, &recovery), (&incumbent, &scratch)].into_iter().enumerate() {
            entrant.restore();
            let said = together(codes.iter().map(|code| login::process("logins-together", entrant, &[code])));
            let_in[which] += said.iter().filter(|said| said.starts_with("0 ")).count();
        }
    }
    SameUser { given: rounds * ONE_TIME_CODES, ours: let_in[0], incumbent: let_in[1] }
}

/// Starts these processes, releases them at one moment, and returns what each printed.
fn together(commands: impl Iterator<Item = Command>) -> Vec<String> {
    let start = |mut command: Command| -> (Child, BufReader<ChildStdout>) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        (child, said)
    };
    let mut children: Vec<_> = commands.map(start).collect();
    for (_, said) in &mut children {
        let mut ready = String::new();
        said.read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
    }
    for (child, _) in &mut children {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let end = |(mut child, mut output): (Child, BufReader<ChildStdout>)| {
        let mut said = String::new();
        output.read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success());
        said
    };
    children.into_iter().map(end).collect()
}

/// In such a process: waits for the release.
pub(crate) fn wait() {
    println!("ready");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
}

/// In such a process: logs in with one code of a token after another, for a number of milliseconds. Prints how many codes
/// it gave, how many were refused, and the nanoseconds that it took.
pub(crate) fn work(mut arguments: impl Iterator<Item = String>) -> Option<()> {
    let (confdir, service, user, _) = (arguments.next()?, arguments.next()?, arguments.next()?, arguments.next()?);
    let key = Key(base16ct::lower::decode_vec(arguments.next()?).ok()?);
    let (first, time) = (arguments.next()?.parse::<u64>().ok()?, arguments.next()?.parse().ok()?);
    let (mut given, mut refused) = (0, 0);
    wait();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(time) {
        let result = login::login(&service, Path::new(&confdir), &user, None, &key.code(first + given));
        given += 1;
        refused += u64::from(result.0 != 0);
    }
    println!("{given} {refused} {}", nanoseconds(start));
    Some(())
}

fn as_float(nanoseconds: u64) -> f64 {
    f64::from(u32::try_from(nanoseconds / 1000).unwrap()) * 1000.0
}
