//! The messages of an enrollment in the middle of a login, from a PAM host to a helper of root or to the agent of a fleet, and back:
//! requests are written, and replies read, without a general parser.
//!
//! A reply is a line of words as those of a login are, of more letters: `{"login":"offer GEZD… 7f3a… under-way 01a2…"}`, with the QR
//! code drawn. It says what a PAM host needs of it. From the agent comes also what is under way, sealed, which goes back with the next
//! request; the helper keeps that.

use zeroize::Zeroizing;

use crate::decision::kinds::Kinds;
use crate::error::HelperError;
use crate::protocol::login_messages::{no_answer, quoted};
use crate::protocol::request::{Confidential, Declined, Offer, Reply};
use crate::qr::Qr;
use crate::value::destination::Channel;
use crate::value::search;

/// Before what is under way.
const UNDER_WAY: &str = " under-way ";

/// A step of an enrollment in the middle of a login.
#[derive(Clone, Copy)]
pub enum Step<'a> {
    /// Offers an app.
    Enroll,
    /// Offers a number or an address, as a person wrote it, and sends a PIN there.
    SendTo(Channel, &'a str),
    /// Sends another PIN.
    SendAgain,
    /// Takes a code of the app, or the PIN.
    Confirm(&'a Confidential),
    /// Puts the device in force.
    Activate,
}

/// What a PAM host is told of a step.
pub enum Told {
    Offer(Drawn),
    /// What became of the PIN, in words of a [`Challenge`](crate::codes::challenge::Challenge).
    Pin(String),
    /// The device was confirmed.
    RecoveryCodes(Vec<Confidential>),
    InForce,
    /// The account is not the one that logged in: it is gone, or has another name.
    Refused,
    Declined(Declined),
}

/// An offer as far as a login shows it.
pub struct Drawn {
    /// In Base32.
    pub key: Confidential,
    /// `None` if no QR code is large enough.
    pub qr: Option<Qr>,
}

/// A step as a line.
pub fn ask_step(user: &str, step: &Step<'_>, under_way: Option<&Confidential>) -> Zeroizing<String> {
    // Large enough for all: a buffer that grows leaves copies of codes behind.
    let mut line = Zeroizing::new(String::with_capacity(16_384));
    line.push_str(r#"{"about":"#);
    line.push_str(&quoted(user));
    line.push_str(r#","request":{"enrolling":{"#);
    match step {
        Step::Enroll => line.push_str(r#""enroll":{"proof":null}"#),
        Step::SendTo(channel, to) => {
            line.push_str(r#""add":{"name":null,"proof":null,"token":null,"to":{"kind":""#);
            line.push_str(channel.word());
            line.push_str(r#"","to":"#);
            line.push_str(&quoted(to));
            line.push_str("}}");
        }
        Step::SendAgain => line.push_str(r#""send-again":{}"#),
        Step::Confirm(code) => {
            line.push_str(r#""confirm":{"code":"#);
            line.push_str(&quoted(code.expose()));
            line.push('}');
        }
        Step::Activate => line.push_str(r#""activate":{}"#),
    }
    line.push_str("}}");
    if let Some(carried) = under_way {
        line.push_str(r#","under_way":"#);
        line.push_str(&quoted(carried.expose()));
    }
    line.push_str("}\n");
    line
}

/// A reply and what is under way, in words; `None` for a reply that no step has.
pub fn step_words(reply: &Reply, under_way: Option<&Confidential>) -> Option<Zeroizing<String>> {
    let mut words = Zeroizing::new(String::with_capacity(16_384)); // as above
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| words.push_str(part));
    if let Reply::Offer(Offer { secret, uri, .. }) = reply {
        push(&["offer ", secret.expose()]);
        if let Ok(qr) = Qr::of(uri.expose()) {
            push(&[" ", &qr.hex()]);
        }
    } else if let Reply::PinSent { answer, .. } = reply {
        push(&["pin ", answer]);
    } else if let Reply::RecoveryCodes(codes) = reply {
        push(&["codes"]);
        codes.iter().for_each(|code| push(&[" ", code.expose()]));
    } else if let Reply::Changed(true) = reply {
        push(&["in-force"]);
    } else if let Reply::Verdict(_) = reply {
        push(&["refused"]);
    } else if let Reply::Declined(declined) = reply {
        push(&["declined ", word(*declined)]);
    } else {
        return None;
    }
    if let Some(carried) = under_way {
        push(&[UNDER_WAY, carried.expose()]);
    }
    words.bytes().all(is_letter).then_some(words)
}

/// What is told in a line, and what is under way.
pub fn read_step(line: &str) -> Result<(Told, Option<Confidential>), HelperError> {
    let words = line.strip_prefix(r#"{"login":""#).and_then(|rest| rest.strip_suffix("\"}\n"));
    let words = words.filter(|words| words.bytes().all(is_letter));
    words.and_then(read_words).ok_or_else(|| no_answer(line))
}

fn read_words(words: &str) -> Option<(Told, Option<Confidential>)> {
    let (words, carried) = match search::split_at(words, UNDER_WAY) {
        Some((words, carried)) => (words, Some(Confidential::new(carried))),
        None => (words, None),
    };
    let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
    let told = match first {
        "offer" => Told::Offer(drawn(rest)?),
        "pin" => Told::Pin(rest.to_owned()),
        "codes" => {
            Told::RecoveryCodes(rest.split(' ').filter(|code| !code.is_empty()).map(Confidential::new).collect())
        }
        "in-force" => Told::InForce,
        "refused" => Told::Refused,
        "declined" => {
            Told::Declined(TOLD_APART.into_iter().find(|one| word(*one) == rest).unwrap_or(Declined::NotPermitted))
        }
        _ => return None,
    };
    Some((told, carried))
}

fn drawn(words: &str) -> Option<Drawn> {
    let (key, qr) = match words.split_once(' ') {
        Some((key, qr)) => (key, Some(Qr::read(qr)?)),
        None => (words, None),
    };
    (!key.is_empty()).then(|| Drawn { key: Confidential::new(key), qr })
}

/// Letters of words, of a key, and of an address before its `@`; none of them ends a text of JSON, or is escaped in it.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" .!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// What a login tells its user apart.
const TOLD_APART: [Declined; 11] = [
    Declined::ProofNeeded,
    Declined::NotConfirmed { clock_off: None },
    Declined::NotConfirmed { clock_off: Some(0) },
    Declined::KindNotAccepted { kind: Kinds::NONE, accepted: Kinds::NONE },
    Declined::CountryCodeMissing,
    Declined::NotANumber,
    Declined::NotAnAddress,
    Declined::PinNotSent,
    Declined::PinWrong { left: 0 },
    Declined::PinUsedUp,
    Declined::PinExpired,
];

fn word(declined: Declined) -> &'static str {
    match declined {
        Declined::ProofNeeded => "proof-needed",
        Declined::NotConfirmed { clock_off: None } => "not-confirmed",
        Declined::NotConfirmed { clock_off: Some(_) } => "clock-off",
        Declined::KindNotAccepted { .. } => "kind-not-accepted",
        Declined::CountryCodeMissing => "country-code-missing",
        Declined::NotANumber => "not-a-number",
        Declined::NotAnAddress => "not-an-address",
        Declined::PinNotSent => "pin-not-sent",
        Declined::PinWrong { .. } => "pin-wrong",
        Declined::PinUsedUp => "pin-used-up",
        Declined::PinExpired => "pin-expired",
        Declined::PasscodeNeeded
        | Declined::CountUnfit { .. }
        | Declined::NextCodeNeeded
        | Declined::NothingOffered
        | Declined::NoSuchDevice
        | Declined::NameTaken
        | Declined::SeedKnown
        | Declined::NameUnfit
        | Declined::NameReserved
        | Declined::TooManyDevices
        | Declined::OnlyDevice
        | Declined::SendsNothing
        | Declined::DestinationKnown
        | Declined::TokenUnfit
        | Declined::NotAToken
        | Declined::WhichToken
        | Declined::ChangedMeanwhile
        | Declined::Required
        | Declined::NotPermitted => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::challenge::Challenge;
    use crate::decision::verify::{Refusal, Verdict};
    use crate::protocol::request::{Question, Request, SendTo};
    use crate::value::destination::Masked;

    fn secret(text: &str) -> Confidential {
        Confidential::new(text)
    }

    #[test]
    fn each_step_is_a_question_that_a_general_parser_reads() {
        let to = SendTo { kind: Channel::Email, to: "a\"b@example.org".into() };
        let code = secret("12\\34\n56");
        let steps = [
            (Step::Enroll, Request::Enroll { proof: None, count: None }),
            (
                Step::SendTo(to.kind, &to.to),
                Request::Add { name: None, proof: None, token: None, to: Some(to.clone()), count: None },
            ),
            (Step::SendAgain, Request::SendAgain {}),
            (Step::Confirm(&code), Request::Confirm { code: code.clone(), next: None }),
            (Step::Activate, Request::Activate {}),
        ];
        for ((step, request), carried) in steps.into_iter().zip([None, None, Some("01a2"), Some("01a2"), Some("01a2")])
        {
            let line = ask_step("al\"ice", &step, carried.map(secret).as_ref());
            let read: Question = serde_json::from_str(&line).unwrap();
            let Question { about, request: Request::Enrolling(step), under_way } = read else { panic!("{}", *line) };
            assert_eq!((about.as_str(), under_way.as_ref().map(Confidential::expose)), ("al\"ice", carried));
            assert_eq!(serde_json::to_value(&step).unwrap(), serde_json::to_value(&request).unwrap());
        }
    }

    fn line(reply: &Reply, carried: Option<&str>) -> String {
        let words = step_words(reply, carried.map(secret).as_ref()).unwrap();
        format!("{}\n", serde_json::to_string(&Reply::Login(words.to_string())).unwrap())
    }

    fn told(reply: &Reply) -> Told {
        read_step(&line(reply, None)).unwrap().0
    }

    fn offer(key: &str, uri: &str) -> Reply {
        Reply::Offer(Offer {
            user: "alice".into(),
            issuer: "web1".into(),
            secret: secret(key),
            hex: secret("313233"),
            uri: secret(uri),
            algorithm: "SHA1".into(),
            digits: 8,
            period: 30,
        })
    }

    #[test]
    fn an_offer_is_read_with_its_picture_and_what_is_under_way() {
        let uri = "otpauth://totp/web1%20x:alice?secret=GEZDGNBV&digits=8";
        let (read, carried) = read_step(&line(&offer("GEZDGNBV", uri), Some("01a2"))).unwrap();
        let Told::Offer(Drawn { key, qr }) = read else { panic!() };
        assert_eq!((key.expose(), carried.unwrap().expose()), ("GEZDGNBV", "01a2"));
        assert_eq!(*qr.unwrap().hex(), *Qr::of(uri).unwrap().hex());
        // The largest that there is fits; for more there is no picture.
        for (bytes, is_drawn) in [(2953, true), (2954, false)] {
            let Told::Offer(Drawn { key, qr }) = told(&offer("GEZDGNBV", &"x".repeat(bytes))) else { panic!() };
            assert_eq!((key.expose(), qr.is_some()), ("GEZDGNBV", is_drawn));
        }
    }

    #[test]
    fn replies_are_read_as_they_were_written() {
        for codes in [&["A-B", "C-D"][..], &[]] {
            let Told::RecoveryCodes(read) = told(&Reply::RecoveryCodes(codes.iter().copied().map(secret).collect()))
            else {
                panic!()
            };
            assert_eq!(read.iter().map(Confidential::expose).collect::<Vec<_>>(), codes);
        }
        // A letter that an address may begin with.
        for sent in
            ["7", "!", "'", "`", "{", "~"].map(|start| Masked::Address(start.into(), "mail-1.example.org".into()))
        {
            let answer = Challenge::Sent(sent).words();
            let pin = Reply::PinSent { name: "email".into(), to: "…".into(), answer: answer.clone() };
            assert!(matches!(told(&pin), Told::Pin(read) if read == answer), "{answer}");
        }
        assert!(matches!(told(&Reply::Changed(true)), Told::InForce));
        assert!(matches!(told(&Reply::Verdict(Verdict::Refused(Refusal::UnknownUser))), Told::Refused));
        let declined = |declined| {
            let Told::Declined(read) = told(&Reply::Declined(declined)) else { panic!() };
            format!("{read:?}")
        };
        for one in TOLD_APART {
            assert_eq!(declined(one), format!("{one:?}"));
        }
        assert_eq!(declined(Declined::ChangedMeanwhile), "NotPermitted");
        assert_eq!(declined(Declined::NotConfirmed { clock_off: Some(-90) }), "NotConfirmed { clock_off: Some(0) }");
    }

    #[test]
    fn what_is_no_step_is_neither_written_nor_read_and_an_error_is_one() {
        assert!(step_words(&offer("GE\"ZD", ""), None).is_none() && step_words(&Reply::Changed(false), None).is_none());
        for line in [
            "",
            "{\"login\":\"offer\"}\n",
            "{\"login\":\"offer A 0\"}\n",
            "{\"login\":\"of\\u0066er a\"}\n",
            "{\"login\":\"in-force\"}",
        ] {
            assert!(matches!(read_step(line), Err(HelperError::Unintelligible)), "{line}");
        }
        let failed = read_step("{\"failed\":{\"error\":\"no\",\"hint\":\"go\"}}\n");
        assert!(matches!(failed, Err(HelperError::Reports { error, hint }) if error == "no" && hint == "go"));
    }
}
