//! The one owner of signals. They are answered in threads of their own, so that everything is allowed there that a signal
//! handler must not do.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::unistd::{getpgrp, tcgetpgrp};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit code of a program that was interrupted: 128 and the number of SIGINT, as a shell reports it.
pub(crate) const INTERRUPTED: i32 = 130;

/// What answers interruptions; `None` before they are.
static ANSWER: Mutex<Option<fn()>> = Mutex::new(None);

/// Calls `interrupt` for each SIGINT, SIGTERM and SIGHUP from now on, also where the program was told to ignore them.
///
/// # Errors
///
/// `AlreadyExists` if interruptions are answered already: the first answer stays.
pub(crate) fn on_interruption(interrupt: fn()) -> io::Result<()> {
    watch(&[SIGINT, SIGTERM, SIGHUP], interrupt)
}

/// The same, in place of what answered before.
pub(crate) fn on_interruption_instead(interrupt: fn()) -> io::Result<()> {
    let mut answer = ANSWER.lock().unwrap_or_else(PoisonError::into_inner);
    if answer.is_some() {
        *answer = Some(interrupt);
        return Ok(());
    }
    drop(answer);
    on_interruption(interrupt)
}

/// Runs `ask`. An interruption meanwhile calls `interrupt`, in place of what answers it otherwise. Afterwards all is as before.
pub(crate) fn while_asking<T>(interrupt: fn(), ask: impl FnOnce() -> T) -> T {
    let before = ANSWER.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(|it| mem::replace(it, interrupt));
    if let Some(before) = before {
        let answer = ask();
        *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        return answer;
    }
    // signal-hook never gives a signal back. A thread that waits for it does: it comes to the main thread where that takes it.
    static WAITING: Once = Once::new();
    let interruption = SigSet::from(Signal::SIGINT);
    let Ok(mask) = interruption.thread_swap_mask(SigmaskHow::SIG_BLOCK) else { return ask() };
    WAITING.call_once(|| {
        let wait = move || {
            while interruption.wait().is_ok() {
                interrupt();
            }
        };
        let _ = thread::Builder::new().spawn(wait); // without it Ctrl-C waits for the answer
    });
    let answer = ask();
    let _ = mask.thread_set_mask();
    answer
}

/// From now on an interruption sets this, for work that ends between two users.
pub(crate) fn between_users() -> io::Result<&'static AtomicBool> {
    static STOP: AtomicBool = AtomicBool::new(false);
    on_interruption_instead(|| STOP.store(true, Ordering::Relaxed)).map(|()| &STOP)
}

/// The same with SIGQUIT, and for SIGTSTP and SIGCONT: `stop` is called for the first of the two and must call
/// [`suspend`], `go_on` for the second and after `stop`.
pub(crate) fn on_terminal(interrupt: fn(), stop: fn(), go_on: fn()) -> io::Result<()> {
    let suspensions: SigSet = [Signal::SIGTSTP, Signal::SIGCONT].into_iter().collect();
    // Before there is another thread, which will inherit this: a signal goes to any thread that does not block it.
    suspensions.thread_block()?;
    watch(&[SIGINT, SIGTERM, SIGHUP, SIGQUIT], interrupt)?;
    let waiting = thread::Builder::new().spawn(move || {
        while let Ok(signal) = suspensions.wait() {
            if signal == Signal::SIGTSTP {
                stop();
            }
            go_on();
        }
    });
    waiting.map(drop)
}

fn watch(signals: &[i32], interrupt: fn()) -> io::Result<()> {
    let mut answer = ANSWER.lock().unwrap_or_else(PoisonError::into_inner);
    if answer.is_some() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut signals = Signals::new(signals)?;
    thread::Builder::new().spawn(move || signals.forever().for_each(|_| interrupted()))?;
    *answer = Some(interrupt);
    Ok(())
}

fn interrupted() {
    // Copied, so that the answer may take its time.
    let answer = *ANSWER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(answer) = answer {
        answer();
    }
}

/// Stops the program as SIGTSTP would have. It does not stop where no shell could continue it: in an orphaned process
/// group, as `ssh -t host otp-enroll` is. (signal-hook's emulation sends SIGSTOP, which stops there too.)
pub(crate) fn suspend() {
    let stopping = SigSet::from(Signal::SIGTSTP);
    let _ = stopping.thread_unblock().and_then(|()| raise(Signal::SIGTSTP)).and_then(|()| stopping.thread_block());
}

/// Whether the terminal is ours, as far as its shell is concerned.
pub(crate) fn is_in_front() -> bool {
    tcgetpgrp(io::stdin()) == Ok(getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_to_an_interruption_stays_unless_it_is_replaced() {
        let is_blocked = || SigSet::thread_get_mask().unwrap().contains(Signal::SIGINT);
        assert!(while_asking(|| (), is_blocked) && !is_blocked(), "only while a question is open");
        on_interruption(|| ()).unwrap();
        assert_eq!(on_interruption(|| ()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        static ANSWERED: AtomicBool = AtomicBool::new(false);
        on_interruption_instead(|| ANSWERED.store(true, Ordering::Relaxed)).unwrap();
        interrupted();
        assert!(ANSWERED.load(Ordering::Relaxed));
        static ASKED: AtomicBool = AtomicBool::new(false);
        while_asking(|| ASKED.store(true, Ordering::Relaxed), interrupted);
        assert!(ASKED.swap(false, Ordering::Relaxed));
        interrupted();
        assert!(!ASKED.load(Ordering::Relaxed), "the answer before is back");
    }
}
