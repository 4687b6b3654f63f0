//! The alternate screen: its content is wiped when the program ends in any way, and while it is stopped.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use otp_core::text;

use crate::error::ScreenError;
use crate::language::tr;
use crate::ui::secret_lines::{SecretLines, put};
use crate::ui::signals::{self, INTERRUPTED, is_in_front};
use crate::ui::terminal::Terminal;
use crate::unconfirmed_file;

/// Clears a screen that holds nothing of ours.
const CLEAR: &str = "\x1b[2J\x1b[H";
/// Wipes a screen that shows a secret. The lines are deleted first, since several terminals without an alternate
/// screen (and tmux with it turned off) move what ESC[2J clears into the scrollback.
const WIPE: &str = "\x1b[0m\x1b[H\x1b[999M\x1b[2J\x1b[H";
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// The text of an interruption where nothing was done yet.
pub(crate) const UNCHANGED: &str = text!("interrupted: nothing was changed");

/// The one terminal of this process, which the thread that waits for signals needs too.
static SCREEN: Mutex<Screen> = Mutex::new(Screen {
    depth: 0,
    escapes: false,
    away: false,
    watched: false,
    page: None,
    question: String::new(),
    echoing: None,
    if_interrupted: String::new(),
});

struct Screen {
    /// How many [`AlternateScreen`] are alive.
    depth: usize,
    escapes: bool,
    /// The program was stopped or began in the background: another program has the terminal.
    away: bool,
    watched: bool,
    /// The page shown, to draw it again after a stop.
    page: Option<SecretLines>,
    /// What is asked below it and has no answer yet.
    question: String,
    /// How the terminal was before what is typed was hidden.
    echoing: Option<Termios>,
    if_interrupted: String,
}

/// While one is alive the alternate screen is shown; with the last one it is wiped and left.
#[derive(Debug)]
#[must_use = "the alternate screen is left at once"]
pub(crate) struct AlternateScreen(());

impl AlternateScreen {
    /// Enters the alternate screen, or wipes it if it is shown already. SIGINT, SIGTERM, SIGHUP and SIGQUIT leave it from
    /// now on, print `if_interrupted` on a line of its own to standard error, and end the program with exit code 130.
    /// SIGTSTP leaves it until the program goes on.
    pub(crate) fn enter(terminal: &Terminal, if_interrupted: &str) -> Result<AlternateScreen, ScreenError> {
        let mut screen = lock();
        if terminal.interactive && !screen.watched {
            signals::on_terminal(interrupt, stop, go_on).map_err(ScreenError::Signals)?;
            screen.watched = true;
        }
        if_interrupted.clone_into(&mut screen.if_interrupted);
        if screen.depth > 0 {
            screen.wipe().map_err(ScreenError::Io)?;
        } else if terminal.escapes {
            screen.escapes = true;
            screen.away = screen.watched && !is_in_front();
            screen.draw(&format!("{ENTER}{CLEAR}")).map_err(ScreenError::Io)?;
        }
        screen.depth = screen.depth.saturating_add(1);
        Ok(AlternateScreen(()))
    }

    /// Shows a page in place of the one before; the cursor is on the row below it.
    pub(crate) fn show(&self, page: SecretLines) -> io::Result<()> {
        let mut screen = lock();
        screen.wipe()?;
        screen.draw(page.text())?;
        screen.page = Some(page);
        Ok(())
    }

    /// Sets the text of an interruption from now on.
    pub(crate) fn stage(&self, if_interrupted: &str) {
        if_interrupted.clone_into(&mut lock().if_interrupted);
    }

    /// Runs `work` without interruption: an interruption waits for its end, and after a success prints `if_interrupted`, so
    /// that its text is true. The work must end by itself and must not use the terminal.
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
            screen.escapes = false;
            screen.page = None;
        }
    }
}

impl Screen {
    /// Writes, unless another program has the terminal: [`Screen::come_back`] draws what is missing.
    fn draw(&self, text: &str) -> io::Result<()> {
        if self.escapes && self.away { Ok(()) } else { put(text) }
    }

    fn wipe(&self) -> io::Result<()> {
        if self.escapes { self.draw(WIPE) } else { Ok(()) }
    }

