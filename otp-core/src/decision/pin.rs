//! The PIN that shows that a number or an address is the user's: four digits, three tries, ten minutes. A pure function.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::codes::attempt::Typed;
use crate::codes::plain_text::PlainText;
use crate::value::time::{Seconds, UnixTime};

const DIGITS: usize = 4;
const TRIES: u8 = 3;
const FOR: Seconds = Seconds(600);

/// Random bytes for a PIN: of its digits, and of its id.
pub const RANDOM: usize = 20;

/// Bytes of the id.
const ID: usize = 16;

/// A PIN that was sent.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Pin {
    digits: [u8; DIGITS],
    #[zeroize(skip)]
    until: UnixTime,
    tries: u8,
    id: PinId,
}

/// Names a PIN where its tries are counted apart from it. Tells nothing of its digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Zeroize)]
pub struct PinId(pub [u8; ID]);

/// Why a PIN does not show that the destination is the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongPin {
    /// The user may try so many times more.
    Wrong { left: u8 },
    /// It was tried too often, and no longer counts.
    UsedUp,
    /// Its time is over.
    Expired,
}

impl Pin {
    /// A PIN of random bytes.
    pub fn draw(random: [u8; RANDOM], now: UnixTime) -> Self {
        let mut rest = u32::from_le_bytes(random.first_chunk().copied().unwrap_or_default());
        let id = PinId(random.last_chunk().copied().unwrap_or_default());
        let digits = std::array::from_fn(|_| {
            let digit = u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            b'0'.saturating_add(digit)
        });
        Self { digits, until: now.after(FOR), tries: 0, id }
    }

    /// A PIN that was drawn before; `None` if there is none with this text. Its tries are counted by who keeps it.
    pub fn resumed(text: &str, until: UnixTime, id: PinId) -> Option<Self> {
        let digits = text.as_bytes().try_into().ok().filter(|_| Self::is_one(text))?;
        Some(Self { digits, until, tries: 0, id })
    }

    pub fn id(&self) -> PinId {
        self.id
    }

    /// When it ends.
    pub fn until(&self) -> UnixTime {
        self.until
    }

    /// Tells how often it was tried, where that is counted apart from it.
    pub fn set_tries(&mut self, tries: u8) {
        self.tries = tries;
    }

    /// Whether what was typed is a try: anything that is no PIN is none.
    pub fn is_try(typed: &Typed) -> bool {
        digits_of(typed).len() == DIGITS
    }

    /// The text to send.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.digits.iter().map(|digit| char::from(*digit)).collect())
    }

    /// Whether this is the text of a PIN.
    pub fn is_one(text: &str) -> bool {
        text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Compares what was typed: digits of any script, blanks and hyphens anywhere.
    pub fn check(&mut self, typed: &Typed, now: UnixTime) -> Result<(), WrongPin> {
        if self.tries >= TRIES {
            return Err(WrongPin::UsedUp);
        }
        if self.until <= now {
            return Err(WrongPin::Expired);
        }
        let digits = digits_of(typed);
        if digits.len() != DIGITS {
            return Err(WrongPin::Wrong { left: TRIES.saturating_sub(self.tries) }); // no PIN, and no guess
        }
        self.tries = self.tries.saturating_add(1);
        match TRIES.saturating_sub(self.tries) {
            _ if digits.ct_eq(self.digits.as_slice()).into() => Ok(()),
            0 => Err(WrongPin::UsedUp),
            left => Err(WrongPin::Wrong { left }),
        }
    }
}

/// What was typed, without blanks and hyphens; cut where it is longer than a PIN.
fn digits_of(typed: &Typed) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(PlainText::of(typed.expose()).filter(|byte| *byte != b'-').take(DIGITS.saturating_add(1)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::NOW;

    fn random(first: [u8; 4]) -> [u8; RANDOM] {
        let mut random = [7; RANDOM];
        random[..4].copy_from_slice(&first);
        random
    }

    fn check(pin: &mut Pin, text: &str, now: UnixTime) -> Result<(), WrongPin> {
        pin.check(&Typed::new(text.as_bytes().to_vec()), now)
    }

    #[test]
    fn a_pin_has_three_tries_and_ten_minutes() {
        let pin = || Pin::draw(random([0xd2, 0x04, 0, 0]), NOW); // 1234
        let text = pin().text().to_string();
        assert_eq!(text, "4321");
        assert_eq!(check(&mut pin(), "4321", UnixTime(NOW.0 + 599)), Ok(()));
        assert_eq!(check(&mut pin(), " 43-21 ", NOW), Ok(()));
        assert_eq!(check(&mut pin(), "٤٣٢١", NOW), Ok(()));
        assert_eq!(check(&mut pin(), "4321", UnixTime(NOW.0 + 600)), Err(WrongPin::Expired));
        let mut tried = pin();
        for (text, expected) in [
            ("4320", Err(WrongPin::Wrong { left: 2 })),
            ("43210", Err(WrongPin::Wrong { left: 2 })),
            ("", Err(WrongPin::Wrong { left: 2 })),
            ("4322", Err(WrongPin::Wrong { left: 1 })),
            ("4323", Err(WrongPin::UsedUp)),
            ("4321", Err(WrongPin::UsedUp)),
        ] {
            assert_eq!(check(&mut tried, text, NOW), expected, "{text}");
        }
    }

    #[test]
    fn every_pin_has_four_digits() {
        for first in [[0; 4], [0xff; 4], [9, 0, 0, 0], [0x0f, 0x27, 0, 0]] {
            let text = Pin::draw(random(first), NOW).text();
            assert!(Pin::is_one(&text), "{}", *text);
        }
        for odd in ["", "123", "12345", "12 3", "1\n23", "١٢", "call"] {
            assert!(!Pin::is_one(odd), "{odd:?}");
        }
    }

    #[test]
    fn a_pin_that_is_resumed_is_the_same_with_the_tries_that_are_told() {
        let drawn = Pin::draw(random([0xd2, 0x04, 0, 0]), NOW);
        let resumed = || Pin::resumed(&drawn.text(), drawn.until(), drawn.id()).unwrap();
        assert_eq!((resumed().id(), drawn.id()), (PinId([7; 16]), PinId([7; 16])));
        assert_eq!(check(&mut resumed(), "4321", NOW), Ok(()));
        for (tries, typed, expected) in [
            (1, "0000", Err(WrongPin::Wrong { left: 1 })),
            (2, "4321", Ok(())),
            (2, "0000", Err(WrongPin::UsedUp)),
            (3, "4321", Err(WrongPin::UsedUp)),
        ] {
            let mut pin = resumed();
            pin.set_tries(tries);
            assert_eq!(check(&mut pin, typed, NOW), expected, "{tries} {typed}");
        }
        assert!(
            Pin::resumed("43210", NOW, PinId([7; 16])).is_none() && Pin::resumed("432x", NOW, PinId([7; 16])).is_none()
        );
        let is_try = |text: &str| Pin::is_try(&Typed::new(text.as_bytes().to_vec()));
        assert!(is_try("00-00") && !is_try("000") && !is_try("00000") && !is_try("again"));
    }
}
