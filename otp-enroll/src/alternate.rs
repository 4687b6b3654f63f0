//! The alternate screen: what is shown there is gone afterwards, however the program ends.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::terminal::Terminal;

/// Exit code of a program that was interrupted: 128 and the number of SIGINT, as a shell reports it.
pub(crate) const INTERRUPTED: i32 = 130;

/// Clears a screen that holds nothing of ours.
const CLEAR: &str = "\x1b[2J\x1b[H";
/// Wipes a screen that shows a secret. The lines are deleted first, since several terminals without an alternate
/// screen (and tmux with it turned off) move what ESC[2J clears into the scrollback.
const WIPE: &str = "\x1b[0m\x1b[H\x1b[999M\x1b[2J\x1b[H";
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// The one terminal of this process, which the thread that waits for signals needs too.
static SCREEN: Mutex<Screen> =
    Mutex::new(Screen { depth: 0, escapes: false, watched: false, if_interrupted: String::new() });

struct Screen {
    /// How many [`AlternateScreen`] are alive.
    depth: usize,
    escapes: bool,
    watched: bool,
    if_interrupted: String,
}

/// Why the alternate screen could not be entered.
#[derive(Debug)]
pub(crate) enum ScreenError {
    /// The terminal failed.
    Io(io::Error),
    /// Signals cannot be watched.
    Signals(ctrlc::Error),
}

impl fmt::Display for ScreenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScreenError::Io(error) => write!(f, "the terminal cannot be used: {error}"),
            ScreenError::Signals(error) => write!(f, "interruptions cannot be watched for: {error}"),
        }
    }
}

/// While one is alive the alternate screen is shown; with the last one it is wiped and left.
#[derive(Debug)]
#[must_use = "the alternate screen is left at once"]
pub(crate) struct AlternateScreen(());

impl AlternateScreen {
    /// Enters the alternate screen, or wipes it if it is shown already. SIGINT, SIGTERM and SIGHUP leave it from now
    /// on, print `if_interrupted` on a line of its own to standard error, and end the program with exit code 130.
    pub(crate) fn enter(terminal: &Terminal, if_interrupted: &str) -> Result<AlternateScreen, ScreenError> {
        let mut screen = lock();
        if terminal.interactive && !screen.watched {
            ctrlc::set_handler(interrupt).map_err(ScreenError::Signals)?;
            screen.watched = true;
        }
        if_interrupted.clone_into(&mut screen.if_interrupted);
        if screen.depth > 0 {
            screen.wipe().map_err(ScreenError::Io)?;
        } else if terminal.escapes {
            screen.escapes = true;
            put(&format!("{ENTER}{CLEAR}")).map_err(ScreenError::Io)?;
        }
        screen.depth = screen.depth.saturating_add(1);
        Ok(AlternateScreen(()))
    }

    /// Shows a page in place of the one before; the cursor is on the row below it.
    pub(crate) fn show(&self, page: &[String]) -> io::Result<()> {
        let screen = lock();
        screen.wipe()?;
        let mut text = Zeroizing::new(page.join("\n"));
        if !page.is_empty() {
            text.push('\n');
        }
        put(&text)
    }

    /// Says what an interruption means from now on.
    pub(crate) fn stage(&self, if_interrupted: &str) {
        if_interrupted.clone_into(&mut lock().if_interrupted);
    }

    /// Does what must not be interrupted half-way. An interruption waits for its end, and says `if_interrupted` after
    /// a success, so that what it says is true. The work must end by itself and must not use the terminal.
    pub(crate) fn settle<T, E>(&self, if_interrupted: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut screen = lock();
        let done = work()?;
        if_interrupted.clone_into(&mut screen.if_interrupted);
        Ok(done)
    }
}

impl Drop for AlternateScreen {
    fn drop(&mut self) {
        let mut screen = lock();
        screen.depth = screen.depth.saturating_sub(1);
        if screen.depth == 0 {
            screen.leave();
        }
    }
}

impl Screen {
    fn wipe(&self) -> io::Result<()> {
        if self.escapes { put(WIPE) } else { Ok(()) }
    }

    fn leave(&mut self) {
        if self.escapes {
            self.escapes = false;
            let _ = put(&format!("{WIPE}{LEAVE}")); // a terminal that is gone shows nothing either
        }
    }
}

/// Writes on the terminal, unless an interruption is about to end the program.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let _screen = lock();
    put(text)
}

/// Runs in a thread of its own, so that everything is allowed here that a signal handler must not do.
fn interrupt() {
    let mut screen = lock(); // until the end: nobody may draw on the screen that was left
    screen.leave();
    let _ = writeln!(io::stderr(), "{}", screen.if_interrupted);
    std::process::exit(INTERRUPTED);
}

/// A panic elsewhere is no reason to leave the secret on the screen.
fn lock() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes past std's buffer, which keeps what was written, and whose lock an interrupted write may hold.
fn put(text: &str) -> io::Result<()> {
    File::from(io::stdout().as_fd().try_clone_to_owned()?).write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interruption_means_changes_with_a_success_alone() {
        let terminal = Terminal {
            columns: 80,
            rows: 24,
            colour: false,
            utf8: false,
            light: false,
            escapes: false,
            interactive: false,
        };
        let screen = AlternateScreen::enter(&terminal, "nothing was changed").unwrap();
        assert_eq!(screen.settle("it is active", || Err::<(), _>("disk full")), Err("disk full"));
        assert_eq!(lock().if_interrupted, "nothing was changed");
        assert_eq!(screen.settle("it is active", || Ok::<_, ()>(7)), Ok(7));
        assert_eq!(lock().if_interrupted, "it is active");
        screen.stage("the codes are saved");
        assert_eq!(lock().if_interrupted, "the codes are saved");
    }
}
