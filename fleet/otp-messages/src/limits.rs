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
    /// One host of a fleet has had its share of an hour.
    HostHour,
    /// The same of a day.
    HostDay,
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
            Self::HostHour => format!("this host has had its share, a quarter, of [{kind}] hour"),
            Self::HostDay => format!("this host has had its share, a quarter, of [{kind}] day"),
        }
    }
}

/// One more message, and the messages of the last day that decide on it: of each number so many as may be, so that there is room when
/// the oldest of them is over.
pub struct Wanted<'a> {
    pub user: &'a str,
    pub to: &'a Destination,
    /// To this user of this kind, and to this number or address.
    pub limit: usize,
    /// Of this kind, to all users together, in an hour and in a day.
    pub hour: usize,
    pub day: usize,
    /// The same for one host of a fleet.
    pub host_hour: usize,
    pub host_day: usize,
}

/// When those messages were sent: the newest one to the user, of any kind, and the oldest of the others. A time in the future, by a
/// clock that was ahead, is now.
#[derive(Default)]
pub struct Sent {
    pub to_user: Option<UnixTime>,
    pub to_user_of_kind: Option<UnixTime>,
    pub to_destination: Option<UnixTime>,
    pub in_hour: Option<UnixTime>,
    pub in_day: Option<UnixTime>,
    /// `None` where there are no hosts.
    pub of_host_in_hour: Option<UnixTime>,
    pub of_host_in_day: Option<UnixTime>,
}

/// What one host of a fleet may have of what all may have: a quarter, and twenty at least.
fn share(most: u32) -> u32 {
    (most / 4).max(20).min(most)
}

/// Whether one more message may be sent. `history` is asked once.
pub fn may_send<E>(
    sender: &Sender,
    user: &str,
    to: &Destination,
    now: UnixTime,
    history: impl FnOnce(&Wanted<'_>) -> Result<Sent, E>,
) -> Result<Result<(), Hold>, E> {
    let is_number = to.channel() == Channel::Sms;
    if is_number && !sender.prefixes.is_empty() && !sender.prefixes.iter().any(|prefix| to.as_str().starts_with(prefix))
    {
        return Ok(Err(Hold::Prefix));
    }
    let (limit, number) = (sender.limit, |most: u32| usize::try_from(most).unwrap_or(usize::MAX));
    let sent = history(&Wanted {
        user,
        to,
        limit: limit.most,
        hour: number(sender.hour),
        day: number(sender.day),
        host_hour: number(share(sender.hour)),
        host_day: number(share(sender.day)),
    })?;
    for (last, time, hold) in [
        (sent.to_user, APART, None),
        (sent.to_user_of_kind, limit.within, None),
        (sent.to_destination, limit.within, None),
        (sent.in_hour, HOUR, Some(Hold::Hour)),
        (sent.in_day, DAY, Some(Hold::Day)),
        (sent.of_host_in_hour, HOUR, Some(Hold::HostHour)),
        (sent.of_host_in_day, DAY, Some(Hold::HostDay)),
    ] {
        let Some(last) = last else { continue };
        let over = last.min(now).after(time);
        if now < over {
            return Ok(Err(hold.unwrap_or(Hold::Wait(now.until(over).unwrap_or(Seconds(1))))));
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_quarter_and_twenty_at_least() {
        for (most, host) in [(1, 1), (7, 7), (20, 20), (21, 20), (80, 20), (100, 25), (1_000_000, 250_000)] {
            assert_eq!(share(most), host, "{most}");
        }
    }
}
