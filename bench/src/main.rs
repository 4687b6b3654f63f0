//! `make bench`: the cost of a login with this module, with other modules, and at least.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a benchmark that cannot continue stops at once, and it reads the clock"
)]

mod callgrind;
mod codes;
mod counts;
mod crowd;
mod door;
mod enroll;
mod entrant;
mod figures;
mod findings;
mod fleet;
mod login;
mod order;
mod page;
mod place;
mod plot;
mod progress;
mod rounds;
mod side_by_side;
mod stages;
mod targets;
mod together;

use std::{fs, process::ExitCode};

use order::Order;
use progress::Progress;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    // A process of a run, started by this program itself; or the linker script, in place of a run.
    let parts = ["logins", "logins-forked", "logins-together", "memory", "work", "login-code"];
    let part = arguments.next_if(|word| parts.contains(&word.as_str()));
    let done = match part.as_deref() {
        Some("login-code") => side_by_side::write(arguments),
        Some("memory") => login::memory(arguments),
        Some("logins-forked") => login::logins_forked(arguments),
        Some("work") => together::work(arguments),
        Some("logins-together") => {
            together::wait();
            login::logins(arguments)
        }
        Some(_) => login::logins(arguments),
        None => Order::parse(arguments).map(|order| bench(&order)),
    };
    if done.is_none() {
        eprintln!("{}", order::USAGE);
    }
    done.map_or(ExitCode::from(2), |()| ExitCode::SUCCESS)
}

fn bench(order: &Order) {
    let progress = Progress::default();
    let found = findings::find(order, &progress);
    let (page, picture) = (order.output.join("performance.md"), order.output.join("performance.svg"));
    fs::create_dir_all(&order.output).unwrap();
    fs::write(&picture, plot::draw(&found.rows)).unwrap();
    fs::write(&page, page::write(&found, order)).unwrap();
    for target in targets::of(&found) {
        let verdict = if target.is_reached() { "reached    " } else { "not reached" };
        progress.result(&format!("{verdict} {}: {} (target {})", target.what, target.found, target.bound));
    }
    progress.result(&format!("written: {} and {}", page.display(), picture.display()));
}
