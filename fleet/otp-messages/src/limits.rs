//! How many messages may be sent, by what was sent before.

use otp_core::config::senders::Sender;
use otp_core::value::destination::{Channel, Destination};
use otp_core::value::time::{Seconds, UnixTime};

/// Between two messages to one user.
pub const APART: Seconds = Seconds(30);

/// Nothing older is asked about.
pub const DAY: Seconds = Seconds(86_400);

const HOUR: Seconds = Seconds(3600);

/// Why no message may be sent now.
#[derive(Debug, PartialEq, Eq)]
pub enum Hold {
    /// The user, or the number or address, has had as many as may be in a time: the next one may be sent after this.
    Wait(Seconds),
    /// No number of this country.
    Prefix,
    /// All users together have had as many as may be in an hour.
    Hour,
    /// The same in a day.
    Day,
}

impl Hold {
    /// The reason for the log. `kind` is the table of the configuration.
    pub fn reason(&self, kind: &str) -> String {
        match self {
            Self::Wait(time) => {
                format!("as many as [{kind}] limit were sent to this user, or there; the next one in {time}")
            }
            Self::Prefix => format!("no prefix in [{kind}] prefixes is this number's"),
            Self::Hour => format!("as many as [{kind}] hour were sent in an hour"),
            Self::Day => format!("as many as [{kind}] day were sent in a day"),
        }
    }
}

/// Some of the messages that were sent.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// To this user, of any kind.
    User(&'a str),
    /// To this user, of one kind.
    UserAndKind(&'a str, Channel),
    /// To this number or address.
    Destination(&'a Destination),
    /// Of one kind, to anybody.
    Kind(Channel),
}

/// The messages of the last day.
pub trait History {
    /// The history cannot be read.
    type Error;

    /// When the newest of these was sent (1), or the one before it (2), and so on. A time in the future, by a clock that was ahead,
    /// is now.
    fn newest(&self, of: Of<'_>, number: usize) -> Result<Option<UnixTime>, Self::Error>;
}

/// Whether one more message may be sent.
pub fn may_send<H: History>(
    history: &H,
    sender: &Sender,
    user: &str,
    to: &Destination,
    now: UnixTime,
) -> Result<Result<(), Hold>, H::Error> {
    let kind = to.channel();
    let is_number = kind == Channel::Sms;
    if is_number && !sender.prefixes.is_empty() && !sender.prefixes.iter().any(|prefix| to.as_str().starts_with(prefix))
    {
        return Ok(Err(Hold::Prefix));
    }
    let (limit, number) = (sender.limit, |most: u32| usize::try_from(most).unwrap_or(usize::MAX));
    for (of, most, time, hold) in [
        (Of::User(user), 1, APART, None),
        (Of::UserAndKind(user, kind), limit.most, limit.within, None),
        (Of::Destination(to), limit.most, limit.within, None),
        (Of::Kind(kind), number(sender.hour), HOUR, Some(Hold::Hour)),
        (Of::Kind(kind), number(sender.day), DAY, Some(Hold::Day)),
    ] {
        // There is room when this one is over.
        let Some(last) = history.newest(of, most)? else { continue };
        let over = last.min(now).after(time);
        if now < over {
            return Ok(Err(hold.unwrap_or(Hold::Wait(now.until(over).unwrap_or(Seconds(1))))));
        }
    }
    Ok(Ok(()))
}
