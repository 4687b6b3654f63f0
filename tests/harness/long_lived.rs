//! A host that serves one login after another in one process, as a display manager or a mail server does.

use crate::conversation::{Conversation, Event, Talk, Transcript};
use std::process::Command;

/// A host that serves one login after another in one process.
#[derive(Debug)]
pub struct LongLived(Conversation);

/// One login at a [`LongLived`] host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Served {
    /// What the call came to: `PAM_SUCCESS`.
    pub result: String,
    /// Nanoseconds from the answer to the result.
    pub time: u64,
    /// Bytes that the host had in its heap when the login was over.
    pub heap: u64,
}

impl LongLived {
    /// In place of an answer: the client goes away.
    pub const GONE: &[u8] = b"\x04";

    /// Starts it; who logs in is said with each login.
    ///
    /// # Panics
    /// When `pamtalk` is not built.
    pub fn start(talk: Talk) -> LongLived {
        LongLived(talk.user("-").flag("--serve").start())
    }

    /// The same with a command of the test's own in front of it, such as valgrind with its options.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_under(mut command: Command, talk: Talk) -> LongLived {
        let talk = talk.user("-").flag("--serve");
        let host = talk.command();
        command.arg(host.get_program()).args(host.get_args());
        LongLived(talk.start_as(command))
    }

    /// One login, whose one prompt gets this answer.
    ///
    /// # Panics
    /// When it ends otherwise than with a result, or nothing was asked.
    pub fn login(&mut self, user: &str, answer: impl AsRef<[u8]>) -> Served {
        let LongLived(host) = self;
        host.forget();
        host.answer(user);
        host.prompt();
        host.answer(answer);
        self.outcome()
    }

    /// One login at which nothing is asked.
    ///
    /// # Panics
    /// When something is.
    pub fn unasked(&mut self, user: &str) -> Served {
        let LongLived(host) = self;
        host.forget();
        host.answer(user);
        self.outcome()
    }

    /// The process, which waits for the next login.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// No more logins.
    ///
    /// # Panics
    /// When the process does not end.
    pub fn end(self) -> Transcript {
        self.0.finish()
    }

    fn outcome(&mut self) -> Served {
        let LongLived(host) = self;
        let mut result = String::new();
        loop {
            match host.listen() {
                Some(Event::Result(_, code)) => result = code,
                Some(Event::Measured(time, heap)) => return Served { result, time, heap },
                Some(event) if event.is_prompt() => panic!("asked once more: {:#?}", host.events()),
                Some(_) => {}
                None => panic!("the host is gone: {}", host.last_words()),
            }
        }
    }
}