    /// Whatever is said next stands at the beginning of a line, and what is typed next is seen.
    fn leave(&self) {
        self.reveal();
        // A terminal that is gone shows nothing either.
        let _ = match (self.escapes, self.question.as_str()) {
            (true, _) => self.draw(&format!("{WIPE}{LEAVE}")),
            (false, "") => Ok(()),
            (false, _) => put("\n"), // an answer was begun, or ^C stands there
        };
    }

    /// Shows again what was left. Without an alternate screen the page stands above whatever came in between.
    fn come_back(&self) -> io::Result<()> {
        if self.escapes {
            put(&format!("{ENTER}{CLEAR}"))?;
            put(self.page.as_ref().map_or("", SecretLines::text))?;
        }
        if let Some(echoing) = &self.echoing {
            hide(echoing)?;
        }
        put(&self.question)
    }

    fn reveal(&self) {
        if let Some(echoing) = &self.echoing {
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, echoing); // a terminal that is gone shows nothing either
        }
    }
}

/// While one is alive, what is typed is not shown. An interruption and a stop end that, so an [`AlternateScreen`] must be
/// alive.
#[must_use = "what is typed is shown at once"]
pub(crate) struct Hidden(());

impl Hidden {
    /// Standard input that is no terminal shows nothing anyway.
    pub(crate) fn begin() -> io::Result<Hidden> {
        let mut screen = lock();
        screen.echoing = tcgetattr(io::stdin()).ok();
        if let Some(echoing) = &screen.echoing {
            hide(echoing)?;
        }
        Ok(Hidden(()))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let mut screen = lock();
        screen.reveal();
        screen.echoing = None;
    }
}

/// Hides what is typed, but for the end of the line. What was typed before was seen, and is forgotten.
fn hide(echoing: &Termios) -> io::Result<()> {
    let mut hiding = echoing.clone();
    hiding.local_flags.remove(LocalFlags::ECHO);
    hiding.local_flags.insert(LocalFlags::ECHONL);
    Ok(tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &hiding)?)
}

/// Asks on the terminal, unless an interruption is about to end the program. `read` reads the answer.
pub(crate) fn ask<T, E: From<io::Error>>(question: &str, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let mut screen = lock();
    question.clone_into(&mut screen.question);
    screen.draw(question)?;
    let watched = screen.watched;
    drop(screen);
    if watched { read() } else { signals::while_asking(interrupt_question, read) }
}

/// The question has an answer, or will have none: then the cursor is still after the question.
pub(crate) fn answered(answer: bool) -> io::Result<()> {
    let mut screen = lock();
    screen.question.clear();
    if answer { Ok(()) } else { screen.draw("\n") }
}

fn interrupt() {
    let screen = lock(); // until the end: no thread may draw on the screen that was left
    unconfirmed_file::discard();
    screen.leave();
    let _ = writeln!(io::stderr(), "{}", tr(&screen.if_interrupted));
    std::process::exit(INTERRUPTED);
}

/// A question that no page is around: before it nothing was done, or it says so itself.
fn interrupt_question() {
    let screen = lock(); // until the end: what follows an answer waits for it
    unconfirmed_file::discard();
    screen.leave();
    if !screen.question.is_empty() {
        let text = if screen.if_interrupted.is_empty() { UNCHANGED } else { &screen.if_interrupted };
        let _ = writeln!(io::stderr(), "{}", tr(text));
    }
    std::process::exit(INTERRUPTED);
}

/// Sets the text of an interruption at questions without a page from now on.
pub(crate) fn stage(if_interrupted: &str) {
    if_interrupted.clone_into(&mut lock().if_interrupted);
}

/// Leaves the screen to another program.
fn stop() {
    let mut screen = lock();
    screen.leave();
    screen.away = true;
    signals::suspend();
}

/// Comes back to the screen, unless another program has the terminal (`bg`): then reading stops us, until `fg`.
fn go_on() {
    let mut screen = lock();
    if screen.away && is_in_front() {
        screen.away = false;
        let _ = screen.come_back(); // a terminal that is gone shows nothing either
    }
}

/// A panic elsewhere is no reason to leave the secret on the screen.
fn lock() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
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
