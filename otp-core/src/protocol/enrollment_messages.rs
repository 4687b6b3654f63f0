//! The messages of an enrollment in the middle of a login, from a PAM host to the agent of a fleet and back: requests are written,
//! and replies read, without a general parser.
//!
//! A reply is a line of words as those of a login are, of more letters: `{"login":"offer GEZD… otpauth://totp/… under-way 01a2…"}`.
//! It says what a PAM host needs of it. What is under way is sealed, and goes back with the next request.

use zeroize::Zeroizing;

use crate::decision::kinds::Kinds;
use crate::decision::verify::Verdict;
use crate::error::HelperError;
use crate::protocol::login_messages::{error_and_hint, quoted};
use crate::protocol::request::{Confidential, Declined, Offer, Reply, Request};

/// Before what is under way.
const UNDER_WAY: &str = " under-way ";

/// A step of an enrollment as a line to the agent; `None` for a request that no login makes.
pub fn ask_step(user: &str, request: &Request, under_way: Option<&Confidential>) -> Option<Zeroizing<String>> {
    // Large enough for all: a buffer that grows leaves copies of codes behind.
    let mut line = Zeroizing::new(String::with_capacity(16_384));
    line.push_str(r#"{"about":"#);
    line.push_str(&quoted(user));
    line.push_str(r#","request":{"enrolling":{"#);
    if let Request::Enroll { proof: None, count: None } = request {
        line.push_str(r#""enroll":{"proof":null}"#);
    } else if let Request::Add { to: Some(to), .. } = request {
        line.push_str(r#""add":{"name":null,"proof":null,"token":null,"to":{"kind":""#);
        line.push_str(to.kind.word());
        line.push_str(r#"","to":"#);
        line.push_str(&quoted(&to.to));
        line.push_str("}}");
    } else if let Request::SendAgain {} = request {
        line.push_str(r#""send-again":{}"#);
    } else if let Request::Confirm { code, next: None } = request {
        line.push_str(r#""confirm":{"code":"#);
        line.push_str(&quoted(code.expose()));
        line.push('}');
    } else if let Request::Activate {} = request {
        line.push_str(r#""activate":{}"#);
    } else {
        return None;
    }
    line.push_str("}}");
    if let Some(carried) = under_way {
        line.push_str(r#","under_way":"#);
        line.push_str(&quoted(carried.expose()));
    }
    line.push_str("}\n");
    Some(line)
}

/// A reply and what is under way, in words; `None` for a reply that no step has.
pub fn step_words(reply: &Reply, under_way: Option<&Confidential>) -> Option<Zeroizing<String>> {
    let mut words = Zeroizing::new(String::with_capacity(16_384)); // as above
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| words.push_str(part));
    if let Reply::Offer(Offer { secret, uri, .. }) = reply {
        push(&["offer ", secret.expose(), " ", uri.expose()]);
    } else if let Reply::PinSent { answer, .. } = reply {
        push(&["pin ", answer]);
    } else if let Reply::RecoveryCodes(codes) = reply {
        push(&["codes"]);
        codes.iter().for_each(|code| push(&[" ", code.expose()]));
    } else if let Reply::Changed(true) = reply {
        push(&["changed"]);
    } else if let Reply::Verdict(verdict) = reply {
        push(&["verdict ", &verdict.words()]);
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

/// The reply in a line, and what is under way.
pub fn read_step(line: &str) -> Result<(Reply, Option<Confidential>), HelperError> {
    let words = line.strip_prefix(r#"{"login":""#).and_then(|rest| rest.strip_suffix("\"}\n"));
    let words = words.filter(|words| words.bytes().all(is_letter));
    words.and_then(read_words).ok_or_else(|| match error_and_hint(line) {
        Some((error, hint)) => HelperError::Reports { error: error.to_owned(), hint: hint.to_owned() },
        // The line is not quoted: it may hold a seed.
        None => HelperError::Unintelligible,
    })
}

fn read_words(words: &str) -> Option<(Reply, Option<Confidential>)> {
    let (words, carried) = match words.split_once(UNDER_WAY) {
        Some((words, carried)) => (words, Some(Confidential::new(carried))),
        None => (words, None),
    };
    let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
    let reply = match first {
        "offer" => Reply::Offer(offer(rest)?),
        "pin" => Reply::PinSent { name: String::new(), to: String::new(), answer: rest.to_owned() },
        "codes" => {
            Reply::RecoveryCodes(rest.split(' ').filter(|code| !code.is_empty()).map(Confidential::new).collect())
        }
        "changed" => Reply::Changed(true),
        "verdict" => Reply::Verdict(Verdict::read(rest)?),
        "declined" => {
            Reply::Declined(TOLD.into_iter().find(|one| word(*one) == rest).unwrap_or(Declined::NotPermitted))
        }
        _ => return None,
    };
    Some((reply, carried))
}

/// An offer as far as a login shows it.
fn offer(words: &str) -> Option<Offer> {
    let (secret, uri) = words.split_once(' ')?;
    Some(Offer {
        user: String::new(),
        issuer: String::new(),
        secret: Confidential::new(secret),
        hex: Confidential::new(""),
        uri: Confidential::new(uri),
        algorithm: String::new(),
        digits: 0,
        period: 0,
    })
}

/// Letters of words, of a key, and of `otpauth://`; none of them ends a text of JSON.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"- .:/?=&%~_".contains(&byte)
}

/// What a login tells its user apart.
const TOLD: [Declined; 11] = [
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
    use crate::decision::verify::Refusal;
    use crate::protocol::request::{Question, SendTo};
    use crate::value::destination::Channel;

    fn secret(text: &str) -> Confidential {
        Confidential::new(text)
    }

    #[test]
    fn each_step_is_a_question_that_a_general_parser_reads() {
        let to = SendTo { kind: Channel::Email, to: "a\"b@example.org".into() };
        let steps = [
            Request::Enroll { proof: None, count: None },
            Request::Add { name: None, proof: None, token: None, to: Some(to), count: None },
            Request::SendAgain {},
            Request::Confirm { code: secret("12\\34\n56"), next: None },
            Request::Activate {},
        ];
        for (request, carried) in steps.into_iter().zip([None, None, Some("01a2"), Some("01a2"), Some("01a2")]) {
            let line = ask_step("al\"ice", &request, carried.map(secret).as_ref()).unwrap();
            let read: Question = serde_json::from_str(&line).unwrap();
            let Question { about, request: Request::Enrolling(step), under_way } = read else { panic!("{}", *line) };
            assert_eq!((about.as_str(), under_way.as_ref().map(Confidential::expose)), ("al\"ice", carried));
            assert_eq!(serde_json::to_value(&step).unwrap(), serde_json::to_value(&request).unwrap());
        }
        assert!(ask_step("alice", &Request::Status {}, None).is_none());
        assert!(ask_step("alice", &Request::Enroll { proof: Some(secret("1")), count: None }, None).is_none());
    }

    #[test]
    fn replies_are_read_as_they_were_written() {
        let offer = || Offer {
            user: "alice".into(),
            issuer: "web1".into(),
            secret: secret("GEZDGNBV"),
            hex: secret("313233"),
            uri: secret("otpauth://totp/web1%20x:alice?secret=GEZDGNBV&digits=8"),
            algorithm: "SHA1".into(),
            digits: 8,
            period: 30,
        };
        let pin = || Reply::PinSent { name: "sms".into(), to: "…78".into(), answer: "sent sms 78".into() };
        let line = |reply: &Reply, carried: Option<&str>| {
            let words = step_words(reply, carried.map(secret).as_ref()).unwrap();
            format!("{}\n", serde_json::to_string(&Reply::Login(words.to_string())).unwrap())
        };
        let (read, carried) = read_step(&line(&Reply::Offer(offer()), Some("01a2"))).unwrap();
        let Reply::Offer(read) = read else { panic!() };
        assert_eq!((read.secret.expose(), read.uri.expose()), ("GEZDGNBV", offer().uri.expose()));
        assert_eq!(carried.unwrap().expose(), "01a2");
        let said = |reply: Reply| format!("{:?}", read_step(&line(&reply, None)).unwrap().0);
        let codes = |codes: &[&str]| Reply::RecoveryCodes(codes.iter().copied().map(secret).collect());
        assert_eq!(said(codes(&["A-B", "C-D"])), format!("{:?}", codes(&["A-B", "C-D"])));
        assert_eq!(said(codes(&[])), "RecoveryCodes([])");
        assert_eq!(said(pin()), r#"PinSent { name: "", to: "", answer: "sent sms 78" }"#);
        assert_eq!(said(Reply::Changed(true)), "Changed(true)");
        let verdict = || Reply::Verdict(Verdict::Refused(Refusal::UnknownUser));
        assert_eq!(said(verdict()), format!("{:?}", verdict()));
        for declined in TOLD {
            assert_eq!(said(Reply::Declined(declined)), format!("{:?}", Reply::Declined(declined)));
        }
        assert_eq!(said(Reply::Declined(Declined::ChangedMeanwhile)), "Declined(NotPermitted)");
        assert_eq!(
            said(Reply::Declined(Declined::NotConfirmed { clock_off: Some(-90) })),
            "Declined(NotConfirmed { clock_off: Some(0) })"
        );
    }

    #[test]
    fn what_is_no_step_is_neither_written_nor_read_and_an_error_is_one() {
        let odd = Reply::Offer(Offer {
            user: String::new(),
            issuer: String::new(),
            secret: secret("GE\"ZD"),
            hex: secret(""),
            uri: secret(""),
            algorithm: String::new(),
            digits: 0,
            period: 0,
        });
        assert!(step_words(&odd, None).is_none() && step_words(&Reply::Changed(false), None).is_none());
        for line in ["", "{\"login\":\"offer\"}\n", "{\"login\":\"of\\u0066er a b\"}\n", "{\"login\":\"changed\"}"] {
            assert!(matches!(read_step(line), Err(HelperError::Unintelligible)), "{line}");
        }
        let failed = read_step("{\"failed\":{\"error\":\"no\",\"hint\":\"go\"}}\n").unwrap_err();
        assert!(matches!(failed, HelperError::Reports { error, hint } if error == "no" && hint == "go"));
    }
}
